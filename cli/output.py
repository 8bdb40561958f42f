"""What a command answers: text for people or one JSON object, errors in words, an exit code.

Data goes to stdout, talk to stderr. A command returns a `Reply`; `present` prints it. Nothing else
writes to stdout, so `--json` gives exactly one object, whatever happens:

    {schema, ok, command, data, warnings, error}
    error: null or {code, message, where, file, line, got, expected, fix}
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from snnsim.errors import ExitCode, SnnError, StorageError

SCHEMA = 1
_NUMBER = re.compile(r"-?\d[\d,.]*(e[+-]?\d+)?( ?[%a-zA-Z]{1,3})?|")  # with its unit, or nothing

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
"""Declared by every command for the parser and for --help; main.py looks for it in the arguments
themselves, because a usage error must be answered in JSON too."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no talk; errors still show.")]


@dataclass(frozen=True)
class Reply:
    """The answer of a command.

    data      what --json shows
    text      what a person sees on stdout
    warnings  sentences for stderr, and in the JSON object
    error     why the command did not do all it was asked for, where it has an answer nevertheless
    others    errors besides that one, for stderr
    """

    data: Mapping[str, Any]
    text: str = ""
    warnings: Sequence[str] = ()
    error: SnnError | None = None
    exit_code: ExitCode = field(default=ExitCode.OK)
    others: Sequence[SnnError] = ()


class Usage(SnnError):
    """A command line that cannot be understood."""

    default_code = "usage"
    exit_code = ExitCode.USAGE


class Stopped(SnnError):
    """A run that a signal ended before its end."""

    default_code = "run.interrupted"

    def __init__(
        self, problem: str, *, where: str = "", fix: str = "", exit_code: ExitCode = ExitCode.INTERRUPTED
    ) -> None:
        super().__init__(problem, where=where, fix=fix)
        self.exit_code = exit_code


class Bug(SnnError):
    """An error that nobody foresaw."""

    default_code = "bug"


def present(reply: Reply, command: str, as_json: bool) -> int:
    """Print the answer; return the exit code."""
    if as_json:
        print(json.dumps(envelope(reply, command), allow_nan=False))
    elif reply.text:
        print(reply.text)
    sys.stdout.flush()
    for warning in reply.warnings:
        say(f"{_paint('warning', typer.colors.YELLOW)}: {warning}")
    for error in [reply.error, *reply.others] if reply.error is not None else []:
        say(in_words(error))
    return int(reply.exit_code)


def failed(error: SnnError) -> Reply:
    """The answer of a command that has nothing but an error to show."""
    return Reply({}, error=error, exit_code=ExitCode(error.exit_code))


def envelope(reply: Reply, command: str) -> dict[str, Any]:
    """The JSON object of a reply."""
    return {
        "schema": SCHEMA,
        "ok": reply.error is None,
        "command": command,
        "data": plain(reply.data),
        "warnings": list(reply.warnings),
        "error": None if reply.error is None else describe(reply.error),
    }


def describe(error: SnnError) -> dict[str, Any]:
    """The fields of an error, for programs."""
    return {
        "code": error.code,
        "message": error.problem,
        "where": error.where,
        "file": error.file,
        "line": error.line,
        "got": plain(error.got),
        "expected": error.expected,
        "fix": error.fix,
    }


def in_words(error: SnnError) -> str:
    """An error as people read it: what and where, then the fix on a line of its own."""
    fix = f". Fix: {error.fix}" if error.fix else ""
    lines = [f"{_paint('error', typer.colors.RED)}: {str(error).removesuffix(fix)}"]
    if error.fix:
        lines.append(f"  fix: {error.fix}")
    return "\n".join(lines)


def as_known(error: Exception) -> SnnError:
    """Any exception as one of ours: what the system refuses has a fix, the rest is our bug."""
    if isinstance(error, SnnError):
        return error
    if isinstance(error, MemoryError):
        return StorageError(
            "not enough memory",
            code="storage.memory",
            fix="`snnsim run CONFIG --dry-run` says what is needed; make the network smaller",
        )
    if isinstance(error, OSError) and error.filename is not None:
        reason = (error.strerror or str(error)).lower()
        return StorageError(reason, where=str(error.filename), fix="check the path and its permissions")
    return Bug(
        f"a bug in snnsim: {type(error).__name__}: {error}",
        fix="run `snnsim --debug ...` again and please report what it prints",
    )


def say(text: str) -> None:
    """Talk to a person: one line on stderr."""
    print(text, file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """May stderr be animated and coloured?"""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _paint(word: str, colour: str) -> str:
    return (
        typer.style(word, fg=colour, bold=True) if is_terminal() and not os.environ.get("NO_COLOR") else word
    )


def columns(rows: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    """A table of text; columns of numbers are right-aligned."""
    body = [[_cell(value) for value in row] for row in rows]
    right = [all(_NUMBER.fullmatch(row[k]) for row in body) for k in range(len(header))]
    widths = [max(len(row[k]) for row in [list(header), *body]) for k in range(len(header))]
    lines = []
    for row in [list(header), *body]:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def bytes_text(n: int | float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} TB"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: a float that is not finite becomes null, an array a list."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and scalars of numpy, which this file need not import
        return plain(value.tolist())
    return str(value)
