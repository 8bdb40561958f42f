"""The description of a network: populations, projections, stimuli, probes.  Pure data, no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError, nearest
from snnsim.fields import choice, table
from snnsim.integer_neurons import IntegerNeuron
from snnsim.models import Conductance, Delta
from snnsim.population import Population
from snnsim.probe import STATE_VARIABLES, WHOLE_VARIABLES, Probe
from snnsim.projection import Projection, check_ids, check_rule
from snnsim.spec import Spec
from snnsim.stimuli import STIMULI, Current, Images, PoissonDrive, SpikeSource, Stimulus
from snnsim.weights import check_target


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
        check_target(projection, target.neuron.synapse, where)
        if target.neuron.synapse.n_currents == 2:
            projection.inferred_receptor(where)
        n_source, n_target = self._size(projection.source), target.n
        check_rule(
            projection.rule, n_source, n_target, projection.source == projection.target, f"{where}.rule"
        )

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Check what could not be checked before the data sets of some stimuli were known.

        sizes is the number of sources of each.  Raises ConfigError.
        """
        for name, p in self.projections.items():
            if p.source in sizes:
                where = f"projections.{name}.rule"
                check_rule(p.rule, sizes[p.source], self.populations[p.target].n, False, where)
        for name, probe in self.probes.items():
            if probe.target in sizes and probe.ids is not None:
                check_ids(probe.ids, sizes[probe.target], f"probes.{name}.ids")

    def _size(self, name: str) -> int | None:
        """Number of units of a population or source; None where it is known only with the data set."""
        if name in self.populations:
            return self.populations[name].n
        stimulus = self.stimuli[name]
        return stimulus.n_sources if isinstance(stimulus, Images) else getattr(stimulus, "n", None)

    def _check_stimulus(self, stimulus: Stimulus, where: str) -> None:
        if isinstance(stimulus, PoissonDrive):
            target = self._population(stimulus.target, f"{where}.target")
            check_target(stimulus, target.neuron.synapse, where)
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
            check_ids(probe.ids, size, f"{where}.ids")
        if probe.target in self.populations:
            neuron = self.populations[probe.target].neuron
            conducts = isinstance(neuron.synapse, Conductance)
            whole = isinstance(self.populations[probe.target].unit, IntegerNeuron)
            if whole != (probe.variable in WHOLE_VARIABLES) and probe.variable != "spikes":
                raise ConfigError(
                    f"{probe.target} has {neuron.KIND} neurons, which have no such variable",
                    where=f"{where}.variable",
                    got=probe.variable,
                    expected=", ".join(WHOLE_VARIABLES if whole else STATE_VARIABLES),
                )
            if probe.variable.startswith("g_") and not conducts:
                raise ConfigError(
                    f"{probe.target} has {neuron.synapse.KIND} synapses, and no conductance",
                    where=f"{where}.variable",
                    got=probe.variable,
                    fix="record something else, or give the neuron conductance synapses",
                )
            if probe.variable.startswith("i_") and conducts:
                raise ConfigError(
                    f"{probe.target} has conductance synapses, whose currents are not kept",
                    where=f"{where}.variable",
                    got=probe.variable,
                    expected=probe.variable.replace("i_", "g_").replace("_pa", "_ns"),
                )
            if probe.variable.startswith("i_") and isinstance(neuron.synapse, Delta):
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


def _check_length(value: object, n: int, where: str) -> None:
    if isinstance(value, np.ndarray) and value.shape != (n,):
        raise ConfigError(
            "one value for each is needed", where=where, got=f"{value.size} values", expected=f"{n} values"
        )
