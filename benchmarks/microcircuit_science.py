"""Is our microcircuit statistically the reference model?

    .venv/bin/python benchmarks/microcircuit_science.py [--seeds 10] [--seconds 10] [--scale 1] [--work DIR]
                                                        [--reference FILE.npz ...] [--threads K]

Simulates examples/microcircuit.py once a seed, with another network and other input each time, and compares
rates, CV of intervals and correlations of single cells (microcircuit_statistics.py defines them) between our
seeds and, where files of peers/nest_microcircuit_spikes.py are given, with NEST.  A statistic of a population
passes when its mean Kolmogorov-Smirnov distance to NEST is at most twice that among our seeds; z says by how
many standard errors the means over seeds differ.  The spikes of finished seeds stay in --work and are not
simulated again.  Results and a figure go to benchmarks/results/; another scale than 1 stands in their names.
Exit code 1: something did not pass.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers")]

import microcircuit_statistics as stats  # noqa: E402
import spikefile  # noqa: E402
from microcircuit_figure import distributions_figure  # noqa: E402

from snnsim import Network, Simulator  # noqa: E402
from snnsim.atomic import write_json  # noqa: E402
from snnsim.examples.microcircuit import MEAN_RATES_HZ, NAMES, microcircuit  # noqa: E402
from snnsim.grid import to_steps  # noqa: E402
from snnsim.identity import fingerprint  # noqa: E402
from snnsim.manifest import software_facts, utc_now  # noqa: E402
from snnsim.plots import save  # noqa: E402

DT_MS = 0.1
CV_PEAKS = (0.95, 0.9, 0.9, 0.9, 0.85, 0.8, 0.95, 0.85)  # read off the reference's figure, 15 min
PUBLISHED_KS = {  # between two of the reference's realisations of 15 min
    "rates": (0.02, 0.02, 0.01, 0.01, 0.02, 0.03, 0.02, 0.02),
    "cv": (0.01, 0.02, 0.01, 0.01, 0.02, 0.03, 0.01, 0.02),
    "cc": (0.05, 0.04, 0.05, 0.02, 0.06, 0.02, 0.04, 0.02),
}
SHARED = ("scale", "seconds", "warmup_ms", "dt_ms", "background", "n")  # what all realisations agree in


class Mismatch(Exception):
    """A file that belongs to another question; the text says which and what to do."""


def settings(options: argparse.Namespace, network: Network) -> dict[str, Any]:
    """What makes realisations comparable, and ours repeatable."""
    return {
        "scale": options.scale, "seconds": options.seconds, "warmup_ms": options.warmup_ms, "dt_ms": DT_MS,
        "background": options.background, "n": {name: network.populations[name].n for name in NAMES},
        "simulator": "snnsim", "precision": network.precision, "network": fingerprint(network, {}),
    }  # fmt: skip


def check_same(path: Path, about: dict[str, Any], wanted: dict[str, Any], fix: str) -> None:
    for key, value in wanted.items():
        if about.get(key) != value:
            raise Mismatch(f"{path} has {key} = {about.get(key)!r}, and here it is {value!r}; {fix}")


def simulate(network: Network, about: dict[str, Any], seed: int, threads: int | None, path: Path) -> None:
    """Run one seed and write its spikes after the warm-up."""
    begin = to_steps(about["warmup_ms"], DT_MS, "warmup_ms")
    with Simulator(network, dt_ms=DT_MS, seed=seed, threads=threads) as sim:
        began = time.perf_counter()
        sim.run_steps(begin + to_steps(1e3 * about["seconds"], DT_MS, "seconds", least=1))
        about = about | {
            "seed": seed, "threads": sim.threads, "n_synapses": sim.n_synapses, "build_s": sim.build_s,
            "sim_s": time.perf_counter() - began, "date": utc_now(),
            "versions": software_facts(),
        }  # fmt: skip
        spikes = {}
        for name in NAMES:
            steps, ids = sim.spikes(name)
            spikes[name] = steps[steps >= begin], ids[steps >= begin]
    spikefile.save(path, about, spikes)


def realisation(about: dict[str, Any], spikes: spikefile.Spikes) -> dict[str, dict[str, Any]]:
    t0_ms = about["warmup_ms"]
    t1_ms = t0_ms + 1e3 * about["seconds"]
    return {
        name: stats.describe(steps, ids, about["n"][name], DT_MS, t0_ms, t1_ms)
        for name, (steps, ids) in spikes.items()
    }


def our_realisations(options: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    """What was run and its statistics, for every seed; runs those that are not there yet."""
    network = microcircuit(options.scale, options.background)
    wanted = settings(options, network)
    options.work.mkdir(parents=True, exist_ok=True)
    runs, found = [], []
    for seed in range(1, options.seeds + 1):
        path = options.work / f"snnsim-{seed}.npz"
        if not path.exists():
            simulate(network, wanted, seed, options.threads, path)
        about, spikes = spikefile.load(path)
        check_same(path, about, wanted | {"seed": seed}, "delete it, or name another folder by --work")
        print(f"seed {seed}: built in {about['build_s']:.1f} s, run in {about['sim_s']:.1f} s", flush=True)
        runs.append(about)
        found.append(realisation(about, spikes))
    return runs, found


def references(paths: list[Path], wanted: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    runs, found = [], []
    for path in paths:
        about, spikes = spikefile.load(path)
        check_same(path, about, {key: wanted[key] for key in SHARED}, "compare like with like")
        runs.append(about)
        found.append(realisation(about, spikes))
    return runs, found


def evaluate(ours: list[Any], theirs: list[Any]) -> dict[str, Any]:
    """Everything that is said about each population."""
    populations = {}
    for k, name in enumerate(NAMES):
        mine = stats.summarise(ours, name)
        entry = {
            "published": {
                "rate_hz": MEAN_RATES_HZ[k], "cv_peak": CV_PEAKS[k],
                "ks_15_min": {statistic: values[k] for statistic, values in PUBLISHED_KS.items()},
            },
            "snnsim": mine,
            "rate_deviation_percent": 100.0 * (mine["rates"]["mean"] / MEAN_RATES_HZ[k] - 1.0),
            "ks": stats.compare(ours, theirs, name),
        }  # fmt: skip
        if theirs:
            entry["reference"] = stats.summarise(theirs, name)
            entry["z"] = {s: stats.z_score(mine[s], entry["reference"][s]) for s in stats.SUMMARISED}
        populations[name] = entry
    return populations


def verdict(populations: dict[str, Any]) -> bool | None:
    """Whether everything passed; None where nothing could be compared."""
    results = [entry["ks"][s].get("passed") for entry in populations.values() for s in stats.STATISTICS]
    return None if None in results else all(results)


def show(populations: dict[str, Any], with_reference: bool) -> None:
    """Two tables for people: means over seeds (ours, NEST's, z), and mean KS distances."""
    titles = (f"{s + ': ours, sd, NEST, z':>34}" for s in stats.SUMMARISED)
    print(f"\n{'means':7}{'published Hz':>12}", *titles)
    for name, entry in populations.items():
        line = f"{name:7}{entry['published']['rate_hz']:12.3f}"
        for s in stats.SUMMARISED:
            mine, theirs = entry["snnsim"][s], entry.get("reference", {}).get(s, {})
            cells = [_number(value, 5) for value in (mine["mean"], mine["sd"], theirs.get("mean"))]
            line += f" {cells[0]:>10}{cells[1]:>9}{cells[2]:>9}{_number(entry.get('z', {}).get(s), 1):>6}"
        print(line)
    print(f"\n{'KS':7}", *(f"{s + ': among seeds, to NEST, ratio':>34}" for s in stats.STATISTICS))
    for name, entry in populations.items():
        line = f"{name:7}"
        for s in stats.STATISTICS:
            ks = entry["ks"][s]
            means = [(ks.get(key) or {}).get("mean") for key in ("among_seeds", "to_reference")]
            line += f" {_number(means[0], 3):>16}{_number(means[1], 3):>10}{_number(ks.get('ratio'), 2):>8}"
        print(line)
    if with_reference:
        passed = {True: "passed", False: "FAILED", None: "undecided"}[verdict(populations)]
        print(f"distance to NEST at most {stats.RATIO_LIMIT:g} times that among seeds: {passed}")


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def storable(value: Any) -> Any:
    """The same without NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Is our microcircuit statistically the reference model?")
    parser.add_argument("--seeds", type=int, default=10, help="realisations, seeds 1 to this")
    parser.add_argument("--seconds", type=float, default=10.0, help="model time of each, after the warm-up")
    parser.add_argument("--warmup-ms", type=float, default=500.0)
    parser.add_argument("--scale", type=float, default=1.0, help="of cells and in-degrees, 0.01 to 1")
    parser.add_argument("--background", choices=("poisson", "dc"), default="poisson")
    parser.add_argument("--threads", type=int, help="default: all cores; changes no result")
    parser.add_argument("--reference", type=Path, nargs="+", default=[], help="spikes of NEST")
    parser.add_argument("--work", type=Path, help="folder of finished seeds, default below runs/")
    parser.add_argument("--output", type=Path, help="results, .json; the figure lies beside it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    if not 0.01 <= options.scale <= 1.0:
        parser.error(f"--scale must lie in [0.01, 1], got {options.scale:g}")
    if not 0.01 <= options.seconds <= 1e5 or not 0 <= options.warmup_ms <= 1e6:
        parser.error("--seconds must lie in [0.01, 100000] and --warmup-ms in [0, 1000000]")
    name = "microcircuit_science" + (f"_{options.scale:g}" if options.scale < 1 else "")
    options.work = options.work or HERE.parent / "runs" / f"{name}_{options.seconds:g}s_{options.background}"
    options.output = options.output or HERE / "results" / f"{name}.json"
    if options.output.suffix != ".json" or not options.output.resolve().parent.is_dir():
        parser.error(f"--output must name a .json file in a folder that exists, got {options.output}")
    return options


def command(options: argparse.Namespace) -> str:
    line = f"python benchmarks/microcircuit_science.py --seeds {options.seeds} --seconds {options.seconds:g}"
    line += f" --warmup-ms {options.warmup_ms:g} --scale {options.scale:g} --background {options.background}"
    given = ["--reference", *(path.name for path in options.reference)] if options.reference else []
    return " ".join([line, *given])


def main() -> int:
    options = parsed()
    try:
        runs, ours = our_realisations(options)
        reference_runs, theirs = references(options.reference, runs[0])
    except (Mismatch, spikefile.Unreadable) as error:
        print(error, file=sys.stderr)
        return 2
    populations = evaluate(ours, theirs)
    show(populations, bool(theirs))
    record = {
        "benchmark": "microcircuit_science",
        "command": command(options),
        "date": utc_now(),
        "machine": f"{sys.platform}, {os.cpu_count()} cores",
        "recipe": {
            "seconds": options.seconds, "warmup_ms": options.warmup_ms, "scale": options.scale,
            "min_intervals_of_cv": stats.MIN_ISIS, "bin_ms_of_cc": stats.BIN_MS, "cells_of_cc": stats.SAMPLE,
            "cv_peak_bin": stats.CV_BIN, "ratio_limit": stats.RATIO_LIMIT,
        },
        "runs": runs,
        "reference_runs": reference_runs,
        "populations": populations,
        "passed": verdict(populations) if theirs else None,
    }  # fmt: skip
    write_json(options.output, storable(record))
    figure = distributions_figure(ours, theirs, populations, options.seconds, options.scale)
    save(figure, options.output.with_suffix(".png"))
    print(f"written to {options.output} and {options.output.with_suffix('.png').name}")
    return int(record["passed"] is False)


if __name__ == "__main__":
    sys.exit(main())
