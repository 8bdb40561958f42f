"""Distributions that a parameter, a weight or a delay can be drawn from.

Each value is one draw of the counter-based generator, so it depends on the seed, on the thing it
belongs to and on its index, and on nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError
from snnsim.fields import number
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class Distribution(Spec):
    """Base: `code` and `parameters` are what kernels/sampling.py:draw takes."""

    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return -math.inf, math.inf

    def code(self) -> int:
        """The number of this distribution in kernels/sampling.py."""
        return 0

    def parameters(self) -> tuple[float, float, float, float]:
        """p0 to p3 of kernels/sampling.py:draw."""
        return 0.0, 0.0, -math.inf, math.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class Uniform(Distribution):
    """Uniform in [low, high)."""

    KIND = "uniform"
    low: float = number(help="smallest value")
    high: float = number(help="values are below this")

    def check_together(self, where: str) -> None:
        if self.high <= self.low:
            raise ConfigError(
                "high must be above low", where=f"{where}.high", got=self.high, expected=f"> {self.low:g}"
            )

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def code(self) -> int:
        return 1

    def parameters(self) -> tuple[float, float, float, float]:
        return self.low, self.high, -math.inf, math.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class _Bounded(Distribution):
    mean: float = number(help="mean before the bounds cut")
    std: float = number(above=0.0, help="standard deviation before the bounds cut")
    low: float | None = number(None, help="values below are drawn again")
    high: float | None = number(None, help="values above are drawn again")

    def _bounds(self) -> tuple[float, float]:
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    def check_together(self, where: str) -> None:
        low, high = self._bounds()
        if high <= low:
            raise ConfigError(
                "high must be above low", where=f"{where}.high", got=high, expected=f"> {low:g}"
            )
        if low > self.mean + 6 * self.std or high < self.mean - 6 * self.std:
            raise ConfigError(
                "the bounds leave almost nothing of the distribution",
                where=where,
                got=f"{low:g} to {high:g}",
                expected=f"an interval that meets mean +- 6 std = {self.mean:g} +- {6 * self.std:g}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Normal(_Bounded):
    """Normal, drawn again outside [low, high] (a truncated normal, NEST's `redraw`)."""

    KIND = "normal"

    def support(self) -> tuple[float, float]:
        return self._bounds()

    def code(self) -> int:
        return 2

    def parameters(self) -> tuple[float, float, float, float]:
        return (self.mean, self.std, *self._bounds())


@dataclass(frozen=True, eq=False, kw_only=True)
class LogNormal(_Bounded):
    """Log-normal; mean and std are those of the variable itself, not of its logarithm."""

    KIND = "lognormal"
    mean: float = number(above=0.0, help="mean of the variable")

    def support(self) -> tuple[float, float]:
        low, high = self._bounds()
        return max(low, float(np.nextafter(0.0, 1.0))), high

    def code(self) -> int:
        return 3

    def parameters(self) -> tuple[float, float, float, float]:
        return (self.mean, self.std, *self._bounds())


DISTRIBUTIONS: tuple[type[Distribution], ...] = (Uniform, Normal, LogNormal)

Values = float | list[float] | tuple[float, ...] | np.ndarray | Distribution
