"""The rule of pair STDP, on the weights of one row.

Equations and the rule for ties: snn/plasticity.py.  Who calls these, and when: kernels/plasticity.py.
Twin: tests/oracle.py.
"""

import math

import numpy as np
from numba import njit

LEARNS, DEPENDENCE, NEAREST, NORMALISE_EVERY = 0, 1, 2, 3  # columns of Plastic.rule
A_PLUS, A_MINUS, W_MIN, W_MAX, MU_PLUS, MU_MINUS, W_0, TOTAL = 0, 1, 2, 3, 4, 5, 6, 7
N_CONSTANTS = 8  # columns of Plastic.constant
RATE_PLUS, FACTOR_MINUS = 0, 1  # dt / tau_plus, exp(-dt / tau_minus).  Columns of Plastic.rate
ADDITIVE, MULTIPLICATIVE, POWER, POWER_LAW = 0, 1, 2, 3
NOTED = 16  # postsynaptic spikes noted for each neuron; before there are more, all synapses catch up
PIECE = 1024  # synapses that catch up together
FEW = 4  # synapses that rather do so one by one


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def decayed(trace, table, rate, steps):
    """trace * exp(-steps * rate), from the table behind its first entry as far as it goes."""
    if steps + 1 < table.size:
        return trace * table[steps + 1]
    return trace * math.exp(-steps * rate)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def power(base, exponent, constant):
    """max(base, 0) ** exponent as F, that of `constant`."""
    return constant.dtype.type(max(np.float64(base), 0.0) ** np.float64(exponent))


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def depressed(w, trace, dependence, constant):
    """The weight after a presynaptic arrival that meets the postsynaptic trace.

    In the precision of the weights, all F; powers alone in float64.
    Normalisation, or rounding to float32, may have left w outside its bounds: no power of such a distance.
    """
    w_min, w_max = constant[W_MIN], constant[W_MAX]
    if dependence == ADDITIVE:
        size = w_max - w_min
    elif dependence == POWER_LAW:
        size = w
    elif dependence == MULTIPLICATIVE:
        size = w - w_min
    else:
        size = (w_max - w_min) * power((w - w_min) / (w_max - w_min), constant[MU_MINUS], constant)
    return min(max(w - constant[A_MINUS] * size * trace, w_min), w_max)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def potentiated(w, trace, dependence, constant):
    """The weight after a postsynaptic spike that meets the presynaptic trace."""
    w_min, w_max = constant[W_MIN], constant[W_MAX]
    if dependence == ADDITIVE:
        size = w_max - w_min
    elif dependence == POWER_LAW:
        mu = constant[MU_PLUS]
        size = power(constant[W_0], constant.dtype.type(1) - mu, constant) * power(w, mu, constant)
    elif dependence == MULTIPLICATIVE:
        size = w_max - w
    else:
        size = (w_max - w_min) * power((w_max - w) / (w_max - w_min), constant[MU_PLUS], constant)
    return min(max(w + constant[A_PLUS] * size * trace, w_min), w_max)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def add(arrived, weight, target):
    """Add weights to what arrives; arrived F[n] changed, weight F[m], target uint16[m]."""
    for s in range(target.size):
        arrived[target[s]] += weight[s]


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def depress(arrived, weight, target, y, met, dependence, constant):
    """Depress weights by the traces y, F[n], of their targets, and add them as `add` does.

    met  F[>= PIECE]  working memory
    All dependences but the power are linear in the weight: offset + slope w.  Traces are gathered first and
    weights added last, so that what is between are vector instructions.
    """
    if dependence == POWER:
        for s in range(target.size):
            weight[s] = depressed(weight[s], y[target[s]], POWER, constant)
            arrived[target[s]] += weight[s]
        return
    w_min, w_max, a_minus = constant[W_MIN], constant[W_MAX], constant[A_MINUS]
    zero, one = constant.dtype.type(0), constant.dtype.type(1)
    offset = w_max - w_min if dependence == ADDITIVE else (zero if dependence == POWER_LAW else -w_min)
    slope = zero if dependence == ADDITIVE else one
    for first in range(0, target.size, PIECE):
        w, to = weight[first : first + PIECE], target[first : first + PIECE]
        for s in range(to.size):
            met[s] = y[to[s]]
        for s in range(w.size):
            old = w[s]
            w[s] = min(max(old - a_minus * (offset + slope * old) * met[s], w_min), w_max)
        add(arrived, w, to)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def catch_up(
    weight, target, low, high, noted, post, end, found, n_found, met,
    arrived, caught_up, last_noted, trace, decay, rate, rule, constant,
):  # fmt: skip
    """Potentiate the synapses low <= s < high of one source by the spikes noted since its last arrival.

    weight          F[nnz]  changed
    target          uint16[nnz]
    noted           uint16[NOTED, n_post], of which the targets have the columns post to end
    found, n_found  working memory, as is met, F[PIECE]
    arrived, trace  step of the last arrival, and the trace just after it
    caught_up       step before which the weights hold all notes; notes count from it
    last_noted      step of the latest note
    """
    since, lag = np.uint16(max(arrived - caught_up, 0) + 1), caught_up - 1 - arrived
    dependence = rule[DEPENDENCE]
    if high - low <= FEW:
        for s in range(low, high):
            i = post + target[s]
            catch_up_one(weight, s, noted, i, since, lag, trace, decay, rate, dependence, constant)
    else:
        catch_up_many(
            weight[low:high], target[low:high], noted, post, end, found, n_found, met,
            since, lag, last_noted - arrived + 1 < decay.size, trace, decay, rate,
            dependence, constant,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def catch_up_many(
    weight, target, noted, post, end, found, n_found, met,
    since, lag, tabulated, trace, decay, rate, dependence, constant,
):  # fmt: skip
    """Potentiate the synapses of a row, F[m] and uint16[m], by the spikes noted since; see catch_up.

    tabulated  whether `decay` reaches as far as the latest of them
    Finds for a piece of the row the synapses with at least one such spike, among these those with at least
    two, and so on, and then takes the spikes in the order of time: no loop has a branch to mispredict.
    The latest spike, which half of them may have, is taken by all at once: met is how far the trace has
    decayed at it, or -1 for none.
    """
    linear = tabulated and dependence in (ADDITIVE, MULTIPLICATIVE)
    n_dense, before_since = np.int64(linear and lag == -np.int64(since)), np.int64(since) - 1
    w_min, w_max, a_plus = constant[W_MIN], constant[W_MAX], constant[A_PLUS]
    zero, one, first_trace = constant.dtype.type(0), constant.dtype.type(1), constant.dtype.type(trace)
    offset = w_max - w_min if dependence == ADDITIVE else w_max
    slope = zero if dependence == ADDITIVE else -one
    for first in range(0, target.size, PIECE):
        w, to = weight[first : first + PIECE], target[first : first + PIECE]
        some, note, size = found[n_dense], noted[n_dense, post:end], np.uint64(0)
        for s in range(to.size):
            some[size] = s
            size += np.uint64(note[to[s]] >= since)
        n_found[n_dense] = size
        n = n_dense + 1
        while size > 0 and n < NOTED:
            before, some, note, size = some[: np.int64(size)], found[n], noted[n, post:end], np.uint64(0)
            for k in range(before.size):
                some[size] = before[k]
                size += np.uint64(note[to[before[k]]] >= since)
            n_found[n] = size
            n += 1
        while n > n_dense:
            n -= 1
            some, note = found[n, : n_found[n]], noted[n, post:end]
            if linear:
                for k in range(some.size):
                    s = some[k]
                    x = first_trace * decay[np.uint64(np.int64(note[to[s]]) + lag + 1)]
                    old = w[s]
                    w[s] = min(max(old + a_plus * (offset + slope * old) * x, w_min), w_max)
            else:
                for k in range(some.size):
                    s = some[k]
                    x = decayed(first_trace, decay, rate, np.int64(note[to[s]]) + lag)
                    w[s] = potentiated(w[s], constant.dtype.type(x), dependence, constant)
        if n_dense > 0:
            note = noted[0, post:end]
            for s in range(to.size):
                met[s] = decay[np.uint64(max(np.int64(note[to[s]]), before_since) - before_since)]
            for s in range(w.size):
                old, x = w[s], first_trace * met[s]
                new = min(max(old + a_plus * (offset + slope * old) * x, w_min), w_max)
                w[s] = new if x >= zero else old


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
def catch_up_one(weight, s, noted, i, since, lag, trace, decay, rate, dependence, constant):
    """Potentiate synapse s, onto target i, by the spikes noted since; see catch_up."""
    n = 0
    while n < NOTED and noted[n, i] >= since:
        n += 1
    while n > 0:
        n -= 1
        x = decayed(constant.dtype.type(trace), decay, rate, np.int64(noted[n, i]) + lag)
        weight[s] = potentiated(weight[s], constant.dtype.type(x), dependence, constant)
