"""The networks of `snnsim bench`.

A benchmark is one entry of BENCHMARKS.  Its network comes from a function of `scale` and `precision` (and of
`background`, where there is a choice) in examples/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from snnsim.checks import check
from snnsim.errors import ConfigError, nearest
from snnsim.examples.brunel_10k import THEORY_HZ, brunel_10k
from snnsim.examples.coba import coba
from snnsim.examples.cuba import cuba
from snnsim.examples.microcircuit import MEAN_RATES_HZ, NAMES, microcircuit
from snnsim.examples.stdp_1m import stdp_1m
from snnsim.fields import Rule
from snnsim.network import Network

_PRECISION = Rule("choice", choices=("float32", "float64"))


@dataclass(frozen=True)
class Benchmark:
    """A network to measure.

    network       gives it, from scale and precision, and from background where `backgrounds` has names
    scales        smallest and largest scale
    tiny          a scale at which it has all kinds of parts and is built at once, to compile kernels with
    backgrounds   what `background` may be, the first without a choice
    reference_hz  rates to compare with, in words, by population
    """

    about: str
    network: Callable[..., Network]
    scales: tuple[float, float]
    tiny: float
    precision: str = "float32"
    backgrounds: tuple[str, ...] = ()
    reference_hz: Mapping[str, str] = field(default_factory=dict)
    duration_ms: float = 10_000.0
    warmup_ms: float = 500.0


_THEORY = f"{THEORY_HZ} (theory)"

BENCHMARKS: dict[str, Benchmark] = {
    "microcircuit": Benchmark(
        "Potjans and Diesmann 2014: 77,169 cells, 299 million synapses",
        microcircuit,
        scales=(0.01, 1.0),
        tiny=0.01,
        backgrounds=("poisson", "dc"),
        reference_hz={name: f"{rate:.3f}" for name, rate in zip(NAMES, MEAN_RATES_HZ, strict=True)},
    ),
    "cuba": Benchmark(
        "Vogels and Abbott 2005, current-based: 4,000 cells, 320,000 synapses, no input",
        cuba,
        scales=(0.1, 1000.0),
        tiny=0.1,
        precision="float64",
        reference_hz={"exc": "5.4 to 6.0", "inh": "5.5 to 5.7"},
    ),
    "coba": Benchmark(
        "Vogels and Abbott 2005, conductance-based: 4,000 cells, 320,000 synapses, no input",
        coba,
        scales=(0.1, 1000.0),
        tiny=0.1,
        precision="float64",
        reference_hz={"exc": "19 to 21", "inh": "19 to 20"},
    ),
    "brunel": Benchmark(
        "Brunel 2000 with 10,000 cells, 10 million delta synapses",
        brunel_10k,
        scales=(0.01, 100.0),
        tiny=0.01,
        reference_hz={"exc": _THEORY, "inh": _THEORY},
    ),
    "brunel-stdp": Benchmark(
        "the same, where the 6.4 million synapses between excitatory cells learn",
        partial(brunel_10k, plastic=True),
        scales=(0.01, 100.0),
        tiny=0.01,
    ),
    "stdp-1m": Benchmark(
        "a million Poisson sources, each with one plastic synapse onto one of 1,000 cells",
        stdp_1m,
        scales=(0.001, 20.0),
        tiny=0.001,
    ),
}


def find(name: str) -> Benchmark:
    """The benchmark of a name.  Raises ConfigError."""
    if name not in BENCHMARKS:
        raise ConfigError(
            "no such benchmark",
            where="benchmark",
            got=name,
            expected=f"one of {', '.join(BENCHMARKS)}",
            fix=nearest(name, BENCHMARKS),
        )
    return BENCHMARKS[name]


def benchmark_network(
    name: str, scale: float = 1.0, background: str | None = None, precision: str | None = None
) -> Network:
    """The network of a benchmark; without background or precision, its own.  Raises ConfigError."""
    chosen = find(name)
    low, high = chosen.scales
    scale = check(scale, Rule("number", low=low, high=high), "scale")
    precision = check(precision if precision is not None else chosen.precision, _PRECISION, "precision")
    options = {} if (which := background_of(name, background)) is None else {"background": which}
    return chosen.network(scale=scale, precision=precision, **options)


def background_of(name: str, background: str | None) -> str | None:
    """The background asked for, or the usual one; None where there is no choice.  Raises ConfigError."""
    known = find(name).backgrounds
    if background is None:
        return next(iter(known), None)
    if background not in known:
        raise ConfigError(
            "this benchmark has no such background",
            where="background",
            got=background,
            expected=f"one of {', '.join(known)}" if known else f"none: {name} has no choice of it",
        )
    return background
