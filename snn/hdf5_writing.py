"""Writing HDF5 files so that a full disk is an error and never a crash."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from snnsim.atomic import storage_errors

CACHE_BYTES = 128 * 2**10
"""Chunk cache of one dataset while writing: one chunk, because chunks are written whole and in order."""

OVERHEAD_BYTES = 2**20
"""More than HDF5's own structures grow by in one write and at close."""


def create_hdf5(path: Path, mode: str = "x") -> h5py.File:
    """Open a file for writing; `x` makes a new one, `r+` changes one. Raises StorageError."""
    with storage_errors(path):
        return h5py.File(path, mode, libver="latest", locking=False, rdcc_nbytes=CACHE_BYTES)


@contextmanager
def hdf5_writes(file: h5py.File) -> Iterator[None]:
    """Turn a failed write of the block into a StorageError and let go of the file.

    The file is closed after a failure: it keeps what reached the disk before.
    """
    path = Path(file.filename)
    with storage_errors(path):
        try:
            yield
        except (OSError, RuntimeError):
            abandon(file)
            raise


def sync(file: h5py.File) -> None:
    """Flush an open file down to the disk."""
    file.flush()
    os.fsync(file.id.get_vfd_handle())


def reserve(file: h5py.File, n_bytes: int) -> None:
    """Raise OSError now when the disk will not take `n_bytes` more, before HDF5 begins with them."""
    descriptor = file.id.get_vfd_handle()
    n_bytes += OVERHEAD_BYTES
    if shutil.disk_usage(Path(file.filename).parent).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    size = os.fstat(descriptor).st_size
    os.ftruncate(descriptor, size + n_bytes)  # takes no space, but obeys the limit on the size of a file
    os.ftruncate(descriptor, size)


def abandon(file: h5py.File) -> None:
    """Close a file without another byte to its disk.

    After a failed write HDF5 keeps the data and tries again at close; when that fails as well, it
    crashes the process (HDF5 2.0). So its descriptor is first pointed at a file in memory, where
    every write succeeds.
    """
    if not file:
        return
    sink = os.memfd_create("abandoned") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(sink, file.id.get_vfd_handle(), inheritable=False)
    finally:
        os.close(sink)
    file.close()
