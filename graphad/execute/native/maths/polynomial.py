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


def polynomial_in_two(x: Lanes, square: Lanes, coefficients: Sequence[float]) -> Lanes:
    """c[0] + c[1] x + ... + c[n] x^n from x and x^2, even and odd powers apart: half the latency."""
    return polynomial(square, coefficients[1::2]).fma(x, polynomial(square, coefficients[::2]))
