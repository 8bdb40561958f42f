"""The state of a batch: its arrays, under which names they are saved, and whether saved ones are possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnsim.aligned import zeros
from snnsim.batch_inputs import Inputs, no_inputs
from snnsim.errors import ConfigError, FileError
from snnsim.grid import STEP_LIMIT
from snnsim.integer_cells import MOST_INPUT
from snnsim.kernels import layer_layout as k
from snnsim.kernels.integer import (
    ALIAS_SPIKES,
    COUNTDOWN,
    LEFT_A,
    LEFT_U,
    LEFT_V,
    N_STATE,
    OVERFLOW,
    U2,
    U_HIGH,
    U_LOW,
    V_HIGH,
    V_LOW,
    U,
)  # fmt: skip
from snnsim.layer_program import LayerProgram
from snnsim.memory import available_bytes
from snnsim.state import check_arrays, check_between


def empty_state(program: LayerProgram, n_rows: int) -> k.State:
    """Rows for so many samples; `begin_sample` fills them."""
    graph, dtype = program.graph, np.dtype(program.network.precision)
    n, n_cells, slots = int(graph.first[-1]), program.n_cells, program.n_slots
    return k.State(
        potential=zeros((n_rows, n), dtype, 1),
        spikes=zeros((n_rows, n), np.int32, 2),
        total=zeros((n_rows, n), dtype, 3),
        held=zeros((n_rows, program.n_channels, n), dtype, 4),
        unit=zeros((n_rows, slots, n), np.int32, 5),
        amount=zeros((n_rows, slots, n), dtype, 6),
        n_events=np.zeros((n_rows, slots, graph.kind.size), np.int64),
        quiet=np.zeros((n_rows, 1), np.int64),
        carry=np.zeros((n_rows, n_cells), dtype),
        refractory=np.zeros((n_rows, n_cells), np.int32),
        current=np.zeros((n_rows, 2, n_cells), dtype),
        theta=np.zeros((n_rows, n_cells), dtype),
        whole=np.zeros((n_rows, N_STATE, program.n_integers), np.int64),
    )


def empty_outcome(program: LayerProgram, n_samples: int) -> k.Outcome:
    """Nothing counted yet."""
    n_p, n_l = program.graph.kind.size, program.graph.source.size
    return k.Outcome(
        events=np.zeros((n_samples, n_p), np.int64),
        sent=np.zeros((n_samples, n_p)),
        added=np.zeros((n_samples, n_l), np.int64),
        graded=np.zeros((n_samples, n_l), np.int64),
        ended=np.zeros(n_samples, np.int64),
    )


def working_memory(program: LayerProgram) -> k.Work:
    """What one thread works in."""
    graph, dtype = program.graph, np.dtype(program.network.precision)
    sizes = np.diff(graph.first)[graph.kind == k.CELLS]
    largest = int(sizes.max(initial=0))
    return k.Work(
        arrived=zeros((program.n_channels, int(graph.first[-1])), dtype, 7),
        spiked=zeros(int(np.diff(graph.first).max(initial=0)), np.uint8, 8),
        threshold=np.zeros(largest, dtype),
    )


@dataclass
class BatchState:
    """All that changes in a batch while it runs."""

    program: LayerProgram
    n_samples: int
    rows: k.State = field(init=False)
    outcome: k.Outcome = field(init=False)
    inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        size = self.n_samples * sum(part.nbytes for part in empty_state(self.program, 1))
        free = available_bytes()
        if free is not None and size > free:
            raise ConfigError(
                "a state for each sample does not fit into memory",
                where="batch",
                got=f"{self.n_samples}, about {size / 2**30:.3g} GiB",
                expected=f"at most the {free / 2**30:.3g} GiB that are free",
                fix="lower batch; or use `evaluate`, which keeps no states",
                code="config.too_large",
            )
        self.rows = empty_state(self.program, self.n_samples)
        self.outcome = empty_outcome(self.program, self.n_samples)
        self.inputs = no_inputs(self.program, self.n_samples)
        for b in range(self.n_samples):
            k.begin_sample(
                self.program.graph, self.program.cells, self.program.integers, k.row_of(self.rows, b)
            )

    def arrays(self) -> dict[str, np.ndarray]:
        """By name; what the lists of events hold behind their ends is not part of it."""
        found = {f"rows/{name}": value for name, value in self.rows._asdict().items()}
        past = self._past_ends()
        for name in ("rows/unit", "rows/amount"):
            found[name] = np.where(past, 0, found[name]).astype(found[name].dtype)
        found |= {f"counted/{name}": value for name, value in self.outcome._asdict().items()}
        times = np.array([self.inputs.begin, self.inputs.repeat], np.int64)
        return found | {"inputs/values": self.inputs.values, "inputs/times": times}

    def _past_ends(self) -> np.ndarray:
        """bool[n_rows, n_slots, n_units]: places of the lists that hold no event."""
        first = self.program.graph.first
        place = np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first))
        past: np.ndarray = place >= np.repeat(self.rows.n_events, np.diff(first), axis=2)
        return past

    def set(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from arrays that have been checked."""
        for group, kept in (("rows", self.rows), ("counted", self.outcome)):
            for name, value in kept._asdict().items():
                value[...] = arrays[f"{group}/{name}"]
        begin, repeat = (int(value) for value in arrays["inputs/times"])
        self.inputs = Inputs(np.array(arrays["inputs/values"]), begin, repeat)

    def check(self, arrays: Mapping[str, np.ndarray], step: Any) -> None:
        """Raises FileError unless the arrays fit the program and hold values that a run can leave."""
        values, mine = arrays.get("inputs/values"), self.inputs.values
        wanted = f"{mine.dtype}[{self.n_samples}, any number, {mine.shape[2]}]"
        if (
            values is None
            or values.ndim != 3
            or (values.shape[0], values.shape[2]) != (mine.shape[0], mine.shape[2])
        ):
            got = None if values is None else list(values.shape)
            raise FileError(
                "the checkpoint does not fit", where="inputs/values", got=got, expected=wanted
            )
        expected = self.arrays() | {"inputs/values": np.zeros(values.shape, mine.dtype)}
        check_arrays(expected, arrays, step)
        check_between("inputs/times", arrays["inputs/times"], 0, STEP_LIMIT)
        if arrays["inputs/times"][1] < 1 or (arrays["inputs/times"][1] > 1 and values.shape[1] != 1):
            raise FileError(
                "impossible values",
                where="inputs/times",
                got=arrays["inputs/times"].tolist(),
                expected="a repeat of 1, or an input of one step",
            )
        for name in ("spikes", "refractory"):
            check_between(f"rows/{name}", arrays[f"rows/{name}"], 0, 2**31 - 1)
        for name in ("rows/quiet", *(f"counted/{key}" for key in ("events", "added", "graded", "ended"))):
            check_between(name, arrays[name], 0, 2**63 - 1)
        self._check_whole(arrays)
        sizes = np.diff(self.program.graph.first)
        if np.any((arrays["rows/n_events"] < 0) | (arrays["rows/n_events"] > sizes)):
            raise FileError("impossible values", where="rows/n_events", expected="0 to the units there are")
        most = np.repeat(sizes, sizes) - 1
        if np.any((arrays["rows/unit"] < 0) | (arrays["rows/unit"] > most)):
            raise FileError("impossible values", where="rows/unit", expected="units of the population")

    def _check_whole(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Integer neurons: whole potentials, and values that the rule lets a neuron have."""
        integers, graph = self.program.integers, self.program.graph
        if integers is None:
            return
        given = arrays["inputs/values"]
        if np.any(given != np.rint(given)):
            raise FileError("impossible values", where="inputs/values", expected="whole numbers")
        check_between("inputs/values", given, -MOST_INPUT, MOST_INPUT)
        for p in np.flatnonzero(graph.kind == k.INTEGER):
            n = graph.first[p + 1] - graph.first[p]
            rule, name = integers.rule[p], self.program.names[p]
            v = arrays["rows/potential"][:, graph.first[p] : graph.first[p + 1]]
            if np.any(v != np.rint(v)):
                raise FileError(
                    "impossible values", where=f"rows/potential of {name}", expected="whole numbers"
                )
            check_between(f"rows/potential of {name}", v, rule[V_LOW], rule[V_HIGH])
            mine = arrays["rows/whole"][:, :, integers.first[p] : integers.first[p] + n]
            check_between(f"rows/whole of {name}", mine[:, [U, U2]], rule[U_LOW], rule[U_HIGH])
            check_between(f"rows/whole of {name}", mine[:, COUNTDOWN], 0, 2**31 - 1)
            check_between(f"rows/whole of {name}", mine[:, OVERFLOW], 0, LEFT_A | LEFT_U | LEFT_V)
            check_between(f"rows/whole of {name}", mine[:, ALIAS_SPIKES], 0, 0)
