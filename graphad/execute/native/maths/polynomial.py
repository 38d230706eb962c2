"""Polynomials."""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.lanes import Lanes


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """c[0] + c[1] x + ... + c[n] x^n, by Horner's rule with fused steps."""
    y = x.constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = y.fma(x, c)
    return y
