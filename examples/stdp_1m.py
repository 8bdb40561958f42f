"""A million plastic synapses: a thousand cells, each driven by a thousand Poisson sources of its own.

    python examples/stdp_1m.py [SCALE]

Competition between synapses (Song, Miller & Abbott 2000) with the constants of Brian2's example STDP: there a
spike adds w to a conductance whose driving force is held at 0 mV - v_reset = 60 mV, which is a current.  Its
equations know no capacitance: one of as many pF as tau_m has ms makes 1 pA act as 1 mV.
"""

from __future__ import annotations

import sys

import numpy as np

from snnsim import (
    LIF,
    STDP,
    Arrays,
    Exponential,
    Network,
    Poisson,
    Population,
    Probe,
    Projection,
    Simulator,
    Uniform,
)

N_CELLS, N_SYNAPSES = 1_000, 1_000  # synapses of one cell
RATE_HZ = 15.0
DRIVING_FORCE_MV, G_MAX = 60.0, 0.01
W_MAX_PA = DRIVING_FORCE_MV * G_MAX
A_PLUS, ASYMMETRY = 0.01, 1.05


def stdp_1m(scale: float = 1.0, precision: str = "float32") -> Network:
    """The network, or one of `scale` times the cells and sources."""
    n_cells = max(1, round(N_CELLS * scale))
    n_sources = n_cells * N_SYNAPSES
    cell = LIF(
        tau_m_ms=10.0, c_m_pf=10.0, v_rest_mv=-74.0, v_th_mv=-54.0, v_reset_mv=-60.0,
        synapse=Exponential(tau_exc_ms=5.0),
    )  # fmt: skip
    stdp = STDP(
        tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=A_PLUS, a_minus=ASYMMETRY * A_PLUS, w_max=W_MAX_PA,
    )  # fmt: skip
    sources = np.arange(n_sources)
    return Network(
        populations={"cells": Population(n=n_cells, neuron=cell)},
        stimuli={"input": Poisson(n=n_sources, rate_hz=RATE_HZ)},
        projections={
            "synapses": Projection(
                source="input", target="cells", rule=Arrays(source=sources, target=sources // N_SYNAPSES),
                weight_pa=Uniform(low=0.0, high=W_MAX_PA), delay_ms=0.1, plasticity=stdp,
            )
        },
        probes={"spikes": Probe(target="cells")},
        precision=precision,
    )  # fmt: skip


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 0.01
    network = stdp_1m(scale)
    with Simulator(network, seed=1) as sim:
        sim.run(10_000.0)
        steps, _ = sim.spikes("cells")
        n = network.populations["cells"].n
        print(f"{(steps < 10_000).sum() / n:.1f} Hz in the first second,", end=" ")
        print(f"{(steps >= 90_000).sum() / n:.1f} Hz in the tenth")
        _, _, weights = sim.weights("synapses")
        print(f"mean weight {weights.mean() / W_MAX_PA:.3f} of the largest")


if __name__ == "__main__":
    main()
