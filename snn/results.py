"""What a run has found: spikes and rates by population, and how well its task was solved.

Everything is read from the run directory in pieces, so recordings may be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnsim.classify import READOUT_RULES, Classify, count_by_presentation, evaluate
from snnsim.config import Config
from snnsim.encoding import EncodedImages
from snnsim.errors import ConfigError, FileError
from snnsim.inputs import encode_images, source_sizes
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.recording import open_spikes, read_spikes, read_state
from snnsim.runs import RunDirectory
from snnsim.tablefile import find_dataset, open_recording

BLOCK_ROWS = 2**20
Spikes = tuple[NDArray[np.float64], NDArray[np.int64], int]
"""times_ms[k], ids[k] and the number of neurons of one population."""


@dataclass(frozen=True)
class Recorded:
    """A population or spike source whose spikes were recorded: its size, and how many units of it."""

    name: str
    n: int
    n_recorded: int


def recorded(network: Network, sizes: Mapping[str, int]) -> list[Recorded]:
    """All populations and sources that probes record spikes of; `sizes` gives the number of units of each."""
    ids: dict[str, set[int] | None] = {}
    for probe in _spike_probes(network):
        if probe.ids is None:
            ids[probe.target] = None
        elif (known := ids.setdefault(probe.target, set())) is not None:
            known |= set(probe.ids.tolist())
    return [
        Recorded(name, sizes[name], sizes[name] if own is None else len(own)) for name, own in ids.items()
    ]


def check_task(network: Network, task: Classify) -> None:
    """Raise ConfigError unless all spikes of the task's read-out are recorded."""
    if not any(probe.target == task.readout and probe.ids is None for probe in _spike_probes(network)):
        raise ConfigError(
            "the spikes of the read-out are not recorded",
            where="task.readout",
            got=task.readout,
            expected="a probe of the spikes of all its neurons",
            fix=f'add [probes.{task.readout}_spikes] with target = "{task.readout}"',
        )


def _spike_probes(network: Network) -> list[Probe]:
    return [probe for probe in network.probes.values() if probe.variable == "spikes"]


def blocks(path: Path, name: str) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """All spikes of a population in the order of time, a million at once: (times_ms, ids)."""
    start = 0
    while True:
        times, ids = read_spikes(path, name, start, start + BLOCK_ROWS)
        if times.size:
            yield times, ids.astype(np.int64)
        if times.size < BLOCK_ROWS:
            return
        start += BLOCK_ROWS


def window(
    path: Path, name: str, t0_ms: float, t1_ms: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Spikes with t0 <= t < t1; only these are read, for the file is sorted by time."""
    with open_spikes(path) as file:
        if name not in file["spikes"]:
            return read_spikes(path, name)[0], np.empty(0, np.int64)  # says what is there instead
        times = find_dataset(file, f"/spikes/{name}/timestamps", "f", 1)
        first, last = bisect_left(times, t0_ms), bisect_left(times, t1_ms)
    found, ids = read_spikes(path, name, first, last)
    return found, ids.astype(np.int64)


def activity(path: Path, tables: list[Recorded], duration_ms: float) -> dict[str, Any]:
    """Numbers of spikes, mean rates of the recorded units, and the SHA-256 of all spikes.

    The hash covers, for each population by name, its name, the SHA-256 of all times (float64, ms) and
    that of all ids (int64): it does not depend on how the file came about, or on its chunks.
    """
    whole = hashlib.sha256()
    spikes: dict[str, int] = {}
    for name in sorted(table.name for table in tables):
        of_times, of_ids, spikes[name] = hashlib.sha256(), hashlib.sha256(), 0
        for times, ids in blocks(path, name):
            of_times.update(np.ascontiguousarray(times, "<f8").tobytes())
            of_ids.update(np.ascontiguousarray(ids, "<i8").tobytes())
            spikes[name] += times.size
        whole.update(f"{name} {of_times.hexdigest()} {of_ids.hexdigest()}\n".encode())
    seconds = duration_ms / 1000.0
    rates = {t.name: spikes[t.name] / (t.n_recorded * seconds) if seconds > 0 else 0.0 for t in tables}
    return {
        "spikes": {table.name: spikes[table.name] for table in tables},
        "rates_hz": rates,
        "spikes_sha256": whole.hexdigest(),
    }


def classification(
    path: Path, task: Classify, n_readout: int, images: EncodedImages, dt_ms: float
) -> dict[str, Any]:
    """Accuracy by both read-outs, and the details of the one that the task asks for."""
    counts = np.zeros((len(images.schedule), n_readout), dtype=np.int32)
    for times, ids in blocks(path, task.readout):
        steps = np.rint(times / dt_ms).astype(np.int64)
        count_by_presentation(steps, ids, n_readout, images, counts)
    found = {rule: evaluate(task, counts, images, rule) for rule in READOUT_RULES}
    chosen = found[task.readout_rule]
    return {
        "accuracy": chosen.accuracy,
        "readout_rule": chosen.rule,
        "accuracies": {rule: result.accuracy for rule, result in found.items()},
        "n_test": chosen.n_test,
        "n_silent": chosen.n_silent,
        "n_unassigned": chosen.n_unassigned,
        "class_accuracy": [None if np.isnan(share) else float(share) for share in chosen.class_accuracy],
        "neurons_per_class": chosen.neurons_per_class.tolist(),
        "confusion": chosen.confusion.tolist(),
        "assignment": chosen.assignment.tolist(),
        "image_shape": list(images.image_shape),
    }


def read_result(folder: Path) -> dict[str, Any]:
    """result.json of a finished run. Raises FileError."""
    path = folder / "result.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileError(
            "the run has not reached its end", where=str(folder), got="no result.json",
            fix=f"snnsim resume {folder}", code="file.missing",
        ) from None  # fmt: skip
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"not readable ({error})", where=str(path)) from error
    needed = {
        "run_dir": str,
        "recorded": dict,
        "spikes": dict,
        "rates_hz": dict,
        "duration_ms": float,
        "sim_s": float,
    }
    wrong = [
        k for k, kind in needed.items() if not isinstance(found, dict) or not isinstance(found.get(k), kind)
    ]
    if wrong:
        raise FileError("an entry is missing", where=str(path), got=wrong[0], expected="a result of snnsim")
    return {**found, "run_dir": str(folder)}  # the folder may have been moved


def reached_step(run: RunDirectory) -> int:
    """Up to which step everything of a run is recorded: its end, or where it was stopped.

    Of a run that is still at work, or was killed, this is its newest checkpoint; before the first one
    it is where the first of its recordings ends, for each is written in pieces of its own.
    """
    if run.status in ("finished", "interrupted") and isinstance(run.manifest.get("step"), int):
        return int(run.manifest["step"])
    dt_ms = float(run.manifest.get("dt_ms") or 0.1)
    if run.status == "finished":
        return round(float(run.manifest.get("duration_ms") or 0.0) / dt_ms)
    files = run.checkpoints.folder.glob("step_*.h5")
    steps = [int(file.stem[5:]) for file in files if file.stem[5:].isdigit()]
    return max(steps) if steps else min(_ends(run, dt_ms), default=0)


def _ends(run: RunDirectory, dt_ms: float) -> Iterator[int]:
    """The step after the last one of each recording that holds something."""
    if run.spikes_path.exists():
        with open_spikes(run.spikes_path) as file:
            for name in file["spikes"]:
                times = find_dataset(file, f"/spikes/{name}/timestamps", "f", 1)
                if len(times):
                    yield round(float(times[-1]) / dt_ms) + 1
    if run.state_path.exists():
        with open_recording(run.state_path) as file:
            names = list(file["report"]) if "report" in file else []
        for name in names:
            times_ms, _, _ = read_state(run.state_path, name, -1)
            if times_ms.size:
                yield round(float(times_ms[-1]) / dt_ms) + 1


def spike_counts_so_far(path: Path) -> dict[str, int]:
    """Spikes of each population in a file that may still be written."""
    with open_spikes(path) as file:
        names = list(file["spikes"])
        return {name: len(find_dataset(file, f"/spikes/{name}/timestamps", "f", 1)) for name in names}


def sizes_of(config: Config, data_dir: Path | str | None = None) -> dict[str, int]:
    """Units of every population and spike source."""
    images = encode_images(config.network, config.run.dt_ms, config.run.seed, data_dir)
    populations = {name: population.n for name, population in config.network.populations.items()}
    return populations | source_sizes(config.network, images)
