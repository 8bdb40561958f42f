"""Few-spike neurons: the error is below alpha 2^-K, and a spike is a bit."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import mlp, residual

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.converters.convert import convert
from snnsim.layer_neurons import FewSpike
from snnsim.layers import Into
from snnsim.stimuli import Analogue


@pytest.mark.parametrize("steps", [1, 4, 10, 20])
def test_error_and_bits(steps: int) -> None:
    n = 2000
    z = np.random.default_rng(0).uniform(-5, 25, n)
    rule = Into(n_source=n, n_target=n)
    network = Network(
        stimuli={"x": Analogue(n=n)},
        populations={"a": Population(n=n, neuron=FewSpike(alpha_mv=25.0, begin=3, window=steps))},
        projections={"p": Projection(source="x", target="a", rule=rule, weight_mv=1.0, delay_ms=0.0)},
        probes={"a": Probe(target="a")},
    )
    with Simulator(network, batch=1) as sim:
        sim.present({"x": z[None]})
        sim.run_steps(3 + steps)
        found = sim.result()
        when, _ = sim.spikes("a")
        assert when.min() == 3
        assert when.max() == 2 + steps
    step = 25.0 * 2.0**-steps
    error = np.maximum(z, 0) - 25.0 * found.totals["a"][0]
    assert error.min() >= 0
    assert error.max() < step
    assert error.max() > 0.9 * step
    bits = [int(n).bit_count() for n in np.floor(np.maximum(z, 0) / step)]
    assert found.counts["a"][0].tolist() == bits


@pytest.mark.parametrize("make", [mlp, residual])
def test_networks_approach_the_source(make) -> None:
    graph, x = make()
    source = graph.evaluate(x)[graph.output.name]
    made = [convert(graph, x, "few_spike", timesteps=steps) for steps in (6, 12, 24)]
    errors = [np.abs(one.predict(x) - source).max() for one in made]
    assert errors[0] > 20 * errors[1] > 400 * errors[2]
    result = made[0].run(x, keep_counts=True)
    assert all(result.counts[name].max() > 1 for name in ("a0", "a1"))
    assert result.n_steps.max() == 6 * (2 if make is mlp else 4)


def test_operations_count_bits_as_multiplications() -> None:
    graph, x = mlp()
    o = convert(graph, x, "few_spike").operations(x)
    assert o.timesteps == o.count_bits == 10
    assert o.synaptic_acs == 0 < o.synaptic_macs
    assert o.spikes == o.events == pytest.approx(o.spikes_per_neuron * o.n_neurons)


@pytest.mark.parametrize("method", ["few_spike", "ttfs"])
def test_a_report_is_written(method: str, tmp_path) -> None:
    graph, x = mlp(n=20)
    found = convert(graph, x, method).report(x, None, tmp_path / "out")
    assert found.html.stat().st_size > 1000
    assert found.diagnosis.agreement[-1] > 0.9
    assert [layer.name for layer in found.diagnosis.layers] == ["a0", "a1"]
    for layer in found.diagnosis.layers:
        assert layer.clipping < 1e-6
        assert layer.uneven < 1e-12
        limit = 2.0**-9 if method == "few_spike" else 1e-12  # alpha 2^-K; the largest activation is about 4
        assert layer.quantisation <= layer.total <= 8 * limit


def test_a_report_of_times_on_a_grid(tmp_path) -> None:
    """Its errors are those of rounding, and the layers before."""
    graph, x = mlp(n=20)
    found = convert(graph, x, "ttfs", timesteps=16).report(x, None, tmp_path / "out")
    first, second = found.diagnosis.layers
    assert first.quantisation > 0.01
    assert second.propagated > 0.01
    assert max(first.uneven, second.uneven) < 1e-12
