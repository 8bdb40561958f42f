"""Rewriting a graph changes nothing that it computes."""

from __future__ import annotations

import numpy as np
import pytest

from snnsim.converters.fold import fold_batchnorm, fold_padding, remove_identities
from snnsim.converters.graph import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    ReLU,
    SumPool,
)

RANDOM = np.random.default_rng(5)
MAP = (3, 6, 5)


def _graph(*nodes: Node) -> Graph:
    return Graph((Input("x", "x", (), MAP), *nodes))


def _conv(name: str, source: str, groups: int = 1) -> Conv:
    weight = RANDOM.normal(size=(3, 3 // groups, 3, 3))
    return Conv(
        name, name, (source,), MAP, weight, RANDOM.normal(size=3), padding=(1, 1, 1, 1), groups=groups
    )


def _affine(name: str, source: str, shape: tuple[int, ...] = MAP) -> Affine:
    return Affine(name, name, (source,), shape, RANDOM.normal(size=shape[0]), RANDOM.normal(size=shape[0]))


def _pad(name: str, source: str) -> Conv:
    return Conv(
        name, name, (source,), (3, 9, 8), np.ones((3, 1, 1, 1)), np.zeros(3), padding=(1, 2, 2, 1), groups=3
    )


def _same(before: Graph, after: Graph, tolerance: float = 1e-12) -> None:
    x = RANDOM.normal(size=(4, *MAP))
    expected = before.evaluate(x)[before.output.name]
    found = after.evaluate(x)[after.output.name]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def _kinds(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.nodes]


def test_normalisation_folds_into_the_layer_before_it() -> None:
    weight = RANDOM.normal(size=(4, 90))
    graph = _graph(
        _conv("c", "x"),
        _affine("n", "c"),
        _affine("again", "n"),
        ReLU("r", "r", ("again",), MAP),
        _conv("depthwise", "r", groups=3),
        _affine("m", "depthwise"),
        Flatten("f", "f", ("m",), (90,)),
        Linear("l", "l", ("f",), (4,), weight, RANDOM.normal(size=4)),
        _affine("o", "l", (4,)),
    )
    folded = fold_batchnorm(graph)
    assert _kinds(folded) == ["Input", "Conv", "ReLU", "Conv", "Flatten", "Linear"]
    assert folded["c"].path == "c + n + again"
    _same(graph, folded)


def test_normalisation_stays_where_the_value_before_it_is_used_twice() -> None:
    graph = _graph(_conv("c", "x"), _affine("n", "c"), Add("s", "s", ("n", "c"), MAP))
    folded = fold_batchnorm(graph)
    assert _kinds(folded) == ["Input", "Conv", "Affine", "Add"]
    _same(graph, folded)


def test_a_second_normalisation_stays_where_the_first_is_used_twice() -> None:
    graph = _graph(_conv("c", "x"), _affine("n", "c"), _affine("m", "n"), Add("s", "s", ("n", "m"), MAP))
    folded = fold_batchnorm(graph)
    assert _kinds(folded) == ["Input", "Conv", "Affine", "Add"]
    _same(graph, folded)


def test_normalisation_after_something_without_weights_stays() -> None:
    graph = _graph(_affine("first", "x"), ReLU("r", "r", ("first",), MAP), _affine("n", "r"))
    assert _kinds(fold_batchnorm(graph)) == ["Input", "Affine", "ReLU", "Affine"]


@pytest.mark.parametrize(
    "consumer",
    [
        Conv("c", "c", ("p",), (2, 7, 6), np.ones((2, 3, 3, 3)), np.ones(2)),
        AvgPool("a", "a", ("p",), (3, 5, 4), (3, 3), (2, 2), (1, 1, 1, 1)),
        AvgPool("a", "a", ("p",), (3, 7, 6), (3, 3), (1, 1), count_include_pad=False, divisor=4.0),
        SumPool("s", "s", ("p",), (3, 4, 4), (2, 2), (2, 2)),
        MaxPool("m", "m", ("p",), (3, 7, 6), (3, 3), (1, 1)),
    ],
)
def test_padding_folds_into_the_window_after_it(consumer: Node) -> None:
    graph = _graph(ReLU("r", "r", ("x",), MAP), _pad("p", "r"), consumer)
    folded = fold_padding(graph)
    assert _kinds(folded) == ["Input", "ReLU", type(consumer).__name__]
    _same(graph, folded)


@pytest.mark.parametrize(
    "consumer",
    [
        AvgPool("a", "a", ("p",), (3, 7, 6), (3, 3), (1, 1), count_include_pad=False, padding=(0, 0, 0, 0)),
        SumPool("s", "s", ("p",), (3, 5, 4), (2, 2), (2, 2), ceil_mode=True),
        MaxPool("m", "m", ("p",), (3, 7, 6), (3, 3), (1, 1)),
    ],
)
def test_padding_stays_where_it_would_mean_something_else(consumer: Node) -> None:
    graph = _graph(_pad("p", "x"), consumer)  # no ReLU before the maximum: zeros may be the largest
    folded = fold_padding(graph)
    assert _kinds(folded) == ["Input", "Conv", type(consumer).__name__]
    _same(graph, folded)


def test_identities_are_removed() -> None:
    graph = _graph(
        Affine("one", "one", ("x",), MAP, np.ones(3), np.zeros(3)),
        MaxPool("pool", "pool", ("one",), MAP, (1, 1), (1, 1)),
        ReLU("r", "r", ("pool",), MAP),
        ReLU("r6", "r6", ("r",), MAP, 0.6),
        ReLU("again", "again", ("r6",), MAP),
        Add("s", "s", ("again",), MAP),
        AvgPool("mean", "mean", ("s",), (3, 3, 2), (2, 2), (2, 2)),
        ReLU("last", "last", ("mean",), (3, 3, 2)),
        Flatten("f", "f", ("last",), (18,)),
        Flatten("g", "g", ("f",), (18,)),
    )
    short = remove_identities(graph)
    assert _kinds(short) == ["Input", "ReLU", "AvgPool", "Flatten"]
    assert short.output.name == "g"
    _same(graph, short, 0.0)


def test_what_is_no_identity_stays() -> None:
    graph = _graph(
        ReLU("r", "r", ("x",), MAP),
        AvgPool("half", "half", ("r",), MAP, (1, 1), (1, 1), divisor=2.0),
        ReLU("capped", "capped", ("half",), MAP, 0.2),
        Affine("shift", "shift", ("capped",), MAP, np.ones(3), np.array([0.0, 0.0, 1.0])),
    )
    assert len(remove_identities(graph).nodes) == 5
