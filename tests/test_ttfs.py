"""Times to first spike: equal to the source, one spike a neuron, counted as brute force counts them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim.converters import graph as g
from snnsim.converters.convert import convert
from snnsim.converters.ttfs import TimeCoded, time_coded
from snnsim.errors import ConversionError


def simulated(coded: TimeCoded, weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Times of the first layer, an event at a time in the order of time: slopes, then the slope 1."""
    begin, end = coded.windows["a0"]
    t_x = np.where(x > 0, coded.windows["x"][1] - x, np.inf)
    times = np.full(len(bias), np.inf)
    for i in range(len(bias)):
        v = slope = now = 0.0
        for j in np.argsort(t_x):
            if t_x[j] < begin:
                v, slope, now = v + slope * (t_x[j] - now), slope + weight[i, j], t_x[j]
        v += slope * (begin - now)
        crossed = begin + max((end - begin) - bias[i] - v, 0.0)
        times[i] = crossed if crossed < end else np.inf
    return times


def test_first_layer_against_event_by_event() -> None:
    graph, x = mlp(n=5)
    coded = time_coded(graph, x)
    result = coded.run(x, keep_times=True)
    first = graph["f0"]
    for k in range(5):
        expected = simulated(coded, first.weight, first.bias, x[k])
        assert np.array_equal(np.isinf(expected), np.isinf(result.times["a0"][k]))
        assert np.allclose(expected, result.times["a0"][k], rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [mlp, residual])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_source(make, seed: int) -> None:
    graph, x = make(seed)
    coded = convert(graph, x, "ttfs")
    source = graph.evaluate(x)
    largest = max(np.abs(v).max() for v in source.values())
    assert np.abs(coded.predict(x) - source[graph.output.name]).max() <= 1e-12 * largest
    result = coded.run(x, keep_times=True)
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            t_min, t_max = coded.windows[node.name]
            times = result.times[node.name]
            value = np.where(np.isfinite(times), t_max - times, 0.0)
            assert np.abs(value - source[node.name]).max() <= 1e-12 * largest
            assert times.min() >= t_min
            fired = (source[node.name] > 1e-12 * largest).reshape(len(x), -1).sum(axis=1)
            assert np.array_equal(result.spikes[node.name], fired)


def test_windows_follow_each_other_and_a_cap_ends_one() -> None:
    graph, x = residual()
    coded = time_coded(graph, x)
    names = ["x", "a0", "a1", "a2", "a3"]
    for before, after in zip(names[:-1], names[1:], strict=True):
        assert coded.windows[after][0] == coded.windows[before][1]
    begin, end = coded.windows["a1"]
    assert end - begin <= 1.5 + 1e-12
    assert coded.latency == coded.windows["a3"][1]


def test_values_beyond_the_window_are_cut_and_counted() -> None:
    graph, x = mlp()
    coded = time_coded(graph, 0.01 * x)
    result = coded.run(x)
    assert result.cut["x"].sum() > 0
    assert time_coded(graph, x).run(x).cut["a0"].sum() == 0


def test_additions_by_brute_force() -> None:
    graph, x = residual(3)
    result = time_coded(graph, x).run(x)
    source = graph.evaluate(x)
    for name in ("c0", "c1", "c3"):
        conv = graph[name]
        given = {"c0": "x", "c1": "a0", "c3": None}[name]
        if given is None:  # spikes of the pool, and those of the windows of the average
            mean = (source["a1"] > 0).reshape(24, 4, 4, 2, 4, 2).sum(axis=(3, 5))
            events = np.concatenate([source["top"] > 0, mean], axis=1).astype(int)
        else:
            events = (source[given] > 0).astype(int)
        n, channels, height, width = events.shape
        added = np.zeros(n, int)
        for y in range(height):
            for z in range(width):
                reached = sum(
                    0 <= y + 1 - i < height and 0 <= z + 1 - j < width for i in range(3) for j in range(3)
                )
                added += events[:, :, y, z].sum(axis=1) * reached * (len(conv.bias) // conv.groups)
        assert np.array_equal(result.additions[name], added), name
    assert np.array_equal(result.additions["sum"], result.spikes["a0"])  # the shortcut


def test_negative_inputs_come_from_off_units() -> None:
    graph, x = mlp()
    x = x - 0.5
    coded = time_coded(graph, x)
    assert np.abs(coded.predict(x) - graph.evaluate(x)["f2"]).max() < 1e-12
    assert np.array_equal(coded.run(x).spikes["x"], np.full(len(x), 20))


def test_refusals() -> None:
    graph, x = residual()
    nodes = [dataclasses.replace(n, inputs=("sum",)) if n.name == "top" else n for n in graph.nodes]
    with pytest.raises(ConversionError, match=r"top: the largest of sums.*put an activation"):
        time_coded(g.Graph(tuple(nodes)), x)
    nodes = [dataclasses.replace(n, inputs=("c1",)) if n.name == "c2" else n for n in graph.nodes]
    with pytest.raises(ConversionError, match="c2: two linear operations follow each other"):
        time_coded(g.Graph(tuple(nodes)), x)
