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
from snnsim.network import Network, Population, Probe, Projection
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


def worst_error(c: Case, times: np.ndarray, v: np.ndarray, chosen: np.ndarray, scale_v: np.ndarray) -> np.ndarray:
    """Largest |v - exact| of each neuron over the chosen samples, over its largest |v - v_rest|."""
    error = np.zeros(N)
    for k in range(N):
        rest = mpmath.mpf(float(c.v_rest[k]))
        for j, value in zip(chosen, exact(c, k, times[chosen]), strict=True):
            error[k] = max(error[k], float(abs(mpmath.mpf(float(v[j, k])) - rest - value)))
    return error / np.abs(scale_v - c.v_rest).max(axis=0)


def looked_at(times: np.ndarray, seed: int) -> np.ndarray:
    """Indices of some samples: the first, the last, and others anywhere."""
    rng = np.random.default_rng(seed)
    return np.unique([1, 2, len(times) - 1, *rng.integers(0, len(times), 12)])
