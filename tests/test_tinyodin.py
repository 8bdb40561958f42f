"""tinyODIN: files there and back, kernel, its twin and a model in Verilog, refusals, answers of the RTL."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import oracle_event_core
import pytest
from tinyodin_examples import (
    LEAK_ALL,
    answers,
    compile_model,
    random_chip,
    random_events,
    run_model,
    special_chip,
    tick_events,
)

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.errors import ConfigError, FileError, SimulationError, TargetError
from snnsim.hardware.emulate import emulate
from snnsim.hardware.tinyodin import (
    TinyOdinChip,
    TinyOdinCore,
    neuron_words,
    read_tinyodin,
    spi_commands,
    synapse_words,
    write_tinyodin,
)
from snnsim.hardware.tinyodin_place import RULE, place_tinyodin
from snnsim.integer_neurons import IntegerLIF
from snnsim.layers import Dense
from snnsim.stimuli import Analogue

GOLDEN = Path(__file__).with_name("golden_tinyodin.npz")


@pytest.mark.parametrize("seed", range(12))
def test_kernel_and_twin_agree(seed: int) -> None:
    chip, events = random_chip(seed), random_events(80, seed)
    core = TinyOdinCore(chip)
    n = chip.n_neurons
    twin = oracle_event_core.Core(
        chip.weight[:, :n].tolist(),
        chip.potential[:n].tolist(),
        chip.threshold,
        chip.leak,
        chip.disabled,
        chip.closed,
    )
    found = [neuron for _, neuron in answers(core, events)]
    for word in events:
        weight = word >> 4 & 15
        if word & 0x200:
            twin.virtual(word & 15, weight - 16 if weight > 7 else weight)
        elif word == 0x1FF:
            twin.leak_all()
        elif word & 0x100:
            twin.leak_one(word & 0xFF)
        else:
            twin.spike(word)
    assert found == twin.spikes
    assert len(found) > 0
    assert core.potential.tolist() == twin.v


def test_golden_answers_of_the_rtl() -> None:
    """Chips, events and answers: tinyODIN 1.0 under Icarus Verilog, and the memory at the end."""
    with np.load(GOLDEN) as kept:
        for case in range(int(kept["n_cases"])):
            part = {key.partition("/")[2]: kept[key] for key in kept.files if key.startswith(f"{case}/")}
            chip = chip_of(part)
            core = TinyOdinCore(chip)
            found = answers(core, part["events"].tolist())
            assert np.array_equal(np.array(found).reshape(-1, 2), part["answers"]), f"case {case}"
            assert np.array_equal(core.potential, part["potential_after"][: chip.n_neurons]), f"case {case}"
            assert core.lost == int(part["lost"])


def chip_of(part: dict[str, np.ndarray]) -> TinyOdinChip:
    names = ("weight", "potential", "threshold", "leak", "disabled")
    return TinyOdinChip(
        **{name: part[name].astype(bool if name == "disabled" else np.int64) for name in names},
        n_neurons=int(part["n_neurons"]), closed=bool(part["closed"]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        pytest.skip("Icarus Verilog is not installed")
    return compile_model(tmp_path_factory.mktemp("verilog"))


@pytest.mark.peer
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["closed", "open", "saturating", "negative", "disabled", "overflowing"])
def test_the_images_run_in_verilog(model: Path, tmp_path: Path, kind: str, seed: int) -> None:
    chip, events = special_chip(kind, seed), [LEAK_ALL, *random_events(40, seed)]
    core = TinyOdinCore(chip)
    expected = answers(core, events)
    found = run_model(model, chip, tmp_path, events)
    assert found.spikes == expected
    assert found.lost == core.lost
    after = np.concatenate([core.potential, chip.potential[chip.n_neurons :]])
    assert found.words == neuron_words(replace(chip, potential=after)).tolist()
    # each kind is there for something that has to happen
    happened = {
        "saturating": {-2048, 2047} <= set(core.potential.tolist()),
        "negative": (core.potential < 0).any(),
        "overflowing": core.lost > 0,
    }
    assert happened.get(kind, True)
    assert len(expected) > 0


@pytest.mark.peer
def test_a_placed_network_runs_in_verilog(model: Path, tmp_path: Path) -> None:
    network = two_layers()
    given = np.random.default_rng(1).integers(0, 3, (25, 12)) // 2
    chip = place_tinyodin(network)
    ticks = tick_events(chip, "x", given)
    found = run_model(model, chip, tmp_path, [word for words in ticks for word in words])
    tick_of = np.repeat(np.arange(len(ticks)), [len(words) for words in ticks])
    counts = np.zeros((len(ticks), 256), int)
    for event, neuron in found.spikes:
        counts[tick_of[event], neuron] += 1
    for name, expected in TinyOdinCore(chip).run({"x": given}).items():
        assert np.array_equal(counts[:, chip.outputs[name]], expected), name
        assert expected.sum() > 20, name


def test_files_there_and_back(tmp_path: Path) -> None:
    chip = replace(random_chip(3), inputs={"image": [200, 201]}, outputs={"digits": [0, 1, 2]})
    write_tinyodin(tmp_path / "chip", chip)
    again = read_tinyodin(tmp_path / "chip")
    for name, value in vars(chip).items():
        assert np.array_equal(value, getattr(again, name)), name
    write_tinyodin(tmp_path / "twice", again)
    for file in (tmp_path / "chip").iterdir():
        assert file.read_bytes() == (tmp_path / "twice" / file.name).read_bytes()


def test_words_are_laid_out_as_documented() -> None:
    chip = random_chip(0)
    chip.weight[5, 19], chip.weight[5, 16:19] = -3, 0
    assert synapse_words(chip)[5 << 5 | 19 >> 3] >> 4 * (19 & 7) & 0xF == 13
    chip.potential[7], chip.threshold[7], chip.leak[7], chip.disabled[7] = -1, 0x123, 0x45, True
    assert neuron_words(chip)[7] == 0xC5123FFF


def test_spi_writes_every_byte() -> None:
    commands = list(spi_commands(random_chip(1)))
    assert len(commands) == 4 + 4 * 256 + 4 * 8192 + 1
    assert commands[0] == (0, 1)
    assert commands[-1] == (0, 0)
    assert all(0 <= address < 2**20 and 0 <= data < 2**20 for address, data in commands)


def test_ticks_are_events_in_order_and_a_leak() -> None:
    weight = np.zeros((256, 256), np.int64)
    weight[10, :2], weight[11, 0], weight[0, 1] = 5, -2, 4
    chip = TinyOdinChip(
        weight=weight, potential=np.zeros(256, np.int64), threshold=np.full(256, 6), leak=np.full(256, 1),
        disabled=np.arange(256) >= 2, n_neurons=2, inputs={"in": [11, 10]}, outputs={"cells": [1, 0]},
    )  # fmt: skip
    found = TinyOdinCore(chip).run({"in": np.array([[0, 1], [1, 1], [0, 0]])})
    # tick 0: v = 5, 5, leak 4, 4; tick 1: both reach 9 and reset, the spike of 0 gives 1 a 4, -2 comes last
    assert found["cells"].tolist() == [[0, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    "given",
    [{"in": [[-1, 0]]}, {"in": [[np.inf, 0]]}, {"in": [[2**40, 0]]}, {"in": [[0.5, 0]]}, {"x": [[1, 1]]}, {}],
)
def test_inputs_that_are_none_of_the_chip_are_refused(given: Any) -> None:
    core = TinyOdinCore(replace(random_chip(1), inputs={"in": [11, 10]}))
    with pytest.raises(ConfigError, match="given"):
        core.run({name: np.array(values) for name, values in given.items()})


def test_outputs_that_take_no_part_are_refused(tmp_path: Path) -> None:
    write_tinyodin(tmp_path, replace(random_chip(1, 40), outputs={"y": [0, 40]}))
    with pytest.raises(FileError, match="outputs.y"):
        read_tinyodin(tmp_path)


@pytest.mark.parametrize("named", [{"inputs": {"x": [1]}}, {"outputs": {"y": [0]}}])
def test_a_chip_without_names_is_not_emulated(named: Any) -> None:
    with pytest.raises(ConfigError, match="without named"):
        emulate(replace(random_chip(1), **({"inputs": {}, "outputs": {}} | named)), np.ones((1, 2)))


def test_endless_recurrence_is_refused() -> None:
    chip = replace(
        random_chip(1), weight=np.full((256, 256), 7), threshold=np.full(256, 1), disabled=np.zeros(256, bool)
    )
    with pytest.raises(SimulationError, match="without end"):
        TinyOdinCore(chip).spike(0)


def test_events_that_no_word_can_say_are_refused() -> None:
    core = TinyOdinCore(random_chip(1))
    for call in (
        lambda: core.spike(256),
        lambda: core.virtual(16, 1),
        lambda: core.virtual(0, 0),
        lambda: core.leak(255),
    ):
        with pytest.raises(ConfigError):
            call()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("neurons.mem", lambda text: text[:-9]),
        ("neurons.mem", lambda text: text.replace("0", "x", 1)),
        ("synapses.mem", lambda text: text + text),
        ("tinyodin.json", lambda text: text.replace('"max_neuron": 39', '"max_neuron": 256')),
        ("tinyodin.json", lambda text: text.replace("tinyODIN 1", "tinyODIN 2")),
        ("tinyodin.json", lambda text: text.replace('"inputs": {}', '"inputs": {"a": [300]}')),
        ("tinyodin.json", lambda text: "[" * 100_000),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, file: str, change) -> None:
    write_tinyodin(tmp_path, random_chip(1))
    path = tmp_path / file
    path.write_text(change(path.read_text()))
    with pytest.raises(FileError) as error:
        read_tinyodin(tmp_path)
    assert file in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="tinyodin.json"):
        read_tinyodin(tmp_path)


def one_layer(weight: np.ndarray, **parameters: Any) -> Network:
    neuron = IntegerLIF(rule=RULE, **{"threshold": 9, "decay_v": 1, **parameters})
    return Network(
        stimuli={"x": Analogue(n=weight.shape[1])},
        populations={"y": Population(n=weight.shape[0], neuron=neuron)},
        projections={
            "w": Projection(source="x", target="y", rule=Dense(weight=weight), weight_mv=1.0, delay_ms=0.0)
        },
        probes={"y": Probe(target="y")},
    )


def test_with_one_spike_a_step_the_core_is_the_network() -> None:
    rng = np.random.default_rng(0)
    network = one_layer(rng.integers(-8, 8, (30, 12)).astype(float))
    given = np.eye(12, dtype=int)[rng.integers(0, 12, 60)]
    sim = Simulator(network, batch=1, dt_ms=1.0)
    sim.present({"x": given[None].astype(float)})
    sim.run_steps(60)
    expected = np.zeros((60, 30), int)
    expected[sim.spikes("y")] = 1
    chip = place_tinyodin(network)
    assert chip.inputs == {"x": [*range(30, 42)]}
    assert np.array_equal(TinyOdinCore(chip).run({"x": given})["y"], expected)
    assert expected.sum() > 20


def two_layers() -> Network:
    rng = np.random.default_rng(0)
    network = one_layer(rng.integers(-4, 8, (30, 12)).astype(float))
    neuron = IntegerLIF(rule=RULE, threshold=rng.integers(5, 12, 10), decay_v=rng.integers(0, 3, 10))
    ahead = Dense(weight=rng.integers(-6, 8, (10, 30)).astype(float))
    back = Dense(weight=-rng.integers(0, 3, (30, 10)).astype(float))
    return network.replace(
        populations={**network.populations, "z": Population(n=10, neuron=neuron)},
        projections={
            **network.projections,
            "yz": Projection(source="y", target="z", rule=ahead, weight_mv=1.0, delay_ms=1.0),
            "zy": Projection(source="z", target="y", rule=back, weight_mv=1.0, delay_ms=1.0),
        },
    )


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (one_layer(np.full((2, 3), 8.0)), r"projections\.w\.rule\.weight.*-8 to 7"),
        (one_layer(np.zeros((200, 57))), "got 257, expected at most 256"),
        (one_layer(np.zeros((2, 2)), decay_v=128), r"decay_v.*0 to 127"),
        (one_layer(np.zeros((2, 2)), bias=1), "bias"),
    ],
)
def test_what_does_not_fit_is_refused(network: Network, text: str) -> None:
    with pytest.raises(TargetError, match=text):
        place_tinyodin(network)
