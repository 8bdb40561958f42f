"""Names of random streams: every purpose has its own, found by name, so adding a thing changes no other."""

from __future__ import annotations

import hashlib

import numpy as np

from snnsim.distributions import Distribution
from snnsim.kernels.random import stream_key
from snnsim.kernels.sampling import fill_values


def key_of(seed: int, purpose: str) -> np.uint64:
    """The key of one purpose, such as "projections.ee", under the user's seed."""
    stream = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return np.uint64(stream_key(np.uint64(seed), np.uint64(stream)))


def realise(value: object, n: int, seed: int, purpose: str) -> np.ndarray:
    """The float64[n] that a number, a list or a distribution stands for."""
    if isinstance(value, Distribution):
        found = np.empty(n)
        fill_values(found, key_of(seed, purpose), 0, value.code(), *value.parameters())
        return found
    return np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)))
