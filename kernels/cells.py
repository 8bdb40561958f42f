"""One step of the neurons of a range: their input, the kernel of their model, and the list of their spikes.

Where no delay is longer than a step, a block is one step long, and what arrives is added to the currents
themselves: the input buffer is the same memory (snn/program.py), and kernels get no arrivals.  Elsewhere what
arrives within the block waits in the buffer, in the same order.
"""

from numba import njit

from snnsim.kernels.conductance import GAIN, update_conductance
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
from snnsim.kernels.sources import current_input, poisson_input


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning):
    """Step t of the neurons of one (level, range), and their spike list."""
    part = level * layout.n_ranges + r
    slot = t % spikes.n_fired.shape[0]
    ids, buffer, value, spiked = spikes.ids[slot], spikes.buffer, parameters.value, scratch.spiked
    found = layout.list_first[part]
    for g in range(layout.segment_ptr[part], layout.segment_ptr[part + 1]):
        p = layout.segment_pop[g]
        shared, adaptive = parameters.shared[p] != 0, parameters.adaptive[p] != 0
        equal = shared and not adaptive and not driven(drives, p)
        first_place = (r << layout.slot_bits) + layout.segment_local[g]
        step = layout.buffer_base[r] + ((t % layout.block) << layout.slot_bits)
        first_slot = step + layout.segment_local[g]
        for offset in range(0, layout.segment_n[g], CHUNK):
            n = min(CHUNK, layout.segment_n[g] - offset)
            unit = layout.segment_first[g] + offset
            low = unit - layout.pop_first[p]  # index within the population
            place, slots = first_place + offset, first_slot + offset
            a = parameters.column[p] + (0 if shared else low)
            b = a + n
            poisson_inputs(buffer, layout, drives, scratch, r, p, slots, n, low, t)
            if equal:
                found = update_cells(
                    ids, found, layout, cells, parameters, buffer, spiked, r, p, unit, place, slots, n,
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
                ids, found, layout, cells, parameters, buffer, spiked, r, p, unit, place, slots, n,
                value[P_LEAK, a:b], value[GAIN, a:b], drive, value[P_VC, a:b], value[P_CC, a:b],
                value[P_VC + 1, a:b], value[P_CC + 1, a:b], threshold, value[RESET, a:b],
                parameters.refractory_steps[a:b],
            )  # fmt: skip
            if learning and adaptive and found > before:
                raise_theta(theta[:n], spiked, value[THETA_PLUS, a:b])
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
    ids, found, layout, cells, parameters, buffer, spiked, r, p, unit, place, slots, n,
    p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold, reset_to, refractory_steps,
):  # fmt: skip
    """One step of n neurons of population p, of any model; unit is the first.

    ids         int32[...]    written from `found` on: the neurons that spike; returns the new count
    place       of its first current;  `slots` of its input.  They are the same where blocks are one step long
    p_leak ...  F or F[n]     parameters: numbers, or arrays where neurons differ
    """
    a = unit - layout.n_sources  # index of the state
    b = a + n
    second = layout.range_size[r]
    potential, carry, refractory = cells.potential[a:b], cells.carry[a:b], cells.refractory[a:b]
    exc, inh = cells.current[place : place + n], cells.current[place + second : place + second + n]
    spiked = spiked[:n]
    if layout.block == 1:
        n_fired = integrate(
            parameters, p, potential, carry, refractory, exc, inh, None, None, spiked,
            p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    else:
        n_fired = integrate(
            parameters, p, potential, carry, refractory, exc, inh,
            buffer[slots : slots + n], buffer[slots + second : slots + second + n], spiked,
            p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    if n_fired > 0:
        subtract = parameters.subtract[p] != 0
        found = reset(
            potential, refractory, spiked, threshold, reset_to, refractory_steps, subtract, ids, unit, found
        )
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def integrate(
    parameters, p, potential, carry, refractory, exc, inh, arrived_exc, arrived_inh, spiked,
    p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
):  # fmt: skip
    """The kernel of the model of population p; arguments as it has them.  Returns the number of spikes."""
    if parameters.conductance[p] != 0:
        n_fired = update_conductance(
            potential, refractory, exc, inh, arrived_exc, arrived_inh, spiked,
            p_leak, gain, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    elif parameters.channels[p] == 1:
        n_fired = update(
            potential, carry, refractory, exc, None, arrived_exc, None, spiked,
            p_leak, drive, p_v_exc, p_c_exc, None, None, threshold,
        )  # fmt: skip
    else:
        n_fired = update(
            potential, carry, refractory, exc, inh, arrived_exc, arrived_inh, spiked,
            p_leak, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
        )  # fmt: skip
    return n_fired
