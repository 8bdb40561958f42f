"""NetX files of the shared folder, and small ones made here."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = Path(os.environ.get("SNNSIM_SHARED", REPOSITORY.parent / "shared")) / "fixtures"
NETX = FIXTURES / "netx"
needs_netx = pytest.mark.skipif(not NETX.is_dir(), reason=f"no NetX files in {NETX}; set SNNSIM_SHARED")
FILES = {
    "tinynet": "tinynet/tiny.net",
    **{name: f"{name}/network.net" for name in ("mnist", "oxford", "pilotnet_snn", "pilotnet_sdnn")},
}
CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 10, "refDelay": 1, "gradedSpike": False}


def write_layers(path, *layers, **others):
    """A NetX file; a layer is a mapping of datasets, `neuron` one within it, `type` a word."""
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            for key, value in layer.items():
                if key == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode()])
                elif isinstance(value, dict):
                    for name, inner in value.items():
                        group.create_dataset(f"{key}/{name}", data=inner)
                else:
                    group.create_dataset(key, data=value)
        for key, value in others.items():
            file.create_dataset(key, data=value)
    return path


def dense(weight, neuron=CUBA, **more):
    weight = np.asarray(weight, np.float32)
    shape = {"shape": np.array([len(weight)]), "inFeatures": weight.shape[1], "outFeatures": len(weight)}
    return {"type": "dense", **shape, "weight": weight, "neuron": neuron, **more}


def all_datasets(path):
    """What a file holds: type, shape and bytes of every dataset."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            raw = value if isinstance(value, bytes) else np.asarray(value).tobytes()
            found[name] = (item.id.get_type().encode(), item.dtype.str, item.shape, raw)

    with h5py.File(path) as file:
        file.visititems(take)
    return found
