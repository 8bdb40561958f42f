"""Lowering of the units of layered networks: from a population to what the kernel needs to know of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnsim.distributions import Values
from snnsim.errors import ConfigError
from snnsim.integer_neurons import IntegerLIF, SigmaDelta
from snnsim.kernels import layer_layout as k
from snnsim.kernels.neurons import N_ROWS
from snnsim.layer_neurons import (
    BurstIF,
    FewSpike,
    Maximum,
    Readout,
    Relay,
    SignedIF,
    TimeToFirstSpike,
)
from snnsim.models import Conductance, Neuron
from snnsim.network import Network
from snnsim.population import Population
from snnsim.propagators import parameter_columns, rest_mv, start_mv, start_ns
from snnsim.streams import realise

FOREVER = 2**62


class _Cells(NamedTuple):
    """An ordinary population of integrate-and-fire neurons; units in the order of the user."""

    value: np.ndarray  # float64[N_ROWS, n]
    refractory_steps: np.ndarray  # int32[n]
    channels: int
    adaptive: bool
    conductance: bool
    start_current: np.ndarray  # float64[2, n]
    start_theta: np.ndarray  # float64[n]
    rest: np.ndarray  # float64[n]


class Unit(NamedTuple):
    """What the kernel needs to know of a population; values float64[n] in the order of the user."""

    kind: int
    threshold: np.ndarray | float = 0.0
    start: np.ndarray | float = 0.0
    bias: np.ndarray | float = 0.0
    bias_steps: int = 0
    awake: int = 0
    subtract: bool = True
    most: int = 1
    levels: int = 0
    begin: int = 0
    window: int = 0
    continuous: bool = False
    cells: _Cells | None = None


def lower_unit(population: Population, where: str, dt_ms: float, seed: int) -> Unit:
    """Raises ConfigError for what does not fit on the time grid."""
    neuron, n = population.unit, population.n

    def get(name: str) -> np.ndarray:
        return realise(getattr(neuron, name), n, seed, f"{where}.{name}")

    match neuron:
        case Relay():
            return Unit(k.RELAY)
        case Maximum():
            return Unit(k.MAXIMUM)
        case Readout() | BurstIF() | SignedIF():
            steps = _bias_steps(neuron.bias_mv, neuron.bias_steps)
            unit = Unit(
                k.READOUT, start=get("v_init_mv"), bias=get("bias_mv"), bias_steps=steps, awake=steps
            )
            if isinstance(neuron, Readout):
                return unit
            unit = unit._replace(kind=k.INTEGRATE, threshold=get("v_th_mv"), most=neuron.most)
            if isinstance(neuron, SignedIF):
                return unit._replace(kind=k.SIGNED, levels=neuron.levels)
            return unit
        case FewSpike() | TimeToFirstSpike():
            few = isinstance(neuron, FewSpike)
            return Unit(
                k.FEW_SPIKES if few else k.FIRST_SPIKE,
                threshold=get("alpha_mv") if few else get("resolution_mv"),
                start=get("v_init_mv"),
                bias=get("bias_mv"),
                bias_steps=1,
                awake=neuron.begin + neuron.window,
                begin=neuron.begin,
                window=neuron.window,
                continuous=isinstance(neuron, TimeToFirstSpike) and neuron.continuous,
            )
        case IntegerLIF():
            return Unit(k.INTEGER, start=get("v_init"), awake=FOREVER)
        case SigmaDelta():
            return Unit(k.INTEGER, awake=FOREVER)
        case Neuron():
            return Unit(
                k.CELLS,
                start=start_mv(neuron, n, seed, where),
                awake=FOREVER,
                subtract=neuron.reset == "subtract",
                cells=_cells(neuron, n, where, dt_ms, seed),
            )
    raise ConfigError("not a unit of layered networks", where=where, got=neuron.KIND)


def _bias_steps(bias: Values, steps: int | None) -> int:
    if steps is None:
        return FOREVER if np.any(np.asarray(bias)) else 0
    return steps


def _cells(neuron: Neuron, n: int, where: str, dt_ms: float, seed: int) -> _Cells:
    value, steps = parameter_columns(neuron, n, dt_ms, seed, where)
    conducts, theta = isinstance(neuron.synapse, Conductance), neuron.threshold
    current, start_theta = np.zeros((2, n)), np.zeros(n)
    if isinstance(neuron.synapse, Conductance):
        current = start_ns(neuron.synapse, n, seed, f"{where}.synapse")
    if theta is not None:
        start_theta = realise(theta.theta_init_mv, n, seed, f"{where}.threshold.theta_init_mv")
    return _Cells(
        value, steps, neuron.synapse.n_currents, theta is not None, conducts, current, start_theta,
        rest_mv(neuron, n, seed, where),
    )  # fmt: skip


def lower_units(
    network: Network, names: list[str], place: dict[str, np.ndarray], first: np.ndarray, dtype: np.dtype,
    dt_ms: float, seed: int,
) -> tuple[dict[str, np.ndarray], k.Cells | None, dict[str, np.ndarray]]:  # fmt: skip
    """What a Graph has of units; the cells; and float64[n] by population of cells: resting potentials."""
    n_p = len(names)
    units = [
        lower_unit(network.populations[name], f"populations.{name}.neuron", dt_ms, seed)
        if name in network.populations
        else Unit(k.INPUT)
        for name in names
    ]
    found: dict[str, np.ndarray] = {
        key: np.array([getattr(unit, key) for unit in units], np.int64)
        for key in (
            "kind", "bias_steps", "awake", "subtract", "most", "levels", "begin", "window", "continuous",
        )
    }  # fmt: skip
    for key in ("threshold", "start", "bias"):
        found[key] = np.zeros(int(first[-1]), dtype)
        for p, name in enumerate(names):
            found[key][first[p] + place[name]] = getattr(units[p], key)
    sizes = [0 if unit.cells is None else place[name].size for unit, name in zip(units, names, strict=True)]
    rest = {name: unit.cells.rest for name, unit in zip(names, units, strict=True) if unit.cells is not None}
    if not rest:
        return found, None, rest
    cells = k.Cells(
        first=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        channels=np.zeros(n_p, np.int64),
        adaptive=np.zeros(n_p, np.int64),
        conductance=np.zeros(n_p, np.int64),
        value=np.zeros((N_ROWS, sum(sizes)), dtype),
        refractory_steps=np.zeros(sum(sizes), np.int32),
        start_current=np.zeros((2, sum(sizes)), dtype),
        start_theta=np.zeros(sum(sizes), dtype),
    )
    for p, (name, unit) in enumerate(zip(names, units, strict=True)):
        if unit.cells is None:
            continue
        for key in ("value", "refractory_steps", "start_current", "start_theta"):
            getattr(cells, key)[..., cells.first[p] + place[name]] = getattr(unit.cells, key)
        for key in ("channels", "adaptive", "conductance"):
            getattr(cells, key)[p] = int(getattr(unit.cells, key))
    return found, cells, rest
