"""Checking one value against the rule of its field; every message names the key path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule

if TYPE_CHECKING:
    from snnsim.spec import Spec

COUNT_LIMIT = 2**31 - 1
NAME_LIMIT = 100


def check(value: Any, rule: Rule, where: str) -> Any:
    """`value` in its normal form, or ConfigError."""
    if value is None:
        if rule.optional:
            return None
        raise ConfigError("a value is missing", where=where, expected=wanted(rule), code="config.missing_key")
    return _CHECKS[rule.kind](value, rule, where)


def wrong_type(value: Any, rule: Rule, where: str) -> ConfigError:
    """The error for a value of a type that the field does not take."""
    return ConfigError("wrong type", where=where, got=value, expected=wanted(rule), code="config.wrong_type")


def expect(value: Any, cls: type, where: str, fix: str = "") -> None:
    """ConfigError unless `value` is a `cls`: for arguments of functions, where Python would say less."""
    if not isinstance(value, cls):
        raise ConfigError(
            "wrong type",
            where=where,
            got=value,
            expected=f"a {cls.__name__}",
            fix=fix,
            code="config.wrong_type",
        )


_NOUNS = {
    "number": "a number",
    "integer": "a whole number",
    "flag": "true or false",
    "text": "a name in quotes",
    "values": "a number, a list of numbers, a distribution or { file = ..., array = ... }",
    "array": "a list of numbers or { file = ..., array = ... }",
    "indices": "a list of whole numbers >= 0 or { file = ..., array = ... }",
    "table": "a table of named descriptions",
}


def wanted(rule: Rule) -> str:
    """What a field takes, in words."""
    if rule.kind == "choice":
        return "one of " + ", ".join(f'"{word}"' for word in rule.choices)
    if rule.kind in ("record", "records"):
        kinds = [t.KIND for t in rule.types if t.KIND]
        noun = "a table" if rule.kind == "record" else "a list of tables"
        return f"{noun} with kind one of {', '.join(kinds)}" if kinds else noun
    return f"{_NOUNS[rule.kind]} {rule.range_text()}".strip()


def _check_number(value: Any, rule: Rule, where: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise wrong_type(value, rule, where)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ConfigError(
            "not a finite number", where=where, got=value, expected=wanted(rule), code="config.not_finite"
        )
    _check_range(found, found, rule, where, value)
    return found


def _check_range(low: float, high: float, rule: Rule, where: str, got: Any) -> None:
    if not rule.contains(low, high):
        raise ConfigError(
            "out of range", where=where, got=got, expected=wanted(rule), code="config.out_of_range"
        )


def _check_integer(value: Any, rule: Rule, where: str) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise wrong_type(value, rule, where)
    _check_range(int(value), int(value), rule, where, value)
    return int(value)


def _check_flag(value: Any, rule: Rule, where: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise wrong_type(value, rule, where)
    return bool(value)


def _check_text(value: Any, rule: Rule, where: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, rule, where)
    if not value or len(value) > 1000:
        raise ConfigError("empty or too long", where=where, got=value, expected="1 to 1000 characters")
    return value


def _check_choice(value: Any, rule: Rule, where: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, rule, where)
    if value not in rule.choices:
        raise ConfigError(
            "unknown word",
            where=where,
            got=value,
            expected=wanted(rule),
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
                expected=wanted(rule),
                fix="give it low and high bounds",
                code="config.out_of_range",
            )
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return _check_array(value, rule, where)
    return _check_number(value, rule, where)


def _check_array(value: Any, rule: Rule, where: str) -> np.ndarray:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, list | tuple | np.ndarray):
        raise wrong_type(value, rule, where)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise ConfigError(
            "rows of different length", where=where, got=value, expected=wanted(rule)
        ) from error
    if found.dtype.kind not in "iuf" or found.ndim not in rule.dims or (found.size and _holds_flags(value)):
        raise wrong_type(value, rule, where)
    if found.size == 0:
        raise ConfigError("an empty list", where=where, got=value, expected="at least one number")
    frozen = np.array(found, dtype=np.float64, order="C")
    bad = np.flatnonzero(~np.isfinite(frozen.ravel()))
    if bad.size:
        raise ConfigError(
            f"not a finite number at position {bad[0]}",
            where=where,
            got=float(frozen.ravel()[bad[0]]),
            expected=wanted(rule),
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
        raise wrong_type(value, rule, where)
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise wrong_type(value, rule, where) from error
    if found.size == 0:
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 1 or (found.size and _holds_flags(value)):
        raise wrong_type(value, rule, where)
    if found.size and (int(found.min()) < 0 or int(found.max()) > COUNT_LIMIT):
        raise ConfigError(
            "out of range",
            where=where,
            got=f"{found.min()} to {found.max()}",
            expected=wanted(rule),
            code="config.out_of_range",
        )
    frozen = np.array(found, dtype=np.int64)
    frozen.setflags(write=False)
    return frozen


def _check_record(value: Any, rule: Rule, where: str) -> Spec:
    """Only Python gets here with something else: tables of config files are descriptions by now."""
    if isinstance(value, rule.types):
        return value
    raise _wrong_object(value, rule, where, _calls(rule))


def _wrong_object(value: Any, rule: Rule, where: str, expected: str) -> ConfigError:
    return ConfigError(
        "wrong type",
        where=where,
        got=value,
        expected=expected,
        fix=_call(value, rule),
        code="config.wrong_type",
    )


def _calls(rule: Rule) -> str:
    return ", ".join(f"{t.__name__}(...)" for t in rule.types)


def _call(value: Any, rule: Rule) -> str:
    """What to write instead of a class, or of the word that a config file has for it."""
    from snnsim.spec import defaults, rules

    for cls in rule.types:
        if value is cls or (isinstance(value, str) and value in (cls.KIND, cls.__name__)):
            needed = set(rules(cls)) - set(defaults(cls))
            return f"call the class: {cls.__name__}({'...' if needed else ''})"
    return ""


def _check_records(value: Any, rule: Rule, where: str) -> tuple[Spec, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _wrong_object(value, rule, where, f"a list of {_calls(rule)}")
    return tuple(_check_record(item, rule, f"{where}[{k}]") for k, item in enumerate(value))


def _check_table(value: Any, rule: Rule, where: str) -> Mapping[str, Spec]:
    """A view that cannot be written to, of a copy that nobody else has."""
    if not isinstance(value, Mapping):
        raise _wrong_object(value, rule, where, f'{{"a_name": ...}} with values {_calls(rule)}')
    for name in value:
        check_name(name, f"{where}.{name}")
    return MappingProxyType(
        {name: _check_record(item, rule, f"{where}.{name}") for name, item in value.items()}
    )


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
