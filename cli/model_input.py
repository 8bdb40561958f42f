"""What commands about trained networks take: a model, inputs, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from snnsim.converters.graph import Graph

Builder = Annotated[
    str | None,
    typer.Option(metavar="M:F", help="package.module:function that builds the torch module of a state_dict."),
]


def read_inputs(name: str, samples: int, data: Path | None) -> Any:
    """[n, ...]: images of a data set, or the array of a file; at most `samples`."""
    from snnsim.datasets import DATASETS, load_dataset

    if name in DATASETS:
        images = load_dataset(name, data)
        return images.images[:samples].reshape(-1, 1, *images.image_shape)
    return read_array(name, samples, f"a .npy file, or one of {', '.join(DATASETS)}")


def read_array(path: str | Path, samples: int, expected: str = "a .npy file") -> Any:
    """The first `samples` rows of the array in a file."""
    import numpy as np

    from snnsim.errors import FileError

    try:
        found = np.load(path, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError:
        raise FileError("no such file", where=str(path), expected=expected, code="file.missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise FileError("not an array of numbers", where=str(path), expected=expected) from error
    if not isinstance(found, np.ndarray) or found.ndim == 0 or not len(found):
        got = getattr(found, "shape", "an archive of several arrays")
        raise FileError("not an array of samples", where=str(path), got=got, expected=expected)
    return np.array(found[:samples])


def read_model(model: Path, builder: str | None, inputs: Any) -> Graph:
    """The graph of an ONNX file, or of a state_dict that `builder` makes a module for."""
    if builder is None:
        from snnsim.converters.read_onnx import read_onnx

        return read_onnx(model)
    from snnsim.converters.read_torch import read_torch_file

    return read_torch_file(model, builder, inputs[:8].astype("float32"))
