"""Arrays that lie beside a config file in an .npz file: `{ file = "net.npz", array = "weights" }`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from snnsim.errors import ConfigError, FileError, nearest

SIZE_LIMIT = 64 * 2**30


def read_array(reference: Mapping[str, Any], where: str, folder: Path | None) -> np.ndarray:
    """The array that a reference names.

    Raises ConfigError for a wrong reference and FileError for a file that is missing, outside the
    config's folder, damaged, or larger than it claims.
    """
    for key in reference:
        if key not in ("file", "array"):
            raise ConfigError(
                "unknown key",
                where=f"{where}.{key}",
                fix=nearest(str(key), ("file", "array")),
                code="config.unknown_key",
            )
    for key in ("file", "array"):
        if not isinstance(reference.get(key), str):
            raise ConfigError(
                "wrong type",
                where=f"{where}.{key}",
                got=reference.get(key),
                expected="a name in quotes",
                code="config.wrong_type",
            )
    root = (folder or Path.cwd()).resolve()
    path = (root / reference["file"]).resolve()
    if not path.is_relative_to(root):
        raise FileError(
            "the file lies outside the folder of the config",
            where=where,
            got=str(path),
            expected=f"inside {root}",
        )
    if not path.is_file():
        raise FileError("no such file", where=where, got=str(path), expected="an .npz file beside the config")
    name = reference["array"] + ".npy"
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(name)
            if member.file_size > SIZE_LIMIT or member.file_size > 1000 * max(member.compress_size, 2**16):
                raise FileError(
                    "the array claims an implausible size", where=where, got=f"{member.file_size} bytes"
                )
            with archive.open(member) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
    except KeyError:
        with zipfile.ZipFile(path) as archive:
            held = [n.removesuffix(".npy") for n in archive.namelist()]
        raise FileError(
            "no such array in the file",
            where=where,
            got=reference["array"],
            fix=nearest(reference["array"], held),
        ) from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"not a readable .npz file ({error})", where=where, got=str(path)) from error
