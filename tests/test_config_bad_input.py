"""Every field of every description, with all that can be wrong with it, ends in a clear ConfigError."""

import copy
import datetime
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import tomli_w
from config_examples import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim.classify import Classify
from snnsim.config import Config, Run, loads
from snnsim.distributions import DISTRIBUTIONS
from snnsim.errors import ConfigError, ExitCode, SnnError
from snnsim.fields import Rule
from snnsim.integer_neurons import INTEGER_NEURONS, IntegerRule
from snnsim.layer_neurons import LAYER_NEURONS
from snnsim.layers import LAYER_RULES
from snnsim.network import Network
from snnsim.spec import Spec, defaults, rules
from snnsim.stimuli import Analogue

Path = tuple[str | int, ...]
DOCUMENTS = {name: tomllib.loads(text) for name, text in EXAMPLES.items()}
ROOTS = {"run": Run, "task": Classify}


def written(path: Path) -> str:
    """A key path as messages write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def is_distribution(rule: Rule, value: Any) -> bool:
    return rule.kind == "values" and isinstance(value, dict) and "kind" in value


def chosen(types: tuple[type[Spec], ...], table: dict) -> type[Spec]:
    return types[0] if len(types) == 1 else {t.KIND: t for t in types}[table["kind"]]


def fields_of(cls: type[Spec], table: dict, path: Path) -> Iterator[tuple[type[Spec], Path, Rule]]:
    """Every field that is written down in a table of a config, and in the tables inside."""
    for name, rule in rules(cls).items():
        if name not in table:
            continue
        here, value = (*path, name), table[name]
        yield cls, here, rule
        if rule.kind == "record":
            yield from fields_of(chosen(rule.types, value), value, here)
        elif rule.kind == "records":
            for k, item in enumerate(value):
                yield from fields_of(chosen(rule.types, item), item, (*here, k))
        elif rule.kind == "table":
            for key, item in value.items():
                yield from fields_of(chosen(rule.types, item), item, (*here, key))
        elif is_distribution(rule, value):
            yield from fields_of(chosen(DISTRIBUTIONS, value), value, here)


def fields(document: dict) -> list[tuple[type[Spec], Path, Rule]]:
    found = list(fields_of(Network, document, ()))
    for key, cls in ROOTS.items():
        if key in document:
            found += fields_of(cls, document[key], (key,))
    return [*found, (Config, ("name",), rules(Config)["name"])]


CASES = [
    pytest.param(name, path, rule, id=f"{name}:{written(path)}")
    for name, document in DOCUMENTS.items()
    for _, path, rule in fields(document)
]


def every_class(cls: type[Spec]) -> set[type[Spec]]:
    found = {cls}
    for rule in rules(cls).values():
        types = DISTRIBUTIONS if rule.kind == "values" else rule.types
        for inner in types:
            found |= every_class(inner)
    return found


def test_the_examples_use_every_field_of_every_class():
    layered = {*LAYER_NEURONS, *LAYER_RULES, Analogue}  # no config runs these: tests/test_layers.py has them
    layered |= {*INTEGER_NEURONS, IntegerRule}  # nor these: tests/test_integer.py
    wanted = {(cls, name) for cls in every_class(Config) - layered for name in rules(cls)}
    used = {(cls, path[-1]) for document in DOCUMENTS.values() for cls, path, _ in fields(document)}
    tops = {(Config, "run"), (Config, "network"), (Config, "task")}  # tables of their own in the file
    assert {(c.__name__, n) for c, n in wanted - used - tops} == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_right(name):
    assert loads(EXAMPLES[name]).name == name


def changed(name: str, path: Path, value: Any = None, key: str = "") -> str:
    """The example with one value changed, one key renamed, or (value None, no key) one removed."""
    document = copy.deepcopy(DOCUMENTS[name])
    table: Any = document
    for part in path[:-1]:
        table = table[part]
    old = table.pop(path[-1])
    if key:
        table[key] = old
    elif value is not None:
        table[path[-1]] = value
    return tomli_w.dumps(document)


def fault(text: str) -> ConfigError | None:
    """The error, checked to be a good one; None when the text is accepted."""
    error = raised(text)
    if error is None:
        return None
    assert isinstance(error, ConfigError)
    assert error.exit_code == ExitCode.CONFIG
    assert error.where
    assert error.line is not None
    assert f"{error.where} (<text>:{error.line}): " in str(error)
    assert error.fix or error.expected
    assert len(str(error)) < 2000
    return error


def raised(text: str, overrides: Sequence[str] = ()) -> SnnError | None:
    """The error of the one kind that may come; any other goes on and fails the test."""
    try:
        loads(text, overrides=overrides)
    except SnnError as error:
        return error
    return None


def inside(error: ConfigError | None, path: str) -> bool:
    return error is not None and (error.where == path or error.where.startswith((path + ".", path + "[")))


LISTS = ("values", "array", "indices")
NUMBERS = ("number", "integer")
TABLES = ("record", "records", "table")
WORDS = ("text", "choice")
ALL_BUT_TEXT = (*NUMBERS, *LISTS, *TABLES, "flag", "choice")
ALL = (*ALL_BUT_TEXT, "text")
WRONG: list[tuple[str, Any, tuple[str, ...]]] = [
    # what, value, kinds of fields that must refuse it
    ("text", "twelve", ALL_BUT_TEXT),
    ("a list", [1.5], (*NUMBERS, *TABLES, *WORDS, "flag", "indices")),
    ("an empty list", [], (*NUMBERS, *WORDS, "flag", "values", "array", "records", "record")),
    ("a list of texts", ["a"], ALL),
    ("a list of flags", [True], ALL),
    ("a hidden flag", [[1.0, True]], ALL),
    ("a ragged list", [[1.0], [1.0, 2.0]], ALL),
    ("a deep list", [[[1.0]]], ALL),
    ("a flag", True, (*NUMBERS, *LISTS, *TABLES, *WORDS)),
    ("a table", {"a": 1}, ALL),
    ("an empty table", {}, (*NUMBERS, *LISTS, *WORDS, "flag", "record", "records")),
    ("a date", datetime.date(2026, 1, 2), ALL),
    ("NaN", float("nan"), ALL),
    ("infinity", float("inf"), ALL),
    ("minus infinity", float("-inf"), ALL),
    ("a list with NaN", [float("nan")], ALL),
    ("a huge whole number", 10**30, ALL),
    ("a hex number beyond print", 1 << 15_000, ALL),
    ("unicode", "\u00dcn\u00efc\u00f6de \u202e\U0001f9e0", ALL_BUT_TEXT),
    ("an empty text", "", ALL),
]


@pytest.mark.parametrize(("name", "path", "rule"), CASES)
def test_values_of_the_wrong_kind(name, path, rule):
    for what, value, refused_by in WRONG:
        if isinstance(value, int) and value.bit_length() > 10_000:
            text = changed(name, path, 987654321987654321).replace("987654321987654321", hex(value))
        else:
            text = changed(name, path, value)
        error = fault(text)
        if rule.kind in refused_by:
            assert inside(error, written(path)), (what, str(error))


@pytest.mark.parametrize(("name", "path", "rule"), CASES)
def test_numbers_out_of_range(name, path, rule):
    for value in (-1, -1.5, -1e308, 0, 0.0, -0.0, 5e-324, 1e308, 2**31, 2**63 - 1, -(2**63)):
        error = fault(changed(name, path, value))
        whole = isinstance(value, int)
        if rule.kind in ("number", "values"):
            must = not rule.contains(value, value)
        elif rule.kind == "integer":
            must = not whole or not rule.contains(value, value)
        else:
            must = True
        if must:
            assert inside(error, written(path)), (value, str(error))


@pytest.mark.parametrize(("name", "path", "rule"), CASES)
def test_a_missing_key(name, path, rule):
    cls = next(c for c, p, _ in fields(DOCUMENTS[name]) if p == path)
    error = fault(changed(name, path))
    if path[-1] not in defaults(cls) and cls is not Config:
        assert error is not None
        assert error.where == written(path)
        assert error.code == "config.missing_key"


@pytest.mark.parametrize(("name", "path", "rule"), CASES)
def test_a_misspelt_key(name, path, rule):
    key = str(path[-1])
    misspelt = key[:-1] if len(key) > 4 else key + "s" if len(key) > 2 else key + "n"
    for wrong in (misspelt, key.upper(), "\u00fc" + key):
        error = fault(changed(name, path, key=wrong))
        assert error is not None
        assert error.code in ("config.unknown_key", "config.missing_key"), str(error)
        if error.code == "config.unknown_key" and wrong == misspelt:
            assert error.where == written((*path[:-1], wrong))
            assert f"did you mean {key}?" in error.fix


KINDS = sorted({k for name in DOCUMENTS for k in EXAMPLES[name].split('"') if k.isidentifier()})


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
@settings(max_examples=150)
def test_a_text_with_random_changes_is_accepted_or_refused(name, data):
    text = EXAMPLES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 30))
        new = data.draw(st.sampled_from(["", "[", "]]", "=", "nan", "-1", '"""', "{", "\n", ".", *KINDS]))
        text = text[:at] + new + text[at + length :]
    error = raised(text)
    if error is not None:
        assert error.exit_code in (ExitCode.CONFIG, ExitCode.FILE)
        assert str(error)


@given(st.text(max_size=200))
def test_any_text_is_accepted_or_refused(text):
    assert isinstance(raised(text), ConfigError)


@given(
    st.sampled_from([written(path) for _, path, _ in fields(DOCUMENTS["learning"])] + ["a.b", "run", ""]),
    st.one_of(st.text(max_size=20), st.sampled_from(["nan", "[]", "{}", "1e999", "-1", "true", "word"])),
)
def test_any_override_is_accepted_or_refused(path, value):
    error = raised(EXAMPLES["learning"], [f"{path}={value}"])
    if error is not None:
        assert isinstance(error, ConfigError)
        assert error.where
