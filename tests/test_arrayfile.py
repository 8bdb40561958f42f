"""Arrays beside a config: what is read, and what hostile files are refused for."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim import ConfigError, FileError, SnnError
from snnsim.arrayfile import read_array


def npy(array, pickled=False):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def header(text, version=(1, 0)):
    raw = text.encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(raw))
    return b"\x93NUMPY" + bytes(version) + length + raw


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as stream:
        for name, content in members.items():
            stream.writestr(name, content)


def read(folder, file="a.npz", array="x"):
    return read_array({"file": file, "array": array}, "populations.a.n", folder)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", ">f8"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_was_written_is_read(tmp_path, dtype, compressed):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", x=array, y=array[0])
    assert np.array_equal(read(tmp_path), array)
    assert read(tmp_path, array="y").shape == (3,)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"file": "a.npz"}, "n.array: a key is missing"),
        ({"file": 1, "array": "x"}, "n.file: wrong type"),
        ({"file": "a.npz", "array": "x", "arra": 1}, "n.arra: unknown key. Fix: did you mean array"),
    ],
)
def test_wrong_references(tmp_path, reference, message):
    with pytest.raises(ConfigError, match=message):
        read_array(reference, "n", tmp_path)


@pytest.mark.parametrize("name", ["../a.npz", "/etc/passwd", "b/../../a.npz", "link.npz"])
def test_nothing_outside_the_folder_is_read(tmp_path, name):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    inside = tmp_path / "inside"
    (inside / "b").mkdir(parents=True)
    (inside / "link.npz").symlink_to(tmp_path / "a.npz")
    with pytest.raises(FileError, match="outside the folder"):
        read(inside, name)


@pytest.mark.parametrize("name", ["none.npz", ".", "a\0b", "x" * 900])
def test_no_file(tmp_path, name):
    with pytest.raises(FileError):
        read(tmp_path, name)


def test_an_array_that_is_not_there(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.ones(3))
    with pytest.raises(FileError, match="no such array in the file; got 'weight'. Fix: did you mean weights"):
        read(tmp_path, array="weight")


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"
HOSTILE = {
    "empty": b"",
    "no array": b"hello",
    "objects": npy(np.array([{}], dtype=object), pickled=True),
    "texts": npy(np.array(["a"])),
    "complex numbers": npy(np.array([1j])),
    "flags": npy(np.array([True])),
    "a structure": npy(np.zeros(2, dtype=[("a", "f8")])),
    "cut off": npy(np.ones(3))[:-1],
    "too long": npy(np.ones(3)) + b"x",
    "a bomb": header(GOOD.replace("3,", "10**15,")) + bytes(24),
    "a bomb of numbers": header(GOOD.replace("(3,)", "(1000000, 1000000, 1000000)")) + bytes(24),
    "negative": header(GOOD.replace("3,", "-3,")) + bytes(24),
    "two negatives": header(GOOD.replace("(3,)", "(-3, -1)")) + bytes(24),
    "no shape": header("{'descr': '<f8', 'fortran_order': False}") + bytes(24),
    "no dictionary": header("[1, 2") + bytes(24),
    "a call": header("__import__('os').system('true')") + bytes(24),
    "deep": header("(" * 5000) + bytes(24),
    "an unknown type": header(GOOD.replace("<f8", "<f9")) + bytes(24),
    "an unknown version": header(GOOD, version=(7, 7)) + bytes(24),
    "a huge header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(24),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_members(tmp_path, what):
    archive(tmp_path / "a.npz", {"x.npy": HOSTILE[what]})
    with pytest.raises(FileError, match=r"populations\.a\.n: "):
        read(tmp_path)


def test_a_bomb_of_zeros(tmp_path):
    zeros = header(GOOD.replace("3,", f"{2**25},")) + bytes(2**28)
    archive(tmp_path / "a.npz", {"x.npy": zeros}, zipfile.ZIP_DEFLATED)
    with pytest.raises(FileError, match="implausible size"):
        read(tmp_path)


def test_no_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy(np.ones(3)))
    with pytest.raises(FileError, match="not a readable .npz file"):
        read(tmp_path)


def sample(compression):
    stream = io.BytesIO()
    archive(stream, {"x.npy": npy(np.arange(40.0)), "y.npy": npy(np.ones(3))}, compression)
    return stream.getvalue()


SAMPLES = [sample(zipfile.ZIP_STORED), sample(zipfile.ZIP_DEFLATED)]


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4))
@settings(max_examples=300)
def test_damaged_files_are_read_right_or_refused(tmp_path_factory, content, changes):
    damaged = bytearray(content)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.npz").write_bytes(bytes(damaged))
    try:
        array = read(folder)
    except SnnError as error:
        refused = error
    else:
        refused = None
        assert array.dtype.kind in "iuf"
    assert refused is None or isinstance(refused, FileError)
