"""Declarative fields: the one place that knows a parameter's type, unit, range and meaning.

A description class derives from `Spec` and declares its parameters with the functions below.
The same declaration checks values given in Python, reads and writes config files, and prints
the list of models:

    @dataclass(frozen=True, eq=False, kw_only=True)
    class Leaky(Spec):
        KIND = "leaky"
        tau_m_ms: Values = values(unit="ms", above=0.0, help="membrane time constant")
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np

from snnsim.errors import ConfigError, nearest

ARRAY_LIMIT = 2**31
COUNT_LIMIT = 2**31 - 1
NAME_LIMIT = 100


@dataclass(frozen=True)
class Rule:
    """What a field accepts."""

    kind: str
    unit: str = ""
    low: float = -math.inf
    above: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    types: tuple[type[Spec], ...] = ()
    optional: bool = False
    help: str = ""

    def range_text(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        low = (
            f">= {_digits(self.low)}"
            if self.low > -math.inf
            else f"> {_digits(self.above)}"
            if self.above > -math.inf
            else ""
        )
        high = f"<= {_digits(self.high)}" if self.high < math.inf else ""
        bounds = " and ".join(part for part in (low, high) if part)
        return f"{bounds}{unit}" if bounds else f"in {self.unit}" if unit else ""

    def contains(self, low: float, high: float) -> bool:
        above = low > self.above or self.above == -math.inf  # no bound: -inf is allowed too
        return low >= self.low and above and high <= self.high


def _digits(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _field(rule: Rule, default: Any) -> Any:
    metadata = {"rule": rule}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _declare(kind: str, default: Any, **options: Any) -> Any:
    return _field(Rule(kind, optional=default is None, **options), default)


_NO = dataclasses.MISSING


def number(default: Any = _NO, **options: Any) -> Any:
    """One finite float.  Options: unit, low, above, high, help."""
    return _declare("number", default, **options)


def integer(default: Any = _NO, **options: Any) -> Any:
    """One whole number."""
    return _declare("integer", default, **options)


def flag(default: Any = _NO, **options: Any) -> Any:
    """True or false."""
    return _declare("flag", default, **options)


def text(default: Any = _NO, **options: Any) -> Any:
    """A name."""
    return _declare("text", default, **options)


def choice(*choices: str, default: Any = _NO, **options: Any) -> Any:
    """One of some words."""
    return _declare("choice", default, choices=choices, **options)


def values(default: Any = _NO, **options: Any) -> Any:
    """A number for all, one number each, or a distribution to draw from."""
    return _declare("values", default, **options)


def array(default: Any = _NO, **options: Any) -> Any:
    """A list of floats, one or two dimensions."""
    return _declare("array", default, **options)


def indices(default: Any = _NO, **options: Any) -> Any:
    """A list of whole numbers >= 0."""
    return _declare("indices", default, **options)


def record(*types: type[Spec], default: Any = _NO, **options: Any) -> Any:
    """One description out of `types`, told apart by `kind`."""
    return _declare("record", default, types=types, **options)


def records(*types: type[Spec], default: Any = _NO, **options: Any) -> Any:
    """A list of descriptions."""
    return _declare("records", default, types=types, **options)


def table(*types: type[Spec], default: Any = _NO, **options: Any) -> Any:
    """Descriptions by name."""
    return _declare("table", default, types=types, **options)


@dataclass(frozen=True, eq=False, kw_only=True)
class Spec:
    """Base of every description: immutable, checked on construction, compared by value."""

    KIND: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self._settle(self.KIND or type(self).__name__)

    def _settle(self, where: str) -> None:
        for name, rule in rules(type(self)).items():
            object.__setattr__(self, name, check(getattr(self, name), rule, join(where, name)))
        self.check_together(where)

    def check_together(self, where: str) -> None:
        """Check what concerns several fields at once; raise ConfigError naming `where`."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in rules(type(self)))

    def __hash__(self) -> int:
        return hash(type(self))  # equal descriptions must hash equal, and arrays cannot be hashed

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def join(where: str, name: str) -> str:
    """The key path of `name` inside `where`."""
    return f"{where}.{name}" if where else name


def rules(cls: type[Spec]) -> dict[str, Rule]:
    """The declared fields of a description class, in order."""
    return {f.name: cast(Rule, f.metadata["rule"]) for f in dataclasses.fields(cls)}


def defaults(cls: type[Spec]) -> dict[str, Any]:
    """The fields that need not be given, with the value they then have."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        if f.default is not dataclasses.MISSING:
            found[f.name] = f.default
        elif f.default_factory is not dataclasses.MISSING:
            found[f.name] = f.default_factory()
    return found


# --- checking one value -----------------------------------------------------------------------------------


def check(value: Any, rule: Rule, where: str) -> Any:
    """`value` in its normal form, or ConfigError."""
    if value is None:
        if rule.optional:
            return None
        raise ConfigError(
            "a value is missing", where=where, expected=_wanted(rule), code="config.missing_key"
        )
    return _CHECKS[rule.kind](value, rule, where)


def _wrong_type(value: Any, rule: Rule, where: str) -> ConfigError:
    return ConfigError("wrong type", where=where, got=value, expected=_wanted(rule), code="config.wrong_type")


_NOUNS = {
    "number": "a number",
    "integer": "a whole number",
    "flag": "true or false",
    "text": "a name in quotes",
    "values": "a number, a list of numbers or a distribution",
    "array": "a list of numbers",
    "indices": "a list of whole numbers >= 0",
    "table": "a table of named descriptions",
}


def _wanted(rule: Rule) -> str:
    if rule.kind == "choice":
        return "one of " + ", ".join(f'"{word}"' for word in rule.choices)
    if rule.kind in ("record", "records"):
        kinds = [t.KIND for t in rule.types if t.KIND]
        noun = "a table" if rule.kind == "record" else "a list of tables"
        return f"{noun} with kind one of {', '.join(kinds)}" if kinds else noun
    return f"{_NOUNS[rule.kind]} {rule.range_text()}".strip()


def _check_number(value: Any, rule: Rule, where: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise _wrong_type(value, rule, where)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ConfigError(
            "not a finite number", where=where, got=value, expected=_wanted(rule), code="config.not_finite"
        )
    _check_range(found, found, rule, where, value)
    return found


def _check_range(low: float, high: float, rule: Rule, where: str, got: Any) -> None:
    if not rule.contains(low, high):
        raise ConfigError(
            "out of range", where=where, got=got, expected=_wanted(rule), code="config.out_of_range"
        )


def _check_integer(value: Any, rule: Rule, where: str) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise _wrong_type(value, rule, where)
    _check_range(int(value), int(value), rule, where, value)
    return int(value)


def _check_flag(value: Any, rule: Rule, where: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _wrong_type(value, rule, where)
    return bool(value)


def _check_text(value: Any, rule: Rule, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value, rule, where)
    if not value or len(value) > 1000:
        raise ConfigError("empty or too long", where=where, got=value, expected="1 to 1000 characters")
    return value


def _check_choice(value: Any, rule: Rule, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value, rule, where)
    if value not in rule.choices:
        raise ConfigError(
            "unknown word",
            where=where,
            got=value,
            expected=_wanted(rule),
            fix=nearest(value, rule.choices),
            code="config.unknown_word",
        )
    return value


def _check_values(value: Any, rule: Rule, where: str) -> Any:
    from snnsim.distributions import Distribution

    if isinstance(value, Distribution):
        low, high = value.support()
        if not rule.contains(low, high):
            raise ConfigError(
                "the distribution can leave the allowed range",
                where=where,
                got=f"{low:g} to {high:g}",
                expected=_wanted(rule),
                fix="give it low and high bounds",
                code="config.out_of_range",
            )
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return _check_array(value, rule, where)
    return _check_number(value, rule, where)


def _check_array(value: Any, rule: Rule, where: str) -> np.ndarray:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, list | tuple | np.ndarray):
        raise _wrong_type(value, rule, where)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise ConfigError(
            "rows of different length", where=where, got=value, expected=_wanted(rule)
        ) from error
    if found.dtype.kind not in "iuf" or found.ndim not in (1, 2) or (found.size and _holds_flags(value)):
        raise _wrong_type(value, rule, where)
    if found.size == 0:
        raise ConfigError("an empty list", where=where, got=value, expected="at least one number")
    frozen = np.array(found, dtype=np.float64, order="C")
    bad = np.flatnonzero(~np.isfinite(frozen.ravel()))
    if bad.size:
        raise ConfigError(
            f"not a finite number at position {bad[0]}",
            where=where,
            got=float(frozen.ravel()[bad[0]]),
            expected=_wanted(rule),
            code="config.not_finite",
        )
    _check_range(
        float(frozen.min()), float(frozen.max()), rule, where, f"{frozen.min():g} to {frozen.max():g}"
    )
    frozen.setflags(write=False)
    return frozen


def _holds_flags(value: Any) -> bool:
    """NumPy would take true among numbers as 1."""
    if isinstance(value, list | tuple):
        return any(_holds_flags(item) for item in value)
    return isinstance(value, bool | np.bool_)


def _check_indices(value: Any, rule: Rule, where: str) -> np.ndarray:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, list | tuple | np.ndarray | range):
        raise _wrong_type(value, rule, where)
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise _wrong_type(value, rule, where) from error
    if found.size == 0:
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 1 or (found.size and _holds_flags(value)):
        raise _wrong_type(value, rule, where)
    if found.size and (int(found.min()) < 0 or int(found.max()) > COUNT_LIMIT):
        raise ConfigError(
            "out of range",
            where=where,
            got=f"{found.min()} to {found.max()}",
            expected=_wanted(rule),
            code="config.out_of_range",
        )
    frozen = np.array(found, dtype=np.int64)
    frozen.setflags(write=False)
    return frozen


def _check_record(value: Any, rule: Rule, where: str) -> Spec:
    if not isinstance(value, rule.types):
        raise _wrong_type(value, rule, where)
    return value


def _check_records(value: Any, rule: Rule, where: str) -> tuple[Spec, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _wrong_type(value, rule, where)
    return tuple(_check_record(item, rule, f"{where}[{k}]") for k, item in enumerate(value))


def _check_table(value: Any, rule: Rule, where: str) -> dict[str, Spec]:
    if not isinstance(value, Mapping):
        raise _wrong_type(value, rule, where)
    for name in value:
        check_name(name, f"{where}.{name}")
    return {name: _check_record(item, rule, f"{where}.{name}") for name, item in value.items()}


def check_name(name: Any, where: str) -> None:
    """A name is a letter followed by letters, digits and underscores."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or len(name) > NAME_LIMIT:
        raise ConfigError(
            "not a name",
            where=where,
            got=name,
            expected="a letter, then letters, digits or _, at most 100",
            code="config.bad_name",
        )


_CHECKS = {
    "number": _check_number,
    "integer": _check_integer,
    "flag": _check_flag,
    "text": _check_text,
    "choice": _check_choice,
    "values": _check_values,
    "array": _check_array,
    "indices": _check_indices,
    "record": _check_record,
    "records": _check_records,
    "table": _check_table,
}


# --- to and from plain mappings ---------------------------------------------------------------------------


def from_mapping(types: tuple[type[Spec], ...], data: Any, where: str, folder: Path | None = None) -> Spec:
    """Build one of `types` from a table of a config file.

    `where` is the key path for messages; `folder` is where array files named in the table lie.
    Raises ConfigError for an unknown or missing key, a wrong type or a value out of range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError("wrong type", where=where, got=data, expected="a table", code="config.wrong_type")
    cls, keys = _pick(types, data, where)
    declared = rules(cls)
    for key in keys:
        if key not in declared:
            raise ConfigError(
                "unknown key",
                where=join(where, key),
                fix=nearest(key, declared),
                code="config.unknown_key",
            )
    given: dict[str, Any] = {}
    optional = defaults(cls)
    for name, rule in declared.items():
        path = join(where, name)
        if name in keys:
            given[name] = check(_read(keys[name], rule, path, folder), rule, path)
        elif name not in optional:
            raise ConfigError(
                "a key is missing",
                where=path,
                expected=_wanted(rule),
                code="config.missing_key",
                fix=f"add {name}" + (f" ({rule.help})" if rule.help else ""),
            )
    made = object.__new__(cls)
    for name in declared:
        object.__setattr__(made, name, given[name] if name in given else optional[name])
    made._settle(where)
    return made


def _pick(
    types: tuple[type[Spec], ...], data: Mapping[str, Any], where: str
) -> tuple[type[Spec], dict[str, Any]]:
    keys = dict(data)
    if len(types) == 1 and not types[0].KIND:
        return types[0], keys
    path = join(where, "kind")
    by_kind = {t.KIND: t for t in types}
    expected = "one of " + ", ".join(f'"{kind}"' for kind in by_kind)
    if "kind" not in keys:
        raise ConfigError(
            "a key is missing", where=path, expected=expected, code="config.missing_key", fix="add kind"
        )
    kind = keys.pop("kind")
    if not isinstance(kind, str):
        raise ConfigError("wrong type", where=path, got=kind, expected=expected, code="config.wrong_type")
    if kind not in by_kind:
        raise ConfigError(
            "unknown kind",
            where=path,
            got=kind,
            expected=expected,
            fix=nearest(kind, by_kind),
            code="config.unknown_word",
        )
    return by_kind[kind], keys


def _read(value: Any, rule: Rule, where: str, folder: Path | None) -> Any:
    """Turn the tables inside a config value into descriptions and arrays."""
    if rule.kind == "record":
        return from_mapping(rule.types, value, where, folder)
    if rule.kind == "records":
        if not isinstance(value, list):
            raise _wrong_type(value, rule, where)
        return [from_mapping(rule.types, item, f"{where}[{k}]", folder) for k, item in enumerate(value)]
    if rule.kind == "table":
        if not isinstance(value, Mapping):
            raise _wrong_type(value, rule, where)
        return {
            name: from_mapping(rule.types, item, f"{where}.{name}", folder) for name, item in value.items()
        }
    if rule.kind in ("values", "array", "indices") and isinstance(value, Mapping):
        if "file" in value:
            from snnsim.arrayfile import read_array

            return read_array(value, where, folder)
        if rule.kind == "values":
            from snnsim.distributions import DISTRIBUTIONS

            return from_mapping(DISTRIBUTIONS, value, where, folder)
    return value


def to_mapping(spec: Spec) -> dict[str, Any]:
    """The table that `from_mapping` reads back to an equal description.  Arrays stay arrays."""
    found: dict[str, Any] = {"kind": spec.KIND} if spec.KIND else {}
    for name in rules(type(spec)):
        value = getattr(spec, name)
        if value is not None:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return to_mapping(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
