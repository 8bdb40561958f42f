"""A recording ten times as long needs no more memory: it streams to the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snnsim.jit_cache import configure

LENGTH_MS = 1000.0
LIMIT_BYTES = 64 * 2**20

# A process of its own: what other tests left behind would hide what this one takes.
SCRIPT = """
import json, sys
import psutil
from snnsim import LIF, Network, Population, Probe, Simulator, Uniform

n = 2000
cell = LIF(tau_m_ms=20.0, v_rest_mv=0.0, v_th_mv=10.0, v_reset_mv=0.0, t_ref_ms=1.0, i_bias_pa=2000.0,
           v_init_mv=Uniform(low=0.0, high=10.0))
network = Network(
    populations={"cells": Population(n=n, neuron=cell)},
    probes={"spikes": Probe(target="cells"),
            "v": Probe(target="cells", variable="v_mv", ids=list(range(0, n, 10)))})
length_ms, folder = float(sys.argv[1]), sys.argv[2] or None
process, found = psutil.Process(), []
with Simulator(network, seed=1, record_to=folder) as sim:
    for part_ms in (length_ms, 9 * length_ms):
        peak = 0
        def watch(done, total):
            global peak
            peak = max(peak, process.memory_info().rss)
        sim.run(part_ms, watch)
        rows = {k: v for k, v in sim.checkpoint()[1].items() if k.startswith("rows/")}
        found.append({"peak": peak, **rows})
print(json.dumps(found))
"""


def measure(folder: Path | None) -> list[dict[str, int]]:
    """Peak resident bytes and rows so far, at run length LENGTH_MS and at ten times that."""
    configure()
    command = [sys.executable, "-c", SCRIPT, str(LENGTH_MS), "" if folder is None else str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("on_disk", [True, False])
def test_memory_of_a_recording_ten_times_as_long(on_disk, tmp_path):
    short, long = measure(tmp_path if on_disk else None)
    assert short["rows/samples/v"] == 10_000
    assert short["rows/spikes/cells"] > 500_000
    for name in ("rows/samples/v", "rows/spikes/cells"):
        assert long[name] == pytest.approx(10 * short[name], rel=0.01)
    growth = long["peak"] - short["peak"]
    if on_disk:
        assert growth < LIMIT_BYTES
    else:
        assert growth > 2 * LIMIT_BYTES  # kept in memory: the limit can be broken
