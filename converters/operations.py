"""Operation counts of a conversion: of the trained network, and of the spiking one from its real events.

Published counts differ by up to eight times in what they leave out (converters.md, section 1.1).  Here every
column has a name, a unit and a formula, and nothing is left out of the sums: input, pooling, the update of
every neuron in every step, hidden and settling steps.  Two conventions for an input that stays the same are
given side by side: its products are computed once and kept, or again in each step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import ceil, log2
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.batch import BatchResult
from snnsim.converters.calibrate import check_calibration
from snnsim.converters.counting import SourceLayer, fan_out, maxima_comparisons, source_layers
from snnsim.kernels import layer_engine as engine
from snnsim.layer_neurons import Maximum, Relay, SignedIF
from snnsim.layer_program import LayerProgram, lower_layers
from snnsim.layers import Conv, Dense, LayerRule, MaxPool
from snnsim.network import Network

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion

_SHARE = 64  # samples at a time


def _column(unit: str, formula: str) -> Any:
    return field(metadata={"unit": unit, "formula": formula})


@dataclass(frozen=True)
class LinkOperations:
    """Additions of one projection for one input, mean over inputs; macs are those that also multiply."""

    name: str
    role: str  # input, pooling or synapse
    acs: float
    macs: float


@dataclass(frozen=True)
class PopulationOperations:
    """One population for one input, mean over inputs."""

    name: str
    n_units: int
    events: float
    spikes: float
    updates: float


@dataclass(frozen=True)
class Operations:
    """Operations for one input, as means over `n_samples` inputs; a MAC and an AC are one operation each.

    An AC adds a weight (event of amount 1 or -1), a MAC adds an amount times a weight.
    """

    n_samples: int = _column("inputs", "inputs that were counted")
    timesteps: int = _column("steps", "steps over which an input comes or acts")
    bytes_per_number: int = _column("bytes", "of a weight, an amount or a potential in the simulation")
    count_bits: int = _column(
        "bits", "ceil(log2(T + 1)), T the largest spike count of a neuron: what a quantised twin needs"
    )
    dense_macs: float = _column("MAC", "source: sum of outputs x fan-in, padding counted")
    dense_ops: float = _column("operations", "source: 2 x dense MAC + one for each output with a bias")
    in_map_macs: float = _column("MAC", "source: dense MAC without places in the padding")
    effective_macs: float = _column(
        "MAC", "source: products in which neither weight nor activation is zero (NeuroBench Effective_MACs)"
    )
    source_biases: float = _column("additions", "source: outputs with a bias")
    source_others: float = _column(
        "operations", "source: additions of pools and sums, comparisons of maxima and activations"
    )
    synaptic_acs: float = _column(
        "AC", "sum over events of amount 1 or -1 of the targets they reach; also over weights of zero"
    )
    synaptic_macs: float = _column("MAC", "the same for events of other amounts (bursts, pooled values)")
    pooling_acs: float = _column("AC", "additions into units that pool, for events of amount 1 or -1")
    pooling_macs: float = _column("MAC", "additions into units that pool, for events of other amounts")
    input_acs_once: float = _column("AC", "targets of inputs of amount 1 or -1, computed once and kept")
    input_macs_once: float = _column("MAC", "targets of all other inputs that are not zero, once")
    input_repeats: float = _column(
        "additions", "adding the kept currents of the input again: targets x timesteps; 0 if nothing is kept"
    )
    input_acs_per_step: float = _column("AC", "the input as events in every step in which it is not zero")
    input_macs_per_step: float = _column("MAC", "the same for amounts other than 1 and -1")
    integrations: float = _column("additions", "v + z: neurons x steps in which they are advanced")
    bias_additions: float = _column("additions", "biases that are not zero x steps that have a bias")
    comparisons: float = _column(
        "comparisons", "with thresholds, neurons x steps (two for signed ones); values in the windows of maxima"
    )
    resets: float = _column("subtractions", "events of neurons; one of s spikes subtracts s thresholds")
    leaks: float = _column("multiplications", "0: the neurons do not leak")
    events: float = _column("events", "emitted by neurons: a burst is one")
    spikes: float = _column("spikes", "sum of their absolute amounts, spikes that are taken back counted too")
    spikes_per_neuron: float = _column("spikes", "spikes / neurons")
    input_events: float = _column("events", "inputs that are not zero, in each step in which they act")
    n_steps: float = _column("steps", "until nothing was on its way: input, hidden and settling steps; mean")
    n_steps_most: int = _column("steps", "the same, largest")
    n_neurons: int = _column("neurons", "that spike")
    n_weights: int = _column("weights", "of the spiking network, shared ones once")
    weight_bytes: float = _column("bytes", "read: one number for each AC and MAC, input once")
    state_bytes: float = _column(
        "bytes", "numbers read and written: 2 for an addition (a current), 5 for an integration"
        " (current and potential read and written, threshold read)",
    )  # fmt: skip
    event_bytes: float = _column("bytes", "events x (4 for the unit + one number) x 2: written and read")
    total_once: float = _column("operations", "all of the spiking network; input once and its repeats")
    total_per_step: float = _column("operations", "all of the spiking network; input in every step")
    layers: tuple[SourceLayer, ...] = ()
    links: tuple[LinkOperations, ...] = ()
    populations: tuple[PopulationOperations, ...] = ()

    def columns(self) -> tuple[tuple[str, float, str, str], ...]:
        """(name, value, unit, formula) of every number."""
        return tuple(
            (f.name, getattr(self, f.name), f.metadata["unit"], f.metadata["formula"])
            for f in fields(self)
            if f.metadata
        )

    def ratios(self) -> dict[str, float]:
        """Operations of the spiking network over those of the source, in every convention side by side."""
        sources = {
            "dense MAC": self.dense_macs,
            "2 x dense MAC + bias": self.dense_ops,
            "zero-skipping MAC": self.effective_macs,
            "zero-skipping MAC + bias + others": self.effective_macs
            + self.source_biases
            + self.source_others,
        }
        synaptic = self.synaptic_acs + self.synaptic_macs
        own = {
            "synaptic only": synaptic,
            "all, input once": self.total_once,
            "all, input in each step": self.total_per_step,
        }
        return {f"{a} / {b}": x / y for a, x in own.items() for b, y in sources.items() if y > 0}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: columns with value, unit and formula, then the tables of layers."""
        return {
            "columns": {name: {"value": v, "unit": u, "formula": f} for name, v, u, f in self.columns()},
            "ratios": self.ratios(),
            "layers": [asdict(layer) for layer in self.layers],
            "links": [asdict(link) for link in self.links],
            "populations": [asdict(population) for population in self.populations],
        }

    def table(self) -> str:
        """The columns as text."""
        rows = [(name, f"{value:,.6g}", unit, formula) for name, value, unit, formula in self.columns()]
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(
            f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.ljust(widths[2])}  {d}" for a, b, c, d in rows
        )


@dataclass
class _Sums:
    """Sums over all samples."""

    added: dict[str, int] = field(default_factory=dict)
    graded: dict[str, int] = field(default_factory=dict)
    events: dict[str, float] = field(default_factory=dict)
    spikes: dict[str, float] = field(default_factory=dict)
    once: int = 0
    once_graded: int = 0
    steps: int = 0
    most: int = 0
    bias: int = 0
    repeat: int = 1

    def take(self, found: BatchResult, network: Network, program: LayerProgram) -> None:
        for mine, theirs in (
            (self.added, found.additions),
            (self.graded, found.graded),
            (self.events, found.events),
            (self.spikes, found.spikes),
        ):
            for name, value in theirs.items():
                mine[name] = mine.get(name, 0) + value.sum().item()
        for p in network.projections.values():
            if p.source in network.stimuli and isinstance(p.rule, LayerRule):
                total, reach = found.totals[p.source], fan_out(p.rule)
                self.once += int(((total != 0) @ reach).sum())
                self.once_graded += int((((total != 0) & (np.abs(total) != 1)) @ reach).sum())
        graph = program.graph
        for p_index, name in enumerate(program.names):
            biased = int(np.count_nonzero(graph.bias[program.units(name)]))
            if biased:
                self.bias += biased * int(np.minimum(found.n_steps, graph.bias_steps[p_index]).sum())
        self.steps += int(found.n_steps.sum())
        self.most = max(self.most, int(found.n_steps.max()))
        self.repeat = found.repeat


def count_operations(conversion: Conversion, inputs: np.ndarray) -> Operations:
    """Run the inputs [n_samples, ...] and count, in the spiking network from its events.

    Raises ConfigError for inputs that do not fit the model.
    """
    x = check_calibration(conversion.graph, inputs)
    network, n = conversion.network, len(x)
    program, sums = lower_layers(network, 1.0), _Sums()
    for low in range(0, n, _SHARE):
        sums.take(conversion.run(x[low : low + _SHARE], keep_counts=True), network, program)
    links = tuple(_link(name, network, sums, n) for name in program.links)
    populations = tuple(_population(name, program, sums, n) for name in program.names)
    source = source_layers(conversion.graph, x)
    return _operations(conversion, program, source, links, populations, sums, n)


def _link(name: str, network: Network, sums: _Sums, n: int) -> LinkOperations:
    p = network.projections[name]
    role = "synapse"
    if p.source in network.stimuli:
        role = "input"
    elif isinstance(network.populations[p.target].unit, Relay | Maximum):
        role = "pooling"
    acts = sums.repeat if role == "input" else 1  # the simulation computes a repeated input once
    added, graded = acts * sums.added[name], acts * sums.graded[name]
    return LinkOperations(name, role, (added - graded) / n, graded / n)


def _population(name: str, program: LayerProgram, sums: _Sums, n: int) -> PopulationOperations:
    p = program.names.index(name)
    units = program.units(name)
    size, kind = units.stop - units.start, int(program.graph.kind[p])
    acts = sums.repeat if kind == engine.INPUT else 1
    advanced = kind not in (engine.INPUT, engine.RELAY, engine.MAXIMUM)
    return PopulationOperations(
        name, size, acts * sums.events[name] / n, acts * sums.spikes[name] / n,
        size * sums.steps / n if advanced else 0.0,
    )  # fmt: skip


def _operations(
    conversion: Conversion, program: LayerProgram, source: tuple[SourceLayer, ...],
    links: tuple[LinkOperations, ...], populations: tuple[PopulationOperations, ...], sums: _Sums, n: int,
) -> Operations:  # fmt: skip
    network, graph = conversion.network, program.graph
    kinds = dict(zip(program.names, (int(kind) for kind in graph.kind), strict=True))
    passive = (engine.INPUT, engine.RELAY, engine.MAXIMUM, engine.READOUT)
    neurons = [p for p in populations if kinds[p.name] not in passive]
    acs = {role: sum(link.acs for link in links if link.role == role) for role in ("synapse", "pooling", "input")}
    macs = {role: sum(link.macs for link in links if link.role == role) for role in acs}
    steps = sums.steps / n
    once, once_macs = sums.once / n, sums.once_graded / n
    per_step = acs["input"] + macs["input"]
    kept = {p.target for p in network.projections.values() if p.source in network.stimuli}
    repeats = 0.0
    if per_step > once:
        repeats = float(conversion.timesteps * sum(network.populations[name].n for name in kept))
    integrations = sum(p.updates for p in populations)
    comparisons = sum(p.updates * (2 if kinds[p.name] == engine.SIGNED else 1) for p in neurons)
    comparisons += steps * sum(
        maxima_comparisons(p.rule) for p in network.projections.values() if isinstance(p.rule, MaxPool)
    )
    events, spikes = sum(p.events for p in neurons), sum(p.spikes for p in neurons)
    bias, n_neurons = sums.bias / n, sum(p.n_units for p in neurons)
    dense, biases = float(sum(s.dense_macs for s in source)), float(sum(s.biases for s in source))
    events_in = sum(p.events for p in populations if kinds[p.name] == engine.INPUT)
    passed_on = sum(p.events for p in populations if kinds[p.name] in (engine.RELAY, engine.MAXIMUM))
    inner = sum(acs[role] + macs[role] for role in ("synapse", "pooling"))
    additions = inner + once
    updates = integrations + bias + comparisons + events
    size = int(np.dtype(network.precision).itemsize)
    return Operations(
        n_samples=n,
        timesteps=conversion.timesteps,
        bytes_per_number=size,
        count_bits=ceil(log2(largest_count(conversion) + 1)),
        dense_macs=dense,
        dense_ops=2 * dense + biases,
        in_map_macs=float(sum(s.in_map_macs for s in source)),
        effective_macs=sum(s.effective_macs for s in source),
        source_biases=biases,
        source_others=float(sum(s.others for s in source)),
        synaptic_acs=acs["synapse"],
        synaptic_macs=macs["synapse"],
        pooling_acs=acs["pooling"],
        pooling_macs=macs["pooling"],
        input_acs_once=once - once_macs,
        input_macs_once=once_macs,
        input_repeats=repeats,
        input_acs_per_step=acs["input"],
        input_macs_per_step=macs["input"],
        integrations=integrations,
        bias_additions=bias,
        comparisons=comparisons,
        resets=events,
        leaks=0.0,
        events=events,
        spikes=spikes,
        spikes_per_neuron=spikes / max(n_neurons, 1),
        input_events=events_in,
        n_steps=steps,
        n_steps_most=sums.most,
        n_neurons=n_neurons,
        n_weights=n_weights(network),
        weight_bytes=size * additions,
        state_bytes=size * (2 * (additions + repeats) + 5 * integrations),
        event_bytes=2 * (4 + size) * (events + passed_on + events_in),
        total_once=inner + once + repeats + updates,
        total_per_step=inner + per_step + updates,
        layers=source,
        links=links,
        populations=populations,
    )


def n_weights(network: Network) -> int:
    """Weights of matrices and convolutions, each once."""
    return sum(
        p.rule.weight.size for p in network.projections.values() if isinstance(p.rule, Dense | Conv)
    )


def largest_count(conversion: Conversion) -> int:
    """The largest spike count that a neuron can come to."""
    found = [1]
    for population in conversion.network.populations.values():
        unit = population.unit
        if isinstance(unit, SignedIF):
            found.append(unit.levels)
        elif not isinstance(unit, Relay | Maximum) and unit.KIND != "readout":
            found.append(conversion.timesteps * int(getattr(unit, "most", 1)))
    return max(found)
