"""Threads that are there from the start: one that cannot be started later would be waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from snnsim.errors import ConfigError

MAX_THREADS = 1024
_START_S = 60.0


class Workers:
    """`n` threads.  In a forked child, where threads do not live on, they are started again."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool, self._pid = self._start(), os.getpid()

    def _start(self) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(self.n, thread_name_prefix="snnsim")
        meeting = threading.Barrier(self.n)
        started: list[Future[int]] = []
        try:
            for _ in range(self.n):
                started.append(pool.submit(meeting.wait, _START_S))
            for one in started:
                one.result()
        except (RuntimeError, threading.BrokenBarrierError) as error:
            meeting.abort()
            pool.shutdown()
            raise ConfigError(
                f"the threads cannot be started ({error})",
                where="threads",
                got=self.n,
                fix="ask for fewer threads",
            ) from error
        return pool

    def _alive(self) -> ThreadPoolExecutor:
        if self._pid != os.getpid():
            self._pool, self._pid = self._start(), os.getpid()
        return self._pool

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function in one of the threads."""
        return self._alive().submit(function, *arguments)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Run a function for every item, several at a time; results in the order of the items."""
        return self._alive().map(function, items)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def threads_or_all(wanted: int | None) -> int:
    """The number of threads asked for; without, one for each core that this process may use."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)
