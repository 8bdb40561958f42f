"""Memory images: what is read, and what is refused at once."""

import os
import threading

import pytest

from snnsim.errors import FileError
from snnsim.hardware.memory_image import BINARY, HEXADECIMAL, read_image


def test_lines_of_a_file(tmp_path):
    (tmp_path / "a.mem").write_bytes(b"01\r\n10\n")
    assert read_image(tmp_path / "a.mem", 2, 2, BINARY, "a chip") == [b"01", b"10"]


@pytest.mark.parametrize("content", [b"", b"01\n", b"01\n12\n", b"01\n100\n", b"01\n10\n11\n", b"01\n" * 9])
def test_other_content_is_refused(content, tmp_path):
    (tmp_path / "a.mem").write_bytes(content)
    with pytest.raises(FileError, match="2 lines of 2 binary digits"):
        read_image(tmp_path / "a.mem", 2, 2, BINARY, "a chip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this file system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mem")
    found = []

    def read():
        try:
            read_image(tmp_path / "a.mem", 2, 8, HEXADECIMAL, "a chip")
        except FileError as error:
            found.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5.0)
    assert found
    assert "not a file" in found[0]


def test_a_folder_or_nothing_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing.mem"):
        with pytest.raises(FileError, match="memory image of a chip"):
            read_image(path, 2, 2, BINARY, "a chip")
