"""A chip of tinyODIN, as emulation sees it: its layers, its input, and what its neurons do.

A step is a tick: the spikes of the inputs in ascending order of their addresses, then a leak event of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from snnsim.errors import ConfigError
from snnsim.hardware.emulated_network import Layers, arranged
from snnsim.hardware.tinyodin import TinyOdinChip, TinyOdinCore


class EmulatedTinyOdin:
    """numbers: population -> number of its layer;  shapes: [n] of populations.  There are no currents."""

    variables = ("s", "v")

    def __init__(self, chip: TinyOdinChip) -> None:
        if not chip.inputs or not chip.outputs:
            raise ConfigError(
                "a chip without named inputs and outputs", where="inputs" if not chip.inputs else "outputs",
                got="none", expected="addresses by name", fix="name them in tinyodin.json",
            )  # fmt: skip
        self.chip = chip
        self.numbers = {name: i for i, name in enumerate(chip.outputs)}
        self.shapes = {name: (len(neurons),) for name, neurons in chip.outputs.items()}

    def given(self, inputs: np.ndarray) -> tuple[np.ndarray, bool]:
        """(float64[samples, T, n], are samples in front); inputs one after the other.  Raises ConfigError."""
        n = sum(len(addresses) for addresses in self.chip.inputs.values())
        return arranged(inputs, n, (n,), ", ".join(self.chip.inputs))

    def recorded(self, name: str, record: Sequence[str]) -> list[str]:
        """What of `record` a layer has."""
        del name
        return list(record)

    def kind(self, name: str) -> str:
        """Of the neurons of a layer."""
        del name
        return "tinyodin"

    def type_of(self, name: str, variable: str) -> str:
        """A type of a file that holds a variable."""
        del name
        return "i4" if variable == "s" else "i2"

    def runs(
        self, given: np.ndarray, record: Sequence[str], threads: int | None
    ) -> Iterator[tuple[int, Layers]]:
        """(number of a sample, its layers), one sample at a time; in one thread, since order matters."""
        del record, threads
        cuts = np.cumsum([len(addresses) for addresses in self.chip.inputs.values()])[:-1]
        for sample, values in enumerate(given):
            core = TinyOdinCore(self.chip)
            layers: Layers = {
                name: {key: np.zeros((1, *shape, len(values)), np.int64) for key in ("s", "v", "overflow")}
                for name, shape in self.shapes.items()
            }
            for t, row in enumerate(values):
                parts = np.split(row[None], cuts, axis=1)
                sent = core.run(dict(zip(self.chip.inputs, parts, strict=True)))
                for name, neurons in self.chip.outputs.items():
                    layers[name]["s"][0, :, t] = sent[name][0]
                    layers[name]["v"][0, :, t] = core.potential[neurons]
            yield sample, layers
