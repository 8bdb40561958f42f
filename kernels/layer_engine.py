"""The step loop of layered networks: every sample has a state of its own and shares all weights.

A thread takes samples one by one and runs each from its first step to its last, so that its state stays in
the cache; no result depends on which thread took it.  In a step the populations advance in the order of the
graph: a spike reaches a population behind its own in the same step (delay 0), or any one `delay` steps later.

    1  events of sources, of this step or an earlier one, add to the current of the population
    2  bias is added in the steps that have one
    3  the population advances and emits its events

The sample ends after `n_steps`, or as soon as nothing is on its way and nothing more will come.
Twin: tests/oracle_layers.py.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from snnsim.kernels.layers import (
    CONV,
    DENSE,
    GROUPS,
    IN_C,
    KERNEL_H,
    KERNEL_W,
    MAX_POOL,
    OUT_C,
    conv_events,
    dense_events,
    fire_integrate,
    fire_signed,
    graded_additions,
    one_to_one_events,
    pass_maximum,
    pass_on,
)

INPUT, INTEGRATE, SIGNED, RELAY, MAXIMUM, READOUT = range(6)


class Graph(NamedTuple):
    """Populations in the order in which they advance, inputs first, and their projections by target."""

    kind: np.ndarray  # int64[n_p]
    first: np.ndarray  # int64[n_p + 1]  first unit of each
    threshold: np.ndarray  # F[n_units]
    start: np.ndarray  # F[n_units]  potential at step 0
    bias: np.ndarray  # F[n_units]  added in each step below bias_steps
    bias_steps: np.ndarray  # int64[n_p]
    subtract: np.ndarray  # int64[n_p]
    most: np.ndarray  # int64[n_p]  spikes of a unit in a step, at most
    levels: np.ndarray  # int64[n_p]  spikes of a signed unit in all, at most
    incoming: np.ndarray  # int64[n_p + 1]  first projection of each population
    source: np.ndarray  # int64[n_l]  population
    rule: np.ndarray  # int64[n_l]  see kernels/layers.py
    delay: np.ndarray  # int64[n_l]  steps
    weight_base: np.ndarray  # int64[n_l]
    weight: np.ndarray  # F[...]
    index_base: np.ndarray  # int64[n_l]  of a one-to-one projection in `index`
    target_of: np.ndarray  # int32[...]  target of each source
    shape: np.ndarray  # int64[n_l, N_GEOMETRY]


class Given(NamedTuple):
    """Events from outside: those of sample b, step t are ptr[b, t] to ptr[b, t + 1] of unit and amount.

    Units count from the first input population, which is unit 0.
    """

    ptr: np.ndarray  # int64[n_samples, n_given + 1]
    unit: np.ndarray  # int32[...]
    amount: np.ndarray  # F[...]
    steps: int  # how often a single given step acts; then it is added up once, and kept


class Outcome(NamedTuple):
    """What is kept of each sample."""

    spikes: np.ndarray  # int32[n_samples or 0, n_units]  sum of spikes
    total: np.ndarray  # F[n_samples or 0, n_units]  sum of amounts
    readout: np.ndarray  # F[n_samples, n_steps, n_read]  potentials of the last population after each step
    events: np.ndarray  # int64[n_samples, n_p]
    sent: np.ndarray  # F[n_samples, n_p]  sum of the absolute amounts of the events
    added: np.ndarray  # int64[n_samples, n_l]  additions (or multiplications and additions)
    graded: np.ndarray  # int64[n_samples, n_l]  those of them that need a multiplication
    ended: np.ndarray  # int64[n_samples]  steps until nothing was on its way


class Work(NamedTuple):
    """State and working memory of one thread."""

    potential: np.ndarray  # F[n_units]
    current: np.ndarray  # F[n_units]
    spikes: np.ndarray  # int32[n_units]
    total: np.ndarray  # F[n_units]
    held: np.ndarray  # F[n_units]  current of an input that stays the same
    unit: np.ndarray  # int32[n_slots, n_units]
    amount: np.ndarray  # F[n_slots, n_units]
    n_events: np.ndarray  # int64[n_slots, n_p]


@njit(cache=True, nogil=True, error_model="numpy")
def run_samples(low, high, n_steps, stop_early, graph, given, outcome, work):
    """Run the samples low <= b < high, each for n_steps steps at most."""
    for b in range(low, high):
        begin_sample(graph, work)
        t = 0
        while t < n_steps:
            moved = advance_sample(b, t, graph, given, outcome, work)
            first = graph.first[graph.kind.size - 1]
            for k in range(outcome.readout.shape[2]):
                outcome.readout[b, t, k] = work.potential[first + k]
            t += 1
            if stop_early and not moved and t >= last_given(graph, given):
                break
        for s in range(t, n_steps):
            for k in range(outcome.readout.shape[2]):
                outcome.readout[b, s, k] = outcome.readout[b, t - 1, k]
        outcome.ended[b] = t
        if outcome.spikes.shape[0] > 0:
            outcome.spikes[b, :] = work.spikes
            outcome.total[b, :] = work.total


@njit(cache=True, nogil=True, error_model="numpy")
def last_given(graph, given):
    """The first step in which nothing comes from outside any more, and what was sent has arrived."""
    last = given.ptr.shape[1] - 2 + given.steps
    for p in range(graph.kind.size):
        last = max(last, graph.bias_steps[p])
    longest = np.int64(0)
    for j in range(graph.delay.size):
        longest = max(longest, graph.delay[j])
    return last + longest


@njit(cache=True, nogil=True, error_model="numpy")
def begin_sample(graph, work):
    """The state of all populations at step 0."""
    work.potential[:] = graph.start
    work.current[:] = 0
    work.spikes[:] = 0
    work.total[:] = 0
    work.held[:] = 0
    work.n_events[:] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def advance_sample(b, t, graph, given, outcome, work):
    """Step t of sample b; returns whether any event was emitted."""
    slot = t % work.n_events.shape[0]
    moved = False
    for p in range(graph.kind.size):
        low, high = graph.first[p], graph.first[p + 1]
        unit, amount = work.unit[slot, low:high], work.amount[slot, low:high]
        if graph.kind[p] == INPUT:
            n = take_given(b, t, low, high, given, unit, amount)
        else:
            collect(b, t, p, graph, given, outcome, work)
            n = np.int64(fire(p, graph, work, unit, amount))
            moved = moved or n > 0
        work.n_events[slot, p] = n
        outcome.events[b, p] += n
        sent = amount.dtype.type(0)
        for e in range(n):
            work.total[low + unit[e]] += amount[e]
            sent += abs(amount[e])
        outcome.sent[b, p] += sent
    return moved


@njit(cache=True, nogil=True, error_model="numpy")
def collect(b, t, p, graph, given, outcome, work):
    """What arrives at population p in step t of sample b, and its bias, in work.current."""
    low, high = graph.first[p], graph.first[p + 1]
    current, held = work.current[low:high], work.held[low:high]
    for j in range(graph.incoming[p], graph.incoming[p + 1]):
        if given.steps > 1 and graph.kind[graph.source[j]] == INPUT:
            if t == 0:
                outcome.added[b, j] += deliver(j, t, held, graph, work)
                outcome.graded[b, j] += graded(j, t, held.size, graph, work)
        elif graph.rule[j] != MAX_POOL and t >= graph.delay[j]:
            outcome.added[b, j] += deliver(j, t, current, graph, work)
            outcome.graded[b, j] += graded(j, t, current.size, graph, work)
    if given.steps > 1 and t < given.steps:
        for k in range(current.size):
            current[k] += held[k]
    if t < graph.bias_steps[p]:
        for k in range(current.size):
            current[k] += graph.bias[low + k]


@njit(cache=True, nogil=True, error_model="numpy")
def fire(p, graph, work, unit, amount):
    """Population p advances and emits its events; returns their number."""
    low, high = graph.first[p], graph.first[p + 1]
    potential, current, count = work.potential[low:high], work.current[low:high], work.spikes[low:high]
    kind = graph.kind[p]
    if kind == INTEGRATE:
        return fire_integrate(
            potential, current, count, graph.threshold[low:high], graph.subtract[p] != 0, graph.most[p],
            unit, amount,
        )  # fmt: skip
    if kind == SIGNED:
        return fire_signed(
            potential, current, count, graph.threshold[low:high], graph.levels[p], graph.most[p], unit, amount
        )
    if kind == RELAY:
        return pass_on(potential, current, unit, amount)
    if kind == MAXIMUM:
        j = graph.incoming[p]
        q = graph.source[j]
        total = work.total[graph.first[q] : graph.first[q + 1]]
        return pass_maximum(potential, total, graph.shape[j], unit, amount)
    for k in range(potential.size):
        potential[k] += current[k]
        current[k] = 0
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def take_given(b, t, low, high, given, unit, amount):
    """The events from outside of step t for one input population; returns their number."""
    n = np.int64(0)
    if t >= given.ptr.shape[1] - 1:
        return n
    for e in range(given.ptr[b, t], given.ptr[b, t + 1]):
        if given.unit[e] >= low and given.unit[e] < high:
            unit[n] = given.unit[e] - low
            amount[n] = given.amount[e]
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def deliver(j, t, current, graph, work):
    """The events of step t - delay of projection j reach `current`; returns the number of additions."""
    q = graph.source[j]
    slot = (t - graph.delay[j]) % work.n_events.shape[0]
    n = work.n_events[slot, q]
    if n == 0:
        return np.int64(0)
    low, high = graph.first[q], graph.first[q + 1]
    unit, amount = work.unit[slot, low:high], work.amount[slot, low:high]
    base, shape = graph.weight_base[j], graph.shape[j]
    if graph.rule[j] == DENSE:
        n_source = high - low
        weight = graph.weight[base : base + n_source * current.size].reshape((n_source, current.size))
        return np.int64(dense_events(current, unit, amount, n, weight))
    if graph.rule[j] == CONV:
        size = (shape[IN_C], shape[KERNEL_H], shape[KERNEL_W], shape[OUT_C] // shape[GROUPS])
        n_weights = size[0] * size[1] * size[2] * size[3]
        weight = graph.weight[base : base + n_weights].reshape(size)
        return np.int64(conv_events(current, unit, amount, n, weight, shape))
    index = graph.target_of[graph.index_base[j] : graph.index_base[j] + high - low]
    return np.int64(one_to_one_events(current, unit, amount, n, graph.weight[base], index))


@njit(cache=True, nogil=True, error_model="numpy")
def graded(j, t, n_target, graph, work):
    """How many of the additions of `deliver` need a multiplication."""
    q = graph.source[j]
    slot = (t - graph.delay[j]) % work.n_events.shape[0]
    low, high = graph.first[q], graph.first[q + 1]
    unit, amount = work.unit[slot, low:high], work.amount[slot, low:high]
    n = work.n_events[slot, q]
    return np.int64(graded_additions(unit, amount, n, graph.rule[j], n_target, graph.shape[j]))
