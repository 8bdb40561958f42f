"""Spikes on their way: what a static synapse takes, where it puts its weight, and every part of delivery."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from twins import assert_twins

from snnsim.connectivity import AllToAll, Arrays, FixedOutDegree
from snnsim.distributions import Uniform
from snnsim.initial_state import working_memory
from snnsim.kernels import delivery
from snnsim.kernels.layout import Queue
from snnsim.models import IF, LIF, Delta, Exponential, Neuron
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.program import Program, estimate
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import SpikeTrains

DT = 0.1
BLOCK = 8


def silent(**more: Any) -> Neuron:
    """A membrane that adds up what arrives, and never fires."""
    return IF(c_m_pf=1.0, v_th_mv=1e9, v_reset_mv=0.0, synapse=Delta(), **more)


# --- bytes


@pytest.mark.parametrize(
    ("weight", "precision", "each"),
    [
        (Uniform(low=0.1, high=0.5), "float32", 6),
        (Uniform(low=0.1, high=0.5), "float64", 10),
        (0.5, "float32", 2),
        (0.5, "float64", 2),
    ],
)
@pytest.mark.parametrize("n_ranges", [1, 3])
def test_bytes_of_a_static_synapse(weight: Any, precision: str, each: int, n_ranges: int) -> None:
    """A place and a weight that is drawn; 4 bytes a source, delay and range; what grows with the network."""
    n, degree = 1000, 300
    network = Network(
        populations={"a": Population(n=n, neuron=silent())},
        projections={
            "p": Projection(
                source="a", target="a", rule=FixedOutDegree(n=degree), weight_mv=weight,
                delay_ms=Uniform(low=0.3, high=0.6),
            )
        },
        precision=precision,
    )  # fmt: skip
    with Simulator(network, dt_ms=DT, n_ranges=n_ranges) as sim:
        static = sim.program.static
        rows = static.rows
        assert sim.n_synapses == rows.synapse.size + rows.place.size == n * degree
        assert rows.synapse.dtype.names == ("place", "weight")
        assert rows.synapse.nbytes + rows.place.nbytes == each * n * degree
        n_delays = int(rows.delay_high[0] - rows.delay_low[0] + 1)
        assert n_delays == 4
        assert rows.start.nbytes == 4 * n_ranges * (n * n_delays + 1)
        tables = sum(a.nbytes for a in (*rows, *static) if isinstance(a, np.ndarray))
        assert tables - each * n * degree - rows.start.nbytes < 16 * n
        assert estimate(network, DT, {}, 1).synapse_bytes == each * n * degree + 4 * 4 * n


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("longest", [1, 3, 30])
def test_how_weights_are_stored_changes_no_bit(longest: int, precision: str) -> None:
    """Numbers, and lists of that number, beside weights that differ; several projections onto each neuron."""

    def digest(stored: list[int], n_ranges: int, *constant: str) -> str:
        rng = np.random.default_rng(5)
        cell = LIF(
            tau_m_ms=20.0, c_m_pf=20.0, v_rest_mv=-49.0, v_th_mv=-50.0, v_reset_mv=-60.0, t_ref_ms=1.0,
            v_init_mv=Uniform(low=-60.0, high=-50.0), synapse=Exponential(tau_exc_ms=5.0, tau_inh_ms=10.0),
        )  # fmt: skip
        projections = {}
        for name, k, weight in (("exc", 4000, 1.7), ("more", 900, 1.7), ("inh", 2000, -3.3), ("any", 500, 0)):
            source = name if name in ("exc", "inh") else "exc"
            delay = rng.integers(1, longest + 1, k) * DT
            rule = Arrays(source=rng.integers(0, 100, k), target=rng.integers(0, 100, k))
            weight_pa: Any = np.full(k, weight) if weight else rng.random(k)
            projections[name] = Projection(
                source="rest" if name == "any" else source, target="exc", rule=rule, delay_ms=delay,
                weight_pa=weight if name in constant else weight_pa,
            )  # fmt: skip
        network = Network(
            populations={name: Population(n=100, neuron=cell) for name in ("exc", "inh", "rest")},
            projections=projections,
            precision=precision,
        )
        with Simulator(network, dt_ms=DT, n_ranges=n_ranges) as sim:
            assert sim.program.static.rows.alike.tolist() == stored
            sim.run_steps(1500)
            assert sim.program.cells.carry.any()
            for name in network.projections:
                assert np.unique(sim.synapses(name).weight()).size == (500 if name == "any" else 1)
            return sim.digest()

    expected = digest([0, 0, 0], 1)
    assert digest([0, 0, 0], 1, "exc") == expected
    assert digest([0, 1, 0], 1, "inh") == expected
    assert digest([1, 0, 0], 3, "exc", "more") == expected
    assert digest([1, 1, 0], 2, "exc", "more", "inh") == expected


# --- places


def given_network(n: int, n_synapses: int, neuron: Neuron, precision: str, seed: int) -> Network:
    """Spike trains onto n neurons that stay silent; delays of 1 to 40 steps, weights k / 8."""
    rng = np.random.default_rng(seed)
    n_sources = 20
    fired = rng.choice(60 * n_sources, 60, replace=False)
    target = rng.integers(0, n, n_synapses)
    target[:4] = 0, n - 1, 0, n - 1  # the outermost places
    delay = rng.integers(1, 41, n_synapses)
    delay[:4] = 1, 1, 40, 40
    weight = rng.integers(1, 80, n_synapses) / 8
    unit = "weight_mv" if isinstance(neuron.synapse, Delta) else "weight_pa"
    return Network(
        populations={"a": Population(n=n, neuron=neuron)},
        stimuli={
            "g": SpikeTrains(
                n=n_sources,
                times_ms=fired // n_sources * DT,
                ids=fired % n_sources,
            )
        },
        projections={
            "p": Projection(
                source="g",
                target="a",
                rule=Arrays(source=rng.integers(0, n_sources, n_synapses), target=target),
                delay_ms=delay * DT,
                **{unit: weight},
            )
        },
        probes={
            "v": Probe(target="a", variable="v_mv" if unit == "weight_mv" else "i_exc_pa"),
            "s": Probe(target="g"),
        },
        precision=precision,
    )


def arrivals(network: Network, spikes: tuple[np.ndarray, np.ndarray], n_steps: int) -> np.ndarray:
    """float64[n_steps, n]: the sum of weights that arrive, spike by spike and synapse by synapse."""
    p = network.projections["p"]
    found = np.zeros((n_steps, network.populations["a"].n))
    weight = p.weight_mv if p.weight_mv is not None else p.weight_pa
    delays = np.round(np.asarray(p.delay_ms) / DT).astype(int)
    for step, unit in zip(*spikes, strict=True):
        for s in np.flatnonzero(p.rule.source == unit):
            if step + delays[s] < n_steps:
                found[step + delays[s], p.rule.target[s]] += weight[s]
    return found


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "group"), [(40_000, 1), (32_769, 1), (32_768, 2), (20_000, 2), (10_000, 4), (8192, 8), (1000, 8)]
)
def test_every_delay_arrives_when_it_should(n: int, group: int, precision: str) -> None:
    """Ranges so large that 16 bits tell 1, 2, 4 or 8 steps apart; compared with a sum over all synapses."""
    network, n_steps = given_network(n, 1500, silent(), precision, n), 110
    with Simulator(network, dt_ms=DT, n_ranges=1) as sim:
        assert sim.program.layout.block == BLOCK
        assert sim.program.layout.group == group
        sim.run_steps(37)
        sim.run_steps(n_steps - 37)
        expected = arrivals(network, sim.spikes("g"), n_steps)
        v = sim.samples("v")[1]
        assert np.count_nonzero(expected) > 1000
        assert np.array_equal(np.diff(v, axis=0), expected[: n_steps - 1])
        table = sim.synapses("p")
        p = network.projections["p"]
        order = np.lexsort((p.rule.target, np.asarray(p.delay_ms), p.rule.source))
        assert np.array_equal(table.target, np.asarray(p.rule.target)[order])
        assert np.array_equal(table.weight(), np.asarray(p.weight_mv)[order])


def test_two_currents_take_twice_the_places() -> None:
    """16,385 neurons with two currents: a step takes 2**16 places, and a group is one step."""
    n, n_steps = 16_385, 60
    neuron = IF(c_m_pf=1.0, v_th_mv=1e9, v_reset_mv=0.0, synapse=Exponential(tau_exc_ms=2.0, tau_inh_ms=9.0))
    network = given_network(n, 600, neuron, "float64", 3)
    p = network.projections["p"]
    minus = p.replace(weight_pa=-np.asarray(p.weight_pa))
    network = network.replace(
        projections={"p": p, "minus": minus},
        probes={**network.probes, "i": Probe(target="a", variable="i_inh_pa")},
    )
    with Simulator(network, dt_ms=DT, n_ranges=1) as sim:
        assert (sim.program.layout.group, sim.program.layout.slot_bits) == (1, 16)
        sim.run_steps(n_steps)
        came = arrivals(network, sim.spikes("g"), n_steps)
        for name, sign, tau in (("v", 1, 2.0), ("i", -1, 9.0)):
            current = np.zeros(n)
            for t, sample in enumerate(sim.samples(name)[1]):
                assert sample == pytest.approx(current, rel=1e-12, abs=1e-300)
                current = (current + sign * came[t]) * np.exp(-DT / tau)


# --- reach


@pytest.mark.parametrize("n_ranges", [1, 3])
def test_reach_of_each_row(n_ranges: int) -> None:
    """The longest delay of each source that has a synapse, over all ranges and both bundles."""
    rng = np.random.default_rng(1)
    n, n_synapses = 30, 100
    network = Network(
        populations={"a": Population(n=60, neuron=silent())},
        stimuli={"g": SpikeTrains(n=n, times_ms=np.array([0.1]), ids=np.array([0]))},
        projections={
            name: Projection(
                source="g", target="a", weight_mv=1.0,
                delay_ms=rng.integers(least, least + 21, n_synapses) * DT,
                rule=Arrays(source=rng.integers(0, n, n_synapses), target=rng.integers(0, 60, n_synapses)),
            )
            for name, least in (("near", 1), ("far", 90))
        },
    )  # fmt: skip
    with Simulator(network, dt_ms=DT, n_ranges=n_ranges) as sim:
        rows = sim.program.static.rows
        assert rows.delay_high.size == 2
        for b, name in enumerate(network.projections):
            table = sim.synapses(name)
            found = rows.reach[rows.reach_base[b] :][:n]
            for row in range(n):
                mine = table.delay[table.source == row]
                if mine.size:
                    assert found[row] == mine.max()
                else:
                    assert found[row] < rows.delay_low[b]
            assert len(set(found.tolist())) > 5


# --- parts


def busy_network(precision: str) -> Network:
    """Two bundles from the sources, near and far delays, and two from neurons; long rows and short ones."""

    def projection(source: str, degree: int, low: float, high: float) -> Projection:
        return Projection(
            source=source, target="a", rule=FixedOutDegree(n=degree), weight_mv=Uniform(low=-1.0, high=1.0),
            delay_ms=Uniform(low=low, high=high),
        )  # fmt: skip

    return Network(
        populations={"a": Population(n=300, neuron=silent()), "b": Population(n=100, neuron=silent())},
        stimuli={"g": SpikeTrains(n=30, times_ms=np.array([0.1]), ids=np.array([0]))},
        projections={
            "near": projection("g", 200, 0.1, 2.0),
            "far": projection("g", 40, 9.0, 9.6),
            "back": projection("a", 5, 0.1, 3.0),
            "all": Projection(source="b", target="b", rule=AllToAll(), weight_mv=0.1, delay_ms=0.4),
        },
        precision=precision,
    )


def queued(program: Program, rng: np.random.Generator, waiting: int, bundles: list[int]) -> Queue:
    """Spikes of any step and source of some bundles that bring something to a window of the block."""
    _, queue = working_memory(program.cells.potential.dtype)
    rows, layout = program.static.rows, program.layout
    for i in range(waiting):
        b = int(rng.choice(bundles))
        low, high = int(rows.delay_low[b]), int(rows.delay_high[b])
        first = int(rng.integers(low, high + 1))
        arrival = int(rng.integers(layout.block))
        step = 800 + arrival - first  # the block begins at step 800
        queue.bundle[i] = b
        queue.entry[i] = rng.integers(rows.n_rows[b]) * (high - low + 1) + first - low
        queue.n_delays[i] = rng.integers(1, min(high - first, layout.block - 1 - arrival) + 2)
        queue.arrival[i] = arrival
        queue.shift[i] = step % layout.group << layout.slot_bits
    return queue


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("waiting", [0, 1, 2, 3, 60, delivery.QUEUE])
@pytest.mark.parametrize("group", [1, 2, 4, 8])
def test_queued_spikes(waiting: int, group: int, precision: str) -> None:
    """All parts of delivery on their own; a smaller group changes nothing but the places."""
    rng = np.random.default_rng(waiting)
    with Simulator(busy_network(precision), dt_ms=DT, n_ranges=3) as sim:
        p = sim.program
        assert (p.layout.group, p.static.rows.n_rows.size) == (BLOCK, 4)
        assert p.static.rows.alike.tolist() == [0, 0, 0, 1]
        layout, synapse = p.layout._replace(group=group), p.static.rows.synapse.copy()
        places = (1 << layout.slot_bits) * group - 1
        synapse["place"] &= places
        rows = p.static.rows._replace(synapse=synapse, place=p.static.rows.place & np.uint16(places))
        buffer = rng.normal(size=p.spikes.buffer.size).astype(precision)
        for stored, weights, bundles in (
            (synapse, None, [0, 1, 2]), (rows.place, rows.weight, [3]), (None, None, [0, 1, 2, 3]),
        ):  # fmt: skip
            queue = queued(p, rng, waiting, bundles)
            queue.shift[:waiting] %= group << layout.slot_bits
            for tid, n_threads in ((0, 1), (0, 2), (1, 2), (2, 3)):
                assert_twins("add_everywhere", buffer, queue, layout, rows, waiting, tid, n_threads)
            for r in range(layout.n_ranges):
                assert_twins("locate", queue, rows, waiting, r, working=())
                delivery.locate(queue, rows, waiting, r)
                for first in (0, waiting // 2):
                    if stored is not None and first < waiting:
                        some = (rows.start, stored, weights, first, waiting, r)
                        assert_twins("add_queued", buffer, queue, layout, *some)


@pytest.mark.parametrize("n_fired", [3, 100, 430])
def test_more_spikes_than_the_queue_holds(n_fired: int) -> None:
    """Threads share the ranges; each adds what the spikes of thirty steps bring, also far beyond QUEUE."""
    rng = np.random.default_rng(n_fired)
    with Simulator(busy_network("float64"), dt_ms=DT, n_ranges=3) as sim:
        p = sim.program
        layout, spikes, longest = p.layout, p.spikes, int(p.static.longest)
        for slot in range(len(spikes.n_fired)):
            units = np.sort(rng.choice(layout.list_first[-1], n_fired, replace=False))
            for part in range(spikes.n_fired.shape[1]):
                first, end = layout.list_first[part : part + 2]
                mine = units[(first <= units) & (units < end)]
                spikes.ids[slot, first : first + mine.size] = mine
                spikes.n_fired[slot, part] = mine.size
        assert n_fired == 3 or spikes.n_fired.sum() > delivery.QUEUE
        _, queue = working_memory(np.dtype(np.float64))
        n_lists = layout.n_levels * layout.n_ranges
        assert longest > 30
        for begin, window in ((800, (800, 807)), (803, (804, 807))):
            steps = (begin - min(longest, 30), begin)
            for thread in ((0, 1), (1, 2)):
                args = (spikes.buffer, queue, layout, spikes, p.static, *thread, *steps, 0, n_lists, *window)
                assert_twins("deliver", *args)
