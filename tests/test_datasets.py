"""Data sets: the bundled one, files as they should be, and files as they should not be."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnsim import ConfigError, FileError
from snnsim.datasets import load_dataset, random_order, stratified_split

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx(data, magic=None, shape=None):
    shape = data.shape if shape is None else shape
    head = bytes((0, 0, 8, data.ndim)) if magic is None else magic
    return head + struct.pack(f">{len(shape)}I", *shape) + data.astype(np.uint8).tobytes()


IMAGES = np.arange(5 * 784).reshape(5, 28, 28) % 256
LABELS = np.array([3, 1, 4, 1, 9])


def good_files():
    return {
        NAMES[0]: gzip.compress(idx(IMAGES)),
        NAMES[1]: gzip.compress(idx(LABELS)),
        NAMES[2]: gzip.compress(idx(IMAGES[:2] // 2)),
        NAMES[3]: gzip.compress(idx(LABELS[:2])),
    }


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_digits():
    data = load_dataset("digits")
    assert data.images.shape == (1797, 64)
    assert data.images.dtype == np.float64
    assert (data.images.min(), data.images.max()) == (0.0, 1.0)
    assert data.image_shape == (8, 8)
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    train, test = data.split(None, 0)
    assert (train.size, test.size) == (1258, 539)


@pytest.mark.parametrize("inside", [".", "mnist"])
def test_idx_files(tmp_path, inside, monkeypatch):
    write(tmp_path / inside, good_files())
    data = load_dataset("mnist", tmp_path)
    assert np.array_equal(data.images[:5].reshape(5, 28, 28), IMAGES / 255.0)
    assert data.labels.tolist() == [3, 1, 4, 1, 9, 3, 1]
    assert [path.name for path in data.files] == list(NAMES)
    train, test = data.split(None, 0)
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3, 4], [5, 6])
    monkeypatch.setenv("SNNSIM_DATA", str(tmp_path))
    assert np.array_equal(load_dataset("mnist").images, data.images)


def test_missing_files_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("SNNSIM_DATA", raising=False)
    for folder in (None, tmp_path, tmp_path / "none"):
        with pytest.raises(FileError) as caught:
            load_dataset("mnist", folder)
        assert all(word in str(caught.value) for word in (*NAMES, "--data DIR", "SNNSIM_DATA", "DIR/mnist/"))


def test_files_of_the_other_data_set_are_not_taken(tmp_path):
    folder = write(tmp_path / "fashion-mnist", good_files())
    assert load_dataset("fashion-mnist", folder).name == "fashion-mnist"
    with pytest.raises(FileError, match="not found"):
        load_dataset("mnist", folder)


def test_an_unknown_name():
    with pytest.raises(ConfigError, match="did you mean fashion-mnist"):
        load_dataset("fashion_mnist")


def flipped(content, at):
    return content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]


GZ = gzip.compress(idx(IMAGES), mtime=0)
BAD = {
    "empty": (0, b""),
    "no gzip": (0, idx(IMAGES)),
    "cut off": (0, GZ[:-20]),
    "without its checksum": (0, GZ[:-8]),
    "wrong checksum": (0, flipped(GZ, len(GZ) - 8)),
    "wrong length in the trailer": (0, flipped(GZ, len(GZ) - 4)),
    "damaged inside": (0, flipped(GZ, len(GZ) // 2)),
    "junk after the end": (0, GZ + b"junk"),
    "only a header": (0, gzip.compress(idx(IMAGES)[:10])),
    "labels as images": (0, gzip.compress(idx(LABELS))),
    "images as labels": (1, GZ),
    "another type": (0, gzip.compress(idx(IMAGES, magic=bytes((0, 0, 9, 3))))),
    "another size": (0, gzip.compress(idx(IMAGES[:, :27]))),
    "a bomb": (0, gzip.compress(idx(IMAGES, shape=(2**32 - 1, 28, 28)))),
    "a bomb of pixels": (0, gzip.compress(idx(IMAGES, shape=(5, 2**32 - 1, 2**32 - 1)))),
    "no images": (0, gzip.compress(idx(IMAGES[:0]))),
    "too short": (0, gzip.compress(idx(IMAGES, shape=(6, 28, 28)))),
    "too long": (0, gzip.compress(idx(IMAGES, shape=(4, 28, 28)))),
    "too long by far": (0, gzip.compress(idx(IMAGES) + bytes(2**22))),
    "fewer labels": (1, gzip.compress(idx(LABELS[:4]))),
    "a class too many": (1, gzip.compress(idx(LABELS + 1))),
}


@pytest.mark.parametrize("what", BAD)
def test_hostile_files(tmp_path, what):
    which, content = BAD[what]
    write(tmp_path, good_files() | {NAMES[which]: content})
    with pytest.raises(FileError) as caught:
        load_dataset("mnist", tmp_path)
    assert NAMES[which] in str(caught.value)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.0, 0.95), st.integers(0, 2**31))
def test_a_split_is_a_division_that_keeps_the_classes_apart(labels, fraction, seed):
    labels = np.array(labels)
    train, test = stratified_split(labels, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(labels.size))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(test) > 0)
    for label in np.unique(labels):
        n = np.sum(labels == label)
        assert abs(np.sum(labels[test] == label) - fraction * n) <= 0.5
    again = stratified_split(labels, fraction, seed)
    assert np.array_equal(test, again[1])


def test_the_seed_and_every_counter_matter():
    labels = np.arange(1000) % 10
    one, two = (set(stratified_split(labels, 0.3, seed)[1].tolist()) for seed in (0, 1))
    assert len(one & two) < 150  # 90 are expected to agree
    orders = [tuple(random_order(50, *key)) for key in ((0, 1), (1, 1), (0, 2), (0, 1, 1), (0, 1, 0, 1))]
    assert len(set(orders)) == len(orders)


def test_an_order_is_always_the_same():
    assert random_order(8, 5, 7, 1, 2).tolist() == [0, 1, 2, 5, 7, 6, 3, 4]
    assert random_order(0, 5, 7).tolist() == []
    assert sorted(random_order(1000, 2**63 - 1, 7)) == list(range(1000))
