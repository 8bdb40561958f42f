"""Runs a network file in SANA-FE on its own Loihi, and prints what it counted as JSON.

    python sanafe_run.py FILE.yaml STEPS [simple|detailed]
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version

import sanafe


def main() -> None:
    path, steps, timing = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["simple"])[0]
    kept = os.dup(1)  # the library talks on the standard output
    os.dup2(2, 1)
    arch = sanafe.load_loihi()
    chip = sanafe.SpikingChip(arch)
    chip.load(sanafe.load_net(path, arch))
    found = chip.sim(steps, timing_model=timing)
    sys.stdout.flush()
    os.dup2(kept, 1)
    keys = ("energy", "sim_time", "spikes", "packets_sent", "neurons_updated", "neurons_fired")
    print(json.dumps({key: found[key] for key in keys} | {"version": version("sanafe")}))


if __name__ == "__main__":
    main()
