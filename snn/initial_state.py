"""The state at step 0, and what threads work in."""

from __future__ import annotations

import numpy as np

from snnsim import unit_order
from snnsim.aligned import zeros
from snnsim.kernels.delivery import QUEUE
from snnsim.kernels.layout import Cells, Layout, Queue, Scratch, Spikes
from snnsim.kernels.neurons import CHUNK
from snnsim.models import Conductance
from snnsim.network import Network
from snnsim.propagators import start_mv, start_ns
from snnsim.streams import realise
from snnsim.units import Units


def initial_cells(network: Network, units: Units, layout: Layout, seed: int, dtype: np.dtype) -> Cells:
    """The state of all neurons at step 0."""
    n = units.n_neurons
    cells = Cells(
        potential=zeros(n, dtype, 0),
        carry=zeros(n, dtype, 1),
        current=zeros(layout.n_ranges << layout.slot_bits, dtype, 2),
        theta=zeros(n, dtype, 5),
        refractory=zeros(n, np.int32, 6),
    )
    start = np.zeros((units.n_channels, n), dtype)
    for name, population in network.populations.items():
        at = slice(units.first[name] - units.n_sources, units.first[name] - units.n_sources + population.n)
        where, neuron = f"populations.{name}.neuron", population.neuron
        cells.potential[at] = start_mv(neuron, population.n, seed, where)
        if isinstance(neuron.synapse, Conductance):
            start[:, at] = start_ns(neuron.synapse, population.n, seed, f"{where}.synapse")
        if neuron.threshold is not None:
            purpose = f"{where}.threshold.theta_init_mv"
            cells.theta[at] = realise(neuron.threshold.theta_init_mv, population.n, seed, purpose)
    unit_order.set_currents(cells, layout, start)
    return cells


def empty_spikes(units: Units, layout: Layout, longest: int, current: np.ndarray) -> Spikes:
    """No spikes in flight.  One slot more than the longest delay: a fast thread may be a step ahead.

    current  of the cells: what arrives is added to it at once where a block is a single step
    """
    slots = longest + 2
    words = layout.n_ranges * layout.block << layout.slot_bits
    return Spikes(
        np.zeros((slots, units.n_units), dtype=np.int32),
        np.zeros((slots, units.n_levels * units.n_ranges), dtype=np.int64),
        current if layout.block == 1 else zeros(words, current.dtype, 7),
    )


def working_memory(dtype: np.dtype) -> tuple[Scratch, Queue]:
    """What one thread works in."""
    draw = zeros(CHUNK // 4 + 2, np.uint64, 8)
    scratch = Scratch(
        drive=zeros(CHUNK, dtype, 9),
        threshold=zeros(CHUNK, dtype, 10),
        spiked=zeros(CHUNK, np.uint8, 11),
        draw=draw,
        draw_16=draw.view(np.uint16),
        counts=zeros(CHUNK, np.uint16, 12),
    )
    return scratch, Queue(*np.zeros((9, QUEUE), np.int64))
