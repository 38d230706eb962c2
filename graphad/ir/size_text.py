"""The text of a size: writing a fraction of polynomials and reading it back.

Only the grammar is here; `graphad.ir.dims` brings what is read into canonical form. Text comes from files, so
its length, depth and numbers are bounded.
"""

from __future__ import annotations

import re

from graphad.ir.polynomials import ONE, Polynomial, add, constant, leading_first, multiply

MAX_TEXT = 16_384
MAX_DEPTH = 32
MAX_DIGITS = 40


def fraction_text(numerator: Polynomial, denominator: Polynomial) -> str:
    """Write ``2*batch+1``, ``batch/2`` or ``(batch+1)/(2*seq)``: no spaces, leading terms first."""
    text = polynomial_text(numerator)
    if denominator == ONE:
        return text
    if len(numerator) > 1:
        text = f"({text})"
    divisor = polynomial_text(denominator)
    return f"{text}/{f'({divisor})' if re.search('[-+*]', divisor) else divisor}"


def read_fraction(text: str) -> tuple[Polynomial, Polynomial]:
    """Read what `fraction_text` writes as numerator and denominator (not zero); ValueError on any other text.

    fraction = sum | [-] product / factor;  sum = [-] product {(+|-) product};
    product = factor {* factor};  factor = integer | name | (sum).
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text of a size is longer than {MAX_TEXT} characters")
    return _Reader(text).fraction()


def polynomial_text(p: Polynomial) -> str:
    """Write a sum of products; nothing for zero."""
    text = ""
    for monomial in sorted(p, key=leading_first):
        value = p[monomial]
        factors = [*([str(abs(value))] if abs(value) != 1 or not monomial else []), *monomial]
        text += ("-" if value < 0 else "+" if text else "") + "*".join(factors)
    return text


class _Reader:
    """Recursive descent over the tokens of one size."""

    _token = r"[0-9]+|\w+|[-+*/()]"

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = re.findall(self._token, text)
        if "".join(self.tokens) != text:
            raise self.wrong()
        self.tokens.append("")
        self.position = 0

    def wrong(self) -> ValueError:
        return ValueError(f"{self.text[:80]!r} is not a size")

    def take(self, *wanted: str) -> bool:
        if self.tokens[self.position] in wanted:
            self.position += 1
            return True
        return False

    def fraction(self) -> tuple[Polynomial, Polynomial]:
        total = self.product(-1 if self.take("-") else 1, 0)
        denominator = ONE
        if self.take("/"):
            denominator = self.factor(0)
        else:
            total = self.rest_of_sum(total, 0)
        if self.tokens[self.position] or not denominator:
            raise self.wrong()
        return total, denominator

    def sum(self, depth: int) -> Polynomial:
        return self.rest_of_sum(self.product(-1 if self.take("-") else 1, depth), depth)

    def rest_of_sum(self, total: Polynomial, depth: int) -> Polynomial:
        while self.tokens[self.position] in ("+", "-"):
            sign = 1 if self.tokens[self.position] == "+" else -1
            self.position += 1
            total = add(total, self.product(sign, depth))
        return total

    def product(self, sign: int, depth: int) -> Polynomial:
        result = multiply(constant(sign), self.factor(depth))
        while self.take("*"):
            result = multiply(result, self.factor(depth))
        return result

    def factor(self, depth: int) -> Polynomial:
        token = self.tokens[self.position]
        self.position += 1
        if token == "(" and depth < MAX_DEPTH:
            inner = self.sum(depth + 1)
            if not self.take(")"):
                raise self.wrong()
            return inner
        if token.isidentifier():
            return {(token,): 1}
        if token.isascii() and token.isdigit() and len(token) <= MAX_DIGITS:
            return constant(int(token))
        raise self.wrong()
