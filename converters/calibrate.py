"""Thresholds from activations on calibration data."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from snnsim.converters.graph import Graph, ReLU
from snnsim.converters.products import parts
from snnsim.errors import ConfigError

_CANDIDATES = 95  # thresholds that are tried: the largest activation times 1, 0.99, ... (SNNC's grid)
_SAMPLES = 8192  # activations of a channel that are looked at
_LEAST = 1e-6  # threshold of a channel that is never active, relative to its layer
_KEPT_BYTES = 2**25  # of the values of an activation


@dataclass(frozen=True)
class Activations:
    """What every ReLU of the source gives on calibration data, in bounded memory.

    values   float64[n_samples, channels, m] by activation: at the same m places of each map, as many as fit
             into 32 MB for all samples; all places where they fit, one at least
    places   int64[m] by activation: which
    means    float64[*shape] by activation: over all samples
    tops     float64[channels] by activation: the largest of all values
    outputs  float64[n_samples, n] of the last node
    """

    values: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    means: dict[str, np.ndarray]
    tops: dict[str, np.ndarray]
    outputs: np.ndarray


def activations(graph: Graph, inputs: np.ndarray) -> Activations:
    """Evaluate the source for float64[n_samples, *shape], a part of the samples at a time."""
    n, rng = len(inputs), np.random.default_rng(0)
    found = Activations({}, {}, {}, {}, np.empty((n, prod(graph.output.shape))))
    for node in graph.nodes:
        if isinstance(node, ReLU):
            channels, size = node.shape[0], prod(node.shape[1:])
            kept = min(max(_KEPT_BYTES // (8 * n * channels), 1), size)
            found.places[node.name] = np.sort(rng.permutation(size)[:kept])
            found.values[node.name] = np.empty((n, channels, kept))
            found.means[node.name] = np.zeros(node.shape)
            found.tops[node.name] = np.zeros(channels)
    for part in parts(n, graph.size, most=64):
        values = graph.evaluate(inputs[part])
        for name, places in found.places.items():
            maps = values[name].reshape(*values[name].shape[:2], -1)
            found.values[name][part] = maps[:, :, places]
            found.means[name][...] += values[name].sum(axis=0) / n
            np.maximum(found.tops[name], maps.max(axis=(0, 2)), out=found.tops[name])
        found.outputs[part] = values[graph.output.name].reshape(len(values[graph.output.name]), -1)
    return found


def largest(
    values: np.ndarray, percentile: float = 100.0, *, by_channel: bool = True, silent: bool = False
) -> np.ndarray:
    """float64[channels]: a percentile of the values of each channel, or of the layer for all.

    silent  values that are zero count too
    Source: Diehl et al. 2015 (100), Rueckauer et al. 2017 (99.9 of the active values).
    """
    rows = by_channels(values)
    if not by_channel:
        top = _alive(np.array([_percentile(rows.reshape(-1), percentile, silent)]))
        return np.repeat(top, rows.shape[0])
    return _alive(np.array([_percentile(row, percentile, silent) for row in rows]))


def balanced(graph: Graph, inputs: np.ndarray, share: int = 16) -> dict[str, np.ndarray]:
    """float64[channels] by activation: local threshold balancing, `share` samples at a time.

    theta_c <- theta_c + 2 mean(max(a_c - theta_c, 0)), from 0;  the next layer gets min(a_c, theta_c)
    Source: Bu et al. 2025.
    """
    found: dict[str, np.ndarray] = {}
    for low in range(0, len(inputs), share):
        values = {graph.input.name: inputs[low : low + share]}
        for node in graph.nodes[1:]:
            value = node.value(*(values[name] for name in node.inputs))
            if isinstance(node, ReLU):
                others = (0, *range(2, value.ndim))
                theta = found.get(node.name, np.zeros(value.shape[1]))
                per_channel = (-1,) + (1,) * (value.ndim - 2)
                excess = np.maximum(value - theta.reshape(per_channel), 0.0)
                found[node.name] = theta = theta + 2.0 * excess.mean(axis=others)
                value = np.minimum(value, theta.reshape(per_channel))
            values[node.name] = value
    return {name: _alive(theta) for name, theta in found.items()}


def least_squares(values: np.ndarray, tops: np.ndarray, levels: int) -> np.ndarray:
    """float64[channels]: the threshold of each channel whose `levels` multiples are nearest to its values.

    values  float64[n_samples, channels, ...];  tops  float64[channels]  the largest of all

    theta levels = c top, c in 1, 0.99, ...: the least mean of (a - theta clip(floor(a / theta + 1/2), 0,
    levels))**2.  Source: Li et al. 2021 (SNNC), the grid; Bu et al. 2022, the rounding.
    """
    found = []
    for row, top in zip(by_channels(values), tops.tolist(), strict=True):
        active = row[row > 0]
        if not active.size:  # the places that are kept may all be silent
            found.append(top / levels)
            continue
        active = active[:: max(1, active.size // _SAMPLES)]
        theta = top * (1 - 0.01 * np.arange(_CANDIDATES)) / levels
        count = np.clip(np.floor(active[None, :] / theta[:, None] + 0.5), 0, levels)
        found.append(float(theta[np.argmin(((active - theta[:, None] * count) ** 2).mean(axis=1))]))
    return _alive(np.array(found))


def by_channels(values: np.ndarray) -> np.ndarray:
    """[n_samples, channels, ...] as [channels, all others]."""
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)


def _percentile(row: np.ndarray, percentile: float, silent: bool) -> float:
    counted = row if silent else row[row > 0]
    return float(np.percentile(counted, percentile)) if counted.size else 0.0


def _alive(theta: np.ndarray) -> np.ndarray:
    """Channels that were never active get the largest threshold of their layer."""
    top = float(theta.max(initial=0.0))
    return np.where(theta > _LEAST * top, theta, top) if top > 0 else np.ones_like(theta)


def check_calibration(graph: Graph, inputs: np.ndarray) -> np.ndarray:
    """Calibration data as float64[n_samples, *shape]; ConfigError when they do not fit the model."""
    values = np.asarray(inputs)
    size = int(np.prod(graph.nodes[0].shape))
    if values.ndim < 2 or values.shape[0] == 0 or values.dtype.kind not in "iuf" or values[0].size != size:
        raise ConfigError(
            "calibration data that do not fit the model",
            where="calibration",
            got=f"{values.dtype}{list(values.shape)}",
            expected=f"numbers [n_samples, {', '.join(map(str, graph.nodes[0].shape))}]",
        )
    values = values.astype(np.float64).reshape(len(values), *graph.nodes[0].shape)
    if not np.isfinite(values).all():
        raise ConfigError("not a finite number", where="calibration", code="config.not_finite")
    return values
