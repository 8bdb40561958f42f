"""What a NetX file says beyond its network, so that writing it again gives the same datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snnsim.network import Network


@dataclass(frozen=True)
class NetxNotes:
    """Beside a network that was read from a NetX file.

    layers     number of the layer of each population
    datasets   all datasets of the file by path; of weights and biases the type and the shape alone count, and
               they are kept as views of one element
    spike_exp  with which it was read
    """

    layers: Mapping[str, int] = field(default_factory=dict)
    datasets: Mapping[str, np.ndarray] = field(default_factory=dict)
    spike_exp: int = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class NetxNetwork(Network):
    """A network with what its NetX file says beyond it: refDelay, types and shapes of datasets, ...

    A Network in all respects; `replace` keeps the notes, and what the network itself says goes before them.
    """

    notes: NetxNotes = field(default_factory=NetxNotes)
