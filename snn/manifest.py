"""manifest.json: what ran, where, on what, and what came out."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from snnsim.errors import FileError

SCHEMA = 1
PACKAGES = ("numpy", "numba", "h5py")
MANIFEST_LIMIT = 16 * 2**20


def software_facts() -> dict[str, Any]:
    """Versions of snnsim and of the packages that a result depends on."""
    return {"snnsim": _version("snnsim"), "packages": {name: _version(name) for name in PACKAGES}}


def platform_facts() -> dict[str, Any]:
    """The machine, in the words of the standard library."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "host": platform.node(),
        "python": platform.python_version(),
    }


def utc_now() -> str:
    """The time now, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest whose entries have the types that the program relies on. Raises FileError."""
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise FileError(
                "the manifest is too large", where=str(path), expected=f"at most {MANIFEST_LIMIT} bytes"
            )
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileError(
            "not a run directory: no manifest.json",
            where=str(path.parent),
            expected="a folder that `snnsim run` made",
        ) from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"the manifest is not JSON ({error})", where=str(path)) from error
    types = {"schema": int, "status": str, "name": str, "inputs": dict, "outputs": dict, "resumed_utc": list}
    entries = manifest if isinstance(manifest, dict) else {}
    wrong = next((k for k, t in types.items() if not isinstance(entries.get(k), t)), "")
    if wrong or any(not isinstance(f, dict) or "sha256" not in f for f in entries["outputs"].values()):
        raise FileError(
            "the manifest lacks an entry", where=str(path), expected=wrong or "outputs with sha256"
        )
    if entries["schema"] > SCHEMA:
        raise FileError(
            "a run of a newer version",
            where=str(path),
            got=entries["schema"],
            expected=f"schema {SCHEMA}",
            fix="update snnsim",
        )
    return entries


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
