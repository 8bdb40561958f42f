"""An ONNX file into a graph, operator by operator, and checked by its output."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.converters.advice import fix_for
from snnsim.converters.builder import GraphBuilder, Refusal
from snnsim.converters.graph import Graph, Input, check_parity
from snnsim.converters.layer_rules import Value, graph_shape
from snnsim.converters.onnx_constants import known_shapes
from snnsim.converters.onnx_file import import_onnx, load_model, sized
from snnsim.converters.onnx_layers import OPERATORS, Item, Operator
from snnsim.errors import ConversionError

TOLERANCE = 1e-5


def read_onnx(path: Path | str) -> Graph:
    """The graph of an ONNX model with one input [batch, *shape] and one output.

    The values of the graph equal those of onnxruntime (where it is installed, else of the reference
    evaluator of onnx) for random inputs, to 1e-5 of the largest output. A softmax at the output is left
    out, with a note.
    Raises FileError: missing, damaged, too large, or weights outside its folder; ConversionError: nodes
    that cannot be converted (all are named, each with its operator and a fix), or another output.
    """
    onnx = import_onnx()
    path = Path(path)
    model = load_model(onnx, path)
    model, shape = sized(onnx, model, path)
    reader = _Reader(onnx, model, path, shape)
    graph = reader.read()
    _compare(onnx, model, graph, reader, shape)
    return graph


class _Reader:
    def __init__(self, onnx: Any, model: Any, path: Path, shape: tuple[int, ...]) -> None:
        self.onnx = onnx
        self.graph = model.graph
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.builder = GraphBuilder(str(path))
        self.shapes = known_shapes(self.graph)
        weights = self.graph.initializer
        self.items: dict[str, Item] = {w.name: onnx.numpy_helper.to_array(w) for w in weights}
        self.input = next(entry.name for entry in self.graph.input if entry.name not in self.items)
        self.output = self.graph.output[0].name
        self.builder.nodes.append(Input("input", f"{self.input} (Input)", (), graph_shape(shape)))
        self.items |= {self.input: Value("input", shape), "": None}

    def read(self) -> Graph:
        for number, node in enumerate(self.graph.node):
            path = f"{node.name or node.output[0] or number} ({node.op_type})"
            inputs = [self.items.get(name) for name in node.input]
            outputs = [name for name in node.output if name]
            try:
                found = self._node(node, path, inputs)
            except Refusal as refusal:
                self.builder.refuse(path, refusal)
                found = None
            for name in outputs:
                self.items[name] = found if found is not None else self._unknown(path, name)
                found = None if len(outputs) > 1 else found
        output = self.items.get(self.graph.output[0].name)
        return self.builder.finish(output.name if isinstance(output, Value) else None)

    def _node(self, node: Any, path: str, inputs: list[Item]) -> Item:
        if node.domain not in ("", "ai.onnx"):
            raise Refusal(f"an operator of the domain {node.domain}", "export with standard operators")
        attributes = {a.name: self._attribute(a) for a in node.attribute}
        attributes["outputs"] = [name for name in node.output if name and self._used(name)]
        shape = self.shapes.get(node.output[0], ())
        if node.op_type in ("Softmax", "LogSoftmax"):
            return self._softmax(node, path, inputs[0], attributes)
        if node.op_type not in OPERATORS:
            raise Refusal(f"the operator {node.op_type} has no counterpart", fix_for(node.op_type))
        if not shape:
            raise Refusal(
                f"{node.op_type}: its shape is not known", "export with fixed shapes, only the batch free"
            )
        try:
            result = OPERATORS[node.op_type](Operator(self.builder, path, inputs, attributes, shape))
        except Refusal as refusal:
            fix = refusal.fix or fix_for(node.op_type)
            raise Refusal(f"{node.op_type}: {refusal.problem}", fix) from refusal
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise Refusal(
                f"{node.op_type}: invalid attributes ({error})", "export the model again"
            ) from error
        if self.builder.shape(result.name) != graph_shape(shape):
            have = self.builder.shape(result.name)
            raise Refusal(f"{node.op_type}: the shape {have} should be {graph_shape(shape)}", "export again")
        return Value(result.name, shape)

    def _softmax(self, node: Any, path: str, item: Item, attributes: dict[str, Any]) -> Value:
        at_output = node.output[0] == self.graph.output[0].name and not self._consumed(node.output[0])
        axis = int(attributes.get("axis", -1 if self.opsets.get("", 13) >= 13 else 1))
        if not at_output or not isinstance(item, Value) or len(item.shape) != 2 or axis not in (-1, 1):
            raise Refusal(f"{node.op_type}: not over the classes at the output", fix_for("softmax"))
        self.output = node.input[0]
        self.builder.notes.append(f"{path}: left out at the output; the graph gives the scores before it")
        return item

    def _attribute(self, attribute: Any) -> Any:
        if attribute.type in (attribute.GRAPH, attribute.GRAPHS):
            raise Refusal("a branch or loop", fix_for("if"))
        value = self.onnx.helper.get_attribute_value(attribute)
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def _consumed(self, name: str) -> bool:
        return any(name in node.input for node in self.graph.node)

    def _used(self, name: str) -> bool:
        return self._consumed(name) or any(name == output.name for output in self.graph.output)

    def _unknown(self, path: str, name: str) -> Value:
        shape = self.shapes.get(name) or (1, 1)
        return Value(self.builder.unknown(path, graph_shape(shape)), shape)


def _compare(onnx: Any, model: Any, graph: Graph, reader: _Reader, shape: tuple[int, ...]) -> None:
    """ConversionError unless the graph computes what the file does, for random inputs."""
    inputs = np.random.default_rng(0).uniform(-1.0, 1.0, size=shape).astype(np.float32)
    names: dict[str, str] = {}
    for name, item in reader.items.items():
        if isinstance(item, Value) and name != reader.input:
            names.setdefault(item.name, name)
    wanted = {node.name: names[node.name] for node in graph.nodes if node.name in names}
    wanted[graph.output.name] = reader.output
    run = _run_reference(onnx, model, {reader.input: inputs}, sorted(set(wanted.values())))
    check_parity(graph, {node: run[name] for node, name in wanted.items()}, inputs, TOLERANCE)


def _run_reference(
    onnx: Any, model: Any, feeds: dict[str, np.ndarray], names: list[str]
) -> dict[str, np.ndarray]:
    """Values of the file's own names, from onnxruntime or else from the reference of onnx."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    known = {entry.name: entry for entry in [*model.graph.value_info, *model.graph.output]}
    copy.graph.output.extend(known[name] for name in names)
    kind = next(entry for entry in model.graph.input if entry.name in feeds).type.tensor_type.elem_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    feeds = {name: value.astype(dtype) for name, value in feeds.items()}
    try:
        return dict(zip(names, _run_onnxruntime(copy.SerializeToString(), names, feeds), strict=True))
    except Exception:  # not installed, or an operator that it lacks: the reference is slow but complete
        try:
            return dict(zip(names, onnx.reference.ReferenceEvaluator(copy).run(names, feeds), strict=True))
        except Exception as error:
            raise ConversionError(
                f"the model cannot be run for comparison ({str(error)[:200]})",
                where=str(model.graph.name or "ONNX model"),
                fix="export the model again",
                code="conversion.parity",
            ) from error


def _run_onnxruntime(model: bytes, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Fused kernels of the optimiser would hide values between nodes.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(names, feeds))
