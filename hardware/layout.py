"""Layers as placement sees them: populations in an order in which they can be cut, and what leads to them."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError
from snnsim.layer_program import map_shapes
from snnsim.layers import Conv, Dense, Into, LayerRule, SumPool
from snnsim.network import Network
from snnsim.projection import Projection

PLACED = (Dense, Conv, SumPool, Into)


@dataclass(frozen=True, eq=False)
class Wire:
    """A projection into a layer.

    source   index of the layer that it comes from; None for input from outside the cores
    bits     the fewest that its weights need, on the coarsest grid of a power of two
    delay    steps beyond the first
    """

    name: str
    source: int | None
    n_source: int
    rule: LayerRule
    bits: int
    delay: int


@dataclass(frozen=True, eq=False)
class Layer:
    """A population: `channels` units at each position, cut along `order`.

    Unit c * n_positions + p is channel c at position p.  A map is scanned along its shorter side, to and
    fro, so that a run of positions is a strip with short edges.
    config, threshold   int64[n]  number of the setting of each unit: decays and refractory period; threshold
    """

    name: str
    n: int
    channels: int
    order: np.ndarray
    wires: tuple[Wire, ...]
    config: np.ndarray
    threshold: np.ndarray

    @property
    def n_positions(self) -> int:
        return self.order.size


def layers_of(network: Network, outside: Collection[str] = ()) -> list[Layer]:
    """The layers of a network; populations named in `outside` and stimuli are not on the cores.

    Raises TargetError for rules of connection that cannot be cut.
    """
    for name in outside:
        if name not in network.populations:
            raise TargetError("no such population", where="outside", got=name)
    names = [name for name in network.populations if name not in outside]
    if not names:
        raise TargetError("nothing is left to place", where="outside", got=list(outside))
    number = {name: k for k, name in enumerate(names)}
    maps = map_shapes(network)
    return [_layer(network, name, number, maps.get(name)) for name in names]


def _layer(
    network: Network, name: str, number: dict[str, int], shape: tuple[int, int, int] | None
) -> Layer:
    population = network.populations[name]
    wires = tuple(
        _wire(network, link, p, number) for link, p in network.projections.items() if p.target == name
    )
    channels = 1 if shape is None else shape[0]
    order = np.arange(population.n) if shape is None else _scan(shape[1], shape[2])
    unit = population.neuron
    return Layer(
        name=name,
        n=population.n,
        channels=channels,
        order=order,
        wires=wires,
        config=_numbered(population.n, unit, ("decay_u", "decay_v", "refractory")),
        threshold=_numbered(population.n, unit, ("threshold", "v_th_mv")),
    )


def _scan(height: int, width: int) -> np.ndarray:
    """Positions of a map, along its shorter side to and fro."""
    grid = np.arange(height * width).reshape(height, width)
    if height <= width:
        grid = grid.T.copy()
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.ravel()


def _numbered(n: int, unit: object, fields: tuple[str, ...]) -> np.ndarray:
    found = [getattr(unit, key) for key in fields if getattr(unit, key, None) is not None]
    columns = [np.broadcast_to(np.asarray(value, np.float64), (n,)) for value in found]
    if not columns:
        return np.zeros(n, np.int64)
    return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].reshape(n).astype(np.int64)


def _wire(network: Network, link: str, p: Projection, number: dict[str, int]) -> Wire:
    if not isinstance(p.rule, PLACED):
        raise TargetError(
            "this rule of connection cannot be cut into cores",
            where=f"projections.{link}.rule",
            got=p.rule.KIND,
            expected=", ".join(rule.KIND for rule in PLACED),
            fix="lower it first: pooling to a convolution, lists of synapses to a dense matrix",
        )
    n_source = p.rule.sizes()[0]
    delay = max(0, math.ceil(float(p.delay_ms)) - 1)  # type: ignore[arg-type]
    return Wire(link, number.get(p.source), n_source, p.rule, weight_bits(weights_of(p)), delay)


def weights_of(p: Projection) -> np.ndarray:
    """All weights of a projection of layers, as they act."""
    scale = float(p.weight)  # type: ignore[arg-type]
    return scale * p.rule.weight if isinstance(p.rule, Dense | Conv) else np.array([scale])


def weight_bits(weight: np.ndarray) -> int:
    """The fewest bits of two's complement (unsigned, without negative weights) on the coarsest grid 2^k.

    8 for weights that are not whole: those of a network that is still to be quantised.
    """
    low, high = float(weight.min(initial=0.0)), float(weight.max(initial=0.0))
    if not (np.isfinite([low, high]).all() and max(-low, high) < 2**53) or np.any(weight != np.round(weight)):
        return 8
    bits = int(np.bitwise_or.reduce(np.abs(weight).astype(np.int64), axis=None))
    if bits == 0:
        return 1
    step = bits & -bits
    first, last = int(low) // step, int(high) // step
    return max(1, last.bit_length() if first == 0 else 1 + max(last.bit_length(), (-first - 1).bit_length()))
