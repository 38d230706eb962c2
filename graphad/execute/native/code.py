"""Machine functions under construction, as LLVM IR text: modules, functions, blocks, loops.

What may enter: what every generated function needs, whatever it computes. Values are `Lanes`.
The text is written directly rather than through llvmlite's object model: it is what is printed, hashed and cached, and
vectors go in as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Text = str

_NAMES = re.compile(r"@([\w.$]+)")
"""What is named in LLVM IR: functions and tables."""


class Module:
    """An LLVM module: declarations, constant tables and functions, each entered once by name."""

    def __init__(self) -> None:
        self._declarations: dict[str, Text] = {}
        self._globals: dict[str, Text] = {}
        self._functions: dict[str, Code] = {}

    def declare(self, name: str, result: Text, parameters: Sequence[Text], attributes: Text = "") -> None:
        """Declare an outside function, or an intrinsic, once."""
        if name not in self._declarations and name not in self._functions:
            self._declarations[name] = f"declare {result} @{name}({', '.join(parameters)}) {attributes}".rstrip()

    def table(self, name: str, element: Text, values: Sequence[Text], align: int = 64) -> Text:
        """Enter a constant table of elements (texts of constants) and return its address as text."""
        if name not in self._globals:
            items = ", ".join(f"{element} {value}" for value in values)
            self._globals[name] = (
                f"@{name} = private unnamed_addr constant [{len(values)} x {element}] [{items}], align {align}"
            )
        return f"@{name}"

    def function(
        self, name: str, result: Text, parameters: Sequence[tuple[Text, str]], attributes: Text = "", linkage: Text = ""
    ) -> Code:
        """Begin a function; `parameters` are (type, name) pairs, seen inside as ``%name``."""
        if name in self._functions:
            raise ValueError(f"function {name} is there already")
        self._declarations.pop(name, None)
        made = self._functions[name] = Code(self, name, result, parameters, attributes, linkage)
        return made

    def has(self, name: str) -> bool:
        """Tell whether a function of this name has been begun."""
        return name in self._functions

    def text(self) -> Text:
        """Return the module as LLVM IR."""
        parts = [*self._globals.values(), *self._declarations.values()]
        parts += [function.text() for function in self._functions.values()]
        return "\n".join(parts) + "\n"

    def parts(self) -> list[Text]:
        """Return the module as several, one for each function that is seen from outside.

        A part brings along the internal functions and the tables that it uses, and declares the outside functions. It
        depends on nothing else in the module, so that equal functions of different modules make equal parts.
        """
        texts = {name: function.text() for name, function in self._functions.items()}
        uses = {name: set(_NAMES.findall(text)) - {name} for name, text in texts.items()}
        return [self._part(name, texts, uses) for name, code in self._functions.items() if not code.internal]

    def _part(self, name: str, texts: dict[str, Text], uses: dict[str, set[str]]) -> Text:
        inside, reached = {name}, [name]
        used: set[str] = set()
        while reached:
            new = uses[reached.pop()] - used
            used |= new
            found = {other for other in new if other in texts and self._functions[other].internal} - inside
            inside |= found
            reached += found
        lines = [text for table, text in self._globals.items() if table in used]
        lines += [text for other, text in self._declarations.items() if other in used]
        lines += [self._functions[other].declaration() for other in texts if other in used - inside]
        lines += [text for other, text in texts.items() if other in inside]
        return "\n".join(lines) + "\n"


class Code:
    """One function under construction: a list of lines, with the block that is being written at its end.

    Loop-carried values live in `slot`s (allocas of the entry block); LLVM turns them into registers.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        result: Text,
        parameters: Sequence[tuple[Text, str]],
        attributes: Text,
        linkage: Text,
    ) -> None:
        self.module = module
        self.name = name
        self.internal = linkage in ("internal", "private")
        """Whether only this module sees it."""
        self._declared = f"declare {result} @{name}({', '.join(kind for kind, _ in parameters)})"
        self._head = (
            f"define {linkage} {result} @{name}({', '.join(f'{t} %{n}' for t, n in parameters)}) {attributes}".replace(
                "  ", " "
            )
        )
        self._entry: list[Text] = []
        self._lines: list[Text] = []
        self._count = 0
        self.block = "entry"
        """Label of the block that is being written."""

    def text(self) -> Text:
        """Return the function as LLVM IR."""
        return "\n".join([f"{self._head} {{", "entry:", *self._entry, *self._lines, "}"])

    def declaration(self) -> Text:
        """Return what other modules say of the function."""
        return self._declared

    def fresh(self, stem: str = "v") -> Text:
        """Return a new local name."""
        self._count += 1
        return f"%{stem}{self._count}"

    def line(self, text: Text) -> None:
        """Write an instruction without a result."""
        self._lines.append("  " + text)

    def value(self, text: Text) -> Text:
        """Write an instruction and return the name of its result."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return name

    def slot(self, type_: Text, count: int = 1, align: int = 64) -> Text:
        """Return the address of `count` local variables, made in the entry block."""
        self._count += 1
        name = f"%s{self._count}"
        many = f", i64 {count}" if count != 1 else ""
        self._entry.append(f"  {name} = alloca {type_}{many}, align {align}")
        return name

    def new_label(self, stem: str = "b") -> str:
        """Return a new label, to be placed by `place`."""
        self._count += 1
        return f"{stem}{self._count}"

    def place(self, label: str) -> None:
        """Begin the block `label`; the block before it must have ended with a branch."""
        self._lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block with a jump."""
        self.line(f"br label %{label}")

    def branch(self, condition: Text, then: str, otherwise: str) -> None:
        """End the block with a conditional jump; `condition` is the text of an i1."""
        self.line(f"br i1 {condition}, label %{then}, label %{otherwise}")

    @contextmanager
    def when(self, condition: Text) -> Iterator[None]:
        """Write what runs only where the i1 `condition` holds."""
        then, after = self.new_label("then"), self.new_label("after")
        self.branch(condition, then, after)
        self.place(then)
        yield
        self.jump(after)
        self.place(after)

    @contextmanager
    def loop(self, begin: Text, end: Text, step: int | Text = 1) -> Iterator[Text]:
        """Write a loop over i64 ``i = begin, begin + step, ... < end`` (signed); gives the text of i."""
        before = self.block
        head, body, latch, after = (self.new_label(stem) for stem in ("head", "body", "latch", "done"))
        i, following = self.fresh("i"), self.fresh("n")
        self.jump(head)
        self.place(head)
        self.line(f"{i} = phi i64 [ {begin}, %{before} ], [ {following}, %{latch} ]")
        inside = self.value(f"icmp slt i64 {i}, {end}")
        self.branch(inside, body, after)
        self.place(body)
        yield i
        self.jump(latch)
        self.place(latch)
        self.line(f"{following} = add nsw i64 {i}, {step}")
        self.jump(head)
        self.place(after)

    def call(self, result: Text, name: str, arguments: Sequence[tuple[Text, Text]], attributes: Text = "") -> Text:
        """Call a declared or begun function on (type, text) pairs; returns the text of its result ("" for void)."""
        given = ", ".join(f"{t} {v}" for t, v in arguments)
        text = f"call {result} @{name}({given}) {attributes}".rstrip()
        if result == "void":
            self.line(text)
            return ""
        return self.value(text)
