"""The commands on a real network: run, stop, resume, look at what is left."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_cli_output import invoke, one_object
from typer.testing import CliRunner

from snnsim.checkpoint import read_checkpoint
from snnsim.cli.main import app

SNNSIM = str(Path(sys.executable).parent / "snnsim")

NETWORK = """\
schema = 1
[run]
duration_ms = 40.0
dt_ms = 0.1
seed = 5
[populations.exc]
n = 60
[populations.exc.neuron]
kind = "lif"
tau_m_ms = 20.0
v_rest_mv = -49.0
v_th_mv = -50.0
v_reset_mv = -60.0
t_ref_ms = 2.0
v_init_mv = { kind = "uniform", low = -60.0, high = -50.0 }
synapse = { kind = "exponential", tau_exc_ms = 5.0, tau_inh_ms = 10.0 }
[stimuli.noise]
kind = "poisson"
n = 20
rate_hz = 50.0
[projections.noise_exc]
source = "noise"
target = "exc"
rule = { kind = "fixed_in_degree", n = 5 }
weight_pa = 30.0
delay_ms = 1.5
plasticity = { kind = "stdp", tau_plus_ms = 20, tau_minus_ms = 20, a_plus = 0.01, a_minus = 0.01, w_max = 60 }
[projections.exc_exc]
source = "exc"
target = "exc"
rule = { kind = "pairwise_bernoulli", p = 0.1 }
weight_pa = 10.0
delay_ms = 0.5
[probes.spikes]
target = "exc"
[probes.input]
target = "noise"
[probes.v]
target = "exc"
variable = "v_mv"
ids = [0, 3]
every_ms = 0.5
"""

LONG = ["--duration-ms", "120000"]  # some seconds of wall time: long enough to be stopped within


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Config, and one finished run of it."""
    here = tmp_path_factory.mktemp("cli")
    (here / "net.toml").write_text(NETWORK)
    result = CliRunner().invoke(app, ["run", str(here / "net.toml"), "--out", str(here / "run"), "--json"])
    assert result.exit_code == 0, result.output
    (here / "answer.json").write_text(result.stdout)
    return here


def answer_of(*args, code=0):
    result = invoke(*args, "--json")
    assert result.exit_code == code, result.output
    found = one_object(result.stdout)
    assert found["ok"] == (code == 0)
    return found


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# --- run -------------------------------------------------------------------------------------------------


def test_a_run_leaves_everything_in_its_directory(folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        *("config.toml", "resolved.toml", "manifest.json", "log.jsonl", "result.json", "report.html"),
        *("spikes.h5", "state.h5", "weights.h5", "checkpoints", "raster.png", "vm.png", "weights.png"),
    }
    assert (folder / "run" / "config.toml").read_text() == NETWORK
    assert json.loads((folder / "run" / "manifest.json").read_text())["status"] == "finished"
    assert (folder / "run" / "raster.png").read_bytes()[:4] == b"\x89PNG"


def test_the_answer_of_a_run(folder):
    data = one_object((folder / "answer.json").read_text())["data"]
    assert data == json.loads((folder / "run" / "result.json").read_text())
    assert (data["status"], data["n_neurons"], data["n_steps"], data["seed"]) == ("finished", 60, 400, 5)
    assert data["n_synapses"] > 300
    assert set(data["spikes"]) == set(data["rates_hz"]) == {"exc", "noise"}
    assert data["spikes"]["noise"] > 0
    assert data["rates_hz"]["exc"] == pytest.approx(data["spikes"]["exc"] / 60 / 0.04)
    assert data["rtf"] == pytest.approx(data["sim_s"] / 0.04)
    assert len(data["spikes_sha256"]) == 64
    assert data["wall_s"] >= data["sim_s"] > 0


def test_threads_change_nothing_and_seeds_do(folder, tmp_path):
    first = json.loads((folder / "run" / "result.json").read_text())["spikes_sha256"]
    config = folder / "net.toml"
    same = answer_of("run", config, "--threads", 1, "--out", tmp_path / "a")
    other = answer_of("run", config, "--seed", 6, "--out", tmp_path / "b")
    assert same["data"]["spikes_sha256"] == first
    assert (other["data"]["seed"], other["data"]["spikes_sha256"] == first) == (6, False)


def test_talk_and_data_are_kept_apart(folder, tmp_path):
    loud = invoke("run", folder / "net.toml", "--out", tmp_path / "a", "--set", "populations.exc.n=61")
    assert loud.exit_code == 0
    assert loud.stdout.startswith(f"{tmp_path / 'a'}\nmean rates in spikes/s: exc ")
    assert "net: 61 neurons, about " in loud.stderr
    assert f"next: open {tmp_path / 'a' / 'report.html'}, or snnsim plot" in loud.stderr
    assert invoke("run", folder / "net.toml", "--out", tmp_path / "b", "--quiet").stderr == ""


def test_dry_run_writes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = tree(folder)
    result = invoke("run", folder / "net.toml", "--dry-run", "--out", tmp_path / "x")
    data = answer_of("run", folder / "net.toml", "--dry-run", "--duration-ms", 80)["data"]
    assert "nothing was written" in result.stdout
    assert tree(folder) == before
    assert list(tmp_path.iterdir()) == []
    assert (data["n_neurons"], data["n_steps"], data["duration_ms"]) == (60, 800, 80.0)
    assert data["n_synapses"] == 300 + 360
    assert data["total_bytes"] > 0
    made = {path.name for path in (folder / "run").iterdir()}
    assert {name.rstrip("/") for name in data["files"]} == made


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["run", "missing.toml"], 4, "no such file"),
        (["run", "."], 4, "not a file"),
        (["run", "bad.toml"], 3, "bad.toml:3"),
        (["run", "net.toml", "--set", "run.sed=1"], 3, "did you mean seed?"),
        (["run", "net.toml", "--set", "nonsense"], 3, "--set"),
        (["run", "net.toml", "--duration-ms", "0.05"], 3, "multiple of dt"),
        (["run", "net.toml", "--duration-ms", "nan"], 3, "not a finite number"),
        (["run", "net.toml", "--set", "projections.exc_exc.delay_ms=0.33"], 3, "delay_ms"),
        (["run", "net.toml", "--set", "populations.exc.n=2000000000"], 3, "memory"),
        (["run", "net.toml", "--out", "run"], 7, "snnsim resume"),
        (["run", "net.toml", "--out", "net.toml"], 7, "a file has this name"),
        (["run", "net.toml", "--out", "net.toml/x"], 7, "net.toml/x"),
        (["run", "huge.toml"], 6, "no longer finite"),
        (["resume", "missing"], 4, "no such run directory"),
        (["resume", "net.toml"], 4, "not a folder"),
        (["resume", "."], 4, "manifest.json"),
        (["report", "missing"], 4, "no such run directory"),
        (["inspect", "missing.toml"], 4, "no such file"),
        (["inspect", "missing.h5"], 4, "no such file"),
        (["inspect", "text.h5"], 4, "not a file that snnsim knows"),
        (["validate", "net.toml", "bad.toml"], 3, "bad.toml:3"),
        (["validate", "text.h5"], 4, "not a file that snnsim knows"),
        (["plot", "run", "raster", "--population", "ecx"], 2, "did you mean exc?"),
        (["plot", "run", "raster", "-o", "x.gif"], 2, ".png, .svg or .pdf"),
        (["plot", "run", "raster", "--from-ms", "9", "--to-ms", "3"], 2, "an empty window"),
        (["plot", "run", "weights", "--projection", "exc_exc"], 2, "noise_exc"),
        (["plot", "run", "vm", "-o", "none/x.png"], 7, "none"),
    ],
)
def test_bad_input_has_its_exit_code_and_no_traceback(folder, monkeypatch, args, code, text):
    monkeypatch.chdir(folder)
    (folder / "bad.toml").write_text(
        "schema = 1\n[run]\nduration_ms = -1.0\n" + NETWORK.partition("seed = 5\n")[2]
    )
    (folder / "text.h5").write_text("no HDF5")
    huge = NETWORK.replace("weight_pa = 30.0", "weight_pa = 1e308").replace("w_max = 60 ", "w_max = 1.5e308 ")
    (folder / "huge.toml").write_text(huge.replace("rate_hz = 50.0", "rate_hz = 5000.0"))
    before = tree(folder) if code != 6 else None
    result = invoke(*args)
    assert result.exit_code == code, result.output
    assert "error: " in result.stderr
    assert text in result.stderr
    found = answer_of(*args, code=code)
    assert found["error"]["message"]
    if before is not None:
        assert tree(folder) == before


def test_a_failed_run_says_so_in_its_manifest(folder, tmp_path):
    huge = NETWORK.replace("weight_pa = 30.0", "weight_pa = 1e308").replace("w_max = 60 ", "w_max = 1.5e308 ")
    (tmp_path / "huge.toml").write_text(huge.replace("rate_hz = 50.0", "rate_hz = 5000.0"))
    assert invoke("run", tmp_path / "huge.toml", "--out", tmp_path / "run").exit_code == 6
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], manifest["exit_status"]) == ("failed", 6)
    assert not (tmp_path / "run" / "LOCK").exists()


# --- stopping and going on -------------------------------------------------------------------------------


def start(*args):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([SNNSIM, *map(str, args)], text=True, **pipes)


def wait_for(path, text, n=1):
    """Until the run has come so far."""
    for _ in range(1200):
        if path.exists() and path.read_text().count(text) >= n:
            time.sleep(0.25)
            return
        time.sleep(0.05)
    raise TimeoutError(f"{text} did not appear in {path}")


def final_state(run):
    newest = sorted((run / "checkpoints").glob("step_*.h5"))[-1]
    return read_checkpoint(newest)[0]


def test_stopped_twice_and_killed_a_run_ends_as_if_it_had_not_been(folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = answer_of("run", folder / "net.toml", *LONG, "--out", whole, "--quiet")["data"]

    process = start("run", folder / "net.toml", *LONG, "--out", parts, "--checkpoint-every", "0.2")
    wait_for(parts / "log.jsonl", '"started"')
    process.kill()
    process.communicate(timeout=60)
    for file in (parts / "checkpoints").glob("*"):
        file.unlink()  # as if it had been killed before the first checkpoint: it begins again

    process = start("resume", parts)
    wait_for(parts / "checkpoints" / "latest.json", "step")
    process.kill()
    process.communicate(timeout=60)

    process = start("resume", parts, "--json")
    wait_for(parts / "log.jsonl", '"resumed"', 2)
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.perf_counter() - began < 5.0
    stopped = one_object(out)
    assert stopped["error"]["code"] == "run.interrupted"
    assert stopped["error"]["fix"] == f"snnsim resume {parts}"
    assert 0 < stopped["data"]["step"] < stopped["data"]["n_steps"]
    assert "SIGINT: stopping after a checkpoint" in err
    assert "Traceback" not in err
    assert json.loads((parts / "manifest.json").read_text())["status"] == "interrupted"
    assert invoke("plot", parts, "raster").exit_code == 0
    assert invoke("report", parts).exit_code == 4

    process = start("resume", parts, "--threads", "1")
    wait_for(parts / "log.jsonl", '"resumed"', 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143

    found = answer_of("resume", parts, "--quiet")["data"]
    for key in ("spikes", "rates_hz", "spikes_sha256", "step", "n_steps"):
        assert found[key] == expected[key]
    mine, theirs = final_state(parts), final_state(whole)
    assert list(mine) == list(theirs)
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    again = invoke("resume", parts)
    assert again.exit_code == 0
    assert again.stdout.startswith("this run is finished; nothing to do\n")


def test_two_processes_do_not_work_in_one_run(folder, tmp_path):
    process = start("run", folder / "net.toml", *LONG, "--out", tmp_path / "run", "--quiet")
    wait_for(tmp_path / "run" / "log.jsonl", '"started"')
    second = invoke("resume", tmp_path / "run")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert second.exit_code == 7
    assert "another process works here" in second.stderr


# --- looking at what is there ----------------------------------------------------------------------------


def test_validate_knows_all_files_of_a_run(folder):
    run = folder / "run"
    files = [folder / "net.toml", run, run / "spikes.h5", run / "state.h5", run / "weights.h5"]
    files += sorted((run / "checkpoints").glob("*.h5"))
    data = answer_of("validate", *files)["data"]["files"]
    kinds = ["config", "run", "spikes", "state", "weights", "checkpoint"]
    assert [entry["kind"] for entry in data] == kinds
    text = invoke("validate", *files).stdout.splitlines()
    assert text == [f"{file}: {kind}, ok" for file, kind in zip(files, kinds, strict=True)]


def test_validate_sees_that_a_recording_was_changed(folder, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(folder / "run", copy)
    assert invoke("report", copy).exit_code == 0
    assert invoke("validate", copy).exit_code == 0
    with (copy / "spikes.h5").open("ab") as stream:
        stream.write(b"\0")
    assert "spikes.h5 has changed" in invoke("validate", copy).stderr


def test_inspect(folder):
    for path in (folder / "net.toml", folder / "run"):
        text = invoke("inspect", path).stdout
        assert "fixed_in_degree" in text
        data = answer_of("inspect", path)["data"]
        assert data["populations"]["exc"] == {"n": 60, "neuron": "lif", "synapse": "exponential"}
        assert data["projections"]["noise_exc"]["n_synapses"] == 300
        assert data["projections"]["noise_exc"]["plasticity"] == "stdp"
    assert data["run"]["status"] == "finished"
    spikes = answer_of("inspect", folder / "run" / "spikes.h5")["data"]["populations"]
    assert {name: entry["spikes"] for name, entry in spikes.items()} == data["spikes"]
    assert "units seen" in invoke("inspect", folder / "run" / "spikes.h5").stdout
    assert "weights" in invoke("inspect", folder / "run" / "weights.h5").stdout


@pytest.mark.parametrize(
    ("args", "start"),
    [
        (["raster", "-o", "{}/a.png"], b"\x89PNG"),
        (["raster", "-o", "{}/b.svg", "--from-ms", "10", "--to-ms", "20", "--population", "exc"], b"<?xml"),
        (["rates", "-o", "{}/c.pdf"], b"%PDF"),
        (["vm", "-o", "{}/d.png", "--population", "exc"], b"\x89PNG"),
        (["weights", "-o", "{}/e.png", "--projection", "noise_exc"], b"\x89PNG"),
    ],
)
def test_plot(folder, tmp_path, args, start):
    args = [arg.format(tmp_path) for arg in args]
    file = Path(args[args.index("-o") + 1])
    assert answer_of("plot", folder / "run", *args)["data"]["file"] == str(file)
    assert file.read_bytes().startswith(start)


def test_report(folder):
    found = answer_of("report", folder / "run")["data"]
    page = Path(found["report"]).read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "snnsim run" in page


def test_doctor(folder):
    data = answer_of("doctor", "--data", folder)["data"]
    assert data["self_test"]["ok"]
    assert data["self_test"]["error"] <= 1e-12
    assert data["versions"]["numpy"] == np.__version__
    assert data["data_dir"] == {"folder": str(folder), "exists": True}
    text = invoke("doctor", "--data", folder / "none")
    assert "self-test  passed" in text.stdout
    assert "does not exist" in text.stderr


def test_doctor_fails_when_neurons_do(monkeypatch):
    wrong = {"ok": False, "step": 1, "expected_step": 138, "error": 0.5}
    monkeypatch.setattr("snnsim.cli.doctor.self_test", lambda: wrong)
    found = answer_of("doctor", code=8)
    assert found["error"]["code"] == "doctor.self_test"
    assert found["data"]["self_test"] == wrong


# --- a classification task -------------------------------------------------------------------------------

DIGITS = """\
schema = 1
[run]
dt_ms = 1.0
[populations.exc]
n = 10
[populations.exc.neuron]
kind = "lif"
tau_m_ms = 50.0
v_rest_mv = -65.0
v_th_mv = -62.0
v_reset_mv = -65.0
[stimuli.digits]
kind = "images"
dataset = "digits"
present_ms = 10.0
max_rate_hz = 100.0
phases = [{ name = "label", split = "train" }, { name = "test", split = "test" }]
[projections.input]
source = "digits"
target = "exc"
rule = { kind = "all_to_all" }
weight_mv = { kind = "uniform", low = 0.1, high = 1.0 }
delay_ms = 1.0
plasticity = { kind = "stdp", tau_plus_ms = 10, tau_minus_ms = 10, a_plus = 0.1, a_minus = 0.1, w_max = 2.0 }
[probes.spikes]
target = "exc"
[task]
kind = "classify"
stimulus = "digits"
readout = "exc"
"""


def test_a_task_is_evaluated(tmp_path):
    (tmp_path / "digits.toml").write_text(DIGITS)
    files = answer_of("run", tmp_path / "digits.toml", "--dry-run")["data"]["files"]
    data = answer_of("run", tmp_path / "digits.toml", "--out", tmp_path / "run")["data"]
    task = data["task"]
    assert data["accuracy"] == task["accuracy"] == task["accuracies"]["proportional"]
    assert 0.0 < task["accuracies"]["vote"] < 1.0
    assert np.sum(task["confusion"]) + task["n_silent"] == task["n_test"]
    assert len(task["assignment"]) == 10
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert {name.rstrip("/") for name in files} == made
    assert {"receptive_fields.png", "confusion.png", "weights.h5"} <= made
    assert "accuracy (vote)" in (tmp_path / "run" / "report.html").read_text()
    assert "accuracy" in invoke("inspect", tmp_path / "run").stdout
    short = invoke("run", tmp_path / "digits.toml", "--duration-ms", 50, "--out", tmp_path / "short")
    assert "warning: no accuracy: the run ends at step 50" in short.stderr


def test_a_task_needs_the_spikes_of_its_readout(tmp_path):
    (tmp_path / "digits.toml").write_text(DIGITS.replace('[probes.spikes]\ntarget = "exc"\n', ""))
    result = invoke("run", tmp_path / "digits.toml", "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert "task.readout" in result.stderr
    assert "[probes.exc_spikes]" in result.stderr
    assert not (tmp_path / "run").exists()
