"""Files that are either the old one or the new one, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnsim.errors import SnnError, StorageError

TEMPORARY_SUFFIX = ".tmp"

_FIXES = {
    errno.ENOSPC: "free space on that disk or choose another folder",
    errno.EDQUOT: "free space in your quota or choose another folder",
    errno.EFBIG: "raise the limit on the size of a file or choose another folder",
    errno.EACCES: "allow writing there or choose another folder",
    errno.EPERM: "allow writing there or choose another folder",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.ENOENT: "create the folder first",
}


@contextmanager
def storage_errors(path: Path | str, doing: str = "write") -> Iterator[None]:
    """Turn any OSError of the block into a StorageError that names the path, the reason and a fix."""
    try:
        yield
    except SnnError:
        raise
    except (OSError, RuntimeError) as error:
        # HDF5 reports a failed write as either of the two, often with the errno only in its text.
        number = getattr(error, "errno", None) or _errno_in_text(str(error))
        if number is None and isinstance(error, RuntimeError):
            raise
        reason = os.strerror(number).lower() if number else str(error)
        fix = _FIXES.get(number or 0, "check the disk and the permissions of the folder")
        raise StorageError(f"cannot {doing} ({reason})", where=str(path), fix=fix) from error


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, it becomes `path`.

    The content is on the disk before the name changes and the name before this returns. When the
    block fails, the temporary file is removed and `path` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with storage_errors(path):
        try:
            temporary.unlink(missing_ok=True)
            yield temporary
            _sync(temporary, os.O_RDWR)
            _replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, StorageError) and error.where == str(temporary):
                error.where = str(path)  # the name that people know
            raise
        sync_folder(path.parent)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically. Raises StorageError."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises StorageError."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove_temporaries(folder: Path) -> None:
    """Remove what processes that were killed inside `replacing` left in `folder`."""
    for left in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make changed names in `folder` durable. Windows has no such call and needs none."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(source: Path, target: Path) -> None:
    for pause_s in (0.05, 0.2, 0.8):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32":
                raise
            time.sleep(pause_s)  # on Windows a reader of the old file blocks the change for a moment
    os.replace(source, target)


def _errno_in_text(text: str) -> int | None:
    found = re.search(r"errno = (\d+)", text)
    return int(found[1]) if found else None
