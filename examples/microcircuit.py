"""The cortical microcircuit of Potjans and Diesmann: 77,169 neurons and 298,880,968 synapses under 1 mm2.

    python examples/microcircuit.py [SCALE] [MODEL_MS]

Parameters as in the reference implementation (INM-6/microcircuit-PD14-model); Potjans & Diesmann 2014,
Cereb. Cortex 24:785.  Connections are drawn as a fixed total number with autapses and multapses.
Scaled down, N and the in-degrees shrink by `scale`, weights grow by 1/sqrt(scale), and a current makes
up for the lost mean input, which keeps the rates (van Albada, Helias & Diesmann 2015).

The reference is run in NEST, where an input acts one step later after the same delay, and where delays are
rounded to steps of 0.1 ms after the draw: a delay of d there is d + 0.1 ms here.  Without that step the
inhibitory populations are 3 to 6 % less synchronous (variance of their spike counts, at scale 0.1).
"""

from __future__ import annotations

import math
import sys

import numpy as np

from snnsim import (
    LIF,
    Exponential,
    FixedTotalNumber,
    Network,
    Normal,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Simulator,
)

NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
PROBABILITY = np.array([  # of a connection: row = target, column = source
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
EXTERNAL_IN_DEGREE = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
BACKGROUND_HZ = 8.0
MEAN_RATES_HZ = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # of the full network
V_INIT_MV = (
    (-68.28, 5.36), (-63.16, 4.57), (-63.33, 4.74), (-63.45, 4.94),
    (-63.11, 4.94), (-61.66, 4.55), (-66.72, 5.46), (-61.43, 4.48),
)  # fmt: skip
TAU_M_MS, TAU_SYN_MS, C_M_PF = 10.0, 0.5, 250.0
PSP_MV, G = 0.15, -4.0
DT_MS = 0.1
DELAY_EXC_MS, DELAY_INH_MS = 1.5, 0.75  # means as NEST counts them; standard deviations are half of that
LEAST_DELAY_MS = 0.15  # NEST draws again below half a step; the nearest step is then at least its first


def weight_pa() -> float:
    """The current jump whose potential peaks at PSP_MV."""
    ratio = TAU_SYN_MS / TAU_M_MS
    peak = ratio ** (ratio / (1 - ratio)) - ratio ** (1 / (1 - ratio))
    return PSP_MV * C_M_PF * (TAU_M_MS - TAU_SYN_MS) / (TAU_M_MS * TAU_SYN_MS) / peak


def synapse_numbers() -> np.ndarray:
    """int64[target, source]: connections of the full network, 298,880,968 in all.

    The quotient is written as in the reference implementation: it loses digits, and another form gives two
    connections more.
    """
    n = np.array(SIZES, dtype=np.float64)
    pairs = n[:, None] * n[None, :]
    return np.rint(np.log(1.0 - PROBABILITY) / np.log((pairs - 1.0) / pairs)).astype(np.int64)


def mean_weights_pa() -> np.ndarray:
    """float64[target, source]: mean weight; the projection from L4E to L23E is twice as strong."""
    weights = np.tile([weight_pa(), G * weight_pa()], (8, 4))
    weights[0, 2] *= 2.0
    return weights


def microcircuit(
    scale: float = 1.0, background: str = "poisson", precision: str = "float32", record: bool = True
) -> Network:
    """The network at a scale in (0, 1], with Poisson input ("poisson") or its mean as a current ("dc")."""
    numbers, weights = synapse_numbers(), mean_weights_pa()
    external = weight_pa() * np.array(EXTERNAL_IN_DEGREE) * BACKGROUND_HZ  # pA / s
    recurrent = (weights * numbers / np.array(SIZES)[:, None] * np.array(MEAN_RATES_HZ)).sum(axis=1)
    lost = 1.0 - math.sqrt(scale)
    current = 1e-3 * TAU_SYN_MS * (lost * recurrent + (lost if background == "poisson" else 1.0) * external)
    populations = {}
    for k, name in enumerate(NAMES):
        mean, std = V_INIT_MV[k]
        populations[name] = Population(
            n=max(1, round(scale * SIZES[k])),
            neuron=LIF(
                tau_m_ms=TAU_M_MS, c_m_pf=C_M_PF, v_rest_mv=-65.0, v_th_mv=-50.0, v_reset_mv=-65.0,
                t_ref_ms=2.0, i_bias_pa=float(current[k]), v_init_mv=Normal(mean=mean, std=std),
                synapse=Exponential(tau_exc_ms=TAU_SYN_MS),
            ),
        )  # fmt: skip
    projections = {}
    for t, target in enumerate(NAMES):
        for s, source in enumerate(NAMES):
            n = round(int(numbers[t, s]) * scale**2)
            if n == 0:
                continue
            mean = float(weights[t, s]) / math.sqrt(scale)
            bound = {"low": 0.0} if mean > 0 else {"high": 0.0}
            delay = DELAY_EXC_MS if mean > 0 else DELAY_INH_MS
            projections[f"{source}_{target}"] = Projection(
                source=source, target=target, rule=FixedTotalNumber(n=n),
                weight_pa=Normal(mean=mean, std=0.1 * abs(mean), **bound),
                delay_ms=Normal(mean=delay + DT_MS, std=0.5 * delay, low=LEAST_DELAY_MS),
            )  # fmt: skip
    stimuli = {}
    if background == "poisson":
        for k, name in enumerate(NAMES):
            stimuli[f"background_{name}"] = PoissonDrive(
                target=name, n_inputs=max(1, round(scale * EXTERNAL_IN_DEGREE[k])), rate_hz=BACKGROUND_HZ,
                weight_pa=weight_pa() / math.sqrt(scale),
            )  # fmt: skip
    probes = {f"spikes_{name}": Probe(target=name) for name in NAMES} if record else {}
    return Network(
        populations=populations, projections=projections, stimuli=stimuli, probes=probes, precision=precision
    )


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
    model_ms = float(sys.argv[2]) if len(sys.argv) > 2 else 1000.0
    with Simulator(microcircuit(scale), dt_ms=DT_MS, seed=1) as sim:
        print(f"{sim.n_neurons:,} neurons, {sim.n_synapses:,} synapses, built in {sim.build_s:.1f} s")
        sim.run(500.0)
        sim.run(model_ms)
        for name, reference in zip(NAMES, MEAN_RATES_HZ, strict=True):
            steps, _ = sim.spikes(name)
            n = sim.network.populations[name].n
            print(
                f"{name:5} {(steps >= 5000).sum() / n / model_ms * 1e3:7.3f} Hz (reference {reference:.3f})"
            )


if __name__ == "__main__":
    main()
