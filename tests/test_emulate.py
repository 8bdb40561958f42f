"""Emulation: what goes into the file, input in every form, overflows, and the command."""

import hashlib
import json

import h5py
import numpy as np
import pytest
from netx_examples import CUBA, dense, write_layers
from typer.testing import CliRunner

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.cli.main import app
from snnsim.errors import ConfigError, FileError, StorageError
from snnsim.hardware import formats
from snnsim.hardware.emulate import emulate
from snnsim.hardware.formats import Format, ReadOptions, read_hardware
from snnsim.hardware.loihi import read_netx
from snnsim.integer_neurons import RULES, IntegerLIF, SigmaDelta
from snnsim.layers import Conv, Dense, Into
from snnsim.stimuli import Analogue

FAST = CUBA | {"iDecay": 4096, "vDecay": 4096, "vThMant": 1}  # fires where its input is above 1


@pytest.fixture
def two_layers(tmp_path):
    """Neuron k of layer 0 relays input k, the one of layer 1 fires when both come."""
    return write_layers(tmp_path / "a.net", dense(np.eye(2) * 2, FAST), dense([[1, 1]], FAST))


def graded():
    """A map of sigma-delta neurons and, behind it, what adds them up."""
    weight = Conv(weight=np.full((1, 1, 1, 1), 2.0), height=2, width=3)
    return Network(
        stimuli={"x": Analogue(n=6)},
        populations={
            "in": Population(n=6, neuron=SigmaDelta(part="delta")),
            "map": Population(n=6, neuron=SigmaDelta(threshold=5)),
            "sum": Population(n=1, neuron=SigmaDelta(part="sigma")),
        },
        projections={
            "p0": Projection(
                source="x", target="in", rule=Into(n_source=6, n_target=6), weight_mv=1.0, delay_ms=0.0
            ),
            "p1": Projection(source="in", target="map", rule=weight, weight_mv=1.0, delay_ms=1.0),
            "p2": Projection(
                source="map", target="sum", rule=Dense(weight=np.ones((1, 6))), weight_mv=1.0, delay_ms=1.0
            ),
        },
    )


def test_the_file_has_spikes_currents_and_potentials_after_each_step(two_layers, tmp_path):
    given = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 0, 0]])
    found = emulate(read_netx(two_layers), given, record=("s", "u", "v"), output=tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert sorted(file["layers"]) == ["0", "1"]
        first, second = file["layers/0"], file["layers/1"]
        assert first.attrs["name"] == "dense0"
        assert first["s"][()].tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 1, 0]]
        assert first["u"][()].tolist() == [[0, 128, 0, 128, 0], [0, 0, 128, 128, 0]]
        assert not first["v"][()].any()  # it is reset in the step in which it fires
        assert second["s"][()].tolist() == [[0, 0, 0, 0, 1]]
        assert second["v"][()].tolist() == [[0, 0, 64, 64, 0]]
        assert {item.dtype.name for item in (first["s"], second["s"])} == {"int8"}
        raw = first["s"][()].astype("<i4").tobytes() + second["s"][()].astype("<i4").tobytes()
    assert found.spikes_sha256 == hashlib.sha256(raw).hexdigest()
    assert (found.n_spikes, found.n_spikes_by_layer) == (5, {0: 4, 1: 1})
    assert found.output_counts.tolist() == [1]


def test_what_is_named_twice_is_kept_once(two_layers, tmp_path):
    emulate(read_netx(two_layers), np.ones((2, 3)), record=("s", "s"), output=tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert list(file["layers/0"]) == ["s"]


@pytest.mark.parametrize("threads", [1, 2])
def test_samples_run_each_for_itself(two_layers, tmp_path, threads):
    given = np.random.default_rng(0).integers(0, 2, (5, 2, 30))
    network = read_netx(two_layers)
    together = emulate(network, given, record="s", output=tmp_path / "all.h5", threads=threads)
    alone = [emulate(network, one) for one in given]
    assert together.output_counts.tolist() == [one.output_counts.tolist() for one in alone]
    assert together.n_spikes == sum(one.n_spikes for one in alone)
    with h5py.File(tmp_path / "all.h5") as file:
        assert file["layers/0/s"].shape == (5, 2, 30)
        assert file["layers/1/s"][()].sum(axis=2).tolist() == together.output_counts.tolist()


def test_graded_messages_and_maps(tmp_path):
    given = np.arange(6).reshape(1, 2, 3, 1).repeat(4, axis=3)
    found = emulate(graded(), given, record=("s", "u", "v"), output=tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        s, u = file["layers/1/s"], file["layers/1/u"]
        assert s.shape == (1, 2, 3, 4)
        assert s[0, :, :, 1].tolist() == [[0, 0, 0], [6, 8, 10]]  # below 5
        assert u[0, :, :, 3].tolist() == [[0, 2, 4], [6, 8, 10]]
        assert file["layers/2/s"][()].tolist() == [[0, 0, 24, 24]]
    assert found.output_counts.tolist() == [48]
    flat = emulate(graded(), given.reshape(6, 4))
    assert flat.spikes_sha256 == found.spikes_sha256


@pytest.mark.parametrize(
    "given", [np.ones((3, 4)), np.ones(2), np.full((2, 3), 0.5), np.ones((2, 0)), np.array([["a", "b"]])]
)
def test_inputs_that_do_not_fit(two_layers, given):
    with pytest.raises(ConfigError, match=r"whole numbers \[2, steps\]"):
        emulate(read_netx(two_layers), given)


def test_other_networks_and_names_are_refused(two_layers, tmp_path):
    network = read_netx(two_layers)
    with pytest.raises(ConfigError, match="expected s, u, v"):
        emulate(network, np.ones((2, 3)), record=("w",), output=tmp_path / "o.h5")
    (tmp_path / "there.h5").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        emulate(network, np.ones((2, 3)), record="s", output=tmp_path / "there.h5")
    assert (tmp_path / "there.h5").read_text() == "mine"
    with pytest.raises(StorageError):
        emulate(network, np.ones((2, 3)), record="s", output=tmp_path / "nowhere" / "o.h5")
    from snnsim.layer_neurons import Readout

    other = {**network.populations, "dense1": Population(n=1, neuron=Readout())}
    with pytest.raises(ConfigError, match="not an integer network"):
        emulate(network.replace(populations=other), np.ones((2, 3)))


def test_nothing_is_left_of_an_emulation_that_fails(two_layers, tmp_path, monkeypatch):
    from snnsim.hardware import emulate as module

    def fails(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", fails)
    with pytest.raises(StorageError, match="no space"):
        emulate(read_netx(two_layers), np.ones((2, 3)), record="s", output=tmp_path / "o.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.net"]


def test_formats_are_found_by_suffix_or_manifest(two_layers, tmp_path, monkeypatch):
    network = read_netx(two_layers)
    folder = Format("a chip", lambda path, options: network, manifest="chip.json")
    monkeypatch.setattr(formats, "FORMATS", [*formats.FORMATS, folder])
    (tmp_path / "chip").mkdir()
    with pytest.raises(FileError, match="a folder with chip.json"):
        read_hardware(tmp_path / "chip")
    (tmp_path / "chip" / "chip.json").write_text("{}")
    assert read_hardware(tmp_path / "chip") is network
    with pytest.raises(ConfigError, match="no resets"):
        read_hardware(tmp_path / "chip", ReadOptions(reset_interval=3))
    with pytest.raises(FileError, match="no such file"):
        read_hardware(tmp_path / "none.net")
    assert read_hardware(two_layers, ReadOptions(7, 1)).populations["dense1"].neuron.reset_at == 2


# --- the command -------------------------------------------------------------------------------------------


def command(*arguments):
    result = CliRunner().invoke(app, ["emulate", *map(str, arguments)])
    return result, json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_command(two_layers, tmp_path):
    np.save(tmp_path / "in.npy", np.ones((2, 4), bool))
    given = tmp_path / "in.npy"
    result, told = command(two_layers, "--input", given, "--record", "s,v", "-o", tmp_path / "o.h5", "--json")
    assert result.exit_code == 0
    data = told["data"]
    assert (data["n_spikes"], data["output_counts"], data["n_steps"]) == (8, [2], 4)
    assert data["n_spikes_by_layer"] == {"0": 6, "1": 2}
    assert len(data["spikes_sha256"]) == 64
    with h5py.File(tmp_path / "o.h5") as file:
        assert sorted(file["layers/0"]) == ["s", "v"]
    result, text = command(two_layers, "--input", tmp_path / "in.npy")
    assert "8 spikes" in text
    assert "dense1" in text
    result, told = command(two_layers, "--input", tmp_path / "in.npy", "-o", tmp_path / "o.h5", "--json")
    assert (result.exit_code, told["error"]["code"]) == (7, "storage.failed")
    result, told = command(two_layers, "--input", tmp_path / "in.npy", "--record", "s,u", "--json")
    assert result.exit_code == 0
    assert "nothing without --output" in str(told["warnings"])


@pytest.mark.parametrize(
    ("array", "option", "code"),
    [
        (np.full((2, 4), 0.5), (), 4),
        (np.ones((3, 4)), (), 3),
        (None, (), 4),
        (np.ones((2, 4)), ("--record", "s,x"), 2),
    ],
)
def test_command_with_wrong_arguments(two_layers, tmp_path, array, option, code):
    if array is not None:
        np.save(tmp_path / "in.npy", array)
    result, told = command(two_layers, "--input", tmp_path / "in.npy", *option, "--json")
    assert result.exit_code == code
    assert told["ok"] is False


def test_strict_names_every_overflow(tmp_path):
    path = write_layers(tmp_path / "a.net", dense([[254], [2]], CUBA | {"vDecay": 0, "vThMant": 2**17 - 1}))
    np.save(tmp_path / "in.npy", np.full((1, 5), 1000))  # 254 000 of 2^6 is twice what u holds
    result, told = command(path, "--input", tmp_path / "in.npy", "--strict", "--json")
    assert result.exit_code == 6
    assert told["error"]["code"] == "emulate.overflow"
    assert {(one["layer"], one["neuron"], one["sample"]) for one in told["data"]["overflows"]} == {(0, 0, 0)}
    assert told["data"]["overflows"][0] == {
        "sample": 0,
        "layer": 0,
        "neuron": 0,
        "step": 1,
        "cause": "current",
    }
    assert told["data"]["n_overflows"] == len(told["data"]["overflows"]) >= 4
    assert "layer 0 (dense0), neuron 0, step 1, sample 0: current" in told["error"]["where"]
    result, told = command(path, "--input", tmp_path / "in.npy", "--json")
    assert result.exit_code == 0
    assert "left their range" in told["warnings"][0]


def test_several_spikes_in_a_step_are_counted():
    unit = IntegerLIF(rule=RULES["xylo"], threshold=3, decay_u=3, decay_v=3)
    network = Network(
        stimuli={"x": Analogue(n=1)},
        populations={"a": Population(n=1, neuron=unit)},
        projections={
            "p0": Projection(
                source="x", target="a", rule=Dense(weight=np.ones((1, 1))), weight_mv=1.0, delay_ms=1.0
            )
        },
    )
    found = emulate(network, np.array([[10, 0, 0]]))
    assert found.n_spikes == 2
    assert found.output_counts[0] == 5  # 10 less an eighth is 9, and 8 follow: three and two spikes


def test_a_probe_of_what_is_sent_beside_one_of_spikes():
    probes = {
        "sent": Probe(target="map", variable="s", ids=[3, 5]),
        "map": Probe(target="map", ids=[4]),
        "value": Probe(target="sum", variable="u"),
    }
    sim = Simulator(graded().replace(probes=probes), batch=2, dt_ms=1.0)
    sim.present({"x": np.stack([np.arange(6.0), np.zeros(6)])}, repeat=3)
    sim.run_steps(2)
    sim.run_steps(2)
    assert sim.samples("sent")[1][:, 0].tolist() == [[0, 0], [6, 10], [0, 0], [0, 0]]
    assert not sim.samples("sent")[1][:, 1].any()
    assert [part.tolist() for part in sim.spikes("map")] == [[1], [4]]
    assert sim.samples("value")[1][:, 0, 0].tolist() == [0, 0, 0, 24]
