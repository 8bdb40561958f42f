"""Sigma-delta neurons in whole numbers: they add up changes, and send on by how much their value changed.

snn/integer_neurons.py has the equations.  Twin: tests/oracle_sigma_delta.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.integer import (
    BIAS,
    DELTA,
    INPUT_SHIFT,
    KEEPS,
    LEFT_U,
    LEFT_V,
    OUTPUT_BITS,
    OVERFLOW,
    PART,
    RELU,
    SIGMA,
    THRESHOLD,
    U,
)


@njit(cache=True, nogil=True, error_model="numpy")
def fire_sigma_delta(potential, state, arrived, value, rule, count, unit, amount):
    """One step of a population; returns the number of its events.  Arguments as for `fire_integer`.

    potential  what was sent so far;  state[U]  the sum of what arrived
    """
    n_events = 0
    part, bits = rule[PART], rule[OUTPUT_BITS]
    limit = np.int64(1) << 23
    for k in range(potential.size):
        a = np.int64(arrived[0, k]) << rule[INPUT_SHIFT]
        u = wrapped(a if part == DELTA else state[U, k] + a)
        state[U, k] = u
        x = wrapped(u + value[BIAS, k])
        if rule[RELU] and x < 0:
            x = np.int64(0)
        left = LEFT_U * (u < -limit or u >= limit) + LEFT_V * (x < -limit or x >= limit)
        state[OVERFLOW, k] = left
        sent = np.int64(potential[k])
        change = wrapped(x - sent)
        message = np.int64(0)
        if part == SIGMA:
            message = u
        elif abs(change) >= value[THRESHOLD, k]:
            message = change >> bits
            potential[k] = wrapped(sent + (message << bits)) if rule[KEEPS] else x
        if message != 0:
            count[k] += np.int32(1)
            unit[n_events] = k
            amount[n_events] = message
            n_events += 1
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def wrapped(x):
    """x as 32 bits hold it."""
    half = np.int64(1) << 31
    return ((x + half) & (2 * half - 1)) - half
