"""The simulator: owns all mutable state, runs it, saves and resumes it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from snnsim import __version__
from snnsim.checkpoint import read_checkpoint, write_checkpoint
from snnsim.checks import check, expect
from snnsim.errors import ConfigError, FileError, SimulationError, SnnError
from snnsim.fields import Rule
from snnsim.grid import to_steps
from snnsim.identity import fingerprint
from snnsim.interrupts import interrupts_held
from snnsim.kernels.barrier import ABORT, PATIENCE
from snnsim.kernels.engine import advance
from snnsim.memory import check_memory
from snnsim.network import Network
from snnsim.plastic_wiring import build_plastic
from snnsim.program import (
    Program,
    check_and_encode,
    empty_spikes,
    estimate,
    initial_cells,
    lower,
    working_memory,
)
from snnsim.sinks import FileSinks, MemorySinks, Sinks
from snnsim.state import check_state
from snnsim.synapses import SynapseTable
from snnsim.taps import Taps
from snnsim.workers import MAX_THREADS, Workers, threads_or_all

_CALL_S = 0.1  # wall time that one call of the kernel aims at
_SEED = Rule("integer", low=0, high=2**63 - 1)
_THREADS = Rule("integer", low=1, high=MAX_THREADS, optional=True)
_RANGES = Rule("integer", low=0, high=2**16)
_COUNT = Rule("integer", low=0, high=2**53)
_DT = Rule("number", unit="ms", above=0.0, high=1e6)

Progress = Callable[[int, int], object]
"""Called with (steps done, steps to do) of this run; a true answer ends the run there."""


class Simulator:
    """Runs a network.

        sim = Simulator(network, dt_ms=0.1, seed=1)
        sim.run(1000.0)
        steps, ids = sim.spikes("exc")

    The same network, dt, seed and version give the same bits for any number of threads, any split into
    calls of `run`, and any pattern of `save` and `resume`.

    network     what to simulate
    dt_ms       length of a step
    seed        of every random number, 0 to 2**63 - 1
    threads     threads to use; None for one a core.  No result depends on it
    record_to   folder for spikes.h5 and state.h5; None keeps recordings in memory
    data_dir    where data sets lie that are not bundled
    n_ranges    pieces that targets are cut into, 0 for those the threads need.  No result depends on it

    Raises ConfigError for what cannot be simulated and FileError for data sets that cannot be read.
    """

    def __init__(
        self,
        network: Network,
        *,
        dt_ms: float = 0.1,
        seed: int = 1,
        threads: int | None = None,
        record_to: Path | str | None = None,
        data_dir: Path | str | None = None,
        n_ranges: int = 0,
    ) -> None:
        began = time.perf_counter()
        expect(network, Network, "network", "of a config, pass config.network")
        self.network = network
        self.dt_ms: float = check(dt_ms, _DT, "dt_ms")
        self.seed: int = check(seed, _SEED, "seed")
        threads = check(threads, _THREADS, "threads")
        n_ranges = check(n_ranges, _RANGES, "n_ranges")
        images = check_and_encode(network, self.dt_ms, self.seed, data_dir)
        wanted = threads_or_all(threads)
        check_memory(estimate(network, self.dt_ms, images, wanted))
        self._workers = Workers(wanted)
        self.program: Program = lower(
            network,
            self.dt_ms,
            self.seed,
            images,
            threads=wanted,
            n_ranges=n_ranges,
            run=self._workers.map,
        )
        self.threads = min(wanted, self.program.units.n_ranges)
        self.step = 0
        self._whole, self._closed = True, False
        self._running = threading.Lock()
        self._steps_a_call = 16
        dtype = np.dtype(network.precision)
        self._memory = [working_memory(dtype) for _ in range(self.threads)]
        self._sync = np.zeros(PATIENCE + 16 * self.threads, dtype=np.int64)
        self._tables: dict[str, SynapseTable] = {}
        self._taps = Taps(network, self.program.units, self.dt_ms, self.seed)
        self._weight_probes = {n: p for n, p in network.probes.items() if p.variable == "weight"}
        self._record_to = Path(record_to) if record_to is not None else None
        self._sinks: Sinks = self._open_sinks()
        self._call(0, 0, 0, False)  # compile before threads wait for each other
        self.build_s = time.perf_counter() - began

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Simulator cannot be copied or pickled. Fix: save() it, and resume() in another one"
        )

    # --- running -------------------------------------------------------------------------------------------

    @property
    def time_ms(self) -> float:
        """Model time."""
        return self.step * self.dt_ms

    @property
    def n_neurons(self) -> int:
        return self.program.units.n_neurons

    @property
    def n_synapses(self) -> int:
        return self.program.n_synapses

    def run(self, duration_ms: float, progress: Progress | None = None) -> bool:
        """Advance by a time, a multiple of dt.  Returns False if `progress` ended the run early.

        Ctrl-C ends it between two calls of the kernel; the simulator can then be saved or go on.
        Raises SimulationError when a state variable is no longer finite.
        """
        return self.run_steps(to_steps(duration_ms, self.dt_ms, "duration_ms"), progress)

    def run_steps(self, n_steps: int, progress: Progress | None = None) -> bool:
        """Advance by a number of steps; see `run`."""
        n_steps = check(n_steps, _COUNT, "n_steps")
        self._check_ready()
        self._sinks.check_open()
        if not self._running.acquire(blocking=False):
            raise SnnError(
                "the simulator is running already", where="run", fix="use one Simulator for each thread"
            )
        try:
            return self._run_to(self.step + n_steps, n_steps, progress)
        finally:
            self._running.release()

    def _run_to(self, end: int, n_steps: int, progress: Progress | None) -> bool:
        begin = end - n_steps
        with interrupts_held() as safe_point:
            while self.step < end:
                self._go_on(end)
                stop = progress is not None and progress(self.step - begin, n_steps)
                safe_point()
                if stop and self.step < end:
                    return False
        return True

    def _go_on(self, end: int) -> None:
        """One call of the kernel, towards `end`, and what it recorded."""
        self._sample_weights()
        limit, learning = self._next_stop(min(end, self.step + self._steps_a_call))
        began = time.perf_counter()
        self._whole = False  # an exception from here on, as of a signal handler, leaves a torn step
        reached = self._advance(self.step, limit, learning)
        first, self.step = self.step, reached
        self._collect(first, reached)
        self._whole = True
        self._adapt(reached - first, time.perf_counter() - began)
        self._check_finite()

    def _check_ready(self) -> None:
        if self._closed:
            raise SnnError("the simulator is closed", where="run", fix="build a new Simulator")
        if not self._whole:
            raise SimulationError(
                "an error came in the middle of a step, so the state is torn",
                where=f"step {self.step}",
                fix="resume a checkpoint, or reset",
                code="simulation.torn",
            )

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

    def _advance(self, begin: int, end: int, learning: bool) -> int:
        self._taps.recorder.n_spikes[0] = 0
        self._sync[:PATIENCE] = 0
        others = []
        try:
            for tid in range(1, self.threads):
                others.append(self._workers.submit(self._call, tid, begin, end, learning))
            return self._call(0, begin, end, learning)
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

    def _adapt(self, done: int, seconds: float) -> None:
        wanted = done * _CALL_S / max(seconds, 1e-6)
        self._steps_a_call = int(min(max(wanted, 1), 4 * self._steps_a_call, 2**24))

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
        for name in ("potential", "current", "theta"):
            values = getattr(self.program.cells, name)
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

    def reset(self) -> None:
        """Back to step 0 with nothing recorded, as if just built; not with recordings on disk."""
        if self._record_to is not None:
            raise ConfigError(
                "a simulation that records to a folder cannot be reset",
                where="reset",
                fix="build a new Simulator with another record_to",
            )
        p = self.program
        dtype = np.dtype(self.network.precision)
        longest = max((high for _, high in p.delays.values()), default=0)
        p.cells = initial_cells(self.network, p.units, self.seed, dtype)
        p.spikes = empty_spikes(p.units, p.layout, longest, dtype)
        p.plastic = build_plastic(
            self.network, p.units, p.delays, self.dt_ms, self.seed, dtype, self._workers.map
        )
        self._tables.clear()
        self._sinks = self._open_sinks()
        self.step, self._whole = 0, True

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

    def samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Samples of a probe: (steps int64[T], values float[T, n])."""
        return self._sinks.get_samples(name)

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

    def digest(self) -> str:
        """SHA-256 over the step, all recorded spikes and samples, and the whole state."""
        found = hashlib.sha256(str(self.step).encode())
        for part in self._sinks.contents():
            found.update(np.ascontiguousarray(part).tobytes())
        for name, value in sorted(self.program.state().items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(value).tobytes())
        return found.hexdigest()

    # --- saving and resuming -------------------------------------------------------------------------------

    def checkpoint(self, copy: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on from here: arrays, and facts.  Flushes recordings.

        copy = False gives the state itself, which changes with the next step: for writing it at once.
        """
        self._check_ready()
        meta: dict[str, Any] = {"step": self.step, **self._identity}
        for name, n in self._sinks.rows().items():
            meta[f"rows/{name}"] = n
        state = self.program.state() | self._sinks.saved()
        return ({name: value.copy() for name, value in state.items()} if copy else state), meta

    def restore(self, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same network, data, dt, seed and version.

        Raises FileError, with nothing changed, when it belongs to something else or is no possible state.
        """
        for name, expected in self._identity.items():
            if meta.get(name) != expected:
                raise FileError(
                    "the checkpoint belongs to another simulation",
                    where=name,
                    got=meta.get(name),
                    expected=str(expected),
                )
        check_state(self.program, arrays, meta.get("step"))
        rows = {key.removeprefix("rows/"): value for key, value in meta.items() if key.startswith("rows/")}
        self._sinks.restore(arrays, rows)
        self.program.set_state(arrays)
        self.step, self._whole = int(meta["step"]), True

    def save(self, path: Path | str) -> None:
        """Write a checkpoint file, whole or not at all."""
        write_checkpoint(path, *self.checkpoint(copy=False))

    def resume(self, path: Path | str) -> None:
        """Go on from a checkpoint file; see `restore`."""
        self.restore(*read_checkpoint(path))

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be continued."""
        return {
            "network": fingerprint(self.network, self.program.images),
            "dt_ms": self.dt_ms,
            "seed": self.seed,
            "version": __version__,
        }

    # --- the end -------------------------------------------------------------------------------------------

    def _open_sinks(self) -> Sinks:
        layouts = dict(self._taps.layouts)
        for name, probe in self._weight_probes.items():
            layouts[name] = self.synapses(probe.target).layout(probe, self._taps.every[name])
        if self._record_to is None:
            return MemorySinks(self._taps.spiking, layouts)
        return FileSinks(self._record_to, self._taps.spiking, layouts, self.dt_ms)

    def flush(self) -> None:
        """Make sure that all recordings so far are on disk."""
        self._sinks.rows()

    def close(self, complete: bool = True) -> None:
        """Close the recordings and stop the threads."""
        self._closed = True
        self._sinks.close(complete)
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)
