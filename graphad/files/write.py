"""Writing a graph to a file: the tables of the structure, and the tensors they name."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphad.ir.attributes import MAX_NESTING, attributes, kind_of, plain
from graphad.ir.errors import ContainerError, FileError, MissingExtraError
from graphad.ir.graph import Graph
from graphad.ir.literals import float_text
from graphad.ir.location import Location
from graphad.ir.node import ROLES, Node
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES, TensorType, complex_dtype, is_complex

Array = np.ndarray[Any, Any]

FORMAT = "graphad"
VERSION = "1"
LONGEST_IN_HEADER = 32_000_000
"""JSON of more characters goes into a tensor: safetensors headers end at 100 MB, and quoting makes JSON longer."""

_ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph, with its constants, initial values and source lines, to the file `path`.

    The file appears whole or not at all: it is written beside `path` and then put in its place.

    Raises FileError where an attribute is a Python object that no file can hold, MissingExtraError without the package
    safetensors, and OSError where the file cannot be written.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "saving a graph needs the package safetensors: run `pip install 'graphad[files]'`"
        ) from error
    tables = _Tables()
    structure = tables.structure(graph)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "structure_crc32": str(zlib.crc32(structure.encode())),
    }
    tensors = tables.tensors
    if len(structure) <= LONGEST_IN_HEADER:
        metadata["structure"] = structure
    else:
        tensors["structure"] = np.frombuffer(structure.encode(), np.uint8)
    target = Path(path)
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            beside.touch()
            usual = beside.stat().st_mode  # safetensors makes files that only their owner can read
            save_file(tensors, str(beside), metadata)
            beside.chmod(usual)
        except (SafetensorError, OSError) as error:
            raise OSError(f"{target} cannot be written: {error}") from error
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@dataclass
class _Table:
    """Numbers things in the order they are first asked for."""

    items: list[Any] = field(default_factory=list)
    numbers: dict[Hashable, int] = field(default_factory=dict)

    def number(self, key: Hashable, item: Any) -> int:
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.items)
            self.items.append(item)
        return found


@dataclass
class _Tables:
    types: _Table = field(default_factory=_Table)
    locations: _Table = field(default_factory=_Table)
    scopes: _Table = field(default_factory=_Table)
    graphs: _Table = field(default_factory=_Table)
    tensors: dict[str, Array] = field(default_factory=dict)
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)
    depth: int = 0

    def structure(self, graph: Graph) -> str:
        """Return the JSON of a graph; fills `tensors`."""
        self.graph(graph)
        content = {
            "types": self.types.items,
            "locations": self.locations.items,
            "scopes": self.scopes.items,
            "tensors": {name: checksum(array) for name, array in self.tensors.items()},
            "graphs": self.graphs.items,
        }
        return json.dumps(content, separators=(",", ":"), allow_nan=False)

    def graph(self, graph: Graph) -> int:
        known = self.graphs.numbers.get(id(graph))
        if known is not None:
            return known
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise FileError(f"graphs are nested more than {MAX_NESTING} deep, at graph {graph.name!r}")
        first: dict[Node, int] = {}
        inputs = []
        for value, name in zip(graph.inputs, graph.input_names, strict=True):
            first[value.node] = len(first)
            inputs.append(self.input(value.node, name, graph.initial.get(name)))
        count = len(first)
        ops = _Table()
        op_numbers: dict[int, int] = {}
        nodes = []
        for node in graph.nodes[len(inputs) :]:
            op = node.op
            number = op_numbers.get(id(op))
            if number is None:
                written = [op.name, self.attributes(op, node)]
                # Ops that are written alike share an entry, whether or not they are one object.
                number = op_numbers[id(op)] = ops.number(json.dumps(written), written)
            nodes.append(
                [
                    number,
                    [first[v[0]] + v[1] for v in node.inputs],
                    [self.type(t) for t in node.types],
                    self.location(node.location),
                    self.scopes.number(node.scope, node.scope),
                    _ROLE_NUMBERS[node.role],
                    node.replica,
                ]
            )
            first[node] = count
            count += len(node.types)
        try:
            containers = str(graph.input_container), str(graph.output_container)
        except ContainerError as error:
            raise FileError(f"graph {graph.name!r} cannot be saved: {error.message}") from error
        content = {
            "name": graph.name,
            "inputs": inputs,
            "ops": ops.items,
            "nodes": nodes,
            "outputs": [first[v[0]] + v[1] for v in graph.outputs],
            "output_names": list(graph.output_names),
            "input_container": containers[0],
            "output_container": containers[1],
            "assumptions": [[str(a), self.location(a.location)] for a in graph.assumptions],
        }
        self.depth -= 1
        return self.graphs.number(id(graph), content)

    def input(self, node: Node, name: str, initial: Array | None) -> dict[str, Any]:
        op: Any = node.op
        content = {
            "name": name,
            "label": op.label,
            "type": self.type(op.type),
            "kind": op.kind,
            "location": self.location(node.location),
            "scope": self.scopes.number(node.scope, node.scope),
            "role": node.role,
            "replica": node.replica,
        }
        if initial is not None:
            content["initial"] = self.tensor(initial)
        return content

    def attributes(self, op: Op, node: Node) -> dict[str, Any]:
        found = {}
        for name, value in attributes(op):
            try:
                found[name] = self.value(value)
            except TypeError as error:
                raise FileError(
                    f"attribute {name!r} of op {op.name} is {error}, which a file cannot hold", location=node.location
                ) from None
        return found

    def value(self, value: Any) -> Any:
        """Return an attribute as JSON; TypeError for what has no form there."""
        value = plain(value)
        kind = kind_of(value)
        if kind in ("none", "bool", "int", "str"):
            return value
        if kind == "float":
            return value if np.isfinite(value) else {"float": float_text(value)}
        if kind == "tuple":
            return [self.value(item) for item in value]
        if kind == "dtype" and value in DTYPE_NAMES:
            return {"dtype": DTYPE_NAMES[value]}
        if kind in ("size", "type"):
            return {kind: str(value)}
        if kind == "array":
            return {"array": self.tensor(value)}
        if kind == "graph":
            return {"graph": self.graph(value)}
        raise TypeError(f"a Python {type(value).__name__}")

    def tensor(self, array: Array) -> str:
        """Return the name of an array; arrays of the same content share one.

        Complex numbers, of which safetensors knows one dtype at best, are stored as pairs of real ones: ``z0``.
        """
        contiguous = array if array.flags.c_contiguous else array.copy(order="C")
        key = (array.dtype, array.shape, hashlib.blake2b(contiguous.tobytes()).digest())
        name = self._names.get(key)
        if name is None:
            letter = "z" if is_complex(array.dtype) else "c"
            name = self._names[key] = f"{letter}{len(self._names)}"
            self.tensors[name] = as_pairs(contiguous) if is_complex(array.dtype) else contiguous
        return name

    def type(self, type_: TensorType) -> int:
        found = self.types.numbers.get(type_)
        return self.types.number(type_, str(type_)) if found is None else found

    def location(self, location: Location | None) -> int:
        if location is None:
            return -1
        found = self.locations.numbers.get(location)
        if found is None:
            found = self.locations.number(location, [location.file, location.line, location.source])
        return found


def as_pairs(array: Array) -> Array:
    """Return a complex array as a real one with one more axis, of size 2."""
    return np.stack([array.real, array.imag], axis=-1)


def from_pairs(array: Array) -> Array:
    """Return what `as_pairs` was given; ValueError where the array holds no pairs of float32 or float64."""
    if array.dtype not in (np.float32, np.float64) or array.shape[-1:] != (2,):
        raise ValueError(f"{array.dtype} of shape {array.shape} holds no pairs of real numbers")
    found = np.empty(array.shape[:-1], complex_dtype(array.dtype))
    found.real, found.imag = array[..., 0], array[..., 1]
    return found


def checksum(array: Array) -> int:
    """Return the CRC-32 of the elements in row-major, little-endian order."""
    return zlib.crc32(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
