"""What the race against other simulators says: ratios, tables, plot and page.  The runs are made up."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import compare  # noqa: E402
import compare_report as report  # noqa: E402


def a_run(contestant="snnsim", rtf=1.0, threads=1, round_=1, rates=None, benchmark="cuba", **result):
    return {
        "benchmark": benchmark, "contestant": contestant, "threads": threads, "scale": 1.0,
        "duration_ms": 2000.0, "warmup_ms": 500.0, "round": round_,
        "result": {
            "rtf": rtf, "sim_s": 2.0 * rtf, "build_s": 0.5, "n_neurons": 4000, "n_synapses": 320_000,
            "peak_rss_gb": 0.25, "version": "1.2", "rates_hz": rates or {"exc": 5.5, "inh": 5.6},
        } | result,
    }  # fmt: skip


def rows_of(*runs):
    return {(row["contestant"], row["threads"]): row for row in report.summary(list(runs))}


# Ratios


def test_the_ratio_is_that_of_medians_at_equal_threads():
    runs = [a_run(rtf=rtf, round_=k) for k, rtf in enumerate((0.1, 0.2, 0.9), 1)]
    runs += [a_run("nest", rtf=rtf, round_=k) for k, rtf in enumerate((3.0, 1.0, 1.1), 1)]
    runs += [a_run(rtf=0.125, threads=2), a_run("nest", rtf=0.5, threads=2)]
    rows = rows_of(*runs)
    assert rows["nest", 1]["ratio"] == pytest.approx(1.1 / 0.2)
    assert rows["nest", 2]["ratio"] == pytest.approx(4.0)
    nest = rows["nest", 1]
    assert (nest["rtf_min"], nest["rtf"], nest["rtf_max"], nest["rounds"]) == (1.0, 1.1, 3.0, 3)
    assert rows["snnsim", 1]["ratio"] is None
    assert rows["snnsim", 1]["no_ratio"] == ""


def test_no_ratio_without_a_run_of_ours_with_as_many_threads():
    row = rows_of(a_run(), a_run("nest", threads=2))["nest", 2]
    assert row["ratio"] is None
    assert row["no_ratio"] == "no run of snnsim with as many threads"


def test_runs_of_other_durations_are_not_compared():
    other = a_run("nest") | {"duration_ms": 1000.0}
    assert rows_of(a_run(), other)["nest", 1]["ratio"] is None


@pytest.mark.parametrize(
    ("hz", "stated"), [(10.0, True), (8.51, True), (8.49, False), (11.7, True), (11.8, False)]
)
def test_rates_may_differ_by_15_percent_of_the_larger(hz, stated):
    ours, theirs = a_run(rates={"exc": 10.0, "inh": 3.0}), a_run("nest", rates={"exc": hz, "inh": 3.0})
    row = rows_of(ours, theirs)["nest", 1]
    assert (row["ratio"] is not None) is stated
    if not stated:
        assert row["no_ratio"] == f"mean rates of exc differ by more than 15%: 10 and {hz:.3g} Hz"


def test_rates_are_means_over_the_rounds():
    """One round alone would be refused, in either direction."""
    ours = [a_run(rates={"exc": 10.0}, round_=k) for k in (1, 2)]
    theirs = [a_run("nest", rates={"exc": hz}, round_=k) for k, hz in ((1, 8.0), (2, 12.0))]
    assert rows_of(*ours, *theirs)["nest", 1]["ratio"] == 1.0


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"n_neurons": 4001}, "neurons: 4,000 and 4,001"),
        ({"n_synapses": 310_000}, "synapses: 320,000 and 310,000"),
        ({"rates_hz": {"E": 5.5, "I": 5.6}}, "populations: exc, inh and E, I"),
        ({"rates_hz": {"exc": 0.0, "inh": 5.6}}, "mean rates of exc differ by more than 15%: 5.5 and 0 Hz"),
    ],
)
def test_no_ratio_for_another_network(other, reason):
    row = rows_of(a_run(), a_run("brian2-cpp", **other))["brian2-cpp", 1]
    assert (row["ratio"], row["no_ratio"]) == (None, reason)


def test_two_silent_networks_are_the_same():
    silent = {"exc": 0.0}
    assert rows_of(a_run(rates=silent), a_run("nest", rtf=2.0, rates=silent))["nest", 1]["ratio"] == 2.0


# Table and plot


def a_record():
    runs = [a_run("nest", rtf=1.5, round_=2), a_run("nest", rtf=2.5), a_run(rtf=0.1, compile_s=0.3)]
    other = {"exc": 9.0, "inh": 5.6}
    runs += [a_run(benchmark="brunel"), a_run("brian2-cython", benchmark="brunel", rates=other)]
    return {"runs": runs, "machine": "a machine", "date": "2000-01-02T03:04:05+00:00"}


def test_the_table_says_what_was_run_and_what_came_out():
    lines = report.markdown(a_record()).splitlines()
    assert lines[0] == "a machine; Brian2 1.2, NEST 1.2, snnsim 1.2; 2000-01-02."
    assert "### cuba: 4,000 neurons, 320,000 synapses" in lines
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    time, end = "1 | float64 | 2 s after 0.5 s", "0.5 s | 0.25 GB | exc 5.5, inh 5.6 |"
    assert f"| snnsim | {time} | 0.1 (1 round) | 1 | 0.3 s | {end}" in table
    assert f"| NEST | {time} | 2 (1.5 to 2.5) | 20 | - | {end}" in table
    cython = next(line for line in table if "Cython" in line)
    assert [cell.strip() for cell in cython.split("|")][6] == "-"
    assert "mean rates of exc differ by more than 15%" in lines[-1]


def test_without_runs_there_is_a_sentence():
    assert report.markdown({"runs": []}) == "No run yet."


def test_the_page_keeps_what_stands_around_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.write_page(page, a_record())
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\na machine")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert text.count("### cuba") == 1


def test_a_page_without_markers_is_refused_and_kept(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{report.BEGIN}\nno end")
    with pytest.raises(ValueError, match="lacks the line <!-- compare:end -->"):
        report.write_page(page, a_record())
    assert page.read_text() == f"{report.BEGIN}\nno end"


def test_the_page_of_the_docs_shows_the_kept_results():
    """`benchmarks/compare.py --write-docs` would change nothing."""
    text = compare.PAGE.read_text(encoding="utf-8")
    between = text.partition(report.BEGIN)[2].partition(report.END)[0].strip()
    assert between == report.markdown(compare.load(compare.RESULTS))


def test_the_plot_shows_every_row(tmp_path):
    report.draw(a_record(), tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert "NEST, 1 thread" in drawn
    assert "Brian2 Cython, 1 thread" in drawn
    assert "brunel: 4,000 neurons, 320,000 synapses; 2 s after 0.5 s" in drawn
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
