"""Certificates are checked again: what holds, and every way in which a file can be another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_examples import save_mlp
from small_graphs import mlp, residual
from test_cli_output import invoke, one_object

from snnsim.converters import certificate as certificates
from snnsim.converters.conversion_file import read_conversion
from snnsim.converters.convert import convert
from snnsim.converters.exact import Quantisation
from snnsim.converters.verify import Verification, verify
from snnsim.errors import ConfigError, FileError
from snnsim.identity import fingerprint
from snnsim.networkfile import read_network, write_network

GRAPH, X = mlp()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "net.h5"
    convert(GRAPH, X, timesteps=3).write(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "net.h5"))


def rewritten(path: Path, change: Callable[[Any, dict[str, Any]], Any]) -> Path:
    """The file with another network or other facts, and a container that is whole."""
    network, facts = read_network(path)
    write_network(path, change(network, facts) or network, facts)
    return path


def with_weight(network: Any, name: str = "a0_to_a1", by: float = 0.25, at: tuple[int, int] = (3, 2)) -> Any:
    link = network.projections[name]
    weight = link.rule.weight.copy()
    weight[at] += by * abs(weight).max()
    changed = link.replace(rule=link.rule.replace(weight=weight))
    return network.replace(projections={**network.projections, name: changed})


def with_neuron(network: Any, name: str, **changes: Any) -> Any:
    population = network.populations[name]
    changed = population.replace(neuron=population.unit.replace(**changes))
    return network.replace(populations={**network.populations, name: changed})


def forged(network: Any, facts: dict[str, Any]) -> None:
    """A new certificate for whatever is in the file: only the model can tell."""
    then = facts["certificate"]
    paths = {layer["name"]: layer["path"] for layer in then["layers"]}
    amounts = facts["inputs"].astype(float)
    new = certificates.compare(network, amounts, then["n_steps"], paths, then["model"])
    facts["certificate"] = new.as_dict()


def differing(found: Verification) -> list[str]:
    return [check.name for check in found.checks if check.holds is False]


def problems(found: Verification) -> str:
    return "\n".join(problem for check in found.checks for problem in check.problems)


def test_all_checks_of_an_untouched_file_hold(path: Path) -> None:
    alone = verify(path)
    assert alone.holds
    states = {check.name: check.holds for check in alone.checks}
    made = dict.fromkeys(("network", "inputs", "counts", "reference", "statement"), True)
    assert states == made | dict.fromkeys(("data", "model", "weights", "rebuilt"))
    assert [layer.n_checked for layer in alone.certificate.layers] == [200 * 16, 200 * 12]
    full = verify(path, graph=GRAPH, data=X)
    assert [check.holds for check in full.checks] == [True] * 9


def test_a_network_with_all_operations_holds(tmp_path: Path) -> None:
    graph, x = residual()
    convert(graph, x, levels=7).write(tmp_path / "net.h5")
    found = verify(tmp_path / "net.h5", graph=graph, data=x)
    assert [check.holds for check in found.checks] == [True] * 9, problems(found)


def test_given_quantisation_is_part_of_the_file(tmp_path: Path) -> None:
    given = Quantisation((0.25, np.linspace(0.125, 0.5, 12)), input_bits=8)
    convert(GRAPH, X, levels=3, quantisation=given).write(tmp_path / "net.h5")
    kept = read_conversion(tmp_path / "net.h5").quantisation
    assert kept.input_bits == 8
    assert kept.thresholds is not None
    assert kept.thresholds[0] == 0.25
    assert np.array_equal(kept.thresholds[1], given.thresholds[1])
    found = verify(tmp_path / "net.h5", graph=GRAPH, data=X)
    assert [check.holds for check in found.checks] == [True] * 9, problems(found)


def test_a_damaged_file_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"SHA-256|damaged|HDF5"):
        verify(path)


def test_one_changed_weight_is_found(path: Path) -> None:
    found = verify(rewritten(path, lambda network, facts: with_weight(network)))
    assert {"network", "reference"} <= set(differing(found))
    assert "layer a1: the integers of the network are not those of the conversion" in problems(found)


def test_one_changed_weight_under_a_new_hash_is_found(path: Path) -> None:
    def change(network: Any, facts: dict[str, Any]) -> Any:
        changed = with_weight(network)
        facts["certificate"]["network"] = fingerprint(changed, {})
        return changed

    found = verify(rewritten(path, change))
    assert "network" not in differing(found)
    assert "reference" in differing(found)


def test_a_weight_under_a_whole_new_certificate_is_found_with_the_model(path: Path) -> None:
    def change(network: Any, facts: dict[str, Any]) -> Any:
        changed = with_weight(network)
        forged(changed, facts)
        return changed

    rewritten(path, change)
    assert verify(path).holds  # nothing in the file says otherwise
    found = verify(path, graph=GRAPH)
    assert differing(found) == ["weights"]
    assert "projections.a0_to_a1.rule.weight[3, 2] (1 of 192 differ) is" in problems(found)


@pytest.mark.parametrize(
    ("changes", "with_data_only"),
    [
        ({"bias_mv": lambda unit: unit.bias_mv + unit.v_th_mv / 16}, True),
        ({"bias_mv": lambda unit: unit.bias_mv + unit.v_th_mv * 2}, False),
        ({"bias_mv": lambda unit: unit.bias_mv + np.eye(1, 16, 4)[0] * 1e3}, False),
        ({"v_init_mv": lambda unit: unit.v_init_mv * 0.5}, False),
        ({"levels": lambda unit: 14}, False),
    ],
)
def test_biases_and_neurons_are_compared_too(
    path: Path, changes: dict[str, Any], with_data_only: bool
) -> None:
    def change(network: Any, facts: dict[str, Any]) -> Any:
        unit = network.populations["a0"].unit
        changed = with_neuron(network, "a0", **{key: new(unit) for key, new in changes.items()})
        forged(changed, facts)
        return changed

    rewritten(path, change)
    assert verify(path, graph=GRAPH).holds == with_data_only
    found = verify(path, graph=GRAPH, data=X)
    assert "rebuilt" in differing(found)
    assert f"populations.a0.neuron.{next(iter(changes))}" in problems(found)


def test_other_thresholds_with_weights_that_follow_are_found_with_the_data(path: Path) -> None:
    """A whole other conversion of the same model, put in the place of the first."""
    other = path.with_name("other.h5")
    convert(GRAPH, X[:20], timesteps=3, certify_on=X).write(other)
    assert verify(other, graph=GRAPH).holds
    found = verify(other, graph=GRAPH, data=X)
    states = {check.name: check for check in found.checks}
    assert states["rebuilt"].holds is None
    assert states["rebuilt"].needs == "the calibration data as they were"

    def change(network: Any, facts: dict[str, Any]) -> None:
        facts["calibration"] = read_network(path)[1]["calibration"]

    assert differing(verify(rewritten(other, change), graph=GRAPH, data=X)) == ["rebuilt"]


def test_another_network_is_found(path: Path) -> None:
    graph, x = mlp(seed=1)
    other = convert(graph, x).network
    found = verify(rewritten(path, lambda network, facts: other), graph=GRAPH)
    assert {"network", "reference", "weights"} <= set(differing(found))


def test_another_model_is_found(path: Path) -> None:
    graph, _ = mlp(seed=1)
    found = verify(path, graph=graph, data=X)
    assert differing(found) == ["model", "weights", "rebuilt"]
    smaller, _ = mlp(sizes=(20, 9, 4))
    found = verify(path, graph=smaller)
    assert "populations.a0 is 16 signed_if instead of 9 signed_if, for a0" in problems(found)


def test_other_data_are_found(path: Path) -> None:
    x = X.copy()
    x[17, 5] = 1.0 - x[17, 5]
    found = verify(path, data=x)
    assert differing(found) == ["data"]
    assert "sample 17, value 5:" in problems(found)
    assert "(1 of 200 samples differ)" in problems(found)
    assert differing(verify(path, data=X[:50])) == ["data"]
    assert verify(path, data=np.concatenate([X, X])).holds  # those of the certificate come first
    with pytest.raises(ConfigError, match="do not fit the model"):
        verify(path, data=X[:, :7])


def test_other_inputs_in_the_file_are_found(path: Path) -> None:
    def change(network: Any, facts: dict[str, Any]) -> None:
        facts["inputs"] = facts["inputs"].copy()
        facts["inputs"][9, 1] += 1

    assert differing(verify(rewritten(path, change)))[0] == "inputs"


@pytest.mark.parametrize(
    ("edit", "check", "text"),
    [
        (lambda c: c.update(n_samples=201), "statement", "200 inputs, the certificate says 201"),
        (lambda c: c.update(readout_deviation=0.5), "statement", "largest deviation of an output 0"),
        (lambda c: c["layers"][1].update(n_mismatches=1), "statement", "layer a1: n_mismatches is 0"),
        (lambda c: c["layers"][0].update(n_neurons=99), "statement", "layer a0: n_neurons is 16"),
        (lambda c: c["layers"].pop(), "statement", "layers a0, a1, the certificate says a0"),
        (lambda c: c.update(data="0" * 64), "inputs", "the certificate says 0000000000000000..."),
        (lambda c: c.update(network="f" * 64), "network", "the certificate says ffffffffffffffff..."),
        (lambda c: c["layers"][0].update(reference="0" * 64), "reference", "layer a0: the integers"),
        (lambda c: c.update(readout_reference="0" * 64), "reference", "the outputs of the network"),
    ],
)
def test_an_edited_certificate_is_found(
    path: Path, edit: Callable[[dict[str, Any]], object], check: str, text: str
) -> None:
    found = verify(rewritten(path, lambda network, facts: edit(facts["certificate"]) and None))
    assert differing(found) == [check]
    assert text in problems(found)


def test_an_edited_model_hash_is_found_with_the_model(path: Path) -> None:
    rewritten(path, lambda network, facts: facts["certificate"].update(model="0" * 64))
    assert verify(path).holds
    assert differing(verify(path, graph=GRAPH)) == ["model"]


def test_a_count_that_differs_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator that emits one spike too few, in one neuron, for one sample."""
    evaluate = certificates.evaluate

    def wrong(network: Any, inputs: Any) -> Any:
        values = evaluate(network, inputs)
        values["a1"][41, 7] += 1
        values["readout"][3, 0] += 0.25
        return values

    monkeypatch.setattr(certificates, "evaluate", wrong)
    found = verify(path)
    assert {"counts", "reference", "statement"} == set(differing(found))
    assert "layer a1, neuron 7, sample 41: " in problems(found)
    assert "(1 of 2,400 differ)" in problems(found)
    assert "outputs deviate by up to 0.25" in problems(found)


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: f.update(certificate=[]),
        lambda f: f["certificate"].pop("layers"),
        lambda f: f["certificate"].update(layers=[3]),
        lambda f: f["certificate"].update(n_steps=2**40),
        lambda f: f["certificate"].update(n_samples=-1),
        lambda f: f["certificate"].update(n_samples=True),
        lambda f: f["certificate"].update(model="abc"),
        lambda f: f["certificate"]["layers"][0].update(n_neurons="16"),
        lambda f: f["certificate"]["layers"][0].update(first=[1]),
        lambda f: f.update(input_shape=[-20]),
        lambda f: f.update(input_shape=[21]),
        lambda f: f.update(input_scale=0.0),
        lambda f: f.update(inputs=np.zeros((3, 20))),
        lambda f: f.update(inputs="none"),
        lambda f: f.update(levels=0),
    ],
)
def test_impossible_facts_are_refused(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    rewritten(path, lambda network, facts: edit(facts) and None)
    with pytest.raises(FileError, match="a certificate that cannot be|not the network of a conversion"):
        verify(path)


def test_files_without_a_certificate_or_inputs(path: Path, tmp_path: Path) -> None:
    convert(GRAPH, X, "rate").write(tmp_path / "rate.h5")
    with pytest.raises(FileError, match="a network without a certificate; got 'rate'"):
        verify(tmp_path / "rate.h5")
    rewritten(path, lambda network, facts: facts.pop("inputs") is None and None)
    with pytest.raises(FileError, match=r"does not hold the inputs.*--calibrate"):
        verify(path)
    assert verify(path, data=X).holds


def test_inputs_are_kept_small(path: Path) -> None:
    _, facts = read_network(path)
    assert facts["inputs"].dtype in (np.int16, np.uint16)
    assert read_conversion(path).inputs.dtype == np.float64


def test_command(path: Path, tmp_path: Path) -> None:
    result = invoke("verify", path)
    assert result.exit_code == 0, result.output
    assert "net.h5: the certificate holds (200 inputs in 3 steps)" in result.stdout
    assert "not checked" in result.stdout
    assert "--model MODEL" in result.stdout
    x = X.copy()
    x[3] = 0
    np.save(tmp_path / "x.npy", x)
    result = invoke("verify", path, "--calibrate", tmp_path / "x.npy")
    assert result.exit_code == 8
    assert "DOES NOT HOLD" in result.stdout
    assert f"error: {path}: data: sample 3, value 0" in result.stderr
    answer = one_object(invoke("verify", path, "--calibrate", tmp_path / "x.npy", "--json").stdout)
    assert answer["error"]["code"] == "verify.data"
    assert not answer["data"]["holds"]
    assert [c["name"] for c in answer["data"]["checks"] if c["holds"] is False] == ["data"]
    assert invoke("verify", path, "--builder", "a:b").exit_code == 2
    assert invoke("verify", tmp_path / "nothing.h5").exit_code == 4
    np.save(tmp_path / "short.npy", X[:, :3])
    assert invoke("verify", path, "--calibrate", tmp_path / "short.npy").exit_code == 3


def test_command_with_the_model(tmp_path: Path) -> None:
    model = save_mlp(GRAPH, tmp_path / "m.onnx")
    other = save_mlp(mlp(seed=5)[0], tmp_path / "other.onnx")
    np.save(tmp_path / "x.npy", X[:40].astype(np.float32))
    net = tmp_path / "net.h5"
    data = ("--calibrate", tmp_path / "x.npy")
    for method in ("exact", "auto"):
        result = invoke("convert", model, *data, "--method", method, "-o", net, "--levels", "15")
        assert result.exit_code == 0, result.output
        if json.loads(invoke("inspect", net, "--json").stdout)["data"]["facts"]["method"] != "exact":
            continue
        result = invoke("verify", net, "--model", model, *data)
        assert result.exit_code == 0, result.output
        assert "not checked" not in result.stdout
        result = invoke("verify", net, "--model", other, *data)
        assert result.exit_code == 8
        assert "weights: projections." in result.stderr
