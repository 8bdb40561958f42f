"""The generators behind the connection rules: which source meets which target, straight into a matrix.

Each kernel runs twice: with `fill` False it counts the synapses of every entry, with `fill` True it
writes them.  The arrays and their layout are described in kernels/connectivity.py (Matrix, Pieces,
Plan, Pairs), whose functions call these kernels.

A row (a source, or a target for the rules that fix in-degrees) is generated in short loops over
buffers: partners, delays, weights, and then their placement.  That is several times faster than one
loop that does it all, and no helper with array arguments is called within a loop.
"""

import math

import numpy as np
from numba import njit

from snnsim.kernels.prefetch import prefetch
from snnsim.kernels.random import subkey, uniform01
from snnsim.kernels.sampling import draw_delays, draw_values

ALL_TO_ALL, ONE_TO_ONE, PAIRWISE_BERNOULLI, FIXED_OUT_DEGREE, FIXED_IN_DEGREE, FIXED_TOTAL_NUMBER = range(6)

# Sub-streams of a projection's key.  Python's own integers would compile their functions for each value.
_STRUCTURE, _WEIGHT, _DELAY = np.int64(0), np.int64(1), np.int64(2)
DEGREE_STREAM = 3
_FIRST = np.int64(0)
_AHEAD = 16  # synapses between fetching and writing
_CHUNK = 4096  # given connections that are placed at a time
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # its 64 windows of 6 bits all differ: finds the place of a bit
_BIT_INDEX = np.empty(64, dtype=np.int64)
for _bit in range(64):
    _BIT_INDEX[(int(_DE_BRUIJN) << _bit & (1 << 64) - 1) >> 58] = _bit


@njit(cache=True, nogil=True, error_model="numpy")
def _place(fill, start, target, step, weight, first, entries, slots, values, begin, end):
    """Count synapses [begin, end) of three buffers, or write each where the cursor of its entry stands.

    start  uint32[n_rows * n_delays + 1] of one range;  first  base of this range
    Cursors and synapses lie all over memory, so those of later ones are fetched.
    """
    for i in range(begin, end):
        cursor = entries[i] + 1
        if i + 2 * _AHEAD < end:
            prefetch(start, entries[i + 2 * _AHEAD] + 1)
        if fill:
            if i + _AHEAD < end:
                prefetch(target, step * (first + np.int64(start[entries[i + _AHEAD] + 1])))
                prefetch(weight, first + np.int64(start[entries[i + _AHEAD] + 1]))
            at = first + np.int64(start[cursor])
            target[step * at] = slots[i]
            weight[at] = values[i]
        start[cursor] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _row_key(key, stream, row):
    """The key of one row (or target) in one of the streams of a projection."""
    return subkey(subkey(key, stream), row)


@njit(cache=True, nogil=True, error_model="numpy")
def _below(key, counter, n):
    """A uniform integer in [0, n), n < 2**53."""
    return np.int64(uniform01(key, counter) * n)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_targets(key, n, k, multapses, marks, times, out):
    """Draw k of n targets, with or without repetition, and list them in ascending order.

    Without: Floyd's algorithm, each k-subset has the same probability.  A bitmap sorts them.
    marks  uint64[ceil(n / 64)]  zeros, and zeros again afterwards;  times  int64[n]  the same
    out    int64[k]              written
    """
    for i in range(k):
        if multapses:
            t = _below(key, i, n)
        else:
            t = _below(key, i, n - k + i + 1)
            if times[t] > 0:
                t = n - k + i
        marks[t >> 6] |= np.uint64(1) << np.uint64(t & 63)
        times[t] += 1
    count = 0
    for w in range(marks.shape[0]):
        word = marks[w]
        marks[w] = np.uint64(0)
        while word != np.uint64(0):
            lowest = word & (~word + np.uint64(1))
            word ^= lowest
            t = 64 * w + _BIT_INDEX[np.int64((lowest * _DE_BRUIJN) >> np.uint64(58))]
            for _ in range(times[t]):
                out[count] = t
                count += 1
            times[t] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _bernoulli_targets(key, n, p, out):
    """List in ascending order the targets of n that independent coins of probability p choose.

    The gaps between chosen targets are geometric: floor(log(1 - u) / log(1 - p)).  Returns their number.
    """
    scale = 1.0 / math.log1p(-p)
    count = _FIRST
    t = 0
    while True:
        gap = math.log(1.0 - uniform01(key, count)) * scale
        if not gap < n - t:  # also true for the NaN of p = 0
            return count
        t += np.int64(gap)
        out[count] = t
        count += 1
        t += 1


@njit(cache=True, nogil=True, error_model="numpy")
def connect_by_source(fill, matrix, pieces, plan, row_lo, row_hi):
    """Count (fill False) or write (fill True) the connections of the sources in [row_lo, row_hi).

    matrix  changed: only entries of these rows, so disjoint blocks of rows may run at the same time
    """
    start, target, weight, base, d_lo, n_delays, slot_bits, group, step = matrix
    lo, hi, slot0 = pieces
    law = plan.weight
    edges, guide = plan.delay
    rule, multapses, skips = plan.rule, plan.multapses, plan.exclude_self
    n = plan.n_target - np.int64(skips)
    k = plan.degree[0] if rule == FIXED_OUT_DEGREE else 0
    capacity = max(n, k, 1)
    targets = np.empty(capacity, dtype=np.int64)
    slots = np.empty(capacity, dtype=np.int64)
    late = np.empty(capacity, dtype=np.int64)
    entries = np.empty(capacity, dtype=np.int64)
    values = np.empty(capacity, dtype=np.float64)
    marks = np.zeros((n + 63) // 64, dtype=np.uint64)
    times = np.zeros(n, dtype=np.int64)
    for row in range(row_lo, row_hi):
        key = _row_key(plan.key, _STRUCTURE, row)
        count = n
        if rule == FIXED_OUT_DEGREE:
            count = k
            _draw_targets(key, n, k, multapses, marks, times, targets)
        elif rule == PAIRWISE_BERNOULLI:
            count = _bernoulli_targets(key, n, plan.probability, targets)
        elif rule == ONE_TO_ONE:
            count = 0 if skips else 1
            targets[0] = row
        else:
            for t in range(n):
                targets[t] = t
        draw_delays(entries, count, _row_key(plan.key, _DELAY, row), edges, guide)
        if fill:
            draw_values(values, count, _row_key(plan.key, _WEIGHT, row), _FIRST, law)
        for i in range(count):
            late[i] = ((d_lo + entries[i]) & (group - 1)) << slot_bits
            entries[i] += row * n_delays
            if skips and targets[i] >= row:
                targets[i] += 1  # the row's own index is not among the choices
        begin = _FIRST
        for r in range(hi.shape[0]):
            end = begin
            while end < count and targets[end] < hi[r]:
                slots[end] = late[end] + slot0[r] + targets[end] - lo[r]
                end += 1
            if end > begin:
                _place(fill, start[r], target, step, weight, base[r], entries, slots, values, begin, end)
            begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def connect_by_target(fill, matrix, pieces, plan, r):
    """Count or write the connections into range r; each target t draws degree[t] sources.

    matrix  changed: only what belongs to range r, so other ranges may run at the same time
    Without multapses by Floyd's algorithm, so each subset of sources has the same probability.
    """
    start, target, weight, base, d_lo, n_delays, slot_bits, group, step = matrix
    lo, hi, slot0 = pieces
    law = plan.weight
    edges, guide = plan.delay
    degree = plan.degree
    multapses, skips = plan.multapses, plan.exclude_self
    n = plan.n_source - np.int64(skips)
    capacity = 0
    for t in range(lo[r], hi[r]):
        capacity = max(capacity, degree[t])
    entries = np.empty(capacity, dtype=np.int64)
    slots = np.empty(capacity, dtype=np.int64)
    values = np.empty(capacity, dtype=np.float64)
    taken_by = np.full(n, -1)
    for t in range(lo[r], hi[r]):
        key = _row_key(plan.key, _STRUCTURE, t)
        k = degree[t]
        draw_delays(entries, k, _row_key(plan.key, _DELAY, t), edges, guide)
        if fill:
            draw_values(values, k, _row_key(plan.key, _WEIGHT, t), _FIRST, law)
            for i in range(k):
                slots[i] = (((d_lo + entries[i]) & (group - 1)) << slot_bits) + slot0[r] + t - lo[r]
        for i in range(k):
            if multapses:
                source = _below(key, i, n)
            else:
                source = _below(key, i, n - k + i + 1)
                if taken_by[source] == t:
                    source = n - k + i
                taken_by[source] = t
            if skips and source >= t:
                source += 1  # t itself is not among the choices
            entries[i] += source * n_delays
        _place(fill, start[r], target, step, weight, base[r], entries, slots, values, _FIRST, k)


@njit(cache=True, nogil=True, error_model="numpy")
def connect_pairs(fill, matrix, pieces, pairs):
    """Count or write given connections; all indices and delays have been checked."""
    start, target, weight, base, d_lo, n_delays, slot_bits, group, step = matrix
    lo, hi, slot0 = pieces
    source_of, target_of, weight_of, delay_of, order = pairs
    one_weight = weight_of.shape[0] == 1
    one_delay = delay_of.shape[0] == 1
    entries = np.empty(_CHUNK, dtype=np.int64)
    slots = np.empty(_CHUNK, dtype=np.int64)
    values = np.empty(_CHUNK, dtype=np.float64)
    done = 0
    for r in range(hi.shape[0]):
        while done < order.shape[0] and target_of[order[done]] < hi[r]:
            count = 0
            while count < _CHUNK and done < order.shape[0] and target_of[order[done]] < hi[r]:
                i = order[done]
                delay = delay_of[0 if one_delay else i]
                entries[count] = source_of[i] * n_delays + delay - d_lo
                slots[count] = ((delay & (group - 1)) << slot_bits) + slot0[r] + target_of[i] - lo[r]
                values[count] = weight_of[0 if one_weight else i]
                count += 1
                done += 1
            _place(fill, start[r], target, step, weight, base[r], entries, slots, values, _FIRST, count)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_in_degrees(degree, key, n_connections, n_source, multapses):
    """How many of n_connections random pairs each target gets; n_source possible sources each.

    degree  int64[n_target]  written
    With multapses multinomial.  Without, multivariate hypergeometric by throwing at cells (target, source):
    as the occupied sources of a target are exchangeable, the first degree[t] stand for them, and a throw
    at one of these is repeated.  The smaller of the chosen and the empty pairs is drawn.
    """
    n_target = degree.shape[0]
    n_cells = n_target * n_source
    complement = not multapses and 2 * n_connections > n_cells
    n_draws = n_cells - n_connections if complement else n_connections
    for t in range(n_target):
        degree[t] = 0
    done = 0
    throw = 0
    while done < n_draws:
        if multapses:
            degree[_below(key, throw, n_target)] += 1
            done += 1
        else:
            cell = _below(key, throw, n_cells)
            t = cell // n_source
            if cell - t * n_source >= degree[t]:
                degree[t] += 1
                done += 1
        throw += 1
    if complement:
        for t in range(n_target):
            degree[t] = n_source - degree[t]
