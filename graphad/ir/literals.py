"""Exact text of numbers, strings, arrays and types, and back.

Every element of an array is written so that reading it gives the same bits: decimal where that round-trips, a hex
float where it does not, and the bits of a NaN that is not the usual one. Large arrays are resources: base64 of their
zlib-compressed bytes. Text comes from strangers, so nothing is allocated before its size is known to be right.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
import zlib
from typing import Any

import numpy as np

from graphad.ir.dims import is_static, parse_dim, product, static
from graphad.ir.types import NAMES, DType, TensorType, dtype_named, is_complex, is_float

Array = np.ndarray[Any, Any]

INLINE_ELEMENTS = 16
"""Arrays of at most so many elements are written in place."""

MAX_AXES = 64
"""As NumPy has it."""

NAME = r"[^\W\d]\w*(?:\.\w+)*"
TYPE = rf"(?:{'|'.join(sorted(NAMES, key=len, reverse=True))})\[[^\[\]\n\"#]*\]"
NUMBER = r"-?(?:0x[0-9a-f.]+p[-+]?\d+|\d+(?:\.\d*)?(?:e[-+]?\d+)?|(?:inf|nan)\b)"
NAN_BITS = r"nan\(0x[0-9a-f]+\)"
STRING = r'"(?:[^"\\\n]|\\[^\n])*"'

_NAME = re.compile(NAME)
_NUMBER = re.compile(NUMBER)
_TYPE = re.compile(r"(\w+)\[(.*)\]")


def quote(text: str) -> str:
    """Write a string in double quotes, with JSON's escapes; what cannot be seen is escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def unquote(text: str) -> str:
    """Read what `quote` writes; ValueError on any other text."""
    found = json.loads(text)
    if not isinstance(found, str):
        raise ValueError(f"{text[:80]} is not a string")
    return found


def name_text(name: str) -> str:
    """Write a dotted name bare (``params.w1``), any other string in quotes."""
    return name if _NAME.fullmatch(name) and not _NUMBER.match(name) else quote(name)


@functools.lru_cache(maxsize=4096)
def parse_type(text: str) -> TensorType:
    """Read a type as `str` prints it: ``f64[8,5]``, ``f32[2*batch,4]``; ValueError on any other text."""
    match = _TYPE.fullmatch(text)
    if match is None or match[1] not in NAMES:
        raise ValueError(f"{text[:80]!r} is not a type")
    written = match[2].split(",") if match[2].strip() else []
    if len(written) > MAX_AXES:
        raise ValueError(f"{text[:80]!r} has more than {MAX_AXES} axes")
    sizes = [parse_dim(size.strip()) for size in written]
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise ValueError(f"{text[:80]!r} has a negative size")
    return TensorType(dtype_named(match[1]), tuple(sizes))


def count_text(nbytes: int) -> str:
    """Write a number of bytes with a unit: ``1.6 MB``."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


# Elements


def _bits(element: Array) -> int:
    return int(element.view(f"u{element.dtype.itemsize}"))


def element_text(element: Array) -> str:
    """Write a 0-d array exactly; a complex number as the pair of its parts, ``(1.0, -0.0)``."""
    dtype = element.dtype
    if is_complex(dtype):
        return f"({element_text(element.real)}, {element_text(element.imag)})"
    if not is_float(dtype):
        return str(element.item())
    number = float(element)
    if math.isnan(number):
        usual = _bits(np.asarray(np.nan, dtype))
        return "nan" if _bits(element) == usual else f"nan({_bits(element):#x})"
    text = str(element[()])
    read = np.asarray(float(text), dtype)
    return text if _bits(read) == _bits(element) else number.hex()


def parse_element(text: str, dtype: DType) -> Array:
    """Read an element of a real `dtype`; ValueError where the text is none, or does not fit the dtype exactly."""
    if dtype.kind == "b":
        if text not in ("True", "False"):
            raise ValueError(f"{text[:40]!r} is not a boolean")
        return np.asarray(text == "True")
    if dtype.kind in "iu":
        number = int(text)
        limits = np.iinfo(dtype)
        if not limits.min <= number <= limits.max:
            raise ValueError(f"{text[:40]} does not fit {dtype}")
        return np.asarray(number, dtype)
    if text.startswith("nan("):
        bits = int(text[4:-1], 16)
        unsigned = np.dtype(f"u{dtype.itemsize}")
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            fits = bits <= np.iinfo(unsigned).max and np.isnan(np.asarray(bits, unsigned).view(dtype))
        if not fits:
            raise ValueError(f"{text[:40]} is not a NaN of {dtype}")
        return np.asarray(bits, unsigned).view(dtype)
    number_ = float.fromhex(text) if "0x" in text else float(text)
    with np.errstate(over="ignore"):
        return np.asarray(number_, dtype)


def float_text(number: float) -> str:
    """Write a Python float exactly."""
    return element_text(np.asarray(number, np.float64))


def parse_float(text: str) -> float:
    """Read what `float_text` writes."""
    return float(parse_element(text, np.dtype(np.float64)))


# Arrays


def array_text(array: Array) -> str:
    """Write the elements of a small array, in brackets nested as its shape is; ``[]`` where it has none."""
    if array.size == 0:
        return "[]"
    if array.ndim == 0:
        return element_text(array)
    # `array[k, ...]` is an array even where it is one element: a scalar might not keep the bits of a NaN.
    return f"[{', '.join(array_text(array[k, ...]) for k in range(len(array)))}]"


def encode_resource(array: Array) -> str:
    """Write the bytes of an array: base64 of zlib of its elements in row-major, little-endian order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(zlib.compress(little.tobytes(), 6)).decode("ascii")


def static_nbytes(type_: TensorType) -> int:
    """Return the number of bytes of an array of a type; ValueError where a size is symbolic."""
    if not is_static(type_.shape):
        raise ValueError(f"an array cannot have the symbolic type {type_}")
    return static(product(type_.shape)) * type_.dtype.itemsize


def decode_resource(text: str, type_: TensorType) -> Array:
    """Read what `encode_resource` writes; ValueError where the bytes are not exactly those of `type_`."""
    nbytes = static_nbytes(type_)
    try:
        packed = base64.b64decode(text, validate=True)
        # Deflate shrinks 1032 bytes to one at best (RFC 1951): a larger claim needs no unpacking to be false.
        if nbytes > 1032 * len(packed):
            raise ValueError(f"{len(packed)} packed bytes cannot hold the {nbytes} of {type_}")
        stream = zlib.decompressobj()
        raw = stream.decompress(packed, nbytes + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"its data is damaged: {error}") from None
    if len(raw) != nbytes or stream.unconsumed_tail or stream.unused_data or not stream.eof:
        raise ValueError(f"its data is not the {nbytes} bytes of {type_}")
    return as_array(raw, type_)


def as_array(raw: bytes | bytearray, type_: TensorType) -> Array:
    """Return little-endian bytes as a read-only array of a static type; booleans must be 0 or 1."""
    flat = np.frombuffer(raw, type_.dtype.newbyteorder("<"))
    if type_.dtype.kind == "b" and flat.size and int(flat.view(np.uint8).max()) > 1:
        raise ValueError("a boolean is neither 0 nor 1")
    array = flat.astype(type_.dtype).reshape([static(n) for n in type_.shape])
    return frozen(array)


def frozen(array: Array) -> Array:
    """Return a contiguous array that owns its elements and cannot be written to."""
    if array.base is not None or not array.flags.c_contiguous:
        array = array.copy(order="C")
    array.flags.writeable = False
    return array
