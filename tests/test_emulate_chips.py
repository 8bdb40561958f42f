"""`snnsim emulate` on the files of Xylo, RANC and tinyODIN: what the chips' own readers and kernels give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import oracle_xylo
import ranc_examples
import xylo_examples
from typer.testing import CliRunner

from snnsim import Network, Population, Projection
from snnsim.cli.main import app
from snnsim.hardware.ranc import write_ranc
from snnsim.hardware.ranc_network import read_ranc
from snnsim.hardware.ranc_place import place_ranc
from snnsim.hardware.tinyodin import TinyOdinCore, write_tinyodin
from snnsim.hardware.tinyodin_place import RULE, place_tinyodin
from snnsim.hardware.xylo import write_xylo_specification
from snnsim.integer_neurons import IntegerLIF
from snnsim.layers import Dense
from snnsim.stimuli import Analogue


def emulated(path: Path, given: np.ndarray, folder: Path, record: str = "s,v") -> tuple[Any, h5py.File]:
    """`given` is [T, n]."""
    np.save(folder / "in.npy", given.T)
    options = ["--record", record, "-o", folder / "o.h5", "--json"]
    words = ["emulate", path, "--input", folder / "in.npy", *options]
    result = CliRunner().invoke(app, [str(word) for word in words])
    return json.loads(result.stdout), h5py.File(folder / "o.h5") if result.exit_code == 0 else None


def test_xylo(tmp_path: Path) -> None:
    spec = xylo_examples.random_specification(3)
    given = xylo_examples.random_input(spec, 40, 3)
    write_xylo_specification(tmp_path / "xylo.json", spec)
    answer, file = emulated(tmp_path / "xylo.json", given, tmp_path, "s,u,v")
    expected = oracle_xylo.run(spec, given)
    with file:
        assert np.array_equal(file["layers/0/s"][:].T, expected["spikes"])
        assert np.array_equal(file["layers/0/v"][:].T, expected["v_mem"])
    assert answer["data"]["n_spikes_by_layer"]["0"] == int(np.count_nonzero(expected["spikes"])) > 0


def test_ranc(tmp_path: Path) -> None:
    network = ranc_examples.random_network(1)
    given = ranc_examples.random_given(network, 40, 1)
    write_ranc(tmp_path / "ranc", place_ranc(network))
    again = read_ranc(tmp_path / "ranc")
    answer, file = emulated(tmp_path / "ranc", given, tmp_path)
    with file:
        last = file[f"layers/{len(again.populations) - 1}"]
        expected = ranc_examples.run_network(network, {"x": given}, "c")
        assert np.array_equal(last["s"][:].T, expected)  # a tick is a step here as there
        assert (list(last), last.attrs["name"]) == (["s"], "output")
        assert "v" in file["layers/0"]
    assert answer["data"]["output_counts"] == expected.sum(axis=0).tolist()
    assert expected.any()


def test_tinyodin(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-4, 8, (20, 10)).astype(float)
    network = Network(
        stimuli={"x": Analogue(n=10)},
        populations={"y": Population(n=20, neuron=IntegerLIF(rule=RULE, threshold=9, decay_v=1))},
        projections={
            "w": Projection(source="x", target="y", rule=Dense(weight=weight), weight_mv=1.0, delay_ms=0.0)
        },
    )
    given = (rng.random((50, 10)) < 0.3).astype(int)
    write_tinyodin(tmp_path / "chip", place_tinyodin(network))
    answer, file = emulated(tmp_path / "chip", given, tmp_path)
    core = TinyOdinCore(place_tinyodin(network))
    with file:
        assert np.array_equal(file["layers/0/s"][:].T, core.run({"x": given})["y"])
        assert np.array_equal(file["layers/0/v"][:, -1], core.potential[:20])
        assert file["layers/0"].attrs["neuron"] == "tinyodin"
    assert answer["data"]["output_counts"] == core_counts(network, given)


def core_counts(network: Network, given: np.ndarray) -> list[int]:
    return TinyOdinCore(place_tinyodin(network)).run({"x": given})["y"].sum(axis=0).tolist()


def test_tinyodin_has_no_currents(tmp_path: Path) -> None:
    network = Network(
        stimuli={"x": Analogue(n=1)},
        populations={"y": Population(n=1, neuron=IntegerLIF(rule=RULE, threshold=9))},
        projections={
            "w": Projection(
                source="x", target="y", rule=Dense(weight=np.ones((1, 1))), weight_mv=1.0, delay_ms=0.0
            )
        },
    )
    write_tinyodin(tmp_path / "chip", place_tinyodin(network))
    answer, _ = emulated(tmp_path / "chip", np.ones((3, 1), int), tmp_path, "s,u")
    assert (answer["error"]["where"], answer["error"]["expected"]) == ("record", "s, v")
    assert not (tmp_path / "o.h5").exists()
