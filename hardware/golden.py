"""Golden vectors: what an integer network does with some inputs, so that every other realisation can be
compared.

golden/input_<name>.npy   int32[samples, n, T]   amounts of an input in each step
golden/spikes_<i>.npy     int32[samples, n, T]   what population i sent in each step
state_sha256              of u, then v of all neurons after each step, int64 little endian, [samples, n, T] by
                          population; of a chip of tinyODIN, which has no currents, v alone
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import storage_errors
from snnsim.errors import FileError
from snnsim.hardware.emulated_tinyodin import EmulatedTinyOdin
from snnsim.hardware.tinyodin import TinyOdinChip
from snnsim.integer_neurons import IntegerNeuron
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.simulator import Simulator

FOLDER = "golden"
MOST_BYTES = 2**30


@dataclass(frozen=True)
class Golden:
    """inputs, spikes: int32[samples, n, T] by input and by population, in order."""

    inputs: dict[str, np.ndarray]
    spikes: dict[str, np.ndarray]
    state_sha256: str

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        first = next(iter(self.inputs.values()))
        return {
            "samples": len(first),
            "steps": first.shape[2],
            "inputs": {name: f"{FOLDER}/input_{name}.npy" for name in self.inputs},
            "spikes": {name: f"{FOLDER}/spikes_{k}.npy" for k, name in enumerate(self.spikes)},
            "n_spikes": {name: int(np.count_nonzero(value)) for name, value in self.spikes.items()},
            "state_sha256": self.state_sha256,
        }

    def write(self, folder: Path) -> None:
        """Write the arrays below `folder`.  Raises StorageError."""
        with storage_errors(folder):
            (folder / FOLDER).mkdir()
            for name, value in self.inputs.items():
                np.save(folder / FOLDER / f"input_{name}.npy", value)
            for k, value in enumerate(self.spikes.values()):
                np.save(folder / FOLDER / f"spikes_{k}.npy", value)


def golden_of(
    network: Network | TinyOdinChip, inputs: Mapping[str, np.ndarray], n_steps: int,
    threads: int | None = None,
) -> Golden:  # fmt: skip
    """Run an integer network, or a chip of tinyODIN.

    inputs  by input whole amounts [samples, n_given, n] of the first n_given steps; later nothing comes
    """
    n_samples = len(next(iter(inputs.values())))
    given = {name: _filled(np.asarray(value), n_steps) for name, value in inputs.items()}
    kept = {name: np.ascontiguousarray(value.transpose(0, 2, 1), np.int32) for name, value in given.items()}
    if isinstance(network, TinyOdinChip):
        return _of_events(network, kept)
    variables = {  # relays and readouts have no state of their own
        name: ("u", "v") if isinstance(p.unit, IntegerNeuron) else ()
        for name, p in network.populations.items()
    }
    probes = {
        f"{name}__{what}": Probe(target=name, variable=what)
        for name, held in variables.items()
        for what in ("s", *held)
    }
    with Simulator(network.replace(probes=probes), batch=n_samples, dt_ms=1.0, threads=threads) as sim:
        sim.present(given)
        sim.run_steps(n_steps + 1)  # a sample is the state before its step
        hashed, spikes = hashlib.sha256(), {}
        for name in network.populations:
            spikes[name] = _ordered(sim.samples(f"{name}__s")[1][:-1]).astype(np.int32)
            for what in variables[name]:
                hashed.update(_ordered(sim.samples(f"{name}__{what}")[1][1:]).astype("<i8").tobytes())
    return Golden(kept, spikes, hashed.hexdigest())


def _of_events(chip: TinyOdinChip, inputs: dict[str, np.ndarray]) -> Golden:
    source = EmulatedTinyOdin(chip)
    given, _ = source.given(np.concatenate([inputs[name] for name in chip.inputs], axis=1))
    ran = [layers for _, layers in source.runs(given, (), None)]
    hashed, spikes = hashlib.sha256(), {}
    for name in chip.outputs:
        spikes[name] = np.concatenate([layers[name]["s"] for layers in ran]).astype(np.int32)
        hashed.update(np.concatenate([layers[name]["v"] for layers in ran]).astype("<i8").tobytes())
    return Golden(inputs, spikes, hashed.hexdigest())


def again(network: Network | TinyOdinChip, golden: Golden, threads: int | None = None) -> Golden:
    """The same inputs, in order, shown to another realisation of the network."""
    values = [value.transpose(0, 2, 1) for value in golden.inputs.values()]
    n_steps = values[0].shape[1]
    names = network.stimuli if isinstance(network, Network) else network.inputs
    return golden_of(network, dict(zip(names, values, strict=True)), n_steps, threads)


def read_golden(folder: Path, facts: Mapping[str, Any]) -> Golden:
    """The golden vectors that a manifest tells of.  Raises FileError."""

    def arrays(key: str) -> dict[str, np.ndarray]:
        names = facts.get(key)
        if not isinstance(names, dict) or not names:
            raise FileError("no golden vectors", where=str(folder), got=names, code="file.bad_manifest")
        return {str(name): _array(folder / FOLDER / Path(str(file)).name) for name, file in names.items()}

    found = Golden(arrays("inputs"), arrays("spikes"), str(facts.get("state_sha256")))
    shapes = {(len(a), a.shape[2]) for a in (*found.inputs.values(), *found.spikes.values())}
    if len(shapes) != 1:
        raise FileError("golden vectors that do not belong together", where=str(folder), got=sorted(shapes))
    return found


def _array(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise FileError("not golden vectors", where=str(path), expected="a .npy file") from error
    if (
        not isinstance(found, np.ndarray)
        or found.dtype != np.int32
        or found.ndim != 3
        or found.nbytes > MOST_BYTES
    ):
        raise FileError(
            "not golden vectors", where=str(path), got=f"{getattr(found, 'dtype', '')}{np.shape(found)}",
            expected="int32[samples, n, T]",
        )  # fmt: skip
    return np.array(found)


def _filled(value: np.ndarray, n_steps: int) -> np.ndarray:
    """[samples, n_steps, n]: zeros behind what is given."""
    found = np.zeros((len(value), n_steps, value.shape[2]))
    found[:, : value.shape[1]] = value[:, :n_steps]
    return found


def _ordered(samples: np.ndarray) -> np.ndarray:
    """[T, samples, n] -> [samples, n, T]."""
    return np.ascontiguousarray(samples.transpose(1, 2, 0))
