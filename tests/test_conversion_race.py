"""The peers of the conversion race, and what the race writes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from snnsim.converters.convert import convert

torch = pytest.importorskip("torch")
BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("without the folder of benchmarks", allow_module_level=True)
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "peers")]

import ann2snn  # noqa: E402
import conversion_race  # noqa: E402
from conversion_eval import STEPS, Setting, accuracy, choose, rates, wrong  # noqa: E402
from conversion_rows import FIXED, table  # noqa: E402


def small_net() -> torch.nn.Module:
    torch.manual_seed(0)
    nn = torch.nn
    convolution = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2))
    return nn.Sequential(*convolution, nn.Flatten(), nn.Linear(36, 5)).eval()


def test_the_rule_of_snntoolbox_is_that_of_its_normalisation_here() -> None:
    """Two programs, one in torch and one in event-driven kernels, give the same outputs."""
    model, x = small_net(), np.random.default_rng(1).random((24, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        spiking, restart = ann2snn.percentile(model, torch.from_numpy(x))
        for steps in (1, 4, 16):
            last = [total for _, total in ann2snn.outputs(spiking, restart, torch.from_numpy(x), steps)][-1]
            found = convert(model, x, "rate", timesteps=steps, normalisation="snntoolbox").predict(x)
            same = np.isclose(last.numpy() / steps, found, atol=1e-4)
            assert same.all(axis=1).mean() > 0.9  # float32 may turn a spike at the very threshold


def test_the_setting_that_agrees_best_is_chosen() -> None:
    model, x = small_net(), np.random.default_rng(2).random((16, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(x)).numpy()
    chosen = choose(model, x, wanted, [Setting("exact", 1, 1), Setting("exact", 1, 255)])
    assert chosen.setting.levels == 255
    assert chosen.agreement == 1.0
    assert chosen.error < 0.05


def test_what_is_tried() -> None:
    tried = rates("burst", 8)
    assert len(set(tried)) == len(tried)
    assert {setting.method for setting in tried} == {"burst"}


class Rows:
    def __init__(self, rows: dict[str, object]) -> None:
        self.rows = rows


def a_row(setting: Setting, n_wrong: int) -> dict[str, object]:
    counted = dict.fromkeys(
        ("synaptic_acs", "pooling_acs", "synaptic_macs", "pooling_macs", "input_macs_once"), 1.0
    )
    return {
        **asdict(setting), "n_test": 50, "wrong": list(range(n_wrong)), "convert_s": 1.0,
        "operations": counted | {"spikes_per_neuron": 0.5},
    }  # fmt: skip


def test_accuracy_over_the_first_images() -> None:
    row = {"n_test": 4, "wrong": wrong(np.eye(4), np.array([0, 3, 2, 0]))}
    assert row["wrong"] == [1, 3]
    assert [accuracy(row, n) for n in (None, 1, 2, 4)] == [0.5, 1.0, 0.5, 0.5]
    with pytest.raises(SystemExit, match="a row of 4 test images, and 5 are asked for"):
        accuracy(row, 5)


def test_every_setting_is_the_conversion_that_it_names() -> None:
    model, x = small_net(), np.random.default_rng(3).random((8, 1, 8, 8)).astype(np.float32)
    for setting in (*FIXED.values(), Setting("rate", 2, 0, "spikingjelly-channels", "bias")):
        made = setting.convert(model, x)
        assert (made.method, made.timesteps) == (setting.method, max(setting.timesteps, 1))


def test_the_table_of_methods() -> None:
    rows: dict[str, object] = {"source": {"n_test": 100, "wrong": [0, 99]}}
    rows |= {key: a_row(setting, 2) for key, setting in FIXED.items()}
    rows |= {"rate, T = 4": a_row(Setting("rate", 4, 0, "mse", "bias"), 3)}
    rows["certificate"] = {
        "setting": "exact, 15 levels", "samples": 10, "values": 20, "mismatches": 0, "readout_deviation": 0.0
    }  # fmt: skip
    text = table(Rows(rows), {"rate": (4,)})
    assert "Trained network: 98.00% of 100 test images" in text
    assert "| rate | 4 | mse, bias | 50 | 94.00% | +4.00 | 2 | 3 | 0.50 | 1.0 s |" in text
    assert "| exact | 1 | 7 levels | 50 | 96.00% | +2.00 |" in text
    assert "| ttfs | - | continuous | 50 |" in text
    assert "0 mismatches" in text


def test_the_table_of_the_race() -> None:
    mine = {f"rate, T = {t}": {"accuracy": 0.9, "convert_s": 1.0} for t in STEPS}
    mine |= {"exact, 15 levels": {"accuracy": 0.97, "convert_s": 2.0}, "source": {"accuracy": 0.98}}
    times = {str(t): {"cpu_ms": 10.0 * t, "wall_ms": 12.0 * t} for t in STEPS}
    rows: dict[str, object] = {"images": {"n": 100}, "ours": mine}
    for method in conversion_race.METHODS:
        rows[f"accuracy, {method}"] = {"accuracy": [0.5] * 32, "convert_cpu_s": 0.5}
    rows["accuracy, half-max"] = {"failed": "no such thing"}
    for number, factor in enumerate((1.0, 2.0, 9.0)):
        own = {key: {"cpu_ms": factor, "wall_ms": factor} for key in mine}
        theirs = dict.fromkeys(conversion_race.TIMED, {"times": times})
        rows[f"round {number}, 1 threads"] = {"ours": own, **theirs}
    text = conversion_race.table(Rows(rows), 1)
    assert "| SpikingJelly, half-max | does not run: no such thing |" in text
    assert "| snnsim, rate | 2 | 2 | 2 | 2 | 2 | 2 |" in text  # medians
    assert "| SpikingJelly, 99.9%: times ours | 5 | 10 | 20 | 40 | 80 | 160 |" in text
