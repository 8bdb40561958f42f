"""Plain-Python twins of the kernels in random, neurons, conductance, delivery, plasticity, sources, engine.

Each has the name and the arguments of its kernel and changes the same arrays, but for the working memory of a
thread (Scratch, Queue), which a twin has no use for.  They take one element at a time, search by looking at
everything, and do the same arithmetic in the same order, so that results are equal bit for bit.  NumPy
computes float32 with a Python float in float32 where Numba takes float64: where that matters the conversion
is written out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from snnsim.kernels import conductance as co
from snnsim.kernels import engine as e
from snnsim.kernels import neurons as n
from snnsim.kernels import plasticity as pl
from snnsim.kernels import sources as so
from snnsim.kernels import stdp
from snnsim.kernels.layout import (
    CellParameters,
    Cells,
    Drives,
    Layout,
    Plastic,
    Queue,
    Recorder,
    Rows,
    Scratch,
    Sources,
    Spikes,
    Static,
)

Array = np.ndarray
Integer = int | np.integer[Any]
_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15

# --- random


def mix64(x: Integer) -> int:
    z = int(x)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def subkey(key: Integer, counter: Integer) -> int:
    return mix64((int(key) + (int(counter) + 1) * _GOLDEN) & _MASK)


def stream_key(seed: Integer, stream: Integer) -> int:
    return subkey(mix64((int(seed) + _GOLDEN) & _MASK), stream)


def uniform01(key: Integer, counter: Integer) -> float:
    return (subkey(key, counter) >> 11) / 2.0**53


# --- neurons


def at(parameter: Any, k: int) -> Any:
    return parameter[k] if np.ndim(parameter) else parameter


def update(
    potential: Array, carry: Array, refractory: Array, exc: Array, inh: Array | None,
    arrived_exc: Array | None, arrived_inh: Array | None, spiked: Array, p_leak: Any, drive: Any,
    p_v_exc: Any, p_c_exc: Any, p_v_inh: Any, p_c_inh: Any, threshold: Any,
) -> int:  # fmt: skip
    channels = [(exc, arrived_exc, p_v_exc, p_c_exc), (inh, arrived_inh, p_v_inh, p_c_inh)]
    for k in range(len(potential)):
        push = at(drive, k)
        for current, arrived, p_v, p_c in channels:
            if current is not None:
                total = current[k] if arrived is None else current[k] + arrived[k]
                push = push + at(p_v, k) * total
                current[k] = at(p_c, k) * total
                if arrived is not None:
                    arrived[k] = 0
        spiked[k] = 0
        if refractory[k] > 0:
            refractory[k] -= 1
            potential[k], carry[k] = potential[k] + 0, 0  # -0.0 becomes 0.0
            continue
        refractory[k] = 0
        before = potential[k]
        change = before * at(p_leak, k) + (push + carry[k])
        potential[k] = before + change
        spiked[k] = potential[k] >= at(threshold, k)
        carry[k] = 0 if spiked[k] else change - (potential[k] - before)
    return int(spiked.sum())


def reset(
    potential: Array, refractory: Array, spiked: Array, threshold: Any, reset_to: Any, refractory_steps: Any,
    subtract: bool, ids: Array, first_unit: int, found: int,
) -> int:  # fmt: skip
    fired = [k for k in range(len(spiked)) if spiked[k]]
    for k in fired:
        over = potential[k] - at(threshold, k)
        potential[k] = at(reset_to, k) + over if subtract else at(reset_to, k)
        refractory[k] = at(refractory_steps, k)
    ids[found : found + len(fired)] = [first_unit + k for k in fired]
    return found + len(fired)


def copy(to: Array, values: Array) -> None:
    to[:] = values


def decay_theta(theta: Array, p_theta: Array) -> None:
    for k in range(len(theta)):
        theta[k] *= p_theta[k]


def raise_theta(theta: Array, spiked: Array, theta_plus: Array) -> None:
    for k in range(len(theta)):
        if spiked[k]:
            theta[k] += theta_plus[k]


# --- conductance


def approach64(x: Any) -> tuple[np.float64, np.float64]:
    return _approach(x, np.float64, np.int64, (co.C2, co.C4, co.C6, co.C8, co.C10, co.C12))


def approach32(x: Any) -> tuple[np.float32, np.float32]:
    return _approach(x, np.float32, np.int32, (co.C2, co.C4, co.C6))


def _approach(x: Any, f: Any, integer: Any, series: tuple[float, ...]) -> Any:
    """1 - exp(-x) as a fraction; k comes from rounding half to even, not from a trick with bits."""
    wide = f is np.float64
    high, low = (co.LN2_HIGH, co.LN2_LOW) if wide else (co.LN2_HIGH_32, co.LN2_LOW_32)
    x = min(f(x), f(co.FAR))
    k = f(np.rint(x * f(co.LOG2_E)))
    r = (x - k * f(high)) - k * f(low)
    r2 = r * r
    total = f(series[-1])
    for c in reversed(series[:-1]):
        total = f(c) + r2 * total
    whole = (f(2) + r2 * total) + r
    scale = f(2.0 ** -int(k))
    return (f(1) - scale) * whole + scale * (r + r), whole


def update_conductance(
    potential: Array, refractory: Array, g_exc: Array, g_inh: Array, arrived_exc: Array | None,
    arrived_inh: Array | None, spiked: Array, leak: Any, gain: Any, drive: Any, v_exc: Any, c_exc: Any,
    v_inh: Any, c_inh: Any, threshold: Any,
) -> int:  # fmt: skip
    for k in range(len(potential)):
        row = [
            p[k] if isinstance(p, np.ndarray) else p
            for p in (leak, gain, drive, v_exc, c_exc, v_inh, c_inh, threshold)
        ]
        exc, inh = g_exc[k], g_inh[k]
        if arrived_exc is not None and arrived_inh is not None:
            exc, inh = exc + arrived_exc[k], inh + arrived_inh[k]
            arrived_exc[k] = arrived_inh[k] = 0
        spiked[k] = 0
        if refractory[k] > 0:
            refractory[k] -= 1
        else:
            refractory[k] = 0
            x = row[0] + row[1] * (exc + inh)
            y = row[2] + (row[3] * exc + row[5] * inh)
            part, whole = (approach64 if potential.dtype == np.float64 else approach32)(x)
            potential[k] = potential[k] + (y - x * potential[k]) * part / (x * whole)
            spiked[k] = potential[k] >= row[7]
        g_exc[k], g_inh[k] = row[4] * exc, row[6] * inh
    return int(spiked.sum())


# --- delivery


def deliver(
    buffer: Array, queue: Queue, layout: Layout, spikes: Spikes, static: Static, tid: int, n_threads: int,
    step_low: int, step_high: int, list_low: int, list_high: int, arrive_low: int, arrive_high: int,
) -> None:  # fmt: skip
    rows = static.rows
    for r in range(tid, layout.n_ranges, n_threads):
        for step in range(step_low, step_high):
            for unit in _fired(layout, spikes, step, range(list_low, list_high)):
                b = int(static.bundle[unit])
                while b >= 0:
                    n_delays = int(rows.delay_high[b] - rows.delay_low[b] + 1)
                    for d in range(n_delays):
                        delay = int(rows.delay_low[b]) + d
                        if arrive_low <= step + delay <= arrive_high:
                            entry = (unit - int(rows.first_unit[b])) * n_delays + d
                            _add(buffer, layout, rows, b, r, entry, step + delay, delay)
                    b = int(static.following[b])


def _add(
    buffer: Array, layout: Layout, rows: Rows, b: int, r: int, entry: int, arrival: int, delay: int
) -> None:
    """Add the synapses of one entry in the step `arrival`; their places tell the delay and the slot."""
    for place, weight in _stored(rows, b)[_synapses(rows, b, r, entry)]:
        told, slot = divmod(int(place), 2**layout.slot_bits)
        assert told == delay % layout.group
        assert slot < layout.n_channels * layout.range_size[r]
        step_of_block = arrival % layout.block
        buffer[int(layout.buffer_base[r]) + step_of_block * 2**layout.slot_bits + slot] += weight


def _stored(rows: Rows, b: int) -> Array:
    """(place, weight)[...] of the kind of synapses that a bundle has."""
    if not rows.alike[b]:
        return rows.synapse
    found = np.empty(rows.place.size, rows.synapse.dtype)
    found["place"], found["weight"] = rows.place, rows.weight[b]
    return found


def _synapses(rows: Rows, b: int, r: int, entry: int) -> slice:
    """Where the synapses of one entry of a bundle are that lead to range r."""
    n_entries = int(rows.n_rows[b] * (rows.delay_high[b] - rows.delay_low[b] + 1))
    table = rows.start[int(rows.table[b]) + r * (n_entries + 1) :]
    first = int(rows.base[b, r])
    return slice(first + int(table[entry]), first + int(table[entry + 1]))


def add_everywhere(
    buffer: Array, queue: Queue, layout: Layout, rows: Rows, waiting: int, tid: int, n_threads: int
) -> None:
    for r in range(tid, layout.n_ranges, n_threads):
        _add_waiting(buffer, queue, layout, rows, waiting, r)


def _add_waiting(buffer: Array, queue: Queue, layout: Layout, rows: Rows, waiting: int, r: int) -> None:
    for i in range(waiting):
        b, entry, arrival = int(queue.bundle[i]), int(queue.entry[i]), int(queue.arrival[i])
        n_delays = int(rows.delay_high[b] - rows.delay_low[b] + 1)
        for d in range(int(queue.n_delays[i])):
            delay = int(rows.delay_low[b]) + (entry + d) % n_delays
            _add(buffer, layout, rows, b, r, entry + d, arrival + d, delay)


def locate(queue: Queue, rows: Rows, waiting: int, r: int) -> None:
    for i in range(waiting):
        b, entry, n_delays = int(queue.bundle[i]), int(queue.entry[i]), int(queue.n_delays[i])
        n_entries = int(rows.n_rows[b] * (rows.delay_high[b] - rows.delay_low[b] + 1))
        queue.table[i] = int(rows.table[b]) + r * (n_entries + 1) + entry
        queue.base[i] = rows.base[b, r]
        queue.low[i] = _synapses(rows, b, r, entry).start
        queue.high[i] = _synapses(rows, b, r, entry + n_delays - 1).stop


def add_queued(
    buffer: Array, queue: Queue, layout: Layout, start: Array, synapse: Array, weights: Array | None,
    first: int, waiting: int, r: int,
) -> None:  # fmt: skip
    """The same by what `locate` has found."""
    group, slots = int(layout.group), 2**layout.slot_bits
    for i in range(first, waiting):
        for d in range(int(queue.n_delays[i])):
            arrival = int(queue.arrival[i]) + d
            begin, end = (int(queue.base[i]) + int(start[int(queue.table[i]) + d + k]) for k in (0, 1))
            for one in synapse[begin:end]:
                place, weight = one if weights is None else (one, weights[queue.bundle[i]])
                told, slot = divmod(int(place), slots)
                step = int(queue.shift[i]) // slots  # of the spike, modulo group
                assert (told + step) % group == arrival % group
                buffer[int(layout.buffer_base[r]) + arrival * slots + slot] += weight


def _fired(layout: Layout, spikes: Spikes, step: int, lists: range) -> list[int]:
    """Units of some lists that fired in a step."""
    slot = step % len(spikes.n_fired)
    found = []
    for part in lists:
        first = int(layout.list_first[part])
        found += [int(u) for u in spikes.ids[slot, first : first + int(spikes.n_fired[slot, part])]]
    return found


# --- plasticity


def decayed(trace: float, table: Array, rate: float, steps: int) -> float:
    if steps + 1 < len(table):
        return trace * table[steps + 1]
    return float(trace) * math.exp(-int(steps) * float(rate))


def power(base: Any, exponent: Any, constant: Array) -> Any:
    return constant.dtype.type(max(float(base), 0.0) ** float(exponent))


def depressed(w: Any, trace: Any, dependence: int, constant: Array) -> Any:
    low, high = constant[stdp.W_MIN], constant[stdp.W_MAX]
    width = high - low
    size = {
        stdp.ADDITIVE: lambda: width,
        stdp.MULTIPLICATIVE: lambda: w - low,
        stdp.POWER: lambda: width * power((w - low) / width, constant[stdp.MU_MINUS], constant),
        stdp.POWER_LAW: lambda: w,
    }[dependence]()
    return min(max(w - constant[stdp.A_MINUS] * size * trace, low), high)


def potentiated(w: Any, trace: Any, dependence: int, constant: Array) -> Any:
    low, high = constant[stdp.W_MIN], constant[stdp.W_MAX]
    width, mu = high - low, constant[stdp.MU_PLUS]
    rest = constant.dtype.type(1) - mu
    size = {
        stdp.ADDITIVE: lambda: width,
        stdp.MULTIPLICATIVE: lambda: high - w,
        stdp.POWER: lambda: width * power((high - w) / width, mu, constant),
        stdp.POWER_LAW: lambda: power(constant[stdp.W_0], rest, constant) * power(w, mu, constant),
    }[dependence]()
    return min(max(w + constant[stdp.A_PLUS] * size * trace, low), high)


def first_at_least(ids: Array, low: int, high: int, unit: int) -> int:
    return next((k for k in range(low, high) if ids[k] >= unit), high)


def arrivals(
    buffer: Array,
    layout: Layout,
    spikes: Spikes,
    plastic: Plastic,
    r: int,
    t: int,
    learning: bool,
    level: int,
) -> None:
    rows = plastic.rows
    at = int(layout.buffer_base[r]) + t % layout.block * 2**layout.slot_bits
    for q in range(len(rows.first_unit)):
        if level < 0:
            fade(plastic, q, r)
        first, n_rows = int(rows.first_unit[q]), int(rows.n_rows[q])
        shortest, longest = int(rows.delay_low[q]), int(rows.delay_high[q])
        home = int(plastic.source_level[q])
        lists = range(home * layout.n_ranges, (home + 1) * layout.n_ranges)
        found = []
        for delay in range(shortest, longest + 1):
            due = delay > 0 if level < 0 else delay == 0 and home == level
            fired = _fired(layout, spikes, t - delay, lists) if due and t >= delay else []
            n_delays = longest - shortest + 1
            found += [(u - first) * n_delays + delay - shortest for u in fired if first <= u < first + n_rows]
        for k in range(0, len(found) + 1, pl.WAITING):
            part = found[k : k + pl.WAITING]
            plastic.waiting[r, : len(part)] = part
            arrive_waiting(buffer, plastic, q, r, len(part), t, at, learning)


def locate_rows(plastic: Plastic, q: int, r: int, waiting: int) -> int:
    """One after the other; what has no synapse is overwritten by the next."""
    n = 0
    for entry in plastic.waiting[r, :waiting].tolist():
        row = _plastic_entry(plastic, q, r, entry)
        plastic.located[r, :, n] = _place(plastic, q, r, entry), row.start, row.stop
        n += row.start < row.stop
    return n


def arrive_waiting(
    buffer: Array, plastic: Plastic, q: int, r: int, waiting: int, t: int, at: int, learning: bool
) -> None:
    learns, dependence, nearest, _ = (int(x) for x in plastic.rule[q])
    targets = _targets(plastic, q, r)
    slot = at + int(plastic.piece_slot[q, r])
    arrived = buffer[slot : slot + len(targets)]
    locate_rows(plastic, q, r, waiting)
    for entry in plastic.waiting[r, :waiting].tolist():
        row = _plastic_entry(plastic, q, r, entry)
        weight, target = plastic.rows.weight[row], plastic.rows.target[row]
        if not len(target):
            continue
        e = _arrived(plastic, q, r, entry)
        if learns:
            _catch_up_entry(plastic, q, r, entry)
        if learns and learning:
            y = plastic.post_trace[targets]
            met = plastic.met[r] if len(target) > stdp.FEW else np.zeros(stdp.FEW)
            depress(arrived, weight, target, y, met, dependence, plastic.constant[q])
        else:
            add(arrived, weight, target)
        if learns:
            x = 0.0 if nearest else _pre_trace(plastic, q, e, t)
            plastic.arrived[e] = t, x + 1.0


def _targets(plastic: Plastic, q: int, r: int) -> Array:
    """The places of the targets of one projection in one range in post_trace, noted and total."""
    return np.arange(plastic.piece_n[q, r]) + plastic.post_base[q] + plastic.piece_low[q, r]


def _plastic_entry(plastic: Plastic, q: int, r: int, entry: int) -> slice:
    """Synapses of one source with one delay."""
    ends = (_place(plastic, q, r, e) for e in (entry, entry + 1))
    return slice(*(int(plastic.rows.base[q, r]) + int(plastic.rows.start[k]) for k in ends))


def _place(plastic: Plastic, q: int, r: int, entry: int) -> int:
    """Place of an entry in start."""
    return int(plastic.rows.table[q]) + entry * plastic.piece_n.shape[1] + r


def _arrived(plastic: Plastic, q: int, r: int, entry: int) -> int:
    return memory_of(plastic, q, _place(plastic, q, r, entry), _plastic_entry(plastic, q, r, entry).start)


def memory_of(plastic: Plastic, q: int, place: int, low: int) -> int:
    return int(plastic.arrived_base[q]) + (low if plastic.own[q] else place)


def _pre_trace(plastic: Plastic, q: int, e: int, t: int) -> float:
    rate = float(plastic.rate[q, stdp.RATE_PLUS])
    return decayed(
        plastic.arrived[e, pl.TRACE], plastic.decay_plus[q], rate, t - int(plastic.arrived[e, pl.STEP])
    )


def add(arrived: Array, weight: Array, target: Array) -> None:
    for s in range(len(target)):
        arrived[target[s]] += weight[s]


def depress(
    arrived: Array, weight: Array, target: Array, y: Array, met: Array, dependence: int, constant: Array
) -> None:
    """One synapse after the other; working memory of a kernel, which does it in pieces, is written too."""
    for s in range(len(target)):
        if dependence != stdp.POWER:
            met[s % stdp.PIECE] = y[target[s]]
        weight[s] = depressed(weight[s], y[target[s]], dependence, constant)
        arrived[target[s]] += weight[s]


def _catch_up_entry(plastic: Plastic, q: int, r: int, entry: int) -> None:
    row = _plastic_entry(plastic, q, r, entry)
    if row.start == row.stop:
        return
    e = _arrived(plastic, q, r, entry)
    step, last = int(plastic.arrived[e, pl.STEP]), int(plastic.last_noted[q, r])
    if step < 0 or last < max(step, int(plastic.caught_up[q, r])):
        return
    targets = _targets(plastic, q, r)
    ends = int(targets[0]), int(targets[-1]) + 1
    catch_up(
        plastic.rows.weight, plastic.rows.target, row.start, row.stop, plastic.noted, *ends,
        plastic.found[r], plastic.n_found[r], plastic.met[r], step, int(plastic.caught_up[q, r]), last,
        float(plastic.arrived[e, pl.TRACE]), plastic.decay_plus[q],
        float(plastic.rate[q, stdp.RATE_PLUS]), plastic.rule[q], plastic.constant[q],
    )  # fmt: skip


def catch_up(
    weight: Array, target: Array, low: int, high: int, noted: Array, post: int, end: int, found: Array,
    n_found: Array, met: Array, arrived: int, caught_up: int, last_noted: int, trace: float, decay: Array,
    rate: float, rule: Array, constant: Array,
) -> None:  # fmt: skip
    since, lag = max(arrived - caught_up, 0) + 1, caught_up - 1 - arrived
    law = trace, decay, rate, int(rule[stdp.DEPENDENCE]), constant
    if high - low > stdp.FEW:
        row, to = weight[low:high], target[low:high]
        tabulated = last_noted - arrived < len(decay) - 1
        catch_up_many(row, to, noted, post, end, found, n_found, met, since, lag, tabulated, *law)
    else:
        for s in range(low, high):
            catch_up_one(weight, s, noted, post + int(target[s]), since, lag, *law)


def catch_up_many(
    weight: Array, target: Array, noted: Array, post: int, end: int, found: Array, n_found: Array,
    met: Array, since: int, lag: int, tabulated: bool, trace: float, decay: Array, rate: float,
    dependence: int, constant: Array,
) -> None:  # fmt: skip
    """One synapse after the other; the lists of a kernel, which it goes by, are written but not read."""
    for s in range(len(target)):
        i = post + int(target[s])
        catch_up_one(weight, s, noted, i, since, lag, trace, decay, rate, dependence, constant)
    for first in range(0, len(target), stdp.PIECE):
        left = list(range(first, min(first + stdp.PIECE, len(target))))
        dense = tabulated and dependence in (stdp.ADDITIVE, stdp.MULTIPLICATIVE) and lag == -since
        if dense:
            for s in left:
                note = int(noted[0, post + int(target[s])])
                met[s - first] = decay[note + lag + 1] if note >= since else -1.0
        for depth in range(int(dense), stdp.NOTED):
            read = [s for s in left if noted[depth, post + int(target[s])] >= since]
            for k in range(len(left)):
                found[depth, sum(1 for s in read if s < left[k])] = left[k] - first
            n_found[depth], left = len(read), read
            if not read:
                break


def catch_up_one(
    weight: Array, s: int, noted: Array, i: int, since: int, lag: int, trace: float, decay: Array,
    rate: float, dependence: int, constant: Array,
) -> None:  # fmt: skip
    for note in reversed(noted[:, i].tolist()):
        if note >= since:
            x = decayed(constant.dtype.type(trace), decay, rate, note + lag)
            weight[s] = potentiated(weight[s], constant.dtype.type(x), dependence, constant)


def catch_up_all(plastic: Plastic, q: int, r: int, t: int) -> None:
    rows = plastic.rows
    if plastic.last_noted[q, r] >= plastic.caught_up[q, r]:
        for entry in range(int(rows.n_rows[q] * (rows.delay_high[q] - rows.delay_low[q] + 1))):
            _catch_up_entry(plastic, q, r, entry)
        plastic.noted[:, _targets(plastic, q, r)] = 0
    plastic.caught_up[q, r] = t


def weights_now(out: Array, plastic: Plastic, q: int, position: Array, entry: Array) -> None:
    rows = plastic.rows
    for k in range(len(position)):
        r = sum(1 for last in rows.base[q, 1:-1] if last <= position[k])
        e = _arrived(plastic, q, r, int(entry[k]))
        arrived = int(plastic.arrived[e, pl.STEP])
        notes = plastic.noted[:, _targets(plastic, q, r)[rows.target[position[k]]]]
        since = max(arrived, int(plastic.caught_up[q, r]))
        out[k] = rows.weight[position[k]]
        for note in reversed(notes[notes > 0].tolist()):
            step = note - 1 + int(plastic.caught_up[q, r])
            if arrived >= 0 and step >= since:
                exact, rate = plastic.constant.dtype.type, float(plastic.rate[q, stdp.RATE_PLUS])
                trace = exact(plastic.arrived[e, pl.TRACE])
                x = exact(decayed(trace, plastic.decay_plus[q], rate, step - arrived))
                dependence = int(plastic.rule[q, stdp.DEPENDENCE])
                out[k] = potentiated(out[k], x, dependence, plastic.constant[q])


def fade(plastic: Plastic, q: int, r: int) -> None:
    for i in _targets(plastic, q, r) if plastic.rule[q, stdp.LEARNS] else ():
        y = float(plastic.post_trace[i]) * float(plastic.rate[q, stdp.FACTOR_MINUS])
        plastic.post_trace[i] = y if y > 1e-30 else 0.0


def post_spikes(
    layout: Layout, spikes: Spikes, plastic: Plastic, r: int, level: int, t: int, learning: bool
) -> None:
    part = level * layout.n_ranges + r
    for q in range(len(plastic.rows.first_unit)):
        first = int(layout.pop_first[plastic.target_pop[q]] + plastic.piece_low[q, r])
        fired = _fired(layout, spikes, t, range(part, part + 1))
        learns, nearest = plastic.rule[q, stdp.LEARNS], plastic.rule[q, stdp.NEAREST]
        mine = [u for u in fired if learns and first <= u < first + plastic.piece_n[q, r]]
        for i in _targets(plastic, q, r)[[u - first for u in mine]] if mine else ():
            plastic.post_trace[i] = 1.0 if nearest else float(plastic.post_trace[i]) + 1.0
        if mine and learning:
            post = int(plastic.post_base[q] + plastic.piece_low[q, r]) - first
            note(plastic, q, r, post, np.array(mine, np.int32), t)


def note(plastic: Plastic, q: int, r: int, post: int, ids: Array, t: int) -> None:
    if t - plastic.caught_up[q, r] + 1 >= 2**16 or (plastic.noted[-1, post + ids] > 0).any():
        catch_up_all(plastic, q, r, t)
    plastic.noted[1:, post + ids] = plastic.noted[:-1, post + ids].copy()
    plastic.noted[0, post + ids] = t - plastic.caught_up[q, r] + 1
    plastic.last_noted[q, r] = t


def normalise(plastic: Plastic, q: int, r: int, t: int) -> None:
    catch_up_all(plastic, q, r, t)
    mine = slice(int(plastic.rows.base[q, r]), int(plastic.rows.base[q, r + 1]))
    weight, target = plastic.rows.weight[mine], plastic.rows.target[mine]
    for column, i in enumerate(_targets(plastic, q, r)):
        synapses = np.flatnonzero(target == column)
        total = 0.0
        for s in synapses:
            total += float(weight[s])
        plastic.total[i] = float(plastic.constant[q, stdp.TOTAL]) / total if total != 0.0 else 1.0
        for s in synapses:
            weight[s] = float(weight[s]) * float(plastic.total[i])


# --- sources


def emit(ids: Array, found: int, sources: Sources, p: int, first_unit: int, low: int, n: int, t: int) -> int:
    if sources.code[p] == so.EVENTS:
        return emit_events(ids, found, sources, p, first_unit, low, n, t)
    since, period = t - int(sources.start[p]), int(sources.period[p])
    if since < 0 or period == 0:
        return found
    m, offset = divmod(since, period)
    if m >= sources.n_presentations[p] or offset >= sources.present[p]:
        return found
    if sources.code[p] == so.DELTA and offset > 0:
        return found
    if sources.code[p] == so.RARE:
        return emit_rare(ids, found, sources, p, first_unit, low, n, subkey(sources.key[p], t))
    for k in range(low, low + n):
        ids[found] = first_unit + k - low
        found += _fires(sources, p, k, m, offset, t)
    return found


def emit_rare(
    ids: Array, found: int, sources: Sources, p: int, first_unit: int, low: int, n: int, key: Integer
) -> int:
    cut = [int(c) for c in sources.gap_cut[int(sources.gap_row[p])]]
    for k in rare_sources(cut, key, low + n, low // so.BLOCK):
        if k >= 0:
            ids[found] = first_unit + k - low
            found += k >= low
        else:
            ids[found] = first_unit - k - 1 - low
    return found


def rare_sources(cut: list[int], key: Integer, n: int, first_block: int = 0) -> list[int]:
    """Which of the sources 0 to n - 1 fire, when those of one step have the key.

    Where the sources skipped end, -1 - k: the source there may or may not fire.
    """
    found = []
    for first in range(first_block * so.BLOCK, n, so.BLOCK):
        k, counter = first, first
        while True:
            gap = sum(c <= subkey(key, counter) >> 11 for c in cut)
            counter += 1
            k += gap
            if k >= min(first + so.BLOCK, n):
                break
            found.append(k if gap < so.GAPS else -1 - k)
            k += gap < so.GAPS
    return found


def _fires(sources: Sources, p: int, k: int, m: int, offset: int, t: int) -> bool:
    """Does source k fire in presentation m?"""
    width, base = int(sources.width[p]), int(sources.table_base[p])

    def value(shown: int, column: int) -> float:
        row = int(sources.schedule[int(sources.schedule_base[p]) + shown])
        return float(sources.table[base + row * width + column])

    if sources.code[p] == so.RATE:
        return uniform01(subkey(sources.key[p], t), k) < value(m, k)
    if sources.code[p] == so.LATENCY:
        return value(m, k) == offset
    change = value(m, k % width) - (value(m - 1, k % width) if m > 0 else 0.0)
    change = change if k < width else -change
    return change > 0.0 and change >= float(sources.threshold[p])


def emit_events(
    ids: Array, found: int, sources: Sources, p: int, first_unit: int, low: int, n: int, t: int
) -> int:
    for i in range(int(sources.event_base[p]), int(sources.event_base[p + 1])):
        if sources.event_step[i] == t and low <= sources.event_id[i] < low + n:
            ids[found] = first_unit + int(sources.event_id[i]) - low
            found += 1
    return found


def poisson_input(
    arrived: Array, draw: Array, draw_16: Array, count: Array, drives: Drives, d: int, low: int, t: int
) -> None:
    if not drives.poisson_start[d] <= t < drives.poisson_stop[d]:
        return
    key = subkey(drives.poisson_key[d], t)
    weight = arrived.dtype.type(drives.poisson_weight[d])
    for k in range(low, low + len(arrived)):
        row = int(drives.row[int(drives.row_base[d]) + k])
        base = int(drives.cut_base[row])
        cut = drives.cut[base : base + int(drives.cut_n[row])]
        arrived[k - low] += weight * arrived.dtype.type(poisson_count(key, k, cut))


def poisson_count(key: Integer, k: int, cut: Array) -> int:
    """Count of neuron k, when the drive has this key in this step."""
    word = subkey(key, k // 4)  # four neurons share it
    return count_one(word >> 16 * (k % 4) & 0xFFFF, subkey(key, 2**62), k, cut)


def count_one(upper: Integer, fine: Integer, k: int, cut: Array) -> int:
    u = int(upper) * 2**37 + (subkey(fine, k) >> 27)
    return sum(1 for c in cut if int(c) <= u)


def upper_bits(cut: Array, j: int) -> int:
    return int(cut[j]) // 2**37 if j < len(cut) else 2**16 - 1


def count_shared(count: Array, upper: Array, fine: Integer, low: int, cut: Array) -> None:
    for k in range(len(upper)):
        count[k] = count_one(upper[k], fine, low + k, cut)


def add_eight(count: Array, upper: Array, *eight: Integer) -> None:
    cuts = [int(c) for c in eight]
    for k in range(len(upper)):
        x = int(upper[k])
        count[k] += sum(c < x for c in cuts) + (256 if x in cuts else 0)


def current_input(drive: Array, drives: Drives, c: int, low: int, t: int, p_v0: Array) -> None:
    first = int(drives.current_base[c])
    begun = sum(1 for s in drives.current_step[first : first + int(drives.current_n[c])] if s <= t)
    if not begun:
        return
    width = int(drives.current_width[c])
    row = int(drives.current_value_base[c]) + (begun - 1) * width
    for k in range(len(drive)):
        value = float(drives.current_value[row + (low + k if width > 1 else 0)])
        drive[k] = float(drive[k]) + float(p_v0[k]) * value


# --- engine


def advance(
    tid: int, n_threads: int, sync: Array, begin: int, end: int, learning: bool, layout: Layout, cells: Cells,
    parameters: CellParameters, spikes: Spikes, static: Static, plastic: Plastic | None, sources: Sources,
    drives: Drives, recorder: Recorder, scratch: Scratch, queue: Queue,
) -> int:  # fmt: skip
    """As one thread: tid = 0, n_threads = 1."""
    ranges, levels = range(layout.n_ranges), range(layout.n_levels)
    written = 0
    for t in range(begin, end):
        for r in ranges:
            sample(recorder, layout, cells, r, begin, t)
        _receive_earlier(queue, layout, spikes, static, plastic, t, learning)
        for r in ranges:
            fire_sources(layout, spikes, sources, r, t)
        for level in levels:
            for r in ranges if level > 0 else ():
                update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning)
            if layout.immediate[level]:
                deliver_within_block(queue, layout, spikes, static, 0, 1, level, t, t)
            for r in ranges if layout.immediate[level] and plastic is not None else ():
                arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, level)
        for level in levels:
            if not layout.immediate[level]:
                deliver_within_block(queue, layout, spikes, static, 0, 1, level, t, t + 1)
            for r in ranges if level > 0 and plastic is not None else ():
                post_spikes(layout, spikes, plastic, r, level, t, learning)
        record(recorder, layout, spikes, t)
        written += int(spikes.n_fired[t % len(spikes.n_fired)].sum())
        if written > len(recorder.spike_step) - spikes.ids.shape[1]:
            return t + 1
    return end


def _receive_earlier(
    queue: Queue, layout: Layout, spikes: Spikes, static: Static, plastic: Plastic | None, t: int,
    learning: bool,
) -> None:  # fmt: skip
    """What spikes of earlier steps bring."""
    n_lists, last = layout.n_levels * layout.n_ranges, t + layout.block - 1
    if t % layout.block == 0:
        earlier = max(0, t - int(static.longest)), t
        deliver(spikes.buffer, queue, layout, spikes, static, 0, 1, *earlier, 0, n_lists, t, last)
    for r in range(layout.n_ranges) if plastic is not None else ():
        for q in range(len(plastic.rule)):
            every = plastic.rule[q, stdp.NORMALISE_EVERY]
            if learning and every > 0 and t % every == 0:
                normalise(plastic, q, r, t)
        arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, -1)


def deliver_within_block(
    queue: Queue, layout: Layout, spikes: Spikes, static: Static, tid: int, n_threads: int, level: int,
    t: int, arrive_low: int,
) -> None:  # fmt: skip
    last = (t // layout.block + 1) * layout.block - 1
    lists = level * layout.n_ranges, (level + 1) * layout.n_ranges
    if arrive_low <= last:
        buffer, steps = spikes.buffer, (t, t + 1)
        deliver(buffer, queue, layout, spikes, static, tid, n_threads, *steps, *lists, arrive_low, last)


def fire_sources(layout: Layout, spikes: Spikes, sources: Sources, r: int, t: int) -> None:
    slot = t % len(spikes.n_fired)
    first = found = int(layout.list_first[r])
    for g in range(int(layout.segment_ptr[r]), int(layout.segment_ptr[r + 1])):
        p, unit = int(layout.segment_pop[g]), int(layout.segment_first[g])
        low, n_here = unit - int(layout.pop_first[p]), int(layout.segment_n[g])
        found = emit(spikes.ids[slot], found, sources, p, unit, low, n_here, t)
    spikes.n_fired[slot, r] = found - first


def update_list(
    layout: Layout, cells: Cells, parameters: CellParameters, spikes: Spikes, drives: Drives,
    scratch: Scratch, r: int, level: int, t: int, learning: bool,
) -> None:  # fmt: skip
    """Every neuron has parameters of its own."""
    part = level * layout.n_ranges + r
    slot, value = t % len(spikes.n_fired), parameters.value
    first = found = int(layout.list_first[part])
    for g in range(int(layout.segment_ptr[part]), int(layout.segment_ptr[part + 1])):
        p, m, unit = (int(x[g]) for x in (layout.segment_pop, layout.segment_n, layout.segment_first))
        low, local = unit - int(layout.pop_first[p]), int(layout.segment_local[g])
        place, slots = (
            local + (r * n_steps + step) * 2**layout.slot_bits
            for n_steps, step in ((1, 0), (layout.block, t % layout.block))
        )
        poisson_inputs(spikes.buffer, layout, drives, scratch, r, p, slots, m, low, t)
        adapts = bool(parameters.adaptive[p])
        for k in range(m):
            a = int(parameters.column[p]) + (0 if parameters.shared[p] else low + k)
            (drive, threshold), spiked = np.zeros((2, 1), value.dtype), np.zeros(1, np.uint8)
            theta = cells.theta[unit + k - layout.n_sources :][:1]
            drive_and_threshold(drive, threshold, theta, value, a, drives, p, low + k, t, adapts, learning)
            mine = value[:, a : a + 1]
            found = update_cells(
                spikes.ids[slot], found, layout, cells, parameters, spikes.buffer, spiked, r, p, unit + k,
                place + k, slots + k, 1, mine[n.P_LEAK], mine[co.GAIN], drive, mine[n.P_VC], mine[n.P_CC],
                mine[n.P_VC + 1], mine[n.P_CC + 1], threshold, mine[n.RESET],
                parameters.refractory_steps[a : a + 1],
            )  # fmt: skip
            if adapts and learning:
                raise_theta(theta, spiked, mine[n.THETA_PLUS])
    spikes.n_fired[slot, part] = found - first


def driven(drives: Drives, p: int) -> bool:
    return p in drives.current_pop.tolist()


def poisson_inputs(
    buffer: Array, layout: Layout, drives: Drives, scratch: Scratch, r: int, p: int, slots: int, n: int,
    low: int, t: int,
) -> None:  # fmt: skip
    for d in np.flatnonzero(drives.poisson_pop == p):
        first = slots + int(drives.poisson_channel[d]) * int(layout.range_size[r])
        random = scratch.draw, scratch.draw_16, scratch.counts
        poisson_input(buffer[first : first + n], *random, drives, int(d), low, t)


def drive_and_threshold(
    drive: Array, threshold: Array, theta: Array, value: Array, column: int, drives: Drives, p: int, low: int,
    t: int, adaptive: bool, learning: bool,
) -> None:  # fmt: skip
    """Neuron by neuron."""
    for k in range(len(drive)):
        mine = value[:, column + k : column + k + 1]
        drive[k], threshold[k] = mine[n.DRIVE, 0], mine[n.THRESHOLD, 0]
        for c in np.flatnonzero(drives.current_pop == p):
            current_input(drive[k : k + 1], drives, int(c), low + k, t, mine[n.P_V0])
        if adaptive and learning:
            decay_theta(theta[k : k + 1], mine[n.P_THETA])
        if adaptive:
            threshold[k] += theta[k]


def update_cells(
    ids: Array, found: int, layout: Layout, cells: Cells, parameters: CellParameters, buffer: Array,
    spiked: Array, r: int, p: int, unit: int, place: int, slots: int, m: int, *values: Any,
) -> int:  # fmt: skip
    """Neuron by neuron, each with parameters of its own."""
    size = int(layout.range_size[r])
    for k in range(m):
        here = slice(unit + k - layout.n_sources, None)
        v, carry, left = (x[here][:1] for x in (cells.potential, cells.carry, cells.refractory))
        currents = [cells.current[place + k + c * size :][:1] for c in (0, 1)]
        came = [None if layout.block == 1 else buffer[slots + k + c * size :][:1] for c in (0, 1)]
        own = [value[k : k + 1] if isinstance(value, np.ndarray) else np.array([value]) for value in values]
        *model, reset_to, t_ref = own
        it = spiked[k : k + 1]
        integrate(parameters, p, v, carry, left, *currents, *came, it, *model)
        subtract = bool(parameters.subtract[p])
        found = reset(v, left, it, model[-1], reset_to, t_ref, subtract, ids, unit + k, found)
    return found


def integrate(
    parameters: CellParameters, p: int, v: Array, carry: Array, left: Array, exc: Array, inh: Array,
    came_exc: Array | None, came_inh: Array | None, spiked: Array, p_leak: Any, gain: Any, drive: Any,
    *others: Any,
) -> int:  # fmt: skip
    if parameters.conductance[p]:
        return update_conductance(v, left, exc, inh, came_exc, came_inh, spiked, p_leak, gain, drive, *others)
    if parameters.channels[p] == 1:
        return update(v, carry, left, exc, None, came_exc, None, spiked, p_leak, drive, *others)
    return update(v, carry, left, exc, inh, came_exc, came_inh, spiked, p_leak, drive, *others)


def sample(recorder: Recorder, layout: Layout, cells: Cells, r: int, begin: int, t: int) -> None:
    for p in range(len(recorder.every)):
        every, variable = int(recorder.every[p]), int(recorder.variable[p])
        if t % every:
            continue
        number = sum(1 for s in range(begin, t) if s % every == 0)  # samples of this call before this one
        frame = int(recorder.frame_base[p]) + number * int(recorder.width[p])
        first, last = recorder.item_ptr[p * layout.n_ranges + r : p * layout.n_ranges + r + 2]
        for k in range(int(first), int(last)):
            i = int(recorder.item_index[k])
            found = cells.current[i]
            if variable == e.POTENTIAL:
                found = cells.potential[i] + recorder.rest[i]
            elif variable == e.THETA:
                found = cells.theta[i]
            recorder.frame[frame + int(recorder.item_column[k])] = found


def record(recorder: Recorder, layout: Layout, spikes: Spikes, t: int) -> None:
    """A kernel also writes units that nobody wants, to the place that the next one takes."""
    for unit in _fired(layout, spikes, t, range(spikes.n_fired.shape[1])):
        at = int(recorder.n_spikes[0])
        recorder.spike_step[at], recorder.spike_unit[at] = t, unit
        recorder.n_spikes[0] += int(recorder.wanted[unit])
