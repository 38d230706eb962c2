"""Matrix products: which kernel computes ``C = alpha * A @ B + beta * C0``.

What may enter: the choice. `blas_products` calls BLAS on a thread's block; `panels` writes loops around the register
tiles of `microkernel`. Whatever is chosen, the blocks have boundaries that do not depend on the number of threads, so
neither do the bits of the result.
"""

from __future__ import annotations

from graphad.execute.native import blas as blas_libraries
from graphad.execute.native import dots
from graphad.execute.native.blas import Blas
from graphad.execute.native.blas_products import blas_kernel, expressible
from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel
from graphad.execute.native.panels import panel_kernel
from graphad.execute.native.product_ends import Epilogue
from graphad.execute.native.product_spec import Product
from graphad.execute.native.target import Host, host

__all__ = ["Product", "finished_kernel", "product_kernel", "takes_epilogues"]

BLAS_FROM = 3_000_000_000
"""Multiplications of one member of a batch from which BLAS is as good as generated code, or better."""

BLAS_FROM_WITHOUT_FMA = 8**3
"""The same on processors without fused multiply-add, where generated code has to call a function for it."""

BLAS_BLOCK = 160
"""Rows or columns of a call of BLAS, at least: below it, packing the other operand for each call costs too much."""

MOST_CALLS = 16
"""Calls of BLAS that a product is cut into, at most."""

FEW_MULTIPLICATIONS = 256


def finished_kernel(module: Module, product: Product, epilogue: Epilogue) -> Kernel:
    """Enter the kernel for a product and its epilogue into a module, and return its use.

    The pointers are those of A, B, (C0,) then those of the epilogue. C is nowhere: the product's strides for it are
    those of a result of its kind, if there is one, else of any.
    """
    p, order = oriented(product)
    return panel_kernel(module, p, order, host().vector_bytes, epilogue.transposed() if order == (1, 0) else epilogue)


def takes_epilogues(m: int, n: int, k: int) -> bool:
    """Tell whether products of these sizes take epilogues: those of generated panels do."""
    return has_fma(host()) and min(m, n) > 4 and FEW_MULTIPLICATIONS < m * n * k < BLAS_FROM


def product_kernel(module: Module, product: Product) -> Kernel:
    """Enter the best kernel for a product into a module, and return its use.

    The pointers are those of A, B, (C0,) C. The sums run over ascending k with fused multiply-add; they differ from
    NumPy's by rounding only: at most ``2 * k * eps * (|A| @ |B|)``.
    """
    return generated_or_blas(module, product, blas_libraries.find())


def generated_or_blas(module: Module, product: Product, blas: Blas | None) -> Kernel:
    """Enter the best kernel, given a BLAS or none."""
    p, _ = oriented(product)
    enough = BLAS_FROM if has_fma(host()) else BLAS_FROM_WITHOUT_FMA
    if blas is not None and p.m * p.n * p.k >= enough and min(p.m, p.n) > 4 and expressible(p):
        return by_blas(module, product, blas)
    return generated(module, product)


def has_fma(machine: Host) -> bool:
    """Tell whether a processor has instructions for fused multiply-add."""
    return "+fma" in machine.features.split(",") or machine.triple.startswith(("aarch64", "arm64"))


def generated(module: Module, product: Product) -> Kernel:
    """Enter the best kernel that calls nothing."""
    p, order = oriented(product)
    flipped = (order[1], order[0])
    if dots.suits(p):
        return dots.dots_kernel(module, p, order, host().vector_bytes)
    if dots.suits(p.transposed()):
        return dots.dots_kernel(module, p.transposed(), flipped, host().vector_bytes)
    return panel_kernel(module, p, order, host().vector_bytes)


def by_blas(module: Module, product: Product, blas: Blas) -> Kernel:
    """Enter the kernel that calls BLAS, for a product that it can express: blocks of the longer side of C."""
    p, order = oriented(product)
    by_rows = p.m >= p.n
    length = max(p.m, p.n)
    calls = min(1 << max((length // BLAS_BLOCK).bit_length() - 1, 0), MOST_CALLS)
    return blas_kernel(module, p, order, blas, -(-length // calls), by_rows)


def oriented(product: Product) -> tuple[Product, tuple[int, int]]:
    """Return a product or its transpose, so that the rows of C are contiguous, and the places of its A and B."""
    p = product
    contiguous_rows = p.strides_c[2] == 1 or p.n == 1
    contiguous_columns = p.strides_c[1] == 1 or p.m == 1
    if contiguous_columns and (not contiguous_rows or p.n == 1):
        return p.transposed(), (1, 0)
    return p, (0, 1)
