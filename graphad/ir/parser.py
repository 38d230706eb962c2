"""Reads the printed form of a graph: ``parse(print_graph(g)) == g``.

Text comes from strangers: nothing in it is evaluated, no name in it is imported, nesting is bounded, and no array is
made before its bytes are known to be there. Types are inferred anew and must agree with those in the text.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from graphad.ir.attributes import (
    MAX_NESTING,
    AttributeFault,
    allows,
    element_hint,
    find_op,
    hints,
    infer_types,
    make_op,
)
from graphad.ir.container_text import parse_container
from graphad.ir.containers import Container
from graphad.ir.dims import Assumption, Dim, parse_assumption, parse_dim, static
from graphad.ir.errors import ContainerError, VerifyError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.literals import (
    decode_resource,
    frozen,
    parse_element,
    parse_float,
    parse_type,
    static_nbytes,
    unquote,
)
from graphad.ir.node import ROLES, Node, Value
from graphad.ir.op import Op
from graphad.ir.printer import default_output_names
from graphad.ir.tokens import Scanner
from graphad.ir.types import NAMES, DType, TensorType, dtype_named, is_complex, real_dtype
from graphad.ir.verify import verify_signature

Array = np.ndarray[Any, Any]

_RESOURCES = re.compile(r"^resources\s*\{", re.MULTILINE)
_WORDS = {"None": ("none", None), "True": ("bool", True), "False": ("bool", False)}


def parse(text: str, resource_limit: int = 1 << 32) -> Graph:
    """Read a graph from its printed form.

    Arguments:
        text: what `str(graph)` or `print_graph(graph)` gives, or the like written by hand.
        resource_limit: the most bytes that the arrays of the `resources` section may have together.

    Raises ParseError with line, column and the text of the line: not a graph, a type that the op's rule does not give,
    an array that was elided, an attribute that has no text (a Python function).
    """
    reader = _Parser(text)
    # Strings hold no line breaks, so only the section itself can start a line like this.
    opening = _RESOURCES.search(text)
    if opening is not None:
        reader.read_resources(opening.start(), resource_limit)
    graph = reader.graph(1)
    if opening is not None and reader.scanner.start == opening.start():
        reader.scanner.jump(reader.resources_end)
    if reader.scanner.kind != "end":
        reader.scanner.unexpected("the end of the text")
    return graph


class _Parser:
    """Recursive descent; graphs within graphs and tuples count towards the depth."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.resources: dict[str, tuple[TensorType, Array]] = {}
        self.resources_end = 0
        self._types: dict[tuple[Op, tuple[TensorType, ...]], tuple[TensorType, ...]] = {}

    # Resources

    def read_resources(self, position: int, limit: int) -> None:
        """Read ``resources { @c0: f64[2] = "..." }``, then go back to the start of the text."""
        scanner = self.scanner
        scanner.jump(position)
        scanner.expect("resources")
        scanner.expect("{")
        total = 0
        while not scanner.at("}"):
            start = scanner.start
            name = scanner.take_kind("resource", "a resource such as @c0")
            if name in self.resources:
                scanner.wrong(f"{name} is already there", start)
            scanner.expect(":")
            type_ = self.type()
            scanner.expect("=")
            start = scanner.start
            data = scanner.take_kind("string", "the data in quotes")
            try:
                total += static_nbytes(type_)
                if total > limit:
                    raise ValueError(f"the resources have more than the {limit} bytes allowed")
                self.resources[name] = (type_, decode_resource(data[1:-1], type_))
            except ValueError as error:
                scanner.wrong(f"{name} cannot be read: {error}", start)
        self.resources_end = scanner.end
        scanner.jump(0)

    # Graphs

    def graph(self, depth: int) -> Graph:
        scanner = self.scanner
        start = scanner.start
        if depth > MAX_NESTING:
            scanner.wrong(f"graphs are nested more than {MAX_NESTING} deep")
        scanner.expect("graph")
        name = self.name("the graph's name")
        values: dict[str, Value] = {}
        initial: dict[str, Array] = {}
        inputs: list[Value] = []
        input_names: list[str] = []
        scanner.expect("(")
        while not scanner.at(")"):
            label, value = self.input(values, initial)
            inputs.append(value)
            input_names.append(label)
            if not scanner.take(","):
                break
        scanner.expect(")")
        scanner.expect("->")
        output_types, output_names = self.output_declaration()
        scanner.expect("{")
        arguments, result = flat_containers(len(inputs), len(output_types))
        if scanner.take("arguments"):
            arguments = self.container()
        if scanner.take("result"):
            result = self.container()
        assumptions: list[Assumption] = []
        while scanner.at("assume"):
            assumptions.append(self.assumption())
        while scanner.kind == "value":
            self.node(values, depth)
        here = scanner.start
        scanner.expect("return")
        outputs: list[Value] = []
        while scanner.kind == "value":
            outputs.append(self.operand(values))
            if not scanner.take(","):
                break
        if [value.type for value in outputs] != output_types:
            given = ", ".join(str(value.type) for value in outputs)
            scanner.wrong(f"graph {name!r} declares ({', '.join(map(str, output_types))}) but returns ({given})", here)
        scanner.expect("}")
        try:
            return verify_signature(
                Graph(
                    name,
                    tuple(inputs),
                    tuple(outputs),
                    tuple(input_names),
                    tuple(output_names or default_output_names(len(outputs))),
                    arguments,
                    result,
                    initial,
                    tuple(assumptions),
                )
            )
        except VerifyError as error:
            scanner.wrong(error.message, start)

    def input(self, values: dict[str, Value], initial: dict[str, Array]) -> tuple[str, Value]:
        """Read ``%w: f64[5,4] parameter = @c0``."""
        scanner = self.scanner
        start = scanner.start
        written = scanner.take_kind("value", "an input such as %x")
        label = self.unquoted(written[1:], start) if written[1] == '"' else written[1:]
        scanner.expect(":")
        type_ = self.type()
        kind = "parameter" if scanner.take("parameter") else "input"
        if scanner.take("="):
            initial[label] = self.array(type_)
        value = Value(Node(Input(label, type_, kind), (), (type_,)), 0)
        self.define(written, value, values, start)
        return label, value

    def output_declaration(self) -> tuple[list[TensorType], list[str]]:
        """Read ``(f64[], f64[2])`` or ``(loss: f64[], grads.w: f64[2])``."""
        scanner = self.scanner
        types: list[TensorType] = []
        names: list[str] = []
        scanner.expect("(")
        while not scanner.at(")"):
            start = scanner.start
            if scanner.kind != "type":
                names.append(self.name("a type such as f64[8,5]"))
                scanner.expect(":")
            types.append(self.type())
            if names and len(names) != len(types):
                scanner.wrong("either all outputs have names, or none has", start)
            if not scanner.take(","):
                break
        scanner.expect(")")
        return types, names

    def container(self) -> Container:
        start = self.scanner.start
        text = self.scanner.rest_of_line()
        if text.startswith("<"):
            self.scanner.wrong("this nesting holds values that have no text, so the graph cannot be read back", start)
        try:
            return parse_container(text)
        except ContainerError as error:
            self.scanner.wrong(error.message, start)

    def assumption(self) -> Assumption:
        scanner = self.scanner
        scanner.expect("assume")
        start = scanner.start
        text, _, _ = scanner.rest_of_line().partition("#")
        try:
            found = parse_assumption(text.strip())
        except ValueError as error:
            scanner.wrong(str(error), start)
        location = scanner.comment(start + len(text))
        return Assumption(found.relation, found.left, found.right, location)

    # Nodes

    def node(self, values: dict[str, Value], depth: int) -> None:
        """Read ``%3: f64[2], %4: f64[2] = op[attribute=1] %1, %2 {role=backward}  # model.py:12``."""
        scanner = self.scanner
        start = scanner.start
        results: list[tuple[str, int]] = []
        types: list[TensorType] = []
        while True:
            results.append((scanner.token, scanner.start))
            scanner.take_kind("value", "a result such as %0")
            scanner.expect(":")
            types.append(self.type())
            if not scanner.take(","):
                break
        scanner.expect("=")
        here = scanner.start
        name = scanner.take_kind("name", "an op")
        op: Op
        if name == "constant":
            op = Constant(self.array(types[0]))
        else:
            try:
                cls = find_op(name)
                op = make_op(cls, self.attributes(cls, depth) if scanner.take("[") else {})
            except AttributeFault as fault:
                scanner.wrong(str(fault), here)
        operands: list[Value] = []
        # A value at the start of a line is the next node's result: it is followed by a colon.
        if scanner.kind == "value" and "\n" not in scanner.text[scanner.previous_end : scanner.start]:
            operands.append(self.operand(values))
            while scanner.take(","):
                operands.append(self.operand(values))
        inputs = tuple(operands)
        self.check_types(op, inputs, tuple(types), here)
        role, scope, replica = self.origin() if scanner.take("{") else ("forward", "", 0)
        location = scanner.comment(scanner.previous_end)
        node = Node(op, inputs, tuple(types), location, scope, role, replica)
        for index, (written, position) in enumerate(results):
            self.define(written, Value(node, index), values, position)
        if not types:
            scanner.wrong("a node has at least one result", start)

    def check_types(self, op: Op, inputs: tuple[Value, ...], types: tuple[TensorType, ...], position: int) -> None:
        operands = tuple([v[0].types[v[1]] for v in inputs])
        try:
            found = infer_types(op, operands)
        except AttributeFault as fault:
            self.scanner.wrong(str(fault), position)
        if found != types:
            listed = ", ".join(map(str, operands))
            self.scanner.wrong(
                f"{op.name}({listed}) gives {', '.join(map(str, found))}, not {', '.join(map(str, types))}", position
            )

    def origin(self) -> tuple[str, str, int]:
        """Read ``role=backward, scope="enc/attn", replica=1}``."""
        scanner = self.scanner
        role, scope, replica = "forward", "", 0
        seen: set[str] = set()
        while True:
            start = scanner.start
            key = scanner.take_kind("name", "role, scope or replica")
            scanner.expect("=")
            if key in seen:
                scanner.wrong(f"{key} is given twice", start)
            seen.add(key)
            at = scanner.start
            if key == "role":
                role = scanner.take_kind("name", "a role")
                if role not in ROLES:
                    scanner.wrong(f"a role is one of {', '.join(ROLES)}", at)
            elif key == "scope":
                scope = self.unquoted(scanner.take_kind("string", "a scope in quotes"), at)
            elif key == "replica":
                number = scanner.take_kind("number", "a number")
                if not number.isdigit() or len(number) > 18:
                    scanner.wrong("a replica is a small non-negative integer", at)
                replica = int(number)
            else:
                scanner.wrong(f"expected role, scope or replica, got {key!r}", start)
            if not scanner.take(","):
                break
        scanner.expect("}")
        return role, scope, replica

    def operand(self, values: dict[str, Value]) -> Value:
        value = values.get(self.scanner.token)
        if self.scanner.kind != "value":
            self.scanner.unexpected("an operand such as %0")
        if value is None:
            self.scanner.wrong(f"{self.scanner.token[:80]} is not defined above")
        self.scanner.advance()
        return value

    def define(self, written: str, value: Value, values: dict[str, Value], position: int) -> None:
        if values.setdefault(written, value) is not value:
            self.scanner.wrong(f"{written[:80]} is already defined", position)

    # Attributes

    def attributes(self, cls: type[Op], depth: int) -> dict[str, Any]:
        """Read ``axes=(0, 1), keep=True]``."""
        scanner = self.scanner
        expected = hints(cls)
        given: dict[str, Any] = {}
        while not scanner.at("]"):
            start = scanner.start
            name = scanner.take_kind("name", "an attribute")
            if name in given:
                scanner.wrong(f"attribute {name!r} is given twice", start)
            if name not in expected:
                takes = ", ".join(expected) or "none"
                scanner.wrong(f"op {cls.name} has no attribute {name!r} (it has: {takes})", start)
            scanner.expect("=")
            if scanner.kind == "opaque":
                scanner.wrong(
                    f"attribute {name!r} of op {cls.name} is {scanner.token}, a Python object that has no text: "
                    "a graph that holds it can be printed but not read back"
                )
            given[name] = self.value(expected[name], depth)
            if not scanner.take(","):
                break
        scanner.expect("]")
        return given

    def value(self, hint: Any, depth: int) -> Any:
        """Read an attribute that is annotated `hint`."""
        scanner = self.scanner
        kind, token, start = scanner.kind, scanner.token, scanner.start
        if depth > MAX_NESTING:
            scanner.wrong(f"attributes are nested more than {MAX_NESTING} deep")
        if kind == "string":
            scanner.advance()
            return self.unquoted(token, start)
        if kind == "nan":
            scanner.advance()
            return parse_float(token)
        if kind == "type":
            type_ = self.type()
            if allows(hint, "array") and not (scanner.at(",") or scanner.at("]") or scanner.at(")")):
                return self.array(type_)
            return type_
        if kind == "name":
            if token in _WORDS and allows(hint, _WORDS[token][0]):  # type: ignore[arg-type]
                scanner.advance()
                return _WORDS[token][1]
            if token in NAMES and allows(hint, "dtype"):
                scanner.advance()
                return dtype_named(token)
            if token == "graph" and allows(hint, "graph"):
                return self.graph(depth + 1)
            return self.size()
        if kind == "number":
            if token in ("inf", "nan") and not allows(hint, "float"):
                return self.size()  # a size may have any name
            follows = scanner.text[scanner.end : scanner.end + 1]
            if follows and follows in "+-*/":
                return self.size()
            scanner.advance()
            return self.number(token, start)
        if scanner.at("(") and allows(hint, "tuple"):
            return self.tuple(hint, depth)
        if not ((scanner.at("(") or scanner.at("-")) and allows(hint, "size")):
            scanner.unexpected("the value of an attribute")
        return self.size()

    def number(self, token: str, start: int) -> int | float:
        try:
            if token.lstrip("-").isdigit():
                return int(token)
            return parse_float(token)
        except (ValueError, OverflowError) as error:
            self.scanner.wrong(str(error)[:200], start)

    def tuple(self, hint: Any, depth: int) -> tuple[Any, ...]:
        scanner = self.scanner
        scanner.expect("(")
        items: list[Any] = []
        while not scanner.at(")"):
            items.append(self.value(element_hint(hint, len(items)), depth + 1))
            if not scanner.take(","):
                break
        scanner.expect(")")
        return tuple(items)

    def size(self) -> Dim:
        """Read ``2*batch+1`` or ``(batch+1)/2``, up to the comma or bracket behind it."""
        scanner = self.scanner
        start = scanner.start
        inside = 0
        while scanner.kind in ("name", "number", "mark") and not (inside == 0 and scanner.token in (",", ")", "]")):
            inside += {"(": 1, ")": -1}.get(scanner.token, 0)
            scanner.advance()
        try:
            return parse_dim(scanner.text[start : scanner.previous_end])
        except ValueError as error:
            scanner.wrong(str(error), start)

    # Leaves

    def name(self, wanted: str) -> str:
        scanner = self.scanner
        if scanner.kind == "string":
            start, token = scanner.start, scanner.token
            scanner.advance()
            return self.unquoted(token, start)
        return scanner.take_kind("name", wanted)

    def unquoted(self, token: str, position: int) -> str:
        try:
            return unquote(token)
        except ValueError as error:
            self.scanner.wrong(f"this is not a string: {error}", position)

    def type(self) -> TensorType:
        start = self.scanner.start
        text = self.scanner.take_kind("type", "a type such as f64[8,5]")
        try:
            return parse_type(text)
        except ValueError as error:
            self.scanner.wrong(str(error), start)

    def array(self, type_: TensorType) -> Array:
        """Read the elements of an array of a known type: in place, or from a resource."""
        scanner = self.scanner
        start, token = scanner.start, scanner.token
        if scanner.kind == "opaque":
            scanner.wrong(f"the elements of this array were left out when it was printed ({token[1:-1]})")
        if scanner.kind == "resource":
            scanner.advance()
            if token not in self.resources:
                scanner.wrong(f"there is no resource {token}", start)
            stored, array = self.resources[token]
            if stored != type_:
                scanner.wrong(f"{token} is {stored}, not {type_}", start)
            return array
        try:
            count = static_nbytes(type_) // type_.dtype.itemsize
            # Every element takes a character at least, so this bounds what is made by the text.
            if count > len(scanner.text) - start:
                raise ValueError(f"there are not so many elements as {type_} has")
            array = np.empty([static(n) for n in type_.shape], type_.dtype)
        except ValueError as error:
            scanner.wrong(str(error), start)
        if count:
            self.elements(array)
        else:
            scanner.expect("[")
            scanner.expect("]")
        return frozen(array)

    def elements(self, array: Array) -> None:
        """Read elements into an array, row by row."""
        scanner = self.scanner
        if array.ndim == 0:
            if not is_complex(array.dtype):
                array[...] = self.element(array.dtype)
                return
            part = real_dtype(array.dtype)
            scanner.expect("(")
            array.real[...] = self.element(part)
            scanner.expect(",")
            array.imag[...] = self.element(part)
            scanner.expect(")")
            return
        scanner.expect("[")
        for k in range(len(array)):
            if k:
                scanner.expect(",")
            self.elements(array[k, ...])
        scanner.expect("]")

    def element(self, dtype: DType) -> Array:
        """Read a number or boolean that is one token."""
        scanner = self.scanner
        if scanner.kind not in ("number", "nan", "name"):
            scanner.unexpected(f"an element of {dtype}")
        start, token = scanner.start, scanner.token
        scanner.advance()
        try:
            return parse_element(token, dtype)
        except (ValueError, OverflowError) as error:
            scanner.wrong(str(error)[:200], start)
