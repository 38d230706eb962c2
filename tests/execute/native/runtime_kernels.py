"""Small kernels for the tests of the run time, compiled once."""

from __future__ import annotations

import functools

from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import begin_kernel, pointer
from graphad.execute.native.object_cache import compiled
from graphad.execute.native.target import Loaded


@functools.cache
def loaded() -> Loaded:
    """Return the machine code of all kernels."""
    module = Module()
    for add in (_add_count, _add_stamp, _add_mirror, _add_both, _add_fetch, _add_await):
        add(module)
    return compiled(module.text().replace("define internal", "define"))


def address(name: str) -> int:
    """Return the address of a kernel."""
    return loaded().address(name)


def _element(code: Code, base: str, index: str) -> str:
    return code.value(f"getelementptr i64, ptr {base}, i64 {index}")


def _add_count(module: Module) -> None:
    """Enter ``count``: ``p0[k] += 1`` (i64), by way of the scratch."""
    code = begin_kernel(module, "count")
    target = pointer(code, 0)
    with code.loop("%begin", "%end") as k:
        place = _element(code, target, k)
        value = code.value(f"load i64, ptr {place}, align 8")
        code.line(f"store volatile i64 {value}, ptr %scratch, align 8")
        again = code.value("load volatile i64, ptr %scratch, align 8")
        code.line(f"store i64 {code.value(f'add i64 {again}, 1')}, ptr {place}, align 8")
    code.line("ret void")


def _add_stamp(module: Module) -> None:
    """Enter ``stamp``: ``p0[begin] = end`` (i64)."""
    code = begin_kernel(module, "stamp")
    code.line(f"store i64 %end, ptr {_element(code, pointer(code, 0), '%begin')}, align 8")
    code.line("ret void")


def _add_mirror(module: Module) -> None:
    """Enter ``mirror``: ``p1[k] = 3 p0[n - 1 - k] + k`` (i64), where n is the first of the sizes."""
    code = begin_kernel(module, "mirror")
    source, target = pointer(code, 0), pointer(code, 1)
    top = code.value(f"sub i64 {code.value('load i64, ptr %sizes, align 8')}, 1")
    with code.loop("%begin", "%end") as k:
        value = code.value(f"load i64, ptr {_element(code, source, code.value(f'sub i64 {top}, {k}'))}, align 8")
        made = code.value(f"add i64 {code.value(f'mul i64 {value}, 3')}, {k}")
        code.line(f"store i64 {made}, ptr {_element(code, target, k)}, align 8")
    code.line("ret void")


def _add_both(module: Module) -> None:
    """Enter ``both``: ``p2[k] = p0[k] + p1[k]``, ``p3[k] = p0[k] * p1[k]`` (f64)."""
    code = begin_kernel(module, "both")
    x, y, total, product = (pointer(code, k) for k in range(4))
    with code.loop("%begin", "%end") as k:
        a, b = (code.value(f"load double, ptr {_element(code, base, k)}, align 8") for base in (x, y))
        code.line(f"store double {code.value(f'fadd double {a}, {b}')}, ptr {_element(code, total, k)}, align 8")
        code.line(f"store double {code.value(f'fmul double {a}, {b}')}, ptr {_element(code, product, k)}, align 8")
    code.line("ret void")


def _add_fetch(module: Module) -> None:
    """Enter ``fetch``: ``p0[k] = s[k]`` (i64), where the first of the sizes is the address of s."""
    code = begin_kernel(module, "fetch")
    target, source = pointer(code, 0), code.value("load ptr, ptr %sizes, align 8")
    with code.loop("%begin", "%end") as k:
        value = code.value(f"load i64, ptr {_element(code, source, k)}, align 8")
        code.line(f"store i64 {value}, ptr {_element(code, target, k)}, align 8")
    code.line("ret void")


def _add_await(module: Module) -> None:
    """Enter ``await``: set ``p0[0] = 1``, then wait until ``p0[1]`` is not 0, for some seconds at most."""
    code = begin_kernel(module, "await")
    base = pointer(code, 0)
    code.line(f"store atomic i64 1, ptr {base} seq_cst, align 8")
    word = _element(code, base, "1")
    code.jump("look")
    code.place("look")
    left = code.value("phi i64 [ 10000000000, %entry ], [ %fewer, %again ]")
    seen = code.value(f"load atomic i64, ptr {word} seq_cst, align 8")
    code.branch(code.value(f"icmp ne i64 {seen}, 0"), "done", "again")
    code.place("again")
    code.line(f"%fewer = sub i64 {left}, 1")
    code.branch(code.value("icmp sgt i64 %fewer, 0"), "look", "done")
    code.place("done")
    code.line("ret void")
