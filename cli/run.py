"""`snnsim run`: simulate a config and leave a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Quiet, Reply, Stopped, bytes_text, say
from snnsim.errors import ExitCode

if TYPE_CHECKING:
    from snnsim.config import Config
    from snnsim.execute import Outcome
    from snnsim.runs import RunDirectory

DataDir = Annotated[
    Path | None,
    typer.Option("--data", envvar="SNNSIM_DATA", metavar="DIR", help="Folder of the data sets."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads; never changes a result. Default: all cores.")
]
FILES = [
    *("config.toml", "resolved.toml", "manifest.json", "log.jsonl", "spikes.h5", "state.h5", "checkpoints/"),
    *("raster.png", "result.json", "report.html"),
]


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file in TOML.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as run.dt_ms=0.5; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of run.seed.")] = None,
    threads: Threads = None,
    duration_ms: Annotated[float | None, typer.Option(help="Model time, instead of run.duration_ms.")] = None,
    data: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory, new or empty. Default: runs/<time>-<name>-<id>."),
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option(metavar="S", help="Wall time between checkpoints in s; 0: only when stopped."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Simulate a config and leave everything in a run directory.

    Ctrl-C stops after a checkpoint; `snnsim resume` goes on from there, bit for bit. The real-time
    factor (RTF) is wall seconds for one second of model time: below 1 is faster than real time.

    \b
    Examples:
      snnsim run examples/digits_stdp.toml
      snnsim run net.toml --set populations.exc.n=500 --seed 7 --duration-ms 100
      snnsim run net.toml --dry-run
    """
    from snnsim.config import load_config

    given = {
        "run.seed": seed,
        "run.threads": threads,
        "run.duration_ms": duration_ms,
        "run.checkpoint_every_s": checkpoint_every,
    }
    flags = [f"{key}={value!r}" for key, value in given.items() if value is not None]
    plan = Plan.of(load_config(config, [*(changes or []), *flags]), data)
    if dry_run:
        return plan.reply()
    return simulate(plan, quiet=quiet, out=out)


@dataclass(frozen=True)
class Plan:
    """A config and what it will cost."""

    config: Config
    data: Path | None
    n_neurons: int
    n_synapses: int
    total_bytes: int
    n_steps: int
    threads: int

    @classmethod
    def of(cls, config: Config, data: Path | None) -> Plan:
        from snnsim.execute import n_steps_of, threads_of
        from snnsim.program import estimate

        with config.origin.located():
            sizes = estimate(config.network, config.run.dt_ms, data)
            steps = n_steps_of(config, data)
        return cls(
            config,
            data,
            sizes.n_neurons,
            round(sizes.n_synapses),
            sizes.total_bytes,
            steps,
            threads_of(config),
        )

    def line(self) -> str:
        """What is about to run, in one line."""
        return (
            f"{self.config.name}: {self.n_neurons:,} neurons, about {self.n_synapses:,} synapses and "
            f"{bytes_text(self.total_bytes)}, {self.n_steps:,} steps of {self.config.run.dt_ms:g} ms, "
            f"{self.threads} thread{'s' * (self.threads > 1)}, seed {self.config.run.seed}"
        )

    def reply(self) -> Reply:
        """The answer to --dry-run."""
        plastic = any(projection.plastic for projection in self.config.network.projections.values())
        files = [*FILES, *(["weights.h5"] if plastic else [])]
        if self.config.task is not None:
            files += ["receptive_fields.png", "confusion.png"]
        data: dict[str, Any] = {
            "name": self.config.name,
            "n_neurons": self.n_neurons,
            "n_synapses": self.n_synapses,
            "total_bytes": self.total_bytes,
            "n_steps": self.n_steps,
            "dt_ms": self.config.run.dt_ms,
            "duration_ms": self.n_steps * self.config.run.dt_ms,
            "threads": self.threads,
            "seed": self.config.run.seed,
            "files": files,
        }
        return Reply(data, f"{self.line()}\nwould write {', '.join(files)}\nnothing was written")


def simulate(plan: Plan, *, quiet: bool, out: Path | None = None, run: RunDirectory | None = None) -> Reply:
    """Run a plan in a new run directory, or go on in the one given, and say what came out."""
    from snnsim.cli.doctor import COMPILING, cache_is_warm
    from snnsim.cli.interrupt import signals_noted
    from snnsim.cli.progress import progress
    from snnsim.execute import create_run, execute
    from snnsim.jit_cache import configure

    resuming = run is not None
    run = run if run is not None else create_run(plan.config, plan.n_steps, plan.threads, out, plan.data)
    if not quiet:
        say(plan.line())
        if not cache_is_warm(configure()):
            say(COMPILING)
    with run, signals_noted() as stop, progress(plan.config.run.dt_ms, quiet) as advance:
        outcome = execute(
            plan.config,
            run,
            resume=resuming,
            threads=plan.threads,
            data_dir=plan.data,
            progress=advance,
            stop=stop,
        )
    return answer(plan, run, outcome, quiet)


def answer(plan: Plan, run: RunDirectory, outcome: Outcome, quiet: bool) -> Reply:
    """What a person and a program are told about a run."""
    if outcome.stopped_by:
        data = f" --data {plan.data}" if plan.data else ""
        error = Stopped(
            f"stopped by {outcome.stopped_by} at step {outcome.step:,} of {outcome.n_steps:,}; "
            "a checkpoint is written",
            where=str(run.path),
            fix=f"snnsim resume {run.path}{data}",
        )
        code = ExitCode.TERMINATED if outcome.stopped_by == "SIGTERM" else ExitCode.INTERRUPTED
        return Reply(outcome.result, "", outcome.warnings, error, code)
    if not quiet:
        say(f"next: snnsim plot {run.path} raster -o raster.png | snnsim inspect {run.path}")
    return Reply(outcome.result, in_words(outcome.result), outcome.warnings)


def in_words(result: dict[str, Any]) -> str:
    """The result of a finished run, for people."""
    lines = [str(result["run_dir"])]
    if "task" in result:
        task = result["task"]
        rules = ", ".join(f"{rule} {value:.2%}" for rule, value in task["accuracies"].items())
        lines.append(f"accuracy {task['accuracy']:.2%} on {task['n_test']:,} test images ({rules})")
    rates = ", ".join(f"{name} {hz:.3g}" for name, hz in result["rates_hz"].items())
    if rates:
        lines.append(f"mean rates in spikes/s: {rates}")
    lines.append(
        f"{result['duration_ms'] / 1000:.6g} s of model time in {result['sim_s']:.3g} s "
        f"(real-time factor {result['rtf']:.3g}), built in {result['build_s']:.2g} s"
    )
    return "\n".join(lines)
