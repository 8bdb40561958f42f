"""What a sample costs on the chip that a network is exported for, estimated from counted operations."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from snnsim.hardware.chip_constants import LOIHI1, LOIHI1_PAPER, LOIHI2, ChipConstants
from snnsim.hardware.counts import count
from snnsim.hardware.energy import ChipEnergy, estimate
from snnsim.hardware.mapping import Mapping
from snnsim.hardware.placement import Placement
from snnsim.hardware.quantise import Quantised
from snnsim.report import Table

SETS: MappingProxyType[str, tuple[ChipConstants, ...]] = MappingProxyType({
    "loihi1": (LOIHI1, LOIHI1_PAPER),
    "loihi2": (LOIHI2,),  # counts only: nobody has published what an operation costs
})


def energies(found: Quantised, placed: Placement, data: np.ndarray) -> tuple[ChipEnergy, ...]:
    """Means over samples, one for each set of constants; operations are counted core by core in a real run.

    data  [n_samples, ...] as the source takes them
    """
    mapping = Mapping({name: placed.core_of(name) for name in placed.populations}, placed.xy)
    counts = count(found.network, mapping, found.inputs(data), found.n_steps)
    return tuple(estimate(counts, chip) for chip in SETS.get(found.target, ()))


def energy_table(found: tuple[ChipEnergy, ...]) -> Table:
    """Every kind of operation, with its share."""
    title = "Energy of a sample, an estimate"
    if not found:
        return Table(title, ("operation",), ())
    head = ["operation", "count", *(f"{one.chip} ({unit})" for one in found for unit in ("nJ", "%"))]
    rows = []
    for terms in zip(*(one.terms for one in found), strict=True):
        row: list[Any] = [terms[0].name, terms[0].count]
        for one, term in zip(found, terms, strict=True):
            share = None if term.joule is None or not one.joule else 100 * term.joule / one.joule
            row += [_nj(term.joule), "not published" if share is None else share]
        rows.append(tuple(row))
    total: list[Any] = ["all", ""]
    for one in found:
        total += [_nj(one.joule), "not published" if one.joule is None else 100.0]
    rows.append(tuple(total))
    note = "; ".join(f"{one.chip}: {one.source} ({one.mark})" for one in found)
    first = found[0]
    samples = f"Counted in {first.n_samples:,} samples of {first.n_steps:,} steps; static power is left out. "
    return Table(title, tuple(head), rows, samples + note)


def in_words(found: tuple[ChipEnergy, ...]) -> str:
    """One line."""
    parts = [
        f"not published for {one.chip}" if one.joule is None else f"{one.joule * 1e9:,.4g} nJ by {one.chip}"
        for one in found
    ]
    return f"energy of a sample, an estimate: {', '.join(parts)}"


def _nj(joule: float | None) -> object:
    return "not published" if joule is None else joule * 1e9
