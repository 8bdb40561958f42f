"""How long a user waits before anything happens: `import snnsim`, `snnsim --help`, and the first step.

    .venv/bin/python benchmarks/startup.py [REPEATS]

Each measurement is a fresh process; one run warms the disk, then the median of REPEATS (10) counts.
The wall time of the bare interpreter stands beside it, because no program can be faster than that.
The first step is that of CUBA with 4,000 neurons, from the start of the process to the end of the step:
warm, with kernels that were compiled before, and cold, with an empty cache, which is measured once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import head

from snnsim.jit_cache import configure

RESULTS = Path(__file__).resolve().parent / "results" / "startup.json"
SNNSIM = str(Path(sys.executable).parent / "snnsim")
FIRST_STEP = """
from snnsim import Simulator
from snnsim.examples.cuba import cuba
Simulator(cuba()).run_steps(1)
print("done", flush=True)
"""
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import snnsim": [sys.executable, "-c", "import snnsim"],
    "import Simulator": [sys.executable, "-c", "from snnsim import Simulator"],
    "snnsim --help": [SNNSIM, "--help"],
    "first step, warm": [sys.executable, "-c", FIRST_STEP],
}
COLD = "first step, cold"
TARGET_S = {"import snnsim": 0.6, "snnsim --help": 0.3, "first step, warm": 1.0, COLD: 30.0}


def wall_seconds(command: list[str], **changed: str) -> float:
    """Of a process in this environment, with some variables changed; of a first step, until it is done."""
    wanted, pipe = {**os.environ, **changed}, subprocess.PIPE
    began = time.perf_counter()
    with subprocess.Popen(command, env=wanted, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        if command[-1] == FIRST_STEP:
            process.stdout.readline()
        else:
            process.stdout.read()
        ended = time.perf_counter()
        process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return ended - began


def measure(command: list[str], repeats: int) -> dict[str, float]:
    wall_seconds(command)
    return summary([wall_seconds(command) for _ in range(repeats)])


def measure_cold() -> dict[str, float]:
    """The first step of somebody who has never run a network."""
    with tempfile.TemporaryDirectory() as empty:
        return summary([wall_seconds(COMMANDS["first step, warm"], NUMBA_CACHE_DIR=empty)])


def summary(times: list[float]) -> dict[str, float]:
    return {"median_s": statistics.median(times), "min_s": min(times), "max_s": max(times)}


def main() -> None:
    configure()
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rows = {name: measure(command, repeats) for name, command in COMMANDS.items()}
    rows[COLD] = measure_cold()
    print(f"{'':16}{'median':>10}{'min':>10}{'max':>10}{'target':>10}")
    for name, row in rows.items():
        target = f"{TARGET_S[name] * 1e3:.0f} ms" if name in TARGET_S else ""
        cells = "".join(f"{row[key] * 1e3:7.0f} ms" for key in ("median_s", "min_s", "max_s"))
        print(f"{name:16}{cells}{target:>10}")
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        **head("startup", f"python benchmarks/startup.py {repeats}"),
        "repeats": repeats,
        "target_s": TARGET_S,
        "results": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
