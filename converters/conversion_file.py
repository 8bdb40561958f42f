"""A converted network in a file, with all that its certificate can be checked with again.

The file is that of snn/networkfile.py; its facts are

    method, timesteps, levels, correction, input_scale, input_shape
    quantisation  input_bits, and thresholds where they were given with the model: a list for each activation
    certificate   what was compared, see certificate.py; null where nothing was
    calibration   SHA-256 of the calibration data
    inputs        those of the certificate, integers [n_samples, n] in units of input_scale
    choice        what `auto` tried
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.converters.certificate import Certificate, LayerCheck, Mismatch
from snnsim.converters.exact import Quantisation
from snnsim.errors import FileError
from snnsim.network import Network
from snnsim.networkfile import read_network, write_network

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion

MAX_STEPS = 2**20


@dataclass(frozen=True)
class ConversionFile:
    """What a file holds. inputs float64[n_samples, n] in whole units, or None where they are not kept."""

    network: Network
    certificate: Certificate
    input_scale: float
    input_shape: tuple[int, ...]
    levels: int
    correction: str
    quantisation: Quantisation
    calibration: str
    inputs: np.ndarray | None


def facts_of(conversion: Conversion) -> dict[str, Any]:
    """What a file says about a conversion, without the inputs."""
    given, units = conversion.quantisation, [p.unit for p in conversion.network.populations.values()]
    return {
        "method": conversion.method,
        "timesteps": conversion.timesteps,
        "levels": max((getattr(unit, "levels", 0) for unit in units), default=0),
        "correction": conversion.correction,
        "quantisation": {
            "input_bits": given.input_bits,
            "thresholds": given.thresholds and [np.atleast_1d(one).tolist() for one in given.thresholds],
        },
        "input_scale": conversion.input_scale,
        "input_shape": list(conversion.graph.input.shape),
        "certificate": conversion.certificate.as_dict() if conversion.certificate else None,
        "calibration": conversion.calibration,
        "choice": conversion.choice.as_dict() if conversion.choice else None,
    }


def write_conversion(path: Path | str, conversion: Conversion) -> None:
    """Write the network, the certificate and the inputs it is about.  Raises StorageError."""
    inputs = {} if conversion.checked is None else {"inputs": conversion.checked}
    write_network(path, conversion.network, facts_of(conversion) | inputs)


def read_conversion(path: Path | str) -> ConversionFile:
    """A converted network with its certificate.

    Raises FileError: no file of a network, damaged, without a certificate, or with one that cannot be.
    """
    network, facts = read_network(path)
    if facts.get("certificate") is None:
        raise FileError(
            "a network without a certificate", where=str(path), got=facts.get("method"),
            expected="what `snnsim convert --method exact` wrote", code="file.no_certificate",
            fix="rates and bursts are approximations: look at their report instead",
        )  # fmt: skip
    reader = _Reader(str(path))
    shape = reader.of(facts, "input_shape", list)
    if not shape or not all(type(size) is int and 0 < size < 2**31 for size in shape):
        raise reader.fault("input_shape", shape)
    scale = reader.of(facts, "input_scale", float)
    if not (np.isfinite(scale) and scale > 0):
        raise reader.fault("input_scale", scale)
    inputs = facts.get("inputs")
    if inputs is not None:
        whole = isinstance(inputs, np.ndarray) and inputs.dtype.kind in "iu" and inputs.ndim == 2
        if not whole or not len(inputs) or inputs.shape[1] != prod(shape):
            raise reader.fault("inputs", getattr(inputs, "shape", inputs))
        inputs = inputs.astype(np.float64)
    levels = reader.of(facts, "levels", int)
    if not 1 <= levels <= MAX_STEPS:
        raise reader.fault("levels", levels)
    certificate = reader.certificate(reader.of(facts, "certificate", dict))
    stimuli = {name: getattr(one, "n", 0) for name, one in network.stimuli.items()}
    if stimuli != {"input": prod(shape)} or "readout" not in network.populations:
        raise FileError("not the network of a conversion", where=str(path), got=stimuli)
    given = reader.quantisation(reader.of(facts, "quantisation", dict))
    return ConversionFile(
        network, certificate, scale, tuple(shape), levels, reader.of(facts, "correction", str), given,
        reader.of(facts, "calibration", str), inputs,
    )  # fmt: skip


_TYPES: dict[str, type] = {"int": int, "float": float, "str": str}
_HASHES = ("reference", "readout_reference", "model", "data", "network")


@dataclass(frozen=True)
class _Reader:
    """Takes facts of a stranger's file apart."""

    path: str

    def fault(self, where: str, got: object) -> FileError:
        return FileError(
            "a certificate that cannot be", where=f"{self.path}: {where}", got=got,
            expected="what `snnsim convert` wrote", code="file.bad_certificate", fix="convert again",
        )  # fmt: skip

    def of(self, values: Mapping[str, Any], key: str, kind: type[Any], where: str = "") -> Any:
        value: Any = values.get(key)
        place = f"{where}.{key}" if where else key
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fault(place, value)
        if key in _HASHES and not re.fullmatch("[0-9a-f]{64}", value):
            raise self.fault(place, value)
        if kind is int and not 0 <= value < 2**53:
            raise self.fault(place, value)
        return value

    def quantisation(self, values: Mapping[str, Any]) -> Quantisation:
        bits, given = self.of(values, "input_bits", int, "quantisation"), values.get("thresholds")
        if given is None:
            return Quantisation(None, bits)
        numbers = isinstance(given, list) and all(
            isinstance(one, list) and one and all(isinstance(x, float) for x in one) for one in given
        )
        if not numbers:
            raise self.fault("quantisation.thresholds", given)
        return Quantisation(tuple(np.array(one) if len(one) > 1 else one[0] for one in given), bits)

    def record(self, cls: type, values: Any, where: str, skip: tuple[str, ...] = ()) -> dict[str, Any]:
        """The fields of a dataclass of numbers and texts."""
        if not isinstance(values, dict):
            raise self.fault(where, values)
        return {
            f.name: self.of(values, f.name, _TYPES[str(f.type)], where)
            for f in fields(cls)
            if f.name not in skip
        }

    def certificate(self, values: dict[str, Any]) -> Certificate:
        found = self.record(Certificate, values, "certificate", ("layers",))
        if not 1 <= found["n_steps"] <= MAX_STEPS:
            raise self.fault("certificate.n_steps", found["n_steps"])
        layers = self.of(values, "layers", list, "certificate")
        return Certificate(
            tuple(self.layer(one, f"certificate.layers[{k}]") for k, one in enumerate(layers)), **found
        )

    def layer(self, values: Any, where: str) -> LayerCheck:
        found, first = self.record(LayerCheck, values, where, ("first",)), values.get("first")
        if first is not None:
            first = Mismatch(**self.record(Mismatch, first, f"{where}.first"))
        return LayerCheck(**found, first=first)
