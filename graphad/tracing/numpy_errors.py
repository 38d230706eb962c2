"""Errors that NumPy raises in our place: it hides some of a traced array's refusals behind errors of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphad.ir.errors import GraphadError, TraceError
from graphad.ir.location import Location, is_internal


@contextmanager
def explaining() -> Iterator[None]:
    """Turn NumPy's errors about traced arrays, raised inside, into graphad's own (with NumPy's as the cause)."""
    try:
        yield
    except (TypeError, ValueError) as error:
        better = explained(error)
        if better is None:
            raise
        raise better from error


def explained(error: Exception) -> GraphadError | None:
    """Return what a NumPy error about a traced array or a symbolic size means; None where it is about neither."""
    if isinstance(error, GraphadError):
        return None
    cause = error.__cause__
    if isinstance(error, ValueError) and isinstance(cause, TraceError):
        # `array[i] = t` asks for float(t), and NumPy replaces the refusal.
        return TraceError(
            "a traced array was written into an element of a NumPy array, which can only hold numbers. Build the "
            "result from traced arrays: np.stack, np.concatenate, np.where, x.at[i].set(v)",
            location=cause.location,
        )
    text = str(error)
    if type(error) is TypeError and ("Tensor(" in text or "'Size'" in text):
        return TraceError(
            f"a NumPy function was given a traced array or a symbolic size where it needs a number ({text}). Use the "
            "function of graphad.numpy, which takes symbolic sizes, or pass the number as a plain Python argument",
            location=_user_line(error),
        )
    return None


def _user_line(error: Exception) -> Location | None:
    """Return the innermost user line that the error passed through."""
    found = None
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not is_internal(file):
            found = Location(file, step.tb_lineno)
        step = step.tb_next
    return found
