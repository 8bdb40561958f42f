"""Counts of operations against loops over every neuron and synapse, from the recorded spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chip_networks import dense, image_network, lif, link, scattered, spikes

from snnsim import ConfigError, Network, Population, Probe, Simulator, TargetError
from snnsim.hardware.counts import count
from snnsim.hardware.mapping import Mapping, consecutive
from snnsim.hardware.synapses import synapses
from snnsim.stimuli import Analogue

STEPS = 12
WORDS = {"conv": "conv", "dense": "dense", "thin": "sparse", "loop": "dense"}


def naive(network: Network, mapping: Mapping, given: np.ndarray) -> dict[str, np.ndarray]:
    """The counts of one sample, one neuron and one synapse at a time."""
    probes = {name: Probe(target=name) for name in network.populations}
    probes |= {f"v_{name}": Probe(target=name, variable="v") for name in network.populations}
    simulator = Simulator(replace(network, probes=probes), batch=1, dt_ms=1.0)
    simulator.present({"pixels": given[None]})
    simulator.run_steps(STEPS)
    fired = {"pixels": [set(np.flatnonzero(row)) for row in given]}
    for name in network.populations:
        steps, ids = simulator.spikes(name)
        fired[name] = [set(ids[steps == step]) for step in range(STEPS)]
    names = ("dense", "sparse", "conv", "access", "update", "spike", "sent", "received", "hops_x", "hops_y")
    found = {name: np.zeros((STEPS, mapping.n_cores)) for name in names}
    found |= {"far_x": np.zeros(STEPS), "far_y": np.zeros(STEPS)}
    reached: set[tuple[str, int, int]] = set()
    goes: dict[tuple[str, int], set[int]] = {}
    for name, p in network.projections.items():
        table = synapses(p)
        for s, t, w in zip(table.source, table.target, table.weight, strict=True):
            if w == 0 and WORDS[name] == "sparse":
                continue
            core = mapping.core_of[p.target][t]
            goes.setdefault((p.source, s), set()).add(core)
            for step in range(STEPS):
                if s in fired[p.source][step]:
                    found[WORDS[name]][step, core] += 1
                    reached.add((p.target, step + int(p.delay_ms), t))
    for name, population in network.populations.items():
        potential = simulator.samples(f"v_{name}")[1][:, 0]
        bias = np.broadcast_to(population.unit.bias, population.n)
        for unit in range(population.n):
            core = mapping.core_of[name][unit]
            for step in range(STEPS):
                found["access"][step, core] += 1
                found["update"][step, core] += bool(
                    potential[step, unit] or bias[unit] or (name, step, unit) in reached
                )
                found["spike"][step, core] += unit in fired[name][step]
    for (name, unit), cores in goes.items():
        for step in range(STEPS):
            for core in cores if unit in fired[name][step] else ():
                own = mapping.core_of[name][unit]
                x, y = np.abs(mapping.position[core] - mapping.position[own])
                found["received"][step, core] += 1
                found["sent"][step, own] += 1
                found["hops_x"][step, own] += x
                found["hops_y"][step, own] += y
                found["far_x"][step] = max(found["far_x"][step], x)
                found["far_y"][step] = max(found["far_y"][step], y)
    return found


def test_every_count_on_every_core_in_every_step() -> None:
    network = image_network()
    mapping, given = scattered(network, 9), spikes(2, STEPS, 72)
    found = count(network, mapping, {"pixels": given}, STEPS)
    for sample in range(2):
        for name, expected in naive(network, mapping, given[sample]).items():
            np.testing.assert_array_equal(getattr(found, name)[sample], expected, name)
    totals = found.totals()
    assert min(totals[name] for name in ("dense", "sparse", "conv", "spike", "sent", "hops_x", "hops_y")) > 0
    assert totals["update"] < totals["access"]
    assert found.n_tiles == 5


def test_inputs_from_outside_send_nothing_over_the_mesh() -> None:
    network = image_network()
    inside = scattered(network, 9)
    core_of = {name: cores for name, cores in inside.core_of.items() if name != "pixels"}
    given = {"pixels": spikes(1, STEPS, 72)}
    a = count(network, inside, given, STEPS).totals()
    b = count(network, Mapping(core_of, inside.position), given, STEPS).totals()
    assert a["received"] == b["received"]
    assert a["sent"] == a["received"] > b["sent"]
    assert a["hops_x"] > b["hops_x"]


def test_repeated_inputs_are_those_given_in_each_step() -> None:
    network = image_network()
    mapping, once = scattered(network, 9), spikes(1, 1, 72)
    a = count(network, mapping, {"pixels": once[:, 0]}, STEPS, repeat=4)
    b = count(network, mapping, {"pixels": np.repeat(once, 4, axis=1)}, STEPS)
    assert a.totals() == b.totals()
    assert a.totals()["spike"] > 0


def test_zeros_cost_where_they_are_stored() -> None:
    network = image_network()
    mapping, given = scattered(network, 9), {"pixels": spikes(1, STEPS, 72)}
    a = count(network, mapping, given, STEPS)
    b = count(network, mapping, given, STEPS, encoding={"thin": "dense"})
    assert a.sparse.sum() > 0
    assert b.sparse.sum() == 0
    assert b.dense.sum() - a.dense.sum() > 5 * a.sparse.sum()
    with pytest.raises(ConfigError, match=r"encoding\.thin.*did you mean sparse"):
        count(network, mapping, given, STEPS, encoding={"thin": "sparce"})


def one_layer() -> Network:
    return Network(
        stimuli={"in": Analogue(n=3)}, populations={"a": Population(n=4, neuron=lif())},
        projections={"p": link("in", "a", dense(np.random.default_rng(0), 3, 4))},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("core_of", "message"),
    [
        ({}, r"core_of\.a: the population lies on no core"),
        ({"a": np.array([0, 1, 2])}, r"core_of\.a: one core for each neuron.*int\[4\]"),
        ({"a": np.array([0, 1, 2, 3])}, r"core_of\.a: no such core; got 3, expected 0 to 2"),
        ({"a": np.array([0, -1, 2, 2])}, r"core_of\.a: no such core; got -1"),
        ({"a": np.zeros(4)}, r"core_of\.a: one core for each neuron.*float64"),
        ({"a": np.zeros(4, int), "b": np.zeros(1, int)}, r"core_of: no such population or input; got 'b'"),
    ],
)
def test_mappings_that_do_not_fit(core_of: dict[str, np.ndarray], message: str) -> None:
    mapping = Mapping(core_of, np.zeros((3, 2), int))
    with pytest.raises(TargetError, match=message):
        count(one_layer(), mapping, {"in": np.ones((1, 3))}, 2)
    with pytest.raises(TargetError, match=r"mapping\.position"):
        Mapping(core_of, np.zeros(3, int)).check(one_layer())


def test_consecutive_fills_cores_in_order() -> None:
    found = consecutive(image_network(), 10, cores_per_tile=2, height=2)
    assert [len(np.unique(cores)) for cores in found.core_of.values()] == [8, 3, 1]
    assert found.n_cores == 12
    assert max(np.bincount(np.concatenate(list(found.core_of.values())))) == 10
    np.testing.assert_array_equal(found.position[[0, 1, 2, 4]], [[0, 0], [0, 0], [0, 1], [1, 0]])
