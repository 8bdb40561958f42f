"""Times to first spike: equal to the source, one spike a neuron, counted as brute force counts them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim import Probe, Simulator
from snnsim.converters import graph as g
from snnsim.converters.build import INPUT
from snnsim.converters.convert import Conversion, convert
from snnsim.errors import ConversionError
from snnsim.layer_neurons import TimeToFirstSpike


def unit_of(found: Conversion, name: str) -> TimeToFirstSpike:
    unit = found.network.populations[name].unit
    assert isinstance(unit, TimeToFirstSpike)
    return unit


def simulated(begin: float, end: float, t_end: float, weight: np.ndarray, bias: np.ndarray, x: np.ndarray):
    """Times of the first layer, an event at a time in the order of time: slopes, then the slope 1."""
    t_x = np.where(x > 0, t_end - x, np.inf)
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
    found = convert(graph, x, "ttfs")
    amounts = found.run(x, keep_counts=True).totals["a0"]
    length, begin = unit_of(found, "a0").resolution_mv, found.input_scale
    end, first = begin + length, graph["f0"]
    for k in range(5):
        expected = simulated(begin, end, begin, first.weight, first.bias, x[k])
        times = np.where(amounts[k] > 0, end - length * amounts[k], np.inf)
        assert np.array_equal(np.isinf(expected), np.isinf(times))
        assert np.allclose(expected, times, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [mlp, residual])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_source(make, seed: int) -> None:
    graph, x = make(seed)
    found = convert(graph, x, "ttfs")
    source = graph.evaluate(x)
    largest = max(np.abs(v).max() for v in source.values())
    assert np.abs(found.predict(x) - source[graph.output.name]).max() <= 1e-12 * largest
    result = found.run(x, keep_counts=True)
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            value = unit_of(found, node.name).resolution_mv * result.totals[node.name]
            wanted = source[node.name].reshape(len(x), -1)
            assert np.abs(value - wanted).max() <= 1e-12 * largest
            fired = (wanted > 1e-12 * largest).sum(axis=1)
            assert np.array_equal(result.events[node.name], fired)
            assert result.counts[node.name].max() == 1


@pytest.mark.parametrize("steps", [1, 4, 64])
def test_on_a_grid_values_are_rounded(steps: int) -> None:
    graph, x = mlp(1)
    found = convert(graph, x, "ttfs", timesteps=steps)
    given = found.input_scale * np.clip(np.rint(x / found.input_scale), -steps, steps)
    z, unit = graph.evaluate(given)["f0"], unit_of(found, "a0")
    expected = np.clip(np.floor(z / unit.resolution_mv + 0.5), 0, steps)
    result = found.run(x, keep_counts=True)
    assert np.array_equal(result.totals["a0"], expected)
    assert np.array_equal(result.counts["a0"], expected > 0)
    assert result.n_steps.max() == 3 * steps  # of the input and of two layers


def test_the_grid_comes_close_to_the_source() -> None:
    graph, x = residual()
    source = graph.evaluate(x)[graph.output.name]
    errors = [np.abs(convert(graph, x, "ttfs", timesteps=n).predict(x) - source).max() for n in (8, 64, 512)]
    assert errors[0] > 4 * errors[1] > 16 * errors[2] > 0


def test_the_time_of_a_spike_on_the_grid() -> None:
    """It comes when what is left of the window has come down to the value."""
    graph, x = mlp(n=4)
    found = convert(graph, x, "ttfs", timesteps=16)
    network = found.network.replace(probes={"a0": Probe(target="a0")})
    with Simulator(network, batch=4) as sim:
        sim.present({INPUT: np.rint(x / found.input_scale)})
        sim.run_steps(48)
        totals = sim.result().totals["a0"]
        for k in range(4):
            steps, ids = sim.spikes("a0", k)
            assert steps.tolist() == (32 - totals[k, ids]).tolist()
            assert len(ids) == (totals[k] > 0).sum() > 0


def test_windows_follow_each_other_and_a_cap_ends_one() -> None:
    graph, x = residual()
    found = convert(graph, x, "ttfs", timesteps=5)
    assert [unit_of(found, f"a{k}").begin for k in range(4)] == [5, 10, 15, 20]
    assert 5 * unit_of(found, "a1").resolution_mv <= 1.5 + 1e-12


def test_values_beyond_the_window_come_at_once() -> None:
    graph, x = mlp()
    result = convert(graph, 0.01 * x, "ttfs").run(x, keep_counts=True)
    assert (result.totals[INPUT] == 1).sum() > 0
    assert max(result.totals[name].max() for name in (INPUT, "a0")) == 1
    assert convert(graph, x, "ttfs").run(x, keep_counts=True).totals["a0"].max() < 1


def test_additions_by_brute_force() -> None:
    graph, x = residual(3)
    result = convert(graph, x, "ttfs").run(x)
    source = graph.evaluate(x)
    mean = (source["mean"] > 0).astype(int)
    for name, link, events in (
        ("c0", "input_to_a0", x > 0), ("c1", "a0_to_a1", source["a0"] > 0),
        ("c2", "a1_to_a2", source["a1"] > 0), ("c3", "top_to_a3", source["top"] > 0),
        ("c3", "mean_to_a3", mean),
    ):  # fmt: skip
        conv = graph[name]
        n, channels, height, width = events.shape
        added = np.zeros(n, int)
        for y in range(height):
            for z in range(width):
                reached = sum(
                    0 <= y + 1 - i < height and 0 <= z + 1 - j < width for i in range(3) for j in range(3)
                )
                added += events[:, :, y, z].sum(axis=1) * reached * (len(conv.bias) // conv.groups)
        assert np.array_equal(result.additions[link], added), link
    assert np.array_equal(result.additions["a0_to_a2"], result.events["a0"])  # the shortcut


def test_a_spike_costs_additions_only() -> None:
    graph, x = mlp()
    o = convert(graph, x, "ttfs").operations(x)
    assert o.synaptic_macs == o.input_macs_once == 0 < o.synaptic_acs
    assert 0 < o.spikes_per_neuron < 1
    assert o.spikes == o.events


def test_negative_inputs_come_from_off_units() -> None:
    graph, x = mlp()
    x = x - 0.5
    found = convert(graph, x, "ttfs")
    assert np.abs(found.predict(x) - graph.evaluate(x)["f2"]).max() < 1e-12
    assert np.array_equal(found.run(x).events[INPUT], np.full(len(x), 20))


def test_refusals() -> None:
    graph, x = residual()
    for name, source in (("top", "sum"), ("c2", "c1")):
        nodes = [dataclasses.replace(n, inputs=(source,)) if n.name == name else n for n in graph.nodes]
        with pytest.raises(ConversionError, match=f"{name}: two linear operations follow each other"):
            convert(g.Graph(tuple(nodes)), x, "ttfs")
