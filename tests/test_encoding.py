"""From images to what each source does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnsim import (
    IF,
    AllToAll,
    Arrays,
    ConfigError,
    FixedInDegree,
    FixedTotalNumber,
    Images,
    Network,
    OneToOne,
    Phase,
    Population,
    Probe,
    Projection,
)
from snnsim.datasets import load_dataset
from snnsim.encoding import DELTA, LATENCY, RATE, encode
from snnsim.inputs import encode_images

GREY = np.array([[0.0, 1.0, 0.5], [0.25, 0.0, 0.05]])


def shown(**fields):
    return encode(Images(**({"images": GREY, "present_ms": 10.0} | fields)), 0.1, seed=1)


def test_rate():
    found = shown(max_rate_hz=100.0, rest_ms=5.0)
    assert (found.code, found.n_sources, found.image_shape) == (RATE, 3, (1, 3))
    assert (found.present_steps, found.rest_steps, found.n_steps) == (100, 50, 300)
    np.testing.assert_allclose(found.table, GREY * 0.01, rtol=1e-15)
    assert found.labels is None
    assert (found.schedule.dtype, found.phase.dtype) == (np.int32, np.int32)
    assert (found.schedule.tolist(), found.phase.tolist(), found.phase_names) == ([0, 1], [0, 0], ("show",))


def test_latency():
    found = shown(coding="latency", threshold=0.1)
    assert (found.code, found.n_sources) == (LATENCY, 3)
    # 100 steps: white fires in the first, 0.25 after 0.75 * 99 = 74.25; below the threshold never
    assert found.table.tolist() == [[-1, 0, 50], [74, -1, -1]]
    assert shown(coding="latency", threshold=0.0).table.tolist() == [[99, 0, 50], [74, 99, 94]]
    assert shown(coding="latency", threshold=0.25).table[1, 0] == 74


def test_delta():
    found = shown(coding="delta", threshold=0.3)
    assert (found.code, found.n_sources, found.threshold) == (DELTA, 6, 0.3)
    assert np.array_equal(found.table, GREY)


@given(
    st.lists(st.lists(st.floats(0.0, 1.0, allow_subnormal=False), min_size=4, max_size=4), min_size=1),
    st.sampled_from(["rate", "delta"]),
)
def test_normalised_images_have_the_same_sum(images, coding):
    images = np.array(images)
    found = shown(images=images, normalise=True, coding=coding, max_rate_hz=1.0)
    scale = 1e-4 if coding == "rate" else 1.0
    sums = images.sum(axis=1)
    bright = sums > 1e-300
    np.testing.assert_allclose(found.table[bright].sum(axis=1), sums.mean() * scale, rtol=1e-12)
    assert np.all(found.table[sums == 0] == 0)


def test_normalised_latency_stays_in_the_presentation():
    found = shown(coding="latency", normalise=True, images=[[1.0, 1.0, 1.0], [0.1, 0.0, 0.0]])
    assert found.table.tolist() == [[48, 48, 48], [0, -1, -1]]  # sums 3 and 0.1, both become 1.55


def test_normalising_can_make_a_pixel_too_fast():
    images = [[1.0, 1.0, 1.0], [0.01, 0.0, 0.0]]
    stimulus = Images(images=images, present_ms=1.0, normalise=True, max_rate_hz=10_000.0)
    with pytest.raises(ConfigError, match=r"x\.max_rate_hz: too fast.*15050 Hz', expected <= 10000 Hz"):
        encode(stimulus, 0.1, 1, where="stimuli.x")
    assert shown(images=images, normalise=True, max_rate_hz=6000.0).table.max() < 1.0
    assert shown(max_rate_hz=10_000.0).table.max() == 1.0


def test_given_images_are_not_changed_and_may_be_one():
    before = GREY.copy()
    stimulus = Images(images=GREY, present_ms=1.0, normalise=True)
    encode(stimulus, 0.1, 1)
    assert np.array_equal(stimulus.images, before)
    assert shown(images=[0.5, 0.25]).table.shape == (1, 2)


def test_times_off_the_grid():
    for fields in ({"present_ms": 0.25}, {"rest_ms": 0.25}, {"present_ms": 0.01}):
        with pytest.raises(ConfigError, match=f"stimuli.{next(iter(fields))}"):
            shown(**fields)


# --- schedule ---------------------------------------------------------------------------------------------

PHASES = (
    Phase(name="train", split="train", repeats=2, shuffle=True, learning=True),
    Phase(name="label", split="train"),
    Phase(name="test", split="test", shuffle=True),
    Phase(name="all", split="all"),
)


def digits(seed=1, phases=PHASES, **fields):
    return encode(Images(dataset="digits", present_ms=1.0, phases=phases, **fields), 0.1, seed)


def test_phases_follow_each_other_and_show_their_part():
    found = digits(split_seed=3)
    train, test = load_dataset("digits").split(0.3, 3)
    assert found.phase_names == ("train", "label", "test", "all")
    assert np.bincount(found.phase).tolist() == [2 * train.size, train.size, test.size, 1797]
    assert np.all(np.diff(found.phase) >= 0)
    parts = [found.schedule[found.phase == k] for k in range(4)]
    first, second = parts[0].reshape(2, -1)
    assert np.array_equal(np.sort(first), train)
    assert np.array_equal(np.sort(second), train)
    assert np.mean(first == second) < 0.01  # a new order in each pass
    assert np.array_equal(parts[1], train)
    assert np.array_equal(np.sort(parts[2]), test)
    assert not np.array_equal(parts[2], test)
    assert parts[3].tolist() == list(range(1797))
    assert not np.intersect1d(parts[1], parts[2]).size
    assert np.array_equal(found.labels, load_dataset("digits").labels)


def test_orders_depend_on_the_seed_and_on_nothing_else():
    one = digits(seed=1)
    assert np.array_equal(one.schedule, digits(seed=1).schedule)
    assert np.array_equal(one.schedule, digits(seed=1, coding="latency", rest_ms=3.0).schedule)
    other = digits(seed=2)
    assert np.mean(one.schedule[one.phase == 0] == other.schedule[one.phase == 0]) < 0.01
    assert np.array_equal(one.schedule[one.phase == 1], other.schedule[one.phase == 1])
    assert not np.array_equal(digits(split_seed=1).schedule, one.schedule)


def test_the_fraction_of_test_images():
    found = digits(test_fraction=0.5, phases=(Phase(name="a", split="test"),))
    assert abs(len(found.schedule) - 1797 / 2) <= 5


def test_a_phase_without_images():
    with pytest.raises(ConfigError, match=r"phases\[2\]\.split: the phase has no images"):
        digits(test_fraction=0.0)
    with pytest.raises(ConfigError, match=r"phases\[0\]\.split"):
        shown(images=[0.5], phases=(Phase(name="a", split="test"),))


def test_too_many_presentations_take_no_memory():
    many = tuple(Phase(name=f"p{k}", repeats=10_000) for k in range(10))
    with pytest.raises(ConfigError, match="too many presentations; got 179700000"):
        digits(phases=many)


def test_phases_have_names_of_their_own():
    with pytest.raises(ConfigError, match=r"phases\[1\]\.name: two phases"):
        shown(phases=(Phase(name="a"), Phase(name="a")))


def test_an_unknown_data_set_is_a_fault_of_its_key():
    with pytest.raises(ConfigError, match=r"stimuli\.x\.dataset: no such data set; got 'digit'"):
        encode(Images(dataset="digit", present_ms=1.0), 0.1, 1, where="stimuli.x")


# --- sizes that only the data set tells ---------------------------------------------------------------------

ARRAYS = {"source": [0, 1], "target": [0, 2]}
TOO_LARGE = [
    (OneToOne(), "rule"),
    (Arrays(**(ARRAYS | {"source": [0, 64]})), "rule.source"),
    (Arrays(**(ARRAYS | {"target": [0, 3]})), "rule.target"),
    (FixedInDegree(n=65, multapses=False), "rule.n"),
    (FixedTotalNumber(n=193, multapses=False), "rule.n"),
]
FITTING = [
    Arrays(**(ARRAYS | {"source": [0, 63]})),
    FixedInDegree(n=64, multapses=False),
    FixedTotalNumber(n=192, multapses=False),
]


def network(stimulus, rule, ids=None):
    return Network(
        populations={"a": Population(n=3, neuron=IF(v_th_mv=1.0, v_reset_mv=0.0))},
        stimuli={"s": stimulus},
        projections={"p": Projection(source="s", target="a", rule=rule, weight_mv=1.0, delay_ms=1.0)},
        probes={"x": Probe(target="s", ids=ids)},
    )


GIVEN = Images(images=np.zeros((2, 64)), present_ms=1.0)
LOADED = Images(dataset="digits", present_ms=1.0)


@pytest.mark.parametrize("stimulus", [GIVEN, LOADED], ids=["given", "loaded"])
@pytest.mark.parametrize(("rule", "where"), TOO_LARGE)
def test_connections_from_pixels_that_are_not_there(stimulus, rule, where):
    with pytest.raises(ConfigError) as caught:
        encode_images(network(stimulus, rule), 0.1, 1, None)
    assert caught.value.where == f"projections.p.{where}"


@pytest.mark.parametrize("stimulus", [GIVEN, LOADED], ids=["given", "loaded"])
def test_a_probe_of_pixels_that_are_not_there(stimulus):
    with pytest.raises(ConfigError, match=r"probes\.x\.ids: no such neuron; got 64, expected 0 to 63"):
        encode_images(network(stimulus, AllToAll(), ids=[0, 64]), 0.1, 1, None)
    twice = stimulus.replace(coding="delta")
    assert encode_images(network(twice, AllToAll(), ids=[0, 127]), 0.1, 1, None)["s"].n_sources == 128


@pytest.mark.parametrize("rule", FITTING)
def test_connections_that_just_fit(rule):
    for stimulus in (GIVEN, LOADED):
        encode_images(network(stimulus, rule, ids=[63]), 0.1, 1, None)
