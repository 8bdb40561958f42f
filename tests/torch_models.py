"""Small torch models in the styles that people write, with the shape of one sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """A block with batch normalisation, a depthwise convolution, and a shortcut; ReLU in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.Sequential(Residual(6), Residual(6))
        self.after = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.after(self.layers(self.pool(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding="same"), nn.Conv2d(2, 2, (1, 5), padding=(0, 2))]
        )
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.head = nn.Linear(11 * 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [F.relu(branch(x)) for branch in self.branches]
        x = torch.cat([*parts, self.pool(x)], dim=1)
        x = F.adaptive_max_pool2d(x, 2)
        return self.head(torch.flatten(x, 1))


class Functional(nn.Module):
    """No layer but those with weights is a module; constants per channel; the same layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.same = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 9, 6)
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, 4))
        self.register_buffer("mean", torch.tensor([0.3, 0.6]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean.view(1, 2, 1, 1)) / 0.25
        x = torch.relu(self.conv(x))
        x = self.same(self.same(x).clamp(0, 1.5)).relu()
        x = F.max_pool2d(x * self.gain[:, None, None], 2)
        x = F.dropout(F.hardtanh(x, 0.0, 2.0), training=self.training)
        x = 1.0 - self.fc(x.view(x.size(0), -1))
        return F.log_softmax(F.relu6(x) + 0.5, dim=1)


class Mobile(nn.Module):
    """An inverted residual block as in MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(4, 8, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(8, 8, 3, padding=(1, 0), groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.Conv2d(8, 4, 1, bias=False),
            nn.BatchNorm2d(4),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(x))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(1, 3), groups=2),
        nn.ReLU(),
        nn.Conv2d(6, 9, 4, padding="same", dilation=2, groups=3),
        nn.ReLU(),
        nn.Conv2d(9, 3, 3, stride=3, padding="valid"),
    )


def _pools() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 1),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.MaxPool2d(2, 2, ceil_mode=True, dilation=2),
        nn.AvgPool2d((2, 3), (1, 2), (1, 1), ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, 1, divisor_override=3),
        nn.Flatten(),
    )


def _one_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2, padding=2),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(4, 4, 3, padding="same", groups=4, dilation=2),
        nn.ReLU(),
        nn.AvgPool1d(3, 1, 1),
        nn.AdaptiveAvgPool1d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.BatchNorm1d(3),
    )


def _lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4, 12),
        nn.ReLU(),
        nn.Linear(12, 10),
        nn.Softmax(dim=1),
    )


def _mlp() -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(16, 8, bias=False), nn.ReLU6(), nn.Identity(), nn.Linear(8, 4))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (_mlp, (1, 8, 8)),
    "lenet": (_lenet, (1, 16, 16)),
    "one_dimensional": (_one_dimensional, (2, 24)),
    "resnet": (ResNet, (3, 12, 12)),
    "inception": (Inception, (2, 8, 8)),
    "functional": (Functional, (2, 8, 8)),
    "mobile": (Mobile, (4, 7, 6)),
    "convolutions": (_convolutions, (4, 13, 11)),
    "pools": (_pools, (2, 14, 13)),
}


def build(name: str) -> tuple[nn.Module, np.ndarray]:
    """A model with random weights and batch statistics, and an example of 3 samples."""
    torch.set_num_threads(1)
    torch.manual_seed(7)
    make, shape = MODELS[name]
    model = make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model, torch.rand(3, *shape).numpy()
