"""The text of a container: ``({w: *, b: *}, [*, None], models.Point<dataclass>(x=*, y=*; unit='m'))``.

A leaf is ``*`` and a tuple of one is ``(*,)``. Dict keys that are identifiers stand bare; other keys and
static values are Python literals, in backquotes where they are neither numbers, strings, None nor
booleans. Text comes from files: no expression is evaluated, and length, depth and size are bounded.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, cast

from graphad.ir.containers import KEYED, MAX_DEPTH, Branch, Container, Leaf, fold
from graphad.ir.errors import ContainerError

MAX_TEXT = 16_000_000
MAX_LITERAL = 100_000

_NAME = r"[^\W\d]\w*(?:\.(?:<\w+>|[^\W\d]\w*))*"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<kind><(?:namedtuple|dataclass|custom)>)
    | (?P<literal>`[^`]*` | b?'(?:[^'\\\n]|\\.)*' | b?"(?:[^"\\\n]|\\.)*" | -?\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    | (?P<name>{_NAME})
    | (?P<mark>[()\[\]{{}}:,;=*])
    )""",
    re.VERBOSE,
)
_WORD = re.compile(r"\w+")
_WHOLE_NAME = re.compile(_NAME)
_CLOSER = {"tuple": ")", "list": "]", "dict": "}", "namedtuple": ")", "dataclass": ")", "custom": ")"}
_PLAIN = {"(": "tuple", "[": "list", "{": "dict"}


def container_text(container: Container) -> str:
    """Write a container on one line; `parse_container` reads it back.

    Raises:
        ContainerError: a dict key, static value or class name that cannot be written.
    """
    return fold(container, lambda: "*", _branch_text)


def _branch_text(branch: Branch, children: list[str]) -> str:
    if branch.kind == "none":
        return "None"
    if branch.kind == "tuple":
        return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
    if branch.kind == "list":
        return f"[{', '.join(children)}]"
    if branch.kind == "dict":
        items = [f"{_key_text(key)}: {child}" for key, child in zip(branch.keys, children, strict=True)]
        return f"{{{', '.join(items)}}}"
    if not _WHOLE_NAME.fullmatch(branch.name):
        raise ContainerError(f"a class with the name {branch.name!r} cannot be written")
    if branch.kind in KEYED:
        children = [f"{key}={child}" for key, child in zip(branch.keys, children, strict=True)]
    static = ", ".join(f"{name}={_literal_text(value)}" for name, value in branch.static)
    return f"{branch.name}<{branch.kind}>({', '.join(children)}{f'; {static}' if static else ''})"


def _key_text(key: Hashable) -> str:
    return key if type(key) is str and _is_bare(key) else _literal_text(key)


def _is_bare(key: str) -> bool:
    return bool(_WORD.fullmatch(key)) and key.isidentifier() and not keyword.iskeyword(key)


def _literal_text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return repr(value)
    if type(value) is float:
        return _written(value)
    text = _written(value)
    try:
        read = ast.literal_eval(text)
        agrees = type(read) is type(value) and bool(read == value) and repr(read) == repr(value)
        same = agrees and len(text) <= MAX_LITERAL
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        same = False
    if not same:
        raise ContainerError(f"{text[:80]} is not a Python literal, so it cannot be written as part of a container")
    if type(value) in (int, str, bytes):
        return text
    # A backquote can only stand inside a string, where the escape means the same.
    return "`" + text.replace("`", "\\x60") + "`"


def _written(value: object) -> str:
    """Return `repr`, with infinities in tuples too as Python reads them: it has no literal but an overflowing one."""
    if type(value) is float:
        return repr(value).replace("inf", "1e999")
    if type(value) is tuple:
        return f"({', '.join(map(_written, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def parse_container(text: str) -> Container:
    """Read a container as `container_text` writes it. ContainerError on any other text."""
    if len(text) > MAX_TEXT:
        raise ContainerError(f"the text of a container is longer than {MAX_TEXT} characters")
    return _Reader(text).read()


@dataclass
class _Opened:
    """A container whose children are being read."""

    kind: Any
    name: str = ""
    keys: list[Hashable] = field(default_factory=list)
    known: set[Hashable] = field(default_factory=set)
    children: list[Container] = field(default_factory=list)
    static: list[tuple[str, Any]] = field(default_factory=list)

    def close(self) -> Branch:
        return Branch(self.kind, self.name, tuple(self.keys), tuple(self.children), tuple(self.static))


class _Reader:
    """Reads one container, token by token, with the open containers on a stack of its own."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.end = len(text.rstrip())
        self.position = 0
        self.group: str | None = None
        self.token = ""
        self.advance()

    def advance(self) -> None:
        if self.position >= self.end:
            self.group, self.token = None, ""
            return
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise self.wrong()
        self.group = match.lastgroup
        self.token = match[cast("str", match.lastgroup)]
        self.position = match.end()

    def wrong(self) -> ContainerError:
        start = max(0, self.position - 40)
        near = self.text[start : start + 80]
        return ContainerError(f"this is not a container, near character {self.position}: {near!r}")

    def take(self, mark: str) -> bool:
        if self.group == "mark" and self.token == mark:
            self.advance()
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            raise self.wrong()

    def read(self) -> Container:
        stack: list[_Opened] = []
        while True:
            value = self.leaf_or_opening(stack)
            # Every finished value goes into its container, which may finish that one too.
            while value is not None:
                if not stack:
                    if self.group is not None:
                        raise self.wrong()
                    return value
                stack[-1].children.append(value)
                value = self.after_child(stack)

    def leaf_or_opening(self, stack: list[_Opened]) -> Container | None:
        """Read a leaf, None or an empty container; or open one, up to its first child (and give None)."""
        if self.take("*"):
            return Leaf()
        if self.group == "name" and self.token == "None":
            self.advance()
            return Branch("none")
        if self.group == "mark" and self.token in _PLAIN:
            opened = _Opened(_PLAIN[self.token])
            self.advance()
        elif self.group == "name":
            name = self.token
            self.advance()
            if self.group != "kind":
                raise self.wrong()
            opened = _Opened(self.token[1:-1], name)
            self.advance()
            self.expect("(")
        else:
            raise self.wrong()
        stack.append(opened)
        if len(stack) > MAX_DEPTH:
            raise ContainerError(f"containers are nested more than {MAX_DEPTH} deep")
        empty = self.closed(stack)
        if empty is None:
            self.key(opened)
        return empty

    def after_child(self, stack: list[_Opened]) -> Container | None:
        """Read what follows a child: the end of its container (given), or a comma and the next key."""
        opened = stack[-1]
        if opened.kind == "tuple" and len(opened.children) == 1:
            self.expect(",")
            return self.closed(stack)
        complete = self.closed(stack)
        if complete is None:
            self.expect(",")
            self.key(opened)
        return complete

    def closed(self, stack: list[_Opened]) -> Branch | None:
        opened = stack[-1]
        if opened.name and self.take(";"):
            self.read_static(opened)
            if not (self.group == "mark" and self.token == ")"):
                raise self.wrong()
        if not self.take(_CLOSER[opened.kind]):
            return None
        stack.pop()
        return opened.close()

    def read_static(self, opened: _Opened) -> None:
        while True:
            name = self.identifier()
            self.expect("=")
            if name in opened.known:
                raise self.wrong()
            opened.known.add(name)
            opened.static.append((name, self.literal()))
            if not self.take(","):
                return

    def key(self, opened: _Opened) -> None:
        """Read the key before a child."""
        if opened.kind not in KEYED:
            return
        if opened.kind == "dict":
            bare = self.group == "name" and _is_bare(self.token)
            key = self.identifier() if bare else self.literal()
            self.expect(":")
        else:
            key = self.identifier()
            self.expect("=")
        try:
            repeated = key in opened.known
            opened.known.add(key)
        except TypeError:
            raise self.wrong() from None
        if repeated:
            raise self.wrong()
        opened.keys.append(key)

    def identifier(self) -> str:
        if self.group != "name" or not self.token.isidentifier():
            raise self.wrong()
        name = self.token
        self.advance()
        return name

    def literal(self) -> Any:
        token = self.token
        if len(token) > MAX_LITERAL or not (self.group == "literal" or token in ("None", "True", "False")):
            raise self.wrong()
        try:
            value = ast.literal_eval(token.strip("`") if token.startswith("`") else token)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise self.wrong() from None
        self.advance()
        return value
