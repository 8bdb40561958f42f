"""Where neurons lie on a chip: the core of each neuron, and the tile of each core on the mesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Table
from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError, nearest
from snnsim.network import Network


@dataclass(frozen=True, eq=False)
class Mapping:
    """The core of each neuron, and the tile of each core.

    core_of   int[n] by population: the core of each neuron.  An input may be there too; one that is not
              comes from outside of the chip, and its messages cross no mesh
    position  int[n_cores, 2]: column x and row y of each core's tile; cores at one place share a tile
    """

    core_of: Table[str, np.ndarray]
    position: np.ndarray

    @property
    def n_cores(self) -> int:
        return len(self.position)

    @property
    def n_tiles(self) -> int:
        """Tiles with a core in use."""
        return len(np.unique(self.position[self.used], axis=0))

    @property
    def used(self) -> np.ndarray:
        """int[]: cores that hold a neuron."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self.core_of.values()]))

    def check(self, network: Network) -> None:
        """Raises TargetError where this is no mapping of that network."""
        if np.ndim(self.position) != 2 or np.shape(self.position)[1] != 2:
            raise TargetError(
                "each core has a place on the mesh",
                where="mapping.position", got=f"shape {np.shape(self.position)}", expected="(n_cores, 2)",
            )  # fmt: skip
        sizes = network_sizes(network)
        for name in self.core_of:
            if name not in sizes:
                raise TargetError(
                    "no such population or input", where="mapping.core_of", got=name, fix=nearest(name, sizes)
                )
        for name, n in sizes.items():
            if name in self.core_of:
                self._check_cores(name, np.asarray(self.core_of[name]), n)
            elif name in network.populations:
                raise TargetError("the population lies on no core", where=f"mapping.core_of.{name}")

    def _check_cores(self, name: str, cores: np.ndarray, n: int) -> None:
        where = f"mapping.core_of.{name}"
        if cores.shape != (n,) or cores.dtype.kind not in "iu":
            raise TargetError(
                "one core for each neuron is needed",
                where=where, got=f"{cores.dtype}{list(cores.shape)}", expected=f"int[{n}]",
            )  # fmt: skip
        wrong = cores[(cores < 0) | (cores >= self.n_cores)]
        if wrong.size:
            raise TargetError(
                "no such core", where=where, got=int(wrong[0]), expected=f"0 to {self.n_cores - 1}"
            )


def network_sizes(network: Network) -> dict[str, int]:
    """Units of each input and each population."""
    inputs = {name: int(getattr(source, "n", 0)) for name, source in network.sources().items()}
    return inputs | {name: population.n for name, population in network.populations.items()}


def consecutive(
    network: Network, per_core: int = 1024, *, cores_per_tile: int = 4, height: int = 4, inputs: bool = True
) -> Mapping:
    """Neurons in the order of their populations, each core filled before the next; no two share a core.

    The simplest mapping, to compare others with.  Tiles are filled column by column, `height` tiles each.
    inputs  do inputs lie on cores of the chip too
    """
    core_of, first = {}, 0
    for name, n in network_sizes(network).items():
        if name in network.populations or inputs:
            core_of[name] = first + np.arange(n) // per_core
            first += -(-n // per_core)
    tile = np.arange(first) // cores_per_tile
    return Mapping(core_of, np.stack([tile // height, tile % height], axis=1))


def with_inputs(
    network: Network, mapping: Mapping, *, width: int, height: int, cores_per_tile: int, per_core: int
) -> Mapping:
    """The same mapping, with inputs that lie on no core on the first free ones, filled one after the other.

    Raises TargetError where too few are free.
    """
    taken = Counter((int(x), int(y)) for x, y in mapping.position)
    free = [
        (x, y) for x in range(width) for y in range(height) for _ in range(cores_per_tile - taken[x, y])
    ]
    sizes = network_sizes(network)
    missing = [name for name in sizes if name not in mapping.core_of]
    ends = np.cumsum([sizes[name] for name in missing])
    needed = -(-int(ends[-1]) // per_core) if missing else 0
    if needed > len(free):
        raise TargetError(
            "too few free cores for inputs", where=f"stimuli.{', '.join(missing)}", got=len(free),
            expected=f"{needed}, for {per_core} units each", fix="make the network or its input smaller",
        )  # fmt: skip
    core_of = dict(mapping.core_of)
    for name, end in zip(missing, ends, strict=True):
        core_of[name] = mapping.n_cores + np.arange(end - sizes[name], end) // per_core
    places = np.array(free[:needed], np.int64).reshape(-1, 2)
    return Mapping(core_of, np.concatenate([np.asarray(mapping.position), places]))
