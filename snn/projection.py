"""A projection: connections from a population or spike source to a population."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnsim.connectivity import RULES, Arrays, ConnectionRule, OneToOne
from snnsim.distributions import Values, extent
from snnsim.errors import ConfigError
from snnsim.fields import choice, record, text, values
from snnsim.layers import LAYER_RULES, LayerRule
from snnsim.plasticity import STDP, Normalisation
from snnsim.spec import Spec
from snnsim.weights import check_weight, weight_key, weight_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection(Spec):
    """Connections from a population or spike source to a population.

    A spike emitted in step t arrives in step t + delay.  `receptor` picks the conductance that it adds to, or
    the time constant of exponential synapses; without it the common sign decides that the weights have and,
    with plasticity, can come to have.  Conductances are never negative, and always need it.  Weights of both
    signs need two projections, or a receptor, or a target whose exponential synapses have no tau_inh_ms and
    so one current for both signs.  Given delays must be multiples of dt; drawn ones are rounded to the
    nearest step.
    """

    source: str = text(help="population or spike source")
    target: str = text(help="population")
    rule: ConnectionRule = record(*RULES, *LAYER_RULES, help="which pairs are connected")
    weight_pa: Values | None = values(None, unit="pA", help="jump of the current (exponential synapses)")
    weight_mv: Values | None = values(None, unit="mV", help="jump of the potential (delta synapses)")
    weight_ns: Values | None = values(
        None, unit="nS", low=0.0, help="jump of the conductance (conductance synapses); needs receptor"
    )
    delay_ms: Values = values(
        unit="ms",
        low=0.0,
        help="a multiple of dt (drawn: rounded to it); 0 only where no cycle of zero delays arises",
    )
    receptor: str | None = choice(
        "exc",
        "inh",
        default=None,
        help="which current or conductance the spike adds to; without: by the common sign of the weights",
    )
    plasticity: STDP | None = record(STDP, default=None, help="learning rule")
    normalisation: Normalisation | None = record(
        Normalisation, default=None, help="keep the sum of weights of a target"
    )

    @property
    def weight(self) -> Values:
        """The weights, whatever their unit."""
        found: Values = weight_of(self)
        return found

    @property
    def plastic(self) -> bool:
        """Do the weights change in time?"""
        return self.plasticity is not None or self.normalisation is not None

    def weight_bounds(self) -> tuple[float, float]:
        """Smallest and largest weight that a connection can have, now or after learning."""
        low, high = extent(self.weight)
        if self.plasticity is not None:
            low, high = min(low, self.plasticity.w_min), max(high, self.plasticity.w_max)
        return low, high

    def inferred_receptor(self, where: str = "projection") -> str:
        """The receptor as given, or "exc" or "inh" as the sign of the weights says.

        Only where there are two of them.  Raises ConfigError when weights can have both signs.
        """
        if self.receptor is not None:
            return self.receptor
        low, high = self.weight_bounds()
        if low < 0 < high:
            learning = "" if self.plasticity is None else ", with the bounds of the learning rule"
            raise ConfigError(
                "weights of both signs: which current is meant?",
                where=f"{where}.receptor",
                got=f"weights from {low:g} to {high:g}{learning}",
                expected='"exc" or "inh"',
                fix="split into two projections, one a sign; or add receptor, if one current is meant; "
                "or leave out tau_inh_ms of the target: then one current takes both signs",
            )
        return "inh" if low < 0 else "exc"

    def check_together(self, where: str) -> None:
        check_weight(self, where)
        key = weight_key(self)
        for name, value in ((key, self.weight), ("delay_ms", self.delay_ms)):
            if isinstance(value, np.ndarray):
                if not isinstance(self.rule, Arrays):
                    raise ConfigError(
                        f'a list needs rule kind "{Arrays.KIND}"',
                        where=f"{where}.{name}",
                        expected="a number or a distribution",
                    )
                if value.shape != self.rule.source.shape:
                    raise ConfigError(
                        "one value for each connection is needed",
                        where=f"{where}.{name}",
                        got=f"{value.size} values",
                        expected=f"{self.rule.source.size} values",
                    )
        low, high = extent(self.weight)
        rule = self.plasticity
        if self.normalisation is not None and low < 0:
            raise ConfigError(
                "normalisation needs weights >= 0",
                where=f"{where}.normalisation",
                got=f"weights from {low:g}",
                expected="initial weights >= 0",
                fix="remove normalisation, or give the weights low = 0",
            )
        if self.normalisation is not None and rule is not None and rule.w_min < 0:
            raise ConfigError(
                "normalisation needs weights that stay >= 0",
                where=f"{where}.plasticity.w_min",
                got=rule.w_min,
                expected=">= 0",
                fix="set w_min = 0, or remove normalisation",
            )
        if self.weight_ns is not None and rule is not None and rule.w_min < 0:
            raise ConfigError(
                "a conductance must stay >= 0",
                where=f"{where}.plasticity.w_min",
                got=rule.w_min,
                expected=">= 0",
                fix="set w_min = 0",
            )
        if rule is not None and (low < rule.w_min or high > rule.w_max):
            raise ConfigError(
                "initial weights lie outside the bounds of the learning rule",
                where=f"{where}.{key}",
                got=f"{low:g} to {high:g}",
                expected=f"{rule.w_min:g} to {rule.w_max:g}",
            )


def check_rule(rule: ConnectionRule, n_source: int | None, n_target: int, same: bool, where: str) -> None:
    """Does a rule fit the sizes of its populations?  n_source is None before a data set is known."""
    if isinstance(rule, OneToOne) and n_source is not None and n_source != n_target:
        raise ConfigError(
            "populations differ in size",
            where=where,
            got=f"{n_source} sources, {n_target} targets",
            expected="equal numbers",
        )
    if isinstance(rule, LayerRule) and n_source is not None and rule.sizes() != (n_source, n_target):
        raise ConfigError(
            "the rule is made for other sizes",
            where=where,
            got=f"{n_source} sources, {n_target} targets",
            expected="{} sources, {} targets".format(*rule.sizes()),
        )
    if isinstance(rule, LayerRule):
        return
    if isinstance(rule, Arrays):
        check_ids(rule.target, n_target, f"{where}.target")
        if n_source is not None:
            check_ids(rule.source, n_source, f"{where}.source")
    if n_source is None or not hasattr(rule, "n"):
        return
    lost = 1 if same and not getattr(rule, "autapses", True) else 0
    pool = {"fixed_in_degree": n_source - lost, "fixed_out_degree": n_target - lost}.get(
        rule.KIND, n_source * n_target - lost * n_source
    )
    allowed = math.inf if getattr(rule, "multapses", True) and pool > 0 else pool
    if rule.n > allowed:
        raise ConfigError(
            "more connections than there are pairs",
            where=f"{where}.n",
            got=rule.n,
            expected=f"at most {pool}",
            fix="lower n" if pool == 0 else "lower n, or set multapses = true",
        )


def check_ids(ids: np.ndarray, size: int, where: str) -> None:
    """ConfigError unless all ids are below the size."""
    if ids.size and int(ids.max()) >= size:
        raise ConfigError("no such neuron", where=where, got=int(ids.max()), expected=f"0 to {size - 1}")
