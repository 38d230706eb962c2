"""Which of two costs is lower, for symbolic sizes too: what rules ask that choose between equal results."""

from __future__ import annotations

from itertools import product

from graphad.ir.dims import Dim, Size, static, substitute
from graphad.ir.dims import names as dim_names
from graphad.ir.errors import SymbolicSizeError

SIZES = (2, 16, 1024)
"""What symbolic sizes are taken to be where costs are compared."""


def cheaper(left: Dim, right: Dim) -> bool:
    """Tell whether ``left < right``; of symbolic sizes, whether it holds for small and large ones in all combinations.

    This chooses between equal results by their cost, so it assumes nothing that a binding would have to check.
    """
    if not isinstance(left, Size) and not isinstance(right, Size):
        return left < right
    names = sorted(dim_names((left, right)))
    choices = product(SIZES, repeat=len(names)) if len(names) <= 3 else ((n,) * len(names) for n in SIZES)
    for numbers in choices:
        binding: dict[str, Dim] = dict(zip(names, numbers, strict=True))
        try:
            if static(substitute(left, binding)) >= static(substitute(right, binding)):
                return False
        except SymbolicSizeError:
            return False  # a quotient that these sizes do not divide
    return True
