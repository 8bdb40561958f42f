"""Figures of what the probes of one run have recorded: potentials and weights in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnsim import plots
from snnsim.config import Config
from snnsim.network import Population
from snnsim.recording import read_state
from snnsim.runs import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FRAMES = 1000
"""Of a longer weight recording so many frames are drawn."""
MAX_VALUES = 4_000_000
"""Samples that are read at once."""

View = tuple[float, float]


def probes_of(config: Config, variable: str, target: str | None = None) -> list[str]:
    """Names of the probes of a variable, of one target where it is given."""
    probes = config.network.probes.items()
    return [n for n, p in probes if p.variable == variable and target in (None, p.target)]


def potentials(run: RunDirectory, config: Config, names: list[str], view: View, title: str) -> Figure | None:
    """Membrane potentials that these probes recorded within the window; None when there are none."""
    groups = []
    for name in names:
        probe = config.network.probes[name]
        times, ids, v = _samples(run, config, name, view)
        if times.size:
            v_th, note = _threshold(config.network.populations[probe.target], ids)
            labels = [f"{probe.target} {k}" for k in ids]
            groups.append(plots.Potentials(times, v, v_th, labels=labels, note=note))
    return plots.membranes(groups, title=title)[0] if groups else None


def weights_in_time(run: RunDirectory, config: Config, name: str, view: View, title: str) -> Figure | None:
    """Weights that a probe recorded within the window; None when there are none."""
    times, _, weights = _samples(run, config, name, view, MAX_FRAMES)
    if not times.size:
        return None
    projection = config.network.projections[config.network.probes[name].target]
    unit = "mV" if projection.weight_mv is not None else "pA"
    return plots.weight_traces(times, weights, unit=unit, title=title)[0]


def span_of(run: RunDirectory, name: str) -> str:
    """What a probe has recorded, in words."""
    if not run.state_path.exists():
        return "nothing"
    first, _, _ = read_state(run.state_path, name, 0, 1)
    last, _, _ = read_state(run.state_path, name, -1)
    return f"{first[0]:g} to {last[0]:g} ms" if last.size else "nothing"


def _samples(
    run: RunDirectory, config: Config, name: str, view: View, most: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[Any]]:
    """(times_ms[k], ids[n], values[k, n]) of a probe within a window, both ends included."""
    every_ms = config.network.probes[name].every_ms or config.run.dt_ms
    first, stop = int(np.ceil(view[0] / every_ms - 1e-6)), int(np.floor(view[1] / every_ms + 1e-6)) + 1
    if most is None or stop - first <= most:
        return read_state(run.state_path, name, first, stop)
    frames = np.unique(np.linspace(first, stop - 1, most).astype(np.int64))
    n = max(1, read_state(run.state_path, name, 0, 1)[1].size)
    rows = max(1, MAX_VALUES // n)
    times, values = [], []
    for start in range(first, stop, rows):
        own = frames[(frames >= start) & (frames < start + rows)] - start
        at, ids, found = read_state(run.state_path, name, start, min(start + rows, stop))
        own = own[own < at.size]
        times.append(at[own])
        values.append(found[own])
    return np.concatenate(times), ids, np.concatenate(values)


def _threshold(population: Population, ids: NDArray[np.uint64]) -> tuple[Any, str]:
    """The thresholds to draw, and a sentence where that is not all."""
    neuron = population.neuron
    if isinstance(neuron.v_th_mv, float):
        v_th: Any = neuron.v_th_mv
    elif isinstance(neuron.v_th_mv, np.ndarray):
        v_th = neuron.v_th_mv[ids.astype(np.int64)]
    else:
        return None, "threshold differs between neurons, not drawn"
    if neuron.threshold is not None:
        return v_th, "the threshold adapts: the dashed line is where it comes to rest"
    return v_th, ""
