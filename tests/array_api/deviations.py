"""What does not conform to the Python array API standard, and why: (function, domain of dtypes) -> reason."""

from __future__ import annotations

DEVIATIONS: dict[tuple[str, str], str] = {
    ("can_cast", "real"): "as in NumPy, a boolean casts to any number, which the standard's promotion does not know",
}
