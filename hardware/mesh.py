"""Cores on the mesh of a chip: where they lie, how far apart, and curves through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.hardware.targets import Mesh


@dataclass(frozen=True, eq=False)
class Sites:
    """Places for cores; chips lie side by side.

    xy    int64[n_sites, 2]  router of each, counted row by row
    hops  int64[n_sites, n_sites]  |dx| + |dy| between routers: how far a spike goes with XY routing
    """

    xy: np.ndarray
    hops: np.ndarray
    chips: int


def sites(mesh: Mesh, n_cores: int) -> Sites:
    """As many chips as n_cores need."""
    chips = max(1, -(-n_cores // mesh.n_cores))
    width = mesh.width * chips
    y, x = np.divmod(np.arange(width * mesh.height), width)
    xy = np.repeat(np.stack([x, y], axis=1), mesh.cores, axis=0)
    return Sites(xy, np.abs(xy[:, None] - xy[None]).sum(axis=2), chips)


def link_loads(traffic: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes over each link between neighbouring routers, both directions together, first along x, then y.

    traffic  float64[n_cores, n_cores]; xy  int64[n_cores, 2]
    Returns float64[height, width - 1] of links along x and float64[height - 1, width] along y.
    """
    width, height = xy.max(axis=0, initial=0) + 1
    along_x, along_y = np.zeros((height, width - 1)), np.zeros((height - 1, width))
    for source, target in np.argwhere(traffic > 0):
        (x0, y0), (x1, y1), n = xy[source], xy[target], traffic[source, target]
        along_x[y0, min(x0, x1) : max(x0, x1)] += n
        along_y[min(y0, y1) : max(y0, y1), x1] += n
    return along_x, along_y


def snake(at: Sites) -> np.ndarray:
    """int64[n_sites]: sites row by row, to and fro."""
    x, y = at.xy.T
    return np.lexsort((np.where(y % 2 == 0, x, -x), y))


def hilbert(at: Sites) -> np.ndarray:
    """int64[n_sites]: sites along the Hilbert curve of the smallest square around the mesh."""
    side = 1
    while side <= at.xy.max():
        side *= 2
    points = at.xy if at.xy[:, 0].max() <= at.xy[:, 1].max() else at.xy[:, ::-1]  # its first half is upright
    return np.argsort([_along(side, int(x), int(y)) for x, y in points], kind="stable")


def _along(side: int, x: int, y: int) -> int:
    """How far along its Hilbert curve a point of a square lies.  Source: Hilbert 1891."""
    distance, half = 0, side // 2
    while half > 0:
        right, up = int(x & half > 0), int(y & half > 0)
        distance += half * half * ((3 * right) ^ up)
        if not up:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        half //= 2
    return distance
