"""What a network lost on its way onto a target's grid, layer by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnsim.hardware.integer_build import Whole, decay_of
from snnsim.hardware.runs_of import Ran
from snnsim.hardware.scale_search import Task, scale_of_targets


@dataclass(frozen=True)
class LayerLoss:
    """One layer.

    bits, step       of its weights, and the distance of two of them
    scale            stored units that a potential of 1 became (the median, where channels differ)
    weight_error     root mean square of weight - source weight, as a share of the source's own
    clipped          share of weights that lay outside of the grid
    threshold_error  largest |threshold - source threshold| as a share of it; of neurons that decide once 0,
                     since what their threshold lacks comes over a connection
    decay_error      largest difference of the shares of potential and current that a step leaves
    spikes, source_spikes  of a sample, on calibration data
    agreement        1 - sum of |spikes - source spikes| / sum of source spikes; of a readout: share of
                     samples whose largest output is the source's
    note             what was lost besides
    """

    layer: str
    kind: str
    bits: int
    step: int
    scale: float
    weight_error: float
    clipped: float
    threshold_error: float
    decay_error: float
    source_spikes: float
    spikes: float
    agreement: float
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def loss_of(task: Task, whole: Whole, ran: Ran) -> LayerLoss:
    """The row of one stage; ran is what the whole network up to it did with calibration data."""
    stage, form, grid = task.stage, task.form, task.grid()
    kept_u = decay_of(stage.keep_u, form, True, stage.name)[1]
    kept_v = decay_of(stage.keep_v, form, False, stage.name)[1]
    notes = []
    if stage.kind == "readout":
        found, source = ran.readout, task.source.readout
        agreement = float(np.mean((found / whole.scale).argmax(1) == source.argmax(1)))
        spikes = source_spikes = 0.0
        error = 0.0
    else:
        found, source = ran.totals[stage.name], task.source.totals[stage.name]
        spikes, source_spikes = float(found.sum(1).mean()), float(source.sum(1).mean())
        wrong = float(np.abs(found - source).sum())
        agreement = 1 - wrong / float(source.sum()) if source.any() else float(wrong == 0)
        error = (
            0.0
            if stage.kind == "signed"
            else float(np.abs(whole.threshold / whole.scale - stage.threshold).max() / stage.threshold.min())
        )
    if np.any(stage.start) and not form.starts and stage.kind != "signed":
        notes.append("starts from 0")
    if task.hard:
        notes.append("reset to zero in place of subtraction")
    return LayerLoss(
        stage.name, stage.kind, task.bits, grid.step, float(np.median(whole.scale)), *_weights(task, whole),
        error,
        max(abs(kept_u - stage.keep_u), abs(kept_v - stage.keep_v)), source_spikes, spikes, agreement,
        ", ".join(notes),
    )  # fmt: skip


def _weights(task: Task, whole: Whole) -> tuple[float, float]:
    """(relative error, share that was cut)."""
    off = size = cut = n = 0.0
    grid = task.grid()
    for wire, weight in zip(task.stage.wires, whole.weights, strict=True):
        scaled = wire.weight * scale_of_targets(wire.weight, whole.scale, task.stage)
        back = (weight - scaled) / scale_of_targets(wire.weight, whole.scale, task.stage)
        off, size = off + float(np.square(back).sum()), size + float(np.square(wire.weight).sum())
        half = grid.step / 2
        cut += float(np.count_nonzero((scaled > grid.high + half) | (scaled < grid.low - half)))
        n += weight.size
    return float(np.sqrt(off / size)) if size else 0.0, cut / max(n, 1)
