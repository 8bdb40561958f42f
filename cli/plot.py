"""`snnsim plot`: one figure of a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, Usage
from snnsim.cli.resume import RunDir
from snnsim.cli.run import DataDir
from snnsim.errors import ConfigError, nearest

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
        typer.Argument(help="raster of spikes; vm: membrane potentials; weights: learned weights; rates."),
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
    from_ms: Annotated[float | None, typer.Option(min=0.0, help="Start of the window.")] = None,
    to_ms: Annotated[float | None, typer.Option(min=0.0, help="End of the window.")] = None,
    data: DataDir = None,
    json: Json = False,
) -> Reply:
    """Draw one figure of a run, also of one that is still at work.

    \b
    Examples:
      snnsim plot RUN raster -o raster.png --from-ms 0 --to-ms 500
      snnsim plot RUN rates --population exc -o rates.pdf
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
    if kind is Kind.WEIGHTS:
        figure = _weights(run, config, projection)
    else:
        end = to_ms if to_ms is not None else run.manifest.get("duration_ms")
        view = (from_ms or 0.0, float(end) if isinstance(end, int | float) else 1000.0)
        if view[1] <= view[0]:
            raise Usage("an empty window", where="--to-ms", got=view[1], expected=f"above {view[0]:g} ms")
        draw = _membrane if kind is Kind.VM else _spikes
        figure = draw(run, config, kind, population or [], view, data)
    plots.save(figure, path)
    return Reply({"kind": kind, "file": path}, str(path))


def _spikes(
    run: RunDirectory,
    config: Config,
    kind: Kind,
    wanted: list[str],
    view: tuple[float, float],
    data: Path | None,
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
    return draw(*plots.stack(trains), t0_ms=view[0], t1_ms=view[1], title=config.name)[0]


def _membrane(
    run: RunDirectory,
    config: Config,
    kind: Kind,
    wanted: list[str],
    view: tuple[float, float],
    data: Path | None,
) -> Any:
    from snnsim import plots
    from snnsim.recording import read_state

    probes = {n: p for n, p in config.network.probes.items() if p.variable == "v_mv"}
    if not probes:
        raise ConfigError(
            "no membrane potential was recorded",
            where="probes",
            fix='add a probe with variable = "v_mv" and run again',
        )
    by_population = {p.target: n for n, p in probes.items()}
    name = by_population[_known(wanted[0], by_population, "--population")] if wanted else next(iter(probes))
    probe = probes[name]
    every = probe.every_ms if probe.every_ms is not None else config.run.dt_ms
    first, last = int(view[0] / every), int(view[1] / every) + 1
    times, ids, v = read_state(run.state_path, name, first, last)
    threshold = config.network.populations[probe.target].neuron.v_th_mv
    shown = threshold if isinstance(threshold, float) else None
    labels = [f"{probe.target} {k}" for k in ids]
    return plots.membrane(times, v, shown, labels=labels, title=config.name)[0]


def _weights(run: RunDirectory, config: Config, wanted: str | None) -> Any:
    """As images where the source shows images, else as a histogram."""
    from snnsim import plots
    from snnsim.results import read_result
    from snnsim.run_report import learned_projection
    from snnsim.weightfile import read_weights

    plastic = [name for name, p in config.network.projections.items() if p.plastic]
    if not plastic:
        raise ConfigError(
            "no projection of this network learns", where="projections", expected="one with plasticity"
        )
    name = _known(wanted, dict.fromkeys(plastic), "--projection") if wanted else plastic[0]
    edges = read_weights(run.path / "weights.h5", name)
    if name == learned_projection(config):
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
