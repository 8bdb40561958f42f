"""Reading a NIR file into a network of the ordinary simulator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np

from snnsim.checks import NAME_LIMIT, check
from snnsim.connectivity import Arrays
from snnsim.converters.nir_dialects import Cell, Dialect, dialect_named, make_cell, shared
from snnsim.converters.nir_file import read_file
from snnsim.converters.nir_graph import (
    INTEGRATORS,
    NEURONS,
    Faults,
    FlatGraph,
    Signal,
    flatten,
    fuse_thresholds,
    shapes,
    signals,
)
from snnsim.converters.sparse_map import SparseMap
from snnsim.errors import ConfigError, ConversionError
from snnsim.fields import Rule
from snnsim.models import Delta, Neuron
from snnsim.network import Network
from snnsim.population import Population
from snnsim.probe import Probe
from snnsim.projection import Projection
from snnsim.stimuli import Poisson, SpikeSource, Stimulus

RESETS = ("v_reset", "subtract", "zero")
CONSTANT = "constant"
"""Name of the source that fires in every step: the bias of neurons with a synaptic current."""
_OFF_GRID = 1e-4  # of a step and of the delay: files hold delays as float32
_DT = Rule("number", unit="ms", above=0.0, high=1e6)


def read_nir(
    path: Path | str,
    *,
    dt_ms: float,
    dialect: str = "exact",
    reset: str | None = None,
    inputs: Mapping[str, SpikeSource] | None = None,
) -> Network:
    """A NIR graph as a network for `Simulator(network, dt_ms=dt_ms)`.

    path      a NIR file of version 0.1 to 1.0; times in it are seconds
    dt_ms     the step it will run with: gains and Euler decays depend on it
    dialect   whose steps to reproduce: exact, nengo, norse, snntorch, spinnaker2, sinabs, rockpool, spyx,
              lava or loihi; nir_dialects.py has the equations, and how a spike of weight W enters
    reset     "v_reset", "subtract" (of threshold - v_reset) or "zero" instead of that of the dialect.  In the
              dialect "exact", a file that snnsim wrote says which one it means
    inputs    a spike source for each Input, by its name in the network; without: sources that are silent, to
              be replaced with `network.replace(stimuli=...)`

    Populations, stimuli and probes bear the names of the nodes, with _ for what no name may hold: "lif1.lif"
    becomes lif1_lif, "0" becomes n0.  LIF, IF and CubaLIF become populations; I, LI and CubaLI populations
    that never fire.  A probe for each Output records spikes, or v_mv of those.  What lies between neurons is
    written out as single synapses (rule "arrays").  Connections take no time, or that of Delay nodes in whole
    steps, but those that close a circle at least one step.  Potentials have the numbers of the file, in mV.
    In the dialect spyx a spike is seen one step after it is recorded here.

    Warns (NirWarning) of fields that are not known and of edges given twice.
    Raises FileError for a file that is unsafe, damaged or not NIR, ConversionError for all nodes that cannot
    be said as a network, by name, and ConfigError for arguments that cannot be.
    """
    dt_ms = check(dt_ms, _DT, "dt_ms")
    with np.errstate(all="ignore"):  # numbers that overflow are told by their node
        return _read(path, dt_ms, dialect, reset, inputs or {})


def _read(
    path: Path | str, dt_ms: float, dialect: str, reset: str | None, inputs: Mapping[str, SpikeSource]
) -> Network:
    how = dialect_named(dialect)
    if reset is not None and reset not in RESETS:
        raise ConfigError("unknown reset", where="reset", got=reset, expected=", ".join(RESETS))
    faults = Faults()
    flat = flatten(read_file(path), faults)
    fuse_thresholds(flat, faults)
    faults.raise_any("nodes that cannot be converted")
    shape, operators = shapes(flat)
    reaching = signals(flat, shape, operators)
    if reset is None and dialect == "exact" and flat.metadata.get("reset") in RESETS:
        reset = flat.metadata["reset"]
    cells: dict[str, Cell] = {}
    for p, node in flat.nodes.items():
        if node.kind in NEURONS:
            cell = make_cell(node, prod(shape[p]), how, reset, dt_ms, flat.feedback.get(p), faults)
            if cell is not None:
                cells[p] = cell
    _check_sources(flat, reaching, faults)
    faults.raise_any("nodes that cannot be converted")
    size = {p: prod(s) for p, s in shape.items()}
    return _Builder(flat, reaching, cells, size, how, dt_ms).build(inputs)


def _check_sources(flat: FlatGraph, reaching: dict[str, Signal], faults: Faults) -> None:
    """Only spikes travel: no potentials, and nothing is computed after the last neuron."""
    silent = {p for p, n in flat.nodes.items() if n.kind in INTEGRATORS and p not in flat.feedback}
    if not any(n.kind in NEURONS for n in flat.nodes.values()):
        faults.add("the graph", "has no neurons")
    for path, signal in reaching.items():
        sources = list(signal.maps)
        finite = all(np.isfinite(found.weight).all() for found in signal.maps.values())
        if not (finite and np.isfinite(signal.constant).all()):
            faults.add(path, "the weights of what leads to it multiply beyond what a float holds")
        if flat.nodes[path].kind != "Output":
            for p in silent.intersection(sources):
                faults.add(f"{p} ({flat.nodes[p].kind})", f"potentials cannot be sent on (to {path})")
        elif len(sources) != 1 or flat.nodes[sources[0]].kind == "Input":
            got = ", ".join(sources) or "nothing"
            faults.add(f"{path} (Output)", f"records {got}; expected one node of neurons")
        elif not _is_identity(signal):
            faults.add(f"{path} (Output)", f"records what linear nodes make of {sources[0]}; put an LI there")


def _is_identity(signal: Signal) -> bool:
    (found,) = signal.maps.values()
    same = SparseMap.identity(found.n_target)
    return (
        np.array_equal(found.target, same.target) and np.array_equal(found.source, same.source)
        and bool(np.all(found.weight == 1)) and not np.any(found.delay) and not np.any(signal.constant)
    )  # fmt: skip


class _Builder:
    """Puts populations, projections, stimuli and probes together."""

    def __init__(
        self, flat: FlatGraph, reaching: dict[str, Signal], cells: dict[str, Cell], size: dict[str, int],
        how: Dialect, dt_ms: float,
    ) -> None:  # fmt: skip
        self.flat, self.reaching, self.cells, self.size = flat, reaching, cells, size
        self.how, self.dt_ms = how, dt_ms
        self.sources = [p for p, node in flat.nodes.items() if node.kind == "Input"]
        self.names = unique_names([*self.sources, *cells])
        self.projections: dict[str, Projection] = {}
        self.neurons: dict[str, Neuron] = {}
        self.constant: dict[str, np.ndarray] = {}

    def build(self, inputs: Mapping[str, SpikeSource]) -> Network:
        for path, cell in self.cells.items():
            constant = np.broadcast_to(self.reaching[path].constant, cell.jump.size)
            if isinstance(cell.neuron.synapse, Delta):
                self.neurons[path] = cell.biased(constant)
            else:
                self.neurons[path] = cell.neuron
                if np.any(constant):
                    self.constant[path] = constant * cell.jump
        self._connect()
        stimuli = self._stimuli(inputs)
        return Network(
            populations={
                self.names[p]: Population(n=self.size[p], neuron=neuron) for p, neuron in self.neurons.items()
            },
            projections=self.projections,
            stimuli=stimuli,
            probes=self._probes([*stimuli]),
        )

    def _connect(self) -> None:
        links = {
            (source, path): scaled
            for path, cell in self.cells.items()
            for source, found in self.reaching[path].maps.items()
            if (scaled := found.scaled(cell.jump)).weight.size
        }
        for (source, path), found in links.items():
            if not np.isfinite(found.weight).all():
                raise ConversionError("weights beyond what a float holds", where=f"{source} -> {path}")
        steps = {pair: self._steps(found, *pair) for pair, found in links.items()}
        instant = [pair for pair, delay in steps.items() if delay.min() == 0]
        closing = closing_links([*self.sources, *self.cells], instant)
        for (source, path), found in links.items():
            delay = np.maximum(steps[source, path], (source, path) in closing)
            name = self._projection_name(source, path)
            weight = {self.cells[path].neuron.synapse.weight_key: shared(found.weight)}
            self.projections[name] = Projection(
                source=self.names[source], target=self.names[path],
                rule=Arrays(source=found.source, target=found.target),
                delay_ms=shared(delay * self.dt_ms), **weight,  # type: ignore[arg-type]
            )  # fmt: skip

    def _projection_name(self, source: str, path: str) -> str:
        name = f"{self.names[source]}_to_{self.names[path]}"
        return next(iter(unique_names([name], taken=self.projections).values()))

    def _steps(self, found: SparseMap, source: str, path: str) -> np.ndarray:
        """int64[n]: delays in steps, with those of the dialect."""
        exact = found.delay * (1e3 / self.dt_ms)
        steps = np.rint(exact)
        off = np.abs(exact - steps) > _OFF_GRID * np.maximum(1.0, steps)
        if np.any(off) or np.any(steps > 2**31):
            k = int(np.argmax(off))
            raise ConversionError(
                "a Delay is not a number of steps", where=f"{source} -> {path}", got=f"{found.delay[k]:g} s",
                expected=f"a multiple of dt_ms = {self.dt_ms:g}", fix="choose another dt_ms",
            )  # fmt: skip
        own = self.how.emission if self.flat.nodes[source].kind in NEURONS else 0
        return steps.astype(np.int64) + self.how.link + own

    def _stimuli(self, inputs: Mapping[str, SpikeSource]) -> dict[str, Stimulus]:
        sizes = {self.names[p]: self.size[p] for p in self.sources}
        for name in inputs:
            if name not in sizes:
                raise ConfigError("no such input", where=f"inputs.{name}", expected=", ".join(sizes))
        stimuli: dict[str, Stimulus] = {
            name: inputs.get(name, Poisson(n=n, rate_hz=0.0)) for name, n in sizes.items()
        }
        if self.constant:
            constant = next(iter(unique_names([CONSTANT], taken=self.names.values()).values()))
            stimuli[constant] = Poisson(n=1, rate_hz=always_hz(self.dt_ms))
            for path, weight in self.constant.items():
                n = weight.size
                self.projections[self._projection_name_of(constant, path)] = Projection(
                    source=constant, target=self.names[path],
                    rule=Arrays(source=np.zeros(n, np.int64), target=np.arange(n)),
                    weight_pa=shared(weight), delay_ms=0.0,
                )  # fmt: skip
        return stimuli

    def _projection_name_of(self, constant: str, path: str) -> str:
        name = f"{constant}_to_{self.names[path]}"
        return next(iter(unique_names([name], taken=self.projections).values()))

    def _probes(self, stimuli: list[str]) -> dict[str, Probe]:
        outputs = [p for p in self.reaching if self.flat.nodes[p].kind == "Output"]
        taken = [self.names[p] for p in self.cells] + stimuli
        names = unique_names(outputs, taken=taken)
        probes = {}
        for path in outputs:
            (source,) = self.reaching[path].maps
            silent = self.flat.nodes[source].kind in INTEGRATORS and source not in self.flat.feedback
            probes[names[path]] = Probe(target=self.names[source], variable="v_mv" if silent else "spikes")
        return probes


def always_hz(dt_ms: float) -> float:
    """A rate at which a Poisson source fires in every step, whatever rounding does."""
    return 1e3 / dt_ms * (1 + 1e-13)


def closing_links(order: list[str], links: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The links that lead back, depth first from the first of `order`: without them no circle."""
    after: dict[str, list[str]] = {p: [] for p in order}
    for a, b in links:
        after[a].append(b)
    closing: set[tuple[str, str]] = set()
    state: dict[str, int] = {}  # 1: being looked through, 2: done
    for start in order:
        stack = [(start, iter(after[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            here, rest = stack[-1]
            for ahead in rest:
                if state.get(ahead) == 1:
                    closing.add((here, ahead))
                elif ahead not in state:
                    state[ahead] = 1
                    stack.append((ahead, iter(after[ahead])))
                    break
            else:
                state[here] = 2
                stack.pop()
    return closing


def unique_names(paths: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A name for each path: letters, digits and _, a letter first, no two alike."""
    used, names = set(taken), {}
    for path in paths:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", path)[: NAME_LIMIT - 8]
        name = plain if plain[:1].isalpha() else f"n{plain}"
        k = 2
        while name in used:
            name = f"{plain if plain[:1].isalpha() else 'n' + plain}_{k}"
            k += 1
        used.add(name)
        names[path] = name
    return names
