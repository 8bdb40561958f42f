"""From projections to chains of NIR nodes without memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnsim.connectivity import AllToAll, Arrays, ConnectionRule, OneToOne
from snnsim.converters.nir_graph import Faults
from snnsim.converters.sparse_map import SparseMap
from snnsim.distributions import Distribution
from snnsim.layers import Conv, Dense, Into, MaxPool, SumPool, Window
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.stimuli import Poisson, Stimulus

MAX_MATRIX = 2**27
_DIGITS = 14


def tidy(values: np.ndarray) -> np.ndarray:
    """Rounded to 14 digits: what reading and writing again multiplies and divides then comes out the same."""
    values = np.asarray(values, dtype=np.float64)
    size = np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values))))
    factor = 10.0 ** (_DIGITS - 1 - size)
    found: np.ndarray = np.rint(values * factor) / factor
    return found


@dataclass
class Ends:
    """A source or target of chains.

    output   name of the node that emits its spikes
    weight   float64[n]  what a weight of ours becomes in NIR
    bias     float64[n]  what is left to be put into a connection
    """

    output: str
    shape: tuple[int, ...]
    weight: np.ndarray = field(default_factory=lambda: np.ones(1))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(1))
    silent: bool = False

    def take_bias(self, kind: str, values: dict[str, Any]) -> np.ndarray | None:
        """The bias for a node that can carry it: of a convolution only if it is the same in each channel."""
        if not np.any(self.bias):
            return None
        bias = self.bias
        if kind == "Conv2d":
            by_channel = self.bias.reshape(values["weight"].shape[0], -1)
            if np.any(by_channel != by_channel[:, :1]):
                return None
            bias = by_channel[:, 0]
        self.bias = np.zeros(1)
        return np.array(bias)


@dataclass(frozen=True)
class Chain:
    """Nodes (type, fields) from a source to a target; none is a plain edge."""

    source: str
    target: str
    steps: list[tuple[str, dict[str, Any]]]


def is_constant(stimulus: Stimulus, dt_ms: float) -> bool:
    """Does it fire in every step?"""
    return (
        isinstance(stimulus, Poisson) and stimulus.n == 1 and isinstance(stimulus.rate_hz, float)
        and stimulus.rate_hz * dt_ms >= 1e3 and stimulus.start_ms == 0 and stimulus.stop_ms is None
    )  # fmt: skip


def map_shapes(network: Network, faults: Faults) -> dict[str, tuple[int, ...]]:
    """(channels, rows, columns) of the populations and inputs that are feature maps."""
    found: dict[str, tuple[int, ...]] = {}
    for name, p in network.projections.items():
        if isinstance(p.rule, Window):
            (c_in, c_out), target = p.rule.channels(), p.rule.target_map()
            source = (c_in, p.rule.height, p.rule.width)
            for end, shape in ((p.source, source), (p.target, (c_out, *target))):
                if found.setdefault(end, shape) != shape:
                    faults.add(f"projections.{name}.rule", f"{end} is a map of another shape elsewhere")
    for name, p in network.projections.items():
        if p.target in found and not isinstance(p.rule, Window) and not _is_direct(p.rule):
            faults.add(f"projections.{name}.rule", f"{p.rule.KIND} into a map: NIR has no reshaping")
    return found


def check_projections(network: Network, faults: Faults) -> None:
    """What NIR cannot say about each projection by itself."""
    for name, p in network.projections.items():
        _check(p, f"projections.{name}", faults)


def chains(network: Network, ends: dict[str, Ends], dt_ms: float, faults: Faults) -> list[Chain]:
    """A chain for each window, and one for each pair of populations and delay of what is a matrix.

    They have passed `check_projections`.  The weights from sources that fire in every step are added to the
    biases of `ends`.
    """
    found: list[Chain] = []
    maps: dict[tuple[str, str], SparseMap] = {}
    for name, p in network.projections.items():
        if p.source not in ends:
            _add_bias(p, f"projections.{name}", ends[p.target], network.populations[p.target].n, faults)
        elif isinstance(p.rule, Window):
            steps = _window(p, ends[p.target], f"projections.{name}", faults)
            found.append(Chain(p.source, p.target, _delayed(p, dt_ms, ends[p.source].shape) + steps))
        elif _is_direct(p.rule) and ends[p.source].shape == ends[p.target].shape:
            factor = tidy(float(p.weight) * _each(ends[p.target]))  # type: ignore[arg-type]
            scale = [] if np.all(factor == 1) else [_scale(factor, ends[p.target])]
            found.append(Chain(p.source, p.target, _delayed(p, dt_ms, ends[p.source].shape) + scale))
        else:
            made = _entries(p, network, f"projections.{name}", faults)
            if made is not None:
                pair = (p.source, p.target)
                maps[pair] = maps[pair].plus(made) if pair in maps else made
    for (source, target), made in maps.items():
        found += _matrices(source, target, made.scaled(_each(ends[target])), ends, dt_ms, faults)
    return found


def _each(end: Ends) -> np.ndarray:
    return np.broadcast_to(end.weight, int(np.prod(end.shape)))


def _is_direct(rule: ConnectionRule) -> bool:
    return isinstance(rule, Into) and rule.n_source == rule.n_target


def _check(p: Projection, where: str, faults: Faults) -> None:
    if p.plasticity is not None:
        faults.add(f"{where}.plasticity", "plasticity")
    if p.normalisation is not None:
        faults.add(f"{where}.normalisation", "normalisation of weights")
    for key, value in (("weight", p.weight), ("delay_ms", p.delay_ms)):
        if isinstance(value, Distribution):
            faults.add(f"{where}.{key}", "drawn values; give numbers")
    if not isinstance(p.rule, AllToAll | OneToOne | Arrays | Dense | Conv | SumPool | Into):
        drawn = f"connections are drawn ({p.rule.KIND}); give arrays"
        faults.add(f"{where}.rule", "max pooling" if isinstance(p.rule, MaxPool) else drawn)


def _add_bias(p: Projection, where: str, end: Ends, n: int, faults: Faults) -> None:
    if np.any(np.asarray(p.delay_ms)) or not isinstance(p.rule, AllToAll | Arrays):
        faults.add(where, "a source that fires in every step needs rule all_to_all or arrays, and no delay")
        return
    target = np.arange(n) if isinstance(p.rule, AllToAll) else p.rule.target
    weight = np.broadcast_to(np.asarray(p.weight, dtype=np.float64), target.shape)
    end.bias = tidy(np.broadcast_to(end.bias, n) + np.bincount(target, weight, n) * end.weight)


def _entries(p: Projection, network: Network, where: str, faults: Faults) -> SparseMap | None:
    """The connections one by one, with delays in ms."""
    population = network.populations.get(p.source)
    n_source = population.n if population is not None else getattr(network.stimuli[p.source], "n", 0)
    n_target, rule = network.populations[p.target].n, p.rule
    if n_source * n_target > MAX_MATRIX:
        faults.add(where, f"a matrix of {n_source * n_target} weights; at most {MAX_MATRIX}")
        return None
    match rule:
        case Arrays():
            source, target = rule.source, rule.target
            weight = np.broadcast_to(np.asarray(p.weight, dtype=np.float64), source.shape)
        case Dense():
            target, source = np.indices((n_target, n_source)).reshape(2, -1)
            weight = float(p.weight) * rule.weight.ravel()  # type: ignore[arg-type]
        case AllToAll():
            target, source = np.indices((n_target, n_source)).reshape(2, -1)
            if p.source == p.target and not rule.autapses:
                kept = target != source
                target, source = target[kept], source[kept]
            weight = np.full(target.size, float(p.weight))  # type: ignore[arg-type]
        case _:
            source = np.arange(n_source)
            target = source + (rule.offset if isinstance(rule, Into) else 0)
            weight = np.full(n_source, float(p.weight))  # type: ignore[arg-type]
    delay = np.array(np.broadcast_to(np.asarray(p.delay_ms, dtype=np.float64), weight.shape))
    return SparseMap.of(target, source, weight, n_target, delay)


def _matrices(
    source: str, target: str, made: SparseMap, ends: dict[str, Ends], dt_ms: float, faults: Faults
) -> list[Chain]:
    shape, n_source = ends[source].shape, int(np.prod(ends[source].shape))
    flat = [("Flatten", _flatten(shape))] if len(shape) > 1 else []
    delays = np.unique(made.delay)
    if delays.size * n_source * made.n_target > MAX_MATRIX:
        faults.add(f"{source} -> {target}", f"{delays.size} different delays: a matrix for each is too much")
        return []
    found = []
    for delay_ms in delays:
        mine = made.delay == delay_ms
        weight = np.zeros((made.n_target, n_source))
        weight[made.target[mine], made.source[mine]] = tidy(made.weight[mine])
        # A population that feeds itself does so one step later in every simulator: that needs no Delay.
        own = source == target and abs(delay_ms - dt_ms) < 1e-6 * dt_ms
        later = [] if own or delay_ms == 0 else [_delay(delay_ms, shape)]
        found.append(Chain(source, target, [*later, *flat, ("Linear", {"weight": weight})]))
    return found


def _delayed(p: Projection, dt_ms: float, shape: tuple[int, ...]) -> list[tuple[str, dict[str, Any]]]:
    delay_ms = float(p.delay_ms)  # type: ignore[arg-type]
    own = p.source == p.target and abs(delay_ms - dt_ms) < 1e-6 * dt_ms
    return [] if own or delay_ms == 0 else [_delay(delay_ms, shape)]


def _delay(delay_ms: float, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    return "Delay", {"delay": np.full(shape, tidy(np.array(delay_ms / 1e3)))}


def _scale(factor: np.ndarray, end: Ends) -> tuple[str, dict[str, Any]]:
    return "Scale", {"scale": tidy(factor).reshape(end.shape)}


def _flatten(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"input_type": {"input": np.array(shape)}, "start_dim": 0, "end_dim": -1}


def _window(p: Projection, end: Ends, where: str, faults: Faults) -> list[tuple[str, dict[str, Any]]]:
    rule = p.rule
    if not isinstance(rule, Conv | SumPool):
        return []
    if rule.pad_top != rule.pad_bottom or rule.pad_left != rule.pad_right:
        faults.add(f"{where}.rule", "padding that differs between two sides")
    factor = float(p.weight) * _each(end)  # type: ignore[arg-type]
    same = bool(np.all(factor == factor[0]))
    stride, padding = (rule.stride_h, rule.stride_w), (rule.pad_top, rule.pad_left)
    after = [] if same else [_scale(factor, end)]
    if isinstance(rule, Conv):
        weight = ungrouped(rule) * (factor[0] if same else 1.0)
        values = {
            "input_shape": (rule.height, rule.width), "weight": tidy(weight), "stride": stride,
            "padding": padding, "dilation": (rule.dilation_h, rule.dilation_w), "groups": 1,
            "bias": np.zeros(weight.shape[0]),
        }  # fmt: skip
        return [("Conv2d", values), *after]
    ragged = rule.replace(ceil_mode=False).target_map() != rule.target_map()
    if (rule.dilation_h, rule.dilation_w) != (1, 1) or ragged:
        faults.add(f"{where}.rule", "pooling with dilation, or over the end of the map")
    kernel = rule.kernel()
    values = {"kernel_size": np.array(kernel), "stride": np.array(stride), "padding": np.array(padding)}
    if same and factor[0] == 1.0 / np.prod(kernel):
        return [("AvgPool2d", values)]
    if same and factor[0] != 1:
        after = [_scale(factor, end)]
    return [("SumPool2d", values), *after]


def ungrouped(rule: Conv) -> np.ndarray:
    """The kernel of a convolution in one group: nir and most importers take groups for channels."""
    c_out, in_group, kernel_h, kernel_w = rule.weight.shape
    if rule.groups == 1:
        return np.array(rule.weight)
    weight = np.zeros((c_out, in_group * rule.groups, kernel_h, kernel_w))
    for c in range(c_out):
        first = c // (c_out // rule.groups) * in_group
        weight[c, first : first + in_group] = rule.weight[c]
    return weight
