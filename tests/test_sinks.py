"""Recordings in memory and in a folder behave alike, and a failed restore changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnsim import LIF, STDP, Delta, Network, OneToOne, Population, Probe, Projection, Simulator, Uniform
from snnsim.errors import FileError, SnnError, StorageError
from snnsim.inputs import _join
from snnsim.memory import available_bytes
from snnsim.memory_recording import SampleLayout
from snnsim.recording import StateFile, read_spikes, read_state
from snnsim.sinks import FileSinks, MemorySinks, Sinks
from snnsim.stimuli import Images, Phase

DT_MS = 0.1
POPULATIONS = {"a": 50}


def layouts(n: int = 3, every_steps: int = 2) -> dict[str, SampleLayout]:
    return {"v": SampleLayout(np.arange(n), every_steps=every_steps)}


def sinks(folder: Path | None, **changes: int) -> Sinks:
    if folder is None:
        return MemorySinks(POPULATIONS, layouts(**changes))
    return FileSinks(folder, POPULATIONS, layouts(**changes), DT_MS)


def fill(into: Sinks, first: int, stop: int) -> None:
    """A spike in every step and a frame in every second one."""
    steps = np.arange(first, stop)
    into.spikes.append("a", steps, steps % 50)
    even = steps[steps % 2 == 0]
    into.samples.append("v", even, np.repeat(even[:, None], 3, axis=1) * 0.5)


def contents(of: Sinks) -> list[list[float]]:
    return [part.ravel().tolist() for part in of.contents()]


def network(n: int = 100, **probes: Probe) -> Network:
    neuron = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=15.0, v_reset_mv=0.0, i_bias_pa=700.0, synapse=Delta())
    weight = Uniform(low=0.0, high=0.1)
    learning = STDP(tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=0.01, a_minus=0.005, w_max=0.1)
    aa = Projection(
        source="a", target="a", rule=OneToOne(), weight_mv=weight, delay_ms=1.0, plasticity=learning
    )
    return Network(
        populations={"a": Population(n=n, neuron=neuron)},
        projections={"aa": aa},
        probes={"spikes": Probe(target="a"), **probes},
    )


WEIGHTS = Probe(target="aa", variable="weight", every_ms=1.0)


# --- counting without writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [True, False])
def test_count_has_all_rows(on_disk: bool, tmp_path: Path) -> None:
    recorded = sinks(tmp_path if on_disk else None)
    for first in (0, 10, 70_010):
        fill(recorded, first, {0: 10, 10: 70_010, 70_010: 70_020}[first])
    assert recorded.spikes.count("a") == 70_020
    assert recorded.samples.count("v") == 35_010
    assert not recorded.due("v", 70_018)
    assert recorded.due("v", 70_020)
    with pytest.raises(SnnError, match="nothing of this name is recorded"):
        recorded.samples.count("w")
    recorded.close(complete=True)


def test_weight_probe_in_a_folder_writes_whole_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = []
    flush = StateFile.flush

    def watched(self: StateFile) -> None:
        flushes.append(self.count("w"))
        flush(self)

    monkeypatch.setattr(StateFile, "flush", watched)
    with Simulator(network(w=WEIGHTS), threads=1) as sim:
        sim.run(2000.0)
        expected = sim.samples("w")[1]
    with Simulator(network(w=WEIGHTS), record_to=tmp_path, threads=1) as sim:
        sim.run(2000.0)
        assert not flushes
    times_ms, _, data = read_state(tmp_path / "state.h5", "w")
    assert np.array_equal(times_ms, np.arange(2000) * 10 * DT_MS)
    assert np.array_equal(data, expected)
    assert not np.array_equal(data[0], data[-1])
    assert (tmp_path / "state.h5").stat().st_size < data.nbytes


# --- a folder that holds a recording -----------------------------------------------------------------------


@pytest.mark.parametrize("held", ["spikes.h5", "state.h5"])
def test_folder_with_a_recording_is_refused_until_restored(held: str, tmp_path: Path) -> None:
    (tmp_path / held).write_bytes(b"precious")
    waiting = sinks(tmp_path)
    uses = (
        waiting.check_open,
        waiting.rows,
        lambda: fill(waiting, 0, 1),
        lambda: waiting.due("v", 0),
        lambda: waiting.get_spikes("a"),
        lambda: waiting.get_samples("v"),
    )
    for use in uses:
        with pytest.raises(StorageError, match="the folder holds a recording.*choose another folder"):
            use()
    waiting.close(complete=True)
    assert (tmp_path / held).read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == [held]


def test_simulator_refuses_a_folder_with_a_recording(tmp_path: Path) -> None:
    with Simulator(network(), record_to=tmp_path, threads=1) as sim:
        sim.run(20.0)
    before = [(p.name, p.read_bytes()) for p in sorted(tmp_path.iterdir())]
    with (
        pytest.raises(StorageError, match="the folder holds a recording"),
        Simulator(network(), record_to=tmp_path, threads=1) as sim,
    ):
        sim.run(20.0)
    assert [(p.name, p.read_bytes()) for p in sorted(tmp_path.iterdir())] == before


def test_second_file_that_cannot_be_made_leaves_no_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: StateFile, file: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(StateFile, "_create", fail)
    with pytest.raises(StorageError):
        sinks(tmp_path)
    assert not (tmp_path / "spikes.h5").exists()


# --- restore -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [True, False])
def test_restore_goes_on_from_the_checkpoint(on_disk: bool, tmp_path: Path) -> None:
    folder = tmp_path if on_disk else None
    recorded = sinks(folder)
    fill(recorded, 0, 100)
    rows, saved = recorded.rows(), {name: array.copy() for name, array in recorded.saved().items()}
    expected = contents(recorded)
    fill(recorded, 100, 200)
    recorded.restore(saved, rows)  # in the middle of a run
    assert contents(recorded) == expected
    fill(recorded, 100, 140)
    recorded.close(complete=False)
    again = sinks(folder)
    again.restore(saved, rows)  # by another process
    again.check_open()
    assert contents(again) == expected
    fill(again, 100, 200)
    again.close(complete=True)
    assert len(again.get_spikes("a")[0]) == 200


@pytest.mark.parametrize(
    ("opened", "fault"),  # what a writer holds open is in its memory as well, so no damage is seen
    [(True, "missing"), (True, "short"), (False, "missing"), (False, "short"), (False, "damaged")],
)
def test_failed_restore_of_the_second_file_leaves_the_first(opened: bool, fault: str, tmp_path: Path) -> None:
    recorded = sinks(tmp_path)
    fill(recorded, 0, 200)
    rows = {"spikes/a": 40, "samples/v": 101 if fault == "short" else 20}
    recorded.rows()
    if not opened:
        recorded.close(complete=False)
        recorded = sinks(tmp_path)
    if fault == "missing":
        (tmp_path / "state.h5").unlink()
    elif fault == "damaged":
        (tmp_path / "state.h5").write_bytes(b"damaged")
    spikes = (tmp_path / "spikes.h5").read_bytes()
    with pytest.raises(FileError):
        recorded.restore({}, rows)
    assert (tmp_path / "spikes.h5").read_bytes() == spikes
    assert not list(tmp_path.glob(".*"))
    if opened and fault == "short":
        recorded.check_open()
        fill(recorded, 200, 300)
        assert recorded.rows() == {"spikes/a": 300, "samples/v": 150}
    recorded.close(complete=False)
    assert len(read_spikes(tmp_path / "spikes.h5", "a")[0]) >= 200


def test_failed_restore_in_memory_changes_nothing() -> None:
    recorded = sinks(None)
    fill(recorded, 0, 100)
    rows, saved = recorded.rows(), recorded.saved()
    fill(recorded, 100, 200)
    before = contents(recorded)
    for name in saved:
        with pytest.raises(FileError, match=rf"{name}: the checkpoint does not contain its recordings"):
            recorded.restore({k: v for k, v in saved.items() if k != name}, rows)
        with pytest.raises(FileError, match=rf"{name}: a recording in the checkpoint is not as long or wide"):
            recorded.restore(saved | {name: saved[name][:-1]}, rows)
    for wrong in (-1, 2.5, "many"):
        with pytest.raises(FileError, match=r"rows/samples/v: no number of rows"):
            recorded.restore(saved, rows | {"samples/v": wrong})  # type: ignore[arg-type]
    with pytest.raises(FileError, match="belongs to other probes"):
        recorded.restore(saved, {"spikes/b": 1})
    assert contents(recorded) == before


def test_checkpoint_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    described = network(v=Probe(target="a", variable="v_mv", ids=np.arange(2)))
    with (
        Simulator(described, threads=1) as memory,
        Simulator(described, record_to=tmp_path, threads=1) as disk,
    ):
        for sim in (memory, disk):
            sim.run(20.0)
        memory.save(tmp_path / "memory.h5")
        disk.save(tmp_path / "disk.h5")
        for sim in (memory, disk):
            sim.run(20.0)
        before = memory.digest()
        assert disk.digest() == before
        with pytest.raises(FileError, match="recorded/spikes/a/ids.*Fix: resume it .* with record_to"):
            memory.resume(tmp_path / "disk.h5")
        with pytest.raises(FileError, match="Fix: resume it in a Simulator without record_to"):
            disk.resume(tmp_path / "memory.h5")
        assert (memory.step, memory.digest()) == (400, before)
        assert (disk.step, disk.digest()) == (400, before)


# --- after the end -----------------------------------------------------------------------------------------


def test_closed_recordings_can_be_read(tmp_path: Path) -> None:
    recorded = sinks(tmp_path)
    fill(recorded, 0, 100)
    before = contents(recorded)
    recorded.close(complete=True)
    recorded.close(complete=True)
    assert contents(recorded) == before
    with pytest.raises(SnnError, match="the recording is closed"):
        fill(recorded, 100, 101)
    with pytest.raises(SnnError, match="the recording is closed.*Fix: build a new Simulator"):
        recorded.check_open()


def test_closed_simulator_gives_its_results(tmp_path: Path) -> None:
    with Simulator(network(w=WEIGHTS), record_to=tmp_path, threads=1) as sim:
        sim.run(50.0)
        steps, digest = sim.spikes("a")[0], sim.digest()
    assert len(steps)
    assert np.array_equal(sim.spikes("a")[0], steps)
    assert sim.samples("w")[1].shape == (50, 100)
    assert sim.digest() == digest


# --- memory ------------------------------------------------------------------------------------------------


def test_one_part_is_joined_without_a_copy() -> None:
    table, nothing = np.ones((3, 4)), np.zeros((0, 7))
    assert np.shares_memory(_join([nothing, table], np.float64), table)
    both = _join([table, 2 * table], np.float64)
    assert both.tolist() == [1.0] * 12 + [2.0] * 12
    whole = _join([np.arange(3, dtype=np.int32)], np.int64)
    assert (whole.dtype, whole.tolist()) == (np.dtype(np.int64), [0, 1, 2])
    assert _join([], np.uint64).shape == _join([nothing], np.uint64).shape == (0,)
    table.setflags(write=False)  # the kernels are compiled for writable arrays
    assert _join([table], np.float64).flags.writeable


def test_images_are_held_once() -> None:
    shown = Images(
        images=np.full((2, 3), 0.5), present_ms=1.0, coding="rate", max_rate_hz=100.0,
        phases=(Phase(name="all", split="all"),),
    )  # fmt: skip
    with Simulator(Network(stimuli={"shown": shown}, populations=network().populations), threads=1) as sim:
        assert np.shares_memory(sim.program.sources.table, sim.program.images["shown"].table)


def test_weights_of_some_synapses() -> None:
    with Simulator(network(w=WEIGHTS), threads=1) as sim:
        table = sim.synapses("aa")
        assert np.array_equal(table.weight_at(np.array([3, 7])), table.weight()[[3, 7]])
        assert np.array_equal(table.weight_at(None), table.weight())
        assert table.delay.dtype == np.int32
        assert table.source.dtype == table.target.dtype == np.int64


# --- free memory -------------------------------------------------------------------------------------------


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file system with 1000 KiB available and the given control groups."""
    files = {
        "proc/meminfo": "MemTotal: 2000 kB\nMemAvailable: 1000 kB\n",
        "proc/self/cgroup": groups,
        **files,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, 1_024_000),
        ("0::/\n", {f"{V2}/memory.max": "5000\n", f"{V2}/memory.current": "1000\n"}, 4000),
        ("0::/\n", {f"{V2}/memory.max": "max\n", f"{V2}/memory.current": "1000\n"}, 1_024_000),
        ("0::/\n", {f"{V2}/memory.max": "9000000\n", f"{V2}/memory.current": "1000\n"}, 1_024_000),
        ("0::/\n", {f"{V2}/memory.max": "5000\n", f"{V2}/memory.current": "6000\n"}, 0),
        ("0::/\n", {f"{V2}/memory.max": "5000\n"}, 1_024_000),
        (
            "0::/\n",
            {
                f"{V2}/memory.max": "5000\n",
                f"{V2}/memory.current": "4900\n",
                f"{V2}/memory.stat": "anon 100\ninactive_file 3000\n",
            },
            3100,
        ),
        (  # the group around it has the limit
            "0::/job/step\n",
            {
                f"{V2}/job/memory.max": "7000\n",
                f"{V2}/job/memory.current": "1000\n",
                f"{V2}/job/step/memory.max": "max\n",
                f"{V2}/job/step/memory.current": "500\n",
            },
            6000,
        ),
        (
            "5:cpu:/x\n4:memory,hugetlb:/job\n0::/\n",
            {
                f"{V1}/job/memory.limit_in_bytes": "8000\n",
                f"{V1}/job/memory.usage_in_bytes": "3000\n",
                f"{V1}/job/memory.stat": "inactive_file 7\ntotal_inactive_file 500\n",
                f"{V1}/memory.limit_in_bytes": "9223372036854771712\n",
                f"{V1}/memory.usage_in_bytes": "4000\n",
            },
            5500,
        ),
        (  # a container: its path is that outside
            "4:memory:/docker/abc\n",
            {f"{V1}/memory.limit_in_bytes": "8000\n", f"{V1}/memory.usage_in_bytes": "3000\n"},
            5000,
        ),
    ],
)
def test_limits_of_control_groups_count(
    groups: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert available_bytes(machine(tmp_path, groups, files)) == expected


def test_memory_of_this_machine() -> None:
    found = available_bytes()
    assert found is not None
    assert found > 0
