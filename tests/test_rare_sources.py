"""Sources that fire rarely are drawn by the gaps between them: the same coins, tossed with less work."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from test_sources import assert_plausible, record

from snnsim import Poisson
from snnsim.inputs import gap_cuts
from snnsim.kernels.sources import BLOCK, GAPS, RARE, RATE
from snnsim.models import LIF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.simulator import Simulator

N, N_STEPS = BLOCK + 500, 1500  # the last block is not full


@pytest.fixture(scope="module")
def found() -> np.ndarray:
    """bool[N_STEPS, N]: sources with p = 0.02."""
    return record({"s": Poisson(n=N, rate_hz=20.0)}, N_STEPS)["s"].astype(bool)


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.5e-3, 0.1])
def test_cuts_are_exact(p: float) -> None:
    cuts = gap_cuts(p)
    for j in (0, 1, 7, 500, GAPS - 1):
        exact = (1 - (1 - Fraction(p)) ** (j + 1)) * 2**53
        assert exact <= int(cuts[j]) < exact + 1 + Fraction(1, 2**20)


def test_small_equal_rates_are_rare() -> None:
    codes = {}
    for rate in (0.0, 20.0, 100.0, 100.1, [20.0, 20.0], [20.0, 21.0]):
        neuron = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=1.0, v_reset_mv=0.0)
        network = Network(
            populations={"a": Population(n=1, neuron=neuron)}, stimuli={"s": Poisson(n=2, rate_hz=rate)}
        )
        with Simulator(network, dt_ms=1.0) as sim:
            codes[str(rate)] = int(sim.program.sources.code[0])
    assert list(codes.values()) == [RARE, RARE, RARE, RATE, RARE, RATE]


def test_spikes_of_a_step_and_of_a_source_are_binomial(found: np.ndarray) -> None:
    for counts, n in ((found.sum(axis=1), N), (found.sum(axis=0), N_STEPS)):
        z = (counts.mean() - 0.02 * n) / np.sqrt(0.02 * 0.98 * n / counts.size)
        assert_plausible(float(stats.norm.cdf(z)))
        spread = counts.var(ddof=1) * (counts.size - 1) / (0.02 * 0.98 * n)
        assert_plausible(float(stats.chi2.cdf(spread, counts.size - 1)))


def test_every_place_in_a_block_is_alike(found: np.ndarray) -> None:
    """Also its first and last, where gaps begin and end."""
    places = np.arange(N) % BLOCK
    for mine in (places == 0, places == BLOCK - 1, places < 32, places >= BLOCK - 32):
        n = int(mine.sum()) * N_STEPS
        assert_plausible(float(stats.binom.cdf(found[:, mine].sum(), n, 0.02)))


@pytest.mark.parametrize("lag", [1, 2, 3, 10, 100, GAPS])
def test_neighbours_are_independent(found: np.ndarray, lag: int) -> None:
    """Pairs of sources in one step, and of steps of one source: as rare as they should be."""
    for both in (found[:, lag:] & found[:, :-lag], found[lag:] & found[:-lag]):
        assert_plausible(float(stats.poisson.cdf(both.sum(), 0.02**2 * both.size)))


def test_intervals_are_geometric(found: np.ndarray) -> None:
    intervals = np.concatenate([np.diff(np.flatnonzero(found[:, k])) for k in range(N)])
    edges = stats.geom.ppf(np.arange(1, 20) / 20, 0.02)
    counts = np.histogram(intervals, np.concatenate([[0.5], edges + 0.5, [np.inf]]))[0]
    share = np.diff(np.concatenate([[0.0], stats.geom.cdf(edges, 0.02), [1.0]]))
    # the end of a run cuts long intervals off: one of k steps fits N_STEPS - k times
    middle = np.concatenate([edges - np.diff(np.concatenate([[0.0], edges])) / 2, [edges[-1] + 50.0]])
    share *= 1 - middle / N_STEPS
    assert np.abs(counts / counts.sum() / (share / share.sum()) - 1).max() < 0.04


@pytest.mark.parametrize("n_ranges", [2, 3, 7])
def test_ranges_do_not_matter(n_ranges: int) -> None:
    def spikes(ranges: int, threads: int) -> str:
        neuron = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=1.0, v_reset_mv=0.0)
        network = Network(
            populations={"a": Population(n=9, neuron=neuron)},
            stimuli={"s": Poisson(n=2 * BLOCK + 100, rate_hz=3.0), "z": Poisson(n=40, rate_hz=60.0)},
            probes={"s": Probe(target="s"), "z": Probe(target="z")},
        )
        with Simulator(network, dt_ms=0.1, n_ranges=ranges, threads=threads) as sim:
            sim.run_steps(700)
            sim.run_steps(300)
            assert len(sim.spikes("s")[0]) > 2000
            return "".join(str([a.tolist() for a in sim.spikes(name)]) for name in "sz")

    assert spikes(n_ranges, 2) == spikes(1, 1)
