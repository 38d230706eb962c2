"""The machine that code is generated for: LLVM's target, optimisation, object code, and addresses of functions.

llvmlite is imported here and nowhere else; importing it costs some 60 ms, so this module is loaded on first compile.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from graphad.ir.frozen import frozen


@frozen
class Host:
    """The processor of this process.

    Attributes:
        triple, cpu, features: as LLVM names them.
        vector_bytes: bytes of the widest vector registers used.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int


@functools.cache
def host() -> Host:
    """Return this process's processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    wide = 64 if features.get("avx512f") else 32 if features.get("avx2") else 16
    return Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten(), wide)


def version() -> str:
    """Return the versions of LLVM and of its Python binding."""
    return f"LLVM {'.'.join(map(str, llvm.llvm_version_info))}, llvmlite {llvmlite.__version__}"


@functools.cache
def target_machine() -> llvm.TargetMachine:
    """Return LLVM's code generator for the host, which all compilations share."""
    return new_target_machine()


def new_target_machine() -> llvm.TargetMachine:
    """Return a code generator for an engine to own: it goes with the engine."""
    found = host()
    target = llvm.Target.from_triple(found.triple)
    return target.create_target_machine(cpu=found.cpu, features=found.features, opt=2, reloc="pic", codemodel="default")


def parse(text: str, context: llvm.ContextRef | None = None) -> llvm.ModuleRef:
    """Parse and verify LLVM IR; modules of different contexts may be worked on by different threads at once."""
    module = llvm.parse_assembly(text, context)
    module.triple = host().triple
    module.data_layout = str(target_machine().target_data)
    module.verify()
    return module


FULL, LIGHT = 2, 1
"""Levels of optimisation: LLVM's pipeline for functions that call each other; a few passes for kernels."""


def optimized(text: str, level: int = FULL, context: llvm.ContextRef | None = None) -> llvm.ModuleRef:
    """Parse LLVM IR and optimise it; vectors are written by us, so no vectoriser runs.

    Kernels are nests of loops around straight code that is written in good order already. They take LIGHT, a fifth of
    the time of FULL, and run as fast.
    """
    module = parse(text, context)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_interleaving = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(target_machine(), options)
    if level == FULL:
        builder.getModulePassManager().run(module, builder)
        return module
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_loop_rotate_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


def object_code(text: str, level: int = FULL) -> bytes:
    """Optimise and compile LLVM IR; returns the object file.

    Several threads may do so at once: LLVM is made for that where each has its own context and code generator, which
    is why llvmlite's lock round each call is passed by for the one call that takes long.
    """
    module = optimized(text, level, llvm.create_context())
    machine = new_target_machine()
    message = ctypes.c_char_p()
    buffer = _emit()(machine, module, 1, ctypes.byref(message))
    if not buffer:
        raise RuntimeError(f"LLVM: {(message.value or b'no object code').decode()}")
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@functools.cache
def _emit() -> Callable[..., Any]:
    """Return llvmlite's function that writes an object file, without llvmlite's lock."""
    found = ctypes.CDLL(ffi.lib._name).LLVMPY_TargetMachineEmitToMemory
    locked = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    found.argtypes, found.restype = locked.argtypes, locked.restype
    return found


def assembly(text: str) -> str:
    """Return LLVM IR, optimised, as assembly of the host."""
    return str(target_machine().emit_assembly(optimized(text)))


class Loaded:
    """Object files in memory, linked: `address(name)` finds a function. The code stays as long as this object."""

    def __init__(self, images: Iterable[bytes]) -> None:
        empty = parse("")
        self._engine = llvm.create_mcjit_compiler(empty, new_target_machine())
        for image in images:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(image))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of a function."""
        found = int(self._engine.get_function_address(name))
        if not found:
            raise LookupError(f"no function {name} in the object code")
        return found


def load(module_text: str) -> Loaded:
    """Optimise, compile and load LLVM IR."""
    return Loaded([object_code(module_text)])


def define(symbols: Mapping[str, int]) -> None:
    """Give external symbols of generated code their addresses; before code that declares them is loaded."""
    for name, address in symbols.items():
        llvm.add_symbol(name, address)
