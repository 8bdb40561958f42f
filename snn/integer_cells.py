"""Lowering of integer neurons: from a population to the numbers that kernels/integer.py works on."""

from __future__ import annotations

import numpy as np

from snnsim.errors import ConfigError
from snnsim.integer_neurons import IntegerLIF, IntegerNeuron, SigmaDelta
from snnsim.integer_rule import IntegerRule
from snnsim.kernels import integer as k
from snnsim.layer_neurons import Relay
from snnsim.layers import Conv, Dense, LayerRule
from snnsim.network import Network

MOST_INPUT = 2**24
"""The largest amount of an event that an integer network is given: sums stay below 2**53 then."""
_MOST_WEIGHT = 2**28
_CODES = {
    "fraction": k.FRACTION, "shift": k.SHIFT, "linear": k.LINEAR,
    "to_zero": k.TO_ZERO, "floor": k.FLOOR, "nearest_even": k.NEAREST_EVEN,
    "zero": k.ZERO, "subtract": k.SUBTRACT, "value": k.VALUE,
}  # fmt: skip
_VALUES = {
    k.THRESHOLD: "threshold", k.DECAY_U: "decay_u", k.DECAY_U2: "decay_u2", k.DECAY_V: "decay_v",
    k.BIAS: "bias", k.V_RESET: "v_reset", k.REFRACTORY: "refractory", k.LEAST: "floor",
}  # fmt: skip


def lower_integers(network: Network, names: list[str], place: dict[str, np.ndarray]) -> k.Integers | None:
    """What the kernel needs to know; None where no neuron is an integer one.

    names  populations in the order in which they advance; place  where unit k, counted by the user, is kept
    Raises ConfigError where sums could lose a bit.
    """
    units = {
        name: unit
        for name in names
        if name in network.populations and isinstance(unit := network.populations[name].unit, IntegerNeuron)
    }
    if not units:
        return None
    if network.precision != "float64":
        raise ConfigError(
            "whole numbers need float64, where their sums are exact", where="precision",
            got=network.precision, expected="float64",
        )  # fmt: skip
    for link, projection in network.projections.items():
        if projection.target in units or isinstance(network.populations[projection.target].unit, Relay):
            _check_weights(float(projection.weight), projection.rule, f"projections.{link}")  # type: ignore[arg-type]
    sizes = [place[name].size if name in units else 0 for name in names]
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    found = k.Integers(
        first=first,
        rule=np.zeros((len(names), k.N_RULE), np.int64),
        value=np.zeros((k.N_VALUES, sum(sizes)), np.int64),
        start=np.zeros((k.N_STATE, sum(sizes)), np.int64),
    )
    for p, name in enumerate(names):
        if name not in units:
            continue
        unit, at = units[name], first[p] + place[name]
        if isinstance(unit, SigmaDelta):
            found.rule[p] = _sigma_delta_row(unit)
            found.value[k.THRESHOLD, at], found.value[k.BIAS, at] = unit.threshold, unit.bias
            continue
        if not isinstance(unit, IntegerLIF):
            raise ConfigError("not an integer neuron", where=f"populations.{name}.neuron", got=unit.KIND)
        found.rule[p] = rule_row(unit.rule, unit.synapse.n_currents)
        if unit.reset_every is not None:
            found.rule[p, [k.RESET_EVERY, k.RESET_AT]] = unit.reset_every, unit.reset_at
        for row, key in _VALUES.items():
            value = getattr(unit, key)
            if key == "v_reset" and unit.rule.reset != "value":
                value = 0
            absent = unit.rule.v_low if key == "floor" else 0
            found.value[row, at] = absent if value is None else np.asarray(value)
        found.start[k.U : k.U2 + 1, at] = np.asarray(unit.u_init)
        if unit.alias is not None:
            found.rule[p, k.ALIASED] = 1
            found.value[k.ALIAS, at] = _aliases(np.asarray(unit.alias), place[name], f"populations.{name}")
    return found


def _aliases(alias: np.ndarray, place: np.ndarray, where: str) -> np.ndarray:
    if np.any(alias >= place.size):
        raise ConfigError(
            "no such neuron", where=f"{where}.neuron.alias", got=int(alias.max()),
            expected=f"-1, or below {place.size}",
        )  # fmt: skip
    if np.any(place != np.arange(place.size)):
        raise ConfigError("a map has no aliases", where=f"{where}.neuron.alias", fix="use dense layers")
    return alias.astype(np.int64)


def rule_row(rule: IntegerRule, n_currents: int = 1) -> np.ndarray:
    """int64[N_RULE]: a rule as kernels read it."""
    row = np.zeros(k.N_RULE, np.int64)
    row[[k.DECAY, k.ROUNDING, k.RESET]] = [_CODES[rule.decay], _CODES[rule.rounding], _CODES[rule.reset]]
    row[k.HAS_CURRENT], row[k.INPUT_FIRST] = rule.synapse == "current", rule.order == "input_first"
    row[k.INPUT_SHIFT], row[k.LIMITED_CHANGE], row[k.MOST] = rule.input_shift, rule.limited_change, rule.most
    row[k.INPUT_DROP] = rule.input_drop
    row[k.COMPARE_ABOVE], row[k.N_CURRENTS] = rule.compare == "above", n_currents
    row[k.EACH_SPIKE] = rule.each_spike
    for at, letter in ((k.A_LOW, "a"), (k.U_LOW, "u"), (k.V_LOW, "v")):
        row[at : at + 3] = [
            getattr(rule, f"{letter}_low"),
            getattr(rule, f"{letter}_high"),
            getattr(rule, f"{letter}_overflow") == "wrap",
        ]
    return row


def _sigma_delta_row(unit: SigmaDelta) -> np.ndarray:
    row = np.zeros(k.N_RULE, np.int64)
    row[k.PART] = {"sigma_delta": k.WHOLE, "delta": k.DELTA, "sigma": k.SIGMA}[unit.part]
    row[k.INPUT_SHIFT], row[k.OUTPUT_BITS], row[k.N_CURRENTS] = unit.input_shift, unit.output_shift, 1
    row[k.RELU], row[k.KEEPS] = unit.activation == "relu" and unit.part == "sigma_delta", unit.keep_remainder
    row[[k.U_LOW, k.V_LOW]], row[[k.U_HIGH, k.V_HIGH]] = -(2**31), 2**31 - 1
    return row


def _check_weights(scale: float, rule: object, where: str) -> None:
    weight = scale * (rule.weight if isinstance(rule, Dense | Conv) else np.ones((1, 1)))
    wrong = weight[weight != np.rint(weight)]
    if wrong.size:
        raise ConfigError(
            "an integer neuron needs whole weights", where=f"{where}.rule.weight", got=float(wrong.flat[0]),
            fix="quantise the network first", code="config.not_whole",
        )  # fmt: skip
    window = 1 if isinstance(rule, Dense | Conv) or not isinstance(rule, LayerRule) else rule.sizes()[0]
    largest = window * float(np.abs(weight).reshape(weight.shape[0], -1).sum(axis=1).max(initial=0.0))
    if largest > _MOST_WEIGHT:
        raise ConfigError(
            "sums of inputs could leave what float64 holds exactly", where=f"{where}.rule.weight",
            got=f"{largest:g} as the sum of absolute weights of a neuron",
            expected=f"at most 2**28 = {_MOST_WEIGHT}",
        )  # fmt: skip
