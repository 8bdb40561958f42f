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
The passes work on CHUNK neurons at a time, which stay in the first-level cache; each is a plain loop
with selects that the compiler turns into vector instructions.
Source of the propagators: Rotter & Diesmann 1999.  Twin: tests/oracle.py.
"""

import numpy as np
from numba import njit

CHUNK = 256

P_LEAK, DRIVE, P_V0, P_VC, P_CC, THRESHOLD, RESET, P_THETA, THETA_PLUS = 0, 1, 2, 3, 5, 7, 8, 9, 10
N_ROWS = 11  # P_VC and P_CC take two rows each: exc, inh


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def receive(current, drive, arrived, p_vc, p_cc):
    """Add what arrived to a synaptic current, its effect to the drive, and let it decay.

    current  F[n]  changed  pA
    drive    F[n]  changed  mV    change of the potential in this step
    arrived  F[n]  changed  pA    set to zero
    """
    zero = arrived.dtype.type(0)
    for k in range(current.size):
        total = current[k] + arrived[k]
        drive[k] += p_vc[k] * total
        current[k] = p_cc[k] * total
        arrived[k] = zero


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def integrate(potential, carry, refractory, drive, threshold, p_leak):
    """Advance the potential; the threshold only decides whether there is something to carry.

    potential   F[n]      changed  mV, relative to rest
    carry       F[n]      changed  mV, what rounding took from the potential; 0 after a spike
    refractory  int32[n]           steps left
    """
    zero = potential.dtype.type(0)
    for k in range(potential.size):
        held = refractory[k] > 0
        before = potential[k]
        change = before * p_leak[k] + (drive[k] + carry[k])
        after = before + change
        potential[k] = before if held else after
        carry[k] = zero if held | (after >= threshold[k]) else change - (after - before)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def fire(potential, refractory, spiked, threshold, reset, refractory_steps, subtract):
    """Test the threshold, reset; returns the number of spikes.

    potential   F[n]      changed  mV, relative to rest
    refractory  int32[n]  changed  steps left
    spiked      uint8[n]  written  1 where a spike was emitted
    Nearly always nothing fires: the first loop finds out, with vector instructions.
    """
    total = 0
    for k in range(potential.size):
        fires = np.uint8(potential[k] >= threshold[k]) & np.uint8(refractory[k] <= 0)
        spiked[k] = fires
        total += np.int64(fires)
        refractory[k] = max(refractory[k] - np.int32(1), np.int32(0))
    if total > 0:
        for k in range(potential.size):
            if spiked[k] != 0:
                over = potential[k] - threshold[k]
                potential[k] = reset[k] + over if subtract else reset[k]
                refractory[k] = refractory_steps[k]
    return total


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


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def collect(ids, spiked, first_unit, found):
    """Write the units that spiked, ascending, to ids[found:]; returns the new count.

    ids  int32[>= found + number of spikes]  written
    """
    for k in range(spiked.size):
        if spiked[k] != 0:
            ids[found] = first_unit + k
            found += 1
    return found
