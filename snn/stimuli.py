"""Input from outside: sources of spikes, and drives that act on a population directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.distributions import Values
from snnsim.errors import ConfigError
from snnsim.fields import array, choice, flag, indices, integer, number, records, text, values
from snnsim.spec import Spec
from snnsim.weights import check_weight


@dataclass(frozen=True, eq=False, kw_only=True)
class Stimulus(Spec):
    """Base of all stimuli."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikeSource(Stimulus):
    """Base of the stimuli that emit spikes; projections may start from them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Poisson(SpikeSource):
    """`n` independent Poisson sources; in each step a source fires with probability rate dt."""

    KIND = "poisson"
    n: int = integer(low=1, high=COUNT_LIMIT, help="number of sources")
    rate_hz: Values = values(unit="Hz", low=0.0, help="rate of each source, at most 1 / dt")
    start_ms: float = number(0.0, unit="ms", low=0.0, help="silent before")
    stop_ms: float | None = number(None, unit="ms", low=0.0, help="silent from here on; without: never")


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikeTrains(SpikeSource):
    """Spikes as given: source ids[k] fires at times_ms[k], a multiple of dt."""

    KIND = "spike_trains"
    n: int = integer(low=1, high=COUNT_LIMIT, help="number of sources")
    times_ms: np.ndarray = array(unit="ms", low=0.0, help="time of each spike")
    ids: np.ndarray = indices(help="source of each spike")

    def check_together(self, where: str) -> None:
        if self.times_ms.ndim != 1 or len(self.times_ms) != len(self.ids):
            raise ConfigError(
                "times and ids differ in length",
                where=f"{where}.ids",
                got=len(self.ids),
                expected=f"{self.times_ms.size} indices",
            )
        if self.ids.size and int(self.ids.max()) >= self.n:
            raise ConfigError(
                "no such source", where=f"{where}.ids", got=int(self.ids.max()), expected=f"0 to {self.n - 1}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Analogue(SpikeSource):
    """`n` inputs of a layered network, whose values are given when it is run."""

    KIND = "analogue"
    n: int = integer(low=1, high=COUNT_LIMIT, help="number of inputs")


@dataclass(frozen=True, eq=False, kw_only=True)
class Phase(Spec):
    """A pass over a part of the images.

    In the order of the data set, or shuffled anew (from the seed) in every repetition.  Learning rules,
    normalisation and adaptive thresholds act only in phases with learning = true.
    """

    name: str = text(help="what to call it in reports")
    split: str = choice("train", "test", "all", default="all", help="which images")
    repeats: int = integer(1, low=1, high=10_000, help="passes over them")
    learning: bool = flag(False, help="do learning rules act")
    shuffle: bool = flag(False, help="a new order in each pass")


@dataclass(frozen=True, eq=False, kw_only=True)
class Images(SpikeSource):
    """Images shown one after the other, each for present_ms and followed by rest_ms of silence.

    One source a pixel (delta coding: two, first all ON, then all OFF).  With pixel values in [0, 1]:

        rate      Poisson, rate = max_rate_hz * value
        latency   one spike, (1 - value) * (present - dt) after the image appears; none below `threshold`
        delta     an ON (OFF) spike when the image appears, where it is brighter (darker) by at least
                  `threshold` than the image before (the first one: than black)

    `normalise` scales each image to the same sum of pixel values before coding (rate coding of a faint
    image then is as strong as that of a bold one); max_rate_hz then belongs to the mean of that sum.
    """

    KIND = "images"
    dataset: str | None = text(
        None, help='data set by name: "digits" (bundled), "mnist", "fashion-mnist" with --data'
    )
    images: np.ndarray | None = array(
        None, low=0.0, high=1.0, help="images themselves, one row each, instead of a data set"
    )
    test_fraction: float | None = number(
        None,
        low=0.0,
        high=0.95,
        help="part of each class held out as split = test; without: the data set's own test images, or 0.3",
    )
    split_seed: int = integer(0, low=0, high=2**31, help="seed of the division into train and test")
    phases: tuple[Phase, ...] = records(Phase, default=(Phase(name="show"),), help="what is shown")
    coding: str = choice("rate", "latency", "delta", default="rate", help="how a pixel becomes spikes")
    max_rate_hz: float = number(63.75, unit="Hz", above=0.0, help="rate of a white pixel (rate coding)")
    threshold: float = number(
        0.1, low=0.0, high=1.0, help="smallest value (latency) or change (delta) that fires"
    )
    normalise: bool = flag(False, help="scale every image to the same sum")
    present_ms: float = number(unit="ms", above=0.0, help="how long an image is shown, a multiple of dt")
    rest_ms: float = number(0.0, unit="ms", low=0.0, help="silence after an image, a multiple of dt")

    @property
    def n_sources(self) -> int | None:
        """Number of sources; None where it is known only with the data set."""
        if self.images is None:
            return None
        return self.images.shape[-1] * (2 if self.coding == "delta" else 1)

    def check_together(self, where: str) -> None:
        if (self.dataset is None) == (self.images is None):
            raise ConfigError(
                "give either dataset or images",
                where=f"{where}.dataset",
                got=self.dataset,
                expected="exactly one of them",
            )
        if not self.phases:
            raise ConfigError(
                "no phases", where=f"{where}.phases", expected="at least one", fix="add a phase"
            )
        seen: set[str] = set()
        for k, phase in enumerate(self.phases):
            if phase.name in seen:
                raise ConfigError(
                    "two phases have the same name",
                    where=f"{where}.phases[{k}].name",
                    got=phase.name,
                    expected="a name of its own",
                )
            seen.add(phase.name)


@dataclass(frozen=True, eq=False, kw_only=True)
class PoissonDrive(Stimulus):
    """Each target neuron gets the sum of `n_inputs` independent Poisson trains of its own.

    In each step the number of arriving spikes is Poisson(n_inputs rate dt), all with the same weight.
    """

    KIND = "poisson_drive"
    target: str = text(help="population that is driven")
    n_inputs: int = integer(1, low=1, high=COUNT_LIMIT, help="trains summed for each neuron")
    rate_hz: Values = values(unit="Hz", low=0.0, help="rate of one train")
    weight_pa: float | None = number(None, unit="pA", help="jump of the current (exponential synapses)")
    weight_mv: float | None = number(None, unit="mV", help="jump of the potential (delta synapses)")
    weight_ns: float | None = number(
        None, unit="nS", low=0.0, help="jump of the conductance (conductance synapses); needs receptor"
    )
    receptor: str | None = choice(
        "exc",
        "inh",
        default=None,
        help="which current or conductance the spikes add to; without: by the sign of the weight",
    )
    start_ms: float = number(0.0, unit="ms", low=0.0, help="silent before")
    stop_ms: float | None = number(None, unit="ms", low=0.0, help="silent from here on; without: never")

    def check_together(self, where: str) -> None:
        check_weight(self, where)


@dataclass(frozen=True, eq=False, kw_only=True)
class Current(Stimulus):
    """A current into every neuron of the target that is constant between given times.

    amplitude_pa[k] flows from times_ms[k] until times_ms[k + 1]; nothing before times_ms[0].  A row of
    amplitudes for each time gives every neuron its own.
    """

    KIND = "current"
    target: str = text(help="population that is driven")
    amplitude_pa: np.ndarray = array(unit="pA", help="one value for each time, or one row of values")
    times_ms: np.ndarray = array((0.0,), unit="ms", low=0.0, help="ascending, multiples of dt")

    def check_together(self, where: str) -> None:
        if self.times_ms.ndim != 1 or len(self.times_ms) != len(self.amplitude_pa):
            raise ConfigError(
                "times and amplitudes differ in length",
                where=f"{where}.times_ms",
                got=len(self.times_ms),
                expected=f"{len(self.amplitude_pa)} times",
            )
        if np.any(np.diff(self.times_ms) <= 0):
            raise ConfigError(
                "times must ascend", where=f"{where}.times_ms", expected="each later than the one before"
            )


STIMULI: tuple[type[Stimulus], ...] = (Poisson, SpikeTrains, Images, Analogue, PoissonDrive, Current)
