"""Products of matrices that are the same for every number of threads of BLAS, and samples in bounded parts.

Calibration makes thousands of small products.  Threads that share one may add its terms in another order than
a single thread does, and spend more time waiting for each other than they save; so one thread makes each
product.  Whole samples are what threads share here, in the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from snnsim.network import Network
from snnsim.stimuli import Analogue

MOST_BYTES = 2**26  # of the values of the samples that are looked at together


@cache
def _pools() -> ThreadpoolController:
    """The libraries that numpy has loaded: they are looked for once."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Products within are made by one thread each; the limit holds for the whole process meanwhile."""
    limit: AbstractContextManager[object] = _pools().limit(limits=1, user_api="blas")
    return limit


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b on one thread of BLAS."""
    with one_thread():
        return np.asarray(a @ b)


def parts(n_samples: int, n_values: int, most: int = 256) -> Iterator[slice]:
    """Slices of at most `most` samples, so many that their float64 values fit into MOST_BYTES; one at least.

    n_values  of each sample, all that are held at the same time
    """
    share = min(max(MOST_BYTES // (8 * max(n_values, 1)), 1), most)
    for low in range(0, n_samples, share):
        yield slice(low, min(low + share, n_samples))


def result_size(network: Network, n_steps: int) -> int:
    """Float64 values of a sample that its simulation takes and gives: inputs, counts, totals and readouts."""
    n_inputs = sum(one.n for one in network.stimuli.values() if isinstance(one, Analogue))
    sizes = [population.n for population in network.populations.values()]
    return n_steps * (n_inputs + sizes[-1]) + 3 * (n_inputs + sum(sizes))
