"""NeuroBench's terms for a network that was not converted, such as an integer one, from a run of it.

converters/operations.py has them for conversions, from sums that the engine keeps; here each event is looked
at, so that weights of zero are left out, as NeuroBench does.  Definitions: neurobench 2.3, docs/metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnsim.converters.counting import sparsity
from snnsim.hardware.activity import Activity, activity, wires
from snnsim.hardware.synapses import synapses
from snnsim.integer_neurons import IntegerLIF
from snnsim.layer_neurons import Readout
from snnsim.layers import Conv, Dense
from snnsim.network import Network
from snnsim.projection import Projection

_PARAMETERS = ("threshold", "decay_v", "bias", "v_reset", "refractory")
_CURRENT = ("decay_u", "decay_u2")


@dataclass(frozen=True)
class Widths:
    """Bits of a weight, of a parameter of a neuron, and of a state variable."""

    weight: int = 8
    parameter: int = 16
    state: int = 24


@dataclass(frozen=True)
class Terms:
    """Means over samples of a run of `n_steps`; a sum that is empty is 0.

    footprint_bytes      weights, zeros too, shared ones once; parameters of neurons, shared ones once; state
    connection_sparsity  share of the weights of matrices and convolutions that are zero
    activation_sparsity  1 - events / (neurons x steps)
    effective_acs        events times the weights that are not zero, where all amounts are 1 or -1
    effective_macs       the same along projections on which another amount came in the sample
    dense                all weights, all units, all steps
    pooling              additions of pools and joins, which NeuroBench does not count
    membrane_updates     potentials that are others after a step than before; in the first step all of them
    neuron_ops           operations of neurons with something to do, n_ops of each;  neuron_ops_dense: of all
    """

    n_samples: int
    n_steps: int
    weight_bytes: float
    parameter_bytes: float
    state_bytes: float
    connection_sparsity: float
    activation_sparsity: float
    effective_acs: float
    effective_macs: float
    dense: float
    pooling: float
    membrane_updates: float
    neuron_ops: float
    neuron_ops_dense: float

    @property
    def footprint_bytes(self) -> float:
        return self.weight_bytes + self.parameter_bytes + self.state_bytes

    def neurobench(self) -> dict[str, float]:
        """Under NeuroBench's names."""
        return {
            "Footprint": self.footprint_bytes, "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": self.activation_sparsity, "Effective_MACs": self.effective_macs,
            "Effective_ACs": self.effective_acs, "Dense": self.dense,
            "MembraneUpdates": self.membrane_updates,
            "Effective Neuron Ops": self.neuron_ops, "Neuron Dense Ops": self.neuron_ops_dense,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"footprint_bytes": self.footprint_bytes}


def n_ops(unit: object) -> int:
    """Operations of one update: decay and sum of a current and of a potential, bias, comparison, reset.

    Four for a leaky neuron without a current, as NeuroBench counts.
    """
    if not isinstance(unit, IntegerLIF):
        return 1 if isinstance(unit, Readout) else 4
    current = unit.rule.synapse == "current" and np.any(np.asarray(unit.decay_u) != 4096)
    parts = (
        current and np.any(np.asarray(unit.decay_u)), current, np.any(np.asarray(unit.decay_v)), True,
        np.any(np.asarray(unit.bias)), True, True,
    )  # fmt: skip
    return sum(bool(part) for part in parts)


def neurobench_terms(
    network: Network, inputs: Mapping[str, np.ndarray], n_steps: int, *,
    repeat: int = 1, dt_ms: float = 1.0, widths: Widths | None = None,
) -> Terms:  # fmt: skip
    """Run a network and count; inputs and repeat as for `activity`.

    Raises TargetError for networks with rules that have no synapses.
    """
    table = wires(network, dt_ms=dt_ms)
    samples = activity(network, inputs, n_steps, repeat=repeat, dt_ms=dt_ms, table=table)
    weighted = {name: p for name, p in network.projections.items() if isinstance(p.rule, Dense | Conv)}
    found = _counted(network, samples, weighted)
    n_neurons = sum(population.n for population in network.populations.values())
    weights = [p.rule.weight for p in weighted.values()]  # type: ignore[attr-defined]
    state, parameters = _stored(network)
    widths, n_samples = widths or Widths(), found.pop("samples")
    events = found.pop("events") / n_samples
    dense = sum(synapses(p).source.size for p in weighted.values())
    return Terms(
        n_samples=int(n_samples), n_steps=n_steps,
        weight_bytes=sum(w.size for w in weights) * widths.weight / 8,
        parameter_bytes=parameters * widths.parameter / 8, state_bytes=state * widths.state / 8,
        connection_sparsity=sparsity(weights), activation_sparsity=1.0 - events / (n_neurons * n_steps),
        dense=float(dense * n_steps),
        neuron_ops_dense=float(sum(p.n * n_ops(p.unit) for p in network.populations.values()) * n_steps),
        **{name: value / n_samples for name, value in found.items()},
    )  # fmt: skip


def _counted(
    network: Network, samples: Iterable[Activity], weighted: Mapping[str, Projection]
) -> dict[str, float]:
    names = (
        "samples", "events", "effective_acs", "effective_macs", "pooling", "membrane_updates", "neuron_ops"
    )  # fmt: skip
    found = dict.fromkeys(names, 0.0)
    fan = {name: _nonzero(p) for name, p in network.projections.items()}
    for seen in samples:
        found["samples"] += 1
        for name, population in network.populations.items():
            found["events"] += seen.spikes[name].sum()
            found["neuron_ops"] += seen.updated[name].sum() * n_ops(population.unit)
            if name in seen.changed:
                found["membrane_updates"] += population.n + seen.changed[name][1:].sum()
        for link, p in network.projections.items():
            kind = "effective_macs" if seen.graded[link] else "effective_acs"
            found[kind if link in weighted else "pooling"] += seen.spikes[p.source].sum(axis=0) @ fan[link]
    return found


def _nonzero(projection: Projection) -> np.ndarray:
    """int64[n_source]: synapses of each source whose weight is not zero."""
    found = synapses(projection)
    return np.diff(found.only(found.weight != 0).first)


def _stored(network: Network) -> tuple[int, int]:
    """Numbers that neurons keep: of state, and of parameters, one that a population shares once."""
    state = parameters = 0
    for population in network.populations.values():
        unit = population.unit
        names: tuple[str, ...] = ("v_th_mv", "bias_mv")
        kept = 1 if hasattr(unit, "v_init") or hasattr(unit, "v_init_mv") else 0
        if isinstance(unit, IntegerLIF):
            names = _PARAMETERS
            if unit.rule.synapse == "current":
                kept += 1 if unit.decay_u2 is None else 2
                names += _CURRENT
        state += kept * population.n
        values = [getattr(unit, name, None) for name in names]
        parameters += sum(np.asarray(value).size for value in values if value is not None)
    return state, parameters
