"""Sliding windows over feature maps in numpy float64: the reference that conversions are checked against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from snnsim.converters.products import one_thread

_SEEN = 2**17  # values that the windows of a few samples see: 1 MB


class Slide(NamedTuple):
    """How a window moves over a map; padding is (top, bottom, left, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    ceil_mode: bool

    def output(self, size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the result for a map of this size; below 1 when no window fits."""
        return self._count(size, 0), self._count(size, 1)

    def _count(self, size: tuple[int, int], axis: int) -> int:
        before, after = self.padding[2 * axis], self.padding[2 * axis + 1]
        stride = self.stride[axis]
        room = size[axis] + before + after - self.dilation[axis] * (self.kernel[axis] - 1) - 1
        count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
        # A window that would begin in the lower padding sees nothing of the map.
        return count - 1 if self.ceil_mode and (count - 1) * stride >= size[axis] + before else count

    def patches(self, x: np.ndarray, fill: float) -> Iterator[tuple[int, int, np.ndarray]]:
        """For each place (i, j) of the window, what all windows see there: [n, c, rows, columns]."""
        (rows, columns), (top, _, left, _) = self.output((x.shape[2], x.shape[3])), self.padding
        (stride_h, stride_w), (dilation_h, dilation_w) = self.stride, self.dilation
        height = (rows - 1) * stride_h + dilation_h * (self.kernel[0] - 1) + 1
        width = (columns - 1) * stride_w + dilation_w * (self.kernel[1] - 1) + 1
        padded = np.full((*x.shape[:2], max(height, top + x.shape[2]), max(width, left + x.shape[3])), fill)
        padded[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                y, z = i * dilation_h, j * dilation_w
                yield (
                    i,
                    j,
                    padded[
                        :,
                        :,
                        y : y + (rows - 1) * stride_h + 1 : stride_h,
                        z : z + (columns - 1) * stride_w + 1 : stride_w,
                    ],
                )


def convolve(x: np.ndarray, weight: np.ndarray, slide: Slide, groups: int) -> np.ndarray:
    """float64[n, out, rows, columns]: sum of weight[out, in / groups, i, j] times what the windows see.

    One product of matrices for a few samples at a time, so that what the windows see stays in the cache.
    """
    n, channels, out = len(x), x.shape[1], weight.shape[0]
    rows, columns = slide.output((x.shape[2], x.shape[3]))
    matrix = weight.reshape(groups, out // groups, -1)
    total = np.empty((n, groups, out // groups, rows * columns))
    share = max(1, _SEEN // max(1, channels * slide.kernel[0] * slide.kernel[1] * rows * columns))
    with one_thread():
        for low in range(0, n, share):
            part = x[low : low + share]
            seen = np.empty((len(part), channels, *slide.kernel, rows, columns))
            for i, j, patch in slide.patches(part, 0.0):
                seen[:, :, i, j] = patch
            total[low : low + share] = matrix @ seen.reshape(len(part), groups, -1, rows * columns)
    return total.reshape(n, out, rows, columns)


def sums(x: np.ndarray, slide: Slide) -> np.ndarray:
    """The sum over each window, zeros outside the map."""
    total = np.zeros((*x.shape[:2], *slide.output((x.shape[2], x.shape[3]))))
    for _, _, patch in slide.patches(x, 0.0):
        total += patch
    return total


def maxima(x: np.ndarray, slide: Slide) -> np.ndarray:
    """The largest value in each window, of the map alone."""
    best = np.full((*x.shape[:2], *slide.output((x.shape[2], x.shape[3]))), -np.inf)
    for _, _, patch in slide.patches(x, -np.inf):
        np.maximum(best, patch, out=best)
    return best


def places(size: tuple[int, int], slide: Slide, count_padding: bool) -> np.ndarray:
    """float64[rows, columns]: how many places of each window lie in the map (or in it and its padding)."""
    top, bottom, left, right = slide.padding
    if not count_padding:
        return np.maximum(sums(np.ones((1, 1, *size)), slide)[0, 0], 1.0)
    whole = np.ones((1, 1, size[0] + top + bottom, size[1] + left + right))
    counted = np.zeros(slide.output(size))
    unpadded = slide._replace(padding=(0, 0, 0, 0))
    for _, _, patch in unpadded.patches(whole, 0.0):
        counted += patch[0, 0, : counted.shape[0], : counted.shape[1]]
    return counted
