"""Recordings: what was appended is what is read, while writing, after a kill, and after going on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim.errors import ConfigError, FileError, SnnError, StorageError
from snnsim.recording import (
    MemorySamples,
    MemorySpikes,
    SampleLayout,
    SpikeFile,
    StateFile,
    open_spikes,
    read_spikes,
    read_state,
)

DT_MS = 0.1
POPULATIONS = {"exc": 1000, "inh": 50}

# A child that appends without end: spike k is (step k // 7, neuron k % 1000), frame k is (k, k + 0.5).
ENDLESS = """
import sys
import numpy as np
from snnsim.recording import SampleLayout, SpikeFile, StateFile
folder, start, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
layout = SampleLayout(node_ids=np.array([3, 9]), every_steps=5)
if start:
    spikes = SpikeFile.continue_from(folder + "/spikes.h5", {"exc": 1000}, 0.1, {"exc": start})
    state = StateFile.continue_from(folder + "/state.h5", {"v": layout}, 0.1, {"v": start // 100})
else:
    spikes = SpikeFile(folder + "/spikes.h5", {"exc": 1000}, 0.1)
    state = StateFile(folder + "/state.h5", {"v": layout}, 0.1)
print("ready", flush=True)
for first in range(start, 10**9, 4000):
    k = np.arange(first, first + 4000)
    spikes.append("exc", k // 7, k % 1000)
    frames = np.arange(first // 100, first // 100 + 40)
    state.append("v", frames * 5, np.stack([frames, frames + 0.5], axis=1))
    if first // 4000 % pause == 0:
        print(spikes.rows()["exc"], state.rows()["v"], flush=True)
"""


def _spikes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, n // 3 + 1, n)), rng.integers(0, 1000, n)


def _layout(**changes: Any) -> SampleLayout:
    return SampleLayout(**{"node_ids": np.array([4, 7, 9]), "every_steps": 2, **changes})


def test_layout_is_sonata(tmp_path: Path) -> None:
    path = tmp_path / "spikes.h5"
    steps, ids = _spikes(100)
    with SpikeFile(path, POPULATIONS, DT_MS) as spikes:
        spikes.append("exc", steps, ids)
    with h5py.File(path) as file:
        assert file.attrs["magic"] == 0x0A7A
        assert file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].tolist() == [0, 1]
        assert file.attrs["version"].dtype == np.uint32
        assert file.attrs["dt_ms"] == DT_MS
        assert file.attrs["complete"] == 1
        sorting = file["spikes/exc"].attrs.get_id("sorting").dtype
        assert h5py.check_enum_dtype(sorting)["by_time"] == file["spikes/exc"].attrs["sorting"]
        times = file["spikes/exc/timestamps"]
        assert times.dtype == np.float64
        assert times.attrs["units"] == "ms"
        assert (times.compression, times.compression_opts, times.shuffle, times.fletcher32) == (
            "gzip",
            1,
            True,
            True,
        )
        assert times.chunks[0] <= 65536
        assert file["spikes/exc/node_ids"].dtype == np.uint64
        assert len(file["spikes/inh/node_ids"]) == 0
        assert np.array_equal(times[:], steps * DT_MS)


def test_times_are_products_and_never_accumulated(tmp_path: Path) -> None:
    steps = np.array([3, 10**9 + 7, 2**52])
    with SpikeFile(tmp_path / "s.h5", {"a": 1}, DT_MS) as spikes:
        for step in steps:
            spikes.append("a", np.array([step]), np.array([0]))
    times, _ids = read_spikes(tmp_path / "s.h5", "a")
    assert times.tolist() == [int(s) * DT_MS for s in steps]
    assert np.rint(times / DT_MS).astype(np.int64).tolist() == steps.tolist()


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 100_000), max_size=6),
    flush_after=st.sets(st.integers(0, 6)),
    n=st.sampled_from([0, 1, 16383, 16384, 16385, 65536, 100_000]),
)
def test_any_split_of_appends_gives_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], flush_after: set[int], n: int
) -> None:
    path = tmp_path_factory.mktemp("split") / "s.h5"
    steps, ids = _spikes(n)
    bounds = [0, *sorted(min(c, n) for c in cuts), n]
    memory = MemorySpikes(POPULATIONS)
    with SpikeFile(path, POPULATIONS, DT_MS) as spikes:
        for index, (a, b) in enumerate(zip(bounds, bounds[1:], strict=False)):
            spikes.append("exc", steps[a:b], ids[a:b])
            memory.append("exc", steps[a:b], ids[a:b])
            if index in flush_after:
                assert spikes.rows() == memory.rows() == {"exc": b, "inh": 0}
    times, read_ids = read_spikes(path, "exc")
    assert np.array_equal(times, steps * DT_MS)
    assert np.array_equal(read_ids, ids)
    for held, given_ in zip(memory.get("exc"), (steps, ids), strict=True):
        assert np.array_equal(held, given_)


def test_the_buffer_of_the_caller_may_be_reused(tmp_path: Path) -> None:
    steps, ids, frames = np.array([1, 2]), np.array([5, 6]), np.ones((2, 3))
    spikes, memory = SpikeFile(tmp_path / "s.h5", POPULATIONS, DT_MS), MemorySpikes(POPULATIONS)
    state, samples = StateFile(tmp_path / "v.h5", {"v": _layout()}, DT_MS), MemorySamples({"v": _layout()})
    for recorder in (spikes, memory):
        recorder.append("exc", steps, ids)
    for sampler in (state, samples):
        sampler.append("v", np.array([0, 2]), frames)
    steps[:], ids[:], frames[:] = 99, 99, 99
    spikes.close()
    state.close()
    assert read_spikes(tmp_path / "s.h5", "exc")[1].tolist() == memory.get("exc")[1].tolist() == [5, 6]
    assert read_state(tmp_path / "v.h5", "v")[2].max() == samples.get("v")[1].max() == 1.0


def test_reading_a_slice_and_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    steps, ids = _spikes(70_000)
    spikes = SpikeFile(path, POPULATIONS, DT_MS)
    spikes.append("exc", steps, ids)
    spikes.flush()
    for start, stop in ((0, 10), (65_000, None), (-5, None), (10, 5), (0, 10**9)):
        times, read = read_spikes(path, "exc", start, stop)  # in the process that writes
        assert np.array_equal(times, (steps * DT_MS)[start:stop])
        assert np.array_equal(read, ids[start:stop])
    code = f"from snnsim.recording import read_spikes; print(len(read_spikes({str(path)!r}, 'exc')[0]))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == 70_000  # in another process
    spikes.close(complete=False)
    spikes.close()
    with open_spikes(path) as file:
        assert file.attrs["complete"] == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_round_trip(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "state.h5"
    layouts = {
        "v_exc": _layout(dtype=dtype, start_step=100, every_steps=3),
        "wide": _layout(node_ids=np.arange(40_000)),
    }
    frames = np.random.default_rng(1).normal(size=(5000, 3)).astype(dtype)
    steps = 100 + 3 * np.arange(5000)
    memory = MemorySamples(layouts)
    with StateFile(path, layouts, DT_MS) as state:
        for a, b in ((0, 1), (1, 1), (1, 4000), (4000, 5000)):
            state.append("v_exc", steps[a:b], frames[a:b])
            memory.append("v_exc", steps[a:b], frames[a:b])
        state.append("wide", np.array([0, 2]), np.ones((2, 40_000)))
        assert state.rows() == {"v_exc": 5000, "wide": 2}
        assert memory.rows() == {"v_exc": 5000, "wide": 0}
    times, node_ids, data = read_state(path, "v_exc")
    assert data.dtype == dtype
    assert np.array_equal(data, frames)
    assert np.array_equal(times, steps * DT_MS)
    assert node_ids.tolist() == [4, 7, 9]
    assert np.array_equal(memory.get("v_exc")[0], steps)
    assert np.array_equal(memory.get("v_exc")[1], frames)
    assert np.array_equal(read_state(path, "v_exc", 10, 20)[2], frames[10:20])
    with h5py.File(path) as file:
        group = file["report/v_exc"]
        assert group["data"].attrs["units"] == "mV"
        assert group["data"].attrs["variable"] == "v"
        assert group["mapping/index_pointers"][:].tolist() == [0, 1, 2, 3]
        assert group["mapping/element_ids"].dtype == np.uint32
        assert group["mapping/time"][:].tolist() == [100 * DT_MS, 15100 * DT_MS, 3 * DT_MS]


def test_a_report_of_another_writer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("report/cortex")
        group["data"] = np.ones((4, 2), np.float32)
        group["mapping/node_ids"] = np.array([1, 2], np.uint64)
        group["mapping/time"] = [1.0, 3.0, 0.5]
        file["spikes/cortex/timestamps"] = [1.5, 2.5]
        file["spikes/cortex/node_ids"] = [7, 8]
    assert read_state(path, "cortex")[0].tolist() == [1.0, 1.5, 2.0, 2.5]
    assert read_spikes(path, "cortex")[0].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("rows", [0, 1, 20_000, 65_536, 90_000])
@pytest.mark.parametrize("complete", [True, False])
def test_continue_from_gives_the_same_datasets(rows: int, complete: bool, tmp_path: Path) -> None:
    steps, ids = _spikes(100_000)
    paths = tmp_path / "whole.h5", tmp_path / "parts.h5"
    for path in paths:
        with SpikeFile(path, POPULATIONS, DT_MS) as spikes:
            spikes.append("exc", steps, ids)
    if not complete:
        paths[1].unlink()
        spikes = SpikeFile(paths[1], POPULATIONS, DT_MS)
        spikes.append("exc", steps[:90_000], ids[:90_000])
        spikes.close(complete=False)
    resumed = SpikeFile.continue_from(paths[1], POPULATIONS, DT_MS, {"exc": rows, "inh": 0})
    assert resumed.rows() == {"exc": rows, "inh": 0}
    resumed.append("exc", steps[rows:], ids[rows:])
    resumed.close()
    with h5py.File(paths[0]) as whole, h5py.File(paths[1]) as parts:
        for name in ("spikes/exc/timestamps", "spikes/exc/node_ids", "spikes/inh/node_ids"):
            assert np.array_equal(whole[name][:], parts[name][:])
            assert whole[name].dtype == parts[name].dtype
        assert dict(parts.attrs)["complete"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts.h5", "whole.h5"]


def test_continue_state(tmp_path: Path) -> None:
    path, layouts = tmp_path / "v.h5", {"v": _layout()}
    frames = np.random.default_rng(2).normal(size=(1000, 3))
    steps = 2 * np.arange(1000)
    with StateFile(path, layouts, DT_MS) as state:
        state.append("v", steps[:900], frames[:900])
    state = StateFile.continue_from(path, layouts, DT_MS, {"v": 400})
    state.append("v", steps[400:], frames[400:])
    state.close()
    assert np.array_equal(read_state(path, "v")[2], frames)
    assert np.array_equal(read_state(path, "v")[0], steps * DT_MS)


def test_continue_refuses_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with SpikeFile(path, POPULATIONS, DT_MS) as spikes:
        spikes.append("exc", np.arange(10), np.arange(10))
    before = path.read_bytes()
    with pytest.raises(
        FileError, match=r"exc: the recording is shorter than its checkpoint says; got '10 rows'"
    ):
        SpikeFile.continue_from(path, POPULATIONS, DT_MS, {"exc": 11, "inh": 0})
    with pytest.raises(FileError, match="another time step; got 0.1, expected dt_ms = 0.2"):
        SpikeFile.continue_from(path, POPULATIONS, 0.2, {"exc": 1, "inh": 0})
    with pytest.raises(FileError, match="no such dataset"):
        SpikeFile.continue_from(path, {"other": 3}, DT_MS, {"other": 0})
    with pytest.raises(FileError, match="no such file"):
        SpikeFile.continue_from(tmp_path / "none.h5", POPULATIONS, DT_MS, {"exc": 0, "inh": 0})
    with StateFile(tmp_path / "v.h5", {"v": _layout()}, DT_MS) as state:
        state.append("v", np.array([0]), np.ones((1, 3)))
    with pytest.raises(FileError, match=r"another layout; got 'float64\[3\]', expected float64\[2\]"):
        StateFile.continue_from(tmp_path / "v.h5", {"v": _layout(node_ids=np.arange(2))}, DT_MS, {"v": 1})
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.h5", "v.h5"]


def test_mistakes_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with SpikeFile(path, POPULATIONS, DT_MS) as spikes:
        with pytest.raises(
            SnnError, match="nothing of this name is recorded; got 'exx', expected one of exc, inh"
        ):
            spikes.append("exx", np.array([1]), np.array([1]))
        with pytest.raises(SnnError, match="unknown neuron; got .0, 50., expected ids from 0 to 49"):
            spikes.append("inh", np.array([1, 1]), np.array([0, 50]))
        with pytest.raises(SnnError, match="differ in shape"):
            spikes.append("inh", np.array([1, 1]), np.array([0]))
        spikes.append("inh", np.array([5]), np.array([0]))
        with pytest.raises(SnnError, match="not in the order of time; expected steps from 5 on"):
            spikes.append("inh", np.array([4]), np.array([0]))
        assert spikes.rows() == {"exc": 0, "inh": 1}
    with pytest.raises(SnnError, match="the recording is closed"):
        spikes.append("exc", np.array([1]), np.array([1]))
    with pytest.raises(StorageError, match="exists already and is never overwritten.*snnsim resume"):
        SpikeFile(path, POPULATIONS, DT_MS)
    with pytest.raises(
        FileError, match="nothing of this name is recorded; got 'excc'. Fix: did you mean exc"
    ):
        read_spikes(path, "excc")
    with pytest.raises(FileError, match="nothing of this name"):
        read_state(path, "v")
    with pytest.raises(ConfigError, match="cannot be the name of a recording; got 'a/b'"):
        SpikeFile(tmp_path / "x.h5", {"a/b": 1}, DT_MS)
    with pytest.raises(StorageError, match="cannot write .no such file or directory."):
        SpikeFile(tmp_path / "none" / "x.h5", POPULATIONS, DT_MS)
    with pytest.raises(ConfigError, match="records no neuron"):
        _layout(node_ids=np.array([], int))
    with pytest.raises(ConfigError, match="wrong interval; got 0, expected at least 1 step"):
        _layout(every_steps=0)
    for recorder in (StateFile(tmp_path / "v.h5", {"v": _layout()}, DT_MS), MemorySamples({"v": _layout()})):
        with pytest.raises(SnnError, match=r"not at their steps; got \[0, 3\], expected \[0, 2\]"):
            recorder.append("v", np.array([0, 3]), np.ones((2, 3)))
        with pytest.raises(SnnError, match=r"wrong shape; got \(1, 2\), expected \(1, 3\)"):
            recorder.append("v", np.array([0]), np.ones((1, 2)))
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["spikes/exc/timestamps"] = [[1.0]]
        file["spikes/exc/node_ids"] = [1]
    with pytest.raises(FileError, match="another type; got 'float64 of rank 2'"):
        read_spikes(tmp_path / "odd.h5", "exc")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileError, match="no spikes in this file"):
        open_spikes(tmp_path / "other.h5")


def test_memory_recorders_truncate() -> None:
    steps, ids = _spikes(100)
    spikes = MemorySpikes(POPULATIONS)
    spikes.append("exc", steps, ids)
    with pytest.raises(SnnError, match="exc: the recording is shorter; got 100, expected 101 rows"):
        spikes.truncate({"exc": 101, "inh": 0})
    spikes.truncate({"exc": 60, "inh": 0})
    spikes.append("exc", steps[60:], ids[60:])
    assert np.array_equal(spikes.get("exc")[0], steps)
    assert np.array_equal(spikes.get("exc")[1], ids)
    with pytest.raises(ValueError, match="read-only"):
        spikes.get("exc")[0][0] = 1
    samples = MemorySamples({"v": _layout()})
    samples.append("v", np.array([0, 2, 4]), np.arange(9.0).reshape(3, 3))
    samples.truncate({"v": 1})
    assert samples.get("v")[0].tolist() == [0]
    samples.append("v", np.array([2]), np.ones((1, 3)))
    assert samples.get("v")[1].tolist() == [[0, 1, 2], [1, 1, 1]]


def _start(folder: Path, start: int = 0, pause: int = 5) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENDLESS, str(folder), str(start), str(pause)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _check_recording(folder: Path, n_spikes: int, n_frames: int) -> None:
    """At least what was confirmed is there, and all of it is what was appended."""
    times, ids = read_spikes(folder / "spikes.h5", "exc")
    k = np.arange(len(times))
    assert len(k) >= n_spikes
    assert np.array_equal(times, (k // 7) * DT_MS)
    assert np.array_equal(ids, k % 1000)
    times, _node_ids, data = read_state(folder / "state.h5", "v")
    k = np.arange(len(times))
    assert len(k) >= n_frames
    assert np.array_equal(data, np.stack([k, k + 0.5], axis=1))


def test_killed_writer_leaves_a_readable_prefix_and_can_go_on(tmp_path: Path) -> None:
    rng = random.Random(5)
    n_spikes = n_frames = 0
    for trial in range(10):
        # each trial goes on where the last confirmed rows of the killed one were, like a resumed run
        child = _start(tmp_path, n_spikes, pause=rng.choice([1, 7, 10**6]))
        time.sleep(rng.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        assert child.stdout is not None
        confirmed = [line.split() for line in child.stdout.read().splitlines() if line.count(" ") == 1]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        if confirmed:
            n_spikes, n_frames = (int(v) for v in confirmed[-1])
        _check_recording(tmp_path, n_spikes, n_frames)
        assert trial < 9 or n_spikes > 0
    with SpikeFile.continue_from(tmp_path / "spikes.h5", {"exc": 1000}, DT_MS, {"exc": n_spikes}) as spikes:
        k = np.arange(n_spikes, n_spikes + 100)
        spikes.append("exc", k // 7, k % 1000)
    with h5py.File(tmp_path / "spikes.h5") as file:  # finished: any reader opens it plainly
        assert len(file["spikes/exc/node_ids"]) == n_spikes + 100


def test_full_disk_is_an_error_and_the_rest_stays_readable(tmp_path: Path) -> None:
    code = f"""
import resource, sys
import numpy as np
from snnsim.errors import StorageError
from snnsim.recording import SpikeFile
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
spikes = SpikeFile({str(tmp_path / "s.h5")!r}, {{"exc": 10**9}}, 0.1)
rng = np.random.default_rng(1)
try:
    with spikes:
        for k in range(100):
            spikes.append("exc", np.arange(k * 20_000, k * 20_000 + 20_000), rng.integers(0, 10**9, 20_000))
except StorageError as error:
    print(error)
    spikes.close()
    sys.exit(7)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 7, child.stderr
    assert child.stderr == ""
    assert "cannot write (file too large). Fix: raise the limit on the size of a file" in child.stdout
    assert str(tmp_path / "s.h5") in child.stdout
    times, ids = read_spikes(tmp_path / "s.h5", "exc")
    n = len(times)
    assert 100_000 < n < 1_000_000
    assert np.array_equal(times, np.arange(n) * DT_MS)
    expected = np.random.default_rng(1)
    assert np.array_equal(
        ids, np.concatenate([expected.integers(0, 10**9, 20_000) for _ in range(n // 20_000 + 1)])[:n]
    )
    with SpikeFile.continue_from(tmp_path / "s.h5", {"exc": 10**9}, DT_MS, {"exc": n}) as spikes:
        spikes.append("exc", np.array([n]), np.array([1]))
    assert len(read_spikes(tmp_path / "s.h5", "exc")[0]) == n + 1


def test_memory_stays_bounded(tmp_path: Path) -> None:
    process = psutil.Process()
    layout = SampleLayout(node_ids=np.arange(1000))
    spikes, state = (
        SpikeFile(tmp_path / "s.h5", {"exc": 10**6}, DT_MS),
        StateFile(tmp_path / "v.h5", {"v": layout}, DT_MS),
    )
    frames, ids = np.zeros((100, 1000)), np.arange(40_000)

    def record(first: int, last: int) -> int:
        for k in range(first, last):
            spikes.append("exc", np.full(40_000, k), ids)
            state.append("v", np.arange(100 * k, 100 * k + 100), frames)
        return process.memory_info().rss

    short = record(0, 12)
    long = record(12, 120)
    assert spikes.rows()["exc"] == 4_800_000
    spikes.close()
    state.close()
    assert (tmp_path / "v.h5").stat().st_size < 10**8
    assert long - short < 64 * 2**20


def test_a_long_array_at_once_costs_no_second_one(tmp_path: Path) -> None:
    spikes = SpikeFile(tmp_path / "s.h5", {"exc": 10}, DT_MS)
    steps, ids = np.arange(3_000_000), np.zeros(3_000_000, np.int64)
    before = psutil.Process().memory_info().rss
    spikes.append("exc", steps, ids)
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    spikes.close()
    assert len(read_spikes(tmp_path / "s.h5", "exc")[0]) == 3_000_000
    assert os.listdir(tmp_path) == ["s.h5"]
