"""The integer network against Loihi's rule, written once more in plain Python, and against a real chip."""

import numpy as np
import pytest
from netx_examples import FIXTURES
from oracle_loihi import dense_lif, grid, sigma_delta

from snnsim import Network, Population, Probe, Projection, Simulator
from snnsim.errors import ConfigError
from snnsim.hardware.loihi.weights import SIGN_MODES, on_grid, scaled
from snnsim.integer_neurons import RULES, IntegerLIF, SigmaDelta
from snnsim.layers import Dense, Into
from snnsim.stimuli import Analogue

TRACE = FIXTURES / "nir" / "01_lif" / "lif_lava_loihi_fixed.csv"


def joined(rule, unit, n_source, n, delay=1.0):
    return Network(
        stimuli={"in": Analogue(n=n_source)},
        populations={"out": Population(n=n, neuron=unit)},
        projections={"w": Projection(source="in", target="out", rule=rule, weight_mv=1.0, delay_ms=delay)},
        probes={f"{name}_out": Probe(target="out", variable=name) for name in ("s", "u", "v", "overflow")},
    )


def run(network, given):
    """u, v, s int64[T, n] after each step, and the bits of overflow."""
    sim = Simulator(network, batch=1, dt_ms=1.0, threads=1)
    sim.present({"in": np.asarray(given, float)[None]})
    sim.run_steps(len(given) + 1)
    found = {
        name: sim.samples(f"{name}_out")[1][:, 0].astype(np.int64) for name in ("s", "u", "v", "overflow")
    }
    return found["u"][1:], found["v"][1:], found["s"][:-1], found["overflow"][1:]


def configurations(n):
    """Du, dv, threshold, bias, sign mode, bits of weights, exponent; the ends of each range among them."""
    generator = np.random.default_rng(20)
    for k in range(n):
        exponent = k % 15 - 7
        mode = SIGN_MODES[k % 3]
        bits = int(generator.integers(1, 9))
        # So few sources that u makes one turn of its 24 bits at most, which is all that the rule speaks of.
        n_source = max(1, min(12, 2 ** (23 - 6 - 8) >> max(exponent, 0)))
        low, high = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[mode]
        yield {
            "weights": generator.integers(low, high + 1, (3, n_source)).tolist(),
            "bits": bits, "mode": mode, "exponent": exponent,
            "spikes": generator.binomial(1, generator.choice([0.1, 0.5, 1.0]), (40, n_source)).tolist(),
            "du": int(generator.choice([0, 4095, generator.integers(0, 4096)])),
            "dv": int(generator.choice([0, 4095, generator.integers(0, 4096)])),
            "vth": int(2 ** generator.uniform(0, 17)) - 1,
            "bias": int(generator.choice([0, -4096, 4095, generator.integers(-4096, 4096)])),
            "bias_exponent": int(generator.integers(0, 8)),
        }  # fmt: skip


def test_two_hundred_dense_layers_bit_for_bit():
    fired, wrapped, saturated, lost = 0, 0, 0, 0
    for c in configurations(200):
        kept = [[grid(w, c["bits"], c["mode"]) for w in row] for row in c["weights"]]
        expected = dense_lif(
            c["spikes"], kept, c["exponent"], c["du"], c["dv"], c["vth"], c["bias"], c["bias_exponent"]
        )
        weights = on_grid(np.array(c["weights"]), c["bits"], c["mode"])
        assert weights.astype(int).tolist() == kept
        weight, drop = scaled(weights, c["exponent"])
        unit = IntegerLIF(
            rule=RULES["loihi2"].replace(input_drop=drop), threshold=c["vth"] << 6, decay_u=c["du"] + 1,
            decay_v=c["dv"], bias=c["bias"] << c["bias_exponent"],
        )  # fmt: skip
        u, v, s, overflow = run(joined(Dense(weight=weight), unit, weight.shape[1], 3), c["spikes"])
        assert u.tolist() == [step[0] for step in expected], c
        assert v.tolist() == [step[1] for step in expected], c
        assert s.tolist() == [step[2] for step in expected], c
        fired, wrapped, saturated = (
            fired + s.sum(),
            wrapped + (overflow == 2).sum(),
            saturated + (overflow & 4).sum(),
        )
        lost += drop > 0
    assert min(fired, wrapped, saturated, lost) > 50  # every part of the rule was at work


ROUNDED = {-24: (-32, -16, -32), -8: (-16, 0, 0), -5: (-16, 0, 0), 8: (0, 0, 0), 24: (16, 16, 32)}
"""Weight -> what Lava, Brian2Loihi and nengo-loihi make of it, with 5 bits and both signs."""


def test_peers_round_weights_off_the_grid_differently_and_leave_those_on_it():
    step = 2 ** (8 - 5 + 1)

    def rounded(w):
        return int(on_grid(np.array(w), 5, "mixed")), int(w / step) * step, round(w / step) * step

    assert {w: rounded(w) for w in ROUNDED} == ROUNDED
    for w in range(-256, 255, step):
        assert rounded(w) == (w, w, w)


@pytest.mark.parametrize(
    "bad", [{"bits": 9}, {"bits": 0}, {"sign_mode": "both"}, {"weight": np.array([0.5])}]
)
def test_weights_that_no_synapse_has(bad):
    with pytest.raises(ConfigError, match="not weights of a synapse"):
        on_grid(**{"weight": np.array([1])} | bad)
    with pytest.raises(ConfigError, match="-7 to 7"):
        scaled(np.ones(1), 8)


@pytest.mark.skipif(not TRACE.is_file(), reason=f"no trace {TRACE}; set SNNSIM_SHARED")
def test_the_trace_of_a_real_loihi_2():
    """The neuron of the NIR paper: tau 2.5 ms, threshold 0.1, steps of 0.1 ms, by its bridge to Lava."""
    given, potential, spikes = np.loadtxt(TRACE, delimiter=",").T
    unit = IntegerLIF(
        rule=RULES["loihi2"], threshold=(int(0.1 * 131071) >> 9) << 6, decay_u=4095 + 1,
        decay_v=int(1e-4 / 0.0025 * 4095),
    )  # fmt: skip
    weight = np.full((1, 1), float(int(256 * 1e-4 / 0.0025)))
    _, v, s, overflow = run(joined(Dense(weight=weight), unit, 1, 1), given[:, None])
    assert (s[:, 0] == spikes).sum() == 1000
    assert spikes.sum() == 4
    differs = v[:, 0] != potential
    assert differs.sum() == 4
    assert np.array_equal(differs, spikes == 1)  # there the chip reads its refractory count, 1 << 7
    assert set(potential[differs]) == {128}
    assert set(v[differs, 0]) == {0}
    assert not overflow.any()


@pytest.mark.parametrize("part", ["sigma_delta", "delta", "sigma"])
@pytest.mark.parametrize("keep", [False, True])
def test_sigma_delta_against_its_twin(part, keep):
    generator = np.random.default_rng(3)
    n, n_steps = 8, 60
    arrivals = np.round(generator.normal(0, 10.0 ** generator.integers(2, 8, n), (n_steps, n)))
    arrivals[generator.random(arrivals.shape) < 0.3] = 0
    threshold, bias = generator.integers(0, 40_000, n), generator.integers(-(2**18), 2**18, n)
    shift = 12 if part == "delta" else 0
    unit = SigmaDelta(
        part=part, threshold=threshold.astype(float), bias=bias.astype(float), input_shift=shift,
        output_shift=6, keep_remainder=keep,
    )  # fmt: skip
    u, v, s, overflow = run(
        joined(Into(n_source=n, n_target=n), unit, n, n, 0.0), np.clip(arrivals, -(2**24), 2**24)
    )
    for k in range(n):
        given = [int(a) for a in np.clip(arrivals[:, k], -(2**24), 2**24)]
        expected = sigma_delta(given, part, int(threshold[k]), int(bias[k]), True, shift, 6, keep)
        assert list(zip(u[:, k].tolist(), v[:, k].tolist(), s[:, k].tolist(), strict=True)) == expected
    assert (overflow > 0).any()
    assert (s != 0).sum() > 50
    assert (s < 0).any()
    assert (s == 0).any() == (part != "sigma")


def test_state_goes_back_to_zero_at_intervals():
    unit = IntegerLIF(rule=RULES["loihi2"], threshold=2**20, decay_v=0, bias=3, reset_every=5, reset_at=2)
    _, v, _, _ = run(joined(Into(n_source=1, n_target=1), unit, 1, 1), np.zeros((12, 1)))
    assert v[:, 0].tolist() == [3, 6, 3, 6, 9, 12, 15, 3, 6, 9, 12, 15]
    with pytest.raises(ConfigError, match="below 5"):
        unit.replace(reset_at=5)
