"""The array namespace: NumPy's functions on tensors, composites written with ops.

Each function is also the meaning of the NumPy function of its name on traced arrays (`@implements`), so that plain
`np.` code traces; code written with this namespace may also give sizes that are symbolic (``arange(n)``,
``zeros((n, 3))``). The ufuncs are made from the table of elementwise ops.
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _np

from graphad.numpy.applying import (
    apply_along_axis as apply_along_axis,
)
from graphad.numpy.applying import (
    apply_over_axes as apply_over_axes,
)
from graphad.numpy.applying import (
    piecewise as piecewise,
)
from graphad.numpy.assembling import (
    block as block,
)
from graphad.numpy.assembling import (
    delete as delete,
)
from graphad.numpy.assembling import (
    insert as insert,
)
from graphad.numpy.assembling import (
    resize as resize,
)
from graphad.numpy.counting import (
    bincount as bincount,
)
from graphad.numpy.counting import (
    histogram as histogram,
)
from graphad.numpy.counting import (
    histogram_bin_edges as histogram_bin_edges,
)
from graphad.numpy.counting import (
    unique as unique,
)
from graphad.numpy.counting import (
    unique_all as unique_all,
)
from graphad.numpy.counting import (
    unique_counts as unique_counts,
)
from graphad.numpy.counting import (
    unique_inverse as unique_inverse,
)
from graphad.numpy.counting import (
    unique_values as unique_values,
)
from graphad.numpy.covariance import (
    corrcoef as corrcoef,
)
from graphad.numpy.covariance import (
    cov as cov,
)
from graphad.numpy.creation import (
    arange as arange,
)
from graphad.numpy.creation import (
    array as array,
)
from graphad.numpy.creation import (
    asanyarray as asanyarray,
)
from graphad.numpy.creation import (
    asarray as asarray,
)
from graphad.numpy.creation import (
    ascontiguousarray as ascontiguousarray,
)
from graphad.numpy.creation import (
    asfortranarray as asfortranarray,
)
from graphad.numpy.creation import (
    empty as empty,
)
from graphad.numpy.creation import (
    empty_like as empty_like,
)
from graphad.numpy.creation import (
    from_dlpack as from_dlpack,
)
from graphad.numpy.creation import (
    full as full,
)
from graphad.numpy.creation import (
    full_like as full_like,
)
from graphad.numpy.creation import (
    geomspace as geomspace,
)
from graphad.numpy.creation import (
    linspace as linspace,
)
from graphad.numpy.creation import (
    logspace as logspace,
)
from graphad.numpy.creation import (
    ones as ones,
)
from graphad.numpy.creation import (
    ones_like as ones_like,
)
from graphad.numpy.creation import (
    zeros as zeros,
)
from graphad.numpy.creation import (
    zeros_like as zeros_like,
)
from graphad.numpy.cumulative import (
    cummax as cummax,
)
from graphad.numpy.cumulative import (
    cummin as cummin,
)
from graphad.numpy.cumulative import (
    cumprod as cumprod,
)
from graphad.numpy.cumulative import (
    cumulative_prod as cumulative_prod,
)
from graphad.numpy.cumulative import (
    cumulative_sum as cumulative_sum,
)
from graphad.numpy.cumulative import (
    nancumprod as nancumprod,
)
from graphad.numpy.cumulative import (
    nancumsum as nancumsum,
)
from graphad.numpy.diagonals import (
    diag as diag,
)
from graphad.numpy.diagonals import (
    diagflat as diagflat,
)
from graphad.numpy.diagonals import (
    diagonal as diagonal,
)
from graphad.numpy.diagonals import (
    eye as eye,
)
from graphad.numpy.diagonals import (
    identity as identity,
)
from graphad.numpy.diagonals import (
    trace as trace,
)
from graphad.numpy.diagonals import (
    tri as tri,
)
from graphad.numpy.diagonals import (
    tril as tril,
)
from graphad.numpy.diagonals import (
    triu as triu,
)
from graphad.numpy.differences import (
    diff as diff,
)
from graphad.numpy.dtypes import (
    can_cast as can_cast,
)
from graphad.numpy.dtypes import (
    common_type as common_type,
)
from graphad.numpy.dtypes import (
    finfo as finfo,
)
from graphad.numpy.dtypes import (
    iinfo as iinfo,
)
from graphad.numpy.dtypes import (
    isdtype as isdtype,
)
from graphad.numpy.dtypes import (
    min_scalar_type as min_scalar_type,
)
from graphad.numpy.dtypes import (
    result_type as result_type,
)
from graphad.numpy.einsum import (
    einsum as einsum,
)
from graphad.numpy.einsum import (
    einsum_path as einsum_path,
)
from graphad.numpy.elementwise import (
    allclose as allclose,
)
from graphad.numpy.elementwise import (
    angle as angle,
)
from graphad.numpy.elementwise import (
    around as around,
)
from graphad.numpy.elementwise import (
    array_equal as array_equal,
)
from graphad.numpy.elementwise import (
    array_equiv as array_equiv,
)
from graphad.numpy.elementwise import (
    clip as clip,
)
from graphad.numpy.elementwise import (
    conj as conj,
)
from graphad.numpy.elementwise import (
    conjugate as conjugate,
)
from graphad.numpy.elementwise import (
    degrees as degrees,
)
from graphad.numpy.elementwise import (
    divmod as divmod,
)
from graphad.numpy.elementwise import (
    erf as erf,
)
from graphad.numpy.elementwise import (
    erfc as erfc,
)
from graphad.numpy.elementwise import (
    expit as expit,
)
from graphad.numpy.elementwise import (
    fabs as fabs,
)
from graphad.numpy.elementwise import (
    fix as fix,
)
from graphad.numpy.elementwise import (
    float_power as float_power,
)
from graphad.numpy.elementwise import (
    frexp as frexp,
)
from graphad.numpy.elementwise import (
    imag as imag,
)
from graphad.numpy.elementwise import (
    isclose as isclose,
)
from graphad.numpy.elementwise import (
    iscomplex as iscomplex,
)
from graphad.numpy.elementwise import (
    iscomplexobj as iscomplexobj,
)
from graphad.numpy.elementwise import (
    isneginf as isneginf,
)
from graphad.numpy.elementwise import (
    isposinf as isposinf,
)
from graphad.numpy.elementwise import (
    isreal as isreal,
)
from graphad.numpy.elementwise import (
    isrealobj as isrealobj,
)
from graphad.numpy.elementwise import (
    ldexp as ldexp,
)
from graphad.numpy.elementwise import (
    modf as modf,
)
from graphad.numpy.elementwise import (
    nan_to_num as nan_to_num,
)
from graphad.numpy.elementwise import (
    positive as positive,
)
from graphad.numpy.elementwise import (
    radians as radians,
)
from graphad.numpy.elementwise import (
    real as real,
)
from graphad.numpy.elementwise import (
    reciprocal as reciprocal,
)
from graphad.numpy.elementwise import (
    round as round,
)
from graphad.numpy.elementwise import (
    sigmoid as sigmoid,
)
from graphad.numpy.elementwise import (
    sign as sign,
)
from graphad.numpy.elementwise import (
    sinc as sinc,
)
from graphad.numpy.elementwise import (
    square as square,
)
from graphad.numpy.elementwise import (
    where as where,
)
from graphad.numpy.inspection import (
    __array_api_version__ as __array_api_version__,
)
from graphad.numpy.inspection import (
    __array_namespace_info__ as __array_namespace_info__,
)
from graphad.numpy.joining import (
    append as append,
)
from graphad.numpy.joining import (
    array_split as array_split,
)
from graphad.numpy.joining import (
    column_stack as column_stack,
)
from graphad.numpy.joining import (
    concat as concat,
)
from graphad.numpy.joining import (
    concatenate as concatenate,
)
from graphad.numpy.joining import (
    dsplit as dsplit,
)
from graphad.numpy.joining import (
    dstack as dstack,
)
from graphad.numpy.joining import (
    hsplit as hsplit,
)
from graphad.numpy.joining import (
    hstack as hstack,
)
from graphad.numpy.joining import (
    meshgrid as meshgrid,
)
from graphad.numpy.joining import (
    pad as pad,
)
from graphad.numpy.joining import (
    row_stack as row_stack,
)
from graphad.numpy.joining import (
    split as split,
)
from graphad.numpy.joining import (
    stack as stack,
)
from graphad.numpy.joining import (
    unstack as unstack,
)
from graphad.numpy.joining import (
    vsplit as vsplit,
)
from graphad.numpy.joining import (
    vstack as vstack,
)
from graphad.numpy.missing import (
    nanargmax as nanargmax,
)
from graphad.numpy.missing import (
    nanargmin as nanargmin,
)
from graphad.numpy.missing import (
    nanmax as nanmax,
)
from graphad.numpy.missing import (
    nanmean as nanmean,
)
from graphad.numpy.missing import (
    nanmin as nanmin,
)
from graphad.numpy.missing import (
    nanprod as nanprod,
)
from graphad.numpy.missing import (
    nanstd as nanstd,
)
from graphad.numpy.missing import (
    nansum as nansum,
)
from graphad.numpy.missing import (
    nanvar as nanvar,
)
from graphad.numpy.polynomials import (
    poly as poly,
)
from graphad.numpy.polynomials import (
    polyadd as polyadd,
)
from graphad.numpy.polynomials import (
    polyder as polyder,
)
from graphad.numpy.polynomials import (
    polydiv as polydiv,
)
from graphad.numpy.polynomials import (
    polyfit as polyfit,
)
from graphad.numpy.polynomials import (
    polyint as polyint,
)
from graphad.numpy.polynomials import (
    polymul as polymul,
)
from graphad.numpy.polynomials import (
    polysub as polysub,
)
from graphad.numpy.polynomials import (
    polyval as polyval,
)
from graphad.numpy.polynomials import (
    roots as roots,
)
from graphad.numpy.polynomials import (
    vander as vander,
)
from graphad.numpy.positions import (
    diag_indices_from as diag_indices_from,
)
from graphad.numpy.positions import (
    ix_ as ix_,
)
from graphad.numpy.positions import (
    ravel_multi_index as ravel_multi_index,
)
from graphad.numpy.positions import (
    tril_indices_from as tril_indices_from,
)
from graphad.numpy.positions import (
    triu_indices_from as triu_indices_from,
)
from graphad.numpy.positions import (
    unravel_index as unravel_index,
)
from graphad.numpy.products import (
    cross as cross,
)
from graphad.numpy.products import (
    dot as dot,
)
from graphad.numpy.products import (
    inner as inner,
)
from graphad.numpy.products import (
    kron as kron,
)
from graphad.numpy.products import (
    matmul as matmul,
)
from graphad.numpy.products import (
    matvec as matvec,
)
from graphad.numpy.products import (
    outer as outer,
)
from graphad.numpy.products import (
    tensordot as tensordot,
)
from graphad.numpy.products import (
    vdot as vdot,
)
from graphad.numpy.products import (
    vecdot as vecdot,
)
from graphad.numpy.products import (
    vecmat as vecmat,
)
from graphad.numpy.quantiles import (
    median as median,
)
from graphad.numpy.quantiles import (
    nanmedian as nanmedian,
)
from graphad.numpy.quantiles import (
    nanpercentile as nanpercentile,
)
from graphad.numpy.quantiles import (
    nanquantile as nanquantile,
)
from graphad.numpy.quantiles import (
    percentile as percentile,
)
from graphad.numpy.quantiles import (
    quantile as quantile,
)
from graphad.numpy.reductions import (
    all as all,
)
from graphad.numpy.reductions import (
    amax as amax,
)
from graphad.numpy.reductions import (
    amin as amin,
)
from graphad.numpy.reductions import (
    any as any,
)
from graphad.numpy.reductions import (
    argmax as argmax,
)
from graphad.numpy.reductions import (
    argmin as argmin,
)
from graphad.numpy.reductions import (
    count_nonzero as count_nonzero,
)
from graphad.numpy.reductions import (
    cumsum as cumsum,
)
from graphad.numpy.reductions import (
    max as max,
)
from graphad.numpy.reductions import (
    min as min,
)
from graphad.numpy.reductions import (
    prod as prod,
)
from graphad.numpy.reductions import (
    ptp as ptp,
)
from graphad.numpy.reductions import (
    sum as sum,
)
from graphad.numpy.sampled import (
    ediff1d as ediff1d,
)
from graphad.numpy.sampled import (
    gradient as gradient,
)
from graphad.numpy.sampled import (
    interp as interp,
)
from graphad.numpy.sampled import (
    trapezoid as trapezoid,
)
from graphad.numpy.sampled import (
    unwrap as unwrap,
)
from graphad.numpy.searching import (
    argwhere as argwhere,
)
from graphad.numpy.searching import (
    flatnonzero as flatnonzero,
)
from graphad.numpy.searching import (
    isin as isin,
)
from graphad.numpy.searching import (
    nonzero as nonzero,
)
from graphad.numpy.selecting import (
    choose as choose,
)
from graphad.numpy.selecting import (
    compress as compress,
)
from graphad.numpy.selecting import (
    extract as extract,
)
from graphad.numpy.selecting import (
    select as select,
)
from graphad.numpy.selecting import (
    take as take,
)
from graphad.numpy.selecting import (
    take_along_axis as take_along_axis,
)
from graphad.numpy.shaping import (
    astype as astype,
)
from graphad.numpy.shaping import (
    atleast_1d as atleast_1d,
)
from graphad.numpy.shaping import (
    atleast_2d as atleast_2d,
)
from graphad.numpy.shaping import (
    atleast_3d as atleast_3d,
)
from graphad.numpy.shaping import (
    broadcast_arrays as broadcast_arrays,
)
from graphad.numpy.shaping import (
    broadcast_shapes as broadcast_shapes,
)
from graphad.numpy.shaping import (
    broadcast_to as broadcast_to,
)
from graphad.numpy.shaping import (
    copy as copy,
)
from graphad.numpy.shaping import (
    expand_dims as expand_dims,
)
from graphad.numpy.shaping import (
    flip as flip,
)
from graphad.numpy.shaping import (
    fliplr as fliplr,
)
from graphad.numpy.shaping import (
    flipud as flipud,
)
from graphad.numpy.shaping import (
    matrix_transpose as matrix_transpose,
)
from graphad.numpy.shaping import (
    moveaxis as moveaxis,
)
from graphad.numpy.shaping import (
    ndim as ndim,
)
from graphad.numpy.shaping import (
    permute_dims as permute_dims,
)
from graphad.numpy.shaping import (
    ravel as ravel,
)
from graphad.numpy.shaping import (
    repeat as repeat,
)
from graphad.numpy.shaping import (
    reshape as reshape,
)
from graphad.numpy.shaping import (
    roll as roll,
)
from graphad.numpy.shaping import (
    rollaxis as rollaxis,
)
from graphad.numpy.shaping import (
    rot90 as rot90,
)
from graphad.numpy.shaping import (
    shape as shape,
)
from graphad.numpy.shaping import (
    size as size,
)
from graphad.numpy.shaping import (
    squeeze as squeeze,
)
from graphad.numpy.shaping import (
    swapaxes as swapaxes,
)
from graphad.numpy.shaping import (
    tile as tile,
)
from graphad.numpy.shaping import (
    transpose as transpose,
)
from graphad.numpy.signals import (
    convolve as convolve,
)
from graphad.numpy.signals import (
    correlate as correlate,
)
from graphad.numpy.sorting import (
    argpartition as argpartition,
)
from graphad.numpy.sorting import (
    argsort as argsort,
)
from graphad.numpy.sorting import (
    digitize as digitize,
)
from graphad.numpy.sorting import (
    lexsort as lexsort,
)
from graphad.numpy.sorting import (
    partition as partition,
)
from graphad.numpy.sorting import (
    put_along_axis as put_along_axis,
)
from graphad.numpy.sorting import (
    searchsorted as searchsorted,
)
from graphad.numpy.sorting import (
    sort as sort,
)
from graphad.numpy.sorting import (
    sort_complex as sort_complex,
)
from graphad.numpy.sorting import (
    top_k as top_k,
)
from graphad.numpy.statistics import (
    average as average,
)
from graphad.numpy.statistics import (
    log_softmax as log_softmax,
)
from graphad.numpy.statistics import (
    logsumexp as logsumexp,
)
from graphad.numpy.statistics import (
    mean as mean,
)
from graphad.numpy.statistics import (
    softmax as softmax,
)
from graphad.numpy.statistics import (
    std as std,
)
from graphad.numpy.statistics import (
    var as var,
)
from graphad.numpy.ufuncs import ufunc_functions as _ufunc_functions
from graphad.numpy.untraceable import register as _register_untraceable

if _TYPE_CHECKING:
    from collections.abc import Callable as _Callable

    from graphad.numpy import fft as fft
    from graphad.numpy import linalg as linalg
    from graphad.tracing.tensor import Tensor as _Tensor

    def __getattr__(name: str) -> _Callable[..., _Tensor]:  # the ufuncs, for type checkers
        raise AttributeError

else:

    def __getattr__(name: str) -> object:  # type: ignore[misc]
        """Load the namespaces that few programs use when they are first asked for."""
        if name in ("fft", "linalg"):
            return _importlib.import_module(f"graphad.numpy.{name}")
        if name == "i0":
            return _importlib.import_module("graphad.special").i0
        raise AttributeError(f"module 'graphad.numpy' has no attribute {name!r}")


_register_untraceable()

for _name, _function in _ufunc_functions().items():
    globals().setdefault(_name, _function)

pi, e, inf, nan, euler_gamma, newaxis = _np.pi, _np.e, _np.inf, _np.nan, _np.euler_gamma, None

bool, float16, float32, float64 = _np.bool_, _np.float16, _np.float32, _np.float64
int8, int16, int32, int64 = _np.int8, _np.int16, _np.int32, _np.int64
uint8, uint16, uint32, uint64 = _np.uint8, _np.uint16, _np.uint32, _np.uint64
complex64, complex128 = _np.complex64, _np.complex128
