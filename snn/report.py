"""The report of a run: one HTML page that needs nothing else, neither a network nor a script.

    report = Report("digits", headline=[("test accuracy", "91.4 %")], facts=run_facts(...))
    write_report(report, "report.html")

Everything in it is text from the run and may hold anything, so Jinja2 escapes all of it; the page
also forbids itself, by its content policy, to load or run whatever slipped through.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from snnsim import __version__
from snnsim.atomic import write_text
from snnsim.errors import ConfigError
from snnsim.metrics import cv_isi, pairwise_correlation, rates_hz, spike_counts

MAX_BYTES = 5_000_000
"""A page of more would be slow to open and is refused by mail servers."""
MAX_CONFIG = 400_000
MAX_WARNINGS = 100
CORRELATION_BIN_MS, CORRELATION_BINS, CORRELATION_CELLS = 2.0, 10_000, 250
_NUMBER = re.compile(r"[−-]?[\d,.]+(e[+−-]?\d+)?( ?%)?|[–∞]|−∞")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Table:
    """Rows under a caption; the first cell names the row. Numbers of a column get the same decimals."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What the page shows, in its order; what is empty is left out.

    headline      (label, value) of the results that matter most
    warnings      sentences; all of them stand above the figures
    tables        see `activity_table`
    figures       (caption, alternative text for those who cannot see it, bytes of a PNG file)
    facts         name -> value, see `run_facts`
    command       what to type to get the same run
    config_text   the resolved config, folded away
    facts_title   heading of the facts
    figures_first figures stand before the tables
    """

    title: str
    headline: Sequence[tuple[str, object]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, str, bytes]] = ()
    warnings: Sequence[str] = ()
    command: str = ""
    config_text: str = ""
    facts_title: str = "Run"
    figures_first: bool = False


@dataclass(frozen=True)
class _Picture:
    """A figure as the template needs it; data is base64, empty when the figure is left out."""

    caption: str
    alt: str
    width: int
    height: int
    data: str


def write_report(report: Report, path: Path | str) -> None:
    """Write the page, atomically. Raises ConfigError (see `render`) and StorageError."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """The page as text, at most MAX_BYTES; the same report gives the same page.

    Figures that would make it larger are left out from the last on, and the page says which.
    Raises ConfigError: a figure that is no PNG, a table whose rows do not fit its columns.
    """
    pictures = [_picture(*figure) for figure in report.figures]
    page = _render(report, pictures)
    size = len(page.encode())
    if size <= MAX_BYTES:
        return page
    for place in reversed(range(len(pictures))):
        size -= len(pictures[place].data)
        pictures[place] = replace(pictures[place], data="")
        if size <= MAX_BYTES - 1000 * len(pictures):  # room for the sentences in their place
            break
    return _render(report, pictures)


def run_facts(
    *,
    neurons: int,
    synapses: int,
    steps: int,
    dt_ms: float,
    seed: int,
    threads: int,
    sim_s: float,
    build_s: float | None = None,
    wall_s: float | None = None,
    versions: Mapping[str, str],
) -> dict[str, object]:
    """The facts of a run in the order in which the page shows them.

    Wall times in s, of all stretches of a run: sim_s of the steps, build_s of building, wall_s in all. The
    real-time factor is simulation wall time over model time: below 1 is faster than real time.
    """
    model_s = steps * dt_ms / 1000.0
    return {
        "neurons": neurons,
        "synapses": synapses,
        "model time": f"{show(model_s)} s",
        "steps": f"{show(steps)} of {dt_ms:g} ms",
        "simulation wall time": f"{show(sim_s)} s",
        **({"build wall time": f"{show(build_s)} s"} if build_s is not None else {}),
        **({"total wall time": f"{show(wall_s)} s"} if wall_s is not None else {}),
        "real-time factor": f"{show(sim_s / model_s)} wall s per model s" if model_s > 0 else "–",
        "threads": threads,
        "seed": str(seed),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def activity_table(
    populations: Mapping[str, tuple[ArrayLike, ArrayLike, int]], t0_ms: float, t1_ms: float
) -> Table:
    """Rates, irregularity and synchrony of every population, from name -> (times_ms[S], ids[S], n)."""
    rows = []
    for name, (all_times, all_ids, n) in populations.items():
        times, ids = np.asarray(all_times, dtype=np.float64), np.asarray(all_ids)
        inside = (times >= t0_ms) & (times < t1_ms)
        times, ids = times[inside], ids[inside]
        single = rates_hz(ids, n, t1_ms - t0_ms)
        irregularity = cv_isi(times, ids)
        rows.append(
            (name, n, times.size, single.mean(), np.median(single), 100.0 * np.mean(single == 0))
            + (irregularity.mean, irregularity.ids.size, _synchrony(times, ids, t0_ms, t1_ms))
        )
    columns = ["population", "neurons", "spikes", "mean rate (1/s)", "median rate (1/s)", "silent (%)"]
    columns += ["CV of intervals", "cells with a CV", "correlation"]
    note = (
        f"From {show(t0_ms)} to {show(t1_ms)} ms. CV: mean coefficient of variation of the intervals of the "
        "cells with at least two intervals (0 regular, 1 like Poisson). Correlation: mean Pearson "
        f"correlation of spike counts in bins of {CORRELATION_BIN_MS:g} ms, over pairs of at most "
        f"{CORRELATION_CELLS} active cells and the first {CORRELATION_BINS * CORRELATION_BIN_MS / 1000:g} s."
    )
    return Table("Activity of the populations", columns, rows, note)


def show(value: object) -> str:
    """A value for people: 12,345 and 0.0123; three digits are enough, and what is undefined is a dash."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.3g}".replace("-", "−") if abs(number) < 1000 else _fixed(number, 0)
    return str(value)


def _fixed(value: float, decimals: int) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.{decimals}f}".replace("inf", "∞").replace("-", "−")


def _text_table(table: Table) -> dict[str, object]:
    """The table with every cell as text; a column of fractions has three digits at its largest value."""
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ConfigError(
                "a row does not fit the columns",
                where=f"table {table.caption!r}",
                got=f"{len(row)} cells",
                expected=str(len(table.columns)),
            )
    columns, numeric = [], []
    for cells in zip(*table.rows, strict=True):
        numeric.append(all(_NUMBER.fullmatch(show(cell)) for cell in cells))
        fractions = [abs(float(cell)) for cell in cells if isinstance(cell, float | np.floating)]
        largest = max(filter(math.isfinite, fractions), default=0.0)
        decimals = min(max(2 - math.floor(math.log10(largest)), 0), 6) if largest > 0 else 0
        columns.append(
            [
                _fixed(float(cell), decimals) if isinstance(cell, float | np.floating) else show(cell)
                for cell in cells
            ]
        )
    return {
        "caption": table.caption,
        "note": table.note,
        "columns": list(zip(table.columns, numeric or [False] * len(table.columns), strict=True)),
        "rows": list(zip(*columns, strict=True)),
    }


def _synchrony(times: np.ndarray, ids: np.ndarray, t0_ms: float, t1_ms: float) -> float:
    end = min(t1_ms, t0_ms + CORRELATION_BINS * CORRELATION_BIN_MS)
    active = np.flatnonzero(np.bincount(ids[times < end].astype(np.int64)))
    if active.size < 2 or end - t0_ms < CORRELATION_BIN_MS:
        return math.nan
    # Only the drawn cells are counted: a table of all cells and bins could fill the memory.
    drawn = np.sort(np.random.default_rng(1).permutation(active)[:CORRELATION_CELLS])
    own = np.isin(ids, drawn)
    rank = np.searchsorted(drawn, ids[own])
    counts = spike_counts(times[own], rank, drawn.size, CORRELATION_BIN_MS, t0_ms, end)
    pairs = pairwise_correlation(counts, sample=None)
    return float(pairs.mean()) if pairs.size else math.nan


def _picture(caption: str, alt: str, png: bytes) -> _Picture:
    if png[:8] != _PNG or png[12:16] != b"IHDR" or len(png) < 24:
        raise ConfigError("not a PNG image", where=f"figure {caption!r}", got=png[:8], expected="a PNG file")
    resolution = png.find(b"pHYs", 0, 1000) + 4  # pixels per metre, where the file says so
    per_inch = int.from_bytes(png[resolution : resolution + 4], "big") * 0.0254 if resolution > 4 else 144.0
    zoom = 96.0 / max(per_inch, 1.0)  # a CSS pixel is 1/96 inch
    width, height = (round(int.from_bytes(png[k : k + 4], "big") * zoom) for k in (16, 20))
    return _Picture(caption, alt, width, height, base64.b64encode(png).decode("ascii"))


def _render(report: Report, pictures: Sequence[_Picture]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = show
    template = environment.from_string((files("snnsim") / "templates" / "report.html").read_text("utf-8"))
    page = template.render(
        report=report,
        pictures=pictures,
        tables=[_text_table(table) for table in report.tables],
        warnings=report.warnings[:MAX_WARNINGS],
        more_warnings=max(0, len(report.warnings) - MAX_WARNINGS),
        config=report.config_text[:MAX_CONFIG],
        config_cut=len(report.config_text) > MAX_CONFIG,
        version=__version__,
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # a half surrogate, from a file name, has no UTF-8
