"""Plain-Python twins of the kernels in random, neurons, conductance, delivery, plasticity, sources, engine.

Each has the name and the arguments of its kernel and changes the same arrays.  They take one element at a
time, search by looking at everything, and do the same arithmetic in the same order, so that results are
equal bit for bit.  NumPy computes float32 with a Python float in float32 where Numba takes float64: where
that matters the conversion is written out.
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
from snnsim.kernels.layout import (
    CellParameters,
    Cells,
    Drives,
    Layout,
    Plastic,
    Queue,
    Recorder,
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


def receive(current: Array, drive: Array, arrived: Array, p_vc: Array, p_cc: Array) -> None:
    for k in range(len(current)):
        total = current[k] + arrived[k]
        drive[k] = drive[k] + p_vc[k] * total
        current[k] = p_cc[k] * total
        arrived[k] = 0


def integrate(
    potential: Array, carry: Array, refractory: Array, drive: Array, threshold: Array, p_leak: Array
) -> None:
    for k in range(len(potential)):
        if refractory[k] > 0:
            carry[k] = 0
            continue
        before = potential[k]
        change = before * p_leak[k] + (drive[k] + carry[k])
        potential[k] = before + change
        carry[k] = 0 if potential[k] >= threshold[k] else change - (potential[k] - before)


def fire(
    potential: Array,
    refractory: Array,
    spiked: Array,
    threshold: Array,
    reset: Array,
    refractory_steps: Array,
    subtract: bool,
) -> int:
    for k in range(len(potential)):
        spiked[k] = 0
        if refractory[k] > 0:
            refractory[k] -= 1
            continue
        refractory[k] = 0
        if potential[k] >= threshold[k]:
            spiked[k] = 1
            refractory[k] = refractory_steps[k]
            potential[k] = reset[k] + (potential[k] - threshold[k]) if subtract else reset[k]
    return int(spiked.sum())


def copy(to: Array, values: Array) -> None:
    to[:] = values


def decay_theta(theta: Array, p_theta: Array) -> None:
    for k in range(len(theta)):
        theta[k] *= p_theta[k]


def raise_theta(theta: Array, spiked: Array, theta_plus: Array) -> None:
    for k in range(len(theta)):
        if spiked[k]:
            theta[k] += theta_plus[k]


def collect(ids: Array, spiked: Array, first_unit: int, found: int) -> int:
    for k in range(len(spiked)):
        if spiked[k]:
            ids[found] = first_unit + k
            found += 1
    return found


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
    potential: Array, refractory: Array, g_exc: Array, g_inh: Array, arrived_exc: Array, arrived_inh: Array,
    spiked: Array, leak: Any, gain: Any, drive: Any, v_exc: Any, c_exc: Any, v_inh: Any, c_inh: Any,
    threshold: Any,
) -> int:  # fmt: skip
    for k in range(len(potential)):
        row = [
            p[k] if isinstance(p, np.ndarray) else p
            for p in (leak, gain, drive, v_exc, c_exc, v_inh, c_inh, threshold)
        ]
        exc, inh = g_exc[k] + arrived_exc[k], g_inh[k] + arrived_inh[k]
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
        arrived_exc[k] = arrived_inh[k] = 0
    return int(spiked.sum())


def reset_spiked(
    potential: Array, refractory: Array, spiked: Array, threshold: Array, reset: Array,
    refractory_steps: Array, subtract: bool,
) -> None:  # fmt: skip
    for k in range(len(potential)):
        if spiked[k]:
            refractory[k] = refractory_steps[k]
            potential[k] = reset[k] + (potential[k] - threshold[k]) if subtract else reset[k]


# --- delivery


def deliver(
    buffer: Array,
    queue: Queue,
    layout: Layout,
    spikes: Spikes,
    static: Static,
    r: int,
    step_low: int,
    step_high: int,
    list_low: int,
    list_high: int,
    arrive_low: int,
    arrive_high: int,
) -> None:
    rows = static.rows
    width = layout.n_channels * int(layout.range_size[r])
    waiting = 0
    for step in range(step_low, step_high):
        for unit in _fired(layout, spikes, step, range(list_low, list_high)):
            b = int(static.bundle[unit])
            while b >= 0:
                delays = range(int(rows.delay_low[b]), int(rows.delay_high[b]) + 1)
                due = [delay for delay in delays if arrive_low <= step + delay <= arrive_high]
                if due:
                    row = unit - int(rows.first_unit[b])
                    queue.entry[waiting] = _entry_number(rows, b, r, row, due[0])
                    queue.n_delays[waiting] = len(due)
                    queue.base[waiting] = rows.base[b, r]
                    queue.at[waiting] = int(layout.buffer_base[r]) + (step + due[0]) % layout.block * width
                    waiting += 1
                if waiting == len(queue.entry):
                    add_queued(buffer, queue, rows.start, rows.target, rows.weight, waiting, width)
                    waiting = 0
                b = int(static.following[b])
    add_queued(buffer, queue, rows.start, rows.target, rows.weight, waiting, width)


def add_queued(
    buffer: Array, queue: Queue, start: Array, target: Array, weight: Array, waiting: int, stride: int
) -> None:
    for i in range(waiting):
        for d in range(int(queue.n_delays[i])):
            entry = int(queue.entry[i]) + d
            for s in range(int(start[entry]), int(start[entry + 1])):
                at = int(queue.base[i]) + s
                buffer[int(queue.at[i]) + d * stride + int(target[at])] += weight[at]


def _fired(layout: Layout, spikes: Spikes, step: int, lists: range) -> list[int]:
    """Units of some lists that fired in a step."""
    slot = step % len(spikes.n_fired)
    found = []
    for part in lists:
        first = int(layout.list_first[part])
        found += [int(u) for u in spikes.ids[slot, first : first + int(spikes.n_fired[slot, part])]]
    return found


def _entry_number(rows: Any, b: int, r: int, row: int, delay: int) -> int:
    """Entry of one source with one delay, counted through all of rows.start."""
    n_delays = int(rows.delay_high[b] - rows.delay_low[b] + 1)
    at = int(rows.table[b]) + r * (int(rows.n_rows[b]) * n_delays + 1)
    return at + row * n_delays + delay - int(rows.delay_low[b])


def _entry(rows: Any, b: int, r: int, row: int, delay: int) -> range:
    """Synapses of one source with one delay."""
    at, base = _entry_number(rows, b, r, row, delay), int(rows.base[b, r])
    return range(base + int(rows.start[at]), base + int(rows.start[at + 1]))


# --- plasticity


def decayed(trace: float, table: Array, rate: float, steps: int) -> float:
    if steps < len(table):
        return float(trace) * float(table[steps])
    return float(trace) * math.exp(-int(steps) * float(rate))


def depressed(w: float, trace: float, dependence: int, constant: Array) -> float:
    c = [float(x) for x in constant]
    low, high = c[pl.W_MIN], c[pl.W_MAX]
    width = high - low
    size = {
        pl.ADDITIVE: lambda: width,
        pl.MULTIPLICATIVE: lambda: w - low,
        pl.POWER: lambda: width * (max(w - low, 0.0) / width) ** c[pl.MU_MINUS],
        pl.POWER_LAW: lambda: w,
    }[dependence]()
    return min(max(w - c[pl.A_MINUS] * size * trace, low), high)


def potentiated(w: float, trace: float, dependence: int, constant: Array) -> float:
    c = [float(x) for x in constant]
    low, high = c[pl.W_MIN], c[pl.W_MAX]
    width = high - low
    size = {
        pl.ADDITIVE: lambda: width,
        pl.MULTIPLICATIVE: lambda: high - w,
        pl.POWER: lambda: width * (max(high - w, 0.0) / width) ** c[pl.MU_PLUS],
        pl.POWER_LAW: lambda: c[pl.W_0] ** (1.0 - c[pl.MU_PLUS]) * w ** c[pl.MU_PLUS],
    }[dependence]()
    return min(max(w + c[pl.A_PLUS] * size * trace, low), high)


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
    at = int(layout.buffer_base[r]) + t % layout.block * int(layout.range_size[r]) * layout.n_channels
    for q in range(len(rows.first_unit)):
        first, n_rows = int(rows.first_unit[q]), int(rows.n_rows[q])
        home = int(plastic.source_level[q])
        lists = range(home * layout.n_ranges, (home + 1) * layout.n_ranges)
        for delay in range(int(rows.delay_low[q]), int(rows.delay_high[q]) + 1):
            due = delay > 0 if level < 0 else delay == 0 and home == level
            if due and t >= delay:
                for unit in _fired(layout, spikes, t - delay, lists):
                    if first <= unit < first + n_rows:
                        arrive_at_row(buffer, plastic, q, r, unit - first, delay, t, at, learning)


def arrive_at_row(
    buffer: Array,
    plastic: Plastic,
    q: int,
    r: int,
    row: int,
    delay: int,
    t: int,
    at: int,
    learning: bool,
) -> None:
    rows = plastic.rows
    learns, dependence, nearest, _ = (int(x) for x in plastic.rule[q])
    post = int(plastic.post_base[q] + plastic.piece_low[q, r] - plastic.piece_slot[q, r])
    synapses = _entry(rows, q, r, row, delay)
    for s in synapses:
        slot = int(rows.target[s])
        if learning and learns:
            y = _trace(plastic, q, "post", post + slot, t)
            rows.weight[s] = depressed(float(rows.weight[s]), y, dependence, plastic.constant[q])
        buffer[at + slot] += rows.weight[s]
    if synapses and learns:
        n_delays = int(rows.delay_high[q] - rows.delay_low[q] + 1)
        entry = int(plastic.arrived_base[q, r]) + row * n_delays + delay - int(rows.delay_low[q])
        x = 0.0 if nearest else _trace(plastic, q, "arrived", entry, t)
        plastic.arrived_trace[entry] = x + 1.0
        plastic.arrived_step[entry] = t


def _trace(plastic: Plastic, q: int, which: str, i: int, t: int) -> float:
    """A trace as it has decayed until step t."""
    before = plastic.arrived_trace if which == "arrived" else plastic.post_trace
    since = plastic.arrived_step if which == "arrived" else plastic.post_step
    table = plastic.decay_plus if which == "arrived" else plastic.decay_minus
    rate = plastic.constant[q, pl.RATE_PLUS if which == "arrived" else pl.RATE_MINUS]
    return decayed(float(before[i]), table[q], float(rate), t - int(since[i]))


def post_spikes(
    layout: Layout, spikes: Spikes, plastic: Plastic, r: int, level: int, t: int, learning: bool
) -> None:
    part = level * layout.n_ranges + r
    for q in range(len(plastic.rows.first_unit)):
        first = int(layout.pop_first[plastic.target_pop[q]] + plastic.piece_low[q, r])
        for unit in _fired(layout, spikes, t, range(part, part + 1)):
            if not plastic.rule[q, pl.LEARNS] or not first <= unit < first + plastic.piece_n[q, r]:
                continue
            if learning:
                potentiate_column(plastic, q, r, unit - first, t)
            i = int(plastic.post_base[q] + plastic.piece_low[q, r]) + unit - first
            y = 0.0 if plastic.rule[q, pl.NEAREST] else _trace(plastic, q, "post", i, t)
            plastic.post_trace[i] = y + 1.0
            plastic.post_step[i] = t


def _column(plastic: Plastic, q: int, r: int, column: int) -> range:
    """Places in column_synapse of the synapses onto one target."""
    base, ptr = int(plastic.rows.base[q, r]), int(plastic.column_base[q, r]) + column
    return range(base + int(plastic.column_ptr[ptr]), base + int(plastic.column_ptr[ptr + 1]))


def potentiate_column(plastic: Plastic, q: int, r: int, column: int, t: int) -> None:
    weight = plastic.rows.weight
    for c in _column(plastic, q, r, column):
        entry = int(plastic.arrived_base[q, r]) + int(plastic.column_entry[c])
        if plastic.arrived_trace[entry] > 0:
            x = _trace(plastic, q, "arrived", entry, t)
            s = int(plastic.rows.base[q, r]) + int(plastic.column_synapse[c])
            dependence = int(plastic.rule[q, pl.DEPENDENCE])
            weight[s] = potentiated(float(weight[s]), x, dependence, plastic.constant[q])


def normalise(plastic: Plastic, q: int, r: int) -> None:
    weight, base = plastic.rows.weight, int(plastic.rows.base[q, r])
    for column in range(int(plastic.piece_n[q, r])):
        synapses = [base + int(plastic.column_synapse[c]) for c in _column(plastic, q, r, column)]
        total = 0.0
        for s in synapses:
            total += float(weight[s])
        if total != 0.0:
            factor = float(plastic.constant[q, pl.TOTAL]) / total
            for s in synapses:
                weight[s] = float(weight[s]) * factor


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
    for k in range(low, low + n):
        ids[found] = first_unit + k - low
        found += _fires(sources, p, k, m, offset, t)
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
    arrived: Array, draw: Array, top: Array, count: Array, drives: Drives, d: int, low: int, t: int
) -> None:
    if not drives.poisson_start[d] <= t < drives.poisson_stop[d]:
        return
    key = subkey(drives.poisson_key[d], t)
    shared = bool(drives.shared[d])
    weight = arrived.dtype.type(drives.poisson_weight[d])
    for k in range(len(arrived)):
        row = int(drives.row[int(drives.row_base[d]) + low + k])
        base = int(drives.cut_base[row])
        cut = drives.cut[base : base + int(drives.cut_n[row])]
        draw[k] = subkey(key, low + k)
        if shared:
            top[k] = int(draw[k]) >> 32
        count[k] = count_one(draw[k], cut)
        arrived[k] = arrived[k] + weight * arrived.dtype.type(count[k])


def count_one(draw: Any, cut: Array) -> int:
    return sum(1 for c in cut if int(c) <= int(draw) >> 11)


def count_shared(count: Array, draw: Array, top: Array, cut: Array) -> None:
    for k in range(len(draw)):
        top[k] = int(draw[k]) >> 32
        count[k] = count_one(draw[k], cut)


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
    tid: int,
    n_threads: int,
    sync: Array,
    begin: int,
    end: int,
    learning: bool,
    layout: Layout,
    cells: Cells,
    parameters: CellParameters,
    spikes: Spikes,
    static: Static,
    plastic: Plastic,
    sources: Sources,
    drives: Drives,
    recorder: Recorder,
    scratch: Scratch,
    queue: Queue,
) -> int:
    """As one thread: tid = 0, n_threads = 1."""
    ranges, levels = range(layout.n_ranges), range(layout.n_levels)
    written = 0
    for t in range(begin, end):
        for r in ranges:
            sample(recorder, layout, cells, r, begin, t)
            _receive_earlier(queue, layout, spikes, static, plastic, r, t, learning)
            fire_sources(layout, spikes, sources, r, t)
        for level in levels:
            for r in ranges if level > 0 else ():
                update_list(layout, cells, parameters, spikes, drives, scratch, r, level, t, learning)
            for r in ranges if layout.immediate[level] else ():
                deliver_within_block(queue, layout, spikes, static, r, level, t, t)
                arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, level)
        for r in ranges:
            for level in levels:
                if not layout.immediate[level]:
                    deliver_within_block(queue, layout, spikes, static, r, level, t, t + 1)
                if level > 0:
                    post_spikes(layout, spikes, plastic, r, level, t, learning)
        record(recorder, layout, spikes, t)
        written += int(spikes.n_fired[t % len(spikes.n_fired)].sum())
        if written > len(recorder.spike_step) - spikes.ids.shape[1]:
            return t + 1
    return end


def _receive_earlier(
    queue: Queue,
    layout: Layout,
    spikes: Spikes,
    static: Static,
    plastic: Plastic,
    r: int,
    t: int,
    learning: bool,
) -> None:
    """What spikes of earlier steps bring to range r."""
    n_lists, last = layout.n_levels * layout.n_ranges, t + layout.block - 1
    if t % layout.block == 0:
        earlier = max(0, t - int(static.longest)), t
        deliver(spikes.buffer, queue, layout, spikes, static, r, *earlier, 0, n_lists, t, last)
    for q in range(len(plastic.rule)):
        every = plastic.rule[q, pl.NORMALISE_EVERY]
        if learning and every > 0 and t % every == 0:
            normalise(plastic, q, r)
    arrivals(spikes.buffer, layout, spikes, plastic, r, t, learning, -1)


def deliver_within_block(
    queue: Queue, layout: Layout, spikes: Spikes, static: Static, r: int, level: int, t: int, arrive_low: int
) -> None:
    last = (t // layout.block + 1) * layout.block - 1
    lists = level * layout.n_ranges, (level + 1) * layout.n_ranges
    if arrive_low <= last:
        deliver(spikes.buffer, queue, layout, spikes, static, r, t, t + 1, *lists, arrive_low, last)


def fire_sources(layout: Layout, spikes: Spikes, sources: Sources, r: int, t: int) -> None:
    slot = t % len(spikes.n_fired)
    first = found = int(layout.list_first[r])
    for g in range(int(layout.segment_ptr[r]), int(layout.segment_ptr[r + 1])):
        p, unit = int(layout.segment_pop[g]), int(layout.segment_first[g])
        low, n_here = unit - int(layout.pop_first[p]), int(layout.segment_n[g])
        found = emit(spikes.ids[slot], found, sources, p, unit, low, n_here, t)
    spikes.n_fired[slot, r] = found - first


def update_list(
    layout: Layout,
    cells: Cells,
    parameters: CellParameters,
    spikes: Spikes,
    drives: Drives,
    scratch: Scratch,
    r: int,
    level: int,
    t: int,
    learning: bool,
) -> None:
    part = level * layout.n_ranges + r
    slot = t % len(spikes.n_fired)
    first = found = int(layout.list_first[part])
    for g in range(int(layout.segment_ptr[part]), int(layout.segment_ptr[part + 1])):
        for offset in range(0, int(layout.segment_n[g]), n.CHUNK):
            m = min(n.CHUNK, int(layout.segment_n[g]) - offset)
            update_chunk(layout, cells, parameters, spikes.buffer, drives, scratch, r, g, offset, t, learning)
            unit = int(layout.segment_first[g]) + offset
            found = collect(spikes.ids[slot], scratch.spiked[:m], unit, found)
    spikes.n_fired[slot, part] = found - first


def update_chunk(
    layout: Layout,
    cells: Cells,
    parameters: CellParameters,
    buffer: Array,
    drives: Drives,
    scratch: Scratch,
    r: int,
    g: int,
    offset: int,
    t: int,
    learning: bool,
) -> int:
    m, p = min(n.CHUNK, int(layout.segment_n[g]) - offset), int(layout.segment_pop[g])
    drive, threshold, spiked, *random = (part[:m] for part in scratch)
    unit = int(layout.segment_first[g]) + offset
    low, a = unit - int(layout.pop_first[p]), unit - layout.n_sources
    column = int(parameters.column[p]) + (0 if parameters.shared[p] else low)
    value = parameters.value[:, column : column + m]
    at = int(layout.buffer_base[r]) + t % layout.block * int(layout.range_size[r]) * layout.n_channels
    at += int(layout.segment_local[g]) + offset
    arrived = [buffer[at + c * int(layout.range_size[r]) :][:m] for c in range(layout.n_channels)]
    theta = cells.theta[a : a + m]
    adapts = bool(parameters.adaptive[p])
    drive[:] = value[n.DRIVE]
    for c in np.flatnonzero(drives.current_pop == p):
        current_input(drive, drives, int(c), low, t, value[n.P_V0])
    for d in np.flatnonzero(drives.poisson_pop == p):
        poisson_input(arrived[int(drives.poisson_channel[d])], *random, drives, int(d), low, t)
    threshold[:] = value[n.THRESHOLD]
    if adapts and learning:
        decay_theta(theta, value[n.P_THETA])
    if adapts:
        for k in range(m):
            threshold[k] += theta[k]
    here, left = cells.potential[a : a + m], cells.refractory[a : a + m]
    t_ref = parameters.refractory_steps[column : column + m]
    currents, subtract = cells.current[:, a : a + m], bool(parameters.subtract[p])
    if parameters.conductance[p]:
        n_fired = conductances(
            cells, parameters.value, buffer, drive, threshold, spiked, a, at, int(layout.range_size[r]),
            column, m, False,
        )  # fmt: skip
        reset_spiked(here, left, spiked, threshold, value[n.RESET], t_ref, subtract)
    else:
        for c in range(int(parameters.channels[p])):
            receive(currents[c], drive, arrived[c], value[n.P_VC + c], value[n.P_CC + c])
        integrate(here, cells.carry[a : a + m], left, drive, threshold, value[n.P_LEAK])
        n_fired = fire(here, left, spiked, threshold, value[n.RESET], t_ref, subtract)
    if adapts and learning:
        raise_theta(theta, spiked, value[n.THETA_PLUS])
    return n_fired


def conductances(
    cells: Cells, value: Array, buffer: Array, drive: Array, threshold: Array, spiked: Array, a: int,
    slots: int, channel: int, column: int, m: int, same: bool,
) -> int:  # fmt: skip
    """Always with arrays: where a number would do, its copies do as well."""
    columns = value[:, column : column + m]
    return update_conductance(
        cells.potential[a : a + m], cells.refractory[a : a + m], *cells.current[:2, a : a + m],
        buffer[slots : slots + m], buffer[slots + channel : slots + channel + m], spiked,
        columns[co.LEAK], columns[co.GAIN], columns[n.DRIVE] if same else drive,
        columns[n.P_VC], columns[n.P_CC], columns[n.P_VC + 1], columns[n.P_CC + 1],
        columns[n.THRESHOLD] if same else threshold,
    )  # fmt: skip


def sample(recorder: Recorder, layout: Layout, cells: Cells, r: int, begin: int, t: int) -> None:
    for p in range(len(recorder.every)):
        every, variable = int(recorder.every[p]), int(recorder.variable[p])
        if t % every:
            continue
        number = sum(1 for s in range(begin, t) if s % every == 0)  # samples of this call before this one
        frame = int(recorder.frame_base[p]) + number * int(recorder.width[p])
        first, last = recorder.item_ptr[p * layout.n_ranges + r : p * layout.n_ranges + r + 2]
        for k in range(int(first), int(last)):
            i = int(recorder.item_neuron[k])
            found = {
                e.POTENTIAL: cells.potential[i] + recorder.rest[i],
                e.THETA: cells.theta[i],
                e.CURRENT_EXC: cells.current[0, i],
                e.CURRENT_INH: cells.current[-1, i],
            }
            recorder.frame[frame + int(recorder.item_column[k])] = found[variable]


def record(recorder: Recorder, layout: Layout, spikes: Spikes, t: int) -> None:
    """A kernel also writes units that nobody wants, to the place that the next one takes."""
    for unit in _fired(layout, spikes, t, range(spikes.n_fired.shape[1])):
        at = int(recorder.n_spikes[0])
        recorder.spike_step[at], recorder.spike_unit[at] = t, unit
        recorder.n_spikes[0] += int(recorder.wanted[unit])
