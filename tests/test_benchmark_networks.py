"""The network with which growth is measured does what the benchmarks say of it."""

import sys
from pathlib import Path

import pytest

from snnsim import Simulator

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from driven import driven, events  # noqa: E402


@pytest.mark.parametrize(("in_degree", "rate_hz"), [(0, 50.0), (40, 50.0), (40, 400.0)])
def test_rate_is_that_of_the_trains_and_every_spike_reaches_its_targets(in_degree, rate_hz):
    with Simulator(driven(200, in_degree, rate_hz), seed=3, threads=1) as sim:
        sim.run(100.0)
        begin = sim.step
        sim.run(500.0)
        n_spikes, n_events = events(sim, begin)
        steps, _ = sim.spikes("cells")
        degrees = sum(int((sim.synapses("cells_cells").source == i).sum()) for i in range(200))
    assert n_spikes == int((steps >= begin).sum())
    expected = 200 * rate_hz * 0.5
    assert abs(n_spikes - expected) < 5 * expected**0.5 + rate_hz * 1e-4 * expected
    assert degrees == 200 * in_degree
    assert n_events == pytest.approx(n_spikes * in_degree, rel=0.05)
