"""Numbering of everything that spikes: populations in levels, levels cut into ranges.

See kernels/layout.py for the terms.  The numbers depend on the network alone; only how many ranges there
are follows the threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.aligned import whole_lines
from snnsim.errors import ConfigError
from snnsim.kernels.layout import Layout
from snnsim.network import Network

_SLOTS = 2**16  # of a range: they are stored in 16 bits
_RANGE_LEAST = 4096  # neurons below which a range is not worth its barrier and its look-up of each spike
_SOURCES_LEAST = 2**17  # the same for sources; they count for two ranges at most, each looks up all spikes


@dataclass(frozen=True)
class Units:
    """Where each population lives.

    names   populations in order: spike sources, then neurons by level
    first   first unit of each; sizes its number of units; level its level (0 for sources)
    n_channels  currents of a neuron, at most
    cuts    int64[n_levels, n_ranges + 1]  first unit of each list and the end of the level
    """

    names: list[str]
    first: dict[str, int]
    size: dict[str, int]
    level: dict[str, int]
    n_sources: int
    n_units: int
    n_levels: int
    n_ranges: int
    n_channels: int
    cuts: np.ndarray

    @property
    def n_neurons(self) -> int:
        """Number of neurons, without sources."""
        return self.n_units - self.n_sources

    def piece(self, name: str, r: int) -> tuple[int, int]:
        """The neurons [low, high) of a population, counted within it, that range r owns."""
        low, high = self.cuts[self.level[name], r : r + 2]
        first, n = self.first[name], self.size[name]
        return int(np.clip(low - first, 0, n)), int(np.clip(high - first, 0, n))

    def local(self, name: str, r: int) -> int:
        """Position within range r of the first neuron of the population's piece."""
        level = self.level[name]
        before = sum(int(self.cuts[k, r + 1] - self.cuts[k, r]) for k in range(1, level))
        return before + self.first[name] + self.piece(name, r)[0] - int(self.cuts[level, r])

    def range_size(self, r: int) -> int:
        """Neurons of range r, and as many more as fill a cache line: the distance of its channels."""
        n = int(sum(self.cuts[k, r + 1] - self.cuts[k, r] for k in range(1, self.n_levels)))
        return whole_lines(n, np.dtype(np.float32))


def number_units(
    network: Network,
    source_sizes: dict[str, int],
    zero_delay: list[tuple[str, str]],
    threads: int,
    n_ranges: int = 0,
    cost: Mapping[str, float] | None = None,
) -> Units:
    """Number all units.  `zero_delay` lists (source, target) of projections with delay 0.

    cost is that of a neuron of each population, 1 where it is not given: ranges take equal shares of it.
    n_ranges = 0 makes one for each thread, or as many more for each as its neurons need; fewer, for fewer
    threads, where the network is small.  Raises ConfigError where zero delays form a cycle.
    """
    levels = _levels(network, zero_delay)
    names = [*network.sources(), *sorted(network.populations, key=lambda name: levels[name])]
    size = {
        name: source_sizes[name] if name in source_sizes else network.populations[name].n for name in names
    }
    level = {name: levels.get(name, 0) for name in names}
    first, total = {}, 0
    for name in names:
        first[name] = total
        total += size[name]
    n_levels = 1 + max(level.values())
    n_sources = sum(source_sizes.values())
    n_channels = max(p.neuron.synapse.n_currents for p in network.populations.values())
    most = _SLOTS // n_channels  # neurons of a range
    if n_ranges == 0:
        worth = (total - n_sources) // _RANGE_LEAST + min(2, n_sources // _SOURCES_LEAST)
        used = max(1, min(threads, worth))
        n_ranges = used * max(1, -(-(total - n_sources) // (most * used)))
        while _largest_range(_cuts(size, level, n_levels, n_ranges, cost or {})) > most:
            n_ranges += used
    cuts = _cuts(size, level, n_levels, n_ranges, cost or {})
    if _largest_range(cuts) > most:
        raise ConfigError(
            "too few ranges for so many neurons",
            where="n_ranges",
            got=n_ranges,
            expected=f"at least {-(-(total - n_sources) // most)}, or 0 to let the network decide",
        )
    return Units(names, first, size, level, n_sources, total, n_levels, n_ranges, n_channels, cuts)


def _cuts(
    size: dict[str, int], level: dict[str, int], n_levels: int, n_ranges: int, cost: Mapping[str, float]
) -> np.ndarray:
    """int64[n_levels, n_ranges + 1]: where each list begins, and where the level ends."""
    cuts = np.zeros((n_levels, n_ranges + 1), dtype=np.int64)
    low = 0
    for k in range(n_levels):
        members = [name for name in size if level[name] == k]
        units = low + np.cumsum([0, *(size[name] for name in members)])
        costs = np.cumsum([0.0, *(size[name] * cost.get(name, 1.0) for name in members)])
        shares = np.arange(1, n_ranges) * costs[-1] / n_ranges
        cuts[k] = [low, *np.interp(shares, costs, units).astype(np.int64), units[-1]]
        low = int(units[-1])
    return cuts


def _largest_range(cuts: np.ndarray) -> int:
    """Neurons of the largest range."""
    return int(np.diff(cuts[1:], axis=1).sum(axis=0).max())


def _levels(network: Network, zero_delay: list[tuple[str, str]]) -> dict[str, int]:
    """Level of each population: 1, or one more than every population that reaches it without delay."""
    levels = dict.fromkeys(network.populations, 1)
    for _ in network.populations:
        changed = False
        for source, target in zero_delay:
            if source in levels and levels[target] <= levels[source]:
                levels[target] = levels[source] + 1
                changed = True
        if not changed:
            return levels
    cycle = sorted({name for pair in zero_delay for name in pair if levels.get(name, 0) > 1})
    raise ConfigError(
        "projections with zero delay form a cycle",
        where="projections",
        got=" -> ".join(cycle),
        expected="a delay of at least dt_ms somewhere on it",
    )


def make_layout(units: Units, block: int, immediate: np.ndarray) -> Layout:
    """The kernels' view of the numbering."""
    n_r, n_l = units.n_ranges, units.n_levels
    ptr, pop, first, n, local = [0], [], [], [], []
    for k in range(n_l):
        for r in range(n_r):
            for p, name in enumerate(units.names):
                low, high = units.piece(name, r)
                if units.level[name] == k and high > low:
                    pop.append(p)
                    first.append(units.first[name] + low)
                    n.append(high - low)
                    local.append(units.local(name, r) if k > 0 else 0)
            ptr.append(len(pop))
    range_size = np.array([units.range_size(r) for r in range(n_r)], dtype=np.int64)
    slot_bits = int(range_size.max() * units.n_channels - 1).bit_length()
    return Layout(
        n_sources=units.n_sources,
        n_ranges=n_r,
        n_levels=n_l,
        n_channels=units.n_channels,
        block=block,
        slot_bits=slot_bits,
        group=min(block, 2 ** (16 - slot_bits)),
        list_first=np.append(units.cuts[:, :-1].ravel(), units.n_units),
        segment_ptr=_ints(ptr),
        segment_pop=_ints(pop),
        segment_first=_ints(first),
        segment_n=_ints(n),
        segment_local=_ints(local),
        pop_first=_ints([units.first[name] for name in units.names]),
        range_size=range_size,
        buffer_base=np.arange(n_r, dtype=np.int64) * block << slot_bits,
        immediate=immediate.astype(np.int64),
    )


def _ints(items: list[int]) -> np.ndarray:
    return np.array(items, dtype=np.int64)
