"""Convolution kernels: forward, pulled back to the image and to the kernel are one op, computed in one of two ways.

- `convolution_pixels`: neighbouring results in the lanes of a vector, for wide results;
- `convolution_channels`: channels out in the lanes, for small results, above all the gradient of the kernel, which as
  an op is a convolution of the image by the results' cotangent, with batch and channels swapped.

Sums are of fused multiply-adds in single or double precision, one after the other in an order that the sizes fix; those
of the second way in parts, which are then added up. An error is at most ``(count + parts) * eps`` times the sum of
the products' magnitudes, count being how many products there are. Zeros round an image are multiplied like its
elements, so that inf and nan in the kernel meet them, as they do in NumPy; zeros between spread-out elements are not.
"""

from __future__ import annotations

import math

from graphad.execute.native.code import Module
from graphad.execute.native.convolution_channels import channels_kernel, fills_blocks
from graphad.execute.native.convolution_ends import Epilogue
from graphad.execute.native.convolution_pixels import pixels_kernel
from graphad.execute.native.convolution_shape import Convolution, Layout, contiguous, of_op, phases
from graphad.execute.native.kernel import Kernel

__all__ = ["Convolution", "Epilogue", "Layout", "contiguous", "convolution_kernels", "finishes_vectors", "of_op"]

LONGEST = 64
"""Rows of a kernel that are written out, where images are split into phases, are at most this long."""


def convolution_kernels(
    module: Module, c: Convolution, vector_bytes: int, epilogue: Epilogue | None = None
) -> list[Kernel] | None:
    """Write the kernels of a convolution; each is called with the addresses of x, w and `c.ends`.

    They write different results, so that they may run one after the other or at once. The bits do not depend on how an
    extent is shared.

    Args:
        module: where the code goes.
        c: the convolution.
        vector_bytes: width of the vectors.
        epilogue: what becomes of the sums before they are stored.

    Returns:
        One kernel, or for spread-out images one for each phase, or none for no results; None where the host must do it
        (integers, complex numbers, float16).
    """
    if c.kind not in ("f32", "f64"):
        return None
    if 0 in (c.batch, c.groups, c.out, *c.results):
        return []
    return [_kernel(module, phase, vector_bytes, epilogue) for phase in phases(c)]


def _kernel(module: Module, c: Convolution, vector_bytes: int, epilogue: Epilogue | None) -> Kernel:
    write = pixels_kernel if by_pixels(c, vector_bytes) else channels_kernel
    return write(module, c, vector_bytes, epilogue)


def finishes_vectors(c: Convolution, vector_bytes: int) -> bool:
    """Tell whether epilogues get whole vectors of sums: costly ones are then no slower than in loops of their own."""
    return all(by_pixels(phase, vector_bytes) or fills_blocks(phase, vector_bytes) for phase in phases(c))


def by_pixels(c: Convolution, vector_bytes: int) -> bool:
    """Tell whether neighbouring results, rather than channels out, should fill the vectors."""
    if c.steps[-1] > 1 and c.kernel[-1] > LONGEST:
        return False
    large_kernel = math.prod(c.kernel) > 2 * math.prod(c.results)
    return c.out == 1 or (c.results[-1] >= vector_bytes // c.item and not large_kernel)
