"""What the layers of a trained network compute, and how far an event of a spiking one reaches: counts.

All of them are exact at borders, for strides, dilations and groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters import windows
from snnsim.converters.products import parts, product
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, Window


@dataclass(frozen=True)
class SourceLayer:
    """Operations of one layer of the trained network for one input, the last as mean over inputs.

    dense_macs      every weight times every place it looks at, zeros of the padding among them
    in_map_macs     without the places in the padding
    biases          values that a bias is added to
    others          additions of pools and sums, comparisons of maxima and activations
    effective_macs  where neither the weight nor the value is zero
    outputs         values it gives
    silent          of them zero, the mean over inputs
    """

    name: str
    path: str
    dense_macs: int
    in_map_macs: int
    biases: int
    others: int
    effective_macs: float
    outputs: int
    silent: float


def source_layers(graph: g.Graph, inputs: np.ndarray) -> tuple[SourceLayer, ...]:
    """Every node that computes, in order; inputs float64[n_samples, *shape]."""
    counted = [node for node in graph.nodes if not isinstance(node, g.Input | g.Flatten | g.Concat)]
    effective = dict.fromkeys((node.name for node in counted), 0)
    silent = dict.fromkeys(effective, 0)
    for part in parts(len(inputs), graph.size, most=64):
        values = graph.evaluate(inputs[part])
        for node in counted:
            effective[node.name] += int(multiplications(node, values[node.inputs[0]] != 0).sum())
            silent[node.name] += int(np.count_nonzero(values[node.name] == 0))
    found = []
    for node in counted:
        before = graph[node.inputs[0]].shape
        everywhere = int(multiplications(node, np.ones((1, *before), dtype=bool), zeros=True)[0])
        found.append(
            SourceLayer(
                node.name, node.path, _dense_macs(node), everywhere,
                prod(node.shape) if isinstance(node, g.Linear | g.Conv | g.Affine) else 0,
                _others(node, before), effective[node.name] / len(inputs),
                prod(node.shape), silent[node.name] / len(inputs),
            )
        )  # fmt: skip
    return tuple(found)


def activation_sparsity(graph: g.Graph, layers: tuple[SourceLayer, ...]) -> float:
    """Share of the values of all ReLUs that are zero."""
    names = {node.name for node in graph.nodes if isinstance(node, g.ReLU)}
    found = [layer for layer in layers if layer.name in names]
    return sum(layer.silent for layer in found) / max(sum(layer.outputs for layer in found), 1)


def sparsity(weights: list[np.ndarray]) -> float:
    """Share of all weights that are zero."""
    return sum(int(np.count_nonzero(w == 0)) for w in weights) / max(sum(w.size for w in weights), 1)


def multiplications(node: g.Node, present: np.ndarray, *, zeros: bool = False) -> np.ndarray:
    """int64[n]: products of a layer for the values that are `present`, bool[n, *shape of its input].

    zeros  count weights that are zero too
    Sums over target channels first, so a convolution costs as one with a single channel in each group.
    """
    x = present.astype(np.float64)
    if isinstance(node, g.Linear):
        per_source = (np.ones_like(node.weight) if zeros else node.weight != 0).sum(axis=0)
        found = product(x, per_source)
    elif isinstance(node, g.Conv):
        there = np.ones_like(node.weight) if zeros else (node.weight != 0).astype(np.float64)
        per_group = there.reshape(node.groups, -1, *there.shape[1:]).sum(axis=1)
        slide = windows.Slide(
            (there.shape[2], there.shape[3]), node.stride, node.padding, node.dilation, False
        )
        found = windows.convolve(x, per_group, slide, node.groups).reshape(len(x), -1).sum(axis=1)
    elif isinstance(node, g.Affine):
        there = np.ones_like(node.scale) if zeros else node.scale != 0
        found = (x.reshape(len(x), there.size, -1) * there[None, :, None]).sum(axis=(1, 2))
    else:
        found = np.zeros(len(x))
    return np.rint(found).astype(np.int64)


def _dense_macs(node: g.Node) -> int:
    if isinstance(node, g.Linear):
        return int(node.weight.size)
    if isinstance(node, g.Conv):
        return int(node.weight.size) * prod(node.shape[1:])
    return prod(node.shape) if isinstance(node, g.Affine) else 0


def _others(node: g.Node, before: g.Shape) -> int:
    """Additions and comparisons beside the products and the biases."""
    if isinstance(node, g.Pool):
        size = (before[1], before[2])
        return before[0] * int(windows.sums(np.ones((1, 1, *size)), node.slide).sum())
    if isinstance(node, g.Add):
        return (len(node.inputs) - 1) * prod(node.shape)
    if isinstance(node, g.ReLU):
        return prod(node.shape) * (1 if node.cap is None else 2)
    return 0


def fan_out(rule: LayerRule) -> np.ndarray:
    """int64[n_source]: how many targets an event of each unit reaches; channel first, as the user counts."""
    n_source, n_target = rule.sizes()
    if isinstance(rule, Dense):
        return np.full(n_source, n_target, dtype=np.int64)
    if isinstance(rule, Into):
        return np.ones(n_source, dtype=np.int64)
    if not isinstance(rule, Window):
        raise TypeError(f"not a rule of layers: {rule!r}")
    c_in, c_out = rule.channels()
    width = c_out // rule.groups if isinstance(rule, Conv) else 1
    return np.tile((places(rule) * width).ravel(), c_in)


def places(rule: Window) -> np.ndarray:
    """int64[height, width]: how many windows each unit of a map lies in."""
    (kernel_h, kernel_w), (out_h, out_w) = rule.kernel(), rule.target_map()
    rows = _windows_over(rule.height, kernel_h, rule.stride_h, rule.pad_top, rule.dilation_h, out_h)
    columns = _windows_over(rule.width, kernel_w, rule.stride_w, rule.pad_left, rule.dilation_w, out_w)
    return np.outer(rows, columns)


def maxima_comparisons(rule: MaxPool) -> int:
    """Values that are looked at to find all maxima of a map."""
    return rule.n_channels * int(places(rule).sum())


def _windows_over(size: int, kernel: int, stride: int, pad: int, dilation: int, out: int) -> np.ndarray:
    seen = np.arange(out)[:, None] * stride - pad + np.arange(kernel)[None, :] * dilation
    return np.bincount(seen[(seen >= 0) & (seen < size)], minlength=size)
