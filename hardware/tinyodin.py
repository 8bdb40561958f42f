"""tinyODIN: memory images of its 256 neurons and 65,536 synapses, and what the core does with events.

A chip takes one event after the other, and answers each before it takes the next: see kernels/event_core.py
for the rule.  Addresses 0 to 255 are those of neurons; an input takes the address of a neuron that it
replaces, which is then disabled.  A tick of ours is the events of its inputs, in the order of their
addresses, and then a leak event of all neurons.

A folder holds

    neurons.mem    256 lines of 8 hexadecimal digits: disable 1 bit, leak 7, threshold 12, potential 12
    synapses.mem   8192 lines: line 32 pre + post // 8 has the weights of 8 neurons post, 4 bits each with a
                   sign, the first in the last digit
    tinyodin.json  what the registers of the chip hold, and which addresses are inputs and outputs

Both images are read by $readmemh of Verilog; `spi_commands` has the same as words for the chip's SPI.
Source: tinyODIN 1.0, doc/README.md, and its RTL where the text leaves something open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snnsim.atomic import storage_errors, write_text
from snnsim.errors import ConfigError, FileError, SimulationError
from snnsim.hardware.json_file import check_keys, read_object, whole_array
from snnsim.hardware.memory_image import HEXADECIMAL, read_image
from snnsim.kernels import event_core as k

N = 256
QUEUE = 128
WEIGHT, LEAK, THRESHOLD = (-8, 7), (0, 127), (0, 4095)
MOST_GIVEN = 1000
"""Spikes of an input in a tick, at most: each is an event, and takes as long as it does on the chip."""
_FORMAT = "snnsim tinyODIN 1"
_LIMIT = 10_000
"""Spikes that one event may call forth: a core that is still busy then is taken to go on forever."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TinyOdinChip:
    """What is written into a chip.

    weight     int64[256, 256]  weight[pre, post], -8 to 7
    potential, threshold, leak  int64[256]; disabled bool[256]
    n_neurons  neurons 0 to n_neurons - 1 take part (the register SPI_MAX_NEUR, plus 1)
    closed     do spikes act on the core itself (the opposite of SPI_OPEN_LOOP)?
    inputs     by stimulus: the address of each unit;  outputs  by population: the address of each neuron
    """

    weight: np.ndarray
    potential: np.ndarray
    threshold: np.ndarray
    leak: np.ndarray
    disabled: np.ndarray
    n_neurons: int = N
    closed: bool = True
    inputs: Mapping[str, list[int]] = field(default_factory=dict)
    outputs: Mapping[str, list[int]] = field(default_factory=dict)


class TinyOdinCore:
    """A chip at work: `send` events one by one, or `run` ticks; potentials are in `potential`."""

    def __init__(self, chip: TinyOdinChip) -> None:
        self.chip = chip
        n = chip.n_neurons
        self.potential = chip.potential[:n].astype(np.int64)
        self.lost = 0
        self._weight = np.ascontiguousarray(chip.weight[:, :n], np.int8)
        self._rest = (
            chip.threshold[:n].astype(np.int64),
            chip.leak[:n].astype(np.int64),
            chip.disabled[:n].astype(bool),
        )
        self._queue = np.zeros(QUEUE, np.int64)
        self._out = np.zeros(n * (_LIMIT + 1), np.int32)

    def spike(self, address: int) -> np.ndarray:
        """A spike of a neuron or input; returns int64[n], the neurons that spiked, in order."""
        return self._take(k.SPIKE, _within(address, 0, N - 1, "address"), 0)

    def virtual(self, neuron: int, weight: int) -> np.ndarray:
        """A weight for one of the neurons 0 to 15, without a synapse; 0 would mean a spike of that neuron."""
        weight = _within(weight, *WEIGHT, "weight")
        if weight == 0:
            raise ConfigError(
                "the chip takes this for a spike", where="weight", got=0, expected="-8 to 7, not 0"
            )
        return self._take(k.VIRTUAL, _within(neuron, 0, min(15, self.chip.n_neurons - 1), "neuron"), weight)

    def leak(self, neuron: int | None = None) -> np.ndarray:
        """A leak event of one neuron (0 to 254), or of all."""
        if neuron is None:
            return self._take(k.LEAK_ALL, 0, 0)
        return self._take(k.LEAK_ONE, _within(neuron, 0, min(254, self.chip.n_neurons - 1), "neuron"), 0)

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ticks: spikes of the inputs in ascending order of their addresses, then the leak of all neurons.

        given    int[n_ticks, n] by stimulus: spikes of each unit, 0 to MOST_GIVEN
        returns  int64[n_ticks, n] by population: spikes of each neuron
        Raises ConfigError for inputs that do not fit, SimulationError for a core that does not come to rest.
        """
        if not given or set(given) != set(self.chip.inputs):
            raise ConfigError(
                "the inputs are not those of the chip", where="given", got=", ".join(given) or "none",
                expected=", ".join(self.chip.inputs) or "none: this chip takes single events only",
            )  # fmt: skip
        for name, values in given.items():
            found = np.asarray(values)
            wrong = found[~((found >= 0) & (found <= MOST_GIVEN) & (found == np.rint(found)))]
            if wrong.size:
                raise ConfigError(
                    "not a number of spikes", where=f"given.{name}", got=wrong[0].item(),
                    expected=f"whole, 0 to {MOST_GIVEN}",
                )  # fmt: skip
        addresses = np.concatenate([self.chip.inputs[name] for name in given]).astype(np.int64)
        spikes = np.concatenate([np.asarray(values, np.int64) for values in given.values()], axis=1)
        if spikes.shape[1] != addresses.size:
            raise ConfigError(
                "not one column for each input",
                where="given",
                got=spikes.shape[1],
                expected=str(addresses.size),
            )
        order = np.argsort(addresses, kind="stable")
        counts = np.zeros((len(spikes), N), np.int64)
        for t, row in enumerate(spikes):
            for address in np.repeat(addresses[order], row[order]):
                np.add.at(counts[t], self.spike(int(address)), 1)
            np.add.at(counts[t], self.leak(), 1)
        return {name: counts[:, neurons] for name, neurons in self.chip.outputs.items()}

    def _take(self, kind: int, address: int, weight: int) -> np.ndarray:
        n_out, lost, waiting = k.take_event(
            kind, address, weight, self.potential, self._weight, *self._rest, self.chip.closed, self._queue,
            _LIMIT, self._out,
        )  # fmt: skip
        if waiting:
            raise SimulationError(
                "spikes call forth spikes without end", where=f"event of address {address}",
                got=f"{waiting} waiting after {_LIMIT}", expected="a core that comes to rest",
                fix="raise thresholds, or make recurrent weights smaller",
            )  # fmt: skip
        self.lost += lost
        return self._out[:n_out].astype(np.int64)


def _within(value: int, low: int, high: int, where: str) -> int:
    if not low <= value <= high:
        raise ConfigError(
            "not within what an event can say", where=where, got=value, expected=f"{low} to {high}"
        )
    return int(value)


# --- files -------------------------------------------------------------------------------------------------


def neuron_words(chip: TinyOdinChip) -> np.ndarray:
    """int64[256]: the words of the neuron memory."""
    words = chip.disabled.astype(np.int64) << 31 | chip.leak << 24 | chip.threshold << 12
    return words | (chip.potential & 0xFFF)


def synapse_words(chip: TinyOdinChip) -> np.ndarray:
    """int64[8192]: the words of the synapse memory."""
    nibbles = (chip.weight & 0xF).reshape(N * N // 8, 8)
    return (nibbles << 4 * np.arange(8)).sum(axis=1)


def spi_commands(chip: TinyOdinChip) -> Iterator[tuple[int, int]]:
    """Pairs of 20 bits, address and data, that write a chip over SPI; activity is gated until the last."""
    yield 0, 1
    yield 1, int(not chip.closed)
    yield 2, 0
    yield 3, chip.n_neurons - 1
    for command, words, shift in ((0b0101, neuron_words(chip), 8), (0b0110, synapse_words(chip), 13)):
        for address, word in enumerate(words.tolist()):
            for byte in range(4):
                yield command << 16 | byte << shift | address, word >> 8 * byte & 0xFF
    yield 0, 0


def write_tinyodin(folder: Path | str, chip: TinyOdinChip) -> None:
    """Write the files of a chip into a folder, which is made.  Raises StorageError."""
    folder = Path(folder)
    with storage_errors(folder, "make"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, words in (("neurons.mem", neuron_words(chip)), ("synapses.mem", synapse_words(chip))):
        write_text(folder / name, "".join(f"{word:08x}\n" for word in words.tolist()))
    facts = {
        "format": _FORMAT, "max_neuron": chip.n_neurons - 1, "open_loop": int(not chip.closed),
        "inputs": dict(chip.inputs), "outputs": dict(chip.outputs),
    }  # fmt: skip
    write_text(folder / "tinyodin.json", json.dumps(facts) + "\n")


def read_tinyodin(folder: Path | str) -> TinyOdinChip:
    """Read the files of a folder.  Raises FileError for what is none."""
    folder = Path(folder)
    name = str(folder / "tinyodin.json")
    facts = read_object(name, "the registers of tinyODIN")
    keys = ("format", "max_neuron", "open_loop", "inputs", "outputs")
    check_keys(facts, keys, keys, name)
    if facts["format"] != _FORMAT:
        raise FileError("another format", where=f"{name}, format", got=facts["format"], expected=_FORMAT)
    most = int(whole_array([facts["max_neuron"]], f"{name}, max_neuron", 0, N - 1, (1,))[0])
    named: dict[str, dict[str, list[int]]] = {}
    for key, last in (("inputs", N - 1), ("outputs", most)):
        if not isinstance(facts[key], dict):
            raise FileError("not names and lists", where=f"{name}, {key}", got=type(facts[key]).__name__)
        named[key] = {
            one: whole_array(value, f"{name}, {key}.{one}", 0, last, (None,)).tolist()
            for one, value in facts[key].items()
        }
    words, nibbles = _words(folder / "neurons.mem", N), _words(folder / "synapses.mem", N * N // 8)
    weight = nibbles[:, None] >> 4 * np.arange(8) & 0xF
    potential = words & 0xFFF
    return TinyOdinChip(
        weight=np.where(weight > 7, weight - 16, weight).reshape(N, N),
        potential=np.where(potential > k.HIGH, potential - 4096, potential),
        threshold=words >> 12 & 0xFFF, leak=words >> 24 & 0x7F, disabled=words >> 31 == 1,
        n_neurons=most + 1,
        closed=not whole_array([facts["open_loop"]], f"{name}, open_loop", 0, 1, (1,))[0], **named,
    )  # fmt: skip


def _words(path: Path, n: int) -> np.ndarray:
    return np.array([int(line, 16) for line in read_image(path, n, 8, HEXADECIMAL, "tinyODIN")], np.int64)
