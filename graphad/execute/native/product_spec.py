"""The description of a matrix product: sizes, strides, alpha, beta.

What may enter: what every kind of product kernel needs to know about the product it computes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Strides = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Product:
    """``C[b] = alpha * A[b] @ B[b] + beta * C0[b]``.

    Attributes:
        kind: "f32" or "f64".
        batch, m, n, k: A is batch x m x k, B batch x k x n, C batch x m x n.
        strides_a, strides_b, strides_c: (batch, row, column) in elements.
        alpha, beta: numbers.
        strides_c0: of C0, in a buffer of its own; None: C0 is what C holds. Without beta, C0 is not read.
    """

    kind: str
    batch: int
    m: int
    n: int
    k: int
    strides_a: Strides
    strides_b: Strides
    strides_c: Strides
    alpha: float = 1.0
    beta: float = 0.0
    strides_c0: Strides | None = None

    @property
    def addend(self) -> Strides | None:
        """Return the strides of C0; None if nothing is added."""
        if self.beta == 0.0:
            return None
        return self.strides_c if self.strides_c0 is None else self.strides_c0

    @property
    def buffers(self) -> tuple[str, ...]:
        """Return the buffers of the kernel, in order."""
        if self.beta != 0.0 and self.strides_c0 is not None:
            return ("a", "b", "c0", "c")
        return ("a", "b", "c")

    def name(self, what: str) -> str:
        """Return the name of a function that does this for any number of members, if there are several."""
        p = self
        members = "many" if p.batch > 1 else p.batch
        strides = "_".join(
            "x".join(map(str, s)).replace("-", "m")
            for s in (p.strides_a, p.strides_b, p.strides_c, *([p.strides_c0] if p.strides_c0 else []))
        )
        return f"{what}_{p.kind}_{members}x{p.m}x{p.n}x{p.k}_{strides}_{p.numbers}"

    @property
    def numbers(self) -> str:
        """Return alpha and beta as part of a name."""
        return f"{self.alpha!r}_{self.beta!r}".replace("+", "")

    def strides(self) -> dict[str, Strides]:
        """Return the strides of A, B, C and of C0, if it is added, by "a", "b", "c" and "old"."""
        found = {"a": self.strides_a, "b": self.strides_b, "c": self.strides_c}
        return found if self.addend is None else {**found, "old": self.addend}

    @property
    def stride_classes(self) -> str:
        """Return which strides of rows and of columns are 1, as part of a name: code may count on it."""
        return "_".join("".join("1" if x == 1 else "n" for x in strides[1:]) for strides in self.strides().values())

    def simplified(self) -> Product:
        """Return the product with strides of 1 along the axes of one element, where any stride will do."""

        def simple(strides: Strides, rows: int, columns: int) -> Strides:
            return strides[0], strides[1] if rows != 1 else 1, strides[2] if columns != 1 else 1

        return replace(
            self,
            strides_a=simple(self.strides_a, self.m, self.k),
            strides_b=simple(self.strides_b, self.k, self.n),
            strides_c=simple(self.strides_c, self.m, self.n),
            strides_c0=None if self.strides_c0 is None else simple(self.strides_c0, self.m, self.n),
        )

    def transposed(self) -> Product:
        """Return ``C.T = alpha * B.T @ A.T + beta * C0.T``."""
        return replace(
            self,
            m=self.n,
            n=self.m,
            strides_a=flipped(self.strides_b),
            strides_b=flipped(self.strides_a),
            strides_c=flipped(self.strides_c),
            strides_c0=None if self.strides_c0 is None else flipped(self.strides_c0),
        )


def flipped(strides: Strides) -> Strides:
    """Return the strides of the transposed matrix."""
    return strides[0], strides[2], strides[1]
