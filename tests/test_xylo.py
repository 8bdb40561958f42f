"""Xylo: the network against plain Python, the chip makers' simulator and its kept traces; files; refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import oracle_xylo
import pytest
from xylo_examples import random_input, random_specification, run_xylosim

from snnsim import Network, Probe, Simulator
from snnsim.errors import ConfigError, FileError, TargetError
from snnsim.hardware.xylo import (
    read_xylo,
    read_xylo_specification,
    write_xylo_specification,
    xylo_network,
)
from snnsim.hardware.xylo_place import place_xylo

GOLDEN = Path(__file__).with_name("golden_xylo.npz")
N_STEPS = 40


def run_network(network: Network, given: np.ndarray) -> dict[str, np.ndarray]:
    """As oracle_xylo.run, but for the second current."""
    watched = [(name, variable) for name in ("hidden", "output") for variable in ("u", "v")]
    probes = dict(network.probes) | {
        f"{variable}_{name}": Probe(target=name, variable=variable) for name, variable in watched
    }
    sim = Simulator(network.replace(probes=probes), batch=1, dt_ms=1.0, threads=1)
    sim.present({"input": given[None].astype(float)})
    n = len(given)
    found = {name: np.zeros((n, network.populations[name].n), int) for name in ("hidden", "output")}
    before = {name: np.zeros(network.populations[name].n, int) for name in found}
    for t in range(n):
        sim.run_steps(1)
        counts = {name: sim.result().counts[name][0] for name in found}
        for name, count in counts.items():
            found[name][t] = count - before[name]
            before[name] = count.copy()
    sim.run_steps(1)  # a sample is the state before its step
    after = {key: sim.samples(key)[1][1:, 0].astype(int) for key in (f"{v}_{name}" for name, v in watched)}
    return {
        "i_syn": after["u_hidden"], "v_mem": after["v_hidden"], "spikes": found["hidden"],
        "i_syn_out": after["u_output"], "v_mem_out": after["v_output"], "out": found["output"],
    }  # fmt: skip


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for key, value in found.items():
        assert np.array_equal(value, expected[key]), key


@pytest.mark.parametrize("seed", range(8))
def test_the_network_computes_what_plain_python_does(seed: int) -> None:
    spec = random_specification(seed)
    given = random_input(spec, N_STEPS, seed)
    found = run_network(xylo_network(spec), given)
    assert_same(found, oracle_xylo.run(spec, given))
    assert found["spikes"].sum() > 0


def test_traces_of_xylosim() -> None:
    """Kept from xylosim 0.1.3 by tests/golden_xylo.py: saturation, aliases, biases, negative state."""
    with np.load(GOLDEN) as kept:
        for seed in kept["seeds"].tolist():
            spec = random_specification(seed)
            given = kept[f"{seed}/given"].astype(int)
            expected = {
                key: kept[f"{seed}/{key}"].astype(int)
                for key in ("i_syn", "v_mem", "spikes", "v_mem_out", "out")
            }
            found = run_network(xylo_network(spec), given)
            assert_same({key: found[key] for key in expected}, expected)


@pytest.mark.peer
def test_a_hundred_specifications_against_xylosim() -> None:
    pytest.importorskip(
        "xylosim", reason="the simulator of Xylo is not installed: pip install xylosim==0.1.3"
    )
    saturated = negative = 0
    for seed in range(100):
        spec = random_specification(seed)
        given = random_input(spec, N_STEPS, seed)
        expected = run_xylosim(spec, given)
        assert_same(run_network(xylo_network(spec), given), expected)
        assert_same(oracle_xylo.run(spec, given), expected)
        saturated += int((np.abs(expected["v_mem"]) >= 2**15 - 1).sum())
        negative += int((expected["v_mem"] < 0).sum())
    assert saturated > 1000
    assert negative > 1000


def test_currents_saturate_spike_by_spike() -> None:
    """Three spikes of 127 * 128 saturate on the way, so that -128 * 128 counts from the end of the range."""
    spec = replace(
        random_specification(0),
        weights_in=np.array([127, 127, 127, -128]).reshape(4, 1, 1) * np.array([1, 0]),
        weights_rec=np.zeros((1, 1, 2), np.int64), weights_out=np.ones((1, 1), np.int64), weight_shift_in=7,
        **{key: np.array([value]) for key, value in (
            ("dash_mem", 3), ("dash_syn", 4), ("dash_syn_2", 0), ("threshold", 32767), ("bias", 0),
            ("alias", -1),
            ("dash_mem_out", 3), ("dash_syn_out", 3), ("threshold_out", 100), ("bias_out", 0),
        )},
    )  # fmt: skip
    given = np.array([[1, 1, 1, 1]])
    after = 32767 - 128 * 128
    expected = after - (after >> 4)
    assert oracle_xylo.run(spec, given)["i_syn"][0, 0] == expected
    network = xylo_network(spec)
    assert run_network(network, given)["i_syn"][0, 0] == expected
    probes = {"o": Probe(target="hidden", variable="overflow")}
    sim = Simulator(network.replace(probes=probes), batch=1, dt_ms=1.0)
    sim.present({"input": given.astype(float)}, repeat=2)  # input that stays is added anew, not its sum
    sim.run_steps(3)
    assert sim.samples("o")[1][:, 0, 0].tolist() == [0.0, 2.0, 2.0]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_files_there_and_back(tmp_path: Path, seed: int) -> None:
    spec = random_specification(seed)
    write_xylo_specification(tmp_path / "a.json", spec)
    again = read_xylo_specification(tmp_path / "a.json")
    assert again.same_as(spec)
    write_xylo_specification(tmp_path / "b.json", again)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_xylo(tmp_path / "a.json") == xylo_network(spec)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_network_of_a_specification_is_placed_as_that(seed: int) -> None:
    """What the numbers of a chip do not say is lost: shifts are the smallest that do."""
    spec = random_specification(seed)
    again = place_xylo(xylo_network(spec))
    given = random_input(spec, N_STEPS, seed)
    assert_same(oracle_xylo.run(again, given), oracle_xylo.run(spec, given))
    assert place_xylo(xylo_network(again)).same_as(again)


def refused(change: dict[str, Any]) -> Any:
    def make(path: Path) -> None:
        content = json.loads(path.read_text())
        content.update(change)
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    return make


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights_in": [[200]]}, "-128 to 127"),
        ({"weights_in": [[1.5]]}, "whole numbers"),
        ({"weights_in": [[1], [2, 3]]}, "different lengths"),
        ({"weights_in": [[1] * 7] * 17}, "1 to 16"),
        ({"weights_out": None}, "weights_out"),
        ({"threshold": [0] * 9}, "threshold"),
        ({"weight_shift_in": 8}, "0 to 7"),
        ({"aliases": [[99]]}, "aliases"),
        ({"dt": "soon"}, "dt"),
        ({"weights_inn": 3}, "did you mean weights_in"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    path = tmp_path / "x.json"
    write_xylo_specification(path, random_specification(2))
    refused(change)(path)
    with pytest.raises(FileError, match=text):
        read_xylo_specification(path)


def test_what_is_no_specification_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content in (b"[1, 2]", b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(FileError, match="x.json"):
            read_xylo_specification(path)
    with pytest.raises(FileError, match="nowhere"):
        read_xylo_specification(tmp_path / "nowhere.json")


def changed(network: Network, **parts: Any) -> Network:
    return network.replace(**{key: {**getattr(network, key), **value} for key, value in parts.items()})


def test_what_does_not_fit_is_refused() -> None:
    spec = random_specification(0)
    network = xylo_network(spec)
    into, hidden = network.projections["in"], network.populations["hidden"]

    def with_hidden(**parameters: Any) -> Network:
        other = hidden.replace(neuron=hidden.unit.replace(**parameters))
        return changed(network, populations={"hidden": other})

    delayed, heavy = into.replace(delay_ms=1.0), into.replace(weight_mv=2.0**20)
    cases = [
        (changed(network, projections={"in": delayed}), r"projections\.in\.delay_ms"),
        (changed(network, projections={"in": heavy}), r"projections\.in"),
        (with_hidden(refractory=1), "refractory"),
        (with_hidden(decay_v=16), "decay_v"),
        (with_hidden(v_init=5), "v_init"),
    ]  # fmt: skip
    for bad, text in cases:
        with pytest.raises(TargetError, match=text):
            place_xylo(bad)


def test_aliases_name_neurons() -> None:
    network = xylo_network(random_specification(1))
    hidden = network.populations["hidden"]
    wrong = hidden.replace(neuron=hidden.unit.replace(alias=hidden.n))
    with pytest.raises(ConfigError, match="alias"):
        Simulator(changed(network, populations={"hidden": wrong}), batch=1, dt_ms=1.0)


def test_layers_become_one_hidden_population() -> None:
    """input -> a -> b -> out: what runs as layers runs as a chip."""
    from snnsim import Population, Projection
    from snnsim.integer_neurons import RULES, IntegerLIF
    from snnsim.layers import Dense
    from snnsim.stimuli import Analogue

    rng = np.random.default_rng(0)
    rule = RULES["xylo"]
    sizes = {"x": 5, "a": 6, "b": 4, "y": 3}
    links = {"xa": ("x", "a", 0.0), "ab": ("a", "b", 1.0), "by": ("b", "y", 1.0)}
    network = Network(
        stimuli={"x": Analogue(n=5)},
        populations={
            name: Population(
                n=sizes[name],
                neuron=IntegerLIF(
                    rule=rule.replace(most=1 if name == "y" else 31), threshold=60, decay_u=2, decay_v=3
                ),
            )
            for name in "aby"
        },
        projections={
            name: Projection(
                source=s, target=t, weight_mv=2.0, delay_ms=delay,
                rule=Dense(weight=rng.integers(-40, 80, (sizes[t], sizes[s])).astype(float)),
            )
            for name, (s, t, delay) in links.items()
        },
        probes={name: Probe(target=name) for name in "aby"},
    )  # fmt: skip
    spec = place_xylo(network)
    assert spec.weights_rec.shape == (10, 10, 2)
    given = rng.integers(0, 3, (30, 5))
    sim = Simulator(network, batch=1, dt_ms=1.0)
    sim.present({"x": given[None].astype(float)})
    sim.run_steps(30)
    expected = oracle_xylo.run(spec, given)
    spikes = sim.result().counts
    assert spikes["y"][0].tolist() == expected["out"].sum(axis=0).tolist()
    assert [*spikes["a"][0], *spikes["b"][0]] == expected["spikes"].sum(axis=0).tolist()
    assert expected["out"].sum() > 0
