"""A network whose size, in-degree and rate can be chosen one by one, for benchmarks of growth.

Every cell has a Poisson train of its own, each spike of which makes it fire.  What it gets from the network,
FixedInDegree with delta synapses of 0.1 uV, is added like any input but never lifts it to the threshold
(10,000 inputs of 10 Hz come to 0.2 mV of 20).  So the rate is that of the train, whatever the network's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnsim import LIF, FixedInDegree, Network, PoissonDrive, Population, Probe, Projection, Simulator
from snnsim.synapses import out_degrees

THRESHOLD_MV, KICK_MV, WEIGHT_MV = 20.0, 30.0, 1e-4


def driven(n: int, in_degree: int, rate_hz: float, delay_ms: Any = 1.5) -> Network:
    """`n` cells with `in_degree` inputs each that fire at `rate_hz`; in float32."""
    cell = LIF(tau_m_ms=20.0, v_rest_mv=0.0, v_th_mv=THRESHOLD_MV, v_reset_mv=0.0, t_ref_ms=0.0)
    return Network(
        populations={"cells": Population(n=n, neuron=cell)},
        projections={
            "cells_cells": Projection(
                source="cells", target="cells", rule=FixedInDegree(n=in_degree), weight_mv=WEIGHT_MV,
                delay_ms=delay_ms,
            )
        },
        stimuli={"train": PoissonDrive(target="cells", rate_hz=rate_hz, weight_mv=KICK_MV)},
        probes={"spikes": Probe(target="cells")},
        precision="float32",
    )  # fmt: skip


def events(sim: Simulator, begin: int) -> tuple[int, int]:
    """Spikes of all cells from step `begin` on, and the synaptic events that they cause."""
    degrees, units = out_degrees(sim.program), sim.program.units
    n_spikes = n_events = 0
    for name in sim.network.populations:
        steps, ids = sim.spikes(name)
        fired = ids[np.searchsorted(steps, begin) :]  # steps ascend
        n_spikes += fired.size
        n_events += int(degrees[units.first[name] + fired].sum())
    return n_spikes, n_events
