"""Small integer networks and mappings for tests of energy and of files."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnsim import Network, Population, Projection
from snnsim.hardware.mapping import Mapping, network_sizes
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Conv, Dense, LayerRule
from snnsim.stimuli import Analogue


def lif(**changes: Any) -> IntegerLIF:
    """A neuron of Loihi without a current from step to step."""
    given = {"rule": RULES["loihi2"], "threshold": 64 * 20, "decay_u": 4096, "decay_v": 400} | changes
    return IntegerLIF(**given)


def dense(rng: np.random.Generator, n_in: int, n_out: int, kept: float = 1.0) -> Dense:
    weight = rng.integers(1, 12, (n_out, n_in)) * rng.choice([-1, 1, 1], (n_out, n_in))
    return Dense(weight=np.where(rng.random(weight.shape) < kept, weight, 0).astype(float))


def link(source: str, target: str, rule: LayerRule, delay: int = 1) -> Projection:
    return Projection(source=source, target=target, rule=rule, weight_mv=1.0, delay_ms=float(delay))


def image_network(seed: int = 0, **changes: Any) -> Network:
    """A map of 2 x 6 x 6, a convolution with stride and padding, a dense layer with a loop of delay 2."""
    rng = np.random.default_rng(seed)
    kernel = rng.integers(-5, 9, (3, 2, 3, 3)).astype(float)
    conv = Conv(weight=kernel, height=6, width=6, stride_h=2, stride_w=2, pad_top=1, pad_left=1)
    n = conv.sizes()[1]
    return Network(
        stimuli={"pixels": Analogue(n=72)},
        populations={
            "maps": Population(n=n, neuron=lif(**changes)),
            "out": Population(n=5, neuron=lif(bias=np.array([0, 0, 64, 0, 0]), **changes)),
        },
        projections={
            "conv": link("pixels", "maps", conv),
            "dense": link("maps", "out", dense(rng, n, 5)),
            "thin": link("maps", "maps", dense(rng, n, n, 0.1)),
            "loop": link("out", "out", dense(rng, 5, 5), 2),
        },
    )


def scattered(network: Network, n_cores: int, seed: int = 0) -> Mapping:
    """Each neuron on a core of its own choice; two cores a tile, three tiles a column."""
    rng = np.random.default_rng(seed)
    core_of = {name: rng.integers(0, n_cores, n) for name, n in network_sizes(network).items()}
    tile = np.arange(n_cores) // 2
    return Mapping(core_of, np.stack([tile // 3, tile % 3], axis=1))


def spikes(n_samples: int, n_steps: int, n: int, rate: float = 0.2, seed: int = 0) -> np.ndarray:
    """float64[n_samples, n_steps, n] of zeros and ones."""
    return (np.random.default_rng(seed).random((n_samples, n_steps, n)) < rate).astype(float)
