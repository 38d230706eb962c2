"""Debug mode: verify the graph after a pass, run it and the graph before it on random inputs, and compare."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphad.ir.errors import GraphadError, PassError
from graphad.ir.graph import Graph
from graphad.ir.types import TensorType, is_complex, is_inexact
from graphad.ir.verify import verify
from graphad.ir.walk import evaluate

Array = np.ndarray[Any, Any]

TOLERANCE: Mapping[str, float] = {
    "float64": 1e-8, "complex128": 1e-8, "float32": 1e-3, "complex64": 1e-3, "float16": 3e-2, "bfloat16": 0.2
}  # fmt: skip
"""Largest difference, relative to the largest element of the result, that a pass may make."""
PRIMES = (3, 5, 7, 2, 11, 13)
COMBINATIONS = 5000


def check_pass(name: str, before: Graph, after: Graph) -> None:
    """Raise PassError naming the pass where `after` is malformed or gives other values than `before`."""
    try:
        verify(after)
    except GraphadError as error:
        raise PassError(f"pass {name} made a malformed graph: {error.message}", location=error.location) from error
    if not before.static:
        sizes = some_sizes(before)
        before, after = before.bind(**sizes), after.bind(**{k: sizes[k] for k in sizes if k in after.size_names})
    rng = np.random.default_rng(0)
    inputs = [random_array(type_, rng) for type_ in before.input_types]
    for label, old, new in zip(before.output_names, evaluate(before, inputs), evaluate(after, inputs), strict=True):
        worst = difference(np.asarray(old), np.asarray(new))
        if worst > TOLERANCE.get(str(old.dtype), 0):
            raise PassError(
                f"pass {name} changed the values of output {label!r}: the largest relative difference is {worst:.3g}",
                location=after.outputs[after.output_names.index(label)].node.location,
            )


def some_sizes(graph: Graph) -> dict[str, int]:
    """Return numbers for the named sizes, small primes where the graph's assumptions allow."""
    names = sorted(graph.size_names)
    start = PRIMES[: len(names)]
    choices = itertools.chain(
        [tuple(itertools.islice(itertools.cycle(start), len(names)))],
        itertools.product((*PRIMES, 4, 6, 8, 9, 10, 12), repeat=len(names)),
    )
    for numbers in itertools.islice(choices, COMBINATIONS):
        binding = dict(zip(names, numbers, strict=True))
        if all(a.holds(binding) for a in graph.assumptions):
            return binding
    raise PassError(f"graph {graph.name!r}: no small sizes for {', '.join(names)} satisfy its assumptions")


def random_array(type_: TensorType, rng: np.random.Generator) -> Array:
    """Return an array of a static type: normal floats (both parts if complex), 0 and 1 (good as indices), booleans."""
    shape = tuple(int(n) for n in type_.shape)
    if is_complex(type_.dtype):
        return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(type_.dtype)
    if is_inexact(type_.dtype):
        return np.asarray(rng.standard_normal(shape)).astype(type_.dtype)
    return np.asarray(rng.integers(0, 2, shape)).astype(type_.dtype)


def difference(old: Array, new: Array) -> float:
    """Return the largest difference relative to the largest element; elements that were not finite do not count."""
    if not is_inexact(old.dtype):
        return float(np.any(old != new))
    finite = np.isfinite(old)
    if not finite.any():
        return 0.0
    scale = max(1.0, float(np.abs(old[finite]).max()))
    with np.errstate(all="ignore"):
        worst = float(np.abs(old[finite] - new[finite]).max()) / scale
    return worst if np.isfinite(worst) else float("inf")
