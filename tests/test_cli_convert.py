"""`snnsim convert` as people type it: NIR in and out, dry runs, and what it refuses before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_examples import FIXTURES, chain, lif, needs_fixtures, node, save
from onnx_examples import save_mlp
from small_graphs import mlp
from test_cli_output import invoke, one_object

from snnsim.cli.convert import Dialect
from snnsim.cli.progress import StageLines
from snnsim.config import load_config
from snnsim.converters.convert import convert
from snnsim.converters.nir import DIALECTS, read_nir
from snnsim.converters.nir_file import NirGraph, read_file
from snnsim.networkfile import read_network

GRAPH, X = mlp()
DT = 0.1


@pytest.fixture
def nir_file(tmp_path: Path) -> Path:
    pytest.importorskip("nir", reason="needs the extra `convert`")
    layer = node("Affine", weight=np.array([[0.5, 1.0], [2.0, -0.3]]), bias=np.array([0.0, 0.1]))
    return save(tmp_path / "given.nir", chain(layer, lif(2, r=np.array([1.0, 2.0])), n=2))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X[:30].astype(np.float32))
    return save_mlp(GRAPH, tmp_path / "m.onnx")


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def plain(graph: NirGraph) -> Any:
    """Everything of a NIR graph that can be compared."""
    nodes = {
        name: (one.kind, {key: value.tolist() for key, value in one.values.items()}, one.words)
        for name, one in graph.nodes.items()
        if not isinstance(one, NirGraph)
    }
    return nodes, sorted(graph.edges), graph.metadata


def test_dialects_are_those_of_the_converter() -> None:
    assert {one.value for one in Dialect} == set(DIALECTS)


def test_nir_becomes_a_config_that_runs(nir_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "net.toml"
    result = invoke("convert", nir_file, "--dt-ms", DT, "--dialect", "sinabs", "-o", config)
    assert result.exit_code == 0, result.output
    assert "snnsim run" in result.stdout
    assert "--set stimuli.input.rate_hz=50" in result.stdout
    found = load_config(config)
    assert found.network == read_nir(nir_file, dt_ms=DT, dialect="sinabs")
    assert found.run.dt_ms == DT
    change = "stimuli.input.rate_hz=800"
    result = invoke(
        "run", config, "--set", change, "--duration-ms", 200, "--out", tmp_path / "run", "--json", "-q"
    )
    assert result.exit_code == 0, result.output
    assert one_object(result.stdout)["data"]["spikes"]["n1"] > 0


def test_nir_becomes_a_network_file(nir_file: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.h5"
    result = invoke("convert", nir_file, "--dt-ms", DT, "--dialect", "lava", "-o", net, "--json")
    data = one_object(result.stdout)["data"]
    assert data["synapses"]["input_to_n1"] == 4
    network, facts = read_network(net)
    assert network == read_nir(nir_file, dt_ms=DT, dialect="lava")
    assert facts == {"source": "given.nir", "dialect": "lava", "reset": None, "dt_ms": DT}
    assert "network, ok" in invoke("validate", net).stdout


@needs_fixtures
@pytest.mark.parametrize(
    ("name", "dialect"),
    [("01_lif/lif_norse.nir", one) for one in ("norse", "nengo", "snntorch", "spinnaker2", "sinabs", "exact")]
    + [("01_lif/lif_rockpool.nir", "rockpool"), ("03_rnn/braille_noDelay_bias_zero.nir", "snntorch"),
       ("03_rnn/braille_noDelay_noBias_subtract.nir", "snntorch")],
)  # fmt: skip
@pytest.mark.parametrize("form", ["toml", "h5"])
def test_files_of_the_nir_paper_go_around(name: str, dialect: str, form: str, tmp_path: Path) -> None:
    """In, out, in, out: the second file written is the first, through a config or a network file."""
    pytest.importorskip("nir", reason="needs the extra `convert`")
    given, dialects = FIXTURES / name, (dialect, "exact")
    written = []
    for k, how in enumerate(dialects):
        net, out = tmp_path / f"net{k}.{form}", tmp_path / f"out{k}.nir"
        result = invoke("convert", given, "--dt-ms", DT, "--dialect", how, "-o", net)
        assert result.exit_code == 0, result.output
        result = invoke("convert", net, "--to", "nir", "-o", out, "--lower-soft-reset")
        assert result.exit_code == 0, result.output
        written.append(plain(read_file(out)))
        given = out
    assert written[0] == written[1]


@needs_fixtures
def test_the_network_of_the_nir_paper_with_convolutions(tmp_path: Path) -> None:
    net = tmp_path / "cnn.toml"
    given = FIXTURES / "02_cnn" / "cnn_sinabs.nir"
    result = invoke("convert", given, "--dt-ms", 1, "--dialect", "sinabs", "-o", net, "--json")
    data = one_object(result.stdout)["data"]
    assert data["files"] == [str(net), str(net.with_suffix(".npz"))]
    assert sum(data["synapses"].values()) == 1_122_848
    assert load_config(net).network == read_nir(given, dt_ms=1, dialect="sinabs")


def test_refusals_name_every_reason(tmp_path: Path) -> None:
    pytest.importorskip("nir", reason="needs the extra `convert`")
    net, out = tmp_path / "net.h5", tmp_path / "net.nir"
    convert(GRAPH, X[:20]).write(net)
    result = invoke("convert", net, "--to", "nir", "-o", out)
    assert result.exit_code == 5
    for name in ("a0", "a1"):
        assert f"\n  populations.{name}.neuron: units of kind signed_if" in result.stderr
    assert "fix: signed spikes of exact conversions are not in NIR" in result.stderr
    convert(GRAPH, X[:20], "rate", normalisation="snntoolbox").write(net)
    result = invoke("convert", net, "-o", out, "--json")
    assert result.exit_code == 5
    assert "--lower-soft-reset" in one_object(result.stdout)["error"]["fix"]
    assert not out.exists()
    result = invoke("convert", net, "-o", out, "--lower-soft-reset")
    assert result.exit_code == 0, result.output
    assert "warning: reset by subtraction of a0, a1 is written as Threshold and Scale" in result.stderr
    assert read_nir(out, dt_ms=1.0).populations["a0"].n == 16


def test_a_model_straight_into_nir(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("nir", reason="needs the extra `convert`")
    given = ("convert", model, "--calibrate", tmp_path / "x.npy", "--method", "rate", "--to", "nir")
    out = tmp_path / "net.nir"
    assert invoke(*given, "-o", out).exit_code == 5
    assert not out.exists()
    how = ("--normalisation", "snntoolbox", "--lower-soft-reset", "-o", out)
    result = invoke(*given, *how)
    assert result.exit_code == 0, result.output
    assert "snnsim verify" not in result.stdout
    network = read_nir(out, dt_ms=1.0)
    assert [p.n for p in network.populations.values()] == [16, 12, 4]


def test_dry_runs_write_nothing(model: Path, nir_file: Path, tmp_path: Path) -> None:
    invoke("convert", nir_file, "--dt-ms", DT, "--dialect", "norse", "-o", tmp_path / "config.toml")
    before = files_of(tmp_path)
    x, out = ("--calibrate", tmp_path / "x.npy"), tmp_path / "out"
    result = invoke("convert", model, *x, "-o", tmp_path / "n.h5", "--report", out, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "exact: 30 inputs of 20, 32 units" in result.stdout
    assert "would write" in result.stdout
    for args in (
        (nir_file, "--dt-ms", DT, "-o", tmp_path / "n.toml"),
        (nir_file, "--dt-ms", DT, "-o", tmp_path / "n.h5"),
        (tmp_path / "config.toml", "-o", tmp_path / "n.nir"),
    ):
        result = invoke("convert", *args, "--dry-run", "--json")
        assert result.exit_code == 0, result.output
        assert one_object(result.stdout)["data"]["files"]
    assert files_of(tmp_path) == before


BAD: dict[str, tuple[str, int, str]] = {
    "no data": ("m.onnx -o n.h5", 2, "--calibrate: a trained network needs inputs"),
    "option of NIR": ("m.onnx --calibrate x.npy -o n.h5 --dialect norse", 2, "--dialect: not an option"),
    "option of models": ("given.nir --dt-ms 1 -o n.h5 --levels 3", 2, "--levels: not an option"),
    "no step": ("given.nir -o n.h5", 2, "--dt-ms: a NIR file has no time step"),
    "step of zero": ("given.nir --dt-ms 0 -o n.h5", 3, "dt_ms"),
    "step that is no number": ("given.nir --dt-ms nan -o n.h5", 3, "dt_ms"),
    "unknown dialect": ("given.nir --dt-ms 1 --dialect nest -o n.h5", 2, "dialect"),
    "unknown method": ("m.onnx --calibrate x.npy --method magic -o n.h5", 2, "method"),
    "steps of zero": ("m.onnx --calibrate x.npy --timesteps 0 -o n.h5", 2, "timesteps"),
    "steps without end": ("m.onnx --calibrate x.npy --timesteps 99999999 -o n.h5", 2, "timesteps"),
    "network to network": ("net.h5 -o n.h5", 2, "network files are networks already"),
    "name of the output": ("m.onnx --calibrate x.npy -o n.onnx", 2, "expected *.h5 or *.hdf5"),
    "name of NIR": ("given.nir --dt-ms 1 --to nir -o n.h5", 2, "expected *.nir"),
    "folder not there": ("m.onnx --calibrate x.npy -o no/n.h5", 2, "its folder is not there"),
    "output is an input": ("net.nir --dt-ms 1 -o net.nir", 2, "the output would replace an input"),
    "labels alone": ("m.onnx --calibrate x.npy --labels y.npy -o n.h5", 2, "labels are for a report"),
    "report is a file": ("m.onnx --calibrate x.npy --report y.npy -o n.h5", 2, "--report: not a folder"),
    "missing model": ("no.onnx --calibrate x.npy -o n.h5", 4, "no such file"),
    "missing data": ("m.onnx --calibrate no.npy -o n.h5", 4, "no such file"),
    "data no array": ("m.onnx --calibrate m.onnx -o n.h5", 4, "not an array of numbers"),
    "data of objects": ("m.onnx --calibrate o.npy -o n.h5", 4, "not an array of numbers"),
    "data of another size": ("m.onnx --calibrate short.npy -o n.h5", 3, "do not fit the model"),
    "data not finite": ("m.onnx --calibrate nan.npy -o n.h5", 3, "not a finite number"),
    "labels of another size": (
        "m.onnx --calibrate x.npy --report r --labels y.npy -o n.h5", 3, "labels that do not fit"),
    "not a model": ("x.npy --calibrate x.npy -o n.h5", 4, "not an ONNX file"),
    "not NIR": ("fake.nir --dt-ms 1 -o n.h5", 4, "not an HDF5 file"),
    "a network as NIR": ("net.nir --dt-ms 1 -o n.h5", 4, "not a NIR file"),
    "a missing network": ("no.h5 --to nir -o n.nir", 4, "no such file"),
    "a missing config": ("no.toml --to nir -o n.nir", 4, "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, model: Path, nir_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The exit code, the words, JSON, and nothing written."""
    monkeypatch.chdir(tmp_path)
    convert(GRAPH, X[:5]).write("net.h5")
    Path("net.nir").write_bytes(Path("net.h5").read_bytes())
    Path("fake.nir").write_text("no HDF5")
    np.save("y.npy", np.zeros(3, np.int64))
    np.save("o.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("short.npy", X[:, :7])
    np.save("nan.npy", np.full((3, 20), np.nan))
    before = files_of(tmp_path)
    line, code, words = BAD[case]
    result = invoke("convert", *line.split())
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""
    answer = one_object(invoke("convert", *line.split(), "--json").stdout)
    assert answer["error"]["message"]
    assert files_of(tmp_path) == before


def test_builder_and_state_dict(tmp_path: Path, monkeypatch: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    (tmp_path / "small_builder.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import small_builder

    torch.manual_seed(0)
    torch.save(small_builder.make().state_dict(), tmp_path / "w.pt")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 6)))
    made = ("--builder", "small_builder:make")
    x, net = ("--calibrate", tmp_path / "x.npy"), tmp_path / "net.h5"
    how = ("--timesteps", 3, "--levels", 7, "--json")
    result = invoke("convert", tmp_path / "w.pt", *made, *x, "-o", net, *how)
    data = one_object(result.stdout)["data"]
    assert (data["timesteps"], data["levels"], data["certificate"]["holds"]) == (3, 7, True)
    result = invoke("verify", net, "--model", tmp_path / "w.pt", *made, *x)
    assert result.exit_code == 0, result.output
    assert "not checked" not in result.stdout


def test_progress_of_stages(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 3.0, 10.5, 12.0, 21.0])
    lines = StageLines(lambda: next(now))
    for done in (1, 2, 3, 4000):
        lines("inputs compared", done, 4000)
    assert capsys.readouterr().err == "inputs compared: 2 of 4,000\ninputs compared: 4,000 of 4,000\n"
    told: list[tuple[str, int, int]] = []
    convert(GRAPH, X[:20], "auto", progress=lambda *args: told.append(args))
    assert told[0] == ("conversions tried", 1, 28)
    assert all(done <= end for _, done, end in told)
    told.clear()
    convert(GRAPH, X, progress=lambda *args: told.append(args))
    assert told[-1] == ("inputs compared", 200, 200)


def test_the_report_is_a_page(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke(
        "convert", model, "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "n.h5", "--report", out
    )
    assert result.exit_code == 0, result.output
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Certificate: spike counts against the integers of the quantised model" in page
    assert page.count("<table") == page.count("</table>") > 5
    assert "<script" not in page
    assert json.loads((out / "report.json").read_text())["certificate"]["holds"]
