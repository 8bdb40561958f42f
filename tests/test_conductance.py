"""Conductance synapses: one step, its limit of small steps, drives, order of a step, and what is refused."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from snnsim import (
    IF,
    LIF,
    STDP,
    AdaptiveThreshold,
    AllToAll,
    ClippedNormal,
    Conductance,
    ConfigError,
    Current,
    Delta,
    Exponential,
    FileError,
    Network,
    Normal,
    OneToOne,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Simulator,
    SpikeTrains,
)
from snnsim.kernels.conductance import approach32, approach64

SYNAPSE = Conductance(tau_exc_ms=5.0, tau_inh_ms=10.0, e_exc_mv=0.0, e_inh_mv=-80.0)
CELL = LIF(
    tau_m_ms=20.0, c_m_pf=200.0, v_rest_mv=-60.0, v_th_mv=1e9, v_reset_mv=-60.0, i_bias_pa=30.0,
    v_init_mv=-57.0, synapse=SYNAPSE,
)  # fmt: skip


def cell(**fields: Any) -> LIF:
    parts = {k: fields.pop(k) for k in list(fields) if hasattr(SYNAPSE, k)}
    return CELL.replace(synapse=SYNAPSE.replace(**parts), **fields)


def traced(network: Network, duration_ms: float, dt_ms: float = 0.1, **options: Any) -> dict[str, np.ndarray]:
    with Simulator(network, dt_ms=dt_ms, threads=1, **options) as sim:
        sim.run(duration_ms)
        return {name: sim.samples(name)[1][:, 0] for name in network.probes}


def alone(neuron: LIF | IF, precision: str = "float64", **stimuli: Any) -> Network:
    probes = {name: Probe(target="a", variable=name) for name in ("v_mv", "g_exc_ns", "g_inh_ns")}
    return Network(
        populations={"a": Population(n=1, neuron=neuron)}, stimuli=stimuli, probes=probes, precision=precision
    )


# --- the exponential


@pytest.mark.parametrize(
    ("kernel", "dtype", "limit"), [(approach64, np.float64, 5e-16), (approach32, np.float32, 2e-7)]
)
def test_the_fraction_is_one_minus_an_exponential(kernel, dtype, limit):
    rng = np.random.default_rng(1)
    with mpmath.workprec(120):
        worst = 0.0
        for x in np.concatenate([10 ** rng.uniform(-20, 2, 3000), rng.uniform(0, 3, 3000)]).astype(dtype):
            part, whole = (mpmath.mpf(float(p)) for p in kernel(x))
            exact = -mpmath.expm1(-mpmath.mpf(float(x)))
            worst = max(worst, float(abs(part / whole / exact - 1)))
    assert 0.01 * limit < worst < limit
    assert kernel(dtype(1e30))[0] == kernel(dtype(1e30))[1]


# --- one neuron


def test_one_neuron_follows_the_formula():
    """In 50 digits, with conductances frozen within each step."""
    found = traced(alone(cell(g_exc_init_ns=40.0, g_inh_init_ns=150.0)), 30.0)
    with mpmath.workdps(50):
        dt, c, leak = mpmath.mpf("0.1"), 200, 10
        v, e, i = mpmath.mpf(-57), mpmath.mpf(40), mpmath.mpf(150)
        for step in range(300):
            assert found["v_mv"][step] == pytest.approx(float(v), rel=1e-13)
            assert found["g_exc_ns"][step] == pytest.approx(float(e), rel=1e-12)
            assert found["g_inh_ns"][step] == pytest.approx(float(i), rel=1e-12)
            total = leak + e + i
            rest = (leak * -60 + i * -80 + 30) / total
            v = rest + (v - rest) * mpmath.exp(-total * dt / c)
            e, i = e * mpmath.exp(-dt / 5), i * mpmath.exp(-dt / 10)


def test_without_leak_and_with_a_weak_one():
    """An integrator without conductance adds up its bias; single precision is no exception."""
    neuron = IF(c_m_pf=200.0, v_th_mv=1e9, v_reset_mv=0.0, i_bias_pa=50.0, synapse=SYNAPSE)
    for precision, close in (("float64", 1e-12), ("float32", 1e-4)):
        v = traced(alone(neuron, precision), 100.0)["v_mv"]
        np.testing.assert_allclose(v, np.arange(1000) * 0.1 * 50.0 / 200.0, rtol=close, atol=1e-30)
        weak = cell(tau_m_ms=1e40, v_init_mv=-60.0)
        v = traced(alone(weak, precision), 10.0)["v_mv"]
        np.testing.assert_allclose(v, -60.0 + np.arange(100) * 0.1 * 30.0 / 200.0, rtol=close)


def test_huge_conductances_clamp_the_potential():
    v = traced(alone(cell(g_exc_init_ns=1e9, i_bias_pa=0.0)), 1.0)["v_mv"]
    np.testing.assert_allclose(v[1:], 0.0, atol=1e-6)


def test_it_converges_to_the_differential_equation():
    """Of first order, since conductances are frozen at the start of each step."""
    start, rates = (40.0, 150.0), (1 / 5.0, 1 / 10.0)

    def slope(t: float, v: np.ndarray) -> np.ndarray:
        e, i = (g * np.exp(-t * rate) for g, rate in zip(start, rates, strict=True))
        return (10.0 * (-60.0 - v) + e * (0.0 - v) + i * (-80.0 - v) + 30.0) / 200.0

    exact = solve_ivp(slope, (0.0, 20.0), [-57.0], rtol=1e-11, atol=1e-11).y[0, -1]
    network = alone(cell(g_exc_init_ns=start[0], g_inh_init_ns=start[1]))
    errors = [abs(traced(network, 20.0 + dt, dt)["v_mv"][-1] - exact) for dt in (0.4, 0.2, 0.1, 0.05)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 0.05
    np.testing.assert_allclose(orders, 1.0, atol=0.1)


# --- arrivals


def joined(neuron: LIF, projection: dict[str, Any], **populations: Any) -> Network:
    """One spike of a source at 1 ms."""
    return Network(
        populations={"a": Population(n=1, neuron=neuron), **populations},
        stimuli={"s": SpikeTrains(n=1, times_ms=[1.0], ids=[0])},
        projections={"p": Projection(source="s", target="a", rule=AllToAll(), **projection)},
        probes={name: Probe(target="a", variable=name) for name in ("v_mv", "g_exc_ns", "g_inh_ns")},
    )


@pytest.mark.parametrize("receptor", ["exc", "inh"])
@pytest.mark.parametrize("delay_steps", [0, 1, 7])
def test_a_spike_adds_its_weight_to_the_named_conductance(receptor, delay_steps):
    """Added before the step is taken: it acts, and has decayed by a step, at the next sample."""
    neuron = cell(v_init_mv=-60.0, i_bias_pa=0.0)
    found = traced(
        joined(neuron, {"weight_ns": 6.0, "receptor": receptor, "delay_ms": delay_steps * 0.1}), 3.0
    )
    at = 10 + delay_steps
    tau, level = (5.0, 0.0) if receptor == "exc" else (10.0, -80.0)
    other = "inh" if receptor == "exc" else "exc"
    assert not found[f"g_{other}_ns"].any()
    g = found[f"g_{receptor}_ns"]
    assert not g[: at + 1].any()
    assert g[at + 1] == pytest.approx(6.0 * np.exp(-0.1 / tau), rel=1e-14)
    total = 16.0
    rest = (10.0 * -60.0 + 6.0 * level) / total
    after = rest + (-60.0 - rest) * np.exp(-total * 0.1 / 200.0)
    assert found["v_mv"][at] == -60.0
    assert found["v_mv"][at + 1] == pytest.approx(after, rel=1e-14)


def test_levels_without_delay_and_refractoriness():
    """A spike passes two populations within its step; conductances go on decaying while v is held."""
    neuron = cell(v_th_mv=-55.0, v_init_mv=-60.0, i_bias_pa=0.0, t_ref_ms=1.0)
    strong = {"weight_ns": 1e4, "receptor": "exc", "delay_ms": 0.0}
    network = joined(neuron, strong, b=Population(n=1, neuron=neuron))
    second = Projection(source="a", target="b", rule=OneToOne(), **strong)
    network = network.replace(
        projections={**network.projections, "q": second},
        probes={**network.probes, "a": Probe(target="a"), "b": Probe(target="b")},
    )
    with Simulator(network) as sim:
        sim.run(4.0)
        assert sim.spikes("a")[0].tolist() == sim.spikes("b")[0].tolist() == [10, 21, 32]
        v, g = sim.samples("v_mv")[1][:, 0], sim.samples("g_exc_ns")[1][:, 0]
    assert (v[11:22] == -60.0).all()
    np.testing.assert_allclose(g[11:] / 1e4, np.exp(-0.1 / 5.0 * np.arange(1, g.size - 10)), rtol=1e-12)


def test_adaptive_threshold_subtraction_and_current_at_once():
    adaptive = AdaptiveThreshold(theta_plus_mv=1.0, tau_theta_ms=1e9)
    neuron = cell(v_th_mv=-55.0, v_init_mv=-60.0, reset="subtract", threshold=adaptive)
    network = alone(neuron, step=Current(target="a", amplitude_pa=[400.0]))
    probes = {"a": Probe(target="a"), "theta": Probe(target="a", variable="theta_mv")}
    network = network.replace(probes=probes)
    with Simulator(network) as sim:
        sim.run(100.0)
        theta, spikes = sim.samples("theta")[1][:, 0], sim.spikes("a")[0]
    assert spikes.size > 5
    assert theta[-1] == pytest.approx(np.sum(spikes < 999), rel=1e-6)
    assert (np.diff(spikes)[1:] >= np.diff(spikes)[:-1]).all()


@pytest.mark.parametrize("receptor", ["exc", "inh"])
def test_poisson_drive(receptor):
    """Campbell: the mean of a conductance is rate tau weight, as arrivals are spread over steps."""
    drive = PoissonDrive(target="a", n_inputs=100, rate_hz=50.0, weight_ns=0.5, receptor=receptor)
    network = Network(
        populations={"a": Population(n=400, neuron=CELL)}, stimuli={"d": drive},
        probes={g: Probe(target="a", variable=f"g_{g}_ns", every_ms=100.0) for g in ("exc", "inh")},
    )  # fmt: skip
    with Simulator(network, seed=3) as sim:
        sim.run(1000.1)
        g = {name: sim.samples(name)[1] for name in ("exc", "inh")}
    other = "inh" if receptor == "exc" else "exc"
    assert not g[other].any()
    decay = np.exp(-0.1 / (5.0 if receptor == "exc" else 10.0))
    per_step = 100 * 50.0 * 1e-4
    mean, variance = 0.5 * per_step * decay / (1 - decay), 0.25 * per_step * decay**2 / (1 - decay**2)
    late = g[receptor][2:]
    assert late.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / late.size))
    assert late.var() == pytest.approx(variance, rel=0.1)


def test_start_values_are_drawn_and_clipped():
    drawn = ClippedNormal(mean=20.0, std=20.0, low=0.0, high=50.0)
    network = Network(
        populations={"a": Population(n=4000, neuron=cell(g_inh_init_ns=drawn))},
        probes={"g": Probe(target="a", variable="g_inh_ns")},
    )
    with Simulator(network) as sim:
        assert sim.program.parameters.shared.tolist() == [1]  # start values do not make parameters differ
        sim.run(0.1)
        g = sim.samples("g")[1][0]
    for bound, expected in ((0.0, 0.1587), (50.0, 0.0668)):
        assert np.mean(g == bound) == pytest.approx(expected, abs=0.025)
    assert np.median(g) == pytest.approx(20.0, abs=1.5)


# --- checkpoints


def test_a_checkpoint_goes_on_and_a_negative_conductance_is_refused(tmp_path):
    drive = PoissonDrive(target="a", rate_hz=500.0, weight_ns=5.0, receptor="exc")
    network = alone(cell(v_th_mv=-50.0), d=drive)
    with Simulator(network) as whole, Simulator(network) as first, Simulator(network) as second:
        whole.run(50.0)
        first.run(20.0)
        first.save(tmp_path / "checkpoint")
        second.resume(tmp_path / "checkpoint")
        second.run(30.0)
        assert second.digest() == whole.digest()
        first.program.cells.current[0] = -1.0
        first.save(tmp_path / "broken")
        with pytest.raises(FileError, match=r"cells/current.*conductances of a >= 0"):
            second.resume(tmp_path / "broken")


# --- bad input


def onto(neuron: LIF, **fields: Any) -> Network:
    return Network(
        populations={"a": Population(n=1, neuron=neuron)},
        projections={"p": Projection(source="a", target="a", rule=AllToAll(), delay_ms=1.0, **fields)},
    )


BAD_PROJECTIONS = [
    ({"weight_pa": 1.0}, r"projections\.p\.weight_pa: a has conductance synapses.*give weight_ns"),
    ({"weight_mv": 1.0}, r"projections\.p\.weight_mv: a has conductance synapses.*give weight_ns"),
    ({"weight_ns": 1.0}, r"projection\.receptor: a key is missing.*add receptor"),
    ({"weight_ns": -1.0, "receptor": "inh"}, r"weight_ns: out of range"),
    ({"weight_ns": Normal(mean=1.0, std=0.1), "receptor": "exc"}, r"weight_ns: the distribution can leave"),
    ({"weight_ns": 1.0, "weight_pa": 1.0, "receptor": "exc"}, "weight_pa and weight_ns exclude each other"),
    ({}, "exactly one of weight_pa, weight_mv, weight_ns"),
    (
        {"weight_ns": 1.0, "receptor": "exc", "plasticity": STDP(
            tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=0.1, a_minus=0.1, w_min=-1.0, w_max=2.0)},
        r"plasticity\.w_min: a conductance must stay >= 0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD_PROJECTIONS)
def test_projections_that_are_refused(fields, message):
    with pytest.raises(ConfigError, match=f"(?i){message}"):
        onto(CELL, **fields)


@pytest.mark.parametrize(
    ("synapse", "right"), [(Delta(), "weight_mv"), (Exponential(tau_exc_ms=5.0, tau_inh_ms=5.0), "weight_pa")]
)
def test_conductances_onto_other_synapses(synapse, right):
    neuron = CELL.replace(synapse=synapse)
    with pytest.raises(ConfigError, match=rf"projections\.p\.weight_ns: a has {synapse.KIND}.*give {right}"):
        onto(neuron, weight_ns=1.0, receptor="exc")
    drive = PoissonDrive(target="a", rate_hz=1.0, weight_ns=1.0, receptor="exc")
    with pytest.raises(ConfigError, match=rf"stimuli\.d\.weight_ns: a has {synapse.KIND}.*give {right}"):
        Network(populations={"a": Population(n=1, neuron=neuron)}, stimuli={"d": drive})
    with pytest.raises(ConfigError, match=r"no conductance"):
        alone(neuron)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_pa": 1.0}, r"stimuli\.d\.weight_pa: a has conductance"),
        ({"weight_ns": 1.0}, r"receptor: a key is missing"),
        ({"weight_ns": -1.0, "receptor": "exc"}, r"weight_ns: out of range"),
    ],
)
def test_drives_that_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        alone(CELL, d=PoissonDrive(target="a", rate_hz=1.0, **fields))


def test_currents_of_conductances_are_not_recorded():
    with pytest.raises(ConfigError, match=r"currents are not kept.*g_inh_ns"):
        alone(CELL).replace(probes={"i": Probe(target="a", variable="i_inh_pa")})


@pytest.mark.parametrize("value", [-1.0, Normal(mean=1.0, std=1.0)])
def test_negative_start(value):
    with pytest.raises(ConfigError, match="g_exc_init_ns"):
        cell(g_exc_init_ns=value)
