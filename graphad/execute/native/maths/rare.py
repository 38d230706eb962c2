"""Lanes for which the usual formula is not made, computed one by one in a branch that is hardly ever taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import Lanes, element_type, load, store

Formula = Callable[..., Sequence[Lanes]]


def where_rare(
    condition: Lanes, operands: Sequence[Lanes], usual: Sequence[Lanes], name: str, formula: Formula
) -> list[Lanes]:
    """Return `usual`, but ``formula(*operands)`` in the lanes where the "bool" `condition` holds.

    The formula is written once in a module, for one lane, as a function `name` that is never inlined; operands and
    results go through memory. A scalar and a lane of a vector get the same bits.
    """
    code, count = condition.code, condition.count
    _define(code.module, name, [x.kind for x in operands], [x.kind for x in usual], formula)
    then, after, before = code.new_label("rare"), code.new_label("usual"), code.block
    code.branch(condition.any().text, then, after)
    code.place(then)
    values = [condition, *operands, *usual]
    places = [code.slot(_memory_type(x.kind), count) for x in values]
    for value, place in zip(values, places, strict=True):
        store(value, place)
    code.call("void", name, [*(("ptr", place) for place in places), ("i64", str(count))])
    found = [load(code, x.kind, place, count) for x, place in zip(usual, places[1 + len(operands) :], strict=True)]
    code.jump(after)
    code.place(after)
    merged = zip(usual, found, strict=True)
    return [a.with_(f"phi {a.type} [ {a.text}, %{before} ], [ {b.text}, %{then} ]") for a, b in merged]


def _define(module: Module, name: str, operands: Sequence[str], results: Sequence[str], formula: Formula) -> None:
    """Define ``void name(ptr condition, ptr operand..., ptr result..., i64 n)``, once in a module."""
    if module.has(name):
        return
    kinds = ["bool", *operands, *results]
    names = [f"p{k}" for k in range(len(kinds))]
    parameters = [*(("ptr", p) for p in names), ("i64", "n")]
    # Left as it is written: optimised, it would take longer to compile than all that is run often.
    code = module.function(name, "void", parameters, "nounwind noinline optnone cold", "internal")
    with code.loop("0", "%n") as k:
        places = [_element(code, kind, p, k) for kind, p in zip(kinds, names, strict=True)]
        with code.when(load(code, "bool", places[0]).text):
            inputs = [load(code, kind, place) for kind, place in zip(operands, places[1:], strict=False)]
            for value, place in zip(formula(*inputs), places[1 + len(operands) :], strict=True):
                store(value, place)
    code.line("ret void")


def _memory_type(kind: str) -> str:
    return "i8" if kind == "bool" else element_type(kind)


def _element(code: Code, kind: str, base: str, index: str) -> str:
    return code.value(f"getelementptr {_memory_type(kind)}, ptr %{base}, i64 {index}")
