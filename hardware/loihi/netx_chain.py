"""An integer network as the chain of layers that a NetX file can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnsim.distributions import Values
from snnsim.errors import TargetError
from snnsim.layer_neurons import LayerNeuron
from snnsim.layers import Conv, Dense, Into, SumPool, Window
from snnsim.models import Neuron
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

_LOW, _HIGH = -256, 255


@dataclass(frozen=True)
class Link:
    """A population and what leads to it.

    kind          input, dense, dense_rec or conv
    shape         [n] or [channels, rows, columns]
    fields        weights and geometry, by their names in a NetX file
    steps         delays beyond the first step: a number, or int[n_target, n_source], -1 without a weight
    """

    name: str
    kind: str
    unit: Neuron | LayerNeuron
    shape: tuple[int, ...]
    source_shape: tuple[int, ...]
    fields: dict[str, Any]
    steps: np.ndarray


def chain(network: Network) -> list[Link]:
    """From the input to the last population.  Raises TargetError for another form."""
    inputs = list(network.stimuli)
    if len(inputs) != 1 or not isinstance(network.stimuli[inputs[0]], Analogue):
        raise _unfit("a NetX network has one input", "stimuli", ", ".join(inputs), "one, analogue")
    sources: dict[str, set[str]] = {}
    for p in network.projections.values():
        if p.source != p.target:
            sources.setdefault(p.source, set()).add(p.target)
    links: list[Link] = []
    at = inputs[0]
    while at in sources:
        if len(sources[at]) > 1:
            got = f"it leads to {', '.join(sorted(sources[at]))}"
            raise _unfit("a NetX network is a chain", f"populations.{at}", got=got)
        (target,) = sources.pop(at)
        if any(link.name == target for link in links):
            raise _unfit("a NetX network is a chain", f"populations.{target}", got="a circle")
        links.append(_link(network, at, target))
        at = target
    rest = set(network.populations) - {link.name for link in links}
    if rest or sources:
        name = sorted(rest or sources)[0]
        raise _unfit("a NetX network is a chain", f"populations.{name}", got="it lies beside the chain")
    return links


def _link(network: Network, source: str, target: str) -> Link:
    into = {k: p for k, p in network.projections.items() if p.source == source and p.target == target}
    own = {k: p for k, p in network.projections.items() if p.source == p.target == target}
    population = network.populations[target]
    n, unit = population.n, population.unit
    rules = {type(p.rule) for p in into.values()}
    if rules == {Dense}:
        weight, steps = _dense(into)
        if own:
            weight_rec, steps_rec = _dense(own)
            if np.unique([*steps[steps >= 0], *steps_rec[steps_rec >= 0]]).size > 1:
                raise _unfit("delays of a recurrent layer", f"populations.{target}", expected="one for all")
            steps = np.array(max(steps.max(initial=0), steps_rec.max(initial=0)))
        fields = {"inFeatures": weight.shape[1], "outFeatures": n, "weight": weight}
        recurrent = {"weight_rec": weight_rec} if own else {}
        kind = "dense_rec" if own else "dense"
        return Link(target, kind, unit, (n,), (weight.shape[1],), fields | recurrent, steps)
    ((name, p),) = into.items() if len(into) == 1 else (("", None),)
    if own or p is None:
        raise _unfit("several projections that are not dense", f"populations.{target}", got=[*into, *own])
    where = f"projections.{name}"
    if isinstance(p.rule, Into) and source in network.stimuli and p.rule.n_source == n:
        if _delay(p, where) != 0 or p.weight != 1.0:
            raise _unfit("an input layer", where, expected="weight_mv = 1 and delay_ms = 0")
        shape = _map_of(network, target) or (n,)
        return Link(target, "input", unit, shape, shape, {}, np.zeros(()))
    if isinstance(p.rule, Conv | SumPool):
        shape = (p.rule.channels()[1], *p.rule.target_map())
        source_shape = (p.rule.channels()[0], p.rule.height, p.rule.width)
        if _delay(p, where) != 1:
            raise _unfit("a delay of a convolution", f"{where}.delay_ms", got=p.delay_ms, expected="1")
        return Link(target, "conv", unit, shape, source_shape, _geometry(p, where), np.zeros(()))
    raise _unfit("a connection that NetX files do not have", f"{where}.rule", got=p.rule.KIND,
                 expected="dense, conv or sum_pool")  # fmt: skip


def _dense(projections: dict[str, Projection]) -> tuple[np.ndarray, np.ndarray]:
    """(weights, steps beyond the first or -1) of projections that differ in their delays."""
    weight, steps = np.zeros(0), np.zeros(0)
    for name, p in projections.items():
        where = f"projections.{name}"
        if not isinstance(p.rule, Dense):
            raise _unfit("a recurrent connection that is not dense", f"{where}.rule", got=p.rule.KIND)
        part, delay = _whole(_number(p.weight) * p.rule.weight, where), _delay(p, where)
        if delay < 1:
            raise _unfit("a synapse takes a step", f"{where}.delay_ms", got=p.delay_ms, expected="at least 1")
        if weight.size == 0:
            weight, steps = part, np.where(part != 0, delay - 1, -1)
            continue
        if np.any((part != 0) & (steps >= 0)):
            raise _unfit("two synapses of one pair of neurons", where, fix="add their weights")
        weight = np.where(part != 0, part, weight)
        steps = np.where(part != 0, delay - 1, steps)
    return weight, steps


def _geometry(p: Projection, where: str) -> dict[str, Any]:
    rule = p.rule
    if isinstance(rule, Conv):
        weight, groups = _number(p.weight) * rule.weight, rule.groups
    elif isinstance(rule, SumPool) and not rule.ceil_mode:
        groups = rule.n_channels
        weight = np.full((groups, 1, *rule.kernel()), _number(p.weight))
    else:
        raise _unfit("windows that reach over the end", f"{where}.rule.ceil_mode", expected="false")
    window: Window = rule
    if (window.pad_top, window.pad_left) != (window.pad_bottom, window.pad_right):
        raise _unfit("padding that differs by side", f"{where}.rule", expected="the same on both sides")
    return {
        "inChannels": window.channels()[0], "outChannels": window.channels()[1], "groups": groups,
        "kernelSize": window.kernel(), "stride": (window.stride_h, window.stride_w),
        "padding": (window.pad_top, window.pad_left), "dilation": (window.dilation_h, window.dilation_w),
        "weight": _whole(weight, where),
    }  # fmt: skip


def _number(value: Values) -> float:
    """Weights and delays of layer rules are one number each."""
    if isinstance(value, int | float):
        return float(value)
    raise _unfit("a connection of layers needs one number", "projections", got=value)


def _whole(weight: np.ndarray, where: str) -> np.ndarray:
    bad = weight[(weight != np.rint(weight)) | (weight < _LOW) | (weight > _HIGH)]
    if bad.size:
        raise _unfit(
            "a weight that a synapse cannot hold", f"{where}.rule.weight", got=float(bad[0]),
            expected=f"whole numbers from {_LOW} to {_HIGH}", fix="quantise the network for loihi2",
        )  # fmt: skip
    return weight


def _delay(p: Projection, where: str) -> int:
    delay = _number(p.delay_ms)
    if delay != int(delay):
        raise _unfit("a delay between steps", f"{where}.delay_ms", got=delay, expected="whole steps of 1 ms")
    return int(delay)


def _map_of(network: Network, name: str) -> tuple[int, int, int] | None:
    for p in network.projections.values():
        if p.source == name and isinstance(p.rule, Window):
            return p.rule.channels()[0], p.rule.height, p.rule.width
    return None


def _unfit(problem: str, where: str, got: Any = None, expected: str = "", fix: str = "") -> TargetError:
    return TargetError(problem, where=where, got=got, expected=expected, fix=fix)
