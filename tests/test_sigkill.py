"""A run that is killed at any moment leaves readable files, and goes on to the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from snnsim.recording import read_spikes, read_state
from snnsim.weightfile import read_weights

CONFIG = """
schema = 1
name = "killed"
[run]
duration_ms = {duration_ms}
dt_ms = 0.1
seed = 5
checkpoint_every_s = 0.15
[stimuli.noise]
kind = "poisson"
n = 200
rate_hz = 40.0
[populations.exc]
n = 400
[populations.exc.neuron]
kind = "lif"
tau_m_ms = 20.0
v_rest_mv = 0.0
v_th_mv = 15.0
v_reset_mv = 0.0
t_ref_ms = 2.0
threshold = {{ theta_plus_mv = 0.1, tau_theta_ms = 200.0 }}
[projections.in]
source = "noise"
target = "exc"
rule = {{ kind = "fixed_in_degree", n = 40 }}
weight_mv = {{ kind = "uniform", low = 0.0, high = 1.0 }}
delay_ms = {{ kind = "uniform", low = 0.1, high = 2.0 }}
[projections.in.plasticity]
kind = "stdp"
tau_plus_ms = 20.0
tau_minus_ms = 20.0
a_plus = 0.01
a_minus = 0.0105
w_max = 1.0
[projections.rec]
source = "exc"
target = "exc"
rule = {{ kind = "pairwise_bernoulli", p = 0.05 }}
weight_mv = -0.05
delay_ms = 1.5
[probes.spikes]
target = "exc"
[probes.v]
target = "exc"
variable = "v_mv"
every_ms = 5.0
ids = [0, 10]
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from snnsim.cli.main import main; main()", *words]


def finish(*words: str) -> dict:
    done = subprocess.run(command(*words, "--json"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def killed_after(seconds: float, run: Path, words: tuple[str, ...]) -> bool:
    """Start a command and kill it some time after its run directory is at work; was it still running?"""
    child = subprocess.Popen(command(*words, "--quiet"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = size_of(run)
    while child.poll() is None and size_of(run) == before:
        time.sleep(0.005)
    time.sleep(seconds)
    alive = child.poll() is None
    if alive:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    return alive


def size_of(run: Path) -> int:
    log = run / "log.jsonl"
    return log.stat().st_size if log.exists() else 0


def check_readable(run: Path) -> int:
    """Read everything that a killed run left behind; returns the number of recorded spikes."""
    json.loads((run / "manifest.json").read_text())
    if not (run / "spikes.h5").exists() or not (run / "state.h5").exists():
        return 0
    times, ids = read_spikes(run / "spikes.h5", "exc")
    assert np.all(np.diff(times) >= 0)
    assert times.size == ids.size
    _, _, data = read_state(run / "state.h5", "v")
    assert np.isfinite(data).all()
    return times.size


def kill_and_resume(tmp_path: Path, duration_ms: float, n_kills: int) -> None:
    config, whole, broken = tmp_path / "net.toml", tmp_path / "whole", tmp_path / "broken"
    config.write_text(CONFIG.format(duration_ms=duration_ms))
    expected = finish("run", str(config), "--out", str(whole))
    assert expected["spikes"]["exc"] > 1000
    rng = np.random.default_rng(2)
    kills = 0
    words: tuple[str, ...] = ("run", str(config), "--out", str(broken))
    while kills < n_kills and killed_after(float(rng.uniform(0.0, 0.8)), broken, words):
        kills += 1
        check_readable(broken)
        words = ("resume", str(broken), "--threads", str(1 + kills % 3))
    assert kills == n_kills, "the run was over before enough kills; make it longer"
    found = finish("resume", str(broken))
    assert found["spikes_sha256"] == expected["spikes_sha256"]
    for read, name, key in (
        (read_spikes, "spikes.h5", "exc"),
        (read_state, "state.h5", "v"),
        (read_weights, "weights.h5", "in"),
    ):
        for a, b in zip(read(whole / name, key), read(broken / name, key), strict=True):
            np.testing.assert_array_equal(a, b)


def test_six_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, duration_ms=100_000.0, n_kills=6)


@pytest.mark.full
def test_thirty_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, duration_ms=500_000.0, n_kills=30)
