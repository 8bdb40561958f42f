"""The integer rule: one step of neurons that compute in whole numbers, as chips do.

Which variant of each part a chip has is data, not code: snn/integer_rule.py says what the parts mean.
Sums of inputs come as float64 below 2**53, where whole numbers are exact; all else is int64.
Twin: tests/oracle_integer.py.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

FRACTION, SHIFT, LINEAR = range(3)  # how state decays
TO_ZERO, FLOOR, NEAREST_EVEN = range(3)
ZERO, SUBTRACT, VALUE = range(3)  # what v becomes after a spike
(
    DECAY, ROUNDING, HAS_CURRENT, INPUT_FIRST, INPUT_SHIFT, A_LOW, A_HIGH, A_WRAPS, U_LOW, U_HIGH, U_WRAPS,
    V_LOW, V_HIGH, V_WRAPS, LIMITED_CHANGE, COMPARE_ABOVE, RESET, MOST, N_CURRENTS, INPUT_DROP, RESET_EVERY,
    RESET_AT, PART, OUTPUT_BITS, RELU, KEEPS, EACH_SPIKE, ALIASED, N_RULE,
) = range(29)  # fmt: skip
FIRES, WHOLE, DELTA, SIGMA = range(4)  # PART: a neuron that fires, or which part of a sigma-delta neuron
(
    THRESHOLD, DECAY_U, DECAY_U2, DECAY_V, BIAS, V_RESET, REFRACTORY, LEAST, ALIAS, N_VALUES,
) = range(10)  # fmt: skip
U, U2, COUNTDOWN, OVERFLOW, ALIAS_SPIKES, N_STATE = range(6)
LEFT_A, LEFT_U, LEFT_V = 1, 2, 4  # which of them left its range, in OVERFLOW


class Integers(NamedTuple):
    """Integer neurons.  Networks without pass None, and their kernels are not even compiled."""

    first: np.ndarray  # int64[n_p]  first integer neuron of each population
    rule: np.ndarray  # int64[n_p, N_RULE]
    value: np.ndarray  # int64[N_VALUES, n_integers]
    start: np.ndarray  # int64[N_STATE, n_integers]


@njit(cache=True, nogil=True, error_model="numpy")
def decayed(x, k, kind, rounding):
    """What is left of x after a step."""
    if kind == FRACTION:
        product = abs(x) * (4096 - k)
        if rounding == TO_ZERO:
            left = product >> 12
            return left if x >= 0 else -left
        if rounding == FLOOR:
            return (x * (4096 - k)) >> 12
        rest, left = product & 4095, product >> 12
        if rest > 2048 or (rest == 2048 and (left & 1) == 1):
            left += 1
        return left if x >= 0 else -left
    if kind == SHIFT:
        step = x >> k
        if step == 0:
            step = np.int64(x > 0) - np.int64(x < 0)
        return x - step
    if x >= 0:
        return max(x - k, np.int64(0))
    return min(x + k, np.int64(0))


@njit(cache=True, nogil=True, error_model="numpy")
def into_range(x, low, high, wraps):
    """x where it lies within low..high; else what the chip makes of it."""
    if low <= x <= high:
        return x
    if wraps:
        return low + (x - low) % (high - low + 1)
    return low if x < low else high


@njit(cache=True, nogil=True, error_model="numpy")
def reset_at_intervals(t, potential, state, rule):
    """Every so many steps the state of a population goes back to zero, before the step."""
    if rule[RESET_EVERY] > 0 and t % rule[RESET_EVERY] == rule[RESET_AT]:
        potential[:] = 0
        state[:] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def fire_integer(potential, state, arrived, value, rule, count, unit, amount):
    """One step of a population; returns the number of its events.

    potential     float64[n]             changed  whole
    state         int64[N_STATE, n]      changed
    arrived       float64[1 or 2, n]     sums of inputs, whole; with EACH_SPIKE, currents after them
                  (limit_each)
    value         int64[N_VALUES, n]     parameters
    rule          int64[N_RULE]
    count         int32[n]               changed  spikes so far
    unit, amount  int32[n], float64[n]   written: the events, ascending
    """
    for k in range(potential.size):
        drive = advance_currents(k, state, arrived, value, rule)
        spikes = state[ALIAS_SPIKES, k]
        if state[COUNTDOWN, k] > 0:
            state[COUNTDOWN, k] -= 1
        else:
            spikes += advance_potential(k, drive, rule[MOST] - spikes, potential, state, value, rule)
        state[ALIAS_SPIKES, k] = spikes
        if rule[ALIASED] and spikes > 0 and value[ALIAS, k] >= 0:
            other = value[ALIAS, k]
            state[ALIAS_SPIKES, other] = min(state[ALIAS_SPIKES, other] + spikes, rule[MOST])
    n_events = 0
    for k in range(potential.size):
        spikes = state[ALIAS_SPIKES, k]
        if spikes > 0:
            state[ALIAS_SPIKES, k] = 0
            count[k] += np.int32(spikes)
            unit[n_events] = k
            amount[n_events] = spikes
            n_events += 1
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def advance_currents(k, state, arrived, value, rule):
    """The currents of neuron k take what arrived; returns what they add to the potential."""
    left, drive = state[OVERFLOW, k] if rule[EACH_SPIKE] else np.int64(0), np.int64(0)
    shift = rule[INPUT_SHIFT]
    for c in range(rule[N_CURRENTS]):
        a = np.int64(arrived[c, k])
        decay = value[DECAY_U + c, k]
        if rule[EACH_SPIKE]:
            u = decayed(a, decay, rule[DECAY], rule[ROUNDING])
            state[U + c, k] = u
            drive += u
            continue
        a >>= rule[INPUT_DROP]
        a = a << shift if shift >= 0 else a >> -shift
        held = into_range(a, rule[A_LOW], rule[A_HIGH], rule[A_WRAPS])
        left |= LEFT_A * (held != a)
        if not rule[HAS_CURRENT]:
            drive += held
            continue
        u = state[U + c, k]
        summed = (u if rule[INPUT_FIRST] else decayed(u, decay, rule[DECAY], rule[ROUNDING])) + held
        u = into_range(summed, rule[U_LOW], rule[U_HIGH], rule[U_WRAPS])
        left |= LEFT_U * (u != summed)
        if rule[INPUT_FIRST]:
            u = decayed(u, decay, rule[DECAY], rule[ROUNDING])
        state[U + c, k] = u
        drive += u
    state[OVERFLOW, k] = left
    return drive


@njit(cache=True, nogil=True, error_model="numpy")
def advance_potential(k, drive, most, potential, state, value, rule):
    """The potential of neuron k, and its reset; returns its spikes, up to `most`."""
    low, high, wraps = rule[V_LOW], rule[V_HIGH], rule[V_WRAPS]
    v, left = np.int64(potential[k]), np.int64(0)
    change = decayed(v, value[DECAY_V, k], rule[DECAY], rule[ROUNDING]) - v
    if rule[LIMITED_CHANGE]:
        summed = into_range(change, low, high, True) + drive
        change = into_range(summed, low, high, wraps)
        left |= LEFT_V * (change != summed)
        summed = change + value[BIAS, k]
        change = into_range(summed, low, high, wraps)
        left |= LEFT_V * (change != summed)
    else:
        change += drive + value[BIAS, k]
    summed = v + change
    v = into_range(summed, low, high, wraps)
    left |= LEFT_V * (v != summed)
    state[OVERFLOW, k] |= left
    threshold, subtract, spikes, rest = value[THRESHOLD, k], rule[RESET] == SUBTRACT, 0, v
    while spikes < most and (rest > threshold or (rest == threshold and not rule[COMPARE_ABOVE])):
        spikes += 1
        rest -= threshold
        if not subtract:
            break
    if spikes > 0:
        v = rest if subtract else value[V_RESET, k]
        state[COUNTDOWN, k] = value[REFRACTORY, k]
    elif v < value[LEAST, k]:
        v = into_range(v - value[LEAST, k] if subtract else -value[V_RESET, k], low, high, wraps)
    potential[k] = v
    return spikes


@njit(cache=True, nogil=True, error_model="numpy")
def limit_each(current, overflow, rule):
    """After one spike has been added to the currents: back into their range, with notes of which left it."""
    for k in range(current.size):
        held = min(max(current[k], np.float64(rule[U_LOW])), np.float64(rule[U_HIGH]))
        if held != current[k]:
            current[k] = held
            overflow[k] |= LEFT_U
