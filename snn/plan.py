"""What a run will be, before it begins: sizes, steps, threads, the files it reads and those it writes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnsim.config import Config, dumps, save_config
from snnsim.config_warnings import config_warnings
from snnsim.grid import to_steps
from snnsim.memory import check_memory
from snnsim.program import Estimate, check_and_encode, estimate
from snnsim.results import check_task
from snnsim.runs import RunDirectory
from snnsim.workers import threads_or_all

ALWAYS = [
    *("config.toml", "resolved.toml", "manifest.json", "log.jsonl", "spikes.h5", "state.h5", "checkpoints/"),
    *("result.json", "report.html"),
]


@dataclass(frozen=True)
class Plan:
    """A config, where its data lie, and what it comes to.

    sizes     expected numbers and bytes
    n_steps   of the whole run: its duration, or until the last image has been shown
    threads_requested   as asked for, or all cores that this process may use
    threads   those that are used: a small network is not cut into so many pieces
    inputs    files that it reads: arrays of the config and data sets
    warnings  sentences for the user
    """

    config: Config
    data_dir: Path | None
    sizes: Estimate
    n_steps: int
    threads_requested: int
    threads: int
    inputs: tuple[Path, ...]
    warnings: tuple[str, ...] = field(default=())

    def outputs(self) -> list[str]:
        """Names of what a run that reaches its end leaves in its directory."""
        network, task = self.config.network, self.config.task
        found = list(ALWAYS)
        variables = {p.variable for p in network.probes.values()}
        if "spikes" in variables:
            found.append("raster.png")
        if "v_mv" in variables:
            found.append("vm.png")
        if any(p.plastic for p in network.projections.values()):
            found += ["weights.h5", "weights.png"]
        if task is not None:
            found.append("confusion.png")
            if any(p.plastic and p.source == task.stimulus for p in network.projections.values()):
                found.append("receptive_fields.png")
        return found


def make_plan(config: Config, data_dir: Path | None = None) -> Plan:
    """Check all that can be checked without building the network. Raises ConfigError and FileError."""
    network, run = config.network, config.run
    wanted = threads_or_all(run.threads)
    with config.origin.located():
        if config.task is not None:
            check_task(network, config.task)
        images = check_and_encode(network, run.dt_ms, run.seed, data_dir)
        sizes = estimate(network, run.dt_ms, images, wanted)
    if run.duration_ms is not None:
        n_steps = to_steps(run.duration_ms, run.dt_ms, "run.duration_ms")
    else:
        n_steps = max(shown.n_steps for shown in images.values())
    inputs = dict.fromkeys([*array_files(config), *(f for shown in images.values() for f in shown.files)])
    warnings = tuple(config_warnings(config))
    return Plan(config, data_dir, sizes, n_steps, wanted, sizes.threads, tuple(inputs), warnings)


def array_files(config: Config) -> list[Path]:
    """The .npz files that the text of a config refers to."""
    path = config.origin.path
    if path is None:
        return []
    names = sorted(set(_file_names(tomllib.loads(config.origin.text))))
    return [file for name in names if (file := path.parent / name).is_file()]


def _file_names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"file", "array"} and isinstance(value["file"], str):
            yield value["file"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _file_names(item)


def create_run(plan: Plan, path: Path | None = None) -> RunDirectory:
    """A new run directory for a plan, locked.

    Raises ConfigError when the network does not fit into memory, StorageError when the directory
    exists already or cannot be written. Nothing is left behind then.
    """
    config = plan.config
    check_memory(plan.sizes)
    run = RunDirectory.create(
        config.name,
        config.origin.text or dumps(config),
        "",
        path=path,
        seed=config.run.seed,
        dt_ms=config.run.dt_ms,
        threads=plan.threads,
        duration_ms=plan.n_steps * config.run.dt_ms,
        inputs=plan.inputs,
    )
    save_config(config, run.resolved_path)
    return run
