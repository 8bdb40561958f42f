"""The simulator of a layered network for many samples: weights are shared, each sample has its own state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.batch_inputs import check_inputs
from snnsim.batch_probes import BatchProbes
from snnsim.batch_result import BatchResult, result_of
from snnsim.batch_state import BatchState, empty_outcome, empty_state, working_memory
from snnsim.checks import check
from snnsim.errors import SimulationError
from snnsim.fields import Rule
from snnsim.identity import fingerprint
from snnsim.kernels import layer_engine as engine
from snnsim.kernels import layer_layout as k
from snnsim.layer_program import LayerProgram, lower_layers
from snnsim.network import Network
from snnsim.simulator import Simulator
from snnsim.sinks import FileSinks, MemorySinks, Sinks
from snnsim.workers import Workers

_STEPS = Rule("integer", low=1, high=2**31)
_BATCH = Rule("integer", low=1, high=2**31)
_SHARE = 8  # jobs a thread: samples differ in cost


class BatchSimulator(Simulator):
    """What `Simulator(network, batch=...)` gives: `batch` simulations of one layered network.

        sim = Simulator(network, batch=64)
        sim.present({"image": pixels}, repeat=10)
        sim.run_steps(20)
        sim.result().readout[:, -1].argmax(axis=1)

    or, for samples that are run from the first step to the last and then forgotten,

        sim.evaluate({"image": pixels}, 20, repeat=10).readout[:, -1].argmax(axis=1)

    No result depends on the number of threads or on what else is in the batch.
    Raises ConfigError for what is not a layered network.
    """

    def __init__(
        self,
        network: Network,
        *,
        batch: int,
        dt_ms: float = 0.1,
        seed: int = 1,
        threads: int | None = None,
        record_to: Path | str | None = None,
    ) -> None:
        began = time.perf_counter()
        self._take(network, dt_ms, seed, threads, record_to)
        self.batch: int = check(batch, _BATCH, "batch")
        self.program: LayerProgram = lower_layers(network, self.dt_ms, self.seed)
        self._probes = BatchProbes(self.program, self.dt_ms, self.batch)
        self._kept: BatchState | None = None
        self._given: k.Given | None = None
        self._watch = self._probes.watch(0)
        self._sinks = self._open_sinks()
        self._workers = Workers(self.threads)
        self.build_s = time.perf_counter() - began

    @property
    def n_neurons(self) -> int:
        """Of one sample."""
        return sum(population.n for population in self.network.populations.values())

    @property
    def _state(self) -> BatchState:
        """Made when it is needed: `evaluate` does without."""
        if self._kept is None:
            self._kept = BatchState(self.program, self.batch)
        return self._kept

    # --- running -------------------------------------------------------------------------------------------

    def present(self, inputs: Mapping[str, np.ndarray], *, repeat: int = 1) -> None:
        """From the next step on these inputs come, instead of what has not come yet of those before.

        inputs  float[batch, n] by input: amounts that act in the next `repeat` steps; or, with repeat = 1,
                float[batch, n_given, n]: amounts for each of the next steps
        Raises ConfigError for inputs that do not fit.
        """
        self._check_ready()
        repeat = check(repeat, _STEPS, "repeat")
        state = self._state
        state.inputs = check_inputs(self.program, inputs, self.step, repeat, self.batch)
        state.rows.held[:] = 0
        state.rows.quiet[:] = 0
        self._given = None

    def _prepare(self, end: int) -> int:
        end = min(end, self.step + self._probes.capacity)
        self._watch = self._probes.watch(end - self.step)
        if self._given is None:
            self._given = self._state.inputs.events(self.program)
        return end

    def _advance(self, begin: int, end: int) -> int:
        state, program, given, watch = self._state, self.program, self._given, self._watch

        def job(low: int, high: int) -> None:
            engine.run_samples(
                low, high, begin, end, True, program.graph, program.cells, program.integers, given,
                state.outcome, state.rows, working_memory(program), watch,
            )  # fmt: skip

        self._share(self.batch, job)
        return end

    def _share(self, n_samples: int, job: Callable[[int, int], None]) -> None:
        """Call job(low, high) for pieces of the samples, in all threads."""
        n = max(1, min(n_samples, _SHARE * self.threads if self.threads > 1 else 1))
        cuts = [n_samples * piece // n for piece in range(n + 1)]
        for _ in self._workers.map(lambda piece: job(cuts[piece], cuts[piece + 1]), range(n)):
            pass  # errors of a job are raised here

    def _collect(self, begin: int, end: int) -> None:
        for name, (steps, ids) in self._probes.spikes(self._watch, begin).items():
            self._sinks.spikes.append(name, steps, ids)
        for name, (steps, frames) in self._probes.samples(self._watch, begin).items():
            self._sinks.samples.append(name, steps, frames)

    def _check_finite(self) -> None:
        rows = self._state.rows
        for name in ("potential", "total", "current", "theta"):
            wrong = ~np.isfinite(getattr(rows, name))
            if wrong.any():
                raise SimulationError(
                    f"the {name} of a unit is no longer finite",
                    where=f"sample {int(np.argwhere(wrong)[0][0])}, before step {self.step}",
                    expected="finite numbers",
                    fix="look for weights that are too large, or lower dt_ms",
                )

    def _restart(self) -> None:
        self._kept, self._given = None, None

    def evaluate(
        self,
        inputs: Mapping[str, np.ndarray],
        n_steps: int,
        *,
        repeat: int = 1,
        keep_counts: bool = False,
        stop_early: bool = True,
    ) -> BatchResult:
        """Run samples, as many as are given, from step 0; the state of this simulator stays as it is.

        Memory for a state is needed for each thread, and not for each sample.
        inputs      as for `present`, which begin in step 0
        stop_early  end a sample when nothing is on its way and nothing will come any more
        Raises ConfigError for inputs that do not fit.
        """
        n_steps, repeat = check(n_steps, _STEPS, "n_steps"), check(repeat, _STEPS, "repeat")
        program, dtype = self.program, np.dtype(self.network.precision)
        found = check_inputs(program, inputs, 0, repeat, None)
        n_samples, given = len(found.values), found.events(program)
        n_kept, n_units = n_samples if keep_counts else 0, int(program.graph.first[-1])
        kept = k.Kept(
            spikes=np.zeros((n_kept, n_units), np.int32),
            total=np.zeros((n_kept, n_units), dtype),
            readout=np.zeros((n_samples, n_steps, program.place[program.names[-1]].size), dtype),
        )
        outcome = empty_outcome(program, n_samples)

        def job(low: int, high: int) -> None:
            engine.run_once(
                low, high, n_steps, bool(stop_early), program.graph, program.cells, program.integers, given,
                outcome, kept, empty_state(program, 1), working_memory(program),
            )  # fmt: skip

        self._share(n_samples, job)
        return result_of(program, outcome, kept.readout, kept.spikes, kept.total, repeat)

    # --- results -------------------------------------------------------------------------------------------

    def result(self) -> BatchResult:
        """Counts since step 0, and the potentials of the last population as they are now; copies."""
        state, units = self._state, self.program.units(self.program.names[-1])
        rows, outcome = state.rows, k.Outcome(*(part.copy() for part in state.outcome))
        readout = rows.potential[:, None, units]
        return result_of(self.program, outcome, readout, rows.spikes, rows.total, state.inputs.repeat)

    def spikes(self, name: str, sample: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Recorded events of a population, input or probe in one sample: (steps, ids), int64 each.

        An event is listed once, whatever its amount.
        """
        sample = check(sample, Rule("integer", low=0, high=self.batch - 1), "sample")
        probe = self.network.probes.get(name)
        target = probe.target if probe is not None and probe.variable == "spikes" else name
        steps, ids = self._sinks.get_spikes(target)
        n = self.program.place[target].size
        mine = ids // n == sample
        if probe is not None and probe.variable == "spikes" and probe.ids is not None:
            mine &= np.isin(ids % n, probe.ids)
        return steps[mine], ids[mine] % n

    def samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Samples of a probe: (steps int64[T], values float[T, batch, n])."""
        steps, frames = self._sinks.get_samples(name)
        return steps, frames.reshape(len(steps), self.batch, frames.shape[1] // self.batch)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Everything that changes while the network runs, samples first."""
        return self._state.arrays()

    def _check_state(self, arrays: dict[str, np.ndarray], step: Any) -> None:
        self._state.check(arrays, step)

    def _set_state(self, arrays: dict[str, np.ndarray]) -> None:
        self._state.set(arrays)
        self._given = None

    def _fingerprint(self) -> str:
        return f"{fingerprint(self.network, {})}, batch {self.batch}"

    def _open_sinks(self) -> Sinks:
        if self._record_to is None:
            return MemorySinks(self._probes.spiking, self._probes.layouts)
        return FileSinks(self._record_to, self._probes.spiking, self._probes.layouts, self.dt_ms)
