"""The networks of conversion_nets.py converted by others, in plain torch.  Prints one JSON object.

    python ann2snn.py NAME METHOD --arrays FILE.npz --cache DIR [--steps T] [--threads N] [--time T,T,...]

METHOD  max, 99.9%, half-max     SpikingJelly's RateCodingRecipe, a threshold for each layer
        channels                 the same by channel, 99.9 %, start from half a threshold: its best options
        ltb                      SpikingJelly's LocalThresholdBalancingRecipe, calibrated in batches of 16
        percentile               what snntoolbox does (Rueckauer et al. 2017), written here, for snntoolbox
                                 itself needs TensorFlow 2.4 or older.  Threshold of a layer: 99.9 % of its
                                 active values; start from zero, reset by subtraction, constant currents
The file holds calibration and test images and labels, as conversion_race.py writes it.  Without --time the
network sees all test images for T steps, and the accuracy after each step is given; with it the first
images only, once for each of these numbers of steps, and the seconds that it took.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from conversion_nets import load  # noqa: E402

MODES = {"max": "max", "99.9%": "99.9%", "half-max": 0.5, "channels": "99.9%"}
METHODS = (*MODES, "ltb", "percentile")
_BATCH, _CALIBRATION_BATCH, _LTB_BATCH = 50, 64, 16


class Spiking(nn.Module):
    """v <- v + z; spike of size theta and v <- v - theta where v >= theta.  Without theta: notes values."""

    def __init__(self) -> None:
        super().__init__()
        self.theta: float | None = None
        self.v: torch.Tensor | float = 0.0
        self.active: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if self.theta is None:
            a = torch.relu(z)
            self.active.append(a[a > 0])
            return a
        v = self.v + z
        spikes = (v >= self.theta).to(z.dtype) * self.theta
        self.v = v - spikes
        return spikes


def percentile(model: nn.Module, x: torch.Tensor) -> tuple[nn.Module, Callable[[], None]]:
    """The network with spiking neurons, and what puts them back to the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about torch
        from torch.fx.experimental.optimization import fuse
    found = fuse(model)
    for name, module in list(found.named_modules()):
        if isinstance(module, nn.ReLU):
            parent, _, child = name.rpartition(".")
            setattr(found.get_submodule(parent), child, Spiking())
    neurons = [module for module in found.modules() if isinstance(module, Spiking)]
    for part in x.split(_CALIBRATION_BATCH):
        found(part)
    for neuron in neurons:
        values = torch.cat(neuron.active)
        neuron.theta = float(np.quantile(values.numpy(), 0.999))
        neuron.active = []

    def restart() -> None:
        for neuron in neurons:
            neuron.v = 0.0

    return found, restart


def spikingjelly(model: nn.Module, x: torch.Tensor, method: str) -> tuple[nn.Module, Callable[[], None]]:
    from spikingjelly.activation_based import ann2snn, functional

    if method == "ltb":
        recipe = ann2snn.LocalThresholdBalancingRecipe(x.split(_LTB_BATCH))
    else:
        wide = method == "channels"
        recipe = ann2snn.RateCodingRecipe(
            x.split(_CALIBRATION_BATCH), mode=MODES[method], channel_wise=wide, half_threshold=wide,
            pre_spike_maxpool=wide,
        )  # fmt: skip
    found = ann2snn.FXConverter(recipe=recipe, device="cpu").convert(copy.deepcopy(model))
    return found.eval(), lambda: functional.reset_net(found)


def outputs(
    model: nn.Module, restart: Callable[[], None], x: torch.Tensor, steps: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """After each step: (first sample, sum of the outputs) of one batch after another."""
    for low in range(0, len(x), _BATCH):
        restart()
        part, total = x[low : low + _BATCH], torch.zeros(())
        for _ in range(steps):
            total = total + model(part)
            yield low, total


def accuracy(
    model: nn.Module, restart: Callable[[], None], x: torch.Tensor, labels: np.ndarray, steps: int
) -> list[float]:
    right = np.zeros(steps, dtype=np.int64)
    for k, (low, total) in enumerate(outputs(model, restart, x, steps)):
        right[k % steps] += (total.argmax(1).numpy() == labels[low : low + len(total)]).sum()
    return [float(n) / len(x) for n in right]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=500, help="with --time, default: %(default)s")
    parser.add_argument("--time", type=lambda text: [int(word) for word in text.split(",")])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    arrays = np.load(options.arrays)
    calibration, test = (torch.from_numpy(arrays[key]) for key in ("calibration", "test"))
    model = load(options.name, options.cache)
    found: dict[str, Any] = {"torch": torch.__version__, "threads": options.threads, "batch": _BATCH}
    with torch.no_grad(), open(os.devnull, "w") as nowhere:
        progress, sys.stderr = sys.stderr, nowhere  # of calibration, one line a batch
        began, used = time.perf_counter(), time.process_time()
        if options.method == "percentile":
            converted, restart = percentile(model, calibration)
        else:
            converted, restart = spikingjelly(model, calibration, options.method)
            found["spikingjelly"] = version("spikingjelly")
        found |= {"convert_s": time.perf_counter() - began, "convert_cpu_s": time.process_time() - used}
        sys.stderr = progress
        for _ in outputs(converted, restart, test[:_BATCH], 4):
            pass  # the first pass makes what later ones use again
        if options.time is None:
            found["accuracy"] = accuracy(converted, restart, test, arrays["labels"], options.steps)
            found["ann"] = float((model(test).argmax(1).numpy() == arrays["labels"]).mean())
        else:
            shown = test[: options.images]
            found["times"] = {}
            for steps in options.time:
                began, used = time.perf_counter(), time.process_time()
                for _ in outputs(converted, restart, shown, steps):
                    pass
                found["times"][steps] = {
                    "wall_ms": 1e3 * (time.perf_counter() - began) / len(shown),
                    "cpu_ms": 1e3 * (time.process_time() - used) / len(shown),
                }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
