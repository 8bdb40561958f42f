"""Simulator(network, batch=B): every sample is a simulation of its own, whatever the threads and splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_layer_network import run_naively
from test_layers import residual

from snnsim import (
    IF,
    LIF,
    STDP,
    AdaptiveThreshold,
    Arrays,
    Conductance,
    Delta,
    Exponential,
    Network,
    PairwiseBernoulli,
    Population,
    Probe,
    Projection,
    Simulator,
    SpikeTrains,
)
from snnsim.batch import BatchSimulator
from snnsim.errors import ConfigError, FileError, SimulationError
from snnsim.layer_neurons import BurstIF, FewSpike, Readout, Relay, SignedIF, TimeToFirstSpike
from snnsim.layers import Dense, Into, LayerRule, MaxPool
from snnsim.range_simulator import RangeSimulator
from snnsim.stimuli import Analogue

DT = 0.5
LEAKY = {"v_rest_mv": -2.0, "tau_m_ms": 10.0, "v_th_mv": 6.0, "v_reset_mv": -3.0}
CELLS: dict[str, Any] = {
    "delta": LIF(**LEAKY, t_ref_ms=1.0),
    "one current": LIF(**LEAKY, c_m_pf=3.0, i_bias_pa=2.0, synapse=Exponential(tau_exc_ms=3.0)),
    "two currents": LIF(
        **LEAKY, c_m_pf=3.0, t_ref_ms=0.5, synapse=Exponential(tau_exc_ms=3.0, tau_inh_ms=5.0)
    ),
    "subtract": IF(v_th_mv=6.0, v_reset_mv=1.0, reset="subtract", synapse=Delta()),
    "adaptive": LIF(**LEAKY, threshold=AdaptiveThreshold(theta_plus_mv=0.4, tau_theta_ms=20.0)),
    "conductance": LIF(
        **LEAKY, c_m_pf=3.0,
        synapse=Conductance(tau_exc_ms=3.0, tau_inh_ms=5.0, e_exc_mv=60.0, e_inh_mv=-20.0),
    ),
}  # fmt: skip
UNIT = {"conductance": "weight_ns", "exponential": "weight_pa", "delta": "weight_mv"}
SIZE = {"x": 12, "a": 16, "b": 9}


def network_of(cell: LIF | IF, seed: int, explicit: bool, trains: np.ndarray, precision: str) -> Network:
    """x -> a -> b, both without delay, and a -> a, b -> a with delays; x emits bool trains[step, unit]."""
    rng = np.random.default_rng(seed)
    unit = UNIT[cell.synapse.KIND]
    signs = ["exc", "inh"] if cell.synapse.n_currents == 2 else [None]
    projections = {}
    for source, target, delay in (("x", "a", 0.0), ("a", "b", 0.0), ("a", "a", 1.0), ("b", "a", 2.5)):
        for sign in signs:
            size = SIZE[target], SIZE[source]
            # multiples of a power of two, so that no order of a sum changes it
            weight = rng.integers(*((0, 24) if sign else (-12, 28)), size) / 16
            if sign == "inh":
                weight = weight / 4 if unit == "weight_ns" else -weight / 4
            if unit == "weight_ns":
                weight = weight / 4
            common = {"source": source, "target": target, "delay_ms": delay, "receptor": sign}
            to, of = np.indices(size).reshape(2, -1)
            projections[f"{source}{target}{sign or ''}"] = (
                Projection(**common, rule=Arrays(source=of, target=to), **{unit: weight.ravel()})
                if explicit
                else Projection(**common, rule=Dense(weight=weight), **{unit: 1.0})
            )
    step, ids = np.nonzero(trains)
    probes = {
        **{name: Probe(target=name) for name in SIZE},
        **{f"v_{name}": Probe(target=name, variable="v_mv") for name in "ab"},
        "some": Probe(target="b", variable="v_mv", every_ms=1.5, ids=[2, 5]),
    }
    if cell.threshold is not None:
        probes["theta"] = Probe(target="a", variable="theta_mv")
    if cell.synapse.KIND == "exponential":
        probes["current"] = Probe(target="b", variable="i_exc_pa")
    source = SpikeTrains(n=12, times_ms=step * DT, ids=ids) if explicit else Analogue(n=12)
    return Network(
        stimuli={"x": source},
        populations={name: Population(n=SIZE[name], neuron=cell) for name in "ab"},
        projections=projections,
        probes=probes,
        precision=precision,
    )


def trains_of(seed: int, n_samples: int = 3, n_steps: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).random((n_samples, n_steps, SIZE["x"])) < 0.15


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float64") for name in CELLS), ("two currents", "float32"), ("adaptive", "float32")],
)
def test_the_same_bits_as_explicit_synapses(name: str, precision: str) -> None:
    """Layers in a batch against a simulation of each sample alone: spikes and samples of all variables."""
    trains = trains_of(5)
    layers = network_of(CELLS[name], 1, False, trains[0], precision)
    with Simulator(layers, batch=3, dt_ms=DT, threads=2) as batch:
        assert isinstance(batch, BatchSimulator)
        batch.present({"x": trains.astype(float)})
        batch.run(40.0)
        for k in range(3):
            explicit = network_of(CELLS[name], 1, True, trains[k], precision)
            with Simulator(explicit, dt_ms=DT, threads=1) as sim:
                assert isinstance(sim, RangeSimulator)
                sim.run(40.0)
                for probe, described in layers.probes.items():
                    if described.variable == "spikes":
                        expected, found = sim.spikes(probe), batch.spikes(probe, k)
                        assert [x.tolist() for x in expected] == [x.tolist() for x in found], probe
                    else:
                        assert sim.samples(probe)[0].tolist() == batch.samples(probe)[0].tolist()
                        assert sim.samples(probe)[1].tobytes() == batch.samples(probe)[1][:, k].tobytes()
        counts = [len(batch.spikes("b", k)[0]) for k in range(3)]
        assert min(counts) > 3, counts
        assert batch.result().counts["b"].sum(axis=1).tolist() == counts


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 30), max_size=4), st.integers(1, 3), st.booleans())
def test_no_split_or_resume_changes_a_bit(cuts: list[int], threads: int, resumed: bool) -> None:
    trains = trains_of(7)
    network = network_of(CELLS["two currents"], 2, False, trains[0], "float64")
    with Simulator(network, batch=3, dt_ms=DT, threads=1) as sim:
        sim.present({"x": trains})
        sim.run_steps(70)
        expected = sim.digest()
    sim = Simulator(network, batch=3, dt_ms=DT, threads=threads)
    sim.present({"x": trains})
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 70], strict=True):
        sim.run_steps(high - low)
        if resumed:
            kept = sim.checkpoint()
            sim.close()
            sim = Simulator(network, batch=3, dt_ms=DT, threads=threads)
            sim.restore(*kept)
    assert sim.digest() == expected
    sim.close()


@pytest.mark.parametrize("repeat", [1, 5])
def test_a_file_resumes_in_the_middle_of_an_input(tmp_path, repeat: int) -> None:
    network = residual(3, 4, 2)
    x = np.random.default_rng(3).normal(size=(4, 64))
    with Simulator(network, batch=4) as one, Simulator(network, batch=4, threads=1) as two:
        one.present({"x": x}, repeat=repeat)
        one.run_steps(3)
        one.save(tmp_path / "a.h5")
        one.run_steps(20)
        two.resume(tmp_path / "a.h5")
        assert two.step == 3
        two.run_steps(20)
        assert one.digest() == two.digest()
        one.reset()
        assert one.step == 0
        one.present({"x": x}, repeat=repeat)
        one.run_steps(23)
        assert one.digest() == two.digest()
        found, expected = one.result(), two.evaluate({"x": x}, 23, repeat=repeat, keep_counts=True)
        assert two.digest() == one.digest()  # evaluating leaves the state alone
        for part in ("counts", "totals", "events", "spikes", "additions", "graded"):
            for name, value in getattr(expected, part).items():
                assert value.tobytes() == getattr(found, part)[name].tobytes(), (part, name)
        assert found.readout[:, 0].tobytes() == expected.readout[:, -1].tobytes()
        assert found.n_steps.tolist() == expected.n_steps.tolist()
        arrays = one.checkpoint()[0]
    for k in range(4):
        with Simulator(network, batch=1, threads=1) as alone:
            alone.present({"x": x[k : k + 1]}, repeat=repeat)
            alone.run_steps(23)
            for name, value in alone.state_arrays().items():
                if name != "inputs/times":
                    assert value[0].tobytes() == arrays[name][k].tobytes(), name


def test_recordings_on_disk_are_those_in_memory(tmp_path) -> None:
    trains = trains_of(7)
    network = network_of(CELLS["delta"], 3, False, trains[0], "float64")
    (tmp_path / "run").mkdir()
    with (
        Simulator(network, batch=3, dt_ms=DT) as memory,
        Simulator(network, batch=3, dt_ms=DT, record_to=tmp_path / "run") as disk,
    ):
        for sim in (memory, disk):
            sim.present({"x": trains})
            sim.run_steps(30)
        disk.save(tmp_path / "a.h5")
        disk.run_steps(9)
        disk.resume(tmp_path / "a.h5")
        for sim in (memory, disk):
            sim.run_steps(30)
        assert memory.digest() == disk.digest()
        assert disk.spikes("b", 2)[0].tolist() == memory.spikes("b", 2)[0].tolist() != []
        assert disk.samples("v_a")[1].shape == (60, 3, SIZE["a"])


def test_inputs_may_follow_each_other() -> None:
    """Values shown when their time has come are those of one long input."""
    trains = trains_of(9, n_steps=40).astype(float)
    network = network_of(CELLS["delta"], 3, False, trains[0], "float64")
    with Simulator(network, batch=3, dt_ms=DT) as long, Simulator(network, batch=3, dt_ms=DT) as short:
        long.present({"x": trains})
        long.run_steps(60)
        for low in (0, 10, 30):
            short.run_steps(low - short.step)
            short.present({"x": trains[:, low : low + (10 if low == 0 else 20)]})
        short.run_steps(30)
        for name in "ab":
            for k in range(3):
                expected, found = long.spikes(name, k), short.spikes(name, k)
                assert [x.tolist() for x in expected] == [x.tolist() for x in found]


def delayed(delay_ms: float) -> Network:
    def link(source: str, target: str, weight: float = 1.0) -> Projection:
        rule = Dense(weight=[[weight]])
        return Projection(source=source, target=target, rule=rule, weight_mv=1.0, delay_ms=delay_ms)

    return Network(
        stimuli={"x": Analogue(n=1)},
        populations={
            "a": Population(n=1, neuron=BurstIF(v_th_mv=1.0)),
            "y": Population(n=1, neuron=Readout()),
        },
        projections={"p": link("x", "a"), "r": link("a", "a"), "q": link("a", "y")},
    )


def test_a_sample_with_spikes_on_their_way_is_not_at_rest() -> None:
    with Simulator(delayed(3.0), batch=1, dt_ms=1.0) as sim:
        ended = sim.evaluate({"x": [[1.0], [0.5]]}, 20)
        assert ended.readout[0, :, 0].tolist() == [0] * 6 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 2
        assert ended.n_steps.tolist() == [20, 4]


def test_an_input_that_stays_may_be_delayed() -> None:
    with Simulator(delayed(2.0), batch=1, dt_ms=1.0) as sim:
        stays = sim.evaluate({"x": [[0.5]]}, 9, repeat=4)
        given = sim.evaluate({"x": np.full((1, 4, 1), 0.5)}, 9)
        assert stays.readout.tobytes() == given.readout.tobytes()
        assert stays.readout[0, -1, 0] > 1


def test_refusals() -> None:
    network = delayed(1.0)
    with pytest.raises(ConfigError, match=r"a\.neuron: a part of a layered.*Simulator\(network, batch"):
        Simulator(network)
    with pytest.raises(ConfigError, match="batch: "):
        Simulator(network, batch=0)
    with Simulator(network, batch=2, dt_ms=1.0) as sim:
        with pytest.raises(ConfigError, match="inputs for another number of samples; got 3, expected 2"):
            sim.present({"x": np.zeros((3, 1))})
        with pytest.raises(ConfigError, match="sample: "):
            sim.spikes("a", 2)
        sim.present({"x": [[1e308], [0.0]]}, repeat=9)
        with pytest.raises(SimulationError, match="sample 0"):
            sim.run_steps(9)
    with Simulator(network, batch=2**31, threads=1) as sim:
        assert sim.evaluate({"x": [[1.0]]}, 2).readout.shape == (1, 2, 1)
        with pytest.raises(ConfigError, match="batch: a state for each sample does not fit into memory"):
            sim.run_steps(1)
    good = network.projections["p"]

    def changed(**changes: Any) -> Network:
        return network.replace(projections={**network.projections, "p": good.replace(**changes)})

    stdp = STDP(tau_plus_ms=1.0, tau_minus_ms=1.0, a_plus=0.1, a_minus=0.1, w_max=2.0)
    pairs: list[tuple[dict[str, Any], str]] = [
        ({"rule": PairwiseBernoulli(p=1.0)}, r"p\.rule: not a rule of layers"),
        ({"plasticity": stdp}, "do not learn"),
        ({"rule": MaxPool(n_channels=1, height=1, width=1, kernel_h=1, kernel_w=1)}, "maximum units"),
    ]  # fmt: skip
    for changes, problem in pairs:
        with pytest.raises(ConfigError, match=problem):
            Simulator(changed(**changes), batch=1, dt_ms=1.0)
    two = CELLS["two currents"]
    mixed = network_of(CELLS["one current"], 1, False, trains_of(1)[0], "float64")
    populations = {name: p.replace(neuron=two) for name, p in mixed.populations.items()}
    with pytest.raises(ConfigError, match="both signs"):
        Simulator(mixed.replace(populations=populations), batch=1, dt_ms=DT)
    probes = {"t": Probe(target="y", variable="v_mv"), "e": Probe(target="x")}
    with Simulator(network.replace(probes=probes), batch=1, dt_ms=1.0) as sim:
        sim.present({"x": [[2.5]]})
        sim.run_steps(5)
        assert sim.samples("t")[1][:, 0, 0].tolist() == [0, 0, 0, 1, 2]
        assert [x.tolist() for x in sim.spikes("e")] == [[0], [0]]


def test_impossible_checkpoints_are_refused() -> None:
    network = delayed(2.0)
    with Simulator(network, batch=2, dt_ms=1.0) as sim, Simulator(network, batch=3, dt_ms=1.0) as other:
        sim.present({"x": [[1.0], [2.0]]}, repeat=3)
        sim.run_steps(4)
        arrays, meta = sim.checkpoint()
        with pytest.raises(FileError, match="belongs to another simulation"):
            other.restore(arrays, meta)
        changes: dict[str, Any] = {
            "rows/unit": lambda v: v + 1,
            "rows/n_events": lambda v: v + 2,
            "rows/quiet": lambda v: v - 9,
            "rows/potential": lambda v: v * np.nan,
            "counted/added": lambda v: v[:, :1],
            "inputs/values": lambda v: v[:, :, :0],
            "inputs/times": lambda v: v * 0,
        }
        before = sim.digest()
        for name, change in changes.items():
            with pytest.raises(FileError, match=name):
                sim.restore(arrays | {name: change(arrays[name])}, meta)
        assert sim.digest() == before
        sim.restore(arrays, meta)


def any_network(seed: int, exact: bool) -> Network:
    """Units of all kinds with connections between all of them: without delay forward, with delays anywhere.

    exact  no sum is rounded, so that its order is of no matter
    """
    rng = np.random.default_rng(seed)
    bias = round(8 * float(rng.normal())) / 8
    window = {"begin": int(rng.integers(0, 9)), "window": int(rng.integers(1, 6)), "bias_mv": bias}
    units = {
        "a": BurstIF(v_th_mv=0.75, most=2, bias_mv=0.125),
        "b": SignedIF(v_th_mv=0.875, levels=5, most=2, v_init_mv=0.375, bias_mv=bias, bias_steps=3),
        "c": FewSpike(alpha_mv=3.0, **window),
        "d": TimeToFirstSpike(resolution_mv=0.5, continuous=bool(rng.integers(2)), **window),
        "e": Relay(),
        "y": Readout(bias_mv=bias, bias_steps=2),
    }
    n, names = 4, [*units]
    projections = {}
    for source in ["x", *names[:-1]]:
        for target in names:
            forward = source == "x" or source < target
            if exact and source == target == "e":
                continue  # its amounts would get more digits in each round
            if rng.random() < 0.5 or (source == "x" and target == "a"):
                weight = rng.normal(size=(n, n)) * (0.6 if forward else 0.2)
                dense = Dense(weight=np.round(16 * weight) / 16 if exact else weight)
                projections[source + target] = Projection(
                    source=source, target=target, weight_mv=0.5 if exact else 0.7,
                    rule=dense if rng.random() < 0.7 else Into(n_source=n, n_target=n),
                    delay_ms=float(rng.integers(0 if forward else 1, 4)),
                )  # fmt: skip
    populations = {name: Population(n=n, neuron=units[name]) for name in rng.permutation(names)}
    probes = {name: Probe(target=name) for name in ("x", *names)}
    probes |= {f"v_{name}": Probe(target=name, variable="v_mv") for name in names}
    return Network(
        stimuli={"x": Analogue(n=n)}, populations=populations, projections=projections, probes=probes
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 4))
@example(1718, 3)  # a bias that ends while an input stays
def test_engine_against_naive_simulation(seed: int, repeat: int) -> None:
    """Every event, potential and count.  An input that stays is added up once, in an order of its own."""
    network, n_steps = any_network(seed, repeat > 1), 24
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(2, 1, 4)) * 8) / 8
    with Simulator(network, batch=2, dt_ms=1.0, threads=1) as sim:
        sim.present({"x": x}, repeat=repeat)
        sim.run_steps(n_steps)
        sim.run_steps(1)  # its samples are the potentials after the step before
        for k in range(2):
            order = [name for name in sim.program.names if name != "x"]
            naive = run_naively(network, order, {"x": np.repeat(x[k], repeat, axis=0)}, n_steps)
            for name in network.populations:
                steps, ids = sim.spikes(name, k)
                early = steps < n_steps
                expected = [(step, unit) for step, unit, _ in naive.events[name]]
                assert list(zip(steps[early].tolist(), ids[early].tolist(), strict=True)) == expected
                values = sim.samples(f"v_{name}")[1][1:, k]
                assert values.tolist() == naive.potentials[name]
        again = sim.evaluate({"x": x}, n_steps, repeat=repeat)
        delayed = any(p.source == "x" and p.delay_ms > 0 for p in network.projections.values())
        for link, p in network.projections.items():
            times = repeat if p.source == "x" and not delayed else 1
            assert times * again.additions[link][1] == naive.additions[link]


def test_rules_of_layers_are_known() -> None:
    """Every rule is lowered: one that was forgotten would be found missing here."""
    from snnsim.layer_program import _RULES
    from snnsim.layers import LAYER_RULES

    assert set(_RULES) == set(LAYER_RULES)
    assert all(issubclass(rule, LayerRule) for rule in _RULES)
