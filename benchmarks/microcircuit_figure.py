"""The figure of microcircuit_science.py: distributions in every population, ours and the reference's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from microcircuit_statistics import STATISTICS, Realisation

from snnsim.canvas import INK, blank, colour, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {"rates": "rate (spikes/s)", "cv": "CV of intervals", "cc": "correlation (2 ms)"}
N_BINS = 30


def distributions_figure(
    ours: Sequence[Realisation],
    theirs: Sequence[Realisation],
    populations: dict[str, Any],
    seconds: float,
    scale: float,
) -> Figure:
    """One row a statistic, one column a population; thin lines are seeds, thick ones all of them together."""
    said = f"Microcircuit at scale {scale:g}, {seconds:g} s: snnsim, {len(ours)} seeds"
    if theirs:
        said += f" (blue), and NEST, {len(theirs)} (orange). KS: distance to NEST over that among our seeds"
    figure = blank(18.0, 6.6, said)
    table: Any = figure.subplots(len(STATISTICS), len(populations), squeeze=False)
    for row, statistic in zip(table, STATISTICS, strict=True):
        for ax, (name, entry) in zip(row, populations.items(), strict=True):
            own, other = ([r[name][statistic] for r in part] for part in (ours, theirs))
            _histograms(ax, own, other, statistic, seconds)
            ratio = entry["ks"][statistic].get("ratio")
            if ratio is not None:
                ax.text(0.97, 0.95, f"KS {ratio:.2f}", transform=ax.transAxes, ha="right", va="top",
                        fontsize=8, color=INK)  # fmt: skip
            ax.set_xlabel(LABELS[statistic])
            if statistic == STATISTICS[0]:
                ax.set_title(name, fontsize=10, color=INK)
        row[0].set_ylabel("probability density" + (", log" if statistic == "cc" else ""))
    dress(table.flat)
    for ax in table.flat:
        ax.grid(visible=False, axis="y")
    return figure


def _histograms(
    ax: Axes, own: list[np.ndarray], other: list[np.ndarray], statistic: str, seconds: float
) -> None:
    from matplotlib.ticker import NullLocator

    bins = _bins(np.concatenate(own + other), statistic, seconds)
    if bins is None:
        return
    for index, group in enumerate((own, other)):
        if not group:
            continue
        for values in group:
            ax.stairs(_density(values, bins), bins, color=colour(index), alpha=0.25, linewidth=0.6)
        style = "-" if index == 0 else (0, (4, 2))
        ax.stairs(
            _density(np.concatenate(group), bins), bins, color=colour(index), linewidth=1.5, linestyle=style
        )
    ax.set_xlim(bins[0], bins[-1])
    if statistic == "cc":  # pairs without a common spike are so many that they would hide the others
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0.0)
    ax.yaxis.set_major_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())


def _bins(values: np.ndarray, statistic: str, seconds: float) -> np.ndarray | None:
    """Edges that hold all but the outermost; None where there is nothing to draw."""
    if not values.size:
        return None
    low, high = np.quantile(values, [0.002, 0.998])
    if statistic == "rates":  # multiples of 1 / T, so that every bin holds equally many of them
        step = max(1, round((high * seconds + 1) / N_BINS))
        return (np.arange(0, high * seconds + 1 + step, step) - 0.5) / seconds
    return np.linspace(low, high, N_BINS + 1) if high - low > 1e-6 else np.array([low - 0.5, low + 0.5])


def _density(values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Normalised by all values, also those outside the bins."""
    return np.histogram(values, bins)[0] / (max(values.size, 1) * np.diff(bins))
