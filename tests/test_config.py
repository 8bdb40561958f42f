"""Config files: round trip, files, lines, overrides."""

import numpy as np
import pytest
from config_examples import DIGITS, EXAMPLES, LEARNING
from hypothesis import given, settings
from strategies import configs, networks

from snnsim import IF, Config, ConfigError, FileError, Network, Population, Run, load_config, save_config
from snnsim.config import SIZE_LIMIT, dumps, loads
from snnsim.config_warnings import config_warnings
from snnsim.spec import Spec, rules

MINIMAL = """\
schema = 1
run = { duration_ms = 10.0 }
[populations.a]
n = 2
neuron = { kind = "if", v_th_mv = 10.0, v_reset_mv = 0.0 }
"""

WITH_SYNAPSE = """\
schema = 1
run = { duration_ms = 10.0 }
[populations.e]
n = 2
[populations.e.neuron]
kind = "lif"
tau_m_ms = 20.0
v_rest_mv = -65.0
v_th_mv = -50.0
v_reset_mv = -65.0
synapse = { kind = "exponential", tau_exc_ms = 5.0 }
"""


# --- round trip -------------------------------------------------------------------------------------------


@given(configs())
@settings(max_examples=60)
def test_writing_and_reading_gives_an_equal_config(config):
    text = dumps(config)
    again = loads(text)
    assert again == config
    assert dumps(again) == text


def single(neuron, n=1):
    """A config with one population."""
    network = Network(populations={"a": Population(n=n, neuron=neuron)})
    return Config(name="x", run=Run(duration_ms=1.0), network=network)


def exact(value, other):
    """Equal to the last bit and in type, where == would let 0.0 be -0.0 and 1 be 1.0."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(exact(value[key], other[key]) for key in value)
    if isinstance(value, tuple):
        return len(value) == len(other) and all(map(exact, value, other))
    if isinstance(value, np.ndarray):
        same = value.dtype == other.dtype and value.shape == other.shape
        return same and value.tobytes() == other.tobytes()
    if isinstance(value, Spec):
        names = rules(type(value))
        return type(value) is type(other) and all(exact(getattr(value, n), getattr(other, n)) for n in names)
    return type(value) is type(other) and repr(value) == repr(other)


@given(networks(max_neurons=12))
@settings(max_examples=40)
def test_networks_survive_bit_for_bit(network):
    config = Config(name="x", run=Run(duration_ms=1.0), network=network)
    assert exact(loads(dumps(config)).network, network)


@pytest.mark.parametrize(
    "number", [5e-324, 1.7976931348623157e308, -0.0, 0.1, 1 / 3, 1e16, 1234567890123.456]
)
def test_numbers_survive_bit_for_bit(number):
    neuron = IF(v_th_mv=1e300, v_reset_mv=-1e300, i_bias_pa=number)
    assert exact(loads(dumps(single(neuron))), single(neuron))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_survive_a_file(name, tmp_path):
    config = loads(EXAMPLES[name])
    save_config(config, tmp_path / "again.toml")
    assert load_config(tmp_path / "again.toml") == config
    assert [path.name for path in tmp_path.iterdir()] == ["again.toml"]


def large_config(n=65):
    neuron = IF(v_th_mv=np.linspace(10, 20, n) / 3, v_reset_mv=np.full(n, -1.0), i_bias_pa=1.0)
    return single(neuron, n)


def test_long_arrays_go_to_a_file_beside(tmp_path):
    for n, files in ((64, ["net.toml"]), (65, ["net.npz", "net.toml"])):
        config = large_config(n)
        save_config(config, tmp_path / "net.toml")
        assert sorted(path.name for path in tmp_path.iterdir()) == files
        assert exact(load_config(tmp_path / "net.toml"), config)
    assert "net.npz" in (tmp_path / "net.toml").read_text()
    assert loads(dumps(config)) == config  # without a file, all is in the text


def test_a_missing_array_file_is_named_with_its_line(tmp_path):
    save_config(large_config(), tmp_path / "net.toml")
    (tmp_path / "net.npz").unlink()
    with pytest.raises(FileError, match=r"populations\.a\.neuron\.v_th_mv \(.*net\.toml:\d+\): no such file"):
        load_config(tmp_path / "net.toml")


# --- files ------------------------------------------------------------------------------------------------


def test_a_minimal_file(tmp_path):
    path = tmp_path / "my-net.v2.toml"
    path.write_text(MINIMAL)
    config = load_config(path)
    assert (config.name, config.run.dt_ms, config.run.seed, config.task) == ("my-net.v2", 0.1, 1, None)
    assert (config.origin.path, config.origin.text) == (path, MINIMAL)
    assert config.network.precision == "float64"


def test_line_ends_and_marks_of_windows_are_fine(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load_config(path).name == "a"
    path.write_bytes(MINIMAL.replace("\n", "\r\n").replace("n = 2", "n = 0").encode())
    with pytest.raises(ConfigError, match=r"a\.toml:4\)"):
        load_config(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(FileError, match="a folder or device"):
        load_config(tmp_path)
    with pytest.raises(FileError):
        load_config("a\0b")


def test_what_is_no_text(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"a\.toml:2: not UTF-8 text; got b'\\xff'"):
        load_config(path)
    path.write_bytes(b"#" * (SIZE_LIMIT + 1))
    with pytest.raises(ConfigError, match="too long; expected at most 1048576 bytes"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = \n", 1, 5),
        ("a = 1\nb = 2 3\n", 2, 7),
        ("a = 1\n\na = 2\n", 3, 6),
        ("a = [1,\n2", 2, 2),
        ('a = "x', 1, 7),
        ("[t]\n[t]\n", 2, 3),
        ("a = 1\nb = 01\n", 2, 6),
        ("a = 1e\n", 1, 6),
    ],
)
def test_faults_of_syntax_have_line_and_column(text, line, column):
    with pytest.raises(ConfigError, match="not valid TOML") as caught:
        loads(text)
    assert (caught.value.line, caught.value.where) == (line, f"column {column}")
    assert caught.value.code == "config.syntax"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\na = " + "9" * 5000, 2),
        ("a = " + "[" * 20_000, None),
        ("x" + ".x" * 400_000 + " = 1", None),
        ('"x"' + '."x"' * 100_000 + " = 1", None),
    ],
)
def test_documents_that_would_break_or_stall_the_reader(text, line):
    with pytest.raises(ConfigError, match="not valid TOML") as caught:
        loads(text)
    assert caught.value.line == line


# --- messages ---------------------------------------------------------------------------------------------

MESSAGES = [
    ("n = 2", "n = 0", "populations.a.n (<text>:4): out of range; got 0, expected a whole number >= 1"),
    ("n = 2", "n = 2.5", "populations.a.n (<text>:4): wrong type; got 2.5, expected a whole number >= 1"),
    ("n = 2", "N = 2", "populations.a.N (<text>:4): unknown key"),
    ("n = 2", "", "populations.a.n (<text>:3): a key is missing; expected a whole number >= 1"),
    ("n = 2", "n = 2\nm = 1", "populations.a.m (<text>:5): unknown key. Fix: valid: n, neuron"),
    ('"if"', '"lfi"', 'neuron.kind (<text>:5): unknown kind; got \'lfi\', expected one of "lif", "if",'),
    ("[populations", "[population", "population (<text>:3): unknown key. Fix: did you mean populations?"),
    ("schema = 1", "schema = 2", "schema (<text>:1): this version reads another schema; got 2, expected 1"),
    ("schema = 1", "schema = true", "schema (<text>:1): this version reads another schema"),
    ("schema = 1", "", "schema (<text>:1): a key is missing; expected 1. Fix: put schema = 1"),
    ("{ duration_ms = 10.0 }", "{}", "run.duration_ms (<text>:2): a key is missing"),
    ("run = { duration_ms = 10.0 }", "", "run.duration_ms (<text>:1): a key is missing"),
    ("10.0 }", "10.05 }", "not a multiple of dt_ms = 0.1; got 10.05, expected 10 or 10.1"),
    ("10.0 }", "1e300 }", "run.duration_ms (<text>:2): more steps than can be counted"),
    ("10.0 }", "10.0, seed = 0x8000000000000000 }", "run.seed (<text>:2): a whole number of more than"),
    ("schema = 1", 'schema = 1; name = "a/b"'.replace("; ", "\n"), "name (<text>:2): not usable as the name"),
    ("schema = 1", 'schema = 1; name = ".a"'.replace("; ", "\n"), "name (<text>:2): not usable as the name"),
    ("populations.a]", 'populations."a b"]', "populations.a b (<text>:3): not a name; got 'a b'"),
    ("n = 2", 'n = 2\n"\\u001b[2J" = 1', "populations.a.\\x1b[2J (<text>:5): unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MESSAGES)
def test_messages(old, new, message):
    text = MINIMAL.replace(old, new, 1)
    assert text != MINIMAL
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert message in str(caught.value)


def test_faults_that_show_later_are_located_too():
    config = loads(DIGITS)
    with (
        pytest.raises(ConfigError, match=r"stimuli\.digits\.dataset \(<text>:\d+\): bad"),
        config.origin.located(),
    ):
        raise ConfigError("bad", where="stimuli.digits.dataset")
    with pytest.raises(FileError, match="^/data/x: bad"), config.origin.located():
        raise FileError("bad", where="/data/x")


TASKS = [
    ('stimulus = "digits"', 'stimulus = "digit"', "task.stimulus", "did you mean digits?"),
    ('stimulus = "digits"', 'stimulus = "pictures"', "task.stimulus", "no labels"),
    ('readout = "out"', 'readout = "digits"', "task.readout", "no such population"),
    ('test_phase = "test"', 'test_phase = "tset"', "task.test_phase", "did you mean test?"),
    ('test_phase = "test"', 'test_phase = "label"', "task.test_phase", 'split = "test"'),
    ('assign_phase = "label"', 'assign_phase = "test"', "task.assign_phase", "must not be used"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "message"), TASKS)
def test_a_task_fits_its_network(old, new, where, message):
    with pytest.raises(ConfigError) as caught:
        loads(DIGITS.replace(old, new))
    assert caught.value.where == where
    assert message in str(caught.value)
    assert caught.value.line is not None


# --- overrides --------------------------------------------------------------------------------------------


def test_overrides_change_values_before_they_are_checked():
    config = loads(
        DIGITS,
        overrides=[
            "run.seed=7",
            "run.duration_ms = 5",
            "precision=float32",
            "name=two words".replace(" ", "_"),
            "stimuli.digits.phases[0].repeats=3",
            "populations.out.neuron.threshold.theta_plus_mv=0.5",
            "populations.out.neuron.threshold.tau_theta_ms=1e4",
            'projections.input.weight_mv={ kind = "uniform", low = 0.1, high = 0.2 }',
            "projections.input.weight_mv.high=0.4",
        ],
    )
    assert (config.run.seed, config.run.duration_ms, config.network.precision) == (7, 5.0, "float32")
    assert config.name == "two_words"
    assert config.network.stimuli["digits"].phases[0].repeats == 3
    assert config.network.populations["out"].neuron.threshold.theta_plus_mv == 0.5
    assert config.network.projections["input"].weight_mv.high == 0.4
    assert loads(dumps(config)) == config


def test_overrides_make_optional_tables():
    text = DIGITS[: DIGITS.index("[task]")]
    assert loads(text).task is None
    given = ["task.kind=classify", "task.stimulus=digits", "task.readout=out"]
    assert (
        loads(text, overrides=given).task == loads(DIGITS, overrides=["task.readout_rule=proportional"]).task
    )


OVERRIDES = [
    ("run.seed=-1", "--set run.seed: out of range; got -1"),
    ("run.sed=1", "--set run.sed: unknown key. Fix: did you mean seed?"),
    ("run.seed=nan", "--set run.seed: wrong type; got nan"),
    ("run.dt_ms=inf", "--set run.dt_ms: not a finite number; got inf"),
    ("run.seed=9223372036854775808", "--set run.seed: a whole number of more than 64 bits"),
    ("rum.seed=1", "--set rum: unknown key. Fix: did you mean run?"),
    ("populations.xec.n=4", "--set populations.xec.n: no such entry in populations; got 'xec'. Fix:"),
    ("projections.pairs.plasticity.a_plus.x=4", "--set projections.pairs.plasticity.a_plus.x: "
     "projections.pairs.plasticity.a_plus is not a table"),
    ("populations[0]=1", "--set populations[0]: populations is not a list"),
    ("probes.weights.ids[2]=1", "--set probes.weights.ids[2]: probes.weights.ids is not a list"),
    ("run.seed", "--set run.seed: not a change of a key"),
    ("=1", "--set : not a change of a key"),
    ("run..seed=1", "--set run..seed: not a change of a key"),
    ("name=a b", "--set name: not a TOML value"),
    ("run.seed=", "--set run.seed: not a TOML value"),
    ("run.seed=1\nrun.threads=2", "--set run.seed: not a TOML value (more than one value)"),
    ("run.seed=1\n[a]", "--set run.seed: not a TOML value (more than one value)"),
    ("run.duration_ms=0.05", "--set run.duration_ms: not a multiple of dt_ms = 0.1"),
    ("run.dt_ms=0.3", "run.duration_ms (<text>:5): not a multiple of dt_ms = 0.3; got 100.0, "),
    ("projections.pairs.rule.p=2", "--set projections.pairs.rule.p: out of range; got 2"),
    ("projections.pairs.rule={kind='all_to_all', p=1}", "--set projections.pairs.rule.p: unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "message"), OVERRIDES)
def test_messages_about_overrides(override, message):
    with pytest.raises(ConfigError) as caught:
        loads(LEARNING, overrides=[override])
    assert str(caught.value).startswith(message)


def test_a_position_beyond_the_list():
    with pytest.raises(ConfigError, match=r"--set stimuli\.digits\.phases\[3\]\.name: .* has 3 elements"):
        loads(DIGITS, overrides=["stimuli.digits.phases[3].name=x"])


def test_the_cause_of_a_wrong_key_is_named():
    with pytest.raises(
        ConfigError, match=r"unknown key of kind delta.*--set populations\.e\.neuron\.synapse\.kind left"
    ):
        loads(WITH_SYNAPSE, overrides=["populations.e.neuron.synapse.kind=delta"])
    given = loads(WITH_SYNAPSE, overrides=['populations.e.neuron.synapse={ kind = "delta" }'])
    assert given.network.populations["e"].neuron.synapse.KIND == "delta"
    with pytest.raises(
        ConfigError, match=r"tau_exc_ms .*unknown key of kind delta.*belongs to kind exponential"
    ):
        loads(WITH_SYNAPSE.replace('"exponential"', '"delta"'))


def test_messages_name_the_option_that_was_used(tmp_path):
    (tmp_path / "a.toml").write_text(MINIMAL)
    options = {"run.duration_ms": "--duration-ms"}
    with pytest.raises(ConfigError, match=r"^--duration-ms: out of range"):
        load_config(tmp_path / "a.toml", ["run.duration_ms=-1.0"], options)
    with pytest.raises(ConfigError, match=r"^--set run\.seed: out of range"):
        load_config(tmp_path / "a.toml", ["run.seed=-1"], options)


def test_keys_in_the_wrong_place():
    text = MINIMAL.replace("duration_ms = 10.0", 'duration_ms = 10.0, precision = "float32"')
    with pytest.raises(
        ConfigError, match=r"run\.precision .*unknown key\. Fix: move precision above the first"
    ):
        loads(text)
    with pytest.raises(ConfigError, match=r"v_th_mv\.array .*a key is missing"):
        loads(MINIMAL.replace("v_th_mv = 10.0", 'v_th_mv = { file = "net.npz" }'))
    with pytest.raises(ConfigError, match=r"a distribution or { file = \.\.\., array = \.\.\. }"):
        loads(MINIMAL.replace("v_th_mv = 10.0", 'v_th_mv = "ten"'))


def test_warnings():
    assert config_warnings(loads(MINIMAL)) == ['nothing is recorded; add [probes.a_spikes] with target = "a"']
    text = WITH_SYNAPSE + '[probes.p]\ntarget = "e"\n'
    assert config_warnings(loads(text)) == []
    assert config_warnings(loads(text.replace("20.0", "0.02").replace("= 5.0", "= [0.01, 5.0]"))) == [
        "populations.e.neuron.synapse.tau_exc_ms = 0.01 is shorter than dt_ms = 0.1; seconds instead of ms?",
        "populations.e.neuron.tau_m_ms = 0.02 is shorter than dt_ms = 0.1; seconds instead of ms?",
    ]


def test_what_is_no_config_is_not_saved(tmp_path):
    with pytest.raises(ConfigError, match=r"save_config: wrong type; .* expected a Config\. Fix: Config\("):
        save_config(loads(MINIMAL).network, tmp_path / "a.toml")
