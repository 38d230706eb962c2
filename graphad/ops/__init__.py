"""Every primitive op, one class each, by family; lower-case functions apply them to tensors.

The functions here take tensors of the right types; NumPy's promotion and broadcasting stand in `graphad.tracing`. Each
name loads its family on first use. Linear algebra and special functions are not named here: see `OTHERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphad.loading import homes_of, load_module, on_first_use
from graphad.ops.cast import cast  # at once: the module has the name of the function

if TYPE_CHECKING:
    from graphad.ops.arithmetic import (
        absolute,
        add,
        div,
        mul,
        neg,
        power,
        sqrt,
        sub,
    )
    from graphad.ops.comparison import (
        bitwise_and,
        bitwise_count,
        bitwise_or,
        bitwise_xor,
        equal,
        greater,
        greater_equal,
        invert,
        isfinite,
        isinf,
        isnan,
        left_shift,
        less,
        less_equal,
        logical_and,
        logical_not,
        logical_or,
        logical_xor,
        not_equal,
        right_shift,
        signbit,
    )
    from graphad.ops.complex_parts import complex_of, conj, imag_part, real_part
    from graphad.ops.control import stop_gradient
    from graphad.ops.convolution import conv
    from graphad.ops.creation import full, iota, ones, zeros
    from graphad.ops.cumulative import cumsum, exclusive_prod
    from graphad.ops.error_functions import erf, erfc
    from graphad.ops.fourier import fft, half_spectrum, irfft, rfft
    from graphad.ops.fused import Fused
    from graphad.ops.hyperbolic import (
        arccosh,
        arcsinh,
        arctanh,
        cosh,
        sinh,
        tanh,
    )
    from graphad.ops.indexing import gather, scatter_add, scatter_set
    from graphad.ops.joining import concatenate, stack
    from graphad.ops.product import matmul, matrix_transpose
    from graphad.ops.recurrence import cummax, cummin, cumprod, recurrence
    from graphad.ops.reduction import (
        argmax,
        argmin,
        reduce_all,
        reduce_any,
        reduce_max,
        reduce_min,
        reduce_prod,
        reduce_sum,
    )
    from graphad.ops.rounding import (
        cbrt,
        ceil,
        copysign,
        floor,
        floor_divide,
        fmod,
        gcd,
        heaviside,
        hypot,
        lcm,
        nextafter,
        remainder,
        rint,
        sign,
        spacing,
        trunc,
    )
    from graphad.ops.selection import fmax, fmin, maximum, minimum, where
    from graphad.ops.shape import broadcast_shapes, broadcast_to, flip, reshape, transpose
    from graphad.ops.slicing import pad, slice_, update_slice
    from graphad.ops.sorting import argpartition, argsort, searchsorted, sort, take_along
    from graphad.ops.transcendental import (
        exp,
        exp2,
        expit,
        expm1,
        log,
        log1p,
        log2,
        log10,
        logaddexp,
        logaddexp2,
    )
    from graphad.ops.trigonometric import (
        arccos,
        arcsin,
        arctan,
        arctan2,
        cos,
        deg2rad,
        rad2deg,
        sin,
        tan,
    )

# fmt: off
_NAMES = {
    "arithmetic": "absolute add div mul neg power sqrt sub",
    "comparison":
        "bitwise_and bitwise_count bitwise_or bitwise_xor equal greater greater_equal invert isfinite isinf isnan "
        "left_shift less less_equal logical_and logical_not logical_or logical_xor not_equal right_shift signbit",
    "complex_parts": "complex_of conj imag_part real_part",
    "control": "stop_gradient",
    "convolution": "conv",
    "creation": "full iota ones zeros",
    "cumulative": "cumsum exclusive_prod",
    "error_functions": "erf erfc",
    "fourier": "fft half_spectrum irfft rfft",
    "fused": "Fused",
    "hyperbolic": "arccosh arcsinh arctanh cosh sinh tanh",
    "indexing": "gather scatter_add scatter_set",
    "joining": "concatenate stack",
    "product": "matmul matrix_transpose",
    "recurrence": "cummax cummin cumprod recurrence",
    "reduction": "argmax argmin reduce_all reduce_any reduce_max reduce_min reduce_prod reduce_sum",
    "rounding":
        "cbrt ceil copysign floor floor_divide fmod gcd heaviside hypot lcm nextafter remainder rint sign spacing "
        "trunc",
    "selection": "fmax fmin maximum minimum where",
    "shape": "broadcast_shapes broadcast_to flip reshape transpose",
    "slicing": "pad slice_ update_slice",
    "sorting": "argpartition argsort searchsorted sort take_along",
    "transcendental": "exp exp2 expit expm1 log log10 log1p log2 logaddexp logaddexp2",
    "trigonometric": "arccos arcsin arctan arctan2 cos deg2rad rad2deg sin tan",
}
# fmt: on
"""The names by family."""

OTHERS = (
    "eigen", "factorization", "gamma_sample", "incomplete", "matrix_functions", "normal", "philox", "solving",
    "special", "spectral", "windows",
)  # fmt: skip
"""The families whose functions other rooms bring to people."""

__all__ = [
    "Fused",
    "absolute",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "bitwise_and",
    "bitwise_count",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_shapes",
    "broadcast_to",
    "cast",
    "cbrt",
    "ceil",
    "complex_of",
    "concatenate",
    "conj",
    "conv",
    "copysign",
    "cos",
    "cosh",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "deg2rad",
    "div",
    "equal",
    "erf",
    "erfc",
    "exclusive_prod",
    "exp",
    "exp2",
    "expit",
    "expm1",
    "fft",
    "flip",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "full",
    "gather",
    "gcd",
    "greater",
    "greater_equal",
    "half_spectrum",
    "heaviside",
    "hypot",
    "imag_part",
    "invert",
    "iota",
    "irfft",
    "isfinite",
    "isinf",
    "isnan",
    "lcm",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "nextafter",
    "not_equal",
    "ones",
    "pad",
    "power",
    "rad2deg",
    "real_part",
    "recurrence",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "remainder",
    "reshape",
    "rfft",
    "right_shift",
    "rint",
    "scatter_add",
    "scatter_set",
    "searchsorted",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "slice_",
    "sort",
    "spacing",
    "sqrt",
    "stack",
    "stop_gradient",
    "sub",
    "take_along",
    "tan",
    "tanh",
    "transpose",
    "trunc",
    "update_slice",
    "where",
    "zeros",
]

HOMES = homes_of({f"{__name__}.{family}": names.split() for family, names in _NAMES.items()})
"""The module of each function."""

__getattr__ = on_first_use(globals(), HOMES)


def load_all() -> None:
    """Load every family, for whoever asks what ops there are."""
    for family in (*_NAMES, *OTHERS):
        load_module(f"{__name__}.{family}")
