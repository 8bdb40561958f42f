"""Config files: a network and how to run it, in strict TOML.

    schema = 1
    [run]            duration_ms, dt_ms, seed, threads, checkpoint_every_s
    [populations.*]  [projections.*]  [stimuli.*]  [probes.*]        as in snnsim.network
    [task]           what to measure, optional

Every fault is a ConfigError with the key path and the line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import tomli_w

from snnsim.atomic import replacing, write_text
from snnsim.checks import expect
from snnsim.classify import Classify
from snnsim.errors import ConfigError, FileError, SnnError, nearest
from snnsim.fields import choice, integer, number, record, table, text
from snnsim.grid import check_grid
from snnsim.mapping import from_mapping, to_mapping
from snnsim.network import Network
from snnsim.overrides import apply_overrides
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.spec import Spec, rules
from snnsim.stimuli import STIMULI, Images
from snnsim.toml_lines import key_lines, nearest_line

SCHEMA = 1
SIZE_LIMIT = 2**20
INLINE_LIMIT = 64  # longer arrays go to an .npz file

_INT64 = 2**63
_NAMED = ("populations", "projections", "stimuli", "probes")
# A key of thousands of parts would keep tomllib busy for minutes.
_LONG_KEY = re.compile(r"(?:[^\s.,=]{1,300}[ \t]*+\.[ \t]*+){40}")
_LONG_NUMBER = re.compile(r"[0-9_]{4000}")
_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(Spec):
    """How long, how finely and with which random numbers."""

    duration_ms: float | None = number(
        None, unit="ms", above=0.0, help="a multiple of dt; may be left out where images give the end"
    )
    dt_ms: float = number(0.1, unit="ms", low=1e-6, high=1000.0, help="time step")
    seed: int = integer(1, low=0, high=_INT64 - 1, help="seed of all random numbers")
    threads: int | None = integer(None, low=1, high=1024, help="without: all cores; never changes results")
    checkpoint_every_s: float = number(
        30.0, unit="s", low=0.0, help="wall time between checkpoints; 0: only when interrupted"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Document(Spec):
    """The top level of a config file: keys before the first table, then the tables.

    Names of your own follow the tables in the plural: [populations.exc], [projections.exc_inh].
    """

    schema: int = integer(low=SCHEMA, high=SCHEMA, help="version of the format")
    name: str | None = text(None, help="name of runs; without: that of the file")
    precision: str = choice("float64", "float32", default="float64", help="type of state and weights")
    run: Run = record(Run, default=Run(), help="how long, how finely, which seed")
    populations: Mapping[str, Spec] = table(Population, help="neurons")
    projections: Mapping[str, Spec] = table(Projection, default={}, help="connections")
    stimuli: Mapping[str, Spec] = table(*STIMULI, default={}, help="input from outside")
    probes: Mapping[str, Spec] = table(Probe, default={}, help="what to record")
    task: Classify | None = record(Classify, default=None, help="what to measure")


_KEYS = tuple(rules(Document))


@dataclass(frozen=True)
class Origin:
    """Where a config came from, to say so in messages.

    text is the file as it is; overridden lists the key paths given on the command line, and options
    says which of them have an option of their own: {"run.seed": "--seed"}.
    """

    path: Path | None = None
    text: str = ""
    overridden: list[str] = field(default_factory=list)
    options: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def lines(self) -> dict[str, int]:
        return key_lines(self.text.replace("\r\n", "\n"))

    def locate(self, error: SnnError) -> None:
        """Give an error that names a key path its file and line; others stay as they are."""
        if error.file or error.line is not None or not self.text:
            return
        path = error.where
        if any(path == key or path.startswith((f"{key}.", f"{key}[")) for key in self.overridden):
            error.where = self.options.get(path, f"--set {path}")
            return
        self._name_the_cause(error)
        line = nearest_line(self.lines, path)
        if line is None and re.split(r"[.\[]", path)[0] not in _KEYS:
            return
        error.file, error.line = str(self.path or "<text>"), line or 1
        if not path.isprintable():
            error.where = ascii(path)[1:-1]

    def _name_the_cause(self, error: SnnError) -> None:
        """A new kind makes the keys of the old one wrong, and its own missing."""
        table = error.where.rpartition(".")[0]
        if f"{table}.kind" in self.overridden and error.code in ("config.unknown_key", "config.missing_key"):
            error.fix = (
                f"--set {table}.kind left the rest of the table as it was; "
                f"replace it all: --set '{table}={{ kind = ..., ... }}'"
            )

    @contextmanager
    def located(self) -> Iterator[None]:
        """Locate the errors of the block."""
        try:
            yield
        except SnnError as error:
            self.locate(error)
            raise


@dataclass(frozen=True, eq=False, kw_only=True)
class Config(Spec):
    """All that a config file says.

    `origin` is the file that it was read from.  Use `with config.origin.located():` around what can still
    find faults in the network, so that its messages name the line.
    """

    origin: ClassVar[Origin] = Origin()

    name: str = text(help="name of runs; without: that of the file")
    run: Run = record(Run, default=Run(), help="how to run it")
    network: Network = record(Network, help="what to run")
    task: Classify | None = record(Classify, default=None, help="what to measure")

    def __post_init__(self) -> None:
        self._settle("")  # key paths start at the tables

    def check_together(self, where: str) -> None:
        if not self.name.isprintable() or self.name.startswith((".", " ")) or set(self.name) & set("/\\:"):
            raise ConfigError(
                "not usable as the name of a folder",
                where="name",
                got=self.name,
                expected="printable characters without / \\ : and without . at the start",
                fix='give name = "..."',
            )
        images = any(isinstance(stimulus, Images) for stimulus in self.network.stimuli.values())
        if self.run.duration_ms is None and not images:
            raise ConfigError(
                "a key is missing",
                where="run.duration_ms",
                expected="a number > 0 ms",
                fix="add duration_ms (only a stimulus of kind images can give the end)",
                code="config.missing_key",
            )
        check_grid(self.network, self.run.dt_ms, self.run.duration_ms)
        if self.task is not None:
            self.task.check_network(self.network, "task")


def load_config(
    path: Path | str, overrides: Sequence[str] = (), options: Mapping[str, str] | None = None
) -> Config:
    """Read and check a config file.

    overrides are `path=value` texts, as given to --set.  options names, for messages, those key paths that
    came from an option of their own: {"run.duration_ms": "--duration-ms"}.
    Raises FileError for a file that cannot be read, ConfigError for all that is wrong in it.
    """
    path = Path(path)
    return _build(Origin(path, _read(path), options=options or {}), path.parent, path.stem, overrides)


def loads(
    document: str, folder: Path | None = None, overrides: Sequence[str] = (), name: str = "unnamed"
) -> Config:
    """The same from a text; `folder` is where array files lie, `name` is used if the text gives none."""
    return _build(Origin(None, document), folder, name, overrides)


def dumps(config: Config) -> str:
    """The config as TOML, with all defaults and all arrays written out; `loads` gives an equal config."""
    return tomli_w.dumps(_document(config, "", {}))


def save_config(config: Config, path: Path | str) -> None:
    """Write the config so that `load_config` gives an equal one.  Raises StorageError.

    Arrays of more than 64 numbers go to `<stem>.npz` beside the file.
    """
    expect(config, Config, "save_config", "Config(name=..., run=Run(...), network=...)")
    path = Path(path)
    arrays: dict[str, Any] = {}
    document = tomli_w.dumps(_document(config, f"{path.stem}.npz", arrays))
    if arrays:
        with replacing(path.with_suffix(".npz")) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **arrays)
    write_text(path, document)


# --- reading ----------------------------------------------------------------------------------------------


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileError(
                "a folder or device, not a file" if path.exists() else "no such file",
                where=str(path),
                expected="a config file in TOML",
                code="file.missing",
            )
        with open(path, "rb") as stream:
            raw = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot be read ({error})", where=str(path)) from error
    if len(raw) > SIZE_LIMIT:
        raise ConfigError(
            "the file is too long",
            where=str(path),
            expected=f"at most {SIZE_LIMIT} bytes",
            fix='put long lists into an .npz file: { file = "...", array = "..." }',
            code="config.too_long",
        )
    try:
        return raw.decode("utf-8-sig")  # editors on Windows put a mark in front
    except UnicodeDecodeError as error:
        raise ConfigError(
            "not UTF-8 text",
            file=str(path),
            line=raw.count(b"\n", 0, error.start) + 1,
            got=raw[error.start : error.start + 1],
            code="config.syntax",
        ) from error


def _build(origin: Origin, folder: Path | None, name: str, overrides: Sequence[str]) -> Config:
    data = _parse(origin)
    with origin.located():
        origin.overridden.extend(apply_overrides(data, overrides, _NAMED))
        _check_whole_numbers(data)
        _check_top(data)
        table = {key: data[key] for key in rules(Network) if key in data}
        config = Config(
            name=data.get("name", name),
            run=_run(data.get("run", {})),
            network=cast(Network, from_mapping((Network,), table, "", folder)),
            task=cast(Classify, from_mapping((Classify,), data["task"], "task")) if "task" in data else None,
        )
    object.__setattr__(config, "origin", origin)
    return config


def _run(data: Any) -> Run:
    try:
        return cast(Run, from_mapping((Run,), data, "run"))
    except ConfigError as error:
        key = error.where.removeprefix("run.")
        if error.code == "config.unknown_key" and key in _KEYS:
            table = rules(Document)[key].kind in ("record", "table")
            error.fix = f"[{key}] is a table of its own" if table else f"move {key} above the first table"
        raise


def _parse(origin: Origin) -> dict[str, Any]:
    try:
        rows = origin.text.split("\n")
        if any(row.count(".") >= 40 and _LONG_KEY.search(row) for row in rows):
            raise ValueError("a key of more than 40 parts")
        return tomllib.loads(origin.text)
    except RecursionError as error:
        problem, cause = "lists or tables are nested too deeply", error
    except ValueError as error:
        problem, cause = str(error), error  # type: ignore[assignment]
    line, column = None, ""
    if found := _POSITION.fullmatch(problem):
        problem = found[1]
        line, column = int(found[2] or len(rows)), f"column {found[3] or len(rows[-1]) + 1}"
    elif long_number := _LONG_NUMBER.search(origin.text):
        problem, line = "a number of thousands of digits", origin.text.count("\n", 0, long_number.start()) + 1
    raise ConfigError(
        f"not valid TOML: {problem}",
        where=column,
        got=rows[line - 1].strip() or "the end of the file" if line else None,
        file=str(origin.path or "<text>"),
        line=line,
        code="config.syntax",
    ) from cause


def _check_top(data: dict[str, Any]) -> None:
    for key in data:
        if key not in _KEYS:
            raise ConfigError("unknown key", where=key, fix=nearest(key, _KEYS), code="config.unknown_key")
    if "schema" not in data:
        raise ConfigError(
            "a key is missing",
            where="schema",
            expected=str(SCHEMA),
            fix=f"put schema = {SCHEMA} on the first line",
            code="config.missing_key",
        )
    if type(data["schema"]) is not int or data["schema"] != SCHEMA:
        raise ConfigError(
            "this version reads another schema",
            where="schema",
            got=data["schema"],
            expected=str(SCHEMA),
            code="config.schema",
        )


def _check_whole_numbers(data: dict[str, Any]) -> None:
    """TOML promises 64 bits; Python would go on, up to numbers that cannot even be printed."""
    left: list[tuple[str, Any]] = list(data.items())
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{path}.{key}", item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(f"{path}[{k}]", item) for k, item in enumerate(value)]
        elif isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise ConfigError(
                "a whole number of more than 64 bits",
                where=path,
                got=f"about 2^{value.bit_length()}",
                expected=f"{-_INT64} to {_INT64 - 1}",
                code="config.out_of_range",
            )


# --- writing ----------------------------------------------------------------------------------------------


def _document(config: Config, file: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Plain values for tomli_w; with a `file`, long arrays are put into `arrays` instead."""
    network = to_mapping(config.network)
    found = {"schema": SCHEMA, "name": config.name, "precision": network.pop("precision")}
    found["run"] = to_mapping(config.run)
    found |= {key: _plain(entries, key, file, arrays) for key, entries in network.items() if entries}
    if config.task is not None:
        found["task"] = to_mapping(config.task)
    return found


def _plain(value: Any, path: str, file: str, arrays: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, f"{path}.{key}", file, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}[{k}]", file, arrays) for k, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        if file and value.size > INLINE_LIMIT:
            arrays[path] = value
            return {"file": file, "array": path}
        return value.tolist()
    return value
