"""What every neuron of a network does in every step of a run: who fires, and who has something to compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnsim.batch import BatchSimulator
from snnsim.connectivity import ConnectionRule
from snnsim.errors import ConfigError, nearest
from snnsim.hardware.chip_constants import ENCODINGS
from snnsim.hardware.synapses import Synapses, synapses
from snnsim.layers import Dense, Window
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.simulator import Simulator

_POTENTIALS = {"v": "v_init", "v_mv": "v_init_mv"}  # variable, and the parameter of those who have it
_TOGETHER = 16  # samples run at a time: their potentials are kept until they have been looked at


@dataclass(frozen=True, eq=False)
class Activity:
    """One sample.

    spikes   bool[n_steps, n] by input and population: emits an event in that step, of whatever amount
    updated  bool[n_steps, n] by population: its potential is not at rest before the step, an event arrives,
             or it has a bias
    changed  bool[n_steps, n] by population with a potential: it is another after the step than before
    graded   by projection: does an event of another amount than 1 or -1 come along it
    """

    spikes: dict[str, np.ndarray]
    updated: dict[str, np.ndarray]
    changed: dict[str, np.ndarray]
    graded: dict[str, bool]


@dataclass(frozen=True, eq=False)
class Wires:
    """What cores store of a network, by projection: synapses, their encoding, and their delay in steps."""

    synapses: dict[str, Synapses]
    encoding: dict[str, str]
    delay: dict[str, int]


def wires(network: Network, encoding: Mapping[str, str] | None = None, dt_ms: float = 1.0) -> Wires:
    """Sparse projections store no zeros; dense ones and convolutions do.

    encoding  "dense", "sparse" or "conv" by projection.  Without: convolutions and pools are "conv", joins
              are "sparse", matrices are "dense", or "sparse" where most of their weights are zero
    Raises TargetError for rules that have no synapses, ConfigError for another word.
    """
    table, chosen, delay = {}, {}, {}
    for name, p in network.projections.items():
        found = synapses(p, f"projections.{name}")
        chosen[name] = (encoding or {}).get(name) or _encoding(p.rule, found)
        if chosen[name] not in ENCODINGS:
            raise ConfigError(
                "no such encoding", where=f"encoding.{name}", got=chosen[name],
                fix=nearest(chosen[name], ENCODINGS),
            )  # fmt: skip
        table[name] = found.only(found.weight != 0) if chosen[name] == "sparse" else found
        delay[name] = round(float(p.delay_ms) / dt_ms)  # type: ignore[arg-type]
    return Wires(table, chosen, delay)


def _encoding(rule: ConnectionRule, found: Synapses) -> str:
    if isinstance(rule, Window):
        return "conv"
    if isinstance(rule, Dense):
        return "dense" if 2 * np.count_nonzero(found.weight) >= found.weight.size else "sparse"
    return "sparse"


def activity(
    network: Network, inputs: Mapping[str, np.ndarray], n_steps: int, *,
    repeat: int = 1, dt_ms: float = 1.0, table: Wires | None = None,
) -> Iterator[Activity]:  # fmt: skip
    """Run each sample for n_steps steps from the start, and look at every neuron in every step.

    inputs  as for `BatchSimulator.present`: float[n_samples, n], which act in `repeat` steps, or
            float[n_samples, n_given, n]
    Raises ConfigError for inputs that do not fit, TargetError for rules without synapses.
    """
    table = table or wires(network, dt_ms=dt_ms)
    watched = replace(network, probes=_probes(network))
    n_samples = {len(value) for value in inputs.values()}
    if len(n_samples) != 1:
        raise ConfigError("inputs of how many samples?", where="inputs", got=sorted(n_samples))
    for begin in range(0, n_samples.pop(), _TOGETHER):
        part = {name: np.asarray(value)[begin : begin + _TOGETHER] for name, value in inputs.items()}
        n = len(next(iter(part.values())))
        simulator = Simulator(watched, batch=n, dt_ms=dt_ms)
        simulator.present(part, repeat=repeat)
        simulator.run_steps(n_steps)
        graded = simulator.result().graded
        simulator.run_steps(1)  # potentials are sampled before a step: those after the last one
        for sample in range(n):
            amounts = {name: _given(value[sample], n_steps, repeat) for name, value in part.items()}
            spikes, updated, changed = _look(network, simulator, sample, amounts, n_steps, table)
            yield Activity(spikes, updated, changed, {k: bool(found[sample]) for k, found in graded.items()})


def _probes(network: Network) -> dict[str, Probe]:
    """The spikes of each population under its own name, and its potential, where it has one."""
    found = {}
    for number, (name, population) in enumerate(network.populations.items()):
        found[name] = Probe(target=name)
        variable = next((v for v, start in _POTENTIALS.items() if hasattr(population.unit, start)), None)
        if variable is not None:
            found[_potential(number)] = Probe(target=name, variable=variable)
    return found


def _potential(number: int) -> str:
    return f"potential_of_population_{number}"


def _given(value: np.ndarray, n_steps: int, repeat: int) -> np.ndarray:
    rows = np.repeat(value[None], repeat, axis=0) if value.ndim == 1 else np.repeat(value, repeat, axis=0)
    found = np.zeros((n_steps, rows.shape[1]))
    found[: len(rows)] = rows[:n_steps]
    return found


def _look(
    network: Network, simulator: BatchSimulator, sample: int, amounts: dict[str, np.ndarray], n_steps: int,
    table: Wires,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:  # fmt: skip
    """What happened in one sample: spikes, updated and changed of an Activity."""
    spikes = {name: value != 0 for name, value in amounts.items()}
    updated, changed = {}, {}
    for number, (name, population) in enumerate(network.populations.items()):
        steps, ids = simulator.spikes(name, sample)
        spikes[name] = np.zeros((n_steps, population.n), dtype=bool)
        spikes[name][steps[steps < n_steps], ids[steps < n_steps]] = True
        updated[name] = _biased(population.unit, n_steps, population.n)
        if _potential(number) in simulator.network.probes:
            potential = simulator.samples(_potential(number))[1][:, sample]
            updated[name] |= potential[:-1] != simulator.program.rest.get(name, 0.0)
            changed[name] = potential[1:] != potential[:-1]
    for link, p in network.projections.items():
        mark_arrivals(table.synapses[link], spikes[p.source], table.delay[link], updated[p.target])
    return spikes, updated, changed


def _biased(unit: object, n_steps: int, n: int) -> np.ndarray:
    found = np.zeros((n_steps, n), dtype=bool)
    for name in ("bias", "bias_mv", "i_bias_pa"):
        if hasattr(unit, name):
            steps = getattr(unit, "bias_steps", None)
            found[:steps] |= np.asarray(getattr(unit, name)) != 0
    return found


def mark_arrivals(table: Synapses, spikes: np.ndarray, delay: int, arrived: np.ndarray) -> None:
    """Set arrived[t + delay, target] wherever spikes[t, source] and there is a synapse; in place."""
    for step in range(len(spikes) - delay):
        for source in np.flatnonzero(spikes[step]):
            arrived[step + delay, table.target[table.first[source] : table.first[source + 1]]] = True

