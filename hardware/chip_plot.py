"""A picture of a chip: what lies on each core, how full it is, and how many spikes cross each link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snnsim.canvas import INK, blank, colour, dress, plain, scale_bar
from snnsim.hardware.mesh import link_loads
from snnsim.hardware.placement import Placement
from snnsim.hardware.targets import RESOURCES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 0.74  # of the distance between routers
_SHORT = {"neurons": "N", "input_axons": "I", "output_axons": "O", "synaptic_words": "S"}


def chip_plot(placement: Placement, title: str = "") -> tuple[Figure, Axes]:
    """Routers of the mesh as squares, filled as high as their cores are with neurons, coloured by population.

    In each core its number and the resource that is scarcest there (Neurons, Inputs, Outputs, Synapses).
    Lines between routers: spikes in a step with routing along x first, the darker the more.
    """
    mesh, chips = placement.mesh, placement.chips
    width, height = mesh.width * chips, mesh.height
    flat = placement.mesh.height > width  # a tall mesh is drawn lying down
    across, down = (height, width) if flat else (width, height)
    figure = blank(max(6.0, 0.62 * across + 2.6), max(3.0, 0.62 * down + 1.5), title or _title(placement))
    ax = figure.subplots()
    _draw_links(figure, ax, placement, flat)
    shades = {name: _shade(k) for k, name in enumerate(placement.populations)}
    for y in range(height):
        for x in range(width):
            _square(ax, *((y, x) if flat else (x, y)), _SIDE, facecolor="#F4F4F4", edgecolor="#D5D5D5")
    seen: dict[tuple[int, int], int] = {}
    for number in range(placement.n_cores):
        x, y = (int(v) for v in placement.xy[number])
        nth = seen.get((x, y), 0)
        seen[x, y] = nth + 1
        _draw_core(ax, placement, number, *((y, x) if flat else (x, y)), nth, shades)
    _legend(ax, shades)
    dress(ax, grid=False)
    ax.set(xlim=(-0.6, across - 0.4), ylim=(down - 0.4, -0.6), aspect="equal", xticks=[], yticks=[])
    return figure, ax


def _title(placement: Placement) -> str:
    chips = f", {placement.chips} chips" if placement.chips > 1 else ""
    counted = "measured spikes" if placement.measured else "one spike a neuron"
    return (
        f"{placement.target}{chips}: {placement.n_cores} cores (at least {placement.lower_bound}), "
        f"{placement.spike_hops:,.4g} spikes x hops a step ({counted})"
    )


def _shade(k: int) -> tuple[float, float, float]:
    """Colours of the palette, lighter the second time."""
    from matplotlib.colors import to_rgb

    light = 0.25 + 0.4 * (k // 8 % 2)
    red, green, blue = (channel + (1.0 - channel) * light for channel in to_rgb(colour(k)))
    return red, green, blue


def _square(ax: Axes, x: float, y: float, side: float, **options: object) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, zorder=2, **options))  # type: ignore[arg-type]


def _draw_core(
    ax: Axes, placement: Placement, number: int, x: float, y: float, nth: int, shades: dict[str, tuple]
) -> None:
    from matplotlib.patches import Rectangle

    parts = placement.cores[number].chunks
    per_side = int(np.ceil(np.sqrt(placement.mesh.cores)))
    side = _SIDE / per_side
    left, bottom = x - _SIDE / 2 + nth % per_side * side, y - _SIDE / 2 + (nth // per_side + 1) * side
    for chunk in parts:
        tall = side * chunk.units.size / placement.capacity["neurons"]
        bottom -= tall
        shade = shades[chunk.population]
        ax.add_patch(Rectangle((left, bottom), side, tall, zorder=3, facecolor=shade, lw=0))
    top = y - _SIDE / 2 + nth // per_side * side
    ax.add_patch(Rectangle((left, top), side, side, zorder=4, fill=False, edgecolor=INK, lw=0.6))
    used = placement.utilisation[number]
    r = int(np.argmax(used))
    label = f"{number}" if per_side > 1 else f"{number}\n{_SHORT.get(RESOURCES[r], 'C')} {used[r]:.0%}"
    size = 6.5 if per_side == 1 else 5.0
    middle = (left + side / 2, top + side / 2)
    ax.text(*middle, label, ha="center", va="center", fontsize=size, color=INK, zorder=5)


def _draw_links(figure: Figure, ax: Axes, placement: Placement, flat: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    segments, loads = [], []
    for along, load in enumerate(link_loads(placement.traffic, placement.xy)):
        for row, column in np.argwhere(load > 0):
            ends = [(column, row), (column + (along == 0), row + (along == 1))]
            segments.append([(y, x) if flat else (x, y) for x, y in ends])
            loads.append(load[row, column])
    if not segments:
        return
    scale, share = Normalize(0.0, max(loads)), np.array(loads) / max(loads)
    lines = LineCollection(segments, cmap="Reds", norm=scale, linewidths=1.0 + 6.0 * share, zorder=1)
    lines.set_array(np.array(loads))
    ax.add_collection(lines)
    scale_bar(figure, ax, ScalarMappable(scale, "Reds"), "spikes a step over a link", shrink=0.7)


def _legend(ax: Axes, shades: dict[str, tuple]) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(facecolor=shade, edgecolor=INK, lw=0.5, label=plain(k)) for k, shade in shades.items()]
    ax.legend(
        handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=min(6, len(marks)), fontsize=8,
        frameon=False,
    )  # fmt: skip
