"""Layered networks in one normal form, in which chips compute; still with real numbers.

    u <- keep_u u + sum of w a          without a current: u = sum of w a
    v <- keep_v v + u + bias
    a spike where v >= threshold; then v <- 0, or v <- v - threshold

Pools that only pass on sums are folded into the weights behind them, and every connection takes a step: the
time of a population is behind by its depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnsim.errors import TargetError
from snnsim.grid import to_steps
from snnsim.hardware.folding import fold_pools
from snnsim.kernels import neurons as k
from snnsim.layer_neurons import BurstIF, LayerNeuron, Readout, SignedIF
from snnsim.layers import Conv, Dense, Into, LayerRule, SumPool, Window
from snnsim.models import Delta, Exponential, Neuron
from snnsim.network import Network
from snnsim.propagators import parameter_columns, start_mv
from snnsim.stimuli import Analogue

_NOTHING = 1e-12  # of the way to the threshold: what rounding leaves between a reset and a resting potential


@dataclass(frozen=True)
class Wire:
    """One projection. weight: those of a Dense or Conv rule, or the one number of any other."""

    name: str
    source: str
    rule: LayerRule
    weight: np.ndarray
    delay: int

    def with_weight(self, weight: np.ndarray) -> tuple[LayerRule, float]:
        """The rule with other weights of the same shape, and the factor of its projection."""
        if isinstance(self.rule, Dense | Conv):
            return self.rule.replace(weight=weight), 1.0
        return self.rule, float(weight[0])


@dataclass(frozen=True)
class Stage:
    """One population; arrays float64[n].

    kind       "zero" or "subtract" by what a spike does, "signed", or "readout", which has no threshold
    most       spikes in a step; of "signed" its levels
    bias_steps how many steps have a bias; None: all
    depth      steps by which its time is behind
    channel    int64[n]: units with the same number share their weights
    """

    name: str
    n: int
    kind: str
    wires: tuple[Wire, ...]
    threshold: np.ndarray
    bias: np.ndarray
    start: np.ndarray
    channel: np.ndarray
    keep_u: float = 0.0
    keep_v: float = 1.0
    most: int = 1
    bias_steps: int | None = None
    refractory: int = 0
    depth: int = 0

    def in_units(self, name: str, unit: float) -> Stage:
        """The same for an input that comes in amounts of which each stands for the value `unit`."""
        wires = tuple(replace(w, weight=w.weight * unit) if w.source == name else w for w in self.wires)
        return replace(self, wires=wires)


@dataclass(frozen=True)
class Stages:
    """A network in normal form. inputs: units of each input; depth: steps until the last one acts."""

    inputs: dict[str, int]
    stages: tuple[Stage, ...]
    depth: int


def normal_form(network: Network, target: str, dt_ms: float = 1.0) -> Stages:
    """Raises TargetError for what no integer rule has."""
    network = fold_pools(network, target)
    inputs = {}
    for name, stimulus in network.stimuli.items():
        if not isinstance(stimulus, Analogue):
            raise _unfit(target, f"stimuli.{name}", stimulus.KIND, "analogue input, given when it runs")
        inputs[name] = stimulus.n
    wires = {name: _wires(network, name, dt_ms, target) for name in network.populations}
    depths = _depths({name: [(w.source, w.delay) for w in found] for name, found in wires.items()}, target)
    stages = []
    for name, population in network.populations.items():
        stage = _stage(name, population.n, population.unit, wires[name], dt_ms, target)
        late = depths[name]
        moved = tuple(replace(w, delay=w.delay + late - depths.get(w.source, 0)) for w in stage.wires)
        stages.append(replace(stage, wires=moved, depth=late))
    ordered = sorted(stages, key=lambda stage: stage.depth)
    return Stages(inputs, tuple(ordered), max(depths.values()))


def _unfit(target: str, where: str, got: object, expected: str, fix: str = "") -> TargetError:
    return TargetError(
        f"{target} has no form for this", where=where, got=got, expected=expected, fix=fix,
        code="target.no_form",
    )  # fmt: skip


def _wires(network: Network, name: str, dt_ms: float, target: str) -> tuple[Wire, ...]:
    found = []
    for link, p in network.projections.items():
        if p.target != name:
            continue
        rule, where = p.rule, f"projections.{link}"
        if not isinstance(rule, Dense | Conv | Into | SumPool):
            raise _unfit(
                target, f"{where}.rule", rule.KIND, "dense, conv, sum_pool or into",
                "train with average pooling or strides in place of maxima",
            )  # fmt: skip
        factor = float(p.weight)  # type: ignore[arg-type]
        weight = factor * (rule.weight if isinstance(rule, Dense | Conv) else np.ones(1))
        delay = to_steps(float(p.delay_ms), dt_ms, f"{where}.delay_ms")  # type: ignore[arg-type]
        found.append(Wire(link, p.source, rule, np.asarray(weight, np.float64), delay))
    return tuple(found)


def _depths(sources: dict[str, list[tuple[str, int]]], target: str) -> dict[str, int]:
    """Least depths such that every connection takes a step: delay + depth - depth of source >= 1."""
    found = dict.fromkeys(sources, 0)
    for _ in range(len(sources) + 1):
        wanted = {
            name: max([found[name], *(found.get(s, 0) + 1 - d for s, d in into)])
            for name, into in sources.items()
        }
        if wanted == found:
            return found
        found = wanted
    raise _unfit(
        target, "projections", "a loop with less delay than connections", "at least a step for each of them",
        "give the connections of the loop longer delays",
    )  # fmt: skip


def _stage(
    name: str, n: int, unit: Neuron | LayerNeuron, wires: tuple[Wire, ...], dt_ms: float, target: str
) -> Stage:
    where, ones = f"populations.{name}.neuron", np.ones(n)

    def get(key: str) -> np.ndarray:
        return np.asarray(getattr(unit, key), np.float64) * ones

    base = Stage(name, n, "readout", wires, np.full(n, np.inf), 0 * ones, 0 * ones, _channels(wires, n))
    match unit:
        case Readout() | BurstIF() | SignedIF():
            base = replace(base, bias=get("bias_mv"), start=get("v_init_mv"), bias_steps=unit.bias_steps)
            if isinstance(unit, Readout):
                return base
            kind, most = ("signed", unit.levels) if isinstance(unit, SignedIF) else ("subtract", unit.most)
            return replace(base, kind=kind, most=most, threshold=get("v_th_mv"))
        case Neuron():
            return _membrane(base, unit, dt_ms, target)
    raise _unfit(
        target, where, unit.KIND, "integrate-and-fire neurons or a readout",
        "convert with --method exact or rate",
    )  # fmt: skip


def _membrane(base: Stage, unit: Neuron, dt_ms: float, target: str) -> Stage:
    """Neurons with a membrane, potentials counted from the one that a spike leaves.

    The factors of one step are those of the simulator (snn/propagators.py); what an arrival adds to a
    potential goes into the weights.
    """
    where = f"populations.{base.name}.neuron"
    if unit.threshold is not None:
        raise _unfit(target, f"{where}.threshold", "an adaptive threshold", "one that stands still")
    if not isinstance(unit.synapse, Delta | Exponential) or unit.synapse.n_currents != 1:
        raise _unfit(
            target, f"{where}.synapse", unit.synapse.KIND, "delta, or exponential with one time constant"
        )
    value, refractory = parameter_columns(unit, base.n, dt_ms, 0, where)

    def alike(what: str, values: np.ndarray) -> float:
        if np.ptp(values) > 0:
            raise _unfit(target, f"{where}.{what}", "several values", "one for all neurons")
        return float(values[0])

    keep_v = 1.0 + alike("tau_m_ms", value[k.P_LEAK])
    keep_u, gain = alike("synapse", value[k.P_CC]), alike("synapse", value[k.P_VC])
    reset = value[k.RESET]
    reset = np.where(np.abs(reset) < _NOTHING * np.abs(value[k.THRESHOLD] - reset), 0.0, reset)
    if (keep_v < 1.0 or unit.reset == "subtract") and np.any(reset):
        raise _unfit(
            target, f"{where}.v_reset_mv", float(reset[np.argmax(np.abs(reset))]), "the resting potential",
            "train with both alike",
        )  # fmt: skip
    return replace(
        base, kind="subtract" if unit.reset == "subtract" else "zero",
        wires=tuple(replace(w, weight=w.weight * gain) for w in base.wires),
        threshold=value[k.THRESHOLD] - reset, bias=value[k.DRIVE],
        start=start_mv(unit, base.n, 0, where) - reset,
        keep_u=keep_u, keep_v=keep_v, refractory=int(alike("t_ref_ms", refractory)),
    )  # fmt: skip


def _channels(wires: tuple[Wire, ...], n: int) -> np.ndarray:
    """Units of a map share their weights by channel; those of dense layers share none."""
    for wire in wires:
        if isinstance(wire.rule, Window):
            channels = wire.rule.channels()[1]
            return np.repeat(np.arange(channels), n // channels)
    return np.arange(n)
