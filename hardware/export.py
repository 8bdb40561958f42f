"""A quantised network as a folder for a chip: artefacts, golden vectors, and a manifest with checksums.

    folder/network.h5       the integer network, as `snnsim.networkfile.read_network` reads it
    folder/network.net ...  what the target's own tools read (writers.py)
    folder/golden/          input and expected spikes (golden.py)
    folder/manifest.json    what it is: target, versions, losses, limits, placement, SHA-256 of every file

A folder is there whole or not at all, and nothing is ever written over.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import storage_errors, sync_folder, write_json
from snnsim.errors import StorageError
from snnsim.hardware.energy import ChipEnergy
from snnsim.hardware.export_energy import energies
from snnsim.hardware.fits import realised, violations_of
from snnsim.hardware.golden import Golden, golden_of
from snnsim.hardware.limits import Violation, error_of
from snnsim.hardware.placement import Placement, place
from snnsim.hardware.quantise import Quantised
from snnsim.hardware.targets import get_target
from snnsim.hardware.traffic import measure
from snnsim.hardware.writers import WRITERS, Content, write_all
from snnsim.hashing import sha256_of_file
from snnsim.identity import fingerprint
from snnsim.manifest import software_facts, utc_now
from snnsim.networkfile import write_network
from snnsim.report import write_report

SCHEMA = 1
KIND = "snnsim export"
MANIFEST, NETWORK, REPORT = "manifest.json", "network.h5", "report.html"
N_GOLDEN = 16


@dataclass(frozen=True)
class Plan:
    """What an export is, before anything is written."""

    found: Quantised
    violations: tuple[Violation, ...]
    placement: Placement | None
    energy: tuple[ChipEnergy, ...] = ()

    def facts(self) -> dict[str, Any]:
        """cores, lower_bound, utilisation and spike_hops are null where networks are not placed on cores."""
        found, placed = self.found, self.placement
        summary = {} if placed is None else placed.as_dict()
        return {
            "target": found.target,
            "bits": found.bits,
            "cores": summary.get("cores"),
            "lower_bound": summary.get("lower_bound"),
            "utilisation": summary.get("utilisation"),
            "spike_hops": summary.get("spike_hops"),
            "violations": [violation.as_dict() for violation in self.violations],
            "placement": summary or None,
            "energy": [one.as_dict() for one in self.energy],
            "losses": [row.as_dict() for row in found.rows],
            "exactness": None if found.exactness is None else found.exactness.as_dict(),
        }

    def files(self) -> list[str]:
        """What will be written, but for golden vectors."""
        names = [writer.name for writer in WRITERS if self.found.target in writer.targets]
        return [NETWORK, *names, MANIFEST]


@dataclass(frozen=True)
class Exported:
    """A folder that was written: its manifest, its files with checksums, and what was refused and why."""

    folder: Path
    facts: dict[str, Any]
    golden: Golden
    refused: dict[str, str]


def plan(found: Quantised, data: np.ndarray, *, seed: int = 0, threads: int | None = None) -> Plan:
    """Does it fit, and where would it lie; traffic is measured on the data, [n_samples, ...] as the source
    takes them.

    Violations are in the result; a placement is made where there are none, and the target has cores.  Energy
    is estimated on the first samples.
    """
    violations = tuple(violations_of(found.network, found.target))
    placed: Placement | None = None
    energy: tuple[ChipEnergy, ...] = ()
    if not violations and get_target(found.target).mesh is not None:
        traffic = measure(found.network, found.inputs(data), found.n_steps, threads=threads)
        placed = place(found.network, found.target, traffic, seed)
        energy = energies(found, placed, data[:N_GOLDEN])
    return Plan(found, violations, placed, energy)


def export(
    found: Quantised, directory: Path | str, data: np.ndarray, *, made: Plan | None = None, seed: int = 0,
    n_golden: int = N_GOLDEN, threads: int | None = None, report: bool = False,
) -> Exported:  # fmt: skip
    """Write a folder, whole or not at all.

    data    [n_samples, ...]  as the source takes them: golden vectors are of the first, traffic of all
    report  write report.html as well
    Raises TargetError with all violations, StorageError where the folder exists or cannot be written.
    """
    folder = Path(directory)
    if folder.exists() or folder.is_symlink():
        raise StorageError("the folder exists already", where=str(folder), fix="choose another name")
    made = made or plan(found, data, seed=seed, threads=threads)
    if made.violations:
        raise error_of(list(made.violations), get_target(found.target))
    does = realised(found.network, found.target)
    golden = golden_of(does, found.inputs(data[:n_golden]), found.n_steps, threads)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with storage_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
        facts, refused = _fill(unfinished, made, golden, report)
        with storage_errors(folder):
            os.rename(unfinished, folder)  # fails where somebody was faster
            sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Exported(folder, facts, golden, refused)


def _fill(folder: Path, made: Plan, golden: Golden, report: bool) -> tuple[dict[str, Any], dict[str, str]]:
    found = made.found
    write_network(folder / NETWORK, found.network, network_facts(found))
    golden.write(folder)
    written = write_all(Content(found.network, golden, made.placement), found.target, folder)
    refused = {one.writer.name: one.refused for one in written if one.refused}
    if report:
        from snnsim.hardware.export_report import page

        write_report(page(made, golden.facts(), refused), folder / REPORT)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = {
        "schema": SCHEMA,
        "kind": KIND,
        "created_utc": utc_now(),
        **software_facts(),
        **made.facts(),
        "network": fingerprint(found.network, {}),
        "source": found.source,
        "artefacts": {
            one.writer.name: {"format": one.writer.title, "read_again": one.writer.reads}
            for one in written if not one.refused
        },
        "refused": refused,
        "golden": golden.facts(),
        "files": {str(path.relative_to(folder)): sha256_of_file(path) for path in files},
    }  # fmt: skip
    write_json(folder / MANIFEST, facts)
    return facts, refused


def network_facts(found: Quantised) -> dict[str, Any]:
    """What the file of the integer network says beside it."""
    return {
        "kind": "integer network",
        "target": found.target,
        "bits": found.bits,
        "n_steps": found.n_steps,
        "repeat": found.repeat,
        "depth": found.depth,
        "input_unit": found.input_unit,
        "output_unit": found.output_unit,
        "reads": found.reads,
        "source": found.source,
        "constants": dict(found.constants or {}),
        "exactness": None if found.exactness is None else found.exactness.as_dict(),
    }
