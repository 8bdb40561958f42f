"""What every result of a benchmark says of itself: the command, versions, machine and date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def head(
    benchmark: str, command: str, packages: tuple[str, ...] = ("snnsim", "numpy", "numba")
) -> dict[str, Any]:
    """The first entries of a result."""
    return {
        "benchmark": benchmark,
        "command": command,
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
        "machine": machine(),
        "date": now(),
    }


def now() -> str:
    """The time of day, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def machine() -> str:
    """System, processor and number of cores."""
    cpuinfo, model = Path("/proc/cpuinfo"), platform.processor()
    if cpuinfo.exists():
        lines = (line for line in cpuinfo.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").partition(":")[2].strip()
    return f"{platform.system()} {platform.machine()}, {model or 'unknown processor'}, {os.cpu_count()} cores"
