"""The description of a network: populations, projections, stimuli, probes.  Pure data, no state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.connectivity import RULES, Arrays, ConnectionRule, OneToOne
from snnsim.distributions import Values, extent
from snnsim.errors import ConfigError, nearest
from snnsim.fields import Rule, choice, indices, integer, number, record, table, text, values
from snnsim.models import NEURONS, Delta, Neuron
from snnsim.plasticity import STDP, Normalisation
from snnsim.spec import Spec, rules
from snnsim.stimuli import STIMULI, Current, Images, PoissonDrive, SpikeSource, Stimulus

STATE_VARIABLES = ("v_mv", "i_exc_pa", "i_inh_pa", "theta_mv")


@dataclass(frozen=True, eq=False, kw_only=True)
class Population(Spec):
    """`n` neurons of one model.  Parameters are shared or given for each neuron."""

    n: int = integer(low=1, high=COUNT_LIMIT, help="number of neurons")
    neuron: Neuron = record(*NEURONS, help="neuron model and its parameters")

    def check_together(self, where: str) -> None:
        for path, value in _per_neuron_lists(self.neuron, f"{where}.neuron"):
            if value.shape != (self.n,):
                raise ConfigError(
                    "one value for each neuron is needed",
                    where=path,
                    got=f"{value.size} values",
                    expected=f"{self.n} values, as n says",
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection(Spec):
    """Connections from a population or spike source to a population.

    A spike emitted in step t arrives in step t + delay.  `receptor` picks the time constant of exponential
    synapses; without it the common sign decides that the weights have and, with plasticity, can come to
    have.  Weights of both signs need two projections, or a receptor, or a target whose exponential synapses
    have no tau_inh_ms and so one current for both signs.  Given delays must be multiples of dt; drawn ones
    are rounded to the nearest step.
    """

    source: str = text(help="population or spike source")
    target: str = text(help="population")
    rule: ConnectionRule = record(*RULES, help="which pairs are connected")
    weight_pa: Values | None = values(None, unit="pA", help="jump of the current (exponential synapses)")
    weight_mv: Values | None = values(None, unit="mV", help="jump of the potential (delta synapses)")
    delay_ms: Values = values(
        unit="ms",
        low=0.0,
        help="a multiple of dt (drawn: rounded to it); 0 only where no cycle of zero delays arises",
    )
    receptor: str | None = choice(
        "exc",
        "inh",
        default=None,
        help="which current the spike adds to; without: by the common sign of the weights",
    )
    plasticity: STDP | None = record(STDP, default=None, help="learning rule")
    normalisation: Normalisation | None = record(
        Normalisation, default=None, help="keep the sum of weights of a target"
    )

    @property
    def weight(self) -> Values:
        """The weights, whatever their unit."""
        found = self.weight_pa if self.weight_pa is not None else self.weight_mv
        return 0.0 if found is None else found

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

        Only for exponential synapses.  Raises ConfigError when weights can have both signs.
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
        if (self.weight_pa is None) == (self.weight_mv is None):
            both = self.weight_pa is not None
            raise ConfigError(
                "weight_pa and weight_mv exclude each other" if both else "a key is missing",
                where=f"{where}.weight_pa",
                got="both" if both else None,
                expected="exactly one of weight_pa, weight_mv",
                code="config.invalid" if both else "config.missing_key",
            )
        unit = "pa" if self.weight_pa is not None else "mv"
        for name, value in ((f"weight_{unit}", self.weight), ("delay_ms", self.delay_ms)):
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
        if rule is not None and (low < rule.w_min or high > rule.w_max):
            raise ConfigError(
                "initial weights lie outside the bounds of the learning rule",
                where=f"{where}.weight_{unit}",
                got=f"{low:g} to {high:g}",
                expected=f"{rule.w_min:g} to {rule.w_max:g}",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe(Spec):
    """What to record.

    variable   spikes of a population or spike source; v_mv, i_exc_pa, i_inh_pa, theta_mv of a population;
               weight of a plastic projection; every_ms is then required
    Weights are numbered and sampled in the order of their synapses: by source, then delay, then target.
    A sample at time t is the state at the start of step t / dt, before anything arrives.
    """

    target: str = text(help="population, spike source, or projection (for weight)")
    variable: str = choice("spikes", *STATE_VARIABLES, "weight", default="spikes", help="what to record")
    every_ms: float | None = number(
        None,
        unit="ms",
        above=0.0,
        help="time between samples, a multiple of dt; without: dt; required for weight",
    )
    ids: np.ndarray | None = indices(None, help="which neurons, or synapses for weight; without: all")

    def check_together(self, where: str) -> None:
        if self.variable == "spikes" and self.every_ms is not None:
            raise ConfigError(
                "spikes are not sampled", where=f"{where}.every_ms", got=self.every_ms, fix="remove every_ms"
            )
        if self.variable == "weight" and self.every_ms is None:
            raise ConfigError(
                "a key is missing",
                where=f"{where}.every_ms",
                expected="a number > 0 ms",
                fix="say how often weights are sampled",
                code="config.missing_key",
            )
        if self.ids is not None and (np.any(np.diff(self.ids) <= 0) or not self.ids.size):
            raise ConfigError(
                "ids must ascend",
                where=f"{where}.ids",
                expected="at least one, each larger than the one before",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Network(Spec):
    """A spiking network: what it is, not how it runs.

    precision is the type of state and weights.  Names are unique over populations and stimuli;
    a probe may bear the name of its own target.
    """

    populations: Mapping[str, Population] = table(Population, help="neurons")
    projections: Mapping[str, Projection] = table(Projection, default={}, help="connections")
    stimuli: Mapping[str, Stimulus] = table(*STIMULI, default={}, help="input from outside")
    probes: Mapping[str, Probe] = table(Probe, default={}, help="what to record")
    precision: str = choice("float64", "float32", default="float64", help="type of state and weights")

    def __post_init__(self) -> None:
        self._settle("")  # key paths start at the tables: `populations.exc.n`

    def check_together(self, where: str) -> None:
        at = f"{where}." if where else ""
        if not self.populations:
            raise ConfigError(
                "a network needs a population", where=f"{at}populations", expected="at least one"
            )
        for name in self.stimuli:
            if name in self.populations:
                raise ConfigError(
                    "the name is taken by a population",
                    where=f"{at}stimuli.{name}",
                    got=name,
                    expected="a name of its own",
                )
        for name, projection in self.projections.items():
            self._check_projection(projection, f"{at}projections.{name}")
        for name, stimulus in self.stimuli.items():
            self._check_stimulus(stimulus, f"{at}stimuli.{name}")
        for name, probe in self.probes.items():
            self._check_probe(probe, f"{at}probes.{name}")
            self._check_probe_name(name, probe, f"{at}probes.{name}")

    def sources(self) -> dict[str, SpikeSource]:
        """The stimuli that emit spikes."""
        return {name: s for name, s in self.stimuli.items() if isinstance(s, SpikeSource)}

    def _population(self, name: str, where: str) -> Population:
        if name not in self.populations:
            raise ConfigError(
                "no such population",
                where=where,
                got=name,
                fix=nearest(name, self.populations),
                code="config.unknown_name",
            )
        return self.populations[name]

    def _check_projection(self, projection: Projection, where: str) -> None:
        emitters = [*self.populations, *self.sources()]
        if projection.source not in emitters:
            raise ConfigError(
                "no such population or spike source",
                where=f"{where}.source",
                got=projection.source,
                fix=nearest(projection.source, emitters),
                code="config.unknown_name",
            )
        target = self._population(projection.target, f"{where}.target")
        delta = isinstance(target.neuron.synapse, Delta)
        _check_weight_unit(projection.weight_mv is not None, delta, projection.target, where)
        if target.neuron.synapse.n_currents == 2:
            projection.inferred_receptor(where)
        elif projection.receptor is not None:
            raise ConfigError(
                "delta synapses have no receptors" if delta else "all spikes add to one current",
                where=f"{where}.receptor",
                got=projection.receptor,
                fix="remove receptor"
                if delta
                else f"remove receptor, or give {projection.target} a tau_inh_ms",
            )
        n_source, n_target = self._size(projection.source), target.n
        _check_rule(
            projection.rule, n_source, n_target, projection.source == projection.target, f"{where}.rule"
        )

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Check what could not be checked before the data sets of some stimuli were known.

        sizes is the number of sources of each.  Raises ConfigError.
        """
        for name, p in self.projections.items():
            if p.source in sizes:
                where = f"projections.{name}.rule"
                _check_rule(p.rule, sizes[p.source], self.populations[p.target].n, False, where)
        for name, probe in self.probes.items():
            if probe.target in sizes and probe.ids is not None:
                _check_ids(probe.ids, sizes[probe.target], f"probes.{name}.ids")

    def _size(self, name: str) -> int | None:
        """Number of units of a population or source; None where it is known only with the data set."""
        if name in self.populations:
            return self.populations[name].n
        stimulus = self.stimuli[name]
        return stimulus.n_sources if isinstance(stimulus, Images) else getattr(stimulus, "n", None)

    def _check_stimulus(self, stimulus: Stimulus, where: str) -> None:
        if isinstance(stimulus, PoissonDrive):
            target = self._population(stimulus.target, f"{where}.target")
            delta = isinstance(target.neuron.synapse, Delta)
            _check_weight_unit(stimulus.weight_mv is not None, delta, stimulus.target, where)
            _check_length(stimulus.rate_hz, target.n, f"{where}.rate_hz")
        elif isinstance(stimulus, Current):
            target = self._population(stimulus.target, f"{where}.target")
            if stimulus.amplitude_pa.ndim == 2 and stimulus.amplitude_pa.shape[1] != target.n:
                raise ConfigError(
                    "one amplitude for each neuron is needed",
                    where=f"{where}.amplitude_pa",
                    got=f"rows of {stimulus.amplitude_pa.shape[1]}",
                    expected=f"rows of {target.n}",
                )
        elif not isinstance(stimulus, Images):
            rate = getattr(stimulus, "rate_hz", None)
            _check_length(rate, getattr(stimulus, "n", 0), f"{where}.rate_hz")

    def _check_probe_name(self, name: str, probe: Probe, where: str) -> None:
        """Spikes are asked for by the name of a probe or of what fires: one name, one meaning."""
        own = None if probe.variable == "weight" else probe.target
        if name != own and (name in self.populations or name in self.sources()):
            raise ConfigError(
                "the name is taken by a population or spike source that is not the target",
                where=where,
                got=name,
                expected="a name of its own" + (f", or {own}" if own else ""),
                fix=f"rename the probe, for example to {probe.target}_{probe.variable}",
            )

    def _check_probe(self, probe: Probe, where: str) -> None:
        if probe.variable == "weight":
            if probe.target not in self.projections:
                raise ConfigError(
                    "no such projection",
                    where=f"{where}.target",
                    got=probe.target,
                    fix=nearest(probe.target, self.projections),
                    code="config.unknown_name",
                )
            if not self.projections[probe.target].plastic:
                raise ConfigError(
                    "the weights of this projection never change",
                    where=f"{where}.target",
                    got=probe.target,
                    expected="a projection with plasticity or normalisation",
                )
            return
        valid = [*self.populations, *self.sources()] if probe.variable == "spikes" else [*self.populations]
        if probe.target not in valid:
            raise ConfigError(
                "no such target",
                where=f"{where}.target",
                got=probe.target,
                fix=nearest(probe.target, valid),
                code="config.unknown_name",
            )
        size = self._size(probe.target)
        if probe.ids is not None and size is not None:
            _check_ids(probe.ids, size, f"{where}.ids")
        if probe.target in self.populations:
            neuron = self.populations[probe.target].neuron
            if probe.variable in ("i_exc_pa", "i_inh_pa") and isinstance(neuron.synapse, Delta):
                raise ConfigError(
                    "delta synapses have no current", where=f"{where}.variable", got=probe.variable
                )
            if probe.variable == "i_inh_pa" and neuron.synapse.n_currents == 1:
                raise ConfigError(
                    "inhibition has no current of its own",
                    where=f"{where}.variable",
                    got=probe.variable,
                    expected="i_exc_pa, the one current of all spikes",
                )
            if probe.variable == "theta_mv" and neuron.threshold is None:
                raise ConfigError(
                    "the threshold is not adaptive",
                    where=f"{where}.variable",
                    got=probe.variable,
                    fix="give the neuron a threshold table, or record something else",
                )


def _per_neuron_lists(spec: Spec, where: str) -> list[tuple[str, np.ndarray]]:
    found = []
    for name, rule in rules(type(spec)).items():
        value = getattr(spec, name)
        if rule.kind == "values" and isinstance(value, np.ndarray):
            found.append((f"{where}.{name}", value))
        elif rule.kind == "record" and value is not None:
            found += _per_neuron_lists(value, f"{where}.{name}")
    return found


def _check_length(value: object, n: int, where: str) -> None:
    if isinstance(value, np.ndarray) and value.shape != (n,):
        raise ConfigError(
            "one value for each is needed", where=where, got=f"{value.size} values", expected=f"{n} values"
        )


def _check_weight_unit(in_mv: bool, delta: bool, target: str, where: str) -> None:
    if in_mv != delta:
        wrong, right = ("weight_mv", "weight_pa") if in_mv else ("weight_pa", "weight_mv")
        synapse = "delta" if delta else "exponential"
        raise ConfigError(
            f"{target} has {synapse} synapses",
            where=f"{where}.{wrong}",
            got=wrong,
            expected=right,
            fix=f"give {right}, or change the synapse of {target}",
        )


def _check_rule(rule: ConnectionRule, n_source: int | None, n_target: int, same: bool, where: str) -> None:
    if isinstance(rule, OneToOne) and n_source is not None and n_source != n_target:
        raise ConfigError(
            "populations differ in size",
            where=where,
            got=f"{n_source} sources, {n_target} targets",
            expected="equal numbers",
        )
    if isinstance(rule, Arrays):
        _check_ids(rule.target, n_target, f"{where}.target")
        if n_source is not None:
            _check_ids(rule.source, n_source, f"{where}.source")
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


def _check_ids(ids: np.ndarray, size: int, where: str) -> None:
    if ids.size and int(ids.max()) >= size:
        raise ConfigError("no such neuron", where=where, got=int(ids.max()), expected=f"0 to {size - 1}")


__all__ = ["STATE_VARIABLES", "Network", "Population", "Probe", "Projection", "Rule"]
