"""Counting the operations of a conversion: its inputs are simulated, and their real events added up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from snnsim.batch_result import BatchResult
from snnsim.converters import graph as g
from snnsim.converters.calibrate import check_calibration
from snnsim.converters.counting import (
    SourceLayer,
    activation_sparsity,
    fan_out,
    maxima_comparisons,
    source_layers,
    sparsity,
)
from snnsim.converters.operations import LinkOperations, Operations, PopulationOperations
from snnsim.kernels import layer_layout as k
from snnsim.layer_neurons import FewSpike, Maximum, Relay, SignedIF, TimeToFirstSpike
from snnsim.layer_program import LayerProgram, lower_layers
from snnsim.layers import Conv, Dense, LayerRule, MaxPool
from snnsim.network import Network

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion

_ONE_SPIKE = (TimeToFirstSpike, Maximum)  # each unit emits one event at most, where spikes are times
_PASSIVE = (k.INPUT, k.RELAY, k.MAXIMUM, k.READOUT)


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
    timed: bool = False

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
                if not self.timed:
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
    program, sums = lower_layers(network, 1.0), _Sums(timed=conversion.method == "ttfs")
    for part in conversion.parts(n, most=64):
        sums.take(conversion.run(x[part], keep_counts=True), network, program)
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
    if sums.timed and (role == "input" or isinstance(network.populations[p.source].unit, _ONE_SPIKE)):
        graded = 0  # the amount of the event is its time: the spike adds a weight to a slope
    return LinkOperations(name, role, (added - graded) / n, graded / n)


def _population(name: str, program: LayerProgram, sums: _Sums, n: int) -> PopulationOperations:
    p = program.names.index(name)
    units = program.units(name)
    size, kind = units.stop - units.start, int(program.graph.kind[p])
    acts = sums.repeat if kind == k.INPUT else 1
    advanced = kind not in (k.INPUT, k.RELAY, k.MAXIMUM)
    is_one = kind in (k.FEW_SPIKES, k.FIRST_SPIKE) or (sums.timed and kind in (k.INPUT, k.MAXIMUM))
    spikes = sums.events[name] if is_one else sums.spikes[name]
    return PopulationOperations(
        name, size, acts * sums.events[name] / n, acts * spikes / n,
        size * sums.steps / n if advanced else 0.0,
    )  # fmt: skip


def _operations(
    conversion: Conversion, program: LayerProgram, source: tuple[SourceLayer, ...],
    links: tuple[LinkOperations, ...], populations: tuple[PopulationOperations, ...], sums: _Sums, n: int,
) -> Operations:  # fmt: skip
    network, graph = conversion.network, program.graph
    weighted = [node for node in conversion.graph.nodes if isinstance(node, g.Linear | g.Conv)]
    kinds = dict(zip(program.names, (int(kind) for kind in graph.kind), strict=True))
    neurons = [p for p in populations if kinds[p.name] not in _PASSIVE]
    roles = ("synapse", "pooling", "input")
    acs = {role: sum(link.acs for link in links if link.role == role) for role in roles}
    macs = {role: sum(link.macs for link in links if link.role == role) for role in roles}
    steps = sums.steps / n
    once, once_macs = sums.once / n, sums.once_graded / n
    per_step = acs["input"] + macs["input"]
    kept = {p.target for p in network.projections.values() if p.source in network.stimuli}
    repeats = 0.0
    if per_step > once:
        repeats = float(conversion.timesteps * sum(network.populations[name].n for name in kept))
    integrations = sum(p.updates for p in populations)
    comparisons = sum(p.updates * (2 if kinds[p.name] == k.SIGNED else 1) for p in neurons)
    comparisons += steps * sum(
        maxima_comparisons(p.rule) for p in network.projections.values() if isinstance(p.rule, MaxPool)
    )
    events, spikes = sum(p.events for p in neurons), sum(p.spikes for p in neurons)
    bias, n_neurons = sums.bias / n, sum(p.n_units for p in neurons)
    dense, biases = float(sum(s.dense_macs for s in source)), float(sum(s.biases for s in source))
    events_in = sum(p.events for p in populations if kinds[p.name] == k.INPUT)
    passed_on = sum(p.events for p in populations if kinds[p.name] in (k.RELAY, k.MAXIMUM))
    inner = sum(acs[role] + macs[role] for role in ("synapse", "pooling"))
    additions = inner + once
    updates = integrations + bias + comparisons + events
    size = int(np.dtype(network.precision).itemsize)
    return Operations(
        n_samples=n,
        timesteps=conversion.timesteps,
        bytes_per_number=size,
        count_bits=largest_count(conversion).bit_length(),
        dense_macs=dense,
        dense_ops=2 * dense + biases,
        in_map_macs=float(sum(s.in_map_macs for s in source)),
        effective_macs=sum(s.effective_macs for s in source),
        source_activation_sparsity=activation_sparsity(conversion.graph, source),
        source_connection_sparsity=sparsity([node.weight for node in weighted]),
        source_parameters=sum(node.weight.size + node.bias.size for node in weighted),
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
        activation_sparsity=1 - events / max(n_neurons * steps, 1),
        connection_sparsity=sparsity(weights(network)),
        footprint_bytes=size * (sum(w.size for w in weights(network)) + n_parameters(network)),
        n_weights=sum(w.size for w in weights(network)),
        weight_bytes=size * additions,
        state_bytes=size * (2 * (additions + repeats) + 5 * integrations),
        event_bytes=2 * (4 + size) * (events + passed_on + events_in),
        total_once=inner + once + repeats + updates,
        total_per_step=inner + per_step + updates,
        layers=source,
        links=links,
        populations=populations,
    )


def weights(network: Network) -> list[np.ndarray]:
    """Of matrices and convolutions, each once."""
    return [p.rule.weight for p in network.projections.values() if isinstance(p.rule, Dense | Conv)]


def n_parameters(network: Network) -> int:
    """Numbers that belong to units: biases, thresholds, first potentials; one for all where all are alike."""
    found = 0
    for population in network.populations.values():
        for name in ("bias_mv", "v_th_mv", "v_init_mv"):
            found += np.size(getattr(population.unit, name, ()))
    return found


def largest_count(conversion: Conversion) -> int:
    """The largest spike count that a neuron can come to."""
    found = [1]
    for population in conversion.network.populations.values():
        unit = population.unit
        if isinstance(unit, SignedIF):
            found.append(unit.levels)
        elif isinstance(unit, FewSpike):
            found.append(2**unit.window - 1)
        elif not isinstance(unit, Relay | Maximum) and unit.KIND != "readout":
            found.append(conversion.timesteps * int(getattr(unit, "most", 1)))
    return max(found)
