"""The arrays that the kernels share, grouped by what they belong to.

A *unit* is anything that emits spikes.  Units are numbered through the network: spike sources first
(level 0), then neurons, ordered by level; level l + 1 receives zero-delay input from level l.  Every
level is cut into the same number of *ranges*; a range owns its neurons and all synapses onto them.
The spikes of one (level, range) in one step form a *list*, number level * n_ranges + range.
"""

from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """Who owns what.  All int64."""

    n_sources: int
    n_ranges: int
    n_levels: int
    n_channels: int  # currents of a neuron, at most
    block: int  # steps in a delivery block
    slot_bits: int  # one step of a range takes 2**slot_bits places in the input buffer
    group: int  # steps that 16 bits can tell apart, at most a block
    list_first: np.ndarray  # [n_lists + 1]  first unit of each list
    segment_ptr: np.ndarray  # [n_lists + 1]  segments of each list: pieces of one population
    segment_pop: np.ndarray  # [n_segments]
    segment_first: np.ndarray  # [n_segments]  first unit
    segment_n: np.ndarray  # [n_segments]
    segment_local: np.ndarray  # [n_segments]  first slot within the range (neurons)
    pop_first: np.ndarray  # [n_pops]  first unit of each population
    range_size: np.ndarray  # [n_ranges]  neurons, and what fills up a cache line
    buffer_base: np.ndarray  # [n_ranges]  where the input buffer [block, 2**slot_bits] of a range starts
    immediate: np.ndarray  # [n_levels]  1 where zero-delay projections leave the level


class Cells(NamedTuple):
    """State of the neurons, index = unit - n_sources; that of a current is

        range * 2**slot_bits + channel * range_size + slot of the neuron within the range

    F is the precision of the network.
    """

    potential: np.ndarray  # F[N]     mV  relative to rest
    carry: np.ndarray  # F[N]         mV  what rounding took from the potential
    current: np.ndarray  # F[n_ranges * 2**slot_bits]  pA, or nS of a conductance; at the slots of a buffer
    theta: np.ndarray  # F[N]         mV  adaptive part of the threshold
    refractory: np.ndarray  # int32[N]  steps left


class CellParameters(NamedTuple):
    """Parameters: one column a neuron, or CHUNK equal columns for a population that shares them."""

    value: np.ndarray  # F[N_ROWS, n_columns]  see kernels/neurons.py
    refractory_steps: np.ndarray  # int32[n_columns]
    column: np.ndarray  # int64[n_pops]  first column
    shared: np.ndarray  # int64[n_pops]  1 where all neurons share their parameters
    channels: np.ndarray  # int64[n_pops]  1 (delta) or 2 (exponential, conductance)
    subtract: np.ndarray  # int64[n_pops]  1 for reset by subtraction
    adaptive: np.ndarray  # int64[n_pops]  1 with an adaptive threshold
    conductance: np.ndarray  # int64[n_pops]  1 where channels are conductances, see kernels/conductance.py


class Spikes(NamedTuple):
    """The spikes of the last steps.  The slot of step s is s modulo the number of slots."""

    ids: np.ndarray  # int32[n_slots, n_units]  list l starts at column list_first[l]
    n_fired: np.ndarray  # int64[n_slots, n_lists]
    buffer: np.ndarray  # F[...]  input within the current block; Cells.current where that is a step


class Rows(NamedTuple):
    """Synapses grouped in bundles (same source population), stored per range, row = source.

    Entry e = row * n_delays + delay - delay_low holds the synapses of one source with one delay.
    A synapse is a record: place, uint16, (delay % group) * 2**slot_bits + channel * range_size + local index,
    and weight, F.  Where all synapses of a bundle weigh the same, it is the place alone.
    """

    first_unit: np.ndarray  # int64[n_bundles]
    n_rows: np.ndarray  # int64[n_bundles]
    delay_low: np.ndarray  # int64[n_bundles]
    delay_high: np.ndarray  # int64[n_bundles]
    reach_base: np.ndarray  # int64[n_bundles]  where the bundle's part of reach begins
    reach: np.ndarray  # int32[...]  longest delay of each row, or less than delay_low without a synapse
    table: np.ndarray  # int64[n_bundles]  where the bundle's [n_ranges, n_entries + 1] part of start begins
    base: np.ndarray  # int64[n_bundles, n_ranges]  first synapse of (bundle, range), in `synapse` or `place`
    start: np.ndarray  # uint32[...]  first synapse of each entry, relative to base
    synapse: np.ndarray  # (place, weight)[...]  of the bundles whose weights differ
    place: np.ndarray  # uint16[...]  of the others
    alike: np.ndarray  # uint8[n_bundles]  1 where all synapses weigh the same
    weight: np.ndarray  # F[n_bundles]  what they weigh


class Static(NamedTuple):
    """Bundles whose weights never change."""

    rows: Rows
    bundle: np.ndarray  # int32[n_units]  first bundle of each unit, -1 for none
    following: np.ndarray  # int64[n_bundles]  next bundle of the same source, -1 for none
    longest: int  # longest delay in steps, 0 without synapses


class PlasticRows(NamedTuple):
    """Synapses that learn: of each projection, per range, by source, delay, target.

    Entry e = row * n_delays + delay - delay_low holds the synapses of one source with one delay.  Those in
    range r begin at start[table + e * n_ranges + r] and end where those of entry e + 1 begin: what all
    ranges look up for a spike lies in one place.
    """

    first_unit: np.ndarray  # int64[n_q]  of the source population
    n_rows: np.ndarray  # int64[n_q]
    delay_low: np.ndarray  # int64[n_q]
    delay_high: np.ndarray  # int64[n_q]
    table: np.ndarray  # int64[n_q]  where the projection's [n_entries + 1, n_ranges] part of start begins
    base: np.ndarray  # int64[n_q, n_ranges + 1]  first synapse of each range, and the end
    start: np.ndarray  # uint32[...]  first synapse of each entry, relative to base
    target: np.ndarray  # uint16[nnz]  index within the piece of the target population that the range owns
    weight: np.ndarray  # F[nnz]  as of `caught_up`, or of the last arrival where that is later


class Plastic(NamedTuple):
    """Projections whose weights change."""

    rows: PlasticRows
    source_level: np.ndarray  # int64[n_q]
    target_pop: np.ndarray  # int64[n_q]
    piece_low: np.ndarray  # int64[n_q, n_ranges]  first target neuron (index in its population) in the range
    piece_slot: np.ndarray  # int64[n_q, n_ranges]  its slot in the buffer
    piece_n: np.ndarray  # int64[n_q, n_ranges]
    arrived: np.ndarray  # float64[..., 2]  step of the last arrival, -1 for none; trace just after it
    arrived_base: np.ndarray  # int64[n_q]  for a row, see memory_of in kernels/plasticity.py
    own: np.ndarray  # int64[n_q]  1 where there is one for each synapse, since there are fewer than rows
    post_trace: np.ndarray  # F[n_post]  postsynaptic trace of each target neuron, now
    post_base: np.ndarray  # int64[n_q]
    noted: np.ndarray  # uint16[NOTED, n_post]  last spikes of each target neuron, latest first; see LATEST
    last_noted: np.ndarray  # int64[n_q, n_ranges]  latest of all, -1 for none
    caught_up: np.ndarray  # int64[n_q, n_ranges]  weights hold all noted spikes of earlier steps
    rule: np.ndarray  # int64[n_q, 4]  learns, dependence, nearest, normalise every so many steps (0: never)
    constant: np.ndarray  # F[n_q, N_CONSTANTS]  see kernels/stdp.py, as for the next
    rate: np.ndarray  # float64[n_q, 2]
    decay_plus: np.ndarray  # F[n_q, n_table + 1]  -1 for no spike, then exp(-k dt / tau_plus)
    total: np.ndarray  # float64[n_post]  working memory, as are the next five, a row for each range
    waiting: np.ndarray  # int64[n_ranges, WAITING]  entries at which a spike arrives
    located: np.ndarray  # int64[n_ranges, 3, WAITING + 1]  where their synapses lie
    found: np.ndarray  # uint16[n_ranges, NOTED, PIECE + 64]  synapses that have to catch up
    n_found: np.ndarray  # int64[n_ranges, NOTED]
    met: np.ndarray  # F[n_ranges, PIECE + 16]  the traces that synapses meet


class Sources(NamedTuple):
    """Spike sources.  Index = population number (sources come first)."""

    code: np.ndarray  # int64[n_s]  see kernels/sources.py
    key: np.ndarray  # uint64[n_s]
    start: np.ndarray  # int64[n_s]  first step
    period: np.ndarray  # int64[n_s]  steps from one presentation to the next
    present: np.ndarray  # int64[n_s]  of which the source is active
    n_presentations: np.ndarray  # int64[n_s]
    schedule_base: np.ndarray  # int64[n_s]
    table_base: np.ndarray  # int64[n_s]
    width: np.ndarray  # int64[n_s]  columns of a table row
    schedule: np.ndarray  # int64[...]  table row of each presentation
    table: np.ndarray  # float64[...]
    threshold: np.ndarray  # float64[n_s]  delta coding
    gap_row: np.ndarray  # int64[n_s]  row of the next two, for a rare source
    gap_cut: np.ndarray  # uint64[n_rare, GAPS + 1]  P(gap <= j) times 2**53, rounded up; 2**53 at the end
    gap_guide: np.ndarray  # uint16[n_rare, 2**GUIDE_BITS]  number of cuts <= j 2**(53 - GUIDE_BITS)
    event_base: np.ndarray  # int64[n_s + 1]  given spikes of each source population
    event_step: np.ndarray  # int64[...]  ascending
    event_id: np.ndarray  # int64[...]  ascending within a step


class Drives(NamedTuple):
    """What acts on neurons directly: compound Poisson input and currents."""

    poisson_pop: np.ndarray  # int64[n_d]
    poisson_channel: np.ndarray  # int64[n_d]
    poisson_weight: np.ndarray  # float64[n_d]
    poisson_key: np.ndarray  # uint64[n_d]
    poisson_start: np.ndarray  # int64[n_d]
    poisson_stop: np.ndarray  # int64[n_d]
    row_base: np.ndarray  # int64[n_d]
    row: np.ndarray  # int64[...]  row of cuts for each target neuron
    shared: np.ndarray  # int64[n_d]  1 where all target neurons have the same row
    cut_n: np.ndarray  # int64[n_rows]
    cut_base: np.ndarray  # int64[n_rows]
    cut: np.ndarray  # uint64[...]  P(count <= j) times 2**53, rounded up; only those below 2**53
    current_pop: np.ndarray  # int64[n_c]
    current_base: np.ndarray  # int64[n_c]
    current_n: np.ndarray  # int64[n_c]  number of times
    current_width: np.ndarray  # int64[n_c]  1, or one column a neuron
    current_step: np.ndarray  # int64[...]
    current_value_base: np.ndarray  # int64[n_c]
    current_value: np.ndarray  # float64[...]


class Recorder(NamedTuple):
    """Where spikes and samples of one call go."""

    wanted: np.ndarray  # uint8[n_units]
    spike_step: np.ndarray  # int64[capacity]
    spike_unit: np.ndarray  # int32[capacity]
    n_spikes: np.ndarray  # int64[1]
    variable: np.ndarray  # int64[n_p]  see kernels/engine.py
    every: np.ndarray  # int64[n_p]
    item_ptr: np.ndarray  # int64[n_p * n_ranges + 1]
    item_index: np.ndarray  # int64[...]  in the array of the variable
    item_column: np.ndarray  # int64[...]
    frame_base: np.ndarray  # int64[n_p]
    width: np.ndarray  # int64[n_p]
    frame: np.ndarray  # F[...]
    rest: np.ndarray  # F[N]  resting potential, added to the stored potential


class Scratch(NamedTuple):
    """Working memory of one thread, CHUNK elements each."""

    drive: np.ndarray  # F  change of the potential in this step
    threshold: np.ndarray  # F
    spiked: np.ndarray  # uint8
    draw: np.ndarray  # uint64[CHUNK / 4 + 2]  random bits
    draw_16: np.ndarray  # uint16  the same memory
    counts: np.ndarray  # uint16  Poisson counts


class Queue(NamedTuple):
    """Spikes that wait for delivery; working memory of one thread.  All int64[QUEUE]."""

    bundle: np.ndarray
    entry: np.ndarray  # first entry that arrives within the window, within its range and bundle
    n_delays: np.ndarray  # number of entries
    arrival: np.ndarray  # step of the block in which the first of them arrives
    shift: np.ndarray  # what makes a place of the delay
    table: np.ndarray  # entry counted in Rows.start
    base: np.ndarray  # where the synapses are counted from
    low: np.ndarray  # first synapse
    high: np.ndarray  # and the one behind the last
