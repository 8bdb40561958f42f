"""Networks into NIR files: the same spikes when read again, the same file when written again; refusals."""

import builtins
from typing import Any

import numpy as np
import pytest
from nir_examples import FIXTURES, needs_fixtures

from snnsim.connectivity import AllToAll, Arrays, OneToOne, PairwiseBernoulli
from snnsim.converters.nir import NEVER_MV, NirWarning, read_nir, write_nir
from snnsim.converters.nir_wiring import tidy
from snnsim.distributions import Uniform
from snnsim.errors import ConversionError
from snnsim.layer_neurons import BurstIF, Maximum, Readout, SignedIF
from snnsim.layers import Conv, Dense, Into, MaxPool, SumPool
from snnsim.models import IF, LIF, AdaptiveThreshold, Exponential
from snnsim.network import Network
from snnsim.plasticity import Normalisation
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.simulator import Simulator
from snnsim.stimuli import Analogue, Poisson, PoissonDrive, SpikeTrains

nir = pytest.importorskip("nir", reason="needs the package nir")


def example(reset: str = "value") -> Network:
    rng = np.random.default_rng(1)
    a = LIF(tau_m_ms=rng.uniform(5, 20, 5), v_rest_mv=-65.0, v_th_mv=-50.0, v_reset_mv=-60.0, reset=reset,
            c_m_pf=200.0, i_bias_pa=rng.uniform(0, 100, 5))  # fmt: skip
    b = LIF(tau_m_ms=7.0, v_rest_mv=-65.0, v_th_mv=-50.0, v_reset_mv=-60.0,
            synapse=Exponential(tau_exc_ms=3.0))  # fmt: skip
    c = IF(v_th_mv=1.0, v_reset_mv=0.0, reset=reset, i_bias_pa=0.3)
    weights = rng.uniform(100, 900, 4)
    delays = [0.5, 0.1, 0.1, 1.0]
    return Network(
        populations={
            "a": Population(n=5, neuron=a), "b": Population(n=4, neuron=b), "c": Population(n=4, neuron=c)
        },
        stimuli={"in": Poisson(n=3, rate_hz=700.0)},
        projections={
            "x": Projection(source="in", target="a", rule=AllToAll(), weight_mv=3.1, delay_ms=0.0),
            "y": Projection(source="a", target="b", rule=Arrays(source=[0, 1, 2, 4], target=[1, 2, 3, 0]),
                            weight_pa=weights, delay_ms=delays),
            "z": Projection(source="b", target="b", rule=Arrays(source=[0, 1, 2, 3], target=[1, 2, 3, 0]),
                            weight_pa=-weights / 3, delay_ms=delays),
            "w": Projection(source="b", target="c", rule=OneToOne(), weight_mv=0.25, delay_ms=0.2),
        },
    )  # fmt: skip


def spikes(network: Network, names: list[str]) -> list[np.ndarray]:
    network = network.replace(probes={name: Probe(target=name) for name in names})
    with Simulator(network, dt_ms=0.1, threads=1) as simulator:
        simulator.run(400.0)
        return [part for name in names for part in simulator.spikes(name)]


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_read_again_gives_the_same_spikes_and_written_again_the_same_file(reset: str, tmp_path) -> None:
    network, lower = example(reset), reset == "subtract"
    notes = write_nir(network, tmp_path / "a.nir", dt_ms=0.1, lower_soft_reset=lower)
    assert [note for note in notes if "a, c is written as Threshold and Scale" in note] == notes
    assert len(notes) == lower
    again = read_nir(tmp_path / "a.nir", dt_ms=0.1, inputs={"in": network.stimuli["in"]})
    write_nir(again, tmp_path / "b.nir", dt_ms=0.1, lower_soft_reset=lower)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    found = spikes(again, ["a", "b", "c"])
    assert all(part.size > 20 for part in found)
    for one, other in zip(spikes(network, ["a", "b", "c"]), found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nir_reads_it_with_its_metadata(tmp_path) -> None:
    write_nir(example(), tmp_path / "a.nir", dt_ms=0.1)
    graph = nir.read(tmp_path / "a.nir")
    assert graph.metadata["dt"] == pytest.approx(1e-4)
    assert {"integrator", "reset", "order", "v0"} <= set(graph.metadata)
    assert isinstance(graph.nodes["b"], nir.CubaLIF)
    assert graph.nodes["b"].tau_mem.tolist() == [0.007] * 4
    assert isinstance(graph.nodes["c"], nir.IF)
    assert graph.nodes["c"].r.tolist() == [10000.0] * 4


@needs_fixtures
@pytest.mark.parametrize("name", ["01_lif/lif_norse", "03_rnn/braille_noDelay_bias_zero"])
def test_files_of_the_paper_written_twice_are_the_same(name: str, tmp_path) -> None:
    network = read_nir(FIXTURES / f"{name}.nir", dt_ms=0.1, dialect="snntorch")
    write_nir(network, tmp_path / "a.nir", dt_ms=0.1)
    again = read_nir(tmp_path / "a.nir", dt_ms=0.1)
    write_nir(again, tmp_path / "b.nir", dt_ms=0.1)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    nir.read(tmp_path / "a.nir")


def layered() -> Network:
    rng = np.random.default_rng(2)
    cell = IF(v_th_mv=1.0, v_reset_mv=0.0, c_m_pf=1.0, i_bias_pa=0.05)
    weight = rng.uniform(-1, 1, (4, 1, 3, 3)).round(3)
    conv = Conv(height=6, width=6, weight=weight, groups=2, pad_top=1, pad_bottom=1, pad_left=1, pad_right=1)
    pool = SumPool(height=6, width=6, n_channels=4, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)

    def link(source: str, target: str, rule: Any, weight: float = 1.0) -> Projection:
        return Projection(source=source, target=target, rule=rule, weight_mv=weight, delay_ms=0.0)

    return Network(
        stimuli={"image": Analogue(n=72)},
        populations={
            "c1": Population(n=144, neuron=cell),
            "p1": Population(n=36, neuron=cell.replace(i_bias_pa=0.0)),
            "again": Population(n=36, neuron=cell.replace(i_bias_pa=0.0)),
            "out": Population(n=3, neuron=Readout()),
        },
        projections={
            "a": link("image", "c1", conv), "b": link("c1", "p1", pool, 0.25),
            "c": link("p1", "again", Into(n_source=36, n_target=36), 1.5),
            "d": link("again", "out", Dense(weight=rng.uniform(-1, 1, (3, 36)).round(3))),
        },
    )  # fmt: skip


def test_layers_become_layers(tmp_path) -> None:
    """The same counts from the batch simulator, and from the file in the ordinary one."""
    network = layered()
    assert write_nir(network, tmp_path / "a.nir", dt_ms=1.0) == []
    kinds = {type(n).__name__ for n in nir.read(tmp_path / "a.nir").nodes.values()}
    assert kinds >= {"Conv2d", "AvgPool2d", "Linear", "IF", "I", "Input", "Output"}
    pixels = (np.random.default_rng(3).random(72) < 0.5).astype(float)
    with Simulator(network, batch=1, dt_ms=1.0, threads=1) as batch:
        result = batch.evaluate({"image": pixels[None]}, 12, repeat=12, keep_counts=True, stop_early=False)
    ids = np.tile(np.flatnonzero(pixels), 12)
    times = np.repeat(np.arange(12.0), int(pixels.sum()))
    image = SpikeTrains(n=72, times_ms=times, ids=ids)
    again = read_nir(tmp_path / "a.nir", dt_ms=1.0, inputs={"image": image})
    assert again.populations["out"].neuron.v_th_mv == NEVER_MV
    again = again.replace(probes={**again.probes, "c1": Probe(target="c1"), "again": Probe(target="again")})
    with Simulator(again, dt_ms=1.0, threads=1) as simulator:
        simulator.run(13.0)
        for name in ("c1", "again"):
            steps, units = simulator.spikes(name)
            counts = np.bincount(units[steps < 12], minlength=result.counts[name].shape[1])
            np.testing.assert_array_equal(counts, result.counts[name][0])
            assert counts.sum() > 20
        np.testing.assert_allclose(simulator.samples("output")[1][12], result.readout[0, 11], atol=1e-9)


PLAIN = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=1.0, v_reset_mv=0.0)
REFUSED = {
    "soft": (PLAIN.replace(reset="subtract"), "reset: reset by subtraction"),
    "start": (PLAIN.replace(v_init_mv=0.5), "v_init_mv: a start potential"),
    "held": (PLAIN.replace(t_ref_ms=1.0), "t_ref_ms: a refractory period"),
    "theta": (PLAIN.replace(threshold=AdaptiveThreshold(theta_plus_mv=1.0, tau_theta_ms=9.0)), "adaptive"),
    "drawn": (PLAIN.replace(tau_m_ms=Uniform(low=1.0, high=2.0)), "drawn values"),
    "two": (PLAIN.replace(synapse=Exponential(tau_exc_ms=1.0, tau_inh_ms=2.0)), "a second synaptic"),
    "burst": (BurstIF(v_th_mv=1.0, most=3), "units of kind burst_if"),
    "signed": (SignedIF(v_th_mv=1.0, levels=3), "units of kind signed_if"),
    "largest": (Maximum(), "units of kind maximum"),
}


def test_all_refusals_at_once(tmp_path) -> None:
    network = Network(
        populations={name: Population(n=2, neuron=neuron) for name, (neuron, _) in REFUSED.items()},
        stimuli={"drive": PoissonDrive(target="soft", rate_hz=1.0, weight_mv=1.0)},
    )
    with pytest.raises(ConversionError) as caught:
        write_nir(network, tmp_path / "a.nir", dt_ms=0.1)
    text = str(caught.value)
    for name, (_, reason) in REFUSED.items():
        assert f"populations.{name}.neuron" in text
        assert reason in text
    assert "stimuli.drive: a drive" in text
    assert "lower_soft_reset=True" in text
    assert not (tmp_path / "a.nir").exists()


def test_refused_projections(tmp_path) -> None:
    def link(rule: Any, **more: Any) -> Projection:
        given = {"source": "a", "target": "b", "delay_ms": 1.0, **more}
        return Projection(rule=rule, weight_mv=1.0, **given)

    pool = MaxPool(height=2, width=2, n_channels=1, kernel_h=1, kernel_w=1)
    network = Network(
        populations={name: Population(n=4, neuron=PLAIN) for name in "abcd"},
        projections={
            "random": link(PairwiseBernoulli(p=0.5)),
            "times": link(AllToAll(), delay_ms=Uniform(low=1.0, high=2.0)),
            "sum": link(AllToAll(), normalisation=Normalisation(total=1.0, every_ms=1.0)),
            "max": link(pool, source="c", target="d"),
        },
    )
    with pytest.raises(ConversionError) as caught:
        write_nir(network, tmp_path / "a.nir", dt_ms=0.1)
    for part in ("random.rule: connections are drawn", "times.delay_ms: drawn values", "sum.normalisation",
                 "max.rule: max pooling"):  # fmt: skip
        assert f"projections.{part}" in str(caught.value)


def test_a_bias_that_no_connection_carries(tmp_path) -> None:
    network = Network(populations={"a": Population(n=2, neuron=PLAIN.replace(i_bias_pa=60.0))},
                      stimuli={"in": Poisson(n=1, rate_hz=1.0)})  # fmt: skip
    write_nir(network, tmp_path / "a.nir", dt_ms=0.1)
    again = read_nir(tmp_path / "a.nir", dt_ms=0.1)
    assert not again.projections
    for one, other in zip(spikes(network, ["a"]), spikes(again, ["a"]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_the_package(monkeypatch, tmp_path) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "nir":
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConversionError, match=r"pip install snnsim\[convert\]"):
        write_nir(example(), tmp_path / "a.nir", dt_ms=0.1)


def test_tidy_numbers_come_back() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000) * 10.0 ** rng.integers(-9, 9, 1000)
    values = tidy(np.concatenate([values, [0.0, 0.01, -1.0, 1e5]]))
    factor = rng.uniform(0.1, 10, values.size)
    np.testing.assert_array_equal(tidy(values * factor / factor), values)
    assert tidy(np.array(0.01)) == 0.01
    assert issubclass(NirWarning, UserWarning)
