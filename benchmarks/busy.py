"""How much slower the microcircuit runs while other programs want the cores too.

    .venv/bin/python benchmarks/busy.py [--scale 1] [--duration-ms 500] [--rounds 3] [--threads 2]

The network is built once.  After a warm-up its state is kept, and each measurement goes back to it, so that
all run the same stretch of model time; in every round it runs quiet, then beside one and two other processes
that count in Python as fast as they can, at the same priority.  Bars: with one at most 2.5 times the quiet
real-time factor, with two at most 4 times, each the ratio of the medians.  Spikes and state must be the same
bits under any load.  Exit code 1 when a bar or the sameness is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

from page import PAGE, fill  # noqa: E402
from record import machine, now  # noqa: E402

from snnsim import Simulator  # noqa: E402
from snnsim.atomic import write_json  # noqa: E402
from snnsim.experiments.benchmarks import benchmark_network  # noqa: E402
from snnsim.manifest import software_facts  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "busy.json"
BARS = {1: 2.5, 2: 4.0}  # other processes: times slower than quiet
WARMUP_MS = 100.0
# It says that it runs, counts, and looks now and then whether the process that started it is still there.
LOOP = """
import os, sys
print(flush=True)
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy(n: int) -> Iterator[None]:
    """`n` processes that count for as long as the block lasts."""
    command = [sys.executable, "-S", "-c", LOOP, str(os.getpid())]
    others: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(n):
            others.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        for other in others:
            if other.stdout is None or not other.stdout.readline():
                raise RuntimeError("one of the other processes did not start; run it again")
        yield
        if any(other.poll() is not None for other in others):
            raise RuntimeError("one of the other processes ended too early; run it again")
    finally:
        for other in others:
            other.terminate()
        for other in others:
            other.communicate()


def measured(sim: Simulator, kept: tuple[dict[str, Any], dict[str, Any]], duration_ms: float, n: int
             ) -> tuple[float, str]:  # fmt: skip
    """Wall seconds for a second of model time beside `n` others, and the digest of spikes and state."""
    sim.restore(*kept)
    with busy(n):
        began = time.perf_counter()
        sim.run(duration_ms)
        seconds = time.perf_counter() - began
    return seconds * 1000.0 / duration_ms, sim.digest()


def markdown(record: dict[str, Any]) -> str:
    """The result as a table."""
    lines = [
        f"{record['n_neurons']:,} neurons, {record['n_synapses']:,} synapses, {record['threads']} threads; "
        f"{record['machine']}; {record['date'][:10]}; `{record['command']}`. Spikes and state "
        + ("were the same under every load." if record["same_digest"] else "DIFFERED between loads."),
        "",
        "| other processes | RTF (median) | all rounds | times quiet | at most |",
        "|---|---|---|---|---|",
    ]
    for n, median in record["median_rtf"].items():
        rounds = ", ".join(f"{rtf:.3g}" for rtf in record["rtf"][n])
        ratio = f"{record['ratio'][n]:.2f}" if n in record["ratio"] else ""
        lines.append(f"| {n} | {median:.3g} | {rounds} | {ratio} | {record['ratio_at_most'].get(n, '')} |")
    return "\n".join(lines)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the microcircuit on a busy machine.")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--duration-ms", type=float, default=500.0, help="model time of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    network = benchmark_network("microcircuit", options.scale)
    rtfs: dict[int, list[float]] = {0: [], **{n: [] for n in BARS}}
    digests = set()
    with Simulator(network, dt_ms=0.1, seed=1, threads=options.threads) as sim:
        size = {"n_neurons": sim.n_neurons, "n_synapses": sim.n_synapses, "threads": sim.threads}
        print(f"built in {sim.build_s:.1f} s: {size}", flush=True)
        sim.run(WARMUP_MS)
        kept = sim.checkpoint()
        for number in range(1, options.rounds + 1):
            for n, found in rtfs.items():
                rtf, digest = measured(sim, kept, options.duration_ms, n)
                found.append(rtf)
                digests.add(digest)
                print(f"round {number}, {n} others: RTF {rtf:.3g}", flush=True)
    medians = {n: statistics.median(found) for n, found in rtfs.items()}
    ratios = {n: medians[n] / medians[0] for n in BARS}
    met = all(ratios[n] <= bar for n, bar in BARS.items())
    same = len(digests) == 1
    print(f"{'others':>6}{'median RTF':>12}{'ratio':>8}{'at most':>9}")
    for n, median in medians.items():
        print(f"{n:>6}{median:>12.3g}" + (f"{ratios[n]:>8.2f}{BARS[n]:>9}" if n else ""))
    print(f"spikes and state {'are the same' if same else 'DIFFER'} under every load")
    record = {
        "benchmark": "busy",
        "command": f"python benchmarks/busy.py --scale {options.scale:g}"
        f" --duration-ms {options.duration_ms:g} --rounds {options.rounds} --threads {options.threads}",
        "date": now(),
        "versions": software_facts(),
        "python": platform.python_version(),
        "machine": machine(),
        **size,
        "warmup_ms": WARMUP_MS,
        "rtf": {str(n): found for n, found in rtfs.items()},
        "median_rtf": {str(n): median for n, median in medians.items()},
        "ratio": {str(n): ratio for n, ratio in ratios.items()},
        "ratio_at_most": {str(n): bar for n, bar in BARS.items()},
        "bars_met": met,
        "same_digest": same,
        "digests": sorted(digests),
    }
    write_json(options.results, record)
    if options.results == RESULTS:
        fill(PAGE, "busy", markdown(record))
    print(f"written to {options.results}")
    return 0 if met and same else 1


if __name__ == "__main__":
    sys.exit(main())
