"""Accuracy against operations of 784-1200-1200-10 on MNIST: many conversions, every operation counted.

    .venv/bin/python benchmarks/mnist_operations.py --data DIR [--cache DIR] [--only WORD,...] [--again]

Networks are those of benchmarks/mnist_mlp.py, trained first where the cache lacks them.  Each is converted by
`snnsim.converters.convert`, run on all 10,000 test images, and judged by what its spikes say; its operations
are counted from the events of these runs: input, synapses, every update of every neuron, and the comparisons
by which pixels become events.  Accuracy on the last 5,000 training images, which no network was trained on,
decides which configuration is named the result: the cheapest with a validation accuracy of MARGIN or more.

Every finished measurement is kept in the results, and a run that was interrupted goes on; a network that was
trained anew is measured anew.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

import numpy as np  # noqa: E402
from mnist_early import early  # noqa: E402
from mnist_mlp import CACHE, DENSE, N_VALIDATION, RECIPES, SIZES, Data, divide, encode, seen, train  # noqa: E402
from mnist_operations_report import write_report  # noqa: E402
from record import machine, now  # noqa: E402

from snnsim.atomic import write_json  # noqa: E402
from snnsim.converters.build import INPUT  # noqa: E402
from snnsim.converters.convert import Conversion, convert  # noqa: E402
from snnsim.converters.exact import Quantisation  # noqa: E402
from snnsim.converters.operations import Operations  # noqa: E402
from snnsim.datasets import load_dataset  # noqa: E402
from snnsim.layer_neurons import TimeToFirstSpike  # noqa: E402
from snnsim.manifest import software_facts  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "mnist_operations.json"
MARGIN = 0.984  # validation accuracy of the result: 98 % and twice the standard deviation of 5,000 draws
EARLY = (0.982, 0.984, 0.985)
N_CALIBRATION, _SHARE = 1000, 1000


@dataclass(frozen=True)
class Config:
    """One measurement.

    levels     exact and early
    timesteps  rate and burst
    least      early: accuracy that is asked for on validation images
    """

    network: str
    method: str
    levels: int = 0
    timesteps: int = 1
    least: float = 0.0

    @property
    def name(self) -> str:
        if self.method == "ttfs":
            return f"{self.network} ttfs"
        said = {"exact": f"L={self.levels}", "early": f"{self.least:.1%}"}
        return f"{self.network} {self.method} {said.get(self.method, f'T={self.timesteps}')}"


def configs() -> list[Config]:
    """All of them: networks trained without quantisation by every method, the others as they were trained."""
    found = []
    for recipe in RECIPES.values():
        if recipe.early:
            found += [Config(recipe.name, "early", recipe.levels, least=least) for least in EARLY]
        if recipe.levels:
            found.append(Config(recipe.name, "exact", recipe.levels))
            continue
        if not recipe.spikes:
            found += [Config(recipe.name, "exact", levels) for levels in (1, 2, 3, 7, 15)]
            found += [Config(recipe.name, "burst", timesteps=steps) for steps in (1, 2, 4, 8)]
            found += [Config(recipe.name, "rate", timesteps=steps) for steps in (1, 2, 4, 8, 16, 32)]
        found.append(Config(recipe.name, "ttfs"))
    return found


def measure(config: Config, model: Any, data: Data) -> dict[str, Any]:
    """What stands in the results for one configuration."""
    recipe = RECIPES[config.network]
    calibration, validation, test = (
        encode(x, recipe.pixels) for x in (data.train[:N_CALIBRATION], data.validation, data.test)
    )
    encoding = 0 if recipe.pixels == "grey" else int(seen(recipe.pixels).sum())
    if config.method == "ttfs":
        return timed(convert(model, calibration, "ttfs"), test, data.test_labels, encoding)
    bits = 16 if recipe.pixels == "grey" else 1
    trained = Quantisation((1.0, 1.0) if recipe.levels else None, bits)
    if config.method in ("exact", "early"):
        made = convert(
            model, calibration, "exact", levels=config.levels, quantisation=trained, certify_on=test
        )
    else:
        made = convert(model, calibration, config.method, timesteps=config.timesteps)
    if config.method == "early":
        return early(made, validation, data.validation_labels, test, data.test_labels, config.least)
    found = counted(made, test, data.test_labels, encoding)
    if not recipe.levels:
        found |= {"ann": source(made, test, data.test_labels, encoding, found["columns"])}
    return found | {"validation": agreement(made, validation, data.validation_labels)}


def agreement(made: Conversion, images: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of what the spiking network says."""
    return float((made.predict(images).argmax(axis=1) == labels).mean())


def counted(made: Conversion, images: np.ndarray, labels: np.ndarray, encoding: int) -> dict[str, Any]:
    """Accuracy and operations of a converted network."""
    operations = made.operations(images)
    found: dict[str, Any] = {
        "accuracy": agreement(made, images, labels),
        "total": operations.total_once + encoding,
        "total_of_unit_spikes": operations.total_once + encoding + further(made, operations),
        "encoding": encoding,
        "spikes_per_neuron": operations.spikes_per_neuron,
        "twin": twin(operations) + encoding if made.method == "exact" else None,
        "columns": {name: value for name, value, _, _ in operations.columns()},
        "links": {link.name: link.acs + link.macs for link in operations.links},
    }
    if made.certificate is not None:
        layers = made.certificate.layers
        found["certificate"] = {
            "holds": made.certificate.holds,
            "n_checked": sum(layer.n_checked for layer in layers),
            "n_mismatches": sum(layer.n_mismatches for layer in layers),
        }
    return found


def further(made: Conversion, operations: Operations) -> float:
    """Additions on top where an event of s spikes of a hidden neuron is s additions and not one."""
    fan_out = {p.source: p.rule.sizes()[1] for p in made.network.projections.values()}
    hidden = [one for one in operations.populations if one.name in fan_out and one.name != INPUT]
    return sum((one.spikes - one.events) * fan_out[one.name] for one in hidden)


def source(
    made: Conversion, images: np.ndarray, labels: np.ndarray, encoding: int, columns: dict[str, float]
) -> dict[str, float]:
    """The network without spikes: products that have no zero, biases, and comparisons with zero."""
    output = made.graph.output.name
    right = 0
    for x, wanted in zip(np.array_split(images, 10), np.array_split(labels, 10), strict=True):
        scores = made.graph.evaluate(x.astype(np.float64))[output]
        right += int((scores.argmax(axis=1) == wanted).sum())
    updates = columns["source_biases"] + columns["source_others"]
    return {
        "accuracy": right / len(labels),
        "effective_macs": columns["effective_macs"],
        "zero_skipping": columns["effective_macs"] + updates + encoding,
    }


def twin(operations: Operations) -> float:
    """The quantised network without time: the same additions, biases, and a rounding for each neuron.

    In one step no spike is taken back, so its non-zero integers are the events of the spiking network.
    """
    additions = operations.input_acs_once + operations.input_macs_once
    additions += operations.synaptic_acs + operations.synaptic_macs
    return additions + operations.source_biases + operations.n_neurons


def timed(made: Conversion, images: np.ndarray, labels: np.ndarray, encoding: int) -> dict[str, Any]:
    """Times to first spike: accuracy, spikes, operations, and how far activations are from the source's."""
    right = same = fired = cut = 0
    additions = deviation = largest = 0.0
    populations = made.network.populations.items()
    units = {name: one.unit for name, one in populations if isinstance(one.unit, TimeToFirstSpike)}
    for low in range(0, len(images), _SHARE):
        x = images[low : low + _SHARE].astype(np.float64)
        result, values = made.run(x, keep_counts=True), made.graph.evaluate(x)
        outputs, wanted = result.readout[:, -1], values[made.graph.output.name]
        pairs = [(outputs, wanted)]
        pairs += [(unit.resolution_mv * result.totals[name], values[name]) for name, unit in units.items()]
        deviation = max(deviation, *(float(np.abs(a - b).max()) for a, b in pairs))
        largest = max(largest, *(float(np.abs(b).max()) for _, b in pairs))
        chosen = labels[low : low + _SHARE]
        right += int((outputs.argmax(axis=1) == chosen).sum())
        same += int((outputs.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        fired += sum(int(result.events[name].sum()) for name in units)
        cut += sum(int((result.totals[name] >= unit.window).sum()) for name, unit in units.items())
        additions += sum(float(one.sum()) for one in result.additions.values())
    n, n_neurons = len(images), sum(SIZES[1:3])
    return {
        "accuracy": right / n,
        "agreement": same / n,
        "total": additions / n + fired / n + 2 * n_neurons + SIZES[3] + encoding,
        "encoding": encoding,
        "additions": additions / n,
        "spikes_per_neuron": fired / n / n_neurons,
        "largest_deviation": deviation,
        "largest_value": largest,
        "relative_deviation": deviation / largest,
        "cut": cut,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with mnist/")
    parser.add_argument("--cache", type=Path, default=CACHE, help="trained networks; default: %(default)s")
    parser.add_argument("--only", default="", help="configurations whose names contain one of these words")
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    options = parser.parse_args()
    data = divide(load_dataset("mnist", options.data))
    found: dict[str, Any] = {"runs": {}}
    if options.results.exists():
        found = json_of(options.results)
    words = [word for word in options.only.split(",") if word]
    for config in configs():
        if words and not any(word in config.name for word in words):
            continue
        model = train(RECIPES[config.network], data, options.cache)
        weights = digest(model)
        if not options.again and found["runs"].get(config.name, {}).get("weights") == weights:
            continue
        began = time.perf_counter()
        measured = measure(config, model, data)
        took = time.perf_counter() - began
        entry = asdict(config) | {"weights": weights, "seconds": round(took, 1)}
        found["runs"][config.name] = entry | measured
        record(found, options.results)
        share, right = measured["total"] / DENSE, measured["accuracy"]
        print(f"{config.name}: {right:.2%} with {share:.2%} of {DENSE:,} ({took:.0f} s)", flush=True)
    record(found, options.results)
    write_report(found)


def json_of(path: Path) -> dict[str, Any]:
    import json

    return dict(json.loads(path.read_text(encoding="utf-8")))


def digest(model: Any) -> str:
    """SHA-256 of the weights."""
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.numpy().tobytes())
    return found.hexdigest()


def record(found: dict[str, Any], path: Path) -> None:
    """Write the results, with what they were made with, and which is the result."""
    import torch

    order = [config.name for config in configs()]
    runs = {name: found["runs"][name] for name in order if name in found["runs"]}
    good = [name for name, run in runs.items() if run.get("validation", 0.0) >= MARGIN]
    facts: dict[str, Any] = {
        "benchmark": "mnist_operations",
        "command": "python benchmarks/mnist_operations.py --data DIR",
        "date": now(),
        "machine": machine(),
        "software": software_facts() | {"torch": torch.__version__},
        "python": sys.version.split()[0],
        "dense_macs": DENSE,
        "n_validation": N_VALIDATION,
        "validation_margin": MARGIN,
        "recipes": {name: asdict(recipe) for name, recipe in RECIPES.items()},
        "formulas": {f.name: dict(f.metadata) for f in fields(Operations) if f.metadata},
        "result": min(good, key=lambda name: runs[name]["total"]) if good else None,
        "runs": runs,
    }
    found.clear()
    found.update(facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)


if __name__ == "__main__":
    main()
