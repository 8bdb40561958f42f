"""What an ONNX model computes from constants and from shapes alone, computed before it is read."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

MAX_ELEMENTS = 2**26
"""Of all constants computed here together; a small file can ask for much more."""
_SHAPED_BY_INPUT = {"ConstantOfShape": 0, "Expand": 1}
"""Operators whose result is as large as an input says, and which input."""
_FOLDED = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "Constant",
        "Div",
        "Equal",
        "Flatten",
        "Floor",
        "Gather",
        "Identity",
        "Max",
        "Min",
    ]
    + ["Mul", "Neg", "Pow", "Reciprocal", "ReduceProd", "Reshape", "Size", "Slice", "Sqrt", "Squeeze", "Sub"]
    + ["Transpose", "Unsqueeze", "Where", *_SHAPED_BY_INPUT]
)


def fold_constants(onnx: Any, model: Any) -> Any:
    """The model with the shapes of its values, where nodes that depend on constants alone are weights.

    Shapes that are computed inside of the model become known this way, step by step.
    """
    budget = MAX_ELEMENTS
    while True:
        model = onnx.shape_inference.infer_shapes(model, check_type=True, data_prop=True)
        budget, n_folded = _fold_once(onnx, model, budget)
        if not n_folded:
            return model


def known_shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all values whose shape is known in full."""
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in [*graph.value_info, *graph.output, *graph.input]:
        tensor = entry.type.tensor_type
        if tensor.HasField("shape") and all(axis.HasField("dim_value") for axis in tensor.shape.dim):
            shapes[entry.name] = tuple(axis.dim_value for axis in tensor.shape.dim)
    return shapes


def _fold_once(onnx: Any, model: Any, budget: int) -> tuple[int, int]:
    graph = model.graph
    constants = {weight.name: onnx.numpy_helper.to_array(weight) for weight in graph.initializer}
    shapes, outputs = known_shapes(graph), {entry.name for entry in graph.output}
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    kept = []
    for node in graph.node:
        value = None
        if len(node.output) == 1 and node.domain in ("", "ai.onnx") and node.output[0] not in outputs:
            value = _value(onnx, node, constants, shapes, opsets, budget)
        if value is None:
            kept.append(node)
            continue
        budget -= value.size
        constants[node.output[0]] = value
        graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
    n_folded = len(graph.node) - len(kept)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    return budget, n_folded


def _value(
    onnx: Any,
    node: Any,
    constants: dict[str, np.ndarray],
    shapes: dict[str, tuple[int, ...]],
    opsets: dict[str, int],
    budget: int,
) -> np.ndarray | None:
    """The value of a node, or None where it is not constant, or would be too large."""
    if node.op_type == "Shape" and node.input[0] in shapes and node.input[0] not in constants:
        span = {attribute.name: attribute.i for attribute in node.attribute}
        return np.array(shapes[node.input[0]][span.get("start", 0) : span.get("end")], dtype=np.int64)
    names = [name for name in node.input if name]
    if node.op_type not in _FOLDED | {"Shape"} or not all(name in constants for name in names):
        return None
    arrays = [constants[name] for name in names]
    if any(attribute.type in (attribute.GRAPH, attribute.GRAPHS) for attribute in node.attribute):
        return None
    try:
        if _size(node.op_type, arrays) > budget:
            return None
        evaluator = onnx.reference.ReferenceEvaluator(node, opsets=opsets)
        return np.asarray(evaluator.run(None, dict(zip(names, arrays, strict=True)))[0])
    except Exception:  # the reference raises whatever numpy does; the reader names the node then
        return None


def _size(operator: str, arrays: list[np.ndarray]) -> int:
    """An upper bound of the elements that an operator gives."""
    if operator in _SHAPED_BY_INPUT:
        wanted = arrays[_SHAPED_BY_INPUT[operator]].astype(object).reshape(-1)
        return int(prod(max(int(size), 1) for size in wanted)) * max(arrays[0].size, 1)
    if operator in ("Gather",):
        return int(prod(arrays[0].shape)) * int(prod(arrays[1].shape))
    if operator in ("Concat", "Constant"):
        return sum(array.size for array in arrays)
    try:
        return int(prod(np.broadcast_shapes(*(array.shape for array in arrays))))
    except ValueError:  # no operator that broadcasts
        return sum(array.size for array in arrays)
