"""Accuracy and time of the main job, `snnsim run examples/digits_stdp.toml`, over seeds.

    .venv/bin/python benchmarks/digits.py [SEED ...]

Prints a table and writes benchmarks/results/digits.json.  Wall time is that of the whole command,
with warm kernels: run the example once before.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import head

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "digits.json"
EXAMPLE = "examples/digits_stdp.toml"
SNNSIM = str(Path(sys.executable).parent / "snnsim")


def run(seed: int, folder: Path) -> dict[str, Any]:
    """One run of the example: what it printed as JSON, and the wall time of the command."""
    command = [SNNSIM, "run", EXAMPLE, "--seed", str(seed), "--out", str(folder / str(seed)), "--json", "-q"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    data = json.loads(done.stdout)["data"]
    return {
        "seed": seed,
        "accuracy": data["accuracy"],
        "accuracies": data["task"]["accuracies"],
        "command_s": time.perf_counter() - began,
        "sim_s": data["sim_s"],
        "spikes_sha256": data["spikes_sha256"],
    }


def main() -> None:
    seeds = [int(word) for word in sys.argv[1:]] or [1, 2, 3]
    with tempfile.TemporaryDirectory() as folder:
        rows = [run(seed, Path(folder)) for seed in seeds]
    print(f"{'seed':>4}{'accuracy':>10}{'vote':>8}{'proportional':>14}{'command':>10}{'simulation':>12}")
    for row in rows:
        vote, proportional = row["accuracies"]["vote"], row["accuracies"]["proportional"]
        print(
            f"{row['seed']:>4}{row['accuracy']:>10.2%}{vote:>8.2%}{proportional:>14.2%}"
            f"{row['command_s']:>8.1f} s{row['sim_s']:>10.1f} s"
        )
    mean = statistics.mean(row["accuracy"] for row in rows)
    print(f"mean{mean:>10.2%} on the held-out 30 %")
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        **head("digits", f"python benchmarks/digits.py {' '.join(map(str, seeds))}"),
        "mean_accuracy": mean,
        "runs": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
