"""Kernel: a machine function and what one step of a program passes to it.

Every generated kernel has one signature, so that a table of them can be walked by a machine-code loop::

    void kernel(ptr pointers, ptr sizes, i64 begin, i64 end, ptr scratch)

`pointers` holds the addresses of the operands' and then of the results' buffers, `sizes` the kernel's own run-time
integers, ``begin <= k < end`` is this thread's share of the parallel axis, and `scratch` is workspace of this thread.
Whatever decides the code, such as the strides of a loop nest, is constant inside; steps that need the same code share
one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.code import Code, Module
from graphad.ir.frozen import frozen

PARAMETERS: Sequence[tuple[str, str]] = (
    ("ptr", "pointers"),
    ("ptr", "sizes"),
    ("i64", "begin"),
    ("i64", "end"),
    ("ptr", "scratch"),
)


@frozen(slots=True)
class Kernel:
    """One use of a machine function.

    Attributes:
        name: the function's name in its module: equal names are equal code.
        sizes: the run-time integers.
        extent: length of the parallel axis; a step with nothing to share has 1.
        multiple: shares begin at multiples of this many units.
        scratch: bytes of workspace a thread needs, aligned to 64.
    """

    name: str
    sizes: tuple[int, ...] = ()
    extent: int = 1
    multiple: int = 1
    scratch: int = 0


def begin_kernel(module: Module, name: str) -> Code:
    """Begin a kernel's function in `module`."""
    return module.function(name, "void", PARAMETERS, "nounwind")


def pointer(code: Code, index: int) -> str:
    """Return the address of buffer `index`, as text."""
    place = code.value(f"getelementptr ptr, ptr %pointers, i64 {index}")
    return code.value(f"load ptr, ptr {place}, align 8")


def size(code: Code, index: int) -> str:
    """Return run-time integer `index`, as text of an i64."""
    place = code.value(f"getelementptr i64, ptr %sizes, i64 {index}")
    return code.value(f"load i64, ptr {place}, align 8")
