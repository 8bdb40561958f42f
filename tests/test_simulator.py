"""The simulator as its user meets it: results, refusals, interruption."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

from snnsim import (
    LIF,
    AllToAll,
    ConfigError,
    Delta,
    FileError,
    Network,
    PairwiseBernoulli,
    Population,
    Probe,
    Projection,
    SimulationError,
    Simulator,
)


def network(n: int = 50, weight_mv: float = 0.1, i_bias_pa: float = 700.0, **changes: object) -> Network:
    neuron = LIF(
        tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=15.0, v_reset_mv=0.0, i_bias_pa=i_bias_pa, synapse=Delta()
    )
    parts = {
        "populations": {"a": Population(n=n, neuron=neuron)},
        "projections": {
            "aa": Projection(source="a", target="a", rule=AllToAll(), weight_mv=weight_mv, delay_ms=1.0)
        },
        "probes": {"spikes": Probe(target="a"), "some": Probe(target="a", ids=[1, 3])},
    }
    return Network(**(parts | changes))


def test_probe_of_some_neurons_gives_those() -> None:
    with Simulator(network()) as sim:
        sim.run(100.0)
        assert set(sim.spikes("some")[1]) == {1, 3}
        assert set(sim.spikes("spikes")[1]) == set(range(50))
        assert sim.time_ms == pytest.approx(100.0)


def test_weights_of_projections_that_share_a_bundle() -> None:
    rule = PairwiseBernoulli(p=0.3)
    both = {
        name: Projection(source="a", target="a", rule=rule, weight_mv=weight, delay_ms=delay)
        for name, weight, delay in (("one", 1.0, 1.0), ("two", 2.0, 1.0), ("three", 3.0, 2.5))
    }
    found = {}
    for n_ranges in (1, 4):
        with Simulator(network(projections=both), n_ranges=n_ranges) as sim:
            for name, projection in both.items():
                source, target, weight = sim.weights(name)
                assert set(weight) == {projection.weight}
                assert 500 < source.size < 1000
                assert found.setdefault(name, (source.tolist(), target.tolist())) == (
                    source.tolist(),
                    target.tolist(),
                )
    assert found["one"] != found["two"]


def test_too_large_a_network_is_refused_before_it_is_built() -> None:
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=r"does not fit into memory; got 'about .* GiB', expected at most"):
        Simulator(network(n=2_000_000))
    assert time.perf_counter() - began < 60


def test_not_a_number_is_named() -> None:
    with (
        Simulator(network(weight_mv=1e308)) as sim,
        pytest.raises(SimulationError, match=r"populations\.a, neuron \d+"),
    ):
        sim.run(100.0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path) -> None:
    with Simulator(network()) as sim:
        sim.run(5.0)
        sim.save(tmp_path / "a.h5")
    with Simulator(network(weight_mv=0.2)) as other:
        before = other.digest()
        with pytest.raises(FileError, match="the checkpoint belongs to another simulation"):
            other.resume(tmp_path / "a.h5")
        assert other.digest() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt_ms": 0.0}, "dt_ms: out of range; got 0.0"),
        ({"dt_ms": float("nan")}, "dt_ms: not a finite number"),
        ({"seed": -1}, "seed: out of range; got -1"),
        ({"seed": 1.5}, "seed: wrong type; got 1.5"),
        ({"threads": 0}, "threads: out of range; got 0"),
        ({"dt_ms": 0.3}, "delay_ms: not a multiple of dt_ms = 0.3; got 1.0, expected 0.9 or 1.2 ms"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        Simulator(network(), **arguments)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network: wrong type; got 'net', expected a Network"):
        Simulator("net")  # type: ignore[arg-type]


def test_run_refuses_times_off_the_grid_and_changes_nothing() -> None:
    with Simulator(network()) as sim:
        before = sim.digest()
        with pytest.raises(ConfigError, match="duration_ms: not a multiple of dt_ms"):
            sim.run(0.25)
        with pytest.raises(ConfigError, match="duration_ms: out of range"):
            sim.run(-1.0)
        assert sim.digest() == before


def test_progress_can_end_a_run_early() -> None:
    with Simulator(network()) as sim:
        calls: list[tuple[int, int]] = []
        assert sim.run(1000.0, lambda done, end: calls.append((done, end)) or len(calls) == 2) is False
        assert sim.step == calls[-1][0] < 10_000
        assert calls[0][1] == 10_000


def test_control_c_leaves_a_whole_simulator() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # other packages change it on import
    with Simulator(network()) as sim, Simulator(network()) as other:
        timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            sim.run(1e6)
        timer.join()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        reached = sim.step
        sim.run_steps(100)
        other.run_steps(reached + 100)
        assert sim.digest() == other.digest()
    signal.signal(signal.SIGINT, before)


def test_samples_start_with_the_initial_state() -> None:
    probe = Probe(target="a", variable="v_mv", every_ms=0.5, ids=[0, 2])
    with Simulator(network(probes={"v": probe})) as sim:
        sim.run(2.0)
        steps, v = sim.samples("v")
    np.testing.assert_array_equal(steps, [0, 5, 10, 15])
    assert v.shape == (4, 2)
    assert v[0, 0] == 0.0
    assert v[1, 0] > 0.0
