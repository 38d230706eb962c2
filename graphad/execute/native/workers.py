"""Workers in machine code: their life, how a run takes them, and the entry point that runs a program.

What may enter: what happens between a call of ``graphad_run`` and its return. Python's side is in `threads`.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Final

from graphad.execute.native import control, waiting
from graphad.execute.native.code import Code, Module
from graphad.execute.native.object_cache import compiled
from graphad.execute.native.sharing import add_sharing, mailbox
from graphad.execute.native.target import Loaded
from graphad.execute.native.waiting import at, read, write
from graphad.execute.native.walker import PRODUCTS, PROGRAM_WORDS, add_walks

IDLE, GO, PARKED, BUSY, AWAITED = range(5)
"""What a mailbox says: nothing; a run to take part in; its worker sleeps; it takes part; the caller sleeps until it
has left. A run that is over takes back what it posted to workers that have not come (GO to IDLE)."""


@functools.cache
def runtime(way: str) -> Loaded:
    """Return the machine code of walking, waiting and running, for a way of sleeping."""
    module = Module()
    waiting.add_waiting(module, way)
    add_walks(module)
    add_sharing(module)
    _add_worker(module)
    _add_spawn(module)
    _add_hush(module)
    _add_unhush(module)
    _add_dismiss(module)
    _add_run_together(module)
    _add_run(module)
    return compiled(module.text())


def _swap(code: Code, word: str, before: int, after: int) -> str:
    """Write the change of a mailbox from one state to another; tells whether it was in the first."""
    swap = code.value(f"cmpxchg ptr {word}, i32 {before}, i32 {after} seq_cst seq_cst, align 4")
    return code.value(f"extractvalue {{ i32, i1 }} {swap}, 1")


def _add_worker(module: Module) -> None:
    """Enter ``ptr worker(mailbox)``, the life of a worker."""
    code = module.function("worker", "ptr", [("ptr", "mailbox")], "nounwind", "internal")
    shared = read(code, "ptr", "%mailbox", control.MAIL_CONTROL)
    thread = read(code, "i64", "%mailbox", control.MAIL_THREAD)
    code.jump("rest")

    code.place("rest")
    spins = read(code, "i64", shared, control.SPINS)
    here = code.value(f"sext i32 {code.call('i32', 'processor', [('ptr', shared)])} to i64")
    caller = code.value(f"load atomic i64, ptr {at(code, shared, control.JOB + 32)} monotonic, align 8")
    known = code.value(f"icmp sge i64 {here}, 0")
    crowded = code.value(f"and i1 {known}, {code.value(f'icmp eq i64 {here}, {caller}')}")
    looks = code.value(f"select i1 {crowded}, i64 1, i64 {spins}")
    code.jump("look")
    code.place("look")
    left = code.value(f"phi i64 [ {looks}, %rest ], [ %fewer, %pause ]")
    mail = code.value("load atomic i32, ptr %mailbox acquire, align 4")
    code.branch(code.value(f"icmp eq i32 {mail}, {GO}"), "go", "pause")
    code.place("pause")
    code.call("void", "pause", [])
    code.line(f"%fewer = sub i64 {left}, 1")
    code.branch(code.value("icmp sgt i64 %fewer, 0"), "look", "tired")
    code.place("tired")
    code.branch(_swap(code, "%mailbox", IDLE, PARKED), "doze", "rest")
    code.place("doze")
    code.call("void", "sleep", [("ptr", shared), ("ptr", "%mailbox"), ("i32", str(PARKED))])
    woken = code.value("load atomic i32, ptr %mailbox acquire, align 4")
    code.branch(code.value(f"icmp eq i32 {woken}, {PARKED}"), "doze", "rest")

    code.place("go")
    code.branch(_swap(code, "%mailbox", GO, BUSY), "work", "rest")
    code.place("work")
    awaited = code.call("ptr", "work", [("ptr", shared), ("i64", thread)])
    code.branch(code.value(f"icmp eq ptr {awaited}, null"), "leave", "away")
    code.place("away")
    seen = read(code, "i64", "%mailbox", control.MAIL_SEEN)
    code.branch(_swap(code, "%mailbox", BUSY, GO), "nap", "leave")
    code.place("nap")
    code.call("void", "doze", [("ptr", shared), ("ptr", awaited), ("i64", seen)])
    code.jump("go")
    code.place("leave")
    before = code.value(f"atomicrmw xchg ptr %mailbox, i32 {IDLE} seq_cst, align 4")
    code.branch(code.value(f"icmp eq i32 {before}, {AWAITED}"), "call", "rest")
    code.place("call")
    code.call("void", "wake", [("ptr", shared), ("ptr", "%mailbox")])
    code.jump("rest")


def _add_spawn(module: Module) -> None:
    """Enter ``void spawn(control, threads)``: make workers until there are enough, or no more can be had."""
    code = module.function(
        "spawn", "void", [("ptr", "control"), ("i64", "threads")], "nounwind noinline cold", "internal"
    )
    create = read(code, "ptr", "%control", control.THREAD_CREATE)
    masked = read(code, "ptr", "%control", control.THREAD_MASK)
    before = code.slot("i8", 128)
    mask = at(code, "%control", control.NO_SIGNALS)
    attributes = at(code, "%control", control.ATTRIBUTES)
    set_mask = int(signal.SIG_SETMASK) if hasattr(signal, "SIG_SETMASK") else 0
    code.value(f"call i32 {masked}(i32 {set_mask}, ptr {mask}, ptr {before})")
    code.jump("look")
    code.place("look")
    workers = read(code, "i64", "%control", control.WORKERS)
    thread = code.value(f"add i64 {workers}, 1")
    code.branch(code.value(f"icmp slt i64 {thread}, %threads"), "make", "enough")
    code.place("make")
    offset = code.value(f"mul i64 {thread}, {control.MAILBOX_BYTES}")
    mailbox = at(code, at(code, "%control", control.MAILBOXES), offset)
    handle = at(code, mailbox, control.MAIL_HANDLE)
    failed = code.value(f"call i32 {create}(ptr {handle}, ptr {attributes}, ptr @worker, ptr {mailbox})")
    code.branch(code.value(f"icmp eq i32 {failed}, 0"), "made", "enough")
    code.place("made")
    write(code, "i64", thread, "%control", control.WORKERS)
    code.jump("look")
    code.place("enough")
    code.value(f"call i32 {masked}(i32 {set_mask}, ptr {before}, ptr null)")
    code.line("ret void")


def _lock_quiet(code: Code) -> str:
    """Take the lock of the quiet count; return its address. It is held for a few instructions."""
    word = at(code, "%control", control.QUIET_LOCK)
    yield_ = read(code, "ptr", "%control", control.YIELD)
    code.jump("take")
    code.place("take")
    swap = code.value(f"cmpxchg ptr {word}, i32 0, i32 1 acquire monotonic, align 4")
    code.branch(code.value(f"extractvalue {{ i32, i1 }} {swap}, 1"), "taken", "wait")
    code.place("wait")
    code.branch(code.value(f"icmp eq ptr {yield_}, null"), "pause", "give")
    code.place("give")
    code.value(f"call i32 {yield_}()")
    code.jump("take")
    code.place("pause")
    code.call("void", "pause", [])
    code.jump("take")
    code.place("taken")
    return word


def _add_hush(module: Module) -> None:
    """Enter ``void hush(control)``: the first run that wants it sets the outside library to one thread."""
    code = module.function("hush", "void", [("ptr", "control")], "nounwind", "internal")
    get = read(code, "ptr", "%control", control.QUIET_GET)
    set_ = read(code, "ptr", "%control", control.QUIET_SET)
    code.branch(code.value(f"icmp eq ptr {get}, null"), "out", "some")
    code.place("some")
    lock = _lock_quiet(code)
    count = read(code, "i64", "%control", control.QUIET_COUNT)
    with code.when(code.value(f"icmp eq i64 {count}, 0")):
        saved = code.value(f"call i32 {get}()")
        write(code, "i64", code.value(f"sext i32 {saved} to i64"), "%control", control.QUIET_SAVED)
        with code.when(code.value(f"icmp ne i32 {saved}, 1")):
            code.line(f"call void {set_}(i32 1)")
    write(code, "i64", code.value(f"add i64 {count}, 1"), "%control", control.QUIET_COUNT)
    code.line(f"store atomic i32 0, ptr {lock} release, align 4")
    code.jump("out")
    code.place("out")
    code.line("ret void")


def _add_unhush(module: Module) -> None:
    """Enter ``void unhush(control)``: the last run that wanted it gives the outside library its threads back."""
    code = module.function("unhush", "void", [("ptr", "control")], "nounwind", "internal")
    set_ = read(code, "ptr", "%control", control.QUIET_SET)
    code.branch(code.value(f"icmp eq ptr {set_}, null"), "out", "some")
    code.place("some")
    lock = _lock_quiet(code)
    count = code.value(f"sub i64 {read(code, 'i64', '%control', control.QUIET_COUNT)}, 1")
    write(code, "i64", count, "%control", control.QUIET_COUNT)
    saved = code.value(f"trunc i64 {read(code, 'i64', '%control', control.QUIET_SAVED)} to i32")
    last = code.value(f"icmp eq i64 {count}, 0")
    changed = code.value(f"icmp ne i32 {saved}, 1")
    with code.when(code.value(f"and i1 {last}, {changed}")):
        code.line(f"call void {set_}(i32 {saved})")
    code.line(f"store atomic i32 0, ptr {lock} release, align 4")
    code.jump("out")
    code.place("out")
    code.line("ret void")


_RANGE: Final = [("ptr", "control"), ("ptr", "program"), ("i64", "first"), ("i64", "last"), ("i64", "threads")]


def _add_run_together(module: Module) -> None:
    """Enter ``void run_together(control, program, first, last, threads)``: the workers are there and are ours."""
    code = module.function("run_together", "void", _RANGE, "nounwind noinline", "internal")
    for k, (kind, name) in enumerate(_RANGE[1:]):
        write(code, kind, f"%{name}", "%control", control.JOB + 8 * k)
    here = code.value(f"sext i32 {code.call('i32', 'processor', [('ptr', '%control')])} to i64")
    code.line(f"store atomic i64 {here}, ptr {at(code, '%control', control.JOB + 32)} monotonic, align 8")
    with code.loop("0", "%threads") as thread:
        share = at(code, mailbox(code, thread), control.MAIL_SHARE)
        code.line(f"store atomic i64 0, ptr {share} release, align 8")
    with code.loop("1", "%threads") as thread:
        mail = mailbox(code, thread)
        before = code.value(f"atomicrmw xchg ptr {mail}, i32 {GO} seq_cst, align 4")
        with code.when(code.value(f"icmp eq i32 {before}, {PARKED}")):
            code.call("void", "wake", [("ptr", "%control"), ("ptr", mail)])
    code.call("ptr", "work", [("ptr", "%control"), ("i64", "0")])
    with code.loop("1", "%threads") as thread:
        code.call("void", "dismiss", [("ptr", "%control"), ("ptr", mailbox(code, thread))])
    code.line("ret void")


def _add_dismiss(module: Module) -> None:
    """Enter ``void dismiss(control, mailbox)``: take the run back from a worker, or wait until it has left it."""
    code = module.function("dismiss", "void", [("ptr", "control"), ("ptr", "mailbox")], "nounwind", "internal")
    spins = read(code, "i64", "%control", control.SPINS)
    code.jump("again")
    code.place("again")
    code.jump("look")
    code.place("look")
    left = code.value(f"phi i64 [ {spins}, %again ], [ %fewer, %pause ]")
    mail = code.value("load atomic i32, ptr %mailbox acquire, align 4")
    code.line(f"switch i32 {mail}, label %gone [ i32 {GO}, label %back i32 {BUSY}, label %pause ]")
    code.place("back")
    code.branch(_swap(code, "%mailbox", GO, IDLE), "gone", "again")
    code.place("pause")
    code.call("void", "pause", [])
    code.line(f"%fewer = sub i64 {left}, 1")
    code.branch(code.value("icmp sgt i64 %fewer, 0"), "look", "tired")
    code.place("tired")
    code.branch(_swap(code, "%mailbox", BUSY, AWAITED), "doze", "again")
    code.place("doze")
    code.call("void", "sleep", [("ptr", "%control"), ("ptr", "%mailbox"), ("i32", str(AWAITED))])
    woken = code.value("load atomic i32, ptr %mailbox acquire, align 4")
    code.branch(code.value(f"icmp eq i32 {woken}, {AWAITED}"), "doze", "again")
    code.place("gone")
    code.line("ret void")


def _add_run(module: Module) -> None:
    """Enter ``i64 graphad_run(control, program, first, last, threads)``; returns the threads that took part."""
    code = module.function("graphad_run", "i64", _RANGE, "nounwind")
    module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    most = read(code, "i64", "%control", control.MOST)
    most = code.call("i64", "llvm.smin.i64", [("i64", "%threads"), ("i64", most)])
    most = code.call(
        "i64", "llvm.smin.i64", [("i64", most), ("i64", read(code, "i64", "%program", PROGRAM_WORDS["threads"]))]
    )
    busy = at(code, "%control", control.BUSY)
    arguments = [(kind, f"%{name}") for kind, name in _RANGE]
    code.branch(code.value(f"icmp sgt i64 {most}, 1"), "several", "alone")
    code.place("several")
    swap = code.value(f"cmpxchg ptr {busy}, i32 0, i32 1 acquire monotonic, align 4")
    code.branch(code.value(f"extractvalue {{ i32, i1 }} {swap}, 1"), "ours", "alone")
    code.place("ours")
    enough = code.value(f"add i64 {read(code, 'i64', '%control', control.WORKERS)}, 1")
    with code.when(code.value(f"icmp slt i64 {enough}, {most}")):
        code.call("void", "spawn", [("ptr", "%control"), ("i64", most)])
    there = code.value(f"add i64 {read(code, 'i64', '%control', control.WORKERS)}, 1")
    threads = code.call("i64", "llvm.smin.i64", [("i64", most), ("i64", there)])
    _with_quiet_products(code, lambda: code.call("void", "run_together", [*arguments[:4], ("i64", threads)]))
    code.line(f"store atomic i32 0, ptr {busy} release, align 4")
    code.line(f"ret i64 {threads}")
    code.place("alone")
    _with_quiet_products(code, lambda: code.call("void", "walk_alone", arguments[1:4]))
    code.line("ret i64 1")


def _with_quiet_products(code: Code, run: Callable[[], object]) -> None:
    """Write what `run` writes, between hush and unhush where the program calls products."""
    flags = read(code, "i64", "%program", PROGRAM_WORDS["flags"])
    products = code.value(f"icmp ne i64 {code.value(f'and i64 {flags}, {PRODUCTS}')}, 0")
    with code.when(products):
        code.call("void", "hush", [("ptr", "%control")])
    run()
    with code.when(products):
        code.call("void", "unhush", [("ptr", "%control")])
