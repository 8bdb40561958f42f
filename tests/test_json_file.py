"""JSON files from outside: the size that is read."""

import os

import pytest

from snnsim.errors import FileError
from snnsim.hardware.json_file import SIZE_LIMIT, read_object
from snnsim.hardware.xylo import MOST_HIDDEN, MOST_INPUTS, WEIGHT


def test_the_largest_specification_fits_and_more_is_not_read(tmp_path):
    pair = f"[{WEIGHT[0]}, {WEIGHT[0]}], "
    assert 1.5 * len(pair) * MOST_HIDDEN * (MOST_HIDDEN + MOST_INPUTS) < SIZE_LIMIT <= 2**25
    (tmp_path / "a.json").write_text("{}")
    assert read_object(tmp_path / "a.json", "a file") == {}
    os.truncate(tmp_path / "a.json", SIZE_LIMIT + 1)
    with pytest.raises(FileError, match="at most"):
        read_object(tmp_path / "a.json", "a file")
