"""Ctrl-C and SIGTERM as a wish to stop: the run ends at the next safe place, after a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from snnsim.cli.output import Stopped, say
from snnsim.errors import ExitCode

EXIT = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


@contextmanager
def signals_noted() -> Iterator[Callable[[], str | None]]:
    """Give a function that names the signal that came, or None.

    Before its first call nothing is worth a checkpoint, and a signal raises `Stopped`. After a signal
    was noted, a second one ends the process at once.
    """
    came: list[str] = []
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        for each in EXIT:
            signal.signal(each, signal.SIG_DFL)
        if not asked:
            raise Stopped(f"stopped by {name} before the first step", exit_code=EXIT[signal.Signals(number)])
        came.append(name)
        say(f"{name}: stopping after a checkpoint; once more to quit at once")

    def stop() -> str | None:
        nonlocal asked
        asked = True
        return came[0] if came else None

    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for signals
        yield lambda: None
        return
    before = {number: signal.signal(number, note) for number in EXIT}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
