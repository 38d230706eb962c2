"""The gamma function, its logarithm, and the logarithm's derivative.

Near 2 they are polynomials, to which arguments below 4.25 are brought by the recurrence; beyond they follow Stirling's
series, made minimax; negative arguments are reflected in a rare branch. All is done in f64, f32 rounded once.
Coefficients are minimax fits (Remez, then a linear programme a coefficient to round it; 45 digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import sum_of_ordered
from graphad.execute.native.maths.exponential import EXP_BOUNDS, exp_inside
from graphad.execute.native.maths.formats import at_least, at_most
from graphad.execute.native.maths.logarithm import log
from graphad.execute.native.maths.long_polynomial import long_polynomial
from graphad.execute.native.maths.polynomial import polynomial
from graphad.execute.native.maths.power import log_in_pair
from graphad.execute.native.maths.rare import where_rare
from graphad.execute.native.maths.trigonometric import sin_pi, tan_pi
from graphad.ir.frozen import frozen

STIRLING_FROM = 4.25
_CENTRE = 0.249755859375
"""Polynomials of 2 + d are by t = d + _CENTRE: so t is about between -1/2 and 1/2, and c[0] almost exact."""
_LOG_GAMMA = (0.33769249851201305, 0.36048609080137695, -0.08606911458799196, 0.030217802791915174,
              -0.01246483823750711, 0.005602837965383591, -0.002652322935167922, 0.0012988368241324355,
              -0.000651163236816383, 0.0003320845574972222, -0.00017156182665904762, 8.953596734210055e-05,
              -4.710846517037955e-05, 2.4923303046159017e-05, -1.3265495382803249e-05, 7.219233462340396e-06,
              -3.898249272748309e-06, 1.7797155716419075e-06, -9.464509859786744e-07, 9.893484154193355e-07,
              -5.373930795260488e-07)  # fmt: skip
"""log(Gamma(2 + d)) / d by t: relative error 2^-58."""
_GAMMA = (0.9191180774480715, 0.2276278502581292, 0.3792739302968341, 0.003232416679679673, 0.08729096669276169,
          -0.02315931164872538, 0.02156363906803079, -0.01047477570744361, 0.006507297992649075, -0.0036420267714278773,
          0.0021082109596432487, -0.0012040236634309118, 0.0006896388666875616, -0.00039400769622332355,
          0.00022512209378132054, -0.00013034230303008698, 7.501815291158877e-05, -3.750087704617944e-05,
          2.0428551284624845e-05, -2.1320032436199122e-05, 1.29868272418713e-05)  # fmt: skip
"""Gamma(2 + d) by t: relative error 2^-58."""
_STIRLING = (0.0833333333333324, -0.0027777777769391557, 0.000793650573333081, -0.0005952119009744839,
             0.0008400741983882288, -0.0018548602360211558, 0.004992827111302703, -0.009810539388623364)  # fmt: skip
"""x (log(Gamma(x)) - (x - 1/2) log(x) + x - log(2 pi)/2) by 1/x^2 for x >= 4.25: error of log(Gamma(x)) 2^-56."""
LOG_ROOT, LOG_ROOT_REST = 0.9189385332046728, -3.878294158067242e-17
"""log(2 pi)/2 as a sum of two numbers."""


@frozen(slots=True)
class Shifted:
    """Gamma(x) = Gamma(2 + distance) * product, or / (product + rest) where `down`, -3/4 <= distance <= 1/4."""

    distance: Lanes
    product: Lanes
    rest: Lanes
    down: Lanes


def shifted(x: Lanes) -> Shifted:
    """Bring 0 <= x < 4.25 next to 2; the distance is exact."""
    first, second = x - 1.0, x - 2.0
    low, down, up, high = x < 0.25, x < 1.25, x >= 2.25, x >= 3.25
    distance = low.select(x, down.select(first, up.select(high.select(x - 4.0, x - 3.0), second)))
    rising = x.fma(x, x)
    rest = low.select(x.fma(x, x - rising), 0.0)
    falling = up.select(high.select(first * second, first), 1.0)
    return Shifted(distance, down.select(low.select(rising, x), falling), rest, down)


def _in_f64(formula: Callable[[Lanes], Lanes], x: Lanes) -> Lanes:
    """Return a function of f64 at f64 or f32."""
    return formula(x.convert("f64")).convert(x.kind)


def log_near_two(distance: Lanes) -> Lanes:
    """log(Gamma(2 + distance)) for f64 -3/4 <= distance <= 1/4."""
    return distance * long_polynomial(distance + _CENTRE, _LOG_GAMMA)


def stirling_rest(x: Lanes) -> Lanes:
    """log(Gamma(x)) - (x - 1/2) log(x) + x - log(2 pi)/2 for f64 x >= 4.25."""
    inverse = 1.0 / x
    return inverse * polynomial(inverse * inverse, _STIRLING)


def _log_gamma(x: Lanes) -> Lanes:
    """log(Gamma(x)) for f64 x >= 0."""
    large = x >= STIRLING_FROM
    near = shifted(x)
    logarithm = log(large.select(x, near.product))
    signed = near.down.select(-logarithm, logarithm)
    far = (x - 0.5).fma(logarithm - 1.0, stirling_rest(x) + (LOG_ROOT - 0.5))
    return large.select(far, log_near_two(near.distance) + signed)


def _log_gamma_reflected(x: Lanes) -> tuple[Lanes]:
    """log|Gamma(x)| for f64 x < 0."""
    size = -x
    tiny = size < 2.0**-1000
    sine = tiny.select(size, sin_pi(size).abs() * (1 / math.pi))
    value = -log(sine) - _log_gamma(1.0 + size)
    return (size.equals(size.rint()).select((size < math.inf).select(size.constant(math.inf), x), value),)


def gammaln(x: Lanes) -> Lanes:
    """log|Gamma(x)|; inf at 0, -1, -2, ..., SciPy's -inf at -inf.

    Below 4 ulp for x > 0, also near the zeros 1 and 2; near those at negative x the error is small beside log(pi).
    """
    return _in_f64(lambda w: where_rare(w < 0.0, [w], [_log_gamma(w)], "graphad_gammaln", _log_gamma_reflected)[0], x)


def _near_two(x: Lanes) -> Lanes:
    """Gamma(x) of f64 0 <= x < 4.25."""
    near = shifted(x)
    value = long_polynomial(near.distance + _CENTRE, _GAMMA)
    quotient = value / near.product
    # The value is near 1, so that 1 / product is near enough to the quotient; at 0 and below 2^-1024 there is no error.
    error = (-quotient).fma(near.rest, (-quotient).fma(near.product, value))
    corrected = (quotient < math.inf).select(error.fma(quotient, quotient), quotient)
    return near.down.select(corrected, value * near.product)


def _exponent(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return log(Gamma(x)) of f64 x >= 4.25 as a sum of two numbers; at most that of 200."""
    inside = at_most(x, 200.0)
    logarithm, logarithm_rest = log_in_pair(inside)
    factor = inside - 0.5
    product = factor * logarithm
    product_rest = factor.fma(logarithm_rest, factor.fma(logarithm, -product))
    total, lost = sum_of_ordered(product, -inside)
    total, more = sum_of_ordered(total, total.constant(LOG_ROOT))
    exponent, last = sum_of_ordered(total, stirling_rest(inside) + LOG_ROOT_REST)
    return exponent, (lost + more) + (product_rest + last)


def _gamma(x: Lanes) -> Lanes:
    """Gamma(x) of f64 x >= 0."""
    exponent, rest = _exponent(x)
    far = exp_inside(at_most(exponent, EXP_BOUNDS["f64"].high), rest)
    return (x >= STIRLING_FROM).select(far, _near_two(x))


def _gamma_reflected(x: Lanes) -> tuple[Lanes]:
    """Gamma(x) of f64 x < 0 or -0.0; nan at whole numbers and -inf."""
    size = -x
    exponent, rest = _exponent(size)
    large = size >= STIRLING_FROM
    # x Gamma(x) is 1 next to 0, where Gamma(x) may be infinite.
    divisor = large.select(size, (size < 2.0**-1000).select(1.0, size * _near_two(size)))
    decay = large.select(exp_inside(at_least(-exponent, EXP_BOUNDS["f64"].low), -rest), 1.0)
    value = decay * (-math.pi / (divisor * sin_pi(size)))
    return ((size.equals(size.rint()) & (size > 0.0)).select(math.nan, value),)


def gamma(x: Lanes) -> Lanes:
    """Gamma(x): below 2 ulp for x > 0, 4 for x < 0; signed infinities at zeros, nan at -1, -2, ... and -inf."""

    def everywhere(w: Lanes) -> Lanes:
        return where_rare(w.bitcast("i64") < 0, [w], [_gamma(w)], "graphad_gamma", _gamma_reflected)[0]

    return _in_f64(everywhere, x)


_DIGAMMA = (0.9510558760318328, -0.42362742128146047, 0.24054248424082772, -0.14840492305393524, 0.09498872444656198,
            -0.06192213326947047, 0.040760834324042844, -0.026975796947666508, 0.017907236421672034,
            -0.011908212821155888, 0.007927237191601027, -0.005280045152124866, 0.0035156751100437235,
            -0.00234451247708747, 0.001580998770481843, -0.0010420213885762434, 0.0006087976702314274,
            -0.00046685932795385214, 0.000561605139026207, -0.0001811315893857625, -0.000292202587446633,
            -0.00014882447927860377, 0.00039351713930248894)  # fmt: skip
"""digamma(1.5 + t) / (1.5 + t - root) for |t| <= 1/2: relative error 2^-54."""
_DIGAMMA_FAR = (0.08333333333331923, -0.008333333324954199, 0.003968252183879289, -0.004166474765612351,
                0.007563735213965021, -0.02062048440964529, 0.07119873101515269, -0.2327414506560236,
                0.4493972608891198)  # fmt: skip
"""x^2 (log(x) - 1/(2 x) - digamma(x)) by 1/x^2 for x >= 4: 2^-58 of digamma(x)."""
_ROOT, _ROOT_REST = 1.4616321449683622, 9.549995429965697e-17
"""The positive root of digamma, as a sum of two numbers."""


def _digamma(x: Lanes) -> Lanes:
    """digamma(x) of f64 x >= 0."""
    large = x >= 4.0
    below, second, third = x < 1.0, x >= 2.0, x >= 3.0
    first, next_ = x - 1.0, x - 2.0
    t = x - below.select(x.constant(0.5), second.select(third.select(x.constant(3.5), 2.5), 1.5))
    near = ((t - (_ROOT - 1.5)) - _ROOT_REST) * long_polynomial(t, _DIGAMMA)
    # 1/x where it is taken away, or the sum of 1/(x - 1) and 1/(x - 2).
    denominator = (second ^ large).select(third.select(first * next_, first), x)
    numerator = third.select(x + x - 3.0, 1.0)
    numerator = large.select(1.0, below.select(-1.0, second.select(numerator, 0.0)))
    quotient = numerator / denominator
    square = quotient * quotient
    far = log(x) - square.fma(polynomial(square, _DIGAMMA_FAR), quotient * 0.5)
    return large.select(far, quotient + near)


def _digamma_reflected(x: Lanes) -> tuple[Lanes]:
    """digamma(x) of f64 x < 0; nan at whole numbers and -inf."""
    value = _digamma(1.0 - x) - math.pi / tan_pi(x)
    return (x.equals(x.rint()).select(math.nan, value),)


def digamma(x: Lanes) -> Lanes:
    """d log(Gamma(x)) / dx; infinities at zeros, nan at -1, -2, ...

    Below 4 ulp for x > 0, also near the root; near those at negative x the error is small beside the terms of the
    reflection.
    """
    return _in_f64(lambda w: where_rare(w < 0.0, [w], [_digamma(w)], "graphad_digamma", _digamma_reflected)[0], x)
