"""Learning rules of Loihi-style chips, as text: a sum of products of traces.

    dw = "2^-2 * x1 * y0 - 2^-2 * y1 * x0"            pair-based STDP
    dw = "2^-4 * x1 * y0 * (w - 100) + 3 * u2"

Each product has one condition: x0 (the source fired in the epoch), y0 (the target fired) or uK (every 2^K
epochs).  Its other factors are traces x1, x2 (of the source), y1, y2, y3 (of the target), the weight w, whole
numbers, powers 2^K, sums such as (w - 100), and sgn(...) of w, a trace or such a sum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError
from snnsim.fields import integer, number, record, text
from snnsim.kernels import traces as k
from snnsim.spec import Spec

_VARIABLES = {"x1": k.X1, "x2": k.X2, "y1": k.Y1, "y2": k.Y2, "y3": k.Y3, "w": k.WEIGHT}
_TOKEN = re.compile(r"\s*(2\s*\^\s*-?\d+|sgn|[xyu]\d|w|\d+|[-+*()])")

_MOST_NUMBER, _MOST_POWER = 2**20, 63  # far beyond what seven bits of a trace ask for


@dataclass(frozen=True, eq=False, kw_only=True)
class Trace(Spec):
    """A trace of spikes: it rises at each, and decays with tau.

    x <- min(x exp(-1 / tau) + impulse, 127), whole at all times by stochastic rounding
    """

    KIND = "trace"
    impulse: float = number(low=0.0, high=127.0, help="rise at a spike")
    tau: float = number(above=0.0, high=1e9, unit="steps", help="time constant of the decay")


@dataclass(frozen=True, eq=False, kw_only=True)
class TraceRule(Spec):
    """How the weights of a dense projection change; see the top of hardware/trace_rule.py for `dw`.

    Widths are those of the chip: traces 0 to 127, weights -256 to 255 on a grid whose step is 2 where both
    signs occur.  Source: the documented learning engine of Loihi, as Lava's bit-approximate model has it.
    """

    KIND = "trace_rule"
    dw: str = text(help="change of a weight at the end of an epoch, a sum of products")
    x1: Trace | None = record(Trace, default=None, help="first trace of the source")
    x2: Trace | None = record(Trace, default=None, help="second trace of the source")
    y1: Trace | None = record(Trace, default=None, help="first trace of the target")
    y2: Trace | None = record(Trace, default=None, help="second trace of the target")
    y3: Trace | None = record(Trace, default=None, help="third trace of the target")
    epoch: int = integer(1, low=1, high=63, help="steps of an epoch")
    w_low: int = integer(0, low=-256, high=0, help="smallest weight")
    w_high: int = integer(255, low=0, high=255, help="no weight is above it")
    w_step: int = integer(1, low=1, high=128, help="step of the grid of weights")

    def check_together(self, where: str) -> None:
        self.products(f"{where}.dw")
        if self.w_low % self.w_step or self.w_low == self.w_top:
            raise ConfigError(
                "the bounds leave no grid of weights",
                where=f"{where}.w_low",
                got=f"{self.w_low} to {self.w_high} in steps of {self.w_step}",
                expected="a multiple of w_step below w_high",
            )

    @property
    def w_top(self) -> int:
        """The largest weight of the grid."""
        return self.w_high - (self.w_high - self.w_low) % self.w_step

    def products(self, where: str = "dw") -> k.Products:
        """The text, taken apart.  Raises ConfigError with the place of what is wrong."""
        found = _Parser(self.dw, where).sum_of_products()
        for product in found:
            for variable, _, _ in product.factors:
                name = next((name for name, code in _VARIABLES.items() if code == variable), "")
                if name in ("x1", "x2", "y1", "y2", "y3") and getattr(self, name) is None:
                    raise ConfigError(
                        f"dw speaks of a trace that is not there: {name}", where=where,
                        fix=f"give {name} an impulse and a tau", code="config.missing_key",
                    )  # fmt: skip
        factors = [factor for product in found for factor in product.factors]
        return k.Products(
            condition=np.array([p.condition for p in found], np.int64),
            every=np.array([p.every for p in found], np.int64),
            scale=np.array([p.scale for p in found], np.float64),
            ptr=np.cumsum([0, *(len(p.factors) for p in found)]).astype(np.int64),
            variable=np.array([f[0] for f in factors], np.int64),
            added=np.array([f[1] for f in factors], np.int64),
            sign=np.array([f[2] for f in factors], np.int64),
        )


@dataclass
class _Product:
    condition: int
    every: int
    scale: float
    factors: list[tuple[int, int, int]]  # variable, what is added, is only the sign taken


class _Parser:
    def __init__(self, words: str, where: str) -> None:
        self.words, self.where, self.at = words, where, 0
        self.tokens: list[tuple[str, int]] = []
        place = 0
        while words[place:].strip():
            match = _TOKEN.match(words, place)
            if match is None:
                raise self.fault(place + len(words[place:]) - len(words[place:].lstrip()), "a factor")
            self.tokens.append((re.sub(r"\s", "", match[1]), match.start(1)))
            place = match.end()

    def fault(self, place: int, expected: str) -> ConfigError:
        return ConfigError(
            "not a sum of products", where=f"{self.where}, character {place + 1}",
            got=self.words[place : place + 12] or "the end", expected=expected,
            fix='write it as in "2^-2 * x1 * y0 - 2^-2 * y1 * x0"',
        )  # fmt: skip

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        word = self.peek()
        if word == "" or (wanted and word not in wanted):
            place = self.tokens[self.at][1] if word else len(self.words)
            raise self.fault(place, " or ".join(wanted) or "a factor")
        self.at += 1
        return word

    def sum_of_products(self) -> list[_Product]:
        found = [self.product(-1.0 if self.peek() == "-" and self.take() else 1.0)]
        while self.peek():
            found.append(self.product(-1.0 if self.take("+", "-") == "-" else 1.0))
        return found

    def product(self, sign: float) -> _Product:
        begin = self.tokens[self.at][1] if self.peek() else len(self.words)
        found = _Product(-1, 1, sign, [])
        self.factor(found)
        while self.peek() == "*":
            self.take()
            self.factor(found)
        if abs(found.scale) > _MOST_NUMBER:
            raise self.fault(begin, f"numbers whose product is at most {_MOST_NUMBER}")
        if found.condition < 0:
            raise self.fault(begin, "a product with one of x0, y0, u0 to u9")
        return found

    def factor(self, found: _Product) -> None:
        word, place = self.take(), self.tokens[self.at - 1][1]
        if word in ("x0", "y0") or word[0] == "u":
            if found.condition >= 0:
                raise self.fault(place, "one condition in a product")
            found.condition = {"x0": k.PRE, "y0": k.POST}.get(word, k.ALWAYS)
            found.every = 2 ** int(word[1]) if word[0] == "u" else 1
        elif word.startswith("2^"):
            found.scale *= 2.0 ** self.whole(word[2:], place, _MOST_POWER)
        elif word.isdigit():
            found.scale *= self.whole(word, place)
        elif word in _VARIABLES:
            found.factors.append((_VARIABLES[word], 0, 0))
        elif word == "sgn":
            self.take("(")
            found.factors.append((*self.inside(), 1))
        elif word == "(":
            found.factors.append((*self.inside(), 0))
        else:
            raise self.fault(place, "a factor")

    def whole(self, word: str, place: int, most: int = _MOST_NUMBER) -> int:
        if abs(int(word)) > most:
            raise self.fault(place, f"a number up to {most}")
        return int(word)

    def inside(self) -> tuple[int, int]:
        """variable, or variable + number, up to the closing bracket."""
        variable, added = _VARIABLES[self.take(*_VARIABLES)], 0
        if self.peek() in ("+", "-"):
            sign = -1 if self.take() == "-" else 1
            word = self.take()
            if not word.isdigit():
                raise self.fault(self.tokens[self.at - 1][1], "a whole number")
            added = sign * self.whole(word, self.tokens[self.at - 1][1])
        self.take(")")
        return variable, added
