"""The grid of a target as training sees it: in the units of the weights, with a straight-through gradient.

    grid = training_grid(layer.weight.detach().numpy(), "loihi2", bits=4)
    fake = fake_quantiser(grid)     # a torch module
    y = x @ fake(layer.weight).T    # weights of the grid forward, the gradient of the weights backward
    ...
    quantise(network, "loihi2", images, n_steps=11, bits=4, scales={"hidden": grid.scale})    # rounds nothing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.errors import ConfigError
from snnsim.hardware.number_format import NumberFormat, WeightGrid, number_format

if TYPE_CHECKING:
    from torch import nn

_FACTORS = 2.0 ** (np.arange(-2, 25) / 8)


@dataclass(frozen=True)
class TrainingGrid:
    """Weights low, low + step, ..., high; a weight or potential of 1 becomes `scale` stored units."""

    step: float
    low: float
    high: float
    scale: float


def training_grid(weight: np.ndarray, target: str, bits: int, threshold: float = 1.0) -> TrainingGrid:
    """The grid with the least squared error of these weights, on which the threshold is whole.

    Large weights may be cut: the scale that cuts none is one of those that are tried.
    Raises TargetError for a width that the target does not have, ConfigError for weights that are no numbers.
    """
    values = np.asarray(weight, np.float64)
    if not values.size or not np.isfinite(values).all() or not threshold > 0:
        raise ConfigError("weights and threshold must be numbers", where="weight", got=values.shape)
    form = number_format(target)
    found = form.grid(bits, -1.0, 1.0)  # training may change signs
    scales = _scales(values, found, form, threshold)
    errors = [float(np.square(found.nearest(values * s) / s - values).sum()) for s in scales]
    best = float(scales[int(np.argmin(errors))])
    return TrainingGrid(found.step / best, found.low / best, found.high / best, best)


def _scales(values: np.ndarray, grid: WeightGrid, form: NumberFormat, threshold: float) -> np.ndarray:
    room = grid.room(float(values.min()), float(values.max()))
    fits = min(room if np.isfinite(room) else 1.0, form.threshold_most / threshold)
    whole = np.rint(np.minimum(fits * _FACTORS, form.threshold_most / threshold) * threshold)
    return np.unique(np.maximum(whole, 1.0)) / threshold


def fake_quantiser(grid: TrainingGrid) -> nn.Module:
    """A torch module: forward clip(round(w / step)) step; backward 1 within the grid, 0 beyond its ends."""
    import torch
    from torch import nn

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weight: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward((weight >= grid.low - grid.step) & (weight <= grid.high + grid.step))
            return torch.clamp(torch.round(weight / grid.step) * grid.step, grid.low, grid.high)

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
            (inside,) = ctx.saved_tensors
            return gradients[0] * inside

    class FakeQuantiser(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            rounded: torch.Tensor = Rounded.apply(weight)
            return rounded

    return FakeQuantiser()
