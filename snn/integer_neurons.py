"""Neurons that compute in whole numbers, as chips do.

In an integer network weights and state are whole and have no unit: `weight_mv` stands for the weight, a step
is a millisecond.  Such networks run in batches, `Simulator(network, batch=..., dt_ms=1.0)`, with precision
float64, in which sums of whole numbers are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from snnsim.distributions import Distribution, Values
from snnsim.errors import ConfigError
from snnsim.fields import record, values
from snnsim.integer_rule import LIMIT, RULES, IntegerRule
from snnsim.layer_neurons import LayerNeuron
from snnsim.models import Delta, Synapse

__all__ = ["INTEGER_NEURONS", "RULES", "IntegerLIF", "IntegerRule"]

_WHOLE = ("threshold", "decay_u", "decay_u2", "decay_v", "bias", "v_reset", "refractory", "v_init", "u_init")
_DECAYS = {"fraction": 4096, "shift": 62, "linear": LIMIT}


class _TwoInputs(Delta):
    n_currents: ClassVar[int] = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class IntegerLIF(LayerNeuron):
    """Leaky integrate-and-fire in whole numbers; snn/integer_rule.py has the equations.

    decay_u, decay_v  by rule.decay: 4096ths that are lost in a step, 0 to 4096 (4096 for u: no memory);
                      bits of a shift; or an amount towards zero
    decay_u2          of a second current, for neurons with two: projections say which by `receptor`, "exc"
                      for the first, "inh" for the second
    refractory        steps in which v stands still after a spike, while currents go on
    """

    KIND = "integer_lif"
    rule: IntegerRule = record(IntegerRule, help="how the chip computes")
    threshold: Values = values(low=-LIMIT, high=LIMIT, help="threshold")  # type: ignore[assignment,misc]
    decay_u: Values = values(0, low=0, high=LIMIT, help="decay of the current")
    decay_u2: Values | None = values(None, low=0, high=LIMIT, help="decay of a second current")
    decay_v: Values = values(0, low=0, high=LIMIT, help="decay of the potential")
    bias: Values = values(0, low=-LIMIT, high=LIMIT, help="added to the potential in each step")
    v_reset: Values = values(0, low=-LIMIT, high=LIMIT, help="potential after a spike (reset = value)")
    refractory: Values = values(0, low=0, high=2**31 - 1, help="steps without a change of v after a spike")
    v_init: Values = values(0, low=-LIMIT, high=LIMIT, help="potential at the start")
    u_init: Values = values(0, low=-LIMIT, high=LIMIT, help="current at the start")

    @property
    def synapse(self) -> Synapse:  # type: ignore[override]
        """One input, or two where there is a second current."""
        return Delta() if self.decay_u2 is None else _TwoInputs()

    def check_together(self, where: str) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if value is not None:
                _check_whole(value, f"{where}.{name}")
        rule = self.rule
        self._bound("v_init", rule.v_low, rule.v_high, where)
        self._bound("v_reset", rule.v_low, rule.v_high, where)
        self._bound("u_init", rule.u_low, rule.u_high, where)
        self._bound("threshold", 1 if rule.reset == "subtract" else rule.v_low, rule.v_high, where)
        decays = ["decay_v"]
        if rule.synapse == "current":
            decays += ["decay_u"] if self.decay_u2 is None else ["decay_u", "decay_u2"]
        elif np.any(np.asarray(self.decay_u)) or self.decay_u2 is not None or np.any(np.asarray(self.u_init)):
            raise ConfigError(
                "this rule has no current", where=f"{where}.decay_u",
                expected="0, and no decay_u2 and u_init",
                fix='leave them out, or take a rule with synapse = "current"',
            )  # fmt: skip
        for name in decays:
            self._bound(name, 0, _DECAYS[rule.decay], where)

    def _bound(self, name: str, low: int, high: int, where: str) -> None:
        found = np.asarray(getattr(self, name))
        wrong = found[(found < low) | (found > high)]
        if wrong.size:
            raise ConfigError(
                "outside of what the rule allows", where=f"{where}.{name}", got=wrong.flat[0],
                expected=f"{low} to {high}",
            )  # fmt: skip


def _check_whole(value: Any, where: str) -> None:
    if isinstance(value, Distribution):
        raise ConfigError(
            "whole numbers are given, not drawn",
            where=where,
            got=value.KIND,
            expected="a number, or one each",
        )
    found = np.asarray(value, np.float64)
    wrong = found[found != np.rint(found)]
    if wrong.size:
        raise ConfigError(
            "not a whole number", where=where, got=float(wrong.flat[0]),
            fix="quantise the network first", code="config.not_whole",
        )  # fmt: skip


INTEGER_NEURONS: tuple[type[LayerNeuron], ...] = (IntegerLIF,)
