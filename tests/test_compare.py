"""The race against other simulators: whose turn it is, what is kept and not run again, and what is refused.

No peer is needed: what they would answer is made up here.
"""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import compare  # noqa: E402


class Peers:
    """Answers like contestants, and remembers who was asked."""

    def __init__(self, fail_at=0):
        self.asked, self.fail_at = [], fail_at

    def __call__(self, command):
        self.asked.append(command)
        if len(self.asked) == self.fail_at:
            raise compare.Failed("made up")
        return {"rtf": float(len(self.asked))}


PYTHONS = {"nest": "nest-python", "brian2": "brian2-python"}


def wanted(*arguments):
    options = compare.parsed(["--only", "cuba", "--threads", "1,2", *arguments])
    return list(compare.starts(["cuba"], ["cuba"], options))


def test_contestants_take_turns():
    order = [(s.round, s.threads, s.contestant) for s in wanted("--rounds", "2")]
    one = [(1, "snnsim"), (1, "snnsim-float32"), (1, "brian2-cpp"), (1, "brian2-cython"), (1, "nest")]
    # Brian2's Cython mode knows no threads
    two = [(2, "snnsim"), (2, "snnsim-float32"), (2, "brian2-cpp"), (2, "nest")]
    assert order == [(number, *turn) for number in (1, 2) for turn in one + two]


def test_a_race_goes_on_where_it_stopped(tmp_path):
    path, record = tmp_path / "compare.json", {"runs": []}
    todo = wanted("--rounds", "1")

    def save():
        path.write_text(json.dumps(record))

    first = Peers(fail_at=3)
    failures = compare.compete(record, iter(todo), False, first, save, PYTHONS)
    assert len(first.asked) == len(todo) == 9
    assert failures == [f"{todo[2].shown()}: made up"]
    record = compare.load(path)
    assert len(record["runs"]) == 8

    second = Peers()
    assert compare.compete(record, iter(todo), False, second, save, PYTHONS) == []
    assert second.asked == [todo[2].command(PYTHONS)]
    third = Peers()
    compare.compete(record, iter(todo), False, third, save, PYTHONS)
    assert third.asked == []

    fourth = Peers()
    compare.compete(record, iter(todo), True, fourth, save, PYTHONS)
    assert len(fourth.asked) == 9
    assert sorted(map(compare.key_of, record["runs"])) == sorted(start.key() for start in todo)
    assert [run["result"]["rtf"] for run in record["runs"]] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


@pytest.mark.parametrize("change", [["--duration-ms", "5"], ["--warmup-ms", "5"], ["--scale", "0.5"]])
def test_another_duration_or_size_is_another_run(change):
    assert not {s.key() for s in wanted()} & {s.key() for s in wanted(*change)}


def test_a_warmup_of_zero_is_not_the_usual_one():
    assert {s.warmup_ms for s in wanted("--warmup-ms", "0")} == {0.0}


def test_commands():
    ours, single, brian2, *_, nest = wanted("--rounds", "1", "--threads", "2", "--scale", "0.5")
    assert ours.shown() == (
        "snnsim bench cuba --json --quiet --scale 0.5 --duration-ms 10000 --warmup-ms 500 "
        "--threads 2 --seed 1"
    )
    assert single.shown().startswith("snnsim bench cuba --json --quiet --precision float32 --scale 0.5")
    assert brian2.command(PYTHONS)[0] == "brian2-python"
    assert "--target cpp_standalone" in brian2.shown()
    assert nest.shown().startswith("python benchmarks/peers/nest_bench.py cuba --scale 0.5")
    assert Path(nest.command(PYTHONS)[1]).is_file()


def test_a_missing_peer_is_named_with_its_package():
    (sentence,) = compare.missing_peers({"nest": "/no/such/python"}, {"nest"})
    assert "nest cannot be used with /no/such/python" in sentence
    assert "pip install nest-simulator" in sentence
    assert "--nest-python" in sentence


def test_what_a_contestant_says_when_it_fails():
    with pytest.raises(compare.Failed, match="oh no"):
        compare.execute([sys.executable, "-c", "import sys; sys.exit('oh no')"])
    say = [sys.executable, "-c", "import sys; print(sys.argv[1])"]
    with pytest.raises(compare.Failed, match="too small"):
        compare.execute([*say, json.dumps({"ok": False, "error": {"message": "too small"}})])
    assert compare.execute([*say, json.dumps({"ok": True, "data": {"rtf": 1}})]) == {"rtf": 1}
    assert compare.execute([*say, json.dumps({"rtf": 2})]) == {"rtf": 2}


@pytest.mark.parametrize("bad", [["--only", "x"], ["--without", "x"], ["--rounds", "0"], ["--threads", "0"]])
def test_bad_options(bad, capsys):
    with pytest.raises(SystemExit) as stopped:
        compare.parsed(bad)
    assert stopped.value.code == 2
    assert capsys.readouterr().err
