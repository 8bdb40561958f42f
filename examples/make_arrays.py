"""Make arrays.npz, the arrays that arrays.toml names: parameters of every neuron, and every connection.

    python examples/make_arrays.py

A hundred neurons on a ring.  Each excites the two next ones on its right, the farther one later and more
weakly; so a wave that starts somewhere runs round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

N = 100


def arrays() -> dict[str, Any]:
    """The arrays by name; the same numbers at every call."""
    random = np.random.default_rng(1)
    source = np.repeat(np.arange(N), 2)
    hop = np.tile([1, 2], N)
    return {
        "tau_m_ms": random.uniform(15.0, 25.0, N).round(3),
        "v_th_mv": random.normal(-50.0, 1.0, N).round(3),
        "source": source.astype(np.int32),
        "target": ((source + hop) % N).astype(np.int32),
        "weight_pa": 1500.0 / hop,
        "delay_ms": 0.5 * hop,
    }


if __name__ == "__main__":
    np.savez(Path(__file__).with_suffix("").with_name("arrays.npz"), **arrays())
