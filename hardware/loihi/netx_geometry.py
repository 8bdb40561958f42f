"""Convolutions, pools and groups of NetX files.  Every fault is a FileError that names the dataset.

Kernels are stored as torch has them, and are not flipped.  Source: lava-dl, slayer/block/base.py.
"""

from __future__ import annotations

from math import prod

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.errors import ConfigError
from snnsim.hardware.loihi.netx_file import Table
from snnsim.layers import Conv

LOW, HIGH = -256, 255
"""Weights of 8 bits, with and without a sign."""
MOST_WEIGHTS = 2**24
"""Of a layer whose file says one number for all of them: a small file must not fill the memory."""


def shape_of(table: Table) -> tuple[int, ...]:
    """[neurons] or [channels, rows, columns] of a layer."""
    found = tuple(int(k) for k in table.whole("shape", 1, COUNT_LIMIT, dims=(1,)))
    if len(found) not in (1, 3) or prod(found) > COUNT_LIMIT:
        raise table.fault(
            "shape", "not a shape", got=list(found),
            expected=f"[neurons] or [channels, rows, columns], at most {COUNT_LIMIT:,} in all",
        )  # fmt: skip
    return found


def conv_rule(table: Table, source: tuple[int, int, int]) -> Conv:
    """The convolution of a layer over a map of (channels, rows, columns)."""
    groups = table.integer("groups", 1, COUNT_LIMIT, 1)
    weight = _kernel(table)
    given = {"inChannels": weight.shape[1] * groups, "outChannels": weight.shape[0]}
    for key, found in given.items():
        if table.has(key) and table.integer(key, 1, COUNT_LIMIT) != found:
            raise table.fault(key, "not the channels of the weight", expected=str(found))
    if weight.shape[1] * groups != source[0] or weight.shape[0] % groups:
        raise table.fault(
            "weight", "not the channels of the layer before", got=list(weight.shape),
            expected=f"[n groups, {source[0]} / groups, rows, columns] with {groups} groups",
        )  # fmt: skip
    return _window(table, weight, source, groups)


def pool_rule(table: Table, source: tuple[int, int, int]) -> Conv:
    """A kernel that all channels share, each for itself; its weight has one point where all are alike."""
    kernel_h, kernel_w = table.pair("kernelSize", 1, COUNT_LIMIT)
    weight = _kernel(table)
    if weight.shape[:2] != (1, 1) or weight.shape[2:] not in ((1, 1), (kernel_h, kernel_w)):
        raise table.fault(
            "weight", "not the kernel of a pool", list(weight.shape), f"[1, 1, {kernel_h}, {kernel_w}]"
        )
    if source[0] * kernel_h * kernel_w > MOST_WEIGHTS:
        raise table.fault("kernelSize", "too large", [kernel_h, kernel_w], f"{MOST_WEIGHTS:,} weights in all")
    every = np.broadcast_to(weight, (source[0], 1, kernel_h, kernel_w))
    return _window(table, every, source, source[0], stride=(kernel_h, kernel_w))


def sums_of_groups(table: Table, source: tuple[int, ...]) -> np.ndarray:
    """float64[n, n_source]: sums over groups of neighbours; the division is left to the threshold."""
    n, n_source = prod(shape_of(table)), prod(source) if source else 0
    if n_source == 0 or n_source % n:
        raise table.fault("shape", "groups of unequal size", got=n, expected=f"a divisor of {n_source}")
    if n * n_source > MOST_WEIGHTS:
        raise table.fault("shape", "too large", f"{n} sums of {n_source}", f"{MOST_WEIGHTS:,} weights in all")
    weight = float(table.integer("weight", LOW, HIGH, 1))
    return np.kron(np.eye(n), np.full((1, n_source // n), weight))


def _kernel(table: Table) -> np.ndarray:
    found = table.whole("weight", LOW, HIGH, dims=(4, 5))
    if found.size == 0 or found.ndim == 5 and found.shape[4] != 1:
        raise table.fault(
            "weight", "not a kernel", got=list(found.shape), expected="[targets, sources, rows, columns(, 1)]"
        )
    return found.reshape(found.shape[:4])


def _window(
    table: Table, weight: np.ndarray, source: tuple[int, int, int], groups: int,
    stride: tuple[int, int] = (1, 1),
) -> Conv:  # fmt: skip
    stride_h, stride_w = table.pair("stride", 1, COUNT_LIMIT) if table.has("stride") else stride
    pad_h, pad_w = table.pair("padding", 0, COUNT_LIMIT, 0)
    dilation_h, dilation_w = table.pair("dilation", 1, COUNT_LIMIT, 1)
    try:
        return Conv(
            weight=weight, groups=groups, height=source[1], width=source[2], stride_h=stride_h,
            stride_w=stride_w, pad_top=pad_h, pad_bottom=pad_h, pad_left=pad_w, pad_right=pad_w,
            dilation_h=dilation_h, dilation_w=dilation_w,
        )  # fmt: skip
    except ConfigError as error:
        raise table.fault("weight", error.problem, got=error.got, expected=error.expected) from error
