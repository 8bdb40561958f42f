"""What each ATen operation of a traced torch model is in a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from snnsim.converters.builder import Refusal
from snnsim.converters.graph import (
    Affine,
    AvgPool,
    Concat,
    Conv,
    Linear,
    MaxPool,
    Pool,
    ReLU,
    SumPool,
    as_float64,
)
from snnsim.converters.layer_rules import (
    Call,
    Value,
    arithmetic,
    clamp,
    global_pool,
    graph_shape,
    pair,
    permute,
    reshape,
)


def _conv(call: Call) -> Value:
    x, weight, bias = call.activation(), call.constant("weight"), call.constant("bias")
    if weight is None or call.given.get("transposed"):
        raise Refusal(
            "a transposed convolution", "use a convolution with stride 1, or train without upsampling"
        )
    rank = weight.ndim - 2
    if rank > 2:
        raise Refusal("a three-dimensional convolution", "use Conv1d or Conv2d")
    if len(x.shape) != rank + 2:
        raise Refusal("a convolution over an input without batch", "give the model a batch of samples")
    weight = weight.reshape(*weight.shape[:2], *(1,) * (2 - rank), *weight.shape[2:])
    dilation = pair(call.given["dilation"], rank)
    return call.add(
        Conv,
        x,
        weight=as_float64(weight),
        bias=as_float64(np.zeros(len(weight)) if bias is None else bias),
        stride=pair(call.given["stride"], rank),
        padding=_conv_padding(call.given["padding"], weight.shape[2:], dilation, rank),
        dilation=dilation,
        groups=int(call.given["groups"]),
    )


def _conv_padding(
    padding: Any, kernel: tuple[int, ...], dilation: tuple[int, int], rank: int
) -> tuple[int, int, int, int]:
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":  # torch puts the odd row and column below and on the right
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    return _both_sides(padding, rank)


def _both_sides(padding: Any, rank: int) -> tuple[int, int, int, int]:
    rows, columns = pair(padding, rank)
    if rank == 1:
        rows = 0
    return rows, rows, columns, columns


def _linear(call: Call) -> Value:
    given = dict(call.given)
    if "mat1" in given:  # addmm: bias + x W
        given = {"input": given["mat1"], "weight": given["mat2"], "bias": given["self"], "right": True}
    elif "mat2" in given or "other" in given:
        given = {"input": given["self"], "weight": given.get("mat2", given.get("other")), "right": True}
    call = call._replace(given=given)
    if not isinstance(given["input"], Value) or isinstance(given["weight"], Value):
        raise Refusal("a product of two activations, or of a constant and an activation", "use nn.Linear")
    x, weight, bias = call.activation(), call.constant("weight"), call.constant("bias")
    if weight is None or weight.ndim != 2:
        raise Refusal("a matrix product that is no linear layer", "use nn.Linear")
    weight = weight.T if given.get("right") else weight
    if len(x.shape) != 2:
        raise Refusal(
            f"a linear layer over the last axis of {tuple(x.shape)}",
            "flatten to (batch, features) before it, or use a convolution of size 1",
        )
    bias = np.zeros(len(weight)) if bias is None else np.broadcast_to(bias, len(weight))
    return call.add(Linear, x, weight=as_float64(weight), bias=as_float64(bias))


def _batch_norm(call: Call) -> Value:
    x, mean, variance = call.activation(), call.constant("running_mean"), call.constant("running_var")
    if mean is None or variance is None or call.given.get("training") or call.given.get("train"):
        raise Refusal(
            "batch normalisation with the statistics of the batch",
            "train with track_running_stats=True, and call model.eval()",
        )
    weight, bias = call.constant("weight"), call.constant("bias")
    scale = (1.0 if weight is None else weight) / np.sqrt(variance + float(call.given["eps"]))
    shift = (0.0 if bias is None else bias) - mean * scale
    return call.add(Affine, x, scale=as_float64(scale), shift=as_float64(shift))


def _clamp(call: Call) -> Value:
    low = call.given.get("min_val", call.given.get("min"))
    high = call.given.get("max_val", call.given.get("max"))
    bounds = [None if bound is None else np.asarray(bound, dtype=np.float64) for bound in (low, high)]
    if any(bound is not None and bound.size != 1 for bound in bounds):
        raise Refusal("bounds that differ between units", "use one number for each bound")
    return clamp(call, call.activation(), *(None if b is None else float(b.reshape(())) for b in bounds))


def _threshold(call: Call) -> Value:
    if float(call.given["threshold"]) != 0.0 or float(call.given["value"]) != 0.0:
        raise Refusal("a threshold other than (0, 0)", "use ReLU")
    return call.add(ReLU, call.activation())


def _pool(kind: type[Pool], rank: int) -> Callable[[Call], Value]:
    def read(call: Call) -> Value:
        given, x = call.given, call.activation()
        if len(x.shape) != rank + 2:
            raise Refusal("pooling over an input without batch", "give the model a batch of samples")
        kernel = pair(given["kernel_size"], rank)
        stride = pair(given["stride"], rank) if given["stride"] else kernel
        fields: dict[str, Any] = {}
        if kind is MaxPool:
            fields["dilation"] = pair(given["dilation"], rank)
        else:
            fields["count_include_pad"] = bool(given["count_include_pad"])
            divisor = given.get("divisor_override")
            fields["divisor"] = None if divisor is None else float(divisor)
        padding, ceil = _both_sides(given["padding"], rank), bool(given["ceil_mode"])
        return call.add(kind, x, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil, **fields)

    return read


def _adaptive(kind: type[Pool], rank: int) -> Callable[[Call], Value]:
    def read(call: Call) -> Value:
        x = call.activation()
        if len(x.shape) != rank + 2:
            raise Refusal("pooling over an input without batch", "give the model a batch of samples")
        have, want = graph_shape(x.shape)[1:], graph_shape(call.shape)[1:]
        if any(a % b for a, b in zip(have, want, strict=True)):
            raise Refusal(
                f"adaptive pooling from {have} to {want} with windows of different sizes",
                "use an output size that divides the map",
            )
        kernel = (have[0] // want[0], have[1] // want[1])
        return call.add(kind, x, kernel=kernel, stride=kernel)

    return read


def _reduce(kind: type[Pool]) -> Callable[[Call], Value]:
    def read(call: Call) -> Value:
        x, axes = call.activation(), call.given.get("dim")
        rank = len(x.shape)
        axes = [axes] if isinstance(axes, int) else list(axes or range(rank))
        if rank not in (3, 4) or sorted(axis % rank for axis in axes) != list(range(2, rank)):
            raise Refusal(
                f"a reduction over the axes {axes} of {tuple(x.shape)}", "reduce over all of space: (2, 3)"
            )
        return global_pool(call, x, kind)

    return read


def _transpose(call: Call) -> Value:
    rank = len(call.activation().shape)
    order = list(range(rank))
    a, b = int(call.given.get("dim0", 0)) % rank, int(call.given.get("dim1", 1)) % rank
    order[a], order[b] = b, a
    return permute(call, order)


def _permute(call: Call) -> Value:
    rank = len(call.activation().shape)
    return permute(call, [int(axis) % rank for axis in call.given["dims"]])


def _whole(call: Call) -> Value:
    """Operations that are identities when they keep the shape."""
    x = call.activation()
    if tuple(x.shape) != tuple(call.shape) or int(call.given.get("step", 1)) != 1:
        raise Refusal(f"a part of {tuple(x.shape)}, or a repetition", "use whole activations")
    return x


def _identity(call: Call) -> Value:
    dtype = call.given.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise Refusal(f"a conversion to {dtype}", "keep floating point numbers inside the model")
    return call.activation()


def _dropout(call: Call) -> Value:
    if call.given.get("train"):
        raise Refusal("dropout that stays active", "use nn.Dropout, or F.dropout(x, training=self.training)")
    return call.activation()


def _pad(call: Call) -> Value:
    if call.given.get("mode", "constant") != "constant" or (call.given.get("value") or 0.0) != 0.0:
        raise Refusal(
            f"padding with something else than zeros (mode {call.given.get('mode', 'constant')!r})",
            "use padding_mode='zeros' or nn.ZeroPad2d",
        )
    x, sides = call.activation(), [int(side) for side in call.given["pad"]] + [0] * 6
    if any(sides[2 * (len(x.shape) - 2) :]):
        raise Refusal("padding of channels or samples", "pad rows and columns only")
    padding = (sides[2], sides[3], sides[0], sides[1])
    return Value(call.builder.pad(call.path, x.name, padding), call.shape)


def _binary(sign: str, swapped: bool = False) -> Callable[[Call], Value]:
    def read(call: Call) -> Value:
        if call.given.get("rounding_mode"):
            raise Refusal("a rounded division", "divide without rounding")
        left, right = call.given["self"], call.given["other"]
        left, right = (right, left) if swapped else (left, right)
        return arithmetic(call, left, right, sign, float(call.given.get("alpha", 1.0)))

    return read


def _concat(call: Call) -> Value:
    parts = call.given["tensors"]
    if not all(isinstance(part, Value) for part in parts):
        raise Refusal("a constant joined to an activation", "join activations only")
    if int(call.given.get("dim", 0)) % len(call.shape) != 1:
        raise Refusal("joining along something else than channels", "use dim=1")
    return call.add(Concat, *parts)


LAYERS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d", "convolution"], _conv),
    **dict.fromkeys(["linear", "addmm", "mm", "matmul", "bmm"], _linear),
    **dict.fromkeys(["batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"], _batch_norm),
    **dict.fromkeys(["_native_batch_norm_legit", "native_batch_norm"], _batch_norm),
    "_native_batch_norm_legit_functional": _batch_norm,
    "relu": lambda call: call.add(ReLU, call.activation()),
    "relu6": lambda call: call.add(ReLU, call.activation(), cap=6.0),
    **dict.fromkeys(["hardtanh", "clamp", "clip", "clamp_min", "clamp_max"], _clamp),
    "threshold": _threshold,
    "max_pool1d": _pool(MaxPool, 1),
    "max_pool2d": _pool(MaxPool, 2),
    "max_pool1d_with_indices": _pool(MaxPool, 1),
    "max_pool2d_with_indices": _pool(MaxPool, 2),
    "avg_pool1d": _pool(AvgPool, 1),
    "avg_pool2d": _pool(AvgPool, 2),
    "adaptive_avg_pool1d": _adaptive(AvgPool, 1),
    "adaptive_avg_pool2d": _adaptive(AvgPool, 2),
    "_adaptive_avg_pool2d": _adaptive(AvgPool, 2),
    "adaptive_max_pool1d": _adaptive(MaxPool, 1),
    "adaptive_max_pool2d": _adaptive(MaxPool, 2),
    "mean": _reduce(AvgPool),
    "sum": _reduce(SumPool),
    "amax": _reduce(MaxPool),
    **dict.fromkeys(["flatten", "view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten"], reshape),
    **dict.fromkeys(["squeeze", "unsqueeze", "view_copy", "squeeze_copy", "unsqueeze_copy"], reshape),
    **dict.fromkeys(["transpose", "t", "swapaxes", "numpy_T"], _transpose),
    "permute": _permute,
    **dict.fromkeys(["slice", "expand", "narrow", "expand_as"], _whole),
    **dict.fromkeys(
        ["clone", "alias", "detach", "contiguous", "to", "_to_copy", "lift_fresh_copy"], _identity
    ),
    **dict.fromkeys(["dropout", "feature_dropout", "alpha_dropout", "native_dropout"], _dropout),
    **dict.fromkeys(["pad", "constant_pad_nd"], _pad),
    "add": _binary("+"),
    "sub": _binary("-"),
    "rsub": _binary("-", swapped=True),
    "mul": _binary("*"),
    "div": _binary("/"),
    "neg": lambda call: arithmetic(call, call.activation(), -1.0, "*"),
    **dict.fromkeys(["cat", "concat", "concatenate"], _concat),
}
