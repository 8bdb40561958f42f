"""Where compiled kernels are kept: one folder for each state of `kernels/*.py`.

Numba notices an edit of the file in which a kernel stands, but not an edit of a helper that the
kernel inlined from another file: it would go on running the old machine code. Hence the folder's
name is a hash of all kernel sources, and no folder ever holds code of two states.

`import snnsim` leaves Numba's settings alone, for they belong to the whole process. The command
line, the tests and the benchmarks call `configure()` before their first kernel is imported. This
file needs the standard library only, so that calling it costs a few milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path

KEPT_FOLDERS = 5
MIN_AGE_S = 24 * 3600.0  # a folder used within a day may belong to a process that still runs
_FOLDER_NAME = re.compile(r"numba-[0-9a-f]{16}")


def configure() -> Path:
    """Point Numba at the cache folder of these kernels and return it; a user's own choice is kept.

    A NUMBA_CACHE_DIR in the environment wins. Otherwise the folder is
    `$XDG_CACHE_HOME/snnsim/numba-<hash>` (`~/.cache/snnsim/...` where that is unset). Numba
    creates it on the first compilation. Call this before importing numba; where numba is loaded
    already, kernels imported from now on use the folder.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    folder = _user_cache() / "snnsim" / f"numba-{kernel_hash()}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    numba = sys.modules.get("numba")
    if numba is not None:
        numba.config.CACHE_DIR = str(folder)
    _prune(folder)
    return folder


def kernel_hash() -> str:
    """First 16 hex digits of the SHA-256 over names and contents of `kernels/*.py`, by name."""
    digest = hashlib.sha256()
    for source in sorted(_kernels().glob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _kernels() -> Path:
    """Beside this file in the installed package, one level up in the source tree."""
    here = Path(__file__).parent
    installed = here / "kernels"
    return installed if installed.is_dir() else here.parent / "kernels"


def _user_cache() -> Path:
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return Path(configured) if os.path.isabs(configured) else Path(os.path.expanduser("~")) / ".cache"


def _prune(current: Path) -> None:
    """Remove the longest unused sibling folders beyond KEPT_FOLDERS; the current one stays."""
    with suppress(OSError):  # not there yet, or read-only: still a good cache
        os.utime(current)
    if not current.parent.is_dir():
        return
    others = []
    for entry in os.scandir(current.parent):
        if _FOLDER_NAME.fullmatch(entry.name) and entry.name != current.name:
            used = _last_use(entry)
            if used is not None:
                others.append((used, entry.path))
    others.sort(reverse=True)
    stale = [path for used, path in others[KEPT_FOLDERS - 1 :] if time.time() - used > MIN_AGE_S]
    if stale:
        import shutil  # slow to import, and needed once in a blue moon

        for path in stale:
            shutil.rmtree(path, ignore_errors=True)


def _last_use(entry: os.DirEntry[str]) -> float | None:
    """Modification time, or None for a link or what another process has just removed."""
    try:
        return entry.stat().st_mtime if entry.is_dir(follow_symlinks=False) else None
    except OSError:
        return None
