"""`snnsim plot`: one figure of a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, Usage
from snnsim.cli.resume import RunDir
from snnsim.cli.run import DataDir
from snnsim.errors import ConfigError, FileError, nearest

if TYPE_CHECKING:
    from snnsim.config import Config
    from snnsim.runs import RunDirectory


class Kind(StrEnum):
    """What can be drawn."""

    RASTER = "raster"
    VM = "vm"
    WEIGHTS = "weights"
    RATES = "rates"


def plot(
    run_dir: RunDir,
    kind: Annotated[
        Kind,
        typer.Argument(
            help="raster of spikes; vm: membrane potentials; weights: learned weights, over time where a "
            "probe recorded them; rates."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help=".png, .svg or .pdf. Default: RUN/<kind>.png."),
    ] = None,
    population: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this population; repeatable.")
    ] = None,
    projection: Annotated[
        str | None, typer.Option(metavar="NAME", help="Projection whose weights are drawn.")
    ] = None,
    probe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this probe recorded: vm, weights over time.")
    ] = None,
    from_ms: Annotated[float | None, typer.Option(min=0.0, help="Start of the window.")] = None,
    to_ms: Annotated[float | None, typer.Option(min=0.0, help="End of the window.")] = None,
    data: DataDir = None,
    json: Json = False,
) -> Reply:
    """Draw one figure of a run, also of one that is still at work, up to where it has come.

    \b
    Examples:
      snnsim plot RUN raster -o raster.png --from-ms 0 --to-ms 500
      snnsim plot RUN rates --population exc -o rates.pdf
      snnsim plot RUN vm --population exc --population inh
      snnsim plot RUN weights --projection input_exc -o weights.svg
    """
    from snnsim import plots
    from snnsim.config import load_config
    from snnsim.runs import RunDirectory

    run = RunDirectory.open(run_dir)
    config = load_config(run.resolved_path)
    path = out if out is not None else run.path / f"{kind.value}.png"
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise Usage(
            "unknown format of figures", where="--out", got=path.suffix, expected=".png, .svg or .pdf"
        )
    view, title, warnings = _window(run, config, from_ms, to_ms)
    if kind is Kind.WEIGHTS:
        figure = _weights(run, config, projection, probe, view, title)
    elif kind is Kind.VM:
        figure = _membrane(run, config, population or [], probe, view, title)
    else:
        figure = _spikes(run, config, kind, population or [], view, data, title)
    plots.save(figure, path)
    if path.parent.resolve() == run.path.resolve():
        run.renew([path.name])
    return Reply({"kind": kind, "file": path}, str(path), warnings)


def _window(
    run: RunDirectory, config: Config, from_ms: float | None, to_ms: float | None
) -> tuple[tuple[float, float], str, list[str]]:
    """The window in ms, no longer than what was simulated; the title; warnings."""
    from snnsim.results import reached_step

    end = round(reached_step(run) * config.run.dt_ms, 9)
    start, wanted = from_ms or 0.0, to_ms if to_ms is not None else end
    if to_ms is not None and wanted <= start:
        raise Usage("an empty window", where="--to-ms", got=wanted, expected=f"above {start:g} ms")
    if start >= end:
        reached = f"0 to {end:g} ms" if end else "nothing yet"
        raise Usage(
            "the window lies beyond what was simulated",
            where="--from-ms" if from_ms else str(run.path),
            got=f"{start:g} ms",
            expected=f"within what was simulated: {reached}",
            fix="" if run.status == "finished" else f"snnsim resume {quote(str(run.path))}",
        )
    warnings = [f"only {end:g} ms were simulated; the window ends there"] if wanted > end else []
    whole = run.manifest.get("duration_ms")
    title = config.name
    if run.status != "finished" and isinstance(whole, int | float):
        title += f" (stopped at {end:,g} of {whole:,g} ms)"
    return (start, min(wanted, end)), title, warnings


def _spikes(
    run: RunDirectory,
    config: Config,
    kind: Kind,
    wanted: list[str],
    view: tuple[float, float],
    data: Path | None,
    title: str,
) -> Any:
    from snnsim import plots
    from snnsim.results import recorded, sizes_of, window

    known = {table.name: table.n for table in recorded(config.network, sizes_of(config, data))}
    if not known:
        raise ConfigError(
            "no spikes were recorded", where="probes", fix="add a probe of spikes and run again"
        )
    names = [_known(name, known, "--population") for name in wanted] or list(known)
    trains = {name: (*window(run.spikes_path, name, *view), known[name]) for name in names}
    draw = plots.raster if kind is Kind.RASTER else plots.rates
    return draw(*plots.stack(trains), t0_ms=view[0], t1_ms=view[1], title=title)[0]


def _membrane(
    run: RunDirectory,
    config: Config,
    wanted: list[str],
    probe: str | None,
    view: tuple[float, float],
    title: str,
) -> Any:
    """Potentials of the probe named, of those of the populations named, or of all."""
    from snnsim.run_figures import potentials, probes_of

    probes = probes_of(config, "v_mv")
    if not probes:
        raise ConfigError(
            "no membrane potential was recorded",
            where="probes",
            fix='add a probe with variable = "v_mv" and run again',
        )
    if probe is not None:
        names = [_known(probe, dict.fromkeys(probes), "--probe")]
    else:
        targets = dict.fromkeys(config.network.probes[name].target for name in probes)
        chosen = [_known(name, targets, "--population") for name in wanted] or list(targets)
        names = [name for target in chosen for name in probes_of(config, "v_mv", target)]
    figure = potentials(run, config, names, view, title)
    if figure is None:
        raise _nothing(run, names, view)
    return figure


def _nothing(run: RunDirectory, names: list[str], view: tuple[float, float]) -> Usage:
    from snnsim.run_figures import span_of

    return Usage(
        "nothing was recorded in this window",
        where="--from-ms, --to-ms",
        got=f"{view[0]:g} to {view[1]:g} ms",
        expected="samples of " + ", ".join(f"{name}: {span_of(run, name)}" for name in names),
    )


def _weights(
    run: RunDirectory,
    config: Config,
    wanted: str | None,
    probe: str | None,
    view: tuple[float, float],
    title: str,
) -> Any:
    """As images where the source shows images, else in time where a probe recorded it, else a histogram."""
    from snnsim import plots
    from snnsim.results import read_result
    from snnsim.run_figures import probes_of, weights_in_time
    from snnsim.run_report import learned_projection
    from snnsim.weightfile import read_weights

    plastic = [name for name, p in config.network.projections.items() if p.plastic]
    if not plastic:
        raise ConfigError(
            "no projection of this network learns", where="projections", expected="one with plasticity"
        )
    probes = probes_of(config, "weight")
    if probe is not None:
        name = config.network.probes[_known(probe, dict.fromkeys(probes), "--probe")].target
    else:
        first = config.network.probes[probes[0]].target if probes else plastic[0]
        name = _known(wanted, dict.fromkeys(plastic), "--projection") if wanted else first
    own = [probe] if probe is not None else probes_of(config, "weight", name)
    finished = (run.path / "weights.h5").exists()
    images = finished and probe is None and name == learned_projection(config)
    if own and not images:
        figure = weights_in_time(run, config, own[0], view, f"{title}: {name}")
        if figure is None:
            raise _nothing(run, own, view)
        return figure
    if not finished and run.status != "finished":
        raise FileError(
            "the weights are written when the run has reached its end",
            where=str(run.path),
            got=f"a run that is {run.status}",
            fix=f"snnsim resume {quote(str(run.path))}",
            code="file.missing",
        )
    edges = read_weights(run.path / "weights.h5", name)
    if images:
        found = read_result(run.path).get("task")
        if found is not None:
            rows, columns = found["image_shape"]
            n_target = config.network.populations[config.network.projections[name].target].n
            fields = edges.matrix(max(rows * columns, int(edges.source.max(initial=0)) + 1), n_target)
            return plots.weights_as_fields(
                fields[: rows * columns], (rows, columns), unit=edges.unit, title=name
            )[0]
    return plots.weight_histogram(edges.weight, unit=edges.unit, title=name)[0]


def _known(name: str, known: dict[str, Any], option: str) -> str:
    if name not in known:
        raise Usage("nothing of this name is recorded", where=option, got=name, fix=nearest(name, known))
    return name
