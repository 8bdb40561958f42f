"""Counts of Poisson drives: exact to 53 bits, whoever asks, and wherever populations are cut."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from scipy import stats
from twins import assert_twins

from snnsim.initial_state import working_memory
from snnsim.inputs import cuts_of, poisson_cdf
from snnsim.kernels import sources
from snnsim.kernels.neurons import CHUNK
from snnsim.models import IF, Delta
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.simulator import Simulator
from snnsim.stimuli import PoissonDrive
from snnsim.streams import key_of

SEED = 11
SIZES = (0, 1, 3, 4, 5, 31, 700, CHUNK)


def silent(n: int) -> Population:
    return Population(n=n, neuron=IF(c_m_pf=1.0, v_th_mv=1e12, v_reset_mv=0.0, synapse=Delta()))


def counts(drive: PoissonDrive, n: int, n_steps: int, n_ranges: int, before: int = 3) -> np.ndarray:
    """int[n_steps, n]: counts of a population behind another one, from what its membranes add up."""
    network = Network(
        populations={"other": silent(before), "a": silent(n)},
        stimuli={"d": drive},
        probes={"v": Probe(target="a", variable="v_mv")},
    )
    with Simulator(network, dt_ms=1.0, seed=SEED, n_ranges=n_ranges) as sim:
        sim.run_steps(n_steps + 1)
        return np.diff(sim.samples("v")[1], axis=0)


def expected_counts(means: np.ndarray, n_steps: int) -> np.ndarray:
    cuts = {float(m): cuts_of(poisson_cdf(float(m))) for m in set(means.tolist())}
    key = key_of(SEED, "stimuli.d")
    return np.array(
        [
            [oracle.poisson_count(oracle.subkey(key, t), k, cuts[float(m)]) for k, m in enumerate(means)]
            for t in range(n_steps)
        ]
    )


# --- whoever asks


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n", [1, 6, 2 * CHUNK + 7])
def test_counts_do_not_depend_on_ranges_and_chunks(n: int, own: bool) -> None:
    """Four neurons share a random word: also where a range or a chunk begins within such a four."""
    means = np.linspace(0.5, 3.0, n) if own else np.full(n, 1.7)
    drive = PoissonDrive(target="a", rate_hz=means * 1000.0 if own else 1700.0, weight_mv=1.0)
    expected = expected_counts(drive_means(drive, n), 3)
    for n_ranges in (1, 2, 3, 7):
        for before in (1, 3, 4):
            assert np.array_equal(counts(drive, n, 3, n_ranges, before), expected)


def drive_means(drive: PoissonDrive, n: int) -> np.ndarray:
    """Expected number of spikes in a step of 1 ms, as the product computes it."""
    return np.broadcast_to(np.asarray(drive.rate_hz) * (1.0 / 1000.0), n)


@pytest.mark.parametrize("low", range(8))
def test_any_first_neuron(low: int) -> None:
    """A kernel that begins with any neuron gives what one that begins with the first gives."""
    drive = PoissonDrive(target="a", rate_hz=900.0, weight_mv=1.0)
    network = Network(populations={"a": silent(40)}, stimuli={"d": drive})
    with Simulator(network, dt_ms=1.0, seed=SEED) as sim:
        work = working_memory(np.dtype(np.float64))[0]
        whole = np.zeros(40)
        sources.poisson_input(whole, work.draw, work.draw_16, work.counts, sim.program.drives, 0, 0, 5)
        assert len(set(whole.tolist())) > 2
        for n in (0, 1, 2, 3, 4, 5, 21):
            part = np.zeros(n)
            args = (part, work.draw, work.draw_16, work.counts, sim.program.drives, 0, low, 5)
            assert_twins("poisson_input", *args, working=(1, 2, 3))
            sources.poisson_input(*args)
            assert part.tolist() == whole[low : low + n].tolist()


def test_neurons_of_one_word_are_independent() -> None:
    """Of neighbours up to eight apart, and of one neuron in successive steps."""
    found = counts(PoissonDrive(target="a", rate_hz=1000.0, weight_mv=1.0), 256, 1500, 1)
    limit = 4.5 / np.sqrt(found.size)
    for lag in range(1, 9):
        assert abs(np.corrcoef(found[:, :-lag].ravel(), found[:, lag:].ravel())[0, 1]) < limit
    assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < limit


# --- exactness


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("n_cuts", [0, 1, 2, 7, 8, 9, 33, 200, 255])
def test_ties_are_decided_by_the_lower_bits(n: int, n_cuts: int) -> None:
    """Cuts that are a draw, that are one above or below it, and that share its upper 16 bits."""
    rng = np.random.default_rng(n + n_cuts)
    fine, low = np.uint64(rng.integers(0, 2**64, dtype=np.uint64)), 5
    upper = rng.integers(0, 2**16, n).astype(np.uint16)
    upper[rng.random(n) < 0.1] = 2**16 - 1
    upper[rng.random(n) < 0.1] = 0
    cut = rng.integers(0, 2**53, n_cuts).astype(np.uint64)
    for i in range(n_cuts if n else 0):
        k = int(rng.integers(n))
        u = int(upper[k]) * 2**37 + (oracle.subkey(fine, low + k) >> 27)
        near = [u, u + 1, u - 1, int(upper[k]) << 37, u ^ int(rng.integers(2**37)), int(cut[i])]
        cut[i] = min(max(near[int(rng.integers(6))], 0), 2**53 - 1)
    cut.sort()
    count = np.zeros(n, np.uint16)
    assert_twins("count_shared", count, upper, fine, low, cut)
    sources.count_shared(count, upper, fine, low, cut)
    u = [int(x) * 2**37 + (oracle.subkey(fine, low + k) >> 27) for k, x in enumerate(upper)]
    assert count.tolist() == [sum(int(c) <= one for c in cut) for one in u]
    for k in range(min(n, 20)):
        assert_twins("count_one", upper[k], fine, low + k, cut)
    for j in range(n_cuts + 9):
        assert_twins("upper_bits", cut, j)


def test_a_draw_that_is_a_cut() -> None:
    """The smallest case: one draw, and the cut moved by one over it."""
    fine = np.uint64(99)
    u = 7 * 2**37 + (oracle.subkey(fine, 3) >> 27)
    for cut, expected in ((u - 1, 1), (u, 1), (u + 1, 0)):
        count = np.zeros(1, np.uint16)
        sources.count_shared(count, np.array([7], np.uint16), fine, 3, np.array([cut], np.uint64))
        assert count.tolist() == [expected]


@pytest.mark.parametrize("n", SIZES)
def test_eight_cuts(n: int) -> None:
    rng = np.random.default_rng(n)
    upper = rng.integers(0, 30, n).astype(np.uint16)
    eight = rng.integers(0, 30, 8).astype(np.uint16)
    assert_twins("add_eight", rng.integers(0, 700, n).astype(np.uint16), upper, *eight)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("mean", [160.0, 230.0, 400.0])
def test_large_counts(mean: float, own: bool) -> None:
    """Up to more cuts than are taken eight at a time."""
    n = 5
    rate = np.full(n, mean * 1000.0)
    rate[0] *= 1.25 if own else 1.0
    drive = PoissonDrive(target="a", rate_hz=rate, weight_mv=1.0)
    found = counts(drive, n, 4, 2)
    assert np.array_equal(found, expected_counts(drive_means(drive, n), 4))
    p = stats.poisson.cdf(found, drive_means(drive, n))
    assert p.min() > 1e-5
    assert p.max() < 1 - 1e-5
