"""Late lowerings: rooms of native code that are entered when a program first has an op of theirs.

Most programs neither sort nor draw; loading what does takes milliseconds of the time until their code is ready. What
may enter: which room an op's lowering is in, for ops outside loop nests.
"""

from __future__ import annotations

import importlib
from typing import Final

from graphad.ir.op import Op

ROOMS: Final = {
    **dict.fromkeys(("argmax", "argmin"), "extreme_positions"),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "recurrence", "exclusive_prod"), "running"),
    **dict.fromkeys(("sort", "argsort"), "sorting"),
    "searchsorted": "searching",
    "philox_bits": "random_bits",
}
"""Module by printed name of the op."""


def enter_lowering(op: Op) -> None:
    """Load the room of an op's lowering, if it has one that is loaded late."""
    room = ROOMS.get(op.name)
    if room is not None:
        importlib.import_module(f"graphad.execute.native.{room}")
