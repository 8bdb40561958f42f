"""Spikes of an input for formats that know no amounts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnsim.errors import ConfigError, TargetError


def spike_train(inputs: Mapping[str, np.ndarray], name: str, n: int, reader: str) -> np.ndarray:
    """[n_steps, n] zeros and ones of one input; `reader` is what cannot take more.

    Raises ConfigError where it is missing or has another shape, TargetError for amounts.
    """
    train = np.asarray(inputs.get(name, np.zeros((0, 0))))
    if train.ndim != 2 or train.shape[1] != n:
        raise ConfigError(
            "an input needs its spikes",
            where=f"inputs.{name}", got=list(train.shape), expected=f"[n_steps, {n}]",
        )  # fmt: skip
    wrong = train[~np.isin(train, (0, 1))]
    if wrong.size:
        raise TargetError(
            f"a spike has no amount in {reader}", where=f"inputs.{name}", got=float(wrong.flat[0]),
            expected="zeros and ones",
        )  # fmt: skip
    return train
