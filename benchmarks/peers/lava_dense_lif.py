"""Dense layers with LIF neurons in Lava's fixed point, from its checkout.  Prints u, v and s of each step.

    python lava_dense_lif.py SRC CONFIGURATIONS.json

SRC is the folder `src` of a checkout of Lava, which needs numpy < 2, scipy, networkx <= 2.8.7 and asteval.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np


def import_lava(source: str) -> None:
    """Python 3.11 refuses a default that Lava declares, unless its class has a hash: give it one."""
    sys.path.insert(0, source)
    plain = dataclasses.dataclass

    def lenient(cls: Any = None, **options: Any) -> Any:
        if getattr(cls, "__name__", "") == "ByteEncoder":
            return plain(eq=False)(cls)
        return plain(**options) if cls is None else plain(cls, **options)

    dataclasses.dataclass = lenient  # type: ignore[assignment]
    import lava.magma.compiler.var_model

    dataclasses.dataclass = plain  # type: ignore[assignment]
    del lava


def run(c: dict[str, Any]) -> list[list[list[int]]]:
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.dense.process import Dense
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF
    from lava.proc.monitor.process import Monitor
    from lava.utils.weightutils import SignMode

    spikes = np.array(c["spikes"]).T
    n, n_steps = len(c["weights"]), spikes.shape[1]
    source = RingBuffer(data=spikes)
    synapse = Dense(
        weights=np.array(c["weights"]), weight_exp=c["exponent"], num_weight_bits=c["bits"],
        sign_mode=SignMode[c["mode"].upper()],
    )  # fmt: skip
    neurons = LIF(
        shape=(n,), du=c["du"], dv=c["dv"], vth=c["vth"], bias_mant=c["bias"], bias_exp=c["bias_exponent"]
    )
    source.s_out.connect(synapse.s_in)
    synapse.a_out.connect(neurons.a_in)
    watched = {name: Monitor() for name in ("u", "v", "s_out")}
    for name, monitor in watched.items():
        monitor.probe(getattr(neurons, name), n_steps)
    neurons.run(condition=RunSteps(num_steps=n_steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = [next(iter(m.get_data().values()))[name].astype(int).tolist() for name, m in watched.items()]
    neurons.stop()
    return found


def main() -> None:
    import_lava(sys.argv[1])
    with open(sys.argv[2]) as file:
        configurations = json.load(file)
    print(json.dumps([run(c) for c in configurations]))


if __name__ == "__main__":
    main()
