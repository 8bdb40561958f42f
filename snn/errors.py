"""The one tree of errors that a user can meet.

Every message says what is wrong, where, what was got, what is expected and how to fix it.
An error is raised before anything is changed or written.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the `snnsim` command returns to the shell."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    FILE = 4
    NOT_CONVERTIBLE = 5
    NUMERIC = 6
    DISK = 7
    DIFFERS = 8
    INTERRUPTED = 130
    TERMINATED = 143


class SnnError(Exception):
    """Base of all errors raised on purpose.

    code      short stable name, for programs ("config.unknown_key")
    problem   what is wrong, in words
    where     key path, file, population or step
    got       what was found
    expected  what would have been right
    fix       what to do
    line      line in the config file, when known
    """

    default_code = "error"
    exit_code = ExitCode.BUG

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        got: object = None,
        expected: str = "",
        fix: str = "",
        code: str = "",
        file: str = "",
        line: int | None = None,
    ) -> None:
        self.problem = problem
        self.where = where
        self.got = got
        self.expected = expected
        self.fix = fix
        self.code = code or self.default_code
        self.file = file
        self.line = line
        super().__init__(problem)

    def __str__(self) -> str:
        place = self.where
        if self.file or self.line is not None:
            position = f"{self.file}:{self.line}" if self.line is not None else self.file
            place = f"{place} ({position})" if place else position
        text = f"{place}: {self.problem}" if place else self.problem
        if self.got is not None:
            text += f"; got {_shorten(self.got)}"
        if self.expected:
            text += f"{',' if self.got is not None else ';'} expected {self.expected}"
        if self.fix:
            text += f". Fix: {self.fix}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.problem, self.__dict__.copy()))


class ConfigError(SnnError, ValueError):
    """A description of a network or of a run that cannot be accepted."""

    default_code = "config.invalid"
    exit_code = ExitCode.CONFIG


class FileError(SnnError, OSError):
    """An input file that is missing, damaged, unsafe, or not what it says it is."""

    default_code = "file.invalid"
    exit_code = ExitCode.FILE

    def __str__(self) -> str:
        return SnnError.__str__(self)


class StorageError(SnnError, OSError):
    """The disk is full, a folder cannot be written, or a run directory exists already."""

    default_code = "storage.failed"
    exit_code = ExitCode.DISK

    def __str__(self) -> str:
        return SnnError.__str__(self)


class ConversionError(SnnError, ValueError):
    """A model that cannot be converted."""

    default_code = "conversion.unsupported"
    exit_code = ExitCode.NOT_CONVERTIBLE


class TargetError(SnnError, ValueError):
    """A network that does not fit the hardware target."""

    default_code = "target.limit"
    exit_code = ExitCode.NOT_CONVERTIBLE


class SimulationError(SnnError, ArithmeticError):
    """A simulation whose state is no longer a number."""

    default_code = "simulation.not_finite"
    exit_code = ExitCode.NUMERIC


class VerificationError(SnnError, ValueError):
    """Something that was verified is not what it was said to be."""

    default_code = "verify.differs"
    exit_code = ExitCode.DIFFERS


def nearest(word: str, valid: Iterable[str]) -> str:
    """A "did you mean" sentence, or the list of valid words when nothing is close."""
    words = sorted(valid)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"valid: {', '.join(words)}" if words else "none is valid here"


def _shorten(value: object, limit: int = 80) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not print whole numbers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _rebuild(cls: type[SnnError], problem: str, fields: dict[str, object]) -> SnnError:
    error = cls(problem)
    error.__dict__.update(fields)
    return error
