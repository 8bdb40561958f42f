"""Our integer networks beside Lava and beside nengo-loihi's emulator: every u, v and spike of random layers.

    python benchmarks/lava_rule.py [--lava PYTHON SRC [--netx SRC]] [--nengo PYTHON] [--golden FOLDER] [-n 40]

--lava    an interpreter that can run Lava, and the folder `src` of its checkout
--netx    the folder `src` of a checkout of lava-dl: its reader loads a file that is written here
--nengo   an interpreter that has nengo-loihi
--golden  tests/lava/lib/dl/netx/gts of a lava-dl checkout: pilotnet_lif, a run of a chip, and pilotnet_sdnn
Prints one line for each, and ends with 1 where anything differs.  Rules agree with nengo-loihi only where no
value leaves its range, weights lie on the grid, and there is no bias: so are its configurations.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.hardware.emulate import emulate
from snnsim.hardware.loihi import read_netx, write_netx
from snnsim.hardware.loihi.weights import SIGN_MODES, on_grid, scaled
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Conv, Dense, SumPool
from snnsim.stimuli import Analogue

PEERS = Path(__file__).resolve().parent / "peers"
STEPS, SOURCES, NEURONS = 50, 8, 4


def configurations(n: int, plain: bool) -> list[dict[str, Any]]:
    """Random layers; plain ones where nengo-loihi has the same rule."""
    generator = np.random.default_rng(1)
    found = []
    for k in range(n):
        mode = "mixed" if plain else SIGN_MODES[k % 3]
        low, high = {"mixed": (-256, 255), "excitatory": (0, 256), "inhibitory": (-255, 1)}[mode]
        weights = generator.integers(low, high, (NEURONS, SOURCES))
        bits = 8 if plain else int(generator.integers(1, 9))
        found.append({
            "mode": mode, "bits": bits, "exponent": 0 if plain else k % 15 - 7,
            "weights": (on_grid(weights, bits, mode).astype(int) if plain else weights).tolist(),
            "spikes": generator.binomial(1, 0.3, (STEPS, SOURCES)).tolist(),
            "du": int(generator.integers(0, 4096)), "dv": int(generator.integers(0, 4096)),
            "vth": int(2 ** generator.uniform(0, 11)),
            "bias_exponent": 0 if plain else int(generator.integers(0, 7)),
            "bias": 0 if plain else int(generator.integers(-4096, 4096)),
        })  # fmt: skip
    return found


def ours(c: dict[str, Any]) -> list[np.ndarray]:
    """u, v, s int[T, n] after each step."""
    weight, drop = scaled(on_grid(np.array(c["weights"]), c["bits"], c["mode"]), c["exponent"])
    unit = IntegerLIF(
        rule=RULES["loihi2"].replace(input_drop=drop), threshold=c["vth"] << 6, decay_u=c["du"] + 1,
        decay_v=c["dv"], bias=c["bias"] << c["bias_exponent"],
    )  # fmt: skip
    network = Network(
        stimuli={"x": Analogue(n=SOURCES)},
        populations={"y": Population(n=NEURONS, neuron=unit)},
        projections={
            "w": Projection(source="x", target="y", rule=Dense(weight=weight), weight_mv=1.0, delay_ms=1.0)
        },
        probes={f"y_{name}": Probe(target="y", variable=name) for name in "uvs"},
    )  # fmt: skip
    sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
    sim.present({"x": np.array(c["spikes"], float)[None]})
    sim.run_steps(STEPS + 1)
    u, v, s = (sim.samples(f"y_{name}")[1][:, 0].astype(int) for name in "uvs")
    return [u[1:], v[1:], s[:-1]]


def beside(name: str, command: list[str], n: int, plain: bool) -> int:
    """Values that differ from a peer's."""
    given = configurations(n, plain)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "configurations.json"
        path.write_text(json.dumps(given))
        answer = subprocess.run([*command, str(path)], capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"{name}: {answer.stderr[-2000:]}")
    theirs = json.loads(answer.stdout.splitlines()[-1])
    different, values, spikes = 0, 0, 0
    for c, their in zip(given, theirs, strict=True):
        for mine, other in zip(ours(c), their, strict=True):
            different += int((mine != np.array(other)).sum())
            values += mine.size
        spikes += int(np.array(their[2]).sum())
    print(f"{name}: {n} layers, {values:,} values of u, v and s with {spikes:,} spikes, {different} differ")
    return different


def written(python: str, lava: str, lava_dl: str) -> int:
    """Convolution, pooling and dense layers, written here and run by Lava: spikes that differ."""
    generator = np.random.default_rng(3)
    unit = IntegerLIF(rule=RULES["loihi2"], threshold=64 * 60, decay_u=2000, decay_v=300)
    biased = unit.replace(bias=np.repeat(generator.integers(-3, 20, 4), 9) * 64.0)
    rules = {
        "conv": Conv(
            weight=generator.integers(-20, 64, (4, 2, 3, 4)) * 2.0, height=6, width=8, stride_h=2, stride_w=3,
            pad_top=1, pad_bottom=1, pad_left=1, pad_right=1,
        ),
        "pool": SumPool(n_channels=4, height=3, width=3, kernel_h=2, kernel_w=3, stride_h=1, stride_w=3),
        "out": Dense(weight=generator.integers(-40, 100, (10, 8)) * 2.0),
    }  # fmt: skip
    names = ["x", *rules]
    network = Network(
        stimuli={"x": Analogue(n=96)},
        populations={
            name: Population(n=rule.sizes()[1], neuron=biased if name == "conv" else unit)
            for name, rule in rules.items()
        },
        projections={
            f"to_{name}": Projection(
                source=names[k], target=name, rule=rule, weight_mv=30.0 if name == "pool" else 1.0,
                delay_ms=1.0,
            )
            for k, (name, rule) in enumerate(rules.items())
        },
    )
    spikes = generator.binomial(1, 0.2, (2, 6, 8, 60))
    with tempfile.TemporaryDirectory() as folder:
        net, given, out = (Path(folder) / name for name in ("a.net", "x.npy", "out.h5"))
        write_netx(network, net)
        np.save(given, spikes.transpose(2, 1, 0, 3))
        emulate(network, spikes, record="s", output=out)
        with h5py.File(out) as file:
            mine = file["layers/2/s"][()]
        command = [python, str(PEERS / "lava_netx.py"), lava, lava_dl, str(net), str(given)]
        answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"Lava's NetX reader: {answer.stderr[-2000:]}")
    different = int((mine != np.array(json.loads(answer.stdout.splitlines()[-1]))).sum())
    print(f"a file written here, in Lava: {mine.sum()} output spikes, {different} differ")
    return different


def golden_sdnn(folder: Path) -> int:
    """Lava's own result of a sigma-delta network: its output in nine steps, and its first sums."""
    network = read_netx(folder / "pilotnet_sdnn" / "network.net")
    probes = {"out": Probe(target="dense9", variable="u"), "sums": Probe(target="conv1", variable="u")}
    sim = Simulator(network.replace(probes=probes), batch=1, dt_ms=1.0)
    image = np.load(folder / "pilotnet_sdnn" / "input.npy")[..., 0].transpose(2, 1, 0).reshape(1, 1, -1)
    sim.present({"input": image.repeat(9, axis=1)})
    sim.run_steps(10)
    out, sums = (sim.samples(name)[1][1:, 0].T for name in ("out", "sums"))
    expected = (
        np.load(folder / "pilotnet_sdnn" / "sigma1.npy").transpose(2, 1, 0, 3).reshape(len(sums), -1)[:, :9]
    )
    different = int(
        (out != np.load(folder / "pilotnet_sdnn" / "output.npy")).sum() + (sums != expected).sum()
    )
    print(f"pilotnet_sdnn: {out.size + sums.size:,} values, {different} differ")
    return different


LIF_LAYERS = {
    "input0": "input", "conv1": "conv-0", "conv2": "conv-1", "conv3": "conv-2", "conv4": "conv-3",
    "conv5": "conv-4", "dense7": "fc-0", "dense8": "fc-1", "dense9": "fc-2",
}  # fmt: skip


def golden_lif(folder: Path) -> int:
    """A run of a chip: 16 steps of each layer from its first input on; after a spike it reads v as 128."""
    network = read_netx(folder / "pilotnet_lif" / "network.net", reset_interval=64)
    probes = {f"{name}_{x}": Probe(target=name, variable=x) for name in LIF_LAYERS for x in "suv"}
    sim = Simulator(network.replace(probes=probes), batch=1, dt_ms=1.0)
    image = np.load(folder / "pilotnet_lif" / "image.npy").transpose(2, 1, 0).reshape(1, 1, -1)
    sim.present({"input": image.repeat(25, axis=1)})
    sim.run_steps(26)
    different = values = 0
    for layer, (name, file) in enumerate(LIF_LAYERS.items()):
        kept = {x: sim.samples(f"{name}_{x}")[1][:, 0].T[:, int(x != "s") :] for x in "suv"}
        for x in "suv":
            path = folder / "pilotnet_lif" / (f"{file}.npy" if x == "s" else f"{file}-{x}.npy")
            if not path.is_file():
                continue
            expected = np.load(path)
            if expected.ndim == 4:
                expected = expected.transpose(2, 1, 0, 3)
            expected = expected.reshape(len(kept[x]), -1)
            steps = slice(layer, min(layer + 16, expected.shape[1]))
            theirs, mine = expected[:, steps], kept[x][:, steps]
            if x == "v":
                theirs = np.where(kept["s"][:, steps] > 0, np.where(theirs == 128, 0, theirs), theirs)
            different, values = different + int((mine != theirs).sum()), values + mine.size
    print(f"pilotnet_lif: {values:,} values of u, v and s, {different} differ")
    return different


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lava", nargs=2, metavar=("PYTHON", "SRC"))
    parser.add_argument("--netx", metavar="SRC")
    parser.add_argument("--nengo", metavar="PYTHON")
    parser.add_argument("--golden", type=Path, metavar="FOLDER")
    parser.add_argument("-n", type=int, default=40)
    args = parser.parse_args()
    different = 0
    if args.lava:
        python, source = args.lava
        if args.netx:
            different += written(python, source, args.netx)
        different += beside("Lava", [python, str(PEERS / "lava_dense_lif.py"), source], args.n, False)
    if args.nengo:
        different += beside("nengo-loihi", [args.nengo, str(PEERS / "nengo_loihi_lif.py")], args.n, True)
    if args.golden:
        different += golden_sdnn(args.golden) + golden_lif(args.golden)
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
