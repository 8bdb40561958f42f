"""Spikes of a network in one .npz file, the same for every simulator; numpy only.

    <population>_steps  int32[k]   time steps of its spikes, never falling
    <population>_ids    uint16[k]  the cells that spiked, 0 to n - 1
    about               a JSON object: what was run; `n` maps each population to its number of cells

Step k ends at time (k + 1) * dt, the time that NEST gives a spike; snnsim counts k.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)

Spikes = dict[str, tuple[np.ndarray, np.ndarray]]


class Unreadable(Exception):
    """Not a file of spikes; the text says what is wrong with it."""


def save(path: Path, about: Mapping[str, Any], spikes: Spikes) -> None:
    """Write the file, sorted by step and cell; the name appears once it is complete."""
    arrays = {}
    for name, (steps, ids) in spikes.items():
        order = np.lexsort((ids, steps))
        arrays[f"{name}_steps"] = steps[order].astype(np.int32)
        arrays[f"{name}_ids"] = ids[order].astype(np.uint16)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
    temporary.replace(path)


def load(path: Path) -> tuple[dict[str, Any], Spikes]:
    """What `save` was given.  Raises Unreadable."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:  # numpy leaves a damaged file open
            about = json.loads(str(file["about"]))
            spikes = {name: (file[f"{name}_steps"], file[f"{name}_ids"]) for name in about["n"]}
    except _DAMAGE as error:
        raise Unreadable(f"{path} is not a file of spikes: {error}") from error
    for name, (steps, ids) in spikes.items():
        if steps.shape != ids.shape or (ids.size and ids.max() >= about["n"][name]):
            raise Unreadable(f"{path}: the spikes of {name} do not fit each other or its cells")
    return about, spikes
