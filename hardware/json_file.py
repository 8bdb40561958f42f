"""JSON files from outside: of a bounded size, an object, with arrays of whole numbers in stated ranges."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.errors import FileError, nearest

SIZE_LIMIT = 2**25
"""Bytes of the largest file that is read: twice a full Xylo.  As Python's lists it takes 30 times as much."""


def read_object(path: Path | str, what: str, size_limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """The JSON object of a file.  Raises FileError for everything else."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file() or size > size_limit:
            raise FileError(
                f"not {what}", where=str(path), got=f"{size} bytes" if path.is_file() else "no file",
                expected=f"a JSON file of at most {size_limit} bytes",
            )  # fmt: skip
        found = json.loads(path.read_bytes())
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot be read ({error.strerror})", where=str(path), expected=what) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"not JSON ({error})", where=str(path), expected=what) from error
    if not isinstance(found, dict):
        raise FileError(f"not {what}", where=str(path), got=type(found).__name__, expected="a JSON object")
    return found


def check_keys(found: Iterable[str], needed: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises FileError for a key that is missing, or that nobody knows."""
    found, known = list(found), list(known)
    missing = [key for key in needed if key not in found]
    if missing:
        raise FileError("a key is missing", where=f"{where}, {missing[0]}", expected=", ".join(needed))
    strange = [key for key in found if key not in known]
    if strange:
        raise FileError("an unknown key", where=where, got=strange[0], fix=nearest(strange[0], known))


def whole_array(value: Any, where: str, low: int, high: int, shape: tuple[int | None, ...]) -> np.ndarray:
    """int64 of this shape (None: any length) with all numbers from low to high.  Raises FileError."""
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise FileError("lists of different lengths", where=where) from error
    if found.size == 0 and found.ndim == len(shape):
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu" or found.ndim != len(shape):
        raise FileError(
            "not an array of whole numbers", where=where, got=f"{found.ndim} dimensions of {found.dtype}",
            expected=f"{len(shape)} dimensions of whole numbers",
        )  # fmt: skip
    if any(want is not None and have != want for have, want in zip(found.shape, shape, strict=True)):
        raise FileError(
            "an array of another shape", where=where, got=found.shape,
            expected=str(tuple("any" if n is None else n for n in shape)),
        )  # fmt: skip
    wrong = np.argwhere((found < low) | (found > high))
    if wrong.size:
        at = tuple(int(i) for i in wrong[0])
        raise FileError(
            "a number out of range",
            where=f"{where}{list(at)}",
            got=int(found[at]),
            expected=f"{low} to {high}",
        )
    return found.astype(np.int64)
