"""The synapses of one projection as a table, in an order that depends on the network alone; counts of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from snnsim.errors import ConfigError, nearest
from snnsim.kernels.layout import PlasticRows, Rows
from snnsim.kernels.plasticity import weights_now
from snnsim.memory_recording import SampleLayout
from snnsim.probe import Probe
from snnsim.program import Program
from snnsim.weights import weight_unit
from snnsim.wiring import Bundle, bundles_of, channel_of, synapses_an_entry


class SynapseTable:
    """source, target int64[n] and delay int32[n] (steps) of a projection, by source, delay, target.

    weight() and weight_at() read the weights as they are now.
    """

    def __init__(self, program: Program, name: str) -> None:
        network = program.network
        if name not in network.projections:
            raise ConfigError("no such projection", where=name, fix=nearest(name, network.projections))
        projection = network.projections[name]
        bundles = bundles_of(network, program.delays, projection.plastic)
        b = next(k for k, bundle in enumerate(bundles) if name in bundle.projections)
        self._rows: Rows | PlasticRows = program.plastic.rows if projection.plastic else program.static.rows
        self._plastic, self._q = program.plastic if projection.plastic else None, b
        self._slot_bits = program.layout.slot_bits
        self._dtype = np.dtype(network.precision)
        self._unit = weight_unit(projection)
        before, count = _share(program, bundles[b], name)
        units, channel = program.units, channel_of(network, projection)
        parts = []
        for r in range(units.n_ranges):
            low, _ = units.piece(projection.target, r)
            slot = channel * units.range_size(r) + units.local(projection.target, r)
            shift = low if projection.plastic else low - slot
            parts.append(self._part(b, r, shift, before[r], count[r]))
        source, delay, target, position = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        del parts  # as large as the table itself
        order = np.lexsort((position, target, delay, source))
        self.source, self.delay, self.target = source[order], delay[order], target[order]
        self._position = position[order]

    def _part(
        self, b: int, r: int, shift: int, before: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """source, delay, target and position of the synapses in range r, where target = stored + shift."""
        rows = self._rows
        n_delays = int(rows.delay_high[b] - rows.delay_low[b] + 1)
        if self._plastic is None:
            start = rows.start[int(rows.table[b]) + r * (count.size + 1) :]
        else:
            start = rows.start[int(rows.table[b]) + r :: rows.base.shape[1] - 1]
        first = int(rows.base[b, r]) + start[: count.size].astype(np.int64) + before
        entry = np.repeat(np.arange(count.size), count)
        position = first[entry] + np.arange(entry.size) - (np.cumsum(count) - count)[entry]
        delay = (entry % n_delays + int(rows.delay_low[b])).astype(np.int32)
        return entry // n_delays, delay, self._stored(position) + shift, position

    def _stored(self, position: np.ndarray) -> np.ndarray:
        """int64[n]: the slots of static targets, or the place of plastic ones among their neurons."""
        if isinstance(self._rows, PlasticRows):
            return self._rows.target[position].astype(np.int64)
        place = self._rows.place if self._rows.alike[self._q] else self._rows.synapse["place"]
        return place[position].astype(np.int64) & ((1 << self._slot_bits) - 1)

    def weight(self) -> np.ndarray:
        """float[n]: the weights now."""
        return self.weight_at(None)

    def weight_at(self, ids: np.ndarray | None) -> np.ndarray:
        """float[k]: the weights now of the synapses `ids`, int[k], counted as in this table; None for all."""
        chosen = slice(None) if ids is None else ids
        position = self._position[chosen]
        if isinstance(self._rows, Rows):
            if self._rows.alike[self._q]:
                return np.full(position.size, self._rows.weight[self._q])
            return self._rows.synapse["weight"][position]
        low, high = self._rows.delay_low[self._q], self._rows.delay_high[self._q]
        entry = self.source[chosen] * (high - low + 1) + self.delay[chosen] - low
        weight = np.empty(position.size, self._dtype)
        weights_now(weight, self._plastic, self._q, position, entry)
        return weight

    def layout(self, probe: Probe, every_steps: int) -> SampleLayout:
        """How a probe of these weights is recorded; its ids count the synapses in the order of this table."""
        n = self._position.size
        if n == 0:
            raise ConfigError(
                "the projection has no synapse to record",
                where=f"probe of {probe.target}",
                fix="remove the probe",
            )
        ids = np.arange(n) if probe.ids is None else np.asarray(probe.ids)
        if ids.size and int(ids[-1]) >= n:
            raise ConfigError(
                "no such synapse",
                where=f"probe of {probe.target}",
                got=int(ids[-1]),
                expected=f"0 to {n - 1}",
            )
        return SampleLayout(ids, "weight", self._unit, every_steps, 0, self._dtype.name)


def _share(program: Program, bundle: Bundle, name: str) -> tuple[np.ndarray, np.ndarray]:
    """For each entry of the bundle: synapses of earlier projections, and of this one.

    Within an entry the projections follow each other; how many synapses each has is counted again.
    """
    network, units = program.network, program.units
    earlier = bundle.projections[: bundle.projections.index(name)]
    counts = [
        synapses_an_entry(network, units, bundle, n, program.dt_ms, program.seed) for n in (*earlier, name)
    ]
    before = np.zeros_like(counts[-1])
    for part in counts[:-1]:
        before += part
    return before, counts[-1]


def out_degrees(program: Program) -> np.ndarray:
    """int64[n_units]: synapses, of all projections together, that start from each unit."""
    found = np.zeros(program.units.n_units, dtype=np.int64)
    n_ranges = program.units.n_ranges
    for rows in (program.static.rows, program.plastic.rows):
        for b in range(rows.n_rows.size):
            first, n_rows = int(rows.first_unit[b]), int(rows.n_rows[b])
            n_delays = int(rows.delay_high[b] - rows.delay_low[b] + 1)
            low, size = int(rows.table[b]), n_rows * n_delays + 1
            table = rows.start[low : low + n_ranges * size]
            by_range = table.reshape(size, -1).T if rows is program.plastic.rows else table.reshape(-1, size)
            for begins in by_range:
                found[first : first + n_rows] += np.diff(begins[::n_delays].astype(np.int64))
    return found


def synapse_bytes(program: Program) -> int:
    """Bytes of all that is stored for the sake of synapses: targets, weights, tables, columns, traces."""
    owners = {}
    for array in _arrays([program.static, program.plastic]):
        while isinstance(array.base, np.ndarray):  # a view; what it looks into is counted, and once
            array = array.base
        owners[id(array)] = array.nbytes
    return sum(owners.values())


def _arrays(parts: Iterable[object]) -> Iterator[np.ndarray]:
    """All arrays in tuples of tuples."""
    for part in parts:
        if isinstance(part, np.ndarray):
            yield part
        elif isinstance(part, tuple):
            yield from _arrays(part)
