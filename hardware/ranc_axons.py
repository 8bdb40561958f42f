"""Whole weights on a crossbar of bits: the axons that sources need, their types, and weights for these.

A neuron has one weight for each of 4 types of axons, and each crossing is there or not.  A source may have an
axon of several types: with weights of 1, 2, 4, -8 times any number it reaches all multiples from -8 to 7.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnsim.hardware.ranc import HIGH, LOW, TYPES

_BITS = np.array([1, 2, 4, -8])


class Crossbar(NamedTuple):
    """Axons that compute weight[neuron, source], exactly.

    source, axon_type  int64[n_axons]
    weight             int64[n_neurons, 4]
    connected          bool[n_neurons, n_axons]
    """

    source: np.ndarray
    axon_type: np.ndarray
    weight: np.ndarray
    connected: np.ndarray


def crossbar(matrix: np.ndarray) -> Crossbar | None:
    """The crossbar with the fewest axons, of three ways to assign types; None where no way does.

    matrix  int64[n_neurons, n_sources]
    The ways: types are the values of the whole core (up to 4); or of each neuron, where it has up to 4, and
    else bits; or bits everywhere.
    """
    ways = [_by_value(matrix), _by_neuron(matrix, few_values=True), _by_neuron(matrix, few_values=False)]
    found = [way for way in ways if way is not None]
    return min(found, key=lambda way: way.source.size, default=None)


def _by_value(matrix: np.ndarray) -> Crossbar | None:
    values = np.unique(matrix[matrix != 0])
    if values.size > TYPES:
        return None
    weight = np.zeros((len(matrix), TYPES), np.int64)
    weight[:, : values.size] = values
    return _assembled(matrix, weight, np.stack([matrix == value for value in weight[0]], axis=2))


def _by_neuron(matrix: np.ndarray, few_values: bool) -> Crossbar | None:
    """Types of each neuron for itself: its values, in ascending order, or bits."""
    weight = np.zeros((len(matrix), TYPES), np.int64)
    uses = np.zeros((*matrix.shape, TYPES), bool)
    for k, row in enumerate(matrix):
        values = np.unique(row[row != 0])
        if values.size <= TYPES and (few_values or not fits_bits(row)):
            weight[k, : values.size] = values
            uses[k] = row[:, None] == weight[k]
        elif fits_bits(row):
            unit = _unit(row)
            weight[k] = unit * _BITS
            uses[k] = (row[:, None] // unit >> np.arange(TYPES)) & 1 == 1
        else:
            return None
    return _assembled(matrix, weight, uses)


def fits_bits(row: np.ndarray) -> bool:
    """Are all weights multiples from -8 to 7 of a number whose eightfold is a weight?"""
    unit = _unit(row)
    return bool(np.all((row // unit >= -8) & (row // unit <= 7)) and -8 * unit >= LOW and 4 * unit <= HIGH)


def _unit(row: np.ndarray) -> int:
    return int(np.gcd.reduce(np.abs(row))) or 1


def _assembled(matrix: np.ndarray, weight: np.ndarray, uses: np.ndarray) -> Crossbar:
    """uses bool[n_neurons, n_sources, 4]: which types the weight of a pair is made of."""
    uses &= (matrix != 0)[:, :, None]
    source, axon_type = np.nonzero(uses.any(axis=0))
    return Crossbar(source, axon_type, weight, uses[:, source, axon_type])
