"""Xylo's step in plain Python, one spike and one neuron after the other; the rule is in hardware/xylo.py."""

from __future__ import annotations

import numpy as np

from snnsim.hardware.xylo import MOST_IN, MOST_OUT, MOST_SPIKES, XyloSpecification

LOW, HIGH = -(2**15), 2**15 - 1


def sat(x: int) -> int:
    return min(max(x, LOW), HIGH)


def wrapped(x: int) -> int:
    return (x - LOW) % 2**16 + LOW


def lost(x: int, k: int) -> int:
    return (x >> k) or (x > 0) - (x < 0)


def deliver(currents, spikes, weights, shift, most):
    """weights[source, target, current]"""
    for source, n in enumerate(spikes):
        for _ in range(min(int(n), most)):
            for target, current in np.argwhere(weights[source]):
                weight = int(weights[source, target, current]) << shift
                currents[target][current] = sat(currents[target][current] + weight)


def advance(currents, potentials, dash_syns, dash_mem, bias, threshold, alias, most):
    spikes = [0] * len(potentials)
    for k in range(len(potentials)):
        currents[k] = [i - lost(i, dash) for i, dash in zip(currents[k], dash_syns[k], strict=True)]
        v = potentials[k]
        v = sat(v + sat(sat(wrapped(-lost(v, dash_mem[k])) + sum(currents[k])) + bias[k]))
        while v >= threshold[k] and spikes[k] < most:
            spikes[k] += 1
            v -= threshold[k]
        potentials[k] = v
        if alias is not None and alias[k] >= 0:
            spikes[alias[k]] = min(most, spikes[alias[k]] + spikes[k])
    return spikes


def run(spec: XyloSpecification, given: np.ndarray) -> dict[str, np.ndarray]:
    """given int[n_steps, n_in] -> int arrays [n_steps, ...] after each step, by xylosim's names."""
    s = {name: value.tolist() for name, value in vars(spec).items() if isinstance(value, np.ndarray)}
    n, n_out = spec.weights_out.shape
    i, v = [[0, 0] for _ in range(n)], [0] * n
    i_out, v_out = [[0] for _ in range(n_out)], [0] * n_out
    spikes = [0] * n
    traces: dict[str, list[list[int]]] = {
        key: [] for key in ("i_syn", "i_syn2", "v_mem", "spikes", "i_syn_out", "v_mem_out", "out")
    }
    for step in given:
        deliver(i, step, spec.weights_in, spec.weight_shift_in, MOST_IN)
        deliver(i, spikes, spec.weights_rec, spec.weight_shift_rec, MOST_SPIKES)
        deliver(i_out, spikes, spec.weights_out[:, :, None], spec.weight_shift_out, MOST_SPIKES)
        dashes = list(zip(s["dash_syn"], s["dash_syn_2"], strict=True))
        spikes = advance(i, v, dashes, s["dash_mem"], s["bias"], s["threshold"], s["alias"], MOST_SPIKES)
        dashes_out = [[dash] for dash in s["dash_syn_out"]]
        out = advance(
            i_out, v_out, dashes_out, s["dash_mem_out"], s["bias_out"], s["threshold_out"], None, MOST_OUT
        )
        for key, value in (
            ("i_syn", [pair[0] for pair in i]), ("i_syn2", [pair[1] for pair in i]), ("v_mem", v),
            ("spikes", spikes), ("i_syn_out", [one[0] for one in i_out]), ("v_mem_out", v_out), ("out", out),
        ):  # fmt: skip
            traces[key].append(list(value))
    return {key: np.array(rows) for key, rows in traces.items()}
