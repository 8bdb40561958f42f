"""Weights that catch up late: whenever they do, and whoever looks at them meanwhile, they are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_stdp_brute_force import DT, brute_force, stdp, taught

from snnsim.connectivity import AllToAll, FixedInDegree
from snnsim.kernels.plasticity import LATEST, WAITING
from snnsim.kernels.stdp import NOTED, PIECE
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator


def projection(delay_ms: float = 0.2, **changes: object) -> Projection:
    rule = changes.pop("plasticity", stdp("multiplicative", "all"))
    return Projection(
        source="pre", target="post", rule=AllToAll(), weight_mv=0.9, delay_ms=delay_ms, plasticity=rule,
        **changes,
    )  # fmt: skip


def check(network: Network, n_steps: int, pre: list[np.ndarray], n_ranges: int = 1, every: int = 1) -> None:
    """Every so many-th weight against the sum over all pairs."""
    rule = network.projections["p"].plasticity
    with Simulator(network, dt_ms=DT, n_ranges=n_ranges) as sim:
        sim.run_steps(n_steps)
        steps, ids = sim.spikes("post")
        table, weight = sim.synapses("p"), sim.weights("p")[2]
    for s in range(0, weight.size, every):
        arrivals, fired = pre[table.source[s]] + int(table.delay[s]), steps[ids == table.target[s]]
        expected = brute_force(rule, 0.9, arrivals[arrivals < n_steps], fired)
        assert weight[s] == pytest.approx(expected, rel=1e-12, abs=0.0)
    assert len(set(weight.tolist())) > 1


@pytest.mark.parametrize("dependence", ["additive", "power"])
def test_more_postsynaptic_spikes_than_are_noted(dependence: str) -> None:
    """Neurons fire up to 40 times between two arrivals, one of them hardly ever."""
    pre = [np.array([3, 900, 2000]), np.array([40, 1700]), np.array([1990])]
    post = [np.arange(1, 2100, 7), np.arange(30, 2100, 50), np.array([1, 1500]), np.arange(700, 760)]
    assert len(post[0]) > 10 * NOTED
    rule = stdp(dependence, "all", a_plus=0.001)
    network = taught(pre, post, {"p": projection(plasticity=rule)}, 0.0)
    check(network, 2100, pre, n_ranges=2)


def test_notes_that_would_be_too_old() -> None:
    rule = stdp("multiplicative", "all", tau_plus_ms=4000.0, tau_minus_ms=3000.0)
    pre = [np.array([10, 2 * LATEST + 10]), np.array([LATEST - 3])]
    post = [np.array([20, LATEST - 2, LATEST + 30, 2 * LATEST]), np.array([2 * LATEST + 5])]
    check(taught(pre, post, {"p": projection(plasticity=rule)}, 0.0), 2 * LATEST + 100, pre)


def test_long_rows_and_many_spikes_at_once() -> None:
    rng = np.random.default_rng(3)
    pre = [np.array([5, 300]) for _ in range(WAITING + 3)] + [np.array([60, 120, 300])]
    post = [np.sort(rng.choice(400, rng.integers(0, 30), replace=False)) for _ in range(2 * PIECE + 20)]
    check(taught(pre, post, {"p": projection()}, 0.0), 420, pre, n_ranges=1, every=997)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Weights read, sampled, hashed or saved at any time leave no trace in what follows."""
    rng = np.random.default_rng(4)
    pre, post = ([np.sort(rng.choice(900, 40, replace=False)) for _ in range(n)] for n in (5, 6))
    network = taught(pre, post, {"p": projection(1.0)}, 0.0, precision="float32")
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(1000)
        expected, weights = sim.digest(), sim.weights("p")[2]
    with Simulator(network, dt_ms=DT, n_ranges=2) as sim:
        seen = []
        for step in range(1000):
            sim.run_steps(1)
            seen.append(sim.weights("p")[2])
            if step % 3 == 0:
                sim.digest()
            if step % 50 == 0:
                sim.save(tmp_path / "state.h5")
                sim.resume(tmp_path / "state.h5")
        assert seen[-1].tobytes() == weights.tobytes()
    probes = {**network.probes, "w": Probe(target="p", variable="weight", every_ms=DT, ids=[0, 7, 29])}
    with Simulator(network.replace(probes=probes), dt_ms=DT) as sim:
        sim.run_steps(1000)
        sampled = sim.samples("w")[1]
        assert sampled[1:].tolist() == [w[[0, 7, 29]].tolist() for w in seen[:-1]]
        assert sim.weights("p")[2].tobytes() == weights.tobytes()
        assert expected != sim.digest()  # it has samples


def test_going_back_forgets_later_spikes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pre, post = ([np.sort(rng.choice(900, 40, replace=False)) for _ in range(n)] for n in (5, 6))
    network = taught(pre, post, {"p": projection(1.0)}, 0.0)
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(300)
        sim.save(tmp_path / "state.h5")
        sim.run_steps(600)
        expected = sim.digest()
        for later in (0, 41):
            sim.run_steps(later)
            sim.resume(tmp_path / "state.h5")
            sim.run_steps(600)
            assert sim.digest() == expected


def test_bytes_of_a_synapse() -> None:
    """A target and a weight; all else grows with the neurons."""
    many = projection().replace(rule=FixedInDegree(n=500))
    pre, post = [np.array([1])] * 2000, [np.array([1])] * 2000
    network = taught(pre, post, {"p": many}, 0.0, precision="float32")
    with Simulator(network, dt_ms=DT) as sim:
        plastic = sim.program.plastic
        arrays = [*plastic.rows, *plastic]
        size = sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
        assert 6.0 < size / plastic.rows.weight.size < 7.0
