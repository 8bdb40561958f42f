"""Graphs of torch models compute what the models compute."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from snnsim.converters.fold import fold_batchnorm
from snnsim.converters.graph import Affine, Graph, Linear
from snnsim.errors import ConversionError, FileError

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'snnsim[train]')")

import torch_models  # noqa: E402
from torch import nn  # noqa: E402

from snnsim.converters.read_torch import read_torch, read_torch_file  # noqa: E402

KINDS = {
    "mlp": "Flatten Linear ReLU Linear ReLU Linear",
    "lenet": "Conv ReLU AvgPool Conv ReLU MaxPool Flatten Linear ReLU Linear",
    "one_dimensional": "Conv ReLU MaxPool Conv ReLU AvgPool AvgPool Flatten Linear",
    "resnet": "Conv ReLU MaxPool Conv ReLU Conv Add ReLU Conv ReLU Conv Add ReLU "
    "Affine AvgPool Flatten Linear",
    "inception": "Conv ReLU Conv ReLU Conv ReLU AvgPool Concat MaxPool Flatten Linear",
    "functional": "Affine Conv ReLU Conv ReLU Conv ReLU Affine MaxPool ReLU Flatten Linear ReLU Affine",
    "mobile": "Conv ReLU Conv ReLU Conv AvgPool Flatten Linear",
    "convolutions": "Conv ReLU Conv ReLU Conv",
    "pools": "Conv AvgPool MaxPool AvgPool AvgPool Flatten",
}


def _scores(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """The output in float64, which leaves rounding out of the comparison."""
    with torch.no_grad():
        return model.eval().double()(torch.as_tensor(x).double()).numpy()


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", torch_models.MODELS)
def test_the_graph_computes_what_the_model_does(name: str) -> None:
    model, x = torch_models.build(name)
    graph = read_torch(model, x)
    folded = fold_batchnorm(graph)
    assert " ".join(type(node).__name__ for node in folded.nodes[1:]) == KINDS[name]
    new = np.random.default_rng(1).normal(size=(5, *x.shape[1:]))
    plain, short = (g.evaluate(new)[g.output.name] for g in (graph, folded))
    np.testing.assert_allclose(short, plain, rtol=0, atol=1e-12 * np.abs(plain).max())
    expected = _scores(model, new)
    if graph.notes:
        assert "softmax" in graph.notes[0].lower()
        short = _log_softmax(short)
        expected = np.log(expected) if name == "lenet" else expected
    # Weights and constants of the model are float32; sums are in float64 on both sides.
    np.testing.assert_allclose(
        short, expected.reshape(short.shape), rtol=0, atol=1e-6 * np.abs(expected).max()
    )


def test_names_and_paths_are_those_of_the_model() -> None:
    model, x = torch_models.build("resnet")
    graph = read_torch(model, x)
    paths = {node.name: node.path for node in graph.nodes}
    assert paths["input"] == "input (Input)"
    assert paths["layers_1_bn2"] == "layers.1.bn2 (BatchNorm2d)"
    assert paths["layers_0_add"] == "layers.0 (add)"
    assert {"layers_0_relu", "layers_0_relu_2"} <= paths.keys()  # the same module twice
    assert fold_batchnorm(graph)["stem_0"].path == "stem.0 (Conv2d) + stem.1 (BatchNorm2d)"


def test_weights_are_shared_by_value_when_a_module_is_used_twice() -> None:
    model, x = torch_models.build("functional")
    graph = read_torch(model, x)
    np.testing.assert_array_equal(graph["same"].weight, graph["same_2"].weight)
    assert graph["same"].path == graph["same_2"].path == "same (Conv2d)"


def test_the_model_is_left_as_it_was() -> None:
    model, x = torch_models.build("mlp")
    model.train()
    model[2].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    read_torch(model, x)
    assert [module.training for module in model] == [True, True, False, *[True] * 6]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class _Steps(nn.Module):
    """Python that torch.export does not accept, and torch.fx does."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x):  # type: ignore[no-untyped-def]
        if torch.compiler.is_exporting() and not isinstance(x, torch.fx.Proxy):
            raise RuntimeError("not for export")
        return torch.relu(self.fc(x))


def test_torch_fx_helps_where_export_fails() -> None:
    graph = read_torch(_Steps(), np.random.default_rng(0).normal(size=(2, 6)))
    assert [type(node).__name__ for node in graph.nodes] == ["Input", "Linear", "ReLU"]
    assert graph["fc"].path == "fc (Linear)"


def _read(function, *shape: int) -> Graph:  # type: ignore[no-untyped-def]
    class Model(nn.Module):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return function(x)

    return read_torch(Model(), np.random.default_rng(0).normal(size=(2, *shape)))


@pytest.mark.parametrize(
    ("function", "shape", "kinds"),
    [
        (lambda x: x.unsqueeze(1).relu(), (5, 5), "ReLU"),
        (lambda x: x.view(-1, 1, 4, 4).relu().flatten(2).mean(-1), (16,), "ReLU Flatten AvgPool Flatten"),
        (lambda x: torch.sum(x, (2, 3), keepdim=True), (2, 3, 3), "SumPool"),
        (lambda x: x.amax(dim=(-1, -2)), (2, 3, 3), "MaxPool Flatten"),
        (lambda x: -x + 3, (4,), "Affine"),
        (lambda x: 2.0 - x / 4, (2, 3), "Affine"),
        (lambda x: torch.add(x.relu(), x, alpha=-0.5), (2, 3), "ReLU Affine Add"),
        (lambda x: x.relu() - x, (4,), "ReLU Affine Add"),
        (lambda x: x.relu().clamp(max=0.5), (4,), "ReLU"),
        (lambda x: x.clamp_min(0).permute(0, 1, 3, 2), (3, 1, 5), "ReLU Flatten"),
        (lambda x: x @ torch.arange(8.0).reshape(4, 2) + torch.ones(2), (4,), "Linear"),
        (lambda x: torch.nn.functional.threshold(x, 0, 0), (4,), "ReLU"),
        (lambda x: sum([x, x.relu(), x]), (4,), "ReLU Add"),
        (lambda x: torch.nn.functional.pad(x.relu(), (1, 2)), (2, 5), "ReLU Conv"),
    ],
)
def test_plain_functions(function, shape: tuple[int, ...], kinds: str) -> None:  # type: ignore[no-untyped-def]
    graph = fold_batchnorm(_read(function, *shape))
    found = " ".join(type(node).__name__ for node in graph.nodes[1:])
    assert found in (kinds, kinds.replace("Add", "Add Add"))


def test_a_constant_layer_is_no_reason_to_fail_for_one_sample() -> None:
    graph = read_torch(nn.Linear(3, 2), np.ones((1, 3), dtype=np.float64))
    assert isinstance(graph.output, Linear)
    assert not any(isinstance(node, Affine) for node in graph.nodes)


def test_weights_from_a_file(tmp_path: Path) -> None:
    model, x = torch_models.build("mlp")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    graph = read_torch_file(tmp_path / "weights.pt", "torch_models:_mlp", x)
    np.testing.assert_array_equal(graph["n_1"].weight, model[1].weight.detach().double().numpy())


class _Canary:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("canary"),)


@pytest.mark.parametrize(
    ("content", "builder", "error", "part"),
    [
        (None, "torch_models:_mlp", FileError, "no such file"),
        (b"", "torch_models:_mlp", FileError, "empty"),
        (b"PK\x03\x04 garbage", "torch_models:_mlp", FileError, "not a file of weights alone"),
        (_Canary(), "torch_models:_mlp", FileError, "not a file of weights alone"),
        ({"a": 1}, "torch_models:_mlp", FileError, "named tensors"),
        ({"a": torch.ones(2)}, "torch_models:_mlp", FileError, "do not fit the model"),
        ({}, "torch_models:nothing", ConversionError, "cannot be built"),
        ({}, "torch_models", ConversionError, "package.module:function"),
        ({}, "builtins:dict", ConversionError, "not a torch model"),
    ],
)
def test_hostile_files_and_builders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: object,
    builder: str,
    error: type[Exception],
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, _Canary):
        path.write_bytes(pickle.dumps(content))
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(error, match=part):
        read_torch_file(path, builder, np.zeros((2, 1, 8, 8)))
    assert not (tmp_path / "canary").exists()


def test_exported_programs_are_refused_since_loading_them_can_run_code(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"PK")
    with pytest.raises(FileError, match="can run code"):
        read_torch_file(tmp_path / "model.pt2", "torch_models:_mlp", np.zeros((2, 1, 8, 8)))


def test_without_torch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConversionError, match=r"snnsim\[train\]"):
        read_torch(object(), np.zeros((1, 1)))  # type: ignore[arg-type]
