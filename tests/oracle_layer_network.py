"""A naive simulation of layered networks: one sample, one step, one event at a time, from the description.

It shares with the simulator the kernels' twins of tests/oracle_layers.py, and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import oracle_layers as oracle

from snnsim.layer_neurons import BurstIF, FewSpike, Readout, Relay, SignedIF, TimeToFirstSpike
from snnsim.layers import Dense, Into
from snnsim.network import Network


@dataclass
class Naive:
    """What has happened: events (step, unit, amount) and potentials after each step, by population."""

    events: dict[str, list[tuple[int, int, float]]] = field(default_factory=lambda: defaultdict(list))
    potentials: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    additions: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def run_naively(network: Network, order: list[str], given: dict[str, np.ndarray], n_steps: int) -> Naive:
    """order: populations as they advance; given: float[n_given, n] by input; a step is a millisecond."""
    found = Naive()
    state = {}
    for name, population in network.populations.items():
        start = getattr(population.unit, "v_init_mv", 0.0)
        state[name] = np.full(population.n, start, network.precision), np.zeros(population.n, np.int32)
    for t in range(n_steps):
        for name, values in given.items():
            for unit in np.flatnonzero(values[t]) if t < len(values) else ():
                found.events[name].append((t, int(unit), values[t, unit]))
        for name in order:
            neuron, (v, count) = network.populations[name].unit, state[name]
            bias, steps = getattr(neuron, "bias_mv", 0.0), getattr(neuron, "bias_steps", 1)
            current = np.zeros(v.size, network.precision)
            if steps is None or t < steps:
                current += np.asarray(bias, network.precision)
            add_arriving(network, name, found, t, current)
            unit, amount = np.zeros(v.size, np.int32), np.zeros(v.size, network.precision)
            n = advance(neuron, t, v, current, count, unit, amount)
            found.events[name] += [(t, int(unit[e]), amount[e]) for e in range(n)]
            found.potentials[name].append(v.tolist())
    return found


def add_arriving(network: Network, name: str, found: Naive, t: int, current: np.ndarray) -> None:
    for link, p in network.projections.items():
        if p.target != name:
            continue
        for step, unit, amount in found.events[p.source]:
            if step + p.delay_ms != t:
                continue
            if isinstance(p.rule, Into):
                current[p.rule.offset + unit] += amount * type(amount)(p.weight)
                found.additions[link] += 1
                continue
            assert isinstance(p.rule, Dense)
            weight = (p.weight * p.rule.weight).astype(current.dtype)
            for k in range(current.size):
                current[k] += amount * weight[k, unit]
                found.additions[link] += 1


def advance(neuron, t, v, current, count, unit, amount) -> int:
    n = np.ones(v.size, v.dtype)
    if isinstance(neuron, BurstIF):
        theta = n * v.dtype.type(neuron.v_th_mv)
        return oracle.fire_integrate(v, current, count, theta, True, neuron.most, None, unit, amount)
    if isinstance(neuron, SignedIF):
        theta = n * v.dtype.type(neuron.v_th_mv)
        return oracle.fire_signed(v, current, count, theta, neuron.levels, neuron.most, unit, amount)
    if isinstance(neuron, FewSpike):
        place = t - neuron.begin + 1 if t < neuron.begin + neuron.window else 0
        return oracle.fire_few(v, current, count, n * v.dtype.type(neuron.alpha_mv), place, unit, amount)
    if isinstance(neuron, TimeToFirstSpike):
        left = neuron.begin + neuron.window - t if t >= neuron.begin else 0
        size = n * v.dtype.type(neuron.resolution_mv)
        return oracle.fire_first(v, current, count, size, left, neuron.continuous, unit, amount)
    if isinstance(neuron, Relay):
        return oracle.pass_on(v, current, None, unit, amount)
    assert isinstance(neuron, Readout)
    v += current
    return 0
