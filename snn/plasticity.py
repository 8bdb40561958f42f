"""Learning rules: parameters and equations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError
from snnsim.fields import choice, number
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class STDP(Spec):
    """Pair-based spike-timing-dependent plasticity.

    The synapse sees a presynaptic spike when it arrives (emission + delay) and a postsynaptic spike
    when it is emitted.  With traces x (pre) and y (post), both decaying exponentially:

        pre arrives at t :  w <- w - a_minus f_minus(w) y(t) ;  then x <- x + 1   (nearest: x <- 1)
        post fires at t  :  w <- w + a_plus  f_plus(w)  x(t) ;  then y <- y + 1   (nearest: y <- 1)

    Ties: within one step arrivals come before post spikes, so a pre spike that arrives in the step in
    which the post neuron fires counts as causal with time difference 0 (full potentiation, no depression).

    With z = (w - w_min) / (w_max - w_min) and W = w_max - w_min:

        additive          f_plus = W                    f_minus = W
        multiplicative    f_plus = W (1 - z)            f_minus = W z
        power             f_plus = W (1 - z)^mu_plus    f_minus = W z^mu_minus
        power_law         f_plus = w_0^(1-mu_plus) w^mu_plus   f_minus = w

    and w is clipped to [w_min, w_max] after every change.  Bounds and w_0 have the unit of the weight.
    Sources: Song, Miller & Abbott 2000; van Rossum, Bi & Turrigiano 2000; Guetig et al. 2003 (power);
    Morrison, Aertsen & Diesmann 2007 (power_law); Morrison, Diesmann & Gerstner 2008 (pairing).
    """

    KIND = "stdp"
    tau_plus_ms: float = number(unit="ms", above=0.0, help="decay of the presynaptic trace x")
    tau_minus_ms: float = number(unit="ms", above=0.0, help="decay of the postsynaptic trace y")
    a_plus: float = number(low=0.0, help="size of potentiation")
    a_minus: float = number(low=0.0, help="size of depression")
    w_max: float = number(help="largest weight")
    w_min: float = number(0.0, help="smallest weight")
    dependence: str = choice(
        "additive",
        "multiplicative",
        "power",
        "power_law",
        default="additive",
        help="how steps depend on the weight",
    )
    mu_plus: float = number(1.0, low=0.0, high=10.0, help="exponent of potentiation (power, power_law)")
    mu_minus: float = number(1.0, low=0.0, high=10.0, help="exponent of depression (power)")
    w_0: float = number(1.0, above=0.0, help="reference weight (power_law)")
    pairing: str = choice(
        "all", "nearest", default="all", help="all pairs of spikes, or only nearest neighbours"
    )

    def check_together(self, where: str) -> None:
        if self.w_max <= self.w_min:
            raise ConfigError(
                "w_max must be above w_min",
                where=f"{where}.w_max",
                got=self.w_max,
                expected=f"> {self.w_min:g}",
            )
        if not math.isfinite(self.w_max - self.w_min):
            raise ConfigError(
                "the bounds are too far apart",
                where=f"{where}.w_max",
                got=self.w_max,
                expected="a finite w_max - w_min",
            )
        if self.dependence == "power_law":
            self._check_power_law(where)

    def _check_power_law(self, where: str) -> None:
        if self.w_min < 0:
            raise ConfigError(
                "power_law needs weights >= 0",
                where=f"{where}.w_min",
                got=self.w_min,
                expected=">= 0",
                fix='set w_min = 0, or use dependence = "power"',
            )
        with np.errstate(all="ignore"):
            largest = np.float64(self.w_0) ** (1.0 - self.mu_plus) * np.float64(self.w_max) ** self.mu_plus
        if not np.isfinite(largest):
            raise ConfigError(
                "the steps of the power law are too large to compute with",
                where=f"{where}.w_0",
                got=self.w_0,
                expected="a finite w_0^(1 - mu_plus) w_max^mu_plus",
                fix="give w_0 the size of a typical weight",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalisation(Spec):
    """Every `every_ms` the weights onto each target are scaled to the sum `total` (unit of the weight).

    w_ij <- w_ij total / sum_k w_kj ;  a target whose weights sum to 0 is left as it is.
    """

    total: float = number(above=0.0, help="sum of the weights onto one target")
    every_ms: float = number(unit="ms", above=0.0, help="how often, a multiple of dt")
