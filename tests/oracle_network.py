"""A whole network, simulated naively: one neuron and one synapse at a time, straight from the description.

No blocks, no ranges, no rows: a dictionary of what arrives when.  It shares with the product only the
connections themselves (tested elsewhere), the propagators of a neuron (tested against closed forms), and
the tables of exponentials and Poisson probabilities.  What it fixes is the order of events and of sums:

    per target and step: static synapses by step of emission, then source; plastic synapses by projection,
    delay, source; then those without delay, level by level; then Poisson drives

That sum is added to the current, or, where no delay is longer than a step, begins with it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import oracle

from snnsim.inputs import cuts_of, gap_cuts, poisson_cdf
from snnsim.kernels import conductance as g
from snnsim.kernels import neurons as n
from snnsim.models import Conductance
from snnsim.network import Network
from snnsim.plasticity import STDP
from snnsim.projection import Projection
from snnsim.propagators import parameter_columns, rest_mv, start_mv, start_ns
from snnsim.simulator import Simulator
from snnsim.stimuli import Current, Images, Poisson, PoissonDrive, SpikeTrains, Stimulus
from snnsim.streams import key_of, realise
from snnsim.weights import weight_of
from snnsim.wiring import channel_of


@dataclass
class Result:
    """Spikes (steps, ids) by emitter, and what a probe of every step would have seen."""

    spikes: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    pre_trace: dict[str, list[float]] = field(default_factory=dict)
    post_trace: dict[str, list[float]] = field(default_factory=dict)


class _Population:
    def __init__(self, sim: Simulator, name: str) -> None:
        population, where = sim.network.populations[name], f"populations.{name}.neuron"
        self.n, self.neuron = population.n, population.neuron
        self.dtype = np.dtype(sim.network.precision)
        value, self.t_ref = parameter_columns(self.neuron, self.n, sim.dt_ms, sim.seed, where)
        self.value = value.astype(self.dtype)
        self.rest = rest_mv(self.neuron, self.n, sim.seed, where).astype(self.dtype)
        self.v = start_mv(self.neuron, self.n, sim.seed, where).astype(self.dtype)
        self.carry = np.zeros(self.n, self.dtype)  # what rounding took from v
        self.i = np.zeros((2, self.n), self.dtype)
        self.theta = np.zeros(self.n, self.dtype)
        self.left = [0] * self.n
        self.adapts = self.neuron.threshold
        if self.adapts is not None:
            init = realise(self.adapts.theta_init_mv, self.n, sim.seed, f"{where}.threshold.theta_init_mv")
            self.theta[:] = init
        self.channels = self.neuron.synapse.n_currents
        self.conducts = isinstance(self.neuron.synapse, Conductance)
        if isinstance(self.neuron.synapse, Conductance):
            self.i[:] = start_ns(self.neuron.synapse, self.n, sim.seed, f"{where}.synapse")

    def update(self, k: int, drive: Any, totals: list[Any], learning: bool) -> bool:
        """One step of neuron k, with its currents after what has arrived; does it fire?"""
        value = self.value[:, k]
        totals = totals[: self.channels]
        for c, total in enumerate(totals):
            if not self.conducts:
                drive = drive + value[n.P_VC + c] * total
            self.i[c, k] = value[n.P_CC + c] * total
        threshold = value[n.THRESHOLD]
        if self.adapts is not None:
            if learning:
                self.theta[k] *= value[n.P_THETA]
            threshold = threshold + self.theta[k]
        if self.left[k] > 0:
            self.left[k] -= 1
            return False
        if self.conducts:
            v = conducted(value, drive, totals, self.v[k])
            change = v - self.v[k]
        else:
            change = self.v[k] * value[n.P_LEAK] + (drive + self.carry[k])
            v = self.v[k] + change
        if v < threshold:
            self.v[k], self.carry[k] = v, change - (v - self.v[k])  # no carry of conductances
            return False
        self.carry[k] = 0
        subtract = self.neuron.reset == "subtract"
        self.v[k] = v - (threshold - value[n.RESET]) if subtract else value[n.RESET]
        self.left[k] = int(self.t_ref[k])
        if self.adapts is not None and learning:
            self.theta[k] += value[n.THETA_PLUS]
        return True


def conducted(value: np.ndarray, drive: Any, totals: list[Any], u: Any) -> Any:
    """The potential after a step of exponential Euler with two conductances."""
    x = value[g.LEAK] + value[g.GAIN] * (totals[0] + totals[1])
    y = drive + (value[n.P_VC] * totals[0] + value[n.P_VC + 1] * totals[1])
    part, whole = (oracle.approach64 if value.dtype == np.float64 else oracle.approach32)(x)
    return u + (y - x * u) * part / (x * whole)


class _Synapses:
    """All synapses of one projection; each has its own presynaptic trace."""

    def __init__(self, sim: Simulator, name: str, projection: Projection) -> None:
        table = sim.synapses(name)
        self.p = projection
        self.source, self.target, self.delay = (x.tolist() for x in (table.source, table.target, table.delay))
        self.weight = table.weight().copy()
        self.channel = channel_of(sim.network, projection)
        self.by_source: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.by_target: dict[int, list[int]] = defaultdict(list)
        for s, (source, delay, target) in enumerate(zip(self.source, self.delay, self.target, strict=True)):
            self.by_source[source, delay].append(s)
            self.by_target[target].append(s)
        self.x = [(0, 0.0)] * len(self.source)
        self.y = np.zeros(sim.network.populations[projection.target].n, self.weight.dtype)
        if isinstance(projection.plasticity, STDP):
            self.rate = sim.dt_ms / projection.plasticity.tau_plus_ms
            self.table = np.exp(-np.arange(-1, 4096) * self.rate).astype(self.weight.dtype)
            self.factor = float(np.exp(-sim.dt_ms / projection.plasticity.tau_minus_ms))
            self.all_pairs = projection.plasticity.pairing == "all"

    def pre_trace(self, s: int, t: int, dtype: type[np.floating] = np.float64) -> Any:
        step, x = self.x[s]
        return dtype(oracle.decayed(dtype(x), self.table, self.rate, t - step))

    def fade(self) -> None:
        """Postsynaptic traces decay step by step."""
        if self.p.plasticity is not None:
            self.y = (self.y * np.float64(self.factor)).astype(self.y.dtype)

    def constants(self) -> tuple[int, np.ndarray]:
        r = self.p.plasticity
        assert isinstance(r, STDP)
        code = ["additive", "multiplicative", "power", "power_law"].index(r.dependence)
        values = [r.a_plus, r.a_minus, r.w_min, r.w_max, r.mu_plus, r.mu_minus, r.w_0]
        return code, np.array(values, self.weight.dtype)

    def arrive(self, s: int, t: int, learning: bool) -> Any:
        """A presynaptic spike at synapse s; the weight that it delivers."""
        if self.p.plasticity is not None:
            if learning:
                y = self.y[self.target[s]]
                self.weight[s] = oracle.depressed(self.weight[s], y, *self.constants())
            self.x[s] = t, (self.pre_trace(s, t) if self.all_pairs else 0.0) + 1.0
        return self.weight[s]

    def post(self, k: int, t: int, learning: bool) -> None:
        """The target k fires."""
        if self.p.plasticity is None:
            return
        for s in self.by_target[k] if learning else []:
            x = self.pre_trace(s, t, self.weight.dtype.type)
            if self.x[s][1] > 0:
                self.weight[s] = oracle.potentiated(self.weight[s], x, *self.constants())
        self.y[k] = (self.y[k] if self.all_pairs else 0.0) + 1.0

    def normalise(self) -> None:
        norm = self.p.normalisation
        assert norm is not None
        for synapses in self.by_target.values():
            total = 0.0
            for s in synapses:
                total += float(self.weight[s])
            for s in synapses if total != 0.0 else []:
                self.weight[s] = float(self.weight[s]) * (norm.total / total)


def run_network(sim: Simulator, n_steps: int) -> Result:
    """The first n_steps of a Simulator that has not run yet, and stays as it is."""
    naive = _Naive(sim)
    for t in range(n_steps):
        naive.step(t)
    naive.take_samples()
    result = naive.result
    result.pre_trace = {name: [x for _, x in s.x] for name, s in naive.synapses.items()}
    result.post_trace = {name: list(s.y) for name, s in naive.synapses.items()}
    return result


class _Naive:
    def __init__(self, sim: Simulator) -> None:
        self.sim, self.network, self.units, self.result = sim, sim.network, sim.program.units, Result()
        self.populations = {name: _Population(sim, name) for name in sim.network.populations}
        self.synapses = {name: _Synapses(sim, name, p) for name, p in sim.network.projections.items()}
        self.at_once = all(high <= 1 for _, high in sim.program.delays.values())
        self.pending: dict[int, dict[tuple[str, int, int], Any]] = defaultdict(lambda: defaultdict(list))
        self.fired: dict[int, dict[str, list[int]]] = {}

    def step(self, t: int) -> None:
        learning = is_learning(self.sim, t)
        self.take_samples()
        for s in self.synapses.values() if learning else ():
            if s.p.normalisation is not None and t % _steps(s.p.normalisation.every_ms, self.sim) == 0:
                s.normalise()
        for s in self.synapses.values():
            s.fade()
        self.fired[t] = {}
        self.plastic_arrivals(t, learning, -1)
        for level in range(self.units.n_levels):
            for name in [name for name in self.units.names if self.units.level[name] == level]:
                self.fired[t][name] = self.fire(name, t, learning)
                for unit in self.fired[t][name]:
                    self.emit(t, name, unit)
            self.plastic_arrivals(t, learning, level)
        for s in self.synapses.values():
            for k in self.fired[t].get(s.p.target, []):
                s.post(k, t, learning)

    def fire(self, name: str, t: int, learning: bool) -> list[int]:
        """Which units of a population or source fire in step t."""
        if name in self.network.stimuli:
            return source_spikes(self.sim, name, t)
        p, now = self.populations[name], []
        for k in range(p.n):
            before = [p.i[c, k] if self.at_once else p.dtype.type(0) for c in range(2)]
            arrived = [sum(self.pending[t][name, c, k], before[c]) for c in range(2)]
            drive, arrived = external(self.sim, name, p, k, t, arrived)
            totals = arrived if self.at_once else [p.i[c, k] + arrived[c] for c in range(2)]
            if p.update(k, drive, totals, learning):
                now.append(k)
        return now

    def emit(self, t: int, name: str, unit: int) -> None:
        """Send a spike on its way along the synapses whose weights never change."""
        self.result.spikes[name].append((t, unit))
        for s in self.synapses.values():
            if s.p.source == name and not s.p.plastic:
                for (source, delay), members in s.by_source.items():
                    for k in members if source == unit else ():
                        self.pending[t + delay][s.p.target, s.channel, s.target[k]].append(s.weight[k])

    def plastic_arrivals(self, t: int, learning: bool, level: int) -> None:
        """Spikes of earlier steps (level -1), or those that a level emits in this step over no delay."""
        for s in self.synapses.values():
            for delay in sorted(set(s.delay)) if s.p.plastic else ():
                due = delay > 0 if level < 0 else delay == 0 and self.units.level[s.p.source] == level
                for unit in self.fired[t - delay].get(s.p.source, []) if due and t >= delay else ():
                    for k in s.by_source.get((unit, delay), []):
                        here = self.pending[t][s.p.target, s.channel, s.target[k]]
                        here.append(s.arrive(k, t, learning))

    def take_samples(self) -> None:
        for name, p in self.populations.items():
            channels = ("g_exc_ns", "g_inh_ns") if p.conducts else ("i_exc_pa", "i_inh_pa")
            found = {"v_mv": p.v + p.rest, "theta_mv": p.theta, **dict(zip(channels, p.i, strict=True))}
            for variable, value in found.items():
                self.result.samples[name, variable].append(value.copy())
        for name, s in self.synapses.items():
            self.result.samples[name, "weight"].append(s.weight.copy())


def _steps(ms: float, sim: Simulator) -> int:
    return round(ms / sim.dt_ms)


def is_learning(sim: Simulator, t: int) -> bool:
    """Always, or while an image of a learning phase is shown."""
    shown = sim.program.images
    for name, images in shown.items():
        stimulus = sim.network.stimuli[name]
        assert isinstance(stimulus, Images)
        m = t // (images.present_steps + images.rest_steps)
        if m < len(images.phase) and stimulus.phases[images.phase[m]].learning:
            return True
    return not shown


def source_spikes(sim: Simulator, name: str, t: int) -> list[int]:
    """Which units of a spike source fire in step t."""
    stimulus: Stimulus = sim.network.stimuli[name]
    key = oracle.subkey(key_of(sim.seed, f"stimuli.{name}"), t)
    if isinstance(stimulus, Poisson):
        if not _on(stimulus, sim, t):
            return []
        rate = realise(stimulus.rate_hz, stimulus.n, sim.seed, f"stimuli.{name}.rate_hz")
        probability = rate * (sim.dt_ms / 1000.0)
        if np.ptp(probability) == 0 and probability[0] <= 0.1:
            cuts = [int(c) for c in gap_cuts(float(probability[0]))]
            return [k for k in oracle.rare_sources(cuts, key, stimulus.n) if k >= 0]
        return [k for k in range(stimulus.n) if oracle.uniform01(key, k) < probability[k]]
    if isinstance(stimulus, SpikeTrains):
        return sorted(
            int(k) for ms, k in zip(stimulus.times_ms, stimulus.ids, strict=True) if _steps(ms, sim) == t
        )
    assert isinstance(stimulus, Images)
    images = sim.program.images[name]
    m, since = divmod(t, images.present_steps + images.rest_steps)
    if m >= len(images.schedule) or since >= images.present_steps:
        return []
    row = images.table[images.schedule[m]]
    if stimulus.coding == "rate":
        return [k for k, p in enumerate(row) if oracle.uniform01(key, k) < p]
    if stimulus.coding == "latency":
        return [k for k, offset in enumerate(row) if offset == since]
    change = row - (images.table[images.schedule[m - 1]] if m else 0.0)
    both = np.concatenate([change, -change])
    return [k for k, x in enumerate(both) if since == 0 and x > 0 and x >= stimulus.threshold]


def _on(stimulus: Poisson | PoissonDrive, sim: Simulator, t: int) -> bool:
    stop = stimulus.stop_ms
    return _steps(stimulus.start_ms, sim) <= t and (stop is None or t < _steps(stop, sim))


def external(
    sim: Simulator, name: str, p: _Population, k: int, t: int, arrived: list[Any]
) -> tuple[Any, list[Any]]:
    """Drive of neuron k in step t, and its arrivals together with those from Poisson drives."""
    f = p.dtype.type
    network: Network = sim.network
    drive = p.value[n.DRIVE, k]
    for stimulus in network.stimuli.values():
        if isinstance(stimulus, Current) and stimulus.target == name:
            begun = [j for j, ms in enumerate(stimulus.times_ms) if _steps(ms, sim) <= t]
            if begun:
                row = np.atleast_1d(stimulus.amplitude_pa[begun[-1]])
                drive = f(float(drive) + float(p.value[n.P_V0, k]) * float(row[k if row.size > 1 else 0]))
    for title, stimulus in network.stimuli.items():
        if isinstance(stimulus, PoissonDrive) and stimulus.target == name and _on(stimulus, sim, t):
            where = f"stimuli.{title}"
            rate = realise(stimulus.rate_hz, p.n, sim.seed, f"{where}.rate_hz")[k]
            key = oracle.subkey(key_of(sim.seed, where), t)
            mean = float(rate * (stimulus.n_inputs * sim.dt_ms / 1000.0))
            count = oracle.poisson_count(key, k, cuts_for(mean))
            weight = weight_of(stimulus)
            negative = stimulus.receptor == "inh" or (stimulus.receptor is None and weight < 0)
            c = int(p.channels == 2 and negative)
            arrived[c] = f(float(arrived[c]) + weight * count)
    return drive, arrived


_CUTS: dict[float, np.ndarray] = {}


def cuts_for(mean: float) -> np.ndarray:
    if mean not in _CUTS:
        _CUTS[mean] = cuts_of(poisson_cdf(mean))
    return _CUTS[mean]
