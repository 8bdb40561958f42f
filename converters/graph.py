"""The graph between a trained network and a spiking one, and its check against the source model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from snnsim.converters.nodes import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Node,
    Pool,
    ReLU,
    Shape,
    SumPool,
    as_float64,
)
from snnsim.errors import ConversionError

__all__ = [
    "Add",
    "Affine",
    "AvgPool",
    "Concat",
    "Conv",
    "Flatten",
    "Graph",
    "Input",
    "Linear",
    "MaxPool",
    "Node",
    "Pool",
    "ReLU",
    "Shape",
    "SumPool",
    "as_float64",
    "check_parity",
]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order: the only Input first, the output last.

    notes   what the reader left out or changed, in words
    Raises ConversionError: names that are not unique or not known, shapes that do not follow.
    """

    nodes: tuple[Node, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.nodes or [isinstance(node, Input) for node in self.nodes] != [True] + [False] * (
            len(self.nodes) - 1
        ):
            raise ConversionError("a graph begins with its one Input", where="graph", code="conversion.graph")
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            unknown = [name for name in node.inputs if name not in shapes]
            if node.name in shapes or unknown or not node.name.isidentifier():
                raise ConversionError(
                    "the nodes are not in order, or a name is used twice",
                    where=node.path,
                    got=unknown or node.name,
                    expected="new names, and inputs that stand before",
                    code="conversion.graph",
                )
            shape = node.shape_for(*(shapes[name] for name in node.inputs))
            if shape != node.shape:
                raise node.refuse("the shape does not follow from the inputs", node.shape, str(shape))
            shapes[node.name] = shape

    @property
    def input(self) -> Node:
        return self.nodes[0]

    @property
    def output(self) -> Node:
        return self.nodes[-1]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def size(self) -> int:
        """Values of all nodes, for one input."""
        return sum(prod(node.shape) for node in self.nodes)

    def consumers(self, name: str) -> list[Node]:
        """The nodes that take the value of `name`, in order; one that takes it twice stands once."""
        return [node for node in self.nodes if name in node.inputs]

    def evaluate(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Values float64[n, *shape] of all nodes for inputs x[n, ...]."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim < 2 or prod(x.shape[1:]) != prod(self.input.shape):
            raise self.input.refuse("inputs of a wrong shape", x.shape, f"(n, *{self.input.shape})")
        values = {self.input.name: self.input.value(x)}
        for node in self.nodes[1:]:
            values[node.name] = node.value(*(values[name] for name in node.inputs))
        return values


def check_parity(
    graph: Graph,
    reference: np.ndarray | Mapping[str, np.ndarray],
    inputs: np.ndarray,
    tolerance: float = 1e-5,
) -> float:
    """The largest deviation of the output from `reference`, relative to the reference's largest value.

    reference   output of the source model for `inputs`, or values of several nodes by their names
    Raises ConversionError with the first node that deviates by more than `tolerance` (or is not a
    number) when the output does.
    """
    values = graph.evaluate(inputs)
    known = reference if isinstance(reference, Mapping) else {graph.output.name: reference}
    worst = _deviation(values[graph.output.name], known[graph.output.name])
    if worst <= tolerance:
        return worst
    for node in graph.nodes:
        if node.name not in known:
            continue
        found = _deviation(values[node.name], known[node.name])
        if not found <= tolerance:
            break
    raise ConversionError(
        "the converted graph computes something else than the model",
        where=node.path,
        got=f"a relative deviation of {found:.3g} at node {node.name}",
        expected=f"at most {tolerance:g}",
        fix="check that the model gives the same output twice, and report the layer if it does",
        code="conversion.parity",
    )


def _deviation(value: np.ndarray, reference: np.ndarray) -> float:
    reference = np.asarray(reference, dtype=np.float64).reshape(len(value), -1)
    if reference.shape != (len(value), prod(value.shape[1:])):
        return float("inf")
    difference = float(np.max(np.abs(value.reshape(reference.shape) - reference), initial=0.0))
    scale = float(np.max(np.abs(reference), initial=0.0))
    return difference / scale if scale > 0.0 else difference
