"""Plain-Python twin of kernels/integer.py: a neuron at a time, in Python's whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from snnsim.integer_rule import IntegerRule


def towards_zero(x: Fraction) -> int:
    return int(x)


def floor(x: Fraction) -> int:
    return x.numerator // x.denominator


def nearest_even(x: Fraction) -> int:
    return round(x)


ROUNDING = {"to_zero": towards_zero, "floor": floor, "nearest_even": nearest_even}


def sign(x: int) -> int:
    return (x > 0) - (x < 0)


def decayed(x: int, k: int, rule: IntegerRule) -> int:
    if rule.decay == "fraction":
        return ROUNDING[rule.rounding](Fraction(x * (4096 - k), 4096))
    if rule.decay == "shift":
        step = floor(Fraction(x, 2**k))
        return x - (step or sign(x))
    return x - sign(x) * min(abs(x), k)


def into_range(x: int, low: int, high: int, overflow: str) -> int:
    if overflow == "saturate":
        return min(max(x, low), high)
    while x > high:
        x -= high - low + 1
    while x < low:
        x += high - low + 1
    return x


@dataclass
class Neuron:
    """One neuron with its parameters and its state."""

    rule: IntegerRule
    threshold: int
    decay_u: tuple[int, ...]
    decay_v: int = 0
    bias: int = 0
    v_reset: int = 0
    refractory: int = 0
    v: int = 0
    u: list[int] = field(default_factory=lambda: [0, 0])
    countdown: int = 0
    overflow: int = 0
    floor: int | None = None

    def _range(self, letter: str, x: int) -> int:
        rule = self.rule
        low, high = getattr(rule, f"{letter}_low"), getattr(rule, f"{letter}_high")
        found = into_range(x, low, high, getattr(rule, f"{letter}_overflow"))
        if found != x:
            self.overflow |= {"a": 1, "u": 2, "v": 4}[letter]
        return found

    def step(self, arrived: list[int] | list[list[int]]) -> int:
        """Spikes in this step; a sum arrives at each current, or a list of what spikes add, in order."""
        rule, self.overflow, drive = self.rule, 0, 0
        for c in range(len(self.decay_u)):
            given = arrived[c] if isinstance(arrived[c], list) else [arrived[c]]
            if rule.each_spike:
                for one in given:
                    self.u[c] = self._range("u", self.u[c] + one)
                self.u[c] = decayed(self.u[c], self.decay_u[c], rule)
                drive += self.u[c]
                continue
            kept = floor(Fraction(sum(given), 2**rule.input_drop))
            a = self._range("a", floor(kept * Fraction(2) ** rule.input_shift))
            if rule.synapse == "potential":
                drive += a
                continue
            if rule.order == "input_first":
                self.u[c] = decayed(self._range("u", self.u[c] + a), self.decay_u[c], rule)
            else:
                self.u[c] = self._range("u", decayed(self.u[c], self.decay_u[c], rule) + a)
            drive += self.u[c]
        if self.countdown:
            self.countdown -= 1
            return 0
        change = decayed(self.v, self.decay_v, rule) - self.v
        if rule.limited_change:
            change = into_range(change, rule.v_low, rule.v_high, "wrap")
            change = self._range("v", self._range("v", change + drive) + self.bias)
        else:
            change += drive + self.bias
        self.v = self._range("v", self.v + change)
        spikes = self._spikes()
        if spikes:
            rest = self.v - spikes * self.threshold
            self.v = {"zero": 0, "value": self.v_reset, "subtract": rest}[rule.reset]
            self.countdown = self.refractory
        elif self.floor is not None and self.v < self.floor:
            above = self.v - self.floor if rule.reset == "subtract" else -self.v_reset
            self.v = into_range(above, rule.v_low, rule.v_high, rule.v_overflow)
        return spikes

    def _spikes(self) -> int:
        """As many as the potential pays for, `most` at most."""
        rule = self.rule

        def pays(n: int) -> bool:
            left = self.v - (n - 1) * self.threshold
            return left > self.threshold or (rule.compare == "reached" and left == self.threshold)

        return sum(1 for n in range(1, rule.most + 1) if all(pays(m) for m in range(1, n + 1)))
