"""State in the order of units and synapses: the same arrays, whatever ranges the kernels work in.

The kernels keep spikes in flight, arrivals and plastic synapses apart for each range.  What is saved must
not depend on that, since ranges follow the number of threads:

    fired     uint8[n_slots, ceil(n_units / 8)]       one bit a unit: spikes of the last steps
    current   F[n_channels, n_neurons]
    arriving  F[block, n_channels, n_neurons]         what has arrived for each step of the present block
    weight    F[n_plastic]                            by projection, source, delay, target
    arrived   float64[n_entries, 2]                   last arrival at each (projection, source, delay)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnsim.kernels.layout import Cells, Layout, Plastic, PlasticRows, Spikes


def fired(spikes: Spikes, layout: Layout) -> np.ndarray:
    """Bits of the units that fired, a row for each slot of the ring of steps."""
    n_slots, n_units = spikes.ids.shape
    found = np.zeros((n_slots, n_units), dtype=np.uint8)
    for slot, part in np.argwhere(spikes.n_fired > 0):
        first = layout.list_first[part]
        found[slot, spikes.ids[slot, first : first + spikes.n_fired[slot, part]]] = 1
    return np.packbits(found, axis=1, bitorder="little")


def set_fired(spikes: Spikes, layout: Layout, bits: np.ndarray) -> None:
    """The other way."""
    n_slots, n_units = spikes.ids.shape
    for slot, row in enumerate(np.unpackbits(bits, axis=1, count=n_units, bitorder="little")):
        units = np.flatnonzero(row)
        ends = np.searchsorted(units, layout.list_first)
        spikes.n_fired[slot] = np.diff(ends)
        for part in np.flatnonzero(spikes.n_fired[slot]):
            first = layout.list_first[part]
            mine = units[ends[part] : ends[part + 1]]
            spikes.ids[slot, first : first + mine.size] = mine


def arriving(spikes: Spikes, layout: Layout) -> np.ndarray:
    """What has arrived so far for the steps of the present block: nothing where that is a single step."""
    n_neurons = spikes.ids.shape[1] - layout.n_sources
    found = np.zeros((layout.block, layout.n_channels, n_neurons), spikes.buffer.dtype)
    if layout.block > 1:
        for neurons, slots in _places(spikes.buffer, layout, layout.block):
            found[:, :, neurons] = slots
    return found


def set_arriving(spikes: Spikes, layout: Layout, values: np.ndarray) -> None:
    """The other way."""
    if layout.block > 1:
        for neurons, slots in _places(spikes.buffer, layout, layout.block):
            slots[...] = values[:, :, neurons]


def currents(cells: Cells, layout: Layout) -> np.ndarray:
    """The currents of all neurons."""
    found = np.zeros((layout.n_channels, cells.potential.size), cells.current.dtype)
    for neurons, slots in _places(cells.current, layout, 1):
        found[:, neurons] = slots[0]
    return found


def set_currents(cells: Cells, layout: Layout, values: np.ndarray) -> None:
    """The other way."""
    for neurons, slots in _places(cells.current, layout, 1):
        slots[0] = values[:, neurons]


def _places(values: np.ndarray, layout: Layout, n_steps: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The neurons of each segment, and their slots: a view [n_steps, n_channels, n] of the values."""
    steps = values.reshape(layout.n_ranges, n_steps, -1)
    for part in range(layout.n_ranges, layout.n_ranges * layout.n_levels):
        r = part % layout.n_ranges
        size, n_channels = int(layout.range_size[r]), layout.n_channels
        slots = steps[r, :, : n_channels * size].reshape(n_steps, n_channels, size)
        for g in range(layout.segment_ptr[part], layout.segment_ptr[part + 1]):
            first, n = int(layout.segment_first[g]) - layout.n_sources, int(layout.segment_n[g])
            local = int(layout.segment_local[g])
            yield slice(first, first + n), slots[:, :, local : local + n]


def weights(plastic: Plastic) -> np.ndarray:
    """Weights of the plastic synapses, which have caught up."""
    found = np.empty_like(plastic.rows.weight)
    for mine, position in _synapses(plastic.rows):
        found[position] = plastic.rows.weight[mine]
    return found


def set_weights(plastic: Plastic, values: np.ndarray) -> None:
    """The other way."""
    for mine, position in _synapses(plastic.rows):
        plastic.rows.weight[mine] = values[position]


def _synapses(rows: PlasticRows) -> Iterator[tuple[slice, np.ndarray]]:
    """The synapses of each (projection, range), and their place in the order of sources."""
    n_ranges = rows.base.shape[1] - 1
    for q, start in _tables(rows):
        count = np.diff(start, axis=0)
        in_order = int(rows.base[q, 0]) + np.cumsum(count).reshape(count.shape) - count
        for r in range(n_ranges):
            shift = in_order[:, r] - start[:-1, r]
            low, high = int(rows.base[q, r]), int(rows.base[q, r + 1])
            yield slice(low, high), np.repeat(shift, count[:, r]) + np.arange(high - low)


def arrived(plastic: Plastic) -> np.ndarray:
    """Step and trace of the last arrival at each entry; -1 and 0 for none, or without a synapse."""
    found = []
    for q, start in _tables(plastic.rows):
        place, held = _memories(plastic, q, start)
        values = np.tile([-1.0, 0.0], (len(held), 1))
        some = np.flatnonzero(held.any(axis=1))
        one = np.argmax(held[some], axis=1)  # any range that has a synapse there
        values[some] = plastic.arrived[place[some, one]]
        found.append(values)
    return np.concatenate([np.zeros((0, 2)), *found])


def set_arrived(plastic: Plastic, values: np.ndarray) -> None:
    """The other way."""
    low = 0
    for q, start in _tables(plastic.rows):
        place, held = _memories(plastic, q, start)
        entry = np.nonzero(held)[0]
        plastic.arrived[place[held]] = values[low + entry]
        low += len(held)


def _memories(plastic: Plastic, q: int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64[n_entries, n_ranges]: where each row keeps its arrivals; and whether it has a synapse.

    The same as memory_of in kernels/plasticity.py, for all rows of a projection.
    """
    rows = plastic.rows
    held = np.diff(start, axis=0) > 0
    if plastic.own[q]:
        place = rows.base[q, :-1] + start[:-1]
    else:
        place = rows.table[q] + np.arange(held.size).reshape(held.shape)
    return plastic.arrived_base[q] + place, held


def _tables(rows: PlasticRows) -> Iterator[tuple[int, np.ndarray]]:
    """int64[n_entries + 1, n_ranges] for each projection: where entries begin within their range."""
    n_ranges = rows.base.shape[1] - 1
    for q in range(rows.first_unit.size):
        n_entries = int(rows.n_rows[q] * (rows.delay_high[q] - rows.delay_low[q] + 1))
        low = int(rows.table[q])
        yield q, rows.start[low : low + (n_entries + 1) * n_ranges].reshape(-1, n_ranges).astype(np.int64)
