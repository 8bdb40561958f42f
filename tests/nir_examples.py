"""NIR files for tests, written byte by byte as other tools do, without the nir package."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = Path(os.environ.get("SNNSIM_SHARED", REPOSITORY.parent / "shared")) / "fixtures" / "nir"
"""Files and traces of the NIR paper; SNNSIM_SHARED names another folder than ../shared."""
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"no files of the NIR paper in {FIXTURES}; set SNNSIM_SHARED"
)

Fields = dict[str, Any]
WORD = h5py.string_dtype()


def node(kind: str, **fields: Any) -> Fields:
    return {"type": kind, **fields}


def graph(nodes: dict[str, Fields], edges: list[tuple[str, str]], **metadata: Any) -> Fields:
    return {"type": "NIRGraph", "nodes": nodes, "edges": edges, "metadata": metadata}


def chain(*nodes: Fields, n: Any = 1) -> Fields:
    """input -> "0" -> "1" -> ... -> output"""
    size = np.atleast_1d(n)
    found = {str(k): fields for k, fields in enumerate(nodes)}
    names = ["input", *found, "output"]
    ends = {"input": node("Input", shape=size), "output": node("Output", shape=size)}
    return graph({**found, **ends}, list(zip(names, names[1:], strict=False)))


def save(path: Path, content: Fields, version: str = "1.0.7") -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("version", data=version, dtype=WORD)
        _save(file.create_group("node"), content)
    return path


def _save(group: h5py.Group, content: Fields) -> None:
    for key, value in content.items():
        if key == "edges":
            group.create_dataset(key, data=np.array(value, dtype=object).reshape(-1, 2), dtype=WORD)
        elif isinstance(value, str):
            group.create_dataset(key, data=value, dtype=WORD)
        elif isinstance(value, dict):
            _save(group.create_group(key), value)
        else:
            group.create_dataset(key, data=np.asarray(value))


def lif(n: int | None = None, **changes: Any) -> Fields:
    """A LIF node with n values of each parameter, or single numbers."""
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    full = {k: np.full(n, v) if n and np.ndim(v) == 0 else np.asarray(v) for k, v in values.items()}
    return node("LIF", **full)
