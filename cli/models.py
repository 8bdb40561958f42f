"""`snnsim models`: what a network can be made of, straight from the declarations in snn/."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, Usage, columns
from snnsim.errors import nearest

if TYPE_CHECKING:
    from snnsim.fields import Rule
    from snnsim.spec import Spec


def _complete(incomplete: str) -> list[str]:
    return [name for kinds in catalogue().values() for name in kinds if name.startswith(incomplete)]


def models(
    name: Annotated[
        str | None,
        typer.Argument(help="A kind, such as lif; without: the list of all.", autocompletion=_complete),
    ] = None,
    json: Json = False,
) -> Reply:
    """List neuron models, synapses, connection rules, stimuli and learning rules.

    With a name: its equations, and every parameter with unit, range and default.

    \b
    Examples:
      snnsim models
      snnsim models lif
      snnsim models stdp --json
    """
    known = catalogue()
    if name is None:
        return Reply({"groups": {group: _entries(kinds) for group, kinds in known.items()}}, _list(known))
    for group, kinds in known.items():
        if name in kinds:
            entry = _entry(name, kinds[name])
            return Reply({"group": group, **entry}, _page(group, entry))
    every = [kind for kinds in known.values() for kind in kinds]
    raise Usage("no such model", where="snnsim models", got=name, fix=nearest(name, every))


def catalogue() -> dict[str, dict[str, type[Spec]]]:
    """Group -> kind -> description class."""
    from snnsim.connectivity import RULES
    from snnsim.distributions import DISTRIBUTIONS
    from snnsim.models import NEURONS, AdaptiveThreshold, Delta, Exponential
    from snnsim.network import Population, Probe, Projection
    from snnsim.plasticity import STDP, Normalisation
    from snnsim.stimuli import STIMULI, Phase

    groups: dict[str, tuple[type[Spec], ...]] = {
        "neurons": NEURONS,
        "synapses": (Delta, Exponential),
        "thresholds": (AdaptiveThreshold,),
        "connection rules": RULES,
        "learning rules": (STDP, Normalisation),
        "stimuli": STIMULI,
        "distributions": DISTRIBUTIONS,
        "tables": (Population, Projection, Probe, Phase),
    }
    return {group: {_kind(cls): cls for cls in classes} for group, classes in groups.items()}


def _kind(cls: type[Spec]) -> str:
    """The word of a config file, or the class's name in snake case where none is needed there."""
    return cls.KIND or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


def _entries(kinds: dict[str, type[Spec]]) -> list[dict[str, Any]]:
    return [_entry(name, cls) for name, cls in kinds.items()]


def _entry(name: str, cls: type[Spec]) -> dict[str, Any]:
    from snnsim.mapping import to_mapping
    from snnsim.spec import defaults, rules

    optional = defaults(cls)
    parameters = []
    for key, rule in rules(cls).items():
        default = optional.get(key)
        parameters.append({
            "name": key,
            "type": rule.kind,
            "unit": rule.unit,
            "range": _range(rule),
            "low": rule.low,
            "above": rule.above,
            "high": rule.high,
            "choices": list(rule.choices),
            "kinds": [_kind(t) for t in rule.types],
            "required": key not in optional,
            "default": _plain_default(default, to_mapping),
            "help": rule.help,
        })  # fmt: skip
    return {"kind": name, "doc": inspect.cleandoc(cls.__doc__ or ""), "parameters": parameters}


def _plain_default(value: Any, to_mapping: Any) -> Any:
    """A default as a config file would hold it."""
    if isinstance(value, tuple):
        return [_plain_default(item, to_mapping) for item in value]
    return to_mapping(value) if hasattr(value, "check_together") else value


def _range(rule: Rule) -> str:
    if rule.choices:
        return " | ".join(rule.choices)
    if rule.types:
        return " | ".join(_kind(t) for t in rule.types)
    return rule.range_text().removeprefix("in ").removesuffix(rule.unit).strip()


def _list(known: dict[str, dict[str, type[Spec]]]) -> str:
    blocks = []
    width = max(len(name) for kinds in known.values() for name in kinds)
    for group, kinds in known.items():
        lines = [f"  {name:<{width}}  {(cls.__doc__ or '').splitlines()[0]}" for name, cls in kinds.items()]
        blocks.append("\n".join([group, *lines]))
    return "\n\n".join([*blocks, "Parameters of one: snnsim models NAME"])


def _page(group: str, entry: dict[str, Any]) -> str:
    rows = [
        (p["name"], p["unit"], p["range"], "required" if p["required"] else _default(p["default"]), p["help"])
        for p in entry["parameters"]
    ]
    table = columns(rows, ("parameter", "unit", "range", "default", "")) if rows else "no parameters"
    return f"{entry['kind']} ({group})\n\n{entry['doc']}\n\n{table}"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return str(value.get("kind") or value.get("name") or "")
    if isinstance(value, list):
        return f"[{', '.join(_default(item) for item in value)}]"
    return str(value)
