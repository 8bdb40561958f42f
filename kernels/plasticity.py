"""Pair STDP with heterogeneous delays, and weight normalisation: what spikes do, and when.

The rule itself: kernels/stdp.py.  A weight is needed only when a spike arrives, so
the synapses are stored by source alone: postsynaptic spikes are noted for each neuron, and a synapse
that a spike reaches first catches up with those since the last one (as in NEST; Morrison, Aertsen &
Diesmann 2007).  Each of them acts on its own, in order, with the trace of the presynaptic spike before
it: so a weight does not depend on when it catches up.  Each range changes only its own synapses.
Twin: tests/oracle.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.prefetch import prefetch
from snnsim.kernels.stdp import (
    DEPENDENCE,
    FACTOR_MINUS,
    FEW,
    LEARNS,
    NEAREST,
    NOTED,
    RATE_PLUS,
    TOTAL,
    add,
    catch_up,
    catch_up_one,
    decayed,
    depress,
    depressed,
)

STEP, TRACE = 0, 1  # columns of Plastic.arrived
PLACE, LOW, HIGH = 0, 1, 2  # rows of Plastic.located
LATEST = 2**16 - 1  # a note is a uint16: step - caught_up + 1, or 0 for none
WAITING = 512  # spikes that wait at a time; any number gives the same weights
_AHEAD_TABLE, _AHEAD_ROWS = 16, 12  # how many spikes ahead to fetch, at most
_FETCHED = 512  # synapses fetched ahead; within a row the processor itself goes on from there
_LINE = 64  # bytes
_FAINT = 1e-30  # a trace below is none: arithmetic with denormal numbers is slow


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
    Brings the weight up to date, depresses it, delivers it, then raises the presynaptic trace.
    Projections, delays, then sources are taken in ascending order.
    """
    rows = plastic.rows
    n_slots = spikes.n_fired.shape[0]
    at = layout.buffer_base[r] + ((t % layout.block) << layout.slot_bits)
    for q in range(rows.first_unit.size):
        if level < 0:
            fade(plastic, q, r)
        n_delays = rows.delay_high[q] - rows.delay_low[q] + 1
        shortest, longest = max(rows.delay_low[q], 1), rows.delay_high[q]
        if level >= 0:
            longest = 0
            shortest = rows.delay_low[q] if plastic.source_level[q] == level else 1
        waiting = np.int64(0)
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
                    plastic.waiting[r, waiting] = (unit - first_unit) * n_delays + delay - rows.delay_low[q]
                    waiting += 1
                    if waiting == WAITING:
                        arrive_waiting(buffer, plastic, q, r, waiting, t, at, learning)
                        waiting = np.int64(0)
        arrive_waiting(buffer, plastic, q, r, waiting, t, at, learning)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def locate_rows(plastic, q, r, waiting):
    """Where the synapses of the first `waiting` spikes of the queue onto range r lie.

    plastic.located  written: place in rows.start, first synapse, and the one behind the last
    Spikes without a synapse here are left out.  Returns how many are not.
    """
    start, entries, located = plastic.rows.start, plastic.waiting[r], plastic.located[r]
    n_ranges, base = plastic.piece_n.shape[1], plastic.rows.base[q, r]
    table, n = plastic.rows.table[q] + r, np.int64(0)
    for k in range(waiting):
        if k + _AHEAD_TABLE < waiting:
            prefetch(start, table + entries[k + _AHEAD_TABLE] * n_ranges)
        e = table + entries[k] * n_ranges
        low, high = base + start[e], base + start[e + n_ranges]
        located[PLACE, n], located[LOW, n], located[HIGH, n] = e, low, high
        n += np.int64(low < high)
    return n


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def arrive_waiting(buffer, plastic, q, r, waiting, t, at, learning):
    """The first `waiting` spikes of the queue arrive; what the next ones need is fetched meanwhile."""
    target, weight = plastic.rows.target, plastic.rows.weight
    rule, constant = plastic.rule[q], plastic.constant[q]
    decay, rate = plastic.decay_plus[q], plastic.rate[q, RATE_PLUS]
    learns, dependence, nearest = rule[LEARNS] != 0, rule[DEPENDENCE], rule[NEAREST] != 0
    memory = plastic.arrived
    post = plastic.post_base[q] + plastic.piece_low[q, r]
    end = post + plastic.piece_n[q, r]
    y = plastic.post_trace[post:end]
    at += plastic.piece_slot[q, r]
    arrived = buffer[at : at + plastic.piece_n[q, r]]
    found, n_found, met = plastic.found[r], plastic.n_found[r], plastic.met[r]
    last_noted, caught_up = plastic.last_noted[q, r], plastic.caught_up[q, r]
    targets_a_line, weights_a_line = _LINE // target.itemsize, _LINE // weight.itemsize
    n, located = locate_rows(plastic, q, r, waiting), plastic.located[r]
    fetched, ahead = np.int64(0), np.int64(0)  # spikes, and synapses of them that are still to come
    for k in range(n):
        while fetched < min(n, k + _AHEAD_ROWS) and (ahead < _FETCHED or fetched <= k + 1):
            first, last = located[LOW, fetched], located[HIGH, fetched]
            ahead += last - first
            last = min(last, first + _FETCHED)
            prefetch(memory[:, STEP], memory_of(plastic, q, located[PLACE, fetched], first))
            for s in range(first, last, targets_a_line):
                prefetch(target, s)
            for s in range(first, last, weights_a_line):
                prefetch(weight, s)
            fetched += 1
        low, high = located[LOW, k], located[HIGH, k]
        ahead -= high - low
        if not learns:
            add(arrived, weight[low:high], target[low:high])
            continue
        e = memory_of(plastic, q, located[PLACE, k], low)
        step, trace = np.int64(memory[e, STEP]), memory[e, TRACE]
        late = step >= 0 and last_noted >= max(step, caught_up)
        if high - low <= FEW:
            since, lag = np.uint16(max(step - caught_up, 0) + 1), caught_up - 1 - step
            for s in range(low, high):
                i = np.int64(target[s])
                if late:
                    catch_up_one(
                        weight, s, plastic.noted, post + i, since, lag, trace, decay, rate, dependence,
                        constant,
                    )  # fmt: skip
                if learning:
                    weight[s] = depressed(weight[s], y[i], dependence, constant)
                arrived[i] += weight[s]
        else:
            if late:
                catch_up(
                    weight, target, low, high, plastic.noted, post, end, found, n_found, met,
                    step, caught_up, last_noted, trace, decay, rate, rule, constant,
                )  # fmt: skip
            if learning:
                depress(arrived, weight[low:high], target[low:high], y, met, dependence, constant)
            else:
                add(arrived, weight[low:high], target[low:high])
        if nearest:
            trace = 0.0
        memory[e, TRACE] = decayed(trace, decay, rate, t - step) + 1.0
        memory[e, STEP] = t


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def memory_of(plastic, q, place, low):
    """Where in `arrived` the arrivals at a row are: its place in rows.start, its first synapse."""
    return plastic.arrived_base[q] + (low if plastic.own[q] != 0 else place)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def catch_up_all(plastic, q, r, t):
    """Bring all weights of one projection and range up to date; all notes are of steps before t."""
    last_noted, caught_up = plastic.last_noted[q, r], plastic.caught_up[q, r]
    plastic.caught_up[q, r] = t
    if last_noted < caught_up:
        return
    rows = plastic.rows
    n_entries = rows.n_rows[q] * (rows.delay_high[q] - rows.delay_low[q] + 1)
    n_ranges, base = plastic.piece_n.shape[1], rows.base[q, r]
    post = plastic.post_base[q] + plastic.piece_low[q, r]
    end = post + plastic.piece_n[q, r]
    for entry in range(n_entries):
        e = rows.table[q] + entry * n_ranges + r
        low, high = base + rows.start[e], base + rows.start[e + n_ranges]
        if low == high:
            continue
        e = memory_of(plastic, q, e, low)
        step = np.int64(plastic.arrived[e, STEP])
        if step >= 0 and last_noted >= step:
            catch_up(
                rows.weight, rows.target, low, high, plastic.noted, post, end,
                plastic.found[r], plastic.n_found[r], plastic.met[r], step, caught_up, last_noted,
                plastic.arrived[e, TRACE], plastic.decay_plus[q],
                plastic.rate[q, RATE_PLUS], plastic.rule[q], plastic.constant[q],
            )  # fmt: skip
    for n in range(plastic.noted.shape[0]):  # NOTED would be unrolled: five times the code
        for i in range(post, end):
            plastic.noted[n, i] = 0


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def weights_now(out, plastic, q, position, entry):
    """Weights of some synapses as they are after all spikes so far; changes no state.

    out       F[n]      written
    position  int64[n]  of each synapse in rows.weight
    entry     int64[n]  its entry
    """
    rows = plastic.rows
    constant, table = plastic.constant[q], plastic.decay_plus[q]
    for k in range(position.size):
        s = position[k]
        r = rows.base.shape[1] - 2
        while rows.base[q, r] > s:
            r -= 1
        out[k] = rows.weight[s]
        e = rows.table[q] + entry[k] * (rows.base.shape[1] - 1) + r
        e = memory_of(plastic, q, e, rows.base[q, r] + rows.start[e])
        arrived, caught_up = np.int64(plastic.arrived[e, STEP]), plastic.caught_up[q, r]
        if arrived >= 0:
            catch_up_one(
                out, k, plastic.noted, plastic.post_base[q] + plastic.piece_low[q, r] + rows.target[s],
                max(arrived - caught_up, 0) + 1, caught_up - 1 - arrived, plastic.arrived[e, TRACE],
                table, plastic.rate[q, RATE_PLUS], plastic.rule[q, DEPENDENCE], constant,
            )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def fade(plastic, q, r):
    """Postsynaptic traces of range r decay by one step."""
    if plastic.rule[q, LEARNS] == 0:
        return
    low = plastic.post_base[q] + plastic.piece_low[q, r]
    factor = plastic.rate[q, FACTOR_MINUS]
    for i in range(low, low + plastic.piece_n[q, r]):
        trace = plastic.post_trace[i] * factor
        plastic.post_trace[i] = trace if trace > _FAINT else 0.0


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def post_spikes(layout, spikes, plastic, r, level, t, learning):
    """Postsynaptic spikes of step t are noted, for synapses to catch up with, and raise the trace."""
    part = level * layout.n_ranges + r
    slot = t % spikes.n_fired.shape[0]
    low = layout.list_first[part]
    high = low + spikes.n_fired[slot, part]
    if low == high:
        return
    for q in range(plastic.rows.first_unit.size):
        n = plastic.piece_n[q, r]
        if plastic.rule[q, LEARNS] == 0 or n == 0:
            continue
        first_unit = layout.pop_first[plastic.target_pop[q]] + plastic.piece_low[q, r]
        first = first_at_least(spikes.ids[slot], low, high, first_unit)
        last = first_at_least(spikes.ids[slot], first, high, first_unit + n)
        post = plastic.post_base[q] + plastic.piece_low[q, r] - first_unit
        nearest = plastic.rule[q, NEAREST] != 0
        for k in range(first, last):
            i = post + spikes.ids[slot, k]
            plastic.post_trace[i] = 1.0 if nearest else plastic.post_trace[i] + 1.0
        if learning and first < last:
            note(plastic, q, r, post, spikes.ids[slot, first:last], t)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def note(plastic, q, r, post, ids, t):
    """Note step t for the neurons post + ids[k].  All synapses catch up first where there is no room left."""
    noted = plastic.noted
    full = t - plastic.caught_up[q, r] + 1 > LATEST
    for k in range(ids.size):
        full = full or noted[NOTED - 1, post + ids[k]] != 0
    if full:
        catch_up_all(plastic, q, r, t)
    for k in range(ids.size):
        i = post + ids[k]
        for n in range(NOTED - 1, 0, -1):
            noted[n, i] = noted[n - 1, i]
        noted[0, i] = t - plastic.caught_up[q, r] + 1
    plastic.last_noted[q, r] = t


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def normalise(plastic, q, r, t):
    """Scale the weights onto each target of range r to the sum TOTAL, at the start of step t."""
    catch_up_all(plastic, q, r, t)
    low, high = plastic.rows.base[q, r], plastic.rows.base[q, r + 1]
    target, weight = plastic.rows.target[low:high], plastic.rows.weight[low:high]
    post = plastic.post_base[q] + plastic.piece_low[q, r]
    total = plastic.total[post : post + plastic.piece_n[q, r]]
    for i in range(total.size):
        total[i] = 0.0
    for s in range(target.size):
        total[target[s]] += np.float64(weight[s])
    for i in range(total.size):
        total[i] = np.float64(plastic.constant[q, TOTAL]) / total[i] if total[i] != 0.0 else 1.0
    for s in range(target.size):
        weight[s] = np.float64(weight[s]) * total[target[s]]
