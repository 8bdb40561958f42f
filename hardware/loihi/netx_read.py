"""Reading a Lava-DL NetX file into an integer network.

The layers are a chain.  Every synapse takes one step, and its delay on top; the bias of an input layer none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.errors import ConfigError, ConversionError, FileError
from snnsim.hardware.loihi.netx_file import Table, read_datasets
from snnsim.hardware.loihi.netx_neurons import MOST_BIAS, NetxOptions, read_unit
from snnsim.hardware.loihi.netx_notes import NetxNetwork, NetxNotes
from snnsim.layers import Conv, Dense, Into, LayerRule
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

INPUT = "input"
MOST_DELAY = 62
_LOW, _HIGH = -256, 255
_MOST_LAYERS = 1000
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

    Populations are named by type and number of their layer (conv1, dense7), the stimulus is `input`, its values
    whole: bias mantissas for an input layer with LIF neurons (weight and bias of that layer are for whoever
    encodes the data, as in Lava), values for one with sigma-delta neurons, else spikes, or graded ones.
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
        raise FileError("a NetX file without neurons", where=f"{path}:/layer", expected="a layer with neurons")
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

    def add(self, table: Table) -> None:
        kind = table.text("type")
        match kind:
            case "input":
                self._input(table)
            case "flatten":
                if self.shape:
                    self.shape = (prod(self.shape),)
            case "dense" | "dense_rec":
                self._dense(table, _matrix(table, "weight", prod(_shape(table))), kind == "dense_rec")
            case "conv":
                self._convolution(table, _conv(table, self._map(table)))
            case "pool":
                self._convolution(table, _pool(table, self._map(table)))
            case "average" if table.has("neuron/type"):
                self._dense(table, _average(table, self.shape))
            case _:
                raise ConversionError(
                    "a layer that cannot be read", where=f"{table.file}:/{table.path}", got=kind,
                    expected="input, dense, dense_rec, conv, pool, flatten",
                    fix=_ADVICE.get(kind, "export the network with these layers only"),
                )  # fmt: skip

    def _input(self, table: Table) -> None:
        if self.last != INPUT or self.shape:
            raise table.fault("type", "an input layer behind other layers", expected="layer 0")
        self.shape = _shape(table)
        if not table.has("neuron/type"):
            return
        for key in ("weight", "bias"):
            if table.has(key):
                table.whole(key, -MOST_BIAS, MOST_BIAS)
        n = prod(self.shape)
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
                raise table.fault("weight_rec", "not square", got=list(parts[1].shape), expected=f"[{n}, {n}]")
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
        said = _shape(table)
        if prod(said) != prod(shape) or (len(said) == 3 and said != shape):
            raise table.fault("shape", "not the shape of this convolution", got=list(said), expected=f"{shape}")
        name = self._population(table, prod(shape), _bias(table, shape))
        self._listen(table, name, rule, 1)
        self.last, self.shape = name, shape

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


def _shape(table: Table) -> tuple[int, ...]:
    found = tuple(int(k) for k in table.whole("shape", 1, COUNT_LIMIT, dims=(1,)))
    if len(found) not in (1, 3) or prod(found) > COUNT_LIMIT:
        raise table.fault(
            "shape", "not a shape", got=list(found),
            expected=f"[neurons] or [channels, rows, columns], at most {COUNT_LIMIT:,} in all",
        )  # fmt: skip
    return found


def _matrix(table: Table, key: str, n: int) -> np.ndarray:
    """float64[n, n_source]"""
    if not table.has(key) and table.has(f"{key}/real"):
        raise ConversionError(
            "complex weights", where=f"{table.file}:/{table.path}/{key}", fix=_ADVICE["dense_comp"]
        )
    found = table.whole(key, _LOW, _HIGH)
    if found.ndim not in (1, 2) or found.size == 0 or found.size % n or found.ndim == 2 and len(found) != n:
        raise table.fault(key, "not a matrix", got=list(found.shape), expected=f"[{n}, n_source]")
    return found.reshape(n, -1)


def _check_signs(table: Table, parts: list[np.ndarray]) -> None:
    """Lava clips what a synapse of 8 bits cannot hold: better told than clipped."""
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    if low < 0 < high and high > _HIGH - 1:
        raise table.fault("weight", "a weight beyond 8 bits", got=high, expected="-256 to 254 for both signs")
    if high <= 0 and low < -_HIGH:
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
        "delay", "not the delays of this layer", got=list(found.shape), expected=f"[], [{shape[0]}] or [{shape[1]}]"
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


def _conv(table: Table, source: tuple[int, int, int]) -> Conv:
    groups = table.integer("groups", 1, COUNT_LIMIT, 1)
    weight = _kernel(table)
    given = {"inChannels": weight.shape[1] * groups, "outChannels": weight.shape[0]}
    for key, found in given.items():
        if table.has(key) and table.integer(key, 1, COUNT_LIMIT) != found:
            raise table.fault(key, "not the channels of the weight", expected=str(found))
    if weight.shape[1] * groups != source[0] or weight.shape[0] % groups:
        raise table.fault(
            "weight", "not the channels of the layer before", got=list(weight.shape),
            expected=f"[n groups, {source[0]} / groups, rows, columns] with {groups} groups",
        )  # fmt: skip
    return _window(table, weight, source, groups)


def _pool(table: Table, source: tuple[int, int, int]) -> Conv:
    """A kernel that all channels share, each for itself; its weight has one point where all are alike."""
    kernel_h, kernel_w = table.pair("kernelSize", 1, COUNT_LIMIT)
    weight = _kernel(table)
    if weight.shape[:2] != (1, 1) or weight.shape[2:] not in ((1, 1), (kernel_h, kernel_w)):
        raise table.fault(
            "weight", "not the kernel of a pool", got=list(weight.shape), expected=f"[1, 1, {kernel_h}, {kernel_w}]"
        )
    if source[0] * kernel_h * kernel_w > COUNT_LIMIT:
        raise table.fault("kernelSize", "too large", got=[kernel_h, kernel_w])
    every = np.broadcast_to(weight, (source[0], 1, kernel_h, kernel_w))
    return _window(table, every, source, source[0], stride=(kernel_h, kernel_w))


def _average(table: Table, source: tuple[int, ...]) -> np.ndarray:
    """float64[n, n_source]: sums over groups of neighbours; the division is left to the threshold."""
    n, n_source = prod(_shape(table)), prod(source) if source else 0
    if n_source == 0 or n_source % n or n * n_source > COUNT_LIMIT:
        raise table.fault("shape", "groups of unequal size", got=n, expected=f"a divisor of {n_source}")
    weight = float(table.integer("weight", _LOW, _HIGH, 1))
    return np.kron(np.eye(n), np.full((1, n_source // n), weight))


def _kernel(table: Table) -> np.ndarray:
    found = table.whole("weight", _LOW, _HIGH, dims=(4, 5))
    if found.size == 0 or found.ndim == 5 and found.shape[4] != 1:
        raise table.fault(
            "weight", "not a kernel", got=list(found.shape), expected="[targets, sources, rows, columns(, 1)]"
        )
    return found.reshape(found.shape[:4])


def _window(
    table: Table, weight: np.ndarray, source: tuple[int, int, int], groups: int,
    stride: tuple[int, int] = (1, 1),
) -> Conv:  # fmt: skip
    stride_h, stride_w = table.pair("stride", 1, COUNT_LIMIT) if table.has("stride") else stride
    pad_h, pad_w = table.pair("padding", 0, COUNT_LIMIT, 0)
    dilation_h, dilation_w = table.pair("dilation", 1, COUNT_LIMIT, 1)
    try:
        return Conv(
            weight=weight, groups=groups, height=source[1], width=source[2], stride_h=stride_h,
            stride_w=stride_w, pad_top=pad_h, pad_bottom=pad_h, pad_left=pad_w, pad_right=pad_w,
            dilation_h=dilation_h, dilation_w=dilation_w,
        )  # fmt: skip
    except ConfigError as error:
        raise table.fault("weight", error.problem, got=error.got, expected=error.expected) from error
