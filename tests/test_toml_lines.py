"""The line of every key: against documents written by tomli_w, and by hand with all that TOML allows."""

import tomllib
from typing import Any

import tomli_w
from config_examples import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from snnsim.toml_lines import key_lines, nearest_line

DOCUMENT = '''\
# a comment with = and [brackets]
top = 1
"quoted key" = "a # no comment"
a.b . "c.d" = 2     # dotted
numbers = [ 1, # one
  2,

  [3, "]"]]
text = """
first = 1
[no.table] \\""" still text"""
raw = \'\'\'
[nor.this]
\'\'\'
inline = { x = 1, "y z" = { deep = [ { k = 1 }, {k = 2} ] } }
empty = []
none = {}

[table.sub]   # after
key = 1979-05-27 07:32:00

[[list]]
name = 'one'
[list.inner]
x = 1
[[list]]
[[list.more]]
y = -inf
[[list.more]]
y = +1_000
[table]
late = true'''

LINES = {
    "top": 2,
    "quoted key": 3,
    "a": 4,
    "a.b": 4,
    "a.b.c.d": 4,
    "numbers": 5,
    "numbers[0]": 5,
    "numbers[1]": 6,
    "numbers[2]": 8,
    "numbers[2][0]": 8,
    "numbers[2][1]": 8,
    "text": 9,
    "raw": 12,
    "inline": 15,
    "inline.x": 15,
    "inline.y z": 15,
    "inline.y z.deep": 15,
    "inline.y z.deep[0]": 15,
    "inline.y z.deep[0].k": 15,
    "inline.y z.deep[1]": 15,
    "inline.y z.deep[1].k": 15,
    "empty": 16,
    "none": 17,
    "table": 19,
    "table.sub": 19,
    "table.sub.key": 20,
    "list": 22,
    "list[0]": 22,
    "list[0].name": 23,
    "list[0].inner": 24,
    "list[0].inner.x": 25,
    "list[1]": 26,
    "list[1].more": 27,
    "list[1].more[0]": 27,
    "list[1].more[0].y": 28,
    "list[1].more[1]": 29,
    "list[1].more[1].y": 30,
    "table.late": 32,
}


def paths(value: Any, path: str = "") -> list[str]:
    """The key paths of all tables, list elements and values."""
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{k}]", item) for k, item in enumerate(value)]
    else:
        inner = []
    return [found for here, item in inner for found in (here, *paths(item, here))]


def test_everything_that_toml_allows():
    assert key_lines(DOCUMENT) == LINES
    assert sorted(LINES) == sorted(paths(tomllib.loads(DOCUMENT)))


def test_a_document_may_be_empty():
    assert key_lines("") == key_lines("# nothing\n\n") == {}


keys = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True),
    st.text(st.characters(exclude_categories=["C"], exclude_characters=".["), min_size=1, max_size=6),
)
scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=20), st.datetimes()
)
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=4), max_leaves=12
    ),
    max_size=5,
)


@given(documents, st.booleans())
def test_every_path_has_a_line_that_shows_its_key(document, multiline):
    text = tomli_w.dumps(document, multiline_strings=multiline)
    lines, rows = key_lines(text), text.split("\n")
    assert sorted(lines) == sorted(paths(tomllib.loads(text)))
    for path, line in lines.items():
        if path.isidentifier() or path.replace(".", "").isidentifier():
            assert path.rsplit(".", 1)[-1] in rows[line - 1]


def test_the_lines_of_the_examples_show_the_keys():
    for text in EXAMPLES.values():
        rows = text.split("\n")
        for path, line in key_lines(text).items():
            key = path.rsplit(".", 1)[-1].partition("[")[0]
            assert key in rows[line - 1] or "[" in path


def test_a_missing_key_has_the_line_of_what_is_around_it():
    assert nearest_line(LINES, "table.sub.missing.deeper") == 19
    assert nearest_line(LINES, "list[1].more[1].missing") == 29
    assert nearest_line(LINES, "list[7].name") == 22
    assert nearest_line(LINES, "missing") is None
    assert nearest_line(LINES, "") is None
