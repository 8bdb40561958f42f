"""The error budget of each layer, against its definition computed in one go."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_operations import example

from snnsim.converters import graph as g
from snnsim.converters.build import build
from snnsim.converters.convert import Conversion, convert
from snnsim.converters.diagnosis import diagnose
from snnsim.converters.rate import RateCoding
from snnsim.errors import ConfigError


def one_layer(weight: float, bias: float, n: int = 40) -> tuple[g.Graph, np.ndarray]:
    """n units of their own input; and a sum of them."""
    nodes = (
        g.Input("x", "x", (), (n,)),
        g.Linear("l", "l", ("x",), (n,), weight * np.eye(n), np.full(n, bias)),
        g.ReLU("r", "first (ReLU)", ("l",), (n,)),
        g.Linear("y", "y", ("r",), (3,), np.random.default_rng(1).normal(size=(3, n)), np.zeros(3)),
    )
    return g.Graph(nodes), np.random.default_rng(2).uniform(-1, 1, (30, n))


def test_quantisation_and_clipping_by_hand() -> None:
    """One layer with constant input: nothing is uneven or propagated, the rest is the formula of rates."""
    graph, x = one_layer(1.0, 0.25)
    steps = 4
    coding = RateCoding({"r": np.full(40, 0.5)})
    found = Conversion(graph, build(graph, coding), "rate", steps, 1.0)
    (layer,) = diagnose(found, x).layers
    theta = np.asarray(found.network.populations["r"].unit.v_th_mv)
    z = x + 0.25
    a = np.maximum(z, 0)
    clipped = np.minimum(a, theta)
    value = theta / steps * np.clip(np.floor(steps * z / theta + 0.5), 0, steps)
    assert layer.clipping == pytest.approx(np.abs(clipped - a).mean())
    assert layer.clipping > 0.01
    assert layer.quantisation == pytest.approx(np.abs(value - clipped).mean())
    assert layer.uneven < 0.002  # sums of floats at a threshold may go either way
    assert layer.propagated == pytest.approx(0, abs=1e-3)
    assert layer.bias == pytest.approx((value - a).mean(), abs=2e-3)
    assert layer.correlation == pytest.approx(np.corrcoef(value.ravel(), a.ravel())[0, 1], abs=1e-3)
    assert layer.r_squared == pytest.approx(1 - ((value - a) ** 2).mean() / a.var(), abs=2e-3)
    assert layer.saturated == pytest.approx((value >= theta).mean())
    assert layer.path == "first (ReLU)"


@pytest.mark.parametrize("method", ["exact", "rate", "burst"])
def test_the_parts_of_every_layer(method: str) -> None:
    """The total is at most the sum; exact counts are never uneven; the first layer gets what it should."""
    graph, x = example()
    found = convert(graph, np.concatenate([x] * 20), method)
    budget = diagnose(found, np.concatenate([x] * 20))  # more than one share
    assert [layer.name for layer in budget.layers] == ["r0", "r1", "r2"]
    for layer in budget.layers:
        parts = layer.clipping + layer.quantisation + layer.uneven + layer.propagated
        assert 0 < layer.total <= parts * (1 + 1e-12)
        assert abs(layer.bias) <= layer.total
        assert layer.correlation > 0.98
        assert 0 <= layer.dead <= 1
        assert layer.advice.endswith(".")
        if method == "exact":
            assert layer.uneven == 0
    assert budget.layers[0].propagated < 0.01 * budget.layers[0].mean_activation
    once = diagnose(found, x)
    assert [layer.total for layer in once.layers] == pytest.approx([layer.total for layer in budget.layers])


def test_plain_neurons_are_uneven_where_spikes_come_early() -> None:
    """Excitation comes before an equal inhibition: spikes that only signed neurons would take back."""
    w1, w2 = np.array([[1.0], [0.5]]), np.array([[1.0, -2.0]])
    nodes = (
        g.Input("x", "x", (), (1,)),
        g.Linear("l", "l", ("x",), (2,), w1, np.zeros(2)),
        g.ReLU("r", "r", ("l",), (2,)),
        g.Linear("m", "m", ("r",), (1,), w2, np.zeros(1)),
        g.ReLU("s", "s", ("m",), (1,)),
        g.Linear("y", "y", ("s",), (2,), np.ones((2, 1)), np.zeros(2)),
    )
    graph, x = g.Graph(nodes), np.ones((4, 1))
    coding = RateCoding({"r": np.array([1.0, 1.0]), "s": np.array([0.4])}, start=0.0)
    found = Conversion(graph, build(graph, coding), "rate", 8, 1.0)
    first, second = diagnose(found, x).layers
    assert first.total == 0
    assert first.advice.startswith("Nothing to change")
    assert second.uneven == second.total == pytest.approx(2 * 0.4 / 8)  # two spikes too many
    assert "unevenly" in second.advice


def with_thresholds(scale: float) -> Conversion:
    graph, _ = one_layer(1.0, 0.0)
    return Conversion(graph, build(graph, RateCoding({"r": np.full(40, scale)})), "rate", 8, 1.0)


def test_advice_names_the_cause() -> None:
    _, x = one_layer(1.0, 0.0)
    assert diagnose(with_thresholds(0.2), x).layers[0].advice.startswith("Raise the threshold")
    assert diagnose(with_thresholds(2.0), x).layers[0].advice.startswith("Use finer counts")
    dead = diagnose(with_thresholds(50.0), x).layers[0]
    assert dead.dead == 1
    assert dead.silent_in_source == 0
    assert dead.advice.startswith("100% of the neurons never spike, 0% in the source")
    assert np.isnan(dead.correlation)
    graph, x = example()
    deep = convert(graph, x, "rate", timesteps=4, normalisation="max")
    (last,) = [layer for layer in diagnose(deep, x).layers if layer.name == "r2"]
    if last.propagated > max(last.clipping, last.quantisation, last.uneven):
        assert "begin with r" in last.advice


def test_accuracy_over_steps() -> None:
    graph, x = example()
    labels = graph.evaluate(x)["l"].argmax(axis=1)
    found = convert(graph, x, "rate", timesteps=12)
    budget = diagnose(found, x, labels)
    assert budget.accuracy == budget.agreement
    assert len(budget.agreement) == 12
    assert budget.source_accuracy == 1.0
    answers = found.run(x).readout.argmax(axis=2)
    assert budget.agreement == tuple((answers == labels[:, None]).mean(axis=0))
    wrong = diagnose(found, x, (labels + 1) % 3)
    assert wrong.source_accuracy == 0
    assert wrong.agreement == budget.agreement
    assert diagnose(found, x).accuracy is None
    exact = convert(graph, x, "exact", timesteps=3)
    assert len(diagnose(exact, x).agreement) == exact.run(x).n_steps.max()
    json.dumps(budget.as_dict(), allow_nan=False)


def test_labels_that_do_not_fit() -> None:
    graph, x = example()
    found = convert(graph, x, "rate", timesteps=2)
    with pytest.raises(ConfigError, match=r"labels: labels that do not fit the inputs; got 'int64\[4\]'"):
        diagnose(found, x, np.zeros(4, np.int64))
    with pytest.raises(ConfigError, match="labels that do not fit"):
        diagnose(found, x, np.zeros(5))
    with pytest.raises(ConfigError, match="a label that no output stands for; got '0 to 3', expected 0 to 2"):
        diagnose(found, x, np.array([0, 1, 2, 3, 0]))
