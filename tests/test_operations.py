"""Operation counts against a loop over every synapse."""

from __future__ import annotations

import json
from itertools import product
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layers import windows

from snnsim.converters import graph as g
from snnsim.converters.convert import Conversion, convert
from snnsim.converters.counting import fan_out, maxima_comparisons, multiplications, source_layers
from snnsim.converters.event_counts import count_operations, weights
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, SumPool, Window
from snnsim.simulator import Simulator


def synapses(rule: LayerRule) -> list[tuple[int, int, float]]:
    """(source, target, weight) of every connection, one at a time, units channel first."""
    if isinstance(rule, Dense):
        n_target, n_source = rule.weight.shape
        return [(s, t, rule.weight[t, s]) for t in range(n_target) for s in range(n_source)]
    if isinstance(rule, Into):
        return [(s, s + rule.offset, 1.0) for s in range(rule.n_source)]
    assert isinstance(rule, Window)
    (c_in, c_out), (out_h, out_w), kernel = rule.channels(), rule.target_map(), rule.kernel()
    groups = rule.groups if isinstance(rule, Conv) else c_in
    found = []
    for co, oy, ox, ci in product(range(c_out), range(out_h), range(out_w), range(c_in // groups)):
        group = co // (c_out // groups)
        for ky, kx in product(range(kernel[0]), range(kernel[1])):
            y = oy * rule.stride_h - rule.pad_top + ky * rule.dilation_h
            x = ox * rule.stride_w - rule.pad_left + kx * rule.dilation_w
            if 0 <= y < rule.height and 0 <= x < rule.width:
                source = ((group * (c_in // groups) + ci) * rule.height + y) * rule.width + x
                weight = rule.weight[co, ci, ky, kx] if isinstance(rule, Conv) else 1.0
                found.append((source, (co * out_h + oy) * out_w + ox, weight))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.one_of(windows(), windows(SumPool), windows(MaxPool)))
def test_fan_out(rule: Window) -> None:
    expected = np.bincount([s for s, _, _ in synapses(rule)], minlength=rule.sizes()[0])
    assert np.array_equal(fan_out(rule), expected)
    if isinstance(rule, MaxPool):
        assert maxima_comparisons(rule) == expected.sum()


def test_fan_out_of_matrices_and_joins() -> None:
    assert fan_out(Dense(weight=np.ones((3, 4)))).tolist() == [3, 3, 3, 3]
    assert fan_out(Into(n_source=2, n_target=5, offset=1)).tolist() == [1, 1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(windows(), st.integers(0, 2**31))
def test_products_of_a_convolution(rule: Conv, seed: int) -> None:
    """Dense ones in the map, and zero-skipping ones of weights and values, by a loop."""
    rng = np.random.default_rng(seed)
    weight = rule.weight * (rng.random(rule.weight.shape) < 0.7)
    rule = rule.replace(weight=weight)
    c_in, c_out = rule.channels()
    node = g.Conv(
        "c", "c", ("x",), (c_out, *rule.target_map()), weight, np.zeros(c_out),
        (rule.stride_h, rule.stride_w), (rule.pad_top, rule.pad_bottom, rule.pad_left, rule.pad_right),
        (rule.dilation_h, rule.dilation_w), rule.groups,
    )  # fmt: skip
    x = rng.normal(size=(2, c_in, rule.height, rule.width))
    x *= rng.random((2, 1, rule.height, rule.width)) < 0.5
    every = synapses(rule)
    for sample in x:
        expected = sum(w != 0 and sample.ravel()[s] != 0 for s, _, w in every)
        assert multiplications(node, sample[None] != 0).tolist() == [expected]
    everywhere = np.ones((1, *x.shape[1:]), dtype=bool)
    assert multiplications(node, everywhere, zeros=True).tolist() == [len(every)]
    (layer,) = source_layers(g.Graph((g.Input("x", "x", (), x.shape[1:]), node)), x)
    assert layer.dense_macs == weight[0].size * np.prod(node.shape) >= layer.in_map_macs == len(every)
    assert layer.effective_macs == multiplications(node, x != 0).mean()
    assert layer.biases == np.prod(node.shape)


def example(seed: int = 0) -> tuple[g.Graph, np.ndarray]:
    """Strided, dilated and grouped convolutions, average and max pools, a residual addition, matrices."""
    rng = np.random.default_rng(seed)

    def conv(name: str, source: str, shape: tuple, groups: int = 1, **options) -> g.Conv:
        out, per_group = shape[0], {"c0": 2, "c1": 2, "c2": 4}[name]
        weight = rng.normal(size=(out, per_group, 3, 3)) * (rng.random((out, per_group, 3, 3)) < 0.8)
        bias = rng.normal(size=out) / 4
        return g.Conv(name, name, (source,), shape, weight, bias, groups=groups, **options)

    pad = (1, 1, 1, 1)
    nodes = (
        g.Input("x", "x", (), (2, 8, 8)),
        conv("c0", "x", (4, 8, 8), padding=pad),
        g.ReLU("r0", "r0", ("c0",), (4, 8, 8)),
        g.MaxPool("m", "m", ("r0",), (4, 4, 4), (2, 2), (2, 2)),
        conv("c1", "m", (4, 4, 4), groups=2, padding=(2, 2, 2, 2), dilation=(2, 2)),
        g.ReLU("r1", "r1", ("c1",), (4, 4, 4)),
        g.Add("s", "s", ("r1", "m"), (4, 4, 4)),
        conv("c2", "s", (4, 2, 2), padding=pad, stride=(2, 2)),
        g.ReLU("r2", "r2", ("c2",), (4, 2, 2)),
        g.AvgPool("a", "a", ("r2",), (4, 1, 1), (2, 2), (2, 2)),
        g.Flatten("f", "f", ("a",), (4,)),
        g.Linear("l", "l", ("f",), (3,), rng.normal(size=(3, 4)), rng.normal(size=3)),
    )
    return g.Graph(nodes), rng.normal(size=(5, 2, 8, 8)) * (rng.random((5, 2, 8, 8)) < 0.6)


class Brute:
    """A simulation in plain Python, synapse by synapse, that counts what it does."""

    def __init__(
        self, conversion: Conversion, x: np.ndarray, given: np.ndarray, n_steps: int, hold: bool
    ) -> None:
        network = conversion.network
        names = ["input", *network.populations]
        every = {link: synapses(p.rule) for link, p in network.projections.items()}
        size = {"input": x.size} | {name: p.n for name, p in network.populations.items()}
        v = {name: np.zeros(n) for name, n in size.items()}
        count = {name: np.zeros(n) for name, n in size.items()}
        for name, p in network.populations.items():
            v[name] += np.asarray(getattr(p.unit, "v_init_mv", 0.0))
        self.acs = dict.fromkeys(every, 0)
        self.macs = dict.fromkeys(every, 0)
        self.events = dict.fromkeys(names, 0)
        self.spikes = dict.fromkeys(names, 0.0)
        for t in range(n_steps):
            out = {"input": given[0 if hold else t] if hold or t < len(given) else np.zeros(x.size)}
            for name in names:
                if name != "input":
                    out[name] = self.step(network, name, every, out, v[name], count, t)
                self.events[name] += int(np.count_nonzero(out[name]))
                self.spikes[name] += float(np.abs(out[name]).sum())
                count[name] += out[name]

    def step(self, network, name, every, out, v, count, t) -> np.ndarray:
        unit, z = network.populations[name].unit, np.zeros(v.size)
        for link, p in network.projections.items():
            if p.target != name:
                continue
            if unit.KIND == "maximum":
                best = np.full(v.size, -np.inf)
                for s, target, _ in every[link]:
                    best[target] = max(best[target], count[p.source][s])
                change, v[:] = best - v, best
                return change
            for s, target, weight in every[link]:
                amount = out[p.source][s]
                if amount != 0:
                    z[target] += amount * weight * p.weight
                    (self.acs if abs(amount) == 1 else self.macs)[link] += 1
        if unit.KIND == "relay":
            return z
        if unit.bias_steps is None or t < unit.bias_steps:
            z += np.asarray(unit.bias_mv)
        v += z
        if unit.KIND == "readout":
            return np.zeros(v.size)
        s = np.floor(v / unit.v_th_mv)
        if unit.KIND == "signed_if":
            own = count[name]
            s = np.clip(s, -np.minimum(unit.most, own), np.minimum(unit.most, unit.levels - own))
        else:
            s = np.clip(s, 0, unit.most)
        v -= s * unit.v_th_mv
        return s


@pytest.mark.parametrize(("method", "timesteps"), [("exact", 1), ("exact", 3), ("rate", 5), ("burst", 4)])
def test_the_spiking_network_counts_every_synapse(method: str, timesteps: int) -> None:
    from snnsim.converters.certificate import spread
    from snnsim.converters.exact import amounts

    graph, x = example()
    options = {"levels": 4} if method == "exact" else {"normalisation": "max"}
    found = convert(graph, x, method, timesteps=timesteps, **options)
    sample = x[:1]
    result = found.run(sample, keep_counts=True)
    counted = found.operations(sample)
    flat = sample.reshape(1, -1)
    hold = method != "exact"
    given = flat if hold else spread(amounts(flat, found.input_scale), timesteps)[0]
    brute = Brute(found, flat[0], given, int(result.n_steps[0]), hold)
    for link in counted.links:
        assert (link.acs, link.macs) == (brute.acs[link.name], brute.macs[link.name]), link.name
    for population in counted.populations:
        assert population.events == brute.events[population.name]
        assert population.spikes == pytest.approx(brute.spikes[population.name])
    roles = {link.name: link.role for link in counted.links}
    assert roles["input_to_r0"] == "input"
    assert roles["r0_to_m"] == roles["r2_to_a"] == "pooling"
    assert roles["m_to_r1"] == roles["a_to_readout"] == "synapse"
    once = sum(flat[0][s] != 0 for s, _, _ in synapses(found.network.projections["input_to_r0"].rule))
    if method != "exact":
        assert counted.input_acs_once + counted.input_macs_once == once
        assert counted.input_macs_per_step == timesteps * counted.input_macs_once
        assert counted.input_repeats == timesteps * 256
    elif timesteps == 1:
        assert counted.input_macs_once == counted.input_macs_per_step
        assert counted.input_repeats == 0


def test_updates_steps_and_sums() -> None:
    graph, x = example()
    found = convert(graph, x, "rate", timesteps=6)
    o = found.operations(x)
    n = 256 + 64 + 16
    assert (o.n_samples, o.n_steps, o.n_steps_most, o.n_neurons) == (5, 6, 6, n)
    assert o.integrations == 6 * (n + 3)  # the readout integrates too
    windows_of_maxima = 4 * 64
    assert o.comparisons == 6 * (n + windows_of_maxima)
    assert o.bias_additions == 6 * (n + 3)
    assert o.resets == o.events
    assert o.count_bits == ceil(log2(7))
    synaptic = o.synaptic_acs + o.synaptic_macs + o.pooling_acs + o.pooling_macs
    updates = o.integrations + o.comparisons + o.bias_additions + o.resets
    per_step = o.input_acs_per_step + o.input_macs_per_step
    assert o.total_per_step == pytest.approx(synaptic + updates + per_step)
    once = o.input_acs_once + o.input_macs_once
    assert o.total_once == pytest.approx(synaptic + updates + once + o.input_repeats)
    assert o.weight_bytes == pytest.approx(4 * (synaptic + once))  # rates run in float32
    assert o.n_weights == sum(w.size for w in weights(found.network))
    exact = convert(graph, x, "exact", levels=4).operations(x)
    assert exact.count_bits == ceil(log2(5))
    assert exact.comparisons == pytest.approx(exact.n_steps * (2 * n + windows_of_maxima))


def test_source_columns() -> None:
    graph, x = example()
    o = convert(graph, x, "rate", timesteps=2).operations(x)
    dense = 18 * 256 + 18 * 64 + 36 * 16 + 12
    assert (o.dense_macs, o.source_biases, o.dense_ops) == (dense, 256 + 64 + 16 + 3, 2 * dense + 339)
    assert o.effective_macs < o.in_map_macs < o.dense_macs
    others = 256 + 256 + 64 + 64 + 16 + 16  # r0, m, r1, s, r2, a
    assert o.source_others == others


def test_counts_are_means_whatever_the_share() -> None:
    graph, x = example()
    found = convert(graph, x, "exact", levels=4)
    alone = [count_operations(found, sample[None]) for sample in x]
    together = count_operations(found, np.concatenate([x] * 15))  # more than one share
    for name, value, _, _ in together.columns():
        if name not in ("n_samples", "n_steps_most"):
            assert value == pytest.approx(np.mean([getattr(o, name) for o in alone])), name


def test_json_and_text_name_every_column() -> None:
    graph, x = example()
    o = convert(graph, x, "burst", timesteps=2).operations(x)
    content = json.loads(json.dumps(o.as_dict(), allow_nan=False))
    assert set(content["columns"]) == {name for name, *_ in o.columns()}
    for name, column in content["columns"].items():
        assert column["unit"], name
        assert column["formula"], name
        assert f"\n{name} " in f"\n{o.table()}"
    assert content["ratios"]["all, input once / zero-skipping MAC"] == o.total_once / o.effective_macs
    assert len(content["ratios"]) == 12


def test_graded_events_are_counted_apart() -> None:
    graph, x = example()
    found = convert(graph, x, "exact", levels=4)
    with Simulator(found.network, batch=1) as sim:
        result = sim.evaluate({"input": np.full((1, 128), 1.0)}, 4)
        assert result.graded["input_to_r0"].tolist() == [0]
        graded = sim.evaluate({"input": np.full((1, 128), 2.0)}, 4)
        assert graded.graded["input_to_r0"].tolist() == graded.additions["input_to_r0"].tolist()
        assert graded.additions["input_to_r0"].tolist() == result.additions["input_to_r0"].tolist()
