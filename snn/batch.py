"""Running a layered network on many samples: shared weights, a state for each, threads over samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.checks import check
from snnsim.errors import ConfigError
from snnsim.fields import Rule
from snnsim.kernels import layer_engine as engine
from snnsim.layer_program import LayerProgram, lower_layers
from snnsim.network import Network
from snnsim.workers import MAX_THREADS, Workers, threads_or_all

_STEPS = Rule("integer", low=1, high=2**31)
_THREADS = Rule("integer", low=1, high=MAX_THREADS, optional=True)
_DT = Rule("number", unit="ms", above=0.0, high=1e6)
_SHARE = 8  # jobs a thread: samples differ in cost


@dataclass(frozen=True)
class BatchResult:
    """What a batch has left.

    readout    F[n_samples, n_steps, n]  potentials of the last population after each step; a sample that
               ended early keeps its last ones
    counts     int32[n_samples, n]       spikes of each unit by population, where they were asked for
    totals     F[n_samples, n]           sums of the amounts of their events
    events     int64[n_samples]          events of each population
    spikes     F[n_samples]              sum of their absolute amounts: a burst of three counts three
    additions  int64[n_samples]          additions to currents, by projection; of an input that acts in
               several steps once
    graded     int64[n_samples]          those of them that multiply, for amounts other than 1 and -1
    n_steps    int64[n_samples]          steps until nothing was on its way
    repeat     in how many steps the input acted
    """

    readout: np.ndarray
    counts: dict[str, np.ndarray]
    totals: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    spikes: dict[str, np.ndarray]
    additions: dict[str, np.ndarray]
    graded: dict[str, np.ndarray]
    n_steps: np.ndarray
    repeat: int


class BatchSimulator:
    """Runs a layered network on batches of samples.

        sim = BatchSimulator(network)
        result = sim.run({"image": pixels}, n_steps=8, repeat=8)
        result.readout[:, -1].argmax(axis=1)

    No result depends on the number of threads or on what else is in the batch.
    Raises ConfigError for what is not a layered network.
    """

    def __init__(self, network: Network, *, dt_ms: float = 1.0, threads: int | None = None) -> None:
        self.network = network
        self.dt_ms: float = check(dt_ms, _DT, "dt_ms")
        self.threads = threads_or_all(check(threads, _THREADS, "threads"))
        self.program: LayerProgram = lower_layers(network, self.dt_ms)
        self._workers = Workers(self.threads)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        n_steps: int,
        *,
        repeat: int = 1,
        keep_counts: bool = False,
        stop_early: bool = True,
    ) -> BatchResult:
        """Run every sample from the start.

        inputs      float[n_samples, n] by input: amounts that act in the first `repeat` steps; or, with
                    repeat = 1, float[n_samples, n_given, n]: amounts for each of the first steps
        stop_early  end a sample when nothing is on its way and nothing will come any more
        Raises ConfigError for inputs that do not fit.
        """
        n_steps, repeat = check(n_steps, _STEPS, "n_steps"), check(repeat, _STEPS, "repeat")
        given, n_samples = self._given(inputs, repeat)
        graph, dtype = self.program.graph, np.dtype(self.network.precision)
        n_units, n_p, n_l = int(graph.first[-1]), graph.kind.size, graph.source.size
        n_read = int(graph.first[-1] - graph.first[-2])
        kept = n_samples if keep_counts else 0
        outcome = engine.Outcome(
            spikes=np.zeros((kept, n_units), np.int32),
            total=np.zeros((kept, n_units), dtype),
            readout=np.zeros((n_samples, n_steps, n_read), dtype),
            events=np.zeros((n_samples, n_p), np.int64),
            sent=np.zeros((n_samples, n_p), dtype),
            added=np.zeros((n_samples, n_l), np.int64),
            graded=np.zeros((n_samples, n_l), np.int64),
            ended=np.zeros(n_samples, np.int64),
        )
        jobs = max(1, min(n_samples, _SHARE * self.threads))
        cuts = [n_samples * k // jobs for k in range(jobs + 1)]

        def job(k: int) -> None:
            engine.run_samples(
                cuts[k], cuts[k + 1], n_steps, bool(stop_early), graph, given, outcome, self._work()
            )

        for _ in self._workers.map(job, range(jobs)):
            pass  # errors of a job are raised here
        return self._result(outcome, repeat)

    def _given(self, inputs: Mapping[str, np.ndarray], repeat: int) -> tuple[engine.Given, int]:
        """Events from outside as the kernel reads them."""
        names = [name for name in self.program.names if name not in self.network.populations]
        if set(inputs) != set(names):
            raise ConfigError(
                "the inputs are not those of the network",
                where="inputs",
                got=", ".join(inputs),
                expected=", ".join(names),
            )
        parts = []
        for name in names:
            value, n = np.asarray(inputs[name]), self.program.place[name].size
            if value.ndim == 2:
                value = value[:, None, :]
            if value.ndim != 3 or value.shape[2] != n or value.dtype.kind not in "iuf":
                raise ConfigError(
                    "not values for this input",
                    where=f"inputs.{name}",
                    got=f"{value.dtype}{list(np.shape(inputs[name]))}",
                    expected=f"numbers [n_samples, {n}] or [n_samples, n_steps, {n}]",
                )
            if not np.isfinite(value).all():
                raise ConfigError("not a finite number", where=f"inputs.{name}", code="config.not_finite")
            ordered = np.empty(value.shape, self.network.precision)
            ordered[:, :, self.program.place[name]] = value
            parts.append(ordered)
        if len({part.shape[:2] for part in parts}) != 1:
            raise ConfigError(
                "inputs differ in their numbers of samples or steps",
                where="inputs",
                got=", ".join(str(part.shape[:2]) for part in parts),
            )
        together = np.concatenate(parts, axis=2)
        n_samples, n_given, _ = together.shape
        if repeat > 1 and n_given > 1:
            raise ConfigError(
                "only an input of one step can be repeated", where="repeat", got=repeat, expected="1"
            )
        sample, step, unit = np.nonzero(together)
        ptr = np.searchsorted(sample * n_given + step, np.arange(n_samples * n_given + 1))
        rows = np.concatenate([ptr[:-1].reshape(n_samples, n_given), ptr[n_given::n_given, None]], axis=1)
        return (
            engine.Given(rows.astype(np.int64), unit.astype(np.int32), together[sample, step, unit], repeat),
            n_samples,
        )

    def _work(self) -> engine.Work:
        graph, dtype, slots = self.program.graph, np.dtype(self.network.precision), self.program.n_slots
        n = int(graph.first[-1])
        return engine.Work(
            potential=np.zeros(n, dtype),
            current=np.zeros(n, dtype),
            spikes=np.zeros(n, np.int32),
            total=np.zeros(n, dtype),
            held=np.zeros(n, dtype),
            unit=np.zeros((slots, n), np.int32),
            amount=np.zeros((slots, n), dtype),
            n_events=np.zeros((slots, graph.kind.size), np.int64),
        )

    def _result(self, outcome: engine.Outcome, repeat: int) -> BatchResult:
        program = self.program
        last = program.names[-1]
        kept = program.names if outcome.spikes.shape[0] else []
        return BatchResult(
            readout=outcome.readout[:, :, program.place[last]],
            counts={name: outcome.spikes[:, program.units(name)][:, program.place[name]] for name in kept},
            totals={name: outcome.total[:, program.units(name)][:, program.place[name]] for name in kept},
            events={name: outcome.events[:, p] for p, name in enumerate(program.names)},
            spikes={name: outcome.sent[:, p] for p, name in enumerate(program.names)},
            additions={name: outcome.added[:, j] for j, name in enumerate(program.links)},
            graded={name: outcome.graded[:, j] for j, name in enumerate(program.links)},
            n_steps=outcome.ended,
            repeat=repeat,
        )

    def close(self) -> None:
        """Stop the threads."""
        self._workers.close()

    def __enter__(self) -> BatchSimulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
