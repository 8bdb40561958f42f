"""Connection rules of layered networks: dense matrices, convolutions, pooling, and joining of maps.

Units of a feature map are numbered as torch flattens it: channel first, (c * height + y) * width + x.
The weight of a connection is that of the rule times the one of the projection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.connectivity import ConnectionRule
from snnsim.errors import ConfigError
from snnsim.fields import array, flag, integer


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerRule(ConnectionRule, ABC):
    """Base of the rules of layered networks, which run in batches: `Simulator(network, batch=...)`."""

    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """(number of sources, number of targets) that the rule is made for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(LayerRule):
    """Every source to every target, with the weights of a matrix: current = W events."""

    KIND = "dense"
    weight: np.ndarray = array(dims=(2,), help="weight[target, source]")

    def sizes(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Window(LayerRule):
    """Base of what slides a window over a map.

    Output row oy looks at the input rows oy stride + k dilation - pad_top, k < kernel; columns likewise.
    Number of rows: floor((height + pad_top + pad_bottom - dilation (kernel - 1) - 1) / stride) + 1, or
    that of ceil, for windows that begin inside the map or its upper padding.
    """

    height: int = integer(low=1, high=COUNT_LIMIT, help="rows of the source map")
    width: int = integer(low=1, high=COUNT_LIMIT, help="columns of the source map")
    stride_h: int = integer(1, low=1, high=COUNT_LIMIT, help="rows from one window to the next")
    stride_w: int = integer(1, low=1, high=COUNT_LIMIT, help="columns from one window to the next")
    pad_top: int = integer(0, low=0, high=COUNT_LIMIT, help="rows of zeros above the map")
    pad_bottom: int = integer(0, low=0, high=COUNT_LIMIT, help="rows of zeros below")
    pad_left: int = integer(0, low=0, high=COUNT_LIMIT, help="columns of zeros on the left")
    pad_right: int = integer(0, low=0, high=COUNT_LIMIT, help="columns of zeros on the right")
    dilation_h: int = integer(
        1, low=1, high=COUNT_LIMIT, help="rows from one point of the window to the next"
    )
    dilation_w: int = integer(1, low=1, high=COUNT_LIMIT, help="columns from one point to the next")

    @abstractmethod
    def kernel(self) -> tuple[int, int]:
        """(rows, columns) of the window."""

    @abstractmethod
    def channels(self) -> tuple[int, int]:
        """(source channels, target channels)."""

    def target_map(self) -> tuple[int, int]:
        """(rows, columns) of the target map."""
        kernel_h, kernel_w = self.kernel()
        ceil = bool(getattr(self, "ceil_mode", False))
        return (
            _windows(
                self.height, self.pad_top, self.pad_bottom, self.dilation_h, kernel_h, self.stride_h, ceil
            ),
            _windows(
                self.width, self.pad_left, self.pad_right, self.dilation_w, kernel_w, self.stride_w, ceil
            ),
        )

    def sizes(self) -> tuple[int, int]:
        c_in, c_out = self.channels()
        out_h, out_w = self.target_map()
        return c_in * self.height * self.width, c_out * out_h * out_w

    def check_together(self, where: str) -> None:
        if min(self.target_map()) < 1:
            raise ConfigError(
                "the window is larger than the map with its padding",
                where=where,
                got=f"a window of {self.kernel()} over a map of {(self.height, self.width)}",
                fix="make the kernel smaller, or add padding",
            )


def _windows(size: int, before: int, after: int, dilation: int, kernel: int, stride: int, ceil: bool) -> int:
    room = size + before + after - dilation * (kernel - 1) - 1
    n = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (n - 1) * stride >= size + before:
        n -= 1
    return n


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Window):
    """Convolution (as torch means it: no flipping).  A map with one row is a one-dimensional one."""

    KIND = "conv"
    weight: np.ndarray = array(
        dims=(4,), help="weight[target channel, source channel in its group, row, column]"
    )
    groups: int = integer(1, low=1, high=COUNT_LIMIT, help="groups of channels that do not mix")

    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    def channels(self) -> tuple[int, int]:
        return self.weight.shape[1] * self.groups, self.weight.shape[0]

    def check_together(self, where: str) -> None:
        if self.weight.shape[0] % self.groups:
            raise ConfigError(
                "the target channels do not divide into the groups",
                where=f"{where}.groups",
                got=self.groups,
                expected=f"a divisor of {self.weight.shape[0]}",
            )
        super().check_together(where)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pool(Window):
    n_channels: int = integer(low=1, high=COUNT_LIMIT, help="channels of both maps")
    kernel_h: int = integer(low=1, high=COUNT_LIMIT, help="rows of the window")
    kernel_w: int = integer(low=1, high=COUNT_LIMIT, help="columns of the window")
    ceil_mode: bool = flag(False, help="also windows that reach over the end of the map")

    def kernel(self) -> tuple[int, int]:
        return self.kernel_h, self.kernel_w

    def channels(self) -> tuple[int, int]:
        return self.n_channels, self.n_channels


@dataclass(frozen=True, eq=False, kw_only=True)
class SumPool(_Pool):
    """The sum over each window; an average is a sum whose projection has a smaller weight."""

    KIND = "sum_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(_Pool):
    """The largest sum of events within each window; its target is a population of `maximum` units."""

    KIND = "max_pool"


@dataclass(frozen=True, eq=False, kw_only=True)
class Into(LayerRule):
    """Source k to target offset + k: an addition, or a part of a joined (concatenated) map."""

    KIND = "into"
    n_source: int = integer(low=1, high=COUNT_LIMIT, help="number of sources")
    n_target: int = integer(low=1, high=COUNT_LIMIT, help="number of targets")
    offset: int = integer(0, low=0, high=COUNT_LIMIT, help="target of source 0")

    def sizes(self) -> tuple[int, int]:
        return self.n_source, self.n_target

    def check_together(self, where: str) -> None:
        if self.offset + self.n_source > self.n_target:
            raise ConfigError(
                "the sources do not fit into the target",
                where=f"{where}.offset",
                got=self.offset,
                expected=f"at most {self.n_target - self.n_source}",
            )


LAYER_RULES: tuple[type[LayerRule], ...] = (Dense, Conv, SumPool, MaxPool, Into)
