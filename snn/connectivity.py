"""Connection rules: which source is connected to which target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnsim.checks import COUNT_LIMIT
from snnsim.errors import ConfigError
from snnsim.fields import flag, indices, integer, number
from snnsim.spec import Spec


@dataclass(frozen=True, eq=False, kw_only=True)
class ConnectionRule(Spec):
    """Base of the rules."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Autapses(ConnectionRule):
    autapses: bool = flag(True, help="may a neuron connect to itself")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Random(_Autapses):
    multapses: bool = flag(True, help="may a pair be connected more than once")


@dataclass(frozen=True, eq=False, kw_only=True)
class AllToAll(_Autapses):
    """Every source to every target."""

    KIND = "all_to_all"


@dataclass(frozen=True, eq=False, kw_only=True)
class OneToOne(ConnectionRule):
    """Source k to target k; both populations have the same size."""

    KIND = "one_to_one"


@dataclass(frozen=True, eq=False, kw_only=True)
class PairwiseBernoulli(_Autapses):
    """Each pair is connected with probability p, independently."""

    KIND = "pairwise_bernoulli"
    p: float = number(low=0.0, high=1.0, help="probability of a connection")


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedInDegree(_Random):
    """Each target gets `n` sources, drawn uniformly."""

    KIND = "fixed_in_degree"
    n: int = integer(low=0, high=COUNT_LIMIT, help="sources of each target")


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedOutDegree(_Random):
    """Each source gets `n` targets, drawn uniformly."""

    KIND = "fixed_out_degree"
    n: int = integer(low=0, high=COUNT_LIMIT, help="targets of each source")


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedTotalNumber(_Random):
    """`n` connections in all, each between a uniformly drawn source and target."""

    KIND = "fixed_total_number"
    n: int = integer(low=0, high=2**40, help="connections in all")


@dataclass(frozen=True, eq=False, kw_only=True)
class Arrays(ConnectionRule):
    """Connections as given: source[k] to target[k], indices within their populations.

    A list of weights or delays of the projection then has one value for each connection.
    """

    KIND = "arrays"
    source: np.ndarray = indices(help="index of each connection's source")
    target: np.ndarray = indices(help="index of each connection's target")

    def check_together(self, where: str) -> None:
        if len(self.source) != len(self.target):
            raise ConfigError(
                "source and target differ in length",
                where=f"{where}.target",
                got=len(self.target),
                expected=f"{len(self.source)} indices",
            )


RULES: tuple[type[ConnectionRule], ...] = (
    AllToAll,
    OneToOne,
    PairwiseBernoulli,
    FixedInDegree,
    FixedOutDegree,
    FixedTotalNumber,
    Arrays,
)


def expected_synapses(rule: ConnectionRule, n_source: int, n_target: int, same: bool) -> float:
    """Expected number of connections of a rule."""
    lost = n_source if same and not getattr(rule, "autapses", True) else 0
    match rule:
        case AllToAll():
            return n_source * n_target - lost
        case OneToOne():
            return n_source
        case PairwiseBernoulli():
            return rule.p * (n_source * n_target - lost)
        case FixedInDegree():
            return rule.n * n_target
        case FixedOutDegree():
            return rule.n * n_source
        case FixedTotalNumber():
            return rule.n
        case Arrays():
            return rule.source.size
    raise ConfigError("unknown connection rule", where="projections", got=type(rule).__name__)
