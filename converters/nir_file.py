"""The HDF5 layout of a NIR file, read as from a stranger: every fault is a FileError that names its place.

    /version   text          /node/type "NIRGraph"       /node/edges text[n_edges, 2]
    /node/nodes/<name>/{type, <field>..., metadata/}     a node of type NIRGraph is a graph within

The reader of the `nir` package passes every dataset on as an argument, so that a field it does not know ends
in a TypeError and a scalar parameter in an AssertionError; here the former is reported and dropped, and the
latter kept.  Files of 0.1 to 1.0 are read alike: none of them changed the meaning of a field.

Source: NIR 1.0, nir/serialization.py and nir/ir.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from snnsim.errors import FileError
from snnsim.hdf5_safety import damage_errors, open_untrusted

MAX_BYTES = 8 * 2**30
MAX_NAME = 1000
MAX_EDGES = 100_000
_EDGES_AT_ONCE = 16  # texts of variable length: each may point at the same long text of the file

_NEURON = ("r", "v_leak")
_FIRES = ("v_threshold",)
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Input": (("shape",), ()),
    "Output": ((), ("shape",)),
    "Affine": (("weight", "bias"), ()),
    "Linear": (("weight",), ()),
    "Scale": (("scale",), ()),
    "Conv1d": (("weight",), ("input_shape", "stride", "padding", "dilation", "groups", "bias")),
    "Conv2d": (("weight",), ("input_shape", "stride", "padding", "dilation", "groups", "bias")),
    "SumPool2d": (("kernel_size", "stride"), ("padding",)),
    "AvgPool2d": (("kernel_size", "stride"), ("padding",)),
    "Flatten": ((), ("input_type", "start_dim", "end_dim")),
    "Delay": (("delay",), ()),
    "Threshold": (("threshold",), ()),
    "I": (("r",), ()),
    "LI": (("tau", *_NEURON), ()),
    "CubaLI": (("tau_syn", "tau_mem", *_NEURON), ("w_in",)),
    "IF": (("r", *_FIRES), ("v_reset",)),
    "LIF": (("tau", *_NEURON, *_FIRES), ("v_reset",)),
    "CubaLIF": (("tau_syn", "tau_mem", *_NEURON, *_FIRES), ("w_in", "v_reset")),
}
"""Fields of each type of node: those it must have, those it may have."""

_WORDS = {"padding"}  # fields that may also hold a word


class NirWarning(UserWarning):
    """Something in a NIR file that was not used, or read in the only way that makes sense."""


@dataclass(frozen=True)
class NirNode:
    """A node as the file has it; `path` joins the names of nested graphs with "/"."""

    path: str
    kind: str
    values: dict[str, np.ndarray] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NirGraph:
    """Nodes and nested graphs by name, the edges between them, and what the metadata say in words."""

    path: str
    nodes: dict[str, NirNode | NirGraph]
    edges: list[tuple[str, str]]
    metadata: dict[str, str]


def read_file(path: Path | str) -> NirGraph:
    """The graph of a NIR file.  Raises FileError; warns (NirWarning) of fields that are not known."""
    with open_untrusted(path, max_bytes=MAX_BYTES, strings=True) as file, damage_errors(file):
        root = file.get("node")
        if not isinstance(root, h5py.Group):
            raise FileError("not a NIR file", where=f"{file.filename}:/node", expected="a group with a graph")
        if _text(root, "type") != "NIRGraph":
            raise _fault(root, "the root is not a graph", got=_text(root, "type"), expected='type "NIRGraph"')
        return _graph(root, "")


def _graph(group: h5py.Group, path: str) -> NirGraph:
    inside = group.get("nodes")
    if not isinstance(inside, h5py.Group):
        raise _fault(group, "a graph without nodes", expected="a group named nodes")
    nodes: dict[str, NirNode | NirGraph] = {}
    for name in inside:
        item, below = inside[name], f"{path}/{name}" if path else name
        if not isinstance(item, h5py.Group):
            raise _fault(item, "not a node", expected="a group with a type")
        kind = _text(item, "type")
        nodes[name] = _graph(item, below) if kind == "NIRGraph" else _node(item, below, kind)
    return NirGraph(path, nodes, _edges(group, nodes), _metadata(group))


def _node(group: h5py.Group, path: str, kind: str) -> NirNode:
    if kind not in FIELDS:
        return NirNode(path, kind)  # refused later, together with all others
    needed, optional = FIELDS[kind]
    found = NirNode(path, kind)
    for key in group:
        if key in (*needed, *optional):
            _take(group[key], key, found)
        elif key not in ("type", "metadata"):
            warnings.warn(f"{path} ({kind}): unknown field {key} ignored", NirWarning, stacklevel=6)
    for key in needed:
        if key not in found.values:
            raise _fault(group, f"{kind} without {key}", expected=", ".join(needed))
    return found


def _take(item: h5py.Dataset | h5py.Group, key: str, node: NirNode) -> None:
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise _fault(item, "not a value", expected="numbers")
    if item.dtype.kind in "OS" and key in _WORDS and item.shape == ():
        node.words[key] = _decoded(item)
        return
    if item.dtype.kind not in "iufb":
        raise _fault(item, "not numbers", got=str(item.dtype), expected="integers or floats")
    value = np.asarray(item[()], dtype=np.float64)
    if not np.isfinite(value).all():
        raise _fault(item, "not a finite number", expected="finite numbers")
    node.values[key] = value


def _edges(group: h5py.Group, nodes: dict[str, NirNode | NirGraph]) -> list[tuple[str, str]]:
    item = group.get("edges")
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise _fault(group, "a graph without edges", expected="a dataset named edges")
    if 0 in item.shape:
        return []
    if len(item.shape) != 2 or item.shape[1] != 2 or item.dtype.kind not in "OS":
        raise _fault(item, "not edges", got=f"{item.dtype}{list(item.shape)}", expected="text [n_edges, 2]")
    if item.shape[0] > MAX_EDGES:
        raise _fault(item, "too many edges", got=item.shape[0], expected=f"at most {MAX_EDGES}")
    found: dict[tuple[str, str], None] = {}
    for low in range(0, item.shape[0], _EDGES_AT_ONCE):
        for row in item[low : low + _EDGES_AT_ONCE]:
            a, b = (_word(value, item) for value in row)
            for end in (a, b):
                if end not in nodes:
                    raise _fault(item, "an edge to a node that is not there", got=end)
            if (a, b) in found:
                warnings.warn(f"the edge {a} -> {b} is given twice; taken once", NirWarning, stacklevel=5)
            found[a, b] = None
    return list(found)


def _metadata(group: h5py.Group) -> dict[str, str]:
    """Words only; what else other programs keep there is theirs."""
    inside = group.get("metadata")
    if not isinstance(inside, h5py.Group):
        return {}
    return {
        key: _decoded(item)
        for key, item in inside.items()
        if isinstance(item, h5py.Dataset) and item.shape == () and item.dtype.kind in "OS"
    }


def _text(group: h5py.Group, key: str) -> str:
    item = group.get(key)
    if not isinstance(item, h5py.Dataset) or item.shape != () or item.dtype.kind not in "OS":
        raise _fault(group, f"no {key}", expected=f"a text named {key}")
    return _decoded(item)


def _decoded(item: h5py.Dataset) -> str:
    return _word(item[()], item)


def _word(value: object, item: h5py.Dataset) -> str:
    if not isinstance(value, bytes):
        raise _fault(item, "not a text", got=value)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise _fault(item, "text that is not UTF-8", got=value) from error
    if len(text) > MAX_NAME:
        raise _fault(item, "a text that is too long", got=text, expected=f"at most {MAX_NAME} characters")
    return text


def _fault(item: h5py.HLObject, problem: str, got: object = None, expected: str = "") -> FileError:
    where = f"{item.file.filename}:{item.name}"
    return FileError(
        f"not a NIR file: {problem}", where=where, got=got, expected=expected, code="file.not_nir",
        fix="write it again with the tool it came from",
    )  # fmt: skip
