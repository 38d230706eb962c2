"""Lanes for which the usual formula is not made, computed in a branch that is seldom taken."""

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

    def call(places: Sequence[str]) -> None:
        code.call("void", name, [*(("ptr", place) for place in places), ("i64", str(count))])

    return _where_called(condition, operands, usual, call)


def where_some(
    condition: Lanes, operands: Sequence[Lanes], usual: Sequence[Lanes], name: str, formula: Formula
) -> list[Lanes]:
    """Return what `where_rare` does, all lanes of a vector computed at once, in optimised code.

    It is for what is needed seldom, but then perhaps everywhere: the function is one for each number of lanes.
    """
    code, full = condition.code, f"{name}_{condition.count}"
    if not code.module.has(full):
        kinds = ["bool", *(x.kind for x in operands), *(x.kind for x in usual)]
        parameters = [("ptr", f"p{k}") for k in range(len(kinds))]
        body = code.module.function(full, "void", parameters, "nounwind noinline cold", "internal")
        values = [load(body, kind, f"%p{k}", condition.count) for k, kind in enumerate(kinds)]
        found = formula(*values[1 : 1 + len(operands)])
        for k, value in enumerate(found, 1 + len(operands)):
            store(values[0].select(value, values[k]), f"%p{k}")
        body.line("ret void")

    def call(places: Sequence[str]) -> None:
        code.call("void", full, [("ptr", place) for place in places])

    return _where_called(condition, operands, usual, call)


def _where_called(
    condition: Lanes, operands: Sequence[Lanes], usual: Sequence[Lanes], call: Callable[[Sequence[str]], None]
) -> list[Lanes]:
    """Return `usual`, changed by a call with the places of condition, operands and results where a lane holds."""
    code, count = condition.code, condition.count
    then, after, before = code.new_label("rare"), code.new_label("usual"), code.block
    code.branch(condition.any().text, then, after)
    code.place(then)
    values = [condition, *operands, *usual]
    places = [code.slot(_memory_type(x.kind), count) for x in values]
    for value, place in zip(values, places, strict=True):
        store(value, place)
    call(places)
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
