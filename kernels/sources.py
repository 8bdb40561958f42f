"""Spike sources and direct drives.  Every random number depends on (seed, stream, step, unit) only."""

import numpy as np
from numba import njit

from snnsim.kernels.random import subkey, uniform01

RATE, LATENCY, DELTA, EVENTS, RARE = 0, 1, 2, 3, 4
GAPS = 1024  # gaps between two sources that fire are looked up as far as this
BLOCK = 8192  # sources that are drawn one after the other
GUIDE_BITS = 12  # of a random number, which say where its search among the gaps starts
_GUIDE_SHIFT = np.uint64(53 - GUIDE_BITS)
_TIE = np.uint16(256)
_FINE = np.int64(1 << 62)  # sub-stream of the lower bits of Poisson draws


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

    Within each block of BLOCK sources, counted from the first of the population, the number of sources
    that stay silent before the next spike is the number of cuts <= u, where u is a random number of 53
    bits: inversion of the geometric distribution.  GAPS of them are skipped without a spike, as a gap has
    no memory, and the next number is drawn.  So every source fires independently of all others, and the
    work grows with the number of spikes.
    """
    row = sources.gap_row[p]
    cut, guide = sources.gap_cut[row], sources.gap_guide[row]
    for block in range(low // BLOCK, (low + n + BLOCK - 1) // BLOCK):
        k = block * BLOCK
        end = min(k + BLOCK, low + n)
        counter = block * BLOCK
        while True:
            u = subkey(key, counter) >> np.uint64(11)
            counter += 1
            gap = np.uint64(guide[u >> _GUIDE_SHIFT])
            gap += np.uint64(cut[gap] <= u)  # this, once, is enough nearly always, and no branch
            while cut[gap] <= u:
                gap += np.uint64(1)
            k += np.int64(gap)
            if k >= end:
                break
            fires = np.int64(gap < GAPS)
            ids[found] = first_unit + k - low
            found += fires & np.int64(k >= low)
            k += fires
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
def poisson_input(arrived, draw, draw_16, count, drives, d, low, t):
    """Add the weighted Poisson counts of drive d to the neurons low, low + 1, ... of its target.

    arrived         F[n]                                     changed
    draw, draw_16   uint64[>= n / 4 + 2] and the same memory as uint16, written
    count           uint16[>= n]                              written
    The count is the number of cuts <= u, where u is a random number of 53 bits: inversion of the
    distribution, exact to those bits.  Four neurons share a random word for the upper 16 bits of their u;
    these nearly always decide.
    """
    if t < drives.poisson_start[d] or t >= drives.poisson_stop[d]:
        return
    n = arrived.size
    key = subkey(drives.poisson_key[d], t)
    fine = subkey(key, _FINE)
    word = low // 4
    for k in range((low + n + 3) // 4 - word):
        draw[k] = subkey(key, word + k)
    upper = draw_16[low - 4 * word : low - 4 * word + n]
    first = drives.row_base[d] + low
    weight = arrived.dtype.type(drives.poisson_weight[d])
    row = drives.row[first]
    if drives.shared[d] != 0 and drives.cut_n[row] < np.int64(_TIE):
        base = drives.cut_base[row]
        count_shared(count, upper, fine, low, drives.cut[base : base + drives.cut_n[row]])
        for k in range(n):
            arrived[k] += weight * arrived.dtype.type(count[k])
    else:
        for k in range(n):
            row = drives.row[first + k]
            base = drives.cut_base[row]
            one = count_one(upper[k], fine, low + k, drives.cut[base : base + drives.cut_n[row]])
            arrived[k] += weight * arrived.dtype.type(one)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def count_one(upper, fine, k, cut):
    """Number of cuts <= u = 2**37 upper + 37 bits of `fine`, number k.   cut  uint64[...]  ascending"""
    u = (np.uint64(upper) << np.uint64(37)) | (subkey(fine, k) >> np.uint64(27))
    left, right = 0, cut.size
    while left < right:
        middle = (left + right) // 2
        if cut[middle] <= u:
            left = middle + 1
        else:
            right = middle
    return left


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def upper_bits(cut, j):
    """uint16: the upper 16 of the 53 bits of cut j; the largest number beyond the last cut."""
    return np.uint16(cut[j] >> np.uint64(37)) if j < cut.size else np.uint16(65535)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def count_shared(count, upper, fine, low, cut):
    """count_one for many draws and fewer than 256 cuts, eight cuts at a time by their upper bits.

    Where the upper bits of a draw and of a cut are the same (256 and more in `count`), the draw is looked up
    alone.
    """
    highest = np.uint16(0)
    for k in range(upper.size):
        highest = max(highest, upper[k])
        count[k] = np.uint16(0)
    for j in range(0, cut.size, 8):
        if upper_bits(cut, j) > highest:
            break
        add_eight(
            count, upper,
            upper_bits(cut, j), upper_bits(cut, j + 1), upper_bits(cut, j + 2), upper_bits(cut, j + 3),
            upper_bits(cut, j + 4), upper_bits(cut, j + 5), upper_bits(cut, j + 6), upper_bits(cut, j + 7),
        )  # fmt: skip
    largest = np.uint16(0)
    for k in range(upper.size):
        largest = max(largest, count[k])
    if largest >= _TIE:
        for k in range(upper.size):
            if count[k] >= _TIE:
                count[k] = count_one(upper[k], fine, low + k, cut)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def add_eight(count, upper, c0, c1, c2, c3, c4, c5, c6, c7):
    """Count the cuts below each draw, and 256 for one that is equal.  All uint16."""
    for k in range(upper.size):
        x = upper[k]
        n = np.uint16(count[k] + np.uint16(x > c0))
        n = np.uint16(n + np.uint16(x > c1))
        n = np.uint16(n + np.uint16(x > c2))
        n = np.uint16(n + np.uint16(x > c3))
        n = np.uint16(n + np.uint16(x > c4))
        n = np.uint16(n + np.uint16(x > c5))
        n = np.uint16(n + np.uint16(x > c6))
        n = np.uint16(n + np.uint16(x > c7))
        differ = min(np.uint16(x ^ c0), np.uint16(x ^ c1))
        differ = min(differ, min(np.uint16(x ^ c2), np.uint16(x ^ c3)))
        differ = min(differ, min(np.uint16(x ^ c4), np.uint16(x ^ c5)))
        differ = min(differ, min(np.uint16(x ^ c6), np.uint16(x ^ c7)))
        count[k] = np.uint16(n + _TIE) if differ == np.uint16(0) else n


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
