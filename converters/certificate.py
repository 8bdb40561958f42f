"""The certificate of an exact conversion: how many neurons were compared, and how many counts differ."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from snnsim.converters.dense import evaluate
from snnsim.converters.graph import Graph
from snnsim.identity import fingerprint
from snnsim.layer_neurons import SignedIF
from snnsim.network import Network
from snnsim.simulator import Simulator

_SHARE = 256  # samples at a time


@dataclass(frozen=True)
class LayerCheck:
    """Counts of the neurons of one population over all samples."""

    name: str
    path: str
    n_neurons: int
    n_checked: int
    n_mismatches: int


@dataclass(frozen=True)
class Certificate:
    """What was compared.

    layers             by population: spike counts against the integers of the quantised model
    readout_deviation  largest difference of an output
    n_samples          inputs that were compared
    n_steps            over which each input was spread
    model, data, network  SHA-256 of the graph, of the inputs and of the network
    """

    layers: tuple[LayerCheck, ...]
    readout_deviation: float
    n_samples: int
    n_steps: int
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
    graph: Graph, network: Network, amounts: np.ndarray, n_steps: int = 1, threads: int | None = None
) -> Certificate:
    """Simulate every sample and compare every neuron with the integer activation of the quantised model.

    amounts  float64[n_samples, n]  inputs in whole units; they come in n_steps parts, as equal as possible
    """
    paths = {node.name: node.path for node in graph.nodes}
    checked = [name for name, p in network.populations.items() if isinstance(p.unit, SignedIF)]
    wrong, deviation = dict.fromkeys(checked, 0), 0.0
    with Simulator(network, batch=_SHARE, threads=threads) as sim:
        for low in range(0, len(amounts), _SHARE):
            part = amounts[low : low + _SHARE]
            found = sim.evaluate(
                {"input": spread(part, n_steps)}, settling_steps(network, n_steps), keep_counts=True
            )
            expected = evaluate(network, {"input": part})
            for name in checked:
                wrong[name] += int(np.count_nonzero(found.counts[name] != expected[name]))
            deviation = max(deviation, float(np.abs(found.readout[:, -1] - expected["readout"]).max()))
    return Certificate(
        layers=tuple(
            LayerCheck(
                name,
                paths[name],
                network.populations[name].n,
                network.populations[name].n * len(amounts),
                wrong[name],
            )
            for name in checked
        ),
        readout_deviation=deviation,
        n_samples=len(amounts),
        n_steps=n_steps,
        model=graph_hash(graph),
        data=hashlib.sha256(np.ascontiguousarray(amounts).tobytes()).hexdigest(),
        network=fingerprint(network, {}),
    )


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
