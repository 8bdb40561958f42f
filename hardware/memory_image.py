"""Memory images that $readmemh and $readmemb of Verilog read: a line a word, all of one length."""

from __future__ import annotations

from pathlib import Path

from snnsim.errors import FileError

BINARY, HEXADECIMAL = b"01", b"0123456789abcdefABCDEF"


def read_image(path: Path, n_lines: int, width: int, digits: bytes, what: str) -> list[bytes]:
    """The lines of a file: so many, each of `width` digits.

    what  whose image, for messages
    Raises FileError for everything else.
    """
    kind = "binary" if digits == BINARY else "hexadecimal"
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise FileError("not a file", where=str(path), expected=f"a memory image of {what}")
        with path.open("rb") as file:
            lines = file.read(n_lines * (width + 2) + 1).split()
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot be read ({error.strerror})", where=str(path), expected=f"a memory image of {what}"
        ) from error
    wrong = next((k for k, line in enumerate(lines) if len(line) != width or line.strip(digits)), None)
    if wrong is not None or len(lines) != n_lines:
        raise FileError(
            f"not a memory image of {what}", file=str(path), line=None if wrong is None else wrong + 1,
            got=f"{len(lines)} lines" if wrong is None else lines[wrong][:40],
            expected=f"{n_lines} lines of {width} {kind} digits",
        )  # fmt: skip
    return lines
