"""The frame of the command line: help, one JSON object, exit codes, errors in words, progress."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from snnsim.cli import output
from snnsim.cli.interrupt import signals_noted
from snnsim.cli.main import COMMANDS, EXIT_CODES, app
from snnsim.cli.output import Reply, Stopped, as_known, envelope, in_words, plain
from snnsim.cli.progress import Lines, Pace, clock_text, progress
from snnsim.errors import ConfigError, ExitCode, FileError, SimulationError, SnnError, StorageError

SNNSIM = str(Path(sys.executable).parent / "snnsim")
ENVELOPE = ["schema", "ok", "command", "data", "warnings", "error"]
ERROR = ["code", "message", "where", "file", "line", "got", "expected", "fix"]


def invoke(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def one_object(text):
    """The only JSON object of stdout."""
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    found = json.loads(text)
    assert list(found) == ENVELOPE
    if found["error"] is not None:
        assert list(found["error"]) == ERROR
    assert found["schema"] == 1
    assert found["ok"] == (found["error"] is None)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_an_example_and_json(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"snnsim {command}" in result.stdout.replace("Usage: snnsim", "")
    assert "--json" in result.stdout
    assert len(result.stdout.splitlines()[2].strip()) > 20
    assert result.stderr == ""


def test_help_lists_commands_and_exit_codes():
    text = invoke("--help").stdout
    assert invoke().stdout == text
    for command in COMMANDS:
        assert f"  {command} " in text
    assert set(EXIT_CODES) == set(ExitCode)
    for code, meaning in EXIT_CODES.items():
        assert f"{int(code):3d}  {meaning}" in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from snnsim.cli.main import app\n"
        "heavy = {'numpy', 'numba', 'h5py', 'rich', 'matplotlib'}\n"
        "try: app(['--help'])\n"
        "except SystemExit: print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_version_and_entry_point(tmp_path):
    result = subprocess.run([SNNSIM, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("snnsim 0.")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["rum"], "Did you mean 'run'"),
        (["run"], "Missing argument"),
        (["run", "a.toml", "--sed", "1"], "No such option: --sed"),
        (["run", "a.toml", "--threads", "none"], "--threads"),
        (["run", "a.toml", "--threads", "0"], "--threads"),
        (["run", "a.toml", "--seed", "-1"], "--seed"),
        (["models", "lfi"], "did you mean lif?"),
        (["--what"], "No such option"),
        (["plot", "here", "wrong"], "wrong"),
    ],
)
def test_usage_errors(args, text):
    result = invoke(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: snnsim")
    assert text in result.stderr
    assert "\n  fix: " in result.stderr
    found = one_object(invoke(*args, "--json").stdout)
    assert found["error"]["code"] == "usage"
    assert found["command"] == (args[0] if args[0] in COMMANDS else "")


def test_json_after_two_dashes_is_an_argument():
    assert invoke("models", "--", "--json").stdout == ""


@pytest.mark.parametrize(
    "name", ["lif", "stdp", "images", "pairwise_bernoulli", "delta", "adaptive_threshold"]
)
def test_models_of_one_kind(name):
    text = invoke("models", name).stdout
    data = one_object(invoke("models", name, "--json").stdout)["data"]
    assert data["kind"] == name
    assert data["doc"].splitlines()[0] in text
    for parameter in data["parameters"]:
        assert parameter["name"] in text
        assert parameter["help"] in text


def test_models_lists_what_the_description_layer_declares():
    from snnsim.connectivity import RULES
    from snnsim.models import NEURONS
    from snnsim.stimuli import STIMULI

    found = one_object(invoke("models", "--json").stdout)["data"]["groups"]
    for group, classes in (("neurons", NEURONS), ("connection rules", RULES), ("stimuli", STIMULI)):
        assert [entry["kind"] for entry in found[group]] == [cls.KIND for cls in classes]
    tau = next(p for p in found["neurons"][0]["parameters"] if p["name"] == "tau_m_ms")
    assert (tau["unit"], tau["above"], tau["low"], tau["required"]) == ("ms", 0.0, None, True)
    text = invoke("models").stdout
    assert all(entry["kind"] in text for entries in found.values() for entry in entries)


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ConfigError("wrong"), 3),
        (FileError("damaged"), 4),
        (SimulationError("not a number"), 6),
        (StorageError("exists"), 7),
        (PermissionError(13, "Permission denied", "/nowhere"), 7),
        (MemoryError(), 7),
        (ZeroDivisionError("by zero"), 1),
        (SnnError("something"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_ends_with_its_code_and_without_traceback(raised, code, monkeypatch):
    def fail():
        raise raised

    monkeypatch.setattr("snnsim.cli.models.catalogue", fail)
    result = invoke("models")
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    found = one_object(invoke("models", "--json").stdout)
    assert not found["ok"]


def test_our_bug_asks_to_report_and_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr("snnsim.cli.models.catalogue", lambda: 1 / 0)
    result = invoke("models")
    assert "a bug in snnsim: ZeroDivisionError" in result.stderr
    assert "please report" in result.stderr
    debugged = CliRunner().invoke(app, ["--debug", "models"])
    assert debugged.exit_code == 1
    assert "Traceback (most recent call last)" in debugged.stderr


def test_an_error_in_words_has_its_fix_on_a_line_of_its_own():
    error = ConfigError(
        "out of range", where="run.dt_ms", got=-1, expected="> 0", fix="raise it", file="a.toml", line=3
    )
    assert (
        in_words(error) == "error: run.dt_ms (a.toml:3): out of range; got -1, expected > 0\n  fix: raise it"
    )
    assert in_words(ConfigError("bare")) == "error: bare"


def test_warnings_stand_in_the_object_and_on_stderr(capsys):
    reply = Reply({"x": 1}, "text", warnings=["mind the gap"])
    assert output.present(reply, "run", as_json=False) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("text\n", "warning: mind the gap\n")
    assert envelope(reply, "run")["warnings"] == ["mind the gap"]


def test_plain_values_are_json():
    value = {
        "a": np.float64("nan"), "b": np.arange(3), "c": Path("x"), "d": ExitCode.FILE, "e": float("inf"),
        "f": (np.int64(3), None, True), "g": np.float32(0.5), 1: {"h"},
    }  # fmt: skip
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == {
        "a": None, "b": [0, 1, 2], "c": "x", "d": 4, "e": None, "f": [3, None, True], "g": 0.5, "1": ["h"],
    }  # fmt: skip


def test_os_errors_are_named():
    known = as_known(IsADirectoryError(21, "Is a directory", "/tmp"))
    assert isinstance(known, StorageError)
    assert (known.where, known.problem) == ("/tmp", "is a directory")


def test_a_closed_pipe_is_no_error(tmp_path):
    command = f"{SNNSIM} models --json | head -c 10"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert result.stderr == ""
    assert len(result.stdout) == 10


def test_no_colour_in_pipes():
    result = subprocess.run([SNNSIM, "rum"], capture_output=True, text=True, timeout=60, env={**os.environ})
    assert "\x1b" not in result.stderr


def test_colour_needs_a_terminal_and_no_wish_against_it(monkeypatch):
    monkeypatch.setattr("snnsim.cli.output.is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in in_words(ConfigError("x"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in in_words(ConfigError("x"))


# --- progress --------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_pace_counts_from_the_first_call():
    clock = Clock()
    pace = Pace(0.1, clock)
    assert pace.text(1000, 11000) == "t = 100 of 1,100 ms"
    clock.now = 2.0
    assert pace.text(6000, 11000) == "t = 600 of 1,100 ms  RTF 4  ETA 0:00:02"


def test_lines_come_every_ten_seconds(capsys):
    clock = Clock()
    lines = Lines(1.0, clock)
    for second in range(35):
        clock.now = float(second)
        lines(second * 1000, 100_000)
    written = capsys.readouterr().err.splitlines()
    assert len(written) == 3
    assert written[0] == " 10%  t = 10,000 of 100,000 ms  RTF 1  ETA 0:01:30"


def test_clock_text():
    assert [clock_text(s) for s in (0.4, 59.6, 3723)] == ["0:00:00", "0:01:00", "1:02:03"]


def test_the_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("snnsim.cli.progress.is_terminal", lambda: True)
    with progress(0.1, quiet=False) as advance:
        advance(10, 100)
        advance(100, 100)
    with progress(0.1, quiet=True) as advance:
        assert advance is None
    assert capsys.readouterr().out == ""


# --- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_the_next_one_ends_the_process(number, code, capsys):
    before = signal.getsignal(number)
    with signals_noted() as stop:
        assert stop() is None
        os.kill(os.getpid(), number)
        assert stop() == signal.Signals(number).name
        assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(number) == before
    assert "once more to quit at once" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_the_first_step_a_signal_stops_at_once(number, code):
    with pytest.raises(Stopped, match="before the first step") as caught, signals_noted():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code


def test_completion_of_commands_and_models(tmp_path):
    def complete(*words):
        env = {**os.environ, "_SNNSIM_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["snnsim", *words])}
        env["COMP_CWORD"] = str(len(words))
        return subprocess.run(
            [SNNSIM], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path
        ).stdout

    assert complete("re").split() == ["resume", "report"]
    assert complete("models", "pois").split() == ["poisson", "poisson_drive"]
