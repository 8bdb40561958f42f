"""RANC: placement, images there and back, the model in Verilog, what its RTL answered; refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranc_examples import random_given, random_network, run_model, run_network

from snnsim import Network, Population, Projection
from snnsim.errors import FileError, TargetError
from snnsim.hardware.ranc import HIGH, LOW, read_ranc_chip, write_ranc
from snnsim.hardware.ranc_axons import crossbar
from snnsim.hardware.ranc_network import population_rows, ranc_network, read_ranc
from snnsim.hardware.ranc_place import place_ranc
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Conv, Dense
from snnsim.stimuli import Analogue

GOLDEN = Path(__file__).with_name("golden_ranc.npz")
N_TICKS = 30


@pytest.mark.parametrize("seed", range(8))
def test_a_placed_network_computes_the_same(tmp_path: Path, seed: int) -> None:
    network = random_network(seed)
    chip = place_ranc(network)
    given = random_given(network, N_TICKS, seed)
    write_ranc(tmp_path, chip)
    expected = run_network(network, {"x": given}, "c")
    found = run_network(read_ranc(tmp_path), {"x": given}, "output")
    assert np.array_equal(found, expected)
    assert expected.any()


@pytest.mark.peer
@pytest.mark.parametrize("seed", [1, 5])
def test_the_images_run_in_verilog(tmp_path: Path, seed: int) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    network = random_network(seed)
    chip, given = place_ranc(network), random_given(network, 15, seed)
    write_ranc(tmp_path, chip)
    expected = run_network(network, {"x": given}, "c")
    found = run_model(chip, tmp_path, {"x": given})
    assert np.array_equal(found[:, chip.outputs["c"]], expected)
    assert found.sum() == expected.sum()


def test_golden_answers_of_the_rtl() -> None:
    """What RANC's Verilog sent to its output bus, tick by tick, with the images of these networks."""
    with np.load(GOLDEN) as kept:
        for seed in kept["seeds"].tolist():
            network = random_network(seed)
            found = run_network(network, {"x": kept[f"{seed}/given"].astype(int)}, "c")
            assert np.array_equal(found, kept[f"{seed}/answers"]), seed
            assert found.any()


def test_images_there_and_back(tmp_path: Path) -> None:
    chip = place_ranc(random_network(0))
    write_ranc(tmp_path / "a", chip)
    again = read_ranc_chip(tmp_path / "a")
    write_ranc(tmp_path / "b", again)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for place, core in chip.cores.items():
        for name, value in vars(core).items():
            assert np.array_equal(value, getattr(again.cores[place], name)), (place, name)


def test_a_line_is_laid_out_as_documented(tmp_path: Path) -> None:
    chip = place_ranc(random_network(0))
    core = chip.cores[0, 0]
    core.connected[5] = np.arange(256) == 3
    core.weight[5], core.potential[5], core.dx[5], core.axon[5], core.tick[5] = [1, -1, 2, LOW], -2, -1, 7, 9
    write_ranc(tmp_path, chip)
    line = (tmp_path / "csram_000.mem").read_text().splitlines()[5]
    assert len(line) == 368
    assert line.index("1") == 255 - 3
    assert line[256:265] == "111111110"
    assert line[274:310] == "000000001" + "111111111" + "000000010" + "100000000"
    assert line[338:347] == "111111111"
    assert line[356:] == "00000111" + "1001"


@pytest.mark.parametrize("seed", range(20))
def test_a_crossbar_gives_the_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [[-1, 1], [3, -7, 20, 100], [*range(-8, 8)], [*range(-256, 256)]][seed % 4]
    shape = (12, 9) if seed % 4 < 3 else (12, 4)
    matrix = np.where(rng.random(shape) < 0.7, rng.choice(values, shape), 0)
    found = crossbar(matrix)
    assert found is not None
    assert found.weight.min() >= LOW
    assert found.weight.max() <= HIGH
    again = np.zeros_like(matrix)
    for axon, (source, kind) in enumerate(zip(found.source, found.axon_type, strict=True)):
        again[:, source] += found.connected[:, axon] * found.weight[:, kind]
    assert np.array_equal(again, matrix)


def test_weights_that_types_share_need_one_axon_each() -> None:
    signs = np.where(np.arange(8) % 2, 1, -1)
    matrix = np.random.default_rng(0).integers(0, 2, (20, 8)) * signs
    found = crossbar(matrix)
    assert found is not None
    assert found.source.size == 8


def layered(sizes: list[int], weight: np.ndarray | None = None, **parameters: Any) -> Network:
    neuron = IntegerLIF(rule=RULES["ranc"], **{"threshold": 5, **parameters})
    names = [f"p{k}" for k in range(1, len(sizes))]
    projections = {}
    for k, name in enumerate(names):
        matrix = np.ones((sizes[k + 1], sizes[k])) if weight is None else weight
        projections[name] = Projection(
            source=f"p{k}" if k else "x", target=name, rule=Dense(weight=matrix), weight_mv=1.0, delay_ms=1.0
        )
    return Network(
        stimuli={"x": Analogue(n=sizes[0])},
        populations={name: Population(n=n, neuron=neuron) for name, n in zip(names, sizes[1:], strict=True)},
        projections=projections,
    )


def test_a_wide_layer_takes_several_cores() -> None:
    chip = place_ranc(layered([100, 300, 4]).replace(projections={
        "p1": Projection(source="x", target="p1", weight_mv=1.0, delay_ms=0.0,
                         rule=Dense(weight=np.ones((300, 100)))),
        "p2": Projection(source="p1", target="p2", weight_mv=1.0, delay_ms=1.0,
                         rule=Dense(weight=np.repeat(np.eye(4), 75, axis=1))),
    }))  # fmt: skip
    assert [core.used.size for core in chip.cores.values()] == [44, 256, 1, 3]
    assert len(chip.inputs["x"][0]) == 2  # a packet for each core


def test_maps_are_placed_by_what_they_reach() -> None:
    """A convolution of 20 x 20 pixels, more than a core has axons: parts go to cores of their own."""
    rule = Conv(height=20, width=20, weight=np.random.default_rng(0).choice([-1.0, 1.0], (2, 1, 3, 3)))
    network = Network(
        stimuli={"x": Analogue(n=400)},
        populations={"map": Population(n=200, neuron=IntegerLIF(rule=RULES["ranc"], threshold=3))},
        projections={"c": Projection(source="x", target="map", weight_mv=1.0, delay_ms=0.0, rule=Conv(
            height=20, width=20, weight=rule.weight, stride_h=2, stride_w=2, pad_top=1, pad_left=1))},
    )  # fmt: skip
    chip = place_ranc(network)
    assert len(chip.cores) > 1
    given = (np.random.default_rng(1).random((10, 400)) < 0.2).astype(int)
    from snnsim import Probe

    probed = network.replace(probes={"map": Probe(target="map")})
    expected = run_network(probed, {"x": given}, "map")
    assert np.array_equal(run_network(ranc_network(chip), {"x": given}, "output"), expected)
    assert expected.any()


@pytest.mark.parametrize(
    ("make", "where", "text"),
    [
        (lambda: layered([300, 2]), "populations.p1, neuron 0", "at most 256 axons"),
        (lambda: layered([5, 300]), "p1", "at most 256"),
        (lambda: layered([5, 2], weight=np.full((2, 5), 256.0)), "projections.p1.rule.weight", "-256 to 255"),
        (lambda: layered([40, 2], weight=np.arange(80.0).reshape(2, 40)), "p1, neuron 0", "4 values"),
        (lambda: layered([5, 2], threshold=[3, 200], bias=-5, refractory=2), "p1.neuron.refractory", "0"),
        (lambda: layered([5, 2], decay_v=1), "p1.neuron.decay_v", "leak"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, where: str, text: str) -> None:
    with pytest.raises(TargetError, match=text) as caught:
        place_ranc(make())
    assert where in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_recurrence_delays_and_other_rules_are_refused() -> None:
    network = layered([5, 4, 4])
    loop = Projection(
        source="p2", target="p1", rule=Dense(weight=np.ones((4, 4))), weight_mv=1.0, delay_ms=1.0
    )
    late = network.projections["p2"].replace(delay_ms=16.0)
    other = Population(n=4, neuron=IntegerLIF(rule=RULES["loihi2"], threshold=5))
    for changed, text in (
        ({"projections": {**network.projections, "loop": loop}}, "recurrent"),
        ({"projections": {**network.projections, "p2": late}}, "1 to 15"),
        ({"populations": {**network.populations, "p1": other}}, "integer_lif"),
    ):
        with pytest.raises(TargetError, match=text):
            place_ranc(network.replace(**changed))


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("csram_000.mem", lambda text: text.replace("0", "2", 1)),
        ("csram_000.mem", lambda text: text[:-369]),
        ("csram_000.mem", lambda text: text + text),
        ("tc_000.mem", lambda text: "1" + text),
        ("ranc.json", lambda text: text.replace('"columns": 2', '"columns": 1000')),
        ("ranc.json", lambda text: text.replace('"bus": [1', '"bus": ["a"')),
        ("ranc.json", lambda text: text.replace('"inputs": {"x": [', '"inputs": {"x": [7, ')),
        ("ranc.json", lambda text: "{"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, file: str, change: Any) -> None:
    write_ranc(tmp_path, place_ranc(random_network(1)))
    path = tmp_path / file
    path.write_text(change(path.read_text()))
    with pytest.raises(FileError) as caught:
        read_ranc(tmp_path)
    assert file in str(caught.value)


def test_spikes_to_nowhere_and_shared_axons_are_refused() -> None:
    chip = place_ranc(random_network(1))
    place, rows = list(population_rows(chip).values())[0]
    core = chip.cores[place]
    dx = int(core.dx[rows[0]])
    core.dx[rows[0]] = 100
    with pytest.raises(FileError, match="no core"):
        ranc_network(chip)
    core.dx[rows[0]] = dx
    core.tick[rows[0]] = 15
    with pytest.raises(FileError, match="tick"):
        ranc_network(chip)
