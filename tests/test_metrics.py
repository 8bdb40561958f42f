"""Spike-train statistics against loops that follow the definitions word by word."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim.errors import ConfigError
from snnsim.metrics import (
    cv_isi,
    fano_factor,
    pairwise_correlation,
    rate_over_time,
    rates_hz,
    spike_counts,
)

N = 5
DT = 0.1
# Spikes on a grid of 0.1 ms, made as the simulator makes them: step * dt.
trains = st.lists(st.tuples(st.integers(0, 400), st.integers(0, N - 1)), max_size=60)


def arrays(train):
    steps = np.array([step for step, _ in train], dtype=np.int64)
    return steps * DT, np.array([neuron for _, neuron in train], dtype=np.int64), steps


def slow_cv(train, neuron):
    times = sorted(step * DT for step, who in train if who == neuron)
    intervals = [b - a for a, b in zip(times, times[1:], strict=False)]
    return intervals, (
        statistics.pstdev(intervals) / statistics.fmean(intervals) if sum(intervals) > 0 else math.nan
    )


@given(trains)
def test_rates_count_the_spikes(train):
    _, ids, _ = arrays(train)
    expected = [sum(who == i for _, who in train) / 0.040 for i in range(N)]
    np.testing.assert_allclose(rates_hz(ids, N, 40.0), expected)


@given(trains, st.integers(1, 4))
def test_cv_follows_the_definition(train, min_isis):
    times, ids, _ = arrays(train)
    found = cv_isi(times, ids, min_isis)
    expected = {i: slow_cv(train, i) for i in range(N)}
    expected = {i: cv for i, (intervals, cv) in expected.items() if len(intervals) >= min_isis}
    assert found.ids.tolist() == list(expected)
    np.testing.assert_allclose(found.cv, list(expected.values()), atol=1e-12)
    defined = [cv for cv in expected.values() if not math.isnan(cv)]
    if defined:
        assert found.mean == pytest.approx(statistics.fmean(defined), abs=1e-12)
    else:
        assert math.isnan(found.mean)


@given(trains)
def test_cv_of_large_ids_is_that_of_small_ones(train):
    times, ids, _ = arrays(train)
    far = np.array([3, 65_535, 65_536, 70_000, 4_000_000_003])
    small, large = cv_isi(times, ids), cv_isi(times, far[ids])
    assert large.ids.tolist() == far[small.ids].tolist()
    np.testing.assert_array_equal(large.cv, small.cv)


def test_cv_of_known_trains():
    assert cv_isi(np.arange(100) * 7.0, np.zeros(100, int)).mean == pytest.approx(0.0, abs=1e-14)
    late_but_regular = 1e7 + np.arange(1000) * 0.1
    assert cv_isi(late_but_regular, np.zeros(1000, int)).mean < 1e-7
    poisson = np.cumsum(np.random.default_rng(3).exponential(50.0, 100_000))
    assert cv_isi(poisson, np.zeros(poisson.size, int)).mean == pytest.approx(1.0, abs=0.02)


@settings(max_examples=60)
@given(trains, st.sampled_from([1, 3, 7, 25]), st.integers(0, 100), st.integers(30, 300))
def test_bins_are_exact_on_the_grid(train, bin_steps, first, length):
    """Integer arithmetic on steps says which bin is right; rounded times must not change it."""
    times, ids, steps = arrays(train)
    n_bins = length // bin_steps
    expected = np.zeros((N, n_bins), dtype=int)
    for step, who in zip(steps, ids, strict=True):
        k = (step - first) // bin_steps
        if step >= first and k < n_bins:
            expected[who, k] += 1
    window = (bin_steps * DT, first * DT, (first + length) * DT)
    np.testing.assert_array_equal(spike_counts(times, ids, N, *window), expected)
    centres, rate = rate_over_time(times, N, *window)
    np.testing.assert_allclose(rate, expected.sum(axis=0) / N / (bin_steps * DT / 1000))
    np.testing.assert_allclose(centres, [(first + (k + 0.5) * bin_steps) * DT for k in range(n_bins)])


@settings(max_examples=40)
@given(trains.filter(lambda train: len(train) > 10))
def test_correlation_and_fano_follow_the_definition(train):
    times, ids, _ = arrays(train)
    counts = spike_counts(times, ids, N, 4.0, 0.0, 40.0)
    varying = [row for row in counts.tolist() if len(set(row)) > 1]
    expected = [statistics.correlation(a, b) for i, a in enumerate(varying) for b in varying[i + 1 :]]
    np.testing.assert_allclose(pairwise_correlation(counts, sample=None), expected, atol=1e-12)
    for row, factor in zip(counts.tolist(), fano_factor(counts), strict=True):
        if sum(row):
            assert factor == pytest.approx(statistics.pvariance(row) / statistics.fmean(row))
        else:
            assert math.isnan(factor)


def test_correlation_sees_a_common_source_and_the_sample_depends_on_the_seed():
    rng = np.random.default_rng(0)
    own, common = rng.poisson(3.0, (60, 4000)), rng.poisson(1.0, 4000)
    assert pairwise_correlation(own).mean() == pytest.approx(0.0, abs=0.01)
    counts = own + common
    assert pairwise_correlation(counts).mean() == pytest.approx(1 / 4, abs=0.02)  # var of the common part
    few = pairwise_correlation(counts, sample=10, seed=1)
    assert few.shape == (45,)
    assert few.tolist() == pairwise_correlation(counts, sample=10, seed=1).tolist()
    assert few.tolist() != pairwise_correlation(counts, sample=10, seed=2).tolist()
    every = set(pairwise_correlation(counts, sample=None).round(12).tolist())  # BLAS owns the last bits
    assert set(few.round(12).tolist()) < every


def test_fano_of_a_pooled_population_grows_with_synchrony():
    counts = np.random.default_rng(0).poisson(2.0, (50, 5000))
    assert fano_factor(counts.sum(axis=0)) == pytest.approx(1.0, abs=0.08)
    assert fano_factor(np.tile(counts[0], (50, 1)).sum(axis=0)) == pytest.approx(50.0, abs=4.0)


def test_nothing_is_said_about_nothing():
    none = np.empty(0)
    assert rates_hz(none, 3, 10.0).tolist() == [0, 0, 0]
    assert math.isnan(cv_isi(none, none).mean)
    assert rate_over_time(none, 3, 1.0, 0.0, 5.0)[1].tolist() == [0] * 5
    assert pairwise_correlation(np.zeros((3, 10))).size == 0
    assert pairwise_correlation(np.zeros((0, 10))).size == 0
    assert np.isnan(fano_factor(np.zeros((3, 10)))).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: rates_hz([3], 3, 10.0), r"ids: no such neuron; got 3, expected 0 to 2"),
        (lambda: rates_hz([-1], 3, 10.0), r"ids: no such neuron; got -1, expected 0 to 2"),
        (lambda: rates_hz([0], 3, 0.0), r"duration_ms: not a positive number; got 0.0"),
        (lambda: rates_hz([0], 3, math.nan), r"duration_ms: not a positive number; got nan"),
        (lambda: cv_isi([1.0], [0, 1]), r"times_ms, ids: times and ids do not fit each other"),
        (lambda: cv_isi([1.0], [-3]), r"ids: no such neuron; got -3"),
        (lambda: cv_isi([1.0], [0], min_isis=0), r"min_isis: too few intervals; got 0"),
        (lambda: rate_over_time([1.0], 0, 1.0, 0.0, 5.0), r"n: not a positive number; got 0"),
        (lambda: rate_over_time([1.0], 1, -1.0, 0.0, 5.0), r"bin_ms: not a positive number; got -1.0"),
        (lambda: rate_over_time([1.0], 1, 9.0, 0.0, 5.0), r"the window holds no whole bin.*at least 9 ms"),
        (lambda: spike_counts([1.0], [4], 3, 1.0, 0.0, 5.0), r"ids: no such neuron; got 4"),
        (lambda: pairwise_correlation([1, 2]), r"counts: wrong shape; got \(2,\)"),
        (lambda: fano_factor(np.zeros((3, 0))), r"counts: nothing to average"),
    ],
)
def test_wrong_input_is_named(call, text):
    with pytest.raises(ConfigError, match=text):
        call()
