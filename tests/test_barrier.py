"""Threads wait for each other, also for one that is late by far, and for none that will never come."""

from __future__ import annotations

import time
from threading import Thread

import numpy as np
import pytest

from snnsim.kernels.barrier import ABORT, new_barrier, restart, wait_for_all


@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
def test_nobody_goes_on_before_all_have_come(n_threads: int) -> None:
    sync, n_rounds = new_barrier(), 40
    arrived = np.zeros(n_threads, np.int64)
    early: list[tuple[int, int]] = []

    def work(tid: int) -> None:
        for k in range(n_rounds):
            if k % 8 == 0 and tid == k // 8 % n_threads:
                time.sleep(0.004)  # the others have fallen asleep by then
            arrived[tid] += 1
            wait_for_all(sync, tid, n_threads)
            if arrived.min() <= k:
                early.append((tid, k))
            wait_for_all(sync, tid, n_threads)

    threads = [Thread(target=work, args=(tid,)) for tid in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not early
    assert arrived.tolist() == [n_rounds] * n_threads


def test_a_raised_flag_frees_those_who_wait() -> None:
    sync = new_barrier()
    waiting = Thread(target=wait_for_all, args=(sync, 0, 2))
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    sync[ABORT] = 1
    waiting.join(timeout=60)
    assert not waiting.is_alive()
    restart(sync)
    pair = [Thread(target=wait_for_all, args=(sync, tid, 2)) for tid in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join(timeout=60)
        assert not thread.is_alive()
