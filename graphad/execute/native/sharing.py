"""Sharing: how the threads of a run divide its steps, and what they do about one that is late.

The steps between two barriers are a stretch; each thread has its share of each stretch. It claims the share, runs it,
and marks it as done; a stretch is over when all its shares are done. A thread that has no more to do in a stretch
claims the shares that nobody has begun, so that a run never waits for a thread that is still asleep, or whose
processor has other things to do. It waits only for shares that are being run: it looks for a while, because sleeping
and waking take longer than most waits, but not where it keeps the other from running. Which thread runs a share makes
no difference to what the share is.

What may enter: claims, and the loop over stretches that caller and workers run. A share's word holds::

    bits  0-31   2 k: the shares of stretches before k are done; 2 k + 1: that of stretch k is being run
    bits 32-62   the processor of the thread that runs it, plus 1; 0 where none can tell
    bit  63      somebody sleeps until it is done
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphad.execute.native import control
from graphad.execute.native.code import Code, Module
from graphad.execute.native.waiting import at, read, write
from graphad.execute.native.walker import BARRIER, PROGRAM_WORDS, STEP_BYTES, STEP_FLAGS

FIRST_LOOKS: Final = 16
"""Looks before a thread asks whether looking on makes sense: about half a microsecond."""
SLEEPER: Final = -(1 << 63)


def add_sharing(module: Module) -> None:
    """Enter work and what it needs into a module that has `run_share` and the functions of `waiting`."""
    _add_stretch_end(module)
    _add_claim(module)
    _add_finish(module)
    _add_doze(module)
    _add_work(module)


def mailbox(code: Code, thread: str) -> str:
    """Return the address of a thread's mailbox."""
    offset = code.value(f"mul i64 {thread}, {control.MAILBOX_BYTES}")
    return at(code, at(code, "%control", control.MAILBOXES), offset)


def _add_stretch_end(module: Module) -> None:
    """Enter ``i64 stretch_end(steps, begin, last)``: the next step that has a barrier before it, or the last."""
    parameters = [("ptr", "steps"), ("i64", "begin"), ("i64", "last")]
    code = module.function("stretch_end", "i64", parameters, "nounwind", "internal")
    with code.loop(code.value("add i64 %begin, 1"), "%last") as index:
        step = code.value(f"getelementptr [{STEP_BYTES} x i8], ptr %steps, i64 {index}")
        flags = code.value(f"and i64 {read(code, 'i64', step, STEP_FLAGS)}, {BARRIER}")
        found, on = code.new_label("found"), code.new_label("on")
        code.branch(code.value(f"icmp ne i64 {flags}, 0"), found, on)
        code.place(found)
        code.line(f"ret i64 {index}")
        code.place(on)
    code.line("ret i64 %last")


def _add_claim(module: Module) -> None:
    """Enter ``i1 claim(word, stretch, processor)``: begin a share that nobody has begun."""
    parameters = [("ptr", "word"), ("i64", "stretch"), ("i32", "processor")]
    code = module.function("claim", "i1", parameters, "nounwind alwaysinline", "internal")
    before = code.value("shl i64 %stretch, 1")
    place = code.value(f"zext i32 {code.value('add i32 %processor, 1')} to i64")
    begun = code.value(f"or i64 {code.value(f'shl i64 {place}, 32')}, {code.value(f'or i64 {before}, 1')}")
    swap = code.value(f"cmpxchg ptr %word, i64 {before}, i64 {begun} seq_cst monotonic, align 8")
    code.line(f"ret i1 {code.value(f'extractvalue {{ i64, i1 }} {swap}, 1')}")


def _add_finish(module: Module) -> None:
    """Enter ``void finish(control, word, stretch)``: mark a share as done, and wake who sleeps until it is."""
    parameters = [("ptr", "control"), ("ptr", "word"), ("i64", "stretch")]
    code = module.function("finish", "void", parameters, "nounwind alwaysinline", "internal")
    after = code.value(f"add i64 {code.value('shl i64 %stretch, 1')}, 2")
    before = code.value(f"atomicrmw xchg ptr %word, i64 {after} seq_cst, align 8")
    with code.when(code.value(f"icmp slt i64 {before}, 0")):
        code.call("void", "wake", [("ptr", "%control"), ("ptr", "%word")])
    code.line("ret void")


def _add_doze(module: Module) -> None:
    """Enter ``void doze(control, word, seen)``: sleep, once, if the share is still as it was seen."""
    parameters = [("ptr", "control"), ("ptr", "word"), ("i64", "seen")]
    code = module.function("doze", "void", parameters, "nounwind noinline cold", "internal")
    flagged = code.value(f"or i64 %seen, {SLEEPER}")
    plain = code.value(f"and i64 %seen, {~SLEEPER}")
    swap = code.value(f"cmpxchg ptr %word, i64 {plain}, i64 {flagged} seq_cst seq_cst, align 8")
    flagged_now = code.value(f"extractvalue {{ i64, i1 }} {swap}, 1")
    flagged_before = code.value(f"icmp eq i64 {code.value(f'extractvalue {{ i64, i1 }} {swap}, 0')}, {flagged}")
    with code.when(code.value(f"or i1 {flagged_now}, {flagged_before}")):
        low = code.value("trunc i64 %seen to i32")
        code.call("void", "sleep", [("ptr", "%control"), ("ptr", "%word"), ("i32", low)])
    code.line("ret void")


def _add_work(module: Module) -> None:
    """Enter ``ptr work(control, thread)``: take part in the run until it is over.

    A worker that would sleep returns the word of the share that it waits for instead, with what it saw of it in its
    mailbox: it must not be in a run while it sleeps. After that, and when it comes late, it begins where the run is.
    """
    code = module.function("work", "ptr", [("ptr", "control"), ("i64", "thread")], "nounwind", "internal")
    program, first, last, threads = (
        read(code, kind, "%control", control.JOB + 8 * k) for k, kind in enumerate(("ptr", "i64", "i64", "i64"))
    )
    steps = read(code, "ptr", program, PROGRAM_WORDS["steps"])
    stride = read(code, "i64", program, PROGRAM_WORDS["stride"])
    base = read(code, "ptr", program, PROGRAM_WORDS["scratch"])
    condemned = read(code, "ptr", program, PROGRAM_WORDS["condemned"])
    scratch = at(code, base, code.value(f"mul i64 {stride}, %thread"))
    own = at(code, mailbox(code, "%thread"), control.MAIL_SHARE)
    worker = code.value("icmp ne i64 %thread, 0")
    begin = code.slot("i64", align=8)
    done = code.value(f"load atomic i64, ptr {own} acquire, align 8")
    reached = code.value(f"and i64 {code.value(f'lshr i64 {done}, 1')}, {2**31 - 1}")
    code.module.declare("llvm.smax.i64", "i64", ["i64", "i64"])
    # One back: that of the others may not be over.
    start = code.call("i64", "llvm.smax.i64", [("i64", code.value(f"sub i64 {reached}, 1")), ("i64", "0")])
    code.line(f"store i64 {first}, ptr {begin}, align 8")
    with code.loop("0", start):
        here = code.value(f"load i64, ptr {begin}, align 8")
        end = code.call("i64", "stretch_end", [("ptr", steps), ("i64", here), ("i64", last)])
        code.line(f"store i64 {end}, ptr {begin}, align 8")
    code.jump("enter")
    code.place("enter")
    code.jump("stretch")
    code.place("stretch")
    number = code.value(f"phi i64 [ {start}, %enter ], [ %following, %over ]")
    a = code.value(f"load i64, ptr {begin}, align 8")
    b = code.call("i64", "stretch_end", [("ptr", steps), ("i64", a), ("i64", last)])
    final = code.value(f"icmp sge i64 {b}, {last}")
    leaves = code.value(f"and i1 {final}, {worker}")
    processor = code.call("i32", "processor", [("ptr", "%control")])
    range_ = [("ptr", steps), ("i64", a), ("i64", b)]
    share = _Share(code, range_, threads, number, processor, [("ptr", scratch), ("ptr", condemned)])
    claimed = code.call("i1", "claim", [("ptr", own), ("i64", number), ("i32", processor)])
    with code.when(claimed):
        share.run("%thread", own)
    with code.loop("1", code.value(f"add i64 {threads}, 1")) as turn:
        other = code.value(f"urem i64 {code.value(f'add i64 %thread, {turn}')}, {threads}")
        word = at(code, mailbox(code, other), control.MAIL_SHARE)
        share.settle(other, word, leaves, worker)
    code.branch(final, "finished", "over")
    code.place("over")
    code.line(f"%following = add i64 {number}, 1")
    code.line(f"store i64 {b}, ptr {begin}, align 8")
    code.jump("stretch")
    code.place("finished")
    code.line("ret ptr null")


_Arguments = Sequence[tuple[str, str]]
"""Of a call in machine code: types and texts."""


class _Share:
    """The writing of what a thread does with one share of the stretch it is in."""

    def __init__(
        self, code: Code, range_: _Arguments, threads: str, number: str, processor: str, rest: _Arguments
    ) -> None:
        self.code = code
        self.range, self.rest = range_, rest
        self.threads, self.number, self.processor = threads, number, processor

    def run(self, thread: str, word: str) -> None:
        """Write the running of a claimed share."""
        who = [("i64", thread), ("i64", self.threads)]
        self.code.call("void", "run_share", [*self.range, *who, *self.rest])
        self.code.call("void", "finish", [("ptr", "%control"), ("ptr", word), ("i64", self.number)])

    def settle(self, thread: str, word: str, leaves: str, worker: str) -> None:
        """Write the wait until a share is done, by running it if nobody has begun it."""
        code = self.code
        names = ("settle", "look", "open", "help", "busy", "rest", "ask", "longer", "tired", "away", "sleep", "settled")
        settle, look, open_, help_, busy, rest, ask, longer, tired, away, sleep, settled = map(code.new_label, names)
        looks = read(code, "i64", "%control", control.SPINS)
        count = code.slot("i64", align=8)
        code.jump(settle)
        code.place(settle)
        code.line(f"store i64 0, ptr {count}, align 8")
        code.jump(look)
        code.place(look)
        seen = code.value(f"load atomic i64, ptr {word} acquire, align 8")
        low = code.value(f"and i64 {seen}, {2**32 - 1}")
        ahead = code.value(f"sub i64 {low}, {code.value(f'shl i64 {self.number}, 1')}")
        code.branch(code.value(f"icmp sge i64 {ahead}, 2"), settled, open_)
        code.place(open_)
        code.branch(code.value(f"icmp eq i64 {ahead}, 0"), help_, busy)
        code.place(help_)
        claimed = code.call("i1", "claim", [("ptr", word), ("i64", self.number), ("i32", self.processor)])
        mine = code.new_label("mine")
        code.branch(claimed, mine, look)
        code.place(mine)
        self.run(thread, word)
        code.jump(settled)
        code.place(busy)
        code.branch(leaves, settled, rest)
        code.place(rest)
        code.call("void", "pause", [])
        so_far = code.value(f"add i64 {code.value(f'load i64, ptr {count}, align 8')}, 1")
        code.line(f"store i64 {so_far}, ptr {count}, align 8")
        code.branch(code.value(f"icmp eq i64 {so_far}, {FIRST_LOOKS}"), ask, longer)
        code.place(ask)
        # Whoever runs it was on this processor when it began: it can go on when this thread sleeps.
        where = code.value(f"trunc i64 {code.value(f'lshr i64 {seen}, 32')} to i32")
        where = code.value(f"and i32 {where}, {2**31 - 1}")
        same = code.value(f"icmp eq i32 {where}, {code.value(f'add i32 {self.processor}, 1')}")
        known = code.value(f"icmp ne i32 {where}, 0")
        code.branch(code.value(f"and i1 {same}, {known}"), tired, longer)
        code.place(longer)
        code.branch(code.value(f"icmp slt i64 {so_far}, {looks}"), look, tired)
        code.place(tired)
        code.branch(worker, away, sleep)
        code.place(away)
        write(code, "i64", seen, mailbox(code, "%thread"), control.MAIL_SEEN)
        code.line(f"ret ptr {word}")
        code.place(sleep)
        code.call("void", "doze", [("ptr", "%control"), ("ptr", word), ("i64", seen)])
        code.jump(settle)
        code.place(settled)
