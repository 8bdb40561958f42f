"""What a config may say, and yet hardly means."""

from __future__ import annotations

from snnsim.config import Config
from snnsim.distributions import Distribution, extent
from snnsim.spec import Spec, rules


def config_warnings(config: Config) -> list[str]:
    """What is allowed, and yet looks like a mistake: one sentence each."""
    dt = config.run.dt_ms
    found = []
    for table_name in ("populations", "projections"):
        for name, entry in getattr(config.network, table_name).items():
            found += _short_times(entry, dt, f"{table_name}.{name}")
    if not config.network.probes and config.task is None:
        name = next(iter(config.network.populations))
        found.append(f'nothing is recorded; add [probes.{name}_spikes] with target = "{name}"')
    return found


def _short_times(spec: Spec, dt_ms: float, where: str) -> list[str]:
    """Time constants below a step, in a description and those inside."""
    found = []
    for name in rules(type(spec)):
        value = getattr(spec, name)
        if name.startswith("tau_") and value is not None:
            least = extent(value)[0]
            given = not isinstance(value, Distribution) or least > 1e-6 * dt_ms  # an open end tells nothing
            if given and least < dt_ms:
                found.append(
                    f"{where}.{name} = {least:g} is shorter than dt_ms = {dt_ms:g}; seconds instead of ms?"
                )
        elif isinstance(value, Spec):
            found += _short_times(value, dt_ms, f"{where}.{name}")
    return found
