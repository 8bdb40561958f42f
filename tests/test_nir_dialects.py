"""Every dialect against the recorded trace of its simulator: 1,000 steps of one neuron, NIR paper 01_lif."""

import numpy as np
import pytest
from nir_examples import FIXTURES, chain, lif, needs_fixtures, node, save

from snnsim.converters.nir_dialects import DIALECTS
from snnsim.converters.nir_read import read_nir
from snnsim.errors import ConfigError, ConversionError
from snnsim.probe import Probe
from snnsim.simulator import Simulator
from snnsim.stimuli import SpikeTrains

# trace, dialect, file, unit of the trace, largest error over largest potential
TRACES = [
    ("exact", "exact", "norse", 1.0, 7e-3),  # sampled from a simulation in continuous time
    ("nengo", "nengo", "norse", 10.0, 5e-7),  # in thresholds; its float32 threshold sets the error
    ("norse", "norse", "norse", 1.0, 5e-7),
    ("snntorch", "snntorch", "norse", 25.0, 5e-7),  # of dt / tau
    ("spinnaker2", "spinnaker2", "norse", 25.0 * 0.99980396, 5e-7),
    ("sinabs", "sinabs", "rockpool", 1.0, 5e-7),  # the file with the weight of 0.04 that its input had
    ("rockpool", "rockpool", "rockpool", 1.0, 5e-7),
    ("spyx", "spyx", "norse", 1.0, 5e-7),
    ("lava_cpu_float", "lava", "norse", 1.0, 2e-3),
    ("lava_cpu_fixed", "loihi", "norse", 16000.0, 1e-2),  # whole numbers up to 1,600
    ("lava_loihi_fixed", "loihi", "norse", 16000.0, 1e-1),  # the chip shows another potential after a spike
]


def run(file, dialect: str, times: np.ndarray, n_steps: int = 1000):
    """(potential after each step, steps of spikes, network)"""
    source = SpikeTrains(n=1, times_ms=times * 0.1, ids=np.zeros(times.size, int))
    network = read_nir(file, dt_ms=0.1, dialect=dialect, inputs={"input": source})
    (name,) = network.populations
    network = network.replace(probes={"v": Probe(target=name, variable="v_mv"), name: Probe(target=name)})
    with Simulator(network, dt_ms=0.1, threads=1) as simulator:
        simulator.run_steps(n_steps + 1)
        steps, _ = simulator.spikes(name)
        return simulator.samples("v")[1][1:, 0].copy(), steps[steps < n_steps], network


@needs_fixtures
@pytest.mark.parametrize(("trace", "dialect", "file", "unit", "tolerance"), TRACES)
def test_trace(trace: str, dialect: str, file: str, unit: float, tolerance: float) -> None:
    given, expected, fired = np.loadtxt(FIXTURES / "01_lif" / f"lif_{trace}.csv", delimiter=",").T
    path = FIXTURES / "01_lif" / f"lif_{file}.nir"
    found, steps, network = run(path, dialect, np.flatnonzero(given))
    emission = DIALECTS[dialect].emission
    np.testing.assert_array_equal(steps + emission, np.flatnonzero(fired))
    if DIALECTS[dialect].late_reset:  # its potential is shown before the reset, ours after it
        (neuron,) = (p.neuron for p in network.populations.values())
        found[steps] += neuron.v_th_mv - neuron.v_reset_mv
    expected = expected / unit
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= tolerance


@needs_fixtures
def test_a_wrong_reset_is_seen() -> None:
    given, expected, _ = np.loadtxt(FIXTURES / "01_lif" / "lif_norse.csv", delimiter=",").T
    found, _, _ = run(FIXTURES / "01_lif" / "lif_norse.nir", "spyx", np.flatnonzero(given))
    assert np.abs(found - expected).max() > 1e-3


def reference(dialect: str, x: np.ndarray, tau: float, dt: float, theta: float):
    """The table of nir_dialects.py, one step after the other."""
    ratio = dt / tau
    exact = dialect in ("exact", "nengo", "sinabs", "rockpool")
    d = np.exp(-ratio) if exact else 1 - ratio
    g = 1.0 if dialect in ("sinabs", "rockpool") else 1 - d
    v, shown, spikes = 0.0, [], []
    for t, value in enumerate(x):
        v = d * v + g * value
        if v > theta:
            spikes.append(t)
            v = v - theta if dialect in ("exact", "sinabs", "rockpool") else 0.0
        shown.append(v)
    return np.array(shown), spikes


@pytest.mark.parametrize("dialect", ["exact", "nengo", "norse", "snntorch", "sinabs", "rockpool"])
@pytest.mark.parametrize("weight", [0.3, 3.0])
def test_lif_step_by_step(dialect: str, weight: float, tmp_path) -> None:
    tau, dt, theta = 0.001, 1e-4, 0.5
    neuron = lif(1, tau=tau, v_threshold=theta)
    file = save(tmp_path / "a.nir", chain(node("Linear", weight=[[weight]]), neuron))
    times = np.flatnonzero(np.random.default_rng(3).random(300) < 0.4)
    x = np.zeros(300)
    x[times] = weight
    shown, spikes = reference(dialect, x, tau, dt, theta)
    found, steps, _ = run(file, dialect, times, 300)
    assert steps.tolist() == spikes
    np.testing.assert_allclose(found, shown, rtol=0, atol=1e-12)


def test_current_based_euler(tmp_path) -> None:
    """I <- a I + w_in (1 - a) x; v <- d v + (1 - d) r I, also for the bias, from the first step on."""
    tau_syn, tau_mem, dt, r, w_in, bias = 0.0005, 0.001, 1e-4, 2.0, 3.0, 0.1
    values = {"tau_syn": [tau_syn], "tau_mem": [tau_mem], "r": [r], "v_leak": [0.0], "v_threshold": [0.5],
              "w_in": [w_in]}  # fmt: skip
    affine = node("Affine", weight=[[1.0]], bias=[bias])
    file = save(tmp_path / "a.nir", chain(affine, node("CubaLIF", **values)))
    times = np.flatnonzero(np.random.default_rng(4).random(200) < 0.3)
    a, d = 1 - dt / tau_syn, 1 - dt / tau_mem
    current, v, shown, spikes = 0.0, 0.0, [], []
    for t in range(200):
        current = a * current + w_in * (1 - a) * ((t in times) + bias)
        v = d * v + (1 - d) * r * current
        if v > 0.5:
            spikes.append(t)
            v = 0.0
        shown.append(v)
    found, steps, _ = run(file, "snntorch", times, 200)
    assert steps.tolist() == spikes
    assert len(spikes) > 5
    np.testing.assert_allclose(found, shown, rtol=0, atol=1e-12)


def test_exact_current_based_gives_the_charge_of_a_step(tmp_path) -> None:
    values = {"tau_syn": [0.002], "tau_mem": [0.01], "r": [2.0], "v_leak": [0.0]}
    file = save(tmp_path / "a.nir", chain(node("Linear", weight=[[5.0]]), node("CubaLI", **values)))
    found, steps, _ = run(file, "exact", np.array([0]), 5000)
    assert not steps.size
    # The integral of v is r times the charge: 2 * 5 * dt.
    np.testing.assert_allclose(found.sum() * 1e-4, 2 * 5 * 1e-4, rtol=1e-2)


def test_fires_above_the_threshold_only(tmp_path) -> None:
    """IF: v reaches 1.0 exactly after two spikes of 0.5, and fires with the third."""
    file = save(
        tmp_path / "a.nir",
        chain(node("Linear", weight=[[0.5]]), node("IF", r=[1.0], v_threshold=[1.0], v_reset=[0.0])),
    )
    _, steps, _ = run(file, "norse", np.arange(5), 10)
    assert steps.tolist() == [2]


def test_euler_step_longer_than_tau_is_refused(tmp_path) -> None:
    file = save(tmp_path / "a.nir", chain(lif(1, tau=1e-4)))
    with pytest.raises(ConversionError, match=r"0 \(LIF\): tau = 0.1 ms is no decay"):
        read_nir(file, dt_ms=0.1, dialect="norse")


def test_unknown_dialect(tmp_path) -> None:
    with pytest.raises(ConfigError, match="did you mean norse"):
        read_nir(save(tmp_path / "a.nir", chain(lif(1))), dt_ms=0.1, dialect="nose")
