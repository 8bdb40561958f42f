"""Brunel's random network against mean-field theory."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erfcx

from snnsim import Network, Simulator, load_config

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXAMPLE = runpy.run_path(str(EXAMPLES / "brunel.py"))
N: dict[str, int] = EXAMPLE["N"]
brunel: Callable[[], Network] = EXAMPLE["brunel"]


def siegert_hz(mu_mv: float, sigma_mv: float, tau_ms: float, v_th_mv: float, t_ref_ms: float) -> float:
    """Rate of a cell with reset 0 in white noise.

    1 / rate = t_ref + tau sqrt(pi) int exp(x^2) (1 + erf x) dx          Source: Siegert 1951.
    The integral runs from (reset - mu) / sigma to (threshold - mu) / sigma; its integrand is erfcx(-x).
    """
    area, _ = quad(lambda x: float(erfcx(-x)), -mu_mv / sigma_mv, (v_th_mv - mu_mv) / sigma_mv)
    return 1000.0 / (t_ref_ms + tau_ms * np.sqrt(np.pi) * area)


def mean_field_hz() -> float:
    """The rate that reproduces itself.  Source: Brunel 2000, eqs. 20 to 25."""
    k_exc, k_inh = EXAMPLE["K"]["exc"], EXAMPLE["K"]["inh"]
    tau, j, g = EXAMPLE["TAU_M_MS"], EXAMPLE["J_MV"], EXAMPLE["G"]

    def excess(rate_hz: float) -> float:
        exc, inh = k_exc * (rate_hz + EXAMPLE["EXTERNAL_HZ"]) / 1000.0, k_inh * rate_hz / 1000.0
        mu, variance = tau * j * (exc - g * inh), tau * j**2 * (exc + g**2 * inh)
        return siegert_hz(mu, np.sqrt(variance), tau, EXAMPLE["V_TH_MV"], EXAMPLE["T_REF_MS"]) - rate_hz

    return float(brentq(excess, 0.1, 400.0))


def simulated_hz(seed: int, duration_ms: float) -> dict[str, float]:
    """Rates after the first 100 ms, the way from silence."""
    with Simulator(brunel(), seed=seed) as sim:
        sim.run(100.0 + duration_ms)
        assert sim.n_synapses == sum(N.values()) * 1250
        found = {name: sim.spikes(name)[0] for name in N}
    return {name: (steps >= 1000).sum() / N[name] / duration_ms * 1000.0 for name, steps in found.items()}


def test_the_config_file_says_the_same_as_the_script():
    assert load_config(EXAMPLES / "brunel.toml").network == brunel()


def test_the_theory_gives_the_published_figure():
    assert mean_field_hz() == pytest.approx(32.0, abs=0.05)


def test_the_theory_knows_regular_firing():
    """Without noise the rate has a closed form, tau ln(mu / (mu - threshold)) between spikes."""
    exact = 1000.0 / (2.0 + 20.0 * np.log(30.0 / 10.0))
    assert siegert_hz(30.0, 0.05, 20.0, 20.0, 2.0) == pytest.approx(exact, rel=1e-4)


def test_rate_of_the_full_network():
    for rate in simulated_hz(seed=1, duration_ms=200.0).values():
        assert 29.0 < rate < 34.0
        assert rate == pytest.approx(mean_field_hz(), rel=0.03)


@pytest.mark.full
def test_rate_over_seeds_and_seconds():
    rates = [rate for seed in (1, 2, 3) for rate in simulated_hz(seed, duration_ms=1000.0).values()]
    assert np.mean(rates) == pytest.approx(mean_field_hz(), rel=0.02)
    assert np.ptp(rates) < 1.0
