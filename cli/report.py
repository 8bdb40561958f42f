"""`snnsim report`: draw the figures of a finished run again and write its report."""

from __future__ import annotations

from snnsim.cli.output import Json, Reply
from snnsim.cli.resume import RunDir


def report(run_dir: RunDir, json: Json = False) -> Reply:
    """Write report.html of a finished run again, with its figures.

    \b
    Example:
      snnsim report runs/2026-11-20T064500-digits-3fa9c1
    """
    from snnsim.config import load_config
    from snnsim.results import read_result
    from snnsim.run_report import draw_figures, write_run_report
    from snnsim.runs import RunDirectory

    run = RunDirectory.open(run_dir)
    result = read_result(run.path)
    config = load_config(run.resolved_path)
    figures = draw_figures(run, config, result)
    path = write_run_report(run, config, result, figures)
    run.renew([path.name, *figures])
    return Reply({"report": path, "figures": [run.path / name for name in figures]}, str(path))
