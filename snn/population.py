"""A population: so many neurons of one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.errors import ConfigError
from snnsim.fields import integer, record
from snnsim.integer_neurons import INTEGER_NEURONS
from snnsim.layer_neurons import LAYER_NEURONS, LayerNeuron
from snnsim.models import NEURONS, Neuron
from snnsim.spec import Spec, rules


@dataclass(frozen=True, eq=False, kw_only=True)
class Population(Spec):
    """`n` neurons of one model.  Parameters are shared or given for each neuron."""

    n: int = integer(low=1, high=COUNT_LIMIT, help="number of neurons")
    neuron: Neuron = record(
        *NEURONS, *LAYER_NEURONS, *INTEGER_NEURONS, help="neuron model and its parameters"
    )

    @property
    def unit(self) -> Neuron | LayerNeuron:
        """The neuron model where it may be one of layered networks, which run in batches."""
        return self.neuron

    def check_together(self, where: str) -> None:
        for path, value in _per_neuron_lists(self.neuron, f"{where}.neuron"):
            if value.shape != (self.n,):
                raise ConfigError(
                    "one value for each neuron is needed",
                    where=path,
                    got=f"{value.size} values",
                    expected=f"{self.n} values, as n says",
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
