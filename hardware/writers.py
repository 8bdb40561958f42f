"""What is written for a target: a registry of artefacts.  To add one, add an entry.

Readers of the same files are in formats.py; where there is one, an export is read again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnsim.errors import ConversionError, TargetError
from snnsim.hardware.golden import Golden
from snnsim.hardware.placement import Placement
from snnsim.network import Network


@dataclass(frozen=True)
class Content:
    """What a writer may need: an integer network, its golden vectors, its cores if it has any."""

    network: Network
    golden: Golden
    placement: Placement | None

    def first_sample(self) -> dict[str, np.ndarray]:
        """int32[T, n] by input."""
        return {name: value[0].T for name, value in self.golden.inputs.items()}


@dataclass(frozen=True)
class Writer:
    """One kind of artefact.

    targets  for which it is written
    name     of its file, or of its folder
    write    raises TargetError for what the format cannot say
    reads    does formats.py have a reader, by which the artefact is checked
    outputs_only  does what is read have other populations, of which the last has the outputs
    """

    title: str
    targets: tuple[str, ...]
    name: str
    write: Callable[[Content, Path], None]
    reads: bool = False
    outputs_only: bool = False


def _netx(content: Content, path: Path) -> None:
    from snnsim.hardware.loihi import write_netx

    write_netx(content.network, path)


def _nir(content: Content, path: Path) -> None:
    from snnsim.hardware.loihi.nir_integer import write_nir_integer

    write_nir_integer(content.network, path)


def _sanafe(content: Content, path: Path) -> None:
    from snnsim.hardware.mapping import Mapping
    from snnsim.hardware.sanafe_file import write_sanafe

    placed = content.placement
    if placed is None:
        raise TargetError("a network that lies on no cores", where="placement", fix="export it for loihi1")
    cores = {name: placed.core_of(name) for name in content.network.populations}
    write_sanafe(path, content.network, Mapping(cores, placed.xy), content.first_sample())


def _pynn(content: Content, path: Path) -> None:
    from snnsim.hardware.pynn_script import write_pynn

    shown = content.first_sample()
    n_steps = len(next(iter(shown.values())))
    write_pynn(path, content.network, float(n_steps), inputs=shown)


def _xylo(content: Content, path: Path) -> None:
    from snnsim.hardware.xylo import write_xylo_specification
    from snnsim.hardware.xylo_place import place_xylo

    write_xylo_specification(path, place_xylo(content.network))


def _ranc(content: Content, path: Path) -> None:
    from snnsim.hardware.ranc import write_ranc
    from snnsim.hardware.ranc_place import place_ranc

    write_ranc(path, place_ranc(content.network))


def _tinyodin(content: Content, path: Path) -> None:
    from snnsim.hardware.tinyodin import write_tinyodin
    from snnsim.hardware.tinyodin_place import place_tinyodin

    write_tinyodin(path, place_tinyodin(content.network))


WRITERS: list[Writer] = [
    Writer("NetX (Lava)", ("loihi2",), "network.net", _netx, reads=True),
    Writer("NIR of an integer network", ("loihi2",), "network.nir", _nir, reads=True),
    Writer("SANA-FE network, first golden sample", ("loihi1",), "network.yaml", _sanafe),
    Writer("PyNN script, first golden sample", ("spinnaker1",), "network.py", _pynn),
    Writer("Xylo specification", ("xylo",), "xylo.json", _xylo, True, True),
    Writer("RANC memory files", ("ranc",), "ranc", _ranc, True, True),
    Writer("tinyODIN memory files", ("tinyodin",), "tinyodin", _tinyodin, reads=True),
]


def outputs_only(name: str) -> bool:
    """Is the artefact of this name compared by its outputs alone."""
    return any(writer.name == name and writer.outputs_only for writer in WRITERS)


@dataclass(frozen=True)
class Written:
    """An artefact that was written, or why it was not: `refused` holds the message."""

    writer: Writer
    refused: str = ""


def write_all(content: Content, target: str, folder: Path) -> Sequence[Written]:
    """Write all artefacts of a target into a folder."""
    found = []
    for writer in WRITERS:
        if target in writer.targets:
            try:
                writer.write(content, folder / writer.name)
                found.append(Written(writer))
            except (TargetError, ConversionError) as error:
                found.append(Written(writer, str(error)))
    return found
