"""The report of a conversion: one HTML page and one JSON file, complete in themselves.

    folder/report.html   facts, certificate, errors by layer, accuracy over steps, operations, energy
    folder/report.json   the same figures; every column of operations with its unit and formula
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.atomic import storage_errors, write_json
from snnsim.canvas import blank, colour, dress, png_bytes
from snnsim.converters.diagnosis import Diagnosis, diagnose
from snnsim.converters.energy import EnergyTable, energy_table
from snnsim.converters.operations import Operations, count_operations
from snnsim.report import Report, Table, write_report

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion

SCHEMA = 1


@dataclass(frozen=True)
class ConversionReport:
    """What was found out about a conversion on some inputs."""

    operations: Operations
    energy: EnergyTable
    diagnosis: Diagnosis
    html: Path
    json: Path


def write_conversion_report(
    conversion: Conversion, inputs: np.ndarray, labels: np.ndarray | None, folder: Path | str
) -> ConversionReport:
    """Run the inputs, and write report.html and report.json into `folder`, which is made if it is not there.

    labels  integers [n_samples]; without, readouts are compared with those of the source
    Raises ConfigError for inputs or labels that do not fit, StorageError.
    """
    diagnosis = diagnose(conversion, inputs, labels)
    operations = count_operations(conversion, inputs)
    energy = energy_table(operations)
    folder = Path(folder)
    with storage_errors(folder, "make"):
        folder.mkdir(parents=True, exist_ok=True)
    found = ConversionReport(operations, energy, diagnosis, folder / "report.html", folder / "report.json")
    write_json(found.json, as_dict(conversion, found))
    write_report(page(conversion, found), found.html)
    return found


def as_dict(conversion: Conversion, found: ConversionReport) -> dict[str, Any]:
    """What report.json holds; a value that is not finite becomes null."""
    certificate = conversion.certificate
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "conversion": facts(conversion),
        "certificate": None if certificate is None else certificate.as_dict(),
        "diagnosis": found.diagnosis.as_dict(),
        "operations": found.operations.as_dict(),
        "energy": found.energy.as_dict(),
    }
    cleaned = _finite(content)
    return dict(cleaned)


def facts(conversion: Conversion) -> dict[str, object]:
    """What the conversion is."""
    populations = conversion.network.populations
    return {
        "method": conversion.method,
        "timesteps": conversion.timesteps,
        "input scale": conversion.input_scale,
        "input": "x".join(str(size) for size in conversion.graph.input.shape),
        "outputs": conversion.graph.output.shape[0],
        "populations": len(populations),
        "units": sum(p.n for p in populations.values()),
        "projections": len(conversion.network.projections),
        "precision": conversion.network.precision,
    }


def page(conversion: Conversion, found: ConversionReport) -> Report:
    """The HTML page, not yet written."""
    diagnosis, operations, energy = found.diagnosis, found.operations, found.energy
    tables = [_layer_table(diagnosis), _advice_table(diagnosis)]
    if conversion.certificate is not None:
        tables.insert(0, _certificate_table(conversion))
    tables += [_operation_table(operations), _ratio_table(operations), _source_table(operations)]
    tables += [_link_table(operations), _energy_table(energy), _comparison_table(energy), _constant_table(energy)]
    return Report(
        title=f"Conversion of {conversion.graph.input.shape} inputs: {conversion.method}",
        headline=_headline(conversion, found),
        warnings=_warnings(conversion, found),
        facts=facts(conversion),
        facts_title="Conversion",
        tables=[table for table in tables if table.rows],
        figures=[_accuracy_figure(found)],
    )


def _headline(conversion: Conversion, found: ConversionReport) -> list[tuple[str, object]]:
    diagnosis, operations = found.diagnosis, found.operations
    lines: list[tuple[str, object]] = []
    if diagnosis.accuracy is not None and diagnosis.source_accuracy is not None:
        lines.append(("accuracy", f"{diagnosis.accuracy[-1]:.2%}"))
        lines.append(("of the source", f"{diagnosis.source_accuracy:.2%}"))
    lines.append(("agreement with the source", f"{diagnosis.agreement[-1]:.2%}"))
    lines.append(("steps, all counted", operations.n_steps))
    lines.append(("spikes a neuron", operations.spikes_per_neuron))
    if conversion.certificate is not None:
        lines.append(("certificate", "holds" if conversion.certificate.holds else "FAILS"))
    return lines


def _warnings(conversion: Conversion, found: ConversionReport) -> list[str]:
    warnings = list(conversion.graph.notes)
    if conversion.certificate is not None and not conversion.certificate.holds:
        warnings.append("Spike counts or outputs differ from those of the quantised model.")
    shown = {layer.name for layer in found.diagnosis.layers}
    kinds = {p.unit.KIND for name, p in conversion.network.populations.items() if name not in shown}
    missing = sorted(kinds - {"relay", "maximum", "readout"})
    if missing:
        warnings.append(f"No error budget for neurons of the kind {', '.join(missing)}.")
    return warnings


def _certificate_table(conversion: Conversion) -> Table:
    certificate = conversion.certificate
    if certificate is None:
        return Table("Certificate", (), ())
    return Table(
        "Certificate: spike counts against the integers of the quantised model",
        ("layer", "neurons", "counts compared", "counts that differ"),
        [(layer.path, layer.n_neurons, layer.n_checked, layer.n_mismatches) for layer in certificate.layers],
        f"{certificate.n_samples:,} inputs in {certificate.n_steps} steps; largest deviation of an output "
        f"{certificate.readout_deviation:g}. SHA-256 of the model {certificate.model}, of the inputs "
        f"{certificate.data}, of the network {certificate.network}.",
    )


def _layer_table(diagnosis: Diagnosis) -> Table:
    columns = ("layer", "neurons", "clipping", "quantisation", "uneven", "propagated", "total", "mean a")
    return Table(
        "Errors by layer",
        (*columns, "Pearson", "R²", "dead (%)", "silent in source (%)", "saturated (%)"),
        [
            (d.path, d.n_neurons, d.clipping, d.quantisation, d.uneven, d.propagated, d.total)
            + (d.mean_activation, d.correlation, d.r_squared)
            + (100 * d.dead, 100 * d.silent_in_source, 100 * d.saturated)
            for d in diagnosis.layers
        ],
        f"Means of absolute errors over {diagnosis.n_samples:,} inputs in units of the source's activations. "
        "Clipping: above the largest count. Quantisation: between two counts, for the input of the source. "
        "Uneven: the count against the formula at the input that the neurons really got. Propagated: that "
        "input against the source's. The signed parts add up to the total; the absolute ones to no less.",
    )


def _advice_table(diagnosis: Diagnosis) -> Table:
    return Table("What to change", ("layer", "advice"), [(d.path, d.advice) for d in diagnosis.layers])


def _operation_table(operations: Operations) -> Table:
    return Table(
        "Operations of one inference",
        ("column", "value", "unit", "formula"),
        [(name, _number(value), unit, formula) for name, value, unit, formula in operations.columns()],
        f"Means over {operations.n_samples:,} inputs, from the events of the simulation.",
    )


def _ratio_table(operations: Operations) -> Table:
    return Table(
        "Operations of the spiking network over those of the source",
        ("convention", "ratio"),
        list(operations.ratios().items()),
        "Published ratios differ mostly in their convention; the strictest is that of all operations to the "
        "zero-skipping network.",
    )


def _source_table(operations: Operations) -> Table:
    return Table(
        "Operations of the source by layer",
        ("layer", "dense MAC", "MAC in the map", "zero-skipping MAC", "biases", "others"),
        [
            (s.path, s.dense_macs, s.in_map_macs, round(s.effective_macs), s.biases, s.others)
            for s in operations.layers
        ],
    )


def _link_table(operations: Operations) -> Table:
    return Table(
        "Additions of the spiking network by projection",
        ("projection", "role", "AC", "MAC"),
        [(k.name, k.role, _number(k.acs), _number(k.macs)) for k in operations.links],
        "The input is counted in each step in which it acts.",
    )


def _energy_table(energy: EnergyTable) -> Table:
    return Table(
        "Energy of one inference, estimated",
        ("system", "precision", "scope", "nJ"),
        [(e.system, e.precision, e.scope, e.pj / 1000) for e in energy.estimates],
        f"T = {energy.timesteps} steps; twin of {energy.twin_bits} bits. Loihi 1, with unverified figures and "
        f"compared with nothing here: {energy.loihi_pj / 1000:,.4g} nJ. Without control, clock, leakage, "
        "network on chip, off-chip memory and the index of zero-skipping.",
    )


def _comparison_table(energy: EnergyTable) -> Table:
    return Table(
        "Energy against each baseline",
        ("spiking", "baseline", "precision", "scope", "ratio", "spikes a neuron", "break-even", "a step"),
        [
            (c.spiking, c.baseline, c.precision, c.scope, c.ratio, c.spikes_per_neuron)
            + (c.break_even_spikes_per_neuron, c.break_even_rate_per_step)
            for c in energy.comparisons
        ],
        "Ratio: spiking over baseline, below 1 is less. Break-even: spikes of a neuron in an inference (and in "
        "a step) at which both need the same; negative: the baseline needs less even if no neuron spikes.",
    )


def _constant_table(energy: EnergyTable) -> Table:
    return Table(
        "Constants of the estimates",
        ("constant", "value", "unit", "source", "checked in the source", "remark"),
        [(c.name, c.value, c.unit, c.source, c.verified, c.remark) for c in energy.constants],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _accuracy_figure(found: ConversionReport) -> tuple[str, str, bytes]:
    diagnosis = found.diagnosis
    figure = blank(6.4, 3.2)
    ax = figure.subplots()
    steps = np.arange(1, len(diagnosis.agreement) + 1)
    marker = "o" if steps.size < 40 else ""
    ax.plot(steps, 100 * np.array(diagnosis.agreement), marker=marker, color=colour(0), label="agreement with source")
    if diagnosis.accuracy is not None and diagnosis.source_accuracy is not None:
        ax.plot(steps, 100 * np.array(diagnosis.accuracy), marker=marker, color=colour(1), label="accuracy")
        ax.axhline(100 * diagnosis.source_accuracy, color=colour(6), linestyle="--", label="accuracy of source")
    ax.set_xlabel("step")
    ax.set_ylabel("inputs (%)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=8)
    dress(ax)
    last = diagnosis.agreement if diagnosis.accuracy is None else diagnosis.accuracy
    what = "agreement with the source" if diagnosis.accuracy is None else "accuracy"
    alt = f"Line of the {what} over {steps.size} steps, {last[0]:.1%} after the first, {last[-1]:.1%} at the end"
    return (f"Readout after each step, over {diagnosis.n_samples:,} inputs.", alt, png_bytes(figure))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
