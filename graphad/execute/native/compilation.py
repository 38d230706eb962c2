"""LLVM IR to object files, several at once.

What may enter: who compiles which part, and how a compilation ends early. What is kept stands in `object_cache`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from graphad.execute.background import go_on
from graphad.execute.native.target import object_code

WORTH = 20_000
"""Characters of LLVM IR, about 30 ms of work, for which another thread is worth while."""


def object_codes(texts: Sequence[str], level: int, threads: int) -> list[bytes]:
    """Return the object file of each module of `texts`, compiled by at most `threads` threads.

    Raises RuntimeError for what is not LLVM IR, and Stopped where the process is ending.
    """
    if len(texts) == 1:
        return [object_code(texts[0], level)]
    shared = _Shared(texts, lambda text: object_code(text, level))
    many = min(threads, len(texts), 1 + sum(map(len, texts)) // WORTH)
    others = [threading.Thread(target=shared.work, name="graphad-llvm", daemon=True) for _ in range(many - 1)]
    started = [thread for thread in others if _started(thread)]
    try:
        while shared.one():
            go_on()
    finally:
        shared.stop()
        for thread in started:
            thread.join()
    return shared.results()


def _started(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError:  # no more threads, or none any more because the process is ending
        return False
    return True


class _Shared:
    """Texts that several threads take in turn, longest first, and what became of them."""

    def __init__(self, texts: Sequence[str], compiled: Callable[[str], bytes]) -> None:
        self._texts = texts
        self._compiled = compiled
        self._waiting = sorted(range(len(texts)), key=lambda k: len(texts[k]))
        self._made: dict[int, bytes] = {}
        self._error: Exception | None = None

    def one(self) -> bool:
        """Compile the next text; False where none is left."""
        try:
            k = self._waiting.pop()  # one thread's: lists are safe in that
        except IndexError:
            return False
        try:
            self._made[k] = self._compiled(self._texts[k])
        except Exception as error:
            self._error = error
            self.stop()
        return True

    def work(self) -> None:
        """Compile until nothing is left."""
        while self.one():
            pass

    def stop(self) -> None:
        """Leave what has not begun."""
        self._waiting.clear()

    def results(self) -> list[bytes]:
        """Return all object files in order, or raise what was wrong with one."""
        if self._error is not None:
            raise self._error
        return [self._made[k] for k in range(len(self._texts))]
