"""Synapses of layer rules, against what the engine adds when one unit after the other emits."""

from __future__ import annotations

import numpy as np
import pytest

from snnsim import Network, Population, Projection, Simulator, TargetError
from snnsim.hardware.synapses import synapses
from snnsim.layer_neurons import Maximum, Readout
from snnsim.layers import Conv, Dense, Into, LayerRule, MaxPool, SumPool
from snnsim.stimuli import Analogue

RNG = np.random.default_rng(3)
RULES = {
    "dense": Dense(weight=RNG.integers(-5, 5, (4, 7)).astype(float)),
    "into": Into(n_source=3, n_target=8, offset=4),
    "conv": Conv(weight=RNG.integers(-5, 5, (4, 2, 3, 2)).astype(float), height=7, width=6, stride_h=2,
                 pad_top=1, pad_left=1, pad_right=2, dilation_w=2),
    "groups": Conv(weight=RNG.integers(-5, 5, (6, 1, 2, 2)).astype(float), height=4, width=4, groups=3),
    "pool": SumPool(n_channels=2, height=5, width=5, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2),
    "overlapping pool": SumPool(n_channels=2, height=5, width=4, kernel_h=3, kernel_w=3, pad_top=1),
}  # fmt: skip


def projection(rule: LayerRule, delay: float = 1.0) -> Projection:
    return Projection(source="in", target="out", rule=rule, weight_mv=2.0, delay_ms=delay)


@pytest.mark.parametrize("name", RULES)
def test_every_synapse_of_the_engine(name: str) -> None:
    rule = RULES[name]
    n_source, n_target = rule.sizes()
    network = Network(
        stimuli={"in": Analogue(n=n_source)},
        populations={"out": Population(n=n_target, neuron=Readout())},
        projections={"p": projection(rule, 0.0)},
    )
    engine = Simulator(network, batch=1, dt_ms=1.0).evaluate({"in": np.eye(n_source)}, 1).readout[:, 0]
    found = synapses(projection(rule))
    matrix = np.zeros((n_source, n_target))
    np.add.at(matrix, (found.source, found.target), found.weight)
    np.testing.assert_array_equal(matrix, engine)
    assert len(set(zip(found.source, found.target, strict=True))) == found.source.size
    np.testing.assert_array_equal(found.first, np.searchsorted(found.source, np.arange(n_source + 1)))


def test_only_keeps_the_order_and_the_beginnings() -> None:
    found = synapses(projection(RULES["dense"]))
    few = found.only(found.weight > 0)
    assert (few.weight > 0).all()
    np.testing.assert_array_equal(
        np.diff(few.first), np.bincount(found.source[found.weight > 0], minlength=7)
    )


def test_maxima_have_no_synapses() -> None:
    pool = MaxPool(n_channels=1, height=4, width=4, kernel_h=2, kernel_w=2)
    assert Maximum.KIND == "maximum"
    with pytest.raises(TargetError, match=r"here\.rule.*max_pool"):
        synapses(projection(pool), "here")
