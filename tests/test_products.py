"""Products do not depend on the threads of BLAS, and samples come in parts that fit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from small_graphs import residual
from threadpoolctl import threadpool_info, threadpool_limits

from snnsim.converters import calibrate, products
from snnsim.converters.convert import convert
from snnsim.identity import fingerprint

CONVERSIONS = """
import numpy as np
from small_graphs import mlp
from snnsim.converters.convert import convert
from snnsim.identity import fingerprint
graph, x = mlp(sizes=(777, 555, 350, 10), n=300)
for method in ("exact", "rate", "ttfs"):
    print(fingerprint(convert(graph, x, method).network, {}))
"""


def threads_of_blas() -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_a_product_is_made_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(np.ndarray):
        def __matmul__(self, other: np.ndarray) -> np.ndarray:
            seen.append(threads_of_blas())
            return np.asarray(self) @ other

    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads_of_blas()
        assert np.array_equal(products.product(a.view(Watched), b), a @ b)
        assert threads_of_blas() == before
    assert all(n == 1 for n in seen[0])
    assert len(seen) == 1


def test_conversions_do_not_depend_on_the_threads_of_blas() -> None:
    """Layers so large that BLAS would share their products among threads."""
    found = []
    for threads in ("1", "2"):
        names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
        given = os.environ | dict.fromkeys(names, threads)
        given["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", CONVERSIONS], env=given, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 3


def test_parts_hold_every_sample_once() -> None:
    for n, size, most in ((10, 1, 4), (5, 2**30, 64), (300, 10, 256), (0, 3, 8)):
        found = [k for part in products.parts(n, size, most) for k in range(n)[part]]
        assert found == list(range(n))
        longest = max((part.stop - part.start for part in products.parts(n, size, most)), default=0)
        assert longest <= most
        assert longest <= max(products.MOST_BYTES // (8 * size), 1)


@pytest.mark.parametrize("method", ["exact", "rate"])
def test_small_parts_change_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample at a time: the same network, whose certificate holds."""
    graph, x = residual()
    whole = convert(graph, x, method)
    monkeypatch.setattr(products, "MOST_BYTES", 1)
    by_one = convert(graph, x, method)
    for name, population in whole.network.populations.items():
        for key, value in vars(population.unit).items():
            other = getattr(by_one.network.populations[name].unit, key)
            if value is not None:
                assert np.allclose(value, other, rtol=1e-9, atol=1e-12), (name, key)
    if method == "exact":
        assert by_one.certificate is not None
        assert by_one.certificate.holds


def test_activations_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some places of each map, the same of all samples; the largest values and the means are those of all."""
    graph, x = residual()
    whole = calibrate.activations(graph, x)
    assert whole.places["a0"].tolist() == list(range(64))
    monkeypatch.setattr(calibrate, "_KEPT_BYTES", 8 * 24 * 4 * 10)
    some = calibrate.activations(graph, x)
    assert some.values["a0"].shape == (24, 4, 10)
    assert np.array_equal(some.values["a0"], whole.values["a0"][:, :, some.places["a0"]])
    for name in whole.tops:
        assert np.array_equal(some.tops[name], whole.tops[name])
        assert np.array_equal(some.means[name], whole.means[name])
        assert np.array_equal(whole.tops[name], whole.values[name].max(axis=(0, 2)))
    assert np.array_equal(some.outputs, whole.outputs)
    made = convert(graph, x, "exact")
    assert made.certificate is not None
    assert made.certificate.holds
    assert fingerprint(made.network, {}) == fingerprint(convert(graph, x, "exact").network, {})
