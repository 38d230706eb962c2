"""Control block: the memory that all threads of a pool share, and where each word of it lies.

Words that different threads write stand 128 bytes apart (processors fetch cache lines in pairs). Machine code and
Python read the offsets from here; what the words mean is told where they are used (`sharing`, `workers`, `threads`).
"""

from __future__ import annotations

from typing import Final

# Addresses of outside functions, written once by Python; 0 where the platform has none.
SYSCALL: Final = 0
YIELD: Final = 8
MUTEX_LOCK: Final = 16
MUTEX_UNLOCK: Final = 24
CONDITION_WAIT: Final = 32
CONDITION_BROADCAST: Final = 40
THREAD_CREATE: Final = 48
THREAD_MASK: Final = 56
PROCESSOR: Final = 64

# Settings and what outlasts a run.
SPINS: Final = 128
"""How many times a thread looks before it sleeps."""
MOST: Final = 136
"""Most threads of a run, the caller's included."""
WORKERS: Final = 144
"""Threads made so far."""
GENERATION: Final = 152
"""Goes up with each fork: what was claimed before by threads that are gone counts as free."""

# Opaque objects of the platform.
MUTEX: Final = 256
CONDITION: Final = 384
ATTRIBUTES: Final = 512
NO_SIGNALS: Final = 640
"""Signal mask of the workers: Python's handlers belong to the main thread."""

# The run in progress.
BUSY: Final = 768
"""1 while a run has the workers."""
JOB: Final = 896
"""The program, first, last, and threads of the run, and the processor of its caller."""

# The outside library of matrix products.
QUIET_LOCK: Final = 1024
QUIET_COUNT: Final = 1032
QUIET_SAVED: Final = 1040
QUIET_GET: Final = 1048
QUIET_SET: Final = 1056

# One mailbox a thread; the caller of a run has the first.
MAILBOXES: Final = 1152
MAILBOX_BYTES: Final = 128
MAIL: Final = 0
MAIL_CONTROL: Final = 8
MAIL_THREAD: Final = 16
MAIL_HANDLE: Final = 24
MAIL_SEEN: Final = 32
"""What a worker saw of the share it sleeps on."""
MAIL_SHARE: Final = 64
"""How far the run is with this thread's shares (see `sharing`)."""


def control_bytes(most: int) -> int:
    """Return the size of a control block for at most `most` threads."""
    return MAILBOXES + MAILBOX_BYTES * most
