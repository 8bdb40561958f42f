"""Labels from responses, votes, and what is made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnsim import ConfigError, Images, Phase
from snnsim.classify import (
    Classify,
    assign_labels,
    class_means,
    count_by_presentation,
    evaluate,
    predict,
    predict_proportional,
)
from snnsim.encoding import RATE, EncodedImages, encode


def series(schedule, phase, labels, present=3, rest=2):
    return EncodedImages(
        code=RATE,
        table=np.zeros((len(labels), 1)),
        schedule=np.array(schedule, dtype=np.int32),
        phase=np.array(phase, dtype=np.int32),
        labels=None if labels is None else np.array(labels),
        present_steps=present,
        rest_steps=rest,
        n_sources=1,
        image_shape=(1, 1),
        phase_names=("label", "test"),
    )


TASK = Classify(stimulus="x", readout="out")

spikes = st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 3)), max_size=60)


@given(spikes, st.integers(0, 60))
def test_counting_in_chunks_is_counting_one_by_one(given_spikes, cut):
    steps = np.array([t for t, _ in given_spikes], dtype=np.int64)
    ids = np.array([k for _, k in given_spikes], dtype=np.int64)
    encoded = series([0, 1, 0, 1, 1, 0], [0] * 6, [0, 1])
    counts = count_by_presentation(steps, ids, 4, encoded)
    assert counts.dtype == np.int32
    for shown in range(6):
        for neuron in range(4):
            expected = sum(1 for t, k in given_spikes if 5 * shown <= t < 5 * shown + 5 and k == neuron)
            assert counts[shown, neuron] == expected
    chunks = count_by_presentation(steps[:cut], ids[:cut], 4, encoded)
    again = count_by_presentation(steps[cut:], ids[cut:], 4, encoded, counts=chunks)
    assert again is chunks
    assert np.array_equal(again, counts)


COUNTS = np.array([[4, 0, 1, 0], [2, 1, 1, 0], [0, 3, 1, 0], [0, 4, 1, 0], [0, 0, 0, 0]])
SHOWN = np.array([0, 0, 1, 1, 2])


def test_each_neuron_gets_the_class_of_its_highest_mean():
    assert class_means(COUNTS, SHOWN, 4).tolist() == [
        [3.0, 0.5, 1.0, 0.0],
        [0.0, 3.5, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert assign_labels(COUNTS, SHOWN).tolist() == [0, 1, 0, -1]  # a tie goes to the lower class
    assert assign_labels(COUNTS[:0], SHOWN[:0]).tolist() == [-1] * 4


def test_the_mean_counts_not_the_sum():
    counts = np.array([[3], [3], [3], [4]])  # three images of class 0, one of class 1
    assert assign_labels(counts, np.array([0, 0, 0, 1])).tolist() == [1]


def test_the_vote_takes_the_mean_of_each_class():
    assignment = np.array([0, 0, 0, 1, -1])
    counts = np.array([[1, 1, 1, 2, 9], [2, 2, 2, 1, 9], [0, 0, 0, 0, 9], [1, 1, 1, 1, 0]])
    assert predict(counts, assignment, 3).tolist() == [1, 0, -1, 0]


def test_the_proportional_vote_weighs_by_the_share_of_a_class():
    means = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.0]])  # shares 1, 0.5 / 0, 0.5; neuron 2 is silent
    counts = np.array([[1, 0, 0], [0, 1, 5], [0, 0, 5], [1, 9, 0]])
    # scores, divided by the sums of shares 1.5 and 0.5:  (.67, 0)  (.33, 1)  (0, 0)  (3.67, 9)
    assert predict_proportional(counts, means).tolist() == [0, 1, -1, 1]


def experiment(n_per_class=20, n_classes=4, noise=0.5, seed=0):
    """Neurons tuned to classes; images 0 to n - 1 are shown for labels, the next n for the test."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(n_classes), 2 * n_per_class)
    half = labels.size // 2
    encoded = series(np.arange(labels.size), np.arange(labels.size) >= half, labels)
    tuning = np.repeat(np.eye(n_classes), 3, axis=1) * 5 + noise
    return encoded, rng.poisson(tuning[labels]), half


@pytest.mark.parametrize("rule", ["vote", "proportional"])
def test_tuned_neurons_are_read_well_and_shuffled_ones_are_not(rule):
    encoded, counts, half = experiment()
    result = evaluate(TASK, counts, encoded, rule)
    assert result.rule == rule
    assert result.accuracy > 0.95
    assert result.neurons_per_class.tolist() == [3, 3, 3, 3]
    assert result.n_test == half
    shuffled = np.random.default_rng(1).permutation(counts)
    assert evaluate(TASK, shuffled, encoded, rule).accuracy < 0.45


def test_the_task_names_the_rule():
    encoded, counts, _ = experiment()
    assert evaluate(TASK, counts, encoded).rule == "proportional"
    assert evaluate(TASK.replace(readout_rule="vote"), counts, encoded).rule == "vote"
    with pytest.raises(ConfigError, match="did you mean vote"):
        evaluate(TASK, counts, encoded, "votes")


@pytest.mark.parametrize("rule", ["vote", "proportional"])
def test_labels_come_from_the_training_images_only(rule):
    encoded, counts, half = experiment(noise=2.0)
    result = evaluate(TASK, counts, encoded, rule)
    wrong = encoded.labels.copy()
    wrong[half:] = (wrong[half:] + 1) % 4  # test labels must change the score and nothing else
    other = evaluate(TASK, counts, series(encoded.schedule, encoded.phase, wrong), rule)
    assert np.array_equal(other.assignment, result.assignment)
    assert np.array_equal(other.predictions, result.predictions)
    assert other.accuracy < result.accuracy
    louder = counts.copy()
    louder[half:, 0] += 50  # nor do test responses
    assert np.array_equal(evaluate(TASK, louder, encoded, rule).assignment, result.assignment)


def test_the_numbers_of_a_result_fit():
    labels = [0, 1, 2, 0, 0, 1, 1]
    encoded = series(range(7), [0, 0, 0, 1, 1, 1, 1], labels)
    counts = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 7], [0, 2, 0]])
    result = evaluate(TASK, counts, encoded, "vote")
    assert result.assignment.tolist() == [0, 1, -1]
    assert result.predictions.tolist() == [0, 1, -1, 1]
    assert result.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert result.accuracy == 0.5
    np.testing.assert_array_equal(result.class_accuracy, [0.5, 0.5, np.nan])
    assert (result.n_silent, result.n_test, result.n_unassigned) == (1, 4, 1)
    assert result.neurons_per_class.tolist() == [1, 1, 0]
    assert result.confusion.sum() + result.n_silent == result.n_test


def test_silence_is_always_wrong():
    encoded, counts, half = experiment()
    result = evaluate(TASK, np.zeros_like(counts), encoded)
    assert (result.accuracy, result.n_silent, result.n_unassigned) == (0.0, half, 12)


def test_without_labels_or_images_there_is_no_result():
    encoded, counts, _ = experiment()
    silent = encode(Images(images=[[1.0]], present_ms=1.0, phases=(Phase(name="label"),)), 0.1, 1)
    with pytest.raises(ConfigError, match="no labels"):
        evaluate(TASK, counts, silent)
    for one in (0, 1):
        alone = series(encoded.schedule, np.full(len(encoded.schedule), one), encoded.labels)
        with pytest.raises(ConfigError, match="shows no image"):
            evaluate(TASK, counts, alone)


def test_real_digits_as_responses():
    """Pixels taken as counts of 64 neurons: far above chance (0.1), far from perfect."""
    phases = (Phase(name="label", split="train"), Phase(name="test", split="test"))
    encoded = encode(Images(dataset="digits", present_ms=1.0, phases=phases, coding="delta"), 0.1, 1)
    counts = np.rint(encoded.table[encoded.schedule] * 16).astype(np.int32)
    assert 0.4 < evaluate(TASK, counts, encoded, "proportional").accuracy < 0.9
    assert 0.2 < evaluate(TASK, counts, encoded, "vote").accuracy < 0.9
