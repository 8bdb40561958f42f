"""ONNX files for tests, node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnsim.converters import graph as g


def save_mlp(graph: g.Graph, path: Path) -> Path:
    """A graph of linear layers with ReLU between as an ONNX file; skips where onnx is missing."""
    onnx = pytest.importorskip("onnx", reason="needs the extra `convert`")
    helper = onnx.helper
    nodes, weights, last = [], [], "x"
    for node in graph.nodes[1:]:
        if isinstance(node, g.Linear):
            for kind, value in (("w", node.weight), ("b", node.bias)):
                tensor = onnx.numpy_helper.from_array(value.astype(np.float32), f"{kind}_{node.name}")
                weights.append(tensor)
            names = [last, f"w_{node.name}", f"b_{node.name}"]
            nodes.append(helper.make_node("Gemm", names, [node.name], name=node.name, transB=1))
        else:
            nodes.append(helper.make_node("Relu", [last], [node.name], name=node.name))
        last = node.name
    first, size = graph.input.shape[0], graph.output.shape[0]
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", first])
    out = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, ["n", size])
    model = helper.make_model(
        helper.make_graph(nodes, "mlp", [given], [out], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path
