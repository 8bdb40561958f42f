"""The time grid: from milliseconds to whole steps, and what a network must obey once dt is known.

Time is counted in int64 steps; a time in milliseconds is step * dt, computed and never summed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from snnsim.checks import check
from snnsim.distributions import Distribution
from snnsim.errors import ConfigError
from snnsim.fields import Rule
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.spec import Spec, rules
from snnsim.stimuli import Current, Images, Poisson, PoissonDrive, SpikeTrains, Stimulus

SMALLEST_RATIO = 1e-30  # of a time constant or capacitance to dt: float32 must hold the inverse
STEP_LIMIT = 2**53  # up to here float64 holds every whole number
TOLERANCE = 1e-6  # of a step: how far from the grid a time may lie
DRIVE_MEAN_LIMIT = 500.0  # spikes a step and neuron; exp(-mean) must stay far above the smallest float

_TIME = Rule("number", unit="ms", low=0.0)


def to_steps(ms: float, dt_ms: float, where: str, least: int = 0) -> int:
    """The number of steps in a time, which must be a multiple of dt.

    `least` is the smallest number allowed.  Raises ConfigError, naming `where` and the nearest
    multiples, when the time lies off the grid by more than a millionth of a step.
    """
    return int(to_step_array(np.array([check(ms, _TIME, where)]), dt_ms, where, least)[0])


def to_step_array(ms: np.ndarray, dt_ms: float, where: str, least: int = 0) -> np.ndarray:
    """The same for many times >= 0: float64[...] ms -> int64[...] steps."""
    with np.errstate(over="ignore"):
        exact = np.asarray(ms, dtype=np.float64) / dt_ms
    if exact.size and not exact.max() <= STEP_LIMIT:
        raise ConfigError(
            "more steps than can be counted",
            where=where,
            got=float(np.max(ms)),
            expected=f"at most {STEP_LIMIT * dt_ms:g} ms at dt_ms = {dt_ms:g}",
            code="config.off_grid",
        )
    steps = np.rint(exact)
    # The quotient itself is rounded: allow for that too, or long times on the grid would be refused.
    off = np.abs(exact - steps) > TOLERANCE + 4 * np.finfo(np.float64).eps * exact
    wrong = np.flatnonzero((off | (steps < least)).ravel())
    if wrong.size:
        got, found = float(np.ravel(ms)[wrong[0]]), float(exact.ravel()[wrong[0]])
        low, high = max(int(np.floor(found)), least), max(int(np.ceil(found)), least)
        near = " or ".join(f"{step * dt_ms:.12g}" for step in sorted({low, high}))
        raise ConfigError(
            f"not a multiple of dt_ms = {dt_ms:g}" if off.ravel()[wrong[0]] else "too short",
            where=where,
            got=got,
            expected=f"{near} ms",
            code="config.off_grid",
        )
    return steps.astype(np.int64)


def check_grid(network: Network, dt_ms: float, duration_ms: float | None = None) -> None:
    """Check all that depends on dt; raise ConfigError with the key path of the first fault.

    Times and constant delays are multiples of dt, drawn delays are at least dt, projections without
    delay form no cycle, no source fires more than once a step, and no time constant is so small that
    dt divided by it overflows.
    """
    if duration_ms is not None:
        to_steps(duration_ms, dt_ms, "run.duration_ms", least=1)
    for name, population in network.populations.items():
        _check_times(population.neuron.t_ref_ms, dt_ms, f"populations.{name}.neuron.t_ref_ms")
        _check_divisors(population.neuron, dt_ms, f"populations.{name}.neuron")
    for name, projection in network.projections.items():
        _check_projection(projection, dt_ms, f"projections.{name}")
    _check_instant_cycles(network)
    for name, stimulus in network.stimuli.items():
        _check_stimulus(stimulus, dt_ms, f"stimuli.{name}")
    for name, probe in network.probes.items():
        _check_times(probe.every_ms, dt_ms, f"probes.{name}.every_ms", least=1)


def _check_times(value: Any, dt_ms: float, where: str, least: int = 0) -> None:
    """A drawn time is rounded to the grid, so only given ones are checked."""
    if value is not None and not isinstance(value, Distribution):
        to_step_array(np.asarray(value, dtype=np.float64), dt_ms, where, least)


def _check_divisors(spec: Spec, dt_ms: float, where: str) -> None:
    """A step is divided by time constants and capacitances: the quotient must be a finite number."""
    for name, rule in rules(type(spec)).items():
        value = getattr(spec, name)
        if isinstance(value, Spec) and rule.kind == "record":
            _check_divisors(value, dt_ms, f"{where}.{name}")
        elif name.startswith(("tau_", "c_m_")) and isinstance(value, float | np.ndarray):
            least = float(np.min(value))
            if least < dt_ms * SMALLEST_RATIO:
                raise ConfigError(
                    "too small to compute with",
                    where=f"{where}.{name}",
                    got=least,
                    expected=f">= {dt_ms * SMALLEST_RATIO:g} {rule.unit}",
                    code="config.out_of_range",
                )


def _check_projection(projection: Projection, dt_ms: float, where: str) -> None:
    delay = projection.delay_ms
    _check_times(delay, dt_ms, f"{where}.delay_ms")
    if projection.plasticity is not None:
        _check_divisors(projection.plasticity, dt_ms, f"{where}.plasticity")
    if isinstance(delay, Distribution):
        low, high = delay.support()
        if low < dt_ms * (1 - TOLERANCE):
            raise ConfigError(
                "a drawn delay can be shorter than a step",
                where=f"{where}.delay_ms",
                got=f"delays from {low:g} ms",
                expected=f"low >= dt_ms = {dt_ms:g}",
                fix=f"set low = {dt_ms:g}",
                code="config.off_grid",
            )
        if high > STEP_LIMIT * dt_ms and high < np.inf:
            to_steps(high, dt_ms, f"{where}.delay_ms")
    if projection.normalisation is not None:
        _check_times(projection.normalisation.every_ms, dt_ms, f"{where}.normalisation.every_ms", least=1)


def _check_stimulus(stimulus: Stimulus, dt_ms: float, where: str) -> None:
    for name, least in _times_of(stimulus):
        _check_times(getattr(stimulus, name), dt_ms, f"{where}.{name}", least)
    if isinstance(stimulus, Poisson):
        _check_rate(stimulus.rate_hz, 1.0, dt_ms, f"{where}.rate_hz")
    elif isinstance(stimulus, PoissonDrive):
        limit = DRIVE_MEAN_LIMIT / stimulus.n_inputs
        _check_rate(stimulus.rate_hz, limit, dt_ms, f"{where}.rate_hz")
    elif isinstance(stimulus, Images) and stimulus.coding == "rate":
        _check_rate(stimulus.max_rate_hz, 1.0, dt_ms, f"{where}.max_rate_hz")


def _times_of(stimulus: Stimulus) -> Iterator[tuple[str, int]]:
    """Fields that hold times, with the least number of steps of each."""
    if isinstance(stimulus, Poisson | PoissonDrive):
        yield from (("start_ms", 0), ("stop_ms", 0))
    elif isinstance(stimulus, SpikeTrains | Current):
        yield ("times_ms", 0)
    elif isinstance(stimulus, Images):
        yield from (("present_ms", 1), ("rest_ms", 0))


def _check_rate(rate_hz: Any, limit: float, dt_ms: float, where: str) -> None:
    """`limit` is the largest mean number of spikes of one train in a step."""
    highest = rate_hz.support()[1] if isinstance(rate_hz, Distribution) else float(np.max(rate_hz))
    if highest * (dt_ms / 1000.0) > limit * (1 + 1e-12):
        allowed = limit * 1000.0 / dt_ms
        raise ConfigError(
            f"too fast for dt_ms = {dt_ms:g}",
            where=where,
            got=f"up to {highest:g} Hz",
            expected=f"<= {allowed:g} Hz",
            fix=f"set high = {allowed:g}" if highest == np.inf else "lower the rate, or dt_ms",
            code="config.off_grid",
        )


def _check_instant_cycles(network: Network) -> None:
    """Populations joined without delay advance one after the other, so there must be an order."""
    after: dict[str, list[tuple[str, str]]] = {}
    for name, projection in network.projections.items():
        delay = projection.delay_ms
        instant = not isinstance(delay, Distribution) and float(np.min(delay)) == 0.0
        if instant and projection.source in network.populations:
            after.setdefault(projection.source, []).append((projection.target, name))
    done: set[str] = set()
    for start in after:
        _walk(start, after, done)


def _walk(start: str, after: Mapping[str, list[tuple[str, str]]], done: set[str]) -> None:
    """Depth first without recursion: a chain of populations may be long."""
    open_path = {start: iter(after.get(start, ()))}
    entered: dict[str, str] = {}  # the projection by which the walk came to a population
    while open_path:
        at = next(reversed(open_path))
        for target, name in open_path[at]:
            if target in open_path:
                nodes = list(open_path)
                cycle = nodes[nodes.index(target) :]
                path = "".join(
                    f"{node} -{via}-> "
                    for node, via in zip(cycle, [*(entered[n] for n in cycle[1:]), name], strict=True)
                )
                raise ConfigError(
                    f"the projections without delay form a cycle: {path}{target}",
                    where=f"projections.{name}.delay_ms",
                    expected="> 0 ms in one projection of the cycle",
                    code="config.instant_cycle",
                )
            if target not in done:
                open_path[target] = iter(after.get(target, ()))
                entered[target] = name
                break
        else:
            open_path.popitem()
            done.add(at)
