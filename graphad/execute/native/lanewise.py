"""Scalar functions inside vector code: a function of one lane, written once a module, called for each lane.

What may enter: ways to run what has no vector form (loops whose length depends on the values) on lanes.
"""

from __future__ import annotations

from collections.abc import Callable

from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import Lanes, bits_of, element_type, load, store

Body = Callable[..., Lanes]
"""From the parameters, one lane each, to the result; written into a function of its own."""


def scalar_function(module: Module, name: str, kinds: tuple[str, ...], kind: str, body: Body) -> str:
    """Enter ``kind name(kinds...)`` into the module, once, and return its name."""
    if not module.has(name):
        parameters = [(element_type(k), f"p{i}") for i, k in enumerate(kinds)]
        code = module.function(name, element_type(kind), parameters, "noinline nounwind", "internal")
        result = body(*[Lanes(code, k, 1, f"%p{i}") for i, k in enumerate(kinds)])
        code.line(f"ret {result.type} {result.text}")
    return name


def call_scalar(name: str, kind: str, *operands: Lanes) -> Lanes:
    """Call a function of the module on operands of one lane."""
    code = operands[0].code
    text = code.call(element_type(kind), name, [(x.type, x.text) for x in operands])
    return Lanes(code, kind, 1, text)


def each_lane(name: str, kind: str, *operands: Lanes) -> Lanes:
    """Call a function of one lane for every lane, in a loop over a copy of the operands on the stack."""
    first = operands[0]
    code, count = first.code, first.count
    if count == 1:
        return call_scalar(name, kind, *operands)
    places = [_spilled(x) for x in operands]
    target = code.slot(element_type(kind), count)
    with code.loop("0", str(count)) as i:
        lanes = [load(code, x.kind, _element(code, x.kind, at, i)) for x, at in zip(operands, places, strict=True)]
        store(call_scalar(name, kind, *lanes), _element(code, kind, target, i))
    return load(code, kind, target, count)


def _spilled(x: Lanes) -> str:
    place = x.code.slot(element_type(x.kind), x.count)
    store(x, place)
    return place


def _element(code: Code, kind: str, place: str, index: str) -> str:
    return code.value(f"getelementptr i{bits_of(kind)}, ptr {place}, i64 {index}")
