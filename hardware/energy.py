"""Energy and time of a run on a chip, from the operations that each core really did: an estimate.

    E      = sum over operations of  count x energy of the operation     [+ static power x time]
    T_step = largest of the cores + barrier(tiles)

A core first goes through its neurons, N = access + update + spike + messages sent, and then through the
messages that reach it, M = messages received + synaptic operations.  If cores receive while others still
send, a step takes max(max N, max M) + barrier, the lower bound (SANA-FE's simple model of time); if they
wait, max(N + M) + the longest way + barrier, the upper one.  Neither knows of jams on the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnsim.hardware.chip_constants import ENCODINGS, LOIHI1, LOIHI1_PAPER, LOIHI2, ChipConstants, Cost
from snnsim.hardware.counts import Counts

_GROUPS = {
    "synapse": ENCODINGS, "soma": ("access", "update", "spike"),
    "network": ("sent", "received", "hops_x", "hops_y"),
}  # fmt: skip


@dataclass(frozen=True)
class Term:
    """One kind of operation: how many in a sample, what one costs, what all cost; None: unpublished."""

    name: str
    count: float
    pj_each: float | None
    joule: float | None


@dataclass(frozen=True)
class ChipEnergy:
    """An estimate for one sample, the mean over samples.

    joule      None where the energy of an operation that occurs was not published
    static_j   static power x time, where a power was given
    step_s     mean time of a step: (lower, upper) bound; None where the times were not published
    n_steps    steps of a sample
    """

    chip: str
    source: str
    mark: str
    terms: tuple[Term, ...]
    joule: float | None
    static_j: float | None
    step_s: tuple[float, float] | None
    n_steps: int
    n_samples: int

    def group(self, name: str) -> float | None:
        """J of "synapse", "soma" or "network"."""
        return _sum([term for term in self.terms if term.name in _GROUPS[name]])

    @property
    def known_joule(self) -> float | None:
        """J of the operations whose energy is published; None without any."""
        known = [term.joule for term in self.terms if term.joule is not None]
        return sum(known) if known else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"groups_j": {name: self.group(name) for name in _GROUPS}, "kind": "estimate"}


def estimate(counts: Counts, chip: ChipConstants = LOIHI1, *, static_w: float | None = None) -> ChipEnergy:
    """Energy and time of one sample with the constants of a chip.

    static_w  power of a chip that does nothing, in W; constants of operations do not contain it
    """
    costs = {**chip.synapse, **_costs(chip)}
    terms = []
    for name, number in counts.totals().items():
        pj = costs[name].pj
        terms.append(Term(name, number, pj, None if pj is None else number * pj * 1e-12))
    times = _step_times(counts, chip, costs)
    n_steps = counts.access.shape[1]
    static_j = None if static_w is None or times is None else static_w * times[1] * n_steps
    joule = _sum(terms)
    if joule is not None and static_w is not None:
        joule = None if static_j is None else joule + static_j
    return ChipEnergy(
        chip.name, chip.source, chip.mark, tuple(terms), joule, static_j, times, n_steps, counts.n_samples
    )


def _costs(chip: ChipConstants) -> dict[str, Cost]:
    return {
        "access": chip.access, "update": chip.update, "spike": chip.spike, "sent": chip.message_out,
        "received": chip.message_in, "hops_x": chip.hop_x, "hops_y": chip.hop_y,
    }  # fmt: skip


def _sum(terms: Sequence[Term]) -> float | None:
    total = 0.0
    for term in terms:
        if term.joule is None and term.count > 0:
            return None
        total += term.joule or 0.0
    return None if all(term.joule is None for term in terms) else total


def _step_times(counts: Counts, chip: ChipConstants, costs: dict[str, Cost]) -> tuple[float, float] | None:
    barrier = chip.barrier(counts.n_tiles)
    ns = {name: cost.ns for name, cost in costs.items()}
    if barrier is None or None in ns.values():
        return None

    def time(*names: str) -> np.ndarray:
        return sum((getattr(counts, name) * ns[name] for name in names), np.zeros(counts.access.shape))

    neurons, messages = time("access", "update", "spike", "sent"), time("received", *ENCODINGS)
    lower = np.maximum(neurons.max(axis=2), messages.max(axis=2)) + barrier
    way = counts.far_x * ns["hops_x"] + counts.far_y * ns["hops_y"]
    upper = (neurons + messages).max(axis=2) + way + barrier
    return float(lower.mean()) * 1e-9, float(upper.mean()) * 1e-9


def report(
    counts: Counts, chips: Sequence[ChipConstants] = (LOIHI1, LOIHI1_PAPER, LOIHI2), *,
    static_w: float | None = None,
) -> str:  # fmt: skip
    """The shares of all terms, with each set of constants and its source, as text."""
    found = [estimate(counts, chip, static_w=static_w) for chip in chips]
    n_steps = counts.access.shape[1]
    lines = [
        f"Energy of one sample on a chip: an estimate from counted operations, not a measurement "
        f"(mean of {counts.n_samples} samples, {n_steps} steps, {counts.n_tiles} tiles)",
        "",
        f"{'operation':<10}{'count':>16}" + "".join(f"{e.chip:>26}" for e in found),
    ]
    for row in zip(*(e.terms for e in found), strict=True):
        cells = "".join(f"{_cell(term, e.joule):>26}" for term, e in zip(row, found, strict=True))
        lines.append(f"{row[0].name:<10}{row[0].count:>16,.1f}{cells}")
    lines += ["", f"{'total':<26}" + "".join(f"{_joule(e.joule):>26}" for e in found)]
    lines.append(f"{'time of a step':<26}" + "".join(f"{_time(e.step_s):>26}" for e in found))
    static = "not in these constants, left out" if static_w is None else f"{static_w:g} W, in the totals"
    lines += ["", f"static power: {static}"]
    lines += [f"{e.chip}: {e.source} ({e.mark})" for e in found]
    return "\n".join(lines)


def _cell(term: Term, total: float | None) -> str:
    if term.joule is None:
        return "not published"
    share = f" {100 * term.joule / total:5.1f} %" if total else ""
    return _joule(term.joule) + share


def _joule(value: float | None) -> str:
    return "not published" if value is None else f"{value * 1e9:,.4g} nJ"


def _time(bounds: tuple[float, float] | None) -> str:
    return "not published" if bounds is None else f"{bounds[0] * 1e6:.3g} to {bounds[1] * 1e6:.3g} us"
