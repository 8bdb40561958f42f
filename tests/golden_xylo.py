"""Makes golden_xylo.npz: what xylosim 0.1.3 computes.  Run: python tests/golden_xylo.py (needs xylosim)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from xylo_examples import random_input, random_specification, run_xylosim

SEEDS, N_STEPS = (1, 4, 5, 6), 24

if __name__ == "__main__":
    kept: dict[str, np.ndarray] = {"seeds": np.array(SEEDS)}
    for seed in SEEDS:
        spec = random_specification(seed)
        given = random_input(spec, N_STEPS, seed)
        kept[f"{seed}/given"] = given.astype(np.uint8)
        for key, value in run_xylosim(spec, given).items():
            if key not in ("i_syn2", "i_syn_out"):
                kept[f"{seed}/{key}"] = value.astype(np.int16)
    np.savez_compressed(Path(__file__).with_name("golden_xylo.npz"), **kept)
