"""Figures of what the probes of one run have recorded: potentials and weights in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnsim import plots
from snnsim.config import Config
from snnsim.plots_potentials import MAX_TRACES
from snnsim.population import Population
from snnsim.recording import read_state
from snnsim.runs import RunDirectory
from snnsim.weights import weight_unit

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
        found = _samples(run, config, name, view, MAX_TRACES, None)
        if found.times_ms.size:
            v_th, note = _threshold(config.network.populations[probe.target], found.ids)
            labels = [f"{probe.target} {k}" for k in found.ids]
            groups.append(
                plots.Potentials(
                    found.times_ms, found.values, v_th, labels=labels, note=note, n_all=found.n_all
                )
            )
    return plots.membranes(groups, title=title)[0] if groups else None


def weights_in_time(run: RunDirectory, config: Config, name: str, view: View, title: str) -> Figure | None:
    """Weights that a probe recorded within the window; None when there are none."""
    found = _samples(run, config, name, view, None, MAX_FRAMES)
    if not found.times_ms.size:
        return None
    projection = config.network.projections[config.network.probes[name].target]
    unit = weight_unit(projection)
    return plots.weight_traces(found.times_ms, found.values, unit=unit, title=title, n_all=found.n_all)[0]


def span_of(run: RunDirectory, name: str) -> str:
    """What a probe has recorded, in words."""
    if not run.state_path.exists():
        return "nothing"
    first, _, _ = read_state(run.state_path, name, 0, 1)
    last, _, _ = read_state(run.state_path, name, -1)
    return f"{first[0]:g} to {last[0]:g} ms" if last.size else "nothing"


class _Samples(NamedTuple):
    """values[k, columns] of some of n_all units, ids[columns], at times_ms[k]."""

    times_ms: NDArray[np.float64]
    ids: NDArray[np.uint64]
    values: NDArray[Any]
    n_all: int


def _samples(
    run: RunDirectory, config: Config, name: str, view: View, columns: int | None, frames: int | None
) -> _Samples:
    """What a probe recorded within a window, both ends included.

    columns   take the first so many units; None: as many as MAX_VALUES allow, evenly chosen
    frames    take so many, evenly chosen; None: all
    The file is read in pieces of MAX_VALUES, for a recording may be larger than memory.
    """
    every_ms = config.network.probes[name].every_ms or config.run.dt_ms
    first, stop = int(np.ceil(view[0] / every_ms - 1e-6)), int(np.floor(view[1] / every_ms + 1e-6)) + 1
    ids = read_state(run.state_path, name, 0, 0)[1]
    wanted = np.arange(first, stop)
    if frames is not None and wanted.size > frames:
        wanted = np.unique(np.linspace(first, stop - 1, frames).astype(np.int64))
    chosen = np.arange(min(ids.size, columns or ids.size))
    if columns is None:
        most = max(1, MAX_VALUES // max(wanted.size, 1))
        chosen = np.unique(np.linspace(0, ids.size - 1, min(ids.size, most)).astype(np.int64))
    times, values = [np.empty(0)], [np.empty((0, chosen.size))]
    rows = max(1, MAX_VALUES // max(ids.size, 1))
    for start in range(first, stop, rows):
        at, _, found = read_state(run.state_path, name, start, min(start + rows, stop))
        own = wanted[(wanted >= start) & (wanted < start + at.size)] - start
        times.append(at[own])
        values.append(found[np.ix_(own, chosen)])
        if at.size < min(rows, stop - start):
            break
    return _Samples(np.concatenate(times), ids[chosen], np.concatenate(values), ids.size)


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
