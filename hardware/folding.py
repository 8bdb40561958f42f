"""Pools that only pass on sums, folded into the weights of the connections behind them.

A sum over a window and a convolution of the sums are one convolution with a larger window; so chips without
pooling need no neurons for it.  The result is exact: each weight stands at all places that the pool adds up.
"""

from __future__ import annotations

import numpy as np

from snnsim.errors import TargetError
from snnsim.layer_neurons import Relay
from snnsim.layers import Conv, Dense, LayerRule, SumPool
from snnsim.network import Network
from snnsim.projection import Projection


def fold_pools(network: Network, target: str) -> Network:
    """The same network without relays.  Raises TargetError for pools that cannot be folded."""
    relays = [name for name, p in network.populations.items() if isinstance(p.unit, Relay)]
    for name in relays:
        network = _without(network, name, target)
    return network


def _without(network: Network, name: str, target: str) -> Network:
    into = {link: p for link, p in network.projections.items() if p.target == name}
    where = f"populations.{name}"
    if len(into) != 1 or not isinstance(next(iter(into.values())).rule, SumPool):
        raise TargetError(
            f"{target} has no units that pass on sums", where=where, got=", ".join(into) or "no projection",
            expected="one sum_pool projection, which is folded into the weights behind it",
            code="target.no_form",
        )  # fmt: skip
    ((link, pool),) = into.items()
    rule = pool.rule
    if not isinstance(rule, SumPool):
        raise TypeError(rule.KIND)
    projections = {}
    for other, p in network.projections.items():
        if other == link:
            continue
        if p.source == name:
            p = _joined(pool, rule, p, f"projections.{other}", target)
        projections[other] = p
    populations = {key: p for key, p in network.populations.items() if key != name}
    return network.replace(populations=populations, projections=projections)


def _joined(pool: Projection, rule: SumPool, behind: Projection, where: str, target: str) -> Projection:
    plain = not (rule.pad_top or rule.pad_left or rule.pad_bottom or rule.pad_right)
    plain = plain and max(rule.dilation_h, rule.dilation_w) == 1
    found: LayerRule | None = None
    if plain and isinstance(behind.rule, Dense):
        found = Dense(weight=_dense(rule, behind.rule.weight))
    elif plain and isinstance(behind.rule, Conv):
        found = _conv(rule, behind.rule)
    if found is None:
        raise TargetError(
            f"{target}: a pool that cannot be folded into what is behind it", where=where,
            got=f"{behind.rule.KIND} behind windows of {rule.kernel()} at {(rule.stride_h, rule.stride_w)}",
            expected="dense or conv behind a pool without padding and overlap",
            fix="train with strided convolutions instead", code="target.no_form",
        )  # fmt: skip
    weight = float(pool.weight) * float(behind.weight)  # type: ignore[arg-type]
    delay = float(pool.delay_ms) + float(behind.delay_ms)  # type: ignore[arg-type]
    return behind.replace(source=pool.source, rule=found, weight_mv=weight, delay_ms=delay)


def _dense(rule: SumPool, weight: np.ndarray) -> np.ndarray:
    """float64[target, units in front of the pool]."""
    (out_h, out_w), c = rule.target_map(), rule.n_channels
    found = np.zeros((len(weight), c, rule.height, rule.width))
    maps = weight.reshape(len(weight), c, out_h, out_w)
    for y in range(rule.kernel_h):
        for x in range(rule.kernel_w):
            room_h = min(out_h, len(range(y, rule.height, rule.stride_h)))
            room_w = min(out_w, len(range(x, rule.width, rule.stride_w)))
            rows = slice(y, y + (room_h - 1) * rule.stride_h + 1, rule.stride_h)
            columns = slice(x, x + (room_w - 1) * rule.stride_w + 1, rule.stride_w)
            found[:, :, rows, columns] += maps[:, :, :room_h, :room_w]
    return found.reshape(len(weight), -1)


def _conv(rule: SumPool, conv: Conv) -> Conv | None:
    """The convolution that sees the map in front of the pool; None where borders do not agree."""
    padded = bool(conv.pad_top or conv.pad_bottom or conv.pad_left or conv.pad_right)
    overlap = rule.kernel_h > rule.stride_h or rule.kernel_w > rule.stride_w
    left = (rule.height - rule.kernel_h) % rule.stride_h or (rule.width - rule.kernel_w) % rule.stride_w
    if (padded and (overlap or left)) or rule.ceil_mode:
        return None  # padding of zeros would be what the pool leaves out
    c_out, c_in, kernel_h, kernel_w = conv.weight.shape
    step_h, step_w = rule.stride_h * conv.dilation_h, rule.stride_w * conv.dilation_w
    size = (step_h * (kernel_h - 1) + rule.kernel_h, step_w * (kernel_w - 1) + rule.kernel_w)
    weight = np.zeros((c_out, c_in, *size))
    for y in range(kernel_h):
        for x in range(kernel_w):
            rows = slice(step_h * y, step_h * y + rule.kernel_h)
            columns = slice(step_w * x, step_w * x + rule.kernel_w)
            weight[:, :, rows, columns] += conv.weight[:, :, y : y + 1, x : x + 1]
    found = Conv(
        weight=weight, groups=conv.groups, height=rule.height, width=rule.width,
        stride_h=conv.stride_h * rule.stride_h, stride_w=conv.stride_w * rule.stride_w,
        pad_top=conv.pad_top * rule.stride_h, pad_bottom=conv.pad_bottom * rule.stride_h,
        pad_left=conv.pad_left * rule.stride_w, pad_right=conv.pad_right * rule.stride_w,
    )  # fmt: skip
    return found if found.target_map() == conv.target_map() else None
