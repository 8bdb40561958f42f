"""Operation counts of a conversion: of the trained network, and of the spiking one from its real events.

Published counts differ by up to eight times in what they leave out (converters.md, section 1.1).  Here every
column has a name, a unit and a formula, and nothing is left out of the sums: input, pooling, the update of
every neuron in every step, hidden and settling steps.  Two conventions for an input that stays the same are
given side by side: its products are computed once and kept, or again in each step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from snnsim.converters.counting import SourceLayer


def _column(unit: str, formula: str) -> Any:
    return field(metadata={"unit": unit, "formula": formula})


@dataclass(frozen=True)
class LinkOperations:
    """Additions of one projection for one input, mean over inputs; macs are those that also multiply."""

    name: str
    role: str  # input, pooling or synapse
    acs: float
    macs: float


@dataclass(frozen=True)
class PopulationOperations:
    """One population for one input, mean over inputs."""

    name: str
    n_units: int
    events: float
    spikes: float
    updates: float


@dataclass(frozen=True)
class Operations:
    """Operations for one input, as means over `n_samples` inputs; a MAC and an AC are one operation each.

    An AC adds a weight (event of amount 1 or -1), a MAC adds an amount times a weight.
    """

    n_samples: int = _column("inputs", "inputs that were counted")
    timesteps: int = _column("steps", "steps over which an input comes or acts")
    bytes_per_number: int = _column("bytes", "of a weight, an amount or a potential in the simulation")
    count_bits: int = _column(
        "bits", "ceil(log2(T + 1)), T the largest spike count of a neuron: what a quantised twin needs"
    )
    dense_macs: float = _column("MAC", "source: sum of outputs x fan-in, padding counted")
    dense_ops: float = _column("operations", "source: 2 x dense MAC + one for each output with a bias")
    in_map_macs: float = _column("MAC", "source: dense MAC without places in the padding (NeuroBench Dense)")
    effective_macs: float = _column(
        "MAC", "source: products in which neither weight nor activation is zero (NeuroBench Effective_MACs)"
    )
    source_activation_sparsity: float = _column(
        "share", "source: values of ReLUs that are zero (NeuroBench ActivationSparsity)"
    )
    source_connection_sparsity: float = _column(
        "share", "source: weights of matrices and convolutions that are zero (NeuroBench ConnectionSparsity)"
    )
    source_parameters: int = _column(
        "numbers", "source: weights and biases, batch normalisation folded (NeuroBench ParameterCount)"
    )
    source_biases: float = _column("additions", "source: outputs with a bias")
    source_others: float = _column(
        "operations", "source: additions of pools and sums, comparisons of maxima and activations"
    )
    synaptic_acs: float = _column(
        "AC", "sum over events of amount 1 or -1 of the targets they reach; also over weights of zero"
    )
    synaptic_macs: float = _column("MAC", "the same for events of other amounts (bursts, pooled values)")
    pooling_acs: float = _column("AC", "additions into units that pool, for events of amount 1 or -1")
    pooling_macs: float = _column("MAC", "additions into units that pool, for events of other amounts")
    input_acs_once: float = _column("AC", "targets of inputs of amount 1 or -1, computed once and kept")
    input_macs_once: float = _column("MAC", "targets of all other inputs that are not zero, once")
    input_repeats: float = _column(
        "additions", "adding the kept currents of the input again: targets x timesteps; 0 if nothing is kept"
    )
    input_acs_per_step: float = _column("AC", "the input as events in every step in which it is not zero")
    input_macs_per_step: float = _column("MAC", "the same for amounts other than 1 and -1")
    integrations: float = _column("additions", "v + z: neurons x steps in which they are advanced")
    bias_additions: float = _column("additions", "biases that are not zero x steps that have a bias")
    comparisons: float = _column(
        "comparisons", "thresholds: neurons x steps, two for signed ones; values in the windows of maxima"
    )
    resets: float = _column("subtractions", "events of neurons; one of s spikes subtracts s thresholds")
    leaks: float = _column("multiplications", "0: the neurons do not leak")
    events: float = _column("events", "emitted by neurons: a burst is one")
    spikes: float = _column("spikes", "sum of their absolute amounts, spikes that are taken back counted too")
    spikes_per_neuron: float = _column("spikes", "spikes / neurons")
    input_events: float = _column("events", "inputs that are not zero, in each step in which they act")
    n_steps: float = _column("steps", "until nothing was on its way: input, hidden and settling steps; mean")
    n_steps_most: int = _column("steps", "the same, largest")
    n_neurons: int = _column("neurons", "that spike")
    activation_sparsity: float = _column("share", "1 - events / (neurons x steps)")
    connection_sparsity: float = _column("share", "weights of the spiking network that are zero")
    footprint_bytes: float = _column(
        "bytes", "of weights, biases, thresholds and first potentials (NeuroBench Footprint)"
    )
    n_weights: int = _column("weights", "of the spiking network, shared ones once")
    weight_bytes: float = _column("bytes", "read: one number for each AC and MAC, input once")
    state_bytes: float = _column(
        "bytes", "numbers read and written: 2 for an addition (a current), 5 for an integration"
        " (current and potential read and written, threshold read)",
    )  # fmt: skip
    event_bytes: float = _column("bytes", "events x (4 for the unit + one number) x 2: written and read")
    total_once: float = _column("operations", "all of the spiking network; input once and its repeats")
    total_per_step: float = _column("operations", "all of the spiking network; input in every step")
    layers: tuple[SourceLayer, ...] = ()
    links: tuple[LinkOperations, ...] = ()
    populations: tuple[PopulationOperations, ...] = ()

    def columns(self) -> tuple[tuple[str, float, str, str], ...]:
        """(name, value, unit, formula) of every number."""
        return tuple(
            (f.name, getattr(self, f.name), f.metadata["unit"], f.metadata["formula"])
            for f in fields(self)
            if f.metadata
        )

    def neurobench(self) -> dict[str, dict[str, float]]:
        """The columns under NeuroBench's names, of the source and of the spiking network.

        Differences in what they mean are in docs/converters.md, section NeuroBench.
        """
        return {
            "source": {
                "ParameterCount": self.source_parameters,
                "ConnectionSparsity": self.source_connection_sparsity,
                "ActivationSparsity": self.source_activation_sparsity,
                "Effective_MACs": self.effective_macs,
                "Effective_ACs": 0.0,
                "Dense": self.in_map_macs,
            },
            "spiking": {
                "Footprint": self.footprint_bytes,
                "ConnectionSparsity": self.connection_sparsity,
                "ActivationSparsity": self.activation_sparsity,
                "Effective_MACs": self.synaptic_macs + self.input_macs_per_step,
                "Effective_ACs": self.synaptic_acs + self.input_acs_per_step,
                "Dense": self.in_map_macs * self.n_steps,
                "MembraneUpdates": self.integrations,
            },
        }

    def ratios(self) -> dict[str, float]:
        """Operations of the spiking network over those of the source, in every convention side by side."""
        sources = {
            "dense MAC": self.dense_macs,
            "2 x dense MAC + bias": self.dense_ops,
            "zero-skipping MAC": self.effective_macs,
            "zero-skipping MAC + bias + others": self.effective_macs
            + self.source_biases
            + self.source_others,
        }
        synaptic = self.synaptic_acs + self.synaptic_macs
        own = {
            "synaptic only": synaptic,
            "all, input once": self.total_once,
            "all, input in each step": self.total_per_step,
        }
        return {f"{a} / {b}": x / y for a, x in own.items() for b, y in sources.items() if y > 0}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: columns with value, unit and formula, then the tables of layers."""
        return {
            "columns": {name: {"value": v, "unit": u, "formula": f} for name, v, u, f in self.columns()},
            "ratios": self.ratios(),
            "neurobench": self.neurobench(),
            "layers": [asdict(layer) for layer in self.layers],
            "links": [asdict(link) for link in self.links],
            "populations": [asdict(population) for population in self.populations],
        }

    def table(self) -> str:
        """The columns as text."""
        rows = [(name, f"{value:,.6g}", unit, formula) for name, value, unit, formula in self.columns()]
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(
            f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.ljust(widths[2])}  {d}" for a, b, c, d in rows
        )
