"""Integer networks as NIR graphs: written, read by the package nir, and read again without loss."""

import numpy as np
import pytest
from netx_examples import CUBA, FILES, FIXTURES, NETX, dense, needs_netx, write_layers

from snnsim import Network, Population, Projection
from snnsim.errors import ConversionError, FileError, TargetError
from snnsim.hardware.emulate import emulate
from snnsim.hardware.formats import read_hardware
from snnsim.hardware.loihi import read_netx
from snnsim.hardware.loihi.nir_integer import read_nir_integer, write_nir_integer
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Dense
from snnsim.stimuli import Analogue

nir = pytest.importorskip("nir")


def same(a, b, steps=12):
    generator = np.random.default_rng(2)
    (stimulus,) = a.stimuli.values()
    given = generator.integers(0, 60, (stimulus.n, steps))
    mine, other = emulate(a, given), emulate(b, given)
    assert mine.n_spikes > 0
    return mine.spikes_sha256 == other.spikes_sha256


@needs_netx
@pytest.mark.parametrize("name", ["tinynet", "mnist", "oxford"])
def test_real_networks_come_back_without_loss(name, tmp_path):
    network = read_netx(NETX / FILES[name])
    write_nir_integer(network, tmp_path / "a.nir")
    again = read_hardware(tmp_path / "a.nir")
    assert list(again.populations) == list(network.populations)
    assert same(network, again)
    write_nir_integer(again, tmp_path / "b.nir")
    assert read_nir_integer(tmp_path / "b.nir") == again


def test_the_graph_has_the_equations_of_the_chip(tmp_path):
    layer = dense([[2, 4], [6, 8]], weight_rec=np.array([[0.0, 2], [4, 0]]), bias=np.array([5.0, -3]))
    network = read_netx(write_layers(tmp_path / "a.net", layer | {"type": "dense_rec"}))
    write_nir_integer(network, tmp_path / "a.nir")
    graph = nir.read(str(tmp_path / "a.nir"))
    cells = graph.nodes["dense_rec0"]
    assert graph.metadata["rule"] == "loihi2"
    # one step of forward Euler: the current grows by 64 a, the potential by current and bias
    alpha, beta = 1e-3 / cells.tau_syn, 1e-3 / cells.tau_mem
    assert np.allclose(alpha, CUBA["iDecay"] / 4096)
    assert np.allclose(beta, CUBA["vDecay"] / 4096)
    assert np.allclose(alpha * cells.w_in, 64)
    assert np.allclose(beta * cells.r, 1)
    assert np.allclose(beta * cells.v_leak, [5 * 64, -3 * 64])
    again = read_nir_integer(tmp_path / "a.nir")
    assert again.populations["dense_rec0"].neuron.bias.tolist() == [320, -192]
    assert same(network, again)


@pytest.mark.parametrize("names", [("x", "a", "output"), ("x", "a", "a_in"), ("image", "input", "input_rec")])
def test_populations_of_any_name_come_back(names, tmp_path):
    cells = IntegerLIF(rule=RULES["loihi2"], threshold=64, decay_u=4096, decay_v=128)

    def link(source, target, weight):
        return Projection(
            source=source, target=target, rule=Dense(weight=np.array(weight)), weight_mv=1.0, delay_ms=1.0
        )

    x, a, b = names
    network = Network(
        stimuli={x: Analogue(n=2)},
        populations={a: Population(n=3, neuron=cells), b: Population(n=2, neuron=cells)},
        projections={
            f"{x}_to_{a}": link(x, a, [[1.0, 2], [3, 4], [5, 6]]),
            f"{a}_to_{a}": link(a, a, np.eye(3)),
            f"{a}_to_{b}": link(a, b, [[1.0, 2, 3], [4, 5, 6]]),
        },
    )
    write_nir_integer(network, tmp_path / "a.nir")
    again = read_nir_integer(tmp_path / "a.nir")
    assert (list(again.stimuli), list(again.populations)) == ([x], [a, b])
    for name, p in network.projections.items():
        assert np.array_equal(again.projections[name].rule.weight, p.rule.weight)


def test_what_nir_cannot_say(tmp_path):
    late = read_netx(write_layers(tmp_path / "a.net", dense([[2, 4]], delay=np.float32(3))))
    with pytest.raises(TargetError, match="no delays"):
        write_nir_integer(late, tmp_path / "a.nir")
    forever = read_netx(write_layers(tmp_path / "b.net", dense([[2, 4]], CUBA | {"vDecay": 0})))
    with pytest.raises(TargetError, match="no time constant"):
        write_nir_integer(forever, tmp_path / "a.nir")
    assert not (tmp_path / "a.nir").exists()


def test_graphs_that_are_no_integer_networks(tmp_path):
    write_nir_integer(read_netx(write_layers(tmp_path / "a.net", dense([[2, 4]]))), tmp_path / "a.nir")
    graph = nir.read(str(tmp_path / "a.nir"))
    del graph.nodes["dense0_in"]
    graph.edges = [("input", "dense0"), ("dense0", "output")]
    graph.nodes["input"] = nir.Input({"input": np.array([1])})
    nir.write(str(tmp_path / "b.nir"), graph)
    with pytest.raises(FileError, match="needs weights"):
        read_nir_integer(tmp_path / "b.nir")
    graph.metadata = {}
    nir.write(str(tmp_path / "c.nir"), graph)
    with pytest.raises(ConversionError, match="quantise the network"):
        read_nir_integer(tmp_path / "c.nir")


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no files in {FIXTURES}; set SNNSIM_SHARED")
def test_a_network_of_the_nir_paper_is_no_integer_network():
    with pytest.raises(ConversionError, match="not an integer network"):
        read_nir_integer(FIXTURES / "nir" / "01_lif" / "lif_norse.nir")
