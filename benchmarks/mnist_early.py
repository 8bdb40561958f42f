"""Answers before all pixels were looked at: the network says when it is sure enough.

Pixels come in the grids of `mnist_mlp.GRIDS`, one a step.  Signed neurons correct what they have said as
pixels come in, so after each step the network is in the state that all pixels so far would have led to at
once.  It stops at the first step in which the largest output is more than `margin` above the second.  The
margin is chosen on validation images: the cheapest of those that keep the accuracy asked for.

Operations of a sample that stops after k steps:

    additions of its events so far + k x (integrations + comparisons, two for each signed neuron)
    + biases once + a reset for each event + k x comparisons of the pixels of a grid
    + 19 for every decision: 17 comparisons for the two largest of ten, a subtraction, a comparison
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from mnist_mlp import GRIDS, SIZES, grid

from snnsim import Simulator
from snnsim.converters.build import INPUT
from snnsim.converters.convert import Conversion

DECISION = 19
_MARGINS, _SHARE = 1000, 1000


@dataclass(frozen=True)
class Stages:
    """What a sample costs and says when it stops after each step.

    cost    float64[n_samples, n_steps]  operations until then
    further float64[n_samples, n_steps]  additions on top where an event of s spikes is s additions
    winner  int64[n_samples, n_steps]    largest output
    lead    float64[n_samples, n_steps]  by how much it leads
    """

    cost: np.ndarray
    further: np.ndarray
    winner: np.ndarray
    lead: np.ndarray

    def stopping(self, margin: float) -> np.ndarray:
        """int64[n_samples]: the first step that leads by more than the margin, or the last."""
        sure = self.lead > margin
        sure[:, -1] = True
        return sure.argmax(axis=1)

    def at(self, margin: float, values: np.ndarray) -> np.ndarray:
        """Of values [n_samples, n_steps] those of the step in which each sample stops."""
        return np.asarray(values[np.arange(len(values)), self.stopping(margin)])

    def judged(self, margin: float, labels: np.ndarray) -> tuple[float, float]:
        """(accuracy, mean operations) with a margin."""
        right = self.at(margin, self.winner) == labels
        return float(right.mean()), float(self.at(margin, self.cost).mean())


def stages(made: Conversion, images: np.ndarray) -> Stages:
    """Simulate images float[n, 784] of zeros and ones, grid after grid."""
    parts = [_stages(made, images[low : low + _SHARE]) for low in range(0, len(images), _SHARE)]
    return Stages(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Stages)))


def _stages(made: Conversion, images: np.ndarray) -> Stages:
    n, n_steps = len(images), len(GRIDS)
    given = np.stack([images * grid(k) for k in range(n_steps)], axis=1) / made.input_scale
    cost, further, lead = (np.zeros((n, n_steps)) for _ in range(3))
    winner = np.zeros((n, n_steps), np.int64)
    fan_out = {p.source: p.rule.sizes()[1] for p in made.network.projections.values()}
    n_neurons, biases = sum(SIZES[1:3]), sum(SIZES[1:])
    with Simulator(made.network, batch=1) as sim:
        for k in range(n_steps):
            found = sim.evaluate({INPUT: given[:, : k + 1]}, k + 1, stop_early=False)
            fired = {name: events for name, events in found.events.items() if name != INPUT}
            resets = sum(fired.values())
            for name, events in fired.items():
                further[:, k] += fan_out.get(name, 0) * (found.spikes[name] - events)
            updates = (k + 1) * (sum(SIZES[1:]) + 2 * n_neurons) + biases + resets
            pixels = sum(int(grid(j).sum()) for j in range(k + 1))
            asked = DECISION * min(k + 1, n_steps - 1)
            cost[:, k] = sum(found.additions.values()) + updates + pixels + asked
            scores = found.readout[:, -1]
            winner[:, k] = scores.argmax(axis=1)
            two = np.sort(scores, axis=1)[:, -2:]
            lead[:, k] = two[:, 1] - two[:, 0]
    return Stages(cost, further, winner, lead)


def chosen_margin(found: Stages, labels: np.ndarray, least: float) -> float:
    """The cheapest margin whose accuracy is at least `least`; where there is none, the most accurate."""
    margins = [0.0, *np.quantile(found.lead[:, :-1], np.linspace(0, 1, _MARGINS))]
    judged = [(*found.judged(margin, labels), margin) for margin in margins]
    good = [one for one in judged if one[0] >= least]
    return float(min(good, key=lambda one: one[1])[2] if good else max(judged)[2])


def early(
    made: Conversion,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    least: float,
) -> dict[str, Any]:
    """What stands in the results: the margin from validation images, everything else from the test images."""
    held = stages(made, validation)
    margin = chosen_margin(held, validation_labels, least)
    found = stages(made, images)
    accuracy, total = found.judged(margin, labels)
    n_steps = found.cost.shape[1]
    always = [float((found.winner[:, k] == labels).mean()) for k in range(n_steps)]
    return {
        "accuracy": accuracy,
        "total": total,
        "total_of_unit_spikes": total + float(found.at(margin, found.further).mean()),
        "validation": held.judged(margin, validation_labels)[0],
        "margin": margin,
        "stopped": np.bincount(found.stopping(margin), minlength=n_steps).tolist(),
        "after_each_grid": {"accuracy": always, "total": found.cost.mean(axis=0).tolist()},
    }
