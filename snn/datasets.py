"""Images to show: the bundled digits, and MNIST and Fashion-MNIST from files that the user has.

A file is treated as hostile: its header is checked before memory is taken, and its size, checksum and
values are checked before it is used.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnsim.errors import ConfigError, FileError, nearest

DATA_VARIABLE = "SNNSIM_DATA"
DATASETS = ("digits", "mnist", "fashion-mnist")
TEST_FRACTION = 0.3  # where a data set has no test images of its own

_IDX_FILES = (
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)
_IDX_SHAPE = (28, 28)
_IDX_ITEMS = 1_000_000  # images in one file; the real ones have 60,000
_N_CLASSES = 10
_SPLIT_STREAM = 0x53504C4954  # keeps the division apart from all other uses of the same seed


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with their classes.

    images         float64[n, pixels]   0 (black) to 1
    labels         int64[n]
    image_shape    rows, columns
    official_test  int64[]              images that the makers set apart for testing; None: they did not
    files          what was read, for the record
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    image_shape: tuple[int, int]
    official_test: np.ndarray | None = None
    files: tuple[Path, ...] = ()

    def split(self, test_fraction: float | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Ascending indices of training and test images, int64.

        Without a fraction, the data set's own division; where it has none, 0.3.  With one, each class
        gives that part of its images, drawn from the seed.
        """
        if test_fraction is None and self.official_test is not None:
            rest = np.setdiff1d(np.arange(len(self.labels)), self.official_test)
            return rest, np.sort(self.official_test)
        return stratified_split(self.labels, TEST_FRACTION if test_fraction is None else test_fraction, seed)


def stratified_split(labels: np.ndarray, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide so that each class gives the same part, to the nearest image, to the test set.

    labels  int64[n].  Returns ascending indices of training and test images.  Counter-based (Philox, whose
    raw output NumPy keeps stable), so it depends on the labels, the fraction and the seed only.
    """
    order = random_order(len(labels), seed, _SPLIT_STREAM)
    in_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        in_test[members[: int(test_fraction * len(members) + 0.5)]] = True
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def random_order(n: int, seed: int, stream: int, phase: int = 0, repeat: int = 0) -> np.ndarray:
    """A permutation of 0 to n - 1 that depends on the arguments only: int64[n]."""
    bits = np.random.Philox(
        key=np.array([seed, stream], dtype=np.uint64),
        counter=np.array([0, 0, phase, repeat], dtype=np.uint64),
    )
    return np.argsort(np.atleast_1d(bits.random_raw(n)), kind="stable")


def load_dataset(name: str, data_dir: Path | str | None = None) -> Dataset:
    """The data set of that name.

    data_dir, or else the folder in the environment variable SNNSIM_DATA, holds the files of those that
    are not bundled, in a folder with the data set's name or directly.
    Raises ConfigError for an unknown name, FileError for files that are missing or damaged.
    """
    if name == "digits":
        return _digits()
    if name in DATASETS:
        return _from_idx(name, data_dir or os.environ.get(DATA_VARIABLE))
    raise ConfigError(
        "no such data set", where="dataset", got=name, fix=nearest(name, DATASETS), code="config.unknown_word"
    )


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.ascontiguousarray(found.data, dtype=np.float64) / 16.0
    return Dataset("digits", images, found.target.astype(np.int64), (8, 8))


def _from_idx(name: str, data_dir: Path | str | None) -> Dataset:
    folder = _folder(name, data_dir)
    images, labels, files = [], [], []
    for image_file, label_file in _IDX_FILES:
        pixels = _read_idx(folder / image_file, _IDX_SHAPE)
        classes = _read_idx(folder / label_file, ())
        if len(pixels) != len(classes):
            raise FileError(
                "images and labels differ in number",
                where=str(folder / label_file),
                got=f"{len(classes)} labels",
                expected=f"{len(pixels)}",
            )
        if classes.max() >= _N_CLASSES:
            raise FileError(
                "no such class", where=str(folder / label_file), got=int(classes.max()), expected="0 to 9"
            )
        images.append(pixels.reshape(len(pixels), -1))
        labels.append(classes)
        files += [folder / image_file, folder / label_file]
    n_train = len(labels[0])
    values = np.concatenate(images).astype(np.float64)
    values /= 255.0
    classes = np.concatenate(labels).astype(np.int64)
    test = np.arange(n_train, len(classes), dtype=np.int64)
    return Dataset(name, values, classes, _IDX_SHAPE, official_test=test, files=tuple(files))


def _folder(name: str, data_dir: Path | str | None) -> Path:
    """Where the four files lie.  They have the same names for all data sets, so the folder's name counts."""
    wanted = [file for pair in _IDX_FILES for file in pair]
    places = []
    if data_dir is not None:
        root = Path(data_dir)
        places = [root / name]
        if root.resolve().name not in set(DATASETS) - {name}:
            places.append(root)
    for place in places:
        if all((place / file).is_file() for file in wanted):
            return place
    raise FileError(
        f'the files of data set "{name}" were not found',
        where=" or ".join(str(place) for place in places) or "no data folder given",
        expected=", ".join(wanted),
        fix=f"say --data DIR (or set {DATA_VARIABLE}), where DIR/{name}/ holds these files",
        code="file.missing",
    )


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A gzipped IDX file of bytes: uint8[n, *shape].

    Layout, big endian: 0, 0, type 8 (unsigned byte), number of dimensions, one uint32 a dimension, data.
    Source: the format section of http://yann.lecun.com/exdb/mnist/
    """
    n_dims = 1 + len(shape)
    try:
        with gzip.open(path, "rb") as stream:
            head = stream.read(4 + 4 * n_dims)
            if len(head) < 4 + 4 * n_dims:
                raise FileError("ends within its header", where=str(path), got=f"{len(head)} bytes")
            if head[:4] != bytes((0, 0, 8, n_dims)):
                raise FileError(
                    "not an IDX file of this kind",
                    where=str(path),
                    got=head[:4].hex(" "),
                    expected=bytes((0, 0, 8, n_dims)).hex(" "),
                )
            n, *found = struct.unpack(f">{n_dims}I", head[4:])
            if tuple(found) != shape or not 0 < n <= _IDX_ITEMS:
                raise FileError(
                    "unexpected sizes",
                    where=str(path),
                    got=(n, *found),
                    expected=f"1 to {_IDX_ITEMS} items" + (f" of {shape[0]} x {shape[1]}" if shape else ""),
                )
            size = n * int(np.prod(shape, dtype=np.int64))
            data = stream.read(size + 1)  # the byte too many makes gzip look at the checksum
    except FileError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"not a readable gzip file ({error})", where=str(path)) from error
    if len(data) != size:
        raise FileError(
            "shorter than its header says" if len(data) < size else "longer than its header says",
            where=str(path),
            got=f"{len(data)} bytes" if len(data) < size else "more",
            expected=f"{size} bytes",
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(n, *shape)
