"""A probe: what to record of a population, a spike source or a projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError
from snnsim.fields import choice, indices, number, text
from snnsim.spec import Spec

STATE_VARIABLES = ("v_mv", "i_exc_pa", "i_inh_pa", "g_exc_ns", "g_inh_ns", "theta_mv")
WHOLE_VARIABLES = ("v", "u", "overflow", "s")


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe(Spec):
    """What to record.

    variable   spikes of a population or spike source; v_mv, theta_mv of a population, i_exc_pa, i_inh_pa of
               its exponential synapses or g_exc_ns, g_inh_ns of its conductances;
               weight of a plastic projection; every_ms is then required;
               v, u, overflow of integer neurons: potential, current, and what left its range in the step
               before: 1 the input, 2 the current, 4 the potential, or their sum; and s, the amount that a
               neuron sends in the step itself, 0 without an event
    Weights are numbered and sampled in the order of their synapses: by source, then delay, then target.
    A sample at time t is the state at the start of step t / dt, before anything arrives.
    """

    target: str = text(help="population, spike source, or projection (for weight)")
    variable: str = choice(
        "spikes", *STATE_VARIABLES, *WHOLE_VARIABLES, "weight", default="spikes", help="what to record"
    )
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
