"""A NetX file in Lava, by lava-dl's own reader.  Prints how many output spikes each neuron has in each step.

    python lava_netx.py LAVA_SRC LAVA_DL_SRC FILE.net INPUT.npy

INPUT holds spikes [x, y, channel, step].  Needs what Lava needs, and h5py.  Of lava-dl only the reader is
loaded, since the rest of it needs torch.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from lava_dense_lif import import_lava


def reader(folder: Path) -> Any:
    """lava.lib.dl.netx.hdf5 without what it does not use for such files."""
    for name in ("lib", "lib.dl", "lib.dl.netx", "lib.dl.slayer", "lib.dl.slayer.neuron"):
        module = types.ModuleType(f"lava.{name}")
        module.__path__ = [str(folder.joinpath("lava", *name.split(".")))]
        sys.modules[f"lava.{name}"] = module
    for name in ("lib.dl.slayer.neuron.rf", "lib.dl.netx.sequential_modules"):
        sys.modules[f"lava.{name}"] = types.ModuleType(f"lava.{name}")
        sys.modules[f"lava.{name}"].__file__ = __file__  # Lava asks where it lies
    sys.modules["lava.lib.dl.slayer.neuron.rf"].neuron_params = None  # type: ignore[attr-defined]
    from lava.lib.dl.netx import hdf5

    return hdf5


def main() -> None:
    source, source_dl, path, given = sys.argv[1:]
    import_lava(source)
    hdf5 = reader(Path(source_dl))
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    network, spikes = hdf5.Network(net_config=path), np.load(given)
    n_steps = spikes.shape[-1]
    data = io.source.RingBuffer(data=spikes)
    found = io.sink.RingBuffer(shape=network.out.shape, buffer=n_steps)
    data.s_out.connect(network.inp)
    network.out.connect(found.a_in)
    network.run(condition=RunSteps(num_steps=n_steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    print(json.dumps(found.data.get().astype(int).tolist()))
    network.stop()


if __name__ == "__main__":
    main()
