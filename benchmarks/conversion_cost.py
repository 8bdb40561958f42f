"""Time and memory of converting networks, and that nothing depends on the number of threads of BLAS.

    python benchmarks/conversion_cost.py [--data DIR]

Every conversion runs in a process of its own: its peak memory is that of the process, less what the process
held when it began to convert.  Weights are drawn at random: they cost the same as trained ones.  With --data,
the folder of MNIST, the small network sees its digits; without, noise as dense.  Finished rows are kept in
benchmarks/results/conversion_cost.json and not run again; --again runs them all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from record import head

RESULTS = Path(__file__).resolve().parent / "results" / "conversion_cost.json"
CASES = {"mnist-cnn": 1024, "vgg8": 256}  # samples of calibration
METHODS = {"mnist-cnn": ("exact", "rate", "ttfs"), "vgg8": ("exact",)}
THREADS = (1, 2)


def graph_of(name: str) -> Any:
    """mnist-cnn: 3 x [conv 32, 3x3 - batch norm - ReLU - average 2], linear, as SpikingJelly's tutorial;
    vgg8: 8 convolutions of 64 to 512 channels with padding for inputs 32x32x3, maxima between."""
    import numpy as np

    from snnsim.converters import graph as g

    rng = np.random.default_rng(0)
    small = name == "mnist-cnn"
    shape: tuple[int, ...] = (1, 28, 28) if small else (3, 32, 32)
    nodes: list[Any] = [g.Input("x", "x", (), shape)]
    plan = [(32, True)] * 3 if small else [(c, end) for c in (64, 128, 256, 512) for end in (False, True)]
    pad = 0 if small else 1
    for k, (channels, pooled) in enumerate(plan):
        weight = rng.normal(size=(channels, shape[0], 3, 3)) * np.sqrt(2 / (9 * shape[0]))
        side = shape[1] - 2 + 2 * pad
        shape = (channels, side, side)
        bias = 0.1 * rng.normal(size=channels)
        padding = (pad,) * 4
        nodes.append(g.Conv(f"c{k}", f"c{k}", (nodes[-1].name,), shape, weight, bias, padding=padding))
        if small:
            scale, shift = rng.uniform(0.5, 1.5, channels), 0.1 * rng.normal(size=channels)
            nodes.append(g.Affine(f"b{k}", f"b{k}", (nodes[-1].name,), shape, scale, shift))
        nodes.append(g.ReLU(f"a{k}", f"a{k}", (nodes[-1].name,), shape))
        if pooled:
            kind = g.AvgPool if small else g.MaxPool
            shape = (channels, side // 2, side // 2)
            nodes.append(kind(f"p{k}", f"p{k}", (nodes[-1].name,), shape, (2, 2), (2, 2)))
    size = int(np.prod(shape))
    nodes.append(g.Flatten("flat", "flat", (nodes[-1].name,), (size,)))
    weight = rng.normal(size=(10, size)) / np.sqrt(size)
    nodes.append(g.Linear("out", "out", ("flat",), (10,), weight, np.zeros(10)))
    return g.Graph(tuple(nodes))


def images(name: str, data: str | None) -> Any:
    """float64[n, channels, rows, columns] in [0, 1]."""
    import numpy as np

    from snnsim.datasets import load_dataset

    shape = (1, 28, 28) if name == "mnist-cnn" else (3, 32, 32)
    if name == "mnist-cnn" and data is not None:
        found = load_dataset("mnist", data).images[: CASES[name]]
        return np.asarray(found, dtype=np.float64).reshape(-1, *shape) / float(np.max(found))
    rng = np.random.default_rng(1)
    return rng.random((CASES[name], *shape)) * (rng.random((CASES[name], *shape)) < 0.2)


def memory_mb(key: str) -> float:
    """Resident memory of this process in MB: VmRSS now, VmHWM the most since the last reset."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{key}:")[1].split()[0]) * 1024 / 1e6


def measure(name: str, method: str, data: str | None) -> dict[str, Any]:
    """One conversion in this process."""

    from snnsim.converters.convert import convert
    from snnsim.identity import fingerprint

    graph, x = graph_of(name), images(name, data)
    convert(graph, x[:2], method)  # kernels are compiled, BLAS is there
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    before, wall, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    found = convert(graph, x, method)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    row = {"wall_s": wall, "cpu_s": cpu, "memory_mb": memory_mb("VmHWM") - before}
    row["sha256"] = fingerprint(found.network, {})
    if method == "exact":
        row |= {"certificate": found.certificate.holds}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", help="folder of MNIST")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, asked.data)))
        return
    rows = {}
    if RESULTS.exists() and not asked.again:
        rows = json.loads(RESULTS.read_text())["rows"]
    for name in CASES:
        for method in METHODS[name]:
            for threads in THREADS:
                key = f"{name} {method} {threads}"
                if key not in rows:
                    command = [sys.executable, __file__, "--one", name, method]
                    command += ["--data", asked.data] if asked.data else []
                    given = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
                    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
                    rows[key] = json.loads(done.stdout)
                    save(rows, asked.data)
                row = rows[key]
                print(
                    f"{key:22}{row['wall_s']:8.1f} s{row['cpu_s']:8.1f} s of CPU{row['memory_mb']:8.0f} MB  "
                    f"{row['sha256'][:12]}"
                )
    save(rows, asked.data)


def save(rows: dict[str, Any], data: str | None) -> None:
    same = all(
        rows[f"{name} {method} 1"]["sha256"] == rows[f"{name} {method} 2"]["sha256"]
        for name in CASES
        for method in METHODS[name]
        if all(f"{name} {method} {threads}" in rows for threads in THREADS)
    )
    record = {
        **head("conversion_cost", "python benchmarks/conversion_cost.py" + (" --data DIR" if data else "")),
        "samples": CASES,
        "same_for_every_number_of_threads": same,
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
