"""Tables that only grow, streamed to an HDF5 file that any reader can open at any moment.

All datasets are made first; then the file is in HDF5's single-writer multiple-reader mode, which
keeps it consistent while it is written and after its writer was killed. Memory stays bounded:
rows wait in a small buffer and are written in whole chunks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import ConfigError, FileError, SnnError, StorageError
from snnsim.hdf5_safety import damage_errors, open_untrusted
from snnsim.hdf5_writing import abandon, create_hdf5, hdf5_writes, reserve, sync

SONATA_MAGIC = 0x0A7A
SONATA_VERSION = (0, 1)
BUFFER_BYTES = 2**20
"""What waits in memory for one table before it is written: 64k spikes of 16 bytes."""
CHUNK_BYTES = 128 * 2**10


class TableFile(ABC):
    """Base of the recorders on disk. A subclass says which datasets make up each of its tables.

    columns   table name -> paths of its datasets, which grow together
    Raises StorageError when the file exists already or cannot be written.
    """

    def __init__(self, path: Path | str, columns: Mapping[str, tuple[str, ...]], dt_ms: float) -> None:
        self.path = Path(path)
        self.dt_ms = float(dt_ms)
        self._columns = dict(columns)
        for name in self._columns:
            check_name(name)
        if self.path.exists():
            raise StorageError(
                "the file exists already and is never overwritten",
                where=str(self.path),
                fix="choose another folder, or continue its run with `snnsim resume DIR`",
            )
        self._file = create_hdf5(self.path)
        with hdf5_writes(self._file):
            self._file.attrs["magic"] = np.uint32(SONATA_MAGIC)
            self._file.attrs["version"] = np.array(SONATA_VERSION, np.uint32)
            self._file.attrs["dt_ms"] = self.dt_ms
            self._file.attrs["complete"] = np.int8(0)
            self._create(self._file)
        self._start()

    @abstractmethod
    def _create(self, file: h5py.File) -> None:
        """Make all groups, attributes and datasets of a new file."""

    def _after_write(self, name: str, n_rows: int) -> None:  # noqa: B027 - nothing to do is a fine default
        """Called inside the write of a table, with its new length."""

    @property
    def is_open(self) -> bool:
        """Can rows be appended?  Not after `close`, nor after a disk that failed."""
        return bool(self._file)

    def count(self, name: str) -> int:
        """Rows of one table so far, also those that wait in memory; nothing is written."""
        self._check_table(name)
        table = self._tables[name]
        return table.n_written + table.n_pending

    def rows(self) -> dict[str, int]:
        """Rows of each table, all of them safely on the disk: what a checkpoint stores."""
        self.flush()
        return {name: table.n_written for name, table in self._tables.items()}

    def flush(self) -> None:
        """Bring every appended row to the disk. Raises StorageError."""
        self._check_open()
        with hdf5_writes(self._file):
            for name in self._tables:
                self._write(name, everything=True)
            sync(self._file)

    def close(self, complete: bool = True) -> None:
        """Flush and close; `complete` marks the file as that of a run that reached its end."""
        if not self._file:
            return
        self.flush()
        with hdf5_writes(self._file):
            self._file.close()
        if complete:
            # SWMR mode cannot change attributes, hence the second opening.
            file = create_hdf5(self.path, "r+")
            with hdf5_writes(file):
                file.attrs["complete"] = np.int8(1)
                sync(file)
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def _append(self, name: str, *columns: np.ndarray) -> None:
        """Add rows that the caller no longer touches, in the order of the table's datasets."""
        table = self._tables[name]
        table.pending.append(columns)
        table.n_pending += len(columns[0])
        if table.n_pending >= table.buffer_rows:
            with hdf5_writes(self._file):
                self._write(name, everything=False)

    def _write(self, name: str, everything: bool) -> None:
        table = self._tables[name]
        if table.n_pending:
            reserve(self._file, table.n_pending * table.row_bytes)
            table.write(everything)
            self._after_write(name, table.n_written)

    def _check_table(self, name: str) -> None:
        self._check_open()
        if name not in self._tables:
            raise SnnError(
                "nothing of this name is recorded",
                where=str(self.path),
                got=name,
                expected=f"one of {', '.join(self._tables)}",
            )

    def _check_open(self) -> None:
        if not self._file:
            raise SnnError("the recording is closed", where=str(self.path), fix="open it with continue_from")

    def reopen(self, path: Path) -> None:
        """Go on with this closed recording, whose file is now at `path`. Raises StorageError."""
        self.path = path
        self._file = create_hdf5(path, "r+")
        self._start()

    def _start(self) -> None:
        with hdf5_writes(self._file):
            self._tables = {
                name: _Table([self._file[c] for c in paths]) for name, paths in self._columns.items()
            }
            self._file.swmr_mode = True

    def _take_over(self, old_path: Path, rows: Mapping[str, int]) -> None:
        """Fill this new file with the first rows of an old one. Raises FileError when it has fewer."""
        with open_recording(old_path) as old, damage_errors(old):
            if float(old.attrs["dt_ms"]) != self.dt_ms:
                raise FileError(
                    "recorded with another time step",
                    where=str(old_path),
                    got=float(old.attrs["dt_ms"]),
                    expected=f"dt_ms = {self.dt_ms}",
                )
            for name, paths in self._columns.items():
                sources = [self._same_dataset(old, path) for path in paths]
                held = min(len(source) for source in sources)
                if held < rows[name]:
                    raise FileError(
                        "the recording is shorter than its checkpoint says",
                        where=f"{old_path}:{name}",
                        got=f"{held:,} rows",
                        expected=f"at least {rows[name]:,} rows",
                        fix="resume from an older checkpoint or run again",
                    )
                step = self._tables[name].buffer_rows
                for start in range(0, rows[name], step):
                    stop = min(start + step, rows[name])
                    self._append(name, *[source[start:stop] for source in sources])

    def _same_dataset(self, old: h5py.File, path: str) -> h5py.Dataset:
        own = self._file[path]
        found = find_dataset(old, path, own.dtype.kind, own.ndim)
        if found.dtype != own.dtype or found.shape[1:] != own.shape[1:]:
            raise FileError(
                "recorded with another layout",
                where=f"{old.filename}:{path}",
                got=f"{found.dtype}{list(found.shape[1:])}",
                expected=f"{own.dtype}{list(own.shape[1:])}",
            )
        return found

    def _fill(self, old_path: Path, rows: Mapping[str, int]) -> Self:
        """This new file with the first rows of an old one, closed. Raises FileError when it has fewer."""
        try:
            self._take_over(old_path, rows)
            self.close(complete=False)
        finally:
            abandon(self._file)
        return self

    @classmethod
    def _continue(cls, path: Path | str, copy: Callable[[Path], Self]) -> Self:
        """Put a shorter copy into the place of the file at `path`, atomically, and open it for more."""
        with replacing(path) as temporary:
            new = copy(temporary)
        new.reopen(Path(path))
        return new


def open_recording(path: Path | str) -> h5py.File:
    """Open a recorded file for reading: finished, still being written, or left by a killed writer.

    Raises FileError.
    """
    try:
        return open_untrusted(path)
    except FileError as error:
        if error.code != "file.in_use":
            raise
    return open_untrusted(path, swmr=True)


def check_name(name: str) -> None:
    """Refuse names that HDF5 would take for a path. Raises ConfigError."""
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise ConfigError("cannot be the name of a recording", got=name, expected="text without '/'")


def find_dataset(file: h5py.File, path: str, kinds: str, rank: int) -> h5py.Dataset:
    """The dataset at `path`, when its numpy kind and rank are as expected. Raises FileError."""
    where = f"{file.filename}:{path}"
    item = file.get(path)
    if not isinstance(item, h5py.Dataset):
        raise FileError("no such dataset", where=where, expected="the SONATA layout")
    if item.dtype.kind not in kinds or item.ndim != rank:
        raise FileError(
            "a dataset of another type",
            where=where,
            got=f"{item.dtype} of rank {item.ndim}",
            expected=f"rank {rank}, kind {' or '.join(kinds)}",
        )
    return item


class _Table:
    """Datasets that grow together, and the rows that wait to be written."""

    def __init__(self, columns: list[h5py.Dataset]) -> None:
        self.columns = columns
        self.n_written = len(columns[0])
        self.chunk_rows = int(columns[0].chunks[0])
        self.row_bytes = sum(c.dtype.itemsize * int(np.prod(c.shape[1:])) for c in columns)
        self.buffer_rows = max(self.chunk_rows, BUFFER_BYTES // self.row_bytes)
        self.pending: list[tuple[np.ndarray, ...]] = []
        self.n_pending = 0

    def write(self, everything: bool) -> None:
        """Write the waiting rows; without `everything` only up to the end of a chunk, so that each
        chunk is packed once."""
        stop = self.n_written + self.n_pending
        if not everything:
            stop -= stop % self.chunk_rows
        n_rows = stop - self.n_written
        joined = [np.concatenate(parts) for parts in zip(*self.pending, strict=True)]
        for dataset, values in zip(self.columns, joined, strict=True):
            dataset.resize(stop, axis=0)
            dataset[self.n_written : stop] = values[:n_rows]
            dataset.flush()
        rest = tuple(values[n_rows:].copy() for values in joined)
        # One statement: an interrupt before it repeats the write in place, one after it finds all done.
        self.n_written, self.n_pending, self.pending = stop, len(rest[0]), [rest]
