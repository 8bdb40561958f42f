"""Recording of layered networks: state variables before a step, amounts of events after it.

Twin: tests/oracle_layers.py.
"""

from numba import njit

from snnsim.kernels.integer import OVERFLOW, U
from snnsim.kernels.layer_layout import CURRENT_EXC, EVENTS, OVERFLOWN, POTENTIAL, THETA, WHOLE_CURRENT


@njit(cache=True, nogil=True, error_model="numpy")
def record_state(b, s, watch, sample):
    """Step s of the frames: the state before the step."""
    for w in range(watch.variable.size):
        variable = watch.variable[w]
        for c in range(watch.ptr[w], watch.ptr[w + 1]):
            k = watch.unit[c]
            if variable == POTENTIAL:
                watch.frame[b, s, c] = sample.potential[k] + watch.rest[c]
            elif variable == THETA:
                watch.frame[b, s, c] = sample.theta[k]
            elif variable == WHOLE_CURRENT:
                watch.frame[b, s, c] = sample.whole[U, k]
            elif variable == OVERFLOWN:
                watch.frame[b, s, c] = sample.whole[OVERFLOW, k]
            elif variable != EVENTS:
                watch.frame[b, s, c] = sample.current[variable - CURRENT_EXC, k]


@njit(cache=True, nogil=True, error_model="numpy")
def record_events(b, t, s, graph, watch, sample):
    """Step s of the frames: amounts of the events of step t; the frames were zero."""
    if watch.column.size == 0:
        return
    slot = t % sample.n_events.shape[0]
    for p in range(graph.kind.size):
        low = graph.first[p]
        for e in range(sample.n_events[slot, p]):
            c = watch.column[low + sample.unit[slot, low + e]]
            if c >= 0:
                watch.frame[b, s, c] = sample.amount[slot, low + e]
