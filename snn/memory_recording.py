"""What can be recorded, and the recorders in memory for runs without a folder.

They have the interface of the recorders on disk, and the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnsim.errors import ConfigError, SnnError


@dataclass(frozen=True, eq=False)
class SampleLayout:
    """What one probe records: frame k is the state at the start of step start_step + k * every_steps.

    node_ids      int[n]  recorded neurons
    variable      name of the state variable
    units         its unit
    every_steps   steps between frames
    dtype         float64 or float32, the precision of the network
    """

    node_ids: npt.NDArray[np.integer]
    variable: str = "v"
    units: str = "mV"
    every_steps: int = 1
    start_step: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if len(self.node_ids) == 0:
            raise ConfigError("a probe records no neuron", where=self.variable, fix="give it at least one id")
        if self.every_steps < 1:
            raise ConfigError(
                "a wrong interval", where=self.variable, got=self.every_steps, expected="at least 1 step"
            )

    def check(self, name: str, steps: npt.NDArray[np.int64], frames: np.ndarray, n_before: int) -> None:
        """Raises SnnError unless the frames follow the first `n_before` ones."""
        expected = self.start_step + (n_before + np.arange(len(steps), dtype=np.int64)) * self.every_steps
        if not np.array_equal(steps, expected):
            raise SnnError(
                "samples are not at their steps",
                where=name,
                got=np.asarray(steps)[:3].tolist(),
                expected=f"{expected[:3].tolist()} ...",
            )
        if frames.shape != (len(steps), len(self.node_ids)):
            raise SnnError(
                "samples of a wrong shape",
                where=name,
                got=frames.shape,
                expected=f"({len(steps)}, {len(self.node_ids)})",
            )


class MemorySpikes:
    """Spikes of each population in memory.

    populations   name -> number of neurons
    """

    def __init__(self, populations: Mapping[str, int]) -> None:
        self.populations = dict(populations)
        self._steps = {name: _Growing(np.empty(0, np.int64)) for name in populations}
        self._ids = {name: _Growing(np.empty(0, np.int64)) for name in populations}

    def append(self, name: str, steps: npt.NDArray[np.int64], ids: npt.NDArray[np.integer]) -> None:
        """Add spikes in the order of time; steps int64[k], ids integer[k]. Raises SnnError."""
        _check_known(name, self._steps)
        last = self._steps[name].last()
        check_spikes(name, steps, ids, self.populations[name], int(last) if last is not None else 0)
        self._steps[name].append(steps)
        self._ids[name].append(ids)

    def count(self, name: str) -> int:
        """Spikes of one population so far."""
        _check_known(name, self._steps)
        return self._steps[name].n_rows

    def rows(self) -> dict[str, int]:
        """Spikes of each population so far."""
        return {name: values.n_rows for name, values in self._steps.items()}

    def get(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All spikes of a population: (steps int64[k], ids int64[k]), both read-only."""
        _check_known(name, self._steps)
        return self._steps[name].joined(), self._ids[name].joined()

    def truncate(self, rows: Mapping[str, int]) -> None:
        """Forget all but the first `rows` of each population. Raises SnnError when there are fewer."""
        for columns in (self._steps, self._ids):
            _truncate(columns, rows)


class MemorySamples:
    """Sampled state of each probe in memory.

    probes   name -> SampleLayout
    """

    def __init__(self, probes: Mapping[str, SampleLayout]) -> None:
        self.probes = dict(probes)
        self._frames = {name: _Growing(np.empty((0, len(p.node_ids)), p.dtype)) for name, p in probes.items()}

    def append(self, name: str, steps: npt.NDArray[np.int64], frames: np.ndarray) -> None:
        """Add the next frames of a probe; steps int64[k], frames float[k, n]. Raises SnnError."""
        _check_known(name, self._frames)
        self.probes[name].check(name, steps, frames, self._frames[name].n_rows)
        self._frames[name].append(frames)

    def count(self, name: str) -> int:
        """Frames of one probe so far."""
        _check_known(name, self._frames)
        return self._frames[name].n_rows

    def rows(self) -> dict[str, int]:
        """Frames of each probe so far."""
        return {name: values.n_rows for name, values in self._frames.items()}

    def get(self, name: str) -> tuple[npt.NDArray[np.int64], np.ndarray]:
        """All frames of a probe: (steps int64[k], frames float[k, n]), both read-only."""
        _check_known(name, self._frames)
        frames, layout = self._frames[name].joined(), self.probes[name]
        return layout.start_step + np.arange(len(frames), dtype=np.int64) * layout.every_steps, frames

    def truncate(self, rows: Mapping[str, int]) -> None:
        """Forget all but the first `rows` frames of each probe. Raises SnnError when there are fewer."""
        _truncate(self._frames, rows)


def check_spikes(
    name: str, steps: npt.NDArray[np.int64], ids: npt.NDArray[np.integer], n: int, last_step: int
) -> None:
    """Raises SnnError unless the spikes are of n neurons and in the order of time."""
    if steps.shape != ids.shape or steps.ndim != 1:
        raise SnnError("steps and ids differ in shape", where=name, got=(steps.shape, ids.shape))
    if len(steps) == 0:
        return
    if int(ids.min()) < 0 or int(ids.max()) >= n:
        raise SnnError(
            "a spike of an unknown neuron",
            where=name,
            got=(int(ids.min()), int(ids.max())),
            expected=f"ids from 0 to {n - 1}",
        )
    if int(steps[0]) < last_step or bool((steps[1:] < steps[:-1]).any()):
        raise SnnError(
            "spikes are not in the order of time", where=name, expected=f"steps from {last_step} on"
        )


class _Growing:
    """An array that grows by its first axis: parts are kept and joined when asked for."""

    def __init__(self, empty: np.ndarray) -> None:
        self._parts = [empty]
        self.n_rows = 0

    def append(self, rows: np.ndarray) -> None:
        if len(rows):
            self._parts.append(rows.astype(self._parts[0].dtype))  # a copy: the caller reuses its buffer
            self.n_rows += len(rows)

    def last(self) -> np.generic | None:
        return self._parts[-1][-1] if self.n_rows else None

    def joined(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        view = self._parts[0].view()
        view.flags.writeable = False
        return view

    def truncate(self, n_rows: int) -> None:
        self._parts = [self.joined()[:n_rows].copy()]
        self.n_rows = n_rows


def _check_known(name: str, tables: Mapping[str, _Growing]) -> None:
    if name not in tables:
        raise SnnError("nothing of this name is recorded", got=name, expected=f"one of {', '.join(tables)}")


def _truncate(tables: Mapping[str, _Growing], rows: Mapping[str, int]) -> None:
    for name, table in tables.items():
        if not 0 <= rows[name] <= table.n_rows:
            raise SnnError(
                "the recording is shorter", where=name, got=table.n_rows, expected=f"{rows[name]} rows"
            )
    for name, table in tables.items():
        table.truncate(rows[name])
