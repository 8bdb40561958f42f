"""The synapses of a rule of layers, one by one: what a core stores, a spike reaches, and files list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError
from snnsim.layers import Conv, Dense, Into, SumPool, Window
from snnsim.projection import Projection


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses ordered by source, then target; units as the user counts them.

    source, target  int64[n]
    weight          float64[n]
    first           int64[n_source + 1]: where the synapses of each source begin
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    first: np.ndarray

    def only(self, which: np.ndarray) -> Synapses:
        """Those that are chosen, bool[n]."""
        source = self.source[which]
        first = np.searchsorted(source, np.arange(self.first.size))
        return Synapses(source, self.target[which], self.weight[which], first)


def synapses(projection: Projection, where: str = "projection") -> Synapses:
    """Every synapse, those with weight zero too; places in the padding of a window are none.

    Raises TargetError for rules that have no synapses (maxima), or are drawn.
    """
    rule, scale = projection.rule, float(projection.weight)  # type: ignore[arg-type]
    if isinstance(rule, Dense):
        n_target, n_source = rule.weight.shape
        source = np.repeat(np.arange(n_source), n_target)
        target = np.tile(np.arange(n_target), n_source)
        return _ordered(source, target, scale * rule.weight.T.ravel(), n_source)
    if isinstance(rule, Into):
        source = np.arange(rule.n_source)
        return _ordered(source, rule.offset + source, np.full(rule.n_source, scale), rule.n_source)
    if isinstance(rule, Conv):
        return _window(rule, rule.weight * scale, rule.groups)
    if isinstance(rule, SumPool):
        weight = np.full((rule.n_channels, 1, rule.kernel_h, rule.kernel_w), scale)
        return _window(rule, weight, rule.n_channels)
    raise TargetError(
        "the rule has no synapses of its own",
        where=f"{where}.rule", got=rule.KIND,
        expected=", ".join(known.KIND for known in (Dense, Conv, SumPool, Into)),
    )  # fmt: skip


def _window(rule: Window, weight: np.ndarray, groups: int) -> Synapses:
    """A convolution with weight[target channel, source channel in its group, row, column]."""
    (out_h, out_w), (c_out, in_group, kernel_h, kernel_w) = rule.target_map(), weight.shape
    row = np.arange(out_h) * rule.stride_h + np.arange(kernel_h)[:, None] * rule.dilation_h - rule.pad_top
    column = np.arange(out_w) * rule.stride_w + np.arange(kernel_w)[:, None] * rule.dilation_w - rule.pad_left
    in_rows, in_columns = (row >= 0) & (row < rule.height), (column >= 0) & (column < rule.width)
    ky, oy, kx, ox = np.nonzero(in_rows[:, :, None, None] & in_columns)
    pixel_in, pixel_out = row[ky, oy] * rule.width + column[kx, ox], oy * out_w + ox
    group = np.arange(c_out) // (c_out // groups)
    channel = group[:, None] * in_group + np.arange(in_group)
    shape = c_out, in_group, ky.size
    source = channel[:, :, None] * (rule.height * rule.width) + pixel_in
    target = np.broadcast_to(np.arange(c_out)[:, None, None] * (out_h * out_w) + pixel_out, shape)
    return _ordered(source.ravel(), target.ravel(), weight[:, :, ky, kx].ravel(), rule.sizes()[0])


def _ordered(source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_source: int) -> Synapses:
    order = np.lexsort((target, source))
    source = source[order]
    first = np.searchsorted(source, np.arange(n_source + 1))
    return Synapses(source, target[order], np.asarray(weight[order], np.float64), first)
