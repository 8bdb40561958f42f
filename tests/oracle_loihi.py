"""Loihi's dense synapses and LIF neurons once more, in plain whole numbers, after Lava's description.

Independent of the package: nothing of it is imported.
"""


def grid(weight: int, bits: int, mode: str) -> int:
    """A weight as the synapse keeps it."""
    if mode == "inhibitory":
        return -grid(-weight, bits, "excitatory")
    lost = 8 - bits + (1 if mode == "mixed" else 0)
    weight = min(max(weight, -256 if mode == "mixed" else 0), 255)
    return weight // 2**lost * 2**lost  # down, also below 0


def decay(x: int, d: int) -> int:
    kept = abs(x) * (4096 - d) // 4096
    return kept if x >= 0 else -kept


def dense_lif(spikes, weights, exponent, du, dv, vth, bias, bias_exponent):
    """(u, v, s) after each step, lists [step][neuron]; what is sent in step t arrives in step t + 1."""
    n = len(weights)
    u, v, arrives = [0] * n, [0] * n, [0] * n
    found = []
    for step in spikes:
        fired = []
        for k in range(n):
            total = decay(u[k], du + 1) + arrives[k] * 64
            if total > 2**23:
                total -= 2**24
            elif total <= -(2**23):
                total += 2**24
            if not -(2**23) < total <= 2**23:
                raise ValueError("more than one turn: no rule says what becomes of it")
            u[k] = total
            effective = bias * 2**bias_exponent
            v[k] = min(max(decay(v[k], dv) + u[k] + effective, 1 - 2**23), 2**23 - 1)
            fired.append(int(v[k] > vth * 64))
            if fired[k]:
                v[k] = 0
        found.append((list(u), list(v), fired))
        for k in range(n):
            total = sum(w for w, s in zip(weights[k], step, strict=True) if s)
            arrives[k] = total * 2**exponent if exponent >= 0 else total // 2**-exponent
    return found


def to_32_bits(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def sigma_delta(arrivals, part, threshold, bias, relu, input_shift, output_shift, keep_remainder):
    """(sigma, sent, message) after each step, of one neuron."""
    sigma = sent = 0
    found = []
    for a in arrivals:
        a = a * 2**input_shift
        sigma = to_32_bits(a if part == "delta" else sigma + a)
        message = 0
        if part == "sigma":
            message = sigma
        else:
            value = to_32_bits(sigma + bias)
            if relu and part == "sigma_delta":
                value = max(value, 0)
            change = to_32_bits(value - sent)
            if abs(change) >= threshold:
                message = change // 2**output_shift
                sent = to_32_bits(sent + message * 2**output_shift) if keep_remainder else value
        found.append((sigma, sent, message))
    return found
