"""Spikes to the neurons they reach: weights added to the input buffer of the current block.

The synapses of one source that arrive within the block lie next to each other, but where they begin
is anywhere in memory.  So the spikes are queued first, and while the synapses of one are added, the
beginnings of the next ones are fetched.
"""

import numpy as np
from numba import njit

from snnsim.kernels.prefetch import prefetch

QUEUE = 1024  # spikes that wait at a time; any number gives the same sums
_AHEAD_TABLE, _AHEAD_ROWS = 12, 4  # how many spikes ahead to fetch
_FETCHED = 160  # synapses of a row fetched ahead; the processor itself goes on from there
_LINE = 64  # bytes


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def deliver(
    buffer,
    queue,
    layout,
    spikes,
    static,
    r,
    step_low,
    step_high,
    list_low,
    list_high,
    arrive_low,
    arrive_high,
):
    """Add to range r what spikes of the steps [step_low, step_high) bring within [arrive_low, arrive_high].

    buffer  F[...]  changed; the arrival window lies inside one block
    queue   Queue   working memory
    Steps, the lists list_low <= l < list_high, and units are taken in ascending order.
    """
    rows = static.rows
    if rows.first_unit.size == 0:
        return
    stride = layout.range_size[r] * layout.n_channels
    block_start = arrive_low - arrive_low % layout.block
    waiting = 0
    for step in range(step_low, step_high):
        slot = step % spikes.n_fired.shape[0]
        for part in range(list_low, list_high):
            first = layout.list_first[part]
            for k in range(first, first + spikes.n_fired[slot, part]):
                unit = spikes.ids[slot, k]
                b = np.int64(static.bundle[unit])
                while b >= 0:
                    low = max(arrive_low - step, rows.delay_low[b])
                    high = min(arrive_high - step, rows.delay_high[b])
                    if low <= high:
                        n_delays = rows.delay_high[b] - rows.delay_low[b] + 1
                        row = (unit - rows.first_unit[b]) * n_delays + low - rows.delay_low[b]
                        queue.entry[waiting] = rows.table[b] + r * (rows.n_rows[b] * n_delays + 1) + row
                        queue.n_delays[waiting] = high - low + 1
                        queue.base[waiting] = rows.base[b, r]
                        queue.at[waiting] = layout.buffer_base[r] + (step + low - block_start) * stride
                        waiting += 1
                        if waiting == QUEUE:
                            add_queued(buffer, queue, rows.start, rows.target, rows.weight, waiting, stride)
                            waiting = 0
                    b = static.following[b]
    add_queued(buffer, queue, rows.start, rows.target, rows.weight, waiting, stride)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def add_queued(buffer, queue, start, target, weight, waiting, stride):
    """Add the synapses of the first `waiting` spikes of the queue, in order.

    buffer  F[...]  changed;  the rows of the buffer are `stride` apart
    """
    for i in range(waiting):
        if i + _AHEAD_TABLE < waiting:
            prefetch(start, queue.entry[i + _AHEAD_TABLE])
        if i + _AHEAD_ROWS < waiting:
            j = i + _AHEAD_ROWS
            low = queue.base[j] + start[queue.entry[j]]
            high = min(queue.base[j] + start[queue.entry[j] + queue.n_delays[j]], low + _FETCHED)
            for s in range(low, high, _LINE // target.itemsize):
                prefetch(target, s)
            for s in range(low, high, _LINE // weight.itemsize):
                prefetch(weight, s)
        entry, base, at = queue.entry[i], queue.base[i], queue.at[i]
        low = base + start[entry]
        for d in range(queue.n_delays[i]):
            high = base + start[entry + d + 1]
            for s in range(low, high):
                buffer[at + np.int64(target[s])] += weight[s]
            low = high
            at += stride
