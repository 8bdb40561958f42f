"""Neurons against closed forms: potentials to the last digits, spike times exactly.

The exact potential is a sum over inputs; mpmath evaluates it with 50 digits, so that it has no
cancellation where tau_syn and tau_m are equal or nearly so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest

from snnsim.connectivity import Arrays
from snnsim.models import IF, LIF, AdaptiveThreshold, Exponential, Neuron
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, SpikeTrains

mpmath.mp.dps = 50
N = 100
N_STEPS = 100_000
NEVER_MV = 1e9


@dataclass
class Case:
    """N neurons with their own parameters, spike trains and step currents; times in ms, currents in pA."""

    tau_m: np.ndarray | None  # None: no leak
    tau_exc: np.ndarray
    tau_inh: np.ndarray
    c_m: np.ndarray
    v_rest: np.ndarray
    v_init: np.ndarray
    i_bias: np.ndarray
    spike_ms: np.ndarray  # [n_spikes], the same for all, but each neuron has weights of its own
    weight: np.ndarray  # [n_spikes, N]
    current_ms: np.ndarray
    current: np.ndarray  # [n_times, N]


def case(seed: int, duration_ms: float, leak: bool = True) -> Case:
    """Random parameters in the range of cortical models; equal and nearly equal time constants among them."""
    rng = np.random.default_rng(seed)
    tau_m = rng.uniform(5.0, 30.0, N)
    tau_exc, tau_inh = rng.uniform(0.5, 20.0, (2, N))
    for k, factor in enumerate((1.0, 1 + 1e-9, 1 - 1e-9, 1 + 1e-6, 1 - 1e-6, 1 + 1e-12, 1 + 1e-3)):
        tau_exc[k::20] = tau_m[k::20] * factor
        tau_inh[19 - k :: 20] = tau_m[19 - k :: 20] * factor
    spike_ms = np.sort(rng.choice(int(duration_ms / 2), 24, replace=False)) * 2.0
    weight = rng.uniform(10.0, 500.0, (24, N)) * np.where(np.arange(24) % 3 == 2, -1, 1)[:, None]
    return Case(
        tau_m if leak else None,
        tau_exc,
        tau_inh,
        rng.uniform(100.0, 400.0, N),
        rng.uniform(-80.0, -50.0, N) if leak else np.zeros(N),
        rng.uniform(-80.0, -50.0, N) if leak else np.zeros(N),
        rng.uniform(-100.0, 200.0, N),
        spike_ms,
        weight,
        np.array([0.0, 10.0, 35.0, duration_ms / 2]),
        rng.uniform(-200.0, 300.0, (4, N)),
    )


def simulate(c: Case, dt_ms: float, duration_ms: float, every_ms: float, precision: str) -> Any:
    """(times ms, potentials mV [T, N]) of one run of all neurons."""
    synapse = Exponential(tau_exc_ms=c.tau_exc, tau_inh_ms=c.tau_inh)
    common: dict[str, Any] = {
        "v_th_mv": NEVER_MV, "v_reset_mv": 0.0, "c_m_pf": c.c_m, "i_bias_pa": c.i_bias, "v_init_mv": c.v_init,
        "synapse": synapse,
    }  # fmt: skip
    neuron: Neuron = IF(**common) if c.tau_m is None else LIF(tau_m_ms=c.tau_m, v_rest_mv=c.v_rest, **common)
    n_spikes = len(c.spike_ms)  # each spike has a source of its own, so that it can have its own weights
    source, target = np.divmod(np.arange(n_spikes * N), N)
    inhibitory = c.weight.ravel() < 0
    projections = {
        name: Projection(
            source="trains", target="cells", rule=Arrays(source=source[chosen], target=target[chosen]),
            weight_pa=c.weight.ravel()[chosen], delay_ms=2.0,
        )
        for name, chosen in (("exc", ~inhibitory), ("inh", inhibitory))
    }  # fmt: skip
    network = Network(
        populations={"cells": Population(n=N, neuron=neuron)},
        projections=projections,
        stimuli={
            "trains": SpikeTrains(n=n_spikes, times_ms=c.spike_ms, ids=np.arange(n_spikes)),
            "steps": Current(target="cells", amplitude_pa=c.current, times_ms=c.current_ms),
        },
        probes={"v": Probe(target="cells", variable="v_mv", every_ms=every_ms)},
        precision=precision,
    )
    with Simulator(network, dt_ms=dt_ms, threads=1) as sim:
        sim.run(duration_ms)
        steps, values = sim.samples("v")
    return steps * dt_ms, values


def exact(c: Case, k: int, times_ms: np.ndarray) -> list[Any]:
    """v - v_rest of neuron k at some times, in multiple precision; spikes arrive 2 ms after emission."""
    mpf, exp = mpmath.mpf, mpmath.exp
    c_m = mpf(float(c.c_m[k]))
    tau_m = None if c.tau_m is None else mpf(float(c.tau_m[k]))
    taus = [mpf(float(c.tau_exc[k])), mpf(float(c.tau_inh[k]))]

    def step(t: Any) -> Any:
        """Response to a unit current from 0 on."""
        return t / c_m if tau_m is None else tau_m / c_m * (1 - exp(-t / tau_m))

    def psp(t: Any, tau: Any) -> Any:
        """Response to a unit current at 0 that decays with tau."""
        if tau_m is None:
            return tau / c_m * (1 - exp(-t / tau))
        if tau == tau_m:
            return t / c_m * exp(-t / tau)
        return (exp(-t / tau_m) - exp(-t / tau)) / (c_m * (1 / tau - 1 / tau_m))

    jumps = np.diff(c.current[:, k], prepend=0.0)
    found = []
    for ms in times_ms:
        t = mpf(float(ms))
        v = mpf(float(c.v_init[k] - c.v_rest[k])) * (1 if tau_m is None else exp(-t / tau_m))
        v += mpf(float(c.i_bias[k])) * step(t)
        for at, size in zip(c.current_ms, jumps, strict=True):
            if ms > at:
                v += mpf(float(size)) * step(t - mpf(float(at)))
        for at, size in zip(c.spike_ms + 2.0, c.weight[:, k], strict=True):
            if ms > at:
                v += mpf(float(size)) * psp(t - mpf(float(at)), taus[int(size < 0)])
        found.append(v)
    return found


def errors(c: Case, times: np.ndarray, v: np.ndarray, seed: int) -> np.ndarray:
    """max |v - exact| / max |exact - v_rest| of each neuron, over the first, the last and random samples."""
    rng = np.random.default_rng(seed)
    chosen = np.unique([0, 1, 2, len(times) - 1, *rng.integers(0, len(times), 12)])
    found = np.zeros(N)
    for k in range(N):
        rest, values = mpmath.mpf(float(c.v_rest[k])), exact(c, k, times[chosen])
        off = [abs(mpmath.mpf(float(v[j, k])) - rest - x) for j, x in zip(chosen, values, strict=True)]
        found[k] = float(max(off) / max(abs(x) for x in values))
    return found


@pytest.mark.parametrize(("precision", "bar"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("leak", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_potential(seed: int, leak: bool, precision: str, bar: float) -> None:
    """100 sets of parameters over 100,000 steps, whatever the ratio of the time constants."""
    c = case(seed, N_STEPS * 0.1, leak)
    found = errors(c, *simulate(c, 0.1, N_STEPS * 0.1, 0.7, precision), seed)
    assert found.max() <= bar
    assert found.max() > np.finfo(precision).eps / 8  # as precise as numbers of this type are, and no more


@pytest.mark.parametrize("leak", [True, False])
def test_time_step_does_not_matter(leak: bool) -> None:
    """Exact integration: at the times that all grids share, the potential is the same."""
    c = case(6, 2000.0, leak)
    runs = {dt: simulate(c, dt, 2000.0, 1.0, "float64") for dt in (1.0, 0.5, 0.25, 0.125, 0.1)}
    coarse = runs[1.0][1]
    size = np.abs(coarse - c.v_rest).max(axis=0)
    for times, v in runs.values():
        assert np.allclose(times, runs[1.0][0], rtol=1e-14)
        assert (np.abs(v - coarse) / size).max() <= 1e-12
        assert errors(c, times, v, 7).max() <= 1e-12


# --- spike times


def spike_steps(neuron: Neuron, n: int, n_steps: int, dt_ms: float, **more: Any) -> list[np.ndarray]:
    """Steps in which each of n neurons fires."""
    network = Network(
        populations={"cells": Population(n=n, neuron=neuron)}, probes={"s": Probe(target="cells")}, **more
    )
    with Simulator(network, dt_ms=dt_ms, threads=1) as sim:
        sim.run_steps(n_steps)
        steps, ids = sim.spikes("cells")
    return [steps[ids == k] for k in range(n)]


@pytest.mark.parametrize("dt_ms", [0.1, 0.25, 1.0])
@pytest.mark.parametrize("t_ref_steps", [0, 1, 20])
@pytest.mark.parametrize("leak", [True, False])
def test_rate_against_current(dt_ms: float, t_ref_steps: int, leak: bool) -> None:
    """Intervals are t_ref and the passage time from reset to threshold, rounded up to the grid: exactly."""
    n, tau, c_m, v_th, v_reset = 150, 12.0, 200.0, -50.0, -68.0
    rest = -65.0 if leak else -68.0
    slope = np.linspace(0.0, 3000.0, n) / c_m  # mV / ms
    final = rest + tau * slope
    with np.errstate(divide="ignore", invalid="ignore"):
        passage = tau * np.log((final - v_reset) / (final - v_th)) if leak else (v_th - v_reset) / slope
        first = tau * np.log((final - rest) / (final - v_th)) if leak else (v_th - v_reset) / slope
    common: dict[str, Any] = {
        "v_th_mv": v_th, "v_reset_mv": v_reset, "c_m_pf": c_m, "t_ref_ms": t_ref_steps * dt_ms,
        "i_bias_pa": slope * c_m,
    }  # fmt: skip
    neuron: Neuron = LIF(tau_m_ms=tau, v_rest_mv=rest, **common) if leak else IF(**common)
    n_steps, tested = 3000, 0
    for k, steps in enumerate(spike_steps(neuron, n, n_steps, dt_ms)):
        if final[k] <= v_th if leak else slope[k] == 0:
            assert steps.size == 0
            continue
        if min(abs(x / dt_ms - round(x / dt_ms)) for x in (passage[k], first[k])) < 1e-9:
            continue  # exactly on the grid: rounding decides
        tested += 1
        interval = t_ref_steps + math.ceil(passage[k] / dt_ms)
        expected = np.arange(math.ceil(first[k] / dt_ms) - 1, n_steps, interval)
        assert np.array_equal(steps, expected)
    assert tested > n / 2


def test_reset_by_subtraction_loses_no_charge() -> None:
    """The k-th spike of a perfect integrator comes when k thresholds have flown in."""
    n, c_m, v_th, dt_ms, n_steps = 100, 100.0, 10.0, 0.1, 5000
    slope = np.random.default_rng(3).uniform(1.0, 80.0, n)
    neuron = IF(v_th_mv=v_th, v_reset_mv=0.0, reset="subtract", c_m_pf=c_m, i_bias_pa=slope * c_m)
    for k, steps in enumerate(spike_steps(neuron, n, n_steps, dt_ms)):
        count = np.arange(1, int(n_steps * dt_ms * slope[k] / v_th) + 1)
        exact_step = count * v_th / (slope[k] * dt_ms)
        clear = np.abs(exact_step - np.round(exact_step)) > 1e-6
        assert steps.size in (count.size, count.size - 1)
        assert np.array_equal(
            steps[clear[: steps.size]], np.ceil(exact_step)[: steps.size][clear[: steps.size]] - 1
        )


def test_refractory_period_blocks_so_many_updates() -> None:
    """With input above threshold in every step, a refractory period of r steps gives a spike every r + 1."""
    for r in (0, 1, 2, 5, 20):
        neuron = IF(v_th_mv=1.0, v_reset_mv=0.0, c_m_pf=1.0, i_bias_pa=1e3, t_ref_ms=r * 0.1)
        assert spike_steps(neuron, 1, 100, 0.1)[0].tolist() == list(range(0, 100, r + 1))


RESETS: list[tuple[str, float | None, float]] = [
    ("value", -3.0, -3.0),
    ("zero", None, 0.0),
    ("subtract", -3.0, 16.0 - (10.0 + 0.5 - -3.0)),
]


@pytest.mark.parametrize(("mode", "v_reset", "after"), RESETS)
@pytest.mark.parametrize("leak", [True, False])
def test_reset_modes(mode: str, v_reset: float | None, after: float, leak: bool) -> None:
    """One jump to 16 mV; threshold 10 mV plus theta = 0.5 mV; then held for two steps."""
    threshold = AdaptiveThreshold(theta_plus_mv=0.0, tau_theta_ms=1e300, theta_init_mv=0.5)
    common: dict[str, Any] = {
        "v_th_mv": 10.0, "v_reset_mv": v_reset, "reset": mode, "t_ref_ms": 0.2, "threshold": threshold,
        "v_init_mv": 0.0,
    }  # fmt: skip
    neuron: Neuron = LIF(tau_m_ms=1e9, v_rest_mv=-1.0, **common) if leak else IF(**common)
    network = Network(
        populations={"cells": Population(n=1, neuron=neuron)},
        projections={
            "p": Projection(
                source="g", target="cells", rule=Arrays(source=[0], target=[0]), weight_mv=16.0, delay_ms=0.1
            )
        },
        stimuli={"g": SpikeTrains(n=1, times_ms=[0.2], ids=[0])},
        probes={"v": Probe(target="cells", variable="v_mv"), "s": Probe(target="cells")},
    )
    with Simulator(network, dt_ms=0.1) as sim:
        sim.run(1.0)
        v = sim.samples("v")[1][:, 0]
        assert sim.spikes("cells")[0].tolist() == [3]
    assert v[3] == pytest.approx(0.0, abs=1e-7)
    assert v[4:7] == pytest.approx([after] * 3, abs=1e-7)
    assert v[4] == v[5] == v[6]  # held, not integrated


def test_adaptive_threshold() -> None:
    """theta is the sum of its rises, each decayed since; theta decides whether the next jump suffices."""
    tau, plus, init, dt_ms, n_steps = 50.0, 3.0, 1.0, 0.1, 20_000
    given = np.sort(np.random.default_rng(8).choice(n_steps - 2, 600, replace=False))
    network = Network(
        populations={
            "cells": Population(
                n=1,
                neuron=LIF(
                    tau_m_ms=1e-3,
                    v_rest_mv=0.0,
                    v_th_mv=8.0,
                    v_reset_mv=0.0,
                    threshold=AdaptiveThreshold(theta_plus_mv=plus, tau_theta_ms=tau, theta_init_mv=init),
                ),  # fmt: skip
            )
        },
        projections={
            "p": Projection(
                source="g",
                target="cells",
                rule=Arrays(source=[0], target=[0]),
                weight_mv=15.0 * math.exp(dt_ms / 1e-3),
                delay_ms=dt_ms,
            )
        },  # fmt: skip
        stimuli={"g": SpikeTrains(n=1, times_ms=given * dt_ms, ids=np.zeros(given.size, int))},
        probes={"t": Probe(target="cells", variable="theta_mv"), "s": Probe(target="cells")},
    )
    with Simulator(network, dt_ms=dt_ms) as sim:
        sim.run_steps(n_steps)
        theta, spikes = sim.samples("t")[1][:, 0], sim.spikes("cells")[0].tolist()
    expected, at = [], np.array([], dtype=int)
    for step in given + 1:  # the jump of 15 mV fires where theta is at most 7 mV
        now = init * math.exp(-(step + 1) * dt_ms / tau) + plus * np.exp(-(step - at) * dt_ms / tau).sum()
        assert abs(now - 7.0) > 1e-9
        if now < 7.0:
            expected.append(int(step))
            at = np.array(expected)
    assert spikes == expected
    assert 0.1 < len(spikes) / given.size < 0.9  # both happen
    for step in (0, 1, 777, 5000, n_steps - 1):
        past = at[at < step]
        closed = init * math.exp(-step * dt_ms / tau)
        closed += plus * np.exp(-(step - 1 - past) * dt_ms / tau).sum()
        assert theta[step] == pytest.approx(closed, rel=1e-12)
