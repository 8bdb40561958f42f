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

LEAST_PROBABILITY = 1e-9  # that the bounds must leave: about what lies beyond 6 standard deviations


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
    """Uniform in [low, high).

    A delay drawn from any distribution is rounded to the nearest step.
    """

    KIND = "uniform"
    low: float = number(help="smallest value")
    high: float = number(help="values are below this")

    def check_together(self, where: str) -> None:
        if self.high <= self.low:
            raise ConfigError(
                "high must be above low", where=f"{where}.high", got=self.high, expected=f"> {self.low:g}"
            )
        if not math.isfinite(self.high - self.low):
            raise ConfigError(
                "the width is not a finite number",
                where=f"{where}.high",
                got=self.high,
                expected="a finite high - low",
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

    def _deviations(self, value: float) -> float:
        """How many standard deviations a value lies above the centre, where the distribution is normal."""
        return (value - self.mean) / self.std

    def check_together(self, where: str) -> None:
        low, high = self._bounds()
        if high <= low:
            raise ConfigError(
                "high must be above low", where=f"{where}.high", got=high, expected=f"> {low:g}"
            )
        left = _normal_between(self._deviations(low), self._deviations(high))
        if left < LEAST_PROBABILITY:
            raise ConfigError(
                "the bounds leave almost nothing of the distribution",
                where=where,
                got=f"{low:g} to {high:g}, which has probability {left:.1g}",
                expected=f"an interval of probability {LEAST_PROBABILITY:g} or more",
                fix=f"give bounds that hold more of mean = {self.mean:g}, std = {self.std:g}",
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
    low: float | None = number(None, low=0.0, help="values below are drawn again")
    high: float | None = number(None, above=0.0, help="values above are drawn again")

    def check_together(self, where: str) -> None:
        variance = self._log_variance()
        if not 0.0 < variance < math.inf:
            raise ConfigError(
                "std is too far from the mean to compute with",
                where=f"{where}.std",
                got=self.std,
                expected=f"1e-150 to 1e+150 times mean = {self.mean:g}",
            )
        super().check_together(where)

    def _log_variance(self) -> float:
        ratio = self.std / self.mean
        return math.log1p(ratio * ratio)

    def _deviations(self, value: float) -> float:
        if value <= 0.0:
            return -math.inf
        variance = self._log_variance()
        return (math.log(value) - math.log(self.mean) + 0.5 * variance) / math.sqrt(variance)

    def support(self) -> tuple[float, float]:
        low, high = self._bounds()
        return max(low, float(np.nextafter(0.0, 1.0))), high

    def code(self) -> int:
        return 3

    def parameters(self) -> tuple[float, float, float, float]:
        return (self.mean, self.std, *self._bounds())


@dataclass(frozen=True, eq=False, kw_only=True)
class ClippedNormal(_Bounded):
    """Normal, where what lies outside [low, high] is moved to the nearer bound."""

    KIND = "clipped_normal"
    low: float | None = number(None, help="values below become this")
    high: float | None = number(None, help="values above become this")

    def support(self) -> tuple[float, float]:
        return self._bounds()

    def code(self) -> int:
        return 4

    def parameters(self) -> tuple[float, float, float, float]:
        return (self.mean, self.std, *self._bounds())


DISTRIBUTIONS: tuple[type[Distribution], ...] = (Uniform, Normal, LogNormal, ClippedNormal)

Values = float | list[float] | tuple[float, ...] | np.ndarray | Distribution


def extent(value: Values) -> tuple[float, float]:
    """Smallest and largest value that a parameter can have."""
    if isinstance(value, Distribution):
        return value.support()
    found = np.asarray(value, dtype=np.float64)
    return float(found.min()), float(found.max())


def _normal_between(a: float, b: float) -> float:
    """Probability that a standard normal variable lies in [a, b]."""
    if a > 0.0:
        a, b = -b, -a  # above the mean, differences of a function close to 1 tell nothing
    root = math.sqrt(0.5)
    return 0.5 * (math.erfc(-b * root) - math.erfc(-a * root))
