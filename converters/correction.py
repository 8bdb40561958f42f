"""Correction of a rate conversion by what it does on calibration data, layer after layer.

    bias       b <- b + E[a] - E[s]              for each channel ("light")
    potential  v(0) <- v(0) + T (E[a] - E[s])    for each neuron

with a the activation of the source, s = theta spikes / T that of the spiking network whose earlier layers are
corrected already.  The readout's bias is corrected in both.  Source: Li et al. 2021.
"""

from __future__ import annotations

import numpy as np

from snnsim.converters.build import INPUT
from snnsim.converters.calibrate import Activations, by_channels
from snnsim.converters.products import parts, result_size
from snnsim.layer_neurons import BurstIF, Readout
from snnsim.network import Network
from snnsim.simulator import Simulator

CORRECTIONS = ("none", "bias", "potential")


def corrected(
    network: Network,
    inputs: np.ndarray,
    source: Activations,
    timesteps: int,
    how: str,
) -> Network:
    """The network with other biases, or other first potentials.

    inputs  float64[n_samples, n]  amounts of each step
    source  for the same inputs
    how     bias or potential
    The network runs once for each activation, over all inputs.
    """
    for name, population in network.populations.items():
        neuron = population.unit
        if isinstance(neuron, BurstIF):
            wanted = source.means[name]
            missing = wanted.ravel() - np.asarray(neuron.v_th_mv) * _mean(network, name, inputs, timesteps)
            if how == "potential":
                changes = {"v_init_mv": np.asarray(neuron.v_init_mv) + timesteps * missing}
            else:
                per_channel = by_channels(missing.reshape(1, *wanted.shape)).mean(axis=1)
                shift = np.repeat(per_channel, population.n // per_channel.size)
                changes = {"bias_mv": np.asarray(neuron.bias_mv) + shift}
        elif isinstance(neuron, Readout):
            missing = source.outputs.mean(axis=0) - _mean(network, name, inputs, timesteps)
            changes = {"bias_mv": np.asarray(neuron.bias_mv) + missing}
        else:
            continue
        changed = population.replace(neuron=neuron.replace(**changes))
        network = network.replace(populations={**network.populations, name: changed})
    return network


def _mean(network: Network, name: str, inputs: np.ndarray, timesteps: int) -> np.ndarray:
    """float64[n]: spikes of each neuron a step (of the readout: its potential), the mean over all inputs."""
    total = np.zeros(network.populations[name].n)
    is_readout = isinstance(network.populations[name].unit, Readout)
    with Simulator(network, batch=1) as sim:
        for part in parts(len(inputs), result_size(network, timesteps)):
            given = {INPUT: inputs[part]}
            found = sim.evaluate(
                given, timesteps, repeat=timesteps, keep_counts=not is_readout, stop_early=False
            )
            total += (found.readout[:, -1] if is_readout else found.totals[name]).sum(axis=0)
    return total / (len(inputs) * timesteps)
