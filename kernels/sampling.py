"""Random values of weights, delays and initial states: one uniform number in, one value out.

Every distribution is sampled by inverting its cumulative distribution function (CDF), so a value
needs exactly one uniform number and is a monotone function of it:

    CONSTANT   p0
    UNIFORM    p0 + u (p1 - p0)                                           in [p0, p1)
    NORMAL     p0 + p1 z,  z = Phi^-1(Phi(a) + u (Phi(b) - Phi(a))),      in [p2, p3]
               a = (p2 - p0) / p1,  b = (p3 - p0) / p1
    LOGNORMAL  exp of such a normal variable; p0 > 0 and p1 are the mean and the standard deviation
               of the untruncated variable itself, p2 and p3 > 0 the bounds of the variable
    CLIPPED    p0 + p1 Phi^-1(u), moved into [p2, p3]

Bounds may be infinite.  A zero standard deviation is the constant p0, moved into the bounds.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from snnsim.kernels.random import uniform01

CONSTANT, UNIFORM, NORMAL, LOGNORMAL, CLIPPED = 0, 1, 2, 3, 4

_HALF_GRID = 2.0**-54  # half of the spacing of uniform01: u = 0 stands for the interval's middle
_SMALLEST = 2.0**-1074  # keeps the quantile finite where bounds lie beyond 38 standard deviations
_BELOW_ONE = 1.0 - 2.0**-53
_GUIDE_SIZE = 1024


class Law(NamedTuple):
    """A distribution, with all that does not depend on the uniform number computed already.

    p = p_start + p_span u;  normal: centre + scale Phi^-1(p);  lognormal: exp of that;
    uniform: centre + scale u;  constant: centre.  The result is moved into [low, high].
    """

    kind: int
    centre: float
    scale: float
    p_start: float
    p_span: float
    low: float
    high: float


class DelayTable(NamedTuple):
    """Delays in steps, sampled by looking up where u lies among precomputed edges.

    edges  float64[n_delays]  the delay is d_lo + (number of edges <= u); the last edge is 2
    guide  int64[1 or 1024]   number of edges <= g / len(guide): where the search starts;
                              a guide of length 1 means that the delay is d_lo + guide[0] for all u
    """

    edges: np.ndarray
    guide: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def normal_quantile(p):
    """Phi^-1(p) for 0 < p < 1, relative error about 1e-16.

    Source: Wichura 1988, algorithm AS 241, routine PPND16, Applied Statistics 37(3), 477-484.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2.5090809287301226727e3
        top = top * r + 3.3430575583588128105e4
        top = top * r + 6.7265770927008700853e4
        top = top * r + 4.5921953931549871457e4
        top = top * r + 1.3731693765509461125e4
        top = top * r + 1.9715909503065514427e3
        top = top * r + 1.3314166789178437745e2
        top = top * r + 3.3871328727963666080
        bottom = 5.2264952788528545610e3
        bottom = bottom * r + 2.8729085735721942674e4
        bottom = bottom * r + 3.9307895800092710610e4
        bottom = bottom * r + 2.1213794301586595867e4
        bottom = bottom * r + 5.3941960214247511077e3
        bottom = bottom * r + 6.8718700749205790830e2
        bottom = bottom * r + 4.2313330701600911252e1
        bottom = bottom * r + 1.0
        return q * top / bottom
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 7.74545014278341407640e-4
        top = top * r + 2.27238449892691845833e-2
        top = top * r + 2.41780725177450611770e-1
        top = top * r + 1.27045825245236838258
        top = top * r + 3.64784832476320460504
        top = top * r + 5.76949722146069140550
        top = top * r + 4.63033784615654529590
        top = top * r + 1.42343711074968357734
        bottom = 1.05075007164441684324e-9
        bottom = bottom * r + 5.47593808499534494600e-4
        bottom = bottom * r + 1.51986665636164571966e-2
        bottom = bottom * r + 1.48103976427480074590e-1
        bottom = bottom * r + 6.89767334985100004550e-1
        bottom = bottom * r + 1.67638483018380384940
        bottom = bottom * r + 2.05319162663775882187
        bottom = bottom * r + 1.0
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7
        top = top * r + 2.71155556874348757815e-5
        top = top * r + 1.24266094738807843860e-3
        top = top * r + 2.65321895265761230930e-2
        top = top * r + 2.96560571828504891230e-1
        top = top * r + 1.78482653991729133580
        top = top * r + 5.46378491116411436990
        top = top * r + 6.65790464350110377720
        bottom = 2.04426310338993978564e-15
        bottom = bottom * r + 1.42151175831644588870e-7
        bottom = bottom * r + 1.84631831751005468180e-5
        bottom = bottom * r + 7.86869131145613259100e-4
        bottom = bottom * r + 1.48753612908506148525e-2
        bottom = bottom * r + 1.36929880922735805310e-1
        bottom = bottom * r + 5.99832206555887937690e-1
        bottom = bottom * r + 1.0
    return -top / bottom if q < 0.0 else top / bottom


@njit(cache=True, nogil=True, error_model="numpy")
def _normal_cdf(z):
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


@njit(cache=True, nogil=True, error_model="numpy")
def prepare(kind, p0, p1, p2, p3):
    """The Law of a distribution; kind int64 and p0 to p3 float64 as in this file's first lines."""
    centre, scale, low, high = np.float64(p0), np.float64(p1), np.float64(p2), np.float64(p3)
    if kind == UNIFORM:
        return Law(UNIFORM, centre, scale - centre, 0.0, 0.0, centre, scale)
    if kind == CONSTANT or scale == 0.0:
        constant = centre if kind == CONSTANT else min(max(centre, low), high)
        return Law(CONSTANT, constant, 0.0, 0.0, 0.0, constant, constant)
    a, b = (-np.inf, np.inf) if kind == CLIPPED else (low, high)
    if kind == LOGNORMAL:
        variance = math.log1p((scale / centre) * (scale / centre))
        centre = math.log(centre) - 0.5 * variance
        scale = math.sqrt(variance)
        a = math.log(low) if low > 0.0 else -np.inf
        b = math.log(high)
    a = (a - centre) / scale
    b = (b - centre) / scale
    if a <= 0.0:
        p_start = _normal_cdf(a)
        return Law(kind, centre, scale, p_start, _normal_cdf(b) - p_start, low, high)
    # Above the mean the CDF is too close to 1 to tell values apart: use the mirror image.
    p_start = _normal_cdf(-a)
    return Law(kind, centre, -scale, p_start, _normal_cdf(-b) - p_start, low, high)


@njit(cache=True, nogil=True, error_model="numpy")
def value_of(law, u):
    """The value of `law` at the uniform number u in [0, 1); float64, not decreasing with u."""
    if law.kind == CONSTANT:
        return law.centre
    if law.kind == UNIFORM:
        return min(law.centre + law.scale * u, law.high)
    p = min(max(law.p_start + law.p_span * max(u, _HALF_GRID), _SMALLEST), _BELOW_ONE)
    x = law.centre + law.scale * normal_quantile(p)
    if law.kind == LOGNORMAL:
        x = math.exp(x)
    return min(max(x, law.low), law.high)


@njit(cache=True, nogil=True, error_model="numpy")
def draw(kind, p0, p1, p2, p3, u):
    """The value of a distribution at u in [0, 1), float64; parameters as in this file's first lines."""
    return value_of(prepare(kind, p0, p1, p2, p3), u)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_values(out, key, first_index, kind, p0, p1, p2, p3):
    """out[i] = the value of element first_index + i of the stream `key`.

    out  float64[n] or float32[n]  written;  key uint64; first_index int64 >= 0; distribution as in `draw`
    The value depends on key and first_index + i only, so parts filled separately fit together.
    """
    draw_values(out, out.shape[0], key, first_index, prepare(kind, p0, p1, p2, p3))


@njit(cache=True, nogil=True, error_model="numpy")
def draw_values(out, n, key, first_index, law):
    """out[i] = the value of element first_index + i of the stream `key`, for i < n."""
    for i in range(n):
        out[i] = value_of(law, uniform01(key, first_index + i))


@njit(cache=True, nogil=True, error_model="numpy")
def draw_delays(out, n, key, edges, guide):
    """out[i] = delay - d_lo of element i of the stream `key`, for i < n; edges, guide of a DelayTable.

    out  int64[>= n]  written
    """
    n_guide = guide.shape[0]
    for i in range(n):
        if n_guide == 1:
            out[i] = guide[0]
            continue
        u = uniform01(key, i)
        delay = guide[np.int64(u * n_guide)]
        while edges[delay] <= u:
            delay += 1
        out[i] = delay


@njit(cache=True, nogil=True, error_model="numpy")
def delay_table(kind, p0, p1, p2, p3, dt_ms, d_lo, n_delays):
    """The DelayTable of a distribution of delays in ms.

    The delay at u is int(floor(draw(..., u) / dt_ms + 0.5)) steps, moved into [d_lo, d_lo + n_delays - 1].
    As it does not decrease with u, n_delays - 1 edges say it all; bisection on the grid of the
    2**53 uniform numbers finds each edge exactly.
    """
    law = prepare(kind, p0, p1, p2, p3)
    edges = np.full(n_delays, 2.0)
    for i in range(n_delays - 1):
        below, above = -1, 1 << 53  # delay(below) <= d_lo + i < delay(above)
        while above - below > 1:
            middle = (below + above) // 2
            if math.floor(value_of(law, middle * 2.0**-53) / dt_ms + 0.5) > d_lo + i:
                above = middle
            else:
                below = middle
        edges[i] = above * 2.0**-53
    first = np.searchsorted(edges, 0.0, side="right")
    if first == np.searchsorted(edges, _BELOW_ONE, side="right"):
        return DelayTable(edges, np.full(1, first))
    guide = np.empty(_GUIDE_SIZE, dtype=np.int64)
    for g in range(_GUIDE_SIZE):
        guide[g] = np.searchsorted(edges, g / _GUIDE_SIZE, side="right")
    return DelayTable(edges, guide)
