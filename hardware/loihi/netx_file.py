"""The HDF5 layout of Lava-DL NetX files (`.net`), read as from a stranger and written whole or not at all.

    /layer/<i>/type, shape, ...      i = 0, 1, 2, ...
    /layer/<i>/neuron/type, ...
    /simulation/Ts, tSample          optional

Every dataset is kept as an array with the type that it has in the file, texts of variable length too; what is
written has the same datasets, types, shapes and bytes.  Attributes and compression are not used by NetX.
Source: lava-dl, netx/hdf5.py and slayer/block/base.py (`export_hdf5`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import FileError
from snnsim.hdf5_safety import damage_errors, open_untrusted
from snnsim.hdf5_writing import hdf5_writes

MAX_BYTES = 4 * 2**30
MAX_TEXT = 1000
_LIMIT = 2.0**53  # whole numbers beyond it are not exact
_KINDS = "biufSO"


def read_datasets(path: Path | str) -> dict[str, np.ndarray]:
    """All datasets of a file by their path ("layer/0/weight").  Raises FileError."""
    found: dict[str, np.ndarray] = {}
    with open_untrusted(path, max_bytes=MAX_BYTES, strings=True) as file, damage_errors(file):

        def take(name: str | bytes, item: h5py.HLObject) -> None:
            if isinstance(name, bytes):
                raise _not_netx("a name that is not UTF-8", f"{path}:/", name, "plain names")
            if isinstance(item, h5py.Dataset):
                found[name] = _value(item, f"{path}:/{name}")

        file.visititems(take)
    return found


def _value(item: h5py.Dataset, where: str) -> np.ndarray:
    if item.shape is None or item.dtype.kind not in _KINDS:
        raise _not_netx("not a value", where, item.dtype, "numbers or a text")
    if item.dtype.kind == "O" and item.shape != ():
        raise _not_netx("several texts", where, list(item.shape), "one text")
    raw = item[()]
    if item.dtype.kind == "O" and len(raw) > MAX_TEXT:
        raise _not_netx("a text that is too long", where, len(raw), f"at most {MAX_TEXT} characters")
    value = np.array(raw, dtype=item.dtype)
    value.flags.writeable = False
    return value


def write_datasets(path: Path | str, datasets: Mapping[str, np.ndarray]) -> None:
    """Write a file, whole or not at all.  Raises StorageError."""
    with replacing(path) as temporary, h5py.File(temporary, "x", locking=False) as file, hdf5_writes(file):
        for name in sorted(datasets):  # the bytes of a file do not depend on who wrote it
            file.create_dataset(name, data=datasets[name], dtype=datasets[name].dtype)


def text_of(value: np.ndarray) -> str | None:
    """The text that a dataset holds, alone or as the one element of a list."""
    if value.dtype.kind not in "SO" or value.size != 1:
        return None
    raw = value.ravel()[0]
    try:
        return raw.decode("ascii") if isinstance(raw, bytes) else str(raw)
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True)
class Table:
    """The datasets below one path of a file; every fault is a FileError that names it."""

    file: str
    path: str
    datasets: Mapping[str, np.ndarray]

    def has(self, key: str) -> bool:
        return f"{self.path}/{key}" in self.datasets

    def get(self, key: str, expected: str) -> np.ndarray:
        name = f"{self.path}/{key}"
        if name not in self.datasets:
            raise self.fault(key, "missing", expected=expected)
        return self.datasets[name]

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and not self.has(key):
            return default
        found = text_of(self.get(key, "a text"))
        if found is None:
            raise self.fault(key, "not a text", got=self._shown(key), expected="one text")
        return found

    def whole(self, key: str, low: int, high: int, dims: tuple[int, ...] = ()) -> np.ndarray:
        """float64 array of whole numbers; `dims`: how many dimensions it may have, without: any number."""
        wanted = f"whole numbers from {low:,} to {high:,}"
        value = self.get(key, wanted)
        if value.dtype.kind not in "biuf" or (dims and value.ndim not in dims):
            shape = f" in {' or '.join(map(str, dims))} dimensions" if dims else ""
            raise self.fault(key, "not what belongs here", got=self._shown(key), expected=wanted + shape)
        number = value.astype(np.float64)
        bad = ~((number >= max(low, -_LIMIT)) & (number <= min(high, _LIMIT)) & (number == np.floor(number)))
        if bad.any():
            place = [int(k) for k in np.argwhere(bad)[0]] if value.ndim else ""
            got = float(number[bad][0])
            fix = "round the weights to the grid of the chip first" if got % 1 else ""
            raise self.fault(f"{key}{place or ''}", "not a number that fits", got, wanted, fix)
        return number

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        if default is not None and not self.has(key):
            return default
        found = self.whole(key, low, high)
        if found.size != 1:
            raise self.fault(key, "several numbers", got=self._shown(key), expected="one whole number")
        return int(found.ravel()[0])

    def pair(self, key: str, low: int, high: int, default: int | None = None) -> tuple[int, int]:
        """(rows, columns); one number stands for both."""
        if default is not None and not self.has(key):
            return default, default
        found = self.whole(key, low, high).ravel()
        if found.size not in (1, 2):
            raise self.fault(key, "not a pair", got=self._shown(key), expected="rows and columns")
        return int(found[0]), int(found[-1])

    def fault(self, key: str, problem: str, got: Any = None, expected: str = "", fix: str = "") -> FileError:
        return _not_netx(problem, f"{self.file}:/{self.path}/{key}", got, expected, fix)

    def _shown(self, key: str) -> str:
        value = self.datasets[f"{self.path}/{key}"]
        return f"{value.dtype}{list(value.shape)}"


def _not_netx(problem: str, where: str, got: Any, expected: str, fix: str = "") -> FileError:
    return FileError(
        f"not a NetX file: {problem}", where=where, got=got, expected=expected, code="file.not_netx",
        fix=fix or "write it again with the tool it came from",
    )  # fmt: skip
