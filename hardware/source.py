"""What is exported: a file of a network, quantised for a target as its kind asks for.

a conversion, --method exact        every neuron decides once (single_shot.py); the file holds the inputs
a conversion, --method rate, burst  scales by calibration data
another layered network             the same, for as many steps as are given
an integer network, or .net         as it is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnsim.errors import ConfigError, TargetError
from snnsim.hardware.quantise import Quantised, as_steps, quantise, quantise_exact
from snnsim.identity import fingerprint
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.network import Network


@dataclass(frozen=True)
class Options:
    """bits: of weights; n_steps: of a sample, where the file does not say; see quantise for the rest."""

    bits: int | None = None
    n_steps: int | None = None
    hard_reset: bool = False
    threads: int | None = None


def is_integer(network: Network) -> bool:
    """Does it compute in whole numbers already."""
    return any(isinstance(p.unit, IntegerLIF) for p in network.populations.values())


def quantised(
    network: Network, facts: Mapping[str, Any], target: str, data: np.ndarray | None, options: Options
) -> tuple[Quantised, np.ndarray]:
    """The integer network of a file, and the data that golden vectors are made of.

    facts  as `read_network` gives them; data  calibration, [n_samples, ...], where the file holds none
    Raises TargetError for what the target cannot do, ConfigError where something is missing.
    """
    method = facts.get("method")
    if method == "exact":
        inputs = facts.get("inputs")
        if not isinstance(inputs, np.ndarray) or inputs.ndim != 2:
            raise ConfigError(
                "the file does not hold the inputs of its certificate", where="inputs", fix="convert again",
            )  # fmt: skip
        if facts.get("timesteps") != 1:
            raise TargetError(
                "neurons that decide once need all of their input in one step", where="timesteps",
                got=facts.get("timesteps"), expected="1", fix="convert without --timesteps",
                code="target.timesteps",
            )  # fmt: skip
        scale = float(facts.get("input_scale", 1.0))
        found = quantise_exact(
            network, target, inputs, bits=options.bits, input_scale=scale, threads=options.threads
        )
        return found, inputs * scale
    if method not in (None, "rate", "burst"):
        raise TargetError(
            f"no chip computes as networks of --method {method} do", where="method", got=method,
            expected="exact or rate", fix="convert with --method rate, or with --method exact --levels 1",
            code="target.method",
        )  # fmt: skip
    if data is None:
        raise ConfigError(
            "data are needed, to choose scales and for golden vectors", where="calibration",
            fix="give typical inputs: --calibrate DATA",
        )  # fmt: skip
    shown = as_steps(data, sum(getattr(one, "n", 0) for one in network.stimuli.values()))
    n_steps, repeat = _steps(network, facts, shown, options)
    if is_integer(network):
        return _as_it_is(network, target, n_steps, repeat), shown
    found = quantise(
        network, target, shown, n_steps=n_steps, repeat=repeat, bits=options.bits,
        hard_reset=options.hard_reset,
        threads=options.threads,
    )  # fmt: skip
    return found, shown


def _steps(
    network: Network, facts: Mapping[str, Any], shown: np.ndarray, options: Options
) -> tuple[int, int]:
    """(steps of a sample, in how many an input of one step acts)."""
    if facts.get("method") in ("rate", "burst"):
        timesteps = int(facts["timesteps"])
        return timesteps, timesteps
    n_steps = options.n_steps or facts.get("n_steps")
    if shown.ndim == 3:
        return int(n_steps or shown.shape[1] + len(network.populations)), 1
    if not n_steps:
        raise ConfigError(
            "for how many steps does a sample run", where="n_steps", fix="--steps N; or give frames "
            "[n_samples, n_steps, n]",
        )  # fmt: skip
    return int(n_steps), int(facts.get("repeat", n_steps))


def _as_it_is(network: Network, target: str, n_steps: int, repeat: int) -> Quantised:
    last = list(network.populations.values())[-1]
    made = network.replace(
        populations={name: p.replace(neuron=_own(p.unit, target)) for name, p in network.populations.items()}
    )
    return Quantised(
        made, target, 0, n_steps, repeat, 0, 1.0, np.ones(last.n), "spikes", (), fingerprint(network, {})
    )  # fmt: skip


def _own(unit: object, target: str) -> object:
    """A neuron of one Loihi as one of the other: they differ in the width of their input alone."""
    loihi = {name: RULES[name] for name in ("loihi1", "loihi2")}
    if target not in loihi or not isinstance(unit, IntegerLIF):
        return unit
    width = {key: getattr(loihi[target], key) for key in ("a_low", "a_high", "a_overflow")}
    return unit.replace(rule=unit.rule.replace(**width)) if unit.rule in loihi.values() else unit
