"""Connections of a network, generated straight into the arrays that delivery reads.

One matrix holds all synapses that leave one population.  Its targets are spread over ranges (groups
of at most 65536 neurons, each with its own slots); row = index of the source in its population:

    entry e = row * n_delays + (delay - d_lo)
    synapses of entry e in range r:  base[r] + start[r, e]  up to (excluding)  base[r] + start[r, e + 1]

Within an entry they are ordered by projection, then target, then index of the multapse.  A matrix is
built in two passes over the same generators, so nothing but the final arrays is ever stored:

    matrix = new_matrix(...)
    count_projection(matrix, pieces, plan)      for each projection, in any order
    matrix = allocate(prefix(matrix))           the caller checks base for 2**32 synapses a range
    fill_projection(matrix, pieces, plan)       for each projection, in the order of the description

The trick that needs no array of cursors: start[r, e + 1] counts entry e in the first pass, the prefix
sum makes it the first synapse of e, the second pass moves it on to the end of e, its final value.

Every connection has its own random numbers, keyed by (projection, row or target, index), so the
result depends neither on how targets are cut into ranges nor on how the work is cut into jobs.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from snnsim.kernels.random import subkey, uniform01
from snnsim.kernels.sampling import CONSTANT, DelayTable, Law, delay_table, draw_delays, draw_values, prepare

ALL_TO_ALL, ONE_TO_ONE, PAIRWISE_BERNOULLI, FIXED_OUT_DEGREE, FIXED_IN_DEGREE, FIXED_TOTAL_NUMBER = range(6)

_STRUCTURE, _WEIGHT, _DELAY, _DEGREE = range(4)  # sub-streams of a projection's key
_CHUNK = 4096
_JOBS = 16  # blocks of rows; any number gives the same connections
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT_INDEX = np.empty(64, dtype=np.int64)
for _bit in range(64):
    _BIT_INDEX[(int(_DE_BRUIJN) << _bit & (1 << 64) - 1) >> 58] = _bit


class Matrix(NamedTuple):
    """All synapses that leave one population.

    start   uint32[n_ranges, n_rows * n_delays + 1]  first synapse of each entry, relative to base[r]
    target  uint16[n_synapses]                       slot within the target range
    weight  float64[n_synapses] or float32[n_synapses]
    base    int64[n_ranges + 1]                      first synapse of each range
    """

    start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    base: np.ndarray
    d_lo: int
    n_delays: int


class Pieces(NamedTuple):
    """Where the neurons of one target population live: i in [lo[r], hi[r]) has slot slot0[r] + i - lo[r].

    lo, hi, slot0  int64[n_ranges]; ascending with r and without gaps; lo[r] == hi[r] where range r has none
    """

    lo: np.ndarray
    hi: np.ndarray
    slot0: np.ndarray


class Plan(NamedTuple):
    """One projection as numbers; see `make_plan`.

    degree  int64[1] targets of each source, or int64[n_target] sources of each target, by rule
    """

    rule: int
    key: np.uint64
    n_source: int
    n_target: int
    probability: float
    degree: np.ndarray
    multapses: bool
    exclude_self: bool
    weight: Law
    delay: DelayTable


class Pairs(NamedTuple):
    """Connections given one by one.

    source, target  int64[n]          indices within their populations
    weight, delay   float64[n], int64[n] steps; or of length 1, for all
    order           int64[n]          the sequence in which they are placed
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    order: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def _place(fill, start, target, weight, first, entries, slots, values, begin, end):
    """Count synapses [begin, end) of three buffers, or write each where the cursor of its entry stands.

    start  uint32[n_rows * n_delays + 1] of one range;  first  base of this range
    """
    for i in range(begin, end):
        cursor = entries[i] + 1
        if fill:
            at = first + np.int64(start[cursor])
            target[at] = slots[i]
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
    count = 0
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
    start, target, weight, base, _, n_delays = matrix
    lo, hi, slot0 = pieces
    law = plan.weight
    edges, guide = plan.delay
    rule, multapses, skips = plan.rule, plan.multapses, plan.exclude_self
    n = plan.n_target - np.int64(skips)
    k = plan.degree[0] if rule == FIXED_OUT_DEGREE else 0
    targets = np.empty(max(n, k), dtype=np.int64)
    slots = np.empty(max(n, k), dtype=np.int64)
    entries = np.empty(max(n, k), dtype=np.int64)
    values = np.empty(max(n, k), dtype=np.float64)
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
            draw_values(values, count, _row_key(plan.key, _WEIGHT, row), 0, law)
        for i in range(count):
            entries[i] += row * n_delays
            if skips and targets[i] >= row:
                targets[i] += 1  # the row's own index is not among the choices
        begin = 0
        for r in range(hi.shape[0]):
            end = begin
            while end < count and targets[end] < hi[r]:
                slots[end] = slot0[r] + targets[end] - lo[r]
                end += 1
            if end > begin:
                _place(fill, start[r], target, weight, base[r], entries, slots, values, begin, end)
            begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def connect_by_target(fill, matrix, pieces, plan, r):
    """Count or write the connections into range r; each target t draws degree[t] sources.

    matrix  changed: only what belongs to range r, so other ranges may run at the same time
    Without multapses by Floyd's algorithm, so each subset of sources has the same probability.
    """
    start, target, weight, base, _, n_delays = matrix
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
            draw_values(values, k, _row_key(plan.key, _WEIGHT, t), 0, law)
            for i in range(k):
                slots[i] = slot0[r] + t - lo[r]
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
        _place(fill, start[r], target, weight, base[r], entries, slots, values, 0, k)


@njit(cache=True, nogil=True, error_model="numpy")
def connect_pairs(fill, matrix, pieces, pairs):
    """Count or write given connections; all indices and delays have been checked."""
    start, target, weight, base, d_lo, n_delays = matrix
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
                entries[count] = source_of[i] * n_delays + delay_of[0 if one_delay else i] - d_lo
                slots[count] = slot0[r] + target_of[i] - lo[r]
                values[count] = weight_of[0 if one_weight else i]
                count += 1
                done += 1
            _place(fill, start[r], target, weight, base[r], entries, slots, values, 0, count)


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


@njit(cache=True, nogil=True, error_model="numpy")
def _prefix_sums(start, base):
    for r in range(start.shape[0]):
        total = 0
        for e in range(1, start.shape[1]):
            count = np.int64(start[r, e])
            start[r, e] = total
            total += count
        base[r + 1] = base[r] + total


@njit(cache=True, nogil=True, error_model="numpy")
def transpose_index(col_ptr, col_synapse, col_entry, start, target, slot_lo, slot_hi):
    """List for each target slot in [slot_lo, slot_hi) its synapses in one range, by entry, then position.

    col_ptr      int64[slot_hi - slot_lo + 1]  written; list of slot s: col_ptr[s - slot_lo] up to the next
    col_synapse  uint32[n] or uint32[0]        written; position of the synapse relative to base[r]
    col_entry    int32[n] or int32[0]          written; its entry
    start        uint32[n_rows * n_delays + 1] of this range: matrix.start[r]
    target       uint16[n_synapses]            of this range: matrix.target[base[r]:base[r + 1]]
    A first call with empty lists writes col_ptr alone; its last element is the n of the second call.
    """
    fill = col_synapse.shape[0] > 0
    if not fill:
        for c in range(col_ptr.shape[0]):
            col_ptr[c] = 0
        for at in range(target.shape[0]):
            slot = np.int64(target[at])
            if slot_lo <= slot < slot_hi:
                col_ptr[slot - slot_lo + 1] += 1
        for c in range(slot_hi - slot_lo):
            col_ptr[c + 1] += col_ptr[c]
        return
    for c in range(slot_hi - slot_lo, 0, -1):
        col_ptr[c] = col_ptr[c - 1]
    for entry in range(start.shape[0] - 1):
        for at in range(np.int64(start[entry]), np.int64(start[entry + 1])):
            slot = np.int64(target[at])
            if slot_lo <= slot < slot_hi:
                cursor = slot - slot_lo + 1
                col_synapse[col_ptr[cursor]] = at
                col_entry[col_ptr[cursor]] = entry
                col_ptr[cursor] += 1


def new_matrix(n_ranges: int, n_rows: int, d_lo: int, n_delays: int, weight_dtype: Any) -> Matrix:
    """A matrix without synapses, ready for `count_projection`."""
    start = np.zeros((n_ranges, n_rows * n_delays + 1), dtype=np.uint32)
    base = np.zeros(n_ranges + 1, dtype=np.int64)
    return Matrix(start, np.empty(0, np.uint16), np.empty(0, weight_dtype), base, d_lo, n_delays)


def make_plan(
    rule: int,
    key: np.uint64,
    matrix: Matrix,
    n_target: int,
    *,
    probability: float = 0.0,
    number: int = 0,
    multapses: bool = True,
    exclude_self: bool = False,
    weight: tuple[int, float, float, float, float] = (CONSTANT, 0.0, 0.0, -np.inf, np.inf),
    delay_ms: tuple[int, float, float, float, float] = (CONSTANT, 0.0, 0.0, -np.inf, np.inf),
    dt_ms: float,
) -> Plan:
    """What the generators need to know of a projection.

    rule          one of the six codes of this file
    key           of this projection and of nothing else
    number        out-degree, in-degree or total number of connections, by rule
    exclude_self  leave out connections of a neuron to itself; source and target are one population then
    weight, delay_ms  kind and p0 to p3 of kernels/sampling.py; delays are rounded to steps of dt_ms and moved
                  into the delays of `matrix`
    The caller has checked that: one-to-one populations are equally large; 0 <= probability <= 1; without
    multapses number fits the pairs there are; with number > 0 there is a pair to connect.
    For FIXED_TOTAL_NUMBER this draws the in-degrees (about 3 ns a connection).
    """
    n_source = (matrix.start.shape[1] - 1) // matrix.n_delays
    degree = np.full(n_target if rule == FIXED_IN_DEGREE else 1, number, dtype=np.int64)
    if rule == FIXED_TOTAL_NUMBER:
        degree = np.zeros(n_target, dtype=np.int64)
        degree_key = np.uint64(subkey(key, _DEGREE))  # a kernel returns it as a Python int
        draw_in_degrees(degree, degree_key, number, n_source - int(exclude_self), multapses)
        rule = FIXED_IN_DEGREE
    weight_law = prepare(weight[0], *map(float, weight[1:]))
    delay = delay_table(delay_ms[0], *map(float, delay_ms[1:]), float(dt_ms), matrix.d_lo, matrix.n_delays)
    flags = (bool(multapses), bool(exclude_self))
    return Plan(rule, key, n_source, n_target, float(probability), degree, *flags, weight_law, delay)


def make_pairs(source: np.ndarray, target: np.ndarray, weight: np.ndarray, delay: np.ndarray) -> Pairs:
    """Connections as given: source, target int64[n]; weight float64 and delay int64 steps, [n] or [1]."""
    order = np.argsort(target, kind="stable")
    return Pairs(
        np.ascontiguousarray(source, dtype=np.int64),
        np.ascontiguousarray(target, dtype=np.int64),
        np.ascontiguousarray(weight, dtype=np.float64),
        np.ascontiguousarray(delay, dtype=np.int64),
        order,
    )


Run = Callable[[Callable[[tuple[int, ...]], None], Iterable[tuple[int, ...]]], Iterable[None]]
"""How jobs are run: `map`, or the `map` of a concurrent.futures.ThreadPoolExecutor."""


def count_projection(matrix: Matrix, pieces: Pieces, plan: Plan | Pairs, run: Run = map) -> None:
    """First pass: add the synapses of a projection to the counts in matrix.start."""
    _connect_all(False, matrix, pieces, plan, run)


def fill_projection(matrix: Matrix, pieces: Pieces, plan: Plan | Pairs, run: Run = map) -> None:
    """Second pass: write the synapses of a projection behind those of the earlier projections."""
    _connect_all(True, matrix, pieces, plan, run)


def prefix(matrix: Matrix) -> Matrix:
    """Turn counts into positions.  The caller refuses the network where base grows by 2**32 or more."""
    _prefix_sums(matrix.start, matrix.base)
    return matrix


def allocate(matrix: Matrix) -> Matrix:
    """The same matrix with room for its synapses."""
    n_synapses = int(matrix.base[-1])
    target = np.empty(n_synapses, dtype=matrix.target.dtype)
    return matrix._replace(target=target, weight=np.empty(n_synapses, dtype=matrix.weight.dtype))


def transpose(
    matrix: Matrix, r: int, slot_lo: int, slot_hi: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """col_ptr, col_synapse and col_entry of `transpose_index` for the slots [slot_lo, slot_hi) of range r."""
    start = matrix.start[r]
    target = matrix.target[matrix.base[r] : matrix.base[r + 1]]
    col_ptr = np.zeros(slot_hi - slot_lo + 1, dtype=np.int64)
    col_synapse, col_entry = np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.int32)
    transpose_index(col_ptr, col_synapse, col_entry, start, target, slot_lo, slot_hi)
    if col_ptr[-1] > 0:
        col_synapse, col_entry = np.empty(col_ptr[-1], dtype=np.uint32), np.empty(col_ptr[-1], dtype=np.int32)
        transpose_index(col_ptr, col_synapse, col_entry, start, target, slot_lo, slot_hi)
    return col_ptr, col_synapse, col_entry


def _connect_all(fill: bool, matrix: Matrix, pieces: Pieces, plan: Plan | Pairs, run: Run) -> None:
    if isinstance(plan, Pairs):
        connect_pairs(fill, matrix, pieces, plan)
        return
    if plan.rule == FIXED_IN_DEGREE:
        jobs = [(r,) for r in np.flatnonzero(pieces.hi > pieces.lo).tolist()]

        def call(job: tuple[int, ...]) -> None:
            connect_by_target(fill, matrix, pieces, plan, *job)

    else:
        cuts = [plan.n_source * j // _JOBS for j in range(_JOBS + 1)]
        jobs = [(lo, hi) for lo, hi in zip(cuts, cuts[1:], strict=False) if lo < hi]

        def call(job: tuple[int, ...]) -> None:
            connect_by_source(fill, matrix, pieces, plan, *job)

    for _ in run(call, jobs):  # a lazy `map` runs its jobs only when asked for results
        pass
