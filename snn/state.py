"""Is a saved state one that this network can be in?  Kernels trust their arrays; files are not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnsim.errors import FileError
from snnsim.grid import STEP_LIMIT
from snnsim.kernels.plasticity import STEP
from snnsim.models import Conductance
from snnsim.program import Program


def check_state(program: Program, arrays: Mapping[str, np.ndarray], step: Any) -> None:
    """Raises FileError unless the arrays fit the program and hold values that a run can leave."""
    check_arrays(program.state(), arrays, step)
    check_between("cells/refractory", arrays["cells/refractory"], 0, 2**31 - 1)
    _check_conductances(program, arrays["cells/current"])
    check_between("plastic/arrived", arrays["plastic/arrived"][:, STEP], -1, step)
    _check_fired(program.units.n_units, arrays["spikes/fired"])


def check_arrays(expected: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], step: Any) -> None:
    """Raises FileError unless there are finite arrays of the expected types and shapes, and a step."""
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= STEP_LIMIT:
        raise FileError(
            "not a step", where="step", got=step, expected=f"a whole number from 0 to {STEP_LIMIT}"
        )
    for name, value in expected.items():
        found = arrays.get(name)
        if found is None or found.shape != value.shape or found.dtype != value.dtype:
            got = None if found is None else f"{found.dtype}{list(found.shape)}"
            raise FileError(
                "the checkpoint does not fit",
                where=name,
                got=got,
                expected=f"{value.dtype}{list(value.shape)}",
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise FileError("not a finite number", where=name, expected="finite numbers")


def check_between(name: str, value: np.ndarray, low: int, high: int) -> None:
    """Raises FileError for values outside low to high."""
    if value.size and (int(value.min()) < low or int(value.max()) > high):
        raise FileError(
            "impossible values",
            where=name,
            got=f"{value.min()} to {value.max()}",
            expected=f"{low} to {high}",
        )


def _check_conductances(program: Program, current: np.ndarray) -> None:
    units = program.units
    for name, population in program.network.populations.items():
        first = units.first[name] - units.n_sources
        held = current[:, first : first + population.n]
        if isinstance(population.neuron.synapse, Conductance) and held.min() < 0:
            raise FileError(
                "impossible values",
                where="cells/current",
                got=float(held.min()),
                expected=f"conductances of {name} >= 0",
            )


def _check_fired(n_units: int, bits: np.ndarray) -> None:
    """Spikes in flight: no bit is set behind the last unit."""
    if n_units % 8 and (bits[:, -1] >> n_units % 8).any():
        raise FileError(
            "impossible spikes in flight", where="spikes/fired", expected=f"units from 0 to {n_units - 1}"
        )
