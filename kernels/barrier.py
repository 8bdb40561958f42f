"""A barrier for a few plain threads that run one compiled loop.

Waiting threads spin for longer than a step usually takes and then sleep between looks.  A thread that only
gave its core away would use up its share of a busy machine with waiting, and then not be given the core
when it has work to do.  One that had to sleep for long spins for a shorter time the next time: whom it waits
for is kept away by other programs, and that lasts.  The memory order is sequentially consistent: what one
thread wrote before the barrier, every thread reads after it.
"""

import sys

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

ARRIVED = 0
GENERATION = 16  # on another cache line than ARRIVED
ABORT = 24  # set when a thread will never come
PATIENCE = 32  # of thread tid at PATIENCE + 16 tid: how often its spinning time is halved
_SPINS = 150_000  # about 0.3 ms
_HALVED_MOST = 6
_LONG = 4  # sleeps, 0.1 ms each as systems round them up: longer than any difference in work
_SLEEP = 1 if sys.platform == "win32" else 30  # ms, or us

_sleep = types.ExternalFunction("Sleep" if sys.platform == "win32" else "usleep", types.int32(types.uint32))


def _word(context, builder, signature, args):
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, args[0])
    return cgutils.get_item_pointer(context, builder, array_type, array, [args[1]])


@intrinsic
def _atomic_add(typing_context, array, index, value):
    """array[index] += value, for all threads at once; returns the value before."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(context, builder, signature, args), args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def _atomic_load(typing_context, array, index):
    """array[index], read anew."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(_word(context, builder, signature, args), "seq_cst", 8, typ=ir.IntType(64))

    return types.int64(array, types.intp), codegen


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def wait_for_all(sync, tid, n_threads):
    """Return when n_threads threads have called this, or when sync[ABORT] is set.

    sync  int64[PATIENCE + 16 n_threads]  changed  zeros before the first call, then left to the barrier
    """
    if n_threads == 1:
        return
    generation = _atomic_load(sync, GENERATION)
    if _atomic_add(sync, ARRIVED, np.int64(1)) == n_threads - 1:
        _atomic_add(sync, ARRIVED, np.int64(-n_threads))
        _atomic_add(sync, GENERATION, np.int64(1))
        return
    spins, sleeps, halved = 0, 0, sync[PATIENCE + 16 * tid]
    most = _SPINS >> halved
    while _atomic_load(sync, GENERATION) == generation and _atomic_load(sync, ABORT) == 0:
        spins += 1
        if spins > most:
            _sleep(np.uint32(_SLEEP))
            sleeps += 1
    sync[PATIENCE + 16 * tid] = min(halved + 2, _HALVED_MOST) if sleeps >= _LONG else max(halved - 1, 0)
