"""The figures by which known networks are recognised, measured by the code of the tests.

    .venv/bin/python benchmarks/science.py

CUBA (Vogels & Abbott 2005): rates and irregularity over ten networks of 2 s, and the spikes that differ from
Brian2's in 200 ms.  Brunel (2000): rates over three networks of 1 s, and mean-field theory.  A small network:
the spikes that differ from NEST's in 1 s.  A peer that is not installed leaves its row empty.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

import numpy as np  # noqa: E402

from snnsim import Simulator  # noqa: E402
from snnsim.metrics import cv_isi  # noqa: E402

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "science.json"
sys.path.insert(0, str(HERE.parent / "tests"))

import test_brunel as brunel  # noqa: E402
import test_cuba_brian2 as cuba  # noqa: E402
import test_nest as small  # noqa: E402

CUBA_SEEDS, BRUNEL_SEEDS = range(1, 11), range(1, 4)
PACKAGES = ("snnsim", "numpy", "numba", "scipy", "brian2", "nest-simulator")
PUBLISHED_RATE, PUBLISHED_CV = "5.4 to 6.0", "0.63 to 0.66"


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def row(name: str, values: list[float], expected: str) -> dict[str, Any]:
    return {
        "name": name,
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "values": values,
        "expected": expected,
    }


def cuba_rows() -> list[dict[str, Any]]:
    """The CV of the first 2 s with the standard deviation of n intervals divided by n and by n - 1; that of
    2.5 s, as the reference has it, divided by n: longer records hold longer intervals."""
    found: dict[str, list[float]] = {}
    for seed in CUBA_SEEDS:
        with Simulator(cuba.cuba(), seed=seed) as sim:
            sim.run(2500.0)
            for name, n in cuba.N.items():
                steps, ids = sim.spikes(name)
                whole = cv_isi(steps * sim.dt_ms, ids, min_isis=3).mean
                found.setdefault(f"CUBA {name}, CV of intervals (n, 2.5 s)", []).append(whole)
                steps, ids = (part[steps * sim.dt_ms < 2000.0] for part in (steps, ids))
                cv = cv_isi(steps * sim.dt_ms, ids, min_isis=3)
                intervals = np.bincount(ids, minlength=n)[cv.ids] - 1
                corrected = cv.cv * np.sqrt(intervals / (intervals - 1))
                found.setdefault(f"CUBA {name}, rate in Hz", []).append(ids.size / n / 2.0)
                found.setdefault(f"CUBA {name}, CV of intervals (n)", []).append(cv.mean)
                found.setdefault(f"CUBA {name}, CV of intervals (n - 1)", []).append(float(corrected.mean()))
    brian2 = "Brian2 0.62, 0.62"
    expected = {"rate": PUBLISHED_RATE, "(n)": brian2, "(n - 1)": PUBLISHED_CV, "(n, 2.5 s)": PUBLISHED_CV}
    order = sorted(found, key=lambda name: (name.split(",")[1], name))
    return [row(name, found[name], next(e for k, e in expected.items() if k in name)) for name in order]


def brian2_row() -> dict[str, Any]:
    values = []
    if installed("brian2"):
        import brian2 as b2

        b2.prefs.codegen.target = "numpy"
        sim = Simulator(cuba.cuba(), seed=1)
        v_mv = sim.program.cells.potential - 49.0
        sim.run(200.0)
        ours = cuba.our_spikes(sim)
        values = [float(len(ours ^ cuba.brian2_spikes(b2, sim, 200.0, v_mv, refractory_ms=5.0)))]
        return row(f"CUBA, spikes of {len(ours)} that differ from Brian2", values, "0")
    return row("CUBA, spikes that differ from Brian2", values, "0")


def nest_row() -> dict[str, Any]:
    if installed("nest-simulator"):
        import nest

        nest.verbosity = nest.VerbosityLevel.ERROR
        described = small.network()
        sim = Simulator(described, seed=1)
        v_mv = sim.program.cells.potential - 65.0
        sim.run(small.DURATION_MS)
        steps, ids = sim.spikes("spikes")
        ours = set(zip(steps.tolist(), ids.tolist(), strict=True))
        theirs = set(small.nest_spikes(nest, described, v_mv, delay_shift=-1))
        values = [float(len(ours ^ theirs))]
        return row(f"100 cells, spikes of {len(ours)} that differ from NEST", values, "0")
    return row("100 cells, spikes that differ from NEST", [], "0")


def brunel_rows() -> list[dict[str, Any]]:
    rates = [brunel.simulated_hz(seed, 1000.0) for seed in BRUNEL_SEEDS]
    expected = f"theory {brunel.mean_field_hz():.2f}"
    return [row(f"Brunel {name}, rate in Hz", [r[name] for r in rates], expected) for name in brunel.N]


def main() -> None:
    began = time.perf_counter()
    rows = [*cuba_rows(), brian2_row(), *brunel_rows(), nest_row()]
    print(f"{'':52}{'mean':>8}{'sd':>8}  expected")
    for r in rows:
        mean = "-" if r["mean"] is None else f"{r['mean']:.3f}"
        sd = "" if r["sd"] is None else f"{r['sd']:.3f}"
        print(f"{r['name']:52}{mean:>8}{sd:>8}  {r['expected']}")
    record = {
        "benchmark": "science",
        "command": "python benchmarks/science.py",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "wall_s": round(time.perf_counter() - began, 1),
        "results": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
