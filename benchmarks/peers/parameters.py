"""Parameters of the benchmark networks, for the scripts that run them in other simulators.

Plain numbers, numpy only: the environment of a peer need not have snnsim.  tests/test_compare.py holds them
against the networks of examples/.

cuba          Vogels & Abbott 2005 as benchmark 2 of Brette et al. 2007 (and Brian2's examples/CUBA.py)
coba          the same with conductances, benchmark 1 of Brette et al. 2007
brunel        Brunel 2000, 10,000 cells: the Brunel10k network of SNNSimulatorComparison
brunel-stdp   the same, where the synapses between excitatory cells learn
stdp-1m       1,000 cells with 1,000 Poisson sources each, whose synapses learn (Brian2's example STDP.py)
microcircuit  Potjans & Diesmann 2014, Cereb. Cortex 24:785 (INM-6/microcircuit-PD14-model)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DT_MS = 0.1
DURATION_MS = {"cuba": 10_000.0, "coba": 10_000.0, "brunel": 1000.0, "brunel-stdp": 1000.0}
DURATION_MS |= {"stdp-1m": 1000.0, "microcircuit": 1000.0}
WARMUP_MS = {"cuba": 100.0, "coba": 500.0, "brunel": 200.0, "brunel-stdp": 200.0}
WARMUP_MS |= {"stdp-1m": 200.0, "microcircuit": 500.0}
SCALES = {"cuba": (0.02, 1000.0), "coba": (0.02, 1000.0), "brunel": (0.1, 100.0), "brunel-stdp": (0.1, 100.0)}
SCALES |= {"stdp-1m": (0.001, 10.0), "microcircuit": (0.01, 1.0)}

VOGELS_N, VOGELS_P = {"exc": 3200, "inh": 800}, 0.02
CUBA = {
    "tau_m_ms": 20.0, "v_rest_mv": -49.0, "v_th_mv": -50.0, "v_reset_mv": -60.0, "t_ref_ms": 5.0,
    "tau_exc_ms": 5.0, "tau_inh_ms": 10.0, "w_exc_mv": 1.62, "w_inh_mv": -9.0,
}  # fmt: skip
COBA = {
    "c_m_pf": 200.0, "g_l_ns": 10.0, "v_rest_mv": -60.0, "v_th_mv": -50.0, "v_reset_mv": -60.0,
    "t_ref_ms": 5.0, "e_exc_mv": 0.0, "e_inh_mv": -80.0, "tau_exc_ms": 5.0, "tau_inh_ms": 10.0,
    "w_exc_ns": 6.0, "w_inh_ns": 67.0,
}  # fmt: skip
# Mean and standard deviation at the start; conductances below 0 are set to 0.  The network then feeds itself.
COBA_START = {"v_mv": (-65.0, 5.0), "g_exc_ns": (40.0, 15.0), "g_inh_ns": (200.0, 120.0)}

BRUNEL_N, BRUNEL_K = {"exc": 8000, "inh": 2000}, {"exc": 800, "inh": 200}
BRUNEL = {
    "tau_m_ms": 20.0, "v_th_mv": 20.0, "v_reset_mv": 0.0, "t_ref_ms": 2.0, "delay_ms": 1.5,
    "j_mv": 0.1, "g": 5.0, "n_external": 1000, "external_hz": 20.0,
}  # fmt: skip
BRUNEL_STDP = {"tau_plus_ms": 20.0, "tau_minus_ms": 20.0, "lambda": 0.01, "alpha": 2.02, "w_max_mv": 0.3}

STDP_1M_CELLS, STDP_1M_SYNAPSES = 1000, 1000  # synapses of one cell, each with a source of its own
STDP_1M = {
    "rate_hz": 15.0, "tau_m_ms": 10.0, "tau_syn_ms": 5.0, "v_rest_mv": -74.0, "v_th_mv": -54.0,
    "v_reset_mv": -60.0, "drive_mv": 60.0, "tau_plus_ms": 20.0, "tau_minus_ms": 20.0, "w_max": 0.01,
    "a_plus": 0.01, "a_minus": 0.0105,
}  # fmt: skip

PD14_N = {
    "L23E": 20683, "L23I": 5834, "L4E": 21915, "L4I": 5479,
    "L5E": 4850, "L5I": 1065, "L6E": 14395, "L6I": 2948,
}  # fmt: skip
PD14_P = np.array([  # of a connection: row = target, column = source
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip
PD14_EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
PD14_RATES_HZ = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
PD14_START_MV = (
    (-68.28, 5.36), (-63.16, 4.57), (-63.33, 4.74), (-63.45, 4.94),
    (-63.11, 4.94), (-61.66, 4.55), (-66.72, 5.46), (-61.43, 4.48),
)  # fmt: skip
PD14 = {
    "c_m_pf": 250.0, "tau_m_ms": 10.0, "tau_syn_ms": 0.5, "t_ref_ms": 2.0,
    "v_rest_mv": -65.0, "v_th_mv": -50.0, "v_reset_mv": -65.0,
    "psp_mv": 0.15, "g": -4.0, "external_hz": 8.0,
    "delay_exc_ms": 1.5, "delay_inh_ms": 0.75, "delay_std": 0.5, "weight_std": 0.1,
}  # fmt: skip


def pd14_weight_pa() -> float:
    """The current jump whose potential peaks at psp_mv."""
    tau_m, tau_s = PD14["tau_m_ms"], PD14["tau_syn_ms"]
    ratio = tau_s / tau_m
    peak = ratio ** (ratio / (1 - ratio)) - ratio ** (1 / (1 - ratio))
    return PD14["psp_mv"] * PD14["c_m_pf"] * (tau_m - tau_s) / (tau_m * tau_s) / peak


def pd14(scale: float, background: str) -> dict[str, Any]:
    """The microcircuit at a scale, with Poisson input ("poisson") or its mean as a current ("dc").

    n            {name: cells}
    synapses     int64[target, source]    connections in all
    weight_pa    float64[target, source]  mean weight
    external_pa  weight of a background spike
    external_hz  float64[target]          rate of all background trains of a cell together
    current_pa   float64[target]          constant input
    Scaled down as in the reference: weights grow by 1/sqrt(scale), a current replaces the lost mean input.
    """
    n = np.array(list(PD14_N.values()), dtype=np.float64)
    pairs = n[:, None] * n[None, :]
    full = np.rint(np.log(1.0 - PD14_P) / np.log((pairs - 1.0) / pairs)).astype(np.int64)
    weight = pd14_weight_pa()
    weights = np.tile([weight, PD14["g"] * weight], (8, 4))
    weights[0, 2] *= 2.0
    recurrent = (weights * full / n[:, None] * PD14_RATES_HZ).sum(axis=1)
    external = weight * PD14_EXTERNAL * PD14["external_hz"]
    lost = 1.0 - math.sqrt(scale)
    poisson = background == "poisson"
    return {
        "n": cells(PD14_N, scale),
        "synapses": np.rint(full * scale**2).astype(np.int64),
        "weight_pa": weights / math.sqrt(scale),
        "external_pa": weight / math.sqrt(scale),
        "external_hz": np.maximum(1, np.rint(scale * PD14_EXTERNAL)) * PD14["external_hz"],
        "current_pa": 1e-3 * PD14["tau_syn_ms"] * (lost * recurrent + (lost if poisson else 1.0) * external),
    }


def cells(n: dict[str, int], scale: float) -> dict[str, int]:
    """Cells of each population at a scale; all networks but microcircuit keep the synapses of a cell."""
    return {name: max(1, round(size * scale)) for name, size in n.items()}


def peak_rss_gb() -> float | None:
    """The most memory that this process has held, 1e9 bytes; None where the system does not say.

    From /proc: what getrusage reports on Linux may be that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e9


def arguments(description: str, names: tuple[str, ...]) -> argparse.ArgumentParser:
    """The options that all peers share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", choices=names)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of cells")
    parser.add_argument("--duration-ms", type=float, help="model time that is measured")
    parser.add_argument("--warmup-ms", type=float, help="model time before that")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with the durations that belong to the benchmark."""
    options = parser.parse_args()
    low, high = SCALES[options.name]
    if not low <= options.scale <= high:
        parser.error(f"--scale of {options.name} must lie in [{low:g}, {high:g}], got {options.scale:g}")
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, got {options.threads}")
    for key, usual, least in (("duration_ms", DURATION_MS, DT_MS), ("warmup_ms", WARMUP_MS, 0.0)):
        if getattr(options, key) is None:
            setattr(options, key, usual[options.name])
        if not least <= getattr(options, key) < math.inf:
            parser.error(f"--{key.replace('_', '-')} must be at least {least:g} ms")
    return options


def answer(options: argparse.Namespace, run: Callable[[argparse.Namespace], dict[str, Any]]) -> None:
    """Print what `run` found as one JSON object; all else that it or its libraries print goes to stderr.

    Simulators print from compiled code as well, so the file descriptor itself is turned away.
    """
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        found = run(options)
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
    result = {
        "benchmark": options.name, "scale": options.scale, "threads": options.threads, "seed": options.seed,
        "dt_ms": DT_MS, "duration_ms": options.duration_ms, "warmup_ms": options.warmup_ms,
        "recording": "spikes of all neurons, in memory", "precision": "float64",
    } | found  # fmt: skip
    result["rtf"] = result["sim_s"] / (options.duration_ms * 1e-3)
    print(json.dumps(result))
