"""What the conversion benchmarks share: settings of a conversion, their choice, and files of results.

Settings are chosen on calibration images alone: all that are tried are calibrated on the first n_choice of
them, and the one whose outputs agree with the trained network's for most of these, at equal agreement the one
with the smallest error, is calibrated on all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import head, now

from snnsim.atomic import write_text
from snnsim.converters.convert import Conversion, convert

RESULTS = Path(__file__).resolve().parent / "results"
STEPS = (1, 2, 4, 8, 16, 32)
N_CALIBRATION = 1024
_PART = 250  # images at a time


THRESHOLDS = ("mse", "balanced", "percentile", "spikingjelly-channels")
CORRECTIONS = ("bias", "potential")


@dataclass(frozen=True)
class Setting:
    """Arguments of a conversion; levels 0 but for exact ones, timesteps 0 for continuous times."""

    method: str
    timesteps: int
    levels: int = 0
    normalisation: str = "mse"
    correction: str = "none"

    @property
    def label(self) -> str:
        if self.method == "exact":
            return f"{self.levels} levels"
        if self.method == "few_spike":
            return f"K = {self.timesteps}"
        return "continuous" if self.method == "ttfs" else f"{self.normalisation}, {self.correction}"

    def convert(self, model: Any, calibration: np.ndarray, **more: Any) -> Conversion:
        given: dict[str, Any] = {"timesteps": self.timesteps or None, **more}
        if self.method == "exact":
            given["levels"] = self.levels
        elif self.method in ("rate", "burst"):
            given |= {"normalisation": self.normalisation, "correction": self.correction}
        return convert(model, calibration, self.method, **given)


def rates(method: str, timesteps: int) -> list[Setting]:
    """What is tried for one number of steps."""
    return [Setting(method, timesteps, 0, name, how) for name in THRESHOLDS for how in CORRECTIONS]


@dataclass(frozen=True)
class Chosen:
    """A conversion, its agreement on calibration images, and the seconds that it took."""

    setting: Setting
    conversion: Conversion
    agreement: float
    error: float
    convert_s: float
    choose_s: float

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.setting),
            "agreement_on_calibration": self.agreement,
            "error_on_calibration": self.error,
            "convert_s": self.convert_s,
            "choose_s": self.choose_s,
        }


def choose(
    model: Any, calibration: np.ndarray, wanted: np.ndarray, settings: Sequence[Setting], n_choice: int = 1024
) -> Chosen:
    """The best of all settings on calibration images, where the source gives `wanted`, float[n, outputs]."""
    began, found = time.perf_counter(), []
    few, few_wanted = calibration[:n_choice], wanted[:n_choice]
    for setting in settings if len(settings) > 1 else ():
        agreement, error = agreement_of(setting.convert(model, few), few, few_wanted)
        found.append((agreement, -error, setting))
    setting = max(found, key=lambda one: one[:2])[2] if found else settings[0]
    choose_s, used = time.perf_counter() - began, time.process_time()
    made = setting.convert(model, calibration)
    seconds = time.process_time() - used
    return Chosen(setting, made, *agreement_of(made, calibration, wanted), seconds, choose_s)


def agreement_of(conversion: Conversion, images: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Share of images whose largest output is that of the source; root mean square error, relative."""
    outputs = outputs_of(conversion, images)
    error = np.sqrt(((outputs - wanted) ** 2).mean() / (wanted**2).mean())
    return float((outputs.argmax(1) == wanted.argmax(1)).mean()), float(error)


def outputs_of(conversion: Conversion, images: np.ndarray) -> np.ndarray:
    """float[n, outputs]"""
    parts = [conversion.predict(images[low : low + _PART]) for low in range(0, len(images), _PART)]
    return np.concatenate(parts)


def source_outputs(model: Any, images: np.ndarray) -> np.ndarray:
    """float32[n, outputs] of the trained network in torch."""
    import torch

    with torch.no_grad():
        return np.concatenate([model(part).numpy() for part in torch.from_numpy(images).split(_PART)])


def wrong(outputs: np.ndarray, labels: np.ndarray) -> list[int]:
    """Samples whose largest output is not that of their class."""
    return [int(k) for k in np.flatnonzero(outputs.argmax(1) != labels[: len(outputs)])]


def accuracy(row: dict[str, Any], n: int | None = None) -> float:
    """Share of the first n test images that a row of results has right, of all that it has seen without n."""
    n = n or row["n_test"]
    if n > row["n_test"]:
        raise SystemExit(f"a row of {row['n_test']:,} test images, and {n:,} are asked for: measure it again")
    return 1 - sum(index < n for index in row["wrong"]) / n


class Store:
    """Rows of a benchmark in a JSON file, each kept as soon as it is known, and then not made again."""

    def __init__(self, name: str, command: str, *, again: bool = False) -> None:
        self.path = RESULTS / f"{name}.json"
        self.head = head(name, command, ("snnsim", "torch", "numpy", "numba"))
        self.rows: dict[str, Any] = {}
        if self.path.exists() and not again:
            self.rows = json.loads(self.path.read_text())["rows"]

    def row(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self.rows:
            began = time.perf_counter()
            self.rows[key] = make()
            print(f"{key}  ({time.perf_counter() - began:.0f} s)", flush=True)
            self.save()
        return self.rows[key]

    def save(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        record = {**self.head, "date": now(), "rows": self.rows}
        write_text(self.path, json.dumps(record, indent=2) + "\n")
