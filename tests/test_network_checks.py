"""What several parts of a description say together: names, signs, bounds, reset and threshold."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnsim import (
    IF,
    LIF,
    STDP,
    AllToAll,
    Arrays,
    ConfigError,
    Current,
    Exponential,
    Images,
    LogNormal,
    Network,
    Normal,
    Normalisation,
    Phase,
    Poisson,
    Population,
    Probe,
    Projection,
    Uniform,
)
from snnsim.distributions import extent

SYNAPSE = Exponential(tau_exc_ms=2.0, tau_inh_ms=5.0)
CELL = LIF(tau_m_ms=10.0, v_rest_mv=0.0, v_th_mv=10.0, v_reset_mv=0.0, synapse=SYNAPSE)


def stdp(w_min, w_max, **fields):
    return STDP(
        tau_plus_ms=20.0, tau_minus_ms=20.0, a_plus=0.1, a_minus=0.1, w_min=w_min, w_max=w_max, **fields
    )


def projection(weight, **fields):
    return Projection(source="in_", target="a", rule=AllToAll(), weight_pa=weight, delay_ms=1.0, **fields)


def network(probes=None, **projections):
    return Network(
        populations={"a": Population(n=2, neuron=CELL), "b": Population(n=3, neuron=CELL)},
        stimuli={"in_": Poisson(n=2, rate_hz=5.0), "step": Current(target="a", amplitude_pa=[1.0])},
        projections=projections,
        probes=probes or {},
    )


# --- names of probes


@pytest.mark.parametrize("name", ["b", "in_"])
@pytest.mark.parametrize("variable", ["spikes", "v_mv"])
def test_a_probe_may_not_bear_the_name_of_something_else_that_fires(name, variable):
    with pytest.raises(ConfigError, match=rf"probes\.{name}: the name is taken.*Fix: rename the probe"):
        network({name: Probe(target="a", variable=variable)})


def test_nor_may_a_probe_of_weights():
    p = projection(1.0, plasticity=stdp(0.0, 5.0))
    with pytest.raises(ConfigError, match=r"probes\.a: the name is taken"):
        network({"a": Probe(target="a_in", variable="weight", every_ms=1.0)}, a_in=p)
    with pytest.raises(ConfigError, match=r"probes\.a: the name is taken"):
        network({"a": Probe(target="a", variable="weight", every_ms=1.0)}, a=p)


def test_a_probe_may_bear_the_name_of_its_target_or_of_what_never_fires():
    probes = {"a": Probe(target="a"), "in_": Probe(target="in_"), "step": Probe(target="b")}
    assert set(network(probes).probes) == {"a", "in_", "step"}


# --- signs of weights


def test_normalisation_and_a_learning_rule_that_lets_weights_sink_below_zero():
    scaled = Normalisation(total=5.0, every_ms=1.0)
    with pytest.raises(ConfigError, match=r"plasticity\.w_min: normalisation needs weights that stay >= 0"):
        projection(1.0, plasticity=stdp(-0.1, 5.0), normalisation=scaled)
    assert projection(1.0, plasticity=stdp(0.0, 5.0), normalisation=scaled).weight_bounds() == (0.0, 5.0)


SIGNS = [
    (5.0, None, "exc"),
    (-5.0, None, "inh"),
    (0.0, None, "exc"),
    (Uniform(low=-5.0, high=0.0), None, "inh"),
    (Uniform(low=0.0, high=5.0), None, "exc"),
    (LogNormal(mean=1.0, std=1.0), None, "exc"),
    (0.0, stdp(-100.0, 0.0), "inh"),
    (-50.0, stdp(-100.0, 0.0), "inh"),
    (0.0, stdp(0.0, 100.0), "exc"),
]


@pytest.mark.parametrize(("weight", "plasticity", "receptor"), SIGNS)
def test_the_sign_that_weights_can_have_picks_the_receptor(weight, plasticity, receptor):
    p = projection(weight, plasticity=plasticity)
    assert p.inferred_receptor() == receptor
    assert network(p=p).projections["p"] == p
    other = "exc" if receptor == "inh" else "inh"
    assert p.replace(receptor=other).inferred_receptor() == other


@pytest.mark.parametrize("weight", [-1.0, 0.0, 1.0])
def test_weights_that_learning_can_turn_need_a_receptor(weight):
    p = projection(weight, plasticity=stdp(-2.0, 3.0))
    with pytest.raises(
        ConfigError, match=r"projections\.p\.receptor: .*from -2 to 3.*Fix: split.*add receptor"
    ):
        network(p=p)
    assert network(p=p.replace(receptor="inh")).projections["p"].inferred_receptor() == "inh"


def test_weights_of_both_signs_need_a_receptor():
    with pytest.raises(ConfigError, match=r"projections\.p\.receptor: .*add receptor"):
        network(p=projection(Uniform(low=-1.0, high=1.0)))


def test_delta_synapses_take_weights_of_both_signs():
    neuron = IF(v_th_mv=10.0, v_reset_mv=0.0)
    p = Projection(
        source="a", target="a", rule=AllToAll(), weight_mv=0.0, delay_ms=1.0, plasticity=stdp(-2.0, 3.0)
    )
    Network(populations={"a": Population(n=2, neuron=neuron)}, projections={"p": p})


# --- distributions


@pytest.mark.parametrize(
    "bounds", [{"high": 0.0}, {"high": -1.0}, {"low": -1.0}, {"low": -2.0, "high": -1.0}]
)
def test_a_lognormal_variable_is_positive(bounds):
    with pytest.raises(ConfigError, match=r"lognormal\.(low|high): out of range"):
        LogNormal(mean=1.0, std=1.0, **bounds)
    assert LogNormal(mean=1.0, std=1.0, low=0.0, high=5.0).support()[0] > 0


NOTHING_LEFT = [
    {"mean": 1.0, "std": 5.0, "high": 1e-6},  # mean - 6 std is far below; the median is 0.2, not 1
    {"mean": 100.0, "std": 1.0, "high": 90.0},
    {"mean": 1.0, "std": 0.1, "low": 2.0},
]


@pytest.mark.parametrize("fields", NOTHING_LEFT)
def test_bounds_of_a_lognormal_variable_are_judged_on_the_scale_of_its_logarithm(fields):
    with pytest.raises(ConfigError, match="almost nothing"):
        LogNormal(**fields)


def test_a_long_tail_may_be_cut_out():
    LogNormal(mean=1.0, std=1.0, low=8.0)  # 7 std above the mean, yet not rare


@pytest.mark.parametrize(
    "fields",
    [
        {"low": 6.1},
        {"high": -6.1},
        {"low": 1e300},
        {"low": 0.0, "high": 1e-10},
        {"low": 5.0, "high": 5.0000001},
    ],
)
def test_bounds_of_a_normal_variable_leave_something(fields):
    with pytest.raises(ConfigError, match="almost nothing"):
        Normal(mean=0.0, std=1.0, **fields)


@given(st.floats(-5.9, 4.0), st.floats(0.1, 10.0), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_wide_bounds_are_accepted(low, width, mean, std):
    found = Normal(mean=mean, std=std, low=mean + low * std, high=mean + (low + width) * std)
    assert extent(found) == found.support()


@pytest.mark.parametrize("std", [1e-300, 1e300])
def test_a_lognormal_variable_with_which_nothing_can_be_computed(std):
    with pytest.raises(ConfigError, match=r"lognormal\.std: "):
        LogNormal(mean=1.0, std=std)


def test_a_uniform_variable_of_infinite_width():
    with pytest.raises(ConfigError, match=r"uniform\.high: "):
        Uniform(low=-1e308, high=1e308)


# --- learning rules


def test_bounds_of_a_learning_rule_that_are_infinitely_far_apart():
    with pytest.raises(ConfigError, match=r"stdp\.w_max: "):
        stdp(-1e308, 1e308)


@pytest.mark.parametrize(("w_0", "w_max"), [(1e-40, 1.0), (1.0, 1e200)])
def test_a_power_law_whose_steps_are_no_numbers(w_0, w_max):
    with pytest.raises(ConfigError, match=r"stdp\.w_0: "):
        stdp(0.0, w_max, dependence="power_law", mu_plus=10.0, w_0=w_0)
    stdp(0.0, w_max, dependence="power_law", mu_plus=0.4, w_0=w_0)


# --- reset and threshold


@pytest.mark.parametrize(
    ("reset", "threshold"),
    [
        (10.0, 10.0),
        ([0.0, 12.0], 10.0),
        (10.0, [11.0, 10.0]),
        ([0.0, 5.0], [10.0, 5.0]),
    ],
)
def test_a_reset_that_is_not_below_the_threshold(reset, threshold):
    with pytest.raises(ConfigError, match=r"if\.v_reset_mv: the reset is not below.*expected < v_th_mv"):
        IF(v_th_mv=threshold, v_reset_mv=reset)


def test_the_neuron_is_named():
    with pytest.raises(ConfigError, match=r"got 12\.0, expected < v_th_mv = 10 of neuron 1"):
        IF(v_th_mv=10.0, v_reset_mv=[0.0, 12.0, 13.0])


@pytest.mark.parametrize(
    ("reset", "threshold", "fix"),
    [
        (0.0, Normal(mean=10.0, std=1.0), "give v_th_mv a low bound that"),
        (Normal(mean=0.0, std=1.0), 10.0, "give v_reset_mv a high bound that"),
        (Normal(mean=0.0, std=1.0), Normal(mean=10.0, std=1.0), "high bound and give v_th_mv a low bound"),
        (Uniform(low=0.0, high=11.0), [10.0, 12.0], "give v_reset_mv a high bound"),
        ([0.0, 9.0], Uniform(low=9.0, high=12.0), "give v_th_mv a low bound"),
    ],
)
def test_a_drawn_reset_that_can_reach_the_threshold(reset, threshold, fix):
    with pytest.raises(ConfigError, match=rf"fire for ever; .*Fix: .*{fix}"):
        IF(v_th_mv=threshold, v_reset_mv=reset)


@pytest.mark.parametrize("threshold", [0.0, -1.0, [1.0, 0.0], Uniform(low=-1.0, high=1.0)])
def test_a_reset_to_zero_needs_thresholds_above_zero(threshold):
    with pytest.raises(ConfigError, match=r"if\.v_th_mv: "):
        IF(v_th_mv=threshold, reset="zero")


def test_resets_below_their_thresholds():
    IF(v_th_mv=[10.0, 20.0], v_reset_mv=[9.0, 19.0])
    IF(v_th_mv=Normal(mean=10.0, std=1.0, low=5.0), v_reset_mv=Uniform(low=-1.0, high=4.0))
    IF(v_th_mv=Uniform(low=5.0, high=6.0), reset="zero")


def test_lists_of_different_length_are_the_affair_of_the_population():
    neuron = IF(v_th_mv=[10.0, 20.0], v_reset_mv=[0.0, 0.0, 0.0])
    with pytest.raises(ConfigError, match=r"one value for each neuron"):
        Population(n=2, neuron=neuron)


def test_extents():
    assert extent(3.0) == (3.0, 3.0)
    assert extent(np.array([2.0, -1.0])) == (-1.0, 2.0)
    assert extent(Normal(mean=0.0, std=1.0, low=-1.0)) == (-1.0, math.inf)


# --- mistakes of Python, in words of Python


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        (AllToAll, r"call the class: AllToAll\(\)"),
        ("all_to_all", r"call the class: AllToAll\(\)"),
        (Arrays, r"call the class: Arrays\(\.\.\.\)"),
        ({"kind": "all_to_all"}, ""),
        (3, ""),
    ],
)
def test_something_else_than_a_description(rule, fix):
    message = r"Projection\.rule: wrong type; .*expected AllToAll\(\.\.\.\), OneToOne\(\.\.\.\)"
    with pytest.raises(ConfigError, match=message + (f".*Fix: {fix}$" if fix else "")):
        Projection(source="a", target="b", rule=rule, weight_pa=1.0, delay_ms=1.0)


def test_something_else_than_tables_and_lists():
    with pytest.raises(ConfigError, match=r'populations: .*expected {"a_name": ...} with values Pop'):
        Network(populations=[Population(n=2, neuron=CELL)])
    with pytest.raises(ConfigError, match=r"images\.phases: .*expected a list of Phase\(\.\.\.\)"):
        Images(dataset="digits", present_ms=1.0, phases=Phase(name="a"))


def test_weights_of_both_signs_fit_a_target_with_one_current():
    one = CELL.replace(synapse=Exponential(tau_exc_ms=2.0))
    net = network(p=projection(1.0)).replace(populations={"a": Population(n=2, neuron=one)})
    net.replace(projections={"p": projection(Normal(mean=0.0, std=1.0))})


# --- a network stays as it is


@pytest.mark.parametrize("table", ["populations", "projections", "stimuli", "probes"])
def test_tables_cannot_be_changed(table):
    given = {"a": Population(n=2, neuron=CELL)}
    net = Network(populations=given)
    with pytest.raises(TypeError):
        getattr(net, table)["x"] = 1
    given["b"] = given["a"]
    assert list(net.populations) == ["a"]


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))  # noqa: S301  (as multiprocessing does)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle, Network.replace])
def test_copies_are_equal_and_frozen_too(copied):
    net = network(p=projection(1.0))
    again = copied(net)
    assert again == net
    assert again is not net
    assert repr(again) == repr(net)
    with pytest.raises(TypeError):
        again.probes["x"] = 1
    assert net.replace(populations={**net.populations, "c": net.populations["a"]}) != net
