"""Checkpoints: all arrays of a simulation in one HDF5 file that is either whole or not there.

    /arrays/<name>     one dataset an array, contiguous and unpacked
    /meta              JSON text as uint8
    attribute sha256   over the meta, and the sorted names, types, shapes and bytes of the arrays

A folder of checkpoints keeps the last few, and latest.json, written last, names the newest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnsim.atomic import remove_temporaries, replacing, storage_errors, sync_folder, write_json
from snnsim.errors import ConfigError, FileError
from snnsim.hashing import sha256_of_file
from snnsim.hdf5_safety import MAX_DEPTH, damage_errors, open_untrusted
from snnsim.hdf5_writing import abandon, create_hdf5, hdf5_writes, reserve, sync

SCHEMA = 1
LATEST = "latest.json"
Meta = dict[str, str | int | float]
_KINDS = "biufc"


def write_checkpoint(
    path: Path | str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, str | int | float]
) -> None:
    """Write arrays and facts to one file, atomically.

    arrays   name -> array of numbers or booleans; '/' in a name makes groups
    meta     JSON facts: step, seed, row counts, hash of the network, ...
    Raises ConfigError for what cannot be stored and StorageError when the disk fails; the file that
    was at `path` is untouched then.
    """
    path = Path(path)
    kept = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in kept.items():
        _check_array(name, array, kept)
    try:
        text = json.dumps(dict(meta), default=_plain_number, sort_keys=True)
    except TypeError as error:
        raise ConfigError(f"the facts of a checkpoint must be JSON ({error})", where=str(path)) from error
    with replacing(path) as temporary:
        file = create_hdf5(temporary)
        try:
            with hdf5_writes(file):
                reserve(file, len(text) + sum(array.nbytes for array in kept.values()))
                file.attrs["schema"] = SCHEMA
                file.attrs["sha256"] = _digest(text, kept)
                file["meta"] = np.frombuffer(text.encode(), np.uint8)
                group = file.create_group("arrays")
                for name, array in kept.items():
                    group[name] = array
                sync(file)
                file.close()
        finally:
            abandon(file)


def read_checkpoint(path: Path | str) -> tuple[dict[str, np.ndarray], Meta]:
    """Arrays and facts of a checkpoint, after checking its content hash.

    Raises FileError: missing, not a checkpoint, damaged, or unsafe.
    """
    with open_untrusted(path) as file, damage_errors(file):
        if "sha256" not in file.attrs or not isinstance(file.get("arrays"), h5py.Group) or "meta" not in file:
            raise FileError("not a checkpoint", where=str(path), expected="a file that snnsim saved")
        if int(file.attrs["schema"]) > SCHEMA:
            raise FileError(
                "a checkpoint of a newer version",
                where=str(path),
                got=int(file.attrs["schema"]),
                expected=f"schema {SCHEMA}",
                fix="update snnsim",
            )
        datasets = {"meta": file["meta"]}
        file["arrays"].visititems(lambda name, item: _collect(name, item, datasets))
        for name, dataset in datasets.items():
            if dataset.chunks is not None or (
                dataset.nbytes and dataset.id.get_storage_size() != dataset.nbytes
            ):
                raise FileError(
                    "an array that snnsim did not write", where=f"{path}:{name}", code="file.unsafe"
                )
        text = _read(datasets.pop("meta")).tobytes().decode()
        arrays = {name.removeprefix("arrays/"): _read(dataset) for name, dataset in datasets.items()}
        if _digest(text, arrays) != str(file.attrs["sha256"]):
            raise FileError(
                "the content does not match its SHA-256",
                where=str(path),
                code="file.damaged",
                fix="use an older checkpoint",
            )
        return arrays, json.loads(text)


class Checkpoints:
    """A folder of checkpoints of one simulation: step_<12 digits>.h5 and latest.json.

    keep   how many to keep; with two, a damaged newest one still leaves one to resume from
    """

    def __init__(self, folder: Path | str, keep: int = 2) -> None:
        if keep < 1:
            raise ConfigError("too few checkpoints to keep", got=keep, expected="at least 1")
        self.folder = Path(folder)
        self.keep = keep

    def save(
        self, step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, str | int | float]
    ) -> Path:
        """Write a checkpoint, then name it in latest.json, then remove the oldest.

        Checkpoints of later steps go too: they belong to a future that was given up.
        Raises ConfigError and StorageError as write_checkpoint does.
        """
        if not 0 <= step < 10**12:
            raise ConfigError("a step that no checkpoint can have", got=step, expected="0 to 10^12 - 1")
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_temporaries(self.folder)
        path = self.folder / f"step_{step:012d}.h5"
        write_checkpoint(path, arrays, meta)
        with storage_errors(path, "read back"):
            digest, size = sha256_of_file(path), path.stat().st_size
        write_json(self.folder / LATEST, {"name": path.name, "step": step, "sha256": digest, "size": size})
        with storage_errors(self.folder):
            others = [p for p in self._newest_first() if p.name != path.name]
            older = [p for p in others if p.name < path.name]
            for old in others:
                if old not in older[: self.keep - 1]:
                    old.unlink(missing_ok=True)
            sync_folder(self.folder)
        return path

    def load(self) -> tuple[int, dict[str, np.ndarray], Meta, list[str]]:
        """The newest usable checkpoint: (step, arrays, meta, warnings).

        A warning names each newer checkpoint that was damaged, and why.
        Raises FileError naming every file and its fault when none is usable.
        """
        faults: list[str] = []
        candidates = self._newest_first() if self.folder.is_dir() else []
        try:
            latest = self._read_latest()
            # Newer files than the named one were never confirmed: they come last.
            candidates.sort(key=lambda p: p.name > latest["name"])
            if self.folder / latest["name"] not in candidates:
                faults.append(f"{latest['name']}: no such file")
        except FileError as error:
            latest = {}
            faults.append(f"{LATEST}: {error.problem}")
        for path in candidates:
            try:
                if path.name == latest.get("name"):
                    _check_file(path, latest)
                arrays, meta = read_checkpoint(path)
            except FileError as error:
                faults.append(f"{path.name}: {error.problem}")
            else:
                warnings = [f"damaged checkpoint skipped: {fault}" for fault in faults]
                return int(path.stem.removeprefix("step_")), arrays, meta, warnings
        reasons = "; ".join(faults) if candidates else "there is none"
        raise FileError(
            f"no usable checkpoint ({reasons})",
            where=str(self.folder),
            code="file.no_checkpoint",
            fix="run again from the start",
        )

    def _newest_first(self) -> list[Path]:
        found = [p for p in self.folder.glob("step_*.h5") if p.stem[5:].isdigit() and len(p.stem) == 17]
        return sorted(found, reverse=True)

    def _read_latest(self) -> dict[str, Any]:
        path = self.folder / LATEST
        try:
            value = json.loads(path.read_bytes()[: 2**16])
        except FileNotFoundError:
            raise FileError("no such file", where=str(path)) from None
        except (OSError, ValueError, RecursionError) as error:
            raise FileError("not readable", where=str(path)) from error
        wanted = {"name": str, "step": int, "sha256": str, "size": int}
        if not isinstance(value, dict) or any(not isinstance(value.get(k), t) for k, t in wanted.items()):
            raise FileError("not readable", where=str(path), expected=", ".join(wanted))
        return value


def _check_file(path: Path, latest: Mapping[str, Any]) -> None:
    size = path.stat().st_size
    if size != latest["size"]:
        raise FileError(f"{size} bytes instead of {latest['size']}", where=str(path), code="file.damaged")
    if sha256_of_file(path) != latest["sha256"]:
        raise FileError(f"the SHA-256 differs from {LATEST}", where=str(path), code="file.damaged")


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _check_array(name: str, array: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
    parts = name.split("/")
    if not all(parts) or "." in parts or ".." in parts or "\0" in name or len(parts) >= MAX_DEPTH:
        raise ConfigError(
            "cannot be the name of an array", got=name, expected=f"up to {MAX_DEPTH - 1} parts between '/'"
        )
    for length in range(1, len(parts)):
        if "/".join(parts[:length]) in arrays:
            raise ConfigError("one array lies inside another", got=name, where="/".join(parts[:length]))
    if array.dtype.kind not in _KINDS:
        raise ConfigError(
            "only numbers can be stored", where=name, got=str(array.dtype), expected="a numeric array"
        )


def _read(dataset: h5py.Dataset) -> np.ndarray:
    # dataset[()] would turn an array of no dimensions into a scalar of native byte order.
    array = np.empty(dataset.shape, dataset.dtype)
    if array.size:
        dataset.read_direct(array)
    return array


def _collect(name: str, item: h5py.Dataset | h5py.Group, datasets: dict[str, h5py.Dataset]) -> None:
    if isinstance(item, h5py.Dataset):
        datasets[f"arrays/{name}"] = item


def _plain_number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not text or a number")
