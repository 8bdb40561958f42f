"""Probes at run time: which units are recorded, and where the values of one call of the kernel go."""

from __future__ import annotations

import numpy as np

from snnsim.grid import to_steps
from snnsim.kernels import engine
from snnsim.kernels.layout import Layout, Recorder
from snnsim.memory_recording import SampleLayout
from snnsim.network import Network
from snnsim.probe import WHOLE_VARIABLES, Probe
from snnsim.propagators import rest_mv
from snnsim.units import Units

_SPIKES_LEAST = 2**18  # capacity of the spike record of one call
_FRAME_BYTES = 2**23  # room for the samples of one call, for each probe
_VARIABLES = {
    "v_mv": engine.POTENTIAL,
    "i_exc_pa": engine.CURRENT_EXC,
    "i_inh_pa": engine.CURRENT_INH,
    "g_exc_ns": engine.CURRENT_EXC,  # what a channel holds, whatever its unit
    "g_inh_ns": engine.CURRENT_INH,
    "theta_mv": engine.THETA,
}
UNITS = {name: {"mv": "mV", "pa": "pA", "ns": "nS"}[name.rpartition("_")[2]] for name in _VARIABLES}
UNITS |= dict.fromkeys(WHOLE_VARIABLES, "1")


class Taps:
    """The recorder arrays of the kernel and the way from them to spikes and samples by name."""

    def __init__(self, network: Network, units: Units, layout: Layout, dt_ms: float, seed: int) -> None:
        dtype = np.dtype(network.precision)
        self._units, self._layout = units, layout
        self.sampled = {name: p for name, p in network.probes.items() if p.variable in _VARIABLES}
        self.every = {
            name: to_steps(
                p.every_ms if p.every_ms is not None else dt_ms, dt_ms, f"probes.{name}.every_ms", least=1
            )
            for name, p in network.probes.items()
            if p.variable != "spikes"
        }
        self.wanted = np.zeros(units.n_units, dtype=np.uint8)
        self.spiking: dict[str, int] = {}
        for probe in network.probes.values():
            if probe.variable == "spikes":
                self.wanted[units.first[probe.target] + self.ids(probe)] = 1
                self.spiking[probe.target] = units.size[probe.target]
        self.layouts = {
            name: SampleLayout(self.ids(p), p.variable, UNITS[p.variable], self.every[name], 0, dtype.name)
            for name, p in self.sampled.items()
        }
        self._frames = {name: self._frame_capacity(name, dtype) for name in self.sampled}
        self.recorder = self._recorder(network, dtype, seed)

    def ids(self, probe: Probe) -> np.ndarray:
        """The units of its target, counted within it, that a probe records."""
        return np.arange(self._units.size[probe.target]) if probe.ids is None else np.asarray(probe.ids)

    def _frame_capacity(self, name: str, dtype: np.dtype) -> int:
        return max(1, _FRAME_BYTES // (dtype.itemsize * len(self.layouts[name].node_ids)))

    def _recorder(self, network: Network, dtype: np.dtype, seed: int) -> Recorder:
        units = self._units
        ptr, index, columns, base, total = [0], [], [], [], 0
        for name, probe in self.sampled.items():
            ids = self.layouts[name].node_ids
            for r in range(units.n_ranges):
                low, high = units.piece(probe.target, r)
                inside = np.flatnonzero((ids >= low) & (ids < high))
                index.append(ids[inside] - low + self._first_index(probe, r))
                columns.append(inside)
                ptr.append(ptr[-1] + inside.size)
            base.append(total)
            total += self._frames[name] * len(ids)
        rest = np.zeros(units.n_neurons)
        for name, population in network.populations.items():
            at = units.first[name] - units.n_sources
            rest[at : at + population.n] = rest_mv(
                population.neuron, population.n, seed, f"populations.{name}.neuron"
            )
        capacity = max(_SPIKES_LEAST, 2 * units.n_units)
        return Recorder(
            wanted=self.wanted,
            spike_step=np.zeros(capacity, dtype=np.int64),
            spike_unit=np.zeros(capacity, dtype=np.int32),
            n_spikes=np.zeros(1, dtype=np.int64),
            variable=np.array([_VARIABLES[p.variable] for p in self.sampled.values()], dtype=np.int64),
            every=np.array([self.every[name] for name in self.sampled], dtype=np.int64),
            item_ptr=np.array(ptr, dtype=np.int64),
            item_index=np.concatenate([np.zeros(0, np.int64), *index]).astype(np.int64),
            item_column=np.concatenate([np.zeros(0, np.int64), *columns]).astype(np.int64),
            frame_base=np.array(base, dtype=np.int64),
            width=np.array([len(self.layouts[name].node_ids) for name in self.sampled], dtype=np.int64),
            frame=np.zeros(total, dtype=dtype),
            rest=rest.astype(dtype),
        )

    def _first_index(self, probe: Probe, r: int) -> int:
        """Of the first neuron of the target in range r, in the array of the variable; see Cells."""
        units, layout, variable = self._units, self._layout, _VARIABLES[probe.variable]
        if variable not in (engine.CURRENT_EXC, engine.CURRENT_INH):
            return units.first[probe.target] - units.n_sources + units.piece(probe.target, r)[0]
        channel = variable - engine.CURRENT_EXC
        place = channel * int(layout.range_size[r]) + units.local(probe.target, r)
        return (r << layout.slot_bits) + place

    def limit(self, begin: int, end: int) -> int:
        """The last step <= end that one call may reach without running out of room for samples."""
        for name, capacity in self._frames.items():
            every = self.every[name]
            first = -(-begin // every)
            end = min(end, (first + capacity) * every)
        return end

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps and ids of the spikes of the last call, by recorded population."""
        n = int(self.recorder.n_spikes[0])
        steps, found = self.recorder.spike_step[:n], self.recorder.spike_unit[:n]
        result = {}
        for name in self.spiking:
            first = self._units.first[name]
            mine = (found >= first) & (found < first + self._units.size[name])
            result[name] = steps[mine], found[mine].astype(np.int64) - first
        return result

    def samples(self, begin: int, end: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps and frames of the samples of the steps [begin, end), by probe."""
        result = {}
        for p, name in enumerate(self.sampled):
            every, width = self.every[name], int(self.recorder.width[p])
            steps = np.arange(-(-begin // every), -(-end // every), dtype=np.int64) * every
            base = int(self.recorder.frame_base[p])
            result[name] = (
                steps,
                self.recorder.frame[base : base + steps.size * width].reshape(steps.size, width),
            )
        return result
