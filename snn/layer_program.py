"""Lowering of layered networks: from a description to the arrays of kernels/layer_engine.py.

Populations are numbered in the order in which they advance within a step.  A population that is a feature map
is kept channel last, so that an event adds to contiguous memory; `Order` leads from there to the units as the
user counts them, channel first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from snnsim.errors import ConfigError
from snnsim.grid import to_steps
from snnsim.kernels import layer_engine as engine
from snnsim.kernels import layers as k
from snnsim.kernels.layer_windows import N_GEOMETRY
from snnsim.layer_neurons import BurstIF, Maximum, Readout, Relay, SignedIF
from snnsim.layers import Conv, Dense, Into, MaxPool, SumPool, Window
from snnsim.models import IF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue
from snnsim.streams import realise

_FOREVER = 2**62
_RULES: dict[type, int] = {
    Dense: k.DENSE, Conv: k.CONV, SumPool: k.CONV, MaxPool: k.MAX_POOL, Into: k.ONE_TO_ONE,
}  # fmt: skip


@dataclass(frozen=True)
class LayerProgram:
    """A layered network, ready to run.

    names   populations in the order in which they advance, inputs first
    links   projections, ordered by target
    place   int64[n] for each population: where unit k, counted by the user, is kept
    """

    network: Network
    names: list[str]
    links: list[str]
    place: dict[str, np.ndarray]
    graph: engine.Graph
    n_slots: int

    def units(self, name: str) -> slice:
        """Where the units of a population lie in the state."""
        p = self.names.index(name)
        return slice(int(self.graph.first[p]), int(self.graph.first[p + 1]))


def lower_layers(network: Network, dt_ms: float) -> LayerProgram:
    """Raises ConfigError for what is not a layered network."""
    inputs = _inputs(network)
    delays = {
        name: to_steps(float(p.delay_ms), dt_ms, f"projections.{name}.delay_ms")  # type: ignore[arg-type]
        for name, p in network.projections.items()
    }
    names = [*inputs, *_advancing(network, delays)]
    sizes = {name: inputs[name].n if name in inputs else network.populations[name].n for name in names}
    dtype = np.dtype(network.precision)
    maps = _maps(network)
    place = {name: _place(maps.get(name), sizes[name]) for name in names}
    links = [link for name in names for link, p in network.projections.items() if p.target == name]
    first = np.concatenate([[0], np.cumsum([sizes[name] for name in names])]).astype(np.int64)
    cells = _cells(network, names, sizes, place, first, dtype, dt_ms)
    wires = _wires(network, names, links, delays, place, dtype)
    graph = engine.Graph(**cells, **wires, first=first)
    return LayerProgram(network, names, links, place, graph, max([0, *delays.values()]) + 1)


def _inputs(network: Network) -> dict[str, Analogue]:
    found = {}
    for name, stimulus in network.stimuli.items():
        if not isinstance(stimulus, Analogue):
            raise ConfigError(
                "layered networks take analogue input",
                where=f"stimuli.{name}",
                got=stimulus.KIND,
                expected=Analogue.KIND,
            )
        found[name] = stimulus
    return found


def _advancing(network: Network, delays: dict[str, int]) -> list[str]:
    """Populations such that every projection without delay leads forward."""
    waiting = dict.fromkeys(network.populations)
    found: list[str] = []
    while waiting:
        ready = [
            name
            for name in waiting
            if not any(
                p.target == name and delays[link] == 0 and p.source in waiting
                for link, p in network.projections.items()
            )
        ]
        if not ready:
            raise ConfigError(
                "projections with zero delay form a cycle",
                where="projections",
                got=" -> ".join(waiting),
                expected="a delay of at least dt_ms somewhere on it",
            )
        for name in ready:
            found.append(name)
            del waiting[name]
    return found


def _maps(network: Network) -> dict[str, tuple[int, int, int]]:
    """(channels, rows, columns) of the populations that are feature maps."""
    found: dict[str, tuple[int, int, int]] = {}
    for link, p in network.projections.items():
        rule = p.rule
        if not isinstance(rule, Window):
            continue
        (c_in, c_out), (out_h, out_w) = rule.channels(), rule.target_map()
        for name, shape in ((p.source, (c_in, rule.height, rule.width)), (p.target, (c_out, out_h, out_w))):
            if found.setdefault(name, shape) != shape:
                raise ConfigError(
                    "the population is a map of another shape elsewhere",
                    where=f"projections.{link}.rule",
                    got=f"{name} as {shape}",
                    expected=f"{found[name]}",
                    fix="put a relay between",
                )
    return found


def _place(shape: tuple[int, int, int] | None, n: int) -> np.ndarray:
    if shape is None:
        return np.arange(n)
    c, h, w = shape
    return np.arange(h * w * c).reshape(h, w, c).transpose(2, 0, 1).ravel()


def _cells(
    network: Network, names: list[str], sizes: dict[str, int], place: dict[str, np.ndarray],
    first: np.ndarray, dtype: np.dtype, dt_ms: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    n_p, n = len(names), int(first[-1])
    unit = {key: np.zeros(n) for key in ("threshold", "start", "bias")}
    kind, subtract = np.zeros(n_p, np.int64), np.ones(n_p, np.int64)
    most, levels = np.ones(n_p, np.int64), np.zeros(n_p, np.int64)
    bias_steps = np.zeros(n_p, np.int64)
    for p, name in enumerate(names):
        if name not in network.populations:
            kind[p] = engine.INPUT
            continue
        population, where = network.populations[name], f"populations.{name}.neuron"
        at = first[p] + place[name]
        found = _unit(population, where, dt_ms)
        kind[p], subtract[p], most[p] = found.kind, found.subtract, found.most
        levels[p], bias_steps[p] = found.levels, found.bias_steps
        for key, value in found.values.items():
            unit[key][at] = value
        if isinstance(population.unit, Maximum):
            _check_maximum(network, name)
    return {
        "kind": kind,
        **{key: value.astype(dtype) for key, value in unit.items()},
        "bias_steps": bias_steps,
        "subtract": subtract,
        "most": most,
        "levels": levels,
    }


class _Unit(NamedTuple):
    """What the kernel needs to know of a population; values float64[n]: threshold, start, bias."""

    kind: int
    values: dict[str, np.ndarray]
    subtract: bool = True
    most: int = 1
    levels: int = 0
    bias_steps: int = 0


def _unit(population: Population, where: str, dt_ms: float) -> _Unit:
    neuron, n = population.unit, population.n

    def get(**names: str) -> dict[str, np.ndarray]:
        return {key: realise(getattr(neuron, name), n, 0, f"{where}.{name}") for key, name in names.items()}

    match neuron:
        case Relay():
            return _Unit(engine.RELAY, {})
        case Maximum():
            return _Unit(engine.MAXIMUM, {})
        case Readout():
            values = get(start="v_init_mv", bias="bias_mv")
            return _Unit(engine.READOUT, values, bias_steps=_bias_steps(neuron))
        case BurstIF() | SignedIF():
            signed = isinstance(neuron, SignedIF)
            return _Unit(
                engine.SIGNED if signed else engine.INTEGRATE,
                get(threshold="v_th_mv", start="v_init_mv", bias="bias_mv"),
                most=neuron.most,
                levels=neuron.levels if isinstance(neuron, SignedIF) else 0,
                bias_steps=_bias_steps(neuron),
            )
        case IF():
            values = _plain(neuron, n, where, dt_ms)
            return _Unit(engine.INTEGRATE, values, neuron.reset == "subtract", bias_steps=_FOREVER)
    raise ConfigError(
        "not a unit of layered networks",
        where=where,
        got=neuron.KIND,
        expected="if, burst_if, signed_if, relay, maximum or readout",
    )


def _bias_steps(neuron: BurstIF | SignedIF | Readout) -> int:
    return _FOREVER if neuron.bias_steps is None else neuron.bias_steps


def _plain(neuron: IF, n: int, where: str, dt_ms: float) -> dict[str, np.ndarray]:
    """An ordinary IF neuron, counted from its reset potential where that is subtracted."""
    if neuron.threshold is not None or neuron.synapse.KIND != "delta" or np.any(np.asarray(neuron.t_ref_ms)):
        raise ConfigError(
            "layered networks take IF neurons with delta synapses, fixed threshold, no refractory period",
            where=where,
        )

    def get(name: str) -> np.ndarray:
        return realise(getattr(neuron, name), n, 0, f"{where}.{name}")

    reset = np.zeros(n) if neuron.v_reset_mv is None else get("v_reset_mv")
    start = reset if neuron.v_init_mv is None else get("v_init_mv")
    return {
        "threshold": get("v_th_mv") - reset,
        "start": start - reset,
        "bias": get("i_bias_pa") * dt_ms / get("c_m_pf"),
    }


def _check_maximum(network: Network, name: str) -> None:
    incoming = [link for link, p in network.projections.items() if p.target == name]
    if len(incoming) != 1 or not isinstance(network.projections[incoming[0]].rule, MaxPool):
        raise ConfigError(
            "a population of maximum units is the target of one max_pool projection",
            where=f"populations.{name}",
            got=", ".join(incoming) or "no projection",
        )


def _wires(
    network: Network, names: list[str], links: list[str], delays: dict[str, int],
    place: dict[str, np.ndarray], dtype: np.dtype,
) -> dict[str, np.ndarray]:  # fmt: skip
    n_l = len(links)
    weights: list[np.ndarray] = []
    indices: list[np.ndarray] = []
    base, index_base = np.zeros(n_l, np.int64), np.zeros(n_l, np.int64)
    shape = np.zeros((n_l, N_GEOMETRY), np.int64)
    for j, link in enumerate(links):
        p = network.projections[link]
        base[j], index_base[j] = sum(w.size for w in weights), sum(i.size for i in indices)
        weight, index = _weights(p, place)
        weights.append(weight.ravel().astype(dtype))
        indices.append(index)
        if isinstance(p.rule, Window):
            shape[j] = _geometry(p.rule)
    targets = [names.index(network.projections[link].target) for link in links]
    return {
        "incoming": np.searchsorted(targets, np.arange(len(names) + 1)).astype(np.int64),
        "source": np.array([names.index(network.projections[link].source) for link in links], np.int64),
        "rule": np.array([_RULES[type(network.projections[link].rule)] for link in links], np.int64),
        "delay": np.array([delays[link] for link in links], np.int64),
        "weight_base": base,
        "weight": np.concatenate([np.zeros(0, dtype), *weights]),
        "index_base": index_base,
        "target_of": np.concatenate([np.zeros(0, np.int32), *indices]).astype(np.int32),
        "shape": shape,
    }


def _weights(p: Projection, place: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The weights as the kernels read them, and the targets of a one-to-one rule."""
    scale, rule, none = float(p.weight), p.rule, np.zeros(0, np.int64)  # type: ignore[arg-type]
    if isinstance(rule, Dense):
        kept = np.empty(rule.weight.T.shape)
        kept[np.ix_(place[p.source], place[p.target])] = scale * rule.weight.T
        return kept, none
    if isinstance(rule, Conv):
        c_out, in_a_group, kernel_h, kernel_w = rule.weight.shape
        grouped = rule.weight.reshape(rule.groups, c_out // rule.groups, in_a_group, kernel_h, kernel_w)
        from_right = grouped[..., ::-1]  # as an event meets the windows that it lies in
        return scale * from_right.transpose(0, 2, 3, 4, 1), none
    if isinstance(rule, SumPool):
        return np.full((rule.n_channels, rule.kernel_h, rule.kernel_w, 1), scale), none
    if isinstance(rule, Into):
        index = np.empty(rule.n_source, np.int64)
        index[place[p.source]] = place[p.target][rule.offset : rule.offset + rule.n_source]
        return np.array([scale]), index
    return np.zeros(0), none


def _geometry(rule: Window) -> np.ndarray:
    (c_in, c_out), (out_h, out_w), (kernel_h, kernel_w) = rule.channels(), rule.target_map(), rule.kernel()
    groups = rule.groups if isinstance(rule, Conv) else c_in
    return np.array([
        rule.height, rule.width, c_in, out_h, out_w, c_out, kernel_h, kernel_w, rule.stride_h, rule.stride_w,
        rule.pad_top, rule.pad_left, rule.dilation_h, rule.dilation_w, groups,
    ])  # fmt: skip
