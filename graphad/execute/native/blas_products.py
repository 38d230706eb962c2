"""Products by BLAS: kernels that call ?gemm for blocks of rows or columns.

What may enter: which strides BLAS can express, and the call. The sizes are run-time integers, so all products of one
kind, orientation, alpha and beta share one function. Each block is a call of its own: OpenBLAS adds in another order at
the edges of what it is given, so calls for whole shares would give other bits for another number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphad.execute.native.blas import Blas
from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import constant_text, element_type
from graphad.execute.native.product_spec import Product

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112

SIZES = (
    "blocks", "block", "m", "n", "k",
    "leading_a", "leading_b", "leading_c",
    "step_a", "step_b", "step_c",
    "batch_a", "batch_b", "batch_c",
    "step_0", "batch_0", "row_0", "column_0",
)  # fmt: skip
"""The run-time integers of a kernel; steps and batch strides are in elements, those with 0 belong to a separate C0."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A matrix as BLAS sees it.

    Attributes:
        transposed: its columns, not its rows, are contiguous.
        leading: the stride of the other dimension.
    """

    transposed: bool
    leading: int


def operand(rows: int, columns: int, row: int, column: int) -> Operand | None:
    """Return how BLAS can express a matrix of these strides; None if it cannot."""
    if (column == 1 or columns == 1) and (row >= max(columns, 1) or rows == 1):
        return Operand(False, max(row if rows > 1 else 0, columns, 1))
    if (row == 1 or rows == 1) and (column >= max(rows, 1) or columns == 1):
        return Operand(True, max(column if columns > 1 else 0, rows, 1))
    return None


def expressible(product: Product) -> bool:
    """Tell whether BLAS can express the operands of a product, and C with contiguous rows."""
    a, b, c = operands(product)
    return a is not None and b is not None and c is not None and not c.transposed


def operands(product: Product) -> tuple[Operand | None, Operand | None, Operand | None]:
    """Return A, B and C as BLAS sees them."""
    p = product
    return (
        operand(p.m, p.k, *p.strides_a[1:]),
        operand(p.k, p.n, *p.strides_b[1:]),
        operand(p.m, p.n, *p.strides_c[1:]),
    )


def blas_kernel(module: Module, product: Product, order: tuple[int, int], blas: Blas, block: int, rows: bool) -> Kernel:
    """Enter the kernel of products like this one, and return the use of it for this one.

    Args:
        module: where to.
        product: an `expressible` one.
        order: places of A and B among the pointers.
        blas: which BLAS.
        block: rows or columns of C in one unit of the parallel axis.
        rows: cut C by rows; by columns if not.
    """
    p = product
    a, b, c = operands(p)
    if a is None or b is None or c is None:
        raise ValueError(f"BLAS cannot express {product}")
    blocks = -(-(p.m if rows else p.n) // block)
    c0 = p.strides_c0 if len(p.buffers) == 4 else None
    axis = 1 if rows else 2
    values = dict.fromkeys(SIZES, 0) | {
        "blocks": blocks, "block": block, "m": p.m, "n": p.n, "k": p.k,
        "leading_a": a.leading, "leading_b": b.leading, "leading_c": c.leading,
        "step_a": p.strides_a[1] * block if rows else 0,
        "step_b": 0 if rows else p.strides_b[2] * block,
        "step_c": p.strides_c[axis] * block,
        "batch_a": p.strides_a[0], "batch_b": p.strides_b[0], "batch_c": p.strides_c[0],
    }  # fmt: skip
    if c0 is not None:
        values |= {"step_0": c0[axis] * block, "batch_0": c0[0], "row_0": c0[1], "column_0": c0[2]}
    letters = "".join("t" if x.transposed else "n" for x in (a, b)) + ("r" if rows else "c") + "".join(map(str, order))
    numbers = f"{p.alpha!r}_{p.beta!r}".replace("+", "")
    name = f"blas_product_{p.kind}_{blas.convention}_{letters}_{numbers}{'_from' if c0 else ''}"
    if not module.has(name):
        Writer(begin_kernel(module, name), p, order, blas, (a.transposed, b.transposed), rows).write()
    return Kernel(name, tuple(values.values()), extent=p.batch * blocks)


class Writer:
    """Writes one kernel."""

    def __init__(
        self,
        code: Code,
        product: Product,
        order: tuple[int, int],
        blas: Blas,
        transposed: tuple[bool, bool],
        rows: bool,
    ) -> None:
        self.code, self.product, self.blas, self.transposed, self.rows = code, product, blas, transposed, rows
        self.element = element_type(product.kind)
        self.sizes = {name: size(code, index) for index, name in enumerate(SIZES)}
        self.a, self.b = pointer(code, order[0]), pointer(code, order[1])
        self.separate = len(product.buffers) == 4
        self.c0 = pointer(code, 2) if self.separate else ""
        self.c = pointer(code, len(product.buffers) - 1)

    def write(self) -> None:
        """Write the loop over the thread's blocks, each of them a call."""
        code, sizes = self.code, self.sizes
        with code.loop("%begin", "%end") as unit:
            member = code.value(f"sdiv i64 {unit}, {sizes['blocks']}")
            block = code.value(f"srem i64 {unit}, {sizes['blocks']}")
            start = code.value(f"mul i64 {block}, {sizes['block']}")
            left = code.value(f"sub i64 {sizes['m' if self.rows else 'n']}, {start}")
            is_last = code.value(f"icmp slt i64 {left}, {sizes['block']}")
            self.call(member, block, code.value(f"select i1 {is_last}, i64 {left}, i64 {sizes['block']}"))
        code.line("ret void")

    def place(self, base: str, letter: str, member: str, block: str) -> str:
        """Return the address of a block of an operand."""
        by_member = self.code.value(f"mul i64 {member}, {self.sizes[f'batch_{letter}']}")
        by_block = self.code.value(f"mul i64 {block}, {self.sizes[f'step_{letter}']}")
        elements = self.code.value(f"add i64 {by_member}, {by_block}")
        return self.code.value(f"getelementptr {self.element}, ptr {base}, i64 {elements}")

    def call(self, member: str, block: str, count: str) -> None:
        """Write the call for the `count` rows or columns of a block."""
        m, n = (count, self.sizes["n"]) if self.rows else (self.sizes["m"], count)
        a, b, c = (
            self.place(base, letter, member, block) for base, letter in ((self.a, "a"), (self.b, "b"), (self.c, "c"))
        )
        if self.separate:
            self.copy(self.place(self.c0, "0", member, block), c, m, n)
        if self.blas.abi == "cblas":
            self.call_cblas(a, b, c, m, n)
        else:
            self.call_fortran(a, b, c, m, n)

    def copy(self, source: str, target: str, m: str, n: str) -> None:
        """Copy a block of C0 to C."""
        code, sizes = self.code, self.sizes
        with code.loop("0", m) as i:
            row_0 = code.value(f"mul i64 {i}, {sizes['row_0']}")
            row_c = code.value(f"mul i64 {i}, {sizes['leading_c']}")
            with code.loop("0", n) as j:
                column_0 = code.value(f"mul i64 {j}, {sizes['column_0']}")
                from_ = code.value(f"add i64 {row_0}, {column_0}")
                to = code.value(f"add i64 {row_c}, {j}")
                bytes_ = 4 if self.product.kind == "f32" else 8
                there = code.value(f"getelementptr {self.element}, ptr {source}, i64 {from_}")
                value = code.value(f"load {self.element}, ptr {there}, align {bytes_}")
                here = code.value(f"getelementptr {self.element}, ptr {target}, i64 {to}")
                code.line(f"store {self.element} {value}, ptr {here}, align {bytes_}")

    @property
    def function(self) -> str:
        """Return the name of BLAS's function without prefix."""
        return "sgemm" if self.product.kind == "f32" else "dgemm"

    def number(self, value: float) -> tuple[str, str]:
        """Return a number as an argument."""
        return self.element, constant_text(self.product.kind, value)

    def call_cblas(self, a: str, b: str, c: str, m: str, n: str) -> None:
        """Call ``cblas_?gemm`` with rows first."""
        integer = f"i{self.blas.integer_bits}"
        symbol = self.blas.symbol(self.function)
        arguments = [
            ("i32", str(ROW_MAJOR)),
            *(("i32", str(TRANSPOSED if t else PLAIN)) for t in self.transposed),
            *((integer, self.integer(x)) for x in (m, n, self.sizes["k"])),
            self.number(self.product.alpha),
            ("ptr", a),
            (integer, self.integer(self.sizes["leading_a"])),
            ("ptr", b),
            (integer, self.integer(self.sizes["leading_b"])),
            self.number(self.product.beta),
            ("ptr", c),
            (integer, self.integer(self.sizes["leading_c"])),
        ]
        self.code.module.declare(symbol, "void", [type_ for type_, _ in arguments])
        self.code.call("void", symbol, arguments)

    def call_fortran(self, a: str, b: str, c: str, m: str, n: str) -> None:
        """Call ``?gemm`` for the transposed product, ``C.T = B.T @ A.T``, whose columns come first."""
        symbol = self.blas.symbol(self.function)
        self.code.module.declare(symbol, "void", ["ptr"] * 13)
        letters = [self.kept("i8", str(ord("T" if t else "N")), 1) for t in (self.transposed[1], self.transposed[0])]
        m_, n_, k_, lda, ldb, ldc = (
            self.kept(f"i{self.blas.integer_bits}", self.integer(x), self.blas.integer_bits // 8)
            for x in (m, n, *(self.sizes[s] for s in ("k", "leading_a", "leading_b", "leading_c")))
        )
        alpha, beta = (self.kept(*self.number(x), 8) for x in (self.product.alpha, self.product.beta))
        given = [*letters, n_, m_, k_, alpha, b, ldb, a, lda, beta, c, ldc]
        self.code.call("void", symbol, [("ptr", x) for x in given])

    def kept(self, type_: str, value: str, align: int) -> str:
        """Return the address of a local variable that holds a value."""
        place = self.code.slot(type_, align=align)
        self.code.line(f"store {type_} {value}, ptr {place}, align {align}")
        return place

    def integer(self, value: str) -> str:
        """Return an i64 as BLAS's integer."""
        return value if self.blas.integer_bits == 64 else self.code.value(f"trunc i64 {value} to i32")
