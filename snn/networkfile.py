"""A network in one HDF5 file, with facts about where it comes from.

The container is that of checkpoints: all arrays, JSON text, and a SHA-256 over both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from snnsim.checkpoint import read_checkpoint, write_checkpoint
from snnsim.errors import ConfigError, FileError
from snnsim.mapping import from_mapping, to_mapping
from snnsim.network import Network

KIND = "snnsim network"
_ARRAY = "$array"


def write_network(path: Path | str, network: Network, facts: Mapping[str, Any] | None = None) -> None:
    """Write a network and facts (JSON, and arrays of numbers), whole or not at all.  Raises StorageError."""
    arrays: dict[str, np.ndarray] = {}
    plain = _taken_out(to_mapping(network), "network", arrays)
    kept = _taken_out(dict(facts or {}), "facts", arrays)
    meta = {"kind": KIND, "network": json.dumps(plain), "facts": json.dumps(kept)}
    write_checkpoint(path, arrays, meta)


def read_network(path: Path | str) -> tuple[Network, dict[str, Any]]:
    """The network of a file and the facts.  Raises FileError."""
    arrays, meta = read_checkpoint(path)
    if meta.get("kind") != KIND:
        raise FileError("not a network", where=str(path), expected="a file that `snnsim convert` wrote")
    try:
        plain, facts = json.loads(str(meta["network"])), json.loads(str(meta["facts"]))
        network = cast(Network, from_mapping((Network,), _put_back(plain, arrays), ""))
        kept = _put_back(facts, arrays)
    except (ConfigError, KeyError, ValueError, RecursionError) as error:
        raise FileError(f"not a possible network ({error})", where=str(path)) from error
    if not isinstance(kept, dict):
        raise FileError("facts that are none", where=str(path), expected="a JSON object")
    return network, kept


def _taken_out(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        return {key: _taken_out(item, f"{where}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_taken_out(item, f"{where}/{k}", arrays) for k, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {_ARRAY: where}
    return value


def _put_back(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[str(value[_ARRAY])]
        return {key: _put_back(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_back(item, arrays) for item in value]
    return value
