"""What makes two simulations the same: whoever agrees in it may continue the other's checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from snnsim.encoding import EncodedImages
from snnsim.mapping import to_mapping
from snnsim.network import Network


def fingerprint(network: Network, images: Mapping[str, EncodedImages]) -> str:
    """SHA-256 of a network and of the images shown to it, whatever names their data sets have."""
    found = hashlib.sha256(repr(_hashable(to_mapping(network))).encode())
    for _, shown in sorted(images.items()):
        for part in (shown.table, shown.schedule, shown.labels):
            found.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def _hashable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, dict):
        return {name: _hashable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_hashable(item) for item in value]
    return value
