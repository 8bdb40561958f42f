"""Conversion of a trained network in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.batch import BatchResult, BatchSimulator
from snnsim.checks import check
from snnsim.converters import graph as g
from snnsim.converters.build import INPUT, build
from snnsim.converters.calibrate import activations, check_calibration, largest, least_squares
from snnsim.converters.certificate import Certificate, certify, settling_steps, spread
from snnsim.converters.event_counts import count_operations
from snnsim.converters.exact import amounts, quantised
from snnsim.converters.fold import fold_batchnorm
from snnsim.converters.operations import Operations
from snnsim.converters.rate import RateCoding
from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule
from snnsim.network import Network

if TYPE_CHECKING:
    from snnsim.converters.report import ConversionReport

METHODS = ("exact", "rate", "burst")
NORMALISATIONS = ("max", "percentile", "mse")
_COUNT = Rule("integer", low=1, high=2**20)
_SHARE = 256  # samples at a time


@dataclass(frozen=True)
class Conversion:
    """A spiking network made from a trained one.

    graph        the source, batch normalisation folded
    network      what runs
    method       how it was made
    timesteps    over which an input comes (exact), or acts (rate, burst)
    input_scale  value of one unit of input
    certificate  exact only: counts compared with the quantised model
    """

    graph: g.Graph
    network: Network
    method: str
    timesteps: int
    input_scale: float
    certificate: Certificate | None = None
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


def convert(
    model: Any,
    calibration: np.ndarray,
    method: str = "exact",
    *,
    timesteps: int | None = None,
    levels: int = 15,
    normalisation: str = "mse",
    percentile: float = 99.9,
    by_channel: bool = True,
    certify_on: np.ndarray | None = None,
) -> Conversion:
    """Convert a trained network.

    model          torch.nn.Module, path of an ONNX file, or a Graph
    calibration    [n_samples, ...]  inputs as the model takes them
    method         exact: spike counts equal the integer activations of the quantised model; a certificate is
                   written over `certify_on`, or over the calibration data
                   rate: integrate-and-fire neurons, `timesteps` steps; burst: up to 5 spikes a step
    levels         exact: largest integer activation
    normalisation  rate, burst: what thresholds are: the largest activation, a percentile of the active ones,
                   or the value nearest to all activations at `timesteps` steps
    Raises ConfigError for arguments that cannot be, ConversionError for models.
    """
    if method not in METHODS:
        raise ConfigError("no such method", where="method", got=method, fix=nearest(method, METHODS))
    if normalisation not in NORMALISATIONS:
        fix = nearest(normalisation, NORMALISATIONS)
        raise ConfigError("no such normalisation", where="normalisation", got=normalisation, fix=fix)
    timesteps = check(timesteps or (1 if method == "exact" else 32), _COUNT, "timesteps")
    levels = check(levels, _COUNT, "levels")
    graph = fold_batchnorm(_graph(model, calibration))
    data = check_calibration(graph, calibration)
    if method == "exact":
        network, scale = quantised(graph, data, levels)
        checked = amounts(data if certify_on is None else check_calibration(graph, certify_on), scale)
        return Conversion(
            graph, network, method, timesteps, scale, certify(graph, network, checked, timesteps)
        )
    most = 5 if method == "burst" else 1
    found = activations(graph, data)
    thresholds = {}
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            values = found[node.name]
            if normalisation == "mse":
                thresholds[node.name] = least_squares(values, timesteps * most) * timesteps
            else:
                top = largest(
                    values, percentile if normalisation == "percentile" else 100.0, by_channel=by_channel
                )
                thresholds[node.name] = top / most
    return Conversion(graph, build(graph, RateCoding(thresholds, most)), method, timesteps, 1.0)


def _graph(model: Any, calibration: np.ndarray) -> g.Graph:
    if isinstance(model, g.Graph):
        return model
    if isinstance(model, str | Path):
        from snnsim.converters.read_onnx import read_onnx

        return read_onnx(model)
    from snnsim.converters.read_torch import read_torch

    return read_torch(model, np.asarray(calibration[: min(len(calibration), 8)], dtype=np.float32))
