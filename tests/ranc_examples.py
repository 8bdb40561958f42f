"""Random layered networks for RANC, and how to run them: by snnsim, and by a simulator of Verilog."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.hardware.ranc import RancChip, packet_words
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Dense
from snnsim.stimuli import Analogue

VALUES = ([-1, 1, 2, -3], [1, -1], [*range(-8, 8)])
MODEL = Path(__file__).with_name("ranc_core.v")


def random_network(seed: int) -> Network:
    """Three layers with every number at random; every second one with connections that skip a layer."""
    rng = np.random.default_rng(seed)
    highs = {"x": (4, 30), "a": (4, 40), "b": (3, 30), "c": (2, 10)}
    sizes = {name: int(rng.integers(*bounds)) for name, bounds in highs.items()}
    values = VALUES[seed % 3]

    def population(n: int) -> Population:
        linear = rng.random() < 0.5
        neuron = IntegerLIF(
            rule=RULES["ranc"].replace(reset="subtract") if linear else RULES["ranc"],
            threshold=rng.integers(1, 14, n), bias=rng.integers(-2, 3, n), floor=-rng.integers(0, 40, n),
            v_init=rng.integers(-20, 20, n), v_reset=0 if linear else rng.integers(-5, 2, n),
        )  # fmt: skip
        return Population(n=n, neuron=neuron)

    links = {
        "xa": ("x", "a", rng.integers(0, 15)), "xb": ("x", "b", rng.integers(0, 4)),
        "ab": ("a", "b", rng.integers(1, 16)), "ab2": ("a", "b", rng.integers(1, 4)), "bc": ("b", "c", 1),
        "ac": ("a", "c", rng.integers(1, 6)),
    }  # fmt: skip
    if seed % 2:
        links = {name: links[name] for name in ("xa", "ab", "bc")}

    def matrix(target: str, source: str) -> np.ndarray:
        shape = sizes[target], sizes[source]
        return np.where(rng.random(shape) < 0.5, rng.choice(values, shape), 0).astype(float)

    return Network(
        stimuli={"x": Analogue(n=sizes["x"])},
        populations={name: population(sizes[name]) for name in "abc"},
        projections={
            name: Projection(
                source=source, target=target, weight_mv=1.0, delay_ms=float(delay),
                rule=Dense(weight=matrix(target, source)),
            )
            for name, (source, target, delay) in links.items()
        },
        probes={name: Probe(target=name) for name in "abc"},
    )  # fmt: skip


def random_given(network: Network, n_ticks: int, seed: int) -> np.ndarray:
    """int[n_ticks, n]: spikes of the input."""
    rng = np.random.default_rng(100 + seed)
    return (rng.random((n_ticks, network.sources()["x"].n)) < 0.3).astype(int)  # type: ignore[attr-defined]


def run_network(network: Network, given: dict[str, np.ndarray], name: str) -> np.ndarray:
    """bool[n_ticks, n]: spikes of a population."""
    n_ticks = len(next(iter(given.values())))
    sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
    sim.present({key: value[None].astype(float) for key, value in given.items()})
    sim.run_steps(n_ticks)
    found = np.zeros((n_ticks, network.populations[name].n), bool)
    found[sim.spikes(name)] = True
    return found


def run_model(chip: RancChip, folder: Path, given: dict[str, np.ndarray]) -> np.ndarray:
    """int[n_ticks, 256]: packets at each output, by the model in Verilog; `folder` has the images."""
    words, counts = packet_words(chip, given)
    (folder / "packets.txt").write_text("".join(f"{word:030b}\n" for word in words))
    (folder / "counts.txt").write_text("".join(f"{count:x}\n" for count in counts))
    sizes = {"COLUMNS": chip.columns, "ROWS": chip.rows, "BUS_X": chip.bus[0], "BUS_Y": chip.bus[1]}
    options = [f"-Pranc_core.{key}={value}" for key, value in sizes.items()]
    options += [f'-Pranc_core.FOLDER="{folder}/"', "-s", "ranc_core", "-o", str(folder / "model")]
    subprocess.run([str(shutil.which("iverilog")), "-g2012", *options, str(MODEL)], check=True)
    names = {"packets": "packets.txt", "counts": "counts.txt", "answers": "answers.txt"}
    given_as = [f"+{key}={folder / name}" for key, name in names.items()]
    subprocess.run(
        [str(shutil.which("vvp")), str(folder / "model"), *given_as, f"+ticks={len(counts)}"], check=True,
        capture_output=True, timeout=100,
    )  # fmt: skip
    found = np.zeros((len(counts), 256), int)
    for line in (folder / "answers.txt").read_text().splitlines():
        found[tuple(int(number) for number in line.split())] += 1
    return found
