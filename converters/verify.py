"""Checking a certificate again, from the file, and from the data and the model where they are at hand.

    network    the network of the file is the one that the certificate names                     (file)
    inputs     so are the inputs of the file                                                      (file)
    counts     every spike count of every input, simulated again, is the integer of the quantised
               network, computed again in matrices (converters/dense.py)                          (file)
    reference  these integers are those of the conversion, by their SHA-256                       (file)
    statement  what the certificate says is what was found                                        (file)
    data       the inputs are those of the data file                                              (data)
    model      the model is the one that was converted                                            (model)
    weights    every weight is the model's, in units of the thresholds of the file; biases moved by half a
               threshold at most                                                                  (model)
    rebuilt    thresholds and biases too are what the same conversion gives now          (model and data)

The file alone shows that network, inputs and certificate belong together.  Somebody who changes a weight and
then writes a whole new certificate is found with the model only: `weights` and `rebuilt` take nothing from
the file but thresholds, or not even those.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters.build import build
from snnsim.converters.calibrate import check_calibration
from snnsim.converters.certificate import Certificate, LayerCheck, Progress, compare, data_hash, graph_hash
from snnsim.converters.conversion_file import ConversionFile, read_conversion
from snnsim.converters.difference import TOLERANCE, Difference, differences
from snnsim.converters.exact import ExactCoding, amounts, on_grid, quantised
from snnsim.converters.fold import fold_batchnorm
from snnsim.errors import ConversionError, FileError
from snnsim.identity import fingerprint
from snnsim.layer_neurons import SignedIF
from snnsim.network import Network

_INPUT_MOST = 2.0**16
_SHOWN = 5  # differences of a check that are named


@dataclass(frozen=True)
class Check:
    """One comparison. holds None: it was not made, and `needs` says what for. problems: each says where."""

    name: str
    about: str
    holds: bool | None
    problems: tuple[str, ...] = ()
    needs: str = ""


@dataclass(frozen=True)
class Verification:
    """All checks, and the counts as they were found now."""

    checks: tuple[Check, ...]
    certificate: Certificate

    @property
    def holds(self) -> bool:
        """Nothing that was checked differs."""
        return all(check.holds is not False for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"holds": self.holds, "checks": [asdict(c) for c in self.checks],
                "found": self.certificate.as_dict()}  # fmt: skip


def verify(
    path: Path | str,
    *,
    graph: g.Graph | None = None,
    data: np.ndarray | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check the certificate of a file that `snnsim convert --method exact` wrote.

    graph  the model that was converted, read again
    data   [n_samples, ...]  the inputs of the certificate, or more that begin with them
    Raises FileError for a file that is damaged, has no certificate, or neither holds inputs nor comes with
    data; ConfigError for data that do not fit.  Differences are in the result.
    """
    file = read_conversion(path)
    stated = file.certificate
    x = None if data is None else _fitting(file, graph, data)[: stated.n_samples]
    given = None if x is None else amounts(x, file.input_scale)
    inputs = file.inputs if file.inputs is not None else given
    if inputs is None:
        raise FileError(
            "the file does not hold the inputs of its certificate", where=str(path),
            fix="give them: --calibrate DATA", code="file.no_inputs",
        )  # fmt: skip
    network = file.network
    paths = {layer.name: layer.path for layer in stated.layers}
    found = compare(network, inputs, stated.n_steps, paths, stated.model, threads, progress)
    checks = [
        _same("network", "the network is the one certified", fingerprint(network, {}), stated.network),
        _same("inputs", "the inputs are those certified", data_hash(inputs), stated.data),
        _check("counts", "spike counts are the integers of the quantised network", _counts(found)),
        _check("reference", "these integers are those of the conversion", _reference(found, stated)),
        _check("statement", "the certificate says what was found", _statement(found, stated)),
        _data(given, inputs),
        *_model(file, graph, x),
    ]
    return Verification(tuple(checks), found)


def _fitting(file: ConversionFile, graph: g.Graph | None, data: np.ndarray) -> np.ndarray:
    shaped = graph or g.Graph((g.Input("input", "input", (), file.input_shape),))
    return check_calibration(shaped, data)


def _check(name: str, about: str, problems: list[str]) -> Check:
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return Check(name, about, not problems, (*problems[:_SHOWN], *more))


def _same(name: str, about: str, found: str, stated: str) -> Check:
    said = [f"SHA-256 {found[:16]}..., the certificate says {stated[:16]}..."] if found != stated else []
    return _check(name, about, said)


def _counts(found: Certificate) -> list[str]:
    problems = []
    for layer in found.layers:
        if layer.first is not None:
            at = layer.first
            problems.append(
                f"layer {layer.path}, neuron {at.neuron}, sample {at.sample}: {at.simulated} spikes, the "
                f"quantised network has {at.reference} ({layer.n_mismatches:,} of {layer.n_checked:,} differ)"
            )
    if found.readout_deviation != 0.0:
        problems.append(f"outputs deviate by up to {found.readout_deviation:g}")
    return problems


def _reference(found: Certificate, stated: Certificate) -> list[str]:
    said = {layer.name: layer.reference for layer in stated.layers}
    problems = [
        f"layer {layer.path}: the integers of the network are not those of the conversion"
        for layer in found.layers
        if said.get(layer.name) not in (layer.reference, None)
    ]
    if found.readout_reference != stated.readout_reference:
        problems.append("the outputs of the network are not those of the conversion")
    return problems


def _statement(found: Certificate, stated: Certificate) -> list[str]:
    """Numbers that the certificate names; hashes have checks of their own."""
    problems = []
    if found.n_samples != stated.n_samples:
        problems.append(f"{found.n_samples} inputs, the certificate says {stated.n_samples}")
    if found.readout_deviation != stated.readout_deviation:
        deviation = f"{found.readout_deviation:g}, the certificate says {stated.readout_deviation:g}"
        problems.append(f"largest deviation of an output {deviation}")
    if [layer.name for layer in found.layers] != [layer.name for layer in stated.layers]:
        names = [", ".join(layer.name for layer in one.layers) for one in (found, stated)]
        return [*problems, f"layers {names[0]}, the certificate says {names[1]}"]
    for now, then in zip(found.layers, stated.layers, strict=True):
        a, b = _numbers(now), _numbers(then)
        problems += [
            f"layer {now.path}: {key} is {a[key]}, the certificate says {b[key]}"
            for key in a
            if a[key] != b[key]
        ]
    return problems


def _numbers(layer: LayerCheck) -> dict[str, object]:
    return {key: value for key, value in asdict(layer).items() if key not in ("reference", "path")}


def _data(given: np.ndarray | None, inputs: np.ndarray) -> Check:
    about = "the inputs are those of the data"
    if given is None:
        return Check("data", about, None, needs="--calibrate DATA")
    if given.shape != inputs.shape:
        got = f"{len(given)} inputs, the certificate is about {len(inputs)}"
        return _check("data", about, [got])
    off = np.argwhere(given != inputs)
    if not len(off):
        return _check("data", about, [])
    sample, place = (int(k) for k in off[0])
    n = len(np.unique(off[:, 0]))
    got = f"{given[sample, place]:g} units instead of {inputs[sample, place]:g}"
    return _check(
        "data", about, [f"sample {sample}, value {place}: {got} ({n:,} of {len(inputs):,} samples differ)"]
    )


def _model(file: ConversionFile, graph: g.Graph | None, x: np.ndarray | None) -> list[Check]:
    abouts = {
        "model": "the model is the one converted",
        "weights": "every weight is the model's",
        "rebuilt": "the same conversion gives this network",
    }
    if graph is None:
        also = {"rebuilt": " and --calibrate DATA"}
        return [Check(n, text, None, needs=f"--model MODEL{also.get(n, '')}") for n, text in abouts.items()]
    graph = fold_batchnorm(graph)
    found = [
        _same("model", abouts["model"], graph_hash(graph), file.certificate.model),
        _check("weights", abouts["weights"], _said(against_model(file, graph))),
    ]
    if x is None:
        return [*found, Check("rebuilt", abouts["rebuilt"], None, needs="--calibrate DATA")]
    if data_hash(amounts(x, file.input_scale)) != file.calibration:
        needs = "the calibration data as they were"
        return [*found, Check("rebuilt", abouts["rebuilt"], None, needs=needs)]
    wanted, scale = quantised(graph, x, file.levels, file.quantisation, centre=file.correction == "bias")
    problems = _said(differences(file.network, wanted))
    if scale != file.input_scale:
        problems.insert(0, f"input_scale: {file.input_scale:g}, the model and the data give {scale:g}")
    return [*found, _check("rebuilt", abouts["rebuilt"], problems)]


def _said(found: list[Difference]) -> list[str]:
    return [f"{d.where} is {_short(d.got)} instead of {_short(d.expected)}" for d in found]


def _short(value: object) -> str:
    text = f"{value:.12g}" if isinstance(value, float) else "nothing" if value is None else str(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def against_model(file: ConversionFile, graph: g.Graph) -> list[Difference]:
    """Where the network is not the model with the thresholds of the network.

    Biases may have moved, by half a threshold at most and all of a channel alike, as `centred` moves them;
    those of outputs freely.
    """
    thresholds: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if isinstance(node, g.ReLU):
            population = file.network.populations.get(node.name)
            n = int(np.prod(node.shape))
            if population is None or population.n != n or not isinstance(population.unit, SignedIF):
                got = None if population is None else f"{population.n} {population.unit.KIND}"
                return [Difference(f"populations.{node.name}", got, f"{n} signed_if, for {node.path}")]
            theta = np.broadcast_to(np.asarray(population.unit.v_th_mv, dtype=np.float64), n)
            by_channel = theta.reshape(node.shape[0], -1)
            thresholds[node.name] = by_channel[:, 0].copy()
    try:
        base = build(graph, ExactCoding(thresholds, file.levels, file.input_scale))
    except ConversionError as error:
        return [Difference(error.where or "network", "a network of", f"no network ({error.problem})")]
    return differences(file.network, _with_biases(on_grid(base, _INPUT_MOST), file.network, graph))


def _with_biases(base: Network, found: Network, graph: g.Graph) -> Network:
    """`base` with those biases of `found` that a correction can have given."""
    populations = dict(base.populations)
    for name, population in base.populations.items():
        other = found.populations.get(name)
        bias = getattr(population.unit, "bias_mv", None)
        if other is None or other.n != population.n or bias is None:
            continue
        given = np.broadcast_to(np.asarray(getattr(other.unit, "bias_mv", np.nan), np.float64), other.n)
        moved = given - np.broadcast_to(np.asarray(bias, np.float64), population.n)
        if isinstance(population.unit, SignedIF):
            channels = moved.reshape(graph[name].shape[0], -1)
            theta = np.broadcast_to(np.asarray(population.unit.v_th_mv, np.float64), population.n)
            slack = TOLERANCE * max(float(theta.max()), float(np.abs(given).max()))
            alike = np.ptp(channels, axis=1).max() <= slack
            if not (alike and np.all(np.abs(moved) <= theta / 2 + slack)):
                continue
        populations[name] = population.replace(neuron=population.unit.replace(bias_mv=given))
    return base.replace(populations=populations)
