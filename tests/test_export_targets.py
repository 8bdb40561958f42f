"""Networks for each target through the command line: exported, verified, emulated, changed, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_examples import chain, node, save
from nir_examples import lif as nir_lif
from typer.testing import CliRunner

from snnsim import Network, Population, Projection, Simulator
from snnsim.cli.main import app
from snnsim.config import Config, Run, save_config
from snnsim.connectivity import Arrays
from snnsim.datasets import load_dataset
from snnsim.hardware.as_layers import as_layers
from snnsim.hardware.tinyodin_place import RULE
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Dense
from snnsim.models import LIF, Exponential
from snnsim.networkfile import read_network, write_network
from snnsim.probe import Probe
from snnsim.stimuli import Analogue, Poisson, SpikeTrains

SIZES = {"x": 10, "h": 12, "g": 9, "o": 5}
SUMMARY = ("cores", "lower_bound", "utilisation", "spike_hops", "violations", "files")
LOIHI = dict(threshold=64 * 100, decay_u=4096, decay_v=400)


def network(units: list[IntegerLIF], low: int, high: int, step: int = 1, first: float = 1.0) -> Network:
    """x -> h -> g -> o, or without g where there are two units."""
    rng = np.random.default_rng(0)
    names = ["x", "h", "g", "o"] if len(units) == 3 else ["x", "h", "o"]
    projections = {}
    for k, (source, target) in enumerate(zip(names, names[1:], strict=False)):
        weight = step * rng.integers(low // step, high // step + 1, (SIZES[target], SIZES[source]))
        projections[source + target] = Projection(
            source=source, target=target, rule=Dense(weight=weight.astype(float)), weight_mv=1.0,
            delay_ms=first if k == 0 else 1.0,
        )  # fmt: skip
    populations = {
        name: Population(n=SIZES[name], neuron=unit)  # type: ignore[arg-type]
        for name, unit in zip(names[1:], units, strict=True)
    }
    return Network(stimuli={"x": Analogue(n=10)}, populations=populations, projections=projections)


def xylo() -> Network:
    hidden = IntegerLIF(rule=RULES["xylo"], threshold=200, decay_u=2, decay_v=3, bias=3)
    last = IntegerLIF(rule=RULES["xylo"].replace(most=1), threshold=150, decay_u=2, decay_v=3)
    return network([hidden, hidden, last], -40, 60, first=0.0)


def ranc() -> Network:
    return network([IntegerLIF(rule=RULES["ranc"], threshold=4, bias=-1, floor=-30)] * 2, -8, 7)


def tinyodin() -> Network:
    return network([IntegerLIF(rule=RULE, threshold=9, decay_v=1)] * 2, -4, 7, first=0.0)


def loihi(name: str) -> Network:
    return network([IntegerLIF(rule=RULES[name], **LOIHI)] * 2, -40, 100, 2)


def generic() -> Network:
    return network([IntegerLIF(rule=RULES["generic-int8"], threshold=100, decay_v=400)] * 2, -40, 100)


CASES: dict[str, tuple[Network, set[str], tuple[str, ...]]] = {
    "xylo": (xylo(), {"xylo.json"}, ("xylo.json",)),
    "ranc": (ranc(), {"ranc/ranc.json", "ranc/csram_000.mem", "ranc/tc_000.mem"}, ("ranc",)),
    "tinyodin": (
        tinyodin(), {f"tinyodin/{name}" for name in ("neurons.mem", "synapses.mem", "tinyodin.json")},
        ("tinyodin",),
    ),
    "loihi1": (loihi("loihi1"), {"network.yaml"}, ()),
    "loihi2": (loihi("loihi2"), {"network.net", "network.nir"}, ("network.net", "network.nir")),
    "spinnaker1": (loihi("loihi1"), {"network.py", "network.npz"}, ()),
    "generic-int8": (generic(), set(), ()),
}  # fmt: skip
"""A network, what is written beside network.h5 and golden vectors, and what `emulate` reads of it."""


def cli(*words: Any) -> tuple[int, dict[str, Any]]:
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, json.loads(answer.stdout)


def exported(net: Network, target: str, folder: Path, *more: Any) -> tuple[int, dict[str, Any]]:
    write_network(folder / "net.h5", net)
    x = (np.random.default_rng(1).random((3, 15, 10)) < 0.3).astype(float)
    np.save(folder / "x.npy", x)
    given = ("--target", target, "--calibrate", folder / "x.npy", "-o", folder / "out", "--json")
    return cli("export", folder / "net.h5", *given, *more)


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", CASES)
def test_a_network_for_each_target(target: str, tmp_path: Path) -> None:
    net, beside, emulated = CASES[target]
    code, answer = exported(net, target, tmp_path)
    assert (code, answer["warnings"]) == (0, [])
    data, out = answer["data"], tmp_path / "out"
    assert set(SUMMARY) <= set(data)
    assert data["violations"] == []
    on_cores = target.startswith("loihi")
    assert (data["cores"], data["lower_bound"]) == ((1, 1) if on_cores else (None, None))
    assert (data["utilisation"] is not None, data["spike_hops"] is not None) == (on_cores, on_cores)
    names = contents(out)
    assert {f"{out}/{name}" for name in names} == set(data["files"])
    golden = {f"golden/spikes_{k}.npy" for k in range(len(net.populations))} | {"golden/input_x.npy"}
    assert names >= beside | golden | {"network.h5", "manifest.json"}
    assert {name.split(".")[0] for name in names - golden} <= {
        one.split(".")[0] for one in beside | {"network.h5", "manifest.json"}
    } | {f"ranc/{kind}_{k:03}" for kind in ("tc", "csram") for k in range(9)}

    code, found = cli("verify", out, "--json")
    assert (code, found["data"]["holds"]) == (0, True)
    held = {c["about"].split(",")[0]: c["holds"] for c in found["data"]["checks"] if c["name"] == "artefact"}
    readable = {name.split("/")[0] for name in beside} - {"network.npz"}
    assert held == {name: True if name in emulated else None for name in readable}

    last = np.load(out / "golden" / f"spikes_{len(net.populations) - 1}.npy")
    assert last.any()
    for name in emulated:
        words = ("emulate", out / name, "--input", out / "golden" / "input_x.npy", "--record", "s")
        code, did = cli(*words, "-o", tmp_path / f"{Path(name).name}.h5", "--json")
        assert code == 0, did
        assert did["data"]["output_counts"] == last.sum(axis=2).tolist()


@pytest.mark.parametrize("target", ["xylo", "ranc", "tinyodin", "loihi1", "spinnaker1"])
def test_a_changed_byte_of_any_file_is_found(target: str, tmp_path: Path) -> None:
    net, _, _ = CASES[target]
    assert exported(net, target, tmp_path)[0] == 0
    out = tmp_path / "out"
    for name in sorted(contents(out) - {"manifest.json"}):
        good = (out / name).read_bytes()
        for at in (0, len(good) // 2):
            bad = bytearray(good)
            bad[at] ^= 1
            (out / name).write_bytes(bad)
            code, found = cli("verify", out, "--json")
            assert code == 8, (name, at, found["error"])
            assert f"{name} has changed" in found["error"]["message"]
        (out / name).write_bytes(good)
    assert cli("verify", out, "--json")[0] == 0


def heavier(net: Network, link: str, weight: float) -> Network:
    rule = net.projections[link].rule
    assert isinstance(rule, Dense)
    matrix = np.array(rule.weight)
    matrix[0, 0] = weight
    changed = net.projections[link].replace(rule=Dense(weight=matrix))
    return net.replace(projections={**net.projections, link: changed})


BEYOND = {
    "xylo": (heavier(xylo(), "xh", 1001), "projections.xh", "1,001", "127"),
    "ranc": (heavier(ranc(), "ho", 11), "populations.o, neuron 0", "11", "multiples from -8 to 7"),
    "tinyodin": (heavier(tinyodin(), "ho", 8), "projections.ho", "8", "7"),
    "loihi1": (heavier(loihi("loihi1"), "xh", 300), "projections.xh", "300", "255"),
    "spinnaker1": (heavier(loihi("loihi1"), "xh", 70000), "projections.xh", "70,000", "65,535"),
    "generic-int8": (heavier(generic(), "xh", 128), "projections.xh", "128", "127"),
}


@pytest.mark.parametrize("target", BEYOND)
def test_what_does_not_fit_is_named(target: str, tmp_path: Path) -> None:
    net, where, value, limit = BEYOND[target]
    code, answer = exported(net, target, tmp_path)
    assert (code, answer["error"]["where"]) == (5, target)
    for word in (where, value, limit, "Fix: "):
        assert word in answer["error"]["message"], word
    (found,) = answer["data"]["violations"]
    assert found["where"] == where
    assert not (tmp_path / "out").exists()
    assert contents(tmp_path) == {"net.h5", "x.npy"}
    assert exported(net, target, tmp_path, "--dry-run")[0] == 5


def test_neurons_of_another_chip(tmp_path: Path) -> None:
    code, answer = exported(tinyodin(), "generic-int8", tmp_path)
    assert code == 5
    wrong = answer["data"]["violations"]
    assert [one["where"] for one in wrong] == ["populations.h", "populations.o"]
    assert {one["limit"] for one in wrong} == {"rule"}
    assert "decay linear" in wrong[0]["value"]
    assert "decay fraction" in wrong[0]["bound"]
    code, answer = exported(loihi("loihi2"), "loihi1", tmp_path)
    assert code == 0
    made, _ = read_network(tmp_path / "out" / "network.h5")
    unit = made.populations["h"].unit
    assert isinstance(unit, IntegerLIF)
    assert unit.rule == RULES["loihi1"]


# --- configs and NIR files -------------------------------------------------------------------------------

DT = 0.5


def drawn(current: bool, delay_ms: float = DT, t_ref_ms: float = 0.0) -> Network:
    """Lists of connections, with a step of half a millisecond."""
    rng = np.random.default_rng(3)
    synapse = {"synapse": Exponential(tau_exc_ms=3.0)} if current else {}
    unit = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_reset_mv=0.0, v_th_mv=1.0, t_ref_ms=t_ref_ms, **synapse)

    def link(source: str, target: str) -> Projection:
        ends = np.nonzero(rng.random((SIZES[source], SIZES[target])) < 0.7)
        weight = rng.normal(0.3, 0.5, len(ends[0])) * (60 if current else 1)
        key = "weight_pa" if current else "weight_mv"
        rule = Arrays(source=ends[0], target=ends[1])
        return Projection(source=source, target=target, rule=rule, delay_ms=delay_ms, **{key: weight})

    return Network(
        stimuli={"x": Poisson(n=10, rate_hz=100.0)},
        populations={name: Population(n=SIZES[name], neuron=unit) for name in ("h", "o")},
        projections={"xh": link("x", "h"), "ho": link("h", "o")},
    )


@pytest.mark.parametrize("current", [False, True])
def test_a_network_in_layers_has_the_spikes_of_the_config(current: bool) -> None:
    """Also where a step is not 1 ms."""
    rng = np.random.default_rng(4)
    x, n_steps = (rng.random((30, 10)) < 0.3).astype(float), 40
    steps, ids = np.nonzero(x)
    net = drawn(current, 2 * DT, 2 * DT)
    layered = as_layers(net, DT)
    net = net.replace(probes={name: Probe(target=name) for name in ("h", "o")})
    trains = SpikeTrains(n=10, times_ms=steps * DT, ids=ids)
    plain = Simulator(net.replace(stimuli={"x": trains}), dt_ms=DT, threads=1)
    plain.run_steps(n_steps)
    batch = Simulator(layered.replace(probes=net.probes), batch=1, dt_ms=1.0, threads=1)
    batch.present({"x": x[None]})
    batch.run_steps(n_steps)
    for name in ("h", "o"):
        expected = plain.spikes(name)
        assert len(expected[0]) > 20
        found = batch.spikes(name)
        assert sorted(zip(*map(np.ndarray.tolist, expected), strict=True)) == sorted(
            zip(*map(np.ndarray.tolist, found), strict=True)
        )


def test_a_config_is_exported(tmp_path: Path) -> None:
    config = Config(name="net", run=Run(duration_ms=20.0, dt_ms=DT), network=drawn(True))
    save_config(config, tmp_path / "net.toml")
    np.save(tmp_path / "x.npy", (np.random.default_rng(1).random((6, 30, 10)) < 0.3).astype(float))
    given = ("--target", "loihi2", "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "out", "--json")
    code, answer = cli("export", tmp_path / "net.toml", *given)
    assert (code, answer["warnings"]) == (0, [])
    assert [row["agreement"] > 0.95 for row in answer["data"]["losses"]] == [True, True]
    made, _ = read_network(tmp_path / "out" / "network.h5")
    unit = made.populations["h"].unit
    assert isinstance(unit, IntegerLIF)
    assert (unit.decay_u, unit.decay_v) == tuple(round(4096 * -np.expm1(-DT / tau)) for tau in (3, 10))
    assert cli("verify", tmp_path / "out", "--json")[0] == 0


@pytest.mark.parametrize("form", ["nir", "toml", "h5"])
def test_a_nir_file_is_exported(form: str, tmp_path: Path) -> None:
    pytest.importorskip("nir", reason="needs the extra `convert`")
    rng = np.random.default_rng(5)
    layers = (
        node("Affine", weight=rng.normal(40, 60, (8, 10)), bias=rng.normal(0, 0.1, 8)), nir_lif(8),
        node("Linear", weight=rng.normal(60, 60, (3, 8))), nir_lif(3),
    )  # fmt: skip
    net = save(tmp_path / "net.nir", chain(*layers, n=10))
    np.save(tmp_path / "x.npy", (rng.random((6, 30, 10)) < 0.3).astype(float))
    given = ["--target", "loihi2", "--calibrate", tmp_path / "x.npy", "-o", tmp_path / "out", "--json"]
    if form == "nir":
        given += ["--dt-ms", "0.5", "--hard-reset"]  # those of dialect exact subtract
    else:
        words = (net, "--dt-ms", 0.5, "--dialect", "norse", "-o", tmp_path / f"net.{form}")
        net = tmp_path / f"net.{form}"
        assert cli("convert", *words, "--json")[0] == 0
    code, answer = cli("export", net, *given)
    assert code == 0, answer
    assert answer["data"]["losses"][0]["agreement"] > (0.7 if form == "nir" else 0.95)
    assert cli("verify", tmp_path / "out", "--json")[0] == 0


# --- trained networks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an MLP for the digits, shown as black and white: its weights are multiples of 1/8."""
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    folder = tmp_path_factory.mktemp("digits")
    images = load_dataset("digits", None)
    x = torch.tensor((images.images.reshape(-1, 64) > 0.5).astype(np.float32))
    y = torch.tensor(np.asarray(images.labels, np.int64))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 24), torch.nn.ReLU(), torch.nn.Linear(24, 10))
    best = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        best.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        best.step()
    with torch.no_grad():
        for part in model.parameters():
            part.copy_(torch.round(part * 8) / 8)
        assert float((model(x).argmax(1) == y).float().mean()) > 0.75
    torch.save(model.state_dict(), folder / "w.pt")
    np.save(folder / "x.npy", x[:64].numpy())
    text = "from torch import nn\ndef make():\n"
    text += "    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))\n"
    (folder / "digits_builder.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("target", "how", "more", "kept"),
    [
        ("loihi1", ("--method", "exact", "--levels", "1"), (), 1.0),
        ("generic-int8", ("--method", "exact", "--levels", "1"), (), 1.0),
        ("generic-int8", ("--method", "exact", "--levels", "15"), (), 0.97),
        ("generic-int8", ("--method", "rate", "--timesteps", "8"), ("--calibrate", "x.npy"), 0.97),
        ("loihi1", ("--method", "rate", "--timesteps", "8"), ("--calibrate", "x.npy", "--hard-reset"), 0.8),
    ],
)
def test_trained_digits(
    target: str, how: tuple[str, ...], more: tuple[str, ...], kept: float, digits: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Counts of the certificate that are kept: all with one level, on weights that the chip has."""
    monkeypatch.syspath_prepend(str(digits))
    monkeypatch.chdir(digits)
    words = ("convert", "w.pt", "--builder", "digits_builder:make", "--calibrate", "x.npy", *how)
    code, answer = cli(*words, "-o", tmp_path / "net.h5", "--json")
    assert code == 0, answer
    words = ("export", tmp_path / "net.h5", "--target", target, "-o", tmp_path / "out", *more, "--json")
    code, answer = cli(*words)
    assert code == 0, answer
    data, exact = answer["data"], answer["data"]["exactness"]
    assert ("exact" in how) == (exact is not None)
    assert (data["losses"][0]["agreement"] if exact is None else exact["rate"]) >= kept
    if exact is not None:
        assert exact["holds"] == (exact["rate"] == 1.0)
    assert cli("verify", tmp_path / "out", "--json")[1]["data"]["holds"]
