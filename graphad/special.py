"""Special functions on tensors: `scipy.special`'s names, conventions and signatures, with every derivative.

SciPy's own ufuncs mean the same on traced arrays (``scipy.special.erf(t)``); its other functions (logsumexp, softmax,
polygamma, ...) convert their arguments to NumPy arrays, so that traced code calls the ones here. Values come from SciPy
where NumPy has no such function (extra `scipy`); tracing and differentiating never import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np

import graphad.numpy as gnp
import graphad.ops as ops
from graphad.ir.op import Elementwise
from graphad.numpy.arguments import known, refuse
from graphad.numpy.elementwise import as_float
from graphad.ops.error_functions import Erf, Erfc
from graphad.ops.incomplete import Betainc, Gammainc, Gammaincc
from graphad.ops.normal import Erfcinv, Erfinv, LogNdtr, Ndtri, NdtriExp
from graphad.ops.normal import inverse_mills as _inverse_mills
from graphad.ops.special import (
    BesselI,
    BesselIe,
    Beta,
    Betaln,
    Digamma,
    Gamma,
    Gammaln,
    Logit,
    Polygamma,
    RelEntr,
    Xlog1py,
    Xlogy,
    Zeta,
)
from graphad.ops.transcendental import Expit
from graphad.tracing.coerce import as_tensor, elementwise
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

__all__ = [
    "bessel_i",
    "bessel_ie",
    "beta",
    "betainc",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfinv",
    "expit",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "inverse_mills",
    "kl_div",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "ndtri_exp",
    "polygamma",
    "psi",
    "rel_entr",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]

Unary = Callable[[Any], Tensor]
Binary = Callable[[Any, Any], Tensor]
Ternary = Callable[[Any, Any, Any], Tensor]


@overload
def _of(op: Elementwise, name: str, arity: Literal[1] = 1) -> Unary: ...
@overload
def _of(op: Elementwise, name: str, arity: Literal[2]) -> Binary: ...
@overload
def _of(op: Elementwise, name: str, arity: Literal[3]) -> Ternary: ...
def _of(op: Elementwise, name: str, arity: int = 1) -> Any:
    """Return the function that applies an op by NumPy's rules of promotion and broadcasting."""

    def function(*operands: Any, **keywords: Any) -> Tensor:
        if keywords:
            refuse(
                f"graphad.special.{name} of a traced array takes no {', '.join(keywords)}; cast its operands instead"
            )
        if len(operands) != arity:
            refuse(f"graphad.special.{name} takes {arity} argument(s), got {len(operands)}")
        return elementwise(op, *operands)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = type(op).__doc__
    return function


# The error function and the normal distribution.

erf = _of(Erf(), "erf")
erfc = _of(Erfc(), "erfc")
erfinv = _of(Erfinv(), "erfinv")
erfcinv = _of(Erfcinv(), "erfcinv")
ndtri = _of(Ndtri(), "ndtri")
ndtri_exp = _of(NdtriExp(), "ndtri_exp")
log_ndtr = _of(LogNdtr(), "log_ndtr")


def ndtr(x: Any) -> Tensor:
    """y = Phi(x), the standard normal distribution function; accurate in the lower tail."""
    return 0.5 * ops.erfc(as_float(x) * (-1 / math.sqrt(2)))


def inverse_mills(x: Any) -> Tensor:
    """y = phi(x) / Phi(x), the derivative of log_ndtr."""
    return _inverse_mills(as_float(x))


# Gamma, beta and zeta.

gamma = _of(Gamma(), "gamma")
gammaln = _of(Gammaln(), "gammaln")
digamma = psi = _of(Digamma(), "digamma")
beta = _of(Beta(), "beta", 2)
betaln = _of(Betaln(), "betaln", 2)
zeta = _of(Zeta(), "zeta", 2)
gammainc = _of(Gammainc(), "gammainc", 2)
gammaincc = _of(Gammaincc(), "gammaincc", 2)
betainc = _of(Betainc(), "betainc", 3)


def polygamma(n: int, x: Any) -> Tensor:
    """y = the n-th derivative of digamma at x, for one n >= 0 that is known while tracing."""
    order = known(n, "the order of polygamma")
    if order.ndim or order != np.floor(order) or order < 0:
        refuse(f"polygamma takes one whole number n >= 0, got {n}")
    return digamma(x) if order == 0 else elementwise(Polygamma(int(order)), x)


def multigammaln(a: Any, d: int) -> Tensor:
    """y = log of the multivariate gamma function: d (d - 1) / 4 log(pi) + sum of gammaln(a - j / 2), j < d.

    `a` is greater than (d - 1) / 2; d is a number.
    """
    t = as_float(a)
    shifted = gnp.expand_dims(t, -1) - np.arange(d, dtype=t.dtype) / 2
    return gnp.sum(gammaln(shifted), axis=-1) + d * (d - 1) / 4 * math.log(math.pi)


# Bessel functions.

i0 = implements(np.i0)(_of(BesselI(0), "i0"))
i1 = _of(BesselI(1), "i1")
i0e = _of(BesselIe(0), "i0e")
i1e = _of(BesselIe(1), "i1e")


def bessel_i(order: int, x: Any) -> Tensor:
    """y = I_order(x), the modified Bessel function of the first kind, for a whole number order >= 0."""
    return elementwise(BesselI(order), x)


def bessel_ie(order: int, x: Any) -> Tensor:
    """y = e^-|x| I_order(x), for a whole number order >= 0."""
    return elementwise(BesselIe(order), x)


# The logistic function.

expit = _of(Expit(), "expit")
logit = _of(Logit(), "logit")


def log_expit(x: Any) -> Tensor:
    """y = log(1 / (1 + e^-x)), without overflow."""
    t = as_float(x)
    return -ops.logaddexp(-t, t.zeros_like())


# Entropies.

xlogy = _of(Xlogy(), "xlogy", 2)
xlog1py = _of(Xlog1py(), "xlog1py", 2)
rel_entr = _of(RelEntr(), "rel_entr", 2)


def entr(x: Any) -> Tensor:
    """y = -x log(x), 0 at 0 and -inf below."""
    t = as_float(x)
    below = t < 0
    inside = gnp.where(below, 1, t)
    y: Tensor = gnp.where(below, -np.inf, -xlogy(inside, inside))
    return y


def kl_div(x: Any, y: Any) -> Tensor:
    """z = x log(x / y) - x + y for x, y > 0; y for x = 0 <= y; inf elsewhere."""
    divergence = rel_entr(x, y)
    z: Tensor = gnp.where(divergence == np.inf, np.inf, divergence - x + y)
    return z


# Over axes; `axis=None` means all of them, as in SciPy.


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """y = log(sum(b exp(a))) over `axis`, without overflow; with `return_sign`, (log |sum|, its sign).

    -inf where the sum is 0 (with gradient 0), nan where it is negative and no sign is asked for.
    """
    if not return_sign:
        return gnp.logsumexp(a, axis, b, keepdims)
    x = as_float(a)
    weights = 1 if b is None else as_tensor(b)
    top = gnp.max(ops.stop_gradient(x), axis, keepdims=True)
    top = gnp.where(ops.isfinite(top), top, 0)
    total = gnp.sum(gnp.exp(x - top) * weights, axis, keepdims=True)
    size = gnp.abs(total)
    nothing = size == 0
    y = gnp.where(nothing, -np.inf, gnp.log(gnp.where(nothing, 1, size)) + top)
    sign = gnp.sign(total)
    if keepdims:
        return y, sign
    axes = tuple(range(y.ndim)) if axis is None else axis
    return gnp.squeeze(y, axes), gnp.squeeze(sign, axes)


def softmax(x: Any, axis: Any = None) -> Tensor:
    """y = exp(x) / sum(exp(x)) over `axis`, without overflow."""
    return gnp.softmax(x, axis)


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """y = x - logsumexp(x) over `axis`, without overflow."""
    return gnp.log_softmax(x, axis)


sinc = gnp.sinc


UFUNCS: dict[str, Callable[..., Tensor]] = {
    name: globals()[name]
    for name in __all__
    if name not in ("logsumexp", "softmax", "log_softmax", "polygamma", "multigammaln", "sinc", "zeta")
}
"""What scipy.special's ufuncs mean on traced arrays, by name; `zeta` of two arguments is its private ufunc `_zeta`."""
UFUNCS |= {"_zeta": zeta}
