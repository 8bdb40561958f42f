"""Small random graphs that tests of converters share."""

from __future__ import annotations

import numpy as np

from snnsim.converters import graph as g


def residual(seed: int = 0) -> tuple[g.Graph, np.ndarray]:
    """Convolutions, max and average pooling, a sum over a shortcut, a join; inputs [24, 1, 8, 8] >= 0."""
    rng = np.random.default_rng(seed)

    def conv(name: str, source: str, n_in: int, n_out: int, groups: int = 1, size: int = 8) -> g.Conv:
        weight = rng.normal(size=(n_out, n_in // groups, 3, 3)) / np.sqrt(4.5 * n_in / groups)
        bias = 0.1 * rng.normal(size=n_out)
        shape, pad = (n_out, size, size), (1, 1, 1, 1)
        return g.Conv(name, name, (source,), shape, weight, bias, (1, 1), pad, (1, 1), groups)

    def relu(name: str, source: g.Node, cap: float | None = None) -> g.ReLU:
        return g.ReLU(name, name, (source.name,), source.shape, cap)

    nodes: list[g.Node] = [g.Input("x", "x", (), (1, 8, 8))]
    nodes += [first := conv("c0", "x", 1, 4), relu("a0", first)]
    nodes += [second := conv("c1", "a0", 4, 4, groups=2), relu("a1", second, 1.5)]
    nodes += [third := conv("c2", "a1", 4, 4), g.Add("sum", "sum", ("c2", "a0"), third.shape)]
    nodes += [g.ReLU("a2", "a2", ("sum",), third.shape)]
    nodes += [g.MaxPool("top", "top", ("a2",), (4, 4, 4), (2, 2), (2, 2))]
    nodes += [g.AvgPool("mean", "mean", ("a1",), (4, 4, 4), (2, 2), (2, 2))]
    nodes += [g.Concat("both", "both", ("top", "mean"), (8, 4, 4))]
    nodes += [fourth := conv("c3", "both", 8, 6, size=4), relu("a3", fourth)]
    nodes += [g.Flatten("flat", "flat", ("a3",), (96,))]
    weight = rng.normal(size=(5, 96)) / 8
    nodes += [g.Linear("out", "out", ("flat",), (5,), weight, 0.1 * rng.normal(size=5))]
    x = rng.random((24, 1, 8, 8)) * (rng.random((24, 1, 8, 8)) < 0.6)
    return g.Graph(tuple(nodes)), x


def mlp(seed: int = 0, sizes: tuple[int, ...] = (20, 16, 12, 4), n: int = 200) -> tuple[g.Graph, np.ndarray]:
    """Linear layers with ReLU between; inputs [n, sizes[0]] in [0, 1)."""
    rng = np.random.default_rng(seed)
    nodes: list[g.Node] = [g.Input("x", "x", (), (sizes[0],))]
    for k, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        weight = rng.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in)
        bias = 0.2 * rng.normal(size=n_out)
        nodes.append(g.Linear(f"f{k}", f"f{k}", (nodes[-1].name,), (n_out,), weight, bias))
        if k < len(sizes) - 2:
            nodes.append(g.ReLU(f"a{k}", f"a{k}", (f"f{k}",), (n_out,)))
    return g.Graph(tuple(nodes)), rng.random((n, sizes[0]))
