"""Random NumPy functions for property tests: smooth, of moderate values, written in plain NumPy.

`random_graph(draw)` is used inside a Hypothesis `composite` or with `data.draw`::

    @given(random_graphs())
    def test(example):
        graph = ga.trace(example.function, *example.arrays)

Every value stays within a few units and away from kinks, so that values may be compared tightly and gradients with
central differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Step = tuple[str, tuple[int, ...], Any]

UNARY: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "exp_tanh": lambda x: np.exp(np.tanh(x)),
    "log_square": lambda x: np.log(1.5 + x * x),
    "sqrt_square": lambda x: np.sqrt(1.0 + x**2),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "neg": lambda x: -x,
    "half": lambda x: x / 2,
    "shift": lambda x: 1.0 - x,
    "zero": lambda x: x + 0.0,
    "one": lambda x: x * 1.0,
    "log_exp": lambda x: np.log(np.exp(np.tanh(x)) + 1.0),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: np.tanh(a) * b,
    "div": lambda a, b: a / (1.5 + b * b),
    "where": lambda a, b: np.where(_PATTERN[: a.shape[-1]] if a.shape else True, a, b),
}


def bounded(z: Any) -> Any:
    """Return z drawn into the unit disc."""
    return z / (1 + abs(z))


COMPLEX_UNARY: dict[str, Callable[[Any], Any]] = {
    "conj": np.conj,
    "bounded": bounded,
    "absolute": abs,
    "real": np.real,
    "imag": np.imag,
    "rotate": lambda z: z * 1j,
    "square_of_abs": lambda z: abs(bounded(z)) * abs(bounded(z)),
    "square_of_neg": lambda z: -bounded(z) * -bounded(z),
    "square_of_root": lambda z: np.sqrt(2 + bounded(z)) * np.sqrt(2 + bounded(z)),
    "log_exp_far": lambda z: np.log(np.exp(bounded(z) * 5j)),
    "log_one_plus": lambda z: np.log(3 + bounded(z)),
    "twice": lambda z: (z + z) / 4,
    "neg_z": lambda z: -z,
    "even": lambda z: np.cos(-bounded(z)),
    "shift_z": lambda z: 1.0 - z,
    "zero_z": lambda z: z + 0.0,
    "one_z": lambda z: z * 1.0,
    "by_constant": lambda z: z / (3 - 4j),
    "power_z": lambda z: bounded(z) ** 3,
}
COMPLEX_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add_z": lambda a, b: (a + b) / 2,
    "sub_z": lambda a, b: (a - b) / 2,
    "mul_z": lambda a, b: bounded(a) * b,
    "div_z": lambda a, b: a / (2 + bounded(b)),
    "where_z": lambda a, b: np.where(_PATTERN[: a.shape[-1]] if a.shape else True, a, b),
}
_PATTERN = np.array([True, False, False, True, True, False])


@dataclass(frozen=True)
class Example:
    """A function of arrays, arrays to call it on, and the steps it takes (shown when a test fails)."""

    function: Callable[..., Any]
    arrays: tuple[Array, ...]
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        shapes = ", ".join(f"x{k}: {a.dtype}{list(a.shape)}" for k, a in enumerate(self.arrays))
        lines = [
            f"  %{k + len(self.arrays)} = {name}{operands}{'' if extra is None else f' {extra}'}"
            for k, (name, operands, extra) in enumerate(self.steps)
        ]
        return "\n".join([f"Example({shapes})", *lines])


def apply_step(step: Step, values: Sequence[Any]) -> Any:
    """Return the value of one step, in plain NumPy."""
    name, operands, extra = step
    x = values[operands[0]]
    unary, binary = UNARY.get(name) or COMPLEX_UNARY.get(name), BINARY.get(name) or COMPLEX_BINARY.get(name)
    if unary is not None:
        return unary(x)
    if binary is not None:
        return binary(x, values[operands[1]])
    if name == "matmul_z":
        return bounded(x @ values[operands[1]])
    if name == "matmul":
        return np.tanh(x @ values[operands[1]])
    if name == "sum":
        return np.sum(x, axis=extra) / 2
    if name == "mean":
        return np.mean(x, axis=extra, keepdims=True)
    if name == "transpose":
        return np.transpose(x)
    if name == "reshape":
        return np.reshape(x, extra)
    if name == "slice":
        return x[1:]
    if name == "concatenate":
        return np.concatenate([x, values[operands[1]]], axis=0)
    if name == "cumsum":
        return np.cumsum(x, axis=extra) / 4
    raise ValueError(name)


def choices(shapes: Sequence[tuple[int, ...]], complex_: bool = False) -> list[Step]:
    """Return the steps that fit values of these shapes: those of complex numbers, or of real ones."""
    unary, binary, matmul = (COMPLEX_UNARY, COMPLEX_BINARY, "matmul_z") if complex_ else (UNARY, BINARY, "matmul")
    found: list[Step] = []
    for i, shape in enumerate(shapes):
        found += [(name, (i,), None) for name in unary]
        for axis in range(len(shape)):
            found += [("sum", (i,), axis), ("mean", (i,), axis), ("cumsum", (i,), axis)]
        if len(shape) == 2:
            found += [("transpose", (i,), None), ("reshape", (i,), (shape[0] * shape[1],))]
        if shape and shape[0] > 1:
            found.append(("slice", (i,), None))
        for k, other in enumerate(shapes):
            if _broadcast(shape, other):
                found += [(name, (i, k), None) for name in binary]
            if len(shape) == 2 and len(other) == 2 and shape[1] == other[0]:
                found.append((matmul, (i, k), None))
            if shape and len(shape) == len(other) and shape[1:] == other[1:] and shape[0] + other[0] <= 6:
                found.append(("concatenate", (i, k), None))
    return found


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return max(np.broadcast_shapes(a, b), default=0) <= 6
    except ValueError:
        return False


def random_graph(draw: Callable[..., Any], max_inputs: int = 3, max_steps: int = 12, dtype: str = "float64") -> Example:
    """Draw a function of one to `max_inputs` arrays with up to `max_steps` steps and one or two results."""
    sizes = st.integers(1, 4)
    shapes = draw(
        st.lists(st.one_of(st.just(()), st.tuples(sizes), st.tuples(sizes, sizes)), min_size=1, max_size=max_inputs)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    complex_ = np.dtype(dtype).kind == "c"
    arrays = tuple(
        np.asarray(rng.uniform(-1.5, 1.5, shape) + (1j * rng.uniform(-1.5, 1.5, shape) if complex_ else 0), dtype)
        for shape in shapes
    )
    steps: list[Step] = []
    values: list[Any] = list(arrays)
    for _ in range(draw(st.integers(1, max_steps))):
        options = choices([np.shape(v) for v in values], complex_)
        # Steps near the end of the list read recent values: deep graphs, and with a bound also wide ones.
        step = options[draw(st.integers(0, len(options) - 1))]
        steps.append(step)
        values.append(apply_step(step, values))
    results = draw(st.integers(1, 2))

    def function(*inputs: Any) -> Any:
        values = list(inputs)
        for step in steps:
            values.append(apply_step(step, values))
        return values[-1] if results == 1 else (values[-1], values[-2])

    return Example(function, arrays, tuple(steps))


@st.composite
def random_graphs(draw: Callable[..., Any], **limits: Any) -> Example:
    """Draw an `Example`; keywords as in `random_graph`."""
    return random_graph(draw, **limits)
