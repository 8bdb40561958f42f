"""Plain-Python twins of kernels/layers.py and lanes.py: the same sums in the same order, a unit at a time."""

from __future__ import annotations

import math

import numpy as np

from snnsim.kernels import layer_windows as w


def add_rows(current, at, size, unit, amount, begin, end, weight, base, stride):
    for j in range(size):
        for e in range(begin, end):
            current[at + j] = current[at + j] + amount[e] * weight[base + unit[e] * stride + j]


def pack(flags, unit):
    found = np.flatnonzero(flags)
    unit[: found.size] = found
    return found.size


def n_graded(amount, begin, end):
    return int((abs(amount[begin:end]) != 1).sum())


def dense_events(current, unit, amount, n_events, weight):
    for e in range(n_events):
        for j in range(current.size):
            current[j] = current[j] + amount[e] * weight[unit[e], j]
    return n_events * current.size, current.size * n_graded(amount, 0, n_events)


def reached(place, stride, size):
    begins = [stride * n for n in range(size)]
    return begins.index(place) if place in begins else -1


def windows_over(pixel, shape, windows):
    """Every target looks whether the pixel lies under its window; in the order of places in the window."""
    found = []
    for oy in range(int(shape[w.OUT_H])):
        for ox in range(int(shape[w.OUT_W])):
            for ky in range(int(shape[w.KERNEL_H])):
                for kx in range(int(shape[w.KERNEL_W])):
                    row = oy * shape[w.STRIDE_H] - shape[w.PAD_TOP] + ky * shape[w.DILATION_H]
                    column = ox * shape[w.STRIDE_W] - shape[w.PAD_LEFT] + kx * shape[w.DILATION_W]
                    if (row, column) == divmod(pixel, int(shape[w.IN_W])):
                        found.append((ky, kx, (oy * shape[w.OUT_W] + ox) * shape[w.OUT_C]))
    for n, (ky, kx, first) in enumerate(sorted(found)):
        windows[n] = first, ky, shape[w.KERNEL_W] - 1 - kx
    return len(found)


def rows_over(pixel, shape, windows):
    """Windows of a row belong together; the first target meets the pixel at its right end."""
    whole = np.zeros((int(shape[w.KERNEL_H] * shape[w.KERNEL_W]), 3), np.int64)
    found = whole[: windows_over(pixel, shape, whole)]
    rows = np.unique(found[:, 1])
    for n, ky in enumerate(rows):
        row = found[found[:, 1] == ky]
        windows[n] = row[row[:, 0].argmin()]
    return len(rows), len(found) // max(1, len(rows))


def conv_events(current, unit, amount, n_events, weight, shape):
    """Every target looks whether the event lies under its window."""
    in_w, in_c, out_h, out_w, out_c = (int(shape[i]) for i in (w.IN_W, w.IN_C, w.OUT_H, w.OUT_W, w.OUT_C))
    groups = int(shape[w.GROUPS])
    added = graded = 0
    for e in range(n_events):
        u = int(unit[e])
        c, x, y = u % in_c, u // in_c % in_w, u // in_c // in_w
        for oy in range(out_h):
            for ox in range(out_w):
                for ky in range(int(shape[w.KERNEL_H])):
                    for kx in range(int(shape[w.KERNEL_W])):
                        row = oy * shape[w.STRIDE_H] - shape[w.PAD_TOP] + ky * shape[w.DILATION_H]
                        column = ox * shape[w.STRIDE_W] - shape[w.PAD_LEFT] + kx * shape[w.DILATION_W]
                        if row != y or column != x:
                            continue
                        for co in range(out_c):
                            if co // (out_c // groups) == c // (in_c // groups):
                                at = (oy * out_w + ox) * out_c + co
                                factor = weight[c, ky, -1 - kx, co % (out_c // groups)]
                                current[at] = current[at] + amount[e] * factor
                                added += 1
                                graded += abs(amount[e]) != 1
    return added, graded


def one_to_one_events(current, unit, amount, n_events, weight, index):
    reached = [e for e in range(n_events) if index[unit[e]] != -1]
    for e in reached:
        current[index[unit[e]]] += amount[e] * weight
    return len(reached), int((abs(amount[reached]) != 1).sum())


def fire_integrate(potential, current, count, threshold, subtract, most, flags, unit, amount):
    n_events = 0
    for i in range(potential.size):
        potential[i] = potential[i] + current[i]
        if potential[i] < threshold[i]:
            continue
        spikes = min(math.floor(potential[i] / threshold[i]), most) if most > 1 else 1
        potential[i] = potential[i] - spikes * threshold[i] if subtract else 0
        count[i] += spikes
        unit[n_events], amount[n_events] = i, spikes
        n_events += 1
    return n_events


def fire_signed(potential, current, count, threshold, levels, most, unit, amount):
    n_events = 0
    for i in range(potential.size):
        potential[i] = potential[i] + current[i]
        low, high = -min(most, int(count[i])), min(most, levels - int(count[i]))
        spikes = min(max(math.floor(potential[i] / threshold[i]), low), high)
        if spikes == 0:
            continue
        potential[i] = potential[i] - spikes * threshold[i]
        count[i] += spikes
        unit[n_events], amount[n_events] = i, spikes
        n_events += 1
    return n_events


def fire_few(potential, current, count, alpha, place, unit, amount):
    n_events = 0
    for i in range(potential.size):
        potential[i] = potential[i] + current[i]
        worth = type(potential[i])(2.0**-place)
        if place < 1 or potential[i] < worth * alpha[i]:
            continue
        potential[i] = potential[i] - worth * alpha[i]
        count[i] += 1
        unit[n_events], amount[n_events] = i, worth
        n_events += 1
    return n_events


def fire_first(potential, current, count, resolution, left, continuous, unit, amount):
    n_events = 0
    for i in range(potential.size):
        potential[i] = potential[i] + current[i]
        room = potential[i] / resolution[i]
        ready = left - 1 < room if continuous else left <= room
        if left > 0 and count[i] == 0 and ready:
            count[i] = 1
            unit[n_events], amount[n_events] = i, min(room, left) if continuous else left
            n_events += 1
    return n_events


def pass_on(potential, current, flags, unit, amount):
    n_events = 0
    for i in np.flatnonzero(current):
        unit[n_events], amount[n_events] = i, current[i]
        potential[i] += current[i]
        n_events += 1
    return n_events


def pass_maximum(potential, total, shape, unit, amount):
    in_h, in_w, c = (int(shape[i]) for i in (w.IN_H, w.IN_W, w.OUT_C))
    maps = total.reshape(in_h, in_w, c)
    n_events = 0
    for i in range(potential.size):
        oy, ox, channel = i // c // int(shape[w.OUT_W]), i // c % int(shape[w.OUT_W]), i % c
        rows = oy * shape[w.STRIDE_H] - shape[w.PAD_TOP] + np.arange(shape[w.KERNEL_H]) * shape[w.DILATION_H]
        columns = (
            ox * shape[w.STRIDE_W] - shape[w.PAD_LEFT] + np.arange(shape[w.KERNEL_W]) * shape[w.DILATION_W]
        )
        seen = [maps[y, x, channel] for y in rows for x in columns if 0 <= y < in_h and 0 <= x < in_w]
        best = max(seen, default=-math.inf)
        if best != potential[i]:
            unit[n_events], amount[n_events] = i, best - potential[i]
            potential[i] = best
            n_events += 1
    return n_events
