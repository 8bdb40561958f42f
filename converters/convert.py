"""Conversion of a trained network in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from snnsim.batch import BatchResult, BatchSimulator
from snnsim.checks import check
from snnsim.converters import graph as g
from snnsim.converters.build import INPUT, build
from snnsim.converters.calibrate import activations, check_calibration
from snnsim.converters.certificate import Certificate, certify, settling_steps, spread
from snnsim.converters.correction import CORRECTIONS, corrected
from snnsim.converters.event_counts import count_operations
from snnsim.converters.exact import Quantisation, amounts, quantised
from snnsim.converters.fold import fold_batchnorm
from snnsim.converters.operations import Operations
from snnsim.converters.rate import RateCoding
from snnsim.converters.thresholds import NORMALISATIONS, thresholds
from snnsim.converters.ttfs import TimeCoded, time_coded
from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule
from snnsim.network import Network

if TYPE_CHECKING:
    from snnsim.converters.auto import Choice
    from snnsim.converters.report import ConversionReport

METHODS = ("exact", "rate", "burst", "ttfs", "auto")
_COUNT = Rule("integer", low=1, high=2**20)
_SHARE = 256  # samples at a time
_MOST = 5  # spikes of a burst in a step


@dataclass(frozen=True)
class Conversion:
    """A spiking network made from a trained one.

    graph        the source, batch normalisation folded
    network      what runs
    method       how it was made
    timesteps    over which an input comes (exact), or acts (rate, burst)
    input_scale  value of one unit of input
    certificate  exact only: counts compared with the quantised model
    choice       auto only: what was tried, and what for
    """

    graph: g.Graph
    network: Network
    method: str
    timesteps: int
    input_scale: float
    certificate: Certificate | None = None
    choice: Choice | None = None
    _simulators: list[BatchSimulator] = field(default_factory=list, repr=False)

    def run(self, inputs: np.ndarray, *, keep_counts: bool = False) -> BatchResult:
        """Simulate samples, [n_samples, ...]; with rates, readouts are `timesteps` times the output."""
        if not self._simulators:
            self._simulators.append(BatchSimulator(self.network))
        (sim,) = self._simulators
        x = check_calibration(self.graph, inputs)
        if self.method == "exact":
            given = {INPUT: spread(amounts(x, self.input_scale), self.timesteps)}
            return sim.run(given, settling_steps(self.network, self.timesteps), keep_counts=keep_counts)
        flat = {INPUT: x.reshape(len(x), -1)}
        return sim.run(flat, self.timesteps, repeat=self.timesteps, keep_counts=keep_counts, stop_early=False)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """float[n_samples, outputs]: what the source computes, as the spiking network gives it."""
        parts = []
        for low in range(0, len(inputs), _SHARE):
            last = self.run(inputs[low : low + _SHARE]).readout[:, -1]
            parts.append(last if self.method == "exact" else last / self.timesteps)
        return np.concatenate(parts)

    def operations(self, inputs: np.ndarray) -> Operations:
        """Operations of one inference, of the source and of the spiking network, means over the inputs."""
        return count_operations(self, inputs)

    def report(
        self, inputs: np.ndarray, labels: np.ndarray | None, folder: Path | str
    ) -> ConversionReport:
        """Write report.html and report.json into a folder, from a simulation of these inputs."""
        from snnsim.converters.report import write_conversion_report

        return write_conversion_report(self, inputs, labels, folder)


@overload
def convert(model: Any, calibration: np.ndarray, method: Literal["ttfs"]) -> TimeCoded: ...


@overload
def convert(
    model: Any,
    calibration: np.ndarray,
    method: Literal["exact", "rate", "burst", "auto"] = "exact",
    *,
    timesteps: int | None = None,
    levels: int = 15,
    normalisation: str = "mse",
    correction: str | None = None,
    certify_on: np.ndarray | None = None,
    quantisation: Quantisation | None = None,
) -> Conversion: ...


@overload
def convert(
    model: Any,
    calibration: np.ndarray,
    method: str,
    *,
    timesteps: int | None = None,
    levels: int = 15,
    normalisation: str = "mse",
    correction: str | None = None,
    certify_on: np.ndarray | None = None,
    quantisation: Quantisation | None = None,
) -> Conversion | TimeCoded: ...


def convert(
    model: Any,
    calibration: np.ndarray,
    method: str = "exact",
    *,
    timesteps: int | None = None,
    levels: int = 15,
    normalisation: str = "mse",
    correction: str | None = None,
    certify_on: np.ndarray | None = None,
    quantisation: Quantisation | None = None,
) -> Conversion | TimeCoded:
    """Convert a trained network.

    model          torch.nn.Module, path of an ONNX file, or a Graph
    calibration    [n_samples, ...]  inputs as the model takes them
    method         exact: spike counts equal the integer activations of the quantised model; a certificate is
                   written over `certify_on`, or over the calibration data
                   rate: integrate-and-fire neurons, `timesteps` steps; burst: up to 5 spikes a step
                   ttfs: one spike a neuron at most, in continuous time; see converters/ttfs.py
                   auto: the cheapest of many that is as good as the best; see converters/auto.py
    levels         exact: largest integer activation
    normalisation  rate, burst: what thresholds are, a name of converters/thresholds.py
    correction     none; bias: of each channel, by calibration data (the default of exact); potential: at the
                   start, of each neuron, for rate and burst; see converters/exact.py and correction.py
    quantisation   exact: of a model that was trained with it; its thresholds and biases stay as they are
    Raises ConfigError for arguments that cannot be, ConversionError for models.
    """
    centre = method == "exact" and (quantisation is None or quantisation.thresholds is None)
    correction = correction or ("bias" if centre else "none")
    for name, value, known in (
        ("method", method, METHODS),
        ("normalisation", normalisation, tuple(NORMALISATIONS)),
        ("correction", correction, CORRECTIONS),
    ):
        if value not in known:
            raise ConfigError(f"no such {name}", where=name, got=value, fix=nearest(value, known))
    if method == "exact" and correction == "potential":
        problem = "exact networks start from half a threshold"
        raise ConfigError(problem, where="correction", got=correction, expected="bias or none")
    timesteps = check(timesteps or (1 if method == "exact" else 32), _COUNT, "timesteps")
    levels = check(levels, _COUNT, "levels")
    graph = fold_batchnorm(_graph(model, calibration))
    data = check_calibration(graph, calibration)
    if method == "auto":
        from snnsim.converters.auto import automatic

        return automatic(graph, data)
    if method == "ttfs":
        return time_coded(graph, data)
    if method == "exact":
        network, scale = quantised(graph, data, levels, quantisation, centre=correction == "bias")
        checked = amounts(data if certify_on is None else check_calibration(graph, certify_on), scale)
        return Conversion(
            graph, network, method, timesteps, scale, certify(graph, network, checked, timesteps)
        )
    return rated(graph, data, activations(graph, data), method, timesteps, normalisation, correction)


def rated(
    graph: g.Graph,
    data: np.ndarray,
    source: dict[str, np.ndarray],
    method: str,
    timesteps: int,
    normalisation: str,
    correction: str = "none",
) -> Conversion:
    """Conversion to rates or bursts; source float64[n_samples, *shape] as `activations` gives it for data."""
    choice, most = NORMALISATIONS[normalisation], _MOST if method == "burst" else 1
    coding = RateCoding(thresholds(graph, data, source, choice, timesteps, most), most, choice.start)
    network = build(graph, coding)
    if correction != "none":
        flat = data.reshape(len(data), -1)
        network = corrected(network, flat, source, graph.output.name, timesteps, correction)
    return Conversion(graph, network, method, timesteps, 1.0)


def _graph(model: Any, calibration: np.ndarray) -> g.Graph:
    if isinstance(model, g.Graph):
        return model
    if isinstance(model, str | Path):
        from snnsim.converters.read_onnx import read_onnx

        return read_onnx(model)
    from snnsim.converters.read_torch import read_torch

    return read_torch(model, np.asarray(calibration[: min(len(calibration), 8)], dtype=np.float32))
