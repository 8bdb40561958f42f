"""One NIR file, many answers: how a simulator makes steps of its equations, put into parameters of ours.

NIR gives differential equations, with times in seconds:

    LIF      tau dv/dt = (v_leak - v) + r I       IF   dv/dt = r I
    CubaLIF  tau_mem dv/dt = (v_leak - v) + r I,  tau_syn dI/dt = -I + w_in S
    spike when v > v_threshold;  then v <- v_reset

All simulators make of them, with x the sum of weights times spikes and of biases in a step,

    LIF      v <- v_leak + d (v - v_leak) + g x                     IF   v <- v + g x
    CubaLIF  I <- a I + h x;  v <- v_leak + d (v - v_leak) + g I

and differ in the decays d and a, the gains g and h, the reset, and in which step a spike is seen:

    dialect      d, a               LIF g            IF g  h            reset               spikes
    exact        exp(-dt/tau)       r (1 - d)        r dt  w_in dt/tau  subtract th - reset  same step
    nengo        exp(-dt/tau)       r (1 - d)        r dt  w_in dt/tau  to 0                 same step
    norse        1 - dt/tau         1 - d            1     w_in (1 - a) to 0 (Cuba: v_reset) same step
    snntorch     1 - dt/tau         r (1 - d)        1     w_in (1 - a) to 0                 same step
    spinnaker2   1 - dt/tau         r (1 - d)        1     w_in (1 - a) to 0                 same step
    sinabs       exp(-dt/tau)       1                1     1            subtract th          same step
    rockpool     exp(-dt/tau)       1                1     1            subtract th          same step
    spyx         1 - dt/tau         1 - d            1     1 - a        subtract th, late    a step later
    lava         1 - dt/tau         r (1 - d)        1     w_in (1 - a) to 0                 a step a link
    loihi        1 - k/4096, k = floor(4095 dt/tau); else as lava

So a spike of weight W moves v by r (1 - d) W at the end of its step where g = r (1 - d): it is a current W
that lasts one step.  In "exact", a spike into a CubaLIF is the charge of that step, given at its beginning.
An exact simulator finds the threshold within a step, where reset to v_reset and by subtraction are the same;
on a grid, subtraction keeps what the input does after the crossing.  LIF of all dialects are checked against
recorded traces; CubaLIF, and IF of those that never wrote down what they do, follow the same rule.

Potentials keep their numbers, in mV; I is in pA; c_m is chosen such that a constant input is i_bias_pa.
Thresholds are one float above those in the file: ours fire at v >= v_th.
Sources: NIR paper (Pedersen et al. 2024) data 01_lif; import functions of the tools named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnsim.converters.nir_file import NirNode
from snnsim.converters.nir_graph import Faults
from snnsim.errors import ConfigError, nearest
from snnsim.models import IF, LIF, Exponential, Neuron
from snnsim.propagators import phi

NEVER_MV = 1e30
"""The threshold of a neuron that only integrates (NIR's I, LI and CubaLI)."""
_LEAST_DECAY = 1e-100


@dataclass(frozen=True)
class Dialect:
    """How a simulator reads NIR.

    decay        "exact", "euler", or "12 bit": the factor of a step
    gain         "steady": a lasting input W ends at r W; "unit": a spike of weight W moves v by W
    keeps_r      are r and w_in used; and for IF, is the step part of the gain
    reset        "subtract", "zero" or "v_reset", and that of CubaLIF
    keeps_reset  does v_reset count where th - v_reset is subtracted
    late_reset   the reset comes after the decay of the next step
    emission     steps from the crossing until the spike is seen
    link         steps that every connection takes
    """

    decay: str = "euler"
    gain: str = "steady"
    keeps_r: bool = True
    if_in_time: bool = False
    reset: str = "zero"
    cuba_reset: str = "zero"
    keeps_reset: bool = False
    late_reset: bool = False
    emission: int = 0
    link: int = 0


DIALECTS: dict[str, Dialect] = {
    "exact": Dialect("exact", if_in_time=True, reset="subtract", cuba_reset="subtract", keeps_reset=True),
    "nengo": Dialect("exact", if_in_time=True),
    "norse": Dialect(keeps_r=False, cuba_reset="v_reset"),
    "snntorch": Dialect(),
    "spinnaker2": Dialect(),
    "sinabs": Dialect("exact", "unit", keeps_r=False, reset="subtract", cuba_reset="subtract"),
    "rockpool": Dialect("exact", "unit", keeps_r=False, reset="subtract", cuba_reset="subtract"),
    "spyx": Dialect(keeps_r=False, reset="subtract", cuba_reset="subtract", late_reset=True, emission=1),
    "lava": Dialect(link=1),
    "loihi": Dialect("12 bit", link=1),
}


def dialect_named(name: str) -> Dialect:
    """ConfigError for a word that is not the name of one."""
    if name not in DIALECTS:
        raise ConfigError(
            "unknown dialect", where="dialect", got=name, expected=", ".join(DIALECTS),
            fix=nearest(name, DIALECTS), code="config.unknown_word",
        )  # fmt: skip
    return DIALECTS[name]


@dataclass(frozen=True)
class Cell:
    """A node of neurons as a model of ours.

    neuron    without its bias
    jump      float64[n]  weight (mV or pA) of a connection, for each unit of NIR's input
    """

    neuron: Neuron
    jump: np.ndarray

    def biased(self, constant: np.ndarray) -> Neuron:
        """The neuron with a constant input; only without synaptic current, which that has to pass first."""
        return self.neuron.replace(i_bias_pa=shared(constant)) if np.any(constant) else self.neuron


def make_cell(
    node: NirNode, n: int, how: Dialect, reset: str | None, dt_ms: float,
    feedback: tuple[np.ndarray, np.ndarray] | None, faults: Faults,
) -> Cell | None:  # fmt: skip
    """`n` neurons of a node; None, with the reason in `faults`, for what cannot be.

    reset      "v_reset", "subtract" or "zero" in place of that of the dialect
    feedback   threshold and minus the scale where the node was I or LI with Threshold and Scale
    """
    return _Maker(node, n, how, reset, dt_ms, feedback, faults).make()


@dataclass
class _Maker:
    node: NirNode
    n: int
    how: Dialect
    reset: str | None
    dt_ms: float
    feedback: tuple[np.ndarray, np.ndarray] | None
    faults: Faults

    def make(self) -> Cell | None:
        before = len(self.faults.found)
        for key in ("tau", "tau_mem", "tau_syn", "r"):
            if key in self.node.values and np.any(self.node.values[key] <= 0):
                self._fault(f"{key} = {self.node.values[key].min():g} is not above 0")
        if len(self.faults.found) > before:
            return None
        make = self._leaky if "tau" in self.node.values else self._integrator
        make = self._current_based if "tau_mem" in self.node.values else make
        try:
            cell = make()
        except ConfigError as error:  # a number beyond what a neuron of ours takes
            self._fault(str(error))
        if len(self.faults.found) == before and not np.isfinite(cell.jump).all():
            self._fault("numbers too large or too small to compute with")
        return None if len(self.faults.found) > before else cell

    def _get(self, key: str, default: float = 0.0) -> np.ndarray:
        """float64[n]"""
        value = self.node.values.get(key, np.array(default))
        return np.broadcast_to(value.ravel(), self.n).astype(np.float64)

    def _fault(self, reason: str) -> None:
        self.faults.add(f"{self.node.path} ({self.node.kind})", reason)

    def _r(self) -> np.ndarray:
        return self._get("r") if self.how.keeps_r else np.ones(self.n)

    def _decay(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """The factor of a step, and the time constant in ms with which an exact step has that factor."""
        tau_ms = self._get(key) * 1e3
        ratio = self.dt_ms / tau_ms
        if self.how.decay == "exact":
            factor = np.exp(-ratio)
        else:
            factor = 1.0 - (ratio if self.how.decay == "euler" else np.floor(4095.0 * ratio) / 4096.0)
        if np.any(factor < _LEAST_DECAY) or np.any(factor >= 1.0):
            worst = tau_ms[np.argmin(factor)] if np.any(factor < _LEAST_DECAY) else tau_ms[np.argmax(factor)]
            self._fault(f"{key} = {worst:g} ms is no decay at dt_ms = {self.dt_ms:g} in this dialect")
            return np.full(self.n, 0.5), tau_ms
        return factor, tau_ms if self.how.decay == "exact" else -self.dt_ms / np.log(factor)

    def _leaky(self) -> Cell:
        factor, tau_ms = self._decay("tau")
        gain = self._r() * -np.expm1(-self.dt_ms / tau_ms) if self.how.gain == "steady" else np.ones(self.n)
        firing = self._firing(factor, None if self.feedback is None else self.feedback[1] * gain / factor)
        neuron = LIF(
            tau_m_ms=shared(tau_ms),
            v_rest_mv=shared(self._get("v_leak")),
            c_m_pf=shared(-np.expm1(-self.dt_ms / tau_ms) * tau_ms / gain),
            **firing,
        )
        return Cell(neuron, gain / factor)

    def _integrator(self) -> Cell:
        gain = self._r() * (self.dt_ms / 1e3) if self.how.if_in_time else np.ones(self.n)
        firing = self._firing(np.ones(self.n), None if self.feedback is None else self.feedback[1] * gain)
        neuron = IF(c_m_pf=shared(self.dt_ms / gain), v_init_mv=0.0, **firing)
        return Cell(neuron, gain)

    def _current_based(self) -> Cell:
        decay, tau_ms = self._decay("tau_mem")
        decay_syn, tau_syn_ms = self._decay("tau_syn")
        w_in = self._get("w_in", 1.0) if self.how.keeps_r else np.ones(self.n)
        unit = self.how.gain == "unit"
        c_m = tau_ms / self._r()
        jump = w_in * self.dt_ms / tau_syn_ms
        if self.how.decay != "exact" or unit:  # the gain of the current is (1 - d) r: find c_m that gives it
            leak, rate = self.dt_ms / tau_ms, self.dt_ms / tau_syn_ms
            natural = self.dt_ms * np.exp(-np.minimum(leak, rate)) * phi(np.abs(leak - rate))
            c_m = natural / (np.ones(self.n) if unit else self._r() * (1.0 - decay))
            jump = np.ones(self.n) if unit else w_in * (1.0 - decay_syn)
        if self.feedback is not None:
            self._fault("reset by subtraction through a synaptic current does not act at once")
        neuron = LIF(
            tau_m_ms=shared(tau_ms),
            v_rest_mv=shared(self._get("v_leak")),
            c_m_pf=shared(c_m),
            synapse=Exponential(tau_exc_ms=shared(tau_syn_ms)),
            **self._firing(decay, None),
        )
        return Cell(neuron, jump)

    def _firing(self, decay: np.ndarray, subtracted: np.ndarray | None) -> dict[str, Any]:
        """Threshold and reset; `subtracted` is what feedback takes away."""
        if self.feedback is None and "v_threshold" not in self.node.values:
            return {"v_th_mv": NEVER_MV, "v_reset_mv": 0.0}
        threshold = self._get("v_threshold")
        if self.feedback is not None:
            threshold = np.broadcast_to(self.feedback[0].ravel(), self.n).astype(np.float64)
        given, v_th = self._get("v_reset"), np.nextafter(threshold, np.inf)
        cuba = "tau_syn" in self.node.values
        reset = self.reset or (self.how.cuba_reset if cuba else self.how.reset)
        if subtracted is None and reset == "subtract":
            subtracted = threshold - given if self.how.keeps_reset or self.reset else threshold
        if subtracted is not None:
            if self.how.late_reset:
                subtracted = subtracted / decay
            after, kind = v_th - subtracted, "subtract"
        else:
            after, kind = (given if reset == "v_reset" else np.zeros(self.n)), "value"
        if np.any(after >= v_th) or np.any(np.abs(threshold) >= NEVER_MV):
            worst = threshold[np.argmax(after - v_th)]
            self._fault(f"a threshold of {worst:g}, and a reset that is not below: fires for ever")
            return {"v_th_mv": 1.0, "v_reset_mv": 0.0}
        return {"v_th_mv": shared(v_th), "v_reset_mv": shared(after), "reset": kind}


def shared(values: np.ndarray) -> float | np.ndarray:
    """One number where all are the same: the kernels are faster then."""
    return float(values.flat[0]) if np.all(values == values.flat[0]) else values
