"""What a layered network does with calibration data: amounts emitted, and what the last one reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.network import Network
from snnsim.simulator import Simulator


@dataclass(frozen=True)
class Ran:
    """totals: float64[n_samples, n] by population and input; readout: the same of the last one."""

    totals: dict[str, np.ndarray]
    readout: np.ndarray


def run_of(
    network: Network,
    inputs: Mapping[str, np.ndarray],
    n_steps: int,
    repeat: int = 1,
    threads: int | None = None,
) -> Ran:
    """Simulate samples from step 0; inputs as BatchSimulator.evaluate takes them."""
    with Simulator(network, batch=1, dt_ms=1.0, threads=threads) as sim:
        found = sim.evaluate(inputs, n_steps, repeat=repeat, keep_counts=True, stop_early=False)
    totals = {name: np.asarray(value, np.float64) for name, value in found.totals.items()}
    for name, value in inputs.items():
        given = np.asarray(value, np.float64)
        totals[name] = repeat * given if given.ndim == 2 else given.sum(axis=1)
    return Ran(totals, np.asarray(found.readout[:, -1], np.float64))
