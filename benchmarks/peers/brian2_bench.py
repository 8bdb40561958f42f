"""The benchmark networks in Brian2.  Prints one JSON object.

    python brian2_bench.py cuba|coba|brunel|brunel-stdp|stdp-1m [--target cpp_standalone|cython]
                           [--threads N] [--scale S] [--duration-ms X] [--warmup-ms W] [--seed S]
                           [--delay-ms D]

cpp_standalone: compile_s is the time of describing the network, generating and compiling the code, build_s
that of the program until the first step, and sim_s is device._last_run_time of the second of two runs
(warm-up, measurement).  cython, with an empty cache of compiled code: build_s is the time of making the
objects, with the compilation of the code that makes synapses; compile_s that of a run of 0 ms, where the rest
is compiled.
cuba, coba and stdp-1m have no delay, as in Brian2's examples: that is one step in snnsim, which delivers
before the update of a step and not after it.  A learning synapse transmits its weight after the change that
the same spike causes, as in snnsim and NEST; in Brian2's example it transmits before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import parameters as p

NAMES = ("cuba", "coba", "brunel", "brunel-stdp", "stdp-1m")
DELAY_MS = {"brunel": p.BRUNEL["delay_ms"], "brunel-stdp": p.BRUNEL["delay_ms"]}  # of the others: none
Parts = tuple[list[Any], Any, list[Any], dict[str, int]]
"""Objects of the network, its cells, its synapses, and the size of each population, in the order of cells."""


def cuba(b2: Any, options: argparse.Namespace) -> Parts:
    c, n = p.CUBA, p.cells(p.VOGELS_N, options.scale)
    cells = b2.NeuronGroup(
        sum(n.values()),
        """
        dv/dt  = (ge + gi - (v - El)) / taum : volt (unless refractory)
        dge/dt = -ge / taue : volt
        dgi/dt = -gi / taui : volt
        """,
        threshold="v > Vt", reset="v = Vr", refractory=c["t_ref_ms"] * b2.ms, method="exact",
        namespace={
            "El": c["v_rest_mv"] * b2.mV, "Vt": c["v_th_mv"] * b2.mV, "Vr": c["v_reset_mv"] * b2.mV,
            "taum": c["tau_m_ms"] * b2.ms, "taue": c["tau_exc_ms"] * b2.ms, "taui": c["tau_inh_ms"] * b2.ms,
        },
    )  # fmt: skip
    cells.v = "Vr + rand() * (Vt - Vr)"
    weights = {"we": c["w_exc_mv"] * b2.mV, "wi": c["w_inh_mv"] * b2.mV}
    return [cells], cells, vogels(b2, cells, n, weights, options), n


def coba(b2: Any, options: argparse.Namespace) -> Parts:
    c, n = p.COBA, p.cells(p.VOGELS_N, options.scale)
    cells = b2.NeuronGroup(
        sum(n.values()),
        """
        dv/dt  = (gl * (El - v) + ge * (Ee - v) + gi * (Ei - v)) / C : volt (unless refractory)
        dge/dt = -ge / taue : siemens
        dgi/dt = -gi / taui : siemens
        """,
        threshold="v > Vt", reset="v = Vr", refractory=c["t_ref_ms"] * b2.ms, method="exponential_euler",
        namespace={
            "C": c["c_m_pf"] * b2.pF, "gl": c["g_l_ns"] * b2.nS, "El": c["v_rest_mv"] * b2.mV,
            "Ee": c["e_exc_mv"] * b2.mV, "Ei": c["e_inh_mv"] * b2.mV,
            "Vt": c["v_th_mv"] * b2.mV, "Vr": c["v_reset_mv"] * b2.mV,
            "taue": c["tau_exc_ms"] * b2.ms, "taui": c["tau_inh_ms"] * b2.ms,
        },
    )  # fmt: skip
    (v, v_sd), (ge, ge_sd), (gi, gi_sd) = p.COBA_START.values()
    cells.v = f"({v} + {v_sd} * randn()) * mV"
    cells.ge = f"clip({ge} + {ge_sd} * randn(), 0, 1e9) * nS"
    cells.gi = f"clip({gi} + {gi_sd} * randn(), 0, 1e9) * nS"
    weights = {"we": c["w_exc_ns"] * b2.nS, "wi": c["w_inh_ns"] * b2.nS}
    return [cells], cells, vogels(b2, cells, n, weights, options), n


def vogels(
    b2: Any, cells: Any, n: dict[str, int], weights: dict[str, Any], options: argparse.Namespace
) -> list[Any]:
    delay = {"delay": options.delay_ms * b2.ms} if options.delay_ms else {}
    exc = b2.Synapses(cells, cells, on_pre="ge += we", namespace=weights, **delay)
    inh = b2.Synapses(cells, cells, on_pre="gi += wi", namespace=weights, **delay)
    exc.connect(f"i < {n['exc']}", p=p.VOGELS_P / options.scale)
    inh.connect(f"i >= {n['exc']}", p=p.VOGELS_P / options.scale)
    return [exc, inh]


def brunel(b2: Any, options: argparse.Namespace) -> Parts:
    """Every cell draws its sources; with `brunel-stdp` its excitatory ones have synapses of their own."""
    b, s, n = p.BRUNEL, p.BRUNEL_STDP, p.cells(p.BRUNEL_N, options.scale)
    cells = b2.NeuronGroup(
        sum(n.values()), "dv/dt = -v / taum : volt (unless refractory)",
        threshold="v >= theta", reset="v = Vr", refractory=b["t_ref_ms"] * b2.ms, method="exact",
        namespace={
            "taum": b["tau_m_ms"] * b2.ms, "theta": b["v_th_mv"] * b2.mV, "Vr": b["v_reset_mv"] * b2.mV,
        },
    )  # fmt: skip
    noise = b2.PoissonInput(cells, "v", b["n_external"], b["external_hz"] * b2.Hz, b["j_mv"] * b2.mV)
    exc, inh, delay = cells[: n["exc"]], cells[n["exc"] :], {"delay": options.delay_ms * b2.ms}
    j = {"J": b["j_mv"] * b2.mV, "Ji": -b["g"] * b["j_mv"] * b2.mV}
    plastic = options.name == "brunel-stdp"
    synapses = [
        b2.Synapses(exc, inh if plastic else cells, on_pre="v_post += J", namespace=j, **delay),
        b2.Synapses(inh, cells, on_pre="v_post += Ji", namespace=j, **delay),
    ]
    if plastic:
        learning = b2.Synapses(
            exc, exc,
            """
            w : volt
            dx/dt = -x / tau_plus : 1 (event-driven)
            dy/dt = -y / tau_minus : 1 (event-driven)
            """,
            on_pre={
                "pre": """
                x += 1
                w = clip(w - alpha * rate * w * y, 0 * mV, w_max)
                v_post += w
                """
            },
            on_post="""
            y += 1
            w = clip(w + rate * (w_max - w) * x, 0 * mV, w_max)
            """,
            delay={"pre": options.delay_ms * b2.ms},
            namespace={
                "tau_plus": s["tau_plus_ms"] * b2.ms, "tau_minus": s["tau_minus_ms"] * b2.ms,
                "rate": s["lambda"], "alpha": s["alpha"], "w_max": s["w_max_mv"] * b2.mV,
            },
        )  # fmt: skip
        synapses.append(learning)
    for synapse, k in zip(synapses, ("exc", "inh", "exc"), strict=False):
        synapse.connect(i=f"k for k in sample(N_pre, size={p.BRUNEL_K[k]})")
    if plastic:
        learning.w = b["j_mv"] * b2.mV
    return [cells, noise], cells, synapses, n


def stdp_1m(b2: Any, options: argparse.Namespace) -> Parts:
    s, n = p.STDP_1M, p.cells({"cells": p.STDP_1M_CELLS}, options.scale)
    sources = b2.PoissonGroup(n["cells"] * p.STDP_1M_SYNAPSES, rates=s["rate_hz"] * b2.Hz)
    cells = b2.NeuronGroup(
        n["cells"],
        """
        dv/dt = (ge * drive + El - v) / taum : volt
        dge/dt = -ge / taue : 1
        """,
        threshold="v > vt", reset="v = vr", method="exact",
        namespace={
            "drive": s["drive_mv"] * b2.mV, "El": s["v_rest_mv"] * b2.mV, "vt": s["v_th_mv"] * b2.mV,
            "vr": s["v_reset_mv"] * b2.mV, "taum": s["tau_m_ms"] * b2.ms, "taue": s["tau_syn_ms"] * b2.ms,
        },
    )  # fmt: skip
    cells.v = s["v_rest_mv"] * b2.mV
    synapses = b2.Synapses(
        sources, cells,
        """
        w : 1
        dApre/dt = -Apre / taupre : 1 (event-driven)
        dApost/dt = -Apost / taupost : 1 (event-driven)
        """,
        on_pre="""
        Apre += dApre
        w = clip(w + Apost, 0, gmax)
        ge += w
        """,
        on_post="""
        Apost += dApost
        w = clip(w + Apre, 0, gmax)
        """,
        namespace={
            "taupre": s["tau_plus_ms"] * b2.ms, "taupost": s["tau_minus_ms"] * b2.ms, "gmax": s["w_max"],
            "dApre": s["a_plus"] * s["w_max"], "dApost": -s["a_minus"] * s["w_max"],
        },
        **({"delay": {"pre": options.delay_ms * b2.ms}} if options.delay_ms else {}),
    )  # fmt: skip
    synapses.connect(j=f"i // {p.STDP_1M_SYNAPSES}")
    synapses.w = f"rand() * {s['w_max']}"
    return [sources, cells], cells, [synapses], n


NETWORKS = {"cuba": cuba, "coba": coba, "brunel": brunel, "brunel-stdp": brunel, "stdp-1m": stdp_1m}

CLOCK = "std::chrono::steady_clock::now()"
STAMPS = {  # C++ put into the program; the peak memory is its own, not that of the compiler
    "before_start": f"auto _bench_begin = {CLOCK}; auto _bench_built = _bench_begin;",
    "main": f"_bench_built = {CLOCK};",
    "before_end": """
    std::ofstream _bench_file("benchmark.txt");
    _bench_file << std::chrono::duration<double>(_bench_built - _bench_begin).count();
    std::ifstream _bench_status("/proc/self/status");
    for (std::string line; std::getline(_bench_status, line);)
        if (line.rfind("VmHWM:", 0) == 0) _bench_file << " " << std::atol(line.c_str() + 6);
    _bench_file << std::endl;
    """,
}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run in a directory that is removed afterwards."""
    scratch = tempfile.mkdtemp(prefix="brian2-bench-")
    try:
        import brian2 as b2

        b2.prefs.codegen.target = "cython"
        b2.prefs.codegen.runtime.cython.cache_dir = os.path.join(scratch, "cython")
        b2.defaultclock.dt = p.DT_MS * b2.ms
        simulate = standalone if options.target == "cpp_standalone" else runtime
        return {"simulator": "Brian2", "version": b2.__version__, "target": options.target} | simulate(
            b2, options, scratch
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def describe(b2: Any, options: argparse.Namespace) -> tuple[Any, Any, list[Any], dict[str, int]]:
    b2.seed(options.seed)
    objects, cells, synapses, n = NETWORKS[options.name](b2, options)
    monitor = b2.SpikeMonitor(cells)
    return b2.Network(*objects, *synapses, monitor), monitor, synapses, n


def standalone(b2: Any, options: argparse.Namespace, scratch: str) -> dict[str, Any]:
    b2.prefs.codegen.cpp.headers += ["<chrono>"]
    b2.prefs.devices.cpp_standalone.openmp_threads = options.threads if options.threads > 1 else 0
    b2.set_device("cpp_standalone", build_on_run=False)
    began = time.perf_counter()
    network, monitor, synapses, n = describe(b2, options)
    for slot, code in STAMPS.items():
        b2.device.insert_code(slot, code)
    if options.warmup_ms:
        network.run(options.warmup_ms * b2.ms)
    network.run(options.duration_ms * b2.ms)
    directory = os.path.join(scratch, "program")
    b2.device.build(directory=directory, compile=True, run=True)
    whole_s = time.perf_counter() - began
    build_s, *peak_kib = map(float, (Path(directory) / "benchmark.txt").read_text().split())
    return {
        "compile_s": whole_s - b2.device.timers["run_binary"],
        "build_s": build_s,
        "sim_s": b2.device._last_run_time,
        "peak_rss_gb": peak_kib[0] * 1024 / 1e9 if peak_kib else None,
    } | counts(b2, options, monitor, synapses, n)


def runtime(b2: Any, options: argparse.Namespace, scratch: str) -> dict[str, Any]:
    began = time.perf_counter()
    network, monitor, synapses, n = describe(b2, options)
    build_s = time.perf_counter() - began
    began = time.perf_counter()
    network.run(0 * b2.ms)
    compile_s = time.perf_counter() - began
    if options.warmup_ms:
        network.run(options.warmup_ms * b2.ms)
    began = time.perf_counter()
    network.run(options.duration_ms * b2.ms)
    sim_s = time.perf_counter() - began
    return {
        "compile_s": compile_s,
        "build_s": build_s,
        "sim_s": sim_s,
        "peak_rss_gb": p.peak_rss_gb(),
    } | counts(b2, options, monitor, synapses, n)


def counts(
    b2: Any, options: argparse.Namespace, monitor: Any, synapses: list[Any], n: dict[str, int]
) -> dict[str, Any]:
    """Sizes, and rates in the measured part of the run."""
    late = np.asarray(monitor.i)[np.asarray(monitor.t / b2.ms) >= options.warmup_ms - 0.5 * p.DT_MS]
    edges = np.concatenate([[0], np.cumsum(list(n.values()))])
    spikes = np.histogram(late, bins=edges)[0]
    return {
        "n_neurons": sum(n.values()),
        "n_synapses": int(sum(len(synapse) for synapse in synapses)),
        "rates_hz": {
            name: float(count / size / (options.duration_ms * 1e-3))
            for (name, size), count in zip(n.items(), spikes, strict=True)
        },
    }


def main() -> None:
    parser = p.arguments("The benchmark networks in Brian2.", NAMES)
    parser.add_argument("--target", choices=("cpp_standalone", "cython"), default="cpp_standalone")
    parser.add_argument("--delay-ms", type=float, help="of synapses; the network's own where it is not given")
    options = p.parsed(parser)
    if options.delay_ms is None:
        options.delay_ms = DELAY_MS.get(options.name, 0.0)
    if options.threads > 1 and options.target == "cython":
        parser.error("--target cython runs on one thread; more need --target cpp_standalone")
    p.answer(options, run)


if __name__ == "__main__":
    main()
