"""`snnsim doctor`: is this machine fit, and does a neuron do here what the equations say?"""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, bytes_text, say
from snnsim.errors import ExitCode, SnnError

LIBRARIES = ("numpy", "numba", "llvmlite", "h5py", "typer", "rich", "matplotlib", "scikit-learn", "jinja2")
EXTRAS = ("torch", "snntorch", "onnx", "nir", "brian2", "nest-simulator", "mpi4py", "optuna", "dask", "flwr")
CPU_FLAGS = ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon")
COMPILING = "compiling kernels (once, about half a minute)"
TOLERANCE = 1e-12
"""Relative: what is left of float64 after some hundred exact steps."""


def doctor(
    data: Annotated[
        Path | None, typer.Option("--data", envvar="SNNSIM_DATA", help="Folder of the data sets.")
    ] = None,
    json: Json = False,
) -> Reply:
    """Show versions, processor, memory and caches, and test a network of two neurons.

    \b
    Examples:
      snnsim doctor
      snnsim doctor --json
    """
    from snnsim.jit_cache import configure

    cache = configure()
    cold = not cache_is_warm(cache)
    if cold:
        say(COMPILING)
    found: dict[str, Any] = {
        "versions": versions(),
        "extras": {name: version for name in EXTRAS if (version := _version(name))},
        "platform": {
            "system": platform.platform(),
            "python": sys.version.split()[0],
            "executable": sys.executable,
        },
        "cpu": cpu(),
        "memory_bytes": memory_bytes(),
        "cache": {"folder": str(cache), "warm": not cold, "bytes": _size(cache)},
        "data_dir": {
            "folder": None if data is None else str(data),
            "exists": data is not None and data.is_dir(),
        },
        "self_test": self_test(),
    }
    warnings = []
    if data is not None and not data.is_dir():
        warnings.append(f"the data folder {data} does not exist")
    test = found["self_test"]
    error = None
    if not test["ok"]:
        error = SnnError(
            "two neurons do not follow their equations on this machine",
            where="self-test",
            got=f"spike at step {test['step']}, relative error {test['error']:.1e}",
            expected=f"step {test['expected_step']}, at most {TOLERANCE:.0e}",
            fix="update numba and llvmlite, and please report this with the output of `snnsim doctor --json`",
            code="doctor.self_test",
        )
    return Reply(found, _text(found), warnings, error, ExitCode.OK if error is None else ExitCode.DIFFERS)


def cache_is_warm(folder: Path) -> bool:
    """Has Numba kept the compiled time loop there?  It takes most of the compiler's time."""
    return next(folder.rglob("engine.advance-*.nbi"), None) is not None


def versions() -> dict[str, str]:
    """Name -> version of snnsim and of the libraries it stands on."""
    from snnsim import __version__

    return {"snnsim": __version__, **{name: _version(name) or "missing" for name in LIBRARIES}}


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def cpu() -> dict[str, Any]:
    """Model, cores and the vector instructions that compiled kernels can use here."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": binding.get_host_cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "flags": [flag for flag in CPU_FLAGS if features.get(flag)],
    }


def memory_bytes() -> dict[str, int] | None:
    """Total and free memory, where the system tells."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"} <= set(names):
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return {"total": page * os.sysconf("SC_PHYS_PAGES"), "free": page * os.sysconf("SC_AVPHYS_PAGES")}


def self_test() -> dict[str, Any]:
    """Neuron a, driven by a constant current, fires once and excites neuron b; compare with closed forms.

    a    v(t) = v_rest + (tau_m / c_m) i (1 - exp(-t / tau_m)), so that it fires in the step in which
         t passes T = -tau_m log(1 - theta c_m / (tau_m i)),  theta = v_th - v_rest
    b    v(t) = v_rest + w / c_m  tau_m tau_s / (tau_m - tau_s)  (exp(-t / tau_m) - exp(-t / tau_s))
         with t counted from the arrival of the spike
    """
    from snnsim import LIF, Exponential, Network, OneToOne, Population, Probe, Projection, Simulator

    dt, tau_m, tau_s, c_m, rest, current, weight, delay = 0.1, 10.0, 2.0, 250.0, -65.0, 500.0, 100.0, 1.5
    synapse = Exponential(tau_exc_ms=tau_s, tau_inh_ms=tau_s)
    cell = LIF(tau_m_ms=tau_m, c_m_pf=c_m, v_rest_mv=rest, v_th_mv=-50.0, v_reset_mv=rest, t_ref_ms=100.0,
               synapse=synapse)  # fmt: skip
    network = Network(
        populations={
            "a": Population(n=1, neuron=cell.replace(i_bias_pa=current)),
            "b": Population(n=1, neuron=cell),
        },
        projections={
            "a_b": Projection(source="a", target="b", rule=OneToOne(), weight_pa=weight, delay_ms=delay)
        },
        probes={"spikes": Probe(target="a"), "v": Probe(target="b", variable="v_mv")},
    )
    with Simulator(network, dt_ms=dt, seed=1, threads=1) as simulator:
        simulator.run(40.0)
        steps, _ = simulator.spikes("spikes")
        at, v = simulator.samples("v")
    expected_step = math.ceil(-tau_m * math.log(1.0 - 15.0 * c_m / (tau_m * current)) / dt) - 1
    arrival = expected_step + round(delay / dt)
    scale = weight / c_m * tau_m * tau_s / (tau_m - tau_s)
    error = 0.0
    for step, value in zip(at.tolist(), v[:, 0].tolist(), strict=True):
        t = max(step - arrival, 0) * dt
        closed = rest + scale * (math.exp(-t / tau_m) - math.exp(-t / tau_s))
        error = max(error, abs(value - closed) / abs(rest))
    step = int(steps[0]) if len(steps) == 1 else -1
    ok = step == expected_step and error <= TOLERANCE
    return {"ok": ok, "step": step, "expected_step": expected_step, "error": error}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _text(found: dict[str, Any]) -> str:
    chip, memory, cache, test = found["cpu"], found["memory_bytes"], found["cache"], found["self_test"]
    flags = " ".join(chip["flags"])
    no_data = "none given; --data DIR or SNNSIM_DATA names the folder of data sets"
    room = f"{bytes_text(memory['total'])}, {bytes_text(memory['free'])} free" if memory else "unknown"
    lines = {
        "versions": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "extras": ", ".join(f"{name} {version}" for name, version in found["extras"].items()) or "none",
        "python": f"{found['platform']['python']} on {found['platform']['system']}",
        "processor": f"{chip['model']}, {chip['usable_cores']} of {chip['cores']} cores, {flags}",
        "memory": room,
        "cache": f"{cache['folder']} ({bytes_text(cache['bytes'])})",
        "data": found["data_dir"]["folder"] or no_data,
        "self-test": f"{'passed' if test['ok'] else 'FAILED'}: spike at step {test['step']}, "
        f"relative error {test['error']:.1e}",
    }
    return "\n".join(f"{name:<10} {text}" for name, text in lines.items())
