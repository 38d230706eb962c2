"""Entries: executables as built-in functions, called from Python straight into machine code.

What may enter: descriptors of what a call takes and makes, and their claim, which the Python way of running the same
program must take too. The function itself is in `entry_code`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from graphad.execute.arguments import builder
from graphad.execute.native import entry_code, entry_nesting
from graphad.execute.native.entry_code import DESCRIPTOR_BYTES, entry_text
from graphad.execute.native.entry_nesting import Giving, Taking, giving, known, taking
from graphad.execute.native.object_cache import compiled
from graphad.execute.native.target import Loaded, define
from graphad.execute.native.threads import Pool
from graphad.execute.native.walker import StepTable
from graphad.ir.containers import Branch, Container, Leaf, paths
from graphad.ir.frozen import frozen

Array = np.ndarray[Any, Any]
Spec = tuple[np.dtype[Any], tuple[int, ...]]
"""Dtype and shape of an array of a call."""

ARRAYS_AT_MOST: Final = 4_096
"""Inputs and results of an entry: their addresses lie on the stack."""


class Descriptor(np.ndarray[Any, np.dtype[np.uint64]]):
    """What machine code reads about one executable, and the objects that this memory points to."""

    kept: tuple[Any, ...]


@frozen(slots=True, eq=False)
class Claim:
    """The right to run a program: one run at a time, whoever starts it."""

    descriptor: Descriptor

    def take(self) -> bool:
        """Take the claim if it is free; tells whether it was."""
        return bool(_take()(self.descriptor.ctypes.data))

    def give(self) -> None:
        """Give the claim back."""
        self.descriptor[entry_code.CLAIM // 8] = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the claim, and hold it for a while. Whoever holds it already waits forever."""
        pause = 20e-6
        while not self.take():
            time.sleep(pause)
            pause = min(2 * pause, 1e-3)
        try:
            yield
        finally:
            self.give()


@frozen(slots=True, eq=False)
class Entry:
    """A program as a built-in function.

    Attributes:
        call: the function; arguments by position as described, anything else goes to the fallback.
        claim: what must be held to run the same program in another way.
    """

    call: Callable[..., Any]
    claim: Claim


def entry(
    pool: Pool,
    table: StepTable,
    inputs: Sequence[Spec],
    results: Sequence[Spec],
    patches: Sequence[tuple[int, int, int]] | Array,
    fallback: Callable[..., Any],
    arguments: Container | None = None,
    result: Container | None = None,
) -> Entry:
    """Return a program as a built-in function that takes and makes arrays.

    Args:
        pool: whose workers run it, on as many threads as `table` has; `table.brief` says whether a run keeps Python's
            lock.
        table: the program.
        inputs, results: the arrays of a call, in order. Inputs without axes may be NumPy scalars of the dtype, and
            Python floats where the dtype is a float. Results are new arrays.
        patches: (array, address, offset) with arrays numbered through inputs and results: before a run, the address of
            the array's first byte plus `offset` is stored at `address`.
        fallback: called with the same arguments where they are not exactly arrays of these types, native, dense and
            aligned, with keywords, while the program is running, and after a run that a step has condemned. It must
            take the claim for as long as it uses the program's memory.
        arguments: how the inputs are nested in the arguments, which are the children of a tuple; one each if not given.
        result: how the results are nested in what is returned; a tuple of them if not given.

    Raises ValueError for what an entry cannot do (see `possible`).
    """
    if not possible(len(inputs), len(results)):
        raise ValueError("this process cannot have entries in machine code, or there are too many arrays")
    takes, gives, build = _takes(arguments, len(inputs)), _gives(result, len(results)), None
    if gives is None:
        assert result is not None
        gives, build = giving(_flat(len(results))), builder(result)
    shapes = np.array([n for _, shape in (*inputs, *results) for n in shape] or [0], np.int64)
    sources = [*takes.leaves, *[0] * len(results)]
    records = _table(_records((*inputs, *results), sources, shapes.ctypes.data), entry_code.ARRAY_BYTES)
    take_table = _table(takes.instructions, entry_nesting.INSTRUCTION_BYTES)
    give_table = _table(gives.instructions, entry_nesting.INSTRUCTION_BYTES)
    patch_table = np.array(patches, np.int64).reshape(-1, 3)
    if len(patch_table) and not 0 <= patch_table[:, 0].min() <= patch_table[:, 0].max() < len(inputs) + len(results):
        raise ValueError("a patch names an array that the call does not have")
    words = {
        entry_code.CONTROL: pool.address,
        entry_code.PROGRAM: table.address,
        entry_code.STEPS: len(table),
        entry_code.THREADS: table.threads,
        entry_code.RUN: pool.run_address,
        entry_code.RELEASES: 0 if table.brief else 1,
        entry_code.FALLBACK: id(fallback),
        entry_code.BUILD: 0 if build is None else id(build),
        entry_code.ARGUMENTS: len(inputs) if arguments is None else _count(arguments),
        entry_code.INPUTS: len(inputs),
        entry_code.RESULTS: len(results),
        entry_code.PATCHES: len(patch_table),
        entry_code.INPUT_TABLE: records.ctypes.data,
        entry_code.RESULT_TABLE: records.ctypes.data + entry_code.ARRAY_BYTES * len(inputs),
        entry_code.PATCH_TABLE: patch_table.ctypes.data,
        entry_code.ARRAY_CLASS: id(np.ndarray),
        entry_code.FLOAT_CLASS: id(float),
        entry_code.NONE: id(None),
        entry_code.TAKES: len(takes.instructions),
        entry_code.TAKE_TABLE: take_table.ctypes.data,
        entry_code.SLOTS: takes.slots,
        entry_code.GIVES: len(gives.instructions),
        entry_code.GIVE_TABLE: give_table.ctypes.data,
        entry_code.HEIGHT: gives.height,
        **{entry_code.CLASSES + 8 * k: id(c) for k, c in enumerate((type(None), tuple, list, dict))},
    }
    descriptor = np.zeros(DESCRIPTOR_BYTES // 8, np.uint64).view(Descriptor)
    for offset, word in words.items():
        descriptor[offset // 8] = word
    dtypes = [dtype for dtype, _ in (*inputs, *results)]
    descriptor.kept = (table, fallback, build, dtypes, shapes, records, patch_table, pool)
    descriptor.kept += (arguments, take_table, give_table, gives.kept)
    return Entry(_builtin(machine_code(), descriptor), Claim(descriptor))


def _flat(count: int) -> Branch:
    return Branch("tuple", children=(Leaf(),) * count)


def _count(arguments: Container) -> int:
    return len(arguments.children) if isinstance(arguments, Branch) else 0


def _takes(arguments: Container | None, inputs: int) -> Taking:
    """Return how arguments are taken apart. Raises ValueError where they cannot be, or are not as many leaves."""
    container = _flat(inputs) if arguments is None else arguments
    if not isinstance(container, Branch) or container.kind != "tuple" or not known(container):
        raise ValueError(f"an entry cannot take arguments nested as {container} apart")
    found = taking(container)
    if len(found.leaves) != inputs:
        raise ValueError(f"arguments nested as {container} do not have {inputs} leaves")
    return found


def _gives(result: Container | None, results: int) -> Giving | None:
    """Return how results are put together, None where Python must do it. Raises ValueError for another number."""
    container = _flat(results) if result is None else result
    if len(paths(container)) != results:
        raise ValueError(f"a result nested as {container} does not have {results} leaves")
    return giving(container) if known(container) else None


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Array:
    """Return rows of words as an array; one of zeros where there are none."""
    return np.array(rows or [(0,) * (width // 8)], np.uint64)


def _records(specs: Sequence[Spec], sources: Sequence[int], shapes: int) -> list[tuple[int, ...]]:
    """Return the words of the records of arrays, whose shapes lie one after another from an address on."""
    found: list[tuple[int, ...]] = []
    for (dtype, shape), source in zip(specs, sources, strict=True):
        weak = 8 * dtype.itemsize if dtype.kind == "f" and dtype.itemsize in (4, 8) and not shape else 0
        scalar = 0 if shape or dtype.itemsize > 16 else id(dtype.type)
        found.append((id(dtype), dtype.num, len(shape), shapes, scalar, weak, source))
        shapes += 8 * len(shape)
    return found


def possible(inputs: int, results: int) -> bool:
    """Tell whether an entry with so many inputs and results can be made in this process."""
    return inputs + results <= ARRAYS_AT_MOST and layout_is_known()


# The interpreter and NumPy.


class _MethodDef(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_FASTCALL_KEYWORDS: Final = 0x80 | 0x2
_DOC: Final = b"executable($module, /, *arguments, **keywords)\n--\n\nRun the compiled graph."


@functools.cache
def _method(code: Loaded) -> _MethodDef:
    """Return the description of the function; it is never freed, because functions may outlive this module."""
    made = _MethodDef(b"executable", code.address("graphad_entry"), _FASTCALL_KEYWORDS, _DOC)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
    return made


def _builtin(code: Loaded, descriptor: Descriptor) -> Callable[..., Any]:
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(_method(code)), descriptor, None)  # type: ignore[no-any-return]


_NUMPY: Final = {entry_code.NEW_FROM_DESCR: 94, entry_code.SCALAR_AS_CTYPE: 62}
"""Places in NumPy's table of C functions, which never change (numpy/_core/include/numpy/__multiarray_api.h)."""


@functools.cache
def machine_code() -> Loaded:
    """Return the machine code of entries; it is never freed, because functions may outlive this module."""
    api = ctypes.cast(_numpy_table(), ctypes.POINTER(ctypes.c_uint64))
    symbols = {name: _address(getattr(ctypes.pythonapi, name)) for name in entry_code.PYTHON_FUNCTIONS}
    define({**symbols, **{name: int(api[place]) for name, place in _NUMPY.items()}})
    made = compiled(entry_text())
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
    return made


@functools.cache
def _take() -> Callable[[int], int]:
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(machine_code().address("graphad_claim"))


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _numpy_table() -> int:
    """Return the address of NumPy's table of C functions."""
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, None))


@functools.cache
def layout_is_known() -> bool:
    """Tell whether objects lie in memory as machine code expects: CPython with its lock, NumPy 2, 64 bits."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    if sys.maxsize < 2**32 or sys.byteorder != "little" or object.__basicsize__ != 16:
        return False
    if int(np.__version__.split(".", 1)[0]) != 2 or not all(
        hasattr(ctypes.pythonapi, name) for name in entry_code.PYTHON_FUNCTIONS
    ):
        return False
    return all(_fields_agree(np.zeros(shape, kind)) for shape, kind in (((2, 3, 5), "f8"), ((), "i2"), ((7,), "?")))


def _fields_agree(array: Array) -> bool:
    """Compare what lies at the expected places of an array, and of its dtype, with what NumPy says of them."""

    def word(kind: Any, base: int, offset: int) -> Any:
        return kind.from_address(base + offset).value

    base, descr = id(array), id(array.dtype)
    sizes = word(ctypes.c_uint64, base, entry_code.ARRAY_DIMENSIONS)
    shape = tuple(word(ctypes.c_int64, sizes, 8 * k) for k in range(array.ndim))
    order = {"<": "=", ">": "=", "=": "=", "|": "|"}[array.dtype.str[0]]
    return bool(
        word(ctypes.c_uint64, base, entry_code.OBJECT_CLASS) == id(np.ndarray)
        and word(ctypes.c_uint64, base, entry_code.ARRAY_DATA) == array.ctypes.data
        and word(ctypes.c_int32, base, entry_code.ARRAY_ND) == array.ndim
        and shape == array.shape
        and word(ctypes.c_uint64, base, entry_code.ARRAY_DESCR) == descr
        and word(ctypes.c_int32, base, entry_code.ARRAY_FLAGS) & entry_code.DENSE == entry_code.DENSE
        and word(ctypes.c_int8, descr, entry_code.DESCR_BYTEORDER) == ord(order)
        and word(ctypes.c_int32, descr, entry_code.DESCR_NUMBER) == array.dtype.num
    )
