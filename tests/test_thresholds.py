"""Threshold methods: closed forms, what sets the presets apart, and the baselines."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim.converters.calibrate import activations, balanced, largest, least_squares
from snnsim.converters.convert import convert
from snnsim.converters.thresholds import NORMALISATIONS, thresholds
from snnsim.errors import ConfigError


def test_largest_and_percentiles() -> None:
    values = np.zeros((10, 2, 5))
    values[:, 0] = np.arange(50).reshape(10, 5)
    values[0, 1, 0] = 7.0
    assert largest(values).tolist() == [49.0, 7.0]
    assert largest(values, by_channel=False).tolist() == [49.0, 49.0]
    active = np.append(np.arange(1, 50), 7.0)
    assert largest(values, 90.0).tolist() == [np.percentile(np.arange(1, 50), 90.0), 7.0]
    assert largest(values, 90.0, by_channel=False)[1] == np.percentile(active, 90.0)
    assert largest(values, 90.0, by_channel=False, silent=True)[0] == np.percentile(values, 90.0)


def test_balancing_finds_the_fixed_point() -> None:
    """theta stops where nothing exceeds it; in one batch it is twice the mean, by the rule."""
    graph, x = mlp()
    source = activations(graph, x)
    once = balanced(graph, x, share=len(x))
    alive = source.values["a0"][:, :, 0].any(axis=0)
    assert np.allclose(once["a0"][alive], 2 * source.values["a0"][:, :, 0].mean(axis=0)[alive])
    many = balanced(graph, np.concatenate([x] * 40), share=4)
    top = source.values["a0"][:, :, 0].max(axis=0)
    assert np.all(many["a0"][top > 0] <= 2 * top[top > 0])
    assert np.all(many["a0"][top > 0] >= 0.9 * top[top > 0])


def test_balancing_forwards_clipped_values() -> None:
    """The second layer sees what the first lets through, less than the source gives it."""
    graph, x = mlp(seed=1)
    theta = balanced(graph, x, share=len(x))
    a0 = np.minimum(activations(graph, x).values["a0"][:, :, 0], theta["a0"])
    f1 = graph["f1"]
    a1 = np.maximum(a0 @ f1.weight.T + f1.bias, 0.0)
    alive = a1.any(axis=0)
    assert np.allclose(theta["a1"][alive], 2 * a1.mean(axis=0)[alive])


def test_least_squares_beats_the_largest() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(1, 1, 5000))
    theta = least_squares(values, np.array([values.max()]), 8)[0]

    def error(th: float) -> float:
        return float(((values - th * np.clip(np.floor(values / th + 0.5), 0, 8)) ** 2).mean())

    assert error(theta) < 0.5 * error(values.max() / 8)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_every_normalisation_converges(name: str) -> None:
    """Against what its thresholds let through; the baselines start at zero and so come from below."""
    graph, x = mlp()
    source = graph.evaluate(x)["f2"]
    errors = [
        np.abs(convert(graph, x, "rate", timesteps=t, normalisation=name).predict(x) - source).mean()
        for t in (4, 256)
    ]
    assert errors[1] < 0.3 * errors[0]


def test_layers_and_starts_differ() -> None:
    graph, x = residual()
    source = activations(graph, x)
    by_name = {n: thresholds(graph, x, source, c, 8) for n, c in NORMALISATIONS.items()}
    assert np.ptp(by_name["max"]["a0"]) > 0
    assert np.ptp(by_name["max-layer"]["a0"]) == 0
    assert by_name["max-layer"]["a0"][0] == source.tops["a0"].max()
    values = source.values["a0"]
    assert by_name["spikingjelly"]["a0"][0] == np.percentile(values, 99.9)
    assert by_name["snntoolbox"]["a0"][0] == np.percentile(values[values > 0], 99.9)
    start = {
        n: convert(graph, x, "rate", normalisation=n).network.populations["a0"].unit.v_init_mv[0]
        / by_name[n]["a0"][0]
        for n in ("max", "snntoolbox")
    }
    assert start == {"max": 0.5, "snntoolbox": 0.0}


def test_unknown_normalisation_and_correction() -> None:
    graph, x = mlp()
    with pytest.raises(ConfigError, match="no such normalisation; got 'ballanced'.*did you mean balanced"):
        convert(graph, x, "rate", normalisation="ballanced")
    with pytest.raises(ConfigError, match="no such correction; got 'biass'"):
        convert(graph, x, "rate", correction="biass")
    with pytest.raises(ConfigError, match="exact networks start from half a threshold"):
        convert(graph, x, "exact", correction="potential")


def test_channels_with_zeros_counted_have_the_smaller_thresholds() -> None:
    """99.9 % of all values of each channel, by numpy; the start is half of it."""
    graph, x = residual()
    source = activations(graph, x)
    found = thresholds(graph, x, source, NORMALISATIONS["spikingjelly-channels"], 8)
    for name, theta in found.items():
        values = source.values[name]
        expected = np.percentile(values, 99.9, axis=(0, 2))
        assert np.array_equal(theta[expected > 0], expected[expected > 0])
        assert np.any(theta < thresholds(graph, x, source, NORMALISATIONS["percentile"], 8)[name])
    network = convert(graph, x, "rate", normalisation="spikingjelly-channels").network
    assert network.populations["a0"].unit.v_init_mv[0] == found["a0"][0] / 2
