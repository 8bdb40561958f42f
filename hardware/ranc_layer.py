"""What a population asks of RANC's cores: its neurons' numbers, and the weights of what arrives, checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters.dense import apply
from snnsim.errors import TargetError
from snnsim.hardware.ranc import HIGH, LOW, MOST_TICK
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layer_neurons import Relay
from snnsim.layers import LayerRule
from snnsim.network import Network

Unit = tuple[str, int]
"""Population or stimulus, and number in it."""


@dataclass
class Arrivals:
    """weight[neuron, column] of a population; column k comes from unit[k], `delay[k]` steps later."""

    weight: np.ndarray
    unit: list[Unit]
    delay: list[int]


def arrivals_of(network: Network, name: str) -> Arrivals:
    n, parts = network.populations[name].n, []
    unit: list[Unit] = []
    delay: list[int] = []
    for link, p in network.projections.items():
        if p.target != name:
            continue
        where = f"projections.{link}"
        steps, external = float(p.delay_ms), p.source in network.stimuli  # type: ignore[arg-type]
        least = 0 if external or isinstance(network.populations[name].unit, Relay) else 1
        if (
            not isinstance(p.rule, LayerRule)
            or steps != int(steps)
            or not least <= steps <= least + MOST_TICK
        ):
            raise TargetError(
                "a delay that RANC does not have", where=f"{where}.delay_ms", got=steps,
                expected=f"{least} to {least + MOST_TICK} whole steps",
                fix="put populations between that pass on",
            )  # fmt: skip
        n_source = p.rule.sizes()[0]
        matrix = float(p.weight) * apply(p.rule, np.eye(n_source)).T  # type: ignore[arg-type]
        wrong = matrix[(matrix < LOW) | (matrix > HIGH) | (matrix != np.rint(matrix))]
        if wrong.size:
            raise TargetError(
                "a weight that RANC does not have", where=f"{where}.rule.weight", got=float(wrong[0]),
                expected=f"whole numbers from {LOW} to {HIGH}", fix='quantise the network for "ranc"',
            )  # fmt: skip
        parts.append(matrix.astype(np.int64))
        unit += [(p.source, k) for k in range(n_source)]
        delay += [int(steps)] * n_source
    weight = np.concatenate(parts, axis=1) if parts else np.zeros((n, 0), np.int64)
    kept = np.flatnonzero(weight.any(axis=0))
    return Arrivals(weight[:, kept], [unit[k] for k in kept], [delay[k] for k in kept])


def parameters_of(network: Network, name: str) -> dict[str, np.ndarray]:
    """int64[n] of each number of the population's neurons."""
    population, where = network.populations[name], f"populations.{name}.neuron"
    neuron, rule = population.unit, RULES["ranc"]
    ways = {rule: 0, rule.replace(reset="zero"): 0, rule.replace(reset="subtract"): 1}
    linear = next(
        (mode for way, mode in ways.items() if isinstance(neuron, IntegerLIF) and neuron.rule == way), None
    )
    if not isinstance(neuron, IntegerLIF) or linear is None:
        raise TargetError(
            "neurons that RANC does not have", where=where, got=neuron.KIND,
            expected='integer_lif with RULES["ranc"], or the same with reset = "subtract"',
            fix='quantise the network for "ranc"',
        )  # fmt: skip
    for key in ("decay_v", "refractory"):
        if np.any(np.asarray(getattr(neuron, key))):
            raise TargetError(
                "RANC has no such thing", where=f"{where}.{key}", got=getattr(neuron, key), expected="0",
                fix="use a leak: a bias below 0 that takes the potential off",
            )  # fmt: skip
    given = {
        "potential": neuron.v_init, "leak": neuron.bias, "threshold": neuron.threshold, "linear": linear,
        "reset": neuron.v_reset if neuron.rule.reset == "value" else 0,
        "floor": LOW if neuron.floor is None else neuron.floor,
    }  # fmt: skip
    found = {}
    for key, value in given.items():
        found[key] = np.broadcast_to(np.asarray(value, np.int64), population.n)
        if np.any((found[key] < LOW) | (found[key] > HIGH)):
            wrong = found[key][(found[key] < LOW) | (found[key] > HIGH)][0]
            raise TargetError(
                "a number of more than 9 bits", where=f"{where}, {key}", got=int(wrong),
                expected=f"{LOW} to {HIGH}",
                fix='quantise the network for "ranc"',
            )  # fmt: skip
    return found
