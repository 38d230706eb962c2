"""Which module of this package defines which function; each is loaded when it is first asked for."""

from __future__ import annotations

import functools

from graphad.loading import homes_of, load_module

# fmt: off
NAMES = {
    "applying": "apply_along_axis apply_over_axes piecewise",
    "assembling": "block delete insert resize",
    "counting": "bincount histogram histogram_bin_edges unique unique_all unique_counts unique_inverse unique_values",
    "covariance": "corrcoef cov",
    "creation":
        "arange array asanyarray asarray ascontiguousarray asfortranarray empty empty_like from_dlpack full full_like "
        "geomspace linspace logspace ones ones_like zeros zeros_like",
    "cumulative": "cummax cummin cumprod cumulative_prod cumulative_sum nancumprod nancumsum",
    "diagonals": "diag diagflat diagonal eye identity trace tri tril triu",
    "differences": "diff",
    "dtypes": "can_cast common_type finfo iinfo isdtype min_scalar_type result_type",
    "subscripts": "einsum einsum_path",
    "elementwise":
        "allclose angle around array_equal array_equiv clip conj conjugate degrees divmod erf erfc expit fabs fix "
        "float_power frexp imag isclose iscomplex iscomplexobj isneginf isposinf isreal isrealobj ldexp modf "
        "nan_to_num positive radians real reciprocal round sigmoid sign sinc square where",
    "inspection": "__array_api_version__ __array_namespace_info__",
    "joining":
        "append array_split column_stack concat concatenate dsplit dstack hsplit hstack meshgrid pad row_stack split "
        "stack unstack vsplit vstack",
    "missing": "nanargmax nanargmin nanmax nanmean nanmin nanprod nanstd nansum nanvar",
    "polynomials": "poly polyadd polyder polydiv polyfit polyint polymul polysub polyval roots vander",
    "positions": "diag_indices_from ix_ ravel_multi_index tril_indices_from triu_indices_from unravel_index",
    "products": "cross dot inner kron matmul matvec outer tensordot vdot vecdot vecmat",
    "quantiles": "median nanmedian nanpercentile nanquantile percentile quantile",
    "reductions": "all amax amin any argmax argmin count_nonzero cumsum max min prod ptp sum",
    "sampled": "ediff1d gradient interp trapezoid unwrap",
    "searching": "argwhere flatnonzero isin nonzero",
    "selecting": "choose compress extract select take take_along_axis",
    "shaping":
        "astype atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_shapes broadcast_to copy expand_dims flip "
        "fliplr flipud matrix_transpose moveaxis ndim permute_dims ravel repeat reshape roll rollaxis rot90 shape "
        "size squeeze swapaxes tile transpose",
    "signals": "convolve correlate",
    "sorting": "argpartition argsort digitize lexsort partition put_along_axis searchsorted sort sort_complex top_k",
    "statistics": "average log_softmax logsumexp mean softmax std var",
}
# fmt: on
"""The functions by module."""

HOMES = homes_of({f"graphad.numpy.{module}": names.split() for module, names in NAMES.items()})
"""The module of each function."""

_MEANINGS = {**HOMES, "power": "graphad.numpy.elementwise"}
"""The module that says what NumPy's function of a name means on traced arrays."""


def load_meaning(name: str) -> None:
    """Load what NumPy's function of this name means on traced arrays, where a module here has one."""
    module = _MEANINGS.get(name)
    if module is not None:
        load_module(module)


@functools.cache
def load_all() -> None:
    """Load every module: for whoever asks what there is, and for functions whose meanings bear other names."""
    for module in (*NAMES, "ufuncs", "untraceable"):
        load_module(f"graphad.numpy.{module}")
