"""Energy of one inference from operation counts and published constants: an estimate, never a measurement.

For each precision (fp32, int8) and each scope (compute only; compute and memory) the spiking network stands
beside four baselines: the dense network, the zero-skipping one, and, at int8, the quantised twin whose
activations have as many bits as a spike count, ceil(log2(T + 1)) (Yan et al., arXiv 2409.08290), dense and
zero-skipping.  Only estimates of
the same precision and scope are ever compared, and each comparison gives its break-even spike rate: no single
number stands for a conversion.

    break-even = spikes (energy of the baseline - what silent neurons need) / what grows with the spikes

With 12 units a synapse for the baseline and 7 a spike this is 12 / 7, the 1.7 of Davidson & Furber (2021).

    compute   sum over operations of  count x energy of the operation
    memory    sum over accesses of  energy of a 64-bit access to a memory of that size x width / 64

Currents, potentials and accumulators have 32 bits at either precision.  Left out: control, clock, leakage,
networks on chip, off-chip memory, the index of zero-skipping.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnsim.converters.operations import Operations
from snnsim.errors import ConfigError


@dataclass(frozen=True)
class Constant:
    """A published figure; `mark` says how far it was checked."""

    name: str
    value: float
    unit: str
    source: str
    mark: str
    remark: str = ""


_HOROWITZ = "Horowitz 2014, ISSCC: 45 nm, 0.9 V"
_LOIHI = "Davies et al. 2018, IEEE Micro 38(1), table 2: Loihi 1, 0.75 V, simulated before silicon"
_TABLE_45NM = "from secondary source: table 3 of PMC8934428, which cites Horowitz"
_QUOTED_45NM = "from secondary source: public transcriptions of Horowitz's table, which agree"
_QUOTED_LOIHI = "from secondary source: two public transcriptions of table 2, which agree"
FP32_ADD = Constant("fp32 add (AC)", 0.9, "pJ", _HOROWITZ, _TABLE_45NM)
FP32_MULTIPLY = Constant("fp32 multiply", 3.7, "pJ", _HOROWITZ, _TABLE_45NM, "MAC: 4.6 pJ")
INT32_ADD = Constant("int32 add (AC at int8)", 0.1, "pJ", _HOROWITZ, _TABLE_45NM, "accumulators have 32 bits")
INT8_MULTIPLY = Constant("int8 multiply", 0.2, "pJ", _HOROWITZ, _QUOTED_45NM, "MAC: 0.3 pJ")
SRAM_8K = Constant("SRAM access, 64 bit, 8 kB", 10.0, "pJ", _HOROWITZ, _TABLE_45NM, "smaller: the same")
SRAM_32K = Constant(
    "SRAM access, 64 bit, 32 kB", 20.0, "pJ", _HOROWITZ, _QUOTED_45NM, "linear between"
)
SRAM_1M = Constant("SRAM access, 64 bit, 1 MB", 100.0, "pJ", _HOROWITZ, _QUOTED_45NM, "larger: the same line")
LOIHI_SYNAPSE = Constant("Loihi synaptic operation", 23.6, "pJ", _LOIHI, _QUOTED_LOIHI, "a minimum")
LOIHI_ACTIVE = Constant(
    "Loihi update, active", 81.0, "pJ", _LOIHI, _QUOTED_LOIHI, "taken for neurons that emit: a lower bound"
)
LOIHI_INACTIVE = Constant("Loihi update, inactive", 52.0, "pJ", _LOIHI, _QUOTED_LOIHI, "all other neurons")
LOIHI_SPIKE = Constant("Loihi spike within a tile", 1.7, "pJ", _LOIHI, _QUOTED_LOIHI, "none between tiles")
CONSTANTS = (
    FP32_ADD, FP32_MULTIPLY, INT32_ADD, INT8_MULTIPLY, SRAM_8K, SRAM_32K, SRAM_1M,
    LOIHI_SYNAPSE, LOIHI_ACTIVE, LOIHI_INACTIVE, LOIHI_SPIKE,
)  # fmt: skip
PRECISIONS = ("fp32", "int8")
SCOPES = ("compute", "compute + memory")
_STATE_BITS = 32  # of currents, potentials and accumulators, at either precision


@dataclass(frozen=True)
class Estimate:
    """Energy of one system for one inference.

    spiking_pj  the part that grows with the spikes; the rest stays when all neurons are silent
    """

    system: str
    precision: str
    scope: str
    pj: float
    spiking_pj: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """The spiking network beside one baseline of the same precision and scope.

    ratio                         energy of the spiking network / energy of the baseline; None where that is 0
    break_even_spikes_per_neuron  spikes of a neuron in an inference at which both need the same, other things
                                  equal; None where the baseline needs less even without any spike
    """

    spiking: str
    baseline: str
    precision: str
    scope: str
    ratio: float | None
    spikes_per_neuron: float
    break_even_spikes_per_neuron: float | None
    break_even_rate_per_step: float | None


@dataclass(frozen=True)
class EnergyTable:
    """All estimates, all comparisons, and the constants they are made of; chip figures stand alone."""

    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    loihi_pj: float
    timesteps: int
    twin_bits: int
    constants: tuple[Constant, ...] = CONSTANTS

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sram_pj(n_bytes: float, bits: int) -> float:
    """pJ of reading or writing a word of `bits` in a memory of `n_bytes`: 64-bit accesses, in proportion."""
    if n_bytes <= 8192:
        return SRAM_8K.value * bits / 64
    sizes, energies = [8192.0, 32768.0, 1048576.0], [SRAM_8K.value, SRAM_32K.value, SRAM_1M.value]
    slope = (energies[2] - energies[1]) / (sizes[2] - sizes[1])
    beyond = max(n_bytes - sizes[2], 0.0) * slope
    return float(np.interp(n_bytes, sizes, energies) + beyond) * bits / 64


def compare(spiking: Estimate, baseline: Estimate, operations: Operations) -> Comparison:
    """Raises ConfigError for estimates of different precision or scope: their ratio would mean nothing."""
    if (spiking.precision, spiking.scope) != (baseline.precision, baseline.scope):
        raise ConfigError(
            "energies of different precision or scope are not compared",
            where=f"{spiking.system} / {baseline.system}",
            got=f"{baseline.precision}, {baseline.scope}",
            expected=f"{spiking.precision}, {spiking.scope}",
            code="energy.mixed",
        )
    own, silent = operations.spikes_per_neuron, spiking.pj - spiking.spiking_pj
    even = None
    if spiking.spiking_pj > 0 and baseline.pj > silent:
        even = own * (baseline.pj - silent) / spiking.spiking_pj
    ratio = spiking.pj / baseline.pj if baseline.pj > 0 else None
    return Comparison(
        spiking.system, baseline.system, spiking.precision, spiking.scope, ratio,
        own, even, None if even is None else even / operations.n_steps,
    )  # fmt: skip


def energy_table(operations: Operations) -> EnergyTable:
    """Every system at every precision and scope, for one inference."""
    estimates, comparisons = [], []
    for precision in PRECISIONS:
        for scope in SCOPES:
            spiking = _spiking(operations, precision, scope)
            baselines = _baselines(operations, precision, scope)
            estimates += [*spiking, *baselines]
            comparisons += [compare(s, b, operations) for s in spiking for b in baselines]
    return EnergyTable(
        tuple(estimates), tuple(comparisons), _loihi(operations), operations.timesteps, operations.count_bits
    )


def _operation_pj(precision: str, bits: int = 8) -> tuple[float, float]:
    """(AC, MAC) in pJ; a product of 8 x `bits` bits needs that share of the 8 x 8 one (array multiplier)."""
    if precision == "fp32":
        return FP32_ADD.value, FP32_ADD.value + FP32_MULTIPLY.value
    return INT32_ADD.value, INT32_ADD.value + INT8_MULTIPLY.value * bits / 8


def _spiking(o: Operations, precision: str, scope: str) -> list[Estimate]:
    add, mac = _operation_pj(precision)
    spiking = (o.synaptic_acs + o.pooling_acs + o.resets) * add + (o.synaptic_macs + o.pooling_macs) * mac
    fixed = (o.integrations + o.bias_additions + o.comparisons) * add
    kept = fixed + o.input_acs_once * add + o.input_macs_once * mac + o.input_repeats * add
    again = fixed + o.input_acs_per_step * add + o.input_macs_per_step * mac
    if scope == SCOPES[1]:
        weight_bits = 32 if precision == "fp32" else 8
        weight = sram_pj(o.n_weights * weight_bits / 8, weight_bits)
        state = sram_pj(o.n_neurons * _STATE_BITS / 8, _STATE_BITS)
        addition = weight + 2 * state  # the weight, and the current read and written
        inner = o.synaptic_acs + o.synaptic_macs + o.pooling_acs + o.pooling_macs
        spiking += inner * addition + 2 * o.events * state  # an event is written and read
        update = 5 * o.integrations * state
        kept += update + (o.input_acs_once + o.input_macs_once) * addition + o.input_repeats * 3 * state
        again += update + (o.input_acs_per_step + o.input_macs_per_step) * addition
    if o.input_acs_once + o.input_macs_once == o.input_acs_per_step + o.input_macs_per_step:
        return [Estimate("SNN", precision, scope, kept + spiking, spiking)]
    return [
        Estimate("SNN, input once", precision, scope, kept + spiking, spiking),
        Estimate("SNN, input each step", precision, scope, again + spiking, spiking),
    ]


def _baselines(o: Operations, precision: str, scope: str) -> list[Estimate]:
    bits = 32 if precision == "fp32" else 8
    found = [
        _ann(o, f"{precision} ANN", o.dense_macs, precision, scope, bits),
        _ann(o, f"zero-skipping {precision} ANN", o.effective_macs, precision, scope, bits),
    ]
    if precision == "int8":
        name = f"quantised twin, {o.count_bits}-bit activations"
        found += [
            _ann(o, name, o.dense_macs, precision, scope, o.count_bits),
            _ann(o, f"zero-skipping {name}", o.effective_macs, precision, scope, o.count_bits),
        ]
    return found


def _ann(o: Operations, system: str, macs: float, precision: str, scope: str, bits: int) -> Estimate:
    add, mac = _operation_pj(precision, bits)
    pj = macs * mac + (o.source_biases + o.source_others) * add
    if scope == SCOPES[1]:
        weight_bits = 32 if precision == "fp32" else 8
        weights = o.n_weights * weight_bits / 8
        values = o.source_biases * bits / 8  # outputs of all layers
        # The sum stays in a register: a weight and an activation are read, an output is written.
        pj += macs * (sram_pj(weights, weight_bits) + sram_pj(values, bits))
        pj += (o.source_biases + o.source_others) * sram_pj(values, bits)
    return Estimate(system, precision, scope, pj)


def _loihi(o: Operations) -> float:
    """pJ of one inference on Loihi 1, dynamic energy only; graded events as if they were one spike each."""
    synaptic = o.synaptic_acs + o.synaptic_macs + o.pooling_acs + o.pooling_macs
    synaptic += o.input_acs_per_step + o.input_macs_per_step
    active = min(o.events, o.integrations)
    return (
        synaptic * LOIHI_SYNAPSE.value
        + active * LOIHI_ACTIVE.value
        + (o.integrations - active) * LOIHI_INACTIVE.value
        + (o.events + o.input_events) * LOIHI_SPIKE.value
    )
