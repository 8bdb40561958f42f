"""Operations on each core of a chip in each step of a run, counted from what every neuron did."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, fields

import numpy as np

from snnsim.hardware.activity import Activity, Wires, activity, wires
from snnsim.hardware.chip_constants import ENCODINGS
from snnsim.hardware.mapping import Mapping
from snnsim.network import Network


@dataclass(frozen=True, eq=False)
class Counts:
    """float64[n_samples, n_steps, n_cores] each, if not said otherwise.

    dense, sparse, conv  synaptic operations by encoding: every stored synapse of an event, on the core of
                         its target
    access      neurons, each in each step
    update      those whose potential is not at rest, that something reaches, or that have a bias
    spike       those that fire; inputs need none of these three
    sent        messages from this core: an event goes once to each core that it has a synapse on, the own
                one too; those of inputs outside of the chip are sent by none
    received    messages to this core
    hops_x, hops_y  tiles that the messages of this core cross, along rows and along columns
    far_x, far_y    float64[n_samples, n_steps]: the most of one message
    n_tiles     tiles in use
    """

    dense: np.ndarray
    sparse: np.ndarray
    conv: np.ndarray
    access: np.ndarray
    update: np.ndarray
    spike: np.ndarray
    sent: np.ndarray
    received: np.ndarray
    hops_x: np.ndarray
    hops_y: np.ndarray
    far_x: np.ndarray
    far_y: np.ndarray
    n_tiles: int

    @property
    def n_samples(self) -> int:
        return len(self.access)

    def totals(self) -> dict[str, float]:
        """For one sample: the mean over samples of the sum over steps and cores."""
        return {
            f.name: float(getattr(self, f.name).sum()) / self.n_samples
            for f in fields(self)
            if f.name not in ("far_x", "far_y", "n_tiles")
        }


@dataclass(frozen=True, eq=False)
class _Fan:
    """Where the events of one population or input go.

    synapses  float64[n, n_cores] by encoding
    reaches   float64[n, n_cores]  1 where it has a synapse
    hops      float64[2, n]        tiles along rows and columns, summed over messages
    far       float64[2, n]        of the farthest message
    """

    synapses: dict[str, np.ndarray]
    reaches: np.ndarray
    hops: np.ndarray
    far: np.ndarray


def count(
    network: Network, mapping: Mapping, inputs: Table[str, np.ndarray], n_steps: int, *,
    repeat: int = 1, dt_ms: float = 1.0, encoding: Table[str, str] | None = None,
) -> Counts:  # fmt: skip
    """Run a network on a chip's mapping and count.

    inputs, repeat  as for `activity`;  encoding  as for `wires`
    Raises TargetError where the mapping is none of this network, or the network has no synapses to count.
    """
    mapping.check(network)
    table = wires(network, encoding, dt_ms)
    fans = fan_out(network, mapping, table)
    samples = [
        _count(seen, fans, mapping, n_steps)
        for seen in activity(network, inputs, n_steps, repeat=repeat, dt_ms=dt_ms, table=table)
    ]
    stacked = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
    return Counts(**stacked, n_tiles=mapping.n_tiles)


def fan_out(network: Network, mapping: Mapping, table: Wires) -> dict[str, _Fan]:
    """Where the events of each input and population go."""
    n_cores, found = mapping.n_cores, {}
    for name in dict.fromkeys(p.source for p in network.projections.values()):
        links = [link for link, p in network.projections.items() if p.source == name]
        n = table.synapses[links[0]].first.size - 1
        by_encoding = {word: np.zeros((n, n_cores)) for word in ENCODINGS}
        for link in links:
            found_here = table.synapses[link]
            core = np.asarray(mapping.core_of[network.projections[link].target])[found_here.target]
            number = np.bincount(found_here.source * n_cores + core, minlength=n * n_cores)
            by_encoding[table.encoding[link]] += number.reshape(n, n_cores)
        reaches = np.any([number > 0 for number in by_encoding.values()], axis=0).astype(np.float64)
        ways: np.ndarray = np.zeros((2, n, n_cores))
        if name in mapping.core_of:
            own = mapping.position[np.asarray(mapping.core_of[name])]
            ways = np.abs(own.T[:, :, None] - mapping.position.T[:, None, :]) * reaches
        found[name] = _Fan(by_encoding, reaches, ways.sum(axis=2), ways.max(axis=2, initial=0))
    return found


def _count(seen: Activity, fans: dict[str, _Fan], mapping: Mapping, n_steps: int) -> dict[str, np.ndarray]:
    shape = n_steps, mapping.n_cores
    names = (*ENCODINGS, "access", "update", "spike", "sent", "received", "hops_x", "hops_y")
    found: dict[str, np.ndarray] = {name: np.zeros(shape) for name in names}
    found["far_x"], found["far_y"] = np.zeros(n_steps), np.zeros(n_steps)
    for name, updated in seen.updated.items():
        here = _on_cores(mapping.core_of[name], mapping.n_cores)
        found["access"] += here.sum(axis=0)
        found["update"] += updated @ here
        found["spike"] += seen.spikes[name] @ here
    for name, fan in fans.items():
        spikes = seen.spikes[name].astype(np.float64)
        for word, number in fan.synapses.items():
            found[word] += spikes @ number
        found["received"] += spikes @ fan.reaches
        for axis, letter in enumerate("xy"):
            far = (spikes * fan.far[axis]).max(axis=1, initial=0)
            found[f"far_{letter}"] = np.maximum(found[f"far_{letter}"], far)
        if name in mapping.core_of:
            here = _on_cores(mapping.core_of[name], mapping.n_cores)
            found["sent"] += (spikes * fan.reaches.sum(axis=1)) @ here
            found["hops_x"] += (spikes * fan.hops[0]) @ here
            found["hops_y"] += (spikes * fan.hops[1]) @ here
    return found


def _on_cores(core: np.ndarray, n_cores: int) -> np.ndarray:
    """float64[n, n_cores]: 1 where a neuron lies."""
    return (np.asarray(core)[:, None] == np.arange(n_cores)).astype(np.float64)
