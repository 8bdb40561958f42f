"""Energy of runs on Loihi 1 as estimated here and by SANA-FE, with the same constants, mapping and spikes.

    python benchmarks/energy_sanafe.py --peer PYTHON

--peer names an interpreter that has sanafe (2.2.9).  Networks differ in size, rule, wiring, mapping and
activity; the energy is split into synapses, dendrites, somata and network, and the time of a step stands
beside SANA-FE's simple and detailed models of time.  Writes benchmarks/results/energy_sanafe.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from snnsim import Network, Population, Projection
from snnsim.hardware.counts import count
from snnsim.hardware.energy import estimate
from snnsim.hardware.mapping import Mapping, consecutive, network_sizes
from snnsim.hardware.sanafe_file import write_sanafe
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Conv, Dense, LayerRule, SumPool
from snnsim.stimuli import Analogue

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "energy_sanafe.json"
GROUPS = ("synapse", "soma", "network")


@dataclass(frozen=True)
class Case:
    """A network, where it lies, and the spikes that come in: zeros and ones, [n_steps, n]."""

    network: Network
    mapping: Mapping
    spikes: np.ndarray
    encoding: dict[str, str] = field(default_factory=dict)


def network(
    layers: list[tuple[int, LayerRule]], n_in: int, loop: LayerRule | None = None, **neuron: Any
) -> Network:
    """A chain of layers of Loihi neurons; `loop` leads from the first layer to itself."""
    given = {"rule": RULES["loihi2"], "threshold": 64 * 60, "decay_u": 4096, "decay_v": 300} | neuron
    populations, projections, before = {}, {}, "input"
    for number, (n, rule) in enumerate(layers):
        name = f"layer{number}"
        populations[name] = Population(n=n, neuron=IntegerLIF(**given))
        projections[f"to_{name}"] = Projection(
            source=before, target=name, rule=rule, weight_mv=1.0, delay_ms=1.0
        )
        before = name
    if loop is not None:
        projections["loop"] = Projection(
            source="layer0", target="layer0", rule=loop, weight_mv=1.0, delay_ms=1.0
        )
    return Network(populations=populations, projections=projections, stimuli={"input": Analogue(n=n_in)})


def dense(rng: np.random.Generator, n_in: int, n_out: int, kept: float = 1.0) -> Dense:
    """Whole weights, more of them positive; a share `kept` is not zero."""
    weight = rng.integers(-20, 30, (n_out, n_in))
    weight[weight == 0] = 1
    return Dense(weight=np.where(rng.random(weight.shape) < kept, weight, 0).astype(float))


def scattered(rng: np.random.Generator, described: Network, n_cores: int) -> Mapping:
    """Every neuron on a core of its own choice, the cores over the whole chip."""
    position = [(tile // 4, tile % 4) for tile in range(32) for _ in range(4)]
    chosen = np.sort(rng.permutation(128)[:n_cores])
    core_of = {name: rng.integers(0, n_cores, n) for name, n in network_sizes(described).items()}
    return Mapping(core_of, np.array(position)[chosen])


def cases(seed: int = 0) -> dict[str, Case]:
    """Networks of different sizes, rules, mappings and activity."""
    rng = np.random.default_rng(seed)

    def spikes(n_steps: int, n: int, rate: float) -> np.ndarray:
        return (rng.random((n_steps, n)) < rate).astype(float)

    found = {}
    small = network([(64, dense(rng, 40, 64)), (32, dense(rng, 64, 32)), (10, dense(rng, 32, 10))], 40)
    found["three layers, few cores"] = Case(small, consecutive(small, 20), spikes(40, 40, 0.2))
    found["three layers, scattered"] = Case(small, scattered(rng, small, 60), spikes(40, 40, 0.2))
    found["three layers, one core"] = Case(small, consecutive(small, 256), spikes(40, 40, 0.02))
    thin = network([(80, dense(rng, 60, 80, 0.2)), (30, dense(rng, 80, 30, 0.1))], 60, threshold=64 * 25)
    found["sparse weights"] = Case(thin, scattered(rng, thin, 20), spikes(60, 60, 0.05))
    found["sparse weights stored densely"] = Case(
        thin, scattered(rng, thin, 20), spikes(60, 60, 0.05), {"to_layer0": "dense", "to_layer1": "dense"}
    )
    kernel = rng.integers(-10, 20, (6, 2, 3, 3)).astype(float)
    image = network(
        [
            (6 * 49, Conv(weight=kernel, height=14, width=14, stride_h=2, stride_w=2, pad_top=1, pad_left=1)),
            (6 * 9, SumPool(n_channels=6, height=7, width=7, kernel_h=2, kernel_w=2, stride_h=2, stride_w=2)),
            (10, dense(rng, 54, 10)),
        ],
        2 * 196, threshold=64 * 20,
    )  # fmt: skip
    found["convolution and pool"] = Case(image, consecutive(image, 100), spikes(30, 392, 0.1))
    wild = network(
        [(50, dense(rng, 20, 50, 0.5))], 20, loop=dense(rng, 50, 50, 0.3), bias=64 * 3, refractory=3,
        decay_v=100,
    )  # fmt: skip
    found["loop, bias and refractoriness"] = Case(
        wild, scattered(rng, wild, 10), spikes(80, 20, 0.05), {"to_layer0": "sparse", "loop": "sparse"}
    )
    kept = network([(50, dense(rng, 30, 50))], 30, decay_u=4096, decay_v=0)
    found["no leak"] = Case(kept, consecutive(kept, 10), spikes(60, 30, 0.1))
    rule = RULES["generic-int16"]
    counts = network(
        [(50, dense(rng, 30, 50)), (20, dense(rng, 50, 20))], 30, rule=rule, threshold=90, decay_u=0,
        decay_v=0,
    )  # fmt: skip
    found["reset by subtraction"] = Case(counts, consecutive(counts, 16), spikes(60, 30, 0.1))
    slow = network([(64, dense(rng, 40, 64)), (32, dense(rng, 64, 32))], 40, decay_u=1024, threshold=64 * 200)
    found["slow currents"] = Case(slow, consecutive(slow, 20), spikes(60, 40, 0.05))
    large = network(
        [(256, dense(rng, 400, 256, 0.9)), (128, dense(rng, 256, 128)), (10, dense(rng, 128, 10))], 400,
        threshold=64 * 150,
    )  # fmt: skip
    found["400-256-128-10"] = Case(large, consecutive(large, 64), spikes(20, 400, 0.04))
    return found


def compare(case: Case, peer: str, folder: Path, *timings: str) -> dict[str, Any]:
    """Both estimates of one case; energies in J, times in s.  timings: SANA-FE's models of time."""
    n_steps = len(case.spikes)
    counted = count(case.network, case.mapping, {"input": case.spikes[None]}, n_steps, encoding=case.encoding)
    own, totals = estimate(counted), counted.totals()
    if own.joule is None or own.step_s is None:
        raise SystemExit("the constants are incomplete")
    file = folder / "network.yaml"
    exact = write_sanafe(file, case.network, case.mapping, {"input": case.spikes}, encoding=case.encoding)
    theirs = {timing: run_peer(peer, file, n_steps, timing) for timing in timings}
    simple = theirs["simple"]
    inputs = float(case.spikes.sum())
    return {
        "neurons": case.network.populations["layer0"].n, "cores": int(case.mapping.used.size),
        "tiles": case.mapping.n_tiles, "steps": n_steps, "same_rule": exact,
        "spikes": {"snnsim": totals["spike"] + inputs, "sanafe": simple["neurons_fired"]},
        "messages": {"snnsim": totals["sent"], "sanafe": simple["packets_sent"]},
        "joule": {"snnsim": own.joule, "sanafe": simple["energy"]["total"]},
        "difference_percent": 100 * (own.joule / simple["energy"]["total"] - 1),
        "groups": {
            name: {"snnsim": own.group(name), "sanafe": simple["energy"][name]} for name in GROUPS
        } | {"dendrite": {"snnsim": 0.0, "sanafe": simple["energy"]["dendrite"]}},
        "step_s": {
            "snnsim lower": own.step_s[0], "snnsim upper": own.step_s[1],
        } | {f"sanafe {timing}": found["sim_time"] / n_steps for timing, found in theirs.items()},
        "sanafe": simple["version"],
    }  # fmt: skip


def run_peer(peer: str, file: Path, n_steps: int, timing: str) -> dict[str, Any]:
    """What SANA-FE says."""
    script = str(HERE / "peers" / "sanafe_run.py")
    command = [peer, script, str(file), str(n_steps), timing]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"SANA-FE failed:\n{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="an interpreter that has sanafe")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    rows = {}
    print(
        f"{'':32}{'snnsim, nJ':>12}{'sanafe, nJ':>12}{'%':>10}{'us a step':>18}{'simple':>9}{'detailed':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases().items():
            row = rows[name] = compare(case, asked.peer, Path(folder), "simple", "detailed")
            joule, step = row["joule"], {key: value * 1e6 for key, value in row["step_s"].items()}
            print(
                f"{name:32}{joule['snnsim'] * 1e9:12.3f}{joule['sanafe'] * 1e9:12.3f}"
                f"{row['difference_percent']:10.1e}{step['snnsim lower']:10.3f} -{step['snnsim upper']:6.3f}"
                f"{step['sanafe simple']:9.3f}{step['sanafe detailed']:10.3f}"
            )
    record = {
        "benchmark": "energy_sanafe",
        "command": "python benchmarks/energy_sanafe.py --peer PYTHON",
        **{package: version(package) for package in ("snnsim", "numpy")},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
        "cases": rows,
    }
    asked.results.parent.mkdir(exist_ok=True)
    asked.results.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
