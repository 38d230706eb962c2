"""BLAS: the addresses of its products, found in libraries that are in this process already.

What may enter: where a BLAS is found, how it is called, and how to keep it to one thread. Generated code never holds an
address: it declares the symbols that `Blas.symbols` names, which are bound when the code is loaded.

Every thread of ours calls BLAS for its own slice, so BLAS itself must not start threads. OpenBLAS has one count of
threads for the whole process. With a count of 1 its products run in the calling thread and take no lock (only threaded
calls serialise), so calls from several threads run side by side, each with its own workspace. Setting the count
stores one integer and leaves OpenBLAS's own threads asleep. `emit_guard` writes the two functions that a run of native
steps calls at its start and at its end with the address `guard_state` gives; they count the runs under way, so that the
first sets the count to 1 and the last restores it. NumPy's products in another Python thread are single-threaded for
as long as such a run lasts.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphad.execute.native.code import Code, Module

FUNCTIONS = ("sgemm", "dgemm", "sgemv", "dgemv")
ENTER = "graphad_blas_enter"
LEAVE = "graphad_blas_leave"


@dataclass(frozen=True)
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


class GuardState(ctypes.Structure):
    """What the guard of one library knows, shared by all generated code of this process."""

    _fields_ = [
        ("lock", ctypes.c_int32),
        ("runs", ctypes.c_int32),
        ("saved", ctypes.c_int32),
        ("get_threads", ctypes.c_void_p),
        ("set_threads", ctypes.c_void_p),
    ]


@functools.cache
def _guard_state(get_threads: int, set_threads: int) -> GuardState:
    return GuardState(0, 0, 0, get_threads, set_threads)


def guard_state(blas: Blas | None) -> int:
    """Return the address that the functions of `emit_guard` take, valid as long as the process; 0 for no guard."""
    if blas is None or not blas.set_threads:
        return 0
    return ctypes.addressof(_guard_state(blas.get_threads, blas.set_threads))


def forget_runs(blas: Blas) -> None:
    """Forget the runs under way: for the child of a fork, where the threads that ran them do not exist."""
    state = _guard_state(blas.get_threads, blas.set_threads)
    if state.runs:
        thread_setter(blas)(state.saved)
    state.lock = state.runs = 0


def emit_guard(module: Module) -> None:
    """Write ``void graphad_blas_enter(ptr state)`` and ``void graphad_blas_leave(ptr state)`` into a module.

    Between the two, BLAS runs in the calling threads alone. Runs may overlap, in any threads: the first to enter sets
    the count of threads to 1, the last to leave restores it, unless somebody else has set it meanwhile. A null state
    does nothing.
    """
    if module.has(ENTER):
        return
    code = module.function(ENTER, "void", [("ptr", "state")], "nounwind")
    with when_guarded(code), locked(code):
        runs = field(code, 4)
        before = code.value(f"load i32, ptr {runs}, align 4")
        code.line(f"store i32 {code.value(f'add i32 {before}, 1')}, ptr {runs}, align 4")
        with code.when(code.value(f"icmp eq i32 {before}, 0")):
            found = call_get(code)
            code.line(f"store i32 {found}, ptr {field(code, 8)}, align 4")
            with code.when(code.value(f"icmp ne i32 {found}, 1")):
                call_set(code, "1")
    code.line("ret void")
    code = module.function(LEAVE, "void", [("ptr", "state")], "nounwind")
    with when_guarded(code), locked(code):
        runs = field(code, 4)
        after = code.value(f"sub i32 {code.value(f'load i32, ptr {runs}, align 4')}, 1")
        code.line(f"store i32 {after}, ptr {runs}, align 4")
        saved = code.value(f"load i32, ptr {field(code, 8)}, align 4")
        last = code.value(f"icmp eq i32 {after}, 0")
        many = code.value(f"icmp ne i32 {saved}, 1")
        with (
            code.when(code.value(f"and i1 {last}, {many}")),
            code.when(code.value(f"icmp eq i32 {call_get(code)}, 1")),
        ):
            call_set(code, saved)
    code.line("ret void")


def field(code: Code, offset: int) -> str:
    """Return the address of the part of a `GuardState` at a byte offset."""
    return code.value(f"getelementptr i8, ptr %state, i64 {offset}")


def call_get(code: Code) -> str:
    """Call the library for its count of threads."""
    function = code.value(f"load ptr, ptr {field(code, GuardState.get_threads.offset)}, align 8")
    return code.value(f"call i32 {function}()")


def call_set(code: Code, count: str) -> None:
    """Set the library's count of threads."""
    function = code.value(f"load ptr, ptr {field(code, GuardState.set_threads.offset)}, align 8")
    code.line(f"call void {function}(i32 {count})")


@contextmanager
def when_guarded(code: Code) -> Iterator[None]:
    """Write what runs only if there is a state."""
    with code.when(code.value("icmp ne ptr %state, null")):
        yield


@contextmanager
def locked(code: Code) -> Iterator[None]:
    """Write what runs under the lock of the state; it is held for some ten nanoseconds, so waiting spins."""
    spin, owned = code.new_label("spin"), code.new_label("owned")
    code.jump(spin)
    code.place(spin)
    taken = code.value("atomicrmw xchg ptr %state, i32 1 acquire, align 4")
    code.branch(code.value(f"icmp eq i32 {taken}, 0"), owned, spin)
    code.place(owned)
    yield
    code.line("store atomic i32 0, ptr %state release, align 4")


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
