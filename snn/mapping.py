"""Descriptions to and from plain mappings, as config files hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnsim.checks import check, wanted, wrong_type
from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule
from snnsim.spec import Spec, defaults, join, rules


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
            others = [t.KIND for t in types if key in rules(t)]
            raise ConfigError(
                f"unknown key of kind {cls.KIND}" if cls.KIND else "unknown key",
                where=join(where, key),
                fix=f"{key} belongs to kind {' or '.join(others)}" if others else nearest(key, declared),
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
                expected=wanted(rule),
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
            raise wrong_type(value, rule, where)
        return [from_mapping(rule.types, item, f"{where}[{k}]", folder) for k, item in enumerate(value)]
    if rule.kind == "table":
        if not isinstance(value, Mapping):
            raise wrong_type(value, rule, where)
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
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value
