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
    """List all that a config file can hold: tables, models, rules, stimuli, ways to give values.

    With a name: its equations, and every key with type, unit, range and default.

    \b
    Examples:
      snnsim models
      snnsim models config
      snnsim models LIF
      snnsim models stdp --json
    """
    known = catalogue()
    if name is None:
        return Reply({"groups": {group: _entries(kinds) for group, kinds in known.items()}}, _list(known))
    for group, kinds in known.items():
        for kind, cls in kinds.items():
            if _plain_name(name) in (_plain_name(kind), _plain_name(cls.__name__)):
                entry = entry_of(kind, cls)
                return Reply({"group": group, **entry}, _page(group, entry, cls.KIND))
    every = [kind for kinds in known.values() for kind in kinds]
    raise Usage("no such model", where="snnsim models", got=name, fix=nearest(name, every))


def catalogue() -> dict[str, dict[str, type[Spec]]]:
    """Group -> kind -> description class."""
    from snnsim.arrayfile import ArrayFile
    from snnsim.classify import Classify
    from snnsim.config import Document, Run
    from snnsim.connectivity import RULES
    from snnsim.distributions import DISTRIBUTIONS
    from snnsim.integer_neurons import INTEGER_NEURONS, IntegerRule
    from snnsim.layer_neurons import LAYER_NEURONS
    from snnsim.layers import LAYER_RULES
    from snnsim.models import NEURONS, SYNAPSES, AdaptiveThreshold
    from snnsim.plasticity import STDP, Normalisation
    from snnsim.population import Population
    from snnsim.probe import Probe
    from snnsim.projection import Projection
    from snnsim.stimuli import STIMULI, Phase

    groups: dict[str, tuple[type[Spec], ...]] = {
        "tables": (Document, Run, Population, Projection, Probe, Phase, Classify),
        "neurons": NEURONS,
        "synapses": SYNAPSES,
        "thresholds": (AdaptiveThreshold,),
        "connection rules": RULES,
        "layered networks": (*LAYER_NEURONS, *LAYER_RULES),
        "integer networks": (*INTEGER_NEURONS, IntegerRule),
        "learning rules": (STDP, Normalisation),
        "stimuli": STIMULI,
        "values": (_values_page(), *DISTRIBUTIONS, ArrayFile),
    }
    return {group: {_kind(cls): cls for cls in classes} for group, classes in groups.items()}


def _values_page() -> type[Spec]:
    from snnsim.spec import Spec

    class Values(Spec):
        """How to give a key of type "values": a number, a list, a distribution or a file.

        a number        tau_m_ms = 20.0                                                 the same for all
        a list          tau_m_ms = [20.0, 21.0, 19.5]                                   one each
        a distribution  tau_m_ms = { kind = "normal", mean = 20.0, std = 1.0, low = 5.0 }
        a file          tau_m_ms = { file = "net.npz", array = "tau" }                  one each

        One each means: for each neuron of a population, each source of a stimulus, and, for weights and
        delays of a rule of kind arrays, each connection.  Keys of type "list" and "indices" take a list or
        a file.  Files are made with numpy.savez and lie beside the config.
        """

    return Values


_TABLES = {
    "Document": "config",
    "Classify": "task",
    "ArrayFile": "file",
}  # by the name of the table, where that is another


def _kind(cls: type[Spec]) -> str:
    """The word of a config file, or the class's name in snake case where none is needed there."""
    if cls.__name__ in _TABLES:
        return _TABLES[cls.__name__]
    return cls.KIND or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


def _plain_name(name: str) -> str:
    """A kind and the name of its class become the same word."""
    return name.lower().replace("_", "")


def _entries(kinds: dict[str, type[Spec]]) -> list[dict[str, Any]]:
    return [entry_of(name, cls) for name, cls in kinds.items()]


def entry_of(name: str, cls: type[Spec]) -> dict[str, Any]:
    """A description class as plain data: kind, doc, and parameters."""
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
    if rule.low == rule.high:
        return f"{rule.low:g}"
    return rule.range_text().removeprefix("in ").removesuffix(rule.unit).strip()


_TYPES = {
    "integer": "whole number",
    "flag": "true or false",
    "choice": "word",
    "array": "list",
    "record": "table",
    "records": "list of tables",
    "table": "named tables",
}


def _list(known: dict[str, dict[str, type[Spec]]]) -> str:
    blocks = []
    width = max(len(name) for kinds in known.values() for name in kinds)
    for group, kinds in known.items():
        lines = [f"  {name:<{width}}  {(cls.__doc__ or '').splitlines()[0]}" for name, cls in kinds.items()]
        blocks.append("\n".join([group, *lines]))
    return "\n\n".join([*blocks, "Keys of one: snnsim models NAME"])


def rows_of(entry: dict[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    """One row a key: name, type, unit, range, default, meaning."""
    return [
        (
            p["name"],
            _TYPES.get(p["type"], p["type"]),
            p["unit"],
            p["range"],
            "required" if p["required"] else _default(p["default"]),
            p["help"],
        )
        for p in entry["parameters"]
    ]


def _page(group: str, entry: dict[str, Any], word: str) -> str:
    parts = [f"{entry['kind']} ({group})", entry["doc"]]
    if word:
        parts.append(f'in a config file: kind = "{word}"')
    if rows := rows_of(entry):
        parts.append(columns(rows, ("key", "type", "unit", "range", "default", "")))
        if any(p["type"] == "values" for p in entry["parameters"]):
            parts.append("Type values: a number, a list, a distribution or a file; see snnsim models values.")
    elif entry["kind"] != "values":
        parts.append("no keys")
    return "\n\n".join(parts)


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return str(value.get("kind") or value.get("name") or "none")
    if isinstance(value, list):
        return f"[{', '.join(_default(item) for item in value)}]"
    return str(value)
