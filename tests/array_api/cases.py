"""Arguments for every function of the Python array API standard, as Hypothesis strategies by category.

A case draws the arguments of one call: NumPy arrays stand for arrays and `Dtype` for dtype objects, so that the same
call can be made of `array_api_strict` and of `graphad.numpy`. Which dtypes a function takes is asked of the strict
namespace, which refuses all others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_strict as strict
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
REAL = ("bool", *INTEGERS, *FLOATS)
DOMAINS = {"real": REAL, "complex": COMPLEX}

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
SOLID = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)


@dataclass(frozen=True)
class Dtype:
    """A dtype object of whichever namespace is called."""

    name: str


@dataclass(frozen=True)
class Call:
    """The arguments of one call."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


Draw = Callable[..., Any]
Strategy = Callable[[str, str], st.SearchStrategy[Call]]
"""From the name of a function and a domain of dtypes ("real", "complex") to its calls."""


# Elements and arrays


def elements(dtype: str, small: bool = False) -> st.SearchStrategy[Any]:
    """Return the elements of arrays of a dtype: anything, or `small` numbers that sums and products keep exact."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        limits = np.iinfo(dtype)
        low, high = (0 if kind == "u" else -5, 5) if small else (int(limits.min), int(limits.max))
        return st.one_of(st.integers(0, 5), st.integers(low, high))
    if kind == "c":
        part = elements(f"float{4 * np.dtype(dtype).itemsize}", small)
        return st.builds(complex, part, part)
    if small:
        return st.integers(-16, 16).map(lambda n: n / 4)
    width = 8 * np.dtype(dtype).itemsize
    awkward = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -2.0, np.inf, -np.inf, np.nan])
    return st.one_of(awkward, st.floats(-100, 100, width=width, allow_subnormal=False))  # type: ignore[call-overload]


@st.composite
def arrays(draw: Draw, dtypes: Any, shapes: Any = SHAPES, small: bool = False) -> Any:
    dtype = draw(st.sampled_from(dtypes)) if isinstance(dtypes, tuple) else dtypes
    shape = draw(shapes) if isinstance(shapes, st.SearchStrategy) else shapes
    return draw(hnp.arrays(np.dtype(dtype), shape, elements=elements(dtype, small)))


# What the strict namespace takes


def function_of(namespace: Any, name: str) -> Any:
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def _probe(name: str) -> tuple[int, ...]:
    """Return a shape that a function takes."""
    short = name.rpartition(".")[2]
    return {"cross": (3,), "matmul": (1, 1), "tensordot": (1, 1)}.get(short, (2,))


@functools.cache
def dtypes_of(name: str, domain: str) -> tuple[str, ...]:
    """Return the dtypes of a domain that a function of one array takes."""
    shape = _probe(name)
    return tuple(d for d in DOMAINS[domain] if _takes(name, (np.ones(shape, d),)))


@functools.cache
def pairs_of(name: str, domain: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of dtypes that a function of two arrays takes, one at least of the domain."""
    shape = _probe(name)
    every = REAL if domain == "real" else (*FLOATS, *COMPLEX)
    return tuple(
        (a, b)
        for a in every
        for b in every
        if (domain == "real" or a in COMPLEX or b in COMPLEX) and _takes(name, (np.ones(shape, a), np.ones(shape, b)))
    )


def _takes(name: str, arguments: tuple[Any, ...]) -> bool:
    try:
        with np.errstate(all="ignore"):
            function_of(strict, name)(*map(strict.asarray, arguments))
    except TypeError:
        return False
    return True


# Categories


def unary(name: str, domain: str) -> st.SearchStrategy[Call]:
    return arrays(dtypes_of(name, domain)).map(lambda x: Call((x,), {}))


def binary(name: str, domain: str) -> st.SearchStrategy[Call]:
    """Two arrays that broadcast, or an array and a Python number of its kind."""
    small = name in ("pow", "bitwise_left_shift", "bitwise_right_shift")

    def values(dtype: str, shape: Any) -> Any:
        if small and np.dtype(dtype).kind in "iu":
            return hnp.arrays(np.dtype(dtype), shape, elements=st.integers(0, 5))
        return arrays(dtype, shape)

    @st.composite
    def calls(draw: Draw) -> Call:
        first, second = draw(st.sampled_from(pairs_of(name, domain)))
        shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=3, max_side=3)).input_shapes
        a, b = draw(values(first, shapes[0])), draw(values(second, shapes[1]))
        if first == second and draw(st.booleans()):
            number = draw(values(second, ())).item()
            return Call((a, number) if draw(st.booleans()) else (number, a), {})
        return Call((a, b), {})

    return calls()


def clipped(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from((*INTEGERS, *FLOATS)))
        x = draw(arrays(dtype))
        bound = st.one_of(st.none(), arrays(dtype, ()), arrays(dtype, x.shape), elements(dtype, small=True))
        return Call((x, draw(bound), draw(bound)), {})

    return calls()


@st.composite
def axis_of(draw: Draw, ndim: int, several: bool = True, none: bool = True) -> Any:
    choices: list[Any] = [st.none()] if none else []
    if ndim:
        choices.append(st.integers(-ndim, ndim - 1))
        if several:
            choices.append(st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim).map(tuple))
    elif several:
        choices.append(st.just(()))
    return draw(st.one_of(choices))


def keywords(draw: Draw, **strategies: Any) -> dict[str, Any]:
    """Draw some of the keywords; the others keep their defaults."""
    return {name: draw(strategy) for name, strategy in strategies.items() if draw(st.booleans())}


def reduction(name: str, domain: str) -> st.SearchStrategy[Call]:
    takes_empty = name in ("sum", "prod", "all", "any", "count_nonzero")

    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from(dtypes_of(name, domain)))
        counting = name in ("all", "any", "count_nonzero", "max", "min")
        x = draw(arrays(dtype, SHAPES if takes_empty else SOLID, small=not counting))
        extra: dict[str, Any] = {"axis": axis_of(x.ndim), "keepdims": st.booleans()}
        if name in ("sum", "prod"):
            wider = {"f": FLOATS, "c": COMPLEX}.get(x.dtype.kind, ("int64",))
            extra["dtype"] = st.sampled_from(wider).map(Dtype)
        if name in ("std", "var"):
            extra["correction"] = st.sampled_from([0, 0.0, 1, 0.5])
        return Call((x,), keywords(draw, **extra))

    return calls()


def position(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        x = draw(arrays((*INTEGERS, *FLOATS), SOLID))
        return Call((x,), keywords(draw, axis=axis_of(x.ndim, several=False), keepdims=st.booleans()))

    return calls()


def cumulative(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtypes = dtypes_of(name, domain)
        x = draw(arrays(dtypes, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), small=True))
        axis = {"axis": draw(axis_of(x.ndim, several=False, none=False))} if x.ndim > 1 or draw(st.booleans()) else {}
        return Call((x,), {**axis, **keywords(draw, include_initial=st.booleans())})

    return calls()


def differences(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from(tuple(d for d in DOMAINS[domain] if d != "bool")))
        x = draw(arrays(dtype, SOLID, small=True))
        axis = draw(axis_of(x.ndim, several=False, none=False))
        end = arrays(dtype, tuple(1 if k == axis % x.ndim else n for k, n in enumerate(x.shape)), small=True)
        return Call((x,), {"axis": axis, **keywords(draw, n=st.integers(0, 3), prepend=end, append=end)})

    return calls()


def shaped(choose: Callable[[Draw, np.ndarray[Any, Any]], tuple[tuple[Any, ...], dict[str, Any]]]) -> Strategy:
    """Make a category of functions that move elements: `choose` draws the arguments behind the array."""

    def strategy(name: str, domain: str) -> st.SearchStrategy[Call]:
        @st.composite
        def calls(draw: Draw) -> Call:
            x = draw(arrays(DOMAINS[domain]))
            more, named = choose(draw, x)
            return Call((x, *more), named)

        return calls()

    return strategy


def _permutation(draw: Draw, x: Any) -> Any:
    return (tuple(draw(st.permutations(range(x.ndim)))),), {}


def _reshaped(draw: Draw, x: Any) -> Any:
    shape = [*draw(st.permutations(x.shape)), *draw(st.lists(st.just(1), max_size=1))]
    if x.size and shape and draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return (tuple(shape),), keywords(draw, copy=st.sampled_from([None, True]))


def _broadcast(draw: Draw, x: Any) -> Any:
    wider = tuple(draw(st.integers(0, 3)) if n == 1 else n for n in x.shape)
    return ((*draw(st.lists(st.integers(0, 3), max_size=1)), *wider),), {}


def _moved(draw: Draw, x: Any) -> Any:
    axes = draw(st.permutations(range(x.ndim)))
    places = draw(st.permutations(range(x.ndim)))
    count = draw(st.integers(0, x.ndim))
    if count == 1 and draw(st.booleans()):
        return (axes[0] - x.ndim, places[0]), {}
    return (tuple(axes[:count]), tuple(places[:count])), {}


def _rolled(draw: Draw, x: Any) -> Any:
    shift = st.integers(-4, 4)
    if x.ndim == 0 or draw(st.booleans()):
        return (draw(shift),), keywords(draw, axis=axis_of(x.ndim, several=False))
    axes = draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3))
    return (tuple(draw(shift) for _ in axes),), {"axis": tuple(axes)}


def _repeated(draw: Draw, x: Any) -> Any:
    axis = draw(axis_of(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    counts = draw(st.one_of(st.integers(0, 3), hnp.arrays(np.int64, (n,), elements=st.integers(0, 3))))
    return (counts,), {"axis": axis}


def _squeezed(draw: Draw, x: Any) -> Any:
    ones = [k for k, n in enumerate(x.shape) if n == 1]
    axes = draw(st.lists(st.sampled_from(ones), unique=True)) if ones else []
    return (axes[0] if len(axes) == 1 and draw(st.booleans()) else tuple(axes),), {}


MOVING: dict[str, Strategy] = {
    "broadcast_to": shaped(_broadcast),
    "expand_dims": shaped(lambda draw, x: ((), {"axis": draw(st.integers(-x.ndim - 1, x.ndim))})),
    "flip": shaped(lambda draw, x: ((), keywords(draw, axis=axis_of(x.ndim)))),
    "moveaxis": shaped(_moved),
    "permute_dims": shaped(_permutation),
    "repeat": shaped(_repeated),
    "reshape": shaped(_reshaped),
    "roll": shaped(_rolled),
    "squeeze": shaped(_squeezed),
    "tile": shaped(lambda draw, x: ((tuple(draw(st.lists(st.integers(0, 3), max_size=3))),), {})),
}


def joined(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtypes = [draw(st.sampled_from(pairs_of("equal", domain)))[0] for _ in range(1)]
        dtypes += [draw(st.sampled_from([b for a, b in pairs_of("equal", domain) if a == dtypes[0]]))]
        if name == "broadcast_arrays":
            broadcast = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)
            shapes = draw(broadcast).input_shapes
            return Call(tuple(draw(arrays(d, s)) for d, s in zip(dtypes, shapes, strict=True)), {})
        if name == "meshgrid":
            dtype = draw(st.sampled_from(DOMAINS[domain]))
            vectors = draw(st.lists(arrays(dtype, hnp.array_shapes(max_dims=1, max_side=3)), min_size=1, max_size=3))
            return Call(tuple(vectors), keywords(draw, indexing=st.sampled_from(["xy", "ij"])))
        shape = draw(SHAPES if name == "stack" else hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
        if name == "stack":
            axis = st.integers(-len(shape) - 1, len(shape))
        else:
            axis = st.integers(-len(shape), len(shape) - 1)
        return Call(([draw(arrays(d, shape)) for d in dtypes],), keywords(draw, axis=axis))

    return calls()


def unstacked(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        x = draw(arrays(DOMAINS[domain], SOLID))
        return Call((x,), keywords(draw, axis=axis_of(x.ndim, several=False, none=False)))

    return calls()


def created(name: str, domain: str) -> st.SearchStrategy[Call]:
    numbers = {
        "real": st.one_of(st.booleans(), st.integers(-9, 9), elements("float64")),
        "complex": elements("complex128"),
    }

    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = st.sampled_from(DOMAINS[domain]).map(Dtype)
        wanted = keywords(draw, dtype=dtype) if domain == "real" else {"dtype": draw(dtype)}
        shape = draw(st.one_of(SHAPES, st.integers(0, 3)))
        if name == "full":
            number = draw(numbers[domain])
            kind = np.result_type(type(number)).name
            return Call((shape, number), keywords(draw, dtype=st.just(Dtype(kind))))
        if name == "full_like":
            x = draw(arrays(DOMAINS[domain]))
            return Call((x, draw(elements(x.dtype.name, small=True))), {})
        if name.endswith("_like"):
            return Call((draw(arrays(DOMAINS[domain])),), wanted)
        if name == "eye":
            sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=2))
            return Call(tuple(sizes), {**wanted, **keywords(draw, k=st.integers(-4, 4))})
        if name == "arange":
            bounds = draw(st.lists(st.integers(-9, 9), min_size=1, max_size=2))
            step = draw(st.sampled_from([1, 2, -3, 0.5]))
            named = {} if len(bounds) == 1 else {"step": step}
            return Call(tuple(bounds), {**named, **keywords(draw, dtype=st.sampled_from(FLOATS).map(Dtype))})
        if name == "linspace":
            ends = st.one_of(st.integers(-9, 9), elements("float64", small=True))
            if domain == "complex":
                ends = elements("complex128", small=True)
            named = keywords(draw, endpoint=st.booleans(), dtype=st.sampled_from(FLOATS).map(Dtype))
            if domain == "complex":
                named.pop("dtype", None)
            return Call((draw(ends), draw(ends), draw(st.integers(1, 5))), named)
        if name == "asarray":
            x = draw(arrays(DOMAINS[domain]))
            return Call((x.tolist() if draw(st.booleans()) else x,), keywords(draw, copy=st.sampled_from([None, True])))
        return Call((shape,), wanted)

    return calls()


def triangle(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        shapes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=3)
        return Call((draw(arrays(DOMAINS[domain], shapes)),), keywords(draw, k=st.integers(-4, 4)))

    return calls()


def chosen(name: str, domain: str) -> st.SearchStrategy[Call]:
    """where: a mask and two arrays that broadcast."""

    @st.composite
    def calls(draw: Draw) -> Call:
        shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)).input_shapes
        first, second = draw(st.sampled_from(pairs_of("equal", domain)))
        mask = draw(arrays("bool", shapes[0]))
        return Call((mask, draw(arrays(first, shapes[1])), draw(arrays(second, shapes[2]))), {})

    return calls()


def taken(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        x = draw(arrays(DOMAINS[domain], SOLID))
        axis = draw(st.integers(-x.ndim, x.ndim - 1))
        n = x.shape[axis]
        inside = st.integers(0, n - 1)
        kinds = st.sampled_from([np.int64, np.int32])
        if name == "take":
            index = draw(hnp.arrays(draw(kinds), draw(st.integers(0, 4)), elements=inside))
            return Call((x, index), {"axis": axis} if x.ndim > 1 or draw(st.booleans()) else {})
        shape = tuple(draw(st.integers(0, 4)) if k == axis % x.ndim else size for k, size in enumerate(x.shape))
        return Call((x, draw(hnp.arrays(draw(kinds), shape, elements=inside))), {"axis": axis})

    return calls()


def ordered(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from((*INTEGERS, *FLOATS)))
        x = draw(arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), small=True))
        named = {"axis": axis_of(x.ndim, several=False, none=False), "descending": st.booleans()}
        return Call((x,), keywords(draw, **named, stable=st.just(True)))

    return calls()


def searched(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from((*INTEGERS, *FLOATS)))
        x = draw(arrays(dtype, draw(st.integers(1, 5)), small=True))
        wanted = draw(arrays(dtype, small=True))
        named = keywords(draw, side=st.sampled_from(["left", "right"]))
        if draw(st.booleans()):
            return Call((x, wanted), {**named, "sorter": np.argsort(x, kind="stable")})
        return Call((np.sort(x), wanted), named)

    return calls()


def any_elements(name: str, domain: str) -> st.SearchStrategy[Call]:
    """Functions of the elements' values alone: unique_*, nonzero."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
    return arrays(DOMAINS[domain], shapes, small=True).map(lambda x: Call((x,), {}))


def product(name: str, domain: str) -> st.SearchStrategy[Call]:
    short = name.removeprefix("linalg.")

    @st.composite
    def calls(draw: Draw) -> Call:
        first, second = draw(st.sampled_from(pairs_of(name, domain)))
        m, n, k = (draw(st.integers(0, 3)) for _ in range(3))
        stack = draw(st.sampled_from([((), ()), ((2,), (2,)), ((2,), ()), ((2, 1), (3,))]))
        named: dict[str, Any] = {}
        if short == "matmul":
            shapes = draw(st.sampled_from([((k,), (k,)), ((m, k), (k,)), ((k,), (k, n)), None]))
            a, b = shapes or ((*stack[0], m, k), (*stack[1], k, n))
        elif short == "vecdot":
            a, b = (*stack[0], k), (*stack[1], k)
            named = keywords(draw, axis=st.just(-1))
        elif short == "outer":
            a, b = (m,), (n,)
        elif short == "cross":
            a, b = (*stack[0], 3), (*stack[1], 3)
        else:
            axes = draw(st.sampled_from([0, 1, 2, ((0,), (1,)), ((1, 0), (0, 1))]))
            a, b = {0: ((m,), (n,)), 1: ((m, k), (k, n)), 2: ((m, k, n), (k, n))}.get(
                axes if isinstance(axes, int) else 3, ((m, k), (k, m))
            )
            named = {"axes": axes} if axes != 2 or draw(st.booleans()) else {}
        return Call((draw(arrays(first, a, small=True)), draw(arrays(second, b, small=True))), named)

    return calls()


def matrix(name: str, domain: str) -> st.SearchStrategy[Call]:
    """Functions of one matrix or a stack: of full rank and well conditioned, symmetric and positive where needed."""
    short = name.removeprefix("linalg.")
    square = short in ("cholesky", "det", "eigh", "eigvalsh", "inv", "matrix_power", "slogdet", "solve")
    positive = short in ("cholesky", "eigh", "eigvalsh")

    @st.composite
    def calls(draw: Draw) -> Call:
        dtype = draw(st.sampled_from(FLOATS if domain == "real" else COMPLEX))
        m = draw(st.integers(1, 3))
        n = m if square else draw(st.integers(1, 3))
        stack = draw(st.sampled_from([(), (2,), (2, 1)]))
        x = draw(arrays(dtype, (*stack, m, n), small=True)) / 8
        x = (x + 3 * np.eye(m, n)).astype(dtype)
        if positive:
            x = (x @ np.conj(np.swapaxes(x, -1, -2))).astype(dtype)
        more: tuple[Any, ...] = ()
        named: dict[str, Any] = {}
        if short == "cholesky":
            named = keywords(draw, upper=st.booleans())
        elif short == "qr":
            named = keywords(draw, mode=st.sampled_from(["reduced", "complete"]))
        elif short == "svd":
            named = keywords(draw, full_matrices=st.booleans())
        elif short == "matrix_norm":
            named = keywords(draw, keepdims=st.booleans(), ord=st.sampled_from(["fro", "nuc", 1, -1, 2, -2, np.inf]))
        elif short == "matrix_power":
            more = (draw(st.integers(-2, 4)),)
        elif short == "solve":
            columns = (*stack, m, draw(st.integers(1, 3)))
            more = (draw(arrays(dtype, columns, small=True)),)
            if draw(st.booleans()):
                more = (more[0][(0,) * len(stack)][:, 0],)
        elif short in ("matrix_rank", "pinv"):
            named = keywords(draw, rtol=st.sampled_from([1e-4, None]))
        elif short in ("diagonal", "trace"):
            named = keywords(draw, offset=st.integers(-1, 1))
        return Call((x, *more), named)

    return calls()


def vector_norm(name: str, domain: str) -> st.SearchStrategy[Call]:
    @st.composite
    def calls(draw: Draw) -> Call:
        x = draw(arrays(FLOATS if domain == "real" else COMPLEX, SOLID, small=True))
        order = st.sampled_from([0, 1, 2, 3, np.inf, -np.inf, -1, 0.5])
        return Call((x,), keywords(draw, axis=axis_of(x.ndim), keepdims=st.booleans(), ord=order))

    return calls()


def fourier(name: str, domain: str) -> st.SearchStrategy[Call]:
    short = name.removeprefix("fft.")

    @st.composite
    def calls(draw: Draw) -> Call:
        if short.endswith("freq"):
            return Call((draw(st.integers(1, 6)),), keywords(draw, d=st.sampled_from([1.0, 0.5])))
        dtypes = dtypes_of(name, domain)
        x = draw(arrays(dtypes, hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=4), small=True))
        axes = st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1, max_size=x.ndim).map(tuple)
        if short.endswith("shift"):
            return Call((x,), keywords(draw, axes=axes))
        norm = st.sampled_from(["backward", "ortho", "forward"])
        if short.endswith("n"):
            return Call((x,), keywords(draw, axes=axes, norm=norm))
        named = {"n": st.integers(2, 5), "axis": axis_of(x.ndim, several=False, none=False), "norm": norm}
        return Call((x,), keywords(draw, **named))

    return calls()


def dtype_question(name: str, domain: str) -> st.SearchStrategy[Call]:
    dtype = st.sampled_from(DOMAINS[domain]).map(Dtype)
    kinds = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]
    kind = st.one_of(dtype, st.sampled_from(kinds), st.lists(st.sampled_from(kinds), max_size=3).map(tuple))

    @st.composite
    def calls(draw: Draw) -> Call:
        if name == "isdtype":
            return Call((draw(dtype), draw(kind)), {})
        if name == "astype":
            x = draw(arrays(DOMAINS[domain], small=True))
            return Call((x, draw(dtype)), keywords(draw, copy=st.booleans()))
        if name == "can_cast":
            source = draw(st.one_of(dtype, arrays(DOMAINS[domain])))
            return Call((source, draw(dtype)), {})
        if name == "result_type":
            first, second = draw(st.sampled_from(pairs_of("equal", domain)))
            return Call((draw(arrays(first, (1,))), Dtype(second)), {})
        kinds_of_limits = INTEGERS if name == "iinfo" else (FLOATS if domain == "real" else COMPLEX)
        one = draw(st.sampled_from(kinds_of_limits))
        return Call((draw(st.one_of(st.just(Dtype(one)), arrays(one, (1,)))),), {})

    return calls()


# Every function

_GROUPS: tuple[tuple[Strategy, str], ...] = (
    (
        unary,
        "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf "
        "isnan log log10 log1p log2 logical_not negative positive real reciprocal round sign signbit sin sinh sqrt "
        "square tan tanh trunc",
    ),
    (
        binary,
        "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal "
        "floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum "
        "minimum multiply nextafter not_equal pow remainder subtract",
    ),
    (clipped, "clip"),
    (reduction, "all any count_nonzero max mean min prod std sum var"),
    (position, "argmax argmin"),
    (cumulative, "cumulative_prod cumulative_sum"),
    (differences, "diff"),
    (joined, "broadcast_arrays concat meshgrid stack"),
    (unstacked, "unstack"),
    (
        created,
        "arange asarray empty empty_like eye full full_like linspace ones ones_like zeros zeros_like",
    ),
    (triangle, "tril triu matrix_transpose linalg.matrix_transpose"),
    (chosen, "where"),
    (taken, "take take_along_axis"),
    (ordered, "argsort sort"),
    (searched, "searchsorted"),
    (any_elements, "nonzero unique_all unique_counts unique_inverse unique_values"),
    (
        product,
        "matmul tensordot vecdot linalg.cross linalg.matmul linalg.outer linalg.tensordot linalg.vecdot",
    ),
    (
        matrix,
        "linalg.cholesky linalg.det linalg.diagonal linalg.eigh linalg.eigvalsh linalg.inv linalg.matrix_norm "
        "linalg.matrix_power linalg.matrix_rank linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd "
        "linalg.svdvals linalg.trace",
    ),
    (vector_norm, "linalg.vector_norm"),
    (
        fourier,
        "fft.fft fft.fftfreq fft.fftn fft.fftshift fft.hfft fft.ifft fft.ifftn fft.ifftshift fft.ihfft fft.irfft "
        "fft.irfftn fft.rfft fft.rfftfreq fft.rfftn",
    ),
    (dtype_question, "astype can_cast finfo iinfo isdtype result_type"),
)

CASES: dict[str, Strategy] = {
    **{name: strategy for strategy, names in _GROUPS for name in names.split()},
    **MOVING,
}
CASES["matrix_transpose"] = CASES["linalg.matrix_transpose"] = lambda name, domain: arrays(
    DOMAINS[domain], hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=3)
).map(lambda x: Call((x,), {}))

_WITHOUT_COMPLEX = (
    "argmax argmin argsort sort searchsorted clip arange empty_like iinfo linalg.matrix_rank fft.fftfreq fft.rfftfreq"
)
NOT_COMPLEX = frozenset(_WITHOUT_COMPLEX.split())
"""Functions that have no complex case beside those that take no complex array."""


def has_domain(name: str, domain: str) -> bool:
    """Tell whether a function takes arrays of a domain."""
    strategy = CASES[name]
    if domain == "complex" and name in NOT_COMPLEX:
        return False
    if strategy in (unary, reduction, cumulative) or (strategy is fourier and not name.endswith("freq")):
        return bool(dtypes_of(name, domain))
    if strategy in (binary, product):
        return bool(pairs_of(name, domain))
    return True
