"""The simulator of one network: threads over ranges of its neurons."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.checks import check
from snnsim.errors import SimulationError
from snnsim.fields import Rule
from snnsim.identity import fingerprint
from snnsim.initial_state import empty_spikes, initial_cells, working_memory
from snnsim.kernels.barrier import ABORT, new_barrier, restart
from snnsim.kernels.engine import advance
from snnsim.memory import check_memory
from snnsim.network import Network
from snnsim.plastic_wiring import build_plastic
from snnsim.program import (
    Program,
    check_and_encode,
    estimate,
    lower,
)
from snnsim.simulator import Simulator
from snnsim.sinks import FileSinks, MemorySinks, Sinks
from snnsim.state import check_state
from snnsim.synapses import SynapseTable
from snnsim.taps import Taps
from snnsim.unit_order import currents
from snnsim.workers import Workers

_RANGES = Rule("integer", low=0, high=2**16)


class RangeSimulator(Simulator):
    """What `Simulator(network)` gives."""

    def __init__(
        self,
        network: Network,
        *,
        batch: None = None,
        dt_ms: float = 0.1,
        seed: int = 1,
        threads: int | None = None,
        record_to: Path | str | None = None,
        data_dir: Path | str | None = None,
        n_ranges: int = 0,
    ) -> None:
        began = time.perf_counter()
        self._take(network, dt_ms, seed, threads, record_to)
        n_ranges = check(n_ranges, _RANGES, "n_ranges")
        images = check_and_encode(network, self.dt_ms, self.seed, data_dir)
        check_memory(estimate(network, self.dt_ms, images, self.threads))
        self._workers = Workers(self.threads)
        self.program: Program = lower(
            network,
            self.dt_ms,
            self.seed,
            images,
            threads=self.threads,
            n_ranges=n_ranges,
            run=self._workers.map,
        )
        self.threads = min(self.threads, self.program.units.n_ranges)
        self._learning = False
        dtype = np.dtype(network.precision)
        self._memory = [working_memory(dtype) for _ in range(self.threads)]
        self._sync = new_barrier()
        self._tables: dict[str, SynapseTable] = {}
        self._taps = Taps(network, self.program.units, self.program.layout, self.dt_ms, self.seed)
        self._weight_probes = {n: p for n, p in network.probes.items() if p.variable == "weight"}
        self._sinks = self._open_sinks()
        self._call(0, 0, 0, False)  # compile before threads wait for each other
        self.build_s = time.perf_counter() - began

    @property
    def n_neurons(self) -> int:
        return self.program.units.n_neurons

    @property
    def n_synapses(self) -> int:
        return self.program.n_synapses

    # --- running -------------------------------------------------------------------------------------------

    def _prepare(self, end: int) -> int:
        self._sample_weights()
        limit, self._learning = self._next_stop(end)
        return limit

    def _next_stop(self, end: int) -> tuple[int, bool]:
        """How far one call may go, and whether learning rules act in it."""
        end = self._taps.limit(self.step, end)
        for name in self._weight_probes:
            every = self._taps.every[name]
            end = min(end, (self.step // every + 1) * every)
        learning = False
        for low, high in self.program.learning:
            if low <= self.step < high:
                learning, end = True, min(end, high)
            elif self.step < low:
                end = min(end, low)
        return end, learning

    def _advance(self, begin: int, end: int) -> int:
        self._taps.recorder.n_spikes[0] = 0
        restart(self._sync)
        others = []
        try:
            for tid in range(1, self.threads):
                others.append(self._workers.submit(self._call, tid, begin, end, self._learning))
            return self._call(0, begin, end, self._learning)
        except BaseException:
            self._sync[ABORT] = 1  # nobody may wait for a thread that never comes
            raise
        finally:
            for other in others:
                other.result()

    def _call(self, tid: int, begin: int, end: int, learning: bool) -> int:
        p, recorder = self.program, self._taps.recorder
        plastic = p.plastic if p.plastic.rule.size else None
        network = (p.layout, p.cells, p.parameters, p.spikes, p.static, plastic, p.sources, p.drives)
        parts = (*network, recorder, *self._memory[tid])
        return int(advance(tid, self.threads, self._sync, begin, end, learning, *parts))

    def _collect(self, begin: int, end: int) -> None:
        for name, (steps, ids) in self._taps.spikes().items():
            self._sinks.spikes.append(name, steps, ids)
        for name, (steps, frames) in self._taps.samples(begin, end).items():
            self._sinks.samples.append(name, steps, frames)

    def _sample_weights(self) -> None:
        """Weights change only inside the kernel, so they are sampled between its calls."""
        for name, probe in self._weight_probes.items():
            if self.step % self._taps.every[name] == 0 and self._sinks.due(name, self.step):
                values = self.synapses(probe.target).weight_at(probe.ids)
                self._sinks.samples.append(name, np.array([self.step]), values[None, :])

    def _check_finite(self) -> None:
        cells, layout = self.program.cells, self.program.layout
        for name in ("potential", "current", "theta"):
            values = currents(cells, layout) if name == "current" else getattr(cells, name)
            if not np.isfinite(values).all():
                at = int(np.argwhere(~np.isfinite(values))[0][-1]) + self.program.units.n_sources
                units = self.program.units
                home = next(n for n in units.names if units.first[n] <= at < units.first[n] + units.size[n])
                raise SimulationError(
                    f"the {name} of a neuron is no longer finite",
                    where=f"populations.{home}, neuron {at - units.first[home]}, before step {self.step}",
                    expected="finite numbers",
                    fix="look for weights that are too large, or lower dt_ms",
                )

    def _restart(self) -> None:
        p = self.program
        dtype = np.dtype(self.network.precision)
        longest = max((high for _, high in p.delays.values()), default=0)
        p.cells = initial_cells(self.network, p.units, p.layout, self.seed, dtype)
        p.spikes = empty_spikes(p.units, p.layout, longest, p.cells.current)
        p.plastic = build_plastic(
            self.network, p.units, p.delays, self.dt_ms, self.seed, dtype, self._workers.map
        )
        self._tables.clear()

    # --- results -------------------------------------------------------------------------------------------

    def spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Recorded spikes of a population or spike source, or of a probe: (steps, ids), int64 each.

        The time of a spike is step * dt_ms.  Spikes are in the order of steps, then ids.
        """
        probe = self.network.probes.get(name)
        target = probe.target if probe is not None and probe.variable == "spikes" else name
        steps, ids = self._sinks.get_spikes(target)
        if probe is not None and probe.variable == "spikes" and probe.ids is not None:
            mine = np.isin(ids, probe.ids)
            return steps[mine], ids[mine]
        return steps, ids

    def synapses(self, projection: str) -> SynapseTable:
        """Every synapse of a projection, ordered by source, delay, target."""
        if projection not in self._tables:
            self._tables[projection] = SynapseTable(self.program, projection)
        return self._tables[projection]

    def weights(self, projection: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(source, target, weight) of every synapse of a projection; indices within the populations."""
        table = self.synapses(projection)
        return table.source, table.target, table.weight()

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Everything that changes while the network runs, in the order of units and synapses."""
        return self.program.state()

    def _check_state(self, arrays: dict[str, np.ndarray], step: Any) -> None:
        check_state(self.program, arrays, step)

    def _set_state(self, arrays: dict[str, np.ndarray]) -> None:
        self.program.set_state(arrays)

    def _fingerprint(self) -> str:
        return fingerprint(self.network, self.program.images)

    def _open_sinks(self) -> Sinks:
        layouts = dict(self._taps.layouts)
        for name, probe in self._weight_probes.items():
            layouts[name] = self.synapses(probe.target).layout(probe, self._taps.every[name])
        if self._record_to is None:
            return MemorySinks(self._taps.spiking, layouts)
        return FileSinks(self._record_to, self._taps.spiking, layouts, self.dt_ms)
