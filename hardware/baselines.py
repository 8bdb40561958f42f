"""How other compilers cut networks, to compare with: one layer a core, cut by counting alone.

    halving      every layer is one part; while a part does not fit, all parts of its layer are halved
                 (Lava, as users of Loihi 2 describe it)
    equal split  every layer in as many equal consecutive parts as its scarcest resource asks for, one more
                 while a part does not fit (nengo-loihi's split_blocks, which would give up there)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from snnsim.hardware.partition import Cutter, Packing, oversize, settle
from snnsim.hardware.resources import Part


def halving(cutter: Cutter) -> Packing:
    """Parts by halving until nothing is violated."""
    return _each_layer(cutter, lambda whole: 1, lambda n: 2 * n)


def equal_split(cutter: Cutter) -> Packing:
    """Equal parts, as many as the scarcest resource asks for."""
    return _each_layer(cutter, lambda whole: _scarcest(cutter, whole), lambda n: n + 1)


BASELINES: Mapping[str, Callable[[Cutter], Packing]] = {"halving": halving, "equal split": equal_split}


def baseline_packings(cutter: Cutter) -> dict[str, Packing]:
    """By name.  Raises TargetError where one of them finds nothing."""
    return {name: settle(cutter, partial(cut, cutter)) for name, cut in BASELINES.items()}


def _each_layer(cutter: Cutter, start: Callable[[Part], int], more: Callable[[int], int]) -> Packing:
    cores: Packing = []
    for k, layer in enumerate(cutter.layers):
        for first, last in cutter.blocks[k]:
            n = start(cutter.part(k, first, last, 0, layer.n_positions))
            while True:
                cuts = np.unique([layer.n_positions * piece // n for piece in range(n + 1)]).tolist()
                pairs = zip(cuts[:-1], cuts[1:], strict=True)
                parts = [cutter.part(k, first, last, begin, end) for begin, end in pairs]
                if all(np.all(cutter.need(part) <= cutter.capacity) for part in parts):
                    break
                if n >= layer.n_positions:
                    raise oversize(layer, parts, cutter.capacity, cutter.target)
                n = min(layer.n_positions, more(n))
            cores += [[part] for part in parts]
    return cores


def _scarcest(cutter: Cutter, whole: Part) -> int:
    return max(1, int(np.ceil(np.max(cutter.need(whole) / cutter.capacity))))
