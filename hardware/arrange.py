"""Which core lies where: spikes x hops as low as it gets, and what simpler rules give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.mesh import Sites, hilbert, snake
from snnsim.kernels import placement as k
from snnsim.kernels.random import stream_key

_STREAM = 0x91ACE  # of this purpose, among those of a seed
_MOVES = 20_000  # for each core
_MOST_MOVES = 1_500_000
_HOT, _COLD = 0.3, 0.009  # temperatures, of what a core costs on average at the start
_NEAR = 12  # sites that count as near


def cost(traffic: np.ndarray, at: Sites, site: np.ndarray) -> float:
    """Spikes x hops.

    traffic  float64[n_cores, n_cores]  spikes from core to core
    site     int64[n_cores]             site of each
    """
    return float((traffic * at.hops[np.ix_(site, site)]).sum())


def arrange(traffic: np.ndarray, at: Sites, seed: int = 0, effort: float = 1.0) -> np.ndarray:
    """int64[n_cores]: a site for each core, for the least spikes x hops that is found.

    From two curves through the mesh: annealing, then descent, until no swap of two cores and no move to a
    free site helps.  The same seed gives the same sites.  Time grows with `effort`.  Raises TargetError for
    traffic that is not a square of finite numbers >= 0.
    """
    both, n_cores, n_sites = _symmetric(traffic), len(traffic), len(at.xy)
    first = np.concatenate([[0], np.cumsum((both > 0).sum(axis=1))])
    partner = np.nonzero(both)[1]
    near = np.argsort(at.hops, axis=1, kind="stable")[:, 1 : _NEAR + 1].copy()
    starts = [hilbert(at)[:n_cores], snake(at)[:n_cores]]
    found = []
    for number, start in enumerate(starts):
        site, tenant = start.astype(np.int64), np.full(n_sites, -1, np.int64)
        tenant[site] = np.arange(n_cores)
        k.descend(both, at.hops, site, tenant)
        found.append(site)
        scale = _mean_cost(both, at, start)
        if scale > 0.0:
            best = np.empty_like(site)
            n_moves = max(1, int(effort * min(_MOST_MOVES, _MOVES * n_cores)))
            key = np.uint64(stream_key(np.uint64(seed), np.uint64(_STREAM + number)))
            site, tenant = site.copy(), tenant.copy()
            k.anneal(
                key, n_moves, _HOT * scale, _COLD * scale, both, at.hops, first, partner, near, site, tenant,
                best,
            )  # fmt: skip
            tenant[:] = -1
            tenant[best] = np.arange(n_cores)
            k.descend(both, at.hops, best, tenant)
            found.append(best)
    return min(found, key=lambda site: cost(traffic, at, site))


def simple(traffic: np.ndarray, at: Sites, seed: int = 0) -> Mapping[str, np.ndarray]:
    """Sites by rules that do not look at traffic: row by row, along the Hilbert curve, and at random."""
    n_cores, n_sites = len(traffic), len(at.xy)
    rng = np.random.Generator(np.random.PCG64(seed))
    return {
        "greedy order": np.arange(n_cores),
        "hilbert": hilbert(at)[:n_cores],
        "random": rng.permutation(n_sites)[:n_cores],
    }


def _symmetric(traffic: np.ndarray) -> np.ndarray:
    """Both directions together, the largest 1: hops are the same there and back."""
    if traffic.ndim != 2 or traffic.shape[0] != traffic.shape[1] or not np.all(np.isfinite(traffic)):
        raise TargetError(
            "traffic between cores is a square of finite numbers", where="traffic", got=traffic.shape
        )
    if np.any(traffic < 0):
        raise TargetError("traffic is never negative", where="traffic", got=float(traffic.min()))
    both = (traffic + traffic.T).astype(np.float64)
    np.fill_diagonal(both, 0.0)
    return both / both.max() if both.size and both.max() > 0 else both


def _mean_cost(both: np.ndarray, at: Sites, start: np.ndarray) -> float:
    """What a core costs on average."""
    return float((both * at.hops[np.ix_(start, start)]).sum() / max(1, len(both)))
