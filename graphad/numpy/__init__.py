"""The array namespace: NumPy's functions on tensors, composites written with ops.

Each function is also the meaning of the NumPy function of its name on traced arrays (`@implements`), so that plain
`np.` code traces; code written with this namespace may also give sizes that are symbolic (``arange(n)``,
``zeros((n, 3))``). The ufuncs are made from the elementwise ops. Each name loads its module on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _np

from graphad.loading import load_module as _load_module
from graphad.loading import on_first_use as _on_first_use
from graphad.numpy.homes import HOMES as _HOMES

if _TYPE_CHECKING:
    # isort: off
    from collections.abc import Callable as _Callable

    from graphad.numpy import fft as fft
    from graphad.numpy import linalg as linalg
    from graphad.tracing.tensor import Tensor as _Tensor

    from graphad.numpy.applying import (
        apply_along_axis as apply_along_axis,
        apply_over_axes as apply_over_axes,
        piecewise as piecewise,
    )
    from graphad.numpy.assembling import block as block, delete as delete, insert as insert, resize as resize
    from graphad.numpy.counting import (
        bincount as bincount,
        histogram as histogram,
        histogram_bin_edges as histogram_bin_edges,
        unique as unique,
        unique_all as unique_all,
        unique_counts as unique_counts,
        unique_inverse as unique_inverse,
        unique_values as unique_values,
    )
    from graphad.numpy.covariance import corrcoef as corrcoef, cov as cov
    from graphad.numpy.creation import (
        arange as arange,
        array as array,
        asanyarray as asanyarray,
        asarray as asarray,
        ascontiguousarray as ascontiguousarray,
        asfortranarray as asfortranarray,
        empty as empty,
        empty_like as empty_like,
        from_dlpack as from_dlpack,
        full as full,
        full_like as full_like,
        geomspace as geomspace,
        linspace as linspace,
        logspace as logspace,
        ones as ones,
        ones_like as ones_like,
        zeros as zeros,
        zeros_like as zeros_like,
    )
    from graphad.numpy.cumulative import (
        cummax as cummax,
        cummin as cummin,
        cumprod as cumprod,
        cumulative_prod as cumulative_prod,
        cumulative_sum as cumulative_sum,
        nancumprod as nancumprod,
        nancumsum as nancumsum,
    )
    from graphad.numpy.diagonals import (
        diag as diag,
        diagflat as diagflat,
        diagonal as diagonal,
        eye as eye,
        identity as identity,
        trace as trace,
        tri as tri,
        tril as tril,
        triu as triu,
    )
    from graphad.numpy.differences import diff as diff
    from graphad.numpy.dtypes import (
        can_cast as can_cast,
        common_type as common_type,
        finfo as finfo,
        iinfo as iinfo,
        isdtype as isdtype,
        min_scalar_type as min_scalar_type,
        result_type as result_type,
    )
    from graphad.numpy.subscripts import einsum as einsum, einsum_path as einsum_path
    from graphad.numpy.elementwise import (
        allclose as allclose,
        angle as angle,
        around as around,
        array_equal as array_equal,
        array_equiv as array_equiv,
        clip as clip,
        conj as conj,
        conjugate as conjugate,
        degrees as degrees,
        divmod as divmod,
        erf as erf,
        erfc as erfc,
        expit as expit,
        fabs as fabs,
        fix as fix,
        float_power as float_power,
        frexp as frexp,
        imag as imag,
        isclose as isclose,
        iscomplex as iscomplex,
        iscomplexobj as iscomplexobj,
        isneginf as isneginf,
        isposinf as isposinf,
        isreal as isreal,
        isrealobj as isrealobj,
        ldexp as ldexp,
        modf as modf,
        nan_to_num as nan_to_num,
        positive as positive,
        radians as radians,
        real as real,
        reciprocal as reciprocal,
        round as round,
        sigmoid as sigmoid,
        sign as sign,
        sinc as sinc,
        square as square,
        where as where,
    )
    from graphad.numpy.inspection import (
        __array_api_version__ as __array_api_version__,
        __array_namespace_info__ as __array_namespace_info__,
    )
    from graphad.numpy.joining import (
        append as append,
        array_split as array_split,
        column_stack as column_stack,
        concat as concat,
        concatenate as concatenate,
        dsplit as dsplit,
        dstack as dstack,
        hsplit as hsplit,
        hstack as hstack,
        meshgrid as meshgrid,
        pad as pad,
        row_stack as row_stack,
        split as split,
        stack as stack,
        unstack as unstack,
        vsplit as vsplit,
        vstack as vstack,
    )
    from graphad.numpy.missing import (
        nanargmax as nanargmax,
        nanargmin as nanargmin,
        nanmax as nanmax,
        nanmean as nanmean,
        nanmin as nanmin,
        nanprod as nanprod,
        nanstd as nanstd,
        nansum as nansum,
        nanvar as nanvar,
    )
    from graphad.numpy.polynomials import (
        poly as poly,
        polyadd as polyadd,
        polyder as polyder,
        polydiv as polydiv,
        polyfit as polyfit,
        polyint as polyint,
        polymul as polymul,
        polysub as polysub,
        polyval as polyval,
        roots as roots,
        vander as vander,
    )
    from graphad.numpy.positions import (
        diag_indices_from as diag_indices_from,
        ix_ as ix_,
        ravel_multi_index as ravel_multi_index,
        tril_indices_from as tril_indices_from,
        triu_indices_from as triu_indices_from,
        unravel_index as unravel_index,
    )
    from graphad.numpy.products import (
        cross as cross,
        dot as dot,
        inner as inner,
        kron as kron,
        matmul as matmul,
        matvec as matvec,
        outer as outer,
        tensordot as tensordot,
        vdot as vdot,
        vecdot as vecdot,
        vecmat as vecmat,
    )
    from graphad.numpy.quantiles import (
        median as median,
        nanmedian as nanmedian,
        nanpercentile as nanpercentile,
        nanquantile as nanquantile,
        percentile as percentile,
        quantile as quantile,
    )
    from graphad.numpy.reductions import (
        all as all,
        amax as amax,
        amin as amin,
        any as any,
        argmax as argmax,
        argmin as argmin,
        count_nonzero as count_nonzero,
        cumsum as cumsum,
        max as max,
        min as min,
        prod as prod,
        ptp as ptp,
        sum as sum,
    )
    from graphad.numpy.sampled import (
        ediff1d as ediff1d,
        gradient as gradient,
        interp as interp,
        trapezoid as trapezoid,
        unwrap as unwrap,
    )
    from graphad.numpy.searching import (
        argwhere as argwhere,
        flatnonzero as flatnonzero,
        isin as isin,
        nonzero as nonzero,
    )
    from graphad.numpy.selecting import (
        choose as choose,
        compress as compress,
        extract as extract,
        select as select,
        take as take,
        take_along_axis as take_along_axis,
    )
    from graphad.numpy.shaping import (
        astype as astype,
        atleast_1d as atleast_1d,
        atleast_2d as atleast_2d,
        atleast_3d as atleast_3d,
        broadcast_arrays as broadcast_arrays,
        broadcast_shapes as broadcast_shapes,
        broadcast_to as broadcast_to,
        copy as copy,
        expand_dims as expand_dims,
        flip as flip,
        fliplr as fliplr,
        flipud as flipud,
        matrix_transpose as matrix_transpose,
        moveaxis as moveaxis,
        ndim as ndim,
        permute_dims as permute_dims,
        ravel as ravel,
        repeat as repeat,
        reshape as reshape,
        roll as roll,
        rollaxis as rollaxis,
        rot90 as rot90,
        shape as shape,
        size as size,
        squeeze as squeeze,
        swapaxes as swapaxes,
        tile as tile,
        transpose as transpose,
    )
    from graphad.numpy.signals import convolve as convolve, correlate as correlate
    from graphad.numpy.sorting import (
        argpartition as argpartition,
        argsort as argsort,
        digitize as digitize,
        lexsort as lexsort,
        partition as partition,
        put_along_axis as put_along_axis,
        searchsorted as searchsorted,
        sort as sort,
        sort_complex as sort_complex,
        top_k as top_k,
    )
    from graphad.numpy.statistics import (
        average as average,
        log_softmax as log_softmax,
        logsumexp as logsumexp,
        mean as mean,
        softmax as softmax,
        std as std,
        var as var,
    )
    # isort: on

    def __getattr__(name: str) -> _Callable[..., _Tensor]:  # the ufuncs, for type checkers
        raise AttributeError

else:
    _load = _on_first_use(globals(), _HOMES)

    def __getattr__(name: str) -> object:  # type: ignore[misc]
        """Load what a name stands for when it is first asked for."""
        if name in _HOMES:
            return _load(name)
        if name in ("fft", "linalg"):
            return _load_module(f"graphad.numpy.{name}")
        if name == "i0":
            return _load_module("graphad.special").i0
        if name == "__all__":
            return [each for each in __dir__() if not each.startswith("_")]
        if isinstance(getattr(_np, name, None), _np.ufunc):
            function = _load_module("graphad.numpy.ufuncs").ufunc_function(name)
            if function is not None:
                globals()[name] = function
                return function
        raise AttributeError(f"module 'graphad.numpy' has no attribute {name!r}")


def __dir__() -> list[str]:
    from graphad.numpy.ufuncs import ufunc_functions

    return sorted({*globals(), *_HOMES, *ufunc_functions()})


pi, e, inf, nan, euler_gamma, newaxis = _np.pi, _np.e, _np.inf, _np.nan, _np.euler_gamma, None

bool, float16, float32, float64 = _np.bool_, _np.float16, _np.float32, _np.float64
int8, int16, int32, int64 = _np.int8, _np.int16, _np.int32, _np.int64
uint8, uint16, uint32, uint64 = _np.uint8, _np.uint16, _np.uint32, _np.uint64
complex64, complex128 = _np.complex64, _np.complex128
