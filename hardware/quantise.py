"""A float network onto the grid of a target: weights, thresholds, decays and biases as whole numbers.

    found = quantise(network, "loihi2", images, n_steps=11)   # images [n_samples, n_given, n], whole amounts
    found.network                            # an integer network, which runs like any other
    found.predict(images)                    # outputs in the units of the source
    [row.as_dict() for row in found.rows]    # what was lost, layer by layer

The objective is stated in scale_search.py: spikes of each layer, and outputs, as those of the source on
calibration data.  Networks from `convert --method exact` go another way, see single_shot.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.folding import fold_pools
from snnsim.hardware.integer_build import Whole, build_integer
from snnsim.hardware.loss_table import LayerLoss, loss_of
from snnsim.hardware.number_format import NumberFormat, number_format
from snnsim.hardware.runs_of import Ran, run_of
from snnsim.hardware.scale_search import Task, groups, scale_of_targets, searched
from snnsim.hardware.single_shot import Exactness, single_shot
from snnsim.hardware.stages import Stage, Stages, normal_form
from snnsim.identity import fingerprint
from snnsim.network import Network


@dataclass(frozen=True)
class Quantised:
    """An integer network, and what it was made from.

    network        integer neurons, whole weights
    target, bits   whose grid, and the width of weights
    n_steps        for which a sample is simulated; the last layer is `depth` steps behind the source
    repeat         steps in which an input of one step acts
    input_unit     value of an input amount of 1
    output_unit    float64[n]  value of an output of 1 (of a potential, or of a spike)
    reads          "potential" or "spikes" of the last population
    rows           what was lost
    source         SHA-256 of the float network
    exactness      of networks from `convert --method exact`
    constants      amounts of inputs that are the same for all samples, in step 0
    """

    network: Network
    target: str
    bits: int
    n_steps: int
    repeat: int
    depth: int
    input_unit: float
    output_unit: np.ndarray
    reads: str
    rows: tuple[LayerLoss, ...]
    source: str
    exactness: Exactness | None = None
    constants: Mapping[str, np.ndarray] | None = None

    def inputs(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Whole amounts by input, [n_samples, n_given, n], of data as the source takes them.

        Raises ConfigError for data that do not fit.
        """
        (name,) = [one for one in self.network.stimuli if one not in (self.constants or {})]
        value = as_steps(x, getattr(self.network.stimuli[name], "n", 0))
        whole = np.rint(value / self.input_unit)
        whole = whole[:, None] if whole.ndim == 2 else whole
        if self.repeat > 1:
            whole = np.repeat(whole, self.repeat, axis=1)
        found = {name: whole}
        for key, amounts in (self.constants or {}).items():
            first = np.zeros((len(whole), whole.shape[1], amounts.size))
            first[:, 0] = amounts
            found[key] = first
        return found

    def run(self, x: np.ndarray, threads: int | None = None) -> Ran:
        """Simulate the integer network on samples, as many as there are."""
        return run_of(self.network, self.inputs(x), self.n_steps, threads=threads)

    def outputs(self, ran: Ran) -> np.ndarray:
        """float64[n_samples, outputs] in units of the source."""
        last = list(self.network.populations)[-1]
        return (ran.readout if self.reads == "potential" else ran.totals[last]) * self.output_unit

    def predict(self, x: np.ndarray, threads: int | None = None) -> np.ndarray:
        """float64[n_samples, outputs]: what the source computes, as the integer network gives it."""
        parts = [self.outputs(self.run(x[low : low + 256], threads)) for low in range(0, len(x), 256)]
        return np.concatenate(parts)


def quantise(
    network: Network,
    target: str,
    calibration: np.ndarray,
    *,
    n_steps: int,
    repeat: int = 1,
    bits: int | None = None,
    by_channel: bool = True,
    hard_reset: bool = False,
    scales: Mapping[str, float] | None = None,
    search: bool = True,
    threads: int | None = None,
) -> Quantised:
    """A layered float network as an integer network of a target.

    network      IF and LIF neurons (delta or exponential synapses, one time constant), burst_if, relay,
                 readout; rules of layers; one input
    calibration  [n_samples, n], or [n_samples, n_given, n] with one frame a step
    n_steps      for which the float network is run on a sample;  repeat: see BatchSimulator.evaluate
    bits         of weights; without: the widest that the target has, at most 8
    by_channel   a scale for each channel where the target has thresholds of their own; else one a layer
    hard_reset   put a reset to zero in place of a subtraction that the target does not have
    scales       stored units of a potential of 1 by layer, where they are known (training on the grid)
    search       choose by calibration data; without, the largest scale that cuts no weight is taken
    Raises TargetError for what the target cannot do, ConfigError for arguments that cannot be.
    """
    form = number_format(target)
    bits = min(form.full_bits, 8) if bits is None else bits
    form.grid(bits)
    stages = normal_form(network, target)
    if hard_reset and "subtract" not in form.resets:
        stages = replace(stages, stages=tuple(_hard(stage) for stage in stages.stages))
        hard = {name for name, p in network.populations.items() if _subtracts(p.unit)}
    else:
        hard = set()
    _check_kinds(stages, form)
    (name,) = _one_input(stages, target)
    data = as_steps(calibration, stages.inputs[name])
    unit = input_unit(data, form)
    # without pools, so that the last population to advance is the last stage
    source = run_of(fold_pools(network, target), {name: data}, n_steps, repeat, threads)
    source = replace(source, totals={**source.totals, name: source.totals[name] / unit})
    total = n_steps + stages.depth
    whole_inputs = {name: np.rint(data / unit)}
    chosen: dict[str, Whole] = {}
    rows = []
    for stage in (even(stage.in_units(name, unit)) for stage in stages.stages):
        task = Task(
            stage, form, bits, groups(stage, form, by_channel), source, n_steps, total, stage.name in hard
        )

        def attempt(whole: Whole, stage: Stage = stage) -> Ran:
            made = build_integer(stages.inputs, stages.stages, {**chosen, stage.name: whole}, form)
            return run_of(made, whole_inputs, total, repeat, threads)

        given = (scales or {}).get(stage.name)
        scale = None if given is None else np.full(task.n_groups, float(given))
        best, ran = searched(task, attempt, scale, search)
        chosen[stage.name] = best
        rows.append(loss_of(task, best, ran))
    last = stages.stages[-1]
    reads = "potential" if last.kind == "readout" else "spikes"
    made = build_integer(stages.inputs, stages.stages, chosen, form)
    output_unit = 1 / (form.unit * chosen[last.name].scale) if reads == "potential" else np.ones(last.n)
    return Quantised(
        made, target, bits, total, repeat, stages.depth, unit, output_unit, reads, tuple(rows),
        fingerprint(network, {}),
    )  # fmt: skip


def quantise_exact(
    network: Network, target: str, inputs: np.ndarray, *, bits: int | None = None, input_scale: float = 1.0,
    threads: int | None = None,
) -> Quantised:  # fmt: skip
    """A network from `convert --method exact` as an integer network in which every neuron decides once.

    inputs       [n_samples, n]  whole amounts, those of the certificate
    input_scale  value of an amount of 1, as the conversion has it
    Raises TargetError for what the target cannot do.
    """
    form = number_format(target)
    bits = form.full_bits if bits is None else bits
    shot = single_shot(network, form, bits, np.asarray(inputs, np.float64), threads)
    rows = []
    for stage in shot.stages:  # what `one` adds is no weight of the source
        whole = shot.chosen[stage.name]
        task = Task(
            replace(stage, wires=stage.wires[:-1]), form, bits, np.zeros(stage.n, np.int64), shot.source, 1,
            shot.n_steps,
        )  # fmt: skip
        rows.append(loss_of(task, replace(whole, weights=whole.weights[:-1]), shot.ran))
    return Quantised(
        shot.network, target, bits, shot.n_steps, 1, shot.depth, shot.input_unit * input_scale,
        shot.output_unit,
        "potential", tuple(rows), fingerprint(network, {}), shot.exactness, shot.constants,
    )  # fmt: skip


def as_steps(data: np.ndarray, n: int) -> np.ndarray:
    """Data as one step [n_samples, n], or as steps [n_samples, n_given, n]; images lose their shape.

    Raises ConfigError for data that do not fit.
    """
    value = np.asarray(data)
    if value.dtype.kind in "biuf" and value.ndim >= 2 and len(value):
        if value.ndim == 3 and value.shape[2] == n:
            return value
        if value.size == len(value) * n:
            return value.reshape(len(value), n)
    raise ConfigError(
        "not data for this network", where="inputs", got=f"{value.dtype}{list(value.shape)}",
        expected=f"numbers [n_samples, {n}] or [n_samples, n_steps, {n}]",
    )  # fmt: skip


def input_unit(data: np.ndarray, form: NumberFormat) -> float:
    """The value of an input amount of 1: 1 for whole numbers that fit, else a 255th of the largest.

    Raises TargetError for data that are no spikes, where the target takes nothing else.
    """
    largest = float(np.abs(data).max(initial=0.0))
    if np.array_equal(data, np.rint(data)) and largest <= form.largest_input:
        return 1.0
    levels = min(255, form.largest_input)
    if levels < 2:
        raise TargetError(
            f"{form.name} takes spikes, not values", where="input", got=f"values up to {largest:g}",
            expected=f"amounts of at most {form.largest_input}", code="target.input",
            fix="show frames of zeros and ones, [n_samples, n_steps, n]; or take loihi2",
        )  # fmt: skip
    return largest / levels


def even(stage: Stage) -> Stage:
    """The same stage with one threshold: potentials of a neuron are its own affair, so each has its own unit.

    Where units that share weights have thresholds that differ, it stays as it is.
    """
    if stage.kind not in ("zero", "subtract"):
        return stage
    factor = stage.threshold.max() / stage.threshold
    first = factor[np.searchsorted(stage.channel, stage.channel)]
    if np.any(first != factor) or any(w.weight.ndim == 1 for w in stage.wires):
        return stage
    wires = tuple(
        replace(w, weight=w.weight * scale_of_targets(w.weight, factor, stage)) for w in stage.wires
    )
    return replace(
        stage, wires=wires, threshold=np.full(stage.n, stage.threshold.max()), bias=stage.bias * factor,
        start=stage.start * factor,
    )  # fmt: skip


def _subtracts(unit: object) -> bool:
    return getattr(unit, "KIND", "") == "burst_if" or getattr(unit, "reset", "") == "subtract"


def _hard(stage: Stage) -> Stage:
    return replace(stage, kind="zero", most=1) if stage.kind == "subtract" else stage


def _check_kinds(stages: Stages, form: NumberFormat) -> None:
    """Signed neurons go another way, and biases act in each step."""
    for stage in stages.stages:
        if stage.kind == "signed":
            raise TargetError(
                f"{form.name} has no signed spikes", where=f"populations.{stage.name}", got="signed_if",
                expected="a network from `convert --method exact` with --timesteps 1, as a whole",
                fix="use snnsim.hardware.single_shot.single_shot", code="target.signed",
            )  # fmt: skip
        if stage.bias_steps is not None and np.any(stage.bias):
            raise TargetError(
                "a bias that ends", where=f"populations.{stage.name}", got=f"{stage.bias_steps} steps",
                expected="one in each step", code="target.bias_steps",
            )  # fmt: skip


def _one_input(stages: Stages, target: str) -> list[str]:
    if len(stages.inputs) != 1:
        raise TargetError(
            "networks with one input are quantised", where="stimuli", got=", ".join(stages.inputs) or "none",
            expected="one analogue input", code="target.inputs",
        )  # fmt: skip
    return list(stages.inputs)
