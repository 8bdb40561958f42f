"""How long a user waits before anything happens: `import snnsim` and `snnsim --help`, warm.

    .venv/bin/python benchmarks/startup.py [REPEATS]

Each measurement is a fresh process; one run warms the disk, then the median of REPEATS (10) counts.
The wall time of the bare interpreter stands beside it, because no program can be faster than that.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from snnsim.jit_cache import configure

RESULTS = Path(__file__).resolve().parent / "results" / "startup.json"
SNNSIM = str(Path(sys.executable).parent / "snnsim")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import snnsim": [sys.executable, "-c", "import snnsim"],
    "import Simulator": [sys.executable, "-c", "from snnsim import Simulator"],
    "snnsim --help": [SNNSIM, "--help"],
}
TARGET_S = {"import snnsim": 0.6, "snnsim --help": 0.3}


def wall_seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    return time.perf_counter() - began


def measure(command: list[str], repeats: int) -> dict[str, float]:
    wall_seconds(command)
    times = [wall_seconds(command) for _ in range(repeats)]
    return {"median_s": statistics.median(times), "min_s": min(times), "max_s": max(times)}


def main() -> None:
    configure()
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rows = {name: measure(command, repeats) for name, command in COMMANDS.items()}
    print(f"{'':16}{'median':>10}{'min':>10}{'max':>10}{'target':>10}")
    for name, row in rows.items():
        target = f"{TARGET_S[name] * 1e3:.0f} ms" if name in TARGET_S else ""
        cells = "".join(f"{row[key] * 1e3:7.0f} ms" for key in ("median_s", "min_s", "max_s"))
        print(f"{name:16}{cells}{target:>10}")
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "benchmark": "startup",
        "snnsim": version("snnsim"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "repeats": repeats,
        "target_s": TARGET_S,
        "results": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
