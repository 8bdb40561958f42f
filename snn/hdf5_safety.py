"""HDF5 files from strangers: everything a file declares is checked before anything of it is read.

A small HDF5 file can read other files of this machine (external links, external storage, virtual
datasets), claim terabytes, or run in a circle. None of that is needed for arrays, so it is refused.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import h5py
from h5py import h5a, h5d, h5g, h5o, h5t, h5z

from snnsim.errors import FileError

MAX_BYTES = 64 * 2**30
MAX_OBJECTS = 10_000
MAX_DEPTH = 8
MAX_ATTRIBUTES = 256
MAX_ATTRIBUTE_BYTES = 64 * 2**10
MAX_RATIO = 1000
"""Declared bytes for each stored byte. No chunk that deflate packed comes near (its limit is 1032)."""
RATIO_APPLIES_ABOVE = 64 * 2**20
MAX_STRINGS = 64
"""Elements of a variable-length attribute; each may point at the same large text in the file."""

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
_PLAIN_TYPES = {h5t.INTEGER, h5t.FLOAT, h5t.BITFIELD, h5t.OPAQUE}
_H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError)


def open_untrusted(
    path: Path | str, swmr: bool = False, *, max_bytes: int = MAX_BYTES, strings: bool = False
) -> h5py.File:
    """Open an HDF5 file for reading after checking all that it declares.

    swmr        read a file that another process is writing, or was writing when it was killed
    max_bytes   limit of the declared size of all datasets together
    strings     also accept datasets of variable-length text (NIR files hold them)
    Raises FileError: missing, not HDF5, truncated, still being written, damaged, or unsafe.
    """
    path = Path(path)
    if not path.exists():
        raise FileError("no such file", where=str(path), fix="check the path")
    if not path.is_file():
        raise FileError("not a file", where=str(path), expected="an HDF5 file")
    if path.stat().st_size == 0:
        raise FileError("the file is empty", where=str(path), expected="an HDF5 file")
    try:
        # Without locks a reader never stands in the way of the writer; HDF5's own flags tell of one.
        file = h5py.File(path, "r", swmr=swmr, locking=False)
    except _H5_ERRORS as error:
        raise _cannot_open(path, error) from error
    try:
        check_tree(file, max_bytes=max_bytes, strings=strings)
    except BaseException:
        file.close()
        raise
    return file


def check_tree(file: h5py.File, *, max_bytes: int = MAX_BYTES, strings: bool = False) -> None:
    """Walk all links of an open file, following none that leaves it. Raises FileError at the first fault."""
    with damage_errors(file):
        _walk(file, max_bytes, strings)


@contextmanager
def damage_errors(file: h5py.File) -> Iterator[None]:
    """Turn what HDF5 says about damaged bytes into a FileError that names the file."""
    name = file.filename
    try:
        yield
    except FileError:
        raise
    except _H5_ERRORS as error:
        raise FileError(
            f"the file is damaged ({_reason(error)})", where=str(name), code="file.damaged"
        ) from error


def _walk(file: h5py.File, max_bytes: int, strings: bool) -> None:
    name = str(file.filename)
    waiting: deque[tuple[h5g.GroupID, str, int]] = deque([(h5g.open(file.id, b"/"), "", 0)])
    groups_seen = {_address(waiting[0][0])}
    n_objects, declared = 1, 0
    _check_attributes(waiting[0][0], name, "/")
    while waiting:
        group, prefix, depth = waiting.popleft()
        n_objects += len(group)
        if n_objects > MAX_OBJECTS:
            raise _unsafe("too many objects", name, prefix or "/", f"at most {MAX_OBJECTS:,}")
        if depth >= MAX_DEPTH and len(group):
            raise _unsafe("groups are nested too deeply", name, prefix, f"at most {MAX_DEPTH} levels")
        for key in group:
            inside = f"{prefix}/{key.decode(errors='replace')}"
            if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise _unsafe("a soft or external link", name, inside, "objects of this file only")
            item = h5o.open(group, key)
            _check_attributes(item, name, inside)
            if isinstance(item, h5g.GroupID):
                if _address(item) in groups_seen:
                    raise _unsafe("a group that is reached twice", name, inside, "a tree")
                groups_seen.add(_address(item))
                waiting.append((item, inside, depth + 1))
            elif isinstance(item, h5d.DatasetID):
                declared += _check_dataset(item, name, inside, strings)
                if declared > max_bytes:
                    raise _unsafe(
                        "the datasets claim too much",
                        name,
                        inside,
                        f"at most {max_bytes:,} bytes",
                        got=f"{declared:,} bytes",
                    )
            else:
                _check_type(item, name, inside, strings=False)


def _check_dataset(dataset: h5d.DatasetID, name: str, inside: str, strings: bool) -> int:
    """Bytes that the dataset declares."""
    plan = dataset.get_create_plist()
    if plan.get_external_count():
        raise _unsafe("a dataset that is stored in another file", name, inside, "data inside this file")
    if plan.get_layout() == h5d.VIRTUAL:
        raise _unsafe("a virtual dataset", name, inside, "data inside this file")
    for index in range(plan.get_nfilters()):
        code = plan.get_filter(index)[0]
        if code not in _FILTERS:
            raise _unsafe(
                "an unknown filter", name, inside, "gzip, lzf, shuffle or fletcher32", got=f"filter {code}"
            )
    kind = dataset.get_type()
    _check_type(kind, name, inside, strings)
    declared = prod(dataset.shape) * kind.get_size()
    stored = dataset.get_storage_size()
    # Reading one value unpacks its whole chunk, so a chunk counts even where the dataset is small.
    chunk = prod(plan.get_chunk()) * kind.get_size() if plan.get_layout() == h5d.CHUNKED else 0
    unpacked = max(declared, chunk)
    if unpacked > RATIO_APPLIES_ABOVE and unpacked > MAX_RATIO * stored:
        raise _unsafe(
            "a dataset claims far more than the file holds",
            name,
            inside,
            f"at most {MAX_RATIO} times the {stored:,} stored bytes",
            got=f"{unpacked:,} bytes",
        )
    return declared


def _check_attributes(item: h5py.h5.ObjectID, name: str, inside: str) -> None:
    count = h5a.get_num_attrs(item)
    if count > MAX_ATTRIBUTES:
        raise _unsafe("too many attributes", name, inside, f"at most {MAX_ATTRIBUTES}", got=count)
    for index in range(count):
        attribute = h5a.open(item, index=index)
        where = f"{inside} attribute {attribute.name.decode(errors='replace')}"
        kind = attribute.get_type()
        _check_type(kind, name, where, strings=True)
        n_elements = prod(attribute.shape)
        if n_elements * kind.get_size() > MAX_ATTRIBUTE_BYTES:
            raise _unsafe("a large attribute", name, where, f"at most {MAX_ATTRIBUTE_BYTES:,} bytes")
        if kind.get_class() == h5t.STRING and kind.is_variable_str() and n_elements > MAX_STRINGS:
            raise _unsafe("an attribute of many texts", name, where, f"at most {MAX_STRINGS}", got=n_elements)


def _check_type(kind: h5t.TypeID, name: str, inside: str, strings: bool) -> None:
    group = kind.get_class()
    if group in _PLAIN_TYPES:
        return
    if group == h5t.STRING:
        if kind.is_variable_str() and not strings:
            raise _unsafe("variable-length text", name, inside, "text of fixed length")
    elif group in (h5t.ENUM, h5t.ARRAY):
        _check_type(kind.get_super(), name, inside, strings=False)
    elif group == h5t.COMPOUND:
        for member in range(kind.get_nmembers()):
            _check_type(kind.get_member_type(member), name, inside, strings=False)
    elif group == h5t.REFERENCE:
        raise _unsafe("an object or region reference", name, inside, "plain numbers")
    elif group == h5t.VLEN:
        raise _unsafe("variable-length data", name, inside, "plain numbers")
    else:
        raise _unsafe("an unknown data type", name, inside, "plain numbers", got=f"class {group}")


def _address(item: h5py.h5.ObjectID) -> int:
    return int(h5o.get_info(item).addr)


def _unsafe(problem: str, name: str, inside: str, expected: str, got: object = None) -> FileError:
    return FileError(
        f"unsafe HDF5 file: {problem}",
        where=f"{name}:{inside}",
        got=got,
        expected=expected,
        code="file.unsafe",
        fix="ask its author for a file of plain datasets",
    )


def _cannot_open(path: Path, error: Exception) -> FileError:
    reason = _reason(error)
    where = str(path)
    if isinstance(error, PermissionError):
        return FileError("no permission to read the file", where=where, fix="allow reading it")
    if "already open for write" in reason:
        return FileError(
            "the file is being written, or its writer was killed",
            where=where,
            code="file.in_use",
            fix="open it with swmr=True, or run `snnsim resume` on its run directory",
        )
    if "truncated" in reason:
        return FileError(
            f"the file is truncated ({reason})",
            where=where,
            code="file.truncated",
            fix="copy it again from its source",
        )
    if not h5py.is_hdf5(path):
        return FileError("not an HDF5 file", where=where, code="file.not_hdf5", expected="the HDF5 signature")
    return FileError(f"the file is damaged ({reason})", where=where, code="file.damaged")


def _reason(error: Exception) -> str:
    """The innermost bracket of HDF5's text holds the cause."""
    text = " ".join(str(error).split())
    found = re.search(r"\((.+)\)", text)
    return (found[1] if found else text)[:200]
