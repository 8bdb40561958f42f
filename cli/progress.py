"""How a long run tells that it lives: a bar on a terminal, one plain line every 10 s elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from snnsim.cli.output import is_terminal, say

LINE_EVERY_S = 10.0

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all), often."""


@contextmanager
def progress(dt_ms: float, quiet: bool) -> Iterator[Progress | None]:
    """What to pass to the run: None when quiet, a bar on a terminal, plain lines elsewhere."""
    if quiet:
        yield None
    elif is_terminal():
        with _bar(dt_ms) as advance:
            yield advance
    else:
        yield Lines(dt_ms)


Stages = Callable[[str, int, int], None]
"""Called with (what is counted, done, in all); another first word begins another stage."""


@contextmanager
def stages(quiet: bool) -> Iterator[Stages | None]:
    """The same for work without model time."""
    if quiet:
        yield None
    elif is_terminal():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        shape = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*shape, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)

            def show(what: str, done: int, end: int) -> None:
                bar.update(task, description=what, completed=done, total=end)

            yield show
    else:
        yield StageLines()


class StageLines:
    """A plain line every 10 s."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()

    def __call__(self, what: str, done: int, end: int) -> None:
        now = self._clock()
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            say(f"{what}: {done:,} of {end:,}")


class Pace:
    """Wall time of the steps since the first call, and what is to be expected from it."""

    def __init__(self, dt_ms: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.dt_ms = dt_ms
        self.clock = clock
        self._began: tuple[float, int] | None = None

    def text(self, done: int, end: int) -> str:
        """Model time, real-time factor (wall seconds a model second), time left."""
        began, first = self._began = self._began or (self.clock(), done)
        shown = f"t = {done * self.dt_ms:,.0f} of {end * self.dt_ms:,.0f} ms"
        if done == first:
            return shown
        per_step = (self.clock() - began) / (done - first)
        factor = per_step / (self.dt_ms / 1000.0)
        return f"{shown}  RTF {factor:.3g}  ETA {clock_text(per_step * (end - done))}"


class Lines:
    """A plain line every 10 s, for logs."""

    def __init__(self, dt_ms: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._pace = Pace(dt_ms, clock)
        self._clock = clock
        self._last: float | None = None

    def __call__(self, done: int, end: int) -> None:
        text, now = self._pace.text(done, end), self._clock()
        self._last = now if self._last is None else self._last
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            say(f"{done / max(end, 1):4.0%}  {text}")


@contextmanager
def _bar(dt_ms: float) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    pace = Pace(dt_ms)
    shape = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    with Bar(*shape, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, pace="")

        def advance(done: int, end: int) -> None:
            bar.update(task, completed=done, total=end, pace=pace.text(done, end))

        yield advance


def clock_text(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
