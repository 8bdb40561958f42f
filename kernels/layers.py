"""Layers: events that reach whole rows of a weight matrix or the kernel window of a convolution.

An event is a unit and an amount: 1 for a spike, -1 for one taken back, more for several at once, any number
for an analogue value.  Feature maps lie channel last, so that what an event adds to is contiguous:

    unit of channel c at (y, x)     (y * width + x) * n_channels + c
    dense    current[j]          += amount * weight[unit, j]
    conv     current[oy, ox, co] += amount * weight[c, ky, -1 - kx, co']     y = oy sy - py + ky dy, x so too
             c in group g of groups, co = g n_out / groups + co'
    pool     the same with one output channel for each input channel and weights that are equal

Sums have one order: projections as given, then events as they come, which is ascending by unit.  Pools whose
windows are apart are lowered to one target for each source.
Twins: tests/oracle_layers.py.
"""

import numpy as np
from numba import njit

from snnsim.kernels.lanes import add_rows, pack
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
_TOGETHER = 8  # rows of a matrix: sums stay in registers meanwhile, and the rows are read in a stream


@njit(cache=True, nogil=True, error_model="numpy")
def n_graded(amount, begin, end):
    """How many of the events begin <= e < end need multiplications: those of amounts other than 1 and -1."""
    n = 0
    for e in range(begin, end):
        n += abs(amount[e]) != 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def dense_events(current, unit, amount, n_events, weight):
    """Add the rows of `weight` that events point at, times their amounts.

    current  F[n_target]            changed
    unit     int32[>= n_events]     source of each event
    amount   F[>= n_events]
    weight   F[n_source, n_target]
    Returns the number of additions, and of those of them that need a multiplication.
    """
    n, flat = current.size, weight.reshape(weight.size)
    for e in range(0, n_events, _TOGETHER):
        add_rows(current, 0, n, unit, amount, e, min(e + _TOGETHER, n_events), flat, 0, n)
    return n_events * n, n_graded(amount, 0, n_events) * n


@njit(cache=True, nogil=True, error_model="numpy")
def conv_events(current, unit, amount, n_events, weight, shape):
    """Add the kernel windows that events reach.

    current  F[OUT_H * OUT_W * OUT_C]                                   changed
    weight   F[IN_C, KERNEL_H, KERNEL_W, OUT_C / GROUPS]                columns from right to left
    shape    int64[N_GEOMETRY]
    Returns the numbers of additions as `dense_events` does, borders exact.
    """
    in_c, groups = shape[IN_C], shape[GROUPS]
    in_a_group, width = in_c // groups, shape[OUT_C] // groups
    together = groups == 1 and shape[STRIDE_W] == 1 and shape[DILATION_W] == 1
    line = shape[KERNEL_W] * width
    stride, flat = shape[KERNEL_H] * line, weight.reshape(weight.size)
    windows = np.empty((shape[KERNEL_H] * shape[KERNEL_W], 3), np.int64)
    added, graded, e = 0, 0, 0
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
            at, base = windows[m, 0], windows[m, 1] * line + windows[m, 2] * width - begin * stride
            if groups == 1:
                add_rows(current, at, size, unit, amount, e, last, flat, base, stride)
            elif in_a_group == 1 and width == 1:
                for i in range(e, last):
                    current[at + unit[i] - begin] += amount[i] * flat[base + unit[i] * stride]
            else:
                for i in range(e, last):
                    first = at + (unit[i] - begin) // in_a_group * width
                    add_rows(current, first, size, unit, amount, i, i + 1, flat, base, stride)
        added += n * size * (last - e)
        graded += n * size * n_graded(amount, e, last)
        e = last
    return added, graded


@njit(cache=True, nogil=True, error_model="numpy")
def one_to_one_events(current, unit, amount, n_events, weight, index):
    """current[index[unit]] += amount * weight; returns the numbers of additions as `dense_events` does.

    index  int32[n_source]  target of each source, -1: none
    """
    added, graded = 0, 0
    for e in range(n_events):
        target = index[unit[e]]
        if target >= 0:
            current[target] += amount[e] * weight
            added += 1
            graded += abs(amount[e]) != 1
    return added, graded


@njit(cache=True, nogil=True, error_model="numpy")
def fire_integrate(potential, current, count, threshold, subtract, most, flags, unit, amount):
    """v <- v + current;  up to `most` spikes where v >= threshold;  returns the number of events.

    s = clip(floor(v / threshold), 0, most);  v <- v - s threshold (subtract), else v <- 0
    potential     F[n]       changed
    current       F[n]
    count         int32[n]   changed  spikes so far
    threshold     F[n]
    flags         uint8[n]   working memory
    unit, amount  int32[n], F[n]  written: the events, ascending
    """
    zero = potential.dtype.type(0)
    if most == 1:  # one spike at most: without branches, which makes several neurons at a time
        for k in range(potential.size):
            v, theta = potential[k] + current[k], threshold[k]
            fires = v >= theta
            left = v - theta if subtract else zero
            potential[k] = left if fires else v
            count[k] += np.int32(fires)
            flags[k] = np.uint8(fires)
        n_spikes = pack(flags, unit)
        amount[:n_spikes] = 1
        return n_spikes
    n_events = np.int64(0)
    for k in range(potential.size):
        v = potential[k] + current[k]
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
    half = potential.dtype.type(0.5)
    worth = potential.dtype.type(1)
    for _ in range(place):
        worth *= half
    n_events = 0
    for k in range(potential.size):
        v = potential[k] + current[k]
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
    n_events = 0
    for k in range(potential.size):
        v = potential[k] + current[k]
        potential[k] = v
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
def pass_on(potential, current, flags, unit, amount):
    """Linear units without memory: what arrives in a step leaves in the same step, as an amount."""
    for k in range(potential.size):
        potential[k] += current[k]  # the sum so far
        flags[k] = np.uint8(current[k] != 0)
    n_events = pack(flags, unit)
    for e in range(n_events):
        amount[e] = current[unit[e]]
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
