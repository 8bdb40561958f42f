"""What a batch of samples has left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.kernels.layer_layout import Outcome
from snnsim.layer_program import LayerProgram


@dataclass(frozen=True)
class BatchResult:
    """What a batch has left.

    readout    F[n_samples, n_steps, n]  potentials of the last population after each step (of a simulation
               that goes on: after the last one alone); a sample that ended early keeps its last ones
    counts     int32[n_samples, n]       spikes of each unit by population, where they were asked for
    totals     F[n_samples, n]           sums of the amounts of their events
    events     int64[n_samples]          events of each population
    spikes     float64[n_samples]           sum of their absolute amounts: a burst of three counts three
    additions  int64[n_samples]          additions to currents, by projection; of an input that acts in
               several steps once
    graded     int64[n_samples]          those of them that multiply, for amounts other than 1 and -1
    n_steps    int64[n_samples]          steps until nothing was on its way
    repeat     in how many steps the input acted
    """

    readout: np.ndarray
    counts: dict[str, np.ndarray]
    totals: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    spikes: dict[str, np.ndarray]
    additions: dict[str, np.ndarray]
    graded: dict[str, np.ndarray]
    n_steps: np.ndarray
    repeat: int


def result_of(
    program: LayerProgram, outcome: Outcome, readout: np.ndarray, spikes: np.ndarray, total: np.ndarray,
    repeat: int,
) -> BatchResult:  # fmt: skip
    """By name, with units as the user counts them.

    readout        F[n_samples, n_steps, n]  of the last population, as it is kept
    spikes, total  [n_samples or 0, n_units]
    """
    last = program.names[-1]
    kept = program.names if spikes.shape[0] else []
    return BatchResult(
        readout=readout[:, :, program.place[last]],
        counts={name: spikes[:, program.units(name)][:, program.place[name]] for name in kept},
        totals={name: total[:, program.units(name)][:, program.place[name]] for name in kept},
        events={name: outcome.events[:, p] for p, name in enumerate(program.names)},
        spikes={name: outcome.sent[:, p] for p, name in enumerate(program.names)},
        additions={name: outcome.added[:, j] for j, name in enumerate(program.links)},
        graded={name: outcome.graded[:, j] for j, name in enumerate(program.links)},
        n_steps=outcome.ended,
        repeat=repeat,
    )
