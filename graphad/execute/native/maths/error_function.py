"""The error function and its complement: the integral of e^(-t^2).

erf is a polynomial near 0 and 1 - 2^p(x) beyond, p a polynomial. erfc is e^(-x^2) / (1 + 2 x) times a polynomial in
u = x / (x + c), after Shepherd & Laframboise (Mathematics of Computation 36, 1981), with the rounding errors of x^2 and
of the quotient put right.
Coefficients are minimax fits (Remez, then a linear programme a coefficient to round it; 50 digits).
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import Sum, sum_of_ordered
from graphad.execute.native.maths.formats import at_most, format_of
from graphad.execute.native.maths.long_polynomial import long_polynomial
from graphad.ir.frozen import frozen


@frozen(slots=True)
class _Erf:
    """Coefficients of erf.

    Attributes:
        edge: where the second formula begins.
        near: (erf(x) / x - 1) of x^2 below the edge.
        far: log2(erfc(x)) of x from the edge on.
        one: the result is 1 from here on.
        power: 2^f for |f| <= 1/2, as accurate as erfc(edge) needs.
    """

    edge: float
    near: tuple[float, ...]
    far: tuple[float, ...]
    one: float
    power: tuple[float, ...]


_ERF = {
    "f64": _Erf(
        1.0,
        (0.12837916709551256, -0.3761263890318352, 0.11283791670944206, -0.02686617064311167, 0.005223977606119281,
         -0.0008548325929357201, 0.00012055293577409258, -1.4924712298672752e-05, 1.6447131444966333e-06,
         -1.6206312316931086e-07, 1.3710970593338031e-08, -7.779437796822934e-10),
        (-1.5345768438636113e-06, -1.6278919440260446, -0.9185171647874504, -0.14807481100925532, 0.02721696257700375,
         0.0008426756906813975, -0.0030279489629229375, 0.0013272489097363486, -0.00033279105064168874,
         4.0412320521002276e-05, 5.20168680154281e-06, -3.854043415468516e-06, 9.917393606823098e-07,
         -1.5605748542613944e-07, 1.572272466272722e-08, -9.398975800820873e-10, 2.5528055641720302e-11),
        6.0,
        (1.0, 0.6931471805599502, 0.24022650695910164, 0.05550410866447369, 0.009618129107731618,
         0.0013333558224796966, 0.00015403530198897336, 1.5252660480923111e-05, 1.3215584555179824e-06,
         1.0208088371580291e-07, 7.046399258197125e-09),
    ),
    "f32": _Erf(
        0.9,
        (0.12837915122509003, -0.37612512707710266, 0.11282112449407578, -0.026779435575008392, 0.005013969726860523,
         -0.0006104185013100505),
        (-0.00024037598632276058, -1.6270663738250732, -0.9189643263816833, -0.15020224452018738, 0.03219294920563698,
         -0.004422259982675314, 0.000285935151623562),
        4.0,
        (1.0, 0.6931470036506653, 0.24022246897220612, 0.0555071085691452, 0.009671295993030071, 0.0013269602786749601),
    ),
}  # fmt: skip


def erf(x: Lanes) -> Lanes:
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x: below 1.7 ulp.

    Args:
        x: f32 or f64.
    """
    fit, form = _ERF[x.kind], format_of(x)
    size = x.abs()
    square = size * size
    near = size.fma(long_polynomial(square, fit.near), size)
    exponent = long_polynomial(at_most(size, fit.one), fit.far)
    shifted = exponent + (form.round_to_integer + form.bias)
    fraction = exponent - (shifted - (form.round_to_integer + form.bias))
    scale = (shifted.bitcast(form.bits) << form.mantissa).bitcast(x.kind)
    far = (-scale).fma(long_polynomial(fraction, fit.power), 1.0)
    return (size < fit.edge).select(near, far).copysign(x)


@frozen(slots=True)
class _Erfc:
    """Coefficients of erfc.

    Attributes:
        centre: c of u = x / (x + c).
        quotient: ((1 + 2 x) e^(x^2) erfc(x) - 1) / u of 2 u - 1.
        power: (e^r - 1 - r) / r^2.
        zero: erfc is 0 from here on.
        lift: 2^lift keeps the scale of the smallest denormal a normal number.
    """

    centre: float
    quotient: tuple[float, ...]
    power: tuple[float, ...]
    zero: float
    lift: int


_ERFC = {
    "f64": _Erfc(
        3.5,
        (0.4846984897423088, -0.7647168500175484, 0.7436056573531056, -0.5485674670465107, 0.3183882707264297,
         -0.14242196307891916, 0.04477531141744616, -0.006576649503900701, -0.0018533902579551287,
         0.0012488543029367484, -0.00012008575855660873, -0.000122938281711914, 3.737477082397986e-05,
         1.1145290472105833e-05, -6.4905699387697185e-06, -1.1365059832585473e-06, 1.0502491673705488e-06,
         1.5163007564710895e-07, -1.6879775783703904e-07, -2.3224184986026537e-08, 2.453031321082454e-08,
         2.400184436712817e-09, -2.27478365385713e-09),
        (0.5000000000000011, 0.16666666666666458, 0.0416666666665283, 0.008333333333473575, 0.0013888888943885528,
         0.00019841269541367955, 2.4801492948294782e-05, 2.755756142808388e-06, 2.7630281566819915e-07,
         2.5006609092683524e-08),
        28.0,
        512,
    ),
    "f32": _Erfc(
        2.0,
        (0.5539568066596985, -0.7394844889640808, 0.40742164850234985, -0.07931417226791382, -0.029096711426973343,
         0.012987236492335796, 0.004287260584533215, -0.0016682143323123455, -0.0008058272651396692),
        (0.4999999403953552, 0.1666652113199234, 0.04166826233267784, 0.008368671871721745, 0.0013820910826325417),
        10.5,
        64,
    ),
}  # fmt: skip


def scaled_tail(size: Lanes) -> Sum:
    """e^(x^2) erfc(x) for 0 <= x < 2^500 (f64) or the end of erfc (f32), as a sum of two numbers."""
    fit = _ERFC[size.kind]
    shifted, double = size + fit.centre, size.fma(2.0, 1.0)
    lost = size.fma(2.0, 1.0 - double)
    inverse = 1.0 / (shifted * double)
    of_shifted = double * inverse
    part = size * of_shifted
    part = (-part).fma(shifted, size).fma(of_shifted, part)
    slope = long_polynomial(part.fma(2.0, -1.0), fit.quotient)
    value = part.fma(slope, 1.0)
    value_error = part.fma(slope, 1.0 - value)
    # 1 / (1 + 2 x) = factor (1 + error).
    factor = shifted * inverse
    error = (-factor).fma(lost, (-factor).fma(double, 1.0))
    main = value * factor
    return Sum(main, main.fma(error, value_error.fma(factor, value.fma(factor, -main))))


def times_gaussian(factor: Sum, square: Lanes, lost: Lanes) -> tuple[Sum, Lanes]:
    """factor e^-(square + lost) 2^lift as a sum of two numbers and a power of two still to be multiplied onto them.

    Args:
        factor: what to multiply.
        square: from 0 to that of the end of erfc.
        lost: near its last place.
    """
    fit, form = _ERFC[square.kind], format_of(square)
    shift = form.round_to_integer + form.bias + fit.lift
    shifted = square.fma(-1 / math.log(2), shift)
    whole = shifted - shift
    r = whole.fma(-form.ln2_low, whole.fma(-form.ln2, -square))
    growth = (r * r).fma(long_polynomial(r, fit.power), r)
    rest = factor.main.fma(-lost, factor.rest)
    value = Sum(*sum_of_ordered(factor.main, factor.main.fma(growth, rest.fma(growth, rest))))
    return value, (shifted.bitcast(form.bits) << form.mantissa).bitcast(square.kind)


def unlift(kind: str) -> float:
    """Return 2^-lift: what `times_gaussian` is too large by, which rounds a denormal once where it comes last."""
    return 2.0 ** -_ERFC[kind].lift


def erfc(x: Lanes) -> Lanes:
    """1 - erf(x), accurate for large x too: below 2 ulp.

    Args:
        x: f32 or f64.
    """
    size = at_most(x.abs(), _ERFC[x.kind].zero)
    square = size * size
    power, scale = times_gaussian(scaled_tail(size), square, size.fma(size, -square))
    value = power.main * scale * unlift(x.kind)
    return (x < 0.0).select(2.0 - value, value)
