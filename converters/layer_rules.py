"""What readers of source formats share: activations with their batch, and rules for operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from snnsim.converters.builder import GraphBuilder, Refusal
from snnsim.converters.graph import Add, Affine, Flatten, Node, Pool, ReLU, Shape, as_float64


class Value(NamedTuple):
    """An activation: the node that computes it, and its shape in the source model, with the batch."""

    name: str
    shape: Shape


class Call(NamedTuple):
    """One operation of a source model on activations."""

    builder: GraphBuilder
    path: str
    given: Mapping[str, Any]
    shape: Shape
    """Of the result, with the batch."""

    def add(self, kind: type[Node], *inputs: Value, **fields: Any) -> Value:
        return Value(
            self.builder.add(kind, self.path, [value.name for value in inputs], **fields), self.shape
        )

    def activation(self, key: str = "input") -> Value:
        value = self.given.get(key, self.given.get("self"))
        if not isinstance(value, Value):
            raise Refusal("a constant where an activation is expected", "compute constants before the model")
        return value

    def constant(self, key: str) -> np.ndarray | None:
        """A weight in float64; None when it is not given."""
        value = self.given.get(key)
        if isinstance(value, Value):
            raise Refusal(f"the {key} is computed from the input", "use fixed weights")
        return None if value is None else as_float64(np.asarray(value, dtype=np.float64))


def graph_shape(shape: Shape) -> Shape:
    """The shape in a graph of an activation with the batch in front."""
    return (shape[1], 1, shape[2]) if len(shape) == 3 else tuple(shape[1:])


def pair(value: Any, rank: int) -> tuple[int, int]:
    """A number or list of torch for windows over `rank` axes, as (rows, columns)."""
    numbers = [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
    numbers = numbers * rank if len(numbers) == 1 else numbers
    return (1, numbers[0]) if rank == 1 else (numbers[0], numbers[1])


def clamp(call: Call, x: Value, low: float | None, high: float | None) -> Value:
    """min(max(x, low), high) as a ReLU, where it is one."""
    producer = next(node for node in call.builder.nodes if node.name == x.name)
    if low is None or low < 0.0:
        if not isinstance(producer, ReLU) or high is None:
            raise Refusal(f"values between {low} and {high}: not a ReLU", "use bounds (0, c), ReLU or ReLU6")
        # min(ReLU(x), c) is one capped ReLU of x.
        high = high if producer.cap is None else min(high, producer.cap)
        x = Value(producer.inputs[0], x.shape)
    elif low > 0.0:
        raise Refusal(f"a lower bound of {low:g}", "use bounds (0, c), ReLU or ReLU6")
    if high is not None and not high > 0.0:
        raise Refusal(f"an upper bound of {high:g}", "use a positive upper bound")
    return call.add(ReLU, x, cap=None if high is None or np.isinf(high) else high)


def global_pool(call: Call, x: Value, kind: type[Pool]) -> Value:
    """One window over the whole map, then the shape that the source model gives it."""
    size = graph_shape(x.shape)[1:]
    pooled = call.builder.add(kind, call.path, [x.name], kernel=size, stride=size)
    flat = graph_shape(call.shape)
    if len(flat) == 3:
        return Value(pooled, call.shape)
    return Value(call.builder.add(Flatten, f"{call.path[:-1]}, flat)", [pooled], shape=flat), call.shape)


def reshape(call: Call) -> Value:
    """Any operation that leaves the order of the values."""
    x = call.activation()
    if x.shape[:1] != call.shape[:1]:
        raise Refusal(
            f"a reshape from {tuple(x.shape)} to {tuple(call.shape)} that mixes the samples of the batch",
            "keep axis 0: use x.flatten(1)",
        )
    return Value(call.builder.reshape(call.path, x.name, graph_shape(call.shape)), call.shape)


def permute(call: Call, order: list[int]) -> Value:
    """A permutation of axes, where only axes of size 1 move."""
    x = call.activation()
    long = [axis for axis in order if x.shape[axis] > 1]
    if long != sorted(long):
        raise Refusal(
            f"a permutation {tuple(order)} of the axes of {tuple(x.shape)}",
            "keep the order (batch, channels, rows, columns); permute the data before the model",
        )
    return reshape(call)


def arithmetic(call: Call, left: Any, right: Any, sign: str, alpha: float = 1.0) -> Value:
    """left + alpha right, left - alpha right, left * right or left / right."""
    if isinstance(left, Value) and isinstance(right, Value):
        if sign in "*/":
            raise Refusal(
                "a product or quotient of two activations",
                "use fixed weights: gates and attention have no rule",
            )
        other = right.name
        factor = alpha if sign == "+" else -alpha
        if factor != 1.0:
            other = _affine(call, right, factor, 0.0)
        return Value(call.builder.add(Add, call.path, [left.name, other]), call.shape)
    x = left if isinstance(left, Value) else right
    constant = np.asarray(right if isinstance(left, Value) else left, dtype=np.float64)
    channels = _per_channel(constant, x)
    ones = np.ones_like(channels)
    if sign == "+":
        scale, shift = (ones, alpha * channels) if isinstance(left, Value) else (alpha * ones, channels)
    elif sign == "-":
        scale, shift = (ones, -alpha * channels) if isinstance(left, Value) else (-alpha * ones, channels)
    elif sign == "*":
        scale, shift = channels, 0.0 * ones
    elif isinstance(left, Value):
        scale, shift = 1.0 / channels, 0.0 * ones
    else:
        raise Refusal("a division by an activation", "use fixed weights")
    return Value(_affine(call, x, scale, shift), call.shape)


def _affine(call: Call, x: Value, scale: Any, shift: Any) -> str:
    channels = graph_shape(x.shape)[:1]
    scale, shift = (as_float64(np.broadcast_to(part, channels)) for part in (scale, shift))
    return call.builder.add(Affine, call.path, [x.name], scale=scale, shift=shift)


def _per_channel(constant: np.ndarray, x: Value) -> np.ndarray:
    """The constant as one number a channel (or one for all), by the rules of broadcasting."""
    full = (1,) * (len(x.shape) - constant.ndim) + constant.shape
    if len(full) != len(x.shape) or full[0] != 1 or any(size != 1 for size in full[2:]):
        raise Refusal(
            f"a constant of shape {constant.shape} on an activation of shape {tuple(x.shape)}",
            "use one number, or one for each channel",
        )
    if full[1] not in (1, x.shape[1]):
        raise Refusal("a constant that widens the channels", "use one number for each channel")
    return constant.reshape(-1)
