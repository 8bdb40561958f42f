"""Populations and inputs as PyNN's cells: what can be said in PyNN, and what cannot."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snnsim.errors import TargetError
from snnsim.integer_neurons import IntegerLIF
from snnsim.models import LIF, Conductance, Delta, Exponential
from snnsim.population import Population
from snnsim.streams import realise

NO_LEAK_MS = 1e6  # time constant of a potential that keeps everything: 1e-6 of it is lost in a step


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell type of PyNN with its parameters and the start of its potential in mV, float64[n] each.

    scale  float64[n], from our weights to those of PyNN: nA, mV or uS
    """

    kind: str
    parameters: dict[str, np.ndarray]
    v_init: np.ndarray
    scale: np.ndarray
    notes: list[str] = field(default_factory=list)


def cell_of(population: Population, name: str, seed: int) -> Cell:
    """Raises TargetError for neurons that PyNN's standard cells do not have."""
    unit, where = population.unit, f"populations.{name}.neuron"
    if isinstance(unit, IntegerLIF):
        return _integer(unit, population.n, where)
    if not isinstance(unit, LIF):
        raise TargetError(
            "PyNN has no such standard cell",
            where=where, got=unit.KIND, expected=f"{LIF.KIND}, {IntegerLIF.KIND}",
            fix="a LIF with a long tau_m_ms leaks hardly" if unit.KIND == "if" else "",
        )  # fmt: skip
    if unit.reset == "subtract":
        raise TargetError(
            "PyNN's cells go back to one potential after a spike", where=f"{where}.reset", got=unit.reset,
            expected="value or zero",
        )  # fmt: skip
    if unit.threshold is not None:
        raise TargetError("PyNN's cells have a threshold that stands still", where=f"{where}.threshold")
    return _lif(unit, population.n, where, seed)


def _lif(unit: LIF, n: int, where: str, seed: int) -> Cell:
    def get(key: str, scale: float = 1.0) -> np.ndarray:
        """Drawn values are those that the simulator draws."""
        head, _, tail = key.rpartition(".")
        holder = getattr(unit, head) if head else unit
        return realise(getattr(holder, tail), n, seed, f"{where}.{key}") * scale

    parameters = {
        "tau_m": get("tau_m_ms"), "cm": get("c_m_pf", 1e-3), "v_rest": get("v_rest_mv"),
        "v_thresh": get("v_th_mv"), "v_reset": np.zeros(n) if unit.v_reset_mv is None else get("v_reset_mv"),
        "tau_refrac": get("t_ref_ms"), "i_offset": get("i_bias_pa", 1e-3),
    }  # fmt: skip
    start = parameters["v_rest"] if unit.v_init_mv is None else get("v_init_mv")
    synapse = unit.synapse
    if isinstance(synapse, Delta):
        return _jumping(parameters, start)
    parameters["tau_syn_E"] = get("synapse.tau_exc_ms")
    shared = isinstance(synapse, Exponential) and synapse.tau_inh_ms is None
    parameters["tau_syn_I"] = parameters["tau_syn_E"] if shared else get("synapse.tau_inh_ms")
    if isinstance(synapse, Conductance):
        if np.any(get("synapse.g_exc_init_ns")) or np.any(get("synapse.g_inh_init_ns")):
            raise TargetError("conductances begin with 0 here", where=f"{where}.synapse.g_exc_init_ns")
        parameters |= {"e_rev_E": get("synapse.e_exc_mv"), "e_rev_I": get("synapse.e_inh_mv")}
        return Cell("IF_cond_exp", parameters, start, np.full(n, 1e-3))
    return Cell("IF_curr_exp", parameters, start, np.full(n, 1e-3))


def _jumping(parameters: dict[str, np.ndarray], start: np.ndarray) -> Cell:
    """A cell whose potential jumps: here before it leaks in the step of arrival, in PyNN after.

    SpiNNaker takes the weight as a current of one step, and so a jump as weight tau / cm (1 - exp(-1 / tau)):
    with this capacity, and a constant current to match, it is the weight there as well.
    """
    tau, cm = parameters["tau_m"], parameters["cm"]
    unit = unit_capacity(tau)
    return Cell(
        "IF_curr_delta", parameters | {"cm": unit, "i_offset": parameters["i_offset"] * unit / cm}, start,
        np.exp(-1.0 / tau),
    )  # fmt: skip


def unit_capacity(tau_ms: np.ndarray) -> np.ndarray:
    """nF with which a current of 1 nA raises the potential by 1 mV in a step of 1 ms."""
    return tau_ms * -np.expm1(-1.0 / tau_ms)


def _integer(unit: IntegerLIF, n: int, where: str) -> Cell:
    """An integer neuron whose input has no memory, as a cell whose potential jumps; one step is 1 ms.

    The potential keeps the part 1 - decay_v / 4096 in a step, so tau_m = -1 / log of that.  Thresholds lie
    half a unit beside ours, where no whole potential is.
    """
    rule = unit.rule
    current = rule.synapse == "current" and bool(np.any(np.asarray(unit.decay_u) != 4096))
    decay_v = np.broadcast_to(np.asarray(unit.decay_v, np.float64), (n,))
    faults = (
        (rule.decay != "fraction", "rule.decay", rule.decay, "fraction"),
        (current, "decay_u", "a current that goes on", "4096, no memory: PyNN's currents act otherwise"),
        (rule.reset == "subtract", "rule.reset", rule.reset, "zero or value"),
        (bool(np.any(decay_v == 4096)), "decay_v", 4096, "less than 4096"),
        (unit.decay_u2 is not None, "decay_u2", "a second current", "one current"),
        (bool(np.any(np.asarray(unit.u_init))), "u_init", "a current at the start", "0"),
    )
    for wrong, name, got, expected in faults:
        if wrong:
            raise TargetError(
                "PyNN's cells cannot do this", where=f"{where}.{name}", got=got, expected=expected
            )

    def get(value: object) -> np.ndarray:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), (n,)))

    tau = np.full(n, NO_LEAK_MS)
    leaks = decay_v > 0
    tau[leaks] = -1.0 / np.log1p(-decay_v[leaks] / 4096.0)
    parameters = {
        "tau_m": tau, "cm": unit_capacity(tau), "v_rest": np.zeros(n),
        "v_thresh": get(unit.threshold) + (0.5 if rule.compare == "above" else -0.5),
        "v_reset": get(unit.v_reset if rule.reset == "value" else 0), "tau_refrac": get(unit.refractory),
        "i_offset": get(unit.bias),
    }  # fmt: skip
    notes = ["its potential is not rounded, and has no range: spikes can differ from the integer rule's"]
    return Cell("IF_curr_delta", parameters, get(unit.v_init), get(2.0**rule.input_shift), notes)
