"""From what people write to typed operands: constants, promotion by NumPy 2's rules, broadcasts and casts as nodes."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Size
from graphad.ir.emit import apply, emission, emit_of_types
from graphad.ir.errors import OpTypeError, RuleViolation, TraceError
from graphad.ir.leaf import Constant, SizeValue
from graphad.ir.location import user_location
from graphad.ir.op import Elementwise, Op
from graphad.ir.types import DType, TensorType, as_dtype, is_inexact
from graphad.ops import broadcast_shapes, broadcast_to, cast
from graphad.ops import power as raise_to
from graphad.ops.arithmetic import Power, PowerScalar
from graphad.tracing.tensor import Number, Tensor


def constant(value: Any, dtype: DType | None = None) -> Tensor:
    """Return a constant tensor of `value`'s own dtype (or `dtype`).

    `value` is an array, a number, or a nested list of numbers; of a symbolic size, the size as a value.
    """
    if isinstance(value, Size):
        return apply(SizeValue(value, dtype or np.dtype(np.int64)))
    array = np.asarray(value, dtype)
    try:
        wanted = as_dtype(array.dtype)
    except TypeError as error:
        raise TraceError(
            f"a value of type {type(value).__name__} with dtype {array.dtype} cannot be part of a graph: {error}",
            location=user_location(),
        ) from None
    return apply(Constant(array if array.dtype is wanted else array.astype(wanted)))


def as_tensor(value: Any) -> Tensor:
    """Return `value` as a tensor: tensors as they are, arrays and numbers as constants, lists of tensors stacked."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return ops.stack(broadcast_all([as_tensor(item) for item in value]))
    return constant(value)


def _holds_tensor(value: Sequence[Any]) -> bool:
    return any(
        isinstance(item, (Tensor, Size)) or (isinstance(item, (list, tuple)) and _holds_tensor(item)) for item in value
    )


def broadcast_all(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors in their common dtype, broadcast to their common shape."""
    dtype = common_dtype([t.dtype for t in tensors])
    shape = common_shape([t.shape for t in tensors])
    return [broadcast_to(cast(t, dtype), shape) for t in tensors]


def promoted(*values: Any) -> list[Tensor]:
    """Return the values as tensors of their common dtype, in which Python numbers are weak; shapes stay."""
    prepared = [value if is_weak(value) else as_tensor(value) for value in values]
    dtype = common_dtype([_kind(value) for value in prepared])
    return [cast(item, dtype) if isinstance(item, Tensor) else _weak(item, dtype) for item in prepared]


_PYTHON_NUMBERS = (int, float, complex, Number)
_TYPE_OF_KIND = {"f": float, "c": complex}


def is_weak(value: Any) -> bool:
    """Tell whether a value takes its dtype from the other operands: Python numbers, traced or not, and sizes do."""
    return type(value) in _PYTHON_NUMBERS or isinstance(value, Size)


def _kind(value: Any) -> Any:
    """Return what NumPy promotes like `value`: a dtype, or the type of a Python number."""
    if not isinstance(value, Tensor):
        return type(value) if type(value) in (float, complex) else int
    if type(value) is Number:
        return _TYPE_OF_KIND.get(value.dtype.kind, int)
    return value.dtype


def common_dtype(kinds: Sequence[Any]) -> DType:
    """Return the dtype that values of these kinds promote to: dtypes, and the types of weak Python numbers.

    Raises OpTypeError where there is none (bfloat16 and float16).
    """
    kinds = _beside_bfloat16(tuple(kinds))
    try:
        return as_dtype(np.result_type(*(kind if isinstance(kind, np.dtype) else kind(0) for kind in kinds)))
    except np.exceptions.DTypePromotionError:
        raise OpTypeError(
            f"{', '.join(str(kind) for kind in kinds)} have no common dtype; cast with astype",
            location=emission.location or user_location(),
        ) from None


def _beside_bfloat16(kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the kinds with bfloat16 in place of real Python numbers where that is what decides.

    NumPy knows bfloat16 as a foreign dtype, beside which its rule for weak numbers does not hold.
    """
    strong = [kind for kind in kinds if isinstance(kind, np.dtype)]
    if not any(kind.name == "bfloat16" for kind in strong) or not all(k.kind in "biuV" for k in strong):
        return kinds
    half = next(kind for kind in strong if kind.name == "bfloat16")
    return tuple(half if kind in (int, float) else kind for kind in kinds)


def common_shape(shapes: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the broadcast shape; OpTypeError at the user's line where there is none."""
    first = shapes[0]
    if all(shape is first or shape == first for shape in shapes):
        return first
    try:
        return broadcast_shapes(*shapes)
    except RuleViolation as violation:
        raise OpTypeError(str(violation), location=emission.location or user_location()) from None


@functools.cache
def _loop_dtype(ufunc: np.ufunc, kinds: tuple[Any, ...], result: DType | None = None) -> DType | None:
    """Return the dtype in which `ufunc` computes on operands of these dtypes (Python types stand for weak scalars).

    `result` is the dtype that the result must have, if one is asked for.
    """
    kinds = _beside_bfloat16(kinds)
    wanted: dict[str, Any] = {} if result is None else {"signature": (*(None,) * ufunc.nin, result)}
    try:
        loop = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), **wanted)
    except TypeError:
        return None
    return as_dtype(functools.reduce(np.promote_types, loop[: ufunc.nin]))


@functools.cache
def _result_dtype(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> DType | None:
    try:
        return as_dtype(ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout))[ufunc.nin])
    except TypeError:
        return None


def result_dtype(ufunc: np.ufunc, *operands: Any) -> DType:
    """Return the dtype of the (first) result that NumPy's `ufunc` gives for tensors and weak Python numbers.

    Raises OpTypeError where it has no loop for them.
    """
    kinds = tuple(_kind(operand) for operand in operands)
    return _result_dtype(ufunc, kinds) or _undefined(ufunc.__name__, kinds)


_FAMILIES = ("arithmetic", "comparison", "selection", "transcendental", "trigonometric", "hyperbolic", "rounding")
"""The families of ops that mean ufuncs."""
_OP_OF_UFUNC: dict[np.ufunc, Elementwise] = {}
_read: set[str] = set()


def op_of_ufunc(ufunc: np.ufunc) -> Elementwise | None:
    """Return the elementwise op that means `ufunc`, or None; loads families until one has it."""
    found = _OP_OF_UFUNC.get(ufunc)
    if found is None and len(_read) < len(_FAMILIES):
        # Most ops have the name of the ufunc.
        for family in sorted(_FAMILIES, key=lambda family: ops.HOMES.get(ufunc.__name__) != f"graphad.ops.{family}"):
            if family not in _read:
                _read_family(family)
                found = _OP_OF_UFUNC.get(ufunc)
                if found is not None:
                    break
    return found


def _read_family(family: str) -> None:
    """Enter the ops of a family by their ufuncs."""
    module = importlib.import_module(f"graphad.ops.{family}")
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, Elementwise) and isinstance(getattr(cls, "ufunc", None), np.ufunc):
            _OP_OF_UFUNC.setdefault(cls.ufunc, cls())
    _read.add(family)


def ops_of_ufuncs() -> dict[np.ufunc, Elementwise]:
    """Return the elementwise op of every ufunc that one means."""
    for family in _FAMILIES:
        _read_family(family)
    return _OP_OF_UFUNC


def elementwise(op: Elementwise, *operands: Any) -> Tensor:
    """Apply an elementwise op by NumPy's rules: weak Python numbers, promotion, broadcasting."""
    first = operands[0]
    if len(operands) == 2:
        second = operands[1]
        if first.__class__ is Tensor and second.__class__ is Tensor:
            types = first.value[0].types
            if types is second.value[0].types:
                known = _KNOWN.get((op.__class__, id(types)))
                if known is not None and known[0] is types:
                    return emit_of_types(op, (first.value, second.value), known[1])
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            a, b = first.value, second.value
            if a[0].types[a[1]] == b[0].types[b[1]] and first.dtype.kind in "fc":
                return _remembered(op, operands, apply(op, first, second))
    elif len(operands) == 1 and isinstance(first, Tensor):
        if first.__class__ is Tensor:
            types = first.value[0].types
            known = _KNOWN.get((op.__class__, id(types)))
            if known is not None and known[0] is types:
                return emit_of_types(op, (first.value,), known[1])
        if first.dtype.kind in "fc":
            return _remembered(op, operands, apply(op, first))
    return _coerced(op, operands)


Types: TypeAlias = tuple[TensorType, ...]
_KNOWN: dict[tuple[type[Elementwise], int], tuple[Types, Types]] = {}
"""The types that ops without attributes give for operands of one type, by the op's class and the identity of the types
of the nodes that make the operands: those types, and the result's."""
_MOST_KNOWN = 10_000


def _remembered(op: Elementwise, operands: tuple[Any, ...], result: Tensor) -> Tensor:
    """Enter what an op gives for operands of one type, where that is all it depends on; returns the result."""
    cls = type(op)
    types = operands[0].value[0].types
    if len(types) == 1 and cls.infer is Elementwise.infer and cls.__hash__ is Op.__hash__:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        if all(operand.value[0].types is types for operand in operands):
            _KNOWN[cls, id(types)] = types, result.value[0].types
    return result


def _coerced(op: Elementwise, operands: tuple[Any, ...], result: DType | None = None) -> Tensor:
    kinds: list[Any] = []
    prepared: list[Any] = []
    for operand in operands:
        item = operand if is_weak(operand) else as_tensor(operand)
        kinds.append(_kind(item))
        prepared.append(item)
    ufunc = getattr(op, "ufunc", None)
    known = isinstance(ufunc, np.ufunc)
    dtype = _loop_dtype(ufunc, tuple(kinds), result) if known else _float_dtype(kinds)
    if dtype is None:
        _undefined(op.name, kinds, result)
    if ufunc in _ORDERINGS and dtype.kind in "iu" and any(_beyond(item, dtype) for item in prepared):
        # Compared with an integer that the dtype does not hold, all elements are alike, and 0 is one of them.
        (shape,) = (item.shape for item in prepared if isinstance(item, Tensor))
        return broadcast_to(constant(bool(ufunc(*(_beyond(item, dtype) for item in prepared)))), shape)
    tensors = [cast(item, dtype) if isinstance(item, Tensor) else _weak(item, dtype) for item in prepared]
    shape = common_shape([t.shape for t in tensors])
    return apply(op, *(broadcast_to(t, shape) for t in tensors))


def _undefined(name: str, kinds: Sequence[Any], result: DType | None = None) -> NoReturn:
    names = ", ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)
    into = "" if result is None else f" with dtype={result}"
    raise OpTypeError(f"{name} is not defined for ({names}){into}", location=emission.location or user_location())


_ORDERINGS = frozenset({np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal})


def _beyond(value: Any, dtype: DType) -> int:
    """Return 1 or -1 for a Python integer above or below what an integer dtype holds, 0 for anything else."""
    if type(value) is not int:
        return 0
    limits = np.iinfo(dtype)
    return int(value > limits.max) - int(value < limits.min)


def elementwise_into(op: Elementwise, dtype: DType, *operands: Any) -> Tensor:
    """Apply an elementwise op so that its result has `dtype`: a ufunc's ``dtype=``."""
    return _coerced(op, operands, dtype)


def power(base: Any, exponent: Any) -> Tensor:
    """base ** exponent by NumPy's rules; an exponent known while tracing becomes an attribute."""
    if isinstance(base, Tensor) and base.dtype.kind != "b":
        exponent = _without_dtype(base, exponent)
        integer = not is_inexact(base.dtype)
        if type(exponent) is int or (type(exponent) is float and not integer):
            _check_exponent(base, exponent, base.dtype)
            return raise_to(base, exponent)
    return elementwise(Power(), base, exponent)


def power_ufunc(base: Any, exponent: Any, result: DType | None = None) -> Tensor:
    """What `np.power` means: no short cuts for squares and roots; a number as exponent becomes an attribute."""
    if isinstance(base, Tensor):
        exponent = _without_dtype(base, exponent)
        if type(exponent) in (int, float):
            dtype = _loop_dtype(np.power, (_kind(base), type(exponent)), result)
            if dtype is not None:
                _check_exponent(base, exponent, dtype)
                return apply(PowerScalar(exponent), cast(base, dtype))
    return _coerced(Power(), (base, exponent), result)


def _without_dtype(base: Tensor, exponent: Any) -> Any:
    """Return a NumPy scalar that does not change the result's dtype as a Python number; others as they are."""
    if isinstance(exponent, np.generic) and exponent.dtype.kind in "iufc":
        return exponent.item() if np.result_type(base.dtype, exponent.dtype) == base.dtype else exponent
    return exponent


def _check_exponent(base: Tensor, exponent: float, dtype: DType) -> None:
    """Refuse an exponent that `dtype` does not hold, or a negative one of integers."""
    if dtype.kind in "iu" and exponent < 0:
        raise OpTypeError(
            f"integers ({base.type}) to a negative power {exponent} are no integers; "
            f"write x ** {float(exponent)}, or x.astype(float)",
            location=emission.location or user_location(),
        )
    _array(exponent, dtype)


def _float_dtype(kinds: Sequence[Any]) -> DType:
    """Return the dtype of a float function that NumPy has no ufunc for."""
    dtype = common_dtype(kinds)
    return dtype if is_inexact(dtype) else np.dtype(np.float64)


def _weak(number: Any, dtype: DType) -> Tensor:
    """Return a Python number as a constant of the dtype that the other operands chose."""
    if isinstance(number, Size):
        return apply(SizeValue(number, dtype))
    return apply(Constant(_array(number, dtype)))


def _array(number: Any, dtype: DType) -> np.ndarray[Any, Any]:
    """Return a Python number as an array without axes; OpTypeError where it is too large for the dtype."""
    try:
        return np.asarray(number, dtype)
    except OverflowError as error:
        raise OpTypeError(str(error), location=emission.location or user_location()) from None


def binary(ufunc: np.ufunc) -> Callable[[Tensor, Any], Any]:
    """Return the Python operator ``self op other`` that `ufunc` stands for."""

    def operator(self: Tensor, other: Any) -> Any:
        if other.__class__ is not Tensor and not is_operand(other):
            return NotImplemented
        made = elementwise(_op(ufunc), self, other)
        return made if self.__class__ is Tensor else number_if_weak(made, self, other)

    return operator


def reflected(ufunc: np.ufunc) -> Callable[[Tensor, Any], Any]:
    """Return the Python operator ``other op self`` that `ufunc` stands for."""

    def operator(self: Tensor, other: Any) -> Any:
        if other.__class__ is not Tensor and not is_operand(other):
            return NotImplemented
        made = elementwise(_op(ufunc), other, self)
        return made if self.__class__ is Tensor else number_if_weak(made, self, other)

    return operator


def _op(ufunc: np.ufunc) -> Elementwise:
    """Return the op that means a ufunc which surely has one."""
    op = op_of_ufunc(ufunc)
    assert op is not None, f"{ufunc} is an op"
    return op


def number_if_weak(result: Tensor, self: Tensor, other: Any) -> Tensor:
    """Python's operators on Python numbers give Python numbers (a comparison gives a boolean, which is not weak)."""
    weak = type(self) is Number and is_weak(other) and result.dtype.kind != "b"
    return Number(result.value) if weak else result


def is_operand(value: Any) -> bool:
    """Tell whether a value may stand beside a tensor in an operator."""
    return isinstance(value, (Tensor, bool, int, float, complex, np.ndarray, np.generic, list, tuple, Size))
