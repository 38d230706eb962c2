"""Tensor: the handle that users and rule writers hold; it behaves as a NumPy array whose elements are not known yet.

Operators are ops with promotion and broadcasting (`coerce.py` fills them in); methods are the NumPy functions of the
same name, so that there is one table (`protocols.py`) of what each NumPy function means.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from graphad.ir.dims import Dim, static
from graphad.ir.emit import set_tensor_class
from graphad.ir.errors import OpTypeError, TraceError
from graphad.ir.location import user_location
from graphad.ir.node import Value
from graphad.ir.types import DType, TensorType, as_dtype
from graphad.tracing import protocols

if TYPE_CHECKING:
    from graphad.numpy.writing import At


STANDARD_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""The versions of the array API standard that `graphad.numpy` answers to."""

_IN_PLACE = "it would change in place, and values of a graph do not change. "
_MEMORY = "a traced array has no memory. "
_UNKNOWN = "its elements are not known while tracing. "

REFUSED: dict[str, str] = {
    "sort": _IN_PLACE + "Use y = np.sort(x)",
    "partition": _IN_PLACE + "Use y = np.partition(x, kth)",
    "fill": _IN_PLACE + "Use np.full_like(x, value)",
    "put": _IN_PLACE + "Use x.ravel().at[indices].set(values).reshape(x.shape)",
    "itemset": _IN_PLACE + "Use x.at[index].set(value)",
    "setfield": _IN_PLACE + "Use x.at[index].set(value)",
    "resize": _IN_PLACE + "Use reshape, np.tile or np.pad",
    "byteswap": _MEMORY + "Cast with astype",
    "view": _MEMORY + "Cast with astype, or give another shape with reshape",
    "getfield": _MEMORY + "Cast with astype",
    "flat": "iterate over x.ravel(), or index that; write with x.ravel().at[i].set(v).reshape(x.shape)",
    "tobytes": _UNKNOWN + "Return it as an output and look at it after the call",
    "tofile": _UNKNOWN + "Return it as an output and write it after the call",
    "dump": _UNKNOWN + "Return it as an output and write it after the call",
    "dumps": _UNKNOWN + "Return it as an output and write it after the call",
    "data": _MEMORY + "Use the array itself",
    "strides": _MEMORY + "Use shape",
    "flags": _MEMORY + "Use shape and dtype",
    "base": _MEMORY + "Use the array itself",
    "ctypes": _MEMORY + "Use the array itself",
}
"""What a NumPy array has and a tensor has not: why, and what to use instead."""

SPECIAL = ("log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax")
"""Functions of graphad.special whose namesakes in scipy.special are no ufuncs and cannot be traced."""


class Tensor:
    """A value of a graph being built: `dtype` and `shape` are known, elements are not."""

    __slots__ = ("__weakref__", "value")
    __array_priority__: ClassVar[float] = 1000.0
    passes_on: ClassVar[bool] = False
    """A subclass that says so is the class of every result that one of its tensors goes into (eager tensors)."""
    __hash__ = None  # type: ignore[assignment]  # == is elementwise; `.value` is the key

    def __init__(self, value: Value) -> None:
        self.value = value

    # What is known without running.

    @property
    def type(self) -> TensorType:
        """Return the type, ``f64[8,5]``."""
        return self.value[0].types[self.value[1]]

    @property
    def dtype(self) -> DType:
        """Return the element type."""
        return self.value[0].types[self.value[1]].dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Return the sizes of the axes; symbolic ones are `Size`s."""
        return self.value[0].types[self.value[1]].shape

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """Return the number of elements."""
        return self.type.size

    @property
    def itemsize(self) -> int:
        """Return the bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Dim:
        """Return the bytes of all elements."""
        return self.type.nbytes

    def __len__(self) -> int:
        if not self.shape:
            raise TraceError(f"len() of a traced array without axes ({self.type})", location=user_location())
        return static(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TraceError(f"iteration over a traced array without axes ({self.type})", location=user_location())
        return (self[i] for i in range(static(self.shape[0])))

    def __contains__(self, item: Any) -> bool:
        return item in self._elements("`in`", "Use np.any(x == item)")

    def __repr__(self) -> str:
        return f"Tensor({self.type}, {self.value.node.op.name})"

    # What rule writers need directly.

    def zeros_like(self) -> Tensor:
        """Return zeros of this type."""
        from graphad.tracing.coerce import constant

        return constant(0, self.dtype).broadcast_to(self.shape)

    def broadcast_to(self, shape: Sequence[Dim]) -> Tensor:
        """Return the tensor repeated to `shape` by NumPy's rule."""
        from graphad.ops import broadcast_to

        return broadcast_to(self, shape)

    # Operators; `graphad.tracing` installs them from the ops.

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __rand__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __ror__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __rxor__(self, other: Any) -> Tensor: ...
        def __lshift__(self, other: Any) -> Tensor: ...
        def __rlshift__(self, other: Any) -> Tensor: ...
        def __rshift__(self, other: Any) -> Tensor: ...
        def __rrshift__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]: ...
        def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]: ...

    def __pos__(self) -> Tensor:
        return self

    def __round__(self, ndigits: int = 0) -> Tensor:
        return self.round(ndigits)

    def __matmul__(self, other: Any) -> Tensor:
        found: Tensor = protocols.call(np.matmul, self, other)
        return found

    def __rmatmul__(self, other: Any) -> Tensor:
        found: Tensor = protocols.call(np.matmul, other, self)
        return found

    # Methods: the NumPy functions of the same name, with their arguments.

    @property
    def T(self) -> Tensor:
        """Return the tensor with its axes reversed."""
        found: Tensor = protocols.call(np.transpose, self)
        return found

    @property
    def mT(self) -> Tensor:
        """Return the tensor with its last two axes swapped."""
        found: Tensor = protocols.call(np.matrix_transpose, self)
        return found

    @property
    def real(self) -> Tensor:
        """Return the real part; of a real tensor, the tensor."""
        found: Tensor = protocols.call(np.real, self)
        return found

    @property
    def imag(self) -> Tensor:
        """Return the imaginary part; of a real tensor, zeros."""
        found: Tensor = protocols.call(np.imag, self)
        return found

    @property
    def at(self) -> At:
        """Return what to index for functional writes: ``x.at[index].set(v)``, ``.add(v)``, ..."""
        from graphad.numpy.writing import At

        return At(self)

    def __getitem__(self, index: Any) -> Tensor:
        found: Tensor = protocols.call(operator.getitem, self, index)
        return found

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes; reverse them without arguments."""
        one = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list)))
        found: Tensor = protocols.call(np.transpose, self, axes[0] if one else axes or None)
        return found

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Tensor:
        """Return the same elements under another shape; one size may be -1."""
        new = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        found: Tensor = protocols.call(np.reshape, self, new, order=order)
        return found

    def flatten(self, order: str = "C") -> Tensor:
        """Return the elements in one axis."""
        found: Tensor = protocols.call(np.ravel, self, order)
        return found

    def copy(self, order: str = "C") -> Tensor:
        """Return the tensor: values of a graph do not change."""
        return self

    def sum(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Add up over axes."""
        found: Tensor = protocols.call(np.sum, self, *arguments, **keywords)
        return found

    def prod(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Multiply up over axes."""
        found: Tensor = protocols.call(np.prod, self, *arguments, **keywords)
        return found

    def mean(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Average over axes."""
        found: Tensor = protocols.call(np.mean, self, *arguments, **keywords)
        return found

    def max(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the largest elements over axes."""
        found: Tensor = protocols.call(np.max, self, *arguments, **keywords)
        return found

    def min(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the smallest elements over axes."""
        found: Tensor = protocols.call(np.min, self, *arguments, **keywords)
        return found

    def var(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the variance over axes."""
        found: Tensor = protocols.call(np.var, self, *arguments, **keywords)
        return found

    def std(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the standard deviation over axes."""
        found: Tensor = protocols.call(np.std, self, *arguments, **keywords)
        return found

    def any(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Tell whether some element is true, over axes."""
        found: Tensor = protocols.call(np.any, self, *arguments, **keywords)
        return found

    def all(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Tell whether all elements are true, over axes."""
        found: Tensor = protocols.call(np.all, self, *arguments, **keywords)
        return found

    def argmax(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the positions of the largest elements along an axis."""
        found: Tensor = protocols.call(np.argmax, self, *arguments, **keywords)
        return found

    def argmin(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the positions of the smallest elements along an axis."""
        found: Tensor = protocols.call(np.argmin, self, *arguments, **keywords)
        return found

    def cumsum(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return running sums along an axis."""
        found: Tensor = protocols.call(np.cumsum, self, *arguments, **keywords)
        return found

    def cumprod(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return running products along an axis."""
        found: Tensor = protocols.call(np.cumprod, self, *arguments, **keywords)
        return found

    def argsort(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the positions that sort along an axis."""
        found: Tensor = protocols.call(np.argsort, self, *arguments, **keywords)
        return found

    def argpartition(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the positions that partition along an axis."""
        found: Tensor = protocols.call(np.argpartition, self, *arguments, **keywords)
        return found

    def searchsorted(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return where values would be inserted to keep the tensor, which is sorted, in order."""
        found: Tensor = protocols.call(np.searchsorted, self, *arguments, **keywords)
        return found

    def ravel(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the elements in one axis."""
        found: Tensor = protocols.call(np.ravel, self, *arguments, **keywords)
        return found

    def swapaxes(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Swap two axes."""
        found: Tensor = protocols.call(np.swapaxes, self, *arguments, **keywords)
        return found

    def squeeze(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Drop axes of size 1."""
        found: Tensor = protocols.call(np.squeeze, self, *arguments, **keywords)
        return found

    def repeat(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Repeat every element along an axis."""
        found: Tensor = protocols.call(np.repeat, self, *arguments, **keywords)
        return found

    def take(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the elements at positions along an axis."""
        found: Tensor = protocols.call(np.take, self, *arguments, **keywords)
        return found

    def dot(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the product with another array."""
        found: Tensor = protocols.call(np.dot, self, *arguments, **keywords)
        return found

    def clip(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Bound the elements from below and above."""
        found: Tensor = protocols.call(np.clip, self, *arguments, **keywords)
        return found

    def round(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Round to a number of digits after the point."""
        found: Tensor = protocols.call(np.round, self, *arguments, **keywords)
        return found

    def diagonal(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return a diagonal over two axes."""
        found: Tensor = protocols.call(np.diagonal, self, *arguments, **keywords)
        return found

    def trace(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Add up a diagonal over two axes."""
        found: Tensor = protocols.call(np.trace, self, *arguments, **keywords)
        return found

    def choose(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Choose among arrays by the elements."""
        found: Tensor = protocols.call(np.choose, self, *arguments, **keywords)
        return found

    def nonzero(self) -> tuple[Tensor, ...]:
        """Return the positions of the elements that are not 0, where these are known."""
        found: tuple[Tensor, ...] = protocols.call(np.nonzero, self)
        return found

    def compress(self, condition: Any, axis: Any = None) -> Tensor:
        """Return the elements along an axis where a mask, known while tracing, holds."""
        found: Tensor = protocols.call(np.compress, condition, self, axis)
        return found

    def conj(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the complex conjugate; of a real tensor, the tensor."""
        if self.dtype.kind == "b":
            return self  # np.conjugate would make it int8
        found: Tensor = protocols.call(np.conjugate, self, *arguments, **keywords)
        return found

    def conjugate(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the complex conjugate; of a real tensor, the tensor."""
        if self.dtype.kind == "b":
            return self  # np.conjugate would make it int8
        found: Tensor = protocols.call(np.conjugate, self, *arguments, **keywords)
        return found

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Tensor:
        """Return the tensor in another dtype; a real dtype keeps the real part, with NumPy's ComplexWarning."""
        from graphad.ops import cast

        try:
            wanted = as_dtype(dtype)
        except TypeError as error:
            raise OpTypeError(f"astype: {error}", location=user_location()) from None
        if self.dtype.kind == "c" and wanted.kind not in "cb":
            warnings.warn(
                "Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning, stacklevel=2
            )
        return cast(self, wanted)

    # What a graph cannot answer, other than of what depends on none of its inputs.

    def _elements(self, what: str, cure: str) -> np.ndarray[Any, Any]:
        """Return the elements; TraceError where they depend on what is not known while tracing."""
        from graphad.tracing.known import is_known

        if is_known(self.value):
            from graphad.eager import value_of

            return value_of(self)
        raise TraceError(
            f"{what} of a traced array ({self.type}): its elements are not known while tracing. {cure}",
            location=user_location(),
        )

    def __bool__(self) -> bool:
        return bool(
            self._elements(
                "bool()",
                "An `if`, `while`, `and`, `or` or `not` needs it: use np.where, np.logical_and / _or / _not",
            )
        )

    def __float__(self) -> float:
        return float(self._elements("float()", "Keep it an array: drop the float(), or return it as an output"))

    def __int__(self) -> int:
        cure = "Keep it an array (x.astype(int)), or pass the number as a plain Python argument"
        return int(self._elements("int()", cure))

    def __index__(self) -> int:
        cure = "Index with the array itself (x[i] works), or pass the number as a plain Python argument"
        return self._elements("index()", cure).__index__()

    def __complex__(self) -> complex:
        return complex(self._elements("complex()", "Keep it an array"))

    def __format__(self, specification: str) -> str:
        if not specification:
            return str(self)
        cure = "Print it without a format, or return it as an output and print it after the call"
        elements = self._elements(f"format {specification!r}", cure)
        return format(elements if self.shape else elements.item(), specification)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        what = "np.asarray() or a write into a NumPy array"
        cure = (
            "Build the result from traced arrays: np.stack, np.concatenate, np.where, x.at[i].set(v), "
            "or graphad.numpy.array and asarray"
        )
        caller = protocols.scipy_caller()
        if caller is not None:
            name = caller.removeprefix("scipy.special.")
            what = f"{caller}, which makes NumPy arrays of its arguments,"
            cure = f"Use graphad.special.{name}" if name in SPECIAL else "Compute it outside the traced function"
        elements = self._elements(what, cure)
        return np.array(elements, dtype=dtype, copy=copy)

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the elements as a read-only array."""
        return self._elements("numpy()", "Return it as an output and look at it after the call")

    def item(self, *arguments: Any) -> Any:
        """Return an element as a Python number."""
        return self._elements("item()", "Return it as an output and look at it after the call").item(*arguments)

    def tolist(self) -> Any:
        """Return the elements as nested lists."""
        return self._elements("tolist()", "Return it as an output and look at it after the call").tolist()

    # The Python array API standard (https://data-apis.org/array-api/2024.12).

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """Return `graphad.numpy`; ValueError for a version of the standard later than 2024.12."""
        import graphad.numpy

        if api_version is not None and api_version not in STANDARD_VERSIONS:
            raise ValueError(f"graphad.numpy follows the array API standard 2024.12, not {api_version!r}")
        return graphad.numpy

    @property
    def device(self) -> str:
        """Return "cpu"."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """Return the tensor; ValueError for what is not the CPU."""
        if device != "cpu" or stream is not None:
            raise ValueError(f"graphad computes on the CPU: no device {device!r}, no streams")
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        cure = "Return it as an output and exchange it after the call"
        elements = self._elements("__dlpack__()", cure)
        if max_version is None or max_version < (1, 0):
            # The first DLPack cannot say that memory is read-only: only a copy may leave.
            if copy is False:
                raise BufferError("elements of a tensor are read-only, which only DLPack 1.0 and later can say")
            return elements.copy().__dlpack__(stream=stream)
        return elements.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __delitem__(self, index: Any) -> NoReturn:
        raise TraceError(
            f"elements of a traced array ({self.type}) cannot be deleted. Select those to keep: x[indices]",
            location=user_location(),
        )

    if not TYPE_CHECKING:  # so that type checkers keep reporting unknown names

        def __getattr__(self, name: str) -> NoReturn:
            cure = REFUSED.get(name)
            if cure is None:
                raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}")
            raise TraceError(f"x.{name} of a traced array ({self.type}): {cure}", location=user_location())

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TraceError(
            f"in-place write to a traced array ({self.type}): values of a graph do not change. "
            "Use y = x.at[index].set(value) (or .add), or np.where",
            location=user_location(),
        )

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        return protocols.call_ufunc(ufunc, method, operands, keywords)

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        return protocols.call_function(function, arguments, keywords)


class Number(Tensor):
    """A traced Python number: as NumPy does with the number itself, promotion lets the other operands decide."""

    __slots__ = ()


set_tensor_class(Tensor)
