"""Is a file what it should be? Checks configs, run directories, recordings, weights and checkpoints.

Nothing is simulated and nothing is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnsim.checkpoint import read_checkpoint
from snnsim.config import Config, load_config
from snnsim.config_warnings import config_warnings
from snnsim.errors import FileError
from snnsim.memory import check_memory
from snnsim.networkfile import KIND, read_network
from snnsim.program import check_and_encode, estimate
from snnsim.recording import open_spikes, read_state
from snnsim.results import blocks, check_task, read_result
from snnsim.runs import RunDirectory
from snnsim.tablefile import open_recording
from snnsim.weightfile import read_weights
from snnsim.workers import threads_or_all

MAX_STATE_FRAMES = 1000
"""Of each probe of a state file so many frames are looked at."""


def validate(path: Path, data_dir: Path | str | None = None) -> tuple[str, dict[str, Any]]:
    """What kind of file it is ("config", "run", "spikes", ...), and some facts about it.

    Raises ConfigError for a config with a fault, FileError for everything else that is wrong.
    """
    if path.is_dir():
        return "run", _run(path, data_dir)
    if not path.exists():
        raise FileError("no such file", where=str(path), fix="check the path", code="file.missing")
    if path.suffix.lower() == ".toml":
        config = load_config(path)
        facts = config_facts(config, data_dir, fit=True)
        return "config", {**facts, "warnings": config_warnings(config)}
    if not h5py.is_hdf5(path):
        raise FileError(
            "not a file that snnsim knows",
            where=str(path),
            expected="a config in .toml, a run directory, or an HDF5 file of snnsim or SONATA",
            code="file.unknown",
        )
    return _hdf5(path)


def config_facts(config: Config, data_dir: Path | str | None = None, *, fit: bool = False) -> dict[str, Any]:
    """Check all that can be checked without building the network, with `fit` its memory too; its sizes."""
    with config.origin.located():
        images = check_and_encode(config.network, config.run.dt_ms, config.run.seed, data_dir)
        sizes = estimate(config.network, config.run.dt_ms, images, threads_or_all(config.run.threads))
        if config.task is not None:
            check_task(config.network, config.task)
        if fit:
            check_memory(sizes)
    return {
        "name": config.name,
        "n_neurons": sizes.n_neurons,
        "n_synapses": sizes.n_synapses,
        "total_bytes": sizes.total_bytes,
    }


def spike_facts(path: Path) -> dict[str, Any]:
    """Check that spikes are in the order of time; what each population did."""
    with open_spikes(path) as file:
        names = list(file["spikes"])
        complete = bool(file.attrs.get("complete", 1))
    populations = {name: _train(path, name) for name in names}
    return {"complete": complete, "populations": populations}


def _train(path: Path, name: str) -> dict[str, Any]:
    n, last = 0, -np.inf
    first = None
    seen: set[int] = set()
    for times, ids in blocks(path, name):
        where = f"{path}:/spikes/{name}"
        if not np.isfinite(times).all():
            raise FileError("a time that is not a number", where=where, code="file.damaged")
        if times[0] < last or np.any(np.diff(times) < 0):
            raise FileError("spikes are not in the order of time", where=where, code="file.damaged")
        first, last, n = (float(times[0]) if first is None else first), float(times[-1]), n + times.size
        seen |= set(np.unique(ids).tolist())
    return {"spikes": n, "units_seen": len(seen), "first_ms": first, "last_ms": last if n else None}


def _hdf5(path: Path) -> tuple[str, dict[str, Any]]:
    with open_recording(path) as file:
        groups = set(file)
        probes = list(file["report"]) if isinstance(file.get("report"), h5py.Group) else []
        edges = list(file["edges"]) if isinstance(file.get("edges"), h5py.Group) else []
    if "spikes" in groups:
        return "spikes", spike_facts(path)
    if {"arrays", "meta"} <= groups:
        arrays, meta = read_checkpoint(path)
        if meta.get("kind") == KIND:
            return "network", _network(path)
        return "checkpoint", {"step": meta.get("step"), "bytes": sum(a.nbytes for a in arrays.values())}
    if edges:
        return "weights", {name: len(read_weights(path, name).weight) for name in edges}
    if "report" in groups:
        facts = {}
        for name in probes:
            times, ids, _ = read_state(path, name, 0, MAX_STATE_FRAMES)
            facts[name] = {"units": ids.size, "frames_checked": times.size}
        return "state", facts
    raise FileError(
        "an HDF5 file without spikes, state, weights or a checkpoint", where=str(path), code="file.unknown"
    )


def _network(path: Path) -> dict[str, Any]:
    """A converted network: how it was made, its certificate in a word, its populations."""
    network, facts = read_network(path)
    words = {key: value for key, value in facts.items() if isinstance(value, str | int | float)}
    words.pop("calibration", None)
    certificate = facts.get("certificate")
    if isinstance(certificate, dict):
        words["certificate"] = "holds" if certificate.get("holds") is True else "does not hold"
    return words | {"populations": {name: p.n for name, p in network.populations.items()}}


def _run(path: Path, data_dir: Path | str | None) -> dict[str, Any]:
    run = RunDirectory.open(path)
    facts: dict[str, Any] = {"status": run.status, **config_facts(load_config(run.resolved_path), data_dir)}
    if run.status == "finished":
        if changes := run.changed_outputs():
            raise FileError(
                f"not as the run left it: {'; '.join(changes)}", where=str(path), code="file.changed",
                fix="copy the folder again, or run again",
            )  # fmt: skip
        read_result(path)
    if run.spikes_path.exists():
        facts["spikes"] = {
            name: train["spikes"] for name, train in spike_facts(run.spikes_path)["populations"].items()
        }
    if any(run.checkpoints.folder.glob("step_*.h5")):
        facts["checkpoint_step"], _, _, warnings = run.checkpoints.load()
        if warnings:
            raise FileError(warnings[0], where=str(run.checkpoints.folder), code="file.damaged")
    return facts
