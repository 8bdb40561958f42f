"""Brunel's network with 10,000 cells, as it is run to compare simulators, and with plastic synapses.

    python examples/brunel_10k.py [plastic]

Every cell gets 800 excitatory and 200 inhibitory delta synapses from the network and 1,000 Poisson trains of
20 Hz.  With STDP the synapses between excitatory cells learn: the multiplicative rule, whose weights settle
around one value, here near the weights at the start.
Parameters as in the network Brunel10K of SNNSimulatorComparison (Ahmad et al.), which Auryn, Brian2, NEST,
ANNarchy, GeNN and Spike were timed with; its cells are integrated exactly here.
"""

from __future__ import annotations

import sys

from snnsim import LIF, STDP, FixedInDegree, Network, PoissonDrive, Population, Probe, Projection, Simulator

N = {"exc": 8_000, "inh": 2_000}
K = {"exc": 800, "inh": 200}
J_MV, G = 0.1, 5.0
WEIGHT_MV = {"exc": J_MV, "inh": -G * J_MV}
THEORY_HZ = 35.6  # mean-field theory with static synapses
LEARNING_RATE, ASYMMETRY, W_MAX_MV = 0.01, 2.02, 0.3


def brunel_10k(scale: float = 1.0, plastic: bool = False, precision: str = "float32") -> Network:
    """The network, or one of `scale` times the cells with as many synapses a cell."""
    cell = LIF(tau_m_ms=20.0, v_rest_mv=0.0, v_th_mv=20.0, v_reset_mv=0.0, t_ref_ms=2.0)
    stdp = STDP(
        tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=LEARNING_RATE, a_minus=ASYMMETRY * LEARNING_RATE,
        w_max=W_MAX_MV, dependence="multiplicative",
    )  # fmt: skip
    return Network(
        populations={name: Population(n=max(1, round(n * scale)), neuron=cell) for name, n in N.items()},
        projections={
            f"{source}_{target}": Projection(
                source=source, target=target, rule=FixedInDegree(n=K[source]),
                weight_mv=WEIGHT_MV[source], delay_ms=1.5,
                plasticity=stdp if plastic and source == target == "exc" else None,
            )
            for source in N
            for target in N
        },
        stimuli={
            f"noise_{name}": PoissonDrive(target=name, n_inputs=1000, rate_hz=20.0, weight_mv=J_MV)
            for name in N
        },
        probes={f"{name}_spikes": Probe(target=name) for name in N},
        precision=precision,
    )  # fmt: skip


def main() -> None:
    with Simulator(brunel_10k(plastic="plastic" in sys.argv[1:]), seed=1) as sim:
        sim.run(400.0)
        for name, n in N.items():
            steps, _ = sim.spikes(name)
            late = steps >= 1000  # the first 100 ms are the way from silence
            print(f"{name}: {late.sum() / n / 0.3:.1f} Hz (theory without learning: {THEORY_HZ} Hz)")


if __name__ == "__main__":
    main()
