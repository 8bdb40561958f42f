"""Declaring a parameter: its type, unit, range and meaning, said once."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnsim.spec import Spec


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
    dims: tuple[int, ...] = (1, 2)
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
    """A list of floats; `dims` says how many dimensions it may have, without: one or two."""
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
