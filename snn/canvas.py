"""The paper under every plot: one look for figures and axes, and how figures become files.

No global state of matplotlib is read or changed beyond its defaults: no pyplot, no window.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import ConfigError, nearest

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("pdf", "png", "svg")
RASTERISE_ABOVE = 20_000
"""A vector file holds at most so many marks; where a figure has more, they become an image inside it."""

# Okabe & Ito 2008, safe for colour-blind readers; their black as grey, their yellow darker: points on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D", "#B3A300")
INK, GRID = "#333333", "#E6E6E6"


def colour(index: int) -> str:
    """The colour of the index-th population; they begin again after eight."""
    return PALETTE[index % len(PALETTE)]


def blank(width_in: float, height_in: float, title: str = "") -> Figure:
    """An empty white figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    if title:
        figure.suptitle(plain(title), fontsize=11, color=INK, x=0.01, ha="left")
    return figure


def dress(axes: Axes | Iterable[Axes], grid: bool = True) -> None:
    """Light grid behind the data, no box, small quiet text."""
    from matplotlib.axes import Axes

    for ax in [axes] if isinstance(axes, Axes) else axes:
        for side, spine in ax.spines.items():
            spine.set_visible(grid and side in ("left", "bottom"))
            spine.set_color("#888888")
        ax.set_axisbelow(True)
        if grid:
            ax.grid(color=GRID, linewidth=0.7)
        ax.tick_params(labelsize=8, length=2.5 if grid else 0, color="#888888", labelcolor=INK)
        for label in (ax.xaxis.label, ax.yaxis.label):
            label.set(fontsize=9, color=INK)


SECONDS_ABOVE_MS = 10_000.0


def time_axis(ax: Axes, end_ms: float, note: str = "") -> None:
    """Label of an axis whose data are ms: in ms, above 10 s in s. Every tick shows its whole number."""
    unit, scale = ("s", 1000.0) if end_ms > SECONDS_ABOVE_MS else ("ms", 1.0)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x / scale:,.10g}")
    ax.set_xlabel(f"time ({unit}){note}")


def scale_bar(figure: Figure, ax: Axes, image: Any, label: str, **options: Any) -> Any:
    """The colour scale of an image, with its unit; in axes of its own where `cax` gives them."""
    place: dict[str, Any] = {} if "cax" in options else {"ax": ax, "pad": 0.02}
    bar = figure.colorbar(image, **place, **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2.5, color="#888888", labelcolor=INK)
    bar.set_label(label, fontsize=9, color=INK)
    return bar


def say(ax: Axes, text: str) -> None:
    """A sentence in the middle of empty axes."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=10, color="#777777")


def plain(text: object) -> str:
    """Text as it stands: a dollar sign is no mathematics, and a control character has no shape."""
    return "".join(c if c.isprintable() else "�" for c in str(text)).replace("$", r"\$")


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure, atomically, in the format of the path's extension: .png, .svg or .pdf.

    The same figure gives the same bytes. Raises ConfigError for another extension, StorageError when
    the file cannot be written.
    """
    path = Path(path)
    extension = path.suffix.lower().removeprefix(".")
    if extension not in FORMATS:
        raise ConfigError(
            "unknown format of figures",
            where=str(path),
            got=path.suffix,
            expected="one of ." + ", .".join(FORMATS),
            fix=nearest(extension, FORMATS),
            code="plot.unknown_format",
        )
    with replacing(path) as temporary:
        temporary.write_bytes(_encode(figure, extension, dpi=200))


def png_bytes(figure: Figure, dpi: int = 144) -> bytes:
    """The figure as the bytes of a PNG file."""
    return _encode(figure, "png", dpi)


def _encode(figure: Figure, extension: str, dpi: int) -> bytes:
    from matplotlib import rc_context

    if extension != "png":
        _rasterise(figure)
    # Text stays text, so it can be searched and edited; ids and dates would differ from call to call.
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "snnsim", "pdf.fonttype": 42}
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    stream = BytesIO()
    with rc_context(settings):
        figure.savefig(stream, format=extension, dpi=dpi, metadata=dates[extension])
    return stream.getvalue()


def _rasterise(figure: Figure) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    marks: list[tuple[Artist, int]] = [(line, np.size(line.get_xdata())) for line in figure.findobj(Line2D)]
    marks += [(lines, len(lines.get_segments())) for lines in figure.findobj(LineCollection)]
    data = [(artist, n) for artist, n in marks if n > 100]  # the others are ticks, grid and thresholds
    for artist, _ in data:
        artist.set_rasterized(sum(n for _, n in data) > RASTERISE_ABOVE)
