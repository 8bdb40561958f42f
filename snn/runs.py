"""Run directories: everything about one run in one folder that is never overwritten.

config.toml    as given               spikes.h5, state.h5   recordings
resolved.toml  with all defaults      checkpoints/          to resume from
manifest.json  what ran where         log.jsonl             one event a line
report.html    for people             LOCK                  the process at work
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from snnsim.atomic import remove_temporaries, storage_errors, write_json, write_text
from snnsim.checkpoint import Checkpoints
from snnsim.errors import FileError, StorageError
from snnsim.hashing import sha256_of_file
from snnsim.lock import FileLock
from snnsim.manifest import SCHEMA, platform_facts, read_manifest, software_facts, utc_now

NO_OUTPUTS = ("manifest.json", "log.jsonl", "LOCK")
"""Files of a run that change after its end, or say when it was: they are not hashed."""
Status = Literal["running", "finished", "interrupted", "failed"]


class RunDirectory:
    """The folder of one run. Made by `create`, found again by `open`; as a context it holds the lock.

    path       the folder
    manifest   what manifest.json says
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = FileLock(path / "LOCK")
        self._started = time.monotonic()

    @classmethod
    def create(
        cls,
        name: str,
        config: str,
        resolved: str,
        *,
        path: Path | str | None = None,
        root: Path | str = "runs",
        seed: int | None = None,
        dt_ms: float | None = None,
        threads: int | None = None,
        duration_ms: float | None = None,
        inputs: Sequence[Path | str] = (),
        command: Sequence[str] | None = None,
    ) -> Self:
        """Make the folder, take its lock, and write the configs and the manifest ("running").

        name      of the network; part of the folder's name
        config    text of the config as given; resolved: the same with all defaults
        path      the folder; without it root/<UTC time>-<name>-<6 hex digits>
        inputs    files that the run reads, recorded with their SHA-256
        command   command line, sys.argv when not given
        Raises StorageError when the folder holds something already or cannot be written, and
        FileError for an input that cannot be read. Nothing is left behind then.
        """
        hashes = {str(file): _sha256_of_input(Path(file)) for file in inputs}
        folder = Path(path) if path is not None else Path(root) / _folder_name(name)
        manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "status": "running",
            "name": name,
            "run_id": folder.name,
            **software_facts(),
            "seed": seed,
            "dt_ms": dt_ms,
            "duration_ms": duration_ms,
            "threads": threads,
            "command": list(sys.argv if command is None else command),
            "platform": platform_facts(),
            "inputs": hashes,
            "outputs": {},
            "started_utc": utc_now(),
            "ended_utc": None,
            "resumed_utc": [],
            "wall_s": None,
            "real_time_factor": None,
            "exit_status": None,
        }
        _make_folder(folder)
        run = cls(folder, manifest)
        run._lock.acquire()
        try:
            write_text(run.config_path, config)
            write_text(run.resolved_path, resolved)
            run._write_manifest()
        except BaseException:
            run.release()
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Find an existing run, for reading. Raises FileError when the folder is not one."""
        path = Path(path)
        if not path.is_dir():
            problem = "not a folder" if path.exists() else "no such run directory"
            raise FileError(problem, where=str(path), expected="a folder that `snnsim run` made")
        manifest = read_manifest(path / "manifest.json")
        for needed in ("config.toml", "resolved.toml"):
            if not (path / needed).is_file():
                raise FileError(
                    "a file of the run is missing",
                    where=str(path / needed),
                    fix="copy the whole folder again",
                )
        return cls(path, manifest)

    @property
    def config_path(self) -> Path:
        return self.path / "config.toml"

    @property
    def resolved_path(self) -> Path:
        return self.path / "resolved.toml"

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def spikes_path(self) -> Path:
        return self.path / "spikes.h5"

    @property
    def state_path(self) -> Path:
        return self.path / "state.h5"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def log_path(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints")

    @property
    def status(self) -> Status:
        """How the run stands; "running" without a live lock means that it was killed."""
        status: Status = self.manifest["status"]
        return status

    @property
    def holder(self) -> tuple[int, bool] | None:
        """Process that has the lock, and whether it still runs; None when nobody has it."""
        return self._lock.holder()

    def resume(self, *, threads: int | None = None, duration_ms: float | None = None) -> None:
        """Take the lock of an existing run and note in the manifest that it goes on.

        Raises StorageError when another process is at work in it.
        """
        self._lock.acquire()
        try:
            remove_temporaries(self.path)
            self.manifest = read_manifest(self.manifest_path)
            self.manifest["resumed_utc"].append(utc_now())
            self.manifest |= {"status": "running", "ended_utc": None, "exit_status": None}
            if threads is not None:
                self.manifest["threads"] = threads
            if duration_ms is not None:
                self.manifest["duration_ms"] = duration_ms
            self._started = time.monotonic()
            self._write_manifest()
        except BaseException:
            self.release()
            raise

    def log(self, event: str, **facts: Any) -> None:
        """Append one line {"utc", "event", ...} to log.jsonl. Raises StorageError."""
        line = json.dumps({"utc": utc_now(), "event": event, **facts}, ensure_ascii=False) + "\n"
        with storage_errors(self.log_path), self.log_path.open("ab") as stream:
            stream.write(line.encode())

    def finish(
        self,
        status: Status,
        exit_status: int,
        *,
        simulated_ms: float | None = None,
        simulation_wall_s: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the end into the manifest, with the SHA-256 of the outputs, and give the lock back.

        simulated_ms, simulation_wall_s   their ratio is the real-time factor (below 1: faster than real time)
        facts                             more entries, for example digests, or other wall times
        """
        factor = None
        if simulated_ms and simulation_wall_s is not None:
            factor = simulation_wall_s * 1000.0 / simulated_ms
        self.manifest |= {
            "status": status,
            "exit_status": exit_status,
            "ended_utc": utc_now(),
            "wall_s": round(time.monotonic() - self._started, 3),
            "real_time_factor": factor,
            "outputs": self._output_facts(),
            **(facts or {}),
        }
        try:
            self._write_manifest()
        finally:
            self.release()

    def renew(self, names: Sequence[str]) -> None:
        """Note in the manifest of a finished run that some of its outputs were written again."""
        if self.status == "finished":
            now = self._output_facts()
            self.manifest["outputs"] |= {name: now[name] for name in names if name in now}
            self._write_manifest()

    def changed_outputs(self) -> list[str]:
        """Outputs that are no longer what the manifest says, one sentence each."""
        now = self._output_facts()
        changes = []
        for name, facts in self.manifest["outputs"].items():
            if name not in now:
                changes.append(f"{name} is missing")
            elif now[name]["sha256"] != facts["sha256"]:
                changes.append(f"{name} has changed")
        return changes

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _write_manifest(self) -> None:
        write_json(self.manifest_path, self.manifest)

    def _output_facts(self) -> dict[str, dict[str, Any]]:
        with storage_errors(self.path, "read back"):
            return {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
                for file in sorted(self.path.iterdir())
                if file.is_file() and file.name not in NO_OUTPUTS and not file.name.startswith(".")
            }


def _make_folder(folder: Path) -> None:
    with storage_errors(folder, "make this folder"):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise StorageError(
                    "a file has this name", where=str(folder), fix="choose another folder"
                ) from None
            if any(folder.iterdir()):
                raise StorageError(
                    "the folder is not empty and is never overwritten",
                    where=str(folder),
                    fix=f"choose another folder, or continue its run with `snnsim resume {folder}`",
                ) from None


def _folder_name(name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"
    return f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{safe}-{secrets.token_hex(3)}"


def _sha256_of_input(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise FileError("an input cannot be read", where=str(path), got=error.strerror) from error
