"""Networks of configs and NIR files as layered ones: connections become matrices, sources inputs."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from snnsim.connectivity import AllToAll, Arrays, OneToOne
from snnsim.distributions import Distribution
from snnsim.errors import TargetError
from snnsim.grid import to_steps
from snnsim.layers import Dense, LayerRule
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.spec import Spec, rules
from snnsim.stimuli import Analogue, SpikeSource

_MOST = 2**26  # entries of a matrix
_SCALED = ("ms", "pF")
_Described = TypeVar("_Described", bound=Spec)


def as_layers(network: Network, dt_ms: float = 1.0) -> Network:
    """The same network in layers, whose input is given when it runs.

    dt_ms  its step, which becomes one of 1 ms: all times are divided by it, and capacities too, so that a
           current moves a potential in a step as far as before
    Raises TargetError for connections that are drawn or learn, for delays that differ within a projection,
    and for drives.
    """
    stimuli = {}
    for name, stimulus in network.stimuli.items():
        if not isinstance(stimulus, SpikeSource | Analogue) or not hasattr(stimulus, "n"):
            raise TargetError(
                "a drive that no chip has", where=f"stimuli.{name}", got=stimulus.KIND,
                expected="a source of spikes",
                fix="send its spikes through a source", code="target.no_form",
            )  # fmt: skip
        stimuli[name] = Analogue(n=int(getattr(stimulus, "n", 0)))
    sizes = {name: p.n for name, p in network.populations.items()} | {k: one.n for k, one in stimuli.items()}
    projections = {
        name: _dense(p, sizes[p.source], sizes[p.target], f"projections.{name}", dt_ms)
        for name, p in network.projections.items()
    }
    populations = {
        name: p if dt_ms == 1.0 else p.replace(neuron=_in_steps(p.unit, dt_ms, f"populations.{name}.neuron"))
        for name, p in network.populations.items()
    }
    return network.replace(
        stimuli=stimuli, populations=populations, projections=projections, probes={}, precision="float64"
    )


def _in_steps(described: _Described, dt_ms: float, where: str) -> _Described:
    changes: dict[str, Any] = {}
    for name, rule in rules(type(described)).items():
        value = getattr(described, name)
        if isinstance(value, Spec) and not isinstance(value, Distribution):
            changes[name] = _in_steps(value, dt_ms, f"{where}.{name}")
        elif getattr(rule, "unit", "") in _SCALED and value is not None:
            if not isinstance(value, float | int | np.ndarray):
                raise TargetError(
                    "numbers that are drawn", where=f"{where}.{name}", got=value.KIND,
                    expected="one, or one each",
                    fix="draw them first, or take a step of 1 ms", code="target.no_form",
                )  # fmt: skip
            changes[name] = value / dt_ms
    return described.replace(**changes)


def _dense(p: Projection, n_source: int, n_target: int, where: str, dt_ms: float) -> Projection:
    if isinstance(p.rule, LayerRule):
        return p if dt_ms == 1.0 else p.replace(delay_ms=_steps(p.delay_ms, dt_ms, where))
    if not isinstance(p.rule, Arrays | AllToAll | OneToOne) or p.plastic or n_source * n_target > _MOST:
        raise TargetError(
            "connections that cannot be written as a matrix", where=f"{where}.rule",
            got="plastic" if p.plastic else p.rule.KIND,
            expected="arrays, all_to_all, one_to_one, or rules of layers",
            fix="draw or learn them first, and give the result as arrays", code="target.no_form",
        )  # fmt: skip
    given = isinstance(p.delay_ms, float | np.ndarray)
    delays = np.unique(np.asarray(p.delay_ms, np.float64)) if given else np.zeros(0)
    if len(delays) != 1 or not isinstance(p.weight, float | np.ndarray):
        raise TargetError(
            "weights are given, and the delay is one for a projection", where=f"{where}.delay_ms",
            got=f"{len(delays)} delays", expected="one", fix="split the projection, one a delay",
            code="target.no_form",
        )  # fmt: skip
    weight = np.zeros((n_target, n_source))
    if isinstance(p.rule, Arrays):
        np.add.at(weight, (p.rule.target, p.rule.source), p.weight)
    elif isinstance(p.rule, OneToOne):
        weight[np.arange(n_source), np.arange(n_source)] = p.weight
    else:
        weight[:] = p.weight
        if p.source == p.target and not p.rule.autapses:
            np.fill_diagonal(weight, 0.0)
    key = "weight_mv" if p.weight_mv is not None else "weight_pa"
    return p.replace(rule=Dense(weight=weight), delay_ms=_steps(delays[0], dt_ms, where), **{key: 1.0})


def _steps(delay_ms: object, dt_ms: float, where: str) -> float:
    return float(to_steps(float(delay_ms), dt_ms, f"{where}.delay_ms"))  # type: ignore[arg-type]
