"""Learning rules against a sum over all pairs of spikes, written down from their definition."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from snnsim.connectivity import AllToAll, Arrays, OneToOne
from snnsim.models import LIF, AdaptiveThreshold
from snnsim.network import Network
from snnsim.plasticity import STDP, Normalisation
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Images, Phase, SpikeTrains

DT = 0.1
DELAYS_MS: tuple[float | None, ...] = (0.1, 1.0, 3.0, None)  # None: each synapse has its own
T_REF_MS = (0.1, 0.5, 1.0, 1.1, 2.5)
DEPENDENCES = ("additive", "multiplicative", "power", "power_law")
PAIRINGS = ("all", "nearest")
N_STEPS = 6000
STRONG_MV, NEVER_MV = 1e9, 1e6  # a teacher's spike always fires the neuron, plastic synapses never do


def trains(n: int, seed: int) -> list[np.ndarray]:
    """Steps of n spike trains: random, on a coarse grid (many ties), in bursts, and regular."""
    rng = np.random.default_rng(seed)
    found = [
        rng.choice(N_STEPS - 60, 90, replace=False),
        rng.choice((N_STEPS - 60) // 10, 120, replace=False) * 10,
        (np.arange(12)[:, None] * 450 + np.arange(8)).ravel(),
        np.arange(1, N_STEPS - 60, 60),
    ]
    return [np.sort(found[k % len(found)]) for k in range(n)]


def spike_trains(steps: list[np.ndarray]) -> SpikeTrains:
    ids = np.repeat(np.arange(len(steps)), [len(s) for s in steps])
    return SpikeTrains(n=len(steps), times_ms=np.concatenate(steps) * DT, ids=ids)


def stdp(dependence: str, pairing: str, **changes: Any) -> STDP:
    values: dict[str, Any] = {
        "tau_plus_ms": 17.0, "tau_minus_ms": 34.0, "a_plus": 0.03, "a_minus": 0.02, "w_max": 2.0,
        "w_min": 0.1, "mu_plus": 0.4, "mu_minus": 1.3, "w_0": 0.7,
    }  # fmt: skip
    return STDP(dependence=dependence, pairing=pairing, **values | changes)


def taught(
    pre: list[np.ndarray], post: list[np.ndarray], plastic: dict[str, Projection], t_ref_ms: Any, **more: Any
) -> Network:
    """Sources `pre`, and neurons `post` that fire one step after their teachers."""
    neuron = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=NEVER_MV, v_reset_mv=0.0, t_ref_ms=t_ref_ms)
    teach = Projection(source="teacher", target="post", rule=OneToOne(), weight_mv=STRONG_MV, delay_ms=DT)
    return Network(
        populations={"post": Population(n=len(post), neuron=neuron)},
        stimuli={"pre": spike_trains(pre), "teacher": spike_trains(post)},
        projections={"teach": teach, **plastic},
        probes={"s": Probe(target="post")},
        **more,
    )


def brute_force(rule: STDP, w: float, arrivals: np.ndarray, fired: np.ndarray) -> float:
    """The weight in the end, from the steps of arrivals and postsynaptic spikes: all pairs, in order."""
    width = rule.w_max - rule.w_min

    def trace(steps: np.ndarray, now: int, tau_ms: float) -> float:
        if rule.pairing == "nearest":
            steps = steps[-1:]
        return math.fsum(math.exp(-(now - s) * DT / tau_ms) for s in steps.tolist())

    for t in np.union1d(arrivals, fired).tolist():
        z = (w - rule.w_min) / width
        if t in arrivals:
            y = trace(fired[fired < t], t, rule.tau_minus_ms)
            f = {"additive": width, "multiplicative": width * z, "power": width * z**rule.mu_minus}
            w -= rule.a_minus * f.get(rule.dependence, w) * y
            w = min(max(w, rule.w_min), rule.w_max)
        if t in fired:
            z = (w - rule.w_min) / width
            x = trace(arrivals[arrivals <= t], t, rule.tau_plus_ms)
            f = {
                "additive": width,
                "multiplicative": width * (1 - z),
                "power": width * (1 - z) ** rule.mu_plus,
            }
            law = rule.w_0 ** (1 - rule.mu_plus) * w**rule.mu_plus
            w += rule.a_plus * f.get(rule.dependence, law) * x
            w = min(max(w, rule.w_min), rule.w_max)
    return w


PRE, POST = trains(4, 1), [t for t in trains(4, 2) for _ in T_REF_MS]
START = 0.9


def plastic_projection(delay_ms: float | None, rule: STDP, start: float = START) -> Projection:
    source, target = np.divmod(np.arange(len(PRE) * len(POST)), len(POST))
    given = np.random.default_rng(5).integers(1, 31, source.size) * DT
    return Projection(
        source="pre",
        target="post",
        rule=Arrays(source=source, target=target),
        weight_mv=start,
        delay_ms=given if delay_ms is None else delay_ms,
        plasticity=rule,
    )


@cache
def grid(n_ranges: int, threads: int) -> dict[str, Any]:
    """One run of all delays, dependences and pairings at once; weights, and the spikes of each neuron."""
    plastic = {
        f"p{k}_{dependence}_{pairing}": plastic_projection(delay, stdp(dependence, pairing))
        for k, delay in enumerate(DELAYS_MS)
        for dependence in DEPENDENCES
        for pairing in PAIRINGS
    }
    network = taught(PRE, POST, plastic, list(T_REF_MS) * 4)
    with Simulator(network, dt_ms=DT, threads=threads, n_ranges=n_ranges) as sim:
        sim.run_steps(N_STEPS)
        steps, ids = sim.spikes("post")
        found = {"fired": [steps[ids == k] for k in range(len(POST))]}
        return found | {name: (sim.synapses(name), sim.weights(name)[2]) for name in plastic}


def test_neurons_fire_as_taught() -> None:
    """One step after the teacher, but not within the refractory period."""
    for k, fired in enumerate(grid(1, 1)["fired"]):
        expected: list[int] = []
        for t in POST[k] + 1:
            if not expected or t - expected[-1] > round(T_REF_MS[k % 5] / DT):
                expected.append(int(t))
        assert fired.tolist() == expected


@pytest.mark.parametrize("dependence", DEPENDENCES)
@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("delay", range(len(DELAYS_MS)))
def test_weights_are_the_sum_over_pairs(dependence: str, pairing: str, delay: int) -> None:
    run, rule = grid(1, 1), stdp(dependence, pairing)
    table, weight = run[f"p{delay}_{dependence}_{pairing}"]
    assert (
        len(set(table.delay.tolist())) > 20
        if DELAYS_MS[delay] is None
        else table.delay[0] * DT == DELAYS_MS[delay]
    )
    ties = moved = 0
    for s, w in enumerate(weight.tolist()):
        arrivals = PRE[int(table.source[s])] + int(table.delay[s])
        fired = run["fired"][int(table.target[s])]
        ties += np.intersect1d(arrivals, fired).size
        expected = brute_force(rule, START, arrivals[arrivals < N_STEPS], fired)
        assert w == pytest.approx(expected, rel=1e-12, abs=0.0)
        moved += abs(w - START) > 0.01
    assert ties > 50
    assert moved > len(weight) / 2


def test_additive_pairs_add_up() -> None:
    """Far from the bounds the additive rule is a plain sum of A exp(-|dt| / tau) over all pairs."""
    rule = stdp("additive", "all", w_max=1e4, w_min=-1e4, a_plus=1e-5, a_minus=2e-5)
    network = taught(PRE, POST, {"p": plastic_projection(None, rule)}, 0.1)
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(N_STEPS)
        table, weight = sim.synapses("p"), sim.weights("p")[2]
        steps, ids = sim.spikes("post")
    for s, w in enumerate(weight.tolist()):
        arrivals = PRE[int(table.source[s])] + int(table.delay[s])
        after = (steps[ids == table.target[s]][:, None] - arrivals[None, :]).ravel() * DT
        plus = math.fsum(np.exp(-after[after >= 0] / rule.tau_plus_ms))
        minus = math.fsum(np.exp(after[after < 0] / rule.tau_minus_ms))
        change = (rule.w_max - rule.w_min) * (rule.a_plus * plus - rule.a_minus * minus)
        assert w - START == pytest.approx(change, rel=1e-11)
        assert rule.w_min < w < rule.w_max


@pytest.mark.parametrize(("n_ranges", "threads"), [(2, 2), (3, 1), (5, 3)])
def test_ranges_and_threads_do_not_matter(n_ranges: int, threads: int) -> None:
    one, many = grid(1, 1), grid(n_ranges, threads)
    for name in one:
        if name != "fired":
            assert one[name][1].tobytes() == many[name][1].tobytes()


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_traces_older_than_the_table(pairing: str) -> None:
    """Spikes further apart than the 4096 steps whose decay is tabulated."""
    rule = stdp("multiplicative", pairing, tau_plus_ms=400.0, tau_minus_ms=900.0)
    pre = [np.array([0, 1, 4100, 9000, 30_000]), np.array([5000, 9096, 9097, 20_000])]
    post = [np.array([4094, 4095, 4096, 4097, 15_000, 29_999]), np.array([10, 4500, 13_192, 13_193, 13_194])]
    projection = Projection(
        source="pre", target="post", rule=AllToAll(), weight_mv=START, delay_ms=0.2, plasticity=rule
    )
    with Simulator(taught(pre, post, {"p": projection}, 0.0), dt_ms=DT) as sim:
        sim.run_steps(31_000)
        for source, target, w in zip(*sim.weights("p"), strict=True):
            expected = brute_force(rule, START, pre[source] + 2, post[target] + 1)
            assert w == pytest.approx(expected, rel=1e-12)
            assert abs(w - START) > 1e-3


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("dependence", DEPENDENCES)
def test_weights_stay_within_their_bounds(dependence: str, precision: str) -> None:
    """With large steps all weights run into a bound; 0.3 is no float32, and rounds to more than 0.3."""
    for sizes in ({"a_plus": 0.9}, {"a_minus": 0.9}):
        rule = stdp(dependence, "all", w_min=0.1, w_max=0.3, **sizes)
        projection = plastic_projection(1.0, rule, 0.3 if "a_plus" in sizes else 0.1)
        network = taught(PRE, POST, {"p": projection}, 0.1, precision=precision)
        with Simulator(network, dt_ms=DT) as sim:
            sim.run_steps(2000)
            weight = sim.weights("p")[2]
        f = weight.dtype.type
        assert weight.min() >= f(0.1)
        assert weight.max() <= f(0.3)
        assert len(set(weight.tolist())) > 1


def test_normalisation_beyond_a_bound() -> None:
    """Normalisation knows no bounds; a weight that it lifted above w_max comes back at its next change."""
    rule = stdp("power", "all", w_max=1.0)
    norm = Normalisation(total=len(PRE) * 5.0, every_ms=50.0)
    projection = plastic_projection(1.0, rule).replace(normalisation=norm)
    network = taught(PRE, POST, {"p": projection}, 0.1)
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(N_STEPS)
        weight = sim.weights("p")[2]
    assert np.isfinite(weight).all()
    assert weight.min() >= rule.w_min


@pytest.mark.parametrize("learns", [True, False])
def test_normalisation(learns: bool) -> None:
    """After it, the weights onto each target have the given sum and, without learning, their old ratios."""
    total, every = 6.0, 50
    n_pre, n_post = 6, 5
    # No event falls into a step in which weights are normalised, so the sample after it shows their sum.
    pre = [t[(t + 2) % every != 0] for t in trains(n_pre, 3)]
    post = [t[(t + 1) % every != 0] for t in trains(n_post, 4)]
    source, target = np.divmod(np.arange(n_pre * n_post), n_post)
    start = np.random.default_rng(4).uniform(0.2, 1.5, source.size)
    start[target == 3] = 0.0  # a target whose weights sum to 0
    rule = stdp("additive", "all", w_min=0.0, w_max=50.0, a_plus=1e-4, a_minus=5e-5)
    projection = Projection(
        source="pre", target="post", rule=Arrays(source=source, target=target), weight_mv=start, delay_ms=0.2,
        plasticity=rule if learns else None,
        normalisation=Normalisation(total=total, every_ms=every * DT),
    )  # fmt: skip
    network = taught(pre, post, {"p": projection}, 0.1)
    network = network.replace(probes={"w": Probe(target="p", variable="weight", every_ms=DT)})
    with Simulator(network, dt_ms=DT, n_ranges=2) as sim:
        sim.run_steps(2000)
        weight, table = sim.samples("w")[1], sim.synapses("p")
    for k in range(n_post):
        mine = weight[:, table.target == k]
        sums = mine.sum(axis=1)
        if k == 3 and not learns:
            assert np.all(mine == 0.0)
            continue
        used = sums[1::every] if k != 3 else sums[1::every][sums[0:-1:every] > 0]
        assert np.abs(used / total - 1).max() <= 1e-12
        if learns:
            assert np.abs(sums[every::every] / total - 1).max() > 1e-6  # in between learning changes it
        else:
            expected = start[target == k] * total / start[target == k].sum()
            assert np.allclose(mine[1:], expected[np.argsort(source[target == k])], rtol=1e-12)


def test_learning_acts_in_learning_phases_only() -> None:
    """Weights, normalisation and theta stand still in the other phases; spikes go on."""
    rng = np.random.default_rng(6)
    present, rest, n_images, n_pixels, n_post = 40, 10, 5, 6, 4
    phases = [Phase(name=name, learning=name in "bd") for name in "abcd"]
    shown = present + rest
    teacher = [np.sort(rng.choice(shown * 20 - 2, 60, replace=False)) for _ in range(n_post)]
    neuron = LIF(
        tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=NEVER_MV, v_reset_mv=0.0,
        threshold=AdaptiveThreshold(theta_plus_mv=0.7, tau_theta_ms=30.0, theta_init_mv=2.0),
    )  # fmt: skip
    network = Network(
        populations={"post": Population(n=n_post, neuron=neuron)},
        stimuli={
            "pixels": Images(
                images=rng.random((n_images, n_pixels)), phases=phases, present_ms=present * DT,
                rest_ms=rest * DT, max_rate_hz=2000.0,
            ),
            "teacher": spike_trains(teacher),
        },
        projections={
            "teach": Projection(
                source="teacher", target="post", rule=OneToOne(), weight_mv=STRONG_MV, delay_ms=DT
            ),
            "p": Projection(
                source="pixels", target="post", rule=AllToAll(), weight_mv=0.9, delay_ms=0.3,
                plasticity=stdp("multiplicative", "all"),
                normalisation=Normalisation(total=4.0, every_ms=0.7),
            ),
        },
        probes={
            "w": Probe(target="p", variable="weight", every_ms=DT),
            "t": Probe(target="post", variable="theta_mv"),
            "s": Probe(target="post"),
        },
    )  # fmt: skip
    n_steps = shown * n_images * 4
    with Simulator(network, dt_ms=DT, n_ranges=2, threads=2) as sim:
        sim.run_steps(n_steps)
        weight, theta, spikes = sim.samples("w")[1], sim.samples("t")[1], sim.spikes("post")[0]
    learning = np.repeat([False, True, False, True], shown * n_images)[:-1]
    for values in (weight, theta):
        changed = np.any(np.diff(values, axis=0) != 0, axis=1)
        assert not changed[~learning].any()
        assert changed[learning].sum() > 100
    quiet = np.repeat([False, True, False, True], shown * n_images)[spikes]
    assert (~quiet).sum() > 50  # neurons fire there too
    assert np.all(theta[: shown * n_images] == 2.0)


def test_traces_go_on_without_learning() -> None:
    """A spike in a phase without learning still counts for a later one that learns."""
    phases = [Phase(name="off"), Phase(name="on", learning=True)]
    rule = stdp("additive", "all", w_max=10.0)
    network = taught([np.array([30])], [np.array([60])], {}, 0.0)
    projection = Projection(
        source="pre", target="post", rule=AllToAll(), weight_mv=START, delay_ms=0.1, plasticity=rule
    )
    images = Images(images=np.zeros((1, 1)), phases=phases, present_ms=5.0)
    network = network.replace(
        projections={**network.projections, "p": projection}, stimuli={**network.stimuli, "i": images}
    )
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(100)
        (w,) = sim.weights("p")[2]
    expected = START + rule.a_plus * (rule.w_max - rule.w_min) * math.exp(-3.0 / rule.tau_plus_ms)
    assert w == pytest.approx(expected, rel=1e-12)


@pytest.mark.peer
@pytest.mark.parametrize("dependence", ["additive", "multiplicative"])
@pytest.mark.parametrize("delay_steps", [1, 10, 30])
def test_against_nest(dependence: str, delay_steps: int) -> None:
    """NEST's stdp_synapse, whose delay is dendritic: there the post spike, not the pre spike, comes late.

    Its synapse sees t_pre and t_post + d, ours t_pre + d and t_post: the same differences when our post
    spikes come 2 d later.  It settles its weight at each pre spike, hence the last one ends the trial.
    """
    nest = pytest.importorskip("nest")
    rng = np.random.default_rng(delay_steps)
    pre = np.sort(rng.choice(np.arange(100, 5000), 80, replace=False))
    free = np.setdiff1d(np.arange(100, pre[-1] - 40), pre - delay_steps)  # no ties
    post = np.sort(rng.choice(free, 80, replace=False))
    rule = stdp(dependence, "all", w_min=0.0, w_max=2.0)

    shifted = post + 2 * delay_steps - 1  # the teacher needs a step
    projection = Projection(
        source="pre", target="post", rule=AllToAll(), weight_mv=START, delay_ms=delay_steps * DT,
        plasticity=rule,
    )  # fmt: skip
    with Simulator(taught([pre], [shifted], {"p": projection}, 0.0), dt_ms=DT) as sim:
        sim.run_steps(int(pre[-1]) + delay_steps + 1)
        (mine,) = sim.weights("p")[2]

    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT
    trains = [np.round((t - 10) * DT, 1) for t in (pre, post)]  # a parrot repeats after 1 ms
    generators = [nest.Create("spike_generator", params={"spike_times": t}) for t in trains]
    parrots = nest.Create("parrot_neuron", 2, params={"tau_minus": rule.tau_minus_ms})
    for generator, parrot in zip(generators, parrots, strict=True):
        nest.Connect(generator, parrot, syn_spec={"delay": 1.0})
    mu = 0.0 if dependence == "additive" else 1.0
    synapse = {
        "synapse_model": "stdp_synapse", "weight": START, "delay": delay_steps * DT, "receptor_type": 1,
        "tau_plus": rule.tau_plus_ms, "lambda": rule.a_plus, "alpha": rule.a_minus / rule.a_plus,
        "mu_plus": mu, "mu_minus": mu, "Wmax": rule.w_max,
    }  # fmt: skip
    nest.Connect(parrots[0], parrots[1], syn_spec=synapse)
    nest.Simulate(600.0)
    theirs = nest.GetConnections(parrots[0], parrots[1]).weight
    assert abs(mine - START) > 1e-3
    assert mine == pytest.approx(theirs, rel=1e-12)
