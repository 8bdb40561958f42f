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
from snnsim.converters import report_tables as tables
from snnsim.converters.diagnosis import Diagnosis, diagnose
from snnsim.converters.energy import EnergyTable, energy_table
from snnsim.converters.event_counts import count_operations
from snnsim.converters.operations import Operations
from snnsim.report import Report, write_report

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
    certificate = conversion.certificate
    shown = [
        *([tables.certificate_table(certificate)] if certificate is not None else []),
        tables.advice_table(diagnosis),
        tables.error_table(diagnosis),
        tables.layer_table(diagnosis),
        tables.operation_table(operations),
        tables.ratio_table(operations),
        tables.source_table(operations),
        tables.link_table(operations),
        tables.energy_table(energy),
        tables.comparison_table(energy),
        tables.constant_table(energy),
    ]
    return Report(
        title=_title(conversion),
        headline=_headline(conversion, found),
        warnings=_warnings(conversion, found),
        facts=facts(conversion),
        facts_title="Conversion",
        tables=[table for table in shown if table.rows],
        figures=[_accuracy_figure(found)],
        figures_first=True,
    )


def _title(conversion: Conversion) -> str:
    n = conversion.timesteps
    return f"Conversion into spikes: {conversion.method}, {n} {'step' if n == 1 else 'steps'}"


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


def _accuracy_figure(found: ConversionReport) -> tuple[str, str, bytes]:
    from matplotlib.ticker import MaxNLocator

    diagnosis = found.diagnosis
    figure = blank(6.4, 3.2)
    ax = figure.subplots()
    steps = np.arange(1, len(diagnosis.agreement) + 1)
    marker = "o" if steps.size < 40 else ""
    lines = [("agreement with the source", diagnosis.agreement)]
    if diagnosis.accuracy is not None and diagnosis.source_accuracy is not None:
        lines.append(("accuracy", diagnosis.accuracy))
        level = 100 * diagnosis.source_accuracy
        ax.axhline(level, color=colour(6), linestyle="--", label="accuracy of the source")
    for k, (label, values) in enumerate(lines):
        ax.plot(steps, 100 * np.array(values), marker=marker, color=colour(k), label=label)
    ax.set_xlabel("step")
    ax.set_ylabel("inputs (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
    dress(ax)
    last = diagnosis.agreement if diagnosis.accuracy is None else diagnosis.accuracy
    what = "agreement with the source" if diagnosis.accuracy is None else "accuracy"
    alt = f"The {what} over {steps.size} steps: {last[0]:.1%} after the first, {last[-1]:.1%} at the end"
    return (f"Readout after each step, over {diagnosis.n_samples:,} inputs.", alt, png_bytes(figure))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
