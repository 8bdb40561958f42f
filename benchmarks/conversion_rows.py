"""The rows of the conversion benchmarks: every method and number of steps of one trained network.

Every choice is made on calibration images, which are the first training images; each network that is chosen
sees the test images once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields, replace
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
    choose,
    outputs_of,
    rates,
    right,
    source_outputs,
)

from snnsim.converters.convert import convert

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LEVELS = (3, 7, 15, 31)
CHOSEN_UP_TO = 8  # steps; more of them keep the choice, for which every network is simulated
N_OPERATIONS = 200  # images over which operations are counted
_COUNTED = (
    "dense_macs", "effective_macs", "synaptic_acs", "synaptic_macs", "pooling_acs", "pooling_macs",
    "input_macs_once", "total_once", "events", "spikes_per_neuron", "n_steps",
)  # fmt: skip


def measured(
    model: Any, calibration: np.ndarray, wanted: np.ndarray, settings: Sequence[Setting],
    test: np.ndarray, labels: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    """The best of these settings: accuracy over the test images, operations of an inference."""
    chosen = choose(model, calibration, wanted, settings)
    counted = chosen.conversion.operations(test[:N_OPERATIONS])
    outputs = outputs_of(chosen.conversion, test)
    return {
        **chosen.as_dict(),
        "accuracy": right(outputs, labels),
        "wrong": np.flatnonzero(outputs.argmax(1) != labels).tolist(),
        "operations": {name: float(getattr(counted, name)) for name in _COUNTED},
    }


def timed(model: Any, calibration: np.ndarray, test: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """One spike a neuron at most."""
    began = time.process_time()
    found = convert(model, calibration, "ttfs")
    seconds = time.process_time() - began
    outputs = found.predict(test)
    counted = found.operations(test[:N_OPERATIONS])
    return {
        "method": "ttfs",
        "convert_s": seconds,
        "accuracy": right(outputs, labels),
        "agreement": float((outputs.argmax(1) == source_outputs(model, test).argmax(1)).mean()),
        "spikes_per_neuron": counted.spikes_per_neuron,
        "operations": {name: float(getattr(counted, name)) for name in _COUNTED},
    }


def certified(model: Any, calibration: np.ndarray, test: np.ndarray, setting: Setting) -> dict[str, Any]:
    """The certificate of an exact conversion over all test images."""
    began = time.perf_counter()
    found = setting.convert(model, calibration, certify_on=test).certificate
    if found is None:
        raise SystemExit("an exact conversion without a certificate")
    return {
        "setting": setting.label,
        "samples": found.n_samples,
        "values": sum(layer.n_checked for layer in found.layers),
        "mismatches": sum(layer.n_mismatches for layer in found.layers),
        "readout_deviation": found.readout_deviation,
        "holds": found.holds,
        "seconds": time.perf_counter() - began,
    }


Methods = dict[str, tuple[int, ...]]
"""Numbers of steps of each method."""


def run(name: str, store: Store, data: str, cache: Path, methods: Methods) -> None:
    """All rows of one network."""
    model, images = nets.load(name, cache), nets.images(name, data)
    test, labels = images.test, images.test_labels
    calibration = images.train[:N_CALIBRATION]
    wanted = source_outputs(model, calibration)
    outputs = source_outputs(model, test)
    wrong = np.flatnonzero(outputs.argmax(1) != labels).tolist()
    store.row("source", lambda: {"accuracy": right(outputs, labels), "wrong": wrong})
    settings = {f"exact, {levels} levels": [Setting("exact", 1, levels)] for levels in LEVELS}
    for key, tried in settings.items():
        store.row(key, partial(measured, model, calibration, wanted, tried, test, labels))
    store.row("ttfs", partial(timed, model, calibration, test, labels))
    store.row("certificate", partial(certified, model, calibration, test, Setting("exact", 1, LEVELS[-1])))
    for method, steps in methods.items():
        tried = []
        for t in steps:
            tried = rates(method, t) if t <= CHOSEN_UP_TO else [replace(one, timesteps=t) for one in tried]
            row = store.row(
                f"{method}, T = {t}", partial(measured, model, calibration, wanted, tried, test, labels)
            )
            tried = [Setting(**{one.name: row[one.name] for one in fields(Setting)})]


def plot(store: Store, title: str, methods: Methods) -> None:
    """Accuracy against steps, and against operations."""
    figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    source = store.rows["source"]["accuracy"]
    for axes in (left, middle):
        axes.axhline(100 * source, color="0.4", lw=1, ls="--", label=f"trained network, {source:.2%}")
    for method, steps in methods.items():
        rows = [store.rows[f"{method}, T = {t}"] for t in steps]
        values = [100 * row["accuracy"] for row in rows]
        left.plot(steps, values, "o-", label=method)
        middle.plot([row["operations"]["total_once"] for row in rows], values, "o-", label=method)
    exact = [store.rows[f"exact, {levels} levels"] for levels in LEVELS]
    values = [100 * row["accuracy"] for row in exact]
    middle.plot([row["operations"]["total_once"] for row in exact], values, "s-", label="exact (T = 1)")
    left.plot(
        np.ones(len(exact)), values, "s", label=f"exact, {', '.join(str(n) for n in LEVELS)} levels"
    )
    timed_row = store.rows["ttfs"]
    middle.plot(
        timed_row["operations"]["additions"], 100 * timed_row["accuracy"], "*", ms=11,
        label=f"ttfs, {timed_row['spikes_per_neuron']:.2f} spikes a neuron",
    )  # fmt: skip
    left.set(xscale="log", xticks=STEPS, xticklabels=STEPS, xlabel="steps", ylabel="test accuracy (%)")
    left.minorticks_off()
    middle.set(xscale="log", xlabel="operations of an inference", title=title)
    for axes in (left, middle):
        axes.legend(fontsize=8)
    figure.savefig(store.path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def table(store: Store, methods: Methods) -> str:
    """What was measured, in Markdown."""
    source = store.rows["source"]["accuracy"]
    lines = [
        f"Trained network: {source:.2%}.", "",
        "| method | T | chosen | accuracy | loss | AC | MAC | spikes a neuron | convert |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    keys = [f"exact, {levels} levels" for levels in LEVELS]
    keys += [f"{method}, T = {t}" for method, steps in methods.items() for t in steps]
    for key in keys:
        row = store.rows[key]
        counted, exact = row["operations"], row["method"] == "exact"
        choice = f"{row['levels']} levels" if exact else f"{row['normalisation']}, {row['correction']}"
        acs = counted["synaptic_acs"] + counted["pooling_acs"]
        macs = counted["synaptic_macs"] + counted["pooling_macs"] + counted["input_macs_once"]
        lines.append(
            f"| {row['method']} | {row['timesteps']} | {choice} | {row['accuracy']:.2%}"
            f" | {100 * (source - row['accuracy']):+.2f} | {acs:,.0f} | {macs:,.0f}"
            f" | {counted['spikes_per_neuron']:.2f} | {row['convert_s']:.1f} s |"
        )
    row = store.rows["ttfs"]
    lines.append(
        f"| ttfs | - | | {row['accuracy']:.2%} | {100 * (source - row['accuracy']):+.2f}"
        f" | {row['operations']['additions']:,.0f} | | {row['spikes_per_neuron']:.2f}"
        f" | {row['convert_s']:.1f} s |"
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
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    options = parser.parse_args()
    store = Store(name, f"python benchmarks/{name}.py --data DIR", again=options.again)
    run(network, store, options.data, options.cache, methods)
    plot(store, title, methods)
    from page import PAGE, fill

    text = table(store, methods)
    fill(PAGE.with_name("conversion_benchmarks.md"), name, text)
    print(text)
