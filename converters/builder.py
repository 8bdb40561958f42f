"""Collecting the nodes of a graph while a source model is read, and all that cannot be converted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from snnsim.converters.fold import fold_padding, remove_identities
from snnsim.converters.graph import Conv, Flatten, Graph, Input, Node, Shape, as_float64
from snnsim.errors import ConversionError


class Refusal(Exception):
    """One operation that cannot be converted: what is wrong and what to do instead."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(problem)


class GraphBuilder:
    """Nodes in the order they are added, and refusals; `finish` gives the graph or raises them all.

    After a refusal reading goes on with a node that stands for the unknown value, so that one error
    names everything that is in the way.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes: list[Node] = []
        self.notes: list[str] = []
        self.refusals: dict[str, Refusal] = {}

    def add(self, kind: type[Node], path: str, inputs: Sequence[str], **fields: Any) -> str:
        """Append a node; its shape follows from its inputs. Returns its name."""
        name = self._name(path)
        try:
            draft = kind(name, path, tuple(inputs), fields.pop("shape", ()), **fields)
            shape = draft.shape_for(*(self.shape(given) for given in inputs))
        except ConversionError as error:
            problem = f"{error.problem} (got {error.got}, expected {error.expected})"
            raise Refusal(problem, error.fix or "check the shapes of the layers") from error
        self.nodes.append(dataclasses.replace(draft, shape=shape))
        return name

    def pad(self, path: str, name: str, padding: tuple[int, int, int, int]) -> str:
        """Zeros around a map: a convolution of 1 x 1 with its padding, which is folded into what follows."""
        shape = self.shape(name)
        if len(shape) != 3:
            raise Refusal("padding of something else than a feature map", "pad feature maps only")
        if min(padding) < 0:
            raise Refusal("negative padding cuts the map", "use a stride or a smaller input instead")
        channels = shape[0]
        return self.add(
            Conv,
            path,
            [name],
            weight=as_float64(np.ones((channels, 1, 1, 1))),
            bias=as_float64(np.zeros(channels)),
            padding=padding,
            groups=channels,
        )

    def reshape(self, path: str, name: str, shape: Shape) -> str:
        """The same values in the same order under another shape, where channels stay channels."""
        have = self.shape(name)
        if have == shape:
            return name
        if prod(have) != prod(shape):
            raise Refusal("a reshape that mixes the samples of a batch", "use x.flatten(1): keep axis 0")
        first = self.nodes[0]
        if name == first.name and len(self.nodes) == 1 and len(shape) == 3:
            self.nodes[0] = Input(first.name, first.path, (), shape)
            return name
        if len(shape) > 1 and (have[0] != shape[0] or len(shape) > 3):
            raise Refusal(
                f"a reshape from {have} to {shape} that mixes channels",
                "flatten to a vector, or give the model its input in the final shape",
            )
        return self.add(Flatten, path, [name], shape=shape)

    def refuse(self, path: str, refusal: Refusal) -> None:
        self.refusals.setdefault(path, refusal)

    def unknown(self, path: str, shape: Shape) -> str:
        """A node that stands for the value of something refused: given from outside, like an input."""
        self.nodes.append(Input(self._name(path), path, (), shape))
        return self.nodes[-1].name

    def shape(self, name: str) -> Shape:
        return next(node.shape for node in reversed(self.nodes) if node.name == name)

    def finish(self, output: str | None) -> Graph:
        """The graph that ends in `output`, without what nothing uses; raises ConversionError for refusals."""
        if self.refusals:
            raise self._error()
        if output is None or output == self.nodes[0].name:
            raise ConversionError(
                "there is no layer between input and output", where=self.source, code="conversion.empty"
            )
        needed, kept = {output, self.nodes[0].name}, []
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
                kept.append(node)
        return remove_identities(fold_padding(Graph(tuple(reversed(kept)), tuple(self.notes))))

    def _error(self) -> ConversionError:
        lines = [f"\n  {path}: {each.problem}. Fix: {each.fix}" for path, each in self.refusals.items()]
        count = "1 operation" if len(lines) == 1 else f"{len(lines)} operations"
        return ConversionError(f"{count} cannot be converted:{''.join(lines)}", where=self.source)

    def _name(self, path: str) -> str:
        module, _, kind = path.rpartition(" (")
        base = re.sub(r"\W+", "_", module if kind[:1].isupper() else f"{module}_{kind[:-1]}", flags=re.ASCII)
        base = base.strip("_") or "node"
        if not base.isidentifier():
            base = f"n_{base}"
        taken = {node.name for node in self.nodes}
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        return name
