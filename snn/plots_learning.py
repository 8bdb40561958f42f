"""Figures of what a network has learned: receptive fields, weights, answers. Used through snnsim.plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnsim.canvas import INK, PALETTE, blank, colour, dress, plain, say, scale_bar, time_axis
from snnsim.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FIELDS = 400
MAX_WEIGHT_TRACES = 20
"""More weights than these are drawn by the spread of all of them."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NO_LABEL = np.iinfo(np.int64).max


def weights_as_fields(
    weights: ArrayLike,
    image_shape: tuple[int, int],
    labels: ArrayLike | None = None,
    *,
    unit: str = "",
    title: str = "",
) -> tuple[Figure, Axes]:
    """Weights[n_pixels, n_neurons] as one small image a neuron: what each neuron looks for.

    image_shape   (rows, columns), rows * columns = n_pixels
    labels        int[n_neurons], the class that each neuron answers for, negative for none: each
                  label then starts a new line, so the length of its lines shows how many it has
    unit          of the weights ("mV", "pA"), for the scale
    At most MAX_FIELDS neurons are drawn, evenly chosen, and the axis says so.
    """
    w = np.asarray(weights, dtype=np.float64)
    height, width = image_shape
    if w.ndim != 2 or not w.shape[1] or w.shape[0] != height * width:
        expected = f"[{height} x {width} = {height * width} pixels, neurons]"
        raise ConfigError("weights do not fit the image", where="weights", got=w.shape, expected=expected)
    n = w.shape[1]
    owner = np.zeros(n, dtype=np.int64) if labels is None else np.asarray(labels).astype(np.int64)
    if owner.shape != (n,):
        raise ConfigError("one label a neuron", where="labels", got=owner.shape, expected=f"({n},)")
    ranks = np.where(owner < 0, NO_LABEL, owner)  # neurons without a label come last
    order = np.argsort(ranks, kind="stable")
    order = order[np.linspace(0, n - 1, min(n, MAX_FIELDS)).astype(int)]
    found, counts = np.unique(ranks[order], return_counts=True)
    n_columns = _best_columns(counts, height / width)
    lines = np.cumsum([0, *np.ceil(counts / n_columns).astype(int)])
    mosaic = np.full((lines[-1] * (height + 1) + 1, n_columns * (width + 1) + 1), np.nan)
    for first, members in zip(lines, np.split(order, np.cumsum(counts)[:-1]), strict=False):
        for place, neuron in enumerate(members):
            y = (first + place // n_columns) * (height + 1) + 1
            x = place % n_columns * (width + 1) + 1
            mosaic[y : y + height, x : x + width] = w[:, neuron].reshape(height, width)
    low, high = float(np.nanmin(w)), float(np.nanmax(w))
    signed, bound = low < 0, max(abs(low), abs(high), 1e-12)
    figure = blank(7.0, float(np.clip(5.6 * mosaic.shape[0] / mosaic.shape[1] + 0.6, 1.6, 9.0)), title)
    ax = figure.subplots()
    dress(ax, grid=False)
    colours, least = ("PuOr_r", -bound) if signed else ("viridis", 0.0)
    image = ax.imshow(mosaic, cmap=colours, vmin=least, vmax=bound, interpolation="nearest")
    scale_bar(figure, ax, image, f"weight ({unit})" if unit else "weight", shrink=0.6, aspect=30)
    ax.set_xticks([])
    ax.set_yticks([])
    if labels is not None:
        middles = (lines[1:] + lines[:-1]) / 2 * (height + 1)
        ax.set_yticks(middles, ["none" if k == NO_LABEL else str(k) for k in found])
        ax.set_ylabel("label of the neurons")
    what = f"{n:,} neurons" if order.size == n else f"{order.size:,} of {n:,} neurons"
    ax.set_xlabel(f"{what}, {height} × {width} inputs each")
    return figure, ax


def confusion(
    matrix: ArrayLike,
    labels: Sequence[object],
    predicted_labels: Sequence[object] | None = None,
    *,
    title: str = "",
) -> tuple[Figure, Axes]:
    """Counts int[true, predicted]; the colour is the share of the true class.

    predicted_labels   names of the columns where they differ from the rows ("no answer")
    """
    counts = np.asarray(matrix)
    columns = labels if predicted_labels is None else predicted_labels
    if counts.shape != (len(labels), len(columns)) or not counts.size:
        expected = f"({len(labels)}, {len(columns)})"
        raise ConfigError("matrix and labels do not fit", where="matrix", got=counts.shape, expected=expected)
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = float(np.clip(4.6 / max(counts.shape), 0.25, 0.6))
    figure = blank(1.9 + cell * counts.shape[1], 1.2 + cell * counts.shape[0], title)
    ax = figure.subplots()
    dress(ax, grid=False)
    # The square root of the share decides the colour, so a few errors still show.
    colours = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#9CC7E4", PALETTE[0], "#00304D"])
    image = ax.imshow(share, cmap=colours, norm=PowerNorm(0.5, 0.0, 1.0))
    if max(counts.shape) <= 30:
        size = 8.0 if cell > 0.35 else 6.0
        for row, column in zip(*np.nonzero(counts), strict=True):
            tone = "white" if share[row, column] > 0.25 else INK
            ax.text(
                column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, color=tone
            )
    ax.set_xticks(range(len(columns)), [plain(k) for k in columns])
    ax.set_yticks(range(len(labels)), [plain(k) for k in labels])
    if any(len(str(k)) > 3 for k in columns):
        ax.tick_params(axis="x", labelrotation=45)
    ax.set(xlabel="answer", ylabel="true class")
    ticks = [0.0, 0.05, 0.2, 0.5, 1.0]
    bar = scale_bar(figure, ax, image, "share of the true class (%)", shrink=0.8, ticks=ticks)
    bar.ax.set_yticklabels([f"{100 * tick:g}" for tick in ticks])
    return figure, ax


def weight_histogram(
    weights: ArrayLike,
    before: ArrayLike | None = None,
    *,
    unit: str = "",
    log: bool = False,
    title: str = "",
) -> tuple[Figure, Axes]:
    """How many synapses have which weight; `before` is drawn as a line, for comparison."""
    after = np.asarray(weights, dtype=np.float64).ravel()
    start = np.asarray([] if before is None else before, dtype=np.float64).ravel()
    both = np.concatenate([after, start])
    both = both[np.isfinite(both)]
    figure = blank(6.0, 3.2, title)
    ax = figure.subplots()
    dress(ax)
    ax.set(xlabel=f"weight ({unit})" if unit else "weight", ylabel="synapses")
    if not both.size:
        say(ax, "no synapses")
        return figure, ax
    edges = np.histogram_bin_edges(both, bins=60)
    ax.stairs(np.histogram(after, edges)[0], edges, fill=True, color=PALETTE[0], alpha=0.85, label="after")
    if start.size:
        ax.stairs(np.histogram(start, edges)[0], edges, color=PALETTE[1], linewidth=1.3, label="before")
        ax.legend(fontsize=8, frameon=False, labelcolor=INK)
    if log:
        ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    return figure, ax


def weight_traces(
    times_ms: ArrayLike, weights: ArrayLike, *, unit: str = "", title: str = "", n_all: int = 0
) -> tuple[Figure, Axes]:
    """weights[T, n] at times_ms[T]: a line a synapse; above MAX_WEIGHT_TRACES their median and spread.

    n_all   number of synapses that these were chosen from, where there are more; the axis says so
    """
    times, w = np.asarray(times_ms, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if w.ndim != 2 or w.shape[0] != times.size or not w.size:
        expected = f"[{times.size} times, synapses]"
        raise ConfigError("wrong shape", where="weights", got=w.shape, expected=expected)
    figure = blank(8.0, 3.2, title)
    ax = figure.subplots()
    dress(ax)
    n = w.shape[1]
    if n <= MAX_WEIGHT_TRACES:
        for k in range(n):
            ax.plot(times, w[:, k], color=colour(k), linewidth=1.0)
    else:
        lowest, low, middle, high, highest = np.quantile(w, QUANTILES, axis=1)
        ax.fill_between(times, lowest, highest, color=PALETTE[0], alpha=0.2, lw=0, label="5 % to 95 %")
        ax.fill_between(times, low, high, color=PALETTE[0], alpha=0.35, lw=0, label="25 % to 75 %")
        ax.plot(times, middle, color=PALETTE[0], linewidth=1.3, label="median")
        ax.legend(fontsize=8, frameon=False, labelcolor=INK)
    ax.set(xlim=(times[0], max(times[-1], times[0] + 1e-9)))
    ax.set_ylabel(f"weight ({unit})" if unit else "weight")
    time_axis(ax, float(times[-1]), f"   ({f'{n:,} of {n_all:,}' if n_all > n else f'{n:,}'} synapses)")
    return figure, ax


def _best_columns(counts: NDArray[Any], aspect: float) -> int:
    """Fields in a line so that all lines together come closest to a square; aspect is height / width."""
    tried = np.arange(1, int(counts.max()) + 1)
    lines = np.ceil(counts[None, :] / tried[:, None]).sum(axis=1)
    return int(tried[np.argmin(np.abs(np.log(lines * aspect / tried)))])
