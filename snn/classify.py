"""Classification by spike counts: give every read-out neuron a class, then let the neurons vote.

Labels are assigned from the responses to training images only; test images are only predicted.
Source of the vote: Diehl & Cook 2015, Front. Comput. Neurosci. 9:99.
The proportional vote follows BindsNET (Hazan et al. 2018, Front. Neuroinform. 12:89), but here every
neuron speaks for every class that it has answered to, not only for its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnsim.encoding import EncodedImages
from snnsim.errors import ConfigError, nearest
from snnsim.fields import choice, text
from snnsim.network import Network
from snnsim.spec import Spec
from snnsim.stimuli import Images

READOUT_RULES = ("vote", "proportional")


@dataclass(frozen=True, eq=False, kw_only=True)
class Classify(Spec):
    """What to classify: responses of `readout` to the images of `stimulus`.

    assign_phase shows training images and gives each neuron its class; test_phase shows test images.
    """

    KIND = "classify"
    stimulus: str = text(help="stimulus of kind images, with a labelled data set")
    readout: str = text(help="population whose spikes are counted")
    assign_phase: str = text("label", help="phase (split = train) that gives the neurons their classes")
    test_phase: str = text("test", help="phase (split = test) on which accuracy is measured")
    readout_rule: str = choice(
        *READOUT_RULES,
        default="proportional",
        help="vote: mean count of each class's neurons; proportional: counts weighted by how much of a "
        "neuron's response belongs to each class",
    )

    def check_network(self, network: Network, where: str) -> None:
        """Raise ConfigError when the network lacks the stimulus, its phases, or the population."""
        images = {name: s for name, s in network.stimuli.items() if isinstance(s, Images)}
        if self.stimulus not in images:
            raise _unknown("no such stimulus of kind images", f"{where}.stimulus", self.stimulus, images)
        if self.readout not in network.populations:
            raise _unknown("no such population", f"{where}.readout", self.readout, network.populations)
        stimulus = images[self.stimulus]
        if stimulus.dataset is None:
            raise ConfigError(
                "its images have no labels",
                where=f"{where}.stimulus",
                got=self.stimulus,
                expected="a stimulus with a dataset",
            )
        for key, split in (("assign_phase", "train"), ("test_phase", "test")):
            name = getattr(self, key)
            phases = {phase.name: phase for phase in stimulus.phases}
            if name not in phases:
                raise _unknown("no such phase", f"{where}.{key}", name, phases)
            if phases[name].split != split:
                raise ConfigError(
                    "test images must not be used to assign labels, nor training images to measure accuracy",
                    where=f"{where}.{key}",
                    got=f'a phase with split = "{phases[name].split}"',
                    expected=f'a phase with split = "{split}"',
                )


def _unknown(problem: str, where: str, got: str, valid: Iterable[str]) -> ConfigError:
    return ConfigError(problem, where=where, got=got, fix=nearest(got, valid), code="config.unknown_name")


@dataclass(frozen=True, eq=False)
class Result:
    """How well images were classified.

    rule                 name of the read-out rule
    accuracy             correct predictions / test presentations
    class_accuracy       float64[n_classes]             nan for a class that was not shown
    confusion            int64[n_classes, n_classes]    [true, predicted]; silent images are left out
    n_silent             test presentations with no spike of an assigned neuron (counted as wrong)
    n_test               test presentations
    neurons_per_class    int64[n_classes]               read-out neurons assigned to each class
    n_unassigned         read-out neurons that stayed silent while labels were assigned
    assignment           int64[n_neurons]               class of each neuron, -1 for none
    predictions          int64[n_test]                  -1 for a silent image
    """

    rule: str
    accuracy: float
    class_accuracy: np.ndarray
    confusion: np.ndarray
    n_silent: int
    n_test: int
    neurons_per_class: np.ndarray
    n_unassigned: int
    assignment: np.ndarray
    predictions: np.ndarray


def count_by_presentation(
    steps: np.ndarray,
    ids: np.ndarray,
    n_neurons: int,
    encoded: EncodedImages,
    counts: np.ndarray | None = None,
) -> np.ndarray:
    """Spikes of each neuron in each presentation, its rest included: int32[P, n_neurons].

    steps and ids are the spikes, in any order; those after the last presentation are left out.  To count
    chunk by chunk, hand the result back as `counts`, which is then added to in place.
    """
    n_shown = len(encoded.schedule)
    if counts is None:
        counts = np.zeros((n_shown, n_neurons), dtype=np.int32)
    shown = np.asarray(steps, dtype=np.int64) // (encoded.present_steps + encoded.rest_steps)
    inside = (shown >= 0) & (shown < n_shown)
    np.add.at(counts, (shown[inside], np.asarray(ids, dtype=np.int64)[inside]), 1)
    return counts


def class_means(counts: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Mean count of each neuron for each class: float64[n_classes, n]; 0 for a class not shown.

    counts  [P, n]    labels  int64[P]
    """
    member = labels == np.arange(n_classes)[:, None]
    return member @ counts.astype(np.float64) / np.maximum(member.sum(axis=1), 1)[:, None]


def assign_labels(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each neuron gets the class with its highest mean count: int64[n]; -1 for a silent neuron.

    Ties go to the lower class.  counts  [P, n]    labels  int64[P]
    """
    means = class_means(counts, labels, int(labels.max(initial=0)) + 1)
    return np.where(means.max(axis=0) > 0, means.argmax(axis=0), -1)


def predict(counts: np.ndarray, assignment: np.ndarray, n_classes: int) -> np.ndarray:
    """Read-out "vote": the class whose neurons fired most on average; int64[P], -1 for silence.

    counts  [P, n]    assignment  int64[n], -1 for none.  Ties go to the lower class.
    """
    member = assignment[:, None] == np.arange(n_classes)
    return _winners(counts @ (member / np.maximum(member.sum(axis=0), 1)))


def predict_proportional(counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Read-out "proportional": counts weighted by the share of each class in a neuron's response.

    score_c = sum_n count_n means_cn / sum_c' means_c'n, divided by the sum over n of these shares
    counts  [P, n]    means  [n_classes, n] as from class_means.  Returns int64[P], -1 for silence.
    """
    total = means.sum(axis=0)
    shares = means / np.where(total > 0, total, 1.0)
    weight = shares.sum(axis=1)
    return _winners(counts @ (shares / np.where(weight > 0, weight, 1.0)[:, None]).T)


def _winners(scores: np.ndarray) -> np.ndarray:
    return np.where(scores.max(axis=1) > 0, scores.argmax(axis=1), -1)


def evaluate(
    task: Classify, counts: np.ndarray, encoded: EncodedImages, readout_rule: str | None = None
) -> Result:
    """Assign labels on the training phase and measure accuracy on the test phase.

    counts is int32[P, n] from count_by_presentation.  Raises ConfigError when the images have no labels
    or a phase shows none.
    """
    rule = readout_rule or task.readout_rule
    if rule not in READOUT_RULES:
        raise _unknown("unknown read-out rule", "readout_rule", rule, READOUT_RULES)
    if encoded.labels is None:
        raise ConfigError("the images have no labels", where="task.stimulus", expected="a data set")
    labels = encoded.labels[encoded.schedule]
    n_classes = int(encoded.labels.max()) + 1
    assign, test = _shown(encoded, task.assign_phase), _shown(encoded, task.test_phase)
    known = class_means(counts[assign], labels[assign], n_classes)
    assignment = assign_labels(counts[assign], labels[assign])
    if rule == "vote":
        predictions = predict(counts[test], assignment, n_classes)
    else:
        predictions = predict_proportional(counts[test], known)
    return _result(rule, labels[test], predictions, assignment, n_classes)


def _shown(encoded: EncodedImages, phase: str) -> np.ndarray:
    """Which presentations belong to a phase; there must be one."""
    found = np.flatnonzero(encoded.phase == encoded.phase_names.index(phase))
    if not found.size:
        raise ConfigError("the phase shows no image", where="task", got=phase, expected="at least one image")
    return found


def _result(
    rule: str, truth: np.ndarray, predictions: np.ndarray, assignment: np.ndarray, n_classes: int
) -> Result:
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    answered = predictions >= 0
    np.add.at(confusion, (truth[answered], predictions[answered]), 1)
    shown = np.bincount(truth, minlength=n_classes)
    right = np.diagonal(confusion)
    return Result(
        rule=rule,
        accuracy=float(right.sum() / truth.size),
        class_accuracy=np.where(shown > 0, right / np.maximum(shown, 1), np.nan),
        confusion=confusion,
        n_silent=int(np.sum(~answered)),
        n_test=int(truth.size),
        neurons_per_class=np.bincount(assignment[assignment >= 0], minlength=n_classes),
        n_unassigned=int(np.sum(assignment < 0)),
        assignment=assignment,
        predictions=predictions,
    )
