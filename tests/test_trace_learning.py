"""Trace learning: kernels against plain Python, averages against equations, and runs that go on exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle_traces as oracle
import pytest

from snnsim import Network, Population, Projection
from snnsim.errors import ConfigError, FileError
from snnsim.hardware.trace_learning import TraceLearner
from snnsim.hardware.trace_rule import Trace, TraceRule
from snnsim.integer_neurons import RULES, IntegerLIF
from snnsim.kernels import traces as k
from snnsim.layers import Dense, Into
from snnsim.stimuli import Analogue

STDP = "2^-2 * x1 * y0 - 2^-2 * y1 * x0"
TRACES = {name: Trace(impulse=16.5, tau=8.0) for name in ("x1", "y1")}


def paired(n: int, weight: float) -> Network:
    """n sources that learn to reach n targets, which fire when their own input `teach` says so."""
    neuron = IntegerLIF(rule=RULES["loihi2"], threshold=10_000 * 64, decay_u=4096, decay_v=4096)
    return Network(
        stimuli={"pre": Analogue(n=n), "teach": Analogue(n=n)},
        populations={"post": Population(n=n, neuron=neuron)},
        projections={
            "learns": Projection(
                source="pre", target="post", weight_mv=1.0, delay_ms=1.0,
                rule=Dense(weight=np.full((n, n), weight)),
            ),
            "teach": Projection(
                source="teach", target="post", weight_mv=20_000.0, delay_ms=1.0,
                rule=Into(n_source=n, n_target=n),
            ),
        },
    )  # fmt: skip


def run(n: int, pre: list[int], post: list[int], n_steps: int, rule: TraceRule, weight: float) -> np.ndarray:
    """Weights after all sources have fired at `pre` and all targets at `post`."""
    learner = TraceLearner(paired(n, weight), rules={"learns": rule})
    x, teach = np.zeros((1, n_steps, n)), np.zeros((1, n_steps, n))
    x[0, pre] = 1
    teach[0, [t - 1 for t in post]] = 1
    learner.present({"pre": x, "teach": teach})
    learner.run_steps(n_steps)
    assert sorted(set(learner.spikes("post")[0].tolist())) == post
    return learner.weights("learns")


@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize(("pre", "post"), [(5, 9), (9, 5), (7, 7)])
def test_the_average_of_a_pairing_is_that_of_the_equation(epoch: int, pre: int, post: int) -> None:
    """E[dw] = 2^-2 16.5 exp(-|dt| / 8), positive where the source came first."""
    rule = TraceRule(dw=STDP, epoch=epoch, w_low=0, w_high=255, **TRACES)
    change = run(60, [pre], [post], 20, rule, 100.0) - 100.0
    size = 0.25 * 16.5 * np.exp(-abs(post - pre) / 8.0)
    expected = size * ((pre <= post) - float(post <= pre))
    error = change.std() / 60 + 0.25 * 16.5 / 60  # traces are common to the synapses of a neuron
    assert change.mean() == pytest.approx(expected, abs=4 * error)
    if expected:
        assert abs(change.mean()) > 4 * error


def test_a_trace_decays_on_average_as_an_exponential() -> None:
    n = 4000
    trace, history = np.full((1, n), 100, np.int64), np.zeros((1, 30, n), np.int64)
    spiked = np.zeros((30, n), np.uint8)
    k.advance_traces(
        trace, history, np.zeros(n, np.int64), spiked, 0, 0, np.array([np.exp(-1 / 8)]), np.zeros(1),
        np.uint64(5),
    )  # fmt: skip
    expected = 100 * np.exp(-np.arange(1, 31) / 8)
    assert np.abs(history[0].mean(axis=1) - expected).max() < 0.1
    assert np.abs(np.floor(expected) - expected).max() > 0.3  # a rounding down would show


def test_kernels_against_their_twins() -> None:
    rule = TraceRule(
        dw="2^-3*x1*y0 - 2^-2*y2*x0 + 2^-4*(w - 90)*u1 + 3*sgn(y1 - 20)*x0",
        epoch=5, w_low=-128, w_high=128, w_step=2,
        x1=Trace(impulse=30.25, tau=4.0), y1=Trace(impulse=100.0, tau=20.0), y2=Trace(impulse=7.5, tau=2.0),
    )  # fmt: skip
    products, found = rule.products(), []
    for module in (k, oracle):
        draw = np.random.default_rng(4)
        weight = 2.0 * draw.integers(-64, 65, (6, 4))
        sides = [
            (np.zeros((c, n), np.int64), np.zeros((c, 5, n), np.int64), np.full(n, -1))
            for c, n in ((2, 6), (3, 4))
        ]
        for epoch in range(1, 9):
            for c, (trace, history, last) in enumerate(sides):
                last[:] = -1
                spiked = (draw.random((5, last.size)) < 0.3).astype(np.uint8)
                decay, impulse = np.exp(-1 / np.array([4.0, 9.0, 2.0])), np.array([30.25, 100.0, 7.5])
                for cut in (slice(0, 2), slice(2, 5)):
                    module.advance_traces(
                        trace, history, last, spiked[cut], cut.start, epoch * 5 + cut.start, decay, impulse,
                        np.uint64(c),
                    )  # fmt: skip
            (_, x, x_last), (_, y, y_last) = sides
            module.learn_epoch(
                weight, x, y, x_last, y_last, epoch, products, -128.0, 128.0, 2.0, np.uint64(9)
            )
        found.append([weight.tolist(), [part.tolist() for side in sides for part in side]])
    assert found[0] == found[1]
    assert np.ptp(found[0][0]) > 0


def recurrent(n: int = 6) -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(8)
    neuron = IntegerLIF(rule=RULES["loihi2"], threshold=900 * 64, decay_u=3000, decay_v=300)
    network = Network(
        stimuli={"x": Analogue(n=4)},
        populations={"a": Population(n=n, neuron=neuron)},
        projections={
            "in": Projection(
                source="x", target="a", weight_mv=1.0, delay_ms=1.0,
                rule=Dense(weight=rng.integers(20, 120, (n, 4)).astype(float)),
            ),
            "loop": Projection(
                source="a", target="a", weight_mv=1.0, delay_ms=2.0, rule=Dense(weight=np.full((n, n), 10.0))
            ),
        },
    )  # fmt: skip
    return network, (rng.random((1, 90, 4)) < 0.3) * 1.0


def test_splits_and_checkpoints_leave_every_bit(tmp_path: Path) -> None:
    network, x = recurrent()
    rules = {"loop": TraceRule(dw=STDP + " + 2^-1*u2", epoch=7, **TRACES), "in": TraceRule(dw=STDP, **TRACES)}

    def digest(pieces: list[int], file: Path | None = None) -> tuple[str, np.ndarray]:
        learner = TraceLearner(network, rules=rules, seed=3)
        learner.present({"x": x})
        for n in pieces:
            learner.run_steps(n)
            if file is not None:
                learner.save(file)
                learner = TraceLearner(network, rules=rules, seed=3, threads=2)
                learner.resume(file)
        return learner.digest(), learner.weights("loop")

    whole, weights = digest([90])
    assert (weights != 10.0).any()
    assert digest([3, 40, 47])[0] == whole
    assert digest([10, 11, 69], tmp_path / "state.h5")[0] == whole


def test_weights_stay_on_their_grid_at_its_upper_end() -> None:
    network, x = recurrent()
    rule = TraceRule(dw="60 * x0", w_low=-256, w_high=255, w_step=2)
    learner = TraceLearner(network, rules={"loop": rule}, seed=3)
    learner.present({"x": x})
    learner.run_steps(90)
    weights = learner.weights("loop")
    assert weights.max() == 254
    assert not np.any(weights % 2)


def test_learning_changes_what_the_neurons_do_and_reset_takes_it_back() -> None:
    network, x = recurrent()

    def spikes(rules: dict[str, TraceRule]) -> tuple[TraceLearner, list[int]]:
        learner = TraceLearner(network, rules=rules)
        learner.present({"x": x})
        learner.run_steps(90)
        return learner, np.stack(learner.spikes("a")).tolist()

    learner, once = spikes({"loop": TraceRule(dw="2 * x1 * y0", **TRACES)})
    other = spikes({"loop": TraceRule(dw="0 * x1 * y0", **TRACES)})[1]
    assert once != other
    learner.reset()
    assert (learner.weights("loop") == 10.0).all()
    learner.present({"x": x})
    learner.run_steps(90)
    assert np.stack(learner.spikes("a")).tolist() == once


@pytest.mark.parametrize(
    ("dw", "character", "expected"),
    [
        ("x1 * y1", 1, "one of x0, y0"),
        ("2^-2 * x0 * y0", 13, "one condition"),
        ("2 * x1 * y0 + q", 15, "a factor"),
        ("x1 * (w - y1) * y0", 11, "a whole number"),
        ("x1 * y0 *", 10, "a factor"),
        ("x1 * y0 y1", 9, "+ or -"),
        ("2^99999 * x0", 1, "up to 63"),
        ("x0 * " + "9" * 400, 6, "up to 1048576"),
        ("(w - " + "9" * 30 + ") * x0", 6, "up to 1048576"),
        ("x0 * 2^60 * 2^60", 1, "at most 1048576"),
    ],
)
def test_a_wrong_sum_is_refused_with_its_place(dw: str, character: int, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TraceRule(dw=dw, **TRACES)
    assert f"character {character}" in str(caught.value)
    assert expected in str(caught.value)


def test_other_bad_input_is_refused() -> None:
    network, x = recurrent()
    with pytest.raises(ConfigError, match="x2"):
        TraceRule(dw="x2 * y0", **TRACES)
    with pytest.raises(ConfigError, match="no such projection"):
        TraceLearner(network, rules={"lop": TraceRule(dw=STDP, **TRACES)})
    with pytest.raises(ConfigError, match="cannot reach"):
        TraceLearner(network, rules={"loop": TraceRule(dw=STDP, w_high=9, **TRACES)})
    with pytest.raises(ConfigError, match="only dense"):
        TraceLearner(paired(3, 1.0), rules={"teach": TraceRule(dw=STDP, **TRACES)})
    learner = TraceLearner(network, rules={"loop": TraceRule(dw=STDP, **TRACES)})
    learner.present({"x": x})
    learner.run_steps(5)
    arrays, meta = learner.checkpoint()
    for key, value in (("weight", 300.0), ("weight", 0.5), ("x_trace", 128), ("y_last", 1)):
        broken = {name: kept.copy() for name, kept in arrays.items()}
        broken[f"learning/loop/{key}"].flat[0] = value
        with pytest.raises(FileError, match="learning/loop"):
            learner.restore(broken, meta)
    with pytest.raises(FileError, match="another simulation"):
        TraceLearner(network, rules={"loop": TraceRule(dw="x1*y0", **TRACES)}).restore(arrays, meta)
