"""Integer neurons: the rule of every chip against plain Python, in the kernel and in whole networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_integer import Neuron

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.errors import ConfigError, FileError
from snnsim.integer_cells import rule_row
from snnsim.integer_neurons import RULES, IntegerLIF, IntegerRule
from snnsim.kernels import integer as k
from snnsim.layer_neurons import Relay
from snnsim.layers import Conv, Dense, Into, SumPool
from snnsim.stimuli import Analogue

N_STEPS = 40


@st.composite
def rules(draw: st.DrawFn) -> IntegerRule:
    """A chip's rule, or any other one with narrow ranges, so that they overflow."""
    if draw(st.booleans()):
        return RULES[draw(st.sampled_from(sorted(RULES)))]
    reset = draw(st.sampled_from(["zero", "subtract", "value"]))
    overflow = st.sampled_from(["wrap", "saturate"])
    ranges = {
        f"{letter}_{end}": draw(st.integers(100, 4000)) * (-1 if end == "low" else 1)
        for letter in "auv"
        for end in ("low", "high")
    }
    return IntegerRule(
        decay=draw(st.sampled_from(["fraction", "shift", "linear"])),
        rounding=draw(st.sampled_from(["to_zero", "floor", "nearest_even"])),
        synapse=draw(st.sampled_from(["current", "potential"])),
        order=draw(st.sampled_from(["decay_first", "input_first"])),
        input_shift=draw(st.integers(-3, 3)),
        input_drop=draw(st.integers(0, 3)),
        **ranges,
        **{f"{letter}_overflow": draw(overflow) for letter in "auv"},
        limited_change=draw(st.booleans()),
        compare=draw(st.sampled_from(["above", "reached"])),
        reset=reset,
        most=draw(st.integers(1, 4)) if reset == "subtract" else 1,
    )


def any_parameters(rng: np.random.Generator, rule: IntegerRule, n: int, n_currents: int) -> dict[str, Any]:
    most_decay = {"fraction": 4096, "shift": 12, "linear": 300}[rule.decay]
    v_high = min(rule.v_high, 2**20)
    found: dict[str, Any] = {
        "threshold": rng.integers(1, max(2, v_high // 2), n),
        "decay_v": rng.integers(0, most_decay + 1, n),
        "bias": rng.integers(-50, 51, n),
        "refractory": rng.integers(0, 3, n),
    }
    if rule.synapse == "current":
        found["decay_u"] = rng.integers(0, most_decay + 1, n)
        if n_currents == 2:
            found["decay_u2"] = rng.integers(0, most_decay + 1, n)
    if rule.reset == "value":
        found["v_reset"] = rng.integers(max(rule.v_low, -100), 1, n)
    if rng.random() < 0.5:
        found["floor"] = rng.integers(max(rule.v_low, -300), 1, n)
    return found


def twins(rule: IntegerRule, parameters: dict[str, Any], n: int, n_currents: int) -> list[Neuron]:
    zero = np.zeros(n, int)
    return [
        Neuron(
            rule,
            int(parameters["threshold"][i]),
            tuple(int(parameters.get(key, zero)[i]) for key in ("decay_u", "decay_u2")[:n_currents]),
            *(int(parameters.get(key, zero)[i]) for key in ("decay_v", "bias", "v_reset", "refractory")),
            floor=int(parameters["floor"][i]) if "floor" in parameters else None,
        )
        for i in range(n)
    ]


@settings(max_examples=150, deadline=None)
@given(rule=rules(), seed=st.integers(0, 2**31), two=st.booleans())
def test_kernel_against_its_twin(rule: IntegerRule, seed: int, two: bool) -> None:
    rng, n, n_currents = np.random.default_rng(seed), 6, 2 if two and rule.synapse == "current" else 1
    parameters = any_parameters(rng, rule, n, n_currents)
    value = np.zeros((k.N_VALUES, n), np.int64)
    for row, key in (
        (k.THRESHOLD, "threshold"), (k.DECAY_U, "decay_u"), (k.DECAY_U2, "decay_u2"), (k.DECAY_V, "decay_v"),
        (k.BIAS, "bias"), (k.V_RESET, "v_reset"), (k.REFRACTORY, "refractory"),
    ):  # fmt: skip
        value[row] = parameters.get(key, 0)
    value[k.LEAST] = parameters.get("floor", rule.v_low)
    neurons = twins(rule, parameters, n, n_currents)
    potential, state = np.zeros(n), np.zeros((k.N_STATE, n), np.int64)
    count, unit, amount = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n)
    size, expected = 10 ** rng.integers(1, 6), np.zeros(n, int)
    for _ in range(N_STEPS):
        arrived = rng.integers(-size, size + 1, (n_currents, n)).astype(float) * (rng.random() < 0.7)
        given = arrived.copy()
        if rule.each_spike:  # the engine adds what arrives to the current, spike by spike
            arrived += state[k.U : k.U + n_currents]
            state[k.OVERFLOW] = 0
            for current in arrived:
                k.limit_each(current, state[k.OVERFLOW], rule_row(rule))
        n_events = k.fire_integer(
            potential, state, arrived, value, rule_row(rule, n_currents), count, unit, amount
        )
        spikes = [neuron.step([int(x) for x in given[:, i]]) for i, neuron in enumerate(neurons)]
        expected += spikes
        assert potential.tolist() == [neuron.v for neuron in neurons]
        if rule.synapse == "current":
            assert state[: k.U + n_currents].T.tolist() == [neuron.u[:n_currents] for neuron in neurons]
        assert state[k.OVERFLOW].tolist() == [neuron.overflow for neuron in neurons]
        assert unit[:n_events].tolist() == np.flatnonzero(spikes).tolist()
        assert amount[:n_events].tolist() == [spikes[i] for i in unit[:n_events]]
    assert count.tolist() == expected.tolist()


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(float)


def two_layers(seed: int, rule: str) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    """A recurrent layer on an input, a second one behind it with two delays; all is recorded."""
    rng = np.random.default_rng(seed)
    first, second = (any_parameters(rng, RULES[rule], n, 1) for n in (5, 3))
    for parameters in (first, second):
        parameters["threshold"] = np.minimum(parameters["threshold"], 100 * 2 ** RULES[rule].input_shift)
    populations = {
        "a": Population(n=5, neuron=IntegerLIF(rule=RULES[rule], **first)),
        "b": Population(n=3, neuron=IntegerLIF(rule=RULES[rule], **second)),
    }

    def link(source: str, target: str, delay: int) -> Projection:
        shape = populations[target].n, 4 if source == "x" else populations[source].n
        return Projection(
            source=source, target=target, rule=Dense(weight=whole(rng, *shape)), weight_mv=1.0, delay_ms=delay
        )

    links = {"in": ("x", "a", 1), "loop": ("a", "a", 2), "ab": ("a", "b", 1), "late": ("a", "b", 4)}
    projections = {name: link(*ends) for name, ends in links.items()}
    probes = {
        f"{variable}_{name}": Probe(target=name, variable=variable)
        for name in "ab"
        for variable in ("spikes", "v", "u", "overflow")
    }
    network = Network(
        populations=populations, projections=projections, probes=probes, stimuli={"x": Analogue(n=4)}
    )
    return network, first, second


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_network_against_plain_python(rule: str) -> None:
    network, first, second = two_layers(3, rule)
    x = (np.random.default_rng(4).random((1, N_STEPS, 4)) < 0.4) * 3.0
    sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
    sim.present({"x": x})
    sim.run_steps(N_STEPS)
    neurons = {"a": twins(RULES[rule], first, 5, 1), "b": twins(RULES[rule], second, 3, 1)}
    sent = {"x": x[0], "a": np.zeros((N_STEPS, 5)), "b": np.zeros((N_STEPS, 3))}
    for t in range(N_STEPS):
        for name, group in neurons.items():
            assert sim.samples(f"v_{name}")[1][t, 0].tolist() == [one.v for one in group]
            assert sim.samples(f"u_{name}")[1][t, 0].tolist() == [one.u[0] for one in group]
            assert sim.samples(f"overflow_{name}")[1][t, 0].tolist() == [one.overflow for one in group]
            parts = [
                p.rule.weight * sent[p.source][t - int(p.delay_ms)]
                for p in network.projections.values()
                if p.target == name and t >= p.delay_ms
            ]
            added = np.concatenate([np.zeros((len(group), 1)), *parts], axis=1)
            sent[name][t] = [one.step([[int(x) for x in row]]) for one, row in zip(group, added, strict=True)]
    for name in neurons:
        steps, ids = sim.spikes(f"spikes_{name}")
        assert np.argwhere(sent[name]).tolist() == np.stack([steps, ids], axis=1).tolist()
    assert sent["a"].sum() > 5


def test_maps_are_summed_as_dense_matrices_are() -> None:
    """A convolution, a pool and a part of a joined map give the sums of the matrices they stand for."""
    rng = np.random.default_rng(5)
    rules = {
        "conv": Conv(height=5, width=4, weight=whole(rng, 3, 2, 3, 2), stride_h=2, pad_left=1),
        "pool": SumPool(height=5, width=4, n_channels=2, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2),
        "into": Into(n_source=40, n_target=45, offset=3),
    }
    neuron = IntegerLIF(rule=RULES["generic-int16"], threshold=2**30)
    for rule in rules.values():
        network = Network(
            stimuli={"x": Analogue(n=40)},
            populations={"y": Population(n=rule.sizes()[1], neuron=neuron)},
            projections={"w": Projection(source="x", target="y", rule=rule, weight_mv=2.0, delay_ms=0.0)},
        )
        sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
        matrix = sim.evaluate({"x": np.eye(40)}, 1).readout[:, 0].T
        x = rng.integers(-5, 6, (7, 40)).astype(float)
        assert sim.evaluate({"x": x}, 1).readout[:, 0].tolist() == (x @ matrix.T).tolist()
        assert np.abs(matrix).max() > 0


def test_splits_threads_batches_and_checkpoints_leave_every_bit(tmp_path: Path) -> None:
    network, *_ = two_layers(8, "loihi2")
    x = (np.random.default_rng(9).random((3, N_STEPS, 4)) < 0.4) * 1.0

    def run(threads: int, pieces: list[int], file: Path | None = None) -> str:
        sim = Simulator(network, batch=3, dt_ms=1.0, threads=threads)
        sim.present({"x": x})
        for n in pieces:
            sim.run_steps(n)
            if file is not None:
                sim.save(file)
                sim = Simulator(network, batch=3, dt_ms=1.0, threads=2)
                sim.resume(file)
        return sim.digest()

    whole_run = run(1, [N_STEPS])
    assert run(2, [N_STEPS]) == whole_run
    assert run(2, [1, 7, N_STEPS - 8]) == whole_run
    assert run(1, [13, N_STEPS - 13], tmp_path / "state.h5") == whole_run


def test_two_currents_with_decays_of_their_own() -> None:
    neuron = IntegerLIF(rule=RULES["xylo"], threshold=30_000, decay_u=1, decay_u2=3, decay_v=2)
    network = Network(
        stimuli={"x": Analogue(n=2)},
        populations={"y": Population(n=1, neuron=neuron)},
        projections={
            name: Projection(
                source="x", target="y", weight_mv=1.0, delay_ms=0.0, receptor=name,
                rule=Dense(weight=np.array([[100.0, 0.0] if name == "exc" else [0.0, -60.0]])),
            )
            for name in ("exc", "inh")
        },
        probes={"v": Probe(target="y", variable="v")},
    )  # fmt: skip
    sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
    sim.present({"x": np.ones((1, 10, 2))})
    sim.run_steps(11)
    twin = Neuron(RULES["xylo"], 30_000, (1, 3), 2)
    for t in range(10):
        twin.step([100, -60])
        assert sim.samples("v")[1][t + 1, 0, 0] == twin.v
    assert twin.v != 0


def test_state_goes_to_zero_at_intervals_however_currents_take_what_arrives() -> None:
    def run(each_spike: bool) -> np.ndarray:
        rule = RULES["xylo"].replace(each_spike=each_spike)
        neuron = IntegerLIF(rule=rule, threshold=10_000, decay_u=4, decay_v=4, reset_every=4)
        sim = Simulator(network_of(neuron, weight=100.0, probes={"u": Probe(target="y", variable="u")}),
                        batch=1, dt_ms=1.0)  # fmt: skip
        given = np.zeros((1, 8, 1))
        given[0, [1, 4], 0] = 3, 1
        sim.present({"x": given})
        sim.run_steps(8)
        return sim.samples("u")[1].ravel()

    assert run(True)[5] == 94  # 100 of step 4, decayed; nothing of step 1
    assert np.array_equal(run(True), run(False))


def network_of(neuron: IntegerLIF, weight: float = 1.0, **options: Any) -> Network:
    return Network(
        stimuli={"x": Analogue(n=1)},
        populations={"y": Population(n=1, neuron=neuron)},
        projections={
            "w": Projection(
                source="x", target="y", rule=Dense(weight=np.array([[weight]])), weight_mv=1.0, delay_ms=0.0
            )
        },
        **options,
    )


def relayed(weight: float) -> Network:
    """Input, a relay, and the neuron: what a relay passes on arrives there too."""
    network = network_of(PLAIN)
    return network.replace(
        populations={"r": Population(n=1, neuron=Relay()), **network.populations},
        projections={
            "r": network.projections["w"].replace(target="r", rule=Dense(weight=np.array([[weight]]))),
            "w": network.projections["w"].replace(source="r"),
        },
    )


PLAIN = IntegerLIF(rule=RULES["generic-int8"], threshold=100)


@pytest.mark.parametrize(
    ("make", "where", "text"),
    [
        (lambda: IntegerLIF(rule=RULES["loihi2"], threshold=1.5), "threshold", "not a whole number"),
        (lambda: IntegerLIF(rule=RULES["loihi2"], threshold=5, decay_u=4097), "decay_u", "0 to 4096"),
        (lambda: IntegerLIF(rule=RULES["generic-int8"], threshold=2**15), "threshold", "1 to 32767"),
        (lambda: IntegerLIF(rule=RULES["generic-int8"], threshold=9, decay_u=1), "decay_u", "no current"),
        (lambda: IntegerLIF(rule=RULES["generic-int8"], threshold=0), "threshold", "1 to 32767"),
        (lambda: replace(RULES["loihi2"], most=2), "most", "subtract"),
    ],
)
def test_bad_neurons_are_refused(make: Any, where: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        make()
    assert where in str(caught.value)


@pytest.mark.parametrize(
    ("make", "where", "text"),
    [
        (lambda: network_of(PLAIN, 0.5), "projections.w.rule.weight", "whole weights"),
        (lambda: relayed(0.5), "projections.r.rule.weight", "whole weights"),
        (lambda: network_of(PLAIN, 2.0**29), "projections.w.rule.weight", "exactly"),
        (lambda: network_of(PLAIN, precision="float32"), "precision", "float64"),
        (lambda: network_of(PLAIN, probes={"p": Probe(target="y", variable="v_mv")}), "probes.p", "v, u"),
    ],
)
def test_bad_networks_are_refused(make: Any, where: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        Simulator(make(), batch=1, dt_ms=1.0)
    assert where in str(caught.value)


@pytest.mark.parametrize("value", [0.5, 2.0**25])
def test_inputs_are_whole_and_bounded(value: float) -> None:
    sim = Simulator(network_of(PLAIN), batch=1, dt_ms=1.0)
    with pytest.raises(ConfigError, match="inputs.x"):
        sim.present({"x": np.full((1, 1), value)})


def test_a_probe_of_whole_state_needs_an_integer_neuron() -> None:
    from snnsim.layer_neurons import BurstIF

    with pytest.raises(ConfigError, match=r"probes\.p\.variable"):
        Network(
            populations={"y": Population(n=1, neuron=BurstIF(v_th_mv=1.0))},
            probes={"p": Probe(target="y", variable="u")},
        )


def test_a_checkpoint_with_impossible_state_is_refused() -> None:
    sim = Simulator(network_of(PLAIN), batch=1, dt_ms=1.0)
    sim.present({"x": np.ones((1, 3, 1))})
    sim.run_steps(2)
    arrays, meta = sim.checkpoint()
    for name, value in (("rows/potential", 0.5), ("rows/potential", 2.0**15), ("rows/whole", -1)):
        broken = {key: kept.copy() for key, kept in arrays.items()}
        broken[name].flat[-1] = value
        with pytest.raises(FileError, match="of y"):
            sim.restore(broken, meta)
    for value in (0.5, 2.0**60):
        broken = arrays | {"inputs/values": np.full_like(arrays["inputs/values"], value)}
        with pytest.raises(FileError, match="inputs/values"):
            sim.restore(broken, meta)
    sim.restore(arrays, meta)
