"""Arrangement of cores on sites: simulated annealing of spikes x hops, with the change of a swap alone.

cost = sum over pairs i < j of traffic[i, j] hops[site[i], site[j]]        traffic symmetric, zero diagonal
"""

import numpy as np
from numba import njit

from snnsim.kernels.random import subkey, uniform01


@njit(cache=True, nogil=True, error_model="numpy")
def swap_change(a, b, traffic, hops, site, tenant):
    """How the cost changes when the tenants of sites a and b (-1: nobody) change places."""
    i, j, change = tenant[a], tenant[b], 0.0
    for k in range(site.size):
        if k in (i, j):
            continue
        gap = hops[b, site[k]] - hops[a, site[k]]
        if i >= 0:
            change += traffic[i, k] * gap
        if j >= 0:
            change -= traffic[j, k] * gap
    return change


@njit(cache=True, nogil=True, error_model="numpy")
def swap(a, b, site, tenant):
    """Let the tenants of sites a and b change places."""
    i, j = tenant[a], tenant[b]
    tenant[a], tenant[b] = j, i
    if i >= 0:
        site[i] = b
    if j >= 0:
        site[j] = a


@njit(cache=True, nogil=True, error_model="numpy")
def anneal(key, n_moves, hot, cold, traffic, hops, first, partner, near, site, tenant, best):
    """Swap cores with sites while the temperature falls from hot to cold; best: the best that was seen.

    Half of the moves are to any site, half to one near a core that the moved one has traffic with.
    first, partner  int64[n_cores + 1], int64[...]  cores with which core i has traffic: partner[first[i]:...]
    near            int64[n_sites, m]  the sites nearest to each
    site    int64[n_cores]   changed   site of each core
    tenant  int64[n_sites]   changed   core at each site, -1: none
    best    int64[n_cores]   written
    Returns the change of the cost from the start to the best.
    """
    n_cores, n_sites, key = site.size, tenant.size, np.uint64(key)
    total, lowest = 0.0, 0.0
    best[:] = site
    if n_cores < 2:
        return 0.0
    cooling = (cold / hot) ** (1.0 / n_moves)
    temperature = hot
    for move in range(n_moves):
        mine = subkey(key, move)
        core = int(uniform01(mine, 0) * n_cores)
        a, n_partners = site[core], first[core + 1] - first[core]
        b = int(uniform01(mine, 1) * n_sites)
        if n_partners > 0 and uniform01(mine, 2) < 0.5:
            other = partner[first[core] + int(uniform01(mine, 3) * n_partners)]
            b = near[site[other], int(uniform01(mine, 4) * near.shape[1])]
        temperature *= cooling
        if a == b:
            continue
        change = swap_change(a, b, traffic, hops, site, tenant)
        if change <= 0.0 or uniform01(mine, 5) < np.exp(-change / temperature):
            swap(a, b, site, tenant)
            total += change
            if total < lowest:
                lowest = total
                best[:] = site
    return lowest


@njit(cache=True, nogil=True, error_model="numpy")
def descend(traffic, hops, site, tenant):
    """Swap pairs while any swap lowers the cost.  Returns the change of the cost."""
    total, better = 0.0, True
    while better:
        better = False
        for core in range(site.size):
            for b in range(tenant.size):
                a = site[core]
                if a == b:
                    continue
                change = swap_change(a, b, traffic, hops, site, tenant)
                if change < -1e-9 * (1.0 + abs(total)):
                    swap(a, b, site, tenant)
                    total += change
                    better = True
    return total
