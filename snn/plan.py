"""What a run will be, before it begins: sizes, steps, threads, the files it reads and those it writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from snnsim.config import Config, dumps, save_config
from snnsim.grid import to_steps
from snnsim.program import Estimate, check_and_encode, estimate
from snnsim.results import check_task
from snnsim.runs import RunDirectory
from snnsim.simulator import check_memory

ALWAYS = [
    *("config.toml", "resolved.toml", "manifest.json", "log.jsonl", "spikes.h5", "state.h5", "checkpoints/"),
    *("result.json", "report.html"),
]


@dataclass(frozen=True)
class Plan:
    """A config, where its data lie, and what it comes to.

    sizes     expected numbers and bytes
    n_steps   of the whole run: its duration, or until the last image has been shown
    threads   as asked for, or all cores that this process may use
    inputs    data files that it reads
    """

    config: Config
    data_dir: Path | None
    sizes: Estimate
    n_steps: int
    threads: int
    inputs: tuple[Path, ...]

    def outputs(self) -> list[str]:
        """Names of what a run that reaches its end leaves in its directory."""
        network, task = self.config.network, self.config.task
        found = list(ALWAYS)
        if any(p.variable == "spikes" for p in network.probes.values()):
            found.append("raster.png")
        if any(p.plastic for p in network.projections.values()):
            found.append("weights.h5")
        if task is not None:
            found.append("confusion.png")
            if any(p.plastic and p.source == task.stimulus for p in network.projections.values()):
                found.append("receptive_fields.png")
        return found


def make_plan(config: Config, data_dir: Path | None = None) -> Plan:
    """Check all that can be checked without building the network. Raises ConfigError and FileError."""
    network, run = config.network, config.run
    with config.origin.located():
        if config.task is not None:
            check_task(network, config.task)
        images = check_and_encode(network, run.dt_ms, run.seed, data_dir)
        sizes = estimate(network, run.dt_ms, images)
    if run.duration_ms is not None:
        n_steps = to_steps(run.duration_ms, run.dt_ms, "run.duration_ms")
    else:
        n_steps = max(shown.n_steps for shown in images.values())
    inputs = {file: None for shown in images.values() for file in shown.files}
    return Plan(config, data_dir, sizes, n_steps, _threads(run.threads), tuple(inputs))


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


def _threads(wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
