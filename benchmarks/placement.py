"""Placement: cores beside Intel's compiler, spikes x hops beside simpler rules, optima of small graphs.

    .venv/bin/python benchmarks/placement.py --fixtures DIR [--only WORD]

DIR holds the NetX networks (mnist, oxford, pilotnet_sdnn, pilotnet_snn, each with network.net).  Traffic is
measured by running each network in the integer simulator.  Recordings of the tasks do not belong to the
files, so input is made up: smooth moving pictures for PilotNet, random spikes for the others and for random
layered networks: in "random" ones any neurons of neighbouring layers are connected, in "local" ones those
that lie less than an eighth of the layer apart.  Optima need OR-tools, and are left out without.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path
from typing import Any

from snnsim.jit_cache import configure

configure()

import numpy as np  # noqa: E402
from placement_optimum import optimum, small_graph  # noqa: E402
from record import head  # noqa: E402

from snnsim.atomic import write_json  # noqa: E402
from snnsim.canvas import save  # noqa: E402
from snnsim.hardware.arrange import arrange, cost, simple  # noqa: E402
from snnsim.hardware.baselines import baseline_packings  # noqa: E402
from snnsim.hardware.chip_plot import chip_plot  # noqa: E402
from snnsim.hardware.layout import layers_of  # noqa: E402
from snnsim.hardware.loihi import read_netx  # noqa: E402
from snnsim.hardware.mesh import sites  # noqa: E402
from snnsim.hardware.partition import Cutter  # noqa: E402
from snnsim.hardware.placement import Placement, core_traffic, place, spikes_of  # noqa: E402
from snnsim.hardware.resources import Storage  # noqa: E402
from snnsim.hardware.targets import Mesh, get_target  # noqa: E402
from snnsim.hardware.traffic import measure  # noqa: E402
from snnsim.integer_neurons import RULES, IntegerLIF  # noqa: E402
from snnsim.layers import Dense  # noqa: E402
from snnsim.network import Network  # noqa: E402
from snnsim.population import Population  # noqa: E402
from snnsim.projection import Projection  # noqa: E402
from snnsim.stimuli import Analogue  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "placement.json"
TARGET, N_STEPS = "loihi2", 20
INTEL = {"mnist": 5, "oxford": 5, "pilotnet_sdnn": 61, "pilotnet_snn": 74}
"""Cores in the compile logs printed in lava-dl's notebooks; 61 is without the input layer."""
BARS = {"mnist": 3, "oxford": 3, "pilotnet_sdnn": 40, "pilotnet_snn": 50}
OUTSIDE = {"pilotnet_sdnn": ["input0"]}
STORAGES = {
    "best": Storage(),
    "dense 8 bits, zeros kept": Storage(("dense", "shared"), weight_bits=8, cull_zeros=False),
    "dense 10 bits, zeros kept": Storage(("dense", "shared"), weight_bits=10, cull_zeros=False),
}
RANDOM = {
    "random 1": (512, 1024, 1024, 768, 256), "random 2": (784, 1500, 1500, 10),
    "random 3": (300, 700, 700, 700, 700, 700), "local 1": (500, 1000, 1000, 1000, 250),
    "local 2": (1500, 750, 750, 750, 750, 750),
}  # fmt: skip
GRAPHS = [
    (1, 6, 3, 2), (2, 8, 3, 3), (3, 10, 4, 3), (4, 12, 4, 3), (5, 12, 4, 4), (6, 12, 4, 3), (7, 11, 4, 4),
]  # fmt: skip


def pictures(n_samples: int, seed: int) -> np.ndarray:
    """float64[n_samples, N_STEPS, 3 * 66 * 200] in [-1, 1]: waves of random direction that move one way."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:66, 0:200]
    found = np.zeros((n_samples, N_STEPS, 3, 66, 200))
    for sample in range(n_samples):
        for _ in range(12):
            fx, fy, phase = rng.normal(0, 0.05), rng.normal(0, 0.05), rng.uniform(0, 2 * np.pi)
            strength = rng.normal(0, 1, 3)[:, None, None]
            for t in range(N_STEPS):
                found[sample, t] += strength * np.cos(2 * np.pi * (fx * (x - 2 * t) + fy * y) + phase)
    found /= np.abs(found).max(axis=(1, 2, 3, 4), keepdims=True)
    return found.reshape(n_samples, N_STEPS, -1)


def netx(fixtures: Path, name: str) -> tuple[Network, dict[str, np.ndarray]]:
    """A network and what it is driven with."""
    network = read_netx(fixtures / name / "network.net")
    if name == "pilotnet_snn":  # weight 40 and bias 36 of its input layer
        return network, {"input": np.rint(40 * pictures(2, 1) + 36)}
    if name == "pilotnet_sdnn":  # six fractional bits
        return network, {"input": np.rint(64 * pictures(2, 1))}
    (stimulus,) = network.stimuli.values()
    rng = np.random.Generator(np.random.PCG64(1))
    n = stimulus.n  # type: ignore[attr-defined]
    return network, {"input": (rng.random((16, N_STEPS, n)) < 0.1).astype(float)}


def random_network(sizes: tuple[int, ...], seed: int, reach: float) -> tuple[Network, dict[str, np.ndarray]]:
    """Layers of Loihi neurons with 30 % of the synapses within reach (a part of the layer), of 7 bits."""
    rng = np.random.Generator(np.random.PCG64(seed))
    populations, projections = {}, {}
    for k, (n_source, n) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        apart = np.abs(np.arange(n)[:, None] / n - np.arange(n_source) / n_source)
        there = (rng.random((n, n_source)) < 0.3) & (apart < reach)
        weight = 2.0 * rng.integers(-40, 61, (n, n_source)) * there
        neuron = IntegerLIF(rule=RULES["loihi2"], threshold=64 * 600, decay_u=4096, decay_v=512)
        populations[f"layer{k}"] = Population(n=n, neuron=neuron)
        source = f"layer{k - 1}" if k else "input"
        projections[f"to{k}"] = Projection(
            source=source, target=f"layer{k}", rule=Dense(weight=weight), weight_mv=1.0, delay_ms=1.0
        )
    network = Network(
        populations=populations, projections=projections, stimuli={"input": Analogue(n=sizes[0])}
    )
    return network, {"input": (rng.random((8, N_STEPS, sizes[0])) < 0.1).astype(float)}


def made_or_read(name: str, fixtures: Path) -> tuple[Network, dict[str, np.ndarray]]:
    if name in RANDOM:
        return random_network(RANDOM[name], 1, 0.125 if name.startswith("local") else 1.0)
    return netx(fixtures, name)


def row_of(name: str, network: Network, inputs: dict[str, np.ndarray]) -> tuple[dict[str, Any], Placement]:
    """What is measured of one network, and its placement."""
    outside = OUTSIDE.get(name, [])
    traffic = measure(network, inputs, N_STEPS)
    cores = {}
    for label, storage in STORAGES.items():
        began = time.perf_counter()
        placement = place(network, TARGET, traffic, storage=storage, outside=outside)
        cores[label] = {
            "cores": placement.n_cores, "lower_bound": placement.lower_bound,
            "bounds": dict(placement.bounds),
            "seconds": round(time.perf_counter() - began, 2),
        }  # fmt: skip
    placement = place(network, TARGET, traffic, outside=outside)
    at = sites(placement.mesh, placement.n_cores)
    rules = {key: cost(placement.traffic, at, site) for key, site in simple(placement.traffic, at).items()}
    compilers = {}
    for label in STORAGES:
        layers = layers_of(network, outside)
        cutter = Cutter(layers, get_target(TARGET), STORAGES[label])
        for key, packing in baseline_packings(cutter).items():
            between = core_traffic(layers, packing, spikes_of(layers, traffic))
            mesh = sites(placement.mesh, len(packing))
            hops = cost(between, mesh, np.arange(len(packing)))
            compilers[f"{key}, {label}"] = {"cores": len(packing), "greedy_order_spike_hops": hops}
    return {
        "network": name, "neurons": sum(p.n for p in network.populations.values()),
        "spikes_a_step": float(sum(traffic[key].sum() for key in network.populations if key not in outside)),
        "intel_cores": INTEL.get(name), "bar": BARS.get(name), "cores": cores, "compilers": compilers,
        "spike_hops": placement.spike_hops, "max_link_load": placement.max_link_load, "rules": rules,
        "below": {key: 1.0 - placement.spike_hops / value if value else None for key, value in rules.items()},
    }, placement  # fmt: skip


def optima(seconds: float) -> list[dict[str, Any]]:
    """Arrangements of small graphs beside the optimum."""
    rows = []
    for seed, n_cores, width, height in GRAPHS:
        traffic = small_graph(seed, n_cores)
        at = sites(Mesh(width, height, 1, "a small mesh", "ours"), n_cores)
        mine = cost(traffic, at, arrange(traffic, at))
        best, bound, proven = optimum(traffic, width, height, seconds)
        rows.append({
            "seed": seed, "cores": n_cores, "mesh": [width, height], "spike_hops": mine, "cp_sat": best,
            "proven": proven, "bound": bound, "above": mine / best - 1.0,
        })  # fmt: skip
    return rows


def table(data: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["| network | Intel | halving | equal split | ours | 8 bits, zeros kept | 10 bits | at least |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in data["networks"]:
        counts = [row["cores"][label]["cores"] for label in STORAGES]
        others = [row["compilers"][f"{key}, best"]["cores"] for key in ("halving", "equal split")]
        numbers = [row["intel_cores"] or "", *others, *counts, row["cores"]["best"]["lower_bound"]]
        lines.append(f"| {row['network']} | {' | '.join(str(n) for n in numbers)} |")
    titles = (
        "network", "spikes a step", "spikes x hops", "greedy order", "Hilbert", "random", "below greedy",
        "below Hilbert", "below equal split in greedy order",
    )  # fmt: skip
    lines += ["", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in data["networks"]:
        values = [row["spikes_a_step"], row["spike_hops"], *row["rules"].values()]
        below = [row["below"][key] for key in ("greedy order", "hilbert")]
        whole = row["compilers"]["equal split, best"]["greedy_order_spike_hops"]
        below.append(1.0 - row["spike_hops"] / whole if whole else None)
        shown = [f"{value:,.0f}" for value in values] + ["" if b is None else f"{b:.0%}" for b in below]
        lines.append(f"| {row['network']} | {' | '.join(shown)} |")
    if data["optima"]:
        lines += ["", "| cores | mesh | ours | CP-SAT | proven | above |", "|---|---|---|---|---|---|"]
    for row in data["optima"]:
        mesh, proven = "x".join(map(str, row["mesh"])), "yes" if row["proven"] else "no"
        costs = f"{row['spike_hops']:,.0f} | {row['cp_sat']:,.0f}"
        lines.append(f"| {row['cores']} | {mesh} | {costs} | {proven} | {row['above']:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fixtures", type=Path, required=True, help="folder of the NetX networks")
    parser.add_argument("--only", default="", help="networks whose name has this in it")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each optimum")
    options = parser.parse_args()
    rows = []
    for name in [*BARS, *RANDOM]:
        if options.only not in name:
            continue
        found = made_or_read(name, options.fixtures)
        row, placement = row_of(name, *found)
        rows.append(row)
        print(name, {label: c["cores"] for label, c in row["cores"].items()}, row["below"], flush=True)
        if name == "pilotnet_snn" and not options.only:
            save(chip_plot(placement)[0], RESULTS.with_suffix(".png"))
    solved = optima(options.seconds) if importlib.util.find_spec("ortools") and not options.only else []
    data = {
        **head("placement", "python benchmarks/placement.py --fixtures DIR"),
        "target": TARGET, "steps": N_STEPS, "networks": rows, "optima": solved,
    }  # fmt: skip
    print(table(data))
    if not options.only:
        write_json(RESULTS, data)


if __name__ == "__main__":
    main()
