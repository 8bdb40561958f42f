"""Statistics by which realisations of a spiking network are compared: rates, irregularity, correlations.

The recipe is that of the reference data of INM-6/microcircuit-PD14-model: of each population
    rates  spikes a second of every cell, silent ones included
    cv     coefficient of variation of the intervals of every cell with at least 3 spikes
    cc     Pearson correlation of spike counts in bins of 2 ms, of all pairs of 250 cells drawn from all;
           pairs with a silent cell have none
and two realisations are compared by the Kolmogorov-Smirnov distance of their distributions.  Beside them, one
number a population, since distributions of single cells and pairs hardly show it:
    synchrony  variance over mean of the spike count of the whole population in bins of 2 ms
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnsim.metrics import cv_isi, fano_factor, pairwise_correlation, rates_hz, spike_counts

Floats = NDArray[np.float64]
Realisation = Mapping[str, Mapping[str, Floats]]
"""A distribution for each statistic of each population: realisation["L4E"]["cv"]."""

STATISTICS = ("rates", "cv", "cc")
SUMMARISED = (*STATISTICS, "synchrony")
MIN_ISIS, BIN_MS, SAMPLE, SAMPLE_SEED = 2, 2.0, 250, 12345
CV_BIN = 0.05
RATIO_LIMIT = 2.0
"""How far a reference may lie from our realisations, in distances between two of ours."""


def describe(
    steps: np.ndarray, ids: np.ndarray, n: int, dt_ms: float, t0_ms: float, t1_ms: float
) -> dict[str, Floats]:
    """The statistics of one population in [t0, t1).

    steps int[S], ids int[S]   its spikes; step s is at s * dt
    rates float64[n] in Hz, cv float64[cells with MIN_ISIS intervals], cc float64[pairs], synchrony float64[1]
    """
    times = steps * dt_ms
    edge = 1e-3 * dt_ms  # products of steps and dt are rounded
    inside = (times >= t0_ms - edge) & (times < t1_ms - edge)
    times, ids = times[inside], np.asarray(ids)[inside].astype(np.int64)
    drawn = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(n)[:SAMPLE])
    own = np.isin(ids, drawn)
    rank = np.searchsorted(drawn, ids[own])
    counts = spike_counts(times[own], rank, drawn.size, BIN_MS, t0_ms, t1_ms)
    together = spike_counts(times, np.zeros_like(ids), 1, BIN_MS, t0_ms, t1_ms)
    return {
        "rates": rates_hz(ids, n, t1_ms - t0_ms),
        "cv": cv_isi(times, ids, min_isis=MIN_ISIS).cv,
        "cc": pairwise_correlation(counts, sample=None),
        "synchrony": fano_factor(together),
    }


def ks_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Largest difference of two empirical distribution functions; NaN where either has no value.

    D = max_x |F_a(x) - F_b(x)|     Source: Smirnov 1939; the statistic of scipy.stats.ks_2samp.
    """
    a, b = np.sort(np.asarray(a, dtype=np.float64)), np.sort(np.asarray(b, dtype=np.float64))
    if not (a.size and b.size):
        return math.nan
    x = np.concatenate([a, b])
    below = np.searchsorted(a, x, side="right") / a.size, np.searchsorted(b, x, side="right") / b.size
    return float(np.abs(below[0] - below[1]).max())


def cv_peak(cv: ArrayLike) -> float:
    """Centre of the fullest bin of CV_BIN; NaN without values."""
    bins, count = np.unique(np.floor(np.asarray(cv) / CV_BIN + 1e-9), return_counts=True)
    return (float(bins[count.argmax()]) + 0.5) * CV_BIN if bins.size else math.nan


def distances(a: Sequence[Floats], b: Sequence[Floats] | None = None) -> Floats:
    """KS distances of all pairs within `a`, or of every member of `a` to every one of `b`."""
    pairs = combinations(a, 2) if b is None else ((x, y) for x in a for y in b)
    return np.array([ks_distance(x, y) for x, y in pairs])


def compare(ours: Sequence[Realisation], theirs: Sequence[Realisation], name: str) -> dict[str, Any]:
    """Distances of one population, by statistic: among ours, among theirs, and between.

    ratio   mean distance between ours and theirs over the mean distance among ours
    passed  ratio <= RATIO_LIMIT; None where either mean is not there
    """
    found = {}
    for statistic in STATISTICS:
        own = [realisation[name][statistic] for realisation in ours]
        other = [realisation[name][statistic] for realisation in theirs]
        entry: dict[str, Any] = {"among_seeds": _spread(distances(own))}
        if theirs:
            among, between = entry["among_seeds"], _spread(distances(own, other))
            entry |= {"among_reference": _spread(distances(other)), "to_reference": between}
            if among and between and among["mean"] > 0:
                entry["ratio"] = between["mean"] / among["mean"]
                entry["passed"] = entry["ratio"] <= RATIO_LIMIT
            else:
                entry["ratio"] = entry["passed"] = None
        found[statistic] = entry
    return found


def _spread(values: Floats) -> dict[str, Any] | None:
    """None without any pair, or where a distribution is empty."""
    if not values.size or np.isnan(values).any():
        return None
    least, mean, most = (float(f(values)) for f in (np.min, np.mean, np.max))
    return {"pairs": values.size, "min": least, "mean": mean, "max": most}


def summarise(realisations: Sequence[Realisation], name: str) -> dict[str, Any]:
    """Means of one population in each realisation, and of those their mean and standard deviation."""
    found: dict[str, Any] = {}
    for statistic in SUMMARISED:
        means = [_mean(realisation[name][statistic]) for realisation in realisations]
        found[statistic] = {"mean": _mean(means), "sd": _sd(means), "values": means}
    pooled = np.concatenate([realisation[name]["cv"] for realisation in realisations])
    found["cv"]["peak"] = cv_peak(pooled)
    found["cv"]["cells"] = [int(realisation[name]["cv"].size) for realisation in realisations]
    found["cc"]["pairs"] = [int(realisation[name]["cc"].size) for realisation in realisations]
    return found


def z_score(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    """Difference of two means of `summarise` over its standard error, taking both to spread as ours do."""
    if ours["sd"] is None or not ours["sd"] > 0:
        return None
    n = 1 / len(ours["values"]) + 1 / len(theirs["values"])
    return float((ours["mean"] - theirs["mean"]) / (ours["sd"] * math.sqrt(n)))


def _mean(values: ArrayLike) -> float:
    found = np.asarray(values)
    return float(found.mean()) if found.size else math.nan


def _sd(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
