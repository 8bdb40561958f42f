"""PyNN scripts: run on a backend that notes what it is asked for; on NEST, where it is, spike for spike."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_networks import dense, lif, link

from snnsim import (
    IF,
    LIF,
    STDP,
    AdaptiveThreshold,
    Arrays,
    Conductance,
    ConfigError,
    Delta,
    Exponential,
    Network,
    PairwiseBernoulli,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Simulator,
    SpikeTrains,
    TargetError,
    Uniform,
)
from snnsim.hardware.pynn_script import write_pynn
from snnsim.integer_neurons import RULES
from snnsim.stimuli import Analogue

N, DURATION_MS = 40, 300.0
ABSENT = [name for name in ("pyNN", "nest") if importlib.util.find_spec(name) is None]
NOTEBOOK = '''
import json, os
said = {"populations": [], "projections": [], "atoms": []}
def setup(**options): said["setup"] = options
def set_number_of_neurons_per_core(kind, n): said["atoms"].append([kind.__name__, n])
def plain(value): return value.tolist() if hasattr(value, "tolist") else value
class Cell:
    conductance_based = False
    def __init__(self, **given): self.given = {k: plain(v) for k, v in given.items()}
class IF_curr_exp(Cell): pass
class IF_curr_delta(Cell): pass
class IF_cond_exp(Cell): conductance_based = True
class SpikeSourceArray(Cell): pass
class SpikeSourcePoisson(Cell): pass
class Train(list): pass
class Population:
    def __init__(self, n, cell, label):
        self.n, self.celltype = n, cell
        self.note = {"n": n, "cell": type(cell).__name__, "label": label, **cell.given}
        said["populations"].append(self.note)
    def initialize(self, v): self.note["v"] = plain(v)
    def record(self, what): self.note["recorded"] = what
    def get_data(self, what):
        class Block: pass
        block = Block(); block.segments = [Block()]; block.segments[0].spiketrains = [[2.0], [1.0, 999.0]]
        return block
def FromListConnector(rows, column_names): return [column_names, rows]
def StaticSynapse(): return None
def Projection(before, after, connector, synapse, receptor_type):
    said["projections"].append([before.note["label"], after.note["label"], receptor_type, *connector])
def run(duration): said["run"] = duration
def end(): open(os.environ["NOTES"], "w").write(json.dumps(said))
'''


def network(neuron: LIF, key: str = "weight_pa", size: float = 1.0, **projection: Any) -> Network:
    """Random connections with delays from 2 ms, driven by spikes and constant currents."""
    rng = np.random.default_rng(5)

    def given(source: int, target: int, low: float, high: float, n: int, **more: Any) -> Projection:
        return Projection(
            source="cells", target="cells", delay_ms=rng.integers(2, 20, n).astype(float),
            rule=Arrays(source=rng.integers(source, target, n), target=rng.integers(0, N, n)),
            **{key: size * rng.uniform(*sorted((low, high)), n)}, **more,
        )  # fmt: skip

    pick = rng.permutation(200 * 10)[:100]
    exc = {"receptor": "exc"} if neuron.synapse.n_currents == 2 else {}
    inh = {"receptor": "inh"} if neuron.synapse.n_currents == 2 else {}
    sign = 1.0 if key == "weight_ns" else -1.0
    return Network(
        populations={"cells": Population(n=N, neuron=neuron)},
        projections={
            "exc": given(0, 30, 10.0, 60.0, 300, **exc),
            "inh": given(30, N, sign * 30.0, sign * 100.0, 100, **inh),
            "drive": Projection(source="given", target="cells", rule=PairwiseBernoulli(p=0.3), delay_ms=2.0,
                                **{key: size * 60.0}, **exc),
        },
        stimuli={"given": SpikeTrains(n=10, times_ms=1.0 + pick // 10, ids=pick % 10)},
        probes={"cells": Probe(target="cells")},
    )  # fmt: skip


def cell(**changes: Any) -> LIF:
    drive = np.random.default_rng(1).uniform(100.0, 260.0, N)
    given = {
        "tau_m_ms": 20.0, "c_m_pf": 250.0, "v_rest_mv": -65.0, "v_th_mv": -50.0, "v_reset_mv": -65.0,
        "t_ref_ms": 2.0, "i_bias_pa": drive, "v_init_mv": Uniform(low=-65.0, high=-50.0),
        "synapse": Exponential(tau_exc_ms=2.0, tau_inh_ms=6.0),
    } | changes  # fmt: skip
    return LIF(**given)


def integer() -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(2)
    described = Network(
        stimuli={"in": Analogue(n=12)},
        populations={
            "a": Population(n=20, neuron=lif(decay_v=0, refractory=3)),
            "b": Population(n=6, neuron=lif(decay_v=0, bias=64)),
        },
        projections={
            "in_a": link("in", "a", dense(rng, 12, 20, 0.7), 2),
            "a_b": link("a", "b", dense(rng, 20, 6), 3),
            "b_b": link("b", "b", dense(rng, 6, 6), 2),
        },
        probes={"a": Probe(target="a"), "b": Probe(target="b")},
    )
    given = (rng.random((60, 12)) < 0.2).astype(float)
    given[0] = 0  # NEST has no spike in step 0
    return described, given


def noted(tmp_path: Path, described: Network, **options: Any) -> dict[str, Any]:
    """What the script asks of its backend, as SpiNNaker's."""
    write_pynn(tmp_path / "net.py", described, DURATION_MS, **options)
    (tmp_path / "pyNN").mkdir(exist_ok=True)
    (tmp_path / "pyNN" / "__init__.py").write_text("")
    (tmp_path / "pyNN" / "spiNNaker.py").write_text(NOTEBOOK)
    environment = {**os.environ, "NOTES": str(tmp_path / "notes.json"), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "net.py"), "spiNNaker", str(tmp_path / "spikes.npz")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((tmp_path / "notes.json").read_text())
    return found


def test_what_spinnaker_is_asked_for(tmp_path: Path) -> None:
    described = network(cell())
    found = noted(tmp_path, described)
    cells, given = found["populations"]
    assert found["setup"] == {"timestep": 1.0, "min_delay": 1.0}
    assert found["atoms"] == [["IF_curr_exp", 256]]
    assert found["run"] == DURATION_MS
    neuron = described.populations["cells"].neuron
    assert (cells["n"], cells["cell"], cells["recorded"]) == (N, "IF_curr_exp", "spikes")
    assert (cells["cm"], cells["tau_m"], cells["tau_refrac"], cells["v_thresh"]) == (0.25, 20.0, 2.0, -50.0)
    assert (cells["tau_syn_E"], cells["tau_syn_I"]) == (2.0, 6.0)
    np.testing.assert_allclose(cells["i_offset"], np.asarray(neuron.i_bias_pa) / 1000)
    simulator = Simulator(described, dt_ms=1.0)
    assert len(set(cells["v"])) == N
    assert sorted(sum(given["spike_times"], [])) == sorted(described.stimuli["given"].times_ms)
    assert [row[:3] for row in found["projections"]] == [
        ["cells", "cells", "excitatory"], ["cells", "cells", "inhibitory"], ["given", "cells", "excitatory"],
    ]  # fmt: skip
    for name, row in zip(described.projections, found["projections"], strict=True):
        table = simulator.synapses(name)
        rows = np.array(row[4])
        assert row[3] == ["weight", "delay"]
        expected = np.stack([table.source, table.target, np.abs(table.weight()) / 1000, table.delay], axis=1)
        np.testing.assert_allclose(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)], rtol=1e-12)
    with np.load(tmp_path / "spikes.npz") as kept:
        np.testing.assert_array_equal(kept["cells"], [[1, 1], [2, 0]])


def test_one_current_goes_to_both_receptors_by_sign(tmp_path: Path) -> None:
    described = network(cell(synapse=Exponential(tau_exc_ms=4.0)))
    found = noted(tmp_path, described)
    assert {row[2] for row in found["projections"]} == {"excitatory", "inhibitory"}
    assert found["populations"][0]["tau_syn_I"] == 4.0
    assert min(row[2] for projection in found["projections"] for row in projection[4]) > 0


def test_a_jump_comes_after_the_leak_of_its_step(tmp_path: Path) -> None:
    described = network(cell(synapse=Delta()), "weight_mv", 0.03)
    found = noted(tmp_path, described)
    cells, unit = found["populations"][0], 20.0 * -np.expm1(-1 / 20.0)
    assert (cells["cell"], cells["cm"]) == ("IF_curr_delta", pytest.approx(unit))
    drive = np.asarray(described.populations["cells"].neuron.i_bias_pa)
    np.testing.assert_allclose(cells["i_offset"], drive / 250.0 * unit)
    weights = {row[2] for row in found["projections"][2][4]}
    assert sorted(weights) == [pytest.approx(0.03 * 60.0 * np.exp(-1 / 20.0))]


def test_conductances_and_poisson_sources(tmp_path: Path) -> None:
    synapse = Conductance(tau_exc_ms=2.0, tau_inh_ms=6.0, e_exc_mv=0.0, e_inh_mv=-80.0)
    described = network(cell(synapse=synapse), "weight_ns", 0.1)
    described = Network(
        populations=described.populations,
        projections={"p": Projection(source="noise", target="cells", rule=PairwiseBernoulli(p=0.5),
                                     weight_ns=2.0, delay_ms=1.0, receptor="inh")},
        stimuli={"noise": Poisson(n=5, rate_hz=20.0, start_ms=10.0, stop_ms=50.0)},
    )  # fmt: skip
    found = noted(tmp_path, described)
    assert found["populations"][0]["cell"] == "IF_cond_exp"
    assert found["populations"][0]["e_rev_I"] == -80.0
    noise = found["populations"][1]
    assert (noise["rate"], noise["start"], noise["duration"]) == (20.0, 10.0, 40.0)
    assert found["projections"][0][2] == "inhibitory"
    assert {row[2] for row in found["projections"][0][4]} == {0.002}


def test_integer_neurons_are_cells_whose_potential_jumps(tmp_path: Path) -> None:
    described, given = integer()
    notes = write_pynn(tmp_path / "net.py", described, 60.0, inputs={"in": given})
    assert notes == [f"{name}: its potential is not rounded, and has no range: spikes can differ from the "
                     "integer rule's" for name in "ab"]  # fmt: skip
    a, b, _ = noted(tmp_path, described, inputs={"in": given})["populations"]
    assert (a["cell"], a["v_thresh"], a["v_reset"], a["tau_refrac"]) == ("IF_curr_delta", 1280.5, 0.0, 3.0)
    # A constant current of 1 nA lifts the potential by tau / cm (1 - exp(-1 / tau)) = 1 mV in a step.
    assert b["i_offset"] == 64.0
    assert b["tau_m"] / b["cm"] * -np.expm1(-1 / b["tau_m"]) == pytest.approx(1.0)
    leaky = Network(populations={"a": Population(n=1, neuron=lif(decay_v=400))})
    found = noted(tmp_path, leaky)["populations"][0]
    assert np.exp(-1 / found["tau_m"]) == pytest.approx(1 - 400 / 4096, rel=1e-12)


def refused(populations: dict[str, Any], **more: Any) -> Callable[[], Network]:
    return lambda: Network(
        populations={name: Population(n=4, neuron=neuron) for name, neuron in populations.items()}, **more
    )


def plain(**changes: Any) -> LIF:
    return cell(**{"i_bias_pa": 0.0, "v_init_mv": None} | changes)


def loop(**changes: Any) -> dict[str, Projection]:
    given = {"source": "a", "target": "a", "rule": Arrays(source=[0], target=[1]), "delay_ms": 1.0}
    return {"p": Projection(**given | {"weight_pa": 5.0} | changes)}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (refused({"a": plain(), "bad": plain(reset="subtract")}), r"populations\.bad\.neuron\.reset: "),
        (refused({"a": plain(threshold=AdaptiveThreshold(theta_plus_mv=1.0, tau_theta_ms=9.0))}),
         r"populations\.a\.neuron\.threshold: "),
        (refused({"a": IF(v_th_mv=1.0, v_reset_mv=0.0)}), r"populations\.a\.neuron: .*got 'if'"),
        (refused({"a": lif(decay_u=30)}), r"populations\.a\.neuron\.decay_u: .*a current that goes on"),
        (refused({"a": lif(rule=RULES["generic-int8"], decay_u=0)}), r"populations\.a.*\.rule\.reset: "),
        (refused({"a": lif(rule=RULES["xylo"], decay_u=2, decay_v=3)}), r"neuron\.rule\.decay: "),
        (refused({"a": lif(decay_v=4096)}), r"neuron\.decay_v: "),
        (refused({"a": plain()}, projections=loop(delay_ms=145.0)), r"projections\.p\.delay_ms: .*got 145"),
        (refused({"a": plain()}, projections=loop(delay_ms=0.0, rule=Arrays(source=[0], target=[1]))),
         r"projections\.p\.delay_ms|zero delay"),
        (refused({"a": plain()}, projections=loop(weight_pa=-5.0, receptor="exc")),
         r"projections\.p\.weight: the sign .*got -5"),
        (refused({"a": plain()}, projections=loop(plasticity=STDP(
            a_plus=0.1, a_minus=0.1, tau_plus_ms=20.0, tau_minus_ms=20.0, w_min=0.0, w_max=9.0))),
         r"projections\.p\.plasticity: learning"),
        (refused({"a": plain()}, stimuli={"d": PoissonDrive(target="a", rate_hz=5.0, weight_pa=3.0)}),
         r"stimuli\.d: .*got 'poisson_drive'"),
        (refused({"a": plain()}, stimuli={"s": Poisson(n=3, rate_hz=Uniform(low=5.0, high=9.0))}),
         r"stimuli\.s\.rate_hz"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(tmp_path: Path, described: Callable[[], Network], message: str) -> None:
    with pytest.raises((TargetError, ConfigError), match=message):
        write_pynn(tmp_path / "net.py", described(), 10.0)
    assert not list(tmp_path.iterdir())


def test_inputs_and_names_are_checked(tmp_path: Path) -> None:
    described, given = integer()
    with pytest.raises(ConfigError, match=r"inputs\.in: an input needs its spikes"):
        write_pynn(tmp_path / "net.py", described, 10.0)
    with pytest.raises(TargetError, match=r"inputs\.in: a spike has no amount"):
        write_pynn(tmp_path / "net.py", described, 10.0, inputs={"in": 2 * given})
    with pytest.raises(ConfigError, match=r"path: a script ends with \.py"):
        write_pynn(tmp_path / "net.txt", described, 10.0, inputs={"in": given})


def on_nest(tmp_path: Path, described: Network, **options: Any) -> dict[str, set[tuple[int, int]]]:
    duration_ms = options.pop("duration_ms", DURATION_MS)
    write_pynn(tmp_path / "net.py", described, duration_ms, **options)
    command = [sys.executable, str(tmp_path / "net.py"), "nest", str(tmp_path / "spikes.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "spikes.npz") as kept:
        return {name: {(int(step), int(unit)) for step, unit in kept[name]} for name in kept}


@pytest.mark.peer
@pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
@pytest.mark.parametrize("kind", ["two currents", "one current", "jumps"])
def test_spikes_of_nest_through_pynn(tmp_path: Path, kind: str) -> None:
    described = {
        "two currents": lambda: network(cell()),
        "one current": lambda: network(cell(synapse=Exponential(tau_exc_ms=4.0))),
        "jumps": lambda: network(cell(synapse=Delta()), "weight_mv", 0.03),
    }[kind]()
    simulator = Simulator(described, dt_ms=1.0)
    simulator.run(DURATION_MS)
    own = {(int(step), int(unit)) for step, unit in zip(*simulator.spikes("cells"), strict=True)}
    assert len(own) > 100
    assert on_nest(tmp_path, described)["cells"] == own


@pytest.mark.peer
@pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
def test_spikes_of_an_integer_network_of_nest_through_pynn(tmp_path: Path) -> None:
    described, given = integer()
    simulator = Simulator(described, batch=1, dt_ms=1.0)
    simulator.present({"in": given[None]})
    simulator.run_steps(60)
    found = on_nest(tmp_path, described, duration_ms=60.0, inputs={"in": given})
    for name in described.populations:
        own = {(int(step), int(unit)) for step, unit in zip(*simulator.spikes(name), strict=True)}
        assert len(own) > 20
        assert found[name] == own
