"""Rewriting a graph without changing what it computes: batch normalisation, padding, identities."""

from __future__ import annotations

import dataclasses

import numpy as np

from snnsim.converters.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    Graph,
    Linear,
    MaxPool,
    Node,
    Pool,
    ReLU,
    SumPool,
    as_float64,
)


def fold_batchnorm(graph: Graph) -> Graph:
    """Every Affine goes into the Conv, Linear or Affine before it, where nothing else takes that one's value.

    weight'_c = scale_c weight_c ;  bias'_c = scale_c bias_c + shift_c        equal up to rounding
    An Affine after anything else (a pool, a sum, a ReLU) stays.
    """
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node = _with_inputs(node, renamed)
        before = nodes.get(node.inputs[0]) if isinstance(node, Affine) else None
        if (
            isinstance(node, Affine)
            and isinstance(before, Conv | Linear | Affine)
            and _only_consumer(graph, before.name, renamed)
        ):
            nodes[before.name] = _scaled(before, node)
            renamed[node.name] = before.name
        else:
            nodes[node.name] = node
    return _rebuilt(graph, nodes, renamed)


def fold_padding(graph: Graph) -> Graph:
    """A 1 x 1 convolution that only pads goes into the convolution or pool after it.

    Into a MaxPool only after a ReLU (there zeros are never larger than the map) and where every window
    still sees the map; into an average only where padding counts.
    """
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node = _with_inputs(node, renamed)
        before = nodes.get(node.inputs[0]) if node.inputs else None
        if (
            isinstance(node, Conv | Pool)
            and isinstance(before, Conv)
            and _only_pads(before)
            and len(graph.consumers(before.name)) == 1
            and _takes_padding(node, nodes[before.inputs[0]], before)
        ):
            (top, bottom, left, right), more = node.padding, before.padding
            padding = (top + more[0], bottom + more[1], left + more[2], right + more[3])
            node = dataclasses.replace(node, padding=padding, inputs=before.inputs)
            del nodes[before.name]
        nodes[node.name] = node
    return _rebuilt(graph, nodes, renamed)


def remove_identities(graph: Graph) -> Graph:
    """Nodes that give back their only input are left out; two ReLUs in a row become one, and two reshapes."""
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node = _with_inputs(node, renamed)
        source = nodes[node.inputs[0]] if node.inputs else None
        if isinstance(node, ReLU) and isinstance(source, ReLU):
            caps = [cap for cap in (node.cap, source.cap) if cap is not None]
            node = dataclasses.replace(node, inputs=source.inputs, cap=min(caps, default=None))
        if isinstance(node, Flatten) and isinstance(source, Flatten):
            source = nodes[source.inputs[0]]
            node = dataclasses.replace(node, inputs=(source.name,))
        if source is not None and len(graph.nodes) > 2 and _is_identity(node, source, nodes):
            renamed[node.name] = source.name
        else:
            nodes[node.name] = node
    return _rebuilt(graph, nodes, renamed)


def _scaled(before: Conv | Linear | Affine, affine: Affine) -> Node:
    scale, shift = affine.scale, affine.shift
    path = f"{before.path} + {affine.path}"
    if isinstance(before, Affine):
        return dataclasses.replace(
            before,
            path=path,
            scale=as_float64(scale * before.scale),
            shift=as_float64(scale * before.shift + shift),
        )
    per_output = scale.reshape((-1,) + (1,) * (before.weight.ndim - 1))
    weight, bias = as_float64(before.weight * per_output), as_float64(scale * before.bias + shift)
    return dataclasses.replace(before, path=path, weight=weight, bias=bias)


def _only_consumer(graph: Graph, name: str, renamed: dict[str, str]) -> bool:
    """Whether one node alone takes the value that now stands under `name`."""
    last = [old for old, new in renamed.items() if new == name][-1:] or [name]
    return len(graph.consumers(last[0])) == 1


def _only_pads(conv: Conv) -> bool:
    return (
        conv.weight.shape[1:] == (1, 1, 1)
        and conv.stride == (1, 1)
        and conv.groups == len(conv.bias)
        and bool(np.all(conv.weight == 1.0) and not conv.bias.any())
    )


def _takes_padding(node: Conv | Pool, source: Node, pad: Conv) -> bool:
    if isinstance(node, Conv):
        return True
    if node.ceil_mode:
        return False  # the rule for the last window asks where the padding begins
    if isinstance(node, MaxPool):
        reach = [d * (k - 1) for d, k in zip(node.dilation, node.kernel, strict=True)]
        total = [a + b for a, b in zip(node.padding, pad.padding, strict=True)]
        sees_map = max(total[:2]) <= reach[0] and max(total[2:]) <= reach[1]
        return isinstance(source, ReLU) and node.dilation == (1, 1) and sees_map
    if isinstance(node, AvgPool):
        return node.divisor is not None or node.count_include_pad
    return True


def _is_identity(node: Node, source: Node, nodes: dict[str, Node]) -> bool:
    if isinstance(node, Affine):
        return bool(np.all(node.scale == 1.0) and not node.shift.any())
    if isinstance(node, Conv):
        return _only_pads(node) and not any(node.padding)
    if isinstance(node, AvgPool | SumPool | MaxPool):
        still = node.kernel == node.stride == (1, 1) and not any(node.padding)
        return still and not (isinstance(node, AvgPool) and node.divisor not in (None, 1))
    if isinstance(node, ReLU) and isinstance(source, ReLU):
        return node.cap == source.cap
    if isinstance(node, ReLU):
        return node.cap is None and _never_negative(source, nodes)
    if isinstance(node, Flatten):
        return node.shape == source.shape
    return isinstance(node, Add | Concat) and len(node.inputs) == 1


def _never_negative(node: Node, nodes: dict[str, Node]) -> bool:
    if isinstance(node, Pool | Flatten | Add | Concat):
        return all(_never_negative(nodes[name], nodes) for name in node.inputs)
    return isinstance(node, ReLU)


def _with_inputs(node: Node, renamed: dict[str, str]) -> Node:
    if not renamed.keys() & set(node.inputs):
        return node
    return dataclasses.replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))


def _rebuilt(graph: Graph, nodes: dict[str, Node], renamed: dict[str, str]) -> Graph:
    """The output stays last: a node it was folded into may stand before branches that are not used."""
    output = renamed.get(graph.output.name, graph.output.name)
    needed, kept = {output}, []
    for node in reversed(nodes.values()):
        if node.name in needed or not node.inputs:
            needed.update(node.inputs)
            kept.append(node)
    return dataclasses.replace(graph, nodes=tuple(reversed(kept)))
