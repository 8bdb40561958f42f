"""What numbers a target takes: the grid of its weights, the steps and ranges of thresholds and biases.

How it computes with them is its rule (snn/integer_rule.py); how many of them fit is a matter of limits.
A weight is counted in units of the least bit that a weight of full width has; thresholds, biases and starts
are stored in units of 2**input_shift of the rule, which is what a weight of one adds to a potential.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from snnsim.errors import TargetError, nearest
from snnsim.integer_rule import RULES, IntegerRule


@dataclass(frozen=True)
class WeightGrid:
    """Whole weights low, low + step, ..., high."""

    step: int
    low: int
    high: int

    def nearest(self, weight: np.ndarray) -> np.ndarray:
        """float64: the weights of the grid next to these, ties to the even multiple of the step."""
        found = np.rint(np.asarray(weight, np.float64) / self.step) * self.step
        return np.asarray(np.clip(found, self.low, self.high) + 0.0)

    def holds(self, weight: np.ndarray) -> bool:
        """Do all weights lie on the grid."""
        return bool(np.array_equal(self.nearest(weight), weight))

    def room(self, low: float, high: float) -> float:
        """The largest factor with which weights from low to high still lie within the grid."""
        factors = [self.high / high if high > 0 else np.inf, self.low / low if low < 0 else np.inf]
        return float(min(factors))


@dataclass(frozen=True)
class NumberFormat:
    """The numbers of one target.

    weight_bits        widths that a weight can have
    full_bits          the largest of them, in whose least bit weights are counted
    sign_modes         weights of both signs lose a bit of resolution, those of one sign none (the even grid)
    aligned            narrower weights are the upper bits of full ones (Loihi), not small numbers
    threshold_most     in stored units
    bias_most          largest absolute bias in stored units; 0: there is none
    by_neuron          each neuron may have a threshold of its own; else all of a layer share one
    starts             neurons may start from another potential than 0
    largest_input      largest amount of an input event: 1 for plain spikes
    resets             what a spike may do to the potential: "zero", "subtract"
    most               spikes of a neuron in a step, at most
    source             where these facts come from
    """

    name: str
    rule: IntegerRule
    weight_bits: tuple[int, ...]
    threshold_most: int
    bias_most: int
    by_neuron: bool
    starts: bool
    largest_input: int
    source: str
    sign_modes: bool = False
    aligned: bool = False
    resets: tuple[str, ...] = ("zero",)
    most: int = 1

    @property
    def full_bits(self) -> int:
        return max(self.weight_bits)

    @property
    def unit(self) -> int:
        """By how much a weight of one moves a potential."""
        return int(2 ** max(self.rule.input_shift, 0))

    def grid(self, bits: int, low: float = -1.0, high: float = 1.0) -> WeightGrid:
        """The grid of weights whose signs are those of low and high.

        Raises TargetError for a width that the target does not have.
        """
        if bits not in self.weight_bits:
            raise TargetError(
                "the target has no weights of this width", where=f"target {self.name}: bits", got=bits,
                expected=", ".join(map(str, self.weight_bits)), code="target.weight_bits",
                fix=f"take {min(self.weight_bits, key=lambda one: abs(one - bits))} bits",
            )  # fmt: skip
        full = 2**self.full_bits
        step = 2 ** (self.full_bits - bits) if self.aligned else 1
        if self.sign_modes:
            if low < 0 < high:
                return WeightGrid(2 * step, -full, full - 2 * step)
            return WeightGrid(step, 0, full - step) if low >= 0 else WeightGrid(step, step - full, 0)
        if self.aligned:
            return WeightGrid(step, -full // 2, full // 2 - step)
        return WeightGrid(1, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


_LOIHI = NumberFormat(
    name="loihi2", rule=RULES["loihi2"], weight_bits=(1, 2, 3, 4, 5, 6, 7, 8), sign_modes=True, aligned=True,
    threshold_most=2**17 - 1, bias_most=2**12 - 1, by_neuron=False, starts=False, largest_input=2**23 - 1,
    source="Lava's fixed-point processes: threshold of 17 bits, bias of 13 with its sign, even weights",
)  # fmt: skip
_GENERIC = NumberFormat(
    name="generic-int8", rule=RULES["generic-int8"], weight_bits=(1, 2, 3, 4, 5, 6, 7, 8),
    threshold_most=2**15 - 1, bias_most=2**15 - 1, by_neuron=True, starts=True, largest_input=255,
    resets=("subtract", "zero"), most=2**15, source="a choice of ours: weights of 8 bits, state of 16",
)  # fmt: skip

FORMATS = MappingProxyType({
    "loihi2": _LOIHI,
    "loihi1": replace(
        _LOIHI, name="loihi1", rule=RULES["loihi1"], weight_bits=(1, 2, 3, 4, 5, 6, 8), largest_input=1,
        source="nengo-loihi: WEIGHT_BITS_MAP, no graded spikes",
    ),
    "xylo": NumberFormat(
        name="xylo", rule=RULES["xylo"], weight_bits=(1, 2, 3, 4, 5, 6, 7, 8), threshold_most=2**15 - 1,
        bias_most=2**15 - 1, by_neuron=True, starts=False, largest_input=15, resets=("subtract",), most=31,
        source="rockpool and xylosim: 8-bit weights, 16-bit state, up to 15 spikes of an input in a step",
    ),
    "generic-int8": _GENERIC,
    "generic-int16": replace(
        _GENERIC, name="generic-int16", rule=RULES["generic-int16"], weight_bits=tuple(range(1, 17)),
        threshold_most=2**31 - 1, bias_most=2**31 - 1, largest_input=2**16 - 1,
        source="a choice of ours: weights of 16 bits, state of 32",
    ),
})  # fmt: skip


def number_format(target: str) -> NumberFormat:
    """The numbers of a target by its name.  Raises TargetError."""
    if target not in FORMATS:
        raise TargetError(
            "no numbers are known of this target", where="target", got=target,
            expected=", ".join(FORMATS), fix=nearest(target, FORMATS), code="target.unknown",
        )  # fmt: skip
    return FORMATS[target]
