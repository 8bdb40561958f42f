"""Networks on the grids of targets: a plain twin of one stage, exactness, what is lost, what is refused."""

import numpy as np
import pytest

from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.number_format import FORMATS, number_format
from snnsim.hardware.quantise import quantise, quantise_exact
from snnsim.hardware.runs_of import run_of
from snnsim.hardware.single_shot import common_unit
from snnsim.hardware.stages import normal_form
from snnsim.hardware.training_grid import training_grid
from snnsim.layer_neurons import BurstIF, Maximum, Readout, Relay, SignedIF
from snnsim.layers import Conv, Dense, MaxPool, SumPool
from snnsim.models import IF, LIF, Exponential
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

N_STEPS = 12


def link(source, target, rule, delay=1.0, key="weight_mv"):
    return Projection(source=source, target=target, rule=rule, delay_ms=delay, **{key: 1.0})


def spiking(hidden, seed=0, n=12, m=8, key="weight_mv", weights=None):
    """input -> hidden -> readout, with frames of zeros and ones."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0.15, 0.4, (m, n)) if weights is None else weights
    network = Network(
        stimuli={"input": Analogue(n=n)},
        populations={
            "hidden": Population(n=m, neuron=hidden),
            "out": Population(n=3, neuron=Readout(bias_mv=0.1)),
        },
        projections={
            "a": link("input", "hidden", Dense(weight=first), key=key),
            "b": link("hidden", "out", Dense(weight=rng.normal(0, 1, (3, m)))),
        },
    )
    return network, rng.integers(0, 2, (24, 8, n)).astype(np.float64)


IF_ZERO = IF(v_th_mv=1.0, v_reset_mv=0.0, i_bias_pa=10.0)
LEAKY = LIF(v_th_mv=1.0, v_reset_mv=0.0, v_rest_mv=0.0, tau_m_ms=8.0)


@pytest.mark.parametrize("target", ["loihi2", "loihi1", "generic-int8", "generic-int16"])
@pytest.mark.parametrize("hidden", [IF_ZERO, LEAKY], ids=["if", "lif"])
def test_spikes_are_kept_at_full_width(target, hidden):
    network, frames = spiking(hidden)
    found = quantise(network, target, frames, n_steps=N_STEPS)
    source = run_of(network, {"input": frames}, N_STEPS)
    kept = found.run(frames).totals["hidden"]
    wrong = np.abs(kept - source.totals["hidden"]).sum() / source.totals["hidden"].sum()
    assert wrong < 0.03
    assert found.rows[0].agreement == pytest.approx(1 - wrong)
    assert np.median(np.abs(found.predict(frames) - source.readout)) < 0.02 * np.abs(source.readout).max()


def test_fewer_bits_lose_more():
    network, frames = spiking(IF_ZERO)
    kept = [quantise(network, "loihi2", frames, n_steps=N_STEPS, bits=b).rows[0].agreement for b in (8, 4, 2)]
    assert kept[0] > kept[1] > kept[2]


@pytest.mark.parametrize("target", sorted(FORMATS))
@pytest.mark.parametrize("bits", [8, 4, 1])
def test_weights_lie_on_the_grid(target, bits):
    form = number_format(target)
    grid = form.grid(bits)
    weight = grid.nearest(np.linspace(-300, 300, 601))
    assert grid.holds(weight)
    assert weight.min() == grid.low
    assert weight.max() == grid.high
    assert np.all(weight % grid.step == 0)
    if form.sign_modes:  # both signs: one bit less of resolution; the floor of other readers changes nothing
        assert np.all(weight % 2 == 0)
        lost = 8 - bits + 1
        assert np.array_equal((weight.astype(int) >> lost) << lost, weight)


def test_signs_decide_the_grid():
    form = number_format("loihi2")
    assert (form.grid(8).low, form.grid(8).high, form.grid(8).step) == (-256, 254, 2)
    assert (form.grid(8, 0, 1).low, form.grid(8, 0, 1).high, form.grid(8, 0, 1).step) == (0, 255, 1)
    assert (form.grid(8, -1, 0).low, form.grid(8, -1, 0).high) == (-255, 0)
    assert (form.grid(4).low, form.grid(4).high, form.grid(4).step) == (-256, 224, 32)


def test_widths_that_are_not_there():
    with pytest.raises(TargetError, match=r"no weights of this width; got 7, expected 1, 2, 3, 4, 5, 6, 8"):
        number_format("loihi1").grid(7)
    with pytest.raises(TargetError, match="did you mean loihi2"):
        number_format("loihi")


def test_weights_of_the_grid_are_not_changed():
    """What was trained on the grid loses nothing: thresholds, weights and spikes are the source's."""
    rng = np.random.default_rng(1)
    grid = training_grid(rng.normal(0, 0.4, (8, 12)), "loihi2", 4)
    weights = np.clip(rng.integers(-8, 8, (8, 12)) * grid.step, grid.low, grid.high)
    network, frames = spiking(IF(v_th_mv=1.0, v_reset_mv=0.0), weights=weights)
    found = quantise(
        network, "loihi2", frames, n_steps=N_STEPS, bits=4, scales={"hidden": grid.scale}, search=False
    )
    assert found.rows[0].weight_error == pytest.approx(0, abs=1e-12)
    assert found.rows[0].agreement == 1.0
    assert grid.scale == round(grid.scale)


def test_currents_and_decays():
    hidden = LIF(
        v_th_mv=1.0,
        v_reset_mv=0.0,
        v_rest_mv=0.0,
        tau_m_ms=10.0,
        c_m_pf=1.0,
        synapse=Exponential(tau_exc_ms=4.0),
    )
    network, frames = spiking(hidden, key="weight_pa")
    found = quantise(network, "loihi2", frames, n_steps=N_STEPS)
    unit = found.network.populations["hidden"].unit
    assert unit.decay_u == round(4096 * (1 - np.exp(-1 / 4)))
    assert unit.decay_v == round(4096 * (1 - np.exp(-1 / 10)))
    assert found.rows[0].agreement > 0.97
    with pytest.raises(TargetError, match="no synaptic current"):
        quantise(network, "generic-int8", frames, n_steps=N_STEPS)


def test_resets_that_a_target_lacks():
    network, frames = spiking(BurstIF(v_th_mv=1.0))
    with pytest.raises(TargetError, match="cannot take the threshold off") as caught:
        quantise(network, "loihi2", frames, n_steps=N_STEPS)
    assert "--hard-reset" in caught.value.fix
    assert "generic-int8" in caught.value.fix
    hard = quantise(network, "loihi2", frames, n_steps=N_STEPS, hard_reset=True)
    soft = quantise(network, "generic-int8", frames, n_steps=N_STEPS)
    assert hard.rows[0].agreement < soft.rows[0].agreement
    assert "reset to zero" in hard.rows[0].note


def test_pools_are_folded():
    rng = np.random.default_rng(0)
    pool = SumPool(n_channels=2, height=9, width=8, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)
    network = Network(
        stimuli={"input": Analogue(n=2 * 9 * 8)},
        populations={
            "pool": Population(n=2 * 4 * 4, neuron=Relay()),
            "maps": Population(n=3 * 3 * 3, neuron=IF(v_th_mv=1.0, v_reset_mv=0.0)),
            "sums": Population(n=3, neuron=Relay()),
            "out": Population(n=2, neuron=Readout()),
        },
        projections={
            "p": link("input", "pool", pool, 0.0),
            "c": link("pool", "maps", Conv(weight=rng.normal(0.1, 0.3, (3, 2, 2, 2)), height=4, width=4)),
            "s": link("maps", "sums", SumPool(n_channels=3, height=3, width=3, kernel_h=3, kernel_w=3), 0.0),
            "d": link("sums", "out", Dense(weight=rng.normal(0, 1, (2, 3))), 0.0),
        },
    )  # fmt: skip
    frames = rng.integers(0, 2, (8, 5, 144)).astype(np.float64)
    stages = normal_form(network, "loihi2")
    assert [stage.name for stage in stages.stages] == ["maps", "out"]
    found = quantise(network, "generic-int16", frames, n_steps=9, bits=16)
    source = run_of(network, {"input": frames}, 9)
    assert np.array_equal(found.run(frames).totals["maps"], source.totals["maps"])
    assert np.abs(found.predict(frames) - source.readout).max() < 0.01


def test_every_connection_takes_a_step():
    network, _ = spiking(IF_ZERO)
    at_once = network.replace(
        projections={k: p.replace(delay_ms=0.0) for k, p in network.projections.items()}
    )
    stages = normal_form(at_once, "loihi2")
    assert [(s.depth, [w.delay for w in s.wires]) for s in stages.stages] == [(1, [1]), (2, [1])]


def test_maxima_are_refused_with_a_way_out():
    network = Network(
        stimuli={"input": Analogue(n=4)},
        populations={"top": Population(n=1, neuron=Maximum())},
        projections={
            "m": link("input", "top", MaxPool(n_channels=1, height=2, width=2, kernel_h=2, kernel_w=2), 0.0)
        },
    )
    with pytest.raises(TargetError, match="average pooling or strides"):
        normal_form(network, "loihi2")


def test_values_become_amounts_only_where_they_can():
    network, frames = spiking(IF_ZERO)
    values = np.random.default_rng(0).random((6, 12))
    found = quantise(network, "loihi2", values, n_steps=N_STEPS, repeat=8)
    assert found.input_unit == pytest.approx(values.max() / 255)
    with pytest.raises(TargetError, match="takes spikes, not values"):
        quantise(network, "loihi1", values, n_steps=N_STEPS, repeat=8)
    with pytest.raises(ConfigError, match=r"\[n_samples, 12\]"):
        found.predict(np.zeros((3, 11)))


def exact_network(levels, seed=0, step=0.125):
    rng = np.random.default_rng(seed)
    unit = dict(levels=levels, most=levels, v_th_mv=1.0, v_init_mv=0.5, bias_steps=1)
    return Network(
        stimuli={"input": Analogue(n=6)},
        populations={
            "one": Population(n=9, neuron=SignedIF(bias_mv=rng.integers(-8, 8, 9) / 8, **unit)),
            "two": Population(n=5, neuron=SignedIF(bias_mv=rng.integers(-8, 8, 5) / 8, **unit)),
            "readout": Population(n=3, neuron=Readout(bias_mv=np.arange(3) / 8, bias_steps=1)),
        },
        projections={
            "a": link("input", "one", Dense(weight=rng.integers(-9, 9, (9, 6)) * step), 0.0),
            "b": link("one", "two", Dense(weight=rng.integers(-9, 9, (5, 9)) * step), 0.0),
            "skip": link("input", "two", Dense(weight=rng.integers(-9, 9, (5, 6)) * step), 0.0),
            "c": link("two", "readout", Dense(weight=rng.integers(-9, 9, (3, 5)) * step), 0.0),
        },
    )


@pytest.mark.parametrize(
    ("target", "levels"), [("generic-int8", 5), ("generic-int16", 3), ("loihi2", 1), ("loihi1", 1)]
)
def test_exact_networks_stay_exact(target, levels):
    """A population of this network has the name that the input with the constants would have."""
    network = exact_network(levels)
    inputs = np.random.default_rng(2).integers(0, 2, (40, 6))
    found = quantise_exact(network, target, inputs)
    assert found.exactness.exact
    assert found.exactness.holds
    assert sum(found.exactness.n_checked.values()) == 40 * 14
    assert found.run(inputs).totals["one"].sum() > 0
    assert found.exactness.readout_deviation <= 0.125


def test_levels_that_a_target_lacks():
    with pytest.raises(TargetError, match="one spike in a step at most; got 3, expected at most 1"):
        quantise_exact(exact_network(3), "loihi2", np.ones((4, 6)))
    with pytest.raises(TargetError, match="acts for more than one step"):
        quantise_exact(exact_network(1), "xylo", np.ones((4, 6)))


def test_common_unit():
    assert common_unit(np.array([0.375, -0.25, 0.0])) == 0.125
    assert common_unit(np.array([3.0, 1e-30])) == 0.0
    assert common_unit(np.zeros(3)) == 1.0
