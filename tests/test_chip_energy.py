"""Energy and time from counts: by hand, and what is said of what nobody published."""

from __future__ import annotations

import numpy as np
import pytest
from chip_networks import image_network, scattered, spikes

from snnsim.hardware.chip_constants import CHIPS, LOIHI1, LOIHI1_PAPER, LOIHI2, SPINNAKER1
from snnsim.hardware.counts import Counts, count
from snnsim.hardware.energy import estimate, report


def two_cores() -> Counts:
    """One sample, two steps, two cores; numbers that tell the terms apart."""
    names = ("dense", "sparse", "conv", "access", "update", "spike", "sent", "received", "hops_x", "hops_y")
    arrays = {name: np.zeros((1, 2, 2)) for name in names}
    for number, name in enumerate(names):
        arrays[name][0] = [[number + 1, 0], [10, 2 * number]]
    return Counts(**arrays, far_x=np.array([[2.0, 0.0]]), far_y=np.array([[1.0, 0.0]]), n_tiles=3)


def test_by_hand() -> None:
    found = estimate(two_cores())
    counts = [11 + 3 * number for number in range(10)]
    pj = [35.5, 33.6, 24.0, 51.2, 21.6, 69.3, 111.0, 0.0, 3.0, 4.2]
    assert [term.count for term in found.terms] == counts
    assert found.joule == pytest.approx(np.dot(counts, pj) * 1e-12, rel=1e-12)
    assert found.group("synapse") == pytest.approx(np.dot(counts[:3], pj[:3]) * 1e-12, rel=1e-12)
    assert found.group("soma") == pytest.approx(np.dot(counts[3:6], pj[3:6]) * 1e-12, rel=1e-12)
    assert found.group("network") == pytest.approx(np.dot(counts[6:], pj[6:]) * 1e-12, rel=1e-12)
    # Step 0: neurons of core 0 take 4*6 + 5*3.7 + 6*30 + 7*5.1, its messages 8*16 + 3.8 + 2*4.7 + 3*3.1.
    neurons, messages = [258.2, 448.0], [150.5, 276.0]
    barrier = 1000.0  # three tiles: the figure for two
    lower = [max(n, m) + barrier for n, m in zip(neurons, messages, strict=True)]
    upper = [n + m + barrier for n, m in zip(neurons, messages, strict=True)]
    upper[0] += 2 * 4.1 + 6.5
    assert found.step_s == pytest.approx((np.mean(lower) * 1e-9, np.mean(upper) * 1e-9), rel=1e-12)


def test_barriers() -> None:
    assert [LOIHI1.barrier(n) for n in (1, 2, 3, 4, 28, 29, 32)] == [600, 1000, 1000, 1400, 1400, 1800, 1800]
    assert LOIHI1_PAPER.barrier(1) == 113
    assert LOIHI1_PAPER.barrier(32) == 465
    assert LOIHI2.barrier(4) is None


def test_what_is_not_published_is_none_and_never_zero() -> None:
    found = estimate(two_cores(), LOIHI2)
    assert found.joule is found.known_joule is found.step_s is None
    assert all(term.joule is None for term in found.terms)
    assert [term.count for term in found.terms] == [term.count for term in estimate(two_cores()).terms]
    assert all(found.group(name) is None for name in ("synapse", "soma", "network"))


def test_a_set_with_gaps_has_no_total() -> None:
    found = estimate(two_cores(), SPINNAKER1)
    assert found.joule is None
    assert found.group("network") is None
    assert found.known_joule == pytest.approx((11 + 14 + 17) * 13.3e-9 + 20 * 26e-9)


def test_static_power_is_added_only_where_it_is_given() -> None:
    dynamic, both = estimate(two_cores()), estimate(two_cores(), static_w=0.1)
    assert dynamic.static_j is None
    assert dynamic.step_s is not None
    assert both.static_j == pytest.approx(0.1 * 2 * dynamic.step_s[1])
    assert both.joule == pytest.approx((dynamic.joule or 0.0) + both.static_j)


def test_every_set_names_its_source() -> None:
    for chip in CHIPS.values():
        assert len(chip.source) > 20
        assert chip.mark
    assert LOIHI1_PAPER.synapse["dense"].pj == 23.6
    assert LOIHI1_PAPER.access.pj + LOIHI1_PAPER.update.pj == pytest.approx(81.0)


def test_report_has_all_terms_sets_and_the_word_estimate() -> None:
    network = image_network()
    counts = count(network, scattered(network, 9), {"pixels": spikes(1, 5, 72)}, 5)
    text = report(counts)
    for word in ("estimate", "loihi1-paper", "loihi2", "not published", "SANA-FE", "Davies", "hops_x", "%",
                 "static power", "access"):  # fmt: skip
        assert word in text, word
    shares = [float(line.split("%")[0].split()[-1]) for line in text.splitlines() if line.count("%") == 2]
    assert sum(shares) == pytest.approx(100.0, abs=0.6)
    assert estimate(counts).as_dict()["kind"] == "estimate"
