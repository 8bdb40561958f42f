"""Values given on the command line: `--set run.seed=7` changes a key of a config before it is checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from snnsim.errors import ConfigError, nearest

_PATH = re.compile(r"[A-Za-z0-9_-]+(\[\d{1,9}\])*(\.[A-Za-z0-9_-]+(\[\d{1,9}\])*)*")
_PART = re.compile(r"\[(\d+)\]|([A-Za-z0-9_-]+)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Override:
    """A key path, also split into keys and list positions, and the value it is given."""

    path: str
    parts: tuple[str | int, ...]
    value: Any


def parse_override(given: str) -> Override:
    """Read `path=value`.  The value is TOML; a word that is not TOML is taken as text.

    Raises ConfigError whose `where` is `--set path`.
    """
    path, equals, value = given.partition("=")
    path = path.strip()
    if not equals or not _PATH.fullmatch(path):
        raise ConfigError(
            "not a change of a key",
            where=f"--set {path}" if path.isprintable() else "--set",
            got=given,
            expected="path=value",
            fix="for example --set run.seed=7",
            code="config.bad_override",
        )
    parts = tuple(int(at) if at else key for at, key in _PART.findall(path))
    return Override(path, parts, _parse_value(value.strip(), path))


def _parse_value(given: str, path: str) -> Any:
    try:
        found = tomllib.loads(f"value = {given}")
        if list(found) == ["value"]:
            return found["value"]
    except (ValueError, RecursionError) as error:
        if _WORD.fullmatch(given):
            return given
        reason = str(error).partition(" (at ")[0]
    else:
        reason = "more than one value"
    raise ConfigError(
        f"not a TOML value ({reason})",
        where=f"--set {path}",
        got=given,
        expected="a number, true, false, a list, or text in quotes",
        fix=f"put text in quotes: --set '{path}=\"...\"'",
        code="config.bad_override",
    )


def apply_overrides(data: dict[str, Any], given: Sequence[str], named: Container[object]) -> list[str]:
    """Change `data` in place; returns the key paths that were written, and of tables made for them.

    Tables on the way are made where they are missing, but in the `named` tables (populations, ...) only
    entries that exist can be changed, so that a misspelt name does not make a new one.
    """
    written: list[str] = []
    for override in map(parse_override, given):
        first, *rest = override.parts
        entries = data.get(str(first))
        if first in named and len(rest) > 1 and isinstance(entries, dict) and rest[0] not in entries:
            raise ConfigError(
                f"no such entry in {first}",
                where=f"--set {override.path}",
                got=rest[0],
                fix=nearest(str(rest[0]), entries),
                code="config.unknown_name",
            )
        written += _write(data, override)
    return written


def _write(data: dict[str, Any], override: Override) -> list[str]:
    node: Any = data
    path = ""
    made: list[str] = []
    for part, following in zip(override.parts, [*override.parts[1:], None], strict=True):
        _check_holds(node, part, path, override)
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        if following is None:
            node[part] = override.value
        elif isinstance(part, str) and part not in node:
            node[part] = {}
            made.append(path)
        node = node[part]
    return [*made, override.path]


def _check_holds(node: Any, part: str | int, path: str, override: Override) -> None:
    """A key needs a table, a position a list that is long enough."""
    if isinstance(part, str) and isinstance(node, dict):
        return
    if isinstance(part, int) and isinstance(node, list) and part < len(node):
        return
    if isinstance(part, int) and isinstance(node, list):
        problem, expected = f"{path} has {len(node)} elements", f"a position below {len(node)}"
    else:
        wanted = "a table" if isinstance(part, str) else "a list"
        problem, expected = f"{path or 'the file'} is not {wanted}", f"the path of {wanted}"
    raise ConfigError(
        problem,
        where=f"--set {override.path}",
        got=part,
        expected=expected,
        code="config.bad_override",
    )
