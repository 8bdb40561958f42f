"""Which windows of a convolution or a pool a pixel lies in.

Twins: tests/oracle_layers.py.
"""

import numpy as np
from numba import njit

# columns of the geometry of a projection: source map, target map, window
(
    IN_H, IN_W, IN_C, OUT_H, OUT_W, OUT_C,
    KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, PAD_TOP, PAD_LEFT, DILATION_H, DILATION_W, GROUPS,
) = range(15)  # fmt: skip
N_GEOMETRY = 15


@njit(cache=True, nogil=True, error_model="numpy")
def reached(place, stride, size):
    """Which of `size` windows begins at a place, each `stride` behind the one before; -1: none."""
    if place < 0 or place >= size * stride:
        return np.int64(-1)
    if stride == 1:  # divisions are slow
        return place
    return place // stride if place % stride == 0 else np.int64(-1)


@njit(cache=True, nogil=True, error_model="numpy")
def windows_over(pixel, shape, windows):
    """The windows that a pixel, y * IN_W + x, lies in; returns their number.

    windows  int64[KERNEL_H * KERNEL_W, 3]  written: first unit of the target pixel, ky, KERNEL_W - 1 - kx
    """
    y, x = pixel // shape[IN_W], pixel % shape[IN_W]
    n = 0
    for ky in range(shape[KERNEL_H]):
        row = reached(y + shape[PAD_TOP] - ky * shape[DILATION_H], shape[STRIDE_H], shape[OUT_H])
        if row < 0:
            continue
        for kx in range(shape[KERNEL_W]):
            column = reached(x + shape[PAD_LEFT] - kx * shape[DILATION_W], shape[STRIDE_W], shape[OUT_W])
            if column < 0:
                continue
            windows[n, 0] = (row * shape[OUT_W] + column) * shape[OUT_C]
            windows[n, 1], windows[n, 2] = ky, shape[KERNEL_W] - 1 - kx
            n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def rows_over(pixel, shape, windows):
    """The same for windows side by side, STRIDE_W = DILATION_W = 1, of which a row is one piece of memory.

    windows  written: first unit of the first target pixel, ky, the place of that pixel in the window from
             the right; returns (their number, how many target pixels are in each)
    """
    y, x = pixel // shape[IN_W], pixel % shape[IN_W]
    left = x + shape[PAD_LEFT] - shape[KERNEL_W] + 1
    low, high = max(left, 0), min(left + shape[KERNEL_W], shape[OUT_W])
    n = 0
    for ky in range(shape[KERNEL_H]):
        row = reached(y + shape[PAD_TOP] - ky * shape[DILATION_H], shape[STRIDE_H], shape[OUT_H])
        if row >= 0 and low < high:
            windows[n, 0] = (row * shape[OUT_W] + low) * shape[OUT_C]
            windows[n, 1], windows[n, 2] = ky, low - left
            n += 1
    return n, high - low
