"""Running an integer network as the chip would, and keeping what its neurons did.

    /layers/<i>/s   what was sent in each step: spikes, or the amounts of graded ones
    /layers/<i>/u   currents, and
    /layers/<i>/v   potentials, after each step, after the reset of those that fired

Arrays are [neurons, steps] or [channels, rows, columns, steps], with samples in front where the input has
them.  i is the number of the layer in a NetX file, and elsewhere counts populations in their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import h5py
import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import ConfigError, StorageError
from snnsim.hardware.loihi.netx_notes import NetxNetwork
from snnsim.hdf5_writing import create_hdf5, hdf5_writes
from snnsim.integer_neurons import IntegerLIF, IntegerNeuron
from snnsim.layer_program import map_shapes
from snnsim.memory import available_bytes
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.simulator import Simulator

VARIABLES = ("s", "u", "v")
MOST_LISTED = 100_000
_AT_ONCE = 2**28  # bytes of recorded state of samples that run together
_CAUSES = {1: "input", 2: "current", 4: "potential"}


@dataclass(frozen=True)
class Overflow:
    """A value that left its range: `cause` is input, current or potential."""

    sample: int
    layer: int
    neuron: int
    step: int
    cause: str


@dataclass
class Emulation:
    """What an emulation gave.

    spikes_sha256   of s as int32, little endian: sample after sample, in it layer after layer, in C order
    n_spikes        events of all layers, and by layer
    output_counts   [n] or [samples, n]: the sum over time of what the last layer sent
    overflows       values that left their range, the first MOST_LISTED of n_overflows
    """

    n_samples: int
    n_steps: int
    layers: dict[int, str]
    spikes_sha256: str = ""
    n_spikes: int = 0
    n_spikes_by_layer: dict[int, int] = field(default_factory=dict)
    output_counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    overflows: list[Overflow] = field(default_factory=list)
    n_overflows: int = 0


def emulate(
    network: Network,
    inputs: np.ndarray,
    *,
    record: Sequence[str] = (),
    output: Path | str | None = None,
    threads: int | None = None,
) -> Emulation:
    """Run an integer network on inputs, step by step, from its initial state.

    inputs  whole numbers, [n, T] or [C, H, W, T]; with samples in front, each runs for itself
    record  which of s, u, v go into the file `output`, which must not exist yet
    Raises ConfigError for inputs or a network that do not fit, StorageError.
    """
    given, batched = _given(network, inputs)
    n_samples, n_steps, _ = given.shape
    for name in record:
        if name not in VARIABLES:
            raise ConfigError("unknown variable", where="record", got=name, expected=", ".join(VARIABLES))
    if (output is None) != (not record):
        raise ConfigError("a file and what to record belong together", where="output", got=output)
    numbers = _numbers(network)
    found = Emulation(n_samples, n_steps, {i: name for name, i in numbers.items()})
    found.n_spikes_by_layer = dict.fromkeys(found.layers, 0)
    hashed = hashlib.sha256()
    counts = []
    with _opened(output, network, numbers, record, given.shape, batched) as file:
        for first, layers in _runs(network, given, record, threads):
            for b in range(len(next(iter(layers.values()))["s"])):
                for name, i in numbers.items():
                    sent = layers[name]["s"][b]
                    hashed.update(sent.astype("<i4").tobytes())
                    found.n_spikes_by_layer[i] += int(np.count_nonzero(sent))
                    _list_overflows(found, first + b, i, layers[name]["overflow"][b])
                counts.append(sent.sum(axis=1, dtype=np.int64))
            if file is not None:
                _write(file, numbers, record, layers, first, batched)
    found.spikes_sha256, found.n_spikes = hashed.hexdigest(), sum(found.n_spikes_by_layer.values())
    found.output_counts = np.array(counts) if batched else counts[0]
    return found


def _numbers(network: Network) -> dict[str, int]:
    """Population -> number of its layer, in the order of the layers."""
    if isinstance(network, NetxNetwork) and set(network.notes.layers) == set(network.populations):
        return dict(network.notes.layers)
    return {name: i for i, name in enumerate(network.populations)}


def _given(network: Network, inputs: np.ndarray) -> tuple[np.ndarray, bool]:
    """(float64[samples, T, n], are samples in front)."""
    alien = [k for k, p in network.populations.items() if not isinstance(p.unit, IntegerNeuron)]
    if alien or len(network.stimuli) != 1:
        raise ConfigError(
            "not an integer network with one input", where=f"populations.{alien[0]}" if alien else "stimuli",
            got=network.populations[alien[0]].unit.KIND if alien else ", ".join(network.stimuli),
            fix="quantise the network first",
        )  # fmt: skip
    (name,) = network.stimuli
    n = network.stimuli[name].n  # type: ignore[attr-defined]
    shape = next((s for k, s in _shapes(network).items() if k == name), (n,))
    array = np.asarray(inputs)
    space = array.shape[:-1]
    whole = array.dtype.kind in "biuf" and bool(np.all(array == np.rint(array)))
    batched = space[1:] in (shape, (n,)) or (prod(space) != n and prod(space[1:]) == n)
    if not whole or array.ndim < 2 or 0 in array.shape or not (batched or prod(space) == n):
        raise ConfigError(
            "not an input of this network", where=f"input {name}",
            got=f"{array.dtype}{list(array.shape)}" if whole else f"{array.dtype}, not whole numbers",
            expected=f"whole numbers [{', '.join(map(str, shape))}, steps], or with samples in front",
        )  # fmt: skip
    samples = array.reshape(len(array) if batched else 1, n, array.shape[-1])
    return samples.transpose(0, 2, 1).astype(np.float64), batched


def _shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """[n] or [channels, rows, columns] of populations, and of an input that is taken over as it is."""
    maps: dict[str, tuple[int, ...]] = dict(map_shapes(network))
    for p in network.projections.values():
        if p.source in network.stimuli and p.rule.KIND == "into" and p.target in maps:
            maps.setdefault(p.source, maps[p.target])
    return {name: (p.n,) for name, p in network.populations.items()} | maps


def _runs(
    network: Network, given: np.ndarray, record: Sequence[str], threads: int | None
) -> Iterator[tuple[int, dict[str, dict[str, np.ndarray]]]]:
    """(first sample, int64[samples, n, T] by population and variable), some samples at a time."""
    wanted = ["s", "overflow", *(name for name in record if name != "s")]
    n_samples, n_steps, _ = given.shape
    n = sum(p.n for p in network.populations.values())
    one = (n_steps + 1) * n * len(wanted) * 8
    free = available_bytes()
    if free is not None and 3 * one > free:
        raise ConfigError(
            "the recorded state of one sample does not fit into memory", where="record",
            got=f"{3 * one / 1e9:.1f} GB for {n:,} neurons and {n_steps:,} steps",
            expected=f"{free / 1e9:.1f} GB", fix="record less, or give fewer steps",
        )  # fmt: skip
    together = max(1, min(n_samples, _AT_ONCE // one))
    probes = {
        f"{name}__{variable}": Probe(target=name, variable=variable)
        for name in network.populations
        for variable in wanted
    }
    watched = network.replace(probes=probes)
    for first in range(0, n_samples, together):
        part = given[first : first + together]
        sim = Simulator(watched, batch=len(part), dt_ms=1.0, threads=threads)
        sim.present({next(iter(network.stimuli)): part})
        sim.run_steps(n_steps + 1)  # a sample is the state before its step
        found: dict[str, dict[str, np.ndarray]] = {name: {} for name in network.populations}
        for name in network.populations:
            for variable in wanted:
                values = sim.samples(f"{name}__{variable}")[1]
                kept = values[:-1] if variable == "s" else values[1:]
                found[name][variable] = kept.transpose(1, 2, 0).astype(np.int64)
        yield first, found


def _list_overflows(found: Emulation, sample: int, layer: int, causes: np.ndarray) -> None:
    for bit, cause in _CAUSES.items():
        places = np.argwhere(causes & bit)
        found.n_overflows += len(places)
        for neuron, step in places[: MOST_LISTED - len(found.overflows)]:
            found.overflows.append(Overflow(sample, layer, int(neuron), int(step), cause))


def _opened(
    output: Path | str | None, network: Network, numbers: Mapping[str, int], record: Sequence[str],
    shape: tuple[int, ...], batched: bool,
) -> AbstractContextManager[h5py.File | None]:  # fmt: skip
    return nullcontext() if output is None else _File(Path(output), network, numbers, record, shape, batched)


class _File(AbstractContextManager["h5py.File"]):
    """The output, whole or not at all, and never in place of another file."""

    def __init__(
        self, path: Path, network: Network, numbers: Mapping[str, int], record: Sequence[str],
        shape: tuple[int, ...], batched: bool,
    ) -> None:  # fmt: skip
        if path.exists():
            raise StorageError("the file exists already", where=str(path), fix="choose another name")
        self._whole = replacing(path)
        self._args = network, numbers, record, shape, batched

    def __enter__(self) -> h5py.File:
        self._file = create_hdf5(self._whole.__enter__())
        network, numbers, record, (n_samples, n_steps, _), batched = self._args
        shapes = _shapes(network)
        self._file.attrs["n_steps"] = n_steps
        for name, i in numbers.items():
            group = self._file.create_group(f"layers/{i}")
            group.attrs["name"], group.attrs["neuron"] = name, network.populations[name].unit.KIND
            full = (*((n_samples,) if batched else ()), *shapes[name], n_steps)
            for variable in record:
                kind = _type_of(network.populations[name].unit, variable)
                packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
                group.create_dataset(variable, full, kind, **packed)
        return self._file

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._whole.__exit__(*error)  # type: ignore[arg-type]


def _type_of(unit: object, variable: str) -> str:
    if not isinstance(unit, IntegerLIF):
        return "i4"
    if variable == "s":
        return "i1" if unit.rule.most < 128 else "i4"
    low, high = getattr(unit.rule, f"{variable}_low"), getattr(unit.rule, f"{variable}_high")
    return "i4" if low >= -(2**31) and high < 2**31 else "i8"


def _write(
    file: h5py.File, numbers: Mapping[str, int], record: Sequence[str],
    layers: Mapping[str, Mapping[str, np.ndarray]], first: int, batched: bool,
) -> None:  # fmt: skip
    with hdf5_writes(file):
        for name, i in numbers.items():
            for variable in record:
                values, item = layers[name][variable], file[f"layers/{i}/{variable}"]
                if batched:
                    item[first : first + len(values)] = values.reshape(len(values), *item.shape[1:])
                else:
                    item[...] = values.reshape(item.shape)
