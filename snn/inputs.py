"""Stimuli as the kernels want them: tables of probabilities, events, Poisson distributions, currents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from snnsim.encoding import EncodedImages, encode
from snnsim.errors import ConfigError
from snnsim.grid import to_step_array, to_steps
from snnsim.kernels import sources as codes
from snnsim.kernels.layout import Drives, Sources
from snnsim.network import Network
from snnsim.stimuli import Current, Images, Phase, Poisson, PoissonDrive, SpikeTrains
from snnsim.streams import key_of, realise
from snnsim.units import Units
from snnsim.weights import weight_of

FOREVER = 2**61
_RARE = 0.1  # probability up to which sources are drawn by the gaps between their spikes
_BITS = 128  # of the powers of a probability
_TAIL = 2.0**-60  # probability beyond which a Poisson count is never drawn: finer than the 53 bits of u


def encode_images(
    network: Network, dt_ms: float, seed: int, data_dir: Path | str | None
) -> dict[str, EncodedImages]:
    """The image series of a network, by stimulus.  With their sizes known, the network is checked again."""
    found = {
        name: encode(s, dt_ms, seed, data_dir, f"stimuli.{name}")
        for name, s in network.stimuli.items()
        if isinstance(s, Images)
    }
    network.check_sizes({name: images.n_sources for name, images in found.items()})
    return found


def source_sizes(network: Network, images: dict[str, EncodedImages]) -> dict[str, int]:
    """Number of units of each spike source."""
    return {name: images[name].n_sources if name in images else s.n for name, s in network.sources().items()}  # type: ignore[attr-defined]


@dataclass
class _Parts:
    """Arrays that grow, one entry a source population."""

    columns: dict[str, list[int]]
    schedule: list[np.ndarray]
    table: list[np.ndarray]
    threshold: list[float]
    event_step: list[np.ndarray]
    event_id: list[np.ndarray]
    cuts: list[np.ndarray]
    guides: list[np.ndarray]


def make_sources(
    network: Network, units: Units, images: dict[str, EncodedImages], dt_ms: float, seed: int
) -> Sources:
    """All spike sources."""
    names = (
        "code",
        "start",
        "period",
        "present",
        "n_presentations",
        "schedule_base",
        "table_base",
        "width",
        "n_events",
        "gap_row",
    )
    parts = _Parts({name: [] for name in names}, [], [], [], [], [], [], [])
    for name, stimulus in network.sources().items():
        where = f"stimuli.{name}"
        if isinstance(stimulus, Poisson):
            start, stop = _window(stimulus, dt_ms, where)
            rate = realise(stimulus.rate_hz, stimulus.n, seed, f"{where}.rate_hz")
            p = rate * (dt_ms / 1000.0)
            rare = p.min() == p.max() <= _RARE
            _add(
                parts,
                codes.RARE if rare else codes.RATE,
                start,
                stop - start,
                stop - start,
                np.zeros(1, np.int64),
                p[None, : 1 if rare else None],
            )
        elif isinstance(stimulus, SpikeTrains):
            _add(parts, codes.EVENTS, 0, 0, 0, np.zeros(0, np.int64), np.zeros((0, stimulus.n)))
            _add_events(parts, stimulus, dt_ms, where)
        else:
            shown = images[name]
            period = shown.present_steps + shown.rest_steps
            _add(
                parts,
                shown.code,
                0,
                period,
                shown.present_steps,
                shown.schedule,
                shown.table,
                shown.threshold,
            )
    columns = {name: np.array(items, dtype=np.int64) for name, items in parts.columns.items()}
    n_events = columns.pop("n_events")
    return Sources(
        key=np.array([key_of(seed, f"stimuli.{name}") for name in network.sources()], dtype=np.uint64),
        schedule=_join(parts.schedule, np.int64),
        table=_join(parts.table, np.float64),
        threshold=np.array(parts.threshold, dtype=np.float64),
        event_base=np.concatenate([[0], np.cumsum(n_events)]).astype(np.int64),
        event_step=_join(parts.event_step, np.int64),
        event_id=_join(parts.event_id, np.int64),
        gap_cut=np.array(parts.cuts, np.uint64).reshape(-1, codes.GAPS + 1),
        gap_guide=np.array(parts.guides, np.uint16).reshape(-1, 2**codes.GUIDE_BITS),
        **columns,
    )


def _add(
    parts: _Parts, code: int, start: int, period: int, present: int, schedule: np.ndarray, table: np.ndarray,
    threshold: float = 0.0,
) -> None:  # fmt: skip
    row = {
        "code": code, "start": start, "period": period, "present": present, "n_presentations": len(schedule),
        "schedule_base": sum(map(len, parts.schedule)), "table_base": sum(t.size for t in parts.table),
        "width": table.shape[1], "n_events": 0,
        "gap_row": len(parts.cuts),
    }  # fmt: skip
    for name, value in row.items():
        parts.columns[name].append(value)
    if code == codes.RARE:
        cuts = gap_cuts(float(table[0, 0]))
        grid = np.arange(2**codes.GUIDE_BITS, dtype=np.uint64) << np.uint64(53 - codes.GUIDE_BITS)
        parts.cuts.append(np.append(cuts, np.uint64(2**53)))
        parts.guides.append(np.searchsorted(cuts, grid, side="right"))
    parts.schedule.append(schedule)
    parts.table.append(table)
    parts.threshold.append(threshold)


def _add_events(parts: _Parts, stimulus: SpikeTrains, dt_ms: float, where: str) -> None:
    steps = to_step_array(stimulus.times_ms, dt_ms, f"{where}.times_ms")
    order = np.lexsort((stimulus.ids, steps))
    step, unit = steps[order], stimulus.ids[order]
    twice = np.flatnonzero((np.diff(step) == 0) & (np.diff(unit) == 0))
    if twice.size:
        k = int(twice[0])
        raise ConfigError(
            "a source fires twice in one step",
            where=f"{where}.times_ms",
            got=f"source {unit[k]} at {step[k] * dt_ms:g} ms",
            expected="at most one spike of a source in a step",
        )
    parts.columns["n_events"][-1] = step.size
    parts.event_step.append(step)
    parts.event_id.append(unit)


def _window(stimulus: Poisson | PoissonDrive, dt_ms: float, where: str) -> tuple[int, int]:
    start = to_steps(stimulus.start_ms, dt_ms, f"{where}.start_ms")
    stop = FOREVER if stimulus.stop_ms is None else to_steps(stimulus.stop_ms, dt_ms, f"{where}.stop_ms")
    if stop < start:
        raise ConfigError(
            "the stimulus stops before it starts",
            where=f"{where}.stop_ms",
            got=stimulus.stop_ms,
            expected=f">= start_ms = {stimulus.start_ms:g}",
        )
    return start, stop


def gap_cuts(p: float) -> np.ndarray:
    """uint64[GAPS]: P(gap <= j) 2**53, rounded up, for the failures before a success of probability p.

    In whole numbers: the same on every machine, and exact but for the rounding.
    """
    one = 1 << _BITS
    stay = one - int(Fraction(p) * one)
    silent, cuts = one, []
    for _ in range(codes.GAPS):
        silent = silent * stay >> _BITS
        cuts.append(-((silent - one) >> (_BITS - 53)))
    return np.array(cuts, dtype=np.uint64)


def poisson_cdf(mean: float) -> np.ndarray:
    """P(count <= j) for j = 0, 1, ... up to where nothing is left; the last entry is 1.

    By the ratios of neighbouring probabilities, up and down from the most likely count: an error of about
    1e-14, and no logarithm or exponential that another machine might round otherwise.
    """
    if mean == 0.0:
        return np.ones(1)
    j = np.arange(int(mean + 12 * math.sqrt(mean) + 40))
    mode = int(mean)
    below, above = np.cumprod(j[mode:0:-1] / mean), np.cumprod(mean / j[mode + 1 :])
    cdf = np.cumsum(np.concatenate([below[::-1], [1.0], above]))
    cdf /= cdf[-1]
    end = int(np.searchsorted(cdf, 1.0 - _TAIL)) + 1
    return np.append(np.minimum(cdf[: end - 1], 1.0), 1.0)


def cuts_of(cdf: np.ndarray) -> np.ndarray:
    """uint64[...]: a count exceeds j where 53 random bits, as a whole number, reach cut j."""
    scaled = np.ceil(cdf * 2.0**53)
    return scaled[scaled < 2.0**53].astype(np.uint64)


def make_drives(network: Network, units: Units, dt_ms: float, seed: int) -> Drives:
    """All stimuli that act on neurons directly."""
    poisson = [(name, s) for name, s in network.stimuli.items() if isinstance(s, PoissonDrive)]
    currents = [(name, s) for name, s in network.stimuli.items() if isinstance(s, Current)]
    windows = [_window(s, dt_ms, f"stimuli.{name}") for name, s in poisson]
    rows: list[np.ndarray] = []
    tables: list[np.ndarray] = []
    row_base: list[int] = []
    for name, s in poisson:
        n = units.size[s.target]
        mean = realise(s.rate_hz, n, seed, f"stimuli.{name}.rate_hz") * (s.n_inputs * dt_ms / 1000.0)
        distinct, which = np.unique(mean, return_inverse=True)
        row_base.append(sum(map(len, rows)))
        rows.append(which.ravel() + len(tables))
        tables += [poisson_cdf(float(m)) for m in distinct]
    cuts = [cuts_of(table) for table in tables]
    cut_n = np.array([c.size for c in cuts], dtype=np.int64)
    steps = [to_step_array(s.times_ms, dt_ms, f"stimuli.{name}.times_ms") for name, s in currents]
    values = [np.atleast_2d(s.amplitude_pa.T).T for _, s in currents]
    sizes = np.array([v.size for v in values], dtype=np.int64)
    counts = np.array([s.size for s in steps], dtype=np.int64)
    return Drives(
        poisson_pop=_ints([units.names.index(s.target) for _, s in poisson]),
        poisson_channel=_ints([_drive_channel(network, s) for _, s in poisson]),
        poisson_weight=np.array([weight_of(s) for _, s in poisson], dtype=np.float64),
        poisson_key=np.array([key_of(seed, f"stimuli.{name}") for name, _ in poisson], dtype=np.uint64),
        poisson_start=_ints([low for low, _ in windows]),
        poisson_stop=_ints([high for _, high in windows]),
        row_base=_ints(row_base),
        row=_join(rows, np.int64),
        shared=_ints([int(np.unique(which).size == 1) for which in rows]),
        cut_n=cut_n,
        cut_base=np.cumsum(cut_n) - cut_n,
        cut=_join(cuts, np.uint64),
        current_pop=_ints([units.names.index(s.target) for _, s in currents]),
        current_base=np.cumsum(counts) - counts,
        current_n=counts,
        current_width=_ints([v.shape[1] for v in values]),
        current_step=_join(steps, np.int64),
        current_value_base=np.cumsum(sizes) - sizes,
        current_value=_join(values, np.float64),
    )


def _drive_channel(network: Network, drive: PoissonDrive) -> int:
    if network.populations[drive.target].neuron.synapse.n_currents == 1:
        return 0
    return int(drive.receptor == "inh" or (drive.receptor is None and weight_of(drive) < 0))


def learning_periods(network: Network, images: dict[str, EncodedImages]) -> list[tuple[int, int]]:
    """Steps [low, high) in which learning rules act: always, or with images in their learning phases."""
    if not images:
        return [(0, FOREVER)]
    periods: list[tuple[int, int]] = []
    for name, shown in images.items():
        stimulus = network.stimuli[name]
        phases: tuple[Phase, ...] = stimulus.phases if isinstance(stimulus, Images) else ()
        period = shown.present_steps + shown.rest_steps
        for k, phase in enumerate(phases):
            if phase.learning:
                at = np.flatnonzero(shown.phase == k)
                periods.append((int(at[0]) * period, (int(at[-1]) + 1) * period))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(periods):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _ints(items: list[int]) -> np.ndarray:
    return np.array(items, dtype=np.int64)


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    """One flat array.  A single part that fits is taken as it is: an image table can be large.

    It must be writable, because the kernels are compiled for such arrays.
    """
    flat = [np.ravel(part) for part in parts if part.size]
    if not flat:
        return np.zeros(0, dtype=dtype)
    if len(flat) == 1:
        return np.require(flat[0], dtype, ["C", "A", "W"])
    return np.concatenate(flat, dtype=dtype)
