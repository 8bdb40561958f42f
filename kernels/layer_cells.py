"""Integrate-and-fire neurons in layered networks: the kernels of all other networks, on one sample.

Twin: tests/oracle_layers.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.conductance import update_conductance
from snnsim.kernels.neurons import (
    DRIVE,
    P_CC,
    P_LEAK,
    P_THETA,
    P_V0,
    P_VC,
    RESET,
    THETA_PLUS,
    THRESHOLD,
    decay_theta,
    raise_theta,
    reset,
    update,
)


@njit(cache=True, nogil=True, error_model="numpy")
def fire_cells(p, low, subtract, cells, sample, work, potential, count, unit, amount):
    """Integrate-and-fire neurons, as kernels/engine.py has them where learning rules act; see there.

    low  first unit of population p
    """
    n = potential.size
    a, value = cells.first[p], cells.value
    high, b = low + n, a + n
    threshold, spiked = work.threshold[:n], work.spiked[:n]
    carry, refractory, theta = sample.carry[a:b], sample.refractory[a:b], sample.theta[a:b]
    exc, arrived = sample.current[0, a:b], work.arrived[0, low:high]
    threshold[:] = value[THRESHOLD, a:b]
    if cells.adaptive[p] != 0:
        decay_theta(theta, value[P_THETA, a:b])
        for k in range(n):
            threshold[k] += theta[k]
    if cells.conductance[p] != 0:
        update_conductance(
            potential, refractory, exc, sample.current[1, a:b], arrived, work.arrived[1, low:high], spiked,
            value[P_LEAK, a:b], value[P_V0, a:b], value[DRIVE, a:b], value[P_VC, a:b], value[P_CC, a:b],
            value[P_VC + 1, a:b], value[P_CC + 1, a:b], threshold,
        )  # fmt: skip
    elif cells.channels[p] == 1:
        update(
            potential, carry, refractory, exc, None, arrived, None, spiked,
            value[P_LEAK, a:b], value[DRIVE, a:b], value[P_VC, a:b], value[P_CC, a:b], None, None, threshold,
        )  # fmt: skip
    else:
        update(
            potential, carry, refractory, exc, sample.current[1, a:b], arrived, work.arrived[1, low:high],
            spiked, value[P_LEAK, a:b], value[DRIVE, a:b], value[P_VC, a:b], value[P_CC, a:b],
            value[P_VC + 1, a:b], value[P_CC + 1, a:b], threshold,
        )  # fmt: skip
    n_events = reset(
        potential, refractory, spiked, threshold, value[RESET, a:b], cells.refractory_steps[a:b], subtract,
        unit, 0, 0,
    )  # fmt: skip
    if n_events > 0 and cells.adaptive[p] != 0:
        raise_theta(theta, spiked, value[THETA_PLUS, a:b])
    for e in range(n_events):
        count[unit[e]] += np.int32(1)
        amount[e] = 1
    return n_events
