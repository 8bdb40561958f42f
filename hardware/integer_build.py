"""Integer networks from a normal form and the whole numbers chosen for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError
from snnsim.hardware.number_format import NumberFormat
from snnsim.hardware.stages import Stage
from snnsim.integer_neurons import IntegerLIF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue


@dataclass(frozen=True)
class Whole:
    """The whole numbers of one stage, in stored units of the target; int64[n] as float64.

    scale    float64[n]  stored units that a potential of 1 became
    weights  by wire, of the shapes that the wires have
    """

    scale: np.ndarray
    weights: tuple[np.ndarray, ...]
    threshold: np.ndarray
    bias: np.ndarray
    start: np.ndarray


def build_integer(
    inputs: Mapping[str, int], stages: Sequence[Stage], chosen: Mapping[str, Whole], form: NumberFormat
) -> Network:
    """The integer network of those stages for which numbers were chosen.  Raises TargetError."""
    populations, projections = {}, {}
    for stage in stages:
        if stage.name not in chosen:
            continue
        whole = chosen[stage.name]
        populations[stage.name] = Population(n=stage.n, neuron=neuron(stage, whole, form))  # type: ignore[arg-type]
        for wire, weight in zip(stage.wires, whole.weights, strict=True):
            rule, factor = wire.with_weight(weight)
            projections[wire.name] = Projection(
                source=wire.source, target=stage.name, rule=rule, weight_mv=factor, delay_ms=float(wire.delay)
            )
    stimuli = {name: Analogue(n=n) for name, n in inputs.items()}
    return Network(stimuli=stimuli, populations=populations, projections=projections, precision="float64")


def neuron(stage: Stage, whole: Whole, form: NumberFormat) -> IntegerLIF:
    """The neurons of a stage; raises TargetError for a reset or a decay that the target does not have."""
    rule, unit = form.rule, form.unit
    if stage.kind != "readout":
        reset = "subtract" if stage.kind == "signed" and "subtract" in form.resets else stage.kind
        reset = "zero" if reset == "signed" else reset
        if reset not in form.resets:
            raise TargetError(
                f"a spike of {form.name} cannot {_DOES[reset]}",
                where=f"populations.{stage.name}.neuron.reset",
                got=reset, expected=" or ".join(form.resets), code="target.no_reset", fix=_WAY_OUT[reset],
            )  # fmt: skip
        if stage.most > form.most:
            raise TargetError(
                "more spikes in a step than a neuron of the target has",
                where=f"populations.{stage.name}.neuron",
                got=stage.most, expected=f"at most {form.most} on {form.name}", code="target.bursts",
                fix="convert with --levels 1, or take generic-int8 or generic-int16",
            )  # fmt: skip
        known: dict[str, str | int] = {
            "reset": rule.reset if rule.reset == "value" and reset == "zero" else reset
        }
        if stage.most > 1 or form.most > 1:
            known["most"] = stage.most if rule.most == 1 else rule.most
        rule = rule.replace(**known)
    return IntegerLIF(
        rule=rule,
        threshold=_one(whole.threshold * unit),
        decay_u=decay_of(stage.keep_u, form, True, stage.name)[0] if rule.synapse == "current" else 0,
        decay_v=decay_of(stage.keep_v, form, False, stage.name)[0],
        bias=_one(whole.bias * unit),
        v_init=_one(whole.start * unit),
        refractory=stage.refractory,
    )


_DOES = {"zero": "set the potential to zero", "subtract": "take the threshold off the potential"}
_WAY_OUT = {
    "zero": "train with reset by subtraction, or take loihi2, generic-int8 or generic-int16",
    "subtract": "accept a reset to zero (hard_reset, --hard-reset), which loses what is above the threshold; "
    "or train with a reset to zero; or take generic-int8 or generic-int16",
}


def decay_of(keep: float, form: NumberFormat, of_current: bool, name: str) -> tuple[int, float]:
    """The whole number of a decay, and the share that is left of a state with it.

    Raises TargetError where the rule has no such decay.
    """
    kind, synapse = form.rule.decay, form.rule.synapse
    if of_current and synapse == "potential":
        if keep > 0:
            raise TargetError(
                f"{form.name} has no synaptic current", where=f"populations.{name}.neuron.synapse",
                got=f"a current of which {keep:.3f} is left after a step", expected="delta",
                fix="train with delta synapses, or take loihi2", code="target.no_current",
            )  # fmt: skip
        return 0, 0.0
    if kind == "fraction":
        lost = int(np.rint(4096 * (1 - keep)))
        return lost, 1 - lost / 4096
    if kind == "shift":
        shifts = np.arange(1 if form.rule.order == "input_first" and of_current else 0, 16)
        k = int(shifts[np.argmin(np.abs(1 - 0.5**shifts - keep))])
        return (15, 1.0) if keep == 1.0 else (k, 1 - 0.5**k)
    if keep < 1.0 and not of_current:
        raise TargetError(
            f"{form.name} decays by a constant amount", where=f"populations.{name}.neuron.tau_m_ms",
            got=f"{keep:.3f} of the potential left after a step", expected="neurons without leak",
            fix="train with integrate-and-fire neurons", code="target.decay",
        )  # fmt: skip
    return 0, 1.0


def _one(values: np.ndarray) -> float | np.ndarray:
    """A number where all are the same."""
    return float(values[0]) if np.all(values == values[0]) else values
