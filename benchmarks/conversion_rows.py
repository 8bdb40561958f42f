"""The rows of the conversion benchmarks: every method and number of steps of one trained network.

Every choice is made on calibration images, which are the first training images; each network that is chosen
sees the test images once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import conversion_nets as nets
import matplotlib
import numpy as np
from conversion_eval import (
    N_CALIBRATION,
    STEPS,
    Setting,
    Store,
    accuracy,
    choose,
    outputs_of,
    rates,
    source_outputs,
    wrong,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LEVELS = (3, 7, 15, 31)
FIXED = {f"exact, {levels} levels": Setting("exact", 1, levels) for levels in LEVELS}
FIXED |= {"ttfs": Setting("ttfs", 0), "few_spike": Setting("few_spike", 10)}
WHOLE = ("exact", "ttfs", "few_spike")  # methods that see all test images, whatever is asked for
N_CHOICE = {"mnist": 1024, "fashion": 512}  # calibration images by which settings are chosen
CHOSEN_UP_TO = 4  # steps; more of them keep the choice, for which every network is simulated
N_OPERATIONS = 200  # images over which operations are counted
_COUNTED = (
    "dense_macs", "effective_macs", "synaptic_acs", "synaptic_macs", "pooling_acs", "pooling_macs",
    "input_macs_once", "total_once", "events", "spikes_per_neuron", "n_steps",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A trained network; calibration images and what it gives for them; test images."""

    model: Any
    calibration: np.ndarray
    wanted: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    n_choice: int

    def measured(self, settings: Sequence[Setting], n_test: int) -> dict[str, Any]:
        """The best of these settings: what it has wrong of the first test images, operations of one."""
        chosen = choose(self.model, self.calibration, self.wanted, settings, self.n_choice)
        counted = chosen.conversion.operations(self.test[:N_OPERATIONS])
        outputs = outputs_of(chosen.conversion, self.test[:n_test])
        return {
            **chosen.as_dict(),
            "n_test": n_test,
            "wrong": wrong(outputs, self.labels),
            "operations": {name: float(getattr(counted, name)) for name in _COUNTED},
        }

    def certified(self, setting: Setting) -> dict[str, Any]:
        """The certificate of an exact conversion over all test images."""
        began = time.perf_counter()
        found = setting.convert(self.model, self.calibration, certify_on=self.test).certificate
        if found is None:
            raise SystemExit("an exact conversion without a certificate")
        return {
            "setting": f"exact, {setting.label}",
            "samples": found.n_samples,
            "values": sum(layer.n_checked for layer in found.layers),
            "mismatches": sum(layer.n_mismatches for layer in found.layers),
            "readout_deviation": found.readout_deviation,
            "holds": found.holds,
            "seconds": time.perf_counter() - began,
        }


Methods = dict[str, tuple[int, ...]]
"""Numbers of steps of rate and of burst, which takes the threshold and correction of rate."""


def run(name: str, store: Store, options: argparse.Namespace, methods: Methods) -> None:
    """All rows of one network."""
    model, images = nets.load(name, options.cache), nets.images(name, options.data)
    calibration, test, labels = images.train[:N_CALIBRATION], images.test, images.test_labels
    task = Task(model, calibration, source_outputs(model, calibration), test, labels, N_CHOICE[name])
    every, some = len(test), min(options.images, len(test))
    store.row("source", lambda: {"n_test": every, "wrong": wrong(source_outputs(model, test), labels)})
    chosen = Setting("rate", 0)
    for t in methods["rate"]:
        tried = rates("rate", t) if t <= CHOSEN_UP_TO else [replace(chosen, timesteps=t)]
        chosen = setting_of(store.row(f"rate, T = {t}", partial(task.measured, tried, some)))
    for t in methods["burst"]:
        chosen = replace(setting_of(store.rows[f"rate, T = {t}"]), method="burst")
        store.row(f"burst, T = {t}", partial(task.measured, [chosen], some))
    for key, setting in FIXED.items():
        shown = every if setting.method in WHOLE else some
        store.row(key, partial(task.measured, [setting], shown))
    store.row("certificate", partial(task.certified, Setting("exact", 1, LEVELS[-1])))


def setting_of(row: dict[str, Any]) -> Setting:
    return Setting(**{one.name: row[one.name] for one in fields(Setting)})


def keys_of(store: Store, methods: Methods) -> list[str]:
    """Of the rows that there are, in order."""
    keys = [*FIXED, *(f"{method}, T = {t}" for method, steps in methods.items() for t in steps)]
    return [key for key in keys if key in store.rows]


def plot(store: Store, title: str, methods: Methods) -> None:
    """Accuracy against steps, and against operations."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), constrained_layout=True)
    source = store.rows["source"]

    def lost(row: dict[str, Any]) -> float:
        return 100 * (accuracy(row) - accuracy(source, row["n_test"]))

    for axes in (left, right):
        axes.axhline(0, color="0.4", lw=1, ls="--", label=f"trained network, {accuracy(source):.2%}")
    for method in methods:
        rows = [store.rows[key] for key in keys_of(store, methods) if key.startswith(f"{method},")]
        if not rows:
            continue
        values = [lost(row) for row in rows]
        left.plot([row["timesteps"] for row in rows], values, "o-", label=method)
        right.plot([row["operations"]["total_once"] for row in rows], values, "o-", label=method)
    exact = [store.rows[f"exact, {levels} levels"] for levels in LEVELS]
    values = [lost(row) for row in exact]
    right.plot([row["operations"]["total_once"] for row in exact], values, "s-", label="exact (T = 1)")
    left.plot(
        np.ones(len(exact)), values, "s", label=f"exact, {', '.join(str(n) for n in LEVELS)} levels"
    )
    for method, marker in (("ttfs", "*"), ("few_spike", "^")):
        if (row := store.rows.get(method)) is None:
            continue
        spikes = row["operations"]["spikes_per_neuron"]
        right.plot(
            row["operations"]["total_once"], lost(row), marker, ms=10,
            label=f"{method}, {spikes:.2f} spikes a neuron",
        )  # fmt: skip
    left.set(xscale="log", xticks=STEPS, xticklabels=STEPS, xlabel="steps")
    left.set_ylabel("test accuracy less the trained network's (points)")
    left.minorticks_off()
    right.set(xscale="log", xlabel="operations of an inference", title=title)
    right.tick_params(axis="x", which="minor", labelsize=6)
    for axes in (left, right):
        axes.legend(fontsize=8)
    figure.savefig(store.path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def table(store: Store, methods: Methods) -> str:
    """What was measured, in Markdown."""
    source = store.rows["source"]
    lines = [
        f"Trained network: {accuracy(source):.2%} of {source['n_test']:,} test images; loss is over the same"
        " images.", "",
        "| method | T | chosen | images | accuracy | loss | AC | MAC | spikes a neuron | convert |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for key in keys_of(store, methods):
        row = store.rows[key]
        counted, of = row["operations"], row["n_test"]
        acs = counted["synaptic_acs"] + counted["pooling_acs"]
        macs = counted["synaptic_macs"] + counted["pooling_macs"] + counted["input_macs_once"]
        lines.append(
            f"| {row['method']} | {row['timesteps'] or '-'} | {setting_of(row).label} | {of:,}"
            f" | {accuracy(row):.2%} | {100 * (accuracy(source, of) - accuracy(row)):+.2f}"
            f" | {acs:,.0f} | {macs:,.0f} | {counted['spikes_per_neuron']:.2f} | {row['convert_s']:.1f} s |"
        )
    found = store.rows["certificate"]
    lines += ["", (
        f"Certificate ({found['setting']}): {found['samples']:,} test images, {found['values']:,} counts"
        f" compared, {found['mismatches']} mismatches, outputs deviate by {found['readout_deviation']:g}."
    )]  # fmt: skip
    return "\n".join(lines)


def command(name: str, network: str, title: str, methods: Methods, description: str) -> None:
    """What mnist_cnn.py and fashion_methods.py do."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, help="folder with mnist/ and fashion-mnist/")
    parser.add_argument("--cache", type=Path, default=nets.CACHE, help="default: %(default)s")
    parser.add_argument(
        "--images", type=int, default=10_000, help="test images of rate and burst, default: all"
    )
    parser.add_argument("--table", action="store_true", help="write what is there, measure nothing")
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    options = parser.parse_args()
    part = "" if options.images == parser.get_default("images") else f" --images {options.images}"
    store = Store(name, f"python benchmarks/{name}.py --data DIR{part}", again=options.again)
    if not options.table:
        run(network, store, options, methods)
    plot(store, title, methods)
    from page import PAGE, fill

    text = table(store, methods)
    fill(PAGE.with_name("conversion_benchmarks.md"), name, text)
    print(text)
