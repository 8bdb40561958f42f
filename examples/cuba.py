"""Four thousand cells that excite and inhibit one another keep firing, irregularly, with no input at all.

    python examples/cuba.py

The current-based network of Vogels and Abbott (2005) as benchmark 2 of Brette et al. (2007) has it.
Its equations know no capacitance: a spike makes a term g, in mV, jump.  A capacitance of as many pF as
tau_m has ms makes the membrane resistance 1 GOhm, and 1 pA then acts as 1 mV of g.
The same network stands in cuba.toml for `snnsim run`.
"""

from __future__ import annotations

from snnsim import (
    LIF,
    Exponential,
    Network,
    PairwiseBernoulli,
    Population,
    Probe,
    Projection,
    Simulator,
    Uniform,
)
from snnsim.metrics import cv_isi

N = {"exc": 3200, "inh": 800}
P = 0.02  # of a connection, at scale 1
WEIGHT_PA = {"exc": 1.62, "inh": -9.0}


def cuba(scale: float = 1.0, precision: str = "float64") -> Network:
    """The network, or one of `scale` times the cells with as many synapses a cell.

    A cell is held for 49 steps and may fire again in the 50th, 5 ms after its spike.
    """
    cell = LIF(
        tau_m_ms=20.0, c_m_pf=20.0, v_rest_mv=-49.0, v_th_mv=-50.0, v_reset_mv=-60.0, t_ref_ms=4.9,
        v_init_mv=Uniform(low=-60.0, high=-50.0), synapse=Exponential(tau_exc_ms=5.0, tau_inh_ms=10.0),
    )  # fmt: skip
    return Network(
        populations={name: Population(n=max(1, round(n * scale)), neuron=cell) for name, n in N.items()},
        projections={
            f"{source}_{target}": Projection(
                source=source, target=target, rule=PairwiseBernoulli(p=P / scale),
                weight_pa=WEIGHT_PA[source], delay_ms=0.1,
            )
            for source in N
            for target in N
        },
        probes={f"{name}_spikes": Probe(target=name) for name in N},
        precision=precision,
    )  # fmt: skip


def main() -> None:
    with Simulator(cuba(), seed=1) as sim:
        sim.run(2000.0)
        for name, n in N.items():
            steps, ids = sim.spikes(name)
            cv = cv_isi(steps * sim.dt_ms, ids, min_isis=3).mean
            print(f"{name}: {ids.size / n / 2.0:.2f} Hz, CV of intervals {cv:.3f}")


if __name__ == "__main__":
    main()
