"""The report page: complete in itself, everything escaped, never larger than its limit."""

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from snnsim import plots
from snnsim import report as report_module
from snnsim.errors import ConfigError, StorageError
from snnsim.report import Report, Table, activity_table, render, run_facts, show, write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}
EVIL = "</pre></title><script>alert(1)</script>\" onerror='x' {{ 7 * 7 }} &amp;"


class Page(HTMLParser):
    """The tags, attributes and text of a page; a tag that is closed in the wrong place is a fault."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.faults, self.text = [], [], [], ""
        self.feed(text)
        self.faults += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def png():
    return plots.png_bytes(plots.raster([1.0, 2.0], [0, 1])[0])


@pytest.fixture
def full(png):
    facts = run_facts(neurons=4000, synapses=320_123, steps=10_000, dt_ms=0.1, seed=20261120, threads=2,
                      sim_s=0.5, build_s=0.25, wall_s=1.5,
                      versions={"snnsim": "0.1.0", "numpy": "2.4.6"})  # fmt: skip
    activity = activity_table({"exc": ([1.0, 5.0, 9.0], [0, 0, 0], 4)}, 0.0, 1000.0)
    return Report("digits", [("test accuracy", "91.4 %")], facts, [activity], [("Spikes", "Two spikes", png)],
                  ["weights at the bound"], "snnsim run digits.toml", "schema = 1\n")  # fmt: skip


def test_the_page_holds_everything(full, png):
    page = Page(render(full))
    assert page.faults == []
    for text in ("digits", "test accuracy", "91.4 %", "4,000", "320,123", "10,000 of 0.1 ms", "20261120",
                 "0.5 wall s per model s",
                 "simulation wall time", "build wall time", "total wall time",
                 "snnsim 0.1.0, numpy 2.4.6", "exc", "weights at the bound",
                 "Spikes", "snnsim run digits.toml", "schema = 1", "Resolved config"):  # fmt: skip
        assert text in page.text
    (image,) = page.all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == png
    assert image["alt"] == "Two spikes"
    assert page.all("details") == [{}]  # folded away


def test_the_page_is_self_contained_and_accessible(full):
    text = render(full)
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "form", "base"})
    sources = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    assert page.all("html") == [{"lang": "en"}]
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert all(section["aria-labelledby"] in ids for section in page.all("section"))
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_whatever_a_name_holds_is_only_text(png):
    evil = Report(EVIL, [(EVIL, EVIL)], {EVIL: EVIL}, [Table(EVIL, [EVIL, EVIL], [[EVIL, EVIL]], EVIL)],
                  [(EVIL, EVIL, png)], [EVIL], EVIL, EVIL)  # fmt: skip
    text = render(evil)
    page = Page(text)
    assert page.faults == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.all("img")[0]["alt"] == EVIL
    assert "49" not in page.text
    assert page.text.count(EVIL) == 16  # every place but the alt text, once


def test_what_is_empty_is_left_out():
    page = Page(render(Report("bare")))
    assert page.faults == []
    assert page.all("section") == []
    assert page.all("table") == []


def test_the_same_report_gives_the_same_page(full):
    assert render(full) == render(replace(full))


def test_figures_beyond_the_limit_are_left_out_and_named(full, png, monkeypatch):
    figures = [(f"figure {k}", f"shows {k}", png) for k in range(3)]
    whole = render(replace(full, figures=figures))
    assert whole.count("<img") == 3
    monkeypatch.setattr(report_module, "MAX_BYTES", len(whole.encode()) - 1)
    text = render(replace(full, figures=figures))
    assert len(text.encode()) < len(whole)
    assert [image["alt"] for image in Page(text).all("img")] == ["shows 0", "shows 1"]
    assert "It shows: shows 2" in text


def test_long_texts_are_cut(full):
    text = render(replace(full, config_text="x" * 9_000_000, warnings=[f"w{k}" for k in range(5000)]))
    assert len(text.encode()) < report_module.MAX_BYTES
    assert "Cut here" in text
    assert "and 4900 more" in text


def test_writing_is_atomic_and_survives_half_surrogates(full, tmp_path):
    path = tmp_path / "report.html"
    write_report(replace(full, title="net \udcff µ 神"), path)
    assert "net ? µ 神" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StorageError, match="create the folder first"):
        write_report(full, tmp_path / "missing" / "report.html")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"figures": [("c", "a", b"<svg onload=x>")]}, "figure 'c': not a PNG image"),
        ({"figures": [("c", "a", b"\x89PNG\r\n\x1a\n")]}, "figure 'c': not a PNG image"),
        (
            {"tables": [Table("t", ["a", "b"], [[1]])]},
            "table 't': a row does not fit the columns; got '1 cells'",
        ),
    ],
)
def test_wrong_parts_are_named(full, change, text):
    with pytest.raises(ConfigError, match=text):
        render(replace(full, **change))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"), (np.int64(12), "12"), (True, "yes"), (0.00012345, "0.000123"),
        (-1.5, "−1.5"), (12345.6, "12,346"), (np.float32(0.5), "0.5"), (math.nan, "–"), (math.inf, "∞"),
        (-math.inf, "−∞"), ("a-b", "a-b"), (None, "None"),
    ],
)  # fmt: skip
def test_values_are_shown_for_people(value, text):
    assert show(value) == text


def test_a_column_has_one_number_of_decimals():
    table = Table("t", ["name", "x", "n"], [["a", 9.974, 1], ["b", 0.5, 20_000], ["c", math.nan, 3]])
    cells = re.findall(r'<td class="number">(.*?)</td>', render(Report("r", tables=[table])))
    assert cells == ["9.97", "1", "0.50", "20,000", "–", "3"]
    mixed = Table("t", ["name", "share", "word"], [["a", "91.4 %", "yes"], ["b", "–", "3"]])
    assert re.findall(r'<td class="number">(.*?)</td>', render(Report("r", tables=[mixed]))) == [
        "91.4 %",
        "–",
    ]


@pytest.mark.parametrize("dpi", [72, 144, 200])
def test_figures_have_their_size_in_inches_whatever_their_resolution(full, dpi):
    picture = plots.png_bytes(plots.raster([1.0, 2.0], [0, 1])[0], dpi)
    (image,) = Page(render(replace(full, figures=[("c", "a", picture)]))).all("img")
    assert (image["width"], image["height"]) == ("768", "307")  # 8 x 3.2 inches of 96 CSS pixels


def test_activity_of_known_trains():
    rng = np.random.default_rng(0)
    regular = np.tile(np.arange(0, 2000, 10.0), 10), np.repeat(np.arange(10), 200)
    poisson = rng.uniform(0, 2000, 40_000), rng.integers(0, 1000, 40_000)
    populations = {"clock": (*regular, 20), "noise": (*poisson, 1000), "silent": ([], [], 5)}
    clock, noise, silent = (dict(zip(table.columns, row, strict=True)) for table in
                            [activity_table(populations, 0.0, 2000.0)] for row in table.rows)  # fmt: skip
    assert clock["mean rate (1/s)"] == pytest.approx(50.0)
    assert clock["silent (%)"] == 50.0
    assert clock["CV of intervals"] == pytest.approx(0.0, abs=1e-12)
    assert clock["cells with a CV"] == 10
    assert clock["correlation"] == pytest.approx(1.0)
    assert noise["spikes"] == 40_000
    assert noise["CV of intervals"] == pytest.approx(0.97, abs=0.03)
    assert noise["correlation"] == pytest.approx(0.0, abs=0.005)
    assert silent["mean rate (1/s)"] == 0
    assert math.isnan(silent["CV of intervals"])
    assert math.isnan(silent["correlation"])
    half = activity_table(populations, 1000.0, 2000.0).rows[0]
    assert half[2] == 1000
    assert half[3] == pytest.approx(50.0)
