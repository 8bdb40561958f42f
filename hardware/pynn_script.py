"""A network as a PyNN script for SpiNNaker: a readable program, its synapses in a file of arrays beside it.

Time.  With a delay of d steps a spike of step t acts in step t + d, on SpiNNaker as here.  In NEST it bears
the time t + 1, and a current acts one step after it arrives: the script shifts times and delays for NEST, on
which it can be tested without the machine.
Weights.  SpiNNaker stores them without a sign: the receptor says what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import replacing, write_text
from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.pynn_cells import Cell, cell_of
from snnsim.hardware.spike_trains import spike_train
from snnsim.hardware.synapses import synapses
from snnsim.layers import LayerRule
from snnsim.models import Conductance
from snnsim.network import Network
from snnsim.range_simulator import RangeSimulator
from snnsim.stimuli import Analogue, Poisson, SpikeTrains, Stimulus

ATOMS_PER_CORE = 256
LONGEST_DELAY = 144  # 16 slots on the core, and 8 blocks of 16 before it; source: sPyNNaker, constants.py


def write_pynn(
    path: Path | str, network: Network, duration_ms: float, *,
    inputs: Mapping[str, np.ndarray] | None = None, seed: int = 1,
) -> list[str]:  # fmt: skip
    """Write a script, and beside it an .npz of its synapses and parameters; dt is 1 ms.

        python script.py                  on SpiNNaker
        python script.py nest spikes.npz  with NEST, and keep the spikes: (step, neuron) by population

    inputs  [n_steps, n] of zeros and ones by analogue input, for layered and integer networks
    seed    of what the network draws: parameters and synapses are those of Simulator(network, seed=seed)
    Returns what the script says differently, in words.
    Raises TargetError for what cannot be said in PyNN or does not fit SpiNNaker, with layer and reason.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ConfigError("a script ends with .py", where="path", got=path.name, expected="NAME.py")
    arrays: dict[str, Any] = {}
    cells = {name: cell_of(p, name, seed) for name, p in network.populations.items()}
    lines: list[str] = []
    for name, cell in cells.items():
        lines += _population(name, network.populations[name].n, cell, arrays)
    for name, stimulus in network.stimuli.items():
        lines += _stimulus(name, stimulus, inputs or {}, arrays)
    built = _built(network, seed)
    for name in network.projections:
        lines += _projection(network, name, cells, arrays, built)
    kinds = ", ".join(f'"{kind}"' for kind in dict.fromkeys(cell.kind for cell in cells.values()))
    lines += [f"    recorded = {{{', '.join(f'{n!r}: {_word(n)}' for n in cells)}}}"]
    with replacing(path.with_suffix(".npz")) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    text = _SCRIPT.format(
        data=path.with_suffix(".npz").name, kinds=kinds, duration=float(duration_ms), body="\n".join(lines),
        atoms=ATOMS_PER_CORE, longest=float(LONGEST_DELAY),
    )  # fmt: skip
    write_text(path, text)
    return [f"{name}: {note}" for name, cell in cells.items() for note in cell.notes]


def _word(name: str) -> str:
    """A name of Python: names of networks are letters, digits and _."""
    return f"pop_{name}"


def _population(name: str, n: int, cell: Cell, arrays: dict[str, np.ndarray]) -> list[str]:
    word, parts = _word(name), []
    for key, value in {**cell.parameters, "v_init": cell.v_init}.items():
        if np.all(value == value[0]):
            said = repr(float(value[0]))
        else:
            arrays[f"{word}_{key}"] = value
            said = f'data["{word}_{key}"]'
        parts.append((key, said))
    parameters = ", ".join(f"{key}={said}" for key, said in parts[:-1])
    return [
        f"    {word} = sim.Population({n}, sim.{cell.kind}({parameters}), label={name!r})",
        f"    {word}.initialize(v={parts[-1][1]})",
        f'    {word}.record("spikes")',
    ]


def _stimulus(
    name: str, stimulus: Stimulus, inputs: Mapping[str, np.ndarray], arrays: dict[str, np.ndarray]
) -> list[str]:
    word, where = _word(name), f"stimuli.{name}"
    if isinstance(stimulus, Poisson):
        rate = np.asarray(stimulus.rate_hz)
        if rate.ndim or rate.dtype == object:
            raise TargetError("one rate for all sources", where=f"{where}.rate_hz", expected="a number")
        stop = "" if stimulus.stop_ms is None else f", duration={stimulus.stop_ms - stimulus.start_ms!r}"
        cell = f"SpikeSourcePoisson(rate={float(rate)!r}, start={stimulus.start_ms!r}{stop})"
        return [f"    {word} = sim.Population({stimulus.n}, sim.{cell}, label={name!r})"]
    if isinstance(stimulus, SpikeTrains):
        times, ids, n = stimulus.times_ms, stimulus.ids, stimulus.n
    elif isinstance(stimulus, Analogue):
        times, ids = np.nonzero(spike_train(inputs, name, stimulus.n, "PyNN"))
        n = stimulus.n
    else:
        raise TargetError(
            "the script has no such input", where=where, got=stimulus.KIND,
            expected=", ".join(k.KIND for k in (Poisson, SpikeTrains, Analogue)),
        )  # fmt: skip
    arrays[f"{word}_times"], arrays[f"{word}_ids"] = np.asarray(times, np.float64), np.asarray(ids, np.int64)
    return [f"    {word} = source(sim, {n}, data, {word!r}, {name!r})"]


def _built(network: Network, seed: int) -> RangeSimulator | None:
    """Where an ordinary network draws its synapses; layered networks have rules that say them all."""
    for name, p in network.projections.items():
        if p.plastic:
            raise TargetError(
                "learning is not written into the script", where=f"projections.{name}.plasticity",
                fix="simulate until it has learned, and write the weights it came to",
            )  # fmt: skip
    if all(isinstance(p.rule, LayerRule) for p in network.projections.values()):
        return None
    return RangeSimulator(network, dt_ms=1.0, seed=seed)


def _projection(
    network: Network, name: str, cells: Mapping[str, Cell], arrays: dict[str, np.ndarray],
    built: RangeSimulator | None,
) -> list[str]:  # fmt: skip
    p, where = network.projections[name], f"projections.{name}"
    if built is None:
        table = synapses(p, where)
        table = table.only(table.weight != 0)
        source, target, weight = table.source, table.target, table.weight
        delay = np.full(source.size, float(p.delay_ms))  # type: ignore[arg-type]
    else:
        drawn = built.synapses(name)
        source, target, weight = drawn.source, drawn.target, drawn.weight()
        delay = drawn.delay.astype(np.float64)
    wrong = delay[(delay < 1) | (delay > LONGEST_DELAY)]
    if wrong.size:
        raise TargetError(
            "SpiNNaker has no such delay", where=f"{where}.delay_ms", got=float(wrong[0]),
            expected=f"1 to {LONGEST_DELAY} ms",
        )  # fmt: skip
    lines = []
    for receptor, which in _by_receptor(network, name, weight):
        if not np.any(which):
            continue
        key = f"{name}_{receptor}"
        rows = [source, target, np.abs(weight) * cells[p.target].scale[target], delay]
        arrays[key] = np.stack([np.asarray(row, np.float64)[which] for row in rows], axis=1)
        lines.append(f"    connect(sim, {_word(p.source)}, {_word(p.target)}, data[{key!r}], {receptor!r})")
    return lines


def _by_receptor(network: Network, name: str, weight: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Which synapses go to which receptor: by sign, where both are alike; else as the network says."""
    p = network.projections[name]
    synapse = network.populations[p.target].unit.synapse
    if synapse.n_currents == 1:
        return [("excitatory", weight > 0), ("inhibitory", weight < 0)]
    receptor = p.inferred_receptor(f"projections.{name}")
    sign = 1.0 if receptor == "exc" or isinstance(synapse, Conductance) else -1.0
    if np.any(weight * sign < 0):
        raise TargetError(
            "the sign of a weight is that of its receptor on SpiNNaker", where=f"projections.{name}.weight",
            got=float(weight[weight * sign < 0][0]), expected=">= 0" if sign > 0 else "<= 0",
        )  # fmt: skip
    return [("excitatory" if receptor == "exc" else "inhibitory", weight != 0)]


_SCRIPT = '''"""A spiking network for SpiNNaker, written by snnsim.

    python THIS.py                     on SpiNNaker (sPyNNaker)
    python THIS.py nest spikes.npz     with NEST, and keep the spikes: rows (step, neuron) by population

Parameters that are not the same for all neurons, spike trains and synapses are in {data}:
one row a synapse, source, target, weight (nA, mV or uS, never negative), delay in ms.
"""

import importlib
import sys
from pathlib import Path

import numpy as np

TIMESTEP_MS, DURATION_MS = 1.0, {duration!r}
BACKEND = sys.argv[1] if len(sys.argv) > 1 else "spiNNaker"
# Here and on SpiNNaker a spike of step t with delay d acts in step t + d.  NEST gives it the time t + 1, and
# lets currents and conductances act one step after it arrives, but not jumps of the potential.
LATER = 1.0 if BACKEND == "nest" else 0.0
# Weights have no sign on SpiNNaker; PyNN's other backends want negative ones for currents that inhibit.
UNSIGNED = BACKEND == "spiNNaker"


def source(sim, n, data, name, label):
    """A population that emits the given spikes."""
    times, ids = data[name + "_times"] + LATER, data[name + "_ids"]
    if LATER and times.size and times.min() < 2.0 * TIMESTEP_MS:
        raise SystemExit("sources of this backend cannot fire in step 0")
    order = np.lexsort((times, ids))
    trains = np.split(times[order], np.searchsorted(ids[order], np.arange(1, n)))
    trains = [list(map(float, train)) for train in trains]
    return sim.Population(n, sim.SpikeSourceArray(spike_times=trains), label=label)


def connect(sim, before, after, rows, receptor):
    """Synapses of one receptor."""
    rows = np.array(rows)
    rows[:, 3] -= 0.0 if type(after.celltype).__name__ == "IF_curr_delta" else LATER
    if rows[:, 3].min() < TIMESTEP_MS:
        raise SystemExit("this backend has no delay below one step: give the network delays of 2 ms or more")
    if receptor == "inhibitory" and not UNSIGNED and not after.celltype.conductance_based:
        rows[:, 2] *= -1.0
    sim.Projection(
        before, after, sim.FromListConnector(rows.tolist(), column_names=["weight", "delay"]),
        sim.StaticSynapse(), receptor_type=receptor,
    )


def build(sim, data):
    """All populations and projections; returns those whose spikes are recorded."""
{body}
    return recorded


def main():
    sim = importlib.import_module("pyNN." + BACKEND)
    options = {{"spike_precision": "on_grid", "max_delay": {longest!r}}} if BACKEND == "nest" else {{}}
    sim.setup(timestep=TIMESTEP_MS, min_delay=TIMESTEP_MS, **options)
    if hasattr(sim, "set_number_of_neurons_per_core"):
        for kind in ({kinds},):
            sim.set_number_of_neurons_per_core(getattr(sim, kind), {atoms})
    if BACKEND == "nest":  # PyNN 0.13 does not know where this cell has its potential, and would not start it
        sim.IF_curr_delta.variable_map = {{"v": "V_m"}}
    with np.load(Path(__file__).with_name("{data}")) as data:
        recorded = build(sim, data)
    sim.run(DURATION_MS + LATER)
    kept = {{}}
    for name, population in recorded.items():
        trains = population.get_data("spikes").segments[0].spiketrains
        rows = [(round(float(t) / TIMESTEP_MS - LATER), k) for k, train in enumerate(trains) for t in train]
        rows = sorted(row for row in rows if row[0] < DURATION_MS / TIMESTEP_MS)
        kept[name] = np.array(rows, dtype=np.int64).reshape(-1, 2)
        print(name, len(rows), "spikes")
    if len(sys.argv) > 2:
        np.savez(sys.argv[2], **kept)
    sim.end()


if __name__ == "__main__":
    main()
'''
