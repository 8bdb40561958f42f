"""Layers: events that reach whole rows of a weight matrix or the kernel window of a convolution.

An event is a unit and an amount: 1 for a spike, -1 for one taken back, more for several at once, any number
for an analogue value.  Feature maps lie channel last, so that what an event adds to is contiguous:

    unit of channel c at (y, x)     (y * width + x) * n_channels + c
    dense    current[j]          += amount * weight[unit, j]
    conv     current[oy, ox, co] += amount * weight[c, ky, -1 - kx, co']     y = oy sy - py + ky dy, x so too
             c in group g of groups, co = g n_out / groups + co'
    pool     the same with one output channel for each input channel and weights that are equal

Sums have one order: projections as given, then events as they come, which is ascending by unit.
Twins: tests/oracle_layers.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.layer_windows import (
    DILATION_H,
    DILATION_W,
    GROUPS,
    IN_C,
    IN_H,
    IN_W,
    KERNEL_H,
    KERNEL_W,
    OUT_C,
    OUT_W,
    PAD_LEFT,
    PAD_TOP,
    STRIDE_H,
    STRIDE_W,
    rows_over,
    windows_over,
)

DENSE, CONV, ONE_TO_ONE, MAX_POOL = range(4)


@njit(cache=True, nogil=True, error_model="numpy")
def add_row(target, a, row):
    """target += a row"""
    for j in range(target.size):
        target[j] += a * row[j]


@njit(cache=True, nogil=True, error_model="numpy")
def add_rows(target, a, first, b, second, c, third, d, fourth):
    """Four of them one after another: the sums stay in registers meanwhile."""
    for j in range(target.size):
        total = target[j] + a * first[j]
        total = total + b * second[j]
        total = total + c * third[j]
        target[j] = total + d * fourth[j]


@njit(cache=True, nogil=True, error_model="numpy")
def dense_events(current, unit, amount, n_events, weight):
    """Add the rows of `weight` that events point at, times their amounts; returns the number of additions.

    current  F[n_target]            changed
    unit     int32[>= n_events]     source of each event
    amount   F[>= n_events]
    weight   F[n_source, n_target]
    """
    e = 0
    while e + 4 <= n_events:
        add_rows(
            current, amount[e], weight[unit[e]], amount[e + 1], weight[unit[e + 1]],
            amount[e + 2], weight[unit[e + 2]], amount[e + 3], weight[unit[e + 3]],
        )  # fmt: skip
        e += 4
    for i in range(e, n_events):
        add_row(current, amount[i], weight[unit[i]])
    return n_events * current.size


@njit(cache=True, nogil=True, error_model="numpy")
def conv_events(current, unit, amount, n_events, weight, shape):
    """Add the kernel windows that events reach; returns the number of additions, borders exact.

    current  F[OUT_H * OUT_W * OUT_C]                                   changed
    weight   F[IN_C, KERNEL_H, KERNEL_W, OUT_C / GROUPS]                columns from right to left
    shape    int64[N_GEOMETRY]
    """
    in_c, groups = shape[IN_C], shape[GROUPS]
    in_a_group, width = in_c // groups, shape[OUT_C] // groups
    together = groups == 1 and shape[STRIDE_W] == 1 and shape[DILATION_W] == 1
    lines = weight.reshape((in_c, shape[KERNEL_H], shape[KERNEL_W] * width))
    windows = np.empty((shape[KERNEL_H] * shape[KERNEL_W], 3), np.int64)
    added, e = 0, 0
    while e < n_events:  # the events of a pixel, which lie side by side, reach the same windows
        pixel = unit[e] // in_c
        begin, last = pixel * in_c, e + 1
        while last < n_events and unit[last] >= begin and unit[last] < begin + in_c:
            last += 1
        size = width
        if together:
            n, columns = rows_over(pixel, shape, windows)
            size = columns * width
        else:
            n = windows_over(pixel, shape, windows)
        for m in range(n):
            at, ky, low = windows[m, 0], windows[m, 1], windows[m, 2] * width
            high, i = low + size, e
            if in_a_group == 1 and size == 1:
                while i < last:
                    c = unit[i] - begin
                    current[at + c] += amount[i] * lines[c, ky, low]
                    i += 1
            while groups == 1 and i + 4 <= last:
                add_rows(
                    current[at : at + size],
                    amount[i], lines[unit[i] - begin, ky, low:high],
                    amount[i + 1], lines[unit[i + 1] - begin, ky, low:high],
                    amount[i + 2], lines[unit[i + 2] - begin, ky, low:high],
                    amount[i + 3], lines[unit[i + 3] - begin, ky, low:high],
                )  # fmt: skip
                i += 4
            while i < last:
                c = unit[i] - begin
                first = at + c // in_a_group * width
                add_row(current[first : first + size], amount[i], lines[c, ky, low:high])
                i += 1
        added += n * size * (last - e)
        e = last
    return added


@njit(cache=True, nogil=True, error_model="numpy")
def one_to_one_events(current, unit, amount, n_events, weight, index):
    """current[index[unit]] += amount * weight; returns the number of additions.

    index  int32[n_source]  target of each source
    """
    for e in range(n_events):
        current[index[unit[e]]] += amount[e] * weight
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def graded_additions(unit, amount, n_events, rule, n_target, shape):
    """How many of the additions of these events need a multiplication: those of amounts other than 1 and -1.

    n_target  number of targets of a dense projection
    """
    if rule == MAX_POOL:
        return np.int64(0)
    per_event, begin, end = np.int64(n_target if rule == DENSE else 1), np.int64(0), np.int64(0)
    windows = np.empty((shape[KERNEL_H] * shape[KERNEL_W] if rule == CONV else np.int64(0), 3), np.int64)
    added = np.int64(0)
    for e in range(n_events):
        if amount[e] == 1 or amount[e] == -1:
            continue
        if rule == CONV and (unit[e] >= end or unit[e] < begin):
            begin = unit[e] // shape[IN_C] * shape[IN_C]
            end = begin + shape[IN_C]
            per_event = windows_over(begin // shape[IN_C], shape, windows) * (shape[OUT_C] // shape[GROUPS])
        added += per_event
    return added


@njit(cache=True, nogil=True, error_model="numpy")
def fire_integrate(potential, current, count, threshold, subtract, most, unit, amount):
    """v <- v + current;  up to `most` spikes where v >= threshold;  returns the number of events.

    s = clip(floor(v / threshold), 0, most);  v <- v - s threshold (subtract), else v <- 0
    potential, current  F[n]       changed, current set to zero
    count               int32[n]   changed  spikes so far
    threshold           F[n]
    unit, amount        int32[n], F[n]  written: the events, ascending
    """
    zero = potential.dtype.type(0)
    n_events = 0
    if most == 1:  # one spike at most: without branches, which makes several neurons at a time
        for k in range(potential.size):
            v, theta = potential[k] + current[k], threshold[k]
            fires = v >= theta
            left = v - theta if subtract else zero
            potential[k] = left if fires else v
            current[k] = zero
            count[k] += np.int32(fires)
            unit[k] = np.int32(fires)
        for k in range(potential.size):
            fires = unit[k]
            unit[n_events] = k
            n_events += fires
        amount[:n_events] = 1
        return n_events
    for k in range(potential.size):
        v = potential[k] + current[k]
        current[k] = zero
        if v >= threshold[k]:
            spikes = min(np.int64(np.floor(v / threshold[k])), most)
            v = v - spikes * threshold[k] if subtract else zero
            count[k] += np.int32(spikes)
            unit[n_events] = k
            amount[n_events] = spikes
            n_events += 1
        potential[k] = v
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def fire_signed(potential, current, count, threshold, levels, most, unit, amount):
    """Signed integrate-and-fire with memory: v <- v + current, then spikes that can be taken back.

    s = clip(floor(v / threshold), -min(most, S), min(most, levels - S));  v <- v - s threshold;  S <- S + s
    Once no input comes any more, S = clip(floor((v_0 + sum of currents) / threshold), 0, levels), whatever
    the order in which they came.
    count  int32[n]  changed  S
    """
    zero = potential.dtype.type(0)
    n_events = 0
    for k in range(potential.size):
        v = potential[k] + current[k]
        current[k] = zero
        if v >= threshold[k] or v < zero:
            spikes = np.int64(np.floor(v / threshold[k]))
            spikes = min(max(spikes, -min(most, np.int64(count[k]))), min(most, levels - np.int64(count[k])))
            if spikes != 0:
                v -= spikes * threshold[k]
                count[k] += np.int32(spikes)
                unit[n_events] = k
                amount[n_events] = spikes
                n_events += 1
        potential[k] = v
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def fire_few(potential, current, count, alpha, place, unit, amount):
    """Few-spike neurons: v <- v + current;  a spike of step k = 1, 2, ... is worth 2^-k alpha.

    h = 2^-k alpha;  spike where v >= h;  v <- v - h
    alpha  F[n]
    place  k; below 1: they only listen
    amount is 2^-k.  Source: Stoeckl & Maass 2021.
    """
    zero, half = potential.dtype.type(0), potential.dtype.type(0.5)
    worth = potential.dtype.type(1)
    for _ in range(place):
        worth *= half
    n_events = 0
    for k in range(potential.size):
        v = potential[k] + current[k]
        current[k] = zero
        if place > 0 and v >= worth * alpha[k]:
            v -= worth * alpha[k]
            count[k] += np.int32(1)
            unit[n_events] = k
            amount[n_events] = worth
            n_events += 1
        potential[k] = v
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def fire_first(potential, current, count, resolution, left, continuous, unit, amount):
    """Times to first spike: v <- v + current;  one spike at most, the earlier the larger v is.

    A spike is emitted when what is left of the window has come down to v; `amount` is what is left then,
    in steps: a whole number, v / resolution rounded down; in continuous time v / resolution.
    resolution  F[n]  what one step of the window stands for
    left        steps to the end of the window, this one among them; below 1: they only listen
    """
    zero = potential.dtype.type(0)
    n_events = 0
    for k in range(potential.size):
        v = potential[k] + current[k]
        potential[k] = v
        current[k] = zero
        if left < 1 or count[k] != 0:
            continue
        room = v / resolution[k]
        if room > left - 1 if continuous else room >= left:
            count[k] = np.int32(1)
            unit[n_events] = k
            amount[n_events] = min(room, potential.dtype.type(left)) if continuous else left
            n_events += 1
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def pass_on(potential, current, unit, amount):
    """Linear units without memory: what arrives in a step leaves in the same step, as an amount."""
    zero = potential.dtype.type(0)
    n_events = 0
    for k in range(potential.size):  # without branches: what is not sent is written over by the next
        arrived = current[k]
        potential[k] += arrived  # the sum so far
        current[k] = zero
        unit[n_events] = k
        amount[n_events] = arrived
        n_events += np.int64(arrived != zero)
    return n_events


@njit(cache=True, nogil=True, error_model="numpy")
def pass_maximum(potential, total, shape, unit, amount):
    """Max pooling by differences: each unit emits how much the largest sum in its window has changed.

    potential  F[OUT_H * OUT_W * OUT_C]  changed  the largest sum so far
    total      F[IN_H * IN_W * IN_C]              sum of the amounts that each source has emitted
    The amounts of a unit add up to the maximum of the sums, after every step.
    """
    n_events = 0
    out_w, out_c, in_w, in_h = shape[OUT_W], shape[OUT_C], shape[IN_W], shape[IN_H]
    for k in range(potential.size):
        c = k % out_c
        x = k // out_c % out_w * shape[STRIDE_W] - shape[PAD_LEFT]
        y = k // out_c // out_w * shape[STRIDE_H] - shape[PAD_TOP]
        best = -np.inf
        for ky in range(shape[KERNEL_H]):
            row = y + ky * shape[DILATION_H]
            if row < 0 or row >= in_h:
                continue
            for kx in range(shape[KERNEL_W]):
                column = x + kx * shape[DILATION_W]
                if column >= 0 and column < in_w:
                    best = max(best, total[(row * in_w + column) * out_c + c])
        if best != potential[k]:
            unit[n_events] = k
            amount[n_events] = best - potential[k]
            n_events += 1
            potential[k] = best
    return n_events
