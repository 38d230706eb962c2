"""The entry point in machine code: from a call of Python to a run of a program and back, without Python in between.

One function serves all executables. Python calls it as any built-in function, with a `Descriptor` as its ``self``:
memory that says which arrays the call takes and makes, and where their addresses go. It looks at each argument's
public fields (those of ``PyArrayObject_fields``, NumPy 2), makes the results, enters the addresses, and runs. Whatever
is not exactly as described goes to a Python function, which converts, explains, or waits.

What may enter: the layout of a descriptor, and this function. Making descriptors is the business of `entry`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from graphad.execute.native import control, entry_nesting
from graphad.execute.native.code import Code, Module
from graphad.execute.native.entry_nesting import add_nesting
from graphad.execute.native.waiting import at, read
from graphad.execute.native.walker import PROGRAM_WORDS

# Words of a descriptor, by byte offset.
CLAIM: Final = 0
"""The generation of the pool (see `control.GENERATION`) while a run is under way; anything else is free."""
CONTROL: Final = 8
PROGRAM: Final = 16
STEPS: Final = 24
THREADS: Final = 32
RUN: Final = 40
RELEASES: Final = 48
"""Whether the run releases Python's lock."""
FALLBACK: Final = 56
BUILD: Final = 64
"""A function that puts the tuple of results into its containers, or null."""
ARGUMENTS: Final = 72
"""How many arguments a call has."""
INPUTS: Final = 80
RESULTS: Final = 88
PATCHES: Final = 96
INPUT_TABLE: Final = 104
RESULT_TABLE: Final = 112
PATCH_TABLE: Final = 120
ARRAY_CLASS: Final = 128
FLOAT_CLASS: Final = 136
NONE: Final = 144
CLASSES: Final = 152
"""Classes of None, tuple, list and dict."""
TAKES: Final = 184
TAKE_TABLE: Final = 192
SLOTS: Final = 200
GIVES: Final = 208
GIVE_TABLE: Final = 216
HEIGHT: Final = 224
DESCRIPTOR_BYTES: Final = 256

# One array that a call takes or makes.
ARRAY_DTYPE: Final = 0
ARRAY_NUMBER: Final = 8
"""NumPy's number of the dtype: dtypes that were copied or unpickled are other objects with the same number."""
ARRAY_RANK: Final = 16
ARRAY_SHAPE: Final = 24
ARRAY_SCALAR: Final = 32
"""NumPy's class of scalars that are taken for an array without axes, or null."""
ARRAY_WEAK: Final = 40
"""Bits of the float that a Python float is rounded to, where it is taken: 64, 32, or 0 for not at all."""
ARRAY_SLOT: Final = 48
"""The slot of an input: an argument, or what was taken out of one."""
ARRAY_BYTES: Final = 56

# One address to enter.
PATCH_ARRAY: Final = 0
PATCH_PLACE: Final = 8
PATCH_OFFSET: Final = 16
PATCH_BYTES: Final = 24

# Fields of objects; `entry` checks them against real ones before any of this is used.
OBJECT_CLASS: Final = 8
ARRAY_DATA: Final = 16
ARRAY_ND: Final = 24
ARRAY_DIMENSIONS: Final = 32
ARRAY_DESCR: Final = 56
ARRAY_FLAGS: Final = 64
DESCR_BYTEORDER: Final = 26
DESCR_NUMBER: Final = 28
DENSE: Final = 0x101
"""NumPy's flags for row-major contiguous and aligned."""

NEW_FROM_DESCR: Final = "graphad_numpy_new_from_descr"
SCALAR_AS_CTYPE: Final = "graphad_numpy_scalar_as_ctype"

_PYTHON: Final[Sequence[tuple[str, str, list[str]]]] = (
    ("PyObject_Vectorcall", "ptr", ["ptr", "ptr", "i64", "ptr"]),
    ("PyObject_CallOneArg", "ptr", ["ptr", "ptr"]),
    ("PyEval_SaveThread", "ptr", []),
    ("PyEval_RestoreThread", "void", ["ptr"]),
    ("PyFloat_AsDouble", "double", ["ptr"]),
)
PYTHON_FUNCTIONS: Final = (*(name for name, _, _ in _PYTHON), *entry_nesting.FUNCTIONS)
"""Python's functions that an entry calls."""

_CALL: Final = [("ptr", "self"), ("ptr", "args"), ("i64", "nargs"), ("ptr", "names")]


@functools.cache
def entry_text() -> str:
    """Return the module: ``graphad_entry`` and ``graphad_claim``, with Python's and NumPy's functions as symbols."""
    module = Module()
    for name, result, parameters in _PYTHON:
        module.declare(name, result, parameters)
    module.declare(NEW_FROM_DESCR, "ptr", ["ptr", "ptr", "i32", "ptr", "ptr", "ptr", "i32", "ptr"])
    module.declare(SCALAR_AS_CTYPE, "void", ["ptr", "ptr"])
    _add_claim(module)
    _add_array_fits(module)
    _add_number_fits(module)
    _add_new_array(module)
    add_nesting(module)
    _add_let_go(module)
    _add_enter(module)
    _add_entry(module)
    return module.text()


def _add_claim(module: Module) -> None:
    """Enter ``i32 graphad_claim(descriptor)``: take the program, or hear 0 where a run has it.

    A claim that another thread of the parent process held when it forked is void: its generation has passed.
    """
    code = module.function("graphad_claim", "i32", [("ptr", "descriptor")], "nounwind")
    generation = read(code, "i64", read(code, "ptr", "%descriptor", CONTROL), control.GENERATION)
    held = code.value("load atomic i64, ptr %descriptor monotonic, align 8")
    code.branch(code.value(f"icmp eq i64 {held}, {generation}"), "taken", "free")
    code.place("free")
    swap = code.value(f"cmpxchg ptr %descriptor, i64 {held}, i64 {generation} acquire monotonic, align 8")
    won = code.value(f"extractvalue {{ i64, i1 }} {swap}, 1")
    code.line(f"ret i32 {code.value(f'zext i1 {won} to i32')}")
    code.place("taken")
    code.line("ret i32 0")


def _must(code: Code, condition: str, otherwise: str = "no") -> None:
    """Go on only where the condition holds; else jump."""
    on = code.new_label("on")
    code.branch(condition, on, otherwise)
    code.place(on)


def _add_array_fits(module: Module) -> None:
    """Enter ``i1 array_fits(object, wanted)``: an array of this dtype and shape, native, dense and aligned."""
    code = module.function("array_fits", "i1", [("ptr", "object"), ("ptr", "wanted")], "nounwind", "internal")
    descr = read(code, "ptr", "%object", ARRAY_DESCR)
    same = code.value(f"icmp eq ptr {descr}, {read(code, 'ptr', '%wanted', ARRAY_DTYPE)}")
    code.branch(same, "shape", "other")
    code.place("other")
    number = code.value(f"sext i32 {read(code, 'i32', descr, DESCR_NUMBER)} to i64")
    _must(code, code.value(f"icmp eq i64 {number}, {read(code, 'i64', '%wanted', ARRAY_NUMBER)}"))
    order = code.value(f"load i8, ptr {at(code, descr, DESCR_BYTEORDER)}, align 1")
    native = code.value(f"icmp eq i8 {order}, {ord('=')}")
    neutral = code.value(f"icmp eq i8 {order}, {ord('|')}")
    code.branch(code.value(f"or i1 {native}, {neutral}"), "shape", "no")
    code.place("shape")
    rank = read(code, "i64", "%wanted", ARRAY_RANK)
    nd = code.value(f"sext i32 {read(code, 'i32', '%object', ARRAY_ND)} to i64")
    _must(code, code.value(f"icmp eq i64 {nd}, {rank}"))
    flags = code.value(f"and i32 {read(code, 'i32', '%object', ARRAY_FLAGS)}, {DENSE}")
    _must(code, code.value(f"icmp eq i32 {flags}, {DENSE}"))
    dimensions = read(code, "ptr", "%object", ARRAY_DIMENSIONS)
    shape = read(code, "ptr", "%wanted", ARRAY_SHAPE)
    with code.loop("0", rank) as axis:
        offset = code.value(f"shl i64 {axis}, 3")
        _must(
            code, code.value(f"icmp eq i64 {read(code, 'i64', dimensions, offset)}, {read(code, 'i64', shape, offset)}")
        )
    code.line("ret i1 true")
    code.place("no")
    code.line("ret i1 false")


def _add_number_fits(module: Module) -> None:
    """Enter ``i1 number_fits(object, class, float class, wanted, room)``: a scalar in place of an array without axes.

    Its value is stored in `room`. A Python float that overflows the wanted dtype does not fit: NumPy warns there.
    """
    parameters = [("ptr", "object"), ("ptr", "class"), ("ptr", "float"), ("ptr", "wanted"), ("ptr", "room")]
    code = module.function("number_fits", "i1", parameters, "nounwind noinline cold", "internal")
    scalar = read(code, "ptr", "%wanted", ARRAY_SCALAR)
    code.branch(code.value(f"icmp eq ptr %class, {scalar}"), "scalar", "weak")
    code.place("scalar")
    code.call("void", SCALAR_AS_CTYPE, [("ptr", "%object"), ("ptr", "%room")])
    code.line("ret i1 true")
    code.place("weak")
    _must(code, code.value("icmp eq ptr %class, %float"))
    bits = read(code, "i64", "%wanted", ARRAY_WEAK)
    _must(code, code.value(f"icmp ne i64 {bits}, 0"))
    value = code.call("double", "PyFloat_AsDouble", [("ptr", "%object")])
    code.branch(code.value(f"icmp eq i64 {bits}, 32"), "single", "double")
    code.place("double")
    code.line(f"store double {value}, ptr %room, align 8")
    code.line("ret i1 true")
    code.place("single")
    module.declare("llvm.fabs.f64", "double", ["double"])
    rounded = code.value(f"fptrunc double {value} to float")
    after = code.call("double", "llvm.fabs.f64", [("double", code.value(f"fpext float {rounded} to double"))])
    before = code.call("double", "llvm.fabs.f64", [("double", value)])
    infinite = code.value(f"fcmp oeq double {after}, 0x7FF0000000000000")
    finite = code.value(f"fcmp one double {before}, 0x7FF0000000000000")
    code.line(f"store float {rounded}, ptr %room, align 4")
    code.branch(code.value(f"and i1 {infinite}, {finite}"), "no", "yes")
    code.place("yes")
    code.line("ret i1 true")
    code.place("no")
    code.line("ret i1 false")


def _add_enter(module: Module) -> None:
    """Enter ``i1 enter(descriptor, data)``: put the arrays' addresses where the program has them, and run it.

    It tells whether the run is condemned (see `guarding`), and forgets it: the claim ends here.
    """
    code = module.function("enter", "i1", [("ptr", "descriptor"), ("ptr", "data")], "nounwind", "internal")
    patches = read(code, "ptr", "%descriptor", PATCH_TABLE)
    count = read(code, "i64", "%descriptor", PATCHES)
    with code.loop("0", count) as index:
        patch = code.value(f"getelementptr [{PATCH_BYTES} x i8], ptr {patches}, i64 {index}")
        array = code.value(f"shl i64 {read(code, 'i64', patch, PATCH_ARRAY)}, 3")
        address = at(code, read(code, "ptr", "%data", array), read(code, "i64", patch, PATCH_OFFSET))
        code.line(f"store ptr {address}, ptr {read(code, 'ptr', patch, PATCH_PLACE)}, align 8")
    run = read(code, "ptr", "%descriptor", RUN)
    shared, program = read(code, "ptr", "%descriptor", CONTROL), read(code, "ptr", "%descriptor", PROGRAM)
    steps, threads = read(code, "i64", "%descriptor", STEPS), read(code, "i64", "%descriptor", THREADS)
    code.value(f"call i64 {run}(ptr {shared}, ptr {program}, i64 0, i64 {steps}, i64 {threads})")
    condemned = read(code, "ptr", program, PROGRAM_WORDS["condemned"])
    before = code.block
    code.branch(code.value(f"icmp eq ptr {condemned}, null"), "over", "judged")
    code.place("judged")
    found = code.value(f"load atomic i64, ptr {condemned} monotonic, align 8")
    failed = code.value(f"icmp ne i64 {found}, 0")
    code.line(f"store atomic i64 0, ptr {condemned} monotonic, align 8")
    code.jump("over")
    code.place("over")
    verdict = code.value(f"phi i1 [ false, %{before} ], [ {failed}, %judged ]")
    code.line("store atomic i64 0, ptr %descriptor release, align 8")
    code.line(f"ret i1 {verdict}")


def _add_new_array(module: Module) -> None:
    """Enter ``ptr new_array(descriptor, number, data)``: make a result, and put its address into `data`."""
    parameters = [("ptr", "descriptor"), ("i64", "number"), ("ptr", "data")]
    code = module.function("new_array", "ptr", parameters, "nounwind", "internal")
    table = read(code, "ptr", "%descriptor", RESULT_TABLE)
    wanted = code.value(f"getelementptr [{ARRAY_BYTES} x i8], ptr {table}, i64 %number")
    class_ = read(code, "ptr", "%descriptor", ARRAY_CLASS)
    dtype = read(code, "ptr", wanted, ARRAY_DTYPE)
    code.call("void", "Py_IncRef", [("ptr", dtype)])  # the new array takes it over
    rank = code.value(f"trunc i64 {read(code, 'i64', wanted, ARRAY_RANK)} to i32")
    pairs = [("ptr", class_), ("ptr", dtype), ("i32", rank), ("ptr", read(code, "ptr", wanted, ARRAY_SHAPE))]
    made = code.call("ptr", NEW_FROM_DESCR, [*pairs, ("ptr", "null"), ("ptr", "null"), ("i32", "0"), ("ptr", "null")])
    _must(code, code.value(f"icmp ne ptr {made}, null"))
    place = at(code, "%data", code.value("shl i64 %number, 3"))
    code.line(f"store ptr {read(code, 'ptr', made, ARRAY_DATA)}, ptr {place}, align 8")
    code.line(f"ret ptr {made}")
    code.place("no")
    code.line("ret ptr null")


def _add_let_go(module: Module) -> None:
    """Enter ``void let_go(descriptor, slots)``: give back references to what was taken out of containers."""
    code = module.function("let_go", "void", [("ptr", "descriptor"), ("ptr", "slots")], "nounwind", "internal")
    takes = read(code, "i64", "%descriptor", TAKES)
    with code.when(code.value(f"icmp ne i64 {takes}, 0")):
        _each_input(code, "%descriptor", "%slots", "Py_DecRef")
    code.line("ret void")


def _each_input(code: Code, descriptor: str, slots: str, function: str) -> None:
    """Write a call for each input."""
    table, inputs = read(code, "ptr", descriptor, INPUT_TABLE), read(code, "i64", descriptor, INPUTS)
    with code.loop("0", inputs) as index:
        wanted = code.value(f"getelementptr [{ARRAY_BYTES} x i8], ptr {table}, i64 {index}")
        slot = code.value(f"shl i64 {read(code, 'i64', wanted, ARRAY_SLOT)}, 3")
        code.call("void", function, [("ptr", read(code, "ptr", slots, slot))])


def _add_entry(module: Module) -> None:
    """Enter ``PyObject* graphad_entry(self, args, nargs, names)``, a built-in function that takes keywords.

    Between the claim and its end no Python code can run on this thread: everything that might collect garbage is done
    before or after.
    """
    code = module.function("graphad_entry", "ptr", _CALL, "nounwind")
    descriptor = read(code, "ptr", "%self", ARRAY_DATA)
    _must(code, code.value("icmp eq ptr %names, null"), "fallback")
    _must(code, code.value(f"icmp eq i64 %nargs, {read(code, 'i64', descriptor, ARGUMENTS)}"), "fallback")
    inputs, results = read(code, "i64", descriptor, INPUTS), read(code, "i64", descriptor, RESULTS)
    data = code.value(f"alloca ptr, i64 {code.value(f'add i64 {inputs}, {results}')}, align 16")
    slots = _objects(code, descriptor)
    _look_at_inputs(code, descriptor, slots, inputs, data)
    takes = read(code, "i64", descriptor, TAKES)
    with code.when(code.value(f"icmp ne i64 {takes}, 0")):
        # A container may lose its arrays while others run; the caller holds the arguments themselves.
        _each_input(code, descriptor, slots, "Py_IncRef")
    stack = code.value(f"alloca ptr, i64 {read(code, 'i64', descriptor, HEIGHT)}, align 16")
    table, gives = read(code, "ptr", descriptor, GIVE_TABLE), read(code, "i64", descriptor, GIVES)
    made = at(code, data, code.value(f"shl i64 {inputs}, 3"))
    pairs = [("ptr", descriptor), ("ptr", table), ("i64", gives), ("ptr", stack), ("ptr", made)]
    none = read(code, "ptr", descriptor, NONE)
    answer = code.call("ptr", "put_together", [*pairs, ("ptr", none)])
    _must(code, code.value(f"icmp ne ptr {answer}, null"), "failed")
    claimed = code.call("i32", "graphad_claim", [("ptr", descriptor)])
    _must(code, code.value(f"icmp ne i32 {claimed}, 0"), "again")
    releases = read(code, "i64", descriptor, RELEASES)
    code.branch(code.value(f"icmp eq i64 {releases}, 0"), "brief", "long")
    code.place("long")
    state = code.call("ptr", "PyEval_SaveThread", [])
    long = code.call("i1", "enter", [("ptr", descriptor), ("ptr", data)])
    code.call("void", "PyEval_RestoreThread", [("ptr", state)])
    code.jump("judged")
    code.place("brief")
    brief = code.call("i1", "enter", [("ptr", descriptor), ("ptr", data)])
    code.jump("judged")
    code.place("judged")
    # A condemned run has changed nothing: Python runs it again, and says what is wrong with it.
    code.branch(code.value(f"phi i1 [ {long}, %long ], [ {brief}, %brief ]"), "again", "finish")
    code.place("finish")
    code.call("void", "let_go", [("ptr", descriptor), ("ptr", slots)])
    build = read(code, "ptr", descriptor, BUILD)
    code.branch(code.value(f"icmp eq ptr {build}, null"), "plain", "nested")
    code.place("nested")
    nested = code.call("ptr", "PyObject_CallOneArg", [("ptr", build), ("ptr", answer)])
    code.call("void", "Py_DecRef", [("ptr", answer)])
    code.line(f"ret ptr {nested}")
    code.place("plain")
    code.line(f"ret ptr {answer}")
    code.place("again")
    code.call("void", "Py_DecRef", [("ptr", answer)])
    code.call("void", "let_go", [("ptr", descriptor), ("ptr", slots)])
    code.jump("fallback")
    code.place("fallback")
    pairs = [("ptr", read(code, "ptr", descriptor, FALLBACK)), ("ptr", "%args"), ("i64", "%nargs"), ("ptr", "%names")]
    code.line(f"ret ptr {code.call('ptr', 'PyObject_Vectorcall', pairs)}")
    code.place("failed")
    code.call("void", "let_go", [("ptr", descriptor), ("ptr", slots)])
    code.line("ret ptr null")


def _objects(code: Code, descriptor: str) -> str:
    """Write the taking apart of the arguments; returns where the objects are: arguments first, then their items."""
    takes = read(code, "i64", descriptor, TAKES)
    before = code.block
    code.branch(code.value(f"icmp eq i64 {takes}, 0"), "flat", "nests")
    code.place("nests")
    own = code.value(f"alloca ptr, i64 {read(code, 'i64', descriptor, SLOTS)}, align 16")
    with code.loop("0", "%nargs") as index:
        place = code.value(f"shl i64 {index}, 3")
        code.line(f"store ptr {read(code, 'ptr', '%args', place)}, ptr {at(code, own, place)}, align 8")
    classes, table = at(code, descriptor, CLASSES), read(code, "ptr", descriptor, TAKE_TABLE)
    pairs = [("ptr", classes), ("ptr", table), ("i64", takes), ("ptr", own)]
    _must(code, code.call("i1", "take_apart", pairs), "fallback")
    apart = code.block
    code.jump("flat")
    code.place("flat")
    return code.value(f"phi ptr [ %args, %{before} ], [ {own}, %{apart} ]")


def _look_at_inputs(code: Code, descriptor: str, slots: str, inputs: str, data: str) -> None:
    """Write the checks of all inputs, and their addresses into `data`; jumps to "fallback" where one does not fit."""
    rooms = code.value(f"alloca [16 x i8], i64 {inputs}, align 16")
    wanted_class, float_class = (read(code, "ptr", descriptor, offset) for offset in (ARRAY_CLASS, FLOAT_CLASS))
    table = read(code, "ptr", descriptor, INPUT_TABLE)
    with code.loop("0", inputs) as index:
        place = at(code, data, code.value(f"shl i64 {index}, 3"))
        wanted = code.value(f"getelementptr [{ARRAY_BYTES} x i8], ptr {table}, i64 {index}")
        given = read(code, "ptr", slots, code.value(f"shl i64 {read(code, 'i64', wanted, ARRAY_SLOT)}, 3"))
        class_ = read(code, "ptr", given, OBJECT_CLASS)
        array, number, fits = (code.new_label(stem) for stem in ("array", "number", "fits"))
        code.branch(code.value(f"icmp eq ptr {class_}, {wanted_class}"), array, number)
        code.place(number)
        room = code.value(f"getelementptr [16 x i8], ptr {rooms}, i64 {index}")
        pairs = [("ptr", text) for text in (given, class_, float_class, wanted, room)]
        _must(code, code.call("i1", "number_fits", pairs), "fallback")
        code.line(f"store ptr {room}, ptr {place}, align 8")
        code.jump(fits)
        code.place(array)
        _must(code, code.call("i1", "array_fits", [("ptr", given), ("ptr", wanted)]), "fallback")
        code.line(f"store ptr {read(code, 'ptr', given, ARRAY_DATA)}, ptr {place}, align 8")
        code.jump(fits)
        code.place(fits)
