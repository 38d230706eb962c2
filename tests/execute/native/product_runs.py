"""Running product kernels on NumPy arrays, on one thread or several at the same time."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

from graphad.execute.native import target
from graphad.execute.native.blas import Blas, single_threaded
from graphad.execute.native.code import Module
from graphad.execute.native.kernel import PARAMETERS, Kernel
from graphad.execute.native.product_spec import Product

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


@dataclass
class Runner:
    """A loaded kernel."""

    kernel: Kernel
    loaded: target.Loaded
    entry: str
    blas: Blas | None

    def shares(self, threads: int) -> list[tuple[int, int]]:
        """Return what each thread gets."""
        many = -(-self.kernel.extent // self.kernel.multiple)
        cuts = [min(many * t // threads * self.kernel.multiple, self.kernel.extent) for t in range(threads + 1)]
        return list(itertools.pairwise(cuts))

    def calls(self, arrays: Sequence[np.ndarray], threads: int = 1) -> list[Callable[[], None]]:
        """Return what each thread does; its scratch holds nan before."""
        function = SIGNATURE(self.loaded.address(self.entry))
        addresses = np.array([x.ctypes.data for x in arrays], np.uintp)
        sizes = np.array([*self.kernel.sizes, 0], np.int64)

        def share(begin: int, end: int) -> Callable[[], None]:
            scratch = np.full(self.kernel.scratch + 128, 0xFF, np.uint8)
            start = -scratch.ctypes.data % 64
            given = (addresses.ctypes.data, sizes.ctypes.data, begin, end, scratch.ctypes.data + start)

            def call() -> None:
                function(*given)
                assert (scratch[start + self.kernel.scratch :] == 0xFF).all()

            call.kept = (arrays, addresses, sizes)
            return call

        return [share(*cut) for cut in self.shares(threads)]

    def run(self, arrays: Sequence[np.ndarray], threads: int = 1) -> None:
        """Run on several threads, each with its share."""
        with single_threaded(self.blas):
            workers = [threading.Thread(target=call) for call in self.calls(arrays, threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()


def runners(makes: Sequence[Callable[[Module], Kernel]], blas: Blas | None = None) -> list[Runner]:
    """Compile and load the kernels that `makes` enter into one module."""
    module = Module()
    kernels = [make(module) for make in makes]
    for k, kernel in enumerate(kernels):
        entry = module.function(f"entry_{k}", "void", PARAMETERS)
        entry.call("void", kernel.name, [(t, f"%{n}") for t, n in PARAMETERS])
        entry.line("ret void")
    if blas is not None:
        for name, address in blas.symbols().items():
            llvm.add_symbol(name, address)
    loaded = target.load(module.text())
    return [Runner(kernel, loaded, f"entry_{k}", blas) for k, kernel in enumerate(kernels)]


def strides_of(x: np.ndarray) -> tuple[int, int, int]:
    """Return the strides of a batch of matrices in elements."""
    a, b, c = (s // x.itemsize for s in x.strides)
    return a, b, c


def product_of(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, alpha: float = 1.0, beta: float = 0.0, c0: np.ndarray | None = None
) -> Product:
    """Return the product of arrays of three axes."""
    return Product(
        f"f{a.itemsize * 8}",
        a.shape[0],
        a.shape[1],
        b.shape[2],
        a.shape[2],
        strides_of(a),
        strides_of(b),
        strides_of(c),
        alpha,
        beta,
        None if c0 is None else strides_of(c0),
    )
