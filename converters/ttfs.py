"""Exact conversion to times: every neuron fires at most once, and the earlier the larger its activation.

Layer l listens in the windows of its sources and fires in its own, [t_min, t_max], which begins when the last
of those has ended (Stanojevic et al. 2024, the slope rule "B1").  A spike at t_j in a window that ends at e_j
stands for the activation e_j - t_j:

    until t_min   dV/dt = sum_j W_ij [t_j <= t < e_j]
    from t_min    dV/dt = 1;  spike where V = theta_i = (t_max - t_min) - b_i, at the earliest at t_min

so that t_max - t_i = clip(sum_j W_ij a_j + b_i, 0, t_max - t_min): the source's ReLU, up to rounding of times
alone.  Nothing can fire before t_min, so a spike is one event: it adds W_ij (e_j - t_j) to what it reaches,
and that is how the simulator has it (snn/layer_neurons.py, `TimeToFirstSpike`).

In continuous time a window is one step of the simulator, and every event carries its exact time.  On a grid
a window has T steps, times are rounded to the nearest, and values to multiples of window / T.

A window is as long as `margin` times the largest activation in calibration; a larger one is cut there: its
spike comes in the first moment.  Max pooling passes on the earliest spike of a window.  Averages pass on sums
of values.  Negative inputs stand for spikes of a second unit (OFF) with opposite weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters.build import build
from snnsim.converters.calibrate import activations
from snnsim.converters.schedule import windows_of
from snnsim.layer_neurons import TimeToFirstSpike
from snnsim.network import Network

MARGIN = 2.0


@dataclass(frozen=True)
class TimeCoding:
    """Neurons that fire once.

    resolution   by activation: what a step of its window stands for
    begins       by activation: first step of its window
    steps        T
    continuous   may spikes lie between steps
    input_scale  what a step of the window of the input stands for
    """

    resolution: dict[str, float]
    begins: dict[str, int]
    steps: int
    continuous: bool
    input_scale: float
    bias_steps: int | None = 1

    def scale(self, node: g.ReLU) -> np.ndarray:
        return np.full(node.shape[0], self.resolution[node.name])

    def neuron(self, node: g.ReLU, bias: np.ndarray) -> TimeToFirstSpike:
        step = self.resolution[node.name]
        return TimeToFirstSpike(
            resolution_mv=step,
            bias_mv=bias,
            v_init_mv=0.0 if self.continuous else step / 2,  # to the nearest step
            begin=self.begins[node.name],
            window=self.steps,
            continuous=self.continuous,
        )


def time_coded(
    graph: g.Graph, data: np.ndarray, steps: int | None = None, margin: float = MARGIN
) -> tuple[Network, float]:
    """The network, and the value of a step of its input, from activations over float64[n_samples, *shape].

    steps  of a window; None for continuous time
    Raises ConversionError for what no population can hold.
    """
    largest = {name: float(top.max(initial=0.0)) for name, top in activations(graph, data).tops.items()}
    n, resolution = steps or 1, {}
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            length = margin * largest[node.name] or 1.0
            resolution[node.name] = (length if node.cap is None else min(length, node.cap)) / n
    scale = margin * max(float(np.abs(data).max(initial=0.0)), 1e-30) / n
    coding = TimeCoding(resolution, windows_of(graph, n, after_input=n), n, steps is None, scale)
    return build(graph, coding), scale


def is_continuous(network: Network) -> bool:
    """Do spikes of a time-coded network lie between steps?"""
    units = [p.unit for p in network.populations.values() if isinstance(p.unit, TimeToFirstSpike)]
    return all(unit.continuous for unit in units)


def time_amounts(x: np.ndarray, network: Network, scale: float, steps: int) -> np.ndarray:
    """float64[n_samples, n]: inputs as times to the end of their window, in steps; negative for OFF units."""
    amounts = np.clip(x.reshape(len(x), -1) / scale, -steps, steps)
    return amounts if is_continuous(network) else np.rint(amounts)
