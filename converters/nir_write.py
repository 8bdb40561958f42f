"""Writing a network as a NIR file, or saying all that NIR cannot say about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.atomic import replacing
from snnsim.checks import check, expect
from snnsim.converters.nir_dialects import NEVER_MV
from snnsim.converters.nir_graph import Faults
from snnsim.converters.nir_read import unique_names
from snnsim.converters.nir_wiring import Chain, Ends, chains, check_projections, is_constant, map_shapes, tidy
from snnsim.distributions import Distribution
from snnsim.errors import ConversionError
from snnsim.fields import Rule
from snnsim.layer_neurons import BurstIF, Readout
from snnsim.models import IF, LIF, Delta, Exponential, Neuron
from snnsim.network import Network
from snnsim.spec import Spec, rules
from snnsim.stimuli import SpikeSource

if TYPE_CHECKING:
    import nir

_DT = Rule("number", unit="ms", above=0.0, high=1e6)
_MOST_FOR_BIAS = 4096  # units of a population whose bias needs a matrix of zeros


def write_nir(
    network: Network, path: Path | str, *, dt_ms: float, lower_soft_reset: bool = False
) -> list[str]:
    """Write a network as a NIR graph; returns sentences about what a reader should know.

    network           LIF and IF populations with delta or exponential synapses, or a layered network of them
    dt_ms             the step: weights of delta synapses, delays and soft resets depend on it
    lower_soft_reset  write reset by subtraction as I or LI -> Threshold -> Scale -> back, which holds for
                      this dt only; without, it is refused

    Numbers of potentials stay, in mV; times are seconds.  r is 1, but 1 / dt for IF, so that there a weight
    moves v by itself; a weight w of a LIF is written as the current w / (exp(dt / tau) - 1), which moves v as
    far in one step, one of exponential synapses as that whose charge in one step is the same.  Thresholds are
    one float below ours: NIR fires at v > v_threshold.  A spike source that fires in every step is a bias.
    The metadata of the graph say dt (s), integrator, reset, order and v0.
    `read_nir` with the same dt_ms gives the network back, and writing that gives the same graph again; layers
    come back as single synapses.

    Raises ConversionError with everything that NIR cannot say: reset by subtraction, start potentials, signed
    or burst spikes, max pooling, plasticity, refractory periods, adaptive thresholds, conductances, two
    synaptic time constants, drawn values, drives.  StorageError when the file cannot be written.
    """
    expect(network, Network, "network")
    dt_ms = check(dt_ms, _DT, "dt_ms")
    package = nir_package()
    writer = _Writer(network, dt_ms, lower_soft_reset, package)
    graph = writer.graph()
    with replacing(path) as temporary:
        package.write(str(temporary), graph)
    return writer.notes


def nir_package() -> Any:
    try:
        import nir
    except ImportError as error:
        raise ConversionError(
            "NIR files are written with the package nir, which is not installed",
            fix="pip install snnsim[convert]",
        ) from error
    return nir


@dataclass
class _Writer:
    network: Network
    dt_ms: float
    lower: bool
    package: Any
    faults: Faults = field(default_factory=Faults)
    notes: list[str] = field(default_factory=list)
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    ends: dict[str, Ends] = field(default_factory=dict)
    lowered: list[str] = field(default_factory=list)

    def graph(self) -> nir.NIRGraph:
        shapes = map_shapes(self.network, self.faults)
        self._inputs(shapes)
        check_projections(self.network, self.faults)
        for name, population in self.network.populations.items():
            neuron = self._plain(population.neuron, name)
            if neuron is not None:
                self._population(name, neuron, population.n, shapes.get(name, (population.n,)))
        self.faults.raise_any(
            "NIR cannot say this", fix="change the network" if self.lower else
            "change the network; reset by subtraction can be lowered with lower_soft_reset=True",
        )  # fmt: skip
        found = chains(self.network, self.ends, self.dt_ms, self.faults)
        self.faults.raise_any("NIR cannot say this", fix="change the network")
        # The first connection carries the bias: in an order that does not depend on that of the description.
        for chain in sorted(found, key=lambda c: (c.target, c.source)):
            self._place(chain)
        for name, end in self.ends.items():
            if np.any(end.bias):
                self._lone_bias(name, end)
        self.faults.raise_any("NIR cannot say this")
        self._outputs()
        return self._checked()

    # --- nodes ---------------------------------------------------------------------------------------------

    def _inputs(self, shapes: dict[str, tuple[int, ...]]) -> None:
        for name, stimulus in self.network.stimuli.items():
            size = getattr(stimulus, "n", None) or getattr(stimulus, "n_sources", None)
            if not isinstance(stimulus, SpikeSource):
                self.faults.add(f"stimuli.{name}", f"a drive ({stimulus.KIND}); NIR knows spikes only")
            elif size is None:
                self.faults.add(f"stimuli.{name}", "its size is known only with the data set")
            elif not is_constant(stimulus, self.dt_ms):
                shape = shapes.get(name, (size,))
                self.nodes[name] = self.package.Input(input_type={"input": np.array(shape)})
                self.ends[name] = Ends(name, shape)

    def _plain(self, unit: Spec, name: str) -> Neuron | None:
        """The neuron, where it is one that NIR knows, as LIF or IF with numbers."""
        where = f"populations.{name}.neuron"
        neuron = self._as_neuron(unit)
        if neuron is None:
            self.faults.add(where, f"units of kind {unit.KIND}, for which NIR has no node")
            return None
        if _drawn(neuron) or _drawn(neuron.synapse):
            self.faults.add(where, "drawn values; give numbers")
            return None
        found = {key: reason for key, reason in _beyond(neuron) if reason}
        if neuron.reset == "subtract" and not _silent(neuron):
            if not self.lower:
                found["reset"] = "reset by subtraction"
            elif not isinstance(neuron.synapse, Delta):
                found["reset"] = "reset by subtraction with a synaptic current"
        for key, reason in found.items():
            self.faults.add(f"{where}.{key}", reason)
        return None if found else neuron

    def _as_neuron(self, unit: Spec) -> Neuron | None:
        """Units of layered networks that are integrate-and-fire neurons by another name."""
        if isinstance(unit, BurstIF) and unit.most == 1 and unit.bias_steps is None:
            return IF(
                v_th_mv=unit.v_th_mv, v_reset_mv=0.0, reset="subtract", c_m_pf=self.dt_ms,
                i_bias_pa=unit.bias_mv, v_init_mv=unit.v_init_mv,
            )  # fmt: skip
        if isinstance(unit, Readout) and unit.bias_steps is None:
            return IF(
                v_th_mv=NEVER_MV, v_reset_mv=0.0, c_m_pf=self.dt_ms, i_bias_pa=unit.bias_mv,
                v_init_mv=unit.v_init_mv,
            )  # fmt: skip
        return unit if isinstance(unit, Neuron) else None

    def _population(self, name: str, neuron: Neuron, n: int, shape: tuple[int, ...]) -> None:
        def get(value: Any) -> np.ndarray:
            return np.broadcast_to(np.asarray(value, dtype=np.float64), n)

        silent = _silent(neuron)
        seconds = self.dt_ms / 1e3
        values: dict[str, np.ndarray] = {}
        if isinstance(neuron, LIF):
            tau_ms, c_m = get(neuron.tau_m_ms), get(neuron.c_m_pf)
            leak = {"r": np.ones(n), "v_leak": get(neuron.v_rest_mv)}
            bias = get(neuron.i_bias_pa) * tau_ms / c_m
            if isinstance(neuron.synapse, Exponential):
                tau_syn = get(neuron.synapse.tau_exc_ms)
                kind, weight = "CubaLI", tau_ms / c_m * (tau_syn / self.dt_ms)
                times = {"tau_syn": tidy(tau_syn / 1e3), "tau_mem": tidy(tau_ms / 1e3)}
                values = {**times, **leak, "w_in": np.ones(n)}
            else:
                kind, weight = "LI", 1.0 / np.expm1(self.dt_ms / tau_ms)
                values = {"tau": tidy(tau_ms / 1e3), **leak}
        else:
            kind, weight = "I", np.ones(n)
            bias = get(neuron.i_bias_pa) * self.dt_ms / get(neuron.c_m_pf)
            values = {"r": np.full(n, tidy(np.array(1.0 / seconds)))}
        end = Ends(name, shape, weight=weight, bias=tidy(bias), silent=silent)
        threshold = np.nextafter(get(neuron.v_th_mv), -np.inf)
        reset = get(0.0 if neuron.v_reset_mv is None else neuron.v_reset_mv)
        if not silent and neuron.reset != "subtract":
            kind += "F"
            values |= {"v_threshold": threshold, "v_reset": reset}
        self.nodes[name] = getattr(self.package, kind)(
            **{key: np.array(np.broadcast_to(value, n)).reshape(shape) for key, value in values.items()}
        )
        if not silent and neuron.reset == "subtract":
            end.output = self._feedback(name, threshold.reshape(shape), tidy(
                (get(neuron.v_th_mv) - reset) * weight).reshape(shape))  # fmt: skip
        self.ends[name] = end

    def _feedback(self, name: str, threshold: np.ndarray, amount: np.ndarray) -> str:
        """I or LI -> Threshold -> Scale -> back; returns the name of what emits the spikes."""
        gate, back = self._new(f"{name}_threshold"), self._new(f"{name}_reset")
        self.nodes[gate] = self.package.Threshold(threshold=np.array(threshold))
        self.nodes[back] = self.package.Scale(scale=-amount)
        self.edges += [(name, gate), (gate, back), (back, name)]
        self.lowered.append(name)
        return gate

    def _place(self, chain: Chain) -> None:
        target, here = self.ends[chain.target], self.ends[chain.source].output
        for kind, values in chain.steps:
            if kind in ("Linear", "Conv2d"):
                taken = target.take_bias(kind, values)
                kind = "Affine" if kind == "Linear" and taken is not None else kind
                if taken is not None:
                    values = {**values, "bias": taken}
            name = self._new(f"{chain.source}_to_{chain.target}" + ("" if kind in (
                "Linear", "Affine", "Conv2d") else f"_{kind.lower()}"))  # fmt: skip
            self.nodes[name] = getattr(self.package, kind)(**values)
            self.edges.append((here, name))
            here = name
        self.edges.append((here, chain.target))

    def _lone_bias(self, name: str, end: Ends) -> None:
        """A bias that no connection can carry: a matrix of zeros from the population to itself."""
        n = end.bias.size
        if len(end.shape) > 1 or n > _MOST_FOR_BIAS or end.silent:
            self.faults.add(f"populations.{name}", "a bias of a population that no matrix leads to")
            return
        node = self._new(f"{name}_to_{name}")
        self.nodes[node] = self.package.Affine(weight=np.zeros((n, n)), bias=end.bias)
        self.edges += [(end.output, node), (node, name)]

    def _outputs(self) -> None:
        busy = {p.source for p in self.network.projections.values() if p.source != p.target}
        last = [name for name in self.network.populations if name not in busy]
        last = last or list(self.network.populations)[-1:]
        for name in last:
            end = self.ends[name]
            output = self._new("output" if len(last) == 1 else f"{name}_output")
            self.nodes[output] = self.package.Output(output_type={"output": np.array(end.shape)})
            self.edges.append((end.output, output))

    def _new(self, name: str) -> str:
        return unique_names([name], taken=[*self.nodes, *self.network.populations])[name]

    def _checked(self) -> nir.NIRGraph:
        if self.lowered:
            self.notes.append(
                f"reset by subtraction of {', '.join(self.lowered)} is written as Threshold and Scale: it "
                f"holds for dt = {self.dt_ms:g} ms only"
            )
        metadata = {
            "dt": self.dt_ms / 1e3,
            "integrator": "exact",
            "reset": "v_reset",
            "order": "arrivals, decay, threshold, reset",
            "v0": "v_leak; 0 for I and IF",
            **({"lowered": " ".join(self.lowered)} if self.lowered else {}),
        }
        edges = sorted(self.edges)
        graph = self.package.NIRGraph(self.nodes, edges, metadata=metadata, type_check=False)
        try:
            graph.infer_types()
            graph.check_types()
        except (ValueError, NotImplementedError) as error:
            self.notes.append(f"nir.read takes this file only with type_check=False ({error})")
        return graph


def _drawn(spec: Spec) -> bool:
    return any(isinstance(getattr(spec, name), Distribution) for name in rules(type(spec)))


def _silent(neuron: Neuron) -> bool:
    return bool(np.all(np.asarray(neuron.v_th_mv) >= NEVER_MV))


def _beyond(neuron: Neuron) -> Iterator[tuple[str, str]]:
    """(key, what NIR has no word for), or ""."""
    synapse = neuron.synapse
    leaky = isinstance(neuron, LIF)
    yield "t_ref_ms", "a refractory period" if np.any(np.asarray(neuron.t_ref_ms)) else ""
    yield "threshold", "an adaptive threshold" if neuron.threshold is not None else ""
    if isinstance(synapse, Exponential):
        yield "synapse.tau_inh_ms", "a second synaptic time constant" if synapse.n_currents == 2 else ""
        yield "synapse", "" if leaky else "exponential synapses without a leak"
        fix = "a constant current beside the synaptic one; let a source fire in every step"
        yield "i_bias_pa", fix if np.any(np.asarray(neuron.i_bias_pa)) else ""
    elif not isinstance(synapse, Delta):
        yield "synapse", "conductances"
    rest = neuron.v_rest_mv if isinstance(neuron, LIF) else 0.0
    start = neuron.v_init_mv
    if start is None:
        start = rest if leaky or neuron.v_reset_mv is None else neuron.v_reset_mv
    moved = bool(np.any(np.asarray(start) != np.asarray(rest)))
    yield "v_init_mv", f"a start potential other than {'v_rest_mv' if leaky else '0'}" if moved else ""
