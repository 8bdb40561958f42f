"""Formats of integer networks that can be emulated: which reader belongs to a file or a folder.

A format is told by the suffix of a file, or by a file that its folders hold.  To add one, add an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snnsim.errors import ConfigError, FileError
from snnsim.network import Network


@dataclass(frozen=True)
class ReadOptions:
    """What is said beside the file.

    reset_interval, reset_offset  when state goes back to zero; of formats that have it, see their readers
    """

    reset_interval: int | None = None
    reset_offset: int = 0


@dataclass(frozen=True)
class Format:
    """A format and its reader.

    suffix    of its files, with the dot; "" for folders
    manifest  a file that each of its folders holds; "" for files
    read      (path, options) -> an integer network with one analogue input
    resets    does the reader take reset_interval and reset_offset
    """

    name: str
    read: Callable[[Path, ReadOptions], Network]
    suffix: str = ""
    manifest: str = ""
    resets: bool = False


def _netx(path: Path, options: ReadOptions) -> Network:
    from snnsim.hardware.loihi import read_netx

    return read_netx(path, reset_interval=options.reset_interval, reset_offset=options.reset_offset)


def _nir(path: Path, options: ReadOptions) -> Network:
    from snnsim.hardware.loihi.nir_integer import read_nir_integer

    return read_nir_integer(path)


FORMATS: list[Format] = [
    Format("NetX (Lava)", _netx, suffix=".net", resets=True),
    Format("NIR of an integer network", _nir, suffix=".nir"),
]


def read_hardware(path: Path | str, options: ReadOptions | None = None) -> Network:
    """The integer network of a file or folder of any of the formats.

    Raises FileError where none fits, and what its reader raises.
    """
    path, options = Path(path), options or ReadOptions()
    if not path.exists():
        raise FileError("no such file", where=str(path), code="file.missing", fix="check the path")
    fitting = [
        f for f in FORMATS
        if (path.is_dir() and f.manifest and (path / f.manifest).is_file())
        or (path.is_file() and f.suffix and path.suffix.lower() == f.suffix)
    ]  # fmt: skip
    if not fitting:
        known = ", ".join(f"{f.name}: {f.suffix or f'a folder with {f.manifest}'}" for f in FORMATS)
        raise FileError("not a known format of integer networks", where=str(path), expected=known)
    if options != ReadOptions() and not fitting[0].resets:
        raise ConfigError(
            "this format has no resets at intervals", where="reset_interval", got=fitting[0].name,
            expected=", ".join(f.name for f in FORMATS if f.resets),
        )  # fmt: skip
    return fitting[0].read(path, options)
