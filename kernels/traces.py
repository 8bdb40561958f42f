"""Learning from traces as Loihi-style chips do: traces of seven bits, and weights that change by epochs.

    trace  x <- floor(x d + r), and at a spike x <- min(x + floor(impulse + r), 127)      r uniform in [0, 1)
    weight w <- clip(w + g floor(dw / g + r))                   once an epoch, on a grid with step g

    dw = sum of products:  c, where its condition holds, times factors (variable + constant, or a sign)

The roundings make the expected values exact; chips draw their random numbers otherwise, so single values
differ from theirs and averages do not.
Twin: tests/oracle_traces.py.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from snnsim.kernels.random import subkey, uniform01

MOST = 127
PRE, POST, ALWAYS = range(3)  # a product counts where: the source fired, the target fired, every 2^k epochs
X1, X2, Y1, Y2, Y3, WEIGHT = range(6)


class Products(NamedTuple):
    """A sum of products; factors of product p are ptr[p] to ptr[p + 1]."""

    condition: np.ndarray  # int64[n_products]
    every: np.ndarray  # int64[n_products]  epochs, for ALWAYS
    scale: np.ndarray  # float64[n_products]
    ptr: np.ndarray  # int64[n_products + 1]
    variable: np.ndarray  # int64[n_factors]
    added: np.ndarray  # int64[n_factors]
    sign: np.ndarray  # int64[n_factors]  1: only the sign of the sum counts


@njit(cache=True, nogil=True, error_model="numpy")
def advance_traces(trace, history, last, spiked, first, begin, decay, impulse, key):
    """Some steps of the traces of a population, in place.

    trace    int64[n_traces, n]           0 to 127                              changed
    history  int64[n_traces, n_epoch, n]  after each step of the epoch          written
    last     int64[n]                     step in the epoch of the last spike   changed
    spiked   uint8[n_steps, n]
    first    place of the first of these steps in the epoch; `begin` is its number in the run
    decay    float64[n_traces]            what is left after a step, exp(-1 / tau)
    impulse  float64[n_traces]            added at a spike
    """
    n_traces, n = trace.shape
    for s in range(spiked.shape[0]):
        for c in range(n_traces):
            own = subkey(subkey(key, begin + s), c)
            for i in range(n):
                x = np.int64(np.floor(trace[c, i] * decay[c] + uniform01(own, 2 * i)))
                if spiked[s, i] != 0:
                    x += np.int64(np.floor(impulse[c] + uniform01(own, 2 * i + 1)))
                trace[c, i] = min(x, MOST)
            history[c, first + s] = trace[c]
        for i in range(n):
            if spiked[s, i] != 0:
                last[i] = first + s


@njit(cache=True, nogil=True, error_model="numpy")
def learn_epoch(weight, x, y, x_last, y_last, epoch, products, low, high, step, key):
    """Change the weights at the end of an epoch, in place.

    weight          float64[n_source, n_target]  whole, on the grid                  changed
    x               int64[2, n_steps, n_source]  traces x1, x2 after each step of the epoch
    y               int64[3, n_steps, n_target]  traces y1, y2, y3
    x_last, y_last  int64[n]  step in the epoch of the last spike of each, -1: none
    epoch           number of this epoch
    low, high       bounds of weights;  step  of their grid
    Factors are taken when the spike was that the condition asks for, or at the end of the epoch.
    """
    n_source, n_target = weight.shape
    end = x.shape[1] - 1
    for j in range(n_source):
        for i in range(n_target):
            change, w = 0.0, weight[j, i]
            for p in range(products.scale.size):
                if products.condition[p] == PRE:
                    at = x_last[j]
                elif products.condition[p] == POST:
                    at = y_last[i]
                else:
                    at = end if epoch % products.every[p] == 0 else -1
                if at < 0:
                    continue
                product = products.scale[p]
                for f in range(products.ptr[p], products.ptr[p + 1]):
                    variable, factor = products.variable[f], np.float64(products.added[f])
                    if variable <= X2:
                        factor += x[variable, at, j]
                    elif variable <= Y3:
                        factor += y[variable - Y1, at, i]
                    elif variable == WEIGHT:
                        factor += w
                    product *= np.sign(factor) if products.sign[f] != 0 else factor
                change += product
            if change != 0.0:
                r = uniform01(subkey(key, epoch), j * n_target + i)
                weight[j, i] = min(max(w + step * np.floor(change / step + r), low), high)
