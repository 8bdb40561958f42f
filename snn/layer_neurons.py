"""Units of layered networks: what a converted network consists of beside plain integrate-and-fire neurons.

Events carry amounts: 1 for a spike, several for a burst, -1 for a spike that is taken back.  In every step,
with z the sum of what arrives and the bias:

    burst_if    v <- v + z;  s = clip(floor(v / v_th), 0, most);  v <- v - s v_th;  emits s
    signed_if   the same with s = clip(floor(v / v_th), -min(most, S), min(most, levels - S)), S <- S + s
    relay       emits z
    maximum     emits by how much the largest of the sums in its window has changed
    readout     v <- v + z;  emits nothing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnsim.checks import COUNT_LIMIT
from snnsim.distributions import Values
from snnsim.fields import integer, values
from snnsim.models import Delta, Synapse
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNeuron(Spec):
    """Base of the units that snn/batch.py alone runs."""

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


LAYER_NEURONS: tuple[type[LayerNeuron], ...] = (BurstIF, SignedIF, Relay, Maximum, Readout)
