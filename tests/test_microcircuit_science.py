"""The statistics by which realisations of the microcircuit are compared, and their files of spikes."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "peers")]

import microcircuit_science as science  # noqa: E402
import microcircuit_statistics as stats  # noqa: E402
import spikefile  # noqa: E402

DT_MS = 0.1


def described(trains_ms, n, t0_ms=0.0, t1_ms=1000.0):
    """`trains_ms` are the spike times of the first cells."""
    steps = np.rint(np.concatenate([np.asarray(t) for t in trains_ms]) / DT_MS).astype(np.int64)
    ids = np.repeat(np.arange(len(trains_ms)), [len(t) for t in trains_ms])
    order = np.argsort(steps, kind="stable")
    return stats.describe(steps[order], ids[order], n, DT_MS, t0_ms, t1_ms)


@pytest.mark.parametrize("draw", [lambda r, n: r.normal(size=n), lambda r, n: r.poisson(3.0, n) / 10.0])
def test_ks_distance_is_that_of_scipy(draw):
    rng = np.random.default_rng(1)
    for sizes in ((1, 1), (7, 300), (500, 400)):
        a, b = (draw(rng, n) for n in sizes)
        assert stats.ks_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12)
    assert stats.ks_distance([1, 2, 3], [3, 1, 2]) == 0.0
    assert stats.ks_distance([1, 2], [3]) == 1.0
    assert math.isnan(stats.ks_distance([], [1.0]))


def test_rates_and_irregularity_of_known_trains():
    regular, alternating = np.arange(0.0, 1000.0, 50.0), np.cumsum([0.0, *[10.0, 30.0] * 20])
    found = described([regular, alternating, [5.0, 700.0], []], n=4)
    np.testing.assert_allclose(found["rates"], [20.0, 41.0, 2.0, 0.0])
    # Two spikes are one interval, which has no CV; 10 and 30 in turn have mean 20 and deviation 10.
    np.testing.assert_allclose(found["cv"], [0.0, 0.5], atol=1e-12)


def test_the_window_holds_its_begin_and_not_its_end():
    found = described([[499.9, 500.0, 999.9, 1000.0]], n=1, t0_ms=500.0)
    np.testing.assert_allclose(found["rates"], [4.0])


def test_correlations_of_known_trains():
    # 500 bins; A and B share all 10, C has 10 others, D is silent and has none.
    bins = np.arange(500)
    shared, other = 2.0 * bins[::50] + 0.5, 2.0 * bins[1::50] + 0.5
    found = described([shared, shared + 1.0, other, []], n=4)["cc"]
    p = 10 / 500
    np.testing.assert_allclose(np.sort(found), [-p / (1 - p), -p / (1 - p), 1.0], atol=1e-12)


def test_synchrony_of_known_trains():
    # 10 of 500 bins hold a spike of each of two cells.
    shared = 2.0 * np.arange(500)[::50] + 0.5
    p = 10 / 500
    np.testing.assert_allclose(described([shared, shared], n=3)["synchrony"], [2 * (1 - p)])


def test_correlations_are_of_250_cells_drawn_from_all():
    rng = np.random.default_rng(2)
    steps, ids = np.sort(rng.integers(0, 10_000, 6000)), rng.integers(0, 150, 6000)
    n = 300  # every second cell is silent
    pairs = stats.describe(steps, 2 * ids, n, DT_MS, 0.0, 1000.0)["cc"].size
    active = round((1 + math.sqrt(1 + 8 * pairs)) / 2)
    assert active * (active - 1) // 2 == pairs
    assert 100 <= active <= 150
    assert stats.describe(steps, ids, 150, DT_MS, 0.0, 1000.0)["cc"].size == 150 * 149 // 2


def test_the_peak_of_the_cv():
    assert stats.cv_peak([0.31, 0.72, 0.74, 0.76]) == pytest.approx(0.725)
    assert math.isnan(stats.cv_peak([]))


def made_up(shift, seed):
    rng = np.random.default_rng(seed)
    return {"A": {name: rng.normal(shift, 1.0, 400) for name in stats.SUMMARISED}}


def test_a_reference_that_is_the_same_passes_and_another_does_not():
    ours = [made_up(0.0, seed) for seed in range(6)]
    same, other = ([made_up(shift, seed) for seed in (11, 12)] for shift in (0.0, 0.5))
    for entry in stats.compare(ours, same, "A").values():
        assert entry["passed"]
        assert 0.5 < entry["ratio"] < 1.7
        assert (entry["among_seeds"]["pairs"], entry["to_reference"]["pairs"]) == (15, 12)
    for entry in stats.compare(ours, other, "A").values():
        assert not entry["passed"]
    assert "passed" not in stats.compare(ours, [], "A")["cv"]
    assert stats.compare(ours[:1], same, "A")["cv"]["passed"] is None  # no seed to seed distance


def test_z_of_two_means():
    ours, theirs = stats.summarise([made_up(0.0, s) for s in range(8)], "A"), {"mean": 0.0, "values": [0.0]}
    rates = ours["rates"]
    assert rates["sd"] == pytest.approx(np.std(rates["values"], ddof=1))
    assert stats.z_score(rates, theirs) == pytest.approx(rates["mean"] / rates["sd"] / math.sqrt(1 + 1 / 8))
    assert stats.z_score(rates | {"sd": None}, theirs) is None


def test_files_of_spikes_come_back(tmp_path):
    path = tmp_path / "a.npz"
    spikefile.save(path, {"n": {"A": 3}, "seed": 7}, {"A": (np.array([5, 2, 5]), np.array([2, 0, 1]))})
    about, spikes = spikefile.load(path)
    assert about == {"n": {"A": 3}, "seed": 7}
    np.testing.assert_array_equal(spikes["A"], ([2, 5, 5], [0, 1, 2]))
    assert list(tmp_path.iterdir()) == [path]
    spikefile.save(path, {"n": {"A": 2}}, spikes)
    with pytest.raises(spikefile.Unreadable, match="do not fit"):
        spikefile.load(path)
    for content in (b"", b"not a file", path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(spikefile.Unreadable, match=r"a\.npz"):
            spikefile.load(path)


def test_a_tiny_network_from_start_to_end(tmp_path, monkeypatch, capsys):
    line = ["x", "--scale", "0.01", "--seconds", "0.2", "--warmup-ms", "50", "--seeds", "2", "--threads", "1"]
    line += ["--work", str(tmp_path / "work"), "--output", str(tmp_path / "r.json")]
    monkeypatch.setattr(sys, "argv", line)
    assert science.main() == 0
    files = sorted((tmp_path / "work").iterdir())
    assert [f.name for f in files] == ["snnsim-1.npz", "snnsim-2.npz"]
    before = [f.stat().st_mtime_ns for f in files]
    monkeypatch.setattr(sys, "argv", [*line, "--reference", str(files[0])])
    science.main()
    assert [f.stat().st_mtime_ns for f in files] == before  # finished seeds are kept
    record = json.loads((tmp_path / "r.json").read_text())
    about, spikes = spikefile.load(files[1])
    steps, _ = spikes["L4E"]
    assert steps.min() >= 500
    entry = record["populations"]["L4E"]
    assert entry["snnsim"]["rates"]["values"][1] == pytest.approx(steps.size / about["n"]["L4E"] / 0.2)
    assert entry["reference"]["rates"]["mean"] == entry["snnsim"]["rates"]["values"][0]
    assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(sys, "argv", [*line, "--seconds", "0.3"])
    assert science.main() == 2
    assert "seconds = 0.2" in capsys.readouterr().err
