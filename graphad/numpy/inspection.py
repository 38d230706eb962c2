"""What the namespace says of itself, by the Python array API standard (2024.12)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.numpy.arguments import check_device
from graphad.numpy.dtypes import isdtype
from graphad.tracing.tensor import STANDARD_VERSIONS

__array_api_version__ = STANDARD_VERSIONS[-1]

_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in (
        "bool",
        *(f"int{bits}" for bits in (8, 16, 32, 64)),
        *(f"uint{bits}" for bits in (8, 16, 32, 64)),
        "float32",
        "float64",
        "complex64",
        "complex128",
    )
}


class Info:
    """What `__array_namespace_info__()` gives: capabilities, dtypes and devices."""

    def capabilities(self) -> dict[str, Any]:
        """Return what depends on the elements: it works where they are known, not on the inputs of a trace."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Return the device of new tensors."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """Return the dtypes of new tensors by what they are for."""
        check_device(device)
        return {
            "real floating": _DTYPES["float64"],
            "complex floating": _DTYPES["complex128"],
            "integral": _DTYPES["int64"],
            "indexing": _DTYPES["int64"],
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """Return the standard's dtypes by name: all, or those of a kind (or of one of a tuple of kinds)."""
        check_device(device)
        return {name: dtype for name, dtype in _DTYPES.items() if kind is None or isdtype(dtype, kind)}

    def devices(self) -> list[str]:
        """Return the devices."""
        return ["cpu"]


def __array_namespace_info__() -> Info:
    """Return what the namespace says of itself."""
    return Info()
