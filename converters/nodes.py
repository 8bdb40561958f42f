"""The layers of a graph between a trained network and a spiking one, with their weights in float64.

A feature map has the shape (channels, height, width), one-dimensional ones (channels, 1, length); a
vector has (n,). The batch is never part of a shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from snnsim.converters import windows
from snnsim.converters.products import product
from snnsim.errors import ConversionError

Shape = tuple[int, ...]
Four = tuple[int, int, int, int]
Two = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Node(ABC):
    """One operation.

    name     unique identifier of letters, digits and _
    path     where it stands in the source model, as "features.3 (ReLU)"
    inputs   names of the nodes whose values it takes
    shape    of its value, without the batch
    """

    name: str
    path: str
    inputs: tuple[str, ...]
    shape: Shape

    @abstractmethod
    def shape_for(self, *shapes: Shape) -> Shape:
        """Shape of the value for inputs of these shapes; ConversionError when they do not fit."""

    @abstractmethod
    def value(self, *x: np.ndarray) -> np.ndarray:
        """float64[n, *shape] for inputs float64[n, *input shape]."""

    def refuse(self, problem: str, got: object, expected: str) -> ConversionError:
        return ConversionError(problem, where=self.path, got=got, expected=expected, code="conversion.shape")

    def _map(self, shape: Shape) -> tuple[int, int, int]:
        if len(shape) != 3:
            raise self.refuse("this layer needs a feature map", shape, "a shape (channels, height, width)")
        return shape[0], shape[1], shape[2]


@dataclass(frozen=True, eq=False)
class Input(Node):
    """What the model is given; values of another shape but the same number are reshaped."""

    def shape_for(self, *shapes: Shape) -> Shape:
        return self.shape

    def value(self, *x: np.ndarray) -> np.ndarray:
        return x[0].reshape(len(x[0]), *self.shape)


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """y = W x + b,  weight[out, in], bias[out]."""

    weight: np.ndarray
    bias: np.ndarray

    def shape_for(self, *shapes: Shape) -> Shape:
        if shapes[0] != (self.weight.shape[1],):
            raise self.refuse("the matrix does not fit", shapes[0], f"a vector of {self.weight.shape[1]}")
        return (self.weight.shape[0],)

    def value(self, *x: np.ndarray) -> np.ndarray:
        return product(x[0], self.weight.T) + self.bias


@dataclass(frozen=True, eq=False)
class Conv(Node):
    """Convolution without flipping: weight[out, in / groups, rows, columns], bias[out].

    padding   (top, bottom, left, right) with zeros
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: Two = (1, 1)
    padding: Four = (0, 0, 0, 0)
    dilation: Two = (1, 1)
    groups: int = 1

    def shape_for(self, *shapes: Shape) -> Shape:
        channels, height, width = self._map(shapes[0])
        out, per_group = self.weight.shape[:2]
        if channels != per_group * self.groups or out % self.groups:
            expected = f"{per_group * self.groups} channels, and {out} a multiple of the {self.groups} groups"
            raise self.refuse("the kernel does not fit", shapes[0], expected)
        return out, *_fitting(self, self._slide, (height, width), shapes[0])

    @property
    def _slide(self) -> windows.Slide:
        kernel = (self.weight.shape[2], self.weight.shape[3])
        return windows.Slide(kernel, self.stride, self.padding, self.dilation, False)

    def value(self, *x: np.ndarray) -> np.ndarray:
        return windows.convolve(x[0], self.weight, self._slide, self.groups) + self.bias[:, None, None]


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """y_c = scale_c x_c + shift_c for each channel c (each unit of a vector)."""

    scale: np.ndarray
    shift: np.ndarray

    def shape_for(self, *shapes: Shape) -> Shape:
        if shapes[0][:1] != self.scale.shape or self.shift.shape != self.scale.shape:
            raise self.refuse("one scale a channel is needed", self.scale.shape, f"({shapes[0][0]},)")
        return shapes[0]

    def value(self, *x: np.ndarray) -> np.ndarray:
        per_channel = (-1,) + (1,) * (x[0].ndim - 2)
        return x[0] * self.scale.reshape(per_channel) + self.shift.reshape(per_channel)


@dataclass(frozen=True, eq=False)
class ReLU(Node):
    """y = min(max(x, 0), cap); no cap when None."""

    cap: float | None = None

    def shape_for(self, *shapes: Shape) -> Shape:
        if self.cap is not None and not self.cap > 0:
            raise self.refuse("the largest value must be positive", self.cap, "a number > 0")
        return shapes[0]

    def value(self, *x: np.ndarray) -> np.ndarray:
        return np.clip(x[0], 0.0, self.cap)


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """Base of what reduces each window of a channel to one value.

    padding     (top, bottom, left, right); never the largest of a window, zero in a sum
    ceil_mode   also windows that reach over the lower or right end
    """

    kernel: Two
    stride: Two
    padding: Four = (0, 0, 0, 0)
    dilation: Two = (1, 1)
    ceil_mode: bool = False

    @property
    def slide(self) -> windows.Slide:
        return windows.Slide(self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)

    def shape_for(self, *shapes: Shape) -> Shape:
        channels, height, width = self._map(shapes[0])
        return channels, *_fitting(self, self.slide, (height, width), shapes[0])


@dataclass(frozen=True, eq=False)
class SumPool(Pool):
    """The sum of each window."""

    def value(self, *x: np.ndarray) -> np.ndarray:
        return windows.sums(x[0], self.slide)


@dataclass(frozen=True, eq=False)
class AvgPool(Pool):
    """The mean of each window: its sum over the divisor, which by default is the number of places.

    count_include_pad   places in the padding count too (those past the padding, from ceil_mode, never)
    """

    count_include_pad: bool = True
    divisor: float | None = None

    def shape_for(self, *shapes: Shape) -> Shape:
        if self.divisor is not None and not self.divisor > 0:
            raise self.refuse("the divisor must be positive", self.divisor, "a number > 0")
        return super().shape_for(*shapes)

    def divisors(self, size: Two) -> np.ndarray:
        """float64[rows, columns]: what the sum of each window is divided by, for a map of this size."""
        if self.divisor is not None:
            return np.full(self.slide.output(size), float(self.divisor))
        return windows.places(size, self.slide, self.count_include_pad)

    def value(self, *x: np.ndarray) -> np.ndarray:
        return windows.sums(x[0], self.slide) / self.divisors((x[0].shape[2], x[0].shape[3]))


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """The largest value of each window."""

    def value(self, *x: np.ndarray) -> np.ndarray:
        return windows.maxima(x[0], self.slide)


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """The same values in the same order: as a vector, or as another map of the same channels.

    Units are numbered channel first in either shape, so nothing moves.
    """

    def shape_for(self, *shapes: Shape) -> Shape:
        if prod(shapes[0]) != prod(self.shape):
            raise self.refuse("the number of values changes", self.shape, f"{prod(shapes[0])} values")
        if len(self.shape) > 1 and self.shape[0] != shapes[0][0]:
            raise self.refuse("the channels change", self.shape, f"a vector, or {shapes[0][0]} channels")
        return self.shape

    def value(self, *x: np.ndarray) -> np.ndarray:
        return x[0].reshape(len(x[0]), *self.shape)


@dataclass(frozen=True, eq=False)
class Add(Node):
    """The sum of all inputs."""

    def shape_for(self, *shapes: Shape) -> Shape:
        if len(set(shapes)) != 1:
            raise self.refuse("only equal shapes can be added", list(shapes), "one shape")
        return shapes[0]

    def value(self, *x: np.ndarray) -> np.ndarray:
        return np.sum(x, axis=0)


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """The inputs one after the other along axis 0: channels of maps, units of vectors."""

    axis: int = 0

    def shape_for(self, *shapes: Shape) -> Shape:
        if self.axis != 0 or len({shape[1:] for shape in shapes}) != 1:
            raise self.refuse("only channels can be joined", list(shapes), "shapes that agree but in axis 0")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def value(self, *x: np.ndarray) -> np.ndarray:
        return np.concatenate(x, axis=1)


def _fitting(node: Node, slide: windows.Slide, size: Two, shape: Shape) -> Two:
    output = slide.output(size)
    if min(output) < 1:
        raise node.refuse("the window is larger than the map with its padding", shape, "a larger map")
    return output


def as_float64(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """A read-only contiguous float64 copy, the form of all weights of a graph."""
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array
