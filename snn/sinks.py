"""Where recordings go: into memory, or into spikes.h5 and state.h5 of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from snnsim.errors import FileError
from snnsim.memory_recording import MemorySamples, MemorySpikes, SampleLayout
from snnsim.recording import SpikeFile, StateFile, read_spikes, read_state


class Appendable(Protocol):
    """What takes spikes or samples."""

    def append(self, name: str, steps: np.ndarray, values: np.ndarray, /) -> None: ...

    def rows(self) -> dict[str, int]: ...


class Sinks(Protocol):
    """All recordings of one simulation."""

    @property
    def spikes(self) -> Appendable: ...

    @property
    def samples(self) -> Appendable: ...

    def rows(self) -> dict[str, int]: ...

    def due(self, probe: str, step: int) -> bool: ...

    def saved(self) -> dict[str, np.ndarray]: ...

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None: ...

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]: ...

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]: ...

    def contents(self) -> Iterator[np.ndarray]: ...

    def close(self, complete: bool) -> None: ...


class _Both:
    """What both kinds have in common."""

    spikes: Appendable
    samples: Appendable

    def __init__(self, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout]) -> None:
        self._populations, self._layouts = populations, layouts

    def rows(self) -> dict[str, int]:
        found = {f"spikes/{name}": n for name, n in self.spikes.rows().items()} if self._populations else {}
        if self._layouts:
            found |= {f"samples/{name}": n for name, n in self.samples.rows().items()}
        return found

    def due(self, probe: str, step: int) -> bool:
        """Is the sample of this step still missing?  (It is there when a run went on after a checkpoint.)"""
        return self.samples.rows()[probe] * self._layouts[probe].every_steps == step

    def _split(self, rows: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        wanted = {f"spikes/{name}" for name in self._populations} | {
            f"samples/{name}" for name in self._layouts
        }
        if set(rows) != wanted:
            raise FileError(
                "the checkpoint belongs to other probes",
                got=sorted(rows),
                expected=", ".join(sorted(wanted)) or "none",
            )
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

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class MemorySinks(_Both):
    """Recordings in memory; a checkpoint contains them."""

    spikes: MemorySpikes
    samples: MemorySamples

    def __init__(self, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout]) -> None:
        super().__init__(populations, layouts)
        self.spikes, self.samples = MemorySpikes(populations), MemorySamples(layouts)

    def saved(self) -> dict[str, np.ndarray]:
        """The recordings themselves, as a checkpoint stores them."""
        found: dict[str, np.ndarray] = {}
        for name in self._populations:
            found[f"recorded/spikes/{name}/steps"], found[f"recorded/spikes/{name}/ids"] = self.spikes.get(
                name
            )
        for name in self._layouts:
            found[f"recorded/samples/{name}"] = self.samples.get(name)[1]
        return found

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None:
        """Replace all recordings by those of a checkpoint."""
        self._split(rows)
        spikes, samples = MemorySpikes(self._populations), MemorySamples(self._layouts)
        for name in self._populations:
            spikes.append(
                name, arrays[f"recorded/spikes/{name}/steps"], arrays[f"recorded/spikes/{name}/ids"]
            )
        for name, layout in self._layouts.items():
            frames = arrays[f"recorded/samples/{name}"]
            samples.append(name, np.arange(len(frames)) * layout.every_steps, frames)
        self.spikes, self.samples = spikes, samples

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.spikes.get(name)

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.samples.get(name)

    def close(self, complete: bool) -> None:
        """Nothing to close."""


class FileSinks(_Both):
    """Recordings on disk; a checkpoint contains how long they are."""

    spikes: SpikeFile
    samples: StateFile

    def __init__(
        self, folder: Path, populations: Mapping[str, int], layouts: Mapping[str, SampleLayout], dt_ms: float
    ) -> None:
        super().__init__(populations, layouts)
        self._dt_ms = dt_ms
        self._spikes_path, self._state_path = folder / "spikes.h5", folder / "state.h5"
        self._opened = False
        self._open(None)

    def _open(self, rows: tuple[dict[str, int], dict[str, int]] | None) -> None:
        if rows is None and (self._spikes_path.exists() or self._state_path.exists()):
            return  # opened by `restore`, which knows how much of them counts
        if rows is None:
            self.spikes = SpikeFile(self._spikes_path, self._populations, self._dt_ms)
            self.samples = StateFile(self._state_path, self._layouts, self._dt_ms)
        else:
            self.close(complete=False)
            self.spikes = SpikeFile.continue_from(self._spikes_path, self._populations, self._dt_ms, rows[0])
            self.samples = StateFile.continue_from(self._state_path, self._layouts, self._dt_ms, rows[1])
        self._opened = True

    def saved(self) -> dict[str, np.ndarray]:
        """Nothing: the files keep the recordings."""
        return {}

    def restore(self, arrays: dict[str, np.ndarray], rows: Mapping[str, int]) -> None:
        """Cut the files to the length they had at the checkpoint and append from there."""
        self._open(self._split(rows))

    def get_spikes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        self.spikes.flush()
        times, ids = read_spikes(self._spikes_path, name)
        return np.rint(times / self._dt_ms).astype(np.int64), ids.astype(np.int64)

    def get_samples(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        self.samples.flush()
        times, _, data = read_state(self._state_path, name)
        return np.rint(times / self._dt_ms).astype(np.int64), data

    def close(self, complete: bool) -> None:
        """Close the files; `complete` marks them as whole."""
        if self._opened:
            self.spikes.close(complete=complete)
            self.samples.close(complete=complete)
            self._opened = False
