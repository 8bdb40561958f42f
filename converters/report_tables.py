"""The tables of the report of a conversion."""

from __future__ import annotations

from snnsim.converters.certificate import Certificate
from snnsim.converters.diagnosis import Diagnosis
from snnsim.converters.energy import SCOPES, EnergyTable
from snnsim.converters.operations import Operations
from snnsim.report import Table


def certificate_table(certificate: Certificate) -> Table:
    return Table(
        "Certificate: spike counts against the integers of the quantised model",
        ("layer", "neurons", "counts compared", "counts that differ"),
        [(layer.path, layer.n_neurons, layer.n_checked, layer.n_mismatches) for layer in certificate.layers],
        f"{certificate.n_samples:,} inputs, steps: {certificate.n_steps}; largest deviation of an output "
        f"{certificate.readout_deviation:g}. SHA-256 of the model {certificate.model}, of the inputs "
        f"{certificate.data}, of the network {certificate.network}.",
    )


def error_table(diagnosis: Diagnosis) -> Table:
    return Table(
        "Errors by layer",
        ("layer", "clipping", "quantisation", "uneven", "propagated", "total", "signed", "activation"),
        [
            (d.path, d.clipping, d.quantisation, d.uneven, d.propagated, d.total, d.bias, d.mean_activation)
            for d in diagnosis.layers
        ],
        f"Means of absolute errors over {diagnosis.n_samples:,} inputs in units of the source's activations. "
        "Clipping: above the largest count. Quantisation: between two counts, for the input of the source. "
        "Uneven: the count against the formula at the input that the neurons really got. Propagated: that "
        "input against the source's. The signed parts add up to the signed total, the absolute ones to at "
        "least the total.",
    )


def layer_table(diagnosis: Diagnosis) -> Table:
    return Table(
        "Spike counts by layer, against the activations of the source",
        ("layer", "neurons", "Pearson", "R²", "dead (%)", "silent in the source (%)", "saturated (%)"),
        [
            (d.path, d.n_neurons, d.correlation, d.r_squared)
            + (100 * d.dead, 100 * d.silent_in_source, 100 * d.saturated)
            for d in diagnosis.layers
        ],
        "Dead: neurons without a spike for any input. Saturated: counts that are the largest there is.",
    )


def advice_table(diagnosis: Diagnosis) -> Table:
    rows = [(d.path, d.advice) for d in diagnosis.layers]
    return Table("What to change", ("layer", "advice"), rows, "From the largest part of each layer's error.")


def operation_table(operations: Operations) -> Table:
    return Table(
        "Operations of one inference",
        ("column", "value", "unit", "formula"),
        [(name, _number(value), unit, formula) for name, value, unit, formula in operations.columns()],
        f"Means over {operations.n_samples:,} inputs, from the events of the simulation.",
    )


def ratio_table(operations: Operations) -> Table:
    ratios = {tuple(name.split(" / ")): f"{value:.3g}" for name, value in operations.ratios().items()}
    own, sources = (list(dict.fromkeys(pair[k] for pair in ratios)) for k in (0, 1))
    return Table(
        "Operations of the spiking network over those of the source, in every convention",
        ("spiking", *sources),
        [(a, *(ratios[a, b] for b in sources)) for a in own],
        "Published ratios differ mostly in their convention; the strictest is that of all operations to the "
        "zero-skipping network.",
    )


def source_table(operations: Operations) -> Table:
    return Table(
        "Operations of the source by layer",
        ("layer", "dense MAC", "MAC in the map", "zero-skipping MAC", "biases", "others"),
        [
            (s.path, s.dense_macs, s.in_map_macs, round(s.effective_macs), s.biases, s.others)
            for s in operations.layers
        ],
        "Dense: with the zeros of the padding. Zero-skipping: neither the weight nor the value is zero.",
    )


def link_table(operations: Operations) -> Table:
    return Table(
        "Additions of the spiking network by projection",
        ("projection", "role", "AC", "MAC"),
        [(k.name, k.role, _number(k.acs), _number(k.macs)) for k in operations.links],
        "The input is counted in each step in which it acts.",
    )


def energy_table(energy: EnergyTable) -> Table:
    pj = {(e.system, e.precision, e.scope): e.pj for e in energy.estimates}
    systems = dict.fromkeys((e.system, e.precision) for e in energy.estimates)
    return Table(
        "Energy of one inference, estimated, in nJ",
        ("system", "precision", *SCOPES),
        [
            (system, precision, *(f"{pj[system, precision, scope] / 1000:,.3g}" for scope in SCOPES))
            for system, precision in systems
        ],
        f"T = {energy.timesteps}; a spike count has {energy.twin_bits} bits. Loihi 1, at least, "
        f"from figures of a simulation and compared with nothing here: {energy.loihi_pj / 1000:,.4g} nJ. "
        "Currents and potentials of 32 bits. Without control, clock, leakage, network on chip, off-chip "
        "memory and the index of zero-skipping.",
    )


def comparison_table(energy: EnergyTable) -> Table:
    found = {(c.spiking, c.baseline, c.precision, c.scope): c for c in energy.comparisons}
    pairs = dict.fromkeys((c.spiking, c.baseline, c.precision) for c in energy.comparisons)
    rows = []
    for pair in pairs:
        both = [found[(*pair, scope)] for scope in SCOPES]
        even = ["none" if c.break_even_spikes_per_neuron is None else f"{c.break_even_spikes_per_neuron:.3g}"
                for c in both]  # fmt: skip
        rows.append((*pair, *("-" if c.ratio is None else f"{c.ratio:.3g}" for c in both), *even))
    spikes = energy.comparisons[0].spikes_per_neuron
    columns = [f"{what}, {scope}" for what in ("ratio", "break-even") for scope in SCOPES]
    return Table(
        "Energy against each baseline of the same precision and scope",
        ("spiking", "baseline", "precision", *columns),
        rows,
        "Ratio: spiking over baseline, below 1 is less. Break-even: spikes of a neuron in an inference at "
        f"which both need the same; here it was {spikes:.3g}. None: the baseline needs less even if no "
        "neuron spikes.",
    )


def constant_table(energy: EnergyTable) -> Table:
    return Table(
        "Constants of the estimates",
        ("constant", "value", "unit", "source", "mark", "remark"),
        [(c.name, f"{c.value:g}", c.unit, c.source, c.mark, c.remark) for c in energy.constants],
        "Published figures for other chips than yours: they rank, they do not measure.",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
