"""Plastic projections: from the network to the rows, traces and rules that kernels/plasticity.py reads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from snnsim.grid import to_steps
from snnsim.kernels import connectivity as wire
from snnsim.kernels import stdp as columns
from snnsim.kernels.layout import Plastic, PlasticRows
from snnsim.kernels.plasticity import WAITING
from snnsim.network import Network
from snnsim.plasticity import STDP
from snnsim.units import Units
from snnsim.wiring import counted, pieces_of, plan_of

_DECAY_TABLE = 4096  # steps that are looked up; longer ones are computed


def build_plastic(
    network: Network,
    units: Units,
    delays: dict[str, tuple[int, int]],
    dt_ms: float,
    seed: int,
    dtype: np.dtype,
    run: wire.Run,
) -> Plastic:
    """All projections whose weights change, as at step 0."""
    names = [name for name, projection in network.projections.items() if projection.plastic]
    projections = [network.projections[name] for name in names]
    rows = build_rows(network, units, {name: delays[name] for name in names}, dt_ms, seed, dtype, run)
    pieces = [pieces_of(network, units, p) for p in projections]
    n_q, n_r = len(names), units.n_ranges
    sizes = _ints(units.size[p.target] for p in projections)
    n_post = int(sizes.sum())
    rule, constant, rate, decay = _rule_tables(network, names, dt_ms)
    n_cells = rows.n_rows * (rows.delay_high - rows.delay_low + 1) * n_r
    n_synapses = rows.base[:, -1] - rows.base[:, 0]
    own, n_arrived = n_synapses < n_cells, np.minimum(n_synapses, n_cells)
    return Plastic(
        rows=rows,
        source_level=_ints(units.level[p.source] for p in projections),
        target_pop=_ints(units.names.index(p.target) for p in projections),
        piece_low=_table(n_q, n_r, [p.lo for p in pieces]),
        piece_slot=_table(n_q, n_r, [p.slot0 for p in pieces]),
        piece_n=_table(n_q, n_r, [p.hi - p.lo for p in pieces]),
        arrived=np.tile([-1.0, 0.0], (int(n_arrived.sum()), 1)),
        arrived_base=np.cumsum(n_arrived) - n_arrived - np.where(own, rows.base[:, 0], rows.table),
        own=own.astype(np.int64),
        post_trace=np.zeros(n_post, dtype),
        post_base=np.cumsum(sizes) - sizes,
        noted=np.zeros((columns.NOTED, n_post), dtype=np.uint16),
        last_noted=np.full((n_q, n_r), -1, dtype=np.int64),
        caught_up=np.zeros((n_q, n_r), dtype=np.int64),
        rule=rule,
        constant=constant.astype(dtype),
        rate=rate,
        decay_plus=decay.astype(dtype),
        total=np.zeros(n_post),
        waiting=np.zeros((n_r, WAITING), dtype=np.int64),
        located=np.zeros((n_r, 3, WAITING + 1), dtype=np.int64),
        found=np.zeros((n_r, columns.NOTED, columns.PIECE + 64), dtype=np.uint16),
        n_found=np.zeros((n_r, columns.NOTED + 8), dtype=np.int64),
        met=np.zeros((n_r, columns.PIECE + 16), dtype),
    )


def build_rows(
    network: Network,
    units: Units,
    delays: dict[str, tuple[int, int]],
    dt_ms: float,
    seed: int,
    dtype: np.dtype,
    run: wire.Run,
) -> PlasticRows:
    """The synapses of the projections named in `delays`, in two passes: count, then fill."""
    n_r, sources = units.n_ranges, [network.projections[name].source for name in delays]
    n_rows = _ints(units.size[source] for source in sources)
    low, high = _ints(d for d, _ in delays.values()), _ints(d for _, d in delays.values())
    size = n_r * (n_rows * (high - low + 1) + 1)
    table = np.cumsum(size) - size
    start = np.zeros(int(size.sum()), dtype=np.uint32)
    parts: list[tuple[wire.Matrix, list[wire.Described]]] = []
    for q, name in enumerate(delays):
        matrix = wire.new_matrix(n_r, 0, int(low[q]), int(high[q] - low[q] + 1), dtype)
        matrix = matrix._replace(start=start[table[q] : table[q] + size[q]].reshape(n_r, -1))
        plan = plan_of(network, units, matrix, dt_ms, seed, name)
        pieces = pieces_of(network, units, network.projections[name])
        pieces = pieces._replace(slot0=np.zeros_like(pieces.lo))
        parts.append((matrix, [(pieces, plan)]))
    counted(parts, list(delays), run)
    matrices = [matrix for matrix, _ in parts]
    ends = np.cumsum([0, *(int(m.base[-1]) for m in matrices)])
    target, weight = np.empty(int(ends[-1]), np.uint16), np.empty(int(ends[-1]), dtype)
    for q, (matrix, described) in enumerate(parts):
        mine = slice(int(ends[q]), int(ends[q + 1]))
        parts[q] = matrix._replace(target=target[mine], weight=weight[mine]), described
    wire.connect(True, parts, run)
    for q, matrix in enumerate(matrices):
        start[table[q] : table[q] + size[q]] = matrix.start.T.ravel()
    base = _table(len(parts), n_r + 1, [ends[q] + m.base for q, m in enumerate(matrices)])
    first_unit = _ints(units.first[source] for source in sources)
    return PlasticRows(first_unit, n_rows, low, high, table, base, start, target, weight)


def _rule_tables(
    network: Network, names: list[str], dt_ms: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rule = np.zeros((len(names), 4), dtype=np.int64)
    constant, rate = np.zeros((len(names), columns.N_CONSTANTS)), np.zeros((len(names), 2))
    decay = np.full((len(names), _DECAY_TABLE + 1), -1.0)
    codes = {
        "additive": columns.ADDITIVE,
        "multiplicative": columns.MULTIPLICATIVE,
        "power": columns.POWER,
        "power_law": columns.POWER_LAW,
    }
    for q, name in enumerate(names):
        stdp, norm = network.projections[name].plasticity, network.projections[name].normalisation
        if isinstance(stdp, STDP):
            nearest = int(stdp.pairing == "nearest")
            rule[q, :3] = 1, codes[stdp.dependence], nearest
            rate[q] = dt_ms / stdp.tau_plus_ms, np.exp(-dt_ms / stdp.tau_minus_ms)
            constant[q, : columns.TOTAL] = (
                stdp.a_plus, stdp.a_minus, stdp.w_min, stdp.w_max, stdp.mu_plus, stdp.mu_minus, stdp.w_0,
            )  # fmt: skip
            decay[q, 1:] = np.exp(-np.arange(_DECAY_TABLE) * rate[q, columns.RATE_PLUS])
        if norm is not None:
            where = f"projections.{name}.normalisation.every_ms"
            rule[q, columns.NORMALISE_EVERY] = to_steps(norm.every_ms, dt_ms, where, least=1)
            constant[q, columns.TOTAL] = norm.total
    return rule, constant, rate, decay


def _ints(items: Iterable[int]) -> np.ndarray:
    return np.array(list(items), dtype=np.int64)


def _table(n_rows: int, n_columns: int, rows: list[np.ndarray]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(n_rows, n_columns)
