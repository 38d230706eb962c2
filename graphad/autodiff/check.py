"""`check_grads`: derivatives against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphad.autodiff.opening import one_an_argument
from graphad.autodiff.products import jvp, vjp
from graphad.ir.containers import flatten, unflatten
from graphad.ir.errors import DerivativeError
from graphad.ir.graph import Graph
from graphad.ir.location import user_location
from graphad.ir.types import is_complex, is_float, is_inexact
from graphad.ir.walk import evaluate
from graphad.tracing.trace import bind_arguments, input_labels, is_leaf, trace

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
MODES = ("fwd", "rev")


class GradientCheckError(DerivativeError, AssertionError):
    """A derivative does not agree with finite differences."""


def check_grads(
    function: Graph | Function,
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = MODES,
    atol: float = 1e-5,
    rtol: float = 1e-5,
    step: float = 1e-5,
) -> None:
    """Compare derivatives of every order up to `order` with ``(f(x + h v) - f(x - h v)) / 2h`` in float64.

    Args:
        function: a function of arrays, or a Graph.
        args: its arguments; float32 leaves are widened, complex ones move in both parts. Keep them `step` away from
            kinks.
        order: how often to differentiate; each order in every combination of `modes`.
        modes: "fwd" checks JVPs, "rev" VJPs.
        atol, rtol: allowed difference, ``atol + rtol * |numeric|``.
        step: h.

    Raises:
        GradientCheckError (a DerivativeError and an AssertionError): says which derivative by which argument is off.
    """
    args = one_an_argument(args, "arguments", "check_grads")
    unknown = set(modes) - set(MODES)
    if unknown or not isinstance(order, int) or order < 1:
        raise ValueError(f"modes must be of {MODES} and order at least 1, got {sorted(unknown)}, {order}")
    arguments, names = (
        bind_arguments(function, tuple(args), {}) if not isinstance(function, Graph) else (tuple(args), ())
    )
    names = names or tuple(f"argument{i}" for i in range(len(arguments)))
    leaves, container = flatten(arguments, is_leaf)
    labels = input_labels(arguments, names)
    wide = [_widened(leaf) for leaf in leaves]

    def flat(*inputs: Any) -> list[Any]:
        results, _ = flatten(function(*unflatten(container, inputs)), is_leaf)
        return results

    name = function.name if isinstance(function, Graph) else getattr(function, "__name__", "function")
    _check(flat, wide, labels, order, tuple(modes), (atol, rtol, step), name)


def _widened(leaf: Any) -> Array:
    array = np.asarray(leaf)
    if is_complex(array.dtype):
        return array.astype(np.complex128)
    return array.astype(np.float64) if is_float(array.dtype) else array


def _random(rng: np.random.Generator, like: Array) -> Array | None:
    """Return normal numbers of an array's shape, complex where it is; None for integers."""
    if not is_inexact(like.dtype):
        return None
    drawn = np.asarray(rng.standard_normal(like.shape))
    return np.asarray(drawn + 1j * rng.standard_normal(like.shape)) if is_complex(like.dtype) else drawn


def _paired(cotangent: Array, tangent: Array) -> Any:
    """Return the real part of the sum of cotangent * tangent: what VJP and JVP agree in."""
    return np.real(np.sum(np.asarray(cotangent) * tangent))


def _check(
    function: Function,
    leaves: list[Array],
    labels: list[str],
    order: int,
    modes: tuple[str, ...],
    tolerance: tuple[float, float, float],
    name: str,
) -> None:
    """Check the first derivatives of a function of flat arrays, then those of its derivatives."""
    graph = trace(function, *leaves)
    rng = np.random.default_rng(0)
    varying = [i for i, leaf in enumerate(leaves) if is_inexact(leaf.dtype)]
    directions = [_random(rng, leaf) for leaf in leaves]
    values = [np.asarray(value) for value in evaluate(graph, leaves)]
    weights = [_random(rng, value) for value in values]
    numeric = {i: _difference(graph, leaves, i, directions[i], tolerance[2]) for i in varying}
    if "fwd" in modes:
        for i in varying:
            alone = [directions[k] if k == i else None for k in range(len(leaves))]
            _, pushed = jvp(function, leaves, alone)
            for k, (got, wanted) in enumerate(zip(pushed, numeric[i], strict=True)):
                if got is not None:
                    which = f"JVP of {name}, result {k}, by {labels[i]!r}"
                    _compare(np.asarray(got), wanted, tolerance, which)
    if "rev" in modes:
        _, pull = vjp(function, *leaves)
        pulled = pull(weights)
        for i in varying:
            got = _paired(pulled[i], np.asarray(directions[i]))
            terms = [_paired(w, d) for w, d in zip(weights, numeric[i], strict=True) if w is not None]
            _compare(np.asarray(got), np.asarray(sum(terms)), tolerance, f"VJP of {name} by {labels[i]!r}")
    if order > 1:
        derivatives: dict[str, Function] = {
            "fwd": lambda *xs: [t for t in jvp(function, xs, directions)[1] if t is not None],
            "rev": lambda *xs: [t for t in vjp(function, *xs)[1](weights) if t is not None],
        }
        for mode in modes:
            rule = {"fwd": "JVP", "rev": "VJP"}[mode]
            _check(derivatives[mode], leaves, labels, order - 1, modes, tolerance, f"the {rule} of {name}")


def _difference(
    graph: Graph, leaves: Sequence[Array], position: int, direction: Array | None, step: float
) -> list[Array]:
    """Return the central difference of each result along `direction` in one argument."""
    sides = []
    for sign in (1, -1):
        moved = list(leaves)
        moved[position] = leaves[position] + sign * step * np.asarray(direction)
        sides.append(evaluate(graph, moved))
    return [
        np.asarray((high - low) / (2 * step)) if is_inexact(np.asarray(high).dtype) else np.zeros(high.shape)
        for high, low in zip(*sides, strict=True)
    ]


def _compare(got: Array, wanted: Array, tolerance: tuple[float, float, float], which: str) -> None:
    atol, rtol, _ = tolerance
    if np.allclose(got, wanted, rtol=rtol, atol=atol, equal_nan=True):
        return
    error = float(np.max(np.abs(got - wanted))) if got.size else 0.0
    raise GradientCheckError(
        f"{which} is off: {_short(got)} where central differences give {_short(wanted)} (largest difference "
        f"{error:.3g}, allowed {atol:g} + {rtol:g} * |value|). The rule is wrong, or the point lies at a kink",
        location=user_location(),
    )


def _short(array: Array) -> str:
    return np.array2string(array, precision=6, threshold=6)
