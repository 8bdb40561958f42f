"""Arrays that begin where the processor likes it.

A vector that crosses the end of a cache line costs twice, and addresses a multiple of 4096 bytes apart take
each other's places in the first-level cache.  So arrays that a loop reads together each begin with a line,
and each at another distance from a multiple of 4096.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LINE = 64  # bytes
_PAGE = 4096
_STEP = 5 * LINE  # between the places of two arrays; odd in lines, so that many arrays find a place


def whole_lines(n: int, dtype: np.dtype) -> int:
    """n items, and as many more as fill a cache line."""
    items = LINE // dtype.itemsize
    return -(-n // items) * items


def zeros(shape: int | tuple[int, ...], dtype: Any, place: int) -> np.ndarray:
    """Zeros that begin with a line; arrays of one loop take places 0, 1, 2, ..."""
    kind = np.dtype(dtype)
    n_bytes = math.prod(shape if isinstance(shape, tuple) else (shape,)) * kind.itemsize
    memory = np.zeros(n_bytes + 2 * _PAGE, np.uint8)
    first = -memory.ctypes.data % _PAGE + place * _STEP % _PAGE
    return memory[first : first + n_bytes].view(kind).reshape(shape)
