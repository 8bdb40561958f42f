"""How often neurons fire, measured by running the network: what placement and energy start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnsim.network import Network
from snnsim.simulator import Simulator

_AT_ONCE = 32  # samples whose counts are kept at a time


def measure(
    network: Network, inputs: Mapping[str, np.ndarray], n_steps: int, *, repeat: int = 1,
    threads: int | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Spikes of each neuron in a step, by population: float64[n], a mean over samples and steps.

    inputs   by stimulus float64[n_samples, n], shown for `repeat` steps; or float64[n_samples, n_given, n]:
             amounts for each of the first steps
    A spike that carries a number counts once.  Raises ConfigError for inputs that do not fit.
    """
    n_samples = min((len(values) for values in inputs.values()), default=0)
    totals: dict[str, np.ndarray] = {}
    simulator = Simulator(network, batch=1, dt_ms=1.0, threads=threads)
    for begin in range(0, n_samples, _AT_ONCE):
        some = {name: values[begin : begin + _AT_ONCE] for name, values in inputs.items()}
        result = simulator.evaluate(some, n_steps, repeat=repeat, keep_counts=True, stop_early=False)
        for name in network.populations:
            totals[name] = totals.get(name, 0.0) + result.counts[name].sum(axis=0)
    return {name: np.abs(total) / (n_samples * n_steps) for name, total in totals.items()}
