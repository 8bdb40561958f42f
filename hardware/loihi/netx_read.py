"""Reading a Lava-DL NetX file into an integer network.

The layers are a chain.  Every synapse takes one step, and its delay on top; the bias of an input layer none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from snnsim.errors import ConfigError, ConversionError, FileError
from snnsim.hardware.loihi.netx_file import Table, read_datasets
from snnsim.hardware.loihi.netx_geometry import (
    HIGH,
    LOW,
    conv_rule,
    pool_rule,
    shape_of,
    sums_of_groups,
)
from snnsim.hardware.loihi.netx_neurons import MOST_BIAS, NetxOptions, read_unit
from snnsim.hardware.loihi.netx_notes import NetxNetwork, NetxNotes
from snnsim.layers import Conv, Dense, Into, LayerRule
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

INPUT = "input"
MOST_DELAY = 62
_MOST_LAYERS = 1000
_MOST_MAPPED = 2**26  # neurons of convolutions and inputs, which few numbers of a file can ask for
_ADVICE = {
    "convT": "use strided convolutions only",
    "unpool": "leave upsampling out, or train with a convolution there",
    "concat": "a chain of layers is all that a NetX file can run; leave out skip connections",
    "dense_comp": "complex weights need resonate-and-fire neurons: train with cuba or sdnn blocks",
    "average": "leave it out, and average over the spikes of the layer before it afterwards",
    "affine": "export it as dense",
    "kwta": "leave it out",
}


def read_netx(
    path: Path | str, *, spike_exp: int = 6, reset_interval: int | None = None, reset_offset: int = 0
) -> NetxNetwork:
    """A NetX file as a network for `Simulator(network, batch=B, dt_ms=1.0)`.

    spike_exp, reset_interval, reset_offset  as Lava's reader takes them, see `NetxOptions`

    Populations are named by type and number of their layer (conv1, dense7), the stimulus is `input`, its
    values whole: bias mantissas for an input layer with LIF neurons (weight and bias of that layer are for
    whoever encodes the data, as in Lava), values for one with sigma-delta neurons, else spikes.
    Layers of pooling become strided convolutions, those of averaging, where they have neurons, sums (dense).
    What the network does not say (refDelay, types of datasets, ...) lies beside it in `notes`, so that
    `write_netx` writes the same datasets again; pooling is written as what it became, which Lava can read.
    Raises FileError for a file that is unsafe, damaged or not NetX, ConversionError for a layer or a neuron
    that cannot be read, and ConfigError for options that cannot be.
    """
    options = NetxOptions(spike_exp, reset_interval, reset_offset)
    if not 0 <= spike_exp <= 7 or reset_offset < 0 or (reset_interval is not None and reset_interval < 1):
        raise ConfigError(
            "options that cannot be", where="read_netx", got=options,
            expected="0 <= spike_exp <= 7, reset_interval >= 1, reset_offset >= 0",
        )  # fmt: skip
    datasets = read_datasets(path)
    builder = _Builder(options)
    for table in _layers(str(path), datasets):
        builder.add(table)
    if not builder.populations:
        raise FileError("a NetX file without neurons", where=f"{path}:/layer", code="file.not_netx")
    kept = {name: _without_values(name, value, builder.numbers) for name, value in datasets.items()}
    return NetxNetwork(
        populations=builder.populations, projections=builder.projections, stimuli=builder.stimuli,
        notes=NetxNotes(builder.numbers, kept, spike_exp),
    )  # fmt: skip


def _layers(file: str, datasets: dict[str, np.ndarray]) -> list[Table]:
    numbers = {name.split("/")[1] for name in datasets if name.startswith("layer/")}
    wanted = [str(i) for i in range(len(numbers))]
    if not numbers or numbers != set(wanted) or len(numbers) > _MOST_LAYERS:
        raise FileError(
            "not a NetX file: layers are not numbered from 0", where=f"{file}:/layer", code="file.not_netx",
            got=", ".join(sorted(numbers)[:20]) or "none", expected="groups 0, 1, 2, ... with datasets",
            fix="write it again with the tool it came from",
        )  # fmt: skip
    return [Table(file, f"layer/{i}", datasets) for i in wanted]


def _without_values(name: str, value: np.ndarray, numbers: dict[str, int]) -> np.ndarray:
    """Weights and biases come from the network: here their types and shapes are enough."""
    layer, _, key = name.removeprefix("layer/").partition("/")
    inputs = [str(i) for population, i in numbers.items() if population.startswith(INPUT)]
    if key in ("weight", "weight_rec", "bias") and layer not in inputs:
        return np.broadcast_to(np.zeros((), value.dtype), value.shape)
    return value


@dataclass
class _Builder:
    """Layer by layer; `last` and `shape` are the population or input that the next layer listens to."""

    options: NetxOptions
    populations: dict[str, Population] = field(default_factory=dict)
    projections: dict[str, Projection] = field(default_factory=dict)
    stimuli: dict[str, Analogue] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    last: str = INPUT
    n_mapped: int = 0

    def add(self, table: Table) -> None:
        kind = table.text("type")
        match kind:
            case "input":
                self._input(table)
            case "flatten":
                if self.shape:
                    self.shape = (prod(self.shape),)
            case "dense" | "dense_rec":
                self._dense(table, _matrix(table, "weight", prod(shape_of(table))), kind == "dense_rec")
            case "conv":
                self._convolution(table, conv_rule(table, self._map(table)))
            case "pool":
                self._convolution(table, pool_rule(table, self._map(table)))
            case "average" if table.has("neuron/type"):
                self._dense(table, sums_of_groups(table, self.shape))
            case _:
                raise ConversionError(
                    "a layer that cannot be read", where=f"{table.file}:/{table.path}", got=kind,
                    expected="input, dense, dense_rec, conv, pool, flatten",
                    fix=_ADVICE.get(kind, "export the network with these layers only"),
                )  # fmt: skip

    def _input(self, table: Table) -> None:
        if self.last != INPUT or self.shape:
            raise table.fault("type", "an input layer behind other layers", expected="layer 0")
        self.shape = shape_of(table)
        if not table.has("neuron/type"):
            return
        for key in ("weight", "bias"):
            if table.has(key):
                table.whole(key, -MOST_BIAS, MOST_BIAS)
        n = prod(self.shape)
        self._claim(table, n)
        name = self._population(table, n, 0.0)
        self._listen(table, name, Into(n_source=n, n_target=n), 0)
        self.last = name

    def _dense(self, table: Table, weight: np.ndarray, recurrent: bool = False) -> None:
        n = len(weight)
        if self.shape and prod(self.shape) != weight.shape[1]:
            raise table.fault(
                "weight", "not as many inputs as the layer before has", got=list(weight.shape),
                expected=f"[{n}, {prod(self.shape)}]",
            )  # fmt: skip
        parts = [weight]
        if recurrent:
            parts.append(_matrix(table, "weight_rec", n))
            if parts[1].shape != (n, n):
                raise table.fault("weight_rec", "not square", list(parts[1].shape), f"[{n}, {n}]")
        _check_signs(table, parts)
        delay = _delays(table, weight.shape)
        if recurrent and delay.ndim:
            raise table.fault("delay", "delays of a recurrent layer", expected="one number for all")
        self.shape = (weight.shape[1],)
        name = self._population(table, n, _bias(table, (n,)))
        for steps in np.unique(delay):
            part = weight if delay.ndim == 0 else np.where(delay == steps, weight, 0.0)
            self._listen(table, name, Dense(weight=part), 1 + int(steps))
        self.last, self.shape = name, (n,)
        if recurrent:
            self._listen(table, name, Dense(weight=parts[1]), 1 + int(delay))

    def _map(self, table: Table) -> tuple[int, int, int]:
        if len(self.shape) == 3:
            return self.shape[0], self.shape[1], self.shape[2]
        raise table.fault(
            "type", "a convolution of what is no map", got=list(self.shape) or "an unknown input",
            expected="channels, rows, columns", fix="add an input layer with a shape",
        )  # fmt: skip

    def _convolution(self, table: Table, rule: Conv) -> None:
        shape = (rule.channels()[1], *rule.target_map())
        said = shape_of(table)
        if prod(said) != prod(shape) or (len(said) == 3 and said != shape):
            raise table.fault("shape", "not the shape of this convolution", list(said), f"{list(shape)}")
        self._claim(table, prod(shape))
        name = self._population(table, prod(shape), _bias(table, shape))
        self._listen(table, name, rule, 1)
        self.last, self.shape = name, shape

    def _claim(self, table: Table, n: int) -> None:
        """n more neurons that no weights of their own in the file account for."""
        self.n_mapped += n
        if self.n_mapped > _MOST_MAPPED:
            raise table.fault("shape", "too many neurons", self.n_mapped, f"at most {_MOST_MAPPED:,} in maps")

    def _population(self, table: Table, n: int, bias: np.ndarray | float) -> str:
        number = int(table.path.rpartition("/")[2])
        name = f"{table.text('type')}{number}"
        unit = read_unit(table, bias, len(self.populations), self.options)
        self.populations[name] = Population(n=n, neuron=unit)  # type: ignore[arg-type]
        self.numbers[name] = number
        return name

    def _listen(self, table: Table, target: str, rule: LayerRule, delay: int) -> None:
        if self.last == INPUT and INPUT not in self.stimuli:
            self.stimuli[INPUT] = Analogue(n=prod(self.shape))
        source = self.last
        name = f"{source}_to_{target}" + (f"_in_{delay}" if delay > 1 else "")
        self.projections[name] = Projection(
            source=source, target=target, rule=rule, weight_mv=1.0, delay_ms=float(delay)
        )


def _matrix(table: Table, key: str, n: int) -> np.ndarray:
    """float64[n, n_source]"""
    if not table.has(key) and table.has(f"{key}/real"):
        raise ConversionError(
            "complex weights", where=f"{table.file}:/{table.path}/{key}", fix=_ADVICE["dense_comp"]
        )
    found = table.whole(key, LOW, HIGH)
    if found.ndim not in (1, 2) or found.size == 0 or found.size % n or found.ndim == 2 and len(found) != n:
        raise table.fault(key, "not a matrix", got=list(found.shape), expected=f"[{n}, n_source]")
    return found.reshape(n, -1)


def _check_signs(table: Table, parts: list[np.ndarray]) -> None:
    """Lava clips what a synapse of 8 bits cannot hold: better told than clipped."""
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    if low < 0 < high and high > HIGH - 1:
        raise table.fault("weight", "a weight beyond 8 bits", got=high, expected="-256 to 254 for both signs")
    if high <= 0 and low < -HIGH:
        raise table.fault("weight", "a weight beyond 8 bits", got=low, expected="-255 to 0 for negative ones")


def _delays(table: Table, shape: tuple[int, ...]) -> np.ndarray:
    """Steps, one number or float64[n_target, n_source]; of n numbers the targets go first, as in Lava."""
    if not table.has("delay"):
        return np.zeros(())
    found = table.whole("delay", 0, MOST_DELAY).squeeze()
    if found.ndim == 0:
        return found
    if found.shape == (shape[0],):
        return np.broadcast_to(found[:, None], shape)
    if found.shape == (shape[1],):
        return np.broadcast_to(found, shape)
    if found.shape == shape:
        return found
    raise table.fault(
        "delay", "not the delays of this layer", list(found.shape), f"[], [{shape[0]}] or [{shape[1]}]"
    )


def _bias(table: Table, shape: tuple[int, ...]) -> np.ndarray | float:
    """Mantissas, for each neuron; one number a channel stands for its map."""
    if not table.has("bias"):
        return 0.0
    found = table.whole("bias", -MOST_BIAS, MOST_BIAS)
    if found.size == 1:
        return float(found.ravel()[0])
    if found.size == shape[0]:
        return np.repeat(found.ravel(), prod(shape[1:]))
    raise table.fault("bias", "not the biases of this layer", got=list(found.shape), expected=f"[{shape[0]}]")
