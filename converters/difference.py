"""Where two descriptions of networks differ, number by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnsim.mapping import to_mapping
from snnsim.network import Network

TOLERANCE = 2.0**-30
"""Of the largest number of an array: weights lie on a grid of 2^-48, or sums were added in another order."""


@dataclass(frozen=True)
class Difference:
    """One place, what is there, and what should be."""

    where: str
    got: object
    expected: object


def differences(found: Network, wanted: Network) -> list[Difference]:
    """All places where `found` is not `wanted`; of an array the first number that is off."""
    return list(_walk(to_mapping(found), to_mapping(wanted), ""))


def _walk(found: Any, wanted: Any, where: str) -> Iterator[Difference]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *(k for k in found if k not in wanted)]:
            yield from _walk(found.get(key), wanted.get(key), f"{where}.{key}" if where else key)
    elif _numbers(found) and _numbers(wanted):
        a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
        if a.shape != b.shape and a.size != 1 and b.size != 1:
            yield Difference(where, f"shape {list(a.shape)}", f"shape {list(b.shape)}")
            return
        a, b = np.broadcast_arrays(a, b)
        off = ~(np.abs(a - b) <= TOLERANCE * (float(np.abs(b).max(initial=0.0)) or 1.0))
        if off.any():
            place = tuple(int(k) for k in np.argwhere(off)[0])
            index = f"[{', '.join(map(str, place))}]" if place else ""
            more = f" ({int(off.sum()):,} of {off.size:,} differ)" if off.size > 1 else ""
            yield Difference(f"{where}{index}{more}", float(a[place]), float(b[place]))
    elif found != wanted:
        yield Difference(where, found, wanted)


def _numbers(value: Any) -> bool:
    """Numbers of any shape; whole numbers that are counts are compared the same way."""
    return isinstance(value, np.ndarray | int | float) and not isinstance(value, bool)
