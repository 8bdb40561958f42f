"""A barrier for a few plain threads that run one compiled loop.

A waiting thread spins for longer than threads usually wait for each other, and then sleeps: spinning on, it
would take the time of a core that others need, those it waits for among them.  On Linux the last thread to
arrive wakes those that sleep (futex); elsewhere they look again from time to time.  The memory order is
sequentially consistent: what one thread wrote before the barrier, every thread reads after it.
"""

import sys

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

ARRIVED = 0
GENERATION = 16  # on another cache line than ARRIVED
ABORT = 24  # set when a thread will never come
ASLEEP = 32  # threads that sleep, or are about to
_ADDRESS = 40  # of the word GENERATION
_TIMEOUT = 41  # seconds and ns, after which a sleeping thread looks whether it should give up
_SIZE = 48
_TIMEOUT_NS = 5_000_000
_SPINS = 75_000  # about 0.15 ms
_PAUSE = 1 if sys.platform == "win32" else 30  # ms, or us

_PROCESSOR = binding.get_process_triple().split("-")[0]
_SYSTEM_CALL = {"x86_64": 202, "aarch64": 98}.get(_PROCESSOR, 0) if sys.platform == "linux" else 0
_WAIT, _WAKE = 128, 129  # futex operations within a process

_sleep = types.ExternalFunction("Sleep" if sys.platform == "win32" else "usleep", types.int32(types.uint32))
_system_call = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))


def new_barrier():
    """int64[...]: the memory of a barrier, as `wait_for_all` takes it."""
    sync = np.zeros(_SIZE, np.int64)
    sync[_ADDRESS] = sync.ctypes.data + GENERATION * sync.itemsize
    sync[_TIMEOUT + 1] = _TIMEOUT_NS
    return sync


def restart(sync):
    """As new, when no thread is within the barrier."""
    sync[[ARRIVED, GENERATION, ABORT, ASLEEP]] = 0


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


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")
def _doze(sync, generation):
    """Sleep until the generation is another one, or for a while."""
    if _SYSTEM_CALL != 0:
        _atomic_add(sync, ASLEEP, np.int64(1))
        timeout = sync[_ADDRESS] + 8 * (_TIMEOUT - GENERATION)
        _system_call(_SYSTEM_CALL, sync[_ADDRESS], _WAIT, generation & 0xFFFFFFFF, timeout, 0, 0)
        _atomic_add(sync, ASLEEP, np.int64(-1))
    else:
        _sleep(np.uint32(_PAUSE))


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def wait_for_all(sync, tid, n_threads):
    """Return when n_threads threads have called this, or when sync[ABORT] is set.

    sync  int64[...]  changed  of `new_barrier`
    """
    if n_threads == 1:
        return
    generation = _atomic_load(sync, GENERATION)
    if _atomic_add(sync, ARRIVED, np.int64(1)) == n_threads - 1:
        _atomic_add(sync, ARRIVED, np.int64(-n_threads))
        _atomic_add(sync, GENERATION, np.int64(1))
        if _SYSTEM_CALL != 0 and _atomic_load(sync, ASLEEP) > 0:
            _system_call(_SYSTEM_CALL, sync[_ADDRESS], _WAKE, n_threads, 0, 0, 0)
        return
    spins = 0
    while _atomic_load(sync, GENERATION) == generation and _atomic_load(sync, ABORT) == 0:
        spins += 1
        if spins > _SPINS:
            _doze(sync, generation)
