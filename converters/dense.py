"""What a layered network computes when all its input is there at once: integers, without any time.

Written on its own, as a check of the event-driven kernels: matrices and windows in numpy, nothing shared with
them but the description.  With weights on the grid of converters/exact.py every sum is exact, in any order,
so products of matrices are left to BLAS.
"""

from __future__ import annotations

import numpy as np

from snnsim.converters import windows
from snnsim.converters.products import product
from snnsim.errors import ConversionError
from snnsim.layer_neurons import Maximum, Readout, Relay, SignedIF
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, Window
from snnsim.network import Network


def evaluate(network: Network, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """float64[n_samples, n] by population: counts of signed neurons, sums of the others.

    inputs  float64[n_samples, n]  total amounts
    """
    found = {name: np.asarray(value, dtype=np.float64) for name, value in inputs.items()}
    for name in network.populations:  # each after those that lead to it
        found[name] = emitted(network, name, arriving(network, name, found))
    return found


def arriving(network: Network, name: str, found: dict[str, np.ndarray]) -> np.ndarray:
    """float64[n_samples, n]: what reaches population `name` in all, without its bias."""
    total = np.zeros((len(next(iter(found.values()))), network.populations[name].n))
    for p in network.projections.values():
        if p.target == name:
            total += float(p.weight) * apply(p.rule, found[p.source])  # type: ignore[arg-type]
    return total


def emitted(network: Network, name: str, total: np.ndarray) -> np.ndarray:
    """float64[n_samples, n]: what population `name` makes of all that reaches it."""
    neuron = network.populations[name].unit
    if isinstance(neuron, SignedIF):
        z = total + np.asarray(neuron.bias_mv)
        levels = np.floor((z + np.asarray(neuron.v_init_mv)) / np.asarray(neuron.v_th_mv))
        return np.clip(levels, 0, neuron.levels)
    if isinstance(neuron, Readout):
        return total + np.asarray(neuron.bias_mv)
    if not isinstance(neuron, Relay | Maximum):
        raise ConversionError(
            "no integer form", where=f"populations.{name}", got=neuron.KIND, expected="signed_if"
        )
    return total


def apply(rule: LayerRule, x: np.ndarray) -> np.ndarray:
    """float64[n_samples, n_target] of a connection rule with weight 1; channel first, as the user counts."""
    if isinstance(rule, Dense):
        return product(x, rule.weight.T)
    if isinstance(rule, Into):
        out = np.zeros((len(x), rule.n_target))
        out[:, rule.offset : rule.offset + rule.n_source] = x
        return out
    if not isinstance(rule, Window):
        raise ConversionError("no dense form", where="rule", got=type(rule).__name__)
    maps, slide = x.reshape(len(x), rule.channels()[0], rule.height, rule.width), _slide(rule)
    if isinstance(rule, Conv):
        found = windows.convolve(maps, rule.weight, slide, rule.groups)
    else:
        found = (windows.maxima if isinstance(rule, MaxPool) else windows.sums)(maps, slide)
    return found.reshape(len(x), -1)


def _slide(rule: Window) -> windows.Slide:
    return windows.Slide(
        rule.kernel(),
        (rule.stride_h, rule.stride_w),
        (rule.pad_top, rule.pad_bottom, rule.pad_left, rule.pad_right),
        (rule.dilation_h, rule.dilation_w),
        bool(getattr(rule, "ceil_mode", False)),
    )
