"""What limits are compared with: for each key, (where, values) of all parts of a network that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.hardware.layout import weights_of
from snnsim.integer_neurons import IntegerLIF
from snnsim.layers import Conv, Dense, LayerRule, Window
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection

Found = Iterator[tuple[str, np.ndarray | str]]


@dataclass(frozen=True)
class Subject:
    """A network on a target: the populations there, the projections that lead to them, where they lead from.

    inputs   number of sources outside, by name
    outputs  populations from which no projection leads
    """

    populations: Mapping[str, Population]
    links: Mapping[str, Projection]
    inputs: Mapping[str, int]
    outputs: tuple[str, ...]

    @staticmethod
    def of(network: Network, outside: Collection[str]) -> Subject:
        on = {name: p for name, p in network.populations.items() if name not in outside}
        links = {name: p for name, p in network.projections.items() if p.target in on}
        inputs = {}
        for p in links.values():
            if p.source not in on:
                inputs[p.source] = p.rule.sizes()[0] if isinstance(p.rule, LayerRule) else 0
        sending = {p.source for p in network.projections.values()}
        return Subject(on, links, inputs, tuple(name for name in on if name not in sending))

    def rules(self) -> Iterator[tuple[str, Projection, LayerRule]]:
        """Projections with a rule of layers, and where they are."""
        for name, p in self.links.items():
            if isinstance(p.rule, LayerRule):
                yield f"projections.{name}", p, p.rule


def _one(value: float) -> np.ndarray:
    return np.array([value], np.float64)


def _weights(subject: Subject) -> Found:
    for where, p, _ in subject.rules():
        yield where, weights_of(p)


def _weights_mixed(subject: Subject) -> Found:
    for where, p, _ in subject.rules():
        weight = weights_of(p)
        if weight.min() < 0 < weight.max():
            yield where, weight


def _weight_magnitudes(subject: Subject) -> Found:
    for where, p, _ in subject.rules():
        yield where, np.abs(weights_of(p))


def _parameter(name: str) -> Callable[[Subject], Found]:
    def measure(subject: Subject) -> Found:
        for key, population in subject.populations.items():
            value = getattr(population.unit, name, None)
            if isinstance(value, int | float | np.ndarray):
                yield f"populations.{key}", np.atleast_1d(np.asarray(value, np.float64))

    return measure


def _current_decays(subject: Subject) -> Found:
    """Of neurons that have a current."""
    for key, population in subject.populations.items():
        unit = population.unit
        if isinstance(unit, IntegerLIF) and unit.rule.synapse == "current":
            yield f"populations.{key}", np.atleast_1d(np.asarray(unit.decay_u, np.float64))


def _bias_mantissas(subject: Subject) -> Found:
    """|bias| without up to 7 zeros at its end, which an exponent takes."""
    for where, value in _parameter("bias")(subject):
        mantissa = np.abs(np.asarray(value, np.float64))
        for _ in range(7):
            mantissa = np.where(np.remainder(mantissa, 2) == 0, mantissa / 2, mantissa)
        yield where, mantissa


def _spikes_per_step(subject: Subject) -> Found:
    for key, population in subject.populations.items():
        rule = getattr(population.unit, "rule", None)
        if rule is not None:
            yield f"populations.{key}", _one(rule.most)


def _delays(subject: Subject) -> Found:
    """In steps, between neurons of the target: the host can send input whenever it is due."""
    for where, p, _ in subject.rules():
        if p.source in subject.populations:
            yield where, _one(float(p.delay_ms))  # type: ignore[arg-type]


def _connections(subject: Subject) -> Found:
    for name, p in subject.links.items():
        yield f"projections.{name}", p.rule.KIND


def _units(subject: Subject) -> Found:
    for name, population in subject.populations.items():
        yield f"populations.{name}", population.unit.KIND


def _layers(subject: Subject) -> Found:
    yield "network", _one(len(subject.populations))


def _populations(subject: Subject) -> Found:
    for name, population in subject.populations.items():
        yield f"populations.{name}", _one(population.n)


def _network(subject: Subject) -> Found:
    yield "network", _one(sum(population.n for population in subject.populations.values()))


def _inputs(subject: Subject) -> Found:
    for name, n in subject.inputs.items():
        yield f"inputs.{name}", _one(n)


def _outputs(subject: Subject) -> Found:
    yield "outputs", _one(sum(subject.populations[name].n for name in subject.outputs))


def _hidden(subject: Subject) -> Found:
    yield "hidden", _one(sum(p.n for name, p in subject.populations.items() if name not in subject.outputs))


def _fan_in(subject: Subject) -> Found:
    """Sources of the neuron that has the most, over all projections into a population."""
    most: dict[str, float] = {}
    for _, p, rule in subject.rules():
        most[p.target] = most.get(p.target, 0) + _sources(rule)
    for name, n in most.items():
        yield f"populations.{name}", _one(n)


def _sources(rule: LayerRule) -> int:
    if isinstance(rule, Dense):
        return int(np.count_nonzero(rule.weight, axis=1).max())
    if isinstance(rule, Conv):
        return int(rule.weight[0].size)
    return rule.kernel()[0] * rule.kernel()[1] if isinstance(rule, Window) else 1


def _fan_out(subject: Subject) -> Found:
    for name in subject.populations:
        yield f"populations.{name}", _one(len({p.target for p in subject.links.values() if p.source == name}))


def _of_windows(value: Callable[[Window], np.ndarray]) -> Callable[[Subject], Found]:
    def measure(subject: Subject) -> Found:
        for where, _, rule in subject.rules():
            if isinstance(rule, Window):
                yield where, value(rule)

    return measure


def _strides(subject: Subject) -> Found:
    for where, _, rule in subject.rules():
        if isinstance(rule, Window):
            for stride in {rule.stride_h, rule.stride_w}:
                yield where, str(stride)


MEASURES: Mapping[str, Callable[[Subject], Found]] = {
    "weight": _weights,
    "weight_mixed": _weights_mixed,
    "weight_magnitude": _weight_magnitudes,
    "threshold": _parameter("threshold"),
    "bias": _parameter("bias"),
    "bias_mantissa": _bias_mantissas,
    "decay_u": _current_decays,
    "decay_v": _parameter("decay_v"),
    "refractory": _parameter("refractory"),
    "delay": _delays,
    "spikes_per_step": _spikes_per_step,
    "layers": _layers,
    "population": _populations,
    "network": _network,
    "inputs": _inputs,
    "outputs": _outputs,
    "hidden": _hidden,
    "connection": _connections,
    "unit": _units,
    "fan_in": _fan_in,
    "fan_out": _fan_out,
    "kernel": _of_windows(lambda rule: np.array(rule.kernel(), np.float64)),
    "channels": _of_windows(lambda rule: np.array(rule.channels(), np.float64)),
    "map": _of_windows(lambda rule: np.array((rule.height, rule.width), np.float64)),
    "stride": _strides,
}
