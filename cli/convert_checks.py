"""What `snnsim convert` makes of its arguments before any work: what is read, what is written, what fits."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from snnsim.cli.output import Usage


class Target(StrEnum):
    """What is written."""

    NETWORK = "network"
    NIR = "nir"


_OF_MODELS = {
    *("calibrate", "method", "timesteps", "levels", "normalisation", "correction", "samples"),
    *("builder", "report", "labels", "data"),
}
_OPTIONS: dict[str, set[str]] = {
    "model": _OF_MODELS,
    "nir": {"dt_ms", "dialect", "reset"},
    "network": set(),
    "config": set(),
}
_TO_NIR = {"dt_ms", "lower_soft_reset"}
_ALWAYS = {"model", "output", "to", "dry_run", "json", "quiet"}
_KINDS = {"model": "trained networks", "nir": "NIR files", "network": "network files", "config": "configs"}
SUFFIXES = {".nir": "nir", ".toml": "config", ".h5": "network", ".hdf5": "network"}


def check_options(context: typer.Context, kind: str, to: Target) -> None:
    """Usage error for options that have no effect here."""
    allowed = _ALWAYS | _OPTIONS[kind] | (_TO_NIR if to is Target.NIR else set())
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            away = f"from {_KINDS[kind]}{' to NIR' if to is Target.NIR else ''}"
            flag = "--" + name.replace("_", "-")
            raise Usage(f"not an option of a conversion {away}", where=flag, fix=f"leave {flag} out")


def check_output(output: Path, kind: str, to: Target, inputs: list[Path | None]) -> None:
    """Before hours of work: can the output be written, and is it none of the inputs?"""
    where, suffix = "--output", output.suffix.lower()
    if to is Target.NETWORK and kind in ("network", "config"):
        problem, fix = f"{_KINDS[kind]} are networks already", "--to nir -o FILE.nir writes NIR"
        raise Usage(problem, where="MODEL", fix=fix)
    expected = {".nir"} if to is Target.NIR else {".h5", ".hdf5"} | ({".toml"} if kind == "nir" else set())
    if suffix not in expected:
        names = " or ".join(f"*{one}" for one in sorted(expected))
        raise Usage("a name that does not say what is written", where=where, got=str(output), expected=names)
    if output.is_dir() or not output.absolute().parent.is_dir():
        problem = "a folder" if output.is_dir() else "its folder is not there"
        raise Usage(problem, where=where, got=str(output), expected="a file in a folder that exists")
    for one in inputs:
        if one is not None and one.is_file() and output.exists() and output.samefile(one):
            raise Usage("the output would replace an input", where=where, got=str(output), fix="another name")
    report = inputs[1]
    if report is not None and report.exists() and not report.is_dir():
        raise Usage("not a folder", where="--report", got=str(report), expected="a folder, new or not")
