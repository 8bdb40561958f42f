"""Every limit of every target: at, within and beyond, with layer, limit, value and bound in the message."""

import dataclasses

import numpy as np
import pytest

from snnsim.errors import TargetError
from snnsim.hardware.limits import check, require
from snnsim.hardware.measures import MEASURES
from snnsim.hardware.placement import place
from snnsim.hardware.resources import Storage
from snnsim.hardware.target_data import TARGETS
from snnsim.hardware.targets import RESOURCES, SURE, Target, explain, get_target
from snnsim.integer_neurons import IntegerLIF, IntegerRule
from snnsim.layer_neurons import BurstIF, Readout, Relay
from snnsim.layers import Conv, Dense, Into, MaxPool, SumPool
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

RULE = IntegerRule(synapse="current", decay="linear")
LIMITS = [(t.name, limit) for t in TARGETS.values() for limit in t.limits]
MEASURED = [row for row in LIMITS if row[1].key in MEASURES]


def lif(**fields):
    return IntegerLIF(**{"rule": RULE, "threshold": 64, "decay_u": 1, **fields})


def linked(rule, *, unit=None, delay_ms=1.0, source=None):
    """a -> b by a rule of layers."""
    n_source, n_target = rule.sizes()
    return Network(
        populations={
            "a": Population(n=n_source, neuron=lif() if source is None else source),
            "b": Population(n=n_target, neuron=lif() if unit is None else unit),
        },
        projections={
            "ab": Projection(source="a", target="b", rule=rule, weight_mv=1.0, delay_ms=delay_ms)
        },
    )


def one(**fields):
    return Network(populations={"a": Population(n=1, neuron=lif(**fields))})


def bursting(most):
    return one(rule=IntegerRule(reset="subtract", most=most), decay_u=0)


def layers(n):
    return Network(populations={f"a{k}": Population(n=1, neuron=lif()) for k in range(n)})


def fan_out(n):
    populations = {"a": Population(n=1, neuron=lif())}
    projections = {}
    for k in range(n):
        populations[f"b{k}"] = Population(n=1, neuron=lif())
        projections[f"p{k}"] = Projection(
            source="a", target=f"b{k}", rule=dense(1), weight_mv=1.0, delay_ms=1.0
        )
    return Network(populations=populations, projections=projections)


def with_input(n):
    stimulus = Projection(source="pixels", target="a", rule=dense(np.ones(n)), weight_mv=1.0, delay_ms=1.0)
    return Network(
        populations={"a": Population(n=1, neuron=lif())},
        projections={"pa": stimulus},
        stimuli={"pixels": Analogue(n=n)},
    )


def dense(row):
    return Dense(weight=np.atleast_2d(np.asarray(row, float)))


def conv(channels=1, kernel=1, stride=1, size=1):
    weight = np.ones((channels, 1, kernel, kernel))
    return Conv(weight=weight, height=size, width=size, stride_h=stride, stride_w=stride)


CONNECTIONS = {
    "dense": dense(1),
    "conv": conv(),
    "sum_pool": SumPool(n_channels=1, height=2, width=2, kernel_h=2, kernel_w=2),
    "max_pool": MaxPool(n_channels=1, height=2, width=2, kernel_h=2, kernel_w=2),
    "into": Into(n_source=1, n_target=1),
}
UNITS = {"integer_lif": lif(), "relay": Relay(), "readout": Readout(), "burst_if": BurstIF(v_th_mv=1.0)}
B, AB = "populations.b", "projections.ab"
MAKE = {
    "weight": lambda v: (linked(dense(v)), AB),
    "weight_mixed": lambda v: (linked(dense([v, -2 * v])), AB),
    "weight_magnitude": lambda v: (linked(dense(-v)), AB),
    "threshold": lambda v: (one(threshold=int(v)), "populations.a"),
    "bias": lambda v: (one(bias=int(v)), "populations.a"),
    "bias_mantissa": lambda v: (one(bias=int(v)), "populations.a"),
    "decay_u": lambda v: (one(decay_u=int(v)), "populations.a"),
    "decay_v": lambda v: (one(decay_v=int(v)), "populations.a"),
    "refractory": lambda v: (one(refractory=int(v)), "populations.a"),
    "spikes_per_step": lambda v: (bursting(int(v)), "populations.a"),
    "delay": lambda v: (linked(dense(1), delay_ms=float(v)), AB),
    "population": lambda v: (linked(Into(n_source=1, n_target=int(v))), B),
    "network": lambda v: (linked(Into(n_source=1, n_target=int(v) - 1)), "network"),
    "layers": lambda v: (layers(int(v)), "network"),
    "inputs": lambda v: (with_input(int(v)), "inputs.pixels"),
    "outputs": lambda v: (linked(Into(n_source=1, n_target=int(v))), "outputs"),
    "hidden": lambda v: (linked(dense(np.ones(int(v)))), "hidden"),
    "fan_in": lambda v: (linked(dense(np.ones(int(v)))), B),
    "fan_out": lambda v: (fan_out(int(v)), "populations.a"),
    "connection": lambda v: (linked(CONNECTIONS[v]), AB),
    "unit": lambda v: (linked(dense(1), unit=UNITS[v]), B),
    "kernel": lambda v: (linked(conv(kernel=int(v), size=int(v))), AB),
    "stride": lambda v: (linked(conv(stride=int(v), size=9)), AB),
    "channels": lambda v: (linked(conv(channels=int(v))), AB),
    "map": lambda v: (linked(Into(n_source=1, n_target=1) if v < 1 else conv(size=int(v))), AB),
}


def values(limit):
    """(those allowed, one that is not)."""
    if limit.kind == "one_of":
        names = {"connection": CONNECTIONS, "unit": UNITS, "stride": ["3"]}[limit.key]
        return [v for v in limit.value if limit.key == "stride" or v in names], next(
            v for v in names if v not in limit.value
        )
    if limit.kind == "multiple":
        return [limit.value, 2 * limit.value], 1.5 * limit.value
    step = -1 if limit.kind == "most" else 1
    beyond = 4097 if limit.key == "bias_mantissa" else limit.value - step
    return [limit.value, limit.value + step], beyond


@pytest.mark.parametrize(("target", "limit"), MEASURED, ids=[f"{t}-{limit.name}" for t, limit in MEASURED])
def test_a_limit_at_within_and_beyond(target, limit):
    allowed, beyond = values(limit)
    for value in allowed:
        if MAKE[limit.key] and not _impossible(limit, value):
            network, _ = MAKE[limit.key](value)
            assert limit.name not in [v.limit for v in check(network, target)], value
    if _impossible(limit, beyond):
        return
    network, where = MAKE[limit.key](beyond)
    (found,) = [v for v in check(network, target) if v.limit == limit.name and v.where == where]
    shown = beyond if isinstance(beyond, str) else f"{float(beyond):,.10g}"
    assert f"{where}: {limit.name}: got {shown}, expected {limit.text()}. Fix: {limit.fix}" == str(found)
    with pytest.raises(TargetError, match="does not fit") as raised:
        require(network, target)
    assert str(found) in str(raised.value)


def _impossible(limit, value):
    """What no network can be made of: sizes and counts below one, negative decays, and the like."""
    counts = ("decay_u", "decay_v", "refractory", "delay")
    if limit.key in counts:
        return value < 0
    if limit.key == "spikes_per_step":
        return value < 1
    return limit.key in ("threshold",) and limit.kind == "least" and value < -(2**48)


def test_every_limit_is_tested_somewhere():
    keys = {limit.key for _, limit in LIMITS}
    assert keys <= {*MAKE, *RESOURCES, "cores"}
    assert set(MAKE) == set(MEASURES) == keys - {*RESOURCES, "cores"}


def with_limits(name, **bounds) -> Target:
    target = get_target(name)
    changed = tuple(
        dataclasses.replace(limit, value=bounds.get(limit.key, limit.value)) for limit in target.limits
    )
    return dataclasses.replace(target, limits=changed)


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_neurons_of_a_core(name):
    limit = get_target(name).limit("neurons")
    for n, cores in ((limit.value - 1, 1), (limit.value, 1), (limit.value + 1, 2)):
        placement = place(Network(populations={"a": Population(n=n, neuron=lif())}), name)
        assert placement.n_cores == cores
        assert placement.bounds["neurons"] == cores


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
@pytest.mark.parametrize("key", ["input_axons", "synaptic_words"])
def test_what_one_neuron_may_take_of_a_core(name, key):
    target = with_limits(name, input_axons=1e9, synaptic_words=1e9)
    bound = get_target(name).limit(key).value if key == "input_axons" else 100
    target = dataclasses.replace(target, limits=with_limits(name, **{**_wide(target), key: bound}).limits)
    for n in (bound - 1, bound):
        assert check(linked(dense(np.ones(n))), target, outside=["a"]) == []
    (found,) = check(linked(dense(np.ones(bound + 1))), target, outside=["a"])
    assert (found.where, found.limit, found.value) == (B, f"{key}.most", bound + 1)
    assert f"got {bound + 1:,}, expected at most {bound:,}" in str(found)
    with pytest.raises(TargetError, match=f"populations.b: one unit alone .*got {bound + 1}"):
        place(linked(dense(np.ones(bound + 1))), target, outside=["a"])


def _wide(target):
    return {key: 1e9 for key in RESOURCES}


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_output_axons_of_a_core(name):
    """Four neurons, each with one axon to the core that four others fill."""
    for bound, cores in ((5, 2), (4, 2), (3, 3)):
        target = with_limits(name, output_axons=bound, neurons=4)
        placement = place(linked(Dense(weight=np.ones((4, 4)))), target)
        assert placement.n_cores == cores
        assert max(core.need[2] for core in placement.cores) <= bound
    for bound in (3, 2):
        target = with_limits(name, output_axons=bound, neurons=1)
        network = linked(Dense(weight=np.ones((3, 2))))
        if bound == 3:
            assert place(network, target).n_cores == 5
            continue
        with pytest.raises(TargetError, match="populations.a: .* output axons .*; got 3, expected at most 2"):
            place(network, target)


def test_neuron_groups_and_thresholds_of_a_core():
    target = with_limits("loihi2", neuron_groups=8)
    assert place(layers(8), target).n_cores == 1
    assert place(layers(9), target).n_cores == 2
    for n, cores in ((15, 1), (16, 1), (17, 2)):
        network = Network(populations={"a": Population(n=n, neuron=lif(threshold=np.arange(1, n + 1)))})
        assert place(network, "loihi1").n_cores == cores
    for n, cores in ((31, 1), (32, 1), (33, 2)):
        network = Network(populations={"a": Population(n=n, neuron=lif(decay_v=np.arange(n)))})
        assert place(network, "loihi1").n_cores == cores


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_cores_of_a_chip(name):
    target = with_limits(name, neurons=1)
    most = get_target(name).limit("cores").value
    assert place(Network(populations={"a": Population(n=most, neuron=lif())}), target).chips == 1
    network = Network(populations={"a": Population(n=most + 1, neuron=lif())})
    with pytest.raises(TargetError, match=f"cores.most: .* got {most + 1}, expected at most {most} .*chips"):
        place(network, target)
    assert place(network, target, chips=2).chips == 2


def test_all_violations_are_told_at_once():
    network = linked(dense([300, -301.5]), unit=lif(threshold=65, bias=4097, refractory=64), delay_ms=64.0)
    found = check(network, "loihi2")
    names = {v.limit for v in found}
    assert names == {
        "weight.most", "weight.least", "weight.multiple", "weight_mixed.multiple", "threshold.multiple",
        "bias_mantissa.most", "refractory.most", "delay.most",
    }  # fmt: skip
    with pytest.raises(TargetError) as raised:
        require(network, "loihi2")
    text = str(raised.value)
    assert all(str(v) in text for v in found)
    assert text.startswith(f"loihi2: the network does not fit ({len(found)} violations)")


def test_populations_outside_and_their_input_are_not_checked():
    network = linked(dense(2), source=BurstIF(v_th_mv=1.0), unit=lif(decay_u=1), delay_ms=0.0)
    assert [v.limit for v in check(network, "loihi2")] == ["unit.one_of", "delay.least"]
    assert check(network, "loihi2", outside=["a"]) == []


def test_explain_says_how_sure_each_limit_is():
    rows = explain("loihi2")
    text = {row["limit"]: row["sure"] + row["source"] for row in rows}
    assert "inferred" in text["synaptic_words.most"]
    assert "Intel" in text["synaptic_words.most"]
    assert all(row["source"] and row["sure"].split(":")[0] in SURE for row in rows)
    for name in TARGETS:
        assert all(limit.fix for limit in get_target(name).limits)
        assert len(explain(name)) >= len(get_target(name).limits)


def test_an_unknown_target_and_encoding():
    with pytest.raises(TargetError, match="no such target; got 'loihi3'.*did you mean loihi"):
        check(one(), "loihi3")
    with pytest.raises(TargetError, match="no such encoding; got 'dens'.*did you mean dense"):
        Storage(encodings=("dens",))
    with pytest.raises(TargetError, match="not placed on the cores of this target; got 'xylo'"):
        place(one(), "xylo")
