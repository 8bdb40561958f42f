"""Stimuli: statistics of what is random, and exact agreement of what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from snnsim.inputs import poisson_cdf
from snnsim.models import IF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, Images, Phase, Poisson, PoissonDrive, SpikeTrains, Stimulus

LOW, HIGH = 1e-4, 1 - 1e-4  # of a p-value: neither too far from the expectation nor too close to it


def silent(n: int = 1) -> Population:
    """Neurons that add up their input and never fire."""
    return Population(n=n, neuron=IF(v_th_mv=1e15, v_reset_mv=0.0, c_m_pf=1.0))


def record(
    stimuli: dict[str, Stimulus], n_steps: int, seed: int = 1, dt_ms: float = 1.0, **more: Any
) -> dict[str, Any]:
    """Dense spikes uint8[T, n] of each source."""
    probes = {f"s_{name}": Probe(target=name) for name, s in stimuli.items() if not _direct(s)}
    network = Network(populations={"a": silent()}, stimuli=stimuli, probes=probes)
    with Simulator(network, dt_ms=dt_ms, seed=seed, **more) as sim:
        sim.run_steps(n_steps)
        found = {}
        for name in stimuli:
            if f"s_{name}" in probes:
                found[name] = np.zeros((n_steps, sim.program.units.size[name]), np.uint8)
                found[name][sim.spikes(name)] = 1
    return found


def _direct(stimulus: Stimulus) -> bool:
    return isinstance(stimulus, PoissonDrive | Current)


def received(
    drive: Stimulus, n: int, n_steps: int, seed: int = 1, n_ranges: int = 0, dt_ms: float = 1.0
) -> np.ndarray:
    """float64[n_steps, n]: by how much each step raises the potential of neurons that add everything up."""
    network = Network(
        populations={"a": silent(n)}, stimuli={"d": drive}, probes={"v": Probe(target="a", variable="v_mv")}
    )
    with Simulator(network, dt_ms=1.0, seed=seed, n_ranges=n_ranges) as sim:
        sim.run_steps(n_steps + 1)
        return np.diff(sim.samples("v")[1], axis=0)


def assert_plausible(p_value: float) -> None:
    assert LOW < p_value < HIGH


# --- Poisson sources


@pytest.mark.parametrize("rate_hz", [5.0, 100.0, 900.0])
def test_poisson_counts(rate_hz: float) -> None:
    """Counts of 400 sources in 4000 steps of 1 ms: binomial mean and variance, on both sides."""
    n, n_steps, p = 400, 4000, rate_hz / 1000.0
    counts = record({"s": Poisson(n=n, rate_hz=rate_hz)}, n_steps)["s"].sum(axis=0)
    z = (counts.mean() - n_steps * p) / np.sqrt(n_steps * p * (1 - p) / n)
    assert_plausible(float(stats.norm.cdf(z)))
    spread = counts.var(ddof=1) * (n - 1) / (n_steps * p * (1 - p))
    assert_plausible(float(stats.chi2.cdf(spread, n - 1)))


def test_poisson_intervals() -> None:
    """Kolmogorov-Smirnov at a step far below the mean interval: exponential intervals."""
    n, n_steps, dt_ms, rate_hz = 20, 200_000, 0.1, 20.0
    found = record({"s": Poisson(n=n, rate_hz=rate_hz)}, n_steps, seed=4, dt_ms=dt_ms)["s"]
    rng = np.random.default_rng(0)
    intervals = np.concatenate([np.diff(np.flatnonzero(found[:, k])) for k in range(n)]).astype(float)
    intervals -= rng.random(intervals.size)  # spread over the step: the grid would show otherwise
    # a geometric interval minus a uniform part is exponential to first order in rate dt = 0.002
    test = stats.kstest(intervals * dt_ms, "expon", args=(0, 1000.0 / rate_hz))
    assert intervals.size > 7000
    assert_plausible(float(test.pvalue))
    wrong = stats.kstest(intervals * dt_ms, "expon", args=(0, 1000.0 / (1.1 * rate_hz)))
    assert wrong.pvalue < LOW  # the test has the power to see a rate that is off by a tenth


def test_poisson_sources_are_independent() -> None:
    """Between sources, and from step to step: correlations as small as those of coins, and no smaller."""
    n, n_steps = 60, 20_000
    found = record({"s": Poisson(n=n, rate_hz=300.0)}, n_steps, seed=9)["s"].astype(float)
    between = np.corrcoef(found.T)[np.triu_indices(n, 1)] * np.sqrt(n_steps)
    x = found - found.mean(axis=0)
    lagged = np.concatenate(
        [(x[lag:] * x[:-lag]).mean(axis=0) / x.var(axis=0) * np.sqrt(n_steps - lag) for lag in (1, 2, 3, 64)]
    )
    for z in (between, lagged):
        assert_plausible(float(stats.kstest(z, "norm").pvalue))
        assert np.abs(z).max() < 5.0


def test_poisson_rates_window_and_extremes() -> None:
    """Each source has its own rate; rate dt = 1 fires in every step, 0 in none; silent outside the window."""
    rates = [0.0, 1000.0, 250.0]
    source = Poisson(n=3, rate_hz=rates, start_ms=100.0, stop_ms=2100.0)
    found = record({"s": source}, 3000)["s"]
    assert found[:100].sum() == 0
    assert found[2100:].sum() == 0
    assert found[100:2100].sum(axis=0)[:2].tolist() == [0, 2000]
    assert_plausible(float(stats.binom.cdf(found[:, 2].sum(), 2000, 0.25)))


def test_nothing_else_changes_the_random_numbers() -> None:
    """Other stimuli, populations, ranges and threads leave the spikes of a source as they are."""
    poisson = Poisson(n=50, rate_hz=200.0)
    drive = PoissonDrive(target="a", rate_hz=1000.0, weight_mv=1.0)
    alone = record({"s": poisson}, 500)["s"]
    others: dict[str, Stimulus] = {
        "before": Poisson(n=7, rate_hz=300.0),
        "s": poisson,
        "d": drive,
        "g": SpikeTrains(n=1, times_ms=[3.0], ids=[0]),
    }
    assert np.array_equal(record(others, 500)["s"], alone)
    assert np.array_equal(record({"s": poisson}, 500, n_ranges=3, threads=2)["s"], alone)
    more = record({"s": Poisson(n=80, rate_hz=200.0)}, 500)["s"]
    assert np.array_equal(more[:, :50], alone)  # nor do more sources
    later = record({"s": poisson.replace(start_ms=100.0)}, 500)["s"]
    assert np.array_equal(later[100:], alone[100:])
    assert not np.array_equal(record({"s": poisson}, 500, seed=2)["s"], alone)
    assert not np.array_equal(record({"t": poisson}, 500)["t"], alone)
    network = Network(
        populations={"a": silent(20)}, stimuli={"d": drive}, probes={"v": Probe(target="a", variable="v_mv")}
    )
    both = network.replace(
        populations={"z": silent(5), "a": silent(20)}, stimuli={"x": Poisson(n=3, rate_hz=1.0), "d": drive}
    )
    potentials = []
    for described in (network, both):
        with Simulator(described, dt_ms=1.0) as sim:
            sim.run_steps(100)
            potentials.append(sim.samples("v")[1])
    assert np.array_equal(*potentials)


# --- Poisson drives


@pytest.mark.parametrize("mean", [0.003, 0.5, 3.0, 40.0, 480.0])
def test_drive_counts(mean: float) -> None:
    """Chi-squared over the counts of 100 neurons in 1000 steps of 1 ms."""
    n, n_steps = 100, 1000
    drive = PoissonDrive(target="a", n_inputs=10, rate_hz=mean * 100.0, weight_mv=0.25)
    counts = received(drive, n, n_steps, seed=3) * 4.0
    assert np.array_equal(counts, np.round(counts))
    low, high = int(stats.poisson.ppf(1e-3, mean)), int(stats.poisson.ppf(1 - 1e-3, mean))
    edges = np.arange(low, high + 1)
    expected = np.diff(stats.poisson.cdf(edges, mean), prepend=0.0)
    expected = np.append(expected, 1 - expected.sum()) * counts.size
    found = np.bincount((np.clip(counts, low, high + 1) - low).astype(int).ravel(), minlength=expected.size)
    assert_plausible(float(stats.chisquare(found, expected).pvalue))
    assert abs(float(np.corrcoef(counts[:, 0], counts[:, 1])[0, 1])) < 4.5 / np.sqrt(n_steps)


def test_drive_rates_of_single_neurons() -> None:
    """Each neuron has its own rate, also across ranges; a rate of 0 gives nothing."""
    means = np.array([0.0, 0.1, 1.0, 7.0, 100.0, 0.1])
    drive = PoissonDrive(target="a", rate_hz=means * 1000.0, weight_mv=1.0)
    n_steps = 4000
    total = received(drive, 6, n_steps, n_ranges=3).sum(axis=0)
    assert total[0] == 0
    for count, mean in zip(total[1:], means[1:], strict=True):
        assert_plausible(float(stats.poisson.cdf(count, mean * n_steps)))
    assert total[1] != total[5]


def test_drive_window() -> None:
    drive = PoissonDrive(target="a", rate_hz=50_000.0, weight_mv=1.0, start_ms=20.0, stop_ms=70.0)
    found = received(drive, 5, 100)
    assert np.all(found[:20] == 0)
    assert np.all(found[70:] == 0)
    assert np.all(found[20:70] > 0)


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.02, 1.0, 33.3, 500.0])
def test_table_of_poisson_probabilities(mean: float) -> None:
    table = poisson_cdf(mean)
    assert np.all(np.diff(table) >= 0)
    assert table[-1] == 1.0
    assert np.abs(table - stats.poisson.cdf(np.arange(table.size), mean)).max() < 1e-13
    assert stats.poisson.sf(table.size - 1, mean) < 1e-15


# --- what is given


def test_spike_trains_are_reproduced() -> None:
    """In any order of the description; at the first step too; several sources in one step, by id."""
    rng = np.random.default_rng(2)
    flat = rng.choice(300 * 20, 700, replace=False)
    flat[:2] = 0, 299 * 20 + 19
    steps, ids = np.divmod(np.unique(flat), 20)
    order = rng.permutation(steps.size)
    source = SpikeTrains(n=20, times_ms=steps[order] * 0.1, ids=ids[order])
    for n_ranges in (1, 4):
        network = Network(populations={"a": silent()}, stimuli={"g": source}, probes={"s": Probe(target="g")})
        with Simulator(network, dt_ms=0.1, n_ranges=n_ranges) as sim:
            sim.run_steps(300)
            found = sim.spikes("g")
        assert np.array_equal(found, (steps, ids))


@pytest.mark.parametrize("own", [True, False])
def test_currents_are_piecewise_constant(own: bool) -> None:
    """amplitude[k] from times[k] until times[k + 1]; nothing before; the last one for ever; sums of two."""
    n = 4
    amplitude = np.array([[1.0, 2.0, 3.0, 4.0], [-2.0, 0.5, 0.0, 8.0], [0.25] * 4])
    if not own:
        amplitude = amplitude[:, 0]
    current = Current(target="a", amplitude_pa=amplitude, times_ms=[0.3, 0.8, 1.7])
    other = Current(target="a", amplitude_pa=[16.0])
    network = Network(
        populations={"a": silent(n)},
        stimuli={"c": current, "d": other},
        probes={"v": Probe(target="a", variable="v_mv")},
    )
    with Simulator(network, dt_ms=0.1, n_ranges=2) as sim:
        sim.run_steps(31)
        rise = np.diff(sim.samples("v")[1], axis=0)
    step = np.arange(30)
    which = np.searchsorted([3, 8, 17], step, side="right") - 1
    expected = np.where(which[:, None] >= 0, amplitude.reshape(3, -1)[which], 0.0) + 16.0
    assert rise == pytest.approx(np.broadcast_to(expected, (30, n)) * 0.1, rel=1e-12)


# --- images

PRESENT, REST = 20, 10
PERIOD = PRESENT + REST


def images(coding: str, pictures: np.ndarray, **more: Any) -> Images:
    return Images(
        images=pictures, coding=coding, present_ms=float(PRESENT), rest_ms=float(REST), **more
    )  # fmt: skip


def test_latency_coding() -> None:
    """One spike, (1 - value) (present - dt) after the onset, on the grid; none below the threshold."""
    pictures = np.array([[1.0, 0.5, 0.1, 0.0999], [0.0, 0.75, 1.0, 0.3]])
    found = record({"i": images("latency", pictures, threshold=0.1)}, 4 * PERIOD)["i"]
    expected = np.zeros_like(found)
    for m, row in enumerate(pictures):
        for k, value in enumerate(row):
            if value >= 0.1:
                expected[m * PERIOD + round((1 - value) * (PRESENT - 1)), k] = 1
    assert np.array_equal(found, expected)
    assert found[2 * PERIOD :].sum() == 0  # every image was shown


def test_delta_coding() -> None:
    """At the onset: ON where brighter than the image before by the threshold, OFF where darker."""
    pictures = np.array([[0.5, 0.05, 0.0, 1.0], [0.5, 0.15, 1.0, 0.0], [0.25, 0.4, 1.0, 0.125]])
    found = record({"i": images("delta", pictures, threshold=0.125)}, 3 * PERIOD)["i"]
    expected = np.zeros((3 * PERIOD, 8), np.uint8)
    expected[0, [0, 3]] = 1
    expected[PERIOD, [2, 4 + 3]] = 1
    expected[2 * PERIOD, [1, 3, 4 + 0]] = 1
    assert np.array_equal(found, expected)


def test_delta_coding_without_threshold() -> None:
    """With threshold 0 only pixels that change fire."""
    found = record({"i": images("delta", np.array([[0.5, 0.0], [0.5, 0.1]]), threshold=0.0)}, 2 * PERIOD)["i"]
    assert np.argwhere(found).tolist() == [[0, 0], [PERIOD, 1]]


def test_rate_coding() -> None:
    """Each pixel fires with probability max_rate value dt in every step of the presentation, none at rest."""
    pictures = np.array([[0.0, 0.25, 1.0], [1.0, 0.5, 0.0]])
    repeats = 300
    phases = [Phase(name="show", repeats=repeats)]
    found = record({"i": images("rate", pictures, max_rate_hz=400.0, phases=phases)}, 2 * repeats * PERIOD)[
        "i"
    ]
    shown = found.reshape(repeats, 2, PERIOD, 3)
    assert shown[:, :, PRESENT:].sum() == 0
    counts = shown.sum(axis=(0, 2))
    trials = repeats * PRESENT
    for count, value in zip(counts.ravel(), pictures.ravel(), strict=True):
        if value == 0.0:
            assert count == 0
        else:
            assert_plausible(float(stats.binom.cdf(count, trials, 0.4 * value)))
    first, second = shown[0, 0, :PRESENT, 2], shown[1, 0, :PRESENT, 2]
    assert not np.array_equal(first, second)  # the same image again has spikes of its own


def test_normalised_images_have_the_same_strength() -> None:
    pictures = np.array([[0.1, 0.1, 0.2], [0.5, 0.5, 1.0]])
    repeats = 400
    phases = [Phase(name="show", repeats=repeats)]
    source = images("rate", pictures, max_rate_hz=200.0, phases=phases, normalise=True)
    found = record({"i": source}, 2 * repeats * PERIOD)["i"].reshape(repeats, 2, PERIOD, 3).sum(axis=(0, 2))
    mean = pictures.sum(axis=1).mean()
    for counts, picture in zip(found, pictures, strict=True):
        for count, value in zip(counts, picture * mean / picture.sum(), strict=True):
            assert_plausible(float(stats.binom.cdf(count, repeats * PRESENT, 0.2 * value)))


def test_phases_and_order() -> None:
    """Phases follow one another; unshuffled ones keep the order; shuffled ones show every image once."""
    pictures = np.eye(6) * 0.999 + 0.0005
    phases = [Phase(name="a"), Phase(name="b", shuffle=True, repeats=3), Phase(name="c")]
    source = images("latency", pictures, threshold=0.5, phases=phases)
    found = record({"i": source}, 6 * 5 * PERIOD)["i"]
    order = np.argmax(found.reshape(30, PERIOD, 6).sum(axis=1), axis=1).reshape(5, 6)
    assert order[0].tolist() == order[4].tolist() == list(range(6))
    assert all(sorted(row.tolist()) == list(range(6)) for row in order)
    assert len({tuple(row.tolist()) for row in order[1:4]}) == 3
