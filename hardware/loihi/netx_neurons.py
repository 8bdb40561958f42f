"""Neurons of NetX files as integer units, and back.

    CUBA, LOIHI   IntegerLIF of the rule "loihi2":  decay_u = iDecay,  decay_v = vDecay,
                  threshold = vThMant 2^6,  bias = bias 2^6.  Lava gets du = iDecay - 1 and adds 1 again.
    SDNN          SigmaDelta with threshold = vThMant 2^(spike_exp + 6), bias = bias 2^(spike_exp + 6); in the
                  input layer its delta half alone, with sigma_output its sigma half alone

A neuron of an input layer is driven through its bias: input goes straight to the potential.
refDelay, theta, wgtExp, tauRho, scaleRho are read by nobody, Lava's processes have no refractory period.
Source: lava-dl netx/hdf5.py; lava proc/lif/models.py and proc/sdn/models.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConversionError, TargetError
from snnsim.hardware.loihi.netx_file import Table
from snnsim.integer_neurons import RULES, IntegerLIF, SigmaDelta
from snnsim.layer_neurons import LayerNeuron
from snnsim.models import Neuron

ALIGN = 6  # bits between mantissas and state
STATE_EXP = 6  # of sigma-delta state, below a message
MOST_THRESHOLD = 2**17 - 1  # mantissa; beyond it v, which stays below 2^23, never reaches it
NEVER = 2**18 - 1  # what exporters write for neurons that never fire
MOST_BIAS = 2**24
_V_HIGH = RULES["loihi2"].v_high
NO_MEMORY = 4096  # a decay that leaves nothing


@dataclass(frozen=True)
class NetxOptions:
    """What Lava's reader takes beside the file.

    spike_exp       bits behind the point of sigma-delta messages
    reset_interval  layer l is reset to 0 before the steps t with (t - l - reset_offset) % reset_interval = 0;
                    without: never
    """

    spike_exp: int = 6
    reset_interval: int | None = None
    reset_offset: int = 0


def read_unit(table: Table, bias: np.ndarray | float, order: int, options: NetxOptions) -> LayerNeuron:
    """The unit of a layer.

    bias   mantissas, for each neuron or for all
    order  number of neuron layers before it
    """
    neuron = Table(table.file, f"{table.path}/neuron", table.datasets)
    kind = neuron.text("type")
    is_input = table.text("type") == "input"
    if kind in ("CUBA", "LOIHI"):
        return _read_lif(neuron, bias, order, options, is_input)
    if kind == "SDNN":
        return _read_sigma_delta(table, neuron, bias, options, is_input)
    raise ConversionError(
        "neurons that cannot be read", where=f"{table.file}:/{neuron.path}/type", got=kind,
        expected="CUBA, LOIHI or SDNN", fix="train the layer with cuba or sdnn blocks",
    )  # fmt: skip


def _read_lif(
    neuron: Table, bias: np.ndarray | float, order: int, options: NetxOptions, is_input: bool
) -> IntegerLIF:
    if neuron.integer("gradedSpike", 0, 1, 0):
        raise ConversionError(
            "graded spikes of LIF neurons", where=f"{neuron.file}:/{neuron.path}/gradedSpike", got=True,
            expected="False: Lava fires whole spikes", fix="export the network with graded_spike=False",
        )  # fmt: skip
    mantissa = neuron.integer("vThMant", 0, 2**24)
    decay_u = neuron.integer("iDecay", 0, NO_MEMORY)
    every = options.reset_interval
    return IntegerLIF(
        rule=RULES["loihi2"].replace(synapse="potential") if is_input else RULES["loihi2"],
        threshold=min(mantissa << ALIGN, _V_HIGH),
        decay_u=0 if is_input else decay_u,
        decay_v=neuron.integer("vDecay", 0, NO_MEMORY),
        bias=bias * float(1 << ALIGN),
        reset_every=every,
        reset_at=0 if every is None else (order + options.reset_offset) % every,
    )


def _read_sigma_delta(
    table: Table, neuron: Table, bias: np.ndarray | float, options: NetxOptions, is_input: bool
) -> SigmaDelta:
    activation = neuron.text("activation", "relu")
    if activation != "relu":
        raise ConversionError(
            "an activation that cannot be read", where=f"{neuron.file}:/{neuron.path}/activation",
            got=activation, expected="relu", fix="Lava applies relu to all sigma-delta layers",
        )  # fmt: skip
    exponent = options.spike_exp + STATE_EXP
    part = "delta" if is_input else "sigma" if neuron.has("sigma_output") else "sigma_delta"
    if part != "sigma_delta" and np.any(bias):
        raise table.fault("bias", f"a bias of a {part} layer", expected="none: Lava has none there")
    most = (2**31 - 1) >> exponent  # state has 32 bits
    if np.any(np.abs(bias) > most):
        raise table.fault("bias", "more than the state holds", float(np.abs(bias).max()), f"at most {most:,}")
    return SigmaDelta(
        part=part,
        threshold=0 if part == "sigma" else neuron.integer("vThMant", 0, most) << exponent,
        bias=bias * float(1 << exponent),
        input_shift=exponent if is_input else 0,
        output_shift=0 if part == "sigma" else STATE_EXP,
    )


def write_unit(
    unit: Neuron | LayerNeuron, where: str, spike_exp: int
) -> tuple[dict[str, object], np.ndarray]:
    """(fields of the group neuron, bias mantissas, for each neuron or for all).

    iDecay is None where input goes straight to the potential: any number will do.
    """
    if isinstance(unit, SigmaDelta):
        exponent = spike_exp + STATE_EXP
        fields: dict[str, object] = {"type": "SDNN", "activation": "relu"}
        if unit.part == "sigma":
            return fields | {"vThMant": 0, "sigma_output": True}, np.zeros(())
        wanted = {
            "activation": "relu", "output_shift": STATE_EXP, "keep_remainder": False,
            "input_shift": exponent if unit.part == "delta" else 0,
        }  # fmt: skip
        _require(unit, wanted, where)
        fields["vThMant"] = int(_mantissa(unit.threshold, exponent, f"{where}.threshold", shared=True))
        return fields, _mantissa(unit.bias, exponent, f"{where}.bias")
    if not isinstance(unit, IntegerLIF):
        raise TargetError(
            "a unit that NetX files do not have", where=where, got=unit.KIND,
            expected=f"{IntegerLIF.KIND} or {SigmaDelta.KIND}", fix="quantise the network for loihi2 first",
        )  # fmt: skip
    rule = RULES["loihi2"]
    if unit.rule not in (rule, rule.replace(synapse="potential")):
        raise TargetError(
            "neurons of another chip", where=f"{where}.rule", expected='RULES["loihi2"]',
            fix="quantise the network for loihi2",
        )  # fmt: skip
    _require(unit, {"refractory": 0, "v_init": 0, "u_init": 0}, where)
    never = np.all(np.asarray(unit.threshold) >= _V_HIGH)
    return {
        "type": "CUBA",
        "iDecay": _shared(unit.decay_u, f"{where}.decay_u") if unit.rule == rule else None,
        "vDecay": _shared(unit.decay_v, f"{where}.decay_v"),
        "vThMant": NEVER if never else int(_mantissa(unit.threshold, ALIGN, f"{where}.threshold", True)),
        "refDelay": 1,
        "gradedSpike": False,
    }, _mantissa(unit.bias, ALIGN, f"{where}.bias")


def _require(unit: LayerNeuron, wanted: dict[str, object], where: str) -> None:
    for name, value in wanted.items():
        found = getattr(unit, name)
        if np.any(np.asarray(found) != value):
            raise TargetError(
                "NetX files have no other value", where=f"{where}.{name}", got=found, expected=str(value)
            )


def _shared(values: object, where: str) -> int:
    found = np.unique(np.asarray(values, np.float64))
    if found.size != 1:
        raise TargetError(
            "neurons of a NetX layer share it", where=where, got=f"{found.size} values", expected="one",
            fix="give the layer one value, or split it",
        )  # fmt: skip
    return int(found[0])


def _mantissa(values: object, exponent: int, where: str, shared: bool = False) -> np.ndarray:
    found = np.asarray(_shared(values, where) if shared else values, np.float64) / 2.0**exponent
    if np.any(found != np.floor(found)):
        raise TargetError(
            "not on the grid of the chip", where=where, got=float(np.asarray(values, np.float64).ravel()[0]),
            expected=f"multiples of 2**{exponent}", fix="quantise the network for loihi2",
        )  # fmt: skip
    return found
