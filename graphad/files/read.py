"""Reading a graph from a file that may be damaged, too new, or hostile.

Every part is checked as it is read: tables before the numbers that point into them, operands before the nodes that read
them, attributes against the fields of their op, types against what the op's rule gives. No name in a file is imported.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from graphad.files.header import Header, read_header, read_json, read_tensor, size_of
from graphad.files.write import FORMAT, VERSION, checksum, from_pairs
from graphad.ir.attributes import MAX_NESTING, AttributeFault, find_op, infer_types, make_op
from graphad.ir.container_text import parse_container
from graphad.ir.containers import Container
from graphad.ir.dims import Assumption, parse_assumption, parse_dim
from graphad.ir.errors import ContainerError, FileError, GraphadError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.literals import frozen, parse_float, parse_type
from graphad.ir.location import Location
from graphad.ir.node import ROLES, Node, Value
from graphad.ir.op import Op
from graphad.ir.types import NAMES, TensorType, dtype_named
from graphad.ir.verify import verify_signature

Array = np.ndarray[Any, Any]
T = TypeVar("T")

MAX_EXPANDED = 1 << 24
"""Nodes of a graph when every use of a held graph counts anew: a few lines of JSON can name a graph 2^64 times."""

_GRAPH_KEYS = frozenset(
    {"name", "inputs", "ops", "nodes", "outputs", "output_names", "input_container", "output_container", "assumptions"}
)
_INPUT_KEYS = frozenset({"name", "label", "type", "kind", "location", "scope", "role", "replica"})


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph that `save` wrote.

    Raises FileError, naming what is wrong and where, for a file that is damaged, truncated, of a newer version, or no
    graph; OSError where it cannot be opened. Loading never runs code from the file, and takes time and memory in
    proportion to its size.
    """
    target = Path(path)
    try:
        size = size_of(target)
        with target.open("rb") as file:
            return _Reader(file, read_header(file, size)).graph()
    except GraphadError as error:
        raise FileError(f"{target}: {error.message}", location=error.location) from None


@dataclass
class _Reader:
    file: BinaryIO
    header: Header
    types: list[TensorType] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    checksums: dict[str, int] = field(default_factory=dict)
    graphs: list[Graph] = field(default_factory=list)
    expanded: list[tuple[int, int]] = field(default_factory=list)
    """For each graph, its nodes with those of the graphs it holds, and how deep these are nested."""
    arrays: dict[str, Array] = field(default_factory=dict)

    def graph(self) -> Graph:
        structure = self.structure()
        _keys(structure, frozenset({"types", "locations", "scopes", "tensors", "graphs"}), "the structure")
        self.checksums = _expect(structure["tensors"], dict, "tensors")
        for number, text in enumerate(_expect(structure["types"], list, "types")):
            try:
                self.types.append(parse_type(_expect(text, str, f"type {number}")))
            except ValueError as error:
                raise FileError(f"type {number}: {error}") from None
        for number, scope in enumerate(_expect(structure["scopes"], list, "scopes")):
            self.scopes.append(_expect(scope, str, f"scope {number}"))
        for number, entry in enumerate(_expect(structure["locations"], list, "locations")):
            where = f"location {number}"
            file, line, text = _sized(entry, 3, where)
            self.locations.append(
                Location(_expect(file, str, where), _expect(line, int, where), _expect(text, str, where))
            )
        for number, described in enumerate(_expect(structure["graphs"], list, "graphs")):
            self.graphs.append(self.one_graph(described, f"graph {number}"))
        if not self.graphs:
            raise FileError("it holds no graph")
        return self.graphs[-1]

    def structure(self) -> dict[str, Any]:
        """Return the JSON of the structure, its version and checksum verified."""
        metadata = self.header.metadata
        if metadata.get("format") != FORMAT:
            raise FileError("this safetensors file was not written by graphad")
        if metadata.get("version") != VERSION:
            raise FileError(
                f"it has version {metadata.get('version', 'none')[:40]}, but this graphad reads version {VERSION}: "
                "use the graphad that wrote it, or a newer one"
            )
        if "structure" in metadata:
            try:
                raw = metadata["structure"].encode()
            except UnicodeEncodeError as error:
                raise FileError(f"the structure is not text: {error}") from None
        elif "structure" in self.header.tensors:
            raw = read_tensor(self.file, "structure", self.header.tensors["structure"]).tobytes()
        else:
            raise FileError("it has no structure")
        if metadata.get("structure_crc32") != str(zlib.crc32(raw)):
            raise FileError("the structure is damaged: its checksum differs")
        return _expect(read_json(raw, "the structure"), dict, "the structure")

    def one_graph(self, described: Any, where: str) -> Graph:
        content = _expect(described, dict, where)
        _keys(content, _GRAPH_KEYS, where)
        name = _expect(content["name"], str, f"the name of {where}")
        where = f"graph {name[:80]!r}"
        values: list[Value] = []
        initial: dict[str, Array] = {}
        names: list[str] = []
        for number, entry in enumerate(_expect(content["inputs"], list, f"{where}, inputs")):
            values.append(Value(self.input(entry, names, initial, f"{where}, input {number}"), 0))
        inputs = tuple(values)
        ops: list[Op] = []
        held: list[tuple[int, int]] = []
        for number, entry in enumerate(_expect(content["ops"], list, f"{where}, ops")):
            op, uses = self.op(entry, f"{where}, op {number}")
            ops.append(op)
            held.append((sum(nodes for nodes, _ in uses), max((deep for _, deep in uses), default=0)))
        inside = 0
        for number, entry in enumerate(_expect(content["nodes"], list, f"{where}, nodes")):
            inside += held[self.node(entry, ops, values, f"{where}, node {number}")][0]
        depth = 1 + max((deep for _, deep in held), default=0)
        if inside > MAX_EXPANDED or depth > MAX_NESTING:
            raise FileError(f"{where} holds graphs nested too deep or too often ({depth} deep, {inside} nodes)")
        self.expanded.append((len(values) + inside, depth))
        outputs = [
            _item(values, number, f"{where}, an output")
            for number in _expect(content["outputs"], list, f"{where}, outputs")
        ]
        output_names = [
            _expect(n, str, f"{where}, output names")
            for n in _expect(content["output_names"], list, f"{where}, output names")
        ]
        return verify_signature(
            Graph(
                name,
                inputs,
                tuple(outputs),
                tuple(names),
                tuple(output_names),
                _container(content["input_container"], f"{where}, input_container"),
                _container(content["output_container"], f"{where}, output_container"),
                initial,
                self.assumptions(content["assumptions"], where),
            )
        )

    def input(self, entry: Any, names: list[str], initial: dict[str, Array], where: str) -> Node:
        content = _expect(entry, dict, where)
        _keys({key: value for key, value in content.items() if key != "initial"}, _INPUT_KEYS, where)
        name = _expect(content["name"], str, where)
        names.append(name)
        if "initial" in content:
            initial[name] = self.array(content["initial"], where)
        type_ = _item(self.types, content["type"], where)
        op = Input(_expect(content["label"], str, where), type_, _expect(content["kind"], str, where))
        role = _expect(content["role"], str, where)
        if role not in ROLES:
            raise FileError(f"{where} has the unknown role {role[:40]!r}")
        return Node(
            op,
            (),
            (type_,),
            self.location(content["location"], where),
            _item(self.scopes, content["scope"], where),
            role,
            _count(content["replica"], where),
        )

    def op(self, entry: Any, where: str) -> tuple[Op, list[tuple[int, int]]]:
        """Return an op, and the sizes and depths of the graphs among its attributes."""
        name, given = _sized(entry, 2, where)
        uses: list[tuple[int, int]] = []
        try:
            cls = find_op(_expect(name, str, where))
            attributes = {
                key: self.value(value, uses, f"{where}, attribute {key[:80]!r}", 1)
                for key, value in _expect(given, dict, where).items()
            }
            return make_op(cls, attributes), uses
        except AttributeFault as fault:
            raise FileError(f"{where}: {str(fault)[:400]}") from None

    def value(self, value: Any, uses: list[tuple[int, int]], where: str, depth: int) -> Any:
        """Return an attribute of its JSON."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if depth > MAX_NESTING:
            raise FileError(f"{where} is nested more than {MAX_NESTING} deep")
        if isinstance(value, list):
            return tuple([self.value(item, uses, where, depth + 1) for item in value])
        if len(value) != 1:
            raise FileError(f"{where} is an object without a single tag")
        ((tag, content),) = value.items()
        if tag == "graph":
            found = _item(self.graphs, content, where)
            uses.append(self.expanded[content])
            return found
        text = _expect(content, str, where)
        if tag == "array":
            return self.array(text, where)
        try:
            if tag == "float":
                return parse_float(text)
            if tag == "size":
                return parse_dim(text)
            if tag == "type":
                return parse_type(text)
        except (ValueError, OverflowError) as error:
            raise FileError(f"{where}: {str(error)[:200]}") from None
        if tag == "dtype" and text in NAMES:
            return dtype_named(text)
        raise FileError(f"{where} is a {tag[:40]!r} of {text[:40]!r}, which this graphad does not know")

    def node(self, entry: Any, ops: list[Op], values: list[Value], where: str) -> int:
        """Read a node, add its results to `values`, and return the number of its op."""
        number, operands, types, location, scope, role, replica = _sized(entry, 7, where)
        op = _item(ops, number, f"{where}, its op")
        inputs = tuple([_item(values, n, f"{where}, an operand") for n in _expect(operands, list, where)])
        given = tuple([_item(self.types, n, f"{where}, a type") for n in _expect(types, list, where)])
        try:
            inferred = infer_types(op, tuple([v.node.types[v.index] for v in inputs]))
        except AttributeFault as fault:
            raise FileError(f"{where}: {str(fault)[:400]}") from None
        if inferred != given:
            shown = ", ".join(map(str, given))[:200]
            raise FileError(f"{where}, {op.name}: its types are ({shown}), not ({', '.join(map(str, inferred))[:200]})")
        node = Node(
            op,
            inputs,
            given,
            self.location(location, where),
            _item(self.scopes, scope, f"{where}, its scope"),
            _item(ROLES, role, f"{where}, its role"),
            _count(replica, where),
        )
        values += node.outputs
        return int(number)

    def assumptions(self, entries: Any, where: str) -> tuple[Assumption, ...]:
        found = []
        for entry in _expect(entries, list, f"{where}, assumptions"):
            text, location = _sized(entry, 2, f"{where}, an assumption")
            try:
                read = parse_assumption(_expect(text, str, f"{where}, an assumption"))
            except ValueError as error:
                raise FileError(f"{where}: {str(error)[:200]}") from None
            found.append(Assumption(read.relation, read.left, read.right, self.location(location, where)))
        return tuple(found)

    def location(self, number: Any, where: str) -> Location | None:
        return None if number == -1 else _item(self.locations, number, f"{where}, its location")

    def array(self, name: Any, where: str) -> Array:
        """Return a tensor, its checksum verified."""
        name = _expect(name, str, where)
        found = self.arrays.get(name)
        if found is None:
            if name not in self.header.tensors:
                raise FileError(f"{where} names the tensor {name[:80]!r}, which is not there")
            found = read_tensor(self.file, name, self.header.tensors[name])
            if self.checksums.get(name) != checksum(found):
                raise FileError(f"tensor {name[:80]!r} is damaged: its checksum differs")
            if name.startswith("z"):
                try:
                    found = frozen(from_pairs(found))
                except ValueError as error:
                    raise FileError(f"tensor {name[:80]!r}: {error}") from None
            self.arrays[name] = found
        return found


def _expect(value: Any, cls: type[T], where: str) -> T:
    """Return a value that is of a JSON type; a boolean is no integer."""
    if type(value) is not cls:
        raise FileError(f"{where}: expected {cls.__name__}, got {type(value).__name__}")
    return value


def _sized(value: Any, count: int, where: str) -> list[Any]:
    found: list[Any] = _expect(value, list, where)
    if len(found) != count:
        raise FileError(f"{where}: expected {count} entries, got {len(found)}")
    return found


def _item(table: list[T] | tuple[T, ...], number: Any, where: str) -> T:
    """Return an entry of a table by its number."""
    if type(number) is not int or not 0 <= number < len(table):
        raise FileError(f"{where} is number {str(number)[:40]} of a table of {len(table)}")
    return table[number]


def _count(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise FileError(f"{where}: a replica is a non-negative integer")
    return value


def _keys(content: dict[str, Any], expected: frozenset[str], where: str) -> None:
    if content.keys() != expected:
        different = ", ".join(sorted(content.keys() ^ expected))
        raise FileError(f"{where} has not the keys it should have: {different[:200]}")


def _container(text: Any, where: str) -> Container:
    try:
        return parse_container(_expect(text, str, where))
    except ContainerError as error:
        raise FileError(f"{where}: {error.message[:400]}") from None
