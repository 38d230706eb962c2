"""The header of a safetensors file, read as what it is: a stranger's.

Everything is checked before anything of its size is allocated: the header's length against the file, each tensor's
bytes against its dtype and shape, and that the tensors fill the file without gap or overlap. Tensors can then not take
more memory than the file has bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from graphad.ir.errors import FileError
from graphad.ir.literals import MAX_AXES, as_array
from graphad.ir.types import NAMES, TensorType, dtype_named

Array = np.ndarray[Any, Any]

LONGEST_HEADER = 100_000_000
"""As the safetensors format has it."""

_DTYPES = {"BOOL": "bool", **{name.upper(): name for name in NAMES}}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor stands: its type, and the position of its first byte in the file."""

    type: TensorType
    start: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """The metadata and the tensors of a file."""

    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def read_json(text: str | bytes, what: str) -> Any:
    """Parse JSON; FileError for what is none, repeats a key, nests too deep or has numbers that are none."""
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{what} is not sound JSON: {str(error)[:200]}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {repeated[:80]!r} appears twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_header(file: BinaryIO, size: int) -> Header:
    """Read and check the header of an open file of `size` bytes."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8:
        raise FileError(f"it ends after {len(start)} bytes: this is not a safetensors file")
    if length > LONGEST_HEADER or length > size - 8:
        raise FileError(f"its header claims {length} bytes of a file of {size}: truncated, or no safetensors file")
    content = read_json(file.read(length), "the header")
    if not isinstance(content, dict):
        raise FileError("the header is no JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FileError("the metadata of the header are not strings")
    tensors = {name: _tensor(name, described, 8 + length, size) for name, described in content.items()}
    position = 8 + length
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].nbytes)):
        if tensor.start != position:
            raise FileError(f"tensor {name[:80]!r} does not start where the one before it ends")
        position += tensor.nbytes
    if position != size:
        raise FileError(f"the tensors end at byte {position} of a file of {size}")
    return Header(metadata, tensors)


def _tensor(name: str, described: Any, data: int, size: int) -> Tensor:
    what = f"tensor {name[:80]!r}"
    if not isinstance(described, dict) or set(described) != {"dtype", "shape", "data_offsets"}:
        raise FileError(f"{what} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise FileError(f"{what} has the unsupported dtype {str(dtype)[:40]!r}")
    if not _counts(shape, lambda n: n <= MAX_AXES) or not _counts(offsets, lambda n: n == 2):
        raise FileError(f"{what} has a shape or offsets that are no lists of sizes")
    begin, end = offsets
    type_ = TensorType(dtype_named(_DTYPES[dtype]), tuple(shape))
    nbytes = type_.dtype.itemsize
    for n in shape:
        nbytes *= n
    if not begin <= end <= size - data or end - begin != nbytes:
        raise FileError(
            f"{what}, {str(type_)[:80]} of {nbytes} bytes, has the offsets {begin} to {end} in {size - data} bytes"
        )
    return Tensor(type_, data + begin, nbytes)


def _counts(value: Any, fits: Callable[[int], bool]) -> bool:
    """Whether a value is a list of a fitting length of non-negative 63-bit integers."""
    return isinstance(value, list) and fits(len(value)) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def read_tensor(file: BinaryIO, name: str, tensor: Tensor) -> Array:
    """Read a tensor as a read-only array."""
    file.seek(tensor.start)
    raw = file.read(tensor.nbytes)
    if len(raw) != tensor.nbytes:
        raise FileError(f"the file ends within tensor {name[:80]!r}")
    try:
        return as_array(raw, tensor.type)
    except ValueError as error:
        raise FileError(f"tensor {name[:80]!r} cannot be read: {error}") from None


def size_of(path: Path) -> int:
    """Return the number of bytes of a regular file; FileError for what is none."""
    if not path.is_file() and path.exists():
        raise FileError(f"{path} is not a file")
    return path.stat().st_size
