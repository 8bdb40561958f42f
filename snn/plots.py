"""Figures of spikes, potentials, rates, weights and answers, from plain arrays.

    spikes      raster, rates
    potentials  membrane, membranes  (see plots_potentials.py)
    learning    weights_as_fields, weight_histogram, weight_traces, confusion  (see plots_learning.py)

Every function returns (figure, axes). `save` writes a figure in the format of its path's extension,
`png_bytes` gives it to a report.

Spikes of several populations are stacked by `stack` into one train with ids that count through all
of them, and `sizes`, an ordered mapping of population name to number of neurons:

    figure, ax = raster(*stack({"exc": (times_ms, ids, 400), "inh": (times_ms, ids, 100)}))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnsim.canvas import (
    INK,
    blank,
    colour,
    dress,
    plain,
    png_bytes,
    save,
    say,
    scale_bar,
    time_axis,
)
from snnsim.errors import ConfigError
from snnsim.metrics import rate_over_time, rates_hz
from snnsim.plots_learning import confusion, weight_histogram, weight_traces, weights_as_fields
from snnsim.plots_potentials import Potentials, membrane, membranes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Potentials", "confusion", "membrane", "membranes", "png_bytes", "raster", "rates", "save"]
__all__ += ["stack", "weight_histogram", "weight_traces", "weights_as_fields"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sizes = int | Mapping[str, int] | None

DENSITY_ABOVE = 200_000
"""A raster of more spikes is drawn as an image of rates: single marks would only cover each other."""


class Group(NamedTuple):
    """One population of a stacked train: its name, size, first id, and times and own ids of its spikes."""

    name: str
    n: int
    times: Floats
    ids: Ints


def stack(populations: Mapping[str, tuple[ArrayLike, ArrayLike, int]]) -> tuple[Floats, Ints, dict[str, int]]:
    """One train of all populations, from name -> (times_ms[S], ids[S], n): (times_ms, ids, sizes)."""
    times, ids = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    sizes: dict[str, int] = {}
    for name, (own_times, own_ids, n) in populations.items():
        times.append(np.asarray(own_times, dtype=np.float64))
        ids.append(np.asarray(own_ids).astype(np.int64) + sum(sizes.values()))
        sizes[name] = n
    return np.concatenate(times), np.concatenate(ids), sizes


def raster(
    times_ms: ArrayLike,
    ids: ArrayLike,
    sizes: Sizes = None,
    *,
    t0_ms: float = 0.0,
    t1_ms: float | None = None,
    title: str = "",
) -> tuple[Figure, Axes]:
    """One mark a spike: time to the right, neurons upwards, the first population on top.

    sizes   number of neurons, or name -> number for several populations (see `stack`); by default
            the highest id + 1. A small population gets at least a twentieth of the height.
    t1_ms   end of the window, by default the last spike
    More than DENSITY_ABOVE spikes become an image of rates, and the axis says so.
    """
    groups, end = _groups(times_ms, ids, sizes, t0_ms, t1_ms)
    n_spikes = sum(group.times.size for group in groups)
    shares = np.array([group.n for group in groups]) / sum(group.n for group in groups)
    shares = np.maximum(shares, 0.05)
    tops = 1.0 - np.cumsum([0.0, *(shares / shares.sum())])
    figure = blank(8.0, min(6.5, 3.2 + 0.4 * (len(groups) - 1)), title)
    ax = figure.subplots()
    dense = n_spikes > DENSITY_ABOVE
    dress(ax, grid=not dense)
    time_axis(ax, end)
    if dense:
        _draw_density(figure, ax, groups, tops, (t0_ms, end))
    else:
        _draw_marks(ax, groups, tops, band_pt=figure.get_figheight() * 60.0)
    if not n_spikes:
        say(ax, "no spikes")
    if len(groups) > 1:
        ax.set_yticks((tops[1:] + tops[:-1]) / 2, [f"{plain(group.name)} ({group.n:,})" for group in groups])
        ax.grid(visible=False, axis="y")
        ax.hlines(tops[1:-1], t0_ms, end, color="white" if dense else "#CCCCCC", linewidth=0.8)
        ax.tick_params(axis="y", length=0)
        ax.set_ylabel("neurons of each population")
    else:
        n = groups[0].n
        shown = [k for k in _round_ticks(n) if k < n]
        ax.set_yticks([(k + 0.5) / n for k in shown], [f"{k:,}" for k in shown])
        ax.set_ylabel("neuron")
    ax.set(xlim=(t0_ms, end), ylim=(0.0, 1.0))
    return figure, ax


def rates(
    times_ms: ArrayLike,
    ids: ArrayLike,
    sizes: Sizes = None,
    *,
    bin_ms: float | None = None,
    t0_ms: float = 0.0,
    t1_ms: float | None = None,
    title: str = "",
) -> tuple[Figure, NDArray[Any]]:
    """Left the mean rate in time, right how the rates of single cells are spread; a row a population.

    Each row has its own scale of height, from zero.
    bin_ms   by default a round number near 1/200 of the window; the axis says which
    """
    groups, end = _groups(times_ms, ids, sizes, t0_ms, t1_ms)
    span = end - t0_ms
    bin_ms = bin_ms or min(_round_up(span / 200), span)
    single = [rates_hz(group.ids, group.n, span) for group in groups]
    # Rates are multiples of one spike per window; other bin widths would beat against that grid.
    highest, quantum = max(float(own.max()) for own in single), 1000.0 / span
    width = quantum * max(1.0, np.ceil(highest / quantum / 30))
    edges = np.arange(-0.5 * quantum, highest + width, width)
    figure = blank(8.0, 3.2 + 0.75 * (len(groups) - 1), title)
    axes = figure.subplots(len(groups), 2, sharex="col", squeeze=False, width_ratios=(2, 1))
    dress(axes.flat)
    for index, (group, own) in enumerate(zip(groups, single, strict=True)):
        tint, (left, right) = colour(index), axes[index]
        left.plot(*rate_over_time(group.times, group.n, bin_ms, t0_ms, end), linewidth=1.0, color=tint)
        share = np.histogram(own, edges)[0] / group.n
        right.stairs(share, edges, fill=True, alpha=0.25, color=tint)
        right.stairs(share, edges, linewidth=1.2, color=tint)
        for ax in (left, right):
            ax.set_ylim(0.0, 1.1 * ax.get_ylim()[1])
            ax.locator_params(axis="y", nbins=5 if len(groups) == 1 else 3)
        if group.name:
            paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            left.text(0.99, 0.97, plain(group.name), transform=left.transAxes, ha="right", va="top",
                      fontsize=8, color=INK, bbox=paper)  # fmt: skip
    axes[0, 0].set_title(f"mean rate (spikes/s), {bin_ms:g} ms bins", loc="left", fontsize=9, color=INK)
    axes[0, 1].set_title("share of the cells", loc="left", fontsize=9, color=INK)
    axes[-1, 0].set(xlim=(t0_ms, end))
    time_axis(axes[-1, 0], end)
    axes[-1, 1].set(xlim=(edges[0], edges[-1]), xlabel="rate of one cell (spikes/s)")
    return figure, axes


def _groups(
    times_ms: ArrayLike, ids: ArrayLike, sizes: Sizes, t0_ms: float, t1_ms: float | None
) -> tuple[list[Group], float]:
    """The populations with their spikes inside the window, and the end of the window in ms."""
    times, neurons = np.asarray(times_ms, dtype=np.float64), np.asarray(ids)
    if times.ndim != 1 or times.shape != neurons.shape:
        shapes = (times.shape, neurons.shape)
        raise ConfigError("times and ids do not fit", where="times_ms", got=shapes, expected="one length")
    lowest, highest = int(neurons.min(initial=0)), int(neurons.max(initial=0))
    if sizes is None:
        sizes = highest + 1
    named = dict(sizes) if isinstance(sizes, Mapping) else {"": sizes}
    if not named or min(named.values()) < 1:
        raise ConfigError("a population without neurons", where="sizes", got=named, expected="1 or more each")
    if highest >= sum(named.values()) or lowest < 0:
        got, expected = min(lowest, 0) or highest, f"ids from 0 to {sum(named.values()) - 1}"
        raise ConfigError("a spike of no population", where="ids", got=got, expected=expected)
    end = max(float(times.max(initial=t0_ms)), t0_ms + 1.0) if t1_ms is None else t1_ms
    if not end > t0_ms:
        expected = f"more than t0_ms = {t0_ms:g}"
        raise ConfigError("an empty window", where="t1_ms", got=t1_ms, expected=expected)
    inside = (times >= t0_ms) & (times <= end)
    return list(_split(times[inside], neurons[inside].astype(np.int64), named)), end


def _split(times: Floats, neurons: Ints, sizes: Mapping[str, int]) -> Iterator[Group]:
    first = 0
    for name, n in sizes.items():
        own = (neurons >= first) & (neurons < first + n)
        yield Group(name, n, times[own], neurons[own] - first)
        first += n


def _draw_marks(ax: Axes, groups: Sequence[Group], tops: Floats, band_pt: float) -> None:
    for index, group in enumerate(groups):
        row = (tops[index] - tops[index + 1]) / group.n
        row_pt = row * band_pt
        if row_pt > 4.0:
            marker, size, edge = "|", min(0.7 * row_pt, 9.0), 0.9
        else:
            marker, size, edge = ".", float(np.clip(2.0 * row_pt, 1.5, 3.0)), 0.0
        heights = tops[index + 1] + (group.ids + 0.5) * row
        ax.plot(group.times, heights, linestyle="none", color=colour(index), marker=marker, markersize=size,
                markeredgewidth=edge)  # fmt: skip


def _draw_density(
    figure: Figure, ax: Axes, groups: Sequence[Group], tops: Floats, window: tuple[float, float]
) -> None:
    """One image a population, each with its colour scale: spikes/s per neuron in bins of time and neurons."""
    start, end = window
    width = _round_up((end - start) / 600)
    n_columns = int(np.ceil((end - start) / width - 1e-6))
    seconds = np.minimum(width, end - start - width * np.arange(n_columns)) / 1000.0
    for index, group in enumerate(groups):
        together = int(np.ceil(group.n / max(1.0, 300 * (tops[index] - tops[index + 1]))))
        n_rows = -(-group.n // together)
        column = np.minimum(((group.times - start) / width + 1e-6).astype(np.int64), n_columns - 1)
        cells = np.bincount(group.ids // together * n_columns + column, minlength=n_rows * n_columns)
        members = np.minimum(together, group.n - together * np.arange(n_rows))
        found = cells.reshape(n_rows, n_columns) / (members[:, None] * seconds)
        highest = max(float(np.quantile(found, 0.995)), 1e-9)
        place = (start, start + n_columns * width, tops[index + 1], tops[index])
        image = ax.imshow(found, extent=place, origin="lower", aspect="auto", cmap="viridis", vmin=0.0,
                          vmax=highest, interpolation="nearest")  # fmt: skip
        height = tops[index] - tops[index + 1]
        beside = ax.inset_axes((1.015, tops[index + 1] + 0.04 * height, 0.015, 0.92 * height))
        bar = scale_bar(figure, ax, image, "", cax=beside)
        if height > 0.15:
            bar.ax.locator_params(axis="y", nbins=min(6, int(12 * height)))
        else:  # room for one number
            bar.set_ticks([highest], labels=[f"{highest:.3g}"])
    n_spikes = sum(group.times.size for group in groups)
    time_axis(ax, end, f"   ({n_spikes:,} spikes, counted in bins of {width:g} ms)")
    ax.text(1.015, 1.015, "spikes/s\nper neuron", transform=ax.transAxes, va="bottom", fontsize=8, color=INK)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, .. and their tenths."""
    scale = 10.0 ** np.floor(np.log10(value))
    return float(scale * next(step for step in (1, 2, 5, 10) if step * scale >= value * (1 - 1e-9)))


def _round_ticks(n: int) -> list[int]:
    return list(range(0, n, max(1, int(_round_up(n / 6)))))
