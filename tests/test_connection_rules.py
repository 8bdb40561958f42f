"""Every connection rule as a user meets it: through Network and Simulator.weights.

Random rules are judged on two levels, as NEST does: a chi-squared test of the degrees for each of 20 seeds,
then a Kolmogorov-Smirnov test that the 20 p-values are uniform.  One unlucky seed does not fail the first
level, and the second also sees degrees that are too even to be random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from snnsim import (
    LIF,
    AllToAll,
    Arrays,
    FixedInDegree,
    FixedOutDegree,
    FixedTotalNumber,
    LogNormal,
    Network,
    Normal,
    OneToOne,
    PairwiseBernoulli,
    Population,
    Probe,
    Projection,
    Simulator,
    SpikeTrains,
    Uniform,
)
from snnsim.connectivity import ConnectionRule

N, K = 60, 30
CELL = LIF(tau_m_ms=20.0, v_rest_mv=0.0, v_th_mv=1000.0, v_reset_mv=0.0)


def network(rule: ConnectionRule, n: int = N, target: str = "b", **synapse: Any) -> Network:
    """Population a onto b, both of n cells, or onto itself."""
    synapse = {"weight_mv": 0.1, "delay_ms": 0.1} | synapse
    return Network(
        populations={"a": Population(n=n, neuron=CELL), "b": Population(n=n, neuron=CELL)},
        projections={"p": Projection(source="a", target=target, rule=rule, **synapse)},
    )


def pairs(rule: ConnectionRule, seed: int = 1, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Source and target of every connection."""
    with Simulator(network(rule, **options), seed=seed, threads=1) as sim:
        source, target, _ = sim.weights("p")
    return source, target


@dataclass(frozen=True)
class Law:
    """How the degrees of n cells scatter: covariance `variance` times the identity, minus a constant if the
    sum of degrees is fixed; that costs one degree of freedom."""

    rule: ConnectionRule
    side: str
    variance: float
    freedom: int

    def p_value(self, seed: int) -> float:
        source, target = pairs(self.rule, seed)
        degree = np.bincount(source if self.side == "out" else target, minlength=N)
        return float(stats.chi2.sf(((degree - K) ** 2).sum() / self.variance, self.freedom))


HALF = K * (1 - K / N)  # variance where a pair is connected at most once
SCATTER = N / (N - 1)  # the sum is fixed, so cells scatter against one another
LAWS = {
    "bernoulli, in": Law(PairwiseBernoulli(p=K / N), "in", HALF, N),
    "bernoulli, out": Law(PairwiseBernoulli(p=K / N), "out", HALF, N),
    "in-degree": Law(FixedInDegree(n=K), "out", K, N - 1),
    "in-degree, no multapses": Law(FixedInDegree(n=K, multapses=False), "out", HALF * SCATTER, N - 1),
    "out-degree": Law(FixedOutDegree(n=K), "in", K, N - 1),
    "out-degree, no multapses": Law(FixedOutDegree(n=K, multapses=False), "in", HALF * SCATTER, N - 1),
    "total, in": Law(FixedTotalNumber(n=N * K), "in", K, N - 1),
    "total, out": Law(FixedTotalNumber(n=N * K), "out", K, N - 1),
    "total, no multapses": Law(FixedTotalNumber(n=N * K, multapses=False), "in", HALF, N - 1),
}


ALPHA = 0.05 / len(LAWS)  # for all laws together one chance in twenty


def uniformity(law: Law, n_seeds: int) -> float:
    """The second level: are the p-values of the seeds uniform?"""
    return float(stats.kstest([law.p_value(seed) for seed in range(1, n_seeds + 1)], "uniform").pvalue)


@pytest.mark.parametrize("n_seeds", [20, pytest.param(1000, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", LAWS)
def test_degrees_of_random_rules(name, n_seeds):
    assert uniformity(LAWS[name], n_seeds) > ALPHA


@pytest.mark.parametrize("factor", [0.7, 1.4])
@pytest.mark.parametrize("name", LAWS)
def test_the_two_levels_see_a_wrong_scatter(name, factor):
    law = LAWS[name]
    assert uniformity(replace(law, variance=law.variance * factor), 20) < ALPHA


# --- exact counts and flags

RANDOM: dict[str, Callable[..., ConnectionRule]] = {
    "in": lambda **flags: FixedInDegree(n=K, **flags),
    "out": lambda **flags: FixedOutDegree(n=K, **flags),
    "total": lambda **flags: FixedTotalNumber(n=N * K, **flags),
}


@pytest.mark.parametrize("autapses", [True, False])
@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("name", RANDOM)
def test_counts_and_flags(name, multapses, autapses):
    rule = RANDOM[name](multapses=multapses, autapses=autapses)
    source, target = pairs(rule, target="a")
    assert source.size == N * K
    if name != "total":
        fixed = target if name == "in" else source
        np.testing.assert_array_equal(np.bincount(fixed, minlength=N), K)
    repeated = source.size - np.unique(source * N + target).size
    assert (repeated > 0) == multapses
    assert ((source == target).sum() > 0) == autapses


@pytest.mark.parametrize("autapses", [True, False])
def test_pairs_that_are_certain(autapses):
    everyone = sorted((s, t) for s in range(N) for t in range(N) if autapses or s != t)
    for rule in (AllToAll(autapses=autapses), PairwiseBernoulli(p=1.0, autapses=autapses)):
        assert sorted(zip(*pairs(rule, target="a"), strict=True)) == everyone
    source, target = pairs(PairwiseBernoulli(p=0.5, autapses=autapses), target="a")
    assert ((source == target).sum() > 0) == autapses
    assert np.unique(source * N + target).size == source.size


def test_pairs_as_given():
    assert pairs(OneToOne())[0].tolist() == pairs(OneToOne())[1].tolist() == list(range(N))
    given = [(5, 2), (0, 59), (5, 2), (59, 0)]
    source, target = zip(*given, strict=True)
    weights = [1.0, 2.0, 3.0, 4.0]
    with Simulator(network(Arrays(source=source, target=target), weight_mv=weights), threads=1) as sim:
        found = sorted(zip(*(column.tolist() for column in sim.weights("p")), strict=True))
    assert found == sorted((s, t, w) for (s, t), w in zip(given, weights, strict=True))


# --- weights and delays

WEIGHTS = {
    "uniform": (Uniform(low=-1.0, high=3.0), stats.uniform(-1.0, 4.0)),
    "normal": (Normal(mean=0.5, std=0.2), stats.norm(0.5, 0.2)),
    "normal, cut": (Normal(mean=0.5, std=0.5, low=0.0), stats.truncnorm(-1.0, np.inf, 0.5, 0.5)),
    "lognormal": (
        LogNormal(mean=2.0, std=1.0),
        stats.lognorm(np.sqrt(np.log(1.25)), scale=2.0 / np.sqrt(1.25)),
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_follow_their_distribution(name):
    wanted, law = WEIGHTS[name]
    with Simulator(network(AllToAll(), weight_mv=wanted), threads=1) as sim:
        weight = sim.weights("p")[2]
    assert weight.size == N * N
    assert stats.kstest(weight, law.cdf).pvalue > 0.05
    assert stats.kstest(weight + 0.1 * law.std(), law.cdf).pvalue < 0.01  # a tenth of the width shows


def test_spikes_arrive_after_delays_of_the_wanted_distribution():
    """Each source fires once, in step 3, onto one cell.  A potential moved in step s is seen at s + 1."""
    n, low, high = 2000, 5, 25
    sources = SpikeTrains(n=n, times_ms=np.full(n, 0.3), ids=np.arange(n))
    delays = Normal(mean=1.5, std=0.5, low=0.5, high=2.5)
    arriving = Network(
        populations={"b": Population(n=n, neuron=CELL)},
        stimuli={"a": sources},
        projections={
            "p": Projection(source="a", target="b", rule=OneToOne(), weight_mv=1.0, delay_ms=delays)
        },
        probes={"v": Probe(target="b", variable="v_mv")},
    )
    with Simulator(arriving, n_ranges=3) as sim:
        sim.run(4.0)
        steps, v_mv = sim.samples("v")
        table = sim.synapses("p")
    arrived = steps[np.argmax(v_mv > 0.0, axis=0)] - 1 - 3
    np.testing.assert_array_equal(arrived[table.target], table.delay)
    assert (arrived.min(), arrived.max()) == (low, high)
    law = stats.truncnorm(-2.0, 2.0, 1.5, 0.5)
    edges = (np.arange(low, high + 2) - 0.5) / 10.0  # rounded to the grid
    expected = n * np.diff(law.cdf(edges))
    observed = np.bincount(arrived)[low:]
    assert stats.chisquare(observed, expected).pvalue > 0.05
    assert stats.chisquare(np.roll(observed, 1), expected).pvalue < 1e-6  # a step more shows


# --- the pieces that a network is cut into


@pytest.mark.parametrize("rule", [PairwiseBernoulli(p=0.3), FixedOutDegree(n=7), FixedTotalNumber(n=500)])
def test_synapses_do_not_depend_on_ranges(rule):
    tables = []
    for n_ranges in range(1, 6):
        described = network(rule, weight_mv=Normal(mean=0.5, std=0.2), delay_ms=Uniform(low=0.1, high=0.6))
        with Simulator(described, n_ranges=n_ranges) as sim:
            assert sim.program.units.n_ranges == n_ranges
            tables.append((*sim.weights("p"), sim.synapses("p").delay))
    for other in tables[1:]:
        for found, wanted in zip(other, tables[0], strict=True):
            np.testing.assert_array_equal(found, wanted)
