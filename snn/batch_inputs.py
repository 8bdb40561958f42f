"""Inputs of a batch: values as users give them, checked, and the events that they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnsim.errors import ConfigError
from snnsim.integer_cells import MOST_INPUT
from snnsim.kernels import layer_layout as k
from snnsim.kernels.integer import EACH_SPIKE
from snnsim.layer_program import LayerProgram


@dataclass(frozen=True)
class Inputs:
    """What comes from outside.

    values  F[n_samples, n_given, n]  amounts of all inputs, in the order in which the program keeps them
    begin   step of the first of them
    repeat  in how many steps the values of a single step act
    """

    values: np.ndarray
    begin: int = 0
    repeat: int = 1

    def events(self, program: LayerProgram) -> k.Given:
        """As the kernel reads them."""
        values, repeat = self.values, self.repeat
        if repeat > 1 and (_delayed(program) or _one_by_one(program)):
            values, repeat = np.repeat(values, repeat, axis=1), 1
        n_samples, n_given, n = values.shape
        found = np.flatnonzero(values)
        ptr = np.searchsorted(found, np.arange(n_samples * n_given + 1) * n)
        ends = ptr[n_given::n_given, None] if n_given else np.zeros((n_samples, 1))
        rows = np.concatenate([ptr[:-1].reshape(n_samples, n_given), ends], axis=1)
        amount, unit = values.ravel()[found], (found % n).astype(np.int32)
        return k.Given(rows.astype(np.int64), unit, amount, self.begin, repeat)


def _delayed(program: LayerProgram) -> bool:
    """Is there an input that arrives in another step?"""
    graph = program.graph
    return bool(np.any(graph.delay[graph.kind[graph.source] == k.INPUT]))


def _one_by_one(program: LayerProgram) -> bool:
    """Does a population take events one by one, and so no sum of them that stays?"""
    return program.integers is not None and bool(np.any(program.integers.rule[:, EACH_SPIKE]))


def no_inputs(program: LayerProgram, n_samples: int) -> Inputs:
    """Nothing comes."""
    n = sum(program.place[name].size for name in input_names(program))
    return Inputs(np.zeros((n_samples, 0, n), program.network.precision))


def input_names(program: LayerProgram) -> list[str]:
    return [name for name in program.names if name not in program.network.populations]


def check_inputs(
    program: LayerProgram, inputs: Mapping[str, np.ndarray], begin: int, repeat: int, batch: int | None
) -> Inputs:
    """Inputs as the user gives them: by name, [n_samples, n] or [n_samples, n_given, n].

    batch  how many samples there must be; None for any number
    Raises ConfigError.
    """
    names = input_names(program)
    if set(inputs) != set(names):
        raise ConfigError(
            "the inputs are not those of the network",
            where="inputs",
            got=", ".join(inputs),
            expected=", ".join(names),
        )
    parts = []
    for name in names:
        value, n = np.asarray(inputs[name]), program.place[name].size
        if value.ndim == 2:
            value = value[:, None, :]
        if value.ndim != 3 or value.shape[2] != n or value.dtype.kind not in "biuf":
            raise ConfigError(
                "not values for this input",
                where=f"inputs.{name}",
                got=f"{value.dtype}{list(np.shape(inputs[name]))}",
                expected=f"numbers [n_samples, {n}] or [n_samples, n_steps, {n}]",
            )
        if not np.isfinite(value).all():
            raise ConfigError("not a finite number", where=f"inputs.{name}", code="config.not_finite")
        if program.integers is not None:
            _check_whole(value, f"inputs.{name}")
        ordered = np.empty(value.shape, program.network.precision)
        ordered[:, :, program.place[name]] = value
        parts.append(ordered)
    if len({part.shape[:2] for part in parts}) != 1:
        raise ConfigError(
            "inputs differ in their numbers of samples or steps",
            where="inputs",
            got=", ".join(str(part.shape[:2]) for part in parts),
        )
    together = np.concatenate(parts, axis=2)
    if batch is not None and len(together) != batch:
        raise ConfigError(
            "inputs for another number of samples",
            where="inputs",
            got=len(together),
            expected=f"{batch}, as batch says",
        )
    if repeat > 1 and together.shape[1] > 1:
        raise ConfigError(
            "only an input of one step can be repeated", where="repeat", got=repeat, expected="1"
        )
    return Inputs(together, begin, repeat)


def _check_whole(value: np.ndarray, where: str) -> None:
    """What an integer network is given: sums of such amounts are exact."""
    wrong = value[(value != np.rint(value)) | (np.abs(value) > MOST_INPUT)]
    if wrong.size:
        raise ConfigError(
            "not an amount for an integer network", where=where, got=wrong.flat[0].item(),
            expected=f"whole numbers up to 2**24 = {MOST_INPUT}", code="config.not_whole",
        )  # fmt: skip
