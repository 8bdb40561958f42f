"""Files for SANA-FE: what they say, what is refused, and, where sanafe is there, its energy beside ours."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmark_files import load
from chip_networks import dense, image_network, lif, link, scattered, spikes

from snnsim import Network, Population, TargetError
from snnsim.errors import ConfigError
from snnsim.hardware.mapping import Mapping, consecutive
from snnsim.hardware.sanafe_file import write_sanafe
from snnsim.integer_neurons import RULES
from snnsim.layer_neurons import Readout
from snnsim.stimuli import Analogue

HERE = Path(__file__).resolve().parent


def one_layer(neuron: Any, delay: int = 1, n: int = 4) -> Network:
    return Network(
        stimuli={"in": Analogue(n=3)}, populations={"a": Population(n=n, neuron=neuron)},
        projections={"p": link("in", "a", dense(np.random.default_rng(0), 3, n), delay)},
    )  # fmt: skip


def write(tmp_path: Path, network: Network, mapping: Mapping | None = None) -> bool:
    train = {"in": np.array([[1, 0, 1], [0, 0, 1]])}
    return write_sanafe(tmp_path / "n.yaml", network, mapping or consecutive(network), train)


def test_the_file_says_the_network(tmp_path: Path) -> None:
    network = one_layer(lif(threshold=np.array([640, 640, 1280, 1280]), refractory=2))
    mapping = Mapping(
        {"in": np.array([0, 0, 1]), "a": np.array([1, 2, 3, 3])}, np.array([(0, 0), (0, 1), (0, 1), (7, 3)])
    )
    assert write(tmp_path, network, mapping)
    text = (tmp_path / "n.yaml").read_text()
    for line in (
        "        - 0: {spikes: [1, 0]}",
        "        - 0..1: {threshold: 10, bias: 0, leak_decay: 0.90234375, input_decay: 0, reset: 0,"
        " potential: 0, refractory_delay: 3, reset_mode: hard}",
        '  - n_in.1: {core: 0.0, soma: "loihi_inputs[1]"}',
        '  - n_in.2: {core: 1.0, soma: "loihi_inputs[0]"}',
        '  - n_a.1: {core: 1.1, soma: "loihi_lif", synapse: loihi_dense_synapse}',
        '  - n_a.3: {core: 31.0, soma: "loihi_lif", synapse: loihi_dense_synapse}',
    ):
        assert line in text.splitlines(), line
    weight = network.projections["p"].rule.weight  # type: ignore[attr-defined]
    assert f"    - n_in.2 -> n_a.1: {{weight: {int(weight[1, 2])}}}" in text.splitlines()


def test_rounding_of_currents_is_told(tmp_path: Path) -> None:
    assert write(tmp_path, one_layer(lif(decay_u=0)))
    assert not write(tmp_path, one_layer(lif(decay_u=100)))


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (Readout(), r"populations\.a\.neuron: .*got 'readout', expected integer_lif"),
        (lif(rule=RULES["xylo"], decay_u=2, decay_v=3), r"neuron\.rule\.decay: .*got 'shift'"),
        (lif(decay_u=100, refractory=1), r"neuron\.refractory: "),
        (lif(v_init=5), r"neuron\.v_init: "),
        (lif(u_init=5), r"neuron\.u_init: "),
        (lif(decay_u2=3, rule=RULES["loihi2"]), r"neuron\.decay_u2: "),
    ],
)
def test_neurons_that_it_does_not_have(tmp_path: Path, neuron: Any, message: str) -> None:
    network = one_layer(neuron)
    with pytest.raises(TargetError, match=message):
        write(tmp_path, network)
    assert not (tmp_path / "n.yaml").exists()


def test_what_the_chip_or_the_format_does_not_have(tmp_path: Path) -> None:
    network, ids = one_layer(lif()), {"in": np.zeros(3, int), "a": np.zeros(4, int)}
    with pytest.raises(TargetError, match=r"projections\.p\.delay_ms: .*got 2, expected 1"):
        write(tmp_path, one_layer(lif(), delay=2))
    with pytest.raises(TargetError, match=r"core 0: outside of the mesh.*\(8, 0\)"):
        write(tmp_path, network, Mapping(ids, np.array([(8, 0)])))
    with pytest.raises(TargetError, match=r"tile \(1, 2\): more cores than a tile.*at most 4"):
        write(tmp_path, network, Mapping(ids, np.array([(1, 2)] * 5)))
    full = one_layer(lif(), n=1021)
    assert write(tmp_path, full, consecutive(full, 1021))
    ids = {"in": np.zeros(3, int), "a": np.zeros(1021, int)}
    assert write(tmp_path, full, Mapping(ids | {"a": np.r_[1, np.zeros(1020, int)]}, np.zeros((2, 2), int)))
    over = one_layer(lif(), n=1022)
    with pytest.raises(TargetError, match=r"core 0: more neurons.*got 1025, expected at most 1024"):
        write(tmp_path, over, Mapping(ids | {"a": np.zeros(1022, int)}, np.zeros((1, 2), int)))
    with pytest.raises(TargetError, match=r"inputs\.in: .*got 2\.0"):
        write_sanafe(tmp_path / "n.yaml", network, consecutive(network), {"in": np.full((2, 3), 2)})
    with pytest.raises(ConfigError, match=r"inputs\.in: an input needs its spikes"):
        write_sanafe(tmp_path / "n.yaml", network, consecutive(network), {})
    two = image_network()
    with pytest.raises(TargetError, match=r"projections\.loop\.delay_ms|populations\.maps: SANA-FE stores"):
        write_sanafe(tmp_path / "n.yaml", two, scattered(two, 4), {"pixels": spikes(1, 3, 72)[0]})


def test_inputs_without_a_place_go_to_free_cores(tmp_path: Path) -> None:
    network = one_layer(lif())
    every = np.array([(x, y) for x in range(8) for y in range(4) for _ in range(4)])
    full = Mapping({"a": np.zeros(4, int)}, every)
    with pytest.raises(TargetError, match=r"stimuli\.in: too few free cores for inputs; got 0, expected 1"):
        write(tmp_path, network, full)
    assert write(tmp_path, network, Mapping({"a": np.zeros(4, int)}, np.delete(every, 5, axis=0)))
    assert '  - n_in.2: {core: 1.3, soma: "loihi_inputs[2]"}' in (tmp_path / "n.yaml").read_text()


@pytest.fixture(scope="module")
def benchmark_file() -> ModuleType:
    return load("energy_sanafe")


@pytest.mark.peer
@pytest.mark.skipif(importlib.util.find_spec("sanafe") is None, reason="not installed: sanafe")
def test_energy_of_sanafe_with_the_same_constants(benchmark_file: ModuleType, tmp_path: Path) -> None:
    cases = benchmark_file.cases()
    chosen = (
        "three layers, scattered", "convolution and pool", "loop, bias and refractoriness", "slow currents",
    )  # fmt: skip
    for name in chosen:
        case = cases[name]  # the others are in the benchmark: SANA-FE takes seconds to begin
        row = benchmark_file.compare(case, sys.executable, tmp_path, "simple")
        assert abs(row["difference_percent"]) < (1e-2 if row["same_rule"] else 1.0), name
        for group, both in row["groups"].items():
            assert both["snnsim"] == pytest.approx(both["sanafe"], rel=0.01, abs=1e-15), (name, group)
        if row["same_rule"]:
            assert row["spikes"]["snnsim"] == row["spikes"]["sanafe"], name
            assert row["messages"]["snnsim"] == row["messages"]["sanafe"], name
            assert row["step_s"]["snnsim lower"] == pytest.approx(row["step_s"]["sanafe simple"], rel=1e-9)
