"""Conversion of trained networks: exactness, rates, files and the command."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from small_graphs import mlp

from snnsim.converters import certificate
from snnsim.converters import graph as g
from snnsim.converters.certificate import spread
from snnsim.converters.convert import convert
from snnsim.converters.exact import Quantisation, amounts
from snnsim.errors import ConfigError, ConversionError, FileError
from snnsim.networkfile import read_network, write_network


@pytest.fixture(scope="module")
def digits() -> tuple[g.Graph, np.ndarray, np.ndarray]:
    """A small network that scikit-learn trained on its digits, as a graph; images and classes."""
    data = load_digits()
    x, y = data.data / 16.0, data.target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((48, 32), max_iter=60, random_state=0).fit(x[:1200], y[:1200])
    nodes: list[g.Node] = [g.Input("x", "x", (), (64,))]
    for k, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        shape = (weight.shape[1],)
        nodes.append(g.Linear(f"f{k}", f"layers.{k}", (nodes[-1].name,), shape, weight.T.copy(), bias))
        if k < 2:
            nodes.append(g.ReLU(f"a{k}", f"relu.{k}", (nodes[-1].name,), shape))
    return g.Graph(tuple(nodes)), x, y


def accuracy(scores: np.ndarray, classes: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == classes).mean())


@pytest.mark.parametrize("timesteps", [1, 4])
def test_exact_conversion_of_digits(digits, timesteps: int) -> None:
    graph, x, y = digits
    found = convert(graph, x[:200], "exact", timesteps=timesteps, certify_on=x[1200:])
    assert found.certificate.holds
    assert [layer.n_checked for layer in found.certificate.layers] == [597 * 48, 597 * 32]
    source = graph.evaluate(x[1200:])["f2"]
    assert accuracy(found.predict(x[1200:]), y[1200:]) >= accuracy(source, y[1200:]) - 0.005


def test_a_certificate_can_fail(digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """One count of one sample that differs is found, and so is a deviation of an output."""
    graph, x, _ = digits
    found = convert(graph, x[:100], "exact")

    def changed(network, inputs):
        values = certificate.evaluate_original(network, inputs)
        values["a1"][7, 3] += 1
        values["readout"][5, 1] += 0.25
        return values

    monkeypatch.setattr(certificate, "evaluate_original", certificate.evaluate, raising=False)
    monkeypatch.setattr(certificate, "evaluate", changed)
    again = certificate.certify(graph, found.network, amounts(x[:100], found.input_scale))
    assert not again.holds
    assert [layer.n_mismatches for layer in again.layers] == [0, 1]
    assert again.readout_deviation == 0.25


def test_a_quantised_model_keeps_its_thresholds(digits) -> None:
    """Thresholds and biases are the model's, and inputs of one bit are events."""
    graph, x, _ = digits
    black = (x[:100] > 0.5).astype(float)
    given = Quantisation((0.5, np.linspace(0.25, 1, 32)), input_bits=1)
    found = convert(graph, black, "exact", levels=3, quantisation=given)
    assert found.certificate.holds
    assert found.input_scale == 1.0
    h0 = 0.5 * np.clip(np.floor((black @ graph["f0"].weight.T + graph["f0"].bias) / 0.5 + 0.5), 0, 3)
    z1 = h0 @ graph["f1"].weight.T + graph["f1"].bias
    h1 = given.thresholds[1] * np.clip(np.floor(z1 / given.thresholds[1] + 0.5), 0, 3)
    expected = h1 @ graph["f2"].weight.T + graph["f2"].bias
    assert np.abs(found.predict(black) - expected).max() < 1e-9
    assert found.operations(black).input_macs_once == 0


def test_thresholds_that_do_not_fit_are_refused(digits) -> None:
    graph, x, _ = digits
    with pytest.raises(ConfigError, match="not one threshold for each activation.*got 1.*relu.0, relu.1"):
        convert(graph, x[:10], quantisation=Quantisation((1.0,)))
    for wrong in (0.0, np.ones(5), float("nan")):
        with pytest.raises(ConfigError, match=r"relu\.1: not a threshold.*each of the 32 channels"):
            convert(graph, x[:10], quantisation=Quantisation((1.0, wrong)))
    with pytest.raises(ConfigError, match="input_bits"):
        convert(graph, x[:10], quantisation=Quantisation(input_bits=0))


def test_rates_approach_the_source(digits) -> None:
    graph, x, _ = digits
    source = graph.evaluate(x[1200:1300])["f2"]
    errors = []
    for timesteps in (4, 32, 256):
        scores = convert(graph, x[:200], "rate", timesteps=timesteps).predict(x[1200:1300])
        errors.append(float(np.abs(scores - source).mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_spreading_keeps_the_sum_and_whole_numbers() -> None:
    x = np.array([[7.0, -5.0, 0.0, 3.0]])
    parts = spread(x, 4)
    assert parts.shape == (1, 4, 4)
    assert np.array_equal(parts.sum(axis=1), x)
    assert np.array_equal(parts, np.rint(parts))
    assert np.abs(parts).max() == 2


def test_what_cannot_be_converted_is_named(digits) -> None:
    graph, x, _ = digits
    nodes = list(graph.nodes)
    nodes.pop(2)  # the first ReLU
    nodes[2] = g.Linear("f1", "layers.1", ("f0",), (32,), nodes[2].weight, nodes[2].bias)
    with pytest.raises(ConversionError, match=r"layers\.1: two linear operations follow each other"):
        convert(g.Graph(tuple(nodes)), x[:10])
    with pytest.raises(ConfigError, match="method: no such method; got 'rat'.*did you mean rate"):
        convert(graph, x[:10], "rat")
    with pytest.raises(ConfigError, match="calibration data that do not fit the model"):
        convert(graph, x[:10, :5])


def test_network_file(digits, tmp_path: Path) -> None:
    graph, x, _ = digits
    found = convert(graph, x[:50], "exact")
    path = tmp_path / "net.h5"
    write_network(path, found.network, {"levels": 15})
    network, facts = read_network(path)
    assert network == found.network
    assert facts == {"levels": 15}
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(FileError):
        read_network(path)


def test_command(digits, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra `convert`")
    from test_cli_output import invoke

    graph, x, y = digits
    helper = onnx.helper
    nodes, weights, last = [], [], "x"
    for k in range(3):
        layer = next(n for n in graph.nodes if n.name == f"f{k}")
        weights.append(onnx.numpy_helper.from_array(layer.weight.astype(np.float32), f"w{k}"))
        weights.append(onnx.numpy_helper.from_array(layer.bias.astype(np.float32), f"b{k}"))
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"z{k}"], transB=1))
        if k < 2:
            nodes.append(helper.make_node("Relu", [f"z{k}"], [f"a{k}"]))
        last = f"a{k}" if k < 2 else f"z{k}"
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 64])
    out = helper.make_tensor_value_info("z2", onnx.TensorProto.FLOAT, ["n", 10])
    model = helper.make_model(
        helper.make_graph(nodes, "digits", [given], [out], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", x[:60].astype(np.float32))
    result = invoke(
        "convert", str(tmp_path / "m.onnx"), "--calibrate", str(tmp_path / "x.npy"),
        "-o", str(tmp_path / "net.h5"), "--json",
    )  # fmt: skip
    answer = json.loads(result.stdout)
    assert answer["ok"], answer
    assert answer["data"]["certificate"]["holds"]
    network, facts = read_network(tmp_path / "net.h5")
    assert facts["method"] == "exact"
    assert answer["data"]["report"] is None
    assert sum(p.n for p in network.populations.values()) == 90

    np.save(tmp_path / "y.npy", y[:60])
    given = ("convert", tmp_path / "m.onnx", "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "net2.h5")
    result = invoke(*given, "--report", tmp_path / "out", "--labels", tmp_path / "y.npy", "--samples", "40")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "out" / "report.html") in result.stdout

    for method, kind in (("ttfs", "time_to_first_spike"), ("few_spike", "few_spike")):
        result = invoke(*given[:-1], tmp_path / f"{method}.h5", "--method", method)
        assert result.exit_code == 0, result.output
        network, facts = read_network(tmp_path / f"{method}.h5")
        assert (facts["method"], network.populations["a0"].unit.KIND) == (method, kind)
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["diagnosis"]["n_samples"] == 40
    assert content["diagnosis"]["accuracy"][-1] > 0.9
    assert invoke(*given, "--labels", tmp_path / "y.npy").exit_code == 2
    np.save(tmp_path / "z.npy", y[:7])
    given = (*given[:-1], tmp_path / "net3.h5")
    result = invoke(*given, "--report", tmp_path / "o2", "--labels", tmp_path / "z.npy")
    assert result.exit_code == 3
    assert "labels that do not fit the inputs" in result.stderr
    assert not (tmp_path / "net3.h5").exists()


@pytest.mark.parametrize(
    ("method", "options", "where"),
    [
        ("rate", {"levels": 7}, "levels"),
        ("exact", {"normalisation": "max"}, "normalisation"),
        ("rate", {"certify_on": np.zeros((1, 20))}, "certify_on"),
        ("ttfs", {"levels": 3}, "levels"),
        ("auto", {"timesteps": 4}, "timesteps"),
        ("auto", {"correction": "none"}, "correction"),
        ("rate", {"timesteps": 0}, "timesteps"),
    ],
)
def test_options_without_a_use_are_refused(method: str, options: dict, where: str) -> None:
    graph, x = mlp()
    with pytest.raises(ConfigError, match=where):
        convert(graph, x, method, **options)
