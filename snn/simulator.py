"""The simulator: owns all mutable state, runs it, saves and resumes it.

`Simulator` is what users call.  What runs a network is one of two: snn/range_simulator.py runs it once, with
threads over ranges of its neurons; snn/batch.py runs a layered one on many samples, with threads over them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from snnsim import __version__
from snnsim.checkpoint import read_checkpoint, write_checkpoint
from snnsim.checks import check, expect
from snnsim.errors import ConfigError, FileError, SimulationError, SnnError
from snnsim.fields import Rule
from snnsim.grid import to_steps
from snnsim.interrupts import interrupts_held
from snnsim.network import Network
from snnsim.sinks import Sinks
from snnsim.workers import MAX_THREADS, Workers, threads_or_all

if TYPE_CHECKING:
    from snnsim.batch import BatchSimulator
    from snnsim.range_simulator import RangeSimulator

_CALL_S = 0.1  # wall time that one call of the kernel aims at
_SEED = Rule("integer", low=0, high=2**63 - 1)
_THREADS = Rule("integer", low=1, high=MAX_THREADS, optional=True)
_COUNT = Rule("integer", low=0, high=2**53)
_DT = Rule("number", unit="ms", above=0.0, high=1e6)

Progress = Callable[[int, int], object]
"""Called with (steps done, steps to do) of this run; a true answer ends the run there."""


class Simulator:
    """Runs a network.

        sim = Simulator(network, dt_ms=0.1, seed=1)
        sim.run(1000.0)
        steps, ids = sim.spikes("exc")

        sim = Simulator(layered, batch=64)
        sim.present({"image": pixels})
        sim.run_steps(20)

    The same network, dt, seed and version give the same bits for any number of threads, any split into
    calls of `run`, and any pattern of `save` and `resume`.

    network     what to simulate
    batch       how many samples of a layered network, each with a state of its own; see snn/batch.py.
                None for all other networks
    dt_ms       length of a step
    seed        of every random number, 0 to 2**63 - 1
    threads     threads to use; None for one a core.  No result depends on it
    record_to   folder for spikes.h5 and state.h5; None keeps recordings in memory
    data_dir    where data sets lie that are not bundled (without batch)
    n_ranges    pieces that targets are cut into, 0 for those the threads need.  No result depends on it
                (without batch)

    Raises ConfigError for what cannot be simulated and FileError for data sets that cannot be read.
    """

    network: Network
    dt_ms: float
    seed: int
    threads: int
    step: int
    _sinks: Sinks
    _workers: Workers

    # What each of the two kinds does in its own way.  (No abstract methods: type checkers believe that an
    # abstract class cannot be called, whatever `__new__` says.)
    _prepare: Callable[[int], int]  # before a call of the kernel: how far may it go, at most to this step
    _advance: Callable[[int, int], int]  # run the kernel between two steps; the step it reached
    _collect: Callable[[int, int], None]  # keep what it recorded between two steps
    _check_finite: Callable[[], None]  # SimulationError for a state that is no longer finite
    _restart: Callable[[], None]  # the state of step 0
    _open_sinks: Callable[[], Sinks]  # where recordings go
    _fingerprint: Callable[[], str]  # SHA-256 of what is simulated
    state_arrays: Callable[[], dict[str, np.ndarray]]  # everything that changes while the network runs
    _check_state: Callable[[dict[str, np.ndarray], Any], None]  # FileError for arrays that no run can leave
    _set_state: Callable[[dict[str, np.ndarray]], None]  # go on from arrays that have been checked

    @overload
    def __new__(
        cls, network: Network, *, batch: None = None, dt_ms: float = 0.1, seed: int = 1,
        threads: int | None = None, record_to: Path | str | None = None, data_dir: Path | str | None = None,
        n_ranges: int = 0,
    ) -> RangeSimulator: ...  # fmt: skip

    @overload
    def __new__(
        cls, network: Network, *, batch: int, dt_ms: float = 0.1, seed: int = 1, threads: int | None = None,
        record_to: Path | str | None = None,
    ) -> BatchSimulator: ...  # fmt: skip

    def __new__(cls, network: Network, *, batch: int | None = None, **options: Any) -> Simulator:
        del network, options  # for __init__
        if cls is not Simulator:
            return super().__new__(cls)
        from snnsim.batch import BatchSimulator
        from snnsim.range_simulator import RangeSimulator

        return super().__new__(RangeSimulator if batch is None else BatchSimulator)

    def _take(
        self, network: Network, dt_ms: float, seed: int, threads: int | None, record_to: Path | str | None
    ) -> None:
        """Check and keep what all simulators are given; starts no thread."""
        expect(network, Network, "network", "of a config, pass config.network")
        self.network = network
        self.dt_ms = check(dt_ms, _DT, "dt_ms")
        self.seed = check(seed, _SEED, "seed")
        self.threads = threads_or_all(check(threads, _THREADS, "threads"))
        self.step = 0
        self._record_to = Path(record_to) if record_to is not None else None
        self._whole, self._closed = True, False
        self._running = threading.Lock()
        self._steps_a_call = 16

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Simulator cannot be copied or pickled. Fix: save() it, and resume() in another one"
        )

    # --- running -------------------------------------------------------------------------------------------

    @property
    def time_ms(self) -> float:
        """Model time."""
        return self.step * self.dt_ms

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
        limit = self._prepare(min(end, self.step + self._steps_a_call))
        began = time.perf_counter()
        self._whole = False  # an exception from here on, as of a signal handler, leaves a torn step
        reached = self._advance(self.step, limit)
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

    def _adapt(self, done: int, seconds: float) -> None:
        wanted = done * _CALL_S / max(seconds, 1e-6)
        self._steps_a_call = int(min(max(wanted, 1), 4 * self._steps_a_call, 2**24))

    def reset(self) -> None:
        """Back to step 0 with nothing recorded, as if just built; not with recordings on disk."""
        if self._record_to is not None:
            raise ConfigError(
                "a simulation that records to a folder cannot be reset",
                where="reset",
                fix="build a new Simulator with another record_to",
            )
        self._restart()
        self._sinks = self._open_sinks()
        self.step, self._whole = 0, True

    # --- results -------------------------------------------------------------------------------------------

    def samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Samples of a probe: (steps int64[T], values float[T, n]); in a batch float[T, batch, n]."""
        return self._sinks.get_samples(name)

    def digest(self) -> str:
        """SHA-256 over the step, all recorded spikes and samples, and the whole state."""
        found = hashlib.sha256(str(self.step).encode())
        for part in self._sinks.contents():
            found.update(np.ascontiguousarray(part).tobytes())
        for name, value in sorted(self.state_arrays().items()):
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
        state = self.state_arrays() | self._sinks.saved()
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
        self._check_state(arrays, meta.get("step"))
        rows = {key.removeprefix("rows/"): value for key, value in meta.items() if key.startswith("rows/")}
        self._sinks.restore(arrays, rows)
        self._set_state(arrays)
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
        own = {"dt_ms": self.dt_ms, "seed": self.seed, "version": __version__}
        return {"network": self._fingerprint(), **own}

    # --- the end -------------------------------------------------------------------------------------------

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
