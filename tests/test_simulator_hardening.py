"""What must not go wrong silently: limits, torn steps, threads, checkpoints of other or impossible states."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading

import numpy as np
import pytest

from snnsim import (
    IF,
    LIF,
    STDP,
    AllToAll,
    Arrays,
    ConfigError,
    Exponential,
    FileError,
    FixedTotalNumber,
    Images,
    LogNormal,
    Network,
    OneToOne,
    Population,
    Probe,
    Projection,
    SimulationError,
    Simulator,
    SnnError,
    SpikeTrains,
)
from snnsim.program import check_and_encode, estimate
from snnsim.wiring import build_static

LEAKY = {"tau_m_ms": 10.0, "v_rest_mv": 0.0, "v_th_mv": 15.0, "v_reset_mv": 0.0}


def busy(n: int = 60, **changes: object) -> Network:
    parts = {
        "populations": {"a": Population(n=n, neuron=LIF(**LEAKY, i_bias_pa=700.0, t_ref_ms=0.5))},
        "projections": {
            "aa": Projection(source="a", target="a", rule=AllToAll(), weight_mv=0.01, delay_ms=1.0)
        },
        "probes": {"spikes": Probe(target="a"), "v": Probe(target="a", variable="v_mv", ids=[0])},
    }
    return Network(**(parts | changes))


def chain(sizes: list[int]) -> Network:
    """Populations joined without delay; one spike goes to the last neuron of all, inhibitory."""
    neuron = IF(v_th_mv=1e6, v_reset_mv=0.0, synapse=Exponential(tau_exc_ms=5.0, tau_inh_ms=5.0))
    names = [f"p{k}" for k in range(len(sizes))]
    last = names[-1]
    return Network(
        populations={name: Population(n=n, neuron=neuron) for name, n in zip(names, sizes, strict=True)},
        stimuli={"s": SpikeTrains(n=1, times_ms=[0.5], ids=[0])},
        projections={
            "hit": Projection(
                source="s", target=last, rule=Arrays(source=[0], target=[sizes[-1] - 1]), weight_pa=-100.0,
                delay_ms=0.1,
            ),
            **{
                f"{a}{b}": Projection(
                    source=a, target=b, rule=Arrays(source=[0], target=[0]), weight_pa=1.0, delay_ms=0.0
                )
                for a, b in zip(names, names[1:], strict=False)
            },
        },
        probes={"i": Probe(target=last, variable="i_inh_pa", every_ms=0.8, ids=[sizes[-1] - 1])},
    )  # fmt: skip


# --- limits


def test_targets_stay_within_16_bits() -> None:
    """Four levels whose rounded-up pieces together exceed what a range can hold."""
    network = chain([65537, 65537, 65537, 65513])
    found = []
    for n_ranges in (0, 9):
        with Simulator(network, n_ranges=n_ranges) as sim:
            assert max(sim.program.layout.range_size) * 2 <= 2**16
            sim.run(1.6)
            found.append(sim.samples("i")[1][1, 0])
    assert found[0] == found[1] < -50.0


def test_too_few_ranges_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"n_ranges: too few ranges for so many neurons; got 1, expected at least 3"
    ):
        Simulator(chain([70_000]), n_ranges=1)


@pytest.mark.parametrize("n_ranges", [-1, 2.5, True, "x", 2**17])
def test_a_wrong_number_of_ranges(n_ranges: object) -> None:
    with pytest.raises(ConfigError, match="n_ranges"):
        Simulator(busy(), n_ranges=n_ranges)  # type: ignore[arg-type]


def test_a_refractory_period_without_end() -> None:
    for t_ref in (3e8, 1e11):
        neuron = LIF(**LEAKY, i_bias_pa=2000.0, t_ref_ms=t_ref)
        with Simulator(busy(populations={"a": Population(n=3, neuron=neuron)})) as sim:
            sim.run(500.0)
            assert sorted(sim.spikes("a")[1]) == [0, 1, 2]


def test_far_apart_delays_do_not_share_a_table() -> None:
    rule = FixedTotalNumber(n=3000)
    near, far = (
        Projection(source="a", target="a", rule=rule, weight_mv=0.01, delay_ms=delay)
        for delay in (0.1, 500.0)
    )
    network = busy(n=3000, projections={"near": near, "far": far})
    sizes = estimate(network, 0.1, check_and_encode(network, 0.1, 1), threads=2)
    with Simulator(network) as sim:
        p = sim.program
        assert p.static.rows.start.nbytes < 200_000 * p.units.n_ranges
        assert p.static.rows.start.nbytes <= sizes.synapse_bytes
        assert set(sim.synapses("near").delay) == {1}
        assert set(sim.synapses("far").delay) == {5000}
        again = build_static(network, p.units, p.delays, 0.1, 1, np.dtype("float64"), map, p.layout)
        assert again.rows.start.tobytes() == p.static.rows.start.tobytes()


def test_memory_refusal_names_what_takes_it() -> None:
    delay = LogNormal(mean=2.0, std=20.0, low=0.1)
    projection = Projection(
        source="a", target="a", rule=FixedTotalNumber(n=1000), weight_mv=0.1, delay_ms=delay
    )
    with pytest.raises(ConfigError, match=r"projections\.slow\.delay_ms.*shorten the longest delay"):
        Simulator(busy(n=1000, projections={"slow": projection}))


def test_an_inhibitory_projection_that_starts_at_zero() -> None:
    """The bounds of the learning rule say that the weights are inhibitory, not the weight 0."""
    cell = LIF(**LEAKY, synapse=Exponential(tau_exc_ms=2.0, tau_inh_ms=8.0))
    rule = STDP(tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=0.0, a_minus=0.0, w_min=-100.0, w_max=0.0)
    for weight in (0.0, -1e-9):
        one = Projection(
            source="a", target="a", rule=AllToAll(), weight_pa=weight, delay_ms=1.0, plasticity=rule
        )
        with Simulator(
            busy(n=4, populations={"a": Population(n=4, neuron=cell)}, projections={"p": one})
        ) as sim:
            assert (sim.program.plastic.piece_slot >= 4).all()  # slots of the second channel


# --- torn steps and threads


class Alarm(Exception):
    """What a signal handler of the user raises."""


def test_an_exception_inside_a_step_is_not_forgotten(tmp_path) -> None:
    def ring(number: int, frame: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Simulator(busy()) as sim, Simulator(busy()) as other:
            sim.run(10.0)
            sim.save(tmp_path / "a.h5")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Alarm):
                sim.run(1e7)
            if not sim._whole:  # nearly always: the time is spent inside the kernel
                for refused in (lambda: sim.run(1.0), lambda: sim.save(tmp_path / "b.h5")):
                    with pytest.raises(SimulationError, match="in the middle of a step"):
                        refused()
            sim.resume(tmp_path / "a.h5")
            sim.run(10.0)
            other.run(20.0)
            assert sim.digest() == other.digest()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_recorder_that_fails_stops_everything(monkeypatch) -> None:
    with Simulator(busy()) as sim:
        sim.run(5.0)
        monkeypatch.setattr(
            sim._sinks.spikes, "append", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
        )
        with pytest.raises(OSError, match="disk full"):
            sim.run(50.0)
        monkeypatch.undo()
        with pytest.raises(SimulationError, match="the state is torn"):
            sim.run(5.0)
        sim.reset()
        sim.run(5.0)


def test_threads_that_cannot_start(monkeypatch) -> None:
    start, count = threading.Thread.start, []

    def limited(self: threading.Thread) -> None:
        count.append(1)
        if len(count) > 2:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(
        ConfigError, match=r"threads: the threads cannot be started \(can't start new thread\); got 4"
    ):
        Simulator(busy(), threads=4, n_ranges=4)


def test_a_failing_thread_does_not_hang_the_others(monkeypatch) -> None:
    with Simulator(busy(), threads=3, n_ranges=3) as sim:
        submit = sim._workers.submit

        def second_fails(function, tid, *rest):
            if tid == 2:
                raise RuntimeError("no")
            return submit(function, tid, *rest)

        monkeypatch.setattr(sim._workers, "submit", second_fails)
        with pytest.raises(RuntimeError, match="no"):
            sim.run(5.0)
        with pytest.raises(SimulationError):
            sim.run(5.0)


def _run_on(sim: Simulator, answers: multiprocessing.SimpleQueue) -> None:
    sim.run(5.0)
    answers.put(sim.digest())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_goes_on() -> None:
    context = multiprocessing.get_context("fork")
    with Simulator(busy(), threads=2, n_ranges=2) as sim:
        sim.run(5.0)
        answers = context.SimpleQueue()
        child = context.Process(target=_run_on, args=(sim, answers))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        sim.run(5.0)
        assert answers.get() == sim.digest()


def test_a_simulator_is_not_pickled() -> None:
    with Simulator(busy()) as sim, pytest.raises(TypeError, match="cannot be copied or pickled"):
        pickle.dumps(sim)


@pytest.mark.parametrize("n_steps", [2.5, -5, True, "10", 2**60])
def test_wrong_numbers_of_steps(n_steps: object) -> None:
    with Simulator(busy()) as sim, pytest.raises(ConfigError, match="n_steps"):
        sim.run_steps(n_steps)  # type: ignore[arg-type]


def test_no_run_inside_a_run() -> None:
    with Simulator(busy()) as sim:
        with pytest.raises(SnnError, match="running already"):
            sim.run_steps(100, lambda *_: sim.run_steps(50))
        sim.run_steps(100 - sim.step)
        assert sim.step == 100


def test_a_closed_simulator_says_so() -> None:
    for threads in (1, 2):
        sim = Simulator(busy(), threads=threads, n_ranges=2)
        sim.run(1.0)
        sim.close()
        with pytest.raises(SnnError, match="the simulator is closed"):
            sim.run(1.0)
        assert sim.spikes("a")[0].size >= 0


def test_control_c_in_the_last_moment_is_heard() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Simulator(busy()) as sim, pytest.raises(KeyboardInterrupt):
            sim.run_steps(10, lambda done, end: done == end and signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


# --- checkpoints


def test_a_checkpoint_in_memory_is_a_copy() -> None:
    with Simulator(busy()) as sim:
        sim.run(10.0)
        arrays, meta = sim.checkpoint()
        expected = sim.digest()
        sim.run(10.0)
        sim.restore(arrays, meta)
        assert sim.digest() == expected


def test_a_checkpoint_of_other_data_is_refused() -> None:
    def shown(value: float) -> Network:
        images = Images(images=[[value, 0.5]], present_ms=5.0)
        one = Projection(source="x", target="a", rule=OneToOne(), weight_mv=1.0, delay_ms=0.1)
        return busy(n=2, stimuli={"x": images}, projections={"x": one})

    with Simulator(shown(0.5)) as sim, Simulator(shown(0.6)) as other:
        other.program.network = sim.network  # as if both had the same name of a data set
        other.network = sim.network
        with pytest.raises(FileError, match="network: the checkpoint belongs to another simulation"):
            other.restore(*sim.checkpoint())


def damage(name: str, value: object):
    def apply(arrays: dict, meta: dict) -> None:
        if name == "step":
            meta["step"] = value
        else:
            arrays[name].flat[:] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (damage("spikes/fired", 255), "spikes/fired: impossible spikes in flight"),
        (damage("cells/refractory", -1), "cells/refractory: impossible values"),
        (damage("cells/potential", np.nan), "cells/potential: not a finite number"),
        (damage("spikes/arriving", np.inf), "spikes/arriving: not a finite number"),
        (damage("step", -7), "step: not a step"),
        (damage("step", "x"), "step: not a step"),
        (damage("step", None), "step: not a step"),
        (lambda arrays, meta: arrays.pop("cells/theta"), "cells/theta: the checkpoint does not fit"),
    ],
)
def test_an_impossible_state_is_refused(apply, message: str) -> None:
    with Simulator(busy()) as sim:
        sim.run(30.0)
        arrays, meta = sim.checkpoint()
        before = sim.digest()
        apply(arrays, meta)
        with pytest.raises(FileError, match=message):
            sim.restore(arrays, meta)
        assert sim.digest() == before
