"""A small network against NEST, spike for spike.

How times map.  NEST gives a spike found while advancing from t dt to (t + 1) dt the later time: its spike
at (t + 1) dt is ours of step t.  There a spike arrives at the end of a step, after the update, so it acts
from the next one on; here it arrives before the update.  Our delay of d steps is therefore NEST's d - 1, and
since NEST has no delay below one step, ours start at two here.  Refractory steps are the same in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnsim import LIF, Arrays, Exponential, Network, Population, Probe, Projection, Simulator, Uniform

N, DURATION_MS = 100, 1000.0
PARTS = {"exc": (0, 80), "inh": (80, 100)}


def network(seed: int = 7) -> Network:
    """Cells driven above threshold, with random weights of both signs and delays of 2 to 30 steps."""
    rng = np.random.default_rng(seed)
    projections = {}
    for name, (low, high) in PARTS.items():
        source, target = rng.integers(low, high, 1000), rng.integers(0, N, 1000)
        weight_pa = rng.uniform(20.0, 60.0, 1000) if name == "exc" else rng.uniform(-200.0, -50.0, 1000)
        projections[name] = Projection(
            source="cells", target="cells", rule=Arrays(source=source, target=target),
            weight_pa=weight_pa, delay_ms=rng.integers(2, 31, 1000) / 10.0, receptor=name,
        )  # fmt: skip
    cell = LIF(
        tau_m_ms=10.0, c_m_pf=250.0, v_rest_mv=-65.0, v_th_mv=-50.0, v_reset_mv=-70.0, t_ref_ms=2.0,
        i_bias_pa=rng.uniform(450.0, 600.0, N), v_init_mv=Uniform(low=-65.0, high=-50.0),
        synapse=Exponential(tau_exc_ms=0.5, tau_inh_ms=5.0),
    )  # fmt: skip
    return Network(
        populations={"cells": Population(n=N, neuron=cell)},
        projections=projections,
        probes={"spikes": Probe(target="cells")},
    )


def nest_spikes(nest: Any, described: Network, v_mv: np.ndarray, delay_shift: int) -> list[tuple[int, int]]:
    """(step, id) of NEST's spikes in our counting."""
    nest.ResetKernel()
    nest.set(resolution=0.1, print_time=False)
    cell = described.populations["cells"].neuron
    cells = nest.Create(
        "iaf_psc_exp", N,
        params={
            "tau_m": 10.0, "C_m": 250.0, "E_L": -65.0, "V_th": -50.0, "V_reset": -70.0, "t_ref": 2.0,
            "tau_syn_ex": 0.5, "tau_syn_in": 5.0,
        },
    )  # fmt: skip
    cells.set([{"I_e": float(i), "V_m": float(v)} for i, v in zip(cell.i_bias_pa, v_mv, strict=True)])
    first = cells[0].global_id
    for projection in described.projections.values():
        rule = projection.rule
        nest.Connect(
            rule.source + first, rule.target + first, "one_to_one",
            {
                "weight": np.array(projection.weight_pa),
                "delay": np.rint(projection.delay_ms * 10.0 + delay_shift) / 10.0,
            },
        )  # fmt: skip
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(cells, recorder)
    nest.Simulate(DURATION_MS)
    events = recorder.events
    return sorted(zip((events["times"] - 1).tolist(), (events["senders"] - first).tolist(), strict=True))


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # those of NEST are not ours
def test_same_spikes_as_nest():
    nest = pytest.importorskip("nest", reason="NEST is not installed: pip install snnsim[nest]")
    nest.verbosity = nest.VerbosityLevel.ERROR
    described = network()
    with Simulator(described, seed=1, n_ranges=3) as sim:
        v_mv = sim.program.cells.potential - 65.0  # kept relative to v_rest
        sim.run(DURATION_MS)
        ours = sorted(zip(*(column.tolist() for column in sim.spikes("spikes")), strict=True))
    assert len(ours) > 2000
    assert nest_spikes(nest, described, v_mv, delay_shift=-1) == ours
    assert nest_spikes(nest, described, v_mv, delay_shift=0) != ours  # a step more of delay shows
