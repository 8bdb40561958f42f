"""On which line of a TOML document each key stands, for error messages; tomllib does not tell.

The text must be valid TOML (tomllib has read it), so nothing is checked here.
Key paths are written as in messages: `populations.exc.n`, `stimuli.digits.phases[0].repeats`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

_BLANK = re.compile(r"[ \t]*")
_FILLING = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[str, int]:
    """Key path -> line (from 1) of every table, key and list element, in the order of the document."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def nearest_line(lines: dict[str, int], path: str) -> int | None:
    """The line of the key path, or of the innermost table around it that is written down."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


@dataclass
class _Scanner:
    text: str
    at: int = 0
    line: int = 1
    counted: int = 0  # up to where line breaks have been counted
    lines: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)  # of each array of tables

    def document(self) -> None:
        table = ""
        self.skip(_FILLING)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)
            self.skip(_FILLING)

    def header(self) -> str:
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        parts = self.key()
        path = ""
        for part in parts[:-1]:
            path = self.newest(self.note(_join(path, part)))
        path = self.note(_join(path, parts[-1]))
        if many:
            self.lengths[path] = self.lengths.get(path, 0) + 1
            path = self.note(self.newest(path))
        self.at = self.text.index("]", self.at) + (2 if many else 1)
        return path

    def newest(self, path: str) -> str:
        """The element that a header below an array of tables belongs to: its last one."""
        return f"{path}[{self.lengths[path] - 1}]" if path in self.lengths else path

    def pair(self, table: str) -> None:
        path = table
        for part in self.key():
            path = self.note(_join(path, part))
        self.at += 1  # the equals sign
        self.skip(_BLANK)
        self.value(path)

    def key(self) -> list[str]:
        """A dotted key and the blanks around it."""
        parts = []
        while True:
            self.skip(_BLANK)
            if self.text[self.at] in "\"'":
                parts.append(tomllib.loads(f"k = {self.skip(_STRING)}")["k"])
            else:
                parts.append(self.skip(_BARE_KEY))
            self.skip(_BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def value(self, path: str) -> None:
        first = self.text[self.at]
        if first == "[":
            self.at += 1
            k = 0
            while not self.closed("]"):
                self.note(f"{path}[{k}]")
                self.value(f"{path}[{k}]")
                k += 1
        elif first == "{":
            self.at += 1
            while not self.closed("}"):
                self.pair(path)
        elif first in "\"'":
            self.skip(_STRING)
        else:
            self.skip(_BARE_VALUE)

    def closed(self, bracket: str) -> bool:
        """Go to the next element of a list or inline table; True when there is none."""
        self.skip(_FILLING)
        if self.text[self.at] == ",":
            self.at += 1
            self.skip(_FILLING)
        if self.text[self.at] == bracket:
            self.at += 1
            return True
        return False

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"not valid TOML at character {self.at}")
        self.at = found.end()
        return found.group()

    def note(self, path: str) -> str:
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        self.lines.setdefault(path, self.line)
        return path


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
