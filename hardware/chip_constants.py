"""Published energy and time of the operations of chips, each set with its source.

What a source does not give is None, never zero.  No figure of one chip is ever scaled to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from snnsim.converters.energy import LOIHI_ACTIVE, LOIHI_INACTIVE, LOIHI_SPIKE, LOIHI_SYNAPSE

ENCODINGS = ("dense", "sparse", "conv")


@dataclass(frozen=True)
class Cost:
    """Energy in pJ and time in ns of one operation; None where neither was published."""

    pj: float | None
    ns: float | None


UNKNOWN = Cost(None, None)
NOTHING = Cost(0.0, 0.0)


@dataclass(frozen=True, eq=False)
class ChipConstants:
    """What the operations of a chip cost.

    synapse      a synaptic operation, by how the weights are stored: dense, sparse or conv
    access       looking at a neuron: each neuron in each step
    update       in addition, where its potential is not at rest, something arrives, or it has a bias
    spike        in addition, where it fires
    message_out  sending a message to one core;  message_in  receiving one
    hop_x, hop_y one tile further, along a row or a column
    barrier_ns   (tiles in use, ns) of the end of a step
    between      tiles between two of those: "last", the figure of the smaller one, or "line", on the line
    mark         how far the figures were checked
    """

    name: str
    source: str
    mark: str
    synapse: Mapping[str, Cost]
    access: Cost
    update: Cost
    spike: Cost
    message_out: Cost
    message_in: Cost
    hop_x: Cost
    hop_y: Cost
    barrier_ns: tuple[tuple[int, float], ...] = ()
    between: str = "last"

    def barrier(self, n_tiles: int) -> float | None:
        """ns at the end of a step in which so many tiles take part."""
        if not self.barrier_ns:
            return None
        tiles, ns = zip(*self.barrier_ns, strict=True)
        if self.between == "line":
            return float(np.interp(n_tiles, tiles, ns))
        return float(ns[max(0, int(np.searchsorted(tiles, n_tiles, side="right")) - 1)])


def _by_encoding(dense: Cost, sparse: Cost, conv: Cost) -> Mapping[str, Cost]:
    return MappingProxyType(dict(zip(ENCODINGS, (dense, sparse, conv), strict=True)))


LOIHI1 = ChipConstants(
    "loihi1",
    "SANA-FE, arch/loihi.yaml (revision 8951ab0; the same in sanafe 2.2.9), fitted to Loihi 1 by its authors",
    "read in the source; the fit itself was not checked",
    _by_encoding(Cost(35.5, 3.8), Cost(33.6, 4.7), Cost(24.0, 3.1)),
    access=Cost(51.2, 6.0), update=Cost(21.6, 3.7), spike=Cost(69.3, 30.0),
    message_out=Cost(111.0, 5.1), message_in=Cost(0.0, 16.0), hop_x=Cost(3.0, 4.1), hop_y=Cost(4.2, 6.5),
    barrier_ns=((1, 600.0), (2, 1000.0), (4, 1400.0), (29, 1800.0)),
)  # fmt: skip

LOIHI1_PAPER = ChipConstants(
    "loihi1-paper",
    LOIHI_SYNAPSE.source,
    "from secondary source: public transcriptions of table 2, which agree; north-south hop and barrier from"
    " one of them.  An inactive update is taken as the access, the rest of an active one as the update, the"
    " spike within a tile as the message",
    _by_encoding(*[Cost(LOIHI_SYNAPSE.value, 3.5)] * 3),
    access=Cost(LOIHI_INACTIVE.value, 5.3),
    update=Cost(LOIHI_ACTIVE.value - LOIHI_INACTIVE.value, 8.4 - 5.3),
    spike=NOTHING, message_out=Cost(LOIHI_SPIKE.value, 2.1), message_in=NOTHING,
    hop_x=Cost(3.0, 4.1), hop_y=Cost(4.0, 6.5), barrier_ns=((1, 113.0), (32, 465.0)), between="line",
)  # fmt: skip

LOIHI2 = ChipConstants(
    "loihi2",
    "none: Intel has published no energy or time of a single operation of Loihi 2",
    "counts only",
    _by_encoding(*[UNKNOWN] * 3),
    UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
)  # fmt: skip

_KERAS_SPIKING = "keras-spiking, model_energy.py, which cites Hoeppner et al. 2019"
_PROGRAM = "from secondary source; a chip of processors, whose messages and times were not published so"

SPINNAKER1 = ChipConstants(
    "spinnaker1", _KERAS_SPIKING, _PROGRAM, _by_encoding(*[Cost(13_300.0, None)] * 3),
    access=Cost(26_000.0, None), update=Cost(0.0, None), spike=Cost(0.0, None),
    message_out=UNKNOWN, message_in=UNKNOWN, hop_x=UNKNOWN, hop_y=UNKNOWN,
)  # fmt: skip

SPINNAKER2 = ChipConstants(
    "spinnaker2", _KERAS_SPIKING, _PROGRAM, _by_encoding(*[Cost(450.0, None)] * 3),
    access=Cost(2_190.0, None), update=Cost(0.0, None), spike=Cost(0.0, None),
    message_out=UNKNOWN, message_in=UNKNOWN, hop_x=UNKNOWN, hop_y=UNKNOWN,
)  # fmt: skip

CHIPS: Mapping[str, ChipConstants] = MappingProxyType(
    {c.name: c for c in (LOIHI1, LOIHI1_PAPER, LOIHI2, SPINNAKER1, SPINNAKER2)}
)
