"""Spike sources and direct drives.  Every random number depends on (seed, stream, step, unit) only."""

import numpy as np
from numba import njit

from snnsim.kernels.random import subkey, uniform01

RATE, LATENCY, DELTA, EVENTS, RARE = 0, 1, 2, 3, 4
GAPS = 1024  # sources of one block: a gap between two that fire is looked up within it
_MOST_CUTS = 32  # more are found faster by bisection
_TIE = 1 << 16


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def emit(ids, found, sources, p, first_unit, low, n, t):
    """Spikes of the sources low to low + n - 1 of source population p in step t.

    ids  int32[>= found + n]  written from `found` on, ascending;  returns the new count
    Within presentation m, table row schedule[m]:
      RATE     fires with probability table[row, k]
      LATENCY  fires table[row, k] steps after the onset (never if negative)
      DELTA    fires at the onset where the row differs by `threshold` from the row before; first half ON,
               second half OFF
      EVENTS   fires as given
      RARE     fires with one probability for all
    """
    if sources.code[p] == EVENTS:
        return emit_events(ids, found, sources, p, first_unit, low, n, t)
    since = t - sources.start[p]
    if since < 0 or sources.period[p] == 0:
        return found
    m = since // sources.period[p]
    offset = since - m * sources.period[p]
    if m >= sources.n_presentations[p] or offset >= sources.present[p]:
        return found
    if sources.code[p] == RARE:
        return emit_rare(ids, found, sources, p, first_unit, low, n, subkey(sources.key[p], t))
    width = sources.width[p]
    row = sources.table_base[p] + sources.schedule[sources.schedule_base[p] + m] * width
    if sources.code[p] == RATE:
        key = subkey(sources.key[p], t)
        for k in range(low, low + n):
            ids[found] = first_unit + k - low
            found += np.int64(uniform01(key, k) < sources.table[row + k])
    elif sources.code[p] == LATENCY:
        for k in range(low, low + n):
            ids[found] = first_unit + k - low
            found += np.int64(sources.table[row + k] == offset)
    elif offset == 0:
        for k in range(low, low + n):
            pixel = k % width
            before = 0.0
            if m > 0:
                last = sources.schedule[sources.schedule_base[p] + m - 1]
                before = sources.table[sources.table_base[p] + last * width + pixel]
            change = sources.table[row + pixel] - before
            if k >= width:
                change = -change
            ids[found] = first_unit + k - low
            found += np.int64(change >= sources.threshold[p] and change > 0.0)
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def emit_rare(ids, found, sources, p, first_unit, low, n, key):
    """Spikes of sources that fire with one small probability, by the gaps between them; see emit.

    Within each block of GAPS sources, counted from the first of the population, the number of sources
    that stay silent before the next spike is the number of cuts <= u, where u is a random number of 53
    bits: inversion of the geometric distribution.  So every source fires independently of all others,
    and the work grows with the number of spikes.
    """
    base = sources.gap_base[p]
    for block in range(low // GAPS, (low + n + GAPS - 1) // GAPS):
        k = block * GAPS
        end = min(k + GAPS, low + n)
        counter = block * (GAPS + 1)
        while True:
            u = subkey(key, counter) >> np.uint64(11)
            counter += 1
            gap = sources.gap_guide[base + np.int64(u >> np.uint64(43))]
            while gap < GAPS and sources.gap_cut[base + gap] <= u:
                gap += 1
            k += gap
            if k >= end:
                break
            ids[found] = first_unit + k - low
            found += np.int64(k >= low)
            k += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def emit_events(ids, found, sources, p, first_unit, low, n, t):
    """Given spikes of step t; see emit."""
    left, end = sources.event_base[p], sources.event_base[p + 1]
    right = end
    while left < right:
        middle = (left + right) // 2
        if sources.event_step[middle] < t:
            left = middle + 1
        else:
            right = middle
    while left < end and sources.event_step[left] == t:
        k = sources.event_id[left]
        if low <= k < low + n:
            ids[found] = first_unit + k - low
            found += 1
        left += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def poisson_input(arrived, draw, top, count, drives, d, low, t):
    """Add the weighted Poisson counts of drive d to the neurons low, low + 1, ... of its target.

    arrived           F[n]                            changed
    draw, top, count  uint64[n], uint32[n], uint32[n]  written
    The count is the number of cuts <= u, where u is a random number of 53 bits: inversion of the
    distribution, exact to those bits.
    """
    if t < drives.poisson_start[d] or t >= drives.poisson_stop[d]:
        return
    key = subkey(drives.poisson_key[d], t)
    first = drives.row_base[d] + low
    for k in range(arrived.size):
        draw[k] = subkey(key, low + k)
    if drives.shared[d] != 0:
        base = drives.cut_base[drives.row[first]]
        count_shared(count, draw, top, drives.cut[base : base + drives.cut_n[drives.row[first]]])
    else:
        for k in range(arrived.size):
            base = drives.cut_base[drives.row[first + k]]
            count[k] = count_one(draw[k], drives.cut[base : base + drives.cut_n[drives.row[first + k]]])
    weight = arrived.dtype.type(drives.poisson_weight[d])
    for k in range(arrived.size):
        arrived[k] += weight * arrived.dtype.type(count[k])


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def count_one(draw, cut):
    """Number of cuts <= the 53 upper bits of draw; cut uint64[...] ascending."""
    u = draw >> np.uint64(11)
    left, right = 0, cut.size
    while left < right:
        middle = (left + right) // 2
        if cut[middle] <= u:
            left = middle + 1
        else:
            right = middle
    return left


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def count_shared(count, draw, top, cut):
    """count_one for many draws, by comparing their upper 32 bits first.

    count  uint32[n]  written;   top  uint32[n]  written
    Cuts are compared with all draws at once, with vector instructions, as far as the largest draw reaches.
    In the rare case that the upper bits of a draw and of a cut are the same (counted in the upper half of
    `count`), all draws are looked up one by one.
    """
    highest = np.uint32(0)
    for k in range(draw.size):
        bits = np.uint32(draw[k] >> np.uint64(32))
        top[k] = bits
        count[k] = np.uint32(0)
        highest = max(highest, bits)
    for j in range(min(cut.size, _MOST_CUTS)):
        high = np.uint32(cut[j] >> np.uint64(21))
        if high > highest:
            break
        for k in range(draw.size):
            above = np.uint32(1) if top[k] > high else np.uint32(0)
            count[k] += np.uint32(_TIE) if top[k] == high else above
    largest = np.uint32(0)
    for k in range(draw.size):
        largest = max(largest, count[k])
    if largest >= _MOST_CUTS:
        for k in range(draw.size):
            count[k] = count_one(draw[k], cut)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def current_input(drive, drives, c, low, t, p_v0):
    """Add current c, constant since its last given time, to the drive of the neurons from low on.

    drive  F[n]  changed  mV
    """
    left, right = drives.current_base[c], drives.current_base[c] + drives.current_n[c]
    first = left
    while left < right:
        middle = (left + right) // 2
        if drives.current_step[middle] <= t:
            left = middle + 1
        else:
            right = middle
    if left == first:
        return
    width = drives.current_width[c]
    row = drives.current_value_base[c] + (left - first - 1) * width
    for k in range(drive.size):
        value = drives.current_value[row + low + k] if width > 1 else drives.current_value[row]
        drive[k] += p_v0[k] * value
