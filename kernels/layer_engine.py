"""The step loop of layered networks: every sample has a state of its own and shares all weights.

A thread takes samples one by one and runs each through all steps of a call, so that its state stays in the
cache; no result depends on which thread took it.  In a step the populations advance in the order of the
graph: a spike reaches a population behind its own in the same step (delay 0), or any one `delay` steps later.

    1  the current of the population starts from what stays the same: bias, and an input that stays
    2  events of sources, of this step or an earlier one, add to it
    3  the population advances and emits its events

A sample is at rest as soon as nothing is on its way and nothing more will come: its steps are then skipped.
Twin: tests/oracle_layers.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.integer import (
    EACH_SPIKE,
    FIRES,
    N_CURRENTS,
    OVERFLOW,
    PART,
    U,
    fire_integer,
    limit_each,
    reset_at_intervals,
)
from snnsim.kernels.layer_cells import fire_cells
from snnsim.kernels.layer_layout import (
    CELLS,
    FEW_SPIKES,
    FIRST_SPIKE,
    INPUT,
    INTEGER,
    INTEGRATE,
    MAXIMUM,
    RELAY,
    SIGNED,
    begin_sample,
    row_of,
)
from snnsim.kernels.layer_watch import record_events, record_state
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
    fire_few,
    fire_first,
    fire_integrate,
    fire_signed,
    one_to_one_events,
    pass_maximum,
    pass_on,
)
from snnsim.kernels.sigma_delta import fire_sigma_delta


@njit(cache=True, nogil=True, error_model="numpy")
def run_samples(
    low, high, begin, end, stop_early, graph, cells, integers, given, outcome, state, work, watch
):
    """Run the samples low <= b < high, rows of the state, through the steps begin <= t < end."""
    resting = rest_after(graph, given)
    for b in range(low, high):
        sample = row_of(state, b)
        t = begin
        while t < end and not (stop_early and at_rest(t, graph, resting, sample)):
            record_state(b, t - begin, watch, sample)
            advance_sample(b, t, graph, cells, integers, given, outcome, sample, work)
            record_events(b, t, t - begin, graph, watch, sample)
            t += 1
        outcome.ended[b] += t - begin
        if t < end:
            sample.n_events[:] = 0
        for s in range(t, end):
            record_state(b, s - begin, watch, sample)


@njit(cache=True, nogil=True, error_model="numpy")
def run_once(low, high, n_steps, stop_early, graph, cells, integers, given, outcome, kept, state, work):
    """Run the samples low <= b < high from step 0, each in the first row of the state."""
    sample, resting = row_of(state, 0), rest_after(graph, given)
    first, n_read = graph.first[graph.kind.size - 1], kept.readout.shape[2]
    for b in range(low, high):
        begin_sample(graph, cells, integers, sample)
        t = 0
        while t < n_steps and not (stop_early and at_rest(t, graph, resting, sample)):
            advance_sample(b, t, graph, cells, integers, given, outcome, sample, work)
            kept.readout[b, t, :] = sample.potential[first : first + n_read]
            t += 1
        for s in range(t, n_steps):
            kept.readout[b, s, :] = kept.readout[b, t - 1, :]
        outcome.ended[b] = t
        if kept.spikes.shape[0] > 0:
            kept.spikes[b, :] = sample.spikes
            kept.total[b, :] = sample.total


@njit(cache=True, nogil=True, error_model="numpy")
def rest_after(graph, given):
    """The first step in which nothing comes from outside any more, and what was sent has arrived."""
    last = given.begin + given.ptr.shape[1] - 2 + given.steps
    for p in range(graph.kind.size):
        last = max(last, graph.awake[p])
    return last + longest_delay(graph)


@njit(cache=True, nogil=True, error_model="numpy")
def longest_delay(graph):
    longest = np.int64(0)
    for j in range(graph.delay.size):
        longest = max(longest, graph.delay[j])
    return longest


@njit(cache=True, nogil=True, error_model="numpy")
def at_rest(t, graph, resting, sample):
    """Can nothing happen from step t on?  Every event has then arrived, and called forth no other."""
    return t >= resting and sample.quiet[0] > longest_delay(graph)


@njit(cache=True, nogil=True, error_model="numpy")
def advance_sample(b, t, graph, cells, integers, given, outcome, sample, work):
    """Step t of sample b."""
    slot = t % sample.n_events.shape[0]
    moved = False
    for p in range(graph.kind.size):
        low, high = graph.first[p], graph.first[p + 1]
        unit, amount = sample.unit[slot, low:high], sample.amount[slot, low:high]
        if graph.kind[p] == INPUT:
            n = take_given(b, t - given.begin, low, high, given, unit, amount)
        else:
            reset_if_due(p, t, graph, integers, sample)
            current = collect(b, t, p, graph, integers, given, outcome, sample, work)
            n = np.int64(fire(p, t, graph, cells, integers, current, sample, work, unit, amount))
            moved = moved or n > 0
        sample.n_events[slot, p] = n
        outcome.events[b, p] += n
        total = sample.total[low:high]
        for e in range(n):
            total[unit[e]] += amount[e]
        outcome.sent[b, p] += n if graph.kind[p] == INTEGRATE and graph.most[p] == 1 else size_of(amount, n)
    sample.quiet[0] = 0 if moved else sample.quiet[0] + 1


@njit(cache=True, nogil=True, error_model="numpy")
def reset_if_due(p, t, graph, integers, sample):
    """Before anything arrives: what arrives one by one adds to the currents themselves."""
    if integers is not None:  # noqa: SIM102 -- alone, it is decided when the kernel is compiled
        if graph.kind[p] == INTEGER:
            low, high, first = graph.first[p], graph.first[p + 1], integers.first[p]
            whole = sample.whole[:, first : first + high - low]
            reset_at_intervals(t, sample.potential[low:high], whole, integers.rule[p])


@njit(cache=True, nogil=True, error_model="numpy")
def size_of(amount, n):
    """The sum of n absolute amounts."""
    found = 0.0
    for e in range(n):
        found += abs(amount[e])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def collect(b, t, p, graph, integers, given, outcome, sample, work):
    """What arrives at population p in step t of sample b; returns the current of its first channel."""
    low, high = graph.first[p], graph.first[p + 1]
    if integers is not None:  # noqa: SIM102 -- alone, it is decided when the kernel is compiled
        if graph.kind[p] == INTEGER and integers.rule[p, EACH_SPIKE]:
            collect_each(b, t, p, graph, integers, outcome, sample, work)
            return work.arrived[0, low:high]
    if t == 0 or t == given.begin or t == given.begin + given.steps or t == graph.bias_steps[p]:
        hold(b, t, p, graph, given, outcome, sample)
    constant = graph.kind[p] != CELLS and graph.kind[p] != INTEGER
    for j in range(graph.incoming[p], graph.incoming[p + 1]):
        constant = constant and (is_held(j, graph, given) or graph.rule[j] == MAX_POOL)
    if constant:
        return sample.held[0, low:high]
    for c in range(work.arrived.shape[0]):
        work.arrived[c, low:high] = sample.held[c, low:high]
    for j in range(graph.incoming[p], graph.incoming[p + 1]):
        if graph.rule[j] != MAX_POOL and t >= graph.delay[j] and not is_held(j, graph, given):
            arrive(b, j, t, work.arrived[graph.channel[j], low:high], graph, outcome, sample)
    return work.arrived[0, low:high]


@njit(cache=True, nogil=True, error_model="numpy")
def collect_each(b, t, p, graph, integers, outcome, sample, work):
    """Currents of population p after each event that arrives, one after the other, kept in their range."""
    low, high, first, rule = graph.first[p], graph.first[p + 1], integers.first[p], integers.rule[p]
    overflow = sample.whole[OVERFLOW, first : first + high - low]
    overflow[:] = 0
    for c in range(rule[N_CURRENTS]):
        work.arrived[c, low:high] = sample.whole[U + c, first : first + high - low]
    for j in range(graph.incoming[p], graph.incoming[p + 1]):
        if t < graph.delay[j]:
            continue
        q, slot = graph.source[j], (t - graph.delay[j]) % sample.n_events.shape[0]
        unit = sample.unit[slot, graph.first[q] : graph.first[q + 1]]
        amount = sample.amount[slot, graph.first[q] : graph.first[q + 1]]
        current = work.arrived[graph.channel[j], low:high]
        for e in range(sample.n_events[slot, q]):
            added, graded = spread(j, unit[e : e + 1], amount[e : e + 1], 1, current, graph)
            limit_each(current, overflow, rule)
            outcome.added[b, j] += added
            outcome.graded[b, j] += graded


@njit(cache=True, nogil=True, error_model="numpy")
def is_held(j, graph, given):
    """Does projection j come from an input that stays the same for several steps?"""
    return given.steps > 1 and graph.kind[graph.source[j]] == INPUT


@njit(cache=True, nogil=True, error_model="numpy")
def hold(b, t, p, graph, given, outcome, sample):
    """The current that stays the same from step t on: bias, and an input."""
    low, high = graph.first[p], graph.first[p + 1]
    sample.held[:, low:high] = 0
    if t < graph.bias_steps[p]:
        sample.held[0, low:high] = graph.bias[low:high]
    if t < given.begin or t >= given.begin + given.steps:
        return
    for j in range(graph.incoming[p], graph.incoming[p + 1]):
        if is_held(j, graph, given):
            current = sample.held[graph.channel[j], low:high]
            if t == given.begin:
                arrive(b, j, t, current, graph, outcome, sample)
            else:
                add_again(b, j, t, current, graph, given, sample)


@njit(cache=True, nogil=True, error_model="numpy")
def add_again(b, j, t, current, graph, given, sample):
    """What an input that stays has sent once, and has been counted, reaches `current` once more."""
    q, slot = graph.source[j], t % sample.n_events.shape[0]
    low, high = graph.first[q], graph.first[q + 1]
    sent = sample.n_events[slot, q]
    unit, amount = sample.unit[slot, low:high], sample.amount[slot, low:high]
    sample.n_events[slot, q] = take_given(b, np.int64(0), low, high, given, unit, amount)
    deliver(j, t, current, graph, sample)
    sample.n_events[slot, q] = sent


@njit(cache=True, nogil=True, error_model="numpy")
def arrive(b, j, t, current, graph, outcome, sample):
    added, graded = deliver(j, t, current, graph, sample)
    outcome.added[b, j] += added
    outcome.graded[b, j] += graded


@njit(cache=True, nogil=True, error_model="numpy")
def fire(p, t, graph, cells, integers, current, sample, work, unit, amount):
    """Population p advances and emits its events; returns their number."""
    low, high = graph.first[p], graph.first[p + 1]
    potential, count, flags = sample.potential[low:high], sample.spikes[low:high], work.spiked[: high - low]
    threshold, kind = graph.threshold[low:high], graph.kind[p]
    if cells is not None:  # noqa: SIM102 -- alone, it is decided when the kernel is compiled
        if kind == CELLS:
            subtract = graph.subtract[p] != 0
            return fire_cells(p, low, subtract, cells, sample, work, potential, count, unit, amount)
    if integers is not None:  # noqa: SIM102 -- as above
        if kind == INTEGER:
            a, b = integers.first[p], integers.first[p] + high - low
            if integers.rule[p, PART] != FIRES:
                return fire_sigma_delta(
                    potential, sample.whole[:, a:b], work.arrived[:, low:high], integers.value[:, a:b],
                    integers.rule[p], count, unit, amount,
                )  # fmt: skip
            return fire_integer(
                potential, sample.whole[:, a:b], work.arrived[:, low:high], integers.value[:, a:b],
                integers.rule[p], count, unit, amount,
            )  # fmt: skip
    if kind == INTEGRATE:
        return fire_integrate(
            potential, current, count, threshold, graph.subtract[p] != 0, graph.most[p], flags, unit, amount
        )
    if kind == SIGNED:
        return fire_signed(potential, current, count, threshold, graph.levels[p], graph.most[p], unit, amount)
    if kind == FEW_SPIKES:
        place = t - graph.begin[p] + 1 if t - graph.begin[p] < graph.window[p] else np.int64(0)
        return fire_few(potential, current, count, threshold, place, unit, amount)
    if kind == FIRST_SPIKE:
        left = graph.begin[p] + graph.window[p] - t if t >= graph.begin[p] else np.int64(0)
        return fire_first(potential, current, count, threshold, left, graph.continuous[p] != 0, unit, amount)
    if kind == RELAY:
        return pass_on(potential, current, flags, unit, amount)
    if kind == MAXIMUM:
        j = graph.incoming[p]
        q = graph.source[j]
        total = sample.total[graph.first[q] : graph.first[q + 1]]
        return pass_maximum(potential, total, graph.shape[j], unit, amount)
    for k in range(potential.size):
        potential[k] += current[k]
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def take_given(b, t, low, high, given, unit, amount):
    """The events from outside of step t after they begin, for one input population; returns their number."""
    n = np.int64(0)
    if t < 0 or t >= given.ptr.shape[1] - 1:
        return n
    for e in range(given.ptr[b, t], given.ptr[b, t + 1]):
        if given.unit[e] >= low and given.unit[e] < high:
            unit[n] = given.unit[e] - low
            amount[n] = given.amount[e]
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def deliver(j, t, current, graph, sample):
    """The events of step t - delay of projection j reach `current`; returns the numbers of additions."""
    q = graph.source[j]
    slot = (t - graph.delay[j]) % sample.n_events.shape[0]
    n = sample.n_events[slot, q]
    low, high = graph.first[q], graph.first[q + 1]
    return spread(j, sample.unit[slot, low:high], sample.amount[slot, low:high], n, current, graph)


@njit(cache=True, nogil=True, error_model="numpy")
def spread(j, unit, amount, n, current, graph):
    """n events reach `current` by projection j; returns the numbers of additions."""
    base, shape = graph.weight_base[j], graph.shape[j]
    n_source = graph.first[graph.source[j] + 1] - graph.first[graph.source[j]]
    if graph.rule[j] == DENSE:
        weight = graph.weight[base : base + n_source * current.size].reshape((n_source, current.size))
        return dense_events(current, unit, amount, n, weight)
    if graph.rule[j] == CONV:
        size = (shape[IN_C], shape[KERNEL_H], shape[KERNEL_W], shape[OUT_C] // shape[GROUPS])
        n_weights = size[0] * size[1] * size[2] * size[3]
        weight = graph.weight[base : base + n_weights].reshape(size)
        return conv_events(current, unit, amount, n, weight, shape)
    index = graph.target_of[graph.index_base[j] : graph.index_base[j] + n_source]
    return one_to_one_events(current, unit, amount, n, graph.weight[base], index)
