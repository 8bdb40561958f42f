"""Run directories: made once, never overwritten, found again, one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snnsim import lock as lock_module
from snnsim.errors import FileError, StorageError
from snnsim.lock import FileLock
from snnsim.runs import RunDirectory

CONFIG, RESOLVED = "# as given\nschema = 1\n", "schema = 1\nthreads = 2\n"


def _create(tmp_path: Path, **options: Any) -> RunDirectory:
    return RunDirectory.create("balanced", CONFIG, RESOLVED, **{"root": tmp_path / "runs", **options})


def test_name_and_files(tmp_path: Path) -> None:
    data = tmp_path / "net.npz"
    data.write_bytes(b"weights")
    run = _create(
        tmp_path,
        seed=3,
        dt_ms=0.1,
        threads=2,
        duration_ms=1000.0,
        inputs=[data],
        command=["snnsim", "run", "a.toml"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}-balanced-[0-9a-f]{6}", run.path.name)
    assert run.config_path.read_text() == CONFIG
    assert run.resolved_path.read_text() == RESOLVED
    assert sorted(os.listdir(run.path)) == ["LOCK", "config.toml", "manifest.json", "resolved.toml"]
    manifest = json.loads(run.manifest_path.read_text())
    assert manifest["status"] == run.status == "running"
    assert (manifest["seed"], manifest["dt_ms"], manifest["threads"], manifest["duration_ms"]) == (
        3,
        0.1,
        2,
        1000.0,
    )
    assert manifest["command"] == ["snnsim", "run", "a.toml"]
    assert manifest["inputs"] == {str(data): hashlib.sha256(b"weights").hexdigest()}
    assert set(manifest["packages"]) == {"numpy", "numba", "h5py"}
    assert manifest["platform"]["python"] == platform.python_version()
    assert re.fullmatch(r"\d+\.\d+.*", manifest["snnsim"])
    assert json.loads((run.path / "LOCK").read_text())["pid"] == os.getpid()


def test_finish_writes_outputs_and_gives_the_lock_back(tmp_path: Path) -> None:
    run = _create(tmp_path)
    run.spikes_path.write_bytes(b"spikes")
    run.log("checkpoint", step=10)
    run.log("end", text="\N{GREEK SMALL LETTER TAU}\n")
    run.finish("finished", 0, simulated_ms=2000.0, simulation_wall_s=1.0, facts={"digest": "abc"})
    again = RunDirectory.open(run.path)
    manifest = again.manifest
    assert manifest["status"] == "finished"
    assert manifest["exit_status"] == 0
    assert manifest["real_time_factor"] == 0.5
    assert manifest["digest"] == "abc"
    assert manifest["wall_s"] >= 0
    assert manifest["started_utc"] <= manifest["ended_utc"]
    assert manifest["outputs"]["spikes.h5"] == {"bytes": 6, "sha256": hashlib.sha256(b"spikes").hexdigest()}
    assert set(manifest["outputs"]) == {"config.toml", "resolved.toml", "spikes.h5"}
    lines = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["checkpoint", "end"]
    assert lines[0]["step"] == 10
    assert not (run.path / "LOCK").exists()
    assert again.changed_outputs() == []
    run.spikes_path.write_bytes(b"Spikes")
    again.resolved_path.unlink()
    assert again.changed_outputs() == ["resolved.toml is missing", "spikes.h5 has changed"]


def test_never_overwritten(tmp_path: Path) -> None:
    run = _create(tmp_path, path=tmp_path / "mine")
    run.finish("finished", 0)
    before = {p.name: p.read_bytes() for p in run.path.iterdir()}
    with pytest.raises(
        StorageError, match=f"not empty and is never overwritten.*`snnsim resume {re.escape(str(run.path))}`"
    ):
        _create(tmp_path, path=tmp_path / "mine")
    assert {p.name: p.read_bytes() for p in run.path.iterdir()} == before
    (tmp_path / "empty").mkdir()
    assert _create(tmp_path, path=tmp_path / "empty").path == tmp_path / "empty"
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a file has this name"):
        _create(tmp_path, path=tmp_path / "file")
    with pytest.raises(StorageError, match="cannot make this folder .not a directory."):
        _create(tmp_path, path=tmp_path / "file" / "run")
    with pytest.raises(FileError, match="an input cannot be read; got 'No such file or directory'"):
        _create(tmp_path, path=tmp_path / "unmade", inputs=["/none/x"])
    assert not (tmp_path / "unmade").exists()


def test_names_are_made_safe(tmp_path: Path) -> None:
    run = RunDirectory.create("../../a b\N{GREEK SMALL LETTER TAU}/c", CONFIG, RESOLVED, root=tmp_path)
    assert run.path.parent == tmp_path
    assert run.path.name[18:-7] == "a-b-c"
    assert RunDirectory.create("/", CONFIG, RESOLVED, root=tmp_path).path.name[18:-7] == "run"
    assert len({RunDirectory.create("x", CONFIG, RESOLVED, root=tmp_path).path for _ in range(5)}) == 5


def test_resume(tmp_path: Path) -> None:
    run = _create(tmp_path, threads=1)
    run.finish("interrupted", 130)
    (run.path / ".spikes.h5.1.tmp").touch()
    again = RunDirectory.open(run.path)
    again.checkpoints.save(5, {}, {})
    with again:
        again.resume(threads=4, duration_ms=9.0)
        assert again.status == "running"
        assert not (run.path / ".spikes.h5.1.tmp").exists()
        with pytest.raises(StorageError, match="another process works here; got 'process"):
            RunDirectory.open(run.path).resume()
    manifest = RunDirectory.open(run.path).manifest
    assert (manifest["threads"], manifest["duration_ms"], len(manifest["resumed_utc"])) == (4, 9.0, 1)
    assert not (run.path / "LOCK").exists()
    assert RunDirectory.open(run.path).checkpoints.load()[0] == 5


def test_open_explains_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such run directory"):
        RunDirectory.open(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="not a folder"):
        RunDirectory.open(tmp_path / "file")
    with pytest.raises(FileError, match="not a run directory: no manifest.json"):
        RunDirectory.open(tmp_path)
    run = _create(tmp_path)
    good = json.loads(run.manifest_path.read_text())
    for text, message in (
        ("{", "the manifest is not JSON"),
        ("[" * 100_000, "the manifest is not JSON"),
        ("\xff", "the manifest is not JSON"),
        ("[]", "lacks an entry; expected schema"),
        (json.dumps(good | {"status": 3}), "lacks an entry; expected status"),
        (json.dumps(good | {"outputs": {"a": 1}}), "lacks an entry; expected outputs with sha256"),
        (json.dumps(good | {"schema": 9}), "newer version; got 9, expected schema 1"),
    ):
        run.manifest_path.write_text(text, encoding="latin-1")
        with pytest.raises(FileError, match=message):
            RunDirectory.open(run.path)
    run.manifest_path.write_text(json.dumps(good))
    run.resolved_path.unlink()
    with pytest.raises(FileError, match="resolved.toml: a file of the run is missing"):
        RunDirectory.open(run.path)


def _write_lock(path: Path, **facts: Any) -> None:
    path.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "started": "", **facts}))


def test_a_live_lock_is_respected(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from snnsim.lock import FileLock
FileLock(Path({str(tmp_path / "LOCK")!r})).acquire()
print("held", flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    own = FileLock(tmp_path / "LOCK")
    with pytest.raises(
        StorageError, match=f"another process works here; got 'process {child.pid} on .*delete this file"
    ):
        own.acquire()
    assert not own.held
    child.kill()
    child.communicate()
    own.acquire()  # its process is gone: taken over
    own.acquire()
    assert own.held
    own.release()
    own.release()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "facts",
    [{"pid": 2**22 - 3}, {"pid": 10**30}, {"started": "1"}, {"pid": "x"}, {"pid": -1}],
    ids=["dead", "impossible", "pid used again", "damaged", "negative"],
)
def test_a_stale_lock_is_taken_over(facts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "LOCK"
    _write_lock(path, **facts)
    os.utime(path, (time.time() - 60,) * 2)
    own = FileLock(path)
    own.acquire()
    assert json.loads(path.read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == ["LOCK"]


def test_locks_that_cannot_be_judged_are_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "LOCK"
    _write_lock(path, host="elsewhere")
    with pytest.raises(StorageError, match="process .* on elsewhere"):
        FileLock(path).acquire()
    path.write_text("")  # made a moment ago, not yet written
    with pytest.raises(StorageError, match="another process is taking this lock. Fix: try again"):
        FileLock(path).acquire()
    os.utime(path, (time.time() - 60,) * 2)
    FileLock(path).acquire()

    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    _write_lock(path, pid=1)
    monkeypatch.setattr(lock_module.os, "kill", forbidden)
    with pytest.raises(StorageError, match="another process works here"):
        FileLock(path).acquire()


def test_many_processes_take_over_one_stale_lock(tmp_path: Path) -> None:
    path = tmp_path / "LOCK"
    _write_lock(path, pid=2**22 - 3)
    code = f"""
import sys, time
from pathlib import Path
from snnsim.errors import StorageError
from snnsim.lock import FileLock
sys.stdin.readline()
try:
    FileLock(Path({str(path)!r})).acquire()
    print("won", flush=True)
    time.sleep(1)
except StorageError:
    print("lost", flush=True)
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    time.sleep(1.0)
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    said = [child.communicate()[0].strip() for child in children]
    assert sorted(said) == ["lost", "lost", "lost", "won"]


def test_a_failing_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _create(tmp_path)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    before = run.manifest_path.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="manifest.json: cannot write .no space left on device"):
        run.finish("finished", 0)
    assert run.manifest_path.read_bytes() == before
    assert not (run.path / "LOCK").exists()
    with pytest.raises(StorageError, match="no space left"):
        _create(tmp_path, path=tmp_path / "new")
    assert "LOCK" not in os.listdir(tmp_path / "new")
