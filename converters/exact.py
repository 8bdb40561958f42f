"""Exact conversion: every neuron's spike count equals the integer activation of the quantised network.

An activation is quantised to whole multiples n of a threshold (Bu et al. 2022, "QCFS"):

    n = clip(floor(z / theta + 1/2), 0, levels),    a = theta n

Signed integrate-and-fire neurons with memory that start from theta / 2 come to just these counts, for any
order in which their input arrives (converters.md, section 2.1).  Sums of floats depend on their order; so all
weights onto a population are rounded to one grid, a power of two so fine that every sum is exact in float64:
the last of 48 bits of the largest sum that can occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnsim.checks import check
from snnsim.converters import graph as g
from snnsim.converters.build import INPUT, build
from snnsim.converters.calibrate import Activations, activations, by_channels, least_squares
from snnsim.converters.dense import arriving, emitted
from snnsim.converters.fold import fold_batchnorm
from snnsim.converters.products import parts
from snnsim.errors import ConfigError, ConversionError
from snnsim.fields import Rule
from snnsim.layer_neurons import Maximum, Readout, Relay, SignedIF
from snnsim.layers import Conv, Dense, SumPool
from snnsim.network import Network
from snnsim.projection import Projection

_BITS = 48  # of the largest sum; 53 hold it, and what is left holds quotients by the threshold
_SAMPLES = 8192  # values of a channel that are looked at for its mean
_BITS_OF_INPUT = Rule("integer", low=1, high=24)
_SHIFTS = 21  # of a bias, from minus to plus half a threshold


@dataclass(frozen=True)
class Quantisation:
    """What a model says about its quantised numbers.

    thresholds  of its activations in the order of the graph, float or float64[channels]; without: those that
                are nearest to the activations
    input_bits  of the range of its inputs, with the sign; 1: inputs are 0 or the largest one, and events
    """

    thresholds: tuple[float | np.ndarray, ...] | None = None
    input_bits: int = 16

    def of(self, graph: g.Graph) -> dict[str, np.ndarray] | None:
        """float64[channels] by activation; ConfigError for thresholds that are not those of the graph."""
        if self.thresholds is None:
            return None
        nodes = [node for node in graph.nodes if isinstance(node, g.ReLU)]
        if len(self.thresholds) != len(nodes):
            raise ConfigError(
                "not one threshold for each activation",
                where="quantisation.thresholds",
                got=len(self.thresholds),
                expected=f"{len(nodes)}: {', '.join(node.path for node in nodes)}",
            )
        found = {}
        for node, given in zip(nodes, self.thresholds, strict=True):
            value = np.asarray(given, dtype=np.float64)
            if value.shape not in ((), (node.shape[0],)) or not (np.isfinite(value) & (value > 0)).all():
                raise ConfigError(
                    "not a threshold",
                    where=f"quantisation.thresholds, {node.path}",
                    got=given if value.ndim == 0 else f"{value.dtype}{list(value.shape)}",
                    expected=f"a number above 0, or one for each of the {node.shape[0]} channels",
                )
            found[node.name] = np.broadcast_to(value, node.shape[:1])
        return found


@dataclass(frozen=True)
class ExactCoding:
    """Signed neurons with `levels` levels; thresholds theta float64[channels] by activation."""

    thresholds: dict[str, np.ndarray]
    levels: int
    input_scale: float
    bias_steps: int | None = 1

    def scale(self, node: g.ReLU) -> np.ndarray:
        return self.thresholds[node.name]

    def neuron(self, node: g.ReLU, bias: np.ndarray) -> SignedIF:
        theta = np.repeat(self.thresholds[node.name], bias.size // self.thresholds[node.name].size)
        return SignedIF(
            v_th_mv=theta,
            v_init_mv=theta / 2,
            levels=self.levels,
            most=self.levels,
            bias_mv=bias,
            bias_steps=1,
        )


def on_grid(network: Network, input_most: float) -> Network:
    """The network with weights, biases and thresholds rounded so that every sum is exact in float64.

    input_most  largest amount of an input, in units of input amounts
    """
    most = {name: input_most for name in network.stimuli}
    populations, projections = dict(network.populations), dict(network.projections)
    for name in network.populations:  # each after those that lead to it, as they were built
        incoming = {link: p for link, p in network.projections.items() if p.target == name}
        neuron = network.populations[name].unit
        if isinstance(neuron, Maximum):
            most[name] = 2 * max(most[p.source] for p in incoming.values())
            continue
        bound = sum(most[p.source] * largest_sum(p) for p in incoming.values())
        if isinstance(neuron, Relay):
            most[name] = bound
            continue
        if not isinstance(neuron, SignedIF | Readout):
            raise ConversionError("no exact form", where=f"populations.{name}", got=neuron.KIND)
        bound += _largest(neuron.bias_mv) + _largest(neuron.v_init_mv)
        grid = 2.0 ** (np.ceil(np.log2(max(bound, 1e-300))) - _BITS)
        for link, p in incoming.items():
            projections[link] = _rounded(p, grid)
        changes = {"bias_mv": _near(neuron.bias_mv, grid)}
        if isinstance(neuron, SignedIF):
            theta = _near(neuron.v_th_mv, 2 * grid)
            changes |= {"v_th_mv": theta, "v_init_mv": theta / 2}
            most[name] = float(neuron.levels)
        populations[name] = network.populations[name].replace(neuron=neuron.replace(**changes))
    return network.replace(populations=populations, projections=projections)


def largest_sum(p: Projection) -> float:
    """The largest sum of absolute weights onto one target."""
    scale = abs(float(p.weight))  # type: ignore[arg-type]
    if isinstance(p.rule, Dense):
        return scale * float(np.abs(p.rule.weight).sum(axis=1).max())
    if isinstance(p.rule, Conv):
        return scale * float(np.abs(p.rule.weight).sum(axis=(1, 2, 3)).max())
    if isinstance(p.rule, SumPool):
        return scale * p.rule.kernel_h * p.rule.kernel_w
    return scale


def _largest(value: object) -> float:
    return float(np.abs(np.asarray(value, dtype=np.float64)).max())


def _near(value: object, grid: float) -> np.ndarray:
    return np.rint(np.asarray(value, dtype=np.float64) / grid) * grid


def _rounded(p: Projection, grid: float) -> Projection:
    """Weights of the rule times that of the projection, on the grid."""
    scale = float(p.weight)  # type: ignore[arg-type]
    if isinstance(p.rule, Dense | Conv):
        return p.replace(rule=p.rule.replace(weight=_near(scale * p.rule.weight, grid)), weight_mv=1.0)
    return p.replace(weight_mv=float(_near(scale, grid)))


def quantised(
    graph: g.Graph,
    calibration: np.ndarray,
    levels: int,
    quantisation: Quantisation | None = None,
    *,
    centre: bool = True,
    source: Activations | None = None,
) -> tuple[Network, float]:
    """The layered network of an exact conversion, and the value of one unit of its input.

    calibration  float64[n_samples, *shape]
    quantisation thresholds and inputs of a model that was trained with them
    source       what `activations` gives for it, where that is known
    centre       move biases to where values are nearest to the source's, see `centred`
    """
    given = quantisation or Quantisation()
    bits = check(given.input_bits, _BITS_OF_INPUT, "quantisation.input_bits")
    scale = 2.0 ** np.ceil(np.log2(max(float(np.abs(calibration).max()), 1e-30))) / 2 ** (bits - 1)
    theta = given.of(graph)
    source = activations(graph, calibration) if source is None else source
    if theta is None:
        theta = {
            node.name: least_squares(source.values[node.name], source.tops[node.name], levels)
            for node in graph.nodes
            if isinstance(node, g.ReLU)
        }
    coding = ExactCoding(theta, levels, scale)
    network = build(graph, coding)
    if centre:
        network = centred(network, source, amounts(calibration, scale))
    return on_grid(network, 2.0**bits), scale


def centred(network: Network, source: Activations, inputs: np.ndarray) -> Network:
    """The network with the bias of each channel moved to where its quantised values are nearest the source's.

    source  what the trained network gives
    inputs  float64[n_samples, n]  amounts that belong to it
    Layer after layer, each with quantised values of those before; biases move by half a threshold at most.
    The least squares are ours: making means equal (Li et al. 2021, light calibration) loses accuracy with few
    levels, where most of a mean can be the values that are cut.  Outputs do get the source's means.
    """
    found = {INPUT: inputs}
    for name, population in network.populations.items():
        neuron = population.unit
        if isinstance(neuron, SignedIF):
            values, places = source.values[name], source.places[name]
            bias = np.asarray(neuron.bias_mv)
            theta = np.asarray(neuron.v_th_mv).reshape(values.shape[1], -1)[:, :1]
            z = np.empty(values.shape)
            for part, total in _arriving(network, name, found):
                z[part] = (total + bias).reshape(len(total), values.shape[1], -1)[:, :, places]
            shift = _shift(by_channels(z), by_channels(values), theta, neuron.levels)
            network = _with_bias(network, name, bias + np.repeat(shift, population.n // shift.size))
        elif isinstance(neuron, Readout):
            missing = source.outputs - np.asarray(neuron.bias_mv)
            for part, total in _arriving(network, name, found):
                missing[part] -= total
            return _with_bias(network, name, np.asarray(neuron.bias_mv) + missing.mean(axis=0))
        # Counts are kept in as few bytes as hold them, and only as long as something reads them.
        kind = np.min_scalar_type(neuron.levels) if isinstance(neuron, SignedIF) else np.float64
        counts = np.empty((len(inputs), population.n), dtype=kind)
        for part, total in _arriving(network, name, found):
            counts[part] = emitted(network, name, total)
        found[name] = counts
        found = {one: kept for one, kept in found.items() if one in _read_after(network, name)}
    return network


def _arriving(
    network: Network, name: str, found: dict[str, np.ndarray]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Parts of the samples, and what reaches population `name` in each of them."""
    sources = {p.source: found[p.source] for p in network.projections.values() if p.target == name}
    size = 3 * network.populations[name].n + 3 * sum(values.shape[1] for values in sources.values())
    for part in parts(len(next(iter(found.values()))), size):
        yield part, arriving(network, name, {one: values[part] for one, values in sources.items()})


def _read_after(network: Network, name: str) -> set[str]:
    """The sources of all populations behind `name`."""
    names = list(network.populations)
    behind = set(names[names.index(name) + 1 :])
    return {p.source for p in network.projections.values() if p.target in behind}


def _shift(z: np.ndarray, values: np.ndarray, theta: np.ndarray, levels: int) -> np.ndarray:
    """float64[channels]: the s with the least mean of (values - theta n)**2.

    n = clip(floor((z + s) / theta + 1/2), 0, levels)
    z, values  float64[channels, n];  theta  float64[channels, 1]
    """
    if z.shape[1] > _SAMPLES:
        looked_at = np.random.default_rng(0).integers(0, z.shape[1], _SAMPLES)
        z, values = z[:, looked_at], values[:, looked_at]
    z, values = z / theta, values / theta
    shifts = np.linspace(-0.5, 0.5, _SHIFTS)
    errors = [
        ((values - np.clip(np.floor(z + (shift + 0.5)), 0, levels)) ** 2).mean(axis=1) for shift in shifts
    ]
    # Of equal errors the one nearest to no shift: a channel that never fires stays as it is.
    order = np.argsort(np.abs(shifts), kind="stable")
    return np.asarray(shifts[order][np.argmin(np.array(errors)[order], axis=0)] * theta[:, 0])


def _with_bias(network: Network, name: str, bias: np.ndarray) -> Network:
    population = network.populations[name]
    changed = population.replace(neuron=population.unit.replace(bias_mv=bias))
    return network.replace(populations={**network.populations, name: changed})


def amounts(x: np.ndarray, scale: float) -> np.ndarray:
    """float64[n_samples, n]: inputs as whole multiples of the input scale."""
    return np.rint(x.reshape(len(x), -1) / scale)


def sketch(graph: g.Graph) -> Network:
    """The network of a conversion with thresholds of 1: its populations, before anything is known of data.

    Raises ConversionError as the conversion does.
    """
    ones = {node.name: np.ones(node.shape[0]) for node in graph.nodes if isinstance(node, g.ReLU)}
    return build(fold_batchnorm(graph), ExactCoding(ones, 1, 1.0))
