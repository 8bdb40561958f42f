"""Brunel's sparse random network (2000): 12,500 cells, 15.6 million delta synapses, and its theory.

    python examples/brunel.py

Every cell gets 1,000 excitatory and 250 inhibitory connections from the network and 1,000 Poisson trains
from outside, at twice the rate that alone would lift it to the threshold.  Parameters as in NEST's
brunel_delta_nest.py (g = 5, eta = 2).  The same network stands in brunel.toml for `snnsim run`.
"""

from __future__ import annotations

from snnsim import LIF, FixedInDegree, Network, PoissonDrive, Population, Probe, Projection, Simulator

N = {"exc": 10_000, "inh": 2_500}
K = {"exc": 1_000, "inh": 250}
TAU_M_MS, V_TH_MV, T_REF_MS, DELAY_MS = 20.0, 20.0, 2.0, 1.5
J_MV, G, ETA = 0.1, 5.0, 2.0
WEIGHT_MV = {"exc": J_MV, "inh": -G * J_MV}
EXTERNAL_HZ = 1000.0 * ETA * V_TH_MV / (J_MV * K["exc"] * TAU_M_MS)  # rate of each of K["exc"] trains


def brunel() -> Network:
    """The network."""
    cell = LIF(tau_m_ms=TAU_M_MS, v_rest_mv=0.0, v_th_mv=V_TH_MV, v_reset_mv=0.0, t_ref_ms=T_REF_MS)
    return Network(
        populations={name: Population(n=n, neuron=cell) for name, n in N.items()},
        projections={
            f"{source}_{target}": Projection(
                source=source, target=target, rule=FixedInDegree(n=K[source]),
                weight_mv=WEIGHT_MV[source], delay_ms=DELAY_MS,
            )
            for source in N
            for target in N
        },
        stimuli={
            f"noise_{name}": PoissonDrive(
                target=name, n_inputs=K["exc"], rate_hz=EXTERNAL_HZ, weight_mv=J_MV
            )
            for name in N
        },
        probes={f"{name}_spikes": Probe(target=name) for name in N},
    )  # fmt: skip


def main() -> None:
    with Simulator(brunel(), seed=1) as sim:
        sim.run(400.0)
        for name, n in N.items():
            steps, ids = sim.spikes(name)
            late = steps >= 1000  # the first 100 ms are the way from silence
            print(f"{name}: {late.sum() / n / 0.3:.1f} Hz (mean-field theory: 32.0 Hz)")


if __name__ == "__main__":
    main()
