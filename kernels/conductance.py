"""Integrate-and-fire neurons with conductances: one step, exponential Euler.

For every neuron, with u = v - v_rest, arrivals a_c of this step (c = exc, inh) and conductances that
stand still while the potential advances:

    g_c   <- g_c + a_c
    x     =  LEAK + GAIN (g_exc + g_inh)                        LEAK = dt / tau_m, GAIN = dt / c_m
    y     =  DRIVE + P_VC[exc] g_exc + P_VC[inh] g_inh          P_VC[c] = GAIN (E_c - v_rest)
    u     <- u + (y - x u) (1 - exp(-x)) / x  unless refractory
    g_c   <- g_c P_CC[c]
    spike    u >= THRESHOLD (+ theta), unless refractory; then u <- RESET, or RESET + (u - threshold)

In the notation of du/dt = A + B u: x = -B dt, y = A dt, and u <- -A / B + (u + A / B) exp(B dt).
A parameter is a number where a population shares it and an array elsewhere, which `at` reads alike: with
numbers the loop takes a third less time.  The exponential is our own, so that the loop becomes vector
instructions and no library decides its last bit: plain operations in the order written.
Source of the integrator: MacGregor 1987, Brian2's `exponential_euler`.  Twin: tests/oracle.py.
"""

import numpy as np
from numba import float32, njit
from numba.extending import overload

from snnsim.kernels.neurons import P_LEAK, P_V0, at

LEAK, GAIN = P_LEAK, P_V0  # the rows whose first order in dt these are
LEAST_LEAK = 1e-20  # of a cell without leak: too little to act, and x is never 0

# exp(-x) = 2**-k exp(-r) with x = k ln 2 + r, |r| <= ln(2) / 2.  LN2_HIGH has so few bits that k LN2_HIGH
# is exact; adding ROUND leaves k in the last bits of the sum.  Beyond FAR, 1 - exp(-x) rounds to 1.
FAR, TWO, ONE = 64.0, 2.0, 1.0
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND, ROUND_BITS, BIAS, SHIFT = 1.5 * 2.0**52, 0x4338000000000000, 1023, 52
# r coth(r / 2) = 2 + C2 r**2 + C4 r**4 + ...: what is left out is below 1e-17 of it, 2e-10 in float32.
C2, C4, C6, C8 = 1 / 6, -1 / 360, 1 / 15120, -1 / 604800
C10, C12 = 1 / 23950080, -691 / 653837184000

FAR_32, TWO_32, ONE_32 = np.float32(FAR), np.float32(TWO), np.float32(ONE)
LOG2_E_32, LN2_HIGH_32, LN2_LOW_32 = np.float32(LOG2_E), np.float32(0.693359375), np.float32(-2.12194440e-4)
ROUND_32, ROUND_BITS_32 = np.float32(1.5 * 2.0**23), np.int32(0x4B400000)
BIAS_32, SHIFT_32 = np.int32(127), np.int32(23)
C2_32, C4_32, C6_32 = np.float32(C2), np.float32(C4), np.float32(C6)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def approach64(x):
    """(part, whole) with part / whole = 1 - exp(-x) for x >= 0 in float64, relative error below 5e-16.

    1 - exp(-r) = 2 r / (r + r coth(r / 2))
    A fraction, because the caller has to divide anyway.
    """
    x = x if x < FAR else FAR
    shifted = x * LOG2_E + ROUND
    k = shifted - ROUND
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    r2 = r * r
    whole = (TWO + r2 * (C2 + r2 * (C4 + r2 * (C6 + r2 * (C8 + r2 * (C10 + r2 * C12)))))) + r
    bits = (BIAS - (np.float64(shifted).view(np.int64) - ROUND_BITS)) << SHIFT
    scale = np.int64(bits).view(np.float64)  # 2**-k
    return (ONE - scale) * whole + scale * (r + r), whole


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def approach32(x):
    """The same in float32, relative error below 2e-7."""
    x = x if x < FAR_32 else FAR_32
    shifted = x * LOG2_E_32 + ROUND_32
    k = shifted - ROUND_32
    r = (x - k * LN2_HIGH_32) - k * LN2_LOW_32
    r2 = r * r
    whole = (TWO_32 + r2 * (C2_32 + r2 * (C4_32 + r2 * C6_32))) + r
    power = np.int32(BIAS_32 - np.int32(np.float32(shifted).view(np.int32) - ROUND_BITS_32))
    scale = np.int32(power << SHIFT_32).view(np.float32)
    return (ONE_32 - scale) * whole + scale * (r + r), whole


def approach(x):
    """(part, whole): which part of the way to where it would rest the potential covers in this step."""
    return approach32(x) if isinstance(x, np.float32) else approach64(x)


@overload(approach, inline="always")
def _approach(x):
    if x == float32:
        return lambda x: approach32(x)
    return lambda x: approach64(x)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def update_conductance(
    potential, refractory, g_exc, g_inh, arrived_exc, arrived_inh, spiked,
    leak, gain, drive, v_exc, c_exc, v_inh, c_inh, threshold,
):  # fmt: skip
    """Receive, integrate, and test the threshold; returns the number of spikes.

    potential      F[n]      changed  mV, relative to rest
    refractory     int32[n]  changed  steps left, one less
    g_exc, g_inh   F[n]      changed  nS
    arrived_*      F[n]      changed  nS    set to zero; None where it has been added to g_exc, g_inh
    spiked         uint8[n]  written  1 where the threshold was reached; `neurons.reset` does the rest
    leak ...       F or F[n]          see the top of this file
    """
    zero = potential.dtype.type(0)
    total = np.int32(0)
    for k in range(potential.size):
        exc, inh = g_exc[k], g_inh[k]
        if arrived_exc is not None:
            exc += arrived_exc[k]
            inh += arrived_inh[k]
            arrived_exc[k] = zero
            arrived_inh[k] = zero
        x = at(leak, k) + at(gain, k) * (exc + inh)
        y = at(drive, k) + (at(v_exc, k) * exc + at(v_inh, k) * inh)
        before, held = potential[k], refractory[k] > 0
        part, whole = approach(x)
        after = before + (y - x * before) * part / (x * whole)
        potential[k] = before if held else after
        fires = np.uint8(after >= at(threshold, k)) & np.uint8(not held)
        spiked[k] = fires
        total = np.int32(total + np.int32(fires))
        refractory[k] = max(refractory[k] - np.int32(1), np.int32(0))
        g_exc[k] = at(c_exc, k) * exc
        g_inh[k] = at(c_inh, k) * inh
    return total
