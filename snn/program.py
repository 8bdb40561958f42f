"""Lowering: from a network to the flat arrays that the kernels work on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnsim import unit_order
from snnsim.connectivity import expected_synapses
from snnsim.encoding import EncodedImages
from snnsim.errors import ConfigError
from snnsim.grid import check_grid
from snnsim.initial_state import empty_spikes, initial_cells
from snnsim.inputs import encode_images, learning_periods, make_drives, make_sources, source_sizes
from snnsim.kernels.connectivity import Run
from snnsim.kernels.layout import (
    CellParameters,
    Cells,
    Drives,
    Layout,
    Plastic,
    Sources,
    Spikes,
    Static,
)
from snnsim.kernels.plasticity import catch_up_all
from snnsim.kernels.stdp import NOTED
from snnsim.layer_neurons import LayerNeuron
from snnsim.layers import LayerRule
from snnsim.network import Network
from snnsim.plastic_wiring import build_plastic
from snnsim.propagators import cell_parameters
from snnsim.stimuli import Analogue
from snnsim.units import Units, make_layout, number_units
from snnsim.wiring import build_static, bundles_of, delay_range

_PLASTIC_COST = 0.005  # of a plastic synapse, in neurons; roughly: only how ranges are cut depends on it
_BLOCK = 8  # steps delivered at once; the buffer of a range then still fits the second-level cache


def check_and_encode(
    network: Network, dt_ms: float, seed: int, data_dir: Path | str | None = None
) -> dict[str, EncodedImages]:
    """Check all that depends on dt and load the images.  Raises ConfigError and FileError."""
    _refuse_layers(network)
    check_grid(network, dt_ms)
    return encode_images(network, dt_ms, seed, data_dir)


def _refuse_layers(network: Network) -> None:
    """ConfigError for what needs `batch`."""
    parts = [
        *((f"populations.{name}.neuron", p.unit, LayerNeuron) for name, p in network.populations.items()),
        *((f"projections.{name}.rule", p.rule, LayerRule) for name, p in network.projections.items()),
        *((f"stimuli.{name}", stimulus, Analogue) for name, stimulus in network.stimuli.items()),
    ]
    for where, part, kind in parts:
        if isinstance(part, kind):
            raise ConfigError(
                "a part of a layered network, which takes its input in batches",
                where=where,
                got=part.KIND,
                fix="say how many samples run at a time: Simulator(network, batch=...)",
            )


@dataclass(frozen=True)
class Estimate:
    """Sizes before anything is built.

    n_synapses is the expected number; `largest` is the key path of what takes most memory; threads are those
    of the asked that have something to do.
    """

    n_neurons: int
    n_sources: int
    n_synapses: int
    state_bytes: int
    synapse_bytes: int
    largest: str
    threads: int

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.synapse_bytes


@dataclass
class Program:
    """A network on a time grid, ready to run.  Arrays of `cells`, `spikes` and `plastic` change in time."""

    network: Network
    dt_ms: float
    seed: int
    units: Units
    delays: dict[str, tuple[int, int]]
    images: dict[str, EncodedImages]
    learning: list[tuple[int, int]]
    layout: Layout
    parameters: CellParameters
    cells: Cells
    spikes: Spikes
    static: Static
    plastic: Plastic
    sources: Sources
    drives: Drives

    @property
    def n_synapses(self) -> int:
        rows = self.static.rows
        return rows.synapse.size + rows.place.size + self.plastic.rows.target.size

    def state(self) -> dict[str, np.ndarray]:
        """All that changes while the network runs, by name, in the order of units and synapses.

        Those of `cells`, but currents, and `plastic/post_trace` are the arrays themselves.  Weights are
        brought up to date first.  That changes nothing that comes later, to the last bit.
        """
        for q, r in np.ndindex(self.plastic.caught_up.shape):
            catch_up_all(self.plastic, q, r, int(self.plastic.last_noted[q, r]) + 1)
        found = self._cells()
        found["cells/current"] = unit_order.currents(self.cells, self.layout)
        found["spikes/fired"] = unit_order.fired(self.spikes, self.layout)
        found["spikes/arriving"] = unit_order.arriving(self.spikes, self.layout)
        found["plastic/weight"] = unit_order.weights(self.plastic)
        found["plastic/arrived"] = unit_order.arrived(self.plastic)
        found["plastic/post_trace"] = self.plastic.post_trace
        return found

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go back, or on, to a state as `state` gives it, which has been checked."""
        for name, value in self._cells().items():
            value[...] = arrays[name]
        unit_order.set_currents(self.cells, self.layout, arrays["cells/current"])
        unit_order.set_fired(self.spikes, self.layout, arrays["spikes/fired"])
        unit_order.set_arriving(self.spikes, self.layout, arrays["spikes/arriving"])
        unit_order.set_weights(self.plastic, arrays["plastic/weight"])
        unit_order.set_arrived(self.plastic, arrays["plastic/arrived"])
        self.plastic.post_trace[:] = arrays["plastic/post_trace"]
        self.plastic.noted[:], self.plastic.last_noted[:], self.plastic.caught_up[:] = 0, -1, 0

    def _cells(self) -> dict[str, np.ndarray]:
        """The state of the neurons that is in their order."""
        return {f"cells/{name}": value for name, value in self.cells._asdict().items() if name != "current"}


def lower(
    network: Network,
    dt_ms: float,
    seed: int,
    images: dict[str, EncodedImages],
    *,
    threads: int = 1,
    n_ranges: int = 0,
    run: Run = map,
) -> Program:
    """Build everything.

    `images` come from `check_and_encode`.  Targets are cut into n_ranges ranges, or with 0 into enough for
    the threads; no spike, potential or weight depends on it.
    """
    dtype = np.dtype(network.precision)
    units, delays = _number(network, dt_ms, images, threads, n_ranges)
    longest = max((high for _, high in delays.values()), default=0)
    layout = make_layout(units, _block_length(longest), _immediate_levels(network, units, delays))
    cells = initial_cells(network, units, layout, seed, dtype)
    return Program(
        network=network,
        dt_ms=dt_ms,
        seed=seed,
        units=units,
        delays=delays,
        images=images,
        learning=learning_periods(network, images),
        layout=layout,
        parameters=cell_parameters(network, units, dt_ms, seed, dtype),
        cells=cells,
        spikes=empty_spikes(units, layout, longest, cells.current),
        static=build_static(network, units, delays, dt_ms, seed, dtype, run, layout),
        plastic=build_plastic(network, units, delays, dt_ms, seed, dtype, run),
        sources=make_sources(network, units, images, dt_ms, seed),
        drives=make_drives(network, units, dt_ms, seed),
    )


def estimate(network: Network, dt_ms: float, images: dict[str, EncodedImages], threads: int) -> Estimate:
    """How large a network is, without building its synapses."""
    units, delays = _number(network, dt_ms, images, threads)
    item = np.dtype(network.precision).itemsize
    longest = max((high for _, high in delays.values()), default=0)
    parts: Counter[str] = Counter()
    n_synapses = 0.0
    for bundle in [*bundles_of(network, delays, plastic=False), *bundles_of(network, delays, plastic=True)]:
        entries = units.size[bundle.source] * bundle.n_delays * units.n_ranges
        plastic = network.projections[bundle.projections[0]].plastic
        where = f"projections.{bundle.projections[0]}.delay_ms"
        parts[where] += entries * 4
        for name in bundle.projections:
            p = network.projections[name]
            n = expected_synapses(p.rule, units.size[p.source], units.size[p.target], p.source == p.target)
            n_synapses += n
            parts[f"projections.{name}"] += round(n * (2 if bundle.alike else 2 + item))
            if plastic:
                parts[f"projections.{name}"] += units.size[p.target] * (2 * NOTED + 16)
                parts[where] += 16 * min(entries, round(n))
    synapse_bytes = sum(parts.values())
    slowest = max(delays, key=lambda name: delays[name][1], default="")
    parts[f"projections.{slowest}.delay_ms" if slowest else "populations"] += (
        units.n_units * 4 * (longest + 2)
    )
    parts["populations"] += (
        units.n_neurons * item * (5 + units.n_channels * _block_length(longest)) + 40 * units.n_units
    )
    for name, shown in images.items():
        parts[f"stimuli.{name}"] += 2 * shown.table.nbytes
    total = sum(parts.values())
    return Estimate(
        units.n_neurons,
        units.n_sources,
        round(n_synapses),
        int(total - synapse_bytes),
        int(synapse_bytes),
        max(parts, key=lambda name: parts[name]),
        min(threads, units.n_ranges),
    )


def _number(
    network: Network, dt_ms: float, images: dict[str, EncodedImages], threads: int, n_ranges: int = 0
) -> tuple[Units, dict[str, tuple[int, int]]]:
    delays = {name: delay_range(p, dt_ms, f"projections.{name}") for name, p in network.projections.items()}
    instant = [(p.source, p.target) for name, p in network.projections.items() if delays[name][0] == 0]
    sizes = source_sizes(network, images)
    return number_units(network, sizes, instant, threads, n_ranges, _cost(network, sizes)), delays


def _cost(network: Network, source_sizes: dict[str, int]) -> dict[str, float]:
    """What a neuron of each population costs, in neurons without plastic synapses."""
    found = dict.fromkeys(network.populations, 1.0)
    for p in network.projections.values():
        if p.plastic:
            n = network.populations[p.target].n
            n_source = source_sizes.get(p.source) or network.populations[p.source].n
            k = expected_synapses(p.rule, n_source, n, p.source == p.target) / n
            found[p.target] += _PLASTIC_COST * k
    return found


def _immediate_levels(network: Network, units: Units, delays: dict[str, tuple[int, int]]) -> np.ndarray:
    levels = np.zeros(units.n_levels)
    for name, projection in network.projections.items():
        if delays[name][0] == 0:
            levels[units.level[projection.source]] = 1
    return levels


def _block_length(longest: int) -> int:
    length = 1
    while length * 2 <= min(longest, _BLOCK):
        length *= 2
    return length
