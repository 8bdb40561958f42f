"""Operations and sparsity as counted here, beside NeuroBench's of the same models and the same inputs.

    python benchmarks/neurobench_compare.py [--python PATH]

Needs neurobench, torch and snntorch; --python names an interpreter that has them and snnsim.  Three
networks, a perceptron, one of which half the weights are pruned, and a convolutional one, run in NeuroBench
as torch modules; then as spiking networks of snnTorch with the thresholds that the conversion to rates has
found, the same input in each step.  Writes benchmarks/results/neurobench_compare.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from record import head

RESULTS = Path(__file__).resolve().parent / "results" / "neurobench_compare.json"
PACKAGES = ("snnsim", "neurobench", "snntorch", "torch", "numpy")
STEPS, SAMPLES = 8, 32
MODELS = ("mlp", "pruned mlp", "cnn")


def torch_model(name: str) -> Any:
    """mlp: 64-48-32-10, pruned: half its weights zero; cnn: padding, stride, groups, batch norm, average."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    if name.endswith("mlp"):
        net = nn.Sequential(
            nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)
        )  # fmt: skip
        with torch.no_grad():
            for layer in (net[0], net[2], net[4]) if name == "pruned mlp" else ():
                layer.weight[torch.rand_like(layer.weight) < 0.5] = 0.0
    else:
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10),
        )  # fmt: skip
        net[1].running_mean.uniform_(-0.1, 0.1)
        net[1].running_var.uniform_(0.5, 1.5)
    return net.eval()


def inputs(name: str) -> np.ndarray:
    """float32[samples, ...] in [0, 1), three quarters of them zero."""
    rng = np.random.default_rng(0)
    shape = (SAMPLES, 64) if name.endswith("mlp") else (SAMPLES, 1, 8, 8)
    return (rng.random(shape) * (rng.random(shape) < 0.25)).astype(np.float32)


def spiking_model(conversion: Any) -> Any:
    """The converted network as an snnTorch module: weights times thresholds.

    snnTorch's own reset by subtraction takes an overcharged neuron's threshold off before it looks whether
    the neuron spikes, and so loses spikes; here the neurons spike first.
    """
    import snntorch
    import torch
    from torch import nn

    from snnsim.converters import graph as g

    class Integrator(snntorch.Leaky):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v = x + self.mem if self.mem.shape == x.shape else x
            spikes = (v >= self.threshold).double()
            self.mem = v - spikes * self.threshold
            return spikes

    layers: list[nn.Module] = []
    scale = 1.0  # value of a spike of the layer before
    for node in conversion.graph.nodes[1:]:
        match node:
            case g.Linear() | g.Conv():
                layer = (
                    nn.Linear(*reversed(node.weight.shape))
                    if isinstance(node, g.Linear)
                    else nn.Conv2d(
                        node.weight.shape[1] * node.groups, node.weight.shape[0], node.weight.shape[2:],
                        node.stride, node.padding[0], node.dilation, node.groups,
                    )
                )  # fmt: skip
                layer.weight.data = torch.tensor(node.weight * scale)
                layer.bias.data = torch.tensor(node.bias)
                layers.append(layer)
            case g.ReLU():
                scale = float(np.asarray(conversion.network.populations[node.name].unit.v_th_mv)[0])
                layers.append(Integrator(beta=1.0, threshold=scale, init_hidden=True))
            case g.AvgPool():
                layers.append(nn.AvgPool2d(node.kernel, node.stride))
            case g.Flatten():
                layers.append(nn.Flatten())

    class Spiking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(layers)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            for layer in self.layers:
                x = layer(x)
            return x, None

    return Spiking().double()


def neurobench(model: Any, x: np.ndarray) -> dict[str, float]:
    """What NeuroBench says about a wrapped model; x as it takes it."""
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.from_numpy(x), torch.zeros(len(x), dtype=torch.long))
    static = [Footprint, ConnectionSparsity, ParameterCount]
    workload = [ActivationSparsity, SynapticOperations, MembraneUpdates]
    with torch.no_grad():
        found = Benchmark(model, DataLoader(data, SAMPLES), [], [], [static, workload]).run(quiet=True)
    flat = {key: value for key, value in found.items() if not isinstance(value, dict)}
    flat |= found["SynapticOperations"]
    return {key: float(value) for key, value in flat.items()}


def compare(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """{"source" or "spiking": {column: {"neurobench", "snnsim"}}} of one model."""
    from neurobench.models import SNNTorchModel, TorchModel

    from snnsim.converters.convert import convert

    net, x = torch_model(name), inputs(name)
    theirs = {"source": neurobench(TorchModel(net), x)}
    conversion = convert(net, x, "rate", timesteps=STEPS, normalisation="spikingjelly-max")
    repeated = np.repeat(x[:, None].astype(np.float64), STEPS, axis=1)
    spiking = spiking_model(conversion)
    theirs["spiking"] = neurobench(SNNTorchModel(spiking), repeated)
    operations = conversion.operations(x)
    ours = operations.neurobench()
    ours["spiking"]["pooling of events"] = operations.pooling_acs + operations.pooling_macs
    found: dict[str, dict[str, dict[str, float]]] = {}
    for system, columns in ours.items():
        found[system] = {}
        for column in columns | theirs[system]:
            pair = {"neurobench": theirs[system].get(column), "snnsim": columns.get(column)}
            found[system][column] = {key: value for key, value in pair.items() if value is not None}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", help="an interpreter that has neurobench, torch, snntorch and snnsim")
    asked = parser.parse_args()
    if asked.python:
        subprocess.run([asked.python, __file__], env=dict(os.environ), check=True)
        return
    rows = {name: compare(name) for name in MODELS}
    for name, systems in rows.items():
        for system, columns in systems.items():
            print(f"\n{name}, {system}\n{'':22}{'NeuroBench':>16}{'snnsim':>16}")
            for column, pair in columns.items():
                words = [f"{pair[who]:,.6g}" if who in pair else "-" for who in ("neurobench", "snnsim")]
                print(f"{column:22}{words[0]:>16}{words[1]:>16}")
    record = {
        **head("neurobench_compare", "python benchmarks/neurobench_compare.py", PACKAGES),
        "steps": STEPS,
        "samples": SAMPLES,
        "models": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
