"""Kernels in a test: compile them, and call them with their extent cut into shares."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import PARAMETERS, Kernel
from graphad.execute.native.target import load

Array = np.ndarray[Any, Any]
SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_void_p)


def compiled(module: Module, kernels: Sequence[Kernel]) -> Callable[..., None]:
    """Return ``run(buffers, threads=1, only=kernels)``: it runs kernels in turn, the shares of each in turn."""
    for name in {kernel.name for kernel in kernels}:
        entry = module.function(f"run_{name}", "void", PARAMETERS)
        entry.call("void", name, [(type_, f"%{parameter}") for type_, parameter in PARAMETERS])
        entry.line("ret void")
    loaded = load(module.text())
    functions = {kernel.name: SIGNATURE(loaded.address(f"run_{kernel.name}")) for kernel in kernels}

    def run(buffers: Sequence[Array], threads: int = 1, only: Sequence[Kernel] = kernels) -> None:
        pointers = (ctypes.c_void_p * len(buffers))(*(buffer.ctypes.data for buffer in buffers))
        for kernel in only:
            sizes = (ctypes.c_int64 * max(1, len(kernel.sizes)))(*kernel.sizes)
            units = -(-kernel.extent // kernel.multiple)
            for thread in range(threads):
                cuts = [min(k * units // threads * kernel.multiple, kernel.extent) for k in (thread, thread + 1)]
                # Workspace holds nonsense at first, and ends where it was said to end.
                scratch = np.full(kernel.scratch + 128, 0xFF, np.uint8)
                start = -scratch.ctypes.data % 64
                functions[kernel.name](pointers, sizes, *cuts, scratch.ctypes.data + start)
                assert (scratch[start + kernel.scratch :] == 0xFF).all()
        assert loaded

    return run
