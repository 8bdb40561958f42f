"""`snnsim resume`: go on with a run that was interrupted or killed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnsim.cli.output import Json, Quiet, Reply
from snnsim.cli.run import DataDir, Threads, in_words, simulate

RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, as `snnsim run` made it.")]


def resume(
    run_dir: RunDir, threads: Threads = None, data: DataDir = None, json: Json = False, quiet: Quiet = False
) -> Reply:
    """Go on with an interrupted run to its end, as if it had never been interrupted.

    Spikes, state and results are the same, bit for bit. A finished run is left as it is.

    \b
    Examples:
      snnsim resume runs/2026-11-20T064500-digits-3fa9c1
      snnsim resume runs/2026-11-20T064500-digits-3fa9c1 --threads 4
    """
    from snnsim.config import load_config
    from snnsim.plan import make_plan
    from snnsim.runs import RunDirectory

    run = RunDirectory.open(run_dir)
    if run.status == "finished":
        from snnsim.results import read_result

        result = read_result(run.path)
        return Reply(result, f"this run is finished; nothing to do\n{in_words(result)}")
    flags = [f"run.threads={threads}"] if threads is not None else []
    plan = make_plan(load_config(run.resolved_path, flags), data)
    run.resume(threads=plan.threads)
    return simulate(plan, quiet=quiet, run=run)
