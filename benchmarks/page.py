"""The page of benchmarks: what is measured stands between two markers."""

from __future__ import annotations

from pathlib import Path

from snnsim.atomic import write_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def markers(name: str) -> tuple[str, str]:
    """The lines between which a result stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def fill(path: Path, name: str, text: str) -> None:
    """Put `text` between the markers of `name`.  Raises ValueError where they are not there."""
    begins, ends = markers(name)
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(begins)
    _, end, after = rest.partition(ends)
    if not begin or not end:
        raise ValueError(f"{path.name} lacks the line {ends if begin else begins}")
    write_text(path, f"{before}{begins}\n\n{text}\n\n{ends}{after}")
