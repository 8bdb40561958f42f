"""The COBA network of Vogels & Abbott against Brian2, spike for spike, and against its known statistics.

Both freeze the conductances within a step and integrate the potential by exponential Euler.  How times map
stands in tests/test_cuba_brian2.py; a conductance, too, is added before our update and after Brian2's.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cuba_brian2 import Spikes, our_spikes, spikes_in_brian2

from snnsim import Network, Simulator, load_config
from snnsim.metrics import cv_isi

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXAMPLE = runpy.run_path(str(EXAMPLES / "coba.py"))
N: dict[str, int] = EXAMPLE["N"]
coba: Callable[[], Network] = EXAMPLE["coba"]


def test_the_config_file_says_the_same_as_the_script():
    assert load_config(EXAMPLES / "coba.toml").network == coba()


def brian2_spikes(
    b2: Any, sim: Simulator, duration_ms: float, start: dict[str, np.ndarray], refractory_ms: float
) -> Spikes:
    """The same cells, synapses and initial state, run by Brian2; delay 0 is our delay of one step."""
    b2.start_scope()
    b2.defaultclock.dt = 0.1 * b2.ms
    cells = b2.NeuronGroup(
        sum(N.values()),
        """
        dv/dt  = (gl * (El - v) + ge * (Ee - v) + gi * (Ei - v)) / C : volt (unless refractory)
        dge/dt = -ge / taue : siemens
        dgi/dt = -gi / taui : siemens
        """,
        threshold="v > Vt",
        reset="v = Vr",
        refractory=refractory_ms * b2.ms,
        method="exponential_euler",
        namespace={
            "C": 200 * b2.pF, "gl": 10 * b2.nS, "El": -60 * b2.mV, "Ee": 0 * b2.mV, "Ei": -80 * b2.mV,
            "Vt": -50 * b2.mV, "Vr": -60 * b2.mV, "taue": 5 * b2.ms, "taui": 10 * b2.ms,
        },
    )  # fmt: skip
    cells.v, cells.ge, cells.gi = start["v"] * b2.mV, start["ge"] * b2.nS, start["gi"] * b2.nS
    return spikes_in_brian2(b2, sim, cells, "siemens", b2.nS, duration_ms)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # those of Brian2 and of what it imports are not ours
def test_same_spikes_as_brian2():
    b2 = pytest.importorskip("brian2", reason="Brian2 is not installed: pip install snnsim[brian2]")
    b2.prefs.codegen.target = "numpy"  # no C compiler needed
    sim = Simulator(coba(), seed=1)
    cells, currents = sim.program.cells, sim.state_arrays()["cells/current"]
    start = {
        "v": cells.potential - 60.0,  # kept relative to v_rest
        "ge": currents[0],
        "gi": currents[1],
    }
    sim.run(200.0)
    ours = our_spikes(sim)
    assert len(ours) > 10_000
    assert brian2_spikes(b2, sim, 200.0, start, refractory_ms=5.0) == ours
    # One step more of refractoriness must show, or the comparison sees nothing.
    assert brian2_spikes(b2, sim, 50.0, start, refractory_ms=5.1) != {s for s in ours if s[0] < 500}


def statistics(seed: int) -> dict[str, tuple[float, float]]:
    """Rate in Hz and mean CV of the intervals (cells with at least three) in 2.5 s, by population."""
    with Simulator(coba(), seed=seed) as sim:
        sim.run(2500.0)
        found = {}
        for name, n in N.items():
            steps, ids = sim.spikes(name)
            found[name] = ids.size / n / 2.5, cv_isi(steps * sim.dt_ms, ids, min_isis=3).mean
        return found


# Of twenty seeds, four do not kindle: too few cells start without inhibition.  The others: 18.8 +- 0.7 Hz and
# 19.2 +- 0.4 Hz, CV 1.72 +- 0.03 in both populations (mean +- sd over networks, 2.5 s from the start).
@pytest.mark.parametrize("seeds", [(1, 2, 3), pytest.param((7, 9, 10, 11, 12, 13), marks=pytest.mark.full)])
def test_rates_and_irregularity(seeds):
    found = [statistics(seed) for seed in seeds]
    for name, low in (("exc", 17.5), ("inh", 18.3)):
        rate, cv = np.mean([one[name] for one in found], axis=0)
        assert low < rate < 20.5
        assert cv == pytest.approx(1.72, abs=0.06)
