"""A RANC chip as an integer network that computes what the chip does, tick by tick."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from snnsim.errors import FileError
from snnsim.hardware.ranc import AXONS, MOST_TICK, RancChip, RancCore, read_ranc_chip
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layer_neurons import Relay
from snnsim.layers import Dense
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

OUTPUT = "output"
_Place = tuple[int, int]


class _Source(NamedTuple):
    """What reaches an axon: unit number `unit` of a population or stimulus, `delay` ticks later."""

    name: str
    unit: int
    delay: int


def read_ranc(folder: Path | str) -> Network:
    """The files of a folder as a network.  Raises FileError."""
    return ranc_network(read_ranc_chip(folder), str(folder))


def population_rows(chip: RancChip) -> dict[str, tuple[_Place, np.ndarray]]:
    """The populations of `ranc_network`: where their core is, and which of its neurons they are.

    Neurons of a core are one population for each way of resetting; those that never do anything are left out.
    """
    found = {}
    for place, core in chip.cores.items():
        for linear, ending in ((0, ""), (1, "_linear")):
            rows = core.used[core.linear[core.used] == linear]
            if rows.size:
                found[f"core_{place[0]}_{place[1]}{ending}"] = (place, rows)
    return found


def ranc_network(chip: RancChip, where: str = "RANC") -> Network:
    """Populations by core (see population_rows), `output` with what leaves the grid, inputs of the chip.

    Axons that no neuron and no input reaches are units of a stimulus `packets`, ordered by core and axon.
    A step of the network is a tick; `output` emits in the tick in which the spike is made.
    """
    places = population_rows(chip)
    if not places:
        raise FileError("no neuron is connected", where=where)
    reached, bus = _sources(chip, places, where)
    sizes = {name: len(units) for name, units in chip.inputs.items()}
    spare = _spare_axons(chip, reached)
    if spare:
        sizes["packets"] = len(spare)
        for k, key in enumerate(spare):
            reached[key] = _Source("packets", k, 0)
    populations = {
        name: Population(
            n=rows.size,
            neuron=_neuron(chip.cores[at], rows, f"{where}, {name}"),  # type: ignore[arg-type]
        )
        for name, (at, rows) in places.items()
    }
    projections = {}
    for name, (at, rows) in places.items():
        matrices = _matrices(chip.cores[at], rows, at, reached, sizes, places)
        for (source, delay), matrix in matrices.items():
            projections[f"{source}__{name}__{delay}"] = Projection(
                source=source, target=name, rule=Dense(weight=matrix), weight_mv=1.0, delay_ms=float(delay)
            )
    n_outputs = 1 + max([axon for axon, _ in bus], default=-1)
    if n_outputs:
        populations[OUTPUT] = Population(n=n_outputs, neuron=Relay())  # type: ignore[arg-type]
        chosen: dict[str, np.ndarray] = {}
        for axon, sent in bus:
            if sent.name not in chosen:
                n = sizes[sent.name] if sent.name in sizes else places[sent.name][1].size
                chosen[sent.name] = np.zeros((n_outputs, n))
            chosen[sent.name][axon, sent.unit] = 1.0
        for source_name, matrix in chosen.items():
            projections[f"{source_name}__{OUTPUT}"] = Projection(
                source=source_name, target=OUTPUT, rule=Dense(weight=matrix), weight_mv=1.0, delay_ms=0.0
            )
    return Network(
        populations=populations,
        projections=projections,
        stimuli={name: Analogue(n=n) for name, n in sizes.items()},
        probes={name: Probe(target=name) for name in populations},
    )


def _neuron(core: RancCore, rows: np.ndarray, where: str) -> IntegerLIF:
    linear = bool(core.linear[rows[0]])
    threshold = core.threshold[rows]
    if linear and threshold.min() < 1:
        at = int(rows[threshold.argmin()])
        raise FileError(
            "linear reset needs a threshold of at least 1",
            where=f"{where}, neuron {at}",
            got=int(threshold.min()),
        )
    return IntegerLIF(
        rule=RULES["ranc"].replace(reset="subtract") if linear else RULES["ranc"],
        threshold=threshold.astype(float), bias=core.leak[rows].astype(float),
        floor=core.floor[rows].astype(float),
        v_init=core.potential[rows].astype(float), v_reset=0 if linear else core.reset[rows].astype(float),
    )  # fmt: skip


def _sources(
    chip: RancChip, places: dict[str, tuple[_Place, np.ndarray]], where: str
) -> tuple[dict[tuple[_Place, int], _Source], list[tuple[int, _Source]]]:
    """What reaches each axon (place, number), and (output, source) of what leaves the grid."""
    reached: dict[tuple[_Place, int], _Source] = {}
    bus: list[tuple[int, _Source]] = []

    def send(source: _Source, place: _Place, axon: int, told: str) -> None:
        if place == chip.bus:
            bus.append((axon, source))
            return
        if place not in chip.cores:
            raise FileError(
                "a packet to where no core is", where=told, got=place, expected="a place on the grid"
            )
        if source.delay - (source.name in places) > MOST_TICK:
            raise FileError(
                "a packet to the tick that is being worked on", where=told, expected="tick 0 to 14"
            )
        if not chip.cores[place].connected[:, axon].any():
            return
        if (place, axon) in reached:
            raise FileError(
                "an axon that several reach: two spikes of one tick would be one", where=told,
                got=f"axon {axon} of core {place}", expected="one source for each axon",
            )  # fmt: skip
        reached[place, axon] = source

    for name, (at, rows) in places.items():
        core = chip.cores[at]
        for k, row in enumerate(rows):
            place = at[0] + int(core.dx[row]), at[1] + int(core.dy[row])
            tick, axon = int(core.tick[row]), int(core.axon[row])
            send(_Source(name, k, tick + 1), place, axon, f"{where}, neuron {row} of core {at}")
    for name, units in chip.inputs.items():
        for k, packets in enumerate(units):
            for x, y, axon, tick in packets:
                send(_Source(name, k, tick), (x, y), axon, f"{where}, unit {k} of {name}")
    return reached, bus


def _spare_axons(chip: RancChip, reached: dict[tuple[_Place, int], _Source]) -> list[tuple[_Place, int]]:
    return [
        (place, axon)
        for place, core in chip.cores.items()
        for axon in range(AXONS)
        if (place, axon) not in reached and core.connected[:, axon].any()
    ]


def _matrices(
    core: RancCore, rows: np.ndarray, at: _Place, reached: dict[tuple[_Place, int], _Source],
    sizes: dict[str, int], places: dict[str, tuple[_Place, np.ndarray]],
) -> dict[tuple[str, int], np.ndarray]:  # fmt: skip
    """weight[target, source] by source and delay."""
    found: dict[tuple[str, int], np.ndarray] = {}
    for axon in range(AXONS):
        source = reached.get((at, axon))
        column = core.connected[rows, axon] * core.weight[rows, core.axon_type[axon]]
        if source is None or not column.any():
            continue
        n = sizes[source.name] if source.name in sizes else places[source.name][1].size
        matrix = found.setdefault((source.name, source.delay), np.zeros((rows.size, n)))
        matrix[:, source.unit] += column
    return found
