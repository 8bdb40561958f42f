"""A billion synapses: how long they take to build and to run, and how many bytes they need.

    .venv/bin/python benchmarks/billion.py [--neurons 100000] [--in-degree 10000] [--model-ms 20]
                                           [--rate-hz 10] [--threads N]

The network of benchmarks/driven.py in float32, with one weight and delays of 1 to 2 ms, in a process of its
own, so that its peak of memory is that of this network.  Where the memory does not suffice snnsim says so
before it builds anything, and nothing is written; exit code 2.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

RESULTS = Path(__file__).resolve().parent / "results" / "billion.json"
WARMUP_MS = 5.0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Build and run the network in this process.  Raises ConfigError when it does not fit into memory."""
    from driven import driven, events

    from snnsim import Simulator, Uniform
    from snnsim.memory import peak_rss_bytes
    from snnsim.synapses import synapse_bytes

    delay = Uniform(low=1.0, high=2.0)
    with Simulator(driven(100, 10, options.rate_hz, delay), seed=1, threads=1) as tiny:
        tiny.run(WARMUP_MS)  # kernels are compiled before the clock starts
    network = driven(options.neurons, options.in_degree, options.rate_hz, delay)
    with Simulator(network, seed=1, threads=options.threads) as sim:
        sim.run(WARMUP_MS)
        begin = sim.step
        began = time.perf_counter()
        sim.run(options.model_ms)
        sim_s = time.perf_counter() - began
        peak = peak_rss_bytes()  # before what follows can add to it
        n_spikes, n_events = events(sim, begin)
        return {
            "n_neurons": sim.n_neurons,
            "n_synapses": sim.n_synapses,
            "n_ranges": sim.program.units.n_ranges,
            "threads": sim.threads,
            "warmup_ms": WARMUP_MS,
            "model_ms": options.model_ms,
            "build_s": sim.build_s,
            "sim_s": sim_s,
            "rtf": sim_s * 1000.0 / options.model_ms,
            "peak_rss_gb": None if peak is None else peak / 1e9,
            "peak_bytes_per_synapse": None if peak is None else peak / sim.n_synapses,
            "bytes_per_synapse": synapse_bytes(sim.program) / sim.n_synapses,
            "rate_hz": n_spikes / sim.n_neurons * 1000.0 / options.model_ms,
            "n_events": n_events,
            "events_per_s": n_events / sim_s,
        }


def child(options: argparse.Namespace) -> int:
    """Measure, and print the result as one JSON object."""
    from snnsim.errors import ConfigError

    try:
        found = measure(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    json.dump(found, sys.stdout)
    return 0


def markdown(record: dict[str, Any]) -> str:
    """The result as a table."""
    found = record["result"]
    peak, each = found["peak_rss_gb"], found["peak_bytes_per_synapse"]
    rows = {
        "synapses": f"{found['n_synapses']:,}, to {found['n_neurons']:,} neurons",
        "build": f"{found['build_s']:.1f} s, {found['threads']} threads",
        "real-time factor": f"{found['rtf']:.3g} at {found['rate_hz']:.1f} Hz, over {found['model_ms']:g} ms",
        "synaptic events": f"{found['events_per_s']:.3g} a wall second",
        "bytes per synapse": f"{found['bytes_per_synapse']:.2f}",
        "peak of memory": "unknown" if peak is None else f"{peak:.2f} GB, {each:.2f} bytes per synapse",
    }
    lines = [f"{record['machine']}; {record['date'][:10]}; `{record['command']}`.", "", "| | |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {text} |" for name, text in rows.items()])


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build and run a billion synapses.")
    parser.add_argument("--neurons", type=int, default=100_000)
    parser.add_argument("--in-degree", type=int, default=10_000)
    parser.add_argument("--model-ms", type=float, default=20.0)
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parsed(arguments)
    if options.child:
        return child(options)
    from page import PAGE, fill
    from record import machine, now

    from snnsim.atomic import write_json
    from snnsim.manifest import software_facts

    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), *arguments, "--child"], stdout=subprocess.PIPE
    )
    if done.returncode != 0:
        return done.returncode if done.returncode > 0 else 1  # what was wrong stands on stderr
    found = json.loads(done.stdout)
    print(f"{found['n_neurons']:,} neurons, {found['n_synapses']:,} synapses, {found['threads']} threads")
    units = {
        "build_s": "s", "sim_s": "s", "rtf": "wall s per model s", "peak_rss_gb": "GB",
        "bytes_per_synapse": "stored", "peak_bytes_per_synapse": "of the whole process at its peak",
        "rate_hz": "Hz", "events_per_s": "",
    }  # fmt: skip
    for name, unit in units.items():
        if found[name] is not None:
            print(f"{name:>24} {found[name]:>10.4g} {unit}")
    record = {
        "benchmark": "billion",
        "command": " ".join(["python benchmarks/billion.py", *arguments]),
        "date": now(),
        "versions": software_facts(),
        "python": platform.python_version(),
        "machine": machine(),
        "result": found,
    }
    write_json(options.results, record)
    if options.results == RESULTS:
        fill(PAGE, "billion", markdown(record))
    print(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
