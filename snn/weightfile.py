"""weights.h5: what the plastic synapses of a run have become, in the SONATA layout of edges.

    /edges/<projection>/{source_node_id, target_node_id} uint64     indices within the populations
    /edges/<projection>/0/syn_weight float64                        in `units`

Source: SONATA developer guide, "Representing edges".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from snnsim.atomic import replacing
from snnsim.errors import FileError, nearest
from snnsim.hdf5_safety import damage_errors, open_untrusted
from snnsim.hdf5_writing import abandon, create_hdf5, hdf5_writes, sync
from snnsim.tablefile import SONATA_MAGIC, SONATA_VERSION, find_dataset


class Edges(NamedTuple):
    """Synapses of one projection: source, target int64[k], weight float64[k], and the weight's unit."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64]
    unit: str

    def matrix(self, n_source: int, n_target: int) -> NDArray[np.float64]:
        """weight[n_source, n_target]; synapses of one pair are summed, absent ones are 0."""
        dense = np.zeros((n_source, n_target))
        np.add.at(dense, (self.source, self.target), self.weight)
        return dense


def write_weights(path: Path | str, projections: Mapping[str, Edges]) -> None:
    """Write the synapses of some projections, atomically. Raises StorageError."""
    with replacing(path) as temporary:
        file = create_hdf5(temporary)
        try:
            with hdf5_writes(file):
                file.attrs["magic"] = np.uint32(SONATA_MAGIC)
                file.attrs["version"] = np.array(SONATA_VERSION, np.uint32)
                edges = file.create_group("edges")
                for name, given in projections.items():
                    group = edges.create_group(name)
                    group["source_node_id"] = np.asarray(given.source, np.uint64)
                    group["target_node_id"] = np.asarray(given.target, np.uint64)
                    group["0/syn_weight"] = np.asarray(given.weight, np.float64)
                    group["0/syn_weight"].attrs["units"] = given.unit
                sync(file)
                file.close()
        finally:
            abandon(file)


def read_weights(path: Path | str, projection: str) -> Edges:
    """The synapses of one projection. Raises FileError."""
    with open_untrusted(path) as file, damage_errors(file):
        known = list(file["edges"]) if isinstance(file.get("edges"), h5py.Group) else []
        if projection not in known:
            raise FileError("no weights of this projection", where=f"{path}:/edges", got=projection,
                            fix=nearest(projection, known))  # fmt: skip
        inside = f"/edges/{projection}"
        source = find_dataset(file, f"{inside}/source_node_id", "iu", 1)
        target = find_dataset(file, f"{inside}/target_node_id", "iu", 1)
        weight = find_dataset(file, f"{inside}/0/syn_weight", "f", 1)
        if not len(source) == len(target) == len(weight):
            raise FileError("columns of different length", where=f"{path}:{inside}",
                            got=(len(source), len(target), len(weight)))  # fmt: skip
        return Edges(source[:].astype(np.int64), target[:].astype(np.int64), weight[:].astype(np.float64),
                     str(weight.attrs.get("units", "")))  # fmt: skip
