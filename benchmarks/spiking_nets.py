"""The spiking networks of benchmarks/quantised_mnist.py, and their training on MNIST.

    .venv/bin/python benchmarks/spiking_nets.py --data DIR [--cache DIR] [NAME ...]

mlp   784-128-10, integrate-and-fire
cnn   two convolutions with stride 2 (12 and 24 channels) and a linear layer, leaky integrate-and-fire

Both are trained as chips of the Loihi kind compute: reset to zero, a delay of one step at every connection,
biases that act in each step, and a readout that adds up.  An image is shown as binary frames, frame t where
pixels are brighter than LEVELS[t].  Each network has a twin of the same shape with ReLU in place of spikes,
from whose weights its training starts.  With `bits` the weights are trained on the grid of a target
(straight-through gradients), beginning with those of the spiking network.  Training goes on from the last
epoch in the cache folder, and does not look at test images.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mnist_mlp import shifted
from torch import nn

from snnsim.datasets import Dataset, load_dataset
from snnsim.layer_neurons import Readout
from snnsim.layers import Conv, Dense, LayerRule
from snnsim.models import IF, LIF
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

CACHE = Path(__file__).resolve().parent / ".cache"
LEVELS = (1 / 2, 1 / 8, 3 / 4, 3 / 8, 1 / 4, 7 / 8, 5 / 8, 1 / 16)
_BATCH, _SEED = 100, 0


@dataclass(frozen=True)
class Recipe:
    """One network: frames it is shown, share of potential left after a step, epochs of training."""

    frames: int
    kept: float
    twin_epochs: int
    epochs: int
    grid_epochs: int
    lr: float


RECIPES = {
    "mlp": Recipe(frames=8, kept=1.0, twin_epochs=12, epochs=12, grid_epochs=4, lr=1e-3),
    "cnn": Recipe(frames=4, kept=math.exp(-1 / 8), twin_epochs=6, epochs=10, grid_epochs=3, lr=2e-3),
}


class _Spike(torch.autograd.Function):
    """1 where the potential is above the threshold 1; gradient 1 / (1 + 4 |v - 1|)^2."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(v)
        return (v > 1).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (v,) = ctx.saved_tensors
        return gradients[0] / (1 + 4 * (v - 1).abs()).square()


class Spiking(nn.Module):
    """A chain of linear or convolutional layers; spikes float[n, frames, 1, 28, 28] -> potentials float[n,
    10].

    Layer l sees what layer l - 1 emitted a step before; with L layers there are frames + L steps.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.recipe = RECIPES[name]
        found: list[nn.Module] = [nn.Linear(784, 128), nn.Linear(128, 10)]
        if name == "cnn":
            found = [nn.Conv2d(1, 12, 5, stride=2), nn.Conv2d(12, 24, 3, stride=2), nn.Linear(600, 10)]
        self.layers = nn.ModuleList(found)
        self.fake: list[Any] = [None] * len(found)

    def currents(self, k: int, x: torch.Tensor) -> torch.Tensor:
        """What layer k adds to its potentials, without bias."""
        layer = self.layers[k]
        weight = layer.weight if self.fake[k] is None else self.fake[k](layer.weight)
        if isinstance(layer, nn.Conv2d):
            return nn.functional.conv2d(x, weight, stride=layer.stride)
        return x.flatten(1) @ weight.T

    def bias(self, k: int) -> torch.Tensor:
        bias = self.layers[k].bias
        return bias[:, None, None] if isinstance(self.layers[k], nn.Conv2d) else bias

    def twin(self, x: torch.Tensor) -> torch.Tensor:
        """The same layers with ReLU, for float[n, 1, 28, 28]."""
        for k in range(len(self.layers)):
            x = self.currents(k, x) + self.bias(k)
            if k < len(self.layers) - 1:
                x = torch.relu(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, n_steps, last = len(x), x.shape[1] + len(self.layers), len(self.layers) - 1
        for k in range(len(self.layers)):
            z = self.currents(k, x.flatten(0, 1))
            z = z.view(n, x.shape[1], *z.shape[1:])
            gap = n_steps - 1 - z.shape[1]  # spikes of the last step arrive when all is over
            z = torch.cat([z.new_zeros(n, 1, *z.shape[2:]), z, z.new_zeros(n, gap, *z.shape[2:])], 1)
            z = z + self.bias(k)
            if k == last:
                return z.sum(1)
            v, spikes = torch.zeros_like(z[:, 0]), []
            for t in range(n_steps):
                v = self.recipe.kept * v + z[:, t]
                spike = _Spike.apply(v)
                v = v * (1 - spike.detach())
                spikes.append(spike)
            x = torch.stack(spikes[:-1], 1)
        raise ValueError("no layers")


def frames(images: np.ndarray, n_frames: int) -> np.ndarray:
    """uint8[n, n_frames, 784] of images from 0 to 1, float[n, 784]."""
    return (images[:, None, :] > np.array(LEVELS[:n_frames])[:, None]).astype(np.uint8)


def as_network(model: Spiking) -> Network:
    """The same as a layered network of snnsim; the step is 1 ms."""
    populations, projections = {}, {}
    shape, source = (28, 28), "input"
    for k, layer in enumerate(model.layers):
        last = k == len(model.layers) - 1
        weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
        if isinstance(layer, nn.Conv2d):
            rule: LayerRule = Conv(weight=weight, height=shape[0], width=shape[1], stride_h=2, stride_w=2)
            shape = rule.target_map()
            bias = np.repeat(bias, shape[0] * shape[1])
        else:
            rule = Dense(weight=weight)
        name = "readout" if last else f"hidden{k + 1}"
        populations[name] = Population(
            n=bias.size, neuron=Readout(bias_mv=bias) if last else _neuron(model.recipe.kept, bias)
        )
        factor = (
            1.0 if last else 1 / model.recipe.kept
        )  # a leaky neuron loses of what arrives in the same step
        projections[f"{source}_to_{name}"] = Projection(
            source=source, target=name, rule=rule, weight_mv=factor, delay_ms=1.0
        )
        source = name
    return Network(stimuli={"input": Analogue(n=784)}, populations=populations, projections=projections)


def _neuron(kept: float, bias: np.ndarray) -> IF | LIF:
    c_m = 250.0
    given = {"v_th_mv": 1.0, "v_reset_mv": 0.0, "v_init_mv": 0.0, "c_m_pf": c_m}
    if kept == 1.0:
        return IF(**given, i_bias_pa=c_m * bias)
    tau = -1 / math.log(kept)
    return LIF(**given, tau_m_ms=tau, v_rest_mv=0.0, i_bias_pa=c_m * bias / (tau * (1 - kept)))


def train(name: str, data: Dataset, cache: Path, kind: str = "spiking", fake: Sequence[Any] = ()) -> Spiking:
    """The trained network, from the cache or by training; the cache is written after every epoch.

    kind  twin: with ReLU; spiking: from the twin's weights; other words: from those of the spiking network,
          with `fake` between the weights and the layers
    """
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    model, path, begun = Spiking(name), cache / f"spiking-{name}-{kind}.pt", 0
    recipe = model.recipe
    epochs = {"twin": recipe.twin_epochs, "spiking": recipe.epochs}.get(kind, recipe.grid_epochs)
    lr = recipe.lr if kind in ("twin", "spiking") else recipe.lr / 4
    optimiser = torch.optim.Adam(model.parameters(), lr)
    if path.exists():
        state = torch.load(path, weights_only=True)
        begun = int(state["epoch"])
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    elif kind != "twin":
        model.load_state_dict(
            train(name, data, cache, "twin" if kind == "spiking" else "spiking").state_dict()
        )
    model.fake = list(fake) or model.fake
    if begun == epochs:
        return model.eval()
    chosen, _ = data.split(None, 0)
    x = torch.from_numpy(data.images[chosen].astype(np.float32))
    labels = torch.from_numpy(data.labels[chosen])
    levels = torch.tensor(LEVELS[: recipe.frames])[:, None]
    steps = len(x) // _BATCH
    for epoch in range(begun, epochs):
        chance = torch.Generator().manual_seed(1000 * _SEED + epoch)
        order, right = torch.randperm(len(x), generator=chance), 0
        for k in range(steps):
            part = (epoch * steps + k) / (epochs * steps)
            optimiser.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * part))
            these = order[k * _BATCH : (k + 1) * _BATCH]
            seen = shifted(x[these], chance)
            if kind == "twin":
                scores = model.twin(seen.view(-1, 1, 28, 28))
            else:
                shown = (seen[:, None, :] > levels).float().view(_BATCH, -1, 1, 28, 28)
                scores = model(shown)
            loss = nn.functional.cross_entropy(scores, labels[these])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += int((scores.argmax(1) == labels[these]).sum())
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        torch.save(
            {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}, unfinished
        )
        unfinished.replace(path)
        print(
            f"{name} {kind}: epoch {epoch + 1} of {epochs}, {right / len(x):.2%} of training images",
            flush=True,
        )
    return model.eval()


def accuracy(model: Spiking, images: np.ndarray, labels: np.ndarray, twin: bool = False) -> float:
    """The share of images, float[n, 784], whose class is found."""
    right = 0
    with torch.no_grad():
        for low in range(0, len(images), 500):
            part = images[low : low + 500].astype(np.float32)
            if twin:
                scores = model.twin(torch.from_numpy(part).view(-1, 1, 28, 28))
            else:
                shown = torch.from_numpy(frames(part, model.recipe.frames).astype(np.float32))
                scores = model(shown.view(len(part), -1, 1, 28, 28))
            right += int((scores.argmax(1).numpy() == labels[low : low + 500]).sum())
    return right / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; all of them")
    parser.add_argument("--data", required=True, help="folder with mnist/")
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: %(default)s")
    options = parser.parse_args()
    data = load_dataset("mnist", options.data)
    for name in options.names or RECIPES:
        train(name, data, options.cache)


if __name__ == "__main__":
    main()
