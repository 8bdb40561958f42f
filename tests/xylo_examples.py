"""Random specifications of Xylo, and xylosim where it is installed."""

from __future__ import annotations

import numpy as np

from snnsim.hardware.xylo import XyloSpecification


def random_specification(seed: int) -> XyloSpecification:
    """Every second one is driven so hard that state saturates."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = (int(rng.integers(1, high + 1)) for high in (16, 24, 8))
    hard = bool(seed % 2)
    largest = 127 if hard else 40

    def weights(*shape: int) -> np.ndarray:
        found = rng.integers(-largest - 1, largest + 1, shape)
        return np.where(rng.random(shape) < 0.6, found, 0)

    def numbers(low: int, high: int, size: int) -> np.ndarray:
        return rng.integers(low, high + 1, size)

    two = rng.random() < 0.5
    w_in, w_rec = weights(n_in, n, 2), weights(n, n, 2)
    if not two:
        w_in[:, :, 1] = w_rec[:, :, 1] = 0
    w_in[0, 0, 0] = w_in[0, 0, 0] or 1
    alias = np.where(rng.random(n) < (0.3 if seed % 3 else 0.0), rng.integers(0, n, n), -1)
    alias[alias == np.arange(n)] = -1
    bias = 30000 if hard else 60
    biased = rng.random() < 0.7
    return XyloSpecification(
        weights_in=w_in, weights_rec=w_rec, weights_out=weights(n, n_out),
        dash_mem=numbers(0 if hard else 1, 8, n), dash_syn=numbers(0, 8, n),
        dash_syn_2=numbers(0, 8, n) if two else np.zeros(n, np.int64),
        threshold=numbers(1, 3000 if hard else 600, n), bias=numbers(-bias, bias, n) * biased,
        dash_mem_out=numbers(1, 8, n_out), dash_syn_out=numbers(0, 8, n_out),
        threshold_out=numbers(1, 2000, n_out), bias_out=numbers(-bias, bias, n_out) * biased,
        alias=alias, weight_shift_in=int(rng.integers(0, 8 if hard else 3)),
        weight_shift_rec=int(rng.integers(0, 8 if hard else 2)),
        weight_shift_out=int(rng.integers(0, 8 if hard else 2)),
    )  # fmt: skip


def random_input(spec: XyloSpecification, n_steps: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    return np.minimum(rng.poisson(rng.choice([0.1, 0.7, 4.0]), (n_steps, spec.weights_in.shape[0])), 15)


def run_xylosim(spec: XyloSpecification, given: np.ndarray) -> dict[str, np.ndarray]:
    """The same as oracle_xylo.run, by xylosim 0.1.3 (PyPI)."""
    from xylosim.v2 import XyloLayer, XyloSynapse

    def synapses(weights: np.ndarray) -> list[list[object]]:
        return [
            [
                XyloSynapse(int(t), int(c), int(row[t, c]))
                for c in range(row.shape[1])
                for t in np.flatnonzero(row[:, c])
            ]
            for row in weights
        ]

    kept = [synapses(spec.weights_in), synapses(spec.weights_rec), synapses(spec.weights_out[:, :, None])]
    layer = XyloLayer(  # it holds plain pointers: `kept` must outlive it
        synapses_in=kept[0], synapses_rec=kept[1], synapses_out=kept[2],
        aliases=[[] if a < 0 else [a] for a in spec.alias.tolist()],
        threshold=spec.threshold.tolist(), threshold_out=spec.threshold_out.tolist(),
        has_bias=bool(spec.bias.any() or spec.bias_out.any()), bias=spec.bias.tolist(),
        bias_out=spec.bias_out.tolist(),
        weight_shift_inp=spec.weight_shift_in, weight_shift_rec=spec.weight_shift_rec,
        weight_shift_out=spec.weight_shift_out,
        dash_mem=spec.dash_mem.tolist(), dash_mem_out=spec.dash_mem_out.tolist(),
        dash_syns=np.stack([spec.dash_syn, spec.dash_syn_2], axis=1).tolist(),
        dash_syns_out=spec.dash_syn_out[:, None].tolist(), name="test",
    )  # fmt: skip
    out = np.array(layer.evolve(given.tolist()))
    found = {
        key: np.array(getattr(layer, f"rec_{key}")).T
        for key in ("i_syn", "i_syn2", "v_mem", "i_syn_out", "v_mem_out")
    }
    return found | {"spikes": np.array(layer.rec_recurrent_spikes), "out": out}
