"""Rate conversion: the number of spikes in T steps approximates the activation.

    v <- v + z;  spike and v <- v - theta where v >= theta;   theta * spikes / T  ~  min(relu(z), theta)

A start from theta / 2 makes the count of a constant input round(T z / theta) instead of its floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters import graph as g
from snnsim.layer_neurons import BurstIF


@dataclass(frozen=True)
class RateCoding:
    """Integrate-and-fire neurons with reset by subtraction.

    thresholds  float64[channels] by activation
    most        spikes of a neuron in a step, at most
    start       potential at the start, in thresholds
    """

    thresholds: dict[str, np.ndarray]
    most: int = 1
    start: float = 0.5
    input_scale: float = 1.0
    bias_steps: int | None = None

    def scale(self, node: g.ReLU) -> np.ndarray:
        return self.thresholds[node.name]

    def neuron(self, node: g.ReLU, bias: np.ndarray) -> BurstIF:
        per_channel = self.thresholds[node.name]
        theta = np.repeat(per_channel, bias.size // per_channel.size)
        return BurstIF(v_th_mv=theta, v_init_mv=self.start * theta, most=self.most, bias_mv=bias)
