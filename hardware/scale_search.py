"""Whole numbers for one stage of a network, chosen on calibration data so that its spikes are kept.

A potential of 1 becomes `scale` stored units: weights, threshold and bias are multiplied by it and rounded.
In this order, and each only where it lowers the error, are searched

    1. the scale, from half of what fits into the grid up to four times that, where large weights are cut
    2. the threshold, by a few per cent
    3. the bias, by what rounding and cutting of weights (and of the stages in front) take from the mean input

error of neurons that spike: sum over samples and neurons of |spikes - spikes of the source|
error of a readout:          sum over samples and outputs of (potential - potential of the source)^2

Both are sums over the units that share a scale: all of a stage, or each channel where the target has
thresholds of their own.  The stages in front are whole already, so errors of theirs are seen, and partly
undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snnsim.converters.dense import apply
from snnsim.hardware.integer_build import Whole, decay_of
from snnsim.hardware.number_format import NumberFormat, WeightGrid
from snnsim.hardware.runs_of import Ran
from snnsim.hardware.stages import Stage

_SCALES = 2.0 ** (np.arange(-4, 9) / 4)
_THRESHOLDS = (0.97, 0.985, 0.993, 1.007, 1.015, 1.03)
_HARD = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1)  # a reset to zero loses spikes: thresholds move further
_BIASES = (0.5, 1.0)
_ROOM = 0.8  # of the range of a potential that a readout uses on calibration data

Attempt = Callable[[Whole], Ran]
"""Simulates the stages up to this one with these numbers."""


@dataclass(frozen=True)
class Task:
    """A stage and what it should do.

    group    int64[n]: units with the same number share a scale
    source   what the float network did, in `n_source` steps
    n_steps  of the integer network
    """

    stage: Stage
    form: NumberFormat
    bits: int
    group: np.ndarray
    source: Ran
    n_source: int
    n_steps: int
    hard: bool = False

    @property
    def n_groups(self) -> int:
        return int(self.group.max()) + 1

    def grid(self) -> WeightGrid:
        """By the signs of all weights onto the stage."""
        lows = [float(w.weight.min(initial=0.0)) for w in self.stage.wires]
        highs = [float(w.weight.max(initial=0.0)) for w in self.stage.wires]
        return self.form.grid(self.bits, min(lows, default=-1.0), max(highs, default=1.0))

    def errors(self, ran: Ran, whole: Whole) -> np.ndarray:
        """float64[n_groups]."""
        if self.stage.kind == "readout":
            found = ran.readout / self.form.unit / whole.scale
            each = np.square(found - self.source.readout).sum(axis=0)
        else:
            name = self.stage.name
            each = np.abs(ran.totals[name] - self.source.totals[name]).sum(axis=0)
        return np.bincount(self.group, each, self.n_groups)


def groups(stage: Stage, form: NumberFormat, by_channel: bool) -> np.ndarray:
    """int64[n]: which units of a stage share a scale."""
    return stage.channel if by_channel and form.by_neuron else np.zeros(stage.n, np.int64)


def whole_numbers(task: Task, scale: np.ndarray) -> Whole:
    """A stage in whole numbers; scale float64[n_groups]."""
    stage, form, grid = task.stage, task.form, task.grid()
    per_unit = np.asarray(scale, np.float64)[task.group]
    gain = 1.0
    if form.rule.order == "input_first" and form.rule.synapse == "current":
        gain = max(
            decay_of(stage.keep_u, form, True, stage.name)[1], 0.5
        )  # what arrives decays before it acts
        gain = 1.0 / gain if stage.keep_u > 0 else 1.0
    weights = tuple(
        grid.nearest(w.weight * gain * scale_of_targets(w.weight, per_unit, stage)) for w in stage.wires
    )
    threshold = np.full(stage.n, float(form.threshold_most))
    if stage.kind != "readout":
        threshold = np.rint(stage.threshold * per_unit)
        still = stage.keep_v == 1.0 and stage.keep_u == 0.0
        if form.rule.compare == "above" and still:
            threshold -= 1  # potentials are whole, so `above` this is `reached`
        threshold = np.clip(threshold, 1, form.threshold_most)
    start = stage.start - (stage.depth * stage.bias if stage.bias_steps is None else 0.0)
    return Whole(
        scale=per_unit,
        weights=weights,
        threshold=threshold,
        bias=np.clip(np.rint(stage.bias * per_unit), -form.bias_most, form.bias_most) + 0.0,
        start=np.rint(start * per_unit) + 0.0 if form.starts else np.zeros(stage.n),
    )


def scale_of_targets(weight: np.ndarray, per_unit: np.ndarray, stage: Stage) -> np.ndarray:
    """The scale of each target, to be multiplied with weights of a rule."""
    if weight.ndim == 1:
        return per_unit[:1]
    first = np.searchsorted(stage.channel, np.arange(weight.shape[0])) if weight.ndim == 4 else slice(None)
    return np.asarray(per_unit[first].reshape(-1, *(1,) * (weight.ndim - 1)))


def fitting_scale(task: Task) -> np.ndarray:
    """float64[n_groups]: the largest scales with which no weight is cut and thresholds and biases fit."""
    stage, grid = task.stage, task.grid()
    found = np.full(task.n_groups, np.inf)
    low, high = np.zeros(stage.n), np.zeros(stage.n)
    for wire in stage.wires:
        if wire.weight.ndim == 1:
            edges = np.minimum(wire.weight[0], 0.0), np.maximum(wire.weight[0], 0.0)
            low, high = np.minimum(low, edges[0]), np.maximum(high, edges[1])
            continue
        flat = wire.weight.reshape(len(wire.weight), -1)
        unit = stage.channel if wire.weight.ndim == 4 else np.arange(stage.n)
        low = np.minimum(low, flat.min(axis=1, initial=0.0)[unit])
        high = np.maximum(high, flat.max(axis=1, initial=0.0)[unit])
    for k in range(task.n_groups):
        mine = task.group == k
        found[k] = grid.room(float(low[mine].min()), float(high[mine].max()))
        found[k] = min(found[k], most_scale(task, mine))
    return np.where(np.isfinite(found), found, 1.0)


def most_scale(task: Task, mine: np.ndarray) -> float:
    """The largest scale with which thresholds, biases and the potentials of a readout fit."""
    stage, form, edges = task.stage, task.form, [np.inf]
    for values, most in ((stage.threshold, form.threshold_most), (stage.bias, form.bias_most)):
        largest = float(np.abs(values[mine]).max())
        if 0 < largest < np.inf:
            edges.append(most / largest)
    if stage.kind == "readout":
        largest = float(np.abs(task.source.readout[:, mine]).max())
        edges.append(_ROOM * min(form.threshold_most, form.rule.v_high / form.unit) / max(largest, 1e-300))
    return min(edges)


def searched(
    task: Task, attempt: Attempt, scale: np.ndarray | None = None, search: bool = True
) -> tuple[Whole, Ran]:
    """The best whole numbers of a stage, and what it does with them; a scale that is given stays."""
    fits = fitting_scale(task)
    best = _Best(task, attempt, whole_numbers(task, fits if scale is None else scale))
    if not search:
        return best.whole, best.ran
    if scale is None:
        most = np.array([most_scale(task, task.group == k) for k in range(task.n_groups)])
        for factor in _SCALES[_SCALES != 1.0]:
            best.offer(whole_numbers(task, np.minimum(fits * factor, most)))
    if task.stage.kind != "readout":
        centre = best.whole.threshold
        for factor in _HARD if task.hard else _THRESHOLDS:
            moved = np.clip(np.rint(centre * factor), 1, task.form.threshold_most)
            best.offer(replace(best.whole, threshold=moved))
    if task.form.bias_most:
        missing, centre = _missing(task, best.whole, best.ran), best.whole.bias
        for share in _BIASES:
            moved = np.rint(centre + share * missing)
            moved = np.clip(moved, -task.form.bias_most, task.form.bias_most) + 0.0
            best.offer(replace(best.whole, bias=moved))
    return best.whole, best.ran


class _Best:
    """The best numbers so far, group by group: what a group takes does not touch the others."""

    def __init__(self, task: Task, attempt: Attempt, whole: Whole) -> None:
        self.task, self.attempt, self.whole = task, attempt, whole
        self.ran = attempt(whole)
        self.errors = task.errors(self.ran, whole)

    def offer(self, whole: Whole) -> None:
        """Take it where it is better."""
        ran = self.attempt(whole)
        errors = self.task.errors(ran, whole)
        better = errors < self.errors
        if not better.any():
            return
        if not better.all():
            whole = _mixed(self.task, self.whole, whole, better)
            ran = self.attempt(whole)
            errors = self.task.errors(ran, whole)
        self.whole, self.ran, self.errors = whole, ran, errors


def _mixed(task: Task, old: Whole, new: Whole, better: np.ndarray) -> Whole:
    """The new numbers for the groups that are better with them."""
    takes = better[task.group]

    def weights(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        chosen = scale_of_targets(after, takes.astype(np.float64), task.stage) > 0
        return np.where(chosen, after, before)

    return Whole(
        weights=tuple(weights(a, b) for a, b in zip(old.weights, new.weights, strict=True)),
        **{
            key: np.where(takes, getattr(new, key), getattr(old, key))
            for key in ("scale", "threshold", "bias", "start")
        },
    )


def _missing(task: Task, whole: Whole, ran: Ran) -> np.ndarray:
    """float64[n]: mean input of a step that the float stage has and the whole one lacks, in stored units."""
    stage = task.stage
    lacking = stage.bias * task.n_source + stage.start
    lacking = lacking - (whole.bias * task.n_steps + whole.start) / whole.scale
    for wire, weight in zip(stage.wires, whole.weights, strict=True):
        rule, factor = wire.with_weight(wire.weight)
        wanted = factor * apply(rule, task.source.totals[wire.source]).mean(axis=0)
        rule, factor = wire.with_weight(weight)
        got = factor * apply(rule, ran.totals[wire.source]).mean(axis=0) / whole.scale
        lacking = lacking + wanted - got
    by_channel = np.bincount(stage.channel, lacking) / np.maximum(np.bincount(stage.channel), 1)
    return np.asarray(by_channel[stage.channel] / task.n_steps * whole.scale)
