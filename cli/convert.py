"""`snnsim convert`: a trained network becomes a spiking one, with a certificate; NIR in and out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.convert_checks import SUFFIXES, Target, check_options, check_output
from snnsim.cli.model_input import Builder, read_array, read_inputs, read_model
from snnsim.cli.output import Json, Quiet, Reply, Usage, columns
from snnsim.cli.run import DataDir
from snnsim.cli.verify import layer_table

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion
    from snnsim.converters.graph import Graph

class Method(StrEnum):
    """How activations become spikes."""

    EXACT = "exact"
    RATE = "rate"
    BURST = "burst"
    TTFS = "ttfs"
    FEW_SPIKE = "few_spike"
    AUTO = "auto"


class Normalisation(StrEnum):
    """Where the thresholds of rates come from."""

    MSE = "mse"
    PERCENTILE = "percentile"
    PERCENTILE_LAYER = "percentile-layer"
    MAX = "max"
    MAX_LAYER = "max-layer"
    BALANCED = "balanced"
    SPIKINGJELLY = "spikingjelly"
    SPIKINGJELLY_MAX = "spikingjelly-max"
    SPIKINGJELLY_CHANNELS = "spikingjelly-channels"
    SNNTOOLBOX = "snntoolbox"


class Correction(StrEnum):
    """What calibration data move, layer after layer."""

    NONE = "none"
    BIAS = "bias"
    POTENTIAL = "potential"


class Dialect(StrEnum):
    """Whose equations a NIR file means; converters/nir_dialects.py has them."""

    EXACT = "exact"
    NENGO = "nengo"
    NORSE = "norse"
    SNNTORCH = "snntorch"
    SPINNAKER2 = "spinnaker2"
    SINABS = "sinabs"
    ROCKPOOL = "rockpool"
    SPYX = "spyx"
    LAVA = "lava"
    LOIHI = "loihi"


class Reset(StrEnum):
    """What a spike does to the potential."""

    V_RESET = "v_reset"
    SUBTRACT = "subtract"
    ZERO = "zero"


def convert(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="ONNX file, state_dict with --builder, or .nir; for --to nir also .h5, .toml.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The network: .h5, of NIR also .toml; or .nir."),
    ],
    to: Annotated[
        Target | None, typer.Option(help="What is written. Default: by the name of the output.")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Inputs: digits, mnist, fashion-mnist, or a .npy file [n_samples, ...]."
        ),
    ] = None,
    method: Annotated[Method, typer.Option(help="How activations become spikes.")] = Method.EXACT,
    timesteps: Annotated[
        int | None,
        typer.Option(
            min=1, max=2**20, metavar="T",
            help="Steps an input takes, or a layer. Default: exact 1, few_spike 10, ttfs none, else 32.",
            show_default=False,
        ),
    ] = None,
    levels: Annotated[
        int, typer.Option(min=1, max=2**20, metavar="L", help="exact: largest integer activation.")
    ] = 15,
    normalisation: Annotated[
        Normalisation, typer.Option(help="rate, burst: thresholds.")
    ] = Normalisation.MSE,
    correction: Annotated[
        Correction | None,
        typer.Option(help="What calibration moves. Default: exact bias, else none.", show_default=False),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Calibration inputs that are used, at most.")
    ] = 1024,
    builder: Builder = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html and report.json there.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Right output of each input, a .npy file, for the report."),
    ] = None,
    dt_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="NIR: the step; its numbers depend on it.")
    ] = None,
    dialect: Annotated[Dialect, typer.Option(help="NIR: whose equations the file means.")] = Dialect.EXACT,
    reset: Annotated[
        Reset | None, typer.Option(help="NIR: instead of the reset of the dialect.", show_default=False)
    ] = None,
    lower_soft_reset: Annotated[
        bool,
        typer.Option(help="To NIR: write reset by subtraction as nodes, for this step."),
    ] = False,
    data: DataDir = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Convert a trained network into a spiking one, or read and write NIR.

    A trained network needs --calibrate; its .h5 file is checked with `snnsim verify`. A NIR file needs
    --dt-ms; as .toml it can be run with `snnsim run`.

    \b
    Examples:
      snnsim convert model.onnx --calibrate digits -o net.h5
      snnsim convert model.onnx --calibrate inputs.npy --method rate --timesteps 32 -o net.h5 --json
      snnsim convert weights.pt --builder mymodels:make --calibrate inputs.npy -o net.h5
      snnsim convert model.onnx --calibrate inputs.npy --report out --labels labels.npy -o net.h5
      snnsim convert net.nir --dt-ms 0.1 --dialect norse -o net.toml
      snnsim convert net.toml --to nir -o net.nir
    """
    kind = SUFFIXES.get(model.suffix.lower(), "model") if builder is None else "model"
    to = to or (Target.NIR if output.suffix.lower() == ".nir" else Target.NETWORK)
    check_options(context, kind, to)
    check_output(output, kind, to, [model, report, labels, Path(calibrate or "")])
    if kind != "model":
        from snnsim.cli import convert_nir

        if kind == "nir":
            source = convert_nir.from_nir(model, dt_ms, dialect.value, reset.value if reset else None)
        else:
            source = convert_nir.from_file(model, kind, dt_ms)
        if to is Target.NIR:
            return convert_nir.to_nir(source, output, lower_soft_reset, dry_run)
        return convert_nir.to_network(source, output, dry_run)
    if calibrate is None:
        problem, fix = "a trained network needs inputs", "--calibrate DATA, about 1,000 typical inputs"
        raise Usage(problem, where="--calibrate", fix=fix)
    if labels is not None and report is None:
        raise Usage("labels are for a report", where="--labels", fix="add --report DIR")
    inputs = read_inputs(calibrate, samples, data)
    classes = None if labels is None else read_array(labels, samples)
    graph = read_model(model, builder, inputs)
    _check_samples(graph, inputs, classes)
    if dry_run:
        return _dry(graph, method, len(inputs), [output, *_report_files(report)])
    from snnsim.cli.progress import stages
    from snnsim.converters.convert import convert as convert_model

    with stages(quiet) as progress:
        found = convert_model(
            graph, inputs, method.value, timesteps=timesteps, levels=levels,
            normalisation=normalisation.value, correction=correction.value if correction else None,
            progress=progress,
        )  # fmt: skip
    return _written(found, inputs, classes, output, to, report, (dt_ms, lower_soft_reset))


def _written(
    found: Conversion, inputs: Any, classes: Any, output: Path, to: Target, report: Path | None,
    nir: tuple[float | None, bool],
) -> Reply:  # fmt: skip
    """Write what was asked for, and say what it is."""
    from snnsim.converters.conversion_file import facts_of

    warnings = list(found.graph.notes)
    if to is Target.NIR:
        from snnsim.cli.convert_nir import write_strictly

        warnings += write_strictly(found.network, output, nir[0] or 1.0, nir[1])
    else:
        found.write(output)
    page = None if report is None else found.report(inputs, classes, report).html
    sizes = {name: p.n for name, p in found.network.populations.items()}
    answer = facts_of(found) | {"output": output, "report": page, "populations": sizes}
    return Reply(answer, _text(found, output, page, verifiable=to is Target.NETWORK), warnings)


def _check_samples(graph: Graph, inputs: Any, classes: Any) -> None:
    """Before the conversion: inputs and labels fit the model, and each other."""
    from snnsim.converters.calibrate import check_calibration
    from snnsim.converters.diagnosis import check_labels

    check_calibration(graph, inputs)
    if classes is not None:
        check_labels(classes, len(inputs), graph.output.shape[0])


def _report_files(folder: Path | None) -> list[Path]:
    return [] if folder is None else [folder / "report.html", folder / "report.json"]


def _dry(graph: Graph, method: Method, n_samples: int, files: list[Path]) -> Reply:
    """What a conversion would be about. Raises ConversionError as the conversion does."""
    from snnsim.converters.exact import sketch

    network = sketch(graph)
    paths = {node.name: node.path for node in graph.nodes}
    rows = [(name, paths.get(name, ""), p.n) for name, p in network.populations.items()]
    sizes = {name: p.n for name, p in network.populations.items()}
    shape = list(graph.input.shape)
    data = {"method": method.value, "input_shape": shape, "n_samples": n_samples, "populations": sizes,
            "files": files}  # fmt: skip
    units = f"{sum(sizes.values()):,} units"
    head = f"{method.value}: {n_samples:,} inputs of {'x'.join(map(str, shape))}, {units}"
    last = f"would write {', '.join(map(str, files))}\nnothing was written"
    return Reply(data, f"{head}\n{columns(rows, ('population', 'from', 'units'))}\n{last}", graph.notes)


def _text(found: Conversion, output: Path, report: Path | None, verifiable: bool) -> str:
    n = found.timesteps
    units = sum(p.n for p in found.network.populations.values())
    lines = [f"{output}: {found.method}, {n} step{'s' * (n != 1)}, {units:,} units"]
    if found.choice is not None:
        tried, n_inputs = len(found.choice.candidates), found.choice.n_samples
        lines.append(f"\nbest of {tried} conversions, on {n_inputs:,} inputs:")
        rows = []
        for one in found.choice.pareto:
            name = f"{one.method} {one.normalisation}".strip()
            size = f"levels {one.levels}" if one.levels else f"T {one.timesteps}" if one.timesteps else ""
            taken = "<- taken" if one is found.choice.taken else ""
            rows.append((name, size, f"{one.agreement:.2%}", f"{one.additions:,.0f}", taken))
        lines.append(columns(rows, ("method", "size", "agreement", "additions", "")))
    certificate = found.certificate
    if certificate is not None:
        what = "holds" if certificate.holds else "DOES NOT HOLD"
        lines.append(f"\ncertificate {what}, over {certificate.n_samples:,} inputs:")
        lines.append(layer_table(certificate))
        lines.append(f"largest deviation of an output: {certificate.readout_deviation:g}")
    if report is not None:
        lines.append(f"\nreport: {report}")
    if certificate is not None and verifiable:
        lines.append(f"\ncheck it again: snnsim verify {quote(str(output))}")
    return "\n".join(lines)
