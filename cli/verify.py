"""`snnsim verify`: does the certificate of a converted network hold, is an export what it was?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.model_input import Builder, read_inputs, read_model
from snnsim.cli.output import Json, Quiet, Reply, Usage, columns
from snnsim.cli.run import DataDir, Threads
from snnsim.errors import ExitCode, VerificationError

if TYPE_CHECKING:
    from snnsim.converters.certificate import Certificate
    from snnsim.converters.verify import Check, Verification

_STATE = {True: "holds", False: "DIFFERS", None: "not checked"}


def verify(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="NET.h5|DIR", help="What `snnsim convert` wrote, or a folder of `snnsim export`."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The source: compares every weight with it.")
    ] = None,
    builder: Builder = None,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The inputs: a data set or a .npy file, as given to convert."),
    ] = None,
    threads: Threads = None,
    data: DataDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Check the certificate of a converted network again, neuron by neuron, or an exported folder.

    The file alone shows that network, inputs and certificate belong together: every spike count is
    simulated again and compared with the quantised integers, which are computed again without the
    simulator. With --model every weight is compared with the source; with --calibrate too, the whole
    conversion is repeated. Of a folder, checksums are compared, golden vectors simulated again with every
    file that has a reader, and the limits of the target checked. Ends with code 8 when something differs, and
    says where.

    \b
    Examples:
      snnsim verify net.h5
      snnsim verify net.h5 --model model.onnx --calibrate inputs.npy
      snnsim verify net.h5 --model weights.pt --builder mymodels:make --json
      snnsim verify out/
    """
    from snnsim.cli.progress import stages
    from snnsim.converters.conversion_file import read_conversion
    from snnsim.converters.verify import verify as verify_file

    if network.is_dir():
        if model is not None or builder is not None or calibrate is not None:
            raise Usage(
                "an exported folder is checked by itself", where="NET", fix="leave the other options out"
            )
        return _folder(network, threads)
    if builder is not None and model is None:
        raise Usage("a builder without its weights", where="--builder", fix="add --model WEIGHTS")
    inputs = None if calibrate is None else read_inputs(calibrate, 2**40, data)
    graph = None
    if model is not None:
        graph = read_model(model, builder, _example(read_conversion(network), inputs))
    with stages(quiet) as progress:
        found = verify_file(network, graph=graph, data=inputs, threads=threads, progress=progress)
    return _reply(
        network, {"network": network, **found.as_dict()}, in_words(str(network), found), found.checks
    )


def _folder(folder: Path, threads: int | None) -> Reply:
    """Check what `snnsim export` wrote."""
    from snnsim.hardware.verify_export import verify_export

    found = verify_export(folder, threads)
    rows = [(c.name, _STATE[c.holds], c.about) for c in found.checks]
    head = f"{folder}: the export {'holds' if found.holds else 'DIFFERS'}, for {found.manifest['target']}"
    return _reply(
        folder,
        {"network": folder, **found.as_dict()},
        f"{head}\n{columns(rows, ('check', '', 'about'))}",
        found.checks,
    )


def _reply(path: Path, answer: dict[str, Any], text: str, checks: Sequence[Check]) -> Reply:
    """The answer, with everything that differs as an error."""
    errors = [
        VerificationError(problem, where=f"{path}: {check.name}", code=f"verify.{check.name}")
        for check in checks
        for problem in check.problems
    ]
    if not errors:
        return Reply(answer, text)
    return Reply(answer, text, (), errors[0], ExitCode.DIFFERS, errors[1:])


def _example(file: Any, inputs: Any) -> Any:
    """Inputs for tracing a module: those of the file, in units of the source, or else those given."""
    import numpy as np

    if file.inputs is not None:
        return (file.inputs[:8] * file.input_scale).reshape(-1, *file.input_shape)
    return np.zeros((2, *file.input_shape)) if inputs is None else inputs


def in_words(path: str, found: Verification) -> str:
    """What was checked, layer by layer, and what was not."""
    n, steps = found.certificate.n_samples, found.certificate.n_steps
    head = (
        f"{path}: the certificate {'holds' if found.holds else 'DOES NOT HOLD'} "
        f"({n:,} input{'s' * (n != 1)} in {steps:,} step{'s' * (steps != 1)})"
    )
    checks = columns(
        [(c.name, _STATE[c.holds], f"{c.about}; give {c.needs}" if c.holds is None else c.about)
         for c in found.checks],
        ("check", "", "what"),
    )  # fmt: skip
    return f"{head}\n\n{layer_table(found.certificate)}\n\n{checks}"


def layer_table(certificate: Certificate) -> str:
    """A line for each layer: neurons checked and mismatches."""
    rows = [(one.path, one.n_neurons, one.n_checked, one.n_mismatches) for one in certificate.layers]
    return columns(rows, ("layer", "neurons", "counts checked", "mismatches"))
