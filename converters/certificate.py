"""The certificate of an exact conversion: how many neurons were compared, and how many counts differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from snnsim.converters.dense import evaluate
from snnsim.converters.graph import Graph
from snnsim.converters.products import parts, result_size
from snnsim.identity import fingerprint
from snnsim.layer_neurons import SignedIF
from snnsim.network import Network
from snnsim.simulator import Simulator

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is)."""


@dataclass(frozen=True)
class Mismatch:
    """The first count of a population that differs, in the order of samples, then of neurons."""

    sample: int
    neuron: int
    simulated: int
    reference: int


@dataclass(frozen=True)
class LayerCheck:
    """Counts of the neurons of one population over all samples.

    reference  SHA-256 of the integers of the quantised model, int32[n_samples, n_neurons]
    first      the first count that differs
    """

    name: str
    path: str
    n_neurons: int
    n_checked: int
    n_mismatches: int
    reference: str
    first: Mismatch | None = None


@dataclass(frozen=True)
class Certificate:
    """What was compared.

    layers             by population: spike counts against the integers of the quantised model
    readout_deviation  largest difference of an output
    n_samples          inputs that were compared
    n_steps            over which each input was spread
    readout_reference  SHA-256 of the outputs of the quantised model, float64[n_samples, n]
    model, data, network  SHA-256 of the graph, of the inputs and of the network
    """

    layers: tuple[LayerCheck, ...]
    readout_deviation: float
    n_samples: int
    n_steps: int
    readout_reference: str
    model: str
    data: str
    network: str

    @property
    def holds(self) -> bool:
        """No count differs, and no output."""
        return self.readout_deviation == 0.0 and not any(layer.n_mismatches for layer in self.layers)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"holds": self.holds}


def certify(
    graph: Graph,
    network: Network,
    amounts: np.ndarray,
    n_steps: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Simulate every sample and compare every neuron with the integer activation of the quantised model.

    amounts  float64[n_samples, n]  inputs in whole units; they come in n_steps parts, as equal as possible
    """
    paths = {node.name: node.path for node in graph.nodes}
    return compare(network, amounts, n_steps, paths, graph_hash(graph), threads, progress)


def compare(
    network: Network,
    amounts: np.ndarray,
    n_steps: int,
    paths: Mapping[str, str],
    model: str,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """The certificate of a network whose source is known by its hash only.

    paths  where in the model each population comes from
    """
    checked = [name for name, p in network.populations.items() if isinstance(p.unit, SignedIF)]
    wrong, deviation = dict.fromkeys(checked, 0), 0.0
    first: dict[str, Mismatch] = {}
    digests = {name: hashlib.sha256() for name in [*checked, "readout"]}
    settled = settling_steps(network, n_steps)
    with Simulator(network, batch=1, threads=threads) as sim:
        for share in parts(len(amounts), 2 * result_size(network, settled)):
            low, part = share.start, amounts[share]
            found = sim.evaluate({"input": spread(part, n_steps)}, settled, keep_counts=True)
            expected = evaluate(network, {"input": part})
            for name in checked:
                counts, integers = found.counts[name], expected[name]
                digests[name].update(integers.astype(np.int32).tobytes())
                off = counts != integers
                wrong[name] += int(np.count_nonzero(off))
                if name not in first and off.any():
                    sample, neuron = (int(k[0]) for k in np.nonzero(off))
                    both = int(counts[sample, neuron]), int(integers[sample, neuron])
                    first[name] = Mismatch(low + sample, neuron, *both)
            readout = expected["readout"]
            digests["readout"].update((readout + 0.0).tobytes())  # + 0.0: zeros have one sign
            deviation = max(deviation, float(np.abs(found.readout[:, -1] - readout).max()))
            if progress is not None:
                progress("inputs compared", low + len(part), len(amounts))
    return Certificate(
        layers=tuple(
            LayerCheck(
                name, paths.get(name, name), network.populations[name].n,
                network.populations[name].n * len(amounts), wrong[name], digests[name].hexdigest(),
                first.get(name),
            )
            for name in checked
        ),
        readout_deviation=deviation,
        n_samples=len(amounts),
        n_steps=n_steps,
        readout_reference=digests["readout"].hexdigest(),
        model=model,
        data=data_hash(amounts),
        network=fingerprint(network, {}),
    )  # fmt: skip


def data_hash(amounts: np.ndarray) -> str:
    """SHA-256 of inputs in whole units, [n_samples, n]."""
    return hashlib.sha256(np.ascontiguousarray(amounts, dtype=np.float64).tobytes()).hexdigest()


def spread(amounts: np.ndarray, n_steps: int) -> np.ndarray:
    """float64[n_samples, n_steps, n]: whole amounts in n_steps whole parts, as equal as possible."""
    steps = np.arange(n_steps + 1)[None, :, None]
    return np.diff(np.floor(amounts[:, None, :] * steps / n_steps), axis=1)


def settling_steps(network: Network, n_steps: int) -> int:
    """Steps within which a network has come to rest: each signed neuron can take back what it has emitted."""
    taken_back = [
        -(-p.unit.levels // p.unit.most)
        for p in network.populations.values()
        if isinstance(p.unit, SignedIF)
    ]
    return n_steps + 2 * sum(taken_back) + 1


def graph_hash(graph: Graph) -> str:
    """SHA-256 over the operations and all weights."""
    found = hashlib.sha256()
    for node in graph.nodes:
        for name, value in sorted(vars(node).items()):
            data = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            found.update(f"\0{type(node).__name__}.{name}\0".encode() + data)
    return found.hexdigest()
