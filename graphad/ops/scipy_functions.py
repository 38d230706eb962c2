"""How an elementwise op is evaluated where NumPy has no ufunc for it: by SciPy, or by a function with temporaries.

SciPy is an optional extra: it is imported when the first such op is evaluated, never to trace, differentiate or draw.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphad.ir.errors import MissingExtraError
from graphad.ir.op import Elementwise

Array = np.ndarray[Any, Any]


@functools.cache
def scipy_special(name: str) -> Callable[..., Any]:
    """Return a function of `scipy.special`; MissingExtraError where SciPy is not installed."""
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError(
            f'{name} is evaluated by SciPy, which is not installed: pip install "graphad[scipy]"'
        ) from error
    found: Callable[..., Any] = getattr(special, name)
    return found


def single(x: Array) -> Array:
    """Return half-precision numbers in float32, in which functions compute them; others as they are."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


class ScipyUfunc(Elementwise, abstract=True):
    """An elementwise op that the ufunc `scipy` of `scipy.special` evaluates, in the operands' precision or float32."""

    scipy: ClassVar[str]

    def evaluate(self, *operands: Array) -> Array:
        """scipy.special's ufunc of the operands."""
        y = np.asarray(scipy_special(self.scipy)(*map(single, operands)))
        return y.astype(operands[0].dtype, copy=False)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """scipy.special's ufunc of the operands, out=out."""
        if out[0].dtype.itemsize < 4:
            np.copyto(out[0], self.evaluate(*operands))
        else:
            scipy_special(self.scipy)(*operands, out=out[0])


class Computed(Elementwise, abstract=True):
    """An elementwise op whose `ufunc` is a function that makes temporaries and takes no `out`."""

    allocates = True

    def evaluate(self, *operands: Array) -> Array:
        """ufunc(*operands), in the operands' dtype."""
        return np.asarray(self.ufunc(*map(single, operands))).astype(operands[0].dtype, copy=False)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """Copy ufunc(*operands)."""
        np.copyto(out[0], self.evaluate(*operands))
