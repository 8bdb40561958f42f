"""From the graph in a NIR file to signals between neurons.

Nested graphs are put in place of their nodes, shapes are followed from the inputs on, reset by subtraction
that was written as Threshold and Scale is recognised, and what lies between two neurons is one sparse map.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import prod

import numpy as np

from snnsim.converters.nir_file import FIELDS, NirGraph, NirNode
from snnsim.converters.nir_linear import MAX_UNITS, PORT, Operator, Shape, bad, is_linear, operator
from snnsim.converters.sparse_map import SparseMap
from snnsim.errors import ConversionError

INTEGRATORS = ("I", "LI", "CubaLI")
NEURONS = (*INTEGRATORS, "IF", "LIF", "CubaLIF")


@dataclass
class Faults:
    """What cannot be said by a network, told all at once."""

    found: list[str] = field(default_factory=list)

    def add(self, where: str, reason: str) -> None:
        self.found.append(f"{where}: {reason}")

    def raise_any(self, problem: str, fix: str = "") -> None:
        """ConversionError, when there are any."""
        if self.found:
            lines = "".join(f"\n  {one}" for one in self.found)
            raise ConversionError(f"{problem}:{lines}", fix=fix)


@dataclass
class FlatGraph:
    """A graph without nested ones.

    nodes     by path
    before    predecessors of each node;  after  successors
    feedback  for neurons that were I/LI + Threshold + Scale: (threshold, minus the scale) by path
    """

    nodes: dict[str, NirNode]
    before: dict[str, list[str]]
    after: dict[str, list[str]]
    metadata: dict[str, str]
    feedback: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass
class Signal:
    """What reaches a node: a sparse map from each source (a neuron node or Input), and a constant."""

    maps: dict[str, SparseMap]
    constant: np.ndarray


def flatten(graph: NirGraph, faults: Faults) -> FlatGraph:
    """Nested graphs in place; their single Input and Output become ports.

    Kinds of nodes that are not known, and nested graphs with several inputs or outputs, are faults.
    """
    nodes: dict[str, NirNode] = {}
    edges: list[tuple[str, str]] = []
    _unfold(graph, True, nodes, edges, faults)
    flat = FlatGraph(nodes, {p: [] for p in nodes}, {p: [] for p in nodes}, graph.metadata)
    for a, b in edges:
        flat.after[a].append(b)
        flat.before[b].append(a)
    for path, node in nodes.items():
        if node.kind not in FIELDS and node.kind != PORT:
            faults.add(path, f"nodes of type {node.kind} are not known")
    return flat


def _unfold(
    graph: NirGraph, outermost: bool, nodes: dict[str, NirNode], edges: list[tuple[str, str]], faults: Faults
) -> None:
    ports: dict[tuple[str, str], str] = {}
    for name, item in graph.nodes.items():
        if isinstance(item, NirNode):
            port = not outermost and item.kind in ("Input", "Output")
            nodes[item.path] = NirNode(item.path, PORT) if port else item
            continue
        _unfold(item, False, nodes, edges, faults)
        for kind in ("Input", "Output"):
            found = [n.path for n in item.nodes.values() if isinstance(n, NirNode) and n.kind == kind]
            ports[name, kind] = found[0] if found else ""
            if len(found) > 1:
                faults.add(item.path, f"a nested graph with {len(found)} nodes of type {kind}")
    for a, b in graph.edges:
        ends = [ports.get((a, "Output")), ports.get((b, "Input"))]
        if "" in ends:
            nested = f"{graph.path}/{a if ends[0] == '' else b}".strip("/")
            faults.add(nested, "a nested graph with an edge, but no node for it to go on")
            continue
        edges.append((ends[0] or graph.nodes[a].path, ends[1] or graph.nodes[b].path))


def fuse_thresholds(flat: FlatGraph, faults: Faults) -> None:
    """I, LI or CubaLI -> Threshold, with Threshold -> Scale -> back: one neuron with reset by subtraction."""
    for path in [p for p, node in flat.nodes.items() if node.kind == "Threshold"]:
        ahead = flat.before[path]
        core = ahead[0] if len(ahead) == 1 else ""
        scales = [
            s for s in flat.after[path]
            if flat.nodes[s].kind == "Scale" and flat.before[s] == [path] and flat.after[s] == [core]
        ]  # fmt: skip
        ready = bool(core) and flat.nodes[core].kind in INTEGRATORS and flat.after[core] == [path]
        if not ready or len(scales) != 1:
            faults.add(path, "a Threshold outside of I or LI -> Threshold -> Scale -> back: nothing resets")
            continue
        flat.feedback[core] = (flat.nodes[path].values["threshold"], -flat.nodes[scales[0]].values["scale"])
        flat.before[core].remove(scales[0])
        flat.after[core] = [p for p in flat.after[path] if p != scales[0]]
        for p in flat.after[core]:
            flat.before[p] = [core if q == path else q for q in flat.before[p]]
        for gone in (path, scales[0]):
            del flat.nodes[gone], flat.before[gone], flat.after[gone]


def shapes(flat: FlatGraph) -> tuple[dict[str, Shape], dict[str, Operator]]:
    """The shape of what each node emits, and the operators of those without memory.

    Parameters of neurons say their shape; single values take that of what arrives.  Raises FileError where
    two signals that meet, or a signal and a node, differ in size, ConversionError for what nothing reaches.
    """
    found: dict[str, Shape] = {}
    operators: dict[str, Operator] = {}
    for path, node in flat.nodes.items():
        if node.kind == "Input":
            shape = node.values["shape"].ravel()
            whole = shape.size <= 8 and np.all(shape >= 1) and np.all(shape == np.rint(shape))
            if not whole or prod(shape) > MAX_UNITS:
                raise bad(node, "not a shape", got=shape.tolist(), expected=f"at most {MAX_UNITS} units")
            found[path] = tuple(int(n) for n in shape)
        elif node.kind in NEURONS and (own := _own_shape(node)) is not None:
            found[path] = own
    waiting = deque(found)
    while waiting:
        path = waiting.popleft()
        for p in flat.after[path]:
            if p in found:
                continue
            node = flat.nodes[p]
            if is_linear(node):
                operators[p] = operator(node, found[path])
                found[p] = operators[p].shape
            else:
                found[p] = found[path] if node.kind in NEURONS else ()
            waiting.append(p)
    for path, node in flat.nodes.items():
        if path not in found:
            raise ConversionError(
                "a node that no Input leads to, and no parameter gives a shape", where=f"{path} ({node.kind})"
            )
        sizes = {q: prod(found[q]) for q in flat.before[path]}
        if node.kind in NEURONS:
            sizes[path] = prod(found[path])
        if len(set(sizes.values())) > 1:
            raise bad(node, "signals of different size meet", got=sizes)
    return found, operators


def _own_shape(node: NirNode) -> Shape | None:
    """The shape that the parameters agree on; None where they are single values."""
    try:
        shape = np.broadcast_shapes(*(value.shape for value in node.values.values()))
    except ValueError as error:
        sizes = {key: value.shape for key, value in node.values.items()}
        raise bad(node, "parameters of different shape", got=sizes) from error
    if 0 in shape or prod(shape) > MAX_UNITS:
        raise bad(node, "not a number of neurons", got=shape, expected=f"1 to {MAX_UNITS}")
    return shape if prod(shape) > 1 else None


def signals(
    flat: FlatGraph, shape: dict[str, Shape], operators: dict[str, Operator]
) -> dict[str, Signal]:
    """What reaches each neuron node and each Output.

    ConversionError where nodes without memory form a circle, or a neuron without spikes feeds another node.
    """
    size = {path: prod(shape[path]) for path in flat.nodes}
    emitted = {
        path: Signal({path: SparseMap.identity(size[path])}, np.zeros(size[path]))
        for path, node in flat.nodes.items() if node.kind == "Input" or node.kind in NEURONS
    }  # fmt: skip
    missing = {p: sum(q in operators for q in flat.before[p]) for p in operators}
    ready = deque(p for p, n in missing.items() if n == 0)
    n_done = 0
    while ready:
        path = ready.popleft()
        n_done += 1
        emitted[path] = _transformed(_sum(flat, emitted, path), operators[path], path)
        for p in flat.after[path]:
            if p in missing:
                missing[p] -= 1
                if missing[p] == 0:
                    ready.append(p)
    if n_done < len(operators):
        circle = ", ".join(p for p in operators if p not in emitted)
        raise ConversionError("nodes without memory form a circle", where=circle, fix="put a neuron into it")
    return {
        path: emitted[path] if node.kind == "Output" else _sum(flat, emitted, path)
        for path, node in flat.nodes.items() if node.kind == "Output" or node.kind in NEURONS
        if node.kind != "Output" or path in emitted
    }  # fmt: skip


def _sum(flat: FlatGraph, emitted: dict[str, Signal], path: str) -> Signal:
    parts = [emitted[q] for q in flat.before[path]]
    maps: dict[str, SparseMap] = {}
    for part in parts:
        for source, found in part.maps.items():
            maps[source] = maps[source].plus(found) if source in maps else found
    return Signal(maps, sum((part.constant for part in parts), start=np.zeros(1)))


def _transformed(signal: Signal, what: Operator, path: str) -> Signal:
    made, constant = what.build()
    maps = {source: made.after(found, path) for source, found in signal.maps.items()}
    maps = {source: found for source, found in maps.items() if found.weight.size}  # all 0: a mere bias
    return Signal(maps, made.apply(signal.constant) + constant)
