"""Integer networks of Loihi as NIR graphs, and back without loss.

NIR knows equations and no whole numbers, so the metadata of the graph say the rule and the step; with them

    CubaLIF   tau_syn = 4096 dt / decay_u,  tau_mem = 4096 dt / decay_v,  w_in = 64 tau_syn / dt,
              r = tau_mem / dt,  v_leak = bias tau_mem / dt,  v_threshold = threshold,  v_reset = 0
    LIF       the same without a current, r = 64 tau / dt: neurons whose input goes straight to the potential

are the integer rule "loihi2" before rounding, in steps of dt by forward Euler.  A simulator of NIR comes
close to the chip; snnsim reads the same network again.  Weights are whole.  Every synapse takes one step,
which NIR graphs do not show.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.atomic import replacing
from snnsim.converters.nir_file import NirGraph, NirNode, read_file
from snnsim.converters.nir_write import nir_package
from snnsim.errors import ConfigError, ConversionError, FileError, TargetError
from snnsim.hardware.loihi.netx_chain import Link, chain
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.layers import Conv, Dense, Into, LayerRule
from snnsim.network import Network
from snnsim.population import Population
from snnsim.projection import Projection
from snnsim.stimuli import Analogue

RULE = "loihi2"
DT_S = 1e-3
_FULL, _GAIN = 4096, 64
_MARK = {"rule": RULE, "dt": f"{DT_S:g}", "integrator": "forward_euler"}
_STRAIGHT = RULES[RULE].replace(synapse="potential")


def write_nir_integer(network: Network, path: Path | str) -> None:
    """Write a chain of IntegerLIF populations of the rule "loihi2" as NIR, whole or not at all.

    Raises TargetError for what NIR cannot say: sigma-delta neurons, delays of synapses beyond the step that
    each takes, decays of 0, and all that NetX files cannot say either.  StorageError.
    """
    package = nir_package()
    links = chain(network)
    shape, (here,) = links[0].source_shape, network.stimuli
    nodes: dict[str, Any] = {here: package.Input({"input": np.array(shape)})}
    taken, edges, flat = {here, *network.populations}, [], len(shape) == 1
    for link in links:
        if np.any(link.steps > 0):
            where = f"the projections to populations.{link.name}"
            raise TargetError("NIR says no delays of synapses", where=where, expected="1 ms")
        path_in = {_free(name, taken): node for name, node in _synapses(link, flat, package).items()}
        nodes |= path_in | {link.name: _neurons(link, package)}
        for name in (*path_in, link.name):
            edges.append((here, name))
            here = name
        if "weight_rec" in link.fields:
            back = _free(f"{link.name}_rec", taken)
            nodes[back] = package.Linear(weight=link.fields["weight_rec"])
            edges += [(link.name, back), (back, link.name)]
        flat = len(link.shape) == 1
    end = _free("output", taken)
    nodes[end] = package.Output({"output": np.array(links[-1].shape)})
    graph = package.NIRGraph(nodes=nodes, edges=[*edges, (here, end)], metadata=dict(_MARK))
    with replacing(path) as temporary:
        package.write(str(temporary), graph)


def _free(name: str, taken: set[str]) -> str:
    """A name for a node that is no population: this one, or where it is taken a longer one."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _synapses(link: Link, flat: bool, package: Any) -> dict[str, Any]:
    """Nodes between the population before and this one."""
    name, fields = f"{link.name}_in", link.fields
    if link.kind == "input":
        return {}
    if link.kind == "conv":
        return {name: package.Conv2d(
            input_shape=link.source_shape[1:], weight=fields["weight"], stride=fields["stride"],
            padding=fields["padding"], dilation=fields["dilation"], groups=fields["groups"],
            bias=np.zeros(len(fields["weight"])),
        )}  # fmt: skip
    found = {name: package.Linear(weight=fields["weight"])}
    if flat:
        return found
    flatten = package.Flatten(input_type={"input": np.array(link.source_shape)}, start_dim=0, end_dim=-1)
    return {f"{link.name}_flatten": flatten} | found


def _neurons(link: Link, package: Any) -> Any:
    unit, where = link.unit, f"populations.{link.name}.neuron"
    if not isinstance(unit, IntegerLIF) or unit.rule not in (RULES[RULE], _STRAIGHT):
        raise TargetError(
            "an integer NIR graph has no such neuron", where=where, got=unit.KIND,
            expected=f'{IntegerLIF.KIND} of RULES["{RULE}"]', fix="write a NetX file",
        )  # fmt: skip
    straight = unit.rule == _STRAIGHT

    def each(value: object) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, np.float64), (prod(link.shape),)).reshape(link.shape)

    for key in ("decay_v",) if straight else ("decay_u", "decay_v"):
        if not np.all(np.asarray(getattr(unit, key))):
            problem = "a decay of 0 has no time constant"
            raise TargetError(problem, where=f"{where}.{key}", expected="1 to 4096")
    for key in ("refractory", "v_init", "u_init"):
        if np.any(np.asarray(getattr(unit, key))):
            raise TargetError("NIR does not say this", where=f"{where}.{key}", expected="0")
    steps_v = _FULL / each(unit.decay_v)
    common = {"v_leak": each(unit.bias) * steps_v, "v_threshold": each(unit.threshold), "v_reset": each(0)}
    if straight:
        return package.LIF(tau=steps_v * DT_S, r=_GAIN * steps_v, **common)
    steps_u = _FULL / each(unit.decay_u)
    return package.CubaLIF(
        tau_syn=steps_u * DT_S, tau_mem=steps_v * DT_S, r=steps_v, w_in=_GAIN * steps_u, **common
    )


def read_nir_integer(path: Path | str) -> Network:
    """The network of a graph that `write_nir_integer` wrote.

    Raises FileError for a file that is unsafe, damaged or not NIR, and ConversionError for a graph that is
    not an integer network.
    """
    graph = read_file(path)
    if any(graph.metadata.get(key) != value for key, value in _MARK.items()):
        raise ConversionError(
            "not an integer network", where=f"{path}: metadata of the graph",
            got=", ".join(f"{k}={v}" for k, v in graph.metadata.items()) or "none",
            expected=", ".join(f"{k}={v}" for k, v in _MARK.items()),
            fix="read it with `snnsim convert`, and quantise the network",
        )  # fmt: skip
    try:
        with np.errstate(all="ignore"):  # numbers that are none are refused by the neuron
            return _Reader(graph).network()
    except (ConfigError, LookupError, ValueError) as error:
        raise FileError(f"not a possible integer network ({error})", where=str(path)) from error


class _Reader:
    """Follows the chain from the input; a node with two ways out leads to itself, or nowhere."""

    def __init__(self, graph: NirGraph) -> None:
        self.nodes = {name: node for name, node in graph.nodes.items() if isinstance(node, NirNode)}
        self.after: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in graph.edges:
            self.after[source].append(target)
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}

    def network(self) -> Network:
        (start,) = (name for name, node in self.nodes.items() if node.kind == "Input")
        n = int(np.prod(self.nodes[start].values["shape"]))
        here, seen = start, {start}
        rule: LayerRule | None = None
        source = start
        while True:
            ahead = [name for name in self.after[here] if not self._back(here, name)]
            if len(ahead) != 1 or ahead[0] in seen:
                raise ValueError(f"{here} leads to {ahead}: not a chain")
            here = ahead[0]
            seen.add(here)
            node = self.nodes[here]
            if node.kind == "Output":
                break
            if node.kind == "Linear":
                rule = Dense(weight=node.values["weight"])
            elif node.kind == "Conv2d":
                rule = _convolution(node)
            elif node.kind in ("LIF", "CubaLIF"):
                self._population(node, source, here, rule)
                source, rule = here, None
            elif node.kind != "Flatten":
                raise ValueError(f"a node of type {node.kind}")
        return Network(
            populations=self.populations, projections=self.projections, stimuli={start: Analogue(n=n)}
        )

    def _back(self, here: str, ahead: str) -> bool:
        """A connection of a population to itself."""
        return self.nodes[here].kind == "CubaLIF" and self.after[ahead] == [here]

    def _population(self, node: NirNode, source: str, name: str, rule: LayerRule | None) -> None:
        values = {key: value.ravel() for key, value in node.values.items()}
        straight = node.kind == "LIF"
        n = values["v_threshold"].size
        steps_v = values["tau" if straight else "tau_mem"] / DT_S
        self.populations[name] = Population(n=n, neuron=IntegerLIF(
            rule=_STRAIGHT if straight else RULES[RULE],
            threshold=values["v_threshold"],
            decay_u=0 if straight else np.rint(_FULL * DT_S / values["tau_syn"]),
            decay_v=np.rint(_FULL / steps_v),
            bias=np.rint(values["v_leak"] / steps_v),
        ))  # type: ignore[arg-type]  # fmt: skip
        if straight != (rule is None):
            raise ValueError(f"{name} needs {'no weights' if straight else 'weights'}")
        if rule is None:
            self._connect(source, name, Into(n_source=n, n_target=n), 0)
        else:
            self._connect(source, name, rule, 1)
        for back in self.after[name]:
            if self._back(name, back):
                self._connect(name, name, Dense(weight=self.nodes[back].values["weight"]), 1)

    def _connect(self, source: str, target: str, rule: LayerRule, delay: int) -> None:
        self.projections[f"{source}_to_{target}"] = Projection(
            source=source, target=target, rule=rule, weight_mv=1.0, delay_ms=float(delay)
        )


def _convolution(node: NirNode) -> Conv:
    value = {key: tuple(int(k) for k in v.ravel()) for key, v in node.values.items() if v.size <= 2}
    (height, width), stride, padding, dilation = (
        value[key] for key in ("input_shape", "stride", "padding", "dilation")
    )
    if np.any(node.values.get("bias", 0)):
        raise ValueError("a bias of a convolution, not of its neurons")
    return Conv(
        weight=node.values["weight"], groups=value["groups"][0], height=height, width=width,
        stride_h=stride[0], stride_w=stride[1], pad_top=padding[0], pad_bottom=padding[0],
        pad_left=padding[1], pad_right=padding[1], dilation_h=dilation[0], dilation_w=dilation[1],
    )  # fmt: skip
