"""Spikes to the neurons they reach: weights added to the input buffer of the current block."""

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def deliver(buffer, layout, spikes, static, r, step, list_low, list_high, arrive_low, arrive_high):
    """Add to range r what spikes emitted in `step` bring within [arrive_low, arrive_high].

    buffer  F[...]  changed; the arrival window lies inside one block
    Only the lists list_low <= l < list_high are read, in ascending order of units.  The synapses of one
    source that arrive within the window lie next to each other.
    """
    rows = static.rows
    stride = layout.range_size[r] * 2
    block_start = arrive_low - arrive_low % layout.block
    slot = step % spikes.n_fired.shape[0]
    for part in range(list_low, list_high):
        first = layout.list_first[part]
        for k in range(first, first + spikes.n_fired[slot, part]):
            unit = spikes.ids[slot, k]
            b = static.bundle[unit]
            if b < 0:
                continue
            low = max(arrive_low - step, rows.delay_low[b])
            high = min(arrive_high - step, rows.delay_high[b])
            if low > high:
                continue
            n_delays = rows.delay_high[b] - rows.delay_low[b] + 1
            entry = rows.table[b] + r * (rows.n_rows[b] * n_delays + 1)
            entry += (unit - rows.first_unit[b]) * n_delays - rows.delay_low[b]
            base = rows.base[b, r]
            for delay in range(low, high + 1):
                at = layout.buffer_base[r] + (step + delay - block_start) * stride
                for s in range(base + rows.start[entry + delay], base + rows.start[entry + delay + 1]):
                    buffer[at + rows.target[s]] += rows.weight[s]
