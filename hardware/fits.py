"""Does a network fit a target: its limits, and, where a chip is placed in a way of its own, its placement.

How many axons RANC needs, or which shift the weights of Xylo share, is known when the network is placed.
"""

from __future__ import annotations

from collections.abc import Callable

from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.limits import Violation, check
from snnsim.hardware.tinyodin import TinyOdinChip
from snnsim.network import Network


def _xylo(network: Network) -> object:
    from snnsim.hardware.xylo_place import place_xylo

    return place_xylo(network)


def _ranc(network: Network) -> object:
    from snnsim.hardware.ranc_place import place_ranc

    return place_ranc(network)


def _tinyodin(network: Network) -> object:
    from snnsim.hardware.tinyodin_place import place_tinyodin

    return place_tinyodin(network)


PLACERS: dict[str, Callable[[Network], object]] = {"xylo": _xylo, "ranc": _ranc, "tinyodin": _tinyodin}
"""By target: what places a network on it, and raises TargetError where that cannot be done."""


def violations_of(network: Network, target: str) -> list[Violation]:
    """All limits that the network exceeds; where there are none, the first thing that has no place."""
    found = check(network, target)
    if found or target not in PLACERS:
        return found
    try:
        PLACERS[target](network)
    except TargetError as error:
        got = "" if error.got is None else error.got
        value = float(got) if isinstance(got, int | float) else str(got)
        return [
            Violation(error.where, error.problem, value, error.expected, error.fix, f"placement on {target}")
        ]
    return []


def realised(network: Network, target: str) -> Network | TinyOdinChip:
    """What does as the target does: the network, but a core where spikes are answered one at a time."""
    if target != "tinyodin":
        return network
    chip = PLACERS[target](network)
    if not isinstance(chip, TinyOdinChip):
        raise ConfigError("not a chip of tinyODIN", where="target", got=type(chip).__name__)
    return chip
