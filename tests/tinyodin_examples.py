"""Random chips and events for tinyODIN, and how to run them: by snnsim, and by the model in Verilog."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snnsim.hardware.tinyodin import TinyOdinChip, TinyOdinCore, write_tinyodin

MODEL = Path(__file__).with_name("tinyodin_core.v")
LEAK_ALL = 0x1FF


def random_chip(seed: int, n: int = 40) -> TinyOdinChip:
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random((256, 256)) < rng.choice([0.1, 0.5]), rng.integers(-8, 8, (256, 256)), 0)
    return TinyOdinChip(
        weight=weight, potential=rng.integers(-2048, 2048, 256), threshold=rng.integers(40, 200, 256),
        leak=rng.integers(0, 128, 256) // 8, disabled=rng.random(256) < 0.1, n_neurons=n,
        closed=bool(seed % 3),
    )  # fmt: skip


def special_chip(kind: str, seed: int) -> TinyOdinChip:
    """A random chip that does what its kind says often."""
    rng = np.random.default_rng(seed)
    chip = random_chip(seed)
    if kind == "open":  # also with thresholds of 0, which every event but a negative weight passes
        return replace(chip, closed=False, threshold=rng.integers(0, 20, 256), leak=rng.integers(0, 128, 256))
    chip = replace(chip, closed=True)
    signs = np.where(np.arange(256) % 2, 1, -1)
    recurrent = np.arange(256)[:, None] < chip.n_neurons
    if kind == "saturating":  # at both ends; a threshold of 2048 or more is never reached
        return replace(
            chip, weight=np.where(signs > 0, 7, -8) * np.ones((256, 1), np.int64),
            potential=2040 * signs, threshold=rng.choice([2040, 2047, 2048, 4095], 256),
            leak=rng.integers(0, 2, 256),
        )  # fmt: skip
    if kind == "negative":
        return replace(
            chip, weight=np.where(recurrent, np.minimum(chip.weight, 0), chip.weight),
            potential=-rng.integers(1, 100, 256), threshold=rng.integers(1, 12, 256),
            leak=rng.integers(0, 128, 256),
        )  # fmt: skip
    if kind == "disabled":
        return replace(chip, disabled=rng.random(256) < 0.6)
    if kind == "overflowing":  # an input makes most of 160 neurons spike at once
        return replace(
            chip, weight=np.where(np.arange(256)[:, None] < 160, -rng.binomial(1, 0.03, (256, 256)), 7),
            n_neurons=160, potential=np.zeros(256, np.int64), threshold=rng.integers(1, 8, 256),
            leak=rng.integers(0, 128, 256), disabled=rng.random(256) < 0.02,
        )  # fmt: skip
    return chip


def random_events(n: int, seed: int) -> list[int]:
    """Words of 10 bits, as the chip takes them."""
    rng = np.random.default_rng(seed)
    kinds = {
        "spike": lambda: rng.integers(0, 256), "all": lambda: LEAK_ALL,
        "one": lambda: 0x100 | rng.integers(0, 16),
        "virtual": lambda: 0x200 | rng.integers(1, 16) << 4 | rng.integers(0, 16),
    }  # fmt: skip
    return [int(kinds[kind]()) for kind in rng.choice(list(kinds), n, p=[0.7, 0.1, 0.1, 0.1])]


def tick_events(chip: TinyOdinChip, name: str, given: np.ndarray) -> list[list[int]]:
    """The events of each tick: inputs in the order of their addresses, then the leak of all."""
    addresses = np.array(chip.inputs[name])
    return [[*sorted(np.repeat(addresses, row).tolist()), LEAK_ALL] for row in given]


def answers(core: TinyOdinCore, events: list[int]) -> list[tuple[int, int]]:
    """(event, neuron) of all spikes, in order."""
    found: list[tuple[int, int]] = []
    for k, word in enumerate(events):
        weight = word >> 4 & 15
        if word & 0x200:
            spikes = core.virtual(word & 15, weight - 16 if weight > 7 else weight)
        elif word & 0x100:
            spikes = core.leak(None if word == LEAK_ALL else word & 0xFF)
        else:
            spikes = core.spike(word)
        found += [(k, int(neuron)) for neuron in spikes]
    return found


@dataclass
class Answers:
    """What the model in Verilog did: spikes (event, neuron) in order, spikes lost, its memory at the end."""

    spikes: list[tuple[int, int]]
    lost: int
    words: list[int]


def compile_model(folder: Path) -> Path:
    """The model as a program for vvp."""
    program = folder / "tinyodin_core"
    command = [str(shutil.which("iverilog")), "-g2005", "-s", "tinyodin_core", "-o", str(program), str(MODEL)]
    subprocess.run(command, check=True)
    return program


def run_model(program: Path, chip: TinyOdinChip, folder: Path, events: list[int]) -> Answers:
    """Writes the images of the chip into `folder`, and has the model read them."""
    write_tinyodin(folder, chip)
    (folder / "events.txt").write_text("".join(f"{word:x}\n" for word in events))
    files = {"neurons": "neurons.mem", "synapses": "synapses.mem", "events": "events.txt"}
    arguments = [f"+{key}={folder / name}" for key, name in (files | {"answers": "answers.txt"}).items()]
    arguments += [f"+max_neuron={chip.n_neurons - 1}", f"+open_loop={int(not chip.closed)}"]
    subprocess.run(
        [str(shutil.which("vvp")), "-N", str(program), *arguments],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    found = Answers([], -1, [])
    for line in (folder / "answers.txt").read_text().splitlines():
        what, *rest = line.split()
        if what == "spike":
            found.spikes.append((int(rest[0]), int(rest[1])))
        elif what == "lost":
            found.lost = int(rest[0])
        else:
            found.words.append(int(rest[1], 16))
    return found
