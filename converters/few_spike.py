"""Few-spike neurons: an activation as the bits of a number, most significant first, in K steps.

    v <- z;   for k = 1..K:  h = alpha 2^-k;  spike where v >= h;  v <- v - h spike;   value = sum of h spike

which is relu(z) rounded down to a multiple of alpha 2^-K, for z < alpha: an error below alpha 2^-K.  Layers
keep step: one fires in the K steps in which the next only listens, so an input takes K steps a layer.
Inputs come as whole values in the first step.  A spike of step k counts 2^-k, which hardware shifts by; the
count of operations calls it a multiplication.
Source: Stoeckl & Maass 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters.build import build
from snnsim.converters.calibrate import activations
from snnsim.converters.schedule import windows_of
from snnsim.layer_neurons import FewSpike
from snnsim.network import Network

STEPS = 10


@dataclass(frozen=True)
class FewSpikeCoding:
    """Few-spike neurons.

    alpha   by activation: where values are cut
    begins  by activation: first step of its window
    steps   K
    """

    alpha: dict[str, float]
    begins: dict[str, int]
    steps: int
    input_scale: float = 1.0
    bias_steps: int | None = 1

    def scale(self, node: g.ReLU) -> np.ndarray:
        return np.full(node.shape[0], self.alpha[node.name])

    def neuron(self, node: g.ReLU, bias: np.ndarray) -> FewSpike:
        return FewSpike(
            alpha_mv=self.alpha[node.name], bias_mv=bias, begin=self.begins[node.name], window=self.steps
        )


def few_spike_coded(graph: g.Graph, data: np.ndarray, steps: int = STEPS) -> Network:
    """The network, with alphas from the largest activations over float64[n_samples, *shape].

    Raises ConversionError for what no population can hold.
    """
    tops = activations(graph, data).tops
    alpha = {}
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            top = float(tops[node.name].max(initial=0.0)) or 1.0
            alpha[node.name] = top * (1 + 2.0**-steps)  # the largest value is cut by a part of 4^-K
    return build(graph, FewSpikeCoding(alpha, windows_of(graph, steps), steps))
