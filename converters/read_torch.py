"""A trained torch model into a graph: traced, read operation by operation, checked by its output."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.converters.advice import MODULE_FIXES, fix_for
from snnsim.converters.builder import GraphBuilder, Refusal
from snnsim.converters.graph import Graph, Input, check_parity
from snnsim.converters.layer_rules import Call, Value, graph_shape
from snnsim.converters.torch_layers import LAYERS
from snnsim.converters.torch_trace import Traced, evaluation_mode, import_torch, load_torch_file, trace
from snnsim.errors import ConversionError

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-5
"""Largest deviation from the model, relative to the largest output (the model counts in float32)."""
_CONTAINERS = re.compile(r"torch\.nn\.modules\.(container|transformer|module)\.")


def read_torch(model: torch.nn.Module, example: np.ndarray | torch.Tensor) -> Graph:
    """The graph of a torch model, in evaluation mode, with the operations on samples like `example`.

    example   [n, *shape], n samples as the model takes them
    The values of the graph equal those of the model for the example (to 1e-5 of the largest output).
    A softmax at the output is left out, with a note. The model itself is not changed.
    Raises ConversionError: the model fails on the example, cannot be traced, holds operations that
    cannot be converted (all are named, each with its path and a fix), or computes something else.
    """
    torch = import_torch()
    if not isinstance(model, torch.nn.Module):
        raise ConversionError(
            "not a torch model",
            where="model",
            got=type(model).__name__,
            expected="a torch.nn.Module",
            code="conversion.model",
        )
    with torch.no_grad(), evaluation_mode(model):
        return _read(trace(model, example), type(model).__name__)


class _Reader:
    def __init__(self, traced: Traced, source: str) -> None:
        self.traced = traced
        self.builder = GraphBuilder(source)
        self.values: dict[str, Any] = {}
        self.final = ""
        # "softmax" or "log_softmax" where one was dropped at the output

    def read(self) -> Graph:
        for node in self.traced.module.graph.nodes:
            if node.op == "placeholder":
                shape = tuple(node.meta["val"].shape)
                self.builder.nodes.append(Input("input", "input (Input)", (), graph_shape(shape)))
                self.values[node.name] = Value("input", shape)
            elif node.op == "get_attr":
                self.values[node.name] = operator.attrgetter(node.target)(self.traced.module)
            elif node.op == "call_function":
                self.values[node.name] = self._call(node)
            elif node.op == "output":
                return self.builder.finish(self._output(node))
        raise ConversionError("the model has no output", where=self.builder.source, code="conversion.empty")

    def _call(self, node: Any) -> Any:
        operation = _operation(node.target)
        args = self._resolve(node.args)
        kwargs = self._resolve(node.kwargs)
        if node.target is operator.getitem:
            return (
                args[0][args[1]] if isinstance(args[0], list | tuple) and args[1] < len(args[0]) else args[0]
            )
        if operation.startswith("_assert"):
            return None
        path = _path(node, operation)
        try:
            if not _has_activation([args, kwargs]):
                return self._constant(node, operation, args, kwargs)
            return self._layer(node, operation, path, args, kwargs)
        except Refusal as refusal:
            self.builder.refuse(path, refusal)
            return self._unknown(path, node.meta.get("val"))

    def _layer(self, node: Any, operation: str, path: str, args: Any, kwargs: Any) -> Any:
        module = path.rpartition(" (")[2][:-1]
        for name, fix in MODULE_FIXES.items():
            if module.startswith(name):
                raise Refusal(f"{module} cannot be converted", fix)
        if operation in ("softmax", "log_softmax", "_softmax", "_log_softmax"):
            return self._softmax(node, operation, path, args)
        if operation not in LAYERS:
            raise Refusal(f"the operation {operation} has no counterpart", fix_for(operation))
        value = node.meta["val"]
        several = isinstance(value, list | tuple)
        shape = tuple((value[0] if several else value).shape)
        schema = node.target._schema.arguments
        given = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
        given |= {argument.name: arg for argument, arg in zip(schema, args, strict=False)} | kwargs
        try:
            result = LAYERS[operation](Call(self.builder, path, given, shape))
        except Refusal as refusal:
            raise Refusal(f"{operation}: {refusal.problem}", refusal.fix or fix_for(operation)) from refusal
        have = self.builder.shape(result.name)
        if have != graph_shape(shape):
            raise Refusal(f"{operation}: the shape {have} should be {graph_shape(shape)}", fix_for(operation))
        if several and any(user.args[1] != 0 for user in node.users):
            raise Refusal(f"{operation}: its indices are used", "use the values of the pooling alone")
        return (result,) if several else result

    def _softmax(self, node: Any, operation: str, path: str, args: Any) -> Any:
        shape = args[0].shape
        at_output = all(user.op == "output" for user in node.users)
        if not at_output or len(shape) != 2 or args[1] % 2 != 1:
            raise Refusal(f"{operation}: not over the classes at the output", fix_for(operation))
        self.final = operation.removeprefix("_")
        self.builder.notes.append(f"{path}: left out at the output; the graph gives the scores before it")
        return args[0]

    def _constant(self, node: Any, operation: str, args: Any, kwargs: Any) -> Any:
        torch = import_torch()
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise Refusal(f"{operation}: random numbers", fix_for("rand"))
        if operation in ("copy_", "copy") or not callable(node.target):
            raise Refusal("the model keeps a state that changes with each call", fix_for("lstm"))
        return node.target(*args, **kwargs)

    def _unknown(self, path: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._unknown(path, part) for part in value]
        shape = tuple(getattr(value, "shape", (1, 1)))
        if not all(isinstance(size, int) for size in shape):  # depends on the data
            shape = (1, 1)
        return Value(self.builder.unknown(path, graph_shape(shape)), shape)

    def _output(self, node: Any) -> str | None:
        outputs = self._resolve(node.args)
        while isinstance(outputs, list | tuple) and not isinstance(outputs, Value) and len(outputs) == 1:
            outputs = outputs[0]
        if isinstance(outputs, Value):
            return outputs.name
        self.builder.refuse(
            "output",
            Refusal("the model has no single output", "return one tensor that is computed from the input"),
        )
        return None

    def _resolve(self, value: Any) -> Any:
        if hasattr(value, "op") and hasattr(value, "target"):
            return self.values.get(value.name)
        if isinstance(value, Mapping):
            return {key: self._resolve(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._resolve(part) for part in value]
        return value


def _read(traced: Traced, source: str) -> Graph:
    reader = _Reader(traced, source)
    graph = reader.read()
    inputs = traced.example.detach().double().numpy()
    values = graph.evaluate(inputs)[graph.output.name]
    expected = traced.output.detach().double().numpy()
    if reader.final:
        values = values - values.max(axis=1, keepdims=True)
        values = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
        values = np.exp(values) if reader.final == "softmax" else values
    scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
    if not np.isfinite(expected).all():
        raise ConversionError(
            "the output of the model is not a number",
            where=source,
            fix="check weights and example",
            code="conversion.not_finite",
        )
    flat = values.reshape(len(values), -1) if values.size == expected.size else np.full(1, np.inf)
    if not np.max(np.abs(flat - expected.reshape(len(values), -1)), initial=0.0) / scale <= TOLERANCE:
        known = traced.intermediates()
        reference: dict[str, np.ndarray] = {}
        for name, value in reader.values.items():
            if isinstance(value, Value) and name in known:
                reference.setdefault(value.name, known[name])
        check_parity(graph, reference, inputs, TOLERANCE)
        raise ConversionError(
            "the model gives another output each time, or does not compute what its trace says",
            where=source,
            fix="remove randomness and state from forward()",
            code="conversion.parity",
        )
    return graph


def _operation(target: Any) -> str:
    """The name of an operation without namespace and overload: "conv2d"."""
    name = getattr(target, "_opname", None) or getattr(target, "__name__", str(target))
    return str(name).split(".")[-1]


def _path(node: Any, operation: str) -> str:
    """The place in the model: the module's path and class, or the operation where it is a plain function."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    place, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    place = re.sub(r"@\d+", "", str(place)) or "model"
    if kind.startswith("torch.nn.modules.") and not _CONTAINERS.match(kind):
        operation = kind.rpartition(".")[2]
    return f"{place} ({operation})"


def _has_activation(value: Any) -> bool:
    if isinstance(value, Value):
        return True
    if isinstance(value, Mapping):
        return any(_has_activation(part) for part in value.values())
    return isinstance(value, list | tuple) and any(_has_activation(part) for part in value)


def read_torch_file(path: Path | str, builder: str, example: np.ndarray | torch.Tensor) -> Graph:
    """`read_torch` of the model that "package.module:function" builds, with the weights of a state_dict file.

    Raises what `load_torch_file` and `read_torch` raise.
    """
    return read_torch(load_torch_file(path, builder), example)
