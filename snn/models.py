"""Neuron models: parameters, units and equations.  No state lives here.

Without conductances all models share one form, integrated exactly (Rotter & Diesmann 1999) with step dt:

    v(t + dt) = e + (v(t) - e) P_vv + sum_c P_vc i_c(t) + P_v0 I_bias
    i_c(t + dt) = i_c(t) P_cc                                   c = exc, inh

With them v is integrated by exponential Euler: exactly for conductances that stand still within a step.

A spike is emitted when v >= v_th (+ theta, with an adaptive threshold) after the step; then v is
reset and held for t_ref.  Input that arrives at t is added to i_c (or to v, for delta synapses)
before the step is taken; delta input to a refractory neuron is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnsim.distributions import Distribution, Values, extent
from snnsim.errors import ConfigError
from snnsim.fields import choice, record, values
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class Delta(Spec):
    """A spike makes the membrane potential jump by its weight (`weight_mv`)."""

    KIND = "delta"
    n_currents: ClassVar[int] = 1  # as the kernels see it: a current without memory
    weight_key: ClassVar[str] = "weight_mv"


@dataclass(frozen=True, eq=False, kw_only=True)
class Exponential(Spec):
    """A spike makes a current jump by its weight (`weight_pa`), which decays with tau.

    tau_exc di_exc/dt = -i_exc ;  tau_inh di_inh/dt = -i_inh

    Without tau_inh_ms there is one current, i_exc, for spikes of both signs: the same as equal time
    constants, in half the memory.
    """

    KIND = "exponential"
    weight_key: ClassVar[str] = "weight_pa"
    tau_exc_ms: Values = values(unit="ms", above=0.0, help="decay of the excitatory current")
    tau_inh_ms: Values | None = values(
        None,
        unit="ms",
        above=0.0,
        help="decay of the inhibitory current; without: one current for all spikes",
    )

    @property
    def n_currents(self) -> int:
        """1, or 2 where inhibition has a current of its own."""
        return 1 if self.tau_inh_ms is None else 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Conductance(Spec):
    """A spike makes a conductance jump by its weight (`weight_ns`), which decays with tau.

    tau_exc dg_exc/dt = -g_exc ;  tau_inh dg_inh/dt = -g_inh

    Into the membrane flow the currents g_exc (e_exc - v) + g_inh (e_inh - v).  Weights are never negative:
    `receptor` says which of the two conductances a spike adds to.  The leak is c_m / tau_m.
    """

    KIND = "conductance"
    n_currents: ClassVar[int] = 2
    weight_key: ClassVar[str] = "weight_ns"
    tau_exc_ms: Values = values(unit="ms", above=0.0, help="decay of the excitatory conductance")
    tau_inh_ms: Values = values(unit="ms", above=0.0, help="decay of the inhibitory conductance")
    e_exc_mv: Values = values(unit="mV", help="reversal potential of excitation")
    e_inh_mv: Values = values(unit="mV", help="reversal potential of inhibition")
    g_exc_init_ns: Values = values(0.0, unit="nS", low=0.0, help="excitatory conductance at the start")
    g_inh_init_ns: Values = values(0.0, unit="nS", low=0.0, help="inhibitory conductance at the start")


Synapse = Delta | Exponential | Conductance
SYNAPSES: tuple[type[Spec], ...] = (Delta, Exponential, Conductance)


@dataclass(frozen=True, eq=False, kw_only=True)
class AdaptiveThreshold(Spec):
    """Homeostasis: the threshold is v_th + theta.

    tau_theta dtheta/dt = -theta ;  theta <- theta + theta_plus at every own spike.
    Outside the learning periods theta stands still.
    """

    theta_plus_mv: Values = values(unit="mV", low=0.0, help="rise of the threshold at a spike")
    tau_theta_ms: Values = values(unit="ms", above=0.0, help="decay of the rise")
    theta_init_mv: Values = values(0.0, unit="mV", low=0.0, help="theta at the start")


@dataclass(frozen=True, eq=False, kw_only=True)
class Neuron(Spec):
    """What leaky and non-leaky integrate-and-fire neurons have in common."""

    v_th_mv: Values = values(unit="mV", help="spike threshold")
    v_reset_mv: Values | None = values(
        None, unit="mV", help="potential after a spike (reset = value, subtract)"
    )
    reset: str = choice(
        "value",
        "zero",
        "subtract",
        default="value",
        help="after a spike: v = v_reset, v = 0, or v = v - (v_th + theta - v_reset)",
    )
    c_m_pf: Values = values(250.0, unit="pF", above=0.0, help="membrane capacitance")
    t_ref_ms: Values = values(0.0, unit="ms", low=0.0, help="refractory period, a multiple of dt")
    i_bias_pa: Values = values(0.0, unit="pA", help="constant current")
    v_init_mv: Values | None = values(None, unit="mV", help="potential at the start; without: rest or reset")
    synapse: Synapse = record(*SYNAPSES, default=Delta(), help="what an arriving spike does")
    threshold: AdaptiveThreshold | None = record(AdaptiveThreshold, default=None, help="adaptive threshold")

    def check_together(self, where: str) -> None:
        if self.reset == "zero" and self.v_reset_mv is not None:
            raise ConfigError(
                'reset = "zero" has no v_reset_mv',
                where=f"{where}.v_reset_mv",
                got=self.v_reset_mv,
                fix='remove v_reset_mv, or set reset = "value"',
            )
        if self.reset != "zero" and self.v_reset_mv is None:
            raise ConfigError(
                "a key is missing",
                where=f"{where}.v_reset_mv",
                expected="a number in mV",
                fix=f'add v_reset_mv, which reset = "{self.reset}" needs',
                code="config.missing_key",
            )
        if self.v_reset_mv is None:
            self._check_reset(0.0, "v_th_mv", where)
        else:
            self._check_reset(self.v_reset_mv, "v_reset_mv", where)

    def _check_reset(self, reset: Values, blamed: str, where: str) -> None:
        """The reset of every neuron lies below its threshold; drawn values are judged by their bounds."""
        drawn = {
            name: bound
            for name, value, bound in (("v_reset_mv", reset, "high"), ("v_th_mv", self.v_th_mv, "low"))
            if isinstance(value, Distribution)
        }
        if drawn:
            highest, lowest = extent(reset)[1], extent(self.v_th_mv)[0]
            if highest >= lowest:
                raise ConfigError(
                    "a drawn reset or threshold can make the neuron fire for ever",
                    where=f"{where}.{next(iter(drawn))}",
                    got=f"resets up to {highest:g}, thresholds from {lowest:g}",
                    expected="v_reset_mv < v_th_mv whatever is drawn",
                    fix=" and ".join(f"give {name} a {bound} bound" for name, bound in drawn.items())
                    + " that keeps them apart",
                )
            return
        resets, thresholds = np.asarray(reset), np.asarray(self.v_th_mv)
        if resets.ndim and thresholds.ndim and resets.shape != thresholds.shape:
            return  # the population tells which list has a wrong length
        resets, thresholds = np.broadcast_arrays(resets, thresholds)
        wrong = np.flatnonzero(resets.ravel() >= thresholds.ravel())
        if wrong.size:
            got, limit = float(resets.flat[wrong[0]]), float(thresholds.flat[wrong[0]])
            place = f" of neuron {wrong[0]}" if resets.ndim else ""
            at_zero = blamed == "v_th_mv"
            raise ConfigError(
                "the reset is not below the threshold: the neuron would fire for ever",
                where=f"{where}.{blamed}",
                got=limit if at_zero else got,
                expected=f'> 0, as reset = "zero"{place}' if at_zero else f"< v_th_mv = {limit:g}{place}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class LIF(Neuron):
    """Leaky integrate-and-fire.

    tau_m dv/dt = -(v - v_rest) + (tau_m / c_m) (i_exc + i_inh + i_bias)

    With conductances, i_exc = g_exc (e_exc - v) and i_inh = g_inh (e_inh - v).
    """

    KIND = "lif"
    tau_m_ms: Values = values(unit="ms", above=0.0, help="membrane time constant")
    v_rest_mv: Values = values(unit="mV", help="resting potential")


@dataclass(frozen=True, eq=False, kw_only=True)
class IF(Neuron):
    """Non-leaky integrate-and-fire (perfect integrator).

    c_m dv/dt = i_exc + i_inh + i_bias
    """

    KIND = "if"


NEURONS: tuple[type[Neuron], ...] = (LIF, IF)
