"""Corrections: means equal those of the source afterwards, in every layer; exact networks stay exact."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim.converters.calibrate import Activations, activations
from snnsim.converters.convert import Conversion, convert
from snnsim.converters.correction import corrected
from snnsim.converters.dense import evaluate
from snnsim.converters.exact import amounts, quantised


def missing(made: Conversion, source: Activations, x: np.ndarray, name: str) -> np.ndarray:
    """[n] of an activation: mean of the source minus that of the spiking network."""
    result = made.run(x, keep_counts=True)
    theta = np.asarray(made.network.populations[name].unit.v_th_mv)
    return source.means[name].ravel() - theta * result.totals[name].mean(axis=0) / made.timesteps


@pytest.mark.parametrize("how", ["bias", "potential"])
@pytest.mark.parametrize("make", [mlp, residual])
def test_means_come_nearer_to_the_source(make, how: str) -> None:
    graph, x = make()
    source = activations(graph, x)
    plain = convert(graph, x, "rate", timesteps=8, normalisation="snntoolbox")
    better = convert(graph, x, "rate", timesteps=8, normalisation="snntoolbox", correction=how)
    for name in source.means:
        before = missing(plain, source, x, name).reshape(graph[name].shape)
        after = missing(better, source, x, name).reshape(graph[name].shape)
        if how == "bias" and before.ndim == 3:
            before, after = before.mean(axis=(1, 2)), after.mean(axis=(1, 2))
        assert np.abs(after).mean() < 0.5 * np.abs(before).mean(), name
    out = source.outputs
    mean = better.predict(x).mean(axis=0)
    assert np.allclose(mean, out.mean(axis=0), atol=1e-9)
    assert np.abs(mean - plain.predict(x).mean(axis=0)).max() > 1e-3


def test_one_layer_by_hand() -> None:
    """b + E[a] - E[s] for each channel, of a network whose later layers follow with their new inputs."""
    graph, x = mlp()
    source = activations(graph, x)
    plain = convert(graph, x, "rate", timesteps=4)
    found = corrected(plain.network, x, source, 4, "bias")
    moved = found.populations["a0"].unit.bias_mv - plain.network.populations["a0"].unit.bias_mv
    assert np.allclose(moved, missing(plain, source, x, "a0"), atol=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_moved_biases_of_exact_networks(levels: int) -> None:
    """Outputs are nearer to the source than without, and the certificate still holds."""
    graph, x = residual(2)
    source = graph.evaluate(x)["out"]
    errors = {}
    for centre in (False, True):
        network, scale = quantised(graph, x, levels, centre=centre)
        out = evaluate(network, {"input": amounts(x, scale)})["readout"]
        errors[centre] = float(((out - source) ** 2).mean())
        if centre:
            assert np.allclose(out.mean(axis=0), source.mean(axis=0), atol=1e-6)
    assert errors[True] < errors[False]
    assert convert(graph, x, "exact", levels=levels, timesteps=3).certificate.holds
