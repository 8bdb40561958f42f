"""Numbers that describe spike trains: rates, irregularity, synchrony.

A spike train is two arrays of one length: `times_ms` float64[S] in ms and `ids` int[S], the index of
the neuron within its population of n neurons. The order of the spikes does not matter. A quantity
that is not defined (no spike, too few intervals) is NaN, never zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnsim.errors import ConfigError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ON_THE_EDGE = 1e-6
"""Part of a bin. Times are steps times dt and so rounded: a spike this close below an edge is on it."""


class CvIsi(NamedTuple):
    """ids int64[K] of the neurons with enough intervals, their cv float64[K], and its mean over them."""

    ids: Ints
    cv: Floats
    mean: float


def rates_hz(ids: ArrayLike, n: int, duration_ms: float) -> Floats:
    """Mean rate of every neuron in spikes a second, float64[n].

    rate_i = 1000 * (number of spikes of neuron i) / duration_ms
    Raises ConfigError: an id outside 0..n-1, a duration that is not positive.
    """
    _require_positive(duration_ms, "duration_ms")
    counts = np.bincount(_ids(ids, n), minlength=n).astype(np.float64)
    return counts * (1000.0 / duration_ms)


def cv_isi(times_ms: ArrayLike, ids: ArrayLike, min_isis: int = 2) -> CvIsi:
    """Coefficient of variation of the inter-spike intervals of every neuron, and its mean over neurons.

    CV = sqrt(mean((T - mean T)^2)) / mean T     T: intervals of one neuron; 1 = Poisson, 0 = regular
    min_isis   neurons with fewer intervals are left out; at least 1. Few intervals bias CV downwards.
    The mean is NaN where no neuron is left. A neuron whose intervals are all zero has CV NaN.
    Source: Softky & Koch 1993; population standard deviation as in Elephant's `cv`.
    """
    if min_isis < 1:
        raise ConfigError("too few intervals", where="min_isis", got=min_isis, expected="at least 1")
    times, neurons = _train(times_ms, ids)
    _ids(neurons, 2**32)
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        times, neurons = times[order], neurons[order]
    # NumPy sorts 16-bit integers by their digits, in linear time; a train is mostly in time order already.
    for shift in (0, 16) if neurons.max(initial=0) >= 2**16 else (0,):
        order = np.argsort((neurons >> shift).astype(np.uint16), kind="stable")
        times, neurons = times[order], neurons[order]
    same = neurons[1:] == neurons[:-1]
    found = neurons[np.concatenate([np.full(min(times.size, 1), True), ~same])]  # each neuron once
    intervals, owner = np.diff(times)[same], np.cumsum(~same)[same]  # owner: place in found
    count = np.bincount(owner, minlength=found.size)
    kept = np.flatnonzero(count >= min_isis)
    if not kept.size:
        return CvIsi(found[kept], np.empty(0), float("nan"))
    # Two passes: the difference of large squares would lose the digits of a regular train.
    mean = np.bincount(owner, weights=intervals, minlength=found.size) / np.maximum(count, 1)
    squares = np.bincount(owner, weights=(intervals - mean[owner]) ** 2, minlength=found.size)
    variance = squares[kept] / count[kept]
    cv = np.full(kept.size, np.nan)
    np.divide(np.sqrt(variance), mean[kept], out=cv, where=mean[kept] > 0)
    defined = cv[~np.isnan(cv)]
    return CvIsi(found[kept], cv, float(defined.mean()) if defined.size else float("nan"))


def rate_over_time(
    times_ms: ArrayLike, n: int, bin_ms: float, t0_ms: float, t1_ms: float
) -> tuple[Floats, Floats]:
    """Mean rate of a population in time: bin centres in ms and rates in spikes a second per neuron.

    rate_k = 1000 * (spikes in bin k) / (n * bin_ms)     bin k: [t0 + k bin, t0 + (k+1) bin)
    Both float64[B], B = floor((t1 - t0) / bin); a rest shorter than a bin is left out.
    """
    _require_positive(n, "n")
    n_bins = _n_bins(bin_ms, t0_ms, t1_ms)
    bins, _ = _bin_of(np.asarray(times_ms, dtype=np.float64), n_bins, bin_ms, t0_ms)
    counts = np.bincount(bins, minlength=n_bins).astype(np.float64)
    return t0_ms + bin_ms * (np.arange(n_bins, dtype=np.float64) + 0.5), counts * (1000.0 / (n * bin_ms))


def spike_counts(
    times_ms: ArrayLike, ids: ArrayLike, n: int, bin_ms: float, t0_ms: float, t1_ms: float
) -> Ints:
    """Spikes of every neuron in every bin, int64[n, B]; bins as in `rate_over_time`."""
    times, neurons = _train(times_ms, ids)
    n_bins = _n_bins(bin_ms, t0_ms, t1_ms)
    bins, inside = _bin_of(times, n_bins, bin_ms, t0_ms)
    return np.bincount(_ids(neurons, n)[inside] * n_bins + bins, minlength=n * n_bins).reshape(n, n_bins)


def pairwise_correlation(counts: ArrayLike, sample: int | None = 250, seed: int = 1) -> Floats:
    """Pearson correlation of the spike counts of all pairs of neurons, float64[m (m - 1) / 2].

    r_ij = cov(c_i, c_j) / sqrt(var c_i * var c_j)     over the bins of counts[n, B]
    sample   number m of neurons, drawn without replacement by `seed` among those whose count varies
             (for the others r is not defined); None takes them all, at a cost of m^2 B.
    Pairs are in the order (0,1), (0,2), .. (1,2) .. of rising index. No pair: an empty array.
    Source: Potjans & Diesmann 2014 use bins of 2 ms and 250 neurons of each population.
    """
    table = np.asarray(counts)
    if table.ndim != 2:
        raise ConfigError("wrong shape", where="counts", got=table.shape, expected="[neurons, bins]")
    varying = np.flatnonzero(np.ptp(table, axis=1) > 0) if table.size else np.empty(0, dtype=np.int64)
    if sample is not None and varying.size > sample:
        varying = np.sort(np.random.default_rng(seed).permutation(varying)[:sample])
    if varying.size < 2:
        return np.empty(0)
    matrix = np.atleast_2d(np.corrcoef(table[varying].astype(np.float64)))
    return matrix[np.triu_indices(varying.size, k=1)]


def fano_factor(counts: ArrayLike) -> NDArray[np.float64]:
    """Variance over mean of spike counts along the last axis; float64 of the other axes.

    F = var(c) / mean(c)     1 = Poisson; NaN where nothing spiked
    counts[n, B] gives one F a neuron; counts.sum(axis=0) gives F of the pooled population, which grows
    with synchrony. Source: Fano 1947; population variance.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim == 0 or table.shape[-1] == 0:
        raise ConfigError("nothing to average", where="counts", got=table.shape, expected="at least one bin")
    mean = table.mean(axis=-1)
    factor = np.full(mean.shape, np.nan)
    np.divide(table.var(axis=-1), mean, out=factor, where=mean > 0)
    return factor


def _train(times_ms: ArrayLike, ids: ArrayLike) -> tuple[Floats, Ints]:
    times, neurons = np.asarray(times_ms, dtype=np.float64), np.asarray(ids)
    if times.ndim != 1 or times.shape != neurons.shape:
        raise ConfigError(
            "times and ids do not fit each other",
            where="times_ms, ids",
            got=(times.shape, neurons.shape),
            expected="two arrays of one length",
        )
    return times, neurons.astype(np.int64, copy=False)


def _ids(ids: ArrayLike, n: int) -> Ints:
    neurons = np.asarray(ids).astype(np.int64, copy=False)
    if neurons.size and (neurons.min() < 0 or neurons.max() >= n):
        got = int(neurons.max()) if neurons.min() >= 0 else int(neurons.min())
        raise ConfigError("no such neuron", where="ids", got=got, expected=f"0 to {n - 1}")
    return neurons


def _n_bins(bin_ms: float, t0_ms: float, t1_ms: float) -> int:
    _require_positive(bin_ms, "bin_ms")
    n_bins = int(np.floor((t1_ms - t0_ms) / bin_ms + ON_THE_EDGE))
    if n_bins < 1:
        raise ConfigError(
            "the window holds no whole bin",
            where="t0_ms, t1_ms",
            got=(t0_ms, t1_ms),
            expected=f"t1 - t0 of at least {bin_ms:g} ms",
        )
    return n_bins


def _bin_of(times: Floats, n_bins: int, bin_ms: float, t0_ms: float) -> tuple[Ints, NDArray[np.bool_]]:
    """The bin of every spike inside the window, and which spikes are inside."""
    bins = np.floor((times - t0_ms) / bin_ms + ON_THE_EDGE)
    inside = (bins >= 0) & (bins < n_bins)
    return bins[inside].astype(np.int64), inside


def _require_positive(value: float, name: str) -> None:
    if not (value > 0 and np.isfinite(value)):
        raise ConfigError("not a positive number", where=name, got=value, expected="> 0")
