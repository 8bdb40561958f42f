"""Spikes of the microcircuit in NEST, for benchmarks/microcircuit_science.py to compare with.

    python nest_microcircuit_spikes.py [--scale S] [--seconds T] [--warmup-ms W] [--seed N] [--threads K]
                                       [--background poisson|dc] -o FILE.npz

Needs numpy and nest-simulator; spikefile.py says what the file holds: the spikes after the warm-up.  NEST
gives a spike the time at which its step ends, so NEST's time (k + 1) dt is step k.
At scale 1 NEST needs 15 GB.
"""

from __future__ import annotations

import argparse
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nest_bench
import numpy as np
import parameters as p
import spikefile


def simulate(nest: Any, options: argparse.Namespace) -> tuple[spikefile.Spikes, dict[str, Any]]:
    """The spikes after the warm-up, and what was run."""
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.set(
        resolution=p.DT_MS, local_num_threads=options.threads, rng_seed=options.seed, print_time=False
    )
    began = time.perf_counter()
    cells, noise = nest_bench.microcircuit(nest, options)
    n_synapses = nest.num_connections
    noise()
    recorders = {}
    for name, group in cells.items():
        recorders[name] = nest.Create("spike_recorder", params={"start": options.warmup_ms})
        nest.Connect(group, recorders[name])
    nest.Prepare()
    build_s, began = time.perf_counter() - began, time.perf_counter()
    nest.Run(options.warmup_ms + options.seconds * 1e3)
    sim_s = time.perf_counter() - began
    nest.Cleanup()
    spikes = {}
    for name, group in cells.items():
        events = recorders[name].events
        steps = np.rint(events["times"] / p.DT_MS).astype(np.int64) - 1
        spikes[name] = steps, events["senders"] - group[0].global_id
    about = {
        "simulator": "NEST", "version": version("nest-simulator"), "seed": options.seed,
        "scale": options.scale, "seconds": options.seconds, "warmup_ms": options.warmup_ms,
        "dt_ms": p.DT_MS, "background": options.background,
        "n": {name: len(group) for name, group in cells.items()}, "n_synapses": n_synapses,
        "threads": options.threads, "build_s": build_s, "sim_s": sim_s, "peak_rss_gb": p.peak_rss_gb(),
    }  # fmt: skip
    return spikes, about


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Spikes of the microcircuit in NEST, as a file.")
    parser.add_argument("--scale", type=float, default=1.0, help="of cells and in-degrees, 0.01 to 1")
    parser.add_argument("--seconds", type=float, default=10.0, help="model time that is recorded")
    parser.add_argument("--warmup-ms", type=float, default=500.0, help="model time before that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--background", choices=("poisson", "dc"), default="poisson")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write, .npz")
    options = parser.parse_args()
    low, high = p.SCALES["microcircuit"]
    if not low <= options.scale <= high:
        parser.error(f"--scale must lie in [{low:g}, {high:g}], got {options.scale:g}")
    if not 0.01 <= options.seconds <= 1e5 or not 0 <= options.warmup_ms <= 1e6:
        parser.error("--seconds must lie in [0.01, 100000] and --warmup-ms in [0, 1000000]")
    if options.threads < 1 or options.seed < 1:
        parser.error("--threads and --seed must be at least 1")
    if options.output.suffix != ".npz" or not options.output.resolve().parent.is_dir():
        parser.error(f"-o must name an .npz file in a folder that exists, got {options.output}")
    return options


def main() -> None:
    options = parsed()
    import nest

    spikes, about = simulate(nest, options)
    spikefile.save(options.output, about, spikes)
    n_spikes = sum(ids.size for _, ids in spikes.values())
    print(f"{n_spikes:,} spikes in {about['sim_s']:.1f} s, written to {options.output}")


if __name__ == "__main__":
    main()
