"""Where recordings go: into memory, or into spikes.h5 and state.h5 of a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from snnsim.atomic import replacing
from snnsim.errors import FileError, SnnError, StorageError
from snnsim.memory_recording import MemorySamples, MemorySpikes, SampleLayout
from snnsim.recording import SpikeFile, StateFile, read_spikes, read_state

_RECORDED = "recorded/"
"""How the names of recordings inside a checkpoint begin."""


class Appendable(Protocol):
    """What takes spikes or samples."""

    def append(self, name: str, steps: np.ndarray, values: np.ndarray, /) -> None: ...

    def count(self, name: str, /) -> int: ...

    def rows(self) -> dict[str, int]: ...


class Sinks(Protocol):
    """All recordings of one simulation."""

    @property
    def spikes(self) -> Appendable: ...

    @property
    def samples(self) -> Appendable: ...

    def check_open(self) -> None: ...

    def rows(self) -> dict[str, int]: ...

    def due(self, probe: str, step: int) -> bool: ...

    def saved(self) -> dict[str, np.ndarray]: ...

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None: ...

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]: ...

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]: ...

    def contents(self) -> Iterator[np.ndarray]: ...

    def close(self, complete: bool) -> None: ...


class _Both(ABC):
    """What both kinds have in common."""

    def __init__(self, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout]) -> None:
        self._populations, self._layouts = populations, layouts

    @property
    @abstractmethod
    def spikes(self) -> Appendable:
        """Takes spikes."""

    @property
    @abstractmethod
    def samples(self) -> Appendable:
        """Takes samples."""

    def rows(self) -> dict[str, int]:
        found = {f"spikes/{name}": n for name, n in self.spikes.rows().items()} if self._populations else {}
        if self._layouts:
            found |= {f"samples/{name}": n for name, n in self.samples.rows().items()}
        return found

    def due(self, probe: str, step: int) -> bool:
        """Is the sample of this step still missing?  (It is there when a run went on after a checkpoint.)"""
        return self.samples.count(probe) * self._layouts[probe].every_steps == step

    def _split(self, rows: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Rows of the spikes and of the samples, of a checkpoint.  Raises FileError when they are others."""
        wanted = {f"spikes/{name}" for name in self._populations} | {
            f"samples/{name}" for name in self._layouts
        }
        if set(rows) != wanted:
            raise FileError(
                "the checkpoint belongs to other probes",
                got=sorted(rows),
                expected=", ".join(sorted(wanted)) or "none",
            )
        for name, n in rows.items():
            if not isinstance(n, int | np.integer) or n < 0:
                raise FileError("no number of rows", where=f"rows/{name}", got=n, expected="0, 1, 2, ...")
        return (
            {name: rows[f"spikes/{name}"] for name in self._populations},
            {name: rows[f"samples/{name}"] for name in self._layouts},
        )

    def contents(self) -> Iterator[np.ndarray]:
        """All recorded arrays, in a fixed order."""
        for name in sorted(self._populations):
            yield from self.get_spikes(name)
        for name in sorted(self._layouts):
            yield from self.get_samples(name)

    @abstractmethod
    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and ids."""

    @abstractmethod
    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and frames."""


class MemorySinks(_Both):
    """Recordings in memory; a checkpoint contains them."""

    def __init__(self, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout]) -> None:
        super().__init__(populations, layouts)
        self._spikes, self._samples = MemorySpikes(populations), MemorySamples(layouts)

    @property
    def spikes(self) -> MemorySpikes:
        return self._spikes

    @property
    def samples(self) -> MemorySamples:
        return self._samples

    def check_open(self) -> None:
        """Memory is always open."""

    def saved(self) -> dict[str, np.ndarray]:
        """The recordings themselves, as a checkpoint stores them."""
        found: dict[str, np.ndarray] = {}
        for name in self._populations:
            steps, ids = self.get_spikes(name)
            found |= {f"{_RECORDED}spikes/{name}/steps": steps, f"{_RECORDED}spikes/{name}/ids": ids}
        for name in self._layouts:
            found[f"{_RECORDED}samples/{name}"] = self.get_samples(name)[1]
        return found

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None:
        """Replace all recordings by those of a checkpoint.  Raises SnnError, with nothing changed."""
        n_spikes, n_frames = self._split(rows)
        shapes: dict[str, tuple[int, ...]] = {}
        for name, n in n_spikes.items():
            shapes |= {f"{_RECORDED}spikes/{name}/{column}": (n,) for column in ("steps", "ids")}
        for name, n in n_frames.items():
            shapes[f"{_RECORDED}samples/{name}"] = (n, len(self._layouts[name].node_ids))
        _check_recorded(arrays, shapes)
        spikes, samples = MemorySpikes(self._populations), MemorySamples(self._layouts)
        for name in self._populations:
            steps, ids = (arrays[f"{_RECORDED}spikes/{name}/{column}"] for column in ("steps", "ids"))
            spikes.append(name, steps, ids)
        for name, layout in self._layouts.items():
            steps = layout.start_step + np.arange(n_frames[name], dtype=np.int64) * layout.every_steps
            samples.append(name, steps, arrays[f"{_RECORDED}samples/{name}"])
        self._spikes, self._samples = spikes, samples

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self._spikes.get(name)

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self._samples.get(name)

    def close(self, complete: bool) -> None:
        """Nothing to close."""


class FileSinks(_Both):
    """Recordings on disk; a checkpoint contains how long they are.

    A folder that holds a recording already is left alone until `restore` tells how much of it counts.
    """

    def __init__(
        self, folder: Path, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout], dt_ms: float
    ) -> None:
        super().__init__(populations, layouts)
        self._folder, self._dt_ms = folder, dt_ms
        self._spikes_path, self._state_path = folder / "spikes.h5", folder / "state.h5"
        waits = self._spikes_path.exists() or self._state_path.exists()
        self._files = None if waits else self._new_files()

    def _new_files(self) -> tuple[SpikeFile, StateFile]:
        spikes = SpikeFile(self._spikes_path, self._populations, self._dt_ms)
        try:
            return spikes, StateFile(self._state_path, self._layouts, self._dt_ms)
        except BaseException:
            spikes.close(complete=False)
            self._spikes_path.unlink()
            raise

    def _opened(self) -> tuple[SpikeFile, StateFile]:
        if self._files is None:
            raise StorageError(
                "the folder holds a recording",
                where=str(self._folder),
                fix="resume a checkpoint of it, or choose another folder",
            )
        return self._files

    @property
    def spikes(self) -> SpikeFile:
        return self._opened()[0]

    @property
    def samples(self) -> StateFile:
        return self._opened()[1]

    def check_open(self) -> None:
        """Raises StorageError when the folder holds another recording, SnnError after the end of this one."""
        if not all(file.is_open for file in self._opened()):
            raise SnnError(
                "the recording is closed",
                where=str(self._folder),
                fix="build a new Simulator, for another folder or to resume a checkpoint",
            )

    def saved(self) -> dict[str, np.ndarray]:
        """Nothing: the files keep the recordings."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None:
        """Cut the files to the length they had at the checkpoint and append from there.

        Both shorter files are complete on the disk before either takes its place.
        Raises FileError or StorageError, with nothing changed.
        """
        n_spikes, n_frames = self._split(rows)
        if any(name.startswith(_RECORDED) for name in arrays):
            raise FileError(
                "the checkpoint contains its recordings; it was saved without a folder for them",
                where=str(self._folder),
                fix="resume it in a Simulator without record_to",
            )
        if self._files is not None and all(file.is_open for file in self._files):
            self.rows()  # what waits in memory may count
        with replacing(self._spikes_path) as new_spikes, replacing(self._state_path) as new_state:
            spikes = SpikeFile.copy_of(
                self._spikes_path, self._populations, self._dt_ms, n_spikes, new_spikes
            )
            samples = StateFile.copy_of(self._state_path, self._layouts, self._dt_ms, n_frames, new_state)
            self.close(complete=False)
        spikes.reopen(self._spikes_path)
        samples.reopen(self._state_path)
        self._files = spikes, samples

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if self.spikes.is_open:
            self.spikes.flush()
        times, ids = read_spikes(self._spikes_path, name)
        return np.rint(times / self._dt_ms).astype(np.int64), ids.astype(np.int64)

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if self.samples.is_open:
            self.samples.flush()
        times, _, data = read_state(self._state_path, name)
        return np.rint(times / self._dt_ms).astype(np.int64), data

    def close(self, complete: bool) -> None:
        """Close the files; `complete` marks them as whole.  What they hold can still be read."""
        if self._files is None:
            return
        spikes, samples = self._files
        try:
            spikes.close(complete=complete)
        finally:
            samples.close(complete=complete)


def _check_recorded(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises FileError unless a checkpoint contains these recordings."""
    missing = sorted(set(shapes) - set(arrays))
    if missing:
        raise FileError(
            "the checkpoint does not contain its recordings; they are in the folder of the run that saved it",
            where=missing[0],
            expected=", ".join(missing),
            fix="resume it in a Simulator with record_to = that folder",
        )
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise FileError(
                "a recording in the checkpoint is not as long or wide as it says",
                where=name,
                got=arrays[name].shape,
                expected=str(shape),
            )
