"""Every operation that cannot be converted is named with its place in the model and a fix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from snnsim.errors import ConversionError

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'snnsim[train]')")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from snnsim.converters.read_torch import read_torch  # noqa: E402

Tensor = torch.Tensor
MAP, VECTOR, SEQUENCE = (4, 8, 8), (16,), (4, 16)


class Apply(nn.Module):
    """A linear or convolutional layer, then a function of its result."""

    def __init__(self, function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
        super().__init__()
        layers = {1: nn.Linear(16, 16), 2: nn.Conv1d(4, 4, 1), 3: nn.Conv2d(4, 4, 1)}
        self.first = layers[len(shape)]
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.first(x))


def _assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = 0.0
    return y


def _shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def _split(x: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=1)
    return a + b


def _unpooled(x: Tensor) -> Tensor:
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, indices, 2)


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], str, str]] = {
    "gelu": (F.gelu, VECTOR, "model (gelu)", "nn.ReLU"),
    "sigmoid": (torch.sigmoid, VECTOR, "model (sigmoid)", "leave it out"),
    "tanh": (torch.tanh, MAP, "model (tanh)", "nn.ReLU"),
    "leaky_relu": (F.leaky_relu, MAP, "model (leaky_relu)", "nn.ReLU"),
    "silu": (F.silu, MAP, "model (silu)", "nn.ReLU"),
    "softmax inside": (lambda x: F.relu(x.softmax(1)), VECTOR, "model (softmax)", "at the output only"),
    "softmax over space": (lambda x: x.softmax(-1), MAP, "model (softmax)", "at the output only"),
    "product": (lambda x: x * F.relu(x), MAP, "model (mul): mul: a product or quotient of two", "gates"),
    "quotient": (lambda x: F.relu(x) / x, VECTOR, "model (div)", "gates"),
    "division by an activation": (lambda x: 1.0 / x, VECTOR, "model (reciprocal)", "fixed weights"),
    "matmul": (lambda x: x @ x.transpose(1, 2), SEQUENCE, "model (matmul)", "nn.Linear"),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2), MAP, "model (upsample", "without upsampling"),
    "negative clamp": (lambda x: x.clamp(-1, 1), VECTOR, "model (clamp)", "bounds (0, c)"),
    "positive clamp": (lambda x: x.clamp(0.5, 1), VECTOR, "lower bound of 0.5", "bounds (0, c)"),
    "hardtanh": (F.hardtanh, VECTOR, "model (hardtanh): hardtanh: values between -1", "ReLU6"),
    "slice assignment": (_assigned, VECTOR, "model (select_scatter)", "whole activations"),
    "where": (lambda x: torch.where(x > 0, x, 0.1 * x), VECTOR, "model (where)", "without comparing"),
    "argmax": (lambda x: x.argmax(1), VECTOR, "model (argmax)", "one score a class"),
    "channel shuffle": (_shuffled, MAP, "model (transpose)", "keep the order"),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), MAP, "model (pixel_shuffle)", "channels in order"),
    "transposed": (lambda x: x.transpose(1, 2), SEQUENCE, "model (transpose)", "keep the order"),
    "unpool": (_unpooled, MAP, "its indices are used", "the values of the pooling alone"),
    "chunk": (_split, MAP, "model (split)", "whole activations"),
    "slice": (lambda x: x[:, :, ::2], MAP, "model (slice)", "whole activations"),
    "abs": (torch.abs, VECTOR, "model (abs)", "nn.ReLU"),
    "mean over channels": (lambda x: x.mean(1), MAP, "model (mean)", "all of space"),
    "uneven adaptive pool": (
        lambda x: F.adaptive_avg_pool2d(x, 3),
        MAP,
        "different sizes",
        "divides the map",
    ),
    "batch mixed": (lambda x: x.view(1, -1), VECTOR, "samples of the batch", "x.flatten(1)"),
    "channels regrouped": (lambda x: x.view(-1, 16, 4, 4), MAP, "mixes channels", "flatten to a vector"),
    "dropout always": (lambda x: F.dropout(x), VECTOR, "dropout that stays active", "self.training"),
    "noise": (lambda x: x + torch.randn(16), VECTOR, "random numbers", "same output each time"),
    "constant for each place": (lambda x: x + torch.ones(8, 8), MAP, "a constant of shape (8, 8)", "channel"),
    "reflection": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), MAP, "mode 'reflect'", "ZeroPad2d"),
    "ones around": (lambda x: F.pad(x, (1, 1), value=1.0), MAP, "something else than zeros", "ZeroPad2d"),
    "cut": (lambda x: F.pad(x, (-1, 0)), MAP, "negative padding", "stride"),
    "stack": (lambda x: torch.stack([x, x], 1), VECTOR, "model (stack)", "torch.cat"),
    "joined rows": (lambda x: torch.cat([x, x], 2), MAP, "something else than channels", "dim=1"),
    "maximum": (lambda x: torch.maximum(x, -x), VECTOR, "model (maximum)", "without comparing"),
    "to integers": (lambda x: x.to(torch.int32), VECTOR, "torch.int32", "floating point"),
}

MODULES: dict[str, tuple[nn.Module, tuple[int, ...], str, str]] = {
    "GELU": (nn.GELU(), VECTOR, "1 (GELU): the operation gelu", "nn.ReLU"),
    "Sigmoid": (nn.Sigmoid(), VECTOR, "1 (Sigmoid)", "leave it out"),
    "PReLU": (nn.PReLU(), VECTOR, "1 (PReLU)", "nn.ReLU"),
    "ELU": (nn.ELU(), VECTOR, "1 (ELU)", "nn.ReLU"),
    "LayerNorm": (nn.LayerNorm(16), VECTOR, "1 (LayerNorm)", "BatchNorm"),
    "GroupNorm": (nn.GroupNorm(2, 4), MAP, "1 (GroupNorm)", "BatchNorm"),
    "InstanceNorm": (nn.InstanceNorm2d(4), MAP, "1 (InstanceNorm2d)", "BatchNorm"),
    "BatchNorm without statistics": (
        nn.BatchNorm2d(4, track_running_stats=False),
        MAP,
        "1 (BatchNorm2d)",
        "track_running_stats=True",
    ),
    "ConvTranspose": (nn.ConvTranspose2d(4, 4, 2), MAP, "1 (ConvTranspose2d)", "without upsampling"),
    "Upsample": (nn.Upsample(scale_factor=2), MAP, "1 (Upsample)", "without upsampling"),
    "circular padding": (
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        MAP,
        "mode 'circular'",
        "padding_mode='zeros'",
    ),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), MAP, "1 (PixelUnshuffle)", "channels in order"),
    "Linear over an axis": (nn.Linear(16, 4), SEQUENCE, "1 (Linear)", "flatten"),
    "LPPool": (nn.LPPool2d(2, 2), MAP, "1 (LPPool2d)", "average or maximum"),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _message(model: nn.Module, example: np.ndarray | Tensor, code: str = "conversion.unsupported") -> str:
    with pytest.raises(ConversionError) as caught:
        read_torch(model, example)
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("case", FUNCTIONS)
def test_function_is_refused_by_name_and_place(case: str) -> None:
    function, shape, place, fix = FUNCTIONS[case]
    text = _message(Apply(function, shape), np.random.default_rng(0).random((3, *shape)))
    assert place in text
    assert fix in text.split(place)[1]


@pytest.mark.parametrize("case", MODULES)
def test_module_is_refused_by_name_and_place(case: str) -> None:
    module, shape, place, fix = MODULES[case]
    model = Apply(lambda x: x, shape)
    text = _message(nn.Sequential(model.first, module), np.random.default_rng(0).random((3, *shape)))
    assert place in text
    assert fix in text.split(place)[1]
    assert "\n  1 (" in text  # the path of the module


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.memory = kind(16, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_refused(kind: type[nn.Module]) -> None:
    text = _message(Recurrent(kind), np.zeros((2, *SEQUENCE)))
    assert f"memory ({kind.__name__})" in text
    assert "memory" in text.split("Fix:")[1]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x, x, x, need_weights=False)[0]


def test_attention_is_refused_once() -> None:
    text = _message(Attention(), np.ones((2, *SEQUENCE)))
    assert text.count("attend (MultiheadAttention)") == 1
    assert "1 operation cannot be converted" in text


def test_embedding_is_refused() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 2))
    assert "0 (Embedding): the operation embedding" in _message(model, np.zeros((2, 4), dtype=np.int64))


def test_three_dimensional_convolution_is_refused() -> None:
    assert "0 (Conv3d)" in _message(nn.Sequential(nn.Conv3d(1, 2, 2)), np.zeros((2, 1, 4, 4, 4)))


def test_bilinear_is_refused() -> None:
    model = Apply(lambda x: x, VECTOR)
    model.both = nn.Bilinear(16, 16, 2)
    model.function = lambda x: model.both(x, x)
    assert "both (Bilinear)" in _message(model, np.zeros((2, 16)))


def test_batch_norm_that_is_trained_is_refused() -> None:
    model = Apply(lambda x: F.batch_norm(x, torch.zeros(16), torch.ones(16), training=True), VECTOR)
    assert "statistics of the batch" in _message(model, np.random.default_rng(0).random((3, 16)))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Apply(lambda x: x if x.sum() > 0 else -x, VECTOR)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def test_control_flow_that_depends_on_data_is_refused() -> None:
    text = _message(Branching(), np.ones((2, 16)), "conversion.trace")
    assert "inner (Apply)" in text
    assert "depends on the data" in text
    assert "see test_read_torch_refusals.py:" in text


def test_all_refusals_are_named_at_once() -> None:
    model = nn.Sequential(
        nn.Linear(16, 16), nn.GELU(), nn.LayerNorm(16), nn.Sequential(nn.Linear(16, 4), nn.Tanh())
    )
    text = _message(model, np.zeros((2, 16)))
    assert "3 operations cannot be converted" in text
    for place in ("1 (GELU)", "2 (LayerNorm)", "3.1 (Tanh)"):
        assert place in text


def test_a_model_that_fails_on_the_example_is_named_with_the_place() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(9, 3)))
    text = _message(model, np.zeros((2, 16)), "conversion.example")
    assert "1.0 (Linear)" in text


@pytest.mark.parametrize(
    ("model", "example", "code", "part"),
    [
        (lambda x: x, np.zeros((2, 3)), "conversion.model", "torch.nn.Module"),
        (nn.Linear(3, 3), np.zeros(3), "conversion.example", "example[None]"),
        (nn.Identity(), np.zeros((2, 3)), "conversion.empty", "no layer"),
        (nn.MaxPool2d(2, return_indices=True), np.zeros((2, 1, 4, 4)), "conversion.output", "one tensor"),
    ],
)
def test_wrong_arguments(model: nn.Module, example: np.ndarray, code: str, part: str) -> None:
    assert part in _message(model, example, code)


class Drifting(nn.Module):
    """A state that torch cannot see: the output differs from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.fc(x) * float(self.calls)


def test_a_model_that_is_not_a_function_fails_the_comparison() -> None:
    assert "another output each time" in _message(Drifting(), np.ones((2, 4)), "conversion.parity")


def test_weights_that_are_no_numbers() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    assert "not a number" in _message(model, np.ones((2, 4)), "conversion.not_finite")
