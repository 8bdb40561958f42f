"""`snnsim models` says all that is needed to write a config."""

import json

import pytest
from typer.testing import CliRunner

from snnsim.cli.main import app
from snnsim.cli.models import catalogue
from snnsim.config import _KEYS, Config, Document, Run
from snnsim.fields import Rule
from snnsim.network import Network
from snnsim.spec import Spec, rules


def page(*names):
    result = CliRunner().invoke(app, ["models", *names])
    assert result.exit_code == 0, result.output
    return result.stdout


def reachable(cls: type[Spec]) -> set[type[Spec]]:
    found = {cls}
    for rule in rules(cls).values():
        for inner in rule.types:
            found |= reachable(inner)
    return found


def test_every_description_of_a_config_is_listed():
    listed = {cls for kinds in catalogue().values() for cls in kinds.values()}
    assert reachable(Config) - {Config, Network} <= listed
    assert {Document, Run} <= listed


def test_the_top_level_is_as_the_network_has_it():
    assert set(_KEYS) == {"schema", "name", "run", "task", *rules(Network)}
    for key, rule in rules(Network).items():
        there: Rule = rules(Document)[key]
        assert (rule.kind, rule.types, rule.choices) == (there.kind, there.types, there.choices)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("LIF", "lif"), ("Lif", "lif"), ("PairwiseBernoulli", "pairwise_bernoulli"), ("stdp", "stdp"),
     ("Run", "run"), ("config", "config"), ("task", "task"), ("Classify", "task"), ("values", "values")],
)  # fmt: skip
def test_names_of_classes_and_tables(name, kind):
    assert json.loads(page(name, "--json"))["data"]["kind"] == kind


def test_types_and_ways_to_give_values():
    lif = page("lif").splitlines()
    assert next(line for line in lif if line.startswith("key")).split()[1] == "type"
    assert next(line for line in lif if line.startswith("tau_m_ms")).split()[1] == "values"
    assert 'kind = "lif"' in page("lif")
    assert all(word in page("values") for word in ("a number", "a list", "distribution", "{ file ="))
    assert "precision" in page("config")
    assert "by source, then delay, then target" in " ".join(page("probe").split())
