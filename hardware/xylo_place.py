"""An integer network as a specification of Xylo: which neurons are hidden ones, and which are outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from snnsim.converters.dense import apply
from snnsim.errors import TargetError
from snnsim.hardware.xylo import (
    BIAS,
    DASH,
    MOST_HIDDEN,
    MOST_INPUTS,
    MOST_OUT,
    MOST_OUTPUTS,
    SHIFT,
    THRESHOLD,
    WEIGHT,
    XyloSpecification,
)
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import LayerRule
from snnsim.network import Network
from snnsim.projection import Projection

_QUANTISE = 'quantise the network for "xylo"'


class _Block(NamedTuple):
    """Populations one behind the other: where each begins, and how many units there are in all."""

    first: dict[str, int]
    n: int


def place_xylo(network: Network) -> XyloSpecification:
    """A chip that computes what the network does.

    The network: Analogue inputs; populations of IntegerLIF with RULES["xylo"], which become the hidden
    neurons in their order; outputs with the same rule and most = 1, which lead nowhere; connections of layers
    with whole weights, without delay from inputs, with one step elsewhere.  Where currents saturate within a
    step, the order of spikes matters: that of the chip is the one of `xylo_network(place_xylo(network))`.
    Raises TargetError with the place, the value, the limit and a way out for what does not fit.
    """
    hidden, outputs = _kinds(network)
    blocks = (
        _block(network, list(network.sources()), MOST_INPUTS, "inputs"),
        _block(network, hidden, MOST_HIDDEN, "hidden neurons"),
        _block(network, outputs, MOST_OUTPUTS, "output neurons"),
    )
    for name, p in network.projections.items():
        _check_projection(network, p, name, blocks)
    weights_in, shift_in = _weights(network, blocks[0], blocks[1], "inputs to hidden neurons")
    weights_rec, shift_rec = _weights(network, blocks[1], blocks[1], "hidden neurons to each other")
    weights_out, shift_out = _weights(network, blocks[1], blocks[2], "hidden neurons to outputs")
    second = any(_neuron(network, name).decay_u2 is not None for name in hidden)
    return XyloSpecification(
        weights_in=weights_in, weights_rec=weights_rec, weights_out=weights_out[:, :, 0],
        dash_mem=_values(network, hidden, "decay_v", DASH),
        dash_syn=_values(network, hidden, "decay_u", DASH),
        dash_syn_2=_values(network, hidden, "decay_u2", DASH) if second else np.zeros(blocks[1].n, np.int64),
        threshold=_values(network, hidden, "threshold", THRESHOLD),
        bias=_values(network, hidden, "bias", BIAS),
        dash_mem_out=_values(network, outputs, "decay_v", DASH),
        dash_syn_out=_values(network, outputs, "decay_u", DASH),
        threshold_out=_values(network, outputs, "threshold", THRESHOLD),
        bias_out=_values(network, outputs, "bias", BIAS), alias=_aliases(network, hidden, blocks[1]),
        weight_shift_in=shift_in, weight_shift_rec=shift_rec, weight_shift_out=shift_out,
    )  # fmt: skip


def _kinds(network: Network) -> tuple[list[str], list[str]]:
    """Names of the hidden populations, and of the outputs."""
    hidden: list[str] = []
    outputs: list[str] = []
    rule = RULES["xylo"]
    for name, population in network.populations.items():
        where, neuron = f"populations.{name}.neuron", population.unit
        if not isinstance(neuron, IntegerLIF) or neuron.rule not in (rule, rule.replace(most=MOST_OUT)):
            raise TargetError(
                "neurons that Xylo does not have", where=where, got=neuron.KIND,
                expected='integer_lif with RULES["xylo"], or the same with most = 1 for outputs',
                fix=_QUANTISE,
            )  # fmt: skip
        for key in ("refractory", "v_init", "u_init"):
            if np.any(np.asarray(getattr(neuron, key))):
                raise TargetError(
                    "Xylo has no such thing", where=f"{where}.{key}", got=getattr(neuron, key), expected="0"
                )
        if neuron.floor is not None and np.any(np.asarray(neuron.floor) > rule.v_low):
            raise TargetError(
                "Xylo has no such thing", where=f"{where}.floor", got=neuron.floor, expected="none"
            )
        (outputs if neuron.rule.most == MOST_OUT else hidden).append(name)
    if not hidden or not outputs:
        raise TargetError(
            "Xylo needs hidden neurons and outputs", where="populations", got=", ".join(network.populations),
            expected='at least one with RULES["xylo"], and one with most = 1', fix=_QUANTISE,
        )  # fmt: skip
    return hidden, outputs


def _neuron(network: Network, name: str) -> IntegerLIF:
    neuron = network.populations[name].unit
    if not isinstance(neuron, IntegerLIF):
        raise TargetError("not an integer neuron", where=f"populations.{name}.neuron", got=neuron.KIND)
    return neuron


def _block(network: Network, names: Sequence[str], most: int, what: str) -> _Block:
    first, n = {}, 0
    for name in names:
        first[name] = n
        size = (
            network.populations[name].n
            if name in network.populations
            else getattr(network.stimuli[name], "n", 0)
        )
        n += int(size)
    if not 1 <= n <= most:
        raise TargetError(
            f"Xylo A2 has not as many {what}", where=", ".join(names), got=n, expected=f"1 to {most}",
            fix="make the network smaller",
        )  # fmt: skip
    return _Block(first, n)


def _check_projection(
    network: Network, p: Projection, name: str, blocks: tuple[_Block, _Block, _Block]
) -> None:
    inputs, hidden, outputs = (block.first for block in blocks)
    where = f"projections.{name}"
    if not (
        (p.source in hidden and p.target in {**hidden, **outputs})
        or (p.source in inputs and p.target in hidden)
    ):
        raise TargetError(
            "Xylo has no such connections", where=where, got=f"{p.source} to {p.target}",
            expected="input to hidden, hidden to hidden, hidden to output", fix="put hidden neurons between",
        )  # fmt: skip
    needed = 0.0 if p.source in inputs else 1.0
    if p.delay_ms != needed or not isinstance(p.rule, LayerRule):
        raise TargetError(
            "a delay that Xylo does not have", where=f"{where}.delay_ms", got=p.delay_ms,
            expected=f"{needed:g} here: 0 from inputs, 1 step elsewhere", fix="put hidden neurons between",
        )  # fmt: skip


def _weights(network: Network, source: _Block, target: _Block, what: str) -> tuple[np.ndarray, int]:
    """int64[n_source, n_target, 2] of 8 bits, and the shift that they all share."""
    found = np.zeros((source.n, target.n, 2))
    links = []
    for name, p in network.projections.items():
        if p.source not in source.first or p.target not in target.first or not isinstance(p.rule, LayerRule):
            continue
        links.append(name)
        n_source, n_target = p.rule.sizes()
        matrix = float(p.weight) * apply(p.rule, np.eye(n_source))  # type: ignore[arg-type]
        a, b = source.first[p.source], target.first[p.target]
        found[a : a + n_source, b : b + n_target, int(p.receptor == "inh")] += matrix
    where = ", ".join(f"projections.{name}" for name in links) or what
    if np.any(found != np.rint(found)):
        raise TargetError(
            "a weight that is not whole",
            where=where,
            got=float(found[found != np.rint(found)][0]),
            fix=_QUANTISE,
        )
    whole = found.astype(np.int64)
    for shift in range(SHIFT[1] + 1):
        small = whole >> shift
        if np.array_equal(small << shift, whole) and np.all((small >= WEIGHT[0]) & (small <= WEIGHT[1])):
            return small, shift
    raise TargetError(
        f"weights of {what} that 8 bits and one common shift cannot give", where=where,
        got=f"{whole.min()} to {whole.max()}", expected="-128 to 127, times one power of two up to 2**7",
        fix=_QUANTISE,
    )  # fmt: skip


def _values(network: Network, names: Sequence[str], key: str, bounds: tuple[int, int]) -> np.ndarray:
    """int64 of all neurons of these populations."""
    parts = []
    for name in names:
        value = getattr(_neuron(network, name), key)
        values = np.broadcast_to(
            np.asarray(0 if value is None else value, np.int64), network.populations[name].n
        )
        wrong = values[(values < bounds[0]) | (values > bounds[1])]
        if wrong.size:
            raise TargetError(
                "a number that Xylo cannot hold", where=f"populations.{name}.neuron.{key}", got=int(wrong[0]),
                expected=f"{bounds[0]} to {bounds[1]}", fix=_QUANTISE,
            )  # fmt: skip
        parts.append(values)
    return np.concatenate(parts)


def _aliases(network: Network, names: Sequence[str], block: _Block) -> np.ndarray:
    found = np.full(block.n, -1)
    for name in names:
        alias, first = _neuron(network, name).alias, block.first[name]
        if alias is not None:
            mine = np.broadcast_to(np.asarray(alias, np.int64), network.populations[name].n)
            found[first : first + mine.size] = np.where(mine >= 0, mine + first, -1)
    return found
