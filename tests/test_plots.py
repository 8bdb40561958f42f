"""Figures: what is drawn is what was given, large inputs stay small, and nothing global is touched."""

import re
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure

from snnsim import plots
from snnsim.errors import ConfigError, StorageError
from snnsim.plots_learning import NO_LABEL, _best_columns


def train(n_spikes, n, duration_ms=1000.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, duration_ms, n_spikes)), rng.integers(0, n, n_spikes)


TRAIN = train(300, 50)
V_MV = -65 + np.random.default_rng(1).normal(size=(500, 3))
FIGURES = {
    "raster": lambda: plots.raster(*TRAIN, 50),
    "rasters": lambda: plots.raster(*TRAIN, {"exc": 40, "inh": 10}),
    "membrane": lambda: plots.membrane(np.arange(500) * 0.1, V_MV, -50.0, ([10.0, 20.0], [0, 2])),
    "rates": lambda: plots.rates(*TRAIN, {"exc": 40, "inh": 10}),
    "fields": lambda: plots.weights_as_fields(np.random.default_rng(2).random((12, 7)), (3, 4), unit="mV"),
    "confusion": lambda: plots.confusion([[3, 1], [0, 4]], ["a", "b"]),
    "weights": lambda: plots.weight_histogram([0.1, 0.2, 0.3], [0.2, 0.2, 0.2], unit="pA", log=True),
}


def texts(figure: Figure) -> str:
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in figure.findobj(Text))


def marks(ax) -> np.ndarray:
    return np.concatenate([np.column_stack(line.get_data()) for line in ax.lines])


def test_pyplot_is_never_loaded_and_settings_stay(tmp_path):
    before = dict(rcParams)
    for draw in FIGURES.values():
        figure, _ = draw()
        assert isinstance(figure, Figure)
    plots.save(figure, tmp_path / "figure.svg")
    assert dict(rcParams) == before
    code = (
        "import sys; from snnsim import plots; assert 'matplotlib' not in sys.modules; "
        "plots.png_bytes(plots.raster([1.0], [0])[0]); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


@pytest.mark.parametrize("name", FIGURES)
def test_axes_say_what_they_show_and_in_which_unit(name):
    figure, axes = FIGURES[name]()
    said = texts(figure)
    wanted = {
        "raster": ["time (ms)", "neuron"],
        "rasters": ["time (ms)", "exc (40)", "inh (10)"],
        "membrane": ["time (ms)", "membrane potential (mV)", "threshold", "neuron 2"],
        "rates": ["time (ms)", "mean rate (spikes/s), 5 ms bins", "rate of one cell (spikes/s)", "inh"],
        "fields": ["weight (mV)", "7 neurons, 3 × 4 inputs each"],
        "confusion": ["true class", "answer", "share of the true class (%)"],
        "weights": ["weight (pA)", "synapses", "before", "after"],
    }
    assert [text for text in wanted[name] if text not in said] == []


def test_a_raster_marks_every_spike_once_and_first_population_on_top():
    times, ids, sizes = plots.stack({"exc": ([1.0, 5.0, 9.0], [0, 30, 10], 40), "inh": ([2.0], [9], 10)})
    assert ids.tolist() == [0, 30, 10, 49]
    assert sizes == {"exc": 40, "inh": 10}
    _, ax = plots.raster(times, ids, sizes, t1_ms=10.0)
    found = marks(ax)
    assert found[:, 0].tolist() == [1.0, 5.0, 9.0, 2.0]
    assert found[0, 1] < found[2, 1] < found[1, 1]  # ids upwards
    assert found[3, 1] < found[:3, 1].min()  # below the first population
    np.testing.assert_allclose(found[:, 1], [0.2 + 0.5 / 50, 0.2 + 30.5 / 50, 0.2 + 10.5 / 50, 9.5 / 50])
    assert marks(plots.raster(times, ids, sizes, t0_ms=2.0, t1_ms=5.0)[1])[:, 0].tolist() == [5.0, 2.0]
    assert "no spikes" in texts(plots.raster([], [], 10)[0])


def test_many_spikes_become_rates_and_the_axis_says_so(monkeypatch):
    monkeypatch.setattr(plots, "DENSITY_ABOVE", 1000)
    times, ids = train(30_000, 1037, 990.0)
    figure, ax = plots.raster(times, ids, {"exc": 800, "inh": 237}, t1_ms=1000.0)
    assert not ax.lines
    assert "30,000 spikes, counted in bins of 2 ms" in texts(figure)
    total = 0.0
    for image, n in zip(ax.images, (800, 237), strict=True):
        cells = np.asarray(image.get_array())
        together = -(-n // cells.shape[0])
        members = np.minimum(together, n - together * np.arange(cells.shape[0]))
        assert members.min() > 0
        total += (cells * members[:, None]).sum() * 0.002
    assert total == pytest.approx(30_000)  # no spike is lost
    assert len(plots.raster(times[:1000], ids[:1000], 1037)[1].lines) == 1  # at the limit: marks


@pytest.mark.full
def test_ten_million_spikes_are_drawn_in_time():
    times, ids = train(10_000_000, 77_000)
    began = time.perf_counter()
    picture = plots.png_bytes(plots.raster(times, ids, {"exc": 60_000, "inh": 17_000})[0])
    assert time.perf_counter() - began < 5.0
    assert len(picture) < 1_500_000


def test_rates_average_to_the_rate_of_the_train():
    times, ids = train(4000, 50, 2000.0)
    _, axes = plots.rates(times, ids, {"exc": 40, "inh": 10}, bin_ms=10.0, t1_ms=2000.0)
    for row, own, n in ((0, ids < 40, 40), (1, ids >= 40, 10)):
        assert np.mean(axes[row, 0].lines[0].get_ydata()) == pytest.approx(own.sum() / n / 2.0)
        filled, line = axes[row, 1].patches
        assert filled.get_data().values.sum() == pytest.approx(1.0)
        assert line.get_data().values.tolist() == filled.get_data().values.tolist()


def test_long_traces_keep_their_peaks():
    v = np.zeros((100_000, 10))
    v[55_555, 0] = 40.0
    v[99_999, 0] = -30.0
    figure, axes = plots.membrane(np.arange(100_000) * 0.1, v)
    x, y = axes[0].lines[0].get_data()
    assert x.size < 5000
    assert (np.diff(x) >= 0).all()
    assert x[y == 40.0].tolist() == pytest.approx([5555.5])
    assert y.min() == -30.0
    assert axes.size == 8
    assert "8 of 10 traces" in texts(figure)


def test_spikes_stand_on_the_threshold_of_their_trace():
    _, axes = plots.membrane(np.arange(10.0), np.zeros((10, 2)) - 65, [-50.0, -40.0], ([3.0, 4.0], [1, 1]))
    assert axes[0].collections[0].get_segments() == []
    bars = np.array(axes[1].collections[0].get_segments())
    assert bars[:, :, 0].tolist() == [[3, 3], [4, 4]]
    assert bars[:, 0, 1].tolist() == [-40, -40]


def test_fields_show_each_neuron_in_the_line_of_its_label():
    labels = np.array([2, -1, 0, 2, 0, 0])
    weights = np.tile(np.arange(6.0), (6, 1)) + 1
    _, ax = plots.weights_as_fields(weights, (2, 3), labels)
    tiles = np.asarray(ax.images[0].get_array())[1::3, 1::4]
    found = [[int(value) - 1 for value in row if not np.isnan(value)] for row in tiles]
    assert [k for row in found for k in row] == [2, 4, 5, 0, 3, 1]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "2", "none"]
    for row in found:
        assert len({labels[k] for k in row}) == 1
    shown = np.asarray(plots.weights_as_fields(np.arange(6.0)[:, None], (2, 3))[1].images[0].get_array())
    assert shown[1:3, 1:4].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_fields_of_both_signs_have_zero_in_the_middle_and_many_are_thinned():
    image = plots.weights_as_fields(np.linspace(-1, 3, 8).reshape(4, 2), (2, 2))[1].images[0]
    assert image.get_clim() == (-3.0, 3.0)
    assert plots.weights_as_fields(np.full((4, 2), 0.7), (2, 2))[1].images[0].get_clim() == (0.0, 0.7)
    figure, _ = plots.weights_as_fields(np.random.default_rng(0).random((4, 1600)), (2, 2), np.full(1600, -1))
    assert "400 of 1,600 neurons" in texts(figure)
    assert str(NO_LABEL) not in texts(figure)
    assert _best_columns(np.array([100]), 1.0) == 10


def test_confusion_writes_each_count_in_its_cell():
    _, ax = plots.confusion([[30, 2, 0], [0, 9, 1]], ["cat", "dog"], ["cat", "dog", "no answer"])
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert written == {(0, 0): "30", (0, 1): "2", (1, 1): "9", (1, 2): "1"}
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array())[0], [30 / 32, 2 / 32, 0])


def test_histograms_hold_every_synapse():
    weights = np.random.default_rng(0).random(5000)
    _, ax = plots.weight_histogram(weights.reshape(50, 100), weights[:700])
    assert [patch.get_data().values.sum() for patch in ax.patches] == [5000, 700]
    assert "no synapses" in texts(plots.weight_histogram([])[0])


@pytest.mark.parametrize(("extension", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_save_follows_the_extension_and_repeats_its_bytes(tmp_path, extension, start):
    paths = [tmp_path / f"{k}.{extension}" for k in "ab"]
    for path in paths:
        plots.save(FIGURES["rasters"]()[0], path)
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths  # nothing temporary is left


def test_many_marks_are_an_image_inside_the_vector_file(tmp_path):
    sizes = {}
    for n_spikes in (20_000, 20_001):
        plots.save(plots.raster(*train(n_spikes, 100), 100)[0], tmp_path / "raster.svg")
        text = (tmp_path / "raster.svg").read_text()
        sizes[n_spikes] = len(text)
        assert ("<image" in text) == (n_spikes > 20_000)
        assert re.search(r"<text[^>]*>time \(ms\)</text>", text)  # text stays text
    assert sizes[20_001] < sizes[20_000] / 2


def test_names_are_no_mathematics():
    figure, _ = plots.raster([1.0, 2.0], [0, 1], {"$x^{": 1, "a\x07b$": 1}, title="cost $5")
    assert len(plots.png_bytes(figure)) > 1000


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: plots.raster([1.0], [0, 1]), "times_ms: times and ids do not fit"),
        (
            lambda: plots.raster([1.0], [5], 5),
            "ids: a spike of no population; got 5, expected ids from 0 to 4",
        ),
        (lambda: plots.raster([1.0], [-1], 5), "ids: a spike of no population; got -1, expected ids from 0"),
        (lambda: plots.raster([1.0], [0], {}), "sizes: a population without neurons"),
        (lambda: plots.rates([1.0], [0], {"a": 0}), "sizes: a population without neurons"),
        (lambda: plots.raster([1.0], [0], t0_ms=5.0, t1_ms=5.0), "t1_ms: an empty window; got 5.0"),
        (lambda: plots.membrane([0.0, 1.0], np.zeros((3, 2))), r"v_mv: wrong shape; got \(3, 2\)"),
        (
            lambda: plots.weights_as_fields(np.zeros((5, 2)), (2, 2)),
            r"weights do not fit the image.*= 4 pixels",
        ),
        (lambda: plots.weights_as_fields(np.zeros((4, 2)), (2, 2), [1]), r"labels: one label a neuron"),
        (
            lambda: plots.confusion(np.zeros((2, 2)), ["a"]),
            r"matrix and labels do not fit.*expected \(1, 1\)",
        ),
    ],
)
def test_wrong_input_is_named(call, text):
    with pytest.raises(ConfigError, match=text):
        call()


def test_unknown_formats_and_missing_folders_are_refused(tmp_path):
    figure, _ = plots.raster([1.0], [0])
    with pytest.raises(ConfigError, match=r"got '.jpg', expected one of .pdf, .png, .svg"):
        plots.save(figure, tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match=r"did you mean png\?"):
        plots.save(figure, tmp_path / "a.pmg")
    with pytest.raises(StorageError, match="create the folder first"):
        plots.save(figure, tmp_path / "missing" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_long_times_are_seconds_and_never_an_offset():
    for t0, t1, unit in [(0.0, 60_000.0, "s"), (59_990.0, 59_991.0, "s"), (0.0, 900.0, "ms")]:
        for figure, ax in (
            plots.raster([t0 + 0.5], [0], 3, t0_ms=t0, t1_ms=t1),
            plots.weight_traces([t0, t1], [[1.0], [2.0]], unit="pA"),
        ):
            plots.png_bytes(figure)
            assert ax.get_xlabel().startswith(f"time ({unit})")
            assert ax.xaxis.get_offset_text().get_text() == ""
            shown = [float(label.get_text().replace(",", "")) for label in ax.get_xticklabels()]
            assert np.allclose(np.diff(shown), np.diff(ax.get_xticks()) / (1000.0 if unit == "s" else 1.0))


def test_a_dense_raster_has_a_scale_for_each_population():
    trains = {"a": (*train(250_000, 80), 80), "b": (*train(1000, 20), 20)}
    figure, ax = plots.raster(*plots.stack(trains))
    assert len(ax.images) == 2
    assert ax.images[0].get_clim()[1] > 10 * ax.images[1].get_clim()[1]
    assert len(ax.child_axes) == 2


def test_groups_of_potentials_and_their_thresholds():
    groups = [
        plots.Potentials(np.arange(500.0), V_MV, [-50.0, -45.0, -40.0]),
        plots.Potentials(np.arange(500.0), V_MV[:, :1], note="threshold differs between neurons, not drawn"),
    ]
    figure, axes = plots.membranes(groups)
    assert [len(ax.lines) for ax in axes] == [2, 2, 2, 1]
    assert [ax.lines[1].get_ydata()[0] for ax in axes[:3]] == [-50.0, -45.0, -40.0]
    assert "not drawn" in texts(figure)


def test_many_weights_are_drawn_by_their_spread():
    w = np.random.default_rng(3).random((10, 500))
    _, few = plots.weight_traces(np.arange(10.0), w[:, :20])
    _, many = plots.weight_traces(np.arange(10.0), w)
    assert (len(few.lines), len(many.lines), len(many.collections)) == (20, 1, 2)
    assert np.allclose(many.lines[0].get_ydata(), np.median(w, axis=1))
