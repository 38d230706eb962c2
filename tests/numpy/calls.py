"""One example call of every public function of NumPy: what docs/coverage.md and its test call.

A call is made of the function found under its name in `numpy` or `graphad.numpy`, and of arrays that a trace replaces
by traced ones. Points are in general position: derivatives exist there. Functions that arrays do not go into, or whose
results are no arrays, are listed with the reason in `WITHOUT_CALL`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_random = np.random.default_rng(7)
X = _random.uniform(0.2, 0.8, (3, 4))
Y = _random.uniform(0.2, 0.8, (3, 4))
ABOVE = X + 1.25
V, W = X[0], Y[1]
LONG = _random.permutation(np.linspace(0.1, 0.9, 8)) + 0.01 * _random.random(8)
STACK = _random.uniform(0.2, 0.8, (2, 3, 4))
CUBE = _random.uniform(0.2, 0.8, (4, 4, 2))
SQUARE = _random.uniform(-0.5, 0.5, (3, 3)) + np.diag([2.0, 3.0, 4.5])
SPD = SQUARE @ SQUARE.T
RISING = np.array([0.1, 0.3, 0.55, 0.9])
HOLES = np.where(X > 0.7, np.nan, X)
I = _random.integers(1, 7, (3, 4))  # noqa: E741
J = _random.integers(1, 7, (3, 4))
MASK = X > 0.5
Z = X + 1j * Y


@dataclass(frozen=True)
class Example:
    """``call(function, *arrays)`` is an example of a function."""

    call: Callable[..., Any]
    arrays: tuple[Array, ...]


def _plain(function: Any, *arrays: Any) -> Any:
    return function(*arrays)


def _examples(names: str, *arrays: Array) -> dict[str, Example]:
    return {name: Example(_plain, arrays) for name in names.split()}


def _along_rows(names: str, array: Array) -> dict[str, Example]:
    return {name: Example(lambda function, x: function(x, axis=1), (array,)) for name in names.split()}


def _with(*arrays: Array, **calls: Callable[..., Any]) -> dict[str, Example]:
    return {name.replace("__", "."): Example(call, arrays) for name, call in calls.items()}


CALLS: dict[str, Example] = {
    # Ufuncs
    **_examples(
        "abs absolute acos arccos arcsin arcsinh arctan arctanh asin asinh atan atanh cbrt ceil conj conjugate cos "
        "cosh deg2rad degrees exp exp2 expm1 fabs floor frexp isfinite isinf isnan log log10 log1p log2 logical_not "
        "modf negative positive rad2deg radians reciprocal rint sign signbit sin sinh spacing sqrt square tan tanh "
        "trunc",
        X,
    ),
    **_examples("acosh arccosh", ABOVE),
    **_examples(
        "add arctan2 atan2 copysign divide divmod equal float_power floor_divide fmax fmin fmod greater greater_equal "
        "heaviside hypot less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mod "
        "multiply nextafter not_equal pow power remainder subtract true_divide",
        X,
        Y,
    ),
    **_examples(
        "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd lcm left_shift right_shift", I, J
    ),
    **_examples("bitwise_count bitwise_invert bitwise_not invert", I),
    **_with(X, ldexp=lambda f, x: f(x, I)),
    # Products
    **_examples("dot matmul vecdot linalg.vecdot inner outer kron linalg.outer vdot", V, W),
    **_with(SQUARE, SPD, linalg__matmul=_plain, linalg__multi_dot=lambda f, a, b: f([a, b, a])),
    **_with(SQUARE, V[:3], matvec=_plain),
    **_with(V[:3], SQUARE, vecmat=_plain),
    **_with(X, STACK, tensordot=lambda f, a, b: f(a, b, axes=([0, 1], [1, 2]))),
    **_with(X, STACK, linalg__tensordot=lambda f, a, b: f(a, b, axes=([0, 1], [1, 2]))),
    **_with(X, Y, einsum=lambda f, a, b: f("ij,kj->ik", a, b), cross=lambda f, a, b: f(a[:, :3], b[:, :3])),
    **_with(X, Y, linalg__cross=lambda f, a, b: f(a[:, :3], b[:, :3])),
    **_with(X, Y, einsum_path=lambda f, a, b: f("ij,kj->ik", a, b)[1]),
    # Reductions and order
    **_along_rows(
        "all amax amin any argmax argmin average count_nonzero max mean median min nanargmax nanargmin prod ptp std "
        "sum var cumprod cumsum cumulative_prod cumulative_sum argsort sort",
        X,
    ),
    **_along_rows("nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar", HOLES),
    **_with(X, percentile=lambda f, x: f(x, 40, axis=1), quantile=lambda f, x: f(x, 0.3, axis=0)),
    **_with(HOLES, nanpercentile=lambda f, x: f(x, 40, axis=1), nanquantile=lambda f, x: f(x, 0.3, axis=0)),
    **_with(X, partition=lambda f, x: f(x, 2, axis=0), argpartition=lambda f, x: f(x, 2, axis=0)[2]),
    **_with(V, W, lexsort=lambda f, a, b: f((a, b))),
    **_with(RISING, V, searchsorted=_plain),
    **_with(V, RISING, digitize=_plain),
    **_with(I, bincount=lambda f, x: f(x.ravel(), minlength=9)),
    **_with(LONG, histogram=lambda f, x: f(x, 4, (0.0, 1.0))[0], histogram_bin_edges=lambda f, x: f(x, 4)),
    **_with(
        LONG,
        histogram2d=lambda f, x: f(x, x, 2, [[0, 1], [0, 1]])[0],
        histogramdd=lambda f, x: f((x, x), 2, [(0, 1), (0, 1)])[0],
    ),
    **_examples("cov corrcoef", X),
    **_examples("correlate convolve", LONG, V),
    **_examples("interp", V, RISING, W),
    **_examples("diff ediff1d gradient trapezoid unwrap", LONG),
    # Shaping
    **_examples(
        "copy flip fliplr flipud ravel squeeze transpose permute_dims matrix_transpose rot90 array asarray asanyarray "
        "ascontiguousarray asfortranarray atleast_1d atleast_2d atleast_3d "
        "linalg.matrix_transpose broadcast_arrays shape size ndim",
        X,
    ),
    **_with(
        X,
        astype=lambda f, x: f(x, np.complex128),
        broadcast_to=lambda f, x: f(x, (2, 3, 4)),
        expand_dims=lambda f, x: f(x, 1),
        moveaxis=lambda f, x: f(x, 0, 1),
        pad=lambda f, x: f(x, 1, mode="edge"),
        repeat=lambda f, x: f(x, 2, axis=1),
        reshape=lambda f, x: f(x, (2, 6)),
        resize=lambda f, x: f(x, (2, 3)),
        roll=lambda f, x: f(x, 1, axis=1),
        rollaxis=lambda f, x: f(x, 1),
        swapaxes=lambda f, x: f(x, 0, 1),
        tile=lambda f, x: f(x, (2, 1)),
        unstack=_plain,
        split=lambda f, x: f(x, 2, axis=1),
        array_split=lambda f, x: f(x, 2),
        hsplit=lambda f, x: f(x, 2),
        vsplit=lambda f, x: f(x, 3),
        delete=lambda f, x: f(x, 1, axis=0),
        insert=lambda f, x: f(x, 1, 0.5, axis=0),
    ),
    **_with(CUBE, dsplit=lambda f, x: f(x, 2)),
    **_with(
        X,
        Y,
        **dict.fromkeys(
            ["concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack"],
            lambda f, a, b: f([a, b]),
        ),
        block=lambda f, a, b: f([[a, b], [b, a]]),
        append=lambda f, a, b: f(a, b, axis=0),
        meshgrid=lambda f, a, b: f(a[0], b[1]),
    ),
    # Selecting and writing
    **_with(
        X,
        Y,
        where=lambda f, a, b: f(MASK, a, b),
        select=lambda f, a, b: f([MASK, a > 0.3], [a, b], 0.5),
        choose=lambda f, a, b: f(MASK.astype(int), [a, b]),
        piecewise=lambda f, a, b: f(a, [a > 0.5, a <= 0.5], [lambda v: v * v, 1.0]),
    ),
    **_with(
        X,
        clip=lambda f, x: f(x, 0.3, 0.6),
        take=lambda f, x: f(x, [2, 0, 2], axis=1),
        take_along_axis=lambda f, x: f(x, np.argsort(X, 1), 1),
        compress=lambda f, x: f([True, False, True], x, axis=0),
        extract=lambda f, x: f(MASK, x),
        apply_along_axis=lambda f, x: f(lambda row: row * row.sum(), 1, x),
        apply_over_axes=lambda f, x: f(np.sum, x, [0]),
        nan_to_num=_plain,
        round=lambda f, x: f(x, 1),
        around=lambda f, x: f(x, 1),
        fix=_plain,
        i0=_plain,
        sinc=_plain,
        real=_plain,
        imag=_plain,
        angle=_plain,
        iscomplex=_plain,
        isreal=_plain,
        isneginf=_plain,
        isposinf=_plain,
        iscomplexobj=_plain,
        isrealobj=_plain,
        sort_complex=lambda f, x: f(x[0]),
    ),
    **_examples("allclose array_equal array_equiv isclose isin result_type", X, Y),
    **_examples("common_type can_cast min_scalar_type", X),
    **_with(X, can_cast=lambda f, x: f(x, np.float64)),
    **_with(
        X,
        **dict.fromkeys(
            ["zeros_like", "ones_like"],
            lambda f, x: f(x) * 0,
        ),
        empty_like=lambda f, x: f(x)[:0],
        full_like=lambda f, x: f(x, 0.5),
    ),
    **_with(V, W, linspace=lambda f, a, b: f(a, b, 5), logspace=lambda f, a, b: f(a, b, 5)),
    **_with(V, W, geomspace=lambda f, a, b: f(a, b, 5)),
    # Diagonals and triangles
    **_examples("diag diagonal trace tril triu linalg.diagonal linalg.trace", SQUARE),
    **_examples("diagflat vander", V),
    **_with(SQUARE, diag_indices_from=_plain, tril_indices_from=_plain, triu_indices_from=_plain),
    # Polynomials
    **_examples("polyadd polysub polymul polyval", V, W),
    **_examples("polyder polyint", V),
    **_with(V, W[:3], polydiv=_plain),
    **_with(LONG, polyfit=lambda f, y: f(np.arange(8.0), y, 2)),
    **_with(V, poly=_plain, roots=_plain),
    # Integers
    **_with(I, ravel_multi_index=lambda f, i: f((i[0] % 3, i[1] % 4), (3, 4)), unravel_index=lambda f, i: f(i, (3, 4))),
    **_with(I, packbits=lambda f, i: f(i > 3), unpackbits=lambda f, i: f(i.astype(np.uint8))),
    **_with(I, V, ix_=lambda f, i, v: f(i[0], i[1])),
    # Linear algebra
    **_examples("linalg.cholesky linalg.eigh linalg.eigvalsh", SPD),
    **_examples(
        "linalg.cond linalg.det linalg.eig linalg.eigvals linalg.inv linalg.matrix_norm linalg.matrix_rank linalg.norm "
        "linalg.pinv linalg.qr linalg.slogdet linalg.svd linalg.svdvals linalg.vector_norm",
        SQUARE,
    ),
    **_with(SQUARE, linalg__matrix_power=lambda f, a: f(a, 3)),
    **_examples("linalg.solve", SQUARE, V[:3]),
    **_with(X.T.copy(), V, linalg__lstsq=lambda f, a, b: f(a, b, None)[0]),
    **_with(CUBE[:2, :2], linalg__tensorinv=lambda f, a: f(a.reshape(4, 2)[:2], 1)),
    **_with(SQUARE, V[:3], linalg__tensorsolve=_plain),
    # Fourier transforms
    **_examples("fft.fft fft.ifft fft.hfft fft.fftshift fft.ifftshift", Z),
    **_examples("fft.fft2 fft.fftn fft.ifft2 fft.ifftn fft.irfft fft.irfft2 fft.irfftn", Z),
    **_examples("fft.ihfft fft.rfft fft.rfft2 fft.rfftn", X),
}
"""Names as in `numpy` ("linalg.inv") -> an example."""

_NO_ARRAYS = "takes no arrays: NumPy's own works while tracing"
_MEMORY = "is about memory, which a traced array has none of"
_TEXT = "needs the elements as text or in a file"
_SHAPE = "the shape of its result depends on elements (known ones work in graphad.numpy where it has the name)"
_IN_PLACE = "writes in place; values of a graph do not change"
_PYTHON = "is about Python objects, not arrays"
_SETTINGS = "is about NumPy itself"
_DATES = "is about dates"
_OBSOLETE = "is about `numpy.matrix`, which NumPy discourages"

_REASONS: tuple[tuple[str, str], ...] = (
    (
        _NO_ARRAYS,
        "arange bartlett blackman broadcast_shapes diag_indices empty eye fromfunction full hamming hanning identity "
        "indices kaiser mask_indices ones tri tril_indices triu_indices zeros fft.fftfreq fft.rfftfreq",
    ),
    (_MEMORY, "require from_dlpack frombuffer isfortran may_share_memory nested_iters shares_memory"),
    (
        _TEXT,
        "array2string array_repr array_str fromfile fromregex fromstring genfromtxt load loadtxt save savetxt savez "
        "savez_compressed base_repr binary_repr format_float_positional format_float_scientific",
    ),
    ("its result, or its dtype, depends on elements", "asarray_chkfinite real_if_close"),
    (
        _SHAPE,
        "argwhere flatnonzero nonzero intersect1d setdiff1d setxor1d union1d trim_zeros unique_all unique_counts "
        "unique_inverse unique_values unique",
    ),
    (_IN_PLACE, "copyto fill_diagonal place put put_along_axis putmask"),
    (
        _PYTHON,
        "fromiter frompyfunc isdtype isscalar issubdtype iterable mintypecode promote_types typename",
    ),
    (
        _SETTINGS,
        "get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions setbufsize "
        "seterr seterrcall show_config show_runtime test linalg.test fft.test",
    ),
    (_DATES, "busday_count busday_offset datetime_as_string datetime_data is_busday isnat"),
    (_OBSOLETE, "asmatrix bmat"),
)
WITHOUT_CALL: dict[str, str] = {name: reason for reason, names in _REASONS for name in names.split()}
"""Names of functions that have no example -> why."""


def public_names() -> list[str]:
    """Return the names of NumPy's public functions: of `numpy`, `numpy.linalg` and `numpy.fft`."""
    found = []
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in dir(module):
            value = getattr(module, name) if not name.startswith("_") else None
            if callable(value) and not isinstance(value, (type, types.ModuleType)):
                found.append(prefix + name)
    return found


def function_of(namespace: Any, name: str) -> Any:
    """Return the function of a dotted name; None if the namespace has none."""
    for part in name.split("."):
        namespace = getattr(namespace, part, None)
    return namespace
