"""From the nodes of a NIR graph to populations and single synapses."""

import numpy as np
import pytest
from nir_examples import chain, graph, lif, node, save

from snnsim.converters.nir_dialects import NEVER_MV
from snnsim.converters.nir_read import closing_links, read_nir, unique_names
from snnsim.errors import ConfigError, ConversionError, FileError
from snnsim.models import IF
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.simulator import Simulator
from snnsim.stimuli import SpikeTrains


def read(tmp_path, content, dt_ms=1.0, dialect="norse", **more) -> Network:
    return read_nir(save(tmp_path / "a.nir", content), dt_ms=dt_ms, dialect=dialect, **more)


def matrix(network: Network, source: str, target: str) -> np.ndarray:
    """Weights of single synapses as a matrix, [target, source]."""
    found = np.zeros((network.populations[target].n, network._size(source)))
    for p in network.projections.values():
        if (p.source, p.target) == (source, target):
            np.add.at(found, (p.rule.target, p.rule.source), p.weight)
    return found


def if_node(*shape: int) -> dict:
    return node("IF", r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


def test_a_chain_of_linear_nodes_is_one_matrix(tmp_path) -> None:
    rng = np.random.default_rng(1)
    a, b, scale = rng.normal(size=(3, 4)), rng.normal(size=(2, 3)), rng.normal(size=3)
    bias = rng.normal(size=3)
    network = read(tmp_path, chain(node("Affine", weight=a, bias=bias), node("Scale", scale=scale),
                                   node("Linear", weight=b), if_node(2), n=4))  # fmt: skip
    np.testing.assert_allclose(matrix(network, "input", "n3"), b @ (scale[:, None] * a), rtol=1e-12)
    neuron = network.populations["n3"].neuron
    assert isinstance(neuron, IF)
    np.testing.assert_allclose(neuron.i_bias_pa / neuron.c_m_pf, b @ (scale * bias), rtol=1e-12)


def test_edges_that_meet_add_up(tmp_path) -> None:
    nodes = {"in": node("Input", shape=[2]), "a": node("Linear", weight=np.eye(2)), "if": if_node(2),
             "b": node("Linear", weight=np.full((2, 2), 0.5)), "out": node("Output", shape=[2])}  # fmt: skip
    edges = [("in", "a"), ("in", "b"), ("a", "if"), ("b", "if"), ("in", "if"), ("if", "out")]
    network = read(tmp_path, graph(nodes, edges))
    np.testing.assert_array_equal(matrix(network, "in", "if"), 2 * np.eye(2) + 0.5)


def test_depthwise_and_non_square_convolution_pool_flatten(tmp_path) -> None:
    rng = np.random.default_rng(2)
    weight, x = rng.normal(size=(4, 1, 3, 1)), rng.integers(0, 2, (2, 6, 5)).astype(float)
    conv = node("Conv2d", input_shape=[6, 5], weight=weight, stride=[1, 2], padding=[1, 0], dilation=1,
                groups=2, bias=np.zeros(4))  # fmt: skip
    pool = node("AvgPool2d", kernel_size=[2, 1], stride=[2, 1], padding=[0, 0])
    fc = node("Linear", weight=rng.normal(size=(3, 4 * 3 * 3)))
    flat = node("Flatten", start_dim=0, end_dim=-1, input_type=[4, 3, 3])
    network = read(tmp_path, chain(conv, pool, flat, fc, if_node(3), n=(2, 6, 5)))
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    mapped = np.zeros((4, 6, 3))
    for c, y, column, k in np.ndindex(4, 6, 3, 3):
        mapped[c, y, column] += weight[c, 0, k, 0] * padded[c // 2, y + k, 2 * column]
    pooled = (mapped[:, ::2] + mapped[:, 1::2]) / 2
    expected = fc["weight"] @ pooled.ravel()
    np.testing.assert_allclose(matrix(network, "input", "n4") @ x.ravel(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("padding", "stride", "size"), [("same", 1, 9), ("same", 2, 5), ("valid", 1, 6), (2, 3, 4)]
)
def test_convolution_in_one_dimension(padding, stride: int, size: int, tmp_path) -> None:
    conv = node("Conv1d", input_shape=9, weight=np.ones((2, 3, 4)), stride=stride, padding=padding,
                dilation=1, groups=1, bias=np.zeros(2))  # fmt: skip
    network = read(tmp_path, chain(conv, if_node(2, size), n=(3, 9)))
    assert network.populations["n1"].n == 2 * size
    middle = matrix(network, "input", "n1").reshape(2, size, 3, 9)[0, size // 2]
    assert middle.sum() == 12


def test_nested_graphs_are_put_in_place(tmp_path) -> None:
    inner = graph(
        {"input": node("Input", shape=[2]), "w": node("Linear", weight=np.eye(2)), "lif": lif(2),
         "output": node("Output", shape=[2])},
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )  # fmt: skip
    network = read(tmp_path, chain(node("Linear", weight=np.ones((2, 2))), inner, lif(2), n=2))
    assert list(network.populations) == ["n1_lif", "n2"]
    delays = {name: p.delay_ms for name, p in network.projections.items()}
    assert delays == {"n1_lif_to_n1_lif": 1.0, "input_to_n1_lif": 0.0, "n1_lif_to_n2": 0.0}


def test_delay_nodes(tmp_path) -> None:
    """Stored as float32, as exporters do; one that is not a number of steps is refused."""
    later = node("Delay", delay=np.array([0.003, 0.1], np.float32))
    network = read(tmp_path, chain(later, lif(2), n=2))
    assert network.projections["input_to_n1"].delay_ms.tolist() == [3.0, 100.0]
    with pytest.raises(ConversionError, match="a Delay is not a number of steps"):
        read(tmp_path, chain(later, lif(2), n=2), dt_ms=2.0)


def test_readouts_integrate_and_never_fire(tmp_path) -> None:
    li = node("LI", tau=[0.01], r=[2.0], v_leak=[-1.0])
    source = SpikeTrains(n=1, times_ms=np.arange(500.0), ids=np.zeros(500, int))
    network = read(tmp_path, chain(li), dialect="exact", inputs={"input": source})
    assert network.populations["n0"].neuron.v_th_mv == NEVER_MV
    assert network.probes["output"] == Probe(target="n0", variable="v_mv")
    with Simulator(network, dt_ms=1.0, threads=1) as simulator:
        simulator.run(500.0)
        values = simulator.samples("output")[1]
    np.testing.assert_allclose(values[-1], -1.0 + 2.0, rtol=1e-12)  # v_leak + r I


def test_potentials_cannot_be_sent_on(tmp_path) -> None:
    li = node("LI", tau=[0.01], r=[2.0], v_leak=[-1.0])
    with pytest.raises(ConversionError, match=r"0 \(LI\): potentials cannot be sent on \(to 1\)"):
        read(tmp_path, chain(li, lif(1)))


def test_outputs_of_linear_nodes_are_refused(tmp_path) -> None:
    with pytest.raises(ConversionError, match=r"output \(Output\): records what linear nodes make of 0"):
        read(tmp_path, chain(lif(1), node("Linear", weight=[[2.0]])))
    with pytest.raises(ConversionError, match="has no neurons"):
        read(tmp_path, chain(node("Linear", weight=[[2.0]])))


def test_a_circle_without_memory(tmp_path) -> None:
    w = node("Linear", weight=[[1.0]])
    nodes = {"in": node("Input", shape=[1]), "a": w, "b": w, "lif": lif(1), "out": node("Output", shape=[1])}
    edges = [("in", "a"), ("a", "b"), ("b", "a"), ("b", "lif"), ("lif", "out")]
    with pytest.raises(ConversionError, match="a, b: nodes without memory form a circle"):
        read(tmp_path, graph(nodes, edges))


def test_sizes_that_do_not_fit(tmp_path) -> None:
    with pytest.raises(FileError, match="signals of different size meet"):
        read(tmp_path, chain(lif(2), lif(3), n=2))


@pytest.mark.parametrize("r", [1.0, 7.0])
def test_reset_by_subtraction_is_recognised(r: float, tmp_path) -> None:
    """I -> Threshold -> Scale -> back takes 0.75 away in the next step; r dt = r / 1000."""
    amount = 0.75 / (r * 1e-3)
    nodes = {"in": node("Input", shape=[1]), "w": node("Linear", weight=[[0.4 / (r * 1e-3)]]),
             "i": node("I", r=[r]), "t": node("Threshold", threshold=[1.0]),
             "s": node("Scale", scale=[-amount]), "out": node("Output", shape=[1])}  # fmt: skip
    edges = [("in", "w"), ("w", "i"), ("i", "t"), ("t", "s"), ("s", "i"), ("t", "out")]
    source = SpikeTrains(n=1, times_ms=np.arange(20.0), ids=np.zeros(20, int))
    network = read(tmp_path, graph(nodes, edges), dialect="exact", inputs={"in": source})
    neuron = network.populations["i"].neuron
    assert (neuron.reset, neuron.v_reset_mv) == ("subtract", pytest.approx(0.25))
    with Simulator(network, dt_ms=1.0, threads=1) as simulator:
        simulator.run(20.0)
        steps, _ = simulator.spikes("out")
    v, expected = 0.0, []
    for t in range(20):
        v += 0.4
        if v > 1.0:
            expected.append(t)
            v -= 0.75
    assert steps.tolist() == expected


def test_every_dialect_runs_a_recurrent_network(tmp_path) -> None:
    nodes = {"in": node("Input", shape=[2]), "w": node("Linear", weight=np.full((3, 2), 40.0)), "lif": lif(3),
             "rec": node("Linear", weight=-np.ones((3, 3))), "out": node("Output", shape=[3])}  # fmt: skip
    edges = [("in", "w"), ("w", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out")]
    delays = {"exact": (0, 1), "norse": (0, 1), "spyx": (0, 1), "lava": (1, 1)}
    for dialect, (forward, back) in delays.items():
        network = read(tmp_path, graph(nodes, edges), dialect=dialect)
        assert network.projections["in_to_lif"].delay_ms == forward
        assert network.projections["lif_to_lif"].delay_ms == back
        with Simulator(network, dt_ms=1.0, threads=1) as simulator:
            simulator.run(5.0)


def test_reset_can_be_chosen(tmp_path) -> None:
    content = chain(lif(1, v_reset=0.5))
    assert read(tmp_path, content, dialect="exact").populations["n0"].neuron.reset == "subtract"
    chosen = read(tmp_path, content, dialect="exact", reset="v_reset").populations["n0"].neuron
    assert (chosen.reset, chosen.v_reset_mv) == ("value", 0.5)
    with pytest.raises(ConfigError, match="unknown reset"):
        read(tmp_path, content, reset="hard")
    with pytest.raises(ConfigError, match="no such input"):
        read(tmp_path, content, inputs={"image": SpikeTrains(n=1, times_ms=[0.0], ids=[0])})


def test_names() -> None:
    names = unique_names(["lif1.lif", "lif1_lif", "0", "a/b", "", "a" * 200], taken=["a_b"])
    assert list(names.values())[:5] == ["lif1_lif", "lif1_lif_2", "n0", "a_b_2", "n"]
    assert len(names["a" * 200]) < 100


def test_links_that_close_a_circle() -> None:
    links = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "c"), ("a", "c")]
    assert closing_links(["a", "b", "c"], links) == {("c", "b"), ("c", "c")}
    long = [str(k) for k in range(5000)]
    assert closing_links(long, [*zip(long, long[1:], strict=False), ("4999", "0")]) == {("4999", "0")}
