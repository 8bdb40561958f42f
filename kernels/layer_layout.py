"""The arrays that kernels of layered networks share.

F is float64 or float32; n_p populations, n_l projections, n_units units, n_cells of them integrate-and-fire
neurons as in kernels/neurons.py or kernels/conductance.py.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

(
    INPUT, INTEGRATE, SIGNED, RELAY, MAXIMUM, READOUT, CELLS, FEW_SPIKES, FIRST_SPIKE, INTEGER,
) = range(10)  # fmt: skip
# What a watch looks at.
POTENTIAL, CURRENT_EXC, CURRENT_INH, THETA, EVENTS, WHOLE_CURRENT, OVERFLOWN = range(7)


class Graph(NamedTuple):
    """Populations in the order in which they advance, inputs first, and their projections by target."""

    kind: np.ndarray  # int64[n_p]
    first: np.ndarray  # int64[n_p + 1]  first unit of each
    threshold: np.ndarray  # F[n_units]
    start: np.ndarray  # F[n_units]  potential at step 0
    bias: np.ndarray  # F[n_units]  added in each step below bias_steps
    bias_steps: np.ndarray  # int64[n_p]
    awake: np.ndarray  # int64[n_p]  the first step from which it only answers to events
    subtract: np.ndarray  # int64[n_p]
    most: np.ndarray  # int64[n_p]  spikes of a unit in a step, at most
    levels: np.ndarray  # int64[n_p]  spikes of a signed unit in all, at most
    begin: np.ndarray  # int64[n_p]  first step of its window
    window: np.ndarray  # int64[n_p]  steps of its window
    continuous: np.ndarray  # int64[n_p]  are events not bound to steps
    incoming: np.ndarray  # int64[n_p + 1]  first projection of each population
    source: np.ndarray  # int64[n_l]  population
    rule: np.ndarray  # int64[n_l]  see kernels/layers.py
    delay: np.ndarray  # int64[n_l]  steps
    channel: np.ndarray  # int64[n_l]  0, or 1 where it adds to the inhibitory current
    weight_base: np.ndarray  # int64[n_l]
    weight: np.ndarray  # F[...]
    index_base: np.ndarray  # int64[n_l]  of a one-to-one projection in `index`
    target_of: np.ndarray  # int32[...]  target of each source
    shape: np.ndarray  # int64[n_l, N_GEOMETRY]


class Cells(NamedTuple):
    """Integrate-and-fire neurons.  Networks without pass None, and their kernels are not even compiled."""

    first: np.ndarray  # int64[n_p]  first cell of each population
    channels: np.ndarray  # int64[n_p]  currents of a cell, 1 or 2
    adaptive: np.ndarray  # int64[n_p]
    conductance: np.ndarray  # int64[n_p]
    value: np.ndarray  # F[N_ROWS, n_cells]  parameters
    refractory_steps: np.ndarray  # int32[n_cells]
    start_current: np.ndarray  # F[2, n_cells]
    start_theta: np.ndarray  # F[n_cells]


class Given(NamedTuple):
    """Events from outside: those of sample b, step begin + t are ptr[b, t] to ptr[b, t + 1] of the rest.

    Units count from the first input population, which is unit 0.
    """

    ptr: np.ndarray  # int64[n_samples, n_given + 1]
    unit: np.ndarray  # int32[...]
    amount: np.ndarray  # F[...]
    begin: int  # the step in which they begin
    steps: int  # how often a single given step acts; then it is added up once, and kept


class Outcome(NamedTuple):
    """What is counted of each sample."""

    events: np.ndarray  # int64[n_samples, n_p]
    sent: np.ndarray  # float64[n_samples, n_p]  sum of the absolute amounts of the events
    added: np.ndarray  # int64[n_samples, n_l]  additions (or multiplications and additions)
    graded: np.ndarray  # int64[n_samples, n_l]  those of them that need a multiplication
    ended: np.ndarray  # int64[n_samples]  steps until nothing was on its way


class Kept(NamedTuple):
    """What is kept of samples that are run from the first step to the last and forgotten."""

    spikes: np.ndarray  # int32[n_samples or 0, n_units]  sum of spikes
    total: np.ndarray  # F[n_samples or 0, n_units]  sum of amounts
    readout: np.ndarray  # F[n_samples, n_steps, n_read]  potentials of the last population after each step


class Watch(NamedTuple):
    """What is recorded in each step: state variables before it, amounts of events after it.

    Units of variable w are unit[ptr[w]] to unit[ptr[w + 1]]; their values are the same columns of the frame.
    """

    variable: np.ndarray  # int64[n_w]
    ptr: np.ndarray  # int64[n_w + 1]
    unit: np.ndarray  # int64[n_columns]  units, or cells for currents and theta
    rest: np.ndarray  # F[n_columns]  added to potentials
    column: np.ndarray  # int64[n_units or 0]  where the events of a unit go, or -1
    frame: np.ndarray  # F[n_samples, n_steps, n_columns]  written


class State(NamedTuple):
    """The state of samples, a row each."""

    potential: np.ndarray  # F[n_rows, n_units]
    spikes: np.ndarray  # int32[n_rows, n_units]
    total: np.ndarray  # F[n_rows, n_units]  sum of the amounts of events
    held: np.ndarray  # F[n_rows, n_channels, n_units]  current that stays the same: bias, and an input
    unit: np.ndarray  # int32[n_rows, n_slots, n_units]  events of the last steps
    amount: np.ndarray  # F[n_rows, n_slots, n_units]
    n_events: np.ndarray  # int64[n_rows, n_slots, n_p]
    quiet: np.ndarray  # int64[n_rows, 1]  steps since the last event
    carry: np.ndarray  # F[n_rows, n_cells]
    refractory: np.ndarray  # int32[n_rows, n_cells]
    current: np.ndarray  # F[n_rows, 2, n_cells]
    theta: np.ndarray  # F[n_rows, n_cells]
    whole: np.ndarray  # int64[n_rows, N_STATE, n_integers]  of kernels/integer.py


class Sample(NamedTuple):
    """One row of a state."""

    potential: np.ndarray
    spikes: np.ndarray
    total: np.ndarray
    held: np.ndarray
    unit: np.ndarray
    amount: np.ndarray
    n_events: np.ndarray
    quiet: np.ndarray
    carry: np.ndarray
    refractory: np.ndarray
    current: np.ndarray
    theta: np.ndarray
    whole: np.ndarray


class Work(NamedTuple):
    """What one thread works in."""

    arrived: np.ndarray  # F[n_channels, n_units]
    spiked: np.ndarray  # uint8[largest population]
    threshold: np.ndarray  # F[largest population of cells]


@njit(cache=True, nogil=True, error_model="numpy")
def row_of(state, row):
    """The views of one sample."""
    return Sample(
        state.potential[row], state.spikes[row], state.total[row], state.held[row], state.unit[row],
        state.amount[row], state.n_events[row], state.quiet[row], state.carry[row], state.refractory[row],
        state.current[row], state.theta[row], state.whole[row],
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def begin_sample(graph, cells, integers, sample):
    """The state of all populations at step 0."""
    sample.potential[:] = graph.start
    sample.spikes[:] = 0
    sample.total[:] = 0
    sample.n_events[:] = 0
    sample.quiet[:] = 0
    sample.carry[:] = 0
    sample.refractory[:] = 0
    if cells is not None:
        sample.current[:] = cells.start_current
        sample.theta[:] = cells.start_theta
    if integers is not None:
        sample.whole[:] = integers.start
