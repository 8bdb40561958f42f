"""Placement of a layered integer network onto the cores of RANC.

From the last population to the first, so that it is known where the spikes of a neuron are needed: for each
axon that it is to reach, and for an output, it takes a neuron of its own, since a neuron of the chip has one
destination.  A core takes neurons, in their order, until its axons or its neurons are used up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil, isqrt

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.ranc import (
    AXONS,
    MOST_CORES,
    NEURONS,
    RancChip,
    RancCore,
    idle_core,
)
from snnsim.hardware.ranc_axons import Crossbar, crossbar
from snnsim.hardware.ranc_layer import Arrivals, Unit, arrivals_of, parameters_of
from snnsim.layer_neurons import Relay
from snnsim.network import Network
from snnsim.stimuli import Analogue

_BUS = -1


@dataclass
class _Packet:
    """Where one spike goes: core number, or _BUS; axon; tick."""

    core: int
    axon: int
    tick: int


@dataclass
class _Placing:
    network: Network
    cores: list[tuple[RancCore, list[_Packet]]] = field(default_factory=list)  # where its neurons send
    wanted: dict[Unit, list[_Packet]] = field(default_factory=lambda: defaultdict(list))


def place_ranc(network: Network) -> RancChip:
    """A chip that computes what the network does; its outputs are the populations that lead nowhere.

    The network: Analogue inputs; populations of IntegerLIF with RULES["ranc"], or the same with reset
    "subtract"; connections of layers with whole weights, delays of 1 to 15 steps (0 to 14 from inputs), and
    no cycles. Relays may stand at the end, as what `ranc_network` calls `output`.
    Raises TargetError with the population, the value, the limit and a way out for what does not fit.
    """
    placing, outputs = _Placing(network), _outputs(network)
    for neurons in outputs.values():
        for axon, unit in neurons:
            placing.wanted[unit].append(_Packet(_BUS, axon, 0))
    for name in _backward(network):
        _place_population(placing, name)
    return _on_grid(placing, outputs)


def _outputs(network: Network) -> dict[str, list[tuple[int, Unit]]]:
    """By population at the end: (output, neuron) of each of its units."""
    found: dict[str, list[tuple[int, Unit]]] = {}
    n = 0
    for name, population in network.populations.items():
        if any(p.source == name for p in network.projections.values()):
            continue
        units: list[Unit] = [(name, k) for k in range(population.n)]
        if isinstance(population.unit, Relay):
            units = _relayed(network, name)
        found[name] = [(n + k, unit) for k, unit in enumerate(units)]
        n += len(units)
    if n > AXONS:
        raise TargetError(
            "more outputs than packets can name", where=f"populations.{', '.join(found)}", got=n,
            expected=f"at most {AXONS}", fix="read out fewer neurons",
        )  # fmt: skip
    return found


def _relayed(network: Network, name: str) -> list[Unit]:
    arrivals, where = arrivals_of(network, name), f"populations.{name}"
    each = np.count_nonzero(arrivals.weight, axis=1)
    if (
        np.any(arrivals.delay)
        or np.any(each != 1)
        or arrivals.weight.max(initial=1) > 1
        or arrivals.weight.min(initial=0) < 0
    ):
        raise TargetError(
            "a relay that is more than a name for outputs", where=where,
            got="weights other than one 1 each, or delays",
            expected="one neuron for each relay, weight 1, no delay", fix="make integer neurons of them",
        )  # fmt: skip
    return [arrivals.unit[int(row.argmax())] for row in arrivals.weight]


def _backward(network: Network) -> list[str]:
    """Populations of neurons, each before those that lead to it."""
    waiting = [name for name, p in network.populations.items() if not isinstance(p.unit, Relay)]
    found: list[str] = []
    while waiting:
        ready = [
            name for name in waiting
            if not any(p.source == name and p.target in waiting for p in network.projections.values())
        ]  # fmt: skip
        if not ready:
            raise TargetError(
                "recurrent connections are not placed", where=f"populations.{', '.join(waiting)}",
                expected="layers that lead forward only", fix="unroll the recurrence into layers",
            )  # fmt: skip
        found += ready
        waiting = [name for name in waiting if name not in ready]
    return found


def _place_population(placing: _Placing, name: str) -> None:
    parameters = parameters_of(placing.network, name)
    arrivals = arrivals_of(placing.network, name)
    waiting = [k for k in range(len(arrivals.weight)) if placing.wanted[name, k]]  # others reach nothing
    while waiting:
        n, found = _largest_part(placing, name, arrivals, waiting)
        part, waiting = waiting[:n], waiting[n:]
        _fill_core(placing, name, parameters, arrivals, part, found)


def _largest_part(
    placing: _Placing, name: str, arrivals: Arrivals, waiting: list[int]
) -> tuple[int, Crossbar]:
    """How many of the neurons that wait fit one core, and their crossbar."""
    copies = np.cumsum([len(placing.wanted[name, k]) for k in waiting])
    if copies[0] > NEURONS:
        raise TargetError(
            "a neuron has to reach more axons than a core has neurons for", got=int(copies[0]),
            where=f"populations.{name}, neuron {waiting[0]}", expected=f"at most {NEURONS}",
            fix="connect it to fewer neurons, or with fewer different weights",
        )  # fmt: skip
    low, high = 0, int(np.searchsorted(copies, NEURONS, side="right"))
    best: Crossbar | None = None
    while low < high:  # the number of axons only grows with that of neurons
        middle = (low + high + 1) // 2
        found = crossbar(arrivals.weight[waiting[:middle]])
        if found is not None and found.source.size <= AXONS:
            low, best = middle, found
        else:
            high = middle - 1
    if best is None:
        raise _refused(name, waiting[0], arrivals.weight[waiting[0]])
    return low, best


def _refused(name: str, neuron: int, row: np.ndarray) -> TargetError:
    where, alone = f"populations.{name}, neuron {neuron}", crossbar(row[None])
    if alone is None:
        values = np.unique(row[row != 0])
        return TargetError(
            "a neuron has more different weights than axons of 4 types can give", where=where,
            got=f"{values.size} values from {values[0]} to {values[-1]}",
            expected="4 values, or multiples from -8 to 7 of one number up to 32",
            fix='quantise the network for "ranc" with weights of 4 bits',
        )  # fmt: skip
    return TargetError(
        "a neuron has more inputs than a core has axons", where=where,
        got=f"{np.count_nonzero(row)} inputs on {alone.source.size} axons", expected=f"at most {AXONS} axons",
        fix="connect it to fewer neurons, as a convolution does, or give it fewer different weights",
    )  # fmt: skip


def _fill_core(
    placing: _Placing,
    name: str,
    parameters: dict[str, np.ndarray],
    arrivals: Arrivals,
    part: list[int],
    found: Crossbar,
) -> None:
    core, number, sends = idle_core(), len(placing.cores), []
    core.axon_type[: found.source.size] = found.axon_type
    row = 0
    for k, neuron in enumerate(part):
        for packet in placing.wanted[name, neuron]:
            core.connected[row, : found.source.size] = found.connected[k]
            core.weight[row] = found.weight[k]
            for key, values in parameters.items():
                getattr(core, key)[row] = values[neuron]
            sends.append(packet)
            row += 1
    placing.cores.append((core, sends))
    for axon, column in enumerate(found.source):
        unit, delay = arrivals.unit[column], arrivals.delay[column]
        tick = delay if unit[0] in placing.network.stimuli else delay - 1
        placing.wanted[unit].append(_Packet(number, axon, tick))


def _on_grid(placing: _Placing, outputs: dict[str, list[tuple[int, Unit]]]) -> RancChip:
    """First layers first: their cores are next to where packets enter; the output comes last."""
    n = len(placing.cores)
    if not n:
        raise TargetError("nothing to place", where="populations", expected="neurons that lead to an output")
    columns = min(max(isqrt(n), 1) + 1, n + 1)
    rows = ceil((n + 1) / columns)
    if columns * rows > MOST_CORES:
        raise TargetError(
            "more cores than the grid of RANC can number", where="populations", got=n,
            expected=f"at most {MOST_CORES - 1}",
            fix="make layers smaller, or connect neurons to fewer others",
        )  # fmt: skip
    order = [*range(n - 1, -1, -1)]  # placed backward
    spot = {number: (k % columns, k // columns) for k, number in enumerate(order)}
    spot[_BUS] = n % columns, n // columns
    cores = {}
    for number in order:
        (core, sends), (x, y) = placing.cores[number], spot[number]
        for row, packet in enumerate(sends):
            to = spot[packet.core]
            core.dx[row], core.dy[row] = to[0] - x, to[1] - y
            core.axon[row], core.tick[row] = packet.axon, packet.tick
        cores[x, y] = core
    inputs = {
        name: [
            [(*spot[packet.core], packet.axon, packet.tick) for packet in placing.wanted.get((name, k), [])]
            for k in range(stimulus.n)
        ]
        for name, stimulus in placing.network.stimuli.items()
        if isinstance(stimulus, Analogue)
    }
    named = {name: [axon for axon, _ in neurons] for name, neurons in outputs.items()}
    return RancChip(columns=columns, rows=rows, bus=spot[_BUS], cores=cores, inputs=inputs, outputs=named)
