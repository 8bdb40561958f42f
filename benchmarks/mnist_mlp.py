"""The networks 784-1200-1200-10 of benchmarks/mnist_operations.py, and their training on MNIST.

    .venv/bin/python benchmarks/mnist_mlp.py --data DIR [--cache DIR] [NAME ...]

Without names all of RECIPES are trained, each from the last epoch in the cache folder; about 15 s an epoch on
one core.  The last 5,000 training images are kept for validation; test images are not looked at.

Sparse networks are trained with their own price: what an event of a layer costs is its fan-out, so

    loss = cross entropy + penalty x (1200 E1 + 10 E2) / 2,392,800

where E is how many units of a layer are active, in a form that has a gradient: for ReLU the squared L1 norm
over the squared L2 norm, which no scaling of weights can lower (Hoyer 2004; Yang et al. 2020), for quantised
activations the number of integers that are not zero.  Quantised activations have a threshold of 1,

    n = clip(floor(z + 1/2), 0, levels),   dn/dz = 1 where -1/2 < z < levels + 1/2, else 0.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snnsim.datasets import Dataset, load_dataset

CACHE = Path(__file__).resolve().parent / ".cache"
SIZES = (784, 1200, 1200, 10)
DENSE = sum(a * b for a, b in zip(SIZES, SIZES[1:], strict=False))
N_VALIDATION = 5000
GRIDS = ((1, 1), (0, 0), (0, 1), (1, 0))  # the first row and column; every other one follows
_N_GRIDS = {"grey": 4, "binary": 4, "three": 3, "half": 2, "quarter": 1}
_BATCH, _SEED, _SHIFT = 256, 0, 1


@dataclass(frozen=True)
class Recipe:
    """One network.

    pixels   what it is given: grey, binary, half, quarter; see `encode`
    levels   largest integer of an activation; 0: ReLU
    penalty  of operations
    start    the recipe whose weights it starts from
    early    it sees the first grids of every image, as many as chance will have it
    spikes   the penalty is on spikes: those of the second hidden layer cost as much as those of the first
    """

    name: str
    pixels: str
    levels: int = 0
    penalty: float = 0.0
    epochs: int = 6
    start: str | None = None
    lr: float = 1e-3
    early: bool = False
    spikes: bool = False


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("ordinary", "grey"),
        Recipe("sparse-binary", "binary", penalty=1.0),
        Recipe("one-level", "binary", 1, 1.0, 5, "sparse-binary"),
        Recipe("three-level", "binary", 3, 1.0, 3, "sparse-binary", 5e-4),
        Recipe("grids", "binary", 3, 1.0, 6, "three-level", early=True),
        Recipe("few-spikes", "grey", penalty=0.3, epochs=3, start="ordinary", lr=5e-4, spikes=True),
    )
}


def encode(images: np.ndarray, pixels: str) -> np.ndarray:
    """float32[n, 784] of images from 0 to 1, float[n, 784].

    grey     as they are
    binary   1 where brighter than a half;  half, quarter  the same, the first two or the first of GRIDS only
    """
    if pixels == "grey":
        return images.astype(np.float32)
    return ((images > 0.5) & seen(pixels)).astype(np.float32)


def grid(k: int) -> np.ndarray:
    """bool[784]: the pixels of grid k."""
    row, column = np.divmod(np.arange(SIZES[0]), 28)
    return np.asarray((row % 2 == GRIDS[k][0]) & (column % 2 == GRIDS[k][1]))


def seen(pixels: str) -> np.ndarray:
    """bool[784]: the pixels that are looked at."""
    return np.any([grid(k) for k in range(_N_GRIDS[pixels])], axis=0)


class _Rounded(torch.autograd.Function):
    """n = clip(floor(z + 1/2), 0, levels), with the gradient of a straight line where it is not flat."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, levels: int) -> torch.Tensor:
        ctx.save_for_backward((z > -0.5) & (z < levels + 0.5))
        return torch.clamp(torch.floor(z + 0.5), 0, levels)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None


def network() -> nn.Sequential:
    """784-1200-1200-10 with ReLU: what is converted, and what all recipes train."""
    layers: list[nn.Module] = []
    for before, after in zip(SIZES, SIZES[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def forward(
    model: nn.Sequential, x: torch.Tensor, levels: int, spikes: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs, and the mean over samples of the operations that leave the hidden layers (see above)."""
    operations = torch.zeros(())
    fan_outs = iter((SIZES[2], SIZES[2]) if spikes else SIZES[2:])
    for layer in model:
        if isinstance(layer, nn.ReLU):
            x = _Rounded.apply(x, levels) if levels else layer(x)
            if levels:
                active = x.clamp(max=1).sum(1)
            else:
                active = x.sum(1).square() / (x.square().sum(1) + 1e-9)
            operations = operations + active.mean() * next(fan_outs)
        else:
            x = layer(x)
    return x, operations


def accuracy(model: nn.Sequential, recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images, float[n, 784], whose class is found."""
    with torch.no_grad():
        scores, _ = forward(model, torch.from_numpy(encode(images, recipe.pixels)), recipe.levels)
    return float((scores.argmax(1).numpy() == labels).mean())


@dataclass(frozen=True)
class Data:
    """Images from 0 to 1, float64[n, 784], and classes int64[n]."""

    train: np.ndarray
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def divide(data: Dataset, n_validation: int = N_VALIDATION) -> Data:
    """The data set's own division; the last training images are for validation."""
    train, test = data.split(None, 0)
    train, held = train[:-n_validation], train[-n_validation:]
    x, y = data.images, data.labels
    return Data(x[train], y[train], x[held], y[held], x[test], y[test])


def shifted(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Every image [n, 784] moved by up to a pixel, up or down and left or right."""
    n, side = len(images), 28
    padded = nn.functional.pad(images.view(n, side, side), (_SHIFT,) * 4).view(n, -1)
    by = torch.randint(0, 2 * _SHIFT + 1, (n, 2), generator=chance)
    width = side + 2 * _SHIFT
    place = (torch.arange(side)[:, None] * width + torch.arange(side)).view(-1)
    return padded.gather(1, place + (by[:, :1] * width + by[:, 1:]))


def train(recipe: Recipe, data: Data, cache: Path) -> nn.Sequential:
    """The trained network, from the cache or by training; the cache is written after every epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    model, path, begun = network(), cache / f"mlp-{recipe.name}.pt", 0
    optimiser = torch.optim.Adam(model.parameters(), recipe.lr)
    if path.exists():
        state = torch.load(path, weights_only=True)
        begun = int(state["epoch"])
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    elif recipe.start is not None:
        model = train(RECIPES[recipe.start], data, cache)
        if recipe.levels and not RECIPES[recipe.start].levels:
            rescale(model, torch.from_numpy(encode(data.train[:1000], recipe.pixels)), recipe.levels)
        optimiser = torch.optim.Adam(model.parameters(), recipe.lr)
    if begun == recipe.epochs:
        return model.eval()
    x, labels = torch.from_numpy(data.train.astype(np.float32)), torch.from_numpy(data.train_labels)
    steps = len(x) // _BATCH
    masks = torch.from_numpy(np.array([seen(pixels) for pixels in ("quarter", "half", "three", "binary")]))
    for epoch in range(begun, recipe.epochs):
        chance = torch.Generator().manual_seed(1000 * _SEED + epoch)
        order = torch.randperm(len(x), generator=chance)
        cost = 0.0
        for k in range(steps):
            done = (epoch * steps + k) / (recipe.epochs * steps)
            optimiser.param_groups[0]["lr"] = recipe.lr * (1 - done)
            chosen = order[k * _BATCH : (k + 1) * _BATCH]
            shown = shifted(x[chosen], chance)
            if recipe.early:
                shown = ((shown > 0.5) & masks[torch.randint(0, 4, (_BATCH,), generator=chance)]).float()
            elif recipe.pixels != "grey":
                shown = ((shown > 0.5) & masks[_N_GRIDS[recipe.pixels] - 1]).float()
            scores, operations = forward(model, shown, recipe.levels, recipe.spikes)
            loss = nn.functional.cross_entropy(scores, labels[chosen]) + recipe.penalty * operations / DENSE
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cost += float(operations.detach()) / steps
        cache.mkdir(parents=True, exist_ok=True)
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)
        right = accuracy(model, recipe, data.validation, data.validation_labels)
        print(
            f"{recipe.name}: epoch {epoch + 1} of {recipe.epochs}, {right:.2%} of validation images, "
            f"hidden operations {cost / DENSE:.2%} of {DENSE:,}",
            flush=True,
        )
    return model.eval()


def rescale(model: nn.Sequential, x: torch.Tensor, levels: int) -> None:
    """Weights for thresholds of 1, where ReLU had largest activations of about `levels` thresholds."""
    scale = 1.0  # of what a layer is given
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.ReLU):
                x = layer(x)
                continue
            layer.weight *= scale
            if layer.out_features == SIZES[-1]:
                return
            z = layer(x)
            scale = float(z[z > 0][:100_000].quantile(0.9)) / levels
            layer.weight /= scale
            layer.bias /= scale
            x = z / scale


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--data", required=True, help="folder with mnist/")
    parser.add_argument("--cache", type=Path, default=CACHE, help="default: %(default)s")
    options = parser.parse_args()
    data = divide(load_dataset("mnist", options.data))
    for name in options.names or RECIPES:
        train(RECIPES[name], data, options.cache)


if __name__ == "__main__":
    main()
