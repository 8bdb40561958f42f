"""Probes of a batch at run time: what is recorded of each sample, and the way to spikes and samples by name.

In recordings unit k of sample b has the number b n + k, for n units in a population or of a probe.
"""

from __future__ import annotations

import numpy as np

from snnsim.errors import ConfigError
from snnsim.grid import to_steps
from snnsim.kernels import layer_layout as k
from snnsim.layer_program import LayerProgram
from snnsim.memory_recording import SampleLayout
from snnsim.probe import WHOLE_VARIABLES, Probe
from snnsim.taps import UNITS

_FRAME_BYTES = 2**26  # room for what one call records
_VARIABLES = {
    "v_mv": k.POTENTIAL, "i_exc_pa": k.CURRENT_EXC, "i_inh_pa": k.CURRENT_INH, "g_exc_ns": k.CURRENT_EXC,
    "g_inh_ns": k.CURRENT_INH, "theta_mv": k.THETA, "spikes": k.EVENTS,
    "v": k.POTENTIAL, "u": k.WHOLE_CURRENT, "overflow": k.OVERFLOWN,
}  # fmt: skip
_EVERYWHERE = ("spikes", "v_mv", *WHOLE_VARIABLES)  # that these fit the unit, the network has checked


class BatchProbes:
    """The frames of the kernel.  Raises ConfigError for probes of what a unit does not have."""

    def __init__(self, program: LayerProgram, dt_ms: float, batch: int) -> None:
        self.program, self.batch = program, batch
        network = program.network
        self.sampled: dict[str, Probe] = {}
        self.every: dict[str, int] = {}
        self.wanted: dict[str, np.ndarray] = {}  # units of a population whose events are recorded
        self.listed: set[str] = set()  # populations of which there are lists of spikes
        for name, probe in network.probes.items():
            unit = network.populations[probe.target].unit if probe.target in network.populations else None
            if probe.variable not in _EVERYWHERE and probe.target not in program.rest:
                raise ConfigError(
                    "this unit has no such variable",
                    where=f"probes.{name}.variable",
                    got=probe.variable,
                    expected="spikes, or v_mv" + (f" of {unit.KIND} units" if unit else ""),
                )
            if probe.variable in ("spikes", "s"):
                before = self.wanted.get(probe.target, np.zeros(0, np.int64))
                self.wanted[probe.target] = np.union1d(before, self._ids(probe))
            if probe.variable == "spikes":
                self.listed.add(probe.target)
                continue
            self.sampled[name] = probe
            every = dt_ms if probe.every_ms is None else probe.every_ms
            self.every[name] = to_steps(every, dt_ms, f"probes.{name}.every_ms", least=1)
        self.spiking = {name: batch * program.place[name].size for name in self.wanted if name in self.listed}
        self.layouts = {
            name: SampleLayout(
                np.arange(batch * self._ids(p).size), p.variable, UNITS[p.variable], self.every[name], 0,
                network.precision,
            )
            for name, p in self.sampled.items()
        }  # fmt: skip
        self._arrays = self._columns()
        width = batch * int(self._arrays["ptr"][-1]) * np.dtype(network.precision).itemsize
        self.capacity = max(1, _FRAME_BYTES // max(width, 1))

    def _ids(self, probe: Probe) -> np.ndarray:
        n = self.program.place[probe.target].size
        return np.arange(n) if probe.ids is None else np.asarray(probe.ids)

    def _columns(self) -> dict[str, np.ndarray]:
        program, graph = self.program, self.program.graph
        variable, ptr, unit, rest = [], [0], [np.zeros(0, np.int64)], [np.zeros(0)]
        column = np.full(int(graph.first[-1]) if self.wanted else 0, -1, np.int64)
        looked_at = [(p.target, p.variable, self._ids(p)) for p in self.sampled.values() if p.variable != "s"]
        for target, name, ids in [*looked_at, *((t, "spikes", ids) for t, ids in self.wanted.items())]:
            p, at = program.names.index(target), program.place[target][ids]
            kept = program.integers if name in ("u", "overflow") else program.cells
            alone = kept is not None and name not in ("spikes", "v_mv", "v")
            found = at + (kept if alone else graph).first[p]  # type: ignore[union-attr]
            if name == "spikes":
                column[found] = ptr[-1] + np.arange(ids.size)
            variable.append(_VARIABLES[name])
            ptr.append(ptr[-1] + ids.size)
            unit.append(found)
            rest.append(program.rest[target][ids] if target in program.rest else np.zeros(ids.size))
        return {
            "variable": np.array(variable, np.int64),
            "ptr": np.array(ptr, np.int64),
            "unit": np.concatenate(unit),
            "rest": np.concatenate(rest).astype(program.network.precision),
            "column": column,
        }

    def watch(self, n_steps: int) -> k.Watch:
        """What the kernel records into in so many steps."""
        shape = self.batch, n_steps, int(self._arrays["ptr"][-1])
        return k.Watch(**self._arrays, frame=np.zeros(shape, self.program.network.precision))

    def samples(self, watch: k.Watch, begin: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps and frames [T, batch * n] by probe, of a call that began at step `begin`."""
        found = {}
        for name, probe in self.sampled.items():
            every, n_steps = self.every[name], watch.frame.shape[1]
            steps = np.arange(-(-begin // every), -(-(begin + n_steps) // every), dtype=np.int64) * every
            columns = self._columns_of(name, probe, watch)
            frames = watch.frame[:, (steps - begin)[:, None], columns].transpose(1, 0, 2)
            width = frames.shape[1] * frames.shape[2]
            found[name] = steps, np.ascontiguousarray(frames).reshape(len(steps), width)
        return found

    def _columns_of(self, name: str, probe: Probe, watch: k.Watch) -> np.ndarray:
        """The columns of the frames that hold the samples of a probe."""
        if probe.variable == "s":
            p, at = self.program.names.index(probe.target), self.program.place[probe.target][self._ids(probe)]
            return watch.column[int(self.program.graph.first[p]) + at]
        w = [other for other, p in self.sampled.items() if p.variable != "s"].index(name)
        return np.arange(int(watch.ptr[w]), int(watch.ptr[w + 1]))

    def spikes(self, watch: k.Watch, begin: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps and numbers of events, by population or input."""
        found = {}
        for w, (name, ids) in enumerate(self.wanted.items(), start=len(watch.ptr) - 1 - len(self.wanted)):
            if name not in self.listed:
                continue
            columns = slice(int(watch.ptr[w]), int(watch.ptr[w + 1]))
            step, sample, which = np.nonzero(watch.frame[:, :, columns].transpose(1, 0, 2))
            found[name] = begin + step, sample * self.program.place[name].size + ids[which]
        return found
