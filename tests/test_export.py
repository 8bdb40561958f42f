"""Exported folders: what is in them, that they are whole or not there, and that every change is found."""

import json

import numpy as np
import pytest
from test_quantise import IF_ZERO, LEAKY, N_STEPS, exact_network, spiking
from typer.testing import CliRunner

from snnsim.cli.main import app
from snnsim.errors import FileError, StorageError, TargetError
from snnsim.hardware.export import export, plan
from snnsim.hardware.formats import read_hardware
from snnsim.hardware.golden import again, golden_of
from snnsim.hardware.quantise import quantise, quantise_exact
from snnsim.hardware.verify_export import verify_export
from snnsim.layer_neurons import BurstIF
from snnsim.networkfile import write_network


def made(target="loihi2", hidden=LEAKY, bits=8):
    network, frames = spiking(hidden)
    return quantise(network, target, frames, n_steps=N_STEPS, bits=bits, search=False), frames


def cli(*args):
    answer = CliRunner().invoke(app, [str(arg) for arg in args])
    return answer.exit_code, json.loads(answer.stdout)


def test_a_folder_is_whole_and_holds(tmp_path):
    found, frames = made()
    done = export(found, tmp_path / "out", frames, n_golden=4, report=True)
    names = {str(path.relative_to(done.folder)) for path in done.folder.rglob("*") if path.is_file()}
    assert names == {*done.facts["files"], "manifest.json"}
    assert {"network.h5", "network.net", "report.html", "golden/spikes_0.npy"} <= names
    assert done.facts["cores"] == done.facts["lower_bound"] == 1
    assert done.facts["violations"] == []
    assert done.golden.inputs["input"].shape == (4, 12, N_STEPS)
    assert verify_export(done.folder).holds
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_file_read_again_is_the_network(tmp_path):
    found, frames = made(hidden=IF_ZERO, bits=4)
    done = export(found, tmp_path / "out", frames, n_golden=8)
    other = again(read_hardware(done.folder / "network.net"), done.golden)
    assert other.state_sha256 == done.golden.state_sha256
    assert np.array_equal(other.spikes[list(other.spikes)[0]], done.golden.spikes["hidden"])
    assert done.golden.spikes["hidden"].any()


def test_nothing_is_written_over(tmp_path):
    found, frames = made()
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="exists already"):
        export(found, tmp_path / "out", frames)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_does_not_fit_is_not_written(tmp_path):
    found, frames = made()
    hidden = found.network.populations["hidden"]
    bad = hidden.replace(neuron=hidden.unit.replace(threshold=64.0 * 10 + 1, refractory=99))
    broken = found.network.replace(populations={**found.network.populations, "hidden": bad})
    wrong = type(found)(**{**vars(found), "network": broken})
    assert {v.limit for v in plan(wrong, frames).violations} == {"threshold.multiple", "refractory.most"}
    with pytest.raises(TargetError, match=r"2 violations(.|\n)*hidden"):
        export(wrong, tmp_path / "out", frames)
    assert list(tmp_path.iterdir()) == []


_FILES = ("network.h5", "network.net", "golden/spikes_0.npy", "golden/input_input.npy")


@pytest.mark.parametrize("name", _FILES)
def test_every_change_is_found(tmp_path, name):
    found, frames = made()
    export(found, tmp_path / "out", frames, n_golden=2)
    path = tmp_path / "out" / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    try:
        checks = {check.name: check for check in verify_export(tmp_path / "out").checks}
    except FileError:
        return
    assert checks["files"].holds is False
    assert f"{name} has changed" in checks["files"].problems


def test_golden_vectors_find_what_checksums_cannot(tmp_path):
    """Somebody changes an expected spike and its checksum: the simulation differs, and says where."""
    from snnsim.hashing import sha256_of_file

    found, frames = made()
    done = export(found, tmp_path / "out", frames, n_golden=2)
    path = done.folder / "golden" / "spikes_0.npy"
    spikes = np.load(path)
    spikes[1, 3, 5] += 1
    np.save(path, spikes)
    manifest = json.loads((done.folder / "manifest.json").read_text())
    manifest["files"]["golden/spikes_0.npy"] = sha256_of_file(path)
    (done.folder / "manifest.json").write_text(json.dumps(manifest))
    checks = {check.name: check for check in verify_export(done.folder).checks}
    assert checks["files"].holds
    assert "sample 1, neuron 3, step 5" in checks["golden"].problems[0]
    (done.folder / "more").write_text("x")
    assert "more was not written by the export" in verify_export(done.folder).checks[0].problems


def test_folders_that_are_none(tmp_path):
    with pytest.raises(FileError, match="not an exported folder"):
        verify_export(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(FileError, match="not the manifest of an export"):
        verify_export(tmp_path)


def test_exact_networks_take_their_constants_along(tmp_path):
    inputs = np.random.default_rng(0).integers(0, 2, (6, 6))
    found = quantise_exact(exact_network(3), "generic-int8", inputs)
    done = export(found, tmp_path / "out", inputs, n_golden=6)
    assert done.facts["exactness"]["holds"]
    assert len(done.golden.inputs) == 2
    assert verify_export(done.folder).holds


def test_golden_vectors_are_those_of_the_simulator():
    found, frames = made()
    golden = golden_of(found.network, found.inputs(frames[:3]), N_STEPS)
    assert np.array_equal(golden.spikes["hidden"].sum(axis=2), found.run(frames[:3]).totals["hidden"])


def test_the_command(tmp_path):
    network, frames = spiking(LEAKY)
    write_network(tmp_path / "net.h5", network)
    np.save(tmp_path / "x.npy", frames)
    given = ["export", tmp_path / "net.h5", "--target", "loihi2", "--calibrate", tmp_path / "x.npy", "--json"]
    code, dry = cli(*given, "--dry-run", "--explain")
    assert (code, dry["data"]["cores"], dry["data"]["violations"]) == (0, 1, [])
    assert not (tmp_path / "out").exists()
    assert {"lower_bound", "utilisation", "spike_hops", "files"} <= set(dry["data"])
    assert any(row["limit"] == "threshold.most" for row in dry["data"]["limits"])
    code, done = cli(*given, "-o", tmp_path / "out", "--bits", "4")
    assert code == 0
    assert done["data"]["bits"] == 4
    assert [name for name in done["data"]["files"] if name.endswith(".net")]
    code, found = cli("verify", tmp_path / "out", "--json")
    assert (code, found["data"]["holds"]) == (0, True)
    (tmp_path / "out" / "network.net").unlink()
    code, found = cli("verify", tmp_path / "out", "--json")
    assert (code, found["error"]["code"]) == (8, "verify.files")
    assert cli(*given, "-o", tmp_path / "out")[0] == 2


def test_the_command_refuses_with_a_way_out(tmp_path):
    network, frames = spiking(BurstIF(v_th_mv=1.0))
    write_network(tmp_path / "net.h5", network)
    np.save(tmp_path / "x.npy", frames)
    given = ["export", tmp_path / "net.h5", "--calibrate", tmp_path / "x.npy", "--json", "--dry-run"]
    code, answer = cli(*given, "--target", "loihi2")
    assert (code, answer["error"]["code"]) == (5, "target.no_reset")
    assert "--hard-reset" in answer["error"]["fix"]
    assert cli(*given, "--target", "loihi2", "--hard-reset")[0] == 0
    assert cli(*given, "--target", "loihi3")[1]["error"]["code"] == "target.unknown"
    assert cli("export", tmp_path / "net.h5", "--target", "loihi2", "--json", "--dry-run")[0] == 3
