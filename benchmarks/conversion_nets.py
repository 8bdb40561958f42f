"""The trained networks of the conversion benchmarks, and their training.

    .venv/bin/python benchmarks/conversion_nets.py mnist|fashion --data DIR [--cache DIR]

mnist    SpikingJelly's tutorial network, 3 x (convolution with 32 channels, batch normalisation, ReLU,
         average pool) and a linear layer, trained as there: Adam, 1e-3, weight decay 5e-4, 10 epochs
fashion  a stem, two residual blocks of a depthwise and a pointwise convolution, batch normalisation behind
         every convolution, max pools between, a global average

Training goes on from the last epoch in the cache folder, and does not look at test images.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

CACHE = Path(__file__).resolve().parent / ".cache"
_SEED = 0


def mnist_cnn() -> nn.Module:
    """float[n, 1, 28, 28] -> float[n, 10]; 20,490 weights."""
    layers: list[nn.Module] = []
    for channels in (1, 32, 32):
        layers += [nn.Conv2d(channels, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 10))


class Block(nn.Module):
    """relu(x + pointwise(relu(depthwise(x)))), batch normalisation behind both convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.pointwise(self.relu1(self.bn1(self.depthwise(x)))))
        return self.relu2(x + y)


def fashion_net() -> nn.Module:
    """float[n, 1, 28, 28] -> float[n, 10]."""

    def stage(before: int, channels: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, channels, kernel, padding=kernel // 2, bias=False)
        return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]

    return nn.Sequential(
        *stage(1, 16, 3), nn.MaxPool2d(2), Block(16), *stage(16, 32, 3), nn.MaxPool2d(2), Block(32),
        *stage(32, 64, 1), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; lr falls to zero along a cosine where `cosine` is set."""

    dataset: str
    epochs: int
    batch: int
    lr: float
    weight_decay: float
    cosine: bool
    flip: bool


RECIPES = {
    "mnist": Recipe("mnist", 10, 100, 1e-3, 5e-4, cosine=False, flip=False),
    "fashion": Recipe("fashion-mnist", 5, 128, 5e-3, 1e-4, cosine=True, flip=True),
}
_MAKE = {"mnist": mnist_cnn, "fashion": fashion_net}


@dataclass(frozen=True)
class Images:
    """float32[n, 1, 28, 28] from 0 to 1, and int64[n]."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def images(name: str, data: Path | str) -> Images:
    """The official division of the data set that a network was trained on."""
    from snnsim.datasets import load_dataset  # here, for others load these networks without snnsim

    found = load_dataset(RECIPES[name].dataset, data)
    x = found.images.astype(np.float32).reshape(-1, 1, *found.image_shape)
    train, test = found.split(None, 0)
    return Images(x[train], found.labels[train], x[test], found.labels[test])


def load(name: str, cache: Path = CACHE) -> nn.Module:
    """The trained network, in eval mode; FileNotFoundError where it was not trained."""
    model = _MAKE[name]()
    state = torch.load(cache / f"{name}.pt", weights_only=True)
    if state["epoch"] < RECIPES[name].epochs:
        raise FileNotFoundError(f"{name} has {state['epoch']} epochs only: train it to its end first")
    model.load_state_dict(state["model"])
    return model.eval()


def train(name: str, data: Path | str, cache: Path = CACHE) -> None:
    """Train, or go on; one file in the cache, written after every epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    recipe, model, path = RECIPES[name], _MAKE[name](), cache / f"{name}.pt"
    optimiser = torch.optim.Adam(model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    begun = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        begun = state["epoch"]
    given = images(name, data)
    x, labels = torch.from_numpy(given.train), torch.from_numpy(given.train_labels)
    steps = -(-len(x) // recipe.batch)
    for epoch in range(begun, recipe.epochs):
        chance = torch.Generator().manual_seed(1000 * _SEED + epoch)
        order = torch.randperm(len(x), generator=chance)
        model.train()
        right = 0
        for k in range(steps):
            if recipe.cosine:
                part = (epoch * steps + k) / (recipe.epochs * steps)
                optimiser.param_groups[0]["lr"] = recipe.lr * 0.5 * (1 + math.cos(math.pi * part))
            chosen = order[k * recipe.batch : (k + 1) * recipe.batch]
            shown = x[chosen]
            if recipe.flip:
                turned = torch.rand(len(chosen), generator=chance) < 0.5
                shown = torch.where(turned[:, None, None, None], shown.flip(3), shown)
            scores = model(shown)
            loss = nn.functional.cross_entropy(scores, labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += int((scores.argmax(1) == labels[chosen]).sum())
        cache.mkdir(parents=True, exist_ok=True)
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)
        done = f"epoch {epoch + 1} of {recipe.epochs}"
        print(f"{name}: {done}, {right / len(x):.2%} of training images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=tuple(RECIPES))
    parser.add_argument("--data", required=True, help="folder with mnist/ and fashion-mnist/")
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: %(default)s")
    options = parser.parse_args()
    train(options.name, options.data, options.cache)


if __name__ == "__main__":
    main()
