"""The benchmark of operations: training, counts and early answers, on bundled digits as large as MNIST."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import mnist_mlp as mlp  # noqa: E402
from mnist_early import DECISION, Stages, chosen_margin, stages  # noqa: E402
from mnist_operations import counted, source, timed  # noqa: E402

from snnsim.converters.convert import convert  # noqa: E402
from snnsim.converters.dense import evaluate  # noqa: E402
from snnsim.converters.exact import Quantisation  # noqa: E402
from snnsim.datasets import Dataset, load_dataset  # noqa: E402

BINARY = Quantisation((1.0, 1.0), input_bits=1)


@pytest.fixture(scope="module")
def data() -> mlp.Data:
    digits = load_dataset("digits")
    large = np.kron(digits.images.reshape(-1, 8, 8), np.ones((3, 3)))
    images = np.pad(large, ((0, 0), (2, 2), (2, 2))).reshape(len(large), -1)
    test = np.arange(1400, len(images))
    return mlp.divide(Dataset("large", images, digits.labels, (28, 28), test), 100)


@pytest.fixture(scope="module")
def trained(data: mlp.Data, tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Sequential:
    cache = tmp_path_factory.mktemp("cache")
    first = mlp.Recipe("first", "binary", penalty=0.3, epochs=8)
    mlp.RECIPES["first"] = first
    try:
        return mlp.train(mlp.Recipe("one", "binary", 1, 0.3, 6, "first"), data, cache)
    finally:
        del mlp.RECIPES["first"]


def test_grids_divide_the_pixels(data: mlp.Data) -> None:
    assert np.array_equal(np.sum([mlp.grid(k) for k in range(4)], axis=0), np.ones(784))
    assert [int(mlp.seen(pixels).sum()) for pixels in ("quarter", "half", "binary", "grey")] == [
        196, 392, 784, 784,
    ]  # fmt: skip
    half = mlp.encode(data.test[:5], "half")
    row, column = np.divmod(np.flatnonzero(mlp.seen("half")), 28)
    assert not ((row + column) % 2).any()  # a chessboard
    assert np.array_equal(half, (data.test[:5] > 0.5) * mlp.seen("half"))


def test_quantised_activations() -> None:
    z = torch.tensor([-0.6, -0.4, 0.4, 0.5, 1.4, 2.6], requires_grad=True)
    n = mlp._Rounded.apply(z, 2)
    assert n.tolist() == [0, 0, 0, 1, 1, 2]
    n.sum().backward()
    assert z.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_training_goes_on(data: mlp.Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The division keeps the last training images; an interrupted training ends with the same weights."""
    assert [len(x) for x in (data.train, data.validation, data.test)] == [1300, 100, 397]
    recipe = mlp.Recipe("short", "half", penalty=1.0, epochs=2)
    whole = mlp.train(recipe, data, tmp_path / "a").state_dict()

    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlp, "accuracy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mlp.train(recipe, data, tmp_path / "b")
    assert torch.load(tmp_path / "b" / "mlp-short.pt", weights_only=True)["epoch"] == 1
    parts = mlp.train(recipe, data, tmp_path / "b").state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_quantised_network_converts_as_it_was_trained(trained, data: mlp.Data) -> None:
    x = mlp.encode(data.test[:60], "binary")
    made = convert(trained, x, "exact", levels=1, quantisation=BINARY)
    assert made.certificate.holds
    with torch.no_grad():
        expected, operations = mlp.forward(trained, torch.from_numpy(x), 1)
    assert np.abs(made.predict(x) - expected.numpy()).max() < 1e-3
    found = counted(made, x, data.test_labels[:60], 784)
    columns = found["columns"]
    assert columns["input_acs_once"] == 1200 * x.sum(axis=1).mean()
    assert columns["input_macs_once"] == columns["synaptic_macs"] == 0
    assert columns["synaptic_acs"] == pytest.approx(float(operations), rel=1e-5)
    additions = columns["input_acs_once"] + columns["synaptic_acs"]
    assert found["twin"] == additions + 784 + 2410 + 2400
    steps = columns["n_steps"]
    updates = steps * (2410 + 2 * 2400) + 2410 + columns["events"]
    assert found["total"] == pytest.approx(additions + 784 + updates)
    assert found["accuracy"] == (expected.argmax(1).numpy() == data.test_labels[:60]).mean() > 0.8


def test_zeros_are_skipped(trained, data: mlp.Data) -> None:
    """Products of the network without spikes, by its activations."""
    x, labels = mlp.encode(data.test[:40], "grey"), data.test_labels[:40]
    made = convert(trained, x, "rate", timesteps=2)
    found = source(made, x, labels, 5, counted(made, x, labels, 5)["columns"])
    with torch.no_grad():
        first = trained[1](trained[0](torch.from_numpy(x)))
        second = trained[3](trained[2](first))
        right = (trained[4](second).argmax(1).numpy() == labels).mean()
    products = [(a > 0).sum() / 40 * n for a, n in ((x, 1200), (first.numpy(), 1200), (second.numpy(), 10))]
    assert found["effective_macs"] == pytest.approx(sum(products), rel=1e-4)
    assert found["zero_skipping"] == found["effective_macs"] + 2410 + 2400 + 5
    assert found["accuracy"] == right


def test_stages_are_those_of_the_pixels_so_far(trained, data: mlp.Data) -> None:
    """Outputs and operations after each grid, against the network without time."""
    x = mlp.encode(data.test[:20], "binary")
    finer = Quantisation((0.3, 0.3), input_bits=1)
    made = convert(trained, x, "exact", levels=3, quantisation=finer)
    found = stages(made, x)
    before = {name: np.zeros((20, p.n)) for name, p in made.network.populations.items()}
    cost, further = np.zeros(20), np.zeros(20)
    hidden = list(made.network.populations)[:2]
    for k in range(4):
        so_far = x * np.any([mlp.grid(j) for j in range(k + 1)], axis=0)
        values = evaluate(made.network, {"input": so_far.astype(np.float64)})
        assert np.array_equal(found.winner[:, k], values["readout"].argmax(axis=1))
        cost += 1200 * (x * mlp.grid(k)).sum(axis=1) + mlp.grid(k).sum() + 2410 + 4800
        for name, fan_out in zip(hidden, (1200, 10), strict=True):
            change = np.abs(values[name] - before[name])
            cost += (fan_out + 1) * (change > 0).sum(axis=1)
            further += fan_out * (change - (change > 0)).sum(axis=1)
        before = values
        assert np.array_equal(found.cost[:, k], cost + 2410 + DECISION * min(k + 1, 3))
        assert np.array_equal(found.further[:, k], further)
    assert further.any()


def test_margins() -> None:
    """Two samples: the first is sure and right at once, the second sure and wrong, right in the end."""
    found = Stages(
        cost=np.array([[1.0, 4.0], [1.0, 4.0]]),
        further=np.zeros((2, 2)),
        winner=np.array([[7, 7], [2, 3]]),
        lead=np.array([[0.9, 0.9], [0.3, 0.1]]),
    )
    labels = np.array([7, 3])
    assert found.judged(0.0, labels) == (0.5, 1.0)
    assert found.judged(0.5, labels) == (1.0, 2.5)
    margin = chosen_margin(found, labels, 0.9)
    assert 0.3 <= margin < 0.9
    assert found.judged(chosen_margin(found, labels, 0.5), labels) == (0.5, 1.0)


def test_times_to_first_spike(trained, data: mlp.Data) -> None:
    x = mlp.encode(data.test[:50], "binary")
    made = convert(trained, mlp.encode(data.train[:200], "binary"), "ttfs")
    found = timed(made, x, data.test_labels[:50], 784)
    assert found["relative_deviation"] <= 1e-12
    assert found["agreement"] == 1.0
    values = made.graph.evaluate(x.astype(np.float64))
    active = [values[name] > 1e-9 for name in list(made.network.populations)[:2]]
    assert found["spikes_per_neuron"] == pytest.approx(np.concatenate(active, axis=1).mean())
    additions = 1200 * x.sum(axis=1).mean()
    additions += sum(fan_out * a.sum(axis=1).mean() for fan_out, a in zip((1200, 10), active, strict=True))
    assert found["additions"] == pytest.approx(additions)
