"""What a simulation leaves behind: spikes and sampled state, on disk in the SONATA layout.

    /spikes/<population>/{timestamps float64 ms, node_ids uint64}          sorted by time
    /report/<probe>/data [time, neuron] and mapping/{node_ids, index_pointers, element_ids, time}

Source: SONATA developer guide, "Output file formats". Times are step * dt_ms, never accumulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt

from snnsim.errors import FileError, nearest
from snnsim.hdf5_safety import damage_errors
from snnsim.memory_recording import MemorySamples, MemorySpikes, SampleLayout, check_spikes
from snnsim.tablefile import CHUNK_BYTES, TableFile, find_dataset, open_recording

__all__ = [
    "MemorySamples",
    "MemorySpikes",
    "SampleLayout",
    "SpikeFile",
    "StateFile",
    "open_spikes",
    "read_spikes",
    "read_state",
]

SPIKE_ROWS = 65536
"""Spikes that are taken over at once, so that a long array needs no second copy of itself."""
_SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype=np.uint8)
_PACKED = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}


class SpikeFile(TableFile):
    """Streaming writer of /spikes/<population>.

    populations   name -> number of neurons
    dt_ms         time step; a spike at step s is stored at s * dt_ms
    Raises StorageError when the file exists already or cannot be written.
    """

    def __init__(self, path: Path | str, populations: Mapping[str, int], dt_ms: float) -> None:
        self.populations = dict(populations)
        self._last_step = dict.fromkeys(populations, 0)
        columns = {n: (f"/spikes/{n}/timestamps", f"/spikes/{n}/node_ids") for n in populations}
        super().__init__(path, columns, dt_ms)

    @classmethod
    def continue_from(
        cls, path: Path | str, populations: Mapping[str, int], dt_ms: float, rows: Mapping[str, int]
    ) -> Self:
        """Open a file that another process left, cut to its first `rows` of each population.

        Raises FileError when it is not such a file or holds fewer rows; it is unchanged then.
        """
        return cls._continue(path, lambda new: cls.copy_of(Path(path), populations, dt_ms, rows, new))

    @classmethod
    def copy_of(
        cls, old: Path, populations: Mapping[str, int], dt_ms: float, rows: Mapping[str, int], new: Path
    ) -> Self:
        """Copy the first `rows` of each population of `old` to `new`, closed: `reopen` goes on with it.

        Raises FileError as `continue_from`, StorageError when the copy cannot be written.
        """
        return cls(new, populations, dt_ms)._fill(old, rows)

    def append(self, name: str, steps: npt.NDArray[np.int64], ids: npt.NDArray[np.integer]) -> None:
        """Add spikes of a population.

        steps   int64[k]    steps of the spikes, not decreasing, also from call to call
        ids     integer[k]  neuron of each spike, 0 <= id < n
        Raises SnnError when they are not so, StorageError when the disk fails.
        """
        self._check_table(name)
        check_spikes(name, steps, ids, self.populations[name], self._last_step[name])
        for start in range(0, len(steps), SPIKE_ROWS):
            piece = slice(start, start + SPIKE_ROWS)
            self._append(name, steps[piece].astype(np.float64) * self.dt_ms, ids[piece].astype(np.uint64))
        if len(steps):
            self._last_step[name] = int(steps[-1])

    def _create(self, file: h5py.File) -> None:
        chunk = CHUNK_BYTES // 8
        for name in self.populations:
            group = file.create_group(f"/spikes/{name}")
            group.attrs.create("sorting", 2, dtype=_SORTING)
            times = group.create_dataset(
                "timestamps", (0,), np.float64, maxshape=(None,), chunks=(chunk,), **_PACKED
            )
            times.attrs["units"] = "ms"
            group.create_dataset("node_ids", (0,), np.uint64, maxshape=(None,), chunks=(chunk,), **_PACKED)


class StateFile(TableFile):
    """Streaming writer of /report/<probe>: sampled state variables.

    probes   name -> SampleLayout
    Raises StorageError when the file exists already or cannot be written.
    """

    def __init__(self, path: Path | str, probes: Mapping[str, SampleLayout], dt_ms: float) -> None:
        self.probes = dict(probes)
        super().__init__(path, {name: (f"/report/{name}/data",) for name in probes}, dt_ms)

    @classmethod
    def continue_from(
        cls, path: Path | str, probes: Mapping[str, SampleLayout], dt_ms: float, rows: Mapping[str, int]
    ) -> Self:
        """Open a file that another process left, cut to its first `rows` frames of each probe.

        Raises FileError when it is not such a file or holds fewer frames; it is unchanged then.
        """
        return cls._continue(path, lambda new: cls.copy_of(Path(path), probes, dt_ms, rows, new))

    @classmethod
    def copy_of(
        cls, old: Path, probes: Mapping[str, SampleLayout], dt_ms: float, rows: Mapping[str, int], new: Path
    ) -> Self:
        """Copy the first `rows` frames of each probe of `old` to `new`, closed: `reopen` goes on with it.

        Raises FileError as `continue_from`, StorageError when the copy cannot be written.
        """
        return cls(new, probes, dt_ms)._fill(old, rows)

    def append(self, name: str, steps: npt.NDArray[np.int64], frames: np.ndarray) -> None:
        """Add frames of a probe.

        steps    int64[k]     their steps, which must follow the frames before them
        frames   float[k, n]  state at the start of these steps
        Raises SnnError when they do not follow or fit, StorageError when the disk fails.
        """
        self._check_table(name)
        table, layout = self._tables[name], self.probes[name]
        layout.check(name, steps, frames, self.count(name))
        for start in range(0, len(steps), table.buffer_rows):
            self._append(name, frames[start : start + table.buffer_rows].astype(layout.dtype))

    def _create(self, file: h5py.File) -> None:
        for name, layout in self.probes.items():
            n = len(layout.node_ids)
            group = file.create_group(f"/report/{name}")
            group.attrs["start_step"] = np.int64(layout.start_step)
            group.attrs["every_steps"] = np.int64(layout.every_steps)
            columns = min(n, CHUNK_BYTES // 8)
            rows = max(1, CHUNK_BYTES // (columns * np.dtype(layout.dtype).itemsize))
            data = group.create_dataset(
                "data", (0, n), layout.dtype, maxshape=(None, n), chunks=(rows, columns), **_PACKED
            )
            data.attrs["units"] = layout.units
            data.attrs["variable"] = layout.variable
            mapping = group.create_group("mapping")
            mapping["node_ids"] = np.asarray(layout.node_ids, np.uint64)
            mapping["index_pointers"] = np.arange(n + 1, dtype=np.uint64)
            mapping["element_ids"] = np.ones(n, np.uint32)  # the guide's value for single compartments
            mapping["time"] = self._interval(layout, 0)
            mapping["time"].attrs["units"] = "ms"

    def _after_write(self, name: str, n_rows: int) -> None:
        time = self._file[f"/report/{name}/mapping/time"]
        time[...] = self._interval(self.probes[name], n_rows)
        time.flush()

    def _interval(self, layout: SampleLayout, n_rows: int) -> npt.NDArray[np.float64]:
        stop = layout.start_step + n_rows * layout.every_steps
        interval = np.array([layout.start_step, stop, layout.every_steps], np.float64)
        return interval * self.dt_ms


def open_spikes(path: Path | str) -> h5py.File:
    """Open a spike file for reading, also one that is being written or was left by a killed writer.

    Raises FileError: missing, damaged, unsafe, or not a SONATA spike file.
    """
    file = open_recording(path)
    if not isinstance(file.get("spikes"), h5py.Group):
        file.close()
        raise FileError(
            "no spikes in this file", where=str(path), expected="the group /spikes of the SONATA layout"
        )
    return file


def read_spikes(
    path: Path | str, name: str, start: int = 0, stop: int | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64]]:
    """Spikes `start` to `stop` of a population, counted as in a slice: (times_ms, ids).

    Raises FileError.
    """
    with open_spikes(path) as file, damage_errors(file):
        _check_member(file, "spikes", name)
        times = find_dataset(file, f"/spikes/{name}/timestamps", "f", 1)
        ids = find_dataset(file, f"/spikes/{name}/node_ids", "iu", 1)
        # A writer may stand between the two; in a finished file they are equally long.
        first, last, _ = slice(start, stop).indices(min(len(times), len(ids)))
        return times[first:last].astype(np.float64), ids[first:last].astype(np.uint64)


def read_state(
    path: Path | str, probe: str, start: int = 0, stop: int | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64], np.ndarray]:
    """Frames `start` to `stop` of a probe, counted as in a slice: (times_ms[k], node_ids[n], data[k, n]).

    Raises FileError.
    """
    with open_recording(path) as file, damage_errors(file):
        _check_member(file, "report", probe)
        group = file[f"/report/{probe}"]
        data = find_dataset(file, f"/report/{probe}/data", "f", 2)
        ids = find_dataset(file, f"/report/{probe}/mapping/node_ids", "iu", 1)
        first, last, _ = slice(start, stop).indices(len(data))
        k = np.arange(first, max(first, last), dtype=np.int64)
        if "every_steps" in group.attrs and "dt_ms" in file.attrs:
            steps = int(group.attrs["start_step"]) + k * int(group.attrs["every_steps"])
            times_ms = steps.astype(np.float64) * float(file.attrs["dt_ms"])
        else:
            interval = find_dataset(file, f"/report/{probe}/mapping/time", "f", 1)[:3]
            times_ms = interval[0] + k * interval[2]
        return times_ms, ids[:].astype(np.uint64), data[first:last]


def _check_member(file: h5py.File, group: str, name: str) -> None:
    known = list(file[group]) if isinstance(file.get(group), h5py.Group) else []
    if name not in known:
        raise FileError(
            "nothing of this name is recorded",
            where=f"{file.filename}:/{group}",
            got=name,
            fix=nearest(name, known),
        )
