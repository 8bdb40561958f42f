"""Columns of operations against NeuroBench's numbers of the same models; skipped where it is absent."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
from benchmark_files import load

NEEDED = ("neurobench", "snntorch", "torch")
ABSENT = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}"),
    pytest.mark.filterwarnings("ignore"),  # of NeuroBench and what it needs
]


@pytest.fixture(scope="module")
def benchmark_file() -> ModuleType:
    return load("neurobench_compare")


@pytest.mark.parametrize("name", ["mlp", "pruned mlp", "cnn"])
def test_the_same_numbers(benchmark_file: ModuleType, name: str) -> None:
    found = benchmark_file.compare(name)
    equal = {
        "source": ["ConnectionSparsity", "ActivationSparsity", "Effective_MACs", "Effective_ACs", "Dense"],
        "spiking": ["ConnectionSparsity", "ActivationSparsity", "Dense"],
    }
    if name == "mlp":
        equal["spiking"] += ["Effective_MACs", "Effective_ACs"]
    for system, columns in equal.items():
        for column in columns:
            pair = found[system][column]
            rounded = 5e-5 if column == "ConnectionSparsity" else 1e-12  # NeuroBench rounds to four digits
            assert pair["snnsim"] == pytest.approx(pair["neurobench"], rel=1e-12, abs=rounded), column
    synaptic = {
        who: sum(found["spiking"][column][who] for column in ("Effective_MACs", "Effective_ACs"))
        for who in ("snnsim", "neurobench")
    }
    if name == "pruned mlp":  # events reach targets over weights of zero too
        assert 1.5 * synaptic["neurobench"] < synaptic["snnsim"] < 3 * synaptic["neurobench"]
    else:
        assert synaptic["snnsim"] == pytest.approx(synaptic["neurobench"])
    if name == "cnn":  # pooled events of 1 are additions here, and multiplications by 1/4 there
        assert found["spiking"]["Effective_ACs"]["snnsim"] > found["spiking"]["Effective_ACs"]["neurobench"]
    readouts = 10 * benchmark_file.STEPS
    updates = found["spiking"]["MembraneUpdates"]
    assert updates["snnsim"] - readouts == pytest.approx(updates["neurobench"])
