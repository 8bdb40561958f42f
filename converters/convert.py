"""Conversion of a trained network in one call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.batch import BatchSimulator
from snnsim.batch_result import BatchResult
from snnsim.checks import check
from snnsim.converters import graph as g
from snnsim.converters.build import INPUT, build
from snnsim.converters.calibrate import Activations, activations, check_calibration
from snnsim.converters.certificate import Certificate, Progress, certify, data_hash, settling_steps, spread
from snnsim.converters.correction import CORRECTIONS, corrected
from snnsim.converters.event_counts import count_operations
from snnsim.converters.exact import Quantisation, amounts, quantised
from snnsim.converters.few_spike import STEPS, few_spike_coded
from snnsim.converters.fold import fold_batchnorm
from snnsim.converters.operations import Operations
from snnsim.converters.products import parts, result_size
from snnsim.converters.rate import RateCoding
from snnsim.converters.schedule import scheduled_steps
from snnsim.converters.thresholds import NORMALISATIONS, thresholds
from snnsim.converters.ttfs import time_amounts, time_coded
from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule
from snnsim.network import Network
from snnsim.simulator import Simulator

if TYPE_CHECKING:
    from snnsim.converters.auto import Choice
    from snnsim.converters.report import ConversionReport

METHODS = ("exact", "rate", "burst", "ttfs", "few_spike", "auto")
_COUNT = Rule("integer", low=1, high=2**20)
_TIMESTEPS = Rule("integer", low=1, high=2**20, optional=True)
_MOST = 5  # spikes of a burst in a step
_LEVELS, _NORMALISATION = 15, "mse"  # defaults
_RATED = ("timesteps", "normalisation", "correction")
_TAKEN: dict[str, tuple[str, ...]] = {  # options that a method has a use for
    "exact": ("timesteps", "levels", "correction", "certify_on", "quantisation"),
    "rate": _RATED,
    "burst": _RATED,
    "ttfs": ("timesteps",),
    "few_spike": ("timesteps",),
    "auto": (),
}


@dataclass(frozen=True)
class Conversion:
    """A spiking network made from a trained one.

    graph        the source, batch normalisation folded
    network      what runs
    method       how it was made
    timesteps    over which an input comes (exact) or acts (rate, burst), or that the window of a layer has
    input_scale  value of one unit of input
    certificate  exact only: counts compared with the quantised model
    choice       auto only: what was tried, and what for
    correction   what calibration data have moved
    quantisation what was given with an exact one
    checked      inputs of the certificate, integers [n_samples, n] in units of input_scale
    calibration  SHA-256 of the calibration data, in such units
    """

    graph: g.Graph
    network: Network
    method: str
    timesteps: int
    input_scale: float
    certificate: Certificate | None = None
    choice: Choice | None = None
    correction: str = "none"
    quantisation: Quantisation = field(default_factory=Quantisation)
    checked: np.ndarray | None = None
    calibration: str = ""
    _simulators: list[BatchSimulator] = field(default_factory=list, repr=False)

    def run(self, inputs: np.ndarray, *, keep_counts: bool = False) -> BatchResult:
        """Simulate samples, [n_samples, ...]; readouts times `readout_scale` are what the source computes."""
        if not self._simulators:
            self._simulators.append(Simulator(self.network, batch=1))
        (sim,) = self._simulators
        x = check_calibration(self.graph, inputs)
        if self.method == "exact":
            value = spread(amounts(x, self.input_scale), self.timesteps)
        elif self.method == "ttfs":
            value = time_amounts(x, self.network, self.input_scale, self.timesteps)
        else:
            value = x.reshape(len(x), -1)
        rated = self.method in ("rate", "burst")
        return sim.evaluate(
            {INPUT: value}, self.n_steps, repeat=self.timesteps if rated else 1, keep_counts=keep_counts,
            stop_early=not rated,
        )  # fmt: skip

    @property
    def n_steps(self) -> int:
        """For which a sample is simulated, at most."""
        if self.method == "exact":
            return settling_steps(self.network, self.timesteps)
        return scheduled_steps(self.network) if self.method in ("ttfs", "few_spike") else self.timesteps

    @property
    def readout_scale(self) -> float:
        """With rates, readouts grow by the output in each step."""
        return 1 / self.timesteps if self.method in ("rate", "burst") else 1.0

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """float[n_samples, outputs]: what the source computes, as the spiking network gives it."""
        found = [self.run(inputs[part]).readout[:, -1] for part in self.parts(len(inputs))]
        return np.concatenate(found) * self.readout_scale

    def parts(self, n_samples: int, most: int = 256) -> Iterator[slice]:
        """Of samples: as many at a time as may be simulated, and compared with the source, together."""
        return parts(n_samples, self.graph.size + result_size(self.network, self.n_steps), most)

    def operations(self, inputs: np.ndarray) -> Operations:
        """Operations of one inference, of the source and of the spiking network, means over the inputs."""
        return count_operations(self, inputs)

    def write(self, path: Path | str) -> None:
        """Write the network with its certificate, to be verified.  Raises StorageError."""
        from snnsim.converters.conversion_file import write_conversion

        write_conversion(path, self)

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
    levels: int = _LEVELS,
    normalisation: str = _NORMALISATION,
    correction: str | None = None,
    certify_on: np.ndarray | None = None,
    quantisation: Quantisation | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert a trained network.

    model          torch.nn.Module, path of an ONNX file, or a Graph
    calibration    [n_samples, ...]  inputs as the model takes them
    method         exact: spike counts equal the integer activations of the quantised model; a certificate is
                   written over `certify_on`, or over the calibration data
                   rate: integrate-and-fire neurons, `timesteps` steps; burst: up to 5 spikes a step
                   ttfs: one spike a neuron at most, in continuous time or at one of `timesteps` times; see
                   converters/ttfs.py
                   few_spike: an activation as `timesteps` bits, 10 if not given; see converters/few_spike.py
                   auto: the cheapest of many that is as good as the best; see converters/auto.py
    levels         exact: largest integer activation
    normalisation  rate, burst: what thresholds are, a name of converters/thresholds.py
    correction     none; bias: of each channel, by calibration data (the default of exact); potential: at the
                   start, of each neuron, for rate and burst; see converters/exact.py and correction.py
    quantisation   exact: of a model that was trained with it; its thresholds and biases stay as they are
    progress       called with (what is done, how much of it, how much there is)
    Raises ConfigError for arguments that cannot be or that the method does not take, ConversionError for
    models.
    """
    given = {
        "timesteps": timesteps is not None,
        "levels": levels != _LEVELS,
        "normalisation": normalisation != _NORMALISATION,
        "correction": correction is not None,
        "certify_on": certify_on is not None,
        "quantisation": quantisation is not None,
    }
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
    for name in (name for name, is_given in given.items() if is_given and name not in _TAKEN[method]):
        takers = [other for other, taken in _TAKEN.items() if name in taken]
        problem = f"method {method!r} does not take it"
        raise ConfigError(problem, where=name, expected=f"method {' or '.join(takers)}")
    wanted = check(timesteps, _TIMESTEPS, "timesteps")
    timesteps = wanted or {"exact": 1, "ttfs": 1, "few_spike": STEPS}.get(method, 32)
    levels = check(levels, _COUNT, "levels")
    graph = fold_batchnorm(_graph(model, calibration))
    data = check_calibration(graph, calibration)
    if method == "auto":
        from snnsim.converters.auto import automatic

        return automatic(graph, data, progress=progress)
    if method == "ttfs":
        network, scale = time_coded(graph, data, wanted)
        return Conversion(graph, network, method, timesteps, scale)
    if method == "few_spike":
        return Conversion(graph, few_spike_coded(graph, data, timesteps), method, timesteps, 1.0)
    if method == "exact":
        network, scale = quantised(graph, data, levels, quantisation, centre=correction == "bias")
        made = Conversion(
            graph, network, method, timesteps, scale, correction=correction,
            quantisation=quantisation or Quantisation(),
        )  # fmt: skip
        return certified(made, data, certify_on, progress)
    return rated(graph, data, activations(graph, data), method, timesteps, normalisation, correction)


def certified(
    made: Conversion, calibration: np.ndarray, on: np.ndarray | None = None, progress: Progress | None = None
) -> Conversion:
    """An exact conversion with its certificate over the calibration data, or over `on`."""
    used = amounts(calibration, made.input_scale)
    checked = used if on is None else amounts(check_calibration(made.graph, on), made.input_scale)
    found = certify(made.graph, made.network, checked, made.timesteps, progress=progress)
    low, high = (np.min_scalar_type(int(edge)) for edge in (checked.min(), checked.max()))
    kept = checked.astype(np.result_type(low, high))
    return replace(made, certificate=found, checked=kept, calibration=data_hash(used))


def rated(
    graph: g.Graph,
    data: np.ndarray,
    source: Activations,
    method: str,
    timesteps: int,
    normalisation: str,
    correction: str = "none",
) -> Conversion:
    """Conversion to rates or bursts, in float32; source as `activations` gives it for data."""
    choice, most = NORMALISATIONS[normalisation], _MOST if method == "burst" else 1
    coding = RateCoding(thresholds(graph, data, source, choice, timesteps, most), most, choice.start)
    network = build(graph, coding).replace(precision="float32")
    if correction != "none":
        flat = data.reshape(len(data), -1)
        network = corrected(network, flat, source, timesteps, correction)
    return Conversion(graph, network, method, timesteps, 1.0, correction=correction)


def _graph(model: Any, calibration: np.ndarray) -> g.Graph:
    if isinstance(model, g.Graph):
        return model
    if isinstance(model, str | Path):
        from snnsim.converters.read_onnx import read_onnx

        return read_onnx(model)
    from snnsim.converters.read_torch import read_torch

    return read_torch(model, np.asarray(calibration[: min(len(calibration), 8)], dtype=np.float32))
