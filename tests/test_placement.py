"""Networks on cores: nothing is lost, nothing is over its limit, counts are exact, the same again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim.errors import TargetError
from snnsim.hardware.baselines import baseline_packings
from snnsim.hardware.chip_plot import chip_plot
from snnsim.hardware.layout import layers_of, weight_bits
from snnsim.hardware.partition import Cutter
from snnsim.hardware.placement import place
from snnsim.hardware.resources import Part, Storage, axon_words, make_part, sources_of
from snnsim.hardware.targets import RESOURCES, Format, get_target
from snnsim.hardware.traffic import measure
from snnsim.layer_neurons import BurstIF
from snnsim.layers import Conv, Dense, Into, SumPool
from snnsim.network import Network
from snnsim.plots import png_bytes
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

NETX = Path(os.environ.get("SNNSIM_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "fixtures/netx"
PLAIN = Storage(("dense", "shared"), weight_bits=8, cull_zeros=False)
LOIHI1, LOIHI2 = get_target("loihi1").storage, get_target("loihi2").storage


def chain(*rules, n_input=None):
    """input -> a0 -> a1 -> ... by rules of layers."""
    populations, projections = {}, {}
    for k, rule in enumerate(rules):
        populations[f"a{k}"] = Population(n=rule.sizes()[1], neuron=BurstIF(v_th_mv=1.0))
        projections[f"p{k}"] = Projection(
            source=f"a{k - 1}" if k else "input", target=f"a{k}", rule=rule, weight_mv=1.0, delay_ms=1.0
        )
    stimuli = {"input": Analogue(n=n_input or rules[0].sizes()[0])}
    return Network(populations=populations, projections=projections, stimuli=stimuli)


def random_dense(rng, n_source, n_target, density=0.5):
    weight = rng.integers(-7, 8, (n_target, n_source)) * (rng.random((n_target, n_source)) < density)
    return Dense(weight=weight.astype(float))


def mixed(seed):
    """A convolution with stride and padding, a pool, dense layers, and a recurrent projection."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-3, 4, (6, 2, 3, 3)).astype(float)
    conv = Conv(weight=weight, height=9, width=14, stride_h=2, pad_top=1, pad_left=1, pad_right=1)
    height, width = conv.target_map()
    pool = SumPool(n_channels=6, height=height, width=width, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    network = chain(conv, pool, random_dense(rng, pool.sizes()[1], 40), random_dense(rng, 40, 7))
    again = Projection(
        source="a2", target="a2", rule=random_dense(rng, 40, 40, 0.1), weight_mv=1.0, delay_ms=3.0
    )
    return network.replace(projections={**network.projections, "again": again})


def small(name="loihi2", **bounds):
    import dataclasses

    target = get_target(name)
    limits = tuple(dataclasses.replace(m, value=bounds.get(m.key, m.value)) for m in target.limits)
    return dataclasses.replace(target, limits=limits)


def connections(network):
    """bool[n_source, n_target] of each projection, from its definition."""
    found = {}
    for name, p in network.projections.items():
        n_source, n_target = p.rule.sizes()
        if isinstance(p.rule, Dense):
            found[name] = p.rule.weight.T != 0
            continue
        matrix = np.zeros((n_source, n_target), bool)
        (c_in, c_out), (out_h, out_w), (kernel_h, kernel_w) = (
            p.rule.channels(), p.rule.target_map(), p.rule.kernel()
        )  # fmt: skip
        for co in range(c_out):
            for oy in range(out_h):
                for ox in range(out_w):
                    for ky in range(kernel_h):
                        for kx in range(kernel_w):
                            y = oy * p.rule.stride_h - p.rule.pad_top + ky
                            x = ox * p.rule.stride_w - p.rule.pad_left + kx
                            if 0 <= y < p.rule.height and 0 <= x < p.rule.width:
                                for ci in range(c_in) if isinstance(p.rule, Conv) else [co]:
                                    source = (ci * p.rule.height + y) * p.rule.width + x
                                    matrix[source, (co * out_h + oy) * out_w + ox] = True
        found[name] = matrix
    return found


@settings(max_examples=5)
@given(
    seed=st.integers(0, 99),
    neurons=st.integers(60, 200),
    words=st.integers(300, 900),
    outputs=st.integers(150, 900),
)
def test_every_neuron_is_on_one_core_and_nothing_is_over_its_limit(seed, neurons, words, outputs):
    network = mixed(seed)
    target = small(neurons=neurons, synaptic_words=words, output_axons=outputs, input_axons=400)
    try:
        placement = place(network, target, seed=seed)
    except TargetError:
        return
    for name, population in network.populations.items():
        units = [c.units for core in placement.cores for c in core.chunks if c.population == name]
        assert sorted(np.concatenate(units)) == list(range(population.n))
        core_of = placement.core_of(name)
        for number, core in enumerate(placement.cores):
            for chunk in core.chunks:
                if chunk.population == name:
                    assert np.all(core_of[chunk.units] == number)
    assert placement.utilisation.max() <= 1.0
    assert placement.n_cores >= placement.lower_bound
    assert len({tuple(xy) for xy in placement.xy.tolist()}) == placement.n_cores
    _check_axons_and_traffic(network, placement)
    again = place(network, target, seed=seed)
    assert json.dumps(again.as_dict()) == json.dumps(placement.as_dict())


def _check_axons_and_traffic(network, placement):
    """Input and output axons, and traffic, counted from the connections one by one."""
    inputs, outputs = np.zeros(placement.n_cores), np.zeros(placement.n_cores)
    traffic = np.zeros((placement.n_cores, placement.n_cores))
    there = connections(network)
    for number, core in enumerate(placement.cores):
        for chunk in core.chunks:
            for name, p in network.projections.items():
                if p.target != chunk.population:
                    continue
                sources = np.flatnonzero(there[name][:, chunk.units].any(axis=1))
                inputs[number] += sources.size
                if p.source in network.populations:
                    homes = placement.core_of(p.source)[sources]
                    np.add.at(outputs, homes, 1)
                    np.add.at(traffic, (homes, number), 1)
    assert np.array_equal([core.need[RESOURCES.index("input_axons")] for core in placement.cores], inputs)
    assert np.array_equal([core.need[RESOURCES.index("output_axons")] for core in placement.cores], outputs)
    assert np.array_equal(placement.traffic, traffic)
    hops = np.abs(placement.xy[:, None] - placement.xy[None]).sum(axis=2)
    assert placement.spike_hops == pytest.approx((traffic * hops).sum(), rel=1e-12)


def test_words_of_an_axon():
    """The rows that Intel's compile logs print, and the formula of nengo-loihi written out."""
    assert [int(axon_words(n, bits, LOIHI2)) for n, bits in ((10, 8), (50, 8), (85, 10))] == [3, 13, 27]
    for n in (0, 1, 5, 63, 64, 65, 128, 200):
        for bits in (1, 9, 17):
            total = 0
            for begin in range(0, n, 64):
                run = min(64, n - begin)
                total += int(np.ceil((run * bits + 4 + 6) / 64))
            assert int(axon_words(n, bits, LOIHI1)) == total
    assert int(axon_words(3, 10, Format(32, (8,), (6,), header_bits=4))) == 2


def test_rows_of_intels_logs():
    """Synaptic words that the logs print for layers without zero columns."""
    for n_source, n_target, words in ((64, 10, 192), (50, 10, 150), (100, 50, 1300), (10, 1, 10)):
        network = chain(Dense(weight=np.full((n_target, n_source), -100.0)))
        placement = place(network, "loihi2", storage=PLAIN)
        assert placement.cores[0].need[RESOURCES.index("synaptic_words")] == words


@pytest.mark.parametrize(
    ("weights", "bits"),
    [([0], 1), ([1], 1), ([255], 8), ([-1], 1), ([-128, 127], 8),
     ([-129], 9), ([127, -127], 8), ([128, 2], 7),
     ([-6, -4, 2, 6], 3), ([-8, 8], 2), ([-8, 2, 8], 4), ([-256, 254], 8), ([0.5, 3], 8)],
)  # fmt: skip
def test_bits_of_weights(weights, bits):
    assert weight_bits(np.array(weights, float)) == bits


def part_of(rule, begin, end, **storage):
    layers = layers_of(chain(rule))
    return make_part(layers, 0, 0, layers[0].channels, begin, end, LOIHI2, Storage(**storage))


def test_encodings():
    """One part, three ways to store it; the smallest is taken, and it can be chosen."""
    weight = np.zeros((16, 100))
    weight[:, :10] = -100
    weight[0, 10:] = 100  # fewest: 6 bits, -25 to 25
    dense = part_of(Dense(weight=weight), 0, 16, encodings=("dense",))
    sparse = part_of(Dense(weight=weight), 0, 16, encodings=("sparse",))
    words = RESOURCES.index("synaptic_words")
    assert dense.need[words] == 100 * 3  # 16 x 6 bits
    assert sparse.need[words] == 10 * 6 + 90 * 1  # 16 x (6 + 6), 1 x (6 + 6)
    best = part_of(Dense(weight=weight), 0, 16)
    assert (best.need[words], dict(best.encodings)) == (150, {"p0": "sparse"})
    some = part_of(Dense(weight=weight), 1, 16, encodings=("dense",))
    assert some.need[RESOURCES.index("input_axons")] == 10  # the others have no weight there
    kept = part_of(Dense(weight=weight), 1, 16, encodings=("dense",), cull_zeros=False)
    assert kept.need[RESOURCES.index("input_axons")] == 100
    fixed = part_of(Dense(weight=weight), 0, 16, encodings=("dense",), weight_bits=8)
    assert fixed.need[words] == 100 * 4
    conv = Conv(weight=np.full((8, 2, 3, 3), 127.0), height=12, width=12)
    shared = part_of(conv, 0, 100, weight_bits=8)
    assert (shared.need[words], dict(shared.encodings)) == (2 * 9 * 2, {"p0": "shared"})
    written = part_of(conv, 0, 100, encodings=("sparse",), weight_bits=8)
    assert written.need[words] > 100 * 8 * 18 * 18 / 32  # each synapse by itself


def test_a_layer_whose_kernel_fills_a_core_is_cut_by_channels():
    conv = Conv(weight=np.full((64, 8, 3, 3), 127.0), height=6, width=6)
    target = small(synaptic_words=600)
    placement = place(chain(conv), target, storage=PLAIN)
    assert placement.n_cores == 2  # 8 x 9 x 64 x 8 bits = 1152 words
    assert placement.lower_bound == 2


def test_one_to_one_and_unconnected_channels():
    layers = layers_of(chain(Into(n_source=3, n_target=8, offset=4)))
    part = Part(0, 0, 1, 2, 6, np.zeros(6))
    assert sources_of(layers[0], layers[0].wires[0], part).tolist() == [0, 1]


def test_shared_traffic_and_host_populations():
    rng = np.random.default_rng(1)
    network = chain(random_dense(rng, 5, 30), random_dense(rng, 30, 20))
    everything = place(network, small(neurons=10))
    rest = place(network, small(neurons=10), outside=["a0"])
    assert (everything.n_cores, rest.n_cores) == (5, 2)
    assert rest.traffic.sum() == 0
    with pytest.raises(TargetError, match="not on the cores; got 'a0'"):
        rest.core_of("a0")
    silent = place(network, small(neurons=10), {"a0": np.zeros(30), "a1": np.ones(20)})
    assert silent.spike_hops == 0
    assert silent.as_dict()["traffic_measured"] is True
    with pytest.raises(TargetError, match=r"traffic.a1: .*got 'nothing', expected \(20,\)"):
        place(network, small(neurons=10), {"a0": np.zeros(30)})
    with pytest.raises(TargetError, match="no such population"):
        place(network, "loihi2", outside=["a9"])


def test_traffic_is_what_the_simulator_counts():
    weight = np.array([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]])
    network = chain(Dense(weight=weight))
    found = measure(network, {"input": np.array([[1.0, 0.0], [1.0, 1.0]])}, 9, repeat=8)
    assert found["a0"].tolist() == [8 / 9, 4 / 9, 0.0]
    assert list(found) == ["a0"]  # input is not on the cores


def test_baselines_hold_their_limits_and_take_no_fewer_cores():
    network, target = mixed(3), small(neurons=50, synaptic_words=300)
    mine = place(network, target).n_cores
    cutter = Cutter(layers_of(network), target, Storage())
    for packing in baseline_packings(cutter).values():
        assert len(packing) >= mine
        n_units = sum(part.n for core in packing for part in core)
        assert n_units == sum(p.n for p in network.populations.values())
        assert all(len(core) == 1 for core in packing)


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_a_picture_of_the_chip(name):
    placement = place(mixed(1), small(name, neurons=60))
    figure, ax = chip_plot(placement)
    assert f"{placement.n_cores} cores" in figure.get_suptitle()
    assert png_bytes(figure, dpi=40)[:4] == b"\x89PNG"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a0", "a1", "a2", "a3"]


@pytest.mark.skipif(not NETX.is_dir(), reason=f"no NetX networks in {NETX}; set SNNSIM_SHARED")
@pytest.mark.parametrize("storage", [Storage(), PLAIN], ids=["best", "8 bits, zeros kept"])
@pytest.mark.parametrize(
    ("name", "outside", "most"),
    [("mnist", [], 3), ("oxford", [], 3), ("pilotnet_sdnn", ["input0"], 40), ("pilotnet_snn", [], 50)],
)
def test_fewer_cores_than_intels_compiler(name, outside, most, storage):
    loihi = pytest.importorskip("snnsim.hardware.loihi", reason="NetX files are not read yet")
    network = loihi.read_netx(NETX / name / "network.net")
    placement = place(network, "loihi2", storage=storage, outside=outside)
    assert placement.lower_bound <= placement.n_cores <= most
    assert placement.utilisation.max() <= 1.0
