"""What a chip or board can hold: its limits as data, each with its source and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from snnsim.errors import TargetError, nearest

SURE = {
    "read": "read in the source named",
    "inferred": "inferred by arithmetic from what the source prints; the maker has not published it",
    "recalled": "recalled from the source named, its text was not read again",
    "ours": "a choice of this project",
}
RESOURCES = ("neurons", "input_axons", "output_axons", "synaptic_words", "neuron_groups", "thresholds")


@dataclass(frozen=True)
class Limit:
    """One rule of a target.

    key     what is measured: a name of RESOURCES (for each core), "cores", or one of limits.MEASURES
    kind    "most" and "least" bound it, "multiple" is its grid, "one_of" lists what there is
    value   the bound
    fix     the way out when a network exceeds it
    sure    a name of SURE
    """

    key: str
    kind: str
    value: float | tuple[str, ...]
    unit: str
    source: str
    sure: str
    fix: str

    @property
    def name(self) -> str:
        """What messages call it: `weight.most`."""
        return f"{self.key}.{self.kind}"

    def text(self) -> str:
        """The bound in words."""
        if isinstance(self.value, tuple):
            return f"one of {', '.join(self.value)}"
        words = {"most": "at most", "least": "at least", "multiple": "a multiple of"}
        return f"{words[self.kind]} {self.value:,g}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Format:
    """How a core stores the synapses of one axon: entries in runs, each run filled up to whole words.

    words(n) = sum over runs of at most `run` entries of ceil((n_run bits + header_bits) / word_bits)
    weight_bits, index_bits  the widths there are
    """

    word_bits: int
    weight_bits: tuple[int, ...]
    index_bits: tuple[int, ...]
    header_bits: int = 0
    run: int | None = None
    shared: bool = True


@dataclass(frozen=True)
class Mesh:
    """Cores of one chip: routers in `height` rows of `width`, with `cores` at each."""

    width: int
    height: int
    cores: int
    source: str
    sure: str

    @property
    def n_cores(self) -> int:
        return self.width * self.height * self.cores


@dataclass(frozen=True)
class Target:
    """A chip or board.  `mesh` and `storage` are there where snnsim places networks on cores."""

    name: str
    title: str
    limits: tuple[Limit, ...]
    mesh: Mesh | None = None
    storage: Format | None = None
    notes: tuple[str, ...] = field(default=())

    def limit(self, key: str, kind: str = "most") -> Limit | None:
        """The limit of that key and kind; None where the target has none."""
        return next((found for found in self.limits if (found.key, found.kind) == (key, kind)), None)

    def capacity(self) -> Mapping[str, float]:
        """What one core holds, by resource; infinite where no limit is known."""
        found = {}
        for key in RESOURCES:
            limit = self.limit(key)
            found[key] = float("inf") if limit is None else float(limit.value)  # type: ignore[arg-type]
        return found


def get_target(target: Target | str) -> Target:
    """The target of that name.  Raises TargetError for an unknown one."""
    from snnsim.hardware.target_data import TARGETS

    if isinstance(target, Target):
        return target
    if target not in TARGETS:
        raise TargetError(
            "no such target", where="target", got=target, fix=nearest(target, TARGETS), code="target.unknown"
        )
    return TARGETS[target]


def target_names() -> tuple[str, ...]:
    """All targets."""
    from snnsim.hardware.target_data import TARGETS

    return tuple(TARGETS)


def explain(target: Target | str) -> list[dict[str, str]]:
    """Rows of a table of a target's limits: limit, bound, way out, how sure, source."""
    found = get_target(target)
    rows = [_row(limit.name, limit.text(), limit.fix, limit.sure, limit.source) for limit in found.limits]
    if found.mesh is not None:
        m = found.mesh
        shape = f"{m.width} x {m.height} routers, {m.cores} cores at each"
        rows.append(_row("mesh", shape, "", m.sure, m.source))
    return rows


def _row(limit: str, bound: str, fix: str, sure: str, source: str) -> dict[str, str]:
    return {"limit": limit, "bound": bound, "way out": fix, "sure": f"{sure}: {SURE[sure]}", "source": source}


def limits(rows: Iterable[tuple[str, str, float | tuple[str, ...], str, str, str]]) -> tuple[Limit, ...]:
    """Limits from rows (key, kind, value, unit, source, sure), with the usual way out of each."""
    return tuple(
        Limit(key, kind, value, unit, source, sure, WAYS_OUT[key])
        for key, kind, value, unit, source, sure in rows
    )


WAYS_OUT = {
    "neurons": "make the layer smaller, or split it",
    "input_axons": "connect each neuron to fewer sources: a smaller kernel, or relays that add up parts",
    "output_axons": "let each neuron reach fewer cores: fewer or smaller target layers",
    "synaptic_words": "fewer bits a weight, more zero weights, or fewer sources a neuron",
    "neuron_groups": "put fewer layers on a core",
    "thresholds": "give neurons of a core fewer different thresholds",
    "cores": "use more chips (chips=), or smaller layers",
    "layers": "use fewer layers",
    "weight": "quantise to fewer bits, or scale weights and thresholds down together",
    "weight_mixed": "quantise onto the grid, or split the projection into one of each sign",
    "weight_magnitude": "scale weights and thresholds down together",
    "threshold": "scale weights, biases and thresholds down together",
    "bias": "scale weights, biases and thresholds down together",
    "bias_mantissa": "round the bias to fewer significant bits",
    "decay_u": "choose another synaptic time constant",
    "decay_v": "choose another membrane time constant",
    "refractory": "choose a shorter refractory period",
    "delay": "choose another delay, or chain relays",
    "spikes_per_step": "let neurons fire less often in a step (`most` of their rule)",
    "population": "make the population smaller",
    "network": "make the network smaller",
    "inputs": "reduce the input, for example by pooling before the chip",
    "outputs": "fewer output neurons",
    "hidden": "fewer hidden neurons",
    "connection": "express it with a rule that the target has: pooling as a convolution, others as dense",
    "unit": "quantise the network for this target first",
    "fan_in": "connect each neuron to fewer sources",
    "fan_out": "let the layer feed fewer layers",
    "distinct_weights": "quantise to fewer different weights a neuron",
    "kernel": "use a smaller kernel",
    "stride": "use another stride",
    "channels": "use fewer channels",
    "map": "use a smaller map",
}
