"""The figures and the report of a finished run, from what lies in its directory."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnsim import plots
from snnsim.config import Config
from snnsim.manifest import software_facts
from snnsim.report import Report, Table, activity_table, run_facts, show, write_report
from snnsim.results import Spikes, window
from snnsim.run_figures import potentials, probes_of, weights_in_time
from snnsim.runs import RunDirectory
from snnsim.weightfile import read_weights

MAX_SPIKES = 4_000_000
"""Spikes that figures and statistics are made of; of a longer run they show the end, and say so."""
RASTER_MS, RASTER_MARKS = 1000.0, 5.0
"""A raster shows the last second, or as much more as it takes for so many spikes of each neuron."""

Figures = dict[str, tuple[str, str]]
"""File name -> (caption, alternative text)."""


def draw_figures(run: RunDirectory, config: Config, result: dict[str, Any]) -> Figures:
    """Draw what there is of receptive_fields.png, confusion.png, raster.png, vm.png and weights.png."""
    figures: Figures = _task_figures(run, config, result["task"]) if "task" in result else {}
    end = result["duration_ms"]
    start = _raster_start(result)
    trains = trains_of(run, result, start, end)
    if trains:
        figure, _ = plots.raster(*plots.stack(trains), t0_ms=start, t1_ms=end)
        plots.save(figure, run.path / "raster.png")
        span = "" if start == 0 else f" in the last {show((end - start) / 1000)} s"
        figures["raster.png"] = (f"Spikes{span}.", f"Raster of the spikes of {', '.join(trains)}")
    return figures | _potential_figures(run, config, end) | _weight_figures(run, config, end)


def _potential_figures(run: RunDirectory, config: Config, end: float) -> Figures:
    names = probes_of(config, "v_mv")
    start = max(0.0, end - RASTER_MS)
    figure = potentials(run, config, names, (start, end), "") if names else None
    if figure is None:
        return {}
    plots.save(figure, run.path / "vm.png")
    span = "" if start == 0 else f" in the last {show((end - start) / 1000)} s"
    targets = ", ".join(dict.fromkeys(config.network.probes[name].target for name in names))
    return {"vm.png": (f"Membrane potentials{span}.", f"Membrane potentials of {targets}")}


def _weight_figures(run: RunDirectory, config: Config, end: float) -> Figures:
    """Weights in time where they were recorded, else how they are spread at the end; of one projection."""
    plastic = [name for name, p in config.network.projections.items() if p.plastic]
    if not plastic:
        return {}
    recorded_ones = probes_of(config, "weight")
    figure = weights_in_time(run, config, recorded_ones[0], (0.0, end), "") if recorded_ones else None
    if figure is not None:
        name = config.network.probes[recorded_ones[0]].target
        found = (f"Weights of {name} in time.", f"Weights of synapses of {name} over time")
    else:
        name = plastic[0]
        edges = read_weights(run.path / "weights.h5", name)
        figure, _ = plots.weight_histogram(edges.weight, unit=edges.unit)
        found = (f"Weights of {name} at the end.", f"Histogram of the weights of {name}")
    plots.save(figure, run.path / "weights.png")
    return {"weights.png": found}


def _raster_start(result: dict[str, Any]) -> float:
    """Start of the window of the raster in ms."""
    end = result["duration_ms"]
    n_spikes = sum(result["spikes"].values())
    n_units = sum(sizes["n_recorded"] for sizes in result["recorded"].values())
    wanted = end * RASTER_MARKS * n_units / max(n_spikes, 1)
    return max(0.0, end - max(RASTER_MS, wanted))


def _task_figures(run: RunDirectory, config: Config, found: dict[str, Any]) -> Figures:
    figures: Figures = {}
    matrix = np.asarray(found["confusion"])
    figure, _ = plots.confusion(matrix, range(len(matrix)))
    plots.save(figure, run.path / "confusion.png")
    figures["confusion.png"] = (
        f"Answers to the test images, {found['accuracy']:.2%} right.",
        "Confusion matrix of true and answered classes",
    )
    name = learned_projection(config)
    if name is not None and config.task is not None:
        projection = config.network.projections[name]
        rows, columns = found["image_shape"]
        edges = read_weights(run.path / "weights.h5", name)
        n_target = config.network.populations[projection.target].n
        fields = edges.matrix(max(rows * columns, int(edges.source.max(initial=0)) + 1), n_target)
        labels = found["assignment"] if projection.target == config.task.readout else None
        figure, _ = plots.weights_as_fields(
            fields[: rows * columns], (rows, columns), labels, unit=edges.unit
        )
        plots.save(figure, run.path / "receptive_fields.png")
        figures["receptive_fields.png"] = (
            f"What the neurons of {projection.target} have learned to see: the weights of {name}.",
            "One small image of weights for each neuron",
        )
    return figures


def learned_projection(config: Config) -> str | None:
    """The plastic projection from the task's images: its weights can be looked at as images."""
    if config.task is None:
        return None
    plastic = [
        n for n, p in config.network.projections.items() if p.plastic and p.source == config.task.stimulus
    ]
    return plastic[0] if plastic else None


def trains_of(run: RunDirectory, result: dict[str, Any], t0_ms: float, t1_ms: float) -> dict[str, Spikes]:
    """Name -> (times_ms, ids, n) of every recorded population within a window."""
    return {
        name: (*window(run.spikes_path, name, t0_ms, t1_ms), sizes["n"])
        for name, sizes in result["recorded"].items()
    }


def write_run_report(
    run: RunDirectory, config: Config, result: dict[str, Any], figures: Figures, warnings: Sequence[str] = ()
) -> Path:
    """Write report.html; return its path."""
    versions = software_facts()
    headline: list[tuple[str, object]] = []
    tables: list[Table] = []
    if "task" in result:
        found = result["task"]
        chosen_first = sorted(
            found["accuracies"].items(), key=lambda entry: entry[0] != found["readout_rule"]
        )
        headline += [(f"accuracy ({rule})", f"{value:.2%}") for rule, value in chosen_first]
        tables.append(_class_table(found))
    if result["rates_hz"]:
        rates = ", ".join(f"{name} {show(rate)}" for name, rate in result["rates_hz"].items())
        headline.append(("mean rates", f"{rates} spikes/s"))
    end = result["duration_ms"]
    n_spikes = sum(result["spikes"].values())
    start = 0.0 if n_spikes <= MAX_SPIKES else end * (1.0 - MAX_SPIKES / n_spikes)
    trains = trains_of(run, result, start, end)
    if trains:
        tables.append(activity_table(trains, start, end))
    report = Report(
        title=config.name,
        headline=headline,
        facts=run_facts(
            neurons=result["n_neurons"],
            synapses=result["n_synapses"],
            steps=result["step"],
            dt_ms=result["dt_ms"],
            seed=result["seed"],
            threads=result["threads"],
            sim_s=result["sim_s"],
            build_s=result.get("build_s"),
            wall_s=result.get("wall_s"),
            versions={"snnsim": versions["snnsim"], **versions["packages"]},
        ),
        tables=tables,
        figures=[(caption, alt, (run.path / name).read_bytes()) for name, (caption, alt) in figures.items()],
        warnings=warnings,
        command=f"snnsim run {shlex.quote(str(run.resolved_path))}",
        config_text=run.resolved_path.read_text("utf-8"),
    )
    write_report(report, run.report_path)
    return run.report_path


def _class_table(found: dict[str, Any]) -> Table:
    shares = found["class_accuracy"]
    rows = [
        (str(k), "–" if share is None else f"{share:.1%}", n, sum(found["confusion"][k]))
        for k, (share, n) in enumerate(zip(shares, found["neurons_per_class"], strict=True))
    ]
    note = (
        f"{found['n_test']:,} test images, {found['n_silent']:,} of them without an answer; "
        f"{found['n_unassigned']:,} neurons without a class. Read-out: {found['readout_rule']}."
    )
    return Table("Classes", ("class", "right", "neurons", "test images answered"), rows, note)
