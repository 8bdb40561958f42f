"""The automatic choice: its table, its front and the rule by which one is taken."""

from __future__ import annotations

import json

import numpy as np
from small_graphs import mlp

from snnsim.converters.auto import Candidate, Choice, automatic
from snnsim.converters.convert import convert


def test_choice_on_a_small_network() -> None:
    graph, x = mlp(sizes=(20, 16, 12, 4))
    made = automatic(
        graph, x, levels=(1, 15), timesteps=(4, 16), normalisations=("mse", "percentile"), thorough=True
    )
    choice = made.choice
    assert choice is not None
    assert len(choice.candidates) == 2 + 2 * 2 * 2 + 1
    assert [c.additions for c in choice.candidates] == sorted(c.additions for c in choice.candidates)
    networks = [c for c in choice.candidates if c.method != "ttfs"]
    best = max(c.agreement for c in networks)
    good = [c for c in networks if c.agreement >= best - choice.tolerance]
    assert choice.taken == min(good, key=lambda c: (c.additions, c.error))
    assert (made.method, made.timesteps) == (choice.taken.method, choice.taken.timesteps)
    scores = made.predict(x).argmax(axis=1)
    assert np.mean(scores == graph.evaluate(x)["f2"].argmax(axis=1)) == choice.taken.agreement
    (timed,) = [c for c in choice.candidates if c.method == "ttfs"]
    assert timed.agreement == 1.0
    assert json.loads(json.dumps(choice.as_dict()))["taken"]["method"] == made.method


def test_what_can_only_cost_more_is_left_out() -> None:
    """The same is taken, from fewer."""
    graph, x = mlp()
    options = {"levels": (1, 255), "timesteps": (4, 256), "normalisations": ("mse",)}
    all_tried, fewer = automatic(graph, x, thorough=True, **options), automatic(graph, x, **options)
    assert all_tried.choice is not None
    assert fewer.choice is not None
    assert fewer.choice.taken == all_tried.choice.taken
    assert set(fewer.choice.candidates) < set(all_tried.choice.candidates)


def test_additions_are_those_of_the_simulation() -> None:
    graph, x = mlp()
    made = automatic(graph, x, levels=(3,), timesteps=(4,), normalisations=("max",))
    assert made.choice is not None
    exact = convert(graph, x, "exact", levels=3).run(x)
    (one,) = [c for c in made.choice.candidates if c.method == "exact"]
    assert one.additions == sum(int(a.sum()) for a in exact.additions.values()) / len(x)


def test_the_front() -> None:
    def one(agreement: float, error: float, additions: float) -> Candidate:
        return Candidate("rate", 0, 4, "mse", agreement, error, additions)

    a, b, c, d = one(0.8, 0.5, 1.0), one(0.7, 0.1, 2.0), one(0.9, 0.3, 3.0), one(0.9, 0.2, 4.0)
    assert Choice((a, b, c, d), c, 0.0, 10).pareto == (a, c, d)
