"""Arrays that lie beside a config file in an .npz file: `{ file = "net.npz", array = "weights" }`."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from snnsim.errors import FileError, SnnError, nearest
from snnsim.fields import text
from snnsim.mapping import from_mapping
from snnsim.spec import Spec

SIZE_LIMIT = 64 * 2**30

# What zipfile, zlib and numpy are known to raise for damaged files, encrypted ones (RuntimeError) among them.
_DAMAGE = (
    OSError, ValueError, EOFError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class ArrayFile(Spec):
    """An array in an .npz file (numpy.savez), instead of a list: { file = "net.npz", array = "tau" }.

    For every value and every list, where one number each is meant.
    """

    file: str = text(help="an .npz file in the folder of the config, or below")
    array: str = text(help="name of the array in the file")


def read_array(reference: Mapping[str, Any], where: str, folder: Path | None) -> np.ndarray:
    """The array that a reference names.

    Raises ConfigError for a wrong reference and FileError for a file that is missing, outside the
    config's folder, damaged, or larger than it claims.
    """
    named = cast(ArrayFile, from_mapping((ArrayFile,), reference, where))
    try:
        return _read_member(_locate(named.file, where, folder), named.array, where)
    except SnnError:
        raise
    except _DAMAGE as error:
        raise FileError(f"not a readable .npz file ({error})", where=where, got=named.file) from error


def _locate(name: str, where: str, folder: Path | None) -> Path:
    root = (folder or Path.cwd()).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise FileError(
            "the file lies outside the folder of the config",
            where=where,
            got=str(path),
            expected=f"inside {root}",
        )
    if not path.is_file():
        raise FileError("no such file", where=where, got=str(path), expected="an .npz file beside the config")
    return path


def _read_member(path: Path, name: str, where: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        held = [n.removesuffix(".npy") for n in archive.namelist()]
        if name not in held:
            raise FileError("no such array in the file", where=where, got=name, fix=nearest(name, held))
        member = archive.getinfo(f"{name}.npy")
        if member.file_size > SIZE_LIMIT or member.file_size > 1000 * max(member.compress_size, 2**16):
            raise FileError(
                "the array claims an implausible size", where=where, got=f"{member.file_size} bytes"
            )
        with archive.open(member) as stream:
            _check_header(stream, member.file_size, where)
        with archive.open(member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


def _check_header(stream: IO[bytes], size: int, where: str) -> None:
    """The header says how much memory is taken, so it must agree with what is there."""
    version = np.lib.format.read_magic(stream)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in reader:
        raise FileError("unknown version of .npy", where=where, got=version, expected="(1, 0) or (2, 0)")
    shape, _, dtype = reader[version](stream)
    if dtype.hasobject or dtype.kind not in "iuf":
        raise FileError("not an array of numbers", where=where, got=str(dtype))
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise FileError(
            "the array's shape and size disagree",
            where=where,
            got=f"{shape} of {dtype}",
            expected=f"{size - stream.tell()} bytes",
        )
