"""The benchmark networks in NEST.  Prints one JSON object.

    python nest_bench.py microcircuit|cuba|coba|brunel|brunel-stdp [--scale S] [--duration-ms X]
                         [--warmup-ms W] [--threads N] [--seed S] [--background poisson|dc]

build_s is the time of creating, connecting and nest.Prepare(); sim_s that of nest.Run(duration) after
nest.Run(warmup).  NEST's own conventions: a delay acts one step later than the same number does in snnsim
(whose microcircuit has delays one step longer), and a delay of a plastic synapse is dendritic.  coba runs
with NEST's adaptive Runge-Kutta solver.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import parameters as p

NAMES = ("microcircuit", "cuba", "coba", "brunel", "brunel-stdp")
Cells = dict[str, Any]


def vogels(nest: Any, cells: Cells, scale: float, weights: dict[str, float]) -> None:
    """Each pair of cells is connected with probability 0.02, by the least delay."""
    for source in cells:
        for target in cells:
            nest.Connect(
                cells[source], cells[target], {"rule": "pairwise_bernoulli", "p": p.VOGELS_P / scale},
                {"synapse_model": "static_synapse", "weight": weights[source], "delay": p.DT_MS},
            )  # fmt: skip


def cuba(nest: Any, options: argparse.Namespace) -> tuple[Cells, Any]:
    """With as many pF as tau_m has ms, a current of 1 pA acts as 1 mV of the term g in the equations."""
    c = p.CUBA
    neuron = {
        "C_m": c["tau_m_ms"], "tau_m": c["tau_m_ms"], "E_L": c["v_rest_mv"], "V_th": c["v_th_mv"],
        "V_reset": c["v_reset_mv"], "t_ref": c["t_ref_ms"],
        "tau_syn_ex": c["tau_exc_ms"], "tau_syn_in": c["tau_inh_ms"],
        "V_m": nest.random.uniform(c["v_reset_mv"], c["v_th_mv"]),
    }  # fmt: skip
    sizes = p.cells(p.VOGELS_N, options.scale)
    cells = {name: nest.Create("iaf_psc_exp", n, neuron) for name, n in sizes.items()}
    vogels(nest, cells, options.scale, {"exc": c["w_exc_mv"], "inh": c["w_inh_mv"]})
    return cells, None


def coba(nest: Any, options: argparse.Namespace) -> tuple[Cells, Any]:
    c = p.COBA
    neuron = {
        "C_m": c["c_m_pf"], "g_L": c["g_l_ns"], "E_L": c["v_rest_mv"], "V_th": c["v_th_mv"],
        "V_reset": c["v_reset_mv"], "t_ref": c["t_ref_ms"], "E_ex": c["e_exc_mv"], "E_in": c["e_inh_mv"],
        "tau_syn_ex": c["tau_exc_ms"], "tau_syn_in": c["tau_inh_ms"],
    }  # fmt: skip
    rng = np.random.default_rng(options.seed)
    sizes = p.cells(p.VOGELS_N, options.scale)
    cells = {name: nest.Create("iaf_cond_exp", n, neuron) for name, n in sizes.items()}
    for group in cells.values():
        for variable, key in (("V_m", "v_mv"), ("g_ex", "g_exc_ns"), ("g_in", "g_inh_ns")):
            start = rng.normal(*p.COBA_START[key], len(group))
            nest.SetStatus(group, variable, start if variable == "V_m" else np.maximum(start, 0.0))
    vogels(nest, cells, options.scale, {"exc": c["w_exc_ns"], "inh": -c["w_inh_ns"]})
    return cells, None


def brunel(nest: Any, options: argparse.Namespace) -> tuple[Cells, Any]:
    b, s = p.BRUNEL, p.BRUNEL_STDP
    neuron = {
        "C_m": 1.0, "tau_m": b["tau_m_ms"], "E_L": 0.0, "V_m": 0.0, "V_th": b["v_th_mv"],
        "V_reset": b["v_reset_mv"], "t_ref": b["t_ref_ms"], "tau_minus": s["tau_minus_ms"],
    }  # fmt: skip
    sizes = p.cells(p.BRUNEL_N, options.scale)
    cells = {name: nest.Create("iaf_psc_delta", n, neuron) for name, n in sizes.items()}
    weight = {"exc": b["j_mv"], "inh": -b["g"] * b["j_mv"]}
    if options.name == "brunel-stdp":
        nest.CopyModel(
            "stdp_synapse", "learning",
            {
                "tau_plus": s["tau_plus_ms"], "lambda": s["lambda"], "alpha": s["alpha"], "mu_plus": 1.0,
                "mu_minus": 1.0, "Wmax": s["w_max_mv"],
            },
        )  # fmt: skip
    for source in cells:
        for target in cells:
            learns = options.name == "brunel-stdp" and source == target == "exc"
            nest.Connect(
                cells[source], cells[target], {"rule": "fixed_indegree", "indegree": p.BRUNEL_K[source]},
                {
                    "synapse_model": "learning" if learns else "static_synapse",
                    "weight": weight[source], "delay": b["delay_ms"],
                },
            )  # fmt: skip

    def noise() -> None:
        source = nest.Create("poisson_generator", params={"rate": b["n_external"] * b["external_hz"]})
        for group in cells.values():
            nest.Connect(source, group, syn_spec={"weight": b["j_mv"], "delay": b["delay_ms"]})

    return cells, noise


def microcircuit(nest: Any, options: argparse.Namespace) -> tuple[Cells, Any]:
    c, network = p.PD14, p.pd14(options.scale, options.background)
    cells = {}
    for k, (name, n) in enumerate(network["n"].items()):
        neuron = {
            "C_m": c["c_m_pf"], "tau_m": c["tau_m_ms"], "E_L": c["v_rest_mv"], "V_th": c["v_th_mv"],
            "V_reset": c["v_reset_mv"], "t_ref": c["t_ref_ms"],
            "tau_syn_ex": c["tau_syn_ms"], "tau_syn_in": c["tau_syn_ms"],
            "I_e": network["current_pa"][k], "V_m": nest.random.normal(*p.PD14_START_MV[k]),
        }  # fmt: skip
        cells[name] = nest.Create("iaf_psc_exp", n, neuron)
        nest.CopyModel("static_synapse", f"from_{name}")  # a thread holds at most 2**27 synapses of one model
    for t, target in enumerate(cells):
        for s, source in enumerate(cells):
            mean, n = network["weight_pa"][t, s], int(network["synapses"][t, s])
            if n == 0:
                continue
            low, high = (0.0, np.inf) if mean > 0 else (-np.inf, 0.0)
            delay = c["delay_exc_ms" if mean > 0 else "delay_inh_ms"]
            nest.Connect(
                cells[source], cells[target], {"rule": "fixed_total_number", "N": n},
                {
                    "synapse_model": f"from_{source}",
                    "weight": nest.math.redraw(
                        nest.random.normal(mean, c["weight_std"] * abs(mean)), min=low, max=high
                    ),
                    # Delays are rounded to whole steps after the draw, as in the reference implementation.
                    "delay": nest.math.redraw(
                        nest.random.normal(delay, c["delay_std"] * delay), min=0.5 * p.DT_MS, max=np.inf
                    ),
                },
            )  # fmt: skip

    def noise() -> None:
        if options.background == "dc":
            return
        for rate_hz, group in zip(network["external_hz"], cells.values(), strict=True):
            source = nest.Create("poisson_generator", params={"rate": rate_hz})
            weight = network["external_pa"]
            nest.Connect(source, group, syn_spec={"weight": weight, "delay": c["delay_exc_ms"]})

    return cells, noise


NETWORKS = {
    "cuba": cuba, "coba": coba, "brunel": brunel, "brunel-stdp": brunel, "microcircuit": microcircuit,
}  # fmt: skip


def run(options: argparse.Namespace) -> dict[str, Any]:
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.set(
        resolution=p.DT_MS, local_num_threads=options.threads, rng_seed=options.seed, print_time=False
    )
    began = time.perf_counter()
    cells, noise = NETWORKS[options.name](nest, options)
    n_synapses = nest.num_connections
    if noise:
        noise()
    recorders = {}
    for name, group in cells.items():
        recorders[name] = nest.Create("spike_recorder")
        nest.Connect(group, recorders[name])
    nest.Prepare()
    build_s = time.perf_counter() - began
    if options.warmup_ms:
        nest.Run(options.warmup_ms)
    before = {name: recorder.n_events for name, recorder in recorders.items()}
    began = time.perf_counter()
    nest.Run(options.duration_ms)
    sim_s = time.perf_counter() - began
    nest.Cleanup()
    return {
        "simulator": "NEST",
        "version": version("nest-simulator"),
        "background": options.background if options.name == "microcircuit" else None,
        "n_neurons": sum(len(group) for group in cells.values()),
        "n_synapses": n_synapses,
        "build_s": build_s,
        "sim_s": sim_s,
        "peak_rss_gb": p.peak_rss_gb(),
        "rates_hz": {
            name: (recorders[name].n_events - before[name]) / len(group) / (options.duration_ms * 1e-3)
            for name, group in cells.items()
        },
    }


def main() -> None:
    parser = p.arguments("The benchmark networks in NEST.", NAMES)
    parser.add_argument("--background", choices=("poisson", "dc"), default="poisson", help="of microcircuit")
    p.answer(p.parsed(parser), run)


if __name__ == "__main__":
    main()
