"""Units of layered networks: what a converted network consists of beside plain integrate-and-fire neurons.

Events carry amounts: 1 for a spike, several for a burst, -1 for a spike that is taken back.  In every step,
with z the sum of what arrives and the bias:

    burst_if    v <- v + z;  s = clip(floor(v / v_th), 0, most);  v <- v - s v_th;  emits s
    signed_if   the same with s = clip(floor(v / v_th), -min(most, S), min(most, levels - S)), S <- S + s
    relay       emits z
    maximum     emits by how much the largest of the sums in its window has changed
    readout     v <- v + z;  emits nothing

and, for units that only listen until a window of theirs begins:

    few_spike            in its step k = 1, 2, ..., h = 2^-k alpha:  where v >= h, v <- v - h;  emits 2^-k
    time_to_first_spike  emits once, when v reaches what is left of the window; the amount is that time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnsim.checks import COUNT_LIMIT
from snnsim.distributions import Values
from snnsim.fields import flag, integer, values
from snnsim.models import Delta, Synapse
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNeuron(Spec):
    """Base of the units that run in batches: `Simulator(network, batch=...)`."""

    synapse: ClassVar[Synapse] = Delta()
    threshold: ClassVar[None] = None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Biased(LayerNeuron):
    bias_mv: Values = values(0.0, unit="mV", help="added in each step that has a bias")
    bias_steps: int | None = integer(
        None, low=0, high=COUNT_LIMIT, help="how many steps from the start have one; without: all"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Firing(_Biased):
    v_th_mv: Values = values(unit="mV", above=0.0, help="threshold")
    v_init_mv: Values = values(0.0, unit="mV", help="potential at the start")


@dataclass(frozen=True, eq=False, kw_only=True)
class BurstIF(_Firing):
    """Integrate-and-fire with reset by subtraction and up to `most` spikes in a step."""

    KIND = "burst_if"
    most: int = integer(1, low=1, high=COUNT_LIMIT, help="spikes in a step, at most")


@dataclass(frozen=True, eq=False, kw_only=True)
class SignedIF(_Firing):
    """Integrate-and-fire with a memory of its spikes, which it can take back.

    When nothing arrives any more, S = clip(floor((v_init + sum of z) / v_th), 0, levels), for any order of z.
    """

    KIND = "signed_if"
    levels: int = integer(low=1, high=2**30, help="spikes in all, at most")
    most: int = integer(1, low=1, high=2**30, help="spikes in a step, at most")


@dataclass(frozen=True, eq=False, kw_only=True)
class Relay(LayerNeuron):
    """Passes on what arrives, in the same step; no memory."""

    KIND = "relay"


@dataclass(frozen=True, eq=False, kw_only=True)
class Maximum(LayerNeuron):
    """Max pooling: the target of one max_pool projection."""

    KIND = "maximum"


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout(_Biased):
    """Adds up what arrives, and emits nothing."""

    KIND = "readout"
    v_init_mv: Values = values(0.0, unit="mV", help="potential at the start")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Windowed(LayerNeuron):
    v_init_mv: Values = values(0.0, unit="mV", help="potential at the start")
    bias_mv: Values = values(0.0, unit="mV", help="added in the first step")
    begin: int = integer(low=0, high=COUNT_LIMIT, help="first step of the window; before, it only listens")
    window: int = integer(low=1, high=COUNT_LIMIT, help="steps of the window")


@dataclass(frozen=True, eq=False, kw_only=True)
class FewSpike(_Windowed):
    """A value as the bits of a number, most significant first: a spike in step k is worth 2^-k alpha.

    The amounts of a unit add up to relu(v) / alpha, rounded down to a multiple of 2^-window and cut at
    1 - 2^-window.  Source: Stoeckl & Maass 2021.
    """

    KIND = "few_spike"
    alpha_mv: Values = values(unit="mV", above=0.0, help="where values are cut")


@dataclass(frozen=True, eq=False, kw_only=True)
class TimeToFirstSpike(_Windowed):
    """A value as the time of one spike: the larger the earlier, and none at all for v <= 0.

    The potential stands still within the window while the threshold comes down, one resolution in each step,
    and is 0 at the end of the window; or, what is the same, it rises and the threshold stands still.
    The amount of the spike is the time from it to the end of the window, in steps: v / resolution, `window`
    at most; rounded down unless spikes are `continuous`, that is bound to no step; from a start of half a
    resolution, rounded to the nearest.
    Source: Stanojevic et al. 2024, "B1".
    """

    KIND = "time_to_first_spike"
    resolution_mv: Values = values(unit="mV", above=0.0, help="what one step stands for")
    continuous: bool = flag(False, help="may spikes lie between steps")


LAYER_NEURONS: tuple[type[LayerNeuron], ...] = (
    BurstIF, SignedIF, Relay, Maximum, Readout, FewSpike, TimeToFirstSpike,
)  # fmt: skip
