"""Times and the grid of steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnsim import (
    IF,
    LIF,
    STDP,
    AllToAll,
    ConfigError,
    Current,
    Images,
    LogNormal,
    Network,
    Normal,
    Normalisation,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    SpikeTrains,
    Uniform,
)
from snnsim.grid import STEP_LIMIT, check_grid, to_step_array, to_steps

CELL = IF(v_th_mv=10.0, v_reset_mv=0.0)


@given(st.integers(0, 10**11), st.sampled_from([0.1, 0.05, 0.125, 1.0, 0.3, 1e-6, 1000.0]))
def test_multiples_are_found_exactly(step, dt_ms):
    assert to_steps(step * dt_ms, dt_ms, "x") == step


@pytest.mark.parametrize("off", [2e-6, 0.3, 0.5, 0.999997])
def test_what_lies_off_the_grid_is_refused_with_its_neighbours(off):
    with pytest.raises(ConfigError, match=r"run\.x: not a multiple of dt_ms = 0\.1; .*1\.5 or 1\.6 ms"):
        to_steps((15 + off) * 0.1, 0.1, "run.x")


@pytest.mark.parametrize("off", [-9e-7, 9e-7])
def test_what_lies_close_is_taken(off):
    assert to_steps((15 + off) * 0.1, 0.1, "x") == 15


def test_at_least_so_many_steps():
    assert to_steps(0.1, 0.1, "x", least=1) == 1
    with pytest.raises(ConfigError, match=r"x: too short; got 0\.0, expected 0\.1 ms"):
        to_steps(0.0, 0.1, "x", least=1)
    with pytest.raises(ConfigError, match=r"not a multiple.*expected 0\.1 ms"):
        to_steps(0.05, 0.1, "x", least=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "1", None, True, 10**400])
def test_no_time_at_all(value):
    with pytest.raises(ConfigError):
        to_steps(value, 0.1, "x")


def test_more_steps_than_can_be_counted():
    assert to_steps(float(STEP_LIMIT), 1.0, "x") == STEP_LIMIT
    for ms, dt_ms in ((float(2 * STEP_LIMIT), 1.0), (1e308, 1e-6)):
        with pytest.raises(ConfigError, match="more steps than can be counted"):
            to_steps(ms, dt_ms, "x")


def test_many_times_at_once():
    steps = to_step_array(np.array([[0.0, 0.3], [1.2, 0.1]]), 0.1, "x")
    assert steps.dtype == np.int64
    assert steps.tolist() == [[0, 3], [12, 1]]
    assert to_step_array(np.empty(0), 0.1, "x").size == 0
    with pytest.raises(ConfigError, match=r"got 0\.25"):
        to_step_array(np.array([0.1, 0.25, 0.35]), 0.1, "x")


def network(**tables):
    populations = tables.pop("populations", {"a": Population(n=2, neuron=CELL)})
    return Network(populations=populations, **tables)


def joined(source="a", target="a", **fields):
    return Projection(source=source, target=target, rule=AllToAll(), weight_mv=1.0, **fields)


FAULTS = {
    "populations.a.neuron.t_ref_ms": [
        {"populations": {"a": Population(n=2, neuron=CELL.replace(t_ref_ms=t))}} for t in (0.25, [0.1, 0.15])
    ],
    "projections.p.delay_ms": [
        {"projections": {"p": joined(delay_ms=delay)}}
        for delay in (
            0.25,
            0.0,
            Uniform(low=0.0, high=1.0),
            Normal(mean=1.0, std=1.0, low=0.05),
            LogNormal(mean=1.0, std=1.0),
        )
    ],
    "projections.p.normalisation.every_ms": [
        {"projections": {"p": joined(delay_ms=1.0, normalisation=Normalisation(total=1.0, every_ms=t))}}
        for t in (0.25, 1e-9)
    ],
    "stimuli.s.start_ms": [{"stimuli": {"s": Poisson(n=1, rate_hz=1.0, start_ms=0.33)}}],
    "stimuli.s.stop_ms": [
        {"stimuli": {"s": PoissonDrive(target="a", rate_hz=1.0, weight_mv=1.0, stop_ms=0.33)}}
    ],
    "stimuli.s.times_ms": [
        {"stimuli": {"s": SpikeTrains(n=1, times_ms=[0.1, 0.11], ids=[0, 0])}},
        {"stimuli": {"s": Current(target="a", amplitude_pa=[1.0], times_ms=[0.01])}},
    ],
    "stimuli.s.present_ms": [
        {"stimuli": {"s": Images(dataset="digits", present_ms=t)}} for t in (0.25, 0.01)
    ],
    "stimuli.s.rest_ms": [{"stimuli": {"s": Images(dataset="digits", present_ms=1.0, rest_ms=0.01)}}],
    "stimuli.s.max_rate_hz": [
        {"stimuli": {"s": Images(dataset="digits", present_ms=1.0, max_rate_hz=10_001.0)}}
    ],
    "stimuli.s.rate_hz": [
        {"stimuli": {"s": Poisson(n=2, rate_hz=rate)}}
        for rate in (10_001.0, [1.0, 10_001.0], Uniform(low=0.0, high=20_000.0), LogNormal(mean=1.0, std=1.0))
    ]
    + [{"stimuli": {"s": PoissonDrive(target="a", n_inputs=10**6, rate_hz=6.0, weight_mv=1.0)}}],
    "probes.p.every_ms": [
        {"probes": {"p": Probe(target="a", variable="v_mv", every_ms=t)}} for t in (0.25, 0.01)
    ],
}


@pytest.mark.parametrize(("where", "tables"), [(w, t) for w, many in FAULTS.items() for t in many])
def test_faults_name_the_key(where, tables):
    with pytest.raises(ConfigError) as caught:
        check_grid(network(**tables), 0.1)
    assert caught.value.where == where
    assert caught.value.expected


GOOD = [
    {"populations": {"a": Population(n=2, neuron=CELL.replace(t_ref_ms=Uniform(low=0.0, high=1.23)))}},
    {"projections": {"p": joined(delay_ms=Uniform(low=0.1, high=1.0))}},
    {"stimuli": {"s": Poisson(n=1, rate_hz=10_000.0, start_ms=0.3)}},
    {"stimuli": {"s": Images(dataset="digits", present_ms=0.1, rest_ms=0.3, max_rate_hz=10_000.0)}},
    {"stimuli": {"s": Images(dataset="digits", present_ms=0.1, max_rate_hz=1e6, coding="latency")}},
    {"stimuli": {"s": PoissonDrive(target="a", n_inputs=1000, rate_hz=5000.0, weight_mv=1.0)}},
]


@pytest.mark.parametrize("tables", GOOD)
def test_what_is_right_passes(tables):
    check_grid(network(**tables), 0.1, 100.0)


def test_traces_do_not_decay_too_fast_to_compute_with():
    rule = STDP(tau_plus_ms=1e-310, tau_minus_ms=20.0, a_plus=0.1, a_minus=0.1, w_max=2.0)
    with pytest.raises(ConfigError, match=r"projections\.p\.plasticity\.tau_plus_ms: too small"):
        check_grid(network(projections={"p": joined(delay_ms=0.1, plasticity=rule)}), 0.1)


def test_the_duration_is_checked():
    for duration_ms in (0.25, 1e300):
        with pytest.raises(ConfigError, match=r"run\.duration_ms"):
            check_grid(network(), 0.1, duration_ms)


def chain(*pairs, delay_ms=0.0):
    names = sorted({name for pair in pairs for name in pair})
    return network(
        populations={name: Population(n=2, neuron=CELL) for name in names},
        projections={f"{a}_{b}": joined(a, b, delay_ms=delay_ms) for a, b in pairs},
    )


def test_zero_delays_may_form_a_chain_but_no_cycle():
    check_grid(chain("ab", "bc", "ac", "cd", "bd"), 0.1)
    check_grid(chain("ab", "bc", "ca", delay_ms=0.1), 0.1)
    check_grid(chain(*[(f"n{k:04}", f"n{k + 1:04}") for k in range(3000)]), 0.1)
    for pairs, path in (
        (["aa"], "a -a_a-> a"),
        (["ab", "ba"], "a -a_b-> b -b_a-> a"),
        (["da", "ab", "bc", "cb"], "b -b_c-> c -c_b-> b"),
        (["ac", "ab", "bd", "da"], "a -a_b-> b -b_d-> d -d_a-> a"),
    ):
        with pytest.raises(ConfigError, match=f"form a cycle: {path};"):
            check_grid(chain(*pairs), 0.1)


@pytest.mark.parametrize(
    ("key", "value"), [("tau_m_ms", 1e-310), ("tau_m_ms", [20.0, 1e-300]), ("c_m_pf", 1e-310)]
)
def test_what_a_step_is_divided_by_is_not_too_small(key, value):
    cell = {"tau_m_ms": 20.0, "v_rest_mv": 0.0, "v_th_mv": 1.0, "v_reset_mv": 0.0, key: value}
    net = Network(populations={"a": Population(n=2, neuron=LIF(**cell))})
    with pytest.raises(ConfigError, match=rf"populations\.a\.neuron\.{key}: too small"):
        check_grid(net, 0.1)
