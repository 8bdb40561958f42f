"""Plain-Python twin of kernels/traces.py: one trace and one synapse at a time."""

from __future__ import annotations

import math

import numpy as np

from snnsim.kernels import random
from snnsim.kernels import traces as k
from snnsim.kernels.random import uniform01


def subkey(key, counter):
    return np.uint64(random.subkey(key, counter))  # outside of compiled code it is an int


def advance_traces(trace, history, last, spiked, first, begin, decay, impulse, key):
    for s in range(len(spiked)):
        for c in range(len(trace)):
            own = subkey(subkey(key, begin + s), c)
            for i in range(trace.shape[1]):
                x = math.floor(float(trace[c, i]) * float(decay[c]) + uniform01(own, 2 * i))
                if spiked[s, i]:
                    x += math.floor(float(impulse[c]) + uniform01(own, 2 * i + 1))
                trace[c, i] = min(x, 127)
                history[c, first + s, i] = trace[c, i]
        for i in range(trace.shape[1]):
            if spiked[s, i]:
                last[i] = first + s


def learn_epoch(weight, x, y, x_last, y_last, epoch, products, low, high, step, key):
    for j in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            values = {
                k.X1: lambda at, j=j: x[0, at, j], k.X2: lambda at, j=j: x[1, at, j],
                k.Y1: lambda at, i=i: y[0, at, i], k.Y2: lambda at, i=i: y[1, at, i],
                k.Y3: lambda at, i=i: y[2, at, i], k.WEIGHT: lambda at, j=j, i=i: weight[j, i],
            }  # fmt: skip
            change = 0.0
            for p in range(len(products.scale)):
                always = x.shape[1] - 1 if epoch % products.every[p] == 0 else -1
                at = {k.PRE: x_last[j], k.POST: y_last[i], k.ALWAYS: always}[products.condition[p]]
                if at < 0:
                    continue
                product = products.scale[p]
                for f in range(products.ptr[p], products.ptr[p + 1]):
                    factor = float(values[products.variable[f]](at) + products.added[f])
                    if products.sign[f]:
                        factor = (factor > 0) - (factor < 0)
                    product *= factor
                change += product
            if change:
                r = uniform01(subkey(key, epoch), j * weight.shape[1] + i)
                weight[j, i] = min(max(weight[j, i] + step * math.floor(change / step + r), low), high)
