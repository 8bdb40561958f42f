"""`snnsim run`: simulate a config and leave a run directory."""

from __future__ import annotations

import math
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Quiet, Reply, Stopped, Usage, bytes_text, say
from snnsim.errors import ExitCode

if TYPE_CHECKING:
    from snnsim.execute import Outcome
    from snnsim.plan import Plan
    from snnsim.runs import RunDirectory

DataDir = Annotated[
    Path | None,
    typer.Option("--data", envvar="SNNSIM_DATA", metavar="DIR", help="Folder of the data sets."),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=1024, help="Threads; never changes a result. Default: all cores."),
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
    from snnsim.plan import make_plan

    given = {
        "run.seed": ("--seed", seed),
        "run.threads": ("--threads", threads),
        "run.duration_ms": ("--duration-ms", duration_ms),
        "run.checkpoint_every_s": ("--checkpoint-every", checkpoint_every),
    }
    flags = [f"{key}={value!r}" for key, (_, value) in given.items() if value is not None]
    options = {key: option for key, (option, value) in given.items() if value is not None}
    if out is not None and str(out).startswith("-"):
        raise Usage("an option where a folder is expected", where="--out", got=str(out), expected="a folder")
    plan = make_plan(load_config(config, [*(changes or []), *flags], options), data)
    if dry_run:
        return dry(plan)
    return simulate(plan, quiet=quiet, out=out)


def line_of(plan: Plan) -> str:
    """What is about to run, in one line."""
    run, sizes = plan.config.run, plan.sizes
    asked = f" (of {plan.threads_requested}: the network is too small for more)"
    return (
        f"{plan.config.name}: {sizes.n_neurons:,} neurons, about {sizes.n_synapses:,} synapses and "
        f"{bytes_text(sizes.total_bytes)}, {plan.n_steps:,} steps of {run.dt_ms:g} ms, "
        f"{plan.threads} thread{'s' * (plan.threads > 1)}"
        f"{asked if plan.threads < plan.threads_requested else ''}, seed {run.seed}"
    )


def dry(plan: Plan) -> Reply:
    """The answer to --dry-run. Raises ConfigError when memory does not hold the network, as a run does."""
    from snnsim.memory import check_memory

    check_memory(plan.sizes)
    run, files = plan.config.run, plan.outputs()
    data: dict[str, Any] = {
        "name": plan.config.name,
        "n_neurons": plan.sizes.n_neurons,
        "n_synapses": plan.sizes.n_synapses,
        "total_bytes": plan.sizes.total_bytes,
        "n_steps": plan.n_steps,
        "dt_ms": run.dt_ms,
        "duration_ms": plan.n_steps * run.dt_ms,
        "threads": plan.threads,
        "threads_requested": plan.threads_requested,
        "seed": run.seed,
        "inputs": plan.inputs,
        "files": files,
    }
    return Reply(data, f"{line_of(plan)}\nwould write {', '.join(files)}\nnothing was written", plan.warnings)


def simulate(plan: Plan, *, quiet: bool, out: Path | None = None, run: RunDirectory | None = None) -> Reply:
    """Run a plan in a new run directory, or go on in the one given, and say what came out."""
    from snnsim.cli.doctor import COMPILING, cache_is_warm
    from snnsim.cli.interrupt import signals_noted
    from snnsim.cli.progress import progress
    from snnsim.execute import execute
    from snnsim.jit_cache import configure
    from snnsim.plan import create_run

    resuming = run is not None
    run = run if run is not None else create_run(plan, out)
    if not quiet:
        say(line_of(plan))
        if not cache_is_warm(configure()):
            say(COMPILING)
    with run, signals_noted() as stop, progress(plan.config.run.dt_ms, quiet) as advance:
        outcome = execute(plan, run, resume=resuming, progress=advance, stop=stop)
    return answer(plan, run, outcome, quiet)


def answer(plan: Plan, run: RunDirectory, outcome: Outcome, quiet: bool) -> Reply:
    """What a person and a program are told about a run."""
    folder = quote(str(run.path))
    if outcome.stopped_by:
        data = f" --data {quote(str(plan.data_dir))}" if plan.data_dir else ""
        code = ExitCode.TERMINATED if outcome.stopped_by == "SIGTERM" else ExitCode.INTERRUPTED
        error = Stopped(
            f"stopped by {outcome.stopped_by} at step {outcome.step:,} of {outcome.n_steps:,}; "
            "a checkpoint is written",
            where=str(run.path),
            fix=f"snnsim resume {folder}{data}",
            exit_code=code,
        )
        return Reply(outcome.result, "", outcome.warnings, error, code)
    if not quiet:
        variables = {probe.variable for probe in plan.config.network.probes.values()}
        kind = "raster" if "spikes" in variables else "vm" if "v_mv" in variables else ""
        plot = f", or snnsim plot {folder} {kind} -o {kind}.png" if kind else ""
        say(f"next: open {run.report_path}{plot}")
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
        f"{result['duration_ms'] / 1000:.6g} s of model time; wall time: simulation {result['sim_s']:.3g} s "
        f"(real-time factor {result['rtf']:.3g}), build {result['build_s']:.2g} s, "
        f"total {result.get('wall_s', math.nan):.3g} s"
    )
    return "\n".join(lines)
