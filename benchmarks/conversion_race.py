"""Conversions by snnsim, SpikingJelly and snntoolbox's rule: accuracy at every number of steps, and time.

    python benchmarks/mnist_cnn.py --data DIR          (and fashion_methods.py: our rows)
    python benchmarks/conversion_race.py mnist|fashion --data DIR --peer PYTHON [--threads N] [--rounds N]
    python benchmarks/conversion_race.py mnist --data DIR --peer PYTHON --times    (only times, again)

PYTHON is that of an environment with torch and spikingjelly.  All get the same trained network, the same
1,024 calibration images, the same test images and the same cores, and one thread for each core.  Theirs are
the modes that their tutorial shows and their best options; ours was chosen on calibration images before.
Times are those of an image, over the first test images, medians of rounds in which all take turns, each round
another first; wall, and seconds of the processor, which other programs of the machine do not lengthen.
Writes benchmarks/results/conversion_race_NAME.json and .png, and the table in docs/conversion_benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import conversion_nets as nets
import matplotlib
import numpy as np
from conversion_eval import N_CALIBRATION, RESULTS, STEPS, Store, accuracy, outputs_of
from conversion_rows import setting_of
from page import PAGE, fill

from snnsim.converters.convert import Conversion

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PEER = Path(__file__).resolve().parent / "peers" / "ann2snn.py"
METHODS = ("max", "99.9%", "half-max", "channels", "ltb", "percentile")
OURS = {"mnist": "mnist_cnn", "fashion": "fashion_methods"}
TIMED = ("99.9%", "channels", "percentile")  # the modes of a converter cost the same
N_TIMED = 200
N_TIMED_CALIBRATION = 256  # of networks that are timed: enough, for their time hardly depends on it


def peer(options: argparse.Namespace, arrays: Path, method: str, *more: str) -> dict[str, Any]:
    """What peers/ann2snn.py prints."""
    command = [
        options.peer, str(PEER), options.name, method, "--arrays", str(arrays), "--cache", str(options.cache),
        "--threads", str(options.threads), "--steps", str(STEPS[-1]), *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
        return {"failed": reason}
    return dict(json.loads(done.stdout))


def our_time(conversions: dict[str, Conversion], shown: np.ndarray) -> dict[str, dict[str, float]]:
    """Milliseconds an image, by key."""
    found = {}
    for key, conversion in conversions.items():
        outputs_of(conversion, shown[:4])  # compiled, and its threads started
        began, used = time.perf_counter(), time.process_time()
        outputs_of(conversion, shown)
        found[key] = {
            "wall_ms": 1e3 * (time.perf_counter() - began) / len(shown),
            "cpu_ms": 1e3 * (time.process_time() - used) / len(shown),
        }
    return found


def ours(name: str, n_images: int) -> dict[str, dict[str, Any]]:
    """Our rows: what was chosen, its accuracy over the first test images, and time of conversion."""
    path = RESULTS / f"{OURS[name]}.json"
    rows = json.loads(path.read_text())["rows"]
    found = {}
    wanted = ("source", "exact, 15 levels", *(f"rate, T = {steps}" for steps in STEPS))
    for key in (key for key in wanted if key in rows):
        kept = {name: value for name, value in rows[key].items() if name != "wrong"}
        found[key] = kept | {"accuracy": accuracy(rows[key], n_images)}
    return found


def measure(options: argparse.Namespace, store: Store) -> None:
    images = nets.images(options.name, options.data)
    calibration, shown = images.train[:N_CALIBRATION], images.test[:N_TIMED]
    n_images = store.row("images", lambda: {"n": options.images})["n"]
    rows = store.rows["ours"] = ours(options.name, n_images)
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        test = images.test[:n_images]
        np.savez(arrays, calibration=calibration, test=test, labels=images.test_labels[: len(test)])
        for method in METHODS:
            store.row(f"accuracy, {method}", partial(peer, options, arrays, method))
        keys = [f"round {number}, {options.threads} threads" for number in range(options.rounds)]
        if options.times:
            store.rows = {key: row for key, row in store.rows.items() if key not in keys}
        if all(key in store.rows for key in keys):
            return
        model = nets.load(options.name, options.cache)
        few = calibration[:N_TIMED_CALIBRATION]
        conversions = {
            key: setting_of(row).convert(model, few) for key, row in rows.items() if key != "source"
        }
        times = ("--time", ",".join(map(str, STEPS)), "--images", str(N_TIMED))
        turns: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": partial(our_time, conversions, shown),
            **{method: partial(peer, options, arrays, method, *times) for method in TIMED},
        }
        for number, key in enumerate(keys):
            order = [*turns][number % len(turns) :] + [*turns][: number % len(turns)]
            store.row(key, lambda order=order: {who: turns[who]() for who in order})  # type: ignore[misc]


def steps_of(store: Store) -> list[int]:
    """For which there are rows of ours."""
    return [t for t in STEPS if f"rate, T = {t}" in store.rows["ours"]]


def median_ms(store: Store, threads: int, who: str, key: str, clock: str) -> float:
    """Of all rounds with so many threads, nan without any."""
    end = f", {threads} threads"
    rounds = [row for name, row in store.rows.items() if name.startswith("round") and name.endswith(end)]
    of = [row["ours"][key] if who == "ours" else row[who]["times"][key] for row in rounds]
    return statistics.median(one[clock] for one in of) if of else math.nan


def times_table(store: Store, threads: int) -> list[str]:
    """Lines about time; none where no round was run."""
    rounds = [row for name, row in store.rows.items() if name.endswith(f", {threads} threads")]
    if not rounds:
        return []
    steps = [str(t) for t in steps_of(store)]
    lines = ["", (
        f"Milliseconds of the processor for an image, {threads} thread(s), medians of {len(rounds)} rounds"
        f" over {N_TIMED} images; our networks were calibrated on {N_TIMED_CALIBRATION} images for this."
    ), ""]  # fmt: skip
    lines += ["| T |" + "".join(f" {t} |" for t in steps), "|---|" + "---|" * len(steps)]

    def line(label: str, values: list[float]) -> str:
        return f"| {label} |" + "".join(f" {value:.3g} |" for value in values)

    mine = [median_ms(store, threads, "ours", f"rate, T = {t}", "cpu_ms") for t in steps]
    for method in TIMED:
        if "failed" in rounds[-1][method]:
            continue
        theirs = [median_ms(store, threads, method, t, "cpu_ms") for t in steps]
        who = "snntoolbox's rule, torch" if method == "percentile" else f"SpikingJelly, {method}"
        lines.append(line(who, theirs))
        lines.append(line(f"{who}: times ours", [b / a for a, b in zip(mine, theirs, strict=True)]))
    lines.append(line("snnsim, rate", mine))
    whole = median_ms(store, threads, "ours", "exact, 15 levels", "cpu_ms")
    lines.append(line("snnsim, exact, 15 levels", [whole]) + " |" * (len(steps) - 1))
    return lines


def table(store: Store, threads: int) -> str:
    """Accuracy and time by number of steps."""
    rows, steps = store.rows["ours"], [str(t) for t in steps_of(store)]
    head = "".join(f" {t} |" for t in steps)
    shown = store.rows["images"]["n"]
    lines = [f"Accuracy (%) over {shown:,} test images; trained: {rows['source']['accuracy']:.2%}.", ""]
    lines += [f"| T |{head}", "|---|" + "---|" * len(steps)]
    for method in METHODS:
        row = store.rows[f"accuracy, {method}"]
        who = "snntoolbox's rule" if method == "percentile" else f"SpikingJelly, {method}"
        if "failed" in row:
            lines.append(f"| {who} | does not run: {row['failed']} |" + " |" * (len(steps) - 1))
            continue
        lines.append(f"| {who} |" + "".join(f" {100 * row['accuracy'][int(t) - 1]:.2f} |" for t in steps))
    found = [100 * rows[f"rate, T = {t}"]["accuracy"] for t in steps]
    lines.append("| snnsim, rate |" + "".join(f" {one:.2f} |" for one in found))
    exact = rows["exact, 15 levels"]
    lines.append(f"| snnsim, exact, 15 levels | {100 * exact['accuracy']:.2f} |" + " |" * (len(steps) - 1))
    lines += times_table(store, threads)
    made = {method: store.rows[f"accuracy, {method}"] for method in METHODS}
    theirs_s = [f"{method} {row['convert_cpu_s']:.2f}" for method, row in made.items() if "failed" not in row]
    ours_s = [f"{key} {row['convert_s']:.1f}" for key, row in rows.items() if key != "source"]
    lines += ["", f"Seconds to convert: {'; '.join(theirs_s)}. Ours: {'; '.join(ours_s)}."]
    return "\n".join(lines)


def plot(store: Store, title: str, threads: int) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    rows, steps = store.rows["ours"], steps_of(store)
    left.axhline(100 * rows["source"]["accuracy"], color="0.4", lw=1, ls="--", label="trained network")
    for method in METHODS:
        row = store.rows[f"accuracy, {method}"]
        if "failed" not in row:
            who = "snntoolbox's rule" if method == "percentile" else f"SpikingJelly, {method}"
            left.plot(steps, [100 * row["accuracy"][t - 1] for t in steps], "o-", ms=3, lw=1, label=who)
            if method in TIMED:
                theirs = [median_ms(store, threads, method, str(t), "cpu_ms") for t in steps]
                right.plot(steps, theirs, "o-", ms=3, lw=1, label=who)
    left.plot(steps, [100 * rows[f"rate, T = {t}"]["accuracy"] for t in steps], "ks-", label="snnsim, rate")
    mine = [median_ms(store, threads, "ours", f"rate, T = {t}", "cpu_ms") for t in steps]
    right.plot(steps, mine, "ks-", label="snnsim, rate")
    left.set(xscale="log", xticks=steps, xticklabels=steps, xlabel="steps", ylabel="test accuracy (%)")
    left.set_title(title)
    right.set(
        xscale="log", yscale="log", xticks=steps, xticklabels=steps, xlabel="steps",
        ylabel=f"ms an image, {threads} thread(s)",
    )  # fmt: skip
    for axes in (left, right):
        axes.minorticks_off()
        axes.legend(fontsize=7)
    figure.savefig(store.path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=tuple(OURS))
    parser.add_argument("--data", required=True, help="folder with mnist/ and fashion-mnist/")
    parser.add_argument("--peer", default=sys.executable, help="Python with torch and spikingjelly")
    parser.add_argument("--cache", type=Path, default=nets.CACHE, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000, help="test images of the first run")
    parser.add_argument("--rounds", type=int, default=3, help="of times; 0 for accuracy alone")
    parser.add_argument("--times", action="store_true", help="measure the times again, and nothing else")
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # and that of the peers
    name = f"conversion_race_{options.name}"
    command = f"python benchmarks/conversion_race.py {options.name} --data DIR --peer PYTHON"
    store = Store(name, command, again=options.again)
    measure(options, store)
    plot(store, options.name, options.threads)
    text = table(store, options.threads)
    fill(PAGE.with_name("conversion_benchmarks.md"), name, text)
    print(text)


if __name__ == "__main__":
    main()
