"""Hypothesis strategies: random valid networks and configs, small, lively, and with every feature.

    @given(networks(max_neurons=40))
    def test_something(network): ...

Every population gets a current or a Poisson drive that is strong enough to make it fire within a few
milliseconds, whatever else was drawn.  Times are multiples of `dt_ms`, delays 1 to 20 steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from snnsim.classify import Classify
from snnsim.config import Config, Run
from snnsim.connectivity import (
    AllToAll,
    Arrays,
    ConnectionRule,
    FixedInDegree,
    FixedOutDegree,
    FixedTotalNumber,
    OneToOne,
    PairwiseBernoulli,
)
from snnsim.distributions import ClippedNormal, Distribution, LogNormal, Normal, Uniform
from snnsim.models import IF, LIF, AdaptiveThreshold, Conductance, Delta, Exponential, Neuron, Synapse
from snnsim.network import Network
from snnsim.plasticity import STDP, Normalisation
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, Images, Phase, Poisson, PoissonDrive, SpikeSource, SpikeTrains, Stimulus

STRONG_PA = (2000.0, 4000.0)  # lifts 300 pF by 6.7 mV a millisecond
STRONG_MV_PER_MS = (7.0, 15.0)
MAX_DELAY_STEPS = 20

Draw = Any


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


def times(dt_ms: float, least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda step: step * dt_ms)


@st.composite
def distributions(draw: Draw, low: float, high: float) -> Distribution:
    """A distribution that stays in [low, high]."""
    a = draw(floats(low, low + 0.4 * (high - low)))
    b = draw(floats(high - 0.4 * (high - low), high))
    kinds = ["uniform", "normal", "clipped"] + (["lognormal"] if low > 0 else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "uniform":
        return Uniform(low=a, high=b)
    cls = {"normal": Normal, "clipped": ClippedNormal, "lognormal": LogNormal}[kind]
    return cls(mean=draw(floats(a, b)), std=draw(floats(0.1, 1.0)) * (high - low), low=a, high=b)


def values(low: float, high: float, n: int) -> st.SearchStrategy[Any]:
    """One number, `n` numbers, or a distribution, all in [low, high]."""
    return st.one_of(
        floats(low, high), st.lists(floats(low, high), min_size=n, max_size=n), distributions(low, high)
    )


@st.composite
def neurons(draw: Draw, n: int, dt_ms: float) -> Neuron:
    """A neuron model for a population of n: threshold 12 to 20 mV above rest, reset at or below rest."""
    reset = draw(st.sampled_from(["value", "zero", "subtract"]))
    base = 0.0 if reset == "zero" else draw(st.sampled_from([0.0, -65.0]))
    fields: dict[str, Any] = {
        "reset": reset,
        "v_th_mv": draw(values(base + 12.0, base + 20.0, n)),
        "c_m_pf": draw(values(100.0, 300.0, n)),
        "t_ref_ms": draw(
            st.one_of(times(dt_ms, 0, 20), st.lists(times(dt_ms, 0, 20), min_size=n, max_size=n))
        ),
        "i_bias_pa": draw(values(0.0, 100.0, n)),
        "synapse": draw(synapses(n, base)),
        "threshold": draw(st.none() | adaptive_thresholds(n)),
    }
    if reset != "zero":
        fields["v_reset_mv"] = draw(values(base - 8.0, base + 2.0, n))
    if draw(st.booleans()):
        fields["v_init_mv"] = draw(values(base - 5.0, base + 11.0, n))
    if draw(st.booleans()):
        return IF(**fields)
    return LIF(tau_m_ms=draw(values(5.0, 20.0, n)), v_rest_mv=draw(values(base - 5.0, base, n)), **fields)


@st.composite
def synapses(draw: Draw, n: int, base: float) -> Synapse:
    """Delta, exponential, or conductances whose reversal potentials lie about a rest at `base`."""
    kind = draw(st.sampled_from([Delta, Exponential, Conductance]))
    if kind is Delta:
        return Delta()
    if kind is Conductance:
        return Conductance(
            tau_exc_ms=draw(values(0.3, 8.0, n)),
            tau_inh_ms=draw(values(0.3, 8.0, n)),
            e_exc_mv=draw(values(base + 50.0, base + 70.0, n)),
            e_inh_mv=draw(values(base - 20.0, base, n)),
            g_exc_init_ns=draw(values(0.0, 50.0, n)),
            g_inh_init_ns=draw(values(0.0, 50.0, n)),
        )
    inhibitory = draw(st.one_of(st.none(), values(0.3, 8.0, n)))
    return Exponential(tau_exc_ms=draw(values(0.3, 8.0, n)), tau_inh_ms=inhibitory)


@st.composite
def adaptive_thresholds(draw: Draw, n: int) -> AdaptiveThreshold:
    return AdaptiveThreshold(
        theta_plus_mv=draw(values(0.05, 2.0, n)),
        tau_theta_ms=draw(values(20.0, 1000.0, n)),
        theta_init_mv=draw(values(0.0, 3.0, n)),
    )


@st.composite
def drives(draw: Draw, target: str, population: Population, dt_ms: float) -> Stimulus:
    """What makes every neuron of a population fire."""
    if draw(st.booleans()):
        n_times = draw(st.integers(1, 3))
        shape = (n_times,) if draw(st.booleans()) else (n_times, population.n)
        size = int(np.prod(shape))
        amplitude = draw(st.lists(floats(*STRONG_PA), min_size=size, max_size=size))
        steps = [0, *sorted(draw(st.sets(st.integers(1, 500), min_size=n_times - 1, max_size=n_times - 1)))]
        return Current(
            target=target, amplitude_pa=np.reshape(amplitude, shape), times_ms=[s * dt_ms for s in steps]
        )
    trains = draw(st.integers(1, 50))
    rate_hz = draw(floats(4000.0, 8000.0)) / trains
    rates: Any = rate_hz
    if draw(st.booleans()):
        rates = [rate_hz * draw(floats(1.0, 1.5)) for _ in range(population.n)]
    per_spike = draw(floats(*STRONG_MV_PER_MS)) / 4.0
    weight: dict[str, Any] = {"weight_mv": per_spike}
    if isinstance(population.neuron.synapse, Conductance):
        weight = {"weight_ns": per_spike * 300.0 / 0.3 / 30.0, "receptor": "exc"}  # 30 mV drive it at least
    elif isinstance(population.neuron.synapse, Exponential):
        weight = {"weight_pa": per_spike * 300.0 / 0.3}  # charge of a spike at the shortest time constant
    return PoissonDrive(target=target, n_inputs=trains, rate_hz=rates, **weight)


@st.composite
def sources(draw: Draw, dt_ms: float) -> tuple[SpikeSource, int]:
    """A stimulus that emits spikes, and how many sources it has."""
    kind = draw(st.sampled_from(["poisson", "spike_trains", "images"]))
    if kind == "images":
        return draw(images(dt_ms))
    n = draw(st.integers(1, 8))
    if kind == "poisson":
        window: dict[str, float] = {}
        if draw(st.booleans()):
            window = {"start_ms": draw(times(dt_ms, 0, 50)), "stop_ms": draw(times(dt_ms, 100, 2000))}
        return Poisson(n=n, rate_hz=draw(values(50.0, min(2000.0, 1000.0 / dt_ms), n)), **window), n
    spikes = draw(st.sets(st.tuples(st.integers(0, 600), st.integers(0, n - 1)), min_size=1, max_size=40))
    ordered = draw(st.permutations(sorted(spikes)))
    return SpikeTrains(n=n, times_ms=[t * dt_ms for t, _ in ordered], ids=[k for _, k in ordered]), n


@st.composite
def images(draw: Draw, dt_ms: float) -> tuple[Images, int]:
    pixels, n_images = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    size = pixels * n_images
    grey = st.lists(floats(0.0, 1.0), min_size=size, max_size=size)
    coding = draw(st.sampled_from(["rate", "latency", "delta"]))
    names = draw(st.lists(st.sampled_from("uvw"), min_size=1, max_size=2, unique=True))
    found = Images(
        images=np.reshape(draw(grey), (n_images, pixels)),
        phases=tuple(
            Phase(
                name=name,
                repeats=draw(st.integers(1, 2)),
                learning=draw(st.booleans()),
                shuffle=draw(st.booleans()),
            )
            for name in names
        ),
        coding=coding,
        max_rate_hz=draw(floats(20.0, min(1000.0, 100.0 / dt_ms))),
        threshold=draw(floats(0.0, 1.0)),
        normalise=draw(st.booleans()),
        present_ms=draw(times(dt_ms, 1, 150)),
        rest_ms=draw(times(dt_ms, 0, 50)),
    )
    return found, pixels * (2 if coding == "delta" else 1)


@st.composite
def connection_rules(draw: Draw, n_source: int, n_target: int, same: bool) -> ConnectionRule:
    autapses = draw(st.booleans())
    pool_in, pool_out = (n - (same and not autapses) for n in (n_source, n_target))
    choices = ["all_to_all", "bernoulli", "arrays"] + (["one_to_one"] if n_source == n_target else [])
    if pool_in > 0 and pool_out > 0:
        choices += ["in", "out", "total"]
    kind = draw(st.sampled_from(choices))
    if kind == "all_to_all":
        return AllToAll(autapses=autapses)
    if kind == "one_to_one":
        return OneToOne()
    if kind == "bernoulli":
        return PairwiseBernoulli(p=draw(floats(0.0, 1.0)), autapses=autapses)
    if kind == "arrays":
        pairs = st.tuples(st.integers(0, n_source - 1), st.integers(0, n_target - 1))
        given = draw(st.lists(pairs, min_size=1, max_size=30))
        return Arrays(source=[s for s, _ in given], target=[t for _, t in given])
    multapses = draw(st.booleans())
    cls, pool = {
        "in": (FixedInDegree, pool_in),
        "out": (FixedOutDegree, pool_out),
        "total": (FixedTotalNumber, pool_in * n_target if same else n_source * n_target),
    }[kind]
    most = 2 * pool if multapses else pool
    return cls(n=draw(st.integers(0, most)), autapses=autapses, multapses=multapses)


@st.composite
def stdp_rules(draw: Draw, low: float, high: float) -> STDP:
    """A rule whose bounds hold the weights [low, high], low > 0."""
    return STDP(
        tau_plus_ms=draw(floats(5.0, 40.0)),
        tau_minus_ms=draw(floats(5.0, 40.0)),
        a_plus=draw(floats(0.0, 0.2)),
        a_minus=draw(floats(0.0, 0.2)),
        w_max=high * draw(floats(1.0, 2.0)),
        w_min=low * draw(st.sampled_from([0.0, 0.5, 1.0])),
        dependence=draw(st.sampled_from(["additive", "multiplicative", "power", "power_law"])),
        mu_plus=draw(floats(0.0, 2.0)),
        mu_minus=draw(floats(0.0, 2.0)),
        w_0=draw(floats(0.1, 2.0)) * high,
        pairing=draw(st.sampled_from(["all", "nearest"])),
    )


@st.composite
def projections(
    draw: Draw,
    source: tuple[str, int],
    target: tuple[str, Population],
    dt_ms: float,
    plastic: bool,
    least_delay: int = 1,
) -> Projection:
    """Connections between a source (name, size) and a population."""
    unit = target[1].neuron.synapse.weight_key
    scale = {"weight_mv": 0.02, "weight_pa": 1.0, "weight_ns": 0.03}[unit]
    one_current = target[1].neuron.synapse.n_currents == 1
    rule = draw(connection_rules(source[1], target[1].n, source[0] == target[0]))
    low, high = 5.0 * scale, 60.0 * scale
    learns = plastic and draw(st.booleans())
    inhibitory = not learns and draw(st.booleans())
    receptor = "inh" if inhibitory else "exc"
    named = [None] if one_current else [receptor] if unit == "weight_ns" else [None, receptor]
    if inhibitory and unit != "weight_ns":
        low, high = -high, -low
    n_given = rule.source.size if isinstance(rule, Arrays) else 0
    kinds = [floats(low, high), distributions(low, high)]
    steps = st.integers(least_delay, MAX_DELAY_STEPS)
    delays = [steps.map(lambda k: k * dt_ms), drawn_delays(dt_ms)]
    if n_given:
        kinds.append(st.lists(floats(low, high), min_size=n_given, max_size=n_given))
        listed = times(dt_ms, least_delay, MAX_DELAY_STEPS)
        delays.append(st.lists(listed, min_size=n_given, max_size=n_given))
    normalisation = None
    if plastic and not inhibitory and draw(st.integers(0, 3)) == 0:
        normalisation = Normalisation(
            total=draw(floats(0.5, 10.0)) * high, every_ms=draw(times(dt_ms, 1, 200))
        )
    return Projection(
        source=source[0],
        target=target[0],
        rule=rule,
        delay_ms=draw(st.one_of(delays)),
        receptor=draw(st.sampled_from(named)),
        plasticity=draw(stdp_rules(low, high)) if learns else None,
        normalisation=normalisation,
        **{unit: draw(st.one_of(kinds))},
    )


@st.composite
def drawn_delays(draw: Draw, dt_ms: float) -> Distribution:
    low = draw(st.integers(1, MAX_DELAY_STEPS - 1))
    high = draw(st.integers(low + 1, MAX_DELAY_STEPS))
    mean = draw(floats(low, high)) * dt_ms
    bounds = {"low": low * dt_ms, "high": high * dt_ms}
    cls = draw(st.sampled_from([Uniform, Normal, LogNormal]))
    if cls is Uniform:
        return Uniform(**bounds)
    return cls(mean=mean, std=draw(floats(0.5, 5.0)) * dt_ms, **bounds)


@st.composite
def probes(draw: Draw, network: dict[str, Any], sizes: dict[str, int], dt_ms: float) -> dict[str, Probe]:
    """Spikes of everything that fires; samples of some of the rest."""
    found = {f"spikes_{name}": Probe(target=name) for name in sizes}
    for name, population in network["populations"].items():
        wanted = ["v_mv"]
        if isinstance(population.neuron.synapse, Exponential):
            wanted += ["i_exc_pa", "i_inh_pa"][: population.neuron.synapse.n_currents]
        if isinstance(population.neuron.synapse, Conductance):
            wanted += ["g_exc_ns", "g_inh_ns"]
        if population.neuron.threshold is not None:
            wanted.append("theta_mv")
        for variable in draw(st.lists(st.sampled_from(wanted), unique=True, max_size=2)):
            ids = draw(st.none() | st.sets(st.integers(0, population.n - 1), min_size=1).map(sorted))
            every = draw(st.none() | times(dt_ms, 1, 50))
            found[f"{variable}_{name}"] = Probe(target=name, variable=variable, every_ms=every, ids=ids)
    for name, projection in network["projections"].items():
        if projection.plastic and draw(st.booleans()):
            found[f"weight_{name}"] = Probe(
                target=name, variable="weight", every_ms=draw(times(dt_ms, 1, 200))
            )
    return found


@st.composite
def networks(
    draw: Draw,
    max_neurons: int = 40,
    dt_ms: float = 0.1,
    plastic: bool = True,
    zero_delay: bool = False,
    precision: str | None = None,
) -> Network:
    """A valid network of at most `max_neurons` neurons that fires within a few milliseconds.

    plastic      may weights change
    zero_delay   may projections that close no cycle have delay 0
    precision    "float32" or "float64"; None draws one
    """
    n_populations = draw(st.integers(1, min(3, max_neurons)))
    populations = {}
    for name in "abc"[:n_populations]:
        n = draw(st.integers(1, max_neurons // n_populations))
        populations[name] = Population(n=n, neuron=draw(neurons(n, dt_ms)))
    stimuli: dict[str, Stimulus] = {
        f"drive_{name}": draw(drives(name, population, dt_ms)) for name, population in populations.items()
    }
    sizes = {name: population.n for name, population in populations.items()}
    for k in range(draw(st.integers(0, 2))):
        stimuli[f"source_{k}"], sizes[f"source_{k}"] = draw(sources(dt_ms))
    emitters, targets = list(sizes), list(populations)
    joined = {}
    for k in range(draw(st.integers(0, 4))):
        source, target = draw(st.sampled_from(emitters)), draw(st.sampled_from(targets))
        instant = zero_delay and (source not in populations or source < target)
        joined[f"p{k}"] = draw(
            projections(
                (source, sizes[source]), (target, populations[target]), dt_ms, plastic, 0 if instant else 1
            )
        )
    parts: dict[str, Any] = {"populations": populations, "projections": joined, "stimuli": stimuli}
    return Network(
        **parts,
        probes=draw(probes(parts, sizes, dt_ms)),
        precision=precision or draw(st.sampled_from(["float64", "float32"])),
    )


@st.composite
def configs(draw: Draw, max_neurons: int = 12) -> Config:
    """A config with a time step of its own, sometimes with a classification task."""
    dt_ms = draw(st.sampled_from([0.1, 0.25, 1.0, 0.05]))
    network = draw(networks(max_neurons, dt_ms))
    task = None
    if draw(st.integers(0, 3)) == 0:
        phases = (Phase(name="label", split="train"), Phase(name="test", split="test"))
        digits = Images(dataset="digits", phases=phases, present_ms=10 * dt_ms)
        network = network.replace(stimuli={**network.stimuli, "digits": digits})
        task = Classify(
            stimulus="digits", readout="a", readout_rule=draw(st.sampled_from(["vote", "proportional"]))
        )
    run = Run(
        duration_ms=draw(times(dt_ms, 1, 10_000)),
        dt_ms=dt_ms,
        seed=draw(st.integers(0, 2**63 - 1)),
        threads=draw(st.none() | st.integers(1, 64)),
        checkpoint_every_s=draw(floats(0.0, 100.0)),
    )
    name = draw(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12))
    return Config(name=name, run=run, network=network, task=task)


def weights_to_record(network: Network, seed: int) -> bool:
    """A random projection may be without synapses; then there is nothing for a probe of its weights."""
    targets = {p.target for p in network.probes.values() if p.variable == "weight"}
    bare = network.replace(probes={})
    return all(Simulator(bare, threads=1, seed=seed).weights(name)[0].size for name in targets)
