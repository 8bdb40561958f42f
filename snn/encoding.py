"""From images to spikes: what each source does in each presentation, as plain arrays for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnsim.datasets import Dataset, load_dataset, random_order
from snnsim.errors import ConfigError
from snnsim.grid import to_steps
from snnsim.stimuli import Images

RATE, LATENCY, DELTA = 0, 1, 2
PRESENTATION_LIMIT = 2**27

_CODES = {"rate": RATE, "latency": LATENCY, "delta": DELTA}
_SHUFFLE_STREAM = 0x53485546464C45  # keeps the orders apart from all other uses of the same seed


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """A series of presentations, each present_steps of an image and then rest_steps of silence.

    code           RATE, LATENCY or DELTA
    table          float64[n_images, pixels]   RATE: probability of a spike in each step, at most 1
                                               LATENCY: whole steps from the image's appearance to the
                                               spike, -1 for none
                                               DELTA: pixel values
    schedule       int32[P]   which image each presentation shows
    phase          int32[P]   index of its phase
    labels         int64[n_images], None where the images have none
    n_sources      pixels, or twice that for DELTA: all ON, then all OFF
    image_shape    rows, columns
    threshold      DELTA: smallest change of a pixel that fires
    files          data files that were read
    """

    code: int
    table: np.ndarray
    schedule: np.ndarray
    phase: np.ndarray
    labels: np.ndarray | None
    present_steps: int
    rest_steps: int
    n_sources: int
    image_shape: tuple[int, int]
    phase_names: tuple[str, ...]
    threshold: float = 0.0
    files: tuple[Path, ...] = ()

    @property
    def n_steps(self) -> int:
        """Steps until the last presentation is over."""
        return len(self.schedule) * (self.present_steps + self.rest_steps)


def encode(
    stimulus: Images,
    dt_ms: float,
    seed: int,
    data_dir: Path | str | None = None,
    where: str = "stimuli",
) -> EncodedImages:
    """Load the images, scale and code them, and lay out all phases.

    seed gives the shuffled orders; `where` is the key path of the stimulus.  The same arguments give the
    same arrays on any machine.
    Raises ConfigError for times off the grid, rates above 1 / dt, or a phase without images; FileError for
    data files that are missing or damaged.
    """
    present = to_steps(stimulus.present_ms, dt_ms, f"{where}.present_ms", least=1)
    rest = to_steps(stimulus.rest_ms, dt_ms, f"{where}.rest_ms")
    data = _images(stimulus, data_dir, where)
    schedule, phase = _schedule(stimulus, data, seed, where)
    code = _CODES[stimulus.coding]
    pixels = data.images.shape[1]
    return EncodedImages(
        code=code,
        table=_table(stimulus, data.images, dt_ms, present, where),
        schedule=schedule,
        phase=phase,
        labels=None if stimulus.dataset is None else data.labels,
        present_steps=present,
        rest_steps=rest,
        n_sources=2 * pixels if code == DELTA else pixels,
        image_shape=data.image_shape,
        phase_names=tuple(phase.name for phase in stimulus.phases),
        threshold=stimulus.threshold,
        files=data.files,
    )


def _images(stimulus: Images, data_dir: Path | str | None, where: str) -> Dataset:
    """Images that belong to the caller, who may change them.  Given images are all of one class."""
    if stimulus.images is not None:
        images = np.array(np.atleast_2d(stimulus.images))
        return Dataset("", images, np.zeros(len(images), dtype=np.int64), (1, images.shape[1]))
    try:
        return load_dataset(stimulus.dataset or "", data_dir)
    except ConfigError as error:
        error.where = f"{where}.dataset"
        raise


def _table(stimulus: Images, images: np.ndarray, dt_ms: float, present: int, where: str) -> np.ndarray:
    """Code the pixel values, in place."""
    if stimulus.normalise:
        sums = images.sum(axis=1)
        images *= (sums.mean() / np.where(sums > 0, sums, 1.0))[:, None]  # a black image stays black
    if stimulus.coding == "rate":
        images *= stimulus.max_rate_hz * (dt_ms / 1000.0)
        _check_probability(images, dt_ms, where)
    elif stimulus.coding == "latency":
        np.minimum(images, 1.0, out=images)  # normalising may have made a pixel brighter than white
        return np.where(images >= stimulus.threshold, np.rint((1.0 - images) * (present - 1)), -1.0)
    return images


def _check_probability(table: np.ndarray, dt_ms: float, where: str) -> None:
    highest = float(table.max())
    if highest > 1.0 + 1e-12:
        raise ConfigError(
            f"too fast for dt_ms = {dt_ms:g}: the brightest pixel would fire more than once a step",
            where=f"{where}.max_rate_hz",
            got=f"{highest * 1000.0 / dt_ms:g} Hz",
            expected=f"<= {1000.0 / dt_ms:g} Hz",
            fix="lower max_rate_hz (normalise raises the rate of images with few bright pixels), or dt_ms",
            code="config.off_grid",
        )
    np.minimum(table, 1.0, out=table)


def _schedule(stimulus: Images, data: Dataset, seed: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Image and phase of each presentation, int32[P] each."""
    train, test = data.split(stimulus.test_fraction, stimulus.split_seed)
    parts = {"train": train, "test": test, "all": np.arange(len(data.labels))}
    for k, phase in enumerate(stimulus.phases):
        if not parts[phase.split].size:
            raise ConfigError(
                "the phase has no images to show",
                where=f"{where}.phases[{k}].split",
                got=phase.split,
                expected=f"images in this part (train {train.size}, test {test.size})",
                fix="change test_fraction",
            )
    n_shown = sum(phase.repeats * parts[phase.split].size for phase in stimulus.phases)
    if n_shown > PRESENTATION_LIMIT:
        raise ConfigError(
            "too many presentations",
            where=f"{where}.phases",
            got=n_shown,
            expected=f"at most {PRESENTATION_LIMIT}",
            fix="lower repeats",
        )
    schedule, index = np.empty(n_shown, dtype=np.int32), np.empty(n_shown, dtype=np.int32)
    at = 0
    for k, phase in enumerate(stimulus.phases):
        chosen = parts[phase.split]
        for repeat in range(phase.repeats):
            shown = chosen
            if phase.shuffle:
                shown = chosen[random_order(chosen.size, seed, _SHUFFLE_STREAM, k, repeat)]
            schedule[at : at + chosen.size] = shown
            index[at : at + chosen.size] = k
            at += chosen.size
    return schedule, index
