"""Waiting in machine code: rest between looks at a word in memory, sleep until it changes, wake who sleeps.

What may enter: what knows words in memory and the platform, but nothing of programs. A thread sleeps by futex where the
platform has it, and else on one condition variable for all; `sleeping` chooses.
"""

from __future__ import annotations

import platform
import sys
from typing import Final

from graphad.execute.native import control
from graphad.execute.native.code import Code, Module

FUTEX_NUMBERS: Final = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
"""Linux's number of the futex system call."""
WAIT_PRIVATE: Final = 128
WAKE_PRIVATE: Final = 129
EVERYBODY: Final = 2**31 - 1


def sleeping() -> str:
    """Return how threads sleep on this platform: "futex" or "condition"."""
    return "futex" if sys.platform == "linux" and platform.machine() in FUTEX_NUMBERS else "condition"


def at(code: Code, base: str, offset: int | str) -> str:
    """Return the address `offset` bytes after `base`."""
    return code.value(f"getelementptr i8, ptr {base}, i64 {offset}")


def read(code: Code, type_: str, base: str, offset: int | str) -> str:
    """Load a value `offset` bytes after `base`."""
    return code.value(f"load {type_}, ptr {at(code, base, offset)}, align {4 if type_ == 'i32' else 8}")


def write(code: Code, type_: str, value: str | int, base: str, offset: int | str) -> None:
    """Store a value `offset` bytes after `base`."""
    code.line(f"store {type_} {value}, ptr {at(code, base, offset)}, align {4 if type_ == 'i32' else 8}")


def add_waiting(module: Module, way: str) -> None:
    """Enter pause, sleep, wake, processor and spin into a module; `way` is one of `sleeping`."""
    _add_pause(module)
    if way == "futex":
        _add_futex(module)
    else:
        _add_condition(module)
    _add_spin(module)
    _add_processor(module)


def _add_pause(module: Module) -> None:
    """Enter ``void pause()``: one look's rest, short and kind to the other thread of the core."""
    code = module.function("pause", "void", [], "nounwind alwaysinline", "internal")
    machine = platform.machine()
    if machine in ("x86_64", "AMD64"):
        module.declare("llvm.x86.sse2.pause", "void", [])
        code.call("void", "llvm.x86.sse2.pause", [])
    elif machine in ("aarch64", "arm64"):
        module.declare("llvm.aarch64.hint", "void", ["i32"])
        code.call("void", "llvm.aarch64.hint", [("i32", "1")])
    code.line("ret void")


_SLEEP: Final = [("ptr", "control"), ("ptr", "word"), ("i32", "seen")]
_WAKE: Final = [("ptr", "control"), ("ptr", "word")]


def _add_futex(module: Module) -> None:
    """Enter ``sleep(control, word, seen)``, which returns at once where the word differs, and ``wake``."""
    number = FUTEX_NUMBERS[platform.machine()]
    code = module.function("sleep", "void", _SLEEP, "nounwind noinline cold", "internal")
    call = read(code, "ptr", "%control", control.SYSCALL)
    code.value(
        f"call i64 (i64, ...) {call}(i64 {number}, ptr %word, i64 {WAIT_PRIVATE}, i32 %seen, ptr null, ptr null, i64 0)"
    )
    code.line("ret void")
    code = module.function("wake", "void", _WAKE, "nounwind noinline cold", "internal")
    call = read(code, "ptr", "%control", control.SYSCALL)
    code.value(
        f"call i64 (i64, ...) {call}"
        f"(i64 {number}, ptr %word, i64 {WAKE_PRIVATE}, i64 {EVERYBODY}, ptr null, ptr null, i64 0)"
    )
    code.line("ret void")


def _add_condition(module: Module) -> None:
    """Enter the same by a mutex and a condition variable: whoever changed the word wakes all, and they look again."""
    code = module.function("sleep", "void", _SLEEP, "nounwind noinline cold", "internal")
    mutex, condition = at(code, "%control", control.MUTEX), at(code, "%control", control.CONDITION)
    lock = read(code, "ptr", "%control", control.MUTEX_LOCK)
    unlock = read(code, "ptr", "%control", control.MUTEX_UNLOCK)
    wait = read(code, "ptr", "%control", control.CONDITION_WAIT)
    code.value(f"call i32 {lock}(ptr {mutex})")
    code.jump("look")
    code.place("look")
    now = code.value("load atomic i32, ptr %word seq_cst, align 4")
    code.branch(code.value(f"icmp eq i32 {now}, %seen"), "doze", "up")
    code.place("doze")
    code.value(f"call i32 {wait}(ptr {condition}, ptr {mutex})")
    code.jump("look")
    code.place("up")
    code.value(f"call i32 {unlock}(ptr {mutex})")
    code.line("ret void")
    code = module.function("wake", "void", _WAKE, "nounwind noinline cold", "internal")
    mutex, condition = at(code, "%control", control.MUTEX), at(code, "%control", control.CONDITION)
    lock = read(code, "ptr", "%control", control.MUTEX_LOCK)
    unlock = read(code, "ptr", "%control", control.MUTEX_UNLOCK)
    broadcast = read(code, "ptr", "%control", control.CONDITION_BROADCAST)
    # Through the lock: a sleeper between its look and its wait has it, and would miss the call.
    code.value(f"call i32 {lock}(ptr {mutex})")
    code.value(f"call i32 {unlock}(ptr {mutex})")
    code.value(f"call i32 {broadcast}(ptr {condition})")
    code.line("ret void")


def _add_spin(module: Module) -> None:
    """Enter ``void spin(word, looks)``: that many looks at a word that never is -1; Python times it."""
    code = module.function("spin", "void", [("ptr", "word"), ("i64", "looks")], "nounwind")
    code.jump("look")
    code.place("look")
    left = code.value("phi i64 [ %looks, %entry ], [ %fewer, %look ]")
    code.value("load atomic i64, ptr %word acquire, align 8")
    code.call("void", "pause", [])
    code.line(f"%fewer = sub i64 {left}, 1")
    code.branch(code.value("icmp sgt i64 %fewer, 0"), "look", "enough")
    code.place("enough")
    code.line("ret void")


def _add_processor(module: Module) -> None:
    """Enter ``i32 processor(control)``: the number of the one that this thread runs on, -1 where none can tell."""
    code = module.function("processor", "i32", [("ptr", "control")], "nounwind alwaysinline", "internal")
    call = read(code, "ptr", "%control", control.PROCESSOR)
    code.branch(code.value(f"icmp eq ptr {call}, null"), "unknown", "ask")
    code.place("unknown")
    code.line("ret i32 -1")
    code.place("ask")
    code.line(f"ret i32 {code.value(f'call i32 {call}()')}")
