"""Trained spiking networks on Loihi 2's grid: accuracy by width of weights; the written file, bit for bit.

    .venv/bin/python benchmarks/quantised_mnist.py --data DIR [--cache DIR] [--again]

An MLP and a CNN (benchmarks/spiking_nets.py) are quantised for loihi2 at several widths, after training
with floats and after training on the grid; scales, thresholds and biases are chosen on the last training
images. All 10,000 test images are shown to the float network, to its twin with ReLU and to every integer
network.  The networks of 8 and 4 bits are exported; the .net file is read again, and spikes, currents and
potentials of all neurons in all steps are compared with the integer network's.  Rows that are there are
kept; --again measures them again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import spiking_nets as nets
import torch
from conversion_eval import Store

from snnsim.datasets import Dataset, load_dataset
from snnsim.hardware.golden import again as same_inputs
from snnsim.hardware.golden import golden_of
from snnsim.hardware.quantise import Quantised, quantise
from snnsim.hardware.runs_of import run_of
from snnsim.hardware.training_grid import TrainingGrid, fake_quantiser, training_grid

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

TARGET = "loihi2"
BITS = (8, 6, 5, 4, 3, 2)
TRAINED = (4, 3, 2)  # widths on whose grid networks are trained
N_CALIBRATION = 256
_PART = 250
BARS = {8: 0.2, 4: 1.0}  # points that may be lost


class Bench:
    """The data, and what is measured on them."""

    def __init__(self, data: Dataset, cache: Path) -> None:
        train, test = data.split(None, 0)
        self.data, self.cache = data, cache
        self.calibration = data.images[train[-N_CALIBRATION:]]
        self.test, self.labels = data.images[test], data.labels[test]

    def source(self, name: str) -> dict[str, Any]:
        """The float network in torch, in snnsim, and its twin."""
        model = nets.train(name, self.data, self.cache)
        twin = nets.train(name, self.data, self.cache, "twin")
        frames, right = model.recipe.frames, 0
        network, n_steps = nets.as_network(model), steps(model)
        for low in range(0, len(self.test), _PART):
            shown = nets.frames(self.test[low : low + _PART], frames)
            found = run_of(network, {"input": shown}, n_steps).readout.argmax(axis=1)
            right += int((found == self.labels[low : low + _PART]).sum())
        return {
            "n_test": len(self.test),
            "spiking": right / len(self.test),
            "spiking_in_torch": nets.accuracy(model, self.test, self.labels),
            "relu": nets.accuracy(twin, self.test, self.labels, twin=True),
            "frames": frames,
            "steps": n_steps,
            "parameters": sum(p.numel() for p in model.parameters()),
        }

    def quantised(self, name: str, bits: int, trained: bool) -> tuple[Quantised, nets.Spiking]:
        model = nets.train(name, self.data, self.cache)
        scales = None
        if trained:
            grids = grids_of(model, bits)
            fake = [fake_quantiser(grid) for grid in grids]
            model = nets.train(name, self.data, self.cache, f"{bits}-bits", fake)
            names = list(nets.as_network(model).populations)
            scales = {layer: grid.scale for layer, grid in zip(names, grids, strict=True)}
        shown = nets.frames(self.calibration, model.recipe.frames)
        network = nets.as_network(on_grid(model))
        found = quantise(network, TARGET, shown, n_steps=steps(model), bits=bits, scales=scales)
        return found, model

    def measured(self, name: str, bits: int, trained: bool) -> dict[str, Any]:
        """Accuracy of an integer network, and what it lost."""
        found, model = self.quantised(name, bits, trained)
        right = 0
        for low in range(0, len(self.test), _PART):
            shown = nets.frames(self.test[low : low + _PART], model.recipe.frames)
            right += int((found.predict(shown).argmax(axis=1) == self.labels[low : low + _PART]).sum())
        return {
            "bits": bits,
            "trained_on_grid": trained,
            "accuracy": right / len(self.test),
            "layers": [row.as_dict() for row in found.rows],
        }

    def file(self, name: str, bits: int, trained: bool) -> dict[str, Any]:
        """The exported file, read again, against the integer network: spikes, currents and potentials of all
        neurons
        in all steps."""
        from snnsim.hardware.export import export
        from snnsim.hardware.formats import read_hardware

        found, model = self.quantised(name, bits, trained)
        with tempfile.TemporaryDirectory() as folder:
            made = export(
                found, Path(folder) / "out", nets.frames(self.calibration[:32], model.recipe.frames)
            )
            again = read_hardware(Path(folder) / "out" / "network.net")
        values, differing, hashed = 0, 0, []
        for low in range(0, len(self.test), _PART):
            shown = nets.frames(self.test[low : low + _PART], model.recipe.frames)
            one = golden_of(found.network, found.inputs(shown), found.n_steps)
            two = same_inputs(again, one)
            for mine, theirs in zip(one.spikes.values(), two.spikes.values(), strict=True):
                values += mine.size
                differing += int(np.count_nonzero(mine != theirs))
            hashed.append(one.state_sha256 == two.state_sha256)
        return {
            "n_test": len(self.test), "spikes_compared": values, "spikes_differing": differing,
            "state_equal": all(hashed), "cores": made.facts["cores"],
            "lower_bound": made.facts["lower_bound"], "violations": made.facts["violations"],
        }  # fmt: skip


def steps(model: nets.Spiking) -> int:
    return model.recipe.frames + len(model.layers)


def grids_of(model: nets.Spiking, bits: int) -> list[TrainingGrid]:
    """By the weights of the network that was trained with floats."""
    return [training_grid(layer.weight.detach().numpy(), TARGET, bits) for layer in model.layers]


def on_grid(model: nets.Spiking) -> nets.Spiking:
    """The network with the weights that it computes with."""
    with torch.no_grad():
        for layer, fake in zip(model.layers, model.fake, strict=True):
            if fake is not None:
                layer.weight.copy_(fake(layer.weight))
    return model


def key(name: str, bits: int, trained: bool) -> str:
    return f"{name}, {bits} bits{', trained on the grid' if trained else ''}"


def cases() -> list[tuple[int, bool]]:
    return [(bits, False) for bits in BITS] + [(bits, True) for bits in TRAINED]


def run(store: Store, bench: Bench) -> None:
    """All rows."""
    for name in nets.RECIPES:
        store.row(f"{name}, source", lambda name=name: bench.source(name))
        for bits, trained in cases():
            store.row(key(name, bits, trained), lambda n=name, b=bits, t=trained: bench.measured(n, b, t))
    for name in nets.RECIPES:
        for bits in BARS:
            store.row(f"{key(name, bits, False)}, file", lambda n=name, b=bits: bench.file(n, b, False))


def plot(store: Store) -> None:
    """Accuracy against the width of weights, one panel a network."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    for axes, name in zip(panels, nets.RECIPES, strict=True):
        source = store.rows[f"{name}, source"]
        spiking = 100 * source["spiking"]
        axes.axhline(spiking, color="0.3", ls="--", lw=1, label=f"spiking, floats: {spiking:.2f} %")
        relu = 100 * source["relu"]
        axes.axhline(relu, color="0.6", ls=":", lw=1.5, label=f"ReLU, floats: {relu:.2f} %")
        for trained, label, marker in (
            (False, "quantised afterwards", "o-"),
            (True, "trained on the grid", "s-"),
        ):
            rows = [store.rows[key(name, b, t)] for b, t in cases() if t == trained]
            axes.plot([r["bits"] for r in rows], [100 * r["accuracy"] for r in rows], marker, label=label)
        for bits, bar in BARS.items():
            label = "bars: 0.2 points at 8 bits, 1.0 at 4" if bits == 8 else None
            axes.plot([bits - 0.3, bits + 0.3], [spiking - bar] * 2, color="tab:red", lw=2, label=label)
        axes.set(xlabel="bits of a weight", ylabel="test accuracy (%)", xticks=range(2, 9), title=name)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], spiking - 6))
        axes.legend(fontsize=8, loc="lower right")
    figure.suptitle(f"MNIST on the grid of {TARGET}: integer networks, 10,000 test images")
    figure.savefig(store.path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def table(store: Store) -> str:
    """What was measured, in Markdown."""
    lines = ["| network | weights | accuracy | lost, points | file read again |", "|---|---|---|---|---|"]
    for name in nets.RECIPES:
        source = store.rows[f"{name}, source"]
        lines.append(f"| {name} | floats, ReLU | {source['relu']:.2%} | | |")
        lines.append(f"| {name} | floats, spiking | {source['spiking']:.2%} | | |")
        for bits, trained in cases():
            row, file = (
                store.rows[key(name, bits, trained)],
                store.rows.get(f"{key(name, bits, trained)}, file"),
            )
            lost = 100 * (source["spiking"] - row["accuracy"])
            same = (
                ""
                if file is None
                else (
                    f"{file['spikes_differing']} of {file['spikes_compared']:,} spikes differ, "
                    f"state {'equal' if file['state_equal'] else 'DIFFERS'}"
                )
            )
            how = ", trained on the grid" if trained else ""
            lines.append(f"| {name} | {bits} bits{how} | {row['accuracy']:.2%} | {lost:+.2f} | {same} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with mnist/")
    parser.add_argument("--cache", type=Path, default=nets.CACHE, help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = Store("quantised_mnist", "python benchmarks/quantised_mnist.py --data DIR", again=options.again)
    run(store, Bench(load_dataset("mnist", options.data), options.cache))
    plot(store)
    print(table(store))


if __name__ == "__main__":
    main()
