"""`snnsim emulate`: run a network for a chip as the chip would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Quiet, Reply, Usage, columns
from snnsim.cli.run import Threads
from snnsim.errors import ExitCode

if TYPE_CHECKING:
    from snnsim.hardware.emulate import Emulation

_SHOWN = 10


def emulate(
    network: Annotated[
        Path, typer.Argument(metavar="FILE", help="A network for a chip: .net, .nir, xylo.json, folder.")
    ],
    inputs: Annotated[
        Path,
        typer.Option(
            "--input", metavar="IN.npy", help="Whole numbers [C, H, W, T] or [N, T]; samples first, if any."
        ),
    ],
    record: Annotated[
        str | None,
        typer.Option(metavar="s,u,v", help="What to keep: sent (the default), currents, potentials."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.h5", help="File to write, a new one.")
    ] = None,
    reset_interval: Annotated[
        int | None, typer.Option(min=1, metavar="STEPS", help="Reset state so often, layer l at step l.")
    ] = None,
    reset_offset: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Reset so many steps later.")
    ] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Name every value that left its range, and end with code 6.")
    ] = False,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Run a network for a chip in whole numbers, bit for bit as the chip would.

    OUT.h5 has /layers/<i>/s, u and v, time last: u and v after each step. Layers are those of the file.
    The input of a NetX network with an input layer of LIF neurons is their bias. FILE may be a .net of Lava,
    a .nir, a specification of Xylo (.json), or a folder with the memory files of RANC or tinyODIN.

    \b
    Examples:
      snnsim emulate net.net --input spikes.npy
      snnsim emulate net.net --input bias.npy --record s,u,v -o out.h5 --reset-interval 64
      snnsim emulate net.net --input spikes.npy --strict --json
    """
    from snnsim.cli.model_input import read_array
    from snnsim.errors import FileError, SimulationError
    from snnsim.hardware.emulate import VARIABLES
    from snnsim.hardware.emulate import emulate as run
    from snnsim.hardware.formats import ReadOptions, read_any

    lost = ["--record keeps nothing without --output OUT.h5"] if record is not None and output is None else []
    wanted = list(dict.fromkeys(part.strip() for part in (record or "s").split(",")))
    wrong = [name for name in wanted if name not in VARIABLES]
    if wrong:
        raise Usage("unknown variable", where="--record", got=wrong[0], expected=", ".join(VARIABLES))
    found_network = read_any(network, ReadOptions(reset_interval, reset_offset))
    given = read_array(inputs, 2**62, "a .npy file with whole numbers")
    if given.dtype.kind not in "biuf" or not bool((given == given.round()).all()):
        raise FileError(
            "not whole numbers", where=str(inputs), got=str(given.dtype), expected="whole numbers, steps last"
        )
    found = run(
        found_network, given, record=wanted if output is not None else (), output=output, threads=threads
    )
    answer: dict[str, Any] = {
        "network": network, "output": output, "n_samples": found.n_samples, "n_steps": found.n_steps,
        "layers": {str(i): name for i, name in found.layers.items()}, "spikes_sha256": found.spikes_sha256,
        "n_spikes": found.n_spikes, "n_spikes_by_layer": found.n_spikes_by_layer,
        "output_counts": found.output_counts, "n_overflows": found.n_overflows,
    }  # fmt: skip
    text = in_words(network, found, output)
    if not found.n_overflows:
        return Reply(answer, text, lost)
    places = [
        f"layer {o.layer} ({found.layers[o.layer]}), neuron {o.neuron}, step {o.step}, sample {o.sample}: "
        f"{o.cause}"
        for o in found.overflows
    ]
    if not strict:
        more = f"{found.n_overflows:,} values left their range, first: {places[0]}; --strict names them all"
        return Reply(answer, text, [*lost, more])
    answer["overflows"] = [vars(o) for o in found.overflows]
    errors = [SimulationError("a value left its range", where=p, code="emulate.overflow") for p in places]
    return Reply(answer, text, lost, errors[0], ExitCode.NUMERIC, errors[1:])


def in_words(network: Path, found: Emulation, output: Path | None) -> str:
    """Spikes by layer, and the strongest outputs."""
    counts = found.output_counts.reshape(found.n_samples, -1)
    rows = [(i, name, found.n_spikes_by_layer[i]) for i, name in found.layers.items()]
    best = sorted(enumerate(counts[0].tolist()), key=lambda pair: -pair[1])[:_SHOWN]
    shown = ", ".join(f"{n:,} of neuron {k}" for k, n in best)
    return "\n".join([
        f"{network}: {found.n_samples:,} sample{'s' * (found.n_samples != 1)} of {found.n_steps:,} steps, "
        f"{found.n_spikes:,} spikes",
        columns(rows, ("layer", "name", "spikes")),
        f"sent by the last layer{' (sample 0)' * (found.n_samples > 1)}: {shown}",
        f"spikes sha256 {found.spikes_sha256}",
        *([f"written: {output}"] if output is not None else []),
    ])  # fmt: skip
