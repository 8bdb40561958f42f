"""When layers act that take turns: each in a window of its own, which begins when those before have ended."""

from __future__ import annotations

from snnsim.converters import graph as g
from snnsim.layer_neurons import FewSpike, TimeToFirstSpike
from snnsim.network import Network


def windows_of(graph: g.Graph, steps: int, after_input: int = 0) -> dict[str, int]:
    """The first step of the window of each activation; all are `steps` long.

    after_input  steps that the input takes
    """
    ends = {graph.input.name: after_input}  # when all that a value stands for has arrived
    found = {}
    for node in graph.nodes[1:]:
        ends[node.name] = max(ends[name] for name in node.inputs)
        if isinstance(node, g.ReLU):
            found[node.name] = ends[node.name]
            ends[node.name] += steps
    return found


def scheduled_steps(network: Network) -> int:
    """Steps until the last window has ended."""
    units = [population.unit for population in network.populations.values()]
    return max([1, *(u.begin + u.window for u in units if isinstance(u, FewSpike | TimeToFirstSpike))])
