"""Lowering of layered networks: from a description to the arrays of kernels/layer_engine.py.

Populations are numbered in the order in which they advance within a step.  A population that is a feature map
is kept channel last, so that an event adds to contiguous memory; `Order` leads from there to the units as the
user counts them, channel first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.aligned import whole_lines, zeros
from snnsim.connectivity import ConnectionRule
from snnsim.errors import ConfigError
from snnsim.grid import to_steps
from snnsim.integer_cells import lower_integers
from snnsim.kernels import layers as k
from snnsim.kernels.integer import N_CURRENTS, Integers
from snnsim.kernels.layer_layout import Cells, Graph
from snnsim.kernels.layer_windows import N_GEOMETRY
from snnsim.layer_cells import lower_units
from snnsim.layer_neurons import Maximum
from snnsim.layers import LAYER_RULES, Conv, Dense, Into, LayerRule, MaxPool, SumPool, Window
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

_RULES: dict[type[ConnectionRule], int] = {
    Dense: k.DENSE, Conv: k.CONV, SumPool: k.CONV, MaxPool: k.MAX_POOL, Into: k.ONE_TO_ONE,
}  # fmt: skip


@dataclass(frozen=True)
class LayerProgram:
    """A layered network, ready to run.

    names       populations in the order in which they advance, inputs first
    links       projections, ordered by target
    place       int64[n] for each population: where unit k, counted by the user, is kept
    rest        float64[n] for each population of integrate-and-fire neurons: what potentials are counted from
    cells       integrate-and-fire neurons; None without any
    integers    neurons that compute in whole numbers; None without any
    n_slots     steps whose events are kept
    n_channels  currents of a unit, 1 or 2
    """

    network: Network
    names: list[str]
    links: list[str]
    place: dict[str, np.ndarray]
    rest: dict[str, np.ndarray]
    graph: Graph
    cells: Cells | None
    integers: Integers | None = None

    @property
    def n_slots(self) -> int:
        return int(self.graph.delay.max(initial=0)) + 1

    @property
    def n_channels(self) -> int:
        cells = 1 if self.cells is None else int(self.cells.channels.max())
        integers = 1 if self.integers is None else int(self.integers.rule[:, N_CURRENTS].max())
        return max(cells, integers)

    @property
    def n_cells(self) -> int:
        return 0 if self.cells is None else self.cells.start_theta.size

    @property
    def n_integers(self) -> int:
        return 0 if self.integers is None else self.integers.start.shape[1]

    def units(self, name: str) -> slice:
        """Where the units of a population lie in the state."""
        p = self.names.index(name)
        return slice(int(self.graph.first[p]), int(self.graph.first[p + 1]))


def lower_layers(network: Network, dt_ms: float, seed: int = 0) -> LayerProgram:
    """Raises ConfigError for what is not a layered network."""
    inputs = _inputs(network)
    for name, p in network.projections.items():
        _check_projection(network, p, f"projections.{name}")
    delays = {
        name: to_steps(float(p.delay_ms), dt_ms, f"projections.{name}.delay_ms")  # type: ignore[arg-type]
        for name, p in network.projections.items()
    }
    _check_maxima(network, delays)
    names = [*inputs, *_advancing(network, delays)]
    sizes = {name: inputs[name].n if name in inputs else network.populations[name].n for name in names}
    dtype = np.dtype(network.precision)
    maps = map_shapes(network)
    place = {name: _place(maps.get(name), sizes[name]) for name in names}
    links = [link for name in names for link, p in network.projections.items() if p.target == name]
    first = np.concatenate([[0], np.cumsum([sizes[name] for name in names])]).astype(np.int64)
    units, cells, rest = lower_units(network, names, place, first, dtype, dt_ms, seed)
    wires = _wires(network, names, links, delays, place, dtype)
    graph = Graph(**units, **wires, first=first)
    return LayerProgram(
        network, names, links, place, rest, graph, cells, lower_integers(network, names, place)
    )


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


def map_shapes(network: Network) -> dict[str, tuple[int, int, int]]:
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


def _check_projection(network: Network, p: Projection, where: str) -> None:
    if not isinstance(p.rule, LayerRule):
        raise ConfigError(
            "not a rule of layers",
            where=f"{where}.rule",
            got=p.rule.KIND,
            expected=", ".join(rule.KIND for rule in LAYER_RULES),
            fix="give the weights as a dense matrix, or run the network without batch",
        )
    if p.plastic:
        raise ConfigError("weights that samples share do not learn", where=where, fix="run without batch")
    for name, value in (("weight", p.weight), ("delay_ms", p.delay_ms)):
        if not isinstance(value, float):
            raise ConfigError("a rule of layers needs a number", where=f"{where}.{name}", got=value)
    synapse = network.populations[p.target].unit.synapse
    if synapse.n_currents == 2 and p.receptor is None and _signs(p) == {-1, 1}:
        raise ConfigError(
            "weights of both signs: which current is meant?",
            where=f"{where}.receptor",
            expected='"exc" or "inh"',
            fix="leave out tau_inh_ms of the target, and one current takes both signs; or split the matrix",
        )
    if synapse.KIND == "conductance" and -1 in _signs(p):
        raise ConfigError("a conductance must stay >= 0", where=f"{where}.rule.weight", expected=">= 0")


def _signs(p: Projection) -> set[int]:
    """The signs that weights of a projection have, 0 left out."""
    weight = p.rule.weight if isinstance(p.rule, Dense | Conv) else np.ones(1)
    found = np.unique(np.sign(float(p.weight) * weight))  # type: ignore[arg-type]
    return {int(sign) for sign in found if sign}


def _channel(network: Network, p: Projection) -> int:
    if network.populations[p.target].unit.synapse.n_currents == 1:
        return 0
    receptor = p.receptor or ("inh" if _signs(p) == {-1} else "exc")
    return int(receptor == "inh")


def _check_maxima(network: Network, delays: dict[str, int]) -> None:
    for name, population in network.populations.items():
        into = [link for link, p in network.projections.items() if p.target == name]
        pools = [link for link in into if isinstance(network.projections[link].rule, MaxPool)]
        if isinstance(population.unit, Maximum) != bool(pools) or (pools and len(into) != 1):
            raise ConfigError(
                "a population of maximum units is the target of one max_pool projection",
                where=f"populations.{name}",
                got=", ".join(into) or "no projection",
            )
        if pools and delays[pools[0]] != 0:
            raise ConfigError(
                "max pooling acts in the same step", where=f"projections.{pools[0]}.delay_ms", expected="0"
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
        line = np.zeros(whole_lines(weight.size, dtype), dtype)  # the next one begins with a cache line
        line[: weight.size] = weight.ravel()
        weights.append(line)
        indices.append(index)
        if isinstance(p.rule, Window):
            shape[j] = _geometry(p.rule)
    targets = [names.index(network.projections[link].target) for link in links]
    return {
        "incoming": np.searchsorted(targets, np.arange(len(names) + 1)).astype(np.int64),
        "source": np.array([names.index(network.projections[link].source) for link in links], np.int64),
        "rule": np.array([_rule(network.projections[link].rule) for link in links], np.int64),
        "delay": np.array([delays[link] for link in links], np.int64),
        "channel": np.array([_channel(network, network.projections[link]) for link in links], np.int64),
        "weight_base": base,
        "weight": _aligned(np.concatenate([np.zeros(0, dtype), *weights]), 0),
        "index_base": index_base,
        "target_of": np.concatenate([np.zeros(0, np.int32), *indices]).astype(np.int32),
        "shape": shape,
    }


def _aligned(values: np.ndarray, place: int) -> np.ndarray:
    found = zeros(values.shape, values.dtype, place)
    found[:] = values
    return found


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
    if isinstance(rule, SumPool) and _rule(rule) == k.ONE_TO_ONE:
        return np.array([scale]), _pooled(rule)
    if isinstance(rule, SumPool):
        return np.full((rule.n_channels, rule.kernel_h, rule.kernel_w, 1), scale), none
    if isinstance(rule, Into):
        index = np.empty(rule.n_source, np.int64)
        index[place[p.source]] = place[p.target][rule.offset : rule.offset + rule.n_source]
        return np.array([scale]), index
    return np.zeros(0), none


def _rule(rule: ConnectionRule) -> int:
    """The form of a rule in kernels/layers.py: pools whose windows are apart lead to one target each."""
    if isinstance(rule, SumPool):
        (kernel_h, kernel_w), dilated = rule.kernel(), max(rule.dilation_h, rule.dilation_w) > 1
        if rule.stride_h >= kernel_h and rule.stride_w >= kernel_w and not dilated:
            return k.ONE_TO_ONE
    return _RULES[type(rule)]


def _pooled(rule: SumPool) -> np.ndarray:
    """int64[n_source]: the target of each source, as they are kept; -1 where no window reaches."""
    (kernel_h, kernel_w), (out_h, out_w), c = rule.kernel(), rule.target_map(), rule.n_channels
    row, y = np.divmod(np.arange(rule.height) + rule.pad_top, rule.stride_h)
    column, x = np.divmod(np.arange(rule.width) + rule.pad_left, rule.stride_w)
    inside = ((row < out_h) & (y < kernel_h))[:, None] & ((column < out_w) & (x < kernel_w))
    pixel = np.where(inside, row[:, None] * out_w + column, -1)[..., None]
    return np.where(pixel < 0, -1, pixel * c + np.arange(c)).ravel()


def _geometry(rule: Window) -> np.ndarray:
    (c_in, c_out), (out_h, out_w), (kernel_h, kernel_w) = rule.channels(), rule.target_map(), rule.kernel()
    groups = rule.groups if isinstance(rule, Conv) else c_in
    return np.array([
        rule.height, rule.width, c_in, out_h, out_w, c_out, kernel_h, kernel_w, rule.stride_h, rule.stride_w,
        rule.pad_top, rule.pad_left, rule.dilation_h, rule.dilation_w, groups,
    ])  # fmt: skip
