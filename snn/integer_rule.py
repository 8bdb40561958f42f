"""How a chip computes: rounding, overflow, comparison, reset and order of one integer neuron.

Every integer neuron takes the same step (kernels/integer.py has it in code), and a rule says which variant of
each part a chip has.  With a the sum of what arrives and d(x, k) the decay:

    a <- range_a(floor(a / 2^input_drop) 2^input_shift)
    u <- range_u(d(u, decay_u) + a)           order "decay_first";  d(range_u(u + a)) with "input_first",
                                              where the range can be kept after `each_spike` that arrives
    z  = u, or a where there is no current;   the sum of both currents, where there are two
    v <- range_v(d(v, decay_v) + z + bias)
    n  = 1 where v > threshold ("above"), or v >= threshold ("reached");  up to `most` while it stays so
    v <- 0, v_reset, or v - n threshold       where n > 0; then v stands still for `refractory` steps
    v <- -v_reset, or v - floor               where n = 0 and v < floor, with reset "value" or "subtract"

    d(x, k)  "fraction"  x (4096 - k) / 4096, rounded
             "shift"     x - (x >> k), or x - sign(x) where x >> k is 0
             "linear"    x - sign(x) min(|x|, k)
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from snnsim.errors import ConfigError
from snnsim.fields import choice, flag, integer
from snnsim.spec import Spec

LIMIT = 2**48  # a state times 4096 must stay below 2**63
_OVERFLOW = ("wrap", "saturate")


@dataclass(frozen=True, eq=False, kw_only=True)
class IntegerRule(Spec):
    """One variant of the integer neuron; see the equations above.

    A value that leaves its range comes back by a multiple of the width of the range ("wrap"), or stays at the
    nearer end ("saturate").
    """

    KIND = "integer_rule"
    decay: str = choice("fraction", "shift", "linear", default="fraction", help="how state decays")
    rounding: str = choice(
        "to_zero", "floor", "nearest_even", default="to_zero", help="of the product of a fraction"
    )
    synapse: str = choice(
        "current", "potential", default="potential", help="does input add to a current, or to v at once"
    )
    order: str = choice(
        "decay_first", "input_first", default="decay_first", help="does a current decay before its input"
    )
    input_shift: int = integer(0, low=-32, high=8, help="bits that the sum of inputs is shifted to the left")
    input_drop: int = integer(0, low=0, high=32, help="lowest bits of the sum of inputs that are lost first")
    a_low: int = integer(-LIMIT, low=-LIMIT, high=0, help="smallest input, shifted")
    a_high: int = integer(LIMIT, low=0, high=LIMIT, help="largest input, shifted")
    a_overflow: str = choice(*_OVERFLOW, default="saturate", help="of the input")
    u_low: int = integer(-LIMIT, low=-LIMIT, high=0, help="smallest current")
    u_high: int = integer(LIMIT, low=0, high=LIMIT, help="largest current")
    u_overflow: str = choice(*_OVERFLOW, default="saturate", help="of the current")
    v_low: int = integer(-LIMIT, low=-LIMIT, high=0, help="smallest potential")
    v_high: int = integer(LIMIT, low=0, high=LIMIT, help="largest potential")
    v_overflow: str = choice(*_OVERFLOW, default="saturate", help="of the potential")
    each_spike: bool = flag(
        False, help="is a current brought into its range after each spike, in their order, and not after all"
    )
    limited_change: bool = flag(
        False, help="is the change of v brought into the range of v, without the bias and then with it"
    )
    compare: str = choice("above", "reached", default="reached", help="a spike where v > or >= threshold")
    reset: str = choice("zero", "subtract", "value", default="zero", help="what v becomes after a spike")
    most: int = integer(1, low=1, high=2**15, help="spikes of a neuron in a step, at most")

    def check_together(self, where: str) -> None:
        if self.most > 1 and self.reset != "subtract":
            raise ConfigError(
                "several spikes in a step each take the threshold off",
                where=f"{where}.most", got=self.most, expected='1, or reset = "subtract"',
            )  # fmt: skip
        limits = (self.a_low, self.a_high, self.input_shift)
        if self.each_spike and (
            (self.synapse, self.order, self.u_overflow) != ("current", "input_first", "saturate")
            or limits != (-LIMIT, LIMIT, 0)
        ):
            raise ConfigError(
                "spike by spike, only a current that saturates before it decays is kept in its range",
                where=f"{where}.each_spike", got=True,
                expected='synapse = "current", order = "input_first", u_overflow = "saturate", no shift',
            )  # fmt: skip


_LOIHI: dict[str, Any] = {
    "decay": "fraction", "rounding": "to_zero", "synapse": "current", "input_shift": 6,
    "u_low": 1 - 2**23, "u_high": 2**23, "u_overflow": "wrap",
    "v_low": 1 - 2**23, "v_high": 2**23 - 1, "v_overflow": "saturate",
    "compare": "above", "reset": "zero",
}  # fmt: skip

RULES = MappingProxyType({
    # As Lava's bit-accurate processes compute, and as two traces of chips agree with.
    "loihi2": IntegerRule(**_LOIHI),
    # The same with an accumulator of 21 bits and a sign in front, which wraps.  Source: nengo-loihi.
    "loihi1": IntegerRule(**_LOIHI, a_low=-(2**21), a_high=2**21 - 1, a_overflow="wrap"),
    # Source: xylosim, of the makers of the chip.
    "xylo": IntegerRule(
        decay="shift", synapse="current", order="input_first", u_low=-(2**15), u_high=2**15 - 1,
        v_low=-(2**15), v_high=2**15 - 1, each_spike=True, limited_change=True, compare="reached",
        reset="subtract", most=31,
    ),
    # Source: the published RTL of RANC: 9 bits with a sign; the leak is the bias.
    "ranc": IntegerRule(
        v_low=-(2**8), v_high=2**8 - 1, v_overflow="wrap", compare="reached", reset="value",
    ),
    # Weights of 8 (16) bits on state of 16 (32): what microcontrollers and FPGAs do without effort.
    "generic-int8": IntegerRule(v_low=-(2**15), v_high=2**15 - 1, compare="reached", reset="subtract"),
    "generic-int16": IntegerRule(v_low=-(2**31), v_high=2**31 - 1, compare="reached", reset="subtract"),
})  # fmt: skip
