"""Plain-Python twin of kernels/placement.py: costs are counted anew after every swap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle

Array = np.ndarray[Any, Any]


def cost(traffic: Array, hops: Array, site: Array) -> float:
    n = len(site)
    return sum(float(traffic[i, j] * hops[site[i], site[j]]) for i in range(n) for j in range(i))


def swapped(a: int, b: int, site: Array, tenant: Array) -> tuple[Array, Array]:
    site, tenant = site.copy(), tenant.copy()
    tenant[[a, b]] = tenant[[b, a]]
    for s in (a, b):
        if tenant[s] >= 0:
            site[tenant[s]] = s
    return site, tenant


def anneal(
    key: int, n_moves: int, hot: float, cold: float, traffic: Array, hops: Array, first: Array,
    partner: Array, near: Array, site: Array, tenant: Array, best: Array,
) -> float:  # fmt: skip
    def draw(mine: int, n: int, which: int) -> int:
        return int(oracle.uniform01(mine, which) * n)

    begin, now = cost(traffic, hops, site), cost(traffic, hops, site)
    lowest, temperature, cooling = begin, hot, (cold / hot) ** (1.0 / n_moves)
    best[:] = site
    for move in range(n_moves):
        mine = oracle.subkey(key, move)
        core, b = draw(mine, len(site), 0), draw(mine, len(tenant), 1)
        partners = partner[first[core] : first[core + 1]]
        if len(partners) and oracle.uniform01(mine, 2) < 0.5:
            b = int(near[site[partners[draw(mine, len(partners), 3)]], draw(mine, near.shape[1], 4)])
        temperature *= cooling
        a = int(site[core])
        if a == b:
            continue
        other_site, other_tenant = swapped(a, b, site, tenant)
        change = cost(traffic, hops, other_site) - now
        if change <= 0 or oracle.uniform01(mine, 5) < math.exp(-change / temperature):
            site[:], tenant[:], now = other_site, other_tenant, now + change
            if now < lowest:
                lowest = now
                best[:] = site
    return lowest - begin
