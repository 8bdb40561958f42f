"""A network on the cores of a chip: how it is cut, what each core holds, where it lies.

    placement = place(network, "loihi2", traffic=measure(network, inputs, n_steps=20))
    placement.core_of("fc1")         # core of each neuron
    placement.as_dict()              # everything, for JSON
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.arrange import arrange, cost
from snnsim.hardware.layout import Layer, layers_of
from snnsim.hardware.mesh import Sites, link_loads, sites
from snnsim.hardware.partition import Cutter, Packing, fans, fill, lower_bound, orders, settle
from snnsim.hardware.resources import Part, Storage, sources_of, units_of
from snnsim.hardware.targets import RESOURCES, Mesh, Target, get_target
from snnsim.network import Network

_GLANCE = 0.1  # of the effort, to choose among packings of as few cores


@dataclass(frozen=True, eq=False)
class Chunk:
    """A part of a population on a core: units int64[n]; the encoding of each projection into it."""

    population: str
    units: np.ndarray
    encodings: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Core:
    """What a core holds, and what it takes: float64[6] in the order of RESOURCES."""

    chunks: tuple[Chunk, ...]
    need: np.ndarray


@dataclass(frozen=True, eq=False)
class Placement:
    """Cores of a network on a target.

    xy            int64[n_cores, 2]  router of each core; chips lie side by side
    capacity      of a core, by resource
    bounds        cores that no packing does without, by resource
    traffic       float64[n_cores, n_cores]  spikes in a step from core to core, one for each chunk reached
    spike_hops    sum of traffic x hops, in a step
    measured      was the traffic given; without, every neuron counts as one spike a step
    """

    target: str
    mesh: Mesh
    storage: Storage
    cores: tuple[Core, ...]
    xy: np.ndarray
    chips: int
    capacity: Mapping[str, float]
    bounds: Mapping[str, int]
    traffic: np.ndarray
    spike_hops: float
    measured: bool
    _core_of: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def populations(self) -> tuple[str, ...]:
        """Those that are on the cores."""
        return tuple(self._core_of)

    @property
    def n_cores(self) -> int:
        return len(self.cores)

    @property
    def lower_bound(self) -> int:
        return max(self.bounds.values())

    @property
    def gap(self) -> float:
        """Cores above the lower bound, as a part of it."""
        return self.n_cores / self.lower_bound - 1.0

    @property
    def utilisation(self) -> np.ndarray:
        """float64[n_cores, 6]: what is taken, as a part of what there is; 0 where no limit is known."""
        return np.array([core.need for core in self.cores]) / np.array([*self.capacity.values()])

    @property
    def max_link_load(self) -> float:
        """Spikes in a step over the busiest link between two routers, both directions together."""
        return float(max((load.max(initial=0.0) for load in link_loads(self.traffic, self.xy)), default=0.0))

    def core_of(self, population: str) -> np.ndarray:
        """int64[n]: the core of each neuron.  Raises TargetError for a population that is not on cores."""
        if population not in self._core_of:
            raise TargetError("not on the cores", where="population", got=population)
        return self._core_of[population]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and names, as `export --json` prints them."""
        used = self.utilisation
        return {
            "target": self.target,
            "cores": self.n_cores,
            "chips": self.chips,
            "lower_bound": self.lower_bound,
            "bounds": dict(self.bounds),
            "gap": self.gap,
            "utilisation": {
                name: {"mean": float(used[:, r].mean()), "max": float(used[:, r].max())}
                for r, name in enumerate(RESOURCES)
                if np.isfinite(self.capacity[name])
            },
            "spike_hops": self.spike_hops,
            "max_link_load": self.max_link_load,
            "spikes_between_cores": float(self.traffic.sum() - np.trace(self.traffic)),
            "traffic_measured": self.measured,
            "storage": {
                "encodings": list(self.storage.encodings),
                "weight_bits": self.storage.weight_bits,
                "cull_zeros": self.storage.cull_zeros,
            },
            "placement": [
                {
                    "core": number,
                    "x": int(self.xy[number, 0]),
                    "y": int(self.xy[number, 1]),
                    "chunks": [
                        {"population": c.population, "neurons": int(c.units.size), **dict(c.encodings)}
                        for c in core.chunks
                    ],
                    **{name: float(core.need[r]) for r, name in enumerate(RESOURCES)},
                }
                for number, core in enumerate(self.cores)
            ],
        }


def place(
    network: Network, target: Target | str, traffic: Mapping[str, np.ndarray] | None = None, seed: int = 0, *,
    storage: Storage | None = None, outside: Collection[str] = (), chips: int = 1,
) -> Placement:  # fmt: skip
    """Cut a network into as few cores as found, and arrange them for the least spikes x hops.

    traffic  by population float64[n]: spikes of each neuron in a step (see traffic.measure); without,
             every neuron counts as one
    storage  which encodings of synapses may be used; without: the best of all
    outside  populations that are not on the cores, such as encoders that run on the host
    chips    how many there are; they lie side by side
    Raises TargetError where the network cannot be placed.  The same arguments give the same placement.
    """
    found, storage = get_target(target), storage or Storage()
    layers = layers_of(network, outside)
    cutter = Cutter(layers, found, storage)
    spikes = spikes_of(layers, traffic)
    packings = _packings(cutter)
    fewest = [packing for packing in packings if len(packing) == min(map(len, packings))]
    _check_cores(len(fewest[0]), found, chips)
    tried = [placement_of(cutter, packing, spikes, seed, effort=_GLANCE) for packing in fewest]
    best = fewest[int(np.argmin([placement.spike_hops for placement in tried]))]
    return placement_of(cutter, best, spikes, seed, measured=traffic is not None)


def _check_cores(n_cores: int, target: Target, chips: int) -> None:
    limit = target.limit("cores")
    if limit is not None and n_cores > int(limit.value) * chips:  # type: ignore[arg-type]
        raise TargetError(
            f"{target.name} has too few cores",
            where="cores.most",
            got=n_cores,
            expected=f"{limit.text()}, with chips={chips}",
            fix=limit.fix,
        )


def _packings(cutter: Cutter) -> list[Packing]:
    """Different packings, by several orders of the layers."""
    found: list[Packing] = []
    refusals: list[TargetError] = []
    for order, coarse in itertools.product(orders(cutter), (False, True)):
        try:
            packing = settle(cutter, partial(fill, cutter, order, coarse))
        except TargetError as error:
            refusals.append(error)
            continue
        if packing not in found:
            found.append(packing)
    if not found:
        raise refusals[0]
    return found


def placement_of(
    cutter: Cutter, packing: Packing, spikes: list[np.ndarray], seed: int, *, measured: bool = False,
    effort: float = 1.0,
) -> Placement:  # fmt: skip
    """The placement of a packing, arranged for the least spikes x hops."""
    layers, target, cull = cutter.layers, cutter.target, cutter.storage.cull_zeros
    if target.mesh is None:
        raise TargetError("networks are not placed on the cores of this target", where=target.name)
    packing = sorted(packing, key=_main_part)
    at: Sites = sites(target.mesh, len(packing))
    traffic = core_traffic(layers, packing, spikes, cull)
    site = arrange(traffic, at, seed, effort)
    cutter.fan = [fan.astype(np.float64) for fan in fans(layers, packing, cull)]
    return Placement(
        target=target.name,
        mesh=target.mesh,
        storage=cutter.storage,
        cores=tuple(_core(cutter, parts) for parts in packing),
        xy=at.xy[site],
        chips=at.chips,
        capacity=target.capacity(),
        bounds=lower_bound(cutter),
        traffic=traffic,
        spike_hops=cost(traffic, at, site),
        measured=measured,
        _core_of={layer.name: core for layer, core in zip(layers, _cores(layers, packing), strict=True)},
    )


def _main_part(core: list[Part]) -> tuple[int, int, int]:
    """Layer and beginning of the largest part: cores are numbered along the layers."""
    part = max(core, key=lambda part: part.n)
    return part.layer, part.first, part.begin


def _core(cutter: Cutter, parts: list[Part]) -> Core:
    layers = cutter.layers
    chunks = tuple(
        Chunk(layers[p.layer].name, units_of(layers[p.layer], p), dict(p.encodings)) for p in parts
    )
    return Core(chunks, np.sum([cutter.need(part) for part in parts], axis=0))


def core_traffic(
    layers: list[Layer], packing: Packing, spikes: list[np.ndarray], cull_zeros: bool = True
) -> np.ndarray:
    """float64[n_cores, n_cores]: spikes from core to core in a step, one for each chunk and projection."""
    place_of, traffic = _cores(layers, packing), np.zeros((len(packing), len(packing)))
    for target, core in enumerate(packing):
        for part in core:
            for wire in layers[part.layer].wires:
                if wire.source is not None:
                    sources = sources_of(layers[part.layer], wire, part, cull_zeros)
                    sent = spikes[wire.source][sources]
                    traffic[:, target] += np.bincount(
                        place_of[wire.source][sources], weights=sent, minlength=len(packing)
                    )
    return traffic


def _cores(layers: list[Layer], packing: Packing) -> list[np.ndarray]:
    found = [np.full(layer.n, -1, np.int64) for layer in layers]
    for number, core in enumerate(packing):
        for part in core:
            found[part.layer][units_of(layers[part.layer], part)] = number
    return found


def spikes_of(layers: list[Layer], traffic: Mapping[str, np.ndarray] | None) -> list[np.ndarray]:
    """For each layer float64[n]: spikes of each neuron in a step; one where no traffic is given."""
    if traffic is None:
        return [np.ones(layer.n) for layer in layers]
    found = []
    for layer in layers:
        value = np.asarray(traffic.get(layer.name, np.zeros(0)), np.float64)
        if value.shape != (layer.n,) or not np.all(np.isfinite(value)) or np.any(value < 0):
            raise TargetError(
                "spikes of each neuron in a step are needed, finite and >= 0",
                where=f"traffic.{layer.name}",
                got=f"shape {value.shape}" if layer.name in traffic else "nothing",
                expected=f"({layer.n},)",
            )
        found.append(value)
    return found
