"""Carry out a config from the first step to the report: run, checkpoint, stop, resume, evaluate.

plan = make_plan(load_config("net.toml"))
with create_run(plan) as run:
    outcome = execute(plan, run)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snnsim.atomic import write_json
from snnsim.errors import ExitCode, SnnError
from snnsim.plan import Plan
from snnsim.results import activity, classification, recorded
from snnsim.run_report import draw_figures, write_run_report
from snnsim.runs import RunDirectory
from snnsim.simulator import Simulator
from snnsim.weightfile import Edges, write_weights
from snnsim.weights import weight_unit

Progress = Callable[[int, int], object]
Stop = Callable[[], str | None]
"""Gives the reason to stop now ("SIGINT"), or None."""

FACTS = (
    *("spikes_sha256", "n_neurons", "n_synapses", "step", "threads", "threads_requested"),
    *("build_s", "sim_s", "wall_s"),
)
"""Entries of the result that the manifest repeats."""
_EXIT = {"SIGINT": ExitCode.INTERRUPTED, "SIGTERM": ExitCode.TERMINATED}


@dataclass(frozen=True)
class Outcome:
    """How a run went.

    stopped_by   reason given by `stop`; None when the run reached its end
    step         steps done, of n_steps
    result       what result.json holds: sizes, times, spikes, rates, accuracy
    warnings     sentences for the user
    """

    stopped_by: str | None
    step: int
    n_steps: int
    result: dict[str, Any]
    warnings: list[str]


def execute(
    plan: Plan,
    run: RunDirectory,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    stop: Stop = lambda: None,
) -> Outcome:
    """Carry out a plan in its run directory to the end, or until `stop` gives a reason.

    resume     go on from the newest checkpoint; from the first step where there is none yet
    progress   called with (steps done, steps in all) several times a second
    stop       asked as often; the run then writes a checkpoint and ends with status "interrupted"
    Raises SimulationError, FileError, StorageError; the manifest then says "failed".
    """
    try:
        job = _Job(plan, run, resume)
        with job.simulator:
            stopped_by = job.advance(progress, stop)
            job.save_end(stopped_by)
        return job.finish(stopped_by)
    except Exception as error:
        code = error.exit_code if isinstance(error, SnnError) else ExitCode.BUG
        run.finish("interrupted" if code in _EXIT.values() else "failed", int(code))
        raise


class _Job:
    """A simulator at work in a run directory."""

    def __init__(self, plan: Plan, run: RunDirectory, resume: bool) -> None:
        self.began = time.perf_counter()
        self.config, self.run, self.n_steps = plan.config, run, plan.n_steps
        self.threads_requested = plan.threads_requested
        self.warnings: list[str] = list(plan.warnings)
        self.sim_s = self.earlier_build_s = self.earlier_wall_s = 0.0
        going_on = resume and any(run.checkpoints.folder.glob("step_*.h5"))
        if resume and not going_on:  # stopped before the first checkpoint: what was recorded comes again
            run.spikes_path.unlink(missing_ok=True)
            run.state_path.unlink(missing_ok=True)
        self.simulator = Simulator(
            plan.config.network,
            dt_ms=plan.config.run.dt_ms,
            seed=plan.config.run.seed,
            threads=plan.threads_requested,
            record_to=run.path,
            data_dir=plan.data_dir,
        )
        if going_on:
            try:
                self._restore()
            except BaseException:
                self.simulator.close(complete=False)
                raise
        run.log("resumed" if resume else "started", step=self.simulator.step, threads=self.simulator.threads)

    def _restore(self) -> None:
        _, arrays, meta, warnings = self.run.checkpoints.load()
        self.warnings += warnings
        self.simulator.restore(arrays, meta)
        self.sim_s = float(meta.get("sim_s", 0.0))
        self.earlier_build_s = float(meta.get("build_s", 0.0))
        self.earlier_wall_s = float(meta.get("wall_s", 0.0))

    def _wall_times(self) -> dict[str, float]:
        """Wall times in s of all stretches of the run together: of the steps, of building, and in all."""
        return {
            "build_s": self.earlier_build_s + self.simulator.build_s,
            "sim_s": self.sim_s,
            "wall_s": self.earlier_wall_s + time.perf_counter() - self.began,
        }

    def advance(self, progress: Progress | None, stop: Stop) -> str | None:
        """Run to the end with a checkpoint now and then; the reason to stop, if there was one."""
        simulator, every_s = self.simulator, self.config.run.checkpoint_every_s
        reason = None
        while simulator.step < self.n_steps and reason is None:
            began = time.perf_counter()
            first = simulator.step

            def pause(done: int, _: int, first: int = first, began: float = began) -> bool:
                if progress is not None:
                    progress(first + done, self.n_steps)
                return stop() is not None or 0 < every_s <= time.perf_counter() - began

            simulator.run_steps(self.n_steps - first, pause)
            self.sim_s += time.perf_counter() - began
            reason = stop() if simulator.step < self.n_steps else None
            if simulator.step < self.n_steps and reason is None:
                self.checkpoint()
        return reason

    def checkpoint(self) -> None:
        """Save everything needed to go on from here."""
        arrays, meta = self.simulator.checkpoint(copy=False)
        self.run.checkpoints.save(self.simulator.step, arrays, {**meta, **self._wall_times()})

    def save_end(self, stopped_by: str | None) -> None:
        """The last checkpoint; after a whole run also the weights, in a form that others read."""
        self.checkpoint()
        network = self.config.network
        plastic = {name: p for name, p in network.projections.items() if p.plastic}
        if stopped_by is None and plastic:
            edges = {
                name: Edges(*self.simulator.weights(name), weight_unit(p))
                for name, p in plastic.items()
            }
            write_weights(self.run.path / "weights.h5", edges)
        if stopped_by is not None:
            self.simulator.close(complete=False)

    def finish(self, stopped_by: str | None) -> Outcome:
        """Evaluate, draw, report, and close the books."""
        result = self._facts(stopped_by)
        if stopped_by is None:
            result |= self._findings()
            write_json(self.run.path / "result.json", result)
            figures = draw_figures(self.run, self.config, result)
            write_run_report(self.run, self.config, result, figures, self.warnings)
        self.run.log("interrupted" if stopped_by else "finished", step=self.simulator.step, reason=stopped_by)
        self.run.finish(
            "interrupted" if stopped_by else "finished",
            int(_EXIT.get(stopped_by or "", ExitCode.OK)),
            simulated_ms=result["step"] * self.config.run.dt_ms,
            simulation_wall_s=self.sim_s,
            facts={key: result[key] for key in FACTS if key in result},
        )
        return Outcome(stopped_by, self.simulator.step, self.n_steps, result, self.warnings)

    def _facts(self, stopped_by: str | None) -> dict[str, Any]:
        simulator, run = self.simulator, self.config.run
        model_s = simulator.step * run.dt_ms / 1000.0
        return {
            "run_dir": str(self.run.path),
            "status": "interrupted" if stopped_by else "finished",
            "step": simulator.step,
            "n_steps": self.n_steps,
            "dt_ms": run.dt_ms,
            "duration_ms": simulator.step * run.dt_ms,
            "seed": run.seed,
            "threads": simulator.threads,
            "threads_requested": self.threads_requested,
            "n_neurons": simulator.n_neurons,
            "n_synapses": simulator.n_synapses,
            **self._wall_times(),
            "rtf": self.sim_s / model_s if model_s > 0 else None,
        }

    def _findings(self) -> dict[str, Any]:
        """Activity of all that was recorded, and the task's result."""
        program, task = self.simulator.program, self.config.task
        tables = recorded(self.config.network, program.units.size)
        found = activity(self.run.spikes_path, tables, self.n_steps * self.config.run.dt_ms)
        found["recorded"] = {t.name: {"n": t.n, "n_recorded": t.n_recorded} for t in tables}
        if task is None:
            return found
        images = program.images[task.stimulus]
        if self.n_steps < images.n_steps:
            self.warnings.append(
                f"no accuracy: the run ends at step {self.n_steps:,}, "
                f"before the last image at step {images.n_steps:,}"
            )
            return found
        n_readout = self.config.network.populations[task.readout].n
        found["task"] = classification(self.run.spikes_path, task, n_readout, images, self.config.run.dt_ms)
        return found | {"accuracy": found["task"]["accuracy"]}
