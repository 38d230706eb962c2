"""Tensor: the handle that users and rule writers hold; it behaves as a NumPy array whose elements are not known yet.

Operators are ops with promotion and broadcasting (`coerce.py` fills them in); methods are the NumPy functions of the
same name, so that there is one table (`protocols.py`) of what each NumPy function means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from graphad.ir.dims import Dim, static
from graphad.ir.emit import set_tensor_class
from graphad.ir.errors import TraceError
from graphad.ir.location import user_location
from graphad.ir.node import Value
from graphad.ir.types import DType, TensorType
from graphad.tracing import protocols


class Tensor:
    """A value of a graph being built: `dtype` and `shape` are known, elements are not."""

    __slots__ = ("__weakref__", "value")
    __array_priority__: ClassVar[float] = 1000.0
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
            raise TypeError("len() of a tensor without axes")
        return static(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("iteration over a tensor without axes")
        return (self[i] for i in range(static(self.shape[0])))

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

    def __pos__(self) -> Tensor:
        return self

    def __matmul__(self, other: Any) -> Tensor:
        return protocols.call(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return protocols.call(np.matmul, other, self)

    # Methods: the NumPy functions of the same name.

    @property
    def T(self) -> Tensor:
        """Return the tensor with its axes reversed."""
        return protocols.call(np.transpose, self)

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes; reverse them without arguments."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
            return protocols.call(np.transpose, self, axes[0])
        return protocols.call(np.transpose, self, axes or None)

    def reshape(self, *shape: Any, order: str = "C") -> Tensor:
        """Return the same elements under another shape; one size may be -1."""
        new = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return protocols.call(np.reshape, self, new, order=order)

    def astype(self, dtype: Any, **ignored: Any) -> Tensor:
        """Return the tensor in another dtype."""
        from graphad.ir.types import as_dtype
        from graphad.ops import cast

        return cast(self, as_dtype(dtype))

    # What a graph cannot answer.

    def _refuse(self, what: str, cure: str) -> NoReturn:
        raise TraceError(
            f"{what} of a traced array ({self.type}): its elements are not known while tracing. {cure}",
            location=user_location(),
        )

    def __bool__(self) -> bool:
        self._refuse(
            "bool()", "An `if`, `while`, `and`, `or` or `not` needs it: use np.where, ga.cond, np.logical_and / _or / _not"
        )

    def __float__(self) -> float:
        self._refuse("float()", "Keep it an array: drop the float(), or return it as an output")

    def __int__(self) -> int:
        self._refuse("int()", "Keep it an array (x.astype(int)), or pass the number as a plain Python argument")

    def __index__(self) -> int:
        self._refuse("index()", "Index with the array itself (x[i] works), or pass the number as a plain Python argument")

    def __complex__(self) -> complex:
        self._refuse("complex()", "Keep it an array")

    def __array__(self, *arguments: Any, **keywords: Any) -> NoReturn:
        self._refuse(
            "np.asarray() or a write into a NumPy array",
            "Build the result from traced arrays (np.stack, np.concatenate, np.where, x.at[i].set(v)), or use graphad.numpy",
        )

    def item(self, *arguments: Any) -> NoReturn:
        """Refuse: the elements are not known."""
        self._refuse("item()", "Return it as an output and look at it after the call")

    def tolist(self) -> NoReturn:
        """Refuse: the elements are not known."""
        self._refuse("tolist()", "Return it as an output and look at it after the call")

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


set_tensor_class(Tensor)
