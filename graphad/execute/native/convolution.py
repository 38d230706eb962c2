"""Convolution kernels: forward, pulled back to the image and to the kernel are one op, computed in one of two ways.

- `convolution_pixels`: neighbouring results in the lanes of a vector, for wide results;
- `convolution_channels`: channels out in the lanes, for small results, above all the gradient of the kernel, which as
  an op is a convolution of the image by the results' cotangent, with batch and channels swapped.
"""

from __future__ import annotations

import hashlib
import math

from graphad.execute.native.code import Module
from graphad.execute.native.convolution_channels import channels_kernel
from graphad.execute.native.convolution_pixels import pixels_kernel
from graphad.execute.native.convolution_shape import Convolution, contiguous, of_op, phases
from graphad.execute.native.kernel import Kernel

__all__ = ["Convolution", "contiguous", "convolution_kernels", "of_op"]


def convolution_kernels(module: Module, c: Convolution, vector_bytes: int) -> list[Kernel] | None:
    """Write the kernels of a convolution; each is called with the addresses of x, w and y.

    They write different results, so that they may run one after the other or at once. The bits do not depend on how an
    extent is shared.

    Args:
        module: where the code goes.
        c: the convolution.
        vector_bytes: width of the vectors.

    Returns:
        One kernel, or for spread-out images one for each phase; None where there is none (no results; other kinds).
    """
    if c.kind not in ("f32", "f64"):
        return None
    return [_kernel(module, phase, vector_bytes) for phase in phases(c)]


def _kernel(module: Module, c: Convolution, vector_bytes: int) -> Kernel:
    name = f"convolution_{hashlib.sha256(f'{c} {vector_bytes}'.encode()).hexdigest()[:16]}"
    write = pixels_kernel if by_pixels(c, vector_bytes) else channels_kernel
    return write(module, c, name, vector_bytes)


def by_pixels(c: Convolution, vector_bytes: int) -> bool:
    """Tell whether neighbouring results, rather than channels out, should fill the vectors."""
    lanes = vector_bytes // c.item
    few = math.prod(c.kernel) > 2 * math.prod(c.results)
    return c.out == 1 or (c.results[-1] >= lanes and not few)
