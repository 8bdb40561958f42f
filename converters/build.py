"""From the graph of a trained network to a layered spiking one, whatever the neurons are.

The value of a node is a sum of terms: what a population emits, times a scale for each channel.  Additions
and joins only collect terms, so they need no neurons of their own; a linear operation turns terms into
currents; an activation becomes a population that these currents enter.

    value[offset + k] = sum over terms of  scale[channel of k] * (sum of the amounts that unit k emitted)

Averages become populations that pass on sums, and max pooling one that passes on the change of the maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np

from snnsim.converters import graph as g
from snnsim.errors import ConversionError
from snnsim.layer_neurons import LayerNeuron, Maximum, Readout, Relay
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, SumPool
from snnsim.models import Neuron
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

INPUT = "input"


class Coding(Protocol):
    """What an activation becomes."""

    @property
    def input_scale(self) -> float:
        """Value of one unit of input amount."""

    @property
    def bias_steps(self) -> int | None:
        """How many steps have a bias; None for all."""

    def scale(self, node: g.ReLU) -> np.ndarray:
        """float64[channels]: the value of one spike of each channel."""

    def neuron(self, node: g.ReLU, bias: np.ndarray) -> Neuron | LayerNeuron:
        """The neurons of an activation; bias float64[n] is part of the value, once or in each step."""


@dataclass(frozen=True)
class _Term:
    population: str
    scale: np.ndarray  # float64[channels of the source]
    shape: tuple[int, ...]  # of the source
    offset: int  # where unit 0 of the source stands


_Current = tuple[str, LayerRule, float]  # population, rule, weight of its connections


@dataclass(frozen=True)
class _Value:
    """Terms, or currents with a bias."""

    terms: tuple[_Term, ...] = ()
    currents: tuple[_Current, ...] = ()
    bias: np.ndarray | None = None


@dataclass
class _Parts:
    populations: dict[str, Population] = field(default_factory=dict)
    projections: dict[str, Projection] = field(default_factory=dict)

    def add(self, name: str, n: int, neuron: Neuron | LayerNeuron) -> None:
        self.populations[name] = Population(n=n, neuron=cast(Neuron, neuron))

    def connect(self, target: str, currents: tuple[_Current, ...]) -> None:
        for source, rule, weight in currents:
            name = f"{source}_to_{target}"
            count = sum(link.startswith(name) for link in self.projections)
            self.projections[f"{name}_{count}" if count else name] = Projection(
                source=source, target=target, rule=rule, weight_mv=weight, delay_ms=0.0
            )


def build(graph: g.Graph, coding: Coding) -> Network:
    """A layered network with one population for each activation, and a readout.

    Raises ConversionError for what no population can hold.
    """
    parts = _Parts()
    values: dict[str, _Value] = {}
    for node in graph.nodes:
        values[node.name] = _value(node, [values[name] for name in node.inputs], parts, coding)
    last = graph.nodes[-1]
    currents, bias = _currents(last, values[last.name])
    parts.add("readout", _size(last.shape), Readout(bias_mv=bias, bias_steps=coding.bias_steps))
    parts.connect("readout", currents)
    first = graph.nodes[0]
    return Network(
        stimuli={INPUT: Analogue(n=_size(first.shape))},
        populations=parts.populations,
        projections=parts.projections,
    )


def _value(node: g.Node, inputs: list[_Value], parts: _Parts, coding: Coding) -> _Value:
    match node:
        case g.Input():
            scale = np.full(node.shape[0], coding.input_scale)
            return _Value((_Term(INPUT, scale, node.shape, 0),))
        case g.Linear():
            return _Value(currents=_dense(node, _terms(node, inputs[0])), bias=node.bias)
        case g.Conv():
            return _Value(currents=_conv(node, _terms(node, inputs[0])), bias=_spread(node.bias, node.shape))
        case g.Affine():
            currents = tuple(_channelwise(node, t, node.scale) for t in _terms(node, inputs[0]))
            return _Value(currents=currents, bias=_spread(node.shift, node.shape))
        case g.ReLU():
            currents, bias = _currents(node, inputs[0])
            parts.add(node.name, _size(node.shape), coding.neuron(node, bias))
            parts.connect(node.name, currents)
            return _Value((_Term(node.name, coding.scale(node), node.shape, 0),))
        case g.Flatten():
            return inputs[0]
        case g.Add():
            if all(value.terms for value in inputs):
                return _Value(tuple(t for value in inputs for t in value.terms))
            sums = [_currents(node, value) for value in inputs]
            bias = np.sum([one for _, one in sums], axis=0)
            return _Value(currents=tuple(c for s, _ in sums for c in s), bias=bias)
        case g.Concat():
            return _joined(node, inputs)
        case g.AvgPool() | g.SumPool():
            return _summed(node, _terms(node, inputs[0]), parts)
        case g.MaxPool():
            return _largest(node, _terms(node, inputs[0]), parts)
    raise ConversionError("an operation without a spiking form", where=node.path, got=type(node).__name__)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def _spread(per_channel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """float64[n]: the value of each unit's channel."""
    return np.repeat(per_channel, _size(shape[1:]))


def _terms(node: g.Node, value: _Value) -> tuple[_Term, ...]:
    if not value.terms:
        raise ConversionError(
            "two linear operations follow each other without an activation",
            where=node.path,
            fix="merge them into one, or put a ReLU between",
        )
    return value.terms


def _currents(node: g.Node, value: _Value) -> tuple[tuple[_Current, ...], np.ndarray]:
    """A value as currents into a population of its shape, and the bias."""
    n = _size(node.shape)
    found: list[_Current] = []
    if not value.terms:
        return value.currents, np.zeros(n) if value.bias is None else value.bias
    for t in value.terms:
        if np.all(t.scale == t.scale[0]):
            rule = Into(n_source=_size(t.shape), n_target=n, offset=t.offset)
            found.append((t.population, rule, float(t.scale[0])))
        else:
            found.append(_channelwise(node, t, np.ones(node.shape[0])))
    return tuple(found), np.zeros(n)


def _channelwise(node: g.Node, term: _Term, factor: np.ndarray) -> _Current:
    """A term times a factor for each channel, as a convolution of one point."""
    if _size(term.shape) != _size(node.shape):
        raise ConversionError(
            "a part of a joined map with a scale for each channel is added",
            where=node.path,
            fix="convert with one threshold for each layer",
        )
    c, h, w = _map(term.shape)
    weight = (term.scale * factor)[:, None, None, None]
    return term.population, Conv(weight=weight, groups=c, height=h, width=w), 1.0


def _map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A vector is a map of one point."""
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def _dense(node: g.Linear, terms: tuple[_Term, ...]) -> tuple[_Current, ...]:
    found = []
    for t in terms:
        scale = _spread(t.scale, t.shape)
        weight = node.weight[:, t.offset : t.offset + scale.size] * scale
        found.append((t.population, Dense(weight=weight), 1.0))
    return tuple(found)


def _conv(node: g.Conv, terms: tuple[_Term, ...]) -> tuple[_Current, ...]:
    if node.groups > 1 and len(terms) > 1 and any(t.offset or len(t.scale) != _channels(node) for t in terms):
        raise ConversionError(
            "a grouped convolution of a joined map",
            where=node.path,
            fix="put an activation behind the concatenation",
        )
    found = []
    for t in terms:
        c, h, w = _map(t.shape)
        low = t.offset // (h * w)
        if node.groups == 1:
            weight = node.weight[:, low : low + c] * t.scale[None, :, None, None]
        else:
            grouped = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
            scale = t.scale.reshape(node.groups, 1, -1, 1, 1)
            weight = (grouped * scale).reshape(node.weight.shape)
        top, bottom, left, right = node.padding
        rule = Conv(
            weight=weight, groups=node.groups, height=h, width=w, stride_h=node.stride[0],
            stride_w=node.stride[1], pad_top=top, pad_bottom=bottom, pad_left=left, pad_right=right,
            dilation_h=node.dilation[0], dilation_w=node.dilation[1],
        )  # fmt: skip
        found.append((t.population, rule, 1.0))
    return tuple(found)


def _channels(node: g.Conv) -> int:
    return int(node.weight.shape[1] * node.groups)


def _joined(node: g.Concat, inputs: list[_Value]) -> _Value:
    found, offset = [], 0
    for value in inputs:
        terms = _terms(node, value)
        found += [_Term(t.population, t.scale, t.shape, t.offset + offset) for t in terms]
        offset += max(t.offset + _size(t.shape) for t in terms)
    return _Value(tuple(found))


def _summed(node: g.AvgPool | g.SumPool, terms: tuple[_Term, ...], parts: _Parts) -> _Value:
    window = _window(node)
    divisor = 1.0
    if isinstance(node, g.AvgPool):
        if not node.count_include_pad and any(node.padding):
            raise ConversionError(
                "an average whose divisor differs at the border",
                where=node.path,
                fix="use count_include_pad = True, or no padding",
            )
        divisor = float(node.divisor or node.kernel[0] * node.kernel[1])
    found = []
    for number, t in enumerate(terms):
        c, h, w = _map(t.shape)
        name = node.name if number == 0 else f"{node.name}_{number}"
        rule = SumPool(n_channels=c, height=h, width=w, **window)
        shape = (c, *rule.target_map())
        parts.add(name, _size(shape), Relay())
        parts.connect(name, ((t.population, rule, 1.0),))
        offset = t.offset // (h * w) * _size(shape[1:])
        found.append(_Term(name, t.scale / divisor, shape, offset))
    return _Value(tuple(found))


def _largest(node: g.MaxPool, terms: tuple[_Term, ...], parts: _Parts) -> _Value:
    if len({t.offset for t in terms}) != len(terms):
        raise ConversionError(
            "the maximum of a sum of two maps",
            where=node.path,
            fix="put an activation behind the addition",
        )
    found = []
    for number, t in enumerate(terms):
        c, h, w = _map(t.shape)
        name = node.name if number == 0 else f"{node.name}_{number}"
        rule = MaxPool(n_channels=c, height=h, width=w, **_window(node))
        shape = (c, *rule.target_map())
        parts.add(name, _size(shape), Maximum())
        parts.connect(name, ((t.population, rule, 1.0),))
        found.append(_Term(name, t.scale, shape, t.offset // (h * w) * _size(shape[1:])))
    return _Value(tuple(found))


def _window(node: g.AvgPool | g.SumPool | g.MaxPool) -> dict[str, Any]:
    top, bottom, left, right = node.padding
    dilation = getattr(node, "dilation", (1, 1))
    return {
        "kernel_h": node.kernel[0], "kernel_w": node.kernel[1],
        "stride_h": node.stride[0], "stride_w": node.stride[1],
        "pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right,
        "dilation_h": dilation[0], "dilation_w": dilation[1], "ceil_mode": bool(node.ceil_mode),
    }  # fmt: skip
