"""The order of events within a step, as a truth table.

arrivals due at t are added -> the state advances -> threshold -> reset, refractory -> emission;
a spike emitted at t over d steps arrives at t + d; with d = 0 it arrives within the step
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnsim.connectivity import AllToAll, OneToOne
from snnsim.errors import ConfigError
from snnsim.models import IF, LIF, Exponential, Neuron
from snnsim.network import Network
from snnsim.plasticity import STDP
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, PoissonDrive, SpikeTrains, Stimulus

DT = 1.0


def relay(**changes: Any) -> Neuron:
    """A perfect integrator that fires at 1 mV."""
    values: dict[str, Any] = {"v_th_mv": 1.0, "v_reset_mv": 0.0, "c_m_pf": 1.0}
    return IF(**values | changes)


def link(source: str, target: str, delay: int, weight: float = 1.0, **more: Any) -> Projection:
    return Projection(
        source=source, target=target, rule=AllToAll(), weight_mv=weight, delay_ms=delay * DT, **more
    )


def given(*steps: int) -> SpikeTrains:
    return SpikeTrains(n=1, times_ms=np.array(steps) * DT, ids=np.zeros(len(steps), int))


def run(
    populations: dict[str, Neuron],
    projections: dict[str, Projection],
    stimuli: dict[str, Stimulus],
    n_steps: int = 30,
    **more: Any,
) -> tuple[dict[str, list[int]], dict[str, np.ndarray]]:
    """Spikes (steps) and potentials (per step) of populations of one neuron."""
    probes = {f"v_{name}": Probe(target=name, variable="v_mv") for name in populations}
    emitters = [*populations, *(name for name, s in stimuli.items() if isinstance(s, SpikeTrains))]
    network = Network(
        populations={name: Population(n=1, neuron=neuron) for name, neuron in populations.items()},
        projections=projections,
        stimuli=stimuli,
        probes=probes | {f"s_{name}": Probe(target=name) for name in emitters},
    )
    with Simulator(network, dt_ms=DT, **more) as sim:
        sim.run_steps(n_steps)
        return (
            {name: sim.spikes(name)[0].tolist() for name in emitters},
            {name: sim.samples(f"v_{name}")[1][:, 0] for name in populations},
        )


# One row: what happens, and the step in which the neuron fires (None: never).
TABLE: list[tuple[str, dict[str, Any], int, float, list[int]]] = [
    ("arrival at t, spike at t", {}, 1, 1.0, [6]),
    ("reaching the threshold is enough", {"v_th_mv": 1.0}, 1, 1.0, [6]),
    ("just below it is not", {"v_th_mv": 1.0 + 1e-12}, 1, 1.0, []),
    ("delay d arrives at t + d", {}, 7, 1.0, [12]),
    ("longer than a block", {}, 17, 1.0, [22]),
    ("a source may have no delay", {}, 0, 1.0, [5]),
    ("inhibition does not fire", {}, 1, -1.0, []),
]


@pytest.mark.parametrize(
    ("changes", "delay", "weight", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_truth_table(changes: dict[str, Any], delay: int, weight: float, expected: list[int]) -> None:
    """A source fires in step 5."""
    spikes, _ = run({"a": relay(**changes)}, {"p": link("g", "a", delay, weight)}, {"g": given(5)})
    assert spikes == {"g": [5], "a": expected}


@pytest.mark.parametrize("delay", range(1, 21))
@pytest.mark.parametrize("others", [(), (3,), (20,)])
def test_every_delay_between_neurons(delay: int, others: tuple[int, ...]) -> None:
    """For any place within a block, and beside projections with other delays."""
    sent = [0, 1, 2, 3, 7, 8, 15, 16, 33]
    projections = {"in": link("g", "a", 0), "p": link("a", "b", delay)}
    for k, other in enumerate(others):
        projections[f"o{k}"] = link("a", "c", other)
    populations = {name: relay() for name in "abc"}
    spikes, _ = run(populations, projections, {"g": given(*sent)}, 70)
    assert spikes["a"] == sent
    assert spikes["b"] == [s + delay for s in sent]
    assert spikes["c"] == ([s + others[0] for s in sent] if others else [])


def test_sample_is_the_state_before_arrivals() -> None:
    """What arrives in step 3 shows in the sample of step 4; the first sample is the initial state."""
    _, v = run({"a": relay(v_init_mv=0.25)}, {"p": link("g", "a", 1, 0.5)}, {"g": given(2)})
    assert v["a"].tolist() == [0.25] * 4 + [0.75] * 26


def test_arrivals_come_before_the_update() -> None:
    """A jump decays already in the step in which it arrives; a current acts in that step too."""
    leaky = LIF(tau_m_ms=10.0, v_rest_mv=-65.0, v_th_mv=0.0, v_reset_mv=-65.0, c_m_pf=1.0)
    _, v = run({"a": leaky}, {"p": link("g", "a", 1, 2.0)}, {"g": given(2)})
    assert v["a"][3] == -65.0
    assert v["a"][4:] + 65.0 == pytest.approx(2.0 * np.exp(-np.arange(1, 27) / 10.0), rel=1e-12)
    slow = IF(v_th_mv=99.0, v_reset_mv=0.0, c_m_pf=1.0, synapse=Exponential(tau_exc_ms=5.0, tau_inh_ms=5.0))
    projection = link("g", "a", 1).replace(weight_mv=None, weight_pa=2.0)
    _, v = run({"a": slow}, {"p": projection}, {"g": given(2)})
    assert v["a"][:4].tolist() == [0.0] * 4
    assert v["a"][4:] == pytest.approx(10.0 * (1 - np.exp(-np.arange(1, 27) / 5.0)), rel=1e-12)


def test_reset_then_refractory() -> None:
    """After a spike in step 6: the sample of step 7 is the reset; 3 updates are blocked; step 10 counts."""
    neuron = relay(t_ref_ms=3 * DT, v_reset_mv=-0.5, v_init_mv=0.0)
    spikes, v = run({"a": neuron}, {"p": link("g", "a", 1)}, {"g": given(5, 6, 7, 8, 9, 10)})
    # Arrivals in steps 6 to 11; those of 7, 8, 9 are lost; 10 and 11 lift -0.5 to 0.5 and 1.5.
    assert spikes["a"] == [6, 11]
    assert v["a"][6:14].tolist() == [0.0, -0.5, -0.5, -0.5, -0.5, 0.5, -0.5, -0.5]


def test_current_flows_while_refractory() -> None:
    """A synaptic current decays during the refractory period and acts on what is left after it."""
    neuron = IF(
        v_th_mv=1.0, v_reset_mv=0.0, c_m_pf=1.0, t_ref_ms=5 * DT,
        synapse=Exponential(tau_exc_ms=4.0, tau_inh_ms=4.0),
    )  # fmt: skip
    projection = link("g", "a", 1).replace(weight_mv=None, weight_pa=2.0)
    spikes, v = run({"a": neuron}, {"p": projection}, {"g": given(2)})
    assert spikes["a"][0] == 3
    assert np.all(v["a"][4:10] == 0.0)
    assert v["a"][10] == pytest.approx(2.0 * np.exp(-6 / 4.0) * 4.0 * (1 - np.exp(-1 / 4.0)), rel=1e-12)


@pytest.mark.parametrize("n_ranges", [1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_chain_without_delay(n_ranges: int, reverse: bool) -> None:
    """A wave runs through a chain of five populations within one step, in whatever order they were named."""
    names = [f"n{k}" for k in range(5)]
    links = {"p_g": link("g", "n0", 0)} | {
        f"p_{a}": link(a, b, 0) for a, b in zip(names, names[1:], strict=False)
    }
    back = {"back": link("n4", "n0", 3)}
    order = names[::-1] if reverse else names
    spikes, v = run(
        {name: relay() for name in order}, links | back, {"g": given(4)}, 12, n_ranges=n_ranges, threads=2
    )
    assert all(spikes[name] == [4, 7, 10] for name in names)
    assert all(np.all(v[name] == 0.0) for name in names)


def test_no_delay_and_delay_side_by_side() -> None:
    """Two halves of a jump: both arrive in the same step only if the delays make up for each other."""
    for late, expected in ((1, [6]), (2, [])):
        spikes, _ = run(
            {"a": relay(), "b": relay(c_m_pf=1.0, v_th_mv=1.0), "leaky": LIF(
                tau_m_ms=0.01, v_rest_mv=0.0, v_th_mv=0.9 * np.exp(-100.0), v_reset_mv=-1.0)},
            {
                "in": link("g", "a", 1),
                "now": link("a", "leaky", 0, 0.5),
                "later": link("g", "leaky", late, 0.5),
            },
            {"g": given(5)},
        )  # fmt: skip
        assert spikes["leaky"] == expected


def test_cycle_without_delay_is_refused() -> None:
    with pytest.raises(ConfigError, match="cycle"):
        run({"a": relay(), "b": relay()}, {"p": link("a", "b", 0), "q": link("b", "a", 0)}, {})
    with pytest.raises(ConfigError, match="cycle"):
        run({"a": relay()}, {"p": link("a", "a", 0)}, {})


@pytest.mark.parametrize("delay", [0, 1, 2, 9])
def test_plastic_projection_has_the_same_order(delay: int) -> None:
    """A plastic synapse delivers in the same step as a static one, also without delay; then its target's
    spike in that step finds the arrival, and potentiates it in full."""
    rule = STDP(tau_plus_ms=10.0, tau_minus_ms=10.0, a_plus=0.25, a_minus=0.5, w_max=4.0)
    network = Network(
        populations={"a": Population(n=1, neuron=relay())},
        projections={"p": link("g", "a", delay, plasticity=rule)},
        stimuli={"g": given(5, 21)},
        probes={
            "s": Probe(target="a"),
            "w": Probe(target="p", variable="weight", every_ms=DT),
        },
    )
    with Simulator(network, dt_ms=DT) as sim:
        sim.run_steps(40)
        assert sim.spikes("a")[0].tolist() == [5 + delay, 21 + delay]
        weight = sim.samples("w")[1][:, 0]
    first, second = 5 + delay, 21 + delay
    assert np.all(weight[: first + 1] == 1.0)
    assert np.all(weight[first + 1 : second + 1] == 2.0)
    # at the second arrival the first spike of the target depresses; then both arrivals potentiate
    decay = np.exp(-1.6)
    assert weight[second + 1] == pytest.approx(2.0 - 2.0 * decay + (1.0 + decay), rel=1e-12)


def test_drives_act_in_their_own_step() -> None:
    """A current from 3 ms on first shows in the sample of step 4; Poisson input arrives before the update."""
    _, v = run(
        {"a": relay(v_th_mv=99.0)},
        {},
        {"c": Current(target="a", amplitude_pa=[2.0, 0.0], times_ms=[3.0, 5.0])},
        8,
    )
    assert v["a"].tolist() == [0.0, 0.0, 0.0, 0.0, 2.0, 4.0, 4.0, 4.0]
    drive = PoissonDrive(target="a", rate_hz=50_000.0, weight_mv=1.0, start_ms=4.0, stop_ms=6.0)
    spikes, _ = run({"a": relay()}, {}, {"d": drive}, 12)
    assert spikes["a"] == [4, 5]  # the mean is 50 spikes a step


def test_pairs_of_neurons_keep_apart() -> None:
    """One-to-one: neuron k hears source k, at the step of its own spike, also over several ranges."""
    n = 50
    steps = np.random.default_rng(0).integers(0, 40, n)
    network = Network(
        populations={"a": Population(n=n, neuron=relay())},
        projections={
            "p": Projection(source="g", target="a", rule=OneToOne(), weight_mv=1.0, delay_ms=4 * DT)
        },
        stimuli={"g": SpikeTrains(n=n, times_ms=steps * DT, ids=np.arange(n))},
        probes={"s": Probe(target="a")},
    )
    for n_ranges in (1, 2, 7):
        with Simulator(network, dt_ms=DT, n_ranges=n_ranges, threads=3) as sim:
            sim.run_steps(60)
            found, ids = sim.spikes("a")
        order = np.lexsort((np.arange(n), steps))
        assert found.tolist() == (steps[order] + 4).tolist()
        assert ids.tolist() == order.tolist()
