"""Weights are given in the unit of what they change: a potential, a current or a conductance.

The key says the unit; the synapses of the target decide which key it must be, and which receptors there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnsim.errors import ConfigError
from snnsim.models import Delta, Synapse

if TYPE_CHECKING:
    from snnsim.projection import Projection
    from snnsim.stimuli import PoissonDrive

UNITS = {"weight_pa": "pA", "weight_mv": "mV", "weight_ns": "nS"}


def weight_key(giver: Projection | PoissonDrive) -> str:
    """The key by which the weight was given."""
    return next((key for key in UNITS if getattr(giver, key) is not None), "weight_pa")


def weight_of(giver: Projection | PoissonDrive) -> Any:
    """The weight, whatever its unit."""
    return getattr(giver, weight_key(giver))


def weight_unit(giver: Projection | PoissonDrive) -> str:
    """The unit of the weight."""
    return UNITS[weight_key(giver)]


def check_weight(giver: Projection | PoissonDrive, where: str) -> None:
    """ConfigError unless there is exactly one weight, and of a conductance also the receptor."""
    given = [key for key in UNITS if getattr(giver, key) is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{' and '.join(given)} exclude each other" if given else "a key is missing",
            where=f"{where}.{given[1] if given else 'weight_pa'}",
            got="both" if given else None,
            expected=f"exactly one of {', '.join(UNITS)}",
            code="config.invalid" if given else "config.missing_key",
        )
    if given == ["weight_ns"] and giver.receptor is None:
        raise ConfigError(
            "a key is missing: a conductance has no sign that could tell excitation from inhibition",
            where=f"{where}.receptor",
            expected='"exc" or "inh"',
            fix='add receptor = "exc" or receptor = "inh"',
            code="config.missing_key",
        )


def check_target(giver: Projection | PoissonDrive, synapse: Synapse, where: str) -> None:
    """ConfigError unless unit and receptor are such as the synapses of the target have."""
    key, target = weight_key(giver), giver.target
    if key != synapse.weight_key:
        raise ConfigError(
            f"{target} has {synapse.KIND} synapses",
            where=f"{where}.{key}",
            got=key,
            expected=synapse.weight_key + (" and receptor" if synapse.weight_key == "weight_ns" else ""),
            fix=f"give {synapse.weight_key}, or change the synapse of {target}",
        )
    if giver.receptor is not None and synapse.n_currents == 1:
        delta = isinstance(synapse, Delta)
        raise ConfigError(
            "delta synapses have no receptors" if delta else "all spikes add to one current",
            where=f"{where}.receptor",
            got=giver.receptor,
            fix="remove receptor" if delta else f"remove receptor, or give {target} a tau_inh_ms",
        )
