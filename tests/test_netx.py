"""NetX files: real ones read, run and written again, small ones of every layer, and what is refused."""

import numpy as np
import pytest
from netx_examples import CUBA, FILES, NETX, all_datasets, dense, needs_netx, write_layers

from snnsim import Network, Population, Projection
from snnsim.errors import ConversionError, FileError, TargetError
from snnsim.hardware.emulate import emulate
from snnsim.hardware.loihi import read_netx, write_netx
from snnsim.hardware.loihi.netx_notes import NetxNetwork
from snnsim.integer_neurons import RULES, IntegerLIF, SigmaDelta
from snnsim.layers import Conv, Dense, SumPool
from snnsim.stimuli import Analogue

SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 2}


def conv(weight, shape, **more):
    weight = np.asarray(weight, np.float32)
    geometry = {
        "kernelSize": weight.shape[2:4],
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [1, 1],
        "groups": 1,
    }
    return {"type": "conv", "shape": np.array(shape), "weight": weight, "neuron": CUBA,
            "inChannels": weight.shape[1], "outChannels": len(weight), **geometry, **more}  # fmt: skip


def image(*shape):
    return {"type": "input", "shape": np.array(shape)}


# --- real files --------------------------------------------------------------------------------------------


@needs_netx
@pytest.mark.parametrize("name", FILES)
def test_real_files_are_written_as_they_were(name, tmp_path):
    first, second = tmp_path / "1.net", tmp_path / "2.net"
    write_netx(read_netx(NETX / FILES[name]), first)
    assert all_datasets(first) == all_datasets(NETX / FILES[name])
    write_netx(read_netx(first), second)
    assert first.read_bytes() == second.read_bytes()


@needs_netx
def test_the_golden_run_of_tiny_net(tmp_path):
    """Spikes of all three layers, from the step in which its first input reaches each."""
    network = read_netx(NETX / FILES["tinynet"], reset_interval=64)
    bias = np.load(NETX / "tinynet" / "input_bias.npy").transpose(2, 1, 0)
    found = emulate(network, np.repeat(bias[..., None], 18, axis=3), record="s", output=tmp_path / "out.h5")
    assert list(found.layers.values()) == ["input0", "conv1", "conv2"]
    import h5py

    with h5py.File(tmp_path / "out.h5") as file:
        for i, (name, n) in enumerate((("input", 6360), ("layer1", 1478), ("output", 83))):
            golden = np.load(NETX / "tinynet" / f"{name}.npy")[0][..., 1:]  # its first step is empty
            spikes = file[f"layers/{i}/s"][..., i : i + 15]
            assert (spikes != golden).sum() == 0
            assert spikes[..., :14].sum() == n


@needs_netx
def test_oxford_fires_as_its_golden_run(tmp_path):
    """The golden file holds the spikes of the 256 neurons behind the input."""
    import h5py

    given, golden = (np.load(NETX / "oxford" / f"{name}.npy") for name in ("in", "out"))
    found = emulate(read_netx(NETX / FILES["oxford"]), given, record="s", output=tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["layers/0/s"][()], golden)
    assert found.n_spikes_by_layer[0] == golden.sum() == 1826
    assert found.n_spikes_by_layer[1] > 1000


@needs_netx
@pytest.mark.parametrize("name", ["mnist", "pilotnet_snn", "pilotnet_sdnn"])
def test_real_networks_run_and_carry_their_input_to_the_end(name):
    network = read_netx(NETX / FILES[name])
    generator = np.random.default_rng(0)
    n, layers = network.stimuli["input"].n, len(network.populations)
    given = generator.integers(0, 2 if name == "mnist" else 60, (n, 1)).repeat(layers + 3, axis=1)
    found = emulate(network, given)
    assert all(found.n_spikes_by_layer[i] > 0 for i in list(found.layers)[:-1])
    if name == "pilotnet_sdnn":
        assert isinstance(network.populations["dense10"].neuron, SigmaDelta)
        assert found.output_counts[0] != 0  # graded
    assert found.n_overflows == 0


# --- every layer -------------------------------------------------------------------------------------------


def test_dense_layers_with_biases_and_delays(tmp_path):
    weight = np.array([[2, 0, -4], [0, 6, 8]])
    path = write_layers(
        tmp_path / "a.net",
        dense(weight, bias=np.array([3.0, -5.0], np.float32), delay=np.array([0.0, 62.0, 3.0], np.float32)),
        dense(np.array([[1, 2]]), delay=np.float32(2)), **{"simulation/Ts": 1},
    )  # fmt: skip
    network = read_netx(path)
    neuron = network.populations["dense0"].neuron
    assert isinstance(network, NetxNetwork)
    assert neuron.rule == RULES["loihi2"]
    assert (neuron.threshold, neuron.decay_u, neuron.decay_v) == (640, 1024, 128)
    assert list(neuron.bias) == [192, -320]
    delays = {
        p.delay_ms: p.rule.weight.tolist() for p in network.projections.values() if p.target == "dense0"
    }
    assert delays == {
        1.0: [[2, 0, 0], [0, 0, 0]], 63.0: [[0, 0, 0], [0, 6, 0]], 4.0: [[0, 0, -4], [0, 0, 8]],
    }  # fmt: skip
    assert network.projections["dense0_to_dense1_in_3"].delay_ms == 3.0
    write_netx(network, tmp_path / "b.net")
    assert all_datasets(tmp_path / "b.net") == all_datasets(path)


@pytest.mark.parametrize(
    "delay", [np.float32(4), np.array([1.0, 5.0], np.float32), np.array([0.0, 7.0, 1.0])]
)
def test_delays_written_without_a_template(delay, tmp_path):
    path = write_layers(tmp_path / "a.net", dense([[2, 1, 1], [0, 6, 8]], delay=delay))
    plain = read_netx(path)
    plain = Network(populations=plain.populations, projections=plain.projections, stimuli=plain.stimuli)
    write_netx(plain, tmp_path / "b.net")
    again = read_netx(tmp_path / "b.net")
    assert {n: p for n, p in again.projections.items()} == dict(plain.projections)


def test_recurrent_layers(tmp_path):
    layer = dense([[2, 4], [6, 8]], weight_rec=np.array([[0, -2], [4, 0]], np.float32)) | {
        "type": "dense_rec"
    }
    path = write_layers(tmp_path / "a.net", layer)
    network = read_netx(path)
    own = network.projections["dense_rec0_to_dense_rec0"]
    assert (own.source, own.delay_ms, own.rule.weight.tolist()) == ("dense_rec0", 1.0, [[0, -2], [4, 0]])
    write_netx(network, tmp_path / "b.net")
    assert all_datasets(tmp_path / "b.net") == all_datasets(path)


def test_convolution_flatten_and_the_order_of_units(tmp_path):
    """A dense matrix that picks unit (c, y, x) = c 4 + y 2 + x of a map."""
    weight = np.zeros((2, 1, 1, 1))
    weight[:, 0, 0, 0] = [64, 128]
    picks = np.eye(8)[[1, 2, 4]] * 64
    path = write_layers(
        tmp_path / "a.net", image(1, 2, 2), conv(weight, (2, 2, 2), bias=np.array([0.0, 1.0], np.float32)),
        {"type": "flatten", "shape": np.array([8, 1, 1])}, dense(picks),
    )  # fmt: skip
    network = read_netx(path)
    assert list(network.populations["conv1"].neuron.bias) == [0] * 4 + [64] * 4
    found = emulate(network, np.array([[[[0], [1]], [[0], [0]]]]).repeat(6, axis=3))
    assert list(found.output_counts > 0) == [True, False, False]
    write_netx(network, tmp_path / "b.net")
    assert all_datasets(tmp_path / "b.net") == all_datasets(path)


def test_kernels_are_not_flipped(tmp_path):
    weight = np.arange(6).reshape(1, 1, 2, 3) * 2
    network = read_netx(write_layers(tmp_path / "a.net", image(1, 2, 3), conv(weight, (1, 1, 1))))
    for unit in range(6):
        rule = network.projections["input_to_conv1"].rule
        assert rule.weight.ravel()[unit] == 2 * unit


def test_pooling_becomes_a_strided_convolution_that_lava_can_read(tmp_path):
    geometry = {"kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    weight = np.full((1, 1, 2, 2, 1), 6, np.float32)
    pool = {"type": "pool", "shape": np.array([2, 1, 2]), "weight": weight, "neuron": CUBA, **geometry}
    network = read_netx(write_layers(tmp_path / "a.net", image(2, 2, 4), pool))
    rule = network.projections["input_to_pool1"].rule
    assert isinstance(rule, Conv)
    assert (rule.groups, rule.stride_h, rule.target_map(), set(rule.weight.ravel())) == (2, 2, (1, 2), {6.0})
    write_netx(network, tmp_path / "b.net")
    again = read_netx(tmp_path / "b.net")
    assert again.projections["input_to_conv1"].rule == rule
    assert {k for k, v in all_datasets(tmp_path / "b.net").items() if "pool" in str(v)} == set()


def test_averaging_with_neurons_becomes_a_sum_over_groups(tmp_path):
    average = {"type": "average", "shape": np.array([2, 1, 1]), "neuron": CUBA}
    network = read_netx(write_layers(tmp_path / "a.net", dense(np.eye(4) * 2), average))
    assert network.projections["dense0_to_average1"].rule.weight.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    write_netx(network, tmp_path / "b.net")
    assert "dense1" in read_netx(tmp_path / "b.net").populations


def test_sigma_delta_layers(tmp_path):
    path = write_layers(
        tmp_path / "a.net", {**image(1, 1, 2), "neuron": SDNN},
        {**conv(np.full((1, 1, 1, 1), 64.0), (1, 1, 2), bias=np.array([1.0], np.float32)), "neuron": SDNN},
        dense([[64, -64]], {**SDNN, "sigma_output": True}),
    )  # fmt: skip
    network = read_netx(path)
    units = [p.neuron for p in network.populations.values()]
    assert [u.part for u in units] == ["delta", "sigma_delta", "sigma"]
    assert (units[0].threshold, units[0].input_shift, units[1].bias) == (2 << 12, 12, 1 << 12)
    write_netx(network, tmp_path / "b.net")
    assert all_datasets(tmp_path / "b.net") == all_datasets(path)
    # 10 is sent as 10 64; times 64, with the bias of 1, it is 11 4096, sent as 11 64; a bias alone is not
    found = emulate(network, np.array([[10, 10, 10, 10, 10], [0, 0, 0, 0, 0]]))
    assert found.output_counts.tolist() == [3 * 11 * 4096]


def test_what_has_been_changed_is_written(tmp_path):
    path = write_layers(tmp_path / "a.net", dense([[2, 4]]), dense([[6.0]]))
    network = read_netx(path)
    unit = network.populations["dense0"].neuron.replace(threshold=64 * 77, bias=128)
    projections = dict(network.projections)
    projections["dense0_to_dense1"] = projections["dense0_to_dense1"].replace(rule=Dense(weight=[[8.0]]))
    populations = {**network.populations, "dense0": Population(n=1, neuron=unit)}
    write_netx(network.replace(populations=populations, projections=projections), tmp_path / "b.net")
    again = read_netx(tmp_path / "b.net")
    assert again.populations["dense0"].neuron.threshold == 64 * 77
    assert again.populations["dense0"].neuron.bias == 128
    assert again.projections["dense0_to_dense1"].rule.weight.tolist() == [[8.0]]
    assert again.notes.datasets["layer/0/neuron/refDelay"] == 1


def test_a_changed_value_that_the_type_of_the_file_cannot_hold(tmp_path):
    neuron = {**CUBA, "vThMant": np.int8(10)}
    layer = dense([[1, 2], [3, 4]], neuron) | {"weight": np.array([[1, 2], [3, 4]], np.int8)}
    network = read_netx(write_layers(tmp_path / "a.net", layer))
    ((link, p),), ((name, population),) = network.projections.items(), network.populations.items()
    weight = np.array([[200.0, 2.0], [3.0, -4.0]])
    changed = network.replace(
        projections={link: p.replace(rule=p.rule.replace(weight=weight))},
        populations={name: population.replace(neuron=population.neuron.replace(threshold=200 * 64))},
    )
    write_netx(changed, tmp_path / "b.net")
    again = read_netx(tmp_path / "b.net")
    assert np.array_equal(again.projections[link].rule.weight, weight)
    assert again.populations[name].unit.threshold == 200 * 64


def chip(**changes):
    """A network that no file was read for."""
    unit = IntegerLIF(rule=RULES["loihi2"], threshold=640, decay_u=4096, decay_v=100)
    parts = {
        "stimuli": {"in": Analogue(n=16)},
        "populations": {"a": Population(n=4, neuron=unit), "b": Population(n=3, neuron=unit)},
        "projections": {
            "one": Projection(
                source="in", target="a", weight_mv=2.0, delay_ms=1.0,
                rule=SumPool(n_channels=1, height=4, width=4, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2),
            ),
            "two": Projection(
                source="a", target="b", weight_mv=1.0, delay_ms=1.0, rule=Dense(weight=np.ones((3, 4)))
            ),
        },
    }  # fmt: skip
    for name, change in changes.items():
        parts[name] = parts[name] | change
    return Network(**parts)


def test_a_network_made_here_is_written_and_read(tmp_path):
    network = chip()
    write_netx(network, tmp_path / "a.net")
    again = read_netx(tmp_path / "a.net")
    assert list(again.populations) == ["conv1", "dense3"]  # after the input's shape, and behind flatten
    given = np.random.default_rng(1).integers(0, 2, (16, 20))
    assert emulate(again, given).output_counts.tolist() == emulate(network, given).output_counts.tolist()
    write_netx(again, tmp_path / "b.net")
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()


def linked(**changes):
    network = chip()
    return {"projections": {"two": network.projections["two"].replace(**changes)}}


def neuron(**changes):
    return {"populations": {"b": Population(n=3, neuron=chip().populations["b"].neuron.replace(**changes))}}


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        (neuron(threshold=641), "populations.b.neuron.threshold", "multiples of 2**6"),
        (neuron(threshold=[640.0, 640.0, 704.0]), "populations.b.neuron.threshold", "share it"),
        (neuron(bias=[0.0, 1.0, 0.0]), "populations.b.neuron.bias", "not on the grid"),
        (neuron(refractory=2), "populations.b.neuron.refractory", "no other value"),
        (neuron(rule=RULES["loihi1"]), "populations.b.neuron.rule", "another chip"),
        (linked(rule=Dense(weight=np.full((3, 4), 300.0))), "projections.two.rule.weight", "cannot hold"),
        (linked(delay_ms=0.0), "projections.two.delay_ms", "takes a step"),
        (linked(delay_ms=70.0), "the projections to populations.b", "too long"),
        (linked(source="in", rule=Dense(weight=np.ones((3, 16)))), "populations.in", "chain"),
    ],
)  # fmt: skip
def test_what_netx_files_cannot_say(changes, where, text, tmp_path):
    with pytest.raises(TargetError) as caught:
        write_netx(chip(**changes), tmp_path / "a.net")
    assert caught.value.where == where
    assert text in str(caught.value)
    assert not list(tmp_path.iterdir())


# --- hostile and unknown files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"type": "convT", "shape": np.array([4])}, "strided convolutions only"),
        ({"type": "average", "shape": np.array([4])}, "average over the spikes"),
        (dense([[2, 4]], {**CUBA, "type": "RF"}), "cuba or sdnn"),
        (dense([[2, 4]], {**CUBA, "gradedSpike": True}), "graded_spike=False"),
    ],
)
def test_layers_and_neurons_that_are_refused(layer, text, tmp_path):
    with pytest.raises(ConversionError, match=text) as caught:
        read_netx(write_layers(tmp_path / "a.net", layer))
    assert "a.net:/layer/0" in caught.value.where


def without(layer, key):
    return {name: value for name, value in layer.items() if name != key}


GOOD = dense([[2, 4], [6, 8]])


@pytest.mark.parametrize(
    ("layer", "where", "text"),
    [
        (without(GOOD, "weight"), "weight", "missing"),
        (without(GOOD, "neuron"), "neuron/type", "missing"),
        (without(GOOD, "type"), "type", "missing"),
        (GOOD | {"neuron": without(CUBA, "vThMant")}, "neuron/vThMant", "missing"),
        (GOOD | {"neuron": CUBA | {"iDecay": 4097}}, "neuron/iDecay", "0 to 4,096"),
        (GOOD | {"neuron": CUBA | {"iDecay": "much"}}, "neuron/iDecay", "not what belongs here"),
        (GOOD | {"neuron": CUBA | {"vDecay": [1, 2]}}, "neuron/vDecay", "several numbers"),
        (GOOD | {"weight": np.array([[2, np.nan], [6, 8]])}, "weight[0, 1]", "whole numbers"),
        (GOOD | {"weight": np.array([[2, 0.5], [6, 8]])}, "weight[0, 1]", "round the weights"),
        (GOOD | {"weight": np.array([[2, np.inf], [6, 8]])}, "weight[0, 1]", "whole numbers"),
        (GOOD | {"weight": np.array([[2, 300], [6, 8]])}, "weight[0, 1]", "-256 to 255"),
        (GOOD | {"weight": np.array([[-2, 255], [6, 8]])}, "weight", "-256 to 254"),
        (GOOD | {"weight": np.array([[-2, -256], [-6, -8]])}, "weight", "-255 to 0"),
        (GOOD | {"weight": np.zeros((3, 2))}, "weight", "[2, n_source]"),
        (GOOD | {"weight": np.zeros((0, 2))}, "weight", "[2, n_source]"),
        (GOOD | {"weight": np.array([[1 + 1j]])}, "weight", "not a value"),
        (GOOD | {"shape": np.array([2**40])}, "shape[0]", "1 to"),
        (GOOD | {"shape": np.array([2**30, 2**30, 2**30])}, "shape", "shape"),
        (GOOD | {"shape": np.array([[2]])}, "shape", "dimensions"),
        (GOOD | {"bias": np.zeros(3)}, "bias", "biases of this layer"),
        (GOOD | {"delay": np.array([63.0, 0.0])}, "delay[0]", "0 to 62"),
        (GOOD | {"delay": np.array([1.0, 2.0, 3.0])}, "delay", "[2]"),
        (GOOD | {"neuron": SDNN | {"vThMant": 2**20}}, "neuron/vThMant", "0 to 524,287"),
        (GOOD | {"neuron": SDNN, "bias": np.array([2.0**20, 0])}, "bias", "at most 524,287"),
        (conv(np.ones((1, 1, 2, 2)), (1, 1, 1)), "type", "add an input layer"),
    ],
)
def test_hostile_layers_are_told_by_the_place_in_the_file(layer, where, text, tmp_path):
    with pytest.raises(FileError) as caught:
        read_netx(write_layers(tmp_path / "a.net", layer))
    assert str(tmp_path / "a.net") in caught.value.where
    assert f"/layer/0/{where}" in caught.value.where
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "where", "text"),
    [
        ({"type": "pool", "shape": [1, 1, 1], "kernelSize": [6000, 6000], "weight": np.ones((1, 1, 1, 1))},
         "1/kernelSize", "16,777,216 weights"),
        ({"type": "average", "shape": [2]}, "1/shape", "16,777,216 weights"),
        ({"type": "conv", "shape": [2, 6000, 6000], "weight": np.ones((2, 1, 1, 1)), "bias": [1.0, 2.0]},
         "1/shape", "too many neurons"),
    ],
)  # fmt: skip
def test_small_files_do_not_ask_for_all_memory(layer, where, text, tmp_path):
    path = write_layers(tmp_path / "a.net", image(1, 6000, 6000), layer | {"neuron": CUBA})
    with pytest.raises(FileError, match=text) as caught:
        read_netx(path)
    assert f"/layer/{where}" in caught.value.where


def test_hostile_files(tmp_path):
    import h5py

    write_layers(tmp_path / "good.net", GOOD)
    raw = (tmp_path / "good.net").read_bytes()
    (tmp_path / "cut.net").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "text.net").write_text("layer")
    with h5py.File(tmp_path / "link.net", "w") as file:
        file.create_group("layer/0")["0"] = h5py.SoftLink("/layer")
    with h5py.File(tmp_path / "circle.net", "w") as file:
        file.create_group("layer/0")
        file["layer/0/back"] = file["layer"]
    with h5py.File(tmp_path / "huge.net", "w") as file:
        file.create_dataset("layer/0/weight", (2**20, 2**20), "f4")
    with h5py.File(tmp_path / "gap.net", "w") as file:
        file["layer/1/type"] = np.array([b"dense"])
    for name in ("cut", "text", "link", "circle", "huge", "gap", "none"):
        with pytest.raises(FileError) as caught:
            read_netx(tmp_path / f"{name}.net")
        assert f"{name}.net" in caught.value.where


def test_bytes_that_are_changed_at_random_never_end_in_another_error(tmp_path):
    write_layers(
        tmp_path / "good.net", image(1, 3, 3), conv(np.ones((2, 1, 2, 2)), (2, 2, 2)), dense(np.ones((2, 8)))
    )
    raw = bytearray((tmp_path / "good.net").read_bytes())
    generator = np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        broken = bytearray(raw)
        for at in generator.integers(0, len(raw), generator.integers(1, 30)):
            broken[at] = generator.integers(0, 256)
        (tmp_path / "broken.net").write_bytes(bytes(broken))
        try:
            read_netx(tmp_path / "broken.net")
        except (FileError, ConversionError):
            refused += 1
    assert refused > 20
