"""Waiting for other threads in machine code: look for a short time, then sleep; and the barrier built on it.

What may enter: what knows words in memory and threads, but nothing of programs. A thread sleeps by futex where the
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
ONE_SLEEPER: Final = 1 << 32
FIRST_LOOKS: Final = 16
"""Looks before a thread asks whether looking on makes sense: about half a microsecond."""


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
    """Enter pause, sleep, wake, arrive and meet into a module; `way` is one of `sleeping`."""
    _add_pause(module)
    if way == "futex":
        _add_futex(module)
    else:
        _add_condition(module)
    _add_spin(module)
    _add_processor(module)
    _add_crowded(module)
    _add_arrive(module)
    _add_meet(module)


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


def _add_arrive(module: Module) -> None:
    """Enter ``i1 arrive(control, target)``: count this thread in; the last one wakes the sleepers and hears 1."""
    code = module.function("arrive", "i1", [("ptr", "control"), ("i32", "target")], "nounwind alwaysinline", "internal")
    word = at(code, "%control", control.MEETING)
    before = code.value(f"atomicrmw add ptr {word}, i64 1 seq_cst, align 8")
    arrived = code.value(f"add i32 {code.value(f'trunc i64 {before} to i32')}, 1")
    last = code.value(f"icmp eq i32 {arrived}, %target")
    with code.when(last):
        sleepers = code.value(f"icmp uge i64 {before}, {ONE_SLEEPER}")
        with code.when(sleepers):
            code.call("void", "wake", [("ptr", "%control"), ("ptr", word)])
    code.line(f"ret i1 {last}")


_MEET: Final = [("ptr", "control"), ("i64", "thread"), ("i64", "threads"), ("i32", "target")]


def _add_meet(module: Module) -> None:
    """Enter ``void meet(control, thread, threads, target)``: arrive, and go on when `target` threads have arrived.

    A thread looks for a while, because sleeping and waking take longer than most waits; not where it keeps the one it
    waits for from running.
    """
    code = module.function("meet", "void", _MEET, "nounwind", "internal")
    word = at(code, "%control", control.MEETING)
    processor = code.call("i32", "processor", [("ptr", "%control")])
    place = at(code, _mailbox(code, "%thread"), control.MAIL_PLACE)
    code.line(f"store atomic i64 {_place(code, '%target', processor)}, ptr {place} monotonic, align 8")
    last = code.call("i1", "arrive", [("ptr", "%control"), ("i32", "%target")])
    code.branch(last, "done", "short")
    code.place("short")
    _look(code, word, str(FIRST_LOOKS), "short", "done", "longer")
    code.place("longer")
    crowded = code.call("i1", "crowded", [(t, f"%{n}") for t, n in _MEET] + [("i32", processor)])
    code.branch(crowded, "tired", "long")
    code.place("long")
    _look(code, word, read(code, "i64", "%control", control.SPINS), "long", "done", "tired")
    code.place("tired")
    code.value(f"atomicrmw add ptr {word}, i64 {ONE_SLEEPER} seq_cst, align 8")
    code.jump("again")
    code.place("again")
    reached, seen = _reached(code, word)
    code.branch(reached, "up", "doze")
    code.place("doze")
    code.call("void", "sleep", [("ptr", "%control"), ("ptr", word), ("i32", seen)])
    code.jump("again")
    code.place("up")
    code.value(f"atomicrmw sub ptr {word}, i64 {ONE_SLEEPER} seq_cst, align 8")
    code.jump("done")
    code.place("done")
    code.line("ret void")


def _look(code: Code, word: str, looks: str, here: str, found: str, tired: str) -> None:
    """Write that many looks at the arrivals from the block `here`; jumps to `found` or `tired`."""
    look, rest = code.new_label("look"), code.new_label("rest")
    fewer = code.fresh("fewer")
    code.jump(look)
    code.place(look)
    left = code.value(f"phi i64 [ {looks}, %{here} ], [ {fewer}, %{rest} ]")
    code.branch(_reached(code, word)[0], found, rest)
    code.place(rest)
    code.call("void", "pause", [])
    code.line(f"{fewer} = sub i64 {left}, 1")
    code.branch(code.value(f"icmp sgt i64 {fewer}, 0"), look, tired)


def _reached(code: Code, word: str) -> tuple[str, str]:
    """Tell whether the arrivals have reached ``%target``, and how many there are."""
    now = code.value(f"load atomic i64, ptr {word} acquire, align 8")
    arrivals = code.value(f"trunc i64 {now} to i32")
    return code.value(f"icmp sge i32 {code.value(f'sub i32 {arrivals}, %target')}, 0"), arrivals


def _mailbox(code: Code, thread: str) -> str:
    """Return the address of a thread's mailbox."""
    offset = code.value(f"mul i64 {thread}, {control.MAILBOX_BYTES}")
    return at(code, at(code, "%control", control.MAILBOXES), offset)


def _place(code: Code, target: str, processor: str) -> str:
    """Return the barrier's target and a processor in one word."""
    high = code.value(f"shl i64 {code.value(f'zext i32 {target} to i64')}, 32")
    return code.value(f"or i64 {high}, {code.value(f'zext i32 {processor} to i64')}")


def _add_processor(module: Module) -> None:
    """Enter ``i32 processor(control)``: the number of the one that this thread runs on, -1 where none can tell."""
    code = module.function("processor", "i32", [("ptr", "control")], "nounwind alwaysinline", "internal")
    call = read(code, "ptr", "%control", control.PROCESSOR)
    code.branch(code.value(f"icmp eq ptr {call}, null"), "unknown", "ask")
    code.place("unknown")
    code.line("ret i32 -1")
    code.place("ask")
    code.line(f"ret i32 {code.value(f'call i32 {call}()')}")


def _add_crowded(module: Module) -> None:
    """Enter ``i1 crowded(control, thread, threads, target, processor)``.

    Tells whether a thread that has not arrived was last seen on this thread's processor.
    """
    code = module.function("crowded", "i1", [*_MEET, ("i32", "processor")], "nounwind noinline cold", "internal")
    code.branch(code.value("icmp slt i32 %processor, 0"), "no", "begin")
    code.place("begin")
    arrived = _place(code, "%target", "%processor")
    with code.loop("0", "%threads") as other:
        place = at(code, _mailbox(code, other), control.MAIL_PLACE)
        seen = code.value(f"load atomic i64, ptr {place} monotonic, align 8")
        same = code.value(f"icmp eq i32 {code.value(f'trunc i64 {seen} to i32')}, %processor")
        missing = code.value(f"icmp ne i64 {seen}, {arrived}")
        there = code.new_label("there")
        code.branch(code.value(f"and i1 {same}, {missing}"), "yes", there)
        code.place(there)
    code.jump("no")
    code.place("no")
    code.line("ret i1 false")
    code.place("yes")
    code.line("ret i1 true")
