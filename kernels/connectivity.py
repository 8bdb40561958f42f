"""Connections of a network, generated straight into the arrays that delivery reads.

One matrix holds all synapses that leave one population.  Its targets are spread over ranges (groups
of at most 65536 neurons, each with its own slots); row = index of the source in its population:

    entry e = row * n_delays + (delay - d_lo)
    synapses of entry e in range r:  base[r] + start[r, e]  up to (excluding)  base[r] + start[r, e + 1]

Within an entry they are ordered by projection, then target, then index of the multapse.  A matrix is
built in two passes over the same generators, so nothing but the final arrays is ever stored:

    matrix = new_matrix(...)
    count_projection(matrix, pieces, plan)      for each projection, in any order
    matrix = allocate(prefix(matrix))           the caller checks base for 2**32 synapses a range
    fill_projection(matrix, pieces, plan)       for each projection, in the order of the description

The trick that needs no array of cursors: start[r, e + 1] counts entry e in the first pass, the prefix
sum makes it the first synapse of e, the second pass moves it on to the end of e, its final value.

Every connection has its own random numbers, keyed by (projection, row or target, index), so the
result depends neither on how targets are cut into ranges nor on how the work is cut into jobs.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from snnsim.kernels.generators import (  # noqa: F401  (the rule codes belong to this file's interface)
    ALL_TO_ALL,
    DEGREE_STREAM,
    FIXED_IN_DEGREE,
    FIXED_OUT_DEGREE,
    FIXED_TOTAL_NUMBER,
    ONE_TO_ONE,
    PAIRWISE_BERNOULLI,
    connect_by_source,
    connect_by_target,
    connect_pairs,
    draw_in_degrees,
)
from snnsim.kernels.random import subkey
from snnsim.kernels.sampling import CONSTANT, DelayTable, Law, delay_table, prepare

_JOBS = 16  # blocks of rows; any number gives the same connections


class Matrix(NamedTuple):
    """All synapses that leave one population.

    start   uint32[n_ranges, n_rows * n_delays + 1]  first synapse of each entry, relative to base[r]
    target  uint16[n_synapses * step]                (delay % group) << slot_bits, plus slot within the range
    weight  float64[n_synapses] or float32[n_synapses]; of stride 0 where all are the same
    base    int64[n_ranges + 1]                      first synapse of each range
    """

    start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    base: np.ndarray
    d_lo: int
    n_delays: int
    slot_bits: int = 16
    group: int = 1  # with 1, target is the slot alone
    step: int = 1  # from one target to the next: what lies between them belongs to others


class Pieces(NamedTuple):
    """Where the neurons of one target population live: i in [lo[r], hi[r]) has slot slot0[r] + i - lo[r].

    lo, hi, slot0  int64[n_ranges]; ascending with r and without gaps; lo[r] == hi[r] where range r has none
    """

    lo: np.ndarray
    hi: np.ndarray
    slot0: np.ndarray


class Plan(NamedTuple):
    """One projection as numbers; see `make_plan`.

    degree  int64[1] targets of each source, or int64[n_target] sources of each target, by rule
    """

    rule: int
    key: np.uint64
    n_source: int
    n_target: int
    probability: float
    degree: np.ndarray
    multapses: bool
    exclude_self: bool
    weight: Law
    delay: DelayTable


class Pairs(NamedTuple):
    """Connections given one by one.

    source, target  int64[n]          indices within their populations
    weight, delay   float64[n], int64[n] steps; or of length 1, for all
    order           int64[n]          the sequence in which they are placed
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    order: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def _prefix_sums(start, base):
    for r in range(start.shape[0]):
        total = 0
        for e in range(1, start.shape[1]):
            count = np.int64(start[r, e])
            start[r, e] = total
            total += count
        base[r + 1] = base[r] + total


@njit(cache=True, nogil=True, error_model="numpy")
def longest_delays(reach, start, d_lo, n_delays):
    """The longest delay of each row that has a synapse; d_lo - 1 for a row without.

    reach  int32[n_rows]                            written
    start  uint32[n_ranges, n_rows * n_delays + 1]  of a filled matrix
    """
    for row in range(reach.shape[0]):
        last = -1
        for r in range(start.shape[0]):
            d = n_delays - 1
            while d > last and start[r, row * n_delays + d] == start[r, row * n_delays + d + 1]:
                d -= 1
            last = max(last, d)
        reach[row] = d_lo + last


def new_matrix(n_ranges: int, n_rows: int, d_lo: int, n_delays: int, weight_dtype: Any) -> Matrix:
    """A matrix without synapses, ready for `count_projection`."""
    start = np.zeros((n_ranges, n_rows * n_delays + 1), dtype=np.uint32)
    base = np.zeros(n_ranges + 1, dtype=np.int64)
    return Matrix(start, np.empty(0, np.uint16), np.empty(0, weight_dtype), base, d_lo, n_delays)


def make_plan(
    rule: int,
    key: np.uint64,
    matrix: Matrix,
    n_target: int,
    *,
    probability: float = 0.0,
    number: int = 0,
    multapses: bool = True,
    exclude_self: bool = False,
    weight: tuple[int, float, float, float, float] = (CONSTANT, 0.0, 0.0, -np.inf, np.inf),
    delay_ms: tuple[int, float, float, float, float] = (CONSTANT, 0.0, 0.0, -np.inf, np.inf),
    dt_ms: float,
) -> Plan:
    """What the generators need to know of a projection.

    rule          one of the six codes of kernels/generators.py
    key           of this projection and of nothing else
    number        out-degree, in-degree or total number of connections, by rule
    exclude_self  leave out connections of a neuron to itself; source and target are one population then
    weight, delay_ms  kind and p0 to p3 of kernels/sampling.py; delays are rounded to steps of dt_ms and moved
                  into the delays of `matrix`
    The caller has checked that: one-to-one populations are equally large; 0 <= probability <= 1; without
    multapses number fits the pairs there are; with number > 0 there is a pair to connect.
    For FIXED_TOTAL_NUMBER this draws the in-degrees (about 3 ns a connection).
    """
    n_source = (matrix.start.shape[1] - 1) // matrix.n_delays
    degree = np.full(n_target if rule == FIXED_IN_DEGREE else 1, number, dtype=np.int64)
    if rule == FIXED_TOTAL_NUMBER:
        degree = np.zeros(n_target, dtype=np.int64)
        degree_key = np.uint64(subkey(np.uint64(key), DEGREE_STREAM))  # a kernel returns a Python int
        draw_in_degrees(degree, degree_key, number, n_source - int(exclude_self), multapses)
        rule = FIXED_IN_DEGREE
    kind, p0, p1, p2, p3 = delay_ms
    return Plan(
        rule,
        np.uint64(key),
        n_source,
        n_target,
        float(probability),
        degree,
        bool(multapses),
        bool(exclude_self),
        prepare(*weight),
        delay_table(kind, p0, p1, p2, p3, float(dt_ms), matrix.d_lo, matrix.n_delays),
    )


def make_pairs(source: np.ndarray, target: np.ndarray, weight: np.ndarray, delay: np.ndarray) -> Pairs:
    """Connections as given: source, target int64[n]; weight float64 and delay int64 steps, [n] or [1]."""
    order = np.argsort(target, kind="stable")
    # writable, also where the user's arrays are not: read-only arrays would compile everything anew
    return Pairs(
        np.require(source, np.int64, ["C", "W"]),
        np.require(target, np.int64, ["C", "W"]),
        np.require(weight, np.float64, ["C", "W"]),
        np.require(delay, np.int64, ["C", "W"]),
        order,
    )


Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""How jobs are run: `map`, or the `map` of a concurrent.futures.ThreadPoolExecutor."""

Described = tuple[Pieces, Plan | Pairs]
"""One projection of a matrix."""


def count_projection(matrix: Matrix, pieces: Pieces, plan: Plan | Pairs, run: Run = map) -> None:
    """First pass: add the synapses of a projection to the counts in matrix.start."""
    connect(False, [(matrix, [(pieces, plan)])], run)


def fill_projection(matrix: Matrix, pieces: Pieces, plan: Plan | Pairs, run: Run = map) -> None:
    """Second pass: write the synapses of a projection behind those of the earlier projections."""
    connect(True, [(matrix, [(pieces, plan)])], run)


def connect(fill: bool, parts: Sequence[tuple[Matrix, Sequence[Described]]], run: Run = map) -> None:
    """One pass over all projections of some matrices; those of a matrix in their order.

    Jobs that run at the same time belong to different matrices, or to different rows or ranges of one.
    """
    phases = [_phases(matrix, described) for matrix, described in parts]
    for k in range(max((len(jobs) for jobs in phases), default=0)):
        together = [job for jobs in phases for job in jobs[k : k + 1]]
        for _ in run(lambda job: job(fill), [one for jobs in together for one in jobs]):
            pass  # `map` is lazy: a job runs when its result is asked for


def prefix(matrix: Matrix) -> Matrix:
    """Turn counts into positions.  The caller refuses the network where base grows by 2**32 or more."""
    _prefix_sums(matrix.start, matrix.base)
    return matrix


def allocate(matrix: Matrix) -> Matrix:
    """The same matrix with room for its synapses."""
    n_synapses = int(matrix.base[-1])
    target = np.empty(n_synapses, dtype=matrix.target.dtype)
    return matrix._replace(target=target, weight=np.empty(n_synapses, dtype=matrix.weight.dtype))


def _phases(matrix: Matrix, described: Sequence[Described]) -> list[list[Callable[[bool], None]]]:
    """Jobs that may run at the same time, for each run of projections that are generated alike."""
    found: list[tuple[Any, list[Described]]] = []
    for one in described:
        kernel = _kernel(one[1])
        if not found or found[-1][0] is not kernel:
            found.append((kernel, []))
        found[-1][1].append(one)
    return [_jobs(kernel, matrix, alike) for kernel, alike in found]


def _kernel(plan: Plan | Pairs) -> Any:
    if isinstance(plan, Pairs):
        return connect_pairs
    return connect_by_target if plan.rule == FIXED_IN_DEGREE else connect_by_source


def _jobs(kernel: Any, matrix: Matrix, alike: list[Described]) -> list[Callable[[bool], None]]:
    """One job for each part of the matrix that a kernel can work on alone."""
    places: list[tuple[int, ...]] = [()]
    if kernel is connect_by_target:
        places = [(r,) for r in range(matrix.start.shape[0])]
    elif kernel is connect_by_source:
        n_rows = (matrix.start.shape[1] - 1) // matrix.n_delays
        places = [(n_rows * j // _JOBS, n_rows * (j + 1) // _JOBS) for j in range(_JOBS)]

    def job(place: tuple[int, ...]) -> Callable[[bool], None]:
        def run(fill: bool) -> None:
            for pieces, plan in alike:
                kernel(fill, matrix, pieces, plan, *place)

        return run

    return [job(place) for place in places]
