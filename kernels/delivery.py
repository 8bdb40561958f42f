"""Spikes to the neurons they reach: weights added to the input buffer of the current block.

The synapses of one source that arrive within the block lie next to each other, but where they begin
is anywhere in memory.  So the spikes are queued first, and while the synapses of one are added, those of
the next ones are fetched, a cache line for every few synapses: memory and additions then work at the
same time.

A synapse is stored as its weight and 16 bits that say where in the buffer it arrives: the slot of its
target, and above it the delay modulo layout.group.  With the step of the spike added, modulo 2**16 or
less, this is the place within a group of steps, whatever the delay: one loop serves a whole group.
Where all synapses of a bundle weigh the same they are these 16 bits alone, and the same loop, compiled again
with a weight, adds them.  Spikes stay in their order, so no sum knows how a synapse is stored.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from snnsim.kernels.prefetch import prefetch

QUEUE = 1024  # spikes that wait at a time; any number gives the same sums
_AHEAD = 2  # how many spikes ahead to fetch, at least
_STRIDE = 10  # synapses between two fetches: a cache line holds 10.7 of 6 bytes, 6.4 of 10, 32 of 2


def stored(synapse, weight):
    """place and weight of a record, or of a place alone."""
    return synapse.tolist() if isinstance(synapse, np.void) else (synapse, weight)


@overload(stored, inline="always")
def _stored(synapse, weight):
    if isinstance(synapse, types.Record):
        return lambda synapse, weight: (synapse.place, synapse.weight)
    return lambda synapse, weight: (synapse, weight)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def deliver(
    buffer, queue, layout, spikes, static, tid, n_threads,
    step_low, step_high, list_low, list_high, arrive_low, arrive_high,
):  # fmt: skip
    """Add what spikes of the steps [step_low, step_high) bring within [arrive_low, arrive_high].

    buffer  F[...]  changed, in the ranges tid, tid + n_threads, ...; the window lies inside one block
    queue   Queue   working memory
    Steps, the lists list_low <= l < list_high, and units are taken in ascending order.
    """
    rows = static.rows
    if rows.first_unit.size == 0:
        return
    block_start = arrive_low - arrive_low % layout.block
    waiting = np.int64(0)
    for step in range(step_low, step_high):
        slot = step % spikes.n_fired.shape[0]
        for part in range(list_low, list_high):
            first = layout.list_first[part]
            for k in range(first, first + spikes.n_fired[slot, part]):
                unit = spikes.ids[slot, k]
                b = np.int64(static.bundle[unit])
                while b >= 0:
                    row = unit - rows.first_unit[b]
                    low = max(arrive_low - step, rows.delay_low[b])
                    high = min(arrive_high - step, np.int64(rows.reach[rows.reach_base[b] + row]))
                    if low <= high:
                        n_delays = rows.delay_high[b] - rows.delay_low[b] + 1
                        queue.bundle[waiting] = b
                        queue.entry[waiting] = row * n_delays + low - rows.delay_low[b]
                        queue.n_delays[waiting] = high - low + 1
                        queue.arrival[waiting] = step + low - block_start
                        queue.shift[waiting] = (step % layout.group) << layout.slot_bits
                        waiting += 1
                        if waiting == QUEUE:
                            add_everywhere(buffer, queue, layout, rows, waiting, tid, n_threads)
                            waiting = np.int64(0)
                    b = static.following[b]
    add_everywhere(buffer, queue, layout, rows, waiting, tid, n_threads)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def add_everywhere(buffer, queue, layout, rows, waiting, tid, n_threads):
    """Add the synapses of the first `waiting` spikes of the queue to all ranges of a thread."""
    if waiting > 0:
        for r in range(tid, layout.n_ranges, n_threads):
            locate(queue, rows, waiting, r)
            first = np.int64(0)
            while first < waiting:
                alike, last = rows.alike[queue.bundle[first]], first + 1
                while last < waiting and rows.alike[queue.bundle[last]] == alike:
                    last += 1
                if alike != 0:
                    add_queued(buffer, queue, layout, rows.start, rows.place, rows.weight, first, last, r)
                else:
                    add_queued(buffer, queue, layout, rows.start, rows.synapse, None, first, last, r)
                first = last


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def locate(queue, rows, waiting, r):
    """Where the synapses of the queued spikes onto range r lie: the first, and the one behind the last.

    queue.table, queue.low, queue.high  written
    """
    for i in range(waiting):
        b = queue.bundle[i]
        entries = rows.n_rows[b] * (rows.delay_high[b] - rows.delay_low[b] + 1) + 1
        queue.table[i] = rows.table[b] + r * entries + queue.entry[i]
        prefetch(rows.start, queue.table[i])
    for i in range(waiting):
        base, table = rows.base[queue.bundle[i], r], queue.table[i]
        queue.base[i] = base
        queue.low[i] = base + rows.start[table]
        queue.high[i] = base + rows.start[table + queue.n_delays[i]]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def add_queued(buffer, queue, layout, start, synapse, weights, first, waiting, r):
    """Add the located synapses of the spikes [first, waiting) of the queue to range r, in order.

    buffer   F[...]         changed
    synapse  Rows.synapse;  or Rows.place, with the weights of all bundles, else None
    """
    weight = buffer.dtype.type(0)
    one, bits = np.uint64(1), np.uint64(layout.slot_bits)
    mask = np.uint64((layout.group << layout.slot_bits) - 1)
    origin = np.uint64(layout.buffer_base[r])
    fetched, line, last = first, queue.low[first], queue.high[first]  # spike and synapses to be fetched next
    for i in range(first, waiting):
        if weights is not None:
            weight = weights[queue.bundle[i]]
        while fetched < min(i + _AHEAD, waiting):
            while line < last:
                prefetch(synapse, line)
                line += _STRIDE
            fetched += 1
            line, last = queue.low[min(fetched, waiting - 1)], queue.high[min(fetched, waiting - 1)]
        shift = np.uint64(queue.shift[i])
        table, arrival, high = queue.table[i], queue.arrival[i], queue.low[i]
        end = arrival + queue.n_delays[i]
        while arrival < end:
            n = min(layout.group - arrival % layout.group, end - arrival)
            group = origin + (np.uint64(arrival - arrival % layout.group) << bits)
            table += n
            arrival += n
            low, high = high, queue.base[i] + start[table]
            s = np.uint64(low)
            for _ in range((high - low) // _STRIDE):
                if line < last:
                    prefetch(synapse, line)
                    line += _STRIDE
                elif fetched < waiting - 1:
                    fetched += 1
                    line, last = queue.low[fetched], queue.high[fetched]
                for _ in range(_STRIDE):
                    place, more = stored(synapse[s], weight)
                    buffer[group + ((np.uint64(place) + shift) & mask)] += more
                    s += one
            for _ in range((high - low) % _STRIDE):
                place, more = stored(synapse[s], weight)
                buffer[group + ((np.uint64(place) + shift) & mask)] += more
                s += one
