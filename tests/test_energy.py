"""Energy estimates: by hand, at break-even, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_operations import example

from snnsim.converters.convert import convert
from snnsim.converters.energy import (
    CONSTANTS,
    PRECISIONS,
    SCOPES,
    Estimate,
    compare,
    energy_table,
    sram_pj,
)
from snnsim.converters.operations import Operations
from snnsim.errors import ConfigError


@pytest.fixture(scope="module")
def rates() -> Operations:
    graph, x = example()
    return convert(graph, x, "rate", timesteps=6).operations(x)


def simple(**changes: float) -> Operations:
    """Operations of which all but the given are 0."""
    graph, x = example()
    found = convert(graph, x[:1], "rate", timesteps=2).operations(x[:1])
    zeros = {name: 0 for name, *_ in found.columns()}
    return replace(found, **zeros | {"n_steps": 2, "timesteps": 2, "count_bits": 2} | changes)


def of(operations: Operations, system: str, precision: str, scope: str = "compute") -> float:
    (found,) = [
        e.pj
        for e in energy_table(operations).estimates
        if (e.system, e.precision, e.scope) == (system, precision, scope)
    ]
    return found


def test_compute_by_hand() -> None:
    o = simple(
        dense_macs=100, effective_macs=40, source_biases=5, source_others=5, synaptic_acs=50,
        synaptic_macs=10, input_macs_once=20, input_macs_per_step=20, integrations=8, comparisons=8, resets=3,
    )  # fmt: skip
    assert of(o, "fp32 ANN", "fp32") == pytest.approx(100 * 4.6 + 10 * 0.9)
    assert of(o, "zero-skipping fp32 ANN", "fp32") == pytest.approx(40 * 4.6 + 10 * 0.9)
    assert of(o, "int8 ANN", "int8") == pytest.approx(100 * 0.3 + 10 * 0.1)
    twin = 100 * (0.2 * 2 / 8 + 0.1) + 10 * 0.1
    assert of(o, "quantised twin, 2-bit activations", "int8") == pytest.approx(twin)
    assert of(o, "SNN", "fp32") == pytest.approx((50 + 8 + 8 + 3) * 0.9 + (10 + 20) * 4.6)
    assert of(o, "SNN", "int8") == pytest.approx((50 + 8 + 8 + 3) * 0.1 + (10 + 20) * 0.3)


def test_memory_by_hand() -> None:
    o = simple(dense_macs=100, n_weights=1000, source_biases=5, synaptic_acs=50, n_neurons=10, integrations=4)
    word = 10 * 32 / 64  # of 32 bits, in memories below 8 kB
    scope = "compute + memory"
    assert of(o, "fp32 ANN", "fp32", scope) == pytest.approx(100 * (4.6 + 2 * word) + 5 * (0.9 + word))
    assert of(o, "SNN", "fp32", scope) == pytest.approx(50 * (0.9 + 3 * word) + 4 * (0.9 + 5 * word))


def test_the_memory_model() -> None:
    assert sram_pj(100, 64) == sram_pj(8192, 64) == 10
    assert sram_pj(32768, 64) == 20
    assert sram_pj(20480, 64) == pytest.approx(15)
    assert sram_pj(2**20, 64) == 100
    assert sram_pj(2**20, 8) == 12.5
    assert sram_pj(2**21, 64) == pytest.approx(100 + 80 * 2**20 / (2**20 - 2**15))


def test_every_precision_scope_and_baseline(rates: Operations) -> None:
    table = energy_table(rates)
    assert len(table.estimates) == 2 * (2 + 2) + 2 * (2 + 4)
    assert len(table.comparisons) == 2 * 2 * 2 + 2 * 2 * 4
    for precision in PRECISIONS:
        for scope in SCOPES:
            own = [c for c in table.comparisons if (c.precision, c.scope) == (precision, scope)]
            assert {c.spiking for c in own} == {"SNN, input once", "SNN, input each step"}
            assert sum("zero-skipping" in c.baseline for c in own) == len(own) / 2
    assert any("twin, 3-bit" in c.baseline for c in table.comparisons)
    assert table.twin_bits == 3


def test_at_break_even_both_need_the_same(rates: Operations) -> None:
    spiking = ("synaptic_acs", "synaptic_macs", "pooling_acs", "pooling_macs", "resets", "events")
    checked = 0
    for c in energy_table(rates).comparisons:
        if c.break_even_spikes_per_neuron is None:
            assert c.ratio > 1
            continue
        share = c.break_even_spikes_per_neuron / rates.spikes_per_neuron
        scaled = replace(rates, **{name: share * getattr(rates, name) for name in spiking})
        own, other = (of(scaled, system, c.precision, c.scope) for system in (c.spiking, c.baseline))
        assert own == pytest.approx(other)
        assert c.break_even_rate_per_step == pytest.approx(c.break_even_spikes_per_neuron / 6)
        checked += 1
    assert checked


def test_the_break_even_of_davidson_and_furber(rates: Operations) -> None:
    """Their units: 12 E for a synapse of the trained network, 7 E for a spike at a synapse."""
    synapses, spikes, fan_out = 1000, 300, 10
    own = replace(rates, spikes_per_neuron=spikes / (synapses / fan_out), n_steps=4.0)
    spiking = Estimate("SNN", "int8", "compute", 7.0 * spikes * fan_out, 7.0 * spikes * fan_out)
    found = compare(spiking, Estimate("ANN", "int8", "compute", 12.0 * synapses), own)
    assert found.break_even_spikes_per_neuron == pytest.approx(12 / 7)
    assert found.break_even_rate_per_step == pytest.approx(12 / 7 / 4)
    assert found.ratio == pytest.approx(7 * 3 / 12)


def test_loihi_by_hand() -> None:
    o = simple(
        dense_macs=1, effective_macs=1, synaptic_acs=50, pooling_macs=5, input_acs_per_step=20,
        integrations=30, events=7, input_events=4,
    )  # fmt: skip
    expected = 75 * 23.6 + 7 * 81 + 23 * 52 + 11 * 1.7
    assert energy_table(o).loihi_pj == pytest.approx(expected)


@pytest.mark.parametrize(("timesteps", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (31, 5)])
def test_bits_of_the_quantised_twin(timesteps: int, bits: int) -> None:
    """ceil(log2(T + 1)) for T spikes at most."""
    graph, x = example()
    assert convert(graph, x[:1], "rate", timesteps=timesteps).operations(x[:1]).count_bits == bits
    assert convert(graph, x[:1], "exact", levels=timesteps).operations(x[:1]).count_bits == bits


def test_estimates_that_do_not_belong_together_are_refused(rates: Operations) -> None:
    one = Estimate("SNN", "int8", "compute", 1.0, 0.5)
    for other in (Estimate("ANN", "fp32", "compute", 2.0), Estimate("ANN", "int8", "compute + memory", 2.0)):
        with pytest.raises(ConfigError, match="SNN / ANN: energies of different precision or scope"):
            compare(one, other, rates)


def test_every_constant_has_a_source_and_a_mark(rates: Operations) -> None:
    found = json.loads(json.dumps(energy_table(rates).as_dict(), allow_nan=False))
    assert len(found["constants"]) == len(CONSTANTS)
    assert all(c["source"] and c["unit"] == "pJ" for c in found["constants"])
    assert all(c["mark"].startswith("from secondary source: ") for c in found["constants"])
    assert found["loihi_pj"] > 0
    assert not any("Loihi" in c["baseline"] for c in found["comparisons"])


def test_a_baseline_without_energy_has_no_ratio(rates: Operations) -> None:
    """A zero-skipping network that is shown nothing."""
    spiking, nothing = Estimate("SNN", "int8", "compute", 1.0, 0.5), Estimate("ANN", "int8", "compute", 0.0)
    found = compare(spiking, nothing, rates)
    assert found.ratio is None
    assert found.break_even_spikes_per_neuron is None
