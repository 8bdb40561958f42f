"""Checkpoints come back bit for bit, or a FileError says why not; a failing disk never harms the last one."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnsim import atomic
from snnsim.atomic import replacing, storage_errors, write_json
from snnsim.checkpoint import Checkpoints, read_checkpoint, write_checkpoint
from snnsim.errors import ConfigError, FileError, StorageError

ARRAYS = {
    "exc/v": np.array([-65.0, np.nan, np.inf, -0.0]),
    "exc/refractory": np.array([0, 3], np.int32),
    "ring": np.arange(12, dtype=np.float32).reshape(3, 4),
    "spiked": np.array([True, False]),
    "key": np.array(2**64 - 1, np.uint64),
    "empty": np.empty((0, 5)),
    "complex": np.array([1 + 2j]),
    "big_endian": np.arange(3, dtype=">i4"),
}
META = {"step": 12, "dt_ms": 0.1, "network": "balanced \N{GREEK SMALL LETTER TAU}"}


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return set(a) == set(b) and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and a[n].tobytes() == b[n].tobytes() for n in a
    )


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.h5", ARRAYS, META)
    arrays, meta = read_checkpoint(tmp_path / "c.h5")
    assert _same(arrays, ARRAYS)
    assert meta == META
    assert os.listdir(tmp_path) == ["c.h5"]


def test_views_and_numpy_scalars(tmp_path: Path) -> None:
    whole = np.arange(24).reshape(4, 6)
    write_checkpoint(
        tmp_path / "c.h5", {"t": whole.T, "s": whole[::2, ::3]}, {"step": np.int64(5), "f": np.float32(0.5)}
    )
    arrays, meta = read_checkpoint(tmp_path / "c.h5")
    assert np.array_equal(arrays["t"], whole.T)
    assert np.array_equal(arrays["s"], whole[::2, ::3])
    assert meta == {"step": 5, "f": 0.5}


@settings(max_examples=40, deadline=None)
@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z_\-]{1,8}(/[a-z]{1,4})?-x", fullmatch=True),
        hnp.arrays(
            hnp.scalar_dtypes().filter(lambda d: d.kind in "biuf" and d.itemsize <= 8),
            hnp.array_shapes(min_dims=0, min_side=0),
        ),
        max_size=5,
    ),
    meta=st.dictionaries(
        st.text(max_size=5), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False)), max_size=4
    ),
)
def test_any_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    arrays: dict[str, np.ndarray],
    meta: dict[str, str | int | float],
) -> None:
    path = tmp_path_factory.mktemp("any") / "c.h5"
    write_checkpoint(path, arrays, meta)
    read, facts = read_checkpoint(path)
    assert _same(read, arrays)
    assert facts == meta


def test_what_cannot_be_stored_is_refused_before_writing(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    for name in ("", "/a", "a//b", "a/..", ".", "a/b/c/d/e/f/g/h"):
        with pytest.raises(ConfigError, match="cannot be the name of an array"):
            write_checkpoint(path, {name: np.zeros(1)}, {})
    with pytest.raises(ConfigError, match="a: one array lies inside another; got 'a/b'"):
        write_checkpoint(path, {"a": np.zeros(1), "a/b": np.zeros(1)}, {})
    with pytest.raises(ConfigError, match="only numbers can be stored; got 'object'"):
        write_checkpoint(path, {"a": np.array([{}])}, {})
    with pytest.raises(ConfigError, match="must be JSON .list is not text or a number|must be JSON"):
        write_checkpoint(path, {}, {"a": object()})  # type: ignore[dict-item]
    assert not any(tmp_path.iterdir())


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    write_checkpoint(path, ARRAYS, META)
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        try:
            arrays, meta = read_checkpoint(path)
        except FileError:
            refused += 1
        else:
            assert _same(arrays, ARRAYS)
            assert meta == META
    assert refused > 20


def test_changed_content_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    for change in ("value", "meta", "extra"):
        write_checkpoint(path, ARRAYS, META)
        with h5py.File(path, "r+") as file:
            if change == "value":
                file["arrays/exc/v"][0] = -64.0
            elif change == "meta":
                file["meta"][0] ^= 1
            else:
                file["arrays/more"] = [1]
        with pytest.raises(FileError, match="does not match its SHA-256. Fix: use an older checkpoint"):
            read_checkpoint(path)


def test_foreign_and_newer_files(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(FileError, match="not a checkpoint"):
        read_checkpoint(path)
    write_checkpoint(path, ARRAYS, META)
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(FileError, match="newer version; got 99, expected schema 1. Fix: update snnsim"):
        read_checkpoint(path)
    write_checkpoint(path, {}, META)
    with h5py.File(path, "r+") as file:
        file["arrays"].create_dataset("bomb", (2**20,), "f8", chunks=(1024,), compression="gzip")
    with pytest.raises(FileError, match="bomb: an array that snnsim did not write"):
        read_checkpoint(path)
    with pytest.raises(FileError, match="no such file"):
        read_checkpoint(tmp_path / "none.h5")


def test_folder_keeps_the_last_two_and_names_the_newest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (10, 20, 30):
        path = checkpoints.save(step, {"v": np.full(3, step)}, {"step": step})
        assert path.name == f"step_{step:012d}.h5"
    assert sorted(os.listdir(checkpoints.folder)) == [
        "latest.json",
        "step_000000000020.h5",
        "step_000000000030.h5",
    ]
    latest = json.loads((checkpoints.folder / "latest.json").read_text())
    assert latest["name"] == "step_000000000030.h5"
    assert latest["step"] == 30
    assert latest["size"] == path.stat().st_size
    step, arrays, meta, warnings = checkpoints.load()
    assert (step, arrays["v"].tolist(), meta, warnings) == (30, [30, 30, 30], {"step": 30}, [])
    checkpoints.save(25, {"v": np.full(3, 25)}, {})  # gone back: the future that was given up goes
    assert sorted(os.listdir(checkpoints.folder)) == [
        "latest.json",
        "step_000000000020.h5",
        "step_000000000025.h5",
    ]
    assert checkpoints.load()[0] == 25


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("flip", "the SHA-256 differs from latest.json"),
        ("cut", "bytes instead of"),
        ("empty", "0 bytes instead of"),
        ("gone", "no such file"),
    ],
)
def test_damaged_newest_falls_back_and_says_so(damage: str, reason: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        newest = checkpoints.save(step, {"v": np.full(1000, step)}, {})
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[-100] ^= 1
        newest.write_bytes(data)
    elif damage == "cut":
        newest.write_bytes(data[:-9])
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        newest.unlink()
    step, arrays, _meta, warnings = checkpoints.load()
    assert step == 1
    assert arrays["v"][0] == 1
    assert len(warnings) == 1
    assert "step_000000000002.h5" in warnings[0]
    assert reason in warnings[0]


def test_no_usable_checkpoint_names_each_file_and_reason(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(FileError, match="no usable checkpoint .there is none"):
        checkpoints.load()
    for step in (1, 2):
        checkpoints.save(step, ARRAYS, META).write_bytes(b"garbage" * 100)
    with pytest.raises(
        FileError,
        match="_000000000002.h5: 700 bytes instead of .*; step_000000000001.h5: not an HDF5 file.*run again",
    ):
        checkpoints.load()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": 3}', '{"name": "../x", "step": 1, "sha256": "", "size": 1}']
)
def test_damaged_latest_json_is_survived(text: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, ARRAYS, META)
    (tmp_path / "latest.json").write_text(text)
    step, arrays, _meta, warnings = checkpoints.load()
    assert step == 2
    assert _same(arrays, ARRAYS)
    assert len(warnings) == 1


def test_an_unconfirmed_newer_file_is_not_preferred(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, ARRAYS, META)
    write_checkpoint(tmp_path / "step_000000000002.h5", ARRAYS, META)  # killed before latest.json
    assert checkpoints.load()[0] == 1


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".step_000000000001.h5.99.tmp").write_text("half")
    Checkpoints(tmp_path).save(2, ARRAYS, META)
    assert sorted(os.listdir(tmp_path)) == ["latest.json", "step_000000000002.h5"]


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too few checkpoints to keep; got 0"):
        Checkpoints(tmp_path, keep=0)
    with pytest.raises(ConfigError, match="a step that no checkpoint can have; got -1"):
        Checkpoints(tmp_path).save(-1, {}, {})


POINTS = [
    "os.fsync",
    "os.replace",
    "os.open",
    "h5py.File",
    "h5py.Group.create_group",
    "h5py.File.flush",
    "snnsim.hdf5_writing.shutil.disk_usage",
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failing_call_leaves_the_last_checkpoint(
    point: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, ARRAYS, META)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(point, fail)
        with pytest.raises(
            StorageError, match=f"cannot write .{os.strerror(number).lower()}.. Fix: "
        ) as caught:
            checkpoints.save(2, ARRAYS, META)
    assert str(tmp_path / "step_000000000002.h5") in str(caught.value)
    assert ".tmp" not in str(caught.value)
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert {n: b for n, b in after.items() if n != "step_000000000002.h5"} == before
    assert checkpoints.load()[0] == 1
    checkpoints.save(3, ARRAYS, META)
    assert checkpoints.load()[0] == 3


def test_file_size_limit_and_read_only_folder(tmp_path: Path) -> None:
    code = f"""
import resource, sys
import numpy as np
from snnsim.checkpoint import Checkpoints
from snnsim.errors import StorageError
checkpoints = Checkpoints({str(tmp_path / "c")!r})
checkpoints.save(1, {{"v": np.zeros(10)}}, {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
try:
    checkpoints.save(2, {{"v": np.zeros(1_000_000)}}, {{}})
except StorageError as error:
    print(error)
    print(checkpoints.load()[0])
    sys.exit(7)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (7, "")
    assert "step_000000000002.h5: cannot write (file too large)" in child.stdout
    assert child.stdout.endswith("\n1\n")
    assert sorted(os.listdir(tmp_path / "c")) == ["latest.json", "step_000000000001.h5"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write .(file exists|not a directory)"):
        Checkpoints(tmp_path / "file").save(1, {}, {})


def test_kill_at_any_moment_leaves_a_usable_checkpoint(tmp_path: Path) -> None:
    code = f"""
import numpy as np
from snnsim.checkpoint import Checkpoints
checkpoints = Checkpoints({str(tmp_path)!r})
step = checkpoints.load()[0] if (checkpoints.folder / "latest.json").exists() else 0
print("ready", flush=True)
while True:
    step += 1
    checkpoints.save(step, {{"v": np.full(200_000, step)}}, {{"step": step}})
    print(step, flush=True)
"""
    rng = np.random.default_rng(4)
    last = 0
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.2))
        child.send_signal(signal.SIGKILL)
        said = [int(line) for line in child.stdout.read().split()]
        child.stdout.close()
        child.wait()
        if not said and not last:
            continue
        step, arrays, meta, warnings = Checkpoints(tmp_path).load()
        assert step >= max([last, *said])
        assert (arrays["v"] == step).all()
        assert meta == {"step": step}
        assert warnings == []
        last = step
    assert last > 5


def test_atomic_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(StorageError, match="no such file"), replacing(path) as temporary:
        temporary.write_text((tmp_path / "none").read_text())
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]
    with pytest.raises(StorageError, match="no such file or directory.. Fix: create the folder first"):
        write_json(tmp_path / "none" / "x.json", {})
    with pytest.raises(RuntimeError, match="our bug"), storage_errors(path):
        raise RuntimeError("our bug")
    with pytest.raises(StorageError, match="no space left on device"), storage_errors(path):
        raise RuntimeError("Can't decrement id ref count (file write failed, errno = 28, error message)")
    blocked = iter([PermissionError(), PermissionError(), None])

    def replace(_source: Path, _target: Path) -> None:
        if error := next(blocked):
            raise error

    monkeypatch.setattr(atomic.sys, "platform", "win32")  # a reader there blocks the change for a moment
    monkeypatch.setattr(atomic.os, "replace", replace)
    monkeypatch.setattr(atomic.time, "sleep", lambda _s: None)
    write_json(path, {"a": 2})
    assert next(blocked, "used") == "used"
