"""What the runs of compare.py say: medians, ratios, the table and the plot of docs/benchmarks.md.

A ratio says that two simulators did the same work: it is stated only where cells, synapses and rates agree.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from page import fill, markers

from snnsim.canvas import INK, PALETTE, blank, dress, save

BEGIN, END = markers("compare")
RATE_TOLERANCE = 0.15  # mean rates of the same network drawn anew differ by less
SIZE_TOLERANCE = 0.02  # so do numbers of synapses drawn with a probability

LABELS = {
    "snnsim": "snnsim",
    "snnsim-float32": "snnsim float32",
    "brian2-cpp": "Brian2 C++",
    "brian2-cython": "Brian2 Cython",
    "nest": "NEST",
}
ORDER = list(LABELS)
CONDITIONS = ("benchmark", "scale", "duration_ms", "warmup_ms")

Row = dict[str, Any]


def summary(runs: list[Row]) -> list[Row]:
    """One row for each network, contestant and number of threads: medians over the rounds, of rates too.

    The activity of COBA dies out in some drawings of its network; a mean would mix that with the others.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for run in runs:
        key = (*(run[name] for name in CONDITIONS), run["threads"], run["contestant"])
        groups.setdefault(key, []).append(run)
    rows = [_row(group) for group in groups.values()]
    names = list(dict.fromkeys(run["benchmark"] for run in runs))
    rows.sort(
        key=lambda r: (
            names.index(r["benchmark"]), *(r[name] for name in CONDITIONS[1:]), r["threads"],
            ORDER.index(r["contestant"]),
        )
    )  # fmt: skip
    ours = {_place(row): row for row in rows if row["contestant"] == "snnsim"}
    for row in rows:
        row["ratio"], row["no_ratio"] = ratio(ours.get(_place(row)), row)
    return rows


def _place(row: Row) -> tuple[Any, ...]:
    return (*(row[name] for name in CONDITIONS), row["threads"])


def _row(runs: list[Row]) -> Row:
    results = [run["result"] for run in runs]
    first, rtf = results[0], [result["rtf"] for result in results]
    version = first.get("version") or first.get("versions", {}).get("snnsim", "")
    row = {name: runs[0][name] for name in (*CONDITIONS, "contestant", "threads")}
    row |= {"version": version, "precision": first.get("precision", "float64"), "rounds": len(runs)}
    row |= {"rtf": statistics.median(rtf), "rtf_min": min(rtf), "rtf_max": max(rtf)}
    for name in ("sim_s", "compile_s", "build_s", "peak_rss_gb", "n_neurons", "n_synapses"):
        values = [result[name] for result in results if result.get(name) is not None]
        row[name] = statistics.median(values) if values else None
    row["rates_hz"] = {
        name: statistics.median(result["rates_hz"][name] for result in results) for name in first["rates_hz"]
    }
    return row


def ratio(ours: Row | None, theirs: Row) -> tuple[float | None, str]:
    """How many times as long as snnsim another took, or None and the reason why that is not stated."""
    if theirs["contestant"] == "snnsim":
        return None, ""
    if ours is None:
        return None, "no run of snnsim with as many threads"
    if reason := difference(ours, theirs):
        return None, reason
    return theirs["rtf"] / ours["rtf"], ""


def difference(ours: Row, theirs: Row) -> str:
    """In words, what makes two networks differ; empty where they are the same."""
    for what, tolerance in (("n_neurons", 0.0), ("n_synapses", SIZE_TOLERANCE)):
        if _apart(ours[what], theirs[what]) > tolerance:
            return f"{what[2:]}: {ours[what]:,.0f} and {theirs[what]:,.0f}"
    a, b = ours["rates_hz"], theirs["rates_hz"]
    if set(a) != set(b):
        return f"populations: {', '.join(a)} and {', '.join(b)}"
    name = max(a, key=lambda n: _apart(a[n], b[n]))
    if _apart(a[name], b[name]) > RATE_TOLERANCE:
        rates = f"{a[name]:.3g} and {b[name]:.3g} Hz"
        return f"mean rates of {name} differ by more than {RATE_TOLERANCE:.0%}: {rates}"
    return ""


def _apart(a: float, b: float) -> float:
    """Relative difference, of the larger."""
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def seconds(ms: float) -> str:
    return f"{ms / 1000:g} s"


def title(row: Row) -> str:
    size = "" if row["scale"] == 1 else f", scale {row['scale']:g}"
    return f"{row['benchmark']}{size}: {row['n_neurons']:,.0f} neurons, {row['n_synapses']:,.0f} synapses"


def networks(rows: list[Row]) -> list[list[Row]]:
    """The rows of each network and model time together, in order."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in CONDITIONS), []).append(row)
    return list(groups.values())


HEAD = (
    "| simulator | threads | numbers | model time | RTF: median (least to most) | times snnsim | compile "
    "| build | memory | mean rates in Hz |\n|---|---:|---|---|---:|---:|---:|---:|---:|---|"
)


def markdown(record: Row) -> str:
    """The tables, one for each network, with the machine and the versions above."""
    rows = summary(record["runs"])
    if not rows:
        return "No run yet."
    versions = sorted({f"{LABELS[r['contestant']].split()[0]} {r['version']}" for r in rows})
    facts = (record.get("machine", "unknown machine"), ", ".join(versions), record.get("date", "")[:10])
    lines = [f"{'; '.join(facts)}."]
    for group in networks(rows):
        lines += ["", f"### {title(group[0])}", "", HEAD, *(_line(row) for row in group)]
        for row in group:
            if row["no_ratio"]:
                who = f"{LABELS[row['contestant']]}, {_threads(row)}"
                lines += ["", f"No ratio for {who}: {row['no_ratio']}."]
    return "\n".join(lines)


def _line(row: Row) -> str:
    spread = f" ({row['rtf_min']:.3g} to {row['rtf_max']:.3g})" if row["rounds"] > 1 else " (1 round)"
    times = "1" if row["contestant"] == "snnsim" else "-" if row["ratio"] is None else f"{row['ratio']:.3g}"
    cells = (
        LABELS[row["contestant"]], row["threads"], row["precision"],
        f"{seconds(row['duration_ms'])} after {seconds(row['warmup_ms'])}",
        f"{row['rtf']:.3g}{spread}", times, _amount(row["compile_s"], "s"), _amount(row["build_s"], "s"),
        _amount(row["peak_rss_gb"], "GB"), ", ".join(f"{k} {v:.3g}" for k, v in row["rates_hz"].items()),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _amount(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def _threads(row: Row) -> str:
    return f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def write_page(path: Path, record: Row) -> None:
    """Put the tables between the two markers of a page.  Raises ValueError where they are not there."""
    fill(path, "compare", markdown(record))


def draw(record: Row, path: Path) -> None:
    """Real-time factors as dots on a logarithmic axis, a panel for each network, as .svg, .png or .pdf."""
    groups = networks(summary(record["runs"]))
    if not groups:
        return
    figure = blank(7.5, 0.5 + sum(0.62 + 0.24 * len(group) for group in groups))
    panels = figure.subplots(
        len(groups), 1, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [len(group) + 1 for group in groups]},
    )[:, 0]  # fmt: skip
    for ax, group in zip(panels, groups, strict=True):
        dress(ax)
        for y, row in enumerate(group):
            colour = PALETTE[ORDER.index(row["contestant"])]
            ax.plot([row["rtf_min"], row["rtf_max"]], [y, y], color=colour, linewidth=2)
            ax.plot(row["rtf"], y, "o", color=colour, markersize=6)
            ax.annotate(
                f"{row['rtf']:.3g}", (row["rtf_max"], y), (7, 0), textcoords="offset points", va="center",
                fontsize=7.5, color=INK,
            )  # fmt: skip
        ax.axvline(1.0, color="#888888", linewidth=0.8, linestyle="--")
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        ax.set_yticks(range(len(group)), [f"{LABELS[r['contestant']]}, {_threads(r)}" for r in group])
        ax.set_ylim(len(group) - 0.4, -0.6)
        measured = f"{seconds(group[0]['duration_ms'])} after {seconds(group[0]['warmup_ms'])}"
        ax.set_title(f"{title(group[0])}; {measured}", fontsize=8.5, loc="left", color=INK)
        ax.margins(x=0.12)
    panels[-1].set_xlabel("real-time factor: wall seconds for a second of model time (dashed: real time)")
    panels[-1].xaxis.label.set(fontsize=8.5, color=INK)
    save(figure, path)
    save(figure, path.with_suffix(".png"))
