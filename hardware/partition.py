"""Layers cut into parts and packed into as few cores as possible.

First fit: layers in some order, each from its first position to its last, as much as fits into every open
core that has room, the rest into new ones.  Several orders are tried, with and without small pieces.  How
many axons a unit needs is known only when its targets are packed: it is taken from the packing before, until
a packing holds with its own count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.layout import Layer
from snnsim.hardware.resources import (
    INPUTS,
    NEURONS,
    OUTPUTS,
    WORDS,
    Part,
    Storage,
    least_need,
    make_part,
    sources_of,
    units_of,
)  # fmt: skip
from snnsim.hardware.targets import RESOURCES, WAYS_OUT, Target

_ROUNDS = 8
_COARSE = 0.25  # of what an empty core would take: smaller pieces are left to others

Packing = list[list[Part]]


@dataclass
class Cutter:
    """Cuts layers for one target, and remembers what parts need.

    fan  for each layer, float64[n]: output axons of each unit, as far as known
    """

    layers: list[Layer]
    target: Target
    storage: Storage

    def __post_init__(self) -> None:
        if self.target.storage is None:
            raise TargetError(
                "networks are not placed on the cores of this target",
                where="target",
                got=self.target.name,
                fix="its own tools do that, or it is one core",
            )
        self.format, capacity = self.target.storage, self.target.capacity()
        self.capacity = np.array([capacity[name] for name in RESOURCES])
        self.fan = [np.zeros(layer.n) for layer in self.layers]
        self._known: dict[tuple[int, int, int, int, int], Part] = {}
        self.blocks = [self._blocks(k) for k in range(len(self.layers))]

    def part(self, k: int, first: int, last: int, begin: int, end: int) -> Part:
        key = (k, first, last, begin, end)
        if key not in self._known:
            self._known[key] = make_part(self.layers, k, first, last, begin, end, self.format, self.storage)
        return self._known[key]

    def need(self, part: Part) -> np.ndarray:
        """float64[6]: what a part takes, with its output axons."""
        found = part.need.copy()
        found[OUTPUTS] = self.fan[part.layer][units_of(self.layers[part.layer], part)].sum()
        return found

    def largest(self, k: int, first: int, last: int, begin: int, free: np.ndarray) -> Part | None:
        """The longest part from `begin` on that fits into what is free; None where nothing does."""
        layer = self.layers[k]
        most = int(min(layer.n_positions - begin, free[NEURONS] // (last - first)))

        def fits(length: int) -> bool:
            return bool(np.all(self.need(self.part(k, first, last, begin, begin + length)) <= free))

        if most < 1 or not fits(1):
            return None
        low, high = 1, most + 1
        if fits(most):
            low = most
        while high - low > 1 and low < most:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return self.part(k, first, last, begin, begin + low)

    def _blocks(self, k: int) -> list[tuple[int, int]]:
        """Ranges of channels such that one position of a range fits into a core."""
        layer, n_blocks = self.layers[k], 1
        middle = layer.n_positions // 2
        while True:
            cuts = [layer.channels * b // n_blocks for b in range(n_blocks + 1)]
            blocks = list(zip(cuts[:-1], cuts[1:], strict=True))
            parts = [self.part(k, first, last, middle, middle + 1) for first, last in blocks]
            if all(np.all(part.need <= self.capacity) for part in parts):
                return blocks
            if n_blocks == layer.channels:
                raise oversize(layer, parts, self.capacity, self.target)
            n_blocks = min(layer.channels, n_blocks * 2)


class OversizeError(TargetError):
    """A layer of which not even one unit fits into a core; `resource` is what it takes too much of."""

    resource: str


def oversize(layer: Layer, parts: list[Part], capacity: np.ndarray, target: Target) -> OversizeError:
    """The error for a layer of which not even one unit fits into a core."""
    need = np.max([part.need for part in parts], axis=0)
    r = int(np.argmax(need / capacity))
    error = OversizeError(
        f"one unit alone takes more {RESOURCES[r].replace('_', ' ')} than a core of {target.name} has",
        where=f"populations.{layer.name}",
        got=int(need[r]),
        expected=f"at most {capacity[r]:,.0f}",
        fix=WAYS_OUT[RESOURCES[r]],
    )
    error.resource = RESOURCES[r]
    return error


def fans(layers: list[Layer], packing: Packing, cull_zeros: bool) -> list[np.ndarray]:
    """For each layer int64[n]: how many parts, by projection, each unit reaches."""
    found = [np.zeros(layer.n, np.int64) for layer in layers]
    for part in (part for core in packing for part in core):
        layer = layers[part.layer]
        for wire in layer.wires:
            if wire.source is not None:
                found[wire.source][sources_of(layer, wire, part, cull_zeros)] += 1
    return found


def fill(cutter: Cutter, order: list[int], coarse: bool) -> Packing:
    """First fit in that order of layers."""
    cores: Packing = []
    free: list[np.ndarray] = []
    for k in order:
        for first, last in cutter.blocks[k]:
            _fill_block(cutter, k, first, last, coarse, cores, free)
    return cores


def _fill_block(
    cutter: Cutter, k: int, first: int, last: int, coarse: bool, cores: Packing, free: list[np.ndarray]
) -> None:
    begin, n_positions = 0, cutter.layers[k].n_positions
    whole = cutter.largest(k, first, last, 0, cutter.capacity)
    least = _COARSE * (whole.end if whole is not None and coarse else 0)
    fitting = [cutter.largest(k, first, last, 0, room) for room in free]
    for number, part in enumerate(fitting):
        if part is not None and part.end == n_positions:  # in one piece
            cores[number].append(part)
            free[number] -= cutter.need(part)
            return
    for core, room in zip(cores, free, strict=True):
        if begin == n_positions:
            return
        part = cutter.largest(k, first, last, begin, room)
        if part is not None and (part.end == n_positions or part.end - begin >= least):
            core.append(part)
            room -= cutter.need(part)
            begin = part.end
    while begin < n_positions:
        part = cutter.largest(k, first, last, begin, cutter.capacity)
        if part is None:
            one = cutter.part(k, first, last, begin, begin + 1)
            alone = Part(k, first, last, begin, begin + 1, cutter.need(one))
            raise oversize(cutter.layers[k], [alone], cutter.capacity, cutter.target)
        cores.append([part])
        free.append(cutter.capacity - cutter.need(part))
        begin = part.end


def settle(cutter: Cutter, cut: Callable[[], Packing]) -> Packing:
    """Pack until the output axons hold.  Raises TargetError where a unit does not fit, or they never do."""
    for layer_fan in cutter.fan:
        layer_fan[:] = 0
    for turn in range(_ROUNDS):
        packing = cut()
        found = fans(cutter.layers, packing, cutter.storage.cull_zeros)
        if all(_outputs(cutter, core, found) <= cutter.capacity[OUTPUTS] for core in packing):
            cutter.fan = [layer_fan.astype(np.float64) for layer_fan in found]
            return packing
        for mine, layer_fan in zip(cutter.fan, found, strict=True):
            # what moves with every cut settles as the most that any unit of the layer needs
            np.maximum(mine, layer_fan if turn < _ROUNDS // 2 else layer_fan.max(initial=0), out=mine)
    raise TargetError(
        "no packing holds with its output axons",
        where="network",
        expected=f"at most {cutter.capacity[OUTPUTS]:,.0f} a core",
        fix="make the target layers smaller, or use encodings that let them lie on fewer cores",
    )


def _outputs(cutter: Cutter, core: list[Part], fan: list[np.ndarray]) -> float:
    return float(sum(fan[part.layer][units_of(cutter.layers[part.layer], part)].sum() for part in core))


def orders(cutter: Cutter) -> list[list[int]]:
    """Orders of layers to try: as given, backwards, most neurons first, most memory a neuron first."""
    n = len(cutter.layers)
    total = totals(cutter)
    share = total / np.where(np.isfinite(cutter.capacity), cutter.capacity, np.inf)
    size = share[:, [NEURONS, INPUTS, WORDS]]
    found = [
        list(range(n)),
        list(range(n))[::-1],
        sorted(range(n), key=lambda k: -size[k, 0]),
        sorted(range(n), key=lambda k: -size[k].max()),
        sorted(range(n), key=lambda k: -size[k, 2]),
    ]
    return [list(order) for order in dict.fromkeys(tuple(order) for order in found)]


def totals(cutter: Cutter) -> np.ndarray:
    """float64[n_layers, 6]: the least that each layer takes in all, however it is cut."""
    rows = np.array([least_need(layer, cutter.format, cutter.storage) for layer in cutter.layers])
    for k, layer in enumerate(cutter.layers):
        whole = Part(k, 0, layer.channels, 0, layer.n_positions, np.zeros(0))
        for wire in layer.wires:
            if wire.source is not None:
                reaching = sources_of(layer, wire, whole, cutter.storage.cull_zeros)
                rows[wire.source, OUTPUTS] += reaching.size
    return rows


def lower_bound(cutter: Cutter) -> dict[str, int]:
    """Cores that no packing can do without, by resource: what all layers take at least, over one core's."""
    need = totals(cutter).sum(axis=0)
    return {
        name: int(np.ceil(need[r] / cutter.capacity[r] - 1e-9))
        for r, name in enumerate(RESOURCES)
        if np.isfinite(cutter.capacity[r])
    }
