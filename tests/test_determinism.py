"""The promise: the same network, dt and seed give the same bits, however they are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strategies import networks, weights_to_record

from snnsim import (
    LIF,
    STDP,
    AdaptiveThreshold,
    Exponential,
    FixedInDegree,
    Network,
    Normal,
    Normalisation,
    Poisson,
    Population,
    Probe,
    Projection,
    Simulator,
    Uniform,
)

N_RANGES = 5  # more than the network would choose for its size, so that several threads really share it
N_STEPS = 60
DT_MS = 0.1
many = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def build(network: Network, threads: int, n_ranges: int = N_RANGES, seed: int = 7) -> Simulator:
    return Simulator(network, dt_ms=DT_MS, seed=seed, threads=threads, n_ranges=n_ranges)


def run_split(sim: Simulator, cuts: list[int], end: int = N_STEPS) -> Simulator:
    for cut in sorted(c for c in cuts if sim.step < c <= end):
        sim.run_steps(max(0, cut - sim.step))
    sim.run_steps(end - sim.step)
    return sim


def learning_network(precision: str = "float64") -> Network:
    """300 neurons with everything that has state: traces, weights, theta, delays, noise, samples."""
    neuron = LIF(
        tau_m_ms=15.0, c_m_pf=200.0, v_rest_mv=-65.0, v_th_mv=-52.0, v_reset_mv=-65.0, t_ref_ms=1.0,
        i_bias_pa=Uniform(low=230.0, high=400.0), v_init_mv=Uniform(low=-65.0, high=-52.0),
        synapse=Exponential(tau_exc_ms=3.0, tau_inh_ms=8.0),
        threshold=AdaptiveThreshold(theta_plus_mv=0.2, tau_theta_ms=50.0),
    )  # fmt: skip
    stdp = STDP(tau_plus_ms=15.0, tau_minus_ms=25.0, a_plus=0.02, a_minus=0.021, w_max=80.0)
    nearest = stdp.replace(pairing="nearest", dependence="multiplicative")
    ten, twenty = FixedInDegree(n=10), FixedInDegree(n=20)
    delay = Normal(mean=1.5, std=0.8, low=0.1, high=3.0)
    return Network(
        populations={"exc": Population(n=240, neuron=neuron), "inh": Population(n=60, neuron=neuron)},
        stimuli={"noise": Poisson(n=100, rate_hz=60.0)},
        projections={
            "in": Projection(
                source="noise", target="exc", rule=FixedInDegree(n=15), weight_pa=Uniform(low=0.0, high=60.0),
                delay_ms=0.5, plasticity=stdp, normalisation=Normalisation(total=450.0, every_ms=7.0),
            ),
            "ee": Projection(
                source="exc", target="exc", rule=twenty, weight_pa=Uniform(low=0.0, high=40.0),
                delay_ms=delay, plasticity=nearest,
            ),
            "ei": Projection(source="exc", target="inh", rule=twenty, weight_pa=30.0, delay_ms=delay),
            "ie": Projection(source="inh", target="exc", rule=ten, weight_pa=-15.0, delay_ms=delay),
        },
        probes={
            "spikes": Probe(target="exc"), "noise": Probe(target="noise"),
            "v": Probe(target="inh", variable="v_mv", every_ms=0.3, ids=[0, 7, 59]),
            "w": Probe(target="ee", variable="weight", every_ms=2.5, ids=[0, 99]),
        },
        precision=precision,
    )  # fmt: skip


@many
@given(network=networks(max_neurons=40), data=st.data())
def test_threads_splits_and_resumes_do_not_change_a_bit(
    network: Network, data: st.DataObject, tmp_path_factory
) -> None:
    assume(weights_to_record(network, 7))
    with build(network, threads=1) as sim:
        expected = run_split(sim, []).digest()
    cuts = data.draw(st.lists(st.integers(1, N_STEPS), max_size=4))
    for threads in (2, 3, 4):
        with build(network, threads) as sim:
            assert sim.threads == threads
            assert run_split(sim, cuts).digest() == expected
    stop, threads = data.draw(st.integers(0, N_STEPS)), data.draw(st.integers(1, 4))
    path = tmp_path_factory.mktemp("resume") / "state.h5"
    with build(network, threads) as sim:
        run_split(sim, [], stop).save(path)
    with build(network, 5 - threads, n_ranges=data.draw(st.integers(1, 7))) as sim:
        sim.resume(path)
        assert sim.step == stop
        assert run_split(sim, cuts).digest() == expected


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_resume_at_50_random_steps_with_another_thread_count(precision: str, tmp_path: Path) -> None:
    network, end = learning_network(precision), 1000
    with build(network, threads=1) as sim:
        sim.run_steps(end)
        expected = sim.digest()
        assert len(sim.spikes("spikes")[0]) > 500
        assert sim.samples("w")[1].std() > 0
    rng = np.random.default_rng(1)
    sims = [build(network, threads, n_ranges=2 * threads - 1) for threads in (1, 2, 3, 4)]
    for k, stop in enumerate(np.sort(rng.integers(1, end, 50))):
        first = sims[k % 4]
        first.reset()
        first.run_steps(int(stop))
        first.save(tmp_path / "state.h5")
        second = sims[(k + 1 + k // 4) % 4]
        second.resume(tmp_path / "state.h5")
        second.run_steps(end - second.step)
        assert second.digest() == expected, f"stopped at step {stop}"
    for sim in sims:
        sim.close()


def test_ranges_follow_the_threads_and_change_nothing(tmp_path: Path) -> None:
    """A network that is large enough for two ranges, stopped with one thread and continued with two."""
    network = Network(
        populations={
            "a": Population(n=9000, neuron=LIF(
                tau_m_ms=10.0, c_m_pf=100.0, v_rest_mv=0.0, v_th_mv=10.0, v_reset_mv=0.0, t_ref_ms=1.0,
                i_bias_pa=Uniform(low=80.0, high=140.0), v_init_mv=Uniform(low=0.0, high=10.0),
                synapse=Exponential(tau_exc_ms=3.0, tau_inh_ms=3.0),
            )),
        },
        projections={
            "aa": Projection(
                source="a", target="a", rule=FixedInDegree(n=20), weight_pa=Uniform(low=0.0, high=4.0),
                delay_ms=Uniform(low=0.1, high=3.0),
            ),
        },
        probes={"spikes": Probe(target="a")},
    )  # fmt: skip
    with Simulator(network, threads=1) as sim:
        sim.run_steps(203)
        sim.save(tmp_path / "state.h5")
        sim.run_steps(50)
        assert len(sim.spikes("spikes")[0]) > 5000
        assert sim.program.units.n_ranges == 1
        expected = sim.digest()
    with Simulator(network, threads=2) as sim:
        assert sim.program.units.n_ranges == sim.threads == 2
        sim.resume(tmp_path / "state.h5")
        sim.run_steps(50)
        assert sim.digest() == expected


def test_another_seed_gives_other_spikes() -> None:
    digests = set()
    for seed in (1, 2):
        with build(learning_network(), threads=2, seed=seed) as sim:
            sim.run_steps(300)
            digests.add(sim.digest())
    assert len(digests) == 2


def test_reset_starts_over() -> None:
    with build(learning_network(), threads=2) as sim:
        start = sim.digest()
        sim.run_steps(300)
        expected = sim.digest()
        sim.reset()
        assert sim.digest() == start
        sim.run_steps(300)
        assert sim.digest() == expected


def test_learning_changes_weights_within_their_bounds() -> None:
    with build(learning_network(), threads=2) as sim:
        before = sim.weights("ee")[2].copy()
        sim.run_steps(2000)
        after = sim.weights("ee")[2]
        assert (before != after).mean() > 0.5
        assert after.min() >= 0.0
        assert after.max() <= 80.0
