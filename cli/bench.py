"""`snnsim bench`: how long known networks take on this machine."""

from __future__ import annotations

import io
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Quiet, Reply, Usage, bytes_text, columns, say
from snnsim.cli.run import Threads
from snnsim.errors import nearest

if TYPE_CHECKING:
    from rich.table import Table

    from snnsim.experiments.bench import Measurement


class Background(StrEnum):
    """What takes the place of the cells outside a network."""

    POISSON = "poisson"
    DC = "dc"


class Precision(StrEnum):
    """Type of state and weights."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


def _complete(incomplete: str) -> list[str]:
    from snnsim.experiments.benchmarks import BENCHMARKS

    return [name for name in BENCHMARKS if name.startswith(incomplete)]


def bench(
    name: Annotated[
        str | None, typer.Argument(help="A benchmark; without: the list of all.", autocompletion=_complete)
    ] = None,
    scale: Annotated[float, typer.Option(help="Size, as a part or multiple of the published one.")] = 1.0,
    duration_ms: Annotated[
        float | None, typer.Option(help="Model time that is timed. Default: 10 s.", show_default=False)
    ] = None,
    warmup_ms: Annotated[
        float | None, typer.Option(help="Model time before that. Default: 0.5 s.", show_default=False)
    ] = None,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
    background: Annotated[
        Background | None, typer.Option(help="Input of the microcircuit: trains, or their mean as a current.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Without: the usual one of the benchmark.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how large it is, and do nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Reply:
    """Build a known network, run it, and say how long that took.

    Kernels are compiled before the clock starts. The digest of the spikes is the same for any number of
    threads. The real-time factor (RTF) is wall seconds for one second of model time.

    \b
    Examples:
      snnsim bench
      snnsim bench cuba
      snnsim bench microcircuit --scale 0.1 --threads 2 --json
      snnsim bench microcircuit --dry-run
    """
    from snnsim.experiments.benchmarks import BENCHMARKS

    if name is None:
        listed = {key: benchmark.about for key, benchmark in BENCHMARKS.items()}
        return Reply({"benchmarks": listed}, columns(listed.items(), ("benchmark", "")))
    if name not in BENCHMARKS:
        raise Usage("no such benchmark", where="snnsim bench", got=name, fix=nearest(name, BENCHMARKS))
    options: dict[str, Any] = {
        "scale": scale,
        "background": background.value if background else None,
        "precision": precision.value if precision else None,
    }
    sizes = _size(name, threads, options)
    if dry_run:
        return Reply(sizes, f"{_line(sizes)}\nnothing was built")
    from snnsim.cli.doctor import COMPILING, cache_is_warm
    from snnsim.cli.progress import progress
    from snnsim.experiments.bench import DT_MS, measure
    from snnsim.jit_cache import configure

    if not quiet:
        say(_line(sizes))
        if not cache_is_warm(configure()):
            say(COMPILING)
        if sizes["n_sources"]:
            say("spikes of sources are counted afterwards, while no clock runs")
    times: dict[str, Any] = {"duration_ms": duration_ms, "warmup_ms": warmup_ms}
    with progress(DT_MS, quiet) as advance:
        found = measure(name, threads=threads, seed=seed, progress=advance, **times, **options)
    return Reply(asdict(found), _text(found))


def _size(name: str, threads: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """Expected numbers and bytes. Raises ConfigError when memory does not hold them."""
    from snnsim.experiments.bench import DT_MS
    from snnsim.experiments.benchmarks import benchmark_network
    from snnsim.memory import check_memory
    from snnsim.program import estimate
    from snnsim.workers import threads_or_all

    network = benchmark_network(name, **options)
    sizes = estimate(network, DT_MS, {}, threads_or_all(threads))
    check_memory(sizes)
    return {
        "benchmark": name,
        "scale": options["scale"],
        "precision": network.precision,
        "n_neurons": sizes.n_neurons,
        "n_sources": sizes.n_sources,
        "n_synapses": sizes.n_synapses,
        "synapse_bytes": sizes.synapse_bytes,
        "total_bytes": sizes.total_bytes,
    }


def _line(sizes: dict[str, Any]) -> str:
    sources = f" and {sizes['n_sources']:,} sources" if sizes["n_sources"] else ""
    return (
        f"{sizes['benchmark']}, scale {sizes['scale']:g}, {sizes['precision']}: {sizes['n_neurons']:,} "
        f"neurons{sources}, about {sizes['n_synapses']:,} synapses and {bytes_text(sizes['total_bytes'])}"
    )


def _text(found: Measurement) -> str:
    """The figures, then the rates, as tables."""
    from rich.table import Table

    from snnsim.experiments.benchmarks import BENCHMARKS

    with_background = f", {found.background} background" if found.background else ""
    peak = "unknown" if found.peak_rss_gb is None else f"{found.peak_rss_gb:.3g} GB"
    figures = Table(box=None, show_header=False, pad_edge=False)
    figures.add_column()
    figures.add_column()
    for row in (
        ("benchmark", f"{found.benchmark}, scale {found.scale:g}, {found.precision}{with_background}"),
        ("network", f"{found.n_neurons:,} neurons, {found.n_synapses:,} synapses"),
        ("model time", f"{found.duration_ms / 1000:g} s after {found.warmup_ms / 1000:g} s of warm-up"),
        ("seed, threads", f"{found.seed}, {found.threads}"),
        ("build", f"{found.build_s:.3g} s, and {found.compile_s:.3g} s before for the kernels"),
        ("simulation", f"{found.sim_s:.3g} s"),
        ("real-time factor", f"{found.rtf:.3g}"),
        ("synaptic events", f"{found.events_per_s / 1e6:,.4g} million a second"),
        ("memory", f"{peak} at most, {found.bytes_per_synapse:.3g} bytes a synapse"),
        ("spikes", f"{found.n_spikes:,}, SHA-256 {found.spikes_sha256}"),
    ):
        figures.add_row(*row)
    reference = BENCHMARKS[found.benchmark].reference_hz
    rates = Table(box=None, pad_edge=False)
    rates.add_column("population")
    rates.add_column("rate in Hz", justify="right")
    if reference:
        rates.add_column("reference" if found.scale == 1 else "reference (scale 1)", justify="right")
    for population, hz in found.rates_hz.items():
        rates.add_row(population, f"{hz:.3f}", *([reference.get(population, "")] if reference else []))
    return f"{_drawn(figures)}\n\n{_drawn(rates)}"


def _drawn(table: Table) -> str:
    """A table as plain text."""
    from rich.console import Console

    with io.StringIO() as page:
        Console(file=page, width=110, color_system=None).print(table)
        return "\n".join(line.rstrip() for line in page.getvalue().rstrip().splitlines())
