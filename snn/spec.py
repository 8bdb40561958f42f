"""The base of every description: an immutable record whose fields are declared, checked and compared.

The same declaration checks values given in Python, reads and writes config files (mapping.py), and
prints the list of models:

    @dataclass(frozen=True, eq=False, kw_only=True)
    class Leaky(Spec):
        KIND = "leaky"
        tau_m_ms: Values = values(unit="ms", above=0.0, help="membrane time constant")
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

import numpy as np

from snnsim.checks import check
from snnsim.fields import Rule


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

    def __getstate__(self) -> dict[str, Any]:
        """For copies: read-only views cannot be copied themselves."""
        return {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def join(where: str, name: str) -> str:
    """The key path of `name` inside `where`."""
    return f"{where}.{name}" if where else name


def rules(cls: type[Spec]) -> dict[str, Rule]:
    """The declared fields of a description class, in order."""
    return {f.name: cast(Rule, f.metadata["rule"]) for f in dataclasses.fields(cls) if "rule" in f.metadata}


def defaults(cls: type[Spec]) -> dict[str, Any]:
    """The fields that need not be given, with the value they then have."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        if f.default is not dataclasses.MISSING:
            found[f.name] = f.default
        elif f.default_factory is not dataclasses.MISSING:
            found[f.name] = f.default_factory()
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
