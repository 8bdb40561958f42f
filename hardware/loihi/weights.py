"""Weights as Loihi's synapses hold them, after Lava's fixed-point processes.

    mixed       -256 ... 254, lowest bit 0        excitatory  0 ... 255        inhibitory  -255 ... 0

With `bits` of 8 the lowest 8 - bits (+ 1 with both signs) bits of a weight are 0; Lava rounds down to that
grid (the absolute weight where all are negative), Brian2Loihi towards zero, nengo-loihi to the nearest, of
two to the even one.  A network whose weights lie on the grid means the same to all of them.
Source: Lava, utils/weightutils.py and proc/dense/models.py.
"""

from __future__ import annotations

import numpy as np

from snnsim.errors import ConfigError

SIGN_MODES = ("mixed", "excitatory", "inhibitory")
WEIGHT_BITS = 8
MOST_EXPONENT = 7


def on_grid(weight: np.ndarray, bits: int = WEIGHT_BITS, sign_mode: str = "mixed") -> np.ndarray:
    """Whole weights as a synapse of so many bits keeps them: clipped to 8 bits, rounded down to the grid.

    Raises ConfigError.
    """
    given = np.asarray(weight)
    if sign_mode not in SIGN_MODES or not 1 <= bits <= WEIGHT_BITS or np.any(given != np.rint(given)):
        raise ConfigError(
            "not weights of a synapse", where="weight", got=f"{bits} bits, {sign_mode}",
            expected=f"whole weights, 1 to {WEIGHT_BITS} bits, one of {', '.join(SIGN_MODES)}",
        )  # fmt: skip
    mixed, sign = sign_mode == "mixed", -1 if sign_mode == "inhibitory" else 1
    lost = WEIGHT_BITS - bits + mixed
    low = -(2**WEIGHT_BITS) if mixed else 0
    kept = np.clip(sign * given.astype(np.int64), low, 2**WEIGHT_BITS - 1)
    return (sign * ((kept >> lost) << lost)).astype(np.float64)


def scaled(weight: np.ndarray, exponent: int) -> tuple[np.ndarray, int]:
    """(weights, input_drop of the rule) of a synapse with a weight exponent, -7 to 7.

    A negative exponent is a shift of the sum of inputs, which loses its lowest bits, and not of each weight.
    Raises ConfigError.
    """
    if not -MOST_EXPONENT <= exponent <= MOST_EXPONENT:
        raise ConfigError("not a weight exponent", where="exponent", got=exponent, expected="-7 to 7")
    return np.asarray(weight, np.float64) * 2.0 ** max(exponent, 0), max(-exponent, 0)
