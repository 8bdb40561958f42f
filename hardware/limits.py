"""Does a network fit a target?  All violations at once, each with what is wrong, where, and the way out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.layout import layers_of
from snnsim.hardware.measures import MEASURES, Subject
from snnsim.hardware.partition import Cutter, OversizeError
from snnsim.hardware.resources import Storage
from snnsim.hardware.targets import Limit, Target, get_target
from snnsim.network import Network


@dataclass(frozen=True)
class Violation:
    """One limit that one part of a network exceeds: where, what was found, what the bound is, the way out."""

    where: str
    limit: str
    value: float | str
    bound: str
    fix: str
    source: str

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:,.10g}"
        return f"{self.where}: {self.limit}: got {value}, expected {self.bound}. Fix: {self.fix}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def check(
    network: Network, target: Target | str, *, outside: Collection[str] = (), storage: Storage | None = None
) -> list[Violation]:
    """All violations; an empty list where the network fits.

    outside  populations that are not on the target, such as encoders that run on the host
    Whether there are enough cores is known when the network is placed (see placement.place).
    Raises TargetError for an unknown target.
    """
    found = get_target(target)
    subject = Subject.of(network, outside)
    violations = []
    for limit in found.limits:
        if limit.key in MEASURES:
            rows = MEASURES[limit.key](subject)
            violations += [v for where, value in rows if (v := _judge(limit, where, value)) is not None]
    if found.mesh is not None and not any(v.limit.startswith("connection") for v in violations):
        violations += _oversize(network, found, outside, storage)
    return violations


def require(
    network: Network, target: Target | str, *, outside: Collection[str] = (), storage: Storage | None = None
) -> None:
    """Raises TargetError, with all violations in its text, where the network does not fit."""
    violations = check(network, target, outside=outside, storage=storage)
    if violations:
        raise error_of(violations, get_target(target))


def error_of(violations: list[Violation], target: Target) -> TargetError:
    """The error that lists violations."""
    n = len(violations)
    lines = "".join(f"\n  {number}. {violation}" for number, violation in enumerate(violations, 1))
    return TargetError(f"the network does not fit ({n} violation{'s' * (n > 1)}){lines}", where=target.name)


def _judge(limit: Limit, where: str, value: np.ndarray | str) -> Violation | None:
    bad: float | str | None = None
    if isinstance(limit.value, tuple):
        bad = value if isinstance(value, str) and value not in limit.value else None
    elif isinstance(value, np.ndarray) and value.size:
        wrong = value[_wrong(limit, value)]
        if wrong.size:
            bad = float(wrong.min() if limit.kind == "least" else wrong[np.argmax(np.abs(wrong))])
    if bad is None:
        return None
    return Violation(where, limit.name, bad, limit.text(), limit.fix, f"{limit.source} ({limit.sure})")


def _wrong(limit: Limit, value: np.ndarray) -> np.ndarray:
    bound = float(limit.value)  # type: ignore[arg-type]
    if limit.kind == "most":
        return ~(value <= bound)  # not a number is wrong, too
    if limit.kind == "least":
        return ~(value >= bound)
    return ~(np.remainder(value, bound) == 0)


def _oversize(
    network: Network, target: Target, outside: Collection[str], storage: Storage | None
) -> list[Violation]:
    """Layers of which not one unit fits into a core."""
    found = []
    for name in network.populations:
        if name in outside:
            continue
        others = [other for other in network.populations if other != name]
        try:
            Cutter(layers_of(network, others), target, storage or Storage())
        except OversizeError as error:
            limit = target.limit(error.resource)
            source = "" if limit is None else f"{limit.source} ({limit.sure})"
            found.append(
                Violation(error.where, f"{error.resource}.most", error.got, error.expected, error.fix, source)  # type: ignore[arg-type]
            )
    return found
