"""What commands say about runs that stopped early, were changed, or recorded nothing."""

import json
import shutil

import pytest
from test_cli_output import invoke
from test_cli_run import NETWORK, answer_of

from snnsim.config import load_config
from snnsim.execute import execute
from snnsim.plan import create_run, make_plan

STOP_STEP = 3000
PROBES = """\
[probes.v_late]
target = "exc"
variable = "v_mv"
ids = [1]
every_ms = 5000.0
[probes.w]
target = "noise_exc"
variable = "weight"
every_ms = 10.0
ids = [0, 1, 2]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config, a finished run of it, and one stopped on the way."""
    here = tmp_path_factory.mktemp("unfinished")
    (here / "net.toml").write_text(NETWORK.replace("duration_ms = 40.0", "duration_ms = 1000.0") + PROBES)
    answer_of("run", here / "net.toml", "--out", here / "run", "--duration-ms", 40, "--threads", 7)
    plan, reached = make_plan(load_config(here / "net.toml")), [0]

    def note(done, _):
        reached[0] = done

    with create_run(plan, here / "stopped") as run:
        execute(plan, run, progress=note, stop=lambda: "SIGINT" if reached[0] >= STOP_STEP else None)
    shutil.copytree(here / "stopped", here / "killed")  # the same, as a dead process leaves it
    manifest = json.loads((here / "killed" / "manifest.json").read_text())
    manifest |= {"status": "running", "step": None}
    (here / "killed" / "manifest.json").write_text(json.dumps(manifest))
    lock = {"pid": 2**22 - 3, "host": manifest["platform"]["host"], "started": ""}
    (here / "killed" / "LOCK").write_text(json.dumps(lock))
    return here


def step_of(run):
    return json.loads((run / "checkpoints" / "latest.json").read_text())["step"]


def drawn(monkeypatch):
    """Titles and windows of the figures that are saved."""
    found = []

    def save(figure, path):
        found.append((figure.get_suptitle(), figure.axes[0].get_xlim()))

    monkeypatch.setattr("snnsim.plots.save", save)
    return found


@pytest.mark.parametrize("name", ["stopped", "killed"])
@pytest.mark.parametrize("kind", ["raster", "rates"])
def test_only_what_was_simulated_is_drawn(folder, monkeypatch, name, kind):
    found, end = drawn(monkeypatch), step_of(folder / name) * 0.1
    assert 300.0 <= end < 1000.0
    assert answer_of("plot", folder / name, kind)["warnings"] == []
    assert len(answer_of("plot", folder / name, kind, "--to-ms", 2000)["warnings"]) == 1
    for title, view in found:
        assert title == f"net (stopped at {round(end, 9):,g} of 1,000 ms)"
        assert view == (0.0, pytest.approx(end))


@pytest.mark.parametrize(("name", "start"), [("stopped", 999), ("killed", 999), ("run", 40)])
def test_a_window_beyond_the_end_is_refused(folder, name, start):
    for kind in ("raster", "rates", "vm"):
        result = invoke("plot", folder / name, kind, "--from-ms", start, "--to-ms", 5000)
        assert result.exit_code == 2
        assert "beyond what was simulated" in result.stderr


def test_potentials_of_all_probes_or_of_one(folder, monkeypatch):
    counts = []
    monkeypatch.setattr("snnsim.plots.save", lambda figure, path: counts.append(len(figure.axes)))
    for options in ([], ["--probe", "v"], ["--population", "exc", "--population", "exc"]):
        assert invoke("plot", folder / "run", "vm", *options).exit_code == 0
    assert counts == [3, 2, 6]
    result = invoke("plot", folder / "run", "vm", "--probe", "v_late", "--from-ms", 1)
    assert result.exit_code == 2
    assert "v_late: 0 to 0 ms" in result.stderr
    assert "did you mean v_late?" in invoke("plot", folder / "run", "vm", "--probe", "v_lte").stderr


def test_weights_of_a_stopped_run(folder, tmp_path, monkeypatch):
    assert not (folder / "stopped" / "weights.h5").exists()
    found = drawn(monkeypatch)
    assert invoke("plot", folder / "stopped", "weights").exit_code == 0
    assert found[0][0].endswith("ms): noise_exc")
    plain = (folder / "net.toml").read_text().replace(PROBES, "")
    (tmp_path / "plain.toml").write_text(plain)
    plan = make_plan(load_config(tmp_path / "plain.toml"))
    with create_run(plan, tmp_path / "run") as run:
        execute(plan, run, stop=lambda: "SIGINT")
    result = invoke("plot", tmp_path / "run", "weights")
    assert result.exit_code == 4
    assert "written when the run has reached its end" in result.stderr
    assert f"fix: snnsim resume {tmp_path / 'run'}" in result.stderr


def test_inspect_tells_how_far_a_run_came(folder):
    died = answer_of("inspect", folder / "killed")["data"]
    assert died["run"]["status"] == f"died (process {2**22 - 3} is gone)"
    assert died["run"]["fix"] == f"snnsim resume {folder / 'killed'}"
    assert (died["run"]["step_reached"], died["run"]["n_steps"]) == (step_of(folder / "killed"), 10_000)
    assert died["spikes"]["exc"] > 0
    assert "spikes so far" in invoke("inspect", folder / "stopped").stdout
    assert answer_of("inspect", folder / "run")["data"]["run"]["status"] == "finished"


@pytest.mark.parametrize("name", ["weights.h5", "result.json", "raster.png", "state.h5", "resolved.toml"])
def test_validate_sees_every_changed_output(folder, tmp_path, name):
    shutil.copytree(folder / "run", tmp_path / "run")
    assert invoke("validate", tmp_path / "run").exit_code == 0
    with (tmp_path / "run" / name).open("ab") as stream:
        stream.write(b"\n")
    result = invoke("validate", tmp_path / "run")
    assert result.exit_code == 4
    assert f"{name} has changed" in result.stderr
    assert result.stdout == f"{tmp_path / 'run'}: NOT ok\n"
    if name != "resolved.toml":
        (tmp_path / "run" / name).unlink()
        assert f"{name} is missing" in invoke("validate", tmp_path / "run").stderr


def test_figures_drawn_again_are_no_change(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    assert invoke("plot", tmp_path / "run", "raster", "--to-ms", 20).exit_code == 0
    assert invoke("validate", tmp_path / "run").exit_code == 0
    assert invoke("report", tmp_path / "run").exit_code == 0
    assert invoke("validate", tmp_path / "run").exit_code == 0


def test_arrays_of_the_config_are_inputs(folder, tmp_path):
    import numpy as np

    np.savez(tmp_path / "a.npz", v=np.full(60, -55.0))
    text = NETWORK.replace(
        'v_init_mv = { kind = "uniform", low = -60.0, high = -50.0 }',
        'v_init_mv = { file = "a.npz", array = "v" }',
    )
    (tmp_path / "net.toml").write_text(text)
    assert answer_of("run", tmp_path / "net.toml", "--dry-run")["data"]["inputs"] == [str(tmp_path / "a.npz")]


def test_threads_used_and_asked_for(folder):
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    result = json.loads((folder / "run" / "result.json").read_text())
    for facts in (manifest, result):
        assert (facts["threads"], facts["threads_requested"]) == (1, 7)
    found = invoke("run", folder / "net.toml", "--dry-run", "--threads", 7)
    assert "1 thread (of 7: the network is too small for more)" in found.stdout
    assert invoke("run", folder / "net.toml", "--threads", 1025).exit_code == 2


def test_wall_times_have_one_name_and_add_up_over_stretches(folder, tmp_path):
    names = ("build_s", "sim_s", "wall_s")
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    result = json.loads((folder / "run" / "result.json").read_text())
    assert all(manifest[name] == result[name] for name in names)
    text = invoke("inspect", folder / "run").stdout
    page = (folder / "run" / "report.html").read_text()
    for label in ("build wall time", "simulation wall time", "total wall time"):
        assert label in text
        assert label in page
    shutil.copytree(folder / "stopped", tmp_path / "run")
    before = json.loads((tmp_path / "run" / "manifest.json").read_text())
    after = answer_of("resume", tmp_path / "run")["data"]
    assert all(after[name] > before[name] > 0 for name in names[1:])
    assert after["build_s"] > before["build_s"]


def test_too_large_for_memory_is_said_by_all(folder, tmp_path):
    size = ["--set", "populations.exc.n=2000000000"]
    assert invoke("run", folder / "net.toml", "--dry-run", *size).exit_code == 3
    (tmp_path / "big.toml").write_text((folder / "net.toml").read_text().replace("n = 60", "n = 2000000000"))
    assert answer_of("validate", tmp_path / "big.toml", code=3)["error"]["code"] == "config.too_large"
    assert invoke("inspect", tmp_path / "big.toml").exit_code == 0


def test_a_run_that_records_nothing_says_so(tmp_path):
    (tmp_path / "net.toml").write_text(NETWORK.partition("[probes")[0])
    config = tmp_path / "net.toml"
    out = ["--out", tmp_path / "run"]
    for args in (["validate", config], ["run", config, "--dry-run"], ["run", config, *out]):
        result = invoke(*args)
        assert result.exit_code == 0
        assert result.stderr.count("nothing is recorded; add [probes.exc_spikes]") == 1
        assert "snnsim plot" not in result.stderr
    assert len(answer_of("validate", config)["warnings"]) == 1


def test_each_fault_is_told_once(folder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(f"schema = 1\n{name}{name} = 1\n")
    result = invoke("validate", tmp_path / "a.toml", tmp_path / "b.toml", folder / "net.toml")
    assert result.stdout.splitlines()[:2] == [f"{tmp_path / k}.toml: NOT ok" for k in "ab"]
    assert result.stderr.count("unknown key") == 2
    assert result.stderr.count("a.toml") == 1


def test_long_recordings_are_read_in_pieces(folder, monkeypatch):
    from snnsim import run_figures
    from snnsim.runs import RunDirectory

    run, config = RunDirectory.open(folder / "stopped"), load_config(folder / "net.toml")
    whole = run_figures._samples(run, config, "w", (0.0, 250.0), 3, None)
    monkeypatch.setattr(run_figures, "MAX_VALUES", 7)
    pieces = run_figures._samples(run, config, "w", (0.0, 250.0), 3, None)
    assert whole.values.shape == (26, 3)
    assert (whole.values == pieces.values).all()
    thin = run_figures._samples(run, config, "w", (0.0, 250.0), None, 5)
    assert (thin.values.shape, thin.n_all) == ((5, 1), 3)
    assert thin.times_ms[[0, -1]].tolist() == [0.0, 250.0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ('v_th_mv = { kind = "uniform", low = -51.0, high = -50.0 }', "differs between neurons, not drawn"),
        (
            "v_th_mv = -50.0\nthreshold = { theta_plus_mv = 1.0, tau_theta_ms = 50.0 }",
            "the threshold adapts",
        ),
    ],
)
def test_thresholds_that_no_line_can_show_are_named(tmp_path, monkeypatch, change, text):
    config = NETWORK.replace("v_th_mv = -50.0", change).replace("v_reset_mv = -60.0", "v_reset_mv = -70.0")
    (tmp_path / "net.toml").write_text(config)
    found = answer_of("run", tmp_path / "net.toml", "--out", tmp_path / "run")
    assert found["ok"]
    labels = []
    monkeypatch.setattr("snnsim.plots.save", lambda figure, path: labels.append(figure.axes[-1].get_xlabel()))
    assert invoke("plot", tmp_path / "run", "vm").exit_code == 0
    assert text in labels[0]
