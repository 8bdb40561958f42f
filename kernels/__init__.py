"""Numba kernels: pure functions on plain arrays. They import numpy and numba only."""

if __name__ != "snnsim.kernels":
    raise ImportError(
        "import this package as snnsim.kernels, not as kernels: two copies would compile twice and disagree"
    )
