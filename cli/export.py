"""`snnsim export`: a network for a chip, as files that its tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.model_input import read_inputs
from snnsim.cli.output import Json, Quiet, Reply, Usage, columns
from snnsim.cli.run import DataDir, Threads
from snnsim.errors import ExitCode

if TYPE_CHECKING:
    from snnsim.hardware.export import Plan
    from snnsim.network import Network

_SUFFIXES = (".h5", ".hdf5", ".net", ".nir", ".toml")


def export(
    network: Annotated[
        Path, typer.Argument(metavar="NET", help="What `snnsim convert` wrote; a config, .nir or .net.")
    ],
    target: Annotated[str, typer.Option(metavar="NAME", help="The chip: loihi2, loihi1, generic-int8, ...")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder, a new one.")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(min=1, max=16, metavar="B", help="Of a weight. Default: 8, or all there are."),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Inputs: a data set, or .npy [n_samples, ...]; exact: in the file."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, metavar="N", help="Inputs that are used, at most.")] = 256,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="T", help="Steps of a sample, where the file does not say.")
    ] = None,
    hard_reset: Annotated[
        bool, typer.Option("--hard-reset", help="Reset to zero where the chip cannot subtract.")
    ] = False,
    dt_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="NIR: the step. A config has its own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the placement.")] = 0,
    report: Annotated[bool, typer.Option("--report", help="Write report.html into the folder.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the target's limits and sources.")] = False,
    threads: Threads = None,
    data: DataDir = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Quantise, check and place; write nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Quantise a network for a chip, check its limits, place it on cores, and write its files.

    The folder has the integer network, what the chip's own tools read, golden vectors and a manifest with
    checksums. A network that does not fit ends with code 5 and names everything that is too much.

    \b
    Examples:
      snnsim export net.h5 --target loihi2 --calibrate inputs.npy -o out
      snnsim export net.h5 --target loihi2 --calibrate mnist --bits 4 --dry-run --json
      snnsim export exact.h5 --target generic-int8 -o out --report
      snnsim export net.h5 --target loihi2 --calibrate mnist --hard-reset -o out --explain
    """
    from snnsim.hardware.export import export as write
    from snnsim.hardware.export import plan
    from snnsim.hardware.limits import error_of
    from snnsim.hardware.source import Options, quantised
    from snnsim.hardware.targets import explain as limits_of
    from snnsim.hardware.targets import get_target

    chip = get_target(target)
    if output is None and not dry_run:
        raise Usage("where to", where="--output", fix="-o DIR, or --dry-run")
    if output is not None and (output.exists() or output.is_symlink()) and not dry_run:
        raise Usage("the folder exists already", where="--output", got=str(output), fix="choose another name")
    source, facts = _read(network, dt_ms)
    inputs = None if calibrate is None else read_inputs(calibrate, samples, data)
    found, shown = quantised(source, facts, target, inputs, Options(bits, steps, hard_reset, threads))
    made = plan(found, shown, seed=seed, threads=threads)
    answer: dict[str, Any] = made.facts() | {"network": network, "output": output, "dry_run": dry_run}
    answer["limits"] = limits_of(chip) if explain else None
    text = in_words(made, network)
    if explain:
        rows = [
            (row["limit"], row["bound"], row["sure"].partition(":")[0], row["source"])
            for row in answer["limits"]
        ]
        text += f"\n\nlimits of {chip.title}:\n" + columns(rows, ("limit", "bound", "", "source"))
    if made.violations:
        answer["files"] = []
        return Reply(answer, text, (), error_of(list(made.violations), chip), ExitCode.NOT_CONVERTIBLE)
    if dry_run or output is None:
        answer["files"] = made.files()
        return Reply(answer, f"{text}\n\nwould write {', '.join(answer['files'])}\nnothing was written")
    done = write(found, output, shown, made=made, threads=threads, report=report)
    answer["files"] = [output / name for name in [*done.facts["files"], "manifest.json"]]
    answer["state_sha256"] = done.golden.state_sha256
    warnings = [f"{name} was not written: {why}" for name, why in done.refused.items()]
    return Reply(answer, f"{text}\n\nwritten: {output}\ncheck it again: snnsim verify {output}", warnings)


def _read(path: Path, dt_ms: float | None) -> tuple[Network, dict[str, Any]]:
    """The network of a file, and what the file says about it."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise Usage("not a file of a network", where="NET", got=str(path), expected=", ".join(_SUFFIXES))
    if suffix == ".net":
        from snnsim.hardware.formats import read_hardware

        return read_hardware(path), {}
    from snnsim.hardware.as_layers import as_layers

    if suffix in (".h5", ".hdf5"):
        from snnsim.networkfile import read_network

        network, facts = read_network(path)
        if "dialect" in facts:  # `snnsim convert` made it of a NIR file
            return as_layers(network, float(facts["dt_ms"])), {}
        return network, facts
    from snnsim.cli.convert_nir import from_file, from_nir

    found = from_nir(path, dt_ms, "exact", None) if suffix == ".nir" else from_file(path, "config", dt_ms)
    return as_layers(found.network, found.dt_ms), {}


def in_words(made: Plan, path: Path) -> str:
    """What was lost, and where it lies."""
    from snnsim.hardware.export_energy import in_words as energy_in_words

    found, placed = made.found, made.placement
    lines = [f"{path}: {found.target}, weights of {found.bits} bits, {found.n_steps:,} steps"]
    if found.rows:
        rows = [
            (r.layer, r.kind, r.step, f"{r.scale:.4g}", f"{r.weight_error:.2%}", f"{r.threshold_error:.2%}",
             f"{r.agreement:.2%}", r.note)
            for r in found.rows
        ]  # fmt: skip
        head = ("layer", "reset", "step", "scale", "weights", "threshold", "kept", "")
        lines.append(columns(rows, head))
    if found.exactness is not None:
        one = found.exactness
        what = "holds" if one.holds else f"{one.rate:.4%} of its counts"
        lines.append(
            f"certificate over {one.n_samples:,} inputs: {what}, outputs within {one.readout_deviation:.3g}"
        )
    if placed is not None:
        used = ", ".join(
            f"{k.replace('_', ' ')} {v['max']:.0%}" for k, v in made.facts()["utilisation"].items()
        )
        lines.append(
            f"{placed.n_cores} core{'s' * (placed.n_cores != 1)} (at least {placed.lower_bound}), "
            f"fullest: {used}; {placed.spike_hops:,.1f} spikes x hops in a step"
        )
    if made.energy:
        lines.append(energy_in_words(made.energy))
    return "\n".join(lines)
