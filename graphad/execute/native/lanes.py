"""Lanes: a value of generated code, one number or a short vector of them, with the operators of numbers.

Formulas are written once and serve every element type and vector width: ``y = a * b + 1``. A value with one lane meets
a vector by being repeated; Python numbers are constants. Operators are IEEE's, without any licence to reorder.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias, Union

from graphad.execute.native.code import Code
from graphad.ir.frozen import frozen

Operand: TypeAlias = Union["Lanes", int, float, bool]

LLVM_TYPES = {"f64": "double", "f32": "float", "bool": "i1"}
"""LLVM's name of each kind; integers "i8" ... "i64" and "u8" ... "u64" are iN."""


def element_type(kind: str) -> str:
    """Return LLVM's type of one lane of a kind: "double" of "f64", "i32" of "u32", "i1" of "bool"."""
    return LLVM_TYPES.get(kind) or f"i{kind[1:]}"


def bits_of(kind: str) -> int:
    """Return the bits of one lane of a kind."""
    return 1 if kind == "bool" else int(kind[1:])


def constant_text(kind: str, number: float | int | bool) -> str:
    """Return the text of one constant; a float is rounded to f32 first where that is the kind."""
    if kind == "bool":
        return "true" if number else "false"
    if kind[0] == "f":
        number = float(number)
        if kind == "f32":
            number = struct.unpack("<f", struct.pack("<f", number))[0] if abs(number) < 3.5e38 else number
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    bits = bits_of(kind)
    wrapped = int(number) & ((1 << bits) - 1)
    return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)


@frozen(slots=True, eq=False)
class Lanes:
    """`count` lanes of one kind ("f64", "f32", "i32", "u8", "bool", ...); `text` is the LLVM value.

    With one lane it is an LLVM scalar. Comparisons give kind "bool".
    """

    code: Code
    kind: str
    count: int
    text: str

    @property
    def type(self) -> str:
        """Return the LLVM type."""
        element = element_type(self.kind)
        return element if self.count == 1 else f"<{self.count} x {element}>"

    # Making other values.

    def constant(self, number: float | int | bool, kind: str | None = None) -> Lanes:
        """Return a constant of as many lanes, of this kind or another."""
        return constant(self.code, kind or self.kind, number, self.count)

    def spread(self, count: int) -> Lanes:
        """Return one lane repeated to `count`; itself if it has that many."""
        if self.count == count:
            return self
        if self.count != 1:
            raise ValueError(f"{self.count} lanes do not repeat to {count}")
        element = element_type(self.kind)
        if not self.text.startswith("%"):
            return Lanes(self.code, self.kind, count, f"splat ({element} {self.text})")
        wide = f"<{count} x {element}>"
        first = self.code.value(f"insertelement {wide} poison, {element} {self.text}, i64 0")
        text = self.code.value(f"shufflevector {wide} {first}, {wide} poison, <{count} x i32> zeroinitializer")
        return Lanes(self.code, self.kind, count, text)

    def with_(self, operation: str, kind: str | None = None) -> Lanes:
        """Write an instruction (its whole text) whose result has this value's lanes."""
        return Lanes(self.code, kind or self.kind, self.count, self.code.value(operation))

    def _pair(self, other: Operand) -> tuple[Lanes, Lanes]:
        right = other if isinstance(other, Lanes) else self.constant(other)
        if right.kind != self.kind:
            raise TypeError(f"{self.kind} meets {right.kind}: convert one of them")
        count = max(self.count, right.count)
        return self.spread(count), right.spread(count)

    def _binary(self, floating: str, integer: str, other: Operand, kind: str | None = None) -> Lanes:
        a, b = self._pair(other)
        name = floating if a.kind[0] == "f" else integer
        return a.with_(f"{name} {a.type} {a.text}, {b.text}", kind)

    def _reversed(self, other: Operand) -> Lanes:
        return other if isinstance(other, Lanes) else self.constant(other)

    # Arithmetic. Integers wrap; `/` is for floats only (see divide_integers).

    def __add__(self, other: Operand) -> Lanes:
        return self._binary("fadd", "add", other)

    def __radd__(self, other: Operand) -> Lanes:
        return self._reversed(other) + self

    def __sub__(self, other: Operand) -> Lanes:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: Operand) -> Lanes:
        return self._reversed(other) - self

    def __mul__(self, other: Operand) -> Lanes:
        return self._binary("fmul", "mul", other)

    def __rmul__(self, other: Operand) -> Lanes:
        return self._reversed(other) * self

    def __truediv__(self, other: Operand) -> Lanes:
        if self.kind[0] != "f":
            raise TypeError("`/` is for floats")
        return self._binary("fdiv", "", other)

    def __rtruediv__(self, other: Operand) -> Lanes:
        return self._reversed(other) / self

    def __neg__(self) -> Lanes:
        if self.kind[0] == "f":
            return self.with_(f"fneg {self.type} {self.text}")
        return 0 - self

    # Bits (integers and bools).

    def __and__(self, other: Operand) -> Lanes:
        return self._binary("", "and", other)

    def __or__(self, other: Operand) -> Lanes:
        return self._binary("", "or", other)

    def __xor__(self, other: Operand) -> Lanes:
        return self._binary("", "xor", other)

    def __invert__(self) -> Lanes:
        return self ^ (True if self.kind == "bool" else -1)

    def __lshift__(self, other: Operand) -> Lanes:
        return self._binary("", "shl", other)

    def __rshift__(self, other: Operand) -> Lanes:
        """Shift right: with the sign for "iN", without for "uN"."""
        return self._binary("", "ashr" if self.kind[0] == "i" else "lshr", other)

    # Comparisons: false where an operand is nan, but `!=`, as NumPy has it.

    def _compare(self, floating: str, signed: str, unsigned: str, other: Operand) -> Lanes:
        a, b = self._pair(other)
        if a.kind[0] == "f":
            return a.with_(f"fcmp {floating} {a.type} {a.text}, {b.text}", "bool")
        name = signed if a.kind[0] == "i" else unsigned
        return a.with_(f"icmp {name} {a.type} {a.text}, {b.text}", "bool")

    def __lt__(self, other: Operand) -> Lanes:
        return self._compare("olt", "slt", "ult", other)

    def __le__(self, other: Operand) -> Lanes:
        return self._compare("ole", "sle", "ule", other)

    def __gt__(self, other: Operand) -> Lanes:
        return self._compare("ogt", "sgt", "ugt", other)

    def __ge__(self, other: Operand) -> Lanes:
        return self._compare("oge", "sge", "uge", other)

    def equals(self, other: Operand) -> Lanes:
        """self == other (a name, so that Lanes stay hashable by identity)."""
        return self._compare("oeq", "eq", "eq", other)

    def differs(self, other: Operand) -> Lanes:
        """self != other; true where one is nan."""
        return self._compare("une", "ne", "ne", other)

    def is_nan(self) -> Lanes:
        """Return where a float is nan."""
        return self.with_(f"fcmp uno {self.type} {self.text}, {self.text}", "bool")

    def select(self, then: Operand, otherwise: Operand) -> Lanes:
        """Return `then` where this "bool" holds and `otherwise` elsewhere; one of them must be Lanes."""
        model = then if isinstance(then, Lanes) else otherwise
        if not isinstance(model, Lanes):
            raise TypeError("one branch of select must be Lanes")
        a = then if isinstance(then, Lanes) else model.constant(then)
        b = otherwise if isinstance(otherwise, Lanes) else model.constant(otherwise)
        count = max(self.count, a.count, b.count)
        c, a, b = self.spread(count), a.spread(count), b.spread(count)
        return a.with_(f"select {c.type} {c.text}, {a.type} {a.text}, {b.type} {b.text}")

    # Intrinsics and conversions.

    def intrinsic(self, name: str, *others: Operand, kind: str | None = None) -> Lanes:
        """Call ``llvm.name.<type>`` on this value and others of its type."""
        lanes = [self, *(o if isinstance(o, Lanes) else self.constant(o) for o in others)]
        count = max(x.count for x in lanes)
        lanes = [x.spread(count) for x in lanes]
        element = self.kind if self.kind[0] == "f" else f"i{bits_of(self.kind)}"
        suffix = element if count == 1 else f"v{count}{element}"
        full = f"llvm.{name}.{suffix}"
        type_ = lanes[0].type
        self.code.module.declare(full, type_, [type_] * len(lanes))
        text = self.code.call(type_, full, [(x.type, x.text) for x in lanes])
        return Lanes(self.code, kind or self.kind, count, text)

    def fma(self, factor: Operand, term: Operand) -> Lanes:
        """self * factor + term, rounded once."""
        return self.intrinsic("fma", factor, term)

    def sqrt(self) -> Lanes:
        """Square root, correctly rounded."""
        return self.intrinsic("sqrt")

    def abs(self) -> Lanes:
        """Return the value without its sign bit (floats)."""
        return self.intrinsic("fabs")

    def copysign(self, sign: Operand) -> Lanes:
        """Return this magnitude with the sign bit of `sign` (floats)."""
        return self.intrinsic("copysign", sign)

    def rint(self) -> Lanes:
        """Return the nearest integer, ties to even, as a float."""
        return self.intrinsic("rint")

    def bitcast(self, kind: str) -> Lanes:
        """Return the same bits as another kind of the same width."""
        if element_type(kind) == element_type(self.kind):
            return Lanes(self.code, kind, self.count, self.text)
        target = Lanes(self.code, kind, self.count, "").type
        return Lanes(self.code, kind, self.count, self.code.value(f"bitcast {self.type} {self.text} to {target}"))

    def convert(self, kind: str) -> Lanes:
        """Return the value as another kind: C's conversion (out-of-range floats give LLVM's poison; saturate first)."""
        source = self.kind
        if source == kind:
            return self
        if kind == "bool":
            return self.differs(0)
        target = Lanes(self.code, kind, self.count, "").type
        if source[0] == "f" and kind[0] == "f":
            name = "fptrunc" if bits_of(kind) < bits_of(source) else "fpext"
        elif source[0] == "f":
            name = "fptosi" if kind[0] == "i" else "fptoui"
        elif kind[0] == "f":
            name = "sitofp" if source[0] == "i" else "uitofp"
        elif bits_of(kind) < bits_of(source):
            name = "trunc"
        elif bits_of(kind) > bits_of(source):
            name = "sext" if source[0] == "i" else "zext"
        else:
            return Lanes(self.code, kind, self.count, self.text)
        return Lanes(self.code, kind, self.count, self.code.value(f"{name} {self.type} {self.text} to {target}"))

    def lane(self, index: int) -> Lanes:
        """Return one lane."""
        if self.count == 1:
            return self
        text = self.code.value(f"extractelement {self.type} {self.text}, i64 {index}")
        return Lanes(self.code, self.kind, 1, text)

    def any(self) -> Lanes:
        """Return whether some lane of a "bool" holds."""
        return self._reduced("or")

    def all(self) -> Lanes:
        """Return whether every lane of a "bool" holds."""
        return self._reduced("and")

    def _reduced(self, name: str) -> Lanes:
        if self.count == 1:
            return self
        full = f"llvm.vector.reduce.{name}.v{self.count}i1"
        self.code.module.declare(full, "i1", [self.type])
        return Lanes(self.code, "bool", 1, self.code.call("i1", full, [(self.type, self.text)]))

    def halves(self) -> tuple[Lanes, Lanes]:
        """Return the first and the second half of the lanes."""
        half = self.count // 2
        return self.shuffle(range(half)), self.shuffle(range(half, self.count))

    def shuffle(self, indices: Sequence[int]) -> Lanes:
        """Return the lanes at `indices`, in that order."""
        indices = list(indices)
        if len(indices) == 1:
            return self.lane(indices[0])
        mask = ", ".join(f"i32 {i}" for i in indices)
        text = self.code.value(
            f"shufflevector {self.type} {self.text}, {self.type} poison, <{len(indices)} x i32> <{mask}>"
        )
        return Lanes(self.code, self.kind, len(indices), text)


def constant(code: Code, kind: str, number: float | int | bool, count: int = 1) -> Lanes:
    """Return a constant of `count` equal lanes."""
    text = constant_text(kind, number)
    return Lanes(code, kind, count, text if count == 1 else f"splat ({element_type(kind)} {text})")


def load(code: Code, kind: str, address: str, count: int = 1, align: int | None = None) -> Lanes:
    """Load `count` neighbouring elements; booleans are bytes in memory. `align` is in bytes: one element by default."""
    if kind == "bool":
        return load(code, "u8", address, count, align).differs(0)
    lanes = Lanes(code, kind, count, "")
    by = bits_of(kind) // 8 if align is None else align
    return Lanes(code, kind, count, code.value(f"load {lanes.type}, ptr {address}, align {by}"))


def store(value: Lanes, address: str, align: int | None = None) -> None:
    """Store the lanes as neighbouring elements; booleans as bytes 0 and 1."""
    if value.kind == "bool":
        target = Lanes(value.code, "u8", value.count, "").type
        value = value.with_(f"zext {value.type} {value.text} to {target}", "u8")
    by = bits_of(value.kind) // 8 if align is None else align
    value.code.line(f"store {value.type} {value.text}, ptr {address}, align {by}")
