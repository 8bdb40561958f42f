"""Numba kernels: pure functions on plain arrays. They import numpy and numba only."""

if __name__ != "snnsim.kernels":
    raise ImportError("import snnsim.kernels, not kernels; a second copy would disagree")
