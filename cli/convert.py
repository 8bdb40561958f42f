"""`snnsim convert`: a trained network becomes a spiking one, with a certificate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, Usage
from snnsim.cli.run import DataDir

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion


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
    SNNTOOLBOX = "snntoolbox"


class Correction(StrEnum):
    """What calibration data move, layer after layer."""

    NONE = "none"
    BIAS = "bias"
    POTENTIAL = "potential"


def convert(
    model: Annotated[Path, typer.Argument(help="ONNX file, or a state_dict with --builder.")],
    calibrate: Annotated[
        str, typer.Option(help="Inputs: digits, mnist, fashion-mnist, or a .npy file [n_samples, ...].")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The network, an HDF5 file.")],
    method: Annotated[Method, typer.Option(help="How activations become spikes.")] = Method.EXACT,
    timesteps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps an input takes, or a layer. Default: exact 1, few_spike 10, ttfs none, else 32.",
            show_default=False,
        ),
    ] = None,
    levels: Annotated[int, typer.Option(min=1, help="exact: largest integer activation.")] = 15,
    normalisation: Annotated[
        Normalisation, typer.Option(help="rate, burst: thresholds.")
    ] = Normalisation.MSE,
    correction: Annotated[
        Correction | None,
        typer.Option(help="What calibration moves. Default: exact bias, else none.", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibration inputs that are used.")] = 1024,
    builder: Annotated[
        str | None, typer.Option(help="package.module:function that builds the torch module.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html and report.json there.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Right output of each input, a .npy file, for the report.")
    ] = None,
    data: DataDir = None,
    json: Json = False,
) -> Reply:
    """Convert a trained network into a spiking one.

    \b
    Examples:
      snnsim convert model.onnx --calibrate digits -o net.h5
      snnsim convert model.onnx --calibrate inputs.npy --method rate --timesteps 32 -o net.h5 --json
      snnsim convert model.onnx --calibrate inputs.npy --report out --labels labels.npy -o net.h5
    """
    from snnsim.converters.convert import convert as convert_model
    from snnsim.converters.read_onnx import read_onnx
    from snnsim.networkfile import write_network

    if labels is not None and report is None:
        raise Usage("labels are for a report", where="--labels", fix="add --report DIR")
    inputs = _inputs(calibrate, samples, data)
    classes = None if labels is None else _array(labels, samples)
    if builder is None:
        graph = read_onnx(model)
    else:
        from snnsim.converters.read_torch import read_torch_file

        graph = read_torch_file(model, builder, inputs[:8].astype("float32"))
    inputs = inputs.reshape(len(inputs), *graph.nodes[0].shape)
    found = convert_model(
        graph, inputs, method.value, timesteps=timesteps, levels=levels, normalisation=normalisation.value,
        correction=correction.value if correction else None,
    )  # fmt: skip
    facts = {
        "method": found.method,
        "timesteps": found.timesteps,
        "input_scale": found.input_scale,
        "input_shape": list(graph.nodes[0].shape),
        "certificate": found.certificate.as_dict() if found.certificate else None,
        "choice": found.choice.as_dict() if found.choice else None,
    }
    page = None if report is None else found.report(inputs, classes, report).html
    write_network(output, found.network, facts)
    sizes = {name: p.n for name, p in found.network.populations.items()}
    answer = facts | {"output": output, "report": page, "populations": sizes}
    return Reply(answer, _text(found, output, page))


def _inputs(name: str, samples: int, data: Path | None) -> Any:
    """float64[n, ...]: images of a data set, or the array of a file."""
    from snnsim.datasets import DATASETS, load_dataset

    if name in DATASETS:
        images = load_dataset(name, data)
        return images.images[:samples].reshape(-1, 1, *images.image_shape)
    return _array(name, samples, f"a .npy file, or one of {', '.join(DATASETS)}")


def _array(path: str | Path, samples: int, expected: str = "a .npy file") -> Any:
    """The first `samples` rows of the array in a file."""
    import numpy as np

    from snnsim.errors import FileError

    try:
        return np.load(path, allow_pickle=False)[:samples]
    except (OSError, ValueError, IndexError) as error:
        raise FileError(f"not an array ({error})", where=str(path), expected=expected) from error


def _text(found: Conversion, output: Path, report: Path | None) -> str:
    lines = [f"{output}: {found.method}, {found.timesteps} steps"]
    if found.choice is not None:
        lines.append(f"  best of {len(found.choice.candidates)} on {found.choice.n_samples} samples:")
        for one in found.choice.pareto:
            name = f"{one.method} {one.normalisation}".strip()
            size = f"levels {one.levels}" if one.levels else f"T {one.timesteps}"
            mark = "  <- taken" if one is found.choice.taken else ""
            lines.append(
                f"    {name:16} {size:9} agreement {one.agreement:.2%}  additions {one.additions:,.0f}{mark}"
            )
    if found.certificate is not None:
        for layer in found.certificate.layers:
            lines.append(
                f"  {layer.path}: {layer.n_checked:,} spike counts checked, {layer.n_mismatches:,} differ"
            )
        lines.append(f"  largest deviation of an output: {found.certificate.readout_deviation:g}")
    if report is not None:
        lines.append(f"  report: {report}")
    return "\n".join(lines)
