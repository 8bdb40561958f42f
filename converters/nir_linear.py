"""The nodes of a NIR graph without memory: what each does to a signal, as a sparse map and a constant.

    Affine W x + b     Linear W x     Scale s x     Delay x(t - delay)     Flatten, nested ports: x
    Conv1d, Conv2d     as torch means them: no flipping; groups, dilation, padding a number, "same" or "valid"
    SumPool2d, AvgPool2d    the padding counts as zeros, also in the mean

Signals are numbered as numpy flattens their shape: (channels, rows, columns), the last fastest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from snnsim.converters.nir_file import NirNode
from snnsim.converters.sparse_map import SparseMap, check_entries, sliding_window, window_result
from snnsim.errors import FileError

Shape = tuple[int, ...]
MAX_UNITS = 20_000_000
PORT = "port"  # an Input or Output of a nested graph


@dataclass(frozen=True)
class Operator:
    """What a node does: the shape of its result, and a function that makes its map and constant."""

    shape: Shape
    build: Callable[[], tuple[SparseMap, np.ndarray]]


def bad(node: NirNode, problem: str, got: object = None, expected: str = "") -> FileError:
    """The error for values of a node that cannot be."""
    where = f"{node.path} ({node.kind})"
    return FileError(problem, where=where, got=got, expected=expected, code="file.not_nir")


def operator(node: NirNode, shape: Shape) -> Operator:
    """What the node does to a signal of this shape.  Raises FileError where they do not fit."""
    found = _OPERATORS[node.kind](node, shape)
    if prod(found.shape) > MAX_UNITS:
        raise bad(node, "too many units", got=found.shape, expected=f"at most {MAX_UNITS}")
    return found


def is_linear(node: NirNode) -> bool:
    """Is it a node without memory?"""
    return node.kind in _OPERATORS


def whole(node: NirNode, key: str, n: int, default: int, low: int) -> tuple[int, ...]:
    """`n` whole numbers >= low; one stands for all."""
    value = node.values.get(key, np.array(float(default))).ravel()
    if value.size not in (1, n) or np.any(value != np.rint(value)) or np.any(np.abs(value) > 2**31):
        raise bad(node, f"{key} is not whole numbers", got=value.tolist(), expected=f"1 or {n}")
    if np.any(value < low):
        raise bad(node, f"{key} is out of range", got=value.tolist(), expected=f">= {low}")
    return tuple(int(v) for v in np.broadcast_to(value, n))


def _passes(node: NirNode, shape: Shape) -> Operator:
    n = prod(shape)
    return Operator(shape, lambda: (SparseMap.identity(n), np.zeros(n)))


def _flatten(node: NirNode, shape: Shape) -> Operator:
    rank = len(shape)
    (first,), (last,) = whole(node, "start_dim", 1, 1, -rank), whole(node, "end_dim", 1, -1, -rank)
    first, last = (d + rank if d < 0 else d for d in (first, last))
    if first < 0 or last >= rank:
        raise bad(node, "no such dimension", got=(first, last), expected=f"those of {shape}")
    if first >= last:
        return _passes(node, shape)
    return _passes(node, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def _matrix(node: NirNode, shape: Shape) -> Operator:
    weight = node.values["weight"]
    if weight.ndim < 2 or weight.size == 0:
        raise bad(node, "the weight is not a matrix", got=weight.shape, expected="[..., out, in]")
    blocks, n_out, n_in = prod(weight.shape[:-2]), *weight.shape[-2:]
    if prod(shape) != blocks * n_in:
        raise bad(node, "the weight does not fit its input", got=weight.shape, expected=f"one for {shape}")
    out = (*weight.shape[:-2], n_out)
    bias = _fitting(node, "bias", out) if node.kind == "Affine" else np.zeros(blocks * n_out)

    def build() -> tuple[SparseMap, np.ndarray]:
        check_entries(weight.size, node.path)
        block, target, source = np.indices((blocks, n_out, n_in)).reshape(3, -1)
        made = SparseMap.of(block * n_out + target, block * n_in + source, weight.ravel(), blocks * n_out)
        return made, bias

    return Operator(out, build)


def _fitting(node: NirNode, key: str, shape: Shape) -> np.ndarray:
    """A parameter, flat, with one value for each unit."""
    value = node.values[key]
    try:
        return np.broadcast_to(value.reshape(shape) if value.size == prod(shape) else value, shape).ravel()
    except ValueError as error:
        raise bad(node, f"{key} does not fit its input", got=value.shape, expected=str(shape)) from error


def _scale(node: NirNode, shape: Shape) -> Operator:
    factor, n = _fitting(node, "scale", shape), prod(shape)
    return Operator(shape, lambda: (SparseMap.identity(n).scaled(factor), np.zeros(n)))


def _delay(node: NirNode, shape: Shape) -> Operator:
    seconds, n = _fitting(node, "delay", shape), prod(shape)
    if np.any(seconds < 0):
        raise bad(node, "a negative delay", got=float(seconds.min()), expected=">= 0")
    return Operator(shape, lambda: (SparseMap.identity(n).delayed(seconds), np.zeros(n)))


def _convolution(node: NirNode, shape: Shape) -> Operator:
    rank = 1 if node.kind == "Conv1d" else 2
    weight = node.values["weight"]
    if weight.ndim != rank + 2 or weight.size == 0:
        raise bad(node, "not a kernel", got=weight.shape, expected=f"{rank + 2} dimensions")
    (groups,) = whole(node, "groups", 1, 1, 1)
    if weight.shape[0] % groups:
        raise bad(node, "the channels do not divide into the groups", got=groups)
    source = _as_map(node, shape, weight.shape[1] * groups, rank)
    kernel = (1, *weight.shape[2:])[-2:]
    stride, dilation = (_pair(whole(node, key, rank, 1, 1)) for key in ("stride", "dilation"))
    padding = _padding(node, rank, source[1:], kernel, stride, dilation)
    rows, columns = window_result(source, kernel, stride, padding, dilation, node.path)
    c_out = weight.shape[0]
    out = (c_out, columns) if rank == 1 else (c_out, rows, columns)
    bias = _fitting(node, "bias", (c_out,)) if "bias" in node.values else np.zeros(c_out)

    def build() -> tuple[SparseMap, np.ndarray]:
        kernel_4d = weight.reshape(*weight.shape[:2], *kernel)
        made = sliding_window(source, kernel_4d, groups, stride, padding, dilation, node.path)
        return made, np.repeat(bias, rows * columns)

    return Operator(out, build)


def _pool(node: NirNode, shape: Shape) -> Operator:
    kernel = whole(node, "kernel_size", 2, 1, 1)
    stride, pad = whole(node, "stride", 2, 1, 1), whole(node, "padding", 2, 0, 0)
    if len(shape) != 3:
        raise bad(node, "pooling of what is not a map", got=shape, expected="(channels, rows, columns)")
    source, padding = (shape[0], shape[1], shape[2]), (pad[0], pad[0], pad[1], pad[1])
    rows, columns = window_result(source, kernel, stride, padding, (1, 1), node.path)  # type: ignore[arg-type]
    each = 1.0 / prod(kernel) if node.kind == "AvgPool2d" else 1.0

    def build() -> tuple[SparseMap, np.ndarray]:
        check_entries(shape[0] * prod(kernel) * rows * columns, node.path)
        weight = np.full((shape[0], 1, *kernel), each)
        made = sliding_window(source, weight, shape[0], stride, padding, (1, 1), node.path)  # type: ignore[arg-type]
        return made, np.zeros(made.n_target)

    return Operator((shape[0], rows, columns), build)


def _as_map(node: NirNode, shape: Shape, c_in: int, rank: int) -> tuple[int, int, int]:
    """(channels, rows, columns) of the input; the file's `input_shape` where that came as a flat vector."""
    if len(shape) != rank + 1 and "input_shape" in node.values:
        shape = (c_in, *whole(node, "input_shape", rank, 1, 1)) if prod(shape) == c_in * prod(
            whole(node, "input_shape", rank, 1, 1)
        ) else shape  # fmt: skip
    if len(shape) != rank + 1 or shape[0] != c_in:
        raise bad(node, "the weight does not fit its input", got=shape, expected=f"a map of {c_in} channels")
    return (shape[0], 1, shape[1]) if rank == 1 else (shape[0], shape[1], shape[2])


def _padding(
    node: NirNode, rank: int, size: tuple[int, int], kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[int, int, int, int]:
    """top, bottom, left, right.  With "same" the result has ceil(size / stride) rows; the odd one is last."""
    word = node.words.get("padding")
    if word not in (None, "same", "valid"):
        raise bad(node, "unknown padding", got=word, expected='"same", "valid" or numbers')
    if word is None:
        rows, columns = (0, *whole(node, "padding", rank, 0, 0))[-2:]
        return rows, rows, columns, columns
    if word == "valid":
        return 0, 0, 0, 0
    total = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2


def _pair(values: Shape) -> tuple[int, int]:
    return (1, values[0]) if len(values) == 1 else (values[0], values[1])


_OPERATORS: dict[str, Callable[[NirNode, Shape], Operator]] = {
    "Affine": _matrix,
    "Linear": _matrix,
    "Scale": _scale,
    "Delay": _delay,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Output": _passes,
    PORT: _passes,
}
