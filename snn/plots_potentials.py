"""Figures of membrane potentials. Used through snnsim.plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnsim.canvas import INK, PALETTE, blank, colour, dress, plain, time_axis
from snnsim.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

MAX_TRACES, MAX_PANELS = 8, 16
"""Of one group at most so many traces are drawn, and of all groups together."""
COLUMNS = 2000
"""Intervals that a long trace is reduced to; more than a page can show."""


class Potentials(NamedTuple):
    """Traces of one population: v_mv[T, n] in mV at times_ms[T].

    v_th     threshold in mV, one for all or v_th[n]: a dashed line
    spikes   (times_ms, columns of v_mv): a bar above the threshold at each spike
    labels   names of the columns; note: a sentence below the figure
    n_all    number of traces of which these are the first, where there are more
    """

    times_ms: ArrayLike
    v_mv: ArrayLike
    v_th: ArrayLike | None = None
    spikes: tuple[ArrayLike, ArrayLike] | None = None
    labels: Sequence[str] | None = None
    note: str = ""
    n_all: int = 0


def membrane(
    times_ms: ArrayLike,
    v_mv: ArrayLike,
    v_th: ArrayLike | None = None,
    spikes: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    labels: Sequence[str] | None = None,
    title: str = "",
) -> tuple[Figure, NDArray[Any]]:
    """Membrane potentials of one group, see `Potentials` and `membranes`."""
    return membranes([Potentials(times_ms, v_mv, v_th, spikes, labels)], title=title)


def membranes(groups: Sequence[Potentials], *, title: str = "") -> tuple[Figure, NDArray[Any]]:
    """Membrane potentials, one panel a neuron, one scale for all panels.

    At most MAX_TRACES of a group are drawn, and the axis says so. Long traces are drawn by the smallest
    and largest value of each interval: no peak is lost.
    """
    most = max(1, min(MAX_TRACES, MAX_PANELS // max(len(groups), 1)))
    tints = [colour(index + (index > 0)) for index in range(len(groups))]  # the second is the threshold's
    panels = [
        panel for group, tint in zip(groups, tints, strict=True) for panel in _panels(group, tint, most)
    ]
    values = np.concatenate([p.shown for p in panels])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(high - low, 1.0)
    figure = blank(8.0, 1.2 + 1.0 * len(panels), title)
    axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    dress(axes)
    named = False
    for panel, ax in zip(panels, axes, strict=True):
        ax.plot(*_envelope(panel.times, panel.v), color=panel.tint, linewidth=0.9,
                marker="." if panel.times.size == 1 else None)  # fmt: skip
        if panel.threshold is not None:
            ax.axhline(panel.threshold, color=PALETTE[1], linewidth=0.9, linestyle="dashed")
            if not named:
                ax.annotate("threshold", (1.0, panel.threshold), xycoords=("axes fraction", "data"),
                            xytext=(4, 0), textcoords="offset points", va="center", fontsize=8,
                            color=PALETTE[1])  # fmt: skip
            named = True
        foot = high if panel.threshold is None else panel.threshold
        ax.vlines(panel.fired, foot, high + 0.4 * room, color=panel.tint, linewidth=0.9)
        ax.set_title(panel.name, loc="left", fontsize=8, color=INK, pad=2)
    first, last = min(p.times[0] for p in panels), max(p.times[-1] for p in panels)
    axes[0].set(xlim=(first, max(last, first + 1e-9)))
    spiking = any(group.spikes is not None for group in groups)
    axes[0].set_ylim(low - 0.08 * room, high + (0.45 if spiking else 0.12) * room)
    widths = [1 if np.ndim(group.v_mv) == 1 else np.shape(group.v_mv)[1] for group in groups]
    n = sum(max(width, group.n_all) for width, group in zip(widths, groups, strict=True))
    notes = [f"   ({len(panels)} of {n} traces)"] if len(panels) < n else []
    notes += dict.fromkeys(f"\n{plain(group.note)}" for group in groups if group.note)
    time_axis(axes[-1], last, "".join(notes))
    figure.supylabel("membrane potential (mV)", fontsize=9, color=INK)
    return figure, axes


class _Panel(NamedTuple):
    """One neuron: its trace, threshold and times of spikes."""

    name: str
    tint: str
    times: Floats
    v: Floats
    threshold: float | None
    fired: Floats

    @property
    def shown(self) -> Floats:
        return np.append(self.v, [] if self.threshold is None else [self.threshold])


def _panels(group: Potentials, tint: str, most: int) -> list[_Panel]:
    times, v = np.asarray(group.times_ms, dtype=np.float64), np.asarray(group.v_mv, dtype=np.float64)
    v = v[:, None] if v.ndim == 1 else v
    if v.ndim != 2 or v.shape[0] != times.size or not v.size:
        raise ConfigError("wrong shape", where="v_mv", got=v.shape, expected=f"[{times.size} times, neurons]")
    n = v.shape[1]
    names = [f"neuron {k}" for k in range(n)] if group.labels is None else [plain(k) for k in group.labels]
    v_th = None if group.v_th is None else np.broadcast_to(np.asarray(group.v_th, dtype=np.float64), n)
    at, owner = (np.empty(0), np.empty(0)) if group.spikes is None else map(np.asarray, group.spikes)
    return [
        _Panel(names[k], tint, times, v[:, k], None if v_th is None else float(v_th[k]), at[owner == k])
        for k in range(min(n, most))
    ]


def _envelope(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest value of each interval, where there are more samples than the page can show."""
    step = times.size // COLUMNS
    if step < 4:
        return times, values
    blocks = values[: step * COLUMNS].reshape(COLUMNS, step)
    picked = np.stack([blocks.argmin(axis=1), blocks.argmax(axis=1)], axis=1)
    picked = (np.sort(picked, axis=1) + step * np.arange(COLUMNS)[:, None]).ravel()
    picked = np.concatenate([picked, np.arange(step * COLUMNS, times.size)])
    return times[picked], values[picked]
