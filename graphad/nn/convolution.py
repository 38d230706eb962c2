"""Convolution over any number of spatial axes, and its transpose."""

from __future__ import annotations

from typing import Any

import graphad.ops as ops
from graphad.ir.dims import Dim, at_least, static
from graphad.nn.arguments import Pads, each_axis, pads_of
from graphad.numpy.arguments import refuse
from graphad.ops.convolution import turned_kernel
from graphad.tracing.coerce import promoted
from graphad.tracing.tensor import Tensor


def conv(x: Any, w: Any, strides: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: Dim = 1) -> Tensor:
    """y[n,o,t] = sum over i, k of x[n, i, t*stride + k*dilation - pad] w[o,i,k].

    The kernel is not reversed, as in `torch.nn.functional.conv2d` and `jax.lax.conv_general_dilated`.

    Args:
        x: [batch, channels in, *space], with any number of spatial axes.
        w: [channels out, channels in / groups, *kernel], of x's dtype after NumPy's promotion.
        strides, dilation: a number, or one for each spatial axis: the distance of results, and of kernel elements.
        padding: zeros round x: "valid" (none), "same" (ceil(size / stride) results), a number, or for each spatial
            axis a number or a pair (before, after).
        groups: how many groups the channels fall into that do not mix; the number of channels for a depthwise
            convolution.

    Returns:
        [batch, channels out, *space out], with (size + pads - (kernel - 1) * dilation - 1) // stride + 1 results.

    Raises:
        OpTypeError: the shapes do not fit.
    """
    image, kernel = _operands(x, w, "conv")
    count = image.ndim - 2
    strides, dilation = each_axis(strides, count, "strides"), each_axis(dilation, count, "dilation")
    pads = pads_of(padding, image.shape[2:], kernel.shape[2:], strides, dilation)
    return ops.conv(image, kernel, strides, pads, dilation, (1,) * count, groups)


def conv_transpose(
    x: Any,
    w: Any,
    strides: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: Dim = 1,
    output_padding: Any = 0,
) -> Tensor:
    """Apply the transpose of ``y -> conv(y, w, strides, padding, dilation, groups)``, its gradient, to x.

    The same as `torch.nn.functional.conv_transpose2d`.

    Args:
        x: [batch, channels in, *space].
        w: [channels in, channels out / groups, *kernel]: the kernel of the convolution that this transposes.
        strides, padding, dilation, groups: those of that convolution. "same" gives size * stride results.
        output_padding: how many more results behind, less than the stride; a number, or one for each axis.

    Returns:
        [batch, channels out, *space], (size - 1) * stride + (kernel - 1) * dilation + 1 - pads + output_padding.
    """
    image, kernel = _operands(x, w, "conv_transpose")
    count, sizes = image.ndim - 2, image.shape[2:]
    strides, dilation = each_axis(strides, count, "strides"), each_axis(dilation, count, "dilation")
    more = [output_padding] * count if not isinstance(output_padding, (tuple, list)) else list(output_padding)
    if len(more) != count or any(not 0 <= n < s for n, s in zip(more, strides, strict=True)):
        refuse(
            f"output_padding must be at least 0 and less than the stride, for each spatial axis, not {output_padding}"
        )
    same = isinstance(padding, str) and padding.lower() == "same"
    extents = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True)]
    if same:
        pads: Pads = tuple(_same(extent, s) for extent, s in zip(extents, strides, strict=True))
    else:
        pads = pads_of(padding, sizes, kernel.shape[2:], strides, dilation)
    around = [
        (extent - 1 - low, extent - 1 - high + extra)
        for extent, (low, high), extra in zip(extents, pads, more, strict=True)
    ]
    turned = turned_kernel(kernel, groups)
    return ops.conv(image, turned, (1,) * count, around, dilation, strides, groups)


def _same(extent: Dim, stride: int) -> tuple[Dim, Dim]:
    """Return the padding with which a transposed convolution gives size * stride results; negative: more of them."""
    total = static(extent) - stride
    before = max(total // 2, 0)
    return before, total - before


def _operands(x: Any, w: Any, name: str) -> list[Tensor]:
    image, kernel = promoted(x, w)
    if image.ndim < 2 or kernel.ndim != image.ndim:
        refuse(f"{name} needs [batch, channels, *space] and a kernel of as many axes, got {image.type}, {kernel.type}")
    if not all(at_least(k, 1) for k in kernel.shape[2:]):
        refuse(f"{name}: the kernel {kernel.type} is empty")
    return [image, kernel]
