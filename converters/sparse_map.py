"""Sparse linear maps between numbered units, each entry with a delay: what lies between two populations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConversionError

MAX_ENTRIES = 20_000_000


@dataclass(frozen=True)
class SparseMap:
    """y[target] += weight x[source], `delay` seconds later; entries in the order of source, target, delay.

    target, source   int64[n]
    weight, delay    float64[n]
    n_target         length of y
    """

    target: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    n_target: int

    @classmethod
    def of(
        cls, target: np.ndarray, source: np.ndarray, weight: np.ndarray, n_target: int,
        delay: np.ndarray | None = None,
    ) -> SparseMap:  # fmt: skip
        """Entries of the same pair and delay are added up, and those of weight 0 left out."""
        delay = np.zeros(weight.size) if delay is None else delay
        order = np.lexsort((delay, target, source))
        target, source, weight, delay = target[order], source[order], weight[order], delay[order]
        new = np.ones(weight.size, bool)
        new[1:] = (np.diff(source) != 0) | (np.diff(target) != 0) | (np.diff(delay) != 0)
        first = np.flatnonzero(new)
        total = np.add.reduceat(weight, first) if first.size else weight
        kept = total != 0
        first = first[kept]
        return cls(target[first], source[first], total[kept], delay[first], n_target)

    @classmethod
    def identity(cls, n: int) -> SparseMap:
        """y = x."""
        every = np.arange(n)
        return cls(every, every, np.ones(n), np.zeros(n), n)

    def after(self, first: SparseMap, where: str) -> SparseMap:
        """What `first` and then this map do.  ConversionError, naming `where`, when there is too much."""
        # Entries lie in the order of their sources, so each of `first` meets a run of them.
        begin = np.searchsorted(self.source, first.target, side="left")
        count = np.searchsorted(self.source, first.target, side="right") - begin
        check_entries(int(count.sum()), where)
        a = np.repeat(np.arange(count.size), count)
        b = begin[a] + np.arange(a.size) - (np.cumsum(count) - count)[a]
        return SparseMap.of(
            self.target[b], first.source[a], self.weight[b] * first.weight[a], self.n_target,
            first.delay[a] + self.delay[b],
        )  # fmt: skip

    def plus(self, other: SparseMap) -> SparseMap:
        """The sum of both."""
        return SparseMap.of(
            np.concatenate([self.target, other.target]),
            np.concatenate([self.source, other.source]),
            np.concatenate([self.weight, other.weight]),
            self.n_target,
            np.concatenate([self.delay, other.delay]),
        )

    def delayed(self, seconds: np.ndarray) -> SparseMap:
        """The same, seconds[target] later."""
        later = self.delay + seconds[self.target]
        return SparseMap.of(self.target, self.source, self.weight, self.n_target, later)

    def scaled(self, factor: np.ndarray) -> SparseMap:
        """The same with weights factor[target] times as large."""
        return SparseMap.of(
            self.target, self.source, self.weight * factor[self.target], self.n_target, self.delay
        )

    def apply(self, x: np.ndarray) -> np.ndarray:
        """y of a constant x."""
        return np.bincount(self.target, self.weight * x[self.source], self.n_target)


def check_entries(n: int, where: str) -> None:
    """ConversionError when a map would have more entries than fit into memory."""
    if n > MAX_ENTRIES:
        raise ConversionError(
            "too many synapses to write out one by one", where=where, got=n, expected=f"at most {MAX_ENTRIES}"
        )


def sliding_window(
    shape: tuple[int, int, int], weight: np.ndarray, groups: int, stride: tuple[int, int],
    padding: tuple[int, int, int, int], dilation: tuple[int, int], where: str,
) -> SparseMap:  # fmt: skip
    """The convolution of a map of (channels, rows, columns).

    weight    [c_out, c_in / groups, kernel rows, kernel columns]
    padding   top, bottom, left, right
    Units are numbered channel first, (c * rows + y) * columns + x.
    Raises ConversionError, naming `where`, when the window is larger than the map or there are too many.
    """
    _, h, w = shape
    c_out, in_group, kh, kw = weight.shape
    out_h, out_w = window_result(shape, (kh, kw), stride, padding, dilation, where)
    check_entries(c_out * in_group * kh * kw * out_h * out_w, where)
    target, source, value = [], [], []
    oy, ox = np.arange(out_h), np.arange(out_w)
    co = np.arange(c_out)[:, None]
    ci = (co // (c_out // groups)) * in_group + np.arange(in_group)[None, :]
    for ky in range(kh):
        for kx in range(kw):
            y = oy * stride[0] + ky * dilation[0] - padding[0]
            x = ox * stride[1] + kx * dilation[1] - padding[2]
            rows, columns = (y >= 0) & (y < h), (x >= 0) & (x < w)
            at_out = (oy[rows][:, None] * out_w + ox[columns]).ravel()
            at_in = (y[rows][:, None] * w + x[columns]).ravel()
            shape4 = (c_out, in_group, at_in.size)
            target.append(np.broadcast_to(co[:, :, None] * (out_h * out_w) + at_out, shape4).ravel())
            source.append((ci[:, :, None] * (h * w) + at_in).ravel())
            value.append(np.broadcast_to(weight[:, :, ky, kx, None], shape4).ravel())
    return SparseMap.of(
        np.concatenate(target), np.concatenate(source), np.concatenate(value), c_out * out_h * out_w
    )


def window_result(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int, int, int], dilation: tuple[int, int], where: str,
) -> tuple[int, int]:  # fmt: skip
    """(rows, columns) of what a sliding window makes of a map."""
    _, h, w = shape
    out_h = (h + padding[0] + padding[1] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    out_w = (w + padding[2] + padding[3] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    if min(out_h, out_w) < 1:
        raise ConversionError(
            "the window is larger than the map with its padding", where=where,
            got=f"a window of {kernel} over a map of {(h, w)}",
        )  # fmt: skip
    return out_h, out_w
