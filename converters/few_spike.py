"""Few-spike neurons: an activation as the bits of a number, most significant first, in K steps.

    v <- z;   for k = 1..K:  h = alpha 2^-k;  spike where v >= h;  v <- v - h spike;   value = sum of h spike

which is relu(z) rounded down to a multiple of alpha 2^-K, for z < alpha: an error below alpha 2^-K.  Layers
keep step: one fires in the K steps in which the next only listens, so an input takes K steps a layer.
Source: Stoeckl & Maass 2021.

Its thresholds and the worth of a spike change in each step, which no unit of a snnsim Network does; so this
evaluates the graph, layer after layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters.calibrate import activations, check_calibration
from snnsim.converters.products import parts


def few_spikes(z: np.ndarray, alpha: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(value float64, number of spikes int64) of each neuron, in the shape of z."""
    v, value, spikes = z.astype(np.float64), np.zeros(z.shape), np.zeros(z.shape, np.int64)
    for k in range(1, steps + 1):
        h = alpha * 2.0**-k
        fires = v >= h
        v = np.where(fires, v - h, v)
        value += np.where(fires, h, 0.0)
        spikes += fires
    return value, spikes


@dataclass(frozen=True)
class FewSpike:
    """A network of few-spike neurons, made from a trained one.

    graph   the source, batch normalisation folded
    alpha   by activation: where values are cut, a little above the largest in calibration
    steps   K
    """

    graph: g.Graph
    alpha: dict[str, float]
    steps: int
    method: str = "few-spike"

    def run(self, inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(outputs float64[n_samples, n], spikes int64[n_samples] by activation) for [n_samples, ...]."""
        x = check_calibration(self.graph, inputs)
        outputs, spikes = [], {name: np.zeros(len(x), np.int64) for name in self.alpha}
        for part in parts(len(x), 2 * self.graph.size, most=64):
            values = {self.graph.input.name: x[part]}
            for node in self.graph.nodes[1:]:
                given = [values[name] for name in node.inputs]
                if isinstance(node, g.ReLU):
                    values[node.name], fired = few_spikes(given[0], self.alpha[node.name], self.steps)
                    spikes[node.name][part] = fired.reshape(len(fired), -1).sum(axis=1)
                else:
                    values[node.name] = node.value(*given)
            last = values[self.graph.output.name]
            outputs.append(last.reshape(len(last), -1))
        return np.concatenate(outputs), spikes

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """float64[n_samples, outputs]: what the source computes, as the spiking network gives it."""
        return self.run(inputs)[0]


def few_spike_coded(graph: g.Graph, calibration: np.ndarray, steps: int = 10) -> FewSpike:
    """Alphas from the largest activations over float64[n_samples, *shape]."""
    tops = activations(graph, calibration).tops
    alpha = {}
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            top = float(tops[node.name].max()) or 1.0
            alpha[node.name] = top * (1 + 2.0**-steps)  # the largest value itself is not cut
    return FewSpike(graph, alpha, steps)
