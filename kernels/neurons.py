"""Integrate-and-fire neurons: one step, exact integration.

For every neuron, with u = v - v_rest and arrivals a_c of this step (c = exc, inh):

    i_c   <- i_c + a_c
    u     <- u + u P_LEAK + DRIVE + sum_c P_VC[c] i_c  unless refractory;  P_LEAK = P_VV - 1
    i_c   <- i_c P_CC[c]
    theta <- theta P_THETA
    spike    u >= THRESHOLD + theta, unless refractory; then u <- RESET, or RESET + (u - threshold)

A delta synapse is a current without memory: P_VC = P_VV, P_CC = 0.
What rounding takes from u is carried to the next step (Kahan 1965): steps far smaller than u add up
without loss, so that the error does not grow with the number of steps.
Parameters are scalars where a population shares them, and arrays where they differ or change: one source of
the loop, compiled for both (`at`).  With scalars the compiler turns everything into vector instructions
that touch nothing but the state.
Source of the propagators: Rotter & Diesmann 1999.  Twin: tests/oracle.py.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from snnsim.kernels.lanes import flags_64, lowest_bit

CHUNK = 2048  # neurons at a time: working memory of this size stays in the first-level cache

P_LEAK, DRIVE, P_V0, P_VC, P_CC, THRESHOLD, RESET, P_THETA, THETA_PLUS = 0, 1, 2, 3, 5, 7, 8, 9, 10
N_ROWS = 11  # P_VC and P_CC take two rows each: exc, inh


def at(parameter, k):
    """parameter[k] of an array, and a scalar as it is."""
    return parameter[k] if isinstance(parameter, np.ndarray) else parameter


@overload(at, inline="always")
def _at(parameter, k):
    if isinstance(parameter, types.Array):
        return lambda parameter, k: parameter[k]
    return lambda parameter, k: parameter


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def update(
    potential, carry, refractory, exc, inh, arrived_exc, arrived_inh, spiked,
    p_leak, drive, p_v_exc, p_c_exc, p_v_inh, p_c_inh, threshold,
):  # fmt: skip
    """One step of n neurons up to the threshold test; returns the number of spikes.

    potential                 F[n]      changed  mV, relative to rest
    carry                     F[n]      changed  mV, what rounding took from the potential; 0 after a spike
    refractory                int32[n]  changed  steps left
    exc, inh                  F[n]      changed  pA; inh = None for neurons with one current
    arrived_exc, arrived_inh  F[n]      changed  pA, set to zero; None where it has been added to exc, inh
    spiked                    uint8[n]  written  1 where a spike was emitted
    p_leak, drive (mV), ..., threshold (mV)      parameters: F or F[n]
    """
    zero = potential.dtype.type(0)
    n_fired = np.int32(0)  # as wide as float32, so that a vector holds as many of both
    for k in range(potential.size):
        current = exc[k]
        if arrived_exc is not None:
            current += arrived_exc[k]
            arrived_exc[k] = zero
        exc[k] = at(p_c_exc, k) * current
        change = at(drive, k) + at(p_v_exc, k) * current
        if inh is not None:
            current = inh[k]
            if arrived_inh is not None:
                current += arrived_inh[k]
                arrived_inh[k] = zero
            inh[k] = at(p_c_inh, k) * current
            change += at(p_v_inh, k) * current
        before, held = potential[k], refractory[k] > 0
        change = before * at(p_leak, k) + (change + carry[k])
        change = zero if held else change
        after = before + change
        fires = np.uint8(after >= at(threshold, k)) & np.uint8(not held)
        potential[k] = after
        carry[k] = zero if fires != 0 else change - (after - before)
        refractory[k] = max(refractory[k] - np.int32(1), np.int32(0))
        spiked[k] = fires
        n_fired = np.int32(n_fired + np.int32(fires))
    return n_fired


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def reset(
    potential, refractory, spiked, threshold, reset_to, refractory_steps, subtract, ids, first_unit, found
):  # fmt: skip
    """Reset the neurons that spiked and list them, ascending, in ids[found:]; returns the new count.

    potential   F[n]      changed  mV, relative to rest
    refractory  int32[n]  changed  steps left
    ids         int32[>= found + number of spikes]  written
    threshold, reset_to (mV), refractory_steps      parameters: scalars or arrays
    """
    n = spiked.size
    for first in range(0, n, 64):  # few spike: 64 flags at a time
        fired = np.uint64(0)
        if first + 64 <= n:
            fired = flags_64(spiked, first)
        else:
            for k in range(first, n):
                fired |= np.uint64(spiked[k] != 0) << np.uint64(k - first)
        while fired != 0:
            k = first + lowest_bit(fired)
            fired &= fired - np.uint64(1)
            over = potential[k] - at(threshold, k)
            potential[k] = at(reset_to, k) + over if subtract else at(reset_to, k)
            refractory[k] = at(refractory_steps, k)
            ids[found] = first_unit + k
            found += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def copy(to, values):
    """to <- values.   to  F[n]  written"""
    for k in range(to.size):
        to[k] = values[k]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def decay_theta(theta, p_theta):
    """theta <- theta P_THETA.   theta  F[n]  changed  mV"""
    for k in range(theta.size):
        theta[k] = theta[k] * p_theta[k]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def raise_theta(theta, spiked, theta_plus):
    """theta <- theta + theta_plus where a spike was emitted.   theta  F[n]  changed  mV"""
    for k in range(theta.size):
        theta[k] = theta[k] + theta_plus[k] if spiked[k] != 0 else theta[k]
