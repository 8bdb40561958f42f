"""Synapses: from projections to the rows that the kernels read.

Projections whose weights never change are merged into one bundle for each source population.  Those that
learn: snn/plastic_wiring.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from snnsim.connectivity import (
    AllToAll,
    Arrays,
    FixedInDegree,
    FixedOutDegree,
    FixedTotalNumber,
    OneToOne,
    PairwiseBernoulli,
)
from snnsim.distributions import Distribution, Values
from snnsim.errors import ConfigError
from snnsim.grid import to_step_array, to_steps
from snnsim.kernels import connectivity as wire
from snnsim.kernels.layout import Layout, Rows, Static
from snnsim.kernels.sampling import CONSTANT, draw
from snnsim.network import Network
from snnsim.projection import Projection
from snnsim.streams import key_of, realise
from snnsim.units import Units

_GAP = 16  # steps between the delays of two projections that still share a table
_RULES = {
    AllToAll: wire.ALL_TO_ALL,
    OneToOne: wire.ONE_TO_ONE,
    PairwiseBernoulli: wire.PAIRWISE_BERNOULLI,
    FixedInDegree: wire.FIXED_IN_DEGREE,
    FixedOutDegree: wire.FIXED_OUT_DEGREE,
    FixedTotalNumber: wire.FIXED_TOTAL_NUMBER,
}


def delay_range(projection: Projection, dt_ms: float, where: str) -> tuple[int, int]:
    """Smallest and largest delay, in steps, that a projection can have."""
    delay = projection.delay_ms
    if isinstance(delay, Distribution):
        ends = [draw(delay.code(), *delay.parameters(), u) for u in (0.0, 1.0 - 2.0**-53)]
        low, high = (int(np.floor(end / dt_ms + 0.5)) for end in ends)
        return low, high
    if isinstance(delay, np.ndarray):
        steps = to_step_array(delay, dt_ms, f"{where}.delay_ms")
        return int(steps.min()), int(steps.max())
    steps_all = to_steps(float(delay), dt_ms, f"{where}.delay_ms")  # type: ignore[arg-type]
    return steps_all, steps_all


@dataclass(frozen=True)
class Bundle:
    """Projections that share one matrix; are they all static, and of one and the same weight?"""

    source: str
    projections: list[str]
    delay_low: int
    delay_high: int
    alike: bool

    @property
    def n_delays(self) -> int:
        return self.delay_high - self.delay_low + 1


def bundles_of(network: Network, delays: dict[str, tuple[int, int]], plastic: bool) -> list[Bundle]:
    """The bundles of the static projections, or of the plastic ones.

    Static projections of one source are merged as far as their delays overlap or nearly do: the table of a
    bundle has an entry for every delay between its shortest and its longest.  Plastic ones stand alone.
    """
    groups: dict[str, list[str]] = {}
    for name, projection in network.projections.items():
        if projection.plastic == plastic:
            groups.setdefault(name if plastic else projection.source, []).append(name)
    found = []
    for names in groups.values():
        together: list[list[str]] = []
        reach = 0
        for name in sorted(names, key=lambda name: delays[name][0]):
            if together and delays[name][0] <= reach + _GAP:
                together[-1].append(name)
            else:
                together.append([name])
            reach = max(reach, delays[name][1])
        found += [_bundle(network, delays, [n for n in names if n in part]) for part in together]
    return found


def _bundle(network: Network, delays: dict[str, tuple[int, int]], names: list[str]) -> Bundle:
    low, high = min(delays[n][0] for n in names), max(delays[n][1] for n in names)
    projections = [network.projections[n] for n in names]
    constant = [p.weight for p in projections if isinstance(p.weight, int | float) and not p.plastic]
    alike = len(constant) == len(names) and len(set(constant)) == 1
    return Bundle(projections[0].source, names, low, high, alike)


def _law(value: Values) -> tuple[int, float, float, float, float]:
    if isinstance(value, Distribution):
        return value.code(), *value.parameters()
    return CONSTANT, float(value), 0.0, -np.inf, np.inf  # type: ignore[arg-type]


def channel_of(network: Network, projection: Projection) -> int:
    """1 for a current of inhibition alone, 0 for all else."""
    if network.populations[projection.target].neuron.synapse.n_currents == 1:
        return 0
    return int(projection.inferred_receptor() == "inh")


def pieces_of(network: Network, units: Units, projection: Projection) -> wire.Pieces:
    """Where the targets of a projection live."""
    bounds = [units.piece(projection.target, r) for r in range(units.n_ranges)]
    channel = channel_of(network, projection)
    slots = [channel * units.range_size(r) + units.local(projection.target, r) for r in range(units.n_ranges)]
    low, high = np.array(bounds, dtype=np.int64).T.copy()
    return wire.Pieces(low, high, np.array(slots, dtype=np.int64))


def plan_of(
    network: Network, units: Units, matrix: wire.Matrix, dt_ms: float, seed: int, name: str
) -> wire.Plan | wire.Pairs:
    """What the generators need to know of a projection."""
    projection = network.projections[name]
    rule = projection.rule
    if isinstance(rule, Arrays):
        return _given_pairs(rule, projection, name, dt_ms, seed)
    same = projection.source == projection.target
    return wire.make_plan(
        _RULES[type(rule)],
        key_of(seed, f"projections.{name}"),
        matrix,
        units.size[projection.target],
        probability=getattr(rule, "p", 0.0),
        number=getattr(rule, "n", 0),
        multapses=getattr(rule, "multapses", True),
        exclude_self=same and not getattr(rule, "autapses", True),
        weight=_law(projection.weight),
        delay_ms=_law(projection.delay_ms),
        dt_ms=dt_ms,
    )


def _given_pairs(rule: Arrays, projection: Projection, name: str, dt_ms: float, seed: int) -> wire.Pairs:
    where, n = f"projections.{name}", rule.source.size
    weight = realise(projection.weight, n, seed, f"{where}.weight")
    delay = realise(projection.delay_ms, n, seed, f"{where}.delay_ms")
    if isinstance(projection.delay_ms, Distribution):
        steps = np.floor(delay / dt_ms + 0.5).astype(np.int64)  # drawn: rounded to the grid
    else:
        steps = to_step_array(delay, dt_ms, f"{where}.delay_ms")
    return wire.make_pairs(rule.source, rule.target, weight, steps)


def synapses_an_entry(
    network: Network, units: Units, bundle: Bundle, name: str, dt_ms: float, seed: int
) -> np.ndarray:
    """int64[n_ranges, n_entries]: how many synapses a projection has in each entry of its bundle."""
    n_rows = units.size[bundle.source]
    matrix = wire.new_matrix(units.n_ranges, n_rows, bundle.delay_low, bundle.n_delays, np.float64)
    plan = plan_of(network, units, matrix, dt_ms, seed, name)
    wire.count_projection(matrix, pieces_of(network, units, network.projections[name]), plan)
    return matrix.start[:, 1:].astype(np.int64)


def counted(
    parts: list[tuple[wire.Matrix, list[wire.Described]]], projections: list[str], run: wire.Run
) -> None:
    """First pass over some matrices: now it is known where each synapse will stand.

    projections  one of each matrix, for the error
    """
    wire.connect(False, parts, run)
    for (matrix, _), name in zip(parts, projections, strict=True):
        wire.prefix(matrix)
        most = int(np.diff(matrix.base).max(initial=0))
        if most >= 2**32:
            raise ConfigError(
                "too many synapses for one range",
                where=f"projections.{name}",
                got=most,
                expected="fewer than 2**32",
            )


def synapse_type(precision: np.dtype) -> np.dtype:
    """What is stored of a static synapse: 6 bytes, or 10; see Bundle.alike for those of 2."""
    return np.dtype([("place", np.uint16), ("weight", precision)])


def _one_weight(precision: np.dtype) -> np.ndarray:
    """A weight for all synapses, of the same kind of array as their own weights are: kernels compile once."""
    return as_strided(np.zeros(2, synapse_type(precision))["weight"], strides=(0,))


def build_rows(
    network: Network,
    units: Units,
    bundles: list[Bundle],
    dt_ms: float,
    seed: int,
    dtype: np.dtype,
    run: wire.Run,
    layout: Layout,
) -> Rows:
    """All synapses of some bundles, in two passes: count, then fill."""
    n_r = units.n_ranges
    n_rows = [units.size[b.source] for b in bundles]
    entries = [rows * b.n_delays + 1 for rows, b in zip(n_rows, bundles, strict=True)]
    table = np.concatenate([[0], np.cumsum([n * n_r for n in entries], dtype=np.int64)]).astype(np.int64)
    start = np.zeros(int(table[-1]), dtype=np.uint32)
    weights = [_one_weight(dtype) for _ in bundles]
    parts: list[tuple[wire.Matrix, list[wire.Described]]] = []
    for k, bundle in enumerate(bundles):
        matrix = wire.Matrix(
            start[table[k] : table[k + 1]].reshape(n_r, entries[k]),
            np.zeros(0, np.uint16),
            weights[k],
            np.zeros(n_r + 1, np.int64),
            bundle.delay_low,
            bundle.n_delays,
            layout.slot_bits,
            layout.group,
        )
        pieces = [pieces_of(network, units, network.projections[name]) for name in bundle.projections]
        plans = run(partial(plan_of, network, units, matrix, dt_ms, seed), bundle.projections)
        parts.append((matrix, list(zip(pieces, plans, strict=True))))
    counted(parts, [bundle.projections[0] for bundle in bundles], run)
    matrices = [matrix for matrix, _ in parts]
    alike, size = _ints(b.alike for b in bundles), _ints(m.base[-1] for m in matrices)
    first = np.where(alike, np.cumsum(size * alike), np.cumsum(size * (1 - alike))) - size
    synapse = np.empty(int(size @ (1 - alike)), dtype=synapse_type(dtype))
    place = np.empty(int(size @ alike), dtype=np.uint16)
    step = synapse.itemsize // place.itemsize
    for k, (matrix, described) in enumerate(parts):
        low, high = int(first[k]), int(first[k] + size[k])
        if alike[k]:
            parts[k] = matrix._replace(target=place[low:high]), described
        else:
            places, weight = synapse.view(np.uint16)[low * step : high * step], synapse["weight"][low:high]
            parts[k] = matrix._replace(target=places, weight=weight, step=step), described
    wire.connect(True, parts, run)
    reach_base = np.concatenate([[0], np.cumsum(n_rows, dtype=np.int64)]).astype(np.int64)
    reach = np.zeros(int(reach_base[-1]), dtype=np.int32)
    for k, matrix in enumerate(matrices):
        mine = reach[reach_base[k] : reach_base[k + 1]]
        wire.longest_delays(mine, matrix.start, matrix.d_lo, matrix.n_delays)
    base = np.array([first[k] + m.base[:-1] for k, m in enumerate(matrices)], dtype=np.int64)
    return Rows(
        first_unit=_ints(units.first[b.source] for b in bundles),
        n_rows=_ints(n_rows),
        delay_low=_ints(b.delay_low for b in bundles),
        delay_high=_ints(b.delay_high for b in bundles),
        reach_base=reach_base[:-1],
        reach=reach,
        table=table[:-1],
        base=base.reshape(-1, n_r),
        start=start,
        synapse=synapse,
        place=place,
        alike=alike.astype(np.uint8),
        weight=np.array([weight[0] for weight in weights], dtype),
    )


def build_static(
    network: Network,
    units: Units,
    delays: dict[str, tuple[int, int]],
    dt_ms: float,
    seed: int,
    dtype: np.dtype,
    run: wire.Run,
    layout: Layout,
) -> Static:
    """All projections whose weights never change."""
    bundles = bundles_of(network, delays, plastic=False)
    rows = build_rows(network, units, bundles, dt_ms, seed, dtype, run, layout)
    bundle = np.full(units.n_units, -1, dtype=np.int32)
    following = np.full(len(bundles), -1, dtype=np.int64)
    for k in reversed(range(len(bundles))):
        first = units.first[bundles[k].source]
        following[k] = bundle[first]
        bundle[first : first + units.size[bundles[k].source]] = k
    return Static(rows, bundle, following, max((b.delay_high for b in bundles), default=0))


def _ints(items: Iterable[int]) -> np.ndarray:
    return np.array(list(items), dtype=np.int64)
