"""Integer networks whose weights learn as on Loihi-style chips: by traces, at the ends of epochs.

What is promised is statistical: the expected values of traces and weights are those of the rule.  Chips
draw their random numbers in ways that are not public, and no emulator agrees with them bit by bit.  With
itself this one does: the same seed gives the same bits for any split of a run, and any checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from snnsim.batch import BatchSimulator
from snnsim.checks import expect
from snnsim.errors import ConfigError, FileError, nearest
from snnsim.hardware.trace_rule import Trace, TraceRule
from snnsim.kernels import traces as k
from snnsim.layer_program import LayerProgram
from snnsim.layers import Dense
from snnsim.network import Network
from snnsim.probe import Probe
from snnsim.state import check_arrays, check_between
from snnsim.streams import key_of


class TraceLearner(BatchSimulator):
    """Runs an integer network, one sample, in which some dense projections learn.

        stdp = TraceRule(dw="2^-2 * x1 * y0", x1=Trace(impulse=16, tau=10))
        learner = TraceLearner(network, rules={"ab": stdp})
        learner.present({"image": spikes})
        learner.run_steps(1000)
        learner.weights("ab")

    All that a simulator can do it does too: probes, `save`, `resume`, `reset`.  A change of weights at the
    end of an epoch counts from the next step on.
    Raises ConfigError for what cannot learn so.
    """

    def __init__(
        self,
        network: Network,
        *,
        rules: Mapping[str, TraceRule],
        seed: int = 1,
        threads: int | None = None,
        record_to: Path | str | None = None,
    ) -> None:
        for name, rule in rules.items():
            expect(rule, TraceRule, f"rules.{name}")
            _check(network, name, rule)
        self._rules = dict(rules)
        ends = {end for name in rules for end in _ends(network, name)}
        watched = {p.target for p in network.probes.values() if p.variable == "spikes" and p.ids is None}
        added = {name: Probe(target=name) for name in sorted(ends - watched)}
        probed = replace(network, probes={**network.probes, **added})
        super().__init__(probed, batch=1, dt_ms=1.0, seed=seed, threads=threads, record_to=record_to)
        self._learning = self._begin()

    def weights(self, name: str) -> np.ndarray:
        """float64[n_target, n_source]: the weights as they are now; a copy."""
        if name not in self._learning:
            raise ConfigError(
                "no such learning projection", where="weights", got=name, fix=nearest(name, self._learning)
            )
        return self._learning[name].weight.T.copy()

    def _begin(self) -> dict[str, _Learning]:
        found = {}
        for name, rule in self._rules.items():
            found[name] = _Learning(self.program, name, rule, self.seed)
            found[name].show()
        return found

    def _prepare(self, end: int) -> int:
        for rule in self._rules.values():
            end = min(end, (self.step // rule.epoch + 1) * rule.epoch)
        return super()._prepare(end)

    def _collect(self, begin: int, end: int) -> None:
        super()._collect(begin, end)
        events = self._probes.spikes(self._watch, begin)
        for name, learning in self._learning.items():
            source, target = (self._spiked(events, one, begin, end) for one in _ends(self.network, name))
            learning.advance(source, target, begin)

    def _spiked(self, events: Mapping[str, Any], name: str, begin: int, end: int) -> np.ndarray:
        spiked = np.zeros((end - begin, self.program.place[name].size), np.uint8)
        steps, ids = events[name]
        spiked[steps - begin, ids] = 1
        return spiked

    def _restart(self) -> None:
        super()._restart()
        self._learning = self._begin()

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Everything that changes while the network runs; of learning projections under learning/<name>/."""
        found = super().state_arrays()
        for name, learning in self._learning.items():
            found |= {f"learning/{name}/{key}": value for key, value in learning.arrays().items()}
        return found

    def _check_state(self, arrays: dict[str, np.ndarray], step: Any) -> None:
        super()._check_state(arrays, step)
        for name, learning in self._learning.items():
            learning.check(arrays, f"learning/{name}/", step)

    def _set_state(self, arrays: dict[str, np.ndarray]) -> None:
        super()._set_state(arrays)
        for name, learning in self._learning.items():
            for key, value in learning.arrays().items():
                value[...] = arrays[f"learning/{name}/{key}"]
            learning.show()

    def _fingerprint(self) -> str:
        rules = hashlib.sha256(repr(sorted(self._rules.items())).encode()).hexdigest()
        return f"{super()._fingerprint()}, learning {rules}"


def _ends(network: Network, name: str) -> tuple[str, str]:
    p = network.projections[name]
    return p.source, p.target


def _check(network: Network, name: str, rule: TraceRule) -> None:
    where = f"projections.{name}"
    if name not in network.projections:
        raise ConfigError(
            "no such projection", where="rules", got=name, fix=nearest(name, network.projections),
            code="config.unknown_name",
        )  # fmt: skip
    p = network.projections[name]
    if not isinstance(p.rule, Dense):
        raise ConfigError(
            "only dense projections learn", where=f"{where}.rule", got=p.rule.KIND, expected="dense"
        )
    if p.weight != 1.0:
        raise ConfigError(
            "weights are counted in ones", where=f"{where}.weight_mv", got=p.weight, expected="1.0"
        )
    w = p.rule.weight
    wrong = w[_off_grid(w, rule)]
    if wrong.size:
        raise ConfigError(
            "a weight that the rule cannot reach", where=f"{where}.rule.weight", got=float(wrong.flat[0]),
            expected=f"{rule.w_low} to {rule.w_high} in steps of {rule.w_step}",
        )  # fmt: skip


def _off_grid(weight: np.ndarray, rule: TraceRule) -> np.ndarray:
    """Which weights the rule cannot reach."""
    wrong: np.ndarray = (weight < rule.w_low) | (weight > rule.w_high)
    return wrong | ((weight - rule.w_low) % rule.w_step != 0)


@dataclass
class _Traces:
    """Traces of one population, as one projection sees them."""

    kinds: tuple[Trace | None, ...]
    n: int
    n_epoch: int
    key: np.uint64
    trace: np.ndarray = field(init=False)
    history: np.ndarray = field(init=False)
    last: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.trace = np.zeros((len(self.kinds), self.n), np.int64)
        self.history = np.zeros((len(self.kinds), self.n_epoch, self.n), np.int64)
        self.last = np.full(self.n, -1, np.int64)
        self._decay = np.array([0.0 if one is None else exp(-1.0 / one.tau) for one in self.kinds])
        self._impulse = np.array([0.0 if one is None else one.impulse for one in self.kinds])

    def advance(self, spiked: np.ndarray, begin: int) -> None:
        k.advance_traces(
            self.trace, self.history, self.last, spiked, begin % self.n_epoch, begin, self._decay,
            self._impulse, self.key,
        )  # fmt: skip


class _Learning:
    """One learning projection: its traces and its weights, [n_source, n_target]."""

    def __init__(self, program: LayerProgram, name: str, rule: TraceRule, seed: int) -> None:
        p = program.network.projections[name]
        self.rule, self.products = rule, rule.products()
        self._rows, self._columns = program.place[p.source], program.place[p.target]
        shape = self._rows.size, self._columns.size
        base = program.graph.weight_base[program.links.index(name)]
        self._shown = program.graph.weight[base : base + shape[0] * shape[1]].reshape(shape)
        self.weight = np.ascontiguousarray(p.rule.weight.T, np.float64)  # type: ignore[attr-defined]
        self._key = key_of(seed, f"projections.{name}.learning")
        sides = {"x": ((rule.x1, rule.x2), self._rows), "y": ((rule.y1, rule.y2, rule.y3), self._columns)}
        self.x, self.y = (
            _Traces(kinds, ids.size, rule.epoch, key_of(seed, f"projections.{name}.{side}"))
            for side, (kinds, ids) in sides.items()
        )

    def show(self) -> None:
        """To the simulator."""
        self._shown[np.ix_(self._rows, self._columns)] = self.weight

    def advance(self, source: np.ndarray, target: np.ndarray, begin: int) -> None:
        """Spikes uint8[n_steps, n] of steps that lie in one epoch."""
        rule, end = self.rule, begin + len(source)
        self.x.advance(source, begin)
        self.y.advance(target, begin)
        if end % rule.epoch:
            return
        k.learn_epoch(
            self.weight, self.x.history, self.y.history, self.x.last, self.y.last, end // rule.epoch,
            self.products, float(rule.w_low), float(rule.w_top), float(rule.w_step), self._key,
        )  # fmt: skip
        self.x.last[:], self.y.last[:] = -1, -1
        self.show()

    def arrays(self) -> dict[str, np.ndarray]:
        found = {"weight": self.weight}
        for side, traces in (("x", self.x), ("y", self.y)):
            found |= {
                f"{side}_trace": traces.trace, f"{side}_history": traces.history, f"{side}_last": traces.last,
            }  # fmt: skip
        return found

    def check(self, arrays: Mapping[str, np.ndarray], prefix: str, step: Any) -> None:
        """Raises FileError for what no run can leave."""
        check_arrays({prefix + key: value for key, value in self.arrays().items()}, arrays, step)
        rule, weight = self.rule, arrays[f"{prefix}weight"]
        if _off_grid(weight, rule).any():
            raise FileError(
                "impossible values", where=f"{prefix}weight",
                expected=f"{rule.w_low} to {rule.w_high} in steps of {rule.w_step}",
            )  # fmt: skip
        for side in "xy":
            for name in ("trace", "history"):
                check_between(f"{prefix}{side}_{name}", arrays[f"{prefix}{side}_{name}"], 0, k.MOST)
            check_between(f"{prefix}{side}_last", arrays[f"{prefix}{side}_last"], -1, rule.epoch - 1)
