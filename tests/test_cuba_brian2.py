"""The CUBA network of Vogels & Abbott against Brian2, spike for spike, and against its known statistics.

How times map.  Both advance the state over step t, test the threshold, and give a spike of step t the time
t dt.  Brian2 adds arrivals after the update, here they come before it: our delay of d steps is Brian2's
d - 1.  Brian2 frees a cell in step t + refractory, here it is held in r steps: ours is one less too.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnsim import Network, Simulator, load_config
from snnsim.metrics import cv_isi

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXAMPLE = runpy.run_path(str(EXAMPLES / "cuba.py"))
N: dict[str, int] = EXAMPLE["N"]
cuba: Callable[[], Network] = EXAMPLE["cuba"]

Spikes = set[tuple[int, int]]


def test_the_config_file_says_the_same_as_the_script():
    assert load_config(EXAMPLES / "cuba.toml").network == cuba()


def our_spikes(sim: Simulator) -> Spikes:
    """(step, cell), the inhibitory cells after the excitatory ones."""
    found: Spikes = set()
    for name, first in (("exc", 0), ("inh", N["exc"])):
        steps, ids = sim.spikes(name)
        found |= set(zip(steps.tolist(), (ids + first).tolist(), strict=True))
    return found


def spikes_in_brian2(
    b2: Any, sim: Simulator, cells: Any, quantity: str, unit: Any, duration_ms: float
) -> Spikes:
    """Spikes of `cells` with the synapses of `sim`, whose weights, in `unit`, make their ge and gi jump."""
    parts = [cells]
    for term, name, first in (("ge", "exc", 0), ("gi", "inh", N["exc"])):
        tables = [sim.weights(f"{name}_{target}") for target in N]
        synapses = b2.Synapses(cells, cells, f"w : {quantity}", on_pre=f"{term} += w")
        synapses.connect(
            i=np.concatenate([source + first for source, _, _ in tables]),
            j=np.concatenate([tables[0][1], tables[1][1] + N["exc"]]),
        )
        synapses.w = np.concatenate([weight for _, _, weight in tables]) * unit
        parts.append(synapses)
    monitor = b2.SpikeMonitor(cells)
    b2.Network(*parts, monitor).run(duration_ms * b2.ms)
    steps = np.rint(np.asarray(monitor.t / b2.defaultclock.dt)).astype(int)
    return set(zip(steps.tolist(), np.asarray(monitor.i).tolist(), strict=True))


def brian2_spikes(
    b2: Any, sim: Simulator, duration_ms: float, v_mv: np.ndarray, refractory_ms: float
) -> Spikes:
    """The same cells, synapses and initial potentials, run by Brian2; delay 0 is our delay of one step."""
    b2.start_scope()
    b2.defaultclock.dt = 0.1 * b2.ms
    cells = b2.NeuronGroup(
        sum(N.values()),
        """
        dv/dt  = (ge + gi - (v - El)) / taum : volt (unless refractory)
        dge/dt = -ge / taue : volt
        dgi/dt = -gi / taui : volt
        """,
        threshold="v > Vt",
        reset="v = Vr",
        refractory=refractory_ms * b2.ms,
        method="exact",
        namespace={
            "El": -49 * b2.mV, "Vt": -50 * b2.mV, "Vr": -60 * b2.mV,
            "taum": 20 * b2.ms, "taue": 5 * b2.ms, "taui": 10 * b2.ms,
        },
    )  # fmt: skip
    cells.v = v_mv * b2.mV
    return spikes_in_brian2(b2, sim, cells, "volt", b2.mV, duration_ms)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # those of Brian2 and of what it imports are not ours
def test_same_spikes_as_brian2():
    b2 = pytest.importorskip("brian2", reason="Brian2 is not installed: pip install snnsim[brian2]")
    b2.prefs.codegen.target = "numpy"  # no C compiler needed
    sim = Simulator(cuba(), seed=1)
    v_mv = sim.program.cells.potential - 49.0  # kept relative to v_rest
    sim.run(200.0)
    ours = our_spikes(sim)
    assert len(ours) > 3000
    assert brian2_spikes(b2, sim, 200.0, v_mv, refractory_ms=5.0) == ours
    # One step more of refractoriness must show, or the comparison sees nothing.
    assert brian2_spikes(b2, sim, 50.0, v_mv, refractory_ms=5.1) != {s for s in ours if s[0] < 500}


# --- statistics

# Brian2 2.9 running its own example script, forty networks of its own random numbers, 2 s from the start:
# 5.62 +- 0.30 Hz and 5.61 +- 0.07 Hz, CV 0.616 +- 0.009 and 0.615 +- 0.014 (mean +- sd over networks).
# Standard deviations of intervals here divide by their number n; with n - 1 the CV is 0.66.
RATE_HZ = (5.4, 6.0)
CV = {"exc": 0.616, "inh": 0.615}


def statistics(seed: int) -> dict[str, tuple[float, float, float]]:
    """Rate in Hz and CV of the intervals in the first 2 s, and CV in 2.5 s, by population.

    The CV is the mean over cells with at least three intervals; it grows with the length of the record,
    since long intervals do not fit into a short one.
    """
    with Simulator(cuba(), seed=seed) as sim:
        sim.run(2500.0)
        found = {}
        for name, n in N.items():
            steps, ids = sim.spikes(name)
            times, early = steps * sim.dt_ms, steps * sim.dt_ms < 2000.0
            short = cv_isi(times[early], ids[early], min_isis=3).mean
            found[name] = early.sum() / n / 2.0, short, cv_isi(times, ids, min_isis=3).mean
    return found


@pytest.mark.parametrize("n_seeds", [5, pytest.param(30, marks=pytest.mark.full)])
def test_rates_and_irregularity(n_seeds):
    found = [statistics(seed) for seed in range(1, n_seeds + 1)]
    for name in N:
        rate, short, long = np.mean([one[name] for one in found], axis=0)
        assert RATE_HZ[0] < rate < RATE_HZ[1]
        assert short == pytest.approx(CV[name], abs=0.01)
        assert 0.63 < long < 0.66
