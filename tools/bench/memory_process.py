"""One process of `memory.py --process`: the rise of its peak memory in one warm gradient call, as JSON on a line.

    python tools/bench/memory_process.py SYSTEM GRAPH [BUDGET]

SYSTEM is graphad, jax, jax-checkpoint, torch or torch-compile; GRAPH is chain, or a training step of `workloads`:
transformer, cnn. BUDGET is bytes, a share of our own peak ("60%"), or torch's `activation_memory_budget`.

The rise is VmHWM after writing 5 to /proc/self/clear_refs, above VmRSS before the call. graphad holds its arena between
calls: its pages are given back before the call, so that they count. What the allocator keeps of earlier calls is given
back for all (malloc_trim).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from side import others_share

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

ROWS, WIDTH, LAYERS = 20_000, 64, 36


def resident(key: str) -> int:
    """Return VmRSS or VmHWM of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def give_back(array: np.ndarray[Any, Any]) -> None:
    """Give the whole pages of an array back to the system."""
    page, start = 4096, array.ctypes.data
    first = -(-start // page) * page
    length = max((start + array.nbytes) // page * page - first, 0)
    ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), 4)


def measured(call: Callable[[], Any], prepare: Callable[[], None]) -> dict[str, float]:
    """Return the rise of one warm call, the median seconds of three more, and the share of the cores others used."""
    for _ in range(2):
        call()
    prepare()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    kept = call()
    rise = resident("VmHWM") - before
    del kept
    call()
    seconds, others = others_share(lambda: [_timed(call) for _ in range(3)])
    return {"rise": rise, "seconds": statistics.median(seconds), "others": others}


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def arrays() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return x and w of the chain."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)), rng.standard_normal((WIDTH, WIDTH)) / 8


def within(compile: Callable[..., Any], budget: str | None) -> Any:
    """Compile by `compile(memory=...)`, where a share is one of the peak without a budget."""
    if budget is None or not budget.endswith("%"):
        return compile(memory=budget)
    return compile(memory=int(compile(memory=None).peak_bytes * float(budget[:-1]) / 100))


def graphad_chain(budget: str | None) -> dict[str, float]:
    """Measure graphad on the chain, as it is written."""
    import graphad as ga

    def loss(x: Any, w: Any) -> Any:
        for _ in range(LAYERS):
            x = np.tanh(x @ w)
        return np.sum(x)

    x, w = arrays()
    exe = within(partial(ga.compile, ga.value_and_grad(loss), x, w), budget)
    return planned(exe, lambda: exe(x, w))


def planned(exe: Any, call: Callable[[], Any]) -> dict[str, float]:
    """Measure calls of an executable, and say what its plan and its workspace take."""
    exe.wait()
    found = measured(call, lambda: give_back(exe._program.program.arena))
    return found | {"planned": exe.memory.peak}


def workload(system: str, name: str, budget: str | None) -> dict[str, float]:
    """Measure a training step of `workloads`."""
    module = importlib.import_module(f"workloads.{name}")
    if system == "graphad":
        import graphad as ga

        compile = ga.compile
        build = module.graphad(module.problem())
        case = None

        def bounded(memory: Any) -> Any:
            """Build the case with a budget, which the workload itself does not give."""
            nonlocal case
            ga.compile = partial(compile, memory=memory)
            case = build()
            return case.keep

        exe = within(bounded, budget)
        assert case is not None
        return planned(exe, case.step)
    case = getattr(module, system.replace("-", "_"))(module.problem())()
    return measured(case.step, lambda: None)


def jax_call(checkpointed: bool) -> dict[str, float]:
    """Measure JAX on the chain, with `jax.checkpoint` around every six layers or without."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def segment(x: Any, w: Any) -> Any:
        for _ in range(6):
            x = jnp.tanh(x @ w)
        return x

    part = jax.checkpoint(segment) if checkpointed else segment

    def loss(x: Any, w: Any) -> Any:
        for _ in range(LAYERS // 6):
            x = part(x, w)
        return jnp.sum(x)

    x, w = map(jnp.asarray, arrays())
    call = jax.jit(jax.value_and_grad(loss))
    return measured(lambda: jax.block_until_ready(call(x, w)), lambda: None)


def torch_call(compiled: bool, budget: str | None) -> dict[str, float]:
    """Measure torch on the chain: eager, or through `torch.compile` with a budget for activations."""
    import torch

    x, w = map(torch.from_numpy, arrays())

    def loss(h: Any) -> Any:
        for _ in range(LAYERS):
            h = torch.tanh(h @ w)
        return h.sum()

    function = loss
    if compiled:
        import torch._functorch.config

        if budget is not None:
            torch._functorch.config.activation_memory_budget = float(budget)
        function = torch.compile(loss)

    def call() -> Any:
        leaf = x.detach().requires_grad_()
        value = function(leaf)
        return value, torch.autograd.grad(value, leaf)

    return measured(call, lambda: None)


def main() -> None:
    """Print what the command line asks for."""
    system, name, *rest = sys.argv[1:]
    budget = rest[0] if rest else None
    if name != "chain":
        found = workload(system, name, budget)
    elif system == "graphad":
        found = graphad_chain(budget)
    elif system.startswith("torch"):
        found = torch_call(system == "torch-compile", budget)
    else:
        found = jax_call(system == "jax-checkpoint")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
