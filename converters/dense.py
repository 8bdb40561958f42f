"""What a layered network computes when all its input is there at once: integers, without any time.

Written on its own, as a check of the event-driven kernels: matrices and windows in numpy, nothing shared with
them but the description.  With weights on the grid of converters/exact.py every sum is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snnsim.errors import ConversionError
from snnsim.layer_neurons import Maximum, Readout, Relay, SignedIF
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, Window
from snnsim.network import Network


def evaluate(network: Network, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """float64[n_samples, n] by population: counts of signed neurons, sums of the others.

    inputs  float64[n_samples, n]  total amounts
    """
    found = {name: np.asarray(value, dtype=np.float64) for name, value in inputs.items()}
    for name, population in network.populations.items():  # each after those that lead to it
        n_samples = next(iter(found.values())).shape[0]
        total = np.zeros((n_samples, population.n))
        for p in network.projections.values():
            if p.target == name:
                total += float(p.weight) * apply(p.rule, found[p.source])  # type: ignore[arg-type]
        neuron = population.unit
        if isinstance(neuron, SignedIF):
            z = total + np.asarray(neuron.bias_mv)
            levels = np.floor((z + np.asarray(neuron.v_init_mv)) / np.asarray(neuron.v_th_mv))
            total = np.clip(levels, 0, neuron.levels)
        elif isinstance(neuron, Readout):
            total = total + np.asarray(neuron.bias_mv)
        elif not isinstance(neuron, Relay | Maximum):
            raise ConversionError(
                "no integer form", where=f"populations.{name}", got=neuron.KIND, expected="signed_if"
            )
        found[name] = total
    return found


def apply(rule: LayerRule, x: np.ndarray) -> np.ndarray:
    """float64[n_samples, n_target] of a connection rule with weight 1; channel first, as the user counts."""
    if isinstance(rule, Dense):
        return np.asarray(x @ rule.weight.T)
    if isinstance(rule, Into):
        out = np.zeros((len(x), rule.n_target))
        out[:, rule.offset : rule.offset + rule.n_source] = x
        return out
    if not isinstance(rule, Window):
        raise ConversionError("no dense form", where="rule", got=type(rule).__name__)
    windows = _windows(rule, x, -np.inf if isinstance(rule, MaxPool) else 0.0)
    if isinstance(rule, Conv):
        n, _, h, w = windows.shape[:4]
        grouped = windows.reshape(n, rule.groups, -1, *windows.shape[2:])
        weight = rule.weight.reshape(rule.groups, -1, *rule.weight.shape[1:])
        return np.einsum("ngihwab,goiab->ngohw", grouped, weight, optimize=True).reshape(n, -1)
    reduced = windows.max(axis=(4, 5)) if isinstance(rule, MaxPool) else windows.sum(axis=(4, 5))
    return reduced.reshape(len(x), -1)


def _windows(rule: Window, x: np.ndarray, border: float) -> np.ndarray:
    """[n_samples, channels, rows, columns, kernel rows, kernel columns] of a padded map."""
    c = rule.channels()[0]
    (kernel_h, kernel_w), (out_h, out_w) = rule.kernel(), rule.target_map()
    reach_h = (out_h - 1) * rule.stride_h + (kernel_h - 1) * rule.dilation_h + 1
    reach_w = (out_w - 1) * rule.stride_w + (kernel_w - 1) * rule.dilation_w + 1
    padded = np.full(
        (len(x), c, max(reach_h, rule.pad_top + rule.height), max(reach_w, rule.pad_left + rule.width)),
        border,
    )
    padded[:, :, rule.pad_top : rule.pad_top + rule.height, rule.pad_left : rule.pad_left + rule.width] = (
        x.reshape(len(x), c, rule.height, rule.width)
    )
    span = ((kernel_h - 1) * rule.dilation_h + 1, (kernel_w - 1) * rule.dilation_w + 1)
    view = sliding_window_view(padded, span, axis=(2, 3))  # type: ignore[call-overload]
    return view[:, :, :: rule.stride_h, :: rule.stride_w, :: rule.dilation_h, :: rule.dilation_w][
        :, :, :out_h, :out_w
    ]
