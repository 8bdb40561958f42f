"""How much memory is free, how much was taken, and does a network fit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from snnsim.errors import ConfigError
from snnsim.program import Estimate


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory that a new array could take without swapping; None where the system does not say.

    That is what the machine has left, or a control group (container, batch job) when it has less.
    `root` is the folder with `proc` and `sys`.
    """
    machine = _field(root / "proc/meminfo", "MemAvailable:")
    left = _physical_bytes() if machine is None else machine * 1024
    return min([*([] if left is None else [left]), *_left_in_groups(root)], default=None)


def peak_rss_bytes(root: Path = Path("/")) -> int | None:
    """Most memory that this process has ever held at once; None where the system does not say.

    `root` is the folder with `proc`.  Linux has it there; what getrusage tells there would include the
    process that started this one.
    """
    peak = _field(root / "proc/self/status", "VmHWM:")
    if peak is not None:
        return peak * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _left_in_groups(root: Path) -> Iterator[int]:
    """Bytes left in each control group of this process that has a limit, and in those around it.

    A group also counts cached files, which make way for arrays: those unused of late count as free.
    Source: Linux kernel, admin-guide/cgroup-v2 "Memory" and cgroup-v1/memory.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, limit, usage = "sys/fs/cgroup", "memory.max", "memory.current"
            cached = "inactive_file"
        elif "memory" in controllers.split(","):
            mount, limit, usage = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for inside in (group, *group.parents):  # a container may see its group as the root of the mount
            folder = root / mount / inside
            most, used = _number(folder / limit), _number(folder / usage)
            if most is not None and used is not None:
                yield max(0, most - used + (_field(folder / "memory.stat", cached) or 0))


def _number(path: Path) -> int | None:
    """The number a file consists of; None without the file, or where it says "max"."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _field(path: Path, name: str) -> int | None:
    """The number that follows `name` in a file of names and numbers."""
    return next((int(words[1]) for words in map(str.split, _lines(path)) if words[:1] == [name]), None)


def _lines(path: Path) -> list[str]:
    """Lines of a small text file; none where it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _physical_bytes() -> int | None:
    """All of the machine's memory, where only that is known (macOS)."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_memory(sizes: Estimate) -> None:
    """Refuse, with ConfigError, a network that cannot fit into the memory that is free now."""
    size, free = sizes.total_bytes, available_bytes()
    if free is not None and size > free:
        raise ConfigError(
            "the network does not fit into memory",
            where=f"most of it: {sizes.largest}",
            got=f"about {size / 2**30:.3g} GiB",
            expected=f"at most the {free / 2**30:.3g} GiB that are free",
            fix='shorten the longest delay (give a distribution a "high")'
            if "delay_ms" in sizes.largest
            else 'lower the numbers of neurons or connections, or set precision = "float32"',
            code="config.too_large",
        )
