"""RANC: memory images of the cores of a TrueNorth-like grid, and what they say as an integer network.

A core has 256 axons, 256 neurons and a binary crossbar between them.  Every axon is of one of 4 types, and
every neuron has a weight for each type.  In a tick, with w the sum over the axons that had a spike and are
connected, all of it in 9 bits with a sign, which wrap around:

    v <- v + w + leak
    v >= threshold:  a spike;  v <- reset  (mode 0, absolute), or v - threshold  (mode 1, linear)
    v <  floor:                v <- -reset (mode 0),           or v - floor      (mode 1)

A neuron sends its spike to one axon of one core, dx columns east and dy rows north of its own; there it acts
1 + tick ticks later.  Spikes for one axon in one tick are one spike.
Packets from outside enter at core (0, 0).

A folder holds, for core number x + columns * y,

    csram_<number>.mem  a line a neuron, 368 binary digits: connections (axon 255 first), v, reset, weights of
                        types 0 to 3, leak, threshold, floor, mode, dx, dy, axon, tick
    tc_<number>.mem     a line an axon: its type, 2 binary digits

and ranc.json, which says what these files cannot: the size of the grid, where its output is, which packets an
input stands for, and which neuron is which output.  Source: RANC, hardware/IP/RANCNetwork.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import storage_errors, write_text
from snnsim.errors import FileError
from snnsim.hardware.json_file import check_keys, read_object, whole_array
from snnsim.hardware.memory_image import BINARY, read_image

AXONS = NEURONS = 256
TYPES = 4
LOW, HIGH = -(2**8), 2**8 - 1
MOST_CORES = 999
MOST_TICK = 14
"""A packet with tick 15 would be written into the tick that is being worked on."""
_WIDTHS = {
    "potential": 9, "reset": 9, "weight": 9, "leak": 9, "threshold": 9, "floor": 9, "linear": 1, "dx": 9,
    "dy": 9, "axon": 8, "tick": 4,
}  # fmt: skip
_UNSIGNED = ("linear", "axon", "tick")
_LINE = AXONS + sum(_WIDTHS.values()) + (TYPES - 1) * 9
_MAP = "ranc.json"
_FORMAT = "snnsim RANC 1"


@dataclass(frozen=True, eq=False, kw_only=True)
class RancCore:
    """One core: int64[256] a neuron, unless said otherwise.

    connected  bool[256, 256]  neuron, axon
    axon_type  [256]           of each axon
    weight     [256, 4]
    """

    connected: np.ndarray
    axon_type: np.ndarray
    weight: np.ndarray
    potential: np.ndarray
    reset: np.ndarray
    leak: np.ndarray
    threshold: np.ndarray
    floor: np.ndarray
    linear: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    axon: np.ndarray
    tick: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Neurons that can ever do anything."""
        at_rest = (self.potential == 0) & (self.leak == 0) & (self.threshold > 0) & (self.floor <= 0)
        return np.flatnonzero(self.connected.any(axis=1) | ~at_rest)


def idle_core() -> RancCore:
    """A core in which nothing ever happens."""
    same = {name: np.zeros(NEURONS, np.int64) for name in _WIDTHS}
    same |= {"weight": np.zeros((NEURONS, TYPES), np.int64), "threshold": np.full(NEURONS, HIGH)}
    same["floor"] = np.full(NEURONS, LOW)
    return RancCore(connected=np.zeros((NEURONS, AXONS), bool), axon_type=np.zeros(AXONS, np.int64), **same)


@dataclass(frozen=True, kw_only=True)
class RancChip:
    """A grid of cores.

    cores    by (column, row)
    bus      where spikes leave the grid, in place of a core; output k is what arrives at its axon k
    inputs   by stimulus and unit: the packets (column, row, axon, tick) that one spike of the input is
    outputs  by population: the output of each of its neurons
    """

    columns: int
    rows: int
    bus: tuple[int, int]
    cores: Mapping[tuple[int, int], RancCore]
    inputs: Mapping[str, list[list[tuple[int, int, int, int]]]] = field(default_factory=dict)
    outputs: Mapping[str, list[int]] = field(default_factory=dict)


# --- writing -----------------------------------------------------------------------------------------------


def write_ranc(folder: Path | str, chip: RancChip) -> None:
    """Write the files of a chip into a folder, which is made.  Raises StorageError."""
    folder = Path(folder)
    with storage_errors(folder, "make"):
        folder.mkdir(parents=True, exist_ok=True)
    idle = idle_core()
    for number in range(chip.columns * chip.rows):
        core = chip.cores.get((number % chip.columns, number // chip.columns), idle)
        write_text(folder / f"csram_{number:03d}.mem", _neuron_lines(core))
        write_text(folder / f"tc_{number:03d}.mem", _text(_bits(core.axon_type, 2)))
    facts = {
        "format": _FORMAT, "columns": chip.columns, "rows": chip.rows, "bus": list(chip.bus),
        "inputs": dict(chip.inputs), "outputs": dict(chip.outputs),
    }  # fmt: skip
    write_text(folder / _MAP, json.dumps(facts) + "\n")


def packet_words(chip: RancChip, given: Mapping[str, np.ndarray]) -> tuple[list[int], list[int]]:
    """Packets of 30 bits that bring spikes into the grid, and how many of them come before each tick.

    given  int[n_ticks, n] by stimulus: 1 for a spike
    """
    words: list[int] = []
    counts: list[int] = []
    for t in range(len(next(iter(given.values())))):
        before = len(words)
        for name, spikes in given.items():
            for unit in np.flatnonzero(spikes[t]):
                words += [
                    x << 21 | y << 12 | axon << 4 | tick for x, y, axon, tick in chip.inputs[name][unit]
                ]
        counts.append(len(words) - before)
    return words, counts


def _neuron_lines(core: RancCore) -> str:
    parts = [core.connected[:, ::-1]]
    for name, width in _WIDTHS.items():
        values = getattr(core, name)
        columns = values.T if name == "weight" else [values]
        parts += [_bits(column, width) for column in columns]
    return _text(np.concatenate(parts, axis=1))


def _bits(values: np.ndarray, width: int) -> np.ndarray:
    """bool[n, width], the most significant bit first; two's complement."""
    return (np.asarray(values, np.int64)[:, None] >> np.arange(width - 1, -1, -1)) & 1 == 1


def _text(bits: np.ndarray) -> str:
    digits = np.full((len(bits), bits.shape[1] + 1), ord("\n"), np.uint8)
    digits[:, :-1] = ord("0") + bits
    return digits.tobytes().decode("ascii")


# --- reading -----------------------------------------------------------------------------------------------


def read_ranc_chip(
    folder: Path | str,
    *,
    columns: int | None = None,
    rows: int | None = None,
    bus: tuple[int, int] | None = None,
) -> RancChip:
    """Read the files of a chip; without ranc.json, the size of the grid and its output must be given.

    Raises FileError for what is not such a folder, or says what no chip can do.
    """
    folder = Path(folder)
    inputs: dict[str, list[list[tuple[int, int, int, int]]]] = {}
    outputs: dict[str, list[int]] = {}
    if columns is None or rows is None or bus is None:
        columns, rows, bus, inputs, outputs = _read_map(folder / _MAP)
    cores = {}
    for number in range(columns * rows):
        place = number % columns, number // columns
        if place != bus:
            cores[place] = _read_core(folder, number)
    return RancChip(columns=columns, rows=rows, bus=bus, cores=cores, inputs=inputs, outputs=outputs)


def _read_core(folder: Path, number: int) -> RancCore:
    bits = _read_bits(folder / f"csram_{number:03d}.mem", NEURONS, _LINE)
    found: dict[str, np.ndarray] = {"connected": bits[:, AXONS - 1 :: -1]}
    at = AXONS
    for name, width in _WIDTHS.items():
        n = TYPES if name == "weight" else 1
        columns = [_numbers(bits[:, at + k * width : at + (k + 1) * width], name) for k in range(n)]
        found[name] = np.stack(columns, axis=1) if name == "weight" else columns[0]
        at += n * width
    types = _read_bits(folder / f"tc_{number:03d}.mem", AXONS, 2)
    return RancCore(axon_type=_numbers(types, "axon"), **found)


def _read_bits(path: Path, n_lines: int, width: int) -> np.ndarray:
    lines = read_image(path, n_lines, width, BINARY, "RANC")
    return np.frombuffer(b"".join(lines), np.uint8).reshape(n_lines, width) == ord("1")


def _numbers(bits: np.ndarray, name: str) -> np.ndarray:
    places = 2 ** np.arange(bits.shape[1] - 1, -1, -1)
    if name not in _UNSIGNED:
        places[0] = -places[0]
    return bits @ places


def _read_map(path: Path) -> tuple[int, int, tuple[int, int], dict[str, Any], dict[str, Any]]:
    name, facts = str(path), read_object(path, "the map of a RANC folder")
    keys = ("format", "columns", "rows", "bus", "inputs", "outputs")
    check_keys(facts, keys, keys, name)
    if facts["format"] != _FORMAT:
        raise FileError("another format", where=f"{name}, format", got=facts["format"], expected=_FORMAT)
    size = whole_array([facts["columns"], facts["rows"]], f"{name}, columns and rows", 1, 255, (2,))
    columns, rows = int(size[0]), int(size[1])
    if columns * rows > MOST_CORES:
        raise FileError("too many cores", where=name, got=columns * rows, expected=f"at most {MOST_CORES}")
    bus = whole_array(facts["bus"], f"{name}, bus", 0, 254, (2,))
    inputs, outputs = {}, {}
    for key in ("inputs", "outputs"):
        if not isinstance(facts[key], dict):
            raise FileError("not names and lists", where=f"{name}, {key}", got=type(facts[key]).__name__)
    for key, units in facts["inputs"].items():
        where = f"{name}, inputs.{key}"
        if not isinstance(units, list):
            raise FileError("not a list of packets for each input", where=where)
        read = [
            whole_array(unit or np.zeros((0, 4), int), f"{where}[{k}]", 0, 255, (None, 4))
            for k, unit in enumerate(units)
        ]
        inputs[key] = [[(int(x), int(y), int(a), int(t)) for x, y, a, t in unit] for unit in read]
    for key, axons in facts["outputs"].items():
        outputs[key] = whole_array(axons, f"{name}, outputs.{key}", 0, AXONS - 1, (None,)).tolist()
    return columns, rows, (int(bus[0]), int(bus[1])), inputs, outputs
