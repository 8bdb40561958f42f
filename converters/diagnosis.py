"""Where a conversion loses accuracy: an error budget for each layer, and what to change about it.

With a the activation of the source, z its input, top the largest value a spike count stands for, F(z) the
value of the count that a steady input z would give, z' the input that the neurons really got (their
presynaptic sums), and s the value of the count they came to:

    s - a  =  [s - F(z')]  +  [F(z') - F(z)]  +  [F(z) - min(a, top)]  +  [min(a, top) - a]
              uneven          propagated         quantisation             clipping
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from snnsim.batch_result import BatchResult
from snnsim.converters import graph as g
from snnsim.converters.calibrate import check_calibration
from snnsim.converters.dense import apply
from snnsim.errors import ConfigError
from snnsim.layer_neurons import BurstIF, FewSpike, SignedIF, TimeToFirstSpike
from snnsim.layers import LayerRule

if TYPE_CHECKING:
    from snnsim.converters.convert import Conversion

_SMALL = 0.01  # error of a layer, relative to its mean activation, that is not worth a change
_Unit = SignedIF | BurstIF | FewSpike | TimeToFirstSpike
_PARTS = ("clipping", "quantisation", "uneven", "propagated")


@dataclass(frozen=True)
class LayerDiagnosis:
    """One activation over all inputs; errors are means of absolute values, in units of the source.

    clipping, quantisation, uneven, propagated   the parts, see the top of this file
    total            E|s - a|, at most the sum of the parts
    bias             E(s - a), with its sign
    mean_activation  E(a): what errors are compared with
    correlation      Pearson's, of s and a over all neurons and inputs; NaN where one does not vary
    r_squared        1 - E(s - a)**2 / Var(a)
    dead             share of neurons that never spike; `silent_in_source`: whose activation is always 0
    saturated        share of neurons and inputs with the largest count
    advice           one sentence
    """

    name: str
    path: str
    n_neurons: int
    clipping: float
    quantisation: float
    uneven: float
    propagated: float
    total: float
    bias: float
    mean_activation: float
    correlation: float
    r_squared: float
    dead: float
    silent_in_source: float
    saturated: float
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """All layers, and how good the readout is after each step.

    accuracy         float by step: share of inputs whose largest output is the label
    agreement        float by step: share whose largest output is that of the source
    source_accuracy  of the trained network; None without labels, as `accuracy`
    """

    n_samples: int
    layers: tuple[LayerDiagnosis, ...]
    agreement: tuple[float, ...]
    accuracy: tuple[float, ...] | None = None
    source_accuracy: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def diagnose(conversion: Conversion, inputs: np.ndarray, labels: np.ndarray | None = None) -> Diagnosis:
    """Simulate inputs [n_samples, ...] and compare every neuron with the source.

    labels  integers [n_samples]: the right output of each input
    Layers whose neurons are of kinds without a formula for their count are left out.
    Raises ConfigError for inputs or labels that do not fit.
    """
    x = check_calibration(conversion.graph, inputs)
    classes = None if labels is None else check_labels(labels, len(x), conversion.graph.output.shape[0])
    sums = [_Sums(conversion, node, unit) for node, unit in _activations(conversion)]
    right: list[np.ndarray] = []
    same: list[np.ndarray] = []
    n_right, n_steps = 0, 1
    for share in conversion.parts(len(x), most=64):
        part = x[share]
        source = conversion.graph.evaluate(part)
        found = conversion.run(part, keep_counts=True)
        for one in sums:
            one.take(source, found)
        answers = found.readout.argmax(axis=2)
        wanted = source[conversion.graph.output.name].reshape(len(part), -1).argmax(axis=1)
        same.append(answers == wanted[:, None])
        n_steps = max(n_steps, int(found.n_steps.max()))
        if classes is not None:
            right.append(answers == classes[share, None])
            n_right += int((wanted == classes[share]).sum())
    return Diagnosis(
        n_samples=len(x),
        layers=_layers(conversion, sums),
        agreement=_by_step(same, n_steps),
        accuracy=_by_step(right, n_steps) if classes is not None else None,
        source_accuracy=n_right / len(x) if classes is not None else None,
    )


def _by_step(parts: list[np.ndarray], n_steps: int) -> tuple[float, ...]:
    return tuple(float(value) for value in np.concatenate(parts)[:, :n_steps].mean(axis=0))


def check_labels(labels: np.ndarray, n: int, n_outputs: int) -> np.ndarray:
    """Labels as integers [n]; ConfigError for what they cannot be."""
    found = np.asarray(labels)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        raise ConfigError(
            "labels that do not fit the inputs",
            where="labels",
            got=f"{found.dtype}{list(found.shape)}",
            expected=f"integers [{n}]",
        )
    if found.min() < 0 or found.max() >= n_outputs:
        raise ConfigError(
            "a label that no output stands for",
            where="labels",
            got=f"{found.min()} to {found.max()}",
            expected=f"0 to {n_outputs - 1}",
        )
    return found


def _activations(conversion: Conversion) -> list[tuple[g.ReLU, _Unit]]:
    found: list[tuple[g.ReLU, _Unit]] = []
    populations = conversion.network.populations
    for node in conversion.graph.nodes:
        if isinstance(node, g.ReLU) and node.name in populations:
            unit = populations[node.name].unit
            if isinstance(unit, _Unit):
                found.append((node, unit))
    return found


def _counting(unit: _Unit, steps: int) -> tuple[np.ndarray, int, int]:
    """What a count stands for, the largest, and how many an amount of 1 is; the input acts in `steps`."""
    if isinstance(unit, FewSpike):
        return np.asarray(unit.alpha_mv) * 2.0**-unit.window, 2**unit.window - 1, 2**unit.window
    if isinstance(unit, TimeToFirstSpike):
        return np.asarray(unit.resolution_mv), unit.window, 1
    most = unit.levels if isinstance(unit, SignedIF) else steps * unit.most
    return np.asarray(unit.v_th_mv), most, 1


@dataclass
class _Sums:
    """What is added up over all inputs for one activation."""

    conversion: Conversion
    node: g.ReLU
    unit: _Unit
    n: int = 0
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*_PARTS, "total", "bias"), 0.0))
    moments: np.ndarray = field(default_factory=lambda: np.zeros(6))  # s, a, ss, aa, sa, (s - a)**2
    saturated: int = 0
    spiked: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=bool))
    active: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=bool))

    def take(self, source: dict[str, np.ndarray], found: BatchResult) -> None:
        node, unit = self.node, self.unit
        steps = found.repeat  # an input that acts in T steps gives counts, and sums, that are T times larger
        theta, most, counts = _counting(unit, steps)
        start = np.asarray(unit.v_init_mv)
        rounded = not (isinstance(unit, TimeToFirstSpike) and unit.continuous)
        n = len(found.n_steps)
        a = source[node.name].reshape(n, -1)
        z = source[node.inputs[0]].reshape(n, -1)

        def formula(value: np.ndarray) -> np.ndarray:
            wanted = (steps * value + start) / theta
            return theta / steps * np.clip(np.floor(wanted) if rounded else wanted, 0, most)

        count = counts * found.totals[node.name]
        s = theta / steps * count
        clipped = np.minimum(a, theta * most / steps)
        at_z, at_own = formula(z), formula(self._received(found))
        self.n += s.size
        for name, error in (
            ("clipping", clipped - a), ("quantisation", at_z - clipped), ("uneven", s - at_own),
            ("propagated", at_own - at_z), ("total", s - a),
        ):  # fmt: skip
            self.parts[name] += float(np.abs(error).sum())
        self.parts["bias"] += float((s - a).sum())
        self.moments += [float(v.sum()) for v in (s, a, s * s, a * a, s * a, (s - a) ** 2)]
        self.saturated += int((count >= most).sum())
        self.spiked = self.spiked | (found.counts[node.name] > 0).any(axis=0)
        self.active = self.active | (a > 0).any(axis=0)

    def _received(self, found: BatchResult) -> np.ndarray:
        """float64[n_samples, n]: the input of one step that the neurons got on average."""
        network, name = self.conversion.network, self.node.name
        total = np.zeros((len(found.n_steps), network.populations[name].n))
        for p in network.projections.values():
            if p.target == name and isinstance(p.rule, LayerRule):
                steps = 1 if p.source in network.stimuli else found.repeat
                total += float(p.weight) * apply(p.rule, found.totals[p.source]) / steps  # type: ignore[arg-type]
        return total + np.asarray(self.unit.bias_mv)

    def measures(self) -> dict[str, Any]:
        s, a, ss, aa, sa, error = (self.moments / self.n).tolist()
        spread_s, spread_a = max(ss - s * s, 0.0), max(aa - a * a, 0.0)
        spreads = (spread_s * spread_a) ** 0.5
        return {
            "name": self.node.name,
            "path": self.node.path,
            "n_neurons": self.spiked.size,
            **{name: value / self.n for name, value in self.parts.items()},
            "mean_activation": a,
            "correlation": (sa - s * a) / spreads if spreads > 0 else float("nan"),
            "r_squared": 1 - error / spread_a if spread_a > 0 else float("nan"),
            "dead": 1 - float(self.spiked.mean()),
            "silent_in_source": 1 - float(self.active.mean()),
            "saturated": self.saturated / self.n,
        }


def _layers(conversion: Conversion, sums: list[_Sums]) -> tuple[LayerDiagnosis, ...]:
    found: list[LayerDiagnosis] = []
    for one in sums:
        measures = one.measures()
        found.append(LayerDiagnosis(**measures, advice=_advice(conversion, measures, found)))
    return tuple(found)


def _advice(conversion: Conversion, found: dict[str, Any], earlier: list[LayerDiagnosis]) -> str:
    """What to change, from the largest part of the error."""
    exact, timed = conversion.method == "exact", conversion.method in ("ttfs", "few_spike")
    if found["dead"] > found["silent_in_source"] + 0.2 and not timed:
        return (
            f"{found['dead']:.0%} of the neurons never spike, {found['silent_in_source']:.0%} in the source: "
            "lower the threshold by channel (by_channel = True, normalisation = 'mse'), or use more "
            + ("levels." if exact else "time steps.")
        )
    if found["total"] <= _SMALL * found["mean_activation"]:
        return "Nothing to change: the error is below 1 % of the mean activation."
    largest = max(_PARTS, key=lambda part: float(found[part]))
    if largest == "clipping":
        if timed:
            return "Activations are clipped: calibrate on more inputs."
        return "Raise the threshold: activations are clipped; " + (
            "calibrate on more inputs, or use more levels." if exact else "use normalisation = 'max'."
        )
    if largest == "quantisation":
        return "Use finer counts: " + (
            "more levels." if exact else "more time steps."
        )
    if largest == "uneven":
        return "Spikes come unevenly: use method = 'exact', which takes spikes back, or more time steps."
    worst = max(
        earlier, key=lambda layer: layer.clipping + layer.quantisation + layer.uneven, default=None
    )
    before = f"begin with {worst.path}" if worst is not None else "look at the scale of the input"
    return f"The error comes from the layers before: {before}."
