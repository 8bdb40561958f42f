"""Kernel against twin: both get copies of the same arguments and must leave the same bits behind."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import oracle

from snnsim.kernels import cells, conductance, delivery, engine, neurons, plasticity, random, sources, stdp
from snnsim.kernels.layout import Queue, Scratch

MODULES = (random, neurons, conductance, cells, delivery, stdp, plasticity, sources, engine)


def kernel_named(name: str) -> Any:
    return next(getattr(m, name) for m in MODULES if hasattr(m, name))


def arrays_in(item: Any) -> list[np.ndarray]:
    if isinstance(item, np.ndarray):
        return [item]
    return [a for part in item for a in arrays_in(part)] if isinstance(item, tuple) else []


def duplicate(item: Any, memory: dict[int, np.ndarray] | None = None) -> Any:
    """A copy in which arrays share memory as far as those of the original do."""
    memory = {} if memory is None else memory
    if isinstance(item, np.ndarray):
        if item.size == 0:
            return item.copy()
        root = item
        while isinstance(root.base, np.ndarray):
            root = root.base
        if id(root) not in memory:
            memory[id(root)] = root.copy(order="K")
        offset = item.ctypes.data - root.ctypes.data
        return np.ndarray(item.shape, item.dtype, memory[id(root)], offset, item.strides)
    if isinstance(item, tuple):
        parts = [duplicate(part, memory) for part in item]
        return item._make(parts) if hasattr(item, "_make") else tuple(parts)
    return item


def assert_twins(name: str, *args: Any, working: Collection[int] | None = None) -> Any:
    """The same result, which is returned, and the same bits in every array that is not working memory.

    working  positions of the arguments that are working memory; None for every Scratch and Queue
    """
    mine, other = duplicate(args), duplicate(args)
    found, expected = kernel_named(name)(*mine), getattr(oracle, name)(*other)
    assert found == expected or (found != found and expected != expected)
    for k, (a, b) in enumerate(zip(mine, other, strict=True)):
        if not (isinstance(a, Queue | Scratch) if working is None else k in working):
            for x, y in zip(arrays_in(a), arrays_in(b), strict=True):
                assert x.dtype == y.dtype
                assert x.tobytes() == y.tobytes(), f"{name}: argument {k} differs"
    return found
