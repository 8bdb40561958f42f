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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import ConfigError, StorageError
from snnsim.hardware.emulated_network import EmulatedNetwork
from snnsim.hardware.emulated_tinyodin import EmulatedTinyOdin
from snnsim.hardware.tinyodin import TinyOdinChip
from snnsim.hdf5_writing import create_hdf5, hdf5_writes
from snnsim.network import Network

VARIABLES = EmulatedNetwork.variables
MOST_LISTED = 100_000
_CAUSES = {1: "input", 2: "current", 4: "potential"}
_Source = EmulatedNetwork | EmulatedTinyOdin


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
    network: Network | TinyOdinChip,
    inputs: np.ndarray,
    *,
    record: Sequence[str] = (),
    output: Path | str | None = None,
    threads: int | None = None,
) -> Emulation:
    """Run an integer network, or a chip of tinyODIN, on inputs, step by step, from its initial state.

    inputs  whole numbers, [n, T] or [C, H, W, T]; with samples in front, each runs for itself
    record  which of s, u, v go into the file `output`, which must not exist yet
    Raises ConfigError for inputs or a network that do not fit, StorageError.
    """
    source = EmulatedNetwork(network) if isinstance(network, Network) else EmulatedTinyOdin(network)
    record = list(dict.fromkeys(record))
    given, batched = source.given(inputs)
    n_samples, n_steps, _ = given.shape
    for name in record:
        if name not in source.variables:
            raise ConfigError(
                "unknown variable", where="record", got=name, expected=", ".join(source.variables)
            )
    if (output is None) != (not record):
        raise ConfigError("a file and what to record belong together", where="output", got=output)
    numbers = source.numbers
    found = Emulation(n_samples, n_steps, {i: name for name, i in numbers.items()})
    found.n_spikes_by_layer = dict.fromkeys(found.layers, 0)
    hashed = hashlib.sha256()
    counts = []
    with _opened(output, source, record, given.shape, batched) as file:
        for first, layers in source.runs(given, record, threads):
            for b in range(len(next(iter(layers.values()))["s"])):
                for name, i in numbers.items():
                    sent = layers[name]["s"][b]
                    hashed.update(sent.astype("<i4").tobytes())
                    found.n_spikes_by_layer[i] += int(np.count_nonzero(sent))
                    if "overflow" in layers[name]:
                        _list_overflows(found, first + b, i, layers[name]["overflow"][b])
                counts.append(sent.sum(axis=1, dtype=np.int64))
            if file is not None:
                _write(file, source, record, layers, first, batched)
    found.spikes_sha256, found.n_spikes = hashed.hexdigest(), sum(found.n_spikes_by_layer.values())
    found.output_counts = np.array(counts) if batched else counts[0]
    return found


def _list_overflows(found: Emulation, sample: int, layer: int, causes: np.ndarray) -> None:
    for bit, cause in _CAUSES.items():
        places = np.argwhere(causes & bit)
        found.n_overflows += len(places)
        for neuron, step in places[: MOST_LISTED - len(found.overflows)]:
            found.overflows.append(Overflow(sample, layer, int(neuron), int(step), cause))


@contextmanager
def _opened(
    output: Path | str | None, source: _Source, record: Sequence[str], shape: tuple[int, ...], batched: bool
) -> Iterator[h5py.File | None]:
    """The output, whole or not at all, and never in place of another file."""
    if output is None:
        yield None
        return
    path, (n_samples, n_steps, _) = Path(output), shape
    if path.exists():
        raise StorageError("the file exists already", where=str(path), fix="choose another name")
    with replacing(path) as temporary, create_hdf5(temporary) as file:
        file.attrs["n_steps"] = n_steps
        for name, i in source.numbers.items():
            group = file.create_group(f"layers/{i}")
            group.attrs["name"], group.attrs["neuron"] = name, source.kind(name)
            full = (*((n_samples,) if batched else ()), *source.shapes[name], n_steps)
            for variable in source.recorded(name, record):
                kind = source.type_of(name, variable)
                packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
                group.create_dataset(variable, full, kind, **packed)
        yield file


def _write(
    file: h5py.File, source: _Source, record: Sequence[str],
    layers: Mapping[str, Mapping[str, np.ndarray]], first: int, batched: bool,
) -> None:  # fmt: skip
    with hdf5_writes(file):
        for name, i in source.numbers.items():
            for variable in source.recorded(name, record):
                values, item = layers[name][variable], file[f"layers/{i}/{variable}"]
                if batched:
                    item[first : first + len(values)] = values.reshape(len(values), *item.shape[1:])
                else:
                    item[...] = values.reshape(item.shape)
