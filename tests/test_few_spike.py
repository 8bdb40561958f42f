"""Few-spike neurons: the error is below alpha 2^-K, and a spike is a bit."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim.converters.few_spike import few_spike_coded, few_spikes


@pytest.mark.parametrize("steps", [1, 4, 10, 20])
def test_error_and_bits(steps: int) -> None:
    z = np.random.default_rng(0).uniform(-5, 25, 4000)
    value, spikes = few_spikes(z, 25.0, steps)
    step = 25.0 * 2.0**-steps
    error = np.maximum(z, 0) - value
    assert error.min() >= 0
    assert error.max() < step
    assert error.max() > 0.9 * step
    bits = [int(n).bit_count() for n in np.floor(np.maximum(z, 0) / step)]
    assert np.array_equal(spikes, bits)


@pytest.mark.parametrize("make", [mlp, residual])
def test_networks_approach_the_source(make) -> None:
    graph, x = make()
    source = graph.evaluate(x)[graph.output.name]
    errors = [np.abs(few_spike_coded(graph, x, steps).predict(x) - source).max() for steps in (6, 12, 24)]
    assert errors[0] > 20 * errors[1] > 400 * errors[2]
    _, spikes = few_spike_coded(graph, x, 6).run(x)
    assert all(count.mean() > 0 for count in spikes.values())
