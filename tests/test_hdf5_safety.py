"""Hostile and damaged HDF5 files end in a FileError, and nothing outside of them is read."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from snnsim.errors import FileError
from snnsim.hdf5_safety import MAX_ATTRIBUTES, MAX_OBJECTS, check_tree, open_untrusted
from snnsim.recording import read_spikes, read_state

Maker = Callable[[h5py.File, Path], None]


def _soft(file: h5py.File, folder: Path) -> None:
    file["spikes"] = h5py.SoftLink("/elsewhere")


def _soft_deep(file: h5py.File, folder: Path) -> None:
    file.create_group("spikes/exc")["timestamps"] = h5py.SoftLink("/x")


def _external(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["x"] = [1.0]
    file["x"] = h5py.ExternalLink("secret.h5", "/x")


def _external_storage(file: h5py.File, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(bytes(range(80)))
    file.create_dataset("x", (10,), "f8", external=[(str(folder / "secret.bin"), 0, 80)])


def _virtual(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "source.h5", "w") as source:
        source["x"] = np.arange(10.0)
    layout = h5py.VirtualLayout((10,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "source.h5"), "x", (10,))
    file.create_virtual_dataset("x", layout)


def _object_reference(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (1,), h5py.ref_dtype)[0] = file.ref


def _region_reference(file: h5py.File, folder: Path) -> None:
    data = file.create_dataset("y", data=np.arange(4))
    file.create_dataset("x", (1,), h5py.regionref_dtype)[0] = data.regionref[:2]


def _reference_attribute(file: h5py.File, folder: Path) -> None:
    file.attrs.create("x", file.ref, dtype=h5py.ref_dtype)


def _reference_in_compound(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (1,), np.dtype([("a", "f8"), ("b", h5py.ref_dtype)]))


def _vlen(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (2,), h5py.vlen_dtype(np.float64))


def _vlen_of_vlen(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (2,), h5py.vlen_dtype(h5py.vlen_dtype(np.int8)))


def _vlen_attribute(file: h5py.File, folder: Path) -> None:
    values = np.empty(1, object)
    values[0] = np.array([1.0, 2.0])
    file.attrs.create("x", values, dtype=h5py.vlen_dtype(np.float64))


def _text_dataset(file: h5py.File, folder: Path) -> None:
    file["x"] = "text"


def _unknown_filter(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (16,), "i4", chunks=(16,), scaleoffset=4)


def _many_objects(file: h5py.File, folder: Path) -> None:
    group = file.create_group("many")
    shared = group.create_dataset("0", data=1)
    for index in range(1, MAX_OBJECTS + 1):
        group[str(index)] = shared


def _deep(file: h5py.File, folder: Path) -> None:
    file.create_group("a/b/c/d/e/f/g/h/i")


def _circle(file: h5py.File, folder: Path) -> None:
    file.create_group("a/b")["root"] = file["/"]


def _large_attribute(file: h5py.File, folder: Path) -> None:
    file.create_group("a").attrs["x"] = np.zeros(9000)


def _many_attributes(file: h5py.File, folder: Path) -> None:
    for index in range(MAX_ATTRIBUTES + 1):
        file.attrs[str(index)] = 1


def _many_texts(file: h5py.File, folder: Path) -> None:
    file.attrs["x"] = ["text"] * 100


def _bomb_never_written(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (2**40,), "f8", chunks=(2**16,), compression="gzip")


def _bomb_within_limit(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (2**24,), "f8", chunks=(2**16,), compression="gzip")


def _bomb_contiguous(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (2**33,), "f8")


def _bomb_chunk(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", (1,), "u1", maxshape=(None,), chunks=(2**31,), compression="gzip")


def _bomb_of_many(file: h5py.File, folder: Path) -> None:
    for index in range(1200):
        file.create_dataset(str(index), (2**23,), "f8", chunks=(2**16,))


HOSTILE: dict[str, tuple[Maker, str]] = {
    "soft": (_soft, "soft or external link"),
    "soft_deep": (_soft_deep, "/spikes/exc/timestamps: .*soft or external link"),
    "external": (_external, "soft or external link"),
    "external_storage": (_external_storage, "stored in another file"),
    "virtual": (_virtual, "virtual dataset"),
    "object_reference": (_object_reference, "reference"),
    "region_reference": (_region_reference, "reference"),
    "reference_attribute": (_reference_attribute, "reference"),
    "reference_in_compound": (_reference_in_compound, "reference"),
    "vlen": (_vlen, "variable-length data"),
    "vlen_of_vlen": (_vlen_of_vlen, "variable-length data"),
    "vlen_attribute": (_vlen_attribute, "variable-length data"),
    "text_dataset": (_text_dataset, "variable-length text"),
    "unknown_filter": (_unknown_filter, "unknown filter; got 'filter 6'"),
    "many_objects": (_many_objects, "too many objects"),
    "deep": (_deep, "nested too deeply"),
    "circle": (_circle, "reached twice"),
    "large_attribute": (_large_attribute, "large attribute"),
    "many_attributes": (_many_attributes, "too many attributes"),
    "many_texts": (_many_texts, "attribute of many texts"),
    "bomb_never_written": (_bomb_never_written, "far more than the file holds"),
    "bomb_within_limit": (_bomb_within_limit, "far more than the file holds"),
    "bomb_contiguous": (_bomb_contiguous, "far more than the file holds"),
    "bomb_chunk": (_bomb_chunk, "far more than the file holds"),
    "bomb_of_many": (_bomb_of_many, "claim too much"),
}


# The old format cannot hold a large attribute at all.
CASES = [(n, v) for n in HOSTILE for v in ("earliest", "latest") if (n, v) != ("large_attribute", "earliest")]


@pytest.mark.parametrize(("name", "libver"), CASES)
def test_hostile_file_is_refused_without_reading_it(name: str, libver: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w", libver=libver) as file:
        make(file, tmp_path)
    tracemalloc.start()
    with pytest.raises(FileError, match=message) as caught:
        open_untrusted(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "file.unsafe"
    assert str(path) in str(caught.value)
    assert peak < 16 * 2**20
    with pytest.raises(FileError, match=message):
        read_spikes(path, "exc")
    with pytest.raises(FileError, match=message):
        read_state(path, "v")
    path.unlink()  # nothing holds it open


def test_harmless_file_passes_and_text_only_where_allowed(tmp_path: Path) -> None:
    path = tmp_path / "fine.h5"
    kind = np.dtype([("a", "f8"), ("b", "i4", (3,))])
    with h5py.File(path, "w") as file:
        file["a/b/c/x"] = np.arange(5.0)
        file.create_dataset("flags", data=np.array([True, False]))
        file.create_dataset("zeros", data=np.zeros(2**20), chunks=(2**14,), compression="gzip", shuffle=True)
        file.create_dataset("pairs", (4,), kind)
        file["scalar"] = 3
        file["empty"] = np.empty(0)
        file["again"] = file["scalar"]
        file.attrs["units"] = "ms"
        file.attrs["list"] = [1, 2, 3]
        file["named"] = np.dtype("f8")
    with open_untrusted(path) as file:
        assert file["a/b/c/x"][2] == 2.0
    with h5py.File(path, "a") as file:
        file["text"] = "LIF"
    with pytest.raises(FileError, match="variable-length text"):
        open_untrusted(path)
    with open_untrusted(path, strings=True) as file:
        assert file["text"][()] == b"LIF"


def test_declared_size_limit_is_a_parameter(tmp_path: Path) -> None:
    path = tmp_path / "sized.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.ones(100)
        file["b"] = np.ones(100)
    open_untrusted(path, max_bytes=1600).close()
    with pytest.raises(FileError, match="claim too much; got '1,600 bytes', expected at most 1,599 bytes"):
        open_untrusted(path, max_bytes=1599)


def test_a_highly_compressible_recording_passes(tmp_path: Path) -> None:
    path = tmp_path / "constant.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(2**24), chunks=(2**14,), compression="gzip", shuffle=True)
        check_tree(file)
        assert file["x"].nbytes > 500 * file["x"].id.get_storage_size()


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("sixteenth", range(16))
def test_truncated_file_is_refused(sixteenth: int, libver: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    with h5py.File(whole, "w", libver=libver) as file:
        group = file.create_group("spikes/exc")
        group.create_dataset("timestamps", data=np.arange(5000.0), chunks=(1000,), compression="gzip")
        group.create_dataset("node_ids", data=np.arange(5000, dtype=np.uint64))
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * sixteenth // 16])
    with pytest.raises(FileError, match="empty|truncated|not an HDF5 file|damaged"):
        open_untrusted(cut)
    with pytest.raises(FileError, match="empty|truncated|not an HDF5 file|damaged"):
        read_spikes(cut, "exc")


def test_flipped_bytes_end_in_data_or_a_file_error(tmp_path: Path) -> None:
    path = tmp_path / "flipped.h5"
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("spikes/exc")
        group.create_dataset("timestamps", data=np.arange(500.0), chunks=(100,), fletcher32=True)
        group.create_dataset("node_ids", data=np.arange(500, dtype=np.uint64), chunks=(100,), fletcher32=True)
    good = path.read_bytes()
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        try:
            times, _ids = read_spikes(path, "exc")
        except FileError:
            refused += 1
        else:
            assert np.array_equal(times, np.arange(500.0))
    assert refused > 50


def test_missing_wrong_and_foreign_paths(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file. Fix: check the path"):
        open_untrusted(tmp_path / "none.h5")
    with pytest.raises(FileError, match="not a file"):
        open_untrusted(tmp_path)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(FileError, match="the file is empty"):
        open_untrusted(tmp_path / "empty.h5")
    (tmp_path / "text.h5").write_text("not HDF5 at all" * 100)
    with pytest.raises(FileError, match="not an HDF5 file; expected the HDF5 signature"):
        open_untrusted(tmp_path / "text.h5")


def test_file_in_use_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "flagged.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = [1.0]
    data = bytearray(path.read_bytes())
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        data = path.read_bytes()  # what a killed writer leaves
    path.write_bytes(data)
    with pytest.raises(FileError, match="being written, or its writer was killed.*swmr=True") as caught:
        open_untrusted(path)
    assert caught.value.code == "file.in_use"
    with open_untrusted(path, swmr=True) as file:
        assert file["x"][0] == 1.0
