"""Choice of a conversion: many are tried on calibration data, and the cheapest good one is taken.

    exact   1, 3, 7, 15 levels, all input at once
    rate    4, 8, 16, 32 steps, each with several normalisations
    burst   the same
    ttfs    for comparison: in continuous time, which nothing that counts in steps has, so it is never taken

More steps cost more; so a normalisation is left where it costs more than a network that agrees everywhere.

Agreement is the share of samples whose largest output is the source's; cost are additions to potentials for a
sample, over all connections, those of the input included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np

from snnsim.converters import graph as g
from snnsim.converters.calibrate import activations
from snnsim.converters.certificate import Progress
from snnsim.converters.convert import Conversion, certified, rated
from snnsim.converters.exact import quantised
from snnsim.converters.ttfs import time_coded

LEVELS = (1, 3, 7, 15)
TIMESTEPS = (4, 8, 16, 32)
NORMALISED = ("percentile", "mse", "balanced")
TOLERANCE = 0.005
_TRIED_ON = 256  # samples at most


@dataclass(frozen=True)
class Candidate:
    """One conversion that was tried.

    levels         exact: largest integer; else 0
    timesteps      over which an input comes or acts; 0: continuous time
    normalisation  rate, burst
    agreement      share of samples with the source's largest output
    error          root mean square of the outputs' deviation, relative to that of the source's outputs
    additions      for a sample, the mean
    """

    method: str
    levels: int
    timesteps: int
    normalisation: str
    agreement: float
    error: float
    additions: float


@dataclass(frozen=True)
class Choice:
    """What was tried, and what was taken.

    candidates  in the order of their additions
    taken       the network with the fewest additions, of those at most `tolerance` below the best agreement
    n_samples   that candidates were compared on
    """

    candidates: tuple[Candidate, ...]
    taken: Candidate
    tolerance: float
    n_samples: int

    @property
    def pareto(self) -> tuple[Candidate, ...]:
        """Those that none with as few additions surpasses in agreement (or, at equal agreement, in error)."""
        found: list[Candidate] = []
        for one in self.candidates:
            if not found or (one.agreement, -one.error) > (found[-1].agreement, -found[-1].error):
                found.append(one)
        return tuple(found)

    def as_dict(self) -> dict[str, object]:
        return {
            "n_samples": self.n_samples,
            "tolerance": self.tolerance,
            "taken": asdict(self.taken),
            "pareto": [asdict(one) for one in self.pareto],
            "candidates": [asdict(one) for one in self.candidates],
        }


def automatic(
    graph: g.Graph,
    data: np.ndarray,
    *,
    levels: Sequence[int] = LEVELS,
    timesteps: Sequence[int] = TIMESTEPS,
    normalisations: Sequence[str] = NORMALISED,
    tolerance: float = TOLERANCE,
    thorough: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """The conversion that is taken, with `choice`; an exact one has its certificate over the data.

    data      float64[n_samples, *shape]
    thorough  try also what can only cost more than a network that agrees on all samples
    progress  called with (what is done, how much of it, how much there is at most)
    Raises ConversionError for models that no method converts.
    """
    source = activations(graph, data)
    tried = data[:: -(-len(data) // _TRIED_ON)]
    wanted = source.outputs[:: -(-len(data) // _TRIED_ON)]
    found: list[tuple[Candidate, Conversion]] = []
    most = len(levels) + 2 * len(normalisations) * len(timesteps)

    def report(done: int) -> None:
        if progress is not None:
            progress("conversions tried", done, most)

    for n in levels:
        network, scale = quantised(graph, data, n, source=source)
        made = Conversion(graph, network, "exact", 1, scale, correction="bias")
        found.append((_judged(made, n, "", tried, wanted), made))
        report(len(found))
    for method, name in product(("rate", "burst"), normalisations):
        for steps in sorted(timesteps):
            made = rated(graph, data, source, method, steps, name)
            one = _judged(made, 0, name, tried, wanted)
            found.append((one, made))
            report(len(found))
            if not thorough and any(c.agreement == 1.0 and c.additions < one.additions for c, _ in found):
                break
    best = max(one.agreement for one, _ in found)
    good = [pair for pair in found if pair[0].agreement >= best - tolerance]
    taken, made = min(good, key=lambda pair: (pair[0].additions, pair[0].error))
    network, scale = time_coded(graph, data)
    timed = _judged(Conversion(graph, network, "ttfs", 1, scale), 0, "", tried, wanted)
    timed = replace(timed, timesteps=0)
    candidates = [*(one for one, _ in found), timed]
    order = sorted(candidates, key=lambda one: (one.additions, one.error))
    choice = Choice(tuple(order), taken, tolerance, len(tried))
    if made.method == "exact":
        made = certified(made, data, progress=progress)
    return replace(made, choice=choice)


def _judged(
    made: Conversion, levels: int, normalisation: str, x: np.ndarray, wanted: np.ndarray
) -> Candidate:
    outputs, added = [], 0
    for part in made.parts(len(x)):
        result = made.run(x[part])
        outputs.append(result.readout[:, -1] * made.readout_scale)
        added += sum(int(one.sum()) for one in result.additions.values())
    agreement, error = _compared(np.concatenate(outputs), wanted)
    return Candidate(made.method, levels, made.timesteps, normalisation, agreement, error, added / len(x))


def _compared(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """(agreement, relative error) of outputs float64[n_samples, n]."""
    agreement = float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean())
    size = float(np.sqrt((wanted**2).mean()))
    return agreement, float(np.sqrt(((found - wanted) ** 2).mean())) / (size or 1.0)
