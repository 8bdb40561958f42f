"""The connectivity kernels against their plain-Python twins, against statistics, and against themselves."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import oracle_connectivity as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from snnsim.connectivity import AllToAll
from snnsim.kernels import connectivity as kernel
from snnsim.kernels import sampling
from snnsim.models import IF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.simulator import Simulator

INF = math.inf
ONE: oracle.Distribution = (sampling.CONSTANT, 1.0, 0.0, -INF, INF)
NORMAL: oracle.Distribution = (sampling.NORMAL, 87.8, 40.0, 0.0, INF)
UNIFORM: oracle.Distribution = (sampling.UNIFORM, -2.0, 3.0, -INF, INF)
LOGNORMAL: oracle.Distribution = (sampling.LOGNORMAL, 2.0, 1.0, 0.5, 9.0)
CLIPPED: oracle.Distribution = (sampling.CLIPPED, 2.0, 1.5, 0.0, 4.0)
DELAYS: tuple[oracle.Distribution, ...] = (
    (sampling.CONSTANT, 0.3, 0.0, -INF, INF),
    (sampling.UNIFORM, 0.1, 0.6, -INF, INF),
    (sampling.NORMAL, 0.3, 0.2, 0.1, 0.6),
    (sampling.LOGNORMAL, 0.3, 0.2, 0.1, 0.6),
    (sampling.CLIPPED, 0.3, 0.2, 0.1, 0.6),
)
PLACES = ((16, 1), (15, 2), (12, 4), (10, 8))  # slot_bits and group; no slot of these tests needs more bits


def cut(n: int, n_ranges: int, slot0: int = 0, skip: int = -1) -> kernel.Pieces:
    """n neurons over n_ranges ranges as evenly as possible; range `skip` gets none."""
    used = [r for r in range(n_ranges) if r != skip] or [0]
    bounds = [n * j // len(used) for j in range(len(used) + 1)]
    lo, hi = np.zeros(n_ranges, np.int64), np.zeros(n_ranges, np.int64)
    for j, r in enumerate(used):
        lo[r], hi[r] = bounds[j], bounds[j + 1]
    return kernel.Pieces(lo, hi, np.full(n_ranges, slot0, np.int64))


def as_list(pieces: kernel.Pieces) -> list[oracle.Piece]:
    return [(r, int(pieces.lo[r]), int(pieces.hi[r]), int(pieces.slot0[r])) for r in range(len(pieces.lo))]


def build(
    projections: list[tuple[dict[str, Any], kernel.Pieces]],
    n_source: int,
    d_lo: int = 1,
    d_hi: int = 1,
    dtype: Any = np.float64,
    run: Any = map,
    slot_bits: int = 16,
    group: int = 1,
) -> kernel.Matrix:
    """All projections, given by the arguments of make_plan or make_pairs, in one matrix."""
    n_ranges = len(projections[0][1].lo)
    matrix = kernel.new_matrix(n_ranges, n_source, d_lo, d_hi - d_lo + 1, dtype)
    matrix = matrix._replace(slot_bits=slot_bits, group=group)
    plans = [
        (kernel.make_pairs(**given), pieces)
        if "source" in given
        else (kernel.make_plan(matrix=matrix, **given), pieces)
        for given, pieces in projections
    ]
    for plan, pieces in plans:
        kernel.count_projection(matrix, pieces, plan, run)
    matrix = kernel.allocate(kernel.prefix(matrix))
    for plan, pieces in plans:
        kernel.fill_projection(matrix, pieces, plan, run)
    return matrix


def plan_arguments(rule: int, n_target: int, key: int = 7, **others: Any) -> dict[str, Any]:
    return {"rule": rule, "key": np.uint64(key), "n_target": n_target, "dt_ms": 0.1, **others}


def listed(matrix: kernel.Matrix, pieces: kernel.Pieces) -> list[tuple[int, int, int, float]]:
    """(source, delay, target, weight) of every synapse of a matrix with one projection, sorted."""
    found = []
    for r in range(len(pieces.lo)):
        lengths = np.diff(matrix.start[r].astype(np.int64))
        entry = np.repeat(np.arange(len(lengths)), lengths)
        span = slice(matrix.base[r], matrix.base[r + 1])
        target = matrix.target[span].astype(np.int64) - pieces.slot0[r] + pieces.lo[r]
        source, delay = np.divmod(entry, matrix.n_delays)
        rows = zip(
            source.tolist(), delay.tolist(), target.tolist(), matrix.weight[span].tolist(), strict=True
        )
        found += list(rows)
    return sorted(found, key=lambda synapse: synapse[:3])  # stable: keeps the order of multapses


def pairs_of(rule: int, n_source: int, n_target: int, **others: Any) -> tuple[np.ndarray, np.ndarray]:
    """Source and target of each connection of a random rule, for statistics."""
    pieces = cut(n_target, 1)
    matrix = build([(plan_arguments(rule, n_target, **others), pieces)], n_source)
    return np.repeat(np.arange(n_source), np.diff(matrix.start[0].astype(np.int64))), matrix.target


# --- twins


@st.composite
def projections(draw: Any, n_source: int) -> dict[str, Any]:
    """Arguments common to make_plan and oracle.connections; the oracle wants all of them."""
    rule = draw(st.integers(0, 5))
    same = draw(st.booleans()) or rule == kernel.ONE_TO_ONE
    n_target = n_source if same else draw(st.integers(1, 90))
    exclude = same and draw(st.booleans())
    multapses = draw(st.booleans())
    sources, targets = n_source - exclude, n_target - exclude
    pairs = n_target * sources
    most = {3: targets, 4: sources, 5: pairs}.get(rule, 0)
    if multapses and most:
        most *= 2
    number = draw(st.integers(0, min(most, 400 if rule == 5 else most)) | st.integers(0, most))
    p = draw(st.sampled_from([0.0, 1e-300, 0.1, 0.5, 0.97, 1.0]) | st.floats(0.0, 1.0))
    return {
        "rule": rule,
        "key": draw(st.integers(0, 2**64 - 1)),
        "n_target": n_target,
        "probability": p,
        "number": number,
        "multapses": multapses,
        "exclude_self": exclude,
        "weight": draw(st.sampled_from([ONE, NORMAL, UNIFORM, LOGNORMAL, CLIPPED])),
        "delay_ms": draw(st.sampled_from(DELAYS)),
        "dt_ms": 0.1,
    }


@st.composite
def networks(draw: Any) -> tuple[int, int, int, list[tuple[dict[str, Any], kernel.Pieces]]]:
    n_source, n_ranges = draw(st.integers(1, 80)), draw(st.integers(1, 4))
    d_hi = draw(st.integers(1, 7))
    chosen = draw(st.lists(projections(n_source), min_size=1, max_size=3))
    cuts = [cut(g["n_target"], n_ranges, draw(st.integers(0, 900)), draw(st.integers(-1, 3))) for g in chosen]
    return n_source, n_ranges, d_hi, list(zip(chosen, cuts, strict=True))


@settings(max_examples=150, deadline=None)
@given(networks(), st.sampled_from([np.float64, np.float32]), st.sampled_from(PLACES))
def test_matrix_equals_twin(network: Any, dtype: Any, places: tuple[int, int]) -> None:
    n_source, n_ranges, d_hi, given_projections = network
    expected = [
        (
            oracle.connections(
                **{**g, "n_source": n_source, "d_lo": 1, "d_hi": d_hi},
            ),
            as_list(pieces),
        )
        for g, pieces in given_projections
    ]
    start, target, weight = oracle.rows(expected, n_ranges, n_source, 1, d_hi, *places)
    arguments = [({**g, "key": np.uint64(g["key"])}, pieces) for g, pieces in given_projections]
    matrix = build(arguments, n_source, 1, d_hi, dtype, map, *places)
    np.testing.assert_array_equal(matrix.start, start)
    np.testing.assert_array_equal(matrix.target, target)
    assert matrix.weight.dtype == dtype
    np.testing.assert_array_equal(matrix.weight, np.array(weight, dtype=dtype))
    assert matrix.base.tolist() == np.cumsum([0] + [row[-1] for row in start]).tolist()


@pytest.mark.parametrize("n", [0, 1, 700, 10_000])
@pytest.mark.parametrize("places", [(16, 1), (13, 8)])
def test_given_pairs_equal_twin_after_another_projection(n: int, places: tuple[int, int]) -> None:
    rng = np.random.default_rng(n)
    n_source, n_target = 30, 50
    arrays = {
        "source": rng.integers(n_source, size=n),
        "target": rng.integers(n_target, size=n),
        "weight": rng.normal(size=n),
        "delay": rng.integers(1, 5, size=n),
    }
    pieces = cut(n_target, 3, slot0=5)
    first = plan_arguments(kernel.ALL_TO_ALL, n_target)
    matrix = build([(first, pieces), (arrays, pieces)], n_source, 1, 4, np.float64, map, *places)
    everywhere = [oracle.Connection(s, t, 0.0, 1) for s in range(n_source) for t in range(n_target)]
    given_list = [oracle.Connection(*c) for c in zip(*(a.tolist() for a in arrays.values()), strict=True)]
    both = [(everywhere, as_list(pieces)), (given_list, as_list(pieces))]
    start, target, weight = oracle.rows(both, 3, n_source, 1, 4, *places)
    np.testing.assert_array_equal(matrix.start, start)
    np.testing.assert_array_equal(matrix.target, target)
    np.testing.assert_array_equal(matrix.weight, weight)


def test_one_weight_and_one_delay_serve_all_pairs() -> None:
    indices = np.array([2, 0, 1])
    given_arrays = {"source": indices, "target": indices, "weight": np.array([2.5]), "delay": np.array([3])}
    pieces = cut(3, 1)
    matrix = build([(given_arrays, pieces)], 3, 1, 4)
    assert listed(matrix, pieces) == [(i, 2, i, 2.5) for i in range(3)]


# --- independence of the partition


@pytest.mark.parametrize("rule", range(6))
@pytest.mark.parametrize("multapses", [True, False])
def test_connections_do_not_depend_on_ranges_or_threads(
    rule: int, multapses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_plan = plan_arguments(
        rule, 300, probability=0.2, number=3000 if rule == 5 else 20, multapses=multapses,
        weight=NORMAL, delay_ms=DELAYS[2],
    )  # fmt: skip
    whole = cut(300, 1)
    expected = build([(given_plan, whole)], 300, 1, 6)
    for n_ranges in (2, 7):
        pieces = cut(300, n_ranges, skip=1)
        assert listed(build([(given_plan, pieces)], 300, 1, 6), pieces) == listed(expected, whole)
    for jobs in (1, 5, 300, 1000):
        monkeypatch.setattr(kernel, "_JOBS", jobs)
        with ThreadPoolExecutor(3) as pool:
            pieces = cut(300, 4)
            serial = build([(given_plan, pieces)], 300, 1, 6)
            threaded = build([(given_plan, pieces)], 300, 1, 6, run=pool.map)
        for one, other in zip(serial[:4], threaded[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def test_projections_with_other_keys_differ() -> None:
    one, other = (pairs_of(4, 50, 50, key=key, number=5)[0].tolist() for key in (1, 2))
    assert one != other


# --- what each rule promises


@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
def test_degrees_totals_and_flags(multapses: bool, exclude: bool) -> None:
    n, flags = 60, {"multapses": multapses, "exclude_self": exclude}
    for rule, number, degree_of in ((3, 25, 0), (4, 25, 1), (5, 1500, None), (5, 3500, None), (2, 0, None)):
        pair = pairs_of(rule, n, n, number=number, probability=0.4, **flags)
        if degree_of is not None:
            assert np.bincount(pair[degree_of], minlength=n).tolist() == [number] * n
        if rule == 5:
            assert len(pair[0]) == number
        repeats = max(Counter(zip(*(a.tolist() for a in pair), strict=True)).values())
        assert (repeats > 1) == (multapses and rule != 2)
        assert bool(np.any(pair[0] == pair[1])) == (not exclude)


def test_a_full_draw_without_multapses_is_all_to_all() -> None:
    n = 30
    for exclude in (False, True):
        expected = {(i, j) for i in range(n) for j in range(n) if not (exclude and i == j)}
        k = n - exclude
        for rule, number in ((0, 0), (3, k), (4, k), (5, n * k), (2, 0)):
            pair = pairs_of(rule, n, n, number=number, probability=1.0, multapses=False, exclude_self=exclude)
            found = list(zip(*(a.tolist() for a in pair), strict=True))
            assert len(found) == len(expected)
            assert set(found) == expected


def test_nothing_comes_of_nothing() -> None:
    for rule in (2, 3, 4, 5):
        assert len(pairs_of(rule, 20, 20, number=0, probability=0.0)[0]) == 0
    assert pairs_of(1, 4, 4)[0].tolist() == [0, 1, 2, 3]
    assert pairs_of(1, 4, 4, exclude_self=True)[0].tolist() == []


# --- statistics: as NEST tests its rules, chi-squared for each seed, then KS over the seeds

SEEDS = range(20)


def degree_p_value(degree: np.ndarray, mean: float, variance: float, sum_is_fixed: bool) -> float:
    """Chi-squared test of degrees; a fixed sum costs one degree of freedom and correlates them."""
    n = len(degree)
    statistic = np.sum((degree - mean) ** 2) / variance
    if sum_is_fixed:
        return float(stats.chi2.sf(statistic * (n - 1) / n, n - 1))
    return float(stats.chi2.sf(statistic, n))


@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("rule", [2, 3, 4, 5])
def test_random_degrees_have_the_right_distribution(rule: int, exclude: bool, multapses: bool) -> None:
    n, p = 150, 0.2
    choices = n - exclude
    k = 30
    total = n * k
    p_values: dict[str, list[float]] = {"out": [], "in": []}
    for seed in SEEDS:
        source, target = pairs_of(
            rule, n, n, key=1000 * rule + seed, probability=p, multapses=multapses, exclude_self=exclude,
            number=total if rule == 5 else k,
        )  # fmt: skip
        for side, index in (("out", source), ("in", target)):
            if (rule, side) in ((3, "out"), (4, "in")):
                continue  # fixed, tested above
            degree = np.bincount(index, minlength=n)
            if rule == 2:
                p_values[side].append(degree_p_value(degree, choices * p, choices * p * (1 - p), False))
                continue
            q = k / choices
            if multapses:
                variance = total / n * (1 - 1 / n)
            elif rule == 5:  # hypergeometric
                cells = n * choices
                variance = total / n * (1 - 1 / n) * (cells - total) / (cells - 1)
            else:
                variance = choices * q * (1 - q)
            p_values[side].append(degree_p_value(degree, k, variance, True))
    for side, found in p_values.items():
        if found:
            assert len(found) == len(SEEDS)
            assert stats.kstest(found, "uniform").pvalue > 0.01, (side, found)


@pytest.mark.parametrize("rule", [3, 4, 5])
def test_each_subset_is_equally_likely(rule: int) -> None:
    """2 of 5 sources (10 subsets), drawn for 20,000 targets or sources; total number: of a 2 x 2 table."""
    if rule == 5:
        tables: Counter[tuple[int, ...]] = Counter()
        for key in range(6000):
            source, target = pairs_of(5, 2, 2, key=key, number=2, multapses=False)
            tables[tuple(sorted((2 * source + target).tolist()))] += 1
        counts = list(tables.values())
        assert len(counts) == 6
    else:
        n_source, n_target = (20_000, 5) if rule == 3 else (5, 20_000)
        source, target = pairs_of(rule, n_source, n_target, number=2, multapses=False)
        row, other = (source, target) if rule == 3 else (target, source)
        in_order = np.lexsort((other, row))
        code = other[in_order].reshape(-1, 2) @ np.array([5, 1])
        counts = list(Counter(code.tolist()).values())
        assert len(counts) == 10
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_bernoulli_pairs_are_independent_coins(p: float) -> None:
    """All 32 outcomes for 5 targets, over 100,000 sources."""
    source, target = pairs_of(2, 100_000, 5, probability=p)
    outcome = np.zeros(100_000, dtype=np.int64)
    np.add.at(outcome, source, 1 << target.astype(np.int64))
    ones = np.array([bin(code).count("1") for code in range(32)])
    expected = 100_000 * p**ones * (1 - p) ** (5 - ones)
    observed = np.bincount(outcome, minlength=32)
    rare = expected < 5
    pool = [
        counts[~rare].tolist() + [counts[rare].sum()] * bool(rare.any()) for counts in (observed, expected)
    ]
    assert 1e-4 < stats.chisquare(*pool).pvalue < 1 - 1e-4


def test_in_degrees_of_a_total_number_follow_the_exact_law() -> None:
    """Few large cells: the joint counts of 3 targets, against the multinomial and the hypergeometric law."""
    for multapses, number in ((True, 5), (False, 4), (False, 8)):
        found: Counter[tuple[int, ...]] = Counter()
        degree = np.empty(3, dtype=np.int64)
        for key in range(20_000):
            kernel.draw_in_degrees(degree, np.uint64(key), number, 4, multapses)
            found[tuple(degree.tolist())] += 1
        law = (
            stats.multinomial(number, [1 / 3] * 3)
            if multapses
            else stats.multivariate_hypergeom([4] * 3, number)
        )
        possible = [(a, b, number - a - b) for a in range(number + 1) for b in range(number + 1 - a)]
        expected = np.array([law.pmf(c) for c in possible]) * 20_000
        observed = np.array([found[c] for c in possible])
        assert observed[expected == 0].sum() == 0
        keep = expected > 0
        assert 1e-4 < stats.chisquare(observed[keep], expected[keep]).pvalue < 1 - 1e-4


# --- values


def test_normal_quantile_agrees_with_scipy() -> None:
    p = np.concatenate(
        [np.linspace(1e-9, 1 - 1e-9, 20_001), 10.0 ** -np.arange(1, 308), [5e-324, 1 - 2.0**-53]]
    )
    found = np.array([sampling.normal_quantile(x) for x in p])
    expected = special.ndtri(p)
    np.testing.assert_allclose(found, expected, rtol=2e-15, atol=1e-16)
    assert found.tolist() == [oracle.normal_quantile(x) for x in p]


CASES: tuple[oracle.Distribution, ...] = (
    (sampling.CONSTANT, 2.5, 0.0, -INF, INF),
    (sampling.UNIFORM, -1.0, 2.0, -INF, INF),
    (sampling.NORMAL, 3.0, 2.0, -INF, INF),
    (sampling.NORMAL, 3.0, 2.0, 0.0, INF),
    (sampling.NORMAL, 3.0, 2.0, -INF, 3.5),
    (sampling.NORMAL, 0.0, 1.0, 5.0, 6.0),
    (sampling.NORMAL, 0.0, 1.0, -40.0, -39.0),
    (sampling.NORMAL, 3.0, 0.0, 4.0, INF),
    (sampling.LOGNORMAL, 2.0, 3.0, -INF, INF),
    (sampling.LOGNORMAL, 2.0, 3.0, 1.0, 4.0),
    (sampling.LOGNORMAL, 2.0, 0.0, -INF, INF),
)


@pytest.mark.parametrize("case", CASES)
def test_values_equal_twin_increase_and_stay_in_bounds(case: oracle.Distribution) -> None:
    u = np.concatenate([[0.0, 2.0**-53, 0.5, 1 - 2.0**-53], np.linspace(0, 1, 1001)[:-1]])
    found = np.array([sampling.draw(*case, x) for x in u])
    assert found.tolist() == [oracle.draw(*case, x) for x in u]
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found[np.argsort(u)]) >= 0)
    if case[0] >= sampling.NORMAL:
        assert case[3] <= found.min()
        assert found.max() <= case[4]


@pytest.mark.parametrize("case", [c for c in CASES if c[2] > 0.0 and c[3] > -40])
def test_values_follow_their_distribution(case: oracle.Distribution) -> None:
    kind, p0, p1, low, high = case
    values = np.empty(200_000)
    sampling.fill_values(values, np.uint64(11), 0, *case)
    if kind == sampling.UNIFORM:
        law = stats.uniform(p0, p1 - p0)
    elif kind == sampling.NORMAL:
        law = stats.truncnorm((low - p0) / p1, (high - p0) / p1, p0, p1)
    else:
        variance = math.log1p((p1 / p0) ** 2)
        law = stats.lognorm(math.sqrt(variance), scale=p0 / math.sqrt(1 + (p1 / p0) ** 2))
        if math.isinf(high):
            assert law.mean() == pytest.approx(p0, rel=1e-12)
            assert law.std() == pytest.approx(p1, rel=1e-12)
    below, above = law.cdf(low if kind > 1 else p0), law.cdf(high if kind > 1 else p1)
    ks = stats.kstest((law.cdf(values) - below) / (above - below), "uniform")
    assert 1e-3 < ks.pvalue < 1 - 1e-3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_filled_values_depend_on_key_and_index_only(dtype: Any) -> None:
    whole, parts = np.empty(1000, dtype), np.empty(1000, dtype)
    sampling.fill_values(whole, np.uint64(3), 0, *NORMAL)
    for lo, hi in ((0, 1), (1, 640), (640, 1000)):
        sampling.fill_values(parts[lo:hi], np.uint64(3), lo, *NORMAL)
    np.testing.assert_array_equal(whole, parts)
    assert len(set(whole.tolist())) > 990
    twin = [oracle.draw(*NORMAL, oracle.uniform01(3, i)) for i in range(1000)]
    np.testing.assert_array_equal(whole, np.array(twin, dtype=dtype))


@pytest.mark.parametrize(
    "case", [*DELAYS, (sampling.NORMAL, 1.5, 0.75, 0.1, INF), (sampling.UNIFORM, 5.0, 9.0, 0, 0)]
)
def test_delay_table_equals_rounding_the_value(case: oracle.Distribution) -> None:
    d_lo, n_delays = 1, 60
    edges, guide = sampling.delay_table(*case, 0.1, d_lo, n_delays)
    found = np.empty(50_000, dtype=np.int64)
    sampling.draw_delays(found, len(found), np.uint64(5), edges, guide)
    u = [oracle.uniform01(5, i) for i in range(len(found))]
    twin = [min(max(math.floor(oracle.draw(*case, x) / 0.1 + 0.5), d_lo), d_lo + n_delays - 1) for x in u]
    np.testing.assert_array_equal(found + d_lo, twin)
    for edge in edges[(edges > 0) & (edges < 1)]:  # the edge is the very first u of the next delay
        after, before = (math.floor(oracle.draw(*case, x) / 0.1 + 0.5) for x in (edge, edge - 2.0**-53))
        assert after > before


def test_weight_and_delay_of_a_connection_are_independent() -> None:
    matrix = build(
        [(plan_arguments(4, 400, number=100, weight=UNIFORM, delay_ms=DELAYS[1]), cut(400, 1))], 400, 1, 6
    )
    lengths = np.diff(matrix.start[0].astype(np.int64))
    delay = np.repeat(np.arange(len(lengths)), lengths) % 6
    assert abs(stats.pearsonr(delay, matrix.weight).statistic) < 4 / math.sqrt(len(delay))


# --- resources


def test_kernels_are_compiled_once_for_each_precision() -> None:
    """Else a Python int or a strided array slipped in somewhere, and users wait for more compilation."""
    pieces = cut(20, 2)
    pairs = {name: np.zeros(1, np.int64) for name in ("source", "target", "weight")}
    for dtype in (np.float64, np.float32):
        for given_plan in (
            plan_arguments(0, 20),
            plan_arguments(5, 20, number=3),
            {**pairs, "delay": np.ones(1)},
        ):
            build([(given_plan, pieces)], 20, dtype=dtype)
    for compiled in (kernel.connect_by_source, kernel.connect_by_target, kernel.connect_pairs):
        layouts = Counter(signature[1].types[2].layout for signature in compiled.signatures)
        assert layouts["C"] == 2
        assert layouts["A"] <= 2  # static synapses of either kind, if a test of this process has built some
    assert len(kernel.draw_in_degrees.signatures) == 1


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_both_passes_are_one_compiled_code(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not been allocated yet has the type of what will be."""
    seen: list[Any] = []

    original = kernel.connect

    def spied(fill: bool, parts: Any, run: Any) -> None:
        seen.extend(numba.typeof(matrix) for matrix, _ in parts)
        original(fill, parts, run)

    monkeypatch.setattr(kernel, "connect", spied)
    network = Network(
        populations={"a": Population(n=20, neuron=IF(v_th_mv=1.0, v_reset_mv=0.0))},
        projections={"p": Projection(source="a", target="a", rule=AllToAll(), weight_mv=1.0, delay_ms=0.4)},
        precision=precision,
    )
    with Simulator(network, dt_ms=0.1, n_ranges=2):
        assert len(seen) == 2
        assert seen[0] == seen[1]


_MEMORY = """
from pathlib import Path
import snnsim.kernels.connectivity as kernel
import test_connectivity_kernels as t

def one(n, number):
    rules = (kernel.FIXED_OUT_DEGREE, kernel.FIXED_IN_DEGREE)
    plans = [t.plan_arguments(rule, n, number=number, weight=t.NORMAL, multapses=False) for rule in rules]
    return t.build([(plan, t.cut(n, 2)) for plan in plans], n)

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

one(10, 3)
before = status("VmRSS")
matrix = one(10_000, 500)
print(status("VmHWM") - before, sum(array.nbytes for array in matrix[:4]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_little_more_than_the_result() -> None:
    """10 M synapses in a fresh process; the whole process counts."""
    measured = subprocess.run(
        [sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    peak, final = map(int, measured.stdout.split())
    assert final >= 10 * 10_000_000
    assert 0.9 * final <= peak <= 1.3 * final
