"""A layered integer network on the core of tinyODIN: neurons from address 0 on, inputs behind them.

The core is no network of steps: a spike acts at once, in the order of addresses,
and a potential that passes its
threshold on the way is reset even where the sum of a step would not reach it.  What is placed is therefore to
be judged by TinyOdinCore, which the chip agrees with event for event.
"""

from __future__ import annotations

import numpy as np

from snnsim.converters.dense import apply
from snnsim.errors import TargetError
from snnsim.hardware.tinyodin import LEAK, THRESHOLD, WEIGHT, N, TinyOdinChip
from snnsim.integer_neurons import IntegerLIF
from snnsim.integer_rule import IntegerRule
from snnsim.kernels.event_core import HIGH, LOW
from snnsim.layers import LayerRule
from snnsim.network import Network
from snnsim.stimuli import Analogue

RULE = IntegerRule(decay="linear", v_low=LOW, v_high=HIGH, compare="reached", reset="zero")
"""The neuron of tinyODIN where a step has one spike: decay_v is its leak."""
_FIX = "quantise the network for this rule, with weights of 4 bits"


def place_tinyodin(network: Network) -> TinyOdinChip:
    """A chip with these neurons and weights.

    The network: Analogue inputs; populations of IntegerLIF with RULE; connections of layers with weights from
    -8 to 7 and delays of 0 or 1, which mean the same to the chip; up to 256 inputs and neurons in all.
    Raises TargetError with the place, the value, the limit and a way out for what does not fit.
    """
    sizes = {name: population.n for name, population in network.populations.items()}
    inputs = {name: s.n for name, s in network.stimuli.items() if isinstance(s, Analogue)}
    n, total = sum(sizes.values()), sum(sizes.values()) + sum(inputs.values())
    if total > N:
        raise TargetError(
            "more inputs and neurons than tinyODIN has addresses", where="populations", got=total,
            expected=f"at most {N}", fix="make the network smaller",
        )  # fmt: skip
    ends = np.cumsum([*sizes.values(), *inputs.values()])
    first = {name: int(end) - size for (name, size), end in zip((sizes | inputs).items(), ends, strict=True)}
    values = {key: np.zeros(N, np.int64) for key in ("potential", "threshold", "leak")}
    values["threshold"][:] = THRESHOLD[1]
    for name in sizes:
        at = slice(first[name], first[name] + sizes[name])
        for key, found in _parameters(network, name).items():
            values[key][at] = found
    return TinyOdinChip(
        weight=_weights(network, first), potential=values["potential"], threshold=values["threshold"],
        leak=values["leak"], disabled=np.arange(N) >= n, n_neurons=n,
        inputs={name: [*range(first[name], first[name] + size)] for name, size in inputs.items()},
        outputs={name: [*range(first[name], first[name] + size)] for name, size in sizes.items()},
    )  # fmt: skip


def _parameters(network: Network, name: str) -> dict[str, np.ndarray]:
    neuron, where = network.populations[name].unit, f"populations.{name}.neuron"
    if not isinstance(neuron, IntegerLIF) or neuron.rule != RULE:
        raise TargetError(
            "neurons that tinyODIN does not have", where=where, got=neuron.KIND,
            expected="integer_lif with the rule of snnsim.hardware.tinyodin_place", fix=_FIX,
        )  # fmt: skip
    for key in ("bias", "refractory"):
        if np.any(np.asarray(getattr(neuron, key))):
            raise TargetError(
                "tinyODIN has no such thing", where=f"{where}.{key}", got=getattr(neuron, key), expected="0",
                fix="use virtual events, or an input that always spikes" if key == "bias" else "leave it out",
            )  # fmt: skip
    found = {}
    limits = {
        "potential": ("v_init", LOW, HIGH), "threshold": ("threshold", *THRESHOLD),
        "leak": ("decay_v", *LEAK),
    }  # fmt: skip
    for key, (given, low, high) in limits.items():
        found[key] = np.asarray(getattr(neuron, given), np.int64)
        if np.any((found[key] < low) | (found[key] > high)):
            raise TargetError(
                "a number that tinyODIN cannot hold", where=f"{where}.{given}", got=getattr(neuron, given),
                expected=f"{low} to {high}", fix=_FIX,
            )  # fmt: skip
    return found


def _weights(network: Network, first: dict[str, int]) -> np.ndarray:
    weight = np.zeros((N, N))
    for link, p in network.projections.items():
        where = f"projections.{link}"
        if p.delay_ms not in (0.0, 1.0) or not isinstance(p.rule, LayerRule):
            raise TargetError(
                "tinyODIN has no delays", where=f"{where}.delay_ms", got=p.delay_ms, expected="0 or 1",
                fix="take the delays out before training",
            )  # fmt: skip
        n_source, n_target = p.rule.sizes()
        matrix = float(p.weight) * apply(p.rule, np.eye(n_source))  # type: ignore[arg-type]
        a, b = first[p.source], first[p.target]
        weight[a : a + n_source, b : b + n_target] += matrix
        wrong = weight[(weight < WEIGHT[0]) | (weight > WEIGHT[1]) | (weight != np.rint(weight))]
        if wrong.size:
            raise TargetError(
                "a weight that tinyODIN cannot hold", where=f"{where}.rule.weight", got=float(wrong[0]),
                expected=f"whole numbers from {WEIGHT[0]} to {WEIGHT[1]}", fix=_FIX,
            )  # fmt: skip
    return weight.astype(np.int64)
