"""The scripts for other simulators run the networks of examples/: every parameter is compared."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks" / "peers"))

import parameters  # noqa: E402


def example(name: str) -> Any:
    """The function of that name in the example of that name."""
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))[name]


@pytest.mark.parametrize("background", ["poisson", "dc"])
@pytest.mark.parametrize("scale", [0.1, 0.37, 1.0])
def test_peers_run_our_microcircuit(scale, background):
    ours, theirs = example("microcircuit")(scale, background), parameters.pd14(scale, background)
    assert {name: population.n for name, population in ours.populations.items()} == theirs["n"]
    names = list(theirs["n"])
    found = np.zeros((8, 8), dtype=int)
    for projection in ours.projections.values():
        t, s = names.index(projection.target), names.index(projection.source)
        found[t, s] = projection.rule.n
        assert projection.weight_pa.mean == pytest.approx(theirs["weight_pa"][t, s], rel=1e-12)
        assert projection.weight_pa.std == pytest.approx(
            abs(theirs["weight_pa"][t, s]) * parameters.PD14["weight_std"], rel=1e-12
        )
        delay = parameters.PD14["delay_exc_ms" if theirs["weight_pa"][t, s] > 0 else "delay_inh_ms"]
        # An input of NEST acts one step later after the same delay.
        assert projection.delay_ms.mean == pytest.approx(delay + parameters.DT_MS, rel=1e-12)
        assert projection.delay_ms.std == 0.5 * delay
        assert projection.delay_ms.low == pytest.approx(1.5 * parameters.DT_MS, rel=1e-12)
    np.testing.assert_array_equal(found, theirs["synapses"])
    for k, population in enumerate(ours.populations.values()):
        cell = population.neuron
        assert cell.i_bias_pa == pytest.approx(theirs["current_pa"][k], rel=1e-12)
        assert (cell.v_init_mv.mean, cell.v_init_mv.std) == parameters.PD14_START_MV[k]
        for key in ("c_m_pf", "tau_m_ms", "t_ref_ms", "v_rest_mv", "v_th_mv", "v_reset_mv"):
            assert getattr(cell, key) == parameters.PD14[key]
        assert cell.synapse.tau_exc_ms == parameters.PD14["tau_syn_ms"]
    for drive in ours.stimuli.values():
        assert drive.weight_pa == pytest.approx(theirs["external_pa"], rel=1e-12)
        assert drive.n_inputs * drive.rate_hz == theirs["external_hz"][names.index(drive.target)]


def test_peers_run_our_cuba():
    network, theirs = example("cuba")(), parameters.CUBA
    assert {name: population.n for name, population in network.populations.items()} == parameters.VOGELS_N
    cell = network.populations["exc"].neuron
    for key in ("tau_m_ms", "v_rest_mv", "v_th_mv", "v_reset_mv"):
        assert getattr(cell, key) == theirs[key]
    assert (cell.synapse.tau_exc_ms, cell.synapse.tau_inh_ms) == (theirs["tau_exc_ms"], theirs["tau_inh_ms"])
    # A cell of Brian2 is free one step earlier.
    assert cell.t_ref_ms == pytest.approx(theirs["t_ref_ms"] - parameters.DT_MS)
    for projection in network.projections.values():
        assert projection.rule.p == parameters.VOGELS_P
        # As many pF as tau_m has ms: 1 pA is 1 mV of the term g.
        assert projection.weight_pa == theirs[f"w_{projection.source}_mv"]


def test_peers_run_our_coba():
    network, theirs, start = example("coba")(), parameters.COBA, parameters.COBA_START
    assert {name: population.n for name, population in network.populations.items()} == parameters.VOGELS_N
    for population in network.populations.values():
        cell = population.neuron
        for key in ("c_m_pf", "v_rest_mv", "v_th_mv", "v_reset_mv"):
            assert getattr(cell, key) == theirs[key]
        for key in ("tau_exc_ms", "tau_inh_ms", "e_exc_mv", "e_inh_mv"):
            assert getattr(cell.synapse, key) == theirs[key]
        assert cell.c_m_pf / cell.tau_m_ms == theirs["g_l_ns"]
        assert cell.t_ref_ms == pytest.approx(theirs["t_ref_ms"] - parameters.DT_MS)
        assert (cell.v_init_mv.mean, cell.v_init_mv.std) == start["v_mv"]
        for key in ("exc", "inh"):
            drawn = getattr(cell.synapse, f"g_{key}_init_ns")
            assert (drawn.KIND, drawn.mean, drawn.std, drawn.low) == (
                "clipped_normal",
                *start[f"g_{key}_ns"],
                0.0,
            )
    for projection in network.projections.values():
        assert projection.rule.p == parameters.VOGELS_P
        assert projection.receptor == projection.source
        assert projection.weight_ns == theirs[f"w_{projection.source}_ns"]


@pytest.mark.parametrize("plastic", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_peers_run_our_brunel(scale, plastic):
    network, theirs = example("brunel_10k")(scale, plastic), parameters.BRUNEL
    sizes = {name: population.n for name, population in network.populations.items()}
    assert sizes == parameters.cells(parameters.BRUNEL_N, scale)
    for population in network.populations.values():
        assert population.neuron.v_rest_mv == 0.0
        for key in ("tau_m_ms", "v_th_mv", "v_reset_mv", "t_ref_ms"):
            assert getattr(population.neuron, key) == theirs[key]
    weights = {"exc": theirs["j_mv"], "inh": -theirs["g"] * theirs["j_mv"]}
    for projection in network.projections.values():
        assert projection.rule.n == parameters.BRUNEL_K[projection.source]
        assert projection.weight_mv == weights[projection.source]
        assert projection.delay_ms == theirs["delay_ms"]
        learns = plastic and projection.source == projection.target == "exc"
        assert (projection.plasticity is not None) is learns
    for drive in network.stimuli.values():
        assert (drive.n_inputs, drive.rate_hz) == (theirs["n_external"], theirs["external_hz"])
        assert drive.weight_mv == theirs["j_mv"]
    if plastic:
        rule, s = network.projections["exc_exc"].plasticity, parameters.BRUNEL_STDP
        assert (rule.dependence, rule.pairing, rule.w_min) == ("multiplicative", "all", 0.0)
        assert (rule.tau_plus_ms, rule.tau_minus_ms) == (s["tau_plus_ms"], s["tau_minus_ms"])
        assert (rule.a_plus, rule.w_max) == (s["lambda"], s["w_max_mv"])
        assert rule.a_minus == pytest.approx(s["lambda"] * s["alpha"], rel=1e-12)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_peers_run_our_million_learning_synapses(scale):
    network, theirs = example("stdp_1m")(scale), parameters.STDP_1M
    (cells,), (sources,) = network.populations.values(), network.stimuli.values()
    (projection,) = network.projections.values()
    assert cells.n == parameters.cells({"cells": parameters.STDP_1M_CELLS}, scale)["cells"]
    assert (sources.n, sources.rate_hz) == (cells.n * parameters.STDP_1M_SYNAPSES, theirs["rate_hz"])
    own = projection.rule.source // parameters.STDP_1M_SYNAPSES
    np.testing.assert_array_equal(projection.rule.target, own)
    for key in ("tau_m_ms", "v_rest_mv", "v_th_mv", "v_reset_mv"):
        assert getattr(cells.neuron, key) == theirs[key]
    assert cells.neuron.t_ref_ms == 0.0
    assert cells.neuron.synapse.tau_exc_ms == theirs["tau_syn_ms"]
    # As many pF as tau_m has ms: 1 pA is 1 mV.
    assert cells.neuron.c_m_pf == theirs["tau_m_ms"]
    rule, w_max_pa = projection.plasticity, theirs["w_max"] * theirs["drive_mv"]
    assert rule.w_max == projection.weight_pa.high == pytest.approx(w_max_pa, rel=1e-12)
    assert (rule.w_min, projection.weight_pa.low) == (0.0, 0.0)
    assert (rule.dependence, rule.pairing) == ("additive", "all")
    assert (rule.tau_plus_ms, rule.tau_minus_ms) == (theirs["tau_plus_ms"], theirs["tau_minus_ms"])
    assert (rule.a_plus, rule.a_minus) == pytest.approx((theirs["a_plus"], theirs["a_minus"]), rel=1e-12)
