"""Files that were ONNX once: whatever changes, there is a graph or an error of ours, in little memory."""

from __future__ import annotations

import resource
import warnings
from pathlib import Path

import numpy as np
import pytest

from snnsim.errors import SnnError

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install 'snnsim[convert]')")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from snnsim.converters.graph import Graph  # noqa: E402
from snnsim.converters.read_onnx import read_onnx  # noqa: E402

MEMORY = 300_000_000
"""Bytes that all files of a test together may add to the largest memory of the process."""


def _model() -> bytes:
    """A small network with one of most operators, and a shape that is computed."""
    random = np.random.default_rng(3)
    weights = {
        "w0": random.normal(size=(4, 1, 3, 3)).astype(np.float32), "b0": np.ones(4, np.float32),
        "w1": random.normal(size=(4, 16)).astype(np.float32), "b1": np.zeros(4, np.float32),
        "one": np.array([-1], np.int64), "start": np.array([0], np.int64), "end": np.array([1], np.int64),
        **{f"n{k}": np.full(4, 1 + k, np.float32) for k in range(4)},
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", ["c", "n0", "n1", "n2", "n3"], ["bn"]),
        node("Relu", ["bn"], ["r"]),
        node("Add", ["r", "r"], ["sum"]),
        node("MaxPool", ["sum"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["m"], ["a"], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1]),
        node("GlobalAveragePool", ["a"], ["g"]),
        node("Concat", ["g", "g", "g", "g"], ["four"], axis=1),
        node("Shape", ["four"], ["s"]),
        node("Slice", ["s", "start", "end"], ["batch"]),
        node("Concat", ["batch", "one"], ["shape"], axis=0),
        node("Reshape", ["four", "shape"], ["flat"]),
        node("Gemm", ["flat", "w1", "b1"], ["y"], transB=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "fuzzed", [value("x", TensorProto.FLOAT, ["n", 1, 4, 4])],
        [value("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


_TELLING = (-(2**63), -1, 0, 1, 2, 3, 7, 100, 2**16, 2**31, 2**62)
_WORDS = ("x", "y", "c", "r", "w0", "w1", "batch", "flat", "", "nobody", "\u2603" * 50)
_KINDS = ("Conv", "Relu", "Add", "Reshape", "MaxPool", "Loop", "Expand", "ConstantOfShape", "Tile", "Pad")


def _changed(original: bytes, random: np.random.Generator) -> bytes:
    """A third each: one bit, several bytes, or the model's own fields."""
    way = random.integers(3)
    if way == 0:
        data = bytearray(original)
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        return bytes(data)
    return _torn(original, random) if way == 1 else _restructured(original, random)


def _restructured(original: bytes, random: np.random.Generator) -> bytes:
    """What the parser accepts: other numbers, names, operators, sizes, types, orders."""
    model = onnx.load_from_string(original)
    graph = model.graph
    for _ in range(random.integers(1, 4)):
        node = graph.node[int(random.integers(len(graph.node)))]
        weight = graph.initializer[int(random.integers(len(graph.initializer)))]
        number, word = int(random.choice(_TELLING)), str(random.choice(_WORDS))
        match random.integers(9):
            case 0 if node.attribute:
                attribute = node.attribute[int(random.integers(len(node.attribute)))]
                if attribute.ints:
                    attribute.ints[int(random.integers(len(attribute.ints)))] = number
                else:
                    attribute.i = number
            case 1:
                node.input[int(random.integers(len(node.input)))] = word
            case 2:
                node.op_type = str(random.choice(_KINDS))
            case 3 if weight.dims:
                weight.dims[int(random.integers(len(weight.dims)))] = number
            case 4:
                weight.data_type = int(random.integers(-1, 25))
            case 5:
                weight.raw_data = weight.raw_data[: int(random.integers(len(weight.raw_data) + 1))]
            case 6:
                weight.raw_data = random.bytes(len(weight.raw_data))
            case 7:
                node.output[0] = word
            case _:
                graph.input[0].type.tensor_type.shape.dim[int(random.integers(4))].dim_value = number
    return bytes(model.SerializeToString())


def _torn(original: bytes, random: np.random.Generator) -> bytes:
    """Bits flipped, bytes replaced by telling ones, parts cut, doubled or moved; one to four times."""
    data = bytearray(original)
    for _ in range(random.integers(1, 5)):
        at, kind = int(random.integers(len(data))), random.integers(7)
        length = int(random.integers(1, 12))
        if kind == 0:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[at] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at:at] = random.bytes(length)
        elif kind == 5:
            data[at : at + 9] = b"\xff" * 8 + b"\x7f"  # a whole number of 63 bits
        else:
            del data[max(at, 8) :]
    return bytes(data)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _fuzz(folder: Path, seed: int, n: int) -> dict[str, int]:
    original, random, path = _model(), np.random.default_rng(seed), folder / "model.onnx"
    path.write_bytes(original)
    assert isinstance(read_onnx(path), Graph)
    before, outcomes = _memory(), {"graph": 0, "error": 0}
    for number in range(n):
        data = _changed(original, random)
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numbers that overflow
                found = read_onnx(path)
            assert np.isfinite(found.nodes[-1].shape).all()
            outcomes["graph"] += 1
        except SnnError:
            outcomes["error"] += 1
        except Exception as error:
            (folder / "failed.onnx").write_bytes(data)
            what = f"seed {seed}, mutation {number}: {type(error).__name__}: {error}"
            raise AssertionError(what) from error
        assert _memory() - before < MEMORY, f"seed {seed}, mutation {number} takes too much memory"
    return outcomes


def test_changed_bytes_give_a_graph_or_an_error(tmp_path: Path) -> None:
    found = _fuzz(tmp_path, seed=1, n=300)
    assert found["graph"] > 20  # both happen: a file with another weight is a file
    assert found["error"] > 100


@pytest.mark.full
def test_changed_bytes_give_a_graph_or_an_error_at_length(tmp_path: Path) -> None:
    assert sum(_fuzz(tmp_path, seed=2, n=1000).values()) == 1000


HOSTILE = {
    "a size of 2^62": ("dims", 2**62),
    "sizes whose product overflows": ("dims", 2**33),
    "a negative size": ("dims", -1),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_sizes_that_lie(what: str, tmp_path: Path) -> None:
    model = onnx.load_from_string(_model())
    weight = next(w for w in model.graph.initializer if w.name == "w0")
    weight.dims[0] = HOSTILE[what][1]
    weight.dims[1] = HOSTILE[what][1]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    before = _memory()
    with pytest.raises(SnnError):
        read_onnx(path)
    assert _memory() - before < MEMORY


@pytest.mark.parametrize(
    ("key", "value"),
    [("kernel_shape", [2**40, 2**40]), ("pads", [2**40] * 4), ("strides", [0, 0]), ("dilations", [-1, 2**62]),
     ("group", 2**40), ("group", 0), ("kernel_shape", []), ("pads", [60_000] * 4)],
)  # fmt: skip
def test_attributes_that_ask_for_much(key: str, value: object, tmp_path: Path) -> None:
    model = onnx.load_from_string(_model())
    node = model.graph.node[0]
    kept = [a for a in node.attribute if a.name != key]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(key, value, attr_type=7 if value == [] else None)])
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    before = _memory()
    with pytest.raises(SnnError):
        read_onnx(path)
    assert _memory() - before < MEMORY
