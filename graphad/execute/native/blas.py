"""BLAS: the addresses of its products, found in libraries that are in this process already.

What may enter: where a BLAS is found and how it is called. Generated code never holds an address: it declares the
symbols that `Blas.symbols` names, which are bound when the code is loaded.

Every thread of ours calls BLAS for blocks of its own, so BLAS itself must not start threads. OpenBLAS has one count of
threads for the whole process; a run sets it to 1 (`get_threads`, `set_threads`) and restores it. With a count of 1 its
products run in the calling thread and take no lock that lasts (only its own threaded products wait for each other), so
calls from several threads run side by side, each in workspace of its own: two at once measured 0-3 % slower than one
alone from 32 x 32 x 32 on. Setting the count stores one integer and leaves OpenBLAS's threads asleep: to 1 and back
takes 11 ns, but 5 ms the first time in the child of a fork, where OpenBLAS makes its threads anew. NumPy's products in
other Python threads are single-threaded for as long as such a run lasts.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphad.ir.frozen import frozen

FUNCTIONS = ("sgemm", "dgemm", "sgemv", "dgemv")


@frozen
class Blas:
    """A BLAS library of this process.

    Attributes:
        name: where it was found, for reports.
        version: the library's own account of itself.
        processor: the processor whose code it runs, "" if it does not say.
        abi: "cblas" or "fortran" (arguments by address, columns first).
        integer_bits: width of its integers, 32 or 64.
        functions: addresses by plain name: "sgemm", "dgemm", "sgemv", "dgemv".
        get_threads, set_threads: addresses of ``int get()`` and ``void set(int)``; 0 for a library without threads.
    """

    name: str
    version: str
    processor: str
    abi: str
    integer_bits: int
    functions: Mapping[str, int]
    get_threads: int = 0
    set_threads: int = 0

    @property
    def convention(self) -> str:
        """Return how it is called, as part of a name: code of one convention fits every library that has it."""
        return f"{self.abi}{self.integer_bits}"

    def symbol(self, function: str) -> str:
        """Return the external symbol that generated code declares for a function."""
        return f"graphad_{self.convention}_{function}"

    def symbols(self) -> dict[str, int]:
        """Return addresses by external symbol, for the loader of generated code."""
        return {self.symbol(name): address for name, address in self.functions.items()}


@functools.cache
def find() -> Blas | None:
    """Return the BLAS to use: NumPy's, then the package scipy-openblas32, then SciPy's; None if there is none."""
    return numpy_openblas() or packaged_openblas() or scipy_blas()


def numpy_openblas() -> Blas | None:
    """Return the OpenBLAS that NumPy runs on: the one in its wheel, or a shared one that threadpoolctl knows."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    home = Path(str(numpy.__file__)).parent
    for path in bundled(home):
        if found := openblas(path, "OpenBLAS of NumPy"):
            return found
    for path in loaded_openblas():
        if found := openblas(path, "OpenBLAS of this process"):
            return found
    return None


def packaged_openblas() -> Blas | None:
    """Return the OpenBLAS of the package scipy-openblas32."""
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or spec.origin is None:
        return None
    for path in sorted((Path(spec.origin).parent / "lib").glob("libscipy_openblas.*")):
        if found := openblas(path, "package scipy-openblas32"):
            return found
    return None


def scipy_blas() -> Blas | None:
    """Return the functions that SciPy lends to Cython; they have Fortran's convention."""
    if importlib.util.find_spec("scipy") is None:
        return None
    lent: Any = importlib.import_module("scipy.linalg.cython_blas")
    capsules = lent.__pyx_capi__
    functions = {name: capsule_address(capsules[name]) for name in FUNCTIONS if name in capsules}
    if len(functions) < len(FUNCTIONS) or b"int *" not in capsule_name(capsules["dgemm"]):
        return None
    home = Path(str(importlib.import_module("scipy").__file__)).parent
    own = next((found for path in bundled(home) if (found := openblas(path, ""))), None)
    if own is None:
        return Blas("BLAS of SciPy", "unknown", "", "fortran", 32, functions)
    return Blas(
        "OpenBLAS of SciPy", own.version, own.processor, "fortran", 32, functions, own.get_threads, own.set_threads
    )


def bundled(home: Path) -> list[Path]:
    """Return the OpenBLAS libraries that the wheel of a package at `home` brought with it."""
    places = (home.with_name(f"{home.name}.libs"), home / ".dylibs")
    return [path for place in places for path in sorted(place.glob("*openblas*"))]


def loaded_openblas() -> list[Path]:
    """Return the OpenBLAS libraries loaded in this process; threadpoolctl knows, if it is installed."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return []
    pools = importlib.import_module("threadpoolctl").threadpool_info()
    return [Path(pool["filepath"]) for pool in pools if pool.get("internal_api") == "openblas"]


def openblas(path: Path, name: str) -> Blas | None:
    """Return the OpenBLAS in a shared library, whatever its symbols are decorated with; None if it is not one."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    for prefix in ("scipy_", ""):
        for suffix in ("64_", "", "_64"):
            if hasattr(library, f"{prefix}cblas_dgemm{suffix}"):
                return decorated_openblas(library, prefix, suffix, name)
    return None


def decorated_openblas(library: ctypes.CDLL, prefix: str, suffix: str, name: str) -> Blas | None:
    """Return the OpenBLAS whose symbols have a prefix and a suffix."""
    try:
        functions = {plain: address_in(library, f"{prefix}cblas_{plain}{suffix}") for plain in FUNCTIONS}
        get, set_ = (address_in(library, f"{prefix}openblas_{verb}_num_threads{suffix}") for verb in ("get", "set"))
        version, processor = (
            text_of(library, f"{prefix}openblas_get_{what}{suffix}") for what in ("config", "corename")
        )
    except AttributeError:
        return None
    bits = 64 if "USE64BITINT" in version else 32
    return Blas(name, version, processor, "cblas", bits, functions, get, set_)


def address_in(library: ctypes.CDLL, symbol: str) -> int:
    """Return the address of a symbol; AttributeError if there is none."""
    return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0


def text_of(library: ctypes.CDLL, symbol: str) -> str:
    """Return what a function ``char* f()`` says."""
    function = getattr(library, symbol)
    function.restype = ctypes.c_char_p
    return (function() or b"").decode(errors="replace").strip()


def capsule_name(capsule: object) -> bytes:
    """Return the name of a capsule: the C type of what it holds."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return bytes(name(capsule))


def capsule_address(capsule: object) -> int:
    """Return the address in a capsule."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, capsule_name(capsule)))


def thread_setter(blas: Blas) -> Callable[[int], None]:
    """Return the library's function that sets its count of threads."""
    return ctypes.CFUNCTYPE(None, ctypes.c_int)(blas.set_threads)


@contextmanager
def single_threaded(blas: Blas | None) -> Iterator[None]:
    """Keep BLAS to one thread inside a ``with`` block: for Python code that calls kernels itself."""
    if blas is None or not blas.set_threads:
        yield
        return
    before = int(ctypes.CFUNCTYPE(ctypes.c_int)(blas.get_threads)())
    thread_setter(blas)(1)
    try:
        yield
    finally:
        thread_setter(blas)(before)
