"""Sparse maps against dense matrices, and windows against torch where it is installed, or four loops."""

import itertools

import numpy as np
import pytest

from snnsim.converters import sparse_map
from snnsim.converters.sparse_map import SparseMap, sliding_window
from snnsim.errors import ConversionError


def dense(found: SparseMap, n_source: int) -> np.ndarray:
    matrix = np.zeros((found.n_target, n_source))
    np.add.at(matrix, (found.target, found.source), found.weight)
    return matrix


def random_map(rng: np.random.Generator, n_target: int, n_source: int, n: int) -> SparseMap:
    return SparseMap.of(
        rng.integers(0, n_target, n), rng.integers(0, n_source, n), rng.normal(size=n), n_target,
        rng.integers(0, 3, n) * 1e-3,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_composition_and_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = random_map(rng, 7, 5, 20), random_map(rng, 4, 7, 15), random_map(rng, 7, 5, 9)
    np.testing.assert_allclose(dense(b.after(a, ""), 5), dense(b, 7) @ dense(a, 5), atol=1e-12)
    np.testing.assert_allclose(dense(a.plus(c), 5), dense(a, 5) + dense(c, 5), atol=1e-12)
    x = rng.normal(size=5)
    np.testing.assert_allclose(a.apply(x), dense(a, 5) @ x, atol=1e-12)


def test_delays_add_up_and_stay_apart() -> None:
    one = SparseMap.of(np.array([0, 0]), np.array([0, 0]), np.ones(2), 1, np.array([0.1, 0.2]))
    assert one.delay.tolist() == [0.1, 0.2]
    assert one.after(one, "").delay.tolist() == [0.2, pytest.approx(0.3), 0.4]
    assert one.after(one, "").weight.tolist() == [1, 2, 1]


def test_what_cancels_is_left_out() -> None:
    found = SparseMap.of(np.array([0, 0, 1]), np.array([0, 0, 0]), np.array([2.0, -2.0, 1.0]), 2)
    assert (found.target.tolist(), found.weight.tolist()) == ([1], [1.0])


CASES = list(itertools.product([1, 2], [(1, 1), (2, 1)], [(0, 0, 0, 0), (1, 2, 0, 1)], [(1, 1), (2, 3)]))


@pytest.mark.parametrize(("groups", "stride", "padding", "dilation"), CASES)
def test_convolution(groups, stride, padding, dilation) -> None:
    rng = np.random.default_rng(1)
    c_in, c_out, h, w, kh, kw = 4, 6, 7, 9, 3, 2
    weight, x = rng.normal(size=(c_out, c_in // groups, kh, kw)), rng.normal(size=(c_in, h, w))
    found = sliding_window((c_in, h, w), weight, groups, stride, padding, dilation, "")
    padded = np.pad(x, ((0, 0), padding[:2], padding[2:]))
    out_h = (padded.shape[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    out_w = (padded.shape[2] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    expected = np.zeros((c_out, out_h, out_w))
    for co, ci, ky, kx in np.ndindex(c_out, c_in // groups, kh, kw):
        source = padded[co // (c_out // groups) * (c_in // groups) + ci]
        rows = ky * dilation[0] + stride[0] * np.arange(out_h)
        columns = kx * dilation[1] + stride[1] * np.arange(out_w)
        expected[co] += weight[co, ci, ky, kx] * source[np.ix_(rows, columns)]
    np.testing.assert_allclose(found.apply(x.ravel()), expected.ravel(), atol=1e-12)


def test_too_much_is_refused_before_it_is_made(monkeypatch) -> None:
    monkeypatch.setattr(sparse_map, "MAX_ENTRIES", 100)
    full = SparseMap.of(np.repeat(np.arange(9), 9), np.tile(np.arange(9), 9), np.ones(81), 9)
    with pytest.raises(ConversionError, match="here: too many synapses"):
        full.after(full, "here")
    with pytest.raises(ConversionError, match="here: too many synapses"):
        sliding_window((1, 9, 9), np.ones((2, 1, 3, 3)), 1, (1, 1), (0, 0, 0, 0), (1, 1), "here")
