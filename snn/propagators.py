"""Neuron parameters as the kernels want them: exact propagators for one step.

For leak rate g = 1 / tau_m (0 without leak), synaptic rate s = 1 / tau_syn and
phi(y) = (1 - exp(-y)) / y with phi(0) = 1:

    P_LEAK = exp(-g dt) - 1    P_CC = exp(-s dt)
    P_V0 = dt / c_m * phi(g dt)
    P_VC = dt / c_m * exp(-min(g, s) dt) * phi(|g - s| dt)

The last form is smooth through tau_syn = tau_m and never overflows.  Source: Rotter & Diesmann 1999.
Conductances have no such propagators: see kernels/conductance.py for what their rows hold.
"""

from __future__ import annotations

import numpy as np

from snnsim.grid import to_step_array
from snnsim.kernels import conductance
from snnsim.kernels import neurons as k
from snnsim.kernels.layout import CellParameters
from snnsim.models import LIF, Conductance, Exponential, Neuron
from snnsim.network import Network
from snnsim.streams import realise
from snnsim.units import Units


def phi(y: np.ndarray) -> np.ndarray:
    """(1 - exp(-y)) / y for y >= 0, and 1 at 0."""
    safe = np.where(y > 0, y, 1.0)
    return np.where(y > 0, -np.expm1(-safe) / safe, 1.0)


def rest_mv(neuron: Neuron, n: int, seed: int, where: str) -> np.ndarray:
    """float64[n]: the potential that the kernels count from (0 without leak)."""
    return (
        realise(neuron.v_rest_mv, n, seed, f"{where}.v_rest_mv") if isinstance(neuron, LIF) else np.zeros(n)
    )


def start_mv(neuron: Neuron, n: int, seed: int, where: str) -> np.ndarray:
    """float64[n]: potential at the start, relative to rest."""
    rest = rest_mv(neuron, n, seed, where)
    if neuron.v_init_mv is not None:
        return realise(neuron.v_init_mv, n, seed, f"{where}.v_init_mv") - rest
    return np.zeros(n) if isinstance(neuron, LIF) else reset_mv(neuron, n, seed, where)


def reset_mv(neuron: Neuron, n: int, seed: int, where: str) -> np.ndarray:
    """float64[n]: potential after a spike."""
    value = 0.0 if neuron.v_reset_mv is None else neuron.v_reset_mv
    return realise(value, n, seed, f"{where}.v_reset_mv")


def parameter_columns(
    neuron: Neuron, n: int, dt_ms: float, seed: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """float64[N_ROWS, n] and int32[n]: all that one step needs to know of n neurons."""

    def get(name: str) -> np.ndarray:
        return realise(getattr(neuron, name), n, seed, f"{where}.{name}")

    leak = 1.0 / get("tau_m_ms") if isinstance(neuron, LIF) else np.zeros(n)
    rest = rest_mv(neuron, n, seed, where)
    gain = dt_ms / get("c_m_pf")
    value = np.zeros((k.N_ROWS, n))
    value[k.P_LEAK] = np.expm1(-leak * dt_ms)
    value[k.P_V0] = gain * phi(leak * dt_ms)
    value[k.DRIVE] = value[k.P_V0] * get("i_bias_pa")
    if isinstance(neuron.synapse, Conductance):
        _conductance_rows(value, neuron.synapse, leak * dt_ms, gain, rest, dt_ms, seed, f"{where}.synapse")
        value[k.DRIVE] = gain * get("i_bias_pa")
    elif isinstance(neuron.synapse, Exponential):
        for c, name in enumerate(("tau_exc_ms", "tau_inh_ms")[: neuron.synapse.n_currents]):
            rate = 1.0 / realise(getattr(neuron.synapse, name), n, seed, f"{where}.synapse.{name}")
            value[k.P_CC + c] = np.exp(-rate * dt_ms)
            value[k.P_VC + c] = (
                gain * np.exp(-np.minimum(leak, rate) * dt_ms) * phi(np.abs(leak - rate) * dt_ms)
            )
    else:
        value[k.P_VC] = np.exp(-leak * dt_ms)
    value[k.THRESHOLD] = get("v_th_mv") - rest
    value[k.RESET] = reset_mv(neuron, n, seed, where) - rest
    if neuron.threshold is not None:
        at = f"{where}.threshold"
        tau = realise(neuron.threshold.tau_theta_ms, n, seed, f"{at}.tau_theta_ms")
        value[k.P_THETA] = np.exp(-dt_ms / tau)
        value[k.THETA_PLUS] = realise(neuron.threshold.theta_plus_mv, n, seed, f"{at}.theta_plus_mv")
    return value, _refractory_steps(neuron, n, dt_ms, seed, where)


def _conductance_rows(
    value: np.ndarray, synapse: Conductance, leak: np.ndarray, gain: np.ndarray, rest: np.ndarray,
    dt_ms: float, seed: int, where: str,
) -> None:  # fmt: skip
    value[conductance.LEAK] = np.maximum(leak, conductance.LEAST_LEAK)
    value[conductance.GAIN] = gain
    pairs = (("tau_exc_ms", "e_exc_mv"), ("tau_inh_ms", "e_inh_mv"))
    for c, (tau, reversal) in enumerate(pairs):
        time = realise(getattr(synapse, tau), rest.size, seed, f"{where}.{tau}")
        level = realise(getattr(synapse, reversal), rest.size, seed, f"{where}.{reversal}")
        value[k.P_CC + c] = np.exp(-dt_ms / time)
        value[k.P_VC + c] = gain * (level - rest)


def start_ns(synapse: Conductance, n: int, seed: int, where: str) -> np.ndarray:
    """float64[2, n]: conductances at the start, exc and inh."""
    names = ("g_exc_init_ns", "g_inh_init_ns")
    return np.stack([realise(getattr(synapse, name), n, seed, f"{where}.{name}") for name in names])


def _refractory_steps(neuron: Neuron, n: int, dt_ms: float, seed: int, where: str) -> np.ndarray:
    t_ref = realise(neuron.t_ref_ms, n, seed, f"{where}.t_ref_ms")
    if isinstance(neuron.t_ref_ms, float | np.ndarray):
        steps = to_step_array(t_ref, dt_ms, f"{where}.t_ref_ms")
    else:
        steps = np.floor(t_ref / dt_ms + 0.5)  # drawn: rounded to the grid
    return np.minimum(steps, 2**31 - 1).astype(np.int32)  # so long that it never ends within a run


def is_shared(neuron: Neuron) -> bool:
    """Do all neurons of a population with this model have the same parameters?"""
    initial = ("v_init_mv", "theta_init_mv", "g_exc_init_ns", "g_inh_init_ns")
    parts = [neuron, neuron.synapse, neuron.threshold]
    return all(
        isinstance(value, float | str | type(None)) or name in initial or name in ("synapse", "threshold")
        for part in parts
        if part is not None
        for name, value in vars(part).items()
    )


def cell_parameters(
    network: Network, units: Units, dt_ms: float, seed: int, dtype: np.dtype
) -> CellParameters:
    """Parameters of all populations; sources have no columns."""
    blocks, steps, column, shared, channels, subtract, adaptive, conducts = [], [], [], [], [], [], [], []
    total = 0
    for name in units.names:
        column.append(total)
        if name not in network.populations:
            shared.append(1)
            channels.append(0)
            subtract.append(0)
            adaptive.append(0)
            conducts.append(0)
            continue
        neuron = network.populations[name].neuron
        same = is_shared(neuron)
        n = k.CHUNK if same else units.size[name]
        value, refractory = parameter_columns(neuron, n, dt_ms, seed, f"populations.{name}.neuron")
        blocks.append(value)
        steps.append(refractory)
        total += n
        shared.append(int(same))
        channels.append(neuron.synapse.n_currents)
        subtract.append(int(neuron.reset == "subtract"))
        adaptive.append(int(neuron.threshold is not None))
        conducts.append(int(isinstance(neuron.synapse, Conductance)))
    return CellParameters(
        value=np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype=dtype),
        refractory_steps=np.concatenate(steps),
        column=np.array(column, dtype=np.int64),
        shared=np.array(shared, dtype=np.int64),
        channels=np.array(channels, dtype=np.int64),
        subtract=np.array(subtract, dtype=np.int64),
        adaptive=np.array(adaptive, dtype=np.int64),
        conductance=np.array(conducts, dtype=np.int64),
    )
