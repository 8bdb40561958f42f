"""Networks from `convert --method exact` without signed spikes: every neuron decides once.

Signed neurons take spikes back because their input comes piece by piece.  Where all of it comes in one step,

    s = clip(floor((c + z) / theta), 0, levels),     c = start + bias

is what a neuron with reset by subtraction and up to `levels` spikes in a step emits at once; with one
level, so does a neuron with reset to zero.  So a layer of depth d gets everything in step d: connections
that skip layers have longer delays.  c comes over connections as well, from an input `one` that acts in
step 0 (a chip has no start, and a bias would act in every step); nothing comes later, so nothing more is
emitted.

The result is exact where weights are whole multiples of one unit that fit into the width asked for, as
after training on the grid; then c may be rounded down to that unit.  Otherwise weights are rounded.  Either
way the certificate goes along: how many counts of it the integer network has, simulated, and the hashes of
what was compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from snnsim.converters.certificate import data_hash
from snnsim.converters.dense import apply, evaluate
from snnsim.errors import TargetError
from snnsim.hardware.integer_build import Whole, build_integer, decay_of
from snnsim.hardware.number_format import NumberFormat, WeightGrid
from snnsim.hardware.runs_of import Ran, run_of
from snnsim.hardware.stages import Stage, Stages, Wire, normal_form
from snnsim.identity import fingerprint
from snnsim.layers import Dense
from snnsim.network import Network

_ONE = "one"
_MOST_ONES = 256
_ROOM = 0.9  # of the range of state that the data may use
_BITS = 52  # of whole multiples of a unit


@dataclass(frozen=True)
class Exactness:
    """The certificate of a conversion, looked at again on the integer network.

    exact      every weight and threshold is a whole multiple of the target's unit (outputs may be rounded)
    n_checked, n_equal  spike counts by layer; n_samples: inputs
    readout_deviation   largest difference of an output, in units of the source
    certified  SHA-256 of the converted network; data: of the inputs
    """

    exact: bool
    n_samples: int
    n_checked: dict[str, int]
    n_equal: dict[str, int]
    readout_deviation: float
    certified: str
    data: str

    @property
    def rate(self) -> float:
        """Share of the counts that are those of the certificate."""
        return sum(self.n_equal.values()) / max(sum(self.n_checked.values()), 1)

    @property
    def holds(self) -> bool:
        """No count differs."""
        return self.n_equal == self.n_checked

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"rate": self.rate, "holds": self.holds}


@dataclass(frozen=True)
class Shot:
    """An integer network that decides once; see the fields of Quantised for the rest."""

    network: Network
    n_steps: int
    depth: int
    input_unit: float
    output_unit: np.ndarray
    constants: dict[str, np.ndarray]
    exactness: Exactness
    stages: tuple[Stage, ...]
    chosen: dict[str, Whole]
    source: Ran
    ran: Ran


def single_shot(
    network: Network, form: NumberFormat, bits: int, inputs: np.ndarray, threads: int | None = None
) -> Shot:
    """An exact network on a target.

    inputs  float64[n_samples, n]  whole amounts over which it is certified
    Raises TargetError where the target cannot do it.
    """
    stages = normal_form(network, form.name)
    (name,) = stages.inputs
    unit, expected = amount_unit(inputs, form), evaluate(network, {name: inputs})
    _check(stages, form)
    extra = next(free for k in range(99) if (free := _ONE + "_" * k) not in network.populations)
    ready = [stage.in_units(name, unit) for stage in stages.stages]
    amounts = np.rint(inputs / unit)
    peaks = {stage.name: _peak(stage, {**expected, name: amounts}) for stage in ready}
    solved = {stage.name: _solve(stage, form, bits, peaks[stage.name]) for stage in ready}
    ones = _ones([one.constant / one.step for one in solved.values()], form, bits)
    made, chosen = [], {}
    for stage in ready:
        one = solved[stage.name]
        digits = _digits(one.constant / one.step, ones, one.digit) * one.step
        wire = Wire(f"{extra}_to_{stage.name}", extra, Dense(weight=digits), digits, stage.depth)
        keep_v = 0.0 if stage.kind == "signed" and "subtract" in form.resets else 1.0
        full = replace(stage, wires=(*stage.wires, wire), keep_v=keep_v, bias=0 * stage.bias)
        chosen[stage.name] = replace(one.whole, weights=(*one.whole.weights, digits))
        made.append(full)
    sizes = {**stages.inputs, extra: ones.size}
    found = build_integer(sizes, made, chosen, form)
    given = {name: amounts[:, None, :], extra: np.repeat(ones[None, None], len(inputs), axis=0)}
    n_steps = stages.depth + 1
    ran = run_of(found, given, n_steps, threads=threads)
    last = stages.stages[-1]
    output_unit = 1 / (form.unit * chosen[last.name].scale)
    signed = [stage.name for stage in stages.stages if stage.kind == "signed"]
    exactness = Exactness(
        exact=np.array_equal(amounts * unit, inputs) and all(one.exact for one in solved.values()),
        n_samples=len(inputs),
        n_checked={key: expected[key].size for key in signed},
        n_equal={key: int(np.count_nonzero(ran.totals[key] == expected[key])) for key in signed},
        readout_deviation=float(np.abs(ran.readout * output_unit - expected[last.name]).max()),
        certified=fingerprint(network, {}),
        data=data_hash(inputs),
    )
    source = Ran({**expected, name: amounts, extra: given[extra].sum(axis=1)}, expected[last.name])
    facts = {extra: ones}, exactness, tuple(made), chosen, source, ran
    return Shot(found, n_steps, stages.depth, unit, output_unit, *facts)


def amount_unit(amounts: np.ndarray, form: NumberFormat) -> float:
    """What an input amount is divided by so that it fits: 1, what all share, or a 255th of the largest.

    Raises TargetError where the target takes nothing but spikes.
    """
    most = min(form.largest_input, 255 if form.full_bits <= 8 else form.largest_input)
    largest = float(np.abs(amounts).max(initial=0.0))
    if largest <= most:
        return 1.0
    shared = float(np.gcd.reduce(np.rint(np.abs(amounts)).astype(np.int64), axis=None))
    if largest / shared <= most:
        return shared
    if most < 2:
        raise TargetError(
            f"{form.name} takes spikes, not amounts", where="input", got=f"amounts up to {largest:g}",
            expected="zeros and ones", code="target.input",
            fix="convert with inputs of zeros and ones, or take loihi2",
        )  # fmt: skip
    return largest / most


def _peak(stage: Stage, totals: dict[str, np.ndarray]) -> float:
    """The largest absolute potential and input of a stage on the data."""
    z = np.zeros((1, stage.n))
    for wire in stage.wires:
        rule, factor = wire.with_weight(wire.weight)
        z = z + factor * apply(rule, totals[wire.source])
    return float(max(np.abs(z + stage.start + stage.bias).max(), np.abs(z).max()))


def _check(stages: Stages, form: NumberFormat) -> None:
    levels = max((stage.most for stage in stages.stages if stage.kind == "signed"), default=1)
    if levels > form.most:
        raise TargetError(
            f"a neuron of {form.name} emits one spike in a step at most" if form.most == 1 else
            f"a neuron of {form.name} emits at most {form.most} spikes in a step",
            where="levels", got=levels, expected=f"at most {form.most}", code="target.levels",
            fix="convert with --levels 1, or with --method rate; or take generic-int8 or generic-int16, "
            "whose neurons emit bursts",
        )  # fmt: skip
    if form.rule.synapse == "current" and decay_of(0.0, form, True, "")[1] > 0:
        raise TargetError(
            f"input of {form.name} acts for more than one step", where="target", got="a current that decays",
            expected="neurons that get all of their input at once", code="target.current",
            fix="convert with --method rate, or take loihi2, generic-int8 or generic-int16",
        )  # fmt: skip
    for stage in stages.stages:
        if stage.kind not in ("signed", "readout"):
            raise TargetError(
                "not a network of an exact conversion", where=f"populations.{stage.name}", got=stage.kind,
                expected="signed_if and readout", code="target.signed",
            )  # fmt: skip


@dataclass(frozen=True)
class _Solved:
    """constant: stored units, multiples of step; digit: the largest of a connection from `one`, in steps."""

    whole: Whole
    constant: np.ndarray
    step: int
    digit: int
    exact: bool


def _solve(stage: Stage, form: NumberFormat, bits: int, peak: float) -> _Solved:
    lows = [float(w.weight.min(initial=0.0)) for w in stage.wires]
    highs = [float(w.weight.max(initial=0.0)) for w in stage.wires]
    grid = form.grid(bits, min(lows), max(highs))
    unit = common_unit(np.concatenate([w.weight.ravel() for w in stage.wires]))
    mixed = form.grid(bits)
    step = max(grid.step, mixed.step)
    scale = grid.step / unit if unit > 0 else 1.0
    most = _ROOM * min(form.rule.v_high, form.rule.u_high) / form.unit / max(peak, 1e-300)
    exact = unit > 0 and scale <= most and all(grid.holds(w.weight * scale) for w in stage.wires)
    fits = min(_room(grid, min(lows), max(highs), stage, form), most)
    scale = scale * max(1.0, fits // scale) if exact else fits  # thresholds want the finest units
    weights = tuple(grid.nearest(w.weight * scale) for w in stage.wires)
    ready = (stage.start + stage.bias) * scale
    threshold = np.full(stage.n, float(form.threshold_most))
    if stage.kind == "readout":
        constant = np.rint(stage.bias * scale / step) * step
    elif stage.most == 1:
        threshold[:] = step * np.ceil(stage.threshold.max() * scale / step)
        constant = threshold - step * np.ceil((stage.threshold * scale - ready) / step)
    else:
        threshold = np.rint(stage.threshold * scale)
        exact = exact and bool(np.all(threshold == stage.threshold * scale)) and not np.any(threshold % step)
        constant = step * np.floor(ready / step)
    if stage.kind == "signed" and not form.by_neuron and np.ptp(threshold) > 0:
        raise TargetError(
            f"neurons of a layer share their threshold on {form.name}", where=f"populations.{stage.name}",
            got=f"{np.unique(threshold).size} thresholds", expected="one", code="target.thresholds",
        )  # fmt: skip
    if threshold.max() > form.threshold_most:
        raise TargetError(
            "a threshold beyond what the target has",
            where=f"populations.{stage.name}", got=float(threshold.max()),
            expected=f"at most {form.threshold_most}", code="target.threshold",
            fix="take fewer bits of weights",
        )  # fmt: skip
    if form.rule.compare == "above" and stage.kind == "signed":
        threshold = threshold - 1
    zero = np.zeros(stage.n)
    whole = Whole(np.full(stage.n, scale), weights, threshold, zero, zero)
    return _Solved(whole, constant, step, min(-mixed.low, mixed.high) // step, exact)


def _room(grid: WeightGrid, low: float, high: float, stage: Stage, form: NumberFormat) -> float:
    """The largest scale with which weights and thresholds fit."""
    found = grid.room(low, high)
    largest = float(stage.threshold.max())
    found = min(found, form.threshold_most / largest / 2) if np.isfinite(largest) else found
    return found if np.isfinite(found) else 1.0


def common_unit(weights: np.ndarray) -> float:
    """The largest number of which all weights are whole multiples, exactly; 0 where there is none.

    Floats are whole multiples of a power of two, so this is a greatest common divisor.
    """
    values = np.abs(weights[weights != 0])
    if not values.size:
        return 1.0
    lowest = int(np.frexp(values.max())[1]) - _BITS
    whole = np.ldexp(values, -lowest)
    if np.any(whole != np.rint(whole)):
        return 0.0
    return float(np.ldexp(float(np.gcd.reduce(whole.astype(np.int64))), lowest))


def _ones(constants: list[np.ndarray], form: NumberFormat, bits: int) -> np.ndarray:
    """float64[k]: amounts of the input `one`, such that digits times amounts reach every constant."""
    grid = form.grid(bits)
    digit = min(-grid.low, grid.high) // grid.step
    needed = max(float(np.abs(constant).max(initial=0.0)) for constant in constants)
    found = [1.0]
    while digit * sum(found) < needed and len(found) <= _MOST_ONES:
        found.append(min(found[-1] * (digit + 1), float(form.largest_input), 2.0**24))
    if len(found) > _MOST_ONES or digit < 1:
        raise TargetError(
            "biases are too large for weights of this width", where="bias", got=needed,
            expected=f"at most {digit * sum(found):.0f} units", code="target.bias", fix="take more bits",
        )  # fmt: skip
    return np.array(found)


def _digits(constant: np.ndarray, ones: np.ndarray, most: int) -> np.ndarray:
    """float64[n, k]: whole digits with digits @ ones = constant."""
    left, found = np.array(constant, np.float64), np.zeros((constant.size, ones.size))
    for k in range(ones.size - 1, -1, -1):
        found[:, k] = np.clip(np.trunc(left / ones[k]), -most, most)
        left -= found[:, k] * ones[k]
    return found
