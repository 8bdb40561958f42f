"""Xylo: the specification of a network for SynSense's Xylo A2, as a file, and as an integer network.

A chip has inputs, one population of hidden neurons that may be connected to each other, and output neurons:

    input -> hidden     in the same step
    hidden -> hidden    one step later
    hidden -> output    one step later

Every neuron has one or two currents and a potential of 16 bits.  Within a step, in this order: each arriving
spike adds its weight, shifted by weight_shift, to a current, which stays at -2^15 or 2^15 - 1 where it would
leave them, one spike after the other in ascending order of sources, inputs first; then

    i <- i - d(i, dash_syn)                               d(x, k) = x >> k, or sign(x) where that is 0
    v <- sat(v + sat(sat(-d(v, dash_mem) + sum of i) + bias))
    while v >= threshold, and fewer than 31 spikes (1 of an output neuron):  a spike;  v <- v - threshold

A neuron's alias spikes as often as the neuron does, beside its own spikes, up to 31 in all.

The file is JSON with the arguments of `XyloSim.from_specification` of rockpool, by name: no key more.
Source: xylosim 0.1.3 (the simulator of the chip's makers), src/v2/cpp.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import write_text
from snnsim.errors import FileError
from snnsim.hardware.json_file import check_keys, read_object, whole_array
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Dense
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

MOST_INPUTS, MOST_HIDDEN, MOST_OUTPUTS = 16, 1000, 8
MOST_IN, MOST_SPIKES, MOST_OUT = 15, 31, 1
"""Spikes of one input, hidden neuron, output neuron in a step, at most; an input's further ones are lost."""
WEIGHT, DASH, THRESHOLD, BIAS, SHIFT = (-128, 127), (0, 15), (1, 2**15 - 1), (-(2**15), 2**15 - 1), (0, 7)
"""What one number of each kind can be."""
_NO_ALIAS = -1
DT_S = 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class XyloSpecification:
    """The numbers of a chip: int64 arrays, n_in inputs, n hidden and n_out output neurons.

    weights_in   [n_in, n, 2]  to the first and the second current;  weights_rec [n, n, 2]
    weights_out  [n, n_out]
    alias        [n]  a hidden neuron that spikes whenever this one does; -1: none
    All else is [n], or [n_out] where the name ends in _out.
    """

    weights_in: np.ndarray
    weights_rec: np.ndarray
    weights_out: np.ndarray
    dash_mem: np.ndarray
    dash_syn: np.ndarray
    dash_syn_2: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    dash_mem_out: np.ndarray
    dash_syn_out: np.ndarray
    threshold_out: np.ndarray
    bias_out: np.ndarray
    alias: np.ndarray
    weight_shift_in: int = 0
    weight_shift_rec: int = 0
    weight_shift_out: int = 0
    dt_s: float = DT_S

    @property
    def two_currents(self) -> bool:
        """Does anything add to the second current?"""
        return bool(self.weights_in[:, :, 1].any() or self.weights_rec[:, :, 1].any())

    def same_as(self, other: XyloSpecification) -> bool:
        """Are all numbers the same?"""
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))


# --- the file ----------------------------------------------------------------------------------------------

_HIDDEN = {"dash_mem": DASH, "dash_syn": DASH, "dash_syn_2": DASH, "threshold": THRESHOLD, "bias": BIAS}
_OUTPUT = {"dash_mem_out": DASH, "dash_syn_out": DASH, "threshold_out": THRESHOLD, "bias_out": BIAS}
_SHIFTS = ("weight_shift_in", "weight_shift_rec", "weight_shift_out")
_NEEDED = ("weights_in", "weights_out", "threshold", "threshold_out")
_KNOWN = (*_NEEDED, "weights_rec", *_HIDDEN, *_OUTPUT, *_SHIFTS, "aliases", "dt")


def write_xylo_specification(path: Path | str, spec: XyloSpecification) -> None:
    """Write the file, whole or not at all; matrices of two dimensions where no second current is used."""
    matrices = {"weights_in": spec.weights_in, "weights_rec": spec.weights_rec}
    if not spec.two_currents:
        matrices = {key: matrix[:, :, 0] for key, matrix in matrices.items()}
    matrices["weights_out"] = spec.weights_out
    content: dict[str, Any] = {key: matrix.tolist() for key, matrix in matrices.items()}
    content |= {key: getattr(spec, key).tolist() for key in (*_HIDDEN, *_OUTPUT)}
    content |= {key: int(getattr(spec, key)) for key in _SHIFTS}
    content["aliases"] = [[] if target == _NO_ALIAS else [target] for target in spec.alias.tolist()]
    content["dt"] = spec.dt_s
    write_text(path, _one_line_a_key(content))


def read_xylo_specification(path: Path | str) -> XyloSpecification:
    """Read such a file.  Raises FileError for what is none, or what no chip can hold."""
    found, name = read_object(path, "a specification of Xylo"), str(path)
    check_keys(found, _NEEDED, _KNOWN, name)
    w_in = _matrix(found["weights_in"], f"{name}, weights_in", None, None)
    w_rec = _matrix(found.get("weights_rec"), f"{name}, weights_rec", w_in.shape[1], w_in.shape[1])
    n = w_in.shape[1]
    w_out = whole_array(found["weights_out"], f"{name}, weights_out", *WEIGHT, (n, None))
    for have, most, what in (
        (w_in.shape[0], MOST_INPUTS, "inputs"), (n, MOST_HIDDEN, "hidden neurons"),
        (w_out.shape[1], MOST_OUTPUTS, "output neurons"),
    ):  # fmt: skip
        if not 1 <= have <= most:
            raise FileError(
                "Xylo A2 has not as many", where=name, got=f"{have} {what}", expected=f"1 to {most}"
            )
    numbers: dict[str, Any] = {}
    for table, size in ((_HIDDEN, n), (_OUTPUT, w_out.shape[1])):
        for key, (low, high) in table.items():
            numbers[key] = whole_array(found.get(key, [0] * size), f"{name}, {key}", low, high, (size,))
    for key in _SHIFTS:
        numbers[key] = int(whole_array([found.get(key, 0)], f"{name}, {key}", *SHIFT, (1,))[0])
    return XyloSpecification(
        weights_in=w_in, weights_rec=w_rec, weights_out=w_out, **numbers,
        alias=_aliases(found.get("aliases"), n, f"{name}, aliases"), dt_s=_step(found.get("dt", DT_S), name),
    )  # fmt: skip


def read_xylo(path: Path | str) -> Network:
    """The file as a network that computes what the chip does, bit by bit."""
    return xylo_network(read_xylo_specification(path))


def _matrix(value: Any, where: str, n_source: int | None, n_target: int | None) -> np.ndarray:
    """int64[n_source, n_target, 2]"""
    if value is None:
        return np.zeros((n_source or 0, n_target or 0, 2), np.int64)
    first = value
    for _ in range(2):
        first = first[0] if isinstance(first, list) and first else None
    if isinstance(first, list):
        return whole_array(value, where, *WEIGHT, (n_source, n_target, 2))
    flat = whole_array(value, where, *WEIGHT, (n_source, n_target))
    return np.stack([flat, np.zeros_like(flat)], axis=2)


def _aliases(value: Any, n: int, where: str) -> np.ndarray:
    alias = np.full(n, _NO_ALIAS)
    if value is None:
        return alias
    if not isinstance(value, list) or len(value) != n or not all(isinstance(one, list) for one in value):
        raise FileError("not a list of aliases for each hidden neuron", where=where, expected=f"{n} lists")
    for k, targets in enumerate(value):
        if len(targets) > 1:
            raise FileError("a neuron has one alias at most", where=f"{where}[{k}]", got=targets)
        if targets:
            alias[k] = whole_array(targets, f"{where}[{k}]", 0, n - 1, (1,))[0]
    return alias


def _step(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1e3:
        raise FileError("not a step", where=f"{name}, dt", got=value, expected="seconds above 0")
    return float(value)


def _one_line_a_key(content: dict[str, Any]) -> str:
    """JSON that people can look through: numpy-like rows would take a line for each number."""
    return (
        "{\n"
        + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
        + "\n}\n"
    )


# --- the network -------------------------------------------------------------------------------------------


def xylo_network(spec: XyloSpecification) -> Network:
    """Stimulus `input` (0 to 15 spikes each in a step), populations `hidden` and `output`; all probed.

    To be run with dt_ms = 1: a step of the network is one of the chip.
    """
    n_in, n = spec.weights_in.shape[:2]
    n_out, rule = spec.weights_out.shape[1], RULES["xylo"]
    hidden = IntegerLIF(
        rule=rule, threshold=_plain(spec.threshold), decay_v=_plain(spec.dash_mem), bias=_plain(spec.bias),
        decay_u=_plain(spec.dash_syn), decay_u2=_plain(spec.dash_syn_2) if spec.two_currents else None,
        alias=_plain(spec.alias) if np.any(spec.alias != _NO_ALIAS) else None,
    )  # fmt: skip
    output = IntegerLIF(
        rule=rule.replace(most=MOST_OUT), threshold=_plain(spec.threshold_out), bias=_plain(spec.bias_out),
        decay_u=_plain(spec.dash_syn_out), decay_v=_plain(spec.dash_mem_out),
    )  # fmt: skip
    projections = {}
    for name, source, matrix, shift, delay in (
        ("in", "input", spec.weights_in, spec.weight_shift_in, 0.0),
        ("rec", "hidden", spec.weights_rec, spec.weight_shift_rec, 1.0),
    ):
        for current, receptor in enumerate(("exc", "inh") if spec.two_currents else (None,)):
            if matrix[:, :, current].any():
                projections[f"{name}_2" if current else name] = Projection(
                    source=source, target="hidden", rule=Dense(weight=matrix[:, :, current].T),
                    weight_mv=float(2**shift), delay_ms=delay, receptor=receptor,
                )  # fmt: skip
    projections["out"] = Projection(
        source="hidden", target="output", rule=Dense(weight=spec.weights_out.T),
        weight_mv=float(2**spec.weight_shift_out), delay_ms=1.0,
    )  # fmt: skip
    return Network(
        populations={
            "hidden": Population(n=n, neuron=hidden),  # type: ignore[arg-type]
            "output": Population(n=n_out, neuron=output),  # type: ignore[arg-type]
        },
        projections=projections,
        stimuli={"input": Analogue(n=n_in)},
        probes={name: Probe(target=name) for name in ("input", "hidden", "output")},
    )


def _plain(values: np.ndarray) -> Any:
    """One number where all are the same."""
    same = values.size and np.all(values == values[0])
    return int(values[0]) if same else values.astype(float)
