"""LIF neurons in nengo-loihi's emulator of the chip.  Prints u, v and s of each step.

    python nengo_loihi_lif.py CONFIGURATIONS.json

Its compartments get the sums of the weights of the step before, at the place of synapses: how nengo-loihi
rounds weights is not asked here.
"""

from __future__ import annotations

import json
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

ALIGN = 6
SPREAD = ("decay_u", "decay_v", "vth", "bias", "refract_delay", "enable_noise")


def run(c: dict[str, Any]) -> list[list[list[int]]]:
    from nengo_loihi.block import LoihiBlock
    from nengo_loihi.emulator.interface import EmulatorInterface

    weights, n = np.array(c["weights"]), len(c["weights"])
    block = LoihiBlock(n)
    part = block.compartment
    values = (c["du"], c["dv"], c["vth"] << ALIGN, c["bias"] << c["bias_exponent"], 1, 0)
    for name, value in zip(SPREAD, values, strict=True):
        setattr(part, name, np.full(n, value, bool if name == "enable_noise" else np.int32))
    part.vmin, part.vmax, part.scale_u, part.scale_v = 1 - 2**23, 2**23 - 1, False, False
    emulator = EmulatorInterface(SimpleNamespace(blocks=[block], inputs=[], probes=[], dt=0.001), seed=0)
    state, found, before = emulator.compartment, [], np.zeros(len(weights[0]), int)
    for spikes in c["spikes"]:
        state.advance_input()
        state.input[0, :] = (weights @ before) << ALIGN
        state.update(emulator.rng)
        found.append([state.current.tolist(), state.voltage.tolist(), state.spiked.astype(int).tolist()])
        before = np.array(spikes)
    return [[step[k] for step in found] for k in range(3)]


def main() -> None:
    warnings.simplefilter("ignore")  # of versions
    with open(sys.argv[1]) as file:
        configurations = json.load(file)
    print(json.dumps([run(c) for c in configurations]))


if __name__ == "__main__":
    main()
