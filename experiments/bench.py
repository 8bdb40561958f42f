"""How long a benchmark takes, and what it needs: what `snnsim bench` runs."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnsim.experiments.benchmarks import background_of, benchmark_network, find
from snnsim.grid import to_steps
from snnsim.kernels.sources import emit
from snnsim.manifest import software_facts
from snnsim.memory import peak_rss_bytes
from snnsim.network import Network
from snnsim.program import Program
from snnsim.range_simulator import RangeSimulator
from snnsim.simulator import Simulator
from snnsim.synapses import out_degrees, synapse_bytes
from snnsim.workers import threads_or_all

DT_MS = 0.1
_COMPILE_MS = 5.0
_PIECE = 256  # steps that one thread counts at a time

Progress = Callable[[int, int], object]
"""Called with (steps done, steps in all, warm-up included), often."""


@dataclass(frozen=True)
class Measurement:
    """What was measured, and how.

    compile_s     wall time to compile the kernels, or to load them, with a tiny network of the same kinds
    build_s       wall time from the description to a simulator that is ready, with compiled kernels
    sim_s         wall time of duration_ms, after warmup_ms; spikes of all neurons are recorded in memory
    rtf           real-time factor, wall seconds a model second
    peak_rss_gb   most memory that the process has held, 1e9 bytes; None where the system does not say
    bytes_per_synapse  of all arrays that are there for synapses, static and plastic, tables included
    events_per_s  spikes of neurons and sources in the window, each times its synapses, a wall second;
                  trains that Poisson drives sum up are no events
    rates_hz      mean over the window, by population
    n_spikes      of all neurons in the window
    spikes_sha256 of the steps, then of the units, int64 each, of these spikes, by time, then by population
    """

    benchmark: str
    scale: float
    background: str | None
    precision: str
    duration_ms: float
    warmup_ms: float
    dt_ms: float
    seed: int
    threads: int
    n_neurons: int
    n_synapses: int
    compile_s: float
    build_s: float
    sim_s: float
    rtf: float
    peak_rss_gb: float | None
    bytes_per_synapse: float
    events_per_s: float
    rates_hz: dict[str, float]
    n_spikes: int
    spikes_sha256: str
    versions: dict[str, Any]
    machine: dict[str, Any]


def measure(
    name: str,
    *,
    scale: float = 1.0,
    duration_ms: float | None = None,
    warmup_ms: float | None = None,
    threads: int | None = None,
    seed: int = 1,
    background: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Build a benchmark, warm it up, and time it.

    scale        of the network, 1 for its published size
    duration_ms  model time that is timed; without, and without warmup_ms, those of the benchmark
    threads      None for all cores; changes no spike
    progress     called during warm-up and timing
    Raises ConfigError for arguments that cannot be and for a network that does not fit into memory.
    """
    chosen = find(name)
    duration_ms = chosen.duration_ms if duration_ms is None else duration_ms
    warmup_ms = chosen.warmup_ms if warmup_ms is None else warmup_ms
    n_timed = to_steps(duration_ms, DT_MS, "duration_ms", least=1)
    begin = to_steps(warmup_ms, DT_MS, "warmup_ms")
    network = benchmark_network(name, scale, background, precision)
    threads = threads_or_all(threads)
    compile_s = _compile(benchmark_network(name, chosen.tiny, background, precision), seed)
    with Simulator(network, dt_ms=DT_MS, seed=seed, threads=threads) as sim:
        sim.run_steps(begin, _shifted(progress, 0, begin + n_timed))
        began = time.perf_counter()
        sim.run_steps(n_timed, _shifted(progress, begin, begin + n_timed))
        sim_s = time.perf_counter() - began
        peak = peak_rss_bytes()  # before what follows can add to it
        steps, units = _window(sim, begin)
        return Measurement(
            benchmark=name,
            scale=float(scale),
            background=background_of(name, background),
            precision=network.precision,
            duration_ms=n_timed * DT_MS,
            warmup_ms=begin * DT_MS,
            dt_ms=DT_MS,
            seed=seed,
            threads=sim.threads,
            n_neurons=sim.n_neurons,
            n_synapses=sim.n_synapses,
            compile_s=compile_s,
            build_s=sim.build_s,
            sim_s=sim_s,
            rtf=sim_s / (n_timed * DT_MS / 1000.0),
            peak_rss_gb=None if peak is None else peak / 1e9,
            bytes_per_synapse=synapse_bytes(sim.program) / max(sim.n_synapses, 1),
            events_per_s=_events(sim, units, begin) / sim_s,
            rates_hz=_rates_hz(sim, units, n_timed * DT_MS / 1000.0),
            n_spikes=int(units.size),
            spikes_sha256=_digest(steps, units),
            versions=software_facts(),
            machine=_machine(),
        )


def _compile(network: Network, seed: int) -> float:
    """Wall time until a small network of the same kinds has been built and run."""
    began = time.perf_counter()
    with Simulator(network, dt_ms=DT_MS, seed=seed, threads=1) as sim:
        sim.run(_COMPILE_MS)
    return time.perf_counter() - began


def _shifted(progress: Progress | None, before: int, end: int) -> Progress | None:
    """Progress of one part of a run as progress of the whole, which never ends it."""
    if progress is None:
        return None
    called = progress

    def advance(done: int, _: int) -> None:
        called(before + done, end)

    return advance


def _window(sim: RangeSimulator, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and units, int64 each, of all neurons' spikes from step `begin` on, by step, then population."""
    all_steps, all_units = [], []
    for name in sim.network.populations:
        steps, ids = sim.spikes(name)
        timed = steps >= begin
        all_steps.append(steps[timed])
        all_units.append(ids[timed] + sim.program.units.first[name])
    steps, units = np.concatenate(all_steps), np.concatenate(all_units)
    order = np.argsort(steps, kind="stable")
    return steps[order], units[order]


def _digest(steps: np.ndarray, units: np.ndarray) -> str:
    found = hashlib.sha256(steps.astype("<i8").tobytes())
    found.update(units.astype("<i8").tobytes())
    return found.hexdigest()


def _rates_hz(sim: RangeSimulator, units: np.ndarray, seconds: float) -> dict[str, float]:
    numbers = sim.program.units
    count = np.bincount(units, minlength=numbers.n_units)
    return {
        name: float(count[numbers.first[name] :][:n].sum()) / n / seconds
        for name, n in ((name, population.n) for name, population in sim.network.populations.items())
    }


def _events(sim: RangeSimulator, units: np.ndarray, begin: int) -> int:
    """Synaptic events that the spikes from step `begin` on cause."""
    degrees = out_degrees(sim.program)
    return int(degrees[units].sum()) + _source_events(sim.program, degrees, begin, sim.step, sim.threads)


def _source_events(program: Program, degrees: np.ndarray, begin: int, end: int, threads: int) -> int:
    """The same of all sources in the steps [begin, end), whose spikes are found anew.

    They depend on seed and step alone; recording them while the clock runs would slow the network down, and
    a million sources would fill the memory.
    """
    units = program.units

    def count(first_step: int) -> int:
        total = 0
        for p, name in enumerate(program.network.sources()):
            first, n = units.first[name], units.size[name]
            ids = np.empty(n + 1, dtype=np.int32)  # emit writes one beyond the last spike
            for t in range(first_step, min(first_step + _PIECE, end)):
                found = emit(ids, 0, program.sources, p, first, 0, n, t)
                total += int(degrees[ids[:found]].sum())
        return total

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(count, range(begin, end, _PIECE)))


def _machine() -> dict[str, Any]:
    from llvmlite import binding

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": binding.get_host_cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
