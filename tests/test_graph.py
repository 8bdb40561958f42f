"""The numpy reference of graphs against loops written out, and the checks on construction."""

from __future__ import annotations

import numpy as np
import pytest

from snnsim.converters.graph import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    ReLU,
    SumPool,
    check_parity,
)
from snnsim.errors import ConversionError

RANDOM = np.random.default_rng(3)


def _graph(*nodes: Node, shape: tuple[int, ...] = (4, 7, 6)) -> Graph:
    return Graph((Input("x", "x", (), shape), *nodes))


def _at(x: np.ndarray, row: int, column: int) -> np.ndarray | None:
    inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
    return x[:, row, column] if inside else None


def test_convolution_is_the_sum_over_its_window() -> None:
    weight, bias = RANDOM.normal(size=(6, 2, 3, 2)), RANDOM.normal(size=6)
    conv = Conv("c", "c", ("x",), (6, 4, 5), weight, bias, (2, 1), (2, 1, 0, 1), (1, 2), 2)
    x = RANDOM.normal(size=(2, 4, 7, 6))
    y = _graph(conv).evaluate(x)["c"]
    assert y.shape == (2, 6, 4, 5)
    for sample, out, row, column in np.ndindex(y.shape):
        total, group = bias[out], out // 3
        for i, j in np.ndindex(3, 2):
            seen = _at(x[sample], row * 2 + i - 2, column + 2 * j)
            if seen is not None:
                total += weight[out, :, i, j] @ seen[2 * group : 2 * group + 2]
        assert y[sample, out, row, column] == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count", [False, True])
def test_pools_reduce_their_window(ceil_mode: bool, count: bool) -> None:
    x = RANDOM.normal(size=(1, 1, 7, 6))
    shape = (1, 4, 4) if ceil_mode else (1, 4, 3)
    common = {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 1, 0, 1), "ceil_mode": ceil_mode}
    if ceil_mode:
        common["padding"] = (1, 1, 1, 1)
    graph = _graph(
        SumPool("s", "s", ("x",), shape, **common),
        MaxPool("m", "m", ("x",), shape, **common),
        AvgPool("a", "a", ("x",), shape, **common, count_include_pad=count),
        AvgPool("d", "d", ("x",), shape, **common, divisor=5.0),
        shape=(1, 7, 6),
    )
    values = graph.evaluate(x)
    left, right, bottom = common["padding"][2], common["padding"][3], 1
    for row, column in np.ndindex(shape[1:]):
        places = [(row * 2 + i - 1, column * 2 + j - left) for i in range(3) for j in range(2)]
        seen = [v[0] for v in (_at(x[0], *place) for place in places) if v is not None]
        n_padded = sum(a < 7 + bottom and b < 6 + right for a, b in places)
        assert values["s"][0, 0, row, column] == pytest.approx(sum(seen), abs=1e-12)
        assert values["m"][0, 0, row, column] == max(seen)
        mean = sum(seen) / (n_padded if count else len(seen))
        assert values["a"][0, 0, row, column] == pytest.approx(mean, abs=1e-12)
        assert values["d"][0, 0, row, column] == pytest.approx(sum(seen) / 5.0, abs=1e-12)


def test_the_other_nodes() -> None:
    x = RANDOM.normal(size=(3, 2, 1, 2))
    weight, bias = RANDOM.normal(size=(3, 8)), RANDOM.normal(size=3)
    graph = _graph(
        Affine("a", "a", ("x",), (2, 1, 2), np.array([2.0, -1.0]), np.array([0.5, 0.0])),
        ReLU("r", "r", ("a",), (2, 1, 2), 1.0),
        Add("s", "s", ("r", "x", "x"), (2, 1, 2)),
        Concat("c", "c", ("s", "r"), (4, 1, 2)),
        Flatten("f", "f", ("c",), (8,)),
        Linear("l", "l", ("f",), (3,), weight, bias),
        shape=(2, 1, 2),
    )
    values = graph.evaluate(x.reshape(3, 4))
    affine = x * np.array([2.0, -1.0])[:, None, None] + np.array([0.5, 0.0])[:, None, None]
    relu = np.minimum(np.maximum(affine, 0.0), 1.0)
    joined = np.concatenate([relu + 2 * x, relu], axis=1)
    np.testing.assert_array_equal(values["r"], relu)
    np.testing.assert_allclose(values["c"], joined, rtol=1e-15)
    np.testing.assert_allclose(values["l"], joined.reshape(3, 8) @ weight.T + bias, rtol=1e-12)
    assert graph.output.name == "l"
    assert graph["f"].shape == (8,)
    assert [node.name for node in graph.consumers("r")] == ["s", "c"]


@pytest.mark.parametrize(
    ("nodes", "code", "part"),
    [
        ([ReLU("x", "again", ("x",), (4, 7, 6))], "conversion.graph", "a name is used twice"),
        ([ReLU("r", "r", ("y",), (4, 7, 6))], "conversion.graph", "not in order"),
        ([ReLU("r-1", "r", ("x",), (4, 7, 6))], "conversion.graph", "r-1"),
        ([ReLU("r", "r", ("x",), (4, 7, 5))], "conversion.shape", "does not follow"),
        ([ReLU("r", "r", ("x",), (4, 7, 6), 0.0)], "conversion.shape", "positive"),
        (
            [Linear("l", "l", ("x",), (2,), np.ones((2, 168)), np.ones(2))],
            "conversion.shape",
            "a vector of 168",
        ),
        ([MaxPool("m", "m", ("x",), (4, 0, 0), (9, 9), (1, 1))], "conversion.shape", "larger than the map"),
        ([Flatten("f", "f", ("x",), (4, 5))], "conversion.shape", "number of values"),
        ([Flatten("f", "f", ("x",), (2, 14, 6))], "conversion.shape", "channels change"),
        (
            [Conv("c", "c", ("x",), (1, 7, 6), np.ones((1, 3, 1, 1)), np.ones(1))],
            "conversion.shape",
            "3 channels",
        ),
        (
            [Affine("a", "a", ("x",), (4, 7, 6), np.ones(3), np.ones(3))],
            "conversion.shape",
            "one scale a channel",
        ),
        ([Input("y", "y", (), (1,))], "conversion.graph", "one Input"),
    ],
)
def test_a_graph_that_does_not_fit_together_is_refused(nodes: list[Node], code: str, part: str) -> None:
    with pytest.raises(ConversionError, match=part) as caught:
        _graph(*nodes)
    assert caught.value.code == code


def test_inputs_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ConversionError, match="wrong shape"):
        _graph(ReLU("r", "r", ("x",), (4, 7, 6))).evaluate(np.zeros((2, 4, 7, 7)))


def test_parity_names_the_first_node_that_deviates() -> None:
    graph = _graph(ReLU("a", "first", ("x",), (3,)), ReLU("b", "second", ("a",), (3,)), shape=(3,))
    x = np.array([[1.0, -2.0, 4.0]])
    good = np.array([[1.0, 0.0, 4.0]])
    assert check_parity(graph, good * (1 + 0.9e-5), x) == pytest.approx(0.9e-5, rel=1e-3)
    bad = good + [[0.0, 0.0, 4.4e-5]]
    with pytest.raises(ConversionError, match="second: ") as caught:
        check_parity(graph, {"a": good, "b": bad}, x)
    assert caught.value.code == "conversion.parity"
    with pytest.raises(ConversionError, match="first: "):
        check_parity(graph, {"a": bad, "b": bad}, x)
    assert check_parity(graph, {"a": bad, "b": good}, x) == 0.0
    for broken in (good * np.nan, good[:, :2]):
        with pytest.raises(ConversionError, match="something else"):
            check_parity(graph, broken, x)
