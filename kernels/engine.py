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
from snnsim.kernels.conductance import GAIN, update_conductance
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
    copy,
    decay_theta,
    raise_theta,
    reset,
    update,
)
from snnsim.kernels.plasticity import arrivals, normalise, post_spikes
from snnsim.kernels.sources import current_input, emit, poisson_input
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
        if t % layout.block == 0:
            deliver(
                spikes.buffer, queue, layout, spikes, static, tid, n_threads, max(0, t - static.longest), t,
                none, layout.n_levels * layout.n_ranges, t, t + layout.block - 1,
            )  # fmt: skip
        for r in range(tid, layout.n_ranges, n_threads):
            if recorder.every.size > 0:
                sample(recorder, layout, cells, r, begin, t)
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
def update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning):
    """Step t of the neurons of one (level, range), and their spike list."""
    part = level * layout.n_ranges + r
    slot = t % spikes.n_fired.shape[0]
    ids, buffer, value = spikes.ids[slot], spikes.buffer, parameters.value
    found = layout.list_first[part]
    for g in range(layout.segment_ptr[part], layout.segment_ptr[part + 1]):
        p = layout.segment_pop[g]
        shared, adaptive = parameters.shared[p] != 0, parameters.adaptive[p] != 0
        equal = shared and not adaptive and not driven(drives, p)
        base = layout.buffer_base[r] + ((t % layout.block) << layout.slot_bits) + layout.segment_local[g]
        for offset in range(0, layout.segment_n[g], CHUNK):
            n = min(CHUNK, layout.segment_n[g] - offset)
            unit = layout.segment_first[g] + offset
            low = unit - layout.pop_first[p]  # index within the population
            slots = base + offset
            a = parameters.column[p] + (0 if shared else low)
            b = a + n
            poisson_inputs(buffer, layout, drives, scratch, r, p, slots, n, low, t)
            if equal:
                found = update_cells(
                    ids, found, layout, cells, parameters, buffer, scratch.spiked, r, p, unit, slots, n,
                    value[P_LEAK, a], value[GAIN, a], value[DRIVE, a], value[P_VC, a], value[P_CC, a],
                    value[P_VC + 1, a], value[P_CC + 1, a], value[THRESHOLD, a], value[RESET, a],
                    parameters.refractory_steps[a],
                )  # fmt: skip
                continue
            before = found
            drive, threshold = scratch.drive[:n], scratch.threshold[:n]
            theta = cells.theta[unit - layout.n_sources :]
            drive_and_threshold(drive, threshold, theta, value, a, drives, p, low, t, adaptive, learning)
            found = update_cells(
                ids, found, layout, cells, parameters, buffer, scratch.spiked, r, p, unit, slots, n,
                value[P_LEAK, a:b], value[GAIN, a:b], drive, value[P_VC, a:b], value[P_CC, a:b],
                value[P_VC + 1, a:b], value[P_CC + 1, a:b], threshold, value[RESET, a:b],
                parameters.refractory_steps[a:b],
            )  # fmt: skip
            if learning and adaptive and found > before:
                raise_theta(theta[:n], scratch.spiked, value[THETA_PLUS, a:b])
    spikes.n_fired[slot, part] = found - layout.list_first[part]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def driven(drives, p):
    """Does a current act on population p?"""
    found = False
    for c in range(drives.current_pop.size):
        found |= drives.current_pop[c] == p
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def poisson_inputs(buffer, layout, drives, scratch, r, p, slots, n, low, t):
    """All Poisson drives of the neurons low to low + n - 1 of population p, added to their input buffer."""
    for d in range(drives.poisson_pop.size):
        if drives.poisson_pop[d] == p:
            first = slots + drives.poisson_channel[d] * layout.range_size[r]
            arrived = buffer[first : first + n]
            poisson_input(arrived, scratch.draw, scratch.draw_16, scratch.counts, drives, d, low, t)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def drive_and_threshold(drive, threshold, theta, value, column, drives, p, low, t, adaptive, learning):
    """What differs from neuron to neuron or changes in time, of neurons low, low + 1, ... of population p.

    drive, threshold  F[n]     written  mV
    theta             F[>= n]  changed  mV  decays where the threshold adapts and rules act
    """
    n = drive.size
    end = column + n
    copy(drive, value[DRIVE, column:end])
    for c in range(drives.current_pop.size):
        if drives.current_pop[c] == p:
            current_input(drive, drives, c, low, t, value[P_V0, column:end])
    copy(threshold, value[THRESHOLD, column:end])
    if adaptive:
        if learning:
            decay_theta(theta[:n], value[P_THETA, column:end])
        for k in range(n):
            threshold[k] += theta[k]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def update_cells(
    ids, found, layout, cells, parameters, buffer, spiked, r, p, unit, slots, n,
    p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold, reset_to, refractory_steps,
):  # fmt: skip
    """One step of n neurons of population p, of any model: unit is the first, and its input is at `slots`.

    ids         int32[...]    written from `found` on: the neurons that spike; returns the new count
    p_leak ...  F or F[n]     parameters: numbers, or arrays where neurons differ
    """
    a = unit - layout.n_sources  # index of the state
    b = a + n
    second = slots + layout.range_size[r]
    potential, refractory, spiked = cells.potential[a:b], cells.refractory[a:b], spiked[:n]
    exc, arrived = cells.current[0, a:b], buffer[slots : slots + n]
    if parameters.conductance[p] != 0:
        n_fired = update_conductance(
            potential, refractory, exc, cells.current[1, a:b], arrived, buffer[second : second + n], spiked,
            p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    elif parameters.channels[p] == 1:
        n_fired = update(
            potential, cells.carry[a:b], refractory, exc, None, arrived, None, spiked,
            p_leak, drive, p_v_exc, p_c_exc, None, None, threshold,
        )  # fmt: skip
    else:
        n_fired = update(
            potential, cells.carry[a:b], refractory, exc, cells.current[1, a:b],
            arrived, buffer[second : second + n], spiked,
            p_leak, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    if n_fired > 0:
        subtract = parameters.subtract[p] != 0
        found = reset(
            potential, refractory, spiked, threshold, reset_to, refractory_steps, subtract, ids, unit, found
        )
    return found


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
            i = recorder.item_neuron[k]
            at = frame + recorder.item_column[k]
            if recorder.variable[p] == POTENTIAL:
                recorder.frame[at] = cells.potential[i] + recorder.rest[i]
            elif recorder.variable[p] == THETA:
                recorder.frame[at] = cells.theta[i]
            else:
                recorder.frame[at] = cells.current[recorder.variable[p] - CURRENT_EXC, i]


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
