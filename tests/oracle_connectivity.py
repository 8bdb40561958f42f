"""Plain-Python twins of kernels/connectivity.py and kernels/sampling.py: lists, sets and sorting only.

`connections` lists what a projection connects; `rows` lays lists of connections out as a matrix.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

Distribution = tuple[int, float, float, float, float]


class Connection(NamedTuple):
    source: int
    target: int
    weight: float
    delay: int


def mix64(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def subkey(key: int, counter: int) -> int:
    return mix64((key + (counter + 1) * GOLDEN) & MASK)


def uniform01(key: int, counter: int) -> float:
    return (subkey(key, counter) >> 11) * 2.0**-53


def below(key: int, counter: int, n: int) -> int:
    return int(uniform01(key, counter) * n)


# --- values

_AS241 = (
    (  # |p - 1/2| <= 0.425, in 0.425^2 - q^2
        (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
         1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080),
        (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
         5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
    ),
    (  # sqrt(-log(tail)) <= 5
        (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
         1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
         4.63033784615654529590, 1.42343711074968357734),
        (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
         1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
         2.05319162663775882187, 1.0),
    ),
    (
        (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
         2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
         5.46378491116411436990, 6.65790464350110377720),
        (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
         7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
         5.99832206555887937690e-1, 1.0),
    ),
)  # fmt: skip


def _horner(coefficients: tuple[float, ...], x: float) -> float:
    return reduce(lambda total, c: total * x + c, coefficients)


def normal_quantile(p: float) -> float:
    q = p - 0.5
    if abs(q) <= 0.425:
        top, bottom = _AS241[0]
        r = 0.180625 - q * q
        return q * _horner(top, r) / _horner(bottom, r)
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    top, bottom = _AS241[1 if r <= 5.0 else 2]
    r -= 1.6 if r <= 5.0 else 5.0
    z = _horner(top, r) / _horner(bottom, r)
    return -z if q < 0 else z


def normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


def draw(kind: int, p0: float, p1: float, p2: float, p3: float, u: float) -> float:
    if kind == 0:
        return p0
    if kind == 1:
        return min(p0 + (p1 - p0) * u, p1)
    if p1 == 0.0:
        return min(max(p0, p2), p3)
    mean, sd, low, high = p0, p1, p2, p3
    if kind == 3:
        variance = math.log1p((p1 / p0) * (p1 / p0))
        mean, sd = math.log(p0) - 0.5 * variance, math.sqrt(variance)
        low = math.log(p2) if p2 > 0.0 else -math.inf
        high = math.log(p3) if p3 < math.inf else math.inf
    if kind == 4:
        low, high = -math.inf, math.inf
    a, b = (low - mean) / sd, (high - mean) / sd
    mirrored = a > 0.0
    start, end = (normal_cdf(-a), normal_cdf(-b)) if mirrored else (normal_cdf(a), normal_cdf(b))
    p = start + (end - start) * max(u, 2.0**-54)
    z = normal_quantile(min(max(p, 2.0**-1074), 1.0 - 2.0**-53))
    x = mean + (-sd if mirrored else sd) * z
    return min(max(math.exp(x) if kind == 3 else x, p2), p3)


# --- connections


def subset(key: int, n: int, k: int) -> list[int]:
    """Floyd's algorithm, in the order of drawing."""
    chosen: list[int] = []
    for i in range(k):
        candidate = below(key, i, n - k + i + 1)
        chosen.append(n - k + i if candidate in chosen else candidate)
    return chosen


def bernoulli(key: int, n: int, p: float) -> list[int]:
    if p in (0.0, 1.0):
        return list(range(n)) if p == 1.0 else []
    chosen: list[int] = []
    t = 0
    while True:
        gap = math.log(1.0 - uniform01(key, len(chosen))) * (1.0 / math.log1p(-p))
        if gap >= n - t:
            return chosen
        t += int(gap)
        chosen.append(t)
        t += 1


def in_degrees(key: int, number: int, n_target: int, n_source: int, multapses: bool) -> list[int]:
    """Throw at (target, source) cells; without multapses a cell is hit once, or left out once."""
    degree = [0] * n_target
    cells = n_target * n_source
    complement = not multapses and 2 * number > cells
    wanted = cells - number if complement else number
    throw = 0
    while sum(degree) < wanted:
        if multapses:
            degree[below(key, throw, n_target)] += 1
        else:
            t, source = divmod(below(key, throw, cells), n_source)
            degree[t] += source >= degree[t]
        throw += 1
    return [n_source - d for d in degree] if complement else degree


def partners(
    rule: int, key: int, n_source: int, n_target: int, p: float, number: int, multapses: bool, no_self: bool
) -> list[list[int]]:
    """For each row the partners in the order of their index; a row is a source, or by rule a target."""
    structure = subkey(key, 0)
    by_target = rule in (4, 5)
    n_rows, n = (n_target, n_source - no_self) if by_target else (n_source, n_target - no_self)
    degree = in_degrees(subkey(key, 3), number, n_target, n, multapses) if rule == 5 else [number] * n_rows
    result = []
    for row in range(n_rows):
        row_key = subkey(structure, row)
        if rule == 0:
            chosen = list(range(n))
        elif rule == 1:
            chosen = [] if no_self else [row]
        elif rule == 2:
            chosen = bernoulli(row_key, n, p)
        elif multapses:
            chosen = [below(row_key, i, n) for i in range(degree[row])]
        else:
            chosen = subset(row_key, n, degree[row])
        if not by_target:
            chosen.sort()
        result.append([c + (no_self and c >= row) for c in chosen])
    return result


def connections(
    rule: int,
    key: int,
    n_source: int,
    n_target: int,
    *,
    probability: float,
    number: int,
    multapses: bool,
    exclude_self: bool,
    weight: Distribution,
    delay_ms: Distribution,
    dt_ms: float,
    d_lo: int,
    d_hi: int,
) -> list[Connection]:
    result = []
    found = partners(rule, key, n_source, n_target, probability, number, multapses, exclude_self)
    for row, others in enumerate(found):
        weight_key, delay_key = subkey(subkey(key, 1), row), subkey(subkey(key, 2), row)
        for i, other in enumerate(others):
            source, target = (other, row) if rule in (4, 5) else (row, other)
            steps = math.floor(draw(*delay_ms, uniform01(delay_key, i)) / dt_ms + 0.5)
            value = draw(*weight, uniform01(weight_key, i))
            result.append(Connection(source, target, value, min(max(steps, d_lo), d_hi)))
    return result


Piece = tuple[int, int, int, int]  # range, lo, hi, slot of the neuron lo


def rows(
    projections: list[tuple[list[Connection], list[Piece]]],
    n_ranges: int,
    n_rows: int,
    d_lo: int,
    d_hi: int,
    slot_bits: int = 16,
    group: int = 1,
) -> tuple[list[list[int]], list[int], list[float]]:
    """start of each range, and place and weight of all ranges one after the other."""
    n_delays = d_hi - d_lo + 1
    Entries = list[list[tuple[int, float]]]
    table: list[Entries] = [[[] for _ in range(n_rows * n_delays)] for _ in range(n_ranges)]
    for listed, pieces in projections:
        for c in sorted(listed, key=lambda c: c.target):  # stable: multapses keep their order
            ((r, lo, slot0),) = [(r, lo, slot0) for r, lo, hi, slot0 in pieces if lo <= c.target < hi]
            place = c.delay % group * 2**slot_bits + slot0 + c.target - lo
            table[r][c.source * n_delays + c.delay - d_lo].append((place, c.weight))
    start = [[sum(map(len, entries[:e])) for e in range(len(entries) + 1)] for entries in table]
    flat = [synapse for entries in table for entry in entries for synapse in entry]
    return start, [slot for slot, _ in flat], [weight for _, weight in flat]
