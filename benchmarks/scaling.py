"""How simulation time grows with neurons, synapses, rate and threads.

    .venv/bin/python benchmarks/scaling.py [--quick] [--results PATH]

Wall seconds for a second of model time, the median of three stretches of about half a second of wall time
after warm-up, with kernels compiled before and all spikes recorded:

    neurons   1,000 to 1,000,000 with 100 inputs each, 10 Hz, one thread
    inputs    10 to 10,000 to each of 10,000 neurons, 10 Hz, one thread
    rate      1 to 100 Hz of 10,000 neurons with 1,000 inputs each, one thread
    threads   1 to 4, brunel at scale 0.5 and the microcircuit at scale 0.1, both cut into 4 ranges

The first three measure the network of benchmarks/driven.py.  With --quick it tries smaller sizes and writes
nothing, unless --results says where.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnsim.jit_cache import configure

configure()

from driven import driven, events  # noqa: E402
from record import machine, now  # noqa: E402

from snnsim import Network, Simulator  # noqa: E402
from snnsim.atomic import write_json  # noqa: E402
from snnsim.canvas import INK, PALETTE, blank, dress, save  # noqa: E402
from snnsim.errors import ConfigError  # noqa: E402
from snnsim.experiments.benchmarks import benchmark_network  # noqa: E402
from snnsim.manifest import software_facts  # noqa: E402
from snnsim.memory import peak_rss_bytes  # noqa: E402
from snnsim.synapses import synapse_bytes  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "scaling.json"
FIGURE = HERE.parent / "docs" / "images" / "scaling.svg"
DT_MS, WARMUP_MS, PILOT_MS, REPEATS, N_RANGES = 0.1, 20.0, 10.0, 3, 4
SHORTEST_MS, LONGEST_MS = 10.0, 10_000.0
THREADED = {"brunel": 0.5, "microcircuit": 0.1}  # scales
PANELS = {  # label of the axis, slope of the orientation
    "neurons": ("neurons (100 inputs each, 10 Hz)", 1),
    "inputs": ("inputs to each of 10,000 neurons (10 Hz)", 1),
    "rate": ("rate (Hz) of 10,000 neurons with 1,000 inputs", 1),
    "threads": ("threads", -1),
}

Point = dict[str, Any]
Case = tuple[str, str, float, Network, int, int]
"""Panel, line in it, x, network, threads, ranges (0 for as many as the network suggests)."""


def cases(quick: bool) -> Iterator[Case]:
    """All points to measure; networks are descriptions and cost nothing."""
    for n in (1_000, 3_000) if quick else (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000):
        yield "neurons", "driven", n, driven(n, 100, 10.0), 1, 0
    for inputs in (10, 100) if quick else (10, 30, 100, 300, 1_000, 3_000, 10_000):
        yield "inputs", "driven", inputs, driven(10_000, inputs, 10.0), 1, 0
    for rate in (1, 100) if quick else (1, 3, 10, 30, 100):
        yield "rate", "driven", rate, driven(10_000, 1_000, rate), 1, 0
    for name, scale in {"brunel": 0.05, "microcircuit": 0.02}.items() if quick else THREADED.items():
        for threads in (1, 2, 3, 4):
            yield "threads", name, threads, benchmark_network(name, scale), threads, N_RANGES


def measure(case: Case, target_s: float) -> Point:
    """One point: three stretches of model time, each of about `target_s` of wall time."""
    panel, line, x, network, threads, n_ranges = case
    with Simulator(network, dt_ms=DT_MS, seed=1, threads=threads, n_ranges=n_ranges) as sim:
        sim.run(WARMUP_MS)
        pilot_s = timed(sim, PILOT_MS)
        duration_ms = round(min(max(PILOT_MS * target_s / pilot_s, SHORTEST_MS), LONGEST_MS))
        begin = sim.step
        seconds = [timed(sim, duration_ms) for _ in range(REPEATS)]
        n_spikes, n_events = events(sim, begin)
        model_s = REPEATS * duration_ms / 1000.0
        rtfs = [s * 1000.0 / duration_ms for s in seconds]
        return {
            "panel": panel,
            "line": line,
            "x": x,
            "n_neurons": sim.n_neurons,
            "n_synapses": sim.n_synapses,
            "n_ranges": sim.program.units.n_ranges,
            "threads": sim.threads,
            "duration_ms": duration_ms,
            "seconds": seconds,
            "rtf": statistics.median(rtfs),
            "rtf_min": min(rtfs),
            "rtf_max": max(rtfs),
            "rate_hz": n_spikes / sim.n_neurons / model_s,
            "events_per_model_s": n_events / model_s,
            "events_per_s": n_events / sum(seconds),
            "bytes_per_synapse": synapse_bytes(sim.program) / sim.n_synapses,
            "build_s": sim.build_s,
            "peak_rss_gb": None if (peak := peak_rss_bytes()) is None else peak / 1e9,
        }


def timed(sim: Simulator, duration_ms: float) -> float:
    began = time.perf_counter()
    sim.run(duration_ms)
    return time.perf_counter() - began


def compile_all() -> None:
    """Compile, or load, what the points need, with small networks of the same kinds."""
    tiny = [driven(100, 10, 10.0)]
    tiny += [benchmark_network("brunel", 0.01), benchmark_network("microcircuit", 0.01)]
    for network in tiny:
        with Simulator(network, dt_ms=DT_MS, threads=1) as sim:
            sim.run(5.0)


def draw(points: list[Point], path: Path) -> None:
    """Four panels with both axes logarithmic, and lines of slope 1 (threads: -1) through the middle point."""
    figure = blank(9.0, 6.6)
    for letter, ax, (panel, (label, power)) in zip(
        "abcd", figure.subplots(2, 2).flat, PANELS.items(), strict=True
    ):
        mine = [p for p in points if p["panel"] == panel]
        for k, name in enumerate(dict.fromkeys(p["line"] for p in mine)):
            line = sorted((p for p in mine if p["line"] == name), key=lambda p: p["x"])
            xs, ys = [p["x"] for p in line], [p["rtf"] for p in line]
            spread = [[p["rtf"] - p["rtf_min"] for p in line], [p["rtf_max"] - p["rtf"] for p in line]]
            at = 0 if power < 0 else -1
            ax.plot(
                xs, [ys[at] * (x / xs[at]) ** power for x in xs], ":", color="#888888", linewidth=1,
                label=f"slope {power:+d}".replace("+", "") if k == 0 else None,
            )  # fmt: skip
            ax.errorbar(
                xs, ys, spread, fmt="o-", color=PALETTE[k], markersize=4, linewidth=1.4,
                label=f"{name}, {line[0]['n_synapses']:,} synapses" if panel == "threads" else "measured",
            )  # fmt: skip
        _axes(ax, f"({letter}) {panel}", label, [p["x"] for p in mine])
    save(figure, path)
    save(figure, path.with_suffix(".png"))


def _axes(ax: Axes, title: str, label: str, xs: list[float]) -> None:
    ax.set_xscale("log", base=2 if "threads" in title else 10)
    ax.set_yscale("log")
    if "threads" in title:
        ax.set_xticks(sorted(set(xs)))
        ax.minorticks_off()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(lambda value, _: "")
        axis.set_major_formatter(lambda value, _: f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}")
    ax.set_xlabel(label)
    ax.set_ylabel("wall s per model s")
    low, high = ax.get_ylim()
    ax.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    ax.set_title(title, fontsize=9.5, loc="left", color=INK)
    ax.legend(fontsize=7.5, frameon=False)
    dress(ax)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure how simulation time grows.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, as a trial; writes nothing")
    parser.add_argument("--results", type=Path, help="instead of results/; the figure goes beside it")
    options = parser.parse_args(arguments)
    compile_all()
    points: list[Point] = []
    print(f"{'':9}{'':14}{'x':>9}{'synapses':>13}{'Hz':>8}{'RTF':>9}{'events/s':>11}{'B/synapse':>11}")
    for case in cases(options.quick):
        try:
            p = measure(case, 0.05 if options.quick else 0.5)
        except ConfigError as error:  # too little memory for the largest
            print(f"left out: {case[0]} {case[2]:,}: {error}", file=sys.stderr)
            continue
        points.append(p)
        print(
            f"{p['panel']:9}{p['line']:14}{p['x']:>9,}{p['n_synapses']:>13,}{p['rate_hz']:>8.2f}"
            f"{p['rtf']:>9.3g}{p['events_per_s']:>11.3g}{p['bytes_per_synapse']:>11.2f}",
            flush=True,
        )
    results = options.results or (None if options.quick else RESULTS)
    if results is not None:
        record = {
            "benchmark": "scaling",
            "command": "python benchmarks/scaling.py" + (" --quick" if options.quick else ""),
            "date": now(),
            "versions": software_facts(),
            "python": platform.python_version(),
            "machine": machine(),
            "points": points,
        }
        write_json(results, record)
        draw(points, FIGURE if results == RESULTS else results.with_suffix(".svg"))
        print(f"written to {results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
