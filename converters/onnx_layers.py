"""What each ONNX operator is in a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from snnsim.converters.advice import fix_for
from snnsim.converters.builder import GraphBuilder, Refusal
from snnsim.converters.graph import (
    Affine,
    AvgPool,
    Concat,
    Conv,
    Linear,
    MaxPool,
    Pool,
    ReLU,
    Shape,
    SumPool,
    as_float64,
)
from snnsim.converters.layer_rules import (
    Call,
    Value,
    arithmetic,
    clamp,
    global_pool,
    pair,
    permute,
    reshape,
)

Item = Value | np.ndarray | None
"""An activation, a constant, or an input that is left out."""


class Operator(NamedTuple):
    """One node of an ONNX graph whose constants are known."""

    builder: GraphBuilder
    path: str
    inputs: Sequence[Item]
    attributes: Mapping[str, Any]
    shape: Shape
    """Of the result, with the batch."""

    @property
    def call(self) -> Call:
        return Call(self.builder, self.path, {"input": self.inputs[0]}, self.shape)

    def activation(self, index: int = 0) -> Value:
        item = self.item(index)
        if not isinstance(item, Value):
            raise Refusal(
                "a constant where an activation is expected", "export the model with folded constants"
            )
        return item

    def constant(self, index: int) -> np.ndarray | None:
        item = self.item(index)
        if isinstance(item, Value):
            raise Refusal(f"input {index} is computed from the input of the model", "use fixed weights")
        return item

    def weight(self, index: int) -> np.ndarray:
        item = self.constant(index)
        if item is None:
            raise Refusal(f"input {index} is missing", "export the model again")
        return as_float64(item)

    def item(self, index: int) -> Item:
        return self.inputs[index] if index < len(self.inputs) else None


def _conv(op: Operator) -> Value:
    x, weight = op.activation(), op.weight(1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise Refusal(f"a convolution over {rank} axes", "use layers over one or two axes of space")
    weight = weight.reshape(*weight.shape[:2], *(1,) * (2 - rank), *weight.shape[2:])
    stride, padding, dilation = _window(op, x, (weight.shape[2], weight.shape[3]), rank)
    bias = np.zeros(len(weight)) if op.item(2) is None else op.weight(2)
    return op.call.add(
        Conv,
        x,
        weight=as_float64(weight),
        bias=as_float64(bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=int(op.attributes.get("group", 1)),
    )


def _window(
    op: Operator, x: Value, kernel: tuple[int, int], rank: int
) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    """(stride, padding, dilation) of a convolution or pool."""
    stride = pair(op.attributes.get("strides", [1] * rank), rank)
    dilation = pair(op.attributes.get("dilations", [1] * rank), rank)
    if min(*stride, *dilation, *kernel) < 1:
        raise Refusal("a window, stride or dilation below 1", "export the model again")
    auto = op.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        size = (1, x.shape[2]) if rank == 1 else (x.shape[2], x.shape[3])
        sides: list[int] = []
        for axis in range(2):
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            total = max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + reach - size[axis], 0)
            small, large = total // 2, total - total // 2
            sides += [small, large] if auto == "SAME_UPPER" else [large, small]
        return stride, (sides[0], sides[1], sides[2], sides[3]), dilation
    pads = [0] * (2 * rank) if auto == "VALID" else op.attributes.get("pads", [0] * (2 * rank))
    if rank == 1:
        pads = [0, pads[0], 0, pads[1]]
    if min(pads) < 0:
        raise Refusal("negative padding cuts the map", "use a stride or a smaller input instead")
    return stride, (int(pads[0]), int(pads[2]), int(pads[1]), int(pads[3])), dilation


def _gemm(op: Operator) -> Value:
    alpha, beta = float(op.attributes.get("alpha", 1.0)), float(op.attributes.get("beta", 1.0))
    if op.attributes.get("transA"):
        raise Refusal("a transposed activation", "export the model with nn.Linear")
    weight = op.weight(1) if op.attributes.get("transB") else op.weight(1).T
    bias = np.zeros(len(weight)) if op.item(2) is None else beta * op.weight(2)
    return _linear(op, alpha * weight, bias)


def _matmul(op: Operator) -> Value:
    if isinstance(op.item(0), Value) and isinstance(op.item(1), Value):
        raise Refusal("a product of two activations", fix_for("matmul"))
    return _linear(op, op.weight(1).T, np.zeros(op.weight(1).shape[-1]))


def _linear(op: Operator, weight: np.ndarray, bias: np.ndarray) -> Value:
    x = op.activation()
    if len(x.shape) != 2 or weight.ndim != 2:
        raise Refusal(
            f"a matrix product over the last axis of {tuple(x.shape)}",
            "flatten to (batch, features) before it, or use a convolution of size 1",
        )
    if bias.ndim > 1 and bias.shape[0] != 1 or bias.shape[-1:] not in ((), (1,), (len(weight),)):
        raise Refusal(f"a bias of shape {bias.shape}", f"use {len(weight)} numbers")
    bias = np.broadcast_to(bias.reshape(-1), len(weight))
    return op.call.add(Linear, x, weight=as_float64(weight), bias=as_float64(bias))


def _batch_norm(op: Operator) -> Value:
    if op.attributes.get("training_mode") or len(op.attributes.get("outputs", [""])) > 1:
        raise Refusal("batch normalisation with the statistics of the batch", "export in evaluation mode")
    scale, bias, mean, variance = (op.weight(index) for index in range(1, 5))
    scale = scale / np.sqrt(variance + float(op.attributes.get("epsilon", 1e-5)))
    return op.call.add(
        Affine, op.activation(), scale=as_float64(scale), shift=as_float64(bias - mean * scale)
    )


def _clip(op: Operator) -> Value:
    bounds: list[float | None] = []
    for index, key in ((1, "min"), (2, "max")):
        given = op.constant(index)
        bound = op.attributes.get(key) if given is None else float(np.asarray(given).reshape(()))
        bounds.append(None if bound is None or abs(bound) > 1e30 else bound)
    return clamp(op.call, op.activation(), *bounds)


def _pool(kind: type[Pool]) -> Callable[[Operator], Value]:
    def read(op: Operator) -> Value:
        x, rank = op.activation(), len(op.attributes["kernel_shape"])
        if rank not in (1, 2) or op.attributes.get("storage_order"):
            raise Refusal(f"pooling over {rank} axes", "use layers over one or two axes of space")
        if len(op.attributes.get("outputs", [""])) > 1:
            raise Refusal("its indices are used", "use the values of the pooling alone")
        kernel = pair(op.attributes["kernel_shape"], rank)
        stride, padding, dilation = _window(op, x, kernel, rank)
        fields: dict[str, Any] = {}
        if kind is AvgPool:
            fields["count_include_pad"] = bool(op.attributes.get("count_include_pad", 0))
        ceil = bool(op.attributes.get("ceil_mode", 0))
        fields |= {"padding": padding, "dilation": dilation, "ceil_mode": ceil}
        return op.call.add(kind, x, kernel=kernel, stride=stride, **fields)

    return read


def _global(kind: type[Pool]) -> Callable[[Operator], Value]:
    def read(op: Operator) -> Value:
        x = op.activation()
        if len(x.shape) not in (3, 4):
            raise Refusal(f"global pooling of {tuple(x.shape)}", "use it on feature maps")
        return global_pool(op.call, x, kind)

    return read


def _reduce(kind: type[Pool]) -> Callable[[Operator], Value]:
    def read(op: Operator) -> Value:
        x, given = op.activation(), op.constant(1)
        rank = len(x.shape)
        axes = (
            op.attributes.get("axes")
            if given is None
            else [int(axis) for axis in np.asarray(given).reshape(-1)]
        )
        if rank not in (3, 4) or sorted(a % rank for a in axes or range(rank)) != list(range(2, rank)):
            raise Refusal(f"a reduction over the axes {axes} of {tuple(x.shape)}", "reduce over all of space")
        return global_pool(op.call, x, kind)

    return read


def _binary(sign: str) -> Callable[[Operator], Value]:
    return lambda op: arithmetic(op.call, op.item(0), op.item(1), sign)


def _sum(op: Operator) -> Value:
    total = op.activation()
    for index in range(1, len(op.inputs)):
        total = arithmetic(op.call, total, op.item(index), "+")
    return total


def _concat(op: Operator) -> Value:
    if int(op.attributes["axis"]) % len(op.shape) != 1:
        raise Refusal("joining along something else than channels", "use axis 1")
    return op.call.add(Concat, *(op.activation(index) for index in range(len(op.inputs))))


def _pad(op: Operator) -> Value:
    x, given = op.activation(), op.constant(1)
    mode, value = op.attributes.get("mode", "constant"), op.constant(2)
    pads = (
        op.attributes.get("pads") if given is None else [int(side) for side in np.asarray(given).reshape(-1)]
    )
    filled = float(op.attributes.get("value", 0.0)) if value is None else float(np.asarray(value).reshape(()))
    rank = len(x.shape)
    if mode != "constant" or filled != 0.0:
        raise Refusal(f"padding with something else than zeros (mode {mode!r})", "pad with zeros")
    if (
        pads is None
        or op.item(3) is not None
        or len(pads) != 2 * rank
        or any(pads[i] for i in (0, 1, rank, rank + 1))
    ):
        raise Refusal("padding of channels or samples", "pad rows and columns only")
    before, after = pads[2:rank], pads[rank + 2 :]
    if rank == 3:
        before, after = [0, *before], [0, *after]
    return Value(op.builder.pad(op.path, x.name, (before[0], after[0], before[1], after[1])), op.shape)


def _transpose(op: Operator) -> Value:
    order = op.attributes.get("perm", reversed(range(len(op.shape))))
    return permute(op.call, [int(axis) for axis in order])


def _dropout(op: Operator) -> Value:
    training = op.constant(2)
    if training is not None and bool(np.asarray(training).reshape(())):
        raise Refusal("dropout that stays active", "export the model in evaluation mode")
    return op.activation()


def _cast(op: Operator) -> Value:
    if op.attributes.get("to") not in (1, 10, 11, 16):  # float32, float16, float64, bfloat16
        raise Refusal("a conversion to whole numbers", "keep floating point numbers")
    return op.activation()


OPERATORS: dict[str, Callable[[Operator], Value]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "Relu": lambda op: op.call.add(ReLU, op.activation()),
    "Clip": _clip,
    "AveragePool": _pool(AvgPool),
    "MaxPool": _pool(MaxPool),
    "GlobalAveragePool": _global(AvgPool),
    "GlobalMaxPool": _global(MaxPool),
    "ReduceMean": _reduce(AvgPool),
    "ReduceSum": _reduce(SumPool),
    "ReduceMax": _reduce(MaxPool),
    "Add": _binary("+"),
    "Sub": _binary("-"),
    "Mul": _binary("*"),
    "Div": _binary("/"),
    "Sum": _sum,
    "Neg": lambda op: arithmetic(op.call, op.activation(), -1.0, "*"),
    "Concat": _concat,
    "Pad": _pad,
    "Transpose": _transpose,
    **dict.fromkeys(["Flatten", "Reshape", "Squeeze", "Unsqueeze"], lambda op: reshape(op.call)),
    "Identity": lambda op: op.activation(),
    "Dropout": _dropout,
    "Cast": _cast,
}
