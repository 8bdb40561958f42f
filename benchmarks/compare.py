"""Race snnsim against other simulators, on one machine, with one description of each network.

    .venv/bin/python benchmarks/compare.py [--only NAME,NAME] [--rounds 3] [--threads 1,2]
                                           [--nest-python PATH] [--brian2-python PATH]
    .venv/bin/python benchmarks/compare.py --write-docs

The contestants take turns (A B A B ...), so that a slow hour of the machine meets all of them; round r runs
with seed r.  Each finished run is kept in benchmarks/results/compare.json at once and not run again unless
--again is given.  At the end, or alone with --write-docs, docs/benchmarks.md gets its tables and plot anew.
A peer may live in another environment: --nest-python and --brian2-python, or SNNSIM_NEST_PYTHON and
SNNSIM_BRIAN2_PYTHON, name its interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import compare_report as report  # noqa: E402
from record import machine, now  # noqa: E402

from snnsim.atomic import write_json  # noqa: E402

SNNSIM = [sys.executable, "-c", "from snnsim.cli.main import main; main()"]
RESULTS = HERE / "results" / "compare.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = HERE.parent / "docs" / "images" / "compare.svg"
TIMEOUT_S = 4 * 3600.0

PEER_SCRIPTS = {"nest": "nest_bench.py", "brian2": "brian2_bench.py"}
PACKAGES = {"nest": "pip install nest-simulator", "brian2": "pip install brian2 'numpy<2.4'"}

Run = dict[str, Any]
Execute = Callable[[list[str]], dict[str, Any]]


@dataclass(frozen=True)
class Race:
    """A network, how much of its time is run and measured, and who runs it beside snnsim.

    ours  snnsim with the usual precision of the benchmark, and with another
    """

    duration_ms: float
    warmup_ms: float
    peers: tuple[str, ...]
    ours: tuple[str, ...] = ("snnsim",)


RACES = {
    "microcircuit": Race(1000.0, 500.0, ("nest",)),
    "cuba": Race(10_000.0, 500.0, ("brian2-cpp", "brian2-cython", "nest"), ("snnsim", "snnsim-float32")),
    "coba": Race(10_000.0, 500.0, ("brian2-cpp", "brian2-cython", "nest"), ("snnsim", "snnsim-float32")),
    "brunel": Race(1000.0, 200.0, ("brian2-cpp", "brian2-cython", "nest")),
    "brunel-stdp": Race(1000.0, 200.0, ("brian2-cpp", "nest")),
    "stdp-1m": Race(1000.0, 500.0, ("brian2-cpp", "brian2-cython")),
}


class Failed(Exception):
    """A contestant did not come to an end; the text says why."""


@dataclass(frozen=True)
class Start:
    """One run to make: `key` is what makes it the same run as one that is already there."""

    benchmark: str
    contestant: str
    threads: int
    scale: float
    duration_ms: float
    warmup_ms: float
    round: int

    def key(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def command(self, pythons: dict[str, str]) -> list[str]:
        """The command line of the contestant."""
        peer, _, target = self.contestant.partition("-")
        if peer == "snnsim":
            line = [*SNNSIM, "bench", self.benchmark, "--json", "--quiet"]
        else:
            line = [pythons[peer], str(HERE / "peers" / PEER_SCRIPTS[peer]), self.benchmark]
        if target and peer == "snnsim":
            line += ["--precision", target]
        elif target:
            line += ["--target", {"cpp": "cpp_standalone", "cython": "cython"}[target]]
        options = {
            "--scale": self.scale, "--duration-ms": self.duration_ms, "--warmup-ms": self.warmup_ms,
            "--threads": self.threads, "--seed": self.round,
        }  # fmt: skip
        return line + [word for key, value in options.items() for word in (key, f"{value:.15g}")]

    def shown(self) -> str:
        """The command line as a person would type it."""
        line = self.command(dict.fromkeys(PEER_SCRIPTS, "python"))
        if self.contestant.startswith("snnsim"):
            line[: len(SNNSIM)] = ["snnsim"]
        return " ".join(line).replace(f"{HERE.parent}{os.sep}", "")


def key_of(run: Run) -> tuple[Any, ...]:
    return tuple(run[name] for name in Start.__dataclass_fields__)


def starts(names: list[str], offered: list[str], options: argparse.Namespace) -> Iterator[Start]:
    """All runs in the order in which they are made."""
    for name in names:
        race = RACES[name]
        for number in range(1, options.rounds + 1):
            for threads in options.threads:
                for contestant in (*(race.ours if name in offered else []), *race.peers):
                    if options.without and contestant.partition("-")[0] in options.without:
                        continue
                    if contestant == "brian2-cython" and threads > 1:
                        continue  # it knows no threads
                    duration_ms = options.duration_ms or race.duration_ms
                    warmup_ms = race.warmup_ms if options.warmup_ms is None else options.warmup_ms
                    yield Start(name, contestant, threads, options.scale, duration_ms, warmup_ms, number)


def execute(command: list[str]) -> dict[str, Any]:
    """Run a contestant; its one JSON object.  Raises Failed with the last line that it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise Failed(said[-1]) from error
    if done.returncode != 0 or answer.get("ok") is False:
        raise Failed((answer.get("error") or {}).get("message", said[-1]))
    return answer.get("data", answer)


def compete(record: Run, wanted: Iterator[Start], again: bool, run: Execute, save: Callable[[], None],
            pythons: dict[str, str]) -> list[str]:  # fmt: skip
    """Make the runs that `record` does not hold yet, saving after each; returns what failed, in words."""
    failures = []
    for start in wanted:
        held = [r for r in record["runs"] if key_of(r) == start.key()]
        if held and not again:
            continue
        print(f"round {start.round}: {start.shown()}", file=sys.stderr, flush=True)
        try:
            result = run(start.command(pythons))
        except Failed as error:
            failures.append(f"{start.shown()}: {error}")
            print(f"  failed: {error}", file=sys.stderr, flush=True)
            continue
        print(f"  RTF {result['rtf']:.4g}", file=sys.stderr, flush=True)
        record["runs"] = [r for r in record["runs"] if key_of(r) != start.key()]
        found = {"date": now(), "command": start.shown(), "result": result}
        record["runs"].append(vars(start) | found)
        save()
    return failures


def load(path: Path) -> Run:
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    return {"benchmark": "compare", "runs": []}


def missing_peers(pythons: dict[str, str], needed: set[str]) -> list[str]:
    """Sentences about peers that cannot be imported, with what to install."""
    sentences = []
    for peer in sorted(needed):
        try:
            tried = subprocess.run([pythons[peer], "-c", f"import {peer}"], capture_output=True, text=True)
            reason = (tried.stderr.strip().splitlines() or ["no message"])[-1] if tried.returncode else ""
        except OSError as error:
            reason = str(error)
        if reason:
            sentences.append(
                f"{peer} cannot be used with {pythons[peer]}: {reason}\n"
                f"  fix: {PACKAGES[peer]}, or name the interpreter that has it by --{peer}-python, "
                f"or leave it out by --without {peer}"
            )
    return sentences


def listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Race snnsim against NEST and Brian2.")
    parser.add_argument("--only", type=listed, help=f"benchmarks: {','.join(RACES)}")
    parser.add_argument("--without", type=listed, default=[], help="simulators: snnsim,nest,brian2")
    parser.add_argument("--rounds", type=int, default=3)
    threads = sorted({1, os.cpu_count() or 1})
    parser.add_argument(
        "--threads", type=lambda text: [int(word) for word in listed(text)], default=threads,
        help=f"counts of threads to run with (default {','.join(map(str, threads))})",
    )  # fmt: skip
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--duration-ms", type=float, help="model time that is timed")
    parser.add_argument("--warmup-ms", type=float, help="model time before that")
    for peer in PEER_SCRIPTS:
        usual = os.environ.get(f"SNNSIM_{peer.upper()}_PYTHON", sys.executable)
        parser.add_argument(f"--{peer}-python", default=usual, help=f"interpreter that has {peer}")
    parser.add_argument("--again", action="store_true", help="also runs that the results hold already")
    parser.add_argument("--write-docs", action="store_true", help="only draw table and plot anew")
    parser.add_argument("--results", type=Path, default=RESULTS, help="instead; docs stay")
    options = parser.parse_args(arguments)
    for name in options.only or []:
        if name not in RACES:
            parser.error(f"no such benchmark: {name}; there are {', '.join(RACES)}")
    for name in options.without:
        if name not in ("snnsim", *PEER_SCRIPTS):
            parser.error(f"no such simulator: {name}; there are snnsim, {', '.join(PEER_SCRIPTS)}")
    if options.rounds < 1 or min(options.threads, default=0) < 1:
        parser.error("--rounds and --threads must be at least 1")
    return options


def offered_by_snnsim() -> list[str]:
    """The benchmarks that `snnsim bench` knows."""
    return list(execute([*SNNSIM, "bench", "--json"])["benchmarks"])


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    record = load(options.results)
    failures: list[str] = []
    if not options.write_docs:
        pythons = {peer: getattr(options, f"{peer}_python") for peer in PEER_SCRIPTS}
        offered = [] if "snnsim" in options.without else offered_by_snnsim()
        names = options.only or [name for name in RACES if name in offered]
        wanted = list(starts(names, offered, options))
        peers = {s.contestant.partition("-")[0] for s in wanted} - {"snnsim"}
        if missing := missing_peers(pythons, peers):
            print("\n".join(missing), file=sys.stderr)
            return 2
        for name in set(names) - set(offered):
            print(f"snnsim does not run {name}: there will be no ratio", file=sys.stderr)

        def save() -> None:
            record.update(date=now(), machine=machine(), python=platform.python_version())
            record["summary"] = report.summary(record["runs"])
            write_json(options.results, record)

        failures = compete(record, iter(wanted), options.again, execute, save, pythons)
    print(report.markdown(record))
    if options.results == RESULTS:
        report.write_page(PAGE, record)
        report.draw(record, PLOT)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
