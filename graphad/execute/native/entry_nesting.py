"""Nested arguments and results of an entry: containers as lists of instructions, and the machine code that obeys them.

Arguments are taken apart from the outside in: an instruction checks the class and the length of an object, or fetches
one of its items into a slot. Results are put together from the inside out, on a stack: an instruction makes an array,
or a container of the last values on the stack. Tuples, lists, dicts with text for keys, and None are known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphad.execute.native.code import Code, Module
from graphad.execute.native.waiting import read
from graphad.ir.containers import Branch, Container, Leaf
from graphad.ir.frozen import frozen

# An instruction.
KIND: Final = 0
SOURCE: Final = 8
TARGET: Final = 16
NUMBER: Final = 24
OBJECT: Final = 32
INSTRUCTION_BYTES: Final = 40

IS_NONE, IS_TUPLE, IS_LIST, IS_DICT, TUPLE_ITEM, LIST_ITEM, DICT_ITEM = range(7)
"""Taking apart: checks of the object in slot SOURCE (and of its length, NUMBER), and items of it to slot TARGET."""
MAKE_ARRAY, MAKE_NONE, MAKE_TUPLE, MAKE_LIST, MAKE_DICT = range(5)
"""Putting together: result array NUMBER, or a container of NUMBER values; OBJECT is a dict's tuple of keys."""

_CHECKS: Final = {"none": IS_NONE, "tuple": IS_TUPLE, "list": IS_LIST, "dict": IS_DICT}
_ITEMS: Final = {"tuple": TUPLE_ITEM, "list": LIST_ITEM, "dict": DICT_ITEM}
_MAKERS: Final = {"none": MAKE_NONE, "tuple": MAKE_TUPLE, "list": MAKE_LIST, "dict": MAKE_DICT}

Instruction = tuple[int, int, int, int, int]


@frozen(slots=True)
class Taking:
    """How arguments are taken apart: the instructions, the slot of each leaf, and the number of slots."""

    instructions: list[Instruction]
    leaves: list[int]
    slots: int


@frozen(slots=True)
class Giving:
    """How results are put together: the instructions, the height of the stack, and the objects they point to."""

    instructions: list[Instruction]
    height: int
    kept: list[object]


def known(container: Container) -> bool:
    """Tell whether machine code can take a container apart and put it together."""
    stack = [container]
    while stack:
        branch = stack.pop()
        if isinstance(branch, Leaf):
            continue
        if branch.kind not in _MAKERS or not all(type(key) is str for key in branch.keys):
            return False
        stack += branch.children
    return True


def taking(arguments: Branch) -> Taking:
    """Return how to take apart arguments, which are the children of a tuple: argument k is in slot k."""
    found = Taking([], [], 0)
    slots = len(arguments.children)
    stack: list[tuple[Container, int]] = [(child, k) for k, child in enumerate(arguments.children)][::-1]
    while stack:
        container, slot = stack.pop()
        if isinstance(container, Leaf):
            found.leaves.append(slot)
            continue
        children = container.children
        found.instructions.append((_CHECKS[container.kind], slot, 0, len(children), 0))
        for k in range(len(children)):
            key = id(container.keys[k]) if container.kind == "dict" else 0
            found.instructions.append((_ITEMS[container.kind], slot, slots + k, k, key))
        stack += [(child, slots + k) for k, child in enumerate(children)][::-1]
        slots += len(children)
    return Taking(found.instructions, found.leaves, slots)


def giving(results: Container) -> Giving:
    """Return how to put results together; arrays are numbered in the order of the leaves."""
    instructions: list[Instruction] = []
    kept: list[object] = []
    arrays = height = most = 0
    stack: list[tuple[Container, bool]] = [(results, False)]
    while stack:
        container, opened = stack.pop()
        if isinstance(container, Leaf):
            instructions.append((MAKE_ARRAY, 0, 0, arrays, 0))
            arrays += 1
            height += 1
        elif not opened:
            stack.append((container, True))
            stack += [(child, False) for child in reversed(container.children)]
            continue
        else:
            keys = container.keys
            kept.append(keys)
            instructions.append((_MAKERS[container.kind], 0, 0, len(container.children), id(keys)))
            height += 1 - len(container.children)
        most = max(most, height)
    return Giving(instructions, most, kept)


def add_nesting(module: Module) -> None:
    """Enter take_apart and put_together into a module that has `new_array`."""
    for name, result, parameters in _PYTHON:
        module.declare(name, result, parameters)
    _add_take_apart(module)
    _add_put_together(module)


_PYTHON: Final[Sequence[tuple[str, str, list[str]]]] = (
    ("PyTuple_New", "ptr", ["i64"]),
    ("PyTuple_SetItem", "i32", ["ptr", "i64", "ptr"]),
    ("PyTuple_GetItem", "ptr", ["ptr", "i64"]),
    ("PyTuple_Size", "i64", ["ptr"]),
    ("PyList_New", "ptr", ["i64"]),
    ("PyList_SetItem", "i32", ["ptr", "i64", "ptr"]),
    ("PyList_GetItem", "ptr", ["ptr", "i64"]),
    ("PyList_Size", "i64", ["ptr"]),
    ("PyDict_New", "ptr", []),
    ("PyDict_SetItem", "i32", ["ptr", "ptr", "ptr"]),
    ("PyDict_GetItemWithError", "ptr", ["ptr", "ptr"]),
    ("PyDict_Size", "i64", ["ptr"]),
    ("PyErr_Clear", "void", []),
    ("Py_IncRef", "void", ["ptr"]),
    ("Py_DecRef", "void", ["ptr"]),
)
FUNCTIONS: Final = tuple(name for name, _, _ in _PYTHON)
"""Python's functions that this code calls."""


def _instruction(code: Code, table: str, index: str) -> tuple[str, str, str, str, str]:
    """Load the fields of an instruction."""
    place = code.value(f"getelementptr [{INSTRUCTION_BYTES} x i8], ptr {table}, i64 {index}")
    kind, source, target, number = (read(code, "i64", place, offset) for offset in (KIND, SOURCE, TARGET, NUMBER))
    return kind, source, target, number, read(code, "ptr", place, OBJECT)


def _element(code: Code, base: str, index: str) -> str:
    return code.value(f"getelementptr ptr, ptr {base}, i64 {index}")


def _add_take_apart(module: Module) -> None:
    """Enter ``i1 take_apart(classes, table, count, slots)``; `classes` are those of None, tuple, list and dict."""
    parameters = [("ptr", "classes"), ("ptr", "table"), ("i64", "count"), ("ptr", "slots")]
    code = module.function("take_apart", "i1", parameters, "nounwind noinline", "internal")
    with code.loop("0", "%count") as index:
        kind, source, target, number, key = _instruction(code, "%table", index)
        object_ = code.value(f"load ptr, ptr {_element(code, '%slots', source)}, align 8")
        next_, length, check = (code.new_label(stem) for stem in ("next", "length", "check"))
        sizes = {k: code.new_label("size") for k in (IS_TUPLE, IS_LIST, IS_DICT)}
        items = {k: code.new_label("item") for k in (TUPLE_ITEM, LIST_ITEM, DICT_ITEM)}
        found = code.new_label("found")
        cases = " ".join(f"i64 {k}, label %{label}" for k, label in items.items())
        code.line(f"switch i64 {kind}, label %{check} [ {cases} ]")
        code.place(check)
        class_ = read(code, "ptr", object_, 8)
        wanted = code.value(f"load ptr, ptr {_element(code, '%classes', kind)}, align 8")
        code.branch(code.value(f"icmp eq ptr {class_}, {wanted}"), length, "no")
        code.place(length)
        cases = " ".join(f"i64 {k}, label %{label}" for k, label in sizes.items())
        code.line(f"switch i64 {kind}, label %{next_} [ {cases} ]")
        for k, name in ((IS_TUPLE, "PyTuple_Size"), (IS_LIST, "PyList_Size"), (IS_DICT, "PyDict_Size")):
            code.place(sizes[k])
            size = code.call("i64", name, [("ptr", object_)])
            code.branch(code.value(f"icmp eq i64 {size}, {number}"), next_, "no")
        values = []
        for k, name in ((TUPLE_ITEM, "PyTuple_GetItem"), (LIST_ITEM, "PyList_GetItem")):
            code.place(items[k])
            values.append((code.call("ptr", name, [("ptr", object_), ("i64", number)]), items[k]))
            code.jump(found)
        code.place(items[DICT_ITEM])
        item = code.call("ptr", "PyDict_GetItemWithError", [("ptr", object_), ("ptr", key)])
        values.append((item, items[DICT_ITEM]))
        code.jump(found)
        code.place(found)
        item = code.value("phi ptr " + ", ".join(f"[ {value}, %{label} ]" for value, label in values))
        code.line(f"store ptr {item}, ptr {_element(code, '%slots', target)}, align 8")
        code.branch(code.value(f"icmp eq ptr {item}, null"), "missing", next_)
        code.place(next_)
    code.line("ret i1 true")
    code.place("missing")
    code.call("void", "PyErr_Clear", [])
    code.jump("no")
    code.place("no")
    code.line("ret i1 false")


def _add_put_together(module: Module) -> None:
    """Enter ``ptr put_together(descriptor, table, count, stack, data, none)``.

    Returns the last value, or null with an exception; the addresses of the arrays' data go to `data`.
    """
    parameters = [("ptr", "descriptor"), ("ptr", "table"), ("i64", "count"), ("ptr", "stack"), ("ptr", "data")]
    code = module.function("put_together", "ptr", [*parameters, ("ptr", "none")], "nounwind noinline", "internal")
    height = code.slot("i64", align=8)
    code.line(f"store i64 0, ptr {height}, align 8")
    with code.loop("0", "%count") as index:
        kind, _, _, number, keys = _instruction(code, "%table", index)
        top = code.value(f"load i64, ptr {height}, align 8")
        bottom = code.value(f"sub i64 {top}, {number}")
        labels = {k: code.new_label("make") for k in range(5)}
        pushed = code.new_label("pushed")
        cases = " ".join(f"i64 {k}, label %{label}" for k, label in labels.items() if k != MAKE_NONE)
        code.line(f"switch i64 {kind}, label %{labels[MAKE_NONE]} [ {cases} ]")
        ends: list[tuple[str, str, str]] = []

        code.place(labels[MAKE_ARRAY])
        array = code.call("ptr", "new_array", [("ptr", "%descriptor"), ("i64", number), ("ptr", "%data")])
        made = code.new_label("made")
        code.branch(code.value(f"icmp eq ptr {array}, null"), "failed", made)
        code.place(made)
        ends.append((array, top, made))
        code.jump(pushed)

        code.place(labels[MAKE_NONE])
        code.call("void", "Py_IncRef", [("ptr", "%none")])
        ends.append(("%none", top, labels[MAKE_NONE]))
        code.jump(pushed)

        for k, stem in ((MAKE_TUPLE, "PyTuple"), (MAKE_LIST, "PyList")):
            code.place(labels[k])
            new = code.call("ptr", f"{stem}_New", [("i64", number)])
            _go_on(code, code.value(f"icmp ne ptr {new}, null"), "failed")
            with code.loop("0", number) as item:
                value = _popped(code, bottom, item)
                code.call("i32", f"{stem}_SetItem", [("ptr", new), ("i64", item), ("ptr", value)])
            ends.append((new, bottom, code.block))
            code.jump(pushed)

        code.place(labels[MAKE_DICT])
        new = code.call("ptr", "PyDict_New", [])
        _go_on(code, code.value(f"icmp ne ptr {new}, null"), "failed")
        with code.loop("0", number) as item:
            key = code.call("ptr", "PyTuple_GetItem", [("ptr", keys), ("i64", item)])
            value = code.value(f"load ptr, ptr {_element(code, '%stack', code.value(f'add i64 {bottom}, {item}'))}")
            failed = code.call("i32", "PyDict_SetItem", [("ptr", new), ("ptr", key), ("ptr", value)])
            lost, kept = code.new_label("lost"), code.new_label("kept")
            code.branch(code.value(f"icmp ne i32 {failed}, 0"), lost, kept)
            code.place(lost)
            code.call("void", "Py_DecRef", [("ptr", new)])
            code.jump("failed")
            code.place(kept)
        # The dict has its own references: those of the stack go, all at once, so that "failed" can count on them.
        with code.loop("0", number) as item:
            code.call("void", "Py_DecRef", [("ptr", _popped(code, bottom, item))])
        ends.append((new, bottom, code.block))
        code.jump(pushed)

        code.place(pushed)
        value = code.value("phi ptr " + ", ".join(f"[ {v}, %{label} ]" for v, _, label in ends))
        at_ = code.value("phi i64 " + ", ".join(f"[ {t}, %{label} ]" for _, t, label in ends))
        code.line(f"store ptr {value}, ptr {_element(code, '%stack', at_)}, align 8")
        code.line(f"store i64 {code.value(f'add i64 {at_}, 1')}, ptr {height}, align 8")
    code.line(f"ret ptr {code.value('load ptr, ptr %stack, align 8')}")
    code.place("failed")
    left = code.value(f"load i64, ptr {height}, align 8")
    with code.loop("0", left) as item:
        code.call("void", "Py_DecRef", [("ptr", _popped(code, "0", item))])
    code.line("ret ptr null")


def _popped(code: Code, bottom: str, item: str) -> str:
    """Load a value of the stack."""
    return code.value(f"load ptr, ptr {_element(code, '%stack', code.value(f'add i64 {bottom}, {item}'))}, align 8")


def _go_on(code: Code, condition: str, otherwise: str) -> None:
    """Go on only where the condition holds; else jump."""
    on = code.new_label("on")
    code.branch(condition, on, otherwise)
    code.place(on)
