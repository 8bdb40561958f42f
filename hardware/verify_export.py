"""Is an exported folder still what it was: checksums, golden vectors simulated again, limits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.converters.verify import Check
from snnsim.errors import ConfigError, ConversionError, FileError
from snnsim.hardware.export import KIND, MANIFEST, NETWORK, SCHEMA
from snnsim.hardware.fits import realised, violations_of
from snnsim.hardware.formats import read_any
from snnsim.hardware.golden import Golden, again, read_golden
from snnsim.hardware.tinyodin import TinyOdinChip
from snnsim.hardware.writers import outputs_only
from snnsim.hashing import sha256_of_file
from snnsim.identity import fingerprint
from snnsim.manifest import MANIFEST_LIMIT
from snnsim.network import Network
from snnsim.networkfile import read_network

_SHOWN = 5


@dataclass(frozen=True)
class ExportVerification:
    """What was compared."""

    checks: tuple[Check, ...]
    manifest: dict[str, Any]

    @property
    def holds(self) -> bool:
        """Nothing that was checked differs."""
        return all(one.holds is not False for one in self.checks)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"holds": self.holds, "checks": [asdict(one) for one in self.checks]}


def verify_export(folder: Path | str, threads: int | None = None) -> ExportVerification:
    """Check a folder that `snnsim export` wrote.

    Raises FileError where it is none.  Differences are in the result, and files that cannot be read any more.
    """
    folder = Path(folder)
    manifest = read_export(folder)
    checks = [_check("files", "every file is the one that was written", _files(folder, manifest))]
    try:
        checks += _contents(folder, manifest, threads)
    except FileError as error:
        checks.append(_check("readable", "the files can be read", [str(error)]))
    return ExportVerification(tuple(checks), manifest)


def _contents(folder: Path, manifest: dict[str, Any], threads: int | None) -> list[Check]:
    """What network, golden vectors and artefacts do."""
    checks = []
    network, _ = read_network(folder / NETWORK)
    said = manifest["network"]
    same = [] if fingerprint(network, {}) == said else ["the network is not the one that was exported"]
    checks.append(_check("network", "the integer network is the one exported", same))
    golden = read_golden(folder, manifest["golden"])
    target = str(manifest["target"])
    violations = [str(one) for one in violations_of(network, target)]
    if not violations:
        does = realised(network, target)
        checks.append(
            _check("golden", "golden vectors, simulated again, are equal", _golden(does, golden, threads))
        )
    for name, facts in sorted(manifest["artefacts"].items()):
        about = f"{name}, read again, does the same"
        if not (isinstance(facts, dict) and facts.get("read_again")):
            checks.append(Check("artefact", about, None, needs="a reader"))
            continue
        wanted = at_the_end(golden, network) if outputs_only(name) else golden
        checks.append(_check("artefact", about, _artefact(folder / Path(name).name, wanted, threads)))
    checks.append(_check("limits", f"the network fits {target}", violations))
    return checks


def read_export(folder: Path) -> dict[str, Any]:
    """The manifest of an exported folder.  Raises FileError."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise FileError("the manifest is too large", where=str(path))
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileError(
            "not an exported folder: no manifest.json", where=str(folder),
            expected="what `snnsim export` wrote",
            code="file.missing",
        ) from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise FileError(f"the manifest is not JSON ({error})", where=str(path)) from error
    types = {"schema": int, "kind": str, "target": str, "network": str, "files": dict, "golden": dict,
             "artefacts": dict}  # fmt: skip
    entries = found if isinstance(found, dict) else {}
    wrong = next((key for key, kind in types.items() if not isinstance(entries.get(key), kind)), "")
    if wrong or entries["kind"] != KIND or entries["schema"] > SCHEMA:
        raise FileError(
            "not the manifest of an export", where=str(path), got=entries.get(wrong or "kind"),
            expected=wrong or f"{KIND}, schema {SCHEMA}", code="file.bad_manifest",
        )  # fmt: skip
    return entries


def _files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    problems = []
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    for name, said in sorted(manifest["files"].items()):
        if name not in there:
            problems.append(f"{name} is missing")
        elif sha256_of_file(folder / name) != said:
            problems.append(f"{name} has changed")
    return problems + [
        f"{name} was not written by the export" for name in sorted(there - set(manifest["files"]))
    ]


def at_the_end(golden: Golden, network: Network) -> Golden:
    """What populations that lead nowhere sent, as the one population that they are in some files."""
    leading = {p.source for p in network.projections.values()}
    parts = [golden.spikes[name] for name in network.populations if name not in leading]
    return Golden(golden.inputs, {"outputs": np.concatenate(parts, axis=1)}, "")


def _golden(network: Network | TinyOdinChip, golden: Golden, threads: int | None) -> list[str]:
    try:
        found = again(network, golden, threads)
    except (ConfigError, ValueError) as error:
        return [f"cannot be simulated: {error}"]
    problems = []
    if not golden.state_sha256:  # outputs only, which come last
        last = list(found.spikes)[-1]
        found = Golden(found.inputs, {last: found.spikes[last]}, "")
    for (mine, a), (name, b) in zip(found.spikes.items(), golden.spikes.items(), strict=False):
        if a.shape != b.shape:
            problems.append(f"{name}: {b.shape} golden, {mine} has {a.shape}")
        elif not np.array_equal(a, b):
            sample, neuron, step = (int(k) for k in np.argwhere(a != b)[0])
            n = int(np.count_nonzero(a != b))
            where = f"sample {sample}, neuron {neuron}, step {step}"
            problems.append(
                f"{name}, {where}: {a[sample, neuron, step]} instead of {b[sample, neuron, step]} "
                f"({n} differ)"
            )
    if len(found.spikes) != len(golden.spikes):
        problems.append(f"{len(found.spikes)} populations, golden vectors of {len(golden.spikes)}")
    if found.state_sha256 != golden.state_sha256:
        problems.append(f"state has SHA-256 {found.state_sha256[:16]}..., not {golden.state_sha256[:16]}...")
    return problems


def _artefact(path: Path, golden: Golden, threads: int | None) -> list[str]:
    try:
        network = read_any(path)
    except (FileError, ConversionError, ConfigError) as error:
        return [str(error)]
    return _golden(network, golden, threads)


def _check(name: str, about: str, problems: list[str]) -> Check:
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return Check(name, about, not problems, (*problems[:_SHOWN], *more))
