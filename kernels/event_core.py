"""A core that takes one event at a time, in order, as tinyODIN does: spikes wait in a bounded queue.

An event acts on neurons in ascending order, each of which may spike at once, reset to 0 and join the queue:

    SPIKE of neuron or input p   v_k <- sat(v_k + weight[p, k])        k = 0 .. n - 1
    VIRTUAL                      v_k <- sat(v_k + weight of the event)  one k
    LEAK_ONE, LEAK_ALL           v_k <- v_k towards 0 by leak_k         one k, or all
    then                         a spike where v_k >= threshold_k;  v_k <- 0

A spike that is being worked on still has its place in the queue; what finds the queue full is lost.
Twin: tests/oracle_event_core.py.
"""

from numba import njit

SPIKE, VIRTUAL, LEAK_ONE, LEAK_ALL = range(4)  # kinds of events
LOW, HIGH = -2048, 2047


@njit(cache=True, nogil=True, error_model="numpy")
def take_event(kind, address, added, potential, weight, threshold, leak, silent, closed, queue, limit, out):
    """One event and all that it calls forth; returns (spikes in `out`, spikes lost, still waiting).

    address           the neuron or input it is about; nothing with LEAK_ALL
    added             weight of a virtual event
    potential         int64[n]                changed
    weight            int8[n_addresses, n]    of the spikes of neuron or input p
    threshold, leak   int64[n]
    silent            bool[n]                 neurons that reset, but tell nobody
    closed            do spikes of neurons act on the core itself?
    queue             int64[capacity]         worked in
    limit             spikes that are worked on, at most
    out               int32[n (limit + 1)]    written: the neurons that spiked, in order
    """
    n, capacity = potential.size, queue.size
    first, waiting, n_out, lost = 0, 0, 0, 0
    if kind == SPIKE:
        queue[0], waiting = address, 1
    one = kind in (VIRTUAL, LEAK_ONE)
    done = 0
    while done <= limit:
        if done > 0 or kind == SPIKE:
            kind, one, address = SPIKE, False, queue[first]
        low, high = (address, address + 1) if one else (0, n)
        for k in range(low, high):
            v = potential[k]
            if kind in (LEAK_ONE, LEAK_ALL):
                v = min(v + leak[k], 0) if v < 0 else max(v - leak[k], 0)
            else:
                v = min(max(v + (added if kind == VIRTUAL else weight[address, k]), LOW), HIGH)
            fired = v >= 0 and v >= threshold[k]
            potential[k] = 0 if fired else v
            if fired and not silent[k]:
                out[n_out] = k
                n_out += 1
                if closed and waiting < capacity:
                    queue[(first + waiting) % capacity] = k
                    waiting += 1
                elif closed:
                    lost += 1
        if kind == SPIKE:
            first, waiting = (first + 1) % capacity, waiting - 1
        done += 1
        if waiting == 0:
            break
    return n_out, lost, waiting
