"""Pair STDP with heterogeneous delays, and weight normalisation.

Equations and the rule for ties: snn/plasticity.py.  Traces are kept at the events that change them
and decayed on demand, so a silent synapse costs nothing.  Each range changes only its own synapses.
Twin: tests/oracle.py.
"""

import math

import numpy as np
from numba import njit

LEARNS, DEPENDENCE, NEAREST, NORMALISE_EVERY = 0, 1, 2, 3  # columns of Plastic.rule
A_PLUS, A_MINUS, W_MIN, W_MAX, MU_PLUS, MU_MINUS, W_0, TOTAL = 0, 1, 2, 3, 4, 5, 6, 7
RATE_PLUS, RATE_MINUS = 8, 9  # dt / tau.  Columns of Plastic.constant
N_CONSTANTS = 10
ADDITIVE, MULTIPLICATIVE, POWER, POWER_LAW = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def decayed(trace, table, rate, steps):
    """trace * exp(-steps * rate), from a table of the exponential as far as it goes."""
    if steps < table.size:
        return trace * table[steps]
    return trace * math.exp(-steps * rate)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def depressed(w, trace, dependence, constant):
    """The weight after a presynaptic arrival that meets the postsynaptic trace.

    Normalisation, or rounding to float32, may have left w outside its bounds: no power of such a distance.
    """
    w_min, w_max = constant[W_MIN], constant[W_MAX]
    if dependence == ADDITIVE:
        size = w_max - w_min
    elif dependence == POWER_LAW:
        size = w
    elif dependence == MULTIPLICATIVE:
        size = w - w_min
    else:
        size = (w_max - w_min) * (max(w - w_min, 0.0) / (w_max - w_min)) ** constant[MU_MINUS]
    return min(max(w - constant[A_MINUS] * size * trace, w_min), w_max)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def potentiated(w, trace, dependence, constant):
    """The weight after a postsynaptic spike that meets the presynaptic trace."""
    w_min, w_max = constant[W_MIN], constant[W_MAX]
    if dependence == ADDITIVE:
        size = w_max - w_min
    elif dependence == POWER_LAW:
        size = constant[W_0] ** (1.0 - constant[MU_PLUS]) * w ** constant[MU_PLUS]
    elif dependence == MULTIPLICATIVE:
        size = w_max - w
    else:
        size = (w_max - w_min) * (max(w_max - w, 0.0) / (w_max - w_min)) ** constant[MU_PLUS]
    return min(max(w + constant[A_PLUS] * size * trace, w_min), w_max)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def first_at_least(ids, low, high, unit):
    """Smallest k in [low, high] with ids[k] >= unit (high if none); ids ascend."""
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < unit:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def arrivals(buffer, layout, spikes, plastic, r, t, learning, level):
    """Presynaptic spikes that arrive in step t at the plastic synapses of range r.

    level = -1 takes the spikes of earlier steps, level >= 0 those that the level emits in step t itself.
    Depresses the weight, delivers it, then raises the presynaptic trace.  Projections, delays, then
    sources are taken in ascending order.
    """
    rows = plastic.rows
    n_slots = spikes.n_fired.shape[0]
    at = layout.buffer_base[r] + ((t % layout.block) << layout.slot_bits)
    for q in range(rows.first_unit.size):
        shortest, longest = max(rows.delay_low[q], 1), rows.delay_high[q]
        if level >= 0:
            longest = 0
            shortest = rows.delay_low[q] if plastic.source_level[q] == level else 1
        for delay in range(shortest, longest + 1):
            if t - delay < 0:
                break
            slot = (t - delay) % n_slots
            part_0 = plastic.source_level[q] * layout.n_ranges
            first_unit = rows.first_unit[q]
            last_unit = first_unit + rows.n_rows[q]
            for part in range(part_0, part_0 + layout.n_ranges):
                low = layout.list_first[part]
                high = low + spikes.n_fired[slot, part]
                for k in range(first_at_least(spikes.ids[slot], low, high, first_unit), high):
                    unit = spikes.ids[slot, k]
                    if unit >= last_unit:
                        break
                    arrive_at_row(buffer, plastic, q, r, unit - first_unit, delay, t, at, learning)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def arrive_at_row(buffer, plastic, q, r, row, delay, t, at, learning):
    """One presynaptic spike at the synapses of one row with one delay."""
    rows = plastic.rows
    n_delays = rows.delay_high[q] - rows.delay_low[q] + 1
    entry = row * n_delays + delay - rows.delay_low[q]
    table = rows.table[q] + r * (rows.n_rows[q] * n_delays + 1) + entry
    low = rows.base[q, r] + rows.start[table]
    high = rows.base[q, r] + rows.start[table + 1]
    learns = learning and plastic.rule[q, LEARNS] != 0
    dependence = plastic.rule[q, DEPENDENCE]
    constant = plastic.constant[q]
    post = plastic.post_base[q] + plastic.piece_low[q, r] - plastic.piece_slot[q, r]
    for s in range(low, high):
        slot = rows.target[s]
        if learns:
            i = post + slot
            trace = decayed(
                plastic.post_trace[i], plastic.decay_minus[q], constant[RATE_MINUS], t - plastic.post_step[i]
            )
            rows.weight[s] = depressed(np.float64(rows.weight[s]), trace, dependence, constant)
        buffer[at + slot] += rows.weight[s]
    if high > low and plastic.rule[q, LEARNS] != 0:
        e = plastic.arrived_base[q, r] + entry
        trace = 0.0
        if plastic.rule[q, NEAREST] == 0:
            trace = decayed(
                plastic.arrived_trace[e],
                plastic.decay_plus[q],
                constant[RATE_PLUS],
                t - plastic.arrived_step[e],
            )
        plastic.arrived_trace[e] = trace + 1.0
        plastic.arrived_step[e] = t


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def post_spikes(layout, spikes, plastic, r, level, t, learning):
    """Postsynaptic spikes of step t: potentiate the incoming synapses, then raise the trace."""
    part = level * layout.n_ranges + r
    slot = t % spikes.n_fired.shape[0]
    low = layout.list_first[part]
    high = low + spikes.n_fired[slot, part]
    if low == high:
        return
    for q in range(plastic.rows.first_unit.size):
        if plastic.rule[q, LEARNS] == 0 or plastic.piece_n[q, r] == 0:
            continue
        constant = plastic.constant[q]
        first_unit = layout.pop_first[plastic.target_pop[q]] + plastic.piece_low[q, r]
        for k in range(first_at_least(spikes.ids[slot], low, high, first_unit), high):
            column = spikes.ids[slot, k] - first_unit
            if column >= plastic.piece_n[q, r]:
                break
            if learning:
                potentiate_column(plastic, q, r, column, t)
            i = plastic.post_base[q] + plastic.piece_low[q, r] + column
            trace = 0.0
            if plastic.rule[q, NEAREST] == 0:
                trace = decayed(
                    plastic.post_trace[i],
                    plastic.decay_minus[q],
                    constant[RATE_MINUS],
                    t - plastic.post_step[i],
                )
            plastic.post_trace[i] = trace + 1.0
            plastic.post_step[i] = t


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def potentiate_column(plastic, q, r, column, t):
    """One postsynaptic spike at all synapses onto its neuron."""
    base = plastic.rows.base[q, r]
    ptr = plastic.column_base[q, r] + column
    dependence = plastic.rule[q, DEPENDENCE]
    constant = plastic.constant[q]
    for c in range(base + plastic.column_ptr[ptr], base + plastic.column_ptr[ptr + 1]):
        e = plastic.arrived_base[q, r] + plastic.column_entry[c]
        if plastic.arrived_trace[e] > 0.0:
            trace = decayed(
                plastic.arrived_trace[e],
                plastic.decay_plus[q],
                constant[RATE_PLUS],
                t - plastic.arrived_step[e],
            )
            s = base + plastic.column_synapse[c]
            plastic.rows.weight[s] = potentiated(
                np.float64(plastic.rows.weight[s]), trace, dependence, constant
            )


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def normalise(plastic, q, r):
    """Scale the weights onto each target of range r to the sum TOTAL."""
    base = plastic.rows.base[q, r]
    for column in range(plastic.piece_n[q, r]):
        ptr = plastic.column_base[q, r] + column
        low, high = base + plastic.column_ptr[ptr], base + plastic.column_ptr[ptr + 1]
        total = 0.0
        for c in range(low, high):
            total += np.float64(plastic.rows.weight[base + plastic.column_synapse[c]])
        if total != 0.0:
            factor = plastic.constant[q, TOTAL] / total
            for c in range(low, high):
                s = base + plastic.column_synapse[c]
                plastic.rows.weight[s] = np.float64(plastic.rows.weight[s]) * factor
