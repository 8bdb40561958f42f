"""The report of a conversion: a page that is complete in itself, and the same figures as JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from test_operations import example

from snnsim.converters.convert import convert
from snnsim.errors import ConfigError, StorageError

EMPTY = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are closed; keeps the text and what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)
        self.loaded += [value for key, value in attrs if key in ("src", "href", "srcset")]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data.strip())


@pytest.mark.parametrize("method", ["exact", "rate"])
def test_page_and_figures(method: str, tmp_path: Path) -> None:
    graph, x = example()
    labels = graph.evaluate(x)["l"].argmax(axis=1)
    found = convert(graph, x, method, timesteps=3)
    report = found.report(x, labels, tmp_path / "new" / "folder")
    page = Page(report.html.read_text("utf-8"))
    assert [value[:22] for value in page.loaded] == ["data:image/png;base64,"]
    assert "script" not in page.tags
    text = " ".join(page.words)
    for part in ("Errors by layer", "effective_macs", "Energy against each baseline", "Constants", "r1"):
        assert part in text
    assert ("Certificate: spike counts" in text) == (method == "exact")
    assert text.index("Readout after each step") < text.index("Errors by layer")
    content = json.loads(report.json.read_text("utf-8"))
    assert set(content) == {"schema", "conversion", "certificate", "diagnosis", "operations", "energy"}
    assert content["conversion"]["method"] == method
    assert content["operations"]["columns"]["total_once"]["value"] == report.operations.total_once
    assert len(content["diagnosis"]["layers"]) == 3
    assert content["diagnosis"]["accuracy"][-1] == report.diagnosis.accuracy[-1]
    assert len(content["energy"]["constants"]) == 11
    assert (content["certificate"] is not None) == (method == "exact")


def test_without_labels_and_what_cannot_be_written(tmp_path: Path) -> None:
    graph, x = example()
    found = convert(graph, x, "burst", timesteps=2)
    report = found.report(x, None, tmp_path)
    assert json.loads(report.json.read_text())["diagnosis"]["accuracy"] is None
    assert "accuracy of the source" not in report.html.read_text()
    with pytest.raises(ConfigError, match="labels"):
        found.report(x, np.zeros(2, np.int64), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        found.report(x, None, tmp_path / "file")
