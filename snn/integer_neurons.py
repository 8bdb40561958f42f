"""Neurons that compute in whole numbers, as chips do.

In an integer network weights and state are whole and have no unit: `weight_mv` stands for the weight, a step
is a millisecond.  Such networks run in batches, `Simulator(network, batch=..., dt_ms=1.0)`, with precision
float64, in which sums of whole numbers are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.distributions import Distribution, Values
from snnsim.errors import ConfigError
from snnsim.fields import choice, flag, integer, record, values
from snnsim.integer_rule import LIMIT, RULES, IntegerRule
from snnsim.layer_neurons import LayerNeuron
from snnsim.models import Delta, Synapse

__all__ = ["INTEGER_NEURONS", "RULES", "IntegerLIF", "IntegerNeuron", "IntegerRule", "SigmaDelta"]

_WHOLE = (
    "threshold", "decay_u", "decay_u2", "decay_v", "bias", "v_reset", "refractory", "v_init", "u_init",
    "floor",
    "alias",
)  # fmt: skip
_DECAYS = {"fraction": 4096, "shift": 62, "linear": LIMIT}


class _TwoInputs(Delta):
    n_currents: ClassVar[int] = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class IntegerNeuron(LayerNeuron):
    """Base of the neurons that compute in whole numbers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class IntegerLIF(IntegerNeuron):
    """Leaky integrate-and-fire in whole numbers; snn/integer_rule.py has the equations.

    decay_u, decay_v  by rule.decay: 4096ths that are lost in a step, 0 to 4096 (4096 for u: no memory);
                      bits of a shift; or an amount towards zero
    decay_u2          of a second current, for neurons with two: projections say which by `receptor`, "exc"
                      for the first, "inh" for the second
    refractory        steps in which v stands still after a spike, while currents go on
    floor             a potential below it is reset as well, without a spike
    alias             for each neuron another one of the population, which then spikes as often, beside its
                      own spikes, up to rule.most in all; -1: none.  Ascending: what an alias before has got
                      in the step is passed on, what one behind gets is not
    reset_every       state goes back to zero before the steps t with t % reset_every = reset_at; None: never
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
    floor: Values | None = values(
        None, low=-LIMIT, high=LIMIT, help="below it v is reset without a spike; without: never"
    )
    alias: Values | None = values(
        None, low=-1, high=COUNT_LIMIT, help="number of a neuron that spikes with this one, or -1"
    )

    reset_every: int | None = integer(None, low=1, high=COUNT_LIMIT, help="steps from one reset to the next")
    reset_at: int = integer(0, low=0, high=COUNT_LIMIT, help="of such an interval, the step with the reset")

    @property
    def synapse(self) -> Synapse:  # type: ignore[override]
        """One input, or two where there is a second current."""
        return Delta() if self.decay_u2 is None else _TwoInputs()

    def check_together(self, where: str) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if value is not None:
                _check_whole(value, f"{where}.{name}")
        if self.reset_at >= (self.reset_every or 1):
            raise ConfigError(
                "not a step of the interval", where=f"{where}.reset_at", got=self.reset_at,
                expected=f"below {self.reset_every}" if self.reset_every else "0 without reset_every",
            )  # fmt: skip
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
        if self.floor is not None:
            self._bound("floor", rule.v_low, rule.v_high, where)

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


@dataclass(frozen=True, eq=False, kw_only=True)
class SigmaDelta(IntegerNeuron):
    """Sigma-delta neuron: it adds up the changes that arrive, and sends on by how much its value changed.

    u <- u + a;  x = max(u + bias, 0);  d = x - v                                     a: the sum of messages
    where |d| >= threshold:  emits floor(d / 2^output_shift);  v <- x, or, with keep_remainder, v + what was
    emitted, times 2^output_shift

    part  "sigma_delta", the whole; "delta", for values from outside: u <- a 2^input_shift, x = u + bias;
          "sigma", to read a value: u <- u + a, and u is emitted in every step
    State is kept in 32 bits, where it wraps; what leaves 24 is reported as an overflow.  Probes u and v.
    Source: Lava, proc/sdn/models.py, PySigmaDeltaModelFixed (keep_remainder: ...FixedCorrected).
    """

    KIND = "sigma_delta"
    part: str = choice("sigma_delta", "delta", "sigma", default="sigma_delta", help="which part of it")
    threshold: Values = values(  # type: ignore[assignment,misc]
        0, low=0, high=2**31 - 1, help="smallest change that is sent"
    )
    bias: Values = values(0, low=-(2**31), high=2**31 - 1, help="added to the sum")
    activation: str = choice("relu", "unit", default="relu", help="of the sum; unit: none")
    input_shift: int = integer(0, low=0, high=24, help="bits that what arrives is shifted to the left")
    output_shift: int = integer(0, low=0, high=24, help="bits of state that messages do without")
    keep_remainder: bool = flag(False, help="is what these bits hold sent later")

    def check_together(self, where: str) -> None:
        for name in ("threshold", "bias"):
            _check_whole(getattr(self, name), f"{where}.{name}")


INTEGER_NEURONS: tuple[type[LayerNeuron], ...] = (IntegerLIF, SigmaDelta)
