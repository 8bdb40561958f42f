"""One process at a time: a lock file that names its process, so that a stale one is recognised."""

from __future__ import annotations

import json
import os
import platform
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from snnsim.atomic import storage_errors
from snnsim.errors import StorageError

GRACE_S = 5.0
"""An unreadable lock may be one that is just being written; an older one is left over."""


class FileLock:
    """A file that holds pid and host of the process that works here.

    A lock of a process that no longer lives is taken over. The kernel's file locks are not used:
    they are missing or unreliable on network file systems.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = ""

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return bool(self._text)

    def holder(self) -> tuple[int, bool] | None:
        """Process that the file names, and whether it still runs; None without a file that names one."""
        try:
            found = _parse(self.path.read_bytes())
        except OSError:
            return None
        return None if found is None else (found["pid"], _lives(found))

    def acquire(self) -> None:
        """Take the lock. Raises StorageError when another process holds it or the folder is read-only."""
        if self.held:
            return
        text = json.dumps({"pid": os.getpid(), "host": platform.node(), "started": _start_of(os.getpid())})
        for _ in range(3):
            with storage_errors(self.path):
                if self._create(text):
                    self._text = text
                    return
                self._remove_stale()
        raise StorageError("another process takes this lock again and again", where=str(self.path))

    def release(self) -> None:
        """Give the lock back."""
        if self.held:
            self._text = ""
            self.path.unlink(missing_ok=True)

    def _create(self, text: str) -> bool:
        try:
            with self.path.open("x") as stream:
                stream.write(text)
        except FileExistsError:
            return False
        return True

    def _remove_stale(self) -> None:
        try:
            found = self.path.read_bytes()
            age_s = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return
        holder = _parse(found)
        if holder is None and age_s < GRACE_S:
            raise StorageError("another process is taking this lock", where=str(self.path), fix="try again")
        if holder is not None and _lives(holder):
            raise StorageError(
                "another process works here",
                where=str(self.path),
                got=f"process {holder['pid']} on {holder['host']}",
                fix="wait for it or stop it; if that machine no longer runs it, delete this file",
            )
        # Move first, then look: of two processes that found the same stale lock only one moves it,
        # and one that moved the other's fresh lock instead puts it back.
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        if aside.read_bytes() != found:
            os.rename(aside, self.path)
        else:
            aside.unlink()


def _parse(found: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(found)
    except ValueError:
        return None
    if (
        not isinstance(value, dict)
        or type(value.get("pid")) is not int
        or not isinstance(value.get("host"), str)
    ):
        return None
    return value if value["pid"] > 0 else None


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the process runs, as far as can be told from here: one on another host counts as alive."""
    if holder["host"] != platform.node():
        return True
    if sys.platform == "win32":
        return True  # os.kill(pid, 0) would end the process there
    try:
        os.kill(holder["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return bool(holder.get("started") == _start_of(holder["pid"]))


def _start_of(pid: int) -> str:
    """Start time of a process in ticks since boot, which tells it from a later one of the same pid.

    Empty where the system has no /proc.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
