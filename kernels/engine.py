"""The time loop.

Every thread runs `advance` over the same steps and does the ranges tid, tid + n_threads, ...  One
step t of one range:

    1  at the start of a block: earlier spikes deliver what arrives within the block
    2  weights are normalised where that is due; spikes arrive at plastic synapses
    3  sources fire; then, level by level: input, integration, threshold, reset, spike list
    4  (after a barrier) spikes of this step deliver what still arrives within the block
    5  spikes of this step potentiate plastic synapses

Results do not depend on the number of threads: a range is worked on by one thread at a time, and what
it reads of others is complete at the barrier.  They do not depend on how a run is split, since blocks
are counted from step 0 and unfinished ones are part of the state.

The kernels of the loop allocate nothing and are compiled without reference counts (_nrt=False): taking a
slice would otherwise count atomically, and threads would fight for the counters of shared arrays.
"""

import numpy as np
from numba import njit

from snnsim.kernels.barrier import wait_for_all
from snnsim.kernels.conductance import GAIN, LEAK, reset_spiked, update_conductance
from snnsim.kernels.delivery import deliver
from snnsim.kernels.neurons import (
    CHUNK,
    DRIVE,
    P_CC,
    P_LEAK,
    P_THETA,
    P_V0,
    P_VC,
    RESET,
    THETA_PLUS,
    THRESHOLD,
    collect,
    copy,
    decay_theta,
    fire,
    integrate,
    raise_theta,
    receive,
)
from snnsim.kernels.plasticity import NORMALISE_EVERY, arrivals, normalise, post_spikes
from snnsim.kernels.sources import current_input, emit, poisson_input

POTENTIAL, CURRENT_EXC, CURRENT_INH, THETA = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def advance(  # noqa: C901  (the order of a step is best read in one place)
    tid, n_threads, sync, begin, end, learning,
    layout, cells, parameters, spikes, static, plastic, sources, drives, recorder, scratch, queue,
):  # fmt: skip
    """Run the steps begin <= t < end; returns the step reached.

    scratch, queue  working memory of this thread alone
    Stops early, in the same step in all threads, when the spike record might overflow in the next step.
    """
    room = recorder.spike_step.size - spikes.ids.shape[1]
    written = 0
    for t in range(begin, end):
        for r in range(tid, layout.n_ranges, n_threads):
            sample(recorder, layout, cells, r, begin, t)
            if t % layout.block == 0:
                deliver(
                    spikes.buffer, queue, layout, spikes, static, r, max(0, t - static.longest), t,
                    0, layout.n_levels * layout.n_ranges, t, t + layout.block - 1,
                )  # fmt: skip
            if learning:
                for q in range(plastic.rule.shape[0]):
                    every = plastic.rule[q, NORMALISE_EVERY]
                    if every > 0 and t % every == 0:
                        normalise(plastic, q, r)
            arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, -1)
            fire_sources(layout, spikes, sources, r, t)
        for level in range(layout.n_levels):
            if level > 0:
                for r in range(tid, layout.n_ranges, n_threads):
                    update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning)
            if layout.immediate[level] != 0:
                wait_for_all(sync, n_threads)
                for r in range(tid, layout.n_ranges, n_threads):
                    deliver_within_block(queue, layout, spikes, static, r, level, t, t)
                    arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, level)
        wait_for_all(sync, n_threads)
        for r in range(tid, layout.n_ranges, n_threads):
            for level in range(layout.n_levels):
                if layout.immediate[level] == 0:
                    deliver_within_block(queue, layout, spikes, static, r, level, t, t + 1)
                if level > 0:
                    post_spikes(layout, spikes, plastic, r, level, t, learning)
        if tid == 0:
            record(recorder, layout, spikes, t)
        slot = t % spikes.n_fired.shape[0]
        for part in range(spikes.n_fired.shape[1]):
            written += spikes.n_fired[slot, part]
        if written > room:
            return t + 1
    return end


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def deliver_within_block(queue, layout, spikes, static, r, level, t, arrive_low):
    """Spikes of one level and step t deliver what arrives from arrive_low to the end of the block."""
    arrive_high = t - t % layout.block + layout.block - 1
    if arrive_low <= arrive_high:
        low = level * layout.n_ranges
        deliver(
            spikes.buffer, queue, layout, spikes, static, r, t, t + 1,
            low, low + layout.n_ranges, arrive_low, arrive_high,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
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


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning):
    """Step t of the neurons of one (level, range), and their spike list."""
    part = level * layout.n_ranges + r
    slot = t % spikes.n_fired.shape[0]
    found = layout.list_first[part]
    for g in range(layout.segment_ptr[part], layout.segment_ptr[part + 1]):
        first = layout.segment_first[g]
        for offset in range(0, layout.segment_n[g], CHUNK):
            n_fired = update_chunk(
                layout, cells, parameters, spikes.buffer, drives, scratch, r, g, offset, t, learning
            )
            if n_fired > 0:
                n = min(CHUNK, layout.segment_n[g] - offset)
                found = collect(spikes.ids[slot], scratch.spiked[:n], first + offset, found)
    spikes.n_fired[slot, part] = found - layout.list_first[part]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def update_chunk(layout, cells, parameters, buffer, drives, scratch, r, g, offset, t, learning):
    """Step t of up to CHUNK neurons of one population; returns the number of spikes."""
    n = min(CHUNK, layout.segment_n[g] - offset)
    drive, threshold, spiked = scratch.drive[:n], scratch.threshold[:n], scratch.spiked[:n]
    p = layout.segment_pop[g]
    low = layout.segment_first[g] + offset - layout.pop_first[p]  # index within the population
    a = layout.segment_first[g] + offset - layout.n_sources  # index of the state
    b = a + n
    column = parameters.column[p] + (0 if parameters.shared[p] != 0 else low)
    end = column + n
    value = parameters.value
    slots = layout.buffer_base[r] + (t % layout.block) * layout.range_size[r] * layout.n_channels
    slots += layout.segment_local[g] + offset
    copy(drive, value[DRIVE, column:end])
    same = parameters.shared[p] != 0 and parameters.adaptive[p] == 0  # of all neurons, in every step
    for c in range(drives.current_pop.size):
        if drives.current_pop[c] == p:
            same = False
            current_input(drive, drives, c, low, t, value[P_V0, column:end])
    for d in range(drives.poisson_pop.size):
        if drives.poisson_pop[d] == p:
            at = slots + drives.poisson_channel[d] * layout.range_size[r]
            poisson_input(
                buffer[at : at + n], scratch.draw[:n], scratch.top[:n], scratch.counts[:n], drives, d, low, t
            )
    copy(threshold, value[THRESHOLD, column:end])
    if parameters.adaptive[p] != 0:
        if learning:
            decay_theta(cells.theta[a:b], value[P_THETA, column:end])
        for k in range(n):
            threshold[k] += cells.theta[a + k]
    if parameters.conductance[p] != 0:
        n_fired = conductances(cells, value, buffer, drive, threshold, spiked, a, slots, layout.range_size[r],
                               column, n, same)  # fmt: skip
        if n_fired > 0:
            reset_spiked(
                cells.potential[a:b], cells.refractory[a:b], spiked, threshold, value[RESET, column:end],
                parameters.refractory_steps[column:end], parameters.subtract[p] != 0,
            )  # fmt: skip
    else:
        for c in range(parameters.channels[p]):
            at = slots + c * layout.range_size[r]
            receive(
                cells.current[c, a:b], drive, buffer[at : at + n],
                value[P_VC + c, column:end], value[P_CC + c, column:end],
            )  # fmt: skip
        integrate(
            cells.potential[a:b], cells.carry[a:b], cells.refractory[a:b], drive, threshold,
            value[P_LEAK, column:end],
        )  # fmt: skip
        n_fired = fire(
            cells.potential[a:b], cells.refractory[a:b], spiked, threshold, value[RESET, column:end],
            parameters.refractory_steps[column:end], parameters.subtract[p] != 0,
        )  # fmt: skip
    if learning and parameters.adaptive[p] != 0:
        raise_theta(cells.theta[a:b], spiked, value[THETA_PLUS, column:end])
    return n_fired


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def conductances(cells, value, buffer, drive, threshold, spiked, a, slots, channel, column, n, same):
    """Step of n neurons with conductances, up to the reset; returns the number of spikes.

    a        first neuron            slots    first slot of its arrivals
    channel  slots of one channel    column   first column of parameters
    same     are drive, threshold and all parameters those of the first neuron?
    """
    b, end, inh = a + n, column + n, slots + channel
    if same:
        return update_conductance(
            cells.potential[a:b], cells.refractory[a:b], cells.current[0, a:b], cells.current[1, a:b],
            buffer[slots : slots + n], buffer[inh : inh + n], spiked,
            value[LEAK, column], value[GAIN, column], value[DRIVE, column],
            value[P_VC, column], value[P_CC, column], value[P_VC + 1, column], value[P_CC + 1, column],
            value[THRESHOLD, column],
        )  # fmt: skip
    return update_conductance(
        cells.potential[a:b], cells.refractory[a:b], cells.current[0, a:b], cells.current[1, a:b],
        buffer[slots : slots + n], buffer[inh : inh + n], spiked,
        value[LEAK, column:end], value[GAIN, column:end], drive,
        value[P_VC, column:end], value[P_CC, column:end],
        value[P_VC + 1, column:end], value[P_CC + 1, column:end],
        threshold,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def sample(recorder, layout, cells, r, begin, t):
    """Copy the state variables of range r that are due at the start of step t."""
    n_ranges = layout.n_ranges
    for p in range(recorder.every.size):
        every = recorder.every[p]
        if t % every != 0:
            continue
        frame = recorder.frame_base[p] + (t // every - (begin + every - 1) // every) * recorder.width[p]
        for k in range(recorder.item_ptr[p * n_ranges + r], recorder.item_ptr[p * n_ranges + r + 1]):
            i = recorder.item_neuron[k]
            at = frame + recorder.item_column[k]
            if recorder.variable[p] == POTENTIAL:
                recorder.frame[at] = cells.potential[i] + recorder.rest[i]
            elif recorder.variable[p] == THETA:
                recorder.frame[at] = cells.theta[i]
            else:
                recorder.frame[at] = cells.current[recorder.variable[p] - CURRENT_EXC, i]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
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
