"""The time loop.

Every thread runs `advance` over the same steps and does the ranges tid, tid + n_threads, ...  One
step t of one range:

    1  at the start of a block: earlier spikes deliver what arrives within the block
    2  weights are normalised where that is due; spikes arrive at plastic synapses
    3  sources fire; then, level by level: input, integration, threshold, reset, spike list
    4  (after a barrier) spikes of this step deliver what still arrives within the block
    5  spikes of this step are noted for the plastic synapses onto their neurons

Results do not depend on the number of threads: a range is worked on by one thread at a time, and what
it reads of others is complete at the barrier.  They do not depend on how a run is split, since blocks
are counted from step 0 and unfinished ones are part of the state.

The kernels of the loop allocate nothing and are compiled without reference counts (_nrt=False): taking a
slice would otherwise count atomically, and threads would fight for the counters of shared arrays.

What is called once or twice is inlined before it is compiled: any other kernel is compiled with all that it
calls, and again as a part of each kernel that calls it.
"""

import numpy as np
from numba import njit

from snnsim.kernels.barrier import wait_for_all
from snnsim.kernels.cells import update_list
from snnsim.kernels.delivery import deliver
from snnsim.kernels.plasticity import arrivals, normalise, post_spikes
from snnsim.kernels.sources import emit
from snnsim.kernels.stdp import NORMALISE_EVERY

POTENTIAL, CURRENT_EXC, CURRENT_INH, THETA = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def advance(  # noqa: C901  (the order of a step is best read in one place)
    tid, n_threads, sync, begin, end, learning,
    layout, cells, parameters, spikes, static, plastic, sources, drives, recorder, scratch, queue,
):  # fmt: skip
    """Run the steps begin <= t < end; returns the step reached.

    plastic         None without plastic synapses: then their kernels are not even compiled
    scratch, queue  working memory of this thread alone
    Stops early, in the same step in all threads, when the spike record might overflow in the next step.
    """
    room = recorder.spike_step.size - spikes.ids.shape[1]
    earlier, none = np.int64(-1), np.int64(0)  # literals would compile their functions a second time
    written = 0
    for t in range(begin, end):
        if recorder.every.size > 0:
            for r in range(tid, layout.n_ranges, n_threads):
                sample(recorder, layout, cells, r, begin, t)
        if t % layout.block == 0:
            deliver(
                spikes.buffer, queue, layout, spikes, static, tid, n_threads, max(0, t - static.longest), t,
                none, layout.n_levels * layout.n_ranges, t, t + layout.block - 1,
            )  # fmt: skip
        for r in range(tid, layout.n_ranges, n_threads):
            if plastic is not None:
                if learning:
                    for q in range(plastic.rule.shape[0]):
                        every = plastic.rule[q, NORMALISE_EVERY]
                        if every > 0 and t % every == 0:
                            normalise(plastic, q, r, t)
                arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, earlier)
            if layout.n_sources > 0:
                fire_sources(layout, spikes, sources, r, t)
        for level in range(layout.n_levels):
            if level > 0:
                for r in range(tid, layout.n_ranges, n_threads):
                    update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning)
            if layout.immediate[level] != 0:
                wait_for_all(sync, tid, n_threads)
                deliver_within_block(queue, layout, spikes, static, tid, n_threads, level, t, t)
                if plastic is not None:
                    for r in range(tid, layout.n_ranges, n_threads):
                        arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, level)
        wait_for_all(sync, tid, n_threads)
        for level in range(layout.n_levels):
            if layout.immediate[level] == 0:
                deliver_within_block(queue, layout, spikes, static, tid, n_threads, level, t, t + 1)
        if plastic is not None:
            for r in range(tid, layout.n_ranges, n_threads):
                for level in range(1, layout.n_levels):
                    post_spikes(layout, spikes, plastic, r, level, t, learning)
        if tid == 0:
            record(recorder, layout, spikes, t)
        slot = t % spikes.n_fired.shape[0]
        for part in range(spikes.n_fired.shape[1]):
            written += spikes.n_fired[slot, part]
        if written > room:
            return t + 1
    return end


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def deliver_within_block(queue, layout, spikes, static, tid, n_threads, level, t, arrive_low):
    """Spikes of one level and step t deliver what arrives from arrive_low to the end of the block."""
    arrive_high = t - t % layout.block + layout.block - 1
    if arrive_low <= arrive_high:
        low = level * layout.n_ranges
        deliver(
            spikes.buffer, queue, layout, spikes, static, tid, n_threads, t, t + 1,
            low, low + layout.n_ranges, arrive_low, arrive_high,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def fire_sources(layout, spikes, sources, r, t):
    """The spike list of the sources of range r in step t."""
    slot = t % spikes.n_fired.shape[0]
    ids = spikes.ids[slot]
    found = layout.list_first[r]
    for g in range(layout.segment_ptr[r], layout.segment_ptr[r + 1]):
        p = layout.segment_pop[g]
        first = layout.segment_first[g]
        found = emit(ids, found, sources, p, first, first - layout.pop_first[p], layout.segment_n[g], t)
    spikes.n_fired[slot, r] = found - layout.list_first[r]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def sample(recorder, layout, cells, r, begin, t):
    """Copy the state variables of range r that are due at the start of step t."""
    n_ranges = layout.n_ranges
    for p in range(recorder.every.size):
        every = recorder.every[p]
        if t % every != 0:
            continue
        frame = recorder.frame_base[p] + (t // every - (begin + every - 1) // every) * recorder.width[p]
        for k in range(recorder.item_ptr[p * n_ranges + r], recorder.item_ptr[p * n_ranges + r + 1]):
            i = recorder.item_index[k]
            at = frame + recorder.item_column[k]
            if recorder.variable[p] == POTENTIAL:
                recorder.frame[at] = cells.potential[i] + recorder.rest[i]
            elif recorder.variable[p] == THETA:
                recorder.frame[at] = cells.theta[i]
            else:
                recorder.frame[at] = cells.current[i]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def record(recorder, layout, spikes, t):
    """Append the wanted spikes of step t, ascending by unit within each level."""
    slot = t % spikes.n_fired.shape[0]
    n = recorder.n_spikes[0]
    for part in range(spikes.n_fired.shape[1]):
        first = layout.list_first[part]
        for k in range(first, first + spikes.n_fired[slot, part]):
            unit = spikes.ids[slot, k]
            recorder.spike_step[n] = t
            recorder.spike_unit[n] = unit
            n += np.int64(recorder.wanted[unit])
    recorder.n_spikes[0] = n
