"""Amounts of memory as people write them: ``140_000_000`` or ``"140MB"``."""

from __future__ import annotations

import re
from typing import Any

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
"""Bytes of each unit, in small letters."""

_AMOUNT = r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*"


def amount_bytes(amount: Any) -> int:
    """Return an amount of memory in bytes.

    Args:
        amount: bytes as an integer, or a number with a unit (B, kB, MB, GB of 1000, KiB, MiB, GiB of 1024) as text.

    Raises ValueError for what is no amount, or none above zero, and TypeError for what is neither number nor text.
    """
    if isinstance(amount, str):
        found = re.fullmatch(_AMOUNT, amount)
        unit = UNITS.get(found[2].lower()) if found else None
        if found is None or unit is None:
            raise ValueError(
                f"an amount of memory is written as 140_000_000, '140MB' or '1.5 GiB' (B, kB, MB, GB, KiB, MiB, GiB), "
                f"not {amount!r}"
            )
        count = int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit
    elif hasattr(amount, "__index__") and not isinstance(amount, bool):
        count = int(amount.__index__())
    else:
        raise TypeError(f"an amount of memory is bytes as an integer, or text like '140MB', not {amount!r}")
    if count <= 0:
        raise ValueError(f"an amount of memory is above zero, not {amount!r}")
    return count
