"""Arrangement of cores: kernels against their twins, curves, optima of small graphs."""

import itertools
import sys
from pathlib import Path

import numpy as np
import oracle_placement
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim.errors import TargetError
from snnsim.hardware.arrange import arrange, cost, simple
from snnsim.hardware.mesh import hilbert, link_loads, sites, snake
from snnsim.hardware.targets import Mesh, get_target
from snnsim.kernels import placement as kernels

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from placement_optimum import optimum, small_graph  # noqa: E402


def mesh(width, height, cores=1):
    return Mesh(width, height, cores, "a small one", "ours")


def start(n_cores, at):
    site, tenant = np.arange(n_cores), np.full(len(at.xy), -1, np.int64)
    tenant[site] = site
    return site, tenant


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), n_cores=st.integers(2, 7))
def test_annealing_does_what_its_twin_does(seed, n_cores):
    rng = np.random.default_rng(seed)
    at = sites(mesh(3, 2, 2), n_cores)
    traffic = np.triu(rng.integers(0, 3, (n_cores, n_cores)), 1).astype(float)
    both = traffic + traffic.T
    first = np.concatenate([[0], np.cumsum((both > 0).sum(axis=1))])
    near = np.argsort(at.hops, axis=1, kind="stable")[:, 1:4].copy()
    left = []
    for one in (kernels.anneal, oracle_placement.anneal):
        site, tenant = start(n_cores, at)
        best = np.empty_like(site)
        key = np.uint64(seed) if one is kernels.anneal else seed
        gain = one(key, 60, 4.0, 0.1, both, at.hops, first, np.nonzero(both)[1], near, site, tenant, best)
        left.append((gain, site.tolist(), tenant.tolist(), best.tolist()))
        assert cost(traffic, at, best) - cost(traffic, at, np.arange(n_cores)) == gain
    assert left[0] == left[1]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_the_change_of_a_swap_is_the_difference_of_costs(seed):
    rng = np.random.default_rng(seed)
    at = sites(mesh(3, 3), 6)
    traffic = rng.integers(0, 9, (6, 6)).astype(float)
    both = traffic + traffic.T
    np.fill_diagonal(both, 0.0)
    site, tenant = start(6, at)
    a, b = rng.permutation(9)[:2]
    if tenant[a] < 0 and tenant[b] < 0:
        return
    before = cost(traffic, at, site)
    change = kernels.swap_change(a, b, both, at.hops, site, tenant)
    kernels.swap(a, b, site, tenant)
    assert cost(traffic, at, site) - before == change
    assert all(tenant[site[core]] == core for core in range(6))
    gain = kernels.descend(both, at.hops, site, tenant)
    assert cost(traffic, at, site) == before + change + gain
    pairs = itertools.combinations(range(9), 2)
    assert all(kernels.swap_change(a, b, both, at.hops, site, tenant) >= 0 for a, b in pairs)


def test_curves_visit_every_router_once_and_step_by_step():
    for width, height in ((8, 16), (8, 8), (16, 8)):
        at = sites(mesh(width, height), 1)
        for curve in (hilbert(at), snake(at)):
            assert sorted(curve) == list(range(width * height))
        steps = at.hops[hilbert(at)[:-1], hilbert(at)[1:]]
        assert np.all(steps == 1)
        assert np.all(at.hops[snake(at)[:-1], snake(at)[1:]] == 1)


def test_hops_are_between_routers_and_chips_lie_side_by_side():
    at = sites(get_target("loihi1").mesh, 129)
    assert at.chips == 2
    assert len(at.xy) == 256
    assert at.xy.max(axis=0).tolist() == [15, 3]
    assert at.hops[0, 3] == 0  # the same router
    assert at.hops[0, 4] == 1
    assert at.hops.max() == 15 + 3


def test_loads_of_links_add_up_to_spikes_times_hops():
    rng = np.random.default_rng(1)
    at = sites(mesh(4, 3), 12)
    traffic, site = rng.random((12, 12)), rng.permutation(12)
    loads = link_loads(traffic, at.xy[site])
    assert sum(load.sum() for load in loads) == pytest.approx(cost(traffic, at, site), rel=1e-12)
    one = np.zeros((12, 12))
    one[0, 11] = 2.0  # from (0, 0) along x to (3, 0), then down
    along_x, along_y = link_loads(one, at.xy)
    assert along_x[0].tolist() == [2, 2, 2]
    assert along_x[1:].sum() == 0
    assert along_y[:, 3].tolist() == [2, 2]


@pytest.mark.parametrize(("seed", "n_cores", "width", "height"), [(1, 6, 3, 2), (2, 5, 3, 2), (3, 6, 2, 3)])
def test_the_optimum_of_small_graphs_by_trying_all(seed, n_cores, width, height):
    traffic = small_graph(seed, n_cores)
    at = sites(mesh(width, height), n_cores)
    every = itertools.permutations(range(width * height), n_cores)
    best = min(cost(traffic, at, np.array(site)) for site in every)
    assert best <= cost(traffic, at, arrange(traffic, at)) <= 1.05 * best


def _check_cp_sat(seed, n_cores, width, height):
    pytest.importorskip("ortools", reason="OR-tools are not installed")
    traffic = small_graph(seed, n_cores)
    at = sites(mesh(width, height), n_cores)
    best, bound, proven = optimum(traffic, width, height, 100.0)
    assert proven
    assert bound <= cost(traffic, at, arrange(traffic, at)) <= 1.05 * best


def test_within_a_twentieth_of_cp_sat():
    _check_cp_sat(2, 8, 3, 3)


@pytest.mark.full
@pytest.mark.parametrize(
    ("seed", "n_cores", "width", "height"), [(3, 10, 4, 3), (4, 12, 4, 3), (5, 12, 4, 4)]
)
def test_within_a_twentieth_of_cp_sat_with_twelve_cores(seed, n_cores, width, height):
    _check_cp_sat(seed, n_cores, width, height)


def test_better_than_rules_that_do_not_look_and_always_the_same():
    rng = np.random.default_rng(4)
    n = 24
    near = np.abs(np.arange(n)[:, None] - np.arange(n)) <= 5
    traffic = np.where(near, rng.random((n, n)), 0.0)[rng.permutation(n)]
    at = sites(get_target("loihi2").mesh, n)
    mine = arrange(traffic, at, seed=3)
    assert sorted(set(mine.tolist())) == sorted(mine.tolist())
    rules = {name: cost(traffic, at, site) for name, site in simple(traffic, at).items()}
    assert cost(traffic, at, mine) < 0.7 * rules["greedy order"]
    assert cost(traffic, at, mine) < 0.9 * rules["hilbert"]
    assert rules["random"] > rules["greedy order"]
    assert np.array_equal(mine, arrange(traffic, at, seed=3))
    assert cost(traffic, at, arrange(1e-9 * traffic, at, seed=3)) == cost(traffic, at, mine)


def test_one_core_no_traffic_and_bad_traffic():
    at = sites(mesh(2, 2), 1)
    assert len(arrange(np.zeros((1, 1)), at)) == 1
    assert sorted(arrange(np.zeros((4, 4)), at)) == [0, 1, 2, 3]
    with pytest.raises(TargetError, match="square of finite numbers"):
        arrange(np.zeros((2, 3)), at)
    with pytest.raises(TargetError, match="square of finite numbers"):
        arrange(np.full((2, 2), np.nan), at)
    with pytest.raises(TargetError, match="never negative; got -1"):
        arrange(np.full((2, 2), -1.0), at)
