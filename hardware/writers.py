"""What is written for a target: a registry of artefacts.  To add one, add an entry.

Readers of the same files are in formats.py; where there is one, an export is read again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snnsim.errors import TargetError
from snnsim.network import Network


@dataclass(frozen=True)
class Writer:
    """One kind of artefact.

    targets  for which it is written
    name     of its file, or of its folder
    write    (integer network, path) -> None; raises TargetError for what the format cannot say
    reads    is there a reader in formats.py, by which the artefact is checked
    """

    title: str
    targets: tuple[str, ...]
    name: str
    write: Callable[[Network, Path], None]
    reads: bool = True


def _netx(network: Network, path: Path) -> None:
    from snnsim.hardware.loihi import write_netx

    write_netx(network, path)


WRITERS: list[Writer] = [Writer("NetX (Lava)", ("loihi2",), "network.net", _netx)]


@dataclass(frozen=True)
class Written:
    """An artefact that was written, or why it was not: `refused` holds the message."""

    writer: Writer
    refused: str = ""


def write_all(network: Network, target: str, folder: Path) -> Sequence[Written]:
    """Write all artefacts of a target into a folder."""
    found = []
    for writer in WRITERS:
        if target in writer.targets:
            try:
                writer.write(network, folder / writer.name)
                found.append(Written(writer))
            except TargetError as error:
                found.append(Written(writer, str(error)))
    return found
