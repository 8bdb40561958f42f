"""NeuroBench's terms of an integer network, against loops over events and sums by hand."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from benchmark_files import load
from chip_networks import dense, image_network, lif, link, spikes

from snnsim import Network, Population, Probe, Simulator
from snnsim.hardware.neurobench_terms import Widths, n_ops, neurobench_terms
from snnsim.hardware.synapses import synapses
from snnsim.integer_neurons import RULES
from snnsim.layer_neurons import Readout
from snnsim.layers import Dense, SumPool
from snnsim.stimuli import Analogue

STEPS = 10
ABSENT = [n for n in ("neurobench", "snntorch", "torch") if importlib.util.find_spec(n) is None]


def recorded(network: Network, given: np.ndarray, name: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of each unit, and the potentials before each step."""
    probes = {name: Probe(target=name), "v": Probe(target=name, variable="v")}
    simulator = Simulator(replace(network, probes=probes), batch=1, dt_ms=1.0)
    simulator.present({"pixels": given})
    simulator.run_steps(steps)
    at, ids = simulator.spikes(name)
    n = network.populations[name].n
    return np.bincount(ids[at < STEPS], minlength=n), simulator.samples("v")[1][:, 0]


def test_every_term_of_a_network() -> None:
    network, given = image_network(), spikes(1, STEPS, 72)
    found = neurobench_terms(network, {"pixels": given}, STEPS, widths=Widths(4, 8, 16))
    fired, updates = {"pixels": given[0].sum(axis=0)}, 0
    for name, population in network.populations.items():
        fired[name], potential = recorded(network, given, name, STEPS + 1)
        updates += population.n + np.count_nonzero(potential[2:] != potential[1:-1])
    acs = dense_ops = 0
    for p in network.projections.values():
        table = synapses(p)
        acs += sum(fired[p.source][s] for s, w in zip(table.source, table.weight, strict=True) if w)
        dense_ops += table.source.size * STEPS
    weights = [p.rule.weight for p in network.projections.values()]  # type: ignore[attr-defined]
    n_weights = sum(w.size for w in weights)
    events = sum(fired[name].sum() for name in network.populations)
    assert found.effective_acs == acs > 0
    assert found.effective_macs == found.pooling == 0
    assert found.dense == dense_ops
    assert found.membrane_updates == updates
    assert found.connection_sparsity == sum((w == 0).sum() for w in weights) / n_weights
    assert found.activation_sparsity == pytest.approx(1 - events / (32 * STEPS))
    assert found.weight_bytes == n_weights * 4 / 8
    # threshold, decay_u, decay_v, bias, v_reset, refractory; the bias of "out" five times
    assert found.parameter_bytes == (6 + 10) * 8 / 8
    assert found.state_bytes == 2 * 32 * 16 / 8
    assert found.neuron_ops_dense == STEPS * (27 * 4 + 5 * 5)
    assert 0 < found.neuron_ops < found.neuron_ops_dense
    assert found.neurobench()["Footprint"] == found.footprint_bytes == found.as_dict()["footprint_bytes"]


def test_amounts_multiply_and_pools_stand_aside() -> None:
    pool = SumPool(n_channels=1, height=4, width=4, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    network = Network(
        stimuli={"in": Analogue(n=16)},
        populations={"pooled": Population(n=4, neuron=lif()), "out": Population(n=3, neuron=Readout())},
        projections={
            "pool": link("in", "pooled", pool),
            "skip": link("in", "out", dense(np.random.default_rng(0), 16, 3)),
        },
    )
    given = np.zeros((2, 16))
    given[0, :4], given[1, :2] = 1.0, 3.0
    found = neurobench_terms(network, {"in": given}, 4, repeat=2)
    assert found.n_samples == 2
    assert found.effective_acs == 2 * 4 * 3 / 2
    assert found.effective_macs == 2 * 2 * 3 / 2
    assert found.pooling == 2 * (4 + 2) / 2
    assert found.dense == 16 * 3 * 4


def test_four_operations_of_a_leaky_neuron() -> None:
    assert n_ops(lif()) == 4
    assert n_ops(lif(decay_v=0)) == 3
    assert n_ops(lif(decay_u=100, bias=3)) == 7
    assert n_ops(lif(rule=RULES["generic-int8"], decay_u=0)) == 4


@pytest.mark.peer
@pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
@pytest.mark.filterwarnings("ignore")  # of NeuroBench and what it needs
def test_the_same_numbers_as_neurobench() -> None:
    import snntorch
    import torch
    from neurobench.models import SNNTorchModel
    from torch import nn

    benchmark = load("neurobench_compare")

    class Integrator(snntorch.Leaky):  # spikes before it takes the threshold off
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v = x + self.mem if self.mem.shape == x.shape else x
            spikes = (v >= self.threshold).double()
            self.mem = v - spikes * self.threshold
            return spikes

    class Spiking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList()
            for p in network.projections.values():
                weight = torch.tensor(p.rule.weight)  # type: ignore[attr-defined]
                linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
                linear.weight.data = weight
                self.layers += [linear, Integrator(beta=1.0, threshold=20.0, init_hidden=True)]

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            for layer in self.layers:
                x = layer(x)
            return x, None

    rng = np.random.default_rng(0)
    neuron = lif(rule=RULES["generic-int16"], threshold=20, decay_u=0, decay_v=0)
    network = Network(
        stimuli={"in": Analogue(n=64)},
        populations={"a": Population(n=48, neuron=neuron), "b": Population(n=10, neuron=neuron)},
        projections={
            "a": link("in", "a", Dense(weight=rng.integers(-2, 4, (48, 64)).astype(float)), 0),
            "b": link("a", "b", dense(rng, 48, 10, 0.6), 0),
        },
    )
    given = spikes(32, 8, 64)
    theirs = benchmark.neurobench(SNNTorchModel(Spiking().double()), given)
    ours = neurobench_terms(network, {"in": given}, 8).neurobench()
    columns = ("ActivationSparsity", "Effective_ACs", "Effective_MACs", "Dense", "MembraneUpdates")
    for column in columns:
        assert ours[column] == pytest.approx(theirs[column], rel=1e-12), column
    assert ours["ConnectionSparsity"] == pytest.approx(theirs["ConnectionSparsity"], abs=5e-5)
    assert ours["Effective_ACs"] > 0 < ours["ConnectionSparsity"]
