"""Every kernel against its plain-Python twin, bit for bit; then the engine against a naive simulation."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import oracle_connectivity
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle_network import run_network
from strategies import networks, weights_to_record
from twins import MODULES, arrays_in, assert_twins, duplicate

from snnsim.connectivity import Arrays
from snnsim.initial_state import working_memory
from snnsim.kernels import conductance, engine, neurons, plasticity, random, sources, stdp
from snnsim.kernels.layout import Scratch
from snnsim.models import IF, LIF, AdaptiveThreshold, Delta, Exponential, Neuron
from snnsim.network import Network
from snnsim.plasticity import STDP, Normalisation
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.program import Program
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, Images, Phase, Poisson, PoissonDrive, SpikeTrains, Stimulus

FLOATS = (np.float64, np.float32)
SEED = 2**62 + 1
SIZES = (0, 1, 2, 31, neurons.CHUNK - 1, neurons.CHUNK, neurons.CHUNK + 1, 700)


# --- completeness


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_kernel_has_a_twin(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    kernels = [
        item.name
        for item in tree.body
        if isinstance(item, ast.FunctionDef) and any("njit" in ast.dump(d) for d in item.decorator_list)
    ]
    assert kernels
    assert [k for k in kernels if not hasattr(oracle, k) and not hasattr(oracle_connectivity, k)] == []


def test_copies_share_what_the_originals_share() -> None:
    words = np.arange(4, dtype=np.uint64)
    copied, part, again = duplicate((words, words.view(np.uint16)[4:], words))
    copied[1] = 2**16
    assert part.tolist() == [0, 1, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
    assert again.tolist() == copied.tolist() == [0, 2**16, 2, 3]
    assert words.tolist() == [0, 1, 2, 3]


def test_two_different_arrays_are_noticed() -> None:
    x = np.array([0.0, 1.0])
    with pytest.raises(AssertionError):
        assert_twins_differing(x)


def assert_twins_differing(x: np.ndarray) -> None:
    """-0.0 equals 0.0, but not bit for bit."""
    original = oracle.decay_theta
    try:
        oracle.decay_theta = lambda theta, p: theta.__setitem__(slice(None), -theta * p)
        assert_twins("decay_theta", x, np.ones(2))
    finally:
        oracle.decay_theta = original


# --- random


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1))
def test_random(key: int, counter: int) -> None:
    assert int(random.mix64(np.uint64(key))) == oracle.mix64(key) == oracle_connectivity.mix64(key)
    assert int(random.subkey(np.uint64(key), counter)) == oracle.subkey(key, counter)
    assert int(random.stream_key(np.uint64(counter), np.uint64(key))) == oracle.stream_key(counter, key)
    assert random.uniform01(np.uint64(key), counter) == oracle.uniform01(key, counter)


def test_random_numbers_are_uniform() -> None:
    """Published value of the finaliser, the range, and the first moments of many numbers."""
    assert oracle.stream_key(0, 0) == oracle.subkey(oracle.mix64(oracle._GOLDEN), 0)
    # SplitMix64 seeded with 0 starts with this number (Vigna's reference code).
    assert oracle.subkey(0, 0) == 0xE220A8397B1DCDAF
    key = np.uint64(random.stream_key(np.uint64(1), np.uint64(2)))
    u = np.array([random.uniform01(key, k) for k in range(100_000)])
    assert u.min() >= 0.0
    assert u.max() < 1.0
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * u.size)
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4 / np.sqrt(u.size)


# --- neurons


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_update_and_reset(n: int, dtype: Any, shared: bool, channels: int) -> None:
    """Parameters as scalars and as arrays; neurons that are refractory, at the threshold, and beyond it."""
    rng = np.random.default_rng(n + 1)
    state = (rng.normal(size=(7, n)) * 10).astype(dtype)
    potential, carry, exc, inh, arrived_exc, arrived_inh, over = state
    refractory, t_ref = rng.integers(0, 4, size=(2, n)).astype(np.int32)
    refractory[: n // 2] = 0
    spiked = rng.integers(0, 5, n).astype(np.uint8)
    p_leak, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh = rng.uniform(-1, 1, size=(6, n)).astype(dtype)
    reset_to, threshold = np.zeros(n, dtype), np.full(n, 2.0, dtype)
    if shared:
        p_leak, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh = (dtype(x) for x in rng.uniform(-1, 1, 6))
        reset_to, threshold, t_ref = dtype(-1.5), dtype(2.0), np.int32(7)
    else:
        exact = rng.random(n) < 0.2
        threshold = (reset_to + np.abs(over)).astype(dtype)
        for part in (p_leak, drive, p_v_exc, p_v_inh, carry):
            part[exact] = 0
        potential[exact] = threshold[exact]
    second = (inh, arrived_inh, p_v_inh, p_c_inh) if channels == 2 else (None,) * 4
    for arrived in ((arrived_exc, second[1]), (None, None)):
        fired = assert_twins(
            "update", potential, carry, refractory, exc, second[0], *arrived, spiked,
            p_leak, drive, p_v_exc, p_c_exc, *second[2:], threshold,
        )  # fmt: skip
        if n > 100:
            assert 0 < fired < n
    for subtract in (False, True):
        ids = np.full(n + 9, -1, np.int32)
        again = threshold, reset_to, t_ref, subtract, ids, 100, 5
        found = assert_twins("reset", potential, refractory, spiked, *again)
        assert found == 5 + np.count_nonzero(spiked)


def test_parameters_are_scalars_or_arrays() -> None:
    assert [which.at(2.5, 1) for which in (neurons, oracle)] == [2.5, 2.5]
    assert [which.at(np.array([1.0, 3.5]), 1) for which in (neurons, oracle)] == [3.5, 3.5]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_exponential_of_conductances(dtype: Any) -> None:
    """On random numbers, and where the integer part changes."""
    name = "approach64" if dtype is np.float64 else "approach32"
    rng = np.random.default_rng(5)
    halves = np.log(2) * (np.arange(94) + 0.5)
    near = np.concatenate([np.nextafter(dtype(h), dtype(d)) for h in halves for d in (0, 100)], axis=None)
    for x in np.concatenate([10 ** rng.uniform(-25, 3, 1000), near, [0.0, 64.0, 1e30]]).astype(dtype):
        assert_twins(name, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shared", [False, True])
def test_update_conductance(n: int, dtype: Any, shared: bool) -> None:
    rng = np.random.default_rng(n + 3)
    potential, drive, reset = (rng.normal(size=(3, n)) * 10).astype(dtype)
    conductance_and_arrivals = (rng.exponential(size=(4, n)) * [[40], [200], [6], [67]]).astype(dtype)
    conductance_and_arrivals[2:] *= rng.random((2, n)) < 0.3
    threshold = (reset + rng.exponential(size=n) * 5).astype(dtype)
    size = 1 if shared else n
    leak, gain, c_exc, c_inh = rng.uniform(1e-4, 0.9, (4, size)).astype(dtype)
    v_exc, v_inh = (rng.uniform(-80, 60, (2, size)) * gain).astype(dtype)
    refractory = rng.integers(0, 4, size=n).astype(np.int32)
    refractory[: n // 2] = 0
    rows = (leak, gain, drive, v_exc, c_exc, v_inh, c_inh, threshold)
    if shared:
        drive, threshold = np.ones(1, dtype), np.full(1, 5, dtype)
        rows = tuple(row[0] for row in (leak, gain, drive, v_exc, c_exc, v_inh, c_inh, threshold))
    spiked = rng.integers(0, 5, n).astype(np.uint8)
    g, arrived = conductance_and_arrivals[:2], conductance_and_arrivals[2:]
    assert_twins("update_conductance", potential, refractory, *g, *arrived, spiked, *rows)
    assert_twins("update_conductance", potential, refractory, *g, None, None, spiked, *rows)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_theta(n: int, dtype: Any) -> None:
    rng = np.random.default_rng(n + 2)
    theta, factor, plus = rng.normal(size=(3, n)).astype(dtype)
    spiked = rng.integers(0, 2, n).astype(np.uint8)
    assert_twins("decay_theta", theta, factor)
    assert_twins("copy", theta.copy(), plus)
    assert_twins("raise_theta", theta, spiked, plus)


# --- plasticity: numbers


@settings(max_examples=300)
@given(
    st.floats(0.0, 1.5),
    st.floats(0.0, 30.0),
    st.tuples(*[st.floats(0.0, 2.0)] * 4),
    st.tuples(st.floats(-0.5, 0.2), st.floats(0.3, 1.3)),
    st.floats(0.01, 3.0),
)
def test_weight_steps(
    w: float, trace: float, sizes: tuple[float, ...], bounds: tuple[float, float], w_0: float
) -> None:
    constant = np.zeros(stdp.N_CONSTANTS)
    constant[: stdp.TOTAL] = (*sizes[:2], *bounds, *sizes[2:], w_0)
    for dependence in range(4):
        for name in ("depressed", "potentiated"):
            after = assert_twins(name, w, trace, dependence, constant)
            assert bounds[0] <= after <= bounds[1]  # also from outside the bounds, and never NaN


@given(st.floats(0.0, 50.0), st.floats(1e-5, 1.0), st.integers(0, 20_000))
def test_decayed(trace: float, rate: float, steps: int) -> None:
    table = np.exp(-np.arange(-1, 4096) * rate)
    assert_twins("decayed", trace, table, rate, steps)
    exact = trace * np.exp(-rate * steps)
    assert stdp.decayed(trace, table, rate, steps) == pytest.approx(exact, rel=1e-12, abs=1e-300)


@given(st.lists(st.integers(0, 50), max_size=30, unique=True), st.integers(-1, 51), st.data())
def test_first_at_least(ids: list[int], unit: int, data: st.DataObject) -> None:
    high = data.draw(st.integers(0, len(ids)))
    low = data.draw(st.integers(0, high))
    assert_twins("first_at_least", np.array(sorted(ids), np.int32), low, high, unit)


# --- kernels that need a network


def copies(program: Program) -> Program:
    """The same program with state of its own."""
    cells, spikes, plastic = duplicate((program.cells, program.spikes, program.plastic))
    return dataclasses.replace(program, cells=cells, spikes=spikes, plastic=plastic)


def advance(which: Any, p: Program, recorder: Any, begin: int, end: int, learning: bool) -> int:
    recorder.n_spikes[0] = 0
    plastic = p.plastic if p.plastic.rule.size else None
    return int(
        which.advance(
            0, 1, np.zeros(32, np.int64), begin, end, learning, p.layout, p.cells, p.parameters, p.spikes,
            p.static, plastic, p.sources, p.drives, recorder, *working_memory(p.cells.potential.dtype),
        )
    )  # fmt: skip


def small_recorder(sim: Simulator, n_steps: int) -> Any:
    """The recorder of a simulator with less room, so that Python can copy it often."""
    recorder = duplicate(sim._taps.recorder)
    room = (n_steps + 1) * sim.program.units.n_units
    return recorder._replace(spike_step=np.zeros(room, np.int64), spike_unit=np.zeros(room, np.int32))


@settings(max_examples=30, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks(max_neurons=12, plastic=True, zero_delay=True), st.integers(1, 4), st.integers(1, 2**31))
def test_engine_is_its_twin(network: Network, n_ranges: int, seed: int) -> None:
    """Runs of 1 to 60 steps, with and without learning: every array of the state and of the recorder."""
    assume(weights_to_record(network, seed))
    rng = np.random.default_rng(seed)
    with Simulator(network, dt_ms=0.1, seed=seed, threads=1, n_ranges=n_ranges) as sim:
        mine, other, t = sim.program, copies(sim.program), 0
        while t < 60:
            end = min(60, t + int(rng.integers(1, 40)))
            learning = bool(rng.integers(0, 4))
            a, b = small_recorder(sim, 60), small_recorder(sim, 60)
            assert advance(engine, mine, a, t, end, learning) == end
            assert advance(oracle, other, b, t, end, learning) == end
            for x, y in zip(arrays_in(a), arrays_in(b), strict=True):
                assert x.tobytes() == y.tobytes()
            for x, y in zip(arrays_in(mine.plastic), arrays_in(other.plastic), strict=True):
                assert x.tobytes() == y.tobytes()
            if rng.integers(0, 2):  # else what postsynaptic spikes do to weights is left undone
                for name, value in mine.state().items():
                    assert value.tobytes() == other.state()[name].tobytes(), name
            t = end
        check_parts(sim, t, rng)


def check_parts(sim: Simulator, t: int, rng: np.random.Generator) -> None:
    """Every kernel that the engine calls, on its own, in the state that a run left behind."""
    p = sim.program
    layout, buffer, spikes, plastic = p.layout, p.spikes.buffer, p.spikes, p.plastic
    n_lists = layout.n_levels * layout.n_ranges
    recorder = small_recorder(sim, 60)
    work, queue = working_memory(p.cells.potential.dtype)
    n_threads = int(rng.integers(1, 3))
    threads = [(tid, n_threads) for tid in range(n_threads)]
    for thread in threads:
        for low in range(t, t + layout.block):
            window = low, (low // layout.block + 1) * layout.block - 1
            steps = max(0, t - p.static.longest), t
            where = (*thread, *steps, 0, n_lists, *window)
            assert_twins("deliver", buffer, queue, layout, spikes, p.static, *where)
        for level in range(layout.n_levels):
            at = (queue, layout, spikes, p.static, *thread, level, t - 1)
            assert_twins("deliver_within_block", *at, t - 1)
    for pop in range(len(p.units.names)):
        assert_twins("driven", p.drives, pop)
    for r in range(layout.n_ranges):
        assert_twins("sample", recorder, layout, p.cells, r, t - 3, t)
        assert_twins("fire_sources", layout, spikes, p.sources, r, t)
        for level in range(layout.n_levels):
            assert_twins("arrivals", buffer, layout, spikes, plastic, r, t, True, level - 1)
            if level > 0:
                state = (layout, p.cells, p.parameters, spikes, p.drives, work, r, level, t)
                assert_twins("update_list", *state, True)
                assert_twins("update_list", *state, False)
                assert_twins("post_spikes", layout, spikes, plastic, r, level, t - 1, True)
        for g in range(
            int(layout.segment_ptr[layout.n_ranges + r]), int(layout.segment_ptr[layout.n_ranges + r + 1])
        ):
            pop = int(layout.segment_pop[g])
            unit, n = int(layout.segment_first[g]), int(layout.segment_n[g])
            low = unit - int(layout.pop_first[pop])
            place = (r << layout.slot_bits) + int(layout.segment_local[g])
            slots = int(layout.buffer_base[r] + layout.segment_local[g])
            assert_twins("poisson_inputs", buffer, layout, p.drives, work, r, pop, slots, n, low, t)
            check_update(p, buffer, work.spiked, r, pop, unit, place, slots, min(n, neurons.CHUNK), t)
        for q in range(len(plastic.rule)):
            check_projection(sim, q, r, t, rng)
    assert_twins("record", recorder, layout, spikes, t - 1)
    check_inputs(sim, t, rng, work)


def check_update(
    p: Program, buffer: np.ndarray, spiked: np.ndarray, r: int, pop: int, unit: int, place: int, slots: int,
    n: int, t: int,
) -> None:  # fmt: skip
    """Neurons of one segment, with parameters as arrays and, where they are shared, as numbers."""
    value, shared = p.parameters.value, bool(p.parameters.shared[pop])
    low = unit - int(p.layout.pop_first[pop])
    a = int(p.parameters.column[pop]) + (0 if shared else low)
    theta = p.cells.theta[unit - p.layout.n_sources :]
    limits = np.zeros((2, n), value.dtype)
    adaptive = bool(p.parameters.adaptive[pop])
    for learning in (False, True):
        changing = value, a, p.drives, pop, low, t, adaptive, learning
        assert_twins("drive_and_threshold", *limits, theta, *changing)
    ids = np.zeros(p.units.n_units + 5, np.int32)
    exc, inh = (neurons.P_VC, neurons.P_CC), (neurons.P_VC + 1, neurons.P_CC + 1)
    rows = [neurons.P_LEAK, conductance.GAIN, neurons.DRIVE, *exc, *inh, neurons.THRESHOLD, neurons.RESET]
    state = ids, 5, p.layout, p.cells, p.parameters, buffer, spiked, r, pop, unit, place, slots, n
    refractory = p.parameters.refractory_steps
    assert_twins("update_cells", *state, *(value[k, a : a + n] for k in rows), refractory[a : a + n])
    if shared:
        assert_twins("update_cells", *state, *(value[k, a] for k in rows), refractory[a])


def check_inputs(sim: Simulator, t: int, rng: np.random.Generator, work: Scratch) -> None:
    """The kernels of sources and drives."""
    p, m = sim.program, neurons.CHUNK
    ids = np.zeros(p.units.n_units, np.int32)
    for s in range(len(p.sources.code)):
        n = p.units.size[p.units.names[s]]
        low = int(rng.integers(n))
        for step in (0, t, t + 1):
            assert_twins("emit", ids, 0, p.sources, s, 3, low, n - low, step)
            assert_twins("emit_events", ids, 0, p.sources, s, 3, low, n - low, step)
            if p.sources.code[s] == sources.RARE:
                assert_twins("emit_rare", ids, 0, p.sources, s, 3, low, n - low, np.uint64(SEED + step))
    dtype = p.cells.potential.dtype
    for d in range(len(p.drives.poisson_pop)):
        size = p.units.size[p.units.names[p.drives.poisson_pop[d]]]
        low = int(rng.integers(size))
        n = min(size - low, m)
        arrived = rng.normal(size=n).astype(dtype)
        assert_twins("poisson_input", arrived, *work[3:], p.drives, d, low, t, working=(1, 2, 3))
    for c in range(len(p.drives.current_pop)):
        size = p.units.size[p.units.names[p.drives.current_pop[c]]]
        low = int(rng.integers(size))
        drive, p_v0 = rng.normal(size=(2, size - low)).astype(dtype)
        assert_twins("current_input", drive, p.drives, c, low, t, p_v0)


def check_projection(sim: Simulator, q: int, r: int, t: int, rng: np.random.Generator) -> None:
    """The kernels of one plastic projection in one range."""
    p, layout, plastic = sim.program, sim.program.layout, sim.program.plastic
    rows, n = plastic.rows, int(plastic.piece_n[q, r])
    assert_twins("fade", plastic, q, r)
    assert_twins("normalise", plastic, q, r, t)
    assert_twins("catch_up_all", plastic, q, r, t)
    entries = int(rows.n_rows[q] * (rows.delay_high[q] - rows.delay_low[q] + 1))
    plastic.waiting[r, :5] = rng.integers(0, entries, 5)
    slot = int(layout.buffer_base[r]) + (t % layout.block << layout.slot_bits)
    assert_twins("locate_rows", plastic, q, r, 5)
    if entries:
        place = int(rows.table[q] + entries // 2 * layout.n_ranges) + r
        assert_twins("memory_of", plastic, q, place, int(rows.base[q, r] + rows.start[place]))
    for learning in (True, False):
        assert_twins("arrive_waiting", p.spikes.buffer, plastic, q, r, 5, t, slot, learning)
    if n > 0:
        ids = np.flatnonzero(rng.integers(0, 2, n)).astype(np.int32)
        post = int(plastic.post_base[q] + plastic.piece_low[q, r])
        for later in (t, t + 2**16):
            assert_twins("note", plastic, q, r, post, ids, later)
    low, high = int(rows.base[q, r]), int(rows.base[q, r + 1])
    table = rows.start[rows.table[q] :][: (entries + 1) * layout.n_ranges].reshape(-1, layout.n_ranges)
    entry = np.repeat(np.arange(entries), np.diff(table[:, r].astype(np.int64)))
    now = np.zeros(high - low, rows.weight.dtype)
    assert_twins("weights_now", now, plastic, q, np.arange(low, high), entry)


# --- the whole engine against a naive simulation


def probed(network: Network) -> Network:
    """With probes of everything in every step, and of a part every third step."""
    found: dict[str, Probe] = {f"s_{name}": Probe(target=name) for name in network.sources()}
    for name, population in network.populations.items():
        found[f"s_{name}"] = Probe(target=name)
        found[f"v_{name}"] = Probe(target=name, variable="v_mv")
        found[f"part_{name}"] = Probe(target=name, variable="v_mv", every_ms=0.3, ids=[population.n - 1])
        if hasattr(population.neuron.synapse, "tau_exc_ms"):
            found[f"e_{name}"] = Probe(target=name, variable="i_exc_pa")
            found[f"i_{name}"] = Probe(target=name, variable="i_inh_pa")
        if population.neuron.threshold is not None:
            found[f"t_{name}"] = Probe(target=name, variable="theta_mv")
    for name, projection in network.projections.items():
        if projection.plastic:
            found[f"w_{name}"] = Probe(target=name, variable="weight", every_ms=0.1)
    return network.replace(probes=found)


def neuron(rng: np.random.Generator, n: int, delta: bool) -> Neuron:
    """A model of any kind, with parameters of its own for each of n neurons."""
    reset = str(rng.choice(["value", "zero", "subtract"]))
    common: dict[str, Any] = {
        "v_th_mv": rng.uniform(8.0, 12.0, n),
        "reset": reset,
        "v_reset_mv": None if reset == "zero" else 1.5,
        "c_m_pf": rng.uniform(100.0, 200.0, n),
        "t_ref_ms": rng.integers(0, 8, n) * 0.1,
        "i_bias_pa": 30.0,
        "synapse": Delta() if delta else Exponential(tau_exc_ms=2.0, tau_inh_ms=rng.uniform(1.0, 9.0, n)),
        "threshold": AdaptiveThreshold(theta_plus_mv=0.3, tau_theta_ms=30.0) if rng.random() < 0.5 else None,
    }
    return LIF(tau_m_ms=10.0, v_rest_mv=-1.0, **common) if rng.random() < 0.6 else IF(**common)


def projection(
    rng: np.random.Generator, source: tuple[str, int], target: str, delta: bool, delays: tuple[int, int],
    plastic: bool, exact: bool,
) -> Projection:  # fmt: skip
    """About three connections for each target; weights that are exactly representable, where asked for."""
    n = 3 * SIZE[target]
    scale = 1.0 if delta else 60.0
    weight = scale * rng.uniform(0.5, 4.0, n)
    if exact:
        weight = np.round(weight * 8) / 8
    inhibitory = not plastic and bool(rng.integers(0, 2))
    rule = STDP(
        tau_plus_ms=2.0, tau_minus_ms=3.0, a_plus=0.1, a_minus=0.05, w_max=scale * 4.1, w_0=scale,
        dependence=str(rng.choice(["additive", "multiplicative", "power", "power_law"])),
        mu_plus=0.4, mu_minus=0.7, pairing=str(rng.choice(["all", "nearest"])),
    )  # fmt: skip
    return Projection(
        source=source[0],
        target=target,
        rule=Arrays(source=rng.integers(0, source[1], n), target=rng.integers(0, SIZE[target], n)),
        delay_ms=rng.integers(delays[0], delays[1] + 1, n) * 0.1,
        plasticity=rule if plastic else None,
        normalisation=Normalisation(total=scale * 6, every_ms=1.1)
        if plastic and rng.random() < 0.5
        else None,
        **{"weight_mv" if delta else "weight_pa": -weight if inhibitory else weight},
    )


SIZE = {"a": 7, "b": 5, "c": 6, "s": 6, "g": 4, "i": 8}


def rich_network(seed: int, exact: bool, zero: int) -> Network:
    """Everything at once: three populations, three sources, drives, eight projections half of them plastic.

    zero   shortest delay in steps of projections that close no cycle
    """
    rng = np.random.default_rng(seed)
    delta = {name: bool(rng.integers(0, 2)) for name in "abc"}
    populations = {
        name: Population(n=SIZE[name], neuron=neuron(rng, SIZE[name], delta[name])) for name in "abc"
    }
    longest = int(rng.integers(1, 20))
    pairs = [("s", "a"), ("a", "b"), ("b", "c"), ("i", "c"), ("g", "b"), ("c", "a"), ("a", "a"), ("b", "b")]
    projections = {}
    for k, (source, target) in enumerate(pairs):
        least = zero if k < 5 else 1
        delays = least, longest if rng.random() < 0.7 else least
        plastic = bool(rng.integers(0, 2))
        size = source, SIZE[source]
        p = projection(rng, size, target, delta[target], delays, plastic, exact and not plastic)
        projections[f"{source}{target}"] = p
    phases = (Phase(name="x", learning=True, shuffle=True), Phase(name="y"), Phase(name="z", learning=True))
    coding = ("rate", "latency", "delta")[seed % 3]
    images = Images(
        images=rng.random((4, 8 if coding != "delta" else 4)), phases=phases, coding=coding,
        max_rate_hz=900.0, present_ms=0.7, rest_ms=0.3,
    )  # fmt: skip
    stimuli: dict[str, Stimulus] = {
        "s": Poisson(n=6, rate_hz=rng.uniform(100, 900, 6), start_ms=0.5, stop_ms=11.0),
        "g": SpikeTrains(n=4, times_ms=np.arange(40) * 0.3, ids=rng.integers(0, 4, 40)),
        "current": Current(target="a", amplitude_pa=rng.uniform(0, 500, (2, 7)), times_ms=[0.2, 6.0]),
        "shift": Current(target="c", amplitude_pa=[250.0], times_ms=[1.0]),
    }
    if seed % 4:
        stimuli["i"] = images
    else:
        stimuli["i"] = Poisson(n=8, rate_hz=500.0)
    for name in "abc":
        for sign in (1, -1):
            weight = sign * (0.75 if delta[name] else 120.0)
            stimuli[f"drive_{name}_{'plus' if sign > 0 else 'minus'}"] = PoissonDrive(
                target=name, n_inputs=3, rate_hz=rng.uniform(200, 2500, SIZE[name]) * (2 + sign) / 3,
                **{"weight_mv" if delta[name] else "weight_pa": weight},
            )  # fmt: skip
    return probed(
        Network(
            populations=populations,
            projections=projections,
            stimuli=stimuli,
            precision="float32" if seed % 2 else "float64",
        )
    )


@pytest.mark.parametrize("seed", range(12))
def test_engine_against_naive_simulation(seed: int) -> None:
    """Also without delays: then static weights are exactly representable, for blocks reorder their sums."""
    compare_with_naive(rich_network(seed, True, 0), 1 + seed % 5, 1 + seed % 3, 120)


@pytest.mark.parametrize("seed", range(12, 18))
def test_sums_have_the_documented_order(seed: int) -> None:
    """With delays of at least a step also sums that are rounded agree to the bit."""
    compare_with_naive(rich_network(seed, False, 1), 1 + seed % 5, 2, 120)


def compare_with_naive(network: Network, n_ranges: int, threads: int, n_steps: int) -> None:
    network = probed(network)
    with Simulator(network, dt_ms=0.1, seed=SEED, threads=threads, n_ranges=n_ranges) as sim:
        expected = run_network(sim, n_steps)
        sim.run_steps(17)
        sim.run_steps(n_steps - 17)
        for name, probe in network.probes.items():
            if probe.variable == "spikes":
                found = list(zip(*(x.tolist() for x in sim.spikes(name)), strict=True))
                assert found == expected.spikes[probe.target]
                continue
            steps, values = sim.samples(name)
            naive = np.array(expected.samples[probe.target, probe.variable])
            chosen = naive[steps] if probe.ids is None else naive[steps][:, probe.ids]
            assert len(steps) == -(-n_steps // (3 if probe.ids is not None else 1))
            assert values.tobytes() == chosen.tobytes(), name
        assert sum(len(expected.spikes[name]) for name in network.populations) > 40
        for name, projection in network.projections.items():
            weight = sim.weights(name)[2]
            assert weight.tobytes() == expected.samples[name, "weight"][-1].tobytes()
            if projection.plasticity is not None:
                check_traces(sim, name, expected.pre_trace[name], expected.post_trace[name])


def check_traces(sim: Simulator, name: str, pre: list[float], post: list[float]) -> None:
    plastic, units = sim.program.plastic, sim.program.units
    q = [n for n, p in sim.network.projections.items() if p.plastic].index(name)
    target = sim.network.projections[name].target
    first = int(plastic.post_base[q])
    assert plastic.post_trace[first : first + units.size[target]].tolist() == post
    table, rows = sim.synapses(name), plastic.rows
    n_delays = int(rows.delay_high[q] - rows.delay_low[q] + 1)
    for s in range(len(pre)):
        r = next(r for r in range(units.n_ranges) if table.target[s] < units.piece(target, r)[1])
        entry = int(table.source[s]) * n_delays + int(table.delay[s] - rows.delay_low[q])
        place = int(rows.table[q]) + entry * units.n_ranges + r
        e = oracle.memory_of(plastic, q, place, int(rows.base[q, r] + rows.start[place]))
        assert plastic.arrived[e, plasticity.TRACE] == pre[s]
