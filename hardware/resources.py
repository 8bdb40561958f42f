"""What a part of a layer takes of a core, with the encoding of its synapses that takes the least.

    neurons         its units
    input_axons     sources that reach it, for each projection
    output_axons    for each unit, the parts elsewhere that it reaches
    synaptic_words  of the encodings allowed, the smallest:
        dense   every source has an entry of b bits for every unit of the part
        sparse  an entry of b + index bits for every synapse that is not zero
        shared  convolutions, pools and one-to-one connections: one kernel for the whole part; for each source
                channel and point of the kernel, one run of b bits for each target channel
    neuron_groups   settings of its neurons;  thresholds  different ones
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from snnsim.errors import TargetError, nearest
from snnsim.hardware.layout import Layer, Wire
from snnsim.hardware.targets import RESOURCES, Format
from snnsim.layers import Conv, Dense, Into, Window

ENCODINGS = ("dense", "sparse", "shared")
NEURONS, INPUTS, OUTPUTS, WORDS, GROUPS, THRESHOLDS = range(len(RESOURCES))


@dataclass(frozen=True)
class Storage:
    """How synapses may be stored.

    encodings    those to choose from; without "shared", convolutions are written out
    weight_bits  of every entry; without: the fewest that a projection needs and the target has
    cull_zeros   need sources without any weight for a part no axon there (dense)
    """

    encodings: tuple[str, ...] = ENCODINGS
    weight_bits: int | None = None
    cull_zeros: bool = True

    def __post_init__(self) -> None:
        for name in self.encodings:
            if name not in ENCODINGS:
                raise TargetError(
                    "no such encoding", where="encodings", got=name, fix=nearest(name, ENCODINGS)
                )
        if not {"dense", "sparse"} & set(self.encodings):
            raise TargetError(
                "no encoding for all projections",
                where="encodings",
                got=self.encodings,
                expected="dense or sparse among them",
            )
        if self.weight_bits is not None and self.weight_bits < 1:
            raise TargetError(
                "no bits for weights", where="weight_bits", got=self.weight_bits, expected="1 or more"
            )


@dataclass(frozen=True, eq=False)
class Part:
    """Channels [first, last) of a layer at positions order[begin:end], and what it needs of a core.

    need  float64[6] in the order of RESOURCES, without output axons; encodings by projection
    """

    layer: int
    first: int
    last: int
    begin: int
    end: int
    need: np.ndarray
    encodings: tuple[tuple[str, str], ...] = ()

    @property
    def n(self) -> int:
        return (self.last - self.first) * (self.end - self.begin)


def units_of(layer: Layer, part: Part) -> np.ndarray:
    """int64[n]: the units of a part, as the user counts them."""
    channels = np.arange(part.first, part.last) * layer.n_positions
    return (channels[:, None] + layer.order[part.begin : part.end]).ravel()


def make_part(
    layers: list[Layer], k: int, first: int, last: int, begin: int, end: int, format: Format, storage: Storage
) -> Part:
    """The part of layer k, with its needs."""
    layer, need = layers[k], np.zeros(len(RESOURCES))
    part = Part(k, first, last, begin, end, need)
    units = units_of(layer, part)
    need[NEURONS] = units.size
    need[GROUPS] = np.unique(layer.config[units]).size
    need[THRESHOLDS] = np.unique(layer.threshold[units]).size
    chosen = []
    for wire in layer.wires:
        n_axons, words = wire_needs(layer, wire, part, units, format, storage)
        best = min(words, key=lambda name: words[name])
        need[INPUTS] += n_axons
        need[WORDS] += words[best]
        chosen.append((wire.name, best))
    return Part(k, first, last, begin, end, need, tuple(chosen))


def wire_needs(
    layer: Layer, wire: Wire, part: Part, units: np.ndarray, format: Format, storage: Storage
) -> tuple[int, dict[str, int]]:
    """(input axons, words by encoding) that a projection takes in a part."""
    entry = entry_bits(wire, format, storage) + wire.delay.bit_length()
    index = _at_least(max(1, (units.size - 1).bit_length()), format.index_bits)
    allowed, rule = storage.encodings, wire.rule
    shared = "shared" in allowed and format.shared
    if isinstance(rule, Dense):
        given = np.count_nonzero(rule.weight[units], axis=0)
        axons = given[given > 0] if storage.cull_zeros else given
        n_axons, n_shared = axons.size, None
    elif isinstance(rule, Window):
        axons = _window_entries(layer, rule, part)
        n_axons, n_shared = axons.size, _shared_words(rule, part, entry, format) if shared else None
    else:
        axons = np.ones(sources_of(layer, wire, part).size, np.int64)
        n_axons, n_shared = axons.size, int(axon_words(1, entry, format)) if shared else None
    words = {}
    if "dense" in allowed:
        words["dense"] = n_axons * int(axon_words(units.size, entry, format))
    if "sparse" in allowed:
        words["sparse"] = int(axon_words(axons, entry + index, format).sum())
    if n_shared is not None:
        words["shared"] = n_shared
    return n_axons, words


def entry_bits(wire: Wire, format: Format, storage: Storage) -> int:
    """Bits of a weight as stored."""
    return storage.weight_bits or _at_least(wire.bits, format.weight_bits)


def _at_least(bits: int, widths: Collection[int]) -> int:
    return min((width for width in widths if width >= bits), default=bits)


def axon_words(n: int | np.ndarray, bits: int, format: Format) -> np.ndarray:
    """Words of axons with n entries each.

    Source: nengo-loihi SynapseConfig.bits_per_axon, of which a format without header is the plain case.
    """
    n = np.asarray(n, np.int64)
    if format.run is None:
        return (n > 0) * -(-(n * bits + format.header_bits) // format.word_bits)
    runs, rest = np.divmod(n, format.run)
    full = -(-(format.run * bits + format.header_bits) // format.word_bits)
    return runs * full + (rest > 0) * -(-(rest * bits + format.header_bits) // format.word_bits)


def sources_of(layer: Layer, wire: Wire, part: Part, cull_zeros: bool = True) -> np.ndarray:
    """int64: the sources of a projection that reach a part, ascending."""
    rule = wire.rule
    if isinstance(rule, Dense):
        if not cull_zeros:
            return np.arange(rule.weight.shape[1])
        return np.flatnonzero((rule.weight[units_of(layer, part)] != 0).any(axis=0))
    if isinstance(rule, Window):
        channels = np.concatenate([np.arange(low, high) for low, high, _ in _groups(rule, part)])
        seen = np.flatnonzero(_hits(layer, rule, part))
        return (channels[:, None] * (rule.height * rule.width) + seen).ravel()
    if isinstance(rule, Into):
        units = np.sort(units_of(layer, part)) - rule.offset
        return units[(units >= 0) & (units < rule.n_source)]
    raise TargetError("this rule cannot be cut into cores", where=f"projections.{wire.name}", got=rule.KIND)


def _window_entries(layer: Layer, rule: Window, part: Part) -> np.ndarray:
    """int64[n_axons]: synapses of each source, written out."""
    hits = _hits(layer, rule, part)
    seen = hits[hits > 0]
    return np.concatenate([np.tile(seen * n, high - low) for low, high, n in _groups(rule, part)])


def _shared_words(rule: Window, part: Part, entry: int, format: Format) -> int:
    kernel_h, kernel_w = rule.kernel()
    if not isinstance(rule, Conv):  # a pool: the same number everywhere
        return kernel_h * kernel_w * int(axon_words(1, entry, format))
    rows = [(high - low) * int(axon_words(n, entry, format)) for low, high, n in _groups(rule, part)]
    return kernel_h * kernel_w * sum(rows)


def _groups(rule: Window, part: Part) -> list[tuple[int, int, int]]:
    """(first, last source channel, target channels of the part) of each group of channels."""
    c_in, c_out = rule.channels()
    n_groups = rule.groups if isinstance(rule, Conv) else c_in
    wide_in, wide_out = c_in // n_groups, c_out // n_groups
    return [
        (g * wide_in, (g + 1) * wide_in, min(part.last, (g + 1) * wide_out) - max(part.first, g * wide_out))
        for g in range(part.first // wide_out, (part.last - 1) // wide_out + 1)
    ]


def _hits(layer: Layer, rule: Window, part: Part) -> np.ndarray:
    """int64[n_positions of the source map]: in how many windows of the part each position lies."""
    out_w, (kernel_h, kernel_w) = rule.target_map()[1], rule.kernel()
    row, column = np.divmod(layer.order[part.begin : part.end], out_w)
    y = row[:, None] * rule.stride_h - rule.pad_top + np.arange(kernel_h) * rule.dilation_h
    x = column[:, None] * rule.stride_w - rule.pad_left + np.arange(kernel_w) * rule.dilation_w
    y, x = y[:, :, None], x[:, None, :]
    inside = (y >= 0) & (y < rule.height) & (x >= 0) & (x < rule.width)
    return np.bincount((y * rule.width + x)[inside], minlength=rule.height * rule.width)


def least_need(layer: Layer, format: Format, storage: Storage) -> np.ndarray:
    """float64[6]: the least that a layer takes of all cores together, however it is cut.

    Synapses without what words are filled up with: of a dense layer every entry (every one that is not zero,
    where zeros are culled), of a shared kernel one copy.
    """
    need = np.zeros(len(RESOURCES))
    whole = Part(-1, 0, layer.channels, 0, layer.n_positions, need)
    need[NEURONS] = layer.n
    need[GROUPS] = np.unique(layer.config).size
    need[THRESHOLDS] = np.unique(layer.threshold).size
    plain = Format(format.word_bits, format.weight_bits, format.index_bits, shared=format.shared)
    for wire in layer.wires:
        entry = entry_bits(wire, format, storage) + wire.delay.bit_length()
        need[INPUTS] += sources_of(layer, wire, whole, storage.cull_zeros).size
        if isinstance(wire.rule, Dense) and "dense" in storage.encodings:
            entries = np.count_nonzero(wire.rule.weight) if storage.cull_zeros else wire.rule.weight.size
            need[WORDS] += entries * entry / format.word_bits
        elif isinstance(wire.rule, Dense):
            index = min(format.index_bits)
            need[WORDS] += np.count_nonzero(wire.rule.weight) * (entry + index) / format.word_bits
        else:
            need[WORDS] += _least_window(layer, wire, whole, entry, plain, storage)
    return need


def _least_window(
    layer: Layer, wire: Wire, whole: Part, entry: int, plain: Format, storage: Storage
) -> float:
    if "shared" in storage.encodings and plain.shared:
        if isinstance(wire.rule, Conv):
            return wire.rule.weight.size * entry / plain.word_bits
        return 1.0
    if isinstance(wire.rule, Window):
        return float(_window_entries(layer, wire.rule, whole).sum()) * entry / plain.word_bits
    return sources_of(layer, wire, whole).size * entry / plain.word_bits
