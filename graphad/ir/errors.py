"""Errors: what happened, where in the user's code, what to do.

Every error that graphad raises on purpose is a `GraphadError`. `docs/errors.md` lists each class with cause and cure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from graphad.ir.location import Location


class GraphadError(Exception):
    """Base of all graphad errors; `location` is the user's line, or None where there is none."""

    def __init__(self, message: str, *, location: Location | None = None) -> None:
        self.message = message
        self.location = location
        super().__init__(message)

    def __str__(self) -> str:
        if self.location is None:
            return self.message
        return f"{self.message}\n  at {self.location.describe()}"


class OpTypeError(GraphadError, TypeError, ValueError):
    """The shapes or dtypes of an op's operands do not fit its type rule."""


class OutOfBoundsError(OpTypeError, IndexError):
    """An index known while tracing is outside its axis, or an array has too few axes for its indices."""


class TraceError(GraphadError, TypeError):
    """User code asked of a traced array what a graph cannot answer (its value, a write, an untraceable function)."""


class LeakError(TraceError):
    """A tensor of one trace was used in another that does not contain its inputs."""


class SymbolicSizeError(GraphadError, ValueError):
    """A symbolic size was needed as a number, or a binding breaks an assumption made while tracing."""


class ContainerError(GraphadError, ValueError):
    """The nesting of tuples, lists, dicts, ... does not fit what the graph was made for."""


class DerivativeError(GraphadError, ValueError):
    """A derivative was asked for that does not exist or is not defined."""


class VerifyError(GraphadError):
    """A graph breaks an invariant of the IR: the op's author or a pass is at fault."""


class ParseError(GraphadError, ValueError):
    """Text is not the printed form of a graph."""


class FileError(GraphadError, ValueError):
    """A file is damaged, truncated, too new, or not a graphad file."""


class PassError(GraphadError):
    """A pass or a rewrite rule broke its contract (type changed, no fixed point, values changed)."""


class ExecutionError(GraphadError, TypeError, ValueError):
    """The arguments of a call do not fit the graph."""


class MemoryBudgetError(GraphadError, MemoryError):
    """No plan was found within the budget; `smallest` is the least memory that one was found for, in bytes."""

    def __init__(self, message: str, smallest: int, *, location: Location | None = None) -> None:
        self.smallest = smallest
        super().__init__(message, location=location)


class MissingExtraError(GraphadError, ImportError):
    """An optional package is needed; the message says which `pip install` brings it."""


class RuleViolation(Exception):
    """Raised by `fail` in a type rule; becomes an `OpTypeError` with the op, its operands and the user's line."""


def fail(message: str) -> NoReturn:
    """Reject the operands of a type rule."""
    raise RuleViolation(message)
