"""Figure and tables of mnist_operations.py: `write_report`, from what is in its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import fill

from snnsim.canvas import INK, PALETTE, blank, dress, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
FIGURE = HERE / "results" / "mnist_operations.png"
PAGE = HERE.parent / "docs" / "conversion_benchmarks.md"
PUBLISHED = (0.25, 0.42)  # of the operations of the ANN, at 98 %: Tavanaei et al. 2018, Neil et al. 2016
BAR = 0.15
_METHODS = {"rate": ("o", 0), "burst": ("s", 4), "exact": ("D", 2), "ttfs": ("^", 3), "early": ("*", 1)}
_LABELS = {
    "rate": "rate, T = 1 to 32", "burst": "burst, T = 1 to 8", "exact": "exact, converted only",
    "trained": "exact, trained with 1 or 3 levels", "ttfs": "time to first spike",
    "early": "the same, stopping early",
}  # fmt: skip


def write_report(found: dict[str, Any]) -> None:
    """Figure and tables, from the results."""
    figure(found, FIGURE)
    fill(PAGE, "mnist-operations", tables(found))


def kind(run: dict[str, Any], found: dict[str, Any]) -> str:
    """The method, and whether the network was trained for it."""
    return "trained" if run["method"] == "exact" and _levels(run, found) else str(run["method"])


def _levels(run: dict[str, Any], found: dict[str, Any]) -> int:
    return int(found["recipes"][run["network"]]["levels"])


def figure(found: dict[str, Any], path: Path) -> None:
    """Classification error against operations of an inference: the source's axis, and a part of it."""
    drawn = blank(11.0, 5.2, "784-1200-1200-10 on MNIST, 10,000 test images: error against all operations")
    wide, near = drawn.subplots(1, 2)
    dense = found["dense_macs"]
    for ax, most, worst in ((wide, 3.0e6, 10), (near, 0.4e6, 5)):
        _published(ax, dense, most)
        _sources(ax, found, most)
        _points(ax, found)
        ax.set(xlim=(0, most), yscale="log", ylim=(1.0, worst), ylabel="classification error (%)")
        unit, name = (1e6, "millions of") if most > 1e6 else (1e3, "thousands of")
        ax.xaxis.set_major_formatter(lambda x, _, unit=unit: f"{x / unit:g}")
        ticks = [tick for tick in (1, 1.5, 2, 3, 5, 10) if tick <= worst]
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.yaxis.minorticks_off()
        ax.set_xlabel(f"{name} operations an image: input, synapses, neuron updates")
    dress([wide, near])
    name = found["result"]
    if name is not None:
        run = found["runs"][name]
        where = (run["total"], 100 * (1 - run["accuracy"]))
        text = f"{run['accuracy']:.2%} with\n{run['total'] / dense:.1%} of the ANN"
        near.annotate(text, where, (9, 0), textcoords="offset points", fontsize=8, color=INK, va="center")
    handles, labels = wide.get_legend_handles_labels()
    wide.legend(handles, labels, fontsize=7.5, loc="upper right", framealpha=0.95, title_fontsize=7.5,
                title="open: the ordinary network; filled: sparse ones")  # fmt: skip
    save(drawn, path)


def _published(ax: Axes, dense: int, most: float) -> None:
    low, high = (share * dense for share in PUBLISHED)
    label = "published SNNs at 98 %: 25 to 42 % of the ANN" if most > 1e6 else None
    if low < most:
        ax.plot((low, high), (2, 2), color="#999999", lw=7, alpha=0.6, solid_capstyle="butt", label=label)
    ax.axhline(2, color="#888888", lw=0.8, ls=":")
    ax.axvline(BAR * dense, color="#888888", lw=0.8, ls=":")
    ax.text(BAR * dense, 0.98, f" {BAR:.0%} of the ANN", fontsize=7, color="#666666", va="top",
            transform=ax.get_xaxis_transform())  # fmt: skip


def _sources(ax: Axes, found: dict[str, Any], most: float) -> None:
    """The trained networks without spikes: all products, and only those without a zero."""
    for number, (network, ann) in enumerate(ann_lines(found).items()):
        error = 100 * (1 - ann["accuracy"])
        style = {"color": INK, "ls": "none", "ms": 8, "mew": 1.6, "zorder": 4}
        if number == 0:
            ax.axvline(found["dense_macs"], color=INK, lw=1, ls="--", label="ANN, every product: 2,392,800")
        ax.plot(ann["zero_skipping"], error, marker="x", **style,
                label="ANN that skips zeros" if number == 0 else None)  # fmt: skip
        if (most > 1e6) == (number == 0):  # each name where there is room for it
            ax.annotate(f"ANN, {network}", (ann["zero_skipping"], error), (6, -11), fontsize=7, color=INK,
                        textcoords="offset points")  # fmt: skip


def ann_lines(found: dict[str, Any]) -> dict[str, Any]:
    """The networks with ReLU that were trained as such."""
    lines = {}
    for run in found["runs"].values():
        if "ann" in run and not _levels(run, found):
            lines.setdefault(run["network"], run["ann"])
    return lines


def _points(ax: Axes, found: dict[str, Any]) -> None:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in found["runs"].values():
        key = kind(run, found)
        network = "" if key in ("trained", "early") else run["network"]
        groups.setdefault((key, network), []).append(run)
    named: set[str] = set()
    for (key, network), runs in groups.items():
        marker, index = _METHODS["exact"] if key == "trained" else _METHODS[key]
        colour = PALETTE[5] if key == "trained" else PALETTE[index]
        ordinary = network == "ordinary"
        x = [run["total"] for run in runs]
        y = [100 * (1 - run["accuracy"]) for run in runs]
        ax.plot(
            x, y, marker=marker, color=colour, ms=11 if key == "early" else 5.5, zorder=5,
            ls="-" if len(runs) > 1 and key != "trained" else "none", lw=0.9,
            mfc="white" if ordinary else colour,
            label=None if key in named or ordinary else _LABELS[key],
        )  # fmt: skip
        named |= set() if ordinary else {key}


def tables(found: dict[str, Any]) -> str:
    """All measurements, and the sources beside them."""
    dense, runs = found["dense_macs"], found["runs"]
    lines = [
        f"{found['machine']}; {found['date'][:10]}. Full records: "
        "[results/mnist_operations.json](../benchmarks/results/mnist_operations.json).",
        "",
        *summary(found),
        "### Without spikes",
        "",
        "| network | test | products without a zero | all operations, zeros skipped | of 2,392,800 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, ann in ann_lines(found).items():
        lines.append(
            f"| {name} | {ann['accuracy']:.2%} | {ann['effective_macs']:,.0f} | {ann['zero_skipping']:,.0f}"
            f" | {ann['zero_skipping'] / dense:.1%} |"
        )
    lines += [
        "", "### With spikes", "",
        "| configuration | validation | test | input | synapses | updates | all | of 2,392,800"
        " | spike by spike | zero-skipping twin | spikes a neuron |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, run in runs.items():
        if run["method"] == "ttfs":
            continue
        strong = "**" if name == found["result"] else ""
        validation, twin = run.get("validation"), run.get("twin")
        cells = [
            f"{strong}{name}{strong}",
            "" if validation is None else f"{validation:.2%}",
            f"{run['accuracy']:.2%}",
            *_parts(run),
            f"{run['total']:,.0f}",
            f"{strong}{run['total'] / dense:.2%}{strong}",
            f"{run['total_of_unit_spikes'] / dense:.2%}" if "total_of_unit_spikes" in run else "",
            f"{twin:,.0f}" if twin else "",
            f"{run['spikes_per_neuron']:.3f}" if "spikes_per_neuron" in run else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "", "### Times to first spike", "",
        "| network | test | answers as the source | spikes a neuron | largest deviation of an activation,"
        " absolute and relative to the largest | operations | of 2,392,800 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for run in runs.values():
        if run["method"] == "ttfs":
            cells = [
                run["network"],
                f"{run['accuracy']:.2%}",
                f"{run['agreement']:.2%}",
                f"{run['spikes_per_neuron']:.3f}",
                f"{run['largest_deviation']:.1e}, {run['relative_deviation']:.1e}",
                f"{run['total']:,.0f}",
                f"{run['total'] / dense:.1%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(found: dict[str, Any]) -> list[str]:
    """What was found, in sentences: the result, the same without stopping early, and the certificates."""
    runs, dense, sources = found["runs"], found["dense_macs"], ann_lines(found)
    whole = [
        name for name, run in runs.items()
        if run["method"] != "early" and run.get("validation", 0.0) >= found["validation_margin"]
    ]  # fmt: skip
    said = {"Result": found["result"]}
    if whole:
        said["Where all pixels are looked at"] = min(whole, key=lambda name: runs[name]["total"])
    lines = []
    for title, name in said.items():
        if name is None:
            continue
        run = runs[name]
        shares = [f"{run['total'] / dense:.1%} of all products of the ANN"] + [
            f"{run['total'] / ann['zero_skipping']:.0%} of what the {network} ANN needs that skips zeros"
            for network, ann in sources.items()
        ]
        said_of_it = f"{run['accuracy']:.2%} of the test images with {run['total']:,.0f} operations"
        lines += [f"**{title}**: *{name}*, {said_of_it}: {', '.join(shares)}.", ""]
    checks = [run["certificate"] for run in runs.values() if "certificate" in run]
    if checks:
        n, wrong = (sum(check[key] for check in checks) for key in ("n_checked", "n_mismatches"))
        lines += [f"Spike counts compared with the quantised models: {n:,}; different: {wrong:,}.", ""]
    return lines


def _parts(run: dict[str, Any]) -> tuple[str, str, str]:
    """Input with its encoding and repeats, synapses, and updates of neurons."""
    if "columns" not in run:
        return "", "", ""
    c = run["columns"]
    given = c["input_acs_once"] + c["input_macs_once"] + c["input_repeats"] + run["encoding"]
    updates = c["integrations"] + c["bias_additions"] + c["comparisons"] + c["resets"]
    return f"{given:,.0f}", f"{c['synaptic_acs'] + c['synaptic_macs']:,.0f}", f"{updates:,.0f}"
