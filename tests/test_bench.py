"""`snnsim bench`: its networks, its figures, and what it refuses."""

import hashlib
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import networks
from test_cli_output import invoke, one_object

from snnsim import (
    LIF,
    STDP,
    ConfigError,
    FixedOutDegree,
    Network,
    PairwiseBernoulli,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Simulator,
    SpikeTrains,
    Uniform,
    load_config,
)
from snnsim.examples import brunel_10k, stdp_1m
from snnsim.examples.microcircuit import MEAN_RATES_HZ, NAMES, microcircuit
from snnsim.experiments.bench import DT_MS, measure
from snnsim.experiments.benchmarks import BENCHMARKS, Benchmark, benchmark_network
from snnsim.memory import peak_rss_bytes
from snnsim.synapses import out_degrees, synapse_bytes

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FIELDS = {
    *("benchmark", "scale", "background", "precision", "duration_ms", "warmup_ms", "dt_ms", "seed"),
    *("threads", "n_neurons", "n_synapses", "compile_s", "build_s", "sim_s", "rtf", "peak_rss_gb"),
    *("bytes_per_synapse", "events_per_s", "rates_hz", "n_spikes", "spikes_sha256", "versions", "machine"),
}
SHORT = ["--duration-ms", "50", "--warmup-ms", "10"]


def small(scale: float = 1.0, precision: str = "float64", background: str = "poisson") -> Network:
    """Sources of two kinds, static and plastic synapses, several delays: all that can cause an event."""
    cell = LIF(tau_m_ms=20.0, v_rest_mv=0.0, v_th_mv=10.0, v_reset_mv=0.0, t_ref_ms=1.0)
    stdp = STDP(tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=0.01, a_minus=0.01, w_max=4.0)
    n = round(3000 * scale)
    ids = np.arange(50)
    times = 0.1 * (7 * ids % 400)
    return Network(
        populations={"a": Population(n=n, neuron=cell), "b": Population(n=200, neuron=cell)},
        stimuli={
            "noise": Poisson(n=300, rate_hz=80.0),
            "given": SpikeTrains(n=50, times_ms=times, ids=ids),
            "drive": PoissonDrive(target="a", n_inputs=100, rate_hz=30.0, weight_mv=0.3),
        },
        projections={
            "noise_a": Projection(source="noise", target="a", rule=PairwiseBernoulli(p=0.02), weight_mv=1.0,
                                  delay_ms=Uniform(low=0.1, high=2.0), plasticity=stdp),
            "noise_b": Projection(source="noise", target="b", rule=PairwiseBernoulli(p=0.1), weight_mv=1.0,
                                  delay_ms=0.5),
            "given_b": Projection(source="given", target="b", rule=FixedOutDegree(n=7), weight_mv=2.0,
                                  delay_ms=1.0),
            "a_b": Projection(source="a", target="b", rule=PairwiseBernoulli(p=0.03), weight_mv=0.5,
                              delay_ms=Uniform(low=0.1, high=1.0)),
            "a_a": Projection(source="a", target="a", rule=PairwiseBernoulli(p=0.01), weight_mv=0.2,
                              delay_ms=5.0),
        },
        probes={name: Probe(target=name) for name in ("a", "b")},
        precision=precision,
    )  # fmt: skip


@pytest.fixture
def entry(monkeypatch):
    """A benchmark of our own: one entry of the table."""
    monkeypatch.setitem(BENCHMARKS, "own", Benchmark("a network of all kinds", small, (0.1, 10.0), 0.1))
    return "own"


def brute_degrees(sim: Simulator) -> np.ndarray:
    found = np.zeros(sim.program.units.n_units, dtype=np.int64)
    for name, projection in sim.network.projections.items():
        np.add.at(found, sim.synapses(name).source + sim.program.units.first[projection.source], 1)
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks())
def test_out_degrees_are_those_of_the_tables(network):
    with Simulator(network.replace(probes={}), dt_ms=DT_MS, n_ranges=3) as sim:
        assert np.array_equal(out_degrees(sim.program), brute_degrees(sim))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_out_degrees_of_the_benchmarks(name):
    with Simulator(benchmark_network(name, BENCHMARKS[name].tiny)) as sim:
        found = out_degrees(sim.program)
        assert np.array_equal(found, brute_degrees(sim))
        assert found.sum() == sim.n_synapses > 0


def test_events_are_those_of_the_spikes_in_the_window(entry):
    found = measure(entry, scale=1.0, duration_ms=30.0, warmup_ms=10.0, threads=2, seed=3)
    network = small()
    probes = {name: Probe(target=name) for name in ("a", "b", "noise", "given")}
    with Simulator(network.replace(probes=probes), dt_ms=DT_MS, seed=3) as sim:
        sim.run(40.0)
        events = {}
        for name in probes:
            steps, ids = sim.spikes(name)
            fired = ids[steps >= 100]
            targets = [
                np.bincount(sim.synapses(p).source, minlength=int(sim.program.units.size[name]))
                for p, projection in network.projections.items()
                if projection.source == name
            ]
            events[name] = sum(int(degree[fired].sum()) for degree in targets)
        assert events["b"] == 0
        assert min(events["a"], events["noise"], events["given"]) > 0
    assert found.events_per_s * found.sim_s == pytest.approx(sum(events.values()), rel=1e-12)


def test_rates_and_digest_are_of_the_window_alone(entry):
    found = measure(entry, scale=1.0, duration_ms=30.0, warmup_ms=10.0, threads=1, seed=3)
    with Simulator(small(), dt_ms=DT_MS, seed=3) as sim:
        sim.run(40.0)
        rows = sorted(
            (step, sim.program.units.first[name] + i)
            for name in ("a", "b")
            for step, i in zip(*(part.tolist() for part in sim.spikes(name)), strict=True)
            if step >= 100
        )
        n_b = sum(unit >= sim.program.units.first["b"] for _, unit in rows)
    columns = np.array(rows, dtype="<i8").T
    assert found.spikes_sha256 == hashlib.sha256(columns[0].tobytes() + columns[1].tobytes()).hexdigest()
    assert found.n_spikes == len(rows)
    assert found.rates_hz["b"] == pytest.approx(n_b / 200 / 0.03, rel=1e-12)
    assert n_b > 0
    assert (found.duration_ms, found.warmup_ms) == (30.0, 10.0)


@pytest.mark.parametrize(("name", "scale"), [("cuba", 2.1), ("brunel-stdp", 0.85), ("stdp-1m", 0.3)])
def test_the_spikes_are_the_same_for_any_number_of_threads(name, scale):
    one, two = (measure(name, scale=scale, duration_ms=60, warmup_ms=20, threads=k) for k in (1, 2))
    assert (one.threads, two.threads) == (1, 2)
    assert one.n_spikes > 0
    assert (one.spikes_sha256, one.rates_hz) == (two.spikes_sha256, two.rates_hz)
    assert one.events_per_s * one.sim_s == pytest.approx(two.events_per_s * two.sim_s, rel=1e-12)
    other = measure(name, scale=scale, duration_ms=60, warmup_ms=20, seed=2)
    assert other.spikes_sha256 != one.spikes_sha256


def test_progress_runs_over_warm_up_and_timing():
    seen = []
    measure("cuba", scale=0.1, duration_ms=20, warmup_ms=10, progress=lambda *at: seen.append(at))
    assert {end for _, end in seen} == {300}
    assert seen == sorted(seen)
    assert seen[-1] == (300, 300)
    assert any(done == 100 for done, _ in seen)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_bytes_per_synapse_hold_all_that_is_stored(precision):
    network = benchmark_network("cuba", precision=precision)
    with Simulator(network) as sim:
        each = synapse_bytes(sim.program) / sim.n_synapses
    assert 2 < each < 4  # its weights are constants


def test_what_learning_stores_counts():
    """Weights; notes and traces, which grow with the neurons: less than a byte a synapse."""
    static, plastic = (brunel_10k.brunel_10k(0.1, plastic=p) for p in (False, True))
    with Simulator(static) as one, Simulator(plastic) as other:
        learning = other.synapses("exc_exc").source.size
        assert 2 * one.program.n_synapses < synapse_bytes(one.program) < 3 * one.program.n_synapses
        weights = learning * np.dtype(static.precision).itemsize
        more = synapse_bytes(other.program) - synapse_bytes(one.program) - weights
        kept = other.program.plastic.noted.nbytes + other.program.plastic.arrived.nbytes
    assert kept < more < learning


# --- the networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_records_its_cells_and_names_them_rightly(name):
    benchmark = BENCHMARKS[name]
    network = benchmark_network(name, benchmark.tiny)
    assert {p.target for p in network.probes.values()} == set(network.populations)
    assert set(benchmark.reference_hz) <= set(network.populations)
    low, high = benchmark.scales
    assert low <= benchmark.tiny <= 1.0 <= high
    assert network.precision == benchmark.precision


@pytest.mark.parametrize(
    ("name", "cells", "synapses"),
    [
        ("microcircuit", 77_169, 298_880_968),
        ("cuba", 4_000, 320_000),
        ("brunel", 10_000, 10_000_000),
        ("brunel-stdp", 10_000, 10_000_000),
        ("stdp-1m", 1_000, 1_000_000),
    ],
)
def test_sizes_without_building(name, cells, synapses):
    result = invoke("bench", name, "--dry-run", "--json")
    data = one_object(result.stdout)["data"]
    assert (data["n_neurons"], data["n_synapses"]) == (cells, synapses)
    assert data["total_bytes"] > data["synapse_bytes"] > synapses


def test_the_full_microcircuit_as_a_config_file():
    assert load_config(EXAMPLES / "microcircuit.toml").network == microcircuit(scale=1.0)


def test_the_config_file_is_as_its_script_writes_it():
    script = runpy.run_path(str(EXAMPLES / "make_microcircuit.py"))
    assert (EXAMPLES / "microcircuit.toml").read_text(encoding="utf-8") == script["text"]()


@pytest.mark.parametrize("name", ["cuba", "brunel"])
def test_scaling_keeps_the_number_of_synapses_of_a_cell(name):
    with Simulator(benchmark_network(name, 0.5)) as half, Simulator(benchmark_network(name, 1.0)) as whole:
        assert half.n_neurons * 2 == whole.n_neurons
        assert half.n_synapses * 2 == pytest.approx(whole.n_synapses, rel=0.02)


def test_brunel_fires_as_theory_has_it():
    found = measure("brunel", duration_ms=300, warmup_ms=100)
    for rate in found.rates_hz.values():
        assert rate == pytest.approx(brunel_10k.THEORY_HZ, rel=0.03)


def test_weights_of_brunel_settle_near_where_drift_vanishes():
    """Without correlation a weight rests where w_max - w = alpha w, at w_max / (1 + alpha) = 0.0993 mV."""
    rest = brunel_10k.W_MAX_MV / (1.0 + brunel_10k.ASYMMETRY)
    with Simulator(brunel_10k.brunel_10k(0.1, plastic=True, precision="float64"), seed=1) as sim:
        sim.run(1000.0)
        _, _, weights = sim.weights("exc_exc")
    assert weights.mean() == pytest.approx(rest, rel=0.1)
    assert weights.std() > 0.005


def test_each_cell_of_stdp_1m_has_a_thousand_sources_of_its_own():
    with Simulator(stdp_1m.stdp_1m(0.01)) as sim:
        source, target, weight = sim.weights("synapses")
        assert np.array_equal(np.bincount(target), np.full(10, 1000))
        assert np.array_equal(np.sort(source), np.arange(10_000))
        assert 0.0 <= weight.min() < weight.max() <= stdp_1m.W_MAX_PA * (1 + 1e-6)
        sim.run(500.0)
        steps, _ = sim.spikes("cells")
    assert 2.0 < steps.size / 10 / 0.5 < 100.0


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_answers_with_all_figures():
    result = invoke("bench", "cuba", "--scale", "0.1", "--threads", "1", "--seed", "7", *SHORT, "--json")
    data = one_object(result.stdout)["data"]
    assert set(data) == FIELDS
    assert (data["benchmark"], data["scale"], data["seed"], data["threads"]) == ("cuba", 0.1, 7, 1)
    assert (data["duration_ms"], data["warmup_ms"], data["dt_ms"]) == (50.0, 10.0, 0.1)
    assert (data["background"], data["precision"]) == (None, "float64")
    assert data["rtf"] == pytest.approx(data["sim_s"] / 0.05)
    assert len(data["spikes_sha256"]) == 64
    assert set(data["rates_hz"]) == {"exc", "inh"}
    assert {"snnsim", "packages"} == set(data["versions"])
    assert min(data[key] for key in ("compile_s", "build_s", "sim_s", "events_per_s", "n_spikes")) > 0
    assert 0.05 < data["peak_rss_gb"] < 64
    assert set(data["machine"]) == {"system", "architecture", "processor", "cores", "python"}


def test_the_command_shows_rates_beside_the_references():
    text = invoke("bench", "microcircuit", "--scale", "0.01", "--background", "dc", *SHORT).stdout
    for name, rate in zip(NAMES, MEAN_RATES_HZ, strict=True):
        row = next(line.split() for line in text.splitlines() if line.startswith(name))
        assert row[2] == f"{rate:.3f}"
        assert math.isfinite(float(row[1]))
    assert "dc background" in text
    assert "real-time factor" in text


def test_quiet_says_nothing_but_the_figures():
    result = invoke("bench", "cuba", "--scale", "0.1", *SHORT, "--quiet")
    assert result.stderr == ""
    assert "real-time factor" in result.stdout


def test_without_a_name_all_are_listed():
    text = invoke("bench").stdout
    assert all(name in text for name in BENCHMARKS)
    assert set(one_object(invoke("bench", "--json").stdout)["data"]["benchmarks"]) == set(BENCHMARKS)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cubq"], 2, "did you mean cuba?"),
        (["cuba", "--precision", "float16"], 2, "float16"),
        (["cuba", "--seed", "-1"], 2, "--seed"),
        (["cuba", "--scale", "0"], 3, "scale"),
        (["cuba", "--scale", "nan"], 3, "scale"),
        (["microcircuit", "--scale", "1.5"], 3, "<= 1"),
        (["cuba", "--background", "dc"], 3, "cuba has no choice of it"),
        (["cuba", "--duration-ms", "0.05"], 3, "not a multiple of dt_ms = 0.1"),
        (["cuba", "--duration-ms", "0"], 3, "too short"),
        (["cuba", "--warmup-ms", "-1"], 3, "warmup_ms"),
    ],
)
def test_what_cannot_be_is_refused_in_words(arguments, code, words):
    result = invoke("bench", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert one_object(invoke("bench", *arguments, "--json").stdout)["error"]["message"]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_does_not_fit_into_memory_is_refused_before_it_is_built(more, monkeypatch):
    monkeypatch.setattr("snnsim.memory.available_bytes", lambda: 10**9)
    monkeypatch.setattr("snnsim.experiments.bench.Simulator", None)
    result = invoke("bench", "microcircuit", *more)
    assert result.exit_code == 3
    assert "does not fit into memory" in result.stderr


def test_the_library_refuses_too():
    with pytest.raises(ConfigError, match="did you mean cuba"):
        measure("cubq")
    with pytest.raises(ConfigError, match="no such background"):
        measure("microcircuit", background="noise")
    with pytest.raises(ConfigError, match="precision"):
        measure("cuba", precision="float16")


def test_peak_memory_grows_with_what_is_held(tmp_path):
    before = peak_rss_bytes()
    held = np.ones(before // 8 + 2**22)  # more than all that was ever held
    assert peak_rss_bytes() >= held.nbytes > before
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nVmHWM:\t  2048 kB\n")
    assert peak_rss_bytes(tmp_path) == 2048 * 1024
    assert peak_rss_bytes(tmp_path / "none") == pytest.approx(peak_rss_bytes(), rel=0.5)
