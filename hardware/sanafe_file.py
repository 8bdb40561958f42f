"""An integer network and its mapping as a description that SANA-FE loads, beside its own file of Loihi.

SANA-FE computes potentials in multiples of 1/64 as floating-point numbers.  One unit of our potential is
1/64 there, so decays of the potential are rounded the same way, and its spikes are ours, wherever a current
is forgotten (decay_u = 4096) or kept whole (0) from one step to the next.  Between the two SANA-FE does not
round the current, and a spike can differ now and then: `write_sanafe` says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Mapping as Table
from pathlib import Path

import numpy as np

from snnsim.atomic import write_text
from snnsim.errors import TargetError
from snnsim.hardware.activity import Wires, wires
from snnsim.hardware.mapping import Mapping, network_sizes, with_inputs
from snnsim.hardware.spike_trains import spike_train
from snnsim.integer_neurons import IntegerLIF
from snnsim.network import Network

WIDTH, HEIGHT, CORES_PER_TILE, NEURONS_PER_CORE = 8, 4, 4, 1024  # of arch/loihi.yaml
_UNIT = 64.0  # of our potentials in one of SANA-FE's
_BELOW = 2.0**-40  # a threshold that is reached is one that is passed from so far below
_SYNAPSES = {"dense": "loihi_dense_synapse", "sparse": "loihi_sparse_synapse", "conv": "loihi_conv_synapse"}


def write_sanafe(
    path: Path | str, network: Network, mapping: Mapping, inputs: Table[str, np.ndarray], *,
    encoding: Table[str, str] | None = None,
) -> bool:  # fmt: skip
    """Write a network, its mapping and the spikes of its inputs for SANA-FE's `load_net`.

    inputs    [n_steps, n] of zeros and ones by input: one sample
    encoding  as for `wires`
    Inputs that the mapping does not have are put on free cores: SANA-FE has nothing beside the chip.
    Returns whether SANA-FE's spikes are ours, step for step; if not, currents are rounded differently.
    Raises TargetError for what its Loihi or this format does not have.
    """
    mapping.check(network)
    mapping = with_inputs(
        network, mapping, width=WIDTH, height=HEIGHT, cores_per_tile=CORES_PER_TILE, per_core=NEURONS_PER_CORE
    )
    table = wires(network, encoding)
    lines = ["network:", "  name: snnsim", "  groups:"]
    for name, n in network_sizes(network).items():
        lines += [f"    - name: {_group(name)}", "      neurons:"]
        if name in network.populations:
            lines += _neurons(network.populations[name].unit, n, f"populations.{name}.neuron")
        else:
            lines += _trains(inputs, name, n)
    lines.append("  edges:")
    for link, p in network.projections.items():
        shift = _shift(network.populations[p.target].unit)
        lines += _edges(p.source, p.target, table, link, shift)
    lines.append("mappings:")
    lines += _mappings(network, mapping, table)
    write_text(path, "\n".join(lines) + "\n")
    return all(_exact(population.unit) for population in network.populations.values())


def _group(name: str) -> str:
    """No word that means something to YAML."""
    return f"n_{name}"


def _neurons(unit: object, n: int, where: str) -> Iterator[str]:
    """One line for each run of equal neurons."""
    if not isinstance(unit, IntegerLIF):
        kind = getattr(unit, "KIND", type(unit).__name__)
        raise TargetError(
            "SANA-FE's Loihi has no such neuron", where=where, got=kind, expected=IntegerLIF.KIND
        )
    _check(unit, where)
    rule = unit.rule
    columns = {
        "threshold": _numbers(unit.threshold, n) / _UNIT - (0.0 if rule.compare == "above" else _BELOW),
        "bias": _numbers(unit.bias, n) / _UNIT,
        "leak_decay": 1.0 - _numbers(unit.decay_v, n) / 4096.0,
        "input_decay": 1.0 - _numbers(_decay_u(unit), n) / 4096.0,
        "reset": _numbers(unit.v_reset if rule.reset == "value" else 0, n) / _UNIT,
        "potential": _numbers(unit.v_init, n) / _UNIT,
        # The step of the spike is one of SANA-FE's, but none of ours.
        "refractory_delay": _numbers(unit.refractory, n) + 1,
    }
    mode = "soft" if rule.reset == "subtract" else "hard"
    rows = np.stack(list(columns.values()), axis=1)
    change = np.flatnonzero(np.any(rows[1:] != rows[:-1], axis=1)) + 1
    for begin, end in itertools.pairwise([0, *change.tolist(), n]):
        words = [f"{key}: {_plain(value)}" for key, value in zip(columns, rows[begin], strict=True)]
        yield f"        - {begin}..{end - 1}: {{{', '.join([*words, f'reset_mode: {mode}'])}}}"


def _decay_u(unit: IntegerLIF) -> object:
    return unit.decay_u if unit.rule.synapse == "current" else 4096


def _numbers(value: object, n: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, np.float64), (n,))


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _exact(unit: object) -> bool:
    return not isinstance(unit, IntegerLIF) or bool(np.isin(np.asarray(_decay_u(unit)), (0, 4096)).all())


def _check(unit: IntegerLIF, where: str) -> None:
    rule = unit.rule
    held = np.any(np.asarray(unit.refractory) > 0)
    forgets = bool(np.all(np.asarray(_decay_u(unit)) == 4096))
    leaks = bool(np.any(np.asarray(unit.decay_v)))
    faults = (
        (rule.decay != "fraction", "rule.decay", rule.decay, "fraction"),
        (rule.rounding != "to_zero" and leaks, "rule.rounding", rule.rounding, "to_zero"),
        (rule.order != "decay_first" and not forgets, "rule.order", rule.order, "decay_first"),
        (rule.most != 1, "rule.most", rule.most, "1"),
        (rule.input_shift < 0, "rule.input_shift", rule.input_shift, ">= 0"),
        (unit.decay_u2 is not None, "decay_u2", "a second current", "one current"),
        (bool(np.any(np.asarray(unit.u_init))), "u_init", "a current at the start", "0"),
        (bool(np.any(np.asarray(unit.v_init))) and leaks, "v_init", "it decays", "0, or decay_v = 0"),
        (bool(held) and not forgets, "refractory", "with a current", "0, or decay_u = 4096"),
        (bool(held) and rule.reset != "zero" and leaks, "rule.reset", rule.reset, "zero, or decay_v = 0"),
    )
    for wrong, name, got, expected in faults:
        if wrong:
            raise TargetError(
                "SANA-FE's Loihi neuron cannot do this", where=f"{where}.{name}", got=got, expected=expected
            )


def _trains(inputs: Table[str, np.ndarray], name: str, n: int) -> Iterator[str]:
    train = spike_train(inputs, name, n, "SANA-FE's Loihi")
    for unit in range(n):
        spikes = ", ".join("1" if value else "0" for value in train[:, unit])
        yield f"        - {unit}: {{spikes: [{spikes}]}}"


def _edges(source: str, target: str, table: Wires, link: str, shift: int) -> Iterator[str]:
    if table.delay[link] != 1:
        raise TargetError(
            "SANA-FE's Loihi delivers every spike in the next step", where=f"projections.{link}.delay_ms",
            got=table.delay[link], expected="1",
        )  # fmt: skip
    found = table.synapses[link]
    weights = (found.weight * 2.0**shift / _UNIT).tolist()
    for s, t, w in zip(found.source.tolist(), found.target.tolist(), weights, strict=True):
        yield f"    - {_group(source)}.{s} -> {_group(target)}.{t}: {{weight: {_plain(w)}}}"


def _shift(unit: object) -> int:
    return unit.rule.input_shift if isinstance(unit, IntegerLIF) else 0


def _mappings(network: Network, mapping: Mapping, table: Wires) -> Iterator[str]:
    address, occupied = _addresses(mapping), np.zeros(mapping.n_cores, np.int64)
    for name in network_sizes(network):
        words = {
            table.encoding[link] for link, p in network.projections.items() if p.target == name
        }  # fmt: skip
        if len(words) > 1:
            raise TargetError(
                "SANA-FE stores all synapses of a neuron in one encoding", where=f"populations.{name}",
                got=", ".join(sorted(words)), fix="give encoding for the projections that end here",
            )  # fmt: skip
        synapse = f", synapse: {_SYNAPSES[words.pop()]}" if words else ""
        for unit, core in enumerate(np.asarray(mapping.core_of[name]).tolist()):
            soma = "loihi_lif" if name in network.populations else f"loihi_inputs[{occupied[core]}]"
            yield f'  - {_group(name)}.{unit}: {{core: {address[core]}, soma: "{soma}"{synapse}}}'
            occupied[core] += 1
    if occupied.max(initial=0) > NEURONS_PER_CORE:
        core = int(occupied.argmax())
        raise TargetError(
            "more neurons than a core of Loihi holds", where=f"core {core}", got=int(occupied[core]),
            expected=f"at most {NEURONS_PER_CORE}",
        )  # fmt: skip


def _addresses(mapping: Mapping) -> list[str]:
    """tile.core of each core: SANA-FE numbers tiles column by column."""
    held: dict[int, int] = {}
    found = []
    for core, (x, y) in enumerate(np.asarray(mapping.position).tolist()):
        if not (0 <= x < WIDTH and 0 <= y < HEIGHT):
            raise TargetError(
                "outside of the mesh of Loihi", where=f"core {core}", got=(x, y), expected="8 columns, 4 rows"
            )
        tile = x * HEIGHT + y
        place = held.setdefault(tile, 0)
        if place == CORES_PER_TILE:
            raise TargetError(
                "more cores than a tile of Loihi has",
                where=f"tile {(x, y)}", expected=f"at most {CORES_PER_TILE}",
            )  # fmt: skip
        held[tile] += 1
        found.append(f"{tile}.{place}")
    return found
