"""Rules: named local rewrites under a pattern.

    x, y = variables("x y")

    @rule(x * 1)
    def mul_one(x):
        \"\"\"x * 1 -> x.\"\"\"
        return x

A rule's function gets what its pattern's variables stand for, by name: tensors, attributes, NumPy scalars; beside them
`root`, the tensor that is replaced, and `uses`, which counts the readers of a tensor, where it names these. It returns
the replacement, a tensor of the same type, or None for "does not apply". The replacement must not contain the pattern
again, or rewriting never ends (the driver says so). Line, scope and role of new nodes are set by the driver.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import graphad.ops as ops
from graphad.ir.emit import handle
from graphad.ir.frozen import frozen
from graphad.ir.node import Node, Value
from graphad.passes.patterns import Application, Environment, Pattern, names_in
from graphad.tracing.coerce import constant

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

RULES: dict[str, Rule] = {}
"""The rules by name: those that people added, and graphad's own whose chapters are loaded."""


@frozen(eq=False)
class Rule:
    """A named rewrite: a pattern and the function that gives the replacement.

    Attributes:
        name: the function's name, unique among rules.
        text: first line of the docstring, ``x * 1 -> x.``
        fast_math: may change IEEE results (beyond what its pass promises), so it runs under ``fast_math=True`` only.
        complex_too: holds for complex numbers; else it is not tried where the node or a captured value is complex.
        function: the function under `@rule`.
        patterns: the alternatives it is tried on.
    """

    name: str
    text: str
    fast_math: bool
    complex_too: bool
    function: Callable[..., Tensor | None]
    patterns: tuple[Application, ...]
    parameters: tuple[str, ...]

    def holds_for(self, node: Node, found: Environment) -> bool:
        """Tell whether the rule may be applied to these dtypes."""
        if self.complex_too:
            return True
        if node.types[0].dtype.kind == "c":
            return False
        return not any(type(item) is Value and item[0].types[item[1]].dtype.kind == "c" for item in found.values())

    def replacement(self, node: Node, found: Environment, uses: Callable[[Tensor], int]) -> Tensor | None:
        """Call the function on what a match found."""
        arguments = []
        for name in self.parameters:
            if name in found:
                item = found[name]
                arguments.append(handle(item) if type(item) is Value else item)
            else:
                arguments.append(handle(Value(node, 0)) if name == "root" else uses)
        return self.function(*arguments)

    def __call__(self, *arguments: Any) -> Tensor | None:
        """Call the rule's function."""
        return self.function(*arguments)

    def __repr__(self) -> str:
        return f"<rule {self.name}: {self.text}>"


def rule(
    *patterns: Pattern, fast_math: bool = False, complex_too: bool = False, into: str | None = None
) -> Callable[[Callable[..., Any]], Rule]:
    """Make the decorated function a rule for nodes that match one of `patterns`.

    Args:
        *patterns: what to look for; every one has the same variables.
        fast_math: the rule changes IEEE results; it runs under ``optimize(..., fast_math=True)`` only.
        complex_too: the rule holds for complex numbers too: it orders nothing, multiplies by no real constant
            (``(inf + 1j) * 1`` has a nan) and takes no square for a non-negative number.
        into: name of the rewriting pass ("algebra", "stabilize", "contract") to add the rule to. Without it the rule
            runs where it is named: ``optimize(graph, passes=(my_rule, *PIPELINE))``.

    Raises:
        ValueError: another rule has this name, or the function names what no pattern captures.
    """

    def decorate(function: Callable[..., Any]) -> Rule:
        name = function.__name__
        alternatives = tuple(p for p in patterns if isinstance(p, Application))
        if not alternatives or len(alternatives) < len(patterns):
            raise ValueError(f"rule {name!r}: the root of a pattern must be an op")
        parameters = _parameters(function)
        if not function.__module__.startswith("graphad."):  # of those, a test checks it
            _check(function, alternatives, parameters)
        text = (function.__doc__ or "").strip().partition("\n")[0].rstrip()
        made = Rule(name, text, fast_math, complex_too, function, alternatives, parameters)
        RULES[name] = made
        if into is not None:
            from graphad.passes.pipeline import extend

            extend(into, made)
        return made

    return decorate


def _check(function: Callable[..., Any], alternatives: Iterable[Application], parameters: Iterable[str]) -> None:
    """Raise ValueError where a rule has the name of another, or asks for what its pattern does not capture."""
    from graphad.passes.pipeline import every_rule

    name = function.__name__
    known = every_rule().get(name)
    if known is not None and known.function.__module__ != function.__module__:
        raise ValueError(f"rule name {name!r} is taken by {known.function.__module__}.{name}")
    for alternative in alternatives:
        unknown = set(parameters) - set(names_in(alternative)) - {"root", "uses"}
        if unknown:
            raise ValueError(f"rule {name!r} asks for {', '.join(sorted(unknown))}, which its pattern does not capture")


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return tuple(inspect.signature(function).parameters)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def filled(number: Any, like: Tensor) -> Tensor:
    """Return a tensor of the type of `like` whose elements are `number`."""
    return ops.broadcast_to(constant(number, like.dtype), like.shape)


def rules_in(namespace: dict[str, Any]) -> tuple[Rule, ...]:
    """Return the rules defined in a module, in the order they were written: ``rules_in(globals())``."""
    return tuple(item for item in namespace.values() if isinstance(item, Rule))
