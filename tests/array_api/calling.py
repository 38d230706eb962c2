"""Make one call of `array_api_strict` and of `graphad.numpy` on eager tensors, and compare what they give.

`array_api_strict` refuses whatever the standard does not promise, so that a call it answers is one of the standard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from cases import Call, Dtype, function_of

import graphad as ga

strict.set_array_api_strict_flags(api_version="2024.12")

UNCOMPARED = ("empty", "empty_like")
"""Functions whose elements may be anything."""


def to_strict(value: Any) -> Any:
    """Return an argument for `array_api_strict`."""
    if isinstance(value, np.ndarray):
        return strict.asarray(value)
    if isinstance(value, Dtype):
        return getattr(strict, value.name)
    return [to_strict(item) for item in value] if isinstance(value, list) else value


def to_graphad(value: Any) -> Any:
    """Return an argument for `graphad.numpy`: arrays become eager tensors."""
    if isinstance(value, np.ndarray):
        return ga.tensor(value)
    if isinstance(value, Dtype):
        return getattr(ga.numpy, value.name)
    return [to_graphad(item) for item in value] if isinstance(value, list) else value


def apply(namespace: Any, name: str, call: Call, convert: Any) -> Any:
    """Make a call in a namespace."""
    arguments = [convert(value) for value in call.arguments]
    keywords = {key: convert(value) for key, value in call.keywords.items()}
    with np.errstate(all="ignore"):
        return function_of(namespace, name)(*arguments, **keywords)


def expected_of(name: str, call: Call) -> Any:
    """Return what `array_api_strict` gives as plain values: arrays, dtypes, numbers, tuples of them."""
    return plain(apply(strict, name, call, to_strict))


def found_of(name: str, call: Call) -> Any:
    """Return what `graphad.numpy` gives as plain values."""
    return plain(apply(ga.numpy, name, call, to_graphad))


def plain(value: Any) -> Any:
    """Return a result with NumPy arrays for arrays and NumPy dtypes for dtypes, evaluated."""
    if isinstance(value, ga.Tensor):
        return value.numpy()
    if isinstance(value, strict._array_object.Array):
        return np.asarray(value._array)
    if isinstance(value, strict._dtypes.DType):
        return value._np_dtype
    if hasattr(value, "eps"):
        return {key: getattr(value, key) for key in ("bits", "eps", "max", "min", "smallest_normal")}
    if hasattr(value, "bits"):
        return {key: int(getattr(value, key)) for key in ("bits", "max", "min")}
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    return value


def rebuilt(name: str, call: Call, result: Any) -> Any:
    """Return what of a decomposition is unique: the matrix it puts together, and what does not depend on signs."""
    if name == "linalg.qr":
        q, r = result
        return q @ r, np.abs(np.swapaxes(q, -1, -2).conj() @ q), np.abs(r), q
    if name == "linalg.eigh":
        values, vectors = result
        return values, (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2).conj()
    if name == "linalg.svd":
        u, s, vh = result
        n = s.shape[-1]
        return s, (u[..., :n] * s[..., None, :]) @ vh[..., :n, :]
    return result


def compare(name: str, call: Call, found: Any, expected: Any) -> None:
    """Check shapes, dtypes and values."""
    same_types(found, expected)
    if name not in UNCOMPARED:
        same_values(_unique(name, call, found), _unique(name, call, expected))


def _unique(name: str, call: Call, result: Any) -> Any:
    parts = rebuilt(name, call, result)
    return parts[:3] if name == "linalg.qr" else parts


def same_types(found: Any, expected: Any) -> None:
    """Check the nesting of results, their shapes and dtypes."""
    if isinstance(expected, tuple):
        assert isinstance(found, tuple) and len(found) == len(expected), (found, expected)
        for one, other in zip(found, expected, strict=True):
            same_types(one, other)
    elif isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray), type(found)
        assert found.dtype == expected.dtype, f"dtype {found.dtype}, expected {expected.dtype}"
        assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"


def same_values(found: Any, expected: Any) -> None:
    """Check the values: to rounding, of float32 to single rounding."""
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            same_values(one, other)
    elif isinstance(expected, Mapping):
        assert found == pytest.approx(expected)
    elif isinstance(expected, np.ndarray) and expected.dtype.kind in "fc":
        single = expected.dtype in (np.float32, np.complex64)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(found, expected, rtol=2e-4 if single else 1e-9, atol=1e-4 if single else 1e-10)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
