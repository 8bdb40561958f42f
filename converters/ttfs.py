"""Exact conversion to times: every neuron fires at most once, and the earlier the larger its activation.

Layer l listens in the windows of its sources and fires in its own, [t_min, t_max], which begins when the last
of those has ended (Stanojevic et al. 2024, the slope rule "B1").  A spike at t_j in a window that ends at e_j
stands for the activation e_j - t_j:

    until t_min   dV/dt = sum_j W_ij [t_j <= t < e_j]
    from t_min    dV/dt = 1;  spike where V = theta_i = (t_max - t_min) - b_i, at the earliest at t_min

so that t_max - t_i = clip(sum_j W_ij a_j + b_i, 0, t_max - t_min): the source's ReLU, up to rounding of times
alone.  Nothing can fire before t_min, so a spike is one event: it adds W_ij (e_j - t_j) to what it reaches.
Max pooling passes on the earliest spike of a window.  Averages, additions and joins have no neurons: spikes
go through them to the next layer.  Negative inputs come from a second unit (OFF) with opposite weights.

A window is as long as `margin` times the largest activation in calibration; a larger one is cut there, and
counted.  Units of time are those of activations.

This is no snnsim Network: its simulator has steps, and no window in which all slopes become 1.  `TimeCoded`
evaluates it in continuous time, layer after layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters import windows
from snnsim.converters.calibrate import activations, check_calibration
from snnsim.converters.products import parts
from snnsim.errors import ConversionError

MARGIN = 2.0


@dataclass(frozen=True)
class TimedResult:
    """What a batch has left.

    outputs    float64[n_samples, n]   potentials of the last layer when the windows before it have ended
    times      float64[n_samples, *shape] by activation: of its spike, inf without; where they were asked for
    spikes     int64[n_samples] by input and activation, and by max pool: those it passes on
    additions  int64[n_samples] by operation: what spikes add to potentials, borders exact
    cut        int64[n_samples] by activation: neurons at the beginning of their window
    """

    outputs: np.ndarray
    times: dict[str, np.ndarray]
    spikes: dict[str, np.ndarray]
    additions: dict[str, np.ndarray]
    cut: dict[str, np.ndarray]


@dataclass(frozen=True)
class TimeCoded:
    """A network of neurons that fire once, made from a trained one.

    graph    the source, batch normalisation folded
    windows  (t_min, t_max) by input and activation
    """

    graph: g.Graph
    windows: dict[str, tuple[float, float]]
    method: str = "ttfs"

    @property
    def latency(self) -> float:
        """Time from the beginning of the input to the output."""
        return max(end for _, end in self.windows.values())

    def run(self, inputs: np.ndarray, *, keep_times: bool = False) -> TimedResult:
        """Evaluate samples, [n_samples, ...]."""
        x = check_calibration(self.graph, inputs)
        shares = parts(len(x), 2 * self.graph.size, most=64)
        found = [_Run(self, x[part]).result(keep_times) for part in shares]

        def joined(name: str) -> dict[str, np.ndarray]:
            return {
                key: np.concatenate([getattr(one, name)[key] for one in found])
                for key in getattr(found[0], name)
            }

        outputs = np.concatenate([one.outputs for one in found])
        return TimedResult(outputs, joined("times"), joined("spikes"), joined("additions"), joined("cut"))

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """float64[n_samples, outputs]: what the source computes."""
        return self.run(inputs).outputs

    def spikes_per_neuron(self, result: TimedResult) -> float:
        """Mean number of spikes of a neuron (without input units and max pools)."""
        names = [node.name for node in self.graph.nodes if isinstance(node, g.ReLU)]
        n = sum(int(np.prod(self.graph[name].shape)) for name in names)
        fired = sum(float(result.spikes[name].mean()) for name in names)
        return fired / n if n else 0.0


def time_coded(graph: g.Graph, calibration: np.ndarray, margin: float = MARGIN) -> TimeCoded:
    """The windows of a network, from the largest activations over float64[n_samples, *shape].

    Raises ConversionError for operations that spikes cannot go through.
    """
    largest = {name: float(tops.max()) for name, tops in activations(graph, calibration).tops.items()}
    found = {graph.input.name: (0.0, margin * max(float(np.abs(calibration).max()), 1e-30))}
    ends = {graph.input.name: found[graph.input.name][1]}  # when all that a value stands for has arrived
    for node in graph.nodes[1:]:
        begin = max(ends[name] for name in node.inputs)
        ends[node.name] = begin
        if isinstance(node, g.ReLU):
            length = margin * largest[node.name] or 1.0
            ends[node.name] = begin + (length if node.cap is None else min(length, node.cap))
            found[node.name] = (begin, ends[node.name])
    made = TimeCoded(graph, found)
    made.run(calibration[:1])
    return made


@dataclass(frozen=True)
class _Spikes:
    """Units that fire once: times float64[n, *shape] (inf: silent), ends of windows, signs."""

    time: np.ndarray
    end: np.ndarray  # float64[*shape]
    sign: np.ndarray | None = None  # without: all are positive

    @property
    def fired(self) -> np.ndarray:
        return np.isfinite(self.time)

    @property
    def value(self) -> np.ndarray:
        length = np.where(self.fired, self.end - self.time, 0.0)
        return length if self.sign is None else self.sign * length


@dataclass(frozen=True)
class _Sum:
    """Spikes on their way: what they stand for, and how many there are, float64[n, *shape]."""

    value: np.ndarray
    events: np.ndarray


@dataclass(frozen=True)
class _Potential:
    """What has been added to the potentials of a layer, with the bias."""

    value: np.ndarray


_Signal = _Spikes | _Sum | _Potential


class _Run:
    """One batch on its way through the graph."""

    def __init__(self, coded: TimeCoded, x: np.ndarray) -> None:
        self.coded, self.graph = coded, coded.graph
        self.spikes: dict[str, np.ndarray] = {}
        self.additions: dict[str, np.ndarray] = {}
        self.cut: dict[str, np.ndarray] = {}
        self.signals: dict[str, _Signal] = {self.graph.input.name: self._input(x)}
        for node in self.graph.nodes[1:]:
            self.signals[node.name] = self._step(node, [self.signals[name] for name in node.inputs])

    def result(self, keep_times: bool) -> TimedResult:
        last = self.signals[self.graph.output.name]
        times = {n: s.time for n, s in self.signals.items() if isinstance(s, _Spikes)} if keep_times else {}
        outputs = last.value.reshape(len(last.value), -1)
        return TimedResult(outputs, times, self.spikes, self.additions, self.cut)

    def _input(self, x: np.ndarray) -> _Spikes:
        name = self.graph.input.name
        end = self.coded.windows[name][1]
        size = np.minimum(np.abs(x), end)
        self.cut[name] = _per_sample(np.abs(x) > end)
        sign = np.sign(x) if (x < 0).any() else None
        return self._fire(name, np.where(size > 0, end - size, np.inf), end, sign)

    def _fire(self, name: str, time: np.ndarray, end: float, sign: np.ndarray | None = None) -> _Spikes:
        found = _Spikes(time, np.full(time.shape[1:], end), sign)
        self.spikes[name] = _per_sample(found.fired)
        return found

    def _step(self, node: g.Node, inputs: list[_Signal]) -> _Signal:
        match node:
            case g.Linear() | g.Conv() | g.Affine():
                return self._arrive(node, inputs[0])
            case g.ReLU():
                return self._relu(node, inputs[0])
            case g.MaxPool():
                return self._earliest(node, inputs[0])
            case g.AvgPool() | g.SumPool():
                through = _moving(node, inputs[0])
                events = windows.sums(through.events, node.slide)
                self.additions[node.name] = _per_sample(events)
                return _Sum(node.value(through.value), events)
            case g.Flatten():
                return _reshaped(node, inputs[0])
            case g.Add() if any(isinstance(s, _Potential) for s in inputs):
                for s in inputs:
                    if not isinstance(s, _Potential):  # spikes that enter the potential directly
                        one = _moving(node, s).events
                        self.additions[node.name] = self.additions.get(node.name, 0) + _per_sample(one)
                return _Potential(node.value(*(s.value for s in inputs)))
            case g.Add():
                moving = [_moving(node, s) for s in inputs]
                return _Sum(node.value(*(s.value for s in moving)), node.value(*(s.events for s in moving)))
            case g.Concat():
                return _joined(node, inputs)
        raise ConversionError("spikes cannot go through", where=node.path, got=type(node).__name__)

    def _arrive(self, node: g.Linear | g.Conv | g.Affine, signal: _Signal) -> _Potential:
        through = _moving(node, signal)
        self.additions[node.name] = _additions(node, through.events)
        return _Potential(node.value(through.value))

    def _relu(self, node: g.ReLU, signal: _Signal) -> _Spikes:
        begin, end = self.coded.windows[node.name]
        if not isinstance(signal, _Potential):  # a sum enters neurons of its own, one addition an event
            self.additions[node.name] = _per_sample(_moving(node, signal).events)
        wait = (end - begin) - signal.value  # theta - V at t_min
        time = begin + np.maximum(wait, 0.0)
        self.cut[node.name] = _per_sample(wait < 0)
        return self._fire(node.name, np.where(time < end, time, np.inf), end)

    def _earliest(self, node: g.MaxPool, signal: _Signal) -> _Spikes:
        if not isinstance(signal, _Spikes) or signal.sign is not None:
            raise ConversionError(
                "the largest of sums, or of values below zero, is not the earliest spike",
                where=node.path,
                fix="put an activation before the pooling",
            )
        time = -windows.maxima(-signal.time, node.slide)
        fired = np.isfinite(time)
        self.spikes[node.name] = _per_sample(fired)
        end = np.broadcast_to(signal.end[:, :1, :1], time.shape[1:])
        return _Spikes(time, end)


def _moving(node: g.Node, signal: _Signal) -> _Sum:
    if isinstance(signal, _Potential):
        raise ConversionError(
            "two linear operations follow each other without an activation",
            where=node.path,
            fix="merge them into one, or put a ReLU between",
        )
    return _Sum(signal.value, signal.fired.astype(np.float64)) if isinstance(signal, _Spikes) else signal


def _reshaped(node: g.Flatten, signal: _Signal) -> _Signal:
    def to(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *node.shape)

    if isinstance(signal, _Spikes):
        sign = None if signal.sign is None else to(signal.sign)
        return _Spikes(to(signal.time), signal.end.reshape(node.shape), sign)
    if isinstance(signal, _Sum):
        return _Sum(to(signal.value), to(signal.events))
    return _Potential(to(signal.value))


def _joined(node: g.Concat, inputs: list[_Signal]) -> _Signal:
    if all(isinstance(s, _Potential) for s in inputs):
        return _Potential(node.value(*(s.value for s in inputs)))
    spikes = [s for s in inputs if isinstance(s, _Spikes) and s.sign is None]
    if len(spikes) == len(inputs):
        return _Spikes(node.value(*(s.time for s in spikes)), np.concatenate([s.end for s in spikes]))
    moving = [_moving(node, s) for s in inputs]
    return _Sum(node.value(*(s.value for s in moving)), node.value(*(s.events for s in moving)))


def _additions(node: g.Linear | g.Conv | g.Affine, events: np.ndarray) -> np.ndarray:
    """int64[n_samples]: how many connections the events go over."""
    if isinstance(node, g.Linear):
        return _per_sample(events) * node.weight.shape[0]
    if isinstance(node, g.Affine):
        return _per_sample(events)
    kernel = (node.weight.shape[2], node.weight.shape[3])
    slide = windows.Slide(kernel, node.stride, node.padding, node.dilation, False)
    return _per_sample(windows.sums(events, slide)) * (node.weight.shape[0] // node.groups)


def _per_sample(x: np.ndarray) -> np.ndarray:
    return np.rint(x.reshape(len(x), -1).sum(axis=1)).astype(np.int64)
