"""Thresholds of rate conversions: the ways that are known, and what two other converters do.

    name              threshold of a channel                                            first potential
    max               its largest activation (Diehl et al. 2015)                          theta / 2
    percentile        99.9 % of its active values (Rueckauer et al. 2017)                 theta / 2
    max-layer, percentile-layer   the same of its layer                                   theta / 2
    mse               nearest to its activations at T steps (Li et al. 2021)              theta / 2
    balanced          local threshold balancing (Bu et al. 2025)                          theta / 2
    spikingjelly-max  largest activation of its layer (SpikingJelly, mode "Max")          0
    spikingjelly      99.9 % of all values of its layer, also zeros (mode "99.9%")        0
    spikingjelly-channels   99.9 % of all its values, also zeros (`channel_wise`)         theta / 2
    snntoolbox        99.9 % of the active values of its layer                            0

The last four are baselines: what those converters choose with their defaults, and SpikingJelly with
`channel_wise` and `half_threshold`, its best options; run here with the same input current, reset by
subtraction and readout, so that only the choice differs.  SpikingJelly takes percentiles of one batch after
another and their moving mean, here they are of all samples.  snntoolbox itself ends with spiking softmax
units, which do no better than the sum of currents that is read here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters.calibrate import Activations, balanced, largest, least_squares
from snnsim.converters.graph import Graph, ReLU


@dataclass(frozen=True)
class Normalisation:
    """How thresholds follow from activations.

    rule        largest, nearest or balanced
    percentile  largest: of the values
    by_channel  largest: for each channel, or for the layer
    silent      largest: values that are zero count
    start       potential at the start, in thresholds
    """

    rule: str
    percentile: float = 100.0
    by_channel: bool = True
    silent: bool = False
    start: float = 0.5


NORMALISATIONS: dict[str, Normalisation] = {
    "max": Normalisation("largest"),
    "percentile": Normalisation("largest", 99.9),
    "max-layer": Normalisation("largest", by_channel=False),
    "percentile-layer": Normalisation("largest", 99.9, by_channel=False),
    "mse": Normalisation("nearest"),
    "balanced": Normalisation("balanced"),
    "spikingjelly-max": Normalisation("largest", by_channel=False, start=0.0),
    "spikingjelly": Normalisation("largest", 99.9, by_channel=False, silent=True, start=0.0),
    "spikingjelly-channels": Normalisation("largest", 99.9, silent=True),
    "snntoolbox": Normalisation("largest", 99.9, by_channel=False, start=0.0),
}


def thresholds(
    graph: Graph,
    inputs: np.ndarray,
    source: Activations,
    choice: Normalisation,
    timesteps: int,
    most: int = 1,
) -> dict[str, np.ndarray]:
    """float64[channels] by activation, such that most timesteps theta / timesteps is the largest value.

    inputs  float64[n_samples, *shape]
    source  for these inputs
    most    spikes in a step, at most
    """
    if choice.rule == "balanced":
        return {name: theta / most for name, theta in balanced(graph, inputs).items()}
    found = {}
    for node in graph.nodes:
        if not isinstance(node, ReLU):
            continue
        values, tops = source.values[node.name], source.tops[node.name]
        if choice.rule == "nearest":
            found[node.name] = least_squares(values, tops, timesteps * most) * timesteps
            continue
        if choice.percentile == 100:
            values = tops[None]
        top = largest(values, choice.percentile, by_channel=choice.by_channel, silent=choice.silent)
        found[node.name] = top / most
    return found
