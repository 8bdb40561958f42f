"""An integer network, as emulation sees it: its layers, its input, and what its neurons do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from snnsim.errors import ConfigError
from snnsim.hardware.loihi.netx_notes import NetxNetwork
from snnsim.integer_neurons import IntegerLIF, IntegerNeuron
from snnsim.layer_neurons import Relay
from snnsim.layer_program import map_shapes
from snnsim.memory import available_bytes
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.simulator import Simulator

Layers = dict[str, dict[str, np.ndarray]]
"""int64[samples, n, T] by population and variable: s, u, v, and overflow."""
_AT_ONCE = 2**28  # bytes of recorded state of samples that run together


class EmulatedNetwork:
    """numbers: population -> number of its layer;  shapes: [n] or [channels, rows, columns]."""

    variables = ("s", "u", "v")

    def __init__(self, network: Network) -> None:
        known = IntegerNeuron, Relay
        alien = [k for k, p in network.populations.items() if not isinstance(p.unit, known)]
        if alien or len(network.stimuli) != 1:
            raise ConfigError(
                "not an integer network with one input",
                where=f"populations.{alien[0]}" if alien else "stimuli",
                got=network.populations[alien[0]].unit.KIND if alien else ", ".join(network.stimuli),
                fix="quantise the network first",
            )
        self.network = network
        self.numbers = {name: i for i, name in enumerate(network.populations)}
        if isinstance(network, NetxNetwork) and set(network.notes.layers) == set(network.populations):
            self.numbers = dict(network.notes.layers)
        self.shapes = _shapes(network)

    def given(self, inputs: np.ndarray) -> tuple[np.ndarray, bool]:
        """(float64[samples, T, n], are samples in front).  Raises ConfigError."""
        (name,) = self.network.stimuli
        n: int = self.network.stimuli[name].n  # type: ignore[attr-defined]
        return arranged(inputs, n, self.shapes.get(name, (n,)), name)

    def recorded(self, name: str, record: Sequence[str]) -> list[str]:
        """What of `record` a layer has: what only passes events on has no state."""
        relays = isinstance(self.network.populations[name].unit, Relay)
        return [one for one in record if one == "s" or not relays]

    def kind(self, name: str) -> str:
        """Of the neurons of a layer."""
        return self.network.populations[name].unit.KIND

    def type_of(self, name: str, variable: str) -> str:
        """The smallest type of a file that holds a variable."""
        unit: Any = self.network.populations[name].unit
        if not isinstance(unit, IntegerLIF):
            return "i4"
        if variable == "s":
            return "i1" if unit.rule.most < 128 else "i4"
        low, high = getattr(unit.rule, f"{variable}_low"), getattr(unit.rule, f"{variable}_high")
        return "i4" if low >= -(2**31) and high < 2**31 else "i8"

    def runs(
        self, given: np.ndarray, record: Sequence[str], threads: int | None
    ) -> Iterator[tuple[int, Layers]]:
        """(first sample, layers), some samples at a time."""
        network = self.network
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
            for variable in self.recorded(name, wanted)
        }
        watched = network.replace(probes=probes)
        for first in range(0, n_samples, together):
            part = given[first : first + together]
            sim = Simulator(watched, batch=len(part), dt_ms=1.0, threads=threads)
            sim.present({next(iter(network.stimuli)): part})
            sim.run_steps(n_steps + 1)  # a sample is the state before its step
            found: Layers = {name: {} for name in network.populations}
            for name in network.populations:
                for variable in self.recorded(name, wanted):
                    values = sim.samples(f"{name}__{variable}")[1]
                    kept = values[:-1] if variable == "s" else values[1:]
                    found[name][variable] = kept.transpose(1, 2, 0).astype(np.int64)
            yield first, found


def arranged(
    inputs: np.ndarray, n: int, shape: tuple[int, ...], name: str
) -> tuple[np.ndarray, bool]:
    """Whole numbers [*shape, T] or [n, T], with samples in front or not, as float64[samples, T, n]."""
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
