"""Kernels of layered networks against their twins, and whole networks against torch-free arithmetic."""

from __future__ import annotations

import inspect

import numpy as np
import oracle_layers as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnsim import IF, Network, Population, Projection, Simulator
from snnsim.converters.dense import apply, evaluate
from snnsim.errors import ConfigError
from snnsim.kernels import lanes, layer_windows
from snnsim.kernels import layers as kernel
from snnsim.layer_neurons import BurstIF, Maximum, Readout, Relay, SignedIF
from snnsim.layer_program import _geometry, _place, _rule, _weights
from snnsim.layers import Conv, Dense, Into, MaxPool, SumPool
from snnsim.stimuli import Analogue


def test_every_kernel_has_a_twin() -> None:
    both = vars(kernel) | vars(layer_windows) | vars(lanes)
    found = {name for name, value in both.items() if hasattr(value, "py_func")} | {"add_rows"}
    assert found == {name for name, _ in inspect.getmembers(oracle, inspect.isfunction)}


@st.composite
def windows(draw, kind: type = Conv):
    """A convolution or pool over a small map."""
    size = st.integers(1, 7)
    kernel_h, kernel_w = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation_h, dilation_w = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    options = {
        "height": draw(size) + (kernel_h - 1) * dilation_h,
        "width": draw(size) + (kernel_w - 1) * dilation_w,
        "stride_h": draw(st.integers(1, 3)),
        "stride_w": draw(st.integers(1, 3)),
        "dilation_h": dilation_h,
        "dilation_w": dilation_w,
        **{f"pad_{side}": draw(st.integers(0, 1)) for side in ("top", "bottom", "left", "right")},
    }
    if kind is not Conv:
        n = draw(st.integers(1, 3))
        return kind(n_channels=n, kernel_h=kernel_h, kernel_w=kernel_w, **options)
    groups, per_group, out = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return Conv(
        weight=rng.normal(size=(groups * out, per_group, kernel_h, kernel_w)), groups=groups, **options
    )


def events_of(rng: np.random.Generator, n: int, dtype: str):
    unit = np.flatnonzero(rng.random(n) < 0.5).astype(np.int32)
    return unit, rng.integers(-2, 3, unit.size).astype(dtype)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(windows(), st.integers(0, 2**31), st.sampled_from(["float64", "float32"]))
def test_convolution(rule: Conv, seed: int, dtype: str) -> None:
    """The twin, bit for bit, with the same number of additions; and the dense form."""
    rng = np.random.default_rng(seed)
    (c, c_out), (n_source, n_target) = rule.channels(), rule.sizes()
    unit, amount = events_of(rng, n_source, dtype)
    (h, w), shape = rule.target_map(), _geometry(rule)
    p = Projection(source="a", target="b", rule=rule, weight_mv=1.0, delay_ms=0.0)
    weight = _weights(p, {})[0].reshape(c, *rule.kernel(), c_out // rule.groups)
    weight = np.ascontiguousarray(weight, dtype)
    one, two = np.zeros(n_target, dtype), np.zeros(n_target, dtype)
    added = kernel.conv_events(one, unit, amount, unit.size, weight, shape)
    assert added == oracle.conv_events(two, unit, amount, unit.size, weight, shape)
    assert one.tobytes() == two.tobytes()
    pixel = int(rng.integers(rule.height * rule.width))
    for name in ("windows_over", "rows_over")[: 2 if rule.stride_w == rule.dilation_w == 1 else 1]:
        found = [np.full((rule.kernel()[0] * rule.kernel()[1], 3), -1) for _ in range(2)]
        counts = [getattr(m, name)(pixel, shape, one) for m, one in zip((kernel, oracle), found, strict=True)]
        assert name == "rows_over" and counts[1][0] == counts[0][0] == 0 or counts[0] == counts[1]
        assert found[0].tobytes() == found[1].tobytes()
    x = np.zeros(n_source)
    x[unit] = amount
    dense = apply(rule, x[_place((c, rule.height, rule.width), n_source)][None])[0]
    close = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(one[_place((c_out, h, w), n_target)], dense, atol=close)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(windows(SumPool), st.integers(0, 2**31))
def test_sums_over_windows_that_are_apart(rule: SumPool, seed: int) -> None:
    """They lead from source to target, or, as the others do, through the windows of a convolution."""
    rng = np.random.default_rng(seed)
    n_source, n_target = rule.sizes()
    unit, amount = events_of(rng, n_source, "float64")
    p = Projection(source="a", target="b", rule=rule, weight_mv=1.0, delay_ms=0.0)
    weight, index = _weights(p, {})
    one, two = np.zeros(n_target), np.zeros(n_target)
    ones = np.ones((rule.n_channels, *rule.kernel(), 1))
    added = oracle.conv_events(two, unit, amount, unit.size, ones, _geometry(rule))
    if _rule(rule) == kernel.CONV:
        assert np.array_equal(weight, ones)
    else:
        for module in (kernel, oracle):
            one[:] = 0
            assert module.one_to_one_events(one, unit, amount, unit.size, weight[0], index) == added
            assert np.array_equal(one, two)


@pytest.mark.parametrize("n", [0, 5, 16, 50])
def test_lists_of_flags(n: int) -> None:
    flags = (np.random.default_rng(n).random(n) < 0.4).astype(np.uint8)
    one, two = np.zeros(n, np.int32), np.zeros(n, np.int32)
    found = kernel.pack(flags, one)
    assert found == oracle.pack(flags, two)
    assert np.array_equal(one[:found], two[:found])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(windows(MaxPool), st.integers(0, 2**31))
def test_maximum(rule: MaxPool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_source, n_target = rule.sizes()
    one, two = np.zeros(n_target), np.zeros(n_target)
    total = np.zeros(n_source)
    for _ in range(3):
        total += rng.integers(-1, 3, n_source)
        found = []
        for module, state in ((kernel, one), (oracle, two)):
            unit, amount = np.zeros(n_target, np.int32), np.zeros(n_target)
            n = module.pass_maximum(state, total, _geometry(rule), unit, amount)
            found.append((n, unit.tobytes(), amount.tobytes()))
        assert found[0] == found[1]
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_targets", [1, 7, 48, 213])
@pytest.mark.parametrize("n_events", [0, 1, 3, 8, 12])
def test_dense(dtype: str, n_events: int, n_targets: int) -> None:
    rng = np.random.default_rng(1)
    weight, one = rng.normal(size=(12, n_targets)).astype(dtype), rng.normal(size=n_targets).astype(dtype)
    two, unit = one.copy(), np.arange(n_events, dtype=np.int32)
    amount = rng.normal(size=n_events).astype(dtype)
    amount[: n_events // 2] = 1
    amount[:1] = -1
    given = unit, amount, n_events, weight
    assert kernel.dense_events(one, *given) == oracle.dense_events(two, *given)
    assert one.tobytes() == two.tobytes()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 8), st.booleans())
def test_neurons(seed: int, most: int, levels: int, subtract: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 20
    start = rng.normal(size=n)
    states = [(start.copy(), np.zeros(n, np.int32)) for _ in range(2)]
    threshold = rng.uniform(0.2, 1.0, n)
    for _ in range(6):
        drive = rng.normal(size=n)
        for name in ("fire_signed", "fire_integrate"):
            found = []
            for module, (potential, count) in zip((kernel, oracle), states, strict=True):
                unit, amount, current = np.zeros(n, np.int32), np.zeros(n), drive.copy()
                rest = (levels, most) if name == "fire_signed" else (subtract, most, np.zeros(n, np.uint8))
                m = getattr(module, name)(potential, current, count, threshold, *rest, unit, amount)
                sent = unit[:m].tobytes(), amount[:m].tobytes()
                found.append((m, *sent, potential.tobytes(), count.tobytes()))
            assert found[0] == found[1]
            for _, count in states:
                np.clip(count, 0, levels, out=count)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 6), st.booleans(), st.sampled_from(["float64", "float32"]))
def test_windowed_neurons(seed: int, window: int, continuous: bool, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    n = 20
    scale = rng.uniform(0.5, 2.0, n).astype(dtype)
    states = [[(rng.normal(size=n).astype(dtype), np.zeros(n, np.int32))] * 2 for rng in (rng, rng)]
    for name, pair in zip(("fire_few", "fire_first"), states, strict=True):
        pair[:] = [(v.copy(), c.copy()) for v, c in pair]
        for step in range(-2, window):
            drive = rng.normal(size=n).astype(dtype) if step < 0 else np.zeros(n, dtype)
            left = (window - step) * (step >= 0)
            rest = (scale, step + 1) if name == "fire_few" else (scale, left, continuous)
            found = []
            for module, (potential, count) in zip((kernel, oracle), pair, strict=True):
                unit, amount, current = np.zeros(n, np.int32), np.zeros(n, dtype), drive.copy()
                m = getattr(module, name)(potential, current, count, *rest, unit, amount)
                found.append((m, unit.tobytes(), amount.tobytes(), potential.tobytes(), count.tobytes()))
            assert found[0] == found[1]


def test_the_count_of_a_constant_input() -> None:
    """Integrate-and-fire from half a threshold: clip(floor(T z / theta + 1/2), 0, T), for all T up to 64."""
    rng = np.random.default_rng(2)
    n, theta = 400, 2.0**-3
    z = np.rint(rng.uniform(-0.5, 1.5, n) * theta * 2**20) / 2**20  # every sum of these is exact
    network = Network(
        stimuli={"x": Analogue(n=n)},
        populations={"h": Population(n=n, neuron=BurstIF(v_th_mv=theta, v_init_mv=theta / 2))},
        projections={
            "p": Projection(
                source="x", target="h", rule=Into(n_source=n, n_target=n), weight_mv=1.0, delay_ms=0.0
            )
        },
    )
    with Simulator(network, batch=3) as sim:
        for steps in range(1, 65):
            found = sim.evaluate({"x": z[None]}, steps, repeat=steps, keep_counts=True, stop_early=False)
            expected = np.clip(np.floor(steps * z / theta + 0.5), 0, steps)
            assert np.array_equal(found.counts["h"][0], expected)


def residual(seed: int, levels: int, most: int) -> Network:
    """Convolution, max pool, depthwise convolution with a residual addition, sum pool, joining, readout."""
    rng = np.random.default_rng(seed)

    def signed(n: int) -> Population:
        theta = 2.0 ** -int(rng.integers(0, 3))
        bias = rng.integers(-8, 9, n) / 16
        neuron = SignedIF(
            v_th_mv=theta, v_init_mv=theta / 2, levels=levels, most=most, bias_mv=bias, bias_steps=1
        )
        return Population(n=n, neuron=neuron)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-8, 9, shape) / 16

    def link(source: str, target: str, rule: object, weight: float = 1.0) -> Projection:
        return Projection(source=source, target=target, rule=rule, weight_mv=weight, delay_ms=0.0)

    pad = {f"pad_{side}": 1 for side in ("top", "bottom", "left", "right")}
    pool = {"kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2}
    return Network(
        stimuli={"x": Analogue(n=64)},
        populations={
            "h": signed(3 * 64), "m": Population(n=3 * 16, neuron=Maximum()), "d": signed(3 * 16),
            "s": Population(n=3 * 4, neuron=Relay()), "j": signed(3 * 4 + 3 * 16),
            "y": Population(n=5, neuron=Readout(bias_mv=weights(5), bias_steps=1)),
        },
        projections={
            "a": link("x", "h", Conv(weight=weights(3, 1, 3, 3), height=8, width=8, **pad)),
            "b": link("h", "m", MaxPool(n_channels=3, height=8, width=8, **pool)),
            "c": link("m", "d", Conv(weight=weights(3, 1, 3, 3), groups=3, height=4, width=4, **pad)),
            "skip": link("m", "d", Into(n_source=48, n_target=48), 0.5),
            "e": link("d", "s", SumPool(n_channels=3, height=4, width=4, **pool)),
            "f": link("s", "j", Into(n_source=12, n_target=60), 0.25),
            "g": link("d", "j", Into(n_source=48, n_target=60, offset=12)),
            "i": link("j", "y", Dense(weight=weights(5, 60))),
        },
    )  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6))
def test_signed_counts_do_not_depend_on_the_order_of_arrival(
    seed: int, levels: int, most: int, n_steps: int
) -> None:
    """Every count and the readout equal the integers of the whole input, however it is spread over time."""
    network = residual(seed, levels, min(most, levels))
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 9, (3, 64))
    parts = rng.integers(-5, 6, (3, n_steps, 64))  # also negative: what is given may be taken back
    parts[:, -1] += x - parts.sum(axis=1)
    with Simulator(network, batch=3) as sim:
        found = sim.evaluate({"x": parts}, 400, keep_counts=True)
    expected = evaluate(network, {"x": x})
    for name in ("h", "d", "j"):
        assert np.array_equal(found.counts[name], expected[name])
    assert np.array_equal(found.readout[:, -1], expected["y"])
    assert found.n_steps.max() < 400


def test_threads_and_batches_change_nothing() -> None:
    network = residual(3, 4, 2)
    x = np.random.default_rng(3).normal(size=(7, 64))
    with Simulator(network, batch=7, threads=1) as one, Simulator(network, batch=7, threads=3) as three:
        expected = one.evaluate({"x": x}, 9, repeat=5, keep_counts=True)
        found = three.evaluate({"x": x}, 9, repeat=5, keep_counts=True)
        assert expected.readout.tobytes() == found.readout.tobytes()
        for k in range(7):
            alone = three.evaluate({"x": x[k : k + 1]}, 9, repeat=5)
            assert alone.readout[0].tobytes() == expected.readout[k].tobytes()


def test_a_delay_shifts_events() -> None:
    neuron = IF(v_th_mv=1.0, v_reset_mv=0.0, reset="subtract")
    network = Network(
        stimuli={"x": Analogue(n=1)},
        populations={"a": Population(n=1, neuron=neuron), "y": Population(n=1, neuron=Readout())},
        projections={
            "p": Projection(source="x", target="a", rule=Dense(weight=[[1.0]]), weight_mv=1.0, delay_ms=0.0),
            "r": Projection(source="a", target="a", rule=Dense(weight=[[1.0]]), weight_mv=1.0, delay_ms=3.0),
            "q": Projection(source="a", target="y", rule=Dense(weight=[[1.0]]), weight_mv=1.0, delay_ms=2.0),
        },
    )
    with Simulator(network, batch=1, dt_ms=1.0) as sim:
        found = sim.evaluate({"x": [[1.0]]}, 12)
        assert found.readout[0, :, 0].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_inputs_that_do_not_fit_are_refused() -> None:
    with Simulator(residual(1, 2, 1), batch=2) as sim:
        with pytest.raises(ConfigError, match=r"inputs\.x: not values for this input; got 'float64\[2, 5\]"):
            sim.evaluate({"x": np.zeros((2, 5))}, 3)
        with pytest.raises(ConfigError, match="inputs: the inputs are not those of the network"):
            sim.evaluate({"z": np.zeros((2, 64))}, 3)
        with pytest.raises(ConfigError, match="not a finite number"):
            sim.evaluate({"x": np.full((1, 64), np.nan)}, 3)
