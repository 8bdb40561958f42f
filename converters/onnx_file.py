"""Loading an ONNX file from a stranger: size, structure, weights that stay inside its folder, shapes."""

from __future__ import annotations

import importlib
import os
from math import prod
from pathlib import Path
from typing import Any

from snnsim.converters.onnx_constants import fold_constants
from snnsim.errors import ConversionError, FileError

MAX_BYTES = 2 * 2**30
"""Of the file, and of all weights together: the limit of the format itself."""
MAX_NODES = 20_000
MAX_INPUT = 2**24
"""Values of one sample."""


def import_onnx() -> Any:
    """The onnx package; ConversionError that names what to install when it is missing."""
    try:
        importlib.import_module("onnx.reference")
        importlib.import_module("onnx.shape_inference")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ConversionError(
            "onnx is not installed",
            where="read_onnx",
            fix="pip install 'snnsim[convert]'",
            code="conversion.missing_package",
        ) from error


def load_model(onnx: Any, path: Path) -> Any:
    """The checked model of a file, with its weights. Raises FileError."""
    if not path.is_file():
        raise FileError("no such file", where=str(path), fix="check the path")
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise FileError(
            "the file is empty or too large",
            where=str(path),
            got=f"{size:,} bytes",
            expected=f"1 to {MAX_BYTES:,} bytes",
        )
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:
        raise FileError("not an ONNX file, or a damaged one", where=str(path), code="file.damaged") from error
    if len(model.graph.node) > MAX_NODES:
        raise _unsafe(path, "too many nodes", len(model.graph.node), f"at most {MAX_NODES:,}")
    _check_weights(onnx, model, path)
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise FileError(f"not a valid ONNX model ({reason})", where=str(path), code="file.damaged") from error
    return model


def _check_weights(onnx: Any, model: Any, path: Path) -> None:
    """All weights are declared small enough, and those in other files lie in the folder of this one."""
    folder, declared = os.path.realpath(path.parent), 0
    constants = [a.t for node in model.graph.node for a in node.attribute if a.type == a.TENSOR]
    for tensor in [*model.graph.initializer, *constants]:
        if any(size < 0 for size in tensor.dims):
            raise _unsafe(
                path, f"the tensor {tensor.name} has a negative size", list(tensor.dims), "sizes >= 0"
            )
        declared += 8 * prod(tensor.dims)
        if declared > 2 * MAX_BYTES:
            raise _unsafe(path, "the weights claim too much", tensor.name, f"at most {MAX_BYTES:,} bytes")
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        target = os.path.realpath(os.path.join(folder, location))
        if not location or os.path.commonpath([folder, target]) != folder or not os.path.isfile(target):
            raise _unsafe(
                path, f"the weights {tensor.name} lie elsewhere", location, "a file beside the model"
            )


def sized(onnx: Any, model: Any, path: Path) -> tuple[Any, tuple[int, ...]]:
    """The model with the shapes of all its values, for a batch of 2 where it is free, and its input shape."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ConversionError(
            "only models with one input and one output are converted",
            where=str(path),
            got=f"{len(inputs)} inputs and {len(model.graph.output)} outputs",
            fix="export a model that takes one tensor and returns one",
            code="conversion.output",
        )
    axes = inputs[0].type.tensor_type.shape.dim
    free = [axis.dim_param or "?" for axis in axes[1:] if axis.dim_value < 1]
    if len(axes) < 2 or free or prod(axis.dim_value for axis in axes[1:]) > MAX_INPUT:
        raise ConversionError(
            "the shape of the input is not fixed, or too large",
            where=f"{path}: {inputs[0].name}",
            got=[axis.dim_value or axis.dim_param for axis in axes],
            expected=f"(batch, *shape) where only the batch is free, of at most {MAX_INPUT:,} values",
            fix="export with fixed sizes",
            code="conversion.shape",
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16):
        raise ConversionError(
            "the input holds no floating point numbers",
            where=f"{path}: {inputs[0].name}",
            got=onnx.TensorProto.DataType.Name(kind),
            fix="export a model that takes numbers; encode indices before it",
            code="conversion.input",
        )
    if not 1 <= axes[0].dim_value <= 8:
        if axes[0].dim_value > 8:
            raise ConversionError(
                "a fixed batch",
                where=f"{path}: {inputs[0].name}",
                got=axes[0].dim_value,
                expected="at most 8",
            )
        axes[0].dim_value = 2
    shape = tuple(axis.dim_value for axis in axes)
    # What the file says about shapes is not taken over: it may be wrong, or name the batch.
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    try:
        return fold_constants(onnx, model), shape
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise FileError(f"the shapes do not fit ({reason})", where=str(path), code="file.damaged") from error


def _unsafe(path: Path, problem: str, got: object, expected: str) -> FileError:
    return FileError(problem, where=str(path), got=got, expected=expected, code="file.unsafe")
