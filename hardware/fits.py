"""Does a network fit a target: its limits, and, where a chip is placed in a way of its own, its placement.

How many axons RANC needs, or which shift the weights of Xylo share, is known when the network is placed.
"""

from __future__ import annotations

from collections.abc import Callable

from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.limits import Violation, check
from snnsim.hardware.number_format import FORMATS
from snnsim.hardware.tinyodin import TinyOdinChip
from snnsim.integer_neurons import IntegerLIF
from snnsim.integer_rule import IntegerRule
from snnsim.network import Network
from snnsim.spec import rules


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
    found = check(network, target) + _alien(network, target)
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


def _alien(network: Network, target: str) -> list[Violation]:
    """Neurons that compute as another chip does.  Resets, and whether there is a current, are theirs."""
    found = []
    form = FORMATS.get(target)
    for name, population in network.populations.items() if form is not None else ():
        unit = population.unit
        if form is None or not isinstance(unit, IntegerLIF):
            continue
        free = {"most", "synapse"} | ({"reset"} if unit.rule.reset in form.resets else set())
        other = sorted(
            key for key in rules(IntegerRule).keys() - free
            if getattr(unit.rule, key) != getattr(form.rule, key)
        )  # fmt: skip
        if other:
            got, own = (
                ", ".join(f"{key} {getattr(rule, key)}" for key in other) for rule in (unit.rule, form.rule)
            )
            fix = f'give its neurons RULES["{target}"], or quantise a float network'
            found.append(Violation(f"populations.{name}", "rule", got, own, fix, "snn/integer_rule.py"))
    return found


def realised(network: Network, target: str) -> Network | TinyOdinChip:
    """What does as the target does: the network, but a core where spikes are answered one at a time."""
    if target != "tinyodin":
        return network
    chip = PLACERS[target](network)
    if not isinstance(chip, TinyOdinChip):
        raise ConfigError("not a chip of tinyODIN", where="target", got=type(chip).__name__)
    return chip
