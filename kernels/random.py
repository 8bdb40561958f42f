"""Counter-based random numbers: the value depends on its key and counter, never on who asks first.

    key = stream_key(seed, stream)            one per purpose (a stimulus, a projection, ...)
    key = subkey(key, step)                   one per step or per row
    u   = uniform01(key, counter)             one per neuron or per synapse

The mixing function is the 64-bit finaliser of SplitMix64 (Steele, Lea & Flood 2014, variant 13 of
Stafford), which passes BigCrush when fed with a counter times the golden-ratio constant.
"""

import numpy as np
from numba import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MUL_1 = np.uint64(0xBF58476D1CE4E5B9)
_MUL_2 = np.uint64(0x94D049BB133111EB)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S11 = np.uint64(11)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@njit(cache=True, nogil=True, error_model="numpy")
def mix64(x):
    """Spread the bits of a uint64; a bijection.  Source: Stafford's variant 13."""
    x = (x ^ (x >> _S30)) * _MUL_1
    x = (x ^ (x >> _S27)) * _MUL_2
    return x ^ (x >> _S31)


@njit(cache=True, nogil=True, error_model="numpy")
def subkey(key, counter):
    """The key of the sub-stream `counter` (any integer >= 0) of `key`."""
    return mix64(key + (np.uint64(counter) + np.uint64(1)) * GOLDEN)


@njit(cache=True, nogil=True, error_model="numpy")
def stream_key(seed, stream):
    """The key of one purpose: `seed` is the user's, `stream` names the purpose (both uint64)."""
    return subkey(mix64(np.uint64(seed) + GOLDEN), stream)


@njit(cache=True, nogil=True, error_model="numpy")
def uniform01(key, counter):
    """float64 in [0, 1), 53 random bits, for `counter` >= 0."""
    return np.float64(subkey(key, counter) >> _S11) * _TO_UNIT
