"""Graphs of ONNX files compute what the files compute; what is unsafe or not convertible is refused."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnsim.converters.fold import fold_batchnorm
from snnsim.errors import ConversionError, FileError, SnnError

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install 'snnsim[convert]')")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from snnsim.converters import read_onnx as module  # noqa: E402
from snnsim.converters.read_onnx import read_onnx  # noqa: E402

RANDOM = np.random.default_rng(11)
Step = tuple[str, dict[str, Any], list[np.ndarray]]


def _model(steps: list[Any], shape: list[Any], opset: int = 21) -> Any:
    """A chain: each step is (operator, attributes, constant inputs), or a node made by hand."""
    nodes, weights, last = [], [], "x"
    for number, step in enumerate(steps):
        if not isinstance(step, tuple):
            nodes.append(step)
            last = step.output[0]
            continue
        kind, attributes, constants = step
        names = []
        for index, constant in enumerate(constants):
            names.append(f"w{number}_{index}")
            weights.append(numpy_helper.from_array(np.asarray(constant), names[-1]))
        nodes.append(
            helper.make_node(kind, [last, *names], [f"y{number}"], name=f"node{number}", **attributes)
        )
        last = f"y{number}"
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    return _with_output(model, last)


def _with_output(model: Any, name: str) -> Any:
    """The checker asks for the rank of the output."""
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0]
    known = inferred.type.tensor_type.HasField("shape")
    model.graph.output[0].CopyFrom(
        inferred if known else helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b"])
    )
    return model


def _save(tmp_path: Path, model: Any) -> Path:
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "model.onnx"


def _w(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def _positive(*shape: int) -> np.ndarray:
    return RANDOM.uniform(0.5, 2.0, size=shape).astype(np.float32)


def _i(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _f(value: float) -> np.ndarray:
    return np.float32(value)


def _conv(out: int, channels: int, *kernel: int, **attributes: Any) -> Step:
    return "Conv", attributes, [_w(out, channels, *kernel), _w(out)]


CHAINS: dict[str, tuple[list[Any], list[int], str]] = {
    "cnn": (
        [
            _conv(4, 2, 3, 3, pads=[1, 1, 1, 1]),
            ("BatchNormalization", {}, [_w(4), _w(4), _w(4), _positive(4)]),
            ("Relu", {}, []),
            ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, []),
            ("Flatten", {}, []),
            ("Gemm", {"transB": 1, "alpha": 0.5, "beta": 2.0}, [_w(3, 64), _w(3)]),
            ("Softmax", {}, []),
        ],
        [2, 8, 8],
        "Conv ReLU MaxPool Flatten Linear",
    ),
    "mlp": (
        [
            ("MatMul", {}, [_w(5, 4)]),
            ("Add", {}, [_w(4)]),
            ("Clip", {}, [_f(0), _f(0.5)]),
            ("Dropout", {}, []),
            ("Gemm", {}, [_w(4, 3)]),
        ],
        [5],
        "Linear ReLU Linear",
    ),
    "same upper": ([_conv(3, 2, 4, 3, auto_pad="SAME_UPPER", strides=[2, 2])], [2, 7, 8], "Conv"),
    "same lower": ([_conv(3, 2, 4, 4, auto_pad="SAME_LOWER", strides=[1, 2])], [2, 7, 8], "Conv"),
    "dilated same": ([_conv(3, 2, 2, 3, auto_pad="SAME_UPPER", dilations=[3, 2])], [2, 7, 8], "Conv"),
    "valid": ([_conv(3, 2, 3, 3, auto_pad="VALID")], [2, 7, 8], "Conv"),
    "grouped": ([_conv(4, 1, 3, 2, group=2, pads=[0, 1, 2, 0])], [2, 7, 8], "Conv"),
    "one dimension": (
        [
            _conv(4, 2, 3, pads=[2, 1]),
            ("Relu", {}, []),
            ("MaxPool", {"kernel_shape": [2]}, []),
            ("GlobalAveragePool", {}, []),
            ("Squeeze", {}, [_i(2)]),
        ],
        [2, 9],
        "Conv ReLU MaxPool AvgPool Flatten",
    ),
    "average": (
        [
            _conv(3, 2, 1, 1),
            ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, []),
            ("AveragePool", {"kernel_shape": [2, 2], "count_include_pad": 1, "pads": [0, 0, 1, 1]}, []),
            ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1, "strides": [3, 3]}, []),
            ("ReduceMean", {"keepdims": 0}, [_i(2, 3)]),
        ],
        [2, 9, 8],
        "Conv AvgPool AvgPool MaxPool AvgPool Flatten",
    ),
    "constants": (
        [
            ("Sub", {}, [_w(2, 1, 1)]),
            ("Div", {}, [_positive(1)]),
            ("Mul", {}, [_w(1, 2, 1, 1)]),
            ("Neg", {}, []),
        ],
        [2, 3, 3],
        "Affine",
    ),
    "padded": (
        [
            ("Pad", {}, [_i(0, 0, 1, 2, 0, 0, 0, 1)]),
            _conv(3, 2, 3, 3, pads=[1, 0, 0, 0]),
            ("Identity", {}, []),
            ("Reshape", {}, [_i(0, -1)]),
        ],
        [2, 7, 8],
        "Conv Flatten",
    ),
    "axes of size 1": (
        [("Relu", {}, []), ("Unsqueeze", {}, [_i(2, 3)]), ("Squeeze", {}, [_i(2, 3)])],
        [5],
        "ReLU",
    ),
    "global maximum": ([("GlobalMaxPool", {}, [])], [2, 3, 4], "MaxPool"),
    "still transposed": ([_conv(3, 2, 7, 8), ("Transpose", {"perm": [0, 1, 3, 2]}, [])], [2, 7, 8], "Conv"),
    "global": (
        [
            ("GlobalAveragePool", {}, []),
            ("Transpose", {"perm": [0, 2, 3, 1]}, []),
            ("Flatten", {}, []),
            ("Relu", {}, []),
        ],
        [3, 4, 4],
        "",
    ),
}


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_operators(tmp_path: Path, name: str, batch: int | str) -> None:
    steps, shape, kinds = CHAINS[name]
    model = _model(steps, [batch, *shape])
    if not kinds:  # axes of size 1 move to the place of the channels
        with pytest.raises(ConversionError, match="mixes channels"):
            read_onnx(_save(tmp_path, model))
        return
    graph = read_onnx(_save(tmp_path, model))
    folded = fold_batchnorm(graph)
    assert " ".join(type(node).__name__ for node in folded.nodes[1:]) == kinds
    x = RANDOM.normal(size=(1, *shape)).astype(np.float32)
    expected = np.asarray(ReferenceEvaluator(model).run(None, {"x": x})[0], dtype=np.float64)
    found = folded.evaluate(x)[folded.output.name]
    if graph.notes:
        found = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        found, expected.reshape(found.shape), rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_branches_join(tmp_path: Path) -> None:
    first = _model([_conv(2, 2, 3, 3, pads=[1, 1, 1, 1])], ["n", 2, 5, 5])
    joined = [
        helper.make_node("Relu", ["y0"], ["r"]),
        helper.make_node("Sum", ["r", "x", "y0"], ["s"]),
        helper.make_node("Concat", ["s", "r"], ["c"], axis=1),
        helper.make_node("Shape", ["c"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["size"]),
        helper.make_node("Concat", ["size", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["c", "to"], ["out"]),
    ]
    first.graph.node.extend(joined)
    first.graph.initializer.extend(
        [numpy_helper.from_array(_i(0), "zero"), numpy_helper.from_array(_i(-1), "rest")]
    )
    graph = read_onnx(_save(tmp_path, _with_output(first, "out")))
    kinds = [type(node).__name__ for node in graph.nodes]
    assert kinds == ["Input", "Conv", "ReLU", "Add", "Add", "Concat", "Flatten"]
    assert graph.output.shape == (100,)


def test_without_onnxruntime_the_reference_of_onnx_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    graph = read_onnx(_save(tmp_path, _model(CHAINS["cnn"][0], ["n", 2, 8, 8])))
    assert graph.output.shape == (3,)


def test_a_reading_fault_is_found_by_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relu = module.OPERATORS["Relu"]
    monkeypatch.setitem(module.OPERATORS, "Relu", lambda op: relu(op)._replace(name=op.activation().name))
    with pytest.raises(ConversionError, match="node0 .Conv.") as caught:
        read_onnx(_save(tmp_path, _model([_conv(2, 2, 3, 3), ("Relu", {}, [])], [1, 2, 5, 5])))
    assert caught.value.code == "conversion.parity"


UNSUPPORTED: dict[str, tuple[list[Any], str, str]] = {
    "Sigmoid": ([("Sigmoid", {}, [])], "node0 (Sigmoid)", "leave it out"),
    "Gelu": ([("Gelu", {}, [])], "node0 (Gelu)", "nn.ReLU"),
    "LeakyRelu": ([("LeakyRelu", {}, [])], "node0 (LeakyRelu)", "nn.ReLU"),
    "Clip": ([("Clip", {}, [_f(-1), _f(1)])], "node0 (Clip)", "bounds (0, c)"),
    "LayerNormalization": ([("LayerNormalization", {}, [_w(8)])], "node0 (LayerNormalization)", "BatchNorm"),
    "InstanceNormalization": (
        [("InstanceNormalization", {}, [_w(4), _w(4)])],
        "node0 (InstanceNormalization)",
        "BatchNorm",
    ),
    "ConvTranspose": (
        [("ConvTranspose", {}, [_w(4, 2, 2, 2)])],
        "node0 (ConvTranspose)",
        "without upsampling",
    ),
    "DepthToSpace": ([("DepthToSpace", {"blocksize": 2}, [])], "node0 (DepthToSpace)", "channels in order"),
    "Transpose": ([("Transpose", {"perm": [0, 2, 3, 1]}, [])], "node0 (Transpose)", "keep the order"),
    "Softmax": ([("Softmax", {}, []), ("Relu", {}, [])], "node0 (Softmax)", "at the output only"),
    "Mul": ([helper.make_node("Mul", ["x", "x"], ["y"], name="m")], "m (Mul)", "gates"),
    "MatMul": ([helper.make_node("MatMul", ["x", "x"], ["y"], name="m")], "m (MatMul)", "gates"),
    "ArgMax": ([("ArgMax", {}, []), ("Cast", {"to": 1}, [])], "node0 (ArgMax)", "one score a class"),
    "Pad": ([("Pad", {"mode": "reflect"}, [_i(0, 0, 1, 1, 0, 0, 1, 1)])], "node0 (Pad)", "pad with zeros"),
    "Slice": ([("Slice", {}, [_i(0), _i(4), _i(2)])], "node0 (Slice)", "whole activations"),
    "Concat": ([helper.make_node("Concat", ["x", "x"], ["y"], name="c", axis=2)], "c (Concat)", "axis 1"),
    "Reshape": (
        [("Relu", {}, []), ("Reshape", {}, [_i(0, 8, 4, 8)])],
        "node1 (Reshape)",
        "flatten to a vector",
    ),
    "ReduceMean": ([("ReduceMean", {}, [_i(1)])], "node0 (ReduceMean)", "all of space"),
    "bias at each place": ([("Add", {}, [_w(8, 8)])], "node0 (Add)", "one for each channel"),
    "other domain": (
        [helper.make_node("Scaler", ["x"], ["y"], name="s", domain="ai.onnx.ml", offset=[0.0], scale=[2.0])],
        "s (Scaler)",
        "standard",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_operators_without_counterpart_are_named(tmp_path: Path, case: str) -> None:
    steps, place, fix = UNSUPPORTED[case]
    model = _model(steps, ["n", 4, 8, 8])
    with pytest.raises(ConversionError) as caught:
        read_onnx(_save(tmp_path, model))
    assert caught.value.code == "conversion.unsupported"
    assert place in str(caught.value)
    assert fix in str(caught.value).split(place)[1]


def test_all_refusals_are_named_at_once(tmp_path: Path) -> None:
    model = _model([("Gelu", {}, []), _conv(2, 4, 1, 1), ("Tanh", {}, [])], ["n", 4, 8, 8])
    with pytest.raises(ConversionError, match="2 operations") as caught:
        read_onnx(_save(tmp_path, model))
    assert "node0 (Gelu)" in str(caught.value)
    assert "node2 (Tanh)" in str(caught.value)


def _outside(model: Any, folder: Path) -> None:
    (folder.parent / "secret.bin").write_bytes(bytes(400))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret.bin")


def _linked(model: Any, folder: Path) -> None:
    _outside(model, folder)
    (folder / "inside.bin").symlink_to(folder.parent / "secret.bin")
    model.graph.initializer[0].external_data[0].value = "inside.bin"


def _huge(model: Any, folder: Path) -> None:
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


def _negative(model: Any, folder: Path) -> None:
    model.graph.initializer[0].dims[:] = [-4, 4]


def _short(model: Any, folder: Path) -> None:
    model.graph.initializer[0].raw_data = b"abc"


def _cycle(model: Any, folder: Path) -> None:
    model.graph.node[0].input[0] = model.graph.node[0].output[0]


def _unknown_input(model: Any, folder: Path) -> None:
    model.graph.node[0].input[0] = "nothing"


@pytest.mark.parametrize(
    "spoil", [_outside, _linked, _huge, _negative, _short, _cycle, _unknown_input], ids=lambda f: f.__name__
)
def test_hostile_files_are_refused(tmp_path: Path, spoil: Callable[[Any, Path], None]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    model = _model([_conv(4, 4, 5, 1), ("Relu", {}, [])], ["n", 4, 8, 8])
    spoil(model, folder)
    with pytest.raises(FileError) as caught:
        read_onnx(_save(folder, model))
    assert str(folder) in str(caught.value)


def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    model = _model([("Relu", {}, []), helper.make_node("Add", ["y0", "big"], ["out"])], ["n", 4])
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], ["big"], name="bomb"))
    model.graph.initializer.append(numpy_helper.from_array(_i(2**20, 2**20), "size"))
    with pytest.raises(SnnError) as caught:
        read_onnx(_save(tmp_path, model))
    assert "bomb" in str(caught.value) or "shapes do not fit" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a model", b"\x08\x0a"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(FileError):
        read_onnx(tmp_path / "model.onnx")
    with pytest.raises(FileError, match="no such file"):
        read_onnx(tmp_path / "other.onnx")


def test_truncated_files_are_refused_or_read(tmp_path: Path) -> None:
    whole = _model(CHAINS["mlp"][0], ["n", 5]).SerializeToString()
    for length in range(1, len(whole), max(len(whole) // 40, 1)):
        (tmp_path / "model.onnx").write_bytes(whole[:length])
        with pytest.raises(SnnError):
            read_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("shape", "code"),
    [(["n", 4, "h", 8], "conversion.shape"), ([8], "conversion.shape"), ([99, 4, 8, 8], "")],
)
def test_inputs_without_a_fixed_shape_are_refused(tmp_path: Path, shape: list[Any], code: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read_onnx(_save(tmp_path, _model([("Relu", {}, [])], shape)))
    assert caught.value.code == (code or "conversion.unsupported")


def test_without_onnx_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConversionError, match=r"snnsim\[convert\]"):
        read_onnx("model.onnx")


@pytest.mark.parametrize("name", ["lenet", "one_dimensional", "resnet", "inception", "functional", "mobile"])
@pytest.mark.parametrize("free", [True, False])
def test_models_that_torch_exports(tmp_path: Path, name: str, free: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'snnsim[train]')")
    import torch_models

    from snnsim.converters.read_torch import read_torch

    model, x = torch_models.build(name)
    expected = read_torch(model, x)
    example = torch.as_tensor(x if free else x[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (example,),
            str(tmp_path / "model.onnx"),
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}} if free else {},
        )
    graph = read_onnx(tmp_path / "model.onnx")
    found, wanted = (g.evaluate(x)[g.output.name] for g in (graph, expected))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
