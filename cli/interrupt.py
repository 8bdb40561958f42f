"""Ctrl-C and SIGTERM as a wish to stop: the run ends at the next safe place, after a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from snnsim.cli.output import say

NOTED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_noted() -> Iterator[Callable[[], str | None]]:
    """Give a function that names the first signal that came, or None. A second one ends the process."""
    came: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)
        for each in NOTED:
            signal.signal(each, signal.SIG_DFL)
        say(f"{came[0]}: stopping after a checkpoint; once more to quit at once")

    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for signals
        yield lambda: None
        return
    before = {number: signal.signal(number, note) for number in NOTED}
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
