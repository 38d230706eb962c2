"""Complex numbers taken apart and put together: real part, imaginary part, conjugate, and a number from its parts.

These are linear over the real numbers but not over the complex ones, and so need transposes of their own. A cotangent g
of a complex value stands for the linear map ``dz -> Re(g dz)``: the transpose of an op A is the T with
``Re(g A(dz)) = Re(T(g) dz)``, which conjugates nothing where A is complex-linear (JAX's and autograd's convention).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.op import General, Linear, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ir.types import TensorType, complex_dtype, is_complex, real_dtype
from graphad.ops.arithmetic import neg
from graphad.ops.cast import cast

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


class Part(Linear, abstract=True):
    """An op on each element of one complex operand."""

    allocates = False
    may_raise = False

    def infer(self, z: TensorType) -> TensorType:
        """The type of the real part."""
        if not is_complex(z.dtype):
            fail(f"is defined for complex numbers, not for {z.dtype}")
        return z.with_dtype(real_dtype(z.dtype))

    def batch(self, batched: tuple[bool, ...], z: Tensor) -> Tensor:
        """The op itself: it is elementwise."""
        return apply(self, z)


class Real(Part):
    """y = Re z."""

    samples = (sample(complex_(3, 4)), sample(complex_(2, dtype="complex64")), sample(complex_(2, 0)))

    def evaluate(self, z: Array) -> Array:
        return np.array(z.real)

    def evaluate_into(self, out: tuple[Array, ...], z: Array) -> None:
        np.copyto(out[0], z.real)

    def transpose(self, g: Tensor, z: Tensor) -> Tensor:
        return cast(g, z.dtype)


class Imag(Part):
    """y = Im z."""

    samples = (sample(complex_(3, 4)), sample(complex_(2, dtype="complex64")), sample(complex_()))

    def evaluate(self, z: Array) -> Array:
        return np.array(z.imag)

    def evaluate_into(self, out: tuple[Array, ...], z: Array) -> None:
        np.copyto(out[0], z.imag)

    def transpose(self, g: Tensor, z: Tensor) -> Tensor:
        return complex_of(g.zeros_like(), neg(g))


class Conj(Part):
    """y = Re z - i Im z, the complex conjugate."""

    in_place = True
    samples = (sample(complex_(3, 4)), sample(complex_(2, dtype="complex64")), sample(complex_()))

    def infer(self, z: TensorType) -> TensorType:
        """The operand's type."""
        super().infer(z)
        return z

    def evaluate(self, z: Array) -> Array:
        return np.asarray(np.conjugate(z))

    def evaluate_into(self, out: tuple[Array, ...], z: Array) -> None:
        np.conjugate(z, out=out[0])

    def transpose(self, g: Tensor, z: Tensor) -> Tensor:
        return conj(g)


class AdjointPaired(General, abstract=True):
    """An op whose `pullback` is written in the pairing ``Re(sum(conj(g) dx))``, as the adjoints of linear algebra are.

    The `vjp` is its conjugate, of conjugate cotangents; on real operands the two are one.
    """

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """Pull cotangents of the results back to the operands."""
        raise NotImplementedError(f"{type(self).__name__} has no pullback")

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The conjugate of the pullback of conjugates."""
        turned = tuple(None if g is None else conj(g) for g in cotangents)
        return tuple(None if g is None else conj(g) for g in self.pullback(turned, operands, results))


class Complex(Linear):
    """z = a + i b, of real a and b of one type; signs of zero, infinities and nan stay in their part."""

    allocates = False
    may_raise = False
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(real(2, dtype="float32"), real(2, dtype="float32")),
        sample(real(), real()),
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The complex type whose parts they are."""
        if a != b or real_dtype(complex_dtype(a.dtype)) != a.dtype or is_complex(a.dtype):
            fail("needs two operands of one shape and one dtype, float32 or float64")
        return a.with_dtype(complex_dtype(a.dtype))

    def evaluate(self, a: Array, b: Array) -> Array:
        z = np.empty(a.shape, complex_dtype(a.dtype))
        z.real, z.imag = a, b
        return z

    def evaluate_into(self, out: tuple[Array, ...], a: Array, b: Array) -> None:
        out[0].real, out[0].imag = a, b

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        da, db = tangents
        if db is None:
            return (None if da is None else cast(da, results[0].dtype),)
        return (complex_of(db.zeros_like() if da is None else da, db),)

    def transpose(self, g: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor | None, ...]:
        return real_part(g), neg(imag_part(g))

    def batch(self, batched: tuple[bool, ...], a: Tensor, b: Tensor) -> Tensor:
        shape = (a if batched[0] else b).shape
        return complex_of(a.broadcast_to(shape), b.broadcast_to(shape))


conj_of_complex = function_of(Conj)
complex_of = function_of(Complex)


def conj(x: Tensor) -> Tensor:
    """Return the complex conjugate; x itself where it is real."""
    return conj_of_complex(x) if is_complex(x.dtype) else x


def real_part(x: Tensor) -> Tensor:
    """Return the real part; x itself where it is real."""
    return apply(Real(), x) if is_complex(x.dtype) else x


def imag_part(x: Tensor) -> Tensor:
    """Return the imaginary part; zeros where x is real."""
    return apply(Imag(), x) if is_complex(x.dtype) else x.zeros_like()
